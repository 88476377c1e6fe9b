/* base/rng.c: ChaCha20 generator and SipHash-2-4. Both are checked against published vectors in tests/c/test_rng.c. */
#include "base/rng.h"
#include "base/assert.h"
#include <string.h>

static uint32_t rotl32(uint32_t v, unsigned n) { return (v << n) | (v >> (32u - n)); }
static uint64_t rotl64(uint64_t v, unsigned n) { return (v << n) | (v >> (64u - n)); }

static uint32_t load32_le(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void quarter(uint32_t *x, unsigned a, unsigned b, unsigned c, unsigned d) {
    x[a] += x[b]; x[d] = rotl32(x[d] ^ x[a], 16);
    x[c] += x[d]; x[b] = rotl32(x[b] ^ x[c], 12);
    x[a] += x[b]; x[d] = rotl32(x[d] ^ x[a], 8);
    x[c] += x[d]; x[b] = rotl32(x[b] ^ x[c], 7);
}

/* RFC 8439 2.3, but words 12 and 13 form one 64-bit counter: 2^70 bytes before it repeats. */
static void next_block(struct xw_rng *r) {
    uint32_t x[16];
    memcpy(x, r->state, sizeof x);
    for (int i = 0; i < 10; i++) {
        quarter(x, 0, 4, 8, 12); quarter(x, 1, 5, 9, 13); quarter(x, 2, 6, 10, 14); quarter(x, 3, 7, 11, 15);
        quarter(x, 0, 5, 10, 15); quarter(x, 1, 6, 11, 12); quarter(x, 2, 7, 8, 13); quarter(x, 3, 4, 9, 14);
    }
    for (unsigned i = 0; i < 16; i++) {
        uint32_t v = x[i] + r->state[i];
        for (unsigned b = 0; b < 4; b++)
            r->block[4 * i + b] = (uint8_t)(v >> (8 * b));
    }
    if (++r->state[12] == 0)
        r->state[13]++;
    r->used = 0;
}

void xw_rng_init(struct xw_rng *r, const uint8_t seed[32]) {
    static const uint32_t sigma[4] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };
    memcpy(r->state, sigma, sizeof sigma);
    for (unsigned i = 0; i < 8; i++)
        r->state[4 + i] = load32_le(seed + 4 * i);
    memset(r->state + 12, 0, 4 * sizeof r->state[0]);
    r->used = sizeof r->block;
}

void xw_rng_fill(struct xw_rng *r, void *dst, size_t len) {
    uint8_t *p = dst;
    while (len) {
        if (r->used == sizeof r->block)
            next_block(r);
        size_t n = sizeof r->block - r->used;
        if (n > len)
            n = len;
        memcpy(p, r->block + r->used, n);
        memset(r->block + r->used, 0, n); /* what was given out cannot be read back later */
        r->used += (uint32_t)n;
        p += n;
        len -= n;
    }
}

uint32_t xw_rng_u32(struct xw_rng *r) {
    uint8_t b[4];
    xw_rng_fill(r, b, sizeof b);
    return load32_le(b);
}

uint64_t xw_rng_u64(struct xw_rng *r) {
    uint64_t lo = xw_rng_u32(r);
    return lo | (uint64_t)xw_rng_u32(r) << 32;
}

/* Rejection of the incomplete last interval keeps it uniform. */
uint32_t xw_rng_below(struct xw_rng *r, uint32_t n) {
    XW_ASSERT(n != 0);
    uint32_t floor = (0u - n) % n;
    uint32_t v;
    do
        v = xw_rng_u32(r);
    while (v < floor);
    return v % n;
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1]; v[1] = rotl64(v[1], 13); v[1] ^= v[0]; v[0] = rotl64(v[0], 32);
    v[2] += v[3]; v[3] = rotl64(v[3], 16); v[3] ^= v[2];
    v[0] += v[3]; v[3] = rotl64(v[3], 21); v[3] ^= v[0];
    v[2] += v[1]; v[1] = rotl64(v[1], 17); v[1] ^= v[2]; v[2] = rotl64(v[2], 32);
}

uint64_t xw_siphash24(const uint64_t key[2], const void *data, size_t len) {
    const uint8_t *p = data;
    uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                      key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
    uint64_t tail = (uint64_t)len << 56;
    size_t whole = len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t m = (uint64_t)load32_le(p + i) | (uint64_t)load32_le(p + i + 4) << 32;
        v[3] ^= m; sip_round(v); sip_round(v); v[0] ^= m;
    }
    for (size_t i = whole; i < len; i++)
        tail |= (uint64_t)p[i] << (8 * (i - whole));
    v[3] ^= tail; sip_round(v); sip_round(v); v[0] ^= tail;
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
