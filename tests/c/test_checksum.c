/* wire/checksum.c against RFC 1071's example, a plain 16-bit loop, and sums in parts. */
#include "wire/checksum_priv.h"
#include "xt.h"

static uint16_t plain(const uint8_t *p, size_t len) {
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

XT_TEST(rfc1071_example) {
    static const uint8_t words[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
    XT_EQ(xw_csum_fold(xw_csum_add(0, words, sizeof words)), 0xffff & ~0xddf2);
}

XT_TEST(every_length_and_offset) {
    uint8_t buf[200];
    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)(i * 37 + 11);
    for (size_t off = 0; off < 8; off++)
        for (size_t len = 0; off + len <= sizeof buf; len++)
            XT_EQ(xw_csum_fold(xw_csum_add(0, buf + off, len)), plain(buf + off, len));
}

XT_TEST(vectors_and_the_scalar_loop_agree) {
    static uint8_t buf[4096];
    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)(i * i * 7 + i);
    for (size_t len = 0; len < sizeof buf; len += len < 300 ? 1 : 61) {
        XT_EQ(xw_csum_fold(xw_csum_add(5, buf + len % 3, len)), xw_csum_fold(xw_csum_add_scalar(5, buf + len % 3, len)));
#ifdef __x86_64__
        if (__builtin_cpu_supports("avx2"))
            XT_EQ(xw_csum_fold(xw_csum_blocks_avx2(9, buf, len / 32)), xw_csum_fold(xw_csum_add_scalar(9, buf, len / 32 * 32)));
#endif
    }
}

XT_TEST(folding_carries) {
    static const uint64_t sums[] = { 0, 0xffff, 0x10000, 0x1ffff, 0xffffffff, 0x100000000, 0xffffffffffff, 0xffff0001fffe,
                                     0xffffffffffffffff, 0x1fffeffff };
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        uint64_t v = sums[i];
        while (v >> 16)
            v = (v & 0xffff) + (v >> 16);
        uint16_t want = (uint16_t)~v;
        XT_EQ(xw_csum_fold(sums[i]), (uint16_t)(want << 8 | want >> 8));
    }
}

XT_TEST(parts_of_even_length_add_up) {
    uint8_t buf[61];
    memset(buf, 0xff, sizeof buf);
    for (size_t cut = 0; cut <= sizeof buf; cut += 2) {
        uint64_t sum = xw_csum_add(xw_csum_add(0, buf, cut), buf + cut, sizeof buf - cut);
        XT_EQ(xw_csum_fold(sum), plain(buf, sizeof buf));
    }
}

XT_TEST(carries_of_a_long_range) {
    static uint8_t buf[65535];
    memset(buf, 0xff, sizeof buf);
    XT_EQ(xw_csum_fold(xw_csum_add(0, buf, sizeof buf)), plain(buf, sizeof buf));
}

XT_TEST(pseudo_header) {
    /* 10.1.2.3 → 192.168.255.254, TCP, length 0x1234 */
    static const uint8_t pseudo[] = { 10, 1, 2, 3, 192, 168, 255, 254, 0, 6, 0x12, 0x34 };
    XT_EQ(xw_csum_fold(xw_csum_pseudo(0x0a010203, 0xc0a8fffe, 6, 0x1234)), plain(pseudo, sizeof pseudo));
}

XT_TEST(own_checksum_folds_to_zero) {
    uint8_t hdr[20] = { 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2 };
    uint16_t sum = xw_csum_fold(xw_csum_add(0, hdr, sizeof hdr));
    hdr[10] = (uint8_t)(sum >> 8);
    hdr[11] = (uint8_t)sum;
    XT_EQ(xw_csum_fold(xw_csum_add(0, hdr, sizeof hdr)), 0);
    hdr[19] ^= 1;
    XT_TRUE(xw_csum_fold(xw_csum_add(0, hdr, sizeof hdr)) != 0);
}

XT_MAIN(XT_RUN(rfc1071_example), XT_RUN(every_length_and_offset), XT_RUN(vectors_and_the_scalar_loop_agree), XT_RUN(folding_carries),
        XT_RUN(parts_of_even_length_add_up),
        XT_RUN(carries_of_a_long_range), XT_RUN(pseudo_header), XT_RUN(own_checksum_folds_to_zero))
