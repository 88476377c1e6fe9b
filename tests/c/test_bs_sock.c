/* The kernel-socket stream against a listener of the same process, on 127.0.0.1 only. */
#include "base/err.h"
#include "base/limits.h"
#include "bs/bs_sock.h"
#include "xt.h"
#include "xw.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LOOPBACK 0x7f000001u

struct fixture {
    struct xw_bytering rcv, snd;
    struct xw_bs *bs;
    int listener, peer; /* peer: the accepted socket, non-blocking; -1 when closed */
    uint16_t port;
};

static uint8_t buf[1 << 20];

static uint64_t monotonic(void *arg) {
    struct timespec t;
    (void)arg;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * XW_NS_PER_S + (uint64_t)t.tv_nsec;
}

static int listen_on_loopback(uint16_t *port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(LOOPBACK) } };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    XT_EQ(bind(fd, (struct sockaddr *)&a, len), 0);
    XT_EQ(listen(fd, 4), 0);
    XT_EQ(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static struct xw_bs_status status(const struct xw_bs *b) {
    struct xw_bs_status st;
    b->ops->status(b, &st);
    return st;
}

/* Polls the stream, then waits until its descriptor has what the stream wants (at most 5 s). */
static int step(struct fixture *f) {
    int rc = f->bs->ops->poll(f->bs, monotonic(NULL));
    struct pollfd p = { .fd = xw_bs_sock_fd(f->bs), .events = (short)xw_bs_sock_events(f->bs) };
    if (rc == XW_OK && p.fd >= 0 && p.events)
        (void)poll(&p, 1, 1);
    return rc;
}

#define UNTIL(f, cond) \
    do { \
        uint64_t until_end = monotonic(NULL) + 10 * XW_NS_PER_S; \
        while (!(cond)) { \
            if (monotonic(NULL) > until_end) \
                XT_FAIL("never true: %s (state %d, error %d)", #cond, status((f)->bs).state, status((f)->bs).error); \
            step(f); \
        } \
    } while (0)

static void open_with(struct fixture *f, const struct xw_bs_sock_cfg *like, uint32_t ring_len) {
    *f = (struct fixture){ .peer = -1 };
    struct xw_bs_sock_cfg cfg = *like;
    f->listener = listen_on_loopback(&f->port);
    cfg.remote_ip = LOOPBACK;
    cfg.remote_port = f->port;
    XT_EQ(xw_bytering_map(&f->rcv, ring_len), XW_OK);
    XT_EQ(xw_bytering_map(&f->snd, ring_len), XW_OK);
    if (xw_bs_sock_new(&cfg, &f->rcv, &f->snd, &f->bs))
        XT_FAIL("%s", xw_setup_error(NULL));
    UNTIL(f, status(f->bs).state == XW_BS_OPEN);
    f->peer = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK);
    XT_TRUE(f->peer >= 0);
}

static void open_plain(struct fixture *f) {
    open_with(f, &(struct xw_bs_sock_cfg){ .no_delay = true }, 65536);
}

static void close_all(struct fixture *f) {
    f->bs->ops->close(f->bs);
    if (f->peer >= 0)
        close(f->peer);
    close(f->listener);
    xw_bytering_unmap(&f->rcv);
    xw_bytering_unmap(&f->snd);
}

static void peer_reset(struct fixture *f) {
    struct linger l = { 1, 0 };
    setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(f->peer);
    f->peer = -1;
}

static void put(struct fixture *f, const void *data, size_t len) {
    struct xw_mspan room = f->bs->ops->reserve(f->bs);
    XT_TRUE(room.len >= len);
    memcpy(room.p, data, len);
    f->bs->ops->commit(f->bs, len);
}

XT_TEST(refused) {
    struct fixture f = { .peer = -1 };
    f.listener = listen_on_loopback(&f.port);
    close(f.listener); /* the port was ours a moment ago: nobody listens */
    f.listener = -1;
    struct xw_bs_sock_cfg cfg = { .remote_ip = LOOPBACK, .remote_port = f.port };
    XT_EQ(xw_bytering_map(&f.rcv, 4096), XW_OK);
    XT_EQ(xw_bytering_map(&f.snd, 4096), XW_OK);
    XT_EQ(xw_bs_sock_new(&cfg, &f.rcv, &f.snd, &f.bs), XW_OK);
    UNTIL(&f, status(f.bs).state == XW_BS_FAILED);
    XT_EQ(status(f.bs).error, XW_EREFUSED);
    XT_EQ(status(f.bs).sys_errno, ECONNREFUSED);
    XT_EQ(xw_bs_sock_fd(f.bs), -1);
    XT_EQ(xw_bs_sock_events(f.bs), 0);
    XT_STR(f.bs->ops->error_text(f.bs), xw_strerror(XW_EREFUSED));
    close_all(&f);
}

XT_TEST(a_local_port_in_use_is_the_callers_error) {
    struct fixture f = { .peer = -1 };
    struct xw_bytering rcv, snd;
    f.listener = listen_on_loopback(&f.port);
    struct xw_bs_sock_cfg cfg = { .local_ip = LOOPBACK, .local_port = f.port, .remote_ip = LOOPBACK,
                                  .remote_port = f.port };
    XT_EQ(xw_bytering_map(&rcv, 4096), XW_OK);
    XT_EQ(xw_bytering_map(&snd, 4096), XW_OK);
    XT_EQ(xw_bs_sock_new(&cfg, &rcv, &snd, &f.bs), XW_EADDRINUSE);
    int err = 0;
    XT_TRUE(strstr(xw_setup_error(&err), "bind the socket to 127.0.0.1") != NULL);
    XT_EQ(err, EADDRINUSE);
    cfg.remote_port = 0;
    XT_EQ(xw_bs_sock_new(&cfg, &rcv, &snd, &f.bs), XW_EINVAL);
    close(f.listener);
    xw_bytering_unmap(&rcv);
    xw_bytering_unmap(&snd);
}

XT_TEST(local_port_and_info) {
    struct fixture f;
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    struct xw_conn_info info = { 0 };
    open_plain(&f);
    XT_EQ(getpeername(f.peer, (struct sockaddr *)&a, &len), 0);
    XT_EQ(xw_bs_sock_local_port(f.bs), ntohs(a.sin_port));
    XT_EQ(send(f.peer, buf, 1000, 0), 1000);
    UNTIL(&f, f.bs->ops->peek(f.bs).len == 1000);
    xw_bs_sock_info(f.bs, &info);
    XT_EQ(info.tcp_state, 1);
    XT_EQ(info.local_port, ntohs(a.sin_port));
    XT_EQ(info.bytes_in, 1000);
    XT_TRUE(info.mss >= 536 && info.cwnd >= info.mss && info.segs_in >= 2);
    f.bs->ops->abort(f.bs);
    xw_bs_sock_info(f.bs, &info);
    XT_EQ(info.tcp_state, 7);
    XT_EQ(info.bytes_in, 1000); /* the last figures outlive the socket */
    close_all(&f);
}

/* 10 MB each way at once through 64 KiB rings, compared by hash. */
XT_TEST(ten_megabytes_both_ways) {
    enum { TOTAL = 10 << 20 };
    struct fixture f;
    uint8_t hash[4][32];
    EVP_MD_CTX *md[4]; /* ours out, peer in, peer out, ours in */
    size_t ours_out = 0, peer_in = 0, peer_out = 0, ours_in = 0;
    uint32_t seed = 1;
    open_plain(&f);
    for (unsigned i = 0; i < 4; i++) {
        md[i] = EVP_MD_CTX_new();
        EVP_DigestInit_ex(md[i], EVP_sha256(), NULL);
    }
    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
    while (peer_in < TOTAL || ours_in < TOTAL) {
        struct xw_mspan room = f.bs->ops->reserve(f.bs);
        size_t n = room.len < TOTAL - ours_out ? room.len : TOTAL - ours_out;
        if (n) {
            memcpy(room.p, buf + ours_out % 4099, n);
            EVP_DigestUpdate(md[0], room.p, n);
            f.bs->ops->commit(f.bs, n);
            ours_out += n;
        }
        size_t want = TOTAL - peer_out < 50000 ? TOTAL - peer_out : 50000;
        ssize_t k = want ? send(f.peer, buf + peer_out % 8191, want, MSG_NOSIGNAL) : 0;
        if (k > 0) {
            EVP_DigestUpdate(md[2], buf + peer_out % 8191, (size_t)k);
            peer_out += (size_t)k;
        }
        step(&f);
        struct xw_span s = f.bs->ops->peek(f.bs);
        EVP_DigestUpdate(md[3], s.p, s.len);
        f.bs->ops->consume(f.bs, s.len);
        ours_in += s.len;
        static uint8_t in[65536];
        k = recv(f.peer, in, sizeof in, 0);
        if (k > 0) {
            EVP_DigestUpdate(md[1], in, (size_t)k);
            peer_in += (size_t)k;
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        EVP_DigestFinal_ex(md[i], hash[i], NULL);
        EVP_MD_CTX_free(md[i]);
    }
    XT_EQ(ours_in, TOTAL);
    XT_EQ(peer_in, TOTAL);
    XT_EQ(f.bs->ops->rx_offset(f.bs), TOTAL);
    XT_MEM(hash[1], hash[0], 32);
    XT_MEM(hash[3], hash[2], 32);
    XT_TRUE(status(f.bs).tx_drained);
    close_all(&f);
}

/* What is queued goes out before the FIN, and reading goes on after it. */
XT_TEST(half_close_then_end) {
    struct fixture f;
    open_plain(&f);
    put(&f, "question", 8);
    f.bs->ops->shutdown_wr(f.bs);
    XT_EQ(f.bs->ops->reserve(f.bs).len, 0);
    XT_TRUE(status(f.bs).tx_shut && !status(f.bs).tx_drained);
    f.bs->ops->flush(f.bs, 0); /* without a poll */
    XT_TRUE(status(f.bs).tx_drained);
    struct pollfd p = { .fd = f.peer, .events = POLLRDHUP };
    XT_EQ(poll(&p, 1, 5000), 1);
    XT_EQ(recv(f.peer, buf, sizeof buf, 0), 8);
    XT_EQ(recv(f.peer, buf, sizeof buf, 0), 0);
    XT_EQ(send(f.peer, "answer", 6, 0), 6);
    close(f.peer);
    f.peer = -1;
    UNTIL(&f, status(f.bs).rx_eof);
    XT_EQ(status(f.bs).state, XW_BS_CLOSED);
    XT_EQ(f.bs->ops->peek(f.bs).len, 6);
    XT_EQ(xw_bs_sock_events(f.bs), 0);
    close_all(&f);
}

XT_TEST(reset_keeps_what_came_before) {
    struct fixture f;
    open_plain(&f);
    XT_EQ(send(f.peer, "last price", 10, 0), 10);
    UNTIL(&f, f.bs->ops->peek(f.bs).len == 10);
    peer_reset(&f);
    UNTIL(&f, status(f.bs).state == XW_BS_FAILED);
    XT_EQ(status(f.bs).error, XW_ERESET);
    XT_EQ(status(f.bs).sys_errno, ECONNRESET);
    XT_EQ(f.bs->ops->peek(f.bs).len, 10);
    close_all(&f);
}

/* Sending into a reset connection: no SIGPIPE, the same error, and never a good end. */
XT_TEST(send_after_reset) {
    struct fixture f;
    open_plain(&f);
    peer_reset(&f);
    put(&f, "order", 5);
    f.bs->ops->flush(f.bs, 0);
    UNTIL(&f, status(f.bs).state == XW_BS_FAILED);
    XT_EQ(status(f.bs).error, XW_ERESET);
    XT_EQ(f.bs->ops->reserve(f.bs).len, 0);
    close_all(&f);
}

XT_TEST(abort_resets_the_peer) {
    struct fixture f;
    open_plain(&f);
    f.bs->ops->abort(f.bs);
    XT_EQ(status(f.bs).state, XW_BS_FAILED);
    XT_EQ(status(f.bs).error, XW_ECLOSED);
    struct pollfd p = { .fd = f.peer, .events = POLLIN };
    XT_EQ(poll(&p, 1, 5000), 1);
    XT_EQ(recv(f.peer, buf, 1, 0), -1);
    XT_EQ(errno, ECONNRESET);
    close_all(&f);
}

/* A full receive ring stops reading (and the wish for EPOLLIN); a full kernel buffer stops sending. */
XT_TEST(backpressure) {
    struct fixture f;
    size_t sent = 0, taken = 0;
    ssize_t k;
    open_with(&f, &(struct xw_bs_sock_cfg){ .no_delay = true }, 4096);
    while ((k = send(f.peer, buf, 65536, 0)) > 0)
        sent += (size_t)k;
    UNTIL(&f, xw_bytering_room(&f.rcv) == 0);
    XT_EQ(xw_bs_sock_events(f.bs) & EPOLLIN, 0);
    XT_EQ(f.bs->ops->poll(f.bs, 0), XW_OK);
    XT_EQ(f.bs->ops->peek(f.bs).len, 4096);
    f.bs->ops->consume(f.bs, 100);
    XT_EQ(xw_bs_sock_events(f.bs) & EPOLLIN, EPOLLIN);
    XT_EQ(f.bs->ops->poll(f.bs, 0), XW_EAGAIN); /* it got all it asked for: there may be more */
    XT_EQ(f.bs->ops->peek(f.bs).len, 4096);
    XT_TRUE(sent > 4096);
    for (unsigned idle = 0; idle < 3;) {
        struct xw_mspan room = f.bs->ops->reserve(f.bs);
        f.bs->ops->commit(f.bs, room.len);
        f.bs->ops->flush(f.bs, 0);
        idle = room.len ? 0 : idle + 1;
        taken += room.len;
    }
    XT_EQ(xw_bs_sock_events(f.bs) & EPOLLOUT, EPOLLOUT);
    XT_TRUE(!status(f.bs).tx_drained);
    size_t got = 0;
    uint64_t end = monotonic(NULL) + 10 * XW_NS_PER_S;
    while (got < taken && monotonic(NULL) < end) {
        if ((k = recv(f.peer, buf, sizeof buf, 0)) > 0)
            got += (size_t)k;
        f.bs->ops->flush(f.bs, 0);
    }
    XT_EQ(got, taken);
    XT_TRUE(status(f.bs).tx_drained);
    close_all(&f);
}

/* The kernel's stamp lies between the sending and the recvmsg, on CLOCK_MONOTONIC; ring_ns is the clock handed in. */
XT_TEST(stamps) {
    struct fixture f;
    struct xw_rxstamp last, first;
    open_with(&f, &(struct xw_bs_sock_cfg){ .no_delay = true, .stamps = true, .clock = monotonic }, 65536);
    uint64_t before = 0;
    for (unsigned i = 0; i < 200; i++) { /* the kernel switches its stamping on a little after it was asked to */
        before = monotonic(NULL);
        XT_EQ(send(f.peer, "tick", 4, 0), 4);
        UNTIL(&f, f.bs->ops->peek(f.bs).len == 4);
        f.bs->ops->stamp(f.bs, f.bs->ops->rx_offset(f.bs) + 3, &last, &first);
        f.bs->ops->consume(f.bs, 4);
        if (last.valid & XW_RXS_KERN)
            break;
        poll(NULL, 0, 1);
    }
    XT_EQ(last.valid, XW_RXS_KERN | XW_RXS_RING);
    XT_TRUE(last.kern_ns + 2000 >= before); /* 2 µs: the error of the offset on a busy machine */
    XT_TRUE(last.kern_ns <= last.ring_ns + 2000);
    XT_TRUE(last.ring_ns <= monotonic(NULL));
    XT_EQ(first.kern_ns, last.kern_ns);
    f.bs->ops->stamp(f.bs, f.bs->ops->rx_offset(f.bs), &last, &first);
    XT_EQ(last.valid, 0); /* not received yet */
    close_all(&f);
}

XT_TEST(without_stamps_none_is_claimed) {
    struct fixture f;
    struct xw_rxstamp last, first;
    open_plain(&f);
    XT_EQ(send(f.peer, "tick", 4, 0), 4);
    UNTIL(&f, f.bs->ops->peek(f.bs).len == 4);
    f.bs->ops->stamp(f.bs, 0, &last, &first);
    XT_EQ(last.valid, 0);
    XT_EQ(first.valid, 0);
    close_all(&f);
}

/* A socket that is connected already: accepted, or one of a local pair. The stream has a duplicate of its own. */
static void adopted(int family) {
    struct fixture f = { .peer = -1 };
    int pair[2];
    if (family == AF_UNIX) {
        XT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    } else {
        f.listener = listen_on_loopback(&f.port);
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(f.port), .sin_addr = { htonl(LOOPBACK) } };
        pair[1] = socket(AF_INET, SOCK_STREAM, 0);
        XT_EQ(connect(pair[1], (struct sockaddr *)&a, sizeof a), 0);
        pair[0] = accept(f.listener, NULL, NULL);
        close(f.listener);
    }
    XT_EQ(xw_bytering_map(&f.rcv, 65536), XW_OK);
    XT_EQ(xw_bytering_map(&f.snd, 65536), XW_OK);
    struct xw_bs_sock_cfg cfg = { .no_delay = true, .stamps = true, .clock = monotonic };
    XT_EQ(xw_bs_sock_adopt(&cfg, pair[0], &f.rcv, &f.snd, &f.bs), XW_OK);
    close(pair[0]);
    XT_EQ(status(f.bs).state, XW_BS_OPEN);
    XT_EQ(send(pair[1], "hello", 5, 0), 5);
    UNTIL(&f, f.bs->ops->peek(f.bs).len == 5);
    XT_MEM(f.bs->ops->peek(f.bs).p, "hello", 5);
    f.bs->ops->consume(f.bs, 5);
    struct xw_mspan room = f.bs->ops->reserve(f.bs);
    memcpy(room.p, "back", 4);
    f.bs->ops->commit(f.bs, 4);
    f.bs->ops->shutdown_wr(f.bs);
    step(&f);
    XT_EQ(recv(pair[1], buf, sizeof buf, 0), 4);
    XT_MEM(buf, "back", 4);
    XT_EQ(recv(pair[1], buf, sizeof buf, 0), 0); /* the end, though the caller had another descriptor of it */
    struct xw_conn_info info = { 0 };
    xw_bs_sock_info(f.bs, &info);
    XT_EQ(info.local_port, f.port);
    XT_EQ(info.local_ip, family == AF_UNIX ? 0 : LOOPBACK);
    close(pair[1]);
    UNTIL(&f, status(f.bs).state == XW_BS_CLOSED);
    f.bs->ops->close(f.bs);
    xw_bytering_unmap(&f.rcv);
    xw_bytering_unmap(&f.snd);
}

XT_TEST(sockets_that_are_connected_already) {
    adopted(AF_UNIX);
    adopted(AF_INET);
}

XT_TEST(what_is_no_stream_socket_is_refused) {
    struct xw_bytering rcv, snd;
    struct xw_bs *bs;
    struct xw_bs_sock_cfg cfg = { 0 };
    int pipes[2], datagram = socket(AF_INET, SOCK_DGRAM, 0);
    XT_EQ(pipe(pipes), 0);
    XT_EQ(xw_bytering_map(&rcv, 65536), XW_OK);
    XT_EQ(xw_bytering_map(&snd, 65536), XW_OK);
    XT_EQ(xw_bs_sock_adopt(&cfg, pipes[0], &rcv, &snd, &bs), XW_EINVAL);
    XT_EQ(xw_bs_sock_adopt(&cfg, datagram, &rcv, &snd, &bs), XW_EINVAL);
    XT_EQ(xw_bs_sock_adopt(&cfg, -1, &rcv, &snd, &bs), XW_EINVAL);
    XT_EQ(close(pipes[0]) | close(pipes[1]) | close(datagram), 0); /* still the caller's */
    xw_bytering_unmap(&rcv);
    xw_bytering_unmap(&snd);
}

XT_MAIN(XT_RUN(refused), XT_RUN(a_local_port_in_use_is_the_callers_error), XT_RUN(local_port_and_info),
        XT_RUN(ten_megabytes_both_ways), XT_RUN(half_close_then_end), XT_RUN(reset_keeps_what_came_before),
        XT_RUN(send_after_reset), XT_RUN(abort_resets_the_peer), XT_RUN(backpressure), XT_RUN(stamps),
        XT_RUN(without_stamps_none_is_claimed),
        XT_RUN(sockets_that_are_connected_already), XT_RUN(what_is_no_stream_socket_is_refused))
