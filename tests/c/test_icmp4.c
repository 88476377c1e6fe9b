/* wire/icmp4.c: golden bytes both ways, every truncation of the message and of the quote. */
#include "wire/icmp4.h"
#include "wire/bytes.h"
#include "xt.h"

/* fragmentation needed, MTU 1400, quoting 10.0.0.2:49152 → 10.0.0.9:443 seq 0x01020304, 1500 bytes long */
static const uint8_t golden[36] = {
    3, 4, 0x52, 0xd4, 0, 0, 0x05, 0x78,
    0x45, 0, 0x05, 0xdc, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 9, 0xc0, 0x00, 0x01, 0xbb, 1, 2, 3, 4,
};

static uint8_t *exact(const uint8_t *p, size_t len) {
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, p, len);
    return copy;
}

XT_TEST(golden) {
    struct xw_icmp4_hdr h;
    XT_EQ(xw_icmp4_parse(xw_span(golden, sizeof golden), true, &h), XW_DROP_NONE);
    XT_EQ(h.type, XW_ICMP4_UNREACH);
    XT_EQ(h.code, XW_ICMP4_UR_FRAG);
    XT_EQ(xw_icmp4_mtu(&h), 1400);
    uint8_t out[sizeof golden + 1];
    memset(out, 0xee, sizeof out);
    memcpy(out + 8, golden + 8, sizeof golden - 8);
    XT_EQ(xw_icmp4_emit(xw_mspan(out, 7), &h, 0), 0);
    XT_EQ(xw_icmp4_emit(xw_mspan(out, sizeof golden - 1), &h, sizeof golden - 8), 0);
    XT_EQ(xw_icmp4_emit(xw_mspan(out, sizeof out), &h, sizeof golden - 8), sizeof golden);
    XT_MEM(out, golden, sizeof golden);
    XT_EQ(out[sizeof golden], 0xee);
}

XT_TEST(truncated_message) {
    for (size_t len = 0; len < sizeof golden; len++) {
        struct xw_icmp4_hdr h;
        uint8_t *p = exact(golden, len);
        XT_EQ(xw_icmp4_parse(xw_span(p, len), false, &h), len < 8 ? XW_DROP_ICMP_SHORT : XW_DROP_NONE);
        free(p);
    }
}

XT_TEST(checksum) {
    for (size_t i = 0; i < sizeof golden; i++) {
        struct xw_icmp4_hdr h;
        uint8_t *p = exact(golden, sizeof golden);
        p[i] ^= 0x80;
        XT_EQ(xw_icmp4_parse(xw_span(p, sizeof golden), true, &h), XW_DROP_ICMP_CHECKSUM);
        XT_EQ(xw_icmp4_parse(xw_span(p, sizeof golden), false, &h), XW_DROP_NONE);
        free(p);
    }
}

static enum xw_drop quote_exact(const uint8_t *p, size_t len, struct xw_icmp4_quote *q) {
    uint8_t *copy = exact(p, len);
    enum xw_drop why = xw_icmp4_quote_parse(xw_span(copy, len), q);
    free(copy);
    return why;
}

XT_TEST(quote) {
    struct xw_icmp4_quote q;
    XT_EQ(quote_exact(golden + 8, 28, &q), XW_DROP_NONE);
    XT_EQ(q.src, 0x0a000002);
    XT_EQ(q.dst, 0x0a000009);
    XT_EQ(q.sport, 49152);
    XT_EQ(q.dport, 443);
    XT_EQ(q.seq, 0x01020304);
    XT_EQ(q.total_len, 1500);
    XT_EQ(q.proto, 6);
    for (size_t len = 0; len < 28; len++)
        XT_EQ(quote_exact(golden + 8, len, &q), XW_DROP_ICMP_QUOTE);
}

XT_TEST(quote_with_options) {
    struct xw_icmp4_quote q;
    uint8_t pkt[60 + 8] = { 0 };
    memcpy(pkt, golden + 8, 20);
    pkt[0] = 0x4f;
    memcpy(pkt + 60, golden + 28, 8);
    XT_EQ(quote_exact(pkt, sizeof pkt, &q), XW_DROP_NONE);
    XT_EQ(q.seq, 0x01020304);
    XT_EQ(quote_exact(pkt, sizeof pkt - 1, &q), XW_DROP_ICMP_QUOTE);
}

XT_TEST(quote_malformed) {
    static const struct { const char *what; size_t at; uint8_t value[2]; } cases[] = {
        { "version 6", 0, { 0x65, 0 } },
        { "header length 16", 0, { 0x44, 0 } },
        { "total length below what is quoted", 2, { 0, 27 } },
        { "not the first fragment", 6, { 0x00, 1 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct xw_icmp4_quote q;
        uint8_t pkt[28];
        memcpy(pkt, golden + 8, sizeof pkt);
        memcpy(pkt + cases[i].at, cases[i].value, 2);
        if (quote_exact(pkt, sizeof pkt, &q) != XW_DROP_ICMP_QUOTE)
            XT_FAIL("%s: taken", cases[i].what);
    }
}

XT_MAIN(XT_RUN(golden), XT_RUN(truncated_message), XT_RUN(checksum), XT_RUN(quote), XT_RUN(quote_with_options),
        XT_RUN(quote_malformed))
