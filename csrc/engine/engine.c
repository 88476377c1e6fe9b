/* engine/engine.c: an engine's life, and one poll. */
#include "engine/engine.h"
#include "base/setup_error.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Events of one poll at most, when many wait. */
#define QUOTA_MAX 64u
/* Sockets of an engine that are read at every poll; with more, epoll says which. */
#define SOCKETS_READ_BLINDLY 4u

/* Unique among the threads that live, and read from a register. */
static uint64_t thread_id(void) { return (uint64_t)pthread_self(); }

bool xw_engine_thread_ok(const struct xw_engine *e) { return e->thread == thread_id(); }

void xw_engine_adopt(struct xw_engine *e) { e->thread = thread_id(); }

/* A replayed client sends as the captured one did, whatever congestion control would say. */
#define REPLAY_CWND_SEGS 1000u

static bool power_of_two_from(uint32_t v, uint32_t least) { return v >= least && !(v & (v - 1)); }

int xw_engine_new(const struct xw_engine_cfg *cfg, struct xw_engine **out) {
    if (!cfg->max_conns || cfg->max_conns > XW_CONNS_MAX || !power_of_two_from(cfg->rcvbuf_len, 65536) ||
        !power_of_two_from(cfg->sndbuf_len, 65536) || !power_of_two_from(cfg->plain_len, 65536))
        return XW_EINVAL;
    struct xw_engine *e = calloc(1, sizeof *e);
    if (!e)
        return xw_setup_fail(XW_ENOMEM, "allocate the engine");
    e->cfg = *cfg;
    xw_clock_init(e);
    e->quota = 1;
    e->express = true;
    e->thread = thread_id();
    xw_rng_init(&e->rng, cfg->seed);
    e->conns = calloc(cfg->max_conns, sizeof *e->conns);
    if (!e->conns) {
        xw_setup_fail(XW_ENOMEM, "allocate the connections");
        goto err_free;
    }
    e->timer_fd = -1;
    e->timer_ns = XW_NEVER;
    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->epoll_fd < 0) {
        xw_setup_fail(XW_ESYS, "epoll_create1");
        goto err_free;
    }
    *out = e;
    return XW_OK;
err_free:
    free(e->conns);
    free(e);
    return XW_ENOMEM;
}

void xw_engine_free(struct xw_engine *e) {
    if (!e)
        return;
    for (uint32_t i = 0; i < e->cfg.max_conns; i++) {
        struct xw_conn *c = &e->conns[i];
        if (c->phase == CONN_LIVE)
            c->lower->ops->abort(c->lower);
        xw_conn_recycle(e, c);
    }
    if (e->dev) {
        xw_packets_drop(e);
        xw_packets_transmit(e, e->now_ns); /* the resets */
        e->dev->ops->close(e->dev);
    }
    for (uint32_t i = 0; i < e->cfg.max_conns; i++)
        xw_conn_release_memory(&e->conns[i]);
    if (e->timer_fd >= 0)
        close(e->timer_fd);
    close(e->epoll_fd);
    xw_flows_fini(&e->flows);
    free(e->tcp_mem);
    free(e->net_mem);
    free(e->conns);
    free(e);
}

static int watch_device(struct xw_engine *e, struct xw_dev *dev) {
    int fd;
    for (unsigned n = 0; (fd = dev->ops->fd(dev, n)) >= 0; n++) {
        struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 0 };
        if (epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
            return xw_setup_fail(XW_ESYS, "watch the device's descriptors");
    }
    return XW_OK;
}

int xw_engine_attach(struct xw_engine *e, struct xw_dev *dev, const struct xw_net_cfg *cfg) {
    if (!xw_engine_thread_ok(e))
        return XW_ETHREAD;
    if (e->dev)
        return XW_ESTATE;
    struct xw_tcp_cfg tcp;
    xw_tcp_cfg_default(&tcp);
    /* TIME-WAIT holds some */
    tcp.max_conns = e->cfg.max_conns < XW_CONNS_MAX / 2 ? e->cfg.max_conns * 2 : XW_CONNS_MAX;
    tcp.rng = &e->rng;
    tcp.drops = e->drops;
    tcp.opts.advice_retries = 2; /* a gateway that moved in silence is found after 0.6 s */
    tcp.opts.time_wait_ns = XW_NS_PER_S; /* a client's ports are picked at random; the flow leaves the card with it */
    if (e->cfg.replay) {
        tcp.fixed_isn = 1;
        tcp.isn = e->cfg.replay_isn;
        tcp.opts.init_cwnd_segs = REPLAY_CWND_SEGS;
    }
    e->tcp_opts = tcp.opts;
    size_t tcp_len = xw_tcp_stack_size(&tcp);
    e->net_mem = calloc(1, xw_net_size());
    e->tcp_mem = aligned_alloc(64, (tcp_len + 63) / 64 * 64);
    int rc = XW_ENOMEM;
    if (!e->net_mem || !e->tcp_mem) {
        xw_setup_fail(rc, "allocate the TCP stack");
        goto err_free;
    }
    rc = xw_net_init(e->net_mem, cfg, &e->rng, e->drops, &e->net);
    if (!rc)
        rc = xw_tcp_stack_init(e->tcp_mem, tcp_len, &tcp, &e->tcp);
    if (!rc && xw_flows_init(&e->flows, e->cfg.max_conns, cfg->vlan_cnt))
        rc = xw_setup_fail(XW_ENOMEM, "allocate the table of flows");
    if (!rc)
        rc = watch_device(e, dev);
    if (rc)
        goto err_free;
    e->dev = dev;
    e->now_ns = xw_monotonic_ns();
    xw_net_start(e->net, cfg->dedicated ? XW_NET_CLAIM_FAST : XW_NET_CLAIM_NONE, e->now_ns);
    return XW_OK;
err_free:
    xw_flows_fini(&e->flows);
    free(e->net_mem);
    free(e->tcp_mem);
    e->net_mem = e->tcp_mem = NULL;
    return rc;
}

int xw_engine_route(struct xw_engine *e, uint32_t net, uint32_t mask, uint32_t gateway, uint32_t mtu) {
    if (!xw_engine_thread_ok(e))
        return XW_ETHREAD;
    return e->net ? xw_net_route_add(e->net, net, mask, gateway, mtu) : XW_ESTATE;
}

int xw_engine_neigh(struct xw_engine *e, uint32_t ip, const uint8_t mac[6]) {
    if (!xw_engine_thread_ok(e))
        return XW_ETHREAD;
    return e->net ? xw_net_neigh_set(e->net, ip, mac, xw_monotonic_ns()) : XW_ESTATE;
}

void xw_engine_work(struct xw_engine *e, struct xw_conn *c) {
    if (c->in_work)
        return;
    c->in_work = true;
    c->next_work = NULL;
    if (e->work_tail)
        e->work_tail->next_work = c;
    else
        e->work_head = c;
    e->work_tail = c;
}

static struct xw_conn *work_take(struct xw_engine *e) {
    struct xw_conn *c = e->work_head;
    if (c) {
        e->work_head = c->next_work;
        if (!e->work_head)
            e->work_tail = NULL;
        c->in_work = false;
    }
    return c;
}

void xw_engine_shown(struct xw_engine *e, struct xw_conn *c) {
    if (c->shown)
        return;
    c->shown = true;
    c->next_shown = e->shown;
    e->shown = c;
}

void xw_engine_express(struct xw_engine *e, bool on) { e->express = on; }

/* What the last poll showed is over: bytes are consumed, ended connections leave. */
static void release_shown(struct xw_engine *e) {
    struct xw_conn *c;
    while ((c = e->shown)) {
        e->shown = c->next_shown;
        c->shown = false;
        if (c->phase == CONN_ENDED)
            xw_conn_recycle(e, c);
        else if (c->ws)
            xw_ws_release(c->ws);
    }
}

/* Sockets that have something, by asking each (few) or epoll (many). */
static void sockets_ready(struct xw_engine *e) {
    if (!e->sock_cnt)
        return;
    if (e->sock_cnt <= SOCKETS_READ_BLINDLY) {
        for (uint32_t i = 0, seen = 0; i < e->cfg.max_conns && seen < e->sock_cnt; i++)
            if (e->conns[i].phase == CONN_LIVE && e->conns[i].transport == XW_TRANSPORT_SOCKET) {
                xw_engine_work(e, &e->conns[i]);
                seen++;
            }
        return;
    }
    struct epoll_event evs[64];
    int n = epoll_wait(e->epoll_fd, evs, 64, 0);
    for (int i = 0; i < n; i++) {
        struct xw_conn *c = xw_conn_find(e, evs[i].data.u32);
        if (c)
            xw_engine_work(e, c);
    }
}

/* What epoll watches a socket for follows what it wants: a descriptor that is always ready would make waiting spin. */
static void socket_interest(struct xw_engine *e, struct xw_conn *c) {
    uint32_t want = xw_bs_sock_events(c->lower);
    int fd = xw_bs_sock_fd(c->lower);
    if (want == c->epoll_mask || fd < 0)
        return;
    struct epoll_event ev = { .events = want, .data.u32 = c->id };
    int op = !want ? EPOLL_CTL_DEL : c->epoll_mask ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (!epoll_ctl(e->epoll_fd, op, fd, &ev))
        c->epoll_mask = want;
}

/* A connection's deadline may have moved: the walk comes no later. */
static void deadline_note(struct xw_engine *e, const struct xw_conn *c) {
    uint64_t d = xw_conn_deadline(c);
    if (d < e->next_due)
        e->next_due = d;
}

/* Connections whose time has come. A walk over all slots, only when the earliest deadline that is known has come: most
 * connections have none, and a thousand of them are a thousand cache misses. */
static void deadlines_due(struct xw_engine *e, uint64_t now_ns) {
    if (XW_LIKELY(now_ns < e->next_due && now_ns < e->pair_due))
        return;
    if (now_ns >= e->pair_due) {
        e->pair_due = now_ns + XW_NS_PER_MS;
        xw_clock_pair(e);
    }
    if (now_ns < e->next_due)
        return;
    e->next_due = XW_NEVER;
    for (uint32_t i = 0; i < e->cfg.max_conns; i++) {
        struct xw_conn *c = &e->conns[i];
        if (c->phase != CONN_LIVE)
            continue;
        if (xw_conn_deadline(c) <= now_ns)
            xw_engine_work(e, c); /* its pump notes the next one */
        else
            deadline_note(e, c);
    }
}

static void tcp_changes(struct xw_engine *e) {
    struct xw_tcp *t;
    uint32_t what;
    while ((t = xw_tcp_changed(e->tcp, &what))) {
        struct xw_conn *c = xw_tcp_user(t);
        if (!c || c->phase != CONN_LIVE)
            continue;
        if (what & XW_TCP_EV_WRITABLE) /* new data was acknowledged: the next hop is alive */
            xw_net_confirm(e->net, &c->hop, e->now_ns);
        if (what & XW_TCP_EV_ADVICE) {
            e->suspects++;
            xw_net_suspect(e->net, &c->hop);
        }
        xw_engine_work(e, c);
    }
}

static uint32_t pump_all(struct xw_engine *e, uint64_t now_ns, struct xw_event *events, uint32_t max) {
    uint32_t n = 0;
    /* A connection that has more puts itself behind the last of this round. */
    struct xw_conn *last = e->work_tail, *c = NULL;
    while (n < max && c != last && (c = work_take(e))) {
        if (c->phase != CONN_LIVE)
            continue;
        n += xw_conn_pump(e, c, now_ns, events + n, max - n);
        if (c->phase == CONN_LIVE)
            deadline_note(e, c);
        if (c->phase == CONN_LIVE && c->transport == XW_TRANSPORT_SOCKET)
            socket_interest(e, c);
    }
    return n;
}

/* Transmit at the end of a poll without events, or when it has waited for XW_TX_WAIT_NS of them. */
static void transmit_step(struct xw_engine *e, uint64_t now_ns, bool events) {
    bool wanted = e->tx_pending || e->any_held || xw_tcp_pending(e->tcp) || xw_net_pending(e->net) ||
                  e->dev->ops->deadline(e->dev) <= now_ns;
    if (!e->tx_since)
        e->tx_since = now_ns;
    if (wanted && (!events || now_ns - e->tx_since >= XW_TX_WAIT_NS)) {
        xw_packets_transmit(e, now_ns);
        wanted = e->tx_pending;
        e->tx_since = now_ns;
    }
    e->tx_pending = wanted;
    if (!wanted)
        e->tx_since = 0;
}

int xw_poll(struct xw_engine *e, uint64_t now_ns, struct xw_event *events, uint32_t max) {
    if (!xw_engine_thread_ok(e))
        return XW_ETHREAD;
    e->now_ns = now_ns;
    e->polls++;
    release_shown(e);
    uint32_t quota = e->quota < max ? e->quota : max, n = 0;
    if (e->dev) {
        n = xw_packets_receive(e, now_ns, events, quota);
        xw_net_tick(e->net, now_ns);
        xw_tcp_tick(e->tcp, now_ns);
        tcp_changes(e);
    }
    sockets_ready(e);
    deadlines_due(e, now_ns);
    if (e->work_head && n < quota)
        n += pump_all(e, now_ns, events + n, quota - n);
    e->events += n;
    if (max)
        e->quota = n < quota ? 1 : n < QUOTA_MAX / 2 ? 2 * n : QUOTA_MAX;
    if (e->dev)
        transmit_step(e, now_ns, n);
    return (int)n;
}

int xw_poll_spin(struct xw_engine *e, uint64_t spin_ns, struct xw_event *events, uint32_t max) {
    uint64_t now = e->clock(e->clock_arg), begin = now;
    int n;
    while (!(n = xw_poll(e, now, events, max)) && now - begin < spin_ns)
        now = e->clock(e->clock_arg);
    return n;
}

uint64_t xw_engine_deadline(const struct xw_engine *e) {
    if (e->work_head || (e->dev && e->tx_pending) || e->shown || e->burst_cnt)
        return 0;
    uint64_t d = XW_NEVER;
    if (e->dev) {
        uint64_t t[3] = { xw_tcp_deadline(e->tcp), xw_net_deadline(e->net), e->dev->ops->deadline(e->dev) };
        for (unsigned i = 0; i < 3; i++)
            d = t[i] < d ? t[i] : d;
    }
    for (uint32_t i = 0; e->open_cnt && i < e->cfg.max_conns; i++) {
        if (e->conns[i].phase != CONN_LIVE)
            continue;
        uint64_t t = xw_conn_deadline(&e->conns[i]);
        d = t < d ? t : d;
    }
    return d;
}
