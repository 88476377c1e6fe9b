#include "base/limits.h"
#include "wire/tcp.h"
#include "xt.h"

#define SRC 0xc0a80001u
#define DST 0xc0a80002u

/* A SYN with MSS 1460, SACK permitted, TS 1/0, NOP, window scale 7, laid out by hand from RFC 9293 3.1. */
static const uint8_t syn[40] = {
    0x9c, 0x40, 0x01, 0xbb, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 0, 0xa0, 0x02, 0xfa, 0xf0, 0xce, 0xe3, 0, 0,
    2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
};
static const struct xw_tcp_hdr syn_hdr = {
    .src_port = 40000, .dst_port = 443, .seq = { 0xfffffff0 }, .flags = XW_TCP_SYN, .window = 64240, .hdr_len = 40,
        .mss = 1460,
    .opts = XW_TCP_OPT_MSS | XW_TCP_OPT_SACK_OK | XW_TCP_OPT_TS | XW_TCP_OPT_WSCALE, .wscale = 7, .ts_val = 1,
};

static enum xw_drop parse(const uint8_t *p, size_t len, struct xw_tcp_hdr *h) {
    uint8_t *exact = malloc(len ? len : 1); /* so that the sanitizer sees any octet too far */
    memcpy(exact, p, len);
    enum xw_drop d = xw_tcp_parse(xw_span(exact, len), SRC, DST, false, h);
    free(exact);
    return d;
}

static uint32_t base_seg(uint8_t *b, const uint8_t *opt, uint32_t opt_len) {
    struct xw_tcp_hdr h = { .src_port = 1, .dst_port = 2, .flags = XW_TCP_ACK };
    xw_tcp_emit(&h, xw_mspan(b, 60));
    memcpy(b + 20, opt, opt_len);
    b[12] = (uint8_t)((20 + opt_len) / 4 << 4);
    return 20 + opt_len;
}

XT_TEST(golden_syn_parses) {
    struct xw_tcp_hdr h;
    XT_EQ(parse(syn, sizeof syn, &h), XW_DROP_NONE);
    XT_MEM(&h, &syn_hdr, sizeof h);
}

XT_TEST(golden_syn_is_emitted) {
    uint8_t b[64];
    memset(b, 0xa5, sizeof b);
    XT_EQ(xw_tcp_hdr_len(&syn_hdr), 40);
    XT_EQ(xw_tcp_emit(&syn_hdr, xw_mspan(b, sizeof b)), 40);
    XT_EQ(b[40], 0xa5);
    XT_MEM(b, syn, 16);
    XT_MEM(b + 18, syn + 18, 22);
}

XT_TEST(checksum_is_set_and_verified) {
    uint8_t b[43];
    struct xw_tcp_hdr h;
    memcpy(b, syn, 40);
    memcpy(b + 40, "abc", 3);
    xw_tcp_set_checksum(xw_mspan(b, sizeof b), SRC, DST);
    XT_EQ(xw_tcp_parse(xw_span(b, sizeof b), SRC, DST, true, &h), XW_DROP_NONE);
    XT_EQ(xw_tcp_parse(xw_span(b, sizeof b), SRC, DST + 1, true, &h), XW_DROP_TCP_CHECKSUM);
    for (unsigned i = 0; i < sizeof b; i++) {
        b[i] ^= 0x10;
        enum xw_drop d = xw_tcp_parse(xw_span(b, sizeof b), SRC, DST, true, &h);
        XT_TRUE(d == XW_DROP_TCP_CHECKSUM || (i == 12 && d == XW_DROP_TCP_OFFSET));
        b[i] ^= 0x10;
    }
}

XT_TEST(every_truncation_is_refused) {
    struct xw_tcp_hdr h;
    for (size_t n = 0; n < sizeof syn; n++)
        XT_EQ(parse(syn, n, &h), n < 20 ? XW_DROP_TCP_SHORT : XW_DROP_TCP_OFFSET);
}

XT_TEST(data_offset_out_of_range) {
    uint8_t b[40];
    struct xw_tcp_hdr h;
    for (unsigned words = 0; words < 16; words++) {
        memcpy(b, syn, sizeof b);
        memset(b + 20, 1, 20);
        b[12] = (uint8_t)(words << 4);
        XT_EQ(parse(b, sizeof b, &h), words < 5 || words > 10 ? XW_DROP_TCP_OFFSET : XW_DROP_NONE);
    }
}

XT_TEST(port_zero) {
    uint8_t b[40];
    struct xw_tcp_hdr h;
    memcpy(b, syn, sizeof b);
    b[0] = b[1] = 0;
    XT_EQ(parse(b, sizeof b, &h), XW_DROP_TCP_PORT);
    memcpy(b, syn, sizeof b);
    b[2] = b[3] = 0;
    XT_EQ(parse(b, sizeof b, &h), XW_DROP_TCP_PORT);
}

XT_TEST(malformed_options) {
    static const struct { uint8_t len, opt[8]; } bad[] = {
        { 4, { 2, 0, 5, 180 } },        /* length zero: must not loop */
        { 4, { 2, 1, 5, 180 } },        /* length one */
        { 4, { 2, 5, 5, 180 } },        /* past the end */
        { 4, { 1, 1, 1, 8 } },          /* no room for a length */
        { 8, { 8, 10, 0, 0, 0, 1, 0, 0 } },
        { 4, { 200, 255, 0, 0 } },
        { 4, { 200, 0, 0, 0 } },
    };
    uint8_t b[60];
    struct xw_tcp_hdr h;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t n = base_seg(b, bad[i].opt, bad[i].len);
        XT_EQ(parse(b, n, &h), XW_DROP_TCP_OPTION);
    }
}

XT_TEST(options_that_are_ignored) {
    static const struct { uint8_t len, opt[12]; } ok[] = {
        { 4, { 2, 3, 5, 1 } },          /* MSS of a length of its own */
        { 4, { 3, 4, 7, 7 } },
        { 4, { 4, 3, 0, 1 } },
        { 4, { 253, 4, 1, 2 } },        /* unknown */
        { 4, { 0, 2, 0, 0 } },          /* END hides what follows */
        { 8, { 5, 6, 0, 0, 0, 1, 1, 1 } },
        { 4, { 5, 2, 1, 1 } },
    };
    uint8_t b[60];
    struct xw_tcp_hdr h;
    for (unsigned i = 0; i < sizeof ok / sizeof *ok; i++) {
        uint32_t n = base_seg(b, ok[i].opt, ok[i].len);
        XT_EQ(parse(b, n, &h), XW_DROP_NONE);
        XT_EQ(h.opts, 0);
    }
}

XT_TEST(every_combination_comes_back) {
    for (unsigned opts = 0; opts < 32; opts++)
        for (uint8_t sacks = 1; sacks <= 4; sacks++) {
            struct xw_tcp_hdr h = { .src_port = 1, .dst_port = 65535, .seq = { 0xdeadbeef }, .ack = { 0x12345678 },
                                    .window = 4321, .urgent = 99, .flags = 0xff, .opts = (uint8_t)opts }, got;
            if (opts & XW_TCP_OPT_MSS)
                h.mss = 536;
            if (opts & XW_TCP_OPT_WSCALE)
                h.wscale = 14;
            if (opts & XW_TCP_OPT_TS)
                h.ts_val = 0x80000001, h.ts_ecr = 0xffffffff;
            if (opts & XW_TCP_OPT_SACK)
                h.sack_cnt = sacks;
            for (unsigned i = 0; i < h.sack_cnt; i++)
                h.sack[i] = (struct xw_tcp_sack){ { 100 * i }, { 100 * i + 50 } };
            h.hdr_len = (uint8_t)xw_tcp_hdr_len(&h);
            if (xw_tcp_hdr_len(&h) > 60)
                continue;
            uint8_t b[60];
            memset(b, 0x77, sizeof b);
            XT_EQ(xw_tcp_emit(&h, xw_mspan(b, sizeof b)), h.hdr_len);
            XT_EQ(parse(b, h.hdr_len, &got), XW_DROP_NONE);
            XT_MEM(&got, &h, sizeof h);
        }
}

/* Nothing that 40 octets of options can hold reads past them (the sanitizer watches) or takes long. */
XT_TEST(random_options_are_safe) {
    uint32_t x = 1;
    uint8_t b[60];
    struct xw_tcp_hdr h;
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t opt[40];
        for (unsigned k = 0; k < sizeof opt; k++) {
            x = x * 1664525 + 1013904223;
            opt[k] = (uint8_t)((x >> 16) % (k % 3 ? 256 : 12));
        }
        uint32_t n = base_seg(b, opt, sizeof opt);
        enum xw_drop d = parse(b, n, &h);
        XT_TRUE((d == XW_DROP_NONE || d == XW_DROP_TCP_OPTION) && h.sack_cnt <= XW_TCP_SACK_MAX);
    }
}

XT_MAIN(XT_RUN(golden_syn_parses), XT_RUN(golden_syn_is_emitted), XT_RUN(checksum_is_set_and_verified),
        XT_RUN(every_truncation_is_refused), XT_RUN(data_offset_out_of_range), XT_RUN(port_zero),
        XT_RUN(malformed_options),
        XT_RUN(options_that_are_ignored), XT_RUN(every_combination_comes_back), XT_RUN(random_options_are_safe))
