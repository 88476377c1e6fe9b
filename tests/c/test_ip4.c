/* wire/ip4.c: golden bytes both ways, every truncation, every length field, options, kinds of addresses. */
#include "wire/ip4.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "xt.h"

/* 10.1.0.2 → 172.16.0.9, TCP, DF, id 0x1234, tos 0x2e, ttl 61, 4 bytes of payload */
static const uint8_t golden[24] = { 0x45, 0x2e, 0x00, 0x18, 0x12, 0x34, 0x40, 0x00, 0x3d, 0x06, 0x75, 0x62,
                                    10, 1, 0, 2, 172, 16, 0, 9, 0xde, 0xad, 0xbe, 0xef };

static enum xw_drop parse_exact(const uint8_t *p, size_t len, bool verify, struct xw_ip4_hdr *h) {
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, p, len);
    enum xw_drop why = xw_ip4_parse(xw_span(copy, len), verify, h);
    free(copy);
    return why;
}

XT_TEST(golden) {
    struct xw_ip4_hdr h;
    XT_EQ(parse_exact(golden, sizeof golden, true, &h), XW_DROP_NONE);
    XT_EQ(h.src, 0x0a010002);
    XT_EQ(h.dst, 0xac100009);
    XT_EQ(h.total_len, 24);
    XT_EQ(h.id, 0x1234);
    XT_EQ(h.hdr_len, 20);
    XT_EQ(h.tos, 0x2e);
    XT_EQ(h.ttl, 61);
    XT_EQ(h.proto, XW_IP4_PROTO_TCP);
    XT_TRUE(h.df && !h.mf && h.frag_off == 0 && !h.source_route);
    struct xw_span payload = xw_ip4_payload(xw_span(golden, sizeof golden), &h);
    XT_EQ(payload.len, 4);
    XT_EQ(payload.p[0], 0xde);
    uint8_t out[24];
    memset(out, 0xee, sizeof out);
    XT_EQ(xw_ip4_emit(xw_mspan(out, 19), &h), 0);
    XT_EQ(out[0], 0xee);
    XT_EQ(xw_ip4_emit(xw_mspan(out, sizeof out), &h), xw_ip4_hdr_len(&h));
    XT_MEM(out, golden, 20);
    XT_EQ(out[20], 0xee);
}

XT_TEST(truncated_and_padded) {
    struct xw_ip4_hdr h;
    for (size_t len = 0; len < 20; len++)
        XT_EQ(parse_exact(golden, len, true, &h), XW_DROP_IP4_SHORT);
    for (size_t len = 20; len < 24; len++)
        XT_EQ(parse_exact(golden, len, true, &h), XW_DROP_IP4_LEN);
    uint8_t padded[46] = { 0 };
    memcpy(padded, golden, sizeof golden);
    XT_EQ(parse_exact(padded, sizeof padded, true, &h), XW_DROP_NONE);
    XT_EQ(xw_ip4_payload(xw_span(padded, sizeof padded), &h).len, 4);
}

XT_TEST(every_first_byte) {
    struct xw_ip4_hdr h;
    uint8_t pkt[80] = { 0 }; /* zeros behind the header are the option "end of list" */
    memcpy(pkt, golden, sizeof golden);
    xw_put_be16(pkt + 2, sizeof pkt);
    for (unsigned b = 0; b < 256; b++) {
        pkt[0] = (uint8_t)b;
        memset(pkt + 20, 0, 4);
        enum xw_drop want = b >> 4 != 4 ? XW_DROP_IP4_VERSION : (b & 15) < 5 ? XW_DROP_IP4_IHL : XW_DROP_NONE;
        XT_EQ(parse_exact(pkt, sizeof pkt, false, &h), want);
        if (want == XW_DROP_NONE)
            XT_EQ(h.hdr_len, (b & 15) * 4);
    }
    pkt[0] = 0x4f;
    XT_EQ(parse_exact(pkt, 59, false, &h), XW_DROP_IP4_IHL);
    xw_put_be16(pkt + 2, 59); /* shorter than its header of 60 */
    XT_EQ(parse_exact(pkt, 60, false, &h), XW_DROP_IP4_LEN);
}

XT_TEST(every_total_length) {
    struct xw_ip4_hdr h;
    uint8_t pkt[40];
    memset(pkt, 0, sizeof pkt);
    memcpy(pkt, golden, sizeof golden);
    for (unsigned len = 0; len < 65536; len++) {
        xw_put_be16(pkt + 2, (uint16_t)len);
        XT_EQ(xw_ip4_parse(xw_span(pkt, sizeof pkt), false, &h),
              len < 20 || len > sizeof pkt ? XW_DROP_IP4_LEN : XW_DROP_NONE);
    }
}

XT_TEST(checksum_only_when_asked) {
    struct xw_ip4_hdr h;
    for (size_t i = 4; i < 20; i++) {
        uint8_t bad[sizeof golden];
        memcpy(bad, golden, sizeof bad);
        bad[i] ^= 0x04;
        XT_EQ(parse_exact(bad, sizeof bad, true, &h), XW_DROP_IP4_CHECKSUM);
        XT_EQ(parse_exact(bad, sizeof bad, false, &h), XW_DROP_NONE);
    }
}

XT_TEST(fragment_fields) {
    struct xw_ip4_hdr h;
    uint8_t pkt[sizeof golden];
    memcpy(pkt, golden, sizeof pkt);
    xw_put_be16(pkt + 6, 0x2000);
    XT_EQ(parse_exact(pkt, sizeof pkt, false, &h), XW_DROP_NONE);
    XT_TRUE(h.mf && !h.df && h.frag_off == 0);
    xw_put_be16(pkt + 6, 0x1fff);
    XT_EQ(parse_exact(pkt, sizeof pkt, false, &h), XW_DROP_NONE);
    XT_TRUE(!h.mf && !h.df && h.frag_off == 0x1fff);
    uint8_t out[20];
    XT_EQ(xw_ip4_emit(xw_mspan(out, sizeof out), &h), 20);
    XT_EQ(xw_get_be16(out + 6), 0x1fff);
}

static enum xw_drop with_options(const uint8_t *opts, size_t len, struct xw_ip4_hdr *h) {
    uint8_t pkt[60] = { 0 };
    size_t hdr_len = 20 + (len + 3) / 4 * 4;
    memcpy(pkt, golden, 20);
    memcpy(pkt + 20, opts, len);
    pkt[0] = (uint8_t)(0x40 | hdr_len / 4);
    xw_put_be16(pkt + 2, (uint16_t)hdr_len);
    return parse_exact(pkt, hdr_len, false, h);
}

XT_TEST(options) {
    static const struct { const char *what; uint8_t bytes[12]; size_t len; enum xw_drop want; bool route; } cases[] = {
        { "no-operations", { 1, 1, 1, 1 }, 4, XW_DROP_NONE, false },
        { "end, then anything", { 0, 7, 0, 255 }, 4, XW_DROP_NONE, false },
        { "record route", { 7, 7, 4, 0, 0, 0, 0, 0 }, 8, XW_DROP_NONE, false },
        { "router alert", { 148, 4, 0, 0 }, 4, XW_DROP_NONE, false },
        { "loose source route", { 131, 7, 4, 10, 0, 0, 1, 0 }, 8, XW_DROP_NONE, true },
        { "strict source route after a no-operation", { 1, 137, 7, 4, 10, 0, 0, 1 }, 8, XW_DROP_NONE, true },
        { "source route hidden behind the end", { 0, 131, 3, 4 }, 4, XW_DROP_NONE, false },
        { "length 0 would never end", { 7, 0, 1, 1 }, 4, XW_DROP_IP4_OPTION, false },
        { "length 1", { 7, 1, 1, 1 }, 4, XW_DROP_IP4_OPTION, false },
        { "length behind the header", { 7, 5, 0, 0 }, 4, XW_DROP_IP4_OPTION, false },
        { "length 255", { 1, 7, 255, 0 }, 4, XW_DROP_IP4_OPTION, false },
        { "no room for the length", { 1, 1, 1, 7 }, 4, XW_DROP_IP4_OPTION, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct xw_ip4_hdr h;
        enum xw_drop got = with_options(cases[i].bytes, cases[i].len, &h);
        if (got != cases[i].want || (got == XW_DROP_NONE && h.source_route != cases[i].route))
            XT_FAIL("%s: %s, source route %d", cases[i].what, xw_drop_name((int)got), h.source_route);
    }
}

XT_TEST(emit_refuses_what_it_cannot_say) {
    uint8_t out[60];
    struct xw_ip4_hdr h = { .total_len = 24, .hdr_len = 24 };
    XT_EQ(xw_ip4_emit(xw_mspan(out, sizeof out), &h), 0);
    h.hdr_len = 20;
    h.total_len = 19;
    XT_EQ(xw_ip4_emit(xw_mspan(out, sizeof out), &h), 0);
}

XT_TEST(kinds_of_addresses) {
    XT_TRUE(xw_ip4_is_unicast(0x0a000001) && xw_ip4_is_unicast(0xdfffffff) && xw_ip4_is_unicast(0x01000000));
    XT_TRUE(!xw_ip4_is_unicast(0) && !xw_ip4_is_unicast(0x00000001));          /* this network */
    XT_TRUE(!xw_ip4_is_unicast(0x7f000001) && !xw_ip4_is_unicast(0x7fffffff)); /* loopback */
    XT_TRUE(!xw_ip4_is_unicast(0xe0000001) && !xw_ip4_is_unicast(0xefffffff)); /* multicast */
    XT_TRUE(!xw_ip4_is_unicast(0xf0000000) && !xw_ip4_is_unicast(0xffffffff)); /* reserved, broadcast */
}

XT_MAIN(XT_RUN(golden), XT_RUN(truncated_and_padded), XT_RUN(every_first_byte), XT_RUN(every_total_length),
        XT_RUN(checksum_only_when_asked), XT_RUN(fragment_fields), XT_RUN(options),
        XT_RUN(emit_refuses_what_it_cannot_say), XT_RUN(kinds_of_addresses))
