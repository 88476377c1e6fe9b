/* engine/api.c: library functions of xw_api.h that belong to no engine. */
#include "xw.h"
#include <time.h>

/* Raised with every change of a struct or prototype in xw_api.h; xdpws/_ffi.py holds the other half. */
#define XW_ABI 8u

uint32_t xw_abi_version(void) { return XW_ABI; }

uint64_t xw_monotonic_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
