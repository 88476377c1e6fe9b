/* stack/stack.c: memory, packets and time of the stack in a box (xw_stack.h). Not here: IPv6, reassembly, more than one
 * address or interface; with IP packets (no ethernet) echo requests are not answered. */
#include "stack/stack_priv.h"
#include "stack/icmp_route.h"
#include "wire/ip4.h"
#include <string.h>

void xw_stack_cfg_default(struct xw_stack_cfg *cfg) {
    *cfg = (struct xw_stack_cfg){ .mtu = 1500, .max_sockets = 64, .max_listeners = 8, .rcvbuf_max = 65536,
                                  .sndbuf_max = 65536, .tx_segments = 256, .challenge_per_s = 10,
                                  .fin_wait2_ns = 60 * XW_NS_PER_S };
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static bool pow2_in(uint32_t v, uint32_t lo, uint32_t hi) { return v >= lo && v <= hi && !(v & (v - 1)); }

static bool cfg_valid(const struct xw_stack_cfg *c) {
    return c->max_sockets && c->max_sockets <= XW_CONNS_MAX && c->mtu >= XW_MTU_MIN && c->mtu <= XW_MTU_MAX &&
           pow2_in(c->rcvbuf_max, 1024, 1u << 30) && pow2_in(c->sndbuf_max, 1024, 1u << 30) &&
           pow2_in(c->tx_segments, 32, 4096) && c->max_listeners <= 64 && c->claim <= XW_STACK_CLAIM_RFC;
}

/* Connections in TIME-WAIT have no socket any more, so there are more of these. */
static struct xw_tcp_cfg tcp_cfg(const struct xw_stack_cfg *c, struct xw_rng *rng, uint64_t *drops) {
    struct xw_tcp_cfg t;
    xw_tcp_cfg_default(&t);
    t.max_conns = c->max_sockets * 2 < XW_CONNS_MAX ? c->max_sockets * 2 : XW_CONNS_MAX;
    t.max_listeners = c->max_listeners;
    t.tx_records = c->tx_segments;
    t.stamp_marks = 0;
    t.challenge_per_s = c->challenge_per_s;
    t.fixed_isn = c->fixed_isn;
    t.isn = c->isn;
    t.rst_unknown = !c->no_rst;
    t.rng = rng;
    t.drops = drops;
    return t;
}

static size_t align(size_t n) { return (n + 63) & ~(size_t)63; }

struct layout { size_t net, tcp, sock, fd, buffers, end, tcp_len; };

static bool lay_out(const struct xw_stack_cfg *c, struct layout *l) {
    struct xw_rng rng;
    uint64_t drops;
    if (!cfg_valid(c))
        return false;
    struct xw_tcp_cfg t = tcp_cfg(c, &rng, &drops);
    l->tcp_len = xw_tcp_stack_size(&t);
    l->net = align(sizeof(struct xw_stack));
    l->tcp = l->net + align(xw_net_size());
    l->sock = l->tcp + align(l->tcp_len);
    l->fd = l->sock + align(sizeof(struct xw_sock) * c->max_sockets);
    l->buffers = l->fd + align(sizeof(uint32_t) * c->max_sockets);
    l->end = l->buffers + ((size_t)c->rcvbuf_max + c->sndbuf_max) * c->max_sockets;
    return l->tcp_len > 0;
}

size_t xw_stack_size(const struct xw_stack_cfg *cfg) {
    struct layout l;
    return lay_out(cfg, &l) ? l.end : 0;
}

/* IP packets have no neighbours: the network layer then stays out of ARP and knows one route to everywhere. */
static int net_make(struct xw_stack *s, void *mem, uint64_t now) {
    static const uint8_t any_mac[6] = { 2, 0, 0, 0, 0, 1 };
    const struct xw_stack_cfg *c = &s->cfg;
    struct xw_net_cfg n = { .dedicated = c->ethernet, .ip = c->ip, .mask = c->mask, .mtu = c->mtu };
    memcpy(n.mac, c->ethernet ? c->mac : any_mac, 6);
    int rc = xw_net_init(mem, &n, &s->rng, s->drops, &s->net);
    if (rc == XW_OK && (c->gateway || !c->ethernet))
        rc = xw_net_route_add(s->net, 0, 0, c->ethernet ? c->gateway : 0, 0);
    if (rc == XW_OK)
        xw_net_start(s->net, c->ethernet ? (enum xw_net_claim)c->claim : XW_NET_CLAIM_NONE, now);
    return rc;
}

int xw_stack_create(void *mem, size_t len, const struct xw_stack_cfg *cfg, uint64_t now_ns, struct xw_stack **out) {
    struct layout l;
    uint8_t *base = mem;
    if (!lay_out(cfg, &l) || !mem || (uintptr_t)mem % 16 || len < l.end)
        return XW_STACK_EINVAL;
    struct xw_stack *s = mem;
    memset(s, 0, sizeof *s);
    s->cfg = *cfg;
    s->control_len = l.buffers;
    s->sock = (struct xw_sock *)(void *)(base + l.sock);
    s->fd = (uint32_t *)(void *)(base + l.fd);
    s->buffers = base + l.buffers;
    memset(s->sock, 0, sizeof *s->sock * cfg->max_sockets);
    memset(s->fd, 0, sizeof *s->fd * cfg->max_sockets);
    xw_rng_init(&s->rng, cfg->seed);
    memset(s->cfg.seed, 0, sizeof s->cfg.seed);
    struct xw_tcp_cfg t = tcp_cfg(cfg, &s->rng, s->drops);
    if (net_make(s, base + l.net, now_ns) != XW_OK ||
        xw_tcp_stack_init(base + l.tcp, l.tcp_len, &t, &s->tcp) != XW_OK)
        return XW_STACK_EINVAL;
    *out = s;
    return XW_STACK_OK;
}

void xw_stack_destroy(struct xw_stack *s) { memset(s, 0, s->control_len); }

/* ---- in ---------------------------------------------------------------------------------------------------------- */

int xw_stack_input(struct xw_stack *s, const void *pkt, size_t len, uint64_t now_ns) {
    struct xw_net_rx rx;
    struct xw_span p = xw_span(pkt, len);
    bool verify = !s->cfg.no_checksum;
    enum xw_drop why = XW_DROP_NONE;
    switch (s->cfg.ethernet ? xw_net_input(s->net, p, verify, now_ns, &rx)
                            : xw_net_input_ip(s->net, p, verify, now_ns, &rx)) {
    case XW_NET_TCP:
        why = xw_tcp_input(s->tcp, rx.tcp.src, rx.tcp.dst, rx.tcp.seg, verify, NULL, now_ns);
        xw_stack_sync(s, now_ns);
        break;
    case XW_NET_ICMP_ERROR:
        xw_icmp_route(s->tcp, s->net, &rx.icmp, now_ns);
        xw_stack_sync(s, now_ns);
        break;
    case XW_NET_CONSUMED: break;
    case XW_NET_DROPPED: why = rx.drop; break;
    }
    return (int)why;
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

static int ip_header(struct xw_stack *s, const struct xw_tcp_seg *g, struct xw_mspan out) {
    struct xw_ip4_hdr ip = { .src = g->tuple.local_ip, .dst = g->tuple.remote_ip, .hdr_len = XW_IP4_HDR_MIN,
                             .total_len = (uint16_t)(XW_IP4_HDR_MIN + xw_tcp_seg_len(g)), .tos = g->tos, .ttl = g->ttl,
                             .proto = 6, .df = g->df, .id = g->df ? 0 : ++s->ip_id }; /* RFC 6864 4.1 */
    return (int)xw_ip4_emit(out, &ip);
}

/* Writes one segment with its headers; its length, or XW_EAGAIN, XW_EUNREACH, XW_ETOOBIG, XW_EADDRINUSE. */
static int segment_write(struct xw_stack *s, const struct xw_tcp_seg *g, struct xw_mspan out, uint64_t now) {
    struct xw_sock *k = g->conn ? xw_tcp_user(g->conn) : NULL;
    struct xw_net_hop lone = { 0 }, *hop = k ? &k->hop : &lone;
    struct xw_net_ip ip = { .proto = 6, .tos = g->tos, .ttl = g->ttl, .df = g->df };
    int route = xw_net_route(s->net, g->tuple.remote_ip, hop);
    if (route < 0)
        return route;
    int head = s->cfg.ethernet ? xw_net_eth_ip(s->net, hop, out, xw_tcp_seg_len(g), &ip, now)
                               : ip_header(s, g, out);
    if (head < 0)
        return head;
    int len = head + (int)xw_tcp_seg_emit(g, xw_mspan(out.p + head, out.len - (size_t)head));
    if (route == 1 && k) /* the path MTU may be another one */
        xw_tcp_set_mtu(g->conn, xw_stack_conn_mtu(k, hop->mtu), now);
    return len;
}

/* What carries no data (above all the SYN) waits for its neighbour; anything else is lost and TCP's timer mends it. */
static void segment_refused(struct xw_stack *s, const struct xw_tcp_seg *g, int rc, uint64_t now) {
    struct xw_sock *k = g->conn ? xw_tcp_user(g->conn) : NULL;
    if (!k)
        return;
    if (rc == XW_EAGAIN && !g->data[0].len && !k->holding) {
        k->held = *g;
        k->holding = true;
        s->holding++;
    } else if (rc == XW_EUNREACH && !k->established) {
        xw_stack_sock_fail(s, k, XW_STACK_EHOSTUNREACH, now);
    }
}

static int held_output(struct xw_stack *s, struct xw_mspan out, uint64_t now) {
    for (uint32_t i = 0; i < s->cfg.max_sockets && s->holding; i++) {
        struct xw_sock *k = &s->sock[i];
        if (!k->holding)
            continue;
        struct xw_tcp_seg g = k->held;
        int len = k->ended ? 0 : segment_write(s, &g, out, now);
        if (len == XW_EAGAIN)
            continue;
        k->holding = false;
        s->holding--;
        if (len > 0)
            return len;
        if (len < 0)
            segment_refused(s, &g, len, now);
    }
    return 0;
}

size_t xw_stack_output(struct xw_stack *s, void *buf, size_t cap, uint64_t now_ns) {
    struct xw_mspan out = xw_mspan(buf, cap);
    struct xw_tcp_seg g;
    if (cap < s->cfg.mtu + (s->cfg.ethernet ? XW_ETH_HDR_MAX : 0))
        return 0;
    if (s->cfg.ethernet && xw_net_pending(s->net)) {
        size_t n = xw_net_output(s->net, out, now_ns);
        if (n)
            return n;
    }
    int len = s->holding ? held_output(s, out, now_ns) : 0;
    while (len <= 0 && xw_tcp_output(s->tcp, now_ns, &g)) {
        len = segment_write(s, &g, out, now_ns);
        if (len < 0)
            segment_refused(s, &g, len, now_ns);
    }
    if (len <= 0 && s->cfg.ethernet && xw_net_pending(s->net)) /* a segment made it ask for a neighbour */
        return xw_net_output(s->net, out, now_ns);
    return len > 0 ? (size_t)len : 0;
}

int xw_stack_flush(struct xw_stack *s, void *buf, size_t cap, xw_stack_put put, void *user, uint64_t now_ns) {
    int cnt = 0;
    size_t len;
    while ((len = xw_stack_output(s, buf, cap, now_ns))) {
        cnt++;
        if (put(user, buf, len))
            break;
    }
    return cnt;
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static uint64_t min_ns(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t xw_stack_next_deadline(struct xw_stack *s) {
    uint64_t first = min_ns(xw_tcp_deadline(s->tcp), xw_net_deadline(s->net));
    for (uint32_t i = 0; i < s->cfg.max_sockets && s->orphans; i++)
        if (s->sock[i].use == SOCK_ORPHAN)
            first = min_ns(first, s->sock[i].deadline_ns);
    return first;
}

void xw_stack_tick(struct xw_stack *s, uint64_t now_ns) {
    xw_net_tick(s->net, now_ns);
    xw_tcp_tick(s->tcp, now_ns);
    xw_stack_sync(s, now_ns);
    xw_stack_orphans_end(s, now_ns);
}

int xw_stack_set_mtu(struct xw_stack *s, uint32_t ip, uint32_t mtu, uint64_t now_ns) {
    if (xw_net_path_mtu_set(s->net, ip, mtu, now_ns) < 0)
        return XW_STACK_EINVAL;
    for (uint32_t i = 0; i < s->cfg.max_sockets; i++) {
        struct xw_sock *k = &s->sock[i];
        if (k->conn && xw_tcp_tuple(k->conn)->remote_ip == ip && xw_net_route(s->net, ip, &k->hop) >= 0)
            xw_tcp_set_mtu(k->conn, xw_stack_conn_mtu(k, k->hop.mtu), now_ns);
    }
    return XW_STACK_OK;
}

/* ---- counters ---------------------------------------------------------------------------------------------------- */

unsigned xw_stack_drops(const struct xw_stack *s, uint64_t *out, unsigned max) {
    for (unsigned i = 0; i < max && i < XW_DROP_COUNT; i++)
        out[i] = s->drops[i];
    return XW_DROP_COUNT;
}

const char *xw_stack_drop_name(int reason) { return xw_drop_name(reason); }
