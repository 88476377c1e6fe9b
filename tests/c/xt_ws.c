#include "xt_ws.h"
#include "ws/mask.h"
#include "ws/upgrade.h"
#include "xt.h"
#include <stdarg.h>

__attribute__((format(printf, 2, 3))) static void say(char *log, const char *fmt, ...) {
    size_t n = strlen(log);
    va_list ap;
    va_start(ap, fmt);
    if (n && n + 2 < XT_WS_LOG)
        log[n++] = ' ';
    vsnprintf(log + n, XT_WS_LOG - n, fmt, ap);
    va_end(ap);
}

static const char *show(struct xw_span s, char *buf, size_t cap) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ s.p[i]) * 16777619u;
    if (s.len > 40)
        snprintf(buf, cap, "%zu#%08x", s.len, hash);
    else
        snprintf(buf, cap, "%.*s", (int)s.len, s.len ? (const char *)s.p : "");
    return buf;
}

static void log_event(struct xt_ws *t, const struct xw_ws_event *e) {
    char b[160];
    const char *data = show(e->data, b, sizeof b);
    switch ((enum xw_ws_event_type)e->type) {
    case XW_WS_OPEN: say(t->log, "OPEN"); break;
    case XW_WS_MESSAGE:
        t->last = *e;
        say(t->log, "M%u(%s)", e->opcode, data);
        break;
    case XW_WS_REQUEST: say(t->log, "REQUEST(%u)", e->code); break;
    case XW_WS_PING: say(t->log, "PING(%s)", data); break;
    case XW_WS_PONG: say(t->log, "PONG(%s)", data); break;
    case XW_WS_CLOSING: say(t->log, "CLOSING(%u,%s)", e->code, data); break;
    case XW_WS_REJECTED: say(t->log, "REJECTED(%u,%zu)", e->code, e->data.len); break;
    case XW_WS_ENDED:
        say(t->log, "ENDED(%d,%u,%u,%s,%s)", e->error, e->code, e->sent,
            e->layer == XW_WS_LAYER_WS ? "ws" : e->layer == XW_WS_LAYER_HTTP ? "http" : "below",
            e->by_peer ? "peer" : "us");
        break;
    }
}

void xt_ws_run(struct xt_ws *t) {
    struct xw_ws_event ev[64];
    /* a poll that ended our direction may have closed the stream: look once more */
    for (unsigned idle = 0; idle < 2;) {
        xw_ws_release(t->ws);
        int n = (t->paused ? xw_ws_poll_paused : xw_ws_poll)(t->ws, t->now, ev, t->max_events);
        XT_TRUE(n >= 0 && (unsigned)n <= t->max_events);
        for (int i = 0; i < n; i++)
            log_event(t, &ev[i]);
        idle = n || !xw_ws_deadline(t->ws) ? 0 : idle + 1;
    }
}

void xt_ws_feed(struct xt_ws *t, const void *data, size_t len) {
    const uint8_t *p = data;
    while (len) {
        size_t n = xt_bs_push(&t->bs, p, len);
        xt_ws_run(t);
        p += n;
        len -= n;
        if (!n && !xw_bytering_room(&t->bs.rx) && t->paused)
            return;
        if (!n && !xw_bytering_room(&t->bs.rx))
            XT_FAIL("the ring is full and nothing is consumed");
    }
    xt_ws_run(t);
}

void xt_ws_collect(struct xt_ws *t) {
    struct xw_ws_rules rules = { .want_mask = t->role == XW_WS_CLIENT, .max_len = sizeof t->raw,
                                 .rsv_ok = t->deflate_mem ? XW_WS_RSV1 : 0, .max_packed = sizeof t->raw };
    struct xw_ws_hdr h;
    char b[160];
    t->raw_len += xt_bs_take(&t->bs, t->raw + t->raw_len, sizeof t->raw - t->raw_len);
    for (;;) {
        int rc = xw_ws_hdr_parse(xw_span(t->raw, t->raw_len), &rules, &h);
        XT_TRUE(rc >= 0);
        if (!rc || t->raw_len - h.hdr_len < h.len)
            return;
        uint8_t *p = t->raw + h.hdr_len;
        if (h.masked)
            xw_ws_mask_scalar(p, p, (size_t)h.len, h.key);
        if (h.opcode == XW_WS_OP_CLOSE)
            say(t->sent, "CLOSE(%u,%s)", h.len ? (unsigned)(p[0] << 8 | p[1]) : 0u,
                show(xw_span(p + 2, h.len ? (size_t)h.len - 2 : 0), b, sizeof b));
        else
            say(t->sent, "%s%s%u(%s)", h.rsv ? "Z" : "", h.fin ? "F" : "f", h.opcode, show(xw_span(p, (size_t)h.len), b, sizeof b));
        t->raw_len -= h.hdr_len + (size_t)h.len;
        memmove(t->raw, t->raw + h.hdr_len + h.len, t->raw_len);
    }
}

size_t xt_ws_answer(struct xt_ws *t, char *out, const char *more) {
    uint8_t rq[XW_WS_REQUEST_MAX];
    char accept[XW_WS_ACCEPT_LEN + 1];
    struct xw_span key = { 0 };
    size_t n = xt_bs_take(&t->bs, rq, sizeof rq);
    XT_EQ(xw_ws_field(xw_span(rq, n), "Sec-WebSocket-Key", &key), 1);
    xw_ws_accept_make(key, accept);
    return (size_t)sprintf(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Accept: %s\r\n%s\r\n", accept, more);
}

static const char server_hello[] =
    "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n";

static void hello(struct xt_ws *t, const struct xw_ws_pmd *deflate) {
    char text[1024], more[256] = "";
    xt_ws_run(t);
    if (deflate->on) {
        uint8_t value[XW_WS_PMD_TEXT_MAX];
        size_t n = xw_ws_pmd_emit(xw_mspan(value, sizeof value), deflate);
        snprintf(more, sizeof more, "Sec-WebSocket-Extensions: %.*s\r\n", (int)n, (const char *)value);
    }
    if (t->role == XW_WS_CLIENT) {
        size_t n = xt_ws_answer(t, text, more);
        xt_ws_feed(t, text, n);
    } else {
        int len = snprintf(text, sizeof text, server_hello, more);
        xt_ws_feed(t, text, (size_t)len);
        size_t n = xt_bs_take(&t->bs, text, sizeof text);
        XT_TRUE(n > 20 && !memcmp(text, "HTTP/1.1 101 ", 13));
    }
    XT_STR(t->log, "OPEN");
    XT_TRUE(xw_ws_is_open(t->ws));
    t->log[0] = 0;
}

void xt_ws_init(struct xt_ws *t, const struct xt_ws_opt *o) {
    uint32_t rx_cap = o->rx_cap ? o->rx_cap : 65536;
    uint64_t max = o->max_message ? o->max_message : 1 << 20;
    uint8_t seed[32] = { 42 };
    memset(t, 0, sizeof *t);
    t->role = o->role ? o->role : XW_WS_CLIENT;
    t->now = 1000;
    t->max_events = o->max_events ? o->max_events : 8;
    xt_bs_init(&t->bs, rx_cap, !o->plain, o->tx_cap ? o->tx_cap : 65536);
    xw_rng_init(&t->rng, seed);
    size_t room = max > XW_WS_ASSEMBLY_MIN ? (size_t)max : XW_WS_ASSEMBLY_MIN;
    t->assembly = malloc(room);
    t->ws = aligned_alloc(16, (xw_ws_size() + 15) & ~(size_t)15);
    t->deflate_mem = o->deflate.on ? aligned_alloc(64, XW_WS_DEFLATE_NEED) : NULL;
    XT_TRUE(t->assembly && t->ws && (t->deflate_mem || !o->deflate.on));
    struct xw_ws_cfg cfg = {
        .role = t->role, .bs = &t->bs.bs, .rng = &t->rng, .max_message = max, .check_utf8 = !o->no_utf8,
        .ask = o->ask, .view_max = o->plain ? 0 : rx_cap, .assembly = xw_mspan(t->assembly, room), .stamps = true,
        .deflate = o->deflate, .deflate_min = o->deflate_min,
        .deflate_mem = xw_mspan(t->deflate_mem, t->deflate_mem ? XW_WS_DEFLATE_NEED : 0),
        .target = o->target, .host = "example.com", .headers = o->headers, .subprotocols = o->subprotocols,
    };
    XT_EQ(xw_ws_init(t->ws, &cfg), 0);
    if (!o->no_hello)
        hello(t, &o->deflate);
}

void xt_ws_free(struct xt_ws *t) {
    xt_bs_free(&t->bs);
    free(t->assembly);
    free(t->deflate_mem);
    free(t->ws);
}

void xt_ws_expect(struct xt_ws *t, const char *log, const char *sent, const char *file, int line) {
    xt_ws_collect(t);
    if (strcmp(t->log, log) || strcmp(t->sent, sent)) {
        fprintf(stderr, "%s:%d:\n  events \"%s\"\n  not    \"%s\"\n  sent \"%s\"\n  not  \"%s\"\n", file, line,
                t->log, log,
                t->sent, sent);
        exit(1);
    }
    t->log[0] = t->sent[0] = 0;
}

size_t xt_frame(uint8_t *out, unsigned first, bool masked, const void *data, size_t len) {
    struct xw_ws_hdr h = { .fin = first & 0x80, .rsv = (uint8_t)(first >> 4 & 7), .opcode = first & 15,
        .masked = masked,
                           .key = { 0x11, 0x22, 0x33, 0x44 }, .len = len };
    size_t n = xw_ws_hdr_emit(out, &h);
    if (masked)
        xw_ws_mask_scalar(out + n, data, len, h.key);
    else if (len)
        memcpy(out + n, data, len);
    return n + len;
}
