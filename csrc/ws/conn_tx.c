/* ws/conn_tx.c: what goes out. Order: handshake text, then what is in the stage (a header or a whole control
 * frame), then the payload of the data frame begun, then a pong, then the close frame. Nothing is between a data
 * frame's header and its last byte.
 *
 * A compressed message is deflated into cfg.deflate_mem's first XW_WS_PACK_LEN bytes; when they are full, or the message
 * ends, they become a frame. One that fits is one frame in one commit. */
#include "base/assert.h"
#include "base/err.h"
#include "ws/conn_priv.h"
#include "ws/mask.h"
#include <string.h>

/* Writes as much of src as the stream has room for. */
static size_t write_some(struct xw_ws *ws, const uint8_t *src, size_t len) {
    struct xw_bs *bs = ws->cfg.bs;
    size_t done = 0;
    while (done < len) {
        struct xw_mspan to = bs->ops->reserve(bs);
        size_t n = to.len < len - done ? to.len : len - done;
        if (!n)
            break;
        memcpy(to.p, src + done, n);
        bs->ops->commit(bs, n);
        ws->moved = true;
        done += n;
    }
    return done;
}

bool ws_tx_hello_done(const struct xw_ws *ws) { return ws->tx.hello_sent == ws->tx.hello_len; }

/* True: the stage is empty. */
static bool flush_stage(struct xw_ws *ws) {
    struct ws_tx *tx = &ws->tx;
    if (tx->stage_sent < tx->stage_len)
        tx->stage_sent = (uint8_t)(tx->stage_sent + write_some(ws, tx->stage + tx->stage_sent,
                                                               (size_t)(tx->stage_len - tx->stage_sent)));
    if (tx->stage_sent < tx->stage_len)
        return false;
    tx->stage_sent = tx->stage_len = 0;
    return true;
}

static void fill_key(struct xw_ws *ws, struct xw_ws_hdr *h) {
    h->masked = ws->cfg.role == XW_WS_CLIENT;
    if (h->masked)
        xw_rng_fill(ws->cfg.rng, h->key, sizeof h->key);
}

static void copy_payload(const struct xw_ws *ws, uint8_t *dst, const uint8_t *src, size_t len, const uint8_t key[4]) {
    if (!len)
        return;
    if (ws->cfg.role == XW_WS_CLIENT)
        ws->cfg.simd->mask(dst, src, len, key);
    else
        memcpy(dst, src, len);
}

static void stage_control(struct xw_ws *ws, uint8_t opcode, const uint8_t *p, size_t len) {
    struct ws_tx *tx = &ws->tx;
    struct xw_ws_hdr h = { .fin = true, .opcode = opcode, .len = len };
    XW_ASSERT(tx->stage_len == 0 && len <= XW_WS_CONTROL_MAX);
    fill_key(ws, &h);
    size_t n = xw_ws_hdr_emit(tx->stage, &h);
    copy_payload(ws, tx->stage + n, p, len, h.key);
    tx->stage_len = (uint8_t)(n + len);
}

/* ---- compressed ---- */

/* Payload of the frame in the pack buffer. True: it has gone. */
static bool flush_pack(struct xw_ws *ws) {
    struct ws_tx *tx = &ws->tx;
    struct xw_bs *bs = ws->cfg.bs;
    uint8_t *pack = ws->cfg.deflate_mem.p, key[4];
    if (!tx->pack_end)
        return true;
    while (tx->pack_sent < tx->pack_end) {
        struct xw_mspan to = bs->ops->reserve(bs);
        size_t lacks = tx->pack_end - tx->pack_sent, n = to.len < lacks ? to.len : lacks;
        if (!n)
            return false;
        xw_ws_mask_at(key, tx->key, tx->pack_sent);
        copy_payload(ws, to.p, pack + tx->pack_sent, n, key);
        bs->ops->commit(bs, n);
        ws->moved = true;
        tx->pack_sent += n;
    }
    memmove(pack, pack + tx->pack_end, tx->pack_have - tx->pack_end);
    tx->pack_have -= tx->pack_end;
    tx->pack_end = tx->pack_sent = 0;
    return true;
}

/* All of the pack buffer but the four bytes that wait becomes a frame. */
static void begin_pack_frame(struct xw_ws *ws, bool fin) {
    struct ws_tx *tx = &ws->tx;
    struct xw_bs *bs = ws->cfg.bs;
    XW_ASSERT(tx->pack_have >= XW_WS_DEFLATE_TAIL && !tx->stage_len && !tx->pack_end);
    size_t len = tx->pack_have - XW_WS_DEFLATE_TAIL;
    struct xw_ws_hdr h = { .fin = fin, .opcode = tx->pack_first ? tx->pack_opcode : XW_WS_OP_CONT,
                           .rsv = tx->pack_first ? XW_WS_RSV1 : 0, .len = len };
    fill_key(ws, &h);
    tx->pack_first = false;
    tx->packing = !fin;
    if (fin)
        tx->pack_have = len;
    size_t n = xw_ws_hdr_len(&h);
    struct xw_mspan to = bs->ops->reserve(bs);
    if (fin && to.len >= n + len) {
        xw_ws_hdr_emit(to.p, &h);
        copy_payload(ws, to.p + n, ws->cfg.deflate_mem.p, len, h.key);
        bs->ops->commit(bs, n + len);
        ws->moved = true;
        tx->pack_have = 0;
        return;
    }
    tx->stage_len = (uint8_t)xw_ws_hdr_emit(tx->stage, &h);
    memcpy(tx->key, h.key, sizeof tx->key);
    tx->pack_end = len;
}

/* Sends what waits, a pong between any two frames, then deflates and sends in, the next bytes of the compressed message
 * begun, as far as there is room. True: nothing waits but the rest of a frame or message, or the close frame. */
static bool send_on(struct xw_ws *ws, struct xw_span *in) {
    struct ws_tx *tx = &ws->tx;
    for (;;) {
        if (!flush_stage(ws) || !flush_pack(ws))
            return false;
        if (tx->pong_due && (!tx->left || tx->packing)) {
            tx->pong_due = false;
            stage_control(ws, XW_WS_OP_PONG, tx->pong, tx->pong_len);
            continue;
        }
        if (!tx->packing)
            return true;
        size_t before = in->len;
        struct xw_mspan out = xw_mspan(ws->cfg.deflate_mem.p + tx->pack_have, XW_WS_PACK_LEN - tx->pack_have);
        bool done = xw_ws_deflate_feed(ws->deflate, in, &out, before == tx->left);
        tx->left -= before - in->len;
        tx->pack_have = XW_WS_PACK_LEN - out.len;
        if (!done && out.len)
            return true;
        begin_pack_frame(ws, done);
    }
}

/* A message to be compressed begins; returns how much of it was taken. */
static int64_t send_packed(struct xw_ws *ws, uint8_t opcode, struct xw_span in) {
    struct ws_tx *tx = &ws->tx;
    size_t len = in.len;
    tx->packing = tx->pack_first = true;
    tx->pack_opcode = opcode;
    tx->pack_have = 0;
    tx->left = len;
    xw_ws_deflate_begin(ws->deflate);
    send_on(ws, &in);
    return (int64_t)(len - in.len);
}

/* The close frame may go now: between messages, or, when it answers the peer's or tells a fault, between frames. */
static bool may_close(const struct xw_ws *ws) {
    const struct ws_tx *tx = &ws->tx;
    if (tx->packing)
        return ws->close_rcvd || tx->shut_wanted;
    return !tx->left;
}

void ws_tx_flush(struct xw_ws *ws) {
    struct ws_tx *tx = &ws->tx;
    if (!ws_tx_hello_done(ws)) {
        tx->hello_sent += write_some(ws, ws->cfg.assembly.p + tx->hello_sent, tx->hello_len - tx->hello_sent);
        if (!ws_tx_hello_done(ws))
            return;
    }
    struct xw_span none = xw_span("", 0);
    if (!send_on(ws, &none))
        return;
    if (may_close(ws) && tx->close_due) {
        tx->close_due = tx->packing = false;
        tx->close_sent = true;
        tx->left = 0;
        stage_control(ws, XW_WS_OP_CLOSE, tx->close, tx->close_len);
        if (!flush_stage(ws))
            return;
    }
    /* a frame that its sender never completes must not keep a close frame, and so the stream, waiting after a
     * failure */
    if (tx->shut_wanted && !tx->shut) {
        tx->shut = true;
        ws->moved = true;
        ws->cfg.bs->ops->shutdown_wr(ws->cfg.bs);
    }
}

void ws_tx_pong(struct xw_ws *ws, struct xw_span payload) {
    struct ws_tx *tx = &ws->tx;
    if (ws->close_rcvd || tx->shut_wanted)
        return; /* RFC 6455 5.5.2: behind our own close frame still, behind the peer's not */
    if (tx->pong_due)
        ws_tx_flush(ws); /* every ping its pong while there is room; else the latest wins */
    tx->pong_due = true;
    tx->pong_len = (uint8_t)payload.len;
    memcpy(tx->pong, payload.p, payload.len);
}

void ws_tx_close(struct xw_ws *ws, uint32_t code, const void *reason, size_t len) {
    struct ws_tx *tx = &ws->tx;
    XW_ASSERT(!tx->close_due && !tx->close_sent && len + 2 <= XW_WS_CONTROL_MAX);
    tx->close_due = true;
    tx->close_len = 0;
    ws->sent_code = XW_WS_CODE_NONE;
    if (!code || code == XW_WS_CODE_NONE)
        return;
    ws->sent_code = code;
    tx->close[0] = (uint8_t)(code >> 8);
    tx->close[1] = (uint8_t)code;
    if (len)
        memcpy(tx->close + 2, reason, len);
    tx->close_len = (uint8_t)(2 + len);
}

/* Payload of the frame begun, as much as there is room for. */
static size_t push_payload(struct xw_ws *ws, const uint8_t *data, uint64_t len) {
    struct ws_tx *tx = &ws->tx;
    struct xw_bs *bs = ws->cfg.bs;
    size_t done = 0;
    uint8_t key[4];
    while (done < len) {
        struct xw_mspan to = bs->ops->reserve(bs);
        size_t n = to.len < len - done ? to.len : (size_t)(len - done);
        if (!n)
            break;
        xw_ws_mask_at(key, tx->key, tx->pos);
        copy_payload(ws, to.p, data + done, n, key);
        bs->ops->commit(bs, n);
        done += n;
        tx->pos += n;
        tx->left -= n;
    }
    return done;
}

/* 0, or why this frame cannot be sent now. */
static int may_send(const struct xw_ws *ws, uint8_t opcode, bool fin, uint64_t len) {
    const struct ws_tx *tx = &ws->tx;
    bool control = opcode & 8;
    if ((opcode > XW_WS_OP_BIN && opcode != XW_WS_OP_PING && opcode != XW_WS_OP_PONG) || len >> 63 ||
        (control && (len > XW_WS_CONTROL_MAX || !fin)))
        return XW_EINVAL;
    if (ws->state < WS_OPEN)
        return XW_ESTATE;
    if (ws->state > WS_OPEN || ws->closing)
        return XW_ECLOSED;
    if (control)
        return tx->left && !tx->packing ? XW_EAGAIN : XW_OK;
    return tx->left || tx->in_msg != (opcode == XW_WS_OP_CONT) ? XW_ESTATE : XW_OK;
}

int64_t xw_ws_send_frame(struct xw_ws *ws, uint8_t opcode, bool fin, const void *data, uint64_t len) {
    struct ws_tx *tx = &ws->tx;
    struct xw_bs *bs = ws->cfg.bs;
    int rc = may_send(ws, opcode, fin, len);
    if (rc)
        return rc;
    ws_tx_flush(ws);
    if (tx->stage_len || tx->pack_end || (tx->packing && !tx->left))
        return XW_EAGAIN;
    struct xw_mspan to = bs->ops->reserve(bs);
    if (!to.len)
        return XW_EAGAIN;
    struct xw_ws_hdr h = { .fin = fin, .opcode = opcode, .len = len };
    if (opcode & 8) {
        stage_control(ws, opcode, data, (size_t)len);
        flush_stage(ws);
        return (int64_t)len;
    }
    if (ws->deflate && fin && opcode != XW_WS_OP_CONT && len && len >= ws->cfg.deflate_min && len <= SIZE_MAX)
        return send_packed(ws, opcode, xw_span(data, (size_t)len));
    fill_key(ws, &h);
    tx->in_msg = !fin;
    size_t n = xw_ws_hdr_len(&h);
    if (to.len >= n && to.len - n >= len) { /* header and payload in one commit: one TLS record, one segment */
        xw_ws_hdr_emit(to.p, &h);
        copy_payload(ws, to.p + n, data, (size_t)len, h.key);
        bs->ops->commit(bs, n + (size_t)len);
        return (int64_t)len;
    }
    tx->stage_len = (uint8_t)xw_ws_hdr_emit(tx->stage, &h);
    memcpy(tx->key, h.key, sizeof tx->key);
    tx->left = len;
    tx->pos = 0;
    return flush_stage(ws) ? (int64_t)push_payload(ws, data, len) : 0;
}

int64_t xw_ws_send(struct xw_ws *ws, uint8_t opcode, const void *data, uint64_t len) {
    if (opcode == XW_WS_OP_CONT)
        return XW_EINVAL;
    return xw_ws_send_frame(ws, opcode, true, data, len);
}

int64_t xw_ws_send_more(struct xw_ws *ws, const void *data, uint64_t len) {
    struct ws_tx *tx = &ws->tx;
    if (ws->state == WS_DEAD || tx->shut_wanted)
        return XW_ECLOSED;
    if (!tx->left)
        return XW_ESTATE;
    if (len > tx->left)
        return XW_EINVAL;
    if (tx->packing) {
        struct xw_span in = xw_span(data, (size_t)len);
        if (send_on(ws, &in))
            ws_tx_flush(ws);
        return (int64_t)(len - in.len);
    }
    if (!flush_stage(ws))
        return 0;
    size_t done = push_payload(ws, data, len);
    if (!tx->left)
        ws_tx_flush(ws); /* what had to wait for the end of the frame */
    return (int64_t)done;
}

bool xw_ws_writable(const struct xw_ws *ws) {
    const struct ws_tx *tx = &ws->tx;
    if (ws->state < WS_OPEN || ws->state == WS_DEAD || tx->shut_wanted || tx->stage_len ||
        tx->pack_end || (tx->packing && !tx->left))
        return false;
    if (!tx->left && (ws->state != WS_OPEN || ws->closing))
        return false;
    return ws->cfg.bs->ops->reserve(ws->cfg.bs).len > 0;
}
