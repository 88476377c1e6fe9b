/* wire/checksum.c: 32-bit words into a 64-bit sum; ones' complement addition does not care about byte order (RFC 1071 2(B)),
 * so words are taken as the machine loads them and the result is swapped once. */
#include "wire/checksum_priv.h"
#include <string.h>

static inline uint64_t word(const uint8_t *p) {
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* A 64-bit word is two 32-bit ones side by side; each is summed apart, in four sums that do not wait for each other. */
uint64_t xw_csum_add_scalar(uint64_t sum, const void *data, size_t len) {
    const uint8_t *p = data;
    const uint64_t low = 0xffffffffu;
    uint64_t a = 0, b = 0, c = 0;
    for (; len >= 16; p += 16, len -= 16) {
        uint64_t v = word(p), w = word(p + 8);
        sum += v & low;
        a += v >> 32;
        b += w & low;
        c += w >> 32;
    }
    sum += a + b + c;
    for (; len >= 4; p += 4, len -= 4) {
        uint32_t w;
        memcpy(&w, p, sizeof w);
        sum += w; /* 2^32 words fit: far above any packet */
    }
    if (len) {
        uint32_t w = 0;
        memcpy(&w, p, len); /* a missing last byte counts as 0 */
        sum += w;
    }
    return sum;
}

uint64_t xw_csum_add(uint64_t sum, const void *data, size_t len) {
#ifdef __x86_64__
    if (len >= XW_CSUM_VECTOR_MIN && __builtin_cpu_supports("avx2")) {
        size_t whole = len / XW_CSUM_BLOCK;
        sum = xw_csum_blocks_avx2(sum, data, whole);
        data = (const uint8_t *)data + whole * XW_CSUM_BLOCK;
        len %= XW_CSUM_BLOCK;
    }
#endif
    return xw_csum_add_scalar(sum, data, len);
}

/* The words as they would be loaded from the header. */
uint64_t xw_csum_pseudo(uint32_t src, uint32_t dst, uint8_t proto, uint32_t len) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (uint64_t)__builtin_bswap32(src) + __builtin_bswap32(dst) + ((uint32_t)proto << 8) +
           __builtin_bswap16((uint16_t)len);
#else
    return (uint64_t)src + dst + proto + (uint16_t)len;
#endif
}

uint16_t xw_csum_fold(uint64_t sum) {
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffffu) + (sum >> 16 & 0xffffu) + (sum >> 32);
    sum = (sum & 0xffffu) + (sum >> 16);
    sum += sum >> 16; /* a carry of the last fold; what is above 16 bits is cut off */
    uint16_t folded = (uint16_t)~sum;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (uint16_t)(folded << 8 | folded >> 8);
#else
    return folded;
#endif
}
