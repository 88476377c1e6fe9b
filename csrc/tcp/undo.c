/* tcp/undo.c: recoveries and timeouts that no loss called for, found out by the peer and taken back.
 *
 * Two signs. Eifel (RFC 3522): the ACK that moves the left edge echoes a timestamp older than the first retransmission
 * of the episode, so it answers the original. DSACK (RFC 3708): every retransmission of the episode was reported as a
 * duplicate. The response (RFC 4015 3.2): the windows of before, what is marked lost is in flight again; after a
 * timeout the estimate is not less than what the path just showed. Not here: F-RTO (RFC 5682). */
#include "tcp/tcp_priv.h"

void xw_tcp_undo_begin(struct xw_tcp *c) {
    c->undo = (struct xw_tcp_undo){ .cc = c->cc, .from = c->snd_una, .armed = true };
}

void xw_tcp_undo_retransmitted(struct xw_tcp *c, uint64_t now) {
    struct xw_tcp_undo *u = &c->undo;
    if (!u->armed)
        return;
    u->retx++;
    if (!u->sent) {
        u->ts = xw_tcp_ts_now(c, now);
        u->sent_ns = now;
    }
    u->sent = true;
}

void xw_tcp_undo_dsack(struct xw_tcp *c, const struct xw_tcp_sack *d) {
    struct xw_tcp_undo *u = &c->undo;
    if (u->armed && u->retx && xw_seq_gt(d->hi, u->from) && xw_seq_le(d->hi, c->snd_nxt))
        u->retx--;
}

/* Whether a retransmission is on its way that neither edge nor block has answered. */
static bool retransmission_out(const struct xw_tcp *c) {
    for (uint32_t i = 0; i < c->rec_cnt; i++)
        if ((xw_tcp_rec_at(c, i)->flags & (XW_TCP_REC_RETX | XW_TCP_REC_SACKED)) == XW_TCP_REC_RETX)
            return true;
    return false;
}

static void take_back(struct xw_tcp *c, uint64_t now) {
    struct xw_tcp_undo *u = &c->undo;
    uint32_t cwnd = c->cc.cwnd;
    bool timeout = c->ca == XW_TCP_CA_LOSS;
    u->armed = u->over = false;
    c->cc = u->cc;
    if (cwnd > c->cc.cwnd)
        c->cc.cwnd = cwnd;
    for (uint32_t i = 0; i < c->rec_cnt; i++)
        xw_tcp_rec_at(c, i)->flags &= ~XW_TCP_REC_LOST;
    c->lost_bytes = 0;
    c->fast_rtx = false;
    c->dup_acks = 0;
    c->ca = XW_TCP_CA_OPEN;
    c->st.undos++;
    if (!timeout) {
        c->reo_seen = true; /* later than three segments: the path reorders */
        return;
    }
    c->backoff = 0;
    /* RFC 4015 3.3: the round trip was longer than the timeout took it for. Unless this may be the answer to the
     * retransmission: then the ACK of the original was lost, not late. */
    uint64_t rtt = now - c->rto_sent_ns;
    if (c->min_rtt_ns == UINT64_MAX || now - u->sent_ns >= c->min_rtt_ns)
        return;
    if (rtt > c->srtt_ns)
        c->srtt_ns = rtt;
    if (rtt / 2 > c->rttvar_ns)
        c->rttvar_ns = rtt / 2;
    xw_tcp_rto_update(c);
}

bool xw_tcp_undo_try(struct xw_tcp *c, const struct xw_tcp_hdr *h, uint32_t acked, uint64_t now) {
    struct xw_tcp_undo *u = &c->undo;
    if (!u->armed || !u->sent)
        return false;
    bool echo = acked && c->ts_on && (h->opts & XW_TCP_OPT_TS) && h->ts_ecr && (int32_t)(h->ts_ecr - u->ts) < 0;
    if (echo && c->ca == XW_TCP_CA_RECOVERY && retransmission_out(c))
        echo = false; /* one hole was filled by a late original; the others may be losses */
    if (u->retx && !echo)
        return false;
    take_back(c, now);
    return true;
}
