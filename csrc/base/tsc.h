/* base/tsc.h: the processor's time-stamp counter as CLOCK_MONOTONIC. Reading the counter costs a third of
 * clock_gettime, and a message is stamped five times.
 *
 * Data in, data out: the owner takes pairs (counter, ns of CLOCK_MONOTONIC) and hands them to xw_tsc_pair; between two
 * pairs xw_tsc_ns extrapolates the straight line that runs from the last one. The line is continuous: what it was off at
 * a pair is slewed away until the next, so that time never goes back, unless it was off by more than XW_TSC_STEP_NS (a
 * virtual machine was moved, the counter was reset): then it jumps to what the pair says, and the jump is counted. A line
 * older than XW_TSC_STALE_NS is not used: xw_tsc_ns says 0 and the owner asks the kernel. docs/stamps.md derives it. */
#ifndef XW_BASE_TSC_H
#define XW_BASE_TSC_H
#include <stdbool.h>
#include <stdint.h>

struct xw_tsc {
    uint64_t tsc, ns;           /* the point from which the line runs */
    uint64_t mult;              /* its slope: ns of one tick, 32.32; 0: there is no line yet */
    uint64_t stale_ticks;       /* how far from the point the line is used */
    uint64_t every_ticks;       /* how long after a pair the next is wanted */
    uint64_t pair_tsc, pair_ns; /* the last pair */
    uint64_t hz;                /* of the counter, as measured between the last two pairs */
    int64_t off_ns;             /* line minus clock at the last pair */
    uint64_t worst_ns;          /* the largest of these that was slewed away */
    uint64_t pairs, steps;
};

/* xw_tsc_invariant: whether the counter runs at one rate in all states of the processor (CPUID 0x80000007, EDX 8). */
bool xw_tsc_invariant(void);
/* xw_tsc_pair: one more pair. The first two make a line; bracket noise of a pair is the error of the line. */
void xw_tsc_pair(struct xw_tsc *t, uint64_t tsc, uint64_t ns);

/* xw_tsc_due: whether it wants another pair. */
static inline bool xw_tsc_due(const struct xw_tsc *t, uint64_t tsc) { return tsc - t->pair_tsc >= t->every_ticks; }

static inline uint64_t xw_tsc_read(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

/* xw_tsc_ns: the time at counter value tsc; 0 when there is no line or it is stale. */
static inline uint64_t xw_tsc_ns(const struct xw_tsc *t, uint64_t tsc) {
    uint64_t d = tsc - t->tsc; /* a counter that went back: stale */
    if (__builtin_expect(d > t->stale_ticks, 0))
        return 0;
    return t->ns + (d * t->mult >> 32); /* XW_TSC_STALE_NS keeps the product below 2^64 */
}
#endif
