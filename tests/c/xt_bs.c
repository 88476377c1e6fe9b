#include "xt_bs.h"
#include "base/err.h"
#include "base/limits.h"
#include "xt.h"

static struct xt_bs *self(struct xw_bs *b) { return (struct xt_bs *)(void *)b; }

static struct xw_span b_peek(struct xw_bs *b) { return xw_bytering_peek(&self(b)->rx); }

static void b_consume(struct xw_bs *b, size_t n) {
    struct xt_bs *t = self(b);
    struct xw_span s = xw_bytering_peek(&t->rx);
    XT_TRUE(n <= s.len);
    memset(xw_bytering_at(&t->rx, t->rx.head), 0xdd, n);
    xw_bytering_consume(&t->rx, n);
}

static struct xw_mspan b_reserve(struct xw_bs *b) {
    struct xt_bs *t = self(b);
    if (t->st.state != XW_BS_OPEN || t->st.tx_shut)
        return xw_mspan(t->tx_mem, 0);
    return xw_bytering_reserve(&t->tx);
}

static void b_commit(struct xw_bs *b, size_t n) { xw_bytering_commit(&self(b)->tx, n); }

static void b_shutdown(struct xw_bs *b) {
    self(b)->st.tx_shut = true;
    self(b)->shuts++;
}

static void b_abort(struct xw_bs *b) {
    struct xt_bs *t = self(b);
    XT_TRUE(t->st.state < XW_BS_CLOSED);
    t->st.state = XW_BS_FAILED;
    t->st.error = XW_ECLOSED;
    t->aborts++;
}

static int b_poll(struct xw_bs *b, uint64_t now_ns) {
    (void)b; (void)now_ns;
    return 0;
}

static void b_flush(struct xw_bs *b, uint64_t now_ns) { (void)b; (void)now_ns; }

static uint64_t b_deadline(const struct xw_bs *b) {
    (void)b;
    return XW_NEVER;
}

static void b_status(const struct xw_bs *b, struct xw_bs_status *out) {
    const struct xt_bs *t = (const struct xt_bs *)(const void *)b;
    *out = t->st;
    out->tx_drained = xw_bytering_len(&t->tx) == 0;
    if (out->state == XW_BS_OPEN && out->rx_eof && out->tx_shut && out->tx_drained)
        out->state = XW_BS_CLOSED;
}

static uint64_t b_offset(const struct xw_bs *b) { return ((const struct xt_bs *)(const void *)b)->rx.head; }

/* The packet that brought byte off arrived at 1000 + off; records of ten bytes begin with their first packet. */
static void b_stamp(const struct xw_bs *b, uint64_t off, struct xw_rxstamp *last, struct xw_rxstamp *first) {
    const struct xt_bs *t = (const struct xt_bs *)(const void *)b;
    XT_TRUE(off < t->rx.tail);
    *last = (struct xw_rxstamp){ .ring_ns = 1000 + off, .valid = XW_RXS_RING };
    *first = (struct xw_rxstamp){ .ring_ns = 1000 + off / 10 * 10, .valid = XW_RXS_RING };
}

static const char *b_text(const struct xw_bs *b) {
    (void)b;
    return "";
}

static void b_close(struct xw_bs *b) { (void)b; }

static const struct xw_bs_ops ops = {
    .peek = b_peek, .consume = b_consume, .reserve = b_reserve, .commit = b_commit, .shutdown_wr = b_shutdown,
    .flush = b_flush,
    .abort = b_abort, .poll = b_poll, .deadline = b_deadline, .status = b_status, .rx_offset = b_offset,
    .stamp = b_stamp,
    .error_text = b_text, .close = b_close,
};

void xt_bs_init(struct xt_bs *b, uint32_t rx_cap, bool mirrored, uint32_t tx_cap) {
    memset(b, 0, sizeof *b);
    b->bs.ops = &ops;
    b->st.state = XW_BS_OPEN;
    b->tx_mem = malloc(tx_cap);
    XT_TRUE(b->tx_mem);
    xw_bytering_init(&b->tx, b->tx_mem, tx_cap);
    if (mirrored) {
        XT_EQ(xw_bytering_map(&b->rx, rx_cap), 0);
    } else {
        b->rx_mem = malloc(rx_cap);
        XT_TRUE(b->rx_mem);
        xw_bytering_init(&b->rx, b->rx_mem, rx_cap);
    }
}

void xt_bs_free(struct xt_bs *b) {
    xw_bytering_unmap(&b->rx);
    free(b->tx_mem);
    free(b->rx_mem);
}

size_t xt_bs_push(struct xt_bs *b, const void *data, size_t len) { return xw_bytering_write(&b->rx, data, len); }

size_t xt_bs_take(struct xt_bs *b, void *buf, size_t cap) {
    uint32_t n = xw_bytering_len(&b->tx) < cap ? xw_bytering_len(&b->tx) : (uint32_t)cap;
    xw_bytering_copy(&b->tx, b->tx.head, buf, n);
    xw_bytering_consume(&b->tx, n);
    return n;
}

size_t xt_bs_move(struct xt_bs *a, struct xt_bs *b, size_t max) {
    uint8_t buf[4096];
    size_t moved = 0;
    while (moved < max) {
        size_t n = max - moved < sizeof buf ? max - moved : sizeof buf;
        if (n > xw_bytering_room(&b->rx))
            n = xw_bytering_room(&b->rx);
        n = n ? xt_bs_take(a, buf, n) : 0;
        if (!n)
            break;
        XT_EQ(xt_bs_push(b, buf, n), n);
        moved += n;
    }
    if (a->st.tx_shut && !xw_bytering_len(&a->tx))
        b->st.rx_eof = true;
    return moved;
}
