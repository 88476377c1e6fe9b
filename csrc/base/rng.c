/* base/rng.c: ChaCha20 generator and SipHash-2-4. Both are checked against published vectors in tests/c/test_rng.c. */
#include "base/rng.h"
#include "base/assert.h"
#include <string.h>

static uint64_t rotl64(uint64_t v, unsigned n) { return (v << n) | (v >> (64u - n)); }

static uint32_t load32_le(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* A row of the state: its four columns are worked on at once (compilers make SSE2 or NEON of it). */
typedef uint32_t row __attribute__((vector_size(16)));

static row rotl_row(row v, unsigned n) { return (v << n) | (v >> (32u - n)); }

/* Moves the columns of a row to the left: columns become diagonals and back. */
#define TURN(v, i, j, k, l) __builtin_shufflevector(v, v, i, j, k, l)

static inline void quarters(row *a, row *b, row *c, row *d) {
    *a += *b; *d = rotl_row(*d ^ *a, 16);
    *c += *d; *b = rotl_row(*b ^ *c, 12);
    *a += *b; *d = rotl_row(*d ^ *a, 8);
    *c += *d; *b = rotl_row(*b ^ *c, 7);
}

/* RFC 8439 2.3, but words 12 and 13 form one 64-bit counter: 2^70 bytes before it repeats. */
static void next_block(struct xw_rng *r) {
    row s[4], a, b, c, d;
    memcpy(s, r->state, sizeof s);
    a = s[0], b = s[1], c = s[2], d = s[3];
    for (int i = 0; i < 10; i++) {
        quarters(&a, &b, &c, &d);
        b = TURN(b, 1, 2, 3, 0), c = TURN(c, 2, 3, 0, 1), d = TURN(d, 3, 0, 1, 2);
        quarters(&a, &b, &c, &d);
        b = TURN(b, 3, 0, 1, 2), c = TURN(c, 2, 3, 0, 1), d = TURN(d, 1, 2, 3, 0);
    }
    s[0] += a, s[1] += b, s[2] += c, s[3] += d;
    for (unsigned i = 0; i < 16; i++) {
        uint32_t v = s[i / 4][i % 4];
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        v = __builtin_bswap32(v);
#endif
        memcpy(r->block + 4 * i, &v, sizeof v);
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
    if (len == 4 && r->used + 4 <= sizeof r->block) { /* the mask of a frame */
        memcpy(p, r->block + r->used, 4);
        memset(r->block + r->used, 0, 4);
        r->used += 4;
        return;
    }
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
