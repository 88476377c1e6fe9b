/* deflate.c: what inflating and deflating a feed's messages costs with each library; driven by deflate.py through ctypes.
 *
 * zlib, ISA-L and libdeflate are linked; zlib-ng, which Debian 12 does not have, is handed in as function pointers from the
 * module that PyPI offers. Its stream's layout is zlib's as far as it is used here. */
#include <isa-l/igzip_lib.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#define TAIL "\0\0\xff\xff"

struct zfuncs {
    int (*inflate_init2)(z_streamp, int);
    int (*inflate)(z_streamp, int);
    int (*inflate_reset)(z_streamp);
    int (*inflate_end)(z_streamp);
    int (*deflate_init2)(z_streamp, int, int, int, int, int);
    int (*deflate)(z_streamp, int);
    int (*deflate_reset)(z_streamp);
    int (*deflate_end)(z_streamp);
};
struct msgs { const uint8_t *data; const uint32_t *len; uint32_t cnt; };
enum { ZLIB, ZLIB_NG, ISAL, LIBDEFLATE };

/* Best nanoseconds of `rounds` over all messages (negative: failed); packed or plain bytes go to *bytes. */
double bench_inflate(int lib, const struct zfuncs *ng, const struct msgs *m, int reset, int bits, int rounds, uint64_t *bytes);
double bench_deflate(int lib, const struct zfuncs *ng, const struct msgs *m, int reset, int level, int rounds, uint64_t *bytes);
uint64_t bench_pack(const struct msgs *m, int reset, uint8_t *out, uint32_t *len);

static int zlib_inflate_init2(z_streamp z, int bits) { return inflateInit2(z, bits); }
static int zlib_deflate_init2(z_streamp z, int level, int method, int bits, int mem, int strategy) {
    return deflateInit2(z, level, method, bits, mem, strategy);
}
static const struct zfuncs own = { zlib_inflate_init2, inflate, inflateReset, inflateEnd, zlib_deflate_init2, deflate,
                                   deflateReset, deflateEnd };

static double now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static uint8_t *from(const uint8_t *p) {
    union { const uint8_t *from; uint8_t *to; } cast = { .from = p };
    return cast.to;
}

#define ROOM (1u << 22)
static _Thread_local uint8_t *out, *in;

static bool buffers(void) {
    out = out ? out : malloc(ROOM);
    in = in ? in : malloc(ROOM);
    return out && in;
}

/* A message and its tail, as a receiver of frames would feed them: in two calls. Returns its length or -1. */
static int64_t zlib_message(const struct zfuncs *f, z_stream *z, const uint8_t *p, uint32_t len, bool raw) {
    z->next_in = from(p);
    z->avail_in = len;
    z->next_out = out;
    z->avail_out = ROOM;
    int rc = f->inflate(z, Z_SYNC_FLUSH);
    if (rc == Z_OK && raw) {
        z->next_in = from((const uint8_t *)TAIL);
        z->avail_in = 4;
        rc = f->inflate(z, Z_SYNC_FLUSH);
    }
    return rc == Z_OK || rc == Z_STREAM_END ? (int64_t)(ROOM - z->avail_out) : -1;
}

static double inflate_zlib(const struct zfuncs *f, const struct msgs *m, int reset, int bits, uint64_t *bytes) {
    z_stream z = { 0 };
    const uint8_t *p = m->data;
    if (f->inflate_init2(&z, bits) != Z_OK)
        return -1;
    *bytes = 0;
    double begin = now_ns();
    for (uint32_t i = 0; i < m->cnt; p += m->len[i++]) {
        if (reset)
            f->inflate_reset(&z);
        int64_t n = zlib_message(f, &z, p, m->len[i], bits < 0);
        if (n < 0)
            return -1;
        *bytes += (uint64_t)n;
    }
    double took = now_ns() - begin;
    f->inflate_end(&z);
    return took;
}

static double inflate_isal(const struct msgs *m, int reset, int bits, uint64_t *bytes) {
    static _Thread_local struct inflate_state s;
    const uint8_t *p = m->data;
    isal_inflate_init(&s);
    *bytes = 0;
    double begin = now_ns();
    for (uint32_t i = 0; i < m->cnt; p += m->len[i++]) {
        if (reset)
            isal_inflate_reset(&s);
        s.crc_flag = bits < 0 ? ISAL_DEFLATE : ISAL_GZIP;
        s.next_out = out;
        s.avail_out = ROOM;
        s.next_in = from(p);
        s.avail_in = m->len[i];
        int rc = isal_inflate(&s);
        if (!rc && bits < 0) {
            s.next_in = from((const uint8_t *)TAIL);
            s.avail_in = 4;
            rc = isal_inflate(&s);
        }
        if (rc < 0)
            return -1;
        *bytes += ROOM - s.avail_out;
    }
    return now_ns() - begin;
}

/* Whole messages only; a final empty block behind the tail, because it wants one. */
static double inflate_libdeflate(const struct msgs *m, int reset, int bits, uint64_t *bytes) {
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    const uint8_t *p = m->data;
    if (!d || !reset)
        return -1;
    *bytes = 0;
    double begin = now_ns(), took = -1;
    for (uint32_t i = 0; i < m->cnt; p += m->len[i++]) {
        size_t n, got = 0;
        memcpy(in, p, n = m->len[i]);
        if (bits < 0) {
            memcpy(in + n, TAIL "\1" TAIL, 9);
            n += 9;
        }
        enum libdeflate_result rc = bits < 0 ? libdeflate_deflate_decompress(d, in, n, out, ROOM, &got)
                                             : libdeflate_gzip_decompress(d, in, n, out, ROOM, &got);
        if (rc)
            goto end;
        *bytes += got;
    }
    took = now_ns() - begin;
end:
    libdeflate_free_decompressor(d);
    return took;
}

double bench_inflate(int lib, const struct zfuncs *ng, const struct msgs *m, int reset, int bits, int rounds, uint64_t *bytes) {
    double best = -1;
    for (int i = 0; i < rounds && buffers(); i++) {
        double took = lib == ISAL ? inflate_isal(m, reset, bits, bytes)
                    : lib == LIBDEFLATE ? inflate_libdeflate(m, reset, bits, bytes)
                    : inflate_zlib(lib == ZLIB ? &own : ng, m, reset, bits, bytes);
        if (took < 0)
            return -1;
        best = best < 0 || took < best ? took : best;
    }
    return best;
}

static double deflate_zlib(const struct zfuncs *f, const struct msgs *m, int reset, int level, uint64_t *bytes) {
    z_stream z = { 0 };
    const uint8_t *p = m->data;
    if (f->deflate_init2(&z, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -1;
    *bytes = 0;
    double begin = now_ns();
    for (uint32_t i = 0; i < m->cnt; p += m->len[i++]) {
        if (reset)
            f->deflate_reset(&z);
        z.next_in = from(p);
        z.avail_in = m->len[i];
        z.next_out = out;
        z.avail_out = ROOM;
        if (f->deflate(&z, Z_SYNC_FLUSH) != Z_OK)
            return -1;
        *bytes += ROOM - z.avail_out - 4;
    }
    double took = now_ns() - begin;
    f->deflate_end(&z);
    return took;
}

static double deflate_isal(const struct msgs *m, int reset, int level, uint64_t *bytes) {
    static _Thread_local struct isal_zstream z;
    static _Thread_local uint8_t level_buf[ISAL_DEF_LVL3_DEFAULT];
    const uint8_t *p = m->data;
    isal_deflate_init(&z);
    z.level = (uint32_t)level;
    z.level_buf = level ? level_buf : NULL;
    z.level_buf_size = level ? sizeof level_buf : 0;
    *bytes = 0;
    double begin = now_ns();
    for (uint32_t i = 0; i < m->cnt; p += m->len[i++]) {
        if (reset)
            isal_deflate_reset(&z);
        z.flush = SYNC_FLUSH;
        z.next_in = from(p);
        z.avail_in = m->len[i];
        z.next_out = out;
        z.avail_out = ROOM;
        if (isal_deflate(&z) != COMP_OK)
            return -1;
        *bytes += ROOM - z.avail_out - 4;
    }
    return now_ns() - begin;
}

double bench_deflate(int lib, const struct zfuncs *ng, const struct msgs *m, int reset, int level, int rounds, uint64_t *bytes) {
    double best = -1;
    for (int i = 0; i < rounds && buffers(); i++) {
        double took = lib == ISAL ? deflate_isal(m, reset, level, bytes)
                    : lib == LIBDEFLATE ? -1 : deflate_zlib(lib == ZLIB ? &own : ng, m, reset, level, bytes);
        if (took < 0)
            return -1;
        best = best < 0 || took < best ? took : best;
    }
    return best;
}

/* The messages as a venue sends them: zlib's level 6, without the tail. Returns the bytes written; out has room. */
uint64_t bench_pack(const struct msgs *m, int reset, uint8_t *to, uint32_t *len) {
    z_stream z = { 0 };
    const uint8_t *p = m->data;
    uint8_t *begin = to;
    if (deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    for (uint32_t i = 0; i < m->cnt; p += m->len[i++]) {
        if (reset)
            deflateReset(&z);
        z.next_in = from(p);
        z.avail_in = m->len[i];
        z.next_out = to;
        z.avail_out = m->len[i] + 1000;
        if (deflate(&z, Z_SYNC_FLUSH) != Z_OK)
            return 0;
        len[i] = (uint32_t)(z.next_out - to) - 4;
        to += len[i];
    }
    deflateEnd(&z);
    return (uint64_t)(to - begin);
}
