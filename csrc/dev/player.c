/* dev/player.c: the capture player. Received frames point into the caller's file; sent ones go through a small pool. */
#include "dev/player.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/setup_error.h"
#include "dev/capture.h"
#include "mem/frames.h"
#include <stdlib.h>
#include <string.h>

#define KEEP_MAX 65536u
#define LENT_TX 64u /* frames that may be reserved at a time */
#define LINE 64u

struct kept { uint32_t frame, len; };
struct player {
    struct xw_dev dev;
    struct xw_player_cfg cfg;
    struct xw_capture_rec *rec; /* played: whole ones, times relative to the first and never backwards */
    uint32_t cnt, at;
    uint32_t allowed;           /* of cnt: those before it may be played */
    uint32_t lent;
    bool ticked, started;
    uint64_t now_ns, start_ns;
    struct xw_frames frames;
    uint8_t *area;
    struct kept *kept;          /* cfg.keep_tx places, the oldest at kept_first */
    uint32_t kept_first, kept_cnt;
    struct xw_dev_stats stats;
};

static struct player *player_of(struct xw_dev *d) { return (struct player *)d; }
static const struct player *player_of_const(const struct xw_dev *d) { return (const struct player *)d; }

static unsigned player_rx_burst(struct xw_dev *dev, struct xw_pkt *pkts, unsigned max) {
    struct player *p = player_of(dev);
    unsigned n = 0;
    XW_ASSERT(max <= XW_RX_BURST_MAX && p->lent == 0);
    if (p->cfg.by_time && !p->started) {
        if (!p->ticked)
            return 0;
        p->started = true;
        p->start_ns = p->now_ns;
    }
    for (; n < max && p->at < p->allowed; n++, p->at++) {
        const struct xw_capture_rec *r = &p->rec[p->at];
        if (p->cfg.by_time && p->now_ns - p->start_ns < r->ns)
            break;
        pkts[n] = (struct xw_pkt){ .data = p->cfg.data + r->off, .len = r->len, .frame = p->at };
        if (p->ticked) {
            pkts[n].xdp_ns = p->now_ns;
            pkts[n].valid = XW_PKT_XDP;
        }
        p->stats.rx_bytes += r->len;
    }
    p->lent = n;
    p->stats.rx_frames += n;
    return n;
}

static void player_rx_release(struct xw_dev *dev, const struct xw_pkt *pkts, unsigned cnt) {
    struct player *p = player_of(dev);
    XW_ASSERT(cnt <= p->lent);
    p->lent -= cnt;
    for (unsigned i = 0; i < cnt; i++)
        XW_ASSERT(pkts[i].frame < p->at);
    (void)pkts;
}

static int player_tx_reserve(struct xw_dev *dev, struct xw_txbuf *out) {
    struct player *p = player_of(dev);
    uint32_t id = xw_frames_take(&p->frames, XW_FRAME_STACK);
    if (id == XW_FRAME_NONE) {
        p->stats.tx_no_frame++;
        return XW_EAGAIN;
    }
    *out = (struct xw_txbuf){ .data = xw_frames_at(&p->frames, id), .cap = p->frames.frame_len, .frame = id };
    return XW_OK;
}

static void forget_oldest(struct player *p) {
    xw_frames_put(&p->frames, p->kept[p->kept_first].frame, XW_FRAME_DONE);
    p->kept_first = (p->kept_first + 1) % p->cfg.keep_tx;
    p->kept_cnt--;
}

static void player_tx_submit(struct xw_dev *dev, const struct xw_txbuf *b, uint32_t len) {
    struct player *p = player_of(dev);
    XW_ASSERT(len && len <= b->cap);
    p->stats.tx_frames++;
    p->stats.tx_bytes += len;
    xw_frames_move(&p->frames, b->frame, XW_FRAME_STACK, XW_FRAME_TX);
    xw_frames_move(&p->frames, b->frame, XW_FRAME_TX, XW_FRAME_DONE);
    if (!p->cfg.keep_tx) {
        xw_frames_put(&p->frames, b->frame, XW_FRAME_DONE);
        return;
    }
    if (p->kept_cnt == p->cfg.keep_tx)
        forget_oldest(p);
    p->kept[(p->kept_first + p->kept_cnt++) % p->cfg.keep_tx] = (struct kept){ .frame = b->frame, .len = len };
}

static void player_tx_cancel(struct xw_dev *dev, const struct xw_txbuf *b) {
    xw_frames_put(&player_of(dev)->frames, b->frame, XW_FRAME_STACK);
}

static int player_tx_flush(struct xw_dev *dev) {
    (void)dev;
    return XW_OK;
}

/* Due: by time, when the clock of the capture says so; else at once. */
static uint64_t player_deadline(const struct xw_dev *dev) {
    const struct player *p = player_of_const(dev);
    if (p->at >= p->allowed)
        return XW_NEVER;
    return p->started ? p->start_ns + p->rec[p->at].ns : 0;
}

static void player_caps(const struct xw_dev *dev, struct xw_dev_caps *out) {
    *out = (struct xw_dev_caps){ .mtu = player_of_const(dev)->cfg.mtu, .queues = 1, .kind = "player" };
}

static int player_stats(struct xw_dev *dev, struct xw_dev_stats *out) {
    *out = player_of(dev)->stats;
    return XW_OK;
}

static int player_fd(const struct xw_dev *dev, unsigned n) {
    (void)dev, (void)n;
    return -1;
}

static void player_tick(struct xw_dev *dev, uint64_t now_ns) {
    player_of(dev)->ticked = true;
    player_of(dev)->now_ns = now_ns;
}

static void player_free(struct player *p) {
    while (p->kept_cnt)
        forget_oldest(p);
    xw_frames_fini(&p->frames);
    free(p->area);
    free(p->kept);
    free(p->rec);
    free(p);
}

static void player_close(struct xw_dev *dev) {
    XW_ASSERT(player_of(dev)->lent == 0);
    player_free(player_of(dev));
}

static const struct xw_dev_ops player_ops = {
    .rx_burst = player_rx_burst, .rx_release = player_rx_release, .tx_reserve = player_tx_reserve,
    .tx_submit = player_tx_submit, .tx_cancel = player_tx_cancel, .tx_flush = player_tx_flush,
    .deadline = player_deadline, .caps = player_caps, .stats = player_stats, .fd = player_fd, .tick = player_tick,
    .close = player_close,
};

/* Drops what was cut short or is longer than the MTU allows, and makes the times relative. */
static void keep_playable(struct player *p, uint32_t all) {
    uint64_t first = 0, last = 0;
    for (uint32_t i = 0; i < all; i++) {
        struct xw_capture_rec r = p->rec[i];
        if (!r.whole || !r.len || r.len > p->cfg.mtu + XW_ETH_HDR_MAX) {
            p->stats.rx_bad++;
            continue;
        }
        if (!p->cnt)
            first = r.ns;
        r.ns = r.ns > first ? r.ns - first : 0;
        if (r.ns < last)
            r.ns = last;
        last = r.ns;
        p->rec[p->cnt++] = r;
    }
}

int xw_player_open(const struct xw_player_cfg *cfg, struct xw_dev **out) {
    const char *why = NULL;
    xw_setup_clear();
    uint32_t mtu = cfg->mtu ? cfg->mtu : 1500;
    if (mtu < XW_MTU_MIN || mtu > XW_MTU_MAX || cfg->keep_tx > KEEP_MAX)
        return xw_setup_fail_text(XW_EINVAL, "open a capture", "mtu or keep_tx out of range");
    int64_t all = xw_capture_walk(cfg->data, cfg->len, NULL, 0, &why);
    if (all < 0)
        return xw_setup_fail_text(XW_EINVAL, "open a capture", why);
    if (all > UINT32_MAX)
        return xw_setup_fail_text(XW_EINVAL, "open a capture", "more than 2^32 packets");
    struct player *p = calloc(1, sizeof *p);
    if (!p)
        return xw_setup_fail(XW_ENOMEM, "memory for the player");
    p->dev.ops = &player_ops;
    p->cfg = *cfg;
    p->cfg.mtu = mtu;
    uint32_t frame_len = (mtu + XW_ETH_HDR_MAX + LINE - 1) / LINE * LINE, frames = cfg->keep_tx + LENT_TX;
    p->rec = calloc((size_t)all + 1, sizeof *p->rec);
    p->kept = calloc((size_t)cfg->keep_tx + 1, sizeof *p->kept);
    p->area = aligned_alloc(LINE, (size_t)frames * frame_len);
    if (!p->rec || !p->kept || !p->area || xw_frames_init(&p->frames, p->area, frames, frame_len)) {
        player_free(p);
        return xw_setup_fail(XW_ENOMEM, "memory for the player");
    }
    (void)xw_capture_walk(cfg->data, cfg->len, p->rec, (size_t)all, &why);
    keep_playable(p, (uint32_t)all);
    p->allowed = p->cnt;
    *out = &p->dev;
    return XW_OK;
}

uint32_t xw_player_left(const struct xw_dev *d) { return player_of_const(d)->cnt - player_of_const(d)->at; }

struct xw_span xw_player_sent(const struct xw_dev *d, uint32_t n) {
    const struct player *p = player_of_const(d);
    if (n >= p->kept_cnt)
        return xw_span(NULL, 0);
    const struct kept *k = &p->kept[(p->kept_first + n) % p->cfg.keep_tx];
    return xw_span(xw_frames_at(&p->frames, k->frame), k->len);
}

int xw_player_device(const uint8_t *file, uint64_t len, uint32_t mtu, struct xw_dev **out) {
    struct xw_player_cfg cfg = { .data = file, .len = len, .mtu = mtu };
    int rc = xw_player_open(&cfg, out);
    if (!rc)
        player_of(*out)->allowed = 0;
    return rc;
}

void xw_player_allow(struct xw_dev *d, uint32_t frames) {
    struct player *p = player_of(d);
    p->allowed = frames < p->cnt ? frames : p->cnt;
}

uint32_t xw_player_left_allowed(const struct xw_dev *d) { return player_of_const(d)->allowed - player_of_const(d)->at; }
