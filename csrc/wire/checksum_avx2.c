/* wire/checksum_avx2.c: the sum of checksum.c in four lanes: the two halves of each 64-bit word are added apart. */
#ifdef __x86_64__
#include "wire/checksum_priv.h"
#include <immintrin.h>

__attribute__((target("avx2"))) uint64_t xw_csum_blocks_avx2(uint64_t sum, const uint8_t *p, size_t blocks) {
    const __m256i low = _mm256_set1_epi64x(0xffffffff);
    __m256i a = _mm256_setzero_si256(), b = a;
    for (; blocks; blocks--, p += XW_CSUM_BLOCK) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
        a = _mm256_add_epi64(a, _mm256_and_si256(v, low));
        b = _mm256_add_epi64(b, _mm256_srli_epi64(v, 32));
    }
    a = _mm256_add_epi64(a, b);
    __m128i h = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    return sum + (uint64_t)_mm_extract_epi64(h, 0) + (uint64_t)_mm_extract_epi64(h, 1);
}
#else
typedef int xw_no_avx2; /* a file must not be empty */
#endif
