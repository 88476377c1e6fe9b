/* ws/simd_neon.c: sixteen bytes at a time on ARMv8-A; UTF-8 as ws/simd_utf8.h says. */
#include "ws/simd.h"
#include "ws/mask.h"
#include "ws/utf8.h"
#ifdef __aarch64__
#include "ws/simd_utf8.h"
#include <arm_neon.h>
#include <string.h>

static inline uint8x16_t key_at(const uint8_t key[4], size_t off) {
    return vreinterpretq_u8_u32(vdupq_n_u32(xw_ws_mask_word(key, off)));
}

static void mask_neon(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]) {
    if (len < 16) {
        xw_ws_mask_scalar(dst, src, len, key);
        return;
    }
    /* the last block overlaps what the loop writes: it is read before it, for dst may be src */
    uint8x16_t k = key_at(key, 0), last = veorq_u8(vld1q_u8(src + len - 16), key_at(key, len));
    for (size_t i = 0; len - i > 16; i += 16)
        vst1q_u8(dst + i, veorq_u8(vld1q_u8(src + i), k));
    vst1q_u8(dst + len - 16, last);
}

static size_t ascii_neon(const uint8_t *p, size_t len) {
    size_t i = 0;
    for (; len - i >= 64; i += 64) {
        uint8x16_t low = vorrq_u8(vld1q_u8(p + i), vld1q_u8(p + i + 16));
        uint8x16_t up = vorrq_u8(vld1q_u8(p + i + 32), vld1q_u8(p + i + 48));
        if (vmaxvq_u8(vorrq_u8(low, up)) >= 0x80)
            break;
    }
    for (; len - i >= 16 && vmaxvq_u8(vld1q_u8(p + i)) < 0x80; i += 16) { }
    return i + xw_ws_ascii_scalar(p + i, len - i);
}

static const uint8_t first_high[16] = { FIRST_HIGH }, first_low[16] = { FIRST_LOW }, second_high[16] = { SECOND_HIGH };

/* True: cur, following prev, is wrong. */
static inline int wrong(uint8x16_t cur, uint8x16_t prev) {
    uint8x16_t p1 = vextq_u8(prev, cur, 15), p2 = vextq_u8(prev, cur, 14), p3 = vextq_u8(prev, cur, 13);
    uint8x16_t pair = vandq_u8(vqtbl1q_u8(vld1q_u8(first_high), vshrq_n_u8(p1, 4)),
                               vqtbl1q_u8(vld1q_u8(first_low), vandq_u8(p1, vdupq_n_u8(0x0f))));
    pair = vandq_u8(pair, vqtbl1q_u8(vld1q_u8(second_high), vshrq_n_u8(cur, 4)));
    uint8x16_t asked = vorrq_u8(vqsubq_u8(p2, vdupq_n_u8(ASKS_THIRD)), vqsubq_u8(p3, vdupq_n_u8(ASKS_FOURTH)));
    return vmaxvq_u8(veorq_u8(vandq_u8(asked, vdupq_n_u8(CONTS)), pair)) != 0;
}

/* Not all of it is ASCII, but p[0, i) is. */
__attribute__((noinline)) static size_t mixed(const uint8_t *p, size_t i, size_t len, unsigned *tail) {
    uint8_t rest[16] = { 0 };
    uint8x16_t prev = vdupq_n_u8(0);
    for (i &= ~(size_t)15; len - i >= 16; i += 16) {
        uint8x16_t cur = vld1q_u8(p + i);
        if (wrong(cur, prev))
            return xw_ws_utf8_from(p, i, len, tail);
        prev = cur;
    }
    if (i < len)
        memcpy(rest, p + i, len - i);
    /* zeros behind the end: an unfinished character shows as an error */
    return wrong(vld1q_u8(rest), prev) ? xw_ws_utf8_from(p, i, len, tail) : len;
}

static size_t utf8_neon(const uint8_t *p, size_t len, unsigned *tail) {
    size_t i = ascii_neon(p, len);
    *tail = 0;
    return i == len ? len : mixed(p, i, len, tail);
}

const struct xw_ws_simd xw_ws_simd_neon = { .name = "neon", .mask = mask_neon, .ascii = ascii_neon, .utf8 = utf8_neon };
#endif
