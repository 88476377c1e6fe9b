/* UTF-8: every row against the ABNF of RFC 3629 taken literally, at every split, length and offset. */
#include "base/rng.h"
#include "ws/utf8.h"
#include "xt.h"

struct form { unsigned n; uint8_t r[8]; };
/* RFC 3629 section 4, one row per alternative: ranges of byte 1 … n. */
static const struct form forms[] = {
    { 1, { 0x00, 0x7f } }, { 2, { 0xc2, 0xdf, 0x80, 0xbf } }, { 3, { 0xe0, 0xe0, 0xa0, 0xbf, 0x80, 0xbf } },
    { 3, { 0xe1, 0xec, 0x80, 0xbf, 0x80, 0xbf } }, { 3, { 0xed, 0xed, 0x80, 0x9f, 0x80, 0xbf } },
    { 3, { 0xee, 0xef, 0x80, 0xbf, 0x80, 0xbf } }, { 4, { 0xf0, 0xf0, 0x90, 0xbf, 0x80, 0xbf, 0x80, 0xbf } },
    { 4, { 0xf1, 0xf3, 0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf } }, { 4, { 0xf4, 0xf4, 0x80, 0x8f, 0x80, 0xbf, 0x80,
      0xbf } },
};

/* How many bytes at p fit the row, at most len. */
static unsigned fits(const struct form *f, const uint8_t *p, size_t len) {
    unsigned k = 0;
    while (k < f->n && k < len && p[k] >= f->r[2 * k] && p[k] <= f->r[2 * k + 1])
        k++;
    return k;
}

/* Index of the first bad byte or len; *tail: bytes of an unfinished character. */
static size_t oracle(const uint8_t *p, size_t len, unsigned *tail) {
    size_t i = 0;
    *tail = 0;
    while (i < len) {
        unsigned best = 0, n = 0;
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
            unsigned k = fits(&forms[f], p + i, len - i);
            if (k > best) {
                best = k;
                n = forms[f].n;
            }
        }
        if (best < n && i + best == len) {
            *tail = best;
            return len;
        }
        if (!best || best < n)
            return i + best;
        i += n;
    }
    return len;
}

static void check_all(const uint8_t *p, size_t len) {
    const struct xw_ws_simd *row;
    unsigned want_tail, tail;
    size_t want = oracle(p, len, &want_tail);
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++) {
        size_t got = row->utf8(p, len, &tail);
        if (got != want || (want == len && tail != want_tail))
            XT_FAIL("%s: len %zu: %zu tail %u, not %zu tail %u", row->name, len, got, tail, want, want_tail);
    }
}

/* A sequence placed at every offset around block borders, followed by ASCII or nothing. */
static void place(const uint8_t *seq, size_t n) {
    uint8_t buf[200];
    for (size_t at = 0; at < 134; at += at == 69 ? 51 : 1) {
        memset(buf, 'a', sizeof buf);
        memcpy(buf + at, seq, n);
        check_all(buf, at + n);
        check_all(buf, sizeof buf);
        check_all(buf + 1, at + n ? at + n - 1 : 0);
    }
}

XT_TEST(all_pairs_of_bytes_at_all_offsets) {
    for (unsigned a = 0x78; a < 256; a += a < 0xc0 ? 9 : 1)
        for (unsigned b = 0x70; b < 256; b += 3) {
            uint8_t seq[2] = { (uint8_t)a, (uint8_t)b };
            place(seq, 2);
        }
}

/* Lengths 0 … 512 at addresses 0 … 63: ASCII, and text with one four-byte character whole, cut and spoiled at the end. */
XT_TEST(every_length_and_alignment) {
    static uint8_t mem[640];
    static const uint8_t last[4] = { 0xf0, 0x9f, 0x92, 0xa9 };
    const struct xw_ws_simd *row;
    unsigned tail;
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++)
        for (size_t len = 0; len <= 512; len++)
            for (size_t off = 0; off < 64; off++) {
                uint8_t *p = mem + off;
                memset(p - (off ? 1 : 0), 0x80, len + 2); /* what lies around is wrong */
                memset(p, 'z', len);
                XT_EQ(row->ascii(p, len), len);
                XT_EQ(row->utf8(p, len, &tail), len);
                XT_EQ(tail, 0);
                for (unsigned k = 1; k <= 4 && k <= len; k++) {
                    memcpy(p + len - k, last, k);
                    XT_EQ(row->ascii(p, len), len - k);
                    XT_EQ(row->utf8(p, len, &tail), len);
                    XT_EQ(tail, k % 4);
                }
                if (len) {
                    p[len - 1] = 0xff;
                    XT_EQ(row->utf8(p, len, &tail), len - 1);
                }
            }
}

XT_TEST(all_three_byte_beginnings) {
    uint8_t buf[40];
    static const uint8_t third[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0xbf, 0xc0, 0xe1, 0xff };
    memset(buf, 'x', sizeof buf);
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++)
            for (size_t c = 0; c < sizeof third; c++) {
                buf[30] = (uint8_t)a; buf[31] = (uint8_t)b; buf[32] = third[c];
                check_all(buf, 33);
                check_all(buf, 40);
                check_all(buf + 30, 3);
            }
}

XT_TEST(four_byte_forms_at_block_borders) {
    static const uint8_t seqs[][4] = {
        { 0xf0, 0x90, 0x80, 0x80 }, { 0xf0, 0x8f, 0xbf, 0xbf }, { 0xf4, 0x8f, 0xbf, 0xbf }, { 0xf4, 0x90, 0x80, 0x80 },
        { 0xf1, 0x80, 0x80, 'a' }, { 0xf1, 0x80, 'a', 'a' }, { 0xed, 0x9f, 0xbf, 'a' }, { 0xed, 0xa0, 0x80, 'a' },
        { 0xe0, 0x9f, 0x80, 'a' }, { 0xef, 0xbf, 0xbf, 0x80 }, { 0x80, 0x80, 0x80, 0x80 }, { 0xf5, 0x80, 0x80, 0x80 },
        { 0xf0, 0x9f, 0x92, 0xa9 }, { 0xc3, 0xa9, 0xc3, 0xa9 }, { 0xc0, 0x80, 'a', 'a' }, { 0xfe, 0xff, 0xfe, 0xff },
    };
    for (size_t i = 0; i < sizeof seqs / sizeof *seqs; i++)
        place(seqs[i], 4);
}

/* Mixed text of every form, whole and with one byte spoiled. */
static size_t mixed(struct xw_rng *r, uint8_t *buf, size_t cap) {
    size_t n = 0;
    while (n + 4 <= cap) {
        const struct form *f = &forms[xw_rng_below(r, 4) ? xw_rng_below(r, 9) : 0];
        for (unsigned k = 0; k < f->n; k++)
            buf[n + k] = (uint8_t)(f->r[2 * k] + xw_rng_below(r, f->r[2 * k + 1] - f->r[2 * k] + 1u));
        n += f->n;
    }
    return n;
}

XT_TEST(random_text_and_random_damage) {
    uint8_t seed[32] = { 5 }, buf[600];
    struct xw_rng r;
    xw_rng_init(&r, seed);
    for (int round = 0; round < 20000; round++) {
        size_t n = mixed(&r, buf, 4 + xw_rng_below(&r, 596));
        unsigned t;
        XT_EQ(oracle(buf, n, &t), n);
        check_all(buf, n);
        check_all(buf, n - xw_rng_below(&r, 4));
        buf[xw_rng_below(&r, (uint32_t)n)] = (uint8_t)xw_rng_u32(&r);
        check_all(buf, n);
    }
}

/* Fed in two or three pieces, and byte by byte: the same first bad byte. */
XT_TEST(every_split_finds_the_same_byte) {
    uint8_t seed[32] = { 6 }, buf[200];
    struct xw_rng r;
    const struct xw_ws_simd *row;
    xw_rng_init(&r, seed);
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++)
        for (int round = 0; round < 300; round++) {
            size_t len = mixed(&r, buf, 40 + xw_rng_below(&r, 160));
            if (round % 2)
                buf[xw_rng_below(&r, (uint32_t)len)] = (uint8_t)xw_rng_u32(&r);
            unsigned tail;
            size_t want = oracle(buf, len, &tail);
            for (size_t cut = 0; cut <= len; cut++) {
                struct xw_ws_utf8 u;
                xw_ws_utf8_init(&u);
                size_t got = xw_ws_utf8_feed(&u, row, buf, cut);
                if (got == cut)
                    got += xw_ws_utf8_feed(&u, row, buf + cut, len - cut);
                XT_EQ(got, want);
                if (want == len)
                    XT_EQ(xw_ws_utf8_whole(&u), tail == 0);
            }
            struct xw_ws_utf8 u;
            size_t i = 0;
            xw_ws_utf8_init(&u);
            while (i < len && xw_ws_utf8_feed(&u, row, buf + i, 1) == 1)
                i++;
            XT_EQ(i, want);
        }
}

XT_TEST(ascii_prefix) {
    uint8_t buf[400];
    const struct xw_ws_simd *row;
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++)
        for (size_t len = 0; len < 390; len += len < 140 ? 1 : 7)
            for (size_t at = 0; at <= len; at++) {
                memset(buf, 'a', sizeof buf);
                buf[at] = 0x80;
                XT_EQ(row->ascii(buf, len), at);
            }
}

XT_TEST(complete_text) {
    const struct xw_ws_simd *best = xw_ws_simd_best();
    XT_TRUE(xw_ws_utf8_valid(best, (const uint8_t *)"", 0));
    XT_TRUE(xw_ws_utf8_valid(best, (const uint8_t *)"\xc3\xa9", 2));
    XT_TRUE(!xw_ws_utf8_valid(best, (const uint8_t *)"\xc3", 1));
    XT_TRUE(!xw_ws_utf8_valid(best, (const uint8_t *)"\xc3(", 2));
}

XT_MAIN(XT_RUN(all_pairs_of_bytes_at_all_offsets), XT_RUN(every_length_and_alignment), XT_RUN(all_three_byte_beginnings),
        XT_RUN(four_byte_forms_at_block_borders), XT_RUN(random_text_and_random_damage),
        XT_RUN(every_split_finds_the_same_byte), XT_RUN(ascii_prefix), XT_RUN(complete_text))
