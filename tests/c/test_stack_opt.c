/* Options and info of sockets: what can be set when, and that it does what it says on the wire. */
#include "stack/stack_priv.h"
#include "xt_stack.h"

#define S 1000000000ull

XT_TEST(defaults) {
    static const struct { enum xw_stack_opt o; int64_t v; } want[] = {
        { XW_STACK_NODELAY, 1 }, { XW_STACK_ACK_POLICY, 0 }, { XW_STACK_KEEPALIVE, 0 },
        { XW_STACK_KEEP_IDLE, (int64_t)(7200 * S) }, { XW_STACK_KEEP_INTERVAL, (int64_t)(75 * S) },
        { XW_STACK_KEEP_PROBES, 9 }, { XW_STACK_USER_TIMEOUT, 0 }, { XW_STACK_RCVBUF, 65536 },
        { XW_STACK_SNDBUF, 65536 }, { XW_STACK_MSS, 536 }, { XW_STACK_TIMESTAMPS, 1 }, { XW_STACK_SACK, 1 },
        { XW_STACK_WSCALE, 1 }, { XW_STACK_INIT_CWND, 10 }, { XW_STACK_LINGER, -1 }, { XW_STACK_TTL, 64 },
        { XW_STACK_TOS, 0 }, { XW_STACK_RTO_INITIAL, (int64_t)S }, { XW_STACK_TIME_WAIT, (int64_t)(60 * S) },
        { XW_STACK_SO_ERROR, 0 }, { XW_STACK_INQ, 0 }, { XW_STACK_OUTQ, 0 }, { XW_STACK_OUTQ_NSD, 0 },
    };
    struct xt_link l;
    xt_link_make(&l, false);
    int c = xw_stack_socket(l.a);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        XT_EQ(xt_opt(l.a, c, want[i].o), want[i].v);
    xt_link_free(&l);
}

XT_TEST(values_out_of_range_change_nothing) {
    static const struct { enum xw_stack_opt o; int64_t v; int rc; } bad[] = {
        { XW_STACK_NODELAY, 2, XW_STACK_EINVAL }, { XW_STACK_ACK_POLICY, 3, XW_STACK_EINVAL },
        { XW_STACK_ACK_DELAY, 500000000, XW_STACK_EINVAL }, { XW_STACK_KEEP_IDLE, 0, XW_STACK_EINVAL },
        { XW_STACK_KEEPALIVE, 2, XW_STACK_EINVAL }, { XW_STACK_USER_TIMEOUT, -1, XW_STACK_EINVAL },
        { XW_STACK_RTO_MIN, (int64_t)(61 * S), XW_STACK_EINVAL }, /* above the maximum */
        { XW_STACK_TTL, 0, XW_STACK_EINVAL }, { XW_STACK_TOS, 256, XW_STACK_EINVAL },
        { XW_STACK_RCVBUF, 65537, XW_STACK_EINVAL }, { XW_STACK_SNDBUF, 0, XW_STACK_EINVAL },
        { XW_STACK_MSS, 47, XW_STACK_EINVAL }, { XW_STACK_MSS, 1461, XW_STACK_EINVAL },
        { XW_STACK_INIT_CWND, 0, XW_STACK_EINVAL }, { XW_STACK_CC, 200, XW_STACK_EINVAL },
        { XW_STACK_LINGER, -2, XW_STACK_EINVAL }, { XW_STACK_REUSEADDR, 2, XW_STACK_EINVAL },
        { XW_STACK_SO_ERROR, 0, XW_STACK_ENOPROTOOPT }, { XW_STACK_INQ, 0, XW_STACK_ENOPROTOOPT },
        { (enum xw_stack_opt)0, 0, XW_STACK_ENOPROTOOPT }, { XW_STACK_OPT_END, 0, XW_STACK_ENOPROTOOPT },
    };
    struct xt_link l;
    int64_t before, after;
    xt_link_make(&l, false);
    int c = xw_stack_socket(l.a);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        before = after = 0;
        int rc = xw_stack_getopt(l.a, c, bad[i].o, &before);
        XT_EQ(xw_stack_setopt(l.a, c, bad[i].o, bad[i].v, l.now), bad[i].rc);
        XT_EQ(xw_stack_getopt(l.a, c, bad[i].o, &after), rc);
        XT_EQ(after, before);
    }
    XT_EQ(xw_stack_setopt(l.a, 7, XW_STACK_TTL, 1, l.now), XW_STACK_EBADF);
    xt_link_free(&l);
}

XT_TEST(what_the_handshake_agrees_on) {
    struct xt_link l;
    struct xw_stack_info i;
    xt_link_make(&l, false);
    int ls = xw_stack_socket(l.b), c = xw_stack_socket(l.a);
    XT_EQ(xw_stack_setopt(l.b, ls, XW_STACK_MSS, 800, l.now), 0);
    XT_EQ(xw_stack_setopt(l.b, ls, XW_STACK_RCVBUF, 2000, l.now), 0);
    XT_EQ(xw_stack_setopt(l.b, ls, XW_STACK_SACK, 0, l.now), 0);
    XT_EQ(xw_stack_setopt(l.b, ls, XW_STACK_INIT_CWND, 2, l.now), 0);
    XT_EQ(xw_stack_bind(l.b, ls, 0, 80), 0);
    XT_EQ(xw_stack_listen(l.b, ls, 1), 0);
    XT_EQ(xw_stack_setopt(l.b, ls, XW_STACK_MSS, 900, l.now), XW_STACK_ENOPROTOOPT);
    XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_TIMESTAMPS, 0, l.now), 0);
    XT_EQ(xw_stack_connect(l.a, c, XT_B, 80, l.now), XW_STACK_EINPROGRESS);
    xt_link_settle(&l);
    XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_SACK, 0, l.now), XW_STACK_ENOPROTOOPT);
    int s = xw_stack_accept(l.b, ls, NULL, NULL);
    XT_EQ(xw_stack_info(l.a, c, &i), 0);
    XT_EQ(i.timestamps, 0);
    XT_EQ(i.sack, 0);
    XT_EQ(i.wscale, 1);
    XT_EQ(i.mss, 800);
    XT_EQ(i.snd_wnd, 2000);
    XT_EQ(i.cwnd, 10 * 800);
    XT_TRUE(i.ssthresh > i.cwnd);
    XT_EQ(xw_stack_info(l.b, s, &i), 0);
    XT_EQ(i.mss, 800);
    XT_EQ(i.cwnd, 2 * 800);
    XT_EQ(i.path_mtu, 840);
    XT_EQ(xt_opt(l.b, s, XW_STACK_RCVBUF), 2000);
    xt_link_free(&l);
}

XT_TEST(ttl_and_tos_of_each_packet) {
    struct xt_link l;
    struct xw_ip4_hdr ip;
    struct xw_tcp_hdr tcp;
    int c, s;
    xt_link_make(&l, false);
    xt_link_open(&l, &c, &s);
    xt_link_last(&l, &ip, &tcp);
    XT_EQ(ip.ttl, 64);
    XT_EQ(ip.tos, 0);
    XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_TTL, 7, l.now), 0);
    XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_TOS, 0xb8, l.now), 0); /* also while it is open */
    XT_EQ(xw_stack_send(l.a, c, "x", 1, l.now), 1);
    xt_link_settle(&l);
    xt_link_last(&l, &ip, &tcp);
    XT_EQ(ip.ttl, 7);
    XT_EQ(ip.tos, 0xb8);
    xt_link_free(&l);
}

XT_TEST(keepalive_is_asked_for) {
    struct xt_link l;
    int c, s;
    xt_link_make(&l, false);
    xt_link_open(&l, &c, &s);
    XT_EQ(xw_stack_next_deadline(l.a), UINT64_MAX); /* off: an idle connection has no timer */
    XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_KEEPALIVE, 1, l.now), 0);
    XT_EQ(xw_stack_next_deadline(l.a), l.now + 7200 * S);
    XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_KEEP_IDLE, (int64_t)(10 * S), l.now), 0);
    XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_KEEP_INTERVAL, (int64_t)(2 * S), l.now), 0);
    XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_KEEP_PROBES, 3, l.now), 0);
    unsigned before = l.packets;
    xt_link_after(&l, 11 * S);
    XT_EQ(l.packets, before + 2); /* probe and answer */
    l.cut = true;
    xt_link_after(&l, 20 * S);
    XT_EQ(xt_opt(l.a, c, XW_STACK_SO_ERROR), XW_STACK_ETIMEDOUT);
    xt_link_free(&l);
}

XT_TEST(queues_and_counters) {
    struct xt_link l;
    struct xw_stack_info i;
    static char buf[30000];
    int c, s;
    xt_link_make(&l, false);
    xt_link_open(&l, &c, &s);
    XT_EQ(xw_stack_send(l.a, c, buf, 30000, l.now), 30000);
    XT_EQ(xt_opt(l.a, c, XW_STACK_OUTQ), 30000);
    XT_EQ(xt_opt(l.a, c, XW_STACK_OUTQ_NSD), 30000);
    l.cut = true;
    xt_link_settle(&l);
    XT_EQ(xw_stack_info(l.a, c, &i), 0);
    XT_EQ(i.in_flight, 10 * 1448);
    XT_EQ(xt_opt(l.a, c, XW_STACK_OUTQ), 30000);
    XT_EQ(xt_opt(l.a, c, XW_STACK_OUTQ_NSD), 30000 - 10 * 1448);
    xt_link_after(&l, 2 * S);
    XT_EQ(xw_stack_info(l.a, c, &i), 0);
    XT_TRUE(i.retransmits > 0 && i.timeouts > 0 && i.backoff > 0 && i.rto_ns > 200000000);
    l.cut = false;
    xt_link_after(&l, 10 * S);
    XT_EQ(xt_opt(l.a, c, XW_STACK_OUTQ), 0);
    XT_EQ(xt_opt(l.b, s, XW_STACK_INQ), 30000);
    XT_EQ(xw_stack_info(l.b, s, &i), 0);
    XT_EQ(i.bytes_in, 30000);
    XT_EQ(i.state, XW_TCP_ESTABLISHED);
    xt_link_free(&l);
}

XT_TEST(user_timeout_ends_it) {
    struct xt_link l;
    int c, s;
    xt_link_make(&l, false);
    xt_link_open(&l, &c, &s);
    XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_USER_TIMEOUT, (int64_t)(5 * S), l.now), 0);
    l.cut = true;
    XT_EQ(xw_stack_send(l.a, c, "x", 1, l.now), 1);
    xt_link_after(&l, 5 * S - 1);
    XT_EQ(xt_opt(l.a, c, XW_STACK_SO_ERROR), 0);
    xt_link_after(&l, 1);
    XT_EQ(xw_stack_recv(l.a, c, &s, 1, 0, l.now), XW_STACK_ETIMEDOUT);
    xt_link_free(&l);
}

XT_MAIN(XT_RUN(defaults), XT_RUN(values_out_of_range_change_nothing), XT_RUN(what_the_handshake_agrees_on),
        XT_RUN(ttl_and_tos_of_each_packet), XT_RUN(keepalive_is_asked_for), XT_RUN(queues_and_counters),
        XT_RUN(user_timeout_ends_it))
