/* stack/sock.c: sockets that never block over the connections of tcp/, with the meaning that POSIX gives the calls. */
#include "stack/stack_priv.h"
#include <string.h>

#define PORT_FIRST 32768u /* ports that we choose: as Linux, 32768 … 60999 */
#define PORT_CNT 28232u

int xw_stack_error(int rc) {
    switch (rc) {
    case XW_OK: return 0;
    case XW_ETIMEDOUT: return XW_STACK_ETIMEDOUT;
    case XW_ERESET: return XW_STACK_ECONNRESET;
    case XW_EREFUSED: return XW_STACK_ECONNREFUSED;
    case XW_EUNREACH: return XW_STACK_EHOSTUNREACH;
    case XW_EADDRINUSE: return XW_STACK_EADDRINUSE;
    case XW_ENOSPC: return XW_STACK_ENOBUFS;
    case XW_ECLOSED: return XW_STACK_ECONNABORTED;
    default: return XW_STACK_EINVAL;
    }
}

/* ---- slots and numbers ------------------------------------------------------------------------------------------- */

struct xw_sock *xw_stack_sock(const struct xw_stack *s, int fd) {
    return fd >= 0 && (uint32_t)fd < s->cfg.max_sockets && s->fd[fd] ? &s->sock[s->fd[fd] - 1] : NULL;
}

static struct xw_sock *slot_take(struct xw_stack *s) {
    for (uint32_t i = 0; i < s->cfg.max_sockets; i++)
        if (s->sock[i].use == SOCK_FREE)
            return &s->sock[i];
    return NULL;
}

static int number_for(struct xw_stack *s, const struct xw_sock *k) {
    uint32_t fd = 0;
    while (s->fd[fd]) /* there are as many numbers as slots, and each number names a slot */
        fd++;
    s->fd[fd] = (uint32_t)(k - s->sock) + 1;
    return (int)fd;
}

static void slot_free(struct xw_stack *s, struct xw_sock *k, uint64_t now) {
    if (k->conn) {
        xw_tcp_set_user(k->conn, NULL);
        xw_tcp_release(k->conn, now);
    }
    s->holding -= k->holding;
    s->orphans -= k->use == SOCK_ORPHAN;
    memset(k, 0, sizeof *k);
}

static void rings_make(struct xw_stack *s, struct xw_sock *k) {
    uint8_t *mem = s->buffers + (size_t)(k - s->sock) * ((size_t)s->cfg.rcvbuf_max + s->cfg.sndbuf_max);
    xw_bytering_init(&k->rcv, mem, s->cfg.rcvbuf_max);
    xw_bytering_init(&k->snd, mem + s->cfg.rcvbuf_max, s->cfg.sndbuf_max);
}

uint32_t xw_stack_conn_mtu(const struct xw_sock *k, uint32_t path_mtu) {
    return k->mss && k->mss + 40 < path_mtu ? k->mss + 40 : path_mtu;
}

/* The MSS is about what we can receive: a short path to the peer says nothing about the way back (RFC 1191 3.1). */
static void announce(const struct xw_stack *s, struct xw_sock *k) {
    k->opts.adv_mss = (uint16_t)(xw_stack_conn_mtu(k, s->cfg.mtu) - 40);
}

int xw_stack_socket(struct xw_stack *s) {
    struct xw_tcp_cfg def;
    struct xw_sock *k = slot_take(s);
    if (!k)
        return XW_STACK_EMFILE;
    xw_tcp_cfg_default(&def);
    def.opts.use_tlp = 1; /* as the RFC has it and other stacks do */
    def.opts.rcv_window = s->cfg.rcvbuf_max;
    *k = (struct xw_sock){ .use = SOCK_HELD, .opts = def.opts, .rcvbuf = s->cfg.rcvbuf_max, .sndbuf = s->cfg.sndbuf_max,
                           .linger_ns = -1, .keep_idle_ns = 7200 * XW_NS_PER_S, .deadline_ns = XW_NEVER };
    return number_for(s, k);
}

/* ---- what connections do by themselves --------------------------------------------------------------------------- */

static void ended(struct xw_sock *k) {
    if (k->ended)
        return;
    k->ended = true;
    if (!k->error)
        k->error = xw_stack_error(xw_tcp_error(k->conn));
}

static void changed(struct xw_stack *s, struct xw_sock *k, uint32_t events, uint64_t now) {
    enum xw_tcp_state st = xw_tcp_state(k->conn);
    if (events & XW_TCP_EV_WRITABLE && s->cfg.ethernet)
        xw_net_confirm(s->net, &k->hop, now);
    else if (events & XW_TCP_EV_ADVICE && s->cfg.ethernet)
        xw_net_suspect(s->net, &k->hop);
    k->established |= st != XW_TCP_SYN_SENT && st != XW_TCP_SYN_RCVD && st != XW_TCP_CLOSED;
    if (st == XW_TCP_CLOSED)
        ended(k);
    if (k->use == SOCK_CHILD && st == XW_TCP_CLOSED && !k->established) {
        k->parent->children--;
        slot_free(s, k, now);
    } else if (k->use == SOCK_ORPHAN && (st == XW_TCP_CLOSED || st == XW_TCP_TIME_WAIT)) {
        slot_free(s, k, now);
    } else if (k->use == SOCK_ORPHAN && st == XW_TCP_FIN_WAIT_2 && !k->fin_wait2) {
        k->fin_wait2 = true; /* all is delivered: what is left is the peer's FIN */
        k->deadline_ns = now + s->cfg.fin_wait2_ns;
    }
}

/* A SYN that waits becomes a socket at once, so that its SYN-ACK goes out without the user. */
static bool take_syn(struct xw_stack *s, struct xw_sock *l, uint64_t now) {
    struct xw_tcp_tuple t;
    struct xw_net_hop hop = { 0 };
    if (l->children >= l->backlog || !xw_tcp_listen_pending(l->listener, &t))
        return false;
    struct xw_sock *k = slot_take(s);
    if (!k)
        return false;
    *k = *l;
    k->use = SOCK_CHILD;
    k->listener = NULL;
    k->parent = l;
    k->ip = t.local_ip;
    k->serial = ++s->serial;
    k->error = 0;
    uint32_t mtu = xw_net_route(s->net, t.remote_ip, &hop) >= 0 ? hop.mtu : s->cfg.mtu;
    k->hop = hop;
    rings_make(s, k);
    announce(s, k);
    if (xw_tcp_accept(l->listener, &k->rcv, &k->snd, xw_stack_conn_mtu(k, mtu), &k->opts, now, &k->conn) != XW_OK) {
        memset(k, 0, sizeof *k);
        return false;
    }
    xw_tcp_set_user(k->conn, k);
    l->children++;
    return true;
}

void xw_stack_sync(struct xw_stack *s, uint64_t now) {
    struct xw_tcp *c;
    uint32_t events;
    while ((c = xw_tcp_changed(s->tcp, &events)))
        changed(s, xw_tcp_user(c), events, now);
    for (uint32_t i = 0, left = s->listeners; i < s->cfg.max_sockets && left; i++)
        if (s->sock[i].listener) {
            left--;
            while (take_syn(s, &s->sock[i], now)) {
            }
        }
}

void xw_stack_sock_fail(struct xw_stack *s, struct xw_sock *k, int error, uint64_t now) {
    k->error = error;
    xw_tcp_abort(k->conn, now);
    xw_stack_sync(s, now);
}

void xw_stack_orphans_end(struct xw_stack *s, uint64_t now) {
    for (uint32_t i = 0; i < s->cfg.max_sockets && s->orphans; i++)
        if (s->sock[i].use == SOCK_ORPHAN && s->sock[i].deadline_ns <= now)
            slot_free(s, &s->sock[i], now); /* resets the connection */
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Whether k may have this address, as SO_REUSEADDR of Linux sees it. */
static bool port_free(const struct xw_stack *s, const struct xw_sock *k, uint32_t ip, uint16_t port) {
    for (uint32_t i = 0; i < s->cfg.max_sockets; i++) {
        const struct xw_sock *o = &s->sock[i];
        bool apart = ip && o->ip && ip != o->ip;
        if (o == k || o->use == SOCK_FREE || o->port != port || apart)
            continue;
        if (!(k->reuse && o->reuse) || o->listener)
            return false;
    }
    return true;
}

static uint16_t port_choose(struct xw_stack *s, const struct xw_sock *k, uint32_t ip) {
    uint32_t at = xw_rng_below(&s->rng, PORT_CNT);
    for (uint32_t i = 0; i < PORT_CNT; i++) {
        uint16_t port = (uint16_t)(PORT_FIRST + (at + i) % PORT_CNT);
        if (port_free(s, k, ip, port))
            return port;
    }
    return 0;
}

int xw_stack_bind(struct xw_stack *s, int fd, uint32_t ip, uint16_t port) {
    struct xw_sock *k = xw_stack_sock(s, fd);
    if (!k)
        return XW_STACK_EBADF;
    if (k->port || k->conn)
        return XW_STACK_EINVAL;
    if (ip && ip != s->cfg.ip)
        return XW_STACK_EADDRNOTAVAIL;
    if (port && !port_free(s, k, ip, port))
        return XW_STACK_EADDRINUSE;
    if (!port && !(port = port_choose(s, k, ip)))
        return XW_STACK_EADDRNOTAVAIL;
    k->ip = ip;
    k->port = port;
    return XW_STACK_OK;
}

int xw_stack_listen(struct xw_stack *s, int fd, unsigned backlog) {
    struct xw_sock *k = xw_stack_sock(s, fd);
    if (!k)
        return XW_STACK_EBADF;
    if (k->conn)
        return XW_STACK_EINVAL;
    if (!k->listener) {
        if (!k->port && !(k->port = port_choose(s, k, 0)))
            return XW_STACK_EADDRNOTAVAIL;
        int rc = xw_tcp_listen(s->tcp, k->ip, k->port, &k->listener);
        if (rc != XW_OK)
            return xw_stack_error(rc);
        s->listeners++;
    }
    k->backlog = backlog ? backlog : 1;
    return XW_STACK_OK;
}

int xw_stack_accept(struct xw_stack *s, int fd, uint32_t *ip, uint16_t *port) {
    struct xw_sock *l = xw_stack_sock(s, fd), *first = NULL;
    if (!l)
        return XW_STACK_EBADF;
    if (!l->listener)
        return XW_STACK_EINVAL;
    for (uint32_t i = 0; i < s->cfg.max_sockets; i++) {
        struct xw_sock *k = &s->sock[i];
        if (k->use == SOCK_CHILD && k->parent == l && k->established && (!first || k->serial < first->serial))
            first = k;
    }
    if (!first)
        return XW_STACK_EAGAIN;
    first->use = SOCK_HELD;
    first->parent = NULL;
    l->children--;
    if (ip)
        *ip = xw_tcp_tuple(first->conn)->remote_ip;
    if (port)
        *port = xw_tcp_tuple(first->conn)->remote_port;
    return number_for(s, first);
}

static int connect_again(struct xw_sock *k) {
    if (k->error) {
        int error = k->error;
        k->error = 0;
        return error;
    }
    return k->established ? XW_STACK_EISCONN : k->ended ? XW_STACK_ECONNABORTED : XW_STACK_EALREADY;
}

int xw_stack_connect(struct xw_stack *s, int fd, uint32_t ip, uint16_t port, uint64_t now_ns) {
    struct xw_sock *k = xw_stack_sock(s, fd);
    struct xw_net_hop hop = { 0 };
    if (!k)
        return XW_STACK_EBADF;
    if (k->conn)
        return connect_again(k);
    if (k->listener || !port)
        return XW_STACK_EINVAL;
    if (xw_net_route(s->net, ip, &hop) < 0)
        return XW_STACK_ENETUNREACH; /* no route, or no address of one host (RFC 9293 MUST-46) */
    uint16_t local = k->port ? k->port : port_choose(s, k, s->cfg.ip);
    if (!local)
        return XW_STACK_EADDRNOTAVAIL;
    struct xw_tcp_tuple t = { s->cfg.ip, ip, local, port };
    rings_make(s, k);
    announce(s, k);
    int rc = xw_tcp_connect(s->tcp, &t, &k->rcv, &k->snd, xw_stack_conn_mtu(k, hop.mtu), &k->opts, now_ns, &k->conn);
    if (rc != XW_OK)
        return xw_stack_error(rc);
    k->ip = s->cfg.ip;
    k->port = local;
    k->hop = hop;
    xw_tcp_set_user(k->conn, k);
    return XW_STACK_EINPROGRESS;
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

static int error_take(struct xw_sock *k) {
    int error = k->error;
    k->error = 0;
    return error;
}

static uint32_t snd_room(const struct xw_sock *k) {
    uint32_t held = xw_bytering_len(&k->snd);
    return held < k->sndbuf ? k->sndbuf - held : 0;
}

static bool opening(const struct xw_sock *k) { return !k->established && !k->ended; }

int64_t xw_stack_send(struct xw_stack *s, int fd, const void *data, size_t len, uint64_t now_ns) {
    struct xw_sock *k = xw_stack_sock(s, fd);
    if (!k)
        return XW_STACK_EBADF;
    if (!k->conn)
        return k->error ? error_take(k) : XW_STACK_ENOTCONN;
    if (k->error)
        return error_take(k);
    if (k->shut_wr || k->ended)
        return XW_STACK_EPIPE;
    if (opening(k))
        return XW_STACK_EAGAIN;
    if (!len)
        return 0;
    uint32_t room = snd_room(k);
    if (!room)
        return XW_STACK_EAGAIN;
    uint32_t n = xw_bytering_write(&k->snd, data, len < room ? len : room);
    xw_tcp_queued(k->conn, now_ns);
    return n;
}

int64_t xw_stack_recv(struct xw_stack *s, int fd, void *buf, size_t len, int flags, uint64_t now_ns) {
    struct xw_sock *k = xw_stack_sock(s, fd);
    if (!k)
        return XW_STACK_EBADF;
    if (!k->conn)
        return k->error ? error_take(k) : XW_STACK_ENOTCONN;
    uint32_t held = xw_bytering_len(&k->rcv), n = len < held ? (uint32_t)len : held;
    if (n) {
        xw_bytering_copy(&k->rcv, k->rcv.head, buf, n);
        if (!(flags & XW_STACK_PEEK)) {
            xw_bytering_consume(&k->rcv, n);
            xw_tcp_consumed(k->conn, now_ns);
        }
        return n;
    }
    if (!len || k->shut_rd)
        return 0;
    if (k->error)
        return error_take(k);
    return k->ended || xw_tcp_rx_eof(k->conn) ? 0 : XW_STACK_EAGAIN;
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */

int xw_stack_shutdown(struct xw_stack *s, int fd, int how, uint64_t now_ns) {
    struct xw_sock *k = xw_stack_sock(s, fd);
    if (!k)
        return XW_STACK_EBADF;
    if (how < XW_STACK_SHUT_RD || how > XW_STACK_SHUT_RDWR)
        return XW_STACK_EINVAL;
    if (!k->conn || k->ended)
        return XW_STACK_ENOTCONN;
    if (how != XW_STACK_SHUT_WR) {
        k->shut_rd = true;
        xw_tcp_shutdown_rd(k->conn, now_ns);
    }
    if (how != XW_STACK_SHUT_RD) {
        k->shut_wr = true;
        xw_tcp_shutdown_wr(k->conn, now_ns);
    }
    xw_stack_sync(s, now_ns);
    return XW_STACK_OK;
}

static void listener_close(struct xw_stack *s, struct xw_sock *l, uint64_t now) {
    for (uint32_t i = 0; i < s->cfg.max_sockets; i++)
        if (s->sock[i].use == SOCK_CHILD && s->sock[i].parent == l)
            slot_free(s, &s->sock[i], now);
    xw_tcp_unlisten(l->listener);
    l->listener = NULL;
    s->listeners--;
}

int xw_stack_close(struct xw_stack *s, int fd, uint64_t now_ns) {
    struct xw_sock *k = xw_stack_sock(s, fd);
    if (!k)
        return XW_STACK_EBADF;
    s->fd[fd] = 0;
    if (k->listener)
        listener_close(s, k, now_ns);
    /* RFC 9293 3.6.1, RFC 2525 2.17: the peer must learn that data was not read */
    if (!k->conn || k->ended || !k->established || xw_bytering_len(&k->rcv) || !k->linger_ns) {
        slot_free(s, k, now_ns);
        return XW_STACK_OK;
    }
    k->use = SOCK_ORPHAN;
    s->orphans++;
    k->shut_rd = k->shut_wr = true;
    k->deadline_ns = k->linger_ns > 0 ? now_ns + (uint64_t)k->linger_ns : XW_NEVER;
    xw_tcp_shutdown_rd(k->conn, now_ns);
    xw_tcp_shutdown_wr(k->conn, now_ns);
    changed(s, k, 0, now_ns); /* may be over already */
    xw_stack_sync(s, now_ns);
    return XW_STACK_OK;
}

int xw_stack_abort(struct xw_stack *s, int fd, uint64_t now_ns) {
    struct xw_sock *k = xw_stack_sock(s, fd);
    if (!k)
        return XW_STACK_EBADF;
    if (!k->conn || k->ended)
        return XW_STACK_ENOTCONN;
    xw_stack_sock_fail(s, k, XW_STACK_ECONNABORTED, now_ns);
    return XW_STACK_OK;
}

/* ---- readiness --------------------------------------------------------------------------------------------------- */

static bool child_ready(const struct xw_stack *s, const struct xw_sock *l) {
    for (uint32_t i = 0; i < s->cfg.max_sockets && l->children; i++)
        if (s->sock[i].use == SOCK_CHILD && s->sock[i].parent == l && s->sock[i].established)
            return true;
    return false;
}

int xw_stack_poll(const struct xw_stack *s, int fd) {
    const struct xw_sock *k = xw_stack_sock(s, fd);
    if (!k)
        return XW_STACK_POLLNVAL;
    if (k->listener)
        return child_ready(s, k) ? XW_STACK_POLLIN : 0;
    int err = k->error ? XW_STACK_POLLERR : 0;
    if (!k->conn)
        return XW_STACK_POLLOUT | XW_STACK_POLLHUP | err;
    bool rd_over = k->ended || k->shut_rd || xw_tcp_rx_eof(k->conn), wr_over = k->ended || k->shut_wr;
    int bits = err;
    if (rd_over)
        bits |= XW_STACK_POLLIN | XW_STACK_POLLRDHUP;
    if (xw_bytering_len(&k->rcv))
        bits |= XW_STACK_POLLIN;
    if (wr_over || (!opening(k) && snd_room(k)))
        bits |= XW_STACK_POLLOUT;
    return rd_over && wr_over ? bits | XW_STACK_POLLHUP : bits;
}

int xw_stack_name(const struct xw_stack *s, int fd, uint32_t *ip, uint16_t *port, uint32_t *peer_ip,
                  uint16_t *peer_port) {
    const struct xw_sock *k = xw_stack_sock(s, fd);
    if (!k)
        return XW_STACK_EBADF;
    if (ip)
        *ip = k->ip;
    if (port)
        *port = k->port;
    if (peer_ip)
        *peer_ip = k->conn ? xw_tcp_tuple(k->conn)->remote_ip : 0;
    if (peer_port)
        *peer_port = k->conn ? xw_tcp_tuple(k->conn)->remote_port : 0;
    return XW_STACK_OK;
}
