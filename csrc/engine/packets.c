/* engine/packets.c: device ↔ network layer ↔ TCP. */
#include "engine/engine.h"
#include "stack/icmp_route.h"

void xw_packets_receive(struct xw_engine *e, uint64_t now_ns) {
    struct xw_pkt pkts[XW_RX_BURST_MAX];
    struct xw_net_rx rx;
    e->dev->ops->tick(e->dev, now_ns);
    unsigned n = e->dev->ops->rx_burst(e->dev, pkts, XW_RX_BURST_MAX);
    if (!n)
        return;
    struct xw_rxstamp stamp = { .ring_ns = e->clock ? e->clock(e->clock_arg) : now_ns };
    for (unsigned i = 0; i < n; i++) {
        const struct xw_pkt *p = &pkts[i];
        stamp.hw_ns = p->hw_ns;
        stamp.kern_ns = p->xdp_ns;
        stamp.valid = XW_RXS_RING | (p->valid & XW_PKT_HW ? XW_RXS_HW : 0) | (p->valid & XW_PKT_XDP ? XW_RXS_KERN : 0);
        switch (xw_net_input(e->net, xw_span(p->data, p->len), true, now_ns, &rx)) {
        case XW_NET_TCP:
            xw_tcp_input(e->tcp, rx.tcp.src, rx.tcp.dst, rx.tcp.seg, !(p->valid & XW_PKT_CSUM), &stamp, now_ns);
            break;
        case XW_NET_ICMP_ERROR: xw_icmp_route(e->tcp, e->net, &rx.icmp, now_ns); break;
        case XW_NET_CONSUMED:
        case XW_NET_DROPPED: break;
        }
    }
    e->dev->ops->rx_release(e->dev, pkts, n);
    e->tx_pending = true;
}

/* One frame from the device, or none: what is to be sent waits where it is. */
static bool frame_get(struct xw_engine *e, struct xw_txbuf *b) {
    if (!e->dev->ops->tx_reserve(e->dev, b))
        return true;
    e->dev->ops->tx_flush(e->dev); /* completions may free one */
    return !e->dev->ops->tx_reserve(e->dev, b);
}

/* Writes one segment with its headers into b. Length of the frame, or a negative code of xw_net_eth_ip. */
static int segment_write(struct xw_engine *e, const struct xw_tcp_seg *g, struct xw_txbuf *b, uint64_t now_ns) {
    struct xw_conn *c = g->conn ? xw_tcp_user(g->conn) : NULL;
    struct xw_net_hop lone = { 0 }, *hop = c ? &c->hop : &lone;
    struct xw_net_ip ip = { .proto = 6, .tos = g->tos, .ttl = 64, .df = g->df };
    struct xw_mspan room = xw_mspan(b->data, b->cap);
    size_t head = xw_net_header_len(e->net), len = xw_tcp_seg_len(g);
    int rc = xw_net_route(e->net, g->tuple.remote_ip, hop);
    bool made = rc == 1; /* its path MTU may be another one than the connection knows */
    if (rc >= 0)
        rc = xw_net_eth_ip(e->net, hop, room, len, &ip, now_ns);
    if (rc < 0)
        return rc;
    xw_tcp_seg_emit(g, xw_mspan(b->data + head, b->cap - head));
    if (made && c)
        xw_tcp_set_mtu(g->conn, hop->mtu, now_ns);
    return (int)(head + len);
}

/* A SYN whose next hop is not resolved yet is held and tried again; anything else is lost and TCP's timer mends it. */
static void segment_refused(struct xw_engine *e, const struct xw_tcp_seg *g, int rc) {
    struct xw_conn *c = g->conn ? xw_tcp_user(g->conn) : NULL;
    if (!c || c->opened)
        return;
    if (rc == XW_EAGAIN) {
        if (&c->held != g)
            c->held = *g;
        c->holding = e->any_held = true;
    } else if (rc == XW_EUNREACH || rc == XW_EADDRINUSE) {
        c->holding = false;
        c->net_error = rc;
        xw_engine_work(e, c);
    }
}

static bool segment_send(struct xw_engine *e, const struct xw_tcp_seg *g, struct xw_txbuf *b, uint64_t now_ns) {
    int len = segment_write(e, g, b, now_ns);
    if (len < 0) {
        e->dev->ops->tx_cancel(e->dev, b);
        segment_refused(e, g, len);
        return false;
    }
    e->dev->ops->tx_submit(e->dev, b, (uint32_t)len);
    return true;
}

static void held_send(struct xw_engine *e, uint64_t now_ns) {
    struct xw_txbuf b;
    e->any_held = false;
    for (uint32_t i = 0; i < e->cfg.max_conns; i++) {
        struct xw_conn *c = &e->conns[i];
        if (!c->holding || c->phase != CONN_LIVE)
            continue;
        c->holding = !frame_get(e, &b) || !segment_send(e, &c->held, &b, now_ns);
        e->any_held |= c->holding && !c->net_error;
    }
}

void xw_packets_transmit(struct xw_engine *e, uint64_t now_ns) {
    struct xw_txbuf b;
    struct xw_tcp_seg g;
    bool starved = false;
    while (xw_net_pending(e->net)) {
        if (!frame_get(e, &b))
            break;
        size_t len = xw_net_output(e->net, xw_mspan(b.data, b.cap), now_ns);
        if (!len) {
            e->dev->ops->tx_cancel(e->dev, &b);
            break;
        }
        e->dev->ops->tx_submit(e->dev, &b, (uint32_t)len);
    }
    if (e->any_held)
        held_send(e, now_ns);
    while (xw_tcp_pending(e->tcp)) {
        if (!frame_get(e, &b)) {
            e->drops[XW_DROP_TX_NO_FRAME]++;
            starved = true;
            break;
        }
        if (!xw_tcp_output(e->tcp, now_ns, &g)) {
            e->dev->ops->tx_cancel(e->dev, &b);
            break;
        }
        segment_send(e, &g, &b, now_ns);
    }
    e->dev->ops->tx_flush(e->dev);
    /* Without a frame, or with a full send buffer, trying at once would spin: the device's deadline says when. */
    e->tx_pending = !starved && (xw_tcp_pending(e->tcp) || xw_net_pending(e->net));
}
