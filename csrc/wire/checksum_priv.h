/* wire/checksum_priv.h: the vector part of xw_csum_add; for checksum*.c and its test. */
#ifndef XW_WIRE_CHECKSUM_PRIV_H
#define XW_WIRE_CHECKSUM_PRIV_H
#include "wire/checksum.h"

#define XW_CSUM_BLOCK 32u
/* Shorter ranges are summed by the scalar loop. */
#define XW_CSUM_VECTOR_MIN 96u

/* xw_csum_blocks_avx2: so many blocks of XW_CSUM_BLOCK bytes; at most 2^32 bytes. Needs AVX2. */
uint64_t xw_csum_blocks_avx2(uint64_t sum, const uint8_t *p, size_t blocks);
/* xw_csum_add_scalar: xw_csum_add without vectors. */
uint64_t xw_csum_add_scalar(uint64_t sum, const void *data, size_t len);
#endif
