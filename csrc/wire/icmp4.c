/* wire/icmp4.c: see icmp4.h. */
#include "wire/icmp4.h"
#include "base/limits.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

enum xw_drop xw_icmp4_parse(struct xw_span msg, bool verify, struct xw_icmp4_hdr *h) {
    if (msg.len < XW_ICMP4_LEN)
        return XW_DROP_ICMP_SHORT;
    if (verify && xw_csum_fold(xw_csum_add(0, msg.p, msg.len)) != 0)
        return XW_DROP_ICMP_CHECKSUM;
    h->type = msg.p[0];
    h->code = msg.p[1];
    h->rest = xw_get_be32(msg.p + 4);
    return XW_DROP_NONE;
}

size_t xw_icmp4_emit(struct xw_mspan msg, const struct xw_icmp4_hdr *h, size_t body_len) {
    if (msg.len < XW_ICMP4_LEN || msg.len - XW_ICMP4_LEN < body_len)
        return 0;
    size_t len = XW_ICMP4_LEN + body_len;
    msg.p[0] = h->type;
    msg.p[1] = h->code;
    xw_put_be16(msg.p + 2, 0);
    xw_put_be32(msg.p + 4, h->rest);
    xw_put_be16(msg.p + 2, xw_csum_fold(xw_csum_add(0, msg.p, len)));
    return len;
}

enum xw_drop xw_icmp4_quote_parse(struct xw_span body, struct xw_icmp4_quote *q) {
    const uint8_t *p = body.p;
    if (body.len < XW_IP4_HDR_MIN || p[0] >> 4 != 4)
        return XW_DROP_ICMP_QUOTE;
    size_t hdr_len = (p[0] & 0xfu) * 4u;
    if (hdr_len < XW_IP4_HDR_MIN || body.len < hdr_len + XW_ICMP4_QUOTE_L4)
        return XW_DROP_ICMP_QUOTE;
    q->total_len = xw_get_be16(p + 2);
    if (q->total_len < hdr_len + XW_ICMP4_QUOTE_L4 || (xw_get_be16(p + 6) & 0x1fffu) != 0)
        return XW_DROP_ICMP_QUOTE;
    q->proto = p[9];
    q->src = xw_get_be32(p + 12);
    q->dst = xw_get_be32(p + 16);
    q->sport = xw_get_be16(p + hdr_len);
    q->dport = xw_get_be16(p + hdr_len + 2);
    q->seq = xw_get_be32(p + hdr_len + 4);
    return XW_DROP_NONE;
}
