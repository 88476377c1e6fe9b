/* net/route.c: longest prefix, replacement, bounds; path MTUs that only fall and are forgotten. */
#include "net/route.h"
#include "base/err.h"
#include "xt.h"

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define LIFE (600 * XW_NS_PER_S)

static int add(struct xw_routes *r, uint32_t net, unsigned len, uint32_t gateway, uint32_t mtu) {
    const struct xw_route a = { .net = net, .mask = len ? ~0u << (32 - len) : 0, .gateway = gateway, .mtu = mtu };
    return xw_routes_add(r, &a);
}

static uint32_t gateway_of(const struct xw_routes *r, uint32_t dst) {
    const struct xw_route *f = xw_routes_find(r, dst);
    return f ? f->gateway : 0;
}

XT_TEST(longest_mask_wins_in_any_order) {
    static const unsigned orders[3][4] = { { 0, 8, 24, 32 }, { 32, 24, 8, 0 }, { 24, 0, 32, 8 } };
    for (unsigned o = 0; o < 3; o++) {
        struct xw_routes r = { 0 };
        for (unsigned i = 0; i < 4; i++) {
            unsigned len = orders[o][i];
            XT_EQ(add(&r, len ? IP(10, 1, 2, 3) & ~0u << (32 - len) : 0, len, 100 + len, 1500), XW_OK);
        }
        XT_EQ(gateway_of(&r, IP(10, 1, 2, 3)), 132);
        XT_EQ(gateway_of(&r, IP(10, 1, 2, 4)), 124);
        XT_EQ(gateway_of(&r, IP(10, 1, 3, 3)), 108);
        XT_EQ(gateway_of(&r, IP(11, 1, 2, 3)), 100);
        XT_EQ(xw_routes_del(&r, 0, 0), XW_OK);
        XT_TRUE(xw_routes_find(&r, IP(11, 1, 2, 3)) == NULL);
        XT_EQ(xw_routes_del(&r, 0, 0), XW_EINVAL);
        XT_EQ(xw_routes_del(&r, IP(10, 1, 2, 3), ~0u), XW_OK);
        XT_EQ(gateway_of(&r, IP(10, 1, 2, 3)), 124);
        XT_EQ(r.cnt, 2);
    }
}

XT_TEST(same_net_is_replaced) {
    struct xw_routes r = { 0 };
    XT_EQ(add(&r, IP(10, 0, 0, 0), 8, 1, 1500), XW_OK);
    XT_EQ(add(&r, IP(11, 0, 0, 0), 8, 2, 1500), XW_OK);
    XT_EQ(add(&r, IP(11, 0, 0, 0), 8, 3, 1400), XW_OK);
    XT_EQ(r.cnt, 2);
    XT_EQ(gateway_of(&r, IP(11, 9, 9, 9)), 3);
    XT_EQ(xw_routes_find(&r, IP(11, 0, 0, 1))->mtu, 1400);
    XT_EQ(gateway_of(&r, IP(10, 9, 9, 9)), 1);
}

XT_TEST(mistakes_and_bounds) {
    struct xw_routes r = { 0 };
    const struct xw_route holes = { .net = 0, .mask = 0xff00ff00, .mtu = 1500 };
    XT_EQ(xw_routes_add(&r, &holes), XW_EINVAL);
    XT_EQ(add(&r, IP(10, 0, 0, 1), 24, 0, 1500), XW_EINVAL);
    XT_EQ(add(&r, 0, 0, 0, XW_MTU_MIN - 1), XW_EINVAL);
    XT_EQ(add(&r, 0, 0, 0, XW_MTU_MAX + 1), XW_EINVAL);
    XT_EQ(r.cnt, 0);
    for (unsigned i = 0; i < XW_ROUTES_MAX; i++)
        XT_EQ(add(&r, IP(10, 0, i, 0), 24, i + 1, 1500), XW_OK);
    XT_EQ(add(&r, IP(10, 1, 0, 0), 24, 1, 1500), XW_ENOSPC);
    XT_EQ(add(&r, IP(10, 0, 5, 0), 24, 77, 1500), XW_OK); /* replacing needs no room */
    XT_EQ(gateway_of(&r, IP(10, 0, 5, 5)), 77);
    XT_EQ(gateway_of(&r, IP(10, 0, XW_ROUTES_MAX - 1, 5)), XW_ROUTES_MAX);
}

XT_TEST(masks) {
    for (unsigned len = 0; len <= 32; len++)
        XT_TRUE(xw_mask_ok(len ? ~0u << (32 - len) : 0));
    XT_TRUE(!xw_mask_ok(1) && !xw_mask_ok(0x7fffffff) && !xw_mask_ok(0xfffffffd) && !xw_mask_ok(0x80000001));
}

XT_TEST(path_mtu_only_falls) {
    struct xw_routes r = { 0 };
    XT_EQ(xw_pmtu_get(&r, 7, 1500), 1500);
    XT_EQ(xw_pmtu_deadline(&r), XW_NEVER);
    XT_EQ(xw_pmtu_set(&r, 7, 1500, 1500, 0), 1);
    XT_EQ(xw_pmtu_set(&r, 7, 1400, 1500, 0), 0);
    XT_EQ(xw_pmtu_set(&r, 7, 1450, 1500, 0), 1);
    XT_EQ(xw_pmtu_get(&r, 7, 1500), 1400);
    XT_EQ(xw_pmtu_set(&r, 7, 1300, 1500, 0), 0);
    XT_EQ(xw_pmtu_get(&r, 7, 1500), 1300);
    XT_EQ(xw_pmtu_get(&r, 8, 1500), 1500);
    XT_EQ(xw_pmtu_get(&r, 7, 1200), 1200); /* the route's fell below it */
}

XT_TEST(path_mtu_is_forgotten_after_ten_minutes) {
    struct xw_routes r = { 0 };
    XT_EQ(xw_pmtu_set(&r, 7, 1400, 1500, 1000), 0);
    XT_EQ(xw_pmtu_set(&r, 8, 1300, 1500, 2000), 0);
    XT_EQ(xw_pmtu_deadline(&r), 1000 + LIFE);
    XT_TRUE(!xw_pmtu_expire(&r, 1000 + LIFE - 1));
    XT_TRUE(xw_pmtu_expire(&r, 1000 + LIFE));
    XT_EQ(xw_pmtu_get(&r, 7, 1500), 1500);
    XT_EQ(xw_pmtu_get(&r, 8, 1500), 1300);
    XT_EQ(xw_pmtu_set(&r, 8, 1300, 1500, 5000), 1); /* told again: lives on */
    XT_EQ(xw_pmtu_deadline(&r), 5000 + LIFE);
}

XT_TEST(path_mtu_table_full) {
    struct xw_routes r = { 0 };
    for (uint32_t i = 0; i < XW_PMTU_MAX; i++)
        XT_EQ(xw_pmtu_set(&r, 100 + i, 1400, 1500, i == 9 ? 1 : 1000 + i), 0);
    XT_EQ(xw_pmtu_set(&r, 1, 1200, 1500, 9999), 0);
    XT_EQ(r.pmtu_cnt, XW_PMTU_MAX);
    XT_EQ(xw_pmtu_get(&r, 1, 1500), 1200);
    for (uint32_t i = 0; i < XW_PMTU_MAX; i++)
        XT_EQ(xw_pmtu_get(&r, 100 + i, 1500), i == 9 ? 1500 : 1400); /* the one that would have ended first */
}

XT_MAIN(XT_RUN(longest_mask_wins_in_any_order), XT_RUN(same_net_is_replaced), XT_RUN(mistakes_and_bounds), XT_RUN(masks),
        XT_RUN(path_mtu_only_falls), XT_RUN(path_mtu_is_forgotten_after_ten_minutes), XT_RUN(path_mtu_table_full))
