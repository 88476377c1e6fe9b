/* ws/mask.h: payload masking (RFC 6455 5.3): byte i of a payload is XORed with key byte i mod 4. */
#ifndef XW_WS_MASK_H
#define XW_WS_MASK_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* xw_ws_mask_scalar: dst[i] = src[i] ^ key[i % 4]; dst may be src. The row functions of ws/simd.h do the same. */
void xw_ws_mask_scalar(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]);
/* xw_ws_mask_word: the key as it applies from payload offset off on, as it lies in memory. */
static inline uint32_t xw_ws_mask_word(const uint8_t key[4], uint64_t off) {
    uint32_t k;
    unsigned by = 8 * (off & 3);
    memcpy(&k, key, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return k >> by | k << (-by & 31);
#else
    return k << by | k >> (-by & 31);
#endif
}
/* xw_ws_mask_at: the same as bytes. */
static inline void xw_ws_mask_at(uint8_t out[4], const uint8_t key[4], uint64_t off) {
    uint32_t k = xw_ws_mask_word(key, off);
    memcpy(out, &k, 4);
}
#endif
