/* base/span.h: a pointer with its length; never owns what it points to. */
#ifndef XW_BASE_SPAN_H
#define XW_BASE_SPAN_H
#include <stddef.h>
#include <stdint.h>

struct xw_span { const uint8_t *p; size_t len; };  /* to read */
struct xw_mspan { uint8_t *p; size_t len; };       /* to write */

static inline struct xw_span xw_span(const void *p, size_t len) {
    return (struct xw_span){ .p = (const uint8_t *)p, .len = len };
}
static inline struct xw_mspan xw_mspan(void *p, size_t len) {
    return (struct xw_mspan){ .p = (uint8_t *)p, .len = len };
}
/* xw_span_from: the rest of s from off on; empty when off is past the end. */
static inline struct xw_span xw_span_from(struct xw_span s, size_t off) {
    return off >= s.len ? xw_span(s.p + s.len, 0) : xw_span(s.p + off, s.len - off);
}
#endif
