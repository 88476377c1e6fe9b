/* wire/arp.c: golden bytes both ways, every truncation, every fixed field changed. */
#include "wire/arp.h"
#include "xt.h"

static const uint8_t golden[XW_ARP_LEN] = { 0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x02, 0x02, 0x11, 0x12, 0x13, 0x14, 0x15,
                                            10, 0, 0, 1, 0x02, 0x21, 0x22, 0x23, 0x24, 0x25, 192, 168, 255, 2 };

static enum xw_drop parse_exact(const uint8_t *p, size_t len, struct xw_arp_hdr *h) {
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, p, len);
    enum xw_drop why = xw_arp_parse(xw_span(copy, len), h);
    free(copy);
    return why;
}

XT_TEST(golden) {
    struct xw_arp_hdr h;
    XT_EQ(parse_exact(golden, sizeof golden, &h), XW_DROP_NONE);
    XT_EQ(h.op, XW_ARP_REPLY);
    XT_EQ(h.spa, 0x0a000001);
    XT_EQ(h.tpa, 0xc0a8ff02);
    XT_MEM(h.sha, golden + 8, 6);
    XT_MEM(h.tha, golden + 18, 6);
    uint8_t out[XW_ARP_LEN + 1];
    memset(out, 0xee, sizeof out);
    XT_EQ(xw_arp_emit(xw_mspan(out, XW_ARP_LEN - 1), &h), 0);
    XT_EQ(xw_arp_emit(xw_mspan(out, sizeof out), &h), xw_arp_hdr_len(&h));
    XT_MEM(out, golden, sizeof golden);
    XT_EQ(out[XW_ARP_LEN], 0xee);
}

XT_TEST(truncated_and_padded) {
    struct xw_arp_hdr h;
    for (size_t len = 0; len < XW_ARP_LEN; len++)
        XT_EQ(parse_exact(golden, len, &h), XW_DROP_ARP_SHORT);
    uint8_t padded[46] = { 0 };
    memcpy(padded, golden, sizeof golden);
    XT_EQ(parse_exact(padded, sizeof padded, &h), XW_DROP_NONE);
}

XT_TEST(other_hardware_or_protocol) {
    struct xw_arp_hdr h;
    for (size_t i = 0; i < 7; i++) {
        uint8_t bad[XW_ARP_LEN];
        memcpy(bad, golden, sizeof bad);
        bad[i] ^= 0x10;
        XT_EQ(parse_exact(bad, sizeof bad, &h), XW_DROP_ARP_MALFORMED);
    }
}

XT_TEST(operations) {
    struct xw_arp_hdr h;
    for (unsigned op = 0; op < 256; op++) {
        uint8_t pkt[XW_ARP_LEN];
        memcpy(pkt, golden, sizeof pkt);
        pkt[7] = (uint8_t)op;
        XT_EQ(parse_exact(pkt, sizeof pkt, &h), op == 1 || op == 2 ? XW_DROP_NONE : XW_DROP_ARP_MALFORMED);
    }
}

XT_TEST(sender_must_be_one_host) {
    struct xw_arp_hdr h;
    uint8_t bad[XW_ARP_LEN];
    memcpy(bad, golden, sizeof bad);
    bad[8] |= 1;
    XT_EQ(parse_exact(bad, sizeof bad, &h), XW_DROP_ARP_MALFORMED);
    memset(bad + 8, 0, 6);
    XT_EQ(parse_exact(bad, sizeof bad, &h), XW_DROP_ARP_MALFORMED);
}

XT_MAIN(XT_RUN(golden), XT_RUN(truncated_and_padded), XT_RUN(other_hardware_or_protocol), XT_RUN(operations),
        XT_RUN(sender_must_be_one_host))
