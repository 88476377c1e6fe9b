/* ws/mask.c: masking, eight bytes at a time without any instruction set extension. */
#include "ws/mask.h"

/* Four to seven bytes: two words that may overlap, both read before either is written. */
static void mask_few(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]) {
    uint32_t a, b;
    memcpy(&a, src, 4);
    memcpy(&b, src + len - 4, 4);
    a ^= xw_ws_mask_word(key, 0);
    b ^= xw_ws_mask_word(key, len);
    memcpy(dst, &a, 4);
    memcpy(dst + len - 4, &b, 4);
}

static inline uint64_t twice(uint32_t word) { return (uint64_t)word << 32 | word; }

void xw_ws_mask_scalar(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]) {
    if (len < 4) {
        for (size_t i = 0; i < len; i++)
            dst[i] = (uint8_t)(src[i] ^ key[i]);
        return;
    }
    if (len < 8) {
        mask_few(dst, src, len, key);
        return;
    }
    /* the last eight bytes overlap what the loop writes: they are read before it, for dst may be src */
    uint64_t k = twice(xw_ws_mask_word(key, 0)), v, last;
    memcpy(&last, src + len - 8, 8);
    last ^= twice(xw_ws_mask_word(key, len));
    for (size_t i = 0; len - i > 8; i += 8) {
        memcpy(&v, src + i, 8);
        v ^= k;
        memcpy(dst + i, &v, 8);
    }
    memcpy(dst + len - 8, &last, 8);
}
