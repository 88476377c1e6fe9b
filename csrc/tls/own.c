#include "tls/own.h"
#include "base/assert.h"
#include "base/err.h"
#include "tls/kdf.h"
#include <openssl/crypto.h>
#include <string.h>

/* RFC 8446 5.5: AES-GCM stays safe for 2^24.5 records of full length under one key. Ours are counted as records; of
 * the peer's, whose duty it is, the bytes: a feed's short records would reach the number within minutes. */
#define TX_RECORDS_MAX (1ull << 24)
#define RX_BYTES_MAX (TX_RECORDS_MAX * XW_REC_CONTENT_MAX)
/* As OpenSSL: a peer that sends more of them in a row only keeps us busy. */
#define EMPTIES_MAX 32u
#define WARNINGS_MAX 4u
/* The longest NewSessionTicket there can be: RFC 8446 4.6.1. */
#define TICKET_MAX (4u + 4u + 1u + 255u + 2u + 65535u + 2u + 65534u)

enum message { HELLO_REQUEST = 0, NEW_SESSION_TICKET = 4, KEY_UPDATE = 24 };
enum ticket_field { LIFE_AND_AGE, NONCE_LEN, NONCE, TICKET_LEN, TICKET, EXT_LEN, EXT, TICKET_DONE };

static enum xw_own_result fatal(struct xw_own *o, enum xw_alert alert, const char *why) {
    o->alert = alert;
    o->by_peer = false;
    o->why = why;
    return XW_OWN_FATAL;
}

/* ---- keys ---- */

/* RFC 8446 7.3 */
static int key13(struct xw_own *o, struct xw_rec *r, bool sealing, const uint8_t *secret) {
    uint8_t key[XW_AEAD_KEY_MAX], iv[XW_AEAD_NONCE_LEN];
    struct xw_span s = xw_span(secret, o->secret_len);
    int rc = xw_kdf_expand_label(o->md, s, "key", key, xw_aead_key_len(o->alg));
    if (!rc)
        rc = xw_kdf_expand_label(o->md, s, "iv", iv, sizeof iv);
    if (!rc)
        rc = xw_rec_key(r, o->lib, o->alg, true, sealing, key, iv);
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(iv, sizeof iv);
    return rc;
}

/* RFC 8446 7.2 */
static int next_key(struct xw_own *o, struct xw_rec *r, bool sealing, uint8_t *secret) {
    uint8_t next[XW_OWN_SECRET_MAX];
    int rc = xw_kdf_expand_label(o->md, xw_span(secret, o->secret_len), "traffic upd", next, o->secret_len);
    if (!rc) {
        memcpy(secret, next, o->secret_len);
        rc = key13(o, r, sealing, secret);
    }
    OPENSSL_cleanse(next, sizeof next);
    return rc;
}

static void start(struct xw_own *o, const struct xw_aead_lib *lib, enum xw_aead_alg alg, const struct evp_md_st *md) {
    xw_own_wipe(o);
    o->lib = lib;
    o->alg = alg;
    o->md = md;
    /* ChaCha20: RFC 8446 5.5, the sequence number ends first */
    bool chacha = alg == XW_AEAD_CHACHA20_POLY1305;
    o->tx_records_max = chacha ? UINT64_MAX - TX_RECORDS_MAX : TX_RECORDS_MAX;
    o->rx_bytes_max = chacha ? UINT64_MAX : RX_BYTES_MAX;
}

int xw_own_start13(struct xw_own *o, const struct xw_aead_lib *lib, enum xw_aead_alg alg, const struct evp_md_st *md,
                   struct xw_span client_secret, struct xw_span server_secret) {
    if (client_secret.len != server_secret.len || !client_secret.len || client_secret.len > XW_OWN_SECRET_MAX)
        return XW_EINVAL;
    start(o, lib, alg, md);
    o->tls13 = true;
    o->secret_len = client_secret.len;
    memcpy(o->tx_secret, client_secret.p, client_secret.len);
    memcpy(o->rx_secret, server_secret.p, server_secret.len);
    int rc = key13(o, &o->tx, true, o->tx_secret);
    return rc ? rc : key13(o, &o->rx, false, o->rx_secret);
}

/* RFC 5246 6.3: client key, server key, client IV, server IV; AEADs have no MAC keys. */
int xw_own_start12(struct xw_own *o, const struct xw_aead_lib *lib, enum xw_aead_alg alg, const struct evp_md_st *md,
                   struct xw_span master, const uint8_t client_random[32], const uint8_t server_random[32],
                   uint64_t nonce) {
    uint8_t block[2 * (XW_AEAD_KEY_MAX + XW_AEAD_NONCE_LEN)], seed[64];
    size_t key_len = xw_aead_key_len(alg), iv_len = xw_rec_iv_len(false, alg);
    start(o, lib, alg, md);
    memcpy(seed, server_random, 32);
    memcpy(seed + 32, client_random, 32);
    int rc = xw_kdf_prf12(md, master, "key expansion", xw_span(seed, sizeof seed), block, 2 * (key_len + iv_len));
    if (!rc)
        rc = xw_rec_key(&o->tx, lib, alg, false, true, block, block + 2 * key_len);
    if (!rc)
        rc = xw_rec_key(&o->rx, lib, alg, false, false, block + key_len, block + 2 * key_len + iv_len);
    OPENSSL_cleanse(block, sizeof block);
    o->tx.seq = o->rx.seq = 1;
    o->tx.nonce = nonce;
    return rc;
}

void xw_own_wipe(struct xw_own *o) {
    xw_rec_wipe(&o->rx);
    xw_rec_wipe(&o->tx);
    OPENSSL_cleanse(o, sizeof *o);
}

/* ---- handshake messages after the handshake ---- */

static const uint32_t field_len[] = { [LIFE_AND_AGE] = 8, [NONCE_LEN] = 1, [TICKET_LEN] = 2, [EXT_LEN] = 2 };

static void next_field(struct xw_own_message *m) {
    uint32_t value = m->acc;
    m->acc = 0;
    m->field++;
    bool counted = m->field == NONCE || m->field == TICKET || m->field == EXT;
    m->need = counted ? value : m->field < TICKET_DONE ? field_len[m->field] : 0;
}

/* Bytes of a NewSessionTicket pass; false: it is malformed. */
static bool ticket_bytes(struct xw_own_message *m, const uint8_t *p, size_t n) {
    while (n) {
        while (!m->need && m->field < TICKET_DONE) {
            if (m->field == TICKET_LEN && !m->acc)
                return false; /* opaque ticket<1..2^16-1> */
            next_field(m);
        }
        if (m->field == TICKET_DONE)
            return false; /* bytes behind the end */
        uint32_t take = m->need < n ? m->need : (uint32_t)n;
        bool number = m->field == NONCE_LEN || m->field == TICKET_LEN || m->field == EXT_LEN;
        for (uint32_t i = 0; number && i < take; i++)
            m->acc = m->acc << 8 | p[i];
        m->need -= take;
        p += take, n -= take;
    }
    return true;
}

static bool ticket_whole(const struct xw_own_message *m) {
    return !m->need && (m->field == EXT || (m->field == EXT_LEN && !m->acc));
}

static enum xw_own_result begin_message(struct xw_own *o) {
    struct xw_own_message *m = &o->msg;
    m->left = (uint32_t)m->head[1] << 16 | (uint32_t)m->head[2] << 8 | m->head[3];
    if (!o->tls13) {
        if (m->head[0] != HELLO_REQUEST)
            return fatal(o, XW_ALERT_UNEXPECTED_MESSAGE, "an unexpected handshake message");
        return m->left ? fatal(o, XW_ALERT_DECODE_ERROR, "a malformed HelloRequest") : XW_OWN_NOTHING;
    }
    if (m->head[0] == KEY_UPDATE)
        return m->left != 1 ? fatal(o, XW_ALERT_DECODE_ERROR, "a malformed KeyUpdate") : XW_OWN_NOTHING;
    if (m->head[0] != NEW_SESSION_TICKET) /* CertificateRequest too: we did not offer post_handshake_auth */
        return fatal(o, XW_ALERT_UNEXPECTED_MESSAGE, "an unexpected handshake message");
    m->field = LIFE_AND_AGE;
    m->need = field_len[LIFE_AND_AGE];
    m->acc = 0;
    return !m->left || m->left > TICKET_MAX ? fatal(o, XW_ALERT_DECODE_ERROR, "a malformed NewSessionTicket")
                                            : XW_OWN_NOTHING;
}

/* RFC 8446 4.6.3 */
static enum xw_own_result key_update(struct xw_own *o, size_t behind) {
    if (behind)
        return fatal(o, XW_ALERT_UNEXPECTED_MESSAGE, "a KeyUpdate that does not end its record");
    if (o->msg.update > 1)
        return fatal(o, XW_ALERT_ILLEGAL_PARAMETER, "a KeyUpdate of unknown kind");
    if (next_key(o, &o->rx, false, o->rx_secret))
        return fatal(o, XW_ALERT_INTERNAL_ERROR, "the next key could not be made");
    o->rx_bytes = 0;
    o->owe_update = o->owe_update || o->msg.update;
    return XW_OWN_NOTHING;
}

static enum xw_own_result end_message(struct xw_own *o, size_t behind) {
    o->msg.head_len = 0;
    if (!o->tls13)
        o->owe_warning = true; /* RFC 5246 7.4.1.1: may be answered by no_renegotiation */
    else if (o->msg.head[0] == KEY_UPDATE)
        return key_update(o, behind);
    else if (!ticket_whole(&o->msg))
        return fatal(o, XW_ALERT_DECODE_ERROR, "a malformed NewSessionTicket");
    return XW_OWN_NOTHING;
}

static enum xw_own_result handshake(struct xw_own *o, const uint8_t *p, size_t n) {
    struct xw_own_message *m = &o->msg;
    enum xw_own_result r = XW_OWN_NOTHING;
    if (!n)
        return fatal(o, XW_ALERT_UNEXPECTED_MESSAGE, "an empty handshake record");
    while (n && !r) {
        if (m->head_len < 4) {
            m->head[m->head_len++] = *p++, n--;
            if (m->head_len < 4)
                continue;
            r = begin_message(o);
        }
        size_t take = m->left < n ? m->left : n;
        if (!r && take && m->head[0] == KEY_UPDATE)
            m->update = *p;
        else if (!r && take && !ticket_bytes(m, p, take))
            r = fatal(o, XW_ALERT_DECODE_ERROR, "a malformed NewSessionTicket");
        m->left -= (uint32_t)take;
        p += take, n -= take;
        if (!r && !m->left)
            r = end_message(o, n);
    }
    return r;
}

/* ---- records ---- */

static enum xw_own_result alert(struct xw_own *o, const uint8_t *p, size_t n) {
    if (n != 2)
        return fatal(o, n ? XW_ALERT_DECODE_ERROR : XW_ALERT_UNEXPECTED_MESSAGE, "a malformed alert");
    /* 1.3: the level says nothing any more (RFC 8446 6); a fatal close_notify of 1.2 is an error alert like others */
    bool warning = o->tls13 ? p[1] == XW_ALERT_USER_CANCELED : p[0] == 1;
    if (p[1] == XW_ALERT_CLOSE_NOTIFY && (o->tls13 || warning))
        return XW_OWN_END;
    if (!o->tls13 && p[0] != 1 && p[0] != 2)
        return fatal(o, XW_ALERT_ILLEGAL_PARAMETER, "an alert of unknown level");
    if (warning)
        return ++o->warnings > WARNINGS_MAX ? fatal(o, XW_ALERT_UNEXPECTED_MESSAGE, "too many warning alerts")
                                            : XW_OWN_NOTHING;
    o->alert = (enum xw_alert)p[1];
    o->by_peer = true;
    return XW_OWN_FATAL;
}

static enum xw_own_result data(struct xw_own *o, size_t len, size_t *n) {
    if (XW_UNLIKELY(!len))
        return ++o->empties > EMPTIES_MAX ? fatal(o, XW_ALERT_UNEXPECTED_MESSAGE, "too many empty records")
                                          : XW_OWN_NOTHING;
    o->empties = o->warnings = 0;
    o->rx_bytes += len;
    if (XW_UNLIKELY(o->tls13 && o->rx_bytes > o->rx_bytes_max)) {
        o->ask_update = true; /* once per that many bytes: the peer may take its time */
        o->rx_bytes = 0;
    }
    *n = len;
    return XW_OWN_DATA;
}

enum xw_own_result xw_own_open(struct xw_own *o, struct xw_span rec, uint8_t *out, size_t *n) {
    struct xw_rec_content c;
    int refused = xw_rec_open(&o->rx, rec, out, &c);
    if (XW_UNLIKELY(refused))
        return fatal(o, (enum xw_alert)refused, c.why);
    if (XW_UNLIKELY(o->msg.head_len && c.type != XW_REC_HANDSHAKE)) /* RFC 8446 5.1: not interleaved */
        return fatal(o, XW_ALERT_UNEXPECTED_MESSAGE, "another record within a handshake message");
    if (XW_LIKELY(c.type == XW_REC_DATA))
        return data(o, c.len, n);
    if (c.type == XW_REC_ALERT)
        return alert(o, out, c.len);
    if (c.type == XW_REC_HANDSHAKE)
        return handshake(o, out, c.len);
    return fatal(o, XW_ALERT_UNEXPECTED_MESSAGE, "a record of unexpected type");
}

size_t xw_own_seal(struct xw_own *o, enum xw_rec_type type, uint8_t *content, size_t len, uint8_t *out) {
    size_t n = xw_rec_seal(&o->tx, type, content, len, out);
    if (XW_UNLIKELY(o->tls13 && o->tx.seq >= o->tx_records_max))
        o->owe_update = true;
    return n;
}

size_t xw_own_seal_alert(struct xw_own *o, enum xw_alert a, uint8_t *out) {
    bool warning = a == XW_ALERT_CLOSE_NOTIFY || a == XW_ALERT_NO_RENEGOTIATION;
    uint8_t content[3] = { warning ? 1 : 2, (uint8_t)a };
    return xw_rec_seal(&o->tx, XW_REC_ALERT, content, 2, out);
}

size_t xw_own_owed(struct xw_own *o, uint8_t *out) {
    if (o->owe_warning) {
        o->owe_warning = false;
        return xw_own_seal_alert(o, XW_ALERT_NO_RENEGOTIATION, out);
    }
    uint8_t content[6] = { KEY_UPDATE, 0, 0, 1, o->ask_update };
    size_t n = xw_rec_seal(&o->tx, XW_REC_HANDSHAKE, content, 5, out);
    o->owe_update = o->ask_update = false;
    return n && !next_key(o, &o->tx, true, o->tx_secret) ? n : 0;
}
