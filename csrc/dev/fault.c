/* dev/fault.c: the fault injector. Each direction has a store of frames and a list of those that wait, by the time
 * at which they are due (and by order of arrival where times are equal); at most one frame at a time is held back to
 * be overtaken. */
#include "dev/fault.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/rng.h"
#include "mem/frames.h"
#include "xw.h"
#include <stdlib.h>
#include <string.h>

#define PPM 1000000u
#define FRAMES_DEFAULT 1024u
#define FRAMES_MAX 65536u
#define HOLD_NS (10 * XW_NS_PER_MS)
#define LINE 64u

struct slot { struct xw_pkt pkt; uint64_t due_ns; uint32_t next; };
struct direction {
    struct xw_frames frames;
    uint8_t *area;
    struct slot *slot;       /* of each frame */
    uint32_t head, tail;     /* of the list; XW_FRAME_NONE when empty */
    uint32_t held;           /* waits to be overtaken; XW_FRAME_NONE */
    uint64_t held_until_ns;
    struct xw_fault_rates rates;
    struct xw_fault_counts counts;
    struct xw_rng rng;       /* of its own, so that one direction's faults do not depend on the other's traffic */
};
struct fault {
    struct xw_dev dev;
    struct xw_dev *inner;
    struct direction rx, tx;
    uint64_t now_ns, tx_no_frame;
    uint32_t lent;
};

static struct fault *fault_of(struct xw_dev *d) { return (struct fault *)d; }

static void enqueue(struct direction *d, uint32_t id, uint64_t due_ns) {
    struct slot *s = &d->slot[id];
    uint32_t after = XW_FRAME_NONE;
    s->due_ns = due_ns;
    if (d->tail != XW_FRAME_NONE && d->slot[d->tail].due_ns <= due_ns)
        after = d->tail;
    else
        for (uint32_t at = d->head; at != XW_FRAME_NONE && d->slot[at].due_ns <= due_ns; at = d->slot[at].next)
            after = at;
    s->next = after == XW_FRAME_NONE ? d->head : d->slot[after].next;
    if (after == XW_FRAME_NONE)
        d->head = id;
    else
        d->slot[after].next = id;
    if (s->next == XW_FRAME_NONE)
        d->tail = id;
}

/* The first frame that is due, or XW_FRAME_NONE. It stays listed until pop. */
static uint32_t due_now(const struct direction *d, uint64_t now_ns) {
    return d->head != XW_FRAME_NONE && d->slot[d->head].due_ns <= now_ns ? d->head : XW_FRAME_NONE;
}

static void pop(struct direction *d) {
    d->head = d->slot[d->head].next;
    if (d->head == XW_FRAME_NONE)
        d->tail = XW_FRAME_NONE;
    d->counts.out++;
}

/* Nobody overtook it in time: it goes as it is. */
static void let_held_go(struct direction *d, uint64_t now_ns) {
    if (d->held == XW_FRAME_NONE || now_ns < d->held_until_ns)
        return;
    enqueue(d, d->held, d->slot[d->held].due_ns);
    d->held = XW_FRAME_NONE;
}

static bool chance(struct xw_rng *r, uint32_t ppm) { return xw_rng_below(r, PPM) < ppm; }

static void corrupt(struct direction *d, uint32_t id) {
    uint8_t *f = xw_frames_at(&d->frames, id);
    f[xw_rng_below(&d->rng, d->slot[id].pkt.len)] ^= (uint8_t)(1 + xw_rng_below(&d->rng, 255));
    d->counts.corrupted++;
}

static void duplicate(struct direction *d, uint32_t id) {
    uint32_t copy = xw_frames_take(&d->frames, XW_FRAME_STACK);
    if (copy == XW_FRAME_NONE)
        return;
    d->slot[copy].pkt = d->slot[id].pkt;
    memcpy(xw_frames_at(&d->frames, copy), xw_frames_at(&d->frames, id), d->slot[id].pkt.len);
    xw_frames_move(&d->frames, copy, XW_FRAME_STACK, XW_FRAME_TX);
    enqueue(d, copy, d->slot[id].due_ns);
    d->counts.duplicated++;
}

/* Decides the fate of a frame that lies in the store, in state STACK. The same number of draws for every frame, so
 * that one rate does not change what the others do (those of corruption and jitter are made only when needed). */
static void decide(struct direction *d, uint32_t id, uint64_t now_ns) {
    const struct xw_fault_rates *r = &d->rates;
    const bool lose = chance(&d->rng, r->loss_ppm), damage = chance(&d->rng, r->corrupt_ppm);
    const bool twice = chance(&d->rng, r->dup_ppm), late = chance(&d->rng, r->delay_ppm);
    const bool swap = chance(&d->rng, r->reorder_ppm);
    if (lose) {
        d->counts.lost++;
        xw_frames_put(&d->frames, id, XW_FRAME_STACK);
        return;
    }
    uint64_t due = now_ns;
    if (damage)
        corrupt(d, id);
    if (late) {
        due += r->delay_ns + (r->jitter_ns ? xw_rng_u64(&d->rng) % (r->jitter_ns + 1) : 0);
        d->counts.delayed++;
    }
    xw_frames_move(&d->frames, id, XW_FRAME_STACK, XW_FRAME_TX);
    d->slot[id].due_ns = due;
    if (swap && d->held == XW_FRAME_NONE) {
        d->held = id;
        d->held_until_ns = due + (r->hold_ns ? r->hold_ns : HOLD_NS);
        return;
    }
    enqueue(d, id, due);
    if (twice)
        duplicate(d, id);
    if (d->held != XW_FRAME_NONE) {
        uint64_t own = d->slot[d->held].due_ns;
        enqueue(d, d->held, own > due ? own : due);
        d->held = XW_FRAME_NONE;
        d->counts.reordered++;
    }
}

static void store_received(struct fault *f, const struct xw_pkt *p) {
    struct direction *d = &f->rx;
    d->counts.seen++;
    uint32_t id = p->len && p->len <= d->frames.frame_len ? xw_frames_take(&d->frames, XW_FRAME_STACK) : XW_FRAME_NONE;
    if (id == XW_FRAME_NONE) {
        d->counts.overflow++;
        return;
    }
    d->slot[id].pkt = *p;
    d->slot[id].pkt.data = xw_frames_at(&d->frames, id);
    d->slot[id].pkt.frame = id;
    memcpy(xw_frames_at(&d->frames, id), p->data, p->len);
    decide(d, id, f->now_ns);
}

static unsigned fault_rx_burst(struct xw_dev *dev, struct xw_pkt *pkts, unsigned max) {
    struct fault *f = fault_of(dev);
    struct xw_pkt in[XW_RX_BURST_MAX];
    XW_ASSERT(max <= XW_RX_BURST_MAX && f->lent == 0);
    unsigned got = f->inner->ops->rx_burst(f->inner, in, XW_RX_BURST_MAX), n = 0;
    for (unsigned i = 0; i < got; i++)
        store_received(f, &in[i]);
    f->inner->ops->rx_release(f->inner, in, got);
    let_held_go(&f->rx, f->now_ns);
    for (uint32_t id; n < max && (id = due_now(&f->rx, f->now_ns)) != XW_FRAME_NONE; n++) {
        pop(&f->rx);
        xw_frames_move(&f->rx.frames, id, XW_FRAME_TX, XW_FRAME_RX);
        xw_frames_move(&f->rx.frames, id, XW_FRAME_RX, XW_FRAME_STACK);
        pkts[n] = f->rx.slot[id].pkt;
        pkts[n].data = xw_frames_at(&f->rx.frames, id);
        pkts[n].frame = id;
    }
    f->lent = n;
    return n;
}

static void fault_rx_release(struct xw_dev *dev, const struct xw_pkt *pkts, unsigned cnt) {
    struct fault *f = fault_of(dev);
    XW_ASSERT(cnt <= f->lent);
    f->lent -= cnt;
    for (unsigned i = 0; i < cnt; i++)
        xw_frames_put(&f->rx.frames, pkts[i].frame, XW_FRAME_STACK);
}

static int fault_tx_reserve(struct xw_dev *dev, struct xw_txbuf *out) {
    struct fault *f = fault_of(dev);
    uint32_t id = xw_frames_take(&f->tx.frames, XW_FRAME_STACK);
    if (id == XW_FRAME_NONE) {
        f->tx_no_frame++;
        return XW_EAGAIN;
    }
    *out = (struct xw_txbuf){ .data = xw_frames_at(&f->tx.frames, id), .cap = f->tx.frames.frame_len, .frame = id };
    return XW_OK;
}

static void fault_tx_submit(struct xw_dev *dev, const struct xw_txbuf *b, uint32_t len) {
    struct fault *f = fault_of(dev);
    XW_ASSERT(len && len <= b->cap);
    f->tx.counts.seen++;
    f->tx.slot[b->frame].pkt = (struct xw_pkt){ .len = len };
    decide(&f->tx, b->frame, f->now_ns);
}

static void fault_tx_cancel(struct xw_dev *dev, const struct xw_txbuf *b) {
    xw_frames_put(&fault_of(dev)->tx.frames, b->frame, XW_FRAME_STACK);
}

static int fault_tx_flush(struct xw_dev *dev) {
    struct fault *f = fault_of(dev);
    struct direction *d = &f->tx;
    struct xw_dev *in = f->inner;
    let_held_go(d, f->now_ns);
    for (uint32_t id; (id = due_now(d, f->now_ns)) != XW_FRAME_NONE;) {
        struct xw_txbuf b;
        int rc = in->ops->tx_reserve(in, &b);
        if (rc) {
            (void)in->ops->tx_flush(in); /* what fits goes out; the rest waits here */
            rc = in->ops->tx_reserve(in, &b);
        }
        if (rc)
            return XW_EAGAIN;
        uint32_t len = d->slot[id].pkt.len;
        XW_ASSERT(len <= b.cap); /* both were made for the inner device's MTU */
        memcpy(b.data, xw_frames_at(&d->frames, id), len);
        in->ops->tx_submit(in, &b, len);
        pop(d);
        xw_frames_move(&d->frames, id, XW_FRAME_TX, XW_FRAME_DONE);
        xw_frames_put(&d->frames, id, XW_FRAME_DONE);
    }
    return in->ops->tx_flush(in);
}

static uint64_t direction_deadline(const struct direction *d, uint64_t sooner) {
    if (d->head != XW_FRAME_NONE && d->slot[d->head].due_ns < sooner)
        sooner = d->slot[d->head].due_ns;
    return d->held != XW_FRAME_NONE && d->held_until_ns < sooner ? d->held_until_ns : sooner;
}

static uint64_t fault_deadline(const struct xw_dev *dev) {
    const struct fault *f = (const struct fault *)dev;
    return direction_deadline(&f->tx, direction_deadline(&f->rx, f->inner->ops->deadline(f->inner)));
}

static void fault_caps(const struct xw_dev *dev, struct xw_dev_caps *out) {
    const struct fault *f = (const struct fault *)dev;
    f->inner->ops->caps(f->inner, out);
    out->kind = "fault";
}

static int fault_stats(struct xw_dev *dev, struct xw_dev_stats *out) {
    const struct fault *f = fault_of(dev);
    int rc = f->inner->ops->stats(f->inner, out);
    out->tx_no_frame += f->tx_no_frame;
    return rc;
}

static int fault_fd(const struct xw_dev *dev, unsigned n) {
    const struct fault *f = (const struct fault *)dev;
    return f->inner->ops->fd(f->inner, n);
}

static void fault_tick(struct xw_dev *dev, uint64_t now_ns) {
    struct fault *f = fault_of(dev);
    f->now_ns = now_ns;
    f->inner->ops->tick(f->inner, now_ns);
}

static void direction_fini(struct direction *d) {
    if (d->frames.stack)
        xw_frames_reclaim(&d->frames);
    xw_frames_fini(&d->frames);
    free(d->area);
    free(d->slot);
}

static void fault_close(struct xw_dev *dev) {
    struct fault *f = fault_of(dev);
    xw_dev_close(f->inner);
    direction_fini(&f->rx);
    direction_fini(&f->tx);
    free(f);
}

static const struct xw_dev_ops fault_ops = {
    .rx_burst = fault_rx_burst, .rx_release = fault_rx_release, .tx_reserve = fault_tx_reserve,
    .tx_submit = fault_tx_submit, .tx_cancel = fault_tx_cancel, .tx_flush = fault_tx_flush, .deadline = fault_deadline,
    .caps = fault_caps, .stats = fault_stats, .fd = fault_fd, .tick = fault_tick, .close = fault_close,
};

static int direction_init(struct direction *d, uint32_t cnt, uint32_t mtu, const uint8_t seed[32], uint8_t which) {
    uint32_t len = (mtu + XW_ETH_HDR_MAX + LINE - 1) / LINE * LINE;
    uint8_t own[32];
    memcpy(own, seed, sizeof own);
    own[31] ^= which;
    xw_rng_init(&d->rng, own);
    d->head = d->tail = d->held = XW_FRAME_NONE;
    d->area = aligned_alloc(LINE, (size_t)cnt * len);
    d->slot = calloc(cnt, sizeof *d->slot);
    return d->area && d->slot ? xw_frames_init(&d->frames, d->area, cnt, len) : XW_ENOMEM;
}

static bool rates_ok(const struct xw_fault_rates *r) {
    return r->loss_ppm <= PPM && r->dup_ppm <= PPM && r->reorder_ppm <= PPM && r->corrupt_ppm <= PPM &&
           r->delay_ppm <= PPM;
}

int xw_fault_open(struct xw_dev *inner, const struct xw_fault_cfg *cfg, struct xw_dev **out) {
    uint32_t cnt = cfg->frames ? cfg->frames : FRAMES_DEFAULT;
    struct xw_dev_caps caps;
    if (!rates_ok(&cfg->rx) || !rates_ok(&cfg->tx) || cnt > FRAMES_MAX)
        return XW_EINVAL;
    struct fault *f = calloc(1, sizeof *f);
    if (!f)
        return XW_ENOMEM;
    inner->ops->caps(inner, &caps);
    if (direction_init(&f->rx, cnt, caps.mtu, cfg->seed, 1) || direction_init(&f->tx, cnt, caps.mtu, cfg->seed, 2)) {
        direction_fini(&f->rx);
        direction_fini(&f->tx);
        free(f);
        return XW_ENOMEM;
    }
    f->dev.ops = &fault_ops;
    f->inner = inner;
    f->rx.rates = cfg->rx;
    f->tx.rates = cfg->tx;
    *out = &f->dev;
    return XW_OK;
}

int xw_fault_set(struct xw_dev *d, const struct xw_fault_rates *rx, const struct xw_fault_rates *tx) {
    struct fault *f = fault_of(d);
    if ((rx && !rates_ok(rx)) || (tx && !rates_ok(tx)))
        return XW_EINVAL;
    if (rx)
        f->rx.rates = *rx;
    if (tx)
        f->tx.rates = *tx;
    return XW_OK;
}

void xw_fault_counts(const struct xw_dev *d, struct xw_fault_counts *rx, struct xw_fault_counts *tx) {
    const struct fault *f = (const struct fault *)d;
    if (rx)
        *rx = f->rx.counts;
    if (tx)
        *tx = f->tx.counts;
}
