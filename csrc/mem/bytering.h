/* mem/bytering.h: a byte queue of fixed size over memory that somebody else owns, or over memory mapped twice in a row.
 *
 * head and tail are stream positions that only grow (64 bit, never wrap in practice); bytes [head, tail) are held. In a
 * mirrored ring the same pages follow themselves, so that whatever is held is contiguous wherever it begins, and a message
 * can be shown to the user without a copy; in a plain ring a view ends where the memory does. Out-of-order writers (TCP)
 * put bytes past tail with xw_bytering_poke and move tail later. No allocation after set-up, no system call. */
#ifndef XW_MEM_BYTERING_H
#define XW_MEM_BYTERING_H
#include "base/assert.h"
#include "base/span.h"
#include <stdbool.h>
#include <string.h>

struct xw_bytering {
    uint8_t *base;
    uint32_t cap;      /* power of two */
    bool mirrored;     /* base[0 .. 2*cap) is mapped, the second half is the first again */
    uint64_t head;     /* stream position of the first byte held */
    uint64_t tail;     /* stream position behind the last byte held */
    uint64_t origin;   /* a stream position that lies at base */
};

/* xw_bytering_init: a plain ring over mem; cap must be a power of two. */
void xw_bytering_init(struct xw_bytering *r, uint8_t *mem, uint32_t cap);
/* xw_bytering_map: a mirrored ring of its own memory (memfd mapped twice; pages are touched only when used). cap: power of two
 * and a multiple of the page size. 0, XW_EINVAL or XW_ENOMEM (errno tells). */
int xw_bytering_map(struct xw_bytering *r, uint32_t cap);
/* xw_bytering_unmap: gives a mirrored ring's memory back; a plain or zeroed ring is left alone. */
void xw_bytering_unmap(struct xw_bytering *r);

static inline void xw_bytering_reset(struct xw_bytering *r) { r->head = r->tail = r->origin = 0; }
static inline uint32_t xw_bytering_len(const struct xw_bytering *r) { return (uint32_t)(r->tail - r->head); }
static inline uint32_t xw_bytering_room(const struct xw_bytering *r) { return r->cap - xw_bytering_len(r); }

static inline uint32_t xw_bytering_contig(const struct xw_bytering *r, uint64_t pos, uint32_t len) {
    uint32_t to_end = r->cap - (uint32_t)((pos - r->origin) & (r->cap - 1));
    return r->mirrored || len < to_end ? len : to_end;
}
static inline uint8_t *xw_bytering_at(const struct xw_bytering *r, uint64_t pos) {
    return r->base + ((pos - r->origin) & (r->cap - 1));
}
/* An empty ring goes on at its begin, so that a reader who keeps up uses the same cache lines again and again instead of
 * walking through all of the memory. Nothing may have been written behind tail. */
static inline void xw_bytering_rewind(struct xw_bytering *r) {
    XW_ASSERT(r->head == r->tail);
    r->origin = r->tail;
}

/* Held bytes from head on, as far as they are contiguous. */
static inline struct xw_span xw_bytering_peek(const struct xw_bytering *r) {
    return xw_span(xw_bytering_at(r, r->head), xw_bytering_contig(r, r->head, xw_bytering_len(r)));
}
/* Held bytes from stream position pos (head <= pos <= tail) on, as far as they are contiguous. */
static inline struct xw_span xw_bytering_peek_at(const struct xw_bytering *r, uint64_t pos) {
    XW_ASSERT(pos >= r->head && pos <= r->tail);
    return xw_span(xw_bytering_at(r, pos), xw_bytering_contig(r, pos, (uint32_t)(r->tail - pos)));
}
static inline void xw_bytering_consume(struct xw_bytering *r, size_t n) {
    XW_ASSERT(n <= xw_bytering_len(r));
    r->head += n;
}
/* Free space behind tail, as far as it is contiguous. */
static inline struct xw_mspan xw_bytering_reserve(struct xw_bytering *r) {
    return xw_mspan(xw_bytering_at(r, r->tail), xw_bytering_contig(r, r->tail, xw_bytering_room(r)));
}
static inline void xw_bytering_commit(struct xw_bytering *r, size_t n) {
    XW_ASSERT(n <= xw_bytering_room(r));
    r->tail += n;
}
/* Writes at stream position pos without moving tail; [pos, pos + len) must lie in [tail, head + cap). */
static inline void xw_bytering_poke(struct xw_bytering *r, uint64_t pos, const void *src, uint32_t len) {
    XW_ASSERT(pos >= r->tail && pos + len <= r->head + r->cap);
    uint32_t first = xw_bytering_contig(r, pos, len);
    memcpy(xw_bytering_at(r, pos), src, first);
    if (first < len)
        memcpy(r->base, (const uint8_t *)src + first, len - first);
}
/* Appends as much of src as there is room for; returns how much. */
static inline uint32_t xw_bytering_write(struct xw_bytering *r, const void *src, size_t len) {
    uint32_t n = len < xw_bytering_room(r) ? (uint32_t)len : xw_bytering_room(r);
    xw_bytering_poke(r, r->tail, src, n);
    r->tail += n;
    return n;
}
/* Copies [pos, pos + len) of the held bytes to dst without taking them. */
static inline void xw_bytering_copy(const struct xw_bytering *r, uint64_t pos, void *dst, uint32_t len) {
    XW_ASSERT(pos >= r->head && pos + len <= r->tail);
    uint32_t first = xw_bytering_contig(r, pos, len);
    memcpy(dst, xw_bytering_at(r, pos), first);
    if (first < len)
        memcpy((uint8_t *)dst + first, r->base, len - first);
}
#endif
