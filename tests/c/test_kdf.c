/* Key derivation against published vectors, and against OpenSSL's own where a vector is too short to show a loop. */
#include "base/err.h"
#include "tls/kdf.h"
#include "xt.h"
#include "xt_hex.h"
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdbool.h>

static uint8_t out[256], want[256];

/* RFC 8448 section 3: write keys of both sides from their application traffic secrets. */
XT_TEST(traffic_keys_of_rfc8448) {
    static const struct { const char *secret, *key, *iv; } v[] = {
        { "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", "17422dda596ed5d9acd890e3c63f5051",
          "5b78923dee08579033e523d9" },
        { "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643", "9f02283b6c9c07efc26bb9f2ac92e356",
          "cf782b88dd83549aadf1e984" },
    };
    for (size_t i = 0; i < 2; i++) {
        uint8_t secret[32];
        XT_EQ(xt_hex(v[i].secret, secret, 32), 32);
        XT_EQ(xw_kdf_expand_label(EVP_sha256(), xw_span(secret, 32), "key", out, 16), XW_OK);
        XT_EQ(xt_hex(v[i].key, want, 16), 16);
        XT_MEM(out, want, 16);
        XT_EQ(xw_kdf_expand_label(EVP_sha256(), xw_span(secret, 32), "iv", out, 12), XW_OK);
        XT_EQ(xt_hex(v[i].iv, want, 12), 12);
        XT_MEM(out, want, 12);
    }
}

/* Every length, also over several blocks: OpenSSL's HKDF with the label built by hand. */
XT_TEST(expand_label_as_openssl) {
    const EVP_MD *mds[] = { EVP_sha256(), EVP_sha384() };
    uint8_t secret[48], info[] = { 0, 0, 17, 't', 'l', 's', '1', '3', ' ', 't', 'r', 'a', 'f', 'f', 'i', 'c', ' ',
                                   'u', 'p', 'd', 0 };
    memset(secret, 0x5a, sizeof secret);
    for (size_t k = 0; k < 2; k++)
        for (size_t len = 1; len <= 255; len++) {
            size_t secret_len = (size_t)EVP_MD_get_size(mds[k]), n = len;
            EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
            info[1] = (uint8_t)len;
            XT_TRUE(EVP_PKEY_derive_init(c) > 0 &&
                    EVP_PKEY_CTX_set_hkdf_mode(c, EVP_PKEY_HKDEF_MODE_EXPAND_ONLY) > 0 &&
                    EVP_PKEY_CTX_set_hkdf_md(c, mds[k]) > 0 &&
                    EVP_PKEY_CTX_set1_hkdf_key(c, secret, (int)secret_len) > 0 &&
                    EVP_PKEY_CTX_add1_hkdf_info(c, info, sizeof info) > 0 && EVP_PKEY_derive(c, want, &n) > 0);
            EVP_PKEY_CTX_free(c);
            XT_EQ(xw_kdf_expand_label(mds[k], xw_span(secret, secret_len), "traffic upd", out, len), XW_OK);
            XT_MEM(out, want, len);
        }
}

/* The vectors that were published with the TLS 1.2 PRF. */
XT_TEST(prf_vectors) {
    static const struct { bool sha384; const char *secret, *seed, *want; } v[] = {
        { false, "9bbe436ba940f017b17652849a71db35", "a0ba9f936cda311827a6f796ffd5198c",
          "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af"
          "0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66" },
        { true, "b80b733d6ceefcdc71566ea48e5567df", "cd665cf6a8447dd6ff8b27555edb7465",
          "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cde9ca0faa60be9fe34f82b1233c9146a0"
          "e534cb400fed2700884f9dc236f80edd8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d918425"
          "9b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236a3e52655c9e9aee691c8f3a26854308d5eaa3be85e0990703d73e56f" },
    };
    for (size_t i = 0; i < 2; i++) {
        uint8_t secret[16], seed[16];
        size_t n = xt_hex(v[i].want, want, sizeof want);
        XT_EQ(xt_hex(v[i].secret, secret, 16) + xt_hex(v[i].seed, seed, 16), 32);
        XT_EQ(xw_kdf_prf12(v[i].sha384 ? EVP_sha384() : EVP_sha256(), xw_span(secret, 16), "test label",
                           xw_span(seed, 16), out, n), XW_OK);
        XT_MEM(out, want, n);
    }
}

XT_TEST(what_is_too_long_is_refused) {
    uint8_t seed[80] = { 0 };
    XT_EQ(xw_kdf_expand_label(EVP_sha256(), xw_span(seed, 32), "longer than 12", out, 16), XW_EINVAL);
    XT_EQ(xw_kdf_expand_label(EVP_sha256(), xw_span(seed, 32), "key", out, 256), XW_EINVAL);
    XT_EQ(xw_kdf_prf12(EVP_sha256(), xw_span(seed, 48), "x", xw_span(seed, 80), out, 16), XW_EINVAL);
}

XT_MAIN(XT_RUN(traffic_keys_of_rfc8448), XT_RUN(expand_label_as_openssl), XT_RUN(prf_vectors),
        XT_RUN(what_is_too_long_is_refused))
