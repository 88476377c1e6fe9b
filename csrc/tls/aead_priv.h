/* tls/aead_priv.h: what a library gives to aead.c. */
#ifndef XW_TLS_AEAD_PRIV_H
#define XW_TLS_AEAD_PRIV_H
#include "tls/aead.h"

struct xw_aead_ops {
    const char *name;
    int (*key)(struct xw_aead *a, bool sealing, const uint8_t *key);
    bool (*seal)(struct xw_aead *a, const uint8_t *nonce, struct xw_span aad, struct xw_span in, uint8_t *out);
    bool (*open)(struct xw_aead *a, const uint8_t *nonce, struct xw_span aad, struct xw_span in, uint8_t *out);
};

struct xw_aead_lib {
    void *mb;        /* IMB_MGR; NULL: this CPU or the library does not serve */
    uint32_t mb_has; /* bit per enum xw_aead_alg */
    enum xw_aead_backend prefer;
};

/* aead_mb.c */
extern const struct xw_aead_ops xw_aead_mb_gcm128, xw_aead_mb_gcm256, xw_aead_mb_chacha;
/* xw_aead_mb_new: the library's functions for this CPU; NULL if it lacks AES or carry-less multiplication. */
void *xw_aead_mb_new(void);
void xw_aead_mb_free(void *mb);
#endif
