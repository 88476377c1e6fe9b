/* ws/upgrade.c: what the WebSocket handshake demands of a request and of an answer (RFC 6455 section 4). */
#include "ws/upgrade.h"
#include "base/assert.h"
#include "base/err.h"
#include "base/limits.h"
#include "ws/upgrade_priv.h"
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

/* ---- writing ---- */

struct out { struct xw_mspan to; size_t len; bool full; };

static void put(struct out *o, const void *p, size_t len) {
    if (len > o->to.len - o->len) {
        o->full = true;
        return;
    }
    if (len)
        memcpy(o->to.p + o->len, p, len);
    o->len += len;
}

static void put_str(struct out *o, const char *s) { put(o, s, strlen(s)); }

static void put_extension(struct out *o, const struct xw_ws_pmd *p) {
    if (!p || !p->on)
        return;
    put_str(o, "Sec-WebSocket-Extensions: ");
    size_t n = xw_ws_pmd_emit(xw_mspan(o->to.p + o->len, o->to.len - o->len), p);
    o->full |= !n;
    o->len += n;
    put_str(o, "\r\n");
}

void xw_ws_key_make(struct xw_rng *rng, char key[XW_WS_KEY_LEN + 1]) {
    uint8_t raw[16], text[XW_WS_KEY_LEN + 1];
    xw_rng_fill(rng, raw, sizeof raw);
    EVP_EncodeBlock(text, raw, sizeof raw);
    memcpy(key, text, sizeof text);
}

void xw_ws_accept_make(struct xw_span key, char accept[XW_WS_ACCEPT_LEN + 1]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 1.3 */
    uint8_t in[XW_WS_KEY_LEN + sizeof guid - 1], sum[SHA_DIGEST_LENGTH], text[XW_WS_ACCEPT_LEN + 1];
    XW_ASSERT(key.len == XW_WS_KEY_LEN);
    memcpy(in, key.p, XW_WS_KEY_LEN);
    memcpy(in + XW_WS_KEY_LEN, guid, sizeof guid - 1);
    SHA1(in, sizeof in, sum);
    EVP_EncodeBlock(text, sum, sizeof sum);
    memcpy(accept, text, sizeof text);
}

/* A target or host: visible ASCII only, not empty. */
static bool visible(const char *s) {
    if (!*s)
        return false;
    for (; *s; s++)
        if (*s <= ' ' || *s > '~')
            return false;
    return true;
}

/* A comma-separated list of different tokens. */
static bool tokens_ok(const char *list) {
    struct xw_span all = xw_span(list, strlen(list)), item, other;
    size_t pos = 0, cnt = 0;
    while (xw_ws_list_next(all, &pos, &item)) {
        cnt++;
        for (size_t i = 0; i < item.len; i++)
            if (!xw_ws_is_token_char(item.p[i]))
                return false;
        for (size_t at = pos; xw_ws_list_next(all, &at, &other);)
            if (other.len == item.len && !memcmp(other.p, item.p, item.len))
                return false;
    }
    return cnt > 0;
}

/* The caller's own lines: each "token: value CRLF", none of the fields that this file writes or that would
 * announce a body. */
static bool headers_ok(const char *lines) {
    static const char *const owned[] = {
        "Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept", "Content-Length", "Transfer-Encoding",
    };
    const uint8_t *p = (const uint8_t *)lines;
    while (*p) {
        size_t n = 0, end;
        while (xw_ws_is_token_char(p[n]))
            n++;
        if (n == 0 || p[n] != ':')
            return false;
        for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
            if (xw_ws_span_is(xw_span(p, n), owned[i]))
                return false;
        for (end = n + 1; xw_ws_is_value_char(p[end]); end++) { }
        if (p[end] != '\r' || p[end + 1] != '\n')
            return false;
        p += end + 2;
    }
    return true;
}

int xw_ws_request_emit(struct xw_mspan out, const struct xw_ws_request *rq, const char *key, size_t *len) {
    const char *target = rq->target ? rq->target : "/";
    if (!visible(target) || !rq->host || !visible(rq->host) || (rq->headers && !headers_ok(rq->headers)) ||
        (rq->subprotocols && !tokens_ok(rq->subprotocols)) ||
        (rq->deflate && rq->deflate->on && !xw_ws_pmd_valid(rq->deflate, false)))
        return XW_EINVAL;
    struct out o = { .to = out };
    put_str(&o, "GET ");
    put_str(&o, target);
    put_str(&o, " HTTP/1.1\r\nHost: ");
    put_str(&o, rq->host);
    put_str(&o, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ");
    put_str(&o, key);
    put_str(&o, "\r\nSec-WebSocket-Version: 13\r\n");
    if (rq->subprotocols) {
        put_str(&o, "Sec-WebSocket-Protocol: ");
        put_str(&o, rq->subprotocols);
        put_str(&o, "\r\n");
    }
    put_extension(&o, rq->deflate);
    if (rq->headers)
        put_str(&o, rq->headers);
    put_str(&o, "\r\n");
    *len = o.len;
    return o.full ? XW_ETOOBIG : XW_OK;
}

/* ---- judging an answer ---- */

/* A field that is malformed anywhere spoils the whole head. */
static bool fields_ok(struct xw_span head) {
    struct xw_span name, value;
    size_t pos = 0;
    while (xw_ws_field_next(head, &pos, &name, &value)) { }
    return pos == head.len;
}

/* "HTTP/1.x NNN": the status, or 0 (RFC 9112 section 4; the reason phrase may be missing). */
static unsigned status_of(struct xw_span head) {
    const uint8_t *p = head.p;
    if (head.len < 14 || memcmp(p, "HTTP/1.", 7) || (p[7] != '0' && p[7] != '1') || p[8] != ' ')
        return 0;
    unsigned v = 0;
    for (int i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9')
            return 0;
        v = v * 10 + (unsigned)(p[i] - '0');
    }
    return (p[12] == ' ' || p[12] == '\r') && v >= 100 ? v : 0;
}

/* What breaks RFC 6455 4.1 in a 101; NULL: nothing. */
static const char *switch_fault(struct xw_span head, struct xw_span request, struct xw_ws_pmd *agreed) {
    struct xw_span v = { 0 }, key = { 0 };
    struct xw_ws_pmd offer = { 0 };
    size_t pos = 0;
    char accept[XW_WS_ACCEPT_LEN + 1];
    if (head.p[7] != '1')
        return "101 in HTTP/1.0";
    if (!xw_ws_field_has(head, "Upgrade", "websocket"))
        return "answer 101 without Upgrade: websocket";
    if (!xw_ws_field_has(head, "Connection", "Upgrade"))
        return "answer 101 without Connection: Upgrade";
    if (xw_ws_field(head, "Sec-WebSocket-Accept", &v) != 1)
        return "answer 101 without one Sec-WebSocket-Accept";
    if (!request.len) {
        offer = (struct xw_ws_pmd){ .on = true, .client_bits = XW_WS_PMD_BITS_ANY };
        return xw_ws_pmd_judge(head, &offer, agreed);
    }
    xw_ws_field(request, "Sec-WebSocket-Key", &key);
    xw_ws_accept_make(key, accept);
    if (v.len != XW_WS_ACCEPT_LEN || memcmp(v.p, accept, XW_WS_ACCEPT_LEN))
        return "wrong Sec-WebSocket-Accept";
    if (xw_ws_field(request, "Sec-WebSocket-Extensions", &v))
        xw_ws_pmd_parse(v, &pos, false, &offer);
    const char *fault = xw_ws_pmd_judge(head, &offer, agreed);
    if (fault)
        return fault;
    unsigned cnt = xw_ws_field(head, "Sec-WebSocket-Protocol", &v);
    if (cnt > 1 || (cnt && !xw_ws_list_has(request, "Sec-WebSocket-Protocol", v)))
        return "server chose a subprotocol that was not offered";
    return NULL;
}

enum xw_ws_verdict xw_ws_answer_check(struct xw_span head, struct xw_span request, unsigned *status,
                                      struct xw_ws_pmd *agreed, const char **error) {
    *error = NULL;
    *agreed = (struct xw_ws_pmd){ 0 };
    *status = status_of(head);
    if (!*status)
        *error = "malformed HTTP status line";
    else if (!fields_ok(head))
        *error = "malformed HTTP header field";
    else if (*status == 101)
        *error = switch_fault(head, request, agreed);
    if (*error) {
        *agreed = (struct xw_ws_pmd){ 0 };
        return XW_WS_HS_BROKEN;
    }
    return *status == 101 ? XW_WS_HS_OPEN : *status < 200 ? XW_WS_HS_INTERIM : XW_WS_HS_REJECTED;
}

/* ---- the body of a rejection ---- */

/* Decimal without sign; anything else, or more than 18 digits: UINT64_MAX. */
static uint64_t decimal(struct xw_span v) {
    uint64_t n = 0;
    if (v.len == 0 || v.len > 18)
        return UINT64_MAX;
    for (size_t i = 0; i < v.len; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return UINT64_MAX;
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    }
    return n;
}

void xw_ws_body_init(struct xw_ws_body *b, struct xw_mspan buf, struct xw_span head, unsigned status) {
    struct xw_span v;
    if (buf.len > XW_HTTP_BODY_MAX)
        buf.len = XW_HTTP_BODY_MAX;
    *b = (struct xw_ws_body){ .buf = buf, .left = UINT64_MAX };
    b->chunked = xw_ws_field_has(head, "Transfer-Encoding", "chunked");
    if (status == 204 || status == 304)
        b->left = 0;
    else if (!b->chunked && xw_ws_field(head, "Content-Length", &v))
        b->left = decimal(v);
    b->done = b->left == 0;
}

/* The last chunk without trailers is what is held at the end (RFC 9112 7.1). Content can look like it too; then
 * less is shown. */
static bool last_chunk(const struct xw_ws_body *b) {
    static const char end[] = "\r\n0\r\n\r\n";
    size_t n = sizeof end - 1;
    if (b->len == n - 2)
        return !memcmp(b->buf.p, end + 2, n - 2);
    return b->len >= n && !memcmp(b->buf.p + b->len - n, end, n);
}

size_t xw_ws_body_feed(struct xw_ws_body *b, struct xw_span in) {
    size_t i = 0;
    while (i < in.len && !b->done) {
        b->buf.p[b->len++] = in.p[i++];
        if (b->left != UINT64_MAX)
            b->left--;
        b->done = b->left == 0 || b->len == b->buf.len || (b->chunked && last_chunk(b));
    }
    return i;
}

/* ---- server ---- */

/* The request line: 101, or what it is refused with. */
static unsigned request_line(struct xw_span head, const char **error) {
    size_t sp1 = 0, sp2, end;
    while (sp1 < head.len && xw_ws_is_token_char(head.p[sp1]))
        sp1++;
    for (sp2 = sp1 + 1; sp2 < head.len && head.p[sp2] > ' ' && head.p[sp2] <= '~'; sp2++) { }
    end = sp2 + 9;
    *error = "malformed HTTP request line";
    if (!sp1 || sp2 == sp1 + 1 || end + 2 > head.len || head.p[sp1] != ' ' || head.p[sp2] != ' ' ||
        memcmp(head.p + sp2 + 1, "HTTP/", 5) || memcmp(head.p + end, "\r\n", 2))
        return 400;
    *error = "HTTP version is not 1.1";
    if (memcmp(head.p + sp2 + 6, "1.1", 3))
        return 505;
    *error = "HTTP method is not GET";
    return sp1 == 3 && !memcmp(head.p, "GET", 3) ? 101 : 405;
}

static bool key_ok(struct xw_span key) {
    uint8_t text[XW_WS_KEY_LEN], raw[18];
    if (key.len != XW_WS_KEY_LEN || memcmp(key.p + 22, "==", 2) || key.p[21] == '=')
        return false;
    memcpy(text, key.p, sizeof text);
    return EVP_DecodeBlock(raw, text, sizeof text) == 18;
}

unsigned xw_ws_request_check(struct xw_span head, struct xw_span *key, const char **error) {
    struct xw_span v = { 0 };
    unsigned status = request_line(head, error);
    if (status != 101)
        return status;
    *error = "malformed HTTP header field";
    if (!fields_ok(head))
        return 400;
    *error = "request without one Host";
    if (xw_ws_field(head, "Host", &v) != 1)
        return 400;
    *error = "request announces a body";
    if (xw_ws_field(head, "Transfer-Encoding", &v) || (xw_ws_field(head, "Content-Length", &v) && decimal(v) != 0))
        return 400;
    *error = "request is not an upgrade to WebSocket";
    if (!xw_ws_field_has(head, "Upgrade", "websocket") || !xw_ws_field_has(head, "Connection", "Upgrade"))
        return 426;
    *error = "Sec-WebSocket-Version is not 13";
    if (xw_ws_field(head, "Sec-WebSocket-Version", &v) != 1 || !xw_ws_span_is(v, "13"))
        return 426;
    *error = "malformed Sec-WebSocket-Key";
    if (xw_ws_field(head, "Sec-WebSocket-Key", key) != 1 || !key_ok(*key))
        return 400;
    *error = NULL;
    return 101;
}

struct xw_span xw_ws_subprotocol_pick(struct xw_span head, const char *supported) {
    struct xw_span item;
    if (supported)
        for (size_t pos = 0; xw_ws_list_next(xw_span(supported, strlen(supported)), &pos, &item);)
            if (xw_ws_list_has(head, "Sec-WebSocket-Protocol", item))
                return item;
    return xw_span("", 0);
}

static const char *reason_of(unsigned status) {
    switch (status) {
    case 101: return "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    case 405: return "405 Method Not Allowed\r\nAllow: GET\r\n";
    case 426: return "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    case 505: return "505 HTTP Version Not Supported\r\n";
    }
    return "400 Bad Request\r\n";
}

int xw_ws_answer_emit(struct xw_mspan out, unsigned status, struct xw_span key, struct xw_span subprotocol,
                      const struct xw_ws_pmd *deflate, size_t *len) {
    struct out o = { .to = out };
    put_str(&o, "HTTP/1.1 ");
    put_str(&o, reason_of(status));
    if (status == 101) {
        char accept[XW_WS_ACCEPT_LEN + 1];
        xw_ws_accept_make(key, accept);
        put_str(&o, accept);
        put_str(&o, "\r\n");
        if (subprotocol.len) {
            put_str(&o, "Sec-WebSocket-Protocol: ");
            put(&o, subprotocol.p, subprotocol.len);
            put_str(&o, "\r\n");
        }
        put_extension(&o, deflate);
    } else {
        put_str(&o, "Connection: close\r\nContent-Length: 0\r\n");
    }
    put_str(&o, "\r\n");
    *len = o.len;
    return o.full ? XW_ETOOBIG : XW_OK;
}
