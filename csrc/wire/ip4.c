/* wire/ip4.c: see ip4.h. */
#include "wire/ip4.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include <string.h>

#define OPT_END 0u
#define OPT_NOP 1u
#define OPT_LSRR 131u /* loose source and record route */
#define OPT_SSRR 137u /* strict source and record route */
#define FLAG_DF 0x4000u
#define FLAG_MF 0x2000u
#define FRAG_MASK 0x1fffu

/* RFC 791 3.1: an option is one byte, or kind, length (both counted), data. A length below 2 would never end. */
static enum xw_drop parse_options(struct xw_span opts, bool *source_route) {
    size_t i = 0;
    while (i < opts.len && opts.p[i] != OPT_END) {
        if (opts.p[i] == OPT_NOP) {
            i++;
            continue;
        }
        size_t left = opts.len - i;
        if (left < 2 || opts.p[i + 1] < 2 || opts.p[i + 1] > left)
            return XW_DROP_IP4_OPTION;
        if (opts.p[i] == OPT_LSRR || opts.p[i] == OPT_SSRR)
            *source_route = true;
        i += opts.p[i + 1];
    }
    return XW_DROP_NONE;
}

enum xw_drop xw_ip4_parse(struct xw_span pkt, bool verify, struct xw_ip4_hdr *h) {
    const uint8_t *p = pkt.p;
    if (pkt.len < XW_IP4_HDR_MIN)
        return XW_DROP_IP4_SHORT;
    if (p[0] >> 4 != 4)
        return XW_DROP_IP4_VERSION;
    uint8_t hdr_len = (uint8_t)((p[0] & 0xfu) * 4u);
    if (hdr_len < XW_IP4_HDR_MIN || hdr_len > pkt.len)
        return XW_DROP_IP4_IHL;
    uint16_t total_len = xw_get_be16(p + 2);
    if (total_len < hdr_len || total_len > pkt.len)
        return XW_DROP_IP4_LEN;
    if (verify && xw_csum_fold(xw_csum_add(0, p, hdr_len)) != 0)
        return XW_DROP_IP4_CHECKSUM;
    uint16_t frag = xw_get_be16(p + 6);
    *h = (struct xw_ip4_hdr){
        .src = xw_get_be32(p + 12), .dst = xw_get_be32(p + 16), .total_len = total_len, .id = xw_get_be16(p + 4),
        .frag_off = frag & FRAG_MASK, .hdr_len = hdr_len, .tos = p[1], .ttl = p[8], .proto = p[9],
        .df = (frag & FLAG_DF) != 0, .mf = (frag & FLAG_MF) != 0,
    };
    return parse_options(xw_span(p + XW_IP4_HDR_MIN, hdr_len - XW_IP4_HDR_MIN), &h->source_route);
}

size_t xw_ip4_emit(struct xw_mspan out, const struct xw_ip4_hdr *h) {
    if (out.len < XW_IP4_HDR_MIN || h->hdr_len != XW_IP4_HDR_MIN || h->total_len < XW_IP4_HDR_MIN)
        return 0;
    uint8_t *p = out.p;
    uint32_t frag = (h->df ? FLAG_DF : 0u) | (h->mf ? FLAG_MF : 0u) | (h->frag_off & FRAG_MASK);
    /* the header's ten words, its checksum 0, added as the numbers that they are */
    uint32_t sum = 0x4500u + h->tos + h->total_len + h->id + frag + ((uint32_t)h->ttl << 8) + h->proto + (h->src >> 16) +
                   (h->src & 0xffffu) + (h->dst >> 16) + (h->dst & 0xffffu);
    sum = (sum & 0xffffu) + (sum >> 16);
    sum += sum >> 16;
    p[0] = 0x45;
    p[1] = h->tos;
    xw_put_be16(p + 2, h->total_len);
    xw_put_be16(p + 4, h->id);
    xw_put_be16(p + 6, (uint16_t)frag);
    p[8] = h->ttl;
    p[9] = h->proto;
    xw_put_be16(p + 10, (uint16_t)~sum);
    xw_put_be32(p + 12, h->src);
    xw_put_be32(p + 16, h->dst);
    return XW_IP4_HDR_MIN;
}
