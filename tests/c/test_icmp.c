/* net/icmp.c: every type and code, the MTU that a message may claim, the store of echo requests. */
#include "net/icmp.h"
#include "xt.h"

#define US 0x0a000002u
#define START (1000 * XW_NS_PER_S)
static const struct xw_icmp4_quote QUOTE = { .src = US, .dst = 0xcb007107, .sport = 49152, .dport = 443, .seq = 0x01020304,
                                             .total_len = 1500, .proto = 6 };

static enum xw_drop classify(uint8_t type, uint8_t code, uint32_t rest, uint16_t quoted_len, struct xw_net_icmp *out) {
    struct xw_icmp4_hdr h = { .type = type, .code = code, .rest = rest };
    struct xw_icmp4_quote q = QUOTE;
    q.total_len = quoted_len;
    return xw_icmp_error(&h, &q, US, 0x0a0000fe, out);
}

XT_TEST(unreachable_codes) {
    static const uint8_t kinds[16] = {
        XW_NET_ICMP_UNREACH_SOFT, XW_NET_ICMP_UNREACH_SOFT, XW_NET_ICMP_UNREACH_HARD, XW_NET_ICMP_UNREACH_HARD,
        XW_NET_ICMP_FRAG_NEEDED, XW_NET_ICMP_UNREACH_SOFT, XW_NET_ICMP_UNREACH_SOFT, XW_NET_ICMP_UNREACH_SOFT,
        XW_NET_ICMP_UNREACH_SOFT, XW_NET_ICMP_PROHIBITED, XW_NET_ICMP_PROHIBITED, XW_NET_ICMP_UNREACH_SOFT,
        XW_NET_ICMP_UNREACH_SOFT, XW_NET_ICMP_PROHIBITED, XW_NET_ICMP_PROHIBITED, XW_NET_ICMP_PROHIBITED,
    };
    for (unsigned code = 0; code < 256; code++) {
        struct xw_net_icmp e;
        enum xw_drop why = classify(3, (uint8_t)code, 1400, 1500, &e);
        XT_EQ(why, code < 16 ? XW_DROP_NONE : XW_DROP_ICMP_TYPE);
        if (code < 16) {
            XT_EQ(e.kind, kinds[code]);
            XT_EQ(e.code, code);
            XT_EQ(e.mtu, code == 4 ? 1400 : 0);
        }
    }
}

XT_TEST(types) {
    for (unsigned type = 0; type < 256; type++) {
        struct xw_net_icmp e;
        bool error = type == 3 || type == 4 || type == 11 || type == 12;
        XT_EQ(xw_icmp_is_error((uint8_t)type), error);
        XT_EQ(classify((uint8_t)type, 0, 0, 1500, &e), error ? XW_DROP_NONE : XW_DROP_ICMP_TYPE);
        if (type == 4)
            XT_EQ(e.kind, XW_NET_ICMP_SOURCE_QUENCH);
        if (type == 11)
            XT_EQ(e.kind, XW_NET_ICMP_TIME_EXCEEDED);
        if (type == 12)
            XT_EQ(e.kind, XW_NET_ICMP_PARAM_PROBLEM);
    }
}

XT_TEST(tuple_as_the_connection_knows_it) {
    struct xw_net_icmp e;
    XT_EQ(classify(3, 1, 0, 1500, &e), XW_DROP_NONE);
    XT_EQ(e.local_ip, US);
    XT_EQ(e.local_port, 49152);
    XT_EQ(e.remote_ip, 0xcb007107);
    XT_EQ(e.remote_port, 443);
    XT_EQ(e.seq, 0x01020304);
    XT_EQ(e.from, 0x0a0000fe);
}

XT_TEST(not_ours) {
    struct xw_icmp4_hdr h = { .type = 3, .code = 1 };
    struct xw_icmp4_quote q = QUOTE;
    struct xw_net_icmp e;
    q.proto = 17;
    XT_EQ(xw_icmp_error(&h, &q, US, 1, &e), XW_DROP_ICMP_QUOTE);
    q = QUOTE;
    q.src = US + 1;
    XT_EQ(xw_icmp_error(&h, &q, US, 1, &e), XW_DROP_ICMP_QUOTE);
}

XT_TEST(mtu_told) {
    static const struct { uint16_t told, quoted, want; } cases[] = {
        { 1400, 1500, 1400 }, { 1499, 1500, 1499 }, { 68, 1500, 68 },
        { 67, 1500, 68 }, { 1, 1500, 68 },      /* never below what every link carries */
        { 1500, 1500, 0 }, { 9000, 1500, 0 },   /* it would have fitted: not true */
        { 1400, 60, 0 }, { 30, 68, 0 },
        { 0, 1500, 1492 }, { 0, 1492, 1006 }, { 0, 9000, 8166 }, { 0, 69, 68 }, { 0, 65535, 32000 }, /* old routers */
        { 0, 68, 0 }, { 0, 28, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct xw_net_icmp e;
        enum xw_drop why = classify(3, 4, 0xabcd0000u | cases[i].told, cases[i].quoted, &e);
        XT_EQ(why, cases[i].want ? XW_DROP_NONE : XW_DROP_ICMP_QUOTE);
        if (cases[i].want)
            XT_EQ(e.mtu, cases[i].want);
    }
}

static struct xw_echoes echoes;

XT_TEST(echo_slots) {
    memset(&echoes, 0, sizeof echoes);
    echoes.refill_ns = 0;
    uint64_t now = START;
    for (uint32_t i = 0; i < XW_ECHO_MAX; i++)
        XT_EQ(xw_echoes_put(&echoes, 7, 0, i, xw_span("abc", 3), now + i), XW_DROP_NONE);
    XT_EQ(xw_echoes_put(&echoes, 7, 0, 99, xw_span("abc", 3), now), XW_DROP_ICMP_RATE);
    XT_EQ(xw_echoes_deadline(&echoes), now + 3 * XW_NS_PER_S);
    xw_echoes_drop(&echoes, &echoes.e[1]);
    XT_EQ(xw_echoes_put(&echoes, 8, 0, 5, xw_span("defg", 4), now + 10), XW_DROP_NONE);
    XT_EQ(echoes.e[1].dst, 8);
    XT_EQ(echoes.e[1].len, 4);
    XT_MEM(echoes.e[1].data, "defg", 4);
    XT_EQ(xw_echoes_expire(&echoes, now + 3 * XW_NS_PER_S), 1);
    XT_EQ(xw_echoes_expire(&echoes, now + 4 * XW_NS_PER_S), 3);
    XT_EQ(echoes.cnt, 0);
    XT_EQ(xw_echoes_deadline(&echoes), XW_NEVER);
}

XT_TEST(echo_rate) {
    memset(&echoes, 0, sizeof echoes);
    uint64_t now = START;
    unsigned taken = 0;
    for (unsigned i = 0; i < 10000; i++) { /* one every 0.1 ms, for a second */
        if (xw_echoes_put(&echoes, 7, 0, i, xw_span("", 0), now) == XW_DROP_NONE) {
            xw_echoes_drop(&echoes, &echoes.e[0]);
            taken++;
        }
        now += 100 * XW_NS_PER_US;
    }
    XT_TRUE(taken >= 245 && taken <= 251); /* a burst of 50, then 200 a second */
}

XT_TEST(echo_too_long_for_any_link) {
    static uint8_t data[XW_MTU_MAX];
    memset(&echoes, 0, sizeof echoes);
    XT_EQ(xw_echoes_put(&echoes, 7, 0, 0, xw_span(data, XW_MTU_MAX - 28), START), XW_DROP_NONE);
    XT_EQ(xw_echoes_put(&echoes, 7, 0, 0, xw_span(data, XW_MTU_MAX - 27), START), XW_DROP_ICMP_RATE);
}

XT_MAIN(XT_RUN(unreachable_codes), XT_RUN(types), XT_RUN(tuple_as_the_connection_knows_it), XT_RUN(not_ours),
        XT_RUN(mtu_told), XT_RUN(echo_slots), XT_RUN(echo_rate), XT_RUN(echo_too_long_for_any_link))
