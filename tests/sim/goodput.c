/* tests/sim/goodput.c: how much of a link the sender uses under loss, as a table: loss × delay × what finds the losses.
 *
 *     goodput > tests/sim/goodput.tsv          (make goodput)
 *
 * One bulk transfer each: 4 MiB one way, 100 Mbit/s, a queue of one round trip (at least 10 packets), MTU 1500, buffers of
 * 1 MiB, delayed ACKs at the receiver as Linux does, the same losses for each row of a loss and delay. Deterministic: a
 * change of a number is a change of the stack. The figure is Mbit/s of data until the last octet is read. */
#include "world.h"

#define OCTETS (4u << 20)
#define BUF (1u << 20)
#define MS XW_NS_PER_MS
#define BEGIN (1000 * XW_NS_PER_S)

struct way { const char *name; uint8_t cc, sack, tlp, ts; };
struct bulk {
    struct xw_stack *s[2];
    struct sim_link link[2];
    uint64_t now, sent, got;
    int fd[2], listener;
    void *mem[2];
    struct xw_stack_info info;
};

static void make(struct bulk *b, unsigned h) {
    struct xw_stack_cfg c;
    xw_stack_cfg_default(&c);
    c.ip = SIM_IP(h);
    c.mask = 0xffffff00u;
    c.max_sockets = 4;
    c.rcvbuf_max = c.sndbuf_max = BUF;
    c.tx_segments = 1024;
    c.seed[0] = (uint8_t)(h + 1);
    size_t len = (xw_stack_size(&c) + 63) & ~(size_t)63;
    b->mem[h] = aligned_alloc(64, len);
    if (xw_stack_create(b->mem[h], len, &c, b->now, &b->s[h]))
        exit(2);
}

static int opened(struct bulk *b, unsigned h, const struct way *y) {
    int fd = xw_stack_socket(b->s[h]);
    xw_stack_setopt(b->s[h], fd, XW_STACK_SACK, y->sack, b->now);
    xw_stack_setopt(b->s[h], fd, XW_STACK_TIMESTAMPS, y->ts, b->now);
    if (xw_stack_setopt(b->s[h], fd, XW_STACK_CC, y->cc, b->now) || xw_stack_setopt(b->s[h], fd, XW_STACK_ACK_POLICY, 1, b->now))
        exit(2);
    xw_stack_sock(b->s[h], fd)->opts.use_tlp = y->tlp;
    return fd;
}

static void output(struct bulk *b, unsigned h) {
    uint8_t buf[1600];
    size_t n;
    while ((n = xw_stack_output(b->s[h], buf, sizeof buf, b->now)))
        sim_link_send(&b->link[h], buf, (uint32_t)n, b->now);
}

static void apps(struct bulk *b) {
    static uint8_t buf[65536];
    int64_t n = 1;
    while (b->sent < OCTETS && n > 0) {
        uint64_t left = OCTETS - b->sent;
        n = xw_stack_send(b->s[0], b->fd[0], buf, left < sizeof buf ? left : sizeof buf, b->now);
        b->sent += n > 0 ? (uint64_t)n : 0;
    }
    if (b->fd[1] < 0)
        b->fd[1] = xw_stack_accept(b->s[1], b->listener, NULL, NULL);
    while (b->fd[1] >= 0 && (n = xw_stack_recv(b->s[1], b->fd[1], buf, sizeof buf, 0, b->now)) > 0)
        b->got += (uint64_t)n;
}

static uint64_t soonest(uint64_t a, uint64_t b) { return a < b ? a : b; }

static void step(struct bulk *b) {
    uint64_t next = UINT64_MAX;
    struct sim_pkt *p;
    for (unsigned h = 0; h < 2; h++)
        while ((p = sim_link_take(&b->link[!h], b->now))) {
            xw_stack_input(b->s[h], p->b, p->len, b->now);
            free(p);
            apps(b);
            output(b, h);
        }
    for (unsigned h = 0; h < 2; h++) {
        xw_stack_tick(b->s[h], b->now);
        apps(b);
        output(b, h);
    }
    for (unsigned h = 0; h < 2; h++)
        next = soonest(next, soonest(sim_link_next(&b->link[h]), xw_stack_next_deadline(b->s[h])));
    b->now = next;
}

static void run(struct bulk *b, const struct way *y, uint32_t loss, uint64_t delay, bool bursts) {
    struct sim_link_cfg l = { .delay_ns = delay, .byte_ps = 80000, .queue_ns = 2 * delay > 1200000 ? 2 * delay : 1200000 };
    memset(b, 0, sizeof *b);
    b->now = BEGIN;
    l.f.loss = bursts ? 0 : loss;
    if (bursts) { /* the same share, four at a time */
        l.f.ge_leave = 250000;
        l.f.ge_enter = loss / 4;
        l.f.ge_loss = 1000000;
    }
    for (unsigned h = 0; h < 2; h++) {
        make(b, h);
        sim_link_init(&b->link[h], &l, loss * 31 + delay + h);
    }
    b->fd[1] = -1;
    b->listener = opened(b, 1, y);
    xw_stack_bind(b->s[1], b->listener, 0, SIM_PORT);
    xw_stack_listen(b->s[1], b->listener, 1);
    b->fd[0] = opened(b, 0, y);
    xw_stack_connect(b->s[0], b->fd[0], SIM_IP(1), SIM_PORT, b->now);
    while (b->got < OCTETS && b->now - BEGIN < 3600 * XW_NS_PER_S)
        step(b);
    xw_stack_info(b->s[0], b->fd[0], &b->info);
    for (unsigned h = 0; h < 2; h++) {
        xw_stack_destroy(b->s[h]);
        free(b->mem[h]);
        sim_link_fini(&b->link[h]);
    }
}

int main(void) {
    static const struct way ways[] = { { "newreno, no sack", 0, 0, 0, 1 }, { "newreno, sack, no tlp", 0, 1, 0, 1 },
                                       { "newreno, sack, rack-tlp", 0, 1, 1, 1 }, { "newreno, no timestamps", 0, 1, 1, 0 },
                                       { "newreno, sack, probes", 0, 1, 2, 1 }, { "cubic, sack, rack-tlp", 1, 1, 1, 1 },
                                       { "cubic, sack, probes", 1, 1, 2, 1 }, { "none, sack, probes", 2, 1, 2, 1 } };
    static const uint32_t losses[] = { 0, 1000, 10000, 50000, 100000 };
    static const uint64_t delays[] = { 50000, MS, 10 * MS, 50 * MS };
    printf("loss_ppm\tbursts\tdelay_us\tsender\tmbit_s\tretransmits\ttimeouts\n");
    for (unsigned g = 0; g < 2; g++)
        for (unsigned i = 0; i < 5; i++)
            for (unsigned d = 0; d < 4; d++)
                for (unsigned y = 0; y < sizeof ways / sizeof *ways; y++) {
                    static struct bulk b;
                    if ((g && !losses[i]) || !xw_tcp_cc_find(ways[y].cc))
                        continue;
                    run(&b, &ways[y], losses[i], delays[d], g);
                    uint64_t us = (b.now - BEGIN) / 1000;
                    printf("%u\t%u\t%" PRIu64 "\t%s\t%.2f\t%" PRIu64 "\t%" PRIu64 "\n", losses[i], g, delays[d] / 1000,
                           ways[y].name, (double)(b.got * 8 * 100 / us) / 100.0, b.info.retransmits, b.info.timeouts);
                }
    return 0;
}
