/* tls/tls.h: a TLS 1.2 or 1.3 client (or, by its context, server) as a byte stream on top of a byte stream. The
 * context is in xw_api.h.
 *
 * OpenSSL 3 does the handshake; then our own record layer (own.h) takes over where it serves the cipher suite, else
 * OpenSSL does the records too. Ciphertext stays in the stream below until a record is complete; then exactly that
 * record is decrypted, and the plaintext goes straight into the ring that the caller supplied. A poll decrypts one
 * application record at most, so that the first message of a burst does not wait for the last, and asks the stream below
 * for more only when no complete record is left. Nothing is decrypted unless XW_TLS_PLAIN_MAX bytes of the plain ring
 * are free.
 *
 * End of stream: the peer's close_notify gives rx_eof. An end without it is FAILED, XW_ETLS, "truncated" (RFC 8446
 * 6.1), as is a fatal alert or a bad record; what was decrypted before can still be read. CLOSED means close_notify
 * both ways and the stream below ended.
 *
 * Memory: our own at creation only. OpenSSL allocates during the handshake, and when it does the records 40 bytes at a
 * time: one a read and three a write in TLS 1.3, none and two in TLS 1.2 (3.0.22; tests/c/test_tls_alloc.c). Not
 * here: our own record layer for servers, resumption, early data, renegotiation (refused). */
#ifndef XW_TLS_TLS_H
#define XW_TLS_TLS_H
#include "bs/bs.h"
#include "mem/bytering.h"

struct xw_tls_ctx;   /* xw_api.h: xw_tls_ctx_new, xw_tls_ctx_free */
struct xw_conn_info; /* xw_api.h */

/* xw_tls_new: a client (or server) over lower, which it owns from then on; the handshake begins when lower is open
 * and poll is called. server_name: DNS name (sent as SNI) or IP literal that the certificate must bear; NULL only if
 * the context does not verify; it does not count for a server. plain: mirrored ring of at least 2 *
 * XW_TLS_PLAIN_MAX, the caller's, reset here. lower must hold a whole record (XW_TLS_RECORD_MAX) contiguously.
 * clock: for the decrypt times, NULL: none. On failure (XW_EINVAL, XW_ENOMEM, XW_ETLS; see xw_setup_error) lower
 * remains the caller's. */
int xw_tls_new(struct xw_tls_ctx *ctx, struct xw_bs *lower, const char *server_name, struct xw_bytering *plain,
               uint64_t (*clock)(void *arg), void *clock_arg, struct xw_bs **out);
/* xw_tls_replay: instead of its handshake, the stream lets a captured one pass by and then opens the records with these
 * secrets. Right after xw_tls_new; the stream below must take what is written and send it nowhere (bs/bs_sink.h).
 * XW_EINVAL: our record layer does not serve (see xw_setup_error). */
struct xw_replay_tls; /* xw_api.h */
int xw_tls_replay(struct xw_bs *tls, const struct xw_replay_tls *r);
/* xw_tls_record_times: when decryption of the record with this plain offset began and ended; 0 and 0 if it is not
 * known. */
void xw_tls_record_times(const struct xw_bs *tls, uint64_t off, uint64_t *begin_ns, uint64_t *end_ns);
/* xw_tls_info: fills tls_version, cipher, tls_engine and tls_library (0 and "" before the handshake is done). */
void xw_tls_info(const struct xw_bs *tls, struct xw_conn_info *out);

/* ---- the straight line: records that do not go through the stream below ---- */
struct xw_tls_read {
    struct xw_span data;         /* content, the last that the plain ring holds; empty: the record had none */
    uint64_t begin_ns, done_ns;  /* of its decryption; 0 without a clock */
    bool poll;                   /* it was no content, or something is owed for it: the stream must be polled */
};
/* xw_tls_read_from: decrypts the record at the head of in, the bytes that come next in the stream below and that lie in a
 * received frame, or in that stream, which the caller then makes count them as consumed. Returns the record's length; 0, and
 * nothing happened, if in does not begin with a whole application record, the plain ring lacks room, or our own record layer
 * does not serve: the stream must be polled then. */
size_t xw_tls_read_from(struct xw_bs *tls, struct xw_span in, struct xw_tls_read *out);
/* xw_tls_read_note: the stamps of what xw_tls_read_from just decrypted, to be kept if some of it stays unread. */
void xw_tls_read_note(struct xw_bs *tls, const struct xw_tls_read *r, const struct xw_rxstamp *last,
                      const struct xw_rxstamp *first);
/* xw_tls_prefetch: what xw_tls_read_from will touch, the place of the content too, is on its way to the cache. */
void xw_tls_prefetch(const struct xw_bs *tls);
/* xw_tls_quiet: open, both directions, and poll would do nothing but receive. */
bool xw_tls_quiet(const struct xw_bs *tls);

/* xw_tls_lower: the stream below. */
struct xw_bs *xw_tls_lower(const struct xw_bs *tls);
#endif
