/* tools/bench/sender.c: a WebSocket server over TLS 1.3 that sends at exactly known times, for latency measurements.
 *
 *     sender IP PORT CERT KEY CPU FIFO     PORT 0: any; CPU -1: not pinned; FIFO 1: SCHED_FIFO while it sends
 *
 * One connection at a time; the client chooses what happens by the query of its request:
 *   mode=paced  n messages, `rate` a second, in bursts of `burst`; each tick is awaited by spinning
 *   mode=blast  n messages as fast as they go, gathered into sends of `gather` bytes; ready=1: all of them are encrypted before
 *               the first is sent, so that the client is what limits
 *   mode=echo   every message comes back
 *   size=trade|depth  payloads of about 200 B, or of 1 to 4 KiB
 * Each message is one frame in one TLS record, stamped right before its encryption; a burst's records leave by one
 * send(). Prints {"ready":…} and then one JSON line a connection: how many, and how late the sender was against its own
 * schedule; a client that was served late must not be compared with another.
 * Not here: fragmentation, client frames above 64 KiB, more than one connection, anything but TLS 1.3. */
#include "common.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEMPLATES 64u
#define FRAME_MAX 4608u
#define LATE_NS 100000u     /* a tick this late counts as late: above the jitter of a pinned core, below a lost slice */
#define SETTLE_US 80000u    /* between the upgrade and the first message: the client gets ready */
#define IDLE_NS 20000000000u
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

struct frame {
    uint8_t bytes[FRAME_MAX];
    size_t head, len;       /* of the WebSocket header; of all */
};
struct templates { struct frame trade[TEMPLATES], depth[TEMPLATES]; };
struct peer {
    int fd;
    SSL *ssl;
    BIO *out;               /* records wait here for one send() */
};
struct plan {
    char mode[8];
    bool depth, ready;
    unsigned long n, rate, burst, gather;
};
struct tally {
    unsigned long sent, ticks, late;
    uint64_t late_max, began, ended;
};

/* ---- bytes out and in ---- */

static bool peer_flush(struct peer *p) {
    char *data;
    long left = BIO_get_mem_data(p->out, &data);
    while (left > 0) {
        ssize_t k = send(p->fd, data, (size_t)left, MSG_NOSIGNAL);
        if (k >= 0) {
            data += k;
            left -= k;
        } else if (errno == EAGAIN) {
            struct pollfd w = { .fd = p->fd, .events = POLLOUT };
            if (poll(&w, 1, 5000) <= 0)
                return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    (void)BIO_reset(p->out);
    return true;
}

static bool peer_put(struct peer *p, const void *data, size_t len) {
    return SSL_write(p->ssl, data, (int)len) == (int)len;
}

/* Bytes read; 0: nothing there; -1: over. */
static int peer_get(struct peer *p, void *buf, size_t cap) {
    int k = SSL_read(p->ssl, buf, (int)cap);
    if (k > 0)
        return k;
    bool again = SSL_get_error(p->ssl, k) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return again ? 0 : -1;
}

/* ---- messages ---- */

static uint64_t next_random(uint64_t *s) {
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return *s >> 24;
}

static void frame_close(struct frame *f, const char *payload, size_t len) {
    f->head = 4;
    f->bytes[0] = 0x81;
    f->bytes[1] = (uint8_t)(len < 126 ? len : 126);
    if (len < 126) {
        f->head = 2;
    } else {
        f->bytes[2] = (uint8_t)(len >> 8);
        f->bytes[3] = (uint8_t)len;
    }
    memcpy(f->bytes + f->head, payload, len);
    f->len = f->head + len;
}

/* Payloads in the manner of an exchange: a trade of about 200 bytes, a book update of 1 to 4 KiB. */
static void templates_make(struct templates *t) {
    static const char *const symbols[] = { "BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT" };
    uint64_t s = 20260101;
    char text[FRAME_MAX];
    for (unsigned i = 0; i < TEMPLATES; i++) {
        const char *symbol = symbols[next_random(&s) % 4];
        unsigned long a = next_random(&s) % 1000000000, b = next_random(&s) % 100000, c = next_random(&s) % 100000000;
        int n = snprintf(text, sizeof text,
                         "{\"ts\":\"%019d\",\"n\":\"%010d\",\"topic\":\"trade.%s\",\"e\":\"trade\",\"s\":\"%s\","
                         "\"id\":%09lu,\"p\":\"%lu.%08lu\",\"q\":\"0.%08lu\",\"T\":1767225%09lu,\"m\":%s}",
                         0, 0, symbol, symbol, a, 10000 + b, c, c / 3, a, c & 1 ? "true" : "false");
        frame_close(&t->trade[i], text, (size_t)n);
        size_t wanted = 1024 + next_random(&s) % 3000;
        n = snprintf(text, sizeof text, "{\"ts\":\"%019d\",\"n\":\"%010d\",\"topic\":\"book.%s\",\"b\":[", 0, 0, symbol);
        while ((size_t)n < wanted)
            n += snprintf(text + n, sizeof text - (size_t)n, "[\"%lu.%02lu\",\"%lu.%04lu\"],", 60000 + next_random(&s) % 9000,
                          next_random(&s) % 100, next_random(&s) % 90, next_random(&s) % 10000);
        n += snprintf(text + n, sizeof text - (size_t)n, "[]]}");
        frame_close(&t->depth[i], text, (size_t)n);
    }
}

/* ---- the upgrade ---- */

static unsigned long query_number(const char *target, const char *key, unsigned long fallback) {
    size_t len = strlen(key);
    for (const char *p = strpbrk(target, "?&"); p; p = strpbrk(p + 1, "?&"))
        if (!strncmp(p + 1, key, len) && p[1 + len] == '=')
            return strtoul(p + 2 + len, NULL, 10);
    return fallback;
}

static bool query_is(const char *target, const char *word) {
    size_t len = strlen(word);
    for (const char *p = strpbrk(target, "?&"); p; p = strpbrk(p + 1, "?&"))
        if (!strncmp(p + 1, word, len) && strchr("& ", p[1 + len]))
            return true;
    return false;
}

static bool plan_read(struct plan *plan, const char *target) {
    *plan = (struct plan){ .depth = query_is(target, "size=depth"), .n = query_number(target, "n", 1000),
                           .rate = query_number(target, "rate", 1000), .burst = query_number(target, "burst", 1),
                           .gather = query_number(target, "gather", 32768),
                           .ready = query_number(target, "ready", 0) };
    const char *mode = query_is(target, "mode=blast") ? "blast" : query_is(target, "mode=echo") ? "echo" : "paced";
    memcpy(plan->mode, mode, strlen(mode) + 1);
    return plan->rate && plan->burst;
}

static bool upgrade(struct peer *p, struct plan *plan) {
    char head[4096], key[64], text[128], answer[256];
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    size_t have = 0;
    int k;
    do {
        k = peer_get(p, head + have, sizeof head - 1 - have);
        if (k < 0 || have + (size_t)k >= sizeof head - 1)
            return false;
        have += (size_t)k;
        head[have] = 0;
    } while (!strstr(head, "\r\n\r\n"));
    const char *line = strcasestr(head, "\r\nsec-websocket-key:");
    if (strncmp(head, "GET ", 4) || !line || sscanf(line + 20, " %63[A-Za-z0-9+/=]", key) != 1)
        return false;
    *strchr(head, '\r') = 0;
    if (!plan_read(plan, head + 4))
        return false;
    int n = snprintf(text, sizeof text, "%s" GUID, key);
    EVP_Digest(text, (size_t)n, digest, &digest_len, EVP_sha1(), NULL);
    EVP_EncodeBlock((uint8_t *)text, digest, (int)digest_len);
    n = snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n", text);
    return peer_put(p, answer, (size_t)n) && peer_flush(p);
}

/* ---- the scenarios ---- */

static bool send_one(struct peer *p, struct frame *f, unsigned long number) {
    uint8_t *payload = f->bytes + f->head;
    digits_put(payload + SEQ_OFF, SEQ_DIGITS, number);
    digits_put(payload + TS_OFF, TS_DIGITS, bench_now());
    return peer_put(p, f->bytes, f->len);
}

static bool run_paced(struct peer *p, const struct plan *plan, struct frame *frames, struct tally *t) {
    uint64_t step = 1000000000u * plan->burst / plan->rate, due = bench_now() + 1000000, now;
    while (t->sent < plan->n) {
        while ((now = bench_now()) < due)
            cpu_relax();
        uint64_t late = now - due;
        t->ticks++;
        t->late += late > LATE_NS;
        t->late_max = late > t->late_max ? late : t->late_max;
        due += step;
        for (unsigned long i = 0; i < plan->burst && t->sent < plan->n; i++, t->sent++)
            if (!send_one(p, &frames[t->sent % TEMPLATES], t->sent))
                return false;
        if (!peer_flush(p))
            return false;
    }
    return true;
}

/* Everything into memory, then out in pieces of `gather` bytes. */
static bool run_ready(struct peer *p, const struct plan *plan, struct frame *frames, struct tally *t) {
    char *data;
    for (; t->sent < plan->n; t->sent++)
        if (!send_one(p, &frames[t->sent % TEMPLATES], t->sent))
            return false;
    long all = BIO_get_mem_data(p->out, &data), at = 0;
    while (at < all) {
        size_t n = (unsigned long)(all - at) < plan->gather ? (size_t)(all - at) : plan->gather;
        ssize_t k = send(p->fd, data + at, n, MSG_NOSIGNAL);
        struct pollfd w = { .fd = p->fd, .events = POLLOUT };
        if (k >= 0)
            at += k;
        else if (errno != EINTR && (errno != EAGAIN || poll(&w, 1, 5000) <= 0))
            return false;
    }
    (void)BIO_reset(p->out);
    return true;
}

static bool run_blast(struct peer *p, const struct plan *plan, struct frame *frames, struct tally *t) {
    if (plan->ready)
        return run_ready(p, plan, frames, t);
    for (; t->sent < plan->n; t->sent++) {
        if (!send_one(p, &frames[t->sent % TEMPLATES], t->sent))
            return false;
        if (BIO_ctrl_pending(p->out) >= plan->gather && !peer_flush(p))
            return false;
    }
    return peer_flush(p);
}

/* The masked frame at buf, unmasked and sent back. Bytes used, 0: not whole yet, -1: over. */
static long echo_one(struct peer *p, uint8_t *buf, size_t have, unsigned long *echoed) {
    uint8_t out[70000];
    size_t len = have < 2 ? 0 : buf[1] & 127u, head = 6;
    if (len == 126) {
        if (have < 4)
            return 0;
        len = (size_t)buf[2] << 8 | buf[3];
        head = 8;
    }
    if (have < head || have < head + len || len == 127)
        return len == 127 ? -1 : 0;
    unsigned opcode = buf[0] & 15u;
    out[0] = (uint8_t)(0x80u | (opcode == 9 ? 10 : opcode));
    memcpy(out + 1, buf + 1, head - 5);
    out[1] &= 127u;
    for (size_t i = 0; i < len; i++)
        out[head - 4 + i] = buf[head + i] ^ buf[head - 4 + (i & 3)];
    if (!peer_put(p, out, head - 4 + len) || !peer_flush(p) || opcode == 8)
        return -1;
    *echoed += 1;
    return (long)(head + len);
}

static void run_echo(struct peer *p, struct tally *t) {
    static uint8_t buf[1 << 17];
    size_t have = 0;
    uint64_t last = bench_now();
    for (;;) {
        int k = peer_get(p, buf + have, sizeof buf - have);
        if (k < 0 || (!k && bench_now() - last > IDLE_NS))
            return;
        if (!k)
            continue;
        last = bench_now();
        have += (size_t)k;
        long used;
        while ((used = echo_one(p, buf, have, &t->sent)) > 0) {
            have -= (size_t)used;
            memmove(buf, buf + used, have);
        }
        if (used < 0)
            return;
    }
}

/* Until the client has ended; its close frame is answered. */
static void farewell(struct peer *p) {
    static const uint8_t bye[] = { 0x88, 2, 3, 0xe8 };
    uint8_t buf[4096];
    struct pollfd w = { .fd = p->fd, .events = POLLIN };
    while (SSL_pending(p->ssl) || poll(&w, 1, 10000) > 0) {
        int k = peer_get(p, buf, sizeof buf);
        if (k < 0)
            return;
        if (k > 0 && (buf[0] & 15u) == 8) {
            (void)(peer_put(p, bye, sizeof bye) && peer_flush(p));
            return;
        }
    }
}

static void serve(struct peer *p, struct templates *all, bool fifo) {
    struct plan plan;
    struct tally t = { 0 };
    if (!upgrade(p, &plan))
        return;
    bool echo = !strcmp(plan.mode, "echo"), fine = true;
    fcntl(p->fd, F_SETFL, O_NONBLOCK);
    if (!echo)
        usleep(SETTLE_US);
    bool real_time = fifo && fifo_set(true);
    t.began = bench_now();
    if (echo)
        run_echo(p, &t);
    else
        fine = (strcmp(plan.mode, "blast") ? run_paced : run_blast)(p, &plan, plan.depth ? all->depth : all->trade, &t);
    t.ended = bench_now();
    if (real_time)
        fifo_set(false);
    if (!echo && fine)
        farewell(p);
    printf("{\"mode\":\"%s\",\"sent\":%lu,\"ticks\":%lu,\"late\":%lu,\"late_max_ns\":%lu,\"seconds\":%.6f,\"whole\":%s,"
           "\"fifo\":%s,\"cipher\":\"%s\"}\n", plan.mode, t.sent, t.ticks, t.late, (unsigned long)t.late_max,
           (double)(t.ended - t.began) / 1e9, fine ? "true" : "false", real_time ? "true" : "false",
           SSL_get_cipher_name(p->ssl));
    fflush(stdout);
}

/* ---- start ---- */

static int listener(const char *ip, unsigned port, unsigned *bound) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    socklen_t len = sizeof a;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (inet_pton(AF_INET, ip, &a.sin_addr) != 1 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4) ||
        getsockname(fd, (struct sockaddr *)&a, &len)) {
        perror("sender: listen");
        return -1;
    }
    *bound = ntohs(a.sin_port);
    return fd;
}

static SSL_CTX *context(const char *cert, const char *key) {
    SSL_CTX *x = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_set_min_proto_version(x, TLS1_3_VERSION) == 1 &&
        SSL_CTX_set_ciphersuites(x, "TLS_AES_128_GCM_SHA256") == 1 &&
        SSL_CTX_use_certificate_chain_file(x, cert) == 1 && SSL_CTX_use_PrivateKey_file(x, key, SSL_FILETYPE_PEM) == 1)
        return x;
    ERR_print_errors_fp(stderr);
    return NULL;
}

static void serve_connection(int fd, SSL_CTX *x, struct templates *all, bool fifo) {
    int one = 1;
    struct timeval limit = { .tv_sec = 10 };
    struct peer p = { .fd = fd, .ssl = SSL_new(x), .out = BIO_new(BIO_s_mem()) };
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    SSL_set_fd(p.ssl, fd);
    if (SSL_accept(p.ssl) == 1) {
        SSL_set0_wbio(p.ssl, p.out);
        serve(&p, all, fifo);
    } else {
        ERR_clear_error();
        BIO_free(p.out);
    }
    SSL_free(p.ssl);
    close(fd);
}

int main(int argc, char **argv) {
    static struct templates all;
    unsigned port = 0;
    if (argc != 7) {
        fprintf(stderr, "usage: sender IP PORT CERT KEY CPU FIFO\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX *x = context(argv[3], argv[4]);
    int fd = listener(argv[1], (unsigned)atoi(argv[2]), &port);
    if (!x || fd < 0)
        return 1;
    templates_make(&all);
    bool fifo = atoi(argv[6]) && fifo_set(true);
    fifo_set(false);
    bool pinned = cpu_pin(atoi(argv[5]));
    bool locked = !mlockall(MCL_CURRENT | MCL_FUTURE);
    printf("{\"ready\":true,\"port\":%u,\"pinned\":%s,\"fifo\":%s,\"locked\":%s,\"openssl\":\"%s\"}\n", port,
           pinned ? "true" : "false", fifo ? "true" : "false", locked ? "true" : "false",
           OpenSSL_version(OPENSSL_VERSION));
    fflush(stdout);
    for (;;) {
        int conn = accept(fd, NULL, NULL);
        if (conn >= 0)
            serve_connection(conn, x, &all, fifo);
        else if (errno != EINTR && errno != ECONNABORTED)
            return 1;
    }
}
