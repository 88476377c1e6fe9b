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

XT_TEST(every_length_and_alignment) {
    uint8_t src[300], dst[300], want[300];
    const struct xw_ws_simd *row;
    fill(src, sizeof src);
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++)
        for (size_t len = 0; len < 200; len++)
            for (size_t off = 0; off < 34; off++) {
                size_t to = (off * 7) % 33;
                memset(dst, 0xee, sizeof dst);
                memset(want, 0xee, sizeof want);
                for (size_t i = 0; i < len; i++)
                    want[to + i] = src[off + i] ^ key[i % 4];
                row->mask(dst + to, src + off, len, key);
                XT_MEM(dst, want, sizeof want);
            }
}

XT_TEST(in_place_twice_is_nothing) {
    uint8_t buf[200], want[200];
    const struct xw_ws_simd *row;
    fill(want, sizeof want);
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++)
        for (size_t len = 0; len <= 150; len++) {
            fill(buf, sizeof buf);
            row->mask(buf + 3, buf + 3, len, key);
            XT_TRUE(!len || buf[3] != want[3]);
            row->mask(buf + 3, buf + 3, len, key);
            XT_MEM(buf, want, sizeof want);
        }
}

XT_TEST(split_at_every_offset) {
    uint8_t src[100], whole[100], parts[100], k[4];
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
    unsigned n = 0;
    XT_STR(xw_ws_simd_row(0)->name, "scalar");
    while (xw_ws_simd_row(n + 1))
        n++;
    XT_TRUE(xw_ws_simd_best() == xw_ws_simd_row(n));
}

XT_MAIN(XT_RUN(the_example_of_rfc6455), XT_RUN(every_length_and_alignment), XT_RUN(in_place_twice_is_nothing),
        XT_RUN(split_at_every_offset), XT_RUN(rows_are_named_and_the_best_is_the_last))
