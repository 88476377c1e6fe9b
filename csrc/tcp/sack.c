/* tcp/sack.c: selective acknowledgment, both ways: which blocks we report (RFC 2018 4, RFC 2883), and which of our
 * segments the peer reports (the scoreboard is the flags of the records). */
#include "tcp/tcp_priv.h"

/* First the duplicate, if there was one; then the ranges, the most recently touched first. */
uint8_t xw_tcp_sack_out(const struct xw_tcp *c, struct xw_tcp_sack out[XW_TCP_SACK_MAX], unsigned max) {
    uint8_t n = 0;
    uint32_t below = UINT32_MAX; /* serials already reported */
    if (c->dsack_cnt)
        out[n++] = c->dsack[0];
    while (n < max && c->ooo_cnt) {
        const struct xw_tcp_range *best = NULL;
        for (uint32_t i = 0; i < c->ooo_cnt; i++)
            if (c->ooo[i].serial < below && (!best || c->ooo[i].serial > best->serial))
                best = &c->ooo[i];
        if (!best)
            break;
        below = best->serial;
        out[n].lo = xw_seq_add(c->rcv_nxt, (uint32_t)(best->lo - c->rcv->tail));
        out[n++].hi = xw_seq_add(c->rcv_nxt, (uint32_t)(best->hi - c->rcv->tail));
    }
    return n;
}

static uint32_t mark(struct xw_tcp *c, struct xw_tcp_rec *r, uint64_t now) {
    if (r->flags & XW_TCP_REC_LOST)
        c->lost_bytes -= r->len;
    if (!(r->flags & XW_TCP_REC_RETX) && xw_seq_lt(r->lo, c->high_sacked))
        c->reo_seen = true; /* it came after something that was sent later (RFC 8985 6.2 step 3) */
    r->flags = (r->flags & ~XW_TCP_REC_LOST) | XW_TCP_REC_SACKED;
    c->sacked_bytes += r->len;
    c->sacked_recs++;
    if (!(r->flags & XW_TCP_REC_RETX) && now - r->sent_ns < c->sack_rtt_ns)
        c->sack_rtt_ns = now - r->sent_ns; /* of the latest transmission that this ACK reports (Karn) */
    xw_tcp_rec_delivered(c, r, now);
    return r->len;
}

/* Records of which only a part is reported are split, so that what is missing is sent again and nothing else. */
static uint32_t mark_block(struct xw_tcp *c, struct xw_seq lo, struct xw_seq hi, uint64_t now) {
    uint32_t fresh = 0;
    for (uint32_t i = 0; i < c->rec_cnt; i++) {
        struct xw_tcp_rec *r = xw_tcp_rec_at(c, i);
        struct xw_seq end = xw_seq_add(r->lo, r->len);
        if (xw_seq_ge(r->lo, hi))
            break;
        if ((r->flags & XW_TCP_REC_SACKED) || xw_seq_le(end, lo))
            continue;
        if (xw_seq_lt(r->lo, lo)) {
            if (!xw_tcp_rec_split(c, i, xw_seq_dist(lo, r->lo)))
                continue; /* no record left: it stays unreported, at worst it is sent twice */
            r = xw_tcp_rec_at(c, ++i);
        }
        if (xw_seq_gt(end, hi) && !xw_tcp_rec_split(c, i, xw_seq_dist(hi, r->lo)))
            continue;
        fresh += mark(c, xw_tcp_rec_at(c, i), now);
    }
    return fresh;
}

/* RFC 2883 4: the first block, at or below the ACK or within the second. */
const struct xw_tcp_sack *xw_tcp_sack_dsack(const struct xw_tcp_hdr *h) {
    const struct xw_tcp_sack *b = h->sack;
    if (!(h->opts & XW_TCP_OPT_SACK) || !h->sack_cnt || !xw_seq_lt(b[0].lo, b[0].hi))
        return NULL;
    bool within = h->sack_cnt > 1 && xw_seq_ge(b[0].lo, b[1].lo) && xw_seq_le(b[0].hi, b[1].hi);
    return xw_seq_le(b[0].hi, h->ack) || within ? b : NULL;
}

uint32_t xw_tcp_sack_in(struct xw_tcp *c, const struct xw_tcp_rx *rx) {
    uint32_t fresh = 0;
    struct xw_seq high = c->high_sacked;
    c->sack_rtt_ns = UINT64_MAX;
    if (!c->sack_on || !(rx->h.opts & XW_TCP_OPT_SACK))
        return 0;
    for (unsigned i = 0; i < rx->h.sack_cnt; i++) {
        struct xw_seq lo = rx->h.sack[i].lo, hi = rx->h.sack[i].hi;
        /* below una: a duplicate (RFC 2883); beyond snd_nxt or empty: not ours */
        if (!xw_seq_lt(lo, hi) || xw_seq_lt(lo, c->snd_una) || xw_seq_gt(hi, c->snd_nxt))
            continue;
        fresh += mark_block(c, lo, hi, rx->now);
        high = xw_seq_max(high, hi);
    }
    c->high_sacked = high; /* only now: the blocks of one ACK say nothing about order among themselves */
    return fresh;
}

void xw_tcp_sack_forget(struct xw_tcp *c) {
    for (uint32_t i = 0; i < c->rec_cnt; i++)
        xw_tcp_rec_at(c, i)->flags &= ~XW_TCP_REC_SACKED;
    c->sacked_bytes = c->sacked_recs = 0;
}
