/* The hand-over itself: when it happens, when not, and that both record layers make the same of the same bytes. */
#include "base/err.h"
#include "tls/own.h"
#include "tls/tls_priv.h"
#include "xt.h"
#include "xt_tls.h"
#include <openssl/err.h>

static uint8_t sent[70000], got[70000];

/* ---- which engine ---- */

static void with_suite(uint8_t version, const char *suite, uint8_t engine, const char *runs) {
    struct xt_tls_opt o = { .version = version, .ciphers12 = version == 12 ? suite : NULL,
                            .ciphers13 = version == 13 ? suite : NULL, .custom = true,
                            .client = { .verify = 1, .ca_file = xt_ca_file(), .tls_engine = engine } };
    struct xw_conn_info info;
    struct xt_tls x;
    o.client.ciphers12 = o.ciphers12, o.client.ciphers13 = o.ciphers13;
    xt_tls_engine(engine == XW_TLS_ENGINE_OPENSSL ? XT_OPENSSL : XT_OWN_MB);
    xt_tls_open(&x, &o);
    XT_EQ(xt_tls_handshake(&x), runs ? XW_BS_OPEN : XW_BS_FAILED);
    xw_tls_info(x.tls, &info);
    if (runs) {
        XT_STR(info.tls_engine, runs);
        xt_srv_write(&x, "hello", 5);
        XT_EQ(xt_tls_drain(&x, got, sizeof got), 5);
    } else {
        XT_EQ(xt_tls_status(&x).error, XW_ETLS);
        XT_TRUE(strstr(x.tls->ops->error_text(x.tls), "record layer does not serve") != NULL);
        XT_TRUE(strstr(x.tls->ops->error_text(x.tls), suite) != NULL);
    }
    xt_tls_close(&x);
}

XT_TEST(engines_and_suites) {
    with_suite(13, "TLS_AES_128_GCM_SHA256", XW_TLS_ENGINE_OPENSSL, "openssl");
    with_suite(13, "TLS_AES_128_GCM_SHA256", XW_TLS_ENGINE_OWN, "own");
    with_suite(13, "TLS_AES_128_CCM_SHA256", XW_TLS_ENGINE_OPENSSL, "openssl");
    with_suite(13, "TLS_AES_128_CCM_SHA256", XW_TLS_ENGINE_OWN, NULL);
    with_suite(12, "ECDHE-ECDSA-AES128-SHA256", XW_TLS_ENGINE_OWN, NULL); /* CBC */
    with_suite(12, "ECDHE-ECDSA-AES128-CCM", XW_TLS_ENGINE_OWN, NULL);
}

/* auto serves what it can and leaves the rest to OpenSSL. */
XT_TEST(auto_falls_back) {
    static const struct { uint8_t version; const char *suite; bool own; } v[] = {
        { 13, "TLS_CHACHA20_POLY1305_SHA256", true }, { 13, "TLS_AES_128_CCM_SHA256", false },
        { 12, "ECDHE-ECDSA-AES256-GCM-SHA384", true }, { 12, "ECDHE-ECDSA-AES128-SHA256", false },
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        struct xt_tls_opt o = { .version = v[i].version, .ciphers12 = v[i].version == 12 ? v[i].suite : NULL,
                                .ciphers13 = v[i].version == 13 ? v[i].suite : NULL, .custom = true, .raw_engine = true,
                                .client = { .verify = 1, .ca_file = xt_ca_file(), .ciphers12 = "ALL",
                                            .ciphers13 = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256" } };
        struct xw_conn_info info;
        struct xt_tls x;
        xt_tls_open(&x, &o);
        XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
        xw_tls_info(x.tls, &info);
        XT_STR(info.cipher, v[i].suite);
        XT_STR(info.tls_engine, v[i].own ? "own" : "openssl");
        XT_TRUE(!strcmp(info.tls_library, "openssl") == !v[i].own);
        xt_srv_write(&x, "hello", 5);
        XT_EQ(xt_tls_drain(&x, got, sizeof got), 5);
        xt_tls_close(&x);
    }
}

XT_TEST(unknown_engine_is_refused) {
    struct xw_tls_ctx *c;
    XT_EQ(xw_tls_ctx_new(&(struct xw_tls_cfg){ .tls_engine = 3 }, &c), XW_EINVAL);
    XT_TRUE(strstr(xw_setup_error(NULL), "openssl or own") != NULL);
}

/* TLS 1.2 with GCM: our explicit nonces go on where OpenSSL's one of Finished was. */
XT_TEST(explicit_nonce_continues) {
    struct xt_tls_opt o = { .version = 12, .ciphers12 = "ECDHE-ECDSA-AES128-GCM-SHA256" };
    uint64_t nonce[2] = { 0, 0 };
    struct xt_tls x;
    xt_tls_engine(XT_OWN_MB);
    xt_tls_open(&x, &o);
    uint8_t wire[8192];
    size_t n = 0;
    for (unsigned i = 0; i < 20 && xt_tls_status(&x).state == XW_BS_CONNECTING; i++) {
        x.tls->ops->poll(x.tls, x.now++);
        x.far->ops->poll(x.far, x.now);
        struct xw_span s = x.far->ops->peek(x.far);
        XT_TRUE(n + s.len <= sizeof wire);
        memcpy(wire + n, s.p, s.len);
        n += s.len;
        xt_srv_step(&x);
    }
    XT_EQ(xt_tls_status(&x).state, XW_BS_OPEN);
    xt_tls_send(&x, "order", 5);
    x.far->ops->poll(x.far, x.now);
    struct xw_span s = x.far->ops->peek(x.far);
    for (unsigned i = 0; i < 8; i++) {
        nonce[0] = nonce[0] << 8 | wire[n - 40 + i];
        nonce[1] = nonce[1] << 8 | s.p[5 + i];
    }
    XT_EQ(wire[n - 45], 22);
    XT_EQ(s.p[0], 23);
    XT_EQ(nonce[1], nonce[0] + 1);
    xt_tls_close(&x);
}

/* ---- the same bytes to both ---- */

static uint8_t secrets[2][XW_OWN_SECRET_MAX]; /* of client, server */
static size_t secret_len;

static void grab(const SSL *ssl, const char *line) {
    static const char *const labels[] = { "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 " };
    (void)ssl;
    for (unsigned k = 0; k < 2; k++)
        if (!strncmp(line, labels[k], strlen(labels[k]))) {
            long len;
            uint8_t *bytes = OPENSSL_hexstr2buf(strrchr(line, ' ') + 1, &len);
            secret_len = (size_t)len;
            memcpy(secrets[k], bytes, secret_len);
            OPENSSL_free(bytes);
        }
}

/* Our state machine with the keys of a connection that OpenSSL runs. */
static void start_own(struct xw_own *own, const struct xt_tls *x, const struct xw_aead_lib *lib) {
    SSL *ssl = ((struct xw_tls *)(void *)x->tls)->ssl;
    const EVP_MD *md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl));
    int nid = SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(ssl)), rc;
    enum xw_aead_alg alg = nid == NID_aes_128_gcm ? XW_AEAD_AES128_GCM : nid == NID_aes_256_gcm
                                                  ? XW_AEAD_AES256_GCM : XW_AEAD_CHACHA20_POLY1305;
    if (SSL_version(ssl) == TLS1_3_VERSION)
        rc = xw_own_start13(own, lib, alg, md, xw_span(secrets[0], secret_len), xw_span(secrets[1], secret_len));
    else {
        uint8_t master[48], c[32], s[32];
        size_t n = SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof master);
        SSL_get_client_random(ssl, c, 32);
        SSL_get_server_random(ssl, s, 32);
        rc = xw_own_start12(own, lib, alg, md, xw_span(master, n), c, s, 1);
    }
    XT_EQ(rc, XW_OK);
}

struct verdict { size_t len; bool failed, ended; int alert; };

/* What a reader gets of it from our state machine; records are cut as bio.c cuts them. */
static struct verdict by_own(struct xw_own *own, const uint8_t *p, size_t len, uint8_t *out) {
    struct verdict v = { 0 };
    static uint8_t room[XW_REC_OPEN_MAX];
    while (len >= 5 && !v.failed && !v.ended) {
        size_t n = 5 + ((size_t)p[3] << 8 | p[4]), got_len = 0;
        if (p[0] < 20 || p[0] > 24 || p[1] != 3 || n > XW_TLS_RECORD_MAX) {
            v.failed = true;
            v.alert = -1; /* which one is a matter of taste */
            break;
        }
        if (n > len)
            break;
        enum xw_own_result r = xw_own_open(own, xw_span(p, n), room, &got_len);
        memcpy(out + v.len, room, got_len);
        v.len += got_len;
        v.ended = r == XW_OWN_END;
        v.failed = r == XW_OWN_FATAL;
        v.alert = v.failed ? (int)own->alert : 0;
        p += n, len -= n;
    }
    return v;
}

static struct verdict by_openssl(struct xt_tls *x, const uint8_t *p, size_t len, uint8_t *out) {
    struct verdict v = { 0 };
    while (len) {
        struct xw_mspan room = x->far->ops->reserve(x->far);
        size_t n = room.len < len ? room.len : len;
        if (n)
            memcpy(room.p, p, n);
        x->far->ops->commit(x->far, n);
        p += n, len -= n;
        v.len += xt_tls_drain(x, out + v.len, sizeof got - v.len);
        if (!n && x->tls->ops->poll(x->tls, x->now++) != XW_EAGAIN)
            break;
    }
    v.len += xt_tls_drain(x, out + v.len, sizeof got - v.len);
    v.failed = xt_tls_status(x).state == XW_BS_FAILED;
    v.ended = xt_tls_status(x).rx_eof;
    xt_srv_step(x);
    ERR_clear_error();
    uint8_t unused[64];
    if (v.failed && SSL_read(x->srv, unused, sizeof unused) <= 0)
        v.alert = ERR_GET_REASON(ERR_peek_last_error()) - SSL_AD_REASON_OFFSET;
    ERR_clear_error();
    return v;
}

/* All that a server may say after the handshake; its ciphertext. */
static size_t speech(struct xt_tls *x, uint8_t *wire, size_t cap) {
    static const size_t sizes[] = { 1, 200, 16384, 3, 40, 16383 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n;
        if (SSL_version(x->srv) == TLS1_3_VERSION && i % 2)
            XT_EQ(SSL_key_update(x->srv, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        if (SSL_version(x->srv) == TLS1_3_VERSION)
            SSL_set_block_padding(x->srv, i == 4 ? 512 : 1);
        XT_EQ(SSL_write_ex(x->srv, sent, sizes[i], &n), 1);
    }
    XT_EQ(SSL_shutdown(x->srv), 0);
    int n = BIO_read(SSL_get_wbio(x->srv), wire, (int)cap);
    XT_TRUE(n > 30000 && (size_t)n < cap);
    return (size_t)n;
}

/* Where the two name different alerts, and why that is right. */
static bool same_alert(uint8_t version, const struct verdict *openssl, const struct verdict *own) {
    if (openssl->alert == own->alert || own->alert < 0)
        return true;
    /* RFC 8446 5.1: legacy_record_version is ignored, so only the tag tells that it was changed; OpenSSL looks at it */
    return version == 13 && openssl->alert == SSL_AD_DECODE_ERROR && own->alert == XW_ALERT_BAD_RECORD_MAC;
}

/* flip < 0: as it is; else that byte is changed. */
static void differ(uint8_t version, const char *suite, long flip, uint8_t by, const struct xw_aead_lib *lib) {
    static uint8_t wire[70000], other[70000];
    static struct xw_own own;
    struct xt_tls_opt o = { .version = version, .ciphers12 = version == 12 ? suite : NULL,
                            .ciphers13 = version == 13 ? suite : NULL };
    struct xt_tls x;
    xt_tls_engine(XT_OPENSSL);
    xt_tls_open(&x, &o);
    SSL_CTX_set_keylog_callback(x.ctx->ssl, grab);
    XT_EQ(xt_tls_handshake(&x), XW_BS_OPEN);
    start_own(&own, &x, lib);
    size_t len = speech(&x, wire, sizeof wire);
    if (flip >= 0)
        wire[(size_t)flip % len] ^= by;
    struct verdict a = by_openssl(&x, wire, len, got), b = by_own(&own, wire, len, other);
    if (a.len != b.len || a.failed != b.failed || a.ended != b.ended || memcmp(got, other, a.len) ||
        (a.failed && !same_alert(version, &a, &b)))
        XT_FAIL("%s, byte %ld ^ %02x (%02x…): OpenSSL %zu bytes, failed %d, ended %d, alert %d; own %zu, %d, %d, %d",
                suite, flip, by, wire[0], a.len, a.failed, a.ended, a.alert, b.len, b.failed, b.ended, b.alert);
    if (flip < 0) {
        XT_TRUE(a.ended && !a.failed);
        XT_EQ(a.len, 1 + 200 + 16384 + 3 + 40 + 16383);
    }
    xw_own_wipe(&own);
    xt_tls_close(&x);
}

static const char *const suites13[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                        "TLS_CHACHA20_POLY1305_SHA256" };
static const char *const suites12[] = { "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                                        "ECDHE-ECDSA-CHACHA20-POLY1305" };

XT_TEST(both_read_the_same) {
    struct xw_aead_lib *lib;
    XT_EQ(xw_aead_lib_new(&lib), XW_OK);
    xt_pattern(sent, sizeof sent, 11);
    for (unsigned i = 0; i < 12; i++) {
        xw_aead_lib_prefer(lib, i & 1 ? XW_AEAD_EVP : XW_AEAD_AUTO);
        differ(i & 2 ? 12 : 13, (i & 2 ? suites12 : suites13)[i / 4], -1, 0, lib);
    }
    xw_aead_lib_free(lib);
}

/* Changed bytes: the same content is delivered before, the same end, the same alert. */
XT_TEST(both_refuse_the_same) {
    struct xw_aead_lib *lib;
    uint8_t where[240][4];
    XT_EQ(xw_aead_lib_new(&lib), XW_OK);
    xt_pattern(sent, sizeof sent, 11);
    xt_pattern(where, sizeof where, 12);
    for (unsigned i = 0; i < 240; i++) { /* the first record's header and beginning, byte by byte, then anywhere */
        long at = i < 120 ? i % 60 : (long)where[i][0] << 8 | where[i][1];
        uint8_t by = (uint8_t)(where[i][2] | 1);
        differ(i & 1 ? 12 : 13, (i & 1 ? suites12 : suites13)[i % 3], at, by, lib);
    }
    xw_aead_lib_free(lib);
}

XT_MAIN(XT_RUN(engines_and_suites), XT_RUN(auto_falls_back), XT_RUN(unknown_engine_is_refused),
        XT_RUN(explicit_nonce_continues), XT_RUN(both_read_the_same), XT_RUN(both_refuse_the_same))
