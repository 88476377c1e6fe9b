/* ws/utf8.h: UTF-8 validation (RFC 3629) that can stop anywhere and go on with the next piece, and that fails at
 * the first byte which makes the text invalid, not at the end of its character. Overlong forms, surrogates and
 * code points above U+10FFFF are invalid. Nothing is stored but what the next byte must look like. */
#ifndef XW_WS_UTF8_H
#define XW_WS_UTF8_H
#include "ws/simd.h"
#include <stdbool.h>

struct xw_ws_utf8 {
    uint8_t need;   /* continuation bytes that the character begun still lacks */
    uint8_t lo, hi; /* range of the next one; meaningful while need > 0 */
};

static inline void xw_ws_utf8_init(struct xw_ws_utf8 *u) { *u = (struct xw_ws_utf8){ 0 }; }
/* xw_ws_utf8_feed: the next piece. Returns len, or the index in it of the first byte that cannot stand there. */
size_t xw_ws_utf8_feed(struct xw_ws_utf8 *u, const struct xw_ws_simd *simd, const uint8_t *p, size_t len);
/* xw_ws_utf8_whole: the text may end here. */
static inline bool xw_ws_utf8_whole(const struct xw_ws_utf8 *u) { return u->need == 0; }
/* xw_ws_utf8_valid: a complete text. */
bool xw_ws_utf8_valid(const struct xw_ws_simd *simd, const uint8_t *p, size_t len);

/* The scalar row (see struct xw_ws_simd). */
size_t xw_ws_ascii_scalar(const uint8_t *p, size_t len);
size_t xw_ws_utf8_scalar(const uint8_t *p, size_t len, unsigned *tail);
/* xw_ws_utf8_from: what a vector row does when its blocks end or one of them is bad: everything before p[at] is
 * valid but for a character that may be unfinished there; goes back to its begin and checks the rest byte by byte. */
size_t xw_ws_utf8_from(const uint8_t *p, size_t at, size_t len, unsigned *tail);
#endif
