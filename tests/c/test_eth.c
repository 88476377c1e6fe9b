/* wire/eth.c: golden bytes both ways, every truncation, tags. */
#include "wire/eth.h"
#include "xt.h"

static const uint8_t plain[] = { 0x02, 1, 2, 3, 4, 5, 0x02, 0x11, 0x12, 0x13, 0x14, 0x15, 0x08, 0x00, 0xaa };
static const uint8_t tagged[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x11, 0x12, 0x13, 0x14, 0x15,
                                  0x81, 0x00, 0x60, 0x64, 0x08, 0x06, 0xbb };
static const uint8_t stacked[] = { 0x02, 1, 2, 3, 4, 5, 0x02, 0x11, 0x12, 0x13, 0x14, 0x15, 0x88, 0xa8, 0x00, 0x0a,
                                   0x81, 0x00, 0x00, 0x14, 0x86, 0xdd };

/* A copy of exactly len bytes, so that the address sanitizer sees a read behind it. */
static enum xw_drop parse_exact(const uint8_t *p, size_t len, struct xw_eth_hdr *h) {
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, p, len);
    enum xw_drop why = xw_eth_parse(xw_span(copy, len), h);
    free(copy);
    return why;
}

static void emits_back(const struct xw_eth_hdr *h, const uint8_t *want, size_t len) {
    uint8_t out[32];
    memset(out, 0xee, sizeof out);
    XT_EQ(xw_eth_hdr_len(h), len);
    XT_EQ(xw_eth_emit(xw_mspan(out, len - 1), h), 0);
    XT_EQ(out[0], 0xee);
    XT_EQ(xw_eth_emit(xw_mspan(out, len), h), len);
    XT_MEM(out, want, len);
    XT_EQ(out[len], 0xee);
}

XT_TEST(without_tag) {
    struct xw_eth_hdr h;
    XT_EQ(parse_exact(plain, sizeof plain, &h), XW_DROP_NONE);
    XT_MEM(h.dst, plain, 6);
    XT_MEM(h.src, plain + 6, 6);
    XT_EQ(h.type, XW_ETH_TYPE_IP4);
    XT_EQ(h.vlan_cnt, 0);
    emits_back(&h, plain, 14);
    for (size_t len = 0; len < 14; len++)
        XT_EQ(parse_exact(plain, len, &h), XW_DROP_ETH_SHORT);
}

XT_TEST(one_tag) {
    struct xw_eth_hdr h;
    XT_EQ(parse_exact(tagged, sizeof tagged, &h), XW_DROP_NONE);
    XT_EQ(h.vlan_cnt, 1);
    XT_EQ(h.vlan_tpid[0], XW_ETH_TPID_Q);
    XT_EQ(h.vlan_tci[0], 0x6064);
    XT_EQ(h.type, XW_ETH_TYPE_ARP);
    emits_back(&h, tagged, 18);
    for (size_t len = 14; len < 18; len++)
        XT_EQ(parse_exact(tagged, len, &h), XW_DROP_VLAN_SHORT);
}

XT_TEST(two_tags) {
    struct xw_eth_hdr h;
    XT_EQ(parse_exact(stacked, sizeof stacked, &h), XW_DROP_NONE);
    XT_EQ(h.vlan_cnt, 2);
    XT_EQ(h.vlan_tpid[0], XW_ETH_TPID_AD);
    XT_EQ(h.vlan_tci[0], 10);
    XT_EQ(h.vlan_tpid[1], XW_ETH_TPID_Q);
    XT_EQ(h.vlan_tci[1], 20);
    XT_EQ(h.type, 0x86dd);
    emits_back(&h, stacked, 22);
    for (size_t len = 14; len < 22; len++)
        XT_EQ(parse_exact(stacked, len, &h), XW_DROP_VLAN_SHORT);
}

XT_TEST(three_tags_are_too_many) {
    uint8_t deep[30];
    struct xw_eth_hdr h;
    memcpy(deep, stacked, 20);
    memcpy(deep + 20, (const uint8_t[]){ 0x81, 0x00, 0x00, 0x1e, 0x08, 0x00 }, 6);
    XT_EQ(parse_exact(deep, 26, &h), XW_DROP_VLAN_DEPTH);
    h.vlan_cnt = 3;
    XT_EQ(xw_eth_emit(xw_mspan(deep, sizeof deep), &h), 0);
}

XT_TEST(kinds_of_addresses) {
    static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, group[6] = { 1, 0, 0x5e }, none[6] = { 0 };
    static const uint8_t host[6] = { 0x02, 0xff, 0xff, 0xff, 0xff, 0xff };
    XT_TRUE(xw_eth_is_broadcast(all) && xw_eth_is_group(all) && !xw_eth_is_zero(all));
    XT_TRUE(!xw_eth_is_broadcast(group) && xw_eth_is_group(group));
    XT_TRUE(xw_eth_is_zero(none) && !xw_eth_is_group(none) && !xw_eth_is_broadcast(none));
    XT_TRUE(!xw_eth_is_zero(host) && !xw_eth_is_group(host) && !xw_eth_is_broadcast(host));
}

XT_MAIN(XT_RUN(without_tag), XT_RUN(one_tag), XT_RUN(two_tags), XT_RUN(three_tags_are_too_many),
        XT_RUN(kinds_of_addresses))
