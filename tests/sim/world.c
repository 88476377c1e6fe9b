/* tests/sim/world.c: one run: time goes from event to event; at each, packets arrive, hosts are served, and everything
 * is checked. */
#include "world.h"
#include <stdarg.h>

#define STUCK_NS (500 * XW_NS_PER_S) /* without progress: more than sixty tries at the largest RTO of a run */
#define STEPS_MAX 6000000u

void sim_fail(const struct sim_world *w, const char *file, int line, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 " at %" PRIu64 " ns: %s:%d: ", w->seed, w->now, file, line);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\nagain, with its story: make sim SEED=%" PRIu64 "\n", w->seed);
    va_end(ap);
    exit(1);
}

static void serve(struct sim_world *w, unsigned h) {
    xw_stack_tick(w->host[h].s, w->now);
    sim_talk_accept(w, h);
    for (unsigned i = 0; i < w->plan.talks; i++)
        for (unsigned side = 0; side < 2; side++)
            if (w->plan.talk[i].end[side].host == h)
                sim_talk_step(w, &w->plan.talk[i], side);
    sim_host_output(w, h);
    sim_watch(w, h);
}

static void arrivals(struct sim_world *w) {
    struct sim_pkt *p;
    for (unsigned from = 0; from < 2; from++)
        while ((p = sim_link_take(&w->link[from], w->now))) {
            sim_host_input(w, !from, p->b, p->len);
            free(p);
            if (w->plan.serve_each || sim_below(&w->rng, 4) == 0)
                serve(w, !from);
        }
}

static void events(struct sim_world *w) {
    while (w->next_event < w->plan.events && w->plan.event[w->next_event].at <= w->now)
        sim_event_do(w, &w->plan.event[w->next_event++]);
    if (w->heal_at && w->heal_at <= w->now)
        sim_event_heal(w);
}

static uint64_t soonest(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t next_time(struct sim_world *w) {
    uint64_t next = w->next_event < w->plan.events ? w->plan.event[w->next_event].at : UINT64_MAX;
    next = soonest(next, w->heal_at ? w->heal_at : UINT64_MAX);
    for (unsigned h = 0; h < 2; h++) {
        next = soonest(next, sim_link_next(&w->link[h]));
        next = soonest(next, xw_stack_next_deadline(w->host[h].s));
        next = soonest(next, w->host[h].wake);
    }
    for (unsigned i = 0; i < w->plan.talks; i++)
        for (unsigned side = 0; side < 2; side++)
            if (!w->plan.talk[i].end[side].over)
                next = soonest(next, w->plan.talk[i].end[side].wake);
    return next;
}

static bool over(const struct sim_world *w) {
    for (unsigned i = 0; i < w->plan.talks; i++)
        if (!sim_talk_over(&w->plan.talk[i]))
            return false;
    return sim_host_quiet(w, 0) && sim_host_quiet(w, 1) && !w->link[0].cnt && !w->link[1].cnt;
}

static void stuck(const struct sim_world *w) {
    for (unsigned i = 0; i < w->plan.talks; i++)
        for (unsigned k = 0; k < 2; k++) {
            const struct sim_talk *t = &w->plan.talk[i];
            const struct sim_end *e = &t->end[k];
            fprintf(stderr, "talk %u kind %d end %u host %u fd %d%s%s%s%s: sent %" PRIu64 " of %" PRIu64 ", got %" PRIu64
                    "\n", i, t->kind, k, e->host, e->fd, e->up ? " up" : "", e->shut ? " shut" : "", e->eof ? " eof" : "",
                    e->over ? " over" : "", e->sent, e->to_send, e->got);
        }
    SIM_FAIL(w, "no progress for %" PRIu64 " s", (uint64_t)((w->now - w->progress_ns) / XW_NS_PER_S));
}

static void step(struct sim_world *w) {
    events(w);
    arrivals(w);
    for (unsigned h = 0; h < 2; h++) {
        serve(w, h);
        SIM_TRUE(w, sim_link_conserved(&w->link[h]));
    }
    uint64_t next = next_time(w);
    if (next == UINT64_MAX && over(w))
        return;
    if (next == UINT64_MAX || (w->now > w->progress_ns && w->now - w->progress_ns > STUCK_NS))
        stuck(w);
    w->now = next > w->now ? next : w->now;
    SIM_TRUE(w, ++w->steps < STEPS_MAX);
}

static void begin(struct sim_world *w, uint64_t seed, const struct sim_force *force) {
    w->seed = seed;
    w->rng.s = seed ^ 0x776f726c64u;
    w->now = w->progress_ns = 1000 * XW_NS_PER_S;
    w->story = force->story;
    sim_plan_draw(&w->plan, seed);
    for (unsigned h = 0; h < 2; h++) {
        if (force->no_fast_path)
            w->plan.host[h].fast_path = false;
        w->host[h].plan = &w->plan.host[h];
        sim_link_init(&w->link[h], &w->plan.link[h], seed * 2 + h);
        w->link[h].mtu = w->plan.mtu;
        sim_host_start(w, h);
    }
}

static void tell_plan(const struct sim_world *w) {
    for (unsigned h = 0; h < 2; h++) {
        const struct sim_link_cfg *l = &w->plan.link[h];
        const struct sim_faults *f = &l->f;
        printf("from host %u: delay %" PRIu64 " ns, jitter %" PRIu64 " ns, %" PRIu64 " ps an octet, queue %" PRIu64
               " ns, mtu %u; of a million: loss %u, bursts %u/%u of %u, dup %u, reorder %u, corrupt %u, trim %u; nth %u\n", h,
               l->delay_ns, l->jitter_ns, l->byte_ps, l->queue_ns, w->plan.mtu, f->loss, f->ge_enter, f->ge_leave,
               f->ge_loss, f->dup, f->reorder, f->corrupt, f->trim, f->nth);
        printf("host %u: segments %u, ranges %u, burst %u, fast path %d, ethernet %d; options", h,
               w->plan.host[h].cfg.tx_segments, w->plan.host[h].ooo_ranges, w->plan.host[h].burst,
               w->plan.host[h].fast_path, w->plan.host[h].cfg.ethernet);
        for (int o = 1; o < XW_STACK_OPT_END; o++)
            if (w->plan.host[h].opts.value[o] != INT64_MIN)
                printf(" %d=%" PRId64, o, w->plan.host[h].opts.value[o]);
        printf("\n");
    }
}

static uint64_t octets(const struct sim_world *w) {
    uint64_t n = 0;
    for (unsigned i = 0; i < w->plan.talks; i++)
        n += w->plan.talk[i].end[0].got + w->plan.talk[i].end[1].got;
    return n;
}

struct sim_result sim_run(uint64_t seed, const struct sim_force *force) {
    struct sim_world *w = calloc(1, sizeof *w);
    begin(w, seed, force);
    if (w->story)
        tell_plan(w);
    while (!over(w))
        step(w);
    struct sim_result r = { w->digest, w->packets, octets(w), w->now - 1000 * XW_NS_PER_S };
    for (unsigned h = 0; h < 2; h++) {
        sim_watch_end(w, h);
        sim_host_stop(w, h);
        sim_link_fini(&w->link[h]);
    }
    free(w);
    return r;
}
