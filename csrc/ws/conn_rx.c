/* ws/conn_rx.c: frames in, events out. A frame goes one of three ways, decided at its header: in place (whole in the
 * view, or short enough to be waited for there; unfragmented, unmasked and not compressed), copied as it comes (to the
 * assembly buffer, or to ctl), or inflated as it comes (to the assembly buffer). Bytes are counted in rx.off and
 * consumed when no span of them is lent out. */
#include "base/assert.h"
#include "base/err.h"
#include "ws/conn_priv.h"
#include "ws/mask.h"
#include <string.h>

/* Compressed bytes of a message of at most max: no compressor expands so much but by empty blocks, and a peer that sends
 * those without end must not keep the message open for ever. */
#define PACKED_MAX(max) ((max) < UINT64_MAX / 4 ? 2 * (max) + 1024 : (max))

/* What one step came to. */
enum step { STEP_EVENT, STEP_ON, STEP_NEED, STEP_STALL, STEP_FAILED };

static enum step failed(struct xw_ws *ws, enum xw_ws_fault f) {
    ws_fail(ws, f);
    return STEP_FAILED;
}

struct xw_span ws_rx_view(const struct xw_ws *ws) {
    struct xw_span s = ws->cfg.bs->ops->peek(ws->cfg.bs);
    return s.len ? xw_span_from(s, ws->rx.off) : s;
}

static void note_first(struct xw_ws *ws, uint64_t first) {
    struct xw_rxstamp last;
    if (ws->cfg.stamps)
        ws->cfg.bs->ops->stamp(ws->cfg.bs, first, &last, &ws->rx.first);
}

/* The MESSAGE event; the last parsed byte is the message's last. */
static void message_event(struct xw_ws *ws, struct xw_ws_event *ev, uint8_t opcode, struct xw_span data,
                          uint64_t first) {
    struct xw_bs *bs = ws->cfg.bs;
    struct xw_rxstamp unused;
    *ev = (struct xw_ws_event){ .type = XW_WS_MESSAGE, .opcode = opcode, .data = data, .off_first = first,
                                .off_last = ws_rx_pos(ws) - 1 };
    if (ws->cfg.stamps) {
        ev->first = ws->rx.first;
        bs->ops->stamp(bs, ev->off_last, &ev->last, &unused);
    }
    if (ws->cfg.clock)
        ev->parsed_ns = ws->cfg.clock(ws->cfg.clock_arg);
}

/* RFC 6455 5.5.1 and 7.1.5. */
static enum step close_frame(struct xw_ws *ws, struct xw_span p, struct xw_ws_event *ev) {
    uint32_t code = XW_WS_CODE_NONE;
    if (p.len == 1)
        return failed(ws, XW_WS_FAULT_CLOSE_LEN);
    if (p.len) {
        code = (uint32_t)p.p[0] << 8 | p.p[1];
        if (!xw_ws_code_valid(code))
            return failed(ws, XW_WS_FAULT_CLOSE_CODE);
        if (!xw_ws_utf8_valid(ws->cfg.simd, p.p + 2, p.len - 2))
            return failed(ws, XW_WS_FAULT_CLOSE_UTF8);
    }
    ws->close_rcvd = true;
    ws->rcvd_code = code;
    ws_begin_close(ws, true);
    ws_decide(ws, XW_WS_LAYER_WS, XW_OK, code, "closed");
    if (!ws->tx.close_sent && !ws->tx.close_due)
        ws_tx_close(ws, code, NULL, 0);
    ws->state = WS_DRAIN;
    *ev = (struct xw_ws_event){ .type = XW_WS_CLOSING, .opcode = XW_WS_OP_CLOSE, .code = code,
                                .data = p.len ? xw_span(p.p + 2, p.len - 2) : p };
    return STEP_EVENT;
}

/* A whole control frame. */
static enum step control_event(struct xw_ws *ws, uint8_t opcode, struct xw_span p, uint64_t first,
                               struct xw_ws_event *ev) {
    if (opcode == XW_WS_OP_CLOSE) {
        enum step s = close_frame(ws, p, ev);
        if (s != STEP_EVENT)
            return s;
    } else {
        if (first < ws->rx.ahead && first >= ws->rx.ahead_from)
            return STEP_ON; /* it was answered, or told, ahead of the messages before it */
        if (opcode == XW_WS_OP_PING)
            ws_tx_pong(ws, p);
        *ev = (struct xw_ws_event){ .type = opcode == XW_WS_OP_PING ? XW_WS_PING : XW_WS_PONG, .opcode = opcode,
                                    .data = p };
    }
    ev->off_first = first;
    ev->off_last = ws_rx_pos(ws) - 1;
    return STEP_EVENT;
}

/* ---- in place ---- */

/* Fast path. Conditions: header whole in the view, not masked, control or unfragmented data, and the frame is in
 * the view or will fit it (view_max). A text that is still incomplete is checked as far as it has come. */
static enum step frame_in_place(struct xw_ws *ws, const struct xw_ws_hdr *h, struct xw_span view,
                                struct xw_ws_event *ev) {
    struct ws_rx *rx = &ws->rx;
    size_t len = (size_t)h->len, got = view.len - h->hdr_len < len ? view.len - h->hdr_len : len;
    struct xw_span data = xw_span(view.p + h->hdr_len, got);
    if (h->opcode == XW_WS_OP_TEXT && ws->cfg.check_utf8) {
        if (xw_ws_utf8_feed(&rx->utf8, ws->cfg.simd, data.p + rx->checked, got - rx->checked) < got - rx->checked)
            return failed(ws, XW_WS_FAULT_TEXT_UTF8);
        rx->checked = got;
        if (got == len && !xw_ws_utf8_whole(&rx->utf8))
            return failed(ws, XW_WS_FAULT_TEXT_UTF8);
    }
    if (got < len)
        return STEP_NEED;
    uint64_t first = ws_rx_pos(ws);
    rx->checked = 0;
    rx->off += h->hdr_len + len;
    rx->held = true;
    if (h->opcode & 8)
        return control_event(ws, h->opcode, data, first, ev);
    note_first(ws, first);
    message_event(ws, ev, h->opcode, data, first);
    return STEP_EVENT;
}

/* ---- copied ---- */

/* Makes room for a frame of len in the assembly; a new message begins behind what is lent. False: only after
 * release. */
static bool assembly_room(struct xw_ws *ws, uint64_t len) {
    struct ws_rx *rx = &ws->rx;
    struct xw_mspan a = ws->cfg.assembly;
    if (!rx->in_msg) {
        rx->msg_at = (rx->lent_end + 15) & ~(size_t)15;
        rx->msg_len = 0;
        if (rx->msg_at > a.len)
            return false;
    }
    if (len <= a.len - rx->msg_at - rx->msg_len)
        return true;
    if (rx->lent_end)
        return false;
    memmove(a.p, a.p + rx->msg_at, rx->msg_len);
    rx->msg_at = 0;
    XW_ASSERT(rx->packed || len <= a.len - rx->msg_len); /* the limit was compared with the header, and the buffer is no smaller */
    return true;
}

/* A data frame's header is accepted: the message begins or goes on. */
static void message_frame(struct xw_ws *ws, const struct xw_ws_hdr *h) {
    struct ws_rx *rx = &ws->rx;
    if (h->opcode != XW_WS_OP_CONT) {
        rx->in_msg = true;
        rx->msg_opcode = h->opcode;
        rx->packed_len = 0;
        rx->packed = h->rsv & XW_WS_RSV1;
        if (rx->packed)
            xw_ws_inflate_begin(ws->deflate);
        rx->msg_first = rx->frame_first;
        note_first(ws, rx->msg_first);
    }
    rx->packed_len += rx->packed ? h->len : 0;
}

static enum step copied_control(struct xw_ws *ws, struct xw_span view, struct xw_ws_event *ev) {
    struct ws_rx *rx = &ws->rx;
    size_t want = (size_t)(rx->h.len - rx->frame_pos), n = view.len < want ? view.len : want;
    if (n)
        memcpy(rx->ctl + rx->frame_pos, view.p, n);
    rx->frame_pos += n;
    rx->off += n;
    if (n < want)
        return STEP_NEED;
    if (rx->h.masked)
        ws->cfg.simd->mask(rx->ctl, rx->ctl, (size_t)rx->h.len, rx->h.key);
    rx->in_frame = false;
    rx->ctl_lent = true;
    return control_event(ws, rx->h.opcode, xw_span(rx->ctl, (size_t)rx->h.len), rx->frame_first, ev);
}

/* The message in the assembly is whole. */
static enum step assembled(struct xw_ws *ws, struct xw_ws_event *ev) {
    struct ws_rx *rx = &ws->rx;
    if (rx->msg_opcode == XW_WS_OP_TEXT && ws->cfg.check_utf8 && !xw_ws_utf8_whole(&rx->utf8))
        return failed(ws, XW_WS_FAULT_TEXT_UTF8);
    rx->in_msg = false;
    rx->lent_end = rx->msg_at + rx->msg_len;
    message_event(ws, ev, rx->msg_opcode, xw_span(ws->cfg.assembly.p + rx->msg_at, rx->msg_len), rx->msg_first);
    return STEP_EVENT;
}

static enum step copied_data(struct xw_ws *ws, struct xw_span view, struct xw_ws_event *ev) {
    struct ws_rx *rx = &ws->rx;
    uint64_t want = rx->h.len - rx->frame_pos;
    size_t n = view.len < want ? view.len : (size_t)want;
    uint8_t *dst = ws->cfg.assembly.p + rx->msg_at + rx->msg_len, key[4];
    if (n && rx->h.masked) {
        xw_ws_mask_at(key, rx->h.key, rx->frame_pos);
        ws->cfg.simd->mask(dst, view.p, n, key);
    } else if (n) {
        memcpy(dst, view.p, n);
    }
    rx->frame_pos += n;
    rx->off += n;
    rx->msg_len += n;
    bool text = rx->msg_opcode == XW_WS_OP_TEXT && ws->cfg.check_utf8;
    if (text && xw_ws_utf8_feed(&rx->utf8, ws->cfg.simd, dst, n) < n)
        return failed(ws, XW_WS_FAULT_TEXT_UTF8);
    if (n < want)
        return STEP_NEED;
    rx->in_frame = false;
    return rx->h.fin ? assembled(ws, ev) : STEP_ON;
}

/* ---- inflated ---- */

/* Runs the inflater over in (NULL: the end of the message) into what the message may still grow by. ON: in is used up;
 * EVENT: the message is whole; STALL: no room before release. */
static enum step inflate_run(struct xw_ws *ws, struct xw_span *in) {
    struct ws_rx *rx = &ws->rx;
    enum xw_ws_inflate rc;
    do {
        uint8_t probe;
        uint64_t left = ws->cfg.max_message - rx->msg_len;
        if (left && !assembly_room(ws, 1))
            return STEP_STALL;
        uint8_t *dst = left ? ws->cfg.assembly.p + rx->msg_at + rx->msg_len : &probe;
        size_t room = ws->cfg.assembly.len - rx->msg_at - rx->msg_len;
        struct xw_mspan out = xw_mspan(dst, !left ? 1 : left < room ? (size_t)left : room);
        rc = in ? xw_ws_inflate_feed(ws->deflate, in, &out) : xw_ws_inflate_end(ws->deflate, &out);
        size_t got = (size_t)(out.p - dst);
        if (got && !left)
            return failed(ws, XW_WS_FAULT_TOO_BIG);
        rx->msg_len += got;
        if (rx->msg_opcode == XW_WS_OP_TEXT && ws->cfg.check_utf8 &&
            xw_ws_utf8_feed(&rx->utf8, ws->cfg.simd, dst, got) < got)
            return failed(ws, XW_WS_FAULT_TEXT_UTF8);
    } while (rc == XW_WS_INFLATE_FULL);
    if (rc == XW_WS_INFLATE_BAD)
        return failed(ws, XW_WS_FAULT_DEFLATE);
    return rc == XW_WS_INFLATE_END ? STEP_EVENT : STEP_ON;
}

/* The next n payload bytes of the frame; masked ones are unmasked in pieces on the stack. */
static enum step inflate_payload(struct xw_ws *ws, struct xw_span view, size_t n) {
    struct ws_rx *rx = &ws->rx;
    uint8_t plain[2048], key[4];
    enum step s = STEP_ON;
    while (n && s == STEP_ON) {
        struct xw_span in = xw_span(view.p, n);
        if (rx->h.masked) {
            in = xw_span(plain, n < sizeof plain ? n : sizeof plain);
            xw_ws_mask_at(key, rx->h.key, rx->frame_pos);
            ws->cfg.simd->mask(plain, view.p, in.len, key);
        }
        size_t used = in.len;
        s = inflate_run(ws, &in);
        used -= in.len;
        view = xw_span_from(view, used);
        n -= used;
        rx->frame_pos += used;
        rx->off += used;
    }
    return s;
}

static enum step inflated_data(struct xw_ws *ws, struct xw_span view, struct xw_ws_event *ev) {
    struct ws_rx *rx = &ws->rx;
    uint64_t want = rx->h.len - rx->frame_pos;
    enum step s = inflate_payload(ws, view, view.len < want ? view.len : (size_t)want);
    if (s != STEP_ON)
        return s;
    if (rx->frame_pos < rx->h.len)
        return STEP_NEED;
    if (rx->h.fin && (s = inflate_run(ws, NULL)) != STEP_EVENT)
        return s;
    rx->in_frame = false;
    return rx->h.fin ? assembled(ws, ev) : STEP_ON;
}

/* ---- headers ---- */

/* The header at the cursor: from the view, or byte by byte through hdr_buf where a plain ring may cut it. As
 * xw_ws_hdr_parse. */
static int next_header(struct xw_ws *ws, struct xw_span view, struct xw_ws_hdr *h) {
    struct ws_rx *rx = &ws->rx;
    uint64_t max = ws->cfg.max_message, packed = PACKED_MAX(max);
    struct xw_ws_rules rules = { .want_mask = ws->cfg.role == XW_WS_SERVER, .rsv_ok = ws->rsv_ok, .max_len = max,
                                 .max_packed = packed };
    if (rx->in_msg)
        rules.max_len = rx->packed ? packed - rx->packed_len : max - rx->msg_len;
    int rc;
    if (!rx->hdr_have) {
        rc = xw_ws_hdr_parse(view, &rules, h);
        if (rc || ws->cfg.view_max || !view.len)
            return rc;
        rx->frame_first = ws_rx_pos(ws);
    }
    for (size_t i = 0;; i++) {
        rc = xw_ws_hdr_parse(xw_span(rx->hdr_buf, rx->hdr_have), &rules, h);
        if (rc || i == view.len)
            return rc;
        rx->hdr_buf[rx->hdr_have++] = view.p[i];
        rx->off++;
    }
}

/* RFC 6455 5.4: what a header breaks by its place among the others. */
static enum xw_ws_fault order_fault(const struct xw_ws *ws, const struct xw_ws_hdr *h) {
    if (h->opcode & 8)
        return XW_WS_FAULT_NONE;
    if (h->opcode == XW_WS_OP_CONT)
        return ws->rx.in_msg ? XW_WS_FAULT_NONE : XW_WS_FAULT_CONTINUATION;
    return ws->rx.in_msg ? XW_WS_FAULT_INTERLEAVED : XW_WS_FAULT_NONE;
}

static bool fits_in_place(const struct xw_ws *ws, const struct xw_ws_hdr *h, struct xw_span view) {
    bool shape = !h->masked && !h->rsv && !ws->rx.hdr_have && ((h->opcode & 8) || (h->fin && h->opcode != XW_WS_OP_CONT));
    if (!shape)
        return false;
    if (view.len - h->hdr_len >= h->len)
        return true;
    return ws->cfg.view_max >= h->hdr_len && ws->cfg.view_max - h->hdr_len >= h->len;
}

static enum step begin_frame(struct xw_ws *ws, struct xw_span view, struct xw_ws_event *ev) {
    struct ws_rx *rx = &ws->rx;
    struct xw_ws_hdr h;
    int rc = next_header(ws, view, &h);
    if (rc == 0)
        return STEP_NEED;
    enum xw_ws_fault f = rc < 0 ? (enum xw_ws_fault)-rc : order_fault(ws, &h);
    if (f)
        return failed(ws, f);
    if (!(h.opcode & 8) && h.opcode != XW_WS_OP_CONT && !rx->checked)
        xw_ws_utf8_init(&rx->utf8);
    if (fits_in_place(ws, &h, view))
        return frame_in_place(ws, &h, view, ev);
    bool packed = (h.rsv & XW_WS_RSV1) || (rx->in_msg && rx->packed);
    if ((h.opcode & 8) ? rx->ctl_lent : !assembly_room(ws, packed ? 0 : h.len))
        return STEP_STALL;
    if (!rx->hdr_have) {
        rx->frame_first = ws_rx_pos(ws);
        rx->off += h.hdr_len;
    }
    rx->hdr_have = 0;
    rx->h = h;
    rx->in_frame = true;
    rx->frame_pos = 0;
    if (!(h.opcode & 8))
        message_frame(ws, &h);
    return STEP_ON;
}

unsigned ws_rx_frames(struct xw_ws *ws, struct xw_ws_event *ev, unsigned max) {
    struct ws_rx *rx = &ws->rx;
    unsigned cnt = 0;
    while (ws->state == WS_OPEN) {
        if (cnt == max) {
            rx->stalled = true;
            break;
        }
        struct xw_span view = ws_rx_view(ws);
        enum step s;
        if (!rx->in_frame)
            s = begin_frame(ws, view, &ev[cnt]);
        else if (rx->h.opcode & 8)
            s = copied_control(ws, view, &ev[cnt]);
        else if (rx->packed)
            s = inflated_data(ws, view, &ev[cnt]);
        else
            s = copied_data(ws, view, &ev[cnt]);
        cnt += s == STEP_EVENT;
        if (s == STEP_STALL)
            rx->stalled = true;
        if (s == STEP_NEED || s == STEP_STALL || s == STEP_FAILED)
            break;
    }
    return cnt;
}

/* ---- the straight line ---- */

bool xw_ws_simple(const struct xw_ws *ws, size_t held) {
    const struct ws_rx *rx = &ws->rx;
    const struct ws_tx *tx = &ws->tx;
    return ws->state == WS_OPEN && rx->off == held && !rx->in_frame && !rx->in_msg && !rx->hdr_have && !rx->checked &&
           !ws->closing && !tx->stage_len && !tx->pack_end && !tx->packing && !tx->pong_due && !tx->close_due &&
           !tx->shut_wanted && ws->cfg.role == XW_WS_CLIENT && ws->cfg.view_max;
}

void xw_ws_prefetch(const struct xw_ws *ws) {
    const struct ws_rx *rx = &ws->rx;
    const struct ws_tx *tx = &ws->tx;
    const void *at[] = { &ws->cfg.role, &ws->cfg.simd, &ws->cfg.view_max, &ws->state, &rx->off, &rx->in_msg, &rx->checked,
                         &tx->stage_len, &tx->packing, &tx->pong_due, &tx->shut_wanted, &ws->closing };
    for (unsigned i = 0; i < sizeof at / sizeof *at; i++)
        __builtin_prefetch(at[i], 1);
}

bool xw_ws_take(struct xw_ws *ws, struct xw_span *view, struct xw_ws_msg *out) {
    const uint8_t *p = view->p;
    if (view->len < 2 || (p[0] != (0x80 | XW_WS_OP_TEXT) && p[0] != (0x80 | XW_WS_OP_BIN)) || p[1] > 126)
        return false;
    size_t head = 2, len = p[1];
    if (len == 126) {
        if (view->len < 4)
            return false;
        head = 4;
        len = (size_t)p[2] << 8 | p[3];
        if (len < 126) /* not the shortest form: a fault */
            return false;
    }
    if (view->len - head < len || len > ws->cfg.max_message)
        return false;
    out->opcode = p[0] & 0xf;
    out->data = xw_span(p + head, len);
    if (out->opcode == XW_WS_OP_TEXT && ws->cfg.check_utf8 && ws->cfg.simd->ascii(out->data.p, len) < len &&
        !xw_ws_utf8_valid(ws->cfg.simd, out->data.p, len))
        return false;
    *view = xw_span_from(*view, head + len);
    ws->rx.off += head + len;
    ws->rx.held = true;
    return true;
}
