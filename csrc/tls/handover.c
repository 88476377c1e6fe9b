/* tls/handover.c: where OpenSSL ends and own.c begins, and how own.c's records meet the streams.
 *
 * The moment is the end of the handshake. OpenSSL has then read exactly the records of the handshake (bio.c gives it one
 * at a time) and written its Finished, so both sequence numbers are known: 0 in TLS 1.3, where tickets come under the new
 * keys and are ours to read, 1 in TLS 1.2, where Finished was the first record under them. The traffic secrets of 1.3
 * come through the key log, the master secret of 1.2 from the session. In 1.2 with GCM OpenSSL's explicit nonce begins
 * anywhere; ours continues behind the one of its Finished, so that none is used twice.
 *
 * Sending: a record is sealed into the space of the stream below if it is contiguous there, else into a buffer that
 * drains as room comes. Nothing else is sealed before that is empty, hence records leave in their order. */
#include "base/assert.h"
#include "base/err.h"
#include "tls/handover.h"
#include "xw.h"
#include <stdlib.h>
#include <string.h>

/* The client's encrypted Finished in TLS 1.2 with GCM: header, explicit nonce, 4 + 12 bytes of message, tag. */
#define FINISHED12_LEN (5u + 8u + 16u + 16u)
_Static_assert(XW_TLS_PLAIN_MAX == XW_REC_CONTENT_MAX, "a record's content is what the plain ring takes");

struct xw_tls_own {
    struct xw_own m;
    uint8_t client[XW_OWN_SECRET_MAX], server[XW_OWN_SECRET_MAX]; /* 1.3: between key log and take-over */
    size_t client_len, server_len;
    uint8_t tail[FINISHED12_LEN]; /* the last bytes that OpenSSL wrote in the handshake */
    bool on;
    bool said_goodbye;            /* close_notify is sealed */
    uint32_t stage_from, stage_len; /* sealed and not yet in the stream below: stage[from, from + len) */
    uint8_t stage[XW_REC_CONTENT_MAX + XW_REC_OVERHEAD_MAX];
};

int xw_tls_own_new(struct xw_tls *t) {
    struct xw_tls_own *o = aligned_alloc(_Alignof(struct xw_tls_own), sizeof *o);
    if (!o)
        return XW_ENOMEM;
    memset(o, 0, sizeof *o);
    t->own = o;
    return XW_OK;
}

void xw_tls_own_free(struct xw_tls *t) {
    if (!t->own)
        return;
    xw_own_wipe(&t->own->m);
    OPENSSL_cleanse(t->own, sizeof *t->own);
    free(t->own);
    t->own = NULL;
}

bool xw_tls_own_on(const struct xw_tls *t) { return t->own && t->own->on; }

bool xw_tls_own_idle(const struct xw_tls *t) {
    const struct xw_tls_own *o = t->own;
    return o && o->on && t->state == XW_BS_OPEN && !t->out_len && !o->stage_len && !t->tx_shut && !xw_own_owes(&o->m);
}

bool xw_tls_own_staged(const struct xw_tls *t) { return t->own && t->own->stage_len; }

const char *xw_tls_own_library(const struct xw_tls *t) { return xw_aead_name(&t->own->m.rx.aead); }

/* ---- taking over ----------------------------------------------------------------------------------------------- */

/* The last word of a key log line, in hex. 0: it is no secret of ours. */
static size_t secret_of(const char *line, const char *label, uint8_t *out) {
    size_t n = strlen(label), len = 0;
    const char *hex = strrchr(line, ' ');
    if (strncmp(line, label, n) || line[n] != ' ' || !hex)
        return 0;
    for (hex++; hex[0] && hex[1]; hex += 2, len++) {
        unsigned v = 0;
        for (unsigned i = 0; i < 2; i++) {
            char c = hex[i];
            v = v << 4 | (unsigned)(c >= '0' && c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
        }
        if (len == XW_OWN_SECRET_MAX)
            return 0;
        out[len] = (uint8_t)v;
    }
    return len;
}

void xw_tls_own_keylog(struct xw_tls *t, const char *line) {
    size_t n;
    if (!t->own || t->own->on)
        return;
    if ((n = secret_of(line, "CLIENT_TRAFFIC_SECRET_0", t->own->client)))
        t->own->client_len = n;
    else if ((n = secret_of(line, "SERVER_TRAFFIC_SECRET_0", t->own->server)))
        t->own->server_len = n;
}

void xw_tls_own_wrote(struct xw_tls *t, const void *bytes, size_t len) {
    if (!t->own || t->own->on)
        return;
    uint8_t *tail = t->own->tail;
    size_t n = len < FINISHED12_LEN ? len : FINISHED12_LEN;
    memmove(tail, tail + n, FINISHED12_LEN - n);
    memcpy(tail + FINISHED12_LEN - n, (const uint8_t *)bytes + len - n, n);
}

static enum xw_aead_alg alg_of(const SSL_CIPHER *cipher) {
    switch (SSL_CIPHER_get_cipher_nid(cipher)) {
    case NID_aes_128_gcm:
        return XW_AEAD_AES128_GCM;
    case NID_aes_256_gcm:
        return XW_AEAD_AES256_GCM;
    case NID_chacha20_poly1305:
        return XW_AEAD_CHACHA20_POLY1305;
    default:
        return 0;
    }
}

static int start12(struct xw_tls *t, enum xw_aead_alg alg, const EVP_MD *md) {
    uint8_t master[SSL_MAX_MASTER_KEY_LENGTH], client[32], server[32];
    const uint8_t *tail = t->own->tail;
    uint64_t nonce = 0;
    if (alg != XW_AEAD_CHACHA20_POLY1305) {
        static const uint8_t want[5] = { XW_REC_HANDSHAKE, 3, 3, 0, FINISHED12_LEN - 5 };
        if (memcmp(tail, want, sizeof want))
            return XW_EINVAL; /* not seen before: rather OpenSSL than a nonce used twice */
        for (unsigned i = 0; i < 8; i++)
            nonce = nonce << 8 | tail[5 + i];
    }
    size_t len = SSL_SESSION_get_master_key(SSL_get_session(t->ssl), master, sizeof master);
    bool randoms = SSL_get_client_random(t->ssl, client, 32) == 32 && SSL_get_server_random(t->ssl, server, 32) == 32;
    int rc = len && randoms ? xw_own_start12(&t->own->m, t->ctx->aead, alg, md, xw_span(master, len), client, server,
                                             nonce + 1)
                            : XW_EINVAL;
    OPENSSL_cleanse(master, sizeof master);
    return rc;
}

bool xw_tls_take_over(struct xw_tls *t) {
    struct xw_tls_own *o = t->own;
    const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
    enum xw_aead_alg alg = cipher ? alg_of(cipher) : 0;
    const EVP_MD *md = cipher ? SSL_CIPHER_get_handshake_digest(cipher) : NULL;
    if (!alg || !md || t->feed || SSL_has_pending(t->ssl))
        return false;
    int rc = SSL_version(t->ssl) == TLS1_3_VERSION
                 ? xw_own_start13(&o->m, t->ctx->aead, alg, md, xw_span(o->client, o->client_len),
                                  xw_span(o->server, o->server_len))
                 : start12(t, alg, md);
    OPENSSL_cleanse(o->client, sizeof o->client);
    OPENSSL_cleanse(o->server, sizeof o->server);
    if (rc)
        xw_own_wipe(&o->m);
    else
        SSL_free_buffers(t->ssl); /* 34 KiB; it only answers questions from now on */
    o->on = !rc;
    return o->on;
}

/* ---- a replay (replay.c) ----------------------------------------------------------------------------------------- */

int xw_tls_own_begin(struct xw_tls *t, const SSL_CIPHER *cipher, const EVP_MD *md, bool tls13, const struct xw_replay_tls *r) {
    struct xw_own *m = &t->own->m;
    enum xw_aead_alg alg = alg_of(cipher);
    struct xw_span client = xw_span(r->client_secret, r->secret_len), server = xw_span(r->server_secret, r->secret_len);
    xw_tls_own_end(t);
    if (!alg || !md)
        return XW_EINVAL;
    int rc = tls13 ? xw_own_start13(m, t->ctx->aead, alg, md, client, server)
                   : xw_own_start12(m, t->ctx->aead, alg, md, client, r->client_random, r->server_random, 1);
    t->own->on = !rc;
    return rc;
}

bool xw_tls_own_opens(struct xw_tls *t, struct xw_span rec, uint8_t *out) {
    size_t n;
    return xw_own_open(&t->own->m, rec, out, &n) != XW_OWN_FATAL;
}

void xw_tls_own_end(struct xw_tls *t) {
    xw_own_wipe(&t->own->m);
    t->own->on = false;
}

/* ---- sending --------------------------------------------------------------------------------------------------- */

/* What was sealed earlier goes as far as there is room; true: all of it. */
static bool drain(struct xw_tls *t) {
    struct xw_tls_own *o = t->own;
    while (o->stage_len) {
        struct xw_mspan room = t->lower->ops->reserve(t->lower);
        size_t n = o->stage_len < room.len ? o->stage_len : room.len;
        if (!n)
            return false;
        memcpy(room.p, o->stage + o->stage_from, n);
        t->lower->ops->commit(t->lower, n);
        t->wrote = true;
        o->stage_from += (uint32_t)n;
        o->stage_len -= (uint32_t)n;
    }
    return true;
}

/* Where the next record of at most need bytes is sealed; put takes it from there. Only when nothing is staged. */
static uint8_t *place(struct xw_tls *t, size_t need) {
    struct xw_mspan room = t->lower->ops->reserve(t->lower);
    return XW_LIKELY(room.len >= need) ? room.p : t->own->stage;
}

static void put(struct xw_tls *t, const uint8_t *at, size_t len) {
    struct xw_tls_own *o = t->own;
    if (XW_LIKELY(at != o->stage)) {
        t->lower->ops->commit(t->lower, len);
        t->wrote = true;
        return;
    }
    o->stage_from = 0;
    o->stage_len = (uint32_t)len;
    drain(t);
}

static void seal_data(struct xw_tls *t) {
    struct xw_own *m = &t->own->m;
    uint8_t *at = place(t, t->out_len + xw_rec_overhead(&m->tx));
    size_t n = xw_own_seal(m, XW_REC_DATA, t->out + t->out_from, t->out_len, at);
    if (XW_UNLIKELY(!n)) {
        xw_tls_own_fail(t, XW_ALERT_INTERNAL_ERROR, "TLS write failed: the key is used up");
        return;
    }
    t->out_from = t->out_len = 0;
    put(t, at, n);
}

void xw_tls_own_pump(struct xw_tls *t) {
    struct xw_tls_own *o = t->own;
    bool free = drain(t);
    while (free && t->state == XW_BS_OPEN && !o->said_goodbye && (t->out_len || xw_own_owes(&o->m))) {
        if (XW_UNLIKELY(xw_own_owes(&o->m))) {
            uint8_t *at = place(t, XW_OWN_OWED_MAX);
            size_t n = xw_own_owed(&o->m, at);
            if (!n)
                xw_tls_own_fail(t, XW_ALERT_INTERNAL_ERROR, "TLS write failed: the key is used up");
            else
                put(t, at, n);
        } else
            seal_data(t);
        free = !o->stage_len;
    }
    if (!free || t->state != XW_BS_OPEN || !t->tx_shut || t->notified)
        return;
    if (!o->said_goodbye) {
        uint8_t *at = place(t, XW_OWN_OWED_MAX);
        size_t n = xw_own_seal_alert(&o->m, XW_ALERT_CLOSE_NOTIFY, at);
        o->said_goodbye = true;
        if (n)
            put(t, at, n);
        if (o->stage_len)
            return;
    }
    t->notified = true;
    t->lower->ops->shutdown_wr(t->lower);
    t->wrote = true;
}

void xw_tls_own_fail(struct xw_tls *t, int alert, const char *why) {
    struct xw_tls_own *o = t->own;
    if (alert >= 0 && !o->said_goodbye && drain(t)) {
        uint8_t *at = place(t, XW_OWN_OWED_MAX);
        size_t n = xw_own_seal_alert(&o->m, (enum xw_alert)alert, at);
        if (n)
            put(t, at, n);
    }
    xw_tls_fail(t, XW_ETLS, "%s", why);
    t->lower->ops->shutdown_wr(t->lower);
    t->wrote = true;
}

/* ---- receiving ------------------------------------------------------------------------------------------------- */

static void fatal(struct xw_tls *t) {
    const struct xw_own *m = &t->own->m;
    char text[160];
    if (m->by_peer)
        snprintf(text, sizeof text, "TLS read failed: the peer sent a fatal alert: %s (%d)",
                 xw_tls_alert_name((int)m->alert), (int)m->alert);
    else
        snprintf(text, sizeof text, "TLS read failed: %s", m->why);
    xw_tls_own_fail(t, m->by_peer ? -1 : (int)m->alert, text);
}

/* Bytes that cannot be a record's header: which rule they break first. */
static void refuse_header(struct xw_tls *t, const uint8_t *h) {
    if (h[0] < XW_REC_CCS || h[0] > XW_REC_DATA)
        xw_tls_own_fail(t, XW_ALERT_UNEXPECTED_MESSAGE, "TLS read failed: a record of unexpected type");
    else if (h[1] != 3)
        xw_tls_own_fail(t, XW_ALERT_PROTOCOL_VERSION, "TLS read failed: a record of another TLS version");
    else
        xw_tls_own_fail(t, XW_ALERT_RECORD_OVERFLOW, "TLS read failed: a record is longer than allowed");
}

/* One record into the plain ring, behind what is there. A record of 1.3 that is full to the last byte has its content
 * type behind the content; if the ring has room for the content alone, that byte is where the reader's first one is
 * (the ring is mirrored), so it is kept and put back. */
static enum xw_own_result open_record(struct xw_tls *t, size_t len, size_t *n) {
    struct xw_mspan room = xw_bytering_reserve(t->plain);
    struct xw_span rec = xw_span(t->lower->ops->peek(t->lower).p, len);
    if (XW_LIKELY(room.len >= XW_REC_OPEN_MAX))
        return xw_own_open(&t->own->m, rec, room.p, n);
    uint8_t *edge = room.p + XW_REC_CONTENT_MAX, kept = *edge;
    enum xw_own_result r = xw_own_open(&t->own->m, rec, room.p, n);
    *edge = kept;
    return r;
}

void xw_tls_own_read(struct xw_tls *t, uint64_t begin_ns) {
    enum xw_own_result r = XW_OWN_NOTHING;
    for (size_t len, n = 0; r == XW_OWN_NOTHING && (len = xw_tls_next_record(t));) {
        if (XW_UNLIKELY(t->garbage)) {
            refuse_header(t, t->lower->ops->peek(t->lower).p);
            return;
        }
        r = open_record(t, len, &n);
        if (XW_LIKELY(r == XW_OWN_DATA))
            xw_tls_decrypted(t, n, begin_ns);
        t->lower->ops->consume(t->lower, len);
    }
    if (XW_UNLIKELY(r == XW_OWN_END))
        t->rx_eof = true;
    else if (XW_UNLIKELY(r == XW_OWN_FATAL))
        fatal(t);
    if (XW_UNLIKELY(xw_own_owes(&t->own->m)))
        xw_tls_own_pump(t);
}

/* ---- the straight line ------------------------------------------------------------------------------------------- */

/* The alert, the ticket and all else that is not content is done with here, and what follows from it (rx_eof, FAILED,
 * something owed) is seen by the next poll. */
size_t xw_tls_read_from(struct xw_bs *tls, struct xw_span in, struct xw_tls_read *out) {
    struct xw_tls *t = (struct xw_tls *)(void *)tls;
    struct xw_tls_own *o = t->own;
    if (XW_UNLIKELY(!o || !o->on) || t->state != XW_BS_OPEN || t->rx_eof || in.len < XW_REC_HDR_LEN ||
        in.p[0] != XW_REC_DATA || in.p[1] != 3)
        return 0;
    size_t len = XW_REC_HDR_LEN + ((size_t)in.p[3] << 8 | in.p[4]), n = 0;
    if (len > in.len || len > XW_TLS_RECORD_MAX || xw_bytering_room(t->plain) < XW_REC_OPEN_MAX)
        return 0;
    out->begin_ns = t->clock ? t->clock(t->clock_arg) : 0;
    out->done_ns = 0;
    if (!xw_bytering_len(t->plain))
        xw_bytering_rewind(t->plain);
    uint8_t *at = xw_bytering_at(t->plain, t->plain->tail);
    enum xw_own_result r = xw_own_open(&o->m, xw_span(in.p, len), at, &n);
    if (XW_LIKELY(r == XW_OWN_DATA)) {
        xw_bytering_commit(t->plain, n);
        out->done_ns = t->clock ? t->clock(t->clock_arg) : 0;
    } else if (r == XW_OWN_END)
        t->rx_eof = true;
    else if (r == XW_OWN_FATAL)
        fatal(t);
    out->data = xw_span(at, n);
    out->poll = r != XW_OWN_DATA || xw_own_owes(&o->m);
    return len;
}

void xw_tls_read_note(struct xw_bs *tls, const struct xw_tls_read *r, const struct xw_rxstamp *last,
                      const struct xw_rxstamp *first) {
    struct xw_tls *t = (struct xw_tls *)(void *)tls;
    struct xw_mark m = { .end = t->plain->tail, .last = *last, .first = *first, .begin_ns = r->begin_ns,
                         .done_ns = r->done_ns };
    xw_marks_push(&t->marks, &m, t->plain->head);
}

void xw_tls_prefetch(const struct xw_bs *tls) {
    const struct xw_tls *t = (const struct xw_tls *)(const void *)tls;
    const struct xw_tls_own *o = t->own;
    if (!o)
        return;
    const struct xw_bytering *r = t->plain;
    const uint8_t *p = (const uint8_t *)&o->m.rx, *out = xw_bytering_len(r) ? xw_bytering_at(r, r->tail) : r->base;
    for (size_t at = 0; at < sizeof o->m.rx; at += 64)
        __builtin_prefetch(p + at, 1);
    __builtin_prefetch(&o->m.msg, 1);
    __builtin_prefetch(&o->m.empties, 1);
    for (unsigned at = 0; at < 256; at += 64)
        __builtin_prefetch(out + at, 1);
}

bool xw_tls_quiet(const struct xw_bs *tls) {
    const struct xw_tls *t = (const struct xw_tls *)(const void *)tls;
    return xw_tls_own_idle(t) && !t->rx_eof && !t->wrote;
}
