/* dev/xsk_rx.c: receive. RX descriptors become packets, released frames go back through the pool into the FILL ring.
 *
 * Barriers are in libxdp's inline functions; partners are in net/xdp/xsk_queue.h: RX peek (acquire of producer) with
 * xskq_prod_submit (release): descriptor and packet bytes are written before the index moves. RX release (release of
 * consumer) with xskq_prod_nb_free: the slot is read before the kernel may write it again. FILL submit (release of
 * producer) with xskq_cons_peek_desc (acquire): the address is written before the kernel reads it. */
#include "dev/xsk_priv.h"
#include "base/phc.h"
#include <linux/types.h>
#include <shared.h>
#include <string.h>

/* The stamps that the steering program wrote before the packet. Without the magic nothing was written. */
static void read_meta(const struct xw_xsk *x, struct xw_pkt *p) {
    struct xw_meta m;
    memcpy(&m, p->data - sizeof m, sizeof m);
    if (m.magic != XW_META_MAGIC)
        return;
    if (m.valid & XW_META_HW) {
        p->hw_ns = xw_phc_ns(&x->phc, m.hw_ns);
        p->valid |= p->hw_ns ? XW_PKT_HW : 0;
    }
    if (m.valid & XW_META_XDP) {
        p->xdp_ns = m.xdp_ns;
        p->valid |= XW_PKT_XDP;
    }
}

/* The next packet in this frame may come without metadata: the old magic must not vouch for old times. */
static void forget_meta(const struct xw_xsk *x, uint64_t addr) {
    static const __u32 none = 0;
    if (x->cfg.meta_len)
        memcpy(x->umem + addr - sizeof none, &none, sizeof none);
}

/* With busy polling a call runs the driver, as far as is known. */
static bool call_polls(const struct xw_xsk *x, const struct xw_xsk_queue *q) {
    return x->busy_poll && q->napi != XW_XSK_NAPI_NONE;
}

/* After the first packet: whose NAPI brought it? */
static void note_napi(struct xw_xsk *x, struct xw_xsk_queue *q) {
    unsigned id = 0;
    socklen_t len = sizeof id;
    bool told = !x->sys->getsockopt(q->fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &len);
    q->napi = told && !id ? XW_XSK_NAPI_NONE : XW_XSK_NAPI_RUNS;
}

static void wake_rx(struct xw_xsk *x, const struct xw_xsk_queue *q) {
    /* FILL's producer is visible before the flag is read (store before load needs more than release); the kernel
     * sets the flag and then looks at the ring again, so one of the two notices. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (call_polls(x, q) || xsk_ring_prod__needs_wakeup(&q->fill))
        (void)x->sys->wake_rx(q->fd); /* an error means that the interface is down or gone: receive idles */
}

uint32_t xw_xsk_refill(struct xw_xsk *x, struct xw_xsk_queue *q) {
    uint32_t n = x->rx_quota - q->held, idx;
    if (!n)
        return 0;
    uint32_t room = xsk_prod_nb_free(&q->fill, n < XW_RX_BURST_MAX ? n : XW_RX_BURST_MAX);
    if (n > room)
        n = room;
    if (!n || !xsk_ring_prod__reserve(&q->fill, n, &idx))
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = xw_frames_take(&x->frames, XW_FRAME_FILL);
        XW_ASSERT(id != XW_FRAME_NONE); /* the shares of all queues and of transmit sum to the pool */
        *xsk_ring_prod__fill_addr(&q->fill, idx + i) = (uint64_t)id << x->frame_shift;
    }
    xsk_ring_prod__submit(&q->fill, n);
    q->held += n;
    return n;
}

/* What the kernel may not do, but a wrong index must not lead us outside of the UMEM. */
static bool desc_ok(const struct xw_xsk *x, const struct xdp_desc *d) {
    uint64_t off = d->addr & (x->cfg.frame_len - 1);
    return off >= sizeof(struct xw_meta) && d->len && off + d->len <= x->cfg.frame_len;
}

static bool take_desc(struct xw_xsk *x, struct xw_xsk_queue *q, const struct xdp_desc *d, struct xw_pkt *p) {
    uint64_t id = d->addr >> x->frame_shift;
    if (XW_UNLIKELY(id >= x->frames.cnt)) {
        x->stats.rx_bad++;
        return false;
    }
    xw_frames_move(&x->frames, (uint32_t)id, XW_FRAME_FILL, XW_FRAME_RX);
    if (XW_UNLIKELY(d->options || !desc_ok(x, d))) { /* options: one of several buffers, which we never asked for */
        x->stats.rx_bad++;
        q->held--;
        xw_frames_put(&x->frames, (uint32_t)id, XW_FRAME_RX);
        return false;
    }
    xw_frames_move(&x->frames, (uint32_t)id, XW_FRAME_RX, XW_FRAME_STACK);
    *p = (struct xw_pkt){ .data = x->umem + d->addr, .len = d->len, .frame = (uint32_t)id, .queue = (uint16_t)q->id };
    if (x->cfg.meta_len)
        read_meta(x, p);
    x->stats.rx_bytes += d->len;
    return true;
}

static unsigned queue_burst(struct xw_xsk *x, struct xw_xsk_queue *q, struct xw_pkt *pkts, unsigned max) {
    uint32_t idx;
    uint32_t cnt = xsk_ring_cons__peek(&q->rx, max, &idx);
    if (!cnt) {
        if (!call_polls(x, q) && !xsk_ring_prod__needs_wakeup(&q->fill))
            return 0;
        wake_rx(x, q); /* with busy polling this call is what runs the driver */
        cnt = xsk_ring_cons__peek(&q->rx, max, &idx);
        if (!cnt)
            return 0;
    }
    if (XW_UNLIKELY(x->busy_poll && q->napi == XW_XSK_NAPI_UNKNOWN))
        note_napi(x, q);
    for (uint32_t i = 0; i < cnt; i++) {
        uint64_t addr = xsk_ring_cons__rx_desc(&q->rx, idx + i)->addr;
        if (XW_LIKELY(addr < x->umem_len && addr >= sizeof(struct xw_meta))) {
            __builtin_prefetch(x->umem + addr);
            __builtin_prefetch(x->umem + addr - sizeof(struct xw_meta));
        }
    }
    unsigned n = 0;
    for (uint32_t i = 0; i < cnt; i++)
        n += take_desc(x, q, xsk_ring_cons__rx_desc(&q->rx, idx + i), pkts + n);
    xsk_ring_cons__release(&q->rx, cnt);
    if (XW_UNLIKELY(n < cnt) && xw_xsk_refill(x, q))
        wake_rx(x, q);
    return n;
}

unsigned xw_xsk_rx_burst(struct xw_dev *d, struct xw_pkt *pkts, unsigned max) {
    struct xw_xsk *x = xw_xsk_of(d);
    XW_ASSERT(max <= XW_RX_BURST_MAX);
    XW_ASSERT(x->lent == 0); /* all of the last burst was returned */
    unsigned n = 0;
    uint32_t at = x->next_queue;
    /* Another queue begins each time, so that a full one does not keep the others waiting. */
    for (uint32_t i = 0; i < x->cfg.queue_cnt && n < max; i++) {
        n += queue_burst(x, &x->q[at], pkts + n, max - n);
        at = at + 1 < x->cfg.queue_cnt ? at + 1 : 0;
    }
    x->next_queue = x->next_queue + 1 < x->cfg.queue_cnt ? x->next_queue + 1 : 0;
    x->lent = n;
    x->stats.rx_frames += n;
    return n;
}

void xw_xsk_rx_release(struct xw_dev *d, const struct xw_pkt *pkts, unsigned cnt) {
    struct xw_xsk *x = xw_xsk_of(d);
    uint64_t touched = 0;
    _Static_assert(XW_QUEUES_MAX <= 64, "one bit a queue");
    XW_ASSERT(cnt <= x->lent);
    x->lent -= cnt;
    for (unsigned i = 0; i < cnt; i++) {
        uint32_t n = pkts[i].queue - x->cfg.queue_first;
        XW_ASSERT(n < x->cfg.queue_cnt);
        forget_meta(x, (uint64_t)(pkts[i].data - x->umem));
        xw_frames_put(&x->frames, pkts[i].frame, XW_FRAME_STACK);
        x->q[n].held--;
        touched |= 1ull << n;
    }
    while (touched) {
        struct xw_xsk_queue *q = &x->q[__builtin_ctzll(touched)];
        touched &= touched - 1;
        if (xw_xsk_refill(x, q) && XW_UNLIKELY(xsk_ring_prod__needs_wakeup(&q->fill)))
            wake_rx(x, q);
    }
}
