/* From the decrypted bytes to the user without a copy: the addresses of messages lie in the ring into which TLS decrypts,
 * where the record's plaintext stood, for every record layer. What is fragmented or compressed lies elsewhere. */
#include "base/err.h"
#include "ws/conn.h"
#include "ws/upgrade.h"
#include "xt.h"
#include "xt_tls.h"
#include "xt_ws.h"
#include <stdlib.h>

#define MESSAGE_MAX 60000u

static struct xt_tls x;
static struct xw_ws *ws;
static struct xw_rng rng;
static uint8_t assembly[1 << 17], body[MESSAGE_MAX], wire[MESSAGE_MAX + 64];
static uint8_t *deflate_mem;

static bool in_ring(const uint8_t *p, size_t len) {
    return p >= x.plain.base && p + len <= x.plain.base + 2 * (size_t)x.plain.cap;
}

/* Moves bytes until the connection has an event or nothing moves any more. */
static unsigned next_event(struct xw_ws_event *ev) {
    for (unsigned i = 0; i < 200; i++) {
        xt_srv_step(&x);
        x.tls->ops->poll(x.tls, ++x.now);
        int n = xw_ws_poll(ws, x.now, ev, 1);
        XT_TRUE(n >= 0);
        if (n)
            return 1;
    }
    return 0;
}

static void open_ws(enum xt_engine engine, uint8_t version) {
    uint8_t seed[32] = { 9 };
    char request[2048], answer[512], accept[XW_WS_ACCEPT_LEN + 1];
    struct xw_ws_event ev;
    struct xw_span key;
    size_t n = 0;
    xt_tls_engine(engine);
    xt_tls_open(&x, &(struct xt_tls_opt){ .version = version, .plain_len = 1 << 17, .rcv_len = 1 << 17, .snd_len = 1 << 17 });
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    xw_rng_init(&rng, seed);
    struct xw_ws_cfg cfg = { .role = XW_WS_CLIENT, .bs = x.tls, .rng = &rng, .max_message = MESSAGE_MAX, .check_utf8 = true,
                             .view_max = (1 << 17) - 17000, .assembly = xw_mspan(assembly, sizeof assembly), .host = "h",
                             .deflate = { .on = true }, .deflate_mem = xw_mspan(deflate_mem, XW_WS_DEFLATE_NEED) };
    XT_EQ(xw_ws_init(ws, &cfg), XW_OK);
    for (unsigned i = 0; i < 100 && (n < 4 || memcmp(request + n - 4, "\r\n\r\n", 4)); i++) {
        XT_EQ(next_event(&ev), 0);
        n += xt_srv_read(&x, request + n, sizeof request - n);
    }
    XT_EQ(xw_ws_field(xw_span(request, n), "Sec-WebSocket-Key", &key), 1);
    xw_ws_accept_make(key, accept);
    int len = snprintf(answer, sizeof answer, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    xt_srv_write(&x, answer, (size_t)len);
    XT_EQ(next_event(&ev), 1);
    XT_EQ(ev.type, XW_WS_OPEN);
    xw_ws_release(ws);
}

static void one(unsigned first, size_t len, size_t payload_at, bool want_in_ring) {
    struct xw_ws_event ev;
    xt_srv_write(&x, wire, payload_at + len);
    XT_EQ(next_event(&ev), 1);
    XT_EQ(ev.type, XW_WS_MESSAGE);
    XT_EQ(ev.opcode, first & 15);
    XT_EQ(in_ring(ev.data.p, ev.data.len), want_in_ring);
    if (want_in_ring) {
        /* nothing of the frame is consumed yet: its header is what peek shows first, the payload right behind it */
        struct xw_span view = x.tls->ops->peek(x.tls);
        XT_EQ(x.tls->ops->rx_offset(x.tls), ev.off_first);
        XT_TRUE(ev.data.p == view.p + payload_at);
        XT_EQ(ev.data.len, len);
    }
    xw_ws_release(ws);
}

static void all_kinds(enum xt_engine engine, uint8_t version) {
    static const size_t lens[] = { 1, 125, 126, 4000, 16384, 17000, 60000, 60000, 60000 };
    open_ws(engine, version);
    memset(body, 'm', sizeof body);
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        size_t n = xt_frame(wire, 0x80u | (i % 2 + 1), false, body, lens[i]);
        one((unsigned)(i % 2 + 1), lens[i], n - lens[i], true);
    }
    size_t n = xt_frame(wire, 0x01, false, body, 10); /* fragmented */
    n += xt_frame(wire + n, 0x80, false, body, 10);
    one(1, n, 0, false);
    n = xt_frame(wire, 0xc2, false, "\x4a\x4c\x4c\x04\x00", 5); /* compressed: aaa */
    one(2, n, 0, false);
    n = xt_frame(wire, 0x82, false, body, 200);
    one(2, 200, n - 200, true);
    xt_tls_close(&x);
}

XT_TEST(messages_lie_where_tls_decrypted_them) {
    ws = aligned_alloc(16, (xw_ws_size() + 15) & ~(size_t)15);
    deflate_mem = aligned_alloc(64, XW_WS_DEFLATE_NEED);
    XT_TRUE(ws && deflate_mem);
    for (unsigned engine = 0; engine < XT_ENGINES; engine++)
        for (uint8_t version = 12; version <= 13; version++)
            all_kinds((enum xt_engine)engine, version);
    free(ws);
    free(deflate_mem);
}

XT_MAIN(XT_RUN(messages_lie_where_tls_decrypted_them))
