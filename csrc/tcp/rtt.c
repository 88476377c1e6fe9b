/* tcp/rtt.c: round-trip time and retransmission timeout (RFC 6298), in ns. */
#include "tcp/tcp_priv.h"

static uint64_t clamp(uint64_t v, uint64_t lo, uint64_t hi) { return v < lo ? lo : v > hi ? hi : v; }

void xw_tcp_rtt_init(struct xw_tcp *c) {
    c->srtt_ns = c->rttvar_ns = 0;
    c->min_rtt_ns = UINT64_MAX;
    c->rto_ns = c->opts.rto_initial_ns;
    c->backoff = 0;
}

/* Clock granularity G of RFC 6298 2: the clock is ns, the caller's polling is not; 1 µs keeps RTO above SRTT. */
#define GRANULARITY_NS XW_NS_PER_US

void xw_tcp_rto_update(struct xw_tcp *c) {
    uint64_t var = 4 * c->rttvar_ns;
    uint64_t rto = c->srtt_ns + (var > GRANULARITY_NS ? var : GRANULARITY_NS);
    c->rto_ns = clamp(rto, c->opts.rto_min_ns, c->opts.rto_max_ns);
}

void xw_tcp_rtt_sample(struct xw_tcp *c, uint64_t rtt_ns) {
    if (!rtt_ns)
        rtt_ns = 1;
    if (!c->srtt_ns) { /* 2.2 */
        c->srtt_ns = rtt_ns;
        c->rttvar_ns = rtt_ns / 2;
    } else { /* 2.3 */
        uint64_t err = rtt_ns > c->srtt_ns ? rtt_ns - c->srtt_ns : c->srtt_ns - rtt_ns;
        c->rttvar_ns = c->rttvar_ns - c->rttvar_ns / 4 + err / 4;
        c->srtt_ns = c->srtt_ns - c->srtt_ns / 8 + rtt_ns / 8;
    }
    if (rtt_ns < c->min_rtt_ns)
        c->min_rtt_ns = rtt_ns;
    xw_tcp_rto_update(c);
    c->backoff = 0; /* Karn: a back-off lasts until the next valid sample */
}

uint64_t xw_tcp_rto(const struct xw_tcp *c) {
    uint64_t rto = c->rto_ns;
    for (uint32_t i = 0; i < c->backoff && rto < c->opts.rto_max_ns; i++)
        rto *= 2;
    return rto < c->opts.rto_max_ns ? rto : c->opts.rto_max_ns;
}

/* RFC 7323 5.4: a clock of 1 ms, at an offset of the 4-tuple's own. */
uint32_t xw_tcp_ts_now(const struct xw_tcp *c, uint64_t now) { return (uint32_t)(now / XW_NS_PER_MS) + c->ts_off; }
