/* Attacks in the bytes: options and headers that nobody should send, and two whole stacks that somebody on the path has
 * set against each other. One test each. */
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "xt_stack.h"
#include "xt_tcp.h"

/* ---- SYN-ACK with odd options -------------------------------------------------------------------------------------- */

/* A SYN-ACK with these octets of options as they stand; the data offset covers them. */
static void syn_ack(const uint8_t *opts, uint8_t len) {
    uint8_t b[64] = { 0 };
    struct xw_tcp_hdr h = { .src_port = 443, .dst_port = 4000, .seq = xw_seq(XT_PEER_ISN), .ack = xw_seq(XT_ISN + 1),
                            .flags = XW_TCP_SYN | XW_TCP_ACK, .window = 65535 };
    XT_TRUE(len % 4 == 0 && len <= 40);
    in_syn_sent();
    xw_tcp_emit(&h, xw_mspan(b, 20));
    b[12] = (uint8_t)((5 + len / 4) << 4);
    memcpy(b + 20, opts, len);
    xw_tcp_set_checksum(xw_mspan(b, 20u + len), 0x0a000002, 0x0a000001);
    xt_raw(b, 20u + len);
}
#define SYN_ACK(...) syn_ack((const uint8_t[]){ __VA_ARGS__ }, sizeof (const uint8_t[]){ __VA_ARGS__ })

static void taken(uint32_t mss) {
    EXPECT("A", .seq = 1, .ack = 1);
    EXPECT_STATE(XW_TCP_ESTABLISHED);
    XT_EQ(xw_tcp_mss_now(T.c), mss);
    xt_end();
}

static void refused(void) {
    EXPECT_STATE(XW_TCP_SYN_SENT);
    XT_EQ(T.drops[XW_DROP_TCP_OPTION], 1);
    EXPECT_NOTHING();
    XT_EQ(RX("SA", .seq = 0, .ack = 1, .mss = 1000), XW_DROP_NONE); /* and a good one still opens it */
    taken(1000);
}

XT_TEST(syn_ack_without_mss) {
    syn_ack((const uint8_t[]){ 0 }, 0);
    taken(536); /* RFC 9293 MUST-15 */
}

XT_TEST(options_of_length_zero_and_one) {
    for (uint8_t kind = 2; kind; kind++) /* every kind but end and no-operation */
        for (uint8_t len = 0; len < 2; len++) {
            SYN_ACK(kind, len, 0, 0);
            refused();
        }
}

XT_TEST(options_past_the_header) {
    for (unsigned len = 5; len < 256; len += 25) {
        SYN_ACK(2, (uint8_t)len, 5, 0xb4);
        refused();
    }
    SYN_ACK(1, 1, 1, 2); /* a kind without its length at the very end */
    refused();
}

XT_TEST(known_options_of_a_wrong_length) {
    SYN_ACK(2, 3, 5, 1, 3, 4, 0, 0, 4, 3, 0, 1, 8, 4, 0, 0);
    XT_EQ(T.c->sack_on + T.c->wscale_on + T.c->ts_on, 0);
    taken(536); /* none of them counts */
}

XT_TEST(an_option_twice) {
    SYN_ACK(2, 4, 4, 0, 2, 4, 0, 1);
    taken(1024); /* the first */
}

XT_TEST(mss_of_zero) {
    SYN_ACK(2, 4, 0, 0);
    taken(48);
}

XT_TEST(window_scale_of_255) {
    xt_defaults();
    SYN_ACK(2, 4, 5, 0xb4, 3, 3, 255, 1);
    XT_EQ(T.c->snd_wscale, 14); /* RFC 7323 2.3 */
    taken(1460);
}

XT_TEST(forty_octets_of_nothing) {
    uint8_t nops[40], end[40] = { 0 }, junk[40];
    memset(nops, 1, sizeof nops);
    memset(junk, 0xff, sizeof junk);
    junk[0] = 0; /* the end, and rubbish behind it */
    syn_ack(nops, 40);
    taken(536);
    syn_ack(end, 40);
    taken(536);
    syn_ack(junk, 40);
    taken(536);
}

XT_TEST(unknown_options_are_skipped) {
    SYN_ACK(253, 8, 1, 2, 3, 4, 5, 6, 19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 2, 4, 3, 232, 1, 1, 1, 1, 1,
            0);
    taken(1000);
}

XT_TEST(sack_blocks_in_a_syn_ack) {
    SYN_ACK(4, 2, 5, 10, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 2, 4, 3, 232);
    XT_TRUE(T.c->sack_on && !T.c->rec_cnt);
    taken(1000);
}

XT_TEST(options_nobody_offered) {
    xt_defaults();
    T.cfg.opts.use_sack = T.cfg.opts.use_wscale = T.cfg.opts.use_ts = 0;
    SYN_ACK(2, 4, 3, 232, 4, 2, 3, 3, 7, 8, 10, 0, 0, 0, 9, 0, 0, 0, 9, 0);
    XT_EQ(T.c->sack_on + T.c->wscale_on + T.c->ts_on, 0);
    taken(1000);
}

/* ---- headers ------------------------------------------------------------------------------------------------------- */

/* Every value of one octet of a good segment, its checksums made right again: nothing is read past the end (the
 * sanitizers watch), nothing is sent but ACKs and resets, and the connection lives unless a reset was exact. */
static void every_value_of(struct xt_link *l, unsigned at, const uint8_t *good, size_t len) {
    uint8_t *b = malloc(len), out[2000];
    for (unsigned v = 0; v < 256; v++) {
        memcpy(b, good, len);
        b[at] = (uint8_t)v;
        xw_put_be16(b + 10, 0);
        xw_put_be16(b + 10, xw_csum_fold(xw_csum_add(0, b, 20)));
        xw_tcp_set_checksum(xw_mspan(b + 20, len - 20), XT_B, XT_A);
        XT_TRUE(xw_stack_input(l->a, b, len, l->now) >= 0);
        unsigned n = 0;
        while (xw_stack_output(l->a, out, sizeof out, l->now))
            XT_TRUE(++n <= 2);
        l->now += 200000000; /* the rate of challenges */
        xw_stack_tick(l->a, l->now);
    }
    free(b);
}

XT_TEST(every_value_of_every_header_octet) {
    struct xt_link l;
    int ca, cb;
    uint8_t good[60];
    xt_link_make(&l, false);
    xt_link_open(&l, &ca, &cb);
    XT_EQ(xw_stack_send(l.b, cb, "0123456789", 10, l.now), 10);
    size_t len = xw_stack_output(l.b, good, sizeof good, l.now);
    XT_EQ(len, 0); /* too short a buffer: nothing is written */
    uint8_t buf[2000];
    len = xw_stack_output(l.b, buf, sizeof buf, l.now);
    XT_EQ(len, 62); /* 20 + 32 + 10 */
    for (unsigned at = 0; at < 52; at++)
        if (at != 33) /* flags: a reset would be exact, and is meant */
            every_value_of(&l, at, buf, len);
    XT_EQ(xt_state(l.a, ca), 1);
    xt_link_free(&l);
}

XT_TEST(data_offset_and_ihl_out_of_range) {
    struct xt_link l;
    int ca, cb;
    uint8_t buf[2000];
    xt_link_make(&l, false);
    xt_link_open(&l, &ca, &cb);
    xw_stack_send(l.b, cb, "0123456789", 10, l.now);
    size_t len = xw_stack_output(l.b, buf, sizeof buf, l.now);
    for (unsigned ihl = 0; ihl < 16; ihl++)
        for (unsigned off = 0; off < 16; off++) {
            uint8_t b[62];
            memcpy(b, buf, len);
            b[0] = (uint8_t)(0x40 | ihl);
            b[32] = (uint8_t)(off << 4);
            xw_put_be16(b + 10, 0);
            xw_put_be16(b + 10, xw_csum_fold(xw_csum_add(0, b, ihl >= 5 ? ihl * 4u : 20)));
            xw_tcp_set_checksum(xw_mspan(b + 20, len - 20), XT_B, XT_A);
            int why = xw_stack_input(l.a, b, len, l.now);
            if (ihl != 5)
                XT_TRUE(why != 0);
            else if (off < 5 || off > 10)
                XT_STR(xw_stack_drop_name(why), "TCP_OFFSET");
        }
    xt_link_free(&l);
}

XT_TEST(a_segment_from_ourselves) {
    struct xt_link l;
    int ca, cb;
    uint8_t buf[2000];
    xt_link_make(&l, false);
    xt_link_open(&l, &ca, &cb);
    xw_stack_send(l.a, ca, "x", 1, l.now);
    size_t len = xw_stack_output(l.a, buf, sizeof buf, l.now);
    XT_TRUE(len);
    memcpy(buf + 16, buf + 12, 4); /* "land": source and destination are ours */
    xw_put_be16(buf + 10, 0);
    xw_put_be16(buf + 10, xw_csum_fold(xw_csum_add(0, buf, 20)));
    XT_STR(xw_stack_drop_name(xw_stack_input(l.a, buf, len, l.now)), "IP4_SOURCE");
    xt_link_free(&l);
}

/* ---- two stacks against each other --------------------------------------------------------------------------------- */

/* Data forged into both directions: each end now acknowledges what the other never sent, and answers the other's
 * acknowledgment with its own. */
static void desynchronize(struct xt_link *l, struct xw_stack *to, const uint8_t *from_peer, size_t len, uint32_t src,
                          uint32_t dst) {
    uint8_t b[200];
    memcpy(b, from_peer, len);
    memset(b + len, 0x77, 100);
    xw_put_be16(b + 2, (uint16_t)(len + 100));
    xw_put_be16(b + 10, 0);
    xw_put_be16(b + 10, xw_csum_fold(xw_csum_add(0, b, 20)));
    xw_tcp_set_checksum(xw_mspan(b + 20, len + 100 - 20), src, dst);
    XT_EQ(xw_stack_input(to, b, len + 100, l->now), 0);
}

XT_TEST(two_stacks_never_loop) {
    for (unsigned keep = 0; keep < 2; keep++) {
        struct xt_link l;
        int ca, cb;
        uint8_t a[2000], b[2000];
        xt_link_make(&l, false);
        xt_link_open(&l, &ca, &cb);
        if (keep) { /* keepalives go on prodding them */
            xw_stack_setopt(l.a, ca, XW_STACK_KEEP_IDLE, 1000000000, l.now);
            xw_stack_setopt(l.a, ca, XW_STACK_KEEPALIVE, 1, l.now);
        }
        xw_stack_send(l.a, ca, "a", 1, l.now);
        xw_stack_send(l.b, cb, "b", 1, l.now);
        size_t na = xw_stack_output(l.a, a, sizeof a, l.now), nb = xw_stack_output(l.b, b, sizeof b, l.now);
        XT_TRUE(na && nb);
        desynchronize(&l, l.b, a, na, XT_A, XT_B);
        desynchronize(&l, l.a, b, nb, XT_B, XT_A);
        l.packets = 0;
        xt_link_settle(&l);
        XT_TRUE(l.packets <= 50); /* 10 answers a second and side, and the data */
        xt_link_after(&l, 10000000000ull);
        XT_TRUE(l.packets <= 10 * 2 * 12 + 50);
        xt_link_free(&l);
    }
}

XT_MAIN(XT_RUN(syn_ack_without_mss), XT_RUN(options_of_length_zero_and_one), XT_RUN(options_past_the_header),
        XT_RUN(known_options_of_a_wrong_length), XT_RUN(an_option_twice), XT_RUN(mss_of_zero), XT_RUN(window_scale_of_255),
        XT_RUN(forty_octets_of_nothing), XT_RUN(unknown_options_are_skipped), XT_RUN(sack_blocks_in_a_syn_ack),
        XT_RUN(options_nobody_offered), XT_RUN(every_value_of_every_header_octet),
        XT_RUN(data_offset_and_ihl_out_of_range), XT_RUN(a_segment_from_ourselves), XT_RUN(two_stacks_never_loop))
