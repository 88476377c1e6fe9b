/* The HTTP part, as client and as server: any bytes in any chunks end in a verdict, what is taken is bounded, and
 * chunks make no difference. First byte: role; second: chunk size. */
#include "base/assert.h"
#include "base/limits.h"
#include "ws/upgrade.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t mem[2][XW_HTTP_HEAD_MAX + XW_HTTP_BODY_MAX];
static const char request[] = "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "Sec-WebSocket-Protocol: chat\r\n"
                              "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12\r\n\r\n";

static size_t collect(struct xw_ws_head *h, uint8_t *buf, const char *begin, struct xw_span in, size_t step) {
    size_t i = 0;
    xw_ws_head_init(h, xw_mspan(buf, XW_HTTP_HEAD_MAX), begin);
    while (i < in.len && !h->done && !h->error) {
        size_t n = in.len - i < step ? in.len - i : step;
        i += xw_ws_head_feed(h, xw_span(in.p + i, n));
    }
    return i;
}

static void client(struct xw_span head, struct xw_span rest) {
    unsigned status;
    const char *error;
    struct xw_ws_body body;
    struct xw_ws_pmd agreed;
    enum xw_ws_verdict v = xw_ws_answer_check(head, xw_span(request, sizeof request - 1), &status, &agreed, &error);
    XW_ASSERT(!agreed.on || v == XW_WS_HS_OPEN);
    XW_ASSERT(!agreed.on || (agreed.server_bits >= 8 && agreed.server_bits <= 15 && agreed.client_bits >= 8 &&
                             agreed.client_bits <= 12));
    XW_ASSERT((v == XW_WS_HS_BROKEN) == (error != NULL));
    XW_ASSERT(v == XW_WS_HS_BROKEN || (status >= 100 && status <= 999));
    XW_ASSERT(v != XW_WS_HS_OPEN || status == 101);
    if (v != XW_WS_HS_REJECTED)
        return;
    xw_ws_body_init(&body, xw_mspan(mem[0] + head.len, XW_HTTP_BODY_MAX), head, status);
    size_t n = xw_ws_body_feed(&body, rest);
    XW_ASSERT(n == body.len && n <= XW_HTTP_BODY_MAX && (body.done || n == rest.len));
}

static void server(struct xw_span head) {
    const char *error;
    struct xw_span key = { 0 };
    uint8_t out[1024];
    size_t len = 0;
    unsigned status = xw_ws_request_check(head, &key, &error);
    XW_ASSERT(status == 101 ? key.len == XW_WS_KEY_LEN && !error : error && status >= 400 && status <= 505);
    struct xw_span sub = xw_ws_subprotocol_pick(head, "chat, v2");
    struct xw_ws_pmd own = { .on = true, .server_bits = 12 }, answer = { 0 }, agreed;
    if (status == 101 && xw_ws_pmd_choose(head, &own, &answer, &agreed))
        XW_ASSERT(!answer.on || xw_ws_pmd_valid(&answer, true));
    XW_ASSERT(xw_ws_answer_emit(xw_mspan(out, sizeof out), status, key, sub, &answer, &len) == 0 && len < sizeof out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    bool is_client = data[0] & 1;
    struct xw_ws_head whole, cut;
    struct xw_span in = xw_span(data + 2, size - 2);
    const char *begin = is_client ? "HTTP/1." : "";
    size_t n = collect(&whole, mem[0], begin, in, SIZE_MAX), m = collect(&cut, mem[1], begin, in, 1u + data[1]);
    XW_ASSERT(n == m && whole.done == cut.done && whole.len == cut.len && whole.error == cut.error);
    XW_ASSERT(n <= XW_HTTP_HEAD_MAX && !memcmp(mem[0], mem[1], n));
    if (!whole.done)
        return 0;
    struct xw_span head = xw_span(mem[0], whole.len);
    if (is_client)
        client(head, xw_span_from(in, n));
    else
        server(head);
    return 0;
}
