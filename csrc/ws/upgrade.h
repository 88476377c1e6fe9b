/* ws/upgrade.h: the HTTP/1.1 part of a WebSocket (RFC 6455 section 4): heads are collected, checked and written
 * here, as bytes and structs, without a stream. Client: request_emit, then head_feed, answer_check and, for
 * another status than 101, body_feed. Server: head_feed, request_check, answer_emit.
 *
 * Strict where laxness has been exploited: bare CR or LF, folded lines, control bytes, white space before the
 * colon and double single-valued fields are refused. SHA-1 and base64 are OpenSSL's. Not here: redirects, proxies,
 * authentication (Python does those), and decoding of chunked error bodies (they are shown raw). */
#ifndef XW_WS_UPGRADE_H
#define XW_WS_UPGRADE_H
#include "base/rng.h"
#include "base/span.h"
#include "ws/extension.h"
#include <stdbool.h>

#define XW_WS_KEY_LEN 24u    /* base64 of 16 bytes */
#define XW_WS_ACCEPT_LEN 28u /* base64 of a SHA-1 */

/* ---- heads, both roles ---- */

struct xw_ws_head {
    struct xw_mspan buf;  /* where it is kept; XW_HTTP_HEAD_MAX bytes of it are used at most */
    const char *begin;    /* what the first line must begin with; garbage is refused as it arrives */
    size_t len;           /* bytes kept */
    bool done;            /* ends with the empty line */
    const char *error;    /* not NULL: it is no head; text for people */
};
void xw_ws_head_init(struct xw_ws_head *h, struct xw_mspan buf, const char *begin);
/* xw_ws_head_feed: takes bytes up to the end of the head and not one behind it; returns how many. Look at done and
 * error. */
size_t xw_ws_head_feed(struct xw_ws_head *h, struct xw_span in);

/* xw_ws_field_next: the next header field of a complete head; *pos 0 starts behind the first line. False: no more,
 * or (with *pos != head.len) a malformed line. */
bool xw_ws_field_next(struct xw_span head, size_t *pos, struct xw_span *name, struct xw_span *value);
/* xw_ws_field: how often the field occurs; *value is its first value. Names compare without case. */
unsigned xw_ws_field(struct xw_span head, const char *name, struct xw_span *value);
/* xw_ws_field_has: one of the comma-separated tokens of all fields of that name is token, without case. */
bool xw_ws_field_has(struct xw_span head, const char *name, const char *token);

/* ---- client ---- */

struct xw_ws_request {
    const char *target;       /* origin form or absolute; NULL: "/" */
    const char *host;
    const char *headers;      /* "Name: value\r\n"…; NULL: none. Fields that the handshake owns are refused */
    const char *subprotocols; /* comma-separated tokens; NULL: none */
    const struct xw_ws_pmd *deflate; /* offer; NULL or on false: none */
};
/* xw_ws_key_make: a fresh Sec-WebSocket-Key, terminated. */
void xw_ws_key_make(struct xw_rng *rng, char key[XW_WS_KEY_LEN + 1]);
/* xw_ws_accept_make: the Sec-WebSocket-Accept that belongs to a key, terminated. */
void xw_ws_accept_make(struct xw_span key, char accept[XW_WS_ACCEPT_LEN + 1]);
/* xw_ws_request_emit: writes the request to out. 0; XW_EINVAL: a part holds what would break the head; XW_ETOOBIG. */
int xw_ws_request_emit(struct xw_mspan out, const struct xw_ws_request *rq, const char *key, size_t *len);

enum xw_ws_verdict {
    XW_WS_HS_OPEN = 1, /* 101, and everything in it is right */
    XW_WS_HS_INTERIM,  /* 1xx: forget this head and read the next */
    XW_WS_HS_REJECTED, /* another status; the body follows */
    XW_WS_HS_BROKEN    /* not HTTP, or a 101 that breaks RFC 6455 4.1 */
};
/* xw_ws_answer_check: judges a complete head against the request as it was sent (empty, in a replay: it is not known, and
 * what depends on it is not judged; any permessage-deflate is agreed to). *status: 0 or 100 … 999; *agreed: the
 * compression that is in force when OPEN; *error: text when BROKEN. */
enum xw_ws_verdict xw_ws_answer_check(struct xw_span head, struct xw_span request, unsigned *status,
                                      struct xw_ws_pmd *agreed, const char **error);

/* The body behind a rejection, as far as it is kept. */
struct xw_ws_body {
    struct xw_mspan buf;  /* XW_HTTP_BODY_MAX bytes of it are used at most */
    size_t len;
    uint64_t left;        /* bytes that Content-Length says are still to come; UINT64_MAX: until the stream ends */
    bool chunked;         /* kept raw, the end is recognised by its last chunk */
    bool done;            /* whole, or as much as is kept */
};
void xw_ws_body_init(struct xw_ws_body *b, struct xw_mspan buf, struct xw_span head, unsigned status);
/* xw_ws_body_feed: returns how many bytes it took; 0 once done. */
size_t xw_ws_body_feed(struct xw_ws_body *b, struct xw_span in);

/* ---- server ---- */

/* xw_ws_request_check: judges a client's request (RFC 6455 4.2.1). 101, or the status to refuse it with: 400, 405,
 * 426, 505. *key is the field's value when 101. */
unsigned xw_ws_request_check(struct xw_span head, struct xw_span *key, const char **error);
/* xw_ws_subprotocol_pick: the first of the comma-separated supported tokens that the request offers; empty span:
 * none. The span points into supported. */
struct xw_span xw_ws_subprotocol_pick(struct xw_span head, const char *supported);
/* xw_ws_answer_emit: writes the answer. key, subprotocol and deflate (what the offer is answered with; NULL or on
 * false: nothing) count for 101 only. 0 or XW_ETOOBIG. */
int xw_ws_answer_emit(struct xw_mspan out, unsigned status, struct xw_span key, struct xw_span subprotocol,
                      const struct xw_ws_pmd *deflate, size_t *len);
#endif
