/* tls/tls_priv.h: what the files of tls/ share. */
#ifndef XW_TLS_TLS_PRIV_H
#define XW_TLS_TLS_PRIV_H
#include "base/limits.h"
#include "mem/marks.h"
#include "tls/tls.h"
#include "xw.h"
#include <openssl/ssl.h>

#define XW_TLS_HDR_LEN 5u  /* type, version, length: RFC 8446 5.1 */
#define XW_TLS_PIN_LEN 32u /* SHA-256 */
/* Why a connection failed, for people: a reason, a subject and the names of a certificate. Longer is cut. */
#define XW_TLS_TEXT_MAX 768u

struct xw_aead_lib;

struct xw_tls_ctx {
    SSL_CTX *ssl;
    BIO_METHOD *bio;
    uint8_t *pins;       /* pin_cnt * XW_TLS_PIN_LEN */
    uint32_t pin_cnt;
    bool verify;
    bool server;         /* its connections were accepted */
    uint8_t engine;      /* enum xw_tls_engine */
    struct xw_aead_lib *aead; /* NULL: OpenSSL does the records */
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
    const SSL_CIPHER *replay_cipher; /* not NULL: a captured connection is replayed (replay.c) … */
    struct xw_replay_tls replay;     /* … with these secrets */
    bool replay_ccs;                 /* the server's ChangeCipherSpec passed by */
    struct xw_tls_own *own; /* our record layer; NULL: not wanted */
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
    uint8_t out[XW_TLS_PLAIN_MAX + 1]; /* the last byte: see xw_rec_seal */
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

/* xw_tls_next_record: xw_tls_record_len of the next record that this poll's budget allows; notes its stamps. */
size_t xw_tls_next_record(struct xw_tls *t);

/* tls.c */
__attribute__((format(printf, 3, 4))) void xw_tls_fail(struct xw_tls *t, int error, const char *fmt, ...);
/* xw_tls_decrypted: n bytes of a record's content lie behind the plain ring's end: commits them with their times. */
void xw_tls_decrypted(struct xw_tls *t, size_t n, uint64_t begin_ns);

/* handover.c */
int xw_tls_own_new(struct xw_tls *t);                             /* XW_ENOMEM */
void xw_tls_own_free(struct xw_tls *t);
void xw_tls_own_keylog(struct xw_tls *t, const char *line);       /* a line of OpenSSL's key log */
void xw_tls_own_wrote(struct xw_tls *t, const void *bytes, size_t len); /* what OpenSSL wrote */
/* xw_tls_take_over: the handshake has just ended; false: this cipher suite (or OpenSSL's state) does not allow it. */
bool xw_tls_take_over(struct xw_tls *t);
bool xw_tls_own_on(const struct xw_tls *t);                       /* it took over */
bool xw_tls_own_idle(const struct xw_tls *t);                     /* it did, is open, and xw_tls_own_pump has nothing to do */
bool xw_tls_own_staged(const struct xw_tls *t);                   /* a sealed record waits for room */
const char *xw_tls_own_library(const struct xw_tls *t);           /* who does the cryptography */
void xw_tls_own_pump(struct xw_tls *t);                           /* as pump_out of tls.c */
void xw_tls_own_read(struct xw_tls *t, uint64_t begin_ns);        /* one record with data, if there is one */
void xw_tls_own_fail(struct xw_tls *t, int alert, const char *why); /* alert -1: none is sent */

/* replay.c */
void xw_tls_replay_step(struct xw_tls *t);                        /* instead of the handshake */

/* verify.c */
/* xw_tls_verify_cert: SSL_CTX_set_cert_verify_callback's: chain, name and pins; fills cert of the connection. arg:
 * the context */
int xw_tls_verify_cert(X509_STORE_CTX *store, void *arg);
/* xw_tls_expect_name: what the certificate must be for, and SNI. 0 or XW_EINVAL. */
int xw_tls_expect_name(struct xw_tls *t, const char *name);

/* err.c */
/* xw_tls_queue_text: the most telling entry of OpenSSL's error queue in words, and empties the queue. */
void xw_tls_queue_text(char *out, size_t len);
/* xw_tls_alert_name: what an alert (RFC 8446 section 6) is called, those of TLS 1.3 included; "unknown" if nobody does. */
const char *xw_tls_alert_name(int alert);

void xw_tls_ctx_ref(struct xw_tls_ctx *c);
#endif
