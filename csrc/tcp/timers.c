/* tcp/timers.c: when something must happen by itself.
 *
 * A connection's deadline is the least of its eight timers. A binary heap orders connections by a key that is never
 * later than the deadline: moving a timer to a later time (what every ACK does) touches nothing, and the key is
 * corrected only when it comes to the top. So an idle connection costs nothing, a busy one a comparison a segment and
 * at most 12 steps (4,096 connections) a round-trip time. A wheel would save those and round every deadline. */
#include "tcp/tcp_priv.h"

/* ---- heap -------------------------------------------------------------------------------------------------------- */

static void place(struct xw_tcp_stack *s, uint32_t i, struct xw_tcp_heap_slot v) {
    s->heap[i] = v;
    v.conn->heap_idx = i;
}

static void sift_up(struct xw_tcp_stack *s, uint32_t i) {
    struct xw_tcp_heap_slot v = s->heap[i];
    for (; i && s->heap[(i - 1) / 2].key > v.key; i = (i - 1) / 2)
        place(s, i, s->heap[(i - 1) / 2]);
    place(s, i, v);
}

static void sift_down(struct xw_tcp_stack *s, uint32_t i) {
    struct xw_tcp_heap_slot v = s->heap[i];
    for (;;) {
        uint32_t k = 2 * i + 1;
        if (k >= s->heap_cnt)
            break;
        if (k + 1 < s->heap_cnt && s->heap[k + 1].key < s->heap[k].key)
            k++;
        if (s->heap[k].key >= v.key)
            break;
        place(s, i, s->heap[k]);
        i = k;
    }
    place(s, i, v);
}

static void heap_remove(struct xw_tcp *c) {
    struct xw_tcp_stack *s = c->stk;
    uint32_t i = c->heap_idx;
    if (i == UINT32_MAX)
        return;
    c->heap_idx = UINT32_MAX;
    struct xw_tcp_heap_slot last = s->heap[--s->heap_cnt];
    if (last.conn == c)
        return;
    place(s, i, last);
    sift_up(s, i);
    sift_down(s, last.conn->heap_idx);
}

static uint64_t earliest(const struct xw_tcp *c) {
    uint64_t d = XW_NEVER;
    for (unsigned i = 0; i < XW_TCP_T_COUNT; i++)
        if (c->timer[i] < d)
            d = c->timer[i];
    return d;
}

/* Brings a connection to the top whose key is its true deadline; NULL: no timer runs. */
static struct xw_tcp *top(struct xw_tcp_stack *s) {
    while (s->heap_cnt) {
        struct xw_tcp *c = s->heap[0].conn;
        uint64_t d = earliest(c);
        if (d == s->heap[0].key)
            return c;
        XW_ASSERT(d > s->heap[0].key);
        if (d == XW_NEVER) {
            heap_remove(c);
        } else {
            s->heap[0].key = d;
            sift_down(s, 0);
        }
    }
    return NULL;
}

void xw_tcp_timer_set(struct xw_tcp *c, enum xw_tcp_timer t, uint64_t at) {
    struct xw_tcp_stack *s = c->stk;
    c->timer[t] = at;
    if (at == XW_NEVER)
        return;
    if (c->heap_idx == UINT32_MAX) {
        s->heap[s->heap_cnt] = (struct xw_tcp_heap_slot){ .key = at, .conn = c };
        c->heap_idx = s->heap_cnt++;
        sift_up(s, c->heap_idx);
    } else if (at < s->heap[c->heap_idx].key) {
        s->heap[c->heap_idx].key = at;
        sift_up(s, c->heap_idx);
    }
}

void xw_tcp_timer_clear_all(struct xw_tcp *c) {
    for (unsigned i = 0; i < XW_TCP_T_COUNT; i++)
        c->timer[i] = XW_NEVER;
    heap_remove(c);
}

/* ---- which timer runs -------------------------------------------------------------------------------------------- */

/* RFC 8985 7.2: two round trips after the last progress, plus the peer's delayed ACK if one segment waits alone; only
 * in open state with nothing reported, and only if it comes before the timeout. With use_tlp 2 also in an episode, where
 * the peer delays no ACK (RFC 5681 4.2), and again, at double the interval, when the probe is not answered. */
static void arm_tlp(struct xw_tcp *c, bool progress, uint64_t now) {
    bool often = c->opts.use_tlp == 2, episode = c->ca != XW_TCP_CA_OPEN;
    bool wanted = c->opts.use_tlp && c->sack_on && c->rec_cnt && c->snd_wnd && c->srtt_ns;
    if (episode)
        wanted = wanted && often;
    else
        wanted = wanted && !c->sacked_bytes && !c->lost_bytes && !c->backoff && (often || !c->tlp_out);
    if (!wanted) {
        xw_tcp_timer_set(c, XW_TCP_T_TLP, XW_NEVER);
    } else if (progress || c->timer[XW_TCP_T_TLP] == XW_NEVER) {
        uint64_t delayed = c->rec_cnt == 1 && !episode ? c->opts.ack_delay_ns : 0;
        uint64_t pto = now + ((2 * c->srtt_ns + XW_NS_PER_MS + delayed) << c->tlp_backoff);
        xw_tcp_timer_set(c, XW_TCP_T_TLP, pto < c->timer[XW_TCP_T_RTX] ? pto : XW_NEVER);
    }
}

void xw_tcp_timer_rearm_tx(struct xw_tcp *c, bool progress, uint64_t now) {
    bool flight = c->rec_cnt, unsent = xw_tcp_unsent(c);
    if (!c->snd_wnd && (flight || unsent)) { /* RFC 9293 3.8.6.1 */
        xw_tcp_timer_set(c, XW_TCP_T_RTX, XW_NEVER);
        if (c->timer[XW_TCP_T_PERSIST] == XW_NEVER)
            xw_tcp_timer_set(c, XW_TCP_T_PERSIST, now + xw_tcp_rto(c));
    } else {
        if (flight || !unsent)
            xw_tcp_timer_set(c, XW_TCP_T_PERSIST, XW_NEVER);
        if (!flight) /* RFC 6298 5.2 */
            xw_tcp_timer_set(c, XW_TCP_T_RTX, XW_NEVER);
        else if (progress || c->timer[XW_TCP_T_RTX] == XW_NEVER) /* 5.1, 5.3 */
            xw_tcp_timer_set(c, XW_TCP_T_RTX, now + xw_tcp_rto(c));
    }
    arm_tlp(c, progress, now);
    if (!c->opts.user_timeout_ns || !(flight || unsent))
        xw_tcp_timer_set(c, XW_TCP_T_USER, XW_NEVER);
    else if (progress || c->timer[XW_TCP_T_USER] == XW_NEVER)
        xw_tcp_timer_set(c, XW_TCP_T_USER, now + c->opts.user_timeout_ns);
}

/* ---- what they do ------------------------------------------------------------------------------------------------ */

static void give_up(struct xw_tcp *c, uint64_t now) {
    if (c->state != XW_TCP_SYN_SENT)
        xw_tcp_send_rst(c, now);
    xw_tcp_close_now(c, c->soft_error ? c->soft_error : XW_ETIMEDOUT);
}

/* RFC 9293 3.8.3 (a): at R1 the network layer is told. */
static void advise(struct xw_tcp *c) {
    if (c->retries == c->opts.advice_retries)
        xw_tcp_event(c, XW_TCP_EV_ADVICE);
}

static void on_rtx(struct xw_tcp *c, uint64_t now) {
    bool syn = c->state == XW_TCP_SYN_SENT || c->state == XW_TCP_SYN_RCVD;
    if (c->retries >= (syn ? c->opts.syn_retries : c->opts.data_retries)) {
        give_up(c, now);
        return;
    }
    c->retries++;
    advise(c);
    c->backoff++; /* RFC 6298 5.5 */
    c->st.timeouts++;
    if (syn)
        c->syn_due = c->syn_retx = true;
    else
        xw_tcp_recovery_on_rto(c, now);
    xw_tcp_timer_set(c, XW_TCP_T_RTX, now + xw_tcp_rto(c)); /* 5.6 */
}

/* Probes go on for ever as long as the peer answers: retries goes back to 0 with each answer (RFC 9293 MUST-37). */
static void on_persist(struct xw_tcp *c, uint64_t now) {
    if (c->retries >= c->opts.data_retries) {
        give_up(c, now);
        return;
    }
    c->probe_due = true;
    if (!c->snd_wnd) {
        c->retries++;
        advise(c);
        c->backoff++;
        c->probing = true;
    }
    xw_tcp_timer_set(c, XW_TCP_T_PERSIST, now + xw_tcp_rto(c));
}

static void on_keep(struct xw_tcp *c, uint64_t now) {
    uint64_t idle = now - c->last_rx_ns;
    if (idle <= c->opts.keep_interval_ns)
        c->keep_sent = 0; /* the last probe was answered, also if the next is due sooner than keep_idle allows */
    if (idle < c->opts.keep_idle_ns || c->rec_cnt) {
        c->keep_sent = 0; /* something else finds out whether the peer lives */
        xw_tcp_timer_set(c, XW_TCP_T_KEEP, (c->rec_cnt ? now : c->last_rx_ns) + c->opts.keep_idle_ns);
    } else if (c->keep_sent >= c->opts.keep_probes) {
        give_up(c, now);
    } else {
        c->keep_sent++;
        c->keep_due = true;
        xw_tcp_timer_set(c, XW_TCP_T_KEEP, now + c->opts.keep_interval_ns);
    }
}

static void fire(struct xw_tcp *c, enum xw_tcp_timer t, uint64_t now) {
    xw_tcp_kick(c);
    switch (t) {
    case XW_TCP_T_RTX:
        on_rtx(c, now);
        break;
    case XW_TCP_T_PERSIST:
        on_persist(c, now);
        break;
    case XW_TCP_T_REO:
        xw_tcp_recovery_reo_timer(c, now);
        break;
    case XW_TCP_T_TLP:
        xw_tcp_recovery_probe(c, now);
        break;
    case XW_TCP_T_ACK:
        c->ack_now = true;
        break;
    case XW_TCP_T_KEEP:
        on_keep(c, now);
        break;
    case XW_TCP_T_USER:
        give_up(c, now);
        break;
    case XW_TCP_T_WAIT:
        xw_tcp_close_now(c, 0);
        break;
    case XW_TCP_T_COUNT:
        break;
    }
}

uint64_t xw_tcp_deadline(struct xw_tcp_stack *s) { return top(s) ? s->heap[0].key : XW_NEVER; }

void xw_tcp_tick(struct xw_tcp_stack *s, uint64_t now_ns) {
    struct xw_tcp *c;
    if (!s->heap_cnt || s->heap[0].key > now_ns) /* no key is later than what it stands for */
        return;
    while ((c = top(s)) && s->heap[0].key <= now_ns)
        for (unsigned t = 0; t < XW_TCP_T_COUNT; t++)
            if (c->timer[t] <= now_ns) { /* one at a time: it may end the connection */
                c->timer[t] = XW_NEVER;
                fire(c, (enum xw_tcp_timer)t, now_ns);
                break;
            }
}
