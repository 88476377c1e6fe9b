/* engine/flow.c: see the header. */
#include "engine/flow.h"
#include "base/assert.h"
#include "base/err.h"
#include "base/limits.h"
#include "wire/checksum.h"
#include <stdlib.h>
#include <string.h>

static uint64_t word(const uint8_t *p) {
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

static uint64_t half(const uint8_t *p) {
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

int xw_flows_init(struct xw_flows *f, uint32_t max_conns, uint32_t vlan_cnt) {
    /* From the Ethernet type on; of the flags only DF may differ, and the reserved bit, which nobody judges */
    static const uint8_t ip[24] = { 0xff, 0, 0, 0, 0, 0, 0x3f, 0xff, 0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    uint8_t mask[XW_FLOW_SEEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    uint32_t pairs = 32;
    unsigned bits = 5;
    for (; pairs < 2 * max_conns; bits++)
        pairs *= 2;
    memset(f, 0, sizeof *f);
    f->set = aligned_alloc(64, sizeof *f->set * 2 * pairs);
    if (!f->set)
        return XW_ENOMEM;
    memset(f->set, 0, sizeof *f->set * 2 * pairs);
    f->shift = 64 - bits;
    f->l2_len = 14 + 4 * vlan_cnt;
    memset(mask + 12, 0xff, f->l2_len - 12);
    memcpy(mask + f->l2_len, ip, sizeof ip);
    memcpy(f->mask, mask, sizeof mask);
    return XW_OK;
}

void xw_flows_fini(struct xw_flows *f) {
    free(f->set);
    f->set = NULL;
}

static struct xw_flow *pair_of(const struct xw_flows *f, const uint8_t *frame) {
    const uint8_t *ip = frame + f->l2_len;
    uint64_t key = half(ip + 12) << 32 | half(ip + 20); /* the peer's address, both ports */
    return f->set + 2 * (key * 0x9e3779b97f4a7c15ull >> f->shift);
}

static bool equal(const struct xw_flows *f, const struct xw_flow *e, const uint8_t *frame) {
    uint64_t diff = 0;
    for (unsigned i = 0; i < XW_FLOW_WORDS; i++)
        diff |= (word(frame + 8 * i) & f->mask[i]) ^ e->want[i];
    return !diff;
}

const struct xw_flow *xw_flow_find(struct xw_flows *f, const uint8_t *frame) {
    if (XW_UNLIKELY(!f->set))
        return NULL;
    const struct xw_flow *e = pair_of(f, frame);
    if (XW_LIKELY(equal(f, e, frame)) || equal(f, ++e, frame))
        return e->conn ? e : NULL;
    return NULL;
}

void xw_flow_learn(struct xw_flows *f, struct xw_span frame, void *conn, uint32_t id) {
    if (!f->set || frame.len < XW_FLOW_SEEN || frame.len < f->l2_len + 40u)
        return;
    const uint8_t *ip = frame.p + f->l2_len;
    if (ip[-2] != 0x08 || ip[-1] != 0 || ip[0] != 0x45)
        return;
    struct xw_flow *e = pair_of(f, frame.p);
    if (!equal(f, e, frame.p) && (equal(f, e + 1, frame.p) || (e->conn && e[1].at <= e->at)))
        e++;
    for (unsigned i = 0; i < XW_FLOW_WORDS; i++)
        e->want[i] = word(frame.p + 8 * i) & f->mask[i];
    e->conn = conn;
    e->id = id;
    e->at = ++f->learned;
}

bool xw_flow_segment(const struct xw_flows *f, struct xw_span frame, struct xw_span *seg, uint64_t *pseudo) {
    const uint8_t *ip = frame.p + f->l2_len;
    uint32_t total = (uint32_t)ip[2] << 8 | ip[3], len = total - XW_IP4_HDR_MIN;
    if (total < XW_IP4_HDR_MIN + XW_TCP_HDR_MIN || total > frame.len - f->l2_len)
        return false;
    uint64_t ips = half(ip + 12) + half(ip + 16);
    if (xw_csum_fold(half(ip) + half(ip + 4) + half(ip + 8) + ips))
        return false;
    const uint8_t rest[4] = { 0, 6 /* TCP */, (uint8_t)(len >> 8), (uint8_t)len };
    *pseudo = ips + half(rest);
    *seg = xw_span(ip + XW_IP4_HDR_MIN, len);
    return true;
}
