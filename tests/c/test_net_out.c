/* net/net_out.c: headers in front of a segment, a gateway that is resolved, changes and dies, echo replies. */
#include "wire/bytes.h"
#include "net/net.h"
#include "xt_net.h"

static void resolve_gateway(struct xt_net *x) {
    XT_EQ(xt_net_send(x, XT_FAR, 40), XW_EAGAIN);
    xt_net_expect_arp(x, XT_ALL_MAC, XW_ARP_REQUEST, XT_US, XT_GW);
    XT_EQ(xt_net_arp(x, XW_ARP_REPLY, XT_GW_MAC, XT_GW, XT_US), XW_NET_CONSUMED);
}

XT_TEST(headers) {
    struct xt_net x;
    struct xw_eth_hdr eth;
    struct xw_ip4_hdr ip;
    struct xw_net_hop hop = { 0 };
    const struct xw_net_ip how = { .proto = 6, .tos = 0xb8, .ttl = 63, .df = true };
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    resolve_gateway(&x);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 1);
    XT_EQ(xw_net_header_len(x.n), 34);
    memset(x.out, 0xee, sizeof x.out);
    XT_EQ(xw_net_eth_ip(x.n, &hop, xw_mspan(x.out, 1514), 1480, &how, x.now), 34);
    XT_EQ(x.out[34], 0xee);
    XT_EQ(xw_eth_parse(xw_span(x.out, 1514), &eth), XW_DROP_NONE);
    XT_MEM(eth.dst, XT_GW_MAC, 6);
    XT_MEM(eth.src, XT_US_MAC, 6);
    XT_EQ(xw_ip4_parse(xw_span(x.out + 14, 1500), true, &ip), XW_DROP_NONE);
    XT_EQ(ip.total_len, 1500);
    XT_EQ(ip.src, XT_US);
    XT_EQ(ip.dst, XT_FAR);
    XT_EQ(ip.proto, 6);
    XT_EQ(ip.tos, 0xb8);
    XT_EQ(ip.ttl, 63);
    XT_TRUE(ip.df && !ip.mf && ip.frag_off == 0);
    XT_EQ(ip.id, 0);
    xt_net_free(&x);
}

XT_TEST(tagged_headers) {
    struct xw_net_cfg cfg = XT_NET_DEDICATED;
    struct xt_net x;
    struct xw_eth_hdr eth;
    cfg.vlan_cnt = 2;
    cfg.vlan_id[0] = 10;
    cfg.vlan_id[1] = 20;
    cfg.vlan_tpid[0] = XW_ETH_TPID_AD;
    xt_net_make(&x, &cfg, XW_NET_CLAIM_NONE);
    XT_EQ(xw_net_neigh_set(x.n, XT_GW, XT_GW_MAC, x.now), XW_OK);
    XT_EQ(xt_net_send(&x, XT_FAR, 1480), 42);
    XT_EQ(xw_eth_parse(xw_span(x.out, 1522), &eth), XW_DROP_NONE);
    XT_EQ(eth.vlan_cnt, 2);
    XT_EQ(eth.vlan_tpid[0], XW_ETH_TPID_AD);
    XT_EQ(eth.vlan_tci[0], 10);
    XT_EQ(eth.vlan_tpid[1], XW_ETH_TPID_Q);
    XT_EQ(eth.vlan_tci[1], 20);
    XT_EQ(eth.type, XW_ETH_TYPE_IP4);
    XT_EQ(xt_net_send(&x, XT_PEER, 40), XW_EAGAIN); /* ARP bears the tags too */
    xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, XT_US, XT_PEER);
    XT_EQ(xw_eth_parse(xw_span(x.out, x.out_len), &eth), XW_DROP_NONE);
    XT_EQ(eth.vlan_cnt, 2);
    xt_net_free(&x);
}

XT_TEST(too_long) {
    struct xt_net x;
    struct xw_net_hop hop = { 0 };
    const struct xw_net_ip ip = { .proto = 6, .ttl = 64, .df = true };
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    XT_EQ(xw_net_neigh_set(x.n, XT_GW, XT_GW_MAC, x.now), XW_OK);
    XT_EQ(xt_net_send(&x, XT_FAR, 1480), 34);
    XT_EQ(xt_net_send(&x, XT_FAR, 1481), XW_ETOOBIG);
    XT_EQ(xt_net_send(&x, XT_FAR, SIZE_MAX), XW_ETOOBIG);
    XT_EQ(x.drops[XW_DROP_TX_TOO_LONG], 2);
    /* another connection heard of a smaller path: this one goes on until it hears of it too */
    XT_EQ(xw_net_path_mtu_set(x.n, XT_FAR, 1400, x.now), 0);
    XT_EQ(xt_net_send(&x, XT_FAR, 1480), 34);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 1);
    XT_EQ(hop.mtu, 1400);
    for (size_t cap = 0; cap < 34 + 40; cap++)
        XT_EQ(xw_net_eth_ip(x.n, &hop, xw_mspan(x.out, cap), 40, &ip, x.now), XW_ETOOBIG);
    XT_EQ(xw_net_eth_ip(x.n, &hop, xw_mspan(x.out, 34 + 40), 40, &ip, x.now), 34);
    xt_net_free(&x);
}

XT_TEST(id_of_packets_that_may_be_cut_changes) {
    struct xt_net x;
    struct xw_net_hop hop = { 0 };
    const struct xw_net_ip ip = { .proto = 6, .ttl = 64 };
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    XT_EQ(xw_net_neigh_set(x.n, XT_GW, XT_GW_MAC, x.now), XW_OK);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 1);
    uint32_t same = 0, last = 0;
    for (unsigned i = 0; i < 100; i++) {
        XT_EQ(xw_net_eth_ip(x.n, &hop, xw_mspan(x.out, sizeof x.out), 40, &ip, x.now), 34);
        same += xw_get_be16(x.out + 18) == last;
        last = xw_get_be16(x.out + 18);
    }
    XT_TRUE(same <= 2);
    xt_net_free(&x);
}

XT_TEST(no_next_hop) {
    static const uint32_t none[] = { XT_US, 0x0a0000ff, 0x0a000000, 0xffffffff, 0xe0000001, 0, 0x7f000001 };
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        XT_EQ(xt_net_send(&x, none[i], 40), XW_EUNREACH);
    XT_EQ(x.drops[XW_DROP_TX_NO_ROUTE], 7);
    xt_net_expect_nothing(&x);
    xt_net_free(&x);
}

XT_TEST(gateway_resolved_once_for_all) {
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    resolve_gateway(&x);
    XT_EQ(x.drops[XW_DROP_TX_NO_NEIGH], 1);
    XT_EQ(xt_net_send(&x, XT_FAR, 40), 34);
    xt_net_expect_mac(&x, XT_GW_MAC);
    XT_EQ(xt_net_send(&x, XT_FAR + 1, 40), 34);
    xt_net_expect_mac(&x, XT_GW_MAC);
    xt_net_expect_nothing(&x);
    XT_EQ(xt_net_send(&x, XT_PEER, 40), XW_EAGAIN); /* on link: itself */
    xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, XT_US, XT_PEER);
    xt_net_free(&x);
}

XT_TEST(gateway_that_changes_its_mac) {
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    resolve_gateway(&x);
    XT_EQ(xt_net_send(&x, XT_FAR, 40), 34);
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_OTHER_MAC, XT_GW, XT_GW), XW_NET_CONSUMED); /* announced by its successor */
    XT_EQ(xt_net_send(&x, XT_FAR, 40), 34);
    xt_net_expect_mac(&x, XT_OTHER_MAC);
    xt_net_after(&x, XT_S(5));
    xt_net_expect_arp(&x, XT_OTHER_MAC, XW_ARP_REQUEST, XT_US, XT_GW);
    XT_EQ(xt_net_arp(&x, XW_ARP_REPLY, XT_OTHER_MAC, XT_GW, XT_US), XW_NET_CONSUMED);
    xt_net_after(&x, XT_S(5));
    xt_net_expect_nothing(&x);
    XT_EQ(xt_net_send(&x, XT_FAR, 40), 34);
    xt_net_expect_mac(&x, XT_OTHER_MAC);
    xt_net_free(&x);
}

XT_TEST(gateway_that_changes_in_shared_mode) {
    struct xt_net x;
    xt_net_make(&x, &XT_NET_SHARED, XW_NET_CLAIM_NONE);
    XT_EQ(xt_net_send(&x, XT_FAR, 40), XW_EAGAIN);
    XT_EQ(xw_net_neigh_set(x.n, XT_GW, XT_GW_MAC, x.now), XW_OK);
    XT_EQ(xt_net_send(&x, XT_FAR, 40), 34);
    xt_net_expect_mac(&x, XT_GW_MAC);
    XT_EQ(xw_net_neigh_set(x.n, XT_GW, XT_OTHER_MAC, x.now), XW_OK);
    XT_EQ(xt_net_send(&x, XT_FAR, 40), 34);
    xt_net_expect_mac(&x, XT_OTHER_MAC);
    xt_net_expect_nothing(&x);
    xt_net_free(&x);
}

XT_TEST(gateway_kept_by_progress_without_arp) {
    struct xt_net x;
    struct xw_net_hop hop = { 0 };
    const struct xw_net_ip ip = { .proto = 6, .ttl = 64, .df = true };
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    resolve_gateway(&x);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 1);
    for (unsigned i = 0; i < 60; i++) {
        xt_net_after(&x, XT_S(10));
        XT_EQ(xw_net_eth_ip(x.n, &hop, xw_mspan(x.out, sizeof x.out), 40, &ip, x.now), 34);
        xw_net_confirm(x.n, &hop, x.now);
        xt_net_expect_nothing(&x);
    }
    xt_net_free(&x);
}

XT_TEST(gateway_that_dies_and_comes_back) {
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    resolve_gateway(&x);
    xt_net_after(&x, XT_S(31));
    XT_EQ(xt_net_send(&x, XT_FAR, 40), 34);
    xt_net_after(&x, XT_S(5));
    for (unsigned i = 0; i < 6; i++) {
        XT_EQ(xt_net_send(&x, XT_FAR, 40), 34); /* still used */
        xt_net_expect_arp(&x, i < 3 ? XT_GW_MAC : XT_ALL_MAC, XW_ARP_REQUEST, XT_US, XT_GW);
        xt_net_expect_nothing(&x);
        xt_net_after(&x, XT_S(1));
    }
    XT_EQ(xt_net_send(&x, XT_FAR, 40), XW_EUNREACH);
    xt_net_expect_nothing(&x);
    xt_net_after(&x, XT_S(1));
    resolve_gateway(&x);
    XT_EQ(xt_net_send(&x, XT_FAR, 40), 34);
    xt_net_free(&x);
}

static size_t echo_request(uint8_t *f, uint32_t src, const void *data, size_t len) {
    static uint8_t msg[9000];
    const struct xw_icmp4_hdr h = { .type = XW_ICMP4_ECHO, .rest = 0x12345678 };
    memcpy(msg + 8, data, len);
    return xt_net_frame(f, src, XT_US, XW_IP4_PROTO_ICMP, msg, xw_icmp4_emit(xw_mspan(msg, sizeof msg), &h, len));
}

static void expect_echo_reply(struct xt_net *x, uint32_t dst, const void *data, size_t len) {
    struct xw_ip4_hdr ip;
    struct xw_icmp4_hdr h;
    XT_TRUE(xt_net_output(x) > 0);
    XT_EQ(xw_ip4_parse(xw_span(x->out + 14, x->out_len - 14), true, &ip), XW_DROP_NONE);
    XT_EQ(ip.dst, dst);
    XT_EQ(ip.src, XT_US);
    XT_EQ(ip.total_len, 28 + len);
    XT_EQ(x->out_len, 42 + len < 60 ? 60 : 42 + len);
    XT_EQ(xw_icmp4_parse(xw_ip4_payload(xw_span(x->out + 14, x->out_len - 14), &ip), true, &h), XW_DROP_NONE);
    XT_EQ(h.type, XW_ICMP4_ECHO_REPLY);
    XT_EQ(h.code, 0);
    XT_EQ(h.rest, 0x12345678);
    XT_MEM(x->out + 42, data, len);
}

XT_TEST(echo_answered_whatever_its_length) {
    static uint8_t data[1472], f[1600];
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    resolve_gateway(&x);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t len = 0; len <= sizeof data; len += len < 24 ? 1 : 362) {
        xt_net_after(&x, XT_MS(100));
        XT_EQ(xt_net_input(&x, f, echo_request(f, XT_FAR, data, len)), XW_NET_CONSUMED);
        expect_echo_reply(&x, XT_FAR, data, len);
        xt_net_expect_nothing(&x);
    }
    xt_net_free(&x);
}

XT_TEST(echo_waits_for_its_neighbour) {
    uint8_t f[100];
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    resolve_gateway(&x);
    XT_EQ(xt_net_input(&x, f, echo_request(f, XT_PEER, "abc", 3)), XW_NET_CONSUMED);
    xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, XT_US, XT_PEER);
    xt_net_expect_nothing(&x);
    XT_EQ(xt_net_input(&x, f, echo_request(f, XT_FAR, "def", 3)), XW_NET_CONSUMED);
    expect_echo_reply(&x, XT_FAR, "def", 3); /* overtakes the one that waits */
    xt_net_expect_nothing(&x);
    XT_EQ(xt_net_arp(&x, XW_ARP_REPLY, XT_PEER_MAC, XT_PEER, XT_US), XW_NET_CONSUMED);
    expect_echo_reply(&x, XT_PEER, "abc", 3);
    xt_net_expect_nothing(&x);
    xt_net_free(&x);
}

XT_TEST(echo_whose_neighbour_never_answers_is_dropped) {
    uint8_t f[100];
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    XT_EQ(xt_net_input(&x, f, echo_request(f, XT_PEER, "abc", 3)), XW_NET_CONSUMED);
    for (unsigned i = 0; i < 3; i++) {
        xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, XT_US, XT_PEER);
        xt_net_expect_nothing(&x);
        xt_net_after(&x, XT_S(1));
    }
    xt_net_expect_nothing(&x);
    XT_EQ(xw_net_deadline(x.n), XW_NEVER);
    xt_net_free(&x);
}

XT_TEST(echo_flood_is_bounded) {
    uint8_t f[100];
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    resolve_gateway(&x);
    for (unsigned i = 0; i < 100; i++) {
        enum xw_net_verdict v = xt_net_input(&x, f, echo_request(f, XT_FAR, "abc", 3));
        XT_EQ(v, i < XW_ECHO_MAX ? XW_NET_CONSUMED : XW_NET_DROPPED);
    }
    XT_EQ(x.drops[XW_DROP_ICMP_RATE], 100 - XW_ECHO_MAX);
    for (unsigned i = 0; i < XW_ECHO_MAX; i++)
        expect_echo_reply(&x, XT_FAR, "abc", 3);
    xt_net_expect_nothing(&x);
    xt_net_free(&x);
}

XT_TEST(output_needs_a_whole_frame) {
    struct xt_net x;
    uint8_t small[1521];
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    XT_EQ(xt_net_send(&x, XT_PEER, 40), XW_EAGAIN);
    XT_EQ(xw_net_output(x.n, xw_mspan(small, sizeof small), x.now), 0);
    XT_TRUE(xw_net_pending(x.n));
    xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, XT_US, XT_PEER);
    for (size_t i = 42; i < 60; i++) /* padding shows nothing of what was there before */
        XT_EQ(x.out[i], 0);
    xt_net_free(&x);
}

XT_MAIN(XT_RUN(headers), XT_RUN(tagged_headers), XT_RUN(too_long), XT_RUN(id_of_packets_that_may_be_cut_changes),
        XT_RUN(no_next_hop), XT_RUN(gateway_resolved_once_for_all), XT_RUN(gateway_that_changes_its_mac),
        XT_RUN(gateway_that_changes_in_shared_mode), XT_RUN(gateway_kept_by_progress_without_arp),
        XT_RUN(gateway_that_dies_and_comes_back), XT_RUN(echo_answered_whatever_its_length),
        XT_RUN(echo_waits_for_its_neighbour), XT_RUN(echo_whose_neighbour_never_answers_is_dropped),
        XT_RUN(echo_flood_is_bounded), XT_RUN(output_needs_a_whole_frame))
