/* tls/bio.c: OpenSSL's view of the stream below.
 *
 * Reading gives out one whole record at a time and nothing before it is complete. OpenSSL runs with read-ahead, so
 * it takes that record in one call (header and body, where the default is two), and still never holds a byte of the
 * next one: ciphertext waits in the ring below, where its receive stamps are known by offset and where a record
 * layer of our own can take over between any two records. Writing copies into the space of the stream below. */
#include "tls/tls_priv.h"
#include "base/err.h"
#include <string.h>

/* 127: no type of OpenSSL's own; nothing looks it up, and BIO_get_new_index would use one up per context of the 128. */
#define BIO_TYPE_XW (127 | BIO_TYPE_SOURCE_SINK)

static bool is_record_header(const uint8_t *h) {
    unsigned len = (unsigned)h[3] << 8 | h[4];
    /* change_cipher_spec 20 … heartbeat 24; major version 3 for every TLS there is */
    return h[0] >= 20 && h[0] <= 24 && h[1] == 3 && len + XW_TLS_HDR_LEN <= XW_TLS_RECORD_MAX;
}

size_t xw_tls_record_len(struct xw_tls *t) {
    struct xw_span s = t->lower->ops->peek(t->lower);
    if (s.len < XW_TLS_HDR_LEN)
        return 0;
    if (XW_UNLIKELY(!is_record_header(s.p))) {
        t->garbage = true;
        return s.len < XW_TLS_RECORD_MAX ? s.len : XW_TLS_RECORD_MAX;
    }
    size_t len = XW_TLS_HDR_LEN + ((size_t)s.p[3] << 8 | s.p[4]);
    return s.len >= len ? len : 0;
}

size_t xw_tls_next_record(struct xw_tls *t) {
    size_t len = t->budget ? xw_tls_record_len(t) : 0;
    if (!len)
        return 0;
    const struct xw_bs_ops *ops = t->lower->ops;
    uint64_t off = ops->rx_offset(t->lower);
    struct xw_rxstamp unused;
    ops->stamp(t->lower, off, &unused, &t->rec_first);
    ops->stamp(t->lower, off + len - 1, &t->rec_last, &unused);
    t->budget--;
    return len;
}

static int bio_read(BIO *bio, char *dst, size_t len, size_t *got) {
    struct xw_tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *got = 0;
    if (!t->feed && !(t->feed = xw_tls_next_record(t))) {
        BIO_set_retry_read(bio);
        return 0;
    }
    size_t n = len < t->feed ? len : t->feed;
    memcpy(dst, t->lower->ops->peek(t->lower).p, n);
    t->lower->ops->consume(t->lower, n);
    t->feed -= n;
    *got = n;
    return 1;
}

static int bio_write(BIO *bio, const char *src, size_t len, size_t *put) {
    struct xw_tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *put = 0;
    while (*put < len) {
        struct xw_mspan room = t->lower->ops->reserve(t->lower);
        size_t n = len - *put < room.len ? len - *put : room.len;
        if (!n)
            break;
        memcpy(room.p, src + *put, n);
        t->lower->ops->commit(t->lower, n);
        t->wrote = true;
        *put += n;
        xw_tls_own_wrote(t, room.p, n);
    }
    if (len && !*put) {
        BIO_set_retry_write(bio);
        return 0;
    }
    return 1;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr) {
    (void)bio, (void)num, (void)ptr;
    return cmd == BIO_CTRL_FLUSH; /* the stream below is flushed by whoever called into OpenSSL */
}

BIO_METHOD *xw_tls_bio_method(void) {
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_XW, "xdpws byte stream");
    if (!m)
        return NULL;
    if (BIO_meth_set_read_ex(m, bio_read) && BIO_meth_set_write_ex(m, bio_write) && BIO_meth_set_ctrl(m, bio_ctrl))
        return m;
    BIO_meth_free(m);
    return NULL;
}
