/* tcp/stack.c: memory, opening, closing, the two lists, and what owners ask of a connection. */
#include "tcp/tcp_priv.h"
#include "xw.h"
#include <string.h>

void xw_tcp_cfg_default(struct xw_tcp_cfg *cfg) {
    *cfg = (struct xw_tcp_cfg){
        .max_conns = 64, .max_listeners = 4, .backlog = 16, .tx_records = 256, .ooo_ranges = 64, .stamp_marks = 256,
        .challenge_per_s = 10, .fast_path = 1, .rst_unknown = 1,
        .opts = {
            .rto_min_ns = 200 * XW_NS_PER_MS, .rto_max_ns = 60 * XW_NS_PER_S, .rto_initial_ns = XW_NS_PER_S,
            .syn_retries = 5, .data_retries = 15, .advice_retries = 3, .keep_interval_ns = 75 * XW_NS_PER_S, .keep_probes = 9,
            .time_wait_ns = 60 * XW_NS_PER_S, .ack_delay_ns = 40 * XW_NS_PER_MS, .init_cwnd_segs = 10,
            .ack_policy = XW_TCP_ACK_IMMEDIATE, .cc = XW_TCP_CC_CUBIC, .nodelay = 1,
            .use_tlp = 2, .use_ts = 1, .use_sack = 1, .ttl = XW_TTL_DEFAULT,
            .use_wscale = 1,
        },
    };
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Octets of a connection at the default sizes of its tables, rings apart: docs/tcp.md states them, this holds them. */
_Static_assert(sizeof(struct xw_tcp) <= 1152, "a connection's state");
_Static_assert(sizeof(struct xw_tcp) + 256 * sizeof(struct xw_tcp_rec) + 64 * sizeof(struct xw_tcp_range) +
               256 * sizeof(struct xw_tcp_mark) <= 20480, "20 KiB a connection");

static bool pow2(uint32_t v) { return v && !(v & (v - 1)); }

bool xw_tcp_opts_ok(const struct xw_tcp_opts *o) {
    return o->rto_min_ns && o->rto_min_ns <= o->rto_max_ns && o->rto_initial_ns && o->rto_initial_ns <= o->rto_max_ns &&
           o->rto_max_ns <= 1000 * XW_NS_PER_S && o->init_cwnd_segs && o->init_cwnd_segs <= 1000 &&
           o->ack_policy <= XW_TCP_ACK_ADAPTIVE && o->use_tlp <= 2 && xw_tcp_cc_find(o->cc) && o->syn_retries <= 100 &&
           o->data_retries <= 1000 && o->ttl && (!o->keep_idle_ns || o->keep_interval_ns);
}

static bool cfg_valid(const struct xw_tcp_cfg *c) {
    return c->max_conns && c->max_conns <= XW_CONNS_MAX && c->max_listeners <= 64 && c->backlog <= 4096 &&
           pow2(c->tx_records) && c->tx_records >= 32 && c->tx_records <= 4096 && c->ooo_ranges >= 4 &&
           c->ooo_ranges <= 255 && (!c->stamp_marks || pow2(c->stamp_marks)) && c->stamp_marks <= 65536 &&
           c->rng && c->drops && xw_tcp_opts_ok(&c->opts);
}

/* Carves n pieces of one size out of mem; with mem NULL only counts. */
struct carver { uint8_t *mem; size_t used; };
static void *carve(struct carver *v, size_t size, size_t n) {
    size_t at = (v->used + 15) & ~(size_t)15;
    v->used = at + size * n;
    return v->mem ? v->mem + at : NULL;
}

static uint32_t bucket_cnt(uint32_t conns) {
    uint32_t n = 16;
    while (n < conns * 2)
        n *= 2;
    return n;
}

static size_t layout(uint8_t *mem, const struct xw_tcp_cfg *cfg) {
    struct carver v = { .mem = mem };
    struct xw_tcp_stack *s = carve(&v, sizeof *s, 1);
    struct xw_tcp *conn = carve(&v, sizeof *conn, cfg->max_conns);
    struct xw_tcp **bucket = carve(&v, sizeof *bucket, bucket_cnt(cfg->max_conns));
    struct xw_tcp_heap_slot *heap = carve(&v, sizeof *heap, cfg->max_conns);
    struct xw_tcp_listener *listener = carve(&v, sizeof *listener, cfg->max_listeners);
    struct xw_tcp_syn *syn = carve(&v, sizeof *syn, (size_t)cfg->max_listeners * cfg->backlog);
    struct xw_tcp_rec *rec = carve(&v, sizeof *rec, (size_t)cfg->max_conns * cfg->tx_records);
    struct xw_tcp_range *ooo = carve(&v, sizeof *ooo, (size_t)cfg->max_conns * cfg->ooo_ranges);
    struct xw_tcp_mark *mark = carve(&v, sizeof *mark, (size_t)cfg->max_conns * cfg->stamp_marks);
    if (!mem)
        return v.used;
    /* The big tables are not cleared: pages of connections that were never opened stay untouched. */
    memset(s, 0, sizeof *s);
    memset(conn, 0, sizeof *conn * cfg->max_conns);
    memset(bucket, 0, sizeof *bucket * bucket_cnt(cfg->max_conns));
    if (cfg->max_listeners)
        memset(listener, 0, sizeof *listener * cfg->max_listeners);
    s->cfg = *cfg;
    s->conn = conn;
    s->bucket = bucket;
    s->bucket_mask = bucket_cnt(cfg->max_conns) - 1;
    s->heap = heap;
    s->listener = listener;
    for (uint32_t i = 0; i < cfg->max_listeners; i++)
        listener[i] = (struct xw_tcp_listener){ .stk = s, .syn = syn + (size_t)i * cfg->backlog };
    for (uint32_t i = cfg->max_conns; i--;) {
        conn[i].stk = s;
        conn[i].rec = rec + (size_t)i * cfg->tx_records;
        conn[i].ooo = ooo + (size_t)i * cfg->ooo_ranges;
        conn[i].mark = mark + (size_t)i * cfg->stamp_marks;
        conn[i].hash_next = s->free_conn;
        s->free_conn = &conn[i];
    }
    return v.used;
}

size_t xw_tcp_stack_size(const struct xw_tcp_cfg *cfg) { return cfg_valid(cfg) ? layout(NULL, cfg) : 0; }

int xw_tcp_stack_init(void *mem, size_t len, const struct xw_tcp_cfg *cfg, struct xw_tcp_stack **out) {
    if (!cfg_valid(cfg) || !mem || (uintptr_t)mem % 16 || len < layout(NULL, cfg))
        return XW_EINVAL;
    layout(mem, cfg);
    struct xw_tcp_stack *s = mem;
    s->out_list = (struct xw_tcp_link){ &s->out_list, &s->out_list };
    s->chg_list = (struct xw_tcp_link){ &s->chg_list, &s->chg_list };
    s->key[0] = xw_rng_u64(cfg->rng);
    s->key[1] = xw_rng_u64(cfg->rng);
    *out = s;
    return XW_OK;
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

void xw_tcp_link_remove(struct xw_tcp_link *l) {
    if (!l->next)
        return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->next = l->prev = NULL;
}

void xw_tcp_link_append(struct xw_tcp_link *head, struct xw_tcp_link *l) {
    if (l->next)
        return;
    l->next = head;
    l->prev = head->prev;
    head->prev->next = l;
    head->prev = l;
}

void xw_tcp_event(struct xw_tcp *c, uint32_t ev) {
    if (c->released)
        return;
    c->events |= ev;
    xw_tcp_link_append(&c->stk->chg_list, &c->chg_link);
}

void xw_tcp_kick(struct xw_tcp *c) { xw_tcp_link_append(&c->stk->out_list, &c->out_link); }

struct xw_tcp *xw_tcp_changed(struct xw_tcp_stack *s, uint32_t *events) {
    struct xw_tcp_link *l = s->chg_list.next;
    if (l == &s->chg_list)
        return NULL;
    struct xw_tcp *c = (struct xw_tcp *)(void *)((uint8_t *)l - offsetof(struct xw_tcp, chg_link));
    xw_tcp_link_remove(l);
    *events = c->events;
    c->events = 0;
    return c;
}

enum xw_drop xw_tcp_drop(struct xw_tcp_stack *s, enum xw_drop d) {
    if (d != XW_DROP_NONE)
        s->cfg.drops[d]++;
    return d;
}

void xw_tcp_reply_push(struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, struct xw_seq seq, struct xw_seq ack,
                       uint8_t flags) {
    if (s->reply_cnt == XW_TCP_REPLIES) {
        xw_tcp_drop(s, XW_DROP_TCP_CHALLENGE_RATE);
        return;
    }
    s->reply[(s->reply_head + s->reply_cnt++) % XW_TCP_REPLIES] =
        (struct xw_tcp_reply){ .tuple = *t, .seq = seq, .ack = ack, .flags = flags,
                               .ttl = XW_TTL_DEFAULT };
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* RFC 6528: a 4 µs clock plus a keyed hash of the 4-tuple. */
struct xw_seq xw_tcp_isn(const struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, uint64_t now) {
    if (s->cfg.fixed_isn)
        return xw_seq(s->cfg.isn);
    const uint32_t in[4] = { t->local_ip, t->remote_ip, (uint32_t)t->local_port << 16 | t->remote_port, 0x69736e00u };
    return xw_seq((uint32_t)xw_siphash24(s->key, in, sizeof in) + (uint32_t)(now / 4000));
}

static uint32_t ts_offset(const struct xw_tcp_stack *s, const struct xw_tcp_tuple *t) {
    const uint32_t in[4] = { t->local_ip, t->remote_ip, (uint32_t)t->local_port << 16 | t->remote_port, 0x74730000u };
    return s->cfg.fixed_isn ? 0 : (uint32_t)xw_siphash24(s->key, in, sizeof in);
}

/* Everything of a slot but its tables and links back to zero. */
static void conn_reset(struct xw_tcp *c) {
    struct xw_tcp_stack *s = c->stk;
    struct xw_tcp_rec *rec = c->rec;
    struct xw_tcp_range *ooo = c->ooo;
    struct xw_tcp_mark *mark = c->mark;
    memset(c, 0, sizeof *c);
    c->stk = s, c->rec = rec, c->ooo = ooo, c->mark = mark;
}

struct xw_tcp *xw_tcp_conn_alloc(struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, struct xw_bytering *rcv,
                                 struct xw_bytering *snd, uint32_t path_mtu, const struct xw_tcp_opts *opts,
                                 uint64_t now) {
    struct xw_tcp *c = s->free_conn;
    if (!c)
        return NULL;
    s->free_conn = c->hash_next;
    conn_reset(c);
    c->in_use = true;
    c->tuple = *t;
    c->rcv = rcv, c->snd = snd;
    c->opts = opts ? *opts : s->cfg.opts;
    c->path_mtu = path_mtu;
    c->df = true;
    c->peer_mss = 536;
    c->iss = xw_tcp_isn(s, t, now);
    c->snd_small = c->iss;
    c->snd_una = c->iss;
    c->snd_nxt = xw_seq_add(c->iss, 1);
    c->snd_base = snd->head;
    c->mark_floor = rcv->tail;
    c->ts_off = ts_offset(s, t);
    c->last_rx_ns = now;
    c->chal_left = s->cfg.challenge_per_s;
    c->chal_ns = now;
    c->quick_bytes = 65536;
    c->syn_due = true;
    for (unsigned i = 0; i < XW_TCP_T_COUNT; i++)
        c->timer[i] = XW_NEVER;
    c->heap_idx = UINT32_MAX;
    c->cc.ops = xw_tcp_cc_find(c->opts.cc);
    xw_tcp_rtt_init(c);
    xw_tcp_demux_add(c);
    xw_tcp_kick(c);
    return c;
}

void xw_tcp_conn_free(struct xw_tcp *c) {
    struct xw_tcp_stack *s = c->stk;
    xw_tcp_timer_clear_all(c);
    xw_tcp_demux_del(c);
    xw_tcp_link_remove(&c->out_link);
    xw_tcp_link_remove(&c->chg_link);
    conn_reset(c);
    c->hash_next = s->free_conn;
    s->free_conn = c;
}

bool xw_tcp_open_valid(const struct xw_bytering *rcv, const struct xw_bytering *snd, uint32_t path_mtu,
                       const struct xw_tcp_opts *opts) {
    /* 2^30: the largest window (RFC 7323 2.3); below 2^31 sequence comparison holds over both rings */
    return rcv && snd && rcv->cap && snd->cap && rcv->cap <= 1u << 30 && snd->cap <= 1u << 30 &&
           path_mtu >= XW_MTU_MIN && path_mtu <= UINT16_MAX && (!opts || xw_tcp_opts_ok(opts));
}

int xw_tcp_connect(struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, struct xw_bytering *rcv,
                   struct xw_bytering *snd, uint32_t path_mtu, const struct xw_tcp_opts *opts, uint64_t now_ns,
                   struct xw_tcp **out) {
    if (!xw_tcp_open_valid(rcv, snd, path_mtu, opts) || !t->local_port || !t->remote_port)
        return XW_EINVAL;
    if (xw_tcp_demux_find(s, t))
        return XW_EADDRINUSE;
    struct xw_tcp *c = xw_tcp_conn_alloc(s, t, rcv, snd, path_mtu, opts, now_ns);
    if (!c)
        return XW_ENOSPC;
    c->state = XW_TCP_SYN_SENT;
    *out = c;
    return XW_OK;
}

/* ---- state ------------------------------------------------------------------------------------------------------- */

void xw_tcp_set_state(struct xw_tcp *c, enum xw_tcp_state st) {
    if (c->state == st)
        return;
    c->state = st;
    xw_tcp_event(c, XW_TCP_EV_STATE);
}

void xw_tcp_close_now(struct xw_tcp *c, int error) {
    if (c->state == XW_TCP_CLOSED)
        return;
    if (!c->error)
        c->error = error;
    xw_tcp_timer_clear_all(c);
    xw_tcp_demux_del(c);
    xw_tcp_link_remove(&c->out_link);
    xw_tcp_set_state(c, XW_TCP_CLOSED);
    if (c->released)
        xw_tcp_conn_free(c);
}

/* A reply that says what the connection would: with its timestamp, or a peer that agreed on them ignores it (RFC 7323
 * 3.2). */
static void conn_reply(struct xw_tcp *c, uint8_t flags, uint64_t now) {
    struct xw_tcp_stack *s = c->stk;
    uint32_t before = s->reply_cnt;
    xw_tcp_reply_push(s, &c->tuple, c->snd_nxt, c->rcv_nxt, flags);
    if (s->reply_cnt == before)
        return;
    struct xw_tcp_reply *r = &s->reply[(s->reply_head + before) % XW_TCP_REPLIES];
    r->ttl = c->opts.ttl;
    if (!c->ts_on)
        return;
    r->ts = true;
    r->ts_val = xw_tcp_ts_now(c, now);
    r->ts_ecr = c->ts_recent;
}

void xw_tcp_enter_time_wait(struct xw_tcp *c, uint64_t now) {
    if (!c->opts.time_wait_ns) {
        /* the last ACK must still go: the slot is gone, so it goes as a reply */
        if (c->ack_now)
            conn_reply(c, XW_TCP_ACK, now);
        xw_tcp_close_now(c, 0);
        return;
    }
    xw_tcp_timer_clear_all(c);
    c->ooo_cnt = 0;
    xw_tcp_set_state(c, XW_TCP_TIME_WAIT);
    xw_tcp_timer_set(c, XW_TCP_T_WAIT, now + c->opts.time_wait_ns);
}

/* The sequence number is the next one we would send, so that the peer finds it exactly at its left edge (RFC 5961
 * 3.2). */
void xw_tcp_send_rst(struct xw_tcp *c, uint64_t now) { conn_reply(c, XW_TCP_RST | XW_TCP_ACK, now); }

void xw_tcp_shutdown_wr(struct xw_tcp *c, uint64_t now_ns) {
    switch (c->state) {
    case XW_TCP_SYN_SENT:
        xw_tcp_close_now(c, XW_ECLOSED);
        return;
    case XW_TCP_SYN_RCVD: /* the FIN follows when established */
        c->fin_queued = true;
        return;
    case XW_TCP_ESTABLISHED:
        c->fin_queued = true;
        xw_tcp_set_state(c, XW_TCP_FIN_WAIT_1);
        break;
    case XW_TCP_CLOSE_WAIT:
        c->fin_queued = true;
        xw_tcp_set_state(c, XW_TCP_LAST_ACK);
        break;
    case XW_TCP_FIN_WAIT_1: case XW_TCP_FIN_WAIT_2: case XW_TCP_TIME_WAIT: case XW_TCP_CLOSED: case XW_TCP_LAST_ACK:
    case XW_TCP_CLOSING:
        return;
    }
    xw_tcp_timer_rearm_tx(c, false, now_ns);
    xw_tcp_kick(c);
}

void xw_tcp_shutdown_rd(struct xw_tcp *c, uint64_t now_ns) {
    (void)now_ns;
    c->rcv_closed = true;
}

void xw_tcp_abort(struct xw_tcp *c, uint64_t now_ns) {
    switch (c->state) {
    case XW_TCP_SYN_RCVD: case XW_TCP_ESTABLISHED: case XW_TCP_FIN_WAIT_1: case XW_TCP_FIN_WAIT_2:
    case XW_TCP_CLOSE_WAIT:
        xw_tcp_send_rst(c, now_ns);
        break;
    case XW_TCP_SYN_SENT: case XW_TCP_CLOSING: case XW_TCP_LAST_ACK: case XW_TCP_TIME_WAIT: case XW_TCP_CLOSED:
        break;
    }
    xw_tcp_close_now(c, XW_ECLOSED);
}

void xw_tcp_release(struct xw_tcp *c, uint64_t now_ns) {
    XW_ASSERT(c->in_use && !c->released);
    if (c->state == XW_TCP_TIME_WAIT) {
        xw_tcp_link_remove(&c->chg_link);
        c->released = true;
        c->rcv = c->snd = NULL;
        return;
    }
    xw_tcp_abort(c, now_ns);
    xw_tcp_conn_free(c);
}

/* ---- what owners ask --------------------------------------------------------------------------------------------- */

enum xw_tcp_state xw_tcp_state(const struct xw_tcp *c) { return c->state; }
int xw_tcp_error(const struct xw_tcp *c) { return c->error; }
bool xw_tcp_rx_eof(const struct xw_tcp *c) { return c->fin_rcvd; }
struct xw_bytering *xw_tcp_rcv(const struct xw_tcp *c) { return c->rcv; }
struct xw_bytering *xw_tcp_snd(const struct xw_tcp *c) { return c->snd; }
const struct xw_tcp_tuple *xw_tcp_tuple(const struct xw_tcp *c) { return &c->tuple; }
void xw_tcp_set_user(struct xw_tcp *c, void *user) { c->user = user; }
void *xw_tcp_user(const struct xw_tcp *c) { return c->user; }
const struct xw_tcp_opts *xw_tcp_opts(const struct xw_tcp *c) { return &c->opts; }
uint64_t xw_tcp_fast_hits(const struct xw_tcp *c) { return c->st.fast_hits; }

bool xw_tcp_tx_drained(const struct xw_tcp *c) {
    return !xw_bytering_len(c->snd) && (!c->fin_queued || (c->fin_sent && xw_seq_eq(c->snd_una, c->snd_nxt)));
}

bool xw_tcp_finished(const struct xw_tcp *c) {
    return c->state == XW_TCP_TIME_WAIT || (c->state == XW_TCP_CLOSED && !c->error);
}

void xw_tcp_set_opts(struct xw_tcp *c, const struct xw_tcp_opts *o, uint64_t now_ns) {
    struct xw_tcp_opts was = c->opts;
    c->opts = *o;
    c->opts.cc = was.cc, c->opts.use_ts = was.use_ts, c->opts.use_sack = was.use_sack;
    c->opts.use_wscale = was.use_wscale, c->opts.init_cwnd_segs = was.init_cwnd_segs;
    if (!xw_tcp_opts_ok(&c->opts)) {
        c->opts = was;
        return;
    }
    bool sync = xw_tcp_can_send(c->state) || c->state == XW_TCP_FIN_WAIT_2;
    if (c->opts.keep_idle_ns != was.keep_idle_ns && sync) {
        c->keep_sent = 0;
        xw_tcp_timer_set(c, XW_TCP_T_KEEP, c->opts.keep_idle_ns ? now_ns + c->opts.keep_idle_ns : XW_NEVER);
    }
    if (c->opts.rcv_window != was.rcv_window)
        xw_tcp_consumed(c, now_ns);
    if (sync)
        xw_tcp_timer_rearm_tx(c, c->opts.user_timeout_ns != was.user_timeout_ns, now_ns);
    xw_tcp_kick(c);
}

int xw_tcp_queued(struct xw_tcp *c, uint64_t now_ns) {
    if (c->state == XW_TCP_CLOSED || c->state == XW_TCP_TIME_WAIT)
        return XW_ECLOSED;
    if (c->fin_queued)
        return XW_ESTATE;
    if (xw_tcp_can_send(c->state)) {
        if (!c->snd_wnd || c->opts.user_timeout_ns) /* what is in flight has its timers */
            xw_tcp_timer_rearm_tx(c, false, now_ns);
        xw_tcp_kick(c);
    }
    return XW_OK;
}

static uint32_t us(uint64_t ns) { return ns / XW_NS_PER_US > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / XW_NS_PER_US); }

void xw_tcp_info(const struct xw_tcp *c, struct xw_conn_info *out) {
    out->tcp_state = (uint8_t)c->state;
    out->ca_state = (uint8_t)c->ca;
    out->mss = (uint16_t)xw_tcp_mss_now(c);
    out->srtt_us = us(c->srtt_ns);
    out->rttvar_us = us(c->rttvar_ns);
    out->rto_us = us(xw_tcp_rto(c));
    out->cwnd = c->cc.cwnd;
    out->in_flight = c->rec_cnt ? xw_seq_dist(c->snd_nxt, c->snd_una) : 0;
    out->rcv_wnd = c->last_wnd;
    out->snd_wnd = c->snd_wnd;
    out->bytes_in = c->st.bytes_in, out->bytes_out = c->st.bytes_out;
    out->segs_in = c->st.segs_in, out->segs_out = c->st.segs_out;
    out->retransmits = c->st.retransmits, out->fast_retransmits = c->st.fast_retransmits;
    out->timeouts = c->st.timeouts, out->dup_acks = c->st.dup_acks;
    out->ooo_segs = c->st.ooo_segs, out->dup_segs = c->st.dup_segs;
    out->zero_windows = c->st.zero_windows, out->probes = c->st.probes;
}
