/* tools/bench/core.c: from a frame in memory to a message event, and nothing else.
 *
 *     core BATCH COUNT [LEN [CLOCK]]     BATCH frames wait at a time, COUNT messages of LEN bytes (200) in all; stamps by the
 *                                        TSC, or with CLOCK 1 by clock_gettime: that repeats to the instruction
 *     core event COUNT …                 one frame at a time, and only up to its event: the ACK is not counted
 *     core idle COUNT …                  polls that find nothing, a hundred in a row; "messages" are polls
 *     core order COUNT …                 the other way: from xw_conn_send to the frame in the device's transmit ring
 * Frames come from core_host over an in-memory pair; only `measured` is timed (and counted, by callgrind's
 * --toggle-collect=measured*, for the compiler may name a clone of it): the polls that receive the batch, and the ACKs that
 * they send. Time is a number here, the seeds are fixed, so two runs execute the same instructions of ours. Prints one JSON
 * line: ns a message, the best and the median of the batches, less one read of the clock; allocations by all code, OpenSSL's
 * too; and bare EVP decryption (or encryption) of a record of that size. */
#include "common.h"
#include "core_host.h"
#include "dev/pair.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 128u
#define WARM 256u
#define IDLE_POLLS 100u
#define STEP_NS 50000u

extern void *__libc_malloc(size_t n);
static unsigned long allocations;
void *malloc(size_t n);
void *malloc(size_t n) {
    allocations++;
    return __libc_malloc(n);
}

struct bench {
    struct host host;
    struct xw_engine *engine;
    struct xw_tls_ctx *tls;
    uint32_t conn;
    struct xw_event events[64];
};

static void engine_make(struct bench *b, struct xw_dev *dev, uint8_t clock) {
    struct xw_engine_cfg cfg = { .max_conns = 1, .rcvbuf_len = 1 << 18, .sndbuf_len = 65536, .plain_len = 1 << 18,
                                 .seed = { 7 }, .stamps = 1, .clock = clock };
    struct xw_net_cfg net = { .ip = HOST_CLIENT_IP, .mask = 0xffffff00u, .mtu = 1500 };
    memcpy(net.mac, HOST_CLIENT_MAC, 6);
    if (xw_engine_new(&cfg, &b->engine) || xw_engine_attach(b->engine, dev, &net) ||
        xw_engine_neigh(b->engine, HOST_IP, HOST_MAC))
        bench_die("make the engine");
}

static void connect_all(struct bench *b, uint8_t clock) {
    struct xw_tls_cfg tls = { .verify = 0 };
    struct xw_dev *ours, *theirs;
    if (xw_pair_open(NULL, &theirs, &ours) || xw_tls_ctx_new(&tls, &b->tls))
        bench_die("make the link");
    host_init(&b->host, theirs);
    engine_make(b, ours, clock);
    struct xw_conn_cfg cfg = {
        .transport = XW_TRANSPORT_XDP, .proto = XW_PROTO_WS, .check_utf8 = 1, .tcp_no_delay = 1, .local_port = 40000,
        .remote_port = HOST_PORT, .local_ip = HOST_CLIENT_IP, .remote_ip = HOST_IP, .tls = b->tls,
        .server_name = "feed.example", .ws_request = "/", .ws_host = "feed.example", .max_message = 1 << 20 };
    if (xw_conn_open(b->engine, &cfg, b->host.now, &b->conn))
        bench_die("open");
    for (unsigned round = 0; round < 1000; round++) {
        int n = xw_poll(b->engine, b->host.now, b->events, 64);
        for (int i = 0; i < n; i++) {
            if (b->events[i].type == XW_EV_OPEN)
                return;
            if (b->events[i].type == XW_EV_CLOSED)
                bench_die((const char *)b->events[i].data);
        }
        host_round(&b->host);
        b->host.now += STEP_NS;
    }
    bench_die("the connection did not open");
}

/* What is measured. RECEIVE: polls until `wanted` messages came, and one more that sends the last ACK. EVENT: the polls up
 * to the last message, its ACK is outside. ORDER: one message from xw_conn_send to the device's ring. IDLE: polls that find
 * nothing. */
enum what { RECEIVE, EVENT, ORDER, IDLE };
unsigned measured(struct bench *b, enum what what, const uint8_t *payload, size_t len, unsigned wanted);
__attribute__((noinline)) unsigned measured(struct bench *b, enum what what, const uint8_t *payload, size_t len,
                                            unsigned wanted) {
    uint64_t now = b->host.now;
    unsigned got = 0;
    if (what == ORDER)
        return xw_conn_send(b->engine, b->conn, 1, payload, len, now) == (int64_t)len;
    if (what == IDLE) {
        for (; got < wanted; got++)
            xw_poll(b->engine, now + got, b->events, 64);
        return got;
    }
    for (unsigned polls = 0; got < wanted && polls < 16 * BATCH_MAX; polls++) {
        int n = xw_poll(b->engine, now, b->events, 64);
        for (int i = 0; i < n; i++)
            got += b->events[i].type == XW_EV_MESSAGE;
    }
    if (what == RECEIVE)
        xw_poll(b->engine, now, b->events, 64);
    return got;
}

/* One batch: ns that it took; *allocated grows by the allocations in it (those of the far end happen outside). */
static uint64_t batch_run(struct bench *b, enum what what, unsigned batch, const uint8_t *payload, size_t len,
                          unsigned long *allocated) {
    for (unsigned i = 0; what != ORDER && what != IDLE && i < batch; i++)
        host_send(&b->host, payload, len);
    b->host.now += STEP_NS;
    unsigned long before = allocations;
    uint64_t begin = bench_now();
    unsigned got = measured(b, what, payload, len, batch);
    uint64_t end = bench_now();
    *allocated += allocations - before;
    if (got != batch)
        bench_die("messages are missing");
    if (what != RECEIVE) {
        host_round(&b->host); /* takes the order, and acknowledges it */
        b->host.now += 2 * XW_NS_PER_MS;
        xw_poll(b->engine, b->host.now, b->events, 64);
        xw_poll(b->engine, b->host.now, b->events, 64);
    }
    host_round(&b->host);
    return end - begin;
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* ns between two reads of the clock, which every measured time contains. */
static uint64_t clock_ns(void) {
    uint64_t took[1001];
    for (unsigned i = 0; i < 1001; i++) {
        uint64_t begin = bench_now();
        took[i] = bench_now() - begin;
    }
    qsort(took, 1001, sizeof *took, ascending);
    return took[500];
}

/* ns of one EVP operation as a record layer must do it: new nonce, 5 bytes of header, the data, the tag. */
static double evp_ns(size_t len, bool seal) {
    static uint8_t in[8192], out[8192], tag[16];
    uint8_t key[16] = { 1 }, nonce[12] = { 2 }, head[5] = { 23, 3, 3 };
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;
    double best = 1e9;
    EVP_CipherInit_ex(c, EVP_aes_128_gcm(), NULL, key, nonce, seal);
    for (unsigned round = 0; round < 20; round++) {
        uint64_t begin = bench_now();
        for (unsigned i = 0; i < 1000; i++) {
            EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, seal);
            EVP_CipherUpdate(c, NULL, &n, head, sizeof head);
            EVP_CipherUpdate(c, out, &n, in, (int)len);
            if (!seal)
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag);
            EVP_CipherFinal_ex(c, out + n, &n);
            if (seal)
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, sizeof tag, tag);
        }
        double each = (double)(bench_now() - begin) / 1000;
        best = each < best ? each : best;
    }
    EVP_CIPHER_CTX_free(c);
    return best;
}

int main(int argc, char **argv) {
    static struct bench b;
    static uint8_t payload[4096];
    static const char *const names[] = { [EVENT] = "event", [ORDER] = "order", [IDLE] = "idle" };
    enum what what = RECEIVE;
    for (unsigned i = EVENT; argc > 1 && i <= IDLE; i++)
        what = strcmp(argv[1], names[i]) ? what : i;
    unsigned batch = argc <= 2 ? 0 : what == RECEIVE ? (unsigned)atoi(argv[1]) : what == IDLE ? IDLE_POLLS : 1;
    unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    size_t len = argc > 3 ? strtoul(argv[3], NULL, 10) : 200;
    if (!batch || batch > BATCH_MAX || count < batch || len > sizeof payload) {
        fprintf(stderr, "usage: core BATCH|event|order|idle COUNT [LEN [CLOCK]]\n");
        return 2;
    }
    memset(payload, 'x', sizeof payload);
    unsigned batches = count / batch;
    uint64_t *took = calloc(batches, sizeof *took), total = 0;
    connect_all(&b, argc > 4 && atoi(argv[4]) ? XW_CLOCK_MONOTONIC : XW_CLOCK_AUTO);
    uint64_t clock = clock_ns();
    unsigned long allocated = 0, warm = 0;
    unsigned warm_batches = WARM / batch + 1; /* callgrind counts them too */
    for (unsigned i = 0; i < warm_batches; i++)
        batch_run(&b, what, batch, payload, len, &warm);
    for (unsigned i = 0; i < batches; i++) {
        uint64_t ns = batch_run(&b, what, batch, payload, len, &allocated);
        took[i] = ns > clock ? ns - clock : 0;
        total += took[i];
    }
    qsort(took, batches, sizeof *took, ascending);
    double evp = evp_ns(len + (what == ORDER ? 9 : 5), what == ORDER);
    double median = (double)took[batches / 2] / batch;
    printf("{\"batch\":%u,\"warm\":%u,\"messages\":%u,\"len\":%zu,\"ns_median\":%.1f,\"ns_best\":%.1f,\"ns_mean\":%.1f,"
           "\"allocations\":%lu,\"evp_ns\":%.1f,\"median_vs_evp\":%.3f}\n", batch, warm_batches * batch, batches * batch, len, median,
           (double)took[0] / batch, (double)total / (batches * batch), allocated, evp, median / evp);
    xw_engine_free(b.engine);
    free(took);
    return 0;
}
