/* tests/c/xt.h: the C tests' harness. A test file is one program:
 *
 *     XT_TEST(name) { XT_EQ(got, want); XT_TRUE(cond); XT_MEM(got, want, len); }
 *     XT_MAIN(XT_RUN(name), XT_RUN(other))
 *
 * A failed check prints file, line and both values and ends the program with status 1. `program NAME` runs the tests
 * whose name contains NAME. The last line is "N passed, 0 failed". */
#ifndef XT_H
#define XT_H
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct xt_case { const char *name; void (*fn)(void); };

#define XT_TEST(name) static void xt_##name(void)
#define XT_RUN(name) { #name, xt_##name }

#define XT_FAIL(...) \
    do { \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
        fprintf(stderr, __VA_ARGS__); \
        fputc('\n', stderr); \
        exit(1); \
    } while (0)
#define XT_TRUE(c) \
    do { \
        if (!(c)) \
            XT_FAIL("not true: %s", #c); \
    } while (0)
#define XT_EQ(got, want) \
    do { \
        long long xt_g = (long long)(got), xt_w = (long long)(want); \
        if (xt_g != xt_w) \
            XT_FAIL("%s is %lld (0x%llx), not %s = %lld (0x%llx)", #got, xt_g, (unsigned long long)xt_g, #want, xt_w, \
                    (unsigned long long)xt_w); \
    } while (0)
#define XT_STR(got, want) \
    do { \
        const char *xt_g = (got), *xt_w = (want); \
        if (!xt_g || strcmp(xt_g, xt_w)) \
            XT_FAIL("%s is \"%s\", not \"%s\"", #got, xt_g ? xt_g : "(null)", xt_w); \
    } while (0)
#define XT_MEM(got, want, len) xt_mem(__FILE__, __LINE__, #got, (got), (want), (len))

static inline void xt_mem(const char *file, int line, const char *what, const void *got, const void *want, size_t len) {
    const uint8_t *g = got, *w = want;
    for (size_t i = 0; i < len; i++)
        if (g[i] != w[i]) {
            fprintf(stderr, "%s:%d: %s differs at byte %zu of %zu: %02x, not %02x\n", file, line, what, i, len, g[i], w[i]);
            exit(1);
        }
}

static inline int xt_main(const struct xt_case *cases, size_t cnt, int argc, char **argv) {
    size_t ran = 0;
    for (size_t i = 0; i < cnt; i++) {
        if (argc > 1 && !strstr(cases[i].name, argv[1]))
            continue;
        fprintf(stderr, "  %s\n", cases[i].name);
        cases[i].fn();
        ran++;
    }
    printf("%zu passed, 0 failed\n", ran);
    return ran == 0;
}
#define XT_MAIN(...) \
    int main(int argc, char **argv) { \
        static const struct xt_case xt_cases[] = { __VA_ARGS__ }; \
        return xt_main(xt_cases, sizeof xt_cases / sizeof *xt_cases, argc, argv); \
    }
#endif
