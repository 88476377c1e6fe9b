/* net/net_out.c: next hops, headers in front of TCP segments, and the frames that the layer sends by itself. */
#include "base/assert.h"
#include "net/net_priv.h"
#include <string.h>

#define ECHO_TTL 64u
#define ETH_LEN_MIN 60u /* IEEE 802.3: 64 with the FCS */

size_t xw_net_header_len(const struct xw_net *n) { return n->eth_len + XW_IP4_HDR_MIN; }

/* Packets to groups, to ourselves and to the broadcast addresses of our network (host part all ones, or zero as in the
 * old style: RFC 1122 3.3.6) have no next hop here. */
static bool is_peer(const struct xw_net *n, uint32_t dst) {
    const struct xw_net_cfg *c = &n->cfg;
    bool directed_broadcast = ~c->mask > 1u && (dst & c->mask) == (c->ip & c->mask) &&
                              ((dst & ~c->mask) == ~c->mask || (dst & ~c->mask) == 0);
    return xw_ip4_is_unicast(dst) && dst != c->ip && !directed_broadcast;
}

int xw_net_route(struct xw_net *n, uint32_t dst, struct xw_net_hop *hop) {
    if (XW_LIKELY(hop->gen == n->gen && hop->dst == dst))
        return 0;
    const struct xw_route *route = xw_routes_find(&n->routes, dst);
    if (!route || !is_peer(n, dst)) {
        xw_net_count(n, XW_DROP_TX_NO_ROUTE);
        return XW_EUNREACH;
    }
    hop->dst = dst;
    hop->next = route->gateway ? route->gateway : dst;
    hop->mtu = xw_pmtu_get(&n->routes, dst, route->mtu);
    hop->gen = n->gen;
    return 1;
}

static size_t put_eth(const struct xw_net *n, struct xw_mspan frame, const uint8_t dst[6], uint16_t type) {
    struct xw_eth_hdr eth = n->eth;
    memcpy(eth.dst, dst, 6);
    eth.type = type;
    return xw_eth_emit(frame, &eth);
}

int xw_net_eth_ip(struct xw_net *n, struct xw_net_hop *hop, struct xw_mspan frame, size_t l4_len,
                  const struct xw_net_ip *ip, uint64_t now_ns) {
    size_t hdr_len = xw_net_header_len(n);
    if (XW_UNLIKELY(n->claim.state != XW_NET_ADDR_OK))
        return n->claim.state == XW_NET_ADDR_CONFLICT ? XW_EADDRINUSE : XW_EAGAIN;
    /* Only the link's MTU forbids. To respect the path's is TCP's job: if a connection does not know yet what another
     * one to the same peer was told, refusing would keep it from ever hearing the router itself, and it would stall. */
    bool room = frame.len >= hdr_len && frame.len - hdr_len >= l4_len;
    if (!room || l4_len > n->cfg.mtu - XW_IP4_HDR_MIN) {
        xw_net_count(n, XW_DROP_TX_TOO_LONG);
        return XW_ETOOBIG;
    }
    const uint8_t *mac;
    int rc = xw_neighs_resolve(&n->neighs, hop->next, &hop->neigh, now_ns, &mac);
    if (XW_UNLIKELY(rc != XW_OK)) {
        xw_net_count(n, XW_DROP_TX_NO_NEIGH);
        return rc;
    }
    memcpy(frame.p, n->eth_bytes, n->eth_len);
    memcpy(frame.p, mac, 6);
    const struct xw_ip4_hdr h = {
        .src = n->cfg.ip, .dst = hop->dst, .total_len = (uint16_t)(XW_IP4_HDR_MIN + l4_len), .hdr_len = XW_IP4_HDR_MIN,
        /* RFC 6864 4.1: the id of a packet that is never cut may be anything; of others it must not repeat soon */
        .id = ip->df ? 0 : (uint16_t)xw_rng_u32(n->rng),
        .tos = ip->tos, .ttl = ip->ttl, .proto = ip->proto, .df = ip->df,
    };
    size_t put = xw_ip4_emit(xw_mspan(frame.p + n->eth_len, XW_IP4_HDR_MIN), &h);
    XW_ASSERT(put == XW_IP4_HDR_MIN);
    return (int)(n->eth_len + put);
}

void xw_net_suspect(struct xw_net *n, const struct xw_net_hop *hop) { xw_neighs_suspect(&n->neighs, hop->next, hop->neigh); }

void xw_net_confirm(struct xw_net *n, const struct xw_net_hop *hop, uint64_t now_ns) {
    xw_neighs_confirm(&n->neighs, hop->next, hop->neigh, now_ns);
}

bool xw_net_echo_ready(const struct xw_net *n, const struct xw_echo *e) {
    return n->claim.state == XW_NET_ADDR_OK && !(e->waiting && e->blocked == n->neighs.change);
}

/* 0: it waits for its neighbour or had to be dropped. */
static size_t output_echo(struct xw_net *n, struct xw_echo *e, struct xw_mspan frame, uint64_t now_ns) {
    struct xw_net_hop hop = { 0 };
    const struct xw_net_ip ip = { .proto = XW_IP4_PROTO_ICMP, .tos = e->tos, .ttl = ECHO_TTL };
    int rc = xw_net_route(n, e->dst, &hop);
    if (rc >= 0)
        rc = xw_net_eth_ip(n, &hop, frame, XW_ICMP4_LEN + e->len, &ip, now_ns);
    if (rc == XW_EAGAIN) {
        e->waiting = true;
        e->blocked = n->neighs.change;
        return 0;
    }
    size_t len = 0;
    if (rc > 0) {
        struct xw_mspan msg = xw_mspan(frame.p + rc, frame.len - (size_t)rc);
        const struct xw_icmp4_hdr h = { .type = XW_ICMP4_ECHO_REPLY, .rest = e->rest };
        memcpy(msg.p + XW_ICMP4_LEN, e->data, e->len);
        len = (size_t)rc + xw_icmp4_emit(msg, &h, e->len);
    }
    xw_echoes_drop(&n->echoes, e);
    return len;
}

static size_t put_arp(const struct xw_net *n, struct xw_mspan frame, const uint8_t dst[6],
                      const struct xw_arp_hdr *arp) {
    size_t at = put_eth(n, frame, dst, XW_ETH_TYPE_ARP);
    return at + xw_arp_emit(xw_mspan(frame.p + at, frame.len - at), arp);
}

/* Not every driver fills up short frames that come from AF_XDP, and what it would fill them with is old memory. */
static size_t pad(struct xw_mspan frame, size_t len) {
    if (len == 0 || len >= ETH_LEN_MIN)
        return len;
    memset(frame.p + len, 0, ETH_LEN_MIN - len);
    return ETH_LEN_MIN;
}

/* The next ARP packet, in the order: our address, answers, questions. 0: none. */
static size_t output_arp(struct xw_net *n, struct xw_mspan frame, uint64_t now_ns) {
    static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    struct xw_arp_hdr arp = { .op = XW_ARP_REQUEST, .spa = n->cfg.ip };
    memcpy(arp.sha, n->cfg.mac, 6);
    enum xw_claim_send claim = xw_claim_output(&n->claim, n->rng, now_ns);
    if (claim != XW_CLAIM_SEND_NONE) {
        arp.tpa = n->cfg.ip;
        if (claim == XW_CLAIM_SEND_PROBE)
            arp.spa = 0;
        return put_arp(n, frame, all, &arp);
    }
    if (n->reply_cnt) {
        const struct xw_arp_reply r = n->replies[0];
        memmove(&n->replies[0], &n->replies[1], --n->reply_cnt * sizeof n->replies[0]);
        arp.op = XW_ARP_REPLY;
        arp.tpa = r.ip;
        memcpy(arp.tha, r.mac, 6);
        return put_arp(n, frame, r.mac, &arp);
    }
    const uint8_t *mac;
    bool unicast;
    if (xw_neighs_output(&n->neighs, now_ns, &arp.tpa, &mac, &unicast))
        return put_arp(n, frame, unicast ? mac : all, &arp);
    return 0;
}

size_t xw_net_output(struct xw_net *n, struct xw_mspan frame, uint64_t now_ns) {
    if (!xw_net_pending(n) || frame.len < XW_ETH_HDR_MAX + n->cfg.mtu)
        return 0;
    size_t len = output_arp(n, frame, now_ns);
    for (unsigned i = 0; len == 0 && i < XW_ECHO_MAX; i++) {
        struct xw_echo *e = &n->echoes.e[i];
        if (e->used && xw_net_echo_ready(n, e))
            len = output_echo(n, e, frame, now_ns);
    }
    /* an echo reply may have asked for its neighbour just now */
    return pad(frame, len ? len : output_arp(n, frame, now_ns));
}
