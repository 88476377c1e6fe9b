/* net/net.c: configuration that is refused, the address' life, routes and path MTU as a connection sees them, time. */
#include "net/net.h"
#include "xt_net.h"

static int init_with(void (*change)(struct xw_net_cfg *)) {
    static uint64_t drops[XW_DROP_COUNT];
    struct xw_net_cfg cfg = XT_NET_DEDICATED;
    struct xw_rng rng;
    struct xw_net *n;
    static const uint8_t seed[32];
    xw_rng_init(&rng, seed);
    change(&cfg);
    void *mem = malloc(xw_net_size());
    int rc = xw_net_init(mem, &cfg, &rng, drops, &n);
    free(mem);
    return rc;
}

static void same(struct xw_net_cfg *c) { (void)c; }
static void ip_zero(struct xw_net_cfg *c) { c->ip = 0; }
static void ip_group(struct xw_net_cfg *c) { c->ip = 0xe0000001; }
static void ip_loop(struct xw_net_cfg *c) { c->ip = 0x7f000001; }
static void ip_net(struct xw_net_cfg *c) { c->ip = 0x0a000000; }
static void ip_broadcast(struct xw_net_cfg *c) { c->ip = 0x0a0000ff; }
static void ip_slash31(struct xw_net_cfg *c) { c->ip = 0x0a000000; c->mask = 0xfffffffe; }
static void ip_slash32(struct xw_net_cfg *c) { c->ip = 0x0a0000ff; c->mask = 0xffffffff; }
static void mask_holes(struct xw_net_cfg *c) { c->mask = 0xff00ff00; }
static void mtu_small(struct xw_net_cfg *c) { c->mtu = 67; }
static void mtu_large(struct xw_net_cfg *c) { c->mtu = 9001; }
static void mac_group(struct xw_net_cfg *c) { c->mac[0] = 3; }
static void mac_zero(struct xw_net_cfg *c) { memset(c->mac, 0, 6); }
static void vlan_three(struct xw_net_cfg *c) { c->vlan_cnt = 3; c->vlan_id[0] = c->vlan_id[1] = 5; }
static void vlan_zero(struct xw_net_cfg *c) { c->vlan_cnt = 1; }
static void vlan_4095(struct xw_net_cfg *c) { c->vlan_cnt = 1; c->vlan_id[0] = 4095; }
static void vlan_ok(struct xw_net_cfg *c) { c->vlan_cnt = 2; c->vlan_id[0] = 1; c->vlan_id[1] = 4094; }

XT_TEST(configuration) {
    static const struct { const char *what; void (*change)(struct xw_net_cfg *); int rc; } cases[] = {
        { "as it is", same, XW_OK }, { "address 0", ip_zero, XW_EINVAL }, { "multicast", ip_group, XW_EINVAL },
        { "loopback", ip_loop, XW_EINVAL }, { "address of the network", ip_net, XW_EINVAL },
        { "its broadcast", ip_broadcast, XW_EINVAL }, { "/31 has neither", ip_slash31, XW_OK },
        { "/32", ip_slash32, XW_OK }, { "holes", mask_holes, XW_EINVAL }, { "MTU 67", mtu_small, XW_EINVAL },
        { "MTU 9001", mtu_large, XW_EINVAL }, { "multicast MAC", mac_group, XW_EINVAL },
        { "MAC 0", mac_zero, XW_EINVAL }, { "three tags", vlan_three, XW_EINVAL }, { "VLAN 0", vlan_zero, XW_EINVAL },
        { "VLAN 4095", vlan_4095, XW_EINVAL }, { "VLAN 1 and 4094", vlan_ok, XW_OK },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (init_with(cases[i].change) != cases[i].rc)
            XT_FAIL("%s: not %d", cases[i].what, cases[i].rc);
}

XT_TEST(address_probed_announced_used) {
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_FAST);
    XT_EQ(xw_net_addr_state(x.n), XW_NET_ADDR_PROBING);
    for (unsigned i = 0; i < 3; i++) {
        XT_EQ(xt_net_send(&x, XT_PEER, 40), XW_EAGAIN);
        xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, 0, XT_US);
        xt_net_expect_nothing(&x);
        xt_net_after(&x, XT_MS(200));
    }
    XT_EQ(xw_net_addr_state(x.n), XW_NET_ADDR_OK);
    xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, XT_US, XT_US);
    xt_net_after(&x, XT_S(2));
    xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, XT_US, XT_US);
    xt_net_expect_nothing(&x);
    XT_EQ(xw_net_deadline(x.n), XW_NEVER);
    xt_net_free(&x);
}

XT_TEST(address_taken_by_its_user) {
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_FAST);
    xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, 0, XT_US);
    XT_EQ(xt_net_arp(&x, XW_ARP_REPLY, XT_OTHER_MAC, XT_US, 0), XW_NET_DROPPED);
    XT_EQ(x.rx.drop, XW_DROP_ARP_CONFLICT);
    XT_EQ(xw_net_addr_state(x.n), XW_NET_ADDR_CONFLICT);
    XT_EQ(xt_net_send(&x, XT_PEER, 40), XW_EADDRINUSE);
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_PEER_MAC, XT_PEER, XT_US), XW_NET_DROPPED); /* not ours to answer */
    xt_net_expect_nothing(&x);
    xt_net_after(&x, XT_S(60));
    xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, 0, XT_US);
    xt_net_free(&x);
}

XT_TEST(address_probed_by_another_at_the_same_time) {
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_FAST);
    xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, 0, XT_US);
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_US_MAC, 0, XT_US), XW_NET_DROPPED); /* our own probe, sent back */
    XT_EQ(xt_net_arp(&x, XW_ARP_REPLY, XT_OTHER_MAC, 0, XT_US), XW_NET_DROPPED); /* nobody's answer */
    XT_EQ(xw_net_addr_state(x.n), XW_NET_ADDR_PROBING);
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_OTHER_MAC, 0, XT_US), XW_NET_DROPPED);
    XT_EQ(xw_net_addr_state(x.n), XW_NET_ADDR_CONFLICT);
    xt_net_free(&x);
}

XT_TEST(address_defended) {
    struct xt_net x;
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_OTHER_MAC, XT_US, XT_US), XW_NET_DROPPED);
    XT_EQ(x.drops[XW_DROP_ARP_CONFLICT], 1);
    xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, XT_US, XT_US);
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_OTHER_MAC, XT_US, XT_GW), XW_NET_DROPPED);
    XT_EQ(x.drops[XW_DROP_ARP_CONFLICT], 2);
    xt_net_expect_nothing(&x);
    XT_EQ(xw_net_addr_state(x.n), XW_NET_ADDR_OK);
    /* a probe of another host is answered, which tells it */
    XT_EQ(xt_net_arp(&x, XW_ARP_REQUEST, XT_OTHER_MAC, 0, XT_US), XW_NET_CONSUMED);
    xt_net_expect_arp(&x, XT_OTHER_MAC, XW_ARP_REPLY, XT_US, 0);
    xt_net_free(&x);
}

XT_TEST(routes_reach_a_connection_by_the_generation) {
    struct xt_net x;
    struct xw_net_hop hop = { 0 };
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 1);
    XT_EQ(hop.next, XT_GW);
    XT_EQ(hop.mtu, 1500);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 0);
    XT_EQ(xw_net_route_add(x.n, XT_FAR & 0xffffff00, 0xffffff00, XT_PEER, 1400), XW_OK);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 1);
    XT_EQ(hop.next, XT_PEER);
    XT_EQ(hop.mtu, 1400);
    XT_EQ(xw_net_route_del(x.n, XT_FAR & 0xffffff00, 0xffffff00), XW_OK);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 1);
    XT_EQ(hop.next, XT_GW);
    XT_EQ(xw_net_route(x.n, XT_PEER, &hop), 1); /* the same hop for another peer */
    XT_EQ(hop.next, XT_PEER);
    XT_EQ(xw_net_route_del(x.n, 0, 0), XW_OK);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), XW_EUNREACH);
    XT_EQ(x.drops[XW_DROP_TX_NO_ROUTE], 1);
    /* a gateway outside our network, as clouds give it; MTU no larger than the interface's */
    XT_EQ(xw_net_route_add(x.n, 0, 0, 0xac1f0101, 9000), XW_OK);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 1);
    XT_EQ(hop.next, 0xac1f0101);
    XT_EQ(hop.mtu, 1500);
    XT_EQ(xw_net_route_add(x.n, 0, 0, XT_US, 0), XW_EINVAL);
    XT_EQ(xw_net_route_add(x.n, 0, 0, 0xe0000001, 0), XW_EINVAL);
    xt_net_free(&x);
}

XT_TEST(path_mtu_reaches_a_connection_and_is_forgotten) {
    struct xt_net x;
    struct xw_net_hop hop = { 0 }, other = { 0 };
    xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 1);
    XT_EQ(xw_net_path_mtu_set(x.n, XT_FAR, 67, x.now), XW_EINVAL);
    XT_EQ(xw_net_path_mtu_set(x.n, XT_FAR, 1500, x.now), 1);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 0);
    XT_EQ(xw_net_path_mtu_set(x.n, XT_FAR, 1400, x.now), 0);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 1);
    XT_EQ(hop.mtu, 1400);
    XT_EQ(xw_net_route(x.n, XT_FAR + 1, &other), 1);
    XT_EQ(other.mtu, 1500);
    XT_EQ(xw_net_deadline(x.n), x.now + XT_S(600));
    xt_net_after(&x, XT_S(600) - 1);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 0);
    xt_net_after(&x, 1);
    XT_EQ(xw_net_route(x.n, XT_FAR, &hop), 1);
    XT_EQ(hop.mtu, 1500);
    xt_net_free(&x);
}

XT_TEST(neighbours_told) {
    struct xt_net x;
    uint8_t mac[6];
    xt_net_make(&x, &XT_NET_SHARED, XW_NET_CLAIM_NONE);
    XT_EQ(xw_net_addr_state(x.n), XW_NET_ADDR_OK);
    XT_EQ(xw_net_neigh_get(x.n, XT_GW, mac), XW_EAGAIN);
    XT_EQ(xw_net_neigh_set(x.n, XT_GW, XT_ALL_MAC, x.now), XW_EINVAL);
    XT_EQ(xw_net_neigh_set(x.n, XT_GW, (const uint8_t[6]){ 0 }, x.now), XW_EINVAL);
    XT_EQ(xw_net_neigh_set(x.n, 0xffffffff, XT_GW_MAC, x.now), XW_EINVAL);
    XT_EQ(xw_net_neigh_set(x.n, XT_GW, XT_GW_MAC, x.now), XW_OK);
    XT_EQ(xw_net_neigh_get(x.n, XT_GW, mac), XW_OK);
    XT_MEM(mac, XT_GW_MAC, 6);
    XT_EQ(xw_net_neigh_del(x.n, XT_GW), XW_OK);
    XT_EQ(xw_net_neigh_get(x.n, XT_GW, mac), XW_EAGAIN);
    XT_EQ(xw_net_neigh_del(x.n, XT_GW), XW_EINVAL);
    xt_net_free(&x);
}

XT_TEST(two_layers_do_not_notice_each_other) {
    struct xt_net a, b;
    xt_net_make(&a, NULL, XW_NET_CLAIM_NONE);
    xt_net_make(&b, NULL, XW_NET_CLAIM_NONE);
    XT_EQ(xt_net_send(&a, XT_PEER, 40), XW_EAGAIN);
    XT_EQ(xw_net_route_add(a.n, 0x0b000000, 0xff000000, XT_PEER, 0), XW_OK);
    XT_EQ(xt_net_arp(&a, XW_ARP_REQUEST, XT_OTHER_MAC, XT_US, XT_US), XW_NET_DROPPED);
    xt_net_expect_nothing(&b);
    struct xw_net_hop hop = { 0 };
    XT_EQ(xw_net_route(b.n, 0x0b000001, &hop), 1);
    XT_EQ(hop.next, XT_GW);
    XT_EQ(b.drops[XW_DROP_ARP_CONFLICT], 0);
    xt_net_free(&a);
    xt_net_free(&b);
}

XT_MAIN(XT_RUN(configuration), XT_RUN(address_probed_announced_used), XT_RUN(address_taken_by_its_user),
        XT_RUN(address_probed_by_another_at_the_same_time), XT_RUN(address_defended),
        XT_RUN(routes_reach_a_connection_by_the_generation), XT_RUN(path_mtu_reaches_a_connection_and_is_forgotten),
        XT_RUN(neighbours_told), XT_RUN(two_layers_do_not_notice_each_other))
