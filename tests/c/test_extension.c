/* permessage-deflate's parameters: grammar, what a client takes, what a server chooses. */
#include "ws/extension.h"
#include "base/err.h"
#include "xt.h"
#include <stdbool.h>

static struct xw_span text(const char *s) { return xw_span(s, strlen(s)); }

struct row { const char *value; int rc; struct xw_ws_pmd p; };

static void parsed(const struct row *r, bool answer) {
    struct xw_ws_pmd p;
    size_t pos = 0;
    int rc = xw_ws_pmd_parse(text(r->value), &pos, answer, &p);
    if (rc != r->rc || p.on != r->p.on)
        XT_FAIL("%d, on %d for \"%s\"", rc, p.on, r->value);
    if (!p.on)
        return;
    XT_EQ(p.server_reset, r->p.server_reset);
    XT_EQ(p.client_reset, r->p.client_reset);
    XT_EQ(p.server_bits, r->p.server_bits);
    XT_EQ(p.client_bits, r->p.client_bits);
}

#define PMD "permessage-deflate"

XT_TEST(well_formed) {
    static const struct row rows[] = {
        { PMD, 1, { .on = true } },
        { "  Permessage-Deflate \t", 1, { .on = true } },
        { ", ,permessage-deflate", 1, { .on = true } },
        { PMD ";server_no_context_takeover", 1, { .on = true, .server_reset = true } },
        { PMD " ; client_no_context_takeover ; Server_No_Context_Takeover", 1,
          { .on = true, .server_reset = true, .client_reset = true } },
        { PMD "; server_max_window_bits=8; client_max_window_bits=15", 1,
          { .on = true, .server_bits = 8, .client_bits = 15 } },
        { PMD "; server_max_window_bits = \"10\"", 1, { .on = true, .server_bits = 10 } },
        { "x-webkit-deflate-frame", 0, { 0 } },
        { "foo; bar=\"baz\"; q", 0, { 0 } },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int answer = 0; answer < 2; answer++)
            parsed(&rows[i], answer);
    static const struct row any = { PMD "; client_max_window_bits", 1, { .on = true, .client_bits = 1 } };
    parsed(&any, false);
    static const struct row bare = { PMD "; client_max_window_bits", 1, { 0 } };
    parsed(&bare, true);
}

/* Known as ours, but not to be taken. */
XT_TEST(parameters_that_are_wrong) {
    static const char *const params[] = {
        "x", "server_no_context_takeover=1", "client_no_context_takeover=\"\x41\"", "server_max_window_bits",
        "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=08", "client_max_window_bits=0",
        "server_max_window_bits=+9", "client_max_window_bits=100", "client_max_window_bits=1", "client_max_window_bits=a",
        "server_no_context_takeover; server_no_context_takeover", "client_max_window_bits=9; client_max_window_bits=9",
        "server_max_window_bits=9; server_max_window_bits=10", "server_max_window_bits=4294967304",
    };
    char value[200];
    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        snprintf(value, sizeof value, PMD "; %s", params[i]);
        parsed(&(struct row){ value, 1, { 0 } }, false);
        parsed(&(struct row){ value, 1, { 0 } }, true);
    }
}

XT_TEST(malformed_lists) {
    static const char *const values[] = {
        ";", "=", PMD ";", PMD "; ", PMD "; =", PMD "; a=", PMD "; a=\"", PMD "; a=\"b", PMD "; a=\"\"", PMD "; a b",
        PMD " x", PMD "; a=\"b c\"", PMD "; a=b=c", "\"" PMD "\"", PMD "; a;;b", "foo bar", PMD "/1", PMD "; a=\"b\"c",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        parsed(&(struct row){ values[i], XW_EPROTO, { 0 } }, false);
    struct xw_ws_pmd p;
    size_t pos = 0;
    XT_EQ(xw_ws_pmd_parse(text(" , \t"), &pos, false, &p), XW_ECLOSED);
}

/* Every set of parameters is read as it was written, and never written in part. */
XT_TEST(emit_is_the_inverse) {
    static const uint8_t bits[] = { 0, 1, 8, 9, 12, 15 };
    uint8_t out[XW_WS_PMD_TEXT_MAX];
    for (unsigned i = 0; i < 4 * 36; i++) {
        struct xw_ws_pmd q, p = { .on = true, .server_reset = i & 1, .client_reset = i & 2,
                                  .server_bits = bits[i / 4 % 6], .client_bits = bits[i / 24] };
        size_t pos = 0, n = xw_ws_pmd_emit(xw_mspan(out, sizeof out), &p);
        XT_TRUE(n > 0);
        XT_EQ(xw_ws_pmd_parse(xw_span(out, n), &pos, false, &q), 1);
        XT_EQ(q.on, xw_ws_pmd_valid(&p, false));
        XT_EQ(pos, n);
        if (q.on)
            XT_TRUE(q.server_reset == p.server_reset && q.client_reset == p.client_reset &&
                    q.server_bits == p.server_bits && q.client_bits == p.client_bits);
        for (size_t cap = 0; cap < n; cap++)
            XT_EQ(xw_ws_pmd_emit(xw_mspan(out, cap), &p), 0);
        XT_EQ(xw_ws_pmd_valid(&p, true), xw_ws_pmd_valid(&p, false) && p.client_bits != XW_WS_PMD_BITS_ANY);
    }
}

/* ---- client ---- */

static struct xw_ws_pmd agreed;

static const char *judged(const char *fields, struct xw_ws_pmd offer) {
    char head[400];
    snprintf(head, sizeof head, "HTTP/1.1 101 X\r\n%s\r\n", fields);
    return xw_ws_pmd_judge(text(head), &offer, &agreed);
}
#define EXT(value) "Sec-WebSocket-Extensions: " value "\r\n"

XT_TEST(answers_that_are_taken) {
    struct xw_ws_pmd offer = { .on = true, .client_bits = XW_WS_PMD_BITS_ANY };
    XT_TRUE(!judged("", offer) && !agreed.on);
    XT_TRUE(!judged(EXT(""), offer) && !agreed.on);
    XT_TRUE(!judged(EXT(PMD), offer) && agreed.on && agreed.server_bits == 15 && agreed.client_bits == 15);
    /* not asked for, and harmless: it binds the server, or nobody */
    XT_TRUE(!judged(EXT(PMD "; server_max_window_bits=15"), offer) && agreed.on && agreed.server_bits == 15);
    XT_TRUE(!judged(EXT(PMD "; server_max_window_bits=9"), offer) && agreed.server_bits == 9);
    XT_TRUE(!judged(EXT(PMD "; server_no_context_takeover"), offer) && agreed.server_reset && !agreed.client_reset);
    XT_TRUE(!judged(EXT(PMD "; client_no_context_takeover"), offer) && agreed.client_reset);
    XT_TRUE(!judged(EXT(PMD "; client_max_window_bits=10"), offer) && agreed.client_bits == 10);
    offer.client_bits = 0;
    XT_TRUE(!judged(EXT(PMD "; client_max_window_bits=15"), offer) && agreed.client_bits == 15);
    /* what was said of ourselves holds without being repeated */
    offer = (struct xw_ws_pmd){ .on = true, .client_reset = true, .client_bits = 9 };
    XT_TRUE(!judged(EXT(PMD), offer) && agreed.client_reset && agreed.client_bits == 9);
    XT_TRUE(!judged(EXT(PMD "; client_max_window_bits=8"), offer) && agreed.client_bits == 8);
    offer = (struct xw_ws_pmd){ .on = true, .server_reset = true, .server_bits = 12 };
    XT_TRUE(!judged(EXT(PMD "; server_no_context_takeover; server_max_window_bits=12"), offer) && agreed.server_reset);
}

XT_TEST(answers_that_fail_the_handshake) {
    struct xw_ws_pmd none = { 0 }, plain = { .on = true }, all = { .on = true, .server_bits = 10, .client_bits = 10 };
    struct xw_ws_pmd reset = { .on = true, .server_reset = true };
    XT_TRUE(judged(EXT(PMD), none) && !agreed.on);
    XT_TRUE(judged(EXT("foo"), plain));
    XT_TRUE(judged(EXT(PMD ", foo"), plain));
    XT_TRUE(judged(EXT(PMD ", " PMD), plain));
    XT_TRUE(judged(EXT(PMD) EXT(PMD), plain));
    XT_TRUE(judged(EXT(PMD "; x=1"), plain));
    XT_TRUE(judged(EXT(PMD ";"), plain));
    XT_TRUE(judged(EXT(PMD "; client_max_window_bits=10"), plain));
    XT_TRUE(judged(EXT(PMD "; client_max_window_bits"), all));
    XT_TRUE(judged(EXT(PMD "; server_max_window_bits=11"), all));
    XT_TRUE(judged(EXT(PMD "; server_max_window_bits=10; client_max_window_bits=11"), all));
    XT_TRUE(judged(EXT(PMD), all));
    XT_TRUE(judged(EXT(PMD), reset));
}

/* ---- server ---- */

static struct xw_ws_pmd answer;

static const char *chosen(const char *fields, struct xw_ws_pmd own, const char *want) {
    char head[400], got[XW_WS_PMD_TEXT_MAX + 1] = "";
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\n%s\r\n", fields);
    const char *fault = xw_ws_pmd_choose(text(head), &own, &answer, &agreed);
    XT_EQ(answer.on, agreed.on);
    if (answer.on)
        got[xw_ws_pmd_emit(xw_mspan(got, sizeof got - 1), &answer)] = 0;
    XT_STR(got, want);
    return fault;
}

XT_TEST(what_a_server_chooses) {
    struct xw_ws_pmd own = { .on = true }, tight = { .on = true, .server_reset = true, .client_reset = true,
                                                     .server_bits = 9, .client_bits = 11 };
    XT_TRUE(!chosen("", own, ""));
    XT_TRUE(!chosen(EXT(PMD), (struct xw_ws_pmd){ 0 }, ""));
    XT_TRUE(!chosen(EXT(PMD), own, PMD) && agreed.server_bits == 15 && agreed.client_bits == 15);
    XT_TRUE(!chosen(EXT(PMD "; client_max_window_bits"), own, PMD));
    XT_TRUE(!chosen(EXT(PMD "; client_max_window_bits=9"), own, PMD "; client_max_window_bits=9"));
    XT_EQ(agreed.client_bits, 9);
    XT_TRUE(!chosen(EXT(PMD "; server_max_window_bits=15"), own, PMD "; server_max_window_bits=15"));
    XT_TRUE(!chosen(EXT(PMD "; server_no_context_takeover; client_no_context_takeover"), own,
                    PMD "; server_no_context_takeover; client_no_context_takeover"));
    XT_TRUE(!chosen(EXT(PMD), tight,
                    PMD "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9"));
    XT_EQ(agreed.client_bits, 15); /* it was not offered, so it cannot be demanded */
    XT_TRUE(!chosen(EXT(PMD "; server_max_window_bits=8; client_max_window_bits=12"), tight,
                    PMD "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8; "
                    "client_max_window_bits=11"));
    /* the first that is acceptable, wherever it stands */
    XT_TRUE(!chosen(EXT("foo, " PMD "; bar, " PMD "; server_max_window_bits=10, " PMD), own,
                    PMD "; server_max_window_bits=10"));
    XT_TRUE(!chosen(EXT("foo") EXT(PMD), own, PMD));
    XT_TRUE(!chosen(EXT(PMD "; server_max_window_bits=99"), own, ""));
    XT_TRUE(chosen(EXT("foo;"), own, ""));
}

XT_MAIN(XT_RUN(well_formed), XT_RUN(parameters_that_are_wrong), XT_RUN(malformed_lists), XT_RUN(emit_is_the_inverse),
        XT_RUN(answers_that_are_taken), XT_RUN(answers_that_fail_the_handshake), XT_RUN(what_a_server_chooses))
