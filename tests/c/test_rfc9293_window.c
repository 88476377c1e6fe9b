/* RFC 9293 requirement by requirement, where no other trace proves it: windows, retransmission, acknowledging. */
#include "xt_tcp.h"

#define MSS 1460u

XT_TEST(window_is_unsigned_and_32_bits) {
    xt_defaults();
    T.cfg.opts.use_wscale = 1;
    in_syn_sent();
    RX("SA", .seq = 0, .ack = 1, .mss = 1460, .ws1 = 8, .win = 0xffff);
    EXPECT("A", .seq = 1, .ack = 1);
    XT_EQ(T.c->snd_wnd, 65535); /* the window of a SYN is not scaled */
    RX("A", .seq = 1, .ack = 1, .win = 0xffff);
    XT_EQ(T.c->snd_wnd, 65535u << 7);
    xt_write(MSS);
    EXPECT("A", .seq = 1, .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = 1 + MSS, .win = 0x8000); /* as a signed number it would be negative */
    XT_EQ(T.c->snd_wnd, 0x8000u << 7);
    xt_write(MSS);
    EXPECT("A", .seq = 1 + MSS, .ack = 1, .len = MSS);
    xt_end();
}

XT_TEST(data_beyond_a_shrunk_window_does_not_end_it) {
    xt_defaults();
    T.cfg.opts.data_retries = 3;
    in_established();
    xt_write(2 * MSS);
    EXPECT("A", .seq = 1, .ack = 1, .len = MSS);
    EXPECT("A", .seq = 1 + MSS, .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = 1, .win = 100); /* the right edge moves left, over what is in flight */
    xt_write(10); /* new data stays here */
    EXPECT_NOTHING();
    RX("A", .seq = 1, .ack = 101, .win0 = true);
    EXPECT_NOTHING();
    uint64_t t = T.now - T.epoch;
    for (unsigned i = 0; i < 10; i++) { /* probed, answered, never given up */
        t = xw_tcp_deadline(T.s) - T.epoch;
        at(t);
        EXPECT("A", .seq = 101, .ack = 1, .len = 1);
        RX("A", .seq = 1, .ack = 101, .win0 = true);
    }
    EXPECT_STATE(XW_TCP_ESTABLISHED);
    RX("A", .seq = 1, .ack = 101); /* opens: the old data first, within the window */
    EXPECT("A", .seq = 101, .ack = 1, .len = MSS - 100);
    xw_tcp_abort(T.c, T.now);
    EXPECT("RA", .seq = 1 + 2 * MSS, .ack = 1);
    xt_end();
}

XT_TEST(reset_counts_with_a_closed_window) {
    xt_defaults();
    T.rcv_cap = 4096;
    in_established();
    RX("A", .seq = 1, .ack = 1, .len = 4096);
    EXPECT("A", .seq = 1, .ack = 4097, .win0 = true);
    XT_EQ(RX("R", .seq = 4097), XW_DROP_NONE);
    EXPECT_STATE(XW_TCP_CLOSED);
    XT_EQ(xw_tcp_error(T.c), XW_ERESET);
    xt_end();
}

XT_TEST(ack_and_urgent_count_with_a_closed_window) {
    xt_defaults();
    T.rcv_cap = 4096;
    in_established();
    xt_write(10);
    EXPECT("A", .seq = 1, .ack = 1, .len = 10);
    RX("A", .seq = 1, .ack = 1, .len = 4096);
    EXPECT("A", .seq = 11, .ack = 4097, .win0 = true);
    RX("AU", .seq = 4097, .ack = 11, .len = 5); /* data does not fit, the rest of the segment counts */
    EXPECT("A", .seq = 11, .ack = 4097, .win0 = true);
    XT_TRUE(xw_tcp_tx_drained(T.c));
    xt_end();
}

XT_TEST(karn_takes_no_sample_of_what_was_sent_twice) {
    in_established();
    uint64_t srtt = T.c->srtt_ns;
    xt_write(10);
    EXPECT("A", .seq = 1, .ack = 1, .len = 10);
    at(XT_MS(200));
    EXPECT("A", .seq = 1, .ack = 1, .len = 10);
    at(XT_MS(201));
    RX("A", .seq = 1, .ack = 11);
    XT_EQ(T.c->srtt_ns, srtt);
    xt_write(10); /* the backed-off timer stays until a segment is acknowledged that was sent once */
    EXPECT("A", .seq = 11, .ack = 1, .len = 10);
    at(XT_MS(211));
    RX("A", .seq = 1, .ack = 21);
    XT_EQ(T.c->srtt_ns, srtt); /* 10 ms again */
    XT_EQ(T.c->backoff, 0);
    xt_end();
}

/* Runs every deadline without an answer; returns the time from the first transmission to the end. */
static uint64_t until_given_up(unsigned *sent) {
    struct xw_tcp_seg g;
    uint64_t begin = T.now;
    while (xw_tcp_state(T.c) != XW_TCP_CLOSED) {
        while (xw_tcp_output(T.s, T.now, &g))
            ++*sent;
        T.now = xw_tcp_deadline(T.s);
        XT_TRUE(T.now != XW_NEVER);
        xw_tcp_tick(T.s, T.now);
    }
    while (xw_tcp_output(T.s, T.now, &g)) {
    }
    XT_EQ(xw_tcp_error(T.c), XW_ETIMEDOUT);
    return T.now - begin;
}

XT_TEST(data_is_tried_for_100_seconds_at_least) {
    unsigned sent = 0;
    in_established();
    xt_write(10);
    XT_TRUE(until_given_up(&sent) >= XT_S(100));
    XT_TRUE(sent >= 16);
    xt_end();
}

XT_TEST(syns_have_their_own_number_of_tries) {
    for (uint32_t retries = 0; retries < 8; retries += 7) {
        unsigned sent = 0;
        xt_defaults();
        T.cfg.opts.syn_retries = retries;
        in_syn_sent();
        uint64_t took = until_given_up(&sent);
        XT_EQ(sent, retries); /* and the first, which in_syn_sent took */
        XT_TRUE(retries ? took >= XT_S(180) : took == XT_S(1)); /* 7 are enough for three minutes */
        xt_end();
    }
}

XT_TEST(two_small_segments_wait_for_the_delayed_ack) {
    xt_defaults();
    T.cfg.opts.ack_policy = XW_TCP_ACK_DELAYED;
    T.cfg.opts.ack_delay_ns = XT_MS(499);
    in_established();
    RX("A", .seq = 1, .ack = 1, .len = 10);
    EXPECT_NOTHING();
    EXPECT_DEADLINE(XT_MS(499)); /* below half a second */
    at(XT_MS(499));
    EXPECT("A", .seq = 1, .ack = 11);
    xt_end();
}

XT_TEST(all_that_is_queued_is_taken_before_the_ack) {
    in_established();
    RX("A", .seq = 101, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { 101, 201 } }); /* out of order: at once */
    RX("A", .seq = 301, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 2, .sack = { { 301, 401 }, { 101, 201 } });
    RX("A", .seq = 1, .ack = 1, .len = 100);
    RX_MORE("A", .seq = 201, .ack = 1, .len = 100); /* both holes are filled in one burst */
    EXPECT("A", .seq = 1, .ack = 401); /* of all, twice: the path has just lost something, ACKs may be next */
    EXPECT("A", .seq = 1, .ack = 401);
    EXPECT_NOTHING();
    XT_EQ(xt_read(1000), 400);
    xt_end();
}

XT_TEST(retransmissions_have_no_options_of_a_syn) {
    in_established();
    xt_write(10);
    EXPECT("PA", .seq = 1, .ack = 1, .len = 10, .no_opts = true); /* no MSS outside a SYN; PSH ends the queue */
    at(XT_MS(200));
    EXPECT("PA", .seq = 1, .ack = 1, .len = 10, .no_opts = true);
    xt_end();
}

XT_TEST(a_reset_may_bear_data) {
    in_established();
    XT_EQ(RX("RA", .seq = 1, .ack = 1, .len = 20), XW_DROP_NONE);
    EXPECT_STATE(XW_TCP_CLOSED);
    XT_EQ(xw_bytering_len(&T.rcv), 0); /* which is no data of the stream */
    xt_end();
}

XT_TEST(reset_in_syn_received_after_a_passive_open) {
    in_syn_rcvd();
    XT_EQ(RX("R", .seq = 1), XW_DROP_NONE);
    EXPECT_STATE(XW_TCP_CLOSED);
    XT_EQ(RX("S", .seq = 0, .sport = 77), XW_DROP_NONE); /* the listener goes on */
    struct xw_tcp_tuple t;
    XT_TRUE(xw_tcp_listen_pending(T.l, &t));
    XT_EQ(t.remote_port, 77);
    xt_end();
}

XT_TEST(reset_in_syn_received_after_an_active_open) {
    in_syn_sent();
    RX("S", .seq = 0, .mss = 1460);
    EXPECT("SA", .seq = 0, .ack = 1);
    EXPECT_STATE(XW_TCP_SYN_RCVD);
    XT_EQ(RX("RA", .seq = 1, .ack = 1), XW_DROP_NONE);
    EXPECT_STATE(XW_TCP_CLOSED);
    XT_EQ(xw_tcp_error(T.c), XW_EREFUSED); /* RFC 9293 3.10.7.4: it came from an active open */
    xt_end();
}

XT_TEST(time_wait_lasts_as_configured) {
    xt_defaults();
    XT_EQ(T.cfg.opts.time_wait_ns, XT_S(60));
    in_time_wait();
    uint64_t end = xw_tcp_deadline(T.s) - T.epoch;
    at(end - 1);
    EXPECT_STATE(XW_TCP_TIME_WAIT);
    RX("FA", .seq = 1, .ack = 2); /* the FIN again: acknowledged again, and the time begins anew */
    EXPECT("A", .seq = 2, .ack = 2);
    EXPECT_DEADLINE(end - 1 + XT_S(60));
    at(end - 1 + XT_S(60));
    EXPECT_STATE(XW_TCP_CLOSED);
    xt_end();
}

XT_MAIN(XT_RUN(window_is_unsigned_and_32_bits), XT_RUN(data_beyond_a_shrunk_window_does_not_end_it),
        XT_RUN(reset_counts_with_a_closed_window), XT_RUN(ack_and_urgent_count_with_a_closed_window),
        XT_RUN(karn_takes_no_sample_of_what_was_sent_twice), XT_RUN(data_is_tried_for_100_seconds_at_least),
        XT_RUN(syns_have_their_own_number_of_tries), XT_RUN(two_small_segments_wait_for_the_delayed_ack),
        XT_RUN(all_that_is_queued_is_taken_before_the_ack), XT_RUN(retransmissions_have_no_options_of_a_syn),
        XT_RUN(a_reset_may_bear_data), XT_RUN(reset_in_syn_received_after_a_passive_open),
        XT_RUN(reset_in_syn_received_after_an_active_open), XT_RUN(time_wait_lasts_as_configured))
