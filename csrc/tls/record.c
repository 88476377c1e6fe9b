#include "tls/record.h"
#include "base/assert.h"
#include "base/err.h"
#include <openssl/crypto.h>
#include <string.h>

#define EXPLICIT_LEN 8u
/* Ciphertext may be longer than the content by at most this: RFC 8446 5.2. */
#define CIPHER_MAX13 (XW_REC_CONTENT_MAX + 256u)

static void put_be64(uint8_t *p, uint64_t v) {
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (56 - 8 * i));
}

size_t xw_rec_iv_len(bool tls13, enum xw_aead_alg alg) {
    return tls13 || alg == XW_AEAD_CHACHA20_POLY1305 ? XW_AEAD_NONCE_LEN : 4;
}

int xw_rec_key(struct xw_rec *r, const struct xw_aead_lib *lib, enum xw_aead_alg alg, bool tls13, bool sealing,
               const uint8_t *key, const uint8_t *iv) {
    r->seq = 0;
    r->tls13 = tls13;
    r->salted = xw_rec_iv_len(tls13, alg) == 4;
    memset(r->iv, 0, sizeof r->iv);
    memcpy(r->iv, iv, xw_rec_iv_len(tls13, alg));
    return xw_aead_key(&r->aead, lib, XW_AEAD_AUTO, alg, sealing, key);
}

size_t xw_rec_overhead(const struct xw_rec *r) {
    return XW_REC_HDR_LEN + XW_AEAD_TAG_LEN + (r->tls13 ? 1u : r->salted ? EXPLICIT_LEN : 0u);
}

/* RFC 8446 5.3 and RFC 7905 2: IV xor sequence number; RFC 5288 3: salt and explicit part. */
static void make_nonce(const struct xw_rec *r, const uint8_t *explicit_part, uint8_t nonce[16]) {
    uint64_t low;
    memcpy(nonce, r->iv, 16);
    if (explicit_part) {
        memcpy(nonce + 4, explicit_part, EXPLICIT_LEN);
        return;
    }
    memcpy(&low, nonce + 4, sizeof low);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    low ^= __builtin_bswap64(r->seq);
#else
    low ^= r->seq;
#endif
    memcpy(nonce + 4, &low, sizeof low);
}

/* RFC 5246 6.2.3.3 */
static struct xw_span aad12(const struct xw_rec *r, const uint8_t *hdr, size_t content_len, uint8_t aad[13]) {
    put_be64(aad, r->seq);
    memcpy(aad + 8, hdr, 3);
    aad[11] = (uint8_t)(content_len >> 8);
    aad[12] = (uint8_t)content_len;
    return xw_span(aad, 13);
}

size_t xw_rec_seal(struct xw_rec *r, enum xw_rec_type type, uint8_t *content, size_t len, uint8_t *out) {
    uint8_t nonce[16], aad[13], *body = out + XW_REC_HDR_LEN;
    size_t whole = len + xw_rec_overhead(r), after = whole - XW_REC_HDR_LEN;
    struct xw_span with = xw_span(out, XW_REC_HDR_LEN);
    XW_ASSERT(len <= XW_REC_CONTENT_MAX);
    if (XW_UNLIKELY(r->seq == UINT64_MAX))
        return 0;
    out[0] = (uint8_t)(r->tls13 ? XW_REC_DATA : type);
    out[1] = out[2] = 3;
    out[3] = (uint8_t)(after >> 8);
    out[4] = (uint8_t)after;
    if (r->tls13)
        content[len++] = (uint8_t)type;
    else
        with = aad12(r, out, len, aad);
    if (r->salted) {
        put_be64(body, r->nonce++);
        make_nonce(r, body, nonce);
        body += EXPLICIT_LEN;
    } else
        make_nonce(r, NULL, nonce);
    if (XW_UNLIKELY(!xw_aead_seal(&r->aead, nonce, with, xw_span(content, len), body)))
        return 0;
    r->seq++;
    return whole;
}

static int refuse(struct xw_rec_content *c, enum xw_alert alert, const char *why) {
    c->why = why;
    return (int)alert;
}

static int bad_mac(struct xw_rec_content *c) {
    return refuse(c, XW_ALERT_BAD_RECORD_MAC, "decryption failed or bad record mac");
}

static int too_long(struct xw_rec_content *c) {
    return refuse(c, XW_ALERT_RECORD_OVERFLOW, "a record is longer than allowed");
}

static int wrong_type(struct xw_rec_content *c) {
    return refuse(c, XW_ALERT_UNEXPECTED_MESSAGE, "a record of unexpected type");
}

static int open13(struct xw_rec *r, struct xw_span rec, uint8_t *out, struct xw_rec_content *c) {
    uint8_t nonce[16];
    struct xw_span body = xw_span_from(rec, XW_REC_HDR_LEN);
    if (XW_UNLIKELY(rec.p[0] != XW_REC_DATA)) /* the others, change_cipher_spec too, end with the handshake */
        return wrong_type(c);
    if (XW_UNLIKELY(body.len > CIPHER_MAX13 || body.len > XW_REC_OPEN_MAX + XW_AEAD_TAG_LEN))
        return too_long(c);
    if (XW_UNLIKELY(body.len < XW_AEAD_TAG_LEN))
        return bad_mac(c);
    size_t n = body.len - XW_AEAD_TAG_LEN;
    make_nonce(r, NULL, nonce);
    if (XW_UNLIKELY(!xw_aead_open(&r->aead, nonce, xw_span(rec.p, XW_REC_HDR_LEN), body, out))) {
        OPENSSL_cleanse(out, n);
        return bad_mac(c);
    }
    r->seq++;
    while (n && !out[n - 1]) /* padding: RFC 8446 5.4 */
        n--;
    if (XW_UNLIKELY(!n))
        return refuse(c, XW_ALERT_UNEXPECTED_MESSAGE, "a record without a content type");
    c->type = out[n - 1];
    c->len = n - 1;
    return 0;
}

static int open12(struct xw_rec *r, struct xw_span rec, uint8_t *out, struct xw_rec_content *c) {
    uint8_t nonce[16], aad[13];
    size_t head = r->salted ? EXPLICIT_LEN : 0;
    struct xw_span body = xw_span_from(rec, XW_REC_HDR_LEN);
    if (XW_UNLIKELY(rec.p[0] < XW_REC_CCS || rec.p[0] > XW_REC_DATA))
        return wrong_type(c);
    if (XW_UNLIKELY(rec.p[1] != 3 || rec.p[2] != 3))
        return refuse(c, XW_ALERT_PROTOCOL_VERSION, "a record of another TLS version");
    if (XW_UNLIKELY(body.len < head + XW_AEAD_TAG_LEN))
        return bad_mac(c);
    size_t n = body.len - head - XW_AEAD_TAG_LEN;
    if (XW_UNLIKELY(n > XW_REC_CONTENT_MAX))
        return too_long(c);
    make_nonce(r, head ? body.p : NULL, nonce);
    if (XW_UNLIKELY(!xw_aead_open(&r->aead, nonce, aad12(r, rec.p, n, aad), xw_span_from(body, head), out))) {
        OPENSSL_cleanse(out, n);
        return bad_mac(c);
    }
    r->seq++;
    c->type = rec.p[0];
    c->len = n;
    return 0;
}

int xw_rec_open(struct xw_rec *r, struct xw_span rec, uint8_t *out, struct xw_rec_content *c) {
    XW_ASSERT(rec.len >= XW_REC_HDR_LEN);
    if (XW_UNLIKELY(r->seq == UINT64_MAX))
        return refuse(c, XW_ALERT_INTERNAL_ERROR, "the sequence numbers are used up");
    return r->tls13 ? open13(r, rec, out, c) : open12(r, rec, out, c);
}

void xw_rec_wipe(struct xw_rec *r) {
    xw_aead_wipe(&r->aead);
    OPENSSL_cleanse(r, sizeof *r);
}
