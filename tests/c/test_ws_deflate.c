/* Compression on a connection, both roles: shapes of messages, limits, what a peer can do wrong, and both ends against
 * each other with every window and takeover. */
#include "base/err.h"
#include "ws/conn.h"
#include "xt.h"
#include "xt_ws.h"
#include <zlib.h>

static struct xt_ws t, s;
static const struct xw_ws_pmd full = { .on = true, .client_bits = 15 };

/* ---- frames ---- */

static uint8_t in[1 << 20], zip[1 << 19], plain[1 << 22];

/* A message compressed by itself, without the four bytes; strategy as of zlib. */
static size_t squeeze(uint8_t *out, size_t cap, const void *p, size_t len, int level) {
    z_stream z = { 0 };
    XT_EQ(deflateInit2(&z, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    union { const void *from; Bytef *to; } cast = { .from = p };
    z.next_in = cast.to;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    XT_EQ(deflate(&z, Z_SYNC_FLUSH), Z_OK);
    size_t n = cap - z.avail_out;
    deflateEnd(&z);
    XT_TRUE(n > 4);
    return n - 4;
}

static void fresh(enum xw_ws_role role, bool ring_plain, unsigned events, uint64_t max) {
    xt_ws_init(&t, &(struct xt_ws_opt){ .role = role, .plain = ring_plain, .max_events = events, .rx_cap = 4096,
                                        .max_message = max, .deflate = full });
}

static void peer_ends(void) {
    xt_ws_collect(&t);
    t.bs.st.rx_eof = true;
    xt_ws_run(&t);
}

/* The compressed text in pieces of `piece` bytes, a ping before each but the first, then a plain message. */
static size_t build(bool masked, const char *text, size_t piece) {
    size_t n = squeeze(zip, sizeof zip, text, strlen(text), 6), len = 0;
    for (size_t i = 0; i < n || i == 0; i += piece) {
        size_t part = n - i < piece ? n - i : piece;
        if (i)
            len += xt_frame(in + len, 0x89, masked, "p", 1);
        len += xt_frame(in + len, (i ? 0u : 0x41u) | (i + piece >= n ? 0x80u : 0u), masked, zip + i, part);
    }
    return len + xt_frame(in + len, 0x81, masked, "plain", 5);
}

XT_TEST(every_cut_and_every_shape) {
    static const char text[] = "compressed, compressed and \xe2\x82\xac compressed";
    char want[256];
    for (unsigned shape = 0; shape < 8; shape++)
        for (size_t piece = 1; piece < 40; piece += piece < 4 ? 1 : 11) {
            enum xw_ws_role role = shape & 1 ? XW_WS_SERVER : XW_WS_CLIENT;
            size_t len = build(shape & 1, text, piece), pings = 0;
            for (size_t cut = 0; cut <= len + 1; cut += cut < len ? 1 + len / 200 : 1) {
                fresh(role, shape & 2, shape & 4 ? 1 : 8, 1000);
                for (size_t i = 0; cut > len && i < len; i++)
                    xt_ws_feed(&t, in + i, 1);
                if (cut <= len) {
                    xt_ws_feed(&t, in, cut);
                    xt_ws_feed(&t, in + cut, len - cut);
                }
                want[0] = 0;
                for (pings = (squeeze(zip, sizeof zip, text, strlen(text), 6) - 1) / piece; pings; pings--)
                    strcat(want, "PING(p) ");
                XT_TRUE(strlen(t.log) > strlen(want) || pings == 0);
                const char *rest = strstr(t.log, "M1(");
                XT_TRUE(rest && (size_t)(rest - t.log) == strlen(want) && !memcmp(t.log, want, strlen(want)));
                XT_TRUE(!memcmp(rest, "M1(41#", 6) && strstr(rest, ") M1(plain)"));
                peer_ends();
                XT_EQ(t.bs.rx.head, t.bs.rx.tail);
                xt_ws_free(&t);
                if (piece < 4 && cut < len && pings == 0 && strlen(want) > 100)
                    cut += 7; /* many pings: fewer cuts */
            }
        }
}

XT_TEST(mixed_with_plain_and_empty) {
    for (int role = 0; role < 2; role++) {
        size_t n = squeeze(zip, sizeof zip, "abc", 3, 6), len = 0;
        bool m = role;
        len += xt_frame(in + len, 0xc1, m, zip, n);
        len += xt_frame(in + len, 0x81, m, "x", 1);
        len += xt_frame(in + len, 0x01, m, "y", 1);
        len += xt_frame(in + len, 0x80, m, "z", 1);
        len += xt_frame(in + len, 0xc2, m, "\0", 1);      /* an empty message */
        len += xt_frame(in + len, 0xc2, m, "", 0);        /* as some compressors write it */
        len += xt_frame(in + len, 0x42, m, "", 0);        /* the same in two frames */
        len += xt_frame(in + len, 0x80, m, "", 0);
        len += xt_frame(in + len, 0xc2, m, zip, n);
        fresh(role ? XW_WS_SERVER : XW_WS_CLIENT, false, 8, 1000);
        xt_ws_feed(&t, in, len);
        XT_WS(&t, "M1(abc) M1(x) M1(yz) M2() M2() M2() M2(abc)", "");
        xt_ws_free(&t);
    }
}

/* Several a poll lie side by side; none is overwritten before release. */
XT_TEST(many_fill_the_assembly) {
    size_t len = 0, n;
    memset(plain, 'a', 30000);
    n = squeeze(zip, sizeof zip, plain, 30000, 6);
    for (int i = 0; i < 20; i++)
        len += xt_frame(in + len, 0xc2, false, zip, n);
    fresh(XW_WS_CLIENT, false, 8, 40000); /* the assembly has room for one and a bit */
    xt_ws_feed(&t, in, len);
    for (const char *p = t.log; (n = 20, p = strstr(p, "M2(30000#")); p++)
        len = 0;
    XT_EQ(len, 0);
    unsigned cnt = 0;
    for (const char *p = strstr(t.log, "M2("); p; p = strstr(p + 1, "M2("))
        cnt += !memcmp(p, t.log, 17);
    XT_EQ(cnt, 20);
    xt_ws_free(&t);
}

/* ---- limits and faults ---- */

static void fails(enum xw_ws_role role, uint64_t max, const uint8_t *p, size_t len, unsigned code, int error) {
    char want[64];
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        if (bytewise && len > 5000)
            continue;
        fresh(role, false, 8, max);
        for (size_t i = 0; i < len; i += bytewise ? 1 : len)
            xt_ws_feed(&t, p + i, bytewise ? 1 : len);
        xt_ws_collect(&t);
        XT_EQ(t.bs.st.tx_shut, true);
        peer_ends();
        snprintf(want, sizeof want, "ENDED(%d,%u,%u,ws,us)", error, code, code);
        XT_STR(t.log, want);
        xt_ws_free(&t);
    }
}

static void both_fail(uint64_t max, unsigned first, const void *p, size_t len, unsigned code, int error) {
    for (int m = 0; m < 2; m++) {
        size_t n = xt_frame(in, first, m, p, len);
        fails(m ? XW_WS_SERVER : XW_WS_CLIENT, max, in, n, code, error);
    }
}

XT_TEST(limit_is_that_of_the_inflated_message) {
    memset(plain, 0, sizeof plain);
    for (size_t len = 49999; len <= 50001; len++) {
        size_t n = squeeze(zip, sizeof zip, plain, len, 9);
        if (len > 50000) {
            both_fail(50000, 0xc2, zip, n, 1009, XW_ETOOBIG);
            continue;
        }
        fresh(XW_WS_CLIENT, false, 8, 50000);
        xt_ws_feed(&t, in, xt_frame(in, 0xc2, false, zip, n));
        XT_EQ(t.last.data.len, len);
        xt_ws_free(&t);
    }
}

/* 4 MiB of zeros in 4 KiB; and a frame that is longer than any compressor makes of the limit is refused by its header. */
XT_TEST(bombs) {
    size_t n = squeeze(zip, sizeof zip, plain, sizeof plain, 9);
    XT_TRUE(n < 8192);
    both_fail(50000, 0xc2, zip, n, 1009, XW_ETOOBIG);
    uint8_t header[] = { 0xc2, 127, 0, 0, 0, 1, 0, 0, 0, 0 };
    fails(XW_WS_CLIENT, 50000, header, sizeof header, 1009, XW_ETOOBIG);
    size_t len = xt_frame(in, 0x42, false, "\0\0\0\xff\xff", 5); /* empty blocks without end */
    memset(zip, 0, 60000);
    for (size_t i = 0; i + 5 <= 60000; i += 5)
        memcpy(zip + i, "\0\0\0\xff\xff", 5);
    len += xt_frame(in + len, 0x00, false, zip, 60000);
    len += xt_frame(in + len, 0x00, false, zip, 60000);
    fails(XW_WS_CLIENT, 50000, in, len, 1009, XW_ETOOBIG);
}

XT_TEST(data_that_is_no_deflate) {
    both_fail(1000, 0xc1, "\x07", 1, 1007, XW_EPROTO);
    both_fail(1000, 0xc2, "\xff\xff\xff\xff", 4, 1007, XW_EPROTO);
    both_fail(1000, 0xc2, "\xf2\x00\x11\x00\x00", 5, 1007, XW_EPROTO); /* looks back beyond the first message */
    size_t n = squeeze(zip, sizeof zip, "a message that is cut", 21, 6);
    for (size_t len = 1; len < n; len++)
        both_fail(1000, 0xc2, zip, len, 1007, XW_EPROTO);
}

XT_TEST(text_is_checked_when_inflated) {
    size_t n = squeeze(zip, sizeof zip, "ab\xff" "cd", 5, 6);
    both_fail(1000, 0xc1, zip, n, 1007, XW_EPROTO);
    n = squeeze(zip, sizeof zip, "ab\xe2\x82", 4, 6);
    both_fail(1000, 0xc1, zip, n, 1007, XW_EPROTO);
    /* at the first bad byte, not at the message's end */
    n = squeeze(zip, sizeof zip, "ab\xff" "cd", 5, 0);
    fails(XW_WS_CLIENT, 1000, in, xt_frame(in, 0x41, false, zip, n), 1007, XW_EPROTO);
}

XT_TEST(rsv1_where_it_does_not_belong) {
    static const unsigned firsts[] = { 0xc0, 0xc8, 0xc9, 0xca, 0xe1, 0xd1, 0xa1 };
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++)
        both_fail(1000, firsts[i], "\0", 1, 1002, XW_EPROTO);
    size_t n = squeeze(zip, sizeof zip, "abc", 3, 6);
    size_t len = xt_frame(in, 0x41, false, zip, 1);
    len += xt_frame(in + len, 0xc0, false, zip + 1, n - 1);
    fails(XW_WS_CLIENT, 1000, in, len, 1002, XW_EPROTO);
}

/* ---- sending ---- */

XT_TEST(short_and_empty_messages_go_as_they_are) {
    xt_ws_init(&t, &(struct xt_ws_opt){ .deflate = full, .deflate_min = 10 });
    XT_EQ(xw_ws_send(t.ws, 1, "123456789", 9), 9);
    XT_EQ(xw_ws_send(t.ws, 2, "", 0), 0);
    XT_EQ(xw_ws_send_frame(t.ws, 2, false, "0123456789012345", 16), 16); /* in frames of the caller's: not either */
    XT_EQ(xw_ws_send_frame(t.ws, 0, true, "x", 1), 1);
    XT_WS(&t, "", "F1(123456789) F2() f2(0123456789012345) F0(x)");
    XT_EQ(xw_ws_send(t.ws, 1, "1234567890", 10), 10);
    XT_EQ(xw_ws_send(t.ws, 9, "0123456789", 10), 10);
    xt_ws_collect(&t);
    XT_TRUE(!strncmp(t.sent, "ZF1(", 4) && strstr(t.sent, " F9(0123456789)"));
    xt_ws_free(&t);
    xt_ws_init(&t, &(struct xt_ws_opt){ .deflate = full });
    XT_EQ(xw_ws_send(t.ws, 2, "", 0), 0);
    XT_WS(&t, "", "F2()");
    xt_ws_free(&t);
}

static uint32_t noise_state = 1;
static void noise(uint8_t *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)((noise_state = noise_state * 1664525u + 1013904223u) >> 24);
}

/* More than one buffer's worth, given in parts into a stream with little room: one message in several frames; a pong and
 * a ping of ours go between them. */
XT_TEST(long_messages_go_in_frames) {
    size_t limit = 200000, given = 0;
    noise(plain, limit);
    xt_ws_init(&t, &(struct xt_ws_opt){ .deflate = full, .tx_cap = 4096 });
    xt_ws_init(&s, &(struct xt_ws_opt){ .role = XW_WS_SERVER, .deflate = full });
    int64_t n = xw_ws_send(t.ws, 2, plain, limit);
    XT_TRUE(n > 0 && (size_t)n < limit);
    XT_EQ(xw_ws_send(t.ws, 2, "x", 1), XW_ESTATE);
    XT_TRUE(!xw_ws_writable(t.ws));
    unsigned rounds = 0;
    for (given = (size_t)n; given < limit; rounds++) {
        while (xt_bs_move(&t.bs, &s.bs, 4096))
            xt_ws_run(&s);
        if (rounds == 3)
            xt_ws_feed(&t, "\x89\x01q", 3);
        n = xw_ws_send_more(t.ws, plain + given, limit - given);
        XT_TRUE(n >= 0);
        given += (size_t)n;
    }
    XT_EQ(xw_ws_send_more(t.ws, plain, 1), XW_ESTATE);
    for (int i = 0; i < 40; i++) {
        xt_ws_run(&t);
        xt_bs_move(&t.bs, &s.bs, 4096);
        xt_ws_run(&s);
    }
    XT_STR(t.log, "PING(q)");
    XT_TRUE(strstr(s.log, "PONG(q)") && strstr(s.log, "M2(200000#"));
    XT_TRUE(strstr(s.log, "PONG(q)") < strstr(s.log, "M2(200000#"));
    XT_TRUE(xw_ws_writable(t.ws));
    xt_ws_free(&t);
    xt_ws_free(&s);
}

/* A message that its sender does not complete: the peer's close is answered between two frames all the same. */
XT_TEST(close_between_frames) {
    noise(plain, 200000);
    xt_ws_init(&t, &(struct xt_ws_opt){ .deflate = full, .tx_cap = 4096 });
    XT_TRUE(xw_ws_send(t.ws, 2, plain, 200000) < 200000);
    xt_ws_feed(&t, "\x88\x02\x03\xe8", 4);
    for (int i = 0; i < 40; i++) {
        xt_ws_collect(&t);
        xt_ws_run(&t);
    }
    XT_TRUE(strstr(t.sent, "Zf2(") == t.sent && strstr(t.sent, " CLOSE(1000,)"));
    XT_TRUE(xw_ws_send_more(t.ws, plain, 10) < 0);
    xt_ws_free(&t);
}

/* ---- both ends ---- */

static void move_all(size_t chunk) {
    for (int idle = 0; idle < 3;) {
        size_t n = xt_bs_move(&t.bs, &s.bs, chunk) + xt_bs_move(&s.bs, &t.bs, chunk);
        xt_ws_run(&t);
        xt_ws_run(&s);
        idle = n ? 0 : idle + 1;
    }
}

static void one_way(struct xt_ws *from, struct xt_ws *to, size_t len, size_t chunk, unsigned kind) {
    char want[64];
    for (size_t i = 0; i < len; i++)
        plain[i] = kind % 3 == 0 ? (uint8_t)(i % 7 + 'a') : (uint8_t)((i * i + kind) >> 5);
    if (kind % 3 == 2)
        noise(plain, len);
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ plain[i]) * 16777619u;
    to->log[0] = 0;
    int64_t n = xw_ws_send(from->ws, 2, plain, len);
    XT_TRUE(n >= 0);
    for (size_t given = (size_t)n; given < len; given += (size_t)n) {
        move_all(chunk);
        n = xw_ws_send_more(from->ws, plain + given, len - given);
        XT_TRUE(n >= 0);
    }
    move_all(chunk);
    snprintf(want, sizeof want, "M2(%zu#%08x)", len, hash);
    XT_STR(to->log, want);
}

/* Handshake by both ends themselves, then messages both ways. */
static void pair(struct xw_ws_pmd offer, struct xw_ws_pmd own, size_t chunk) {
    static const size_t lens[] = { 41, 300, 5000, 41, 70000, 300 };
    xt_ws_init(&t, &(struct xt_ws_opt){ .no_hello = true, .deflate = offer, .tx_cap = 8192 });
    xt_ws_init(&s, &(struct xt_ws_opt){ .no_hello = true, .role = XW_WS_SERVER, .deflate = own, .tx_cap = 8192 });
    move_all(chunk);
    XT_STR(t.log, "OPEN");
    XT_STR(s.log, "OPEN");
    t.log[0] = s.log[0] = 0;
    for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
        one_way(&t, &s, lens[i], chunk, i);
        one_way(&s, &t, lens[i], chunk, i + 1);
    }
    xt_ws_free(&t);
    xt_ws_free(&s);
}

XT_TEST(pair_with_every_window_and_takeover) {
    for (unsigned bits = 8; bits <= 15; bits++)
        for (unsigned resets = 0; resets < 4; resets++) {
            struct xw_ws_pmd offer = { .on = true, .server_reset = resets & 1, .client_reset = resets & 2,
                                       .server_bits = (uint8_t)bits, .client_bits = (uint8_t)(23 - bits) };
            pair(offer, (struct xw_ws_pmd){ .on = true }, 1 + bits * 997);
            offer = (struct xw_ws_pmd){ .on = true, .client_bits = XW_WS_PMD_BITS_ANY };
            struct xw_ws_pmd own = { .on = true, .server_reset = resets & 1, .client_reset = resets & 2,
                                     .server_bits = (uint8_t)bits, .client_bits = (uint8_t)(23 - bits) };
            pair(offer, own, 100 + resets);
        }
}

XT_TEST(not_agreed_is_not_used) {
    pair(full, (struct xw_ws_pmd){ 0 }, 4096);
    pair((struct xw_ws_pmd){ 0 }, full, 4096);
    xt_ws_init(&t, &(struct xt_ws_opt){ .no_hello = true, .deflate = full });
    xt_ws_run(&t);
    char answer[512];
    xt_ws_feed(&t, answer, xt_ws_answer(&t, answer, ""));
    XT_STR(t.log, "OPEN");
    t.log[0] = 0;
    XT_EQ(xw_ws_send(t.ws, 1, "not compressed", 14), 14);
    xt_ws_feed(&t, "\xc1\x01\0", 3);
    xt_ws_collect(&t);
    XT_TRUE(!strncmp(t.sent, "F1(not compressed) CLOSE(1002,", 30));
    xt_ws_free(&t);
}

/* ---- handshake ---- */

static void answered(const char *value, const char *log) {
    char text[512], more[200];
    xt_ws_init(&t, &(struct xt_ws_opt){ .no_hello = true, .deflate = { .on = true } });
    xt_ws_run(&t);
    snprintf(more, sizeof more, "Sec-WebSocket-Extensions: %s\r\n", value);
    xt_ws_feed(&t, text, xt_ws_answer(&t, text, more));
    XT_STR(t.log, log);
    xt_ws_free(&t);
}

XT_TEST(answers) {
    answered("permessage-deflate", "OPEN");
    answered("permessage-deflate; server_max_window_bits=15", "OPEN"); /* not asked for, harmless */
    answered("permessage-deflate; client_max_window_bits=15", "OPEN");
    answered("permessage-deflate; client_max_window_bits=9", "ENDED(-10,1006,0,http,peer)");
    answered("permessage-deflate; nonsense", "ENDED(-10,1006,0,http,peer)");
    answered("permessage-deflate;", "ENDED(-10,1006,0,http,peer)");
    answered("deflate-frame", "ENDED(-10,1006,0,http,peer)");
}

XT_TEST(requests) {
    static const char head[] = "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                               "Sec-WebSocket-Extensions: %s\r\n\r\n";
    static const struct { const char *value, *status, *answer; } rows[] = {
        { "permessage-deflate; client_max_window_bits", "101", "Extensions: permessage-deflate\r\n" },
        { "foo, permessage-deflate; server_max_window_bits=9", "101",
          "Extensions: permessage-deflate; server_max_window_bits=9\r\n" },
        { "permessage-deflate; x", "101", NULL }, { "foo", "101", NULL }, { "permessage-deflate;", "400", NULL },
    };
    char text[600];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        xt_ws_init(&t, &(struct xt_ws_opt){ .no_hello = true, .role = XW_WS_SERVER, .deflate = { .on = true } });
        int n = snprintf(text, sizeof text, head, rows[i].value);
        xt_ws_feed(&t, text, (size_t)n);
        text[xt_bs_take(&t.bs, text, sizeof text - 1)] = 0;
        XT_TRUE(!memcmp(text + 9, rows[i].status, 3));
        if (rows[i].answer)
            XT_TRUE(strstr(text, rows[i].answer));
        else
            XT_TRUE(!strstr(text, "Extensions"));
        xt_ws_free(&t);
    }
}

XT_TEST(arguments_are_checked) {
    uint8_t seed[32] = { 0 };
    struct xw_rng rng;
    xw_rng_init(&rng, seed);
    xt_ws_init(&t, &(struct xt_ws_opt){ .no_hello = true, .deflate = full });
    struct xw_ws_cfg bad, good = { .role = XW_WS_CLIENT, .bs = &t.bs.bs, .rng = &rng, .max_message = 1000, .host = "h",
                                   .assembly = xw_mspan(t.assembly, XW_WS_ASSEMBLY_MIN), .deflate = full,
                                   .deflate_mem = xw_mspan(t.deflate_mem, XW_WS_DEFLATE_NEED) };
    XT_EQ(xw_ws_init(t.ws, &good), 0);
    bad = good; bad.deflate.server_bits = 7; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    bad = good; bad.deflate.client_bits = 16; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    bad = good; bad.deflate_mem.len--; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    bad = good; bad.deflate_mem.p = NULL; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    bad = good; bad.role = XW_WS_SERVER; bad.deflate.client_bits = 1; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    bad = good; bad.deflate = (struct xw_ws_pmd){ 0 }; bad.deflate_mem.p = NULL; XT_EQ(xw_ws_init(t.ws, &bad), 0);
    xt_ws_free(&t);
}

XT_MAIN(XT_RUN(every_cut_and_every_shape), XT_RUN(mixed_with_plain_and_empty), XT_RUN(many_fill_the_assembly),
        XT_RUN(limit_is_that_of_the_inflated_message), XT_RUN(bombs), XT_RUN(data_that_is_no_deflate),
        XT_RUN(text_is_checked_when_inflated), XT_RUN(rsv1_where_it_does_not_belong),
        XT_RUN(short_and_empty_messages_go_as_they_are), XT_RUN(long_messages_go_in_frames),
        XT_RUN(close_between_frames), XT_RUN(pair_with_every_window_and_takeover), XT_RUN(not_agreed_is_not_used),
        XT_RUN(answers), XT_RUN(requests), XT_RUN(arguments_are_checked))
