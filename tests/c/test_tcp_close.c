/* Closing and attacks: the closing half of csrc/tcp/stack.c, in.c and handshake.c (RST, SYN, TIME-WAIT), icmp.c. */
#include "xt_tcp.h"

/* ---- closing ----------------------------------------------------------------------------------------------------- */

XT_TEST(we_close_first) {
    in_time_wait();
    XT_TRUE(xw_tcp_finished(T.c) && xw_tcp_rx_eof(T.c) && xw_tcp_tx_drained(T.c));
    EXPECT_DEADLINE(XT_S(60));
    at(XT_S(30));
    RX("FA", .seq = 1, .ack = 2); /* our ACK was lost: again, and the time begins anew */
    EXPECT("A", .seq = 2, .ack = 2);
    EXPECT_DEADLINE(XT_S(90));
    at(XT_S(90));
    EXPECT_STATE(XW_TCP_CLOSED);
    XT_EQ(xw_tcp_error(T.c), 0);
    xt_end();
}

XT_TEST(the_peer_closes_first) {
    in_last_ack();
    RX("A", .seq = 2, .ack = 2);
    EXPECT_STATE(XW_TCP_CLOSED);
    XT_TRUE(xw_tcp_finished(T.c));
    xt_end();
}

XT_TEST(both_close_at_once) {
    in_closing();
    RX("A", .seq = 2, .ack = 2);
    EXPECT_STATE(XW_TCP_TIME_WAIT);
    xt_end();
}

XT_TEST(fin_with_the_ack_of_our_fin) {
    in_fin_wait_1();
    RX("FA", .seq = 1, .ack = 2);
    EXPECT("A", .seq = 2, .ack = 2);
    EXPECT_STATE(XW_TCP_TIME_WAIT);
    xt_end();
}

XT_TEST(fin_rides_on_the_last_data) {
    in_established();
    xt_write(1500);
    xw_tcp_shutdown_wr(T.c, T.now);
    XT_EQ(xw_tcp_queued(T.c, T.now), XW_ESTATE);
    EXPECT("A", .seq = 1, .ack = 1, .len = 1460);
    EXPECT("FPA", .seq = 1461, .ack = 1, .len = 40);
    RX("A", .seq = 1, .ack = 1501);
    EXPECT_STATE(XW_TCP_FIN_WAIT_1);
    at(XT_MS(200));
    EXPECT("FA", .seq = 1501, .ack = 1);
    RX("A", .seq = 1, .ack = 1502);
    EXPECT_STATE(XW_TCP_FIN_WAIT_2);
    xt_end();
}

XT_TEST(half_closed_still_receives) {
    in_fin_wait_2();
    RX("A", .seq = 1, .ack = 2, .len = 500);
    EXPECT("A", .seq = 2, .ack = 501);
    XT_EQ(xt_read(1000), 500);
    RX("FA", .seq = 501, .ack = 2, .len = 10);
    EXPECT("A", .seq = 2, .ack = 512);
    XT_EQ(xt_read(1000), 10);
    EXPECT_STATE(XW_TCP_TIME_WAIT);
    xt_end();
}

XT_TEST(close_wait_still_sends) {
    in_close_wait();
    xt_write(10);
    EXPECT("A", .seq = 1, .ack = 2, .len = 10);
    RX("A", .seq = 2, .ack = 11);
    XT_EQ(RX("A", .seq = 2, .ack = 11, .len = 5), XW_DROP_TCP_AFTER_FIN);
    EXPECT("A", .seq = 11, .ack = 2);
    XT_EQ(RX("FA", .seq = 1, .ack = 11), XW_DROP_TCP_SEQ);
    EXPECT("A", .seq = 11, .ack = 2);
    xt_end();
}

XT_TEST(data_after_the_reader_left_is_reset) {
    in_established();
    xw_tcp_shutdown_rd(T.c, T.now);
    RX("A", .seq = 1, .ack = 1);
    XT_EQ(RX("A", .seq = 1, .ack = 1, .len = 10), XW_DROP_TCP_RCV_CLOSED);
    EXPECT("RA", .seq = 1, .ack = 1);
    EXPECT_STATE(XW_TCP_CLOSED);
    XT_EQ(xw_tcp_error(T.c), XW_ECLOSED);
    xt_end();
}

XT_TEST(segments_after_close_are_reset) {
    in_last_ack();
    RX("A", .seq = 2, .ack = 2);
    XT_EQ(RX("A", .seq = 2, .ack = 2, .len = 3), XW_DROP_TCP_NO_CONN);
    EXPECT("R", .seq = 2);
    xt_end();
}

XT_TEST(abort_sends_a_reset) {
    in_established();
    xt_write(10);
    EXPECT("A", .seq = 1, .ack = 1, .len = 10);
    xw_tcp_abort(T.c, T.now);
    EXPECT("RA", .seq = 11, .ack = 1);
    XT_EQ(xw_tcp_error(T.c), XW_ECLOSED);
    XT_EQ(xw_tcp_queued(T.c, T.now), XW_ECLOSED);
    xw_tcp_release(T.c, T.now);
    XT_TRUE(xw_tcp_deadline(T.s) == XW_NEVER);
    xt_end();
}

XT_TEST(abort_in_syn_sent_is_silent) {
    in_syn_sent();
    xw_tcp_release(T.c, T.now);
    xt_end();
}

XT_TEST(shutdown_in_syn_sent_closes) {
    in_syn_sent();
    xw_tcp_shutdown_wr(T.c, T.now);
    EXPECT_STATE(XW_TCP_CLOSED);
    xt_end();
}

XT_TEST(shutdown_in_syn_received_sends_fin_when_established) {
    in_syn_rcvd();
    xw_tcp_shutdown_wr(T.c, T.now);
    RX("A", .seq = 1, .ack = 1);
    EXPECT("FA", .seq = 1, .ack = 1);
    EXPECT_STATE(XW_TCP_FIN_WAIT_1);
    xt_end();
}

XT_TEST(released_time_wait_lives_on_without_rings) {
    in_time_wait();
    xw_tcp_release(T.c, T.now);
    memset(T.rcv.base, 0, T.rcv_cap);
    RX("FA", .seq = 1, .ack = 2);
    EXPECT("A", .seq = 2, .ack = 2);
    XT_EQ(RX("R", .seq = 2), XW_DROP_TCP_RST_SEQ); /* RFC 1337 */
    XT_EQ(RX("S", .seq = 1000), XW_DROP_TCP_SYN_SYNC);
    EXPECT("A", .seq = 2, .ack = 2);
    EXPECT_DEADLINE(XT_S(60));
    at(XT_S(60));
    XT_TRUE(xw_tcp_deadline(T.s) == XW_NEVER);
    XT_EQ(RX("A", .seq = 2, .ack = 2), XW_DROP_TCP_NO_CONN);
    EXPECT("R", .seq = 2);
    xt_end();
}

XT_TEST(time_wait_gives_way_to_a_newer_syn) {
    in_time_wait();
    XT_EQ(xw_tcp_listen(T.s, 0, 4000, &T.l), 0);
    XT_EQ(RX("S", .seq = 1), XW_DROP_TCP_SYN_SYNC); /* of the old connection's space */
    EXPECT("A", .seq = 2, .ack = 2);
    XT_EQ(RX("S", .seq = 1000), XW_DROP_NONE);
    EXPECT_STATE(XW_TCP_CLOSED);
    struct xw_tcp_tuple t;
    XT_TRUE(xw_tcp_listen_pending(T.l, &t));
    xt_end();
}

XT_TEST(no_time_wait_if_configured) {
    xt_defaults();
    T.cfg.opts.time_wait_ns = 0;
    in_fin_wait_2();
    RX("FA", .seq = 1, .ack = 2);
    EXPECT("A", .seq = 2, .ack = 2);
    EXPECT_STATE(XW_TCP_CLOSED);
    XT_TRUE(xw_tcp_finished(T.c));
    xt_end();
}

/* ---- resets and SYNs out of the blue (RFC 5961)
 * -------------------------------------------------------------------- */

static void (*const synchronized[])(void) = { in_established, in_fin_wait_1, in_fin_wait_2, in_close_wait, in_closing,
                                              in_last_ack };

XT_TEST(only_the_exact_reset_counts) {
    for (unsigned i = 0; i < sizeof synchronized / sizeof *synchronized; i++) {
        synchronized[i]();
        uint32_t left = T.c->rcv_nxt.v - XT_PEER_ISN, nxt = T.c->snd_nxt.v - XT_ISN;
        enum xw_tcp_state st = xw_tcp_state(T.c);
        XT_EQ(RX("R", .seq = left - 1), XW_DROP_TCP_RST_SEQ);
        XT_EQ(RX("R", .seq = left + 65537), XW_DROP_TCP_RST_SEQ);
        EXPECT_NOTHING();
        XT_EQ(RX("R", .seq = left + 1), XW_DROP_TCP_RST_SEQ);
        EXPECT("A", .seq = nxt, .ack = left); /* challenge */
        EXPECT_STATE(st);
        XT_EQ(RX("R", .seq = left), XW_DROP_NONE);
        EXPECT_STATE(XW_TCP_CLOSED);
        XT_EQ(xw_tcp_error(T.c), st == XW_TCP_CLOSING || st == XW_TCP_LAST_ACK ? 0 : XW_ERESET);
        xt_end();
    }
}

XT_TEST(syn_in_synchronized_states_is_challenged) {
    for (unsigned i = 0; i < sizeof synchronized / sizeof *synchronized; i++) {
        synchronized[i]();
        uint32_t left = T.c->rcv_nxt.v - XT_PEER_ISN, nxt = T.c->snd_nxt.v - XT_ISN;
        enum xw_tcp_state st = xw_tcp_state(T.c);
        uint32_t where[] = { left, left + 100, left - 1, left + 1000000 };
        for (unsigned k = 0; k < 4; k++) {
            XT_EQ(RX("S", .seq = where[k]), XW_DROP_TCP_SYN_SYNC);
            EXPECT("A", .seq = nxt, .ack = left);
            XT_EQ(RX("SA", .seq = where[k], .ack = nxt), XW_DROP_TCP_SYN_SYNC);
            EXPECT("A", .seq = nxt, .ack = left);
        }
        EXPECT_STATE(st);
        xt_end();
    }
}

XT_TEST(challenges_are_rate_limited) {
    in_established();
    for (unsigned i = 0; i < 10; i++) {
        RX("S", .seq = 500);
        EXPECT("A", .seq = 1, .ack = 1);
    }
    RX("S", .seq = 500);
    EXPECT_NOTHING();
    XT_EQ(T.drops[XW_DROP_TCP_CHALLENGE_RATE], 1);
    at(XT_S(1));
    RX("S", .seq = 500);
    EXPECT("A", .seq = 1, .ack = 1);
    xt_end();
}

XT_TEST(acks_outside_the_window_are_challenged) {
    in_established();
    xt_write(100);
    EXPECT("A", .seq = 1, .ack = 1, .len = 100);
    XT_EQ(RX("A", .seq = 1, .ack = 102, .len = 5), XW_DROP_TCP_ACK_FUTURE); /* optimistic: data is not taken either */
    EXPECT("A", .seq = 101, .ack = 1);
    XT_EQ(RX("A", .seq = 1, .ack = 0u - 70000, .len = 5), XW_DROP_TCP_ACK_OLD);
    EXPECT("A", .seq = 101, .ack = 1);
    XT_EQ(RX("A", .seq = 1, .ack = 0u - 1000, .len = 5), XW_DROP_NONE); /* old, but within */
    EXPECT("A", .seq = 101, .ack = 6);
    XT_EQ(RX("", .seq = 6, .len = 5), XW_DROP_TCP_NO_ACK);
    EXPECT_NOTHING();
    xt_end();
}

/* Two stacks that disagree must not keep each other busy: empty segments out of the window are answered at a bounded
 * rate, data always. */
XT_TEST(an_ack_storm_dies_out) {
    in_established();
    unsigned answers = 0;
    struct xw_tcp_seg g;
    for (unsigned i = 0; i < 1000; i++) {
        RX_MORE("A", .seq = 200000, .ack = 1);
        answers += (unsigned)xw_tcp_output(T.s, T.now, &g);
    }
    XT_EQ(answers, 10);
    for (unsigned i = 0; i < 20; i++) {
        XT_EQ(RX("A", .seq = 200000, .ack = 1, .len = 1), XW_DROP_TCP_SEQ);
        EXPECT("A", .seq = 1, .ack = 1);
    }
    xt_end();
}

XT_TEST(malformed_segments_are_counted) {
    in_established();
    uint8_t b[24] = { 0x01, 0xbb, 0x0f, 0xa0, [12] = 0x60, [13] = 0x10, [20] = 2, [21] = 0 };
    xt_raw(b, 19);
    XT_EQ(T.drops[XW_DROP_TCP_SHORT], 1);
    xt_raw(b, 24);
    XT_EQ(T.drops[XW_DROP_TCP_CHECKSUM], 1);
    xw_tcp_set_checksum(xw_mspan(b, sizeof b), 0x0a000002, 0x0a000001);
    xt_raw(b, 24);
    XT_EQ(T.drops[XW_DROP_TCP_OPTION], 1);
    b[12] = 0x70;
    xt_raw(b, 24);
    b[12] = 0x40;
    xt_raw(b, 24);
    XT_EQ(T.drops[XW_DROP_TCP_OFFSET], 2);
    xt_end();
}

/* ---- ICMP -------------------------------------------------------------------------------------------------------- */

static enum xw_drop icmp(uint32_t seq, enum xw_tcp_icmp kind, uint32_t mtu) {
    return xw_tcp_icmp_error(T.s, &T.c->tuple, xw_seq(XT_ISN + seq), kind, mtu, T.now);
}

XT_TEST(icmp_in_syn_sent_ends_it) {
    static const struct { enum xw_tcp_icmp kind; int error; } t[] = {
        { XW_TCP_ICMP_PORT, XW_EREFUSED }, { XW_TCP_ICMP_PROTO, XW_EREFUSED }, { XW_TCP_ICMP_ADMIN, XW_EREFUSED },
        { XW_TCP_ICMP_NET, XW_EUNREACH }, { XW_TCP_ICMP_HOST, XW_EUNREACH }, { XW_TCP_ICMP_TTL, XW_EUNREACH } };
    for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
        in_syn_sent();
        XT_EQ(icmp(1, t[i].kind, 0), XW_DROP_ICMP_QUOTE); /* not what we sent */
        EXPECT_STATE(XW_TCP_SYN_SENT);
        XT_EQ(icmp(0, t[i].kind, 0), XW_DROP_NONE);
        EXPECT_STATE(XW_TCP_CLOSED);
        XT_EQ(xw_tcp_error(T.c), t[i].error);
        xt_end();
    }
}

XT_TEST(icmp_later_is_a_hint) {
    xt_defaults();
    T.cfg.opts.data_retries = 1;
    in_established();
    XT_EQ(icmp(1, XW_TCP_ICMP_PORT, 0), XW_DROP_ICMP_QUOTE); /* nothing in flight */
    xt_write(10);
    EXPECT("A", .seq = 1, .ack = 1, .len = 10);
    XT_EQ(icmp(11, XW_TCP_ICMP_HOST, 0), XW_DROP_ICMP_QUOTE);
    XT_EQ(icmp(1, XW_TCP_ICMP_HOST, 0), XW_DROP_NONE);
    EXPECT_STATE(XW_TCP_ESTABLISHED);
    at(XT_MS(200));
    EXPECT("A", .seq = 1, .ack = 1, .len = 10);
    at(XT_MS(600));
    EXPECT("RA", .seq = 11, .ack = 1);
    XT_EQ(xw_tcp_error(T.c), XW_EUNREACH);
    xt_end();
}

XT_TEST(path_mtu_shrinks_and_segments_are_cut_anew) {
    in_established();
    xt_write(3000);
    EXPECT("A", .seq = 1, .ack = 1, .len = 1460);
    EXPECT("A", .seq = 1461, .ack = 1, .len = 1460);
    EXPECT("A", .seq = 2921, .ack = 1, .len = 80);
    XT_EQ(icmp(5000, XW_TCP_ICMP_FRAG, 1040), XW_DROP_ICMP_QUOTE);
    EXPECT_NOTHING();
    XT_EQ(icmp(1, XW_TCP_ICMP_FRAG, 1600), XW_DROP_NONE); /* never up */
    EXPECT_NOTHING();
    uint32_t cwnd = T.c->cc.cwnd;
    XT_EQ(icmp(1, XW_TCP_ICMP_FRAG, 1040), XW_DROP_NONE);
    EXPECT("A", .seq = 1, .ack = 1, .len = 1000);
    EXPECT("A", .seq = 1001, .ack = 1, .len = 460);
    EXPECT("A", .seq = 1461, .ack = 1, .len = 1000);
    EXPECT("A", .seq = 2461, .ack = 1, .len = 460);
    XT_EQ(T.c->cc.cwnd, cwnd); /* not congestion */
    RX("A", .seq = 1, .ack = 3001);
    XT_TRUE(xw_tcp_tx_drained(T.c));
    xt_end();
}

XT_TEST(forged_mtu_cannot_make_crumbs) {
    in_established();
    xt_write(1460);
    EXPECT("A", .seq = 1, .ack = 1, .len = 1460);
    XT_EQ(icmp(1, XW_TCP_ICMP_FRAG, 68), XW_DROP_NONE);
    struct xw_tcp_seg g;
    XT_EQ(xw_tcp_output(T.s, T.now, &g), 1);
    XT_EQ(g.data[0].len, 512);
    XT_TRUE(!g.df); /* a link with so little may fragment instead */
    while (xw_tcp_output(T.s, T.now, &g))
        continue;
    xt_end();
}

XT_TEST(mtu_that_is_not_said) {
    in_established();
    xt_write(1460);
    EXPECT("A", .seq = 1, .ack = 1, .len = 1460);
    XT_EQ(icmp(1, XW_TCP_ICMP_FRAG, 0), XW_DROP_NONE);
    EXPECT("A", .seq = 1, .ack = 1, .len = 1492 - 40); /* the plateau below 1500 */
    EXPECT("A", .seq = 1453, .ack = 1, .len = 8);
    XT_EQ(icmp(1, XW_TCP_ICMP_FRAG, 0), XW_DROP_NONE);
    EXPECT("A", .seq = 1, .ack = 1, .len = 1006 - 40);
    EXPECT("A", .seq = 967, .ack = 1, .len = 1452 - 966);
    xt_end();
}

XT_MAIN(XT_RUN(we_close_first), XT_RUN(the_peer_closes_first), XT_RUN(both_close_at_once),
        XT_RUN(fin_with_the_ack_of_our_fin),
        XT_RUN(fin_rides_on_the_last_data), XT_RUN(half_closed_still_receives), XT_RUN(close_wait_still_sends),
        XT_RUN(data_after_the_reader_left_is_reset), XT_RUN(segments_after_close_are_reset),
        XT_RUN(abort_sends_a_reset),
        XT_RUN(abort_in_syn_sent_is_silent), XT_RUN(shutdown_in_syn_sent_closes),
        XT_RUN(shutdown_in_syn_received_sends_fin_when_established), XT_RUN(released_time_wait_lives_on_without_rings),
        XT_RUN(time_wait_gives_way_to_a_newer_syn), XT_RUN(no_time_wait_if_configured),
        XT_RUN(only_the_exact_reset_counts),
        XT_RUN(syn_in_synchronized_states_is_challenged), XT_RUN(challenges_are_rate_limited),
        XT_RUN(acks_outside_the_window_are_challenged), XT_RUN(an_ack_storm_dies_out),
        XT_RUN(malformed_segments_are_counted),
        XT_RUN(icmp_in_syn_sent_ends_it), XT_RUN(icmp_later_is_a_hint),
        XT_RUN(path_mtu_shrinks_and_segments_are_cut_anew),
        XT_RUN(forged_mtu_cannot_make_crumbs), XT_RUN(mtu_that_is_not_said))
