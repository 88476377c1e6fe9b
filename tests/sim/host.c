/* tests/sim/host.c: a stack in a box and its memory, which has a margin on each side that nobody may touch. */
#include "world.h"

#define MARGIN 64u
#define CANARY 0xc7
#define BUF_MAX 16384u

static const int64_t unset = INT64_MIN;

static void apply(struct sim_world *w, unsigned h, int fd) {
    struct sim_host *x = &w->host[h];
    for (int o = 1; o < XW_STACK_OPT_END; o++) {
        int64_t v = x->plan->opts.value[o];
        if (v != unset && xw_stack_setopt(x->s, fd, (enum xw_stack_opt)o, v, w->now))
            SIM_FAIL(w, "host %u: option %d does not take %" PRId64, h, o, v);
    }
}

int sim_host_socket(struct sim_world *w, unsigned h) {
    int fd = xw_stack_socket(w->host[h].s);
    if (fd >= 0)
        apply(w, h, fd);
    return fd;
}

void sim_host_start(struct sim_world *w, unsigned h) {
    struct sim_host *x = &w->host[h];
    struct xw_stack_cfg cfg = x->plan->cfg;
    cfg.seed[31] = (uint8_t)x->restarts;
    x->len = (xw_stack_size(&cfg) + 63) & ~(size_t)63;
    SIM_TRUE(w, x->len);
    x->mem = aligned_alloc(64, x->len + 2 * MARGIN);
    size_t bufs = ((size_t)cfg.rcvbuf_max + cfg.sndbuf_max) * cfg.max_sockets; /* at the end; left untouched: time */
    memset(x->mem, CANARY, MARGIN + x->len - bufs); /* nothing may depend on what was in it */
    memset(x->mem + MARGIN + x->len, CANARY, MARGIN);
    SIM_TRUE(w, !xw_stack_create(x->mem + MARGIN, x->len, &cfg, w->now, &x->s));
    x->s->tcp->cfg.fast_path = x->plan->fast_path;
    x->s->tcp->cfg.ooo_ranges = x->plan->ooo_ranges;
    memset(x->watch, 0, sizeof x->watch);
    SIM_TRUE(w, x->s->tcp->cfg.max_conns <= SIM_CONNS);
    x->listener = sim_host_socket(w, h);
    SIM_TRUE(w, !xw_stack_bind(x->s, x->listener, 0, SIM_PORT) && !xw_stack_listen(x->s, x->listener, 4));
    x->wake = UINT64_MAX;
}

void sim_host_stop(struct sim_world *w, unsigned h) {
    struct sim_host *x = &w->host[h];
    for (unsigned i = 0; i < MARGIN; i++)
        SIM_TRUE(w, x->mem[i] == CANARY && x->mem[MARGIN + x->len + i] == CANARY);
    xw_stack_destroy(x->s);
    free(x->mem);
    x->s = NULL;
}

void sim_host_input(struct sim_world *w, unsigned h, const uint8_t *pkt, size_t len) {
    uint8_t *exact = malloc(len ? len : 1); /* so that a read past its end is seen */
    memcpy(exact, pkt, len);
    int why = xw_stack_input(w->host[h].s, exact, len, w->now);
    SIM_TRUE(w, why >= 0 && why < XW_DROP_COUNT);
    if (w->story && why)
        printf("%14" PRIu64 " host %u drops: %s\n", w->now, h, xw_stack_drop_name(why));
    free(exact);
}

void sim_host_output(struct sim_world *w, unsigned h) {
    struct sim_host *x = &w->host[h];
    uint8_t buf[BUF_MAX + MARGIN];
    uint32_t cap = x->plan->cfg.mtu + (x->plan->cfg.ethernet ? XW_ETH_HDR_MAX : 0);
    unsigned sent = 0;
    size_t n;
    memset(buf + cap, CANARY, MARGIN);
    x->wake = UINT64_MAX;
    while ((n = xw_stack_output(x->s, buf, cap, w->now))) {
        SIM_TRUE(w, n <= cap);
        sim_wire_sent(w, h, buf, (uint32_t)n);
        w->packets++;
        if (sim_link_send(&w->link[h], buf, (uint32_t)n, w->now) == SIM_TOO_BIG)
            sim_event_too_big(w, h, buf, (uint32_t)n);
        SIM_TRUE(w, ++sent < 10000); /* what one moment sends is bounded */
        if (x->plan->burst && sent == x->plan->burst) {
            x->wake = w->now + 20000;
            break;
        }
    }
    for (unsigned i = 0; i < MARGIN; i++)
        SIM_TRUE(w, buf[cap + i] == CANARY);
}

bool sim_host_quiet(const struct sim_world *w, unsigned h) {
    const struct xw_tcp_stack *s = w->host[h].s->tcp;
    for (uint32_t i = 0; i < s->cfg.max_conns; i++)
        if (s->conn[i].in_use)
            return false;
    return !xw_tcp_pending(s);
}
