/* ws/simd_sse2.c: sixteen bytes at a time. SSE2 has no byte shuffle, so UTF-8 is: skip ASCII fast, check the rest
 * one by one. */
#include "ws/simd.h"
#include "ws/mask.h"
#include "ws/utf8.h"
#ifdef __x86_64__
#include <emmintrin.h>
#include <string.h>

static void mask_sse2(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]) {
    int k32;
    memcpy(&k32, key, 4);
    __m128i k = _mm_set1_epi32(k32);
    size_t i = 0;
    for (; len - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(src + i));
        _mm_storeu_si128((__m128i *)(void *)(dst + i), _mm_xor_si128(v, k));
    }
    xw_ws_mask_scalar(dst + i, src + i, len - i, key);
}

static size_t ascii_sse2(const uint8_t *p, size_t len) {
    size_t i = 0;
    for (; len - i >= 16; i += 16) {
        int high = _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + i)));
        if (high)
            return i + (size_t)__builtin_ctz((unsigned)high);
    }
    return i + xw_ws_ascii_scalar(p + i, len - i);
}

static size_t utf8_sse2(const uint8_t *p, size_t len, unsigned *tail) {
    size_t i = ascii_sse2(p, len);
    return i + xw_ws_utf8_scalar(p + i, len - i, tail);
}

const struct xw_ws_simd xw_ws_simd_sse2 = { .name = "sse2", .mask = mask_sse2, .ascii = ascii_sse2, .utf8 = utf8_sse2 };
#endif
