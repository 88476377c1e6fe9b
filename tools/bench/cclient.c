/* tools/bench/cclient.c: the yardsticks: WebSocket clients in C over a kernel socket, with the OpenSSL that xdpws uses.
 *
 *     cclient MODE IP PORT TARGET WARM N OUT CA CPU FIFO [SIZE]
 * MODE  spin      non-blocking SSL_read in a loop; OpenSSL reads the socket, two recv() a record
 *       spin-ra   the same with OpenSSL's read-ahead: one recv() for what is there
 *       spin-rec  own non-blocking recv() of all that is there into a memory BIO, then record by record
 *       epoll     epoll_wait, then SSL_read (read-ahead) until nothing is left
 *       block     blocking SSL_read
 * WARM messages are received before the N that count. OUT gets N int64: ns from the stamp in the payload to the hand-over
 * (or of the round trip, when SIZE is given: then messages of SIZE bytes are sent, each after the echo of the last).
 * Prints one JSON line. Every record is handed over before the next one is decrypted. */
#include "common.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum mode { SPIN, SPIN_RA, SPIN_REC, EPOLL, BLOCK, MODES };
#define BUF_LEN (1u << 20)

struct client {
    enum mode mode;
    int fd, epoll_fd;
    SSL *ssl;
    BIO *in;                /* spin-rec: what recv() brought */
    uint8_t *buf;           /* plaintext not yet handed over */
    size_t have;
    uint8_t raw[1 << 18];
    int64_t *lat;
    unsigned long warm, total, got, bad;
    size_t echo_len;        /* 0: one-way */
    uint64_t asked_ns, first_ns, last_ns;
};

static _Noreturn void die(const char *what) {
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* ---- receiving ---- */

static __attribute__((noinline)) void on_message(struct client *c, const uint8_t *p, size_t len) {
    uint64_t t = bench_now();
    uint64_t begin = c->asked_ns;
    if (!c->echo_len) {
        if (len < SEQ_OFF + SEQ_DIGITS || digits_get(p + SEQ_OFF, SEQ_DIGITS) != c->got)
            c->bad++;
        begin = digits_get(p + TS_OFF, TS_DIGITS);
    } else if (len != c->echo_len) {
        c->bad++;
    }
    if (c->got >= c->warm && c->got < c->total)
        c->lat[c->got - c->warm] = (int64_t)(t - begin);
    if (c->got == c->warm)
        c->first_ns = t;
    c->last_ns = t;
    c->got++;
}

static void frames(struct client *c) {
    size_t at = 0;
    while (c->have - at >= 2) {
        const uint8_t *p = c->buf + at;
        size_t len = p[1] & 127u, head = 2;
        if (len == 126) {
            if (c->have - at < 4)
                break;
            len = (size_t)p[2] << 8 | p[3];
            head = 4;
        }
        if (c->have - at < head + len)
            break;
        if ((p[0] & 15u) <= 2)
            on_message(c, p + head, len);
        at += head + len;
    }
    c->have -= at;
    if (c->have && at)
        memmove(c->buf, c->buf + at, c->have);
}

/* One record's plaintext: bytes, 0 nothing there, -1 over. */
static int record(struct client *c) {
    int k = SSL_read(c->ssl, c->buf + c->have, (int)(BUF_LEN - c->have));
    if (k > 0)
        return k;
    return SSL_get_error(c->ssl, k) == SSL_ERROR_WANT_READ ? 0 : -1;
}

static int record_or_recv(struct client *c) {
    int k = record(c);
    if (k || c->mode != SPIN_REC)
        return k;
    ssize_t r = recv(c->fd, c->raw, sizeof c->raw, 0);
    if (r <= 0)
        return r < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    BIO_write(c->in, c->raw, (int)r);
    return record(c);
}

static bool turn(struct client *c) {
    int k = record_or_recv(c);
    if (k < 0)
        return false;
    if (k) {
        c->have += (size_t)k;
        frames(c);
    } else if (c->mode == EPOLL) {
        struct epoll_event e;
        epoll_wait(c->epoll_fd, &e, 1, -1);
    }
    return true;
}

/* ---- connecting ---- */

static void connect_tls(struct client *c, char **argv) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3])) };
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (inet_pton(AF_INET, argv[2], &a.sin_addr) != 1 || connect(c->fd, (struct sockaddr *)&a, sizeof a))
        die("connect");
    SSL_CTX *x = SSL_CTX_new(TLS_client_method());
    if (SSL_CTX_load_verify_locations(x, argv[8], NULL) != 1)
        die("CA");
    SSL_CTX_set_verify(x, SSL_VERIFY_PEER, NULL);
    c->ssl = SSL_new(x);
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), argv[2]);
    SSL_set_fd(c->ssl, c->fd);
    if (SSL_connect(c->ssl) != 1)
        die("TLS");
}

static void upgrade(struct client *c, char **argv) {
    char request[1024];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: eHdiZW5jaHh3YmVuY2hYWA==\r\nSec-WebSocket-Version: 13\r\n\r\n", argv[4], argv[2]);
    if (SSL_write(c->ssl, request, n) != n)
        die("upgrade");
    for (;;) {
        int k = SSL_read(c->ssl, c->buf + c->have, (int)(BUF_LEN - 1 - c->have));
        if (k <= 0)
            die("upgrade");
        c->have += (size_t)k;
        c->buf[c->have] = 0;
        const char *end = strstr((char *)c->buf, "\r\n\r\n");
        if (!end)
            continue;
        if (strncmp((char *)c->buf, "HTTP/1.1 101", 12))
            die("upgrade refused");
        c->have -= (size_t)(end + 4 - (char *)c->buf);
        memmove(c->buf, end + 4, c->have);
        return;
    }
}

static void mode_set(struct client *c) {
    if (c->mode != BLOCK)
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (c->mode == SPIN_RA || c->mode == EPOLL)
        SSL_set_read_ahead(c->ssl, 1);
    if (c->mode == SPIN_REC) {
        c->in = BIO_new(BIO_s_mem());
        BIO_set_mem_eof_return(c->in, -1);
        SSL_set0_rbio(c->ssl, c->in);
    }
    if (c->mode == EPOLL) {
        struct epoll_event e = { .events = EPOLLIN };
        c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (c->epoll_fd < 0 || epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->fd, &e))
            die("epoll");
    }
}

/* ---- running ---- */

static void ask(struct client *c) {
    static const uint8_t mask[4] = { 0x3a, 0x91, 0xc4, 0x5e };
    uint8_t out[2048];
    size_t head = c->echo_len < 126 ? 2 : 4;
    c->asked_ns = bench_now();
    out[0] = 0x81;
    out[1] = (uint8_t)(0x80u | (c->echo_len < 126 ? c->echo_len : 126));
    out[2] = (uint8_t)(c->echo_len >> 8);
    out[3] = (uint8_t)c->echo_len;
    memcpy(out + head, mask, 4);
    for (size_t i = 0; i < c->echo_len; i++)
        out[head + 4 + i] = (uint8_t)('x' ^ mask[i & 3]);
    int n = (int)(head + 4 + c->echo_len);
    if (SSL_write(c->ssl, out, n) != n)
        die("send");
}

static void run(struct client *c) {
    frames(c);
    while (c->got < c->total) {
        unsigned long before = c->got;
        if (c->echo_len)
            ask(c);
        do
            if (!turn(c))
                return;
        while (c->got == before);
    }
}

int main(int argc, char **argv) {
    static const char *const names[MODES] = { "spin", "spin-ra", "spin-rec", "epoll", "block" };
    static struct client c;
    if (argc != 11 && argc != 12) {
        fprintf(stderr, "usage: cclient MODE IP PORT TARGET WARM N OUT CA CPU FIFO [SIZE]\n");
        return 2;
    }
    while (c.mode < MODES && strcmp(names[c.mode], argv[1]))
        c.mode++;
    unsigned long n = strtoul(argv[6], NULL, 10);
    c.warm = strtoul(argv[5], NULL, 10);
    c.total = c.warm + n;
    c.echo_len = argc == 12 ? strtoul(argv[11], NULL, 10) : 0;
    if (c.mode == MODES || c.echo_len > 1024 || !n)
        return 2;
    cpu_pin(atoi(argv[9]));
    c.lat = calloc(n, sizeof *c.lat);
    c.buf = malloc(BUF_LEN);
    if (!c.lat || !c.buf)
        die("memory");
    connect_tls(&c, argv);
    upgrade(&c, argv);
    mode_set(&c);
    mlockall(MCL_CURRENT | MCL_FUTURE);
    bool fifo = atoi(argv[10]) && fifo_set(true);
    double cpu = cpu_seconds();
    run(&c);
    cpu = cpu_seconds() - cpu;
    fifo_set(false);
    FILE *f = fopen(argv[7], "wb");
    size_t count = c.got > c.warm ? (c.got < c.total ? c.got : c.total) - c.warm : 0;
    if (!f || fwrite(c.lat, sizeof *c.lat, count, f) != count || fclose(f))
        die(argv[7]);
    printf("{\"got\":%lu,\"wanted\":%lu,\"bad\":%lu,\"seconds\":%.9f,\"cpu_seconds\":%.6f,\"fifo\":%s,\"version\":\"%s\"}\n",
           c.got, c.total, c.bad, (double)(c.last_ns - c.first_ns) / 1e9, cpu, fifo ? "true" : "false",
           OpenSSL_version(OPENSSL_VERSION));
    return c.got >= c.total && !c.bad ? 0 : 1;
}
