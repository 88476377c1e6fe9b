/* One connection as a sequence of operations against a model of its peer: segments whose numbers are relative to what the
 * connection expects, so that most of them matter; time; calls of the owner. The model knows what the peer may know: the
 * octets of both streams by offset, the highest acknowledgment and right edge that it ever gave.
 *
 * Input: two octets of settings, then operations of eight octets (a segment) or two. Asserted: what is delivered is the
 * peer's stream in order; what is sent is ours, within the windows that were given; acknowledgments and the right edge never
 * go back and never pass what was received; the books of the scoreboard and of the holes; deadlines in the future; an
 * operation sends a bounded number of segments; the memory of a connection is free at the end. */
#include "base/assert.h"
#include "tcp/tcp_priv.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define US 0x0a000001u
#define PEER 0x0a000002u
#define ISN 0xfffff000u      /* ours */
#define PEER_ISN 0xffffe000u
#define STREAM (1u << 20)    /* octets of the peer that the model tells apart */

struct run {
    struct xw_tcp_stack *s;
    struct xw_tcp *c;
    struct xw_bytering rcv, snd;
    struct xw_rng rng;
    uint64_t now, wrote, read, drops[XW_DROP_COUNT];
    struct xw_seq ack, edge;        /* of ours, as sent: what we acknowledged, offered */
    struct xw_seq given;            /* right edge that the peer ever gave */
    uint32_t far;                   /* behind the last octet that the peer ever sent, FIN included, from its ISN */
    uint8_t rmem[8192], smem[8192];
    bool alien;                     /* a SYN or a lucky guess made another connection of it */
};

static uint8_t theirs(uint32_t off) { return (uint8_t)(off * 5 + 1 + (off >> 8)); }
static uint8_t ours(uint32_t off) { return (uint8_t)(off * 7 + 3 + (off >> 8)); }

/* ---- what we sent -------------------------------------------------------------------------------------------------- */

static void check_sent(struct run *r, const struct xw_tcp_hdr *h, const uint8_t *p, uint32_t len) {
    struct xw_seq end = xw_seq_add(h->seq, len + !!(h->flags & XW_TCP_FIN));
    if (h->flags & (XW_TCP_RST | XW_TCP_SYN))
        return;
    XW_ASSERT(h->flags & XW_TCP_ACK && r->c);
    for (uint32_t i = 0; i < len; i++)
        XW_ASSERT(p[i] == ours(xw_seq_dist(h->seq, xw_seq(ISN + 1)) + i));
    XW_ASSERT(!len || xw_seq_le(end, xw_seq_add(xw_seq(ISN + 1), (uint32_t)r->wrote + 1)));
    XW_ASSERT((!len && !(h->flags & XW_TCP_FIN)) || xw_seq_le(end, xw_seq_add(r->given, 1))); /* one more: a probe */
    struct xw_seq edge = xw_seq_add(h->ack, (uint32_t)h->window << r->c->rcv_wscale);
    XW_ASSERT(xw_seq_ge(h->ack, r->ack) && xw_seq_le(h->ack, xw_seq(PEER_ISN + r->far)));
    XW_ASSERT(xw_seq_ge(edge, xw_seq_sub(r->edge, (1u << r->c->rcv_wscale) - 1)));
    r->ack = h->ack;
    r->edge = xw_seq_max(r->edge, edge);
}

static void output(struct run *r, unsigned max) {
    struct xw_tcp_seg g;
    struct xw_tcp_hdr h;
    uint8_t b[2000];
    for (unsigned n = 0; n < max && xw_tcp_output(r->s, r->now, &g); n++) {
        XW_ASSERT(n < 2000);
        uint32_t len = xw_tcp_seg_emit(&g, xw_mspan(b, 1500));
        XW_ASSERT(len >= 20 && len <= 1480);
        XW_ASSERT(xw_tcp_parse(xw_span(b, len), US, PEER, true, &h) == XW_DROP_NONE);
        if (g.conn)
            check_sent(r, &h, b + h.hdr_len, len - h.hdr_len);
    }
}

/* ---- books --------------------------------------------------------------------------------------------------------- */

static void books(const struct run *r) {
    const struct xw_tcp *c = r->c;
    uint32_t sacked = 0, lost = 0;
    XW_ASSERT(xw_tcp_deadline(r->s) > r->now);
    if (!c || c->state == XW_TCP_CLOSED || c->state == XW_TCP_SYN_SENT)
        return;
    struct xw_seq at = c->snd_una;
    for (uint32_t i = 0; i < c->rec_cnt; i++) {
        const struct xw_tcp_rec *q = xw_tcp_rec_at(c, i);
        XW_ASSERT(xw_seq_eq(q->lo, at) && q->len && q->sent_ns <= r->now && (q->flags & 3) != 3);
        at = xw_seq_add(at, q->len);
        sacked += q->flags & XW_TCP_REC_SACKED ? q->len : 0;
        lost += q->flags & XW_TCP_REC_LOST ? q->len : 0;
    }
    XW_ASSERT(!c->rec_cnt || xw_seq_eq(at, c->snd_nxt));
    XW_ASSERT(sacked == c->sacked_bytes && lost == c->lost_bytes);
    uint64_t edge = c->rcv->tail;
    for (uint32_t i = 0; i < c->ooo_cnt; i++) {
        XW_ASSERT(c->ooo[i].lo > edge && c->ooo[i].hi > c->ooo[i].lo);
        edge = c->ooo[i].hi;
    }
    XW_ASSERT(edge <= c->rcv->head + c->rcv->cap && c->ooo_cnt <= c->stk->cfg.ooo_ranges);
}

/* ---- the peer ------------------------------------------------------------------------------------------------------ */

static int32_t signed16(const uint8_t *p) { return (int16_t)(uint16_t)(p[0] << 8 | p[1]); }

static void fill_opts(struct run *r, struct xw_tcp_hdr *h, uint8_t how) {
    const struct xw_tcp *c = r->c;
    if (c->ts_on && (how & 3) != 3) {
        h->opts |= XW_TCP_OPT_TS;
        h->ts_val = c->ts_recent + (how & 3);
        h->ts_ecr = xw_tcp_ts_now(c, r->now) - (how >> 2 & 1);
    }
    if (how & 0x30) {
        uint32_t flight = xw_seq_dist(c->snd_nxt, c->snd_una) + 2;
        h->opts |= XW_TCP_OPT_SACK;
        h->sack_cnt = how >> 4 & 3;
        for (unsigned i = 0; i < h->sack_cnt; i++) {
            uint32_t lo = (how * 37u + i * 101u) % flight;
            h->sack[i].lo = xw_seq_add(c->snd_una, lo - (how >> 7));
            h->sack[i].hi = xw_seq_add(h->sack[i].lo, 1 + (how * 61u + i * 7u) % flight);
        }
    }
}

/* Eight octets: flags, sequence (2), acknowledgment (2), length, window, options. */
static void segment(struct run *r, const uint8_t *d) {
    static const uint8_t flags[] = { XW_TCP_ACK, XW_TCP_ACK | XW_TCP_PSH, XW_TCP_ACK | XW_TCP_FIN, XW_TCP_RST, XW_TCP_SYN,
                                     XW_TCP_SYN | XW_TCP_ACK, XW_TCP_ACK | XW_TCP_URG, 0 };
    static const int32_t scale[] = { 1, 1, 32, 1000 };
    uint8_t b[2000];
    struct xw_tcp *c = r->c;
    bool syn_sent = c->state == XW_TCP_SYN_SENT;
    struct xw_tcp_hdr h = { .src_port = 443, .dst_port = 4000, .flags = flags[d[0] >> 1 & 7] };
    int32_t seq = signed16(d + 1) / 128 * scale[d[0] >> 4 & 3], ack = signed16(d + 3) / 128 * scale[d[0] >> 6 & 3];
    struct xw_seq base = syn_sent ? xw_seq(PEER_ISN) : c->rcv_nxt;
    h.seq = xw_seq_add(base, (uint32_t)seq);
    h.ack = xw_seq_add(d[4] & 1 ? c->snd_nxt : c->snd_una, (uint32_t)ack);
    h.window = (uint16_t)(d[6] * d[6]);
    fill_opts(r, &h, d[7]);
    if (h.flags & XW_TCP_SYN)
        h.opts = XW_TCP_OPT_MSS | (d[7] & (XW_TCP_OPT_TS | XW_TCP_OPT_SACK_OK | XW_TCP_OPT_WSCALE)), h.mss = (uint16_t)(d[5] * 8),
        h.wscale = d[6] & 7, h.sack_cnt = 0;
    uint32_t off = xw_seq_dist(h.seq, xw_seq(PEER_ISN + 1)) + !!(h.flags & XW_TCP_SYN), len = d[5] * 5u % 1200u;
    uint32_t n = xw_tcp_emit(&h, xw_mspan(b, 60));
    if (syn_sent && h.flags & XW_TCP_SYN && h.seq.v != PEER_ISN)
        r->alien = true;
    if (off + len >= STREAM && off < 1u << 31)
        len = 0; /* farther than any window reaches */
    for (uint32_t i = 0; i < len; i++)
        b[n + i] = theirs(off + i);
    xw_tcp_set_checksum(xw_mspan(b, n + len), PEER, US);
    uint32_t end = xw_seq_dist(h.seq, xw_seq(PEER_ISN)) + len + !!(h.flags & XW_TCP_FIN) + !!(h.flags & XW_TCP_SYN);
    if (end < STREAM && end > r->far)
        r->far = end;
    uint8_t shift = h.flags & XW_TCP_SYN ? 0 : c->snd_wscale;
    if (h.flags & XW_TCP_ACK && xw_seq_le(h.ack, c->snd_nxt))
        r->given = xw_seq_max(r->given, xw_seq_add(h.ack, (uint32_t)h.window << shift));
    uint8_t *exact = malloc(n + len);
    memcpy(exact, b, n + len);
    xw_tcp_input(r->s, PEER, US, xw_span(exact, n + len), true, NULL, r->now);
    free(exact);
}

/* ---- the owner ----------------------------------------------------------------------------------------------------- */

static void write_some(struct run *r, uint32_t n) {
    if (r->c->fin_queued || r->c->state == XW_TCP_CLOSED || r->c->state == XW_TCP_TIME_WAIT)
        return;
    while (n-- && xw_bytering_room(&r->snd)) {
        uint8_t b = ours((uint32_t)r->wrote++);
        xw_bytering_write(&r->snd, &b, 1);
    }
    xw_tcp_queued(r->c, r->now);
}

static void read_some(struct run *r, uint32_t n) {
    while (n-- && xw_bytering_len(&r->rcv)) {
        XW_ASSERT(xw_bytering_peek(&r->rcv).p[0] == theirs((uint32_t)r->read++));
        xw_bytering_consume(&r->rcv, 1);
    }
    xw_tcp_consumed(r->c, r->now);
}

static void pass(struct run *r, uint64_t ns) {
    r->now += ns;
    xw_tcp_tick(r->s, r->now);
}

static void operation(struct run *r, uint8_t op, uint8_t arg) {
    uint64_t next = xw_tcp_deadline(r->s);
    switch (op >> 1 & 7) {
    case 0: write_some(r, arg * 16u); break;
    case 1: read_some(r, arg * 40u); break;
    case 2: pass(r, (uint64_t)arg * arg * 10000u); break;
    case 3: pass(r, next != XW_NEVER ? next - r->now : 0); break;
    case 4:
        xw_tcp_icmp_error(r->s, &r->c->tuple, xw_seq_add(r->c->snd_una, arg & 15), (enum xw_tcp_icmp)(1 + (arg >> 4) % 7),
                          arg * 6u, r->now);
        break;
    case 5: xw_tcp_set_mtu(r->c, 68u + arg * 6u > 1500 ? 1500 : 68u + arg * 6u, r->now); break;
    case 6:
        if (arg & 1)
            xw_tcp_shutdown_wr(r->c, r->now);
        else if (arg > 200)
            xw_tcp_shutdown_rd(r->c, r->now);
        break;
    case 7: output(r, 1 + arg % 4); return;
    }
}

/* ---- one run ------------------------------------------------------------------------------------------------------- */

static void *begin(struct run *r, const uint8_t *d) {
    static const uint8_t seed[32] = { 3 };
    struct xw_tcp_cfg cfg;
    struct xw_tcp_tuple t = { US, PEER, 4000, 443 };
    memset(r, 0, sizeof *r);
    xw_rng_init(&r->rng, seed);
    xw_tcp_cfg_default(&cfg);
    cfg.max_conns = 1;
    cfg.rng = &r->rng;
    cfg.drops = r->drops;
    cfg.fixed_isn = 1;
    cfg.isn = ISN;
    cfg.tx_records = 32;
    cfg.max_listeners = cfg.stamp_marks = 0;
    cfg.ooo_ranges = d[0] & 1 ? 4 : 32;
    cfg.fast_path = d[0] >> 1 & 1;
    cfg.opts.use_ts = d[0] >> 2 & 1;
    cfg.opts.use_sack = d[0] >> 3 & 1;
    cfg.opts.ack_policy = (d[0] >> 4 & 3) % 3;
    cfg.opts.nodelay = d[0] >> 6 & 1;
    cfg.opts.keep_idle_ns = d[0] >> 7 ? XW_NS_PER_S : 0;
    cfg.opts.cc = xw_tcp_cc_find(d[1] >> 6 & 1) ? d[1] >> 6 & 1 : 0;
    cfg.opts.time_wait_ns = XW_NS_PER_S;
    cfg.opts.data_retries = 4;
    size_t len = (xw_tcp_stack_size(&cfg) + 15) & ~(size_t)15;
    void *mem = aligned_alloc(16, len);
    memset(mem, 0xcc, len);
    r->now = 1000 * XW_NS_PER_S;
    XW_ASSERT(!xw_tcp_stack_init(mem, len, &cfg, &r->s));
    xw_bytering_init(&r->rcv, r->rmem, 1024u << (d[1] & 3));
    xw_bytering_init(&r->snd, r->smem, 1024u << (d[1] >> 2 & 3));
    XW_ASSERT(!xw_tcp_connect(r->s, &t, &r->rcv, &r->snd, 1500, NULL, r->now, &r->c));
    r->given = xw_seq(ISN + 1);
    r->ack = r->edge = xw_seq(PEER_ISN + 1);
    r->far = 1;
    output(r, 10);
    if (!(d[1] & 0x80)) /* else the input opens it */
        segment(r, (const uint8_t[]){ 10, 0, 0, 0, 1, 180, 200, 0x0c });
    return mem;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct run r;
    uint32_t ev;
    if (size < 4)
        return 0;
    void *mem = begin(&r, data);
    for (size_t i = 2; i + 2 <= size && i < 1000 && !r.alien && r.c->state != XW_TCP_CLOSED;) {
        bool is_segment = data[i] & 1;
        if (is_segment && i + 8 > size)
            break;
        if (is_segment)
            segment(&r, data + i);
        else
            operation(&r, data[i], data[i + 1]);
        while (xw_tcp_changed(r.s, &ev))
            continue;
        if (!is_segment || !(data[i] & 0x40))
            output(&r, 3000); /* else the next is in the same burst */
        xw_tcp_tick(r.s, r.now);
        books(&r);
        i += is_segment ? 8 : 2;
    }
    xw_tcp_release(r.c, r.now);
    r.c = NULL;
    pass(&r, 100 * XW_NS_PER_S);
    XW_ASSERT(xw_tcp_deadline(r.s) == XW_NEVER && r.s->free_conn);
    free(mem);
    return 0;
}
