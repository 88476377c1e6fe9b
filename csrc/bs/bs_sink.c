/* bs/bs_sink.c: see the header. */
#include "bs/bs_sink.h"
#include "base/err.h"
#include <stdlib.h>

#define ROOM 65536u /* what is written at a time at most: four full TLS records */

struct sink {
    struct xw_bs bs; /* first */
    struct xw_bs *inner;
    uint64_t swallowed;
    bool shut;
    uint8_t room[ROOM];
};

static struct sink *of(struct xw_bs *b) { return (struct sink *)(void *)b; }
static const struct sink *of_const(const struct xw_bs *b) { return (const struct sink *)(const void *)b; }
static struct xw_bs *in(struct xw_bs *b) { return of(b)->inner; }

static struct xw_span sink_peek(struct xw_bs *b) { return in(b)->ops->peek(in(b)); }
static void sink_consume(struct xw_bs *b, size_t n) { in(b)->ops->consume(in(b), n); }
static struct xw_mspan sink_reserve(struct xw_bs *b) { return xw_mspan(of(b)->room, of(b)->shut ? 0 : ROOM); }
static void sink_commit(struct xw_bs *b, size_t n) { of(b)->swallowed += n; }
static void sink_shutdown_wr(struct xw_bs *b) { of(b)->shut = true; }
static void sink_flush(struct xw_bs *b, uint64_t now_ns) { in(b)->ops->flush(in(b), now_ns); }
static void sink_abort(struct xw_bs *b) { in(b)->ops->abort(in(b)); }
static int sink_poll(struct xw_bs *b, uint64_t now_ns) { return in(b)->ops->poll(in(b), now_ns); }

static uint64_t sink_deadline(const struct xw_bs *b) {
    const struct xw_bs *inner = of_const(b)->inner;
    return inner->ops->deadline(inner);
}

static void sink_status(const struct xw_bs *b, struct xw_bs_status *out) {
    const struct xw_bs *inner = of_const(b)->inner;
    inner->ops->status(inner, out);
    out->tx_shut = of_const(b)->shut;
    out->tx_drained = true;
}

static uint64_t sink_rx_offset(const struct xw_bs *b) {
    const struct xw_bs *inner = of_const(b)->inner;
    return inner->ops->rx_offset(inner);
}

static void sink_stamp(const struct xw_bs *b, uint64_t off, struct xw_rxstamp *last, struct xw_rxstamp *first) {
    const struct xw_bs *inner = of_const(b)->inner;
    inner->ops->stamp(inner, off, last, first);
}

static const char *sink_error_text(const struct xw_bs *b) {
    const struct xw_bs *inner = of_const(b)->inner;
    return inner->ops->error_text(inner);
}

static void sink_close(struct xw_bs *b) {
    in(b)->ops->close(in(b));
    free(of(b));
}

static const struct xw_bs_ops sink_ops = {
    .peek = sink_peek, .consume = sink_consume, .reserve = sink_reserve, .commit = sink_commit,
    .shutdown_wr = sink_shutdown_wr, .flush = sink_flush, .abort = sink_abort, .poll = sink_poll,
    .deadline = sink_deadline, .status = sink_status, .rx_offset = sink_rx_offset, .stamp = sink_stamp,
    .error_text = sink_error_text, .close = sink_close,
};

int xw_bs_sink_new(struct xw_bs *inner, struct xw_bs **out) {
    struct sink *s = calloc(1, sizeof *s);
    if (!s)
        return XW_ENOMEM;
    s->bs.ops = &sink_ops;
    s->inner = inner;
    *out = &s->bs;
    return XW_OK;
}

struct xw_bs *xw_bs_sink_inner(const struct xw_bs *b) { return of_const(b)->inner; }
uint64_t xw_bs_sink_swallowed(const struct xw_bs *b) { return of_const(b)->swallowed; }
