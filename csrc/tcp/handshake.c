/* tcp/handshake.c: opening and the states around it: segments for nobody, LISTEN, SYN-SENT, TIME-WAIT. */
#include "tcp/tcp_priv.h"
#include <string.h>

static uint32_t seg_len(const struct xw_tcp_rx *rx) {
    return (uint32_t)rx->data.len + !!(rx->h.flags & XW_TCP_SYN) + !!(rx->h.flags & XW_TCP_FIN);
}

/* RFC 9293 3.10.7.1: a reset that the sender of the segment will accept. */
void xw_tcp_reset_for(struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, const struct xw_tcp_rx *rx) {
    if (rx->h.flags & XW_TCP_ACK)
        xw_tcp_reply_push(s, t, rx->h.ack, xw_seq(0), XW_TCP_RST);
    else
        xw_tcp_reply_push(s, t, xw_seq(0), xw_seq_add(rx->h.seq, seg_len(rx)), XW_TCP_RST | XW_TCP_ACK);
}

/* ---- LISTEN ------------------------------------------------------------------------------------------------------ */

static uint32_t find_syn(const struct xw_tcp_listener *l, const struct xw_tcp_tuple *t) {
    uint32_t i = 0;
    while (i < l->syn_cnt &&
           (l->syn[i].tuple.remote_ip != t->remote_ip || l->syn[i].tuple.remote_port != t->remote_port ||
            l->syn[i].tuple.local_ip != t->local_ip))
        i++;
    return i;
}

static void remove_syn(struct xw_tcp_listener *l, uint32_t i) {
    memmove(&l->syn[i], &l->syn[i + 1], (l->syn_cnt - i - 1) * sizeof *l->syn);
    l->syn_cnt--;
}

/* RFC 9293 3.10.7.2. Data on a SYN is not kept: the peer sends it again. */
static enum xw_drop in_listen(struct xw_tcp_listener *l, const struct xw_tcp_tuple *t, const struct xw_tcp_rx *rx) {
    uint32_t i = find_syn(l, t);
    if (rx->h.flags & XW_TCP_RST) {
        if (i < l->syn_cnt && xw_seq_dist(rx->h.seq, l->syn[i].hdr.seq) <= 1)
            remove_syn(l, i);
        return XW_DROP_NONE;
    }
    if (rx->h.flags & XW_TCP_ACK) {
        xw_tcp_reset_for(l->stk, t, rx);
        return XW_DROP_TCP_NO_CONN;
    }
    if (!(rx->h.flags & XW_TCP_SYN) || (rx->h.flags & XW_TCP_FIN))
        return XW_DROP_TCP_FLAGS;
    if (i == l->stk->cfg.backlog)
        return XW_DROP_TCP_NO_CONN; /* full; the SYN comes again */
    if (i == l->syn_cnt)
        l->syn_cnt++;
    l->syn[i] = (struct xw_tcp_syn){ .tuple = *t, .hdr = rx->h };
    return XW_DROP_NONE;
}

enum xw_drop xw_tcp_in_unknown(struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, const struct xw_tcp_rx *rx) {
    struct xw_tcp_listener *l = xw_tcp_demux_listener(s, t->local_ip, t->local_port);
    if (l)
        return in_listen(l, t, rx);
    if (!(rx->h.flags & XW_TCP_RST) && s->cfg.rst_unknown)
        xw_tcp_reset_for(s, t, rx);
    return XW_DROP_TCP_NO_CONN;
}

int xw_tcp_listen(struct xw_tcp_stack *s, uint32_t local_ip, uint16_t port, struct xw_tcp_listener **out) {
    struct xw_tcp_listener *l = NULL;
    if (!port || !s->cfg.backlog)
        return XW_EINVAL;
    for (uint32_t i = 0; i < s->cfg.max_listeners; i++) {
        if (!s->listener[i].in_use)
            l = &s->listener[i];
        else if (s->listener[i].port == port && s->listener[i].ip == local_ip)
            return XW_EADDRINUSE;
    }
    if (!l)
        return XW_ENOSPC;
    l->in_use = true;
    l->ip = local_ip;
    l->port = port;
    l->syn_cnt = 0;
    *out = l;
    return XW_OK;
}

void xw_tcp_unlisten(struct xw_tcp_listener *l) {
    l->in_use = false;
    l->syn_cnt = 0;
}

bool xw_tcp_listen_pending(const struct xw_tcp_listener *l, struct xw_tcp_tuple *t) {
    if (l->syn_cnt)
        *t = l->syn[0].tuple;
    return l->syn_cnt > 0;
}

/* ---- what a SYN says --------------------------------------------------------------------------------------------- */

/* An option counts only if both sides send it; the peer's answer to ours, or ours to the peer's. The smallest segment
 * of 48 octets keeps a hostile MSS from costing a packet an octet. */
static void take_syn(struct xw_tcp *c, const struct xw_tcp_hdr *h, uint64_t now) {
    c->irs = h->seq;
    c->rcv_nxt = c->last_ack_sent = xw_seq_add(h->seq, 1);
    c->rcv_adv = xw_seq_add(c->rcv_nxt, c->last_wnd);
    if (h->opts & XW_TCP_OPT_MSS)
        c->peer_mss = h->mss < 48 ? 48 : h->mss;
    c->ts_on = c->opts.use_ts && (h->opts & XW_TCP_OPT_TS);
    c->sack_on = c->opts.use_sack && (h->opts & XW_TCP_OPT_SACK_OK);
    c->wscale_on = c->opts.use_wscale && (h->opts & XW_TCP_OPT_WSCALE);
    if (c->wscale_on) {
        c->snd_wscale = h->wscale > 14 ? 14 : h->wscale; /* RFC 7323 2.3 */
        c->rcv_wscale = xw_tcp_wscale_for(c->rcv->cap);
    }
    if (c->ts_on) {
        c->ts_recent = h->ts_val;
        c->ts_recent_ns = now;
    }
}

void xw_tcp_established(struct xw_tcp *c, const struct xw_tcp_rx *rx, uint32_t wnd) {
    c->snd_una = rx->h.ack;
    c->snd_wnd = c->max_snd_wnd = wnd;
    c->wl1 = rx->h.seq;
    c->wl2 = rx->h.ack;
    c->recover = c->high_sacked = c->iss;
    c->syn_due = false;
    c->soft_error = 0;
    uint32_t mss = xw_tcp_mss_now(c);
    c->cc.ops->init(&c->cc, mss, c->opts.init_cwnd_segs);
    c->init_cwnd = c->cc.cwnd;
    c->usage_seq = c->snd_una;
    uint64_t rtt = c->syn_retx ? xw_tcp_ts_sample(c, &rx->h, rx->now) : rx->now - c->syn_sent_ns;
    if (rtt || !c->syn_retx)
        xw_tcp_rtt_sample(c, rtt);
    if (c->retries > 1 && c->cc.ops->bounded)
        c->cc.cwnd = mss; /* RFC 6928 2: one lost SYN may be chance */
    if (c->retries && !c->srtt_ns && c->rto_ns < 3 * XW_NS_PER_S && c->opts.rto_max_ns >= 3 * XW_NS_PER_S)
        c->rto_ns = 3 * XW_NS_PER_S; /* RFC 6298 5.7 */
    c->backoff = 0;
    c->retries = 0;
    xw_tcp_timer_set(c, XW_TCP_T_RTX, XW_NEVER);
    if (c->opts.keep_idle_ns)
        xw_tcp_timer_set(c, XW_TCP_T_KEEP, rx->now + c->opts.keep_idle_ns);
    xw_tcp_set_state(c, c->fin_queued ? XW_TCP_FIN_WAIT_1 : XW_TCP_ESTABLISHED);
    xw_tcp_event(c, XW_TCP_EV_WRITABLE);
    xw_tcp_timer_rearm_tx(c, true, rx->now);
    xw_tcp_kick(c);
}

int xw_tcp_accept(struct xw_tcp_listener *l, struct xw_bytering *rcv, struct xw_bytering *snd, uint32_t path_mtu,
                  const struct xw_tcp_opts *opts, uint64_t now_ns, struct xw_tcp **out) {
    if (!xw_tcp_open_valid(rcv, snd, path_mtu, opts))
        return XW_EINVAL;
    while (l->syn_cnt && xw_tcp_demux_find(l->stk, &l->syn[0].tuple))
        remove_syn(l, 0); /* meanwhile opened from our side */
    if (!l->syn_cnt)
        return XW_EAGAIN;
    struct xw_tcp *c = xw_tcp_conn_alloc(l->stk, &l->syn[0].tuple, rcv, snd, path_mtu, opts, now_ns);
    if (!c)
        return XW_ENOSPC;
    take_syn(c, &l->syn[0].hdr, now_ns);
    c->snd_wnd = c->max_snd_wnd = l->syn[0].hdr.window;
    remove_syn(l, 0);
    c->passive = true;
    c->state = XW_TCP_SYN_RCVD;
    *out = c;
    return XW_OK;
}

/* ---- SYN-SENT ---------------------------------------------------------------------------------------------------- */

/* RFC 9293 3.10.7.3. */
enum xw_drop xw_tcp_in_syn_sent(struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    const struct xw_tcp_hdr *h = &rx->h;
    bool ack = h->flags & XW_TCP_ACK;
    if (ack && !xw_seq_eq(h->ack, c->snd_nxt)) {
        if (!(h->flags & XW_TCP_RST))
            xw_tcp_reset_for(c->stk, &c->tuple, rx);
        return XW_DROP_TCP_ACK_FUTURE;
    }
    if (h->flags & XW_TCP_RST) {
        if (!ack)
            return XW_DROP_TCP_RST_SEQ;
        xw_tcp_close_now(c, XW_EREFUSED);
        return XW_DROP_NONE;
    }
    if (!(h->flags & XW_TCP_SYN))
        return XW_DROP_TCP_FLAGS;
    take_syn(c, h, rx->now);
    if (!ack) { /* simultaneous open: 3.5, figure 8 */
        c->snd_wnd = c->max_snd_wnd = h->window;
        c->syn_due = c->syn_retx = true;
        xw_tcp_set_state(c, XW_TCP_SYN_RCVD);
        xw_tcp_kick(c);
        return XW_DROP_NONE;
    }
    xw_tcp_established(c, rx, h->window); /* the window of a SYN is not scaled */
    c->ack_now = true;
    if (rx->data.len || (h->flags & XW_TCP_FIN))
        return xw_tcp_data_in(c, c->rcv_nxt, rx->data, h->flags & XW_TCP_FIN, rx->stamp, rx->now);
    return XW_DROP_NONE;
}

/* ---- TIME-WAIT --------------------------------------------------------------------------------------------------- */

/* Resets are ignored (RFC 1337); a FIN again is acknowledged again and the time begins anew; a SYN that cannot be of
 * the old connection opens a new one where somebody listens (RFC 9293 MAY-2, RFC 6191). */
enum xw_drop xw_tcp_in_time_wait(struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    const struct xw_tcp_hdr *h = &rx->h;
    struct xw_tcp_stack *s = c->stk;
    if (h->flags & XW_TCP_RST)
        return XW_DROP_TCP_RST_SEQ;
    if (h->flags & XW_TCP_SYN) {
        bool newer = c->ts_on && (h->opts & XW_TCP_OPT_TS) ? (int32_t)(h->ts_val - c->ts_recent) > 0
                                                           : xw_seq_gt(h->seq, c->rcv_nxt);
        if (!(h->flags & XW_TCP_ACK) && newer && xw_tcp_demux_listener(s, c->tuple.local_ip, c->tuple.local_port)) {
            const struct xw_tcp_tuple t = c->tuple;
            xw_tcp_close_now(c, 0);
            return xw_tcp_in_unknown(s, &t, rx);
        }
        xw_tcp_answer(c, rx->now);
        return XW_DROP_TCP_SYN_SYNC;
    }
    if (!rx->data.len && !(h->flags & XW_TCP_FIN)) {
        if (xw_seq_in(h->seq, c->rcv_nxt, c->last_wnd + 1))
            return XW_DROP_NONE;
        xw_tcp_answer(c, rx->now); /* 3.10.7.4, first: not acceptable */
        return XW_DROP_TCP_SEQ;
    }
    xw_tcp_answer(c, rx->now);
    if (xw_seq_gt(xw_seq_add(h->seq, seg_len(rx)), c->rcv_nxt))
        return XW_DROP_TCP_AFTER_FIN;
    if (h->flags & XW_TCP_FIN)
        xw_tcp_timer_set(c, XW_TCP_T_WAIT, rx->now + c->opts.time_wait_ns);
    return XW_DROP_TCP_DUP;
}
