/* bs/bs_tcp.c: see the header. The time that TCP wants with consume, commit and abort is the one of the latest poll
 * or flush. */
#include "bs/bs_tcp.h"
#include "base/err.h"
#include "tcp/tcp.h"
#include <stdlib.h>

struct tcp_bs {
    struct xw_bs bs;             /* first */
    struct xw_tcp *conn;
    struct xw_bytering *rcv, *snd;
    uint64_t now_ns;             /* of the latest call that brought the time */
    bool consumed, committed;    /* since TCP was told */
    bool tx_shut, fin_told;
};

static struct tcp_bs *of(struct xw_bs *b) { return (struct tcp_bs *)(void *)b; }
static const struct tcp_bs *of_const(const struct xw_bs *b) { return (const struct tcp_bs *)(const void *)b; }

static struct xw_span tcp_peek(struct xw_bs *b) { return xw_bytering_peek(of(b)->rcv); }

static void tcp_consume(struct xw_bs *b, size_t n) {
    xw_bytering_consume(of(b)->rcv, n);
    of(b)->consumed = true;
}

/* Writing is possible between the handshake and our FIN. */
static bool can_write(const struct tcp_bs *s) {
    enum xw_tcp_state st = xw_tcp_state(s->conn);
    return !s->tx_shut && (st == XW_TCP_ESTABLISHED || st == XW_TCP_CLOSE_WAIT);
}

static struct xw_mspan tcp_reserve(struct xw_bs *b) {
    struct tcp_bs *s = of(b);
    if (!xw_bytering_len(s->snd))
        xw_bytering_rewind(s->snd);
    return can_write(s) ? xw_bytering_reserve(s->snd) : xw_mspan(s->snd->base, 0);
}

static void tcp_commit(struct xw_bs *b, size_t n) {
    xw_bytering_commit(of(b)->snd, n);
    of(b)->committed = true;
}

static void tcp_shutdown_wr(struct xw_bs *b) { of(b)->tx_shut = true; }

static void tcp_flush(struct xw_bs *b, uint64_t now_ns) {
    struct tcp_bs *s = of(b);
    s->now_ns = now_ns;
    if (s->consumed) {
        s->consumed = false;
        xw_tcp_consumed(s->conn, now_ns);
    }
    if (s->committed) {
        s->committed = false;
        (void)xw_tcp_queued(s->conn, now_ns); /* an error means the connection is closed, which status tells */
    }
    if (s->tx_shut && !s->fin_told) {
        s->fin_told = true;
        xw_tcp_shutdown_wr(s->conn, now_ns);
    }
}

static void tcp_abort(struct xw_bs *b) { xw_tcp_abort(of(b)->conn, of(b)->now_ns); }

static int tcp_poll(struct xw_bs *b, uint64_t now_ns) {
    tcp_flush(b, now_ns);
    return XW_OK;
}

static uint64_t tcp_deadline(const struct xw_bs *b) {
    (void)b;
    return UINT64_MAX; /* the timers are the stack's: xw_tcp_deadline */
}

static enum xw_bs_state state_of(const struct tcp_bs *s) {
    if (xw_tcp_error(s->conn))
        return XW_BS_FAILED;
    if (xw_tcp_finished(s->conn))
        return XW_BS_CLOSED;
    switch (xw_tcp_state(s->conn)) {
    case XW_TCP_SYN_SENT:
    case XW_TCP_SYN_RCVD:
        return XW_BS_CONNECTING;
    case XW_TCP_CLOSED:
    case XW_TCP_TIME_WAIT:
        return XW_BS_CLOSED;
    case XW_TCP_ESTABLISHED:
    case XW_TCP_FIN_WAIT_1:
    case XW_TCP_FIN_WAIT_2:
    case XW_TCP_CLOSE_WAIT:
    case XW_TCP_LAST_ACK:
    case XW_TCP_CLOSING:
        break;
    }
    return XW_BS_OPEN;
}

static void tcp_status(const struct xw_bs *b, struct xw_bs_status *out) {
    const struct tcp_bs *s = of_const(b);
    *out = (struct xw_bs_status){ .state = state_of(s), .error = xw_tcp_error(s->conn),
                                  .rx_eof = xw_tcp_rx_eof(s->conn),
                                  .tx_shut = s->tx_shut, .tx_drained = xw_tcp_tx_drained(s->conn) };
}

static uint64_t tcp_rx_offset(const struct xw_bs *b) { return of_const(b)->rcv->head; }

static void tcp_stamp(const struct xw_bs *b, uint64_t off, struct xw_rxstamp *last, struct xw_rxstamp *first) {
    if (!xw_tcp_stamp(of_const(b)->conn, off, last))
        *last = (struct xw_rxstamp){ 0 };
    *first = *last;
}

static const char *tcp_error_text(const struct xw_bs *b) {
    int error = xw_tcp_error(of_const(b)->conn);
    return error ? xw_strerror(error) : "";
}

static void tcp_close(struct xw_bs *b) {
    tcp_flush(b, of(b)->now_ns);
    xw_tcp_release(of(b)->conn, of(b)->now_ns);
    free(b);
}

static const struct xw_bs_ops tcp_ops = {
    .peek = tcp_peek, .consume = tcp_consume, .reserve = tcp_reserve, .commit = tcp_commit,
    .shutdown_wr = tcp_shutdown_wr,
    .flush = tcp_flush, .abort = tcp_abort, .poll = tcp_poll, .deadline = tcp_deadline, .status = tcp_status,
    .rx_offset = tcp_rx_offset, .stamp = tcp_stamp, .error_text = tcp_error_text, .close = tcp_close,
};

int xw_bs_tcp_new(struct xw_tcp *c, uint64_t now_ns, struct xw_bs **out) {
    struct tcp_bs *s = calloc(1, sizeof *s);
    if (!s)
        return XW_ENOMEM;
    s->bs.ops = &tcp_ops;
    s->conn = c;
    s->rcv = xw_tcp_rcv(c);
    s->snd = xw_tcp_snd(c);
    s->now_ns = now_ns;
    *out = &s->bs;
    return XW_OK;
}

struct xw_tcp *xw_bs_tcp_conn(const struct xw_bs *b) { return of_const(b)->conn; }
