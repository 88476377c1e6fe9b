/* tls/own.h: a TLS connection after its handshake, without OpenSSL: records in, what they mean out; content in, records
 * out. Pure: no stream, no clock, no allocation per record.
 *
 * Keys come from the secrets of a handshake that OpenSSL did. From then on this knows all that RFC 8446 (1.3) and RFC
 * 5246 (1.2) allow on an open connection: data, alerts, NewSessionTicket (checked, counted, ignored), KeyUpdate both
 * ways, HelloRequest (answered by a warning). Everything else ends the connection with the alert that the RFC names.
 * What has to be sent of its own accord (KeyUpdate, the warning) is owed: the caller asks for it when it can send. */
#ifndef XW_TLS_OWN_H
#define XW_TLS_OWN_H
#include "tls/record.h"

struct evp_md_st; /* EVP_MD */

#define XW_OWN_SECRET_MAX 48u /* SHA-384 */
/* Longest record that xw_own_owed makes: a KeyUpdate or an alert. */
#define XW_OWN_OWED_MAX (XW_REC_OVERHEAD_MAX + 8u)

enum xw_own_result {
    XW_OWN_NOTHING = 0, /* no content for the reader */
    XW_OWN_DATA,        /* content lies in out */
    XW_OWN_END,         /* close_notify */
    XW_OWN_FATAL        /* see alert, by_peer, why */
};

/* A handshake message that arrives in pieces. Bodies are not kept: a KeyUpdate has one byte, a ticket is checked as it
 * passes. */
struct xw_own_message {
    uint8_t head[4];
    uint8_t head_len;      /* of head; 4: within the body */
    uint8_t update;        /* KeyUpdate's byte */
    uint8_t field;         /* of NewSessionTicket: which one passes */
    uint32_t left;         /* bytes of the body still to come */
    uint32_t need, acc;    /* of the field: bytes still to come, value so far */
};

struct xw_own {
    struct xw_rec rx, tx;
    const struct xw_aead_lib *lib;
    const struct evp_md_st *md;
    enum xw_aead_alg alg;
    bool tls13;
    uint8_t rx_secret[XW_OWN_SECRET_MAX], tx_secret[XW_OWN_SECRET_MAX]; /* 1.3 */
    size_t secret_len;
    struct xw_own_message msg;
    bool owe_update;       /* our KeyUpdate: asked for, or the key is used up */
    bool ask_update;       /* … and the peer's too */
    bool owe_warning;      /* no_renegotiation */
    unsigned empties, warnings; /* in a row */
    uint64_t rx_bytes;     /* under this key */
    /* when new keys are due (RFC 8446 5.5); tests lower them */
    uint64_t tx_records_max, rx_bytes_max;
    enum xw_alert alert;   /* after FATAL: to send, or sent by the peer */
    bool by_peer;
    const char *why;       /* after FATAL, if not by_peer */
};

/* xw_own_start13: from the two application traffic secrets; md: of the cipher suite. 0 or an error of xw_rec_key. o is
 * zeroed, or ran before. */
int xw_own_start13(struct xw_own *o, const struct xw_aead_lib *lib, enum xw_aead_alg alg, const struct evp_md_st *md,
                   struct xw_span client_secret, struct xw_span server_secret);
/* xw_own_start12: from the master secret and both randoms (32 bytes). Sequence numbers begin at 1, behind Finished.
 * nonce: explicit nonce of our first record (GCM), different from those that OpenSSL used. */
int xw_own_start12(struct xw_own *o, const struct xw_aead_lib *lib, enum xw_aead_alg alg, const struct evp_md_st *md,
                   struct xw_span master, const uint8_t client_random[32], const uint8_t server_random[32],
                   uint64_t nonce);
/* xw_own_open: one whole record; out must have room for XW_REC_OPEN_MAX. *n: bytes of content when DATA (never 0).
 * After END or FATAL it must not be called again. */
enum xw_own_result xw_own_open(struct xw_own *o, struct xw_span rec, uint8_t *out, size_t *n);
/* xw_own_seal: as xw_rec_seal. */
size_t xw_own_seal(struct xw_own *o, enum xw_rec_type type, uint8_t *content, size_t len, uint8_t *out);
/* xw_own_seal_alert: a record of at most XW_OWN_OWED_MAX bytes; 0: impossible. */
size_t xw_own_seal_alert(struct xw_own *o, enum xw_alert alert, uint8_t *out);
/* xw_own_owes: whether xw_own_owed has something to send. It goes before any data. */
static inline bool xw_own_owes(const struct xw_own *o) { return o->owe_update || o->ask_update || o->owe_warning; }
/* xw_own_owed: the next record that is owed; out has room for XW_OWN_OWED_MAX. 0: impossible, the connection must end. */
size_t xw_own_owed(struct xw_own *o, uint8_t *out);
/* xw_own_wipe: forgets everything; o is as zeroed. */
void xw_own_wipe(struct xw_own *o);
#endif
