/* engine/clock.c: what the engine's stamps are read from: the TSC where it is invariant, else the kernel. The only file of
 * the engine that reads a clock. */
#include "engine/engine.h"
#include <string.h>

/* Brackets of which the narrowest counts: one in four is free of an interrupt even on a busy core. */
#define BRACKETS 4u

static uint64_t kernel_clock(void *arg) {
    (void)arg;
    return xw_monotonic_ns();
}

static uint64_t tsc_clock(void *arg) {
    uint64_t ns = xw_tsc_ns(arg, xw_tsc_read());
    return __builtin_expect(ns != 0, 1) ? ns : xw_monotonic_ns();
}

/* Half a microsecond, so it is done where nothing waits: by the walk over the deadlines, at most once a millisecond. */
void xw_clock_pair(struct xw_engine *e) {
    uint64_t best = UINT64_MAX, tsc = 0, ns = 0;
    if (!e->clock_arg || !xw_tsc_due(&e->tsc, xw_tsc_read()))
        return;
    for (unsigned i = 0; i < BRACKETS; i++) {
        uint64_t before = xw_tsc_read(), at = xw_monotonic_ns(), width = xw_tsc_read() - before;
        if (width >= best)
            continue;
        best = width;
        tsc = before + width / 2;
        ns = at;
    }
    xw_tsc_pair(&e->tsc, tsc, ns);
}

void xw_clock_init(struct xw_engine *e) {
    e->clock = kernel_clock;
    e->clock_arg = NULL;
    if (e->cfg.clock != XW_CLOCK_AUTO || !xw_tsc_invariant())
        return;
    e->clock = tsc_clock;
    e->clock_arg = &e->tsc;
}

int xw_engine_clock(const struct xw_engine *e, struct xw_clock_info *out) {
    memset(out, 0, sizeof *out);
    out->tsc = e->clock_arg && xw_tsc_ns(&e->tsc, xw_tsc_read()) != 0;
    out->hz = e->tsc.hz;
    out->pairs = e->tsc.pairs;
    out->steps = e->tsc.steps;
    out->worst_ns = e->tsc.worst_ns;
    out->off_ns = e->tsc.off_ns;
    return XW_OK;
}
