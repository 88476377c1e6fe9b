/* base/stamp.h: the receive times of a piece of the byte stream. All are ns of CLOCK_MONOTONIC except hw_ns (see
 * dev/dev.h); a field counts only if its bit is set in valid. Never an invented value. */
#ifndef XW_BASE_STAMP_H
#define XW_BASE_STAMP_H
#include <stdint.h>

#define XW_RXS_HW 0x1u   /* hw_ns: NIC hardware time */
#define XW_RXS_KERN 0x2u /* kern_ns: in the XDP program, or the kernel's receive time in socket mode */
#define XW_RXS_RING 0x4u /* ring_ns: taken from the AF_XDP ring, or recv() returned */

struct xw_rxstamp {
    uint64_t hw_ns, kern_ns, ring_ns;
    uint32_t valid;
};
#endif
