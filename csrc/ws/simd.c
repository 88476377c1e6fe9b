/* ws/simd.c: the rows there are and the choice among them. */
#include "ws/simd.h"
#include "ws/mask.h"
#include "ws/utf8.h"

const struct xw_ws_simd xw_ws_simd_scalar = {
    .name = "scalar", .mask = xw_ws_mask_scalar, .ascii = xw_ws_ascii_scalar, .utf8 = xw_ws_utf8_scalar,
};

const struct xw_ws_simd *xw_ws_simd_row(unsigned n) {
    if (n == 0)
        return &xw_ws_simd_scalar;
#if defined(__x86_64__)
    if (n == 1)
        return &xw_ws_simd_sse2; /* part of x86-64 */
    if (n == 2 && __builtin_cpu_supports("avx2"))
        return &xw_ws_simd_avx2;
    /* VBMI is not used: it came with the cores (Ice Lake, Zen 4) that no longer lower their clock for 64-byte registers */
    if (n == 3 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vbmi"))
        return &xw_ws_simd_avx512;
#elif defined(__aarch64__)
    if (n == 1)
        return &xw_ws_simd_neon; /* part of ARMv8-A */
#endif
    return NULL;
}

const struct xw_ws_simd *xw_ws_simd_best(void) {
    const struct xw_ws_simd *best = &xw_ws_simd_scalar, *row;
    for (unsigned n = 1; (row = xw_ws_simd_row(n)); n++)
        best = row;
    return best;
}
