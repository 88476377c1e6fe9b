/* engine/conn_io.c: what the user does with a connection. Everything is sent at once, not at the next poll. */
#include "engine/engine.h"
#include <string.h>

/* Bytes were given: on their way now. */
static void push(struct xw_engine *e, struct xw_conn *c, uint64_t now_ns) {
    c->top->ops->flush(c->top, now_ns);
    if (c->tcp)
        xw_packets_transmit(e, now_ns);
    else if (c->want_writable || xw_bs_sock_fd(c->lower) < 0 || xw_bs_sock_events(c->lower) != c->epoll_mask)
        xw_engine_work(e, c); /* a pump, and with it a recvmsg, only if its state has changed */
}

static struct xw_conn *usable(struct xw_engine *e, uint32_t id, int *rc) {
    *rc = XW_ETHREAD;
    if (!xw_engine_thread_ok(e))
        return NULL;
    struct xw_conn *c = xw_conn_find(e, id);
    *rc = c ? XW_OK : xw_conn_ending(e, id) ? XW_ECLOSED : XW_ENOCONN;
    return c;
}

/* taken: what the layer below took of len. */
static int64_t sent(struct xw_engine *e, struct xw_conn *c, int64_t taken, uint64_t len, uint64_t now_ns) {
    if (taken == XW_EAGAIN || (taken >= 0 && (uint64_t)taken < len))
        c->want_writable = true;
    if (taken >= 0 || taken == XW_EAGAIN)
        push(e, c, now_ns);
    return taken;
}

int64_t xw_conn_send(struct xw_engine *e, uint32_t id, uint8_t opcode, const void *data, uint64_t len,
                     uint64_t now_ns) {
    int rc;
    struct xw_conn *c = usable(e, id, &rc);
    if (!c || !c->ws)
        return c ? XW_ESTATE : rc;
    return sent(e, c, xw_ws_send(c->ws, opcode, data, len), len, now_ns);
}

int64_t xw_conn_send_more(struct xw_engine *e, uint32_t id, const void *data, uint64_t len, uint64_t now_ns) {
    int rc;
    struct xw_conn *c = usable(e, id, &rc);
    if (!c || !c->ws)
        return c ? XW_ESTATE : rc;
    return sent(e, c, xw_ws_send_more(c->ws, data, len), len, now_ns);
}

int64_t xw_conn_send_frame(struct xw_engine *e, uint32_t id, uint8_t opcode, int fin, const void *data, uint64_t len,
                           uint64_t now_ns) {
    int rc;
    struct xw_conn *c = usable(e, id, &rc);
    if (!c || !c->ws)
        return c ? XW_ESTATE : rc;
    return sent(e, c, xw_ws_send_frame(c->ws, opcode, fin != 0, data, len), len, now_ns);
}

int64_t xw_conn_hello(struct xw_engine *e, uint32_t id, char *out, uint64_t max) {
    int rc;
    struct xw_conn *c = usable(e, id, &rc);
    if (!c || !c->ws)
        return c ? XW_ESTATE : rc;
    struct xw_span hello = xw_ws_hello(c->ws);
    if (!hello.len)
        return XW_ESTATE;
    memcpy(out, hello.p, hello.len < max ? hello.len : (size_t)max);
    return (int64_t)hello.len;
}

int xw_conn_answer(struct xw_engine *e, uint32_t id, const void *answer, uint64_t len, uint64_t now_ns) {
    int rc;
    struct xw_conn *c = usable(e, id, &rc);
    if (!c || !c->ws)
        return c ? XW_ESTATE : rc;
    rc = xw_ws_answer(c->ws, answer, (size_t)len);
    if (rc)
        return rc;
    push(e, c, now_ns);
    xw_engine_work(e, c);
    return XW_OK;
}

int xw_conn_close(struct xw_engine *e, uint32_t id, uint32_t code, const char *reason, uint64_t now_ns) {
    int rc;
    struct xw_conn *c = usable(e, id, &rc);
    if (!c)
        return rc;
    if (c->ws) {
        rc = xw_ws_close(c->ws, code, reason, reason ? strlen(reason) : 0, now_ns);
        if (rc)
            return rc;
    } else {
        c->top->ops->shutdown_wr(c->top);
        c->closing = true;
        c->eof_told = true; /* nobody reads any more */
        if (c->close_deadline == XW_NEVER)
            c->close_deadline = now_ns + c->close_timeout_ns;
    }
    push(e, c, now_ns);
    xw_engine_work(e, c);
    return XW_OK;
}

int xw_conn_abort(struct xw_engine *e, uint32_t id, uint64_t now_ns) {
    int rc;
    struct xw_conn *c = usable(e, id, &rc);
    if (!c)
        return rc;
    c->lower->ops->abort(c->lower);
    c->aborted = true;
    if (c->transport == XW_TRANSPORT_XDP)
        xw_packets_transmit(e, now_ns);
    xw_engine_work(e, c);
    return XW_OK;
}

int64_t xw_conn_replay(struct xw_engine *e, uint32_t id, const void *data, uint64_t len, int fin, uint64_t now_ns) {
    int rc;
    struct xw_conn *c = usable(e, id, &rc);
    if (!c || !e->cfg.replay)
        return c ? XW_ESTATE : rc;
    struct xw_bs *inner = xw_bs_sink_inner(c->lower);
    uint64_t done = 0;
    for (struct xw_mspan room; done < len && (room = inner->ops->reserve(inner)).len;) {
        size_t n = room.len < len - done ? room.len : (size_t)(len - done);
        memcpy(room.p, (const uint8_t *)data + done, n);
        inner->ops->commit(inner, n);
        done += n;
    }
    if (fin && done == len)
        inner->ops->shutdown_wr(inner);
    inner->ops->flush(inner, now_ns);
    xw_packets_transmit(e, now_ns);
    xw_engine_work(e, c);
    return (int64_t)done;
}

int xw_conn_pause(struct xw_engine *e, uint32_t id, int paused) {
    int rc;
    struct xw_conn *c = usable(e, id, &rc);
    if (!c)
        return rc;
    c->paused = paused != 0;
    xw_engine_work(e, c);
    return XW_OK;
}

int64_t xw_conn_read(struct xw_engine *e, uint32_t id, void *buf, uint64_t len, struct xw_stamps *stamps) {
    int rc;
    struct xw_conn *c = usable(e, id, &rc);
    if (!c || c->ws)
        return c ? XW_ESTATE : rc;
    uint64_t done = 0;
    while (done < len) {
        struct xw_span s = c->top->ops->peek(c->top);
        size_t n = s.len < len - done ? s.len : (size_t)(len - done);
        if (!n)
            break;
        memcpy((uint8_t *)buf + done, s.p, n);
        done += n;
        if (stamps)
            xw_conn_stamps(c, c->top->ops->rx_offset(c->top) + n - 1, stamps);
        c->top->ops->consume(c->top, n);
    }
    e->tx_pending |= done && c->tcp; /* the window may have opened */
    if (!c->top->ops->peek(c->top).len) {
        struct xw_bs_status st;
        c->readable_told = false;
        c->top->ops->status(c->top, &st);
        xw_engine_work(e, c);
        if (!done && len && st.rx_eof) {
            c->eof_told = true;
            return XW_ECLOSED;
        }
        if (!done && len && st.state == XW_BS_FAILED)
            return st.error;
    }
    return (int64_t)done;
}

int64_t xw_conn_write(struct xw_engine *e, uint32_t id, const void *data, uint64_t len, uint64_t now_ns) {
    int rc;
    struct xw_conn *c = usable(e, id, &rc);
    if (!c || c->ws)
        return c ? XW_ESTATE : rc;
    struct xw_bs_status st;
    c->top->ops->status(c->top, &st);
    if (st.state != XW_BS_OPEN || st.tx_shut)
        return st.state == XW_BS_CONNECTING ? XW_ESTATE : XW_ECLOSED;
    uint64_t done = 0;
    while (done < len) {
        struct xw_mspan room = c->top->ops->reserve(c->top);
        size_t n = room.len < len - done ? room.len : (size_t)(len - done);
        if (!n)
            break;
        memcpy(room.p, (const uint8_t *)data + done, n);
        c->top->ops->commit(c->top, n);
        done += n;
    }
    return sent(e, c, done || !len ? (int64_t)done : XW_EAGAIN, len, now_ns);
}

int xw_conn_shutdown_wr(struct xw_engine *e, uint32_t id, uint64_t now_ns) {
    int rc;
    struct xw_conn *c = usable(e, id, &rc);
    if (!c || c->ws)
        return c ? XW_ESTATE : rc;
    c->top->ops->shutdown_wr(c->top);
    push(e, c, now_ns);
    xw_engine_work(e, c);
    return XW_OK;
}
