/* ws/upgrade_priv.h: what the two halves of the upgrade share; for ws/upgrade*.c only. */
#ifndef XW_WS_UPGRADE_PRIV_H
#define XW_WS_UPGRADE_PRIV_H
#include "ws/upgrade.h"

/* RFC 9110 5.6.2 token characters. */
bool xw_ws_is_token_char(uint8_t c);
/* A byte that may stand in a field value: HTAB, SP, VCHAR, obs-text (RFC 9110 5.5). */
static inline bool xw_ws_is_value_char(uint8_t c) { return c == '\t' || (c >= 0x20 && c != 0x7f); }
bool xw_ws_span_is(struct xw_span s, const char *text);      /* equal, without case */
struct xw_span xw_ws_trim(struct xw_span s);                 /* without OWS at both ends */
/* Next comma-separated element of a list, trimmed; empty ones are skipped. False: no more. */
bool xw_ws_list_next(struct xw_span list, size_t *pos, struct xw_span *item);
/* An element of the list fields of that name in head is exactly item (case counts). */
bool xw_ws_list_has(struct xw_span head, const char *name, struct xw_span item);
#endif
