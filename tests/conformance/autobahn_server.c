/* The server that Autobahn|Testsuite tests: csrc/ws in its server role, every message sent back as it came, compression
 * accepted. Listens on 127.0.0.1, prints its port; a process for each connection, which ends with it.
 *
 * The connection speaks over a stream in memory (bs/bs_mem.h); this program carries the bytes between the stream's other
 * end and the socket, so that nothing but ws is under test. */
#include "base/limits.h"
#include "bs/bs_mem.h"
#include "ws/conn.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RING (1u << 20)
#define MESSAGE_MAX (1u << 25)

struct echo {
    int fd;
    struct xw_bs *ours, *wire; /* what ws sits on, and its other end */
    struct xw_ws *ws;
    bool sock_eof, sock_shut, ended;
    struct xw_ws_event msg;    /* being sent back */
    uint64_t done;
    bool busy, begun;
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * XW_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void *pages(size_t len) {
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        die("mmap");
    return p;
}

static void from_socket(struct echo *e) {
    struct xw_mspan to;
    while (!e->sock_eof && (to = e->wire->ops->reserve(e->wire)).len) {
        ssize_t n = recv(e->fd, to.p, to.len, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            e->sock_eof = true;
            e->wire->ops->shutdown_wr(e->wire);
            return;
        }
        e->wire->ops->commit(e->wire, (size_t)n);
    }
}

static void to_socket(struct echo *e) {
    struct xw_bs_status st;
    struct xw_span from;
    e->wire->ops->poll(e->wire, now_ns());
    while ((from = e->wire->ops->peek(e->wire)).len) {
        ssize_t n = send(e->fd, from.p, from.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            exit(0); /* the peer is gone */
        if (n <= 0)
            return;
        e->wire->ops->consume(e->wire, (size_t)n);
        e->wire->ops->poll(e->wire, now_ns());
    }
    e->wire->ops->status(e->wire, &st);
    if (st.rx_eof && !e->sock_shut) {
        e->sock_shut = true;
        shutdown(e->fd, SHUT_WR);
    }
}

/* Sends on what is to be sent back; its span is not released before. */
static void send_back(struct echo *e) {
    struct xw_span d = e->msg.data;
    if (!e->begun) {
        int64_t n = xw_ws_send(e->ws, e->msg.opcode, d.p, d.len);
        if (n < 0) { /* no room yet, or it is closing */
            e->busy = xw_ws_is_open(e->ws);
            return;
        }
        e->begun = true;
        e->done = (uint64_t)n;
    } else if (e->done < d.len) {
        int64_t n = xw_ws_send_more(e->ws, d.p + e->done, d.len - e->done);
        if (n < 0)
            e->busy = false;
        else
            e->done += (uint64_t)n;
    }
    if (e->done == d.len)
        e->busy = false;
}

/* True: something happened. */
static bool turn(struct echo *e) {
    struct xw_ws_event ev;
    e->ours->ops->poll(e->ours, now_ns());
    if (e->busy) {
        xw_ws_poll(e->ws, now_ns(), NULL, 0);
        send_back(e);
        return !e->busy;
    }
    xw_ws_release(e->ws);
    if (xw_ws_poll(e->ws, now_ns(), &ev, 1) != 1)
        return false;
    if (ev.type == XW_WS_ENDED)
        e->ended = true;
    if (ev.type == XW_WS_MESSAGE) {
        e->msg = ev;
        e->done = 0;
        e->begun = false;
        e->busy = true;
        send_back(e);
    }
    return true;
}

static void serve(int fd) {
    struct xw_bs_mem_cfg mem = { .rcv_len = RING, .snd_len = RING };
    struct echo e = { .fd = fd };
    struct xw_rng rng;
    uint8_t seed[32];
    if (getrandom(seed, sizeof seed, 0) != sizeof seed || xw_bs_mem_pair(&mem, &e.ours, &e.wire))
        die("set-up");
    xw_rng_init(&rng, seed);
    struct xw_ws_cfg cfg = {
        .role = XW_WS_SERVER, .bs = e.ours, .rng = &rng, .max_message = MESSAGE_MAX, .check_utf8 = true,
        .view_max = RING / 2, .assembly = xw_mspan(pages(MESSAGE_MAX), MESSAGE_MAX), .deflate = { .on = true },
        .deflate_mem = xw_mspan(pages(XW_WS_DEFLATE_NEED), XW_WS_DEFLATE_NEED),
    };
    e.ws = pages(xw_ws_size());
    if (xw_ws_init(e.ws, &cfg))
        die("xw_ws_init");
    while (!e.ended || e.wire->ops->peek(e.wire).len) {
        from_socket(&e);
        while (turn(&e)) { }
        to_socket(&e);
        while (turn(&e)) { }
        to_socket(&e);
        bool room = !e.sock_eof && e.wire->ops->reserve(e.wire).len;
        struct pollfd p = { .fd = fd, .events = room ? POLLIN : 0 };
        if (e.wire->ops->peek(e.wire).len)
            p.events |= POLLOUT;
        if (!e.ended && p.events)
            poll(&p, 1, e.busy ? 1 : 50);
        else if (!e.ended)
            usleep(1000);
    }
    close(fd);
    exit(0);
}

int main(void) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    signal(SIGCHLD, SIG_IGN);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&at, &len))
        die("listen");
    printf("%u\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        if (fork() == 0) {
            close(listener);
            serve(fd);
        }
        close(fd);
    }
}
