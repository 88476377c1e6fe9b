/* tcp/out.c: what a connection sends next. Called when the caller has room for one segment; the order is SYN, what is
 * lost, a window probe, new data and FIN, a bare ACK, a keepalive. Every segment carries the newest ACK and window,
 * so whatever it is, it settles what is owed to the peer. */
#include "tcp/tcp_priv.h"
#include <string.h>

static uint32_t min32(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Data that fits a packet without options (RFC 9293 3.7.1, RFC 6691). */
static uint32_t mss_full(const struct xw_tcp *c) {
    uint32_t mtu = c->path_mtu - (XW_IP4_HDR_MIN + XW_TCP_HDR_MIN);
    return min32(c->peer_mss, mtu);
}

uint32_t xw_tcp_mss_now(const struct xw_tcp *c) {
    uint32_t opt = c->ts_on ? 12 : 0, full = mss_full(c);
    return full > opt + 8 ? full - opt : 8;
}

uint8_t xw_tcp_wscale_for(uint32_t cap) {
    uint8_t s = 0;
    while (s < 14 && cap >> s > UINT16_MAX)
        s++;
    return s;
}

uint64_t xw_tcp_off_of(const struct xw_tcp *c, struct xw_seq seq) {
    struct xw_seq base = xw_seq_add(c->iss, 1 + (uint32_t)(c->snd->head - c->snd_base));
    return c->snd->head + (uint64_t)(int64_t)xw_seq_diff(seq, base);
}

static uint32_t unsent_len(const struct xw_tcp *c) {
    return c->fin_sent ? 0 : (uint32_t)(c->snd->tail - xw_tcp_off_of(c, c->snd_nxt));
}

bool xw_tcp_unsent(const struct xw_tcp *c) { return (c->fin_queued && !c->fin_sent) || unsent_len(c); }

/* ---- header ------------------------------------------------------------------------------------------------------ */

/* The window to offer: the right edge never moves back, and moves on only by what is worth a segment (RFC 9293
 * 3.8.6.2.2). */
uint16_t xw_tcp_window(struct xw_tcp *c, bool syn) {
    uint32_t room = xw_tcp_rcv_room(c);
    int32_t ahead = xw_seq_diff(c->rcv_adv, c->rcv_nxt);
    uint32_t cur = ahead > 0 ? (uint32_t)ahead : 0, wnd = room;
    uint32_t worth = min32(xw_tcp_rcv_cap(c) / 2, c->path_mtu - 40);
    if (room < cur + worth && !c->fin_rcvd)
        wnd = cur;
    unsigned shift = syn ? 0 : c->rcv_wscale;
    uint32_t field = min32(wnd >> shift, UINT16_MAX);
    if (field << shift < cur && field < UINT16_MAX && (field + 1) << shift <= room)
        field++; /* rounding down would take back what was offered */
    if (!field && c->last_wnd)
        c->st.zero_windows++;
    c->last_wnd = field << shift;
    c->rcv_adv = xw_seq_max(c->rcv_adv, xw_seq_add(c->rcv_nxt, c->last_wnd));
    return (uint16_t)field;
}

static void header(struct xw_tcp *c, struct xw_tcp_seg *g, struct xw_seq seq, uint8_t flags, uint64_t now) {
    memset(g, 0, sizeof *g);
    g->tuple = c->tuple;
    g->conn = c;
    g->tos = c->opts.tos;
    g->ttl = c->opts.ttl;
    g->df = c->df;
    g->hdr.src_port = c->tuple.local_port;
    g->hdr.dst_port = c->tuple.remote_port;
    g->hdr.seq = seq;
    g->hdr.ack = flags & XW_TCP_ACK ? c->rcv_nxt : xw_seq(0);
    g->hdr.flags = flags;
    if (c->ts_on || (flags == XW_TCP_SYN && c->opts.use_ts)) {
        g->hdr.opts |= XW_TCP_OPT_TS;
        g->hdr.ts_val = xw_tcp_ts_now(c, now);
        g->hdr.ts_ecr = flags & XW_TCP_ACK ? c->ts_recent : 0;
    }
    if (!(flags & XW_TCP_SYN) && c->sack_on) {
        g->hdr.sack_cnt = xw_tcp_sack_out(c, g->hdr.sack, c->ts_on ? 3 : 4);
        if (g->hdr.sack_cnt)
            g->hdr.opts |= XW_TCP_OPT_SACK;
    }
}

/* The segment is what goes out: its ACK and window are told. */
static void sealed(struct xw_tcp *c, struct xw_tcp_seg *g) {
    g->hdr.window = xw_tcp_window(c, g->hdr.flags & XW_TCP_SYN);
    if (g->hdr.flags & XW_TCP_ACK) {
        if (c->acks_owed)
            c->acks_owed--;
        if (c->dsack_cnt)
            memmove(c->dsack, c->dsack + 1, --c->dsack_cnt * sizeof *c->dsack);
        c->ack_now = c->acks_owed || c->dsack_cnt;
        c->rcv_unacked = 0;
        c->last_ack_sent = c->rcv_nxt;
        xw_tcp_timer_set(c, XW_TCP_T_ACK, XW_NEVER);
    }
    c->st.segs_out++;
}

static void payload(const struct xw_tcp *c, struct xw_tcp_seg *g, uint32_t len) {
    if (!len)
        return;
    uint64_t off = xw_tcp_off_of(c, g->hdr.seq);
    uint32_t first = xw_bytering_contig(c->snd, off, len);
    g->data[0] = xw_span(xw_bytering_at(c->snd, off), first);
    g->data[1] = xw_span(c->snd->base, len - first);
}

/* ---- the kinds of segments --------------------------------------------------------------------------------------- */

static int out_syn(struct xw_tcp *c, uint64_t now, struct xw_tcp_seg *g) {
    bool passive = c->state == XW_TCP_SYN_RCVD;
    header(c, g, c->iss, passive ? XW_TCP_SYN | XW_TCP_ACK : XW_TCP_SYN, now);
    g->hdr.opts |= XW_TCP_OPT_MSS;
    g->hdr.mss = c->opts.adv_mss ? c->opts.adv_mss : (uint16_t)(c->path_mtu - 40); /* fixed headers only (RFC 9293 MUST-67) */
    if (passive ? c->sack_on : c->opts.use_sack)
        g->hdr.opts |= XW_TCP_OPT_SACK_OK;
    if (passive ? c->wscale_on : c->opts.use_wscale) {
        g->hdr.opts |= XW_TCP_OPT_WSCALE;
        g->hdr.wscale = xw_tcp_wscale_for(c->rcv->cap);
    }
    sealed(c, g);
    c->syn_due = false;
    if (c->syn_retx)
        c->st.retransmits++;
    else
        c->syn_sent_ns = now;
    if (c->timer[XW_TCP_T_RTX] == XW_NEVER)
        xw_tcp_timer_set(c, XW_TCP_T_RTX, now + xw_tcp_rto(c));
    return 1;
}

/* Room for data beside the options of g; SACK blocks give way when the segment is tiny. */
static uint32_t data_limit(const struct xw_tcp *c, struct xw_tcp_seg *g) {
    uint32_t full = mss_full(c), opt = xw_tcp_opts_len(g->hdr.opts, g->hdr.sack_cnt);
    if (full < 2 * opt && (g->hdr.opts & XW_TCP_OPT_SACK)) {
        g->hdr.opts &= (uint8_t)~XW_TCP_OPT_SACK;
        g->hdr.sack_cnt = 0;
        opt = xw_tcp_opts_len(g->hdr.opts, 0);
    }
    return full > opt + 8 ? full - opt : 8;
}

static int seal_data(struct xw_tcp *c, struct xw_tcp_seg *g, uint32_t seq_len, bool fin, uint64_t now) {
    uint32_t len = seq_len - fin;
    payload(c, g, len);
    if (fin)
        g->hdr.flags |= XW_TCP_FIN;
    if (len && xw_tcp_off_of(c, g->hdr.seq) + len == c->snd->tail)
        g->hdr.flags |= XW_TCP_PSH; /* RFC 9293 MUST-60: nothing more is queued behind it */
    sealed(c, g);
    c->prr.out += c->ca == XW_TCP_CA_RECOVERY ? len : 0; /* begun anew by each recovery */
    c->last_tx_ns = now;
    xw_tcp_timer_rearm_tx(c, false, now);
    return 1;
}

static int out_lost(struct xw_tcp *c, uint64_t now, struct xw_tcp_seg *g) {
    if (!c->lost_bytes || !c->snd_wnd) {
        c->fast_rtx = false;
        return 0;
    }
    uint32_t i = 0;
    while (i < c->rec_cnt && !(xw_tcp_rec_at(c, i)->flags & XW_TCP_REC_LOST))
        i++;
    XW_ASSERT(i < c->rec_cnt);
    struct xw_tcp_rec *r = xw_tcp_rec_at(c, i);
    if (i && xw_seq_ge(r->lo, xw_seq_add(c->snd_una, c->snd_wnd)))
        return 0; /* the window shrank in front of it */
    header(c, g, r->lo, XW_TCP_ACK, now);
    uint32_t limit = data_limit(c, g), pipe = xw_tcp_pipe(c);
    uint32_t send = r->len - (r->flags & XW_TCP_REC_FIN ? 1 : 0) <= limit ? r->len : limit;
    if (pipe && !c->fast_rtx && pipe + send > c->cc.cwnd) {
        c->cwnd_limited = true;
        return 0;
    }
    if (send < r->len && xw_tcp_rec_split(c, i, send))
        r = xw_tcp_rec_at(c, i);
    bool fin = (r->flags & XW_TCP_REC_FIN) && send == r->len;
    c->lost_bytes -= r->len;
    r->flags = (r->flags & ~XW_TCP_REC_LOST) | XW_TCP_REC_RETX;
    r->sent_ns = now;
    c->fast_rtx = false;
    c->st.retransmits++;
    xw_tcp_undo_retransmitted(c, now);
    return seal_data(c, g, send, fin, now);
}

/* One octet that the window does not allow: the oldest unacknowledged one, or else the first new one (or the FIN). */
static int out_probe(struct xw_tcp *c, uint64_t now, struct xw_tcp_seg *g) {
    struct xw_tcp_rec *r;
    c->probe_due = false;
    if (c->rec_cnt) {
        r = xw_tcp_rec_at(c, 0);
        r->flags |= XW_TCP_REC_RETX;
        c->st.retransmits++;
    } else {
        if (!xw_tcp_unsent(c))
            return 0;
        bool fin = !unsent_len(c);
        r = xw_tcp_rec_push(c);
        *r = (struct xw_tcp_rec){ .lo = c->snd_nxt, .len = 1, .flags = fin ? XW_TCP_REC_FIN : 0 };
        c->snd_nxt = xw_seq_add(c->snd_nxt, 1);
        c->fin_sent |= fin;
        c->st.bytes_out += !fin;
    }
    r->sent_ns = now;
    header(c, g, r->lo, XW_TCP_ACK, now);
    c->st.probes++;
    return seal_data(c, g, 1, r->len == 1 && (r->flags & XW_TCP_REC_FIN), now);
}

/* The tail loss probe when there is no new data: the last segment once more. Its SACK tells RACK what is missing. */
static int out_tlp(struct xw_tcp *c, uint64_t now, struct xw_tcp_seg *g) {
    uint32_t i = c->rec_cnt;
    c->tlp_due = false;
    while (i && (xw_tcp_rec_at(c, i - 1)->flags & XW_TCP_REC_SACKED))
        i--;
    struct xw_tcp_rec *r = i ? xw_tcp_rec_at(c, i - 1) : NULL;
    if (!r || !c->snd_wnd || (r->flags & XW_TCP_REC_LOST))
        return 0;
    bool fin = r->flags & XW_TCP_REC_FIN;
    header(c, g, r->lo, XW_TCP_ACK, now);
    if (r->len - fin > data_limit(c, g))
        return 0; /* the path MTU shrank: the timeout will do it */
    r->flags |= XW_TCP_REC_RETX;
    r->sent_ns = now;
    c->tlp_out = c->tlp_retx = true;
    c->tlp_end = c->snd_nxt;
    c->st.retransmits++;
    return seal_data(c, g, r->len, fin, now);
}

/* RFC 9293 3.8.6.2.1 with Nagle (3.7.4) as its condition on what is in flight, in Minshall's form: one small segment may
 * be unacknowledged, so that the end of a long write need not wait for a delayed ACK of its full segments. */
static bool worth_sending(const struct xw_tcp *c, uint32_t len, uint32_t avail, uint32_t limit, bool fin) {
    if (len == limit)
        return true;
    if (!c->opts.nodelay && xw_seq_gt(c->snd_small, c->snd_una) && !(fin && len == avail))
        return false;
    return len == avail || len >= c->max_snd_wnd / 2;
}

/* RFC 5681 4.1, RFC 2861: what the path took before a pause of more than a timeout is halved for each timeout, down to
 * the initial window; slow start then goes back to three quarters of it. */
void xw_tcp_after_idle(struct xw_tcp *c, uint64_t now) {
    if (c->rec_cnt || !c->last_tx_ns || !c->cc.ops->bounded || c->cc.cwnd <= c->init_cwnd)
        return;
    uint64_t rto = xw_tcp_rto(c), idle = now - c->last_tx_ns;
    if (idle <= rto)
        return;
    uint32_t most = c->cc.cwnd / 4 * 3;
    c->cc.ssthresh = c->cc.ssthresh > most ? c->cc.ssthresh : most;
    for (; idle > rto && c->cc.cwnd > c->init_cwnd; idle -= rto)
        c->cc.cwnd /= 2;
    c->cc.cwnd = c->cc.cwnd > c->init_cwnd ? c->cc.cwnd : c->init_cwnd;
}

/* Whether cwnd is used up, as it was when most was in flight within the last window. */
void xw_tcp_note_usage(struct xw_tcp *c, uint32_t pipe) {
    bool full = pipe + xw_tcp_mss_now(c) > c->cc.cwnd;
    if (xw_seq_lt(c->snd_una, c->usage_seq) && pipe <= c->max_flight && !full)
        return;
    c->max_flight = pipe;
    c->usage_seq = c->snd_nxt;
    c->cwnd_limited = full;
}

static int out_new(struct xw_tcp *c, uint64_t now, struct xw_tcp_seg *g) {
    bool fin = c->fin_queued && !c->fin_sent, forced = c->probe_due;
    uint32_t avail = unsent_len(c);
    c->probe_due = false;
    if (c->lost_bytes) /* they come first, and wait for cwnd or the window */
        return 0;
    if (!avail && !fin)
        return 0;
    xw_tcp_after_idle(c, now);
    int32_t usable = xw_seq_diff(xw_seq_add(c->snd_una, c->snd_wnd), c->snd_nxt);
    uint32_t cap = c->stk->cfg.tx_records;
    header(c, g, c->snd_nxt, XW_TCP_ACK, now);
    uint32_t limit = data_limit(c, g);
    if (usable <= 0 || c->rec_cnt >= cap - cap / 4) /* the last quarter is for records that are split */
        goto blocked;
    uint32_t len = min32(min32(avail, limit), (uint32_t)usable);
    fin = fin && len == avail && (uint32_t)usable > len;
    if (!len && !fin)
        goto blocked;
    if (!forced && !worth_sending(c, len, avail, limit, fin))
        goto blocked;
    uint32_t pipe = xw_tcp_pipe(c);
    if (pipe && len && !c->tlp_due && pipe + len > c->cc.cwnd) {
        c->cwnd_limited = true;
        return 0;
    }
    struct xw_tcp_rec *r = xw_tcp_rec_push(c);
    *r = (struct xw_tcp_rec){ .lo = c->snd_nxt, .len = len + fin, .sent_ns = now, .flags = fin ? XW_TCP_REC_FIN : 0 };
    c->snd_nxt = xw_seq_add(c->snd_nxt, len + fin);
    c->fin_sent |= fin;
    if (len < limit)
        c->snd_small = c->snd_nxt;
    c->st.bytes_out += len;
    xw_tcp_note_usage(c, pipe + len);
    if (c->tlp_due) {
        c->tlp_due = c->tlp_retx = false;
        c->tlp_out = true;
        c->tlp_end = c->snd_nxt;
    }
    xw_tcp_timer_set(c, XW_TCP_T_TLP, XW_NEVER); /* anew with each new segment (RFC 8985 7.2) */
    return seal_data(c, g, len + fin, fin, now);
blocked:
    if (!c->rec_cnt && c->timer[XW_TCP_T_PERSIST] == XW_NEVER)
        xw_tcp_timer_set(c, XW_TCP_T_PERSIST, now + xw_tcp_rto(c)); /* nothing else would wake us */
    return 0;
}

static int out_ack(struct xw_tcp *c, uint64_t now, struct xw_tcp_seg *g) {
    if (c->ack_now) {
        header(c, g, c->snd_nxt, XW_TCP_ACK, now);
    } else if (c->keep_due) {
        c->keep_due = false;
        c->st.probes++;
        header(c, g, xw_seq_sub(c->snd_nxt, 1), XW_TCP_ACK, now); /* RFC 9293 3.8.4: outside the peer's window */
    } else {
        return 0;
    }
    sealed(c, g);
    return 1;
}

static int conn_output(struct xw_tcp *c, uint64_t now, struct xw_tcp_seg *g) {
    switch (c->state) {
    case XW_TCP_SYN_SENT: case XW_TCP_SYN_RCVD:
        return c->syn_due ? out_syn(c, now, g) : c->ack_now && c->state == XW_TCP_SYN_RCVD ? out_ack(c, now, g) : 0;
    case XW_TCP_ESTABLISHED: case XW_TCP_CLOSE_WAIT: case XW_TCP_FIN_WAIT_1: case XW_TCP_CLOSING: case XW_TCP_LAST_ACK:
        if (out_lost(c, now, g) || (c->probe_due && !c->snd_wnd && out_probe(c, now, g)) || out_new(c, now, g) ||
            (c->tlp_due && out_tlp(c, now, g)))
            return 1;
        return out_ack(c, now, g);
    case XW_TCP_FIN_WAIT_2: case XW_TCP_TIME_WAIT:
        return out_ack(c, now, g);
    case XW_TCP_CLOSED:
        break;
    }
    return 0;
}

/* ---- for the stack ----------------------------------------------------------------------------------------------- */

bool xw_tcp_pending(const struct xw_tcp_stack *s) { return s->reply_cnt || s->out_list.next != &s->out_list; }

static void out_reply(struct xw_tcp_stack *s, struct xw_tcp_seg *g) {
    const struct xw_tcp_reply *r = &s->reply[s->reply_head];
    memset(g, 0, sizeof *g);
    g->tuple = r->tuple;
    g->df = true;
    g->ttl = r->ttl;
    g->hdr.src_port = r->tuple.local_port;
    g->hdr.dst_port = r->tuple.remote_port;
    g->hdr.seq = r->seq;
    g->hdr.ack = r->ack;
    g->hdr.flags = r->flags;
    if (r->ts) {
        g->hdr.opts = XW_TCP_OPT_TS;
        g->hdr.ts_val = r->ts_val;
        g->hdr.ts_ecr = r->ts_ecr;
    }
    s->reply_head = (s->reply_head + 1) % XW_TCP_REPLIES;
    s->reply_cnt--;
}

int xw_tcp_output(struct xw_tcp_stack *s, uint64_t now_ns, struct xw_tcp_seg *out) {
    if (s->reply_cnt) {
        out_reply(s, out);
        return 1;
    }
    struct xw_tcp_link *l;
    while ((l = s->out_list.next) != &s->out_list) {
        struct xw_tcp *c = (struct xw_tcp *)(void *)((uint8_t *)l - offsetof(struct xw_tcp, out_link));
        xw_tcp_link_remove(l);
        if (conn_output(c, now_ns, out)) {
            xw_tcp_link_append(&s->out_list, l);
            return 1;
        }
    }
    return 0;
}

uint32_t xw_tcp_seg_len(const struct xw_tcp_seg *g) {
    return xw_tcp_hdr_len(&g->hdr) + (uint32_t)(g->data[0].len + g->data[1].len);
}

uint32_t xw_tcp_seg_emit(const struct xw_tcp_seg *g, struct xw_mspan out) {
    uint32_t len = xw_tcp_seg_len(g);
    if (out.len < len)
        return 0;
    uint8_t *p = out.p + xw_tcp_emit(&g->hdr, out);
    for (unsigned i = 0; i < 2; i++)
        if (g->data[i].len) {
            memcpy(p, g->data[i].p, g->data[i].len);
            p += g->data[i].len;
        }
    xw_tcp_set_checksum(xw_mspan(out.p, len), g->tuple.local_ip, g->tuple.remote_ip);
    return len;
}
