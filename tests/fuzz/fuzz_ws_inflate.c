/* Any bytes as compressed messages, in chunks of any size into room of any size. Asserted: it ends; what is written is
 * bounded by the room given; chunks make no difference to the verdict nor to the bytes; and what our compressor makes of
 * the same bytes comes back.
 * First byte: 1 no takeover, 2 round trip, rest window; second: chunk; third: room. */
#include "base/assert.h"
#include "ws/deflate.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUT_MAX 65536u
static uint8_t *mem[2];
static uint8_t out[2][OUT_MAX], packed[OUT_MAX];

static struct xw_ws_deflate *make(unsigned side, uint8_t flags) {
    struct xw_ws_deflate_cfg cfg = { .out_bits = (uint8_t)(8 + (flags >> 2 & 7)), .out_reset = flags & 1,
                                     .in_reset = flags & 1 };
    struct xw_ws_deflate *d = NULL;
    if (!mem[side])
        mem[side] = aligned_alloc(64, XW_WS_DEFLATE_MEM);
    int rc = xw_ws_deflate_init(xw_mspan(mem[side], XW_WS_DEFLATE_MEM), &cfg, &d);
    XW_ASSERT(rc == 0);
    (void)rc;
    return d;
}

/* One message; returns its length, -1 bad, -2 longer than OUT_MAX (as the connection's limit). */
static long inflate_one(struct xw_ws_deflate *d, const uint8_t *p, size_t len, size_t step, size_t room, uint8_t *to) {
    size_t got = 0;
    xw_ws_inflate_begin(d);
    for (size_t i = 0; i <= len;) {
        bool end = i == len;
        struct xw_span in = xw_span(p + i, len - i < step ? len - i : step);
        enum xw_ws_inflate rc;
        do {
            size_t n = OUT_MAX - got < room ? OUT_MAX - got : room;
            if (!n)
                return -2;
            struct xw_mspan o = xw_mspan(to + got, n);
            size_t before = in.len;
            rc = end ? xw_ws_inflate_end(d, &o) : xw_ws_inflate_feed(d, &in, &o);
            XW_ASSERT(o.len <= n && o.p == to + got + (n - o.len) && in.len <= before);
            XW_ASSERT(rc != XW_WS_INFLATE_FULL || !o.len);
            got += n - o.len;
            i += end ? 0 : before - in.len;
        } while (rc == XW_WS_INFLATE_FULL);
        if (rc == XW_WS_INFLATE_BAD)
            return -1;
        XW_ASSERT(rc == (end ? XW_WS_INFLATE_END : XW_WS_INFLATE_ON) && in.len == (end ? in.len : 0));
        if (end)
            break;
    }
    return (long)got;
}

/* The input twice as a message through our own compressor and back. */
static void round_trip(uint8_t flags, const uint8_t *p, size_t len, size_t step, size_t room) {
    struct xw_ws_deflate *a = make(0, flags), *b = make(1, flags);
    for (int twice = 0; twice < 2 && len; twice++) {
        struct xw_span in = xw_span(p, len);
        struct xw_mspan to = xw_mspan(packed, sizeof packed);
        xw_ws_deflate_begin(a);
        while (in.len > step) {
            struct xw_span part = xw_span(in.p, step);
            bool done = xw_ws_deflate_feed(a, &part, &to, false);
            XW_ASSERT(!done && !part.len);
            (void)done;
            in = xw_span_from(in, step);
        }
        bool done = xw_ws_deflate_feed(a, &in, &to, true);
        size_t n = sizeof packed - to.len;
        XW_ASSERT(done && n >= XW_WS_DEFLATE_TAIL && !memcmp(packed + n - 4, "\0\0\xff\xff", 4));
        (void)done;
        long got = inflate_one(b, packed, n - XW_WS_DEFLATE_TAIL, step, room, out[0]);
        XW_ASSERT(got == (long)len && !memcmp(out[0], p, len));
        (void)got;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3)
        return 0;
    uint8_t flags = data[0];
    size_t step = 1u + data[1], room = 1u + data[2] * 7u, len = size - 3;
    data += 3;
    if (flags & 2) {
        round_trip(flags, data, len, step, room);
        return 0;
    }
    /* several messages on one connection: each up to a byte 0xaa */
    struct xw_ws_deflate *a = make(0, flags), *b = make(1, flags);
    for (size_t i = 0; i < len;) {
        const uint8_t *stop = memchr(data + i, 0xaa, len - i);
        size_t n = stop ? (size_t)(stop - data) - i : len - i;
        long whole = inflate_one(a, data + i, n, n ? n : 1, OUT_MAX, out[0]);
        long pieces = inflate_one(b, data + i, n, step, room, out[1]);
        XW_ASSERT(whole == pieces);
        XW_ASSERT(whole < 0 || !memcmp(out[0], out[1], (size_t)whole));
        if (whole < 0 || pieces < 0)
            break; /* the connection fails */
        i += n + 1;
    }
    return 0;
}
