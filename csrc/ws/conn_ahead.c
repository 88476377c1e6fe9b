/* ws/conn_ahead.c: looking ahead while nobody takes messages.
 *
 * Frames come in order, so a ping behind a message that waits would wait with it, and the peer would take us for dead.
 * Here the headers of what the stream already shows are walked without taking anything: pings are answered at once,
 * pongs are told, a close frame is noted. When their turn comes, the ordered reader (conn_rx.c) skips what lies before
 * rx.ahead. A frame that breaks the rules stops the walk: the reader will say so when it gets there. Beyond what the
 * stream shows (its ring is full) nothing is seen; then the peer's window is closed too. */
#include "base/err.h"
#include "ws/conn_priv.h"
#include <string.h>

/* Stream offset of the first frame header that was not looked at. */
static uint64_t ahead_start(struct xw_ws *ws) {
    struct ws_rx *rx = &ws->rx;
    uint64_t next = ws_rx_pos(ws) + (rx->in_frame ? rx->h.len - rx->frame_pos : 0);
    if (next > rx->ahead) /* the reader has passed what was seen; a control frame that it has begun is its own */
        rx->ahead = rx->ahead_from = next;
    return rx->ahead;
}

/* A whole ping or pong. False: it must wait, its copy is still lent out. */
static bool control_ahead(struct xw_ws *ws, const struct xw_ws_hdr *h, struct xw_span p, struct xw_ws_event *ev) {
    struct ws_rx *rx = &ws->rx;
    if (h->masked) {
        if (rx->ahead_lent)
            return false;
        ws->cfg.simd->mask(rx->ahead_ctl, p.p, p.len, h->key);
        p = xw_span(rx->ahead_ctl, p.len);
        rx->ahead_lent = h->opcode == XW_WS_OP_PONG;
    }
    *ev = (struct xw_ws_event){ .type = h->opcode == XW_WS_OP_PING ? XW_WS_PING : XW_WS_PONG, .opcode = h->opcode,
                                .data = p };
    if (h->opcode == XW_WS_OP_PING)
        ws_tx_pong(ws, p);
    if (h->masked && h->opcode == XW_WS_OP_PING)
        rx->ahead_lent = true;
    else if (!h->masked)
        rx->held = true; /* data lies in the stream */
    return true;
}

unsigned ws_rx_ahead(struct xw_ws *ws, struct xw_ws_event *ev, unsigned max) {
    struct ws_rx *rx = &ws->rx;
    struct xw_ws_rules rules = { .want_mask = ws->cfg.role == XW_WS_SERVER, .rsv_ok = ws->rsv_ok,
                                 .max_len = UINT64_MAX >> 1, .max_packed = UINT64_MAX >> 1 };
    struct xw_span view = ws_rx_view(ws);
    struct xw_ws_hdr h;
    unsigned cnt = 0;
    uint64_t base = ws_rx_pos(ws);
    if (rx->hdr_have) /* a plain ring's end cut the header before it */
        return 0;
    for (uint64_t at = ahead_start(ws); !rx->ahead_close && cnt < max && at - base < view.len;) {
        struct xw_span from = xw_span_from(view, (size_t)(at - base));
        if (xw_ws_hdr_parse(from, &rules, &h) <= 0 || h.len > UINT64_MAX / 4)
            break;
        bool whole = from.len - h.hdr_len >= h.len;
        if (h.opcode == XW_WS_OP_CLOSE) {
            rx->ahead_close = true;
            break;
        }
        if (h.opcode & 8) {
            if (!whole || !control_ahead(ws, &h, xw_span(from.p + h.hdr_len, (size_t)h.len), &ev[cnt]))
                break;
            ev[cnt].off_first = at;
            ev[cnt++].off_last = at + h.hdr_len + h.len - 1;
        }
        at += h.hdr_len + h.len;
        rx->ahead = at;
    }
    ws_tx_flush(ws);
    return cnt;
}
