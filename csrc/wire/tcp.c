/* wire/tcp.c: parse and emit of the TCP header. Urgent pointer and reserved bits are carried, not judged. */
#include "wire/tcp.h"
#include "base/assert.h"
#include "base/limits.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include <string.h>

enum { KIND_END = 0, KIND_NOP = 1, KIND_MSS = 2, KIND_WSCALE = 3, KIND_SACK_OK = 4, KIND_SACK = 5, KIND_TS = 8 };

static void parse_sack(const uint8_t *p, uint8_t len, struct xw_tcp_hdr *h) {
    if (len < 10 || len > 2 + 8 * XW_TCP_SACK_MAX || (len - 2) % 8)
        return;
    h->sack_cnt = (uint8_t)((len - 2) / 8);
    for (unsigned i = 0; i < h->sack_cnt; i++) {
        h->sack[i].lo = xw_seq(xw_get_be32(p + 2 + 8 * i));
        h->sack[i].hi = xw_seq(xw_get_be32(p + 6 + 8 * i));
    }
    h->opts |= XW_TCP_OPT_SACK;
}

/* One option whose length len was checked; an own length other than the RFC's makes it unknown. The first of a kind
 * counts. */
static void parse_option(const uint8_t *p, uint8_t len, struct xw_tcp_hdr *h) {
    switch (p[0]) {
    case KIND_MSS:
        if (len == 4 && !(h->opts & XW_TCP_OPT_MSS)) {
            h->mss = xw_get_be16(p + 2);
            h->opts |= XW_TCP_OPT_MSS;
        }
        break;
    case KIND_WSCALE:
        if (len == 3 && !(h->opts & XW_TCP_OPT_WSCALE)) {
            h->wscale = p[2];
            h->opts |= XW_TCP_OPT_WSCALE;
        }
        break;
    case KIND_SACK_OK:
        if (len == 2)
            h->opts |= XW_TCP_OPT_SACK_OK;
        break;
    case KIND_SACK:
        if (!(h->opts & XW_TCP_OPT_SACK))
            parse_sack(p, len, h);
        break;
    case KIND_TS:
        if (len == 10 && !(h->opts & XW_TCP_OPT_TS)) {
            h->ts_val = xw_get_be32(p + 2);
            h->ts_ecr = xw_get_be32(p + 6);
            h->opts |= XW_TCP_OPT_TS;
        }
        break;
    default:
        break; /* RFC 9293 MUST-6: unknown options are ignored */
    }
}

/* Walks [p, end). A length of 0 or 1, or past the end, is malformed (RFC 9293 MUST-7): it must not loop or read on. */
static enum xw_drop parse_options(const uint8_t *p, const uint8_t *end, struct xw_tcp_hdr *h) {
    while (p < end && *p != KIND_END) {
        if (*p == KIND_NOP) {
            p++;
            continue;
        }
        if (end - p < 2 || p[1] < 2 || p[1] > end - p)
            return XW_DROP_TCP_OPTION;
        parse_option(p, p[1], h);
        p += p[1];
    }
    return XW_DROP_NONE;
}

enum xw_drop xw_tcp_parse(struct xw_span seg, uint32_t src_ip, uint32_t dst_ip, bool verify_csum,
                          struct xw_tcp_hdr *out) {
    if (seg.len < XW_TCP_HDR_MIN || seg.len > UINT16_MAX)
        return XW_DROP_TCP_SHORT;
    const uint8_t *p = seg.p;
    uint8_t hdr_len = (uint8_t)((p[12] >> 4) * 4);
    if (hdr_len < XW_TCP_HDR_MIN || hdr_len > seg.len)
        return XW_DROP_TCP_OFFSET;
    if (verify_csum && xw_csum_fold(xw_csum_add(xw_csum_pseudo(src_ip, dst_ip, 6, (uint32_t)seg.len), p, seg.len)))
        return XW_DROP_TCP_CHECKSUM;
    *out = (struct xw_tcp_hdr){
        .src_port = xw_get_be16(p), .dst_port = xw_get_be16(p + 2), .seq = xw_seq(xw_get_be32(p + 4)),
        .ack = xw_seq(xw_get_be32(p + 8)), .hdr_len = hdr_len, .flags = p[13], .window = xw_get_be16(p + 14),
        .urgent = xw_get_be16(p + 18),
    };
    if (!out->src_port || !out->dst_port)
        return XW_DROP_TCP_PORT;
    return parse_options(p + XW_TCP_HDR_MIN, p + hdr_len, out);
}

uint32_t xw_tcp_opts_len(uint8_t opts, uint8_t sack_cnt) {
    uint32_t n = 0;
    if (opts & XW_TCP_OPT_MSS)
        n += 4;
    if (opts & XW_TCP_OPT_TS)
        n += opts & XW_TCP_OPT_SACK_OK ? 10 : 12; /* SACK-permitted takes the place of the two NOPs */
    if (opts & XW_TCP_OPT_SACK_OK)
        n += opts & XW_TCP_OPT_TS ? 2 : 4;
    if (opts & XW_TCP_OPT_WSCALE)
        n += 4;
    if (opts & XW_TCP_OPT_SACK)
        n += 4 + 8u * sack_cnt;
    return n;
}

uint32_t xw_tcp_hdr_len(const struct xw_tcp_hdr *h) { return XW_TCP_HDR_MIN + xw_tcp_opts_len(h->opts, h->sack_cnt); }

/* Every option is aligned to four octets with NOPs in front of it, so that no padding is needed at the end. */
static uint8_t *emit_options(const struct xw_tcp_hdr *h, uint8_t *p) {
    if (h->opts & XW_TCP_OPT_MSS) {
        *p++ = KIND_MSS, *p++ = 4;
        xw_put_be16(p, h->mss);
        p += 2;
    }
    if (h->opts & XW_TCP_OPT_SACK_OK) {
        if (!(h->opts & XW_TCP_OPT_TS))
            *p++ = KIND_NOP, *p++ = KIND_NOP;
        *p++ = KIND_SACK_OK, *p++ = 2;
    }
    if (h->opts & XW_TCP_OPT_TS) {
        if (!(h->opts & XW_TCP_OPT_SACK_OK))
            *p++ = KIND_NOP, *p++ = KIND_NOP;
        *p++ = KIND_TS, *p++ = 10;
        xw_put_be32(p, h->ts_val);
        xw_put_be32(p + 4, h->ts_ecr);
        p += 8;
    }
    if (h->opts & XW_TCP_OPT_WSCALE)
        *p++ = KIND_NOP, *p++ = KIND_WSCALE, *p++ = 3, *p++ = h->wscale;
    if (h->opts & XW_TCP_OPT_SACK) {
        *p++ = KIND_NOP, *p++ = KIND_NOP, *p++ = KIND_SACK, *p++ = (uint8_t)(2 + 8 * h->sack_cnt);
        for (unsigned i = 0; i < h->sack_cnt; i++, p += 8) {
            xw_put_be32(p, h->sack[i].lo.v);
            xw_put_be32(p + 4, h->sack[i].hi.v);
        }
    }
    return p;
}

uint32_t xw_tcp_emit(const struct xw_tcp_hdr *h, struct xw_mspan out) {
    uint32_t len = xw_tcp_hdr_len(h);
    XW_ASSERT(len <= XW_TCP_HDR_MAX && len <= out.len);
    uint8_t *p = out.p;
    xw_put_be16(p, h->src_port);
    xw_put_be16(p + 2, h->dst_port);
    xw_put_be32(p + 4, h->seq.v);
    xw_put_be32(p + 8, h->ack.v);
    p[12] = (uint8_t)(len / 4 << 4);
    p[13] = h->flags;
    xw_put_be16(p + 14, h->window);
    xw_put_be16(p + 16, 0);
    xw_put_be16(p + 18, h->urgent);
    uint8_t *end = emit_options(h, p + XW_TCP_HDR_MIN);
    XW_ASSERT(end == p + len);
    (void)end;
    return len;
}

void xw_tcp_set_checksum(struct xw_mspan seg, uint32_t src_ip, uint32_t dst_ip) {
    XW_ASSERT(seg.len >= XW_TCP_HDR_MIN);
    xw_put_be16(seg.p + 16, 0);
    uint64_t sum = xw_csum_add(xw_csum_pseudo(src_ip, dst_ip, 6, (uint32_t)seg.len), seg.p, seg.len);
    xw_put_be16(seg.p + 16, xw_csum_fold(sum));
}
