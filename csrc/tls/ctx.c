/* tls/ctx.c: a TLS context from its settings. Cold: once per context, allocations and files are fine here. */
#include "tls/aead.h"
#include "tls/tls_priv.h"
#include "base/err.h"
#include "base/setup_error.h"
#include "xw.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Forward secrecy and AEAD only: what every venue in reach offers, and what the record layer decrypts. */
#define CIPHERS12_DEFAULT "ECDHE+AESGCM:ECDHE+CHACHA20"

const char *xw_openssl_version(void) { return OpenSSL_version(OPENSSL_VERSION); }

static int fail_queue(const char *step) {
    char text[XW_TLS_TEXT_MAX];
    xw_tls_queue_text(text, sizeof text);
    return xw_setup_fail_text(XW_ETLS, step, text);
}

static int fail_queue_file(const char *what, const char *path) {
    char step[200];
    if (access(path, R_OK))
        return xw_setup_failf(XW_ESYS, "read the %s %s", what, path);
    snprintf(step, sizeof step, "load the %s %s", what, path);
    return fail_queue(step);
}

/* value: what the user has set, so that it need not be guessed which of several is meant */
static int fail_queue_value(const char *step, const char *value) {
    char text[200];
    snprintf(text, sizeof text, "%s to %s", step, value);
    return fail_queue(text);
}

static int version_of(uint8_t version, int if_zero) {
    return version == 0 ? if_zero : version == 12 ? TLS1_2_VERSION : version == 13 ? TLS1_3_VERSION : -1;
}

static int set_versions(SSL_CTX *ssl, const struct xw_tls_cfg *cfg) {
    int min = version_of(cfg->version_min, TLS1_2_VERSION), max = version_of(cfg->version_max, TLS1_3_VERSION);
    if (min < 0 || max < 0 || min > max)
        return xw_setup_fail_text(XW_EINVAL, "set the TLS versions",
                                  "must be 12 or 13, the least not above the greatest");
    if (!SSL_CTX_set_min_proto_version(ssl, min) || !SSL_CTX_set_max_proto_version(ssl, max))
        return fail_queue("set the TLS versions");
    return XW_OK;
}

static int set_algorithms(SSL_CTX *ssl, const struct xw_tls_cfg *cfg) {
    const char *ciphers12 = cfg->ciphers12 ? cfg->ciphers12 : CIPHERS12_DEFAULT;
    if (!SSL_CTX_set_cipher_list(ssl, ciphers12))
        return fail_queue_value("set the TLS 1.2 ciphers", ciphers12);
    if (cfg->ciphers13 && !SSL_CTX_set_ciphersuites(ssl, cfg->ciphers13))
        return fail_queue_value("set the TLS 1.3 cipher suites", cfg->ciphers13);
    if (cfg->groups && !SSL_CTX_set1_groups_list(ssl, cfg->groups))
        return fail_queue_value("set the key exchange groups", cfg->groups);
    return XW_OK;
}

static int set_trust(SSL_CTX *ssl, const struct xw_tls_cfg *cfg) {
    if (!cfg->verify || (cfg->server && !cfg->ca_file && !cfg->ca_dir))
        return XW_OK;
    if (!cfg->ca_file && !cfg->ca_dir)
        return SSL_CTX_set_default_verify_paths(ssl) ? XW_OK : fail_queue("find the system's trusted certificates");
    if (cfg->ca_file && !SSL_CTX_load_verify_file(ssl, cfg->ca_file))
        return fail_queue_file("trusted certificates", cfg->ca_file);
    if (cfg->ca_dir && access(cfg->ca_dir, R_OK | X_OK))
        return xw_setup_failf(XW_ESYS, "read the directory of trusted certificates %s", cfg->ca_dir);
    if (cfg->ca_dir && !SSL_CTX_load_verify_dir(ssl, cfg->ca_dir))
        return fail_queue("use the directory of trusted certificates");
    /* who names the anchors means them, an intermediate too */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN);
    return XW_OK;
}

static int set_identity(SSL_CTX *ssl, const struct xw_tls_cfg *cfg) {
    if (cfg->server && !cfg->cert_file)
        return xw_setup_fail_text(XW_EINVAL, "set the server certificate", "a server needs one: cert_file");
    if (!cfg->cert_file && !cfg->key_file)
        return XW_OK;
    if (!cfg->cert_file)
        return xw_setup_fail_text(XW_EINVAL, "set the client certificate", "there is a key but no certificate");
    const char *key = cfg->key_file ? cfg->key_file : cfg->cert_file;
    if (SSL_CTX_use_certificate_chain_file(ssl, cfg->cert_file) != 1)
        return fail_queue_file(cfg->server ? "server certificate" : "client certificate", cfg->cert_file);
    if (SSL_CTX_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) != 1)
        return fail_queue_file(cfg->server ? "server key" : "client key", key);
    return XW_OK;
}

/* One writev of a whole line to a file opened with O_APPEND: lines of several connections do not mix. */
static void keylog_line(const SSL *ssl, const char *line) {
    const struct xw_tls_ctx *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    xw_tls_own_keylog(SSL_get_app_data(ssl), line);
    if (c->keylog_fd < 0)
        return;
    struct iovec iov[2] = { { (void *)(uintptr_t)line, strlen(line) }, { (void *)(uintptr_t)"\n", 1 } };
    ssize_t n = writev(c->keylog_fd, iov, 2);
    (void)n; /* a full disk must not end the connection */
}

static int set_keylog(struct xw_tls_ctx *c, const struct xw_tls_cfg *cfg) {
    if (!cfg->keylog_file)
        return XW_OK;
    c->keylog_fd = open(cfg->keylog_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (c->keylog_fd < 0)
        return xw_setup_failf(XW_ESYS, "open the key log %s", cfg->keylog_file);
    return XW_OK;
}

static int set_engine(struct xw_tls_ctx *c, const struct xw_tls_cfg *cfg) {
    if (cfg->tls_engine > XW_TLS_ENGINE_OWN)
        return xw_setup_fail_text(XW_EINVAL, "choose the TLS record layer", "must be auto, openssl or own");
    if (cfg->server && cfg->tls_engine == XW_TLS_ENGINE_OWN)
        return xw_setup_fail_text(XW_EINVAL, "choose the TLS record layer", "the own one serves clients only");
    c->engine = cfg->server ? XW_TLS_ENGINE_OPENSSL : cfg->tls_engine;
    if (c->engine != XW_TLS_ENGINE_OPENSSL && xw_aead_lib_new(&c->aead))
        return xw_setup_fail(XW_ENOMEM, "look up the cryptography of this CPU");
    return XW_OK;
}

static int set_pins(struct xw_tls_ctx *c, const struct xw_tls_cfg *cfg) {
    if (!cfg->pin_cnt)
        return XW_OK;
    if (!cfg->spki_pins)
        return xw_setup_fail_text(XW_EINVAL, "set the public key pins", "a count but no pins");
    c->pins = malloc((size_t)cfg->pin_cnt * XW_TLS_PIN_LEN);
    if (!c->pins)
        return xw_setup_fail(XW_ENOMEM, "keep the public key pins");
    memcpy(c->pins, cfg->spki_pins, (size_t)cfg->pin_cnt * XW_TLS_PIN_LEN);
    c->pin_cnt = cfg->pin_cnt;
    return XW_OK;
}

static void set_behaviour(struct xw_tls_ctx *c) {
    SSL_CTX_set_app_data(c->ssl, c);
    if (c->aead || c->keylog_fd >= 0)
        SSL_CTX_set_keylog_callback(c->ssl, keylog_line);
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF); /* tickets are read and forgotten */
    SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(c->ssl, 1); /* see bio.c */
    if (c->server) {
        /* nothing is resumed, so no tickets; a client certificate has no name to be compared with: OpenSSL's own check */
        SSL_CTX_set_num_tickets(c->ssl, 0);
        SSL_CTX_set_options(c->ssl, SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
        SSL_CTX_set_verify(c->ssl, c->verify ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, NULL);
    } else if (c->verify || c->pin_cnt) {
        SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(c->ssl, xw_tls_verify_cert, c);
    } else
        SSL_CTX_set_verify(c->ssl, SSL_VERIFY_NONE, NULL);
}

static void destroy(struct xw_tls_ctx *c) {
    SSL_CTX_free(c->ssl);
    BIO_meth_free(c->bio);
    xw_aead_lib_free(c->aead);
    if (c->keylog_fd >= 0)
        close(c->keylog_fd);
    free(c->pins);
    free(c);
}

int xw_tls_ctx_new(const struct xw_tls_cfg *cfg, struct xw_tls_ctx **out) {
    xw_setup_clear();
    ERR_clear_error(); /* another user of OpenSSL in this thread may have left entries */
    struct xw_tls_ctx *c = calloc(1, sizeof *c);
    if (!c)
        return xw_setup_fail(XW_ENOMEM, "allocate a TLS context");
    c->refs = 1;
    c->keylog_fd = -1;
    c->server = cfg->server;
    c->verify = cfg->verify && (!c->server || cfg->ca_file || cfg->ca_dir);
    c->bio = xw_tls_bio_method();
    c->ssl = SSL_CTX_new(c->server ? TLS_server_method() : TLS_client_method());
    int rc = c->bio && c->ssl ? XW_OK : fail_queue("create a TLS context");
    if (!rc)
        rc = set_versions(c->ssl, cfg);
    if (!rc)
        rc = set_algorithms(c->ssl, cfg);
    if (!rc)
        rc = set_trust(c->ssl, cfg);
    if (!rc)
        rc = set_identity(c->ssl, cfg);
    if (!rc)
        rc = set_keylog(c, cfg);
    if (!rc)
        rc = set_pins(c, cfg);
    if (!rc)
        rc = set_engine(c, cfg);
    if (rc) {
        destroy(c);
        ERR_clear_error();
        return rc;
    }
    set_behaviour(c);
    *out = c;
    return XW_OK;
}

void xw_tls_ctx_ref(struct xw_tls_ctx *c) { __atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED); }

void xw_tls_ctx_free(struct xw_tls_ctx *c) {
    if (c && __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) == 0)
        destroy(c);
}
