#include "wire/seq.h"
#include "xt.h"

static const uint32_t points[] = { 0, 1, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, 12345 };
#define POINTS (sizeof points / sizeof *points)

XT_TEST(order_holds_across_the_wrap) {
    for (unsigned i = 0; i < POINTS; i++)
        for (uint32_t d = 1; d < 0x80000000u; d = d * 3 + 1) {
            struct xw_seq a = xw_seq(points[i]), b = xw_seq_add(a, d);
            XT_TRUE(xw_seq_lt(a, b) && xw_seq_le(a, b) && !xw_seq_gt(a, b) && !xw_seq_ge(a, b) && !xw_seq_eq(a, b));
            XT_TRUE(xw_seq_gt(b, a) && xw_seq_ge(b, a) && !xw_seq_lt(b, a));
            XT_EQ(xw_seq_diff(b, a), d);
            XT_EQ(xw_seq_diff(a, b), -(long long)d);
            XT_EQ(xw_seq_dist(b, a), d);
            XT_EQ(xw_seq_max(a, b).v, b.v);
            XT_EQ(xw_seq_min(a, b).v, a.v);
            XT_EQ(xw_seq_sub(b, d).v, a.v);
        }
}

XT_TEST(a_window_contains_its_left_edge_and_not_its_right) {
    for (unsigned i = 0; i < POINTS; i++) {
        struct xw_seq lo = xw_seq(points[i]);
        XT_TRUE(xw_seq_in(lo, lo, 1) && !xw_seq_in(lo, lo, 0));
        XT_TRUE(xw_seq_in(xw_seq_add(lo, 999), lo, 1000) && !xw_seq_in(xw_seq_add(lo, 1000), lo, 1000));
        XT_TRUE(!xw_seq_in(xw_seq_sub(lo, 1), lo, 1000));
    }
}

XT_MAIN(XT_RUN(order_holds_across_the_wrap), XT_RUN(a_window_contains_its_left_edge_and_not_its_right))
