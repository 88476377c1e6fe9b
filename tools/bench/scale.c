/* tools/bench/scale.c: what a message costs when an engine has many connections, and when there are several engines.
 *
 *     scale CONNS BATCH COUNT [ENGINES [CLOCK]]
 * As core.c, with CONNS connections: each has a far end of its own (core_host) behind an in-memory pair; a fan joins the
 * pairs into the engine's one device. BATCH messages of 200 bytes wait at a time, each on another connection, taken in turn.
 * ENGINES threads do that side by side, each with an engine, connections and far ends of its own. `measured` is timed (and
 * counted by callgrind). Prints a JSON line: ns a message, the median of the batches, of each engine. */
#include "common.h"
#include "core_host.h"
#include "dev/pair.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNS_MAX 256u
#define ENGINES_MAX 4u
#define BATCH_MAX 64u
#define WARM_BATCHES 64u
#define STEP_NS 50000u
#define FIRST_IP 0x0a000100u /* 10.0.1.0 */
#define TX_FRAMES 64u
#define TX_LEN 2048u
#define IP_DST_OFF 30u

/* ---- the fan ---- */

struct fan {
    struct xw_dev dev;
    struct xw_dev *near[CONNS_MAX];
    unsigned cnt, next;
    bool scan;                  /* all pairs are looked at; else those of `ready`, as a NIC's ring would have them */
    unsigned ready[BATCH_MAX], ready_at, ready_cnt;
    uint32_t free[TX_FRAMES], free_cnt;
    uint8_t tx[TX_FRAMES][TX_LEN];
};

static struct fan *fan_of(struct xw_dev *d) { return (struct fan *)(void *)d; }

static unsigned fan_rx(struct xw_dev *d, struct xw_pkt *pkts, unsigned max) {
    struct fan *f = fan_of(d);
    unsigned n = 0;
    for (; !f->scan && f->ready_at < f->ready_cnt && n < max; f->ready_at++) {
        unsigned at = f->ready[f->ready_at], got = f->near[at]->ops->rx_burst(f->near[at], pkts + n, 1);
        pkts[n].queue = (uint16_t)at;
        n += got;
    }
    for (unsigned i = 0; f->scan && i < f->cnt && n < max; i++) {
        unsigned at = f->next;
        unsigned got = f->near[at]->ops->rx_burst(f->near[at], pkts + n, 1);
        for (unsigned k = 0; k < got; k++)
            pkts[n + k].queue = (uint16_t)at;
        n += got;
        f->next = at + 1 == f->cnt ? 0 : at + 1;
    }
    return n;
}

static void fan_release(struct xw_dev *d, const struct xw_pkt *pkts, unsigned cnt) {
    struct fan *f = fan_of(d);
    for (unsigned i = 0; i < cnt; i++)
        f->near[pkts[i].queue]->ops->rx_release(f->near[pkts[i].queue], &pkts[i], 1);
}

static int fan_reserve(struct xw_dev *d, struct xw_txbuf *b) {
    struct fan *f = fan_of(d);
    if (!f->free_cnt)
        return XW_EAGAIN;
    uint32_t id = f->free[--f->free_cnt];
    *b = (struct xw_txbuf){ .data = f->tx[id], .cap = TX_LEN, .frame = id };
    return XW_OK;
}

static void fan_cancel(struct xw_dev *d, const struct xw_txbuf *b) {
    struct fan *f = fan_of(d);
    f->free[f->free_cnt++] = b->frame;
}

/* To the pair whose far end has that address. */
static void fan_submit(struct xw_dev *d, const struct xw_txbuf *b, uint32_t len) {
    struct fan *f = fan_of(d);
    unsigned to = b->data[IP_DST_OFF + 3];
    struct xw_txbuf out;
    if (to < f->cnt && !f->near[to]->ops->tx_reserve(f->near[to], &out)) {
        memcpy(out.data, b->data, len);
        f->near[to]->ops->tx_submit(f->near[to], &out, len);
        f->near[to]->ops->tx_flush(f->near[to]);
    }
    fan_cancel(d, b);
}

static int fan_flush(struct xw_dev *d) { return d ? XW_OK : XW_EINVAL; }
static uint64_t fan_deadline(const struct xw_dev *d) { return d ? XW_NEVER : 0; }
static void fan_tick(struct xw_dev *d, uint64_t now_ns) { (void)d, (void)now_ns; }
static int fan_fd(const struct xw_dev *d, unsigned n) { return d && !n ? -1 : -1; }
static void fan_caps(const struct xw_dev *d, struct xw_dev_caps *out) {
    *out = (struct xw_dev_caps){ .mtu = 1500, .queues = 1, .kind = d ? "fan" : "" };
}
static int fan_stats(struct xw_dev *d, struct xw_dev_stats *out) {
    *out = (struct xw_dev_stats){ .rx_frames = d ? 0 : 1 };
    return XW_OK;
}
static void fan_close(struct xw_dev *d) {
    struct fan *f = fan_of(d);
    for (unsigned i = 0; i < f->cnt; i++)
        f->near[i]->ops->close(f->near[i]);
    free(f);
}
static const struct xw_dev_ops fan_ops = {
    .rx_burst = fan_rx, .rx_release = fan_release, .tx_reserve = fan_reserve, .tx_submit = fan_submit, .tx_cancel = fan_cancel,
    .tx_flush = fan_flush, .deadline = fan_deadline, .caps = fan_caps, .stats = fan_stats, .fd = fan_fd, .tick = fan_tick,
    .close = fan_close,
};

/* ---- one engine with its far ends ---- */

struct side {
    unsigned conns, batch, batches;
    uint8_t clock;
    struct host *host;
    struct xw_engine *engine;
    struct fan *fan;
    struct xw_tls_ctx *tls;
    struct xw_event ev[BATCH_MAX];
    unsigned turn;
    uint64_t now;
    double median;
    pthread_t thread;
};

static void rounds(struct side *s) {
    for (unsigned i = 0; i < s->conns; i++) {
        s->host[i].now = s->now;
        host_round(&s->host[i]);
    }
}

static void side_open(struct side *s) {
    struct xw_engine_cfg cfg = { .max_conns = s->conns, .rcvbuf_len = 65536, .sndbuf_len = 65536, .plain_len = 65536,
                                 .seed = { 7 }, .stamps = 1, .clock = s->clock };
    struct xw_net_cfg net = { .ip = HOST_CLIENT_IP, .mask = 0xffffff00u, .mtu = 1500 };
    struct xw_tls_cfg tls = { .verify = 0 };
    struct fan *f = calloc(1, sizeof *f);
    s->host = calloc(s->conns, sizeof *s->host);
    if (!f || !s->host || xw_tls_ctx_new(&tls, &s->tls))
        bench_die("memory");
    f->dev.ops = &fan_ops;
    f->scan = true;
    s->fan = f;
    for (f->free_cnt = 0; f->free_cnt < TX_FRAMES; f->free_cnt++)
        f->free[f->free_cnt] = f->free_cnt;
    for (; f->cnt < s->conns; f->cnt++) {
        struct xw_pair_cfg small = { .frames = 64 };
        struct xw_dev *theirs;
        if (xw_pair_open(&small, &theirs, &f->near[f->cnt]))
            bench_die("make the link");
        host_init_at(&s->host[f->cnt], theirs, FIRST_IP + f->cnt);
    }
    s->now = s->host[0].now;
    memcpy(net.mac, HOST_CLIENT_MAC, 6);
    if (xw_engine_new(&cfg, &s->engine) || xw_engine_attach(s->engine, &f->dev, &net) ||
        xw_engine_neigh(s->engine, HOST_IP, HOST_MAC) || xw_engine_route(s->engine, FIRST_IP, 0xffffff00u, HOST_IP, 0))
        bench_die("make the engine");
}

static void side_connect(struct side *s) {
    unsigned open = 0;
    for (unsigned i = 0; i < s->conns; i++) {
        uint32_t id;
        struct xw_conn_cfg cfg = {
            .transport = XW_TRANSPORT_XDP, .proto = XW_PROTO_WS, .check_utf8 = 1, .tcp_no_delay = 1,
            .local_port = (uint16_t)(40000 + i), .remote_port = HOST_PORT, .local_ip = HOST_CLIENT_IP, .remote_ip = FIRST_IP + i,
            .tls = s->tls, .server_name = "feed.example", .ws_request = "/", .ws_host = "feed.example", .max_message = 1 << 20 };
        if (xw_conn_open(s->engine, &cfg, s->now, &id))
            bench_die("open");
        for (unsigned round = 0; round < 200 && open <= i; round++) {
            int n = xw_poll(s->engine, s->now, s->ev, BATCH_MAX);
            for (int k = 0; k < n; k++)
                open += s->ev[k].type == XW_EV_OPEN;
            s->host[i].now = s->now;
            host_round(&s->host[i]);
            s->now += STEP_NS;
        }
    }
    if (open != s->conns)
        bench_die("not all connections opened");
    for (unsigned i = 0; i < 50; i++) {
        xw_poll(s->engine, s->now += STEP_NS, s->ev, BATCH_MAX);
        rounds(s);
    }
}

unsigned measured(struct xw_engine *e, struct xw_event *ev, uint64_t now, unsigned wanted);
__attribute__((noinline)) unsigned measured(struct xw_engine *e, struct xw_event *ev, uint64_t now, unsigned wanted) {
    unsigned got = 0;
    for (unsigned i = 0; i < 4 * BATCH_MAX && got < wanted; i++) {
        int n = xw_poll(e, now, ev, BATCH_MAX);
        for (int k = 0; k < n; k++)
            got += ev[k].type == XW_EV_MESSAGE;
    }
    xw_poll(e, now, ev, BATCH_MAX);
    return got;
}

static uint64_t batch_run(struct side *s, const uint8_t *payload) {
    unsigned first = s->turn;
    s->now += STEP_NS;
    for (unsigned i = 0; i < s->batch; i++, s->turn = (s->turn + 1) % s->conns) {
        s->host[s->turn].now = s->now;
        s->fan->ready[i] = s->turn;
        host_send(&s->host[s->turn], payload, 200);
    }
    s->fan->scan = false;
    s->fan->ready_at = 0;
    s->fan->ready_cnt = s->batch;
    uint64_t begin = bench_now();
    unsigned got = measured(s->engine, s->ev, s->now, s->batch);
    uint64_t took = bench_now() - begin;
    s->fan->scan = true;
    if (got != s->batch)
        bench_die("messages are missing");
    for (unsigned i = 0; i < s->batch; i++) {
        struct host *h = &s->host[(first + i) % s->conns];
        h->now = s->now;
        host_round(h);
    }
    return took;
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void *side_run(void *arg) {
    static const uint8_t payload[200] = { '{' };
    struct side *s = arg;
    uint64_t *took = calloc(s->batches, sizeof *took);
    side_open(s);
    side_connect(s);
    for (unsigned i = 0; i < WARM_BATCHES; i++)
        batch_run(s, payload);
    for (unsigned i = 0; i < s->batches; i++)
        took[i] = batch_run(s, payload);
    qsort(took, s->batches, sizeof *took, ascending);
    s->median = (double)took[s->batches / 2] / s->batch;
    xw_engine_free(s->engine);
    free(took);
    return NULL;
}

int main(int argc, char **argv) {
    static struct side sides[ENGINES_MAX];
    unsigned conns = argc > 3 ? (unsigned)atoi(argv[1]) : 0, batch = argc > 3 ? (unsigned)atoi(argv[2]) : 0;
    unsigned count = argc > 3 ? (unsigned)atoi(argv[3]) : 0, engines = argc > 4 ? (unsigned)atoi(argv[4]) : 1;
    if (!conns || conns > CONNS_MAX || !batch || batch > BATCH_MAX || count < batch || !engines || engines > ENGINES_MAX) {
        fprintf(stderr, "usage: scale CONNS BATCH COUNT [ENGINES [CLOCK]]\n");
        return 2;
    }
    for (unsigned i = 0; i < engines; i++) {
        sides[i] = (struct side){ .conns = conns, .batch = batch, .batches = count / batch,
                                  .clock = argc > 5 && atoi(argv[5]) ? XW_CLOCK_MONOTONIC : XW_CLOCK_AUTO };
        if (i && pthread_create(&sides[i].thread, NULL, side_run, &sides[i]))
            bench_die("thread");
    }
    side_run(&sides[0]);
    printf("{\"conns\":%u,\"batch\":%u,\"messages\":%u,\"warm\":%u,\"ns\":[%.1f", conns, batch, count / batch * batch,
           WARM_BATCHES * batch, sides[0].median);
    for (unsigned i = 1; i < engines; i++) {
        pthread_join(sides[i].thread, NULL);
        printf(",%.1f", sides[i].median);
    }
    printf("]}\n");
    return 0;
}
