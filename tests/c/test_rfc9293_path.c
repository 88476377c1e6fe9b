/* What the owner tells a connection of its path, and the last acknowledgment of a connection without TIME-WAIT. */
#include "xt_tcp.h"

XT_TEST(a_smaller_path_cuts_what_is_in_flight) {
    in_established();
    xt_write(3000);
    EXPECT("A", .seq = 1, .ack = 1, .len = 1460);
    EXPECT("A", .seq = 1461, .ack = 1, .len = 1460);
    EXPECT("PA", .seq = 2921, .ack = 1, .len = 80);
    xw_tcp_set_mtu(T.c, 1000, T.now);
    EXPECT("A", .seq = 1, .ack = 1, .len = 960);
    EXPECT("A", .seq = 961, .ack = 1, .len = 500);
    EXPECT("A", .seq = 1461, .ack = 1, .len = 960);
    EXPECT("A", .seq = 2421, .ack = 1, .len = 500);
    RX("A", .seq = 1, .ack = 3001);
    EXPECT_NOTHING();
    XT_EQ(T.c->ca, XW_TCP_CA_OPEN); /* no sign of congestion */
    xt_end();
}

XT_TEST(a_larger_path_is_used_up_to_the_peers_mss) {
    xt_defaults();
    T.mtu = 1000;
    in_established();
    xt_write(960);
    EXPECT("PA", .seq = 1, .ack = 1, .len = 960);
    RX("A", .seq = 1, .ack = 961);
    xw_tcp_set_mtu(T.c, 9000, T.now);
    xt_write(2000);
    EXPECT("A", .seq = 961, .ack = 1, .len = 1460);
    EXPECT("PA", .seq = 2421, .ack = 1, .len = 540);
    RX("A", .seq = 1, .ack = 2961);
    xw_tcp_set_mtu(T.c, 67, T.now); /* no link has less than 68 */
    XT_EQ(T.c->path_mtu, 9000);
    xt_end();
}

XT_TEST(a_syn_keeps_its_timer_when_the_path_shrinks) {
    in_syn_sent();
    XT_EQ(xw_tcp_icmp_error(T.s, xw_tcp_tuple(T.c), T.c->iss, XW_TCP_ICMP_FRAG, 1000, T.now), XW_DROP_NONE);
    EXPECT_NOTHING();
    XT_TRUE(xw_tcp_deadline(T.s) == T.now + XT_S(1));
    T.epoch = T.now;
    at(XT_S(1));
    EXPECT("S", .seq = 0, .mss = 960);
    xw_tcp_abort(T.c, T.now);
    xt_end();
}

XT_TEST(last_ack_goes_out_after_a_release_and_bears_the_timestamp) {
    xt_defaults();
    T.cfg.opts.time_wait_ns = 0;
    T.cfg.opts.use_ts = 1;
    in_established();
    xw_tcp_shutdown_wr(T.c, T.now);
    EXPECT("FA", .seq = 1, .ack = 1, .ts = 1000000, .ecr = 5000);
    RX("A", .seq = 1, .ack = 2, .ts = 5001, .ecr = 1);
    RX("FA", .seq = 1, .ack = 2, .ts = 5002, .ecr = 1);
    EXPECT_STATE(XW_TCP_CLOSED);
    xw_tcp_release(T.c, T.now);
    T.c = NULL;
    EXPECT("A", .seq = 2, .ack = 2, .ts = 1000000, .ecr = 5002);
    xt_end();
}

XT_TEST(last_ack_of_a_simultaneous_close) {
    xt_defaults();
    T.cfg.opts.time_wait_ns = 0;
    in_fin_wait_1();
    RX("FA", .seq = 1, .ack = 1);
    RX_MORE("A", .seq = 2, .ack = 2); /* before our ACK of its FIN was taken */
    EXPECT_STATE(XW_TCP_CLOSED);
    xw_tcp_release(T.c, T.now);
    T.c = NULL;
    EXPECT("A", .seq = 2, .ack = 2);
    xt_end();
}

XT_MAIN(XT_RUN(a_smaller_path_cuts_what_is_in_flight), XT_RUN(a_larger_path_is_used_up_to_the_peers_mss),
        XT_RUN(a_syn_keeps_its_timer_when_the_path_shrinks),
        XT_RUN(last_ack_goes_out_after_a_release_and_bears_the_timestamp), XT_RUN(last_ack_of_a_simultaneous_close))
