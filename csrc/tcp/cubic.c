/* tcp/cubic.c: CUBIC (RFC 9438) in integers: windows in octets, time in 1/1024 s.
 *
 * W_cubic(t) = C (t - K)^3 + W_max with C = 0.4 segments/s^3, K = cbrt((W_max - cwnd_epoch) / C), beta = 0.7; where
 * that is less than what Reno would have (W_est), W_est counts (4.3). A pause in which the window was not what limited
 * the sender moves the epoch (5.8). Not here: HyStart++ (RFC 9406); slow start ends at ssthresh or with a loss. */
#include "tcp/tcp_priv.h"

#define BETA_NUM 717u  /* 0.7 of 1024 */
#define FAST_NUM 870u  /* (1 + beta) / 2, fast convergence (4.7) */
#define ALPHA_NUM 542u /* 3 (1 - beta) / (1 + beta) = 0.529 of 1024 (4.3) */
#define C_NUM 410u     /* 0.4 of 1024 */
#define T_MAX 32768    /* 32 s on either side of K: 13,000 segments away; keeps the cube in 64 bits */

static uint64_t units(uint64_t ns) { return ns >> 40 ? UINT32_MAX : ns * 1024 / XW_NS_PER_S; }

/* The largest r with r^3 <= v. */
static uint32_t cube_root(uint64_t v) {
    uint64_t r = 0;
    for (int bit = 20; bit >= 0; bit--) {
        uint64_t t = r | 1ull << bit;
        if (t * t * t <= v)
            r = t;
    }
    return (uint32_t)r;
}

static void epoch_begins(struct xw_tcp_cc_state *cc, uint32_t mss, uint64_t now) {
    struct xw_tcp_cubic *q = &cc->cubic;
    q->begun = true;
    q->epoch_ns = now;
    q->frac = 0;
    q->west = (uint64_t)cc->cwnd << 10;
    if (cc->cwnd >= q->w_max) { /* 4.8: after a timeout, or when slow start has gone beyond */
        q->w_max = cc->cwnd;
        q->k = 0;
    } else { /* (W_max - cwnd) / mss / 0.4 s^3, in (1/1024 s)^3 */
        q->k = cube_root((((uint64_t)(q->w_max - cc->cwnd) << 30) / mss / C_NUM) << 10);
    }
}

/* Octets at time t of the epoch. */
static uint64_t w_cubic(const struct xw_tcp_cubic *q, uint32_t mss, uint64_t t) {
    int64_t d = (int64_t)t - (int64_t)q->k;
    d = d > T_MAX ? T_MAX : d < -T_MAX ? -T_MAX : d;
    uint64_t a = (uint64_t)(d < 0 ? -d : d), delta = ((a * a * a >> 20) * C_NUM * mss) >> 20;
    if (d >= 0)
        return q->w_max + delta;
    return delta < q->w_max ? q->w_max - delta : 0;
}

void xw_tcp_cubic_on_ack(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t acked, uint64_t srtt_ns, uint64_t now) {
    struct xw_tcp_cubic *q = &cc->cubic;
    if (cc->cwnd < cc->ssthresh && !(acked = xw_tcp_cc_slow_start(cc, acked)))
        return;
    if (!q->begun)
        epoch_begins(cc, mss, now);
    else if (now - q->last_ns > 2 * srtt_ns + 10 * XW_NS_PER_MS) /* nobody waited for the window meanwhile */
        q->epoch_ns += now - q->last_ns;
    q->last_ns = now;
    uint64_t alpha = q->west >> 10 >= q->prior ? 1024 : ALPHA_NUM;
    q->west += alpha * mss * acked / cc->cwnd; /* 4.3 */
    uint64_t t = units(now - q->epoch_ns), west = q->west >> 10, target = w_cubic(q, mss, t + units(srtt_ns));
    if (w_cubic(q, mss, t) < west) {
        if (west > cc->cwnd)
            cc->cwnd = west < XW_TCP_CWND_MAX ? (uint32_t)west : XW_TCP_CWND_MAX;
        return;
    }
    uint64_t most = cc->cwnd + cc->cwnd / 2; /* 4.2 */
    target = target > most ? most : target;
    if (target <= cc->cwnd)
        return;
    q->frac += (target - cc->cwnd) * acked; /* (target - cwnd) / cwnd a segment (4.4, 4.5) */
    uint64_t grown = cc->cwnd + q->frac / cc->cwnd;
    q->frac %= cc->cwnd;
    cc->cwnd = grown < XW_TCP_CWND_MAX ? (uint32_t)grown : XW_TCP_CWND_MAX;
}

static uint32_t reduced(uint32_t flight, uint32_t mss) { /* 4.6 */
    uint32_t w = (uint32_t)((uint64_t)flight * BETA_NUM >> 10);
    return w > 2 * mss ? w : 2 * mss;
}

void xw_tcp_cubic_on_loss(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t flight) {
    struct xw_tcp_cubic *q = &cc->cubic;
    uint32_t w = cc->cwnd;
    q->prior = w;
    q->w_max = w < q->w_max ? (uint32_t)((uint64_t)w * FAST_NUM >> 10) : w;
    q->begun = false;
    cc->ssthresh = reduced(flight < w ? flight : w, mss);
    cc->cwnd = cc->ssthresh;
}

void xw_tcp_cubic_on_rto(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t flight, bool first) {
    struct xw_tcp_cubic *q = &cc->cubic;
    if (first) {
        cc->ssthresh = reduced(flight, mss);
        q->prior = cc->cwnd;
        q->w_max = 0; /* 4.8: K is 0 and W_max the window where congestion avoidance begins */
    }
    q->begun = false;
    cc->cwnd = mss;
}
