/* packetdrill_so.c: the stack in a box (xw_stack.h) as a shared object for packetdrill's --so_filename, an example.
 *
 *     make stack-lib
 *     cc -std=c11 -D_GNU_SOURCE -O2 -shared -fPIC -Icsrc -I$PACKETDRILL/gtests/net/packetdrill \
 *         tools/packetdrill_so.c build/libxdpws_stack.a -o xdpws_so.so
 *     packetdrill --so_filename=./xdpws_so.so script.pkt
 *
 * packetdrill.h is packetdrill's own and not part of this project. The clock is the host's: packetdrill sleeps between
 * events and asks for packets with their times. A call that blocks runs the stack until it can be answered, in the thread
 * that packetdrill makes for it; one lock serializes all. docs/stack-lib.md says which call is which. */
#include "packetdrill.h"
#include "xw_stack.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define SOCKETS 64
#define QUEUE 4096 /* packets that wait to be sniffed: all of a script, in practice */

struct box {
    pthread_mutex_t lock;
    struct xw_stack *stack;
    void *mem;
    bool nonblock[SOCKETS];
    struct { uint8_t data[1600]; size_t len; uint64_t ns; } out[QUEUE];
    unsigned head, tail;
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t); /* gettimeofday's clock, which packetdrill compares with */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Runs what is due and keeps what comes out; with the lock held. */
static void run(struct box *b) {
    uint64_t now = now_ns();
    size_t n;
    xw_stack_tick(b->stack, now);
    while (b->tail - b->head < QUEUE &&
           (n = xw_stack_output(b->stack, b->out[b->tail % QUEUE].data, sizeof b->out[0].data, now))) {
        b->out[b->tail % QUEUE].len = n;
        b->out[b->tail++ % QUEUE].ns = now;
    }
}

static void nap(struct box *b) {
    const struct timespec t = { 0, 50000 };
    pthread_mutex_unlock(&b->lock);
    nanosleep(&t, NULL);
    pthread_mutex_lock(&b->lock);
    run(b);
}

static long result(struct box *b, int64_t rc) {
    run(b);
    pthread_mutex_unlock(&b->lock);
    if (rc >= 0)
        return (long)rc;
    errno = (int)-rc;
    return -1;
}

static struct box *enter(void *user) {
    struct box *b = user;
    pthread_mutex_lock(&b->lock);
    run(b);
    return b;
}

static bool waits(const struct box *b, int fd, int flags) {
    return fd >= 0 && fd < SOCKETS && !b->nonblock[fd] && !(flags & MSG_DONTWAIT);
}

static int so_socket(void *user, int domain, int type, int protocol) {
    struct box *b = enter(user);
    (void)protocol;
    if (domain != AF_INET || (type & 0xf) != SOCK_STREAM)
        return (int)result(b, -EAFNOSUPPORT);
    int fd = xw_stack_socket(b->stack);
    if (fd >= 0) {
        b->nonblock[fd] = type & SOCK_NONBLOCK;
        xw_stack_setopt(b->stack, fd, XW_STACK_NODELAY, 0, now_ns()); /* as sockets of kernels begin */
    }
    return (int)result(b, fd);
}

static uint32_t ip_of(const struct sockaddr *a) { return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr); }
static uint16_t port_of(const struct sockaddr *a) { return ntohs(((const struct sockaddr_in *)(const void *)a)->sin_port); }

static int so_bind(void *user, int fd, const struct sockaddr *a, socklen_t len) {
    struct box *b = enter(user);
    (void)len;
    return (int)result(b, xw_stack_bind(b->stack, fd, ip_of(a), port_of(a)));
}
static int so_listen(void *user, int fd, int backlog) {
    struct box *b = enter(user);
    return (int)result(b, xw_stack_listen(b->stack, fd, backlog > 0 ? (unsigned)backlog : 1));
}
static int so_accept(void *user, int fd, struct sockaddr *a, socklen_t *len) {
    struct box *b = enter(user);
    struct sockaddr_in in = { .sin_family = AF_INET };
    uint32_t ip = 0;
    uint16_t port = 0;
    int rc;
    while ((rc = xw_stack_accept(b->stack, fd, &ip, &port)) == XW_STACK_EAGAIN && waits(b, fd, 0))
        nap(b);
    if (rc >= 0 && a && len) {
        in.sin_addr.s_addr = htonl(ip);
        in.sin_port = htons(port);
        memcpy(a, &in, *len < sizeof in ? *len : sizeof in);
        *len = sizeof in;
    }
    if (rc >= 0)
        b->nonblock[rc] = false;
    return (int)result(b, rc);
}
static int so_connect(void *user, int fd, const struct sockaddr *a, socklen_t len) {
    struct box *b = enter(user);
    int64_t error = 0;
    (void)len;
    int rc = xw_stack_connect(b->stack, fd, ip_of(a), port_of(a), now_ns());
    if (rc != XW_STACK_EINPROGRESS || !waits(b, fd, 0))
        return (int)result(b, rc);
    while (!(xw_stack_poll(b->stack, fd) & (XW_STACK_POLLOUT | XW_STACK_POLLERR | XW_STACK_POLLHUP)))
        nap(b);
    xw_stack_getopt(b->stack, fd, XW_STACK_SO_ERROR, &error);
    return (int)result(b, error);
}

static ssize_t so_recv(void *user, int fd, void *buf, size_t len, int flags) {
    struct box *b = enter(user);
    int64_t rc;
    while ((rc = xw_stack_recv(b->stack, fd, buf, len, flags & MSG_PEEK ? XW_STACK_PEEK : 0, now_ns())) ==
               XW_STACK_EAGAIN && waits(b, fd, flags))
        nap(b);
    return result(b, rc);
}
static ssize_t so_read(void *user, int fd, void *buf, size_t len) { return so_recv(user, fd, buf, len, 0); }
static ssize_t so_recvfrom(void *user, int fd, void *buf, size_t len, int flags, struct sockaddr *a, socklen_t *alen) {
    (void)a, (void)alen;
    return so_recv(user, fd, buf, len, flags);
}
static ssize_t so_send(void *user, int fd, const void *buf, size_t len, int flags) {
    struct box *b = enter(user);
    size_t put = 0;
    for (;;) {
        int64_t rc = xw_stack_send(b->stack, fd, (const char *)buf + put, len - put, now_ns());
        put += rc > 0 ? (size_t)rc : 0;
        bool again = waits(b, fd, flags) && (rc == XW_STACK_EAGAIN || (rc > 0 && put < len));
        if (!again)
            return result(b, put ? (int64_t)put : rc);
        nap(b);
    }
}
static ssize_t so_write(void *user, int fd, const void *buf, size_t len) { return so_send(user, fd, buf, len, 0); }
static ssize_t so_sendto(void *user, int fd, const void *buf, size_t len, int flags, const struct sockaddr *a,
                         socklen_t alen) {
    (void)a, (void)alen;
    return so_send(user, fd, buf, len, flags);
}

static ssize_t gathered(void *user, int fd, const struct iovec *v, int cnt, int flags, bool out) {
    size_t len = 0, at = 0;
    for (int i = 0; i < cnt; i++)
        len += v[i].iov_len;
    char *all = malloc(len ? len : 1);
    for (int i = 0; out && i < cnt; at += v[i++].iov_len)
        memcpy(all + at, v[i].iov_base, v[i].iov_len);
    ssize_t n = out ? so_send(user, fd, all, len, flags) : so_recv(user, fd, all, len, flags);
    for (int i = 0; !out && n > 0 && i < cnt && at < (size_t)n; at += v[i++].iov_len)
        memcpy(v[i].iov_base, all + at, v[i].iov_len < (size_t)n - at ? v[i].iov_len : (size_t)n - at);
    free(all);
    return n;
}
static ssize_t so_readv(void *user, int fd, const struct iovec *v, int n) { return gathered(user, fd, v, n, 0, false); }
static ssize_t so_writev(void *user, int fd, const struct iovec *v, int n) { return gathered(user, fd, v, n, 0, true); }
static ssize_t so_recvmsg(void *user, int fd, struct msghdr *m, int flags) {
    return gathered(user, fd, m->msg_iov, (int)m->msg_iovlen, flags, false);
}
static ssize_t so_sendmsg(void *user, int fd, const struct msghdr *m, int flags) {
    return gathered(user, fd, m->msg_iov, (int)m->msg_iovlen, flags, true);
}

static int so_fcntl(void *user, int fd, int cmd, ...) {
    struct box *b = enter(user);
    va_list ap;
    va_start(ap, cmd);
    int arg = cmd == F_SETFL ? va_arg(ap, int) : 0;
    va_end(ap);
    if (fd < 0 || fd >= SOCKETS || xw_stack_poll(b->stack, fd) == XW_STACK_POLLNVAL)
        return (int)result(b, -EBADF);
    if (cmd == F_SETFL)
        b->nonblock[fd] = arg & O_NONBLOCK;
    return (int)result(b, cmd == F_GETFL ? O_RDWR | (b->nonblock[fd] ? O_NONBLOCK : 0) : 0);
}
static int so_ioctl(void *user, int fd, unsigned long request, ...) {
    struct box *b = enter(user);
    va_list ap;
    int64_t value = 0;
    va_start(ap, request);
    int *out = va_arg(ap, int *);
    va_end(ap);
    enum xw_stack_opt opt = request == FIONREAD ? XW_STACK_INQ : request == TIOCOUTQ ? XW_STACK_OUTQ : XW_STACK_OUTQ_NSD;
    int rc = xw_stack_getopt(b->stack, fd, opt, &value);
    *out = (int)value;
    return (int)result(b, rc);
}
static int so_close(void *user, int fd) {
    struct box *b = enter(user);
    return (int)result(b, xw_stack_close(b->stack, fd, now_ns()));
}
static int so_shutdown(void *user, int fd, int how) {
    struct box *b = enter(user);
    return (int)result(b, xw_stack_shutdown(b->stack, fd, how, now_ns()));
}

static const struct { int level, name; enum xw_stack_opt opt; int64_t unit; } options[] = {
    { SOL_SOCKET, SO_REUSEADDR, XW_STACK_REUSEADDR, 1 }, { SOL_SOCKET, SO_KEEPALIVE, XW_STACK_KEEPALIVE, 1 },
    { SOL_SOCKET, SO_RCVBUF, XW_STACK_RCVBUF, 1 }, { SOL_SOCKET, SO_SNDBUF, XW_STACK_SNDBUF, 1 },
    { SOL_SOCKET, SO_ERROR, XW_STACK_SO_ERROR, -1 }, { SOL_SOCKET, SO_ACCEPTCONN, XW_STACK_ACCEPTCONN, 1 },
    { IPPROTO_TCP, TCP_NODELAY, XW_STACK_NODELAY, 1 }, { IPPROTO_TCP, TCP_MAXSEG, XW_STACK_MSS, 1 },
    { IPPROTO_TCP, TCP_KEEPIDLE, XW_STACK_KEEP_IDLE, 1000000000 },
    { IPPROTO_TCP, TCP_KEEPINTVL, XW_STACK_KEEP_INTERVAL, 1000000000 },
    { IPPROTO_TCP, TCP_KEEPCNT, XW_STACK_KEEP_PROBES, 1 }, { IPPROTO_TCP, TCP_SYNCNT, XW_STACK_SYN_RETRIES, 1 },
    { IPPROTO_TCP, TCP_USER_TIMEOUT, XW_STACK_USER_TIMEOUT, 1000000 },
    { IPPROTO_IP, IP_TOS, XW_STACK_TOS, 1 }, { IPPROTO_IP, IP_TTL, XW_STACK_TTL, 1 },
};

static int so_setsockopt(void *user, int fd, int level, int name, const void *val, socklen_t len) {
    struct box *b = enter(user);
    int value = 0;
    memcpy(&value, val, len < sizeof value ? len : sizeof value);
    if (level == SOL_SOCKET && name == SO_LINGER) {
        struct linger l;
        memcpy(&l, val, len < sizeof l ? len : sizeof l);
        return (int)result(b, xw_stack_setopt(b->stack, fd, XW_STACK_LINGER,
                                              l.l_onoff ? l.l_linger * INT64_C(1000000000) : -1, now_ns()));
    }
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].level == level && options[i].name == name)
            return (int)result(b, xw_stack_setopt(b->stack, fd, options[i].opt, value * options[i].unit, now_ns()));
    return (int)result(b, -ENOPROTOOPT);
}

/* TCP_INFO as far as xw_stack_info has it: what assertions of scripts speak of. */
static int tcp_info_get(struct box *b, int fd, void *val, socklen_t *len) {
    struct xw_stack_info i;
    int rc = xw_stack_info(b->stack, fd, &i);
    if (rc)
        return rc;
    uint32_t mss = i.mss ? i.mss : 1;
    struct tcp_info t = {
        .tcpi_state = i.state, .tcpi_ca_state = i.ca_state, .tcpi_backoff = (uint8_t)i.backoff,
        .tcpi_retransmits = (uint8_t)i.retries, .tcpi_options = (uint8_t)(i.timestamps | i.sack << 1 | i.wscale << 2),
        .tcpi_rto = (uint32_t)(i.rto_ns / 1000), .tcpi_snd_mss = i.mss, .tcpi_unacked = (i.in_flight + mss - 1) / mss,
        .tcpi_sacked = (i.sacked + mss - 1) / mss, .tcpi_lost = (i.lost + mss - 1) / mss, .tcpi_pmtu = i.path_mtu,
        .tcpi_rtt = (uint32_t)(i.srtt_ns / 1000), .tcpi_rttvar = (uint32_t)(i.rttvar_ns / 1000),
        .tcpi_snd_ssthresh = i.ssthresh > 1u << 30 ? INT32_MAX : i.ssthresh / mss, .tcpi_snd_cwnd = i.cwnd / mss,
        .tcpi_total_retrans = (uint32_t)i.retransmits,
    };
    if (*len > sizeof t)
        *len = sizeof t;
    memcpy(val, &t, *len);
    return 0;
}

static int so_getsockopt(void *user, int fd, int level, int name, void *val, socklen_t *len) {
    struct box *b = enter(user);
    int64_t value = 0;
    if (level == IPPROTO_TCP && name == TCP_INFO)
        return (int)result(b, tcp_info_get(b, fd, val, len));
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].level == level && options[i].name == name) {
            int rc = xw_stack_getopt(b->stack, fd, options[i].opt, &value);
            int out = (int)(value / options[i].unit);
            *len = *len < sizeof out ? *len : sizeof out;
            memcpy(val, &out, *len);
            return (int)result(b, rc);
        }
    return (int)result(b, -ENOPROTOOPT);
}

static int so_poll(void *user, struct pollfd *fds, nfds_t n, int timeout) {
    struct box *b = enter(user);
    uint64_t end = now_ns() + (uint64_t)(timeout > 0 ? timeout : 0) * 1000000u;
    for (;;) {
        int ready = 0;
        for (nfds_t i = 0; i < n; i++) {
            fds[i].revents = (short)(xw_stack_poll(b->stack, fds[i].fd) & (fds[i].events | POLLERR | POLLHUP | POLLNVAL));
            ready += fds[i].revents != 0;
        }
        if (ready || (timeout >= 0 && now_ns() >= end))
            return (int)result(b, ready);
        nap(b);
    }
}

static int so_netdev_send(void *user, const void *buf, size_t count) {
    struct box *b = enter(user);
    xw_stack_input(b->stack, buf, count, now_ns());
    return (int)result(b, 0);
}
/* Waits for the next packet, as a sniffer does; packetdrill ends the script that waits too long. */
static int so_netdev_receive(void *user, void *buf, size_t *count, long long *time_usecs) {
    struct box *b = enter(user);
    while (b->head == b->tail)
        nap(b);
    unsigned i = b->head++ % QUEUE;
    *count = *count < b->out[i].len ? *count : b->out[i].len;
    memcpy(buf, b->out[i].data, *count);
    *time_usecs = (long long)(b->out[i].ns / 1000);
    return (int)result(b, 0);
}
static int so_usleep(void *user, useconds_t usec) {
    struct box *b = enter(user);
    for (uint64_t end = now_ns() + usec * UINT64_C(1000); now_ns() < end;)
        nap(b);
    return (int)result(b, 0);
}
static int so_gettimeofday(void *user, struct timeval *tv, struct timezone *tz) {
    (void)user;
    return gettimeofday(tv, tz);
}
static void so_free(void *user) {
    struct box *b = user;
    xw_stack_destroy(b->stack);
    free(b->mem);
    free(b);
}

void packetdrill_interface_init(const char *flags, struct packetdrill_interface *ifc);
void packetdrill_interface_init(const char *flags, struct packetdrill_interface *ifc) {
    struct xw_stack_cfg cfg;
    struct box *b = calloc(1, sizeof *b);
    pthread_mutex_init(&b->lock, NULL);
    xw_stack_cfg_default(&cfg);
    cfg.ip = flags && *flags ? ntohl(inet_addr(flags)) : 0xc0a80001u; /* --so_flags=ADDRESS; packetdrill's --local_ip */
    cfg.mask = 0xffff0000u;
    cfg.rcvbuf_max = 1u << 23; /* window scale 8, as Linux with its defaults */
    cfg.sndbuf_max = 1u << 22;
    cfg.tx_segments = 1024;
    cfg.max_sockets = SOCKETS;
    size_t len = (xw_stack_size(&cfg) + 63) / 64 * 64;
    b->mem = aligned_alloc(64, len);
    xw_stack_create(b->mem, len, &cfg, now_ns(), &b->stack);
    *ifc = (struct packetdrill_interface){
        .userdata = b, .free = so_free, .socket = so_socket, .bind = so_bind, .listen = so_listen, .accept = so_accept,
        .connect = so_connect, .read = so_read, .readv = so_readv, .recv = so_recv, .recvfrom = so_recvfrom,
        .recvmsg = so_recvmsg, .write = so_write, .writev = so_writev, .send = so_send, .sendto = so_sendto,
        .sendmsg = so_sendmsg, .fcntl = so_fcntl, .ioctl = so_ioctl, .close = so_close, .shutdown = so_shutdown,
        .getsockopt = so_getsockopt, .setsockopt = so_setsockopt, .poll = so_poll, .netdev_send = so_netdev_send,
        .netdev_receive = so_netdev_receive, .usleep = so_usleep, .gettimeofday = so_gettimeofday,
    };
}
