/* Opening: csrc/tcp/handshake.c, demux.c and the opening half of stack.c. */
#include "xt_tcp.h"

XT_TEST(active_open_negotiates_everything) {
    xt_defaults();
    T.cfg.opts.use_ts = 1;
    T.rcv_cap = 1 << 20;
    xt_begin();
    struct xw_tcp_tuple t = { 0x0a000001, 0x0a000002, 4000, 443 };
    XT_EQ(xw_tcp_connect(T.s, &t, &T.rcv, &T.snd, 1400, NULL, T.now, &T.c), 0);
    XT_TRUE(xw_tcp_pending(T.s));
    EXPECT("S", .seq = 0, .mss = 1360, .ws1 = 6, .sackok = true, .ts = 1000000, .win = 65535);
    EXPECT_STATE(XW_TCP_SYN_SENT);
    RX("SA", .seq = 0, .ack = 1, .mss = 1300, .ws1 = 8, .sackok = true, .ts = 77, .ecr = 1000000, .win = 1000);
    EXPECT("A", .seq = 1, .ack = 1, .ts = 1000000, .ecr = 77, .win = (1 << 20) >> 5);
    XT_EQ(T.c->snd_wnd, 1000); /* the window of a SYN is not scaled */
    XT_EQ(xw_tcp_mss_now(T.c), 1288);
    RX("A", .seq = 1, .ack = 1, .ts = 78, .ecr = 1000000, .win = 1000);
    XT_EQ(T.c->snd_wnd, 128000);
    uint32_t ev;
    XT_TRUE(xw_tcp_changed(T.s, &ev) == T.c);
    XT_TRUE(ev & XW_TCP_EV_STATE);
    XT_TRUE(!xw_tcp_changed(T.s, &ev));
    xt_end();
}

XT_TEST(syn_ack_without_options) {
    in_syn_sent();
    RX("SA", .seq = 0, .ack = 1);
    EXPECT("A", .seq = 1, .ack = 1, .no_opts = true);
    xt_write(600);
    EXPECT("A", .seq = 1, .ack = 1, .len = 536, .no_opts = true); /* MUST-15 */
    EXPECT("PA", .seq = 537, .ack = 1, .len = 64);
    xt_end();
}

XT_TEST(syn_is_repeated_then_times_out) {
    in_syn_sent();
    uint64_t when[] = { 1, 3, 7, 15, 31 };
    for (unsigned i = 0; i < 5; i++) {
        EXPECT_DEADLINE(XT_S(when[i]));
        at(XT_S(when[i]) - 1);
        EXPECT_NOTHING();
        at(XT_S(when[i]));
        EXPECT("S", .seq = 0, .mss = 1460);
    }
    at(XT_S(63) - 1);
    EXPECT_STATE(XW_TCP_SYN_SENT);
    at(XT_S(63));
    EXPECT_STATE(XW_TCP_CLOSED);
    XT_EQ(xw_tcp_error(T.c), XW_ETIMEDOUT);
    XT_TRUE(xw_tcp_deadline(T.s) == XW_NEVER);
    xt_end();
}

XT_TEST(one_lost_syn_may_be_chance) {
    in_syn_sent();
    at(XT_S(1));
    EXPECT("S", .seq = 0, .mss = 1460);
    RX("SA", .seq = 0, .ack = 1, .mss = 1460);
    EXPECT("A", .seq = 1, .ack = 1);
    XT_EQ(T.c->cc.cwnd, 14600); /* RFC 6928 2 */
    xt_end();
}

XT_TEST(timestamps_measure_a_syn_that_was_sent_again) {
    xt_defaults();
    T.cfg.opts.use_ts = 1;
    in_syn_sent();
    at(XT_S(1));
    EXPECT("S", .seq = 0, .mss = 1460, .ts = (uint32_t)(T.now / XW_NS_PER_MS));
    uint32_t sent = (uint32_t)(T.now / XW_NS_PER_MS);
    at(XT_S(1) + XT_MS(30));
    RX("SA", .seq = 0, .ack = 1, .mss = 1460, .ts = 7, .ecr = sent);
    EXPECT("A", .seq = 1, .ack = 1, .ts = sent + 30, .ecr = 7);
    XT_EQ(T.c->srtt_ns, XT_MS(30));
    XT_EQ(xw_tcp_rto(T.c), XT_MS(200)); /* no three seconds: the round trip is known */
    xt_end();
}

XT_TEST(lost_syns_mean_one_segment_and_three_seconds) {
    in_syn_sent();
    at(XT_S(1));
    EXPECT("S", .seq = 0, .mss = 1460);
    at(XT_S(3));
    EXPECT("S", .seq = 0, .mss = 1460);
    RX("SA", .seq = 0, .ack = 1, .mss = 1460);
    EXPECT("A", .seq = 1, .ack = 1);
    xt_write(5000);
    EXPECT("A", .seq = 1, .ack = 1, .len = 1460);
    EXPECT_NOTHING();
    EXPECT_DEADLINE(XT_S(6)); /* RFC 6298 5.7 */
    xt_end();
}

XT_TEST(refused) {
    in_syn_sent();
    RX("RA", .seq = 0, .ack = 1);
    EXPECT_STATE(XW_TCP_CLOSED);
    XT_EQ(xw_tcp_error(T.c), XW_EREFUSED);
    xt_end();
}

XT_TEST(reset_without_or_with_wrong_ack_is_ignored) {
    in_syn_sent();
    XT_EQ(RX("R", .seq = 0), XW_DROP_TCP_RST_SEQ);
    XT_EQ(RX("RA", .seq = 0, .ack = 2), XW_DROP_TCP_ACK_FUTURE);
    XT_EQ(RX("RA", .seq = 0, .ack = 0), XW_DROP_TCP_ACK_FUTURE);
    EXPECT_STATE(XW_TCP_SYN_SENT);
    xt_end();
}

XT_TEST(wrong_ack_in_syn_sent_is_reset) {
    in_syn_sent();
    XT_EQ(RX("SA", .seq = 0, .ack = 2), XW_DROP_TCP_ACK_FUTURE);
    EXPECT("R", .seq = 2, .no_opts = true);
    XT_EQ(RX("A", .seq = 0, .ack = 0), XW_DROP_TCP_ACK_FUTURE);
    EXPECT("R", .seq = 0);
    XT_EQ(RX("A", .seq = 0, .ack = 1), XW_DROP_TCP_FLAGS);
    EXPECT_STATE(XW_TCP_SYN_SENT);
    xt_end();
}

XT_TEST(simultaneous_open) {
    in_syn_sent();
    RX("S", .seq = 0, .mss = 1460, .sackok = true);
    EXPECT("SA", .seq = 0, .ack = 1, .mss = 1460, .sackok = true);
    EXPECT_STATE(XW_TCP_SYN_RCVD);
    RX("SA", .seq = 0, .ack = 1, .mss = 1460, .sackok = true);
    EXPECT_STATE(XW_TCP_ESTABLISHED);
    RX("A", .seq = 1, .ack = 1, .len = 10);
    EXPECT("A", .seq = 1, .ack = 11);
    xt_end();
}

XT_TEST(window_of_a_syn_ack_in_simultaneous_open_is_not_scaled) {
    in_syn_sent();
    RX("S", .seq = 0, .mss = 1460, .ws1 = 5, .win = 32000);
    EXPECT("SA", .seq = 0, .ack = 1, .mss = 1460, .ws1 = 2);
    RX("SA", .seq = 0, .ack = 1, .mss = 1460, .ws1 = 5, .win = 32000); /* RFC 7323 2.2 */
    EXPECT_STATE(XW_TCP_ESTABLISHED);
    XT_EQ(T.c->snd_wnd, 32000);
    RX("A", .seq = 1, .ack = 1, .win = 2000);
    XT_EQ(T.c->snd_wnd, 32000); /* 2000 << 4 */
    xt_end();
}

XT_TEST(data_and_fin_on_syn_ack) {
    in_syn_sent();
    RX("SAF", .seq = 0, .ack = 1, .mss = 1460);
    EXPECT("A", .seq = 1, .ack = 2);
    EXPECT_STATE(XW_TCP_CLOSE_WAIT);
    XT_TRUE(xw_tcp_rx_eof(T.c));
    xt_end();
}

XT_TEST(data_queued_before_the_open) {
    xt_defaults();
    xt_begin();
    T.s->cfg.opts.nodelay = 1;
    in_syn_sent();
    xt_write(100);
    EXPECT_NOTHING();
    RX("SA", .seq = 0, .ack = 1, .mss = 1460);
    EXPECT("PA", .seq = 1, .ack = 1, .len = 100);
    xt_end();
}

XT_TEST(passive_open) {
    in_syn_rcvd();
    RX("A", .seq = 1, .ack = 1);
    EXPECT_STATE(XW_TCP_ESTABLISHED);
    RX("A", .seq = 1, .ack = 1, .len = 5);
    EXPECT("A", .seq = 1, .ack = 6);
    XT_EQ(xt_read(100), 5);
    xt_end();
}

XT_TEST(passive_open_offers_only_what_was_offered) {
    in_listen();
    RX("S", .seq = 0, .mss = 1000);
    XT_EQ(xw_tcp_accept(T.l, &T.rcv, &T.snd, 1500, NULL, T.now, &T.c), 0);
    struct xw_tcp_seg g;
    XT_EQ(xw_tcp_output(T.s, T.now, &g), 1);
    XT_EQ(g.hdr.opts, XW_TCP_OPT_MSS);
    XT_EQ(g.hdr.flags, XW_TCP_SYN | XW_TCP_ACK);
    xt_end();
}

XT_TEST(syn_ack_is_repeated_and_answers_a_repeated_syn) {
    in_syn_rcvd();
    XT_EQ(RX("S", .seq = 0, .mss = 1460), XW_DROP_TCP_DUP);
    EXPECT("SA", .seq = 0, .ack = 1);
    at(XT_S(1));
    EXPECT("SA", .seq = 0, .ack = 1);
    xt_end();
}

XT_TEST(syn_received_refuses_a_wrong_ack) {
    in_syn_rcvd();
    XT_EQ(RX("A", .seq = 1, .ack = 2), XW_DROP_TCP_ACK_FUTURE);
    EXPECT("R", .seq = 2);
    EXPECT_STATE(XW_TCP_SYN_RCVD);
    RX("R", .seq = 1);
    EXPECT_STATE(XW_TCP_CLOSED);
    XT_EQ(xw_tcp_error(T.c), XW_ERESET);
    xt_end();
}

XT_TEST(listener_bounds_and_answers) {
    in_listen();
    XT_EQ(RX("A", .seq = 5, .ack = 9), XW_DROP_TCP_NO_CONN);
    EXPECT("R", .seq = 9);
    XT_EQ(RX("R", .seq = 5), XW_DROP_NONE);
    XT_EQ(RX("SF", .seq = 0), XW_DROP_TCP_FLAGS);
    for (uint16_t i = 0; i < T.cfg.backlog; i++)
        XT_EQ(RX("S", .seq = 0, .sport = (uint16_t)(100 + i)), XW_DROP_NONE);
    XT_EQ(RX("S", .seq = 0, .sport = 100), XW_DROP_NONE); /* again: replaces */
    XT_EQ(RX("S", .seq = 0, .sport = 99), XW_DROP_TCP_NO_CONN);
    RX("R", .seq = 1, .sport = 100); /* withdrawn */
    struct xw_tcp_tuple t;
    XT_TRUE(xw_tcp_listen_pending(T.l, &t));
    XT_EQ(t.remote_port, 101);
    xw_tcp_unlisten(T.l);
    XT_EQ(RX("S", .seq = 0, .sport = 99), XW_DROP_TCP_NO_CONN);
    EXPECT("RA", .seq = 0u - XT_ISN, .ack = 1);
    xt_end();
}

XT_TEST(segments_for_nobody_are_reset) {
    xt_defaults();
    xt_begin();
    XT_EQ(RX("A", .seq = 100, .ack = 200, .len = 10), XW_DROP_TCP_NO_CONN);
    EXPECT("R", .seq = 200, .no_opts = true);
    XT_EQ(RX("S", .seq = 100), XW_DROP_TCP_NO_CONN);
    EXPECT("RA", .seq = 0u - XT_ISN, .ack = 101);
    XT_EQ(RX("R", .seq = 100), XW_DROP_TCP_NO_CONN);
    XT_EQ(T.drops[XW_DROP_TCP_NO_CONN], 3);
    T.s->cfg.rst_unknown = 0;
    XT_EQ(RX("S", .seq = 100), XW_DROP_TCP_NO_CONN);
    xt_end();
}

XT_TEST(tiny_and_missing_mss) {
    xt_defaults();
    T.peer_mss = 1;
    in_established();
    xt_write(100);
    EXPECT("A", .seq = 1, .ack = 1, .len = 48);
    EXPECT("A", .seq = 49, .ack = 1, .len = 48);
    EXPECT("PA", .seq = 97, .ack = 1, .len = 4);
    xt_end();
}

XT_TEST(window_scale_above_14_counts_as_14) {
    in_syn_sent();
    RX("SA", .seq = 0, .ack = 1, .ws1 = 200);
    EXPECT("A", .seq = 1, .ack = 1);
    XT_EQ(T.c->snd_wscale, 14);
    xt_end();
}

XT_TEST(caller_mistakes) {
    xt_defaults();
    in_syn_sent();
    struct xw_tcp *c;
    struct xw_tcp_tuple t = T.c->tuple;
    XT_EQ(xw_tcp_connect(T.s, &t, &T.rcv, &T.snd, 1500, NULL, T.now, &c), XW_EADDRINUSE);
    t.remote_port = 0;
    XT_EQ(xw_tcp_connect(T.s, &t, &T.rcv, &T.snd, 1500, NULL, T.now, &c), XW_EINVAL);
    t.remote_port = 1;
    XT_EQ(xw_tcp_connect(T.s, &t, &T.rcv, &T.snd, 67, NULL, T.now, &c), XW_EINVAL);
    for (uint16_t i = 1; i < T.cfg.max_conns; i++) {
        t.remote_port = i;
        XT_EQ(xw_tcp_connect(T.s, &t, &T.rcv, &T.snd, 1500, NULL, T.now, &c), 0);
        EXPECT("S", .seq = 0);
    }
    t.remote_port = 1000;
    XT_EQ(xw_tcp_connect(T.s, &t, &T.rcv, &T.snd, 1500, NULL, T.now, &c), XW_ENOSPC);
    xw_tcp_release(T.c, T.now);
    XT_EQ(xw_tcp_connect(T.s, &t, &T.rcv, &T.snd, 1500, NULL, T.now, &c), 0);
    EXPECT("S", .seq = 0);
    xt_end();
}

/* RFC 6528: differs by 4-tuple, grows with the clock, cannot be known without the key. */
XT_TEST(initial_sequence_numbers) {
    xt_defaults();
    T.cfg.fixed_isn = 0;
    xt_begin();
    struct xw_tcp_tuple a = { 1, 2, 3, 4 }, b = { 1, 2, 3, 5 };
    uint32_t a0 = xw_tcp_isn(T.s, &a, XT_S(5)).v;
    XT_EQ(xw_tcp_isn(T.s, &a, XT_S(5) + 4000000).v - a0, 1000);
    XT_TRUE(xw_tcp_isn(T.s, &b, XT_S(5)).v != a0);
    T.s->key[0] ^= 1;
    XT_TRUE(xw_tcp_isn(T.s, &a, XT_S(5)).v != a0);
    xt_end();
}

XT_MAIN(XT_RUN(active_open_negotiates_everything), XT_RUN(syn_ack_without_options),
        XT_RUN(syn_is_repeated_then_times_out),
        XT_RUN(one_lost_syn_may_be_chance), XT_RUN(timestamps_measure_a_syn_that_was_sent_again),
        XT_RUN(lost_syns_mean_one_segment_and_three_seconds), XT_RUN(refused),
        XT_RUN(reset_without_or_with_wrong_ack_is_ignored), XT_RUN(wrong_ack_in_syn_sent_is_reset),
        XT_RUN(simultaneous_open), XT_RUN(window_of_a_syn_ack_in_simultaneous_open_is_not_scaled),
        XT_RUN(data_and_fin_on_syn_ack), XT_RUN(data_queued_before_the_open),
        XT_RUN(passive_open),
        XT_RUN(passive_open_offers_only_what_was_offered), XT_RUN(syn_ack_is_repeated_and_answers_a_repeated_syn),
        XT_RUN(syn_received_refuses_a_wrong_ack), XT_RUN(listener_bounds_and_answers),
        XT_RUN(segments_for_nobody_are_reset),
        XT_RUN(tiny_and_missing_mss), XT_RUN(window_scale_above_14_counts_as_14), XT_RUN(caller_mistakes),
        XT_RUN(initial_sequence_numbers))
