/* tls/tls.c: the stream: poll (handshake, one record, what waits to be sent), and its end. Where a record is read or
 * written there are two ways: OpenSSL here, our own record layer in handover.c.
 *
 * OpenSSL is asked to read only when a complete record lies below, so "want read" is rare. Its error queue belongs
 * to the thread, and whoever else uses OpenSSL there may leave entries that SSL_get_error would take for ours: it is
 * looked at before every call and emptied when it is not empty. (SSL_want alone does not do: the handshake says
 * "want read" after a fatal alert.) The end of the stream below is not shown to OpenSSL: here it is known whether
 * close_notify came before it. */
#include "tls/tls_priv.h"
#include "base/err.h"
#include "base/setup_error.h"
#include "xw.h"
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Records that one poll lets OpenSSL take. Only one of them can be application data with content; tickets, key updates
 * and empty records do not count as progress for the reader and are bounded so that a peer cannot hold the poll. */
#define RECORDS_PER_POLL 8u
/* A whole flight of a server: hello, extensions, certificate chain, finished, each in several records if it likes. */
#define RECORDS_PER_HANDSHAKE_STEP 32u

static struct xw_tls *of(struct xw_bs *b) { return (struct xw_tls *)(void *)b; }
static const struct xw_tls *of_const(const struct xw_bs *b) { return (const struct xw_tls *)(const void *)b; }

static struct xw_bs_status lower_status(const struct xw_tls *t) {
    struct xw_bs_status st;
    t->lower->ops->status(t->lower, &st);
    return st;
}

/* ---- failing --------------------------------------------------------------------------------------------------- */

void xw_tls_fail(struct xw_tls *t, int error, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->why, sizeof t->why, fmt, ap);
    va_end(ap);
    t->state = XW_BS_FAILED;
    t->error = error;
}

/* OpenSSL refused; its alert, if it made one, lies in the stream below and goes out before the end. */
static void fail_ssl(struct xw_tls *t, const char *doing) {
    char text[XW_TLS_TEXT_MAX - 64];
    xw_tls_queue_text(text, sizeof text);
    if (*t->cert)
        xw_tls_fail(t, XW_ETLS, "%s", t->cert);
    else
        xw_tls_fail(t, XW_ETLS, "%s: %s", doing, text);
    t->lower->ops->shutdown_wr(t->lower);
    t->wrote = true;
}

static void fail_lower(struct xw_tls *t, const struct xw_bs_status *st) {
    xw_tls_fail(t, st->error, "%s", t->lower->ops->error_text(t->lower));
    t->sys_errno = st->sys_errno;
}

/* No complete record is left: has the stream below come to its end? */
static void check_lower_end(struct xw_tls *t) {
    struct xw_bs_status st = lower_status(t);
    bool ended = t->rx_eof && t->notified;
    if (st.state == XW_BS_FAILED) {
        if (!ended)
            fail_lower(t, &st);
    } else if (st.rx_eof && !t->rx_eof) {
        bool partial = t->lower->ops->peek(t->lower).len != 0;
        xw_tls_fail(t, XW_ETLS, "%s: the peer ended the connection %s",
             t->state == XW_BS_CONNECTING ? "TLS handshake failed" : "TLS stream truncated",
             partial ? "within a record" : "without close_notify");
    }
}

/* ---- sending --------------------------------------------------------------------------------------------------- */

static void empty_queue(void) {
    if (XW_UNLIKELY(ERR_peek_error()))
        ERR_clear_error();
}

/* After a call that returned rc <= 0: does it only want bytes or room? */
static bool wants_io(const struct xw_tls *t, int rc) {
    int err = SSL_get_error(t->ssl, rc);
    return err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE;
}

/* Encrypts what was committed, as far as the stream below has room, then says goodbye if that was asked for. */
static void pump_out(struct xw_tls *t) {
    if (xw_tls_own_on(t)) {
        xw_tls_own_pump(t);
        return;
    }
    while (t->out_len && t->state == XW_BS_OPEN) {
        size_t n = 0;
        empty_queue();
        if (!SSL_write_ex(t->ssl, t->out + t->out_from, t->out_len, &n)) {
            if (!wants_io(t, 0))
                fail_ssl(t, "TLS write failed");
            return;
        }
        t->out_from += (uint32_t)n;
        t->out_len -= (uint32_t)n;
    }
    if (t->state != XW_BS_OPEN || !t->tx_shut || t->notified)
        return;
    empty_queue();
    int rc = SSL_shutdown(t->ssl);
    if (rc < 0) {
        if (SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_WRITE)
            return;
        ERR_clear_error(); /* it cannot be said any more; the end of the stream below says it */
    }
    t->notified = true;
    t->lower->ops->shutdown_wr(t->lower);
    t->wrote = true;
}

static void flush_lower(struct xw_tls *t, uint64_t now_ns) {
    if (!t->wrote)
        return;
    t->wrote = false;
    t->lower->ops->flush(t->lower, now_ns);
}

/* Down and out as far as it goes: what the stream below could send on has made room for more of what waits here, of
 * which nobody would tell. Ends when nothing waits or the stream below is full. */
static void push_down(struct xw_tls *t, uint64_t now_ns) {
    for (pump_out(t); t->wrote; pump_out(t))
        flush_lower(t, now_ns);
}

static struct xw_mspan tls_reserve(struct xw_bs *b) {
    struct xw_tls *t = of(b);
    if (t->state != XW_BS_OPEN || t->tx_shut)
        return xw_mspan(t->out, 0);
    if (!t->out_len)
        t->out_from = 0;
    else if (t->out_from) {
        memmove(t->out, t->out + t->out_from, t->out_len);
        t->out_from = 0;
    }
    return xw_mspan(t->out + t->out_len, XW_TLS_PLAIN_MAX - t->out_len);
}

static void tls_commit(struct xw_bs *b, size_t n) {
    struct xw_tls *t = of(b);
    XW_ASSERT(t->out_from + t->out_len + n <= XW_TLS_PLAIN_MAX);
    t->out_len += (uint32_t)n;
    pump_out(t);
}

static void tls_flush(struct xw_bs *b, uint64_t now_ns) {
    struct xw_tls *t = of(b);
    if (XW_LIKELY(xw_tls_own_idle(t))) { /* all is sealed and below, and sending it on makes no room for anything */
        t->wrote = false;
        t->lower->ops->flush(t->lower, now_ns);
        return;
    }
    pump_out(t);
    t->wrote = false;
    t->lower->ops->flush(t->lower, now_ns);
    push_down(t, now_ns);
}

static void tls_shutdown_wr(struct xw_bs *b) {
    struct xw_tls *t = of(b);
    t->tx_shut = true;
    if (t->state == XW_BS_CONNECTING) { /* nobody to say goodbye to yet */
        t->notified = true;
        t->lower->ops->shutdown_wr(t->lower);
        t->wrote = true;
    }
    pump_out(t);
}

/* ---- receiving ------------------------------------------------------------------------------------------------- */

static uint64_t clock_of(const struct xw_tls *t) { return t->clock ? t->clock(t->clock_arg) : 0; }

/* The handshake ended with something that our record layer does not serve. */
static void not_ours(struct xw_tls *t) {
    xw_tls_own_free(t);
    if (t->ctx->engine != XW_TLS_ENGINE_OWN)
        return;
    xw_tls_fail(t, XW_ETLS, "TLS handshake failed: the own record layer does not serve %s",
                SSL_get_cipher_name(t->ssl));
    t->lower->ops->shutdown_wr(t->lower);
    t->wrote = true;
}

static void handshake(struct xw_tls *t) {
    t->budget = RECORDS_PER_HANDSHAKE_STEP;
    empty_queue();
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1) {
        t->state = XW_BS_OPEN;
        if (t->own && !xw_tls_take_over(t))
            not_ours(t);
    } else if (t->garbage || !wants_io(t, rc))
        fail_ssl(t, "TLS handshake failed");
}

/* A record below and room for its plaintext above. */
static bool can_decrypt(struct xw_tls *t) {
    return !t->rx_eof && xw_bytering_room(t->plain) >= XW_TLS_PLAIN_MAX && (t->feed || xw_tls_record_len(t));
}

void xw_tls_decrypted(struct xw_tls *t, size_t n, uint64_t begin_ns) {
    struct xw_mark m = { .last = t->rec_last, .first = t->rec_first, .begin_ns = begin_ns, .done_ns = clock_of(t) };
    xw_bytering_commit(t->plain, n);
    m.end = t->plain->tail;
    xw_marks_push(&t->marks, &m, t->plain->head);
}

static void ssl_read(struct xw_tls *t, uint64_t begin_ns) {
    struct xw_mspan room = xw_bytering_reserve(t->plain);
    size_t n = 0;
    empty_queue();
    if (XW_LIKELY(SSL_read_ex(t->ssl, room.p, XW_TLS_PLAIN_MAX, &n)))
        xw_tls_decrypted(t, n, begin_ns);
    else if (SSL_get_error(t->ssl, 0) == SSL_ERROR_ZERO_RETURN) /* SSL_get_shutdown counts fatal alerts too */
        t->rx_eof = true;
    else if (t->garbage || !wants_io(t, 0))
        fail_ssl(t, "TLS read failed");
}

static void decrypt_one(struct xw_tls *t) {
    uint64_t begin_ns = clock_of(t);
    t->budget = RECORDS_PER_POLL;
    if (XW_LIKELY(xw_tls_own_on(t)))
        xw_tls_own_read(t, begin_ns);
    else
        ssl_read(t, begin_ns);
}

/* Behind close_notify nothing counts (RFC 8446 6.1), but it must not block the end of the stream below. */
static void discard_rest(struct xw_tls *t) {
    t->lower->ops->consume(t->lower, t->lower->ops->peek(t->lower).len);
}

static int poll_connecting(struct xw_tls *t, uint64_t now_ns) {
    int rc = t->lower->ops->poll(t->lower, now_ns);
    struct xw_bs_status st = lower_status(t);
    if (st.state == XW_BS_CONNECTING)
        return rc;
    if (t->replay_cipher)
        xw_tls_replay_step(t);
    else
        handshake(t);
    flush_lower(t, now_ns);
    bool more = t->state != XW_BS_FAILED && xw_tls_record_len(t);
    if (t->state == XW_BS_CONNECTING && !more && rc == XW_OK)
        check_lower_end(t);
    return more ? XW_EAGAIN : rc;
}

static int poll_open(struct xw_tls *t, uint64_t now_ns) {
    int rc = XW_OK;
    pump_out(t);
    bool ready = can_decrypt(t);
    if (ready)
        flush_lower(t, now_ns);
    else {
        t->wrote = false;
        rc = t->lower->ops->poll(t->lower, now_ns);
        ready = can_decrypt(t);
    }
    if (ready && t->state == XW_BS_OPEN)
        decrypt_one(t);
    if (t->rx_eof)
        discard_rest(t);
    if (t->state == XW_BS_OPEN && !t->rx_eof && (t->feed || xw_tls_record_len(t)))
        /* with the plain ring full the reader moves first; polling again at once would do nothing */
        rc = xw_bytering_room(t->plain) >= XW_TLS_PLAIN_MAX ? XW_EAGAIN : XW_OK;
    else if (t->state == XW_BS_OPEN && rc == XW_OK)
        check_lower_end(t);
    push_down(t, now_ns);
    return rc;
}

static int tls_poll(struct xw_bs *b, uint64_t now_ns) {
    struct xw_tls *t = of(b);
    if (t->state == XW_BS_OPEN)
        return poll_open(t, now_ns);
    if (t->state == XW_BS_CONNECTING)
        return poll_connecting(t, now_ns);
    t->lower->ops->flush(t->lower, now_ns); /* the alert */
    return XW_OK;
}

static struct xw_span tls_peek(struct xw_bs *b) { return xw_bytering_peek(of(b)->plain); }
static void tls_consume(struct xw_bs *b, size_t n) { xw_bytering_consume(of(b)->plain, n); }

/* ---- state and end --------------------------------------------------------------------------------------------- */

static void tls_abort(struct xw_bs *b) {
    struct xw_tls *t = of(b);
    t->lower->ops->abort(t->lower);
    if (t->state != XW_BS_FAILED)
        xw_tls_fail(t, XW_ECLOSED, "%s", xw_strerror(XW_ECLOSED));
}

static uint64_t tls_deadline(const struct xw_bs *b) {
    const struct xw_tls *t = of_const(b);
    return t->lower->ops->deadline(t->lower);
}

static void tls_status(const struct xw_bs *b, struct xw_bs_status *out) {
    const struct xw_tls *t = of_const(b);
    struct xw_bs_status st = lower_status(t);
    *out = (struct xw_bs_status){ .state = t->state, .error = t->error, .sys_errno = t->sys_errno, .rx_eof = t->rx_eof,
                                  .tx_shut = t->tx_shut,
                                  .tx_drained = !t->out_len && !xw_tls_own_staged(t) && t->notified == t->tx_shut && st.tx_drained };
    if (t->state == XW_BS_OPEN && t->rx_eof && t->notified && (st.state == XW_BS_CLOSED || st.state == XW_BS_FAILED))
        out->state = XW_BS_CLOSED;
}

static uint64_t tls_rx_offset(const struct xw_bs *b) { return of_const(b)->plain->head; }

static void tls_stamp(const struct xw_bs *b, uint64_t off, struct xw_rxstamp *last, struct xw_rxstamp *first) {
    xw_marks_stamp(&of_const(b)->marks, off, last, first);
}

static const char *tls_error_text(const struct xw_bs *b) { return of_const(b)->why; }

static void destroy(struct xw_tls *t) {
    SSL_free(t->ssl);
    OPENSSL_cleanse(&t->replay, sizeof t->replay);
    xw_tls_own_free(t);
    xw_tls_ctx_free(t->ctx);
    OPENSSL_cleanse(t->out, sizeof t->out);
    free(t);
}

static void tls_close(struct xw_bs *b) {
    struct xw_tls *t = of(b);
    t->lower->ops->close(t->lower);
    destroy(t);
}

static const struct xw_bs_ops tls_ops = {
    .peek = tls_peek, .consume = tls_consume, .reserve = tls_reserve, .commit = tls_commit,
    .shutdown_wr = tls_shutdown_wr,
    .flush = tls_flush, .abort = tls_abort, .poll = tls_poll, .deadline = tls_deadline, .status = tls_status,
    .rx_offset = tls_rx_offset, .stamp = tls_stamp, .error_text = tls_error_text, .close = tls_close,
};

/* ---- creation and questions ------------------------------------------------------------------------------------ */

static int make_ssl(struct xw_tls *t, const char *server_name) {
    t->ssl = SSL_new(t->ctx->ssl);
    BIO *bio = t->ssl ? BIO_new(t->ctx->bio) : NULL;
    if (!bio)
        return xw_setup_fail_text(XW_ENOMEM, "create a TLS connection", "OpenSSL has no memory");
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    if (t->ctx->server) {
        SSL_set_accept_state(t->ssl);
        return XW_OK;
    }
    SSL_set_connect_state(t->ssl);
    if (xw_tls_expect_name(t, server_name))
        return xw_setup_fail_text(XW_EINVAL, "set the server name of a TLS connection",
                                  server_name && *server_name ? "it is no DNS name or IP address"
                                                              : "verification needs one");
    return XW_OK;
}

int xw_tls_new(struct xw_tls_ctx *ctx, struct xw_bs *lower, const char *server_name, struct xw_bytering *plain,
               uint64_t (*clock)(void *arg), void *clock_arg, struct xw_bs **out) {
    xw_setup_clear();
    if (!plain->mirrored || plain->cap < 2 * XW_TLS_PLAIN_MAX)
        return xw_setup_fail_text(XW_EINVAL, "create a TLS connection",
                                  "needs a mirrored ring of at least 32768 bytes");
    struct xw_tls *t = calloc(1, sizeof *t);
    if (!t)
        return xw_setup_fail(XW_ENOMEM, "allocate a TLS connection");
    t->bs.ops = &tls_ops;
    t->ctx = ctx;
    xw_tls_ctx_ref(ctx);
    t->lower = lower;
    t->plain = plain;
    t->clock = clock;
    t->clock_arg = clock_arg;
    t->state = XW_BS_CONNECTING;
    int rc = ctx->aead && xw_tls_own_new(t) ? xw_setup_fail(XW_ENOMEM, "allocate a TLS record layer")
                                            : make_ssl(t, server_name);
    if (rc) {
        destroy(t);
        return rc;
    }
    xw_bytering_reset(plain);
    *out = &t->bs;
    return XW_OK;
}

void xw_tls_record_times(const struct xw_bs *tls, uint64_t off, uint64_t *begin_ns, uint64_t *end_ns) {
    const struct xw_mark *m = xw_marks_find(&of_const(tls)->marks, off);
    *begin_ns = m ? m->begin_ns : 0;
    *end_ns = m ? m->done_ns : 0;
}

void xw_tls_info(const struct xw_bs *tls, struct xw_conn_info *out) {
    const struct xw_tls *t = of_const(tls);
    const SSL_CIPHER *cipher = t->replay_cipher ? t->replay_cipher : SSL_get_current_cipher(t->ssl);
    out->tls_version = 0;
    out->cipher[0] = out->tls_engine[0] = out->tls_library[0] = 0;
    if (t->state == XW_BS_CONNECTING || !cipher)
        return;
    out->tls_version = t->replay_cipher ? t->replay.version : SSL_version(t->ssl) == TLS1_3_VERSION ? 13 : 12;
    snprintf(out->cipher, sizeof out->cipher, "%s", SSL_CIPHER_get_name(cipher));
    bool own = xw_tls_own_on(t);
    snprintf(out->tls_engine, sizeof out->tls_engine, "%s", own ? "own" : "openssl");
    snprintf(out->tls_library, sizeof out->tls_library, "%s", own ? xw_tls_own_library(t) : "openssl");
}

struct xw_bs *xw_tls_lower(const struct xw_bs *tls) { return of_const(tls)->lower; }
