/* net/addr.c: claiming and defending the address, on a clock by hand. */
#include "net/addr.h"
#include "xt.h"

#define S(n) ((uint64_t)(n) * XW_NS_PER_S)
#define MS(n) ((uint64_t)(n) * XW_NS_PER_MS)

struct ax { struct xw_claim c; struct xw_rng rng; uint64_t now; };

static void make(struct ax *x, enum xw_net_claim how, uint8_t seed) {
    const uint8_t bytes[32] = { seed };
    memset(x, 0, sizeof *x);
    xw_rng_init(&x->rng, bytes);
    x->now = S(100);
    xw_claim_start(&x->c, how, &x->rng, x->now);
}

static enum xw_claim_send pull(struct ax *x) { return xw_claim_output(&x->c, &x->rng, x->now); }

/* To the timer, and past it. Returns how long that was. */
static uint64_t next(struct ax *x) {
    uint64_t before = x->now;
    XT_TRUE(x->c.timer_ns != XW_NEVER && x->c.timer_ns >= x->now);
    x->now = x->c.timer_ns;
    xw_claim_tick(&x->c, &x->rng, x->now);
    return x->now - before;
}

XT_TEST(without_probing) {
    struct ax x;
    make(&x, XW_NET_CLAIM_NONE, 1);
    XT_EQ(x.c.state, XW_NET_ADDR_OK);
    XT_EQ(pull(&x), XW_CLAIM_SEND_ANNOUNCE);
    XT_EQ(pull(&x), XW_CLAIM_SEND_NONE);
    XT_EQ(next(&x), S(2));
    XT_EQ(pull(&x), XW_CLAIM_SEND_ANNOUNCE);
    XT_EQ(x.c.timer_ns, XW_NEVER);
}

XT_TEST(waits_of_the_rfc) {
    uint64_t first_min = S(9), first_max = 0;
    for (uint8_t seed = 0; seed < 100; seed++) {
        struct ax x;
        make(&x, XW_NET_CLAIM_RFC, seed);
        XT_EQ(pull(&x), XW_CLAIM_SEND_NONE);
        uint64_t wait = next(&x);
        XT_TRUE(wait < S(1));
        first_min = wait < first_min ? wait : first_min;
        first_max = wait > first_max ? wait : first_max;
        for (unsigned i = 0; i < 3; i++) {
            XT_EQ(x.c.state, XW_NET_ADDR_PROBING);
            XT_EQ(pull(&x), XW_CLAIM_SEND_PROBE);
            XT_EQ(pull(&x), XW_CLAIM_SEND_NONE);
            wait = next(&x);
            if (i < 2)
                XT_TRUE(wait >= S(1) && wait < S(2));
            else
                XT_EQ(wait, S(2));
        }
        XT_EQ(x.c.state, XW_NET_ADDR_OK);
        XT_EQ(pull(&x), XW_CLAIM_SEND_ANNOUNCE);
    }
    XT_TRUE(first_max - first_min > MS(500)); /* hosts that start together do not probe together */
}

XT_TEST(fast) {
    struct ax x;
    make(&x, XW_NET_CLAIM_FAST, 1);
    uint64_t begin = x.now;
    for (unsigned i = 0; i < 3; i++) {
        XT_EQ(pull(&x), XW_CLAIM_SEND_PROBE);
        XT_EQ(next(&x), MS(200));
    }
    XT_EQ(x.c.state, XW_NET_ADDR_OK);
    XT_EQ(x.now - begin, MS(600));
}

XT_TEST(conflict_while_probing_rests_a_minute) {
    struct ax x;
    make(&x, XW_NET_CLAIM_FAST, 1);
    XT_EQ(pull(&x), XW_CLAIM_SEND_PROBE);
    xw_claim_conflict(&x.c, x.now);
    XT_EQ(x.c.state, XW_NET_ADDR_CONFLICT);
    XT_EQ(pull(&x), XW_CLAIM_SEND_NONE);
    x.now += S(30);
    xw_claim_conflict(&x.c, x.now); /* changes nothing */
    XT_EQ(next(&x), S(30));
    XT_EQ(x.c.state, XW_NET_ADDR_PROBING);
    for (unsigned i = 0; i < 3; i++) {
        XT_EQ(pull(&x), XW_CLAIM_SEND_PROBE);
        next(&x);
    }
    XT_EQ(x.c.state, XW_NET_ADDR_OK);
}

XT_TEST(conflict_before_the_probe_left) {
    struct ax x;
    make(&x, XW_NET_CLAIM_FAST, 1);
    xw_claim_conflict(&x.c, x.now);
    XT_EQ(pull(&x), XW_CLAIM_SEND_NONE);
    XT_EQ(next(&x), S(60));
    XT_EQ(pull(&x), XW_CLAIM_SEND_PROBE);
}

XT_TEST(defence_once_in_ten_seconds) {
    struct ax x;
    make(&x, XW_NET_CLAIM_NONE, 1);
    XT_EQ(pull(&x), XW_CLAIM_SEND_ANNOUNCE);
    next(&x);
    XT_EQ(pull(&x), XW_CLAIM_SEND_ANNOUNCE);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t first = x.now;
        xw_claim_conflict(&x.c, x.now);
        XT_EQ(pull(&x), XW_CLAIM_SEND_ANNOUNCE);
        while (x.now < first + S(10) - MS(100)) {
            x.now += MS(100);
            xw_claim_conflict(&x.c, x.now);
            XT_EQ(pull(&x), XW_CLAIM_SEND_NONE);
            XT_EQ(x.c.state, XW_NET_ADDR_OK);
        }
        x.now = first + S(10);
    }
}

XT_MAIN(XT_RUN(without_probing), XT_RUN(waits_of_the_rfc), XT_RUN(fast), XT_RUN(conflict_while_probing_rests_a_minute),
        XT_RUN(conflict_before_the_probe_left), XT_RUN(defence_once_in_ten_seconds))
