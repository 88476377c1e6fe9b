/* dev/capture.h: reads the packets of a pcap or pcapng file that lies in memory. Data in, data out: no state, no
 * allocation.
 *
 * pcap: micro- and nanosecond files. pcapng: several sections and interfaces; enhanced and simple packet blocks,
 * time resolutions up to 10^-19 s and 2^-30 s; all other blocks are passed over. Either byte order. Ethernet only. */
#ifndef XW_DEV_CAPTURE_H
#define XW_DEV_CAPTURE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xw_capture_rec {
    size_t off;    /* of the frame in the file */
    uint32_t len;  /* bytes captured */
    bool whole;    /* they are all that there was */
    uint64_t ns;   /* of the capture's clock; a simple packet block has none and gets that of the packet before it */
};
/* xw_capture_walk: calls nothing, writes up to max records; returns how many the file has, or XW_EINVAL with *why
 * set. So a first call with max 0 counts. */
int64_t xw_capture_walk(const uint8_t *file, size_t len, struct xw_capture_rec *out, size_t max, const char **why);
#endif
