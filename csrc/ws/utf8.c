/* ws/utf8.c: incremental UTF-8 validation on top of a row function, and the scalar row. */
#include "ws/utf8.h"
#include "base/assert.h"
#include <string.h>

/* One byte. False: it cannot stand here. RFC 3629 section 4: the second byte's range depends on the first. */
static inline bool step(struct xw_ws_utf8 *u, uint8_t b) {
    if (u->need) {
        if (b < u->lo || b > u->hi)
            return false;
        u->lo = 0x80;
        u->hi = 0xbf;
        u->need--;
        return true;
    }
    if (b < 0x80)
        return true;
    if (b < 0xc2 || b > 0xf4)
        return false;
    u->need = b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
    u->lo = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
    u->hi = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    return true;
}

size_t xw_ws_ascii_scalar(const uint8_t *p, size_t len) {
    const uint64_t high = 0x8080808080808080u;
    size_t i = 0;
    uint64_t v;
    for (; len - i >= 8; i += 8) {
        memcpy(&v, p + i, 8);
        if (v & high)
            break;
    }
    if (len >= 8 && len - i < 8) {
        memcpy(&v, p + len - 8, 8); /* the rest, and some again */
        if (!(v & high))
            return len;
    }
    while (i < len && p[i] < 0x80)
        i++;
    return i;
}

size_t xw_ws_utf8_scalar(const uint8_t *p, size_t len, unsigned *tail) {
    struct xw_ws_utf8 u = { 0 };
    size_t i = 0, begin = 0; /* begin: of the character that i is in */
    while (i < len) {
        if (!u.need) {
            i += xw_ws_ascii_scalar(p + i, len - i);
            if (i == len)
                break;
            begin = i;
        }
        if (!step(&u, p[i]))
            return i;
        i++;
    }
    *tail = u.need ? (unsigned)(len - begin) : 0;
    return len;
}

size_t xw_ws_utf8_from(const uint8_t *p, size_t at, size_t len, unsigned *tail) {
    size_t k = at;
    while (k && at - k < 3 && (p[k - 1] & 0xc0) == 0x80)
        k--;
    if (k && p[k - 1] >= 0xc0)
        k--;
    return k + xw_ws_utf8_scalar(p + k, len - k, tail);
}

/* The last tail bytes begin a character: what its next byte must look like is noted. */
__attribute__((noinline)) static void keep_tail(struct xw_ws_utf8 *u, const uint8_t *p, unsigned tail) {
    for (unsigned i = 0; i < tail; i++) {
        bool good = step(u, p[i]);
        XW_ASSERT(good);
        (void)good;
    }
}

size_t xw_ws_utf8_feed(struct xw_ws_utf8 *u, const struct xw_ws_simd *simd, const uint8_t *p, size_t len) {
    size_t i = 0;
    unsigned tail = 0;
    for (; u->need && i < len; i++)
        if (!step(u, p[i]))
            return i;
    size_t ok = i + simd->utf8(p + i, len - i, &tail);
    if (ok == len && tail)
        keep_tail(u, p + len - tail, tail);
    return ok;
}

bool xw_ws_utf8_valid(const struct xw_ws_simd *simd, const uint8_t *p, size_t len) {
    struct xw_ws_utf8 u = { 0 };
    return xw_ws_utf8_feed(&u, simd, p, len) == len && xw_ws_utf8_whole(&u);
}
