#include "xt_tcp.h"
#include "tcp/fast.h"
#include "wire/checksum.h"

struct xt_tcp T;
enum { OUR_IP = 0x0a000001, PEER_IP = 0x0a000002, OUR_PORT = 4000, PEER_PORT = 443 };

static uint8_t ours(uint64_t off) { return (uint8_t)(off * 7 + 3 + (off >> 8)); }
static uint8_t theirs(uint64_t off) { return (uint8_t)(off * 5 + 1 + (off >> 8)); }

void xt_defaults(void) {
    memset(&T, 0, sizeof T);
    xw_tcp_cfg_default(&T.cfg);
    T.cfg.max_conns = 4;
    T.cfg.fixed_isn = 1;
    T.cfg.isn = XT_ISN;
    T.cfg.opts.use_ts = 0;
    T.cfg.opts.use_tlp = 0; /* traces of the timeout are to be plain */
    T.cfg.opts.cc = XW_TCP_CC_NEWRENO; /* windows that can be told without a calculator */
    T.rcv_cap = T.snd_cap = 65536;
    T.mtu = 1500;
    T.peer_mss = 1460;
    T.now = T.epoch = XT_S(1000);
}

void xt_begin(void) {
    static const uint8_t seed[32] = { 7 };
    xw_rng_init(&T.rng, seed);
    T.cfg.rng = &T.rng;
    T.cfg.drops = T.drops;
    size_t len = xw_tcp_stack_size(&T.cfg);
    XT_TRUE(len);
    T.mem = aligned_alloc(16, (len + 15) & ~(size_t)15);
    XT_EQ(xw_tcp_stack_init(T.mem, len, &T.cfg, &T.s), 0);
    xw_bytering_init(&T.rcv, malloc(T.rcv_cap), T.rcv_cap);
    xw_bytering_init(&T.snd, malloc(T.snd_cap), T.snd_cap);
}

void xt_end(void) {
    EXPECT_NOTHING();
    free(T.mem), free(T.rcv.base), free(T.snd.base);
    memset(&T, 0, sizeof T);
}

/* ---- the wire ---------------------------------------------------------------------------------------------------- */

static uint8_t flag_bits(const char *f) {
    uint8_t v = 0;
    for (; *f; f++) {
        const char *all = "FSRPAU", *p = strchr(all, *f);
        if (!p)
            XT_FAIL("no flag %c", *f);
        v |= (uint8_t)(1u << (p - all));
    }
    return v;
}

/* Every second segment is offered to the straight line first (tcp/fast.h), which must do the same. */
static enum xw_drop segment_in(struct xw_span seg, const struct xw_rxstamp *st) {
    struct xw_tcp *c = xw_tcp_fast_conn(T.s, PEER_IP, OUR_IP, seg);
    struct xw_span data;
    if (c && T.straight++ % 2 && xw_tcp_fast_in(c, seg, xw_csum_pseudo(PEER_IP, OUR_IP, 6, (uint32_t)seg.len), true, T.now, &data)) {
        T.straight_hits++;
        xw_tcp_fast_put(c, data, 0, st);
        return XW_DROP_NONE;
    }
    return xw_tcp_input(T.s, PEER_IP, OUR_IP, seg, true, st, T.now);
}

enum xw_drop xt_rx(const char *file, int line, bool more, struct xt_seg s) {
    if (!more)
        xt_nothing(file, line);
    static uint8_t b[70000];
    struct xw_tcp_hdr h = { .dst_port = OUR_PORT, .flags = flag_bits(s.flags) };
    h.src_port = s.sport ? s.sport : PEER_PORT;
    h.seq = xw_seq(XT_PEER_ISN + s.seq);
    h.ack = h.flags & XW_TCP_ACK ? xw_seq(XT_ISN + s.ack) : xw_seq(0);
    h.window = (uint16_t)(s.win0 ? 0 : s.win ? s.win : 65535);
    h.opts = (uint8_t)((s.mss ? XW_TCP_OPT_MSS : 0) | (s.ws1 ? XW_TCP_OPT_WSCALE : 0) |
                       (s.sackok ? XW_TCP_OPT_SACK_OK : 0) | (s.ts ? XW_TCP_OPT_TS : 0) |
                       (s.sacks ? XW_TCP_OPT_SACK : 0));
    h.mss = s.mss;
    h.wscale = (uint8_t)(s.ws1 - 1);
    h.ts_val = s.ts;
    h.ts_ecr = s.ecr;
    h.sack_cnt = s.sacks;
    for (unsigned i = 0; i < s.sacks; i++)
        h.sack[i] = (struct xw_tcp_sack){ xw_seq(XT_ISN + s.sack[i][0]), xw_seq(XT_ISN + s.sack[i][1]) };
    uint32_t n = xw_tcp_emit(&h, xw_mspan(b, sizeof b));
    for (uint32_t i = 0; i < s.len; i++)
        b[n++] = theirs((uint64_t)s.seq - 1 + i);
    xw_tcp_set_checksum(xw_mspan(b, n), PEER_IP, OUR_IP);
    struct xw_rxstamp st = { .ring_ns = T.now, .valid = XW_RXS_RING };
    return segment_in(xw_span(b, n), &st);
}

void xt_raw(const uint8_t *seg, size_t len) {
    xw_tcp_input(T.s, PEER_IP, OUR_IP, xw_span(seg, len), true, NULL, T.now);
}

static void describe(const struct xw_tcp_hdr *h, uint32_t len) {
    fprintf(stderr, "  sent: flags %02x seq %u ack %u len %u win %u opts %02x", h->flags, h->seq.v - XT_ISN,
            h->ack.v - XT_PEER_ISN, len, h->window, h->opts);
    for (unsigned i = 0; i < h->sack_cnt; i++)
        fprintf(stderr, " sack %u-%u", h->sack[i].lo.v - XT_PEER_ISN, h->sack[i].hi.v - XT_PEER_ISN);
    fputc('\n', stderr);
}

#define WANT(what, got, want) \
    do { \
        if ((got) != (want)) { \
            describe(h, len); \
            fprintf(stderr, "%s:%d: %s is %u, not %u\n", file, line, what, (unsigned)(got), (unsigned)(want)); \
            exit(1); \
        } \
    } while (0)

static void compare(const char *file, int line, const struct xt_seg *s, const struct xw_tcp_hdr *h, uint32_t len) {
    uint8_t want = flag_bits(s->flags), got = h->flags;
    WANT("flags", want & XW_TCP_PSH ? got : got & ~XW_TCP_PSH, want);
    WANT("seq", h->seq.v - XT_ISN, s->seq);
    if (want & XW_TCP_ACK)
        WANT("ack", h->ack.v - XT_PEER_ISN, s->ack);
    WANT("len", len, s->len);
    if (s->win || s->win0)
        WANT("window", h->window, s->win);
    if (s->mss)
        WANT("mss", h->mss, s->mss);
    if (s->ws1)
        WANT("wscale", h->opts & XW_TCP_OPT_WSCALE ? h->wscale + 1 : 0, s->ws1);
    if (s->sackok)
        WANT("sack permitted", h->opts & XW_TCP_OPT_SACK_OK, XW_TCP_OPT_SACK_OK);
    if (s->ts || s->ecr) {
        WANT("ts", h->ts_val, s->ts);
        WANT("ecr", h->ts_ecr, s->ecr);
    }
    WANT("sack blocks", h->sack_cnt, s->sacks);
    for (unsigned i = 0; i < s->sacks; i++) {
        WANT("sack left", h->sack[i].lo.v - XT_PEER_ISN, s->sack[i][0]);
        WANT("sack right", h->sack[i].hi.v - XT_PEER_ISN, s->sack[i][1]);
    }
    if (s->no_opts)
        WANT("options", h->opts, 0);
}

/* The next segment of ours in bytes, 0: none. Every second one is written by the straight line if it serves. */
static uint32_t segment_out(struct xw_mspan out) {
    struct xw_tcp_seg g;
    struct xw_tcp *c = xw_tcp_fast_turn(T.s);
    uint32_t len = c && T.straight_out++ % 2 ? xw_tcp_fast_len(c) : 0;
    if (!len)
        return xw_tcp_output(T.s, T.now, &g) ? xw_tcp_seg_emit(&g, out) : 0;
    xw_tcp_fast_emit(c, T.now, out.p);
    return len;
}

void xt_expect(const char *file, int line, struct xt_seg s) {
    static uint8_t b[70000];
    uint32_t n = segment_out(xw_mspan(b, sizeof b));
    if (!n) {
        fprintf(stderr, "%s:%d: nothing was sent\n", file, line);
        exit(1);
    }
    struct xw_tcp_hdr got, *h = &got;
    uint32_t len = 0;
    WANT("drop of own segment", xw_tcp_parse(xw_span(b, n), OUR_IP, PEER_IP, true, h), XW_DROP_NONE);
    len = n - h->hdr_len;
    compare(file, line, &s, h, len);
    for (uint32_t i = 0; i < len; i++)
        WANT("payload", b[h->hdr_len + i], ours((uint64_t)s.seq - 1 + i));
}

void xt_nothing(const char *file, int line) {
    struct xw_tcp_seg g;
    if (T.s && xw_tcp_output(T.s, T.now, &g)) {
        describe(&g.hdr, (uint32_t)(g.data[0].len + g.data[1].len));
        fprintf(stderr, "%s:%d: nothing should have been sent\n", file, line);
        exit(1);
    }
}

void xt_at(const char *file, int line, uint64_t ns) {
    xt_nothing(file, line);
    XT_TRUE(T.epoch + ns >= T.now);
    T.now = T.epoch + ns;
    xw_tcp_tick(T.s, T.now);
    XT_TRUE(xw_tcp_deadline(T.s) > T.now);
}

void xt_write(uint32_t len) {
    while (len--) {
        uint8_t b = ours(T.wrote++);
        XT_EQ(xw_bytering_write(&T.snd, &b, 1), 1);
    }
    XT_EQ(xw_tcp_queued(T.c, T.now), 0);
}

uint32_t xt_read(uint32_t max) {
    uint32_t n = 0;
    while (n < max && xw_bytering_len(&T.rcv)) {
        XT_EQ(xw_bytering_peek(&T.rcv).p[0], theirs(T.read));
        xw_bytering_consume(&T.rcv, 1);
        T.read++, n++;
    }
    xw_tcp_consumed(T.c, T.now);
    return n;
}

/* ---- states ------------------------------------------------------------------------------------------------------ */

void in_syn_sent(void) {
    if (!T.s) {
        if (!T.rcv_cap)
            xt_defaults();
        xt_begin();
    }
    struct xw_tcp_tuple t = { OUR_IP, PEER_IP, OUR_PORT, PEER_PORT };
    XT_EQ(xw_tcp_connect(T.s, &t, &T.rcv, &T.snd, T.mtu, NULL, T.now, &T.c), 0);
    EXPECT("S", .seq = 0, .mss = (uint16_t)(T.mtu - 40));
    EXPECT_NOTHING();
}

void in_established(void) {
    in_syn_sent();
    bool ts = T.cfg.opts.use_ts;
    T.now += ts ? 0 : XT_MS(10); /* the round-trip time */
    XT_EQ(RX("SA", .seq = 0, .ack = 1, .mss = T.peer_mss, .sackok = T.cfg.opts.use_sack, .ws1 = T.cfg.opts.use_wscale,
             .ts = ts ? 5000 : 0, .ecr = ts ? 1 : 0), 0);
    EXPECT("A", .seq = 1, .ack = 1);
    EXPECT_NOTHING();
    EXPECT_STATE(XW_TCP_ESTABLISHED);
    T.epoch = T.now;
}

void in_listen(void) {
    if (!T.rcv_cap)
        xt_defaults();
    xt_begin();
    XT_EQ(xw_tcp_listen(T.s, 0, OUR_PORT, &T.l), 0);
}

void in_syn_rcvd(void) {
    in_listen();
    XT_EQ(RX("S", .seq = 0, .mss = 1460, .sackok = true, .ws1 = 1), 0);
    EXPECT_NOTHING();
    struct xw_tcp_tuple t;
    XT_TRUE(xw_tcp_listen_pending(T.l, &t));
    XT_EQ(t.remote_port, PEER_PORT);
    XT_EQ(xw_tcp_accept(T.l, &T.rcv, &T.snd, T.mtu, NULL, T.now, &T.c), 0);
    EXPECT("SA", .seq = 0, .ack = 1, .mss = 1460, .sackok = true, .ws1 = 2);
    EXPECT_NOTHING();
    EXPECT_STATE(XW_TCP_SYN_RCVD);
}

void in_fin_wait_1(void) {
    in_established();
    xw_tcp_shutdown_wr(T.c, T.now);
    EXPECT("FA", .seq = 1, .ack = 1);
    EXPECT_STATE(XW_TCP_FIN_WAIT_1);
}

void in_fin_wait_2(void) {
    in_fin_wait_1();
    RX("A", .seq = 1, .ack = 2);
    EXPECT_NOTHING();
    EXPECT_STATE(XW_TCP_FIN_WAIT_2);
}

void in_close_wait(void) {
    in_established();
    RX("FA", .seq = 1, .ack = 1);
    EXPECT("A", .seq = 1, .ack = 2);
    EXPECT_STATE(XW_TCP_CLOSE_WAIT);
    XT_TRUE(xw_tcp_rx_eof(T.c));
}

void in_last_ack(void) {
    in_close_wait();
    xw_tcp_shutdown_wr(T.c, T.now);
    EXPECT("FA", .seq = 1, .ack = 2);
    EXPECT_STATE(XW_TCP_LAST_ACK);
}

void in_closing(void) {
    in_fin_wait_1();
    RX("FA", .seq = 1, .ack = 1);
    EXPECT("A", .seq = 2, .ack = 2);
    EXPECT_STATE(XW_TCP_CLOSING);
}

void in_time_wait(void) {
    in_fin_wait_2();
    RX("FA", .seq = 1, .ack = 2);
    EXPECT("A", .seq = 2, .ack = 2);
    EXPECT_STATE(XW_TCP_TIME_WAIT);
}
