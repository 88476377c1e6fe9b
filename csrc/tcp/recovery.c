/* tcp/recovery.c: which segments are lost, and when a loss episode begins and ends.
 *
 * With SACK a segment is lost when three later ones arrived (RFC 6675, as long as the path was not seen to reorder), or
 * when one sent a reordering window later did (RACK, RFC 8985 6.2), which also finds lost retransmissions. Without SACK
 * the third duplicate ACK and each partial ACK name the first one (RFC 6582). A timeout takes all for lost. Lost
 * segments leave the pipe; out.c sends them again, then new data, while the pipe is below cwnd: that is limited
 * transmit (RFC 3042), fast recovery and go-back-N in one. Not here: undo of spurious episodes, PRR. */
#include "tcp/tcp_priv.h"

struct xw_tcp_rec *xw_tcp_rec_at(const struct xw_tcp *c, uint32_t i) {
    return &c->rec[(c->rec_head + i) & (c->stk->cfg.tx_records - 1)];
}

struct xw_tcp_rec *xw_tcp_rec_push(struct xw_tcp *c) {
    XW_ASSERT(c->rec_cnt < c->stk->cfg.tx_records);
    return xw_tcp_rec_at(c, c->rec_cnt++);
}

bool xw_tcp_rec_split(struct xw_tcp *c, uint32_t i, uint32_t len) {
    if (c->rec_cnt == c->stk->cfg.tx_records)
        return false;
    c->rec_cnt++;
    for (uint32_t k = c->rec_cnt - 1; k > i + 1; k--)
        *xw_tcp_rec_at(c, k) = *xw_tcp_rec_at(c, k - 1);
    struct xw_tcp_rec *a = xw_tcp_rec_at(c, i), *b = xw_tcp_rec_at(c, i + 1);
    XW_ASSERT(len && len < a->len);
    *b = *a;
    b->lo = xw_seq_add(a->lo, len);
    b->len = a->len - len;
    a->len = len;
    a->flags &= ~XW_TCP_REC_FIN;
    c->sacked_recs += (a->flags & XW_TCP_REC_SACKED) != 0;
    return true;
}

void xw_tcp_rec_mark_lost(struct xw_tcp *c, struct xw_tcp_rec *r) {
    if (r->flags & (XW_TCP_REC_LOST | XW_TCP_REC_SACKED))
        return;
    r->flags |= XW_TCP_REC_LOST;
    c->lost_bytes += r->len;
}

/* RFC 8985 6.2 step 2. An ACK that comes sooner than any round trip answers an earlier transmission. */
void xw_tcp_rec_delivered(struct xw_tcp *c, const struct xw_tcp_rec *r, uint64_t now) {
    uint64_t rtt = now - r->sent_ns;
    if ((r->flags & XW_TCP_REC_RETX) && rtt < c->min_rtt_ns)
        return;
    struct xw_seq end = xw_seq_add(r->lo, r->len);
    if (r->sent_ns > c->rack_ns || (r->sent_ns == c->rack_ns && xw_seq_gt(end, c->rack_end))) {
        c->rack_ns = r->sent_ns;
        c->rack_end = end;
    }
    if (r->sent_ns == c->rack_ns)
        c->rack_rtt_ns = rtt;
}

uint32_t xw_tcp_pipe(const struct xw_tcp *c) {
    if (!c->rec_cnt)
        return 0;
    uint32_t out = xw_seq_dist(c->snd_nxt, c->snd_una) - c->sacked_bytes - c->lost_bytes;
    if (c->sack_on)
        return out;
    uint32_t left = c->dup_acks > 1000 ? UINT32_MAX : c->dup_acks * xw_tcp_mss_now(c);
    return out > left ? out - left : 0;
}

static void enter_recovery(struct xw_tcp *c, uint64_t now) {
    if (c->ca != XW_TCP_CA_OPEN)
        return;
    c->ca = XW_TCP_CA_RECOVERY;
    c->recover = c->snd_nxt;
    c->cc.ops->on_loss(&c->cc, xw_tcp_mss_now(c), xw_seq_dist(c->snd_nxt, c->snd_una), now);
    c->fast_rtx = true; /* RFC 6675 5 (4.3): the first retransmission does not wait for the pipe */
    c->st.fast_retransmits++;
}

/* RFC 8985 6.2 step 4: how much later another segment must have been sent. */
static uint64_t reo_wnd(const struct xw_tcp *c) {
    if (!c->reo_seen && (c->ca != XW_TCP_CA_OPEN || c->sacked_recs >= 3))
        return 0;
    uint64_t w = c->min_rtt_ns == UINT64_MAX ? XW_NS_PER_MS : c->min_rtt_ns / 4;
    return c->srtt_ns && w > c->srtt_ns ? c->srtt_ns : w;
}

/* Marks what is lost by now and sets the timer for what may be soon. */
void xw_tcp_recovery_detect(struct xw_tcp *c, uint64_t now) {
    uint32_t above = 0, was = c->lost_bytes;
    uint64_t wnd = reo_wnd(c), next = XW_NEVER;
    if (!c->sack_on)
        return;
    for (uint32_t i = c->rec_cnt; i--;) {
        struct xw_tcp_rec *r = xw_tcp_rec_at(c, i);
        if (r->flags & XW_TCP_REC_SACKED) {
            above++;
            continue;
        }
        if (r->flags & XW_TCP_REC_LOST)
            continue;
        bool retx = r->flags & XW_TCP_REC_RETX;
        if (above >= 3 && !retx && !c->reo_seen) {
            xw_tcp_rec_mark_lost(c, r);
            continue;
        }
        if (!c->rack_ns || r->sent_ns > c->rack_ns ||
            (r->sent_ns == c->rack_ns && xw_seq_gt(xw_seq_add(r->lo, r->len), c->rack_end)))
            continue; /* nothing sent after it is known to have arrived */
        uint64_t at = r->sent_ns + c->rack_rtt_ns + wnd;
        if (at <= now)
            xw_tcp_rec_mark_lost(c, r);
        else if (at < next)
            next = at;
    }
    xw_tcp_timer_set(c, XW_TCP_T_REO, next);
    if (c->lost_bytes > was)
        enter_recovery(c, now);
}

/* RFC 6582 3.2 in terms of the pipe: a duplicate ACK takes one segment out of it, a partial ACK names the next lost
 * one. */
static void reno_on_ack(struct xw_tcp *c, uint32_t acked, bool dup, uint64_t now) {
    if (dup && ++c->dup_acks == 3 && c->ca == XW_TCP_CA_OPEN && xw_seq_gt(c->snd_una, c->recover)) {
        xw_tcp_rec_mark_lost(c, xw_tcp_rec_at(c, 0));
        enter_recovery(c, now);
    }
    if (!acked)
        return;
    if (c->ca != XW_TCP_CA_RECOVERY) {
        c->dup_acks = 0;
        return;
    }
    uint32_t segs = acked / xw_tcp_mss_now(c);
    c->dup_acks -= segs > 1 ? (segs - 1 < c->dup_acks ? segs - 1 : c->dup_acks) : 0;
    if (c->rec_cnt && !(xw_tcp_rec_at(c, 0)->flags & XW_TCP_REC_RETX)) {
        xw_tcp_rec_mark_lost(c, xw_tcp_rec_at(c, 0));
        c->fast_rtx = true;
    }
}

/* Called after snd_una and the scoreboard are up to date. */
void xw_tcp_recovery_on_ack(struct xw_tcp *c, uint32_t acked, uint32_t newly_sacked, bool dup, uint64_t now) {
    bool growing = c->ca != XW_TCP_CA_RECOVERY;
    if (c->ca != XW_TCP_CA_OPEN && xw_seq_ge(c->snd_una, c->recover)) {
        c->ca = XW_TCP_CA_OPEN;
        c->dup_acks = 0;
        c->fast_rtx = false;
    }
    if (!c->sack_on)
        reno_on_ack(c, acked, dup, now);
    else if (c->rec_cnt && (newly_sacked || c->sacked_bytes || c->ca != XW_TCP_CA_OPEN))
        xw_tcp_recovery_detect(c, now);
    else
        xw_tcp_timer_set(c, XW_TCP_T_REO, XW_NEVER);
    if (acked && growing && c->ca != XW_TCP_CA_RECOVERY && c->cwnd_limited)
        c->cc.ops->on_ack(&c->cc, xw_tcp_mss_now(c), acked, now);
}

/* RFC 8985 7.4. A duplicate is reported by a block at or below the ACK (RFC 2883). */
void xw_tcp_recovery_tlp(struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    if (!c->tlp_out || xw_seq_lt(c->snd_una, c->tlp_end))
        return;
    bool dsack = (rx->h.opts & XW_TCP_OPT_SACK) && xw_seq_le(rx->h.sack[0].hi, rx->h.ack);
    c->tlp_out = false;
    if (c->tlp_retx && !dsack && c->ca == XW_TCP_CA_OPEN)
        c->cc.ops->on_loss(&c->cc, xw_tcp_mss_now(c), c->cc.cwnd, rx->now);
}

void xw_tcp_recovery_on_rto(struct xw_tcp *c, uint64_t now) {
    uint32_t flight = c->rec_cnt ? xw_seq_dist(c->snd_nxt, c->snd_una) : 0;
    if (!c->rec_cnt)
        return;
    if (xw_tcp_rec_at(c, 0)->flags & XW_TCP_REC_SACKED)
        xw_tcp_sack_forget(c); /* reported but never acknowledged: the peer threw it away (RFC 2018 8) */
    for (uint32_t i = 0; i < c->rec_cnt; i++)
        xw_tcp_rec_mark_lost(c, xw_tcp_rec_at(c, i));
    c->cc.ops->on_rto(&c->cc, xw_tcp_mss_now(c), flight, c->retries == 1, now);
    c->ca = XW_TCP_CA_LOSS;
    c->recover = c->snd_nxt;
    c->dup_acks = 0;
    c->tlp_out = c->tlp_due = false;
    c->fast_rtx = true;
    xw_tcp_timer_set(c, XW_TCP_T_REO, XW_NEVER);
}
