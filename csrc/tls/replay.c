/* tls/replay.c: a captured connection instead of a handshake: its records pass by, and the own record layer begins where
 * they are protected by the keys that the key log gives.
 *
 * TLS 1.3: the handshake's later records look like data and are under other keys. The first record that opens under the
 * application traffic secret with sequence number 0 is the first one behind the handshake, so the others need no keys and no
 * count. TLS 1.2: the record behind the server's ChangeCipherSpec is its Finished, number 0; what follows is ours. */
#include "tls/handover.h"
#include "base/err.h"
#include "base/setup_error.h"
#include "tls/tls_priv.h"
#include "xw.h"
#include <string.h>

#define RECORDS_PER_STEP 32u

static bool start(struct xw_tls *t) {
    const struct xw_replay_tls *r = &t->replay;
    const EVP_MD *md = SSL_CIPHER_get_handshake_digest(t->replay_cipher);
    return !xw_tls_own_begin(t, t->replay_cipher, md, r->version == 13, r);
}

static void opened(struct xw_tls *t) { t->state = XW_BS_OPEN; }

/* A record that may be the first one under our keys. It is not consumed: the open connection reads it again. */
static bool first13(struct xw_tls *t, size_t len) {
    struct xw_mspan room = xw_bytering_reserve(t->plain);
    struct xw_span rec = xw_span(t->lower->ops->peek(t->lower).p, len);
    bool fits = start(t) && xw_tls_own_opens(t, rec, room.p);
    return fits && start(t);
}

void xw_tls_replay_step(struct xw_tls *t) {
    size_t len;
    for (unsigned i = 0; i < RECORDS_PER_STEP && t->state == XW_BS_CONNECTING && (len = xw_tls_record_len(t)); i++) {
        uint8_t type = t->lower->ops->peek(t->lower).p[0];
        if (t->garbage) {
            xw_tls_fail(t, XW_ETLS, "replay: the captured stream is not TLS");
            return;
        }
        if (t->replay.version == 13 && type == XW_REC_DATA && first13(t, len)) {
            opened(t);
            return;
        }
        if (t->replay.version == 12 && t->replay_ccs && type == XW_REC_HANDSHAKE) {
            if (start(t))
                opened(t);
            else
                xw_tls_fail(t, XW_ETLS, "replay: the keys of the key log do not serve");
        }
        t->replay_ccs |= type == XW_REC_CCS;
        t->lower->ops->consume(t->lower, len);
    }
}

int xw_tls_replay(struct xw_bs *tls, const struct xw_replay_tls *r) {
    struct xw_tls *t = (struct xw_tls *)(void *)tls;
    const uint8_t suite[2] = { (uint8_t)(r->suite >> 8), (uint8_t)r->suite };
    t->replay = *r;
    t->replay_cipher = SSL_CIPHER_find(t->ssl, suite);
    if ((r->version != 12 && r->version != 13) || r->secret_len > sizeof r->server_secret || !r->secret_len)
        return xw_setup_fail_text(XW_EINVAL, "replay a TLS connection", "version or length of a secret is out of range");
    if (!t->replay_cipher || !t->own || !start(t))
        return xw_setup_fail_text(XW_EINVAL, "replay a TLS connection", "the own record layer does not serve its cipher suite");
    xw_tls_own_end(t);
    return XW_OK;
}
