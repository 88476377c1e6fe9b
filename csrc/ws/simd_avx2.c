/* ws/simd_avx2.c: thirty-two bytes at a time; UTF-8 as ws/simd_utf8.h says. */
#include "ws/simd.h"
#include "ws/mask.h"
#include "ws/utf8.h"
#ifdef __x86_64__
#include "ws/simd_utf8.h"
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
AVX2 static inline void store(uint8_t *p, __m256i v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }

AVX2 static inline __m256i key_at(const uint8_t key[4], size_t off) {
    return _mm256_set1_epi32((int)xw_ws_mask_word(key, off));
}

/* 16 to 31 bytes: two blocks that may overlap, both read before either is written. */
AVX2 static inline void mask_two(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]) {
    const uint8_t *end = src + len - 16;
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)src), b = _mm_loadu_si128((const __m128i *)(const void *)end);
    a = _mm_xor_si128(a, _mm_set1_epi32((int)xw_ws_mask_word(key, 0)));
    b = _mm_xor_si128(b, _mm_set1_epi32((int)xw_ws_mask_word(key, len)));
    _mm_storeu_si128((__m128i *)(void *)dst, a);
    _mm_storeu_si128((__m128i *)(void *)(dst + len - 16), b);
}

AVX2 static void mask_avx2(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]) {
    if (len < 16) {
        xw_ws_mask_scalar(dst, src, len, key);
        return;
    }
    if (len < 32) {
        mask_two(dst, src, len, key);
        return;
    }
    /* the last block overlaps what the loop writes: it is read before it, for dst may be src */
    __m256i k = key_at(key, 0), last = _mm256_xor_si256(load(src + len - 32), key_at(key, len));
    for (size_t i = 0; len - i > 32; i += 32)
        store(dst + i, _mm256_xor_si256(load(src + i), k));
    store(dst + len - 32, last);
}

AVX2 static size_t ascii_avx2(const uint8_t *p, size_t len) {
    size_t i = 0;
    unsigned high;
    if (len < 32)
        return xw_ws_ascii_scalar(p, len);
    for (; len - i >= 128; i += 128) {
        __m256i low = _mm256_or_si256(load(p + i), load(p + i + 32));
        __m256i up = _mm256_or_si256(load(p + i + 64), load(p + i + 96));
        if (_mm256_movemask_epi8(_mm256_or_si256(low, up)))
            break;
    }
    for (; len - i >= 32; i += 32)
        if ((high = (unsigned)_mm256_movemask_epi8(load(p + i))))
            return i + (size_t)__builtin_ctz(high);
    high = (unsigned)_mm256_movemask_epi8(load(p + len - 32));
    return high ? len - 32 + (size_t)__builtin_ctz(high) : len;
}

#define TWICE(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))
#define S(x) ((char)(x))
#define TABLE_OF(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) \
    TWICE(S(a), S(b), S(c), S(d), S(e), S(f), S(g), S(h), S(i), S(j), S(k), S(l), S(m), S(n), S(o), S(p))
#define TABLE(list) TABLE_OF(list)

/* Non-zero bytes where cur, following prev, is wrong. */
AVX2 static inline __m256i errors(__m256i cur, __m256i prev) {
    __m256i low4 = _mm256_set1_epi8(0x0f);
    __m256i joint = _mm256_permute2x128_si256(prev, cur, 0x21); /* high lane of prev, low lane of cur */
    __m256i p1 = _mm256_alignr_epi8(cur, joint, 15);
    __m256i p2 = _mm256_alignr_epi8(cur, joint, 14);
    __m256i p3 = _mm256_alignr_epi8(cur, joint, 13);
    __m256i pair = _mm256_and_si256(
        _mm256_shuffle_epi8(TABLE(FIRST_HIGH), _mm256_and_si256(_mm256_srli_epi16(p1, 4), low4)),
        _mm256_shuffle_epi8(TABLE(FIRST_LOW), _mm256_and_si256(p1, low4)));
    pair = _mm256_and_si256(
        pair, _mm256_shuffle_epi8(TABLE(SECOND_HIGH), _mm256_and_si256(_mm256_srli_epi16(cur, 4), low4)));
    __m256i third = _mm256_subs_epu8(p2, _mm256_set1_epi8(S(ASKS_THIRD)));
    __m256i fourth = _mm256_subs_epu8(p3, _mm256_set1_epi8(S(ASKS_FOURTH)));
    __m256i asked = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(S(CONTS)));
    return _mm256_xor_si256(asked, pair);
}

AVX2 static inline int wrong(__m256i cur, __m256i prev) {
    __m256i bad = errors(cur, prev);
    return !_mm256_testz_si256(bad, bad);
}

/* Not all of it is ASCII, but p[0, i) is. */
AVX2 __attribute__((noinline)) static size_t mixed(const uint8_t *p, size_t i, size_t len, unsigned *tail) {
    uint8_t rest[32] = { 0 };
    __m256i prev = _mm256_setzero_si256();
    for (i &= ~(size_t)31; len - i >= 32; i += 32) {
        __m256i cur = load(p + i);
        if (wrong(cur, prev))
            return xw_ws_utf8_from(p, i, len, tail);
        prev = cur;
    }
    if (i < len)
        memcpy(rest, p + i, len - i);
    /* zeros behind the end: an unfinished character shows as an error */
    return wrong(load(rest), prev) ? xw_ws_utf8_from(p, i, len, tail) : len;
}

AVX2 static size_t utf8_avx2(const uint8_t *p, size_t len, unsigned *tail) {
    size_t i = ascii_avx2(p, len);
    *tail = 0;
    return i == len ? len : mixed(p, i, len, tail);
}

const struct xw_ws_simd xw_ws_simd_avx2 = { .name = "avx2", .mask = mask_avx2, .ascii = ascii_avx2, .utf8 = utf8_avx2 };
#endif
