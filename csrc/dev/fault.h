/* dev/fault.h: a wrapper that does to frames what bad links do, seeded and counted exactly. It owns the device that
 * it wraps and closes it.
 *
 * Every frame is copied into a bounded store of the wrapper and the inner device gets its own back at once, so that
 * delayed and reordered frames respect everybody's ownership rules. The same seed, frames and ticks give the same
 * faults. The decisions on a frame, in this order: loss (ends it), corruption (one byte is changed), delay,
 * reordering (it is let go right behind the next frame of its direction; if none comes within hold_ns it goes as it
 * is and is not counted), duplication (the copy follows at once; not of a frame held for reordering). Time comes
 * from tick(); what is due leaves with rx_burst and tx_flush, which deadline() asks for. A full store loses received
 * frames (overflow) and answers XW_EAGAIN to tx_reserve. */
#ifndef XW_DEV_FAULT_H
#define XW_DEV_FAULT_H
#include "dev/dev.h"

/* Rates in parts per million: 10000 is 1 %, 1000000 is always. */
struct xw_fault_rates {
    uint32_t loss_ppm, dup_ppm, reorder_ppm, corrupt_ppm, delay_ppm;
    uint64_t delay_ns;  /* of a delayed frame … */
    uint64_t jitter_ns; /* … plus a uniform share of this */
    uint64_t hold_ns;   /* longest wait of a reordered frame for its successor; 0: 10 ms */
};
struct xw_fault_cfg {
    struct xw_fault_rates rx, tx;
    uint8_t seed[32];
    uint32_t frames;    /* store of each direction; 0: 1024, at most 65536 */
};
/* out = seen - lost - overflow + duplicated, once nothing waits any more. */
struct xw_fault_counts { uint64_t seen, lost, duplicated, reordered, corrupted, delayed, overflow, out; };

/* xw_fault_open: 0, XW_EINVAL (a rate above 1000000) or XW_ENOMEM; the inner device stays the caller's if it fails. */
int xw_fault_open(struct xw_dev *inner, const struct xw_fault_cfg *cfg, struct xw_dev **out);
/* xw_fault_set: other rates from the next frame on; either may be NULL. */
int xw_fault_set(struct xw_dev *d, const struct xw_fault_rates *rx, const struct xw_fault_rates *tx);
void xw_fault_counts(const struct xw_dev *d, struct xw_fault_counts *rx, struct xw_fault_counts *tx);
#endif
