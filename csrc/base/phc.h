/* base/phc.h: the NIC's clock (PTP hardware clock) as CLOCK_MONOTONIC: a line through a common point, measured by whoever
 * owns the device (xdpws/control/phc.py) and handed in as struct xw_phc_line of xw_api.h. */
#ifndef XW_BASE_PHC_H
#define XW_BASE_PHC_H
#include "xw.h"
#include <stdbool.h>

/* xw_phc_ns: CLOCK_MONOTONIC when the NIC's clock showed hw_ns; 0 when there is no line, or hw_ns lies further than
 * span_ns from its point: then nothing is known, and nothing is made up. The product stays below 2^64 for spans up to 2 s
 * and rates up to 2. */
static inline uint64_t xw_phc_ns(const struct xw_phc_line *l, uint64_t hw_ns) {
    bool later = hw_ns >= l->phc_ns;
    uint64_t d = later ? hw_ns - l->phc_ns : l->phc_ns - hw_ns;
    if (d > l->span_ns)
        return 0;
    uint64_t ns = d * (l->rate >> 1) >> 31;
    return later ? l->mono_ns + ns : l->mono_ns - ns;
}
#endif
