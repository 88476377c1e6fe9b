/* Compression without frames: the bytes of RFC 7692, all windows and resets in pieces of all sizes, and bad data. */
#include "ws/deflate.h"
#include "base/err.h"
#include "base/rng.h"
#include "xt.h"
#include <malloc.h>
#include <zlib.h>

static struct xw_rng rng;
static uint8_t *mem[2];

static struct xw_ws_deflate *make(unsigned side, unsigned bits, bool out_reset, bool in_reset) {
    struct xw_ws_deflate_cfg cfg = { .out_bits = (uint8_t)bits, .out_reset = out_reset, .in_reset = in_reset };
    struct xw_ws_deflate *d = NULL;
    if (!mem[side])
        mem[side] = aligned_alloc(64, XW_WS_DEFLATE_MEM);
    XT_EQ(xw_ws_deflate_init(xw_mspan(mem[side], XW_WS_DEFLATE_MEM), &cfg, &d), 0);
    return d;
}

/* Inflates one message given in pieces of step bytes into pieces of room; returns its length, -1: bad. */
static long inflated(struct xw_ws_deflate *d, const uint8_t *in, size_t len, size_t step, size_t room, uint8_t *out) {
    size_t got = 0;
    enum xw_ws_inflate rc = XW_WS_INFLATE_ON;
    xw_ws_inflate_begin(d);
    for (size_t i = 0; i < len;) {
        struct xw_span s = xw_span(in + i, len - i < step ? len - i : step);
        i += s.len;
        do {
            struct xw_mspan to = xw_mspan(out + got, room);
            rc = xw_ws_inflate_feed(d, &s, &to);
            got += room - to.len;
        } while (rc == XW_WS_INFLATE_FULL);
        if (rc == XW_WS_INFLATE_BAD)
            return -1;
        XT_EQ(s.len, 0);
    }
    do {
        struct xw_mspan to = xw_mspan(out + got, room);
        rc = xw_ws_inflate_end(d, &to);
        got += room - to.len;
    } while (rc == XW_WS_INFLATE_FULL);
    return rc == XW_WS_INFLATE_END ? (long)got : -1;
}

/* Deflates one message in pieces; returns the length without the four bytes. */
static size_t deflated(struct xw_ws_deflate *d, const uint8_t *in, size_t len, size_t step, size_t room, uint8_t *out) {
    size_t got = 0;
    bool done = false;
    xw_ws_deflate_begin(d);
    for (size_t i = 0; !done;) {
        struct xw_span s = xw_span(in + i, len - i < step ? len - i : step);
        size_t before = s.len;
        struct xw_mspan to = xw_mspan(out + got, room);
        done = xw_ws_deflate_feed(d, &s, &to, i + s.len == len);
        got += room - to.len;
        i += before - s.len;
    }
    XT_TRUE(got >= 4);
    XT_MEM(out + got - 4, "\0\0\xff\xff", 4);
    return got - 4;
}

/* ---- the bytes of RFC 7692 7.2.3 ---- */

static void says(struct xw_ws_deflate *d, const char *bytes, size_t len, const char *want) {
    uint8_t out[256];
    for (size_t step = 1; step <= len; step++)
        for (size_t room = 1; room < 8; room++) {
            XT_EQ(inflated(d, (const uint8_t *)bytes, len, step, room, out), strlen(want));
            XT_MEM(out, want, strlen(want));
        }
}
#define SAYS(d, bytes, want) says(d, bytes, sizeof(bytes) - 1, want)

XT_TEST(bytes_of_the_rfc) {
    struct xw_ws_deflate *d = make(0, 15, false, false);
    uint8_t out[64];
    SAYS(d, "\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello");
    SAYS(d, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello");
    SAYS(d, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello");  /* a final block, and an empty one behind it */
    SAYS(d, "\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello");      /* without that one */
    SAYS(d, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello");
    SAYS(d, "\xf2\x00\x11\x00\x00", "Hello");              /* by reference to the message before */
    SAYS(d, "\x00", "");
    XT_EQ(inflated(d, NULL, 0, 1, 1, out), 0);
    XT_EQ(deflated(d, (const uint8_t *)"Hello", 5, 5, 64, out), 7);
    XT_MEM(out, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    XT_EQ(deflated(d, (const uint8_t *)"Hello", 5, 5, 64, out), 5);
    XT_MEM(out, "\xf2\x00\x11\x00\x00", 5);
}

XT_TEST(reset_forgets_the_message_before) {
    struct xw_ws_deflate *d = make(0, 15, true, true);
    uint8_t out[64];
    SAYS(d, "\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello");
    XT_EQ(inflated(d, (const uint8_t *)"\xf2\x00\x11\x00\x00", 5, 5, 32, out), -1);
    SAYS(d, "\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello");
    for (int i = 0; i < 3; i++)
        XT_EQ(deflated(d, (const uint8_t *)"Hello", 5, 5, 64, out), 7);
}

XT_TEST(arguments_are_checked) {
    struct xw_ws_deflate_cfg cfg = { .out_bits = 7 };
    struct xw_ws_deflate *d;
    make(0, 15, false, false);
    XT_EQ(xw_ws_deflate_init(xw_mspan(mem[0], XW_WS_DEFLATE_MEM), &cfg, &d), XW_EINVAL);
    cfg.out_bits = 16;
    XT_EQ(xw_ws_deflate_init(xw_mspan(mem[0], XW_WS_DEFLATE_MEM), &cfg, &d), XW_EINVAL);
    cfg.out_bits = 15;
    XT_EQ(xw_ws_deflate_init(xw_mspan(mem[0], XW_WS_DEFLATE_MEM - 1), &cfg, &d), XW_ENOMEM);
    XT_EQ(xw_ws_deflate_init(xw_mspan(NULL, 0), &cfg, &d), XW_ENOMEM);
}

/* ---- both directions ---- */

/* Text like a feed's: words that come again at distances up to 40000. */
static void fill(uint8_t *p, size_t len) {
    for (size_t i = 0; i < len;) {
        uint8_t r[8];
        xw_rng_fill(&rng, r, sizeof r);
        size_t back = (size_t)(r[0] | r[1] << 8) % 40000 + 1, n = (size_t)r[2] % 40 + 1;
        for (; n && i < len; n--, i++)
            p[i] = r[3] & 1 && back <= i ? p[i - back] : (uint8_t)(r[4 + n % 4] % 26 + 'a');
    }
}

#define MSG_MAX 70000u
static uint8_t msg[MSG_MAX], packed[MSG_MAX * 2], back[MSG_MAX + 64];

XT_TEST(all_windows_and_resets) {
    static const size_t lens[] = { 1, 2, 5, 100, 300, 5000, 33000, MSG_MAX };
    for (unsigned bits = 8; bits <= 15; bits++)
        for (unsigned reset = 0; reset < 2; reset++) {
            struct xw_ws_deflate *a = make(0, bits, reset, false), *b = make(1, 15, false, reset);
            for (size_t i = 0; i < 2 * sizeof lens / sizeof *lens; i++) {
                size_t len = lens[i % 8], step = i % 3 ? 1 + i * 577 : len, room = i % 2 ? 7 + i * 91 : sizeof packed / 2;
                fill(msg, len);
                size_t n = deflated(a, msg, len, step, room, packed);
                XT_EQ(inflated(b, packed, n, step, 1 + i * 13, back), len);
                XT_MEM(back, msg, len);
            }
        }
}

/* What we deflate with N bits is understood by whoever keeps no more than 2^N bytes: byte by byte, so that nothing but
 * the window can be looked back into. */
XT_TEST(window_is_kept) {
    for (unsigned bits = 8; bits <= 15; bits++) {
        struct xw_ws_deflate *d = make(0, bits, false, false);
        z_stream z = { 0 };
        XT_EQ(inflateInit2(&z, -(int)bits), Z_OK);
        fill(msg, 60000);
        size_t n = deflated(d, msg, 60000, 60000, sizeof packed, packed);
        z.next_in = packed;
        z.avail_in = (uInt)n;
        for (size_t i = 0; i < 60000; i++) {
            z.next_out = back + i;
            z.avail_out = 1;
            int rc = inflate(&z, Z_SYNC_FLUSH);
            if (rc != Z_OK)
                XT_FAIL("%u bits: %d (%s) at byte %zu", bits, rc, z.msg ? z.msg : "", i);
        }
        XT_MEM(back, msg, 60000);
        inflateEnd(&z);
    }
}

/* Nothing of the system's memory is used, with messages or without. */
XT_TEST(allocates_nothing) {
    make(0, 15, false, false);
    make(1, 15, false, false);
    size_t before = mallinfo2().uordblks;
    struct xw_ws_deflate *a = make(0, 15, false, false), *b = make(1, 15, false, false);
    for (int i = 0; i < 50; i++) {
        fill(msg, 3000);
        size_t n = deflated(a, msg, 3000, 3000, sizeof packed, packed);
        XT_EQ(inflated(b, packed, n, n, sizeof back, back), 3000);
    }
    XT_EQ(mallinfo2().uordblks, before);
}

/* ---- bad data ---- */

XT_TEST(cut_messages) {
    fill(msg, 2000);
    struct xw_ws_deflate *a = make(0, 15, true, false);
    size_t n = deflated(a, msg, 2000, 2000, sizeof packed, packed);
    for (size_t len = 1; len < n; len++)
        if (inflated(make(1, 15, false, false), packed, len, len, 64, back) >= 0)
            XT_FAIL("%zu of %zu bytes pass for a message", len, n);
    XT_EQ(inflated(make(1, 15, false, false), packed, n, n, 64, back), 2000);
}

XT_TEST(data_that_is_none) {
    static const char *const bad[] = {
        "\x07", "\x06", "\xf2\x00\x11\x01", "\xff\xff\xff\xff\xff", "\x01\x05\x05\xff\xff", "\x62\xe2\x61\x04\x26\x21",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        XT_EQ(inflated(make(0, 15, false, false), (const uint8_t *)bad[i], strlen(bad[i]), 1, 8, back), -1);
    for (unsigned i = 0; i < 2000; i++) { /* whatever it is, it ends, within the room it was given */
        uint8_t noise[64];
        xw_rng_fill(&rng, noise, sizeof noise);
        long len = inflated(make(0, 15, false, false), noise, sizeof noise, 1 + i % 64, 1 + i % 50, back);
        XT_TRUE(len >= -1 && len < (long)MSG_MAX);
    }
}

int main(int argc, char **argv) {
    static const struct xt_case cases[] = {
        XT_RUN(bytes_of_the_rfc), XT_RUN(reset_forgets_the_message_before), XT_RUN(arguments_are_checked),
        XT_RUN(all_windows_and_resets), XT_RUN(window_is_kept), XT_RUN(allocates_nothing), XT_RUN(cut_messages),
        XT_RUN(data_that_is_none),
    };
    static const uint8_t seed[32] = { 7 };
    xw_rng_init(&rng, seed);
    int rc = xt_main(cases, sizeof cases / sizeof *cases, argc, argv);
    free(mem[0]);
    free(mem[1]);
    return rc;
}
