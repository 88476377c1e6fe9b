/* bench_simd: masking and UTF-8 validation in GB/s, each row of ws/simd.h beside memcpy of the same bytes.
 *
 *     bench_simd [--json]
 *
 * Every figure is the best of several rounds of 2 ms over one buffer, which lies in the first-level cache up to 16 KiB.
 * Text is ASCII (JSON), and Korean (three bytes a letter, blanks between words), which no fast path for ASCII helps. */
#include "ws/simd.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LARGEST (1u << 20)
static const size_t sizes[] = { 16, 64, 200, 1000, 16384, LARGEST };
static uint8_t *ascii, *korean, *out;
static const struct xw_ws_simd *row;
static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d };
static volatile size_t sink;

static double now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void do_memcpy(size_t n) {
    memcpy(out, ascii, n);
    __asm__ volatile("" : : "r"(out) : "memory"); /* nobody reads the copy: keep it all the same */
}
static void do_mask(size_t n) { row->mask(out, ascii, n, key); }
static void check(const uint8_t *p, size_t n) {
    unsigned tail;
    sink = row->utf8(p, n, &tail);
}
static void do_ascii(size_t n) { check(ascii, n); }
static void do_korean(size_t n) { check(korean, n); }

static double gb_per_s(void (*fn)(size_t), size_t n) {
    double best = 0;
    size_t times = 1 + 300000 / n;
    for (double until = now() + 0.06; now() < until;) {
        double begin = now();
        for (size_t i = 0; i < times; i++)
            fn(n);
        double rate = (double)n * (double)times / (now() - begin) / 1e9;
        best = rate > best ? rate : best;
    }
    return best;
}

static void line(const char *what, void (*fn)(size_t), bool json, bool *first) {
    if (json)
        printf("%s\n  {\"what\": \"%s\", \"row\": \"%s\"", *first ? "" : ",", what, row ? row->name : "libc");
    else
        printf("%-14s %-8s", what, row ? row->name : "libc");
    *first = false;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (json)
            printf(", \"%zu\":", sizes[i]);
        printf(" %9.2f", gb_per_s(fn, sizes[i]));
    }
    printf(json ? "}" : "\n");
}

static void fill(void) {
    static const char json[] = "{\"e\":\"aggTrade\",\"s\":\"BTCUSDT\",\"p\":\"61024.10\",\"q\":\"0.015\",\"T\":1723190000123}";
    static const char word[] = "\xec\x97\x85\xeb\xb9\x84\xed\x8a\xb8 ";
    for (size_t i = 0; i < LARGEST; i++)
        ascii[i] = (uint8_t)json[i % (sizeof json - 1)];
    for (size_t i = 0; i < LARGEST; i++)
        korean[i] = (uint8_t)word[i % (sizeof word - 1)];
}

int main(int argc, char **argv) {
    bool json = argc > 1 && !strcmp(argv[1], "--json"), first = true;
    ascii = aligned_alloc(64, LARGEST);
    korean = aligned_alloc(64, LARGEST);
    out = aligned_alloc(64, LARGEST);
    if (!ascii || !korean || !out)
        return 1;
    fill();
    if (json)
        printf("[");
    else {
        printf("%-14s %-8s", "GB/s", "bytes:");
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            printf(" %9zu", sizes[i]);
        printf("\n");
    }
    line("memcpy", do_memcpy, json, &first);
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++)
        line("mask", do_mask, json, &first);
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++)
        line("utf8 ASCII", do_ascii, json, &first);
    for (unsigned n = 0; (row = xw_ws_simd_row(n)); n++)
        line("utf8 Korean", do_korean, json, &first);
    if (json)
        printf("\n]\n");
    free(ascii);
    free(korean);
    free(out);
    return 0;
}
