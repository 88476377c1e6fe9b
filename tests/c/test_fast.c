/* The straight line of TCP: what it takes, what it leaves alone. That it does what the long way does is also shown by all
 * other traces: xt_tcp.c offers it every second segment. */
#include "tcp/fast.h"
#include "wire/checksum.h"
#include "wire/tcp.h"
#include "xt_tcp.h"

#define PEER_IP 0x0a000001u
#define OUR_IP 0x0a000002u

static uint8_t seg_bytes[2048];

/* A segment of 100 bytes at relative seq, as the peer of T would send it. */
static struct xw_span seg(uint32_t seq, uint32_t ack, uint8_t flags, uint16_t window, uint32_t ts) {
    const struct xw_tcp_tuple *t = xw_tcp_tuple(T.c);
    struct xw_tcp_hdr h = { .src_port = t->remote_port, .dst_port = t->local_port, .flags = flags, .window = window,
                            .seq = xw_seq(XT_PEER_ISN + seq), .ack = xw_seq(XT_ISN + ack), .ts_val = ts };
    h.opts = ts ? XW_TCP_OPT_TS : 0;
    uint32_t n = xw_tcp_emit(&h, xw_mspan(seg_bytes, sizeof seg_bytes));
    memset(seg_bytes + n, 'x', 100);
    xw_tcp_set_checksum(xw_mspan(seg_bytes, n + 100), t->remote_ip, t->local_ip);
    return xw_span(seg_bytes, n + 100);
}

static bool offer(struct xw_span s, struct xw_span *data) {
    const struct xw_tcp_tuple *t = xw_tcp_tuple(T.c);
    return xw_tcp_fast_in(T.c, s, xw_csum_pseudo(t->remote_ip, t->local_ip, 6, (uint32_t)s.len), true, T.now, data);
}

/* Refused, and nothing of the connection but what the caller does with it has changed. */
static void refused(struct xw_span s) {
    struct xw_span data;
    struct xw_tcp before = *T.c;
    XT_TRUE(!offer(s, &data));
    XT_EQ(memcmp(&before, T.c, sizeof before), 0);
}

XT_TEST(bytes_may_pass_by_the_ring) {
    struct xw_span data;
    struct xw_rxstamp st = { .ring_ns = 7, .valid = XW_RXS_RING }, got;
    in_established();
    XT_TRUE(offer(seg(1, 1, XW_TCP_ACK, 65535, 0), &data));
    XT_EQ(data.len, 100);
    xw_tcp_fast_put(T.c, data, 100, &st);
    XT_EQ(xw_bytering_len(&T.rcv), 0);
    XT_EQ(T.rcv.head, 100);
    EXPECT("A", .seq = 1, .ack = 101);
    XT_TRUE(offer(seg(101, 1, XW_TCP_ACK | XW_TCP_PSH, 65535, 0), &data));
    xw_tcp_fast_put(T.c, data, 60, &st);
    XT_EQ(xw_bytering_len(&T.rcv), 40);
    XT_MEM(xw_bytering_peek(&T.rcv).p, data.p + 60, 40);
    XT_TRUE(xw_tcp_stamp(T.c, 160, &got) && got.ring_ns == 7);
    uint32_t what;
    XT_TRUE(xw_tcp_changed(T.s, &what) == T.c && (what & XW_TCP_EV_READABLE));
    EXPECT("A", .seq = 1, .ack = 201);
    XT_EQ(xw_tcp_fast_hits(T.c), 2);
    xw_bytering_consume(&T.rcv, 40);
    xt_end();
}

XT_TEST(anything_unusual_is_left_alone) {
    in_established();
    T.c->idle_ns = T.c->last_rx_ns; /* as if it were now */
    static const uint8_t flags[] = { 0, XW_TCP_SYN, XW_TCP_FIN, XW_TCP_RST, XW_TCP_URG };
    for (unsigned i = 0; i < sizeof flags; i++)
        refused(seg(1, 1, flags[i] | (i ? XW_TCP_ACK : 0), 65535, 0));
    refused(seg(2, 1, XW_TCP_ACK, 65535, 0));              /* not next */
    refused(seg(0, 1, XW_TCP_ACK, 65535, 0));
    refused(seg(1, 0, XW_TCP_ACK, 65535, 0));              /* an old ACK */
    refused(seg(1, 2, XW_TCP_ACK, 65535, 0));              /* of what was never sent */
    refused(seg(1, 1, XW_TCP_ACK, 65535, 9));              /* an option that was not agreed on */
    struct xw_span s = seg(1, 1, XW_TCP_ACK, 65535, 0);
    refused(xw_span(s.p, XW_TCP_HDR_MIN));                 /* no data */
    seg_bytes[50] ^= 1;
    refused(s);                                            /* checksum */
    seg_bytes[50] ^= 1;
    seg_bytes[12] = 0x40;
    refused(s);                                            /* header length */
    xt_end();
}

XT_TEST(a_state_that_needs_more_is_left_alone) {
    xt_defaults();
    T.cfg.fast_path = 0;
    in_established();
    refused(seg(1, 1, XW_TCP_ACK, 65535, 0));
    xt_end();
    in_established();
    RX("A", .seq = 201, .ack = 1, .len = 100); /* a hole */
    EXPECT("A", .seq = 1, .ack = 1, .sacks = 1, .sack = { { 201, 301 } });
    refused(seg(1, 1, XW_TCP_ACK, 65535, 0));
    xt_end();
    in_fin_wait_1();
    refused(seg(1, 1, XW_TCP_ACK, 65535, 0));
    xt_end();
    in_established();
    xw_tcp_shutdown_rd(T.c, T.now);
    refused(seg(1, 1, XW_TCP_ACK, 65535, 0));
    xt_end();
}

XT_TEST(a_full_ring_is_left_alone) {
    struct xw_span data;
    in_established();
    uint32_t room = xw_bytering_room(&T.rcv);
    T.rcv.tail += room - 99; /* as if so much lay there unread */
    refused(seg(1, 1, XW_TCP_ACK, 65535, 0));
    T.rcv.tail -= room - 99;
    XT_TRUE(offer(seg(1, 1, XW_TCP_ACK, 65535, 0), &data));
    xw_tcp_fast_put(T.c, data, 100, NULL);
    EXPECT("A", .seq = 1, .ack = 101);
    xt_end();
}

XT_TEST(an_ack_of_ours_and_a_new_window_count) {
    struct xw_span data;
    in_established();
    xt_write(300);
    EXPECT("A", .seq = 1, .ack = 1, .len = 300);
    XT_TRUE(offer(seg(1, 301, XW_TCP_ACK, 5000, 0), &data));
    xw_tcp_fast_put(T.c, data, 100, NULL);
    XT_EQ(xw_bytering_len(&T.snd), 0);
    XT_EQ(T.c->snd_wnd, 5000);
    uint32_t what;
    XT_TRUE(xw_tcp_changed(T.s, &what) == T.c && (what & XW_TCP_EV_WRITABLE));
    EXPECT("A", .seq = 301, .ack = 101);
    at(XT_S(5)); /* nothing is sent again */
    xt_end();
}

/* What the long way would send, byte for byte, and the same state behind it. */
static void sends_the_same(void) {
    static uint8_t a[2048], b[2048];
    struct xw_tcp_seg g;
    struct xw_tcp *c = xw_tcp_fast_turn(T.s), before, fast;
    struct xw_tcp_rec rec[4], fast_rec[4];
    XT_TRUE(c == T.c);
    uint32_t len = xw_tcp_fast_len(c);
    XT_TRUE(len != 0);
    before = *c;
    memcpy(rec, c->rec, sizeof rec);
    xw_tcp_fast_emit(c, T.now, a);
    fast = *c;
    memcpy(fast_rec, c->rec, sizeof rec);
    XT_TRUE(!xw_tcp_fast_turn(T.s));
    *c = before;
    memcpy(c->rec, rec, sizeof rec);
    c->out_link = (struct xw_tcp_link){ 0 };
    xw_tcp_kick(c);
    XT_EQ(xw_tcp_output(T.s, T.now, &g), 1);
    XT_EQ(xw_tcp_seg_emit(&g, xw_mspan(b, sizeof b)), len);
    XT_EQ(xw_tcp_output(T.s, T.now, &g), 0);
    XT_MEM(a, b, len);
    XT_MEM(c->rec, fast_rec, sizeof rec);
    fast.heap_key = c->heap_key;
    XT_EQ(memcmp(c, &fast, sizeof fast), 0);
}

XT_TEST(acks_and_data_leave_as_by_the_long_way) {
    xt_defaults();
    T.cfg.opts.use_tlp = 1;
    in_established();
    RX("A", .seq = 1, .ack = 1, .len = 100);
    sends_the_same();
    xt_write(10);
    sends_the_same();
    xt_write(1000); /* more in flight, and something to acknowledge with it */
    RX_MORE("A", .seq = 101, .ack = 1, .len = 50);
    sends_the_same();
    RX("A", .seq = 151, .ack = 1011);
    EXPECT_NOTHING();
    xt_end();
}

static void not_straight(void) {
    struct xw_tcp *c = xw_tcp_fast_turn(T.s);
    XT_TRUE(!c || !xw_tcp_fast_len(c));
}

XT_TEST(what_may_not_leave_or_is_more_is_looked_at) {
    in_established();
    not_straight();
    xt_write(3000); /* three segments */
    not_straight();
    EXPECT("A", .seq = 1, .ack = 1, .len = 1460);
    not_straight();
    EXPECT("A", .seq = 1461, .ack = 1, .len = 1460);
    XT_TRUE(xw_tcp_fast_len(xw_tcp_fast_turn(T.s)) == 20 + 80);
    T.c->cc.cwnd = 2999;
    not_straight();
    T.c->cc.cwnd = 3000;
    T.c->opts.nodelay = 0;
    not_straight();
    T.c->opts.nodelay = 1;
    T.c->snd_wnd = 2999;
    not_straight();
    T.c->snd_wnd = 65535;
    EXPECT("PA", .seq = 2921, .ack = 1, .len = 80);
    RX("A", .seq = 201, .ack = 3001, .len = 100); /* a hole to report */
    not_straight();
    EXPECT("A", .seq = 3001, .ack = 1, .sacks = 1, .sack = { { 201, 301 } });
    xw_tcp_shutdown_wr(T.c, T.now);
    not_straight();
    EXPECT("FA", .seq = 3001, .ack = 1, .sacks = 1, .sack = { { 201, 301 } });
    xt_end();
}

XT_MAIN(XT_RUN(acks_and_data_leave_as_by_the_long_way), XT_RUN(what_may_not_leave_or_is_more_is_looked_at),
        XT_RUN(bytes_may_pass_by_the_ring), XT_RUN(anything_unusual_is_left_alone),
        XT_RUN(a_state_that_needs_more_is_left_alone), XT_RUN(a_full_ring_is_left_alone),
        XT_RUN(an_ack_of_ours_and_a_new_window_count))
