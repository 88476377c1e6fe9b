/* tools/bench/handler.c: a compiled handler (xdpws.CompiledHandler) that does what the C baselines' on_message does. Built as
 * a shared library; tools/bench/clients/xdpws_client.py has struct tally too. */
#include "common.h"
#include "xw.h"

struct tally {
    uint64_t warm, total, got, bad, first_ns, last_ns;
    int64_t *lat; /* NULL: full blast */
};

int bench_handler(const struct xw_event *events, uint32_t count, void *context);
int bench_handler(const struct xw_event *events, uint32_t count, void *context) {
    struct tally *c = context;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t t = bench_now();
        const uint8_t *p = events[i].data;
        if (events[i].len < SEQ_OFF + SEQ_DIGITS || digits_get(p + SEQ_OFF, SEQ_DIGITS) != c->got)
            c->bad++;
        if (c->lat && c->got >= c->warm && c->got < c->total)
            c->lat[c->got - c->warm] = (int64_t)(t - digits_get(p + TS_OFF, TS_DIGITS));
        if (c->got == c->warm)
            c->first_ns = t;
        c->last_ns = t;
        c->got++;
    }
    return c->got >= c->total;
}
