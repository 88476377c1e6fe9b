/* ws/mask.c: masking, eight bytes at a time without any instruction set extension. */
#include "ws/mask.h"
#include <string.h>

void xw_ws_mask_scalar(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]) {
    uint8_t twice[8];
    uint64_t k, v;
    memcpy(twice, key, 4);
    memcpy(twice + 4, key, 4);
    memcpy(&k, twice, 8);
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        memcpy(&v, src + i, 8);
        v ^= k;
        memcpy(dst + i, &v, 8);
    }
    for (; i < len; i++)
        dst[i] = (uint8_t)(src[i] ^ key[i & 3]);
}
