/* wire/eth.c: see eth.h. */
#include "wire/eth.h"
#include "wire/bytes.h"
#include <string.h>

static bool is_tpid(uint16_t type) { return type == XW_ETH_TPID_Q || type == XW_ETH_TPID_AD; }

enum xw_drop xw_eth_parse(struct xw_span frame, struct xw_eth_hdr *h) {
    if (frame.len < XW_ETH_LEN)
        return XW_DROP_ETH_SHORT;
    memset(h, 0, sizeof *h);
    memcpy(h->dst, frame.p, 6);
    memcpy(h->src, frame.p + 6, 6);
    size_t off = 12;
    uint16_t type = xw_get_be16(frame.p + off);
    while (is_tpid(type)) {
        if (h->vlan_cnt == XW_VLAN_MAX)
            return XW_DROP_VLAN_DEPTH;
        if (frame.len < off + XW_VLAN_LEN + 2)
            return XW_DROP_VLAN_SHORT;
        h->vlan_tpid[h->vlan_cnt] = type;
        h->vlan_tci[h->vlan_cnt] = xw_get_be16(frame.p + off + 2);
        h->vlan_cnt++;
        off += XW_VLAN_LEN;
        type = xw_get_be16(frame.p + off);
    }
    h->type = type;
    return XW_DROP_NONE;
}

size_t xw_eth_hdr_len(const struct xw_eth_hdr *h) { return XW_ETH_LEN + (size_t)h->vlan_cnt * XW_VLAN_LEN; }

size_t xw_eth_emit(struct xw_mspan out, const struct xw_eth_hdr *h) {
    if (h->vlan_cnt > XW_VLAN_MAX || out.len < xw_eth_hdr_len(h))
        return 0;
    memcpy(out.p, h->dst, 6);
    memcpy(out.p + 6, h->src, 6);
    size_t off = 12;
    for (unsigned i = 0; i < h->vlan_cnt; i++) {
        xw_put_be16(out.p + off, h->vlan_tpid[i]);
        xw_put_be16(out.p + off + 2, h->vlan_tci[i]);
        off += XW_VLAN_LEN;
    }
    xw_put_be16(out.p + off, h->type);
    return off + 2;
}

bool xw_eth_is_broadcast(const uint8_t mac[6]) {
    static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    return memcmp(mac, all, 6) == 0;
}

bool xw_eth_is_zero(const uint8_t mac[6]) {
    static const uint8_t none[6] = { 0 };
    return memcmp(mac, none, 6) == 0;
}
