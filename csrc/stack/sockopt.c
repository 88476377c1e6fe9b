/* stack/sockopt.c: options and info of sockets. What TCP can change while open goes through xw_tcp_set_opts; what is
 * agreed on in the handshake, or sizes memory, is taken before it only. */
#include "stack/stack_priv.h"
#include "xw.h"
#include <string.h>

#define TIME_MAX_NS ((int64_t)(30ull * 24 * 3600 * XW_NS_PER_S)) /* a month: sums with now stay far below 2^64 */

/* An option that is one field of struct xw_tcp_opts. */
struct field {
    uint16_t off;
    uint8_t size;      /* 1, 4, 8 octets; 0: not a field */
    bool fresh;        /* only before the handshake */
    int64_t lo, hi;
};
#define FIELD(name, is_fresh, low, high) \
    { offsetof(struct xw_tcp_opts, name), sizeof(((struct xw_tcp_opts *)0)->name), (is_fresh), (low), (high) }

static const struct field fields[XW_STACK_OPT_END] = {
    [XW_STACK_NODELAY] = FIELD(nodelay, false, 0, 1),
    [XW_STACK_ACK_POLICY] = FIELD(ack_policy, false, 0, XW_TCP_ACK_ADAPTIVE),
    [XW_STACK_ACK_DELAY] = FIELD(ack_delay_ns, false, 0, 499999999), /* RFC 9293 MUST-40 */
    [XW_STACK_KEEP_INTERVAL] = FIELD(keep_interval_ns, false, 1, TIME_MAX_NS),
    [XW_STACK_KEEP_PROBES] = FIELD(keep_probes, false, 0, 1000),
    [XW_STACK_USER_TIMEOUT] = FIELD(user_timeout_ns, false, 0, TIME_MAX_NS),
    [XW_STACK_SYN_RETRIES] = FIELD(syn_retries, false, 0, 100),
    [XW_STACK_DATA_RETRIES] = FIELD(data_retries, false, 0, 1000),
    [XW_STACK_RTO_MIN] = FIELD(rto_min_ns, false, 1, 1000000000000),
    [XW_STACK_RTO_MAX] = FIELD(rto_max_ns, false, 1, 1000000000000),
    [XW_STACK_RTO_INITIAL] = FIELD(rto_initial_ns, true, 1, 1000000000000),
    [XW_STACK_TIME_WAIT] = FIELD(time_wait_ns, false, 0, TIME_MAX_NS),
    [XW_STACK_TOS] = FIELD(tos, false, 0, 255),
    [XW_STACK_TTL] = FIELD(ttl, false, 1, 255),
    [XW_STACK_TIMESTAMPS] = FIELD(use_ts, true, 0, 1),
    [XW_STACK_SACK] = FIELD(use_sack, true, 0, 1),
    [XW_STACK_WSCALE] = FIELD(use_wscale, true, 0, 1),
    [XW_STACK_INIT_CWND] = FIELD(init_cwnd_segs, true, 1, 1000),
    [XW_STACK_TAIL_PROBE] = FIELD(use_tlp, false, 0, 2),
    [XW_STACK_CC] = FIELD(cc, true, 0, 255),
};

static int64_t field_get(const struct xw_tcp_opts *o, const struct field *f) {
    uint64_t v8;
    uint32_t v4;
    const uint8_t *at = (const uint8_t *)o + f->off;
    if (f->size == 1)
        return *at;
    if (f->size == 4) {
        memcpy(&v4, at, 4);
        return v4;
    }
    memcpy(&v8, at, 8);
    return (int64_t)v8;
}

static void field_set(struct xw_tcp_opts *o, const struct field *f, int64_t value) {
    uint64_t v8 = (uint64_t)value;
    uint32_t v4 = (uint32_t)value;
    uint8_t *at = (uint8_t *)o + f->off;
    if (f->size == 1)
        *at = (uint8_t)value;
    else if (f->size == 4)
        memcpy(at, &v4, 4);
    else
        memcpy(at, &v8, 8);
}

/* TCP takes the whole set or nothing: it knows which belong together (minimum and maximum, keepalive's interval). */
static int opts_apply(struct xw_sock *k, const struct xw_tcp_opts *want, uint64_t now) {
    if (!xw_tcp_opts_ok(want))
        return XW_STACK_EINVAL;
    k->opts = *want;
    if (k->conn && !k->ended)
        xw_tcp_set_opts(k->conn, want, now);
    return XW_STACK_OK;
}

static int keepalive_set(struct xw_sock *k, enum xw_stack_opt opt, int64_t value, uint64_t now) {
    struct xw_tcp_opts want = k->opts;
    bool on = opt == XW_STACK_KEEPALIVE ? value == 1 : k->keepalive;
    uint64_t idle = opt == XW_STACK_KEEP_IDLE ? (uint64_t)value : k->keep_idle_ns;
    if (opt == XW_STACK_KEEPALIVE ? value < 0 || value > 1 : value < 1 || value > TIME_MAX_NS)
        return XW_STACK_EINVAL;
    want.keep_idle_ns = on ? idle : 0;
    int rc = opts_apply(k, &want, now);
    if (rc == XW_STACK_OK) {
        k->keepalive = on;
        k->keep_idle_ns = idle;
    }
    return rc;
}

/* The memory is there in any case; what is set is how much of it may be used. */
static int buffer_set(struct xw_stack *s, struct xw_sock *k, enum xw_stack_opt opt, int64_t value, uint64_t now) {
    bool rcv = opt == XW_STACK_RCVBUF;
    if (value < 1 || value > (rcv ? s->cfg.rcvbuf_max : s->cfg.sndbuf_max))
        return XW_STACK_EINVAL;
    if (!rcv) {
        k->sndbuf = (uint32_t)value;
        return XW_STACK_OK;
    }
    struct xw_tcp_opts want = k->opts;
    want.rcv_window = k->rcvbuf = (uint32_t)value;
    return opts_apply(k, &want, now);
}

/* Options of the socket itself, before the handshake or at any time. */
static int own_set(struct xw_stack *s, struct xw_sock *k, enum xw_stack_opt opt, int64_t value) {
    if (opt == XW_STACK_MSS && (k->conn || k->listener))
        return XW_STACK_ENOPROTOOPT;
    if (opt == XW_STACK_MSS && value >= 48 && value + 40 <= s->cfg.mtu)
        k->mss = (uint32_t)value;
    else if (opt == XW_STACK_REUSEADDR && value >= 0 && value <= 1)
        k->reuse = (uint8_t)value;
    else if (opt == XW_STACK_LINGER && value >= -1 && value <= TIME_MAX_NS)
        k->linger_ns = value;
    else
        return XW_STACK_EINVAL;
    return XW_STACK_OK;
}

int xw_stack_setopt(struct xw_stack *s, int fd, enum xw_stack_opt opt, int64_t value, uint64_t now_ns) {
    struct xw_sock *k = xw_stack_sock(s, fd);
    if (!k)
        return XW_STACK_EBADF;
    if ((int)opt <= 0 || opt >= XW_STACK_OPT_END)
        return XW_STACK_ENOPROTOOPT;
    const struct field *f = &fields[opt];
    if (f->size) {
        struct xw_tcp_opts want = k->opts;
        if (f->fresh && (k->conn || k->listener))
            return XW_STACK_ENOPROTOOPT;
        if (value < f->lo || value > f->hi)
            return XW_STACK_EINVAL;
        field_set(&want, f, value);
        return opts_apply(k, &want, now_ns);
    }
    switch (opt) {
    case XW_STACK_KEEPALIVE: case XW_STACK_KEEP_IDLE:
        return keepalive_set(k, opt, value, now_ns);
    case XW_STACK_RCVBUF: case XW_STACK_SNDBUF:
        return buffer_set(s, k, opt, value, now_ns);
    case XW_STACK_MSS: case XW_STACK_LINGER:
    case XW_STACK_REUSEADDR:
        return own_set(s, k, opt, value);
    default: /* can only be read */
        return XW_STACK_ENOPROTOOPT;
    }
}

static int64_t queued(const struct xw_sock *k, bool unsent) {
    struct xw_tcp_detail d;
    if (!k->conn || k->ended)
        return 0;
    xw_tcp_detail(k->conn, &d);
    return unsent ? d.unsent : xw_bytering_len(&k->snd);
}

static int64_t mss_of(const struct xw_stack *s, const struct xw_sock *k) {
    struct xw_stack_info i;
    if (!k->conn)
        return k->mss ? k->mss : 536; /* what a connection begins with (RFC 9293 MUST-15) */
    for (uint32_t fd = 0; fd < s->cfg.max_sockets; fd++)
        if (xw_stack_sock(s, (int)fd) == k && xw_stack_info(s, (int)fd, &i) == XW_STACK_OK)
            return i.mss;
    return 0;
}

int xw_stack_getopt(struct xw_stack *s, int fd, enum xw_stack_opt opt, int64_t *value) {
    struct xw_sock *k = xw_stack_sock(s, fd);
    if (!k)
        return XW_STACK_EBADF;
    if ((int)opt <= 0 || opt >= XW_STACK_OPT_END)
        return XW_STACK_ENOPROTOOPT;
    if (fields[opt].size) {
        *value = field_get(&k->opts, &fields[opt]);
        return XW_STACK_OK;
    }
    switch (opt) {
    case XW_STACK_KEEPALIVE: *value = k->keepalive; break;
    case XW_STACK_KEEP_IDLE: *value = (int64_t)k->keep_idle_ns; break;
    case XW_STACK_RCVBUF: *value = k->rcvbuf; break;
    case XW_STACK_SNDBUF: *value = k->sndbuf; break;
    case XW_STACK_MSS: *value = mss_of(s, k); break;
    case XW_STACK_LINGER: *value = k->linger_ns; break;
    case XW_STACK_REUSEADDR: *value = k->reuse; break;
    case XW_STACK_SO_ERROR: *value = k->error; k->error = 0; break;
    case XW_STACK_ACCEPTCONN: *value = k->listener != NULL; break;
    case XW_STACK_INQ: *value = k->conn ? xw_bytering_len(&k->rcv) : 0; break;
    case XW_STACK_OUTQ: *value = queued(k, false); break;
    case XW_STACK_OUTQ_NSD: *value = queued(k, true); break;
    default: return XW_STACK_ENOPROTOOPT;
    }
    return XW_STACK_OK;
}

static void info_fill(const struct xw_tcp *c, struct xw_stack_info *out) {
    struct xw_conn_info i = { 0 };
    struct xw_tcp_detail d;
    xw_tcp_info(c, &i);
    xw_tcp_detail(c, &d);
    *out = (struct xw_stack_info){
        .state = i.tcp_state, .ca_state = i.ca_state, .timestamps = d.timestamps, .sack = d.sack, .wscale = d.wscale,
        .snd_wscale = d.snd_wscale, .rcv_wscale = d.rcv_wscale, .mss = i.mss, .path_mtu = d.path_mtu,
        .srtt_ns = d.srtt_ns, .rttvar_ns = d.rttvar_ns, .min_rtt_ns = d.min_rtt_ns, .rto_ns = d.rto_ns,
        .cwnd = i.cwnd, .ssthresh = d.ssthresh, .in_flight = i.in_flight, .sacked = d.sacked, .lost = d.lost,
        .snd_wnd = i.snd_wnd, .rcv_wnd = i.rcv_wnd, .ooo_bytes = d.ooo_bytes, .ooo_ranges = d.ooo_ranges,
        .soft_error = xw_stack_error(d.soft_error), .backoff = d.backoff, .retries = d.retries,
        .bytes_in = i.bytes_in, .bytes_out = i.bytes_out,
        .segs_in = i.segs_in, .segs_out = i.segs_out, .retransmits = i.retransmits,
        .fast_retransmits = i.fast_retransmits, .timeouts = i.timeouts, .dup_acks = i.dup_acks,
        .ooo_segs = i.ooo_segs, .dup_segs = i.dup_segs, .zero_windows = i.zero_windows, .probes = i.probes,
    };
}

int xw_stack_info(const struct xw_stack *s, int fd, struct xw_stack_info *out) {
    const struct xw_sock *k = xw_stack_sock(s, fd);
    if (!k)
        return XW_STACK_EBADF;
    if (k->conn)
        info_fill(k->conn, out);
    else
        *out = (struct xw_stack_info){ .state = k->listener ? 10 : XW_TCP_CLOSED };
    return XW_STACK_OK;
}
