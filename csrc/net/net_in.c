/* net/net_in.c: received frames, from the Ethernet header up to the verdict. */
#include "net/net_priv.h"
#include <string.h>

static enum xw_net_verdict drop(struct xw_net *n, struct xw_net_rx *rx, enum xw_drop why) {
    rx->drop = xw_net_count(n, why);
    return XW_NET_DROPPED;
}

/* The tags must bear our VLAN ids in order. A tag with id 0 carries a priority only (802.1Q 9.6) and counts as none. */
static bool vlan_ours(const struct xw_net *n, const struct xw_eth_hdr *eth) {
    unsigned at = 0;
    for (unsigned i = 0; i < eth->vlan_cnt; i++) {
        uint16_t id = eth->vlan_tci[i] & 0xfffu;
        if (id == 0)
            continue;
        if (at == n->cfg.vlan_cnt || id != n->cfg.vlan_id[at])
            return false;
        at++;
    }
    return at == n->cfg.vlan_cnt;
}

static enum xw_drop queue_arp_reply(struct xw_net *n, const struct xw_arp_hdr *arp) {
    for (unsigned i = 0; i < n->reply_cnt; i++)
        if (n->replies[i].ip == arp->spa && memcmp(n->replies[i].mac, arp->sha, 6) == 0)
            return XW_DROP_NONE; /* asked twice before we could answer */
    if (n->reply_cnt == XW_ARP_REPLIES_MAX)
        return XW_DROP_ARP_QUEUE;
    struct xw_arp_reply *r = &n->replies[n->reply_cnt++];
    r->ip = arp->spa;
    memcpy(r->mac, arp->sha, 6);
    return XW_DROP_NONE;
}

/* RFC 5227 2.1.1 and 2.4: somebody else uses our address, or probes for it while we do. */
static bool is_conflict(const struct xw_net *n, const struct xw_arp_hdr *arp) {
    if (arp->spa == n->cfg.ip)
        return true;
    return n->claim.state == XW_NET_ADDR_PROBING && arp->op == XW_ARP_REQUEST && arp->spa == 0 && arp->tpa == n->cfg.ip;
}

static enum xw_net_verdict input_arp(struct xw_net *n, struct xw_span pkt, uint64_t now_ns, struct xw_net_rx *rx) {
    struct xw_arp_hdr arp;
    enum xw_drop why = xw_arp_parse(pkt, &arp);
    if (why != XW_DROP_NONE)
        return drop(n, rx, why);
    /* shared mode: the host's kernel does it; and our own broadcast may come back to us */
    if (!n->cfg.dedicated || memcmp(arp.sha, n->cfg.mac, 6) == 0)
        return drop(n, rx, XW_DROP_ARP_UNKNOWN);
    if (is_conflict(n, &arp)) {
        xw_claim_conflict(&n->claim, now_ns);
        return drop(n, rx, XW_DROP_ARP_CONFLICT);
    }
    if (n->claim.state != XW_NET_ADDR_OK)
        return drop(n, rx, XW_DROP_ARP_UNKNOWN);
    bool for_us = arp.tpa == n->cfg.ip;
    bool known = xw_ip4_is_unicast(arp.spa) &&
                 xw_neighs_learn(&n->neighs, arp.spa, arp.sha, for_us && arp.op == XW_ARP_REPLY, now_ns);
    if (for_us && arp.op == XW_ARP_REQUEST) {
        why = queue_arp_reply(n, &arp);
        return why == XW_DROP_NONE ? XW_NET_CONSUMED : drop(n, rx, why);
    }
    return known ? XW_NET_CONSUMED : drop(n, rx, XW_DROP_ARP_UNKNOWN);
}

static enum xw_net_verdict input_icmp(struct xw_net *n, const struct xw_ip4_hdr *ip, struct xw_span msg, bool verify,
                                      uint64_t now_ns, struct xw_net_rx *rx) {
    struct xw_icmp4_hdr h;
    struct xw_icmp4_quote quote;
    enum xw_drop why = xw_icmp4_parse(msg, verify, &h);
    if (why != XW_DROP_NONE)
        return drop(n, rx, why);
    struct xw_span body = xw_span_from(msg, XW_ICMP4_LEN);
    if (h.type == XW_ICMP4_ECHO && h.code == 0 && n->cfg.dedicated) {
        why = xw_echoes_put(&n->echoes, ip->src, ip->tos, h.rest, body, now_ns);
        return why == XW_DROP_NONE ? XW_NET_CONSUMED : drop(n, rx, why);
    }
    if (!xw_icmp_is_error(h.type))
        return drop(n, rx, XW_DROP_ICMP_TYPE);
    why = xw_icmp4_quote_parse(body, &quote);
    if (why == XW_DROP_NONE)
        why = xw_icmp_error(&h, &quote, n->cfg.ip, ip->src, &rx->icmp);
    return why == XW_DROP_NONE ? XW_NET_ICMP_ERROR : drop(n, rx, why);
}

/* RFC 1122 3.2.1.3: a source must be one host's address; ours would be a forgery ("land"). */
static bool source_ok(const struct xw_net *n, uint32_t src) {
    const struct xw_net_cfg *c = &n->cfg;
    bool directed_broadcast = ~c->mask > 1u && (src & c->mask) == (c->ip & c->mask) &&
                              ((src & ~c->mask) == ~c->mask || (src & ~c->mask) == 0);
    return xw_ip4_is_unicast(src) && src != c->ip && !directed_broadcast;
}

static enum xw_drop check_ip(const struct xw_net *n, const struct xw_ip4_hdr *ip) {
    if (ip->dst != n->cfg.ip || n->claim.state != XW_NET_ADDR_OK)
        return XW_DROP_IP4_NOT_US;
    if (!source_ok(n, ip->src))
        return XW_DROP_IP4_SOURCE;
    if (ip->mf || ip->frag_off)
        return XW_DROP_IP4_FRAGMENT;
    if (ip->source_route)
        return XW_DROP_IP4_OPTION; /* RFC 7126 4.3, 4.4 */
    return XW_DROP_NONE;
}

enum xw_net_verdict xw_net_input_ip(struct xw_net *n, struct xw_span pkt, bool verify, uint64_t now_ns,
                                    struct xw_net_rx *rx) {
    struct xw_ip4_hdr ip;
    enum xw_drop why = xw_ip4_parse(pkt, verify, &ip);
    if (why == XW_DROP_NONE)
        why = check_ip(n, &ip);
    if (why != XW_DROP_NONE)
        return drop(n, rx, why);
    struct xw_span payload = xw_ip4_payload(pkt, &ip);
    if (XW_LIKELY(ip.proto == XW_IP4_PROTO_TCP)) {
        rx->tcp = (struct xw_net_tcp){ .src = ip.src, .dst = ip.dst, .seg = payload, .ttl = ip.ttl, .tos = ip.tos };
        return XW_NET_TCP;
    }
    if (ip.proto == XW_IP4_PROTO_ICMP)
        return input_icmp(n, &ip, payload, verify, now_ns, rx);
    return drop(n, rx, XW_DROP_IP4_PROTO);
}

enum xw_net_verdict xw_net_input(struct xw_net *n, struct xw_span frame, bool verify, uint64_t now_ns,
                                 struct xw_net_rx *rx) {
    struct xw_eth_hdr eth;
    enum xw_drop why = xw_eth_parse(frame, &eth);
    if (why != XW_DROP_NONE)
        return drop(n, rx, why);
    if (!vlan_ours(n, &eth))
        return drop(n, rx, XW_DROP_VLAN_ID);
    bool to_us = memcmp(eth.dst, n->cfg.mac, 6) == 0;
    struct xw_span pkt = xw_span_from(frame, xw_eth_hdr_len(&eth));
    if (XW_LIKELY(eth.type == XW_ETH_TYPE_IP4)) {
        /* RFC 1122 3.3.6: a link-layer broadcast of a packet to one address is not for us */
        return to_us ? xw_net_input_ip(n, pkt, verify, now_ns, rx) : drop(n, rx, XW_DROP_ETH_NOT_US);
    }
    if (eth.type != XW_ETH_TYPE_ARP)
        return drop(n, rx, XW_DROP_ETH_TYPE);
    if (!to_us && !xw_eth_is_broadcast(eth.dst))
        return drop(n, rx, XW_DROP_ETH_NOT_US);
    return input_arp(n, pkt, now_ns, rx);
}
