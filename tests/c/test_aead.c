/* Both libraries against each other, for every length that matters, and what must not open. */
#include "base/err.h"
#include "tls/aead.h"
#include "xt.h"
#include "xt_tls.h"

#define LEN_MAX 16401u

static uint8_t text[LEN_MAX], sealed[2][LEN_MAX + 16], opened[LEN_MAX], key[32], nonce[16], aad[13];
static struct xw_aead seal[2], open[2];
static const enum xw_aead_backend backends[2] = { XW_AEAD_EVP, XW_AEAD_IPSEC_MB };

static void keys(const struct xw_aead_lib *lib, enum xw_aead_alg alg) {
    xt_pattern(key, sizeof key, alg);
    for (unsigned i = 0; i < 2; i++) {
        XT_EQ(xw_aead_key(&seal[i], lib, backends[i], alg, true, key), XW_OK);
        XT_EQ(xw_aead_key(&open[i], lib, backends[i], alg, false, key), XW_OK);
    }
}

static void wipe(void) {
    for (unsigned i = 0; i < 2; i++) {
        xw_aead_wipe(&seal[i]);
        xw_aead_wipe(&open[i]);
    }
}

/* Sealed alike, and each opens what the other sealed. */
static void compare(size_t len, size_t aad_len) {
    xt_pattern(nonce, sizeof nonce, (uint32_t)len);
    struct xw_span with = xw_span(aad, aad_len);
    for (unsigned i = 0; i < 2; i++)
        XT_TRUE(xw_aead_seal(&seal[i], nonce, with, xw_span(text, len), sealed[i]));
    XT_MEM(sealed[1], sealed[0], len + 16);
    for (unsigned i = 0; i < 2; i++) {
        memset(opened, 0xee, len + 1);
        XT_TRUE(xw_aead_open(&open[i], nonce, with, xw_span(sealed[1 - i], len + 16), opened));
        XT_MEM(opened, text, len);
        XT_EQ(opened[len], 0xee); /* not a byte more */
    }
}

static bool both(const struct xw_aead_lib *lib, enum xw_aead_alg alg) {
    if (xw_aead_has(lib, XW_AEAD_IPSEC_MB, alg))
        return true;
    fprintf(stderr, "    libipsec-mb does not serve algorithm %d here: skipped\n", (int)alg);
    return false;
}

XT_TEST(libraries_agree) {
    struct xw_aead_lib *lib;
    XT_EQ(xw_aead_lib_new(&lib), XW_OK);
    xt_pattern(text, sizeof text, 1);
    xt_pattern(aad, sizeof aad, 2);
    for (enum xw_aead_alg alg = XW_AEAD_AES128_GCM; alg <= XW_AEAD_CHACHA20_POLY1305; alg++) {
        if (!both(lib, alg))
            continue;
        keys(lib, alg);
        for (size_t len = 0; len <= 1100; len++)
            compare(len, len & 1 ? 5 : 13);
        for (size_t len = 16300; len <= LEN_MAX - 1; len++)
            compare(len, 5);
    }
    wipe();
    xw_aead_lib_free(lib);
}

XT_TEST(a_changed_bit_does_not_open) {
    struct xw_aead_lib *lib;
    XT_EQ(xw_aead_lib_new(&lib), XW_OK);
    for (enum xw_aead_alg alg = XW_AEAD_AES128_GCM; alg <= XW_AEAD_CHACHA20_POLY1305; alg++) {
        if (!both(lib, alg))
            continue;
        keys(lib, alg);
        struct xw_span with = xw_span(aad, 5), in = xw_span(sealed[0], 40 + 16);
        XT_TRUE(xw_aead_seal(&seal[0], nonce, with, xw_span(text, 40), sealed[0]));
        for (unsigned i = 0; i < 2; i++) {
            for (size_t bit = 0; bit < in.len * 8; bit++) {
                sealed[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
                XT_TRUE(!xw_aead_open(&open[i], nonce, with, in, opened));
                sealed[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
            aad[4] ^= 1;
            XT_TRUE(!xw_aead_open(&open[i], nonce, with, in, opened));
            aad[4] ^= 1;
            nonce[11] ^= 1;
            XT_TRUE(!xw_aead_open(&open[i], nonce, with, in, opened));
            nonce[11] ^= 1;
            XT_TRUE(xw_aead_open(&open[i], nonce, with, in, opened)); /* a refusal leaves no trace */
        }
    }
    wipe();
    xw_aead_lib_free(lib);
}

/* First block of test case 3 of the GCM specification. */
XT_TEST(known_answers) {
    static const uint8_t k[16] = { 0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30,
                                   0x83, 0x08 };
    static const uint8_t n[16] = { 0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce, 0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88 };
    static const uint8_t p[16] = { 0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5,
                                   0x26, 0x9a };
    static const uint8_t c[16] = { 0x42, 0x83, 0x1e, 0xc2, 0x21, 0x77, 0x74, 0x24, 0x4b, 0x72, 0x21, 0xb7, 0x84, 0xd0,
                                   0xd4, 0x9c };
    struct xw_aead_lib *lib;
    XT_EQ(xw_aead_lib_new(&lib), XW_OK);
    for (unsigned i = 0; i < 2; i++) {
        if (!xw_aead_has(lib, backends[i], XW_AEAD_AES128_GCM))
            continue;
        XT_EQ(xw_aead_key(&seal[i], lib, backends[i], XW_AEAD_AES128_GCM, true, k), XW_OK);
        XT_STR(xw_aead_name(&seal[i]), i ? "ipsec-mb" : "evp");
        XT_TRUE(xw_aead_seal(&seal[i], n, xw_span(aad, 0), xw_span(p, 16), sealed[i]));
        XT_MEM(sealed[i], c, 16);
    }
    wipe();
    xw_aead_lib_free(lib);
}

XT_TEST(choice_and_end) {
    struct xw_aead_lib *lib;
    XT_EQ(xw_aead_lib_new(&lib), XW_OK);
    xw_aead_lib_prefer(lib, XW_AEAD_EVP);
    XT_EQ(xw_aead_key(&seal[0], lib, XW_AEAD_AUTO, XW_AEAD_AES256_GCM, true, key), XW_OK);
    XT_STR(xw_aead_name(&seal[0]), "evp");
    xw_aead_wipe(&seal[0]);
    XT_STR(xw_aead_name(&seal[0]), "");
    static const struct xw_aead none;
    XT_MEM(&seal[0], &none, sizeof none);
    xw_aead_lib_free(lib);
}

XT_MAIN(XT_RUN(libraries_agree), XT_RUN(a_changed_bit_does_not_open), XT_RUN(known_answers), XT_RUN(choice_and_end))
