/* base/hist.c: reading histograms. None of it is on the hot path. */
#include "base/hist.h"
#include <string.h>

uint64_t xw_hist_lowest(uint32_t i) {
    uint32_t bucket = i >> (XW_HIST_SUB_BITS - 1), sub = i & (XW_HIST_HALF - 1);
    return bucket < 2 ? i : (uint64_t)(sub + XW_HIST_HALF) << (bucket - 1);
}

uint64_t xw_hist_upper(uint32_t i) { return xw_hist_lowest(i + 1) - 1; }

uint64_t xw_hist_percentile(const struct xw_hist *h, double percent) {
    uint64_t wanted = 0, seen = 0;
    double share = percent < 0 ? 0 : percent > 100 ? 100 : percent;
    for (uint32_t i = 0; i < XW_HIST_LEN; i++) /* not count: a writer may be ahead of it */
        wanted += h->counts[i];
    if (!wanted)
        return 0;
    double exact = share / 100 * (double)wanted;
    wanted = (uint64_t)exact;
    wanted += (double)wanted < exact || !wanted;
    for (uint32_t i = 0; i < XW_HIST_LEN; i++) {
        seen += h->counts[i];
        if (seen >= wanted) {
            uint64_t value = xw_hist_upper(i);
            return value < h->max ? value : h->max;
        }
    }
    return h->max;
}

void xw_hist_add(struct xw_hist *h, const struct xw_hist *other) {
    if (!other->count)
        return;
    h->min = h->count && h->min < other->min ? h->min : other->min;
    h->max = h->max > other->max ? h->max : other->max;
    h->count += other->count;
    h->total += other->total;
    h->clamped += other->clamped;
    h->negative += other->negative;
    for (uint32_t i = 0; i < XW_HIST_LEN; i++)
        h->counts[i] += other->counts[i];
}

void xw_hist_since(struct xw_hist *h, const struct xw_hist *before) {
    uint32_t first = XW_HIST_LEN, last = 0;
    for (uint32_t i = 0; i < XW_HIST_LEN; i++) {
        h->counts[i] -= before->counts[i];
        first = h->counts[i] && first == XW_HIST_LEN ? i : first;
        last = h->counts[i] ? i : last;
    }
    h->count -= before->count;
    h->total -= before->total;
    h->clamped -= before->clamped;
    h->negative -= before->negative;
    h->min = first < XW_HIST_LEN ? xw_hist_lowest(first) : 0;
    h->max = first == XW_HIST_LEN ? 0 : xw_hist_upper(last) < h->max ? xw_hist_upper(last) : h->max;
}
