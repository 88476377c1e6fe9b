/* An open TLS connection, worked on by a sequence of operations: either side writes, the reader takes some, delivery is
 * cut, keys are updated, a byte is corrupted, ends are said or cut off. What is read must be a prefix of what was
 * written, in both directions; rx_eof only after close_notify; every result a documented one. */
#include "base/assert.h"
#include "base/err.h"
#include "xt_tls.h"
#include <openssl/err.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SENT_MAX 400000u

static uint8_t pattern[SENT_MAX + 16384], scratch[65536];

struct run {
    struct xt_tls x;
    size_t srv_sent, cli_got, cli_sent, srv_got;
    bool notified, broken; /* the server said goodbye; the ciphertext was tampered with or cut off */
};

static void read_client(struct run *r, size_t max) {
    struct xw_bs *t = r->x.tls;
    struct xw_span s = t->ops->peek(t);
    size_t n = s.len < max ? s.len : max;
    XW_ASSERT(r->cli_got + s.len <= r->srv_sent && !memcmp(s.p, pattern + r->cli_got, s.len));
    XW_ASSERT(t->ops->rx_offset(t) == r->cli_got);
    t->ops->consume(t, n);
    r->cli_got += n;
}

static void read_server(struct run *r) {
    size_t n = xt_srv_read(&r->x, scratch, sizeof scratch);
    XW_ASSERT(r->srv_got + n <= r->cli_sent && !memcmp(scratch, pattern + r->srv_got, n));
    r->srv_got += n;
}

static void write_client(struct run *r, size_t n) {
    struct xw_bs *t = r->x.tls;
    struct xw_mspan room = t->ops->reserve(t);
    n = n < room.len ? n : room.len;
    n = r->cli_sent + n <= SENT_MAX ? n : 0;
    if (n)
        memcpy(room.p, pattern + r->cli_sent, n);
    t->ops->commit(t, n);
    r->cli_sent += n;
}

static void write_server(struct run *r, size_t n) {
    size_t put = 0;
    if (n && !r->notified && r->srv_sent + n <= SENT_MAX && SSL_write_ex(r->x.srv, pattern + r->srv_sent, n, &put))
        r->srv_sent += put;
}

/* Bytes of the server's ciphertext, changed, or made up altogether. */
static void tamper(struct run *r, uint8_t with) {
    struct xw_mspan room = r->x.far->ops->reserve(r->x.far);
    if (room.len < 16)
        return;
    int n = BIO_read(SSL_get_wbio(r->x.srv), scratch, 16);
    n = n > 0 ? n : 1;
    scratch[with % (unsigned)n] ^= (uint8_t)(with | 1);
    memcpy(room.p, scratch, (size_t)n);
    r->x.far->ops->commit(r->x.far, (size_t)n);
    r->broken = true;
}

static void step(struct run *r, uint8_t op, uint8_t arg) {
    struct xw_bs *t = r->x.tls;
    size_t n = arg < 200 ? arg : (size_t)(arg - 199) * 300;
    switch (op % 12) {
    case 0:
    case 1:
        write_server(r, n);
        break;
    case 2:
        write_client(r, n);
        break;
    case 3:
        t->ops->poll(t, r->x.now++);
        break;
    case 4:
        read_client(r, n * 8);
        break;
    case 5:
        read_server(r);
        break;
    case 6:
        xw_bs_mem_chunk(r->x.low, n ? n : SIZE_MAX);
        break;
    case 7:
        SSL_key_update(r->x.srv, arg & 1 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
        break;
    case 8:
        t->ops->flush(t, r->x.now++);
        break;
    case 9:
        if (arg < 16)
            tamper(r, arg);
        break;
    case 10:
        if (arg < 32 && !r->notified)
            r->notified = SSL_shutdown(r->x.srv) >= 0;
        else if (arg < 40)
            t->ops->shutdown_wr(t);
        break;
    default:
        if (arg < 8) {
            r->x.far->ops->shutdown_wr(r->x.far);
            r->broken = true;
        } else if (arg == 9) {
            r->x.far->ops->abort(r->x.far);
            r->broken = true;
        }
    }
    ERR_clear_error();
}

static void check(struct run *r) {
    struct xw_bs_status st = xt_tls_status(&r->x);
    XW_ASSERT(st.state == XW_BS_OPEN || st.state == XW_BS_CLOSED || st.state == XW_BS_FAILED);
    XW_ASSERT(!st.rx_eof || r->notified);
    if (st.state != XW_BS_FAILED)
        return;
    XW_ASSERT(r->broken || r->notified);
    XW_ASSERT(st.error == XW_ETLS || st.error == XW_ERESET);
    XW_ASSERT(*r->x.tls->ops->error_text(r->x.tls));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static struct run r;
    if (!pattern[0])
        xt_pattern(pattern, sizeof pattern, 5), pattern[0] |= 1;
    if (len < 1)
        return 0;
    r = (struct run){ 0 };
    uint8_t version = data[0] & 1 ? 12 : 13;
    xt_tls_engine((enum xt_engine)((data[0] >> 3) % XT_ENGINES));
    xt_tls_open(&r.x, &(struct xt_tls_opt){ .version = version, .tickets = data[0] >> 1 & 3, .plain_len = 32768,
                                            .snd_len = 32768, .custom = true });
    XW_ASSERT(xt_tls_handshake(&r.x) == XW_BS_OPEN);
    for (size_t i = 1; i + 1 < len && i < 2000; i += 2) {
        step(&r, data[i], data[i + 1]);
        check(&r);
    }
    if (!r.broken && !r.notified && !xt_tls_status(&r.x).tx_shut) { /* nothing went wrong: nothing may be missing */
        xw_bs_mem_chunk(r.x.low, SIZE_MAX);
        for (unsigned i = 0; i < 20000 && (r.cli_got < r.srv_sent || r.srv_got < r.cli_sent); i++) {
            r.x.tls->ops->poll(r.x.tls, r.x.now++);
            read_client(&r, SIZE_MAX);
            read_server(&r);
        }
        XW_ASSERT(r.cli_got == r.srv_sent && r.srv_got == r.cli_sent);
    }
    xt_tls_close(&r.x);
    return 0;
}
