/* dev/xsk.h: the AF_XDP device: one UMEM, and on each receive queue a socket with its own FILL, COMPLETION, RX and
 * TX ring. The configuration, xw_xsk_open and the questions about it are in xw_api.h; everything else is struct
 * xw_dev_ops.
 *
 * Needs CAP_NET_RAW (and CAP_NET_ADMIN for some busy-poll values) and a steering program that redirects to these
 * sockets; it loads none itself. Received frames come from all queues, transmit goes by the first. After open
 * nothing is allocated, and the only system calls are the kicks that the kernel asks for by need_wakeup, plus one
 * when completions do not come (watchdog).
 *
 * Frames. For each queue the FILL ring is kept full from the pool, up to 2 * rx_len + XW_RX_BURST_MAX frames held by
 * the queue: the driver's own ring may hold as many as FILL does. Transmit has 2 * tx_len of its own. Neither can
 * starve the other.
 *
 * Not here: multi-buffer (MTU above frame_len - 278), unaligned chunks, checksum offload. */
#ifndef XW_DEV_XSK_H
#define XW_DEV_XSK_H
#include "dev/dev.h"
#include "mem/frames.h"
#include "xw.h"

/* Frames in each state of the device's UMEM; their sum is returned. 0 if it is not an AF_XDP device. */
uint32_t xw_xsk_frames(const struct xw_dev *d, uint32_t out[XW_FRAME_STATES]);
/* frames of the UMEM for this configuration (no check of its values) */
uint32_t xw_xsk_frames_needed(const struct xw_xsk_cfg *cfg);
#endif
