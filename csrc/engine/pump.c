/* engine/pump.c: one connection's bytes become events. */
#include "engine/express.h"
#include <stdio.h>
#include <string.h>

static struct xw_event *event_of(struct xw_conn *c, struct xw_event *ev, uint8_t type) {
    memset(ev, 0, sizeof *ev);
    ev->user = c->user;
    ev->conn = c->id;
    ev->type = type;
    return ev;
}

static void event_text(struct xw_event *ev, struct xw_span text) {
    ev->data = text.p;
    ev->len = text.len;
}

/* The stamps of the unit at stream offset off: the packet that completed it, and when its TLS record was decrypted. */
static void stamps_fill(const struct xw_conn *c, uint64_t off, const struct xw_rxstamp *last,
                        const struct xw_rxstamp *first, struct xw_stamps *s) {
    static const uint32_t bit[3] = { XW_ST_NIC, XW_ST_KERNEL, XW_ST_RING };
    s->nic_ns = last->hw_ns;
    s->kernel_ns = last->kern_ns;
    s->ring_ns = last->ring_ns;
    for (unsigned i = 0; i < 3; i++)
        s->valid |= last->valid >> i & 1u ? bit[i] : 0;
    if (first->valid & (XW_RXS_KERN | XW_RXS_RING)) {
        s->first_ns = first->valid & XW_RXS_KERN ? first->kern_ns : first->ring_ns;
        s->valid |= XW_ST_FIRST;
    }
    if (c->top != c->lower) {
        xw_tls_record_times(c->top, off, &s->decrypt_begin_ns, &s->decrypt_end_ns);
        s->valid |= s->decrypt_end_ns ? XW_ST_DECRYPT_BEGIN | XW_ST_DECRYPT_END : 0;
    }
}

void xw_conn_stamps(const struct xw_conn *c, uint64_t off, struct xw_stamps *s) {
    struct xw_rxstamp last = { 0 }, first = { 0 };
    memset(s, 0, sizeof *s);
    c->top->ops->stamp(c->top, off, &last, &first);
    stamps_fill(c, off, &last, &first, s);
}

static const char *layer_name(uint8_t layer) {
    static const char *const names[] = { "connection", "network", "TCP", "TLS", "HTTP upgrade", "WebSocket" };
    return names[layer < 6 ? layer : 0];
}

/* Which layer a stream's failure belongs to: the lowest that has failed. */
static uint8_t failed_layer(const struct xw_conn *c, struct xw_bs_status *st) {
    c->lower->ops->status(c->lower, st);
    if (st->state == XW_BS_FAILED || c->top == c->lower)
        return XW_LAYER_TCP;
    c->top->ops->status(c->top, st);
    return XW_LAYER_TLS;
}

/* The last event. Its text names the layer and the cause; the slot is freed by the next poll. */
static unsigned end(struct xw_engine *e, struct xw_conn *c, struct xw_event *ev, uint8_t layer, int error,
                    const char *detail) {
    event_of(c, ev, XW_EV_CLOSED);
    ev->layer = layer;
    ev->error = error;
    ev->code = 1006;
    if (detail != c->text) {
        bool more = detail && *detail && strcmp(detail, xw_strerror(error)) != 0;
        snprintf(c->text, sizeof c->text, "%s: %s%s%s", layer_name(layer), error ? xw_strerror(error) : "closed",
                 more ? ": " : "", more ? detail : "");
    }
    event_text(ev, xw_span(c->text, strlen(c->text)));
    c->phase = CONN_ENDED;
    xw_engine_shown(e, c);
    return 1;
}

static unsigned end_by_stream(struct xw_engine *e, struct xw_conn *c, struct xw_event *ev) {
    struct xw_bs_status st;
    uint8_t layer = failed_layer(c, &st);
    int error = st.state == XW_BS_FAILED ? st.error : XW_OK;
    const char *text = layer == XW_LAYER_TLS ? c->top->ops->error_text(c->top) : c->lower->ops->error_text(c->lower);
    unsigned n = end(e, c, ev, layer, error, text);
    ev->by_peer = st.rx_eof || error == XW_ERESET || error == XW_EREFUSED;
    return n;
}

static unsigned end_by_net(struct xw_engine *e, struct xw_conn *c, struct xw_event *ev) {
    if (c->net_error != XW_EADDRINUSE)
        return end(e, c, ev, XW_LAYER_NET, c->net_error, "the next hop does not answer");
    snprintf(c->text, sizeof c->text, "network: another host on the link has the stack's own address; give it another");
    return end(e, c, ev, XW_LAYER_NET, c->net_error, c->text);
}

static unsigned end_by_timeout(struct xw_engine *e, struct xw_conn *c, struct xw_event *ev) {
    struct xw_bs_status st;
    uint8_t layer = XW_LAYER_NET;
    if (c->opened)
        layer = c->ws ? XW_LAYER_WS : XW_LAYER_TCP;
    else if (!c->holding) {
        c->lower->ops->status(c->lower, &st);
        layer = XW_LAYER_TCP;
        if (st.state != XW_BS_CONNECTING) {
            c->top->ops->status(c->top, &st);
            layer = st.state == XW_BS_CONNECTING ? XW_LAYER_TLS : XW_LAYER_HTTP;
        }
    }
    return end(e, c, ev, layer, XW_ETIMEDOUT, c->opened ? "the peer did not finish closing" : "while opening");
}

static void message_event(struct xw_conn *c, const struct xw_ws_event *w, struct xw_event *ev) {
    event_of(c, ev, XW_EV_MESSAGE);
    ev->opcode = w->opcode;
    event_text(ev, w->data);
    stamps_fill(c, w->off_last, &w->last, &w->first, &ev->stamps);
    ev->stamps.parsed_ns = w->parsed_ns;
    ev->stamps.valid |= w->parsed_ns ? XW_ST_PARSED : 0;
}

static void ended_event(struct xw_engine *e, struct xw_conn *c, const struct xw_ws_event *w, struct xw_event *ev) {
    if (w->layer == XW_LAYER_NONE) {
        end_by_stream(e, c, ev);
    } else {
        int len = (int)(w->data.len < 400 ? w->data.len : 400);
        snprintf(c->text, sizeof c->text, "%.*s", len, (const char *)w->data.p);
        end(e, c, ev, w->layer, w->error, c->text);
    }
    ev->code = w->code;
    ev->sent = w->sent;
    ev->by_peer = w->by_peer;
}

/* The rest: small data that is shown where the WebSocket layer keeps it. */
static void control_event(struct xw_conn *c, const struct xw_ws_event *w, struct xw_event *ev) {
    static const uint8_t type[] = { [XW_WS_OPEN] = XW_EV_OPEN, [XW_WS_PING] = XW_EV_PING, [XW_WS_PONG] = XW_EV_PONG,
                                    [XW_WS_CLOSING] = XW_EV_CLOSING, [XW_WS_REJECTED] = XW_EV_REJECTED,
                                    [XW_WS_REQUEST] = XW_EV_REQUEST };
    event_of(c, ev, type[w->type]);
    ev->code = w->code;
    event_text(ev, w->data);
    if (w->type == XW_WS_OPEN) {
        c->opened = true;
        c->open_deadline = XW_NEVER;
    }
}

static unsigned pump_ws(struct xw_engine *e, struct xw_conn *c, uint64_t now_ns, struct xw_event *ev, unsigned max) {
    struct xw_ws_event wev[16];
    unsigned room = max < 16 ? max : 16, n = 0;
    if (XW_UNLIKELY(c->paused)) {
        n = (unsigned)xw_ws_poll_paused(c->ws, now_ns, wev, room);
        c->paused = !xw_ws_ending(c->ws); /* what is left then is bounded by the rings, and its end is news */
    }
    if (!n && !c->paused)
        n = (unsigned)xw_ws_poll(c->ws, now_ns, wev, room);
    for (unsigned i = 0; i < n; i++) {
        if (wev[i].type == XW_WS_MESSAGE)
            message_event(c, &wev[i], &ev[i]);
        else if (wev[i].type == XW_WS_ENDED)
            ended_event(e, c, &wev[i], &ev[i]);
        else
            control_event(c, &wev[i], &ev[i]);
    }
    if (n)
        xw_engine_shown(e, c);
    return n;
}

static unsigned pump_raw(struct xw_engine *e, struct xw_conn *c, struct xw_event *ev) {
    struct xw_bs_status st;
    c->top->ops->status(c->top, &st);
    if (st.state == XW_BS_CONNECTING)
        return 0;
    size_t unread = c->top->ops->peek(c->top).len;
    c->discarded = c->closing && unread;
    if (c->discarded) /* nobody reads any more; what still comes must not keep the peer from finishing */
        c->top->ops->consume(c->top, unread);
    if (!c->opened && (st.state == XW_BS_OPEN || st.state == XW_BS_CLOSED)) {
        c->opened = true;
        c->open_deadline = XW_NEVER;
        event_of(c, ev, XW_EV_OPEN);
        return 1;
    }
    bool data = c->top->ops->peek(c->top).len != 0;
    bool over = st.state == XW_BS_CLOSED || st.state == XW_BS_FAILED;
    if (c->opened && !c->readable_told && !c->paused && !c->eof_told && (data || st.rx_eof)) {
        c->readable_told = true;
        event_of(c, ev, XW_EV_READABLE);
        return 1;
    }
    if (over && !data && (st.state == XW_BS_FAILED || c->eof_told || c->closing))
        return end_by_stream(e, c, ev);
    return 0;
}

static bool writable(struct xw_conn *c) {
    return c->ws ? xw_ws_writable(c->ws) : c->top->ops->reserve(c->top).len != 0;
}

/* Something was done to the stream without an event (the answer to the peer's end, half a message taken): it does not
 * know yet, no descriptor will tell, and what comes of it (room, the end) must be looked at. So one more round. */
static bool moved(struct xw_conn *c) { return c->ws ? xw_ws_moved(c->ws) : c->discarded; }

unsigned xw_conn_pump(struct xw_engine *e, struct xw_conn *c, uint64_t now_ns, struct xw_event *ev, unsigned max) {
    unsigned n = 0;
    if (c->aborted)
        return end(e, c, ev, XW_LAYER_NONE, XW_ECLOSED, "aborted by us");
    if (now_ns >= c->open_deadline || now_ns >= c->close_deadline)
        return end_by_timeout(e, c, ev);
    if (c->net_error)
        return end_by_net(e, c, ev);
    if (e->express && xw_express_pump(e, c, now_ns, ev, max, &n)) {
        xw_engine_work(e, c);
        return n;
    }
    /* TLS polls what is below it when it has no whole record left: polling it here too would be a second recvmsg. */
    int lower_rc = c->top == c->lower ? c->lower->ops->poll(c->lower, now_ns) : 0, top_rc = 0;
    /* A TLS stream decrypts one record a poll. The first that makes an event ends the pump: it must not wait for the
     * others. */
    do {
        if (c->top != c->lower)
            top_rc = c->top->ops->poll(c->top, now_ns);
        n = c->ws ? pump_ws(e, c, now_ns, ev, max) : pump_raw(e, c, ev);
    } while (!n && top_rc == XW_EAGAIN && !c->paused && c->ws);
    bool again = moved(c);
    if (n < max && c->want_writable && c->phase == CONN_LIVE && writable(c)) {
        c->want_writable = false;
        event_of(c, &ev[n++], XW_EV_WRITABLE);
    }
    /* paused: decrypted as far as the ring has room, so that pings in it are seen */
    if (c->phase == CONN_LIVE && (n || again || lower_rc == XW_EAGAIN || (top_rc == XW_EAGAIN && (!c->paused || c->ws))))
        xw_engine_work(e, c);
    return n;
}
