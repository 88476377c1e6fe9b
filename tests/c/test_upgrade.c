/* The HTTP part: heads however cut, requests as written, answers as judged, bodies as kept. */
#include "base/err.h"
#include "base/limits.h"
#include "ws/upgrade.h"
#include "xt.h"

static uint8_t buf[XW_HTTP_HEAD_MAX + XW_HTTP_BODY_MAX];

static struct xw_span text(const char *s) { return xw_span(s, strlen(s)); }

/* ---- collecting ---- */

/* Whole, byte by byte and at every split: the same bytes taken, the same verdict. */
static void collect(const char *in, const char *begin, size_t want_taken, const char *want_error) {
    size_t len = strlen(in);
    for (size_t cut = 0; cut <= len + 1; cut++) {
        struct xw_ws_head h;
        size_t taken = 0;
        xw_ws_head_init(&h, xw_mspan(buf, sizeof buf), begin);
        if (cut > len) {
            for (size_t i = 0; i < len && !h.done && !h.error; i++)
                taken += xw_ws_head_feed(&h, xw_span(in + i, 1));
        } else {
            taken = xw_ws_head_feed(&h, xw_span(in, cut));
            if (taken == cut)
                taken += xw_ws_head_feed(&h, xw_span(in + cut, len - cut));
        }
        XT_EQ(taken, want_taken);
        XT_EQ(h.len, taken);
        XT_MEM(buf, in, taken);
        if (want_error)
            XT_STR(h.error, want_error);
        else
            XT_TRUE(!h.error);
        XT_EQ(h.done, !want_error && taken >= 4 && !memcmp(in + taken - 4, "\r\n\r\n", 4));
    }
}

XT_TEST(head_ends_exactly_at_the_empty_line) {
    collect("HTTP/1.1 101 X\r\nA: b\r\n\r\n\x81\x02hi", "HTTP/1.", 24, NULL);
    collect("HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.", 19, NULL);
    collect("HTTP/1.1 200 OK\r\nA: b\r\n", "HTTP/1.", 23, NULL);
    collect("GET / HTTP/1.1\r\n\r\nGET", "", 18, NULL);
}

XT_TEST(heads_that_are_none) {
    collect("SSH-2.0-OpenSSH\r\n", "HTTP/1.", 0, "not HTTP/1");
    collect("HTTP/2 200\r\n", "HTTP/1.", 5, "not HTTP/1");
    collect("\x15\x03\x01", "HTTP/1.", 0, "not HTTP/1");
    collect("HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.", 15, "bare CR or LF in the HTTP head");
    collect("HTTP/1.1 200 OK\rA", "HTTP/1.", 16, "bare CR or LF in the HTTP head");
    collect("HTTP/1.1 200 O\x01K", "HTTP/1.", 14, "control byte in the HTTP head");
    collect("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.", 23, "folded line in the HTTP head");
    collect("HTTP/1.1 200 OK\r\n\tc\r\n\r\n", "HTTP/1.", 17, "folded line in the HTTP head");
}

XT_TEST(head_too_long) {
    static char big[XW_HTTP_HEAD_MAX + 100];
    struct xw_ws_head h;
    memset(big, 'a', sizeof big);
    xw_ws_head_init(&h, xw_mspan(buf, sizeof buf), "");
    XT_EQ(xw_ws_head_feed(&h, xw_span(big, sizeof big)), XW_HTTP_HEAD_MAX);
    XT_STR(h.error, "HTTP head too long");
    memcpy(big + XW_HTTP_HEAD_MAX - 4, "\r\n\r\n", 4); /* the longest that is taken */
    xw_ws_head_init(&h, xw_mspan(buf, sizeof buf), "");
    XT_EQ(xw_ws_head_feed(&h, xw_span(big, sizeof big)), XW_HTTP_HEAD_MAX);
    XT_TRUE(h.done && !h.error);
}

/* ---- fields ---- */

XT_TEST(fields_are_walked_and_found) {
    struct xw_span head = text("HTTP/1.1 200 OK\r\nA: 1\r\nLong-Name:\t two words \r\nEmpty:\r\na:2\r\n\r\n"), n,
        v = { 0 };
    size_t pos = 0, cnt = 0;
    while (xw_ws_field_next(head, &pos, &n, &v))
        cnt++;
    XT_EQ(cnt, 4);
    XT_EQ(pos, head.len);
    XT_EQ(xw_ws_field(head, "a", &v), 2);
    XT_MEM(v.p, "1", v.len);
    XT_EQ(xw_ws_field(head, "LONG-name", &v), 1);
    XT_EQ(v.len, 9);
    XT_MEM(v.p, "two words", 9);
    XT_EQ(xw_ws_field(head, "empty", &v), 1);
    XT_EQ(v.len, 0);
    XT_EQ(xw_ws_field(head, "none", &v), 0);
}

XT_TEST(malformed_fields_stop_the_walk) {
    static const char *const bad[] = { "A : b", "A b", ": b", "A\xc3: b", "A" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char in[64];
        size_t pos = 0;
        struct xw_span n, v;
        snprintf(in, sizeof in, "X\r\n%s\r\n\r\n", bad[i]);
        XT_TRUE(!xw_ws_field_next(text(in), &pos, &n, &v));
        XT_TRUE(pos != strlen(in));
    }
}

XT_TEST(token_lists) {
    struct xw_span head = text("X\r\nC: keep-alive , Upgrade\r\nC: ,,x,\r\nD: upgraded\r\n\r\n");
    XT_TRUE(xw_ws_field_has(head, "c", "upgrade"));
    XT_TRUE(xw_ws_field_has(head, "C", "KEEP-ALIVE"));
    XT_TRUE(xw_ws_field_has(head, "C", "x"));
    XT_TRUE(!xw_ws_field_has(head, "C", "y"));
    XT_TRUE(!xw_ws_field_has(head, "D", "upgrade"));
}

/* ---- client ---- */

XT_TEST(accept_is_that_of_rfc6455) {
    char accept[XW_WS_ACCEPT_LEN + 1];
    xw_ws_accept_make(text("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    XT_STR(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

XT_TEST(keys_are_random_base64) {
    struct xw_rng rng;
    uint8_t seed[32] = { 1 };
    char a[XW_WS_KEY_LEN + 1], b[XW_WS_KEY_LEN + 1];
    xw_rng_init(&rng, seed);
    xw_ws_key_make(&rng, a);
    xw_ws_key_make(&rng, b);
    XT_EQ(strlen(a), XW_WS_KEY_LEN);
    XT_STR(a + 22, "==");
    XT_TRUE(strcmp(a, b) != 0);
}

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

XT_TEST(request_as_written) {
    struct xw_ws_request rq = { "/ws?x=1", "api.example.com:9443", "X-Key: abc\r\nUser-Agent: t/1 (x; y)\r\n",
        "a, b.c", NULL };
    size_t len = 0;
    static const char want[] =
        "GET /ws?x=1 HTTP/1.1\r\nHost: api.example.com:9443\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, b.c\r\n"
        "X-Key: abc\r\nUser-Agent: t/1 (x; y)\r\n\r\n";
    XT_EQ(xw_ws_request_emit(xw_mspan(buf, sizeof buf), &rq, KEY, &len), 0);
    XT_EQ(len, sizeof want - 1);
    XT_MEM(buf, want, len);
    for (size_t cap = 0; cap < sizeof want - 1; cap++)
        XT_EQ(xw_ws_request_emit(xw_mspan(buf, cap), &rq, KEY, &len), XW_ETOOBIG);
}

XT_TEST(request_parts_that_would_break_it) {
    static const struct xw_ws_request bad[] = {
        { "/a b", "h", NULL, NULL, NULL }, { "/\r\nX: y", "h", NULL, NULL, NULL }, { "", "h", NULL, NULL, NULL },
        { "/\xc3\xa9", "h", NULL, NULL, NULL },
        { "/", NULL, NULL, NULL, NULL }, { "/", "", NULL, NULL, NULL }, { "/", "h\r\nX: y", NULL, NULL, NULL },
        { "/", "h h", NULL, NULL, NULL },
        { "/", "h", "X: y", NULL, NULL }, { "/", "h", "X y\r\n", NULL, NULL },
        { "/", "h", "X: y\r\n\r\n", NULL, NULL },
        { "/", "h", "X: a\nY: b\r\n", NULL, NULL }, { "/", "h", "X: a\rY: b\r\n", NULL, NULL },
        { "/", "h", " X: a\r\n", NULL, NULL },
        { "/", "h", "X: a\r\n b\r\n", NULL, NULL }, { "/", "h", "X : a\r\n", NULL, NULL },
        { "/", "h", ": a\r\n", NULL, NULL },
        { "/", "h", "host: evil\r\n", NULL, NULL }, { "/", "h", "A: b\r\nSec-WebSocket-Key: x\r\n", NULL, NULL },
        { "/", "h", "Content-Length: 5\r\n", NULL, NULL }, { "/", "h", "connection: close\r\n", NULL, NULL },
        { "/", "h", NULL, "", NULL }, { "/", "h", NULL, " , ", NULL },
        { "/", "h", NULL, "a b", NULL }, { "/", "h", NULL, "a\r\nX: y", NULL },
        { "/", "h", NULL, "a, a", NULL }, { "/", "h", NULL, "b,a;q=1", NULL },
    };
    size_t len;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (xw_ws_request_emit(xw_mspan(buf, sizeof buf), &bad[i], KEY, &len) != XW_EINVAL)
            XT_FAIL("case %zu was taken", i);
}

static const char request[] = "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: " KEY
    "\r\nSec-WebSocket-Protocol: chat, v2.x\r\n\r\n";

static void judge(const char *head, enum xw_ws_verdict want, unsigned want_status, const char *want_error) {
    const char *error;
    unsigned status;
    struct xw_ws_pmd agreed;
    enum xw_ws_verdict v = xw_ws_answer_check(text(head), text(request), &status, &agreed, &error);
    XT_TRUE(!agreed.on);
    if (v != want || status != want_status || (want_error ? !error || strcmp(error, want_error) : error != NULL))
        XT_FAIL("verdict %d status %u error %s for\n%s", v, status, error ? error : "-", head);
}
#define UP "HTTP/1.1 101 Switching Protocols\r\n"
#define GOOD UP "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n"

XT_TEST(answers_that_open) {
    judge(GOOD "\r\n", XW_WS_HS_OPEN, 101, NULL);
    judge("HTTP/1.1 101\r\nupgrade:WebSocket\r\nCONNECTION: keep-alive, UPGRADE\r\nsec-websocket-accept:  " ACCEPT
          " \r\n\r\n",
          XW_WS_HS_OPEN, 101, NULL);
    judge(GOOD "Sec-WebSocket-Protocol: v2.x\r\nDate: x\r\n\r\n", XW_WS_HS_OPEN, 101, NULL);
    judge(GOOD "Sec-WebSocket-Extensions:\r\n\r\n", XW_WS_HS_OPEN, 101, NULL);
}

XT_TEST(answers_that_break_the_handshake) {
    judge("HTTP/1.0 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n",
          XW_WS_HS_BROKEN, 101, "101 in HTTP/1.0");
    judge(UP "Connection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n", XW_WS_HS_BROKEN, 101,
          "answer 101 without Upgrade: websocket");
    judge(UP "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n", XW_WS_HS_BROKEN, 101,
          "answer 101 without Upgrade: websocket");
    judge(UP "Upgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n", XW_WS_HS_BROKEN,
          101,
          "answer 101 without Connection: Upgrade");
    judge(UP "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", XW_WS_HS_BROKEN, 101,
          "answer 101 without one Sec-WebSocket-Accept");
    judge(GOOD "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n", XW_WS_HS_BROKEN, 101,
          "answer 101 without one Sec-WebSocket-Accept");
    judge(UP "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
          XW_WS_HS_BROKEN, 101, "wrong Sec-WebSocket-Accept");
    judge(UP "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \r\n\r\n", XW_WS_HS_BROKEN, 101,
          "wrong Sec-WebSocket-Accept");
    judge(GOOD "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", XW_WS_HS_BROKEN, 101,
          "server chose an extension that was not offered");
    judge(GOOD "Sec-WebSocket-Protocol: other\r\n\r\n", XW_WS_HS_BROKEN, 101,
          "server chose a subprotocol that was not offered");
    judge(GOOD "Sec-WebSocket-Protocol: Chat\r\n\r\n", XW_WS_HS_BROKEN, 101,
          "server chose a subprotocol that was not offered");
    judge(GOOD "Sec-WebSocket-Protocol: chat, v2.x\r\n\r\n", XW_WS_HS_BROKEN, 101,
          "server chose a subprotocol that was not offered");
    judge(GOOD "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n\r\n", XW_WS_HS_BROKEN, 101,
          "server chose a subprotocol that was not offered");
    judge(GOOD "Bad Field: x\r\n\r\n", XW_WS_HS_BROKEN, 101, "malformed HTTP header field");
    judge("HTTP/1.1 abc X\r\n\r\n", XW_WS_HS_BROKEN, 0, "malformed HTTP status line");
    judge("HTTP/1.1 099 X\r\n\r\n", XW_WS_HS_BROKEN, 0, "malformed HTTP status line");
    judge("HTTP/1.1 2000 X\r\n\r\n", XW_WS_HS_BROKEN, 0, "malformed HTTP status line");
    judge("HTTP/1.9 200 X\r\n\r\n", XW_WS_HS_BROKEN, 0, "malformed HTTP status line");
    judge("HTTP/1.\r\n\r\n", XW_WS_HS_BROKEN, 0, "malformed HTTP status line");
}

/* Compression that was agreed to before something else breaks the answer is not in force. */
XT_TEST(a_broken_answer_agrees_to_nothing) {
    static const char asked[] = "GET / HTTP/1.1\r\nSec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Protocol: chat\r\n"
                                "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    static const char *const tails[] = { "Sec-WebSocket-Protocol: other\r\n\r\n", "Sec-WebSocket-Extensions: foo\r\n\r\n",
                                         "\r\n" };
    for (size_t i = 0; i < 3; i++) {
        char head[400];
        const char *error;
        unsigned status;
        struct xw_ws_pmd agreed;
        snprintf(head, sizeof head, GOOD "Sec-WebSocket-Extensions: permessage-deflate\r\n%s", tails[i]);
        XT_EQ(xw_ws_answer_check(text(head), text(asked), &status, &agreed, &error), i < 2 ? XW_WS_HS_BROKEN : XW_WS_HS_OPEN);
        XT_EQ(agreed.on, i == 2);
    }
}

XT_TEST(answers_of_another_status) {
    judge("HTTP/1.1 403 Forbidden\r\n\r\n", XW_WS_HS_REJECTED, 403, NULL);
    judge("HTTP/1.0 302 \r\nLocation: /x\r\n\r\n", XW_WS_HS_REJECTED, 302, NULL);
    judge("HTTP/1.1 200\r\n\r\n", XW_WS_HS_REJECTED, 200, NULL);
    judge("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", XW_WS_HS_INTERIM, 103, NULL);
    judge("HTTP/1.1 100 Continue\r\n\r\n", XW_WS_HS_INTERIM, 100, NULL);
}

/* ---- bodies ---- */

static void keep(const char *fields, unsigned status, const char *in, size_t want, bool want_done) {
    char head[256];
    size_t len = strlen(in);
    snprintf(head, sizeof head, "HTTP/1.1 %u X\r\n%s\r\n", status, fields);
    for (size_t step = 1; step <= len + 1; step++) {
        struct xw_ws_body b;
        size_t taken = 0, n;
        xw_ws_body_init(&b, xw_mspan(buf, sizeof buf), text(head), status);
        for (size_t i = 0; i < len; i += n) {
            n = len - i < step ? len - i : step;
            taken += xw_ws_body_feed(&b, xw_span(in + i, n));
        }
        XT_EQ(taken, want);
        XT_EQ(b.len, want);
        XT_MEM(buf, in, want);
        XT_EQ(b.done, want_done);
    }
}

XT_TEST(bodies) {
    keep("Content-Length: 5\r\n", 403, "hello+more", 5, true);
    keep("Content-Length: 20\r\n", 403, "hello", 5, false);
    keep("Content-Length: 0\r\n", 403, "x", 0, true);
    keep("", 403, "until the end", 13, false);
    keep("Content-Length: 5\r\n", 304, "x", 0, true);
    keep("Content-Length: -1\r\n", 403, "until the end", 13, false);
    keep("Content-Length: 99999999999999999999\r\n", 403, "abc", 3, false);
    keep("Transfer-Encoding: chunked\r\n", 403, "5\r\nhello\r\n0\r\n\r\nrest", 15, true);
    keep("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 403, "5\r\nhello\r\n", 10, false);
    keep("Transfer-Encoding: chunked\r\n", 403, "0\r\n\r\nrest", 5, true);
}

XT_TEST(body_is_bounded) {
    static uint8_t big[XW_HTTP_BODY_MAX + 10];
    struct xw_ws_body b;
    xw_ws_body_init(&b, xw_mspan(buf, sizeof buf), text("HTTP/1.1 500 X\r\nContent-Length: 1000000\r\n\r\n"), 500);
    XT_EQ(xw_ws_body_feed(&b, xw_span(big, sizeof big)), XW_HTTP_BODY_MAX);
    XT_TRUE(b.done);
    XT_EQ(xw_ws_body_feed(&b, xw_span(big, 1)), 0);
}

/* ---- server ---- */

#define RQ(line, rest) line "\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" rest "\r\n"
#define K "Sec-WebSocket-Key: " KEY "\r\n"
#define V "Sec-WebSocket-Version: 13\r\n"

XT_TEST(requests) {
    static const struct { const char *head; unsigned status; } cases[] = {
        { RQ("GET / HTTP/1.1", K V), 101 }, { RQ("GET http://h/x HTTP/1.1", K V), 101 },
        { RQ("POST / HTTP/1.1", K V), 405 },
        { RQ("GET / HTTP/1.0", K V), 505 }, { RQ("GET / HTTP/2.0", K V), 505 }, { RQ("GET /", K V), 400 },
        { RQ("GET  / HTTP/1.1", K V), 400 }, { RQ("GET / HTTP/1.1 ", K V), 400 }, { RQ("get / HTTP/1.1", K V), 405 },
        { RQ("GET", K V), 400 }, { RQ("", K V), 400 }, { "\r\n\r\n", 400 },
        { RQ("GET / HTTP/1.1", K "Sec-WebSocket-Version: 12\r\n"), 426 }, { RQ("GET / HTTP/1.1", K), 426 },
        { RQ("GET / HTTP/1.1", V), 400 }, { RQ("GET / HTTP/1.1", V K K), 400 },
        { RQ("GET / HTTP/1.1", V "Sec-WebSocket-Key: short==\r\n"), 400 },
        { RQ("GET / HTTP/1.1", V "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n"), 400 },
        { RQ("GET / HTTP/1.1", V "Sec-WebSocket-Key: dGhlIHNhb!BsZSBub25jZQ==\r\n"), 400 },
        { RQ("GET / HTTP/1.1", K V "Content-Length: 3\r\n"), 400 },
        { RQ("GET / HTTP/1.1", K V "Content-Length: 0\r\n"), 101 },
        { RQ("GET / HTTP/1.1", K V "Transfer-Encoding: chunked\r\n"), 400 },
        { RQ("GET / HTTP/1.1", K V "Host: g\r\n"), 400 },
        { RQ("GET / HTTP/1.1", K V "Bad Field: x\r\n"), 400 },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n" K V "\r\n", 426 },
        { "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n" K V "\r\n", 426 },
        { "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" K V "\r\n", 400 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *error;
        struct xw_span key;
        unsigned status = xw_ws_request_check(text(cases[i].head), &key, &error);
        if (status != cases[i].status || (status == 101) != (error == NULL))
            XT_FAIL("%u (%s), not %u for\n%s", status, error ? error : "-", cases[i].status, cases[i].head);
        if (status == 101)
            XT_MEM(key.p, KEY, XW_WS_KEY_LEN);
    }
}

XT_TEST(subprotocols_are_picked_by_our_preference) {
    struct xw_span head = text("X\r\nSec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n\r\n");
    XT_EQ(xw_ws_subprotocol_pick(head, "c, b").p[0], 'c');
    XT_EQ(xw_ws_subprotocol_pick(head, "x,b").p[0], 'b');
    XT_EQ(xw_ws_subprotocol_pick(head, "A").len, 0);
    XT_EQ(xw_ws_subprotocol_pick(head, NULL).len, 0);
}

/* What the server writes, the client takes; refusals carry what their status demands. */
XT_TEST(answers_as_written) {
    size_t len = 0;
    XT_EQ(xw_ws_answer_emit(xw_mspan(buf, 1000), 101, text(KEY), text("chat"), NULL, &len), 0);
    buf[len] = 0;
    judge((const char *)buf, XW_WS_HS_OPEN, 101, NULL);
    XT_TRUE(strstr((const char *)buf, "Sec-WebSocket-Protocol: chat\r\n"));
    static const struct { unsigned status; const char *has; } refusals[] = {
        { 400, "HTTP/1.1 400 Bad Request\r\n" }, { 405, "Allow: GET\r\n" }, { 426, "Sec-WebSocket-Version: 13\r\n" },
        { 505, "HTTP/1.1 505 " },
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        XT_EQ(xw_ws_answer_emit(xw_mspan(buf, 1000), refusals[i].status, text(""), text(""), NULL, &len), 0);
        buf[len] = 0;
        XT_TRUE(strstr((const char *)buf, refusals[i].has));
        XT_TRUE(strstr((const char *)buf, "Content-Length: 0\r\n"));
        judge((const char *)buf, XW_WS_HS_REJECTED, refusals[i].status, NULL);
        XT_EQ(xw_ws_answer_emit(xw_mspan(buf, len - 1), refusals[i].status, text(""), text(""), NULL, &len),
              XW_ETOOBIG);
    }
}

XT_MAIN(XT_RUN(head_ends_exactly_at_the_empty_line), XT_RUN(heads_that_are_none), XT_RUN(head_too_long),
        XT_RUN(fields_are_walked_and_found), XT_RUN(malformed_fields_stop_the_walk), XT_RUN(token_lists),
        XT_RUN(accept_is_that_of_rfc6455), XT_RUN(keys_are_random_base64), XT_RUN(request_as_written),
        XT_RUN(request_parts_that_would_break_it), XT_RUN(answers_that_open), XT_RUN(answers_that_break_the_handshake),
        XT_RUN(a_broken_answer_agrees_to_nothing), XT_RUN(answers_of_another_status), XT_RUN(bodies),
        XT_RUN(body_is_bounded), XT_RUN(requests),
        XT_RUN(subprotocols_are_picked_by_our_preference), XT_RUN(answers_as_written))
