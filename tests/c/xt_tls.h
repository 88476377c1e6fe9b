/* tests/c/xt_tls.h: a TLS client of ours and an OpenSSL server over a pair of memory streams, in one thread, step by
 * step.
 *
 * Keys and certificates are made here, at run time. A server has an SSL with two memory BIOs; xt_srv_step moves bytes
 * between them and its side of the pair. */
#ifndef XT_TLS_H
#define XT_TLS_H
#include "bs/bs_mem.h"
#include "mem/bytering.h"
#include "tls/tls.h"
#include "xw.h"
#include <openssl/ssl.h>

enum xt_key { XT_RSA, XT_EC };
struct xt_cert {
    X509 *cert;
    EVP_PKEY *key;
};
/* issuer NULL: self-signed. san as in openssl.cnf ("DNS:a.example,IP:192.0.2.1"), NULL: none. Valid from now +
 * from_s to now + to_s */
struct xt_cert xt_cert_make(const struct xt_cert *issuer, enum xt_key kind, const char *cn, const char *san, bool ca,
                            long from_s, long to_s);
void xt_cert_free(struct xt_cert *c);
/* Writes the certificate (and the key, if with_key) as PEM; path must have room for 64. Unlink it. */
void xt_cert_save(const struct xt_cert *c, bool with_key, char *path);
/* SHA-256 of the SubjectPublicKeyInfo */
void xt_cert_pin(const struct xt_cert *c, uint8_t out[32]);

/* Which record layer the clients that say nothing about it get: OpenSSL's, our own with each of its libraries. */
enum xt_engine { XT_OPENSSL, XT_OWN_MB, XT_OWN_EVP, XT_ENGINES };
void xt_tls_engine(enum xt_engine engine);
const char *xt_engine_name(enum xt_engine engine);

struct xt_tls_opt {
    uint8_t version;               /* 12 or 13; 0: whatever comes out */
    const char *ciphers12, *ciphers13; /* of the server */
    const char *server_groups;
    const char *server_name;       /* NULL: "feed.example" */
    const struct xt_cert *cert;    /* of the server; NULL: the common one for feed.example */
    const struct xt_cert *chain;   /* sent with it; NULL: none */
    struct xw_tls_cfg client;      /* as is, when custom is set; else it verifies against the common CA */
    bool custom;
    bool raw_engine;               /* the client's tls_engine is as it says, auto included */
    int tickets;                   /* TLS 1.3 session tickets that the server sends */
    uint32_t rcv_len, snd_len;     /* of the pair; 0: 65536 */
    uint32_t plain_len;            /* 0: 65536 */
    uint64_t (*clock)(void *arg);
    void *clock_arg;
};
struct xt_tls {
    struct xw_bs *tls, *low, *far; /* the client, the stream below it, the server's end */
    struct xw_tls_ctx *ctx;
    struct xw_bytering plain;
    SSL_CTX *srv_ctx;
    SSL *srv;
    bool srv_failed;
    uint64_t now;
};

/* The common CA and a certificate of it for feed.example, made once per program. */
const struct xt_cert *xt_ca(void);
const char *xt_ca_file(void);
const struct xt_cert *xt_leaf(enum xt_key kind);

void xt_tls_open(struct xt_tls *x, const struct xt_tls_opt *opt);
void xt_tls_close(struct xt_tls *x);
void xt_srv_step(struct xt_tls *x);                 /* bytes in, handshake, bytes out */
void xt_srv_write(struct xt_tls *x, const void *data, size_t len); /* one SSL_write: records of at most 16384 */
size_t xt_srv_read(struct xt_tls *x, void *buf, size_t cap);  /* plaintext that is there now */
/* Steps both until the client leaves CONNECTING; its state. Fails the test after 200,000 steps. */
enum xw_bs_state xt_tls_handshake(struct xt_tls *x);
struct xw_bs_status xt_tls_status(const struct xt_tls *x);
/* Polls the client until poll returns 0, reading all plaintext into buf; how much. */
size_t xt_tls_drain(struct xt_tls *x, void *buf, size_t cap);
/* Commits all of data to the client, stepping the server when there is no room. */
void xt_tls_send(struct xt_tls *x, const void *data, size_t len);
/* Reproducible bytes. */
void xt_pattern(void *buf, size_t len, uint32_t seed);
#endif
