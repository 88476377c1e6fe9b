/* Deterministic simulation of two stacks over a bad link. One seed is one run: it chooses the link (delay, jitter,
 * rate, loss, duplication, reordering, corruption), the options of both ends, ring sizes, how much each side sends,
 * how it reads and writes, and who opens. Checked at every step: bytes in order, the books of the scoreboard and of
 * the ranges, no deadline in the past, windows never beyond the ring; at the end: everything arrived, both sides
 * closed in order.
 *
 *   test_tcp_sim            500 seeds from 1
 *   test_tcp_sim N          seed N alone, with its story        (or XT_SEED=N)
 *   XT_SEEDS=N XT_FIRST=F   N seeds from F */
#include "tcp/tcp_priv.h"
#include "xt.h"
#include <time.h>

#define FLIGHT_MAX 4096
#define PKT_MAX 1600

struct pkt { uint64_t at; uint32_t to, len; uint64_t serial; uint8_t b[PKT_MAX]; };
struct end {
    struct xw_tcp_stack *s;
    struct xw_tcp *c;
    struct xw_tcp_listener *l;
    struct xw_bytering rcv, snd;
    uint8_t *mem, *rmem, *smem;
    uint64_t drops[XW_DROP_COUNT];
    uint32_t ip;
    uint64_t to_send, sent, got, wake, read_gap;
    uint32_t read_max, write_max, idle;
    bool shut, opened;
    uint64_t link_free; /* when the last packet of this direction has left */
};
struct sim {
    uint64_t seed, now, serial;
    struct xw_rng rng, stk_rng[2];
    struct end e[2];
    struct pkt *pkt;
    uint32_t pkt_cnt;
    uint64_t delay, jitter, ns_per_byte;
    uint32_t loss, dup, reorder, corrupt; /* of 10,000 */
    uint64_t lost, dupped, reordered, corrupted, steps;
    bool story;
};

#define SIM_FAIL(m, ...) \
    do { \
        fprintf(stderr, "seed %" PRIu64 " at %" PRIu64 " ns: ", (m)->seed, (m)->now); \
        XT_FAIL(__VA_ARGS__); \
    } while (0)
#define SIM_TRUE(m, c) \
    do { \
        if (!(c)) \
            SIM_FAIL(m, "not true: %s", #c); \
    } while (0)

static uint32_t pick(struct sim *m, uint32_t lo, uint32_t hi) { return lo + xw_rng_below(&m->rng, hi - lo + 1); }
static bool chance(struct sim *m, uint32_t of_10000) { return xw_rng_below(&m->rng, 10000) < of_10000; }
static uint8_t pattern(unsigned from, uint64_t off) {
    uint64_t x = (off + 1) * 0x9e3779b97f4a7c15u + from * 77;
    return (uint8_t)(x >> 56 ^ x >> 13);
}

/* ---- link -------------------------------------------------------------------------------------------------------- */

static void enqueue(struct sim *m, const struct pkt *p) {
    if (m->pkt_cnt < FLIGHT_MAX) {
        m->pkt[m->pkt_cnt] = *p;
        m->pkt[m->pkt_cnt++].serial = m->serial++;
    }
}

static void transmit(struct sim *m, unsigned from, const struct xw_tcp_seg *g) {
    struct pkt p = { .to = !from };
    struct end *e = &m->e[from];
    p.len = xw_tcp_seg_emit(g, xw_mspan(p.b, sizeof p.b));
    SIM_TRUE(m, p.len && p.len <= 1480);
    if (m->story)
        fprintf(stderr, "%12" PRIu64 " %u > seq %u ack %u len %zu flags %02x win %u sack %u\n", m->now, from,
                g->hdr.seq.v, g->hdr.ack.v, g->data[0].len + g->data[1].len, g->hdr.flags, g->hdr.window,
                g->hdr.sack_cnt);
    if (chance(m, m->loss)) {
        m->lost++;
        return;
    }
    uint64_t start = e->link_free > m->now ? e->link_free : m->now;
    if (start - m->now > 200 * XW_NS_PER_MS) { /* drop-tail queue of 200 ms */
        m->lost++;
        return;
    }
    e->link_free = start + p.len * m->ns_per_byte;
    p.at = e->link_free + m->delay;
    if (m->jitter && chance(m, m->reorder)) {
        p.at += xw_rng_below(&m->rng, (uint32_t)m->jitter);
        m->reordered++;
    }
    if (chance(m, m->corrupt)) {
        p.b[xw_rng_below(&m->rng, p.len)] ^= (uint8_t)pick(m, 1, 255);
        m->corrupted++;
    }
    enqueue(m, &p);
    if (chance(m, m->dup)) {
        p.at += xw_rng_below(&m->rng, 1000 + (uint32_t)m->jitter);
        m->dupped++;
        enqueue(m, &p);
    }
}

static uint32_t next_pkt(const struct sim *m) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < m->pkt_cnt; i++)
        if (m->pkt[i].at < m->pkt[best].at || (m->pkt[i].at == m->pkt[best].at &&
                                               m->pkt[i].serial < m->pkt[best].serial))
            best = i;
    return best;
}

/* ---- books ------------------------------------------------------------------------------------------------------- */

static void check_conn(const struct sim *m, const struct xw_tcp *c) {
    if (!c || c->state == XW_TCP_CLOSED || !c->rcv)
        return;
    uint32_t sacked = 0, lost = 0, recs = 0;
    struct xw_seq at = c->snd_una;
    for (uint32_t i = 0; i < c->rec_cnt; i++) {
        const struct xw_tcp_rec *r = xw_tcp_rec_at(c, i);
        SIM_TRUE(m, xw_seq_eq(r->lo, at) && r->len);
        SIM_TRUE(m, (r->flags & 3) != 3 && r->sent_ns <= m->now);
        at = xw_seq_add(at, r->len);
        sacked += r->flags & XW_TCP_REC_SACKED ? r->len : 0;
        recs += r->flags & XW_TCP_REC_SACKED ? 1 : 0;
        lost += r->flags & XW_TCP_REC_LOST ? r->len : 0;
    }
    SIM_TRUE(m, !c->rec_cnt || xw_seq_eq(at, c->snd_nxt));
    SIM_TRUE(m, sacked == c->sacked_bytes && lost == c->lost_bytes && recs == c->sacked_recs);
    uint64_t edge = c->rcv->tail;
    for (uint32_t i = 0; i < c->ooo_cnt; i++) {
        SIM_TRUE(m, c->ooo[i].lo > edge && c->ooo[i].hi > c->ooo[i].lo);
        edge = c->ooo[i].hi;
    }
    SIM_TRUE(m, edge <= c->rcv->head + c->rcv->cap);
    if (c->state != XW_TCP_SYN_SENT)
        SIM_TRUE(m, xw_seq_diff(c->rcv_adv, c->rcv_nxt) <= (int32_t)xw_bytering_room(c->rcv));
}

/* ---- applications ------------------------------------------------------------------------------------------------ */

static void app_read(struct sim *m, unsigned i) {
    struct end *e = &m->e[i];
    uint32_t left = e->read_max;
    while (left && xw_bytering_len(&e->rcv)) {
        struct xw_span v = xw_bytering_peek(&e->rcv);
        uint32_t n = v.len < left ? (uint32_t)v.len : left;
        struct xw_rxstamp st;
        SIM_TRUE(m, !xw_tcp_stamp(e->c, e->rcv.head, &st) || (st.valid == XW_RXS_RING && st.ring_ns <= m->now));
        for (uint32_t k = 0; k < n; k++)
            if (v.p[k] != pattern(!i, e->got + k))
                SIM_FAIL(m, "end %u: octet %" PRIu64 " is wrong", i, e->got + k);
        e->got += n;
        left -= n;
        xw_bytering_consume(&e->rcv, n);
        xw_tcp_consumed(e->c, m->now);
    }
    SIM_TRUE(m, e->got <= m->e[!i].sent);
}

static void app_write(struct sim *m, unsigned i) {
    struct end *e = &m->e[i];
    uint32_t n = pick(m, 1, e->write_max);
    while (n && e->sent < e->to_send && xw_bytering_room(&e->snd)) {
        uint8_t b = pattern(i, e->sent);
        xw_bytering_write(&e->snd, &b, 1);
        e->sent++;
        n--;
    }
    xw_tcp_queued(e->c, m->now);
    if (e->sent == e->to_send && !e->shut) {
        e->shut = true;
        xw_tcp_shutdown_wr(e->c, m->now);
    }
}

static void app(struct sim *m, unsigned i) {
    struct end *e = &m->e[i];
    if (!e->c || m->now < e->wake)
        return;
    uint64_t before = e->got + e->sent;
    app_read(m, i);
    enum xw_tcp_state st = xw_tcp_state(e->c);
    if (!e->shut && (xw_tcp_can_send(st) || st == XW_TCP_FIN_WAIT_2))
        app_write(m, i);
    /* one that finds nothing to do looks less often, so that the other may be very slow */
    e->idle = e->got + e->sent == before ? (e->idle < 100 ? e->idle + 1 : 100) : 1;
    e->wake = m->now + 1 + xw_rng_below(&m->rng, (uint32_t)e->read_gap) * (uint64_t)e->idle;
    if (xw_tcp_finished(e->c) && !xw_bytering_len(&e->rcv))
        e->wake = XW_NEVER;
}

static void serve(struct sim *m, unsigned i) {
    struct end *e = &m->e[i];
    struct xw_tcp_seg g;
    uint32_t ev;
    struct xw_tcp_tuple t;
    if (e->l && !e->c && xw_tcp_listen_pending(e->l, &t))
        XT_EQ(xw_tcp_accept(e->l, &e->rcv, &e->snd, 1500, NULL, m->now, &e->c), 0);
    xw_tcp_tick(e->s, m->now);
    while (xw_tcp_changed(e->s, &ev))
        continue;
    app(m, i);
    for (unsigned n = 0; xw_tcp_output(e->s, m->now, &g); n++) {
        SIM_TRUE(m, n < 5000);
        transmit(m, i, &g);
    }
    SIM_TRUE(m, !xw_tcp_pending(e->s));
    SIM_TRUE(m, xw_tcp_deadline(e->s) > m->now);
    check_conn(m, e->c);
}

/* ---- one run ----------------------------------------------------------------------------------------------------- */

static void build_end(struct sim *m, unsigned i, uint32_t isn) {
    struct end *e = &m->e[i];
    struct xw_tcp_cfg cfg;
    uint8_t seed[32] = { (uint8_t)i };
    xw_rng_init(&m->stk_rng[i], seed);
    xw_tcp_cfg_default(&cfg);
    cfg.max_conns = 2;
    cfg.rng = &m->stk_rng[i];
    cfg.drops = e->drops;
    cfg.fast_path = (uint8_t)pick(m, 0, 1);
    cfg.tx_records = chance(m, 2000) ? 32 : 256;
    cfg.ooo_ranges = chance(m, 2000) ? 4 : 64;
    cfg.stamp_marks = chance(m, 3000) ? 8 : 256;
    cfg.fixed_isn = 1;
    cfg.isn = isn;
    cfg.opts.syn_retries = 12;
    cfg.opts.time_wait_ns = 20 * XW_NS_PER_S;
    cfg.opts.rto_max_ns = 8 * XW_NS_PER_S;
    cfg.opts.rto_min_ns = pick(m, 1, 200) * XW_NS_PER_MS;
    cfg.opts.nodelay = (uint8_t)pick(m, 0, 1);
    cfg.opts.use_ts = !chance(m, 3000);
    cfg.opts.use_sack = !chance(m, 3000);
    cfg.opts.use_tlp = !chance(m, 3000);
    cfg.opts.use_wscale = !chance(m, 3000);
    cfg.opts.ack_policy = (uint8_t)pick(m, 0, 2);
    size_t len = xw_tcp_stack_size(&cfg);
    e->mem = aligned_alloc(16, (len + 15) & ~(size_t)15);
    XT_EQ(xw_tcp_stack_init(e->mem, len, &cfg, &e->s), 0);
    uint32_t rcap = 1u << pick(m, 10, 18), scap = 1u << pick(m, 10, 18);
    e->rmem = malloc(rcap);
    e->smem = malloc(scap);
    xw_bytering_init(&e->rcv, e->rmem, rcap);
    xw_bytering_init(&e->snd, e->smem, scap);
    e->ip = 0x0a000001 + i;
    e->to_send = chance(m, 2000) ? 0 : 1u << pick(m, 0, 17);
    e->read_gap = chance(m, 2000) ? 300 * XW_NS_PER_MS : 1u << pick(m, 16, 23);
    if (e->read_gap < m->delay / 4)
        e->read_gap = m->delay / 4;
    e->read_max = 1u << pick(m, 9, 18);
    e->write_max = 1u << pick(m, 6, 16);
}

static void open_both(struct sim *m) {
    struct xw_tcp_tuple a = { m->e[0].ip, m->e[1].ip, 1000, 2000 }, b = { m->e[1].ip, m->e[0].ip, 2000, 1000 };
    XT_EQ(xw_tcp_connect(m->e[0].s, &a, &m->e[0].rcv, &m->e[0].snd, 1500, NULL, m->now, &m->e[0].c), 0);
    if (chance(m, 1500))
        XT_EQ(xw_tcp_connect(m->e[1].s, &b, &m->e[1].rcv, &m->e[1].snd, 1500, NULL, m->now, &m->e[1].c), 0);
    else
        XT_EQ(xw_tcp_listen(m->e[1].s, 0, 2000, &m->e[1].l), 0);
}

static void deliver(struct sim *m) {
    while (m->pkt_cnt) {
        uint32_t k = next_pkt(m);
        if (m->pkt[k].at > m->now)
            return;
        struct pkt p = m->pkt[k];
        m->pkt[k] = m->pkt[--m->pkt_cnt];
        struct xw_rxstamp st = { .ring_ns = m->now, .valid = XW_RXS_RING };
        xw_tcp_input(m->e[p.to].s, m->e[!p.to].ip, m->e[p.to].ip, xw_span(p.b, p.len), true, &st, m->now);
        if (chance(m, 5000))
            serve(m, p.to); /* else several packets come in one burst */
    }
}

static bool done(const struct sim *m) {
    for (unsigned i = 0; i < 2; i++) {
        const struct end *e = &m->e[i];
        if (!e->c || !xw_tcp_finished(e->c) || e->got != m->e[!i].to_send)
            return false;
    }
    return true;
}

static void link_of(struct sim *m) {
    static const uint32_t rates[] = { 0, 0, 50, 100, 300, 1000 };
    m->delay = (uint64_t)1000 << pick(m, 0, 15);
    m->jitter = chance(m, 5000) ? m->delay * pick(m, 1, 3) : 0;
    m->ns_per_byte = (uint64_t)1 << pick(m, 3, 10);
    bool clean = chance(m, 1500);
    m->loss = clean ? 0 : rates[pick(m, 0, 5)];
    m->dup = clean ? 0 : rates[pick(m, 0, 5)];
    m->reorder = clean ? 0 : rates[pick(m, 0, 5)] * 2;
    m->corrupt = clean ? 0 : rates[pick(m, 0, 4)];
}

static void run(uint64_t seed, bool story) {
    struct sim *m = calloc(1, sizeof *m);
    uint8_t s[32] = { 0 };
    memcpy(s, &seed, sizeof seed);
    xw_rng_init(&m->rng, s);
    m->seed = seed;
    m->story = story;
    m->now = 1000000;
    m->pkt = malloc(sizeof *m->pkt * FLIGHT_MAX);
    link_of(m);
    build_end(m, 0, 0u - pick(m, 0, 100000));
    build_end(m, 1, 0u - pick(m, 0, 100000));
    open_both(m);
    uint64_t last = m->now, high = 0;
    while (!done(m)) {
        for (unsigned i = 0; i < 2; i++)
            serve(m, i);
        if (done(m))
            break; /* a slow reader may be the last to finish */
        uint64_t next = m->pkt_cnt ? m->pkt[next_pkt(m)].at : XW_NEVER;
        for (unsigned i = 0; i < 2; i++) {
            uint64_t d = xw_tcp_deadline(m->e[i].s), w = m->e[i].c ? m->e[i].wake : XW_NEVER;
            next = d < next ? d : next;
            next = w < next ? w : next;
        }
        if (next == XW_NEVER)
            SIM_FAIL(m, "stuck: states %d %d, got %" PRIu64 " of %" PRIu64 ", %" PRIu64 " of %" PRIu64,
                     m->e[0].c->state, m->e[1].c->state, m->e[0].got, m->e[1].to_send, m->e[1].got, m->e[0].to_send);
        m->now = next > m->now ? next : m->now;
        deliver(m);
        uint64_t sum = m->e[0].got + m->e[1].got;
        for (unsigned i = 0; i < 2; i++) {
            sum += m->e[i].c ? (uint64_t)m->e[i].c->state + m->e[i].c->st.bytes_in : 0;
            if (m->e[i].c && xw_tcp_error(m->e[i].c))
                SIM_FAIL(m, "end %u failed: %s", i, xw_strerror(xw_tcp_error(m->e[i].c)));
        }
        if (sum != high)
            high = sum, last = m->now;
        if (m->now - last > 120 * XW_NS_PER_S)
            SIM_FAIL(m, "no progress for two minutes");
        SIM_TRUE(m, ++m->steps < 5000000);
    }
    if (story)
        printf("seed %" PRIu64 ": %" PRIu64 " + %" PRIu64 " octets in %" PRIu64 " us, lost %" PRIu64 " dup %" PRIu64
               " reordered %" PRIu64 " corrupted %" PRIu64 "\n", seed, m->e[1].got, m->e[0].got, m->now / 1000, m->lost,
               m->dupped, m->reordered, m->corrupted);
    for (unsigned i = 0; i < 2; i++) {
        xw_tcp_release(m->e[i].c, m->now);
        xw_tcp_tick(m->e[i].s, m->now + 100 * XW_NS_PER_S);
        XT_TRUE(xw_tcp_deadline(m->e[i].s) == XW_NEVER); /* no live timer is left */
        free(m->e[i].mem), free(m->e[i].rmem), free(m->e[i].smem);
    }
    free(m->pkt);
    free(m);
}

int main(int argc, char **argv) {
    const char *one = argc > 1 ? argv[1] : getenv("XT_SEED"), *cnt = getenv("XT_SEEDS"), *from = getenv("XT_FIRST");
    if (one) {
        run(strtoull(one, NULL, 0), true);
        return 0;
    }
    uint64_t first = from ? strtoull(from, NULL, 0) : 1, n = cnt ? strtoull(cnt, NULL, 0) : 500;
    clock_t t = clock();
    for (uint64_t s = first; s < first + n; s++)
        run(s, false);
    printf("%" PRIu64 " seeds passed, 0 failed; %.0f seeds/s\n", n, (double)n * CLOCKS_PER_SEC / (double)(clock() - t));
    return 0;
}
