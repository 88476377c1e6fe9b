/* tls/aead.c: which library does which algorithm, and OpenSSL's EVP as one of them. */
#include "base/assert.h"
#include "base/err.h"
#include "tls/aead_priv.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

size_t xw_aead_key_len(enum xw_aead_alg alg) { return alg == XW_AEAD_AES128_GCM ? 16 : 32; }

/* ---- EVP ---- */

static const EVP_CIPHER *evp_cipher(enum xw_aead_alg alg) {
    switch (alg) {
    case XW_AEAD_AES128_GCM:
        return EVP_aes_128_gcm();
    case XW_AEAD_AES256_GCM:
        return EVP_aes_256_gcm();
    case XW_AEAD_CHACHA20_POLY1305:
        return EVP_chacha20_poly1305();
    }
    return NULL;
}

static int evp_key(struct xw_aead *a, bool sealing, const uint8_t *key) {
    if (!a->evp)
        a->evp = EVP_CIPHER_CTX_new();
    if (!a->evp || !EVP_CipherInit_ex(a->evp, evp_cipher(a->alg), NULL, key, NULL, sealing))
        return XW_ENOMEM;
    return XW_OK;
}

static bool evp_seal(struct xw_aead *a, const uint8_t *nonce, struct xw_span aad, struct xw_span in, uint8_t *out) {
    EVP_CIPHER_CTX *c = a->evp;
    int n;
    return EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, 1) && EVP_CipherUpdate(c, NULL, &n, aad.p, (int)aad.len) &&
           (!in.len || EVP_CipherUpdate(c, out, &n, in.p, (int)in.len)) && EVP_CipherFinal_ex(c, out + in.len, &n) &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, XW_AEAD_TAG_LEN, out + in.len);
}

static bool evp_open(struct xw_aead *a, const uint8_t *nonce, struct xw_span aad, struct xw_span in, uint8_t *out) {
    EVP_CIPHER_CTX *c = a->evp;
    size_t len = in.len - XW_AEAD_TAG_LEN;
    void *tag = (void *)(uintptr_t)(in.p + len); /* EVP's argument is not const, but only read */
    uint8_t rest[16];
    int n;
    return EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, 0) &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, XW_AEAD_TAG_LEN, tag) &&
           EVP_CipherUpdate(c, NULL, &n, aad.p, (int)aad.len) &&
           (!len || EVP_CipherUpdate(c, out, &n, in.p, (int)len)) && EVP_CipherFinal_ex(c, rest, &n) > 0;
}

static const struct xw_aead_ops evp_ops = { "evp", evp_key, evp_seal, evp_open };

/* ---- the choice ---- */

static const struct xw_aead_ops *mb_ops(enum xw_aead_alg alg) {
    switch (alg) {
    case XW_AEAD_AES128_GCM:
        return &xw_aead_mb_gcm128;
    case XW_AEAD_AES256_GCM:
        return &xw_aead_mb_gcm256;
    case XW_AEAD_CHACHA20_POLY1305:
        return &xw_aead_mb_chacha;
    }
    return NULL;
}

bool xw_aead_has(const struct xw_aead_lib *lib, enum xw_aead_backend backend, enum xw_aead_alg alg) {
    return backend != XW_AEAD_IPSEC_MB || (lib->mb_has >> alg & 1);
}

static const struct xw_aead_ops *choose(const struct xw_aead_lib *lib, enum xw_aead_backend backend,
                                        enum xw_aead_alg alg) {
    if (backend == XW_AEAD_AUTO)
        backend = lib->prefer;
    if (backend == XW_AEAD_AUTO)
        backend = xw_aead_has(lib, XW_AEAD_IPSEC_MB, alg) ? XW_AEAD_IPSEC_MB : XW_AEAD_EVP;
    if (!xw_aead_has(lib, backend, alg))
        return NULL;
    return backend == XW_AEAD_IPSEC_MB ? mb_ops(alg) : &evp_ops;
}

/* 100 bytes sealed by both libraries are the same, and the one opens what it sealed. */
static bool agrees_with_evp(const struct xw_aead_lib *lib, enum xw_aead_alg alg) {
    static const uint8_t key[XW_AEAD_KEY_MAX] = { 1, 2, 3 }, nonce[16] = { 4, 5 }, text[100] = { 6, 7 };
    uint8_t sealed[2][sizeof text + XW_AEAD_TAG_LEN], opened[sizeof text];
    struct xw_aead a = { 0 };
    bool ok = true;
    for (unsigned i = 0; i < 2; i++)
        ok = ok && !xw_aead_key(&a, lib, i ? XW_AEAD_IPSEC_MB : XW_AEAD_EVP, alg, true, key) &&
             xw_aead_seal(&a, nonce, xw_span(key, 5), xw_span(text, sizeof text), sealed[i]);
    ok = ok && !memcmp(sealed[0], sealed[1], sizeof *sealed);
    ok = ok && !xw_aead_key(&a, lib, XW_AEAD_IPSEC_MB, alg, false, key) &&
         xw_aead_open(&a, nonce, xw_span(key, 5), xw_span(sealed[0], sizeof *sealed), opened) &&
         !memcmp(opened, text, sizeof text);
    xw_aead_wipe(&a);
    return ok;
}

int xw_aead_lib_new(struct xw_aead_lib **out) {
    struct xw_aead_lib *lib = calloc(1, sizeof *lib);
    if (!lib)
        return XW_ENOMEM;
    lib->mb = xw_aead_mb_new();
    for (enum xw_aead_alg alg = XW_AEAD_AES128_GCM; lib->mb && alg <= XW_AEAD_CHACHA20_POLY1305; alg++) {
        lib->mb_has |= 1u << alg;
        if (!agrees_with_evp(lib, alg))
            lib->mb_has &= ~(1u << alg);
    }
    *out = lib;
    return XW_OK;
}

void xw_aead_lib_free(struct xw_aead_lib *lib) {
    if (!lib)
        return;
    xw_aead_mb_free(lib->mb);
    free(lib);
}

void xw_aead_lib_prefer(struct xw_aead_lib *lib, enum xw_aead_backend backend) { lib->prefer = backend; }

/* ---- keys ---- */

int xw_aead_key(struct xw_aead *a, const struct xw_aead_lib *lib, enum xw_aead_backend backend, enum xw_aead_alg alg,
                bool sealing, const uint8_t *key) {
    const struct xw_aead_ops *ops = choose(lib, backend, alg);
    XW_ASSERT(!((uintptr_t)a->key & 63));
    if (!ops)
        return XW_EINVAL;
    a->lib = lib;
    a->alg = alg;
    a->ops = ops;
    int rc = ops->key(a, sealing, key);
    if (rc)
        a->ops = NULL;
    return rc;
}

bool xw_aead_seal(struct xw_aead *a, const uint8_t nonce[16], struct xw_span aad, struct xw_span in, uint8_t *out) {
    return a->ops->seal(a, nonce, aad, in, out);
}

bool xw_aead_open(struct xw_aead *a, const uint8_t nonce[16], struct xw_span aad, struct xw_span in, uint8_t *out) {
    XW_ASSERT(in.len >= XW_AEAD_TAG_LEN);
    return a->ops->open(a, nonce, aad, in, out);
}

const char *xw_aead_name(const struct xw_aead *a) { return a->ops ? a->ops->name : ""; }

void xw_aead_wipe(struct xw_aead *a) {
    EVP_CIPHER_CTX_free(a->evp); /* wipes its key */
    OPENSSL_cleanse(a, sizeof *a);
}
