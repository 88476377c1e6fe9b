/* Frame headers: golden bytes both ways, every truncation, every refusal with its close code. */
#include "base/err.h"
#include "ws/frame.h"
#include "xt.h"

static const struct xw_ws_rules client = { .want_mask = false, .max_len = UINT64_MAX >> 1 };
static const struct xw_ws_rules server = { .want_mask = true, .max_len = UINT64_MAX >> 1 };

#define BYTES(...) xw_span((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

struct golden { struct xw_span in; bool server; struct xw_ws_hdr want; };

static void check_golden(const struct golden *g) {
    const struct xw_ws_rules *rules = g->server ? &server : &client;
    struct xw_ws_hdr h = { 0 };
    for (size_t n = 0; n < g->in.len; n++)
        XT_EQ(xw_ws_hdr_parse(xw_span(g->in.p, n), rules, &h), 0);
    uint8_t more[XW_WS_HDR_MAX + 8], out[XW_WS_HDR_MAX];
    memset(more, 0xff, sizeof more);
    memcpy(more, g->in.p, g->in.len);
    XT_EQ(xw_ws_hdr_parse(xw_span(more, sizeof more), rules, &h), 1);
    XT_EQ(h.fin, g->want.fin);
    XT_EQ(h.opcode, g->want.opcode);
    XT_EQ(h.masked, g->server);
    XT_EQ(h.len, g->want.len);
    XT_EQ(h.hdr_len, g->in.len);
    XT_EQ(xw_ws_hdr_len(&h), g->in.len);
    memset(out, 0x55, sizeof out);
    XT_EQ(xw_ws_hdr_emit(out, &h), g->in.len);
    XT_MEM(out, g->in.p, g->in.len);
    for (size_t i = g->in.len; i < sizeof out; i++)
        XT_EQ(out[i], 0x55);
}

XT_TEST(golden_bytes_both_ways_and_truncated) {
    const struct golden all[] = {
        { BYTES(0x81, 0x00), false, { .fin = true, .opcode = 1, .len = 0 } },
        { BYTES(0x02, 0x7d), false, { .fin = false, .opcode = 2, .len = 125 } },
        { BYTES(0x81, 0x7e, 0x00, 0x7e), false, { .fin = true, .opcode = 1, .len = 126 } },
        { BYTES(0x81, 0x7e, 0xff, 0xff), false, { .fin = true, .opcode = 1, .len = 65535 } },
        { BYTES(0x80, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0), false, { .fin = true, .opcode = 0, .len = 65536 } },
        { BYTES(0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), false,
          { .fin = true, .opcode = 2, .len = UINT64_MAX >> 1 } },
        { BYTES(0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d), true, { .fin = true, .opcode = 9, .len = 5 } },
        { BYTES(0x88, 0x80, 1, 2, 3, 4), true, { .fin = true, .opcode = 8, .len = 0 } },
        { BYTES(0x82, 0xfe, 0x01, 0x00, 9, 8, 7, 6), true, { .fin = true, .opcode = 2, .len = 256 } },
        { BYTES(0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 9, 8, 7, 6), true, { .fin = true, .opcode = 2, .len = 1 << 24 } },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_golden(&all[i]);
}

/* Refused with all bytes there, and already at the byte that shows it; before that byte: more is needed. */
static void refused_as(struct xw_span in, size_t at, const struct xw_ws_rules *rules, enum xw_ws_fault f,
                       unsigned code) {
    struct xw_ws_hdr h;
    for (size_t n = 0; n <= in.len; n++)
        XT_EQ(xw_ws_hdr_parse(xw_span(in.p, n), rules, &h), n < at ? 0 : -(int)f);
    XT_EQ(xw_ws_fault_code(f), code);
}

XT_TEST(each_refusal_has_its_code) {
    refused_as(BYTES(0xc1, 0x00), 2, &client, XW_WS_FAULT_RSV, 1002);
    refused_as(BYTES(0xa1, 0x00), 2, &client, XW_WS_FAULT_RSV, 1002);
    refused_as(BYTES(0x91, 0x00), 2, &client, XW_WS_FAULT_RSV, 1002);
    for (uint8_t op = 3; op < 16; op++)
        if (op < 8 || op > 10)
            refused_as(BYTES((uint8_t)(0x80 | op), 0x00), 2, &client, XW_WS_FAULT_OPCODE, 1002);
    refused_as(BYTES(0x89, 0x7e, 0x00, 0x7e), 2, &client, XW_WS_FAULT_CONTROL_LEN, 1002);
    refused_as(BYTES(0x88, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0), 2, &client, XW_WS_FAULT_CONTROL_LEN, 1002);
    refused_as(BYTES(0x09, 0x00), 2, &client, XW_WS_FAULT_CONTROL_FRAGMENT, 1002);
    refused_as(BYTES(0x81, 0x81, 1, 2, 3, 4), 2, &client, XW_WS_FAULT_MASKED, 1002);
    refused_as(BYTES(0x81, 0x01), 2, &server, XW_WS_FAULT_UNMASKED, 1002);
    refused_as(BYTES(0x81, 0x7e, 0x00, 0x7d), 4, &client, XW_WS_FAULT_LEN_NOT_MINIMAL, 1002);
    refused_as(BYTES(0x81, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 10, &client, XW_WS_FAULT_LEN_NOT_MINIMAL, 1002);
    refused_as(BYTES(0x81, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0), 3, &client, XW_WS_FAULT_LEN_TOP_BIT, 1002);
}

XT_TEST(limit_is_for_data_and_inclusive) {
    struct xw_ws_rules r = { .max_len = 100 };
    struct xw_ws_hdr h;
    XT_EQ(xw_ws_hdr_parse(BYTES(0x81, 100), &r, &h), 1);
    XT_EQ(xw_ws_hdr_parse(BYTES(0x81, 101), &r, &h), -(int)XW_WS_FAULT_TOO_BIG);
    XT_EQ(xw_ws_hdr_parse(BYTES(0x89, 101), &r, &h), 1);
    XT_EQ(xw_ws_fault_code(XW_WS_FAULT_TOO_BIG), 1009);
    XT_EQ(xw_ws_fault_error(XW_WS_FAULT_TOO_BIG), XW_ETOOBIG);
    r.max_len = 0;
    XT_EQ(xw_ws_hdr_parse(BYTES(0x80, 0), &r, &h), 1);
}

/* A negotiated bit is for the first frame of a data message; its neighbours stay reserved. */
XT_TEST(negotiated_rsv1) {
    struct xw_ws_rules r = { .rsv_ok = XW_WS_RSV1, .max_len = 100 };
    struct xw_ws_hdr h;
    XT_EQ(xw_ws_hdr_parse(BYTES(0xc1, 0), &r, &h), 1);
    XT_EQ(h.rsv, XW_WS_RSV1);
    XT_EQ(xw_ws_hdr_parse(BYTES(0xc2, 0), &r, &h), 1);
    XT_EQ(xw_ws_hdr_parse(BYTES(0xe1, 0), &r, &h), -(int)XW_WS_FAULT_RSV);
    XT_EQ(xw_ws_hdr_parse(BYTES(0xc0, 0), &r, &h), -(int)XW_WS_FAULT_RSV);
    XT_EQ(xw_ws_hdr_parse(BYTES(0xc9, 0), &r, &h), -(int)XW_WS_FAULT_RSV);
    r.max_packed = 50; /* compressed ones have a limit of their own */
    XT_EQ(xw_ws_hdr_parse(BYTES(0xc1, 50), &r, &h), 1);
    XT_EQ(xw_ws_hdr_parse(BYTES(0xc1, 51), &r, &h), -(int)XW_WS_FAULT_TOO_BIG);
    XT_EQ(xw_ws_hdr_parse(BYTES(0x81, 100), &r, &h), 1);
}

/* All first two bytes: accepted ones are what emit would write. */
XT_TEST(all_first_two_bytes) {
    unsigned ok = 0;
    for (unsigned v = 0; v < 65536; v++) {
        uint8_t in[2] = { (uint8_t)(v >> 8), (uint8_t)v }, out[XW_WS_HDR_MAX];
        struct xw_ws_hdr h;
        int rc = xw_ws_hdr_parse(xw_span(in, 2), &client, &h);
        XT_TRUE(rc > -(int)XW_WS_FAULT_COUNT && rc <= 1);
        if (rc != 1)
            continue;
        XT_EQ(xw_ws_hdr_emit(out, &h), 2);
        XT_MEM(out, in, 2);
        ok++;
    }
    XT_EQ(ok, (2 * 3 + 3) * 126); /* cont, text, bin with and without FIN; close, ping, pong with FIN */
}

XT_TEST(close_codes) {
    static const struct { uint32_t from, to; bool valid; } ranges[] = {
        { 0, 999, false }, { 1000, 1003, true }, { 1004, 1006, false }, { 1007, 1014, true }, { 1015, 2999, false },
        { 3000, 4999, true }, { 5000, 65536, false },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        for (uint32_t c = ranges[i].from; c <= ranges[i].to; c++)
            XT_EQ(xw_ws_code_valid(c), ranges[i].valid);
}

XT_TEST(table_is_complete) {
    for (int f = 1; f < XW_WS_FAULT_COUNT; f++) {
        XT_TRUE(xw_ws_code_valid(xw_ws_fault_code((enum xw_ws_fault)f)));
        XT_TRUE(xw_ws_fault_error((enum xw_ws_fault)f) < 0);
        XT_TRUE(strlen(xw_ws_fault_text((enum xw_ws_fault)f)) > 5);
    }
}

XT_MAIN(XT_RUN(golden_bytes_both_ways_and_truncated), XT_RUN(each_refusal_has_its_code),
        XT_RUN(limit_is_for_data_and_inclusive),
        XT_RUN(negotiated_rsv1), XT_RUN(all_first_two_bytes), XT_RUN(close_codes), XT_RUN(table_is_complete))
