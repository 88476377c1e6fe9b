/* Receiving: csrc/tcp/in.c, reassembly.c, sack.c (what we report), stamps.c, and the window in out.c. */
#include "xt_tcp.h"

XT_TEST(in_order_data_takes_the_fast_path) {
    in_established();
    RX("A", .seq = 1, .ack = 1, .len = 1000);
    EXPECT("A", .seq = 1, .ack = 1001);
    RX("PA", .seq = 1001, .ack = 1, .len = 460);
    EXPECT("A", .seq = 1, .ack = 1461);
    XT_EQ(xw_tcp_fast_hits(T.c), 2);
    XT_EQ(xt_read(5000), 1460);
    xt_end();
}

XT_TEST(slow_path_alone_does_the_same) {
    xt_defaults();
    T.cfg.fast_path = 0;
    in_established();
    RX("A", .seq = 1, .ack = 1, .len = 1000);
    EXPECT("A", .seq = 1, .ack = 1001);
    XT_EQ(xw_tcp_fast_hits(T.c), 0);
    XT_EQ(xt_read(5000), 1000);
    xt_end();
}

XT_TEST(a_burst_is_acknowledged_once) {
    in_established();
    for (uint32_t i = 0; i < 10; i++)
        RX_MORE("A", .seq = 1 + 100 * i, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 1001);
    xt_end();
}

XT_TEST(out_of_order_is_reported_and_reassembled) {
    in_established();
    RX("A", .seq = 101, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { 101, 201 } });
    RX("A", .seq = 401, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 2, .sack = { { 401, 501 }, { 101, 201 } });
    RX("A", .seq = 201, .ack = 1, .len = 50); /* grows an old range: reported first now */
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 2, .sack = { { 101, 251 }, { 401, 501 } });
    XT_EQ(xt_read(5000), 0);
    RX("A", .seq = 1, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 251, .sacks = 1, .sack = { { 401, 501 } });
    RX("A", .seq = 251, .ack = 1, .len = 150);
    EXPECT("A", .seq = 1, .ack = 501);
    XT_EQ(xt_read(5000), 500);
    xt_end();
}

XT_TEST(overlaps_on_every_side) {
    in_established();
    RX("A", .seq = 201, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { 201, 301 } });
    RX("A", .seq = 151, .ack = 1, .len = 100); /* left */
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 2, .sack = { { 201, 251 }, { 151, 301 } });
    RX("A", .seq = 251, .ack = 1, .len = 100); /* right */
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 2, .sack = { { 251, 301 }, { 151, 351 } });
    RX("A", .seq = 101, .ack = 1, .len = 400); /* both */
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 2, .sack = { { 151, 351 }, { 101, 501 } });
    XT_EQ(RX("A", .seq = 161, .ack = 1, .len = 10), XW_DROP_TCP_DUP); /* within */
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 2, .sack = { { 161, 171 }, { 101, 501 } });
    RX("A", .seq = 1, .ack = 1, .len = 300); /* in order over held data */
    EXPECT("A", .seq = 1, .ack = 501, .sacks = 1, .sack = { { 101, 301 } });
    XT_EQ(xt_read(5000), 500);
    xt_end();
}

XT_TEST(duplicates_are_reported_by_dsack) {
    in_established();
    RX("A", .seq = 1, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 101);
    XT_EQ(RX("A", .seq = 1, .ack = 1, .len = 100), XW_DROP_TCP_DUP);
    EXPECT("A", .seq = 1, .ack = 101, .sacks = 1, .sack = { { 1, 101 } });
    XT_EQ(RX("A", .seq = 51, .ack = 1, .len = 100), XW_DROP_NONE); /* old front, new end */
    EXPECT("A", .seq = 1, .ack = 151, .sacks = 1, .sack = { { 51, 101 } });
    XT_EQ(xt_read(5000), 150);
    xt_end();
}

XT_TEST(each_duplicate_of_a_burst_is_reported) {
    in_established();
    RX("A", .seq = 1, .ack = 1, .len = 300);
    EXPECT("A", .seq = 1, .ack = 301);
    for (uint32_t i = 0; i < 3; i++)
        XT_EQ(RX_MORE("A", .seq = 1 + 100 * i, .ack = 1, .len = 100), XW_DROP_TCP_DUP);
    for (uint32_t i = 0; i < 3; i++)
        EXPECT("A", .seq = 1, .ack = 301, .sacks = 1, .sack = { { 1 + 100 * i, 101 + 100 * i } });
    XT_EQ(xt_read(5000), 300);
    xt_end();
}

XT_TEST(after_a_loss_a_burst_is_worth_several_acks) {
    in_established();
    RX("A", .seq = 1001, .ack = 1, .len = 1000);
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { 1001, 2001 } });
    RX("A", .seq = 1, .ack = 1, .len = 1000);
    EXPECT("A", .seq = 1, .ack = 2001);
    for (uint32_t i = 0; i < 8; i++)
        RX_MORE("A", .seq = 2001 + 1000 * i, .ack = 1, .len = 1000);
    for (unsigned i = 0; i < 4; i++) /* if one is lost the peer does not have to wait for its timeout */
        EXPECT("A", .seq = 1, .ack = 10001);
    for (uint32_t i = 0; i < 60; i++) { /* 64 KiB later the path is clean again: one ACK a burst */
        XT_EQ(xt_read(100000), i ? 1000 : 10000);
        RX_MORE("A", .seq = 10001 + 1000 * i, .ack = 1, .len = 1000);
        while (i < 58 && xw_tcp_pending(T.s)) {
            struct xw_tcp_seg g;
            xw_tcp_output(T.s, T.now, &g);
        }
    }
    EXPECT("A", .seq = 1, .ack = 70001);
    XT_EQ(xt_read(5000), 1000);
    xt_end();
}

XT_TEST(without_sack_each_out_of_order_segment_gets_its_ack) {
    xt_defaults();
    T.cfg.opts.use_sack = 0;
    in_established();
    for (uint32_t i = 1; i < 4; i++)
        RX_MORE("A", .seq = 1 + 100 * i, .ack = 1, .len = 100);
    for (unsigned i = 0; i < 3; i++)
        EXPECT("A", .seq = 1, .ack = 1, .no_opts = true);
    RX("A", .seq = 1, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 401);
    xt_end();
}

XT_TEST(range_table_is_bounded_and_the_stream_goes_on) {
    xt_defaults();
    T.cfg.ooo_ranges = 4;
    in_established();
    for (uint32_t i = 1; i <= 4; i++)
        XT_EQ(RX_MORE("A", .seq = 1 + 200 * i, .ack = 1, .len = 100), XW_DROP_NONE);
    XT_EQ(RX_MORE("A", .seq = 1101, .ack = 1, .len = 50), XW_DROP_TCP_OOO_FULL);
    XT_EQ(RX_MORE("A", .seq = 901, .ack = 1, .len = 50), XW_DROP_NONE); /* touches one: needs no entry */
    for (unsigned i = 0; i < 4; i++) /* six segments in one burst are worth four ACKs */
        EXPECT("A", .seq = 1, .ack = 1, .sacks = 4, .sack = { { 801, 951 }, { 601, 701 }, { 401, 501 }, { 201, 301 } });
    XT_EQ(RX("A", .seq = 1, .ack = 1, .len = 1200), XW_DROP_NONE);
    EXPECT("A", .seq = 1, .ack = 1201, .sacks = 1, .sack = { { 201, 301 } });
    XT_EQ(xt_read(5000), 1200);
    xt_end();
}

XT_TEST(out_of_order_fin_waits_for_its_place) {
    in_established();
    RX("FA", .seq = 101, .ack = 1, .len = 50);
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { 101, 151 } });
    EXPECT_STATE(XW_TCP_ESTABLISHED);
    XT_EQ(RX("A", .seq = 152, .ack = 1, .len = 5), XW_DROP_TCP_AFTER_FIN);
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { 101, 151 } });
    RX("A", .seq = 1, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 152);
    EXPECT_STATE(XW_TCP_CLOSE_WAIT);
    XT_EQ(xt_read(5000), 150);
    xt_end();
}

XT_TEST(a_fin_that_contradicts_what_is_held_is_ignored) {
    in_established();
    RX("A", .seq = 201, .ack = 1, .len = 100);
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { 201, 301 } });
    XT_EQ(RX("FA", .seq = 101, .ack = 1, .len = 50), XW_DROP_TCP_AFTER_FIN);
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 2, .sack = { { 101, 151 }, { 201, 301 } });
    XT_TRUE(!T.c->fin_known);
    xt_end();
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

static void small_ring(void) {
    xt_defaults();
    T.rcv_cap = 4096;
    in_established();
}

XT_TEST(the_window_is_the_ring) {
    small_ring();
    RX("A", .seq = 1, .ack = 1, .len = 1460);
    EXPECT("A", .seq = 1, .ack = 1461, .win = 2636);
    RX("A", .seq = 1461, .ack = 1, .len = 2636);
    EXPECT("A", .seq = 1, .ack = 4097, .win0 = true);
    XT_EQ(T.c->st.zero_windows, 1);
    XT_EQ(RX("A", .seq = 4097, .ack = 1, .len = 1), XW_DROP_TCP_WINDOW); /* a probe */
    EXPECT("A", .seq = 1, .ack = 4097, .win0 = true);
    XT_EQ(RX("A", .seq = 4196, .ack = 1, .len = 100), XW_DROP_TCP_SEQ); /* a peer that ignores the window */
    EXPECT("A", .seq = 1, .ack = 4097, .win0 = true);
    xt_end();
}

XT_TEST(window_updates_come_when_worth_it) {
    small_ring();
    RX("A", .seq = 1, .ack = 1, .len = 4096);
    EXPECT("A", .seq = 1, .ack = 4097, .win0 = true);
    XT_EQ(xt_read(2047), 2047);
    EXPECT_NOTHING(); /* less than half the ring */
    XT_EQ(xt_read(1), 1);
    EXPECT("A", .seq = 1, .ack = 4097, .win = 2048);
    XT_EQ(xt_read(1000), 1000);
    EXPECT_NOTHING();
    xt_end();
}

XT_TEST(small_reads_do_not_move_the_edge) {
    small_ring();
    RX("A", .seq = 1, .ack = 1, .len = 4096);
    EXPECT("A", .seq = 1, .ack = 4097, .win0 = true);
    xt_read(500);
    RX("A", .seq = 4097, .ack = 1, .len = 1); /* fits, but was not offered: taken */
    EXPECT("A", .seq = 1, .ack = 4098, .win0 = true); /* 499 are not worth a segment */
    xt_end();
}

XT_TEST(data_beyond_the_ring_is_cut) {
    small_ring();
    XT_EQ(RX("A", .seq = 4001, .ack = 1, .len = 200), XW_DROP_TCP_WINDOW);
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { 4001, 4097 } });
    XT_EQ(RX("A", .seq = 4097, .ack = 1, .len = 100), XW_DROP_TCP_SEQ);
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { 4001, 4097 } });
    xt_end();
}

XT_TEST(the_right_edge_never_moves_back_by_rounding) {
    xt_defaults();
    T.rcv_cap = 1 << 20; /* scale 5 */
    in_established();
    uint32_t edge = 0, seq = 1;
    for (uint32_t i = 1; i < 200; i++) {
        struct xw_tcp_seg g;
        RX("A", .seq = seq, .ack = 1, .len = i);
        seq += i;
        XT_EQ(xw_tcp_output(T.s, T.now, &g), 1);
        uint32_t e = g.hdr.ack.v - XT_PEER_ISN + ((uint32_t)g.hdr.window << 5);
        XT_TRUE(i == 1 || e >= edge || edge - e < 32); /* exact once the ring is open beyond what was offered */
        XT_TRUE(e <= (1u << 20) + 1);
        edge = e;
    }
    xt_read(1 << 20);
    struct xw_tcp_seg g;
    while (xw_tcp_output(T.s, T.now, &g))
        continue;
    xt_end();
}

/* ---- acknowledgment policy ----------------------------------------------------------------------------------------
 * */

XT_TEST(delayed_ack) {
    xt_defaults();
    T.cfg.opts.ack_policy = XW_TCP_ACK_DELAYED;
    in_established();
    RX("A", .seq = 1, .ack = 1, .len = 1460);
    EXPECT_NOTHING();
    EXPECT_DEADLINE(XT_MS(40));
    RX("A", .seq = 1461, .ack = 1, .len = 1460);
    EXPECT("A", .seq = 1, .ack = 2921); /* every second full segment */
    XT_TRUE(xw_tcp_deadline(T.s) == XW_NEVER);
    RX("A", .seq = 2921, .ack = 1, .len = 1460);
    at(XT_MS(39));
    EXPECT_NOTHING();
    at(XT_MS(40));
    EXPECT("A", .seq = 1, .ack = 4381);
    RX("A", .seq = 4481, .ack = 1, .len = 10); /* out of order: at once */
    EXPECT("A", .seq = 1, .ack = 4381, .sacks = 1, .sack = { { 4481, 4491 } });
    RX("A", .seq = 4381, .ack = 1, .len = 100); /* fills the hole: at once */
    EXPECT("A", .seq = 1, .ack = 4491);
    RX("A", .seq = 4491, .ack = 1, .len = 10);
    xt_write(7); /* rides along */
    EXPECT("A", .seq = 1, .ack = 4501, .len = 7);
    xt_end();
}

XT_TEST(adaptive_ack) {
    xt_defaults();
    T.cfg.opts.ack_policy = XW_TCP_ACK_ADAPTIVE;
    in_established();
    uint32_t seq = 1;
    for (; seq < 65536; seq += 1024) {
        RX("A", .seq = seq, .ack = 1, .len = 1024);
        EXPECT("A", .seq = 1, .ack = seq + 1024);
        xt_read(1024);
    }
    RX("A", .seq = seq, .ack = 1, .len = 1024);
    EXPECT_NOTHING();
    at(XT_MS(40));
    EXPECT("A", .seq = 1, .ack = seq + 1024);
    at(XT_S(5)); /* idle */
    RX("A", .seq = seq + 1024, .ack = 1, .len = 1024);
    EXPECT("A", .seq = 1, .ack = seq + 2048);
    xt_end();
}

/* ---- timestamps -------------------------------------------------------------------------------------------------- */

static void with_ts(void) {
    xt_defaults();
    T.cfg.opts.use_ts = 1;
    in_established();
}

XT_TEST(paws) {
    with_ts();
    RX("A", .seq = 1, .ack = 1, .len = 10, .ts = 5010, .ecr = 1000000);
    EXPECT("A", .seq = 1, .ack = 11, .ts = 1000000, .ecr = 5010);
    XT_EQ(RX("A", .seq = 11, .ack = 1, .len = 10, .ts = 5009, .ecr = 1000000), XW_DROP_TCP_PAWS);
    EXPECT("A", .seq = 1, .ack = 11, .ts = 1000000, .ecr = 5010);
    XT_EQ(RX("A", .seq = 11, .ack = 1, .len = 10), XW_DROP_TCP_NO_TS);
    EXPECT_NOTHING();
    XT_EQ(RX("A", .seq = 11, .ack = 1, .len = 10, .ts = 5010, .ecr = 1000000), XW_DROP_NONE);
    EXPECT("A", .seq = 1, .ack = 21, .ts = 1000000, .ecr = 5010);
    T.now += 25ull * 24 * 3600 * XW_NS_PER_S; /* so old that it says nothing */
    XT_EQ(RX("A", .seq = 21, .ack = 1, .len = 10, .ts = 9, .ecr = 1000000), XW_DROP_NONE);
    EXPECT("A", .seq = 1, .ack = 31, .ts = 1000000u + 25u * 24 * 3600 * 1000, .ecr = 9);
    xt_end();
}

XT_TEST(ts_recent_is_of_the_segment_at_the_left_edge) {
    with_ts();
    RX("A", .seq = 101, .ack = 1, .len = 10, .ts = 6000, .ecr = 1000000);
    EXPECT("A", .seq = 1, .ack = 1, .ts = 1000000, .ecr = 5000, .sacks = 1, .sack = { { 101, 111 } });
    RX("A", .seq = 1, .ack = 1, .len = 100, .ts = 5500, .ecr = 1000000);
    EXPECT("A", .seq = 1, .ack = 111, .ts = 1000000, .ecr = 5500);
    XT_EQ(RX("R", .seq = 111), XW_DROP_NONE); /* resets need no timestamp */
    EXPECT_STATE(XW_TCP_CLOSED);
    xt_end();
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

XT_TEST(urgent_data_is_in_line) {
    in_established();
    RX("AU", .seq = 1, .ack = 1, .len = 10);
    EXPECT("A", .seq = 1, .ack = 11);
    XT_EQ(xt_read(100), 10);
    xt_end();
}

XT_TEST(stamps_are_of_the_own_packet) {
    in_established();
    uint64_t t0 = T.now;
    struct xw_rxstamp st;
    XT_TRUE(!xw_tcp_stamp(T.c, 0, &st));
    RX_MORE("A", .seq = 101, .ack = 1, .len = 100); /* out of order, first */
    T.now++;
    RX_MORE("A", .seq = 1, .ack = 1, .len = 100);
    T.now++;
    RX_MORE("A", .seq = 151, .ack = 1, .len = 150); /* half of it known */
    EXPECT("A", .seq = 1, .ack = 301, .sacks = 1, .sack = { { 151, 201 } });
    for (unsigned i = 0; i < 2; i++)
        EXPECT("A", .seq = 1, .ack = 301);
    static const struct { uint64_t off, after; } want[] = {
        { 0, 1 }, { 99, 1 }, { 100, 0 }, { 150, 0 }, { 199, 0 }, { 200, 2 }, { 299, 2 } };
    for (unsigned i = 0; i < sizeof want / sizeof *want; i++) {
        XT_TRUE(xw_tcp_stamp(T.c, want[i].off, &st));
        XT_EQ(st.ring_ns - t0, want[i].after);
        XT_EQ(st.valid, XW_RXS_RING);
    }
    XT_TRUE(!xw_tcp_stamp(T.c, 300, &st));
    xt_end();
}

XT_TEST(stamps_that_were_lost_are_unknown) {
    xt_defaults();
    T.cfg.stamp_marks = 4;
    in_established();
    struct xw_rxstamp st;
    uint64_t t0 = T.now;
    for (uint32_t i = 0; i < 6; i++, T.now++)
        RX_MORE("A", .seq = 1 + 10 * i, .ack = 1, .len = 10);
    EXPECT("A", .seq = 1, .ack = 61);
    XT_TRUE(!xw_tcp_stamp(T.c, 0, &st) && !xw_tcp_stamp(T.c, 19, &st));
    XT_TRUE(xw_tcp_stamp(T.c, 20, &st));
    XT_EQ(st.ring_ns - t0, 2);
    xt_end();
}

XT_MAIN(XT_RUN(in_order_data_takes_the_fast_path), XT_RUN(slow_path_alone_does_the_same),
        XT_RUN(a_burst_is_acknowledged_once), XT_RUN(out_of_order_is_reported_and_reassembled),
        XT_RUN(overlaps_on_every_side),
        XT_RUN(duplicates_are_reported_by_dsack), XT_RUN(each_duplicate_of_a_burst_is_reported),
        XT_RUN(after_a_loss_a_burst_is_worth_several_acks), XT_RUN(without_sack_each_out_of_order_segment_gets_its_ack),
        XT_RUN(range_table_is_bounded_and_the_stream_goes_on), XT_RUN(out_of_order_fin_waits_for_its_place),
        XT_RUN(a_fin_that_contradicts_what_is_held_is_ignored), XT_RUN(the_window_is_the_ring),
        XT_RUN(window_updates_come_when_worth_it), XT_RUN(small_reads_do_not_move_the_edge),
        XT_RUN(data_beyond_the_ring_is_cut), XT_RUN(the_right_edge_never_moves_back_by_rounding), XT_RUN(delayed_ack),
        XT_RUN(adaptive_ack), XT_RUN(paws), XT_RUN(ts_recent_is_of_the_segment_at_the_left_edge),
        XT_RUN(urgent_data_is_in_line), XT_RUN(stamps_are_of_the_own_packet), XT_RUN(stamps_that_were_lost_are_unknown))
