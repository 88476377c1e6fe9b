/* tcp/ack.c: what an acknowledgment does: the left edge of the send window, the window itself, round-trip samples, the
 * scoreboard, and the states that wait for our FIN to be acknowledged. */
#include "tcp/tcp_priv.h"

/* Drops records that are acknowledged. Returns the RTT sample, 0 if there is none: the latest transmission among those
 * that were sent once (Karn) and not reported earlier. */
static uint64_t pop_records(struct xw_tcp *c, struct xw_seq ack, uint64_t now) {
    uint64_t rtt = 0;
    while (c->rec_cnt) {
        struct xw_tcp_rec *r = xw_tcp_rec_at(c, 0);
        if (xw_seq_le(ack, r->lo))
            break;
        bool whole = xw_seq_ge(ack, xw_seq_add(r->lo, r->len));
        uint32_t n = whole ? r->len : xw_seq_dist(ack, r->lo);
        if (r->flags & XW_TCP_REC_LOST)
            c->lost_bytes -= n;
        if (r->flags & XW_TCP_REC_SACKED) {
            c->sacked_bytes -= n;
            c->sacked_recs -= whole;
        } else {
            xw_tcp_rec_delivered(c, r, now);
            if (!(r->flags & XW_TCP_REC_RETX)) {
                rtt = now - r->sent_ns > 0 ? now - r->sent_ns : 1;
                if (xw_seq_lt(r->lo, c->high_sacked))
                    c->reo_seen = true;
            }
        }
        if (!whole) {
            r->lo = ack;
            r->len -= n;
            break;
        }
        c->rec_head = (c->rec_head + 1) & (c->stk->cfg.tx_records - 1);
        c->rec_cnt--;
    }
    return rtt;
}

/* RFC 7323 4.3: with timestamps a retransmitted segment gives a sample too, in ms. */
uint64_t xw_tcp_ts_sample(const struct xw_tcp *c, const struct xw_tcp_hdr *h, uint64_t now) {
    if (!c->ts_on || !(h->opts & XW_TCP_OPT_TS) || !h->ts_ecr)
        return 0;
    uint32_t ms = xw_tcp_ts_now(c, now) - h->ts_ecr;
    return ms > 600000 ? 0 : (ms ? ms : 1) * XW_NS_PER_MS; /* an echo of ten minutes ago is none */
}

/* Returns the RTT sample, 0: none. */
static uint64_t new_data_acked(struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    struct xw_seq ack = rx->h.ack;
    uint64_t off = xw_tcp_off_of(c, ack), rtt = pop_records(c, ack, rx->now);
    if (off > c->snd->tail)
        off = c->snd->tail; /* the FIN has no octet */
    if (off > c->snd->head) {
        xw_bytering_consume(c->snd, off - c->snd->head);
        xw_tcp_event(c, XW_TCP_EV_WRITABLE);
    }
    c->snd_una = ack;
    c->high_sacked = xw_seq_max(c->high_sacked, ack);
    c->retries = 0;
    c->soft_error = 0;
    return rtt;
}

/* RFC 9293 3.10.7.4: only from a segment that is not older than the one that set the window. One that acknowledges new
 * data was sent later whatever its sequence number (it may be a retransmission), and it must count: the left edge moved,
 * and the window that was offered from the old one would reach further than the peer ever said. */
static void update_window(struct xw_tcp *c, const struct xw_tcp_hdr *h, bool newer) {
    if (!newer && (xw_seq_gt(c->wl1, h->seq) || (xw_seq_eq(c->wl1, h->seq) && xw_seq_gt(c->wl2, h->ack))))
        return;
    uint32_t was = c->snd_wnd;
    c->snd_wnd = (uint32_t)h->window << c->snd_wscale;
    c->wl1 = xw_seq_max(c->wl1, h->seq);
    c->wl2 = h->ack;
    if (c->snd_wnd > c->max_snd_wnd)
        c->max_snd_wnd = c->snd_wnd;
    if (!c->snd_wnd) {
        c->st.zero_windows += was != 0;
    } else if (!was) {
        if (c->probing) /* what went out against the closed window was thrown away, most likely */
            for (uint32_t i = 0; i < c->rec_cnt; i++)
                xw_tcp_rec_mark_lost(c, xw_tcp_rec_at(c, i));
        c->fast_rtx = c->fast_rtx || (c->probing && c->rec_cnt);
        c->probing = false;
        c->backoff = 0;
    }
}

static void our_fin_acked(struct xw_tcp *c, uint64_t now) {
    if (c->state == XW_TCP_FIN_WAIT_1)
        xw_tcp_set_state(c, XW_TCP_FIN_WAIT_2);
    else if (c->state == XW_TCP_CLOSING)
        xw_tcp_enter_time_wait(c, now);
    else if (c->state == XW_TCP_LAST_ACK)
        xw_tcp_close_now(c, 0);
}

enum xw_drop xw_tcp_ack_in(struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    const struct xw_tcp_hdr *h = &rx->h;
    if (xw_seq_gt(h->ack, c->snd_nxt)) {
        xw_tcp_answer(c, rx->now);
        return XW_DROP_TCP_ACK_FUTURE;
    }
    if (xw_seq_lt(h->ack, xw_seq_sub(c->snd_una, c->max_snd_wnd))) { /* RFC 5961 5.2 */
        xw_tcp_answer(c, rx->now);
        return XW_DROP_TCP_ACK_OLD;
    }
    if (!c->snd_wnd)
        c->retries = 0; /* a probe was answered */
    struct xw_tcp_acked a = { 0 };
    uint32_t arrived = c->sacked_bytes;
    uint64_t rtt = 0;
    /* RFC 5681 2: a duplicate ACK */
    a.dup = xw_seq_eq(h->ack, c->snd_una) && c->rec_cnt && !rx->data.len && !(h->flags & XW_TCP_FIN) &&
               (uint32_t)h->window << c->snd_wscale == c->snd_wnd && c->snd_wnd;
    c->st.dup_acks += a.dup;
    if (xw_seq_gt(h->ack, c->snd_una)) {
        a.acked = xw_seq_dist(h->ack, c->snd_una);
        rtt = new_data_acked(c, rx);
    }
    a.newly_sacked = xw_tcp_sack_in(c, rx); /* after: one ACK says nothing about order in itself */
    if (!rtt && c->sack_rtt_ns != UINT64_MAX)
        rtt = c->sack_rtt_ns ? c->sack_rtt_ns : 1;
    if (!rtt && a.acked)
        rtt = xw_tcp_ts_sample(c, h, rx->now);
    if (rtt)
        xw_tcp_rtt_sample(c, rtt);
    a.delivered = a.acked + c->sacked_bytes - arrived;
    if (xw_seq_ge(h->ack, c->snd_una))
        update_window(c, h, a.acked > 0);
    c->tlp_due = c->tlp_due && !a.acked;
    const struct xw_tcp_sack *dsack = c->sack_on ? xw_tcp_sack_dsack(h) : NULL;
    if (dsack) {
        xw_tcp_undo_dsack(c, dsack);
        xw_tcp_recovery_dsack(c);
    }
    xw_tcp_recovery_tlp(c, rx);
    if (c->undo.armed)
        xw_tcp_undo_try(c, h, a.acked, rx->now);
    xw_tcp_recovery_on_ack(c, &a, rx->now);
    if (a.delivered) {
        c->tlp_backoff = 0;
        xw_tcp_timer_set(c, XW_TCP_T_TLP, XW_NEVER); /* anew */
    }
    xw_tcp_timer_rearm_tx(c, a.acked > 0, rx->now);
    xw_tcp_kick(c);
    if (c->fin_sent && xw_seq_eq(c->snd_una, c->snd_nxt))
        our_fin_acked(c, rx->now);
    return XW_DROP_NONE;
}
