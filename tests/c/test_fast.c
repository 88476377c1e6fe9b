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

XT_MAIN(XT_RUN(bytes_may_pass_by_the_ring), XT_RUN(anything_unusual_is_left_alone),
        XT_RUN(a_state_that_needs_more_is_left_alone), XT_RUN(a_full_ring_is_left_alone),
        XT_RUN(an_ack_of_ours_and_a_new_window_count))
