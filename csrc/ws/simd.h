/* ws/simd.h: the byte loops of WebSocket, one row of functions per instruction set. A connection keeps a pointer
 * to its row; all rows are constant, nothing is patched. The scalar row is always built and is what the others are
 * tested against. */
#ifndef XW_WS_SIMD_H
#define XW_WS_SIMD_H
#include <stddef.h>
#include <stdint.h>

struct xw_ws_simd {
    const char *name; /* "scalar", "sse2", "avx2", "avx512", "neon" */
    /* dst[i] = src[i] ^ key[i % 4]; dst == src is allowed, other overlap is not */
    void (*mask)(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]);
    /* length of the ASCII prefix */
    size_t (*ascii)(const uint8_t *p, size_t len);
    /* index of the first byte at which [p, p + len) cannot be valid UTF-8 any more; len if it is valid or could
     * still be continued; *tail then is the number of bytes (0 … 3) at its end that begin an unfinished character */
    size_t (*utf8)(const uint8_t *p, size_t len, unsigned *tail);
};

/* Only for the list in simd.c. */
extern const struct xw_ws_simd xw_ws_simd_scalar;
#if defined(__x86_64__)
extern const struct xw_ws_simd xw_ws_simd_sse2, xw_ws_simd_avx2, xw_ws_simd_avx512;
#elif defined(__aarch64__)
extern const struct xw_ws_simd xw_ws_simd_neon;
#endif

/* xw_ws_simd_row: the n-th row that this CPU can run, slowest (scalar) first; NULL past the last. For tests and
 * benchmarks. */
const struct xw_ws_simd *xw_ws_simd_row(unsigned n);
/* xw_ws_simd_best: the last of them. */
const struct xw_ws_simd *xw_ws_simd_best(void);
#endif
