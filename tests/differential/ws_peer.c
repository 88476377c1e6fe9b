/* ws_peer.c: one connection of csrc/ws over a stream in memory, as a shared library for the differential tests: bytes in,
 * bytes and events out. No clock but a counter, no randomness but a seed, so that every run is the same.
 *
 * Events are appended to a buffer: a letter (O open, M message, I ping, N pong, C closing, R rejected, Q request, E ended),
 * opcode u8, by_peer u8, error i32, code u32, sent u32, len u32, data; numbers are little-endian. */
#include "base/assert.h"
#include "bs/bs_mem.h"
#include "ws/conn.h"
#include <stdlib.h>
#include <string.h>

#define RING (1u << 20)
#define ASSEMBLY (1u << 20)
#define EVENTS_MAX 8

struct peer;
struct peer_cfg {
    uint32_t role, max_events, seed, chunk; /* chunk: bytes that one poll of the stream takes at most; 0: all */
    uint32_t max_message, deflate_min;
    uint32_t on, server_reset, client_reset, server_bits, client_bits;
    uint32_t straight; /* whole plain messages are taken by xw_ws_take where xw_ws_simple allows it */
};

struct peer *peer_new(const struct peer_cfg *cfg);
void peer_free(struct peer *p);
/* How many of the bytes were taken; the connection has made all progress that they allow. */
size_t peer_feed(struct peer *p, const uint8_t *data, size_t len);
void peer_eof(struct peer *p);
size_t peer_take(struct peer *p, uint8_t *out, size_t cap);
size_t peer_events(struct peer *p, uint8_t *out, size_t cap);
/* A frame of a message, or a control frame, whole; 0 or an error. */
int peer_send(struct peer *p, uint32_t opcode, uint32_t fin, const uint8_t *data, size_t len);
int peer_close(struct peer *p, uint32_t code, const uint8_t *reason, size_t len);
/* 1: it has ended our direction. */
int peer_shut(struct peer *p);
void peer_time(struct peer *p, uint64_t ns);

struct peer {
    struct xw_bs *ours, *wire;
    struct xw_ws *ws;
    struct xw_rng rng;
    uint8_t *assembly, *deflate_mem, *events, *out;
    size_t events_len, events_cap, out_len, out_cap;
    uint64_t now;
    unsigned max_events;
    bool straight;
};

static void *must(void *p) {
    XW_ASSERT(p);
    return p;
}

static void append(uint8_t **buf, size_t *len, size_t *cap, const void *p, size_t n) {
    if (*cap - *len < n) {
        *cap = (*len + n) * 2;
        *buf = must(realloc(*buf, *cap));
    }
    if (n)
        memcpy(*buf + *len, p, n);
    *len += n;
}

static uint8_t letter(const struct xw_ws_event *e) {
    switch ((enum xw_ws_event_type)e->type) {
    case XW_WS_OPEN: return 'O';
    case XW_WS_MESSAGE: return 'M';
    case XW_WS_PING: return 'I';
    case XW_WS_PONG: return 'N';
    case XW_WS_CLOSING: return 'C';
    case XW_WS_REJECTED: return 'R';
    case XW_WS_REQUEST: return 'Q';
    case XW_WS_ENDED: return 'E';
    }
    abort();
}

static void keep(struct peer *p, const struct xw_ws_event *e) {
    uint32_t numbers[4] = { (uint32_t)e->error, e->code, e->sent, (uint32_t)e->data.len };
    uint8_t head[3] = { letter(e), e->opcode, e->by_peer };
    append(&p->events, &p->events_len, &p->events_cap, head, sizeof head);
    append(&p->events, &p->events_len, &p->events_cap, numbers, sizeof numbers);
    append(&p->events, &p->events_len, &p->events_cap, e->data.p, e->data.len);
}

/* What was sent goes out of the ring. */
static void collect(struct peer *p) {
    struct xw_span s;
    while (p->wire->ops->poll(p->wire, p->now), (s = p->wire->ops->peek(p->wire)).len) {
        append(&p->out, &p->out_len, &p->out_cap, s.p, s.len);
        p->wire->ops->consume(p->wire, s.len);
    }
}

/* The straight line, as the engine goes it; how many messages. */
static unsigned take_straight(struct peer *p) {
    struct xw_ws_msg m;
    unsigned n = 0;
    struct xw_span view = p->ours->ops->peek(p->ours);
    if (!p->straight || !xw_ws_simple(p->ws, 0))
        return 0;
    for (; n < p->max_events && xw_ws_take(p->ws, &view, &m); n++)
        keep(p, &(struct xw_ws_event){ .type = XW_WS_MESSAGE, .opcode = m.opcode, .data = m.data });
    return n;
}

static void run(struct peer *p) {
    struct xw_ws_event ev[EVENTS_MAX];
    for (unsigned idle = 0; idle < 3;) {
        size_t before = p->ours->ops->peek(p->ours).len;
        p->now++;
        p->ours->ops->poll(p->ours, p->now);
        bool more = p->ours->ops->peek(p->ours).len != before;
        xw_ws_release(p->ws);
        unsigned taken = take_straight(p);
        int n = xw_ws_poll(p->ws, p->now, ev, p->max_events);
        XW_ASSERT(n >= 0);
        for (int i = 0; i < n; i++)
            keep(p, &ev[i]);
        collect(p);
        idle = n || taken || more || !xw_ws_deadline(p->ws) ? 0 : idle + 1;
    }
}

struct peer *peer_new(const struct peer_cfg *c) {
    struct peer *p = must(calloc(1, sizeof *p));
    uint8_t seed[32] = { 0 };
    memcpy(seed, &c->seed, sizeof c->seed);
    xw_rng_init(&p->rng, seed);
    p->straight = c->straight;
    p->max_events = c->max_events ? c->max_events : EVENTS_MAX;
    struct xw_bs_mem_cfg mem = { .rcv_len = RING, .snd_len = RING };
    if (xw_bs_mem_pair(&mem, &p->ours, &p->wire))
        abort();
    if (c->chunk)
        xw_bs_mem_chunk(p->ours, c->chunk);
    p->assembly = must(malloc(ASSEMBLY));
    p->deflate_mem = must(aligned_alloc(64, XW_WS_DEFLATE_NEED));
    p->ws = must(aligned_alloc(16, (xw_ws_size() + 15) & ~(size_t)15));
    struct xw_ws_cfg cfg = {
        .role = (enum xw_ws_role)c->role, .bs = p->ours, .rng = &p->rng, .max_message = c->max_message, .check_utf8 = true,
        .view_max = RING / 2, .assembly = xw_mspan(p->assembly, ASSEMBLY), .host = "h", .target = "/",
        .deflate = { .on = c->on, .server_reset = c->server_reset, .client_reset = c->client_reset,
                     .server_bits = (uint8_t)c->server_bits, .client_bits = (uint8_t)c->client_bits },
        .deflate_mem = xw_mspan(p->deflate_mem, XW_WS_DEFLATE_NEED), .deflate_min = c->deflate_min,
    };
    if (xw_ws_init(p->ws, &cfg))
        abort();
    run(p);
    return p;
}

void peer_free(struct peer *p) {
    p->ours->ops->close(p->ours);
    p->wire->ops->close(p->wire);
    free(p->assembly);
    free(p->deflate_mem);
    free(p->ws);
    free(p->events);
    free(p->out);
    free(p);
}

size_t peer_feed(struct peer *p, const uint8_t *data, size_t len) {
    size_t done = 0;
    while (done < len) {
        struct xw_mspan to = p->wire->ops->reserve(p->wire);
        size_t n = to.len < len - done ? to.len : len - done;
        if (n) {
            memcpy(to.p, data + done, n);
            p->wire->ops->commit(p->wire, n);
        }
        done += n;
        run(p);
        if (!n)
            break;
    }
    return done;
}

void peer_eof(struct peer *p) {
    p->wire->ops->shutdown_wr(p->wire);
    run(p);
}

static size_t give(uint8_t *buf, size_t *len, uint8_t *out, size_t cap) {
    size_t n = *len < cap ? *len : cap;
    if (n) {
        memcpy(out, buf, n);
        memmove(buf, buf + n, *len - n);
    }
    *len -= n;
    return n;
}

size_t peer_take(struct peer *p, uint8_t *out, size_t cap) { return give(p->out, &p->out_len, out, cap); }
size_t peer_events(struct peer *p, uint8_t *out, size_t cap) { return give(p->events, &p->events_len, out, cap); }

int peer_send(struct peer *p, uint32_t opcode, uint32_t fin, const uint8_t *data, size_t len) {
    int64_t n = xw_ws_send_frame(p->ws, (uint8_t)opcode, fin, data, len);
    if (n < 0)
        return (int)n;
    run(p);
    for (size_t done = (size_t)n; done < len; done += (size_t)n) {
        n = xw_ws_send_more(p->ws, data + done, len - done);
        if (n < 0)
            return (int)n;
        run(p);
    }
    return 0;
}

int peer_close(struct peer *p, uint32_t code, const uint8_t *reason, size_t len) {
    int rc = xw_ws_close(p->ws, code, (const char *)reason, len, p->now);
    run(p);
    return rc;
}

int peer_shut(struct peer *p) {
    struct xw_bs_status st;
    p->ours->ops->status(p->ours, &st);
    return st.tx_shut;
}

void peer_time(struct peer *p, uint64_t ns) {
    p->now += ns;
    run(p);
}
