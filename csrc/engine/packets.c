/* engine/packets.c: device ↔ network layer ↔ TCP. */
#include "engine/express.h"
#include "stack/icmp_route.h"

/* A frame by the long way. What TCP took shows what the next of its flow look like. */
static void frame_in(struct xw_engine *e, const struct xw_pkt *p, const struct xw_rxstamp *stamp, uint64_t now_ns) {
    struct xw_net_rx rx;
    struct xw_span frame = xw_span(p->data, p->len);
    switch (xw_net_input(e->net, frame, true, now_ns, &rx)) {
    case XW_NET_TCP:
        if (xw_tcp_input(e->tcp, rx.tcp.src, rx.tcp.dst, rx.tcp.seg, !(p->valid & XW_PKT_CSUM), stamp, now_ns) ||
            !e->express || p->len < XW_FLOW_SEEN || xw_flow_find(&e->flows, p->data))
            break;
        const struct xw_tcp *t = xw_tcp_fast_conn(e->tcp, rx.tcp.src, rx.tcp.dst, rx.tcp.seg);
        struct xw_conn *c = t ? xw_tcp_user(t) : NULL;
        if (c)
            xw_flow_learn(&e->flows, frame, c, c->id);
        break;
    case XW_NET_ICMP_ERROR:
        xw_icmp_route(e->tcp, e->net, &rx.icmp, now_ns);
        break;
    case XW_NET_CONSUMED:
    case XW_NET_DROPPED:
        break;
    }
}

static bool burst_get(struct xw_engine *e, uint64_t now_ns) {
    e->dev->ops->tick(e->dev, now_ns);
    e->burst_at = 0;
    e->burst_cnt = e->dev->ops->rx_burst(e->dev, e->burst, XW_RX_BURST_MAX);
    if (!e->burst_cnt)
        return false;
    e->burst_stamp.ring_ns = xw_engine_clock_ns(e);
    for (uint32_t i = 0; i < 2 && i < e->burst_cnt; i++)
        xw_express_lookup(e, i);
    e->tx_pending = true;
    return true;
}

unsigned xw_packets_receive(struct xw_engine *e, uint64_t now_ns, struct xw_event *ev, unsigned max) {
    if (e->burst_at == e->burst_cnt && !burst_get(e, now_ns))
        return 0;
    struct xw_rxstamp *s = &e->burst_stamp;
    bool express = e->express && xw_net_addr_state(e->net) == XW_NET_ADDR_OK;
    unsigned n = 0;
    for (; e->burst_at < e->burst_cnt && n < max; e->burst_at++) {
        const struct xw_pkt *p = &e->burst[e->burst_at];
        unsigned got = 0;
        if (e->burst_at + 2 < e->burst_cnt)
            xw_express_lookup(e, e->burst_at + 2);
        if (e->open_cnt >= XW_EXPRESS_FETCH && e->burst_at + 1 < e->burst_cnt)
            xw_express_fetch(e, e->burst_at + 1);
        _Static_assert(XW_PKT_HW == XW_RXS_HW && XW_PKT_XDP == XW_RXS_KERN, "the same bits");
        s->hw_ns = p->hw_ns;
        s->kern_ns = p->xdp_ns;
        s->valid = XW_RXS_RING | (p->valid & (XW_PKT_HW | XW_PKT_XDP));
        if (XW_LIKELY(express && xw_express_frame(e, p, e->burst_flow[e->burst_at], s, now_ns, ev + n, max - n, &got))) {
            e->express_hits++;
        } else {
            e->express_misses++;
            frame_in(e, p, s, now_ns);
        }
        n += got;
    }
    if (e->burst_at == e->burst_cnt)
        xw_packets_drop(e);
    return n;
}

void xw_packets_drop(struct xw_engine *e) {
    if (e->burst_cnt)
        e->dev->ops->rx_release(e->dev, e->burst, e->burst_cnt);
    e->burst_at = e->burst_cnt = 0;
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
    struct xw_net_ip ip = { .proto = 6, .tos = g->tos, .ttl = g->ttl, .df = g->df };
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

/* The segment of the connection whose turn it is, when tcp/fast.h serves: written where it leaves. False: look by the long
 * way. */
static bool straight_out(struct xw_engine *e, uint64_t now_ns) {
    struct xw_tcp *t = xw_tcp_fast_turn(e->tcp);
    struct xw_conn *c = t ? xw_tcp_user(t) : NULL;
    uint32_t len = c && e->express ? xw_tcp_fast_len(t) : 0;
    struct xw_txbuf b;
    if (!len || xw_net_route(e->net, c->hop.dst, &c->hop) || !frame_get(e, &b))
        return false;
    const struct xw_tcp_opts *o = xw_tcp_opts(t);
    struct xw_net_ip ip = { .proto = 6, .tos = o->tos, .ttl = o->ttl, .df = true };
    int head = xw_net_eth_ip(e->net, &c->hop, xw_mspan(b.data, b.cap), len, &ip, now_ns);
    if (head < 0) {
        e->dev->ops->tx_cancel(e->dev, &b);
        return false;
    }
    xw_tcp_fast_emit(t, now_ns, b.data + head);
    e->dev->ops->tx_submit(e->dev, &b, (uint32_t)head + len);
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

/* What the network layer has to send by itself. */
static void net_out(struct xw_engine *e, uint64_t now_ns) {
    struct xw_txbuf b;
    while (frame_get(e, &b)) {
        size_t len = xw_net_output(e->net, xw_mspan(b.data, b.cap), now_ns);
        if (!len) {
            e->dev->ops->tx_cancel(e->dev, &b);
            return;
        }
        e->dev->ops->tx_submit(e->dev, &b, (uint32_t)len);
    }
}

/* Segments by the long way. True: there was no frame for the next. */
static bool tcp_out(struct xw_engine *e, uint64_t now_ns) {
    struct xw_txbuf b;
    struct xw_tcp_seg g;
    while (xw_tcp_pending(e->tcp)) {
        if (!frame_get(e, &b)) {
            e->drops[XW_DROP_TX_NO_FRAME]++;
            return true;
        }
        if (!xw_tcp_output(e->tcp, now_ns, &g)) {
            e->dev->ops->tx_cancel(e->dev, &b);
            return false;
        }
        segment_send(e, &g, &b, now_ns);
    }
    return false;
}

void xw_packets_transmit(struct xw_engine *e, uint64_t now_ns) {
    if (xw_net_pending(e->net))
        net_out(e, now_ns);
    if (e->any_held)
        held_send(e, now_ns);
    while (straight_out(e, now_ns)) {
    }
    bool starved = tcp_out(e, now_ns);
    e->dev->ops->tx_flush(e->dev);
    /* Without a frame, or with a full send buffer, trying at once would spin: the device's deadline says when. */
    e->tx_pending = !starved && (xw_tcp_pending(e->tcp) || xw_net_pending(e->net));
}
