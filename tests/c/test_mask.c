/* Masking: every row against the definition of RFC 6455 5.3, over every length, alignment and split. */
#include "ws/mask.h"
#include "ws/simd.h"
#include "xt.h"

static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d };

static void fill(uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 31 + 7);
}

XT_TEST(the_example_of_rfc6455) {
    static const uint8_t want[5] = { 0x7f, 0x9f, 0x4d, 0x51, 0x58 };
    uint8_t got[5];
    xw_ws_mask_scalar(got, (const uint8_t *)"Hello", 5, key);
    XT_MEM(got, want, 5);
}

/* Lengths 0 … 512, sources at 0 … 63, destinations elsewhere: what lies around is untouched. */
XT_TEST(every_length_and_alignment) {
    static uint8_t src[600], dst[640], want[640];
    const struct xw_ws_simd *row;
    fill(src, sizeof src);
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++)
        for (size_t len = 0; len <= 512; len++)
            for (size_t off = 0; off < 64; off++) {
                size_t to = (off * 7) % 61;
                memset(dst + to, 0xee, len + 60);
                memset(want + to, 0xee, len + 60);
                for (size_t i = 0; i < len; i++)
                    want[to + i] = src[off + i] ^ key[i % 4];
                row->mask(dst + to, src + off, len, key);
                XT_MEM(dst + to, want + to, len + 60);
            }
    XT_EQ(dst[639], 0);
}

/* Nothing before the begin or behind the end is read or written: both lie at the border of what is mapped (to the
 * sanitizer: of what was allocated). */
XT_TEST(nothing_beyond_the_ends) {
    const struct xw_ws_simd *row;
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++)
        for (size_t len = 1; len <= 200; len++) {
            uint8_t *src = malloc(len), *dst = malloc(len);
            XT_TRUE(src && dst);
            fill(src, len);
            row->mask(dst, src, len, key);
            for (size_t i = 0; i < len; i++)
                XT_EQ(dst[i], src[i] ^ key[i % 4]);
            free(src);
            free(dst);
        }
}

XT_TEST(in_place_twice_is_nothing) {
    uint8_t buf[600], want[600];
    const struct xw_ws_simd *row;
    fill(want, sizeof want);
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++)
        for (size_t len = 0; len <= 512; len++) {
            fill(buf, sizeof buf);
            row->mask(buf + 3, buf + 3, len, key);
            for (size_t i = 0; i < len; i++)
                XT_EQ(buf[3 + i], want[3 + i] ^ key[i % 4]);
            row->mask(buf + 3, buf + 3, len, key);
            XT_MEM(buf, want, sizeof want);
        }
}

XT_TEST(split_at_every_offset) {
    uint8_t src[300], whole[300], parts[300], k[4];
    const struct xw_ws_simd *row;
    fill(src, sizeof src);
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++) {
        row->mask(whole, src, sizeof src, key);
        for (size_t cut = 0; cut <= sizeof src; cut++) {
            row->mask(parts, src, cut, key);
            xw_ws_mask_at(k, key, cut);
            row->mask(parts + cut, src + cut, sizeof src - cut, k);
            XT_MEM(parts, whole, sizeof whole);
        }
    }
}

XT_TEST(rows_are_named_and_the_best_is_the_last) {
#ifdef __x86_64__
    static const char *const names[] = { "scalar", "sse2", "avx2", "avx512" };
    unsigned want = !__builtin_cpu_supports("avx2") ? 2 : !__builtin_cpu_supports("avx512vbmi") ? 3 : 4;
#else
    static const char *const names[] = { "scalar", "neon" };
    unsigned want = 2;
#endif
    for (unsigned n = 0; n < want; n++)
        XT_STR(xw_ws_simd_row(n)->name, names[n]);
    XT_TRUE(!xw_ws_simd_row(want) && xw_ws_simd_best() == xw_ws_simd_row(want - 1));
}

XT_MAIN(XT_RUN(the_example_of_rfc6455), XT_RUN(every_length_and_alignment), XT_RUN(nothing_beyond_the_ends),
        XT_RUN(in_place_twice_is_nothing),
        XT_RUN(split_at_every_offset), XT_RUN(rows_are_named_and_the_best_is_the_last))
