#include "base/rng.h"
#include "xt.h"

/* First block of the ChaCha20 key stream for an all-zero key and nonce (RFC 8439 A.1, test vector 1). */
XT_TEST(chacha_block_is_rfc8439) {
    static const uint8_t want[16] = { 0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28 };
    uint8_t seed[32] = { 0 }, got[16];
    struct xw_rng r;
    xw_rng_init(&r, seed);
    xw_rng_fill(&r, got, sizeof got);
    XT_MEM(got, want, sizeof want);
}

/* Reference vectors of the SipHash paper: key 00..0f, input 00..n-1. */
XT_TEST(siphash_is_the_papers) {
    uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
    uint8_t in[16];
    for (unsigned i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)i;
    XT_TRUE(xw_siphash24(key, in, 0) == 0x726fdb47dd0e0e31u);
    XT_TRUE(xw_siphash24(key, in, 15) == 0xa129ca6149be45e5u);
}

XT_TEST(below_stays_below_and_reaches_all) {
    uint8_t seed[32] = { 1 };
    struct xw_rng r;
    unsigned seen[7] = { 0 };
    xw_rng_init(&r, seed);
    for (int i = 0; i < 1000; i++)
        seen[xw_rng_below(&r, 7)]++;
    for (int i = 0; i < 7; i++)
        XT_TRUE(seen[i] > 90 && seen[i] < 200);
}

XT_TEST(same_seed_same_stream_in_any_chunking) {
    uint8_t seed[32] = { 9 }, a[300], b[300];
    struct xw_rng r;
    xw_rng_init(&r, seed);
    xw_rng_fill(&r, a, sizeof a);
    xw_rng_init(&r, seed);
    for (size_t i = 0, n = 1; i < sizeof b; i += n, n = n % 7 + 1)
        xw_rng_fill(&r, b + i, n > sizeof b - i ? sizeof b - i : n);
    XT_MEM(a, b, sizeof a);
}

XT_MAIN(XT_RUN(chacha_block_is_rfc8439), XT_RUN(siphash_is_the_papers), XT_RUN(below_stays_below_and_reaches_all),
        XT_RUN(same_seed_same_stream_in_any_chunking))
