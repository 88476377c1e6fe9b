/* ws/conn.c: life of a connection: handshake, the two ways to end, timers. Frames are conn_rx.c, sending is
 * conn_tx.c.
 *
 * Endings. Clean: close frames both ways, then the server ends the stream first and the client waits for that (RFC
 * 6455 7.1.1). Failed (RFC 6455 7.1.7): our close frame with the code of the fault, our direction shut, all that
 * still comes is read and thrown away, so that no reset overtakes the close frame. Both are bounded by
 * close_timeout, then the stream is aborted. A handshake that fails ends at once: nobody waits for what follows. */
#include "ws/conn.h"
#include "base/assert.h"
#include "base/err.h"
#include "ws/conn_priv.h"
#include <string.h>

#define WS_CLOSE_TIMEOUT_NS (10 * XW_NS_PER_S)
/* How long the body of a rejection is waited for: it follows its head at once; servers that keep alive never end
 * the stream. */
#define WS_BODY_WAIT_NS XW_NS_PER_S
/* 1xx answers before the final one: 103 Early Hints comes once or twice; more is a peer that never answers. */
#define WS_INTERIM_MAX 8

_Static_assert(XW_WS_ASSEMBLY_MIN >= WS_PEER_AT + XW_HTTP_HEAD_MAX + XW_HTTP_BODY_MAX, "handshake fits the assembly");
_Static_assert(sizeof(((struct ws_tx *)0)->stage) <= UINT8_MAX, "stage_len is 8 bit");

size_t xw_ws_size(void) { return sizeof(struct xw_ws); }

static struct xw_mspan peer_buf(const struct xw_ws *ws) {
    return xw_mspan(ws->cfg.assembly.p + WS_PEER_AT, ws->cfg.assembly.len - WS_PEER_AT);
}

struct xw_span ws_head_span(const struct xw_ws *ws) { return xw_span(ws->head.buf.p, ws->head.len); }

int xw_ws_init(struct xw_ws *ws, const struct xw_ws_cfg *cfg) {
    if ((cfg->role != XW_WS_CLIENT && cfg->role != XW_WS_SERVER) || !cfg->bs || !cfg->rng || !cfg->assembly.p ||
        cfg->assembly.len < XW_WS_ASSEMBLY_MIN || !cfg->max_message || cfg->max_message > cfg->assembly.len)
        return XW_EINVAL;
    if (cfg->deflate.on && (!xw_ws_pmd_valid(&cfg->deflate, cfg->role == XW_WS_SERVER) || !cfg->deflate_mem.p ||
                            cfg->deflate_mem.len < XW_WS_DEFLATE_NEED))
        return XW_EINVAL;
    memset(ws, 0, sizeof *ws);
    ws->cfg = *cfg;
    if (!cfg->simd)
        ws->cfg.simd = xw_ws_simd_best();
    if (!cfg->close_timeout_ns)
        ws->cfg.close_timeout_ns = WS_CLOSE_TIMEOUT_NS;
    ws->deadline_ns = XW_NEVER;
    ws->state = WS_HELLO;
    xw_ws_head_init(&ws->head, peer_buf(ws), cfg->role == XW_WS_CLIENT ? "HTTP/1." : "");
    if (cfg->role == XW_WS_SERVER)
        return XW_OK;
    struct xw_ws_request rq = { cfg->target, cfg->host, cfg->headers, cfg->subprotocols, &cfg->deflate };
    char key[XW_WS_KEY_LEN + 1];
    xw_ws_key_make(cfg->rng, key);
    return xw_ws_request_emit(xw_mspan(cfg->assembly.p, XW_WS_REQUEST_MAX), &rq, key, &ws->tx.hello_len);
}

/* ---- endings ---- */

void ws_decide(struct xw_ws *ws, enum xw_ws_layer layer, int error, uint32_t code, const char *text) {
    if (ws->decided)
        return;
    ws->decided = true;
    ws->end_layer = (uint8_t)layer;
    ws->end_error = error;
    ws->end_code = code;
    ws->end_text = text;
}

void ws_begin_close(struct xw_ws *ws, bool by_peer) {
    if (ws->closing)
        return;
    uint64_t wait = ws->cfg.close_timeout_ns;
    ws->closing = true;
    ws->by_peer = by_peer;
    ws->deadline_ns = wait < XW_NEVER - ws->now_ns ? ws->now_ns + wait : XW_NEVER;
}

void ws_fail(struct xw_ws *ws, enum xw_ws_fault f) {
    const char *text = xw_ws_fault_text(f);
    ws_begin_close(ws, false);
    ws_decide(ws, XW_WS_LAYER_WS, xw_ws_fault_error(f), xw_ws_fault_code(f), text);
    ws->tx.pong_due = false;
    if (!ws->tx.close_sent) {
        ws->tx.close_due = false; /* a close of the user's that is still waiting gives way to the reason why it ends */
        ws_tx_close(ws, xw_ws_fault_code(f), text, strlen(text));
    }
    ws->tx.shut_wanted = true;
    ws->state = WS_DRAIN;
}

/* The handshake failed or was given up. */
void ws_end_handshake(struct xw_ws *ws, int error, bool by_peer, const char *text) {
    ws_decide(ws, XW_WS_LAYER_HTTP, error, XW_WS_CODE_ABNORMAL, text);
    ws->by_peer = by_peer;
    ws->end_now = true;
    ws->state = WS_DRAIN;
}

/* ---- handshake ---- */

static void opened(struct xw_ws *ws, struct xw_ws_event *ev) {
    struct xw_span head = ws_head_span(ws);
    ws->state = WS_OPEN;
    ws->rx.lent_end = WS_PEER_AT + head.len;
    *ev = (struct xw_ws_event){ .type = XW_WS_OPEN, .data = head };
}

bool ws_start_deflate(struct xw_ws *ws, const struct xw_ws_pmd *agreed) {
    bool client = ws->cfg.role == XW_WS_CLIENT;
    struct xw_ws_deflate_cfg cfg = {
        .out_bits = client ? agreed->client_bits : agreed->server_bits,
        .out_reset = client ? agreed->client_reset : agreed->server_reset,
        .in_reset = client ? agreed->server_reset : agreed->client_reset,
    };
    struct xw_mspan mem = xw_mspan(ws->cfg.deflate_mem.p + XW_WS_PACK_LEN, XW_WS_DEFLATE_MEM);
    if (!agreed->on)
        return true;
    if (xw_ws_deflate_init(mem, &cfg, &ws->deflate)) {
        ws_end_handshake(ws, XW_EBUG, false, "no memory for compression");
        return false;
    }
    ws->rsv_ok = XW_WS_RSV1;
    return true;
}

/* Client, head complete. 1: event; 0: go on. */
static unsigned answer(struct xw_ws *ws, struct xw_ws_event *ev) {
    const char *error;
    struct xw_ws_pmd agreed;
    struct xw_span head = ws_head_span(ws), request = xw_span(ws->cfg.assembly.p, ws->tx.hello_len);
    if (ws->cfg.any_answer)
        request = xw_span(NULL, 0);
    switch (xw_ws_answer_check(head, request, &ws->http_status, &agreed, &error)) {
    case XW_WS_HS_OPEN:
        if (!ws_start_deflate(ws, &agreed))
            return 0;
        opened(ws, ev);
        return 1;
    case XW_WS_HS_INTERIM:
        if (ws->interim++ == WS_INTERIM_MAX)
            ws_end_handshake(ws, XW_EPROTO, true, "too many 1xx answers");
        else
            xw_ws_head_init(&ws->head, peer_buf(ws), "HTTP/1.");
        return 0;
    case XW_WS_HS_REJECTED:
        xw_ws_body_init(&ws->body, xw_mspan(peer_buf(ws).p + head.len, XW_HTTP_BODY_MAX), head, ws->http_status);
        ws->state = WS_BODY;
        ws->deadline_ns = ws->now_ns + WS_BODY_WAIT_NS;
        return 0;
    case XW_WS_HS_BROKEN:
        break;
    }
    ws_end_handshake(ws, XW_EPROTO, true, error);
    return 0;
}

/* Collects the peer's head. False: more bytes are needed, or it ended. */
static bool read_head(struct xw_ws *ws) {
    struct xw_span view;
    while (!ws->head.done && (view = ws_rx_view(ws)).len) {
        ws->rx.off += xw_ws_head_feed(&ws->head, view);
        if (ws->head.error) {
            ws_end_handshake(ws, XW_EPROTO, true, ws->head.error);
            return false;
        }
    }
    return ws->head.done;
}

/* Client: everything of the rejection that is kept has come, or will not. */
static unsigned rejected(struct xw_ws *ws, struct xw_ws_event *ev) {
    *ev = (struct xw_ws_event){ .type = XW_WS_REJECTED, .code = ws->http_status,
                                .data = xw_span(ws->head.buf.p, ws->head.len + ws->body.len) };
    ws->rx.lent_end = WS_PEER_AT + ws->head.len + ws->body.len;
    ws_end_handshake(ws, XW_EREFUSED, true, "the upgrade was answered by another status");
    return 1;
}

static unsigned read_body(struct xw_ws *ws, struct xw_ws_event *ev) {
    struct xw_bs_status st;
    struct xw_span view;
    while (!ws->body.done && (view = ws_rx_view(ws)).len)
        ws->rx.off += xw_ws_body_feed(&ws->body, view);
    ws->cfg.bs->ops->status(ws->cfg.bs, &st);
    if (ws->body.done || st.rx_eof || st.state >= XW_BS_CLOSED || ws->now_ns >= ws->deadline_ns)
        return rejected(ws, ev);
    return 0;
}

/* One step of the handshake; returns the number of events (0 or 1). */
static unsigned handshake(struct xw_ws *ws, struct xw_ws_event *ev) {
    struct xw_bs_status st;
    enum ws_state before;
    ws->cfg.bs->ops->status(ws->cfg.bs, &st);
    if (st.state == XW_BS_CONNECTING)
        return 0;
    do {
        before = ws->state;
        ws_tx_flush(ws);
        if (ws->state == WS_HELLO && ws->cfg.role == XW_WS_CLIENT && ws_tx_hello_done(ws))
            ws->state = WS_HEAD;
        if (ws->state == WS_HELLO && ws->cfg.role == XW_WS_SERVER && read_head(ws) && ws_judge_request(ws, ev))
            return 1;
        if (ws->state == WS_HEAD && ws->cfg.role == XW_WS_SERVER && ws_tx_hello_done(ws)) {
            opened(ws, ev);
            return 1;
        }
        while (ws->state == WS_HEAD && ws->cfg.role == XW_WS_CLIENT && read_head(ws))
            if (answer(ws, ev))
                return 1;
        if (ws->state == WS_BODY)
            return read_body(ws, ev);
    } while (ws->state != before && ws->state < WS_BODY);
    return 0;
}

/* ---- poll ---- */

/* Consumes what is parsed and not lent. */
static void settle(struct xw_ws *ws) {
    if (ws->rx.held || !ws->rx.off)
        return;
    ws->cfg.bs->ops->consume(ws->cfg.bs, ws->rx.off);
    ws->rx.off = 0;
    ws->moved = true;
}

void xw_ws_release(struct xw_ws *ws) {
    ws->rx.held = false;
    ws->rx.ctl_lent = ws->rx.ahead_lent = false;
    ws->rx.lent_end = 0;
    settle(ws);
}

/* Throws away what comes after the end. */
static void drain(struct xw_ws *ws) {
    size_t n;
    while (!ws->rx.held && (n = ws_rx_view(ws).len)) {
        ws->rx.off += n;
        settle(ws);
    }
}

/* The stream ended, of itself or by our time-out: whatever has no reason yet gets one. */
static void stream_over(struct xw_ws *ws, const struct xw_bs_status *st) {
    if (ws->state < WS_OPEN) {
        bool failed = st->state == XW_BS_FAILED;
        ws_decide(ws, failed ? XW_WS_LAYER_BELOW : XW_WS_LAYER_HTTP, failed ? st->error : XW_ECLOSED,
                  XW_WS_CODE_ABNORMAL, "the stream ended during the WebSocket handshake");
    } else if (st->state == XW_BS_FAILED) {
        ws_decide(ws, XW_WS_LAYER_BELOW, st->error, XW_WS_CODE_ABNORMAL, "the stream failed");
    } else {
        ws_decide(ws, XW_WS_LAYER_WS, XW_ECLOSED, XW_WS_CODE_ABNORMAL, "the stream ended without a close frame");
    }
}

/* The close time-out. The next look at the state ends it. */
static void expire(struct xw_ws *ws) {
    if (!ws->closing || ws->end_now || ws->now_ns < ws->deadline_ns)
        return;
    struct xw_bs_status st;
    ws_decide(ws, XW_WS_LAYER_WS, XW_ETIMEDOUT, XW_WS_CODE_ABNORMAL, "no close frame came in time");
    ws->end_now = true;
    ws->deadline_ns = XW_NEVER;
    ws->state = WS_DRAIN;
    ws->tx.shut = ws->tx.shut_wanted = true;
    ws->cfg.bs->ops->status(ws->cfg.bs, &st);
    if (st.state < XW_BS_CLOSED)
        ws->cfg.bs->ops->abort(ws->cfg.bs);
}

/* Looks at the stream's state once everything parseable is parsed; true: it is time for ENDED. */
static bool over(struct xw_ws *ws) {
    struct xw_bs *bs = ws->cfg.bs;
    struct xw_bs_status st;
    if (ws->end_now)
        return true;
    if (ws->close_rcvd && ws->tx.close_sent && ws->cfg.role == XW_WS_SERVER)
        ws->tx.shut_wanted = true;
    if (ws->state == WS_DRAIN)
        drain(ws);
    bs->ops->status(bs, &st);
    bool ended = st.state >= XW_BS_CLOSED;
    if (st.rx_eof || ended) {
        bool opening = ws->state < WS_OPEN;
        stream_over(ws, &st);
        ws_begin_close(ws, true);
        ws->state = WS_DRAIN;
        ws->tx.shut_wanted = true;
        ws->tx.shut |= ended;
        ws->end_now = opening || ended;
    }
    if (!ended)
        ws_tx_flush(ws);
    return ws->end_now;
}

static void ended_event(struct xw_ws *ws, struct xw_ws_event *ev) {
    struct xw_bs *bs = ws->cfg.bs;
    struct xw_bs_status st;
    bs->ops->status(bs, &st);
    if (!ws->tx.shut && st.state == XW_BS_OPEN)
        bs->ops->shutdown_wr(bs);
    else if (st.state == XW_BS_CONNECTING)
        bs->ops->abort(bs);
    ws->tx.shut = ws->tx.shut_wanted = true;
    ws->state = WS_DEAD;
    ws->deadline_ns = XW_NEVER;
    *ev = (struct xw_ws_event){
        .type = XW_WS_ENDED, .layer = ws->end_layer, .by_peer = ws->by_peer, .error = ws->end_error,
        .code = ws->end_code, .sent = ws->tx.close_sent ? ws->sent_code : 0,
        .data = xw_span(ws->end_text, strlen(ws->end_text)),
    };
}

int xw_ws_poll_paused(struct xw_ws *ws, uint64_t now_ns, struct xw_ws_event *ev, unsigned max) {
    xw_ws_poll(ws, now_ns, NULL, 0);
    return ws->state == WS_OPEN ? (int)ws_rx_ahead(ws, ev, max) : 0;
}

bool xw_ws_ending(const struct xw_ws *ws) {
    struct xw_bs_status st;
    ws->cfg.bs->ops->status(ws->cfg.bs, &st);
    return ws->state > WS_OPEN || ws->rx.ahead_close || st.rx_eof || st.state >= XW_BS_CLOSED;
}

int xw_ws_poll(struct xw_ws *ws, uint64_t now_ns, struct xw_ws_event *ev, unsigned max) {
    unsigned cnt = 0;
    if (ws->state == WS_DEAD)
        return 0;
    ws->now_ns = now_ns;
    ws->rx.stalled = false;
    ws_tx_flush(ws);
    if (max && ws->state < WS_OPEN)
        cnt = handshake(ws, ev);
    if (max && ws->state == WS_OPEN)
        cnt += ws_rx_frames(ws, ev + cnt, max - cnt);
    /* behind a plain ring's end there may be more, to be seen once the bytes before it are consumed */
    if (!ws->cfg.view_max && ws->rx.off && ws->state <= WS_OPEN)
        ws->rx.stalled = true;
    ws_tx_flush(ws);
    settle(ws);
    expire(ws);
    if (max && cnt == max)
        ws->rx.stalled = true;
    else if (max && !ws->rx.stalled && over(ws))
        ended_event(ws, &ev[cnt++]);
    if (cnt && ws->state == WS_DRAIN)
        ws->rx.stalled = true; /* what is lent could not be drained */
    return (int)cnt;
}

bool xw_ws_moved(struct xw_ws *ws) {
    bool moved = ws->moved;
    ws->moved = false;
    return moved;
}

uint64_t xw_ws_deadline(const struct xw_ws *ws) {
    return ws->state == WS_DEAD ? XW_NEVER : ws->rx.stalled ? 0 : ws->deadline_ns;
}

int xw_ws_close(struct xw_ws *ws, uint32_t code, const char *reason, size_t reason_len, uint64_t now_ns) {
    if ((code && !xw_ws_code_valid(code)) || (!code && reason_len) || reason_len + 2 > XW_WS_CONTROL_MAX ||
        (reason_len && !xw_ws_utf8_valid(ws->cfg.simd, (const uint8_t *)reason, reason_len)))
        return XW_EINVAL;
    if (ws->closing || ws->state > WS_OPEN)
        return XW_OK;
    ws->now_ns = now_ns;
    if (ws->state < WS_OPEN) {
        ws_end_handshake(ws, XW_ECLOSED, false, "closed before the handshake was complete");
        ws->rx.stalled = true;
        return XW_OK;
    }
    ws_begin_close(ws, false);
    ws_tx_close(ws, code, reason, reason_len);
    ws_tx_flush(ws);
    return XW_OK;
}

bool xw_ws_is_open(const struct xw_ws *ws) { return ws->state == WS_OPEN && !ws->closing; }
