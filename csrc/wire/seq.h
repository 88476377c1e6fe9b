/* wire/seq.h: TCP sequence numbers. A one-field struct, so that adding two of them or comparing them with < does not
 * compile; every comparison is that of RFC 9293 3.4: a is before b if b - a, taken modulo 2^32, is below 2^31. */
#ifndef XW_WIRE_SEQ_H
#define XW_WIRE_SEQ_H
#include <stdbool.h>
#include <stdint.h>

struct xw_seq { uint32_t v; };

static inline struct xw_seq xw_seq(uint32_t v) { return (struct xw_seq){ v }; }
static inline struct xw_seq xw_seq_add(struct xw_seq a, uint32_t n) { return xw_seq(a.v + n); }
static inline struct xw_seq xw_seq_sub(struct xw_seq a, uint32_t n) { return xw_seq(a.v - n); }
/* xw_seq_diff: a - b, from -2^31 to 2^31 - 1. */
static inline int32_t xw_seq_diff(struct xw_seq a, struct xw_seq b) { return (int32_t)(a.v - b.v); }
/* xw_seq_dist: octets from b up to a; for callers that know b <= a. */
static inline uint32_t xw_seq_dist(struct xw_seq a, struct xw_seq b) { return a.v - b.v; }
static inline bool xw_seq_eq(struct xw_seq a, struct xw_seq b) { return a.v == b.v; }
static inline bool xw_seq_lt(struct xw_seq a, struct xw_seq b) { return xw_seq_diff(a, b) < 0; }
static inline bool xw_seq_le(struct xw_seq a, struct xw_seq b) { return xw_seq_diff(a, b) <= 0; }
static inline bool xw_seq_gt(struct xw_seq a, struct xw_seq b) { return xw_seq_diff(a, b) > 0; }
static inline bool xw_seq_ge(struct xw_seq a, struct xw_seq b) { return xw_seq_diff(a, b) >= 0; }
static inline struct xw_seq xw_seq_max(struct xw_seq a, struct xw_seq b) { return xw_seq_lt(a, b) ? b : a; }
static inline struct xw_seq xw_seq_min(struct xw_seq a, struct xw_seq b) { return xw_seq_lt(a, b) ? a : b; }
/* xw_seq_in: lo <= s < lo + len. */
static inline bool xw_seq_in(struct xw_seq s, struct xw_seq lo, uint32_t len) { return s.v - lo.v < len; }
#endif
