/* dev/pair.c: the memory link. A direction is a pool and a queue of its frames in the order of submission; the queue
 * has a place for every frame, so it never overflows. */
#include "dev/pair.h"
#include "base/err.h"
#include "base/limits.h"
#include "xw.h"
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX 65536u
#define LINE 64u

struct place { uint32_t frame, len; uint64_t ns; bool timed; };
struct direction {
    struct xw_frames frames;
    uint8_t *area;
    struct place *queue;                /* frames.cnt places */
    uint64_t received, shown, submitted; /* only grow; place n is at n % frames.cnt */
};
struct link {
    struct direction dir[2]; /* [i]: what end i sends */
    uint32_t mtu;
    unsigned open;           /* ends */
    bool ticked;
    uint64_t now_ns;
};
struct end {
    struct xw_dev dev;
    struct link *link;
    struct end *other; /* NULL when it was closed */
    unsigned side;
    uint32_t lent;
    struct xw_dev_stats stats;
};

static struct end *end_of(struct xw_dev *d) { return (struct end *)d; }
static struct direction *out_of(const struct end *e) { return &e->link->dir[e->side]; }
static struct direction *in_of(const struct end *e) { return &e->link->dir[!e->side]; }
static struct place *place_of(const struct direction *d, uint64_t n) { return &d->queue[n % d->frames.cnt]; }

static unsigned pair_rx_burst(struct xw_dev *dev, struct xw_pkt *pkts, unsigned max) {
    struct end *e = end_of(dev);
    struct direction *d = in_of(e);
    unsigned n = 0;
    XW_ASSERT(max <= XW_RX_BURST_MAX && e->lent == 0);
    for (; n < max && d->received < d->shown; n++, d->received++) {
        const struct place *p = place_of(d, d->received);
        xw_frames_move(&d->frames, p->frame, XW_FRAME_TX, XW_FRAME_RX);
        xw_frames_move(&d->frames, p->frame, XW_FRAME_RX, XW_FRAME_STACK);
        pkts[n] = (struct xw_pkt){ .data = xw_frames_at(&d->frames, p->frame), .len = p->len, .frame = p->frame };
        if (p->timed) {
            pkts[n].xdp_ns = p->ns;
            pkts[n].valid = XW_PKT_XDP;
        }
        e->stats.rx_bytes += p->len;
    }
    e->lent = n;
    e->stats.rx_frames += n;
    return n;
}

static void pair_rx_release(struct xw_dev *dev, const struct xw_pkt *pkts, unsigned cnt) {
    struct end *e = end_of(dev);
    XW_ASSERT(cnt <= e->lent);
    e->lent -= cnt;
    for (unsigned i = 0; i < cnt; i++)
        xw_frames_put(&in_of(e)->frames, pkts[i].frame, XW_FRAME_STACK);
}

static int pair_tx_reserve(struct xw_dev *dev, struct xw_txbuf *out) {
    struct end *e = end_of(dev);
    struct direction *d = out_of(e);
    uint32_t id = xw_frames_take(&d->frames, XW_FRAME_STACK);
    if (id == XW_FRAME_NONE) {
        e->stats.tx_no_frame++;
        return XW_EAGAIN;
    }
    *out = (struct xw_txbuf){ .data = xw_frames_at(&d->frames, id), .cap = d->frames.frame_len, .frame = id };
    return XW_OK;
}

/* Ethernet header with its tags: what the MTU does not count. */
static uint32_t eth_len(const uint8_t *f, uint32_t len) {
    uint32_t n = 14;
    while (n < XW_ETH_HDR_MAX && n + 4 <= len) {
        unsigned type = (unsigned)f[n - 2] << 8 | f[n - 1];
        if (type != 0x8100 && type != 0x88a8)
            break;
        n += 4;
    }
    return n;
}

static void pair_tx_submit(struct xw_dev *dev, const struct xw_txbuf *b, uint32_t len) {
    struct end *e = end_of(dev);
    struct direction *d = out_of(e);
    XW_ASSERT(len && len <= b->cap);
    e->stats.tx_frames++;
    e->stats.tx_bytes += len;
    if (len > e->link->mtu + eth_len(b->data, len) || !e->other) {
        e->stats.tx_dropped++;
        xw_frames_put(&d->frames, b->frame, XW_FRAME_STACK);
        return;
    }
    xw_frames_move(&d->frames, b->frame, XW_FRAME_STACK, XW_FRAME_TX);
    *place_of(d, d->submitted++) = (struct place){ .frame = b->frame, .len = len };
}

static void pair_tx_cancel(struct xw_dev *dev, const struct xw_txbuf *b) {
    xw_frames_put(&out_of(end_of(dev))->frames, b->frame, XW_FRAME_STACK);
}

static int pair_tx_flush(struct xw_dev *dev) {
    const struct end *e = end_of(dev);
    struct direction *d = out_of(e);
    for (; d->shown < d->submitted; d->shown++) {
        place_of(d, d->shown)->ns = e->link->now_ns;
        place_of(d, d->shown)->timed = e->link->ticked;
    }
    return XW_OK;
}

static uint64_t pair_deadline(const struct xw_dev *dev) {
    (void)dev;
    return XW_NEVER;
}

static void pair_caps(const struct xw_dev *dev, struct xw_dev_caps *out) {
    *out = (struct xw_dev_caps){ .mtu = ((const struct end *)dev)->link->mtu, .queues = 1, .kind = "pair" };
}

static int pair_stats(struct xw_dev *dev, struct xw_dev_stats *out) {
    *out = end_of(dev)->stats;
    return XW_OK;
}

static int pair_fd(const struct xw_dev *dev, unsigned n) {
    (void)dev, (void)n;
    return -1;
}

static void pair_tick(struct xw_dev *dev, uint64_t now_ns) {
    struct link *l = end_of(dev)->link;
    l->ticked = true;
    if (now_ns > l->now_ns)
        l->now_ns = now_ns;
}

static void direction_fini(struct direction *d) {
    if (d->frames.stack)
        xw_frames_reclaim(&d->frames);
    xw_frames_fini(&d->frames);
    free(d->area);
    free(d->queue);
}

static void link_free(struct link *l) {
    direction_fini(&l->dir[0]);
    direction_fini(&l->dir[1]);
    free(l);
}

static void pair_close(struct xw_dev *dev) {
    struct end *e = end_of(dev);
    struct link *l = e->link;
    XW_ASSERT(e->lent == 0);
    if (e->other)
        e->other->other = NULL;
    free(e);
    if (--l->open == 0)
        link_free(l);
}

static const struct xw_dev_ops pair_ops = {
    .rx_burst = pair_rx_burst, .rx_release = pair_rx_release, .tx_reserve = pair_tx_reserve,
    .tx_submit = pair_tx_submit, .tx_cancel = pair_tx_cancel, .tx_flush = pair_tx_flush, .deadline = pair_deadline,
    .caps = pair_caps, .stats = pair_stats, .fd = pair_fd, .tick = pair_tick, .close = pair_close,
};

/* Frames are longer than the MTU needs, so that one that is too long can be written and then lost, as on a wire. */
static int direction_init(struct direction *d, uint32_t mtu, uint32_t cnt) {
    uint32_t len = (mtu + XW_ETH_HDR_MAX + 2 * LINE - 1) / LINE * LINE;
    d->area = aligned_alloc(LINE, (size_t)cnt * len);
    d->queue = calloc(cnt, sizeof *d->queue);
    return d->area && d->queue ? xw_frames_init(&d->frames, d->area, cnt, len) : XW_ENOMEM;
}

int xw_pair_open(const struct xw_pair_cfg *cfg, struct xw_dev **a, struct xw_dev **b) {
    uint32_t mtu = cfg && cfg->mtu ? cfg->mtu : 1500, cnt = cfg && cfg->frames ? cfg->frames : 256;
    if (mtu < XW_MTU_MIN || mtu > XW_MTU_MAX || cnt > FRAMES_MAX)
        return XW_EINVAL;
    struct link *l = calloc(1, sizeof *l);
    struct end *e[2] = { calloc(1, sizeof *e[0]), calloc(1, sizeof *e[1]) };
    if (!l || !e[0] || !e[1] || direction_init(&l->dir[0], mtu, cnt) || direction_init(&l->dir[1], mtu, cnt))
        goto err_free;
    l->mtu = mtu;
    l->open = 2;
    for (unsigned i = 0; i < 2; i++)
        *e[i] = (struct end){ .dev = { &pair_ops }, .link = l, .other = e[!i], .side = i };
    *a = &e[0]->dev;
    *b = &e[1]->dev;
    return XW_OK;

err_free:
    free(e[0]);
    free(e[1]);
    if (l)
        link_free(l);
    return XW_ENOMEM;
}

uint32_t xw_pair_frames(const struct xw_dev *d, uint32_t out[XW_FRAME_STATES]) {
    return xw_frames_counts(&out_of((const struct end *)d)->frames, out);
}

uint32_t xw_pair_waiting(const struct xw_dev *d) {
    const struct direction *in = in_of((const struct end *)d);
    return (uint32_t)(in->shown - in->received);
}
