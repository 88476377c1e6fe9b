/* ws/extension.c: the grammar of Sec-WebSocket-Extensions and the choices of RFC 7692 7.1. */
#include "ws/extension.h"
#include "base/err.h"
#include "ws/upgrade_priv.h"
#include <stdio.h>
#include <string.h>

static const char field_name[] = "Sec-WebSocket-Extensions";

/* ---- grammar: extension = token *( ";" token [ "=" ( token / quoted token ) ] ), comma-separated ---- */

struct param { struct xw_span name, value; bool has_value; };

static void skip_space(struct xw_span s, size_t *pos) {
    while (*pos < s.len && (s.p[*pos] == ' ' || s.p[*pos] == '\t'))
        ++*pos;
}

/* A token at *pos, empty when there is none; white space around it is skipped. */
static struct xw_span token(struct xw_span s, size_t *pos) {
    skip_space(s, pos);
    size_t begin = *pos;
    while (*pos < s.len && xw_ws_is_token_char(s.p[*pos]))
        ++*pos;
    struct xw_span t = xw_span(s.p + begin, *pos - begin);
    skip_space(s, pos);
    return t;
}

static bool take(struct xw_span s, size_t *pos, char c) {
    if (*pos >= s.len || s.p[*pos] != (uint8_t)c)
        return false;
    ++*pos;
    return true;
}

/* A value behind "=": a token, or one in quotes (escapes inside of them are not taken: no token needs one). */
static struct xw_span param_value(struct xw_span s, size_t *pos) {
    skip_space(s, pos);
    if (!take(s, pos, '"'))
        return token(s, pos);
    size_t begin = *pos;
    while (*pos < s.len && xw_ws_is_token_char(s.p[*pos]))
        ++*pos;
    struct xw_span t = xw_span(s.p + begin, *pos - begin);
    if (!take(s, pos, '"'))
        return xw_span(s.p + begin, 0);
    skip_space(s, pos);
    return t;
}

/* The next parameter of the extension at *pos. 1; 0: there is none; XW_EPROTO. */
static int next_param(struct xw_span s, size_t *pos, struct param *p) {
    if (!take(s, pos, ';'))
        return *pos == s.len || s.p[*pos] == ',' ? 0 : XW_EPROTO;
    p->name = token(s, pos);
    p->has_value = take(s, pos, '=');
    p->value = xw_span("", 0);
    if (p->has_value)
        p->value = param_value(s, pos);
    return !p->name.len || (p->has_value && !p->value.len) ? XW_EPROTO : 1;
}

/* 8 … 15 in decimal without leading zeros; 0: it is not that. */
static uint8_t window_bits(struct xw_span v) {
    unsigned n = 0;
    if (!v.len || v.len > 2 || v.p[0] == '0')
        return 0;
    for (size_t i = 0; i < v.len; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return 0;
        n = n * 10 + (unsigned)(v.p[i] - '0');
    }
    return n >= XW_WS_PMD_BITS_MIN && n <= XW_WS_PMD_BITS_MAX ? (uint8_t)n : 0;
}

/* Adds a parameter to *out; false: it may not stand there. */
static bool add_param(const struct param *p, bool answer, struct xw_ws_pmd *out) {
    bool *flag = xw_ws_span_is(p->name, "server_no_context_takeover") ? &out->server_reset
               : xw_ws_span_is(p->name, "client_no_context_takeover") ? &out->client_reset : NULL;
    if (flag) {
        bool ok = !*flag && !p->has_value;
        *flag = true;
        return ok;
    }
    uint8_t *bits = xw_ws_span_is(p->name, "server_max_window_bits") ? &out->server_bits
                  : xw_ws_span_is(p->name, "client_max_window_bits") ? &out->client_bits : NULL;
    if (!bits || *bits)
        return false;
    if (!p->has_value && bits == &out->client_bits && !answer)
        *bits = XW_WS_PMD_BITS_ANY;
    else
        *bits = window_bits(p->value);
    return *bits != 0;
}

int xw_ws_pmd_parse(struct xw_span value, size_t *pos, bool answer, struct xw_ws_pmd *out) {
    struct param p;
    int rc;
    do {
        skip_space(value, pos);
    } while (take(value, pos, ',')); /* RFC 9110 5.6.1: empty elements do not count */
    *out = (struct xw_ws_pmd){ 0 };
    if (*pos == value.len)
        return XW_ECLOSED;
    struct xw_span name = token(value, pos);
    if (!name.len)
        return XW_EPROTO;
    bool ours = xw_ws_span_is(name, "permessage-deflate"), ok = true;
    while ((rc = next_param(value, pos, &p)) > 0)
        ok = (!ours || add_param(&p, answer, out)) && ok;
    out->on = ours && ok && !rc;
    return rc ? rc : ours;
}

bool xw_ws_pmd_valid(const struct xw_ws_pmd *p, bool answer) {
    bool server = !p->server_bits || (p->server_bits >= XW_WS_PMD_BITS_MIN && p->server_bits <= XW_WS_PMD_BITS_MAX);
    bool client = !p->client_bits || (p->client_bits >= XW_WS_PMD_BITS_MIN && p->client_bits <= XW_WS_PMD_BITS_MAX);
    return server && (client || (!answer && p->client_bits == XW_WS_PMD_BITS_ANY));
}

size_t xw_ws_pmd_emit(struct xw_mspan out, const struct xw_ws_pmd *p) {
    char text[XW_WS_PMD_TEXT_MAX], server[32] = "", client[32] = "";
    if (p->server_bits)
        snprintf(server, sizeof server, "; server_max_window_bits=%u", p->server_bits);
    if (p->client_bits == XW_WS_PMD_BITS_ANY)
        snprintf(client, sizeof client, "; client_max_window_bits");
    else if (p->client_bits)
        snprintf(client, sizeof client, "; client_max_window_bits=%u", p->client_bits);
    int n = snprintf(text, sizeof text, "permessage-deflate%s%s%s%s",
                     p->server_reset ? "; server_no_context_takeover" : "",
                     p->client_reset ? "; client_no_context_takeover" : "", server, client);
    if (n < 0 || (size_t)n >= sizeof text || (size_t)n > out.len)
        return 0;
    memcpy(out.p, text, (size_t)n);
    return (size_t)n;
}

/* ---- choices ---- */

static uint8_t bits_or_max(uint8_t bits) { return bits >= XW_WS_PMD_BITS_MIN ? bits : XW_WS_PMD_BITS_MAX; }
static uint8_t least(uint8_t a, uint8_t b) { return a < b ? a : b; }

/* RFC 7692 7.1: one answer against the offer. */
static const char *answer_fault(const struct xw_ws_pmd *offer, const struct xw_ws_pmd *a) {
    if (!a->on)
        return "server answered permessage-deflate with invalid parameters";
    if (offer->server_reset && !a->server_reset)
        return "server did not agree to server_no_context_takeover";
    if (offer->server_bits && (!a->server_bits || a->server_bits > offer->server_bits))
        return "server did not agree to server_max_window_bits";
    if (!offer->client_bits && a->client_bits && a->client_bits != XW_WS_PMD_BITS_MAX)
        return "server demands client_max_window_bits, which was not offered";
    if (offer->client_bits >= XW_WS_PMD_BITS_MIN && a->client_bits > offer->client_bits)
        return "server answered client_max_window_bits above the offer";
    return NULL;
}

const char *xw_ws_pmd_judge(struct xw_span head, const struct xw_ws_pmd *offer, struct xw_ws_pmd *agreed) {
    struct xw_span name, value;
    struct xw_ws_pmd a;
    *agreed = (struct xw_ws_pmd){ 0 };
    for (size_t pos = 0; xw_ws_field_next(head, &pos, &name, &value);) {
        if (!xw_ws_span_is(name, field_name))
            continue;
        int rc;
        for (size_t at = 0; (rc = xw_ws_pmd_parse(value, &at, true, &a)) != XW_ECLOSED;) {
            if (rc < 0)
                return "malformed Sec-WebSocket-Extensions in the answer";
            if (!rc || !offer->on)
                return "server chose an extension that was not offered";
            if (agreed->on)
                return "server chose permessage-deflate twice";
            const char *fault = answer_fault(offer, &a);
            if (fault)
                return fault;
            /* RFC 7692 7.1.1.2, 7.1.2.2: what the client said of itself holds though the answer does not repeat it */
            *agreed = (struct xw_ws_pmd){
                .on = true, .server_reset = a.server_reset, .client_reset = a.client_reset || offer->client_reset,
                .server_bits = bits_or_max(a.server_bits),
                .client_bits = least(bits_or_max(a.client_bits), bits_or_max(offer->client_bits)),
            };
        }
    }
    return NULL;
}

/* What one acceptable offer is answered with. */
static void accept_offer(const struct xw_ws_pmd *o, const struct xw_ws_pmd *own, struct xw_ws_pmd *answer,
                         struct xw_ws_pmd *agreed) {
    uint8_t server = least(bits_or_max(o->server_bits), bits_or_max(own->server_bits));
    uint8_t client = least(bits_or_max(o->client_bits), bits_or_max(own->client_bits));
    *answer = (struct xw_ws_pmd){
        .on = true, .server_reset = o->server_reset || own->server_reset,
        .client_reset = o->client_reset || own->client_reset,
        .server_bits = o->server_bits || server < XW_WS_PMD_BITS_MAX ? server : 0,
        .client_bits = o->client_bits && client < XW_WS_PMD_BITS_MAX ? client : 0, /* never where it was not offered */
    };
    *agreed = *answer;
    agreed->server_bits = server;
    agreed->client_bits = bits_or_max(answer->client_bits);
}

const char *xw_ws_pmd_choose(struct xw_span head, const struct xw_ws_pmd *own, struct xw_ws_pmd *answer,
                             struct xw_ws_pmd *agreed) {
    struct xw_span name, value;
    struct xw_ws_pmd o;
    *answer = *agreed = (struct xw_ws_pmd){ 0 };
    for (size_t pos = 0; xw_ws_field_next(head, &pos, &name, &value);) {
        if (!xw_ws_span_is(name, field_name))
            continue;
        int rc;
        for (size_t at = 0; (rc = xw_ws_pmd_parse(value, &at, false, &o)) != XW_ECLOSED;) {
            if (rc < 0)
                return "malformed Sec-WebSocket-Extensions in the request";
            if (own->on && o.on && !answer->on)
                accept_offer(&o, own, answer, agreed);
        }
    }
    return NULL;
}
