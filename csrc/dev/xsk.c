/* dev/xsk.c: the AF_XDP device as the rest of the core sees it: the table of operations, what it can do, its
 * counters. */
#include "dev/xsk_priv.h"
#include "base/err.h"
#include "base/limits.h"
#include <string.h>

static void xsk_caps(const struct xw_dev *d, struct xw_dev_caps *out) {
    const struct xw_xsk *x = xw_xsk_of_const(d);
    *out = (struct xw_dev_caps){ .mtu = x->cfg.mtu, .queues = (uint16_t)x->cfg.queue_cnt, .zero_copy = x->zero_copy,
                                 .kind = "xsk" };
}

static int xsk_stats(struct xw_dev *d, struct xw_dev_stats *out) {
    struct xw_xsk *x = xw_xsk_of(d);
    int rc = XW_OK;
    *out = x->stats;
    for (uint32_t i = 0; i < x->cfg.queue_cnt; i++) {
        struct xdp_statistics k = { 0 };
        socklen_t len = sizeof k;
        if (x->sys->getsockopt(x->q[i].fd, SOL_XDP, XDP_STATISTICS, &k, &len)) {
            rc = XW_ESYS;
            continue;
        }
        out->k_rx_dropped += k.rx_dropped;
        out->k_rx_invalid += k.rx_invalid_descs;
        out->k_tx_invalid += k.tx_invalid_descs;
        out->k_rx_ring_full += k.rx_ring_full;
        out->k_fill_empty += k.rx_fill_ring_empty_descs;
        out->k_tx_empty += k.tx_ring_empty_descs;
    }
    return rc;
}

static int xsk_fd(const struct xw_dev *d, unsigned n) {
    const struct xw_xsk *x = xw_xsk_of_const(d);
    return n < x->cfg.queue_cnt ? x->q[n].fd : -1;
}

static void xsk_tick(struct xw_dev *d, uint64_t now_ns) { xw_xsk_of(d)->now_ns = now_ns; }

const struct xw_dev_ops xw_xsk_ops = {
    .rx_burst = xw_xsk_rx_burst,
    .rx_release = xw_xsk_rx_release,
    .tx_reserve = xw_xsk_tx_reserve,
    .tx_submit = xw_xsk_tx_submit,
    .tx_cancel = xw_xsk_tx_cancel,
    .tx_flush = xw_xsk_tx_flush,
    .deadline = xw_xsk_deadline,
    .caps = xsk_caps,
    .stats = xsk_stats,
    .fd = xsk_fd,
    .tick = xsk_tick,
    .close = xw_xsk_close,
};

int xw_xsk_fd(const struct xw_dev *d, uint32_t queue) {
    if (!d || d->ops != &xw_xsk_ops)
        return -1;
    const struct xw_xsk *x = xw_xsk_of_const(d);
    return queue < x->cfg.queue_first ? -1 : xsk_fd(d, queue - x->cfg.queue_first);
}

int xw_xsk_phc(struct xw_dev *d, const struct xw_phc_line *line) {
    if (!d || d->ops != &xw_xsk_ops || line->span_ns > 2 * XW_NS_PER_S)
        return XW_EINVAL;
    xw_xsk_of(d)->phc = *line;
    return XW_OK;
}

int xw_xsk_huge_pages(const struct xw_dev *d) { return d && d->ops == &xw_xsk_ops && xw_xsk_of_const(d)->huge; }
int xw_xsk_busy_poll(const struct xw_dev *d) { return d && d->ops == &xw_xsk_ops && xw_xsk_of_const(d)->busy_poll; }

uint32_t xw_xsk_frames(const struct xw_dev *d, uint32_t out[XW_FRAME_STATES]) {
    memset(out, 0, XW_FRAME_STATES * sizeof *out);
    return d && d->ops == &xw_xsk_ops ? xw_frames_counts(&xw_xsk_of_const(d)->frames, out) : 0;
}
