/* ws/simd_avx512.c: sixty-four bytes at a time, and what is left over in one step more: loads and stores that leave out
 * the bytes behind the end. UTF-8 as ws/simd_utf8.h says. */
#include "ws/simd.h"
#include "ws/mask.h"
#include "ws/utf8.h"
#ifdef __x86_64__
#include "ws/simd_utf8.h"
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw")))

AVX512 static inline __m512i load(const uint8_t *p) { return _mm512_loadu_si512(p); }
/* the first n bytes (n < 64), zeros behind them */
AVX512 static inline __mmask64 first(size_t n) { return ((__mmask64)1 << n) - 1; }
AVX512 static inline __m512i load_first(const uint8_t *p, size_t n) { return _mm512_maskz_loadu_epi8(first(n), p); }

AVX512 static void mask_avx512(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]) {
    __m512i k = _mm512_set1_epi32((int)xw_ws_mask_word(key, 0));
    size_t i = 0;
    for (; len - i >= 64; i += 64)
        _mm512_storeu_si512(dst + i, _mm512_xor_si512(load(src + i), k));
    if (len > i)
        _mm512_mask_storeu_epi8(dst + i, first(len - i), _mm512_xor_si512(load_first(src + i, len - i), k));
}

AVX512 static size_t ascii_avx512(const uint8_t *p, size_t len) {
    size_t i = 0;
    __mmask64 high;
    for (; len - i >= 256; i += 256) {
        __m512i low = _mm512_or_si512(load(p + i), load(p + i + 64));
        __m512i up = _mm512_or_si512(load(p + i + 128), load(p + i + 192));
        if (_mm512_movepi8_mask(_mm512_or_si512(low, up)))
            break;
    }
    for (; len - i >= 64; i += 64)
        if ((high = _mm512_movepi8_mask(load(p + i))))
            return i + (size_t)__builtin_ctzll(high);
    if (len > i && (high = _mm512_movepi8_mask(load_first(p + i, len - i))))
        return i + (size_t)__builtin_ctzll(high);
    return len;
}

#define S(x) ((char)(x))
#define TABLE_OF(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) \
    _mm512_broadcast_i32x4(_mm_setr_epi8(S(a), S(b), S(c), S(d), S(e), S(f), S(g), S(h), S(i), S(j), S(k), S(l), S(m), \
                                         S(n), S(o), S(p)))
#define TABLE(list) TABLE_OF(list)
#define AND3 0x80      /* of _mm512_ternarylogic_epi64: a & b & c */
#define OR_AND 0xa8    /* (a | b) & c */

/* Where cur, following prev, is wrong. */
AVX512 static inline __mmask64 errors(__m512i cur, __m512i prev) {
    __m512i low4 = _mm512_set1_epi8(0x0f);
    __m512i joint = _mm512_alignr_epi32(cur, prev, 12); /* the last lane of prev, three lanes of cur */
    __m512i p1 = _mm512_alignr_epi8(cur, joint, 15);
    __m512i p2 = _mm512_alignr_epi8(cur, joint, 14);
    __m512i p3 = _mm512_alignr_epi8(cur, joint, 13);
    __m512i a = _mm512_shuffle_epi8(TABLE(FIRST_HIGH), _mm512_and_si512(_mm512_srli_epi16(p1, 4), low4));
    __m512i b = _mm512_shuffle_epi8(TABLE(FIRST_LOW), _mm512_and_si512(p1, low4));
    __m512i c = _mm512_shuffle_epi8(TABLE(SECOND_HIGH), _mm512_and_si512(_mm512_srli_epi16(cur, 4), low4));
    __m512i third = _mm512_subs_epu8(p2, _mm512_set1_epi8(S(ASKS_THIRD)));
    __m512i fourth = _mm512_subs_epu8(p3, _mm512_set1_epi8(S(ASKS_FOURTH)));
    __m512i asked = _mm512_ternarylogic_epi64(third, fourth, _mm512_set1_epi8(S(CONTS)), OR_AND);
    __m512i bad = _mm512_xor_si512(asked, _mm512_ternarylogic_epi64(a, b, c, AND3));
    return _mm512_test_epi8_mask(bad, bad);
}

/* Not all of it is ASCII, but p[0, i) is. */
AVX512 __attribute__((noinline)) static size_t mixed(const uint8_t *p, size_t i, size_t len, unsigned *tail) {
    __m512i prev = _mm512_setzero_si512();
    for (i &= ~(size_t)63; len - i >= 64; i += 64) {
        __m512i cur = load(p + i);
        if (errors(cur, prev))
            return xw_ws_utf8_from(p, i, len, tail);
        prev = cur;
    }
    /* zeros behind the end: an unfinished character shows as an error */
    return errors(load_first(p + i, len - i), prev) ? xw_ws_utf8_from(p, i, len, tail) : len;
}

AVX512 static size_t utf8_avx512(const uint8_t *p, size_t len, unsigned *tail) {
    size_t i = ascii_avx512(p, len);
    *tail = 0;
    return i == len ? len : mixed(p, i, len, tail);
}

const struct xw_ws_simd xw_ws_simd_avx512 = {
    .name = "avx512", .mask = mask_avx512, .ascii = ascii_avx512, .utf8 = utf8_avx512,
};
#endif
