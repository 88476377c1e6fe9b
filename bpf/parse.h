/* bpf/parse.h: headers as they stand in a packet, and the steps from one to the next. No map, no policy: a step says only
 * whether the bytes are there and consistent. Multi-byte fields are in network byte order.
 *
 * The layouts are written out here because BCC and libbpf bring different header files along. All accesses go through a
 * cursor that is compared with the packet's end first, which is also what the verifier wants to see. */
#ifndef XW_BPF_PARSE_H
#define XW_BPF_PARSE_H
#include "maps.h"

#define XW_BE16(v) ((__u16)((((v) & 0xff) << 8) | (((v) >> 8) & 0xff)))

#define XW_ETH_IP4 0x0800
#define XW_ETH_ARP 0x0806
#define XW_ETH_8021Q 0x8100
#define XW_ETH_8021AD 0x88a8
#define XW_IPPROTO_ICMP 1
#define XW_IPPROTO_TCP 6
#define XW_IP4_MF_OFFSET 0x3fff /* more fragments, fragment offset: either is non-zero in a fragment */
#define XW_IP4_OFFSET 0x1fff
#define XW_TAGS_MAX 2

struct xw_eth_hdr { __u8 dst[6], src[6]; __u16 type; };
struct xw_vlan_hdr { __u16 tci, type; };
struct xw_arp_hdr { __u16 htype, ptype; __u8 hlen, plen; __u16 op; __u8 sha[6]; __u16 spa[2]; __u8 tha[6]; __u16 tpa[2]; };
struct xw_ip4_hdr {
    __u8 ver_ihl, tos;
    __u16 tot_len, id, frag;
    __u8 ttl, proto;
    __u16 csum;
    __u32 saddr, daddr;
};
struct xw_tcp_hdr { __u16 sport, dport; __u32 seq, ack; __u8 off, flags; __u16 wnd, csum, urg; };
struct xw_ports { __u16 sport, dport; };
struct xw_icmp_hdr { __u8 type, code; __u16 csum; __u32 rest; };
/* What an ICMP error quotes of a packet that this stack sent: its IPv4 header (never with options) and the first 8 bytes
 * behind it (RFC 792), of which the ports are used. */
struct xw_quote { struct xw_ip4_hdr ip; __u16 sport, dport; __u32 seq; };

struct xw_cursor { void *at, *end; };

/* Ethernet and up to two tags: *type gets the ethertype (host byte order) and the cursor stands behind it. 0 or a counter. */
XW_FN __u32 xw_parse_eth(struct xw_cursor *c, __u16 *type) {
    struct xw_eth_hdr *eth = c->at;
    if ((void *)(eth + 1) > c->end)
        return XW_STEER_PASS_SHORT;
    __u16 t = XW_BE16(eth->type);
    c->at = eth + 1;
#pragma unroll
    for (int i = 0; i < XW_TAGS_MAX; i++) {
        struct xw_vlan_hdr *tag = c->at;
        if (t != XW_ETH_8021Q && t != XW_ETH_8021AD)
            break;
        if ((void *)(tag + 1) > c->end)
            return XW_STEER_PASS_SHORT;
        t = XW_BE16(tag->type);
        c->at = tag + 1;
    }
    *type = t;
    return t == XW_ETH_8021Q || t == XW_ETH_8021AD ? XW_STEER_PASS_VLAN_DEPTH : 0;
}

/* An IPv4 header, whose options are skipped (the stack checks them): 0, or the counter that says why not. *len gets the bytes
 * behind the header that belong to the packet: what follows is padding. A fragment is parsed like a whole packet, but
 * answered with PASS_FRAGMENT. */
XW_FN __u32 xw_parse_ip4(struct xw_cursor *c, struct xw_ip4_hdr **out, __u32 *len) {
    struct xw_ip4_hdr *ip = c->at;
    if ((void *)(ip + 1) > c->end)
        return XW_STEER_PASS_SHORT;
    __u32 hdr = (ip->ver_ihl & 15) * 4, total = XW_BE16(ip->tot_len), there = (__u32)(c->end - c->at);
    if (ip->ver_ihl >> 4 != 4 || hdr < sizeof *ip || total < hdr || total > there)
        return XW_STEER_PASS_IP_MALFORMED;
    *out = ip;
    *len = total - hdr;
    c->at = (void *)ip + hdr;
    return XW_BE16(ip->frag) & XW_IP4_MF_OFFSET ? XW_STEER_PASS_FRAGMENT : 0;
}

/* A TCP header whose data offset lies within the len bytes of the segment; NULL if it is none. */
XW_FN struct xw_tcp_hdr *xw_parse_tcp(struct xw_cursor *c, __u32 len) {
    struct xw_tcp_hdr *tcp = c->at;
    if ((void *)(tcp + 1) > c->end)
        return 0;
    __u32 hdr = (tcp->off >> 4) * 4;
    return hdr < sizeof *tcp || hdr > len ? 0 : tcp;
}

/* The quote of an ICMP error about TCP (unreachable 3, source quench 4, time exceeded 11, parameter problem 12), or NULL. A
 * redirect (5) quotes too, but is about the host's routes, which stay the kernel's. */
XW_FN struct xw_quote *xw_parse_quote(struct xw_cursor *c, __u32 len, __u8 type) {
    struct xw_quote *q = c->at;
    if (type != 3 && type != 4 && type != 11 && type != 12)
        return 0;
    if ((void *)(q + 1) > c->end || len < sizeof(struct xw_icmp_hdr) + sizeof *q)
        return 0;
    if (q->ip.ver_ihl != 0x45 || q->ip.proto != XW_IPPROTO_TCP || (XW_BE16(q->ip.frag) & XW_IP4_OFFSET))
        return 0;
    return q;
}
#endif
