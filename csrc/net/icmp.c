/* net/icmp.c: see icmp.h. */
#include "net/icmp.h"
#include <string.h>

/* Replies: enough for a flood ping to be seen as one, far below what would take time from the feed. */
#define ECHO_RATE 200u
#define ECHO_BURST 50u
#define ECHO_TOKEN_NS (XW_NS_PER_S / ECHO_RATE)
/* An answer that is later than three ARP requests is of no use to whoever asked. */
#define ECHO_LIFE_NS (3u * XW_NS_PER_S)

/* RFC 1191 7.1: what paths are made of, for routers that do not tell the MTU. */
static uint16_t plateau_below(uint32_t len) {
    static const uint16_t plateaus[] = { 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68 };
    for (unsigned i = 0; i < sizeof plateaus / sizeof *plateaus; i++)
        if (plateaus[i] < len)
            return plateaus[i];
    return XW_MTU_MIN;
}

/* RFC 1122 3.2.2.1 and 4.2.3.9, RFC 1812 5.2.7.1; 0: an unknown code. */
static int unreach_kind(uint8_t code) {
    static const uint8_t kinds[] = {
        [XW_ICMP4_UR_NET] = XW_NET_ICMP_UNREACH_SOFT, [XW_ICMP4_UR_HOST] = XW_NET_ICMP_UNREACH_SOFT,
        [XW_ICMP4_UR_PROTO] = XW_NET_ICMP_UNREACH_HARD, [XW_ICMP4_UR_PORT] = XW_NET_ICMP_UNREACH_HARD,
        [XW_ICMP4_UR_FRAG] = XW_NET_ICMP_FRAG_NEEDED, [XW_ICMP4_UR_SRCROUTE] = XW_NET_ICMP_UNREACH_SOFT,
        [XW_ICMP4_UR_NET_UNKNOWN] = XW_NET_ICMP_UNREACH_SOFT, [XW_ICMP4_UR_HOST_UNKNOWN] = XW_NET_ICMP_UNREACH_SOFT,
        [XW_ICMP4_UR_ISOLATED] = XW_NET_ICMP_UNREACH_SOFT, [XW_ICMP4_UR_NET_PROHIB] = XW_NET_ICMP_PROHIBITED,
        [XW_ICMP4_UR_HOST_PROHIB] = XW_NET_ICMP_PROHIBITED, [XW_ICMP4_UR_NET_TOS] = XW_NET_ICMP_UNREACH_SOFT,
        [XW_ICMP4_UR_HOST_TOS] = XW_NET_ICMP_UNREACH_SOFT, [XW_ICMP4_UR_ADMIN] = XW_NET_ICMP_PROHIBITED,
        [XW_ICMP4_UR_PRECEDENCE] = XW_NET_ICMP_PROHIBITED, [XW_ICMP4_UR_CUTOFF] = XW_NET_ICMP_PROHIBITED,
    };
    return code < sizeof kinds ? kinds[code] : 0;
}

static int kind_of(const struct xw_icmp4_hdr *h) {
    switch (h->type) {
    case XW_ICMP4_UNREACH:
        return unreach_kind(h->code);
    case XW_ICMP4_SOURCE_QUENCH:
        return XW_NET_ICMP_SOURCE_QUENCH;
    case XW_ICMP4_TIME_EXCEEDED:
        return XW_NET_ICMP_TIME_EXCEEDED;
    case XW_ICMP4_PARAM_PROBLEM:
        return XW_NET_ICMP_PARAM_PROBLEM;
    default: /* the type is a byte from the wire */
        return 0;
    }
}

bool xw_icmp_is_error(uint8_t type) {
    return type == XW_ICMP4_UNREACH || type == XW_ICMP4_SOURCE_QUENCH || type == XW_ICMP4_TIME_EXCEEDED ||
           type == XW_ICMP4_PARAM_PROBLEM;
}

/* The MTU to use, 0 when the message cannot be true: the quoted packet would have fitted. */
static uint16_t frag_mtu(const struct xw_icmp4_hdr *h, const struct xw_icmp4_quote *q) {
    uint16_t mtu = xw_icmp4_mtu(h);
    if (mtu == 0)
        mtu = plateau_below(q->total_len);
    if (mtu < XW_MTU_MIN)
        mtu = XW_MTU_MIN; /* RFC 1191 3 */
    return mtu < q->total_len ? mtu : 0;
}

enum xw_drop xw_icmp_error(const struct xw_icmp4_hdr *h, const struct xw_icmp4_quote *q, uint32_t ip, uint32_t from,
                           struct xw_net_icmp *out) {
    int kind = kind_of(h);
    if (kind == 0)
        return XW_DROP_ICMP_TYPE;
    if (q->proto != XW_IP4_PROTO_TCP || q->src != ip)
        return XW_DROP_ICMP_QUOTE;
    *out = (struct xw_net_icmp){
        .kind = (enum xw_net_icmp_kind)kind, .type = h->type, .code = h->code, .from = from, .local_ip = q->src,
        .remote_ip = q->dst, .local_port = q->sport, .remote_port = q->dport, .seq = q->seq,
    };
    if (kind != XW_NET_ICMP_FRAG_NEEDED)
        return XW_DROP_NONE;
    out->mtu = frag_mtu(h, q);
    return out->mtu ? XW_DROP_NONE : XW_DROP_ICMP_QUOTE;
}

static bool take_token(struct xw_echoes *t, uint64_t now_ns) {
    uint64_t gained = (now_ns - t->refill_ns) / ECHO_TOKEN_NS;
    if (gained >= ECHO_BURST - t->tokens) {
        t->tokens = ECHO_BURST;
        t->refill_ns = now_ns;
    } else {
        t->tokens += (uint32_t)gained;
        t->refill_ns += gained * ECHO_TOKEN_NS;
    }
    if (t->tokens == 0)
        return false;
    t->tokens--;
    return true;
}

enum xw_drop xw_echoes_put(struct xw_echoes *t, uint32_t src, uint8_t tos, uint32_t rest, struct xw_span data,
                           uint64_t now_ns) {
    if (t->cnt == XW_ECHO_MAX || data.len > sizeof t->e[0].data || !take_token(t, now_ns))
        return XW_DROP_ICMP_RATE;
    struct xw_echo *e = t->e;
    while (e->used)
        e++;
    e->dst = src;
    e->rest = rest;
    e->tos = tos;
    e->end_ns = now_ns + ECHO_LIFE_NS;
    e->len = (uint16_t)data.len;
    e->used = true;
    e->waiting = false;
    memcpy(e->data, data.p, data.len);
    t->cnt++;
    return XW_DROP_NONE;
}

void xw_echoes_drop(struct xw_echoes *t, struct xw_echo *e) {
    e->used = false;
    t->cnt--;
}

uint32_t xw_echoes_expire(struct xw_echoes *t, uint64_t now_ns) {
    uint32_t had = t->cnt;
    for (unsigned i = 0; i < XW_ECHO_MAX; i++)
        if (t->e[i].used && now_ns >= t->e[i].end_ns)
            xw_echoes_drop(t, &t->e[i]);
    return had - t->cnt;
}

uint64_t xw_echoes_deadline(const struct xw_echoes *t) {
    uint64_t first = XW_NEVER;
    for (unsigned i = 0; i < XW_ECHO_MAX; i++)
        if (t->e[i].used && t->e[i].end_ns < first)
            first = t->e[i].end_ns;
    return first;
}
