/* Life of a connection: handshakes on the stream, every order of closing, time-outs, and both roles against each
 * other. */
#include "base/err.h"
#include "base/limits.h"
#include "ws/conn.h"
#include "xt.h"
#include "xt_ws.h"

static struct xt_ws t, s;

#define CLIENT_RAW (&(struct xt_ws_opt){ .no_hello = true })

/* ---- handshake ---- */

/* An answer followed by the end of the stream: whole, bytewise and cut everywhere, on both kinds of ring. */
static void answered(const char *in, const char *log) {
    size_t len = strlen(in);
    for (int plain = 0; plain < 2; plain++)
        for (size_t cut = 0; cut <= len; cut += 1 + len / 97) {
            xt_ws_init(&t, &(struct xt_ws_opt){ .no_hello = true, .plain = plain, .rx_cap = 4096,
                .max_events = plain ? 1 : 8 });
            xt_ws_run(&t);
            xt_ws_feed(&t, in, cut);
            xt_ws_feed(&t, in + cut, len - cut);
            t.bs.st.rx_eof = true;
            xt_ws_run(&t);
            XT_STR(t.log, log);
            xt_ws_free(&t);
        }
}

XT_TEST(answers_that_do_not_open) {
    answered("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nforbidden+",
             "REJECTED(403,54) ENDED(-13,1006,0,http,peer)");
    answered("HTTP/1.1 403 Forbidden\r\n\r\nuntil the end", "REJECTED(403,39) ENDED(-13,1006,0,http,peer)");
    answered("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
             "REJECTED(302,55) ENDED(-13,1006,0,http,peer)");
    answered("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 401 X\r\nContent-Length: 1\r\n\r\nx",
             "REJECTED(401,38) ENDED(-13,1006,0,http,peer)");
    answered("SSH-2.0-OpenSSH_9.2\r\n", "ENDED(-10,1006,0,http,peer)");
    answered("HTTP/1.1 101 X\r\nA: b\r\n c\r\n\r\n", "ENDED(-10,1006,0,http,peer)");
    answered("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
             "ENDED(-10,1006,0,http,peer)");
    answered("HTTP/1.1 101 Swit", "ENDED(-3,1006,0,http,peer)");
    answered("", "ENDED(-3,1006,0,http,peer)");
}

XT_TEST(head_that_never_ends) {
    xt_ws_init(&t, CLIENT_RAW);
    xt_ws_run(&t);
    xt_ws_feed(&t, "HTTP/1.1 200 OK\r\n", 17);
    for (unsigned i = 0; i < XW_HTTP_HEAD_MAX / 8; i++)
        xt_ws_feed(&t, "A: bcd\r\n", 8);
    XT_STR(t.log, "ENDED(-10,1006,0,http,peer)");
    xt_ws_free(&t);
}

XT_TEST(endless_early_hints) {
    xt_ws_init(&t, CLIENT_RAW);
    xt_ws_run(&t);
    for (unsigned i = 0; i < 20; i++)
        xt_ws_feed(&t, "HTTP/1.1 103 X\r\n\r\n", 18);
    XT_STR(t.log, "ENDED(-10,1006,0,http,peer)");
    xt_ws_free(&t);
}

/* A server that keeps the connection alive and does not send the whole body: what is there is shown after a second. */
XT_TEST(body_is_not_waited_for_long) {
    static const char in[] = "HTTP/1.1 500 X\r\nContent-Length: 100\r\n\r\npart";
    xt_ws_init(&t, CLIENT_RAW);
    xt_ws_run(&t);
    xt_ws_feed(&t, in, sizeof in - 1);
    XT_STR(t.log, "");
    XT_EQ(xw_ws_deadline(t.ws), t.now + XW_NS_PER_S);
    t.now += XW_NS_PER_S;
    xt_ws_run(&t);
    XT_STR(t.log, "REJECTED(500,43) ENDED(-13,1006,0,http,peer)");
    xt_ws_free(&t);
}

/* Frames right behind the 101, in the same bytes and cut at every offset. */
XT_TEST(frames_in_the_bytes_of_the_answer) {
    char in[2048];
    uint8_t fr[64];
    for (int plain = 0; plain < 2; plain++)
        for (size_t cut = 0, len = 1; cut < len; cut++) {
            xt_ws_init(&t, &(struct xt_ws_opt){ .no_hello = true, .plain = plain, .subprotocols = "a,b" });
            xt_ws_run(&t);
            len = xt_ws_answer(&t, in, "Sec-WebSocket-Protocol: b\r\n");
            size_t n = xt_frame(fr, 0x81, false, "first", 5);
            n += xt_frame(fr + n, 0x01, false, "se", 2);
            n += xt_frame(fr + n, 0x80, false, "cond", 4);
            memcpy(in + len, fr, n);
            len += n;
            xt_ws_feed(&t, in, cut);
            xt_ws_feed(&t, in + cut, len - cut);
            XT_WS(&t, "OPEN M1(first) M1(second)", "");
            xt_ws_free(&t);
        }
}

XT_TEST(extension_not_offered) {
    char in[1024];
    xt_ws_init(&t, CLIENT_RAW);
    xt_ws_run(&t);
    size_t n = xt_ws_answer(&t, in, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    xt_ws_feed(&t, in, n);
    XT_STR(t.log, "ENDED(-10,1006,0,http,peer)");
    XT_EQ(t.bs.shuts, 1);
    xt_ws_free(&t);
}

XT_TEST(waits_for_the_stream_to_open) {
    xt_ws_init(&t, CLIENT_RAW);
    t.bs.st.state = XW_BS_CONNECTING;
    xt_ws_run(&t);
    XT_EQ(xw_bytering_len(&t.bs.tx), 0);
    XT_EQ(xw_ws_send(t.ws, 1, "x", 1), XW_ESTATE);
    t.bs.st.state = XW_BS_FAILED;
    t.bs.st.error = XW_EREFUSED;
    xt_ws_run(&t);
    XT_STR(t.log, "ENDED(-13,1006,0,below,peer)");
    xt_ws_free(&t);
}

XT_TEST(closed_before_it_opened) {
    xt_ws_init(&t, CLIENT_RAW);
    t.bs.st.state = XW_BS_CONNECTING;
    xt_ws_run(&t);
    XT_EQ(xw_ws_close(t.ws, 1000, NULL, 0, t.now), 0);
    XT_EQ(xw_ws_deadline(t.ws), 0);
    xt_ws_run(&t);
    XT_STR(t.log, "ENDED(-3,1006,0,http,us)");
    XT_EQ(t.bs.aborts, 1);
    xt_ws_free(&t);
}

XT_TEST(arguments_are_checked) {
    struct xw_ws_cfg good, bad;
    uint8_t seed[32] = { 0 };
    struct xw_rng rng;
    xw_rng_init(&rng, seed);
    xt_ws_init(&t, CLIENT_RAW);
    good = (struct xw_ws_cfg){ .role = XW_WS_CLIENT, .bs = &t.bs.bs, .rng = &rng, .max_message = 1000, .host = "h",
                               .assembly = xw_mspan(t.assembly, XW_WS_ASSEMBLY_MIN) };
    XT_EQ(xw_ws_init(t.ws, &good), 0);
    bad = good; bad.role = 0; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    bad = good; bad.bs = NULL; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    bad = good; bad.rng = NULL; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    bad = good; bad.max_message = 0; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    bad = good; bad.max_message = XW_WS_ASSEMBLY_MIN + 1; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    bad = good; bad.assembly.len--; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    bad = good; bad.host = NULL; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    bad = good; bad.headers = "X: y\r\nInjected"; XT_EQ(xw_ws_init(t.ws, &bad), XW_EINVAL);
    xt_ws_free(&t);
}

/* Server: what is not an upgrade gets its status, and our direction ends behind it. */
XT_TEST(server_refuses) {
    char got[512];
    static const char in[] = "POST / HTTP/1.1\r\nHost: h\r\n\r\n";
    xt_ws_init(&t, &(struct xt_ws_opt){ .no_hello = true, .role = XW_WS_SERVER });
    xt_ws_feed(&t, in, sizeof in - 1);
    size_t n = xt_bs_take(&t.bs, got, sizeof got - 1);
    got[n] = 0;
    XT_TRUE(!strncmp(got, "HTTP/1.1 405 ", 13));
    XT_EQ(t.bs.shuts, 1);
    XT_STR(t.log, "");
    t.bs.st.rx_eof = true;
    xt_ws_run(&t);
    XT_STR(t.log, "ENDED(-10,1006,0,http,us)");
    xt_ws_free(&t);
}

/* The peer has taken what was sent and ends its direction. */
static void peer_ends(void) {
    xt_ws_collect(&t);
    t.bs.st.rx_eof = true;
    xt_ws_run(&t);
}

/* ---- closing ---- */

static void close_in(uint16_t code, const char *reason, bool masked) {
    uint8_t p[125] = { (uint8_t)(code >> 8), (uint8_t)code }, in[140];
    memcpy(p + 2, reason, strlen(reason));
    size_t n = xt_frame(in, 0x88, masked, p, code ? 2 + strlen(reason) : 0);
    xt_ws_feed(&t, in, n);
}

XT_TEST(peer_closes_first) {
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    close_in(1001, "bye", false);
    XT_WS(&t, "CLOSING(1001,bye)", "CLOSE(1001,)");
    XT_EQ(t.bs.shuts, 0); /* RFC 6455 7.1.1: the server ends the stream first */
    XT_EQ(xw_ws_deadline(t.ws), t.now + 10 * XW_NS_PER_S);
    XT_EQ(xw_ws_send(t.ws, 1, "x", 1), XW_ECLOSED);
    XT_TRUE(!xw_ws_writable(t.ws));
    peer_ends();
    XT_WS(&t, "ENDED(0,1001,1001,ws,peer)", "");
    XT_EQ(t.bs.shuts, 1);
    XT_EQ(xw_ws_poll(t.ws, t.now, NULL, 0), 0);
    XT_TRUE(xw_ws_deadline(t.ws) == XW_NEVER);
    xt_ws_free(&t);
}

XT_TEST(peer_closes_without_a_code) {
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    close_in(0, "", false);
    peer_ends();
    XT_WS(&t, "CLOSING(1005,) ENDED(0,1005,1005,ws,peer)", "CLOSE(0,)");
    xt_ws_free(&t);
}

/* Messages that were under way still arrive; the answer to our close ends it. */
XT_TEST(we_close_first) {
    uint8_t in[32];
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    XT_EQ(xw_ws_close(t.ws, 1000, "done", 4, t.now), 0);
    XT_EQ(xw_ws_close(t.ws, 1001, NULL, 0, t.now), 0); /* again: nothing more */
    XT_TRUE(!xw_ws_is_open(t.ws));
    XT_EQ(xw_ws_send(t.ws, 1, "x", 1), XW_ECLOSED);
    size_t n = xt_frame(in, 0x81, false, "late", 4);
    n += xt_frame(in + n, 0x89, false, "p", 1);
    xt_ws_feed(&t, in, n);
    XT_WS(&t, "M1(late) PING(p)", "CLOSE(1000,done) F10(p)"); /* RFC 6455 5.5.2: a pong, for no close frame came yet */
    close_in(1000, "done", false);
    peer_ends();
    XT_WS(&t, "CLOSING(1000,done) ENDED(0,1000,1000,ws,us)", "");
    xt_ws_free(&t);
}

/* RFC 6455 5.5.2: a ping behind the peer's close frame is not answered. */
XT_TEST(no_pong_behind_the_peers_close) {
    uint8_t in[32];
    for (int server = 0; server < 2; server++) {
        xt_ws_init(&t, &(struct xt_ws_opt){ .role = server ? XW_WS_SERVER : XW_WS_CLIENT });
        size_t n = xt_frame(in, 0x89, server, "a", 1);
        n += xt_frame(in + n, 0x88, server, "\x03\xe8", 2);
        n += xt_frame(in + n, 0x89, server, "b", 1);
        xt_ws_feed(&t, in, n);
        peer_ends();
        XT_WS(&t, "PING(a) CLOSING(1000,) ENDED(0,1000,1000,ws,peer)", "F10(a) CLOSE(1000,)");
        xt_ws_free(&t);
    }
}

/* Close frames of either side while a fragmented message of either side is open: the handshake is clean, the message is
 * never told. */
XT_TEST(closes_between_fragments) {
    uint8_t in[32];
    for (int server = 0; server < 2; server++)
        for (int order = 0; order < 3; order++) {
            xt_ws_init(&t, &(struct xt_ws_opt){ .role = server ? XW_WS_SERVER : XW_WS_CLIENT });
            xt_ws_feed(&t, in, xt_frame(in, 0x01, server, "half", 4));
            XT_EQ(xw_ws_send_frame(t.ws, 2, false, "ours", 4), 4);
            if (order == 1)
                XT_EQ(xw_ws_close(t.ws, 3001, "x", 1, t.now), 0);
            close_in(1001, "", server);
            if (order == 2)
                XT_EQ(xw_ws_close(t.ws, 3001, "x", 1, t.now), 0); /* too late: nothing more is sent */
            XT_EQ(xw_ws_send_frame(t.ws, 0, true, "rest", 4), XW_ECLOSED);
            peer_ends();
            XT_WS(&t, order == 1 ? "CLOSING(1001,) ENDED(0,1001,3001,ws,us)" : "CLOSING(1001,) ENDED(0,1001,1001,ws,peer)",
                  order == 1 ? "f2(ours) CLOSE(3001,x)" : "f2(ours) CLOSE(1001,)");
            xt_ws_free(&t);
        }
}

/* A second close frame, another code in it, behind the first: the first counts. */
XT_TEST(two_close_frames) {
    uint8_t in[32];
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    size_t n = xt_frame(in, 0x88, false, "\x03\xe9", 2);
    n += xt_frame(in + n, 0x88, false, "\x03\xea", 2);
    xt_ws_feed(&t, in, n);
    peer_ends();
    XT_WS(&t, "CLOSING(1001,) ENDED(0,1001,1001,ws,peer)", "CLOSE(1001,)");
    xt_ws_free(&t);
}

/* Our close frame is out; what the peer then does wrong still ends it, and no second close frame is sent. */
XT_TEST(fault_behind_our_close) {
    uint8_t in[32];
    for (int server = 0; server < 2; server++) {
        xt_ws_init(&t, &(struct xt_ws_opt){ .role = server ? XW_WS_SERVER : XW_WS_CLIENT });
        XT_EQ(xw_ws_close(t.ws, 1000, NULL, 0, t.now), 0);
        size_t n = xt_frame(in, 0x83, server, "x", 1);
        n += xt_frame(in + n, 0x88, server, "\x03\xe8", 2);
        xt_ws_feed(&t, in, n);
        XT_EQ(t.bs.shuts, 1);
        peer_ends();
        XT_WS(&t, "ENDED(-10,1002,1000,ws,us)", "CLOSE(1000,)");
        xt_ws_free(&t);
    }
}

XT_TEST(bytes_after_the_close_frame_count_for_nothing) {
    uint8_t in[64];
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    size_t n = xt_frame(in, 0x88, false, "\x03\xe8", 2);
    n += xt_frame(in + n, 0x81, false, "x", 1);
    n += xt_frame(in + n, 0xff, false, "x", 1);
    xt_ws_feed(&t, in, n);
    xt_ws_feed(&t, in, n);
    XT_EQ(t.bs.rx.head, t.bs.rx.tail);
    peer_ends();
    XT_WS(&t, "CLOSING(1000,) ENDED(0,1000,1000,ws,peer)", "CLOSE(1000,)");
    xt_ws_free(&t);
}

XT_TEST(server_ends_the_stream_itself) {
    xt_ws_init(&t, &(struct xt_ws_opt){ .role = XW_WS_SERVER });
    close_in(1000, "", true);
    XT_WS(&t, "CLOSING(1000,)", "CLOSE(1000,)");
    XT_EQ(t.bs.shuts, 1);
    peer_ends();
    XT_WS(&t, "ENDED(0,1000,1000,ws,peer)", "");
    xt_ws_free(&t);
}

XT_TEST(close_time_out) {
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    xw_ws_close(t.ws, 0, NULL, 0, t.now);
    XT_WS(&t, "", "CLOSE(0,)");
    t.now += 10 * XW_NS_PER_S - 1;
    xt_ws_run(&t);
    XT_STR(t.log, "");
    t.now++;
    XT_EQ(xw_ws_deadline(t.ws), t.now);
    xt_ws_run(&t);
    XT_WS(&t, "ENDED(-11,1006,1005,ws,us)", "");
    XT_EQ(t.bs.aborts, 1);
    xt_ws_free(&t);
}

/* The close frames were exchanged, but the server never ends the stream: clean all the same. */
XT_TEST(stream_that_does_not_end) {
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    close_in(1000, "", false);
    t.now += 10 * XW_NS_PER_S;
    xt_ws_run(&t);
    XT_WS(&t, "CLOSING(1000,) ENDED(0,1000,1000,ws,peer)", "CLOSE(1000,)");
    XT_EQ(t.bs.aborts, 1);
    xt_ws_free(&t);
}

/* A peer that floods us cannot put off the time-out. */
XT_TEST(flood_does_not_defer_the_time_out) {
    uint8_t in[512];
    size_t n = 0;
    for (unsigned i = 0; i < 100; i++)
        n += xt_frame(in + n, 0x81, false, "x", 1);
    xt_ws_init(&t, &(struct xt_ws_opt){ .max_events = 1 });
    xw_ws_close(t.ws, 1000, NULL, 0, t.now);
    t.now += 10 * XW_NS_PER_S;
    xt_ws_feed(&t, in, n);
    XT_WS(&t, "M1(x) ENDED(-11,1006,1000,ws,us)", "CLOSE(1000,)");
    xt_ws_free(&t);
}

XT_TEST(stream_fails) {
    uint8_t in[16];
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    size_t n = xt_frame(in, 0x81, false, "got", 3);
    xt_bs_push(&t.bs, in, n);
    t.bs.st.state = XW_BS_FAILED;
    t.bs.st.error = XW_ERESET;
    xt_ws_run(&t);
    XT_WS(&t, "M1(got) ENDED(-12,1006,0,below,peer)", "");
    xt_ws_free(&t);
    /* many servers reset after the close frames: clean */
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    close_in(1000, "", false);
    t.bs.st.state = XW_BS_FAILED;
    t.bs.st.error = XW_ERESET;
    xt_ws_run(&t);
    XT_WS(&t, "CLOSING(1000,) ENDED(0,1000,1000,ws,peer)", "CLOSE(1000,)");
    xt_ws_free(&t);
}

XT_TEST(close_arguments) {
    char long_reason[124];
    memset(long_reason, 'r', sizeof long_reason);
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    static const uint32_t bad[] = { 1, 999, 1004, 1005, 1006, 1015, 2999, 5000, 66536 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        XT_EQ(xw_ws_close(t.ws, bad[i], NULL, 0, t.now), XW_EINVAL);
    XT_EQ(xw_ws_close(t.ws, 0, "x", 1, t.now), XW_EINVAL);
    XT_EQ(xw_ws_close(t.ws, 1000, long_reason, 124, t.now), XW_EINVAL);
    XT_EQ(xw_ws_close(t.ws, 1000, "\xc3", 1, t.now), XW_EINVAL);
    XT_TRUE(xw_ws_is_open(t.ws));
    XT_EQ(xw_ws_close(t.ws, 4999, long_reason, 123, t.now), 0);
    xt_ws_collect(&t);
    XT_TRUE(!strncmp(t.sent, "CLOSE(4999,123#", 15));
    xt_ws_free(&t);
}

/* ---- both roles, back to back ---- */

/* Moves bytes both ways, at most step at a time, until nothing moves. */
static void pump(size_t step) {
    size_t moved;
    do {
        xt_ws_run(&t);
        xt_ws_run(&s);
        moved = xt_bs_move(&t.bs, &s.bs, step) + xt_bs_move(&s.bs, &t.bs, step);
    } while (moved);
    xt_ws_run(&t);
    xt_ws_run(&s);
}

static void pair(size_t step) {
    xt_ws_init(&t, &(struct xt_ws_opt){ .no_hello = true, .subprotocols = "v1", .rx_cap = 4096, .tx_cap = 4096 });
    xt_ws_init(&s, &(struct xt_ws_opt){ .no_hello = true, .subprotocols = "v2, v1", .role = XW_WS_SERVER,
        .rx_cap = 4096,
                                        .tx_cap = 4096 });
    pump(step);
    XT_STR(t.log, "OPEN");
    XT_STR(s.log, "OPEN");
    t.log[0] = s.log[0] = 0;
}

static void pair_ends(const char *client, const char *server) {
    XT_STR(t.log, client);
    XT_STR(s.log, server);
    XT_EQ(t.bs.aborts + s.bs.aborts, 0);
    xt_ws_free(&t);
    xt_ws_free(&s);
}

XT_TEST(pair_talks_and_closes) {
    for (size_t step = 1; step < 5000; step = step * 2 + 3) {
        pair(step);
        XT_EQ(xw_ws_send(t.ws, 1, "to server", 9), 9);
        XT_EQ(xw_ws_send(s.ws, 2, "to client", 9), 9);
        XT_EQ(xw_ws_send(t.ws, 9, "ping", 4), 4);
        XT_EQ(xw_ws_send_frame(s.ws, 1, false, "a", 1), 1);
        XT_EQ(xw_ws_send(s.ws, 9, "", 0), 0);
        XT_EQ(xw_ws_send_frame(s.ws, 0, false, "", 0), 0);
        XT_EQ(xw_ws_send_frame(s.ws, 0, true, "b", 1), 1);
        pump(step);
        XT_EQ(xw_ws_close(t.ws, 3000, "over", 4, t.now), 0);
        pump(step);
        pump(step);
        pair_ends("M2(to client) PING() M1(ab) PONG(ping) CLOSING(3000,) ENDED(0,3000,3000,ws,us)",
                  "M1(to server) PING(ping) PONG() CLOSING(3000,over) ENDED(0,3000,3000,ws,peer)");
    }
}

XT_TEST(pair_server_closes) {
    pair(SIZE_MAX);
    XT_EQ(xw_ws_close(s.ws, 1012, "restart", 7, s.now), 0);
    pump(SIZE_MAX);
    pump(SIZE_MAX);
    pair_ends("CLOSING(1012,restart) ENDED(0,1012,1012,ws,peer)", "CLOSING(1012,) ENDED(0,1012,1012,ws,us)");
}

XT_TEST(pair_closes_at_the_same_time) {
    pair(SIZE_MAX);
    XT_EQ(xw_ws_close(s.ws, 1000, "s", 1, s.now), 0);
    XT_EQ(xw_ws_close(t.ws, 1001, "c", 1, t.now), 0);
    pump(SIZE_MAX);
    pump(SIZE_MAX);
    pair_ends("CLOSING(1000,s) ENDED(0,1000,1001,ws,us)", "CLOSING(1001,c) ENDED(0,1001,1000,ws,us)");
}

XT_TEST(pair_carries_large_messages_both_ways) {
    static uint8_t body[300000];
    char want[64];
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i * 7 + i / 251);
        hash = (hash ^ body[i]) * 16777619u;
    }
    for (size_t step = 700; step < 9000; step += 3000) {
        pair(SIZE_MAX);
        int64_t a = xw_ws_send(t.ws, 2, body, sizeof body), b = xw_ws_send(s.ws, 2, body, sizeof body);
        while (a < (int64_t)sizeof body || b < (int64_t)sizeof body) {
            pump(step);
            if (a < (int64_t)sizeof body)
                a += xw_ws_send_more(t.ws, body + a, sizeof body - (uint64_t)a);
            if (b < (int64_t)sizeof body)
                b += xw_ws_send_more(s.ws, body + b, sizeof body - (uint64_t)b);
        }
        pump(step);
        snprintf(want, sizeof want, "M2(300000#%08x)", hash);
        pair_ends(want, want);
    }
}

XT_MAIN(XT_RUN(answers_that_do_not_open), XT_RUN(head_that_never_ends), XT_RUN(endless_early_hints),
        XT_RUN(body_is_not_waited_for_long), XT_RUN(frames_in_the_bytes_of_the_answer), XT_RUN(extension_not_offered),
        XT_RUN(waits_for_the_stream_to_open), XT_RUN(closed_before_it_opened), XT_RUN(arguments_are_checked),
        XT_RUN(server_refuses), XT_RUN(peer_closes_first), XT_RUN(peer_closes_without_a_code), XT_RUN(we_close_first),
        XT_RUN(no_pong_behind_the_peers_close),
        XT_RUN(closes_between_fragments), XT_RUN(two_close_frames), XT_RUN(fault_behind_our_close),
        XT_RUN(bytes_after_the_close_frame_count_for_nothing), XT_RUN(server_ends_the_stream_itself),
            XT_RUN(close_time_out),
        XT_RUN(stream_that_does_not_end), XT_RUN(flood_does_not_defer_the_time_out), XT_RUN(stream_fails),
        XT_RUN(close_arguments), XT_RUN(pair_talks_and_closes), XT_RUN(pair_server_closes),
        XT_RUN(pair_closes_at_the_same_time), XT_RUN(pair_carries_large_messages_both_ways))
