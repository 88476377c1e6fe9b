/* tests/sim/plan.c: what a seed means. A third of the runs are plain, so that a failure that needs nothing special shows
 * itself without it. */
#include "world.h"

#define UNSET INT64_MIN
#define MS XW_NS_PER_MS

static bool half(struct sim_rng *r) { return sim_below(r, 2); }

/* ---- the wire ---------------------------------------------------------------------------------------------------- */

static void draw_faults(struct sim_rng *r, struct sim_faults *f, bool plain) {
    static const uint32_t rates[] = { 0, 0, 1000, 10000, 50000, 150000 };
    if (plain)
        return;
    f->loss = rates[sim_below(r, 6)];
    f->dup = rates[sim_below(r, 6)];
    f->reorder = rates[sim_below(r, 6)];
    f->corrupt = rates[sim_below(r, 5)];
    f->trim = sim_chance(r, 200000) ? 5000 : 0;
    if (sim_chance(r, 200000)) { /* bursts */
        f->ge_enter = (uint32_t)sim_pick(r, 1000, 30000);
        f->ge_leave = (uint32_t)sim_pick(r, 50000, 500000);
        f->ge_loss = (uint32_t)sim_pick(r, 300000, 900000);
    }
    f->nth = sim_chance(r, 100000) ? (uint32_t)sim_pick(r, 2, 20) : 0;
}

static void draw_links(struct sim_plan *p, struct sim_rng *r, bool plain) {
    for (unsigned i = 0; i < 2; i++) {
        struct sim_link_cfg *c = &p->link[i];
        if (i && half(r)) { /* as the other direction */
            *c = p->link[0];
            continue;
        }
        c->delay_ns = sim_scale(r, 1000, 200 * MS);
        c->jitter_ns = half(r) ? sim_below(r, 2 * c->delay_ns) : 0;
        c->byte_ps = sim_chance(r, 100000) ? 0 : sim_scale(r, 800, 10000000); /* 10 Gbit/s … 0.8 Mbit/s */
        c->queue_ns = 1500 * 4 * c->byte_ps / 1000 + sim_scale(r, 10000, 200 * MS);
        c->l2 = p->host[0].cfg.ethernet ? 14 : 0;
        draw_faults(r, &c->f, plain);
    }
}

/* ---- the hosts --------------------------------------------------------------------------------------------------- */

static void draw_opts(struct sim_rng *r, struct sim_opts *o, uint32_t mtu) {
    for (unsigned i = 0; i < XW_STACK_OPT_END; i++)
        o->value[i] = UNSET;
    int64_t *v = o->value;
    v[XW_STACK_SYN_RETRIES] = 30;
    v[XW_STACK_DATA_RETRIES] = 80;
    v[XW_STACK_RTO_MAX] = (int64_t)(8 * XW_NS_PER_S);
    v[XW_STACK_RTO_MIN] = (int64_t)(sim_pick(r, 1, 200) * MS);
    v[XW_STACK_TIME_WAIT] = (int64_t)(20 * XW_NS_PER_S);
    v[XW_STACK_NODELAY] = half(r);
    v[XW_STACK_ACK_POLICY] = (int64_t)sim_below(r, 3);
    v[XW_STACK_TIMESTAMPS] = sim_chance(r, 700000);
    v[XW_STACK_SACK] = sim_chance(r, 700000);
    v[XW_STACK_WSCALE] = sim_chance(r, 700000);
    v[XW_STACK_RCVBUF] = (int64_t)1 << sim_pick(r, 10, 18);
    v[XW_STACK_SNDBUF] = (int64_t)1 << sim_pick(r, 10, 18);
    /* the half-open ends of a restart are found by these; how many is a matter of the worst loss */
    v[XW_STACK_KEEPALIVE] = 1;
    v[XW_STACK_KEEP_IDLE] = (int64_t)(sim_pick(r, 1, 20) * XW_NS_PER_S);
    v[XW_STACK_KEEP_INTERVAL] = (int64_t)(2 * XW_NS_PER_S);
    v[XW_STACK_KEEP_PROBES] = 60;
    if (sim_chance(r, 100000))
        v[XW_STACK_MSS] = (int64_t)sim_pick(r, 48, mtu - 40);
    if (sim_chance(r, 200000))
        v[XW_STACK_INIT_CWND] = (int64_t)sim_pick(r, 1, 40);
    for (uint8_t cc = (uint8_t)sim_below(r, 4); cc; cc--) /* as many as there are */
        if (xw_tcp_cc_find(cc)) {
            v[XW_STACK_CC] = cc;
            break;
        }
}

static void draw_host(struct sim_plan *p, struct sim_rng *r, unsigned h, bool fixed_isn, bool ethernet) {
    struct sim_host_plan *x = &p->host[h];
    xw_stack_cfg_default(&x->cfg);
    x->cfg.ip = SIM_IP(h);
    x->cfg.mask = 0xffffff00u;
    x->cfg.mtu = p->mtu;
    x->cfg.ethernet = ethernet;
    x->cfg.claim = (uint8_t)sim_below(r, 2);
    memcpy(x->cfg.mac, (uint8_t[6]){ 2, 0, 0, 0, 0, (uint8_t)(h + 1) }, 6);
    x->cfg.fixed_isn = fixed_isn;
    x->cfg.isn = 0u - (uint32_t)sim_scale(r, 1, 300000);
    for (unsigned i = 0; i < 16; i++)
        x->cfg.seed[i] = (uint8_t)sim_u64(r);
    x->cfg.max_sockets = 12;
    x->cfg.rcvbuf_max = x->cfg.sndbuf_max = 1u << 18;
    x->cfg.tx_segments = sim_chance(r, 200000) ? 32 : 256;
    x->ooo_ranges = sim_chance(r, 200000) ? 4 : 64;
    x->fast_path = sim_chance(r, 700000);
    x->burst = sim_chance(r, 200000) ? (uint32_t)sim_pick(r, 1, 8) : 0;
    draw_opts(r, &x->opts, p->mtu);
}

/* ---- conversations ----------------------------------------------------------------------------------------------- */

static void draw_end(struct sim_rng *r, struct sim_end *e, uint64_t slowest) {
    bool tiny = sim_chance(r, 150000); /* octet by octet: little of it */
    e->fd = -1;
    e->to_send = sim_chance(r, 150000) ? 0 : sim_scale(r, 1, tiny ? 2000 : 1u << 17);
    e->wr_max = tiny ? 1 + (uint32_t)sim_below(r, 3) : (uint32_t)sim_scale(r, 1, 1u << 16);
    if (e->to_send > e->wr_max * 500ull)
        e->to_send = e->wr_max * 500ull;
    e->rd_max = sim_chance(r, 100000) ? 1 + (uint32_t)sim_below(r, 3) : (uint32_t)sim_scale(r, 64, 1u << 18);
    e->gap_ns = sim_scale(r, 1u << 14, sim_chance(r, 200000) ? 300 * MS : 10 * MS);
    if (e->rd_max < 64)
        e->gap_ns = sim_scale(r, 1u << 12, 1u << 19);
    if (e->gap_ns < slowest / 4)
        e->gap_ns = slowest / 4;
    e->limit = sim_scale(r, 1, 1u << 17);
}

static void draw_talks(struct sim_plan *p, struct sim_rng *r, bool plain, bool reuse) {
    uint64_t slowest = p->link[0].delay_ns > p->link[1].delay_ns ? p->link[0].delay_ns : p->link[1].delay_ns;
    p->talks = plain ? 1 : (unsigned)sim_pick(r, 1, 4);
    for (unsigned i = 0; i < p->talks; i++) {
        struct sim_talk *t = &p->talk[i];
        unsigned client = plain ? 0 : (unsigned)sim_below(r, 2);
        t->id = i;
        t->kind = sim_chance(r, 600000) ? SIM_DUPLEX : (enum sim_kind)sim_below(r, plain ? 3 : SIM_SHUT_RD + 1);
        t->start = XW_NS_PER_S * 1000 + (i ? sim_scale(r, 1000, 20 * XW_NS_PER_S) : 0);
        t->port = half(r) ? 0 : (uint16_t)(10000 + i);
        if (reuse) { /* the same ports again, as soon as they are free; after an abort that would be too soon */
            t->port = 10000;
            client = i ? p->talk[0].end[0].host : client;
            t->kind = t->kind == SIM_REQUEST ? SIM_REQUEST : SIM_DUPLEX;
        }
        t->end[0].host = client;
        t->end[1].host = !client;
        for (unsigned k = 0; k < 2; k++) {
            draw_end(r, &t->end[k], slowest);
            t->end[k].wake = k ? UINT64_MAX : t->start;
        }
        t->end[sim_below(r, 2)].breaker = t->kind > SIM_SIMUL;
    }
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void draw_events(struct sim_plan *p, struct sim_rng *r, bool restarts) {
    static const uint32_t mtus[] = { 1500, 1492, 1400, 1280, 1006, 576, 552, 400 };
    uint64_t at = XW_NS_PER_S * 1000;
    p->events = sim_chance(r, 500000) ? (unsigned)sim_pick(r, 1, 4) : 0;
    for (unsigned i = 0; i < p->events; i++) {
        struct sim_event *e = &p->event[i];
        at += sim_scale(r, 10000, 5 * XW_NS_PER_S);
        *e = (struct sim_event){ .at = at, .host = (unsigned)sim_below(r, 2), .kind = (enum sim_event_kind)sim_below(r, 4) };
        if (e->kind == SIM_EV_RESTART && !restarts)
            e->kind = SIM_EV_ATTACK;
        e->icmp = sim_chance(r, 700000);
        e->mtu = mtus[sim_below(r, 8)];
        e->len_ns = sim_scale(r, MS, 5 * XW_NS_PER_S);
        at += e->len_ns;
    }
}

void sim_plan_draw(struct sim_plan *p, uint64_t seed) {
    struct sim_rng rng = { seed ^ 0x73696d00u }, *r = &rng;
    memset(p, 0, sizeof *p);
    bool plain = sim_chance(r, 330000), ethernet = sim_chance(r, 300000);
    /* the same ports with the same initial sequence numbers: old packets would be indistinguishable from new */
    bool reuse = !plain && sim_chance(r, 250000), fixed_isn = !reuse && half(r);
    p->mtu = plain || half(r) ? 1500 : sim_chance(r, 200000) ? 9000 : (uint32_t)sim_pick(r, 576, 1500);
    p->serve_each = half(r);
    for (unsigned h = 0; h < 2; h++)
        draw_host(p, r, h, fixed_isn, ethernet);
    draw_links(p, r, plain);
    draw_talks(p, r, plain, reuse);
    if (!plain)
        draw_events(p, r, !reuse && !fixed_isn);
}
