/* tcp/recovery.c: which segments are lost, when a loss episode begins and ends, and what may be sent in it.
 *
 * With SACK a segment is lost when three later ones arrived (RFC 6675, as long as the path was not seen to reorder), or
 * when one sent a reordering window later did (RACK, RFC 8985 6.2), which also finds lost retransmissions. Without SACK
 * the third duplicate ACK and each partial ACK name the first one (RFC 6582). A timeout takes what was sent a round trip
 * ago for lost. Lost segments leave the pipe; out.c sends them again, then new data, while the pipe is below cwnd: that
 * is limited transmit (RFC 3042), fast recovery and go-back-N in one. Within a recovery cwnd follows what is delivered
 * (PRR, RFC 6937). */
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

/* ---- proportional rate reduction (RFC 6937, with the safe ACKs of its successor, RFC 9937) ------------------------- */

static bool prr_used(const struct xw_tcp *c) { return c->sack_on && c->cc.ops->bounded && c->ca == XW_TCP_CA_RECOVERY; }

/* cwnd so that over the episode ssthresh / flight segments leave for each that arrives; below ssthresh as in slow start
 * while the left edge moves and nothing more is lost, else one for one. */
static void prr_on_ack(struct xw_tcp *c, uint32_t delivered, bool safe) {
    struct xw_tcp_prr *p = &c->prr;
    uint32_t pipe = xw_tcp_pipe(c), mss = xw_tcp_mss_now(c), ssthresh = c->cc.ssthresh;
    if (!prr_used(c) || !delivered)
        return;
    p->delivered += delivered;
    uint64_t send = 0;
    if (pipe > ssthresh) {
        uint64_t share = ((uint64_t)p->delivered * ssthresh + p->flight - 1) / p->flight;
        send = share > p->out ? share - p->out : 0;
    } else {
        send = p->delivered > p->out ? p->delivered - p->out : 0;
        send = (send > delivered ? send : delivered) + (safe ? mss : 0);
        send = send < ssthresh - pipe ? send : ssthresh - pipe;
    }
    if (!p->out && send < mss)
        send = mss; /* the first retransmission */
    c->cc.cwnd = pipe + send > mss ? pipe + (uint32_t)send : mss;
}

/* ---- episodes ---------------------------------------------------------------------------------------------------- */

static void enter_recovery(struct xw_tcp *c) {
    uint32_t flight = xw_seq_dist(c->snd_nxt, c->snd_una);
    if (c->ca != XW_TCP_CA_OPEN)
        return;
    xw_tcp_undo_begin(c);
    c->ca = XW_TCP_CA_RECOVERY;
    c->recover = c->snd_nxt;
    c->prr = (struct xw_tcp_prr){ .flight = flight };
    c->cc.ops->on_loss(&c->cc, xw_tcp_mss_now(c), flight);
    c->fast_rtx = true; /* RFC 6675 5 (4.3): the first retransmission does not wait for the pipe */
    c->st.fast_retransmits++;
}

static void leave(struct xw_tcp *c) {
    if (prr_used(c))
        c->cc.cwnd = c->cc.ssthresh; /* RFC 6937 3 */
    if (c->ca == XW_TCP_CA_RECOVERY && c->reo_persist && !--c->reo_persist)
        c->reo_mult = 1;
    c->ca = XW_TCP_CA_OPEN;
    c->dup_acks = 0;
    c->fast_rtx = false;
    c->undo.until = c->snd_nxt;
    c->undo.over = true;
}

/* RFC 8985 6.2 step 4: how much later another segment must have been sent. */
static uint64_t reo_wnd(const struct xw_tcp *c) {
    if (!c->reo_seen && (c->ca != XW_TCP_CA_OPEN || c->sacked_recs >= 3))
        return 0;
    uint64_t w = c->min_rtt_ns == UINT64_MAX ? XW_NS_PER_MS : c->min_rtt_ns / 4;
    w *= c->reo_mult ? c->reo_mult : 1;
    return c->srtt_ns && w > c->srtt_ns ? c->srtt_ns : w;
}

/* RFC 8985 6.2 step 4: a quarter of the round trip more, once a round, for the next 16 recoveries. */
void xw_tcp_recovery_dsack(struct xw_tcp *c) {
    if (c->reo_round_on || (c->tlp_out && c->tlp_retx)) /* of a probe: no sign of a window too narrow */
        return;
    c->reo_round_on = true;
    c->reo_round = c->snd_nxt;
    c->reo_mult = (uint8_t)(c->reo_mult < 255 ? (c->reo_mult ? c->reo_mult : 1) + 1 : 255);
    c->reo_persist = 16;
}

/* Marks what is lost by now and sets the timer for what may be soon. True: something was marked. */
static bool detect(struct xw_tcp *c, uint64_t now) {
    uint32_t above = 0, was = c->lost_bytes;
    uint64_t wnd = reo_wnd(c), next = XW_NEVER;
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
    if (c->lost_bytes <= was)
        return false;
    enter_recovery(c);
    return true;
}

/* An episode that begins by time: what was reported while the timer ran is what it has delivered. */
void xw_tcp_recovery_reo_timer(struct xw_tcp *c, uint64_t now) {
    bool begins = c->ca == XW_TCP_CA_OPEN;
    if (c->sack_on && detect(c, now) && begins)
        prr_on_ack(c, c->sacked_bytes, true);
}

/* RFC 6582 3.2 in terms of the pipe: a duplicate ACK takes one segment out of it, a partial ACK names the next lost
 * one. */
static void reno_on_ack(struct xw_tcp *c, uint32_t acked, bool dup) {
    if (dup && c->dup_acks >= c->rec_cnt)
        dup = false; /* no more can have left the network than was in it (RFC 5681 3.2 note; Savage et al.) */
    if (dup && ++c->dup_acks == 3 && c->ca == XW_TCP_CA_OPEN && xw_seq_gt(c->snd_una, c->recover)) {
        xw_tcp_rec_mark_lost(c, xw_tcp_rec_at(c, 0));
        enter_recovery(c);
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

/* The window grows only while it is used (RFC 5681 3.1, RFC 7661 3.1); in slow start half of it is enough, so that it is
 * twice what was in flight. */
static bool window_used(const struct xw_tcp *c) {
    return c->cwnd_limited || (c->cc.cwnd < c->cc.ssthresh && c->cc.cwnd / 2 < c->max_flight);
}

/* Called after snd_una and the scoreboard are up to date. */
void xw_tcp_recovery_on_ack(struct xw_tcp *c, const struct xw_tcp_acked *a, uint64_t now) {
    bool growing = c->ca != XW_TCP_CA_RECOVERY, more_lost = false;
    uint32_t counted = a->acked;
    if (c->ca == XW_TCP_CA_LOSS && counted > 2 * xw_tcp_mss_now(c))
        counted = 2 * xw_tcp_mss_now(c); /* RFC 3465 2.3: it may acknowledge what left the network long ago */
    if (c->ca != XW_TCP_CA_OPEN && xw_seq_ge(c->snd_una, c->recover))
        leave(c);
    if (c->reo_round_on && xw_seq_ge(c->snd_una, c->reo_round))
        c->reo_round_on = false;
    if (c->undo.over && xw_seq_gt(c->snd_una, c->undo.until))
        c->undo.armed = c->undo.over = false;
    if (!c->sack_on)
        reno_on_ack(c, a->acked, a->dup);
    else if (c->rec_cnt && (a->newly_sacked || c->sacked_bytes || c->ca != XW_TCP_CA_OPEN))
        more_lost = detect(c, now);
    else
        xw_tcp_timer_set(c, XW_TCP_T_REO, XW_NEVER);
    prr_on_ack(c, a->delivered, a->acked && !more_lost);
    if (counted && growing && c->ca != XW_TCP_CA_RECOVERY && window_used(c))
        c->cc.ops->on_ack(&c->cc, xw_tcp_mss_now(c), counted, c->srtt_ns, now);
}

/* The probe's timer. In an episode (use_tlp 2) nothing was sent behind the retransmission that would show that it is
 * lost, so only time can: the oldest segment again, without another sign of congestion. */
void xw_tcp_recovery_probe(struct xw_tcp *c, uint64_t now) {
    bool episode = c->ca != XW_TCP_CA_OPEN;
    if (!c->rec_cnt)
        return;
    if ((episode || c->tlp_out) && c->tlp_backoff < 16)
        c->tlp_backoff++;
    if (!episode) {
        c->tlp_due = true;
        return;
    }
    xw_tcp_rec_mark_lost(c, xw_tcp_rec_at(c, 0));
    c->fast_rtx = true;
    c->st.probes++;
    xw_tcp_timer_rearm_tx(c, false, now);
}

/* RFC 8985 7.4. A duplicate is reported by a block at or below the ACK (RFC 2883). */
void xw_tcp_recovery_tlp(struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    if (!c->tlp_out || xw_seq_lt(c->snd_una, c->tlp_end))
        return;
    c->tlp_out = false;
    if (c->tlp_retx && !xw_tcp_sack_dsack(&rx->h) && c->ca == XW_TCP_CA_OPEN)
        c->cc.ops->on_loss(&c->cc, xw_tcp_mss_now(c), c->cc.cwnd);
}

/* RFC 8985 6.3: the first segment and what was sent a round trip ago is lost; later ones may still arrive. Without SACK
 * nothing would tell, so all of them. */
static void mark_on_rto(struct xw_tcp *c, uint64_t now) {
    uint64_t age = c->rack_rtt_ns + reo_wnd(c);
    for (uint32_t i = 0; i < c->rec_cnt; i++) {
        struct xw_tcp_rec *r = xw_tcp_rec_at(c, i);
        if (!i || !c->sack_on || !c->rack_ns || r->sent_ns + age <= now)
            xw_tcp_rec_mark_lost(c, r);
    }
}

void xw_tcp_recovery_on_rto(struct xw_tcp *c, uint64_t now) {
    uint32_t flight = c->rec_cnt ? xw_seq_dist(c->snd_nxt, c->snd_una) : 0;
    if (!c->rec_cnt)
        return;
    if (c->ca == XW_TCP_CA_OPEN) {
        xw_tcp_undo_begin(c);
        c->rto_sent_ns = xw_tcp_rec_at(c, 0)->sent_ns;
    }
    c->undo.over = false;
    if (xw_tcp_rec_at(c, 0)->flags & XW_TCP_REC_SACKED)
        xw_tcp_sack_forget(c); /* reported but never acknowledged: the peer threw it away (RFC 2018 8) */
    mark_on_rto(c, now);
    c->cc.ops->on_rto(&c->cc, xw_tcp_mss_now(c), flight, c->retries == 1);
    c->ca = XW_TCP_CA_LOSS;
    c->recover = c->snd_nxt;
    c->dup_acks = 0;
    c->tlp_out = c->tlp_due = false;
    c->fast_rtx = true;
    xw_tcp_timer_set(c, XW_TCP_T_REO, XW_NEVER);
}
