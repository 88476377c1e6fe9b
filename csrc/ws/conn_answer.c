/* ws/conn_answer.c: server: the request is judged, and answered by us or by the owner.
 *
 * Without cfg.ask the answer is the draft. With it, the owner is shown the request and may take the draft, change it, or
 * send another: pages and refusals need no more than that. Texts lie in the assembly buffer: ours at 0, the request
 * behind it. */
#include "base/err.h"
#include "ws/conn_priv.h"
#include <string.h>

static void refused(struct xw_ws *ws, const char *why) {
    ws_begin_close(ws, false);
    ws_decide(ws, XW_WS_LAYER_HTTP, XW_EPROTO, XW_WS_CODE_ABNORMAL, why);
    ws->tx.shut_wanted = true;
    ws->state = WS_DRAIN;
}

unsigned ws_judge_request(struct xw_ws *ws, struct xw_ws_event *ev) {
    const char *error;
    size_t len;
    struct xw_span head = ws_head_span(ws), key = { 0 };
    struct xw_mspan out = xw_mspan(ws->cfg.assembly.p, XW_WS_REQUEST_MAX);
    unsigned status = xw_ws_request_check(head, &key, &error);
    struct xw_span sub = xw_ws_subprotocol_pick(head, ws->cfg.subprotocols);
    struct xw_ws_pmd deflate = { 0 };
    ws->agreed = (struct xw_ws_pmd){ 0 };
    if (status == 101 && (error = xw_ws_pmd_choose(head, &ws->cfg.deflate, &deflate, &ws->agreed)))
        status = 400;
    if (xw_ws_answer_emit(out, status, key, sub, &deflate, &len)) {
        ws_end_handshake(ws, XW_EBUG, false, "answer too long");
        return 0;
    }
    ws->http_status = status;
    if (ws->cfg.ask) {
        ws->draft_len = len;
        ws->state = WS_ASK;
        ws->rx.lent_end = WS_PEER_AT + head.len;
        *ev = (struct xw_ws_event){ .type = XW_WS_REQUEST, .code = status, .data = head };
        return 1;
    }
    ws->tx.hello_len = len;
    if (status == 101 && !ws_start_deflate(ws, &ws->agreed))
        return 0;
    ws->state = WS_HEAD;
    if (status != 101)
        refused(ws, error);
    return 0;
}

struct xw_span xw_ws_hello(const struct xw_ws *ws) {
    bool client = ws->cfg.role == XW_WS_CLIENT;
    size_t len = client && ws->state <= WS_HEAD ? ws->tx.hello_len : ws->state == WS_ASK ? ws->draft_len : 0;
    return xw_span(ws->cfg.assembly.p, len);
}

/* "HTTP/1.1 200 OK": the status; 0: it is no answer. */
static unsigned status_of(struct xw_span a) {
    unsigned status = 0;
    if (a.len < 13 || memcmp(a.p, "HTTP/1.1 ", 9))
        return 0;
    for (size_t i = 9; i < 12; i++) {
        if (a.p[i] < '0' || a.p[i] > '9')
            return 0;
        status = status * 10 + (unsigned)(a.p[i] - '0');
    }
    return status >= 100 ? status : 0;
}

/* Bytes of the head with its empty line; 0: there is none, or a malformed field in it. */
static size_t head_len(struct xw_span a) {
    const uint8_t *end = memmem(a.p, a.len, "\r\n\r\n", 4);
    struct xw_span name, value, head = xw_span(a.p, end ? (size_t)(end - a.p) + 4 : 0);
    size_t pos = 0;
    while (head.len && xw_ws_field_next(head, &pos, &name, &value)) { }
    return pos == head.len ? head.len : 0;
}

/* A 101 keeps the key's digest, or the client would not take it. */
static bool same_accept(struct xw_span head, struct xw_span draft) {
    struct xw_span ours = { 0 }, theirs = { 0 };
    return xw_ws_field(head, "Sec-WebSocket-Accept", &theirs) == 1 &&
           xw_ws_field(draft, "Sec-WebSocket-Accept", &ours) == 1 && ours.len == theirs.len &&
           !memcmp(ours.p, theirs.p, ours.len);
}

int xw_ws_answer(struct xw_ws *ws, const void *answer, size_t len) {
    struct xw_span a = xw_span(answer, len), head = xw_span(answer, head_len(a)), none;
    unsigned status = status_of(a);
    if (ws->state != WS_ASK)
        return ws->state > WS_ASK ? XW_ECLOSED : XW_ESTATE;
    if (!status || !head.len || status < 101 || (status == 101 && head.len != len))
        return XW_EINVAL;
    if (head.len > XW_WS_REQUEST_MAX || len > ws->cfg.assembly.len)
        return XW_ETOOBIG;
    if (status == 101 && (ws->http_status != 101 || !same_accept(head, xw_ws_hello(ws))))
        return XW_EINVAL;
    bool deflate = xw_ws_field(head, "Sec-WebSocket-Extensions", &none);
    if (status == 101 && deflate && !ws_start_deflate(ws, &ws->agreed))
        return XW_ENOMEM;
    ws->tx.hello_len = len;
    memcpy(ws->cfg.assembly.p, answer, len);
    ws->state = WS_HEAD;
    if (status != 101)
        refused(ws, "the request was refused");
    return XW_OK;
}
