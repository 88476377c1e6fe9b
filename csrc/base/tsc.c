/* base/tsc.c: fitting the line of base/tsc.h. */
#include "base/tsc.h"
#include "base/limits.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

bool xw_tsc_invariant(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007u, &a, &b, &c, &d) && (d >> 8 & 1u);
#else
    return false;
#endif
}

/* a * b / c in 128 bits, rounded down; 0 when c is 0. */
static uint64_t muldiv(uint64_t a, uint64_t b, uint64_t c) {
    __extension__ unsigned __int128 wide = (unsigned __int128)a * b;
    return c ? (uint64_t)(wide / c) : 0;
}

/* The line begins at (tsc, ns) with this slope. */
static void line(struct xw_tsc *t, uint64_t tsc, uint64_t ns, uint64_t mult) {
    t->tsc = tsc;
    t->ns = ns;
    t->mult = mult;
    t->stale_ticks = muldiv(XW_TSC_STALE_NS, 1ull << 32, mult);
}

void xw_tsc_pair(struct xw_tsc *t, uint64_t tsc, uint64_t ns) {
    uint64_t ticks = tsc - t->pair_tsc, took = ns - t->pair_ns;
    bool usable = t->pairs && tsc > t->pair_tsc && ns > t->pair_ns;
    uint64_t told = usable ? xw_tsc_ns(t, tsc) : 0;
    t->pairs++;
    t->pair_tsc = tsc;
    t->pair_ns = ns;
    t->stale_ticks = 0;
    t->every_ticks = XW_TSC_FIRST_TICKS;
    if (!usable)
        return;
    uint64_t rate = muldiv(took, 1ull << 32, ticks);
    t->hz = muldiv(ticks, XW_NS_PER_S, took);
    t->every_ticks = muldiv(ticks, XW_TSC_EVERY_NS, took);
    int64_t off = (int64_t)(told - ns);
    uint64_t size = (uint64_t)(off < 0 ? -off : off);
    bool step = told && size > XW_TSC_STEP_NS;
    t->steps += step;
    if (!told || step) { /* the first line, one after a pause, or a jump: nothing to be continuous with */
        t->off_ns = 0;
        line(t, tsc, ns, rate);
        return;
    }
    t->off_ns = off;
    t->worst_ns = size > t->worst_ns ? size : t->worst_ns;
    /* Half of it is slewed away in a period like the last: all of it would double the noise of every pair. */
    uint64_t slew = muldiv(size, 1ull << 31, ticks);
    line(t, tsc, told, off < 0 ? rate + slew : slew < rate ? rate - slew : 1);
}
