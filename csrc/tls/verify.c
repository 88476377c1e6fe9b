/* tls/verify.c: is the certificate the right one, and if not, why not in words.
 *
 * Chain: OpenSSL's, against the trust store of the context. Name: a DNS name against the SAN (a wildcard only as a
 * whole leftmost label; the subject's CN only if there is no DNS name in the SAN), an IP literal against the SAN's
 * addresses. Pins: SHA-256 of a SubjectPublicKeyInfo of the verified chain, or of the leaf when nothing is verified,
 * because then the rest of the chain is the peer's choice. The words are made here because only here the certificate
 * is at hand. */
#include "tls/tls_priv.h"
#include "base/err.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define NAMES_MAX 160u /* of the text: enough for the first few names of a SAN */

static bool pin_matches(const struct xw_tls_ctx *c, X509 *cert) {
    uint8_t *der = NULL, hash[EVP_MAX_MD_SIZE];
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    bool found = false;
    if (len > 0 && EVP_Digest(der, (size_t)len, hash, NULL, EVP_sha256(), NULL))
        for (uint32_t i = 0; i < c->pin_cnt; i++)
            found = found || !memcmp(hash, c->pins + (size_t)i * XW_TLS_PIN_LEN, XW_TLS_PIN_LEN);
    OPENSSL_free(der);
    return found;
}

static bool any_pin_matches(const struct xw_tls_ctx *c, X509_STORE_CTX *store) {
    if (!c->verify)
        return pin_matches(c, X509_STORE_CTX_get0_cert(store));
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);
    for (int i = 0; i < sk_X509_num(chain); i++)
        if (pin_matches(c, sk_X509_value(chain, i)))
            return true;
    return false;
}

/* "O=Exchange,CN=host": RFC 2253, which escapes what a terminal should not be shown. */
static void subject_of(X509 *cert, char *out, size_t cap) {
    BIO *mem = BIO_new(BIO_s_mem());
    int n = mem && X509_NAME_print_ex(mem, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0
                ? BIO_read(mem, out, (int)cap - 1) : 0;
    out[n > 0 ? n : 0] = 0;
    BIO_free(mem);
}

static void append_name(char *out, size_t cap, const char *name) {
    size_t n = strlen(out);
    snprintf(out + n, cap - n, "%s%s", n ? ", " : "", name);
}

/* The names that the certificate is for, as far as they fit. */
static void list_names(X509 *cert, char *out, size_t cap) {
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    out[0] = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        char text[80];
        if (g->type == GEN_DNS)
            snprintf(text, sizeof text, "%.*s", ASN1_STRING_length(g->d.dNSName),
                     (const char *)ASN1_STRING_get0_data(g->d.dNSName));
        else if (g->type == GEN_IPADD && ASN1_STRING_length(g->d.iPAddress) == 4) {
            const uint8_t *a = ASN1_STRING_get0_data(g->d.iPAddress);
            snprintf(text, sizeof text, "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
        } else
            continue;
        for (char *p = text; *p; p++)
            *p = *p > ' ' && *p < 127 ? *p : '?';
        append_name(out, cap, text);
    }
    GENERAL_NAMES_free(names);
}

static void not_after(X509 *cert, char *out, size_t cap) {
    struct tm tm;
    if (!ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) || !strftime(out, cap, "%Y-%m-%d %H:%M:%S UTC", &tm))
        snprintf(out, cap, "an unreadable date");
}

static bool is_trust_error(int err) {
    return err == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY || err == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
           err == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE || err == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
           err == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT;
}

static void explain(struct xw_tls *t, X509_STORE_CTX *store) {
    int err = X509_STORE_CTX_get_error(store);
    X509 *cert = X509_STORE_CTX_get_current_cert(store);
    char subject[128] = "unknown", detail[NAMES_MAX + 64] = "", names[NAMES_MAX];
    if (!cert)
        cert = X509_STORE_CTX_get0_cert(store);
    if (cert)
        subject_of(cert, subject, sizeof subject);
    if (cert && (err == X509_V_ERR_HOSTNAME_MISMATCH || err == X509_V_ERR_IP_ADDRESS_MISMATCH)) {
        list_names(cert, names, sizeof names);
        snprintf(detail, sizeof detail, "; it is for: %s", *names ? names : "no name at all");
    } else if (cert && err == X509_V_ERR_CERT_HAS_EXPIRED) {
        not_after(cert, names, sizeof names);
        snprintf(detail, sizeof detail, "; it was valid until %s", names);
    } else if (is_trust_error(err))
        snprintf(detail, sizeof detail, "; pass --ca FILE or --insecure");
    snprintf(t->cert, sizeof t->cert, "certificate verify failed: %s (depth %d, subject %s, wanted %s)%s",
             X509_verify_cert_error_string(err), X509_STORE_CTX_get_error_depth(store), subject,
             *t->host ? t->host : "any name", detail);
}

int xw_tls_verify_cert(X509_STORE_CTX *store, void *arg) {
    const struct xw_tls_ctx *c = arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct xw_tls *t = SSL_get_app_data(ssl);
    if (c->verify && X509_verify_cert(store) <= 0) {
        explain(t, store);
        return 0;
    }
    if (c->pin_cnt && !any_pin_matches(c, store)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        snprintf(t->cert, sizeof t->cert, "certificate pin mismatch: no public key of the chain has one of the %u pins",
                 c->pin_cnt);
        return 0;
    }
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

int xw_tls_expect_name(struct xw_tls *t, const char *name) {
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    if (!name || !*name)
        return t->ctx->verify ? XW_EINVAL : XW_OK;
    size_t len = strlen(name);
    if (len > 1 && name[len - 1] == '.') /* a rooted name: neither SNI nor certificates bear the dot */
        len--;
    if (len >= sizeof t->host)
        return XW_EINVAL;
    memcpy(t->host, name, len);
    t->host[len] = 0;
    ERR_set_mark();
    int is_ip = X509_VERIFY_PARAM_set1_ip_asc(param, t->host);
    ERR_pop_to_mark();
    if (is_ip)
        return XW_OK; /* RFC 6066 3: no literals in SNI */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!X509_VERIFY_PARAM_set1_host(param, t->host, 0) || !SSL_set_tlsext_host_name(t->ssl, t->host))
        return XW_EINVAL;
    return XW_OK;
}
