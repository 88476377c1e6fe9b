/* base/hist.h: histograms of times in the bucket layout of HdrHistogram (lowest discernible value 1, two significant
 * digits, values up to XW_HIST_MAX), so that its tools read what is exported (xdpws/hdr.py). Fixed size, no allocation;
 * struct xw_hist is in xw_api.h, because other processes read it from shared memory.
 *
 * Values below 256 are counted exactly, others with at most 1/128 of relative width. One that is above XW_HIST_MAX is
 * counted as XW_HIST_MAX and in `clamped`; max is exact. One writer; a reader in another process sees each counter whole
 * (aligned 64 bit) but not all of the same moment. */
#ifndef XW_BASE_HIST_H
#define XW_BASE_HIST_H
#include "xw.h"

#define XW_HIST_MAX ((1ull << 36) - 1)  /* ns, 68.7 s: the last value of the last bucket */

#define XW_HIST_SUB_BITS 8u     /* 2^8 >= 2 * 10^2 sub-buckets: two significant digits */
#define XW_HIST_HALF (1u << (XW_HIST_SUB_BITS - 1))

/* xw_hist_index: the bucket of a value up to XW_HIST_MAX. */
static inline uint32_t xw_hist_index(uint64_t value) {
    uint32_t bucket = 64u - XW_HIST_SUB_BITS - (uint32_t)__builtin_clzll(value | ((1u << XW_HIST_SUB_BITS) - 1));
    return (bucket << (XW_HIST_SUB_BITS - 1)) + (uint32_t)(value >> bucket);
}

static inline void xw_hist_record(struct xw_hist *h, uint64_t value) {
    h->min = h->count && h->min < value ? h->min : value;
    h->max = h->max > value ? h->max : value;
    h->total += value;
    h->count++;
    if (__builtin_expect(value > XW_HIST_MAX, 0)) {
        h->clamped++;
        value = XW_HIST_MAX;
    }
    h->counts[xw_hist_index(value)]++;
}

/* xw_hist_lowest: the smallest value of bucket i. */
uint64_t xw_hist_lowest(uint32_t i);
#endif
