/* tests/sim/watch.c: what must hold whenever a host has been served: the books of each connection, its sequence space, its
 * timers, what it believes of its peer, and the memory of the stack. */
#include "world.h"

/* ---- one connection alone ---------------------------------------------------------------------------------------- */

static void scoreboard(const struct sim_world *w, const struct xw_tcp *c) {
    uint32_t sacked = 0, lost = 0, recs = 0;
    struct xw_seq at = c->snd_una;
    SIM_TRUE(w, c->rec_cnt <= c->stk->cfg.tx_records);
    for (uint32_t i = 0; i < c->rec_cnt; i++) {
        const struct xw_tcp_rec *r = xw_tcp_rec_at(c, i);
        bool is_sacked = r->flags & XW_TCP_REC_SACKED, is_lost = r->flags & XW_TCP_REC_LOST;
        SIM_TRUE(w, xw_seq_eq(r->lo, at) && r->len && !(is_sacked && is_lost) && r->sent_ns <= w->now);
        SIM_TRUE(w, !(r->flags & XW_TCP_REC_FIN) || i == c->rec_cnt - 1);
        at = xw_seq_add(at, r->len);
        sacked += is_sacked ? r->len : 0;
        recs += is_sacked;
        lost += is_lost ? r->len : 0;
    }
    SIM_TRUE(w, !c->rec_cnt || xw_seq_eq(at, c->snd_nxt));
    SIM_TRUE(w, sacked == c->sacked_bytes && lost == c->lost_bytes && recs == c->sacked_recs);
}

static void holes(const struct sim_world *w, const struct xw_tcp *c) {
    uint64_t edge = c->rcv->tail;
    SIM_TRUE(w, c->ooo_cnt <= c->stk->cfg.ooo_ranges);
    for (uint32_t i = 0; i < c->ooo_cnt; i++) {
        SIM_TRUE(w, c->ooo[i].lo > edge && c->ooo[i].hi > c->ooo[i].lo && c->ooo[i].serial <= c->ooo_serial);
        edge = c->ooo[i].hi;
    }
    SIM_TRUE(w, edge <= c->rcv->head + c->rcv->cap);
}

static bool synchronized(const struct xw_tcp *c) { return c->state != XW_TCP_SYN_SENT && c->state != XW_TCP_SYN_RCVD; }

static void sequence_space(const struct sim_world *w, const struct xw_tcp *c, struct sim_watched *m) {
    if (!m->known || !xw_seq_eq(m->iss, c->iss))
        *m = (struct sim_watched){ .iss = c->iss, .edge = c->snd_nxt, .known = true };
    if (!synchronized(c))
        return;
    m->edge = xw_seq_max(m->edge, xw_seq_add(c->snd_una, c->snd_wnd));
    SIM_TRUE(w, xw_seq_le(c->snd_una, c->snd_nxt));
    SIM_TRUE(w, xw_seq_le(c->snd_nxt, xw_seq_add(m->edge, 1))); /* one octet more: a window probe */
    SIM_TRUE(w, xw_seq_diff(c->rcv_adv, c->rcv_nxt) <= (int32_t)xw_bytering_room(c->rcv));
    /* both rings began at 0 */
    bool fin_acked = c->fin_sent && xw_seq_eq(c->snd_una, c->snd_nxt);
    SIM_TRUE(w, xw_seq_dist(c->snd_una, c->iss) == 1 + (uint32_t)c->snd->head + fin_acked);
    SIM_TRUE(w, xw_seq_dist(c->rcv_nxt, c->irs) == 1 + (uint32_t)c->rcv->tail + c->fin_rcvd);
    SIM_TRUE(w, xw_seq_dist(c->snd_nxt, c->iss) <= 1 + (uint32_t)c->snd->tail + c->fin_sent);
    SIM_TRUE(w, c->cc.cwnd >= 8 && c->cc.cwnd <= 1u << 30);
}

/* Whatever waits for the peer has a timer, or output will be asked again. */
static void timers(const struct sim_world *w, const struct xw_tcp *c, bool all_sent) {
    for (unsigned i = 0; i < XW_TCP_T_COUNT; i++) {
        SIM_TRUE(w, c->timer[i] > w->now);
        SIM_TRUE(w, c->timer[i] == XW_NEVER || (c->heap_idx != UINT32_MAX &&
                                                c->stk->heap[c->heap_idx].key <= c->timer[i]));
    }
    if (!all_sent || c->state == XW_TCP_CLOSED)
        return;
    if (!synchronized(c))
        SIM_TRUE(w, c->timer[XW_TCP_T_RTX] != XW_NEVER);
    else if (c->state == XW_TCP_TIME_WAIT)
        SIM_TRUE(w, c->timer[XW_TCP_T_WAIT] != XW_NEVER);
    else if (c->rec_cnt || xw_tcp_unsent(c))
        SIM_TRUE(w, c->timer[XW_TCP_T_RTX] != XW_NEVER || c->timer[XW_TCP_T_PERSIST] != XW_NEVER);
}

/* ---- and its peer ------------------------------------------------------------------------------------------------ */

static bool holds(const struct xw_tcp *p, struct xw_seq lo, struct xw_seq hi) {
    if (xw_seq_le(hi, p->rcv_nxt))
        return true;
    int32_t from = xw_seq_diff(lo, p->rcv_nxt);
    uint64_t a = p->rcv->tail + (uint64_t)(from > 0 ? from : 0), b = p->rcv->tail + xw_seq_dist(hi, p->rcv_nxt);
    for (uint32_t i = 0; i < p->ooo_cnt; i++)
        if (p->ooo[i].lo <= a && b <= p->ooo[i].hi)
            return true;
    return false;
}

/* What c takes for acknowledged or reported, the peer has; what the peer has, c has sent; no window is larger than the
 * peer offered. */
static void agreement(const struct sim_world *w, unsigned h, const struct xw_tcp *c) {
    const struct xw_tcp_tuple t = { c->tuple.remote_ip, c->tuple.local_ip, c->tuple.remote_port, c->tuple.local_port };
    const struct xw_tcp *p = xw_tcp_demux_find(w->host[!h].s->tcp, &t);
    if (!p || !p->rcv || !synchronized(c) || !synchronized(p) || !xw_seq_eq(c->iss, p->irs) ||
        !xw_seq_eq(p->iss, c->irs))
        return;
    SIM_TRUE(w, xw_seq_le(c->snd_una, p->rcv_nxt));
    SIM_TRUE(w, xw_seq_le(p->rcv_nxt, c->snd_nxt));
    SIM_TRUE(w, xw_seq_le(xw_seq_add(c->snd_una, c->snd_wnd), p->rcv_adv) || p->fin_rcvd);
    SIM_TRUE(w, c->sack_on == p->sack_on && c->ts_on == p->ts_on && c->wscale_on == p->wscale_on);
    for (uint32_t i = 0; i < c->rec_cnt; i++) {
        const struct xw_tcp_rec *r = xw_tcp_rec_at(c, i);
        if (r->flags & XW_TCP_REC_SACKED)
            SIM_TRUE(w, holds(p, r->lo, xw_seq_add(r->lo, r->len)));
    }
}

/* ---- the stack --------------------------------------------------------------------------------------------------- */

static void slots(const struct sim_world *w, const struct xw_tcp_stack *s) {
    uint32_t used = 0, idle = 0;
    for (uint32_t i = 0; i < s->cfg.max_conns; i++)
        used += s->conn[i].in_use;
    for (const struct xw_tcp *c = s->free_conn; c; c = c->hash_next)
        idle++;
    SIM_TRUE(w, used + idle == s->cfg.max_conns && s->heap_cnt <= used && s->reply_cnt <= XW_TCP_REPLIES);
}

void sim_watch(struct sim_world *w, unsigned h) {
    struct sim_host *x = &w->host[h];
    struct xw_tcp_stack *s = x->s->tcp;
    bool all_sent = x->wake == UINT64_MAX;
    SIM_TRUE(w, xw_stack_next_deadline(x->s) > w->now);
    SIM_TRUE(w, !all_sent || !xw_tcp_pending(s) || x->s->cfg.ethernet);
    for (uint32_t i = 0; i < s->cfg.max_conns; i++) {
        const struct xw_tcp *c = &s->conn[i];
        if (!c->in_use || !c->rcv || c->state == XW_TCP_CLOSED)
            continue;
        scoreboard(w, c);
        holes(w, c);
        sequence_space(w, c, &x->watch[i]);
        timers(w, c, all_sent);
        agreement(w, h, c);
    }
    if (w->steps % 16 == 0)
        slots(w, s);
}

/* Nothing is left but the listener. */
void sim_watch_end(struct sim_world *w, unsigned h) {
    struct sim_host *x = &w->host[h];
    struct xw_tcp_stack *s = x->s->tcp;
    SIM_TRUE(w, !s->heap_cnt && xw_tcp_deadline(s) == XW_NEVER);
    slots(w, s);
    for (uint32_t i = 0; i < x->s->cfg.max_sockets; i++)
        SIM_TRUE(w, x->s->sock[i].use == SOCK_FREE || x->s->sock[i].listener);
    SIM_TRUE(w, !x->s->orphans && !x->s->holding);
    for (uint32_t i = 0; i <= s->bucket_mask; i++)
        SIM_TRUE(w, !s->bucket[i]);
}
