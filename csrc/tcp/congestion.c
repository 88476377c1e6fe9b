/* tcp/congestion.c: the congestion window. NewReno (RFC 5681, 3465 with L = 2, 6928); others go behind the same
 * table. */
#include "tcp/tcp_priv.h"

static uint32_t add(uint32_t a, uint32_t b) { return a > (1u << 30) - b ? 1u << 30 : a + b; }

static void reno_init(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t init_segs) {
    uint32_t w = init_segs * mss; /* RFC 6928: 10 segments, at most 14600 octets or two segments */
    uint32_t max = 14600u > 2 * mss ? 14600u : 2 * mss;
    cc->cwnd = init_segs <= 10 && w > max ? max : w;
    cc->ssthresh = UINT32_MAX;
    cc->acked = 0;
}

static void reno_on_ack(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t acked, uint64_t now) {
    (void)now;
    if (cc->cwnd < cc->ssthresh) { /* slow start; RFC 3465 2.2: a stretch ACK counts for at most two segments */
        cc->cwnd = add(cc->cwnd, acked < 2 * mss ? acked : 2 * mss);
        return;
    }
    cc->acked = add(cc->acked, acked);
    if (cc->acked >= cc->cwnd) { /* RFC 3465 2.1: one segment a window */
        cc->acked -= cc->cwnd;
        cc->cwnd = add(cc->cwnd, mss);
    }
}

static uint32_t half(uint32_t flight, uint32_t mss) { return flight / 2 > 2 * mss ? flight / 2 : 2 * mss; }

static void reno_on_loss(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t flight, uint64_t now) {
    (void)now;
    cc->ssthresh = half(flight, mss);
    cc->cwnd = cc->ssthresh;
    cc->acked = 0;
}

static void reno_on_rto(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t flight, bool first, uint64_t now) {
    (void)now;
    if (first)
        cc->ssthresh = half(flight, mss);
    cc->cwnd = mss;
    cc->acked = 0;
}

static const struct xw_tcp_cc_ops reno = { .name = "newreno", .init = reno_init, .on_ack = reno_on_ack,
                                           .on_loss = reno_on_loss, .on_rto = reno_on_rto };

const struct xw_tcp_cc_ops *xw_tcp_cc_find(uint8_t cc) { return cc == XW_TCP_CC_NEWRENO ? &reno : NULL; }
