/* bs/bs_sock.c: connect, receive, send and end of a kernel socket; stamps are in sock_stamp.c.
 *
 * When the kernel refuses to send (the peer reset us), its error is kept and reading goes on until the end: what had
 * arrived before the reset is still the reader's. Only then does the stream fail. */
#include "bs/bs_sock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/setup_error.h"
#include "mem/marks.h"
#include "bs/sock_stamp.h"
#include "xw.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes of one recvmsg: four full TLS records; more would let the first message wait for the copying of the last. */
#define RECV_MAX 65536u
#define STATE_CLOSE 7 /* TCP_CLOSE of <netinet/tcp.h>, which cannot be included together with <linux/tcp.h> */
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif

struct sock {
    struct xw_bs bs;             /* first */
    int fd;                      /* -1 when closed */
    enum xw_bs_state state;      /* CLOSED is stored when both directions ended */
    int error, sys_errno;
    int tx_errno;                /* why sending ended early; reported when reading has ended */
    bool rx_eof, tx_shut, fin_sent;
    uint16_t local_port;
    uint32_t local_ip;           /* host byte order; 0: not IPv4 */
    struct xw_bytering *rcv, *snd;
    uint64_t (*clock)(void *arg);
    void *clock_arg;
    struct xw_sock_clock wall;   /* offset of CLOCK_REALTIME, for the kernel's stamps */
    struct tcp_info info;        /* as of the end, once the socket is closed */
    struct xw_marks marks;
};

static struct sock *of(struct xw_bs *b) { return (struct sock *)(void *)b; }
static const struct sock *of_const(const struct xw_bs *b) { return (const struct sock *)(const void *)b; }

static int error_of(int sys_errno) {
    switch (sys_errno) {
    case ECONNREFUSED:
        return XW_EREFUSED;
    case ENETUNREACH: case EHOSTUNREACH: case ENETDOWN: case EHOSTDOWN:
        return XW_EUNREACH;
    case ETIMEDOUT:
        return XW_ETIMEDOUT;
    case ECONNRESET: case EPIPE: case ECONNABORTED:
        return XW_ERESET;
    case EADDRINUSE: case EADDRNOTAVAIL:
        return XW_EADDRINUSE;
    default:
        return XW_ESYS;
    }
}

static void read_info(int fd, struct tcp_info *out) {
    socklen_t len = sizeof *out;
    *out = (struct tcp_info){ 0 };
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, out, &len))
        *out = (struct tcp_info){ 0 };
}

static void release_fd(struct sock *s) {
    if (s->fd < 0)
        return;
    read_info(s->fd, &s->info);
    close(s->fd);
    s->fd = -1;
}

static void fail(struct sock *s, int error, int sys_errno) {
    if (s->state == XW_BS_FAILED)
        return;
    s->state = XW_BS_FAILED;
    s->error = error;
    s->sys_errno = sys_errno;
    release_fd(s);
}

static void fail_errno(struct sock *s, int sys_errno) { fail(s, error_of(sys_errno), sys_errno); }

/* ---- progress ---------------------------------------------------------------------------------------------------- */

static void check_connected(struct sock *s) {
    struct pollfd p = { .fd = s->fd, .events = POLLOUT };
    if (poll(&p, 1, 0) <= 0)
        return;
    int err = 0;
    socklen_t len = sizeof err;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len))
        err = errno;
    if (err) {
        fail_errno(s, err);
        return;
    }
    s->state = XW_BS_OPEN;
}

/* Both directions are over: the socket is given back. */
static void check_finished(struct sock *s) {
    if (s->state != XW_BS_OPEN || !s->rx_eof)
        return;
    if (s->tx_errno)
        fail_errno(s, s->tx_errno);
    else if (s->fin_sent) {
        s->state = XW_BS_CLOSED;
        release_fd(s);
    }
}

static void send_some(struct sock *s) {
    uint32_t len = xw_bytering_len(s->snd);
    if (s->tx_errno || s->state != XW_BS_OPEN)
        return;
    if (len) {
        struct xw_span a = xw_bytering_peek(s->snd);
        struct xw_span b = xw_bytering_peek_at(s->snd, s->snd->head + a.len);
        struct iovec iov[2] = { { (void *)(uintptr_t)a.p, a.len }, { (void *)(uintptr_t)b.p, b.len } };
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = a.len < len ? 2 : 1 };
        ssize_t n = sendmsg(s->fd, &m, MSG_NOSIGNAL);
        if (n > 0)
            xw_bytering_consume(s->snd, (size_t)n);
        else if (n < 0 && errno != EAGAIN && errno != EINTR)
            s->tx_errno = errno;
    }
    if (s->tx_shut && !s->fin_sent && !s->tx_errno && !xw_bytering_len(s->snd)) {
        if (shutdown(s->fd, SHUT_WR) && errno != ENOTCONN)
            s->tx_errno = errno;
        else
            s->fin_sent = true;
    }
}

static void mark_received(struct sock *s, const struct msghdr *m, uint64_t now_ns) {
    struct xw_mark mark = { .end = s->rcv->tail };
    xw_sock_stamp(&s->wall, m, now_ns, &mark.last);
    if (s->clock) {
        mark.last.ring_ns = s->clock(s->clock_arg);
        mark.last.valid |= XW_RXS_RING;
    }
    mark.first = mark.last;
    xw_marks_push(&s->marks, &mark, s->rcv->head);
}

/* One recvmsg. XW_EAGAIN if it returned all that was asked for, so that there may be more. */
static int receive_some(struct sock *s, uint64_t now_ns) {
    if (!xw_bytering_len(s->rcv))
        xw_bytering_rewind(s->rcv);
    struct xw_mspan room = xw_bytering_reserve(s->rcv);
    if (s->rx_eof || s->state != XW_BS_OPEN || !room.len)
        return XW_OK;
    _Alignas(struct cmsghdr) uint8_t control[XW_SOCK_CONTROL_LEN];
    struct iovec iov = { room.p, room.len < RECV_MAX ? room.len : RECV_MAX };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (s->wall.on) {
        m.msg_control = control;
        m.msg_controllen = sizeof control;
    }
    ssize_t n = recvmsg(s->fd, &m, 0);
    if (n > 0) {
        xw_bytering_commit(s->rcv, (size_t)n);
        mark_received(s, &m, now_ns);
        return (size_t)n == iov.iov_len ? XW_EAGAIN : XW_OK;
    }
    if (n == 0)
        s->rx_eof = true;
    else if (errno != EAGAIN && errno != EINTR)
        fail_errno(s, errno);
    return XW_OK;
}

static int sock_poll(struct xw_bs *b, uint64_t now_ns) {
    struct sock *s = of(b);
    if (s->state == XW_BS_CONNECTING)
        check_connected(s);
    if (s->state != XW_BS_OPEN)
        return XW_OK;
    send_some(s);
    int rc = receive_some(s, now_ns);
    check_finished(s);
    return rc;
}

static void sock_flush(struct xw_bs *b, uint64_t now_ns) {
    struct sock *s = of(b);
    (void)now_ns;
    send_some(s);
    check_finished(s);
}

/* ---- the other ops ----------------------------------------------------------------------------------------------- */

static struct xw_span sock_peek(struct xw_bs *b) { return xw_bytering_peek(of(b)->rcv); }
static void sock_consume(struct xw_bs *b, size_t n) { xw_bytering_consume(of(b)->rcv, n); }

static struct xw_mspan sock_reserve(struct xw_bs *b) {
    struct sock *s = of(b);
    if (s->state != XW_BS_OPEN || s->tx_shut || s->tx_errno)
        return xw_mspan(s->snd->base, 0);
    return xw_bytering_reserve(s->snd);
}

static void sock_commit(struct xw_bs *b, size_t n) { xw_bytering_commit(of(b)->snd, n); }
static void sock_shutdown_wr(struct xw_bs *b) { of(b)->tx_shut = true; }

static void sock_abort(struct xw_bs *b) {
    struct sock *s = of(b);
    if (s->fd >= 0) {
        struct linger l = { .l_onoff = 1, .l_linger = 0 };
        (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l); /* close then sends RST */
    }
    if (s->state != XW_BS_CLOSED)
        fail(s, XW_ECLOSED, 0);
}

static uint64_t sock_deadline(const struct xw_bs *b) {
    (void)b;
    return XW_NEVER;
}

static void sock_status(const struct xw_bs *b, struct xw_bs_status *out) {
    const struct sock *s = of_const(b);
    *out = (struct xw_bs_status){ .state = s->state, .error = s->error, .sys_errno = s->sys_errno, .rx_eof = s->rx_eof,
                                  .tx_shut = s->tx_shut,
                                  .tx_drained = !xw_bytering_len(s->snd) && s->fin_sent == s->tx_shut };
}

static uint64_t sock_rx_offset(const struct xw_bs *b) { return of_const(b)->rcv->head; }

static void sock_stamp(const struct xw_bs *b, uint64_t off, struct xw_rxstamp *last, struct xw_rxstamp *first) {
    xw_marks_stamp(&of_const(b)->marks, off, last, first);
}

static const char *sock_error_text(const struct xw_bs *b) {
    const struct sock *s = of_const(b);
    if (s->state != XW_BS_FAILED)
        return "";
    const char *text = s->error == XW_ESYS ? strerrordesc_np(s->sys_errno) : NULL;
    return text ? text : xw_strerror(s->error);
}

static void sock_close(struct xw_bs *b) {
    struct sock *s = of(b);
    if (s->fd >= 0 && !s->fin_sent)
        sock_abort(b);
    release_fd(s);
    free(s);
}

static const struct xw_bs_ops sock_ops = {
    .peek = sock_peek, .consume = sock_consume, .reserve = sock_reserve, .commit = sock_commit,
    .shutdown_wr = sock_shutdown_wr, .flush = sock_flush, .abort = sock_abort, .poll = sock_poll,
    .deadline = sock_deadline,
    .status = sock_status, .rx_offset = sock_rx_offset, .stamp = sock_stamp, .error_text = sock_error_text,
    .close = sock_close,
};

/* ---- creation and questions ------------------------------------------------------------------------------------ */

static void set_options(struct sock *s, const struct xw_bs_sock_cfg *cfg) {
    int one = 1, usecs = (int)cfg->busy_poll_us;
    if (cfg->no_delay)
        (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (usecs && !setsockopt(s->fd, SOL_SOCKET, SO_BUSY_POLL, &usecs, sizeof usecs))
        (void)setsockopt(s->fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &one, sizeof one);
    if (cfg->stamps)
        xw_sock_stamp_enable(&s->wall, s->fd);
}

static int bind_local(const struct sock *s, const struct xw_bs_sock_cfg *cfg) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(cfg->local_port),
                             .sin_addr = { htonl(cfg->local_ip) } };
    if (!cfg->local_ip && !cfg->local_port)
        return XW_OK;
    if (bind(s->fd, (struct sockaddr *)&a, sizeof a))
        return xw_setup_failf(errno == EADDRINUSE ? XW_EADDRINUSE : XW_ESYS, "bind the socket to %u.%u.%u.%u:%u",
                              cfg->local_ip >> 24, cfg->local_ip >> 16 & 255, cfg->local_ip >> 8 & 255,
                                  cfg->local_ip & 255,
                              cfg->local_port);
    return XW_OK;
}

static void note_local_port(struct sock *s) {
    struct sockaddr_in a = { 0 };
    socklen_t len = sizeof a;
    if (!getsockname(s->fd, (struct sockaddr *)&a, &len) && (a.sin_family == AF_INET || a.sin_family == AF_INET6))
        s->local_port = ntohs(a.sin_port); /* at the same place in both */
    if (a.sin_family == AF_INET)
        s->local_ip = ntohl(a.sin_addr.s_addr);
}

static struct sock *alloc_sock(const struct xw_bs_sock_cfg *cfg, struct xw_bytering *rcv, struct xw_bytering *snd) {
    struct sock *s = calloc(1, sizeof *s);
    if (!s) {
        xw_setup_fail(XW_ENOMEM, "allocate a socket stream");
        return NULL;
    }
    s->bs.ops = &sock_ops;
    s->state = XW_BS_CONNECTING;
    s->rcv = rcv;
    s->snd = snd;
    s->clock = cfg->clock;
    s->clock_arg = cfg->clock_arg;
    return s;
}

int xw_bs_sock_adopt(const struct xw_bs_sock_cfg *cfg, int fd, struct xw_bytering *rcv, struct xw_bytering *snd,
                     struct xw_bs **out) {
    xw_setup_clear();
    int type = 0;
    socklen_t len = sizeof type;
    if (!rcv->mirrored || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_STREAM)
        return xw_setup_fail_text(XW_EINVAL, "take over a socket", "needs a stream socket and a mirrored ring");
    struct sock *s = alloc_sock(cfg, rcv, snd);
    if (!s)
        return XW_ENOMEM;
    s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int flags = s->fd < 0 ? -1 : fcntl(s->fd, F_GETFL);
    if (flags < 0 || fcntl(s->fd, F_SETFL, flags | O_NONBLOCK)) {
        int rc = xw_setup_fail(XW_ESYS, "take over a socket");
        if (s->fd >= 0)
            close(s->fd);
        free(s);
        return rc;
    }
    set_options(s, cfg);
    xw_bytering_reset(rcv);
    xw_bytering_reset(snd);
    note_local_port(s);
    s->state = XW_BS_OPEN;
    *out = &s->bs;
    return XW_OK;
}

int xw_bs_sock_new(const struct xw_bs_sock_cfg *cfg, struct xw_bytering *rcv, struct xw_bytering *snd,
                   struct xw_bs **out) {
    xw_setup_clear();
    if (!cfg->remote_ip || !cfg->remote_port || !rcv->mirrored)
        return xw_setup_fail_text(XW_EINVAL, "open a socket stream",
                                  "needs a remote address, a port and a mirrored ring");
    struct sock *s = alloc_sock(cfg, rcv, snd);
    if (!s)
        return XW_ENOMEM;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = s->fd < 0 ? xw_setup_fail(XW_ESYS, "create a TCP socket") : XW_OK;
    if (rc)
        goto err_free;
    rc = bind_local(s, cfg);
    if (rc)
        goto err_close;
    set_options(s, cfg);
    xw_bytering_reset(rcv);
    xw_bytering_reset(snd);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(cfg->remote_port),
                             .sin_addr = { htonl(cfg->remote_ip) } };
    bool under_way = !connect(s->fd, (struct sockaddr *)&a, sizeof a) || errno == EINPROGRESS || errno == EINTR;
    int err = errno;
    note_local_port(s);
    if (!under_way)
        fail_errno(s, err);
    *out = &s->bs;
    return XW_OK;
err_close:
    close(s->fd);
err_free:
    free(s);
    return rc;
}

int xw_bs_sock_fd(const struct xw_bs *b) { return of_const(b)->fd; }

uint32_t xw_bs_sock_events(const struct xw_bs *b) {
    const struct sock *s = of_const(b);
    if (s->state == XW_BS_CONNECTING)
        return EPOLLOUT;
    if (s->state != XW_BS_OPEN)
        return 0;
    uint32_t ev = !s->rx_eof && xw_bytering_room(s->rcv) ? (uint32_t)EPOLLIN : 0;
    if (!s->tx_errno && (xw_bytering_len(s->snd) || (s->tx_shut && !s->fin_sent)))
        ev |= (uint32_t)EPOLLOUT;
    return ev;
}

uint16_t xw_bs_sock_local_port(const struct xw_bs *b) { return of_const(b)->local_port; }

void xw_bs_sock_info(const struct xw_bs *b, struct xw_conn_info *out) {
    const struct sock *s = of_const(b);
    struct tcp_info ti = s->info;
    if (s->fd >= 0)
        read_info(s->fd, &ti);
    out->tcp_state = s->fd >= 0 ? ti.tcpi_state : STATE_CLOSE;
    out->ca_state = ti.tcpi_ca_state;
    out->local_port = s->local_port;
    out->local_ip = s->local_ip;
    out->mss = (uint16_t)(ti.tcpi_snd_mss < UINT16_MAX ? ti.tcpi_snd_mss : UINT16_MAX);
    out->srtt_us = ti.tcpi_rtt;
    out->rttvar_us = ti.tcpi_rttvar;
    out->rto_us = ti.tcpi_rto;
    out->cwnd = ti.tcpi_snd_cwnd * ti.tcpi_snd_mss;
    out->in_flight = ti.tcpi_unacked * ti.tcpi_snd_mss;
    out->rcv_wnd = ti.tcpi_rcv_space;
    out->snd_wnd = ti.tcpi_snd_wnd;
    /* not tcpi_bytes_received and tcpi_bytes_acked: those count SYN and FIN too */
    out->bytes_in = s->rcv->tail;
    out->bytes_out = s->snd->head;
    out->segs_in = ti.tcpi_segs_in;
    out->segs_out = ti.tcpi_segs_out;
    out->retransmits = ti.tcpi_total_retrans;
}
