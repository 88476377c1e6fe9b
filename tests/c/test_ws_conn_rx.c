/* Receiving: every fault with its close code, every message shape, and the same events however the bytes are cut. */
#include "ws/conn.h"
#include "xt.h"
#include "xt_ws.h"

static struct xt_ws t;

struct shape { enum xw_ws_role role; bool plain; unsigned max_events; };
static const struct shape shapes[] = {
    { XW_WS_CLIENT, false, 8 }, { XW_WS_CLIENT, false, 1 }, { XW_WS_CLIENT, true, 8 }, { XW_WS_CLIENT, true, 1 },
    { XW_WS_SERVER, false, 8 }, { XW_WS_SERVER, true, 1 },
};

/* Frames of one case: first byte of the header and payload. Masked for the server role. */
struct part { unsigned first; const char *data; size_t len; };
#define P(first, text) { first, text, sizeof(text) - 1 }

static size_t build(uint8_t *out, const struct part *parts, size_t cnt, bool masked) {
    size_t n = 0;
    for (size_t i = 0; i < cnt; i++)
        n += xt_frame(out + n, parts[i].first, masked, parts[i].data, parts[i].len);
    return n;
}

static void fresh(const struct shape *s, uint32_t rx_cap) {
    xt_ws_init(&t, &(struct xt_ws_opt){ .role = s->role, .plain = s->plain, .max_events = s->max_events,
        .rx_cap = rx_cap });
}

/* Ends the stream as the peer would. */
static void peer_ends(void) {
    xt_ws_collect(&t);
    t.bs.st.rx_eof = true;
    xt_ws_run(&t);
}

/* The same bytes whole, byte by byte and cut in two at every offset, in every shape; then the end of the stream. */
static void all_ways(const struct part *parts, size_t cnt, const char *log, const char *sent) {
    uint8_t in[4096];
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        size_t len = build(in, parts, cnt, shapes[s].role == XW_WS_SERVER);
        for (size_t cut = 0; cut <= len + 1; cut++) {
            fresh(&shapes[s], 4096);
            if (cut > len) {
                for (size_t i = 0; i < len; i++)
                    xt_ws_feed(&t, in + i, 1);
            } else {
                xt_ws_feed(&t, in, cut);
                xt_ws_feed(&t, in + cut, len - cut);
            }
            peer_ends();
            XT_WS(&t, log, sent);
            XT_EQ(t.bs.rx.head, t.bs.rx.tail);
            xt_ws_free(&t);
        }
    }
}
#define ALL_WAYS(log, sent, ...) \
    all_ways((const struct part[]){ __VA_ARGS__ }, sizeof((const struct part[]){ __VA_ARGS__ }) / sizeof(struct part), \
             log, sent)

#define GONE " ENDED(-3,1006,0,ws,peer)"

XT_TEST(messages_of_every_shape) {
    ALL_WAYS("M1(Hello)" GONE, "", P(0x81, "Hello"));
    ALL_WAYS("M1() M2() M1(x)" GONE, "", P(0x81, ""), P(0x82, ""), P(0x81, "x"));
    ALL_WAYS("M1(Hello)" GONE, "", P(0x01, "Hel"), P(0x80, "lo"));
    ALL_WAYS("M2(abcdef) M1(x)" GONE, "", P(0x02, "ab"), P(0x00, "cd"), P(0x00, ""), P(0x80, "ef"), P(0x81, "x"));
    ALL_WAYS("M1()" GONE, "", P(0x01, ""), P(0x00, ""), P(0x80, ""));
    ALL_WAYS("M1(a) M1(bc) M2(d)" GONE, "", P(0x81, "a"), P(0x01, "b"), P(0x80, "c"), P(0x82, "d"));
}

XT_TEST(control_frames_between_fragments) {
    ALL_WAYS("PING(p1) PONG(q) M1(Hello) PONG()" GONE, "F10(p1)", P(0x01, "Hel"), P(0x89, "p1"), P(0x8a, "q"),
             P(0x80, "lo"),
             P(0x8a, ""));
    ALL_WAYS("PING()" GONE, "F10()", P(0x89, ""));
}

XT_TEST(utf8_across_fragments) {
    ALL_WAYS("M1(\xe2\x82\xac\xf0\x9f\x92\xa9)" GONE, "", P(0x01, "\xe2"), P(0x00, "\x82"), P(0x00, "\xac\xf0\x9f"),
             P(0x80, "\x92\xa9"));
    ALL_WAYS("M2(\xff\xfe)" GONE, "", P(0x82, "\xff\xfe"));
}

XT_TEST(bad_text_however_it_is_cut) {
    static const char end[] = "ENDED(-10,1007,1007,ws,us)", close[] = "CLOSE(1007,text message is not valid UTF-8)";
    ALL_WAYS(end, close, P(0x81, "ab\xff" "cd"));
    ALL_WAYS(end, close, P(0x81, "ab\xe2\x82"));
    ALL_WAYS(end, close, P(0x01, "ab\xe2"), P(0x80, "x"));
    ALL_WAYS(end, close, P(0x01, "ab\xe2"), P(0x80, ""));
    ALL_WAYS("ENDED(-10,1002,1002,ws,us)", "CLOSE(1002,50#dc0e5e71)", P(0xc1, "compressed"));
}

/* Text of a fault is in the close frame; here the code is what counts. */
static void fault(const struct part *parts, size_t cnt, const char *before, unsigned code, int error) {
    char log[128], sent[32];
    uint8_t in[1024];
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            size_t len = build(in, parts, cnt, shapes[s].role == XW_WS_SERVER);
            /* what follows the fault counts for nothing, a close frame included */
            len += xt_frame(in + len, 0x81, shapes[s].role == XW_WS_SERVER, "late", 4);
            len += xt_frame(in + len, 0x88, shapes[s].role == XW_WS_SERVER, "\x03\xe8", 2);
            fresh(&shapes[s], 4096);
            for (size_t i = 0; i < len; i += bytewise ? 1 : len)
                xt_ws_feed(&t, in + i, bytewise ? 1 : len);
            xt_ws_collect(&t);
            XT_EQ(t.bs.st.tx_shut, true);
            XT_STR(t.log, before);
            peer_ends();
            snprintf(log, sizeof log, "%s%sENDED(%d,%u,%u,ws,us)", before, *before ? " " : "", error, code, code);
            snprintf(sent, sizeof sent, "CLOSE(%u,", code);
            XT_STR(t.log, log);
            XT_TRUE(strstr(t.sent, sent) && !strstr(strstr(t.sent, sent), ") "));
            xt_ws_free(&t);
        }
}
#define FAULT(before, code, error, ...) \
    fault((const struct part[]){ __VA_ARGS__ }, sizeof((const struct part[]){ __VA_ARGS__ }) / sizeof(struct part), \
          before, code, error)

XT_TEST(faults_of_headers_and_order) {
    static const char big[126] = "x";
    FAULT("", 1002, -10, P(0xa1, "a"));
    FAULT("", 1002, -10, P(0x91, "a"));
    FAULT("", 1002, -10, P(0xc9, "a"));
    FAULT("", 1002, -10, P(0x83, "a"));
    FAULT("", 1002, -10, P(0x8b, ""));
    FAULT("", 1002, -10, P(0x09, "a"));
    FAULT("", 1002, -10, { 0x89, big, 126 });
    FAULT("", 1002, -10, P(0x80, "a"));
    FAULT("", 1002, -10, P(0x00, ""));
    FAULT("M1(a)", 1002, -10, P(0x01, "a"), P(0x80, ""), P(0x80, "b"));
    FAULT("", 1002, -10, P(0x01, "a"), P(0x81, "b"));
    FAULT("", 1002, -10, P(0x02, "a"), P(0x01, "b"));
    FAULT("PING(a)", 1002, -10, P(0x02, "a"), P(0x89, "a"), P(0x82, "b"));
}

XT_TEST(faults_of_close_frames) {
    static const unsigned bad[] = { 0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535 };
    FAULT("", 1002, -10, P(0x88, "\x03"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char p[2] = { (char)(bad[i] >> 8), (char)bad[i] };
        FAULT("", 1002, -10, { 0x88, p, 2 });
    }
    FAULT("", 1007, -10, P(0x88, "\x03\xe8\xff"));
    FAULT("", 1007, -10, P(0x88, "\x03\xe8ok\xc3"));
}

XT_TEST(wrong_masking) {
    uint8_t in[32];
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        size_t n = xt_frame(in, 0x81, shapes[s].role == XW_WS_CLIENT, "abc", 3);
        fresh(&shapes[s], 4096);
        xt_ws_feed(&t, in, n);
        peer_ends();
        XT_STR(t.log, "ENDED(-10,1002,1002,ws,us)");
        XT_TRUE(strstr(t.sent, "mask"));
        xt_ws_free(&t);
    }
}

XT_TEST(lengths_beyond_the_limit) {
    static const uint8_t top[] = { 0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    static const uint8_t huge[] = { 0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    static const uint8_t odd[] = { 0x82, 0x7e, 0x00, 0x05 };
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    xt_ws_feed(&t, top, sizeof top);
    peer_ends();
    XT_WS(&t, "ENDED(-10,1002,1002,ws,us)", "CLOSE(1002,64-bit length with the top bit set)");
    xt_ws_free(&t);
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    xt_ws_feed(&t, huge, sizeof huge);
    peer_ends();
    XT_WS(&t, "ENDED(-15,1009,1009,ws,us)", "CLOSE(1009,message longer than the limit)");
    xt_ws_free(&t);
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    xt_ws_feed(&t, odd, sizeof odd);
    peer_ends();
    XT_WS(&t, "ENDED(-10,1002,1002,ws,us)", "CLOSE(1002,length not in its shortest form)");
    xt_ws_free(&t);
}

XT_TEST(limit_counts_over_fragments) {
    uint8_t in[64];
    size_t n = xt_frame(in, 0x02, false, "0123456789", 10);
    n += xt_frame(in + n, 0x80, false, "0123456789", 10);
    xt_ws_init(&t, &(struct xt_ws_opt){ .max_message = 20 });
    xt_ws_feed(&t, in, n);
    XT_WS(&t, "M2(01234567890123456789)", "");
    xt_ws_feed(&t, in, n - 12);
    n = xt_frame(in, 0x80, false, "0123456789x", 11);
    xt_ws_feed(&t, in, n);
    peer_ends();
    XT_WS(&t, "ENDED(-15,1009,1009,ws,us)", "CLOSE(1009,message longer than the limit)");
    xt_ws_free(&t);
}

/* A frame cut off by the end of the stream, at every offset: no message, no close frame. */
XT_TEST(truncated_frame) {
    uint8_t in[160];
    static char body[130];
    memset(body, 'b', sizeof body);
    size_t len = xt_frame(in, 0x81, false, body, sizeof body);
    for (size_t n = 0; n < len; n++)
        for (int plain = 0; plain < 2; plain++) {
            xt_ws_init(&t, &(struct xt_ws_opt){ .plain = plain });
            xt_ws_feed(&t, in, n);
            peer_ends();
            XT_WS(&t, "ENDED(-3,1006,0,ws,peer)", "");
            xt_ws_free(&t);
        }
}

/* Fails at the bad byte, with the rest of the frame still to come. */
XT_TEST(utf8_fails_fast) {
    static const uint8_t in[] = { 0x81, 0x7e, 0x10, 0x00, 'a', 'b', 0xc0 };
    static const uint8_t frag[] = { 0x01, 0x02, 'a', 0xed, 0x80, 0x7e, 0x01, 0x00, 0xa0 };
    for (int plain = 0; plain < 2; plain++) {
        xt_ws_init(&t, &(struct xt_ws_opt){ .plain = plain });
        xt_ws_feed(&t, in, sizeof in - 1);
        XT_WS(&t, "", "");
        xt_ws_feed(&t, in + sizeof in - 1, 1);
        XT_WS(&t, "", "CLOSE(1007,text message is not valid UTF-8)");
        xt_ws_free(&t);
        xt_ws_init(&t, &(struct xt_ws_opt){ .plain = plain });
        xt_ws_feed(&t, frag, sizeof frag - 1);
        XT_WS(&t, "", "");
        xt_ws_feed(&t, frag + sizeof frag - 1, 1);
        XT_WS(&t, "", "CLOSE(1007,text message is not valid UTF-8)");
        xt_ws_free(&t);
    }
}

XT_TEST(utf8_check_can_be_off) {
    uint8_t in[16];
    size_t n = xt_frame(in, 0x81, false, "\xff", 1);
    n += xt_frame(in + n, 0x01, false, "\xff", 1);
    n += xt_frame(in + n, 0x80, false, "\xfe", 1);
    xt_ws_init(&t, &(struct xt_ws_opt){ .no_utf8 = true });
    xt_ws_feed(&t, in, n);
    XT_WS(&t, "M1(\xff) M1(\xff\xfe)", "");
    xt_ws_free(&t);
}

XT_TEST(a_thousand_fragments_of_one_byte) {
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        bool masked = shapes[s].role == XW_WS_SERVER;
        uint8_t in[64];
        fresh(&shapes[s], 4096);
        for (unsigned i = 0; i < 1000; i++) {
            size_t n = xt_frame(in, (i ? 0u : 1u) | (i == 999 ? 0x80u : 0u), masked, "z", 1);
            xt_ws_feed(&t, in, n);
        }
        XT_TRUE(!strncmp(t.log, "M1(1000#", 8));
        xt_ws_free(&t);
    }
}

/* Larger than the ring, alone and behind a small message, with a ping behind it. */
XT_TEST(messages_larger_than_the_ring) {
    static uint8_t in[40000], body[30000];
    char want[200];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)('a' + i % 23);
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof body; i++)
        hash = (hash ^ body[i]) * 16777619u;
    snprintf(want, sizeof want, "M2(first) M1(30000#%08x) PING(p) M1(last)", hash);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t step = 1; step < 9000; step = step * 3 + 1) {
            bool masked = shapes[s].role == XW_WS_SERVER;
            size_t n = xt_frame(in, 0x82, masked, "first", 5);
            n += xt_frame(in + n, 0x81, masked, body, sizeof body);
            n += xt_frame(in + n, 0x89, masked, "p", 1);
            n += xt_frame(in + n, 0x81, masked, "last", 4);
            fresh(&shapes[s], 4096);
            for (size_t at = 0; at < n; at += step)
                xt_ws_feed(&t, in + at, n - at < step ? n - at : step);
            XT_WS(&t, want, "F10(p)");
            xt_ws_free(&t);
        }
}

/* Nothing of an event's span changes before release, and nothing is consumed; then all of it is. */
XT_TEST(zero_copy_until_release) {
    uint8_t in[64];
    struct xw_ws_event ev[4];
    size_t n = xt_frame(in, 0x81, false, "one", 3);
    n += xt_frame(in + n, 0x82, false, "two", 3);
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    uint64_t head = t.bs.rx.head;
    xt_bs_push(&t.bs, in, n);
    XT_EQ(xw_ws_poll(t.ws, 1, ev, 4), 2);
    XT_TRUE(ev[0].data.p == xw_bytering_at(&t.bs.rx, head + 2));
    XT_TRUE(ev[1].data.p == xw_bytering_at(&t.bs.rx, head + 7));
    XT_EQ(t.bs.rx.head, head);
    XT_EQ(xw_ws_poll(t.ws, 1, ev + 2, 2), 0);
    XT_EQ(t.bs.rx.head, head);
    XT_MEM(ev[0].data.p, "one", 3);
    xw_ws_release(t.ws);
    XT_EQ(t.bs.rx.head, head + 10);
    xt_ws_free(&t);
}

static uint64_t fixed_clock(void *arg) { return *(uint64_t *)arg; }

XT_TEST(offsets_stamps_and_parsed_time) {
    uint8_t in[64];
    struct xw_ws_event ev[2];
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    uint64_t base = t.bs.rx.head;
    size_t n = xt_frame(in, 0x81, false, "hello", 5);
    xt_bs_push(&t.bs, in, n);
    XT_EQ(xw_ws_poll(t.ws, 1, ev, 2), 1);
    XT_EQ(ev[0].off_first, base);
    XT_EQ(ev[0].off_last, base + 6);
    XT_EQ(ev[0].last.ring_ns, 1000 + base + 6);
    XT_EQ(ev[0].first.ring_ns, 1000 + base / 10 * 10);
    XT_EQ(ev[0].parsed_ns, 0);
    /* fragmented: the first stamp is kept from the first frame */
    n = xt_frame(in, 0x01, false, "0123456789abcdef", 16);
    n += xt_frame(in + n, 0x80, false, "x", 1);
    xt_ws_feed(&t, in, n);
    XT_EQ(t.last.off_first, base + 7);
    XT_EQ(t.last.off_last, base + 7 + 18 + 2);
    XT_EQ(t.last.first.ring_ns, 1000 + (base + 7) / 10 * 10);
    XT_EQ(t.last.last.ring_ns, 1000 + base + 7 + 18 + 2);
    xt_ws_free(&t);

    uint64_t tick = 777;
    struct xw_rng rng;
    uint8_t seed[32] = { 3 };
    struct xt_ws s;
    xt_ws_init(&s, &(struct xt_ws_opt){ .no_hello = true, .role = XW_WS_SERVER });
    xw_rng_init(&rng, seed);
    struct xw_ws_cfg cfg = { .role = XW_WS_SERVER, .bs = &s.bs.bs, .rng = &rng, .max_message = 1 << 20,
        .clock = fixed_clock,
                             .clock_arg = &tick, .assembly = xw_mspan(s.assembly, 1 << 20), .view_max = 4096 };
    XT_EQ(xw_ws_init(s.ws, &cfg), 0);
    static const char hello[] = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    n = xt_frame(in, 0x81, true, "hi", 2);
    xt_bs_push(&s.bs, hello, sizeof hello - 1);
    xt_bs_push(&s.bs, in, n);
    xt_ws_run(&s);
    XT_STR(s.log, "OPEN M1(hi)");
    XT_EQ(s.last.parsed_ns, 777);
    XT_EQ(s.last.first.valid, 0);
    xt_ws_free(&s);
}

/* A paused reader (max 0) takes nothing and loses nothing. */
XT_TEST(paused_reader) {
    uint8_t in[16];
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    size_t n = xt_frame(in, 0x81, false, "x", 1);
    xt_bs_push(&t.bs, in, n);
    for (int i = 0; i < 3; i++)
        XT_EQ(xw_ws_poll(t.ws, 1, NULL, 0), 0);
    XT_TRUE(xw_ws_deadline(t.ws) == UINT64_MAX);
    xt_ws_run(&t);
    XT_WS(&t, "M1(x)", "");
    xt_ws_free(&t);
}

XT_MAIN(XT_RUN(messages_of_every_shape), XT_RUN(control_frames_between_fragments), XT_RUN(utf8_across_fragments),
        XT_RUN(bad_text_however_it_is_cut), XT_RUN(faults_of_headers_and_order), XT_RUN(faults_of_close_frames),
        XT_RUN(wrong_masking), XT_RUN(lengths_beyond_the_limit), XT_RUN(limit_counts_over_fragments),
            XT_RUN(truncated_frame),
        XT_RUN(utf8_fails_fast), XT_RUN(utf8_check_can_be_off), XT_RUN(a_thousand_fragments_of_one_byte),
        XT_RUN(messages_larger_than_the_ring), XT_RUN(zero_copy_until_release), XT_RUN(offsets_stamps_and_parsed_time),
        XT_RUN(paused_reader))
