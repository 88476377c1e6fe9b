#include "xt_host.h"
#include "dev/pair.h"
#include <string.h>

const uint8_t XT_HOST_MAC[6] = { 2, 0, 0, 0, 0, 1 }, XT_HOST_CLIENT_MAC[6] = { 2, 0, 0, 0, 0, 2 };

static struct xw_net_cfg net_cfg(const uint8_t mac[6], uint32_t ip) {
    struct xw_net_cfg c = { .ip = ip, .mask = 0xffffff00u, .mtu = 1500 };
    memcpy(c.mac, mac, 6);
    return c;
}

static void host_make(struct xt_host *h) {
    struct xw_net_cfg net = net_cfg(XT_HOST_MAC, XT_HOST_IP);
    struct xw_tcp_cfg tcp;
    uint8_t seed[32] = { 99 };
    xw_rng_init(&h->rng, seed);
    h->net_mem = calloc(1, xw_net_size());
    XT_EQ(xw_net_init(h->net_mem, &net, &h->rng, h->drops, &h->net), XW_OK);
    xw_net_start(h->net, XW_NET_CLAIM_NONE, h->now);
    XT_EQ(xw_net_neigh_set(h->net, XT_HOST_CLIENT_IP, XT_HOST_CLIENT_MAC, h->now), XW_OK);
    xw_tcp_cfg_default(&tcp);
    tcp.max_conns = 4;
    tcp.max_listeners = 1;
    tcp.opts.time_wait_ns = XW_NS_PER_MS / 2; /* slots are few, and the link keeps no old segments */
    tcp.rng = &h->rng;
    tcp.drops = h->drops;
    size_t len = xw_tcp_stack_size(&tcp);
    h->tcp_mem = aligned_alloc(64, (len + 63) / 64 * 64);
    XT_EQ(xw_tcp_stack_init(h->tcp_mem, len, &tcp, &h->tcp), XW_OK);
    if (!h->cfg.deaf)
        XT_EQ(xw_tcp_listen(h->tcp, 0, XT_HOST_PORT, &h->listener), XW_OK);
    XT_EQ(xw_bytering_map(&h->rcv, 65536), XW_OK);
    XT_EQ(xw_bytering_map(&h->snd, 65536), XW_OK);
    h->assembly = xw_mspan(malloc(1 << 20), 1 << 20);
    h->ws_mem = aligned_alloc(64, (xw_ws_size() + 63) / 64 * 64);
}

struct xw_engine *xt_host_engine(struct xt_host *h, const struct xt_host_cfg *cfg) {
    *h = (struct xt_host){ .cfg = *cfg, .now = 1000 * XW_NS_PER_S };
    struct xw_engine_cfg ec = { .max_conns = cfg->max_conns ? cfg->max_conns : 4, .rcvbuf_len = 65536,
                                .sndbuf_len = 65536, .plain_len = 65536, .stamps = 1 };
    struct xw_net_cfg net = net_cfg(XT_HOST_CLIENT_MAC, XT_HOST_CLIENT_IP);
    ec.seed[0] = cfg->seed;
    XT_EQ(xw_pair_open(NULL, &h->mine, &h->theirs), XW_OK);
    if (cfg->faults)
        XT_EQ(xw_fault_open(h->theirs, cfg->faults, &h->theirs), XW_OK);
    XT_EQ(xw_engine_new(&ec, &h->e), XW_OK);
    XT_EQ(xw_engine_attach(h->e, h->theirs, &net), XW_OK);
    if (!cfg->no_neighbour)
        XT_EQ(xw_engine_neigh(h->e, XT_HOST_IP, XT_HOST_MAC), XW_OK);
    host_make(h);
    h->target = (struct xw_conn_cfg){
        .transport = XW_TRANSPORT_XDP, .proto = cfg->ws ? XW_PROTO_WS : XW_PROTO_RAW, .check_utf8 = 1,
        .tcp_no_delay = 1, .local_port = 40000, .remote_port = XT_HOST_PORT, .local_ip = XT_HOST_CLIENT_IP,
        .remote_ip = XT_HOST_IP, .ws_request = "/feed", .ws_host = "host", .max_message = 1 << 18, .user = 7,
    };
    return h->e;
}

struct xw_conn_cfg *xt_host_target(struct xt_host *h) { return &h->target; }

void xt_host_free(struct xt_host *h) {
    xw_engine_free(h->e);
    if (h->bs)
        h->bs->ops->close(h->bs);
    h->mine->ops->close(h->mine);
    xw_bytering_unmap(&h->rcv);
    xw_bytering_unmap(&h->snd);
    free(h->assembly.p);
    free(h->net_mem);
    free(h->tcp_mem);
    free(h->ws_mem);
}

static void receive(struct xt_host *h) {
    struct xw_pkt p[XW_RX_BURST_MAX];
    struct xw_net_rx rx;
    h->mine->ops->tick(h->mine, h->now);
    unsigned n = h->mine->ops->rx_burst(h->mine, p, XW_RX_BURST_MAX);
    for (unsigned i = 0; i < n; i++) {
        h->frames_in++;
        memcpy(h->last_dst, p[i].data, 6);
        memcpy(h->last_src, p[i].data + 6, 6);
        if (xw_net_input(h->net, xw_span(p[i].data, p[i].len), true, h->now, &rx) == XW_NET_TCP)
            xw_tcp_input(h->tcp, rx.tcp.src, rx.tcp.dst, rx.tcp.seg, true, NULL, h->now);
    }
    h->mine->ops->rx_release(h->mine, p, n);
}

static void transmit(struct xt_host *h) {
    struct xw_txbuf b;
    struct xw_tcp_seg g;
    struct xw_net_ip ip = { .proto = 6, .ttl = 64, .df = true };
    while (!h->mine->ops->tx_reserve(h->mine, &b)) {
        if (!xw_tcp_output(h->tcp, h->now, &g)) {
            h->mine->ops->tx_cancel(h->mine, &b);
            break;
        }
        struct xw_net_hop hop = { 0 };
        XT_TRUE(xw_net_route(h->net, g.tuple.remote_ip, &hop) >= 0);
        int head = xw_net_eth_ip(h->net, &hop, xw_mspan(b.data, b.cap), xw_tcp_seg_len(&g), &ip, h->now);
        XT_TRUE(head > 0);
        uint32_t len = xw_tcp_seg_emit(&g, xw_mspan(b.data + head, b.cap - (size_t)head));
        h->mine->ops->tx_submit(h->mine, &b, (uint32_t)head + len);
    }
    h->mine->ops->tx_flush(h->mine);
}

static void ws_start(struct xt_host *h) {
    struct xw_ws_cfg ws = { .role = XW_WS_SERVER, .bs = h->bs, .rng = &h->rng, .max_message = h->assembly.len,
                            .check_utf8 = true, .assembly = h->assembly };
    h->ws = h->ws_mem;
    XT_EQ(xw_ws_init(h->ws, &ws), XW_OK);
}

static void serve_ws(struct xt_host *h) {
    struct xw_ws_event ev[8];
    xw_ws_release(h->ws);
    unsigned n = (unsigned)xw_ws_poll(h->ws, h->now, ev, 8);
    for (unsigned i = 0; i < n; i++) {
        if (ev[i].type == XW_WS_MESSAGE)
            XT_EQ(xw_ws_send(h->ws, ev[i].opcode, ev[i].data.p, ev[i].data.len), ev[i].data.len);
        if (ev[i].type == XW_WS_ENDED) {
            h->bs->ops->close(h->bs);
            h->bs = NULL;
            h->ws = NULL;
            return;
        }
    }
}

static void serve_raw(struct xt_host *h) {
    struct xw_bs_status st;
    struct xw_span in;
    struct xw_mspan out;
    while ((in = h->bs->ops->peek(h->bs)).len && (out = h->bs->ops->reserve(h->bs)).len) {
        size_t n = in.len < out.len ? in.len : out.len;
        memcpy(out.p, in.p, n);
        h->bs->ops->commit(h->bs, n);
        h->bs->ops->consume(h->bs, n);
    }
    h->bs->ops->status(h->bs, &st);
    if (st.rx_eof && !st.tx_shut)
        h->bs->ops->shutdown_wr(h->bs);
}

static void serve(struct xt_host *h) {
    if (!h->bs && h->listener && xw_tcp_accept(h->listener, &h->rcv, &h->snd, 1500, NULL, h->now, &h->conn) == XW_OK) {
        XT_EQ(xw_bs_tcp_new(h->conn, h->now, &h->bs), XW_OK);
        if (h->cfg.ws)
            ws_start(h);
    }
    if (!h->bs)
        return;
    h->bs->ops->poll(h->bs, h->now);
    if (h->cfg.serve)
        h->cfg.serve(h, h->cfg.serve_arg);
    else if (h->ws)
        serve_ws(h);
    else
        serve_raw(h);
    if (h->bs)
        h->bs->ops->poll(h->bs, h->now);
}

int xt_host_round(struct xt_host *h) {
    uint32_t what;
    h->ev_cnt = xw_poll(h->e, h->now, h->ev, 64);
    XT_TRUE(h->ev_cnt >= 0);
    receive(h);
    xw_tcp_tick(h->tcp, h->now);
    while (xw_tcp_changed(h->tcp, &what)) {
    }
    serve(h);
    transmit(h);
    h->now += XT_HOST_STEP;
    return h->ev_cnt;
}

const struct xw_event *xt_host_run(struct xt_host *h, enum xw_event_type type, unsigned rounds) {
    for (unsigned r = 0; r < rounds; r++) {
        xt_host_round(h);
        for (int i = 0; i < h->ev_cnt; i++)
            if (h->ev[i].type == type)
                return &h->ev[i];
    }
    XT_FAIL("no event of type %d in %u rounds", type, rounds);
}

void xt_host_quiet(struct xt_host *h, unsigned rounds) {
    for (unsigned r = 0; r < rounds; r++)
        XT_EQ(xt_host_round(h), 0);
}
