/* net/net_in.c: a frame in, a verdict out; every way to be dropped has its reason. */
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "net/net.h"
#include "xt_net.h"

static const uint8_t SEG[20] = { 0x01, 0xbb, 0xc0, 0x00, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x10, 1, 0, 0, 0, 0, 0 };
#define IP_AT XW_ETH_LEN

static size_t tcp_frame(uint8_t *f) { return xt_net_frame(f, XT_FAR, XT_US, XW_IP4_PROTO_TCP, SEG, sizeof SEG); }

static void fix_ip_checksum(uint8_t *ip) {
    xw_put_be16(ip + 10, 0);
    xw_put_be16(ip + 10, xw_csum_fold(xw_csum_add(0, ip, (ip[0] & 15u) * 4u)));
}

XT_TEST(segment) {
    struct xt_net x;
    uint8_t f[100] = { 0 };
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    size_t len = tcp_frame(f);
    f[IP_AT + 1] = 0x03;
    fix_ip_checksum(f + IP_AT);
    XT_EQ(xw_net_input(x.n, xw_span(f, 60), true, x.now, &x.rx), XW_NET_TCP); /* 6 bytes of padding */
    XT_EQ(len, 54);
    XT_TRUE(x.rx.tcp.seg.p == f + 34);
    XT_EQ(x.rx.tcp.seg.len, sizeof SEG);
    XT_EQ(x.rx.tcp.src, XT_FAR);
    XT_EQ(x.rx.tcp.dst, XT_US);
    XT_EQ(x.rx.tcp.ttl, 60);
    XT_EQ(x.rx.tcp.tos, 0x03);
    XT_EQ(xw_net_input_ip(x.n, xw_span(f + IP_AT, 40), true, x.now, &x.rx), XW_NET_TCP);
    xt_net_expect_nothing(&x);
    xt_net_free(&x);
}

XT_TEST(every_truncation) {
    struct xt_net x;
    uint8_t f[100];
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    size_t len = tcp_frame(f);
    for (size_t cut = 0; cut < len; cut++)
        xt_net_expect_drop(&x, f, cut, cut < 14 ? XW_DROP_ETH_SHORT : cut < 34 ? XW_DROP_IP4_SHORT : XW_DROP_IP4_LEN);
    xt_net_free(&x);
}

struct edit { const char *what; size_t at; uint8_t bytes[4]; size_t cnt; enum xw_drop want; };

XT_TEST(dropped_with_a_reason) {
    static const struct edit edits[] = {
        { "to another MAC", 0, { 0x02, 0, 0, 9 }, 4, XW_DROP_ETH_NOT_US },
        { "to all MACs", 0, { 0xff }, 1, XW_DROP_ETH_NOT_US },
        { "IPv6", 12, { 0x86, 0xdd }, 2, XW_DROP_ETH_TYPE },
        { "802.3 length", 12, { 0x00, 0x26 }, 2, XW_DROP_ETH_TYPE },
        { "a tag that we do not have", 12, { 0x81, 0x00, 0x00, 0x05 }, 4, XW_DROP_VLAN_ID },
        { "version 5", IP_AT, { 0x55 }, 1, XW_DROP_IP4_VERSION },
        { "header of 16", IP_AT, { 0x44 }, 1, XW_DROP_IP4_IHL },
        { "longer than the frame", IP_AT + 2, { 0, 41 }, 2, XW_DROP_IP4_LEN },
        { "first fragment", IP_AT + 6, { 0x20, 0 }, 2, XW_DROP_IP4_FRAGMENT },
        { "last fragment", IP_AT + 6, { 0x00, 1 }, 2, XW_DROP_IP4_FRAGMENT },
        { "UDP", IP_AT + 9, { 17 }, 1, XW_DROP_IP4_PROTO },
        { "to the neighbour", IP_AT + 16, { 10, 0, 0, 3 }, 4, XW_DROP_IP4_NOT_US },
        { "to the network's broadcast", IP_AT + 16, { 10, 0, 0, 255 }, 4, XW_DROP_IP4_NOT_US },
        { "to all", IP_AT + 16, { 255, 255, 255, 255 }, 4, XW_DROP_IP4_NOT_US },
        { "to a group", IP_AT + 16, { 224, 0, 0, 1 }, 4, XW_DROP_IP4_NOT_US },
        { "from a group", IP_AT + 12, { 224, 0, 0, 1 }, 4, XW_DROP_IP4_SOURCE },
        { "from all", IP_AT + 12, { 255, 255, 255, 255 }, 4, XW_DROP_IP4_SOURCE },
        { "from nobody", IP_AT + 12, { 0, 0, 0, 0 }, 4, XW_DROP_IP4_SOURCE },
        { "from loopback", IP_AT + 12, { 127, 0, 0, 1 }, 4, XW_DROP_IP4_SOURCE },
        { "from ourselves", IP_AT + 12, { 10, 0, 0, 2 }, 4, XW_DROP_IP4_SOURCE },
        { "from the network's broadcast", IP_AT + 12, { 10, 0, 0, 255 }, 4, XW_DROP_IP4_SOURCE },
        { "from the network itself", IP_AT + 12, { 10, 0, 0, 0 }, 4, XW_DROP_IP4_SOURCE },
    };
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        uint8_t f[100];
        size_t len = tcp_frame(f);
        memcpy(f + edits[i].at, edits[i].bytes, edits[i].cnt);
        if (edits[i].at > IP_AT && edits[i].want != XW_DROP_IP4_LEN)
            fix_ip_checksum(f + IP_AT);
        fprintf(stderr, "    %s\n", edits[i].what);
        xt_net_expect_drop(&x, f, len, edits[i].want);
    }
    xt_net_free(&x);
}

XT_TEST(checksum_only_when_asked) {
    struct xt_net x;
    uint8_t f[100];
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    size_t len = tcp_frame(f);
    f[IP_AT + 8] ^= 1;
    xt_net_expect_drop(&x, f, len, XW_DROP_IP4_CHECKSUM);
    XT_EQ(xw_net_input(x.n, xw_span(f, len), false, x.now, &x.rx), XW_NET_TCP);
    xt_net_free(&x);
}

XT_TEST(options_are_skipped_and_source_routes_refused) {
    struct xt_net x;
    uint8_t f[100], opts[28] = { 0 };
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    memcpy(opts, (const uint8_t[]){ 7, 7, 4, 0, 0, 0, 0, 0 }, 8); /* record route */
    memcpy(opts + 8, SEG, sizeof SEG);
    size_t len = xt_net_frame(f, XT_FAR, XT_US, XW_IP4_PROTO_TCP, opts, sizeof opts);
    f[IP_AT] = 0x47;
    fix_ip_checksum(f + IP_AT);
    XT_EQ(xw_net_input(x.n, xw_span(f, len), true, x.now, &x.rx), XW_NET_TCP);
    XT_EQ(x.rx.tcp.seg.len, sizeof SEG);
    XT_EQ(x.rx.tcp.seg.p[0], 0x01);
    f[IP_AT + 20] = 131;
    fix_ip_checksum(f + IP_AT);
    xt_net_expect_drop(&x, f, len, XW_DROP_IP4_OPTION);
    f[IP_AT + 20] = 7;
    f[IP_AT + 21] = 0;
    fix_ip_checksum(f + IP_AT);
    xt_net_expect_drop(&x, f, len, XW_DROP_IP4_OPTION);
    xt_net_free(&x);
}

/* A segment with these tags: cnt pairs of TPID and TCI. */
static enum xw_net_verdict tagged(struct xt_net *x, const uint16_t *tags, unsigned cnt) {
    uint8_t f[120], t[120];
    size_t len = tcp_frame(f), at = 12;
    memcpy(t, f, 12);
    for (unsigned i = 0; i < cnt; i++, at += 4) {
        xw_put_be16(t + at, tags[2 * i]);
        xw_put_be16(t + at + 2, tags[2 * i + 1]);
    }
    memcpy(t + at, f + 12, len - 12);
    return xt_net_input(x, t, at + len - 12);
}

XT_TEST(tags) {
    static const uint16_t prio[] = { 0x8100, 0xe000 }, ours[] = { 0x8100, 0x200a }, other[] = { 0x8100, 11 };
    static const uint16_t two[] = { 0x88a8, 10, 0x8100, 20 }, swapped[] = { 0x88a8, 20, 0x8100, 10 };
    static const uint16_t three[] = { 0x88a8, 10, 0x8100, 20, 0x8100, 30 }, prio_ours[] = { 0x8100, 0, 0x8100, 10 };
    struct xw_net_cfg cfg = XT_NET_DEDICATED;
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    XT_EQ(tagged(&x, NULL, 0), XW_NET_TCP);
    XT_EQ(tagged(&x, prio, 1), XW_NET_TCP); /* a priority, no VLAN */
    XT_EQ(tagged(&x, ours, 1), XW_NET_DROPPED);
    xt_net_free(&x);
    cfg.vlan_cnt = 1;
    cfg.vlan_id[0] = 10;
    xt_net_make(&x, &cfg, XW_NET_CLAIM_NONE);
    XT_EQ(tagged(&x, ours, 1), XW_NET_TCP);
    XT_EQ(tagged(&x, prio_ours, 2), XW_NET_TCP);
    XT_EQ(tagged(&x, NULL, 0), XW_NET_DROPPED);
    XT_EQ(tagged(&x, prio, 1), XW_NET_DROPPED);
    XT_EQ(tagged(&x, other, 1), XW_NET_DROPPED);
    XT_EQ(tagged(&x, two, 2), XW_NET_DROPPED);
    XT_EQ(x.drops[XW_DROP_VLAN_ID], 4);
    xt_net_free(&x);
    cfg.vlan_cnt = 2;
    cfg.vlan_id[1] = 20;
    xt_net_make(&x, &cfg, XW_NET_CLAIM_NONE);
    XT_EQ(tagged(&x, two, 2), XW_NET_TCP);
    XT_EQ(tagged(&x, swapped, 2), XW_NET_DROPPED);
    XT_EQ(tagged(&x, ours, 1), XW_NET_DROPPED);
    XT_EQ(tagged(&x, three, 3), XW_NET_DROPPED);
    XT_EQ(x.drops[XW_DROP_VLAN_ID], 2);
    XT_EQ(x.drops[XW_DROP_VLAN_DEPTH], 1);
    xt_net_free(&x);
}

/* An ICMP message to us with its checksum; the frame's length. */
static size_t icmp_frame(uint8_t *f, uint8_t type, uint8_t code, uint32_t rest, const void *body, size_t len) {
    uint8_t msg[1480];
    const struct xw_icmp4_hdr h = { .type = type, .code = code, .rest = rest };
    memcpy(msg + 8, body, len);
    return xt_net_frame(f, XT_GW, XT_US, XW_IP4_PROTO_ICMP, msg, xw_icmp4_emit(xw_mspan(msg, sizeof msg), &h, len));
}

static void quote(uint8_t q[28], uint32_t src, uint8_t proto) {
    const struct xw_ip4_hdr ip = { .src = src, .dst = XT_FAR, .proto = proto, .ttl = 1, .df = true, .hdr_len = 20,
                                   .total_len = 1500 };
    xw_ip4_emit(xw_mspan(q, 20), &ip);
    memcpy(q + 20, (const uint8_t[]){ 0xc0, 0, 0x01, 0xbb, 9, 8, 7, 6 }, 8);
}

XT_TEST(icmp_error) {
    struct xt_net x;
    uint8_t f[200], q[28];
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    quote(q, XT_US, 6);
    XT_EQ(xt_net_input(&x, f, icmp_frame(f, 3, 4, 1400, q, 28)), XW_NET_ICMP_ERROR);
    XT_EQ(x.rx.icmp.kind, XW_NET_ICMP_FRAG_NEEDED);
    XT_EQ(x.rx.icmp.mtu, 1400);
    XT_EQ(x.rx.icmp.local_ip, XT_US);
    XT_EQ(x.rx.icmp.local_port, 0xc000);
    XT_EQ(x.rx.icmp.remote_ip, XT_FAR);
    XT_EQ(x.rx.icmp.remote_port, 443);
    XT_EQ(x.rx.icmp.seq, 0x09080706);
    XT_EQ(x.rx.icmp.from, XT_GW);
    for (size_t cut = 0; cut < 28; cut++)
        xt_net_expect_drop(&x, f, icmp_frame(f, 3, 1, 0, q, cut), XW_DROP_ICMP_QUOTE);
    quote(q, XT_PEER, 6);
    xt_net_expect_drop(&x, f, icmp_frame(f, 3, 1, 0, q, 28), XW_DROP_ICMP_QUOTE);
    quote(q, XT_US, 17);
    xt_net_expect_drop(&x, f, icmp_frame(f, 3, 1, 0, q, 28), XW_DROP_ICMP_QUOTE);
    quote(q, XT_US, 6);
    xt_net_expect_drop(&x, f, icmp_frame(f, 5, 1, XT_PEER, q, 28), XW_DROP_ICMP_TYPE); /* redirect */
    xt_net_expect_drop(&x, f, icmp_frame(f, 0, 0, 0, q, 28), XW_DROP_ICMP_TYPE);       /* echo reply */
    size_t len = icmp_frame(f, 3, 1, 0, q, 28);
    f[IP_AT + 20 + 7] ^= 1;
    xt_net_expect_drop(&x, f, len, XW_DROP_ICMP_CHECKSUM);
    xt_net_expect_drop(&x, f, xt_net_frame(f, XT_GW, XT_US, 1, "1234567", 7), XW_DROP_ICMP_SHORT);
    xt_net_expect_nothing(&x);
    xt_net_free(&x);
}

XT_TEST(arp_of_others) {
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_PEER_MAC, XT_PEER, XT_GW), XW_NET_DROPPED);
    XT_EQ(x.rx.drop, XW_DROP_ARP_UNKNOWN);
    XT_EQ(xt_net_arp(&x, XW_ARP_REPLY, XT_PEER_MAC, XT_PEER, XT_US), XW_NET_DROPPED); /* nobody asked */
    XT_EQ(x.rx.drop, XW_DROP_ARP_UNKNOWN);
    xt_net_expect_nothing(&x);
    xt_net_free(&x);
}

XT_TEST(arp_malformed) {
    struct xt_net x;
    uint8_t f[42] = { 0 };
    const struct xw_eth_hdr eth = { .dst = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, .src = { 2 }, .type = 0x0806 };
    const struct xw_arp_hdr arp = { .op = XW_ARP_REQUEST, .sha = { 2, 0, 0, 0, 0, 9 }, .spa = XT_PEER, .tpa = XT_US };
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    xw_eth_emit(xw_mspan(f, sizeof f), &eth);
    xw_arp_emit(xw_mspan(f + 14, 28), &arp);
    for (size_t cut = 14; cut < 42; cut++)
        xt_net_expect_drop(&x, f, cut, XW_DROP_ARP_SHORT);
    XT_EQ(xt_net_input(&x, f, 42), XW_NET_CONSUMED);
    f[15] = 6; /* IEEE 802 hardware */
    xt_net_expect_drop(&x, f, 42, XW_DROP_ARP_MALFORMED);
    f[0] = 0x33;
    xt_net_expect_drop(&x, f, 42, XW_DROP_ETH_NOT_US);
    xt_net_free(&x);
}

XT_TEST(arp_requests_answered_and_bounded) {
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_PEER_MAC, XT_PEER, XT_US), XW_NET_CONSUMED);
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_PEER_MAC, XT_PEER, XT_US), XW_NET_CONSUMED); /* again: one answer */
    for (uint32_t i = 1; i < XW_ARP_REPLIES_MAX; i++)
        XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_OTHER_MAC, XT_PEER + i, XT_US), XW_NET_CONSUMED);
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_OTHER_MAC, XT_PEER + 99, XT_US), XW_NET_DROPPED);
    XT_EQ(x.rx.drop, XW_DROP_ARP_QUEUE);
    xt_net_expect_arp(&x, XT_PEER_MAC, XW_ARP_REPLY, XT_US, XT_PEER);
    for (uint32_t i = 1; i < XW_ARP_REPLIES_MAX; i++)
        xt_net_expect_arp(&x, XT_OTHER_MAC, XW_ARP_REPLY, XT_US, XT_PEER + i);
    xt_net_expect_nothing(&x);
    xt_net_free(&x);
}

XT_TEST(shared_mode_leaves_arp_and_echo_to_the_kernel) {
    struct xt_net x;
    uint8_t f[200];
    xt_net_make(&x, &XT_NET_SHARED, XW_NET_CLAIM_NONE);
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_PEER_MAC, XT_PEER, XT_US), XW_NET_DROPPED);
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_OTHER_MAC, XT_US, XT_US), XW_NET_DROPPED);
    XT_EQ(x.drops[XW_DROP_ARP_UNKNOWN], 2);
    xt_net_expect_drop(&x, f, icmp_frame(f, 8, 0, 1, "abc", 3), XW_DROP_ICMP_TYPE);
    XT_EQ(xt_net_send(&x, XT_FAR, 40), XW_EAGAIN);
    xt_net_after(&x, XT_S(100));
    XT_EQ(xt_net_send(&x, XT_FAR, 40), XW_EAGAIN);
    xt_net_expect_nothing(&x);
    XT_EQ(xw_net_deadline(x.n), XW_NEVER);
    xt_net_free(&x);
}

XT_MAIN(XT_RUN(segment), XT_RUN(every_truncation), XT_RUN(dropped_with_a_reason), XT_RUN(checksum_only_when_asked),
        XT_RUN(options_are_skipped_and_source_routes_refused), XT_RUN(tags), XT_RUN(icmp_error), XT_RUN(arp_of_others),
        XT_RUN(arp_malformed), XT_RUN(arp_requests_answered_and_bounded),
        XT_RUN(shared_mode_leaves_arp_and_echo_to_the_kernel))
