/* Sending: masks, partial frames into little room, control frames that wait, refusals. */
#include "base/err.h"
#include "base/limits.h"
#include "ws/conn.h"
#include "xt.h"
#include "xt_ws.h"

static struct xt_ws t;

static void ping_in(const char *payload) {
    uint8_t in[160];
    xt_ws_feed(&t, in, xt_frame(in, 0x89, t.role == XW_WS_SERVER, payload, strlen(payload)));
}

/* Takes what was sent and lets the connection go on. */
static void drain(void) {
    xt_ws_collect(&t);
    xt_ws_run(&t);
}

XT_TEST(messages_as_written) {
    for (int server = 0; server < 2; server++) {
        xt_ws_init(&t, &(struct xt_ws_opt){ .role = server ? XW_WS_SERVER : XW_WS_CLIENT });
        XT_EQ(xw_ws_send(t.ws, 1, "text", 4), 4);
        XT_EQ(xw_ws_send(t.ws, 2, NULL, 0), 0);
        XT_EQ(xw_ws_send(t.ws, 9, "p", 1), 1);
        XT_EQ(xw_ws_send(t.ws, 10, NULL, 0), 0);
        XT_EQ(xw_ws_send_frame(t.ws, 2, false, "a", 1), 1);
        XT_EQ(xw_ws_send(t.ws, 9, "q", 1), 1);
        XT_EQ(xw_ws_send_frame(t.ws, 0, true, "b", 1), 1);
        XT_WS(&t, "", "F1(text) F2() F9(p) F10() f2(a) F9(q) F0(b)");
        xt_ws_free(&t);
    }
}

/* RFC 6455 5.3: a fresh key a frame, from the generator. */
XT_TEST(masks_differ) {
    uint8_t out[64];
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    xw_ws_send(t.ws, 1, "same", 4);
    xw_ws_send(t.ws, 1, "same", 4);
    XT_EQ(xt_bs_take(&t.bs, out, sizeof out), 20);
    XT_EQ(out[1], 0x84);
    XT_TRUE(memcmp(out + 2, out + 12, 4) != 0);
    XT_TRUE(memcmp(out + 6, "same", 4) != 0);
    xt_ws_free(&t);
}

XT_TEST(refusals) {
    static uint8_t big[126];
    xt_ws_init(&t, &(struct xt_ws_opt){ 0 });
    for (unsigned op = 0; op < 16; op++)
        if (op != 1 && op != 2 && op != 9 && op != 10)
            XT_EQ(xw_ws_send(t.ws, (uint8_t)op, "x", 1), XW_EINVAL);
    XT_EQ(xw_ws_send(t.ws, 9, big, 126), XW_EINVAL);
    XT_EQ(xw_ws_send_frame(t.ws, 9, false, big, 1), XW_EINVAL);
    XT_EQ(xw_ws_send(t.ws, 1, big, (uint64_t)1 << 63), XW_EINVAL);
    XT_EQ(xw_ws_send_frame(t.ws, 0, true, "x", 1), XW_ESTATE);
    XT_EQ(xw_ws_send_more(t.ws, "x", 1), XW_ESTATE);
    XT_EQ(xw_ws_send_frame(t.ws, 1, false, "x", 1), 1);
    XT_EQ(xw_ws_send(t.ws, 1, "y", 1), XW_ESTATE);
    XT_WS(&t, "", "f1(x)");
    xt_ws_free(&t);
}

/* A message of any length into a ring of any fill: what the peer reads is the message, and nothing comes between. */
XT_TEST(longer_than_the_free_space) {
    static uint8_t body[1000];
    char want[64];
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)('A' + i % 50);
        hash = (hash ^ body[i]) * 16777619u;
    }
    snprintf(want, sizeof want, "F9(fill) F1(1000#%08x) F10(last) F2(next)", hash);
    for (int server = 0; server < 2; server++)
        for (size_t fill = 0; fill < 54; fill++) {
            xt_ws_init(&t, &(struct xt_ws_opt){ .role = server ? XW_WS_SERVER : XW_WS_CLIENT, .tx_cap = 512 });
            drain();
            /* the end of the memory comes one byte earlier each round, so that header, mask and payload are cut
             * everywhere */
            t.bs.tx.head = t.bs.tx.tail = t.bs.tx.tail / 1024 * 1024 + 1024 - fill;
            XT_EQ(xw_ws_send(t.ws, 9, "fill", 4), 4);
            int64_t n = xw_ws_send(t.ws, 1, body, sizeof body);
            XT_TRUE(n > 0 && n < 512);
            XT_EQ(xw_ws_send(t.ws, 9, "x", 1), XW_EAGAIN);
            XT_EQ(xw_ws_send(t.ws, 2, "x", 1), XW_ESTATE);
            XT_EQ(xw_ws_send_more(t.ws, body, 1001), XW_EINVAL);
            ping_in("first");
            ping_in("last");
            while (n < 1000) {
                int64_t more;
                drain();
                XT_TRUE(xw_ws_writable(t.ws));
                more = xw_ws_send_more(t.ws, body + n, 1000 - (uint64_t)n);
                XT_TRUE(more >= 0);
                n += more;
            }
            drain();
            XT_EQ(xw_ws_send(t.ws, 2, "next", 4), 4);
            XT_WS(&t, "PING(first) PING(last)", want); /* the later ping won while the message was under way */
            xt_ws_free(&t);
        }
}

XT_TEST(one_byte_of_room_at_a_time) {
    char got[2048];
    xt_ws_init(&t, &(struct xt_ws_opt){ .tx_cap = 1024 });
    drain();
    XT_EQ(xw_bytering_write(&t.bs.tx, got, 1024), 1024); /* no room at all */
    XT_EQ(xw_ws_send(t.ws, 1, "hello", 5), XW_EAGAIN);
    XT_EQ(xw_ws_send(t.ws, 9, "hello", 5), XW_EAGAIN);
    XT_TRUE(!xw_ws_writable(t.ws));
    int64_t n = -1;
    unsigned polls = 0;
    while (n < 5) {
        XT_EQ(xt_bs_take(&t.bs, got, 1), 1);
        if (n < 0)
            n = xw_ws_send(t.ws, 1, "hello", 5);
        else if (n < 5)
            n += xw_ws_send_more(t.ws, &"hello"[n], 5 - (uint64_t)n);
        XT_TRUE(n >= 0 && ++polls < 20);
        xt_ws_run(&t);
    }
    XT_EQ(polls, 11); /* 2 + 4 of header, 5 of payload */
    XT_EQ(xt_bs_take(&t.bs, got, 1024 - 11), 1024 - 11);
    XT_WS(&t, "", "F1(hello)");
    xt_ws_free(&t);
}

XT_TEST(pong_waits_for_room_and_the_latest_wins) {
    char junk[1024] = { 0 };
    xt_ws_init(&t, &(struct xt_ws_opt){ .tx_cap = 1024 });
    drain();
    XT_EQ(xw_bytering_write(&t.bs.tx, junk, 1024), 1024);
    ping_in("a");
    ping_in("b");
    ping_in("c");
    XT_EQ(xt_bs_take(&t.bs, junk, 1024), 1024);
    xt_ws_run(&t);
    XT_WS(&t, "PING(a) PING(b) PING(c)", "F10(a) F10(c)"); /* a stood in the stage already */
    xt_ws_free(&t);
}

XT_TEST(every_ping_is_answered_while_there_is_room) {
    uint8_t in[100];
    size_t n = 0;
    for (unsigned i = 0; i < 10; i++)
        n += xt_frame(in + n, 0x89, false, &"0123456789"[i], 1);
    xt_ws_init(&t, &(struct xt_ws_opt){ .max_events = 16 });
    xt_ws_feed(&t, in, n);
    XT_STR((xt_ws_collect(&t), t.sent), "F10(0) F10(1) F10(2) F10(3) F10(4) F10(5) F10(6) F10(7) F10(8) F10(9)");
    xt_ws_free(&t);
}

XT_TEST(close_waits_for_the_frame) {
    static uint8_t body[3000];
    memset(body, 'b', sizeof body);
    xt_ws_init(&t, &(struct xt_ws_opt){ .tx_cap = 1024 });
    drain();
    int64_t n = xw_ws_send(t.ws, 2, body, sizeof body);
    XT_TRUE(n > 0 && n < 3000);
    XT_EQ(xw_ws_close(t.ws, 1000, NULL, 0, t.now), 0);
    XT_EQ(xw_ws_send(t.ws, 2, body, 1), XW_ECLOSED);
    while (n < 3000) {
        drain();
        XT_TRUE(xw_ws_writable(t.ws));
        n += xw_ws_send_more(t.ws, body + n, 3000 - (uint64_t)n);
    }
    drain();
    xt_ws_collect(&t);
    XT_TRUE(!strncmp(t.sent, "F2(3000#", 8) && strstr(t.sent, ") CLOSE(1000,)"));
    XT_TRUE(!xw_ws_writable(t.ws));
    xt_ws_free(&t);
}

/* A failure while our own frame lacks bytes: no close frame can be sent, the stream ends at once. */
XT_TEST(failure_inside_our_frame) {
    static uint8_t body[3000];
    uint8_t in[16];
    xt_ws_init(&t, &(struct xt_ws_opt){ .tx_cap = 1024 });
    drain();
    XT_TRUE(xw_ws_send(t.ws, 2, body, sizeof body) < 3000);
    xt_ws_feed(&t, in, xt_frame(in, 0x83, false, "x", 1));
    XT_EQ(t.bs.shuts, 1);
    XT_EQ(xw_ws_send_more(t.ws, body, 1), XW_ECLOSED);
    drain();
    t.bs.st.rx_eof = true;
    xt_ws_run(&t);
    XT_STR(t.log, "ENDED(-10,1002,0,ws,us)");
    xt_ws_free(&t);
}

/* The peer closes while our frame lacks bytes: the answer follows the frame; if that never ends, the time-out does. */
XT_TEST(peer_closes_inside_our_frame) {
    static uint8_t body[1500];
    uint8_t in[16];
    for (int finish = 0; finish < 2; finish++) {
        xt_ws_init(&t, &(struct xt_ws_opt){ .tx_cap = 1024 });
        drain();
        int64_t n = xw_ws_send(t.ws, 2, body, sizeof body);
        xt_ws_feed(&t, in, xt_frame(in, 0x88, false, "\x03\xe8", 2));
        XT_STR(t.log, "CLOSING(1000,)");
        drain();
        if (finish) {
            XT_EQ(xw_ws_send_more(t.ws, body + n, 1500 - (uint64_t)n), 1500 - n);
            drain();
            xt_ws_collect(&t);
            XT_TRUE(strstr(t.sent, ") CLOSE(1000,)"));
        }
        t.now += 10 * XW_NS_PER_S;
        xt_ws_run(&t);
        XT_STR(t.log, finish ? "CLOSING(1000,) ENDED(0,1000,1000,ws,peer)" : "CLOSING(1000,) ENDED(0,1000,0,ws,peer)");
        xt_ws_free(&t);
    }
}

XT_MAIN(XT_RUN(messages_as_written), XT_RUN(masks_differ), XT_RUN(refusals), XT_RUN(longer_than_the_free_space),
        XT_RUN(one_byte_of_room_at_a_time), XT_RUN(pong_waits_for_room_and_the_latest_wins),
        XT_RUN(every_ping_is_answered_while_there_is_room), XT_RUN(close_waits_for_the_frame),
        XT_RUN(failure_inside_our_frame), XT_RUN(peer_closes_inside_our_frame))
