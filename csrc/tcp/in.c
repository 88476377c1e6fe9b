/* tcp/in.c: received segments, in the order of RFC 9293 3.10.7.4 with the checks of RFC 5961 and RFC 7323. */
#include "tcp/tcp_priv.h"

void xw_tcp_answer(struct xw_tcp *c, uint64_t now) {
    if (now - c->chal_ns >= XW_NS_PER_S) {
        c->chal_ns = now;
        c->chal_left = c->stk->cfg.challenge_per_s;
    }
    if (!c->chal_left) {
        xw_tcp_drop(c->stk, XW_DROP_TCP_CHALLENGE_RATE);
        return;
    }
    c->chal_left--;
    c->ack_now = true;
    xw_tcp_kick(c);
}

/* ---- fast path --------------------------------------------------------------------------------------------------- */

/* The next data of an established stream and nothing else. Conditions: ESTABLISHED and the owner reads; ACK, maybe
 * PSH, no other flag; exactly the timestamp option if negotiated, none if not, and not older than the last; begins at
 * rcv_nxt, no holes, no FIN known, fits the ring; acknowledges nothing new and leaves the (open) window as it is. */
static bool fast_path(struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    const struct xw_tcp_hdr *h = &rx->h;
    if (c->state != XW_TCP_ESTABLISHED || !c->stk->cfg.fast_path ||
        (h->flags & ~XW_TCP_PSH) != XW_TCP_ACK || !xw_seq_eq(h->seq, c->rcv_nxt) || !xw_seq_eq(h->ack, c->snd_una) ||
        !rx->data.len || h->opts != (c->ts_on ? XW_TCP_OPT_TS : 0) || c->ooo_cnt || c->fin_known || c->rcv_closed ||
        !c->snd_wnd || (uint32_t)h->window << c->snd_wscale != c->snd_wnd || rx->data.len > xw_tcp_rcv_room(c))
        return false;
    if (c->ts_on) {
        if ((int32_t)(h->ts_val - c->ts_recent) < 0)
            return false;
        if (xw_seq_le(h->seq, c->last_ack_sent)) {
            c->ts_recent = h->ts_val;
            c->ts_recent_ns = rx->now;
        }
    }
    c->wl1 = h->seq;
    c->wl2 = h->ack;
    uint32_t n = (uint32_t)rx->data.len;
    xw_bytering_write(c->rcv, rx->data.p, n);
    xw_tcp_stamp_put(c, c->rcv->tail, rx->stamp);
    c->rcv_nxt = xw_seq_add(c->rcv_nxt, n);
    c->st.bytes_in += n;
    c->st.fast_hits++;
    xw_tcp_event(c, XW_TCP_EV_READABLE);
    c->dup_run = 0;
    c->owes = false; /* whatever the segment before left */
    xw_tcp_ack_policy(c, n, rx->now);
    xw_tcp_kick(c);
    return true;
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

/* RFC 7323 5.5: a timestamp older than 24 days says nothing. */
#define TS_VALID_NS (24ull * 24 * 3600 * XW_NS_PER_S)

static enum xw_drop check_ts(struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    if (!c->ts_on || (rx->h.flags & XW_TCP_RST)) /* RFC 7323 5.2: resets are not subject to it */
        return XW_DROP_NONE;
    if (!(rx->h.opts & XW_TCP_OPT_TS))
        return XW_DROP_TCP_NO_TS; /* 3.2 */
    if ((int32_t)(rx->h.ts_val - c->ts_recent) >= 0 || rx->now - c->ts_recent_ns > TS_VALID_NS)
        return XW_DROP_NONE;
    xw_tcp_answer(c, rx->now); /* 5.3 R1 */
    return XW_DROP_TCP_PAWS;
}

/* RFC 9293 3.10.7.4, first: does the segment touch the window? An empty one may also stand at its right edge: a peer
 * that filled the window acknowledges from there, also while we wait for a retransmission. With a closed window the
 * segment at the left edge passes: its data is cut off, its ACK counts. */
static bool acceptable(const struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    uint32_t wnd = xw_tcp_rcv_room(c);
    uint32_t len = (uint32_t)rx->data.len + !!(rx->h.flags & XW_TCP_FIN) + !!(rx->h.flags & XW_TCP_SYN);
    struct xw_seq seq = rx->h.seq;
    if (!len)
        return xw_seq_in(seq, c->rcv_nxt, wnd + 1);
    if (!wnd)
        return xw_seq_eq(seq, c->rcv_nxt);
    return xw_seq_in(seq, c->rcv_nxt, wnd) || xw_seq_in(xw_seq_add(seq, len - 1), c->rcv_nxt, wnd);
}

/* Not acceptable: the peer is told where we are. What carries data or a FIN was not sent in answer to our ACK, so only
 * empty segments count against the rate: no two stacks can keep each other busy. */
static enum xw_drop unacceptable(struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    bool old = xw_seq_lt(rx->h.seq, c->rcv_nxt);
    if (rx->h.flags & XW_TCP_RST)
        return XW_DROP_TCP_RST_SEQ;
    if ((!rx->data.len && !(rx->h.flags & XW_TCP_FIN)) || (rx->h.flags & XW_TCP_SYN)) {
        xw_tcp_answer(c, rx->now);
    } else {
        c->ack_now = true;
        if (old)
            xw_tcp_note_dsack(c, rx->h.seq, (uint32_t)rx->data.len);
        xw_tcp_kick(c);
    }
    if (old && rx->data.len) {
        c->st.dup_segs++;
        xw_tcp_came_twice(c);
    }
    return rx->h.flags & XW_TCP_SYN ? XW_DROP_TCP_SYN_SYNC : old && rx->data.len ? XW_DROP_TCP_DUP : XW_DROP_TCP_SEQ;
}

/* RFC 5961 3.2: only a reset at exactly rcv_nxt ends the connection, one elsewhere in the window that was offered is
 * answered, so that a peer that means it can say it again. */
static enum xw_drop in_rst(struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    if (!xw_seq_eq(rx->h.seq, c->rcv_nxt)) {
        if (xw_seq_lt(rx->h.seq, c->rcv_adv))
            xw_tcp_answer(c, rx->now);
        return XW_DROP_TCP_RST_SEQ;
    }
    bool nothing_lost = (c->state == XW_TCP_CLOSING || c->state == XW_TCP_LAST_ACK) && !xw_bytering_len(c->snd);
    bool refused = c->state == XW_TCP_SYN_RCVD && !c->passive;
    xw_tcp_close_now(c, nothing_lost ? 0 : refused ? XW_EREFUSED : XW_ERESET);
    return XW_DROP_NONE;
}

/* ---- SYN-RECEIVED ------------------------------------------------------------------------------------------------ */

/* The SYN that opened the connection, again. In a simultaneous open it now bears an ACK: taken without its SYN. */
static enum xw_drop repeated_syn(struct xw_tcp *c, struct xw_tcp_rx *rx) {
    if (rx->h.flags & XW_TCP_ACK) {
        rx->h.flags &= (uint8_t)~XW_TCP_SYN;
        rx->h.seq = xw_seq_add(rx->h.seq, 1);
        rx->h.window = (uint16_t)(rx->h.window >> c->snd_wscale); /* in a SYN it is not scaled (RFC 7323 2.2) */
        return XW_DROP_NONE;
    }
    c->syn_due = c->syn_retx = true;
    xw_tcp_kick(c);
    return XW_DROP_TCP_DUP;
}

/* ---- synchronized states ----------------------------------------------------------------------------------------- */

static enum xw_drop in_data(struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    bool fin = rx->h.flags & XW_TCP_FIN;
    if (!rx->data.len && !fin)
        return XW_DROP_NONE;
    if (c->rcv_closed && xw_seq_gt(xw_seq_add(rx->h.seq, (uint32_t)rx->data.len), c->rcv_nxt) && rx->data.len) {
        xw_tcp_send_rst(c, rx->now); /* RFC 9293 3.6.1 MAY-1: the peer must learn that its data is lost */
        xw_tcp_close_now(c, XW_ECLOSED);
        return XW_DROP_TCP_RCV_CLOSED;
    }
    xw_tcp_kick(c);
    return xw_tcp_data_in(c, rx->h.seq, rx->data, fin, rx->stamp, rx->now);
}

static enum xw_drop in_synchronized(struct xw_tcp *c, struct xw_tcp_rx *rx) {
    enum xw_drop d = check_ts(c, rx);
    if (d != XW_DROP_NONE)
        return d;
    bool syn_rcvd = c->state == XW_TCP_SYN_RCVD;
    if (syn_rcvd && (rx->h.flags & (XW_TCP_SYN | XW_TCP_RST)) == XW_TCP_SYN && xw_seq_eq(rx->h.seq, c->irs)) {
        d = repeated_syn(c, rx);
        if (d != XW_DROP_NONE)
            return d;
    }
    if (!acceptable(c, rx))
        return unacceptable(c, rx);
    if (rx->h.flags & XW_TCP_RST)
        return in_rst(c, rx);
    if (rx->h.flags & XW_TCP_SYN) { /* RFC 5961 4.2 */
        xw_tcp_answer(c, rx->now);
        return XW_DROP_TCP_SYN_SYNC;
    }
    if (!(rx->h.flags & XW_TCP_ACK))
        return XW_DROP_TCP_NO_ACK;
    if (syn_rcvd) {
        if (!xw_seq_eq(rx->h.ack, c->snd_nxt)) {
            xw_tcp_reply_push(c->stk, &c->tuple, rx->h.ack, xw_seq(0), XW_TCP_RST);
            return XW_DROP_TCP_ACK_FUTURE;
        }
        xw_tcp_established(c, rx, (uint32_t)rx->h.window << c->snd_wscale);
    }
    d = xw_tcp_ack_in(c, rx);
    if (d != XW_DROP_NONE || c->state == XW_TCP_CLOSED)
        return d;
    if (c->ts_on && xw_seq_le(rx->h.seq, c->last_ack_sent)) { /* RFC 7323 4.3 (2); its ACK was not refused */
        c->ts_recent = rx->h.ts_val;
        c->ts_recent_ns = rx->now;
    }
    if (c->state == XW_TCP_TIME_WAIT)
        return d;
    return in_data(c, rx);
}

static enum xw_drop dispatch(struct xw_tcp *c, struct xw_tcp_rx *rx) {
    switch (c->state) {
    case XW_TCP_SYN_SENT:
        return xw_tcp_in_syn_sent(c, rx);
    case XW_TCP_TIME_WAIT:
        return xw_tcp_in_time_wait(c, rx);
    case XW_TCP_CLOSED:
        break; /* not in the hash */
    case XW_TCP_SYN_RCVD: case XW_TCP_ESTABLISHED: case XW_TCP_FIN_WAIT_1: case XW_TCP_FIN_WAIT_2:
    case XW_TCP_CLOSE_WAIT: case XW_TCP_CLOSING: case XW_TCP_LAST_ACK:
        return in_synchronized(c, rx);
    }
    return XW_DROP_TCP_CLOSED;
}

enum xw_drop xw_tcp_input(struct xw_tcp_stack *s, uint32_t src_ip, uint32_t dst_ip, struct xw_span segment,
                          bool verify_csum, const struct xw_rxstamp *stamp, uint64_t now_ns) {
    struct xw_tcp_rx rx;
    enum xw_drop d = xw_tcp_parse(segment, src_ip, dst_ip, verify_csum, &rx.h);
    if (d != XW_DROP_NONE)
        return xw_tcp_drop(s, d);
    rx.data = xw_span_from(segment, rx.h.hdr_len);
    rx.stamp = stamp;
    rx.now = now_ns;
    const struct xw_tcp_tuple t = { dst_ip, src_ip, rx.h.dst_port, rx.h.src_port };
    struct xw_tcp *c = xw_tcp_demux_find(s, &t);
    if (!c)
        return xw_tcp_drop(s, xw_tcp_in_unknown(s, &t, &rx));
    s->last = c;
    c->st.segs_in++;
    c->idle_ns = now_ns - c->last_rx_ns;
    c->last_rx_ns = now_ns;
    if (fast_path(c, &rx))
        return XW_DROP_NONE;
    return xw_tcp_drop(s, dispatch(c, &rx)); /* c may be gone */
}

/* The room that the owner made is told when it is worth a segment: half the buffer or two segments, whichever is
 * less. */
void xw_tcp_consumed(struct xw_tcp *c, uint64_t now_ns) {
    (void)now_ns;
    if (!xw_tcp_can_receive(c->state) || c->fin_rcvd)
        return;
    uint32_t room = xw_tcp_rcv_room(c), worth = 2 * (c->path_mtu - 40), cap = xw_tcp_rcv_cap(c);
    if (room > (uint32_t)UINT16_MAX << c->rcv_wscale)
        room = (uint32_t)UINT16_MAX << c->rcv_wscale; /* more cannot be said */
    if (worth > cap / 2)
        worth = cap / 2;
    int32_t ahead = xw_seq_diff(c->rcv_adv, c->rcv_nxt);
    uint32_t offered = ahead > 0 ? (uint32_t)ahead : 0;
    if (room >= offered + worth) {
        c->ack_now = true;
        xw_tcp_kick(c);
    }
}
