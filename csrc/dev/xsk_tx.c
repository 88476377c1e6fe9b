/* dev/xsk_tx.c: transmit, by the first queue's socket: reserve, submit, flush; completions; the watchdog.
 *
 * In copy mode the kernel sends only inside our sendto(): at most 32 descriptors a call, then EAGAIN. It also says
 * EAGAIN when the completion ring or the socket's send buffer is full, and EBUSY when the link dropped a frame,
 * which is then consumed and completed: it must not be queued again, but those behind it need another call.
 *
 * Barriers are in libxdp's inline functions; partners are in net/xdp/xsk_queue.h: TX submit (release of producer)
 * with xskq_cons_peek_desc (acquire): descriptor and frame are written before the index. COMPLETION peek (acquire of
 * producer) with xskq_prod_submit_addr (release): the kernel no longer reads the frame. COMPLETION release (release
 * of consumer) with xskq_prod_reserve: the address is read before the slot is used again. */
#include "dev/xsk_priv.h"
#include "base/err.h"
#include <errno.h>

static void completed(struct xw_xsk *x) {
    struct xw_xsk_queue *q = &x->q[0];
    uint32_t idx, n;
    while ((n = xsk_ring_cons__peek(&q->comp, x->cfg.tx_len, &idx)) != 0) {
        for (uint32_t i = 0; i < n; i++) {
            uint64_t id = *xsk_ring_cons__comp_addr(&q->comp, idx + i) >> x->frame_shift;
            if (XW_UNLIKELY(id >= x->frames.cnt)) {
                x->stats.rx_bad++;
                continue;
            }
            xw_frames_move(&x->frames, (uint32_t)id, XW_FRAME_TX, XW_FRAME_DONE);
            xw_frames_put(&x->frames, (uint32_t)id, XW_FRAME_DONE);
            x->tx_held--;
        }
        xsk_ring_cons__release(&q->comp, n);
        x->progress_ns = x->now_ns;
        x->watchdog_ns = XW_XSK_WATCHDOG_NS;
    }
}

int xw_xsk_tx_reserve(struct xw_dev *d, struct xw_txbuf *out) {
    struct xw_xsk *x = xw_xsk_of(d);
    if (XW_UNLIKELY(x->tx_held >= x->tx_quota)) {
        completed(x);
        if (x->tx_held >= x->tx_quota) {
            x->stats.tx_no_frame++;
            return XW_EAGAIN;
        }
    }
    if (XW_UNLIKELY(xsk_prod_nb_free(&x->q[0].tx, x->tx_reserved + 1) < x->tx_reserved + 1)) {
        x->stats.tx_ring_full++;
        return XW_EAGAIN;
    }
    uint32_t id = xw_frames_take(&x->frames, XW_FRAME_STACK);
    XW_ASSERT(id != XW_FRAME_NONE); /* transmit has a share of its own */
    x->tx_held++;
    x->tx_reserved++;
    *out = (struct xw_txbuf){ .data = xw_frames_at(&x->frames, id) + XW_XSK_DATA_OFF,
                              .cap = x->cfg.frame_len - XW_XSK_DATA_OFF, .frame = id };
    return XW_OK;
}

void xw_xsk_tx_submit(struct xw_dev *d, const struct xw_txbuf *b, uint32_t len) {
    struct xw_xsk *x = xw_xsk_of(d);
    uint32_t idx = 0;
    XW_ASSERT(len && len <= b->cap && x->tx_reserved);
    uint32_t got = xsk_ring_prod__reserve(&x->q[0].tx, 1, &idx);
    XW_ASSERT(got == 1); /* tx_reserve made sure */
    (void)got;
    xw_frames_move(&x->frames, b->frame, XW_FRAME_STACK, XW_FRAME_TX);
    *xsk_ring_prod__tx_desc(&x->q[0].tx, idx) = (struct xdp_desc){
        .addr = ((uint64_t)b->frame << x->frame_shift) + XW_XSK_DATA_OFF, .len = len };
    x->tx_reserved--;
    x->tx_staged++;
    x->stats.tx_frames++;
    x->stats.tx_bytes += len;
}

void xw_xsk_tx_cancel(struct xw_dev *d, const struct xw_txbuf *b) {
    struct xw_xsk *x = xw_xsk_of(d);
    XW_ASSERT(x->tx_reserved);
    xw_frames_put(&x->frames, b->frame, XW_FRAME_STACK);
    x->tx_reserved--;
    x->tx_held--;
}

/* Descriptors that were shown to the kernel and not yet taken by it. */
static uint32_t untaken(const struct xsk_ring_prod *tx) {
    return *tx->producer - __atomic_load_n(tx->consumer, __ATOMIC_ACQUIRE);
}

static bool overdue(const struct xw_xsk *x) {
    return x->frames.held[XW_FRAME_TX] && x->now_ns >= x->progress_ns + x->watchdog_ns;
}

/* One sendto and what its errno means: 0 (nothing more to do), XW_EAGAIN (call again now), XW_ENOSPC (call again
 * later), XW_ESYS. */
static int kick(struct xw_xsk *x) {
    struct xw_xsk_queue *q = &x->q[0];
    uint32_t before = untaken(&q->tx), held = x->tx_held;
    x->stats.tx_kicks++;
    int err = x->sys->wake_tx(q->fd) < 0 ? errno : 0;
    completed(x);
    uint32_t left = untaken(&q->tx);
    bool moved = left < before || x->tx_held < held;
    switch (err) {
    case 0:
        /* In zero-copy mode the driver takes them when it can; in copy mode all that could be taken was. */
        return x->zero_copy || !left ? XW_OK : moved ? XW_EAGAIN : XW_ENOSPC;
    case EBUSY:
        x->stats.tx_dropped++;
        return left ? XW_EAGAIN : XW_OK;
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
        return !left ? XW_OK : moved ? XW_EAGAIN : XW_ENOSPC;
    case EINTR:
        return XW_EAGAIN;
    default: /* ENETDOWN: down; ENXIO: the interface is gone, or its queue */
        errno = err;
        return XW_ESYS;
    }
}

int xw_xsk_tx_flush(struct xw_dev *d) {
    struct xw_xsk *x = xw_xsk_of(d);
    struct xsk_ring_prod *tx = &x->q[0].tx;
    completed(x);
    if (x->tx_staged) {
        if (x->frames.held[XW_FRAME_TX] == x->tx_staged) { /* nothing else is on its way: the watchdog begins now */
            x->progress_ns = x->now_ns;
            x->watchdog_ns = XW_XSK_WATCHDOG_NS;
        }
        xsk_ring_prod__submit(tx, x->tx_staged);
        x->tx_staged = 0;
    }
    bool late = overdue(x);
    if (late) {
        x->progress_ns = x->now_ns;
        x->watchdog_ns = x->watchdog_ns * 2 < XW_XSK_WATCHDOG_MAX_NS ? x->watchdog_ns * 2 : XW_XSK_WATCHDOG_MAX_NS;
    }
    if (!late) {
        if (!untaken(tx))
            return XW_OK;
        /* The producer is visible before the flag is read; the kernel sets it before its last look at the ring. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (!x->busy_poll && !xsk_ring_prod__needs_wakeup(tx))
            return XW_OK;
    }
    int rc = XW_EAGAIN;
    for (uint32_t tries = x->cfg.tx_len / XW_XSK_KICK_BATCH + 4; rc == XW_EAGAIN && tries; tries--)
        rc = kick(x);
    return rc == XW_ENOSPC ? XW_EAGAIN : rc;
}

uint64_t xw_xsk_deadline(const struct xw_dev *d) {
    const struct xw_xsk *x = xw_xsk_of_const(d);
    return x->frames.held[XW_FRAME_TX] ? x->progress_ns + x->watchdog_ns : XW_NEVER;
}
