/* While nobody takes messages: pings among what waits are answered, pongs told, the end noticed; and later everything
 * comes in order, once. */
#include "base/err.h"
#include "ws/conn.h"
#include "xt.h"
#include "xt_ws.h"

static struct xt_ws t;

static size_t put(uint8_t *out, size_t at, unsigned first, bool masked, const char *text) {
    return at + xt_frame(out + at, first, masked, text, strlen(text));
}

/* Message, ping, pong, message, ping: with the pause before each byte, in both roles, whole and in pieces. */
static void controls(enum xw_ws_role role, size_t cut, unsigned max_events, bool plain) {
    uint8_t in[256];
    bool m = role == XW_WS_SERVER;
    size_t n = put(in, 0, 0x81, m, "one");
    n = put(in, n, 0x89, m, "p1");
    n = put(in, n, 0x01, m, "tw");
    n = put(in, n, 0x8a, m, "o1");
    n = put(in, n, 0x80, m, "o");
    n = put(in, n, 0x89, m, "");
    n = put(in, n, 0x8a, m, "o2");
    n = put(in, n, 0x82, m, "three");
    xt_ws_init(&t, &(struct xt_ws_opt){ .role = role, .max_events = max_events, .plain = plain });
    t.paused = true;
    xt_ws_feed(&t, in, cut);
    xt_ws_feed(&t, in + cut, n - cut);
    XT_WS(&t, "PING(p1) PONG(o1) PING() PONG(o2)", "F10(p1) F10()");
    xt_ws_run(&t);
    XT_WS(&t, "", "");
    t.paused = false;
    xt_ws_run(&t);
    XT_WS(&t, "M1(one) M1(two) M2(three)", "");
    n = put(in, 0, 0x89, m, "again");
    xt_ws_feed(&t, in, n);
    XT_WS(&t, "PING(again)", "F10(again)");
    xt_ws_free(&t);
}

XT_TEST(pings_are_answered_and_pongs_told_ahead) {
    for (int role = XW_WS_CLIENT; role <= XW_WS_SERVER; role++)
        for (size_t cut = 0; cut < 30; cut++)
            for (unsigned max = 1; max < 9; max += 7)
                for (int plain = 0; plain < 2; plain++)
                    controls((enum xw_ws_role)role, cut, max, plain);
}

/* The pause begins anywhere: what was seen before is not said twice, what comes later is not forgotten. */
XT_TEST(pausing_and_resuming_at_every_byte) {
    uint8_t in[128];
    for (int role = XW_WS_CLIENT; role <= XW_WS_SERVER; role++) {
        bool m = role == XW_WS_SERVER;
        size_t n = put(in, 0, 0x89, m, "a");
        n = put(in, n, 0x01, m, "x");
        n = put(in, n, 0x89, m, "b");
        n = put(in, n, 0x80, m, "y");
        n = put(in, n, 0x89, m, "c");
        for (size_t from = 0; from <= n; from++)
            for (size_t to = from; to <= n; to++) {
                xt_ws_init(&t, &(struct xt_ws_opt){ .role = (enum xw_ws_role)role });
                xt_ws_feed(&t, in, from);
                t.paused = true;
                xt_ws_feed(&t, in + from, to - from);
                t.paused = false;
                xt_ws_feed(&t, in + to, n - to);
                XT_TRUE(strstr(t.log, "M1(xy)"));
                unsigned pings = 0;
                for (const char *p = t.log; (p = strstr(p, "PING(")); p++)
                    pings++;
                XT_EQ(pings, 3);
                xt_ws_collect(&t);
                /* a masked ping that was half read when the pause began has its turn later */
                XT_TRUE(!strcmp(t.sent, "F10(a) F10(b) F10(c)") || (m && !strcmp(t.sent, "F10(b) F10(a) F10(c)")) ||
                        (m && !strcmp(t.sent, "F10(b) F10(c) F10(a)")) || (m && !strcmp(t.sent, "F10(a) F10(c) F10(b)")));
                xt_ws_free(&t);
            }
    }
}

XT_TEST(the_end_is_noticed) {
    uint8_t in[64];
    xt_ws_init(&t, &(struct xt_ws_opt){ .role = XW_WS_CLIENT });
    t.paused = true;
    xt_ws_feed(&t, in, put(in, 0, 0x81, false, "last"));
    XT_TRUE(!xw_ws_ending(t.ws));
    xt_ws_feed(&t, in, put(in, 0, 0x88, false, "\x03\xe8"));
    XT_WS(&t, "", "");
    XT_TRUE(xw_ws_ending(t.ws));
    t.paused = false;
    xt_ws_run(&t);
    XT_WS(&t, "M1(last) CLOSING(1000,)", "CLOSE(1000,)");
    xt_ws_free(&t);

    xt_ws_init(&t, &(struct xt_ws_opt){ .role = XW_WS_CLIENT });
    t.paused = true;
    xt_ws_feed(&t, in, put(in, 0, 0x81, false, "last"));
    t.bs.st.rx_eof = true;
    XT_TRUE(xw_ws_ending(t.ws));
    xt_ws_free(&t);
}

/* A frame that breaks the rules is left to the reader; so is all behind it. */
XT_TEST(a_fault_waits_for_its_turn) {
    uint8_t in[64];
    size_t n = put(in, 0, 0x81, false, "ok");
    n = put(in, n, 0x89, true, "masked"); /* a server must not */
    n = put(in, n, 0x89, false, "never");
    xt_ws_init(&t, &(struct xt_ws_opt){ .role = XW_WS_CLIENT });
    t.paused = true;
    xt_ws_feed(&t, in, n);
    XT_WS(&t, "", "");
    t.paused = false;
    xt_ws_run(&t);
    XT_TRUE(strstr(t.log, "M1(ok)") == t.log);
    xt_ws_collect(&t);
    XT_TRUE(strstr(t.sent, "CLOSE(1002,"));
    xt_ws_free(&t);
}

/* The ring is full: nothing behind it is seen, nothing is lost. */
XT_TEST(a_full_ring) {
    static uint8_t in[20000];
    char text[3000];
    memset(text, 'm', sizeof text);
    size_t n = 0;
    for (int i = 0; i < 6; i++)
        n += xt_frame(in + n, 0x82, false, text, sizeof text);
    n = put(in, n, 0x89, false, "behind");
    xt_ws_init(&t, &(struct xt_ws_opt){ .role = XW_WS_CLIENT, .rx_cap = 16384 });
    t.paused = true;
    size_t done = xt_bs_push(&t.bs, in, n);
    xt_ws_run(&t);
    XT_TRUE(done < n);
    XT_WS(&t, "", "");
    t.paused = false;
    xt_ws_feed(&t, in + done, n - done);
    XT_TRUE(strstr(t.log, "PING(behind)"));
    t.log[0] = 0;
    XT_WS(&t, "", "F10(behind)");
    xt_ws_free(&t);
}

XT_MAIN(XT_RUN(pings_are_answered_and_pongs_told_ahead), XT_RUN(pausing_and_resuming_at_every_byte),
            XT_RUN(the_end_is_noticed), XT_RUN(a_fault_waits_for_its_turn), XT_RUN(a_full_ring))
