#include "xt_tls.h"
#include "xt.h"
#include "base/err.h"
#include "tls/aead.h"
#include "tls/tls_priv.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

static void add_ext(X509 *x, X509V3_CTX *ctx, int nid, const char *value) {
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    XT_TRUE(e != NULL);
    XT_EQ(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

struct xt_cert xt_cert_make(const struct xt_cert *issuer, enum xt_key kind, const char *cn, const char *san, bool ca,
                            long from_s, long to_s) {
    static long serial = 1;
    struct xt_cert c = { X509_new(), kind == XT_RSA ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256") };
    const struct xt_cert *by = issuer ? issuer : &c;
    XT_TRUE(c.cert && c.key);
    X509_set_version(c.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c.cert), from_s);
    X509_gmtime_adj(X509_getm_notAfter(c.cert), to_s);
    X509_set_pubkey(c.cert, c.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c.cert), "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(c.cert, X509_get_subject_name(by->cert));
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, by->cert, c.cert, NULL, NULL, 0);
    add_ext(c.cert, &ctx, NID_basic_constraints, ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_ext(c.cert, &ctx, NID_subject_key_identifier, "hash");
    if (san)
        add_ext(c.cert, &ctx, NID_subject_alt_name, san);
    XT_TRUE(X509_sign(c.cert, by->key, EVP_sha256()) > 0);
    return c;
}

void xt_cert_free(struct xt_cert *c) {
    X509_free(c->cert);
    EVP_PKEY_free(c->key);
}

void xt_cert_save(const struct xt_cert *c, bool with_key, char *path) {
    strcpy(path, "/tmp/xw-test-XXXXXX");
    int fd = mkstemp(path);
    XT_TRUE(fd >= 0);
    FILE *f = fdopen(fd, "w");
    XT_EQ(PEM_write_X509(f, c->cert), 1);
    if (with_key)
        XT_EQ(PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
}

void xt_cert_pin(const struct xt_cert *c, uint8_t out[32]) {
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(c->key, &der);
    XT_TRUE(len > 0);
    XT_EQ(EVP_Digest(der, (size_t)len, out, NULL, EVP_sha256(), NULL), 1);
    OPENSSL_free(der);
}

static struct xt_cert common_ca, common_leaf[2];
static char common_ca_file[64];

static void forget_common(void) {
    if (*common_ca_file)
        unlink(common_ca_file);
    xt_cert_free(&common_ca);
    xt_cert_free(&common_leaf[0]);
    xt_cert_free(&common_leaf[1]);
}

const struct xt_cert *xt_ca(void) {
    if (!common_ca.cert) {
        common_ca = xt_cert_make(NULL, XT_EC, "Test CA", NULL, true, -3600, 86400);
        atexit(forget_common);
    }
    return &common_ca;
}

const char *xt_ca_file(void) {
    if (!*common_ca_file)
        xt_cert_save(xt_ca(), false, common_ca_file);
    return common_ca_file;
}

const struct xt_cert *xt_leaf(enum xt_key kind) {
    if (!common_leaf[kind].cert)
        common_leaf[kind] = xt_cert_make(xt_ca(), kind, "feed", "DNS:feed.example", false, -3600, 86400);
    return &common_leaf[kind];
}

static enum xt_engine engine = XT_OWN_MB;

void xt_tls_engine(enum xt_engine e) { engine = e; }

const char *xt_engine_name(enum xt_engine e) {
    static const char *const names[] = { "openssl", "own, ipsec-mb", "own, evp" };
    return names[e];
}

static void choose_engine(struct xw_tls_cfg *cfg) {
    if (cfg->tls_engine == XW_TLS_ENGINE_AUTO)
        cfg->tls_engine = engine == XT_OPENSSL ? XW_TLS_ENGINE_OPENSSL : XW_TLS_ENGINE_OWN;
}

static void open_server(struct xt_tls *x, const struct xt_tls_opt *o) {
    const struct xt_cert *c = o->cert ? o->cert : xt_leaf(XT_EC);
    x->srv_ctx = SSL_CTX_new(TLS_server_method());
    XT_EQ(SSL_CTX_use_certificate(x->srv_ctx, c->cert), 1);
    XT_EQ(SSL_CTX_use_PrivateKey(x->srv_ctx, c->key), 1);
    if (o->chain)
        XT_EQ(SSL_CTX_add1_chain_cert(x->srv_ctx, o->chain->cert), 1);
    if (o->version) {
        int v = o->version == 12 ? TLS1_2_VERSION : TLS1_3_VERSION;
        SSL_CTX_set_min_proto_version(x->srv_ctx, v);
        SSL_CTX_set_max_proto_version(x->srv_ctx, v);
    }
    if (o->ciphers12)
        XT_EQ(SSL_CTX_set_cipher_list(x->srv_ctx, o->ciphers12), 1);
    if (o->ciphers13)
        XT_EQ(SSL_CTX_set_ciphersuites(x->srv_ctx, o->ciphers13), 1);
    if (o->server_groups)
        XT_EQ(SSL_CTX_set1_groups_list(x->srv_ctx, o->server_groups), 1);
    SSL_CTX_set_num_tickets(x->srv_ctx, (size_t)o->tickets);
    SSL_CTX_set_options(x->srv_ctx, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    x->srv = SSL_new(x->srv_ctx);
    SSL_set_bio(x->srv, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(x->srv);
}

void xt_tls_open(struct xt_tls *x, const struct xt_tls_opt *o) {
    *x = (struct xt_tls){ .now = 1 };
    struct xw_bs_mem_cfg mc = { .rcv_len = o->rcv_len ? o->rcv_len : 65536,
                                .snd_len = o->snd_len ? o->snd_len : 65536 };
    struct xw_tls_cfg cfg = o->client;
    if (!o->custom)
        cfg = (struct xw_tls_cfg){ .verify = 1, .ca_file = xt_ca_file() };
    if (!o->raw_engine)
        choose_engine(&cfg);
    open_server(x, o);
    XT_EQ(xw_bs_mem_pair(&mc, &x->low, &x->far), XW_OK);
    XT_EQ(xw_bytering_map(&x->plain, o->plain_len ? o->plain_len : 65536), XW_OK);
    if (xw_tls_ctx_new(&cfg, &x->ctx))
        XT_FAIL("context: %s", xw_setup_error(NULL));
    if (x->ctx->aead) /* a CPU that libipsec-mb does not serve runs both as EVP */
        xw_aead_lib_prefer(x->ctx->aead, engine == XT_OWN_EVP ? XW_AEAD_EVP : XW_AEAD_AUTO);
    if (xw_tls_new(x->ctx, x->low, o->server_name ? o->server_name : "feed.example", &x->plain, o->clock,
                   o->clock_arg, &x->tls))
        XT_FAIL("connection: %s", xw_setup_error(NULL));
}

void xt_tls_close(struct xt_tls *x) {
    x->tls->ops->close(x->tls);
    x->far->ops->close(x->far);
    xw_tls_ctx_free(x->ctx);
    SSL_free(x->srv);
    SSL_CTX_free(x->srv_ctx);
    xw_bytering_unmap(&x->plain);
    ERR_clear_error();
}

static void server_out(struct xt_tls *x) {
    for (;;) {
        struct xw_mspan room = x->far->ops->reserve(x->far);
        int n = room.len ? BIO_read(SSL_get_wbio(x->srv), room.p, (int)room.len) : 0;
        if (n <= 0)
            break;
        x->far->ops->commit(x->far, (size_t)n);
    }
}

void xt_srv_step(struct xt_tls *x) {
    x->far->ops->poll(x->far, x->now);
    struct xw_span s = x->far->ops->peek(x->far);
    if (s.len) {
        XT_EQ(BIO_write(SSL_get_rbio(x->srv), s.p, (int)s.len), (int)s.len);
        x->far->ops->consume(x->far, s.len);
    }
    if (!SSL_is_init_finished(x->srv) && !x->srv_failed) {
        ERR_clear_error();
        int rc = SSL_do_handshake(x->srv);
        if (rc != 1 && SSL_get_error(x->srv, rc) == SSL_ERROR_SSL)
            x->srv_failed = true;
        ERR_clear_error();
    }
    server_out(x);
}

void xt_srv_write(struct xt_tls *x, const void *data, size_t len) {
    size_t n = 0;
    XT_EQ(SSL_write_ex(x->srv, data, len, &n), 1);
    XT_EQ(n, len);
    server_out(x);
}

size_t xt_srv_read(struct xt_tls *x, void *buf, size_t cap) {
    size_t got = 0, n = 0;
    xt_srv_step(x);
    while (got < cap && SSL_read_ex(x->srv, (uint8_t *)buf + got, cap - got, &n))
        got += n;
    server_out(x);
    return got;
}

struct xw_bs_status xt_tls_status(const struct xt_tls *x) {
    struct xw_bs_status st;
    x->tls->ops->status(x->tls, &st);
    return st;
}

enum xw_bs_state xt_tls_handshake(struct xt_tls *x) {
    for (unsigned i = 0; i < 200000; i++) {
        x->tls->ops->poll(x->tls, x->now++);
        xt_srv_step(x);
        if (xt_tls_status(x).state != XW_BS_CONNECTING && (SSL_is_init_finished(x->srv) || x->srv_failed ||
                                                           xt_tls_status(x).state == XW_BS_FAILED))
            return xt_tls_status(x).state;
    }
    XT_FAIL("the handshake does not end: %s", x->tls->ops->error_text(x->tls));
}

size_t xt_tls_drain(struct xt_tls *x, void *buf, size_t cap) {
    size_t got = 0;
    int rc;
    do {
        rc = x->tls->ops->poll(x->tls, x->now++);
        struct xw_span s = x->tls->ops->peek(x->tls);
        XT_TRUE(got + s.len <= cap);
        if (s.len)
            memcpy((uint8_t *)buf + got, s.p, s.len);
        got += s.len;
        x->tls->ops->consume(x->tls, s.len);
    } while (rc == XW_EAGAIN);
    return got;
}

void xt_tls_send(struct xt_tls *x, const void *data, size_t len) {
    const uint8_t *p = data;
    for (unsigned i = 0; len; i++) {
        struct xw_mspan room = x->tls->ops->reserve(x->tls);
        size_t n = room.len < len ? room.len : len;
        XT_TRUE(i < 100000);
        if (n)
            memcpy(room.p, p, n);
        x->tls->ops->commit(x->tls, n);
        x->tls->ops->flush(x->tls, x->now++);
        p += n;
        len -= n;
        if (len)
            xt_srv_step(x);
    }
}

void xt_pattern(void *buf, size_t len, uint32_t seed) {
    uint8_t *p = buf;
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (uint8_t)(seed >> 24);
    }
}
