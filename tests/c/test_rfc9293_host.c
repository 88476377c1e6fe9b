/* RFC 9293 where TCP meets IP and its users: addresses, ICMP, several opens of one port. Hand-made packets to the stack in
 * a box, and the wire format of options. */
#include "net/icmp.h"
#include "stack/stack_priv.h"
#include "wire/checksum.h"
#include "xt_stack.h"

#define S 1000000000ull

/* An IPv4 packet with a TCP header alone. */
static size_t packet(uint8_t *p, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport, uint8_t flags,
                     uint32_t seq, uint32_t ack) {
    struct xw_tcp_hdr t = { .src_port = sport, .dst_port = dport, .flags = flags, .seq = xw_seq(seq), .ack = xw_seq(ack),
                            .window = 1000 };
    struct xw_ip4_hdr ip = { .src = src, .dst = dst, .total_len = 40, .hdr_len = 20, .ttl = 64, .proto = 6 };
    XT_EQ(xw_ip4_emit(xw_mspan(p, 20), &ip), 20);
    XT_EQ(xw_tcp_emit(&t, xw_mspan(p + 20, 40)), 20);
    xw_tcp_set_checksum(xw_mspan(p + 20, 20), src, dst);
    return 40;
}

static int listening(struct xw_stack *s, uint32_t ip, uint16_t port, unsigned backlog) {
    int fd = xw_stack_socket(s);
    XT_EQ(xw_stack_bind(s, fd, ip, port), 0);
    XT_EQ(xw_stack_listen(s, fd, backlog), 0);
    return fd;
}

static size_t answer(struct xt_link *l, uint8_t *out) { return xw_stack_output(l->a, out, 1500, l->now); }

XT_TEST(a_syn_from_nobody_or_to_everybody_is_silently_dropped) {
    static const struct { uint32_t src, dst; int why; } bad[] = {
        { XT_B, 0xffffffffu, XW_DROP_IP4_NOT_US }, { XT_B, 0x0a0000ffu, XW_DROP_IP4_NOT_US },
        { XT_B, 0xe0000001u, XW_DROP_IP4_NOT_US }, { 0xffffffffu, XT_A, XW_DROP_IP4_SOURCE },
        { 0xe0000001u, XT_A, XW_DROP_IP4_SOURCE }, { 0x0a0000ffu, XT_A, XW_DROP_IP4_SOURCE },
        { 0, XT_A, XW_DROP_IP4_SOURCE }, { 0x7f000001u, XT_A, XW_DROP_IP4_SOURCE }, { XT_A, XT_A, XW_DROP_IP4_SOURCE },
    };
    struct xt_link l;
    uint8_t p[60], out[1500];
    xt_link_make(&l, false);
    int fd = listening(l.a, 0, 80, 4);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        XT_EQ(xw_stack_input(l.a, p, packet(p, bad[i].src, bad[i].dst, 9, 80, XW_TCP_SYN, 1, 0), l.now), bad[i].why);
        XT_EQ(answer(&l, out), 0);
    }
    XT_EQ(xw_stack_input(l.a, p, packet(p, XT_B, XT_A, 9, 80, XW_TCP_SYN, 1, 0), l.now), 0);
    XT_EQ(answer(&l, out), 20 + 24); /* SYN-ACK with its MSS, no other option was offered */
    XT_EQ(xw_stack_poll(l.a, fd), 0);
    xt_link_free(&l);
}

XT_TEST(passive_opens_do_not_disturb_each_other) {
    struct xt_link l;
    uint8_t p[60], out[1500];
    xt_link_make(&l, false);
    int any = listening(l.a, 0, 80, 4), other = listening(l.a, 0, 81, 4);
    int exact = xw_stack_socket(l.a);
    XT_EQ(xw_stack_bind(l.a, exact, XT_A, 80), XW_STACK_EADDRINUSE); /* a listener's port is its own here … */
    for (uint16_t port = 80; port < 82; port++)
        for (uint16_t from = 9; from < 11; from++) { /* … and any number of connections share it */
            struct xw_ip4_hdr ip;
            struct xw_tcp_hdr t;
            XT_EQ(xw_stack_input(l.a, p, packet(p, XT_B, XT_A, from, port, XW_TCP_SYN, 1, 0), l.now), 0);
            l.last_len = xw_stack_output(l.a, l.last, 1500, l.now);
            xt_link_last(&l, &ip, &t);
            XT_EQ(t.dst_port, from);
            size_t n = packet(p, XT_B, XT_A, from, port, XW_TCP_ACK, 2, t.seq.v + 1);
            XT_EQ(xw_stack_input(l.a, p, n, l.now), 0);
        }
    uint16_t from;
    int listeners[2] = { any, other };
    for (int i = 0; i < 2; i++)
        for (uint16_t want = 9; want < 11; want++) {
            XT_TRUE(xw_stack_accept(l.a, listeners[i], NULL, &from) > 0);
            XT_EQ(from, want);
        }
    XT_EQ(answer(&l, out), 0);
    xt_link_free(&l);
}

XT_TEST(two_listeners_of_one_port) {
    struct xt_link l;
    struct xw_tcp_listener *any, *exact, *third;
    xt_link_make(&l, false);
    XT_EQ(xw_tcp_listen(l.a->tcp, 0, 80, &any), XW_OK);
    XT_EQ(xw_tcp_listen(l.a->tcp, XT_A, 80, &exact), XW_OK); /* RFC 9293 MUST-42: another local address */
    XT_EQ(xw_tcp_listen(l.a->tcp, XT_A, 80, &third), XW_EADDRINUSE);
    uint8_t p[60];
    struct xw_tcp_tuple t;
    xw_stack_input(l.a, p, packet(p, XT_B, XT_A, 9, 80, XW_TCP_SYN, 1, 0), l.now);
    XT_TRUE(xw_tcp_listen_pending(exact, &t));
    XT_TRUE(!xw_tcp_listen_pending(any, &t));
    xt_link_free(&l);
}

/* An ICMP error that quotes the last packet of a. */
static int icmp(struct xt_link *l, uint8_t type, uint8_t code) {
    uint8_t p[56] = { 0 };
    struct xw_ip4_hdr ip = { .src = 0x0a000009, .dst = XT_A, .total_len = 56, .hdr_len = 20, .ttl = 9, .proto = 1 };
    XT_EQ(xw_ip4_emit(xw_mspan(p, sizeof p), &ip), 20);
    p[20] = type, p[21] = code;
    memcpy(p + 28, l->last, 28);
    uint16_t sum = xw_csum_fold(xw_csum_add(0, p + 20, 36));
    p[22] = (uint8_t)(sum >> 8), p[23] = (uint8_t)sum;
    return xw_stack_input(l->a, p, sizeof p, l->now);
}

XT_TEST(no_icmp_message_ends_an_established_connection) {
    static const uint8_t kinds[][2] = { { 3, 0 }, { 3, 1 }, { 3, 5 }, { 3, 2 }, { 3, 3 }, { 3, 13 }, { 4, 0 }, { 11, 0 },
                                        { 11, 1 }, { 12, 0 } };
    struct xt_link l;
    struct xw_stack_info i;
    int c, s;
    xt_link_make(&l, false);
    xt_link_open(&l, &c, &s);
    l.cut = true;
    XT_EQ(xw_stack_send(l.a, c, "x", 1, l.now), 1);
    xt_link_settle(&l);
    uint32_t cwnd = (xw_stack_info(l.a, c, &i), i.cwnd);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        icmp(&l, kinds[k][0], kinds[k][1]);
        XT_EQ(xt_state(l.a, c), XW_TCP_ESTABLISHED);
        XT_EQ(xt_opt(l.a, c, XW_STACK_SO_ERROR), 0);
        xw_stack_info(l.a, c, &i);
        XT_EQ(i.cwnd, cwnd); /* source quench (4) slows nothing down either */
        if (kinds[k][0] == 3) /* but the user can learn of it */
            XT_TRUE(i.soft_error == XW_STACK_EHOSTUNREACH || i.soft_error == XW_STACK_ECONNREFUSED);
    }
    l.cut = false;
    xt_link_after(&l, S);
    XT_EQ(xt_opt(l.b, s, XW_STACK_INQ), 1);
    xw_stack_info(l.a, c, &i);
    XT_EQ(i.soft_error, 0); /* delivered after all */
    xt_link_free(&l);
}

XT_TEST(source_quench_and_parameter_problem_leave_a_syn_alone) {
    struct xt_link l;
    xt_link_make(&l, false);
    int c = xw_stack_socket(l.a);
    XT_EQ(xw_stack_connect(l.a, c, XT_B, 80, l.now), XW_STACK_EINPROGRESS);
    l.cut = true;
    xt_link_settle(&l);
    icmp(&l, 4, 0);
    icmp(&l, 12, 0);
    XT_EQ(xt_state(l.a, c), XW_TCP_SYN_SENT);
    xt_link_free(&l);
}

/* ---- options on the wire ----------------------------------------------------------------------------------------- */

XT_TEST(options_wherever_they_stand) {
    struct xw_tcp_hdr h = { .src_port = 1, .dst_port = 2, .flags = XW_TCP_ACK };
    static const uint8_t opts[][12] = {
        { 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 0 },    /* one octet off, padded with END */
        { 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 1, 1 },    /* two off from where its values would be aligned */
        { 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0 },
        { 1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6 },
    };
    uint8_t b[32];
    for (unsigned i = 0; i < sizeof opts / sizeof *opts; i++) {
        XT_EQ(xw_tcp_emit(&h, xw_mspan(b, sizeof b)), 20);
        b[12] = 8 << 4;
        memcpy(b + 20, opts[i], 12);
        struct xw_tcp_hdr got;
        XT_EQ(xw_tcp_parse(xw_span(b, 32), 1, 2, false, &got), XW_DROP_NONE);
        XT_EQ(got.opts, XW_TCP_OPT_TS); /* in a segment that is no SYN */
        XT_EQ(got.ts_val, 5);
        XT_EQ(got.ts_ecr, 6);
    }
}

/* Every combination that we send: each option but NOP has its length, they fill the header exactly, padding is none. */
XT_TEST(what_we_send_is_well_formed) {
    uint8_t b[60];
    for (unsigned o = 0; o < 32; o++)
        for (uint8_t sacks = 1; sacks < 4; sacks++) {
            struct xw_tcp_hdr h = { .src_port = 1, .dst_port = 2, .opts = (uint8_t)o, .mss = 1460, .wscale = 3,
                                    .sack_cnt = o & XW_TCP_OPT_SACK ? sacks : 0 };
            if (xw_tcp_hdr_len(&h) > 60)
                continue;
            memset(b, 0xee, sizeof b);
            uint32_t len = xw_tcp_emit(&h, xw_mspan(b, sizeof b)), at = 20;
            XT_EQ(len % 4, 0);
            XT_EQ(b[12] & 15, 0); /* reserved bits */
            while (at < len) {
                XT_TRUE(b[at] != 0);
                XT_TRUE(b[at] == 1 || (b[at + 1] >= 2 && at + b[at + 1] <= len));
                at += b[at] == 1 ? 1 : b[at + 1];
            }
            XT_EQ(at, len);
        }
}

XT_MAIN(XT_RUN(a_syn_from_nobody_or_to_everybody_is_silently_dropped), XT_RUN(passive_opens_do_not_disturb_each_other),
        XT_RUN(two_listeners_of_one_port), XT_RUN(no_icmp_message_ends_an_established_connection),
        XT_RUN(source_quench_and_parameter_problem_leave_a_syn_alone), XT_RUN(options_wherever_they_stand),
        XT_RUN(what_we_send_is_well_formed))
