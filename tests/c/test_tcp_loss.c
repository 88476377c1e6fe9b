/* Sending: csrc/tcp/out.c, ack.c, recovery.c, sack.c (what is reported to us), rtt.c, congestion.c, timers.c. */
#include "xt_tcp.h"

#define MSS 1460u

/* cwnd of n segments' worth of data is in flight: segments 0 … n-1, all taken. */
static void in_flight(uint32_t n) {
    in_established();
    xt_write(n * MSS);
    for (uint32_t i = 0; i < n; i++)
        EXPECT("A", .seq = 1 + i * MSS, .ack = 1, .len = MSS);
    EXPECT_NOTHING();
}
static void without_sack(uint32_t n) {
    xt_defaults();
    T.cfg.opts.use_sack = 0;
    in_flight(n);
}
#define SEQ(i) (1 + (i) * MSS)

/* ---- cutting ----------------------------------------------------------------------------------------------------- */

XT_TEST(initial_window_is_ten_segments) {
    in_established();
    xt_write(20 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT("A", .seq = SEQ(i), .ack = 1, .len = MSS);
    EXPECT_NOTHING();
    RX("A", .seq = 1, .ack = SEQ(2)); /* slow start: two out, four in */
    for (uint32_t i = 10; i < 14; i++)
        EXPECT("A", .seq = SEQ(i), .ack = 1, .len = MSS);
    xt_end();
}

XT_TEST(push_is_set_where_the_queue_ends) {
    in_established();
    xt_write(MSS + 10);
    EXPECT("A", .seq = 1, .ack = 1, .len = MSS);
    EXPECT("PA", .seq = SEQ(1), .ack = 1, .len = 10);
    xt_end();
}

XT_TEST(payload_across_the_end_of_the_ring) {
    xt_defaults();
    T.snd_cap = 2048;
    in_established();
    xt_write(2000);
    EXPECT("A", .seq = 1, .ack = 1, .len = MSS);
    EXPECT("A", .seq = SEQ(1), .ack = 1, .len = 540);
    RX("A", .seq = 1, .ack = 2001);
    XT_TRUE(xw_tcp_tx_drained(T.c));
    xt_write(100);
    EXPECT("A", .seq = 2001, .ack = 1, .len = 100);
    xt_end();
}

XT_TEST(nagle) {
    xt_defaults();
    T.cfg.opts.nodelay = 0;
    in_established();
    xt_write(10);
    EXPECT("A", .seq = 1, .ack = 1, .len = 10);
    xt_write(10);
    EXPECT_NOTHING();
    xt_write(MSS);
    EXPECT("A", .seq = 11, .ack = 1, .len = MSS);
    EXPECT_NOTHING();
    RX("A", .seq = 1, .ack = 11 + MSS);
    EXPECT("A", .seq = 11 + MSS, .ack = 1, .len = 10);
    xt_end();
}

XT_TEST(sender_avoids_silly_windows) {
    in_established();
    RX("A", .seq = 1, .ack = 1, .win = 300);
    T.c->max_snd_wnd = 65535;
    xt_write(1000);
    EXPECT_NOTHING(); /* 300 of 1000 is neither all, nor a segment, nor half the largest window */
    EXPECT_DEADLINE(XT_MS(200));
    at(XT_MS(200)); /* RFC 9293 3.8.6.2.1 (4): the override timer */
    EXPECT("A", .seq = 1, .ack = 1, .len = 300);
    xt_end();
}

/* ---- timer ------------------------------------------------------------------------------------------------------- */

XT_TEST(rto_to_the_microsecond) {
    in_established(); /* handshake took no time: SRTT is next to nothing, so the minimum holds */
    xt_write(100);
    EXPECT("A", .seq = 1, .ack = 1, .len = 100);
    uint64_t t = 0, rto = XT_MS(200);
    for (unsigned i = 0; i < 6; i++) {
        t += rto;
        EXPECT_DEADLINE(t);
        at(t - 1);
        EXPECT_NOTHING();
        at(t);
        EXPECT("A", .seq = 1, .ack = 1, .len = 100);
        rto *= 2; /* 5.5 */
    }
    XT_EQ(T.c->st.timeouts, 6);
    RX("A", .seq = 1, .ack = 101);
    XT_TRUE(xw_tcp_deadline(T.s) == XW_NEVER); /* 5.2 */
    XT_EQ(xw_tcp_rto(T.c), rto); /* Karn: no sample, so the back-off stays */
    xt_write(1);
    EXPECT("A", .seq = 101, .ack = 1, .len = 1);
    at(t + XT_MS(10));
    RX("A", .seq = 1, .ack = 102);
    XT_EQ(T.c->backoff, 0);
    xt_end();
}

XT_TEST(rtt_estimate_is_rfc6298) {
    in_established();
    T.c->srtt_ns = 0; /* forget the handshake's sample of next to nothing */
    xw_tcp_rtt_sample(T.c, XT_MS(100));
    XT_EQ(T.c->srtt_ns, XT_MS(100));
    XT_EQ(T.c->rttvar_ns, XT_MS(50));
    XT_EQ(T.c->rto_ns, XT_MS(300));
    xw_tcp_rtt_sample(T.c, XT_MS(180));
    XT_EQ(T.c->rttvar_ns, 37500000 + 20000000);
    XT_EQ(T.c->srtt_ns, 87500000 + 22500000);
    XT_EQ(T.c->rto_ns, XT_MS(110) + 4 * 57500000);
    xw_tcp_rtt_sample(T.c, XT_S(100));
    XT_EQ(T.c->rto_ns, XT_S(60));
    xt_end();
}

XT_TEST(every_ack_of_new_data_restarts_the_timer) {
    in_flight(2);
    at(XT_MS(150));
    RX("A", .seq = 1, .ack = SEQ(1));
    EXPECT_DEADLINE(XT_MS(150) + xw_tcp_rto(T.c));
    RX("A", .seq = 1, .ack = SEQ(1)); /* a duplicate does not */
    EXPECT_DEADLINE(XT_MS(150) + xw_tcp_rto(T.c));
    xt_end();
}

XT_TEST(data_is_given_up_after_data_retries) {
    xt_defaults();
    T.cfg.opts.data_retries = 3;
    in_established();
    xt_write(100);
    EXPECT("A", .seq = 1, .ack = 1, .len = 100);
    uint64_t t = 0, rto = XT_MS(200);
    for (unsigned i = 0; i < 3; i++, rto *= 2) {
        at(t += rto);
        EXPECT("A", .seq = 1, .ack = 1, .len = 100);
    }
    at(t + rto);
    EXPECT("RA", .seq = 101, .ack = 1);
    EXPECT_STATE(XW_TCP_CLOSED);
    XT_EQ(xw_tcp_error(T.c), XW_ETIMEDOUT);
    xt_end();
}

XT_TEST(the_network_is_told_at_r1) {
    uint32_t ev;
    in_established();
    xt_write(100);
    EXPECT("A", .seq = 1, .ack = 1, .len = 100);
    while (xw_tcp_changed(T.s, &ev))
        continue;
    uint64_t t = 0;
    for (unsigned i = 0; i < 4; i++) {
        at(t += XT_MS(200) << i);
        EXPECT("A", .seq = 1, .ack = 1, .len = 100);
        XT_EQ(xw_tcp_changed(T.s, &ev) == T.c && (ev & XW_TCP_EV_ADVICE), i == 2); /* RFC 9293 SHLD-10: three */
    }
    RX("A", .seq = 1, .ack = 101);
    xt_end();
}

XT_TEST(a_peer_that_repeats_itself_does_not_hear_us) {
    uint32_t ev;
    in_established();
    RX("A", .seq = 1, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 101);
    while (xw_tcp_changed(T.s, &ev))
        continue;
    for (unsigned i = 0; i < 5; i++) {
        at(XT_MS(200) << i);
        RX("A", .seq = 1, .ack = 1, .len = 100);
        EXPECT("A", .seq = 1, .ack = 101, .sacks = 1, .sack = { { 1, 101 } });
        XT_EQ(xw_tcp_changed(T.s, &ev) == T.c && (ev & XW_TCP_EV_ADVICE), i == 2); /* once */
    }
    RX("A", .seq = 101, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 201);
    XT_EQ(T.c->dup_run, 0);
    XT_EQ(xt_read(1000), 200);
    xt_end();
}

XT_TEST(user_timeout) {
    xt_defaults();
    T.cfg.opts.user_timeout_ns = XT_MS(500);
    in_established();
    xt_write(100);
    EXPECT("A", .seq = 1, .ack = 1, .len = 100);
    at(XT_MS(200));
    EXPECT("A", .seq = 1, .ack = 1, .len = 100);
    EXPECT_DEADLINE(XT_MS(500));
    at(XT_MS(500));
    EXPECT("RA", .seq = 101, .ack = 1);
    XT_EQ(xw_tcp_error(T.c), XW_ETIMEDOUT);
    xt_end();
}

XT_TEST(timeout_takes_all_for_lost_and_starts_slowly) {
    in_flight(10);
    at(XT_MS(200));
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    EXPECT_NOTHING();
    XT_EQ(T.c->cc.cwnd, MSS);
    XT_EQ(T.c->cc.ssthresh, 5 * MSS);
    RX("A", .seq = 1, .ack = SEQ(1));
    EXPECT("A", .seq = SEQ(1), .ack = 1, .len = MSS);
    EXPECT("A", .seq = SEQ(2), .ack = 1, .len = MSS);
    EXPECT_NOTHING();
    RX("A", .seq = 1, .ack = SEQ(10));
    XT_EQ(T.c->ca, XW_TCP_CA_OPEN);
    xt_end();
}

XT_TEST(second_timeout_keeps_ssthresh) {
    in_flight(10);
    at(XT_MS(200));
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    at(XT_MS(600));
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    XT_EQ(T.c->cc.ssthresh, 5 * MSS); /* RFC 5681 (4) is for the first */
    xt_end();
}

/* ---- tail loss probe (RFC 8985 7) -------------------------------------------------------------------------------- */

static void with_tlp(uint32_t n) {
    xt_defaults();
    T.cfg.opts.use_tlp = 1;
    in_flight(n);
}

XT_TEST(tail_loss_probe_repeats_the_last_segment) {
    with_tlp(4);
    EXPECT_DEADLINE(XT_MS(21)); /* 2 SRTT + 1 ms */
    at(XT_MS(21));
    EXPECT("A", .seq = SEQ(3), .ack = 1, .len = MSS);
    EXPECT_DEADLINE(XT_MS(200)); /* one probe, then the timeout */
    at(XT_MS(31));
    RX("A", .seq = 1, .ack = SEQ(1), .sacks = 1, .sack = { { SEQ(3), SEQ(4) } }); /* 1 and 2 were lost */
    EXPECT("A", .seq = SEQ(1), .ack = 1, .len = MSS);
    EXPECT("A", .seq = SEQ(2), .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = SEQ(4));
    XT_EQ(T.c->st.timeouts, 0);
    XT_TRUE(!T.c->tlp_out);
    xt_end();
}

XT_TEST(tail_loss_probe_prefers_new_data) {
    with_tlp(10);
    xt_write(2 * MSS); /* cwnd is full */
    EXPECT_NOTHING();
    at(XT_MS(21));
    EXPECT("A", .seq = SEQ(10), .ack = 1, .len = MSS);
    EXPECT_NOTHING();
    xt_end();
}

XT_TEST(a_lone_segment_waits_for_the_delayed_ack) {
    with_tlp(1);
    EXPECT_DEADLINE(XT_MS(61));
    at(XT_MS(61));
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    uint32_t cwnd = T.c->cc.cwnd;
    RX("A", .seq = 1, .ack = SEQ(1), .sacks = 1, .sack = { { SEQ(0), SEQ(1) } }); /* needless: nothing was lost */
    XT_EQ(T.c->cc.cwnd, cwnd);
    xt_end();
}

XT_TEST(a_probe_that_mended_a_loss_halves_the_window) {
    with_tlp(1);
    at(XT_MS(61));
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = SEQ(1));
    XT_EQ(T.c->cc.cwnd, 5 * MSS);
    xt_end();
}

/* ---- fast retransmit --------------------------------------------------------------------------------------------- */

XT_TEST(a_lost_retransmission_at_the_tail_is_probed_for) {
    xt_defaults();
    T.cfg.opts.use_tlp = 2;
    in_established(); /* the round trip takes 10 ms */
    xt_write(5 * MSS);
    for (uint32_t i = 0; i < 5; i++)
        EXPECT("A", .seq = SEQ(i), .ack = 1, .len = MSS);
    at(XT_MS(10));
    RX("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { SEQ(1), SEQ(4) } });
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    EXPECT_DEADLINE(XT_MS(10 + 2 * 10 + 1)); /* it and the fifth are lost: without a probe the timeout at 210 ms */
    at(XT_MS(31));
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    at(XT_MS(41));
    RX("A", .seq = 1, .ack = SEQ(4)); /* RACK: what was sent before it is lost */
    EXPECT("A", .seq = SEQ(4), .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = SEQ(5));
    XT_EQ(T.c->st.timeouts, 0);
    xt_end();
}

XT_TEST(third_duplicate_ack_retransmits) {
    without_sack(10);
    xt_write(5 * MSS);
    RX("A", .seq = 1, .ack = 1);
    EXPECT("A", .seq = SEQ(10), .ack = 1, .len = MSS); /* RFC 3042 */
    RX("A", .seq = 1, .ack = 1);
    EXPECT("A", .seq = SEQ(11), .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = 1);
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    EXPECT_NOTHING();
    XT_EQ(T.c->cc.ssthresh, 6 * MSS);
    XT_EQ(T.c->st.dup_acks, 3);
    XT_EQ(T.c->st.fast_retransmits, 1);
    RX("A", .seq = 1, .ack = SEQ(12));
    XT_EQ(T.c->ca, XW_TCP_CA_OPEN);
    XT_EQ(T.c->cc.cwnd, 6 * MSS);
    for (uint32_t i = 12; i < 15; i++)
        EXPECT("A", .seq = SEQ(i), .ack = 1, .len = MSS);
    xt_end();
}

XT_TEST(partial_ack_names_the_next_hole) {
    without_sack(10);
    for (unsigned i = 0; i < 2; i++)
        RX("A", .seq = 1, .ack = 1);
    RX("A", .seq = 1, .ack = 1);
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = SEQ(4)); /* 4 is lost too */
    EXPECT("A", .seq = SEQ(4), .ack = 1, .len = MSS);
    EXPECT_NOTHING();
    XT_EQ(T.c->ca, XW_TCP_CA_RECOVERY);
    RX("A", .seq = 1, .ack = SEQ(10));
    XT_EQ(T.c->ca, XW_TCP_CA_OPEN);
    XT_EQ(T.c->st.fast_retransmits, 1);
    xt_end();
}

XT_TEST(window_updates_and_data_are_no_duplicates) {
    without_sack(10);
    for (uint32_t i = 1; i < 6; i++)
        RX("A", .seq = 1, .ack = 1, .win = 60000 + i);
    RX("A", .seq = 1, .ack = 1, .len = 1, .win = 60005);
    EXPECT("A", .seq = SEQ(10), .ack = 2);
    XT_EQ(T.c->st.dup_acks, 0);
    xt_end();
}

XT_TEST(sack_recovery_sends_the_holes_and_nothing_else) {
    in_flight(10);
    at(XT_MS(10));
    RX("A", .seq = 1, .ack = SEQ(1), .sacks = 1, .sack = { { SEQ(2), SEQ(3) } });
    EXPECT_NOTHING();
    RX("A", .seq = 1, .ack = SEQ(1), .sacks = 1, .sack = { { SEQ(2), SEQ(4) } });
    RX("A", .seq = 1, .ack = SEQ(1), .sacks = 2, .sack = { { SEQ(5), SEQ(6) }, { SEQ(2), SEQ(4) } });
    EXPECT("A", .seq = SEQ(1), .ack = 1, .len = MSS);
    EXPECT_NOTHING();
    RX("A", .seq = 1, .ack = SEQ(1), .sacks = 2, .sack = { { SEQ(5), SEQ(10) }, { SEQ(2), SEQ(4) } });
    EXPECT("A", .seq = SEQ(4), .ack = 1, .len = MSS);
    EXPECT_NOTHING();
    XT_EQ(T.c->sacked_bytes, 7 * MSS);
    XT_EQ(xw_tcp_pipe(T.c), 2 * MSS);
    RX("A", .seq = 1, .ack = SEQ(10));
    XT_EQ(T.c->st.retransmits, 2);
    XT_EQ(T.c->sacked_bytes, 0);
    XT_EQ(T.c->ca, XW_TCP_CA_OPEN);
    xt_end();
}

XT_TEST(part_of_a_segment_reported) {
    in_flight(6);
    at(XT_MS(10));
    RX("A", .seq = 1, .ack = 1, .sacks = 2, .sack = { { 101, 201 }, { SEQ(1), SEQ(6) } });
    EXPECT("A", .seq = 1, .ack = 1, .len = 100);
    EXPECT("A", .seq = 201, .ack = 1, .len = 1260);
    EXPECT_NOTHING();
    RX("A", .seq = 1, .ack = 51, .sacks = 2, .sack = { { 101, 201 }, { SEQ(1), SEQ(6) } });
    RX("A", .seq = 1, .ack = SEQ(6));
    XT_TRUE(xw_tcp_tx_drained(T.c));
    xt_end();
}

/* RFC 8985: what was sent earlier than something delivered is lost a reordering window later, also a retransmission. */
XT_TEST(rack_finds_loss_by_time) {
    in_established();
    T.c->min_rtt_ns = T.c->srtt_ns = XT_MS(40);
    xt_write(2 * MSS);
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    EXPECT("A", .seq = SEQ(1), .ack = 1, .len = MSS);
    at(XT_MS(40));
    RX("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { SEQ(1), SEQ(2) } });
    EXPECT_NOTHING();
    EXPECT_DEADLINE(XT_MS(50)); /* a quarter of the least RTT */
    at(XT_MS(50));
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    XT_EQ(T.c->st.fast_retransmits, 1);
    at(XT_MS(51));
    xt_write(MSS);
    EXPECT("A", .seq = SEQ(2), .ack = 1, .len = MSS);
    at(XT_MS(91)); /* the new one came through, the retransmission did not */
    RX("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { SEQ(1), SEQ(3) } });
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    xt_end();
}

XT_TEST(forged_sack_is_ignored) {
    in_flight(3);
    RX("A", .seq = 1, .ack = 1, .sacks = 3, .sack = { { SEQ(3), SEQ(9) }, { SEQ(2), SEQ(1) }, { 0x80000000, 5 } });
    XT_EQ(T.c->sacked_bytes, 0);
    RX("A", .seq = 1, .ack = SEQ(1), .sacks = 1, .sack = { { 1, 100 } }); /* below: DSACK */
    XT_EQ(T.c->sacked_bytes, 0);
    xt_end();
}

XT_TEST(reneging_is_survived) {
    in_flight(4);
    at(XT_MS(10));
    RX("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { SEQ(1), SEQ(4) } });
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = SEQ(1)); /* the peer has thrown the rest away */
    at(XT_S(1));
    EXPECT("A", .seq = SEQ(1), .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = SEQ(2));
    EXPECT("A", .seq = SEQ(2), .ack = 1, .len = MSS);
    EXPECT("A", .seq = SEQ(3), .ack = 1, .len = MSS);
    xt_end();
}

XT_TEST(congestion_avoidance_grows_a_segment_a_window) {
    in_flight(10);
    T.c->cc.ssthresh = T.c->cc.cwnd = 10 * MSS;
    xt_write(20 * MSS);
    uint32_t sent = 10;
    for (uint32_t i = 1; i <= 10; i++) {
        struct xw_tcp_seg g;
        RX("A", .seq = 1, .ack = SEQ(i));
        while (xw_tcp_output(T.s, T.now, &g))
            sent++;
    }
    XT_EQ(T.c->cc.cwnd, 11 * MSS);
    XT_EQ(sent, 21);
    xt_end();
}

XT_TEST(idle_window_does_not_grow) {
    in_established();
    for (uint32_t i = 0; i < 50; i++) {
        xt_write(10);
        EXPECT("A", .seq = 1 + 10 * i, .ack = 1, .len = 10);
        RX("A", .seq = 1, .ack = 11 + 10 * i);
    }
    XT_EQ(T.c->cc.cwnd, 10 * MSS);
    xt_end();
}

/* ---- closed windows ---------------------------------------------------------------------------------------------- */

XT_TEST(zero_window_is_probed_for_ever_while_answered) {
    xt_defaults();
    T.cfg.opts.data_retries = 3;
    in_established();
    RX("A", .seq = 1, .ack = 1, .win0 = true);
    xt_write(100);
    EXPECT_NOTHING();
    uint64_t t = 0, rto = XT_MS(200);
    for (unsigned i = 0; i < 30; i++) {
        t += rto;
        EXPECT_DEADLINE(t);
        at(t);
        EXPECT("A", .seq = 1, .ack = 1, .len = 1);
        RX("A", .seq = 1, .ack = 1, .win0 = true);
        rto = rto * 2 > XT_S(60) ? XT_S(60) : rto * 2;
    }
    XT_EQ(T.c->st.probes, 30);
    RX("A", .seq = 1, .ack = 1); /* opens: the probe's octet first, again */
    EXPECT("A", .seq = 1, .ack = 1, .len = 1);
    EXPECT("A", .seq = 2, .ack = 1, .len = 99);
    RX("A", .seq = 1, .ack = 101);
    XT_TRUE(xw_tcp_tx_drained(T.c));
    xt_end();
}

XT_TEST(unanswered_probes_end_the_connection) {
    xt_defaults();
    T.cfg.opts.data_retries = 3;
    in_established();
    RX("A", .seq = 1, .ack = 1, .win0 = true);
    xt_write(100);
    uint64_t t = 0, rto = XT_MS(200);
    for (unsigned i = 0; i < 3; i++, rto *= 2) {
        at(t += rto);
        EXPECT("A", .seq = 1, .ack = 1, .len = 1);
    }
    at(t + rto);
    EXPECT("RA", .seq = 2, .ack = 1);
    XT_EQ(xw_tcp_error(T.c), XW_ETIMEDOUT);
    xt_end();
}

XT_TEST(accepted_probe_moves_on) {
    in_established();
    RX("A", .seq = 1, .ack = 1, .win0 = true);
    xt_write(100);
    at(XT_MS(200));
    EXPECT("A", .seq = 1, .ack = 1, .len = 1);
    RX("A", .seq = 1, .ack = 2, .win = 1000);
    EXPECT("A", .seq = 2, .ack = 1, .len = 99);
    xt_end();
}

XT_TEST(shrunk_window) {
    in_flight(4);
    RX("A", .seq = 1, .ack = SEQ(1), .win = 100); /* takes back three segments' worth */
    EXPECT_NOTHING();
    RX("A", .seq = 1, .ack = SEQ(1), .win0 = true);
    at(XT_S(1));
    EXPECT("A", .seq = SEQ(1), .ack = 1, .len = 1);
    RX("A", .seq = 1, .ack = SEQ(1));
    EXPECT("A", .seq = SEQ(1), .ack = 1, .len = MSS);
    EXPECT("A", .seq = SEQ(2), .ack = 1, .len = MSS);
    EXPECT("A", .seq = SEQ(3), .ack = 1, .len = MSS);
    xt_end();
}

XT_TEST(an_old_segment_does_not_set_the_window) {
    in_established();
    RX("A", .seq = 1, .ack = 1, .len = 100, .win = 5000);
    EXPECT("A", .seq = 1, .ack = 101);
    RX("A", .seq = 101, .ack = 1, .len = 100, .win = 6000);
    EXPECT("A", .seq = 1, .ack = 201);
    RX("A", .seq = 1, .ack = 1, .len = 201, .win = 100); /* an old segment with one new octet: older than wl1 */
    EXPECT("A", .seq = 1, .ack = 202, .sacks = 1, .sack = { { 1, 201 } });
    XT_EQ(T.c->snd_wnd, 6000);
    xt_end();
}

XT_TEST(a_retransmission_that_acknowledges_sets_the_window) {
    in_established();
    T.c->max_snd_wnd = 1000;
    xt_write(1000);
    EXPECT("A", .seq = 1, .ack = 1, .len = 1000);
    RX("A", .seq = 101, .ack = 1, .len = 100, .win = 1000); /* its window was full, the first 100 octets are lost */
    EXPECT("A", .seq = 1001, .ack = 1, .sacks = 1, .sack = { { 101, 201 } });
    RX("A", .seq = 1, .ack = 1001, .len = 100, .win = 500);  /* older by its number, newer by its acknowledgment */
    EXPECT("A", .seq = 1001, .ack = 201);
    XT_EQ(T.c->snd_wnd, 500);
    xt_write(600);
    EXPECT("A", .seq = 1001, .ack = 201, .len = 500); /* not a word beyond what was offered */
    RX("A", .seq = 201, .ack = 1501, .win = 500);
    EXPECT("A", .seq = 1501, .ack = 201, .len = 100);
    xt_end();
}

/* ---- keepalive, bounds --------------------------------------------------------------------------------------------
 * */

XT_TEST(keepalive) {
    xt_defaults();
    T.cfg.opts.keep_idle_ns = XT_S(10);
    T.cfg.opts.keep_interval_ns = XT_S(1);
    T.cfg.opts.keep_probes = 2;
    in_established();
    at(XT_S(5));
    RX("A", .seq = 1, .ack = 1, .len = 10);
    EXPECT("A", .seq = 1, .ack = 11);
    at(XT_S(10));
    EXPECT_DEADLINE(XT_S(15));
    at(XT_S(15));
    EXPECT("A", .seq = 0, .ack = 11);
    RX("A", .seq = 11, .ack = 1);
    at(XT_S(16));
    EXPECT_DEADLINE(XT_S(25));
    at(XT_S(25));
    EXPECT("A", .seq = 0, .ack = 11);
    at(XT_S(26));
    EXPECT("A", .seq = 0, .ack = 11);
    at(XT_S(27));
    EXPECT("RA", .seq = 1, .ack = 11);
    XT_EQ(xw_tcp_error(T.c), XW_ETIMEDOUT);
    xt_end();
}

XT_TEST(keepalives_that_are_answered_go_on_for_ever) {
    xt_defaults();
    T.cfg.opts.keep_idle_ns = XT_S(1);
    T.cfg.opts.keep_interval_ns = XT_S(2); /* longer than the idle time: silence again before the next */
    T.cfg.opts.keep_probes = 3;
    in_established();
    for (unsigned i = 0; i < 20; i++) {
        at(XT_S(1) + i * XT_S(2));
        EXPECT("A", .seq = 0, .ack = 1);
        RX("A", .seq = 1, .ack = 1);
    }
    EXPECT_STATE(XW_TCP_ESTABLISHED);
    for (unsigned i = 20; i < 23; i++) {
        at(XT_S(1) + i * XT_S(2));
        EXPECT("A", .seq = 0, .ack = 1);
    }
    at(XT_S(1) + 23 * XT_S(2));
    EXPECT("RA", .seq = 1, .ack = 1);
    XT_EQ(xw_tcp_error(T.c), XW_ETIMEDOUT);
    xt_end();
}

XT_TEST(records_are_bounded) {
    xt_defaults();
    T.cfg.tx_records = 32;
    in_established();
    for (uint32_t i = 0; i < 24; i++) {
        xt_write(1);
        EXPECT("A", .seq = 1 + i, .ack = 1, .len = 1);
    }
    xt_write(1);
    EXPECT_NOTHING(); /* the last quarter is for splitting */
    RX("A", .seq = 1, .ack = 2);
    EXPECT("A", .seq = 25, .ack = 1, .len = 1);
    xt_end();
}

XT_MAIN(XT_RUN(initial_window_is_ten_segments), XT_RUN(push_is_set_where_the_queue_ends),
        XT_RUN(payload_across_the_end_of_the_ring), XT_RUN(nagle), XT_RUN(sender_avoids_silly_windows),
        XT_RUN(rto_to_the_microsecond), XT_RUN(rtt_estimate_is_rfc6298),
        XT_RUN(every_ack_of_new_data_restarts_the_timer),
        XT_RUN(data_is_given_up_after_data_retries), XT_RUN(the_network_is_told_at_r1), XT_RUN(a_peer_that_repeats_itself_does_not_hear_us),
        XT_RUN(user_timeout),
        XT_RUN(timeout_takes_all_for_lost_and_starts_slowly),
        XT_RUN(second_timeout_keeps_ssthresh), XT_RUN(tail_loss_probe_repeats_the_last_segment),
        XT_RUN(tail_loss_probe_prefers_new_data),
        XT_RUN(a_lone_segment_waits_for_the_delayed_ack), XT_RUN(a_probe_that_mended_a_loss_halves_the_window),
        XT_RUN(a_lost_retransmission_at_the_tail_is_probed_for), XT_RUN(third_duplicate_ack_retransmits),
        XT_RUN(partial_ack_names_the_next_hole),
        XT_RUN(window_updates_and_data_are_no_duplicates), XT_RUN(sack_recovery_sends_the_holes_and_nothing_else),
        XT_RUN(part_of_a_segment_reported), XT_RUN(rack_finds_loss_by_time), XT_RUN(forged_sack_is_ignored),
        XT_RUN(reneging_is_survived), XT_RUN(congestion_avoidance_grows_a_segment_a_window),
        XT_RUN(idle_window_does_not_grow), XT_RUN(zero_window_is_probed_for_ever_while_answered),
        XT_RUN(unanswered_probes_end_the_connection), XT_RUN(accepted_probe_moves_on), XT_RUN(shrunk_window),
        XT_RUN(an_old_segment_does_not_set_the_window),
        XT_RUN(a_retransmission_that_acknowledges_sets_the_window), XT_RUN(keepalive), XT_RUN(keepalives_that_are_answered_go_on_for_ever),
        XT_RUN(records_are_bounded))
