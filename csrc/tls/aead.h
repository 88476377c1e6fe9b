/* tls/aead.h: the three AEADs of TLS (AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305), from two libraries.
 *
 * Intel's libipsec-mb is an order of magnitude faster on small records where the CPU has AES and carry-less
 * multiplication; OpenSSL's EVP serves everywhere else. Which of them does an algorithm is looked up at run time in a
 * struct xw_aead_lib, one per TLS context: it holds the library's table of functions for this CPU, is not written
 * after creation and may be used by several threads. A library that computes something else than EVP on a known
 * input is not used. A key is one direction of one connection: no allocation after xw_aead_key. Tags are compared in
 * constant time. */
#ifndef XW_TLS_AEAD_H
#define XW_TLS_AEAD_H
#include "base/span.h"
#include <stdbool.h>

#define XW_AEAD_TAG_LEN 16u
#define XW_AEAD_NONCE_LEN 12u
#define XW_AEAD_KEY_MAX 32u

enum xw_aead_alg { XW_AEAD_AES128_GCM = 1, XW_AEAD_AES256_GCM, XW_AEAD_CHACHA20_POLY1305 };
enum xw_aead_backend { XW_AEAD_AUTO, XW_AEAD_EVP, XW_AEAD_IPSEC_MB };

struct xw_aead_lib;
struct xw_aead_ops;

/* One key in one direction. Must lie on a 64-byte boundary (the type says so; malloc does not). */
struct xw_aead {
    const struct xw_aead_ops *ops; /* NULL: no key */
    const struct xw_aead_lib *lib;
    void *evp;                     /* EVP_CIPHER_CTX, kept for the next key */
    enum xw_aead_alg alg;
    _Alignas(64) uint8_t key[1024]; /* libipsec-mb's expanded key */
    _Alignas(64) uint8_t work[256]; /* its scratch memory for one record */
};

/* xw_aead_lib_new: finds out what this CPU can do. XW_ENOMEM. */
int xw_aead_lib_new(struct xw_aead_lib **out);
void xw_aead_lib_free(struct xw_aead_lib *lib);
/* xw_aead_lib_prefer: what XW_AEAD_AUTO means from now on; before the first key (tests, measurements). */
void xw_aead_lib_prefer(struct xw_aead_lib *lib, enum xw_aead_backend backend);
/* xw_aead_has: whether this library can do that here. */
bool xw_aead_has(const struct xw_aead_lib *lib, enum xw_aead_backend backend, enum xw_aead_alg alg);

size_t xw_aead_key_len(enum xw_aead_alg alg);
/* xw_aead_key: sets a (zeroed, or with an earlier key) up; key has xw_aead_key_len bytes. XW_ENOMEM, or XW_EINVAL if
 * that library does not serve. */
int xw_aead_key(struct xw_aead *a, const struct xw_aead_lib *lib, enum xw_aead_backend backend, enum xw_aead_alg alg,
                bool sealing, const uint8_t *key);
/* xw_aead_seal: out gets in.len bytes and the tag. Neither may overlap. false: the library failed. */
bool xw_aead_seal(struct xw_aead *a, const uint8_t nonce[16], struct xw_span aad, struct xw_span in, uint8_t *out);
/* xw_aead_open: in ends with the tag; out gets in.len - XW_AEAD_TAG_LEN bytes, which mean nothing if the result is
 * false. in.len is at least the tag's. The nonce has 12 bytes; 4 more must be readable. */
bool xw_aead_open(struct xw_aead *a, const uint8_t nonce[16], struct xw_span aad, struct xw_span in, uint8_t *out);
/* xw_aead_name: "ipsec-mb" or "evp"; "" without a key. */
const char *xw_aead_name(const struct xw_aead *a);
/* xw_aead_wipe: forgets the key. */
void xw_aead_wipe(struct xw_aead *a);
#endif
