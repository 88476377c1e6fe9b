/* dev/capture.h: reads the packets of a pcap or pcapng file that lies in memory. Data in, data out: no state, no
 * allocation.
 *
 * pcap: micro- and nanosecond files. pcapng: several sections and interfaces; enhanced and simple packet blocks,
 * time resolutions up to 10^-19 s and 2^-30 s; all other blocks are passed over. Either byte order. Ethernet only. */
#ifndef XW_DEV_CAPTURE_H
#define XW_DEV_CAPTURE_H
#include "xw.h" /* struct xw_capture_rec, xw_capture_walk */
#include <stdbool.h>
#endif
