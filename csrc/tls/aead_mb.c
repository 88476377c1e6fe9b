/* tls/aead_mb.c: libipsec-mb's direct functions: a call does one record at once, no job queue. Its manager is used as
 * a table of functions for this CPU and nothing is kept in it, so threads may share it. The emulation of AES without
 * AES-NI is table driven, hence not constant-time, and never used. */
#include "base/err.h"
#include "tls/aead_priv.h"
#include <intel-ipsec-mb.h>
#include <string.h>

#define NEEDED (IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_SSE4_2)

_Static_assert(sizeof(struct gcm_key_data) <= sizeof((struct xw_aead *)0)->key, "an expanded key fits");
_Static_assert(sizeof(struct gcm_context_data) <= sizeof((struct xw_aead *)0)->work, "a GCM context fits");
_Static_assert(sizeof(struct chacha20_poly1305_context_data) <= sizeof((struct xw_aead *)0)->work, "ChaCha's too");

void *xw_aead_mb_new(void) {
    IMB_MGR *m = alloc_mb_mgr(0);
    if (!m)
        return NULL;
    if ((m->features & NEEDED) == NEEDED && !(m->features & IMB_FEATURE_AESNI_EMU)) {
        init_mb_mgr_auto(m, NULL);
        bool failed = (m->features & IMB_FEATURE_SELF_TEST) && !(m->features & IMB_FEATURE_SELF_TEST_PASS);
        if (!failed && !imb_get_errno(m))
            return m;
    }
    free_mb_mgr(m);
    return NULL;
}

void xw_aead_mb_free(void *mb) {
    if (mb)
        free_mb_mgr(mb);
}

static const IMB_MGR *mgr(const struct xw_aead *a) { return a->lib->mb; }
static struct gcm_key_data *gcm_key(struct xw_aead *a) { return (struct gcm_key_data *)(void *)a->key; }
static struct gcm_context_data *gcm_ctx(struct xw_aead *a) { return (struct gcm_context_data *)(void *)a->work; }

/* Without a branch on what differs where. */
static bool same_tag(const uint8_t *tag, const uint8_t *want) {
    uint64_t a[2], b[2];
    memcpy(a, tag, sizeof a);
    memcpy(b, want, sizeof b);
    uint64_t diff = (a[0] ^ b[0]) | (a[1] ^ b[1]);
    return !diff;
}

static int key128(struct xw_aead *a, bool sealing, const uint8_t *key) {
    (void)sealing;
    mgr(a)->gcm128_pre(key, gcm_key(a));
    return XW_OK;
}

static bool seal128(struct xw_aead *a, const uint8_t *nonce, struct xw_span aad, struct xw_span in, uint8_t *out) {
    mgr(a)->gcm128_enc(gcm_key(a), gcm_ctx(a), out, in.p, in.len, nonce, aad.p, aad.len, out + in.len,
                       XW_AEAD_TAG_LEN);
    return true;
}

static bool open128(struct xw_aead *a, const uint8_t *nonce, struct xw_span aad, struct xw_span in, uint8_t *out) {
    uint8_t tag[XW_AEAD_TAG_LEN];
    size_t len = in.len - XW_AEAD_TAG_LEN;
    mgr(a)->gcm128_dec(gcm_key(a), gcm_ctx(a), out, in.p, len, nonce, aad.p, aad.len, tag, XW_AEAD_TAG_LEN);
    return same_tag(tag, in.p + len);
}

static int key256(struct xw_aead *a, bool sealing, const uint8_t *key) {
    (void)sealing;
    mgr(a)->gcm256_pre(key, gcm_key(a));
    return XW_OK;
}

static bool seal256(struct xw_aead *a, const uint8_t *nonce, struct xw_span aad, struct xw_span in, uint8_t *out) {
    mgr(a)->gcm256_enc(gcm_key(a), gcm_ctx(a), out, in.p, in.len, nonce, aad.p, aad.len, out + in.len,
                       XW_AEAD_TAG_LEN);
    return true;
}

static bool open256(struct xw_aead *a, const uint8_t *nonce, struct xw_span aad, struct xw_span in, uint8_t *out) {
    uint8_t tag[XW_AEAD_TAG_LEN];
    size_t len = in.len - XW_AEAD_TAG_LEN;
    mgr(a)->gcm256_dec(gcm_key(a), gcm_ctx(a), out, in.p, len, nonce, aad.p, aad.len, tag, XW_AEAD_TAG_LEN);
    return same_tag(tag, in.p + len);
}

/* ---- ChaCha20-Poly1305: the key is used as it is ---- */

static struct chacha20_poly1305_context_data *chacha(struct xw_aead *a) {
    return (struct chacha20_poly1305_context_data *)(void *)a->work;
}

static int key_chacha(struct xw_aead *a, bool sealing, const uint8_t *key) {
    (void)sealing;
    memcpy(a->key, key, XW_AEAD_KEY_MAX);
    return XW_OK;
}

static bool seal_chacha(struct xw_aead *a, const uint8_t *nonce, struct xw_span aad, struct xw_span in, uint8_t *out) {
    const IMB_MGR *m = mgr(a);
    m->chacha20_poly1305_init(a->key, chacha(a), nonce, aad.p, aad.len);
    m->chacha20_poly1305_enc_update(a->key, chacha(a), out, in.p, in.len);
    m->chacha20_poly1305_finalize(chacha(a), out + in.len, XW_AEAD_TAG_LEN);
    return true;
}

static bool open_chacha(struct xw_aead *a, const uint8_t *nonce, struct xw_span aad, struct xw_span in, uint8_t *out) {
    uint8_t tag[XW_AEAD_TAG_LEN];
    size_t len = in.len - XW_AEAD_TAG_LEN;
    const IMB_MGR *m = mgr(a);
    m->chacha20_poly1305_init(a->key, chacha(a), nonce, aad.p, aad.len);
    m->chacha20_poly1305_dec_update(a->key, chacha(a), out, in.p, len);
    m->chacha20_poly1305_finalize(chacha(a), tag, XW_AEAD_TAG_LEN);
    return same_tag(tag, in.p + len);
}

const struct xw_aead_ops xw_aead_mb_gcm128 = { "ipsec-mb", key128, seal128, open128 };
const struct xw_aead_ops xw_aead_mb_gcm256 = { "ipsec-mb", key256, seal256, open256 };
const struct xw_aead_ops xw_aead_mb_chacha = { "ipsec-mb", key_chacha, seal_chacha, open_chacha };
