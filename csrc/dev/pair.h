/* dev/pair.h: two devices joined in memory: what one sends, the other receives, in order. For tests and simulation.
 *
 * Each direction is a pool of frames of its own, so a link is full when all of them are sent and not yet released,
 * and then tx_reserve says XW_EAGAIN. A frame becomes visible to the other end with tx_flush. One longer than the
 * MTU allows is counted (tx_dropped) and lost, as on a wire. xdp_ns of a frame is the latest time that either end
 * was told by tick() when it was flushed; without any tick the frame has no time. Both ends belong to one thread;
 * each is closed by itself, and the memory goes with the second. */
#ifndef XW_DEV_PAIR_H
#define XW_DEV_PAIR_H
#include "dev/dev.h"
#include "mem/frames.h"

struct xw_pair_cfg {
    uint32_t mtu;    /* bytes of IP packet; 0: 1500 */
    uint32_t frames; /* of each direction; 0: 256 */
};
/* xw_pair_open: NULL cfg: the defaults. 0, XW_EINVAL (above XW_MTU_MAX, or more than 65536 frames) or XW_ENOMEM. */
int xw_pair_open(const struct xw_pair_cfg *cfg, struct xw_dev **a, struct xw_dev **b);
/* xw_pair_frames: frames in each state of the direction that d sends into; returns their sum. */
uint32_t xw_pair_frames(const struct xw_dev *d, uint32_t out[XW_FRAME_STATES]);
/* xw_pair_waiting: frames flushed by the other end that d has not yet received. */
uint32_t xw_pair_waiting(const struct xw_dev *d);
#endif
