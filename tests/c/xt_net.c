/* tests/c/xt_net.c: see xt_net.h. */
#include "xt_net.h"

const uint8_t XT_US_MAC[6] = { 0x02, 0, 0, 0, 0, 0x02 }, XT_GW_MAC[6] = { 0x02, 0, 0, 0, 0, 0x01 };
const uint8_t XT_PEER_MAC[6] = { 0x02, 0, 0, 0, 0, 0x09 }, XT_OTHER_MAC[6] = { 0x02, 0, 0, 0, 0, 0xee };
const uint8_t XT_ALL_MAC[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
const struct xw_net_cfg XT_NET_DEDICATED = { .mac = { 0x02, 0, 0, 0, 0, 0x02 }, .dedicated = 1, .ip = XT_US,
                                             .mask = 0xffffff00, .mtu = 1500 };
const struct xw_net_cfg XT_NET_SHARED = { .mac = { 0x02, 0, 0, 0, 0, 0x02 }, .ip = XT_US, .mask = 0xffffff00, .mtu = 1500 };

void xt_net_make(struct xt_net *x, const struct xw_net_cfg *cfg, enum xw_net_claim claim) {
    static const uint8_t seed[32] = { 1, 2, 3 };
    memset(x, 0, sizeof *x);
    xw_rng_init(&x->rng, seed);
    x->now = XT_S(1000);
    x->mem = malloc(xw_net_size());
    memset(x->mem, 0xa5, xw_net_size());
    XT_EQ(xw_net_init(x->mem, cfg ? cfg : &XT_NET_DEDICATED, &x->rng, x->drops, &x->n), XW_OK);
    XT_EQ(xw_net_route_add(x->n, 0, 0, XT_GW, 0), XW_OK);
    xw_net_start(x->n, claim, x->now);
    if (claim != XW_NET_CLAIM_NONE)
        return;
    while (xw_net_deadline(x->n) != XW_NEVER || xw_net_pending(x->n)) {
        xt_net_output(x);
        if (!xw_net_pending(x->n) && xw_net_deadline(x->n) != XW_NEVER)
            xt_net_after(x, xw_net_deadline(x->n) - x->now);
    }
}

void xt_net_free(struct xt_net *x) {
    free(x->mem);
    x->mem = x->n = NULL;
}

void xt_net_after(struct xt_net *x, uint64_t ns) {
    uint64_t end = x->now + ns;
    while (xw_net_deadline(x->n) <= end) {
        XT_TRUE(xw_net_deadline(x->n) >= x->now);
        x->now = xw_net_deadline(x->n);
        xw_net_tick(x->n, x->now);
        XT_TRUE(xw_net_deadline(x->n) > x->now);
    }
    x->now = end;
    xw_net_tick(x->n, x->now);
}

enum xw_net_verdict xt_net_input(struct xt_net *x, const uint8_t *frame, size_t len) {
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, frame, len);
    memset(&x->rx, 0xa5, sizeof x->rx);
    enum xw_net_verdict v = xw_net_input(x->n, xw_span(copy, len), true, x->now, &x->rx);
    free(copy);
    return v;
}

void xt_net_expect_drop(struct xt_net *x, const uint8_t *frame, size_t len, enum xw_drop why) {
    uint64_t before[XW_DROP_COUNT];
    memcpy(before, x->drops, sizeof before);
    enum xw_net_verdict v = xt_net_input(x, frame, len);
    if (v != XW_NET_DROPPED || x->rx.drop != why)
        XT_FAIL("verdict %d, reason %s, not dropped for %s", (int)v, xw_drop_name((int)x->rx.drop), xw_drop_name((int)why));
    before[why]++;
    XT_MEM(x->drops, before, sizeof before);
}

enum xw_net_verdict xt_net_arp(struct xt_net *x, uint16_t op, const uint8_t mac[6], uint32_t spa, uint32_t tpa) {
    uint8_t frame[60] = { 0 };
    struct xw_eth_hdr eth = { .type = XW_ETH_TYPE_ARP };
    struct xw_arp_hdr arp = { .op = op, .spa = spa, .tpa = tpa };
    memcpy(eth.dst, op == XW_ARP_REPLY ? XT_US_MAC : XT_ALL_MAC, 6);
    memcpy(eth.src, mac, 6);
    memcpy(arp.sha, mac, 6);
    xw_eth_emit(xw_mspan(frame, sizeof frame), &eth);
    xw_arp_emit(xw_mspan(frame + XW_ETH_LEN, XW_ARP_LEN), &arp);
    return xt_net_input(x, frame, sizeof frame);
}

size_t xt_net_frame(uint8_t *frame, uint32_t src, uint32_t dst, uint8_t proto, const void *payload, size_t len) {
    struct xw_eth_hdr eth = { .type = XW_ETH_TYPE_IP4 };
    struct xw_ip4_hdr ip = { .src = src, .dst = dst, .proto = proto, .ttl = 60, .df = true, .hdr_len = 20,
                             .total_len = (uint16_t)(20 + len) };
    memcpy(eth.dst, XT_US_MAC, 6);
    memcpy(eth.src, XT_GW_MAC, 6);
    xw_eth_emit(xw_mspan(frame, XW_ETH_LEN), &eth);
    xw_ip4_emit(xw_mspan(frame + XW_ETH_LEN, 20), &ip);
    if (len)
        memcpy(frame + XW_ETH_LEN + 20, payload, len);
    return XW_ETH_LEN + 20 + len;
}

size_t xt_net_output(struct xt_net *x) {
    bool pending = xw_net_pending(x->n);
    memset(x->out, 0xee, sizeof x->out);
    x->out_len = xw_net_output(x->n, xw_mspan(x->out, sizeof x->out), x->now);
    XT_TRUE(x->out_len == 0 || (pending && x->out_len >= 60));
    XT_TRUE(x->out_len == sizeof x->out || x->out[x->out_len] == 0xee);
    return x->out_len;
}

void xt_net_expect_arp(struct xt_net *x, const uint8_t dst[6], uint16_t op, uint32_t spa, uint32_t tpa) {
    struct xw_eth_hdr eth;
    struct xw_arp_hdr arp;
    XT_TRUE(xt_net_output(x) > 0);
    XT_EQ(xw_eth_parse(xw_span(x->out, x->out_len), &eth), XW_DROP_NONE);
    XT_EQ(eth.type, XW_ETH_TYPE_ARP);
    XT_MEM(eth.dst, dst, 6);
    XT_MEM(eth.src, XT_US_MAC, 6);
    XT_EQ(xw_arp_parse(xw_span_from(xw_span(x->out, x->out_len), xw_eth_hdr_len(&eth)), &arp), XW_DROP_NONE);
    XT_EQ(arp.op, op);
    XT_EQ(arp.spa, spa);
    XT_EQ(arp.tpa, tpa);
    XT_MEM(arp.sha, XT_US_MAC, 6);
    if (op == XW_ARP_REPLY)
        XT_MEM(arp.tha, dst, 6);
}

void xt_net_expect_nothing(struct xt_net *x) {
    XT_TRUE(!xw_net_pending(x->n));
    XT_EQ(xt_net_output(x), 0);
}

int xt_net_send(struct xt_net *x, uint32_t dst, size_t l4_len) {
    static const struct xw_net_ip ip = { .proto = XW_IP4_PROTO_TCP, .ttl = 64, .df = true };
    struct xw_net_hop hop = { 0 };
    int rc = xw_net_route(x->n, dst, &hop);
    memset(x->out, 0xee, sizeof x->out);
    return rc < 0 ? rc : xw_net_eth_ip(x->n, &hop, xw_mspan(x->out, sizeof x->out), l4_len, &ip, x->now);
}

void xt_net_expect_mac(struct xt_net *x, const uint8_t mac[6]) { XT_MEM(x->out, mac, 6); }
