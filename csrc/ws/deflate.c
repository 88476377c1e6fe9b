/* ws/deflate.c: zlib held to one arena and to the rules of RFC 7692 7.2. */
#include "ws/deflate.h"
#include "base/assert.h"
#include "base/err.h"
#include <string.h>
#include <zlib.h>

/* Orders and subscriptions are small: level 6 and zlib's default memory cost nothing there that a measurement showed
 * to matter. */
#define PACK_LEVEL 6
#define PACK_MEM_LEVEL 8
#define WINDOW_MAX 15

struct xw_ws_deflate {
    z_stream in, out;
    uint8_t *mem;
    size_t mem_len, mem_used;
    bool out_reset, in_reset;
    bool in_fed;      /* bytes of this message were fed */
    bool in_final;    /* a block marked as the last one ended; what follows begins a new stream in the same window */
    uint8_t tail;     /* bytes of the tail that inflating has taken */
};

static voidpf arena_alloc(voidpf opaque, uInt items, uInt size) {
    struct xw_ws_deflate *d = opaque;
    size_t len = ((size_t)items * size + 63) & ~(size_t)63;
    if (len > d->mem_len - d->mem_used)
        return Z_NULL;
    void *p = d->mem + d->mem_used;
    d->mem_used += len;
    return p;
}

/* The arena is one piece; it is given back by its owner. */
static void arena_free(voidpf opaque, voidpf p) {
    (void)opaque;
    (void)p;
}

static void stream_init(struct xw_ws_deflate *d, z_stream *z) {
    memset(z, 0, sizeof *z);
    z->zalloc = arena_alloc;
    z->zfree = arena_free;
    z->opaque = d;
}

int xw_ws_deflate_init(struct xw_mspan mem, const struct xw_ws_deflate_cfg *cfg, struct xw_ws_deflate **out) {
    if (cfg->out_bits < 8 || cfg->out_bits > WINDOW_MAX)
        return XW_EINVAL;
    size_t begin = (sizeof(struct xw_ws_deflate) + 63) & ~(size_t)63;
    if (!mem.p || mem.len < XW_WS_DEFLATE_MEM || begin > mem.len)
        return XW_ENOMEM;
    struct xw_ws_deflate *d = (struct xw_ws_deflate *)(void *)mem.p;
    memset(d, 0, sizeof *d);
    d->mem = mem.p + begin;
    d->mem_len = mem.len - begin;
    d->out_reset = cfg->out_reset;
    d->in_reset = cfg->in_reset;
    stream_init(d, &d->in);
    stream_init(d, &d->out);
    int bits = cfg->out_bits == 8 ? 9 : cfg->out_bits;
    if (inflateInit2(&d->in, -WINDOW_MAX) != Z_OK ||
        deflateInit2(&d->out, PACK_LEVEL, Z_DEFLATED, -bits, PACK_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return XW_ENOMEM;
    *out = d;
    return XW_OK;
}

static uInt at_most(size_t len) { return len > 1u << 30 ? 1u << 30 : (uInt)len; }

/* One call of zlib's on a stream; spans lose what was used. */
static int turn(z_stream *z, int (*step)(z_streamp, int), int flush, struct xw_span *in, struct xw_mspan *out) {
    uInt in_len = at_most(in->len), out_len = at_most(out->len);
    union { const uint8_t *from; Bytef *to; } cast = { .from = in->p }; /* zlib reads only, whatever its type says */
    z->next_in = cast.to;
    z->avail_in = in_len;
    z->next_out = out->p;
    z->avail_out = out_len;
    int rc = step(z, flush);
    *in = xw_span(in->p + (in_len - z->avail_in), in->len - (in_len - z->avail_in));
    *out = xw_mspan(out->p + (out_len - z->avail_out), out->len - (out_len - z->avail_out));
    return rc;
}

/* ---- inflating ---- */

void xw_ws_inflate_begin(struct xw_ws_deflate *d) {
    if (d->in_reset) {
        inflateReset(&d->in);
        d->in_final = false;
    }
    d->in_fed = false;
    d->tail = 0;
}

/* Bytes of the message or of its tail. */
static enum xw_ws_inflate inflate_some(struct xw_ws_deflate *d, struct xw_span *in, struct xw_mspan *out) {
    for (;;) {
        if (!out->len)
            return XW_WS_INFLATE_FULL;
        if (d->in_final) {
            if (!in->len)
                return XW_WS_INFLATE_ON;
            inflateResetKeep(&d->in); /* RFC 7692 7.2.3.4: the stream begins anew, its window does not */
            d->in_final = false;
        }
        size_t in_before = in->len, out_before = out->len;
        int rc = turn(&d->in, inflate, Z_SYNC_FLUSH, in, out);
        if (rc == Z_STREAM_END)
            d->in_final = true;
        else if (rc != Z_OK && rc != Z_BUF_ERROR)
            return XW_WS_INFLATE_BAD;
        else if (!in->len && out->len)
            return XW_WS_INFLATE_ON;
        else if (in->len == in_before && out->len == out_before)
            return XW_WS_INFLATE_BAD; /* neither room nor input lacks: zlib never says so of sound data */
    }
}

enum xw_ws_inflate xw_ws_inflate_feed(struct xw_ws_deflate *d, struct xw_span *in, struct xw_mspan *out) {
    if (in->len)
        d->in_fed = true;
    return inflate_some(d, in, out);
}

enum xw_ws_inflate xw_ws_inflate_end(struct xw_ws_deflate *d, struct xw_mspan *out) {
    static const uint8_t tail[XW_WS_DEFLATE_TAIL] = { 0, 0, 0xff, 0xff };
    if (!d->in_fed) /* not a byte, which some compressors make of an empty message */
        return XW_WS_INFLATE_END;
    if (d->in_final && !d->tail)
        return XW_WS_INFLATE_END; /* the message's end was the stream's; there is no block to complete */
    struct xw_span rest = xw_span(tail + d->tail, sizeof tail - d->tail);
    enum xw_ws_inflate rc = inflate_some(d, &rest, out);
    d->tail = (uint8_t)(sizeof tail - rest.len);
    if (rc != XW_WS_INFLATE_ON)
        return rc;
    /* data_type: 128 between two blocks, and how many bits of the last byte are not used */
    bool between = (d->in.data_type & 128) && !(d->in.data_type & 63) && !d->in_final;
    return between ? XW_WS_INFLATE_END : XW_WS_INFLATE_BAD;
}

/* ---- deflating ---- */

void xw_ws_deflate_begin(struct xw_ws_deflate *d) {
    if (d->out_reset)
        deflateReset(&d->out);
}

bool xw_ws_deflate_feed(struct xw_ws_deflate *d, struct xw_span *in, struct xw_mspan *out, bool last) {
    if (!out->len)
        return false;
    int rc = turn(&d->out, deflate, last ? Z_SYNC_FLUSH : Z_NO_FLUSH, in, out);
    XW_ASSERT(rc == Z_OK || rc == Z_BUF_ERROR);
    (void)rc;
    return last && !in->len && out->len; /* room left over: everything is flushed */
}
