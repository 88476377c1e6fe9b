/* bs/bs_sink.h: a wrapper around a stream for replays: what is read comes from the stream below, what is written above
 * goes nowhere. So the layers above may say what they like (their own keys and masks), while the stream below sends
 * exactly the octets that were captured, given through xw_bs_sink_inner, and its peer's acknowledgements fit.
 *
 * It owns the stream below and closes it. Ending the sending direction above has no effect below; aborting has. */
#ifndef XW_BS_BS_SINK_H
#define XW_BS_BS_SINK_H
#include "bs/bs.h"

/* xw_bs_sink_new: XW_ENOMEM; the inner stream stays the caller's then. */
int xw_bs_sink_new(struct xw_bs *inner, struct xw_bs **out);
/* xw_bs_sink_inner: the stream below, to be written to. */
struct xw_bs *xw_bs_sink_inner(const struct xw_bs *b);
/* xw_bs_sink_swallowed: octets that were written above. */
uint64_t xw_bs_sink_swallowed(const struct xw_bs *b);
#endif
