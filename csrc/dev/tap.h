/* dev/tap.h: a wrapper that writes every frame of both directions as pcapng (draft-ietf-opsawg-pcapng) with ns
 * timestamps: tcpdump does not see what XDP redirects. It owns the device that it wraps and closes it; the
 * descriptor stays the caller's.
 *
 * Frames are gathered in memory and written at tick() and when the buffer is full, so the cost is one copy a frame
 * and one write() a poll. A descriptor that takes no more (a full pipe in non-blocking mode, a full disk) costs the
 * capture frames, never the connection: they are counted, and the next block that is written says how many are missing
 * (epb_dropcount). TLS secrets are copied from a key log as it grows, into decryption secrets blocks that stand before the
 * frames of the poll that made them, so that a reader has them when it needs them. A pipe whose reader left raises SIGPIPE
 * unless the process ignores it, as Python does. */
#ifndef XW_DEV_TAP_H
#define XW_DEV_TAP_H
#include "dev/dev.h"
#include "xw.h" /* xw_tap_device, xw_tap_lost */

struct xw_tap_cfg {
    int fd;
    uint32_t snap_len;        /* bytes kept of a frame; 0: all */
    uint64_t epoch_offset_ns; /* added to CLOCK_MONOTONIC to give UTC; 0 for simulated time */
    int secrets_fd;           /* read at every tick() for lines of an NSS key log; must not block; 0 or less: none */
};
/* xw_tap_open: 0, XW_EINVAL or XW_ENOMEM; the inner device stays the caller's if it fails. */
int xw_tap_open(struct xw_dev *inner, const struct xw_tap_cfg *cfg, struct xw_dev **out);
/* xw_tap_sync: writes what is gathered: 0, or XW_EAGAIN when some of it is left, or XW_ESYS (errno) when the
 * descriptor is dead. */
int xw_tap_sync(struct xw_dev *d);
#endif
