/* wire/checksum.h: the Internet checksum (RFC 1071), summed in parts. */
#ifndef XW_WIRE_CHECKSUM_H
#define XW_WIRE_CHECKSUM_H
#include <stddef.h>
#include <stdint.h>

/* xw_csum_add: adds len bytes to an unfolded sum. Every part but the last must have an even length. */
uint64_t xw_csum_add(uint64_t sum, const void *data, size_t len);
/* xw_csum_pseudo: unfolded sum of the IPv4 pseudo-header; addresses in host byte order, len of header and payload. */
uint64_t xw_csum_pseudo(uint32_t src, uint32_t dst, uint8_t proto, uint32_t len);
/* xw_csum_fold: the 16-bit checksum in host byte order, to be stored big-endian. A range that contains its own right
 * checksum folds to 0. */
uint16_t xw_csum_fold(uint64_t sum);
#endif
