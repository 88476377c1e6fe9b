/* ws/simd_sse2.c: sixteen bytes at a time. SSE2 has no byte shuffle for table look-ups, so UTF-8 is checked by
 * comparisons: which bytes must be continuations and which are, and the five pairs with a narrower range. */
#include "ws/simd.h"
#include "ws/mask.h"
#include "ws/utf8.h"
#ifdef __x86_64__
#include <emmintrin.h>
#include <string.h>

static inline __m128i load(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
static inline void store(uint8_t *p, __m128i v) { _mm_storeu_si128((__m128i *)(void *)p, v); }
static inline __m128i all(int byte) { return _mm_set1_epi8((char)byte); }

static inline __m128i key_at(const uint8_t key[4], size_t off) {
    return _mm_set1_epi32((int)xw_ws_mask_word(key, off));
}

static void mask_sse2(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]) {
    if (len < 16) {
        xw_ws_mask_scalar(dst, src, len, key);
        return;
    }
    /* the last block overlaps what the loop writes: it is read before it, for dst may be src */
    __m128i k = key_at(key, 0), last = _mm_xor_si128(load(src + len - 16), key_at(key, len));
    for (size_t i = 0; len - i > 16; i += 16)
        store(dst + i, _mm_xor_si128(load(src + i), k));
    store(dst + len - 16, last);
}

static size_t ascii_sse2(const uint8_t *p, size_t len) {
    size_t i = 0;
    unsigned high;
    if (len < 16)
        return xw_ws_ascii_scalar(p, len);
    for (; len - i >= 64; i += 64) {
        __m128i low = _mm_or_si128(load(p + i), load(p + i + 16)), up = _mm_or_si128(load(p + i + 32), load(p + i + 48));
        if (_mm_movemask_epi8(_mm_or_si128(low, up)))
            break;
    }
    for (; len - i >= 16; i += 16)
        if ((high = (unsigned)_mm_movemask_epi8(load(p + i))))
            return i + (size_t)__builtin_ctz(high);
    high = (unsigned)_mm_movemask_epi8(load(p + len - 16));
    return high ? len - 16 + (size_t)__builtin_ctz(high) : len;
}

/* ff where v >= byte, unsigned */
static inline __m128i at_least(__m128i v, int byte) { return _mm_cmpeq_epi8(_mm_max_epu8(v, all(byte)), v); }

/* ff where the previous byte is `lead` and cur is below (or not below) `bound` */
static inline __m128i below(__m128i p1, int lead, __m128i cur, int bound) {
    return _mm_andnot_si128(at_least(cur, bound), _mm_cmpeq_epi8(p1, all(lead)));
}
static inline __m128i not_below(__m128i p1, int lead, __m128i cur, int bound) {
    return _mm_and_si128(at_least(cur, bound), _mm_cmpeq_epi8(p1, all(lead)));
}

/* Non-zero bytes where cur, following prev, is wrong. */
static inline __m128i errors(__m128i cur, __m128i prev) {
    __m128i p1 = _mm_or_si128(_mm_slli_si128(cur, 1), _mm_srli_si128(prev, 15));
    __m128i p2 = _mm_or_si128(_mm_slli_si128(cur, 2), _mm_srli_si128(prev, 14));
    __m128i p3 = _mm_or_si128(_mm_slli_si128(cur, 3), _mm_srli_si128(prev, 13));
    __m128i asked = _mm_or_si128(_mm_or_si128(at_least(p1, 0xc0), at_least(p2, 0xe0)), at_least(p3, 0xf0));
    __m128i cont = _mm_cmplt_epi8(cur, all(0xc0)); /* signed: 80..bf */
    __m128i bad = _mm_xor_si128(asked, cont);
    bad = _mm_or_si128(bad, _mm_or_si128(at_least(cur, 0xf5), _mm_cmpeq_epi8(_mm_and_si128(cur, all(0xfe)), all(0xc0))));
    bad = _mm_or_si128(bad, _mm_or_si128(below(p1, 0xe0, cur, 0xa0), not_below(p1, 0xed, cur, 0xa0)));
    return _mm_or_si128(bad, _mm_or_si128(below(p1, 0xf0, cur, 0x90), not_below(p1, 0xf4, cur, 0x90)));
}

/* Not all of it is ASCII, but p[0, i) is. */
__attribute__((noinline)) static size_t mixed(const uint8_t *p, size_t i, size_t len, unsigned *tail) {
    uint8_t rest[16] = { 0 };
    __m128i prev = _mm_setzero_si128();
    for (i &= ~(size_t)15; len - i >= 16; i += 16) {
        __m128i cur = load(p + i);
        if (_mm_movemask_epi8(errors(cur, prev)))
            return xw_ws_utf8_from(p, i, len, tail);
        prev = cur;
    }
    if (i < len)
        memcpy(rest, p + i, len - i);
    /* zeros behind the end: an unfinished character shows as an error */
    return _mm_movemask_epi8(errors(load(rest), prev)) ? xw_ws_utf8_from(p, i, len, tail) : len;
}

static size_t utf8_sse2(const uint8_t *p, size_t len, unsigned *tail) {
    size_t i = ascii_sse2(p, len);
    *tail = 0;
    return i == len ? len : mixed(p, i, len, tail);
}

const struct xw_ws_simd xw_ws_simd_sse2 = { .name = "sse2", .mask = mask_sse2, .ascii = ascii_sse2, .utf8 = utf8_sse2 };
#endif
