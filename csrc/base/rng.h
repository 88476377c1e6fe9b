/* base/rng.h: the engine's only source of randomness, seeded once (getrandom in production, a constant in tests).
 *
 * ChaCha20 in counter mode (RFC 8439 block function, 64-bit counter), so that WebSocket masks, ISN keys and ports
 * cannot be predicted by a peer (RFC 6455 10.3, RFC 6528). A block of 64 bytes is made at a time. */
#ifndef XW_BASE_RNG_H
#define XW_BASE_RNG_H
#include <stddef.h>
#include <stdint.h>

struct xw_rng {
    uint32_t state[16];
    uint8_t block[64];
    uint32_t used; /* bytes of block already given out; 64: make the next */
};

void xw_rng_init(struct xw_rng *r, const uint8_t seed[32]);
uint32_t xw_rng_u32(struct xw_rng *r);
uint64_t xw_rng_u64(struct xw_rng *r);
/* xw_rng_below: uniform in [0, n); n must not be 0. */
uint32_t xw_rng_below(struct xw_rng *r, uint32_t n);
void xw_rng_fill(struct xw_rng *r, void *dst, size_t len);

/* xw_siphash24: SipHash-2-4 of len bytes under a 128-bit key (two little-endian words). */
uint64_t xw_siphash24(const uint64_t key[2], const void *data, size_t len);
#endif
