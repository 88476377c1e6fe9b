/* tcp/congestion.c: the congestion window. NewReno (RFC 5681 with octets counted, 6928), CUBIC (cubic.c), and none, for
 * those whose sending is bounded by what they have to say: the peer's window and the records in flight are the limit. */
#include "tcp/tcp_priv.h"

static uint32_t add(uint32_t a, uint32_t b) { return a > XW_TCP_CWND_MAX - b ? XW_TCP_CWND_MAX : a + b; }

void xw_tcp_cc_init(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t init_segs) {
    uint32_t w = init_segs * mss; /* RFC 6928: 10 segments, at most 14600 octets or two segments */
    uint32_t max = 14600u > 2 * mss ? 14600u : 2 * mss;
    cc->cwnd = init_segs <= 10 && w > max ? max : w;
    cc->ssthresh = UINT32_MAX;
    cc->acked = 0;
    cc->cubic = (struct xw_tcp_cubic){ 0 };
}

uint32_t xw_tcp_cc_slow_start(struct xw_tcp_cc_state *cc, uint32_t acked) {
    uint32_t room = cc->ssthresh - cc->cwnd, n = acked < room ? acked : room;
    cc->cwnd = add(cc->cwnd, n);
    return acked - n;
}

/* RFC 5681 3.1. Slow start counts all that an ACK acknowledges: dividing ACKs gains nothing, and the ACK of a burst is
 * worth what the ACKs of its segments are. */
static void reno_on_ack(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t acked, uint64_t srtt_ns, uint64_t now) {
    (void)srtt_ns, (void)now;
    if (cc->cwnd < cc->ssthresh)
        acked = xw_tcp_cc_slow_start(cc, acked);
    cc->acked = add(cc->acked, acked);
    if (cc->acked >= cc->cwnd) { /* RFC 3465 2.1: one segment a window */
        cc->acked -= cc->cwnd;
        cc->cwnd = add(cc->cwnd, mss);
    }
}

static uint32_t half(uint32_t flight, uint32_t mss) { return flight / 2 > 2 * mss ? flight / 2 : 2 * mss; }

static void reno_on_loss(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t flight) {
    cc->ssthresh = half(flight, mss);
    cc->cwnd = cc->ssthresh;
    cc->acked = 0;
}

static void reno_on_rto(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t flight, bool first) {
    if (first)
        cc->ssthresh = half(flight, mss);
    cc->cwnd = mss;
    cc->acked = 0;
}

static void none_init(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t init_segs) {
    (void)mss, (void)init_segs;
    cc->cwnd = XW_TCP_CWND_MAX;
    cc->ssthresh = UINT32_MAX;
}

static void none_on_ack(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t acked, uint64_t srtt_ns, uint64_t now) {
    (void)cc, (void)mss, (void)acked, (void)srtt_ns, (void)now;
}
static void none_on_loss(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t flight) { (void)cc, (void)mss, (void)flight; }
static void none_on_rto(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t flight, bool first) {
    (void)cc, (void)mss, (void)flight, (void)first;
}

static const struct xw_tcp_cc_ops table[] = {
    [XW_TCP_CC_NEWRENO] = { .name = "newreno", .bounded = true, .init = xw_tcp_cc_init, .on_ack = reno_on_ack,
                            .on_loss = reno_on_loss, .on_rto = reno_on_rto },
    [XW_TCP_CC_CUBIC] = { .name = "cubic", .bounded = true, .init = xw_tcp_cc_init, .on_ack = xw_tcp_cubic_on_ack,
                          .on_loss = xw_tcp_cubic_on_loss, .on_rto = xw_tcp_cubic_on_rto },
    [XW_TCP_CC_NONE] = { .name = "none", .bounded = false, .init = none_init, .on_ack = none_on_ack,
                         .on_loss = none_on_loss, .on_rto = none_on_rto },
};

const struct xw_tcp_cc_ops *xw_tcp_cc_find(uint8_t cc) { return cc < sizeof table / sizeof *table ? &table[cc] : NULL; }
