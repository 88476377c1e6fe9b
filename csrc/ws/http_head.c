/* ws/http_head.c: collecting an HTTP/1.1 head and walking its fields (RFC 9112 section 2 to 5, the strict reading). */
#include "base/limits.h"
#include "ws/upgrade_priv.h"
#include <string.h>

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c; }

bool xw_ws_is_token_char(uint8_t c) {
    uint8_t l = lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool xw_ws_span_is(struct xw_span s, const char *text) {
    if (s.len != strlen(text))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (lower(s.p[i]) != lower((uint8_t)text[i]))
            return false;
    return true;
}

struct xw_span xw_ws_trim(struct xw_span s) {
    while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = xw_span(s.p + 1, s.len - 1);
    while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

void xw_ws_head_init(struct xw_ws_head *h, struct xw_mspan buf, const char *begin) {
    if (buf.len > XW_HTTP_HEAD_MAX)
        buf.len = XW_HTTP_HEAD_MAX;
    *h = (struct xw_ws_head){ .buf = buf, .begin = begin };
}

/* What one more byte makes wrong, given those before it; NULL: nothing. */
static const char *byte_fault(const struct xw_ws_head *h, uint8_t c) {
    const uint8_t *p = h->buf.p;
    size_t n = h->len;
    uint8_t before = n ? p[n - 1] : 0;
    if (n < strlen(h->begin) && c != (uint8_t)h->begin[n])
        return "not HTTP/1";
    if ((before == '\r') != (c == '\n'))
        return "bare CR or LF in the HTTP head";
    if (c != '\r' && c != '\n' && !xw_ws_is_value_char(c))
        return "control byte in the HTTP head";
    if (before == '\n' && (c == ' ' || c == '\t'))
        return "folded line in the HTTP head";
    if (n == h->buf.len)
        return "HTTP head too long";
    return NULL;
}

size_t xw_ws_head_feed(struct xw_ws_head *h, struct xw_span in) {
    size_t i = 0;
    while (i < in.len && !h->done && !h->error) {
        h->error = byte_fault(h, in.p[i]);
        if (h->error)
            break;
        h->buf.p[h->len++] = in.p[i++];
        h->done = h->len >= 4 && !memcmp(h->buf.p + h->len - 4, "\r\n\r\n", 4);
    }
    return i;
}

/* Length of the line at p, without its CRLF. Heads are well-formed in that respect once collected. */
static size_t line_len(struct xw_span s) {
    for (size_t i = 0; i + 1 < s.len; i++)
        if (s.p[i] == '\r' && s.p[i + 1] == '\n')
            return i;
    return s.len;
}

bool xw_ws_field_next(struct xw_span head, size_t *pos, struct xw_span *name, struct xw_span *value) {
    if (*pos == 0)
        *pos = line_len(head) + 2;
    if (*pos >= head.len)
        return false;
    struct xw_span rest = xw_span_from(head, *pos);
    size_t len = line_len(rest), n = 0;
    if (len == 0) {
        *pos = head.len;
        return false;
    }
    while (n < len && xw_ws_is_token_char(rest.p[n]))
        n++;
    if (n == 0 || n == len || rest.p[n] != ':')
        return false;
    *name = xw_span(rest.p, n);
    *value = xw_ws_trim(xw_span(rest.p + n + 1, len - n - 1));
    *pos += len + 2;
    return true;
}

unsigned xw_ws_field(struct xw_span head, const char *name, struct xw_span *value) {
    struct xw_span n, v;
    unsigned cnt = 0;
    for (size_t pos = 0; xw_ws_field_next(head, &pos, &n, &v);)
        if (xw_ws_span_is(n, name) && !cnt++)
            *value = v;
    return cnt;
}

bool xw_ws_list_next(struct xw_span list, size_t *pos, struct xw_span *item) {
    while (*pos < list.len) {
        size_t begin = *pos, end = begin;
        while (end < list.len && list.p[end] != ',')
            end++;
        *pos = end + 1;
        *item = xw_ws_trim(xw_span(list.p + begin, end - begin));
        if (item->len)
            return true;
    }
    return false;
}

bool xw_ws_field_has(struct xw_span head, const char *name, const char *token) {
    struct xw_span n, v, item;
    for (size_t pos = 0; xw_ws_field_next(head, &pos, &n, &v);) {
        if (!xw_ws_span_is(n, name))
            continue;
        for (size_t at = 0; xw_ws_list_next(v, &at, &item);)
            if (xw_ws_span_is(item, token))
                return true;
    }
    return false;
}

bool xw_ws_list_has(struct xw_span head, const char *name, struct xw_span want) {
    struct xw_span n, v, item;
    for (size_t pos = 0; xw_ws_field_next(head, &pos, &n, &v);) {
        if (!xw_ws_span_is(n, name))
            continue;
        for (size_t at = 0; xw_ws_list_next(v, &at, &item);)
            if (item.len == want.len && !memcmp(item.p, want.p, want.len))
                return true;
    }
    return false;
}
