#include "tls/kdf.h"
#include "base/err.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define LABEL_MAX 12u
#define SEED_MAX 80u

static int hmac(const EVP_MD *md, struct xw_span key, const uint8_t *data, size_t len, uint8_t *out) {
    return HMAC(md, key.p, (int)key.len, data, len, out, NULL) ? XW_OK : XW_ENOMEM;
}

/* HKDF-Expand (RFC 5869 2.3): T(i) = HMAC(secret, T(i - 1) || info || i). */
int xw_kdf_expand_label(const EVP_MD *md, struct xw_span secret, const char *label, uint8_t *out, size_t out_len) {
    uint8_t msg[EVP_MAX_MD_SIZE + 3 + 6 + LABEL_MAX + 2], t[EVP_MAX_MD_SIZE];
    size_t name_len = strlen(label), hash_len = (size_t)EVP_MD_get_size(md), prev = 0;
    if (name_len > LABEL_MAX || out_len > 255)
        return XW_EINVAL;
    uint8_t total = (uint8_t)out_len;
    int rc = XW_OK;
    for (uint8_t i = 1; out_len && !rc; i++) {
        uint8_t *p = msg;
        memcpy(p, t, prev), p += prev;
        *p++ = 0, *p++ = total;
        *p++ = (uint8_t)(6 + name_len);
        memcpy(p, "tls13 ", 6), p += 6;
        memcpy(p, label, name_len), p += name_len;
        *p++ = 0, *p++ = i;
        rc = hmac(md, secret, msg, (size_t)(p - msg), t);
        size_t n = out_len < hash_len ? out_len : hash_len;
        memcpy(out, t, n);
        out += n, out_len -= n, prev = hash_len;
    }
    OPENSSL_cleanse(msg, sizeof msg);
    OPENSSL_cleanse(t, sizeof t);
    return rc;
}

/* P_hash: A(i) = HMAC(secret, A(i - 1)), output HMAC(secret, A(i) || label || seed). */
int xw_kdf_prf12(const EVP_MD *md, struct xw_span secret, const char *label, struct xw_span seed, uint8_t *out,
                 size_t out_len) {
    uint8_t msg[EVP_MAX_MD_SIZE + SEED_MAX], t[EVP_MAX_MD_SIZE];
    size_t hash_len = (size_t)EVP_MD_get_size(md), name_len = strlen(label), rest = name_len + seed.len;
    if (rest > SEED_MAX)
        return XW_EINVAL;
    memcpy(msg + hash_len, label, name_len);
    memcpy(msg + hash_len + name_len, seed.p, seed.len);
    int rc = hmac(md, secret, msg + hash_len, rest, msg);
    while (out_len && !rc) {
        rc = hmac(md, secret, msg, hash_len + rest, t);
        size_t n = out_len < hash_len ? out_len : hash_len;
        memcpy(out, t, n);
        out += n, out_len -= n;
        if (!rc)
            rc = hmac(md, secret, msg, hash_len, t);
        memcpy(msg, t, hash_len);
    }
    OPENSSL_cleanse(msg, sizeof msg);
    OPENSSL_cleanse(t, sizeof t);
    return rc;
}
