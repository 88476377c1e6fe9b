/* Attacks and nonsense: what a peer, or somebody off the path, can send costs bounded work and memory, and a connection
 * goes on. Work is counted (segments sent, records, ranges), not timed. One test an attack. */
#include "xt_tcp.h"

#define MSS 1460u

/* Everything that we have to send now; how many segments. */
static unsigned sent(void) {
    struct xw_tcp_seg g;
    unsigned n = 0;
    while (xw_tcp_output(T.s, T.now, &g))
        XT_TRUE(++n < 100000);
    return n;
}

/* Still the same connection: the next octets arrive and are acknowledged. */
static void still_works(uint32_t seq, uint32_t ack) {
    EXPECT_STATE(XW_TCP_ESTABLISHED);
    sent();
    at(T.now - T.epoch + XT_S(2)); /* the rates are whole again */
    sent();
    XT_EQ(RX("A", .seq = seq, .ack = ack, .len = 10), XW_DROP_NONE);
    EXPECT("A", .seq = T.c->snd_nxt.v - XT_ISN, .ack = seq + 10);
    XT_TRUE(xt_read(100000) >= 10);
    sent();
    xt_end();
}

/* ---- off the path: sequence numbers are guessed ------------------------------------------------------------------- */

XT_TEST(resets_through_the_whole_sequence_space) {
    in_established();
    unsigned answers = 0;
    for (uint32_t i = 0; i < 131072; i++) { /* one in each half window: many lie in it, none at its left edge */
        RX_MORE("R", .seq = 1 + 5 + i * 32768);
        answers += sent();
    }
    XT_TRUE(answers <= 10);
    still_works(1, 1);
}

XT_TEST(syns_through_the_whole_sequence_space) {
    in_established();
    unsigned answers = 0;
    for (uint32_t i = 0; i < 131072; i++) {
        RX_MORE("S", .seq = i * 32768, .mss = 100, .ws1 = 15);
        RX_MORE("SA", .seq = i * 32768, .ack = i * 32768, .mss = 100);
        answers += sent();
    }
    XT_TRUE(answers <= 10);
    still_works(1, 1);
}

XT_TEST(data_with_guessed_numbers) {
    in_established();
    for (uint32_t i = 1; i < 2000; i++) {
        RX_MORE("A", .seq = 1 + i * 1000003, .ack = 1, .len = 100); /* off the window, most of them */
        RX_MORE("A", .seq = 1, .ack = 1 + i * 2000003 % 0x7fff0000, .len = 100); /* RFC 5961 5.2 */
        sent();
    }
    XT_EQ(xw_bytering_len(&T.rcv), 0);
    XT_TRUE(T.c->ooo_cnt <= 2);
    still_works(1, 1);
}

XT_TEST(a_timestamp_from_off_the_window_is_not_kept) {
    xt_defaults();
    T.cfg.opts.use_ts = 1;
    in_established();
    XT_EQ(RX("A", .seq = 100000, .ack = 1, .len = 10, .ts = 5000u + 0x7ffffff0u), XW_DROP_TCP_SEQ);
    sent();
    XT_EQ(RX("R", .seq = 100000, .ts = 5000u + 0x7ffffff0u), XW_DROP_TCP_RST_SEQ);
    XT_EQ(T.c->ts_recent, 5000);
    XT_EQ(RX("A", .seq = 1, .ack = 1, .len = 10, .ts = 5001, .ecr = 1), XW_DROP_NONE);
    XT_EQ(sent(), 1);
    xt_end();
}

XT_TEST(icmp_errors_with_guessed_numbers) {
    in_established();
    xt_write(1000);
    XT_EQ(sent(), 1);
    for (uint32_t i = 0; i < 1000; i++)
        for (int kind = XW_TCP_ICMP_NET; kind <= XW_TCP_ICMP_FRAG; kind++)
            XT_EQ(xw_tcp_icmp_error(T.s, &T.c->tuple, xw_seq(XT_ISN + 1001 + i * 4000037 % 0xf0000000u),
                                    (enum xw_tcp_icmp)kind, 68, T.now), XW_DROP_ICMP_QUOTE);
    XT_EQ(T.c->path_mtu, 1500);
    XT_EQ(T.c->soft_error, 0);
    XT_EQ(sent(), 0);
    RX("A", .seq = 1, .ack = 1001);
    still_works(1, 1001);
}

XT_TEST(icmp_errors_with_the_right_number_are_hints) {
    in_established();
    xt_write(1000);
    XT_EQ(sent(), 1);
    for (unsigned i = 0; i < 1000; i++)
        for (int kind = XW_TCP_ICMP_NET; kind < XW_TCP_ICMP_FRAG; kind++)
            xw_tcp_icmp_error(T.s, &T.c->tuple, xw_seq(XT_ISN + 1), (enum xw_tcp_icmp)kind, 0, T.now);
    XT_EQ(sent(), 0);
    for (unsigned i = 0; i < 1000; i++) /* each makes a smaller MTU, until there is no smaller one: RFC 5927 7 */
        xw_tcp_icmp_error(T.s, &T.c->tuple, xw_seq(XT_ISN + 1), XW_TCP_ICMP_FRAG, 1400 - i, T.now);
    XT_TRUE(sent() <= 4 && T.c->path_mtu >= 552);
    RX("A", .seq = 1, .ack = 1001);
    still_works(1, 1001);
}

/* ---- peers that break the rules of acknowledging ------------------------------------------------------------------ */

XT_TEST(optimistic_acks_buy_nothing) {
    in_established();
    xt_write(60000);
    unsigned flight = sent();
    uint32_t cwnd = T.c->cc.cwnd;
    for (unsigned i = 1; i < 1000; i++) {
        RX_MORE("A", .seq = 1, .ack = 1 + flight * MSS + i * MSS); /* never sent yet */
        sent();
    }
    XT_EQ(T.c->cc.cwnd, cwnd);
    XT_EQ(T.c->snd_una.v, XT_ISN + 1);
    xt_end();
}

XT_TEST(dividing_acks_buys_nothing) {
    in_established();
    xt_write(60000);
    sent();
    uint32_t cwnd = T.c->cc.cwnd;
    for (uint32_t i = 1; i <= MSS; i++) { /* RFC 3465: octets count, not acknowledgments */
        RX_MORE("A", .seq = 1, .ack = 1 + i);
        sent();
    }
    XT_TRUE(T.c->cc.cwnd <= cwnd + MSS);
    xt_end();
}

XT_TEST(duplicate_acks_without_number_buy_little) {
    xt_defaults();
    T.cfg.opts.use_sack = 0;
    in_established();
    xt_write(60000);
    unsigned flight = sent(), more = 0;
    for (unsigned i = 0; i < 10000; i++)
        RX_MORE("A", .seq = 1, .ack = 1); /* says that more left the network than was ever in it */
    more = sent();
    if (more > flight + 1)
        XT_FAIL("%u segments in flight, %u more after a flood of duplicates", flight, more);
    XT_EQ(T.c->st.fast_retransmits, 1);
    xt_end();
}

XT_TEST(sack_blocks_at_random) {
    in_established();
    xt_write(60000);
    sent();
    uint32_t x = 1;
    for (unsigned i = 0; i < 20000; i++) {
        struct xt_seg s = { .flags = "A", .seq = 1, .ack = 1, .sacks = 4 };
        for (unsigned k = 0; k < 4; k++) {
            x = x * 1664525 + 1013904223;
            s.sack[k][0] = x >> 14;
            x = x * 1664525 + 1013904223;
            s.sack[k][1] = k & 1 ? s.sack[k][0] + 1 : x >> 14; /* single octets: as many pieces as possible */
        }
        xt_rx(__FILE__, __LINE__, true, s);
        sent();
        XT_TRUE(T.c->rec_cnt <= T.cfg.tx_records);
    }
    EXPECT_STATE(XW_TCP_ESTABLISHED);
    xt_end();
}

XT_TEST(invalid_acks_by_the_hundred_thousand) {
    in_established();
    unsigned answers = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        RX_MORE("A", .seq = 1, .ack = 2 + i);
        RX_MORE("A", .seq = 70000 + i, .ack = 1);
        RX_MORE("A", .seq = 1, .ack = 0u - 100000 - i);
        answers += sent();
    }
    XT_TRUE(answers <= 10 && T.s->reply_cnt == 0 && T.s->heap_cnt <= 1);
    still_works(1, 1);
}

XT_TEST(resets_for_nobody_are_bounded_in_a_burst) {
    in_established();
    for (uint32_t i = 0; i < 100000; i++)
        RX_MORE("A", .sport = (uint16_t)(1000 + i % 50000), .seq = i, .ack = i);
    XT_TRUE(sent() <= XW_TCP_REPLIES);
    still_works(1, 1);
}

XT_TEST(a_flood_of_syns_fills_the_backlog_and_nothing_else) {
    in_listen();
    for (uint32_t i = 0; i < 100000; i++)
        RX_MORE("S", .sport = (uint16_t)(1 + i % 65535), .seq = i, .mss = 1460);
    XT_EQ(sent(), 0);
    XT_EQ(T.l->syn_cnt, T.cfg.backlog);
    XT_TRUE(xw_tcp_deadline(T.s) == XW_NEVER);
    xt_end();
}

/* ---- windows ------------------------------------------------------------------------------------------------------ */

XT_TEST(zero_window_for_an_hour) {
    in_established();
    RX("A", .seq = 1, .ack = 1, .win0 = true);
    xt_write(5000);
    unsigned probes = 0;
    uint64_t end = T.now + XT_S(3600), next;
    while ((next = xw_tcp_deadline(T.s)) < end) {
        T.now = next;
        xw_tcp_tick(T.s, T.now);
        unsigned n = sent();
        XT_TRUE(n <= 1);
        probes += n;
        RX("A", .seq = 1, .ack = 1, .win0 = true); /* answered: for ever (RFC 9293 MUST-37) */
    }
    XT_TRUE(probes >= 60 && probes <= 75); /* 0.2 s, doubling up to a minute */
    EXPECT_STATE(XW_TCP_ESTABLISHED);
    T.now = end;
    RX("A", .seq = 1, .ack = 1);
    EXPECT("A", .seq = 1, .ack = 1, .len = 1); /* what the probes carried */
    XT_EQ(sent(), 4);
    xt_end();
}

XT_TEST(window_that_shrinks_by_an_octet_at_a_time) {
    in_established();
    xt_write(20000);
    unsigned first = sent(), more = 0;
    for (uint32_t w = 14000; w; w--) {
        RX_MORE("A", .seq = 1, .ack = 1, .win = w);
        more += sent();
    }
    XT_TRUE(first == 10 && more <= 10); /* nothing new is sent, what is in flight is not chopped up */
    XT_TRUE(T.c->rec_cnt <= 20);
    RX("A", .seq = 1, .ack = 1 + 10 * MSS);
    XT_TRUE(sent() >= 1);
    xt_end();
}

XT_TEST(window_that_opens_and_closes) {
    in_established();
    xt_write(20000);
    sent();
    unsigned more = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        RX_MORE("A", .seq = 1, .ack = 1, .win0 = i & 1, .win = 3000);
        more += sent();
    }
    XT_TRUE(more <= 20);
    XT_EQ(T.c->st.retransmits, 0); /* nothing says that anything was lost */
    xt_end();
}

/* ---- data --------------------------------------------------------------------------------------------------------- */

XT_TEST(octet_by_octet) {
    in_established();
    unsigned acks = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        RX_MORE("A", .seq = 1 + i, .ack = 1, .len = 1);
        if (i % 1000 == 999) { /* a burst is acknowledged once */
            acks += sent();
            xt_read(10000);
            acks += sent();
        }
    }
    XT_TRUE(acks <= 400 && T.c->mark_cnt <= T.cfg.stamp_marks && !T.c->ooo_cnt);
    still_works(200001, 1);
}

XT_TEST(every_other_octet) {
    in_established();
    unsigned answers = 0;
    for (uint32_t i = 0; i < 30000; i++) {
        RX_MORE("A", .seq = 2 + 2 * i, .ack = 1, .len = 1);
        answers += sent();
        XT_TRUE(T.c->ooo_cnt <= T.cfg.ooo_ranges);
    }
    XT_TRUE(answers <= 30000); /* no more than one each */
    XT_EQ(T.drops[XW_DROP_TCP_OOO_FULL], 30000 - T.cfg.ooo_ranges);
    XT_EQ(RX("A", .seq = 1, .ack = 1, .len = 1000), XW_DROP_NONE); /* the left edge is always taken */
    XT_EQ(xt_read(2000), 1000);
    still_works(1001, 1);
}

XT_TEST(overlapping_at_random) {
    in_established();
    uint32_t x = 7;
    for (unsigned i = 0; i < 50000; i++) {
        x = x * 1664525 + 1013904223;
        uint32_t at = 2 + (x >> 8) % 60000, len = 1 + (x >> 24) * 4 % 900;
        RX_MORE("A", .seq = at, .ack = 1, .len = len);
        sent();
        XT_TRUE(T.c->ooo_cnt <= T.cfg.ooo_ranges);
    }
    XT_EQ(xw_bytering_len(&T.rcv), 0);
    for (uint32_t i = 0; i < 65536; i += 1024) {
        RX_MORE("A", .seq = 1 + i, .ack = 1, .len = 1024);
        sent();
    }
    XT_EQ(xt_read(100000), 65536); /* and each octet is checked there */
    still_works(65537, 1);
}

/* Two copies of an octet that differ: the first counts, whatever comes later (evasion). */
XT_TEST(other_octets_at_the_same_place) {
    in_established();
    RX("A", .seq = 101, .ack = 1, .len = 100);
    sent();
    uint8_t b[20 + 300];
    struct xw_tcp_hdr h = { .src_port = 443, .dst_port = 4000, .seq = xw_seq(XT_PEER_ISN + 51), .ack = xw_seq(XT_ISN + 1),
                            .flags = XW_TCP_ACK, .window = 65535 };
    memset(b, 0xee, sizeof b);
    xw_tcp_emit(&h, xw_mspan(b, 20));
    xw_tcp_set_checksum(xw_mspan(b, sizeof b), 0x0a000002, 0x0a000001);
    xt_raw(b, sizeof b); /* 51 … 350 */
    sent();
    RX("A", .seq = 1, .ack = 1, .len = 50);
    sent();
    XT_EQ(xw_bytering_len(&T.rcv), 350);
    XT_EQ(T.rcv.base[60], 0xee);
    XT_EQ(xt_read(50), 50);
    xw_bytering_consume(&T.rcv, 50);
    T.read += 50;
    XT_EQ(xt_read(100), 100); /* 101 … 200 are the first copy */
    XT_EQ(xw_bytering_peek(&T.rcv).p[0], 0xee);
    sent();
    xt_end();
}

XT_TEST(data_after_fin) {
    in_established();
    RX("FA", .seq = 1, .ack = 1, .len = 10);
    XT_EQ(sent(), 1);
    for (uint32_t i = 0; i < 1000; i++) {
        XT_TRUE(RX_MORE("A", .seq = 12 + i, .ack = 1, .len = 10) == XW_DROP_TCP_AFTER_FIN);
        RX_MORE("FA", .seq = 30 + i, .ack = 1, .len = 10);
        sent();
    }
    XT_EQ(xw_bytering_len(&T.rcv), 10);
    XT_EQ(T.c->ooo_cnt, 0);
    EXPECT_STATE(XW_TCP_CLOSE_WAIT);
    xt_end();
}

XT_TEST(data_behind_a_fin_that_waits) {
    in_established();
    RX("FA", .seq = 101, .ack = 1, .len = 10); /* a hole is in front of it */
    sent();
    XT_EQ(RX("A", .seq = 105, .ack = 1, .len = 50), XW_DROP_TCP_AFTER_FIN);
    sent();
    XT_EQ(RX("FA", .seq = 51, .ack = 1, .len = 10), XW_DROP_TCP_AFTER_FIN); /* an end before the end: the data counts */
    sent();
    RX("A", .seq = 1, .ack = 1, .len = 100);
    sent();
    XT_EQ(xt_read(200), 110);
    EXPECT_STATE(XW_TCP_CLOSE_WAIT);
    xt_end();
}

XT_TEST(urgent_pointers_of_any_kind) {
    in_established();
    for (uint32_t i = 0; i < 1000; i++) {
        XT_EQ(RX_MORE("UA", .seq = 1 + i * 10, .ack = 1, .len = 10), XW_DROP_NONE);
        sent();
    }
    XT_EQ(xt_read(100000), 10000); /* in line */
    still_works(10001, 1);
}

/* ---- timestamps --------------------------------------------------------------------------------------------------- */

XT_TEST(no_timestamps_after_they_were_agreed_on) {
    xt_defaults();
    T.cfg.opts.use_ts = 1;
    in_established();
    for (unsigned i = 0; i < 1000; i++)
        XT_EQ(RX("A", .seq = 1, .ack = 1, .len = 10), XW_DROP_TCP_NO_TS); /* RFC 7323 3.2 */
    XT_EQ(xw_bytering_len(&T.rcv), 0);
    XT_EQ(RX("A", .seq = 1, .ack = 1, .len = 10, .ts = 5001, .ecr = 1), XW_DROP_NONE);
    XT_EQ(sent(), 1);
    XT_EQ(RX("R", .seq = 11), XW_DROP_NONE); /* a reset needs none (RFC 7323 3.2) */
    EXPECT_STATE(XW_TCP_CLOSED);
    xt_end();
}

XT_TEST(timestamps_nobody_agreed_on) {
    in_established();
    XT_EQ(RX("A", .seq = 1, .ack = 1, .len = 10, .ts = 77), XW_DROP_NONE);
    EXPECT("A", .seq = 1, .ack = 11, .no_opts = true);
    xt_read(10);
    still_works(11, 1);
}

XT_MAIN(XT_RUN(resets_through_the_whole_sequence_space), XT_RUN(syns_through_the_whole_sequence_space),
        XT_RUN(data_with_guessed_numbers), XT_RUN(a_timestamp_from_off_the_window_is_not_kept),
        XT_RUN(icmp_errors_with_guessed_numbers), XT_RUN(icmp_errors_with_the_right_number_are_hints),
        XT_RUN(optimistic_acks_buy_nothing), XT_RUN(dividing_acks_buys_nothing),
        XT_RUN(duplicate_acks_without_number_buy_little), XT_RUN(sack_blocks_at_random),
        XT_RUN(invalid_acks_by_the_hundred_thousand), XT_RUN(resets_for_nobody_are_bounded_in_a_burst),
        XT_RUN(a_flood_of_syns_fills_the_backlog_and_nothing_else), XT_RUN(zero_window_for_an_hour),
        XT_RUN(window_that_shrinks_by_an_octet_at_a_time), XT_RUN(window_that_opens_and_closes), XT_RUN(octet_by_octet),
        XT_RUN(every_other_octet), XT_RUN(overlapping_at_random), XT_RUN(other_octets_at_the_same_place),
        XT_RUN(data_after_fin), XT_RUN(data_behind_a_fin_that_waits), XT_RUN(urgent_pointers_of_any_kind),
        XT_RUN(no_timestamps_after_they_were_agreed_on), XT_RUN(timestamps_nobody_agreed_on))
