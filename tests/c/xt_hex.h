/* tests/c/xt_hex.h: bytes from hexadecimal text. */
#ifndef XT_HEX_H
#define XT_HEX_H
#include "xt.h"
#include <ctype.h>

/* Bytes of pairs of digits; white space is skipped. Fails the test on anything else or when they do not fit. */
static inline size_t xt_hex(const char *hex, uint8_t *out, size_t cap) {
    size_t n = 0;
    while (*hex) {
        unsigned v;
        if (isspace((unsigned char)*hex)) {
            hex++;
            continue;
        }
        if (n == cap || sscanf(hex, "%2x", &v) != 1 || !isxdigit((unsigned char)hex[1]))
            XT_FAIL("not %zu bytes of hex: %.20s", cap, hex);
        out[n++] = (uint8_t)v;
        hex += 2;
    }
    return n;
}
#endif
