/* The wire parsers, from the Ethernet header inwards: any bytes end in a documented verdict, lengths that a parser reports
 * lie within what it was given, and what emit writes from a parsed header parses to the same header. First byte: where to
 * begin and whether checksums are verified. */
#include "base/assert.h"
#include "wire/arp.h"
#include "wire/eth.h"
#include "wire/icmp4.h"
#include "wire/ip4.h"
#include "wire/tcp.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool verdict(enum xw_drop d) {
    XW_ASSERT(d >= XW_DROP_NONE && d < XW_DROP_COUNT);
    return d == XW_DROP_NONE;
}

static void tcp(struct xw_span seg, uint32_t src, uint32_t dst, bool verify) {
    struct xw_tcp_hdr h, again;
    uint8_t out[XW_TCP_HDR_MAX + 20];
    if (!verdict(xw_tcp_parse(seg, src, dst, verify, &h)))
        return;
    XW_ASSERT(h.hdr_len >= 20 && h.hdr_len <= 60 && h.hdr_len <= seg.len && h.sack_cnt <= XW_TCP_SACK_MAX);
    XW_ASSERT(!(h.opts & XW_TCP_OPT_SACK) == !h.sack_cnt && h.src_port && h.dst_port);
    if (xw_tcp_hdr_len(&h) > 60)
        return; /* options that can stand in one header unpadded do not all fit padded */
    memset(out, 0xa5, sizeof out);
    uint32_t n = xw_tcp_emit(&h, xw_mspan(out, 60));
    XW_ASSERT(n == xw_tcp_hdr_len(&h) && out[n] == 0xa5);
    xw_tcp_set_checksum(xw_mspan(out, n), src, dst);
    XW_ASSERT(xw_tcp_parse(xw_span(out, n), src, dst, true, &again) == XW_DROP_NONE);
    again.hdr_len = h.hdr_len;
    XW_ASSERT(again.seq.v == h.seq.v && again.ack.v == h.ack.v && again.flags == h.flags && again.opts == h.opts);
    XW_ASSERT(again.mss == h.mss && again.wscale == h.wscale && again.ts_val == h.ts_val && again.ts_ecr == h.ts_ecr);
    XW_ASSERT(again.window == h.window && again.sack_cnt == h.sack_cnt && !memcmp(again.sack, h.sack, 8u * h.sack_cnt));
}

static void icmp(struct xw_span msg, bool verify) {
    struct xw_icmp4_hdr h;
    struct xw_icmp4_quote q;
    if (!verdict(xw_icmp4_parse(msg, verify, &h)))
        return;
    XW_ASSERT(msg.len >= XW_ICMP4_LEN);
    verdict(xw_icmp4_quote_parse(xw_span_from(msg, XW_ICMP4_LEN), &q));
}

static void ip4(struct xw_span pkt, bool verify) {
    struct xw_ip4_hdr h, again;
    uint8_t out[20];
    if (!verdict(xw_ip4_parse(pkt, verify, &h)))
        return;
    XW_ASSERT(h.hdr_len >= 20 && h.hdr_len <= h.total_len && h.total_len <= pkt.len);
    struct xw_span body = xw_ip4_payload(pkt, &h);
    XW_ASSERT(body.p >= pkt.p && body.p + body.len <= pkt.p + pkt.len);
    if (h.hdr_len == 20 && xw_ip4_emit(xw_mspan(out, sizeof out), &h)) {
        struct xw_span whole = pkt;
        uint8_t copy[65536];
        memcpy(copy, out, 20);
        memcpy(copy + 20, whole.p + 20, h.total_len - 20u);
        XW_ASSERT(xw_ip4_parse(xw_span(copy, h.total_len), true, &again) == XW_DROP_NONE);
        XW_ASSERT(again.src == h.src && again.dst == h.dst && again.frag_off == h.frag_off && again.df == h.df &&
                  again.mf == h.mf && again.proto == h.proto && again.ttl == h.ttl && again.id == h.id);
    }
    if (h.proto == XW_IP4_PROTO_TCP)
        tcp(body, h.src, h.dst, verify);
    else if (h.proto == XW_IP4_PROTO_ICMP)
        icmp(body, verify);
}

static void arp(struct xw_span pkt) {
    struct xw_arp_hdr h, again;
    uint8_t out[XW_ARP_LEN];
    if (!verdict(xw_arp_parse(pkt, &h)))
        return;
    XW_ASSERT(xw_arp_emit(xw_mspan(out, sizeof out), &h) == XW_ARP_LEN);
    XW_ASSERT(xw_arp_parse(xw_span(out, sizeof out), &again) == XW_DROP_NONE);
    XW_ASSERT(again.op == h.op && again.spa == h.spa && again.tpa == h.tpa && !memcmp(again.sha, h.sha, 6));
}

static void eth(struct xw_span frame, bool verify) {
    struct xw_eth_hdr h;
    uint8_t out[XW_ETH_HDR_MAX];
    if (!verdict(xw_eth_parse(frame, &h)))
        return;
    size_t n = xw_eth_hdr_len(&h);
    XW_ASSERT(n <= frame.len && n <= XW_ETH_HDR_MAX);
    XW_ASSERT(xw_eth_emit(xw_mspan(out, sizeof out), &h) == n && !memcmp(out, frame.p, n));
    if (h.type == XW_ETH_TYPE_IP4)
        ip4(xw_span_from(frame, n), verify);
    else if (h.type == XW_ETH_TYPE_ARP)
        arp(xw_span_from(frame, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    struct xw_span in = xw_span(data + 1, size - 1);
    bool verify = data[0] & 8;
    switch (data[0] & 7) {
    case 1: ip4(in, verify); break;
    case 2: tcp(in, 0x0a000001, 0x0a000002, verify); break;
    case 3: icmp(in, verify); break;
    case 4: arp(in); break;
    default: eth(in, verify); break;
    }
    return 0;
}
