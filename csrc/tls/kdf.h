/* tls/kdf.h: the two key derivations of TLS: HKDF-Expand-Label of TLS 1.3 (RFC 8446 7.1) and the PRF of TLS 1.2
 * (RFC 5246 5), over OpenSSL's HMAC. Cold: once a key. */
#ifndef XW_TLS_KDF_H
#define XW_TLS_KDF_H
#include "base/span.h"

struct evp_md_st; /* EVP_MD */

/* xw_kdf_expand_label: with an empty context; label without "tls13 ", at most 12 characters; out_len at most 255.
 * XW_OK, XW_EINVAL, or XW_ENOMEM if OpenSSL fails. */
int xw_kdf_expand_label(const struct evp_md_st *md, struct xw_span secret, const char *label, uint8_t *out,
                        size_t out_len);
/* xw_kdf_prf12: PRF(secret, label, seed); label and seed are at most 80 bytes together. As above. */
int xw_kdf_prf12(const struct evp_md_st *md, struct xw_span secret, const char *label, struct xw_span seed,
                 uint8_t *out, size_t out_len);
#endif
