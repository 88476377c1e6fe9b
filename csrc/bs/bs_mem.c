/* bs/bs_mem.c: the pair lives in one block that goes when both sides are closed, so that the order does not matter. */
#include "bs/bs_mem.h"
#include "base/err.h"
#include "mem/marks.h"
#include "mem/bytering.h"
#include <stdlib.h>

struct side {
    struct xw_bs bs;             /* first */
    struct pair *pair;
    struct side *peer;
    struct xw_bytering rcv, snd;
    enum xw_bs_state state;      /* CLOSED is never stored: it follows from the flags */
    int error;
    bool rx_eof, tx_shut, gone;  /* gone: its close op was called */
    size_t chunk;
    uint64_t until;
    struct xw_rxstamp stamp;
    struct xw_marks marks;
};

struct pair {
    struct side side[2];
    uint8_t *snd_mem;
};

static struct side *of(struct xw_bs *b) { return (struct side *)(void *)b; }
static const struct side *of_const(const struct xw_bs *b) { return (const struct side *)(const void *)b; }

static void fail(struct side *s, int error) {
    if (s->state == XW_BS_FAILED)
        return;
    s->state = XW_BS_FAILED;
    s->error = error;
}

static struct xw_span mem_peek(struct xw_bs *b) { return xw_bytering_peek(&of(b)->rcv); }
static void mem_consume(struct xw_bs *b, size_t n) { xw_bytering_consume(&of(b)->rcv, n); }

static struct xw_mspan mem_reserve(struct xw_bs *b) {
    struct side *s = of(b);
    if (s->state != XW_BS_OPEN || s->tx_shut)
        return xw_mspan(s->snd.base, 0);
    return xw_bytering_reserve(&s->snd);
}

static void mem_commit(struct xw_bs *b, size_t n) { xw_bytering_commit(&of(b)->snd, n); }
static void mem_shutdown_wr(struct xw_bs *b) { of(b)->tx_shut = true; }
static void mem_flush(struct xw_bs *b, uint64_t now_ns) { (void)b, (void)now_ns; }

static void mem_abort(struct xw_bs *b) {
    fail(of(b), XW_ECLOSED);
    fail(of(b)->peer, XW_ERESET);
}

/* How many bytes poll would take now. */
static uint32_t takeable(const struct side *s) {
    uint64_t n = xw_bytering_len(&s->peer->snd);
    if (n > xw_bytering_room(&s->rcv))
        n = xw_bytering_room(&s->rcv);
    if (n > s->chunk)
        n = s->chunk;
    if (s->rcv.tail + n > s->until)
        n = s->until > s->rcv.tail ? s->until - s->rcv.tail : 0;
    return (uint32_t)n;
}

static int mem_poll(struct xw_bs *b, uint64_t now_ns) {
    struct side *s = of(b);
    (void)now_ns;
    if (s->state != XW_BS_OPEN || s->rx_eof)
        return XW_OK;
    for (uint32_t left = takeable(s); left;) {
        struct xw_span from = xw_bytering_peek(&s->peer->snd);
        uint32_t n = from.len < left ? (uint32_t)from.len : left;
        xw_bytering_write(&s->rcv, from.p, n);
        xw_bytering_consume(&s->peer->snd, n);
        left -= n;
        if (!left) {
            struct xw_mark m = { .end = s->rcv.tail, .last = s->stamp, .first = s->stamp };
            xw_marks_push(&s->marks, &m, s->rcv.head);
        }
    }
    if (s->peer->tx_shut && !xw_bytering_len(&s->peer->snd) && s->until > s->rcv.tail)
        s->rx_eof = true;
    return takeable(s) ? XW_EAGAIN : XW_OK;
}

static uint64_t mem_deadline(const struct xw_bs *b) {
    (void)b;
    return UINT64_MAX;
}

static void mem_status(const struct xw_bs *b, struct xw_bs_status *out) {
    const struct side *s = of_const(b);
    *out = (struct xw_bs_status){ .state = s->state, .error = s->error, .rx_eof = s->rx_eof, .tx_shut = s->tx_shut,
                                  .tx_drained = !xw_bytering_len(&s->snd) };
    if (s->state == XW_BS_OPEN && s->rx_eof && s->tx_shut && out->tx_drained)
        out->state = XW_BS_CLOSED;
}

static uint64_t mem_rx_offset(const struct xw_bs *b) { return of_const(b)->rcv.head; }

static void mem_stamp(const struct xw_bs *b, uint64_t off, struct xw_rxstamp *last, struct xw_rxstamp *first) {
    xw_marks_stamp(&of_const(b)->marks, off, last, first);
}

static const char *mem_error_text(const struct xw_bs *b) {
    return of_const(b)->state == XW_BS_FAILED ? xw_strerror(of_const(b)->error) : "";
}

static void mem_close(struct xw_bs *b) {
    struct side *s = of(b);
    struct pair *p = s->pair;
    struct xw_bs_status st;
    mem_status(b, &st);
    if (st.state != XW_BS_CLOSED && !s->tx_shut && !s->peer->gone)
        mem_abort(b);
    s->gone = true;
    if (!s->peer->gone)
        return;
    xw_bytering_unmap(&p->side[0].rcv);
    xw_bytering_unmap(&p->side[1].rcv);
    free(p->snd_mem);
    free(p);
}

static const struct xw_bs_ops mem_ops = {
    .peek = mem_peek, .consume = mem_consume, .reserve = mem_reserve, .commit = mem_commit,
    .shutdown_wr = mem_shutdown_wr,
    .flush = mem_flush, .abort = mem_abort, .poll = mem_poll, .deadline = mem_deadline, .status = mem_status,
    .rx_offset = mem_rx_offset, .stamp = mem_stamp, .error_text = mem_error_text, .close = mem_close,
};

int xw_bs_mem_pair(const struct xw_bs_mem_cfg *cfg, struct xw_bs **a, struct xw_bs **b) {
    if (!cfg->snd_len || (cfg->snd_len & (cfg->snd_len - 1)))
        return XW_EINVAL;
    struct pair *p = calloc(1, sizeof *p);
    if (!p)
        return XW_ENOMEM;
    int rc = XW_ENOMEM;
    p->snd_mem = malloc((size_t)cfg->snd_len * 2);
    if (!p->snd_mem)
        goto err_free;
    for (unsigned i = 0; i < 2; i++) {
        struct side *s = &p->side[i];
        rc = xw_bytering_map(&s->rcv, cfg->rcv_len);
        if (rc)
            goto err_free;
        xw_bytering_init(&s->snd, p->snd_mem + (size_t)i * cfg->snd_len, cfg->snd_len);
        s->bs.ops = &mem_ops;
        s->pair = p;
        s->peer = &p->side[1 - i];
        s->state = cfg->connecting ? XW_BS_CONNECTING : XW_BS_OPEN;
        s->chunk = SIZE_MAX;
        s->until = UINT64_MAX;
    }
    *a = &p->side[0].bs;
    *b = &p->side[1].bs;
    return XW_OK;
err_free:
    xw_bytering_unmap(&p->side[0].rcv); /* a zeroed ring is left alone */
    free(p->snd_mem);
    free(p);
    return rc;
}

void xw_bs_mem_open(struct xw_bs *b) {
    struct side *s = of(b);
    if (s->state == XW_BS_CONNECTING)
        s->state = XW_BS_OPEN;
    if (s->peer->state == XW_BS_CONNECTING)
        s->peer->state = XW_BS_OPEN;
}

void xw_bs_mem_chunk(struct xw_bs *b, size_t n) { of(b)->chunk = n; }
void xw_bs_mem_until(struct xw_bs *b, uint64_t off) { of(b)->until = off; }
void xw_bs_mem_set_stamp(struct xw_bs *b, const struct xw_rxstamp *stamp) { of(b)->stamp = *stamp; }

void xw_bs_mem_fail(struct xw_bs *b, int error) {
    fail(of(b), error);
    fail(of(b)->peer, XW_ERESET);
}
