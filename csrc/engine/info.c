/* engine/info.c: figures of connections and engines. */
#include "engine/engine.h"
#include <string.h>

void xw_conn_info_fill(const struct xw_conn *c, struct xw_conn_info *out) {
    memset(out, 0, sizeof *out);
    out->transport = c->transport;
    if (c->tcp) {
        xw_tcp_info(c->tcp, out);
        out->local_port = xw_tcp_tuple(c->tcp)->local_port;
        out->local_ip = xw_tcp_tuple(c->tcp)->local_ip;
    } else {
        xw_bs_sock_info(c->lower, out);
    }
    if (c->top != c->lower)
        xw_tls_info(c->top, out);
}

int xw_conn_info(struct xw_engine *e, uint32_t id, struct xw_conn_info *out) {
    struct xw_conn *c = &e->conns[id & 0xffffu];
    if ((id & 0xffffu) >= e->cfg.max_conns || c->id != id || c->phase == CONN_FREE)
        return XW_ENOCONN;
    xw_conn_info_fill(c, out);
    return XW_OK;
}

int xw_engine_stats(struct xw_engine *e, struct xw_engine_stats *out) {
    memset(out, 0, sizeof *out);
    out->polls = e->polls;
    out->events = e->events;
    if (!e->dev)
        return XW_OK;
    struct xw_dev_stats d = { 0 };
    struct xw_dev_caps caps;
    e->dev->ops->stats(e->dev, &d);
    e->dev->ops->caps(e->dev, &caps);
    out->rx_frames = d.rx_frames;
    out->rx_bytes = d.rx_bytes;
    out->tx_frames = d.tx_frames;
    out->tx_bytes = d.tx_bytes;
    out->tx_kicks = d.tx_kicks;
    out->k_rx_dropped = d.k_rx_dropped;
    out->k_rx_invalid = d.k_rx_invalid;
    out->k_tx_invalid = d.k_tx_invalid;
    out->k_rx_ring_full = d.k_rx_ring_full;
    out->k_fill_empty = d.k_fill_empty;
    out->k_tx_empty = d.k_tx_empty;
    out->zero_copy = caps.zero_copy;
    return XW_OK;
}

uint32_t xw_engine_suspects(const struct xw_engine *e) { return e->suspects; }

int xw_engine_drops(struct xw_engine *e, uint64_t *out, uint32_t max) {
    for (uint32_t i = 0; i < max && i < XW_DROP_COUNT; i++)
        out[i] = e->drops[i];
    return XW_DROP_COUNT;
}
