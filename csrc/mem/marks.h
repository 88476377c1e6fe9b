/* mem/marks.h: which receive times belong to which part of a byte stream.
 *
 * A mark covers the bytes from the end of the mark before it to its own end. A table of fixed size keeps the latest:
 * the oldest mark goes when its bytes are consumed and its place is needed; while nothing can go, a new mark is
 * merged into the newest, which then covers more bytes with the first times of the one and the last times of the
 * other. So a burst of tiny pieces costs resolution, never correctness of order. Lookup is a binary search. No
 * allocation. */
#ifndef XW_MEM_MARKS_H
#define XW_MEM_MARKS_H
#include "base/assert.h"
#include "base/stamp.h"
#include <stddef.h>

/* Packets or records whose times are told apart while they are unread; 256 × 88 bytes are half a level-1 cache, and a
 * reader that is 256 packets behind has other troubles. */
#define XW_MARKS_MAX 256u

struct xw_mark {
    uint64_t end;                  /* stream offset behind the last byte */
    struct xw_rxstamp last, first; /* packet that completed the unit, packet with its first byte */
    uint64_t begin_ns, done_ns;    /* of decryption; 0: none */
};

struct xw_marks {
    uint32_t first, cnt;           /* index of the oldest, how many */
    uint64_t lost;                 /* offset behind the last byte whose mark is gone */
    struct xw_mark m[XW_MARKS_MAX];
};

_Static_assert((XW_MARKS_MAX & (XW_MARKS_MAX - 1)) == 0, "indices are masked");

static inline void xw_marks_reset(struct xw_marks *t) { t->first = t->cnt = 0, t->lost = 0; }

/* k-th mark from the oldest */
static inline struct xw_mark *xw_marks_at(struct xw_marks *t, uint32_t k) {
    return &t->m[(t->first + k) & (XW_MARKS_MAX - 1)];
}

/* Adds a mark that ends behind all others. head: stream offset of the first byte not yet consumed. */
static inline void xw_marks_push(struct xw_marks *t, const struct xw_mark *mark, uint64_t head) {
    XW_ASSERT(!t->cnt || mark->end >= xw_marks_at(t, t->cnt - 1)->end);
    if (t->cnt == XW_MARKS_MAX) {
        if (xw_marks_at(t, 0)->end > head) {
            struct xw_mark *newest = xw_marks_at(t, t->cnt - 1);
            newest->end = mark->end, newest->last = mark->last, newest->done_ns = mark->done_ns;
            return;
        }
        t->lost = xw_marks_at(t, 0)->end;
        t->first++, t->cnt--;
    }
    *xw_marks_at(t, t->cnt++) = *mark;
}

/* The mark that covers the byte at off; NULL if it is gone or not there yet. */
static inline const struct xw_mark *xw_marks_find(const struct xw_marks *t, uint64_t off) {
    uint32_t lo = 0, hi = t->cnt;
    if (off < t->lost)
        return NULL;
    if (hi > 1 && t->m[(t->first + hi - 2) & (XW_MARKS_MAX - 1)].end <= off)
        lo = hi - 1; /* a reader that is up to date asks for the newest */
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (t->m[(t->first + mid) & (XW_MARKS_MAX - 1)].end > off)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo < t->cnt ? &t->m[(t->first + lo) & (XW_MARKS_MAX - 1)] : NULL;
}

/* The stamp op of a stream (bs/bs.h) from its table. */
static inline void xw_marks_stamp(const struct xw_marks *t, uint64_t off, struct xw_rxstamp *last,
                                  struct xw_rxstamp *first) {
    const struct xw_mark *m = xw_marks_find(t, off);
    *last = m ? m->last : (struct xw_rxstamp){ 0 };
    *first = m ? m->first : (struct xw_rxstamp){ 0 };
}
#endif
