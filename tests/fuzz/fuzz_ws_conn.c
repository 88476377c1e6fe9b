/* An open connection under any bytes and any order of calls. The input is a list of operations: bytes arrive, the
 * user polls with few or many events or is paused, answers the request, releases, sends, closes, time passes, the
 * stream ends or fails. Asserted: events are well formed, spans hold still until release, nothing comes after ENDED,
 * and whatever we send is frames that a strict peer takes. */
#include "base/assert.h"
#include "base/limits.h"
#include "mem/bytering.h"
#include "ws/conn.h"
#include "ws/simd.h"
#include "ws/upgrade.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RX_CAP 4096u
#define TX_CAP 256u
#define MAX_MESSAGE 3000u

struct fake {
    struct xw_bs bs;
    struct xw_bytering rx, tx;
    uint8_t tx_mem[TX_CAP];
    struct xw_bs_status st;
};
struct run {
    struct fake f;
    struct xw_ws *ws;
    uint64_t now;
    bool ended, opened, closing_seen;
    struct xw_span held[4];
    uint32_t held_sum[4];
    unsigned held_cnt;
    uint8_t out[XW_WS_HDR_MAX + 70000];
    size_t out_len;
    bool hello_out, in_msg, close_out, deflate, asked, refused;
};
static struct run r;
static uint8_t *deflate_mem;
static uint8_t assembly[XW_WS_ASSEMBLY_MIN], plain_mem[512];
static struct xw_bytering mirrored; /* mapped once */

static struct fake *self(struct xw_bs *b) { return (struct fake *)(void *)b; }
static struct xw_span f_peek(struct xw_bs *b) { return xw_bytering_peek(&self(b)->rx); }
static void f_consume(struct xw_bs *b, size_t n) {
    XW_ASSERT(n <= f_peek(b).len);
    memset(xw_bytering_at(&self(b)->rx, self(b)->rx.head), 0xdd, n);
    xw_bytering_consume(&self(b)->rx, n);
}
static struct xw_mspan f_reserve(struct xw_bs *b) {
    struct fake *f = self(b);
    return f->st.state == XW_BS_OPEN && !f->st.tx_shut ? xw_bytering_reserve(&f->tx) : xw_mspan(f->tx_mem, 0);
}
static void f_commit(struct xw_bs *b, size_t n) { xw_bytering_commit(&self(b)->tx, n); }
static void f_shut(struct xw_bs *b) { self(b)->st.tx_shut = true; }
static void f_flush(struct xw_bs *b, uint64_t now) { (void)b; (void)now; }
static void f_abort(struct xw_bs *b) { self(b)->st.state = XW_BS_FAILED; self(b)->st.error = -3; }
static int f_poll(struct xw_bs *b, uint64_t now) { (void)b; (void)now; return 0; }
static uint64_t f_deadline(const struct xw_bs *b) { (void)b; return XW_NEVER; }
static void f_status(const struct xw_bs *b, struct xw_bs_status *out) {
    const struct fake *f = (const struct fake *)(const void *)b;
    *out = f->st;
    if (out->state == XW_BS_OPEN && out->rx_eof && out->tx_shut)
        out->state = XW_BS_CLOSED;
}
static uint64_t f_offset(const struct xw_bs *b) { return ((const struct fake *)(const void *)b)->rx.head; }
static void f_stamp(const struct xw_bs *b, uint64_t off, struct xw_rxstamp *last, struct xw_rxstamp *first) {
    XW_ASSERT(off < ((const struct fake *)(const void *)b)->rx.tail);
    *last = *first = (struct xw_rxstamp){ 0 };
}
static const char *f_text(const struct xw_bs *b) { (void)b; return ""; }
static void f_close(struct xw_bs *b) { (void)b; }
static const struct xw_bs_ops ops = {
    .peek = f_peek, .consume = f_consume, .reserve = f_reserve, .commit = f_commit, .shutdown_wr = f_shut,
    .flush = f_flush, .abort = f_abort, .poll = f_poll, .deadline = f_deadline, .status = f_status,
    .rx_offset = f_offset, .stamp = f_stamp, .error_text = f_text, .close = f_close,
};

static uint32_t sum(struct xw_span s) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ s.p[i]) * 16777619u;
    return h;
}

static void check_held(void) {
    for (unsigned i = 0; i < r.held_cnt; i++)
        XW_ASSERT(sum(r.held[i]) == r.held_sum[i]);
}

static void check_event(const struct xw_ws_event *e) {
    XW_ASSERT(!r.ended && e->type >= XW_WS_OPEN && e->type <= XW_WS_ENDED);
    XW_ASSERT(r.opened || e->type == XW_WS_OPEN || e->type == XW_WS_ENDED || (e->type == XW_WS_REQUEST && r.asked));
    XW_ASSERT(e->type != XW_WS_MESSAGE || (!r.closing_seen && e->data.len <= MAX_MESSAGE &&
                                           e->off_first <= e->off_last));
    XW_ASSERT((e->type != XW_WS_PING && e->type != XW_WS_PONG) || (!r.closing_seen &&
                                                                   e->data.len <= XW_WS_CONTROL_MAX));
    r.opened |= e->type == XW_WS_OPEN;
    r.closing_seen |= e->type == XW_WS_CLOSING;
    r.ended = e->type == XW_WS_ENDED;
}

static void poll_with(unsigned max, bool paused) {
    struct xw_ws_event ev[4];
    xw_ws_release(r.ws);
    r.held_cnt = 0;
    int n = (paused ? xw_ws_poll_paused : xw_ws_poll)(r.ws, r.now, ev, max);
    (void)xw_ws_ending(r.ws);
    XW_ASSERT(n >= 0 && (unsigned)n <= max);
    for (int i = 0; i < n; i++) {
        check_event(&ev[i]);
        r.held[r.held_cnt] = ev[i].data;
        r.held_sum[r.held_cnt++] = sum(ev[i].data);
    }
    XW_ASSERT(!r.ended || xw_ws_deadline(r.ws) == XW_NEVER);
}

static void do_poll(unsigned max) { poll_with(max, false); }

/* The straight line as far as it goes, the rest by a poll behind it. */
static void poll_straight(void) {
    struct xw_ws_event ev[4];
    struct xw_ws_msg m;
    xw_ws_release(r.ws);
    r.held_cnt = 0;
    struct xw_span view = f_peek(&r.f.bs);
    for (bool go = xw_ws_simple(r.ws, 0); go && r.held_cnt < 3 && xw_ws_take(r.ws, &view, &m);) {
        XW_ASSERT(r.opened && !r.closing_seen && !r.ended && m.data.len <= MAX_MESSAGE && (m.opcode == 1 || m.opcode == 2));
        r.held[r.held_cnt] = m.data;
        r.held_sum[r.held_cnt++] = sum(m.data);
    }
    int n = xw_ws_poll(r.ws, r.now, ev, 4 - r.held_cnt);
    for (int i = 0; i < n; i++) {
        check_event(&ev[i]);
        r.held[r.held_cnt] = ev[i].data;
        r.held_sum[r.held_cnt++] = sum(ev[i].data);
    }
}

/* The owner's answer: the draft, or n bytes of anything. */
static void answer(const uint8_t *p, size_t n, bool draft) {
    static uint8_t copy[XW_WS_REQUEST_MAX];
    struct xw_span hello = xw_ws_hello(r.ws);
    if (draft && hello.len)
        memcpy(copy, hello.p, hello.len);
    if (xw_ws_answer(r.ws, draft ? copy : p, draft ? hello.len : n) == 0 && !draft)
        r.refused = true; /* or opened by bytes that are as good as the draft: not by chance */
}

/* Takes n bytes of what was sent; every whole frame must please a strict receiver. */
static void take(size_t n, bool server) {
    struct xw_ws_rules rules = { .want_mask = !server, .max_len = 65536, .rsv_ok = r.deflate ? XW_WS_RSV1 : 0,
                                 .max_packed = 65536 };
    struct xw_ws_hdr h;
    while (n-- && xw_bytering_len(&r.f.tx) && r.out_len < sizeof r.out) {
        xw_bytering_copy(&r.f.tx, r.f.tx.head, r.out + r.out_len++, 1);
        xw_bytering_consume(&r.f.tx, 1);
    }
    if (r.refused) { /* a page */
        r.out_len = 0;
        return;
    }
    if (!r.hello_out) {
        if (r.out_len < 4 || memcmp(r.out + r.out_len - 4, "\r\n\r\n", 4))
            return;
        r.hello_out = true;
        r.out_len = 0;
    }
    for (;;) {
        int rc = xw_ws_hdr_parse(xw_span(r.out, r.out_len), &rules, &h);
        XW_ASSERT(rc >= 0);
        if (!rc || r.out_len - h.hdr_len < h.len)
            return;
        XW_ASSERT(!r.close_out || h.opcode == XW_WS_OP_PONG); /* pongs may follow our close frame */
        XW_ASSERT((h.opcode & 8) || (h.opcode == 0) == r.in_msg);
        if (!(h.opcode & 8))
            r.in_msg = !h.fin;
        r.close_out |= h.opcode == XW_WS_OP_CLOSE;
        r.out_len -= h.hdr_len + (size_t)h.len;
        memmove(r.out, r.out + h.hdr_len + h.len, r.out_len);
    }
}

static void arrive(const uint8_t *p, size_t n) {
    if (r.f.st.state == XW_BS_OPEN && !r.f.st.rx_eof)
        xw_bytering_write(&r.f.rx, p, n);
}

static void send_something(uint8_t op, uint8_t n) {
    static const uint8_t body[1024];
    static const uint8_t opcodes[] = { 1, 2, 9, 10, 0, 3 };
    uint64_t len = (uint64_t)n * 4 % 1000;
    int64_t rc = xw_ws_send_frame(r.ws, opcodes[op % 6], op & 8, body, len);
    XW_ASSERT(rc <= (int64_t)len);
    (void)xw_ws_send_more(r.ws, body, n);
    (void)xw_ws_writable(r.ws);
}

/* Everything as new. */
static void start(bool server, bool utf8, bool plain, bool deflate, bool ask, unsigned row) {
    uint8_t seed[32] = { 0 };
    static struct xw_rng rng;
    xw_rng_init(&rng, seed);
    struct xw_ws *ws = r.ws;
    memset(&r, 0, sizeof r);
    r.ws = ws;
    r.f.bs.ops = &ops;
    r.f.st.state = XW_BS_OPEN;
    if (plain)
        xw_bytering_init(&r.f.rx, plain_mem, sizeof plain_mem);
    else
        r.f.rx = mirrored;
    xw_bytering_init(&r.f.tx, r.f.tx_mem, TX_CAP);
    struct xw_ws_cfg cfg = { .role = server ? XW_WS_SERVER : XW_WS_CLIENT, .bs = &r.f.bs, .rng = &rng, .host = "h", .ask = ask,
                             .max_message = MAX_MESSAGE, .check_utf8 = utf8, .stamps = true, .view_max = plain ? 0 :
                             1024,
                             .assembly = xw_mspan(assembly, sizeof assembly), .deflate = { .on = deflate },
                             .deflate_mem = xw_mspan(deflate_mem, XW_WS_DEFLATE_NEED), .deflate_min = 100,
                             .simd = xw_ws_simd_row(row) };
    r.deflate = deflate;
    r.asked = server && ask;
    int rc = xw_ws_init(r.ws, &cfg);
    XW_ASSERT(rc == 0);
    (void)rc;
}

static void open_it(bool server) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    const char *more = r.deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n" : "\r\n";
    struct xw_span key = { 0 };
    char accept[XW_WS_ACCEPT_LEN + 1], text[256];
    if (server) {
        arrive((const uint8_t *)request, sizeof request - 1);
        arrive((const uint8_t *)more, strlen(more));
    } else {
        do_poll(4);
        xw_ws_field(xw_span(assembly, XW_WS_REQUEST_MAX), "Sec-WebSocket-Key", &key);
        xw_ws_accept_make(key, accept);
        int n = snprintf(text, sizeof text, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Accept: %s\r\n%s", accept, more);
        arrive((const uint8_t *)text, (size_t)n);
    }
    for (int i = 0; i < 8 && !r.opened; i++) {
        do_poll(4);
        if (r.asked)
            answer(NULL, 0, true);
        take(SIZE_MAX, server);
    }
    XW_ASSERT(r.opened);
}

/* One operation; returns how many bytes of the input it used. */
static size_t operate(const uint8_t *p, size_t len, bool server) {
    uint8_t arg = len > 1 ? p[1] : 0;
    size_t n = len > 2 ? len - 2 : 0;
    switch (p[0] & 15) {
    case 0: case 1: case 2: case 3: case 4: case 5:
        n = n < arg ? n : arg;
        arrive(p + 2, n);
        return 2 + n;
    case 6: do_poll(1 + arg % 4); break;
    case 7:
        if (p[0] & 16)
            poll_straight();
        else
            do_poll(1 + arg % 4);
        break;
    case 8: poll_with(arg % 5, arg > 50); break;
    case 9: send_something(p[0] >> 4, arg); break;
    case 10: take(arg, server); break;
    case 11: (void)xw_ws_close(r.ws, arg ? 1000u + arg : 0, "r", arg & 1, r.now); break;
    case 12: r.now += arg * XW_NS_PER_S / 10; break;
    case 13: r.f.st.rx_eof |= arg > 200; break;
    case 14:
        if (arg > 250)
            f_abort(&r.f.bs);
        else if (r.asked) {
            n = n < arg ? n : arg;
            answer(p + 2, n, arg & 1);
            return arg & 1 ? 2 : 2 + n;
        }
        break;
    case 15: take(SIZE_MAX, server); break;
    }
    check_held();
    return 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!r.ws) {
        r.ws = aligned_alloc(16, (xw_ws_size() + 15) & ~(size_t)15);
        deflate_mem = aligned_alloc(64, XW_WS_DEFLATE_NEED);
        XW_ASSERT(r.ws && deflate_mem && xw_bytering_map(&mirrored, RX_CAP) == 0);
    }
    if (size < 2)
        return 0;
    bool server = data[0] & 1;
    start(server, data[0] & 2, data[0] & 4, data[0] & 16, data[0] & 32, data[0] >> 6);
    if (!(data[0] & 8))
        open_it(server);
    for (size_t i = 1; i < size;)
        i += operate(data + i, size - i, server);
    /* whatever happened, it ends: no more bytes, room for all we say, and time */
    r.f.st.rx_eof = true;
    for (int i = 0; i < 20000 && !r.ended; i++) {
        take(SIZE_MAX, server);
        r.now += XW_NS_PER_S;
        do_poll(4);
    }
    XW_ASSERT(r.ended);
    return 0;
}
