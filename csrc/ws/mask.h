/* ws/mask.h: payload masking (RFC 6455 5.3): byte i of a payload is XORed with key byte i mod 4. */
#ifndef XW_WS_MASK_H
#define XW_WS_MASK_H
#include <stddef.h>
#include <stdint.h>

/* xw_ws_mask_scalar: dst[i] = src[i] ^ key[i % 4]; dst may be src. The row functions of ws/simd.h do the same. */
void xw_ws_mask_scalar(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]);
/* xw_ws_mask_at: out = the key as it applies from payload offset off on. */
static inline void xw_ws_mask_at(uint8_t out[4], const uint8_t key[4], uint64_t off) {
    for (unsigned i = 0; i < 4; i++)
        out[i] = key[(off + i) & 3];
}
#endif
