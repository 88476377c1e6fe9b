/* wire/arp.c: see arp.h. */
#include "wire/arp.h"
#include "wire/bytes.h"
#include "wire/eth.h"
#include <string.h>

#define HTYPE_ETHERNET 1u

enum xw_drop xw_arp_parse(struct xw_span pkt, struct xw_arp_hdr *h) {
    const uint8_t *p = pkt.p;
    if (pkt.len < XW_ARP_LEN)
        return XW_DROP_ARP_SHORT;
    if (xw_get_be16(p) != HTYPE_ETHERNET || xw_get_be16(p + 2) != XW_ETH_TYPE_IP4 || p[4] != 6 || p[5] != 4)
        return XW_DROP_ARP_MALFORMED;
    h->op = xw_get_be16(p + 6);
    memcpy(h->sha, p + 8, 6);
    h->spa = xw_get_be32(p + 14);
    memcpy(h->tha, p + 18, 6);
    h->tpa = xw_get_be32(p + 24);
    if ((h->op != XW_ARP_REQUEST && h->op != XW_ARP_REPLY) || xw_eth_is_group(h->sha) || xw_eth_is_zero(h->sha))
        return XW_DROP_ARP_MALFORMED;
    return XW_DROP_NONE;
}

size_t xw_arp_emit(struct xw_mspan out, const struct xw_arp_hdr *h) {
    if (out.len < XW_ARP_LEN)
        return 0;
    uint8_t *p = out.p;
    xw_put_be16(p, HTYPE_ETHERNET);
    xw_put_be16(p + 2, XW_ETH_TYPE_IP4);
    p[4] = 6;
    p[5] = 4;
    xw_put_be16(p + 6, h->op);
    memcpy(p + 8, h->sha, 6);
    xw_put_be32(p + 14, h->spa);
    memcpy(p + 18, h->tha, 6);
    xw_put_be32(p + 24, h->tpa);
    return XW_ARP_LEN;
}
