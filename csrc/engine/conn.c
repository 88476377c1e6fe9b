/* engine/conn.c: a connection's life: slot, streams, end. */
#include "engine/engine.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLOT_BITS 16u

struct xw_conn *xw_conn_find(struct xw_engine *e, uint32_t id) {
    uint32_t slot = id & ((1u << SLOT_BITS) - 1);
    if (slot >= e->cfg.max_conns)
        return NULL;
    struct xw_conn *c = &e->conns[slot];
    return c->id == id && c->phase == CONN_LIVE ? c : NULL;
}

bool xw_conn_ending(const struct xw_engine *e, uint32_t id) {
    uint32_t slot = id & ((1u << SLOT_BITS) - 1);
    return slot < e->cfg.max_conns && e->conns[slot].id == id && e->conns[slot].phase == CONN_ENDED;
}

static struct xw_conn *slot_take(struct xw_engine *e) {
    for (uint32_t i = 0; i < e->cfg.max_conns; i++) {
        struct xw_conn *c = &e->conns[i];
        if (c->phase != CONN_FREE)
            continue;
        struct xw_bytering rcv = c->rcv, snd = c->snd, plain = c->plain;
        struct xw_mspan assembly = c->assembly, deflate_mem = c->deflate_mem;
        void *ws_mem = c->ws_mem;
        memset(c, 0, sizeof *c);
        c->rcv = rcv;
        c->snd = snd;
        c->plain = plain;
        c->assembly = assembly;
        c->deflate_mem = deflate_mem;
        c->ws_mem = ws_mem;
        e->next_gen = e->next_gen % 0xffffu + 1;
        c->id = i | e->next_gen << SLOT_BITS;
        return c;
    }
    return NULL;
}

static int ring_get(struct xw_bytering *r, uint32_t len) {
    if (r->base) {
        xw_bytering_reset(r);
        return XW_OK;
    }
    return xw_bytering_map(r, len);
}

/* At least len bytes of pages, touched only as they are used; what was there before goes. */
static int pages_get(struct xw_mspan *m, size_t len) {
    if (m->len >= len)
        return XW_OK;
    if (m->p)
        munmap(m->p, m->len);
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *m = p == MAP_FAILED ? xw_mspan(NULL, 0) : xw_mspan(p, len);
    return p == MAP_FAILED ? XW_ENOMEM : XW_OK;
}

static void pages_free(struct xw_mspan *m) {
    if (m->p)
        munmap(m->p, m->len);
    *m = xw_mspan(NULL, 0);
}

/* Memory of a slot is obtained when it is first used for the purpose and kept: opening is cold, messages are not. */
static int memory_get(struct xw_engine *e, struct xw_conn *c, const struct xw_conn_cfg *cfg) {
    int rc = ring_get(&c->rcv, e->cfg.rcvbuf_len);
    if (!rc)
        rc = ring_get(&c->snd, e->cfg.sndbuf_len);
    if (!rc && cfg->tls)
        rc = ring_get(&c->plain, e->cfg.plain_len);
    if (rc || cfg->proto != XW_PROTO_WS)
        return rc;
    if (!c->ws_mem && !(c->ws_mem = aligned_alloc(64, (xw_ws_size() + 63) / 64 * 64)))
        return XW_ENOMEM;
    size_t need = cfg->max_message > XW_WS_ASSEMBLY_MIN ? (size_t)cfg->max_message : XW_WS_ASSEMBLY_MIN;
    rc = pages_get(&c->assembly, need);
    return rc || !cfg->ws_deflate ? rc : pages_get(&c->deflate_mem, XW_WS_DEFLATE_NEED);
}

void xw_conn_release_memory(struct xw_conn *c) {
    xw_bytering_unmap(&c->rcv);
    xw_bytering_unmap(&c->snd);
    xw_bytering_unmap(&c->plain);
    pages_free(&c->assembly);
    pages_free(&c->deflate_mem);
    free(c->ws_mem);
    c->ws_mem = NULL;
}

static int ws_start(struct xw_engine *e, struct xw_conn *c, const struct xw_conn_cfg *cfg) {
    if (cfg->proto != XW_PROTO_WS)
        return XW_OK;
    uint32_t ring = c->top == c->lower ? e->cfg.rcvbuf_len : e->cfg.plain_len;
    struct xw_ws_cfg ws = {
        .role = cfg->ws_server ? XW_WS_SERVER : XW_WS_CLIENT, .ask = cfg->ws_server,
        .bs = c->top, .rng = &e->rng, .max_message = cfg->max_message,
        .check_utf8 = cfg->check_utf8, .view_max = c->top == c->lower ? ring / 2 : ring - XW_TLS_PLAIN_MAX,
        .assembly = c->assembly, .close_timeout_ns = cfg->close_timeout_ns, .clock = e->cfg.stamps ? e->clock : NULL,
        .clock_arg = e->clock_arg, .stamps = true, .any_answer = e->cfg.replay,
        .target = cfg->ws_request, .host = cfg->ws_host, .headers = cfg->ws_headers,
        .subprotocols = cfg->ws_subprotocols, .deflate_min = cfg->ws_deflate_min, .deflate_mem = c->deflate_mem,
        .deflate = { .on = cfg->ws_deflate, .server_reset = cfg->ws_server_reset, .client_reset = cfg->ws_client_reset,
                     .server_bits = cfg->ws_server_bits, .client_bits = cfg->ws_client_bits },
    };
    c->ws = c->ws_mem;
    return xw_ws_init(c->ws, &ws);
}

/* TLS on top of lower, when asked for. */
static int tls_start(struct xw_engine *e, struct xw_conn *c, const struct xw_conn_cfg *cfg) {
    c->top = c->lower;
    if (!cfg->tls)
        return XW_OK;
    int rc = xw_tls_new(cfg->tls, c->lower, cfg->server_name, &c->plain, e->cfg.stamps ? e->clock : NULL, e->clock_arg,
                        &c->top);
    return rc || !e->cfg.replay ? rc : cfg->replay_tls ? xw_tls_replay(c->top, cfg->replay_tls) : XW_EINVAL;
}

static int socket_start(struct xw_engine *e, struct xw_conn *c, const struct xw_conn_cfg *cfg) {
    struct xw_bs_sock_cfg sock = {
        .local_ip = cfg->local_ip, .remote_ip = cfg->remote_ip, .local_port = cfg->local_port,
        .remote_port = cfg->remote_port, .no_delay = cfg->tcp_no_delay, .stamps = true, .clock = e->clock,
        .clock_arg = e->clock_arg,
    };
    int rc = cfg->adopt ? xw_bs_sock_adopt(&sock, cfg->adopt_fd, &c->rcv, &c->snd, &c->lower)
                        : xw_bs_sock_new(&sock, &c->rcv, &c->snd, &c->lower);
    if (rc)
        return rc;
    e->sock_cnt++;
    return XW_OK; /* the first pump puts it into the epoll set */
}

/* Our TCP: the SYN is the first thing that transmit finds; it is held while the next hop is being resolved. */
static int xdp_start(struct xw_engine *e, struct xw_conn *c, const struct xw_conn_cfg *cfg, uint64_t now_ns) {
    struct xw_tcp_tuple t = { .local_ip = cfg->local_ip, .remote_ip = cfg->remote_ip,
                              .local_port = cfg->local_port, .remote_port = cfg->remote_port };
    if (!e->dev)
        return XW_ESTATE;
    int rc = xw_net_route(e->net, t.remote_ip, &c->hop);
    if (rc < 0)
        return rc;
    struct xw_tcp_opts opts = e->tcp_opts;
    opts.nodelay = cfg->tcp_no_delay;
    rc = xw_tcp_connect(e->tcp, &t, &c->rcv, &c->snd, c->hop.mtu, &opts, now_ns, &c->tcp);
    if (rc)
        return rc;
    xw_tcp_set_user(c->tcp, c);
    e->tx_pending = true;
    rc = xw_bs_tcp_new(c->tcp, now_ns, &c->lower);
    if (rc) {
        xw_tcp_release(c->tcp, now_ns);
        return rc;
    }
    struct xw_bs *sink;
    rc = e->cfg.replay ? xw_bs_sink_new(c->lower, &sink) : XW_OK;
    if (!rc && e->cfg.replay)
        c->lower = sink;
    return rc;
}

static int cfg_check(const struct xw_conn_cfg *cfg) {
    if (cfg->transport != XW_TRANSPORT_XDP && cfg->transport != XW_TRANSPORT_SOCKET)
        return XW_EINVAL;
    if (cfg->adopt ? cfg->transport != XW_TRANSPORT_SOCKET : cfg->ws_server || !cfg->remote_ip || !cfg->remote_port)
        return XW_EINVAL;
    if (cfg->proto > XW_PROTO_WS || (cfg->ws_server && cfg->proto != XW_PROTO_WS))
        return XW_EINVAL;
    if (cfg->transport == XW_TRANSPORT_XDP && (!cfg->local_port || !cfg->local_ip))
        return XW_EINVAL;
    if (cfg->proto == XW_PROTO_WS && (!cfg->max_message || (!cfg->ws_server && (!cfg->ws_host || !cfg->ws_request))))
        return XW_EINVAL;
    return XW_OK;
}

static void streams_close(struct xw_engine *e, struct xw_conn *c) {
    if (c->lower && c->transport == XW_TRANSPORT_SOCKET)
        e->sock_cnt--; /* closing the descriptor takes it out of the epoll set */
    if (c->top)
        c->top->ops->close(c->top); /* TLS closes what is below it */
    else if (c->lower)
        c->lower->ops->close(c->lower);
    c->top = c->lower = NULL;
    c->tcp = NULL;
    c->ws = NULL;
}

int xw_conn_open(struct xw_engine *e, const struct xw_conn_cfg *cfg, uint64_t now_ns, uint32_t *id) {
    if (!xw_engine_thread_ok(e))
        return XW_ETHREAD;
    int rc = cfg_check(cfg);
    if (rc)
        return rc;
    struct xw_conn *c = slot_take(e);
    if (!c)
        return XW_ENOSPC;
    c->transport = cfg->transport;
    c->proto = cfg->proto;
    c->user = cfg->user;
    c->open_deadline = cfg->open_timeout_ns ? now_ns + cfg->open_timeout_ns : XW_NEVER;
    c->close_deadline = XW_NEVER;
    c->close_timeout_ns = cfg->close_timeout_ns ? cfg->close_timeout_ns : 10 * XW_NS_PER_S;
    rc = memory_get(e, c, cfg);
    if (!rc)
        rc = cfg->transport == XW_TRANSPORT_SOCKET ? socket_start(e, c, cfg) : xdp_start(e, c, cfg, now_ns);
    if (!rc)
        rc = tls_start(e, c, cfg);
    if (!rc)
        rc = ws_start(e, c, cfg);
    if (rc) {
        streams_close(e, c);
        return rc;
    }
    c->phase = CONN_LIVE;
    e->open_cnt++;
    xw_engine_work(e, c);
    *id = c->id;
    return XW_OK;
}

void xw_conn_recycle(struct xw_engine *e, struct xw_conn *c) {
    if (c->phase == CONN_FREE)
        return;
    streams_close(e, c);
    e->open_cnt--;
    e->tx_pending = true; /* the last words of TCP */
    c->phase = CONN_FREE;
}

uint64_t xw_conn_deadline(const struct xw_conn *c) {
    uint64_t d = c->open_deadline < c->close_deadline ? c->open_deadline : c->close_deadline;
    if (c->ws) {
        uint64_t w = xw_ws_deadline(c->ws);
        d = w < d ? w : d;
    }
    uint64_t b = c->top->ops->deadline(c->top);
    return b < d ? b : d;
}
