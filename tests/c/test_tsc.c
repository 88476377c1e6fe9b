/* base/tsc.h: the line through pairs, on a counter by hand: 2.5 GHz, so one tick is 0.4 ns. */
#include "base/limits.h"
#include "base/tsc.h"
#include "xt.h"

#define N0 (1000 * XW_NS_PER_S)

XT_TEST(no_line_before_two_pairs) {
    struct xw_tsc t = { 0 };
    XT_EQ(xw_tsc_ns(&t, 12345), 0);
    xw_tsc_pair(&t, 1000, N0);
    XT_EQ(xw_tsc_ns(&t, 1010), 0);
    XT_EQ(t.hz, 0);
}

/* A pair whose counter is not later than the last one's makes no line: it begins anew with it. */
static void two(struct xw_tsc *t) {
    *t = (struct xw_tsc){ 0 };
    xw_tsc_pair(t, 1000000000, N0);
    xw_tsc_pair(t, 1000000000 + 25000000, N0 + 10 * XW_NS_PER_MS);
}

XT_TEST(two_pairs_make_a_line) {
    struct xw_tsc t;
    two(&t);
    XT_EQ(t.hz, 2500000000);
    XT_EQ(xw_tsc_ns(&t, 1025000000u), N0 + 10 * XW_NS_PER_MS);
    /* rounded down, by below a nanosecond also half a second on */
    XT_EQ(xw_tsc_ns(&t, 1025000000u + 2501), N0 + 10 * XW_NS_PER_MS + 1000);
    uint64_t far = xw_tsc_ns(&t, 1025000000u + 1249000000u);
    XT_TRUE(far <= N0 + 10 * XW_NS_PER_MS + 499600000 && far + 1 >= N0 + 10 * XW_NS_PER_MS + 499600000);
}

XT_TEST(stale_or_backwards_is_no_time) {
    struct xw_tsc t;
    two(&t);
    XT_TRUE(xw_tsc_ns(&t, 1025000000u + 1249999999u) != 0);
    XT_EQ(xw_tsc_ns(&t, 1025000000u + 1250001000u), 0);
    XT_EQ(xw_tsc_ns(&t, 1024999999), 0);
}

/* 300 ns off: time goes on from where the line was, and half of it is gone one period later. */
XT_TEST(noise_is_slewed_and_time_never_goes_back) {
    struct xw_tsc t;
    two(&t);
    uint64_t tsc = 1025000000u + 250000000, ns = N0 + 110 * XW_NS_PER_MS;
    uint64_t told = xw_tsc_ns(&t, tsc);
    xw_tsc_pair(&t, tsc, ns - 300);
    XT_EQ(t.off_ns, (int64_t)(told - (ns - 300)));
    XT_EQ(xw_tsc_ns(&t, tsc), told);
    XT_TRUE(xw_tsc_ns(&t, tsc + 250) > told);
    XT_EQ(t.steps, 0);
    XT_TRUE(t.worst_ns >= 299 && t.worst_ns <= 301);
    /* the clock goes on with its old rate from there: what is left is 150 from the slew, 300 from the slope's error */
    int64_t left = (int64_t)(xw_tsc_ns(&t, tsc + 250000000) - (ns - 300 + 100 * XW_NS_PER_MS));
    XT_TRUE(left >= -160 && left <= -140);
}

XT_TEST(constant_rate_converges) {
    struct xw_tsc t;
    two(&t);
    uint64_t tsc = 1025000000u, ns = N0 + 10 * XW_NS_PER_MS + 700; /* the second pair was 700 ns off */
    for (unsigned i = 0; i < 20; i++) {
        tsc += 250000000;
        ns += 100 * XW_NS_PER_MS;
        uint64_t before = xw_tsc_ns(&t, tsc);
        xw_tsc_pair(&t, tsc, ns);
        XT_TRUE(xw_tsc_ns(&t, tsc) >= before);
    }
    XT_TRUE(t.off_ns >= -2 && t.off_ns <= 2);
    XT_EQ(t.steps, 0);
}

XT_TEST(a_step_is_taken_and_counted) {
    struct xw_tsc t;
    two(&t);
    uint64_t tsc = 1025000000u + 250000000, ns = N0 + 110 * XW_NS_PER_MS + 50000;
    xw_tsc_pair(&t, tsc, ns);
    XT_EQ(t.steps, 1);
    XT_EQ(xw_tsc_ns(&t, tsc), ns);
    XT_EQ(t.worst_ns, 0);
}

XT_TEST(a_counter_that_was_reset_needs_two_new_pairs) {
    struct xw_tsc t;
    two(&t);
    xw_tsc_pair(&t, 5000, N0 + 110 * XW_NS_PER_MS);
    XT_EQ(xw_tsc_ns(&t, 5000), 0);
    xw_tsc_pair(&t, 5000 + 250000000, N0 + 210 * XW_NS_PER_MS);
    XT_EQ(xw_tsc_ns(&t, 5000 + 250000000), N0 + 210 * XW_NS_PER_MS);
}

XT_TEST(this_machine_reads_its_counter) {
#if defined(__x86_64__)
    uint64_t a = xw_tsc_read(), b = xw_tsc_read();
    XT_TRUE(b >= a && a);
#else
    XT_TRUE(!xw_tsc_invariant() && !xw_tsc_read());
#endif
}

XT_MAIN(XT_RUN(no_line_before_two_pairs), XT_RUN(two_pairs_make_a_line), XT_RUN(stale_or_backwards_is_no_time),
        XT_RUN(noise_is_slewed_and_time_never_goes_back), XT_RUN(constant_rate_converges),
        XT_RUN(a_step_is_taken_and_counted), XT_RUN(a_counter_that_was_reset_needs_two_new_pairs),
        XT_RUN(this_machine_reads_its_counter))
