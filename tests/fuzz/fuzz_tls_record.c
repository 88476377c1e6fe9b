/* A server after the handshake that says anything: records of any type and content under the right keys, in any cut, and
 * bytes that are no such records. Data must come out as it was put in and in order; nothing but refusals may follow from
 * what is no TLS; our own records must be readable by the server with the keys that it would have. */
#include "base/assert.h"
#include "tls/kdf.h"
#include "tls/own.h"
#include <openssl/evp.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct run {
    struct xw_own own;
    struct xw_rec tx, rx;      /* of the server */
    uint8_t secret[2][48];
    bool tls13;
    enum xw_aead_alg alg;
    const EVP_MD *md;
    size_t secret_len;
};

static uint8_t rec[20000], out[XW_REC_OPEN_MAX], content[XW_REC_CONTENT_MAX + 1];

static void key13(struct run *r, const struct xw_aead_lib *lib, struct xw_rec *k, bool sealing, unsigned side, bool next) {
    uint8_t key[32], iv[12], *s = r->secret[side];
    if (next) {
        uint8_t n[48];
        XW_ASSERT(!xw_kdf_expand_label(r->md, xw_span(s, r->secret_len), "traffic upd", n, r->secret_len));
        memcpy(s, n, r->secret_len);
    }
    XW_ASSERT(!xw_kdf_expand_label(r->md, xw_span(s, r->secret_len), "key", key, xw_aead_key_len(r->alg)));
    XW_ASSERT(!xw_kdf_expand_label(r->md, xw_span(s, r->secret_len), "iv", iv, 12));
    XW_ASSERT(!xw_rec_key(k, lib, r->alg, true, sealing, key, iv));
}

static void begin(struct run *r, const struct xw_aead_lib *lib, uint8_t how) {
    static const uint8_t master[48] = { 1 }, random[32] = { 2 };
    r->tls13 = how & 1;
    r->alg = (enum xw_aead_alg)(1 + (how >> 1) % 3);
    r->md = r->alg == XW_AEAD_AES256_GCM ? EVP_sha384() : EVP_sha256();
    if (r->tls13) {
        r->secret_len = (size_t)EVP_MD_get_size(r->md);
        r->secret[1][0] = 1;
        XW_ASSERT(!xw_own_start13(&r->own, lib, r->alg, r->md, xw_span(r->secret[0], r->secret_len),
                                  xw_span(r->secret[1], r->secret_len)));
        key13(r, lib, &r->rx, false, 0, false);
        key13(r, lib, &r->tx, true, 1, false);
        return;
    }
    uint8_t seed[64], block[88];
    size_t k = xw_aead_key_len(r->alg), iv = xw_rec_iv_len(false, r->alg);
    XW_ASSERT(!xw_own_start12(&r->own, lib, r->alg, r->md, xw_span(master, 48), random, random, 9));
    memcpy(seed, random, 32), memcpy(seed + 32, random, 32);
    XW_ASSERT(!xw_kdf_prf12(r->md, xw_span(master, 48), "key expansion", xw_span(seed, 64), block, 2 * (k + iv)));
    XW_ASSERT(!xw_rec_key(&r->rx, lib, r->alg, false, false, block, block + 2 * k));
    XW_ASSERT(!xw_rec_key(&r->tx, lib, r->alg, false, true, block + k, block + 2 * k + iv));
    r->rx.seq = r->tx.seq = 1;
}

/* What we send can be read, and is of the kind that may be sent. */
static void server_reads(struct run *r, const struct xw_aead_lib *lib, size_t n) {
    struct xw_rec_content c;
    static uint8_t room[XW_REC_OPEN_MAX];
    XW_ASSERT(n && !xw_rec_open(&r->rx, xw_span(rec, n), room, &c));
    XW_ASSERT(c.type == XW_REC_DATA || c.type == XW_REC_ALERT || (c.type == XW_REC_HANDSHAKE && r->tls13));
    if (c.type == XW_REC_HANDSHAKE) {
        XW_ASSERT(c.len == 5 && !memcmp(room, "\x18\0\0\1", 4) && room[4] <= 1);
        key13(r, lib, &r->rx, false, 0, true);
    }
}

static void answer(struct run *r, const struct xw_aead_lib *lib) {
    for (unsigned i = 0; xw_own_owes(&r->own); i++) {
        XW_ASSERT(i < 2);
        server_reads(r, lib, xw_own_owed(&r->own, rec));
    }
    memcpy(content, "order", 5);
    server_reads(r, lib, xw_own_seal(&r->own, XW_REC_DATA, content, 5, rec));
}

/* One record of the server; false: the connection has ended. */
static bool one(struct run *r, const struct xw_aead_lib *lib, uint8_t type, const uint8_t *p, size_t len, uint8_t how) {
    static const uint8_t types[] = { XW_REC_DATA, XW_REC_DATA, XW_REC_HANDSHAKE, XW_REC_HANDSHAKE, XW_REC_ALERT,
                                     XW_REC_CCS, 24, 0x80 };
    uint8_t t = types[type % sizeof types];
    size_t n = 0, rec_len;
    if (len)
        memcpy(content, p, len);
    bool raw = how == 255 && len >= XW_REC_HDR_LEN;
    if (raw) {
        memcpy(rec, p, len);
        rec_len = len;
    } else
        rec_len = xw_rec_seal(&r->tx, t, content, len, rec);
    bool changed = raw || how == 254;
    if (how == 254)
        rec[rec_len - 1 - type % rec_len] ^= 0x10;
    uint64_t before = r->own.rx.seq;
    bool asked = xw_own_owes(&r->own);
    enum xw_own_result got = xw_own_open(&r->own, xw_span(rec, rec_len), out, &n);
    bool rekeyed = r->tls13 && r->own.rx.seq == 0 && got == XW_OWN_NOTHING;
    if (got == XW_OWN_FATAL) {
        XW_ASSERT(r->own.by_peer || (r->own.why && *r->own.why));
        if (!r->own.by_peer)
            server_reads(r, lib, xw_own_seal_alert(&r->own, r->own.alert, rec));
        return false;
    }
    /* in 1.2 the header's length is not what the tag covers, but the content's: the caller cut by it */
    XW_ASSERT(!changed || (!r->tls13 && how == 254 && type % rec_len >= rec_len - XW_REC_HDR_LEN));
    XW_ASSERT(rekeyed || r->own.rx.seq == before + 1);
    XW_ASSERT(got != XW_OWN_DATA || (t == XW_REC_DATA && n == len && n && !memcmp(out, p, n)));
    XW_ASSERT(got != XW_OWN_END || t == XW_REC_ALERT);
    XW_ASSERT(got == XW_OWN_NOTHING || xw_own_owes(&r->own) == asked);
    if (rekeyed)
        key13(r, lib, &r->tx, true, 1, true);
    return got != XW_OWN_END;
}

/* Input: how to begin, then records: kind, how, length, bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static struct run r;
    struct xw_aead_lib *lib;
    if (len < 1 || xw_aead_lib_new(&lib))
        return 0;
    if (data[0] & 0x10)
        xw_aead_lib_prefer(lib, XW_AEAD_EVP);
    begin(&r, lib, data[0]);
    bool open = true;
    for (size_t i = 1; i + 3 <= len && open;) {
        size_t n = data[i + 2] < 250 ? data[i + 2] : (size_t)(data[i + 2] - 249) * 2700;
        n = n < len - i - 3 ? n : len - i - 3;
        open = one(&r, lib, data[i], data + i + 3, n, data[i + 1]);
        if (open && data[i] & 0x40)
            answer(&r, lib);
        i += 3 + n;
    }
    xw_own_wipe(&r.own);
    xw_rec_wipe(&r.tx);
    xw_rec_wipe(&r.rx);
    memset(&r, 0, sizeof r);
    xw_aead_lib_free(lib);
    return 0;
}
