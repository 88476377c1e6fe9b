/* tls/record.h: protection of single TLS records (RFC 8446 5.2, RFC 5246 6.2.3.3 with RFC 5288 and RFC 7905): bytes of a
 * record in, content out, and back. No I/O, no state but the key and the sequence number of one direction. */
#ifndef XW_TLS_RECORD_H
#define XW_TLS_RECORD_H
#include "tls/aead.h"

#define XW_REC_HDR_LEN 5u /* type, version, length: RFC 8446 5.1 */
#define XW_REC_CONTENT_MAX 16384u
/* header, explicit nonce (1.2) or content type (1.3), tag: what a record needs at most beside its content when we seal */
#define XW_REC_OVERHEAD_MAX (XW_REC_HDR_LEN + 8u + XW_AEAD_TAG_LEN)
/* what xw_rec_open may write: content of full length and the content type behind it */
#define XW_REC_OPEN_MAX (XW_REC_CONTENT_MAX + 1u)

enum xw_rec_type { XW_REC_CCS = 20, XW_REC_ALERT = 21, XW_REC_HANDSHAKE = 22, XW_REC_DATA = 23 };

/* RFC 8446 6: descriptions that we send or treat apart */
enum xw_alert {
    XW_ALERT_CLOSE_NOTIFY = 0, XW_ALERT_UNEXPECTED_MESSAGE = 10, XW_ALERT_BAD_RECORD_MAC = 20,
    XW_ALERT_RECORD_OVERFLOW = 22, XW_ALERT_ILLEGAL_PARAMETER = 47, XW_ALERT_DECODE_ERROR = 50,
    XW_ALERT_PROTOCOL_VERSION = 70, XW_ALERT_INTERNAL_ERROR = 80, XW_ALERT_USER_CANCELED = 90,
    XW_ALERT_NO_RENEGOTIATION = 100
};

/* One direction. Zeroed before the first key; on a 64-byte boundary (struct xw_aead). */
struct xw_rec {
    struct xw_aead aead;
    uint64_t seq;          /* of the next record; UINT64_MAX is never used */
    uint64_t nonce;        /* TLS 1.2 GCM, sealing: explicit nonce of the next record */
    uint8_t iv[16];        /* 12 bytes, or the 4 of TLS 1.2 GCM's salt */
    bool tls13;
    bool salted;           /* TLS 1.2 GCM: nonce = salt || explicit */
};
struct xw_rec_content {
    uint8_t type;          /* 1.3: the inner one */
    size_t len;
    const char *why;       /* when refused */
};

/* xw_rec_iv_len: 12, for TLS 1.2 with GCM 4. */
size_t xw_rec_iv_len(bool tls13, enum xw_aead_alg alg);
/* xw_rec_key: sets key and IV; the sequence number begins at 0. Errors of xw_aead_key. */
int xw_rec_key(struct xw_rec *r, const struct xw_aead_lib *lib, enum xw_aead_alg alg, bool tls13, bool sealing,
               const uint8_t *key, const uint8_t *iv);
/* xw_rec_overhead: bytes that a sealed record is longer than its content. */
size_t xw_rec_overhead(const struct xw_rec *r);
/* xw_rec_seal: the whole record; len at most XW_REC_CONTENT_MAX. In 1.3 the byte behind the content is overwritten, so it
 * must exist. out must not overlap. Returns the record's length, or 0 when the sequence numbers are used up. */
size_t xw_rec_seal(struct xw_rec *r, enum xw_rec_type type, uint8_t *content, size_t len, uint8_t *out);
/* xw_rec_open: rec is one whole record. out must have room for XW_REC_OPEN_MAX; what is written behind the content, or at
 * all when the record is refused, means nothing. 0, or the alert to send; then out shows nothing of the content. */
int xw_rec_open(struct xw_rec *r, struct xw_span rec, uint8_t *out, struct xw_rec_content *c);
void xw_rec_wipe(struct xw_rec *r);
#endif
