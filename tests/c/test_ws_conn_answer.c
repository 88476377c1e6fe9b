/* A server whose owner answers the request: the draft taken, changed, replaced; what may not be sent; time in between. */
#include "base/err.h"
#include "ws/conn.h"
#include "xt.h"
#include "xt_ws.h"

static struct xt_ws t;

#define HEAD "GET /chat?a=b HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define PMD "Sec-WebSocket-Extensions: permessage-deflate\r\n"

static void asked(const char *request, unsigned status, bool deflate) {
    char log[32];
    xt_ws_init(&t, &(struct xt_ws_opt){ .role = XW_WS_SERVER, .ask = true, .no_hello = true, .deflate.on = deflate });
    xt_ws_feed(&t, request, strlen(request));
    snprintf(log, sizeof log, "REQUEST(%u)", status);
    XT_STR(t.log, log);
    t.log[0] = 0;
}

/* sent as bytes */
static void answered_with(const char *text) {
    char out[65536];
    xt_ws_run(&t);
    size_t n = xt_bs_take(&t.bs, out, sizeof out - 1);
    out[n] = 0;
    XT_STR(out, text);
}

XT_TEST(the_draft_is_taken) {
    static const char draft[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ACCEPT
                                "\r\n";
    uint8_t in[64];
    asked(HEAD "\r\n", 101, false);
    answered_with(""); /* nothing before the owner has spoken */
    struct xw_span hello = xw_ws_hello(t.ws);
    XT_EQ(hello.len, sizeof draft - 1);
    XT_MEM(hello.p, draft, sizeof draft - 1);
    XT_EQ(xw_ws_send(t.ws, 1, "x", 1), XW_ESTATE);
    XT_EQ(xw_ws_answer(t.ws, draft, sizeof draft - 1), XW_OK);
    answered_with(draft);
    XT_STR(t.log, "OPEN");
    XT_EQ(xw_ws_answer(t.ws, draft, sizeof draft - 1), XW_ECLOSED);
    XT_EQ(xw_ws_hello(t.ws).len, 0);
    t.log[0] = 0;
    xt_ws_feed(&t, in, xt_frame(in, 0x81, true, "hi", 2));
    XT_WS(&t, "M1(hi)", "");
    xt_ws_free(&t);
}

XT_TEST(fields_may_be_added_and_compression_taken_away) {
    for (int keep = 0; keep < 2; keep++) {
        char answer[512];
        asked(HEAD PMD "\r\n", 101, true);
        struct xw_span hello = xw_ws_hello(t.ws);
        XT_TRUE(memmem(hello.p, hello.len, "permessage-deflate", 18));
        snprintf(answer, sizeof answer, "HTTP/1.1 101 Yes\r\nupgrade: websocket\r\nSet-Cookie: a=b\r\n" ACCEPT "%s"
                 "Connection: Upgrade\r\n\r\n", keep ? PMD : "");
        XT_EQ(xw_ws_answer(t.ws, answer, strlen(answer)), XW_OK);
        answered_with(answer);
        XT_STR(t.log, "OPEN");
        t.log[0] = 0;
        XT_EQ(xw_ws_send(t.ws, 1, "aaaaaaaaaaaaaaaa", 16), 16);
        xt_ws_collect(&t);
        XT_EQ(t.sent[0] == 'Z', keep);
        xt_ws_free(&t);
    }
}

XT_TEST(another_answer_ends_it) {
    static const char page[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
    static const char *const requests[] = { HEAD "\r\n", "GET /health HTTP/1.1\r\nHost: h\r\n\r\n" };
    for (unsigned i = 0; i < 2; i++) {
        asked(requests[i], i ? 426 : 101, false);
        XT_EQ(xw_ws_answer(t.ws, page, sizeof page - 1), XW_OK);
        answered_with(page);
        XT_EQ(t.bs.shuts, 1);
        t.bs.st.rx_eof = true;
        t.bs.st.state = XW_BS_CLOSED;
        xt_ws_run(&t);
        XT_STR(t.log, "ENDED(-10,1006,0,http,us)");
        xt_ws_free(&t);
    }
}

XT_TEST(what_may_not_be_sent) {
    static const char *const bad[] = {
        "", "HTTP/1.1 200", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 X\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        "HTTP/1.1 101 X\r\n" ACCEPT "\r\nbody",
    };
    asked(HEAD "\r\n", 101, false);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        XT_EQ(xw_ws_answer(t.ws, bad[i], strlen(bad[i])), XW_EINVAL);
    static char huge[XW_WS_REQUEST_MAX + 100];
    memset(huge, 'a', sizeof huge);
    memcpy(huge, "HTTP/1.1 200 OK\r\nA: ", 20);
    strcpy(huge + sizeof huge - 8, "\r\n\r\n");
    XT_EQ(xw_ws_answer(t.ws, huge, strlen(huge)), XW_ETOOBIG);
    xt_ws_free(&t);
    /* no upgrade was asked for: 101 is no answer */
    asked("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 426, false);
    static const char yes[] = "HTTP/1.1 101 X\r\n" ACCEPT "\r\n";
    XT_EQ(xw_ws_answer(t.ws, yes, sizeof yes - 1), XW_EINVAL);
    xt_ws_free(&t);
}

XT_TEST(the_client_goes_while_the_owner_thinks) {
    asked(HEAD "\r\n", 101, false);
    t.bs.st.rx_eof = true;
    xt_ws_run(&t);
    XT_STR(t.log, "ENDED(-3,1006,0,http,peer)");
    XT_EQ(xw_ws_answer(t.ws, "x", 1), XW_ECLOSED);
    xt_ws_free(&t);
}

XT_TEST(a_client_shows_its_request) {
    xt_ws_init(&t, &(struct xt_ws_opt){ .no_hello = true, .target = "/x" });
    struct xw_span hello = xw_ws_hello(t.ws);
    XT_TRUE(hello.len > 100 && !memcmp(hello.p, "GET /x HTTP/1.1\r\n", 17));
    xt_ws_free(&t);
    xt_ws_init(&t, &(struct xt_ws_opt){ .target = "/x" });
    XT_EQ(xw_ws_hello(t.ws).len, 0);
    xt_ws_free(&t);
}

XT_MAIN(XT_RUN(the_draft_is_taken), XT_RUN(fields_may_be_added_and_compression_taken_away),
            XT_RUN(another_answer_ends_it), XT_RUN(what_may_not_be_sent), XT_RUN(the_client_goes_while_the_owner_thinks),
            XT_RUN(a_client_shows_its_request))
