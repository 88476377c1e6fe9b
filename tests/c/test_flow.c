#include "engine/flow.h"
#include "base/err.h"
#include "wire/checksum.h"
#include "wire/ip4.h"
#include "xt.h"

static int conn_a, conn_b;

/* A frame as the wire has it: addresses 10.0.0.1 → 10.0.0.2, `port` → 40000, 10 bytes of TCP payload. */
static struct xw_span frame(uint8_t f[128], unsigned tags, uint16_t port) {
    uint8_t *p = f + 12;
    memset(f, 0, 128);
    memcpy(f, "\2\0\0\0\0\2\2\0\0\0\0\1", 12);
    for (unsigned i = 0; i < tags; i++, p += 4)
        memcpy(p, "\x81\x00\x00\x07", 4);
    *p++ = 8, *p++ = 0;
    struct xw_ip4_hdr h = { .src = 0x0a000001, .dst = 0x0a000002, .total_len = 50, .hdr_len = 20, .ttl = 64, .proto = 6,
                            .df = true };
    XT_EQ(xw_ip4_emit(xw_mspan(p, 20), &h), 20);
    p[20] = (uint8_t)(port >> 8), p[21] = (uint8_t)port;
    p[22] = 40000 >> 8, p[23] = 40000 & 0xff;
    return xw_span(f, 14 + 4 * tags + 50);
}

static const struct xw_flow *find(struct xw_flows *f, struct xw_span s) { return xw_flow_find(f, s.p); }

XT_TEST(a_frame_like_the_learned_one_is_found) {
    struct xw_flows f;
    uint8_t a[128], b[128];
    for (unsigned tags = 0; tags <= 2; tags++) {
        XT_EQ(xw_flows_init(&f, 4, tags), XW_OK);
        struct xw_span s = frame(a, tags, 443);
        XT_TRUE(!find(&f, s));
        xw_flow_learn(&f, s, &conn_a, 5);
        XT_TRUE(find(&f, s) && find(&f, s)->conn == &conn_a && find(&f, s)->id == 5);
        XT_TRUE(!find(&f, frame(b, tags, 444)));
        xw_flows_fini(&f);
    }
}

/* Every single byte: what may differ does not matter, what may not makes it another flow. */
XT_TEST(only_source_mac_and_fields_judged_elsewhere_may_differ) {
    struct xw_flows f;
    uint8_t a[128];
    XT_EQ(xw_flows_init(&f, 4, 0), XW_OK);
    struct xw_span s = frame(a, 0, 443);
    xw_flow_learn(&f, s, &conn_a, 5);
    for (unsigned i = 0; i < 64; i++) {
        bool free = (i >= 6 && i < 12) || i == 15 || (i >= 16 && i < 20) || i == 22 || i == 24 || i == 25 || i >= 38;
        a[i] ^= 1;
        XT_EQ(find(&f, s) != NULL, free);
        a[i] ^= 1;
    }
    a[20] ^= 0x40; /* DF may come and go; MF and an offset make a fragment */
    XT_TRUE(find(&f, s));
    a[20] ^= 0x20;
    XT_TRUE(!find(&f, s));
    xw_flows_fini(&f);
}

XT_TEST(frames_of_another_kind_are_not_learned) {
    struct xw_flows f;
    uint8_t a[128];
    XT_EQ(xw_flows_init(&f, 4, 0), XW_OK);
    struct xw_span s = frame(a, 1, 443); /* a tag that the engine does not send */
    xw_flow_learn(&f, s, &conn_a, 5);
    XT_TRUE(!find(&f, s));
    s = frame(a, 0, 443);
    a[14] = 0x46; /* IP options */
    xw_flow_learn(&f, s, &conn_a, 5);
    XT_TRUE(!find(&f, s));
    xw_flow_learn(&f, xw_span(a, 40), &conn_a, 5);
    XT_TRUE(!find(&f, s));
    xw_flows_fini(&f);
    struct xw_flows none = { 0 };
    xw_flow_learn(&none, s, &conn_a, 5);
    XT_TRUE(!find(&none, s));
}

XT_TEST(a_flow_that_is_learned_anew_has_its_new_connection) {
    struct xw_flows f;
    uint8_t a[128];
    XT_EQ(xw_flows_init(&f, 4, 0), XW_OK);
    struct xw_span s = frame(a, 0, 443);
    xw_flow_learn(&f, s, &conn_a, 5);
    xw_flow_learn(&f, s, &conn_b, 6);
    XT_TRUE(find(&f, s)->conn == &conn_b && find(&f, s)->id == 6);
    xw_flows_fini(&f);
}

/* 64 pairs for 16 connections: of so many flows nearly all have a place, and what is found is always the right one. */
XT_TEST(many_flows_keep_apart) {
    struct xw_flows f;
    uint8_t a[128];
    static int conns[256];
    unsigned found = 0;
    XT_EQ(xw_flows_init(&f, 256, 0), XW_OK);
    for (uint16_t i = 0; i < 256; i++)
        xw_flow_learn(&f, frame(a, 0, (uint16_t)(1000 + i)), &conns[i], i);
    for (uint16_t i = 0; i < 256; i++) {
        const struct xw_flow *e = find(&f, frame(a, 0, (uint16_t)(1000 + i)));
        found += e != NULL;
        XT_TRUE(!e || (e->conn == &conns[i] && e->id == i));
    }
    XT_TRUE(found >= 250);
    xw_flows_fini(&f);
}

XT_TEST(lengths_and_the_ip_checksum_are_judged) {
    struct xw_flows f;
    struct xw_span seg;
    uint64_t pseudo;
    uint8_t a[128];
    XT_EQ(xw_flows_init(&f, 4, 0), XW_OK);
    struct xw_span s = frame(a, 0, 443);
    XT_TRUE(xw_flow_segment(&f, s, &seg, &pseudo));
    XT_EQ(seg.len, 30);
    XT_TRUE(seg.p == a + 34);
    XT_EQ(xw_csum_fold(pseudo), xw_csum_fold(xw_csum_pseudo(0x0a000001, 0x0a000002, 6, 30)));
    XT_TRUE(xw_flow_segment(&f, xw_span(a, s.len + 20), &seg, &pseudo)); /* Ethernet padding */
    XT_EQ(seg.len, 30);
    XT_TRUE(!xw_flow_segment(&f, xw_span(a, s.len - 1), &seg, &pseudo));
    for (unsigned i = 14; i < 34; i++) {
        a[i] ^= 4;
        XT_TRUE(!xw_flow_segment(&f, s, &seg, &pseudo));
        a[i] ^= 4;
    }
    a[16] = 0, a[17] = 39; /* no room for a TCP header */
    XT_TRUE(!xw_flow_segment(&f, s, &seg, &pseudo));
    xw_flows_fini(&f);
}

XT_MAIN(XT_RUN(a_frame_like_the_learned_one_is_found), XT_RUN(only_source_mac_and_fields_judged_elsewhere_may_differ),
        XT_RUN(frames_of_another_kind_are_not_learned), XT_RUN(a_flow_that_is_learned_anew_has_its_new_connection),
        XT_RUN(many_flows_keep_apart), XT_RUN(lengths_and_the_ip_checksum_are_judged))
