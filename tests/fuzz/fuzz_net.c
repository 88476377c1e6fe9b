/* The network layer with an address of its own: frames of any content (IP and ICMP checksums made right by request), time,
 * and packets of ours. Asserted: documented verdicts, no deadline in the past, what is sent in answer is bounded and
 * well-formed, and neighbours stay within their table. An operation: kind, length, octets. */
#include "net/net.h"
#include "base/assert.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/eth.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define US 0x0a000002u
static const uint8_t MAC[6] = { 2, 0, 0, 0, 0, 2 };

struct run { struct xw_net *n; uint64_t now; uint64_t drops[XW_DROP_COUNT]; };

static void drain(struct run *r) {
    uint8_t out[1600];
    struct xw_eth_hdr h;
    unsigned cnt = 0;
    size_t n;
    while ((n = xw_net_output(r->n, xw_mspan(out, sizeof out), r->now))) {
        XW_ASSERT(++cnt <= 200 && n >= 60 && n <= 1522);
        XW_ASSERT(xw_eth_parse(xw_span(out, n), &h) == XW_DROP_NONE && !memcmp(h.src, MAC, 6));
    }
}

/* A frame to us, with headers that let the rest through, as how says. */
static size_t frame(uint8_t *f, const uint8_t *in, size_t len, uint8_t how) {
    size_t n = 0;
    if (how & 1) {
        memcpy(f, MAC, 6);
        memcpy(f + 6, "\2\0\0\0\0\1", 6);
        xw_put_be16(f + 12, how & 2 ? 0x0806 : 0x0800);
        n = 14;
    }
    memcpy(f + n, in, len);
    if ((how & 4) && n && len >= 28 && (in[0] & 15) == 5) {
        uint8_t *ip = f + n;
        ip[0] = 0x45;
        xw_put_be16(ip + 2, (uint16_t)len);
        xw_put_be32(ip + 16, US);
        xw_put_be16(ip + 10, 0);
        xw_put_be16(ip + 10, xw_csum_fold(xw_csum_add(0, ip, 20)));
        if (ip[9] == 1) {
            xw_put_be16(ip + 22, 0);
            xw_put_be16(ip + 22, xw_csum_fold(xw_csum_add(0, ip + 20, len - 20)));
        }
    }
    return n + len;
}

static void receive(struct run *r, const uint8_t *in, size_t len, uint8_t how) {
    uint8_t *f = malloc(len + 14 + 1); /* its own block: a read behind it is seen */
    struct xw_net_rx rx;
    size_t n = frame(f, in, len, how);
    enum xw_net_verdict v = xw_net_input(r->n, xw_span(f, n), true, r->now, &rx);
    XW_ASSERT(v >= XW_NET_DROPPED && v <= XW_NET_ICMP_ERROR);
    XW_ASSERT(v != XW_NET_DROPPED || (rx.drop > XW_DROP_NONE && rx.drop < XW_DROP_COUNT));
    if (v == XW_NET_TCP)
        XW_ASSERT(rx.tcp.dst == US && rx.tcp.src != US && rx.tcp.seg.p + rx.tcp.seg.len <= f + n);
    if (v == XW_NET_ICMP_ERROR)
        XW_ASSERT(rx.icmp.local_ip == US && (rx.icmp.kind != XW_NET_ICMP_FRAG_NEEDED || rx.icmp.mtu >= XW_MTU_MIN));
    free(f);
}

static void send(struct run *r, uint32_t dst) {
    uint8_t out[1600];
    struct xw_net_hop hop = { 0 };
    struct xw_net_ip ip = { .proto = 6, .ttl = 64, .df = true };
    int rc = xw_net_route(r->n, dst, &hop);
    XW_ASSERT(rc == 0 || rc == 1 || rc == XW_EUNREACH);
    if (rc < 0)
        return;
    rc = xw_net_eth_ip(r->n, &hop, xw_mspan(out, sizeof out), 40, &ip, r->now);
    XW_ASSERT(rc == 34 || rc == XW_EAGAIN || rc == XW_EUNREACH || rc == XW_EADDRINUSE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct run r;
    static const uint8_t seed[32] = { 1 };
    struct xw_rng rng;
    struct xw_net_cfg cfg = { .dedicated = 1, .ip = US, .mask = 0xffffff00u, .mtu = 1500 };
    if (size < 2)
        return 0;
    memset(&r, 0, sizeof r);
    memcpy(cfg.mac, MAC, 6);
    xw_rng_init(&rng, seed);
    r.now = 1000 * XW_NS_PER_S;
    void *mem = malloc(xw_net_size());
    XW_ASSERT(!xw_net_init(mem, &cfg, &rng, r.drops, &r.n) && !xw_net_route_add(r.n, 0, 0, 0x0a000001u, 0));
    xw_net_start(r.n, (enum xw_net_claim)(data[0] % 3), r.now);
    for (size_t i = 1; i + 2 <= size;) {
        uint8_t op = data[i], len = data[i + 1];
        size_t have = size - i - 2 < len ? size - i - 2 : len;
        switch (op & 3) {
        case 0: r.now += (uint64_t)len * len * len * 1000u; break;
        case 1: send(&r, op & 4 ? 0x0a000000u + len : (uint32_t)len << 24 | op); break;
        default: receive(&r, data + i + 2, have, op >> 2); i += have; break;
        }
        i += 2;
        xw_net_tick(r.n, r.now);
        drain(&r);
        XW_ASSERT(xw_net_deadline(r.n) > r.now);
    }
    free(mem);
    return 0;
}
