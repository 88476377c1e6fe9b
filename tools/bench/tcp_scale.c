/* tcp_scale: what a packet costs among many connections of one stack, and what idle connections cost.
 *
 *     tcp_scale CONNS ROUNDS            CONNS connections, ROUNDS packets of 200 B to each in turn, each answered by an ACK
 *     tcp_scale CONNS ROUNDS one        the packets go to one of them, the others idle; as many packets in all
 *
 * Prints ns a packet and octets of memory a connection. tools/bench/tcp_scale.py counts instructions as the difference of
 * two runs under callgrind, so that opening the connections does not count. */
#include "tcp/tcp.h"
#include "base/limits.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OUR_IP 0x0a000001u
#define PEER_IP 0x0a000002u
#define LEN 200u

struct end { struct xw_tcp *c; struct xw_bytering rcv, snd; uint32_t seq, ack; };

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * XW_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void must(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "tcp_scale: %s\n", what);
        exit(1);
    }
}

static uint16_t port_of(uint32_t i) { return (uint16_t)(20000 + i); }

static void give(struct xw_tcp_stack *s, uint32_t i, struct end *e, uint8_t flags, uint32_t len, uint64_t now) {
    uint8_t b[64 + LEN] = { 0 };
    struct xw_tcp_hdr h = { .src_port = 443, .dst_port = port_of(i), .seq = xw_seq(e->seq), .ack = xw_seq(e->ack),
                            .window = 65535, .flags = flags };
    if (flags & XW_TCP_SYN) {
        h.opts = XW_TCP_OPT_MSS;
        h.mss = 1460;
    }
    uint32_t n = xw_tcp_emit(&h, xw_mspan(b, sizeof b)) + len;
    xw_tcp_set_checksum(xw_mspan(b, n), PEER_IP, OUR_IP);
    must(xw_tcp_input(s, PEER_IP, OUR_IP, xw_span(b, n), true, NULL, now) == XW_DROP_NONE, "a packet was dropped");
    e->seq += len + !!(flags & XW_TCP_SYN);
}

static uint32_t drain(struct xw_tcp_stack *s, uint64_t now) {
    struct xw_tcp_seg g;
    uint8_t b[128];
    uint32_t cnt = 0, ev;
    while (xw_tcp_changed(s, &ev)) {
    }
    while (xw_tcp_output(s, now, &g)) {
        xw_tcp_seg_emit(&g, xw_mspan(b, sizeof b));
        cnt++;
    }
    return cnt;
}

static void open_one(struct xw_tcp_stack *s, uint32_t i, struct end *e, uint64_t now) {
    struct xw_tcp_tuple t = { OUR_IP, PEER_IP, port_of(i), 443 };
    struct xw_tcp_seg g;
    uint8_t *mem = malloc(4096);
    xw_bytering_init(&e->rcv, mem, 2048);
    xw_bytering_init(&e->snd, mem + 2048, 2048);
    must(xw_tcp_connect(s, &t, &e->rcv, &e->snd, 1500, NULL, now, &e->c) == XW_OK && xw_tcp_output(s, now, &g), "no SYN");
    e->seq = i * 1000;
    e->ack = g.hdr.seq.v + 1;
    give(s, i, e, XW_TCP_SYN | XW_TCP_ACK, 0, now);
    drain(s, now);
    must(xw_tcp_state(e->c) == XW_TCP_ESTABLISHED, "not established");
}

static void packet(struct xw_tcp_stack *s, uint32_t i, struct end *e, uint64_t now) {
    xw_tcp_tick(s, now);
    give(s, i, e, XW_TCP_ACK | XW_TCP_PSH, LEN, now);
    xw_bytering_consume(&e->rcv, LEN);
    xw_tcp_consumed(e->c, now);
    must(drain(s, now) == 1, "not one ACK");
    (void)xw_tcp_deadline(s);
}

int main(int argc, char **argv) {
    uint32_t conns = argc > 1 ? (uint32_t)atoi(argv[1]) : 0, rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
    bool one = argc > 3 && !strcmp(argv[3], "one");
    static uint64_t drops[XW_DROP_COUNT];
    static const uint8_t seed[32] = { 1 };
    struct xw_rng rng;
    struct xw_tcp_cfg cfg;
    struct xw_tcp_stack *s;
    xw_rng_init(&rng, seed);
    xw_tcp_cfg_default(&cfg);
    cfg.max_conns = conns;
    cfg.rng = &rng;
    cfg.drops = drops;
    cfg.opts.use_ts = 0;
    cfg.opts.keep_idle_ns = 60 * XW_NS_PER_S; /* each connection has a timer */
    size_t len = xw_tcp_stack_size(&cfg);
    must(len && rounds, "usage: tcp_scale CONNS ROUNDS [one]");
    void *mem = aligned_alloc(16, (len + 15) & ~(size_t)15);
    struct end *e = calloc(conns, sizeof *e);
    must(mem && e && xw_tcp_stack_init(mem, len, &cfg, &s) == XW_OK, "no memory");
    uint64_t now = XW_NS_PER_S;
    for (uint32_t i = 0; i < conns; i++)
        open_one(s, i, &e[i], now += XW_NS_PER_US);
    uint64_t cnt = (uint64_t)rounds * conns, t = clock_ns();
    for (uint64_t k = 0; k < cnt; k++) {
        uint32_t i = one ? 0 : (uint32_t)(k % conns);
        packet(s, i, &e[i], now += XW_NS_PER_US);
    }
    printf("%" PRIu32 " %.1f %zu\n", conns, (double)(clock_ns() - t) / (double)cnt, len / conns);
    return 0;
}
