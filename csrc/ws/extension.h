/* ws/extension.h: negotiation of permessage-deflate in Sec-WebSocket-Extensions (RFC 6455 9.1, RFC 7692 5 and 7.1):
 * offers and answers as structs, parsed and written without state. Syntax is strict: a parameter twice, unknown,
 * with a value out of range, with leading zeros, or with a value where none belongs makes an offer one to decline and
 * an answer one to refuse. A quoted value means the same as the token in it. */
#ifndef XW_WS_EXTENSION_H
#define XW_WS_EXTENSION_H
#include "base/span.h"
#include <stdbool.h>

#define XW_WS_PMD_BITS_MIN 8u
#define XW_WS_PMD_BITS_MAX 15u
#define XW_WS_PMD_BITS_ANY 1u   /* client_bits of an offer: the parameter without a value */
/* Longest text that xw_ws_pmd_emit writes, rounded up. */
#define XW_WS_PMD_TEXT_MAX 160u

/* What is offered, wanted, answered or agreed. */
struct xw_ws_pmd {
    bool on;
    bool server_reset;   /* server_no_context_takeover: the server begins each message with an empty window */
    bool client_reset;   /* client_no_context_takeover */
    uint8_t server_bits; /* server_max_window_bits, 8 … 15; 0: not there */
    uint8_t client_bits; /* client_max_window_bits, 8 … 15; 0: not there; XW_WS_PMD_BITS_ANY in an offer */
};

/* xw_ws_pmd_valid: may be offered (answer false) or answered. */
bool xw_ws_pmd_valid(const struct xw_ws_pmd *p, bool answer);
/* xw_ws_pmd_emit: "permessage-deflate; …" without terminator; returns its length, 0 when it does not fit. */
size_t xw_ws_pmd_emit(struct xw_mspan out, const struct xw_ws_pmd *p);
/* xw_ws_pmd_parse: the next extension of a field value, *pos 0 at first. 1: permessage-deflate, *out is filled (on
 * false: its parameters are not acceptable); 0: another extension; XW_ECLOSED: no more; XW_EPROTO: the list is
 * malformed. */
int xw_ws_pmd_parse(struct xw_span value, size_t *pos, bool answer, struct xw_ws_pmd *out);
/* xw_ws_pmd_judge: client: the answer's head against what was offered. NULL, and *agreed says what is in force (bits
 * are 8 … 15 then); else text: why the handshake fails. Parameters that were not offered but bind only the server, or
 * bind nobody (client_max_window_bits=15), are taken. */
const char *xw_ws_pmd_judge(struct xw_span head, const struct xw_ws_pmd *offer, struct xw_ws_pmd *agreed);
/* xw_ws_pmd_choose: server: the first offer in the request's head that is acceptable. own: what the server wants at
 * least (bits: limits; client limits only where the offer allows them). *answer is what to send (on false: nothing),
 * *agreed what is in force. NULL, or text: the field is malformed. */
const char *xw_ws_pmd_choose(struct xw_span head, const struct xw_ws_pmd *own, struct xw_ws_pmd *answer,
                             struct xw_ws_pmd *agreed);
#endif
