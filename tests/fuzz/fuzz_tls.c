/* Arbitrary server bytes into the client's handshake. The first byte chooses: bit 0, whether the rest is the stream
 * as it is, or pieces {type, length, bytes} that are framed as records here, so that the fuzzer need not guess
 * lengths; the other bits, how many bytes a poll delivers. Allowed: the handshake goes on or fails with XW_ETLS and
 * a text; no byte of plaintext ever, since nobody proved to be a server; a failed stream stays failed and a poll
 * returns. */
#include "base/assert.h"
#include "base/err.h"
#include "xt_tls.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct xw_tls_ctx *ctx;
static struct xw_bytering plain;

static void put(struct xw_bs *far, const uint8_t *p, size_t n) {
    struct xw_mspan room = far->ops->reserve(far);
    n = n < room.len ? n : room.len;
    if (n)
        memcpy(room.p, p, n);
    far->ops->commit(far, n);
}

static void put_framed(struct xw_bs *far, const uint8_t *p, size_t len) {
    while (len >= 2) {
        size_t n = p[1] < len - 2 ? p[1] : len - 2;
        uint8_t hdr[5] = { (uint8_t)(20 + p[0] % 4), 3, 3, 0, (uint8_t)n };
        put(far, hdr, sizeof hdr);
        put(far, p + 2, n);
        p += 2 + n;
        len -= 2 + n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct xw_bs_mem_cfg mc = { .rcv_len = 65536, .snd_len = 65536 };
    struct xw_bs *low, *far, *tls;
    struct xw_bs_status st;
    if (!ctx && (xw_tls_ctx_new(&(struct xw_tls_cfg){ .verify = 0 }, &ctx) || xw_bytering_map(&plain, 65536)))
        return 0;
    if (!len || xw_bs_mem_pair(&mc, &low, &far))
        return 0;
    XW_ASSERT(xw_tls_new(ctx, low, "feed.example", &plain, NULL, NULL, &tls) == XW_OK);
    tls->ops->poll(tls, 1);
    if (data[0] & 1)
        put(far, data + 1, len - 1);
    else
        put_framed(far, data + 1, len - 1);
    if (data[0] & 2)
        far->ops->shutdown_wr(far);
    xw_bs_mem_chunk(low, data[0] < 128 ? SIZE_MAX : (size_t)(data[0] >> 2) * 16 + 1);
    for (unsigned i = 0; i < 300; i++) {
        tls->ops->poll(tls, 2 + i);
        XW_ASSERT(tls->ops->peek(tls).len == 0);
        tls->ops->status(tls, &st);
        XW_ASSERT(st.state == XW_BS_CONNECTING || st.state == XW_BS_FAILED);
        if (st.state == XW_BS_FAILED)
            break;
    }
    if (st.state == XW_BS_FAILED) {
        XW_ASSERT(st.error == XW_ETLS && *tls->ops->error_text(tls));
        XW_ASSERT(tls->ops->poll(tls, 1000) == XW_OK && tls->ops->reserve(tls).len == 0);
        tls->ops->status(tls, &st);
        XW_ASSERT(st.state == XW_BS_FAILED);
    }
    tls->ops->close(tls);
    far->ops->close(far);
    return 0;
}
