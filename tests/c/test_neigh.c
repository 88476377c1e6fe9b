/* net/neigh.c: each state and the way out of it, on a clock by hand. */
#include "net/neigh.h"
#include "base/err.h"
#include "xt.h"

#define S(n) ((uint64_t)(n) * XW_NS_PER_S)
#define IP 0x0a000009u
static const uint8_t A[6] = { 2, 0, 0, 0, 0, 0xa }, B[6] = { 2, 0, 0, 0, 0, 0xb };

struct nx { struct xw_neighs t; uint64_t now; uint16_t hint; const uint8_t *mac; };

static void make(struct nx *x, bool passive) {
    memset(x, 0, sizeof *x);
    xw_neighs_init(&x->t, passive);
    x->now = S(100);
}

static int resolve(struct nx *x, uint32_t ip) { return xw_neighs_resolve(&x->t, ip, &x->hint, x->now, &x->mac); }

/* Steps the clock, ticking at every deadline on the way. */
static void after(struct nx *x, uint64_t ns) {
    uint64_t end = x->now + ns;
    while (x->t.deadline_ns <= end) {
        x->now = x->t.deadline_ns;
        xw_neighs_tick(&x->t, x->now);
        XT_TRUE(x->t.deadline_ns > x->now);
    }
    x->now = end;
}

/* -1: nothing due; 0: a broadcast request for IP; 1: a unicast one, to *mac */
static int pull(struct nx *x, const uint8_t **mac) {
    uint32_t ip = 0;
    bool unicast = false;
    if (!xw_neighs_output(&x->t, x->now, &ip, mac, &unicast))
        return -1;
    XT_EQ(ip, IP);
    return unicast;
}

static void make_reachable(struct nx *x) {
    const uint8_t *mac;
    make(x, false);
    XT_EQ(resolve(x, IP), XW_EAGAIN);
    XT_EQ(pull(x, &mac), 0);
    XT_TRUE(xw_neighs_learn(&x->t, IP, A, true, x->now));
    XT_EQ(resolve(x, IP), XW_OK);
    XT_MEM(x->mac, A, 6);
}

XT_TEST(resolved_by_an_answer) {
    struct nx x;
    make_reachable(&x);
    after(&x, S(29));
    XT_EQ(x.t.deadline_ns, XW_NEVER); /* nothing to do while it is not used */
    XT_EQ(resolve(&x, IP), XW_OK);
    XT_EQ(xw_neighs_get(&x.t, IP)->state, XW_NEIGH_REACHABLE);
    XT_EQ(x.t.due_cnt, 0);
}

XT_TEST(three_requests_then_failed_then_again) {
    struct nx x;
    const uint8_t *mac;
    make(&x, false);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3; i++) {
            XT_EQ(resolve(&x, IP), XW_EAGAIN);
            XT_EQ(pull(&x, &mac), 0);
            XT_EQ(pull(&x, &mac), -1); /* one a second, however often it is used */
            after(&x, S(1) - 1);
            XT_EQ(pull(&x, &mac), -1);
            after(&x, 1);
        }
        XT_EQ(resolve(&x, IP), XW_EUNREACH);
        XT_EQ(pull(&x, &mac), -1);
        XT_EQ(x.t.deadline_ns, XW_NEVER);
        after(&x, S(1) - 1);
        XT_EQ(resolve(&x, IP), XW_EUNREACH);
        after(&x, 1);
    }
}

XT_TEST(request_not_pulled_waits_without_a_timer) {
    struct nx x;
    const uint8_t *mac;
    make(&x, false);
    XT_EQ(resolve(&x, IP), XW_EAGAIN);
    after(&x, S(100)); /* the transmit ring was full for so long */
    XT_EQ(x.t.deadline_ns, XW_NEVER);
    XT_EQ(pull(&x, &mac), 0);
    XT_EQ(x.t.deadline_ns, x.now + S(1));
}

XT_TEST(a_suspect_is_polled_at_once) {
    struct nx x;
    const uint8_t *mac;
    make_reachable(&x);
    xw_neighs_suspect(&x.t, IP, x.hint);
    XT_EQ(xw_neighs_get(&x.t, IP)->state, XW_NEIGH_PROBE);
    XT_EQ(resolve(&x, IP), XW_OK); /* used meanwhile */
    XT_EQ(pull(&x, &mac), 1);
    xw_neighs_suspect(&x.t, IP, x.hint);
    XT_EQ(pull(&x, &mac), -1); /* one a second */
    xw_neighs_confirm(&x.t, IP, x.hint, x.now);
    XT_EQ(xw_neighs_get(&x.t, IP)->state, XW_NEIGH_REACHABLE);
}

XT_TEST(stale_is_confirmed_by_tcp_without_a_packet) {
    struct nx x;
    const uint8_t *mac;
    make_reachable(&x);
    after(&x, S(30));
    XT_EQ(resolve(&x, IP), XW_OK);
    XT_EQ(xw_neighs_get(&x.t, IP)->state, XW_NEIGH_DELAY);
    after(&x, S(4));
    xw_neighs_confirm(&x.t, IP, x.hint, x.now);
    XT_EQ(xw_neighs_get(&x.t, IP)->state, XW_NEIGH_REACHABLE);
    after(&x, S(20));
    XT_EQ(pull(&x, &mac), -1);
    XT_EQ(x.t.deadline_ns, XW_NEVER);
    for (unsigned i = 0; i < 100; i++) { /* progress all the time: never stale */
        after(&x, S(10));
        xw_neighs_confirm(&x.t, IP, 63, x.now); /* a wrong hint is only slower */
        XT_EQ(resolve(&x, IP), XW_OK);
        XT_EQ(xw_neighs_get(&x.t, IP)->state, XW_NEIGH_REACHABLE);
    }
}

XT_TEST(stale_and_silent_is_probed_used_meanwhile_then_failed) {
    struct nx x;
    const uint8_t *mac;
    make_reachable(&x);
    after(&x, S(31));
    XT_EQ(resolve(&x, IP), XW_OK);
    after(&x, S(5));
    for (unsigned i = 0; i < 6; i++) {
        XT_EQ(xw_neighs_get(&x.t, IP)->state, XW_NEIGH_PROBE);
        XT_EQ(resolve(&x, IP), XW_OK);
        XT_MEM(x.mac, A, 6);
        XT_EQ(pull(&x, &mac), i < 3 ? 1 : 0); /* first the MAC that is known, then everybody */
        XT_MEM(mac, A, 6);
        after(&x, S(1));
    }
    XT_EQ(resolve(&x, IP), XW_EUNREACH);
}

XT_TEST(probe_answered) {
    struct nx x;
    const uint8_t *mac;
    make_reachable(&x);
    after(&x, S(31));
    XT_EQ(resolve(&x, IP), XW_OK);
    after(&x, S(5));
    XT_EQ(x.t.due_cnt, 1);
    XT_TRUE(xw_neighs_learn(&x.t, IP, B, true, x.now)); /* by another card */
    XT_EQ(x.t.due_cnt, 0);
    XT_EQ(pull(&x, &mac), -1);
    XT_EQ(resolve(&x, IP), XW_OK);
    XT_MEM(x.mac, B, 6);
    XT_EQ(xw_neighs_get(&x.t, IP)->state, XW_NEIGH_REACHABLE);
}

XT_TEST(announced_change_is_used_at_once_and_verified) {
    struct nx x;
    const uint8_t *mac;
    make_reachable(&x);
    XT_TRUE(xw_neighs_learn(&x.t, IP, A, false, x.now));
    XT_EQ(xw_neighs_get(&x.t, IP)->state, XW_NEIGH_REACHABLE);
    uint32_t change = x.t.change;
    XT_TRUE(xw_neighs_learn(&x.t, IP, B, false, x.now));
    XT_TRUE(x.t.change != change);
    XT_EQ(resolve(&x, IP), XW_OK);
    XT_MEM(x.mac, B, 6);
    after(&x, S(5));
    XT_EQ(pull(&x, &mac), 1);
    XT_MEM(mac, B, 6);
}

XT_TEST(announcement_resolves_who_is_being_asked_for) {
    struct nx x;
    const uint8_t *mac;
    make(&x, false);
    XT_EQ(resolve(&x, IP), XW_EAGAIN);
    XT_TRUE(xw_neighs_learn(&x.t, IP, A, false, x.now));
    XT_EQ(resolve(&x, IP), XW_OK);
    XT_EQ(pull(&x, &mac), -1);
}

XT_TEST(strangers_make_no_entry) {
    struct nx x;
    make(&x, false);
    for (uint32_t i = 0; i < 1000; i++)
        XT_TRUE(!xw_neighs_learn(&x.t, 0x0a000000 + i, B, i % 2 == 0, x.now));
    for (uint32_t i = 0; i < XW_NEIGH_MAX; i++)
        XT_EQ(x.t.e[i].state, XW_NEIGH_FREE);
}

XT_TEST(table_full_forgets_failed_then_longest_unused) {
    struct nx x;
    make(&x, false);
    for (uint32_t i = 0; i < XW_NEIGH_MAX; i++) {
        XT_EQ(resolve(&x, 1000 + i), XW_EAGAIN);
        x.now++;
    }
    XT_EQ(x.t.due_cnt, XW_NEIGH_MAX);
    XT_EQ(resolve(&x, 1000), XW_EAGAIN); /* used again: no more the oldest */
    XT_EQ(resolve(&x, 1), XW_EAGAIN);
    XT_EQ(x.t.due_cnt, XW_NEIGH_MAX);
    XT_TRUE(xw_neighs_get(&x.t, 1) && xw_neighs_get(&x.t, 1000) && !xw_neighs_get(&x.t, 1001));
    x.t.e[40].state = XW_NEIGH_FAILED;
    XT_EQ(resolve(&x, 2), XW_EAGAIN);
    XT_EQ(x.hint, 40);
}

XT_TEST(static_entries) {
    struct nx x;
    const uint8_t *mac;
    make(&x, true);
    XT_EQ(resolve(&x, IP), XW_EAGAIN);
    XT_EQ(pull(&x, &mac), -1); /* passive: never asks */
    XT_EQ(xw_neighs_set(&x.t, IP, A, x.now), XW_OK);
    XT_EQ(resolve(&x, IP), XW_OK);
    XT_MEM(x.mac, A, 6);
    XT_TRUE(!xw_neighs_learn(&x.t, IP, B, true, x.now));
    after(&x, S(1000));
    XT_EQ(resolve(&x, IP), XW_OK);
    XT_MEM(x.mac, A, 6);
    XT_EQ(xw_neighs_set(&x.t, IP, B, x.now), XW_OK);
    XT_EQ(resolve(&x, IP), XW_OK);
    XT_MEM(x.mac, B, 6);
    XT_EQ(xw_neighs_del(&x.t, IP), XW_OK);
    XT_EQ(xw_neighs_del(&x.t, IP), XW_EINVAL);
    XT_EQ(resolve(&x, IP), XW_EAGAIN);
    for (uint32_t i = 0; i < XW_NEIGH_MAX; i++)
        XT_EQ(xw_neighs_set(&x.t, 1000 + i, A, x.now), XW_OK);
    XT_EQ(xw_neighs_set(&x.t, IP, A, x.now), XW_ENOSPC);
    XT_EQ(xw_neighs_set(&x.t, 1003, B, x.now), XW_OK);
}

XT_MAIN(XT_RUN(resolved_by_an_answer), XT_RUN(three_requests_then_failed_then_again),
        XT_RUN(request_not_pulled_waits_without_a_timer), XT_RUN(a_suspect_is_polled_at_once),
        XT_RUN(stale_is_confirmed_by_tcp_without_a_packet),
        XT_RUN(stale_and_silent_is_probed_used_meanwhile_then_failed), XT_RUN(probe_answered),
        XT_RUN(announced_change_is_used_at_once_and_verified), XT_RUN(announcement_resolves_who_is_being_asked_for),
        XT_RUN(strangers_make_no_entry), XT_RUN(table_full_forgets_failed_then_longest_unused), XT_RUN(static_entries))
