/* ws/simd_avx2.c: thirty-two bytes at a time. UTF-8 by the range look-up of Keiser and Lemire ("Validating UTF-8
 * in less than one instruction per byte", 2021): every pair of neighbours is classified by three 16-entry tables
 * (high nibble and low nibble of the first byte, high nibble of the second); a bit that survives the AND of the
 * three names an error. */
#include "ws/simd.h"
#include "ws/mask.h"
#include "ws/utf8.h"
#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }

AVX2 static void mask_avx2(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]) {
    int k32;
    memcpy(&k32, key, 4);
    __m256i k = _mm256_set1_epi32(k32);
    size_t i = 0;
    for (; len - i >= 32; i += 32)
        _mm256_storeu_si256((__m256i *)(void *)(dst + i), _mm256_xor_si256(load(src + i), k));
    xw_ws_mask_scalar(dst + i, src + i, len - i, key);
}

AVX2 static size_t ascii_avx2(const uint8_t *p, size_t len) {
    size_t i = 0;
    for (; len - i >= 32; i += 32) {
        int high = _mm256_movemask_epi8(load(p + i));
        if (high)
            return i + (size_t)__builtin_ctz((unsigned)high);
    }
    return i + xw_ws_ascii_scalar(p + i, len - i);
}

/* Errors that a pair of bytes can show. Pairs are (previous, current). */
enum {
    SHORT = 1,       /* lead, then not a continuation */
    LONG = 2,        /* ASCII, then a continuation */
    OVER3 = 4,       /* e0, then 80..9f */
    LARGE = 8,       /* f4, then 90..bf; f5 and above */
    SURR = 16,       /* ed, then a0..bf */
    OVER2 = 32,      /* c0, c1 */
    LARGE1000 = 64,  /* f5 and above, then 80..8f */
    OVER4 = 64,      /* f0, then 80..8f: shares its bit, the first byte tells the two apart */
    CONTS = -128,    /* two continuations: wrong unless the byte two or three before the second asks for it */
    ANY_LOW = SHORT | LONG | CONTS
};
#define TABLE(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)

AVX2 static inline __m256i first_high(__m256i nibble) {
    __m256i t = TABLE(LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG, CONTS, CONTS, CONTS, CONTS,
                      SHORT | OVER2, SHORT, SHORT | OVER3 | SURR, SHORT | LARGE | LARGE1000 | OVER4);
    return _mm256_shuffle_epi8(t, nibble);
}

AVX2 static inline __m256i first_low(__m256i nibble) {
    enum { BIG = ANY_LOW | LARGE | LARGE1000 };
    __m256i t = TABLE(ANY_LOW | OVER2 | OVER3 | OVER4, ANY_LOW | OVER2, ANY_LOW, ANY_LOW, ANY_LOW | LARGE,
                      BIG, BIG, BIG, BIG, BIG, BIG, BIG, BIG, BIG | SURR, BIG, BIG);
    return _mm256_shuffle_epi8(t, nibble);
}

AVX2 static inline __m256i second_high(__m256i nibble) {
    enum { CONT = LONG | OVER2 | CONTS };
    __m256i t = TABLE(SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, CONT | OVER3 | LARGE1000 | OVER4,
                      CONT | OVER3 | LARGE, CONT | SURR | LARGE, CONT | SURR | LARGE, SHORT, SHORT, SHORT, SHORT);
    return _mm256_shuffle_epi8(t, nibble);
}

/* Non-zero bytes where cur, following prev, is wrong. */
AVX2 static inline __m256i errors(__m256i cur, __m256i prev) {
    __m256i low4 = _mm256_set1_epi8(0x0f);
    __m256i joint = _mm256_permute2x128_si256(prev, cur, 0x21); /* high lane of prev, low lane of cur */
    __m256i p1 = _mm256_alignr_epi8(cur, joint, 15);
    __m256i p2 = _mm256_alignr_epi8(cur, joint, 14);
    __m256i p3 = _mm256_alignr_epi8(cur, joint, 13);
    __m256i pair = _mm256_and_si256(first_high(_mm256_and_si256(_mm256_srli_epi16(p1, 4), low4)),
                                    first_low(_mm256_and_si256(p1, low4)));
    pair = _mm256_and_si256(pair, second_high(_mm256_and_si256(_mm256_srli_epi16(cur, 4), low4)));
    /* top bit set: a lead of three two bytes before, or of four three before, asks for a second continuation here */
    __m256i third = _mm256_subs_epu8(p2, _mm256_set1_epi8(0xe0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(p3, _mm256_set1_epi8(0xf0 - 0x80));
    __m256i asked = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(CONTS));
    return _mm256_xor_si256(asked, pair);
}

AVX2 static size_t utf8_avx2(const uint8_t *p, size_t len, unsigned *tail) {
    size_t i = ascii_avx2(p, len) & ~(size_t)31;
    __m256i prev = _mm256_setzero_si256();
    for (; len - i >= 32; i += 32) {
        __m256i cur = load(p + i);
        __m256i bad = errors(cur, prev);
        if (!_mm256_testz_si256(bad, bad))
            break;
        prev = cur;
    }
    return xw_ws_utf8_from(p, i, len, tail);
}

const struct xw_ws_simd xw_ws_simd_avx2 = { .name = "avx2", .mask = mask_avx2, .ascii = ascii_avx2, .utf8 = utf8_avx2 };
#endif
