/* Many connections: csrc/tcp/stack.c (memory, lists), demux.c, the heap of timers.c, turns in out.c. */
#include "xt_tcp.h"
#include "xw.h"

#define MANY 4096u

static struct xw_tcp *conn[MANY];
static struct xw_bytering ring[2];

static void many(void) {
    xt_defaults();
    T.cfg.max_conns = MANY;
    T.cfg.tx_records = 32;
    T.cfg.ooo_ranges = 4;
    T.cfg.stamp_marks = 0;
    xt_begin();
    static uint8_t mem[2][1024];
    for (unsigned i = 0; i < 2; i++)
        xw_bytering_init(&ring[i], mem[i], 1024);
}

static struct xw_tcp_tuple tuple(uint32_t i) {
    return (struct xw_tcp_tuple){ 0x0a000001, 0x0a000100 + i / 100, (uint16_t)(1000 + i % 7),
        (uint16_t)(443 + i % 100) };
}

static void connect_all(void) {
    for (uint32_t i = 0; i < MANY; i++) {
        struct xw_tcp_tuple t = tuple(i);
        XT_EQ(xw_tcp_connect(T.s, &t, &ring[0], &ring[1], 1500, NULL, T.now, &conn[i]), 0);
    }
}

XT_TEST(demux_finds_each_and_only_those) {
    many();
    connect_all();
    for (uint32_t i = 0; i < MANY; i++) {
        struct xw_tcp_tuple t = tuple(i);
        XT_TRUE(xw_tcp_demux_find(T.s, &t) == conn[i]);
        t.local_port += 7;
        XT_TRUE(!xw_tcp_demux_find(T.s, &t));
    }
    for (uint32_t i = 0; i < MANY; i += 2)
        xw_tcp_release(conn[i], T.now);
    for (uint32_t i = 0; i < MANY; i++) {
        struct xw_tcp_tuple t = tuple(i);
        XT_TRUE(xw_tcp_demux_find(T.s, &t) == (i % 2 ? conn[i] : NULL));
    }
    uint32_t longest = 0;
    for (uint32_t b = 0; b <= T.s->bucket_mask; b++) {
        uint32_t n = 0;
        for (struct xw_tcp *c = T.s->bucket[b]; c; c = c->hash_next)
            n++;
        longest = n > longest ? n : longest;
    }
    XT_TRUE(longest < 10);
    for (uint32_t i = 1; i < MANY; i += 2)
        xw_tcp_release(conn[i], T.now);
    xt_end();
}

XT_TEST(everybody_gets_a_turn) {
    many();
    connect_all();
    struct xw_tcp_seg g;
    for (uint32_t i = 0; i < MANY; i++) {
        XT_EQ(xw_tcp_output(T.s, T.now, &g), 1);
        XT_TRUE(g.conn == conn[i]);
    }
    for (uint32_t i = 0; i < MANY; i++)
        xw_tcp_release(conn[i], T.now);
    xt_end();
}

/* The heap against a plain search, over random re-arming. */
XT_TEST(timers_fire_in_order) {
    many();
    connect_all();
    struct xw_tcp_seg g;
    while (xw_tcp_output(T.s, T.now, &g))
        continue;
    for (unsigned round = 0; round < 3000; round++) {
        struct xw_tcp *c = conn[xw_rng_below(&T.rng, MANY)];
        uint64_t at_ns = T.now + 1 + xw_rng_below(&T.rng, 1000000000);
        xw_tcp_timer_set(c, XW_TCP_T_RTX, xw_rng_below(&T.rng, 4) ? at_ns : XW_NEVER);
        if (round % 50)
            continue;
        uint64_t least = XW_NEVER;
        for (uint32_t i = 0; i < MANY; i++)
            for (unsigned t = 0; t < XW_TCP_T_COUNT; t++)
                least = conn[i]->timer[t] < least ? conn[i]->timer[t] : least;
        XT_TRUE(xw_tcp_deadline(T.s) == least);
    }
    uint64_t last = T.now;
    for (uint64_t d; (d = xw_tcp_deadline(T.s)) != XW_NEVER; last = d) { /* until all have given up */
        XT_TRUE(d > last || last == T.now);
        xw_tcp_tick(T.s, d);
        while (xw_tcp_output(T.s, d, &g))
            continue;
    }
    for (uint32_t i = 0; i < MANY; i++) {
        XT_TRUE(conn[i]->timer[XW_TCP_T_RTX] == XW_NEVER);
        xw_tcp_release(conn[i], T.now);
    }
    xt_end();
}

XT_TEST(changed_list_names_each_once) {
    many();
    connect_all();
    struct xw_tcp_seg g;
    uint32_t ev, n = 0;
    while (xw_tcp_output(T.s, T.now, &g))
        continue;
    XT_TRUE(!xw_tcp_changed(T.s, &ev));
    for (uint32_t i = 0; i < 10; i++) {
        xw_tcp_event(conn[i], XW_TCP_EV_READABLE);
        xw_tcp_event(conn[i], XW_TCP_EV_WRITABLE);
    }
    xw_tcp_set_user(conn[3], &n);
    xw_tcp_release(conn[5], T.now); /* one that goes is not named */
    for (struct xw_tcp *c; (c = xw_tcp_changed(T.s, &ev)); n++) {
        XT_EQ(ev, XW_TCP_EV_READABLE | XW_TCP_EV_WRITABLE);
        XT_TRUE(c != conn[5] && (xw_tcp_user(c) == &n) == (c == conn[3]));
    }
    XT_EQ(n, 9);
    for (uint32_t i = 0; i < MANY; i++)
        if (i != 5)
            xw_tcp_release(conn[i], T.now);
    xt_end();
}

XT_TEST(bytes_per_connection) {
    struct xw_tcp_cfg cfg;
    struct xw_rng rng;
    uint64_t drops[XW_DROP_COUNT];
    xw_tcp_cfg_default(&cfg);
    cfg.rng = &rng;
    cfg.drops = drops;
    cfg.max_conns = 1;
    size_t one = xw_tcp_stack_size(&cfg);
    cfg.max_conns = 1001;
    size_t per = (xw_tcp_stack_size(&cfg) - one) / 1000;
    XT_TRUE(sizeof(struct xw_tcp) <= 1152);
    XT_TRUE(per <= 1152 + 256 * 24 + 64 * 24 + 256 * 40 + 128); /* docs/tcp.md says 20 KiB */
    XT_TRUE(per <= 20480);
}

XT_TEST(configurations_out_of_range_are_refused) {
    struct xw_tcp_cfg good, c;
    struct xw_rng rng;
    uint64_t drops[XW_DROP_COUNT];
    struct xw_tcp_stack *s;
    static uint8_t mem[64];
    xw_tcp_cfg_default(&good);
    XT_EQ(xw_tcp_stack_size(&good), 0); /* no generator, no counters */
    good.rng = &rng;
    good.drops = drops;
    XT_TRUE(xw_tcp_stack_size(&good) > 0);
#define BAD(field, value) \
    do { \
        c = good; \
        c.field = (value); \
        XT_EQ(xw_tcp_stack_size(&c), 0); \
    } while (0)
    BAD(max_conns, 0);
    BAD(max_conns, XW_CONNS_MAX + 1);
    BAD(tx_records, 100);
    BAD(tx_records, 16);
    BAD(ooo_ranges, 3);
    BAD(stamp_marks, 3);
    BAD(opts.rto_min_ns, 0);
    BAD(opts.rto_min_ns, good.opts.rto_max_ns + 1);
    BAD(opts.init_cwnd_segs, 0);
    BAD(opts.cc, 9);
    BAD(opts.ack_policy, 3);
    XT_EQ(xw_tcp_stack_init(mem, sizeof mem, &good, &s), XW_EINVAL);
}

XT_TEST(info_and_options) {
    in_established();
    xt_write(3000);
    EXPECT("A", .seq = 1, .ack = 1, .len = 1460);
    EXPECT("A", .seq = 1461, .ack = 1, .len = 1460);
    EXPECT("A", .seq = 2921, .ack = 1, .len = 80);
    struct xw_conn_info in;
    memset(&in, 0, sizeof in);
    xw_tcp_info(T.c, &in);
    XT_EQ(in.tcp_state, 1);
    XT_EQ(in.mss, 1460);
    XT_EQ(in.srtt_us, 10000);
    XT_EQ(in.in_flight, 3000);
    XT_EQ(in.bytes_out, 3000);
    XT_EQ(in.segs_out, 5);
    XT_EQ(in.snd_wnd, 65535);
    struct xw_tcp_opts o = *xw_tcp_opts(T.c);
    o.keep_idle_ns = XT_S(3);
    o.use_ts = 1; /* cannot change any more */
    xw_tcp_set_opts(T.c, &o, T.now);
    XT_EQ(xw_tcp_opts(T.c)->use_ts, 0);
    XT_EQ(T.c->timer[XW_TCP_T_KEEP], T.now + XT_S(3));
    o.rto_min_ns = 0;
    xw_tcp_set_opts(T.c, &o, T.now); /* refused as a whole */
    XT_EQ(xw_tcp_opts(T.c)->rto_min_ns, XT_MS(200));
    xt_end();
}

XT_MAIN(XT_RUN(demux_finds_each_and_only_those), XT_RUN(everybody_gets_a_turn), XT_RUN(timers_fire_in_order),
        XT_RUN(changed_list_names_each_once), XT_RUN(bytes_per_connection),
        XT_RUN(configurations_out_of_range_are_refused),
        XT_RUN(info_and_options))
