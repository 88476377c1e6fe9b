/* bpf/steer.bpf.c: decides for every received packet whether it belongs to a connection of the userspace stack.
 *
 * Ours (redirected to the AF_XDP socket of the receive queue): a whole IPv4 packet that carries a TCP segment of an
 * active flow, the first fragment of one, or an ICMP error that quotes one. In dedicated mode also ARP, echo requests and all TCP for the
 * stack's own address, which the kernel does not know. Everything else goes to the kernel, and each packet is counted by what
 * was decided and why (shared.h). Nothing is ever dropped here.
 *
 * Not looked at: checksums, sequence numbers, VLAN ids, MAC addresses; the stack checks what it accepts. Tags that the NIC
 * stripped are not seen. Packets of several buffers (xdp.frags) are not taken; docs/steering.md says why.
 *
 * One source, three builds: the object for any interface; -DXW_NIC_TIME, to be loaded bound to a device, which asks the
 * driver for the hardware receive time; and the text for BCC (tools/flatten_bpf.py defines XW_BCC). */
#ifndef XW_BCC
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#endif
#include "parse.h"

#ifdef XW_NIC_TIME
extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *timestamp) __ksym;

/* Room for what the verifier writes out in line: a device-bound program that needs another page while it is loaded is moved,
 * and the kernel keeps its old address (csrc/steer/steer.c, xw_steer_moved). These instructions are never executed, and the
 * verifier takes them out; the page that they asked for stays. */
static inline __attribute__((always_inline)) void xw_room(void) {
    asm volatile("r0 = 0\n\tif r0 == 0 goto +400\n\t.rept 400\n\tr0 += 1\n\t.endr" ::: "r0");
}
#endif

XW_FN void xw_count(__u32 index) {
    __u64 *n = xw_map_counter(index);
    if (n)
        *n += 1;
}

XW_FN int xw_pass(__u32 reason) {
    xw_count(reason);
    return XDP_PASS;
}

/* The NIC's time of this packet; 0 when it has none (a driver may also answer "success, 0": that is none, too). */
XW_FN __u64 xw_nic_time(struct xdp_md *ctx) {
    __u64 ns = 0;
#ifdef XW_NIC_TIME
    if (bpf_xdp_metadata_rx_timestamp(ctx, &ns))
        ns = 0;
#else
    (void)ctx;
#endif
    return ns;
}

/* Puts struct xw_meta right before the packet; 0, or 1 when there is no room for it. What metadata the packet may have had is
 * overwritten from its end. */
XW_FN int xw_write_meta(struct xdp_md *ctx) {
    __u64 hw_ns = xw_nic_time(ctx);
    int had = (int)((void *)(long)ctx->data - (void *)(long)ctx->data_meta);
    if (bpf_xdp_adjust_meta(ctx, had - (int)sizeof(struct xw_meta)))
        return 1;
    struct xw_meta *meta = (void *)(long)ctx->data_meta;
    void *data = (void *)(long)ctx->data;
    if ((void *)(meta + 1) > data)
        return 1;
    meta->hw_ns = hw_ns;
    meta->xdp_ns = bpf_ktime_get_ns();
    meta->valid = XW_META_XDP | (hw_ns ? XW_META_HW : 0);
    meta->len = (__u32)((void *)(long)ctx->data_end - data);
    meta->spare = 0;
    meta->magic = XW_META_MAGIC;
    return 0;
}

/* Metadata is written only when a socket is there: on a passed packet it would keep the kernel's GRO from merging. Without
 * metadata the packet is redirected all the same: the kernel would answer it with RST. */
XW_FN int xw_redirect(struct xdp_md *ctx, __u32 reason) {
    if (xw_map_redirect(ctx->rx_queue_index) != XDP_REDIRECT)
        return xw_pass(XW_STEER_PASS_NO_SOCKET);
    xw_count(reason);
    if (xw_write_meta(ctx))
        xw_count(XW_STEER_NOTE_NO_META);
    return XDP_REDIRECT;
}

/* The stack's own address; 0 in shared mode. */
XW_FN __u32 xw_dedicated_ip(void) {
    struct xw_steer_config *cfg = xw_map_config();
    return cfg ? cfg->dedicated_ip : 0;
}

/* ARP from our address, too: somebody else uses it (RFC 5227 2.4). */
XW_FN int xw_steer_arp(struct xdp_md *ctx, struct xw_cursor *c) {
    struct xw_arp_hdr *arp = c->at;
    if ((void *)(arp + 1) > c->end)
        return xw_pass(XW_STEER_PASS_SHORT);
    __u32 ip = xw_dedicated_ip();
    __u32 spa = arp->spa[0] | (__u32)arp->spa[1] << 16, tpa = arp->tpa[0] | (__u32)arp->tpa[1] << 16;
    if (ip && (tpa == ip || spa == ip))
        return xw_redirect(ctx, XW_STEER_REDIRECT_ARP);
    return xw_pass(XW_STEER_PASS_ARP);
}

XW_FN int xw_steer_tcp(struct xdp_md *ctx, struct xw_cursor *c, struct xw_ip4_hdr *ip, __u32 len) {
    struct xw_tcp_hdr *tcp = xw_parse_tcp(c, len);
    if (!tcp)
        return xw_pass(XW_STEER_PASS_TCP_MALFORMED);
    struct xw_flow_key key = { ip->saddr, ip->daddr, tcp->sport, tcp->dport };
    struct xw_flow_val *flow = xw_map_flow(&key);
    if (flow)
        return flow->flags & XW_FLOW_ACTIVE ? xw_redirect(ctx, XW_STEER_REDIRECT) : xw_pass(XW_STEER_PASS_INACTIVE);
    __u32 own = xw_dedicated_ip();
    if (own && ip->daddr == own)
        return xw_redirect(ctx, XW_STEER_REDIRECT_STRAY);
    return xw_pass(XW_STEER_PASS_NO_FLOW);
}

/* The stack does not reassemble, and the kernel must not: it would answer the segment of a connection that it does not know
 * with RST. So the first fragment is kept from it, without which it forgets the others in silence (RFC 1122 3.3.2). */
XW_FN int xw_steer_fragment(struct xdp_md *ctx, struct xw_cursor *c, struct xw_ip4_hdr *ip, __u32 len) {
    struct xw_ports *p = c->at;
    if (ip->proto != XW_IPPROTO_TCP || (XW_BE16(ip->frag) & XW_IP4_OFFSET) || (void *)(p + 1) > c->end || len < sizeof *p)
        return xw_pass(XW_STEER_PASS_FRAGMENT);
    struct xw_flow_key key = { ip->saddr, ip->daddr, p->sport, p->dport };
    struct xw_flow_val *flow = xw_map_flow(&key);
    if (flow && (flow->flags & XW_FLOW_ACTIVE))
        return xw_redirect(ctx, XW_STEER_REDIRECT_FRAGMENT);
    return xw_pass(XW_STEER_PASS_FRAGMENT);
}

/* An error must be addressed to the sender of the packet that it quotes. */
XW_FN int xw_steer_icmp(struct xdp_md *ctx, struct xw_cursor *c, struct xw_ip4_hdr *ip, __u32 len) {
    struct xw_icmp_hdr *icmp = c->at;
    if ((void *)(icmp + 1) > c->end || len < sizeof *icmp)
        return xw_pass(XW_STEER_PASS_ICMP);
    c->at = icmp + 1;
    struct xw_quote *q = xw_parse_quote(c, len, icmp->type);
    if (q && q->ip.saddr == ip->daddr) {
        struct xw_flow_key key = { q->ip.daddr, q->ip.saddr, q->dport, q->sport };
        struct xw_flow_val *flow = xw_map_flow(&key);
        if (flow)
            return flow->flags & XW_FLOW_ACTIVE ? xw_redirect(ctx, XW_STEER_REDIRECT_ICMP)
                                                : xw_pass(XW_STEER_PASS_INACTIVE);
    }
    __u32 own = xw_dedicated_ip();
    if (own && ip->daddr == own && icmp->type == 8)
        return xw_redirect(ctx, XW_STEER_REDIRECT_DEDICATED);
    return xw_pass(XW_STEER_PASS_ICMP);
}

#ifndef XW_BCC
SEC("xdp")
#endif
int xw_steer(struct xdp_md *ctx) {
#ifdef XW_NIC_TIME
    xw_room();
#endif
    struct xw_cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
    struct xw_ip4_hdr *ip = 0;
    __u32 len = 0, why;
    __u16 type = 0;
    why = xw_parse_eth(&c, &type);
    if (why)
        return xw_pass(why);
    if (type == XW_ETH_ARP)
        return xw_steer_arp(ctx, &c);
    if (type != XW_ETH_IP4)
        return xw_pass(XW_STEER_PASS_NOT_IP);
    why = xw_parse_ip4(&c, &ip, &len);
    if (why == XW_STEER_PASS_FRAGMENT && ip)
        return xw_steer_fragment(ctx, &c, ip, len);
    if (why || !ip)
        return xw_pass(why);
    if (ip->proto == XW_IPPROTO_TCP)
        return xw_steer_tcp(ctx, &c, ip, len);
    if (ip->proto == XW_IPPROTO_ICMP)
        return xw_steer_icmp(ctx, &c, ip, len);
    return xw_pass(XW_STEER_PASS_PROTO);
}

#ifndef XW_BCC
char xw_license[] SEC("license") = "GPL";
#endif
