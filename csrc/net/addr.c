/* net/addr.c: see addr.h. Constants of RFC 5227 1.1. */
#include "net/addr.h"
#include "base/assert.h"

#define PROBE_WAIT_NS (1u * XW_NS_PER_S)
#define PROBE_NUM 3u
#define PROBE_MIN_NS (1u * XW_NS_PER_S)
#define PROBE_MAX_NS (2u * XW_NS_PER_S)
#define ANNOUNCE_WAIT_NS (2u * XW_NS_PER_S)
#define ANNOUNCE_NUM 2u
#define ANNOUNCE_INTERVAL_NS (2u * XW_NS_PER_S)
#define DEFEND_INTERVAL_NS (10u * XW_NS_PER_S)
#define RATE_LIMIT_INTERVAL_NS (60u * XW_NS_PER_S)
/* Not of the RFC: a host on the same link answers within milliseconds; the long waits are for slow switch ports. */
#define FAST_NS (200u * XW_NS_PER_MS)

static uint64_t between(struct xw_rng *rng, uint64_t min_ns, uint64_t max_ns) {
    return min_ns + (uint64_t)xw_rng_below(rng, (uint32_t)((max_ns - min_ns) / XW_NS_PER_US)) * XW_NS_PER_US;
}

static void enter_ok(struct xw_claim *c) {
    c->state = XW_NET_ADDR_OK;
    c->sent = 0;
    c->due = true;
    c->timer_ns = XW_NEVER;
}

void xw_claim_start(struct xw_claim *c, enum xw_net_claim how, struct xw_rng *rng, uint64_t now_ns) {
    *c = (struct xw_claim){ .state = XW_NET_ADDR_PROBING, .how = how, .timer_ns = now_ns };
    if (how == XW_NET_CLAIM_NONE)
        enter_ok(c);
    else if (how == XW_NET_CLAIM_RFC)
        c->timer_ns = now_ns + between(rng, 0, PROBE_WAIT_NS);
    else
        c->due = true;
    if (c->due)
        c->timer_ns = XW_NEVER;
}

void xw_claim_conflict(struct xw_claim *c, uint64_t now_ns) {
    switch (c->state) {
    case XW_NET_ADDR_IDLE:
    case XW_NET_ADDR_CONFLICT:
        break;
    case XW_NET_ADDR_PROBING:
        c->state = XW_NET_ADDR_CONFLICT;
        c->due = false;
        c->timer_ns = now_ns + RATE_LIMIT_INTERVAL_NS;
        break;
    case XW_NET_ADDR_OK:
        if (c->defended && now_ns - c->defended_ns < DEFEND_INTERVAL_NS)
            break; /* two hosts that both defended at once would go on for ever */
        c->defended = true;
        c->defended_ns = now_ns;
        c->due = true;
        break;
    }
}

enum xw_claim_send xw_claim_output(struct xw_claim *c, struct xw_rng *rng, uint64_t now_ns) {
    if (!c->due)
        return XW_CLAIM_SEND_NONE;
    c->due = false;
    c->sent++;
    if (c->state == XW_NET_ADDR_OK) {
        c->timer_ns = c->sent < ANNOUNCE_NUM ? now_ns + ANNOUNCE_INTERVAL_NS : XW_NEVER;
        return XW_CLAIM_SEND_ANNOUNCE;
    }
    XW_ASSERT(c->state == XW_NET_ADDR_PROBING);
    uint64_t wait_ns = c->sent < PROBE_NUM ? between(rng, PROBE_MIN_NS, PROBE_MAX_NS) : ANNOUNCE_WAIT_NS;
    c->timer_ns = now_ns + (c->how == XW_NET_CLAIM_FAST ? FAST_NS : wait_ns);
    return XW_CLAIM_SEND_PROBE;
}

void xw_claim_tick(struct xw_claim *c, struct xw_rng *rng, uint64_t now_ns) {
    if (now_ns < c->timer_ns)
        return;
    c->timer_ns = XW_NEVER;
    switch (c->state) {
    case XW_NET_ADDR_IDLE:
        break;
    case XW_NET_ADDR_CONFLICT:
        xw_claim_start(c, c->how, rng, now_ns);
        break;
    case XW_NET_ADDR_PROBING:
        if (c->sent < PROBE_NUM)
            c->due = true;
        else
            enter_ok(c);
        break;
    case XW_NET_ADDR_OK:
        c->due = true;
        break;
    }
}
