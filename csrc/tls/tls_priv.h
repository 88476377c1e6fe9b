/* tls/tls_priv.h: what the files of tls/ share. */
#ifndef XW_TLS_TLS_PRIV_H
#define XW_TLS_TLS_PRIV_H
#include "base/limits.h"
#include "mem/marks.h"
#include "tls/tls.h"
#include <openssl/ssl.h>

#define XW_TLS_HDR_LEN 5u  /* type, version, length: RFC 8446 5.1 */
#define XW_TLS_PIN_LEN 32u /* SHA-256 */
/* Why a connection failed, for people: a reason, a subject and the names of a certificate. Longer is cut. */
#define XW_TLS_TEXT_MAX 768u

struct xw_tls_ctx {
    SSL_CTX *ssl;
    BIO_METHOD *bio;
    uint8_t *pins;       /* pin_cnt * XW_TLS_PIN_LEN */
    uint32_t pin_cnt;
    bool verify;
    int keylog_fd;       /* -1: none */
    uint32_t refs;       /* contexts are shared by engines, that is threads: atomic */
};

struct xw_tls {
    struct xw_bs bs;     /* first */
    struct xw_tls_ctx *ctx;
    struct xw_bs *lower;
    struct xw_bytering *plain;
    uint64_t (*clock)(void *arg);
    void *clock_arg;
    SSL *ssl;
    enum xw_bs_state state; /* CLOSED is never stored: it follows from the flags and the stream below */
    int error, sys_errno;
    bool rx_eof;         /* close_notify came */
    bool tx_shut;        /* shutdown_wr was called */
    bool notified;       /* close_notify was sent (or could not be any more), and the stream below shut down */
    bool garbage;        /* the stream below does not carry TLS records */
    bool wrote;          /* the BIO committed something since the last flush of the stream below */
    /* the record that OpenSSL is being given: bytes of it still to give, records it may still take in this poll */
    size_t feed;
    unsigned budget;
    struct xw_rxstamp rec_first, rec_last;
    struct xw_marks marks;
    /* plaintext that was committed and not yet encrypted: out[out_from, out_from + out_len) */
    uint32_t out_from, out_len;
    uint8_t out[XW_TLS_PLAIN_MAX];
    char host[256];      /* name to verify, for error texts */
    char why[XW_TLS_TEXT_MAX];   /* error_text */
    char cert[XW_TLS_TEXT_MAX];  /* why the certificate was refused; "" if it was not */
};

/* bio.c */
/* xw_tls_bio_method: the BIO over a stream; BIO_set_data takes the struct xw_tls. NULL: no memory. */
BIO_METHOD *xw_tls_bio_method(void);
/* xw_tls_record_len: bytes of the complete record at the head of the stream below; 0: not complete yet. What is no TLS
 * record at all counts as complete, so that OpenSSL gets to refuse it. */
size_t xw_tls_record_len(struct xw_tls *t);

/* verify.c */
/* xw_tls_verify_cert: SSL_CTX_set_cert_verify_callback's: chain, name and pins; fills cert of the connection. arg:
 * the context */
int xw_tls_verify_cert(X509_STORE_CTX *store, void *arg);
/* xw_tls_expect_name: what the certificate must be for, and SNI. 0 or XW_EINVAL. */
int xw_tls_expect_name(struct xw_tls *t, const char *name);

/* err.c */
/* xw_tls_queue_text: the most telling entry of OpenSSL's error queue in words, and empties the queue. */
void xw_tls_queue_text(char *out, size_t len);

void xw_tls_ctx_ref(struct xw_tls_ctx *c);
#endif
