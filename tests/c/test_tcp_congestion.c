/* Windows and episodes: csrc/tcp/congestion.c, cubic.c, undo.c, and of recovery.c what is proportional rate reduction,
 * the reordering window and the probes within an episode. */
#include "xt_tcp.h"

#define MSS 1460u
#define SEQ(i) (1 + (i) * MSS)

static void begin(uint8_t cc, bool ts) {
    xt_defaults();
    T.cfg.opts.cc = cc;
    T.cfg.opts.use_ts = ts;
    in_established();
}

static void in_flight(uint32_t n) {
    xt_write(n * MSS);
    for (uint32_t i = 0; i < n; i++)
        EXPECT("A", .seq = SEQ(i), .ack = 1, .len = MSS);
    EXPECT_NOTHING();
}

/* ---- CUBIC (RFC 9438) -------------------------------------------------------------------------------------------- */

XT_TEST(cubic_is_the_default) {
    struct xw_tcp_cfg cfg;
    xw_tcp_cfg_default(&cfg);
    XT_EQ(cfg.opts.cc, XW_TCP_CC_CUBIC);
    XT_TRUE(!strcmp(xw_tcp_cc_find(cfg.opts.cc)->name, "cubic"));
    XT_TRUE(!xw_tcp_cc_find(3));
}

XT_TEST(cubic_reduces_to_seven_tenths) {
    begin(XW_TCP_CC_CUBIC, false);
    in_flight(10);
    at(XT_MS(10));
    RX("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { SEQ(1), SEQ(4) } });
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    XT_EQ(T.c->cc.ssthresh, 10 * MSS * 717 / 1024);
    XT_EQ(T.c->cc.cubic.w_max, 10 * MSS);
    xt_end();
}

/* The window over ten seconds against the formula of RFC 9438 4.2 in floating point. */
XT_TEST(cubic_follows_its_curve) {
    struct xw_tcp_cc_state cc = { .cwnd = 700 * MSS, .ssthresh = 700 * MSS,
                                  .cubic = { .w_max = 1000 * MSS, .prior = 1000 * MSS } };
    const uint64_t rtt = XT_MS(100);
    double k = 9.0856, w = 700; /* cbrt((1000 - 700) / 0.4) */
    for (uint64_t t = 0; t <= 100; t++) {
        uint64_t now = XT_S(5) + t * rtt;
        for (uint32_t left = cc.cwnd / MSS; left--;)
            xw_tcp_cubic_on_ack(&cc, MSS, MSS, rtt, now);
        double d = (double)t * 0.1 + 0.1 - k, target = 0.4 * d * d * d + 1000, got = cc.cwnd / (double)MSS;
        w = target > w ? w + (target - w) * 0.632 : w; /* a window of ACKs closes so much of the distance */
        XT_TRUE(got > 0.99 * w - 2 && got < 1.01 * w + 2);
    }
    XT_TRUE(cc.cwnd > 990 * MSS);
}

XT_TEST(cubic_is_not_slower_than_reno) {
    struct xw_tcp_cc_state cc = { .cwnd = 10 * MSS, .ssthresh = 10 * MSS,
                                  .cubic = { .w_max = 14 * MSS, .prior = 14 * MSS } };
    for (uint64_t t = 0; t < 40; t++) /* 40 round trips of 1 ms: W_cubic has hardly moved */
        for (uint32_t left = cc.cwnd / MSS; left--;)
            xw_tcp_cubic_on_ack(&cc, MSS, MSS, XT_MS(1), XT_S(5) + t * XT_MS(1));
    XT_TRUE(cc.cwnd > 40 * MSS && cc.cwnd < 50 * MSS); /* 4.3: 0.53 a round trip up to prior, then one */
}

XT_TEST(cubic_does_not_count_a_pause) {
    struct xw_tcp_cc_state cc = { .cwnd = 100 * MSS, .ssthresh = 100 * MSS };
    xw_tcp_cubic_on_ack(&cc, MSS, MSS, XT_MS(10), XT_S(5));
    xw_tcp_cubic_on_ack(&cc, MSS, MSS, XT_MS(10), XT_S(5) + XT_MS(10));
    uint64_t begun = XT_S(5) + XT_MS(10) - cc.cubic.epoch_ns;
    xw_tcp_cubic_on_ack(&cc, MSS, MSS, XT_MS(10), XT_S(65));
    XT_EQ(XT_S(65) - cc.cubic.epoch_ns, begun); /* 5.8 */
}

XT_TEST(cubic_after_a_timeout_begins_where_it_is) {
    struct xw_tcp_cc_state cc = { .cwnd = 100 * MSS, .ssthresh = 50 * MSS };
    xw_tcp_cubic_on_rto(&cc, MSS, 100 * MSS, true);
    XT_EQ(cc.cwnd, MSS);
    XT_EQ(cc.ssthresh, 100 * MSS * 717 / 1024);
    uint32_t kept = cc.ssthresh;
    xw_tcp_cubic_on_rto(&cc, MSS, MSS, false);
    XT_EQ(cc.ssthresh, kept);
    cc.cwnd = cc.ssthresh;
    xw_tcp_cubic_on_ack(&cc, MSS, MSS, XT_MS(10), XT_S(5));
    XT_EQ(cc.cubic.k, 0); /* 4.8 */
    XT_EQ(cc.cubic.w_max, kept);
}

/* ---- none -------------------------------------------------------------------------------------------------------- */

XT_TEST(none_is_bounded_by_the_peer_alone) {
    begin(XW_TCP_CC_NONE, false);
    in_flight(40); /* the first window of the peer: 65535 octets */
    at(XT_MS(200));
    EXPECT("A", .seq = 1, .ack = 1, .len = MSS);
    for (uint32_t i = 1; i < 40; i++) /* a timeout: all of it again, at once */
        EXPECT("A", .seq = SEQ(i), .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = SEQ(40));
    xt_end();
}

/* ---- use of the window ------------------------------------------------------------------------------------------- */

XT_TEST(slow_start_counts_what_is_acknowledged) {
    begin(XW_TCP_CC_NEWRENO, false);
    in_flight(10); /* nothing waits behind it, but the window is full */
    RX("A", .seq = 1, .ack = SEQ(10));
    XT_EQ(T.c->cc.cwnd, 20 * MSS);
    xt_end();
}

XT_TEST(after_a_pause_the_window_is_halved_for_each_timeout) {
    begin(XW_TCP_CC_NEWRENO, false);
    in_flight(10);
    RX("A", .seq = 1, .ack = SEQ(10));
    T.c->cc.cwnd = 160 * MSS;
    at(XT_MS(410));
    xt_write(100);
    EXPECT("A", .seq = SEQ(10), .ack = 1, .len = 100);
    XT_EQ(T.c->cc.cwnd, 40 * MSS); /* RFC 2861: 410 ms are two timeouts */
    XT_EQ(T.c->cc.ssthresh, UINT32_MAX);
    RX("A", .seq = 1, .ack = SEQ(10) + 100);
    at(XT_S(10));
    xt_write(100);
    EXPECT("A", .seq = SEQ(10) + 100, .ack = 1, .len = 100);
    XT_EQ(T.c->cc.cwnd, 10 * MSS); /* not below the initial one */
    RX("A", .seq = 1, .ack = SEQ(10) + 200);
    xt_end();
}

/* ---- PRR (RFC 6937) ---------------------------------------------------------------------------------------------- */

/* Twenty in flight, the first is lost, ssthresh is half: one segment leaves for two that arrive. */
XT_TEST(prr_sends_in_proportion) {
    xt_defaults();
    T.cfg.opts.init_cwnd_segs = 20;
    in_established();
    in_flight(20);
    xt_write(20 * MSS);
    uint32_t sent = 0;
    struct xw_tcp_seg g;
    at(XT_MS(10));
    for (uint32_t i = 2; i <= 20; i++) {
        RX("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { SEQ(1), SEQ(i) } });
        while (xw_tcp_output(T.s, T.now, &g))
            sent++;
    }
    XT_EQ(T.c->cc.ssthresh, (20 + 2) / 2 * MSS); /* with limited transmit's two in flight */
    /* two by limited transmit; then the retransmission and one for every second of the sixteen that came later */
    XT_TRUE(sent >= 2 + 9 && sent <= 2 + 10);
    RX("A", .seq = 1, .ack = SEQ(20));
    XT_EQ(T.c->ca, XW_TCP_CA_RECOVERY); /* up to what was sent when it began */
    while (xw_tcp_output(T.s, T.now, &g))
        sent++;
    RX("A", .seq = 1, .ack = SEQ(22));
    XT_EQ(T.c->cc.cwnd, T.c->cc.ssthresh);
    while (!xw_tcp_tx_drained(T.c)) {
        while (xw_tcp_output(T.s, T.now, &g))
            sent++;
        RX("A", .seq = 1, .ack = T.c->snd_nxt.v - XT_ISN);
    }
    xt_end();
}

/* Most of the flight is lost: below ssthresh one for one, and one more while the left edge moves. */
XT_TEST(prr_does_not_burst_after_heavy_loss) {
    begin(XW_TCP_CC_NEWRENO, false);
    in_flight(10);
    at(XT_MS(10));
    RX("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { SEQ(7), SEQ(10) } }); /* three of ten arrived */
    for (uint32_t i = 0; i < 3; i++)
        EXPECT("A", .seq = SEQ(i), .ack = 1, .len = MSS);
    EXPECT_NOTHING(); /* not five, which ssthresh would allow */
    at(XT_MS(20));
    RX("A", .seq = 1, .ack = SEQ(1), .sacks = 1, .sack = { { SEQ(7), SEQ(10) } });
    EXPECT("A", .seq = SEQ(3), .ack = 1, .len = MSS);
    EXPECT("A", .seq = SEQ(4), .ack = 1, .len = MSS);
    EXPECT_NOTHING();
    RX("A", .seq = 1, .ack = SEQ(3), .sacks = 1, .sack = { { SEQ(7), SEQ(10) } });
    EXPECT("A", .seq = SEQ(5), .ack = 1, .len = MSS);
    EXPECT("A", .seq = SEQ(6), .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = SEQ(10));
    XT_EQ(T.c->cc.cwnd, 5 * MSS);
    xt_end();
}

/* ---- undo -------------------------------------------------------------------------------------------------------- */

/* Eifel (RFC 3522): the answer echoes the time of the original. */
XT_TEST(a_spurious_timeout_is_taken_back) {
    begin(XW_TCP_CC_NEWRENO, true);
    uint32_t t0 = (uint32_t)(T.now / XW_NS_PER_MS), mss = MSS - 12;
    xt_write(10 * mss);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT("A", .seq = 1 + i * mss, .ack = 1, .len = mss, .ts = t0, .ecr = 5000);
    T.c->min_rtt_ns = XT_MS(20); /* sooner than that nothing answers a retransmission */
    at(XT_MS(200));
    EXPECT("A", .seq = 1, .ack = 1, .len = mss, .ts = t0 + 200, .ecr = 5000);
    XT_EQ(T.c->cc.cwnd, mss);
    EXPECT_NOTHING();
    at(XT_MS(210));
    RX("A", .seq = 1, .ack = 1 + mss, .ts = 5210, .ecr = t0); /* the original, late */
    EXPECT_NOTHING(); /* nothing else is sent again */
    XT_EQ(T.c->st.undos, 1);
    XT_EQ(T.c->ca, XW_TCP_CA_OPEN);
    XT_EQ(T.c->cc.cwnd, 11 * mss);
    XT_EQ(T.c->cc.ssthresh, UINT32_MAX);
    XT_TRUE(xw_tcp_rto(T.c) > XT_MS(210)); /* RFC 4015: the timer has learned */
    RX("A", .seq = 1, .ack = 1 + 10 * mss, .ts = 5211, .ecr = t0);
    xt_end();
}

XT_TEST(a_real_timeout_is_not_taken_back) {
    begin(XW_TCP_CC_NEWRENO, true);
    uint32_t t0 = (uint32_t)(T.now / XW_NS_PER_MS), mss = MSS - 12;
    xt_write(mss);
    EXPECT("A", .seq = 1, .ack = 1, .len = mss, .ts = t0, .ecr = 5000);
    at(XT_MS(200));
    EXPECT("A", .seq = 1, .ack = 1, .len = mss, .ts = t0 + 200, .ecr = 5000);
    RX("A", .seq = 1, .ack = 1 + mss, .ts = 5210, .ecr = t0 + 200);
    XT_EQ(T.c->st.undos, 0);
    XT_EQ(T.c->cc.ssthresh, 2 * mss);
    xt_end();
}

/* Reordering took a segment for lost; its duplicate is reported (RFC 3708, RFC 2883). */
XT_TEST(a_dsack_takes_a_recovery_back) {
    begin(XW_TCP_CC_NEWRENO, false);
    in_flight(10);
    at(XT_MS(10));
    RX("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { SEQ(1), SEQ(4) } });
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    XT_EQ(T.c->ca, XW_TCP_CA_RECOVERY);
    RX("A", .seq = 1, .ack = SEQ(4)); /* the late original */
    RX("A", .seq = 1, .ack = SEQ(5), .sacks = 1, .sack = { { SEQ(0), SEQ(1) } });
    XT_EQ(T.c->st.undos, 1);
    XT_EQ(T.c->ca, XW_TCP_CA_OPEN);
    XT_TRUE(T.c->cc.cwnd >= 10 * MSS);
    XT_TRUE(T.c->reo_seen);
    XT_EQ(T.c->reo_mult, 2);
    RX("A", .seq = 1, .ack = SEQ(10));
    xt_end();
}

XT_TEST(one_duplicate_of_two_retransmissions_takes_nothing_back) {
    begin(XW_TCP_CC_NEWRENO, false);
    in_flight(10);
    at(XT_MS(10));
    RX("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { SEQ(2), SEQ(8) } });
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    EXPECT("A", .seq = SEQ(1), .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = SEQ(8), .sacks = 1, .sack = { { SEQ(0), SEQ(1) } });
    XT_EQ(T.c->st.undos, 0);
    XT_EQ(T.c->ca, XW_TCP_CA_RECOVERY);
    RX("A", .seq = 1, .ack = SEQ(10));
    XT_EQ(T.c->cc.cwnd, 5 * MSS);
    xt_end();
}

/* ---- reordering window (RFC 8985 6.2.4) -------------------------------------------------------------------------- */

XT_TEST(each_round_with_a_dsack_widens_the_reordering_window) {
    begin(XW_TCP_CC_NEWRENO, false);
    in_flight(4);
    for (unsigned i = 0; i < 2; i++) /* two in one round count once */
        RX("A", .seq = 1, .ack = SEQ(1), .sacks = 1, .sack = { { SEQ(0), SEQ(1) } });
    XT_EQ(T.c->reo_mult, 2);
    T.c->min_rtt_ns = T.c->srtt_ns = XT_MS(40);
    T.c->reo_seen = true;
    at(XT_MS(40));
    RX("A", .seq = 1, .ack = SEQ(1), .sacks = 1, .sack = { { SEQ(2), SEQ(3) } });
    EXPECT_NOTHING();
    EXPECT_DEADLINE(XT_MS(60)); /* half a round trip after it, no longer a quarter */
    at(XT_MS(60));
    EXPECT("A", .seq = SEQ(1), .ack = 1, .len = MSS);
    RX("A", .seq = 1, .ack = SEQ(4));
    xt_end();
}

/* ---- probes within an episode (use_tlp 2) ------------------------------------------------------------------------ */

XT_TEST(a_lost_retransmission_with_nothing_behind_it_is_probed_for) {
    xt_defaults();
    T.cfg.opts.use_tlp = 2;
    in_established();
    T.c->min_rtt_ns = T.c->srtt_ns = XT_MS(10);
    in_flight(4);
    at(XT_MS(10));
    RX("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { SEQ(1), SEQ(4) } });
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    uint64_t srtt = T.c->srtt_ns, t = XT_MS(10), wait = 2 * srtt + XT_MS(1);
    for (unsigned i = 0; i < 3; i++, wait *= 2) {
        t += wait;
        at(t - 1);
        EXPECT_NOTHING();
        at(t);
        EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    }
    XT_EQ(T.c->cc.ssthresh, 2 * MSS);
    XT_EQ(T.c->st.timeouts, 0);
    EXPECT_DEADLINE(XT_MS(200)); /* the timeout keeps its time */
    RX("A", .seq = 1, .ack = SEQ(4));
    XT_EQ(T.c->ca, XW_TCP_CA_OPEN);
    XT_EQ(T.c->tlp_backoff, 0);
    xt_end();
}

XT_TEST(rfc8985_probes_once_and_not_in_an_episode) {
    xt_defaults();
    T.cfg.opts.use_tlp = 1;
    in_established();
    T.c->min_rtt_ns = T.c->srtt_ns = XT_MS(10);
    in_flight(4);
    at(XT_MS(10));
    RX("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { SEQ(1), SEQ(4) } });
    EXPECT("A", .seq = SEQ(0), .ack = 1, .len = MSS);
    EXPECT_DEADLINE(XT_MS(200));
    RX("A", .seq = 1, .ack = SEQ(4));
    xt_end();
}

XT_MAIN(XT_RUN(cubic_is_the_default), XT_RUN(cubic_reduces_to_seven_tenths),
        XT_RUN(cubic_follows_its_curve), XT_RUN(cubic_is_not_slower_than_reno), XT_RUN(cubic_does_not_count_a_pause),
        XT_RUN(cubic_after_a_timeout_begins_where_it_is), XT_RUN(none_is_bounded_by_the_peer_alone),
        XT_RUN(slow_start_counts_what_is_acknowledged), XT_RUN(after_a_pause_the_window_is_halved_for_each_timeout),
        XT_RUN(prr_sends_in_proportion), XT_RUN(prr_does_not_burst_after_heavy_loss),
        XT_RUN(a_spurious_timeout_is_taken_back), XT_RUN(a_real_timeout_is_not_taken_back),
        XT_RUN(a_dsack_takes_a_recovery_back), XT_RUN(one_duplicate_of_two_retransmissions_takes_nothing_back),
        XT_RUN(each_round_with_a_dsack_widens_the_reordering_window),
        XT_RUN(a_lost_retransmission_with_nothing_behind_it_is_probed_for),
        XT_RUN(rfc8985_probes_once_and_not_in_an_episode))
