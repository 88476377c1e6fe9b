/* engine/express.c: the straight line from a frame to its message events, and from what lies in a receive ring.
 *
 * What a message that comes in order on an established wss connection needs at the least: its frame is one of a known flow
 * (flow.h), TCP takes the segment (tcp/fast.h), each TLS record in it is opened from the frame into the plain ring, each
 * WebSocket frame in that is a whole message, and an event is filled where the caller reads it. No layer is polled, nothing is
 * looked for that such a segment cannot cause, and the bytes are touched once by the checksum and once by the cipher.
 *
 * Conditions, each asked where it is known: the address is ours (net), those of xw_flow_find and xw_tcp_fast_in; then for
 * the bytes to be used in the frame: the connection is open, a WebSocket on TLS, not paused, nobody waits for WRITABLE, the
 * receive ring is empty (else they go behind what is there), and those of xw_ws_simple, xw_tls_read_from and xw_ws_take.
 * Where one does not hold, the bytes go the long way from there on: the frame through net and tcp, the segment into the ring,
 * the plain text to xw_ws_poll. The long way does all by itself; xw_engine_express switches it off (tests). */
#include "engine/express.h"
#include <string.h>

static bool can(const struct xw_conn *c) {
    return c->opened && c->ws && c->top != c->lower && !c->paused && !c->want_writable && !c->aborted;
}

/* Everything that a message's event says, its stamps but for what differs between the messages of one record. */
static void fill(struct xw_event *ev, const struct xw_conn *c, const struct xw_ws_msg *m, const struct xw_stamps *s) {
    ev->user = c->user;
    ev->conn = c->id;
    ev->type = XW_EV_MESSAGE;
    ev->opcode = m->opcode;
    ev->layer = ev->by_peer = 0;
    ev->error = 0;
    ev->code = ev->sent = ev->pad = 0;
    ev->len = m->data.len;
    ev->data = m->data.p;
    ev->stamps = *s;
}

static void stamps_of(struct xw_stamps *s, const struct xw_express_src *src, const struct xw_tls_read *r) {
    const struct xw_rxstamp *last = &src->last, *first = &src->first;
    _Static_assert(XW_RXS_HW == XW_ST_NIC && XW_RXS_KERN == XW_ST_KERNEL && XW_RXS_RING == XW_ST_RING, "the same bits");
    s->nic_ns = last->hw_ns;
    s->kernel_ns = last->kern_ns;
    s->ring_ns = last->ring_ns;
    s->decrypt_begin_ns = r->begin_ns;
    s->decrypt_end_ns = r->done_ns;
    s->first_ns = first->valid & XW_RXS_KERN ? first->kern_ns : first->ring_ns;
    s->valid = last->valid | (first->valid & (XW_RXS_KERN | XW_RXS_RING) ? XW_ST_FIRST : 0) |
               (r->done_ns ? XW_ST_DECRYPT_BEGIN | XW_ST_DECRYPT_END : 0);
    s->pad = 0;
    s->parsed_ns = 0;
}

/* The packets of the record at the head of the receive ring. */
static bool ring_stamps(const struct xw_conn *c, struct xw_span in, struct xw_express_src *src) {
    if (in.len < 5)
        return false;
    size_t len = 5 + ((size_t)in.p[3] << 8 | in.p[4]);
    if (in.len < len)
        return false;
    struct xw_rxstamp unused;
    uint64_t off = c->lower->ops->rx_offset(c->lower);
    c->lower->ops->stamp(c->lower, off, &unused, &src->first);
    c->lower->ops->stamp(c->lower, off + len - 1, &src->last, &unused);
    return true;
}

/* Messages of one record's content. */
static unsigned messages(struct xw_engine *e, struct xw_conn *c, const struct xw_tls_read *r,
                         const struct xw_express_src *src, struct xw_event *ev, unsigned max) {
    struct xw_span view = r->data;
    struct xw_stamps s;
    struct xw_ws_msg m;
    unsigned n = 0;
    stamps_of(&s, src, r);
    for (; n < max && view.len && xw_ws_take(c->ws, &view, &m); n++) {
        if (e->cfg.stamps) {
            s.parsed_ns = xw_engine_clock_ns(e);
            s.valid |= XW_ST_PARSED;
        }
        fill(&ev[n], c, &m, &s);
    }
    if (XW_UNLIKELY(view.len || r->poll)) {
        xw_tls_read_note(c->top, r, &src->last, &src->first);
        xw_engine_work(e, c);
    }
    return n;
}

unsigned xw_express_records(struct xw_engine *e, struct xw_conn *c, struct xw_express_src *src, struct xw_event *ev,
                            unsigned max) {
    struct xw_tls_read r;
    unsigned n = 0;
    while (n < max && (src->in_ring || src->in.len) && xw_ws_simple(c->ws, xw_bytering_len(&c->plain))) {
        if (src->in_ring) {
            src->in = c->lower->ops->peek(c->lower);
            if (!ring_stamps(c, src->in, src))
                break;
        }
        size_t used = xw_tls_read_from(c->top, src->in, &r);
        if (!used)
            break;
        if (src->in_ring)
            c->lower->ops->consume(c->lower, used);
        src->in = xw_span_from(src->in, used);
        n += messages(e, c, &r, src, ev + n, max - n);
        if (r.poll)
            break;
    }
    if (n)
        xw_engine_shown(e, c);
    return n;
}

void xw_express_lookup(struct xw_engine *e, uint32_t i) {
    const struct xw_pkt *p = &e->burst[i];
    e->burst_flow[i] = p->len >= XW_FLOW_SEEN + 20 ? xw_flow_find(&e->flows, p->data) : NULL;
    struct xw_conn *c = e->burst_flow[i] ? e->burst_flow[i]->conn : NULL;
    if (e->open_cnt < XW_EXPRESS_FETCH || !c || (i && e->burst_flow[i - 1] == e->burst_flow[i]))
        return;
    for (size_t at = 0; at < offsetof(struct xw_conn, text); at += 64)
        __builtin_prefetch((const uint8_t *)c + at, 1);
}

void xw_express_fetch(const struct xw_engine *e, uint32_t i) {
    const struct xw_flow *f = e->burst_flow[i];
    const struct xw_conn *c = f ? f->conn : NULL;
    if (!c || f == e->burst_flow[i - 1] || c->phase != CONN_LIVE || !c->tcp)
        return;
    xw_tcp_fast_prefetch(c->tcp);
    if (c->ws && c->top != c->lower) {
        xw_tls_prefetch(c->top);
        xw_ws_prefetch(c->ws);
    }
}

bool xw_express_frame(struct xw_engine *e, const struct xw_pkt *p, const struct xw_flow *f, const struct xw_rxstamp *stamp,
                      uint64_t now_ns, struct xw_event *ev, unsigned max, unsigned *n) {
    struct xw_span frame = xw_span(p->data, p->len), seg, data;
    uint64_t pseudo;
    *n = 0;
    struct xw_conn *c = f ? f->conn : NULL;
    if (!c || c->id != f->id || c->phase != CONN_LIVE || !xw_flow_segment(&e->flows, frame, &seg, &pseudo) ||
        !xw_tcp_fast_in(c->tcp, seg, pseudo, !(p->valid & XW_PKT_CSUM), now_ns, &data))
        return false;
    size_t used = 0;
    if (XW_LIKELY(can(c) && !xw_bytering_len(&c->rcv))) {
        struct xw_express_src src = { .in = data, .last = *stamp, .first = *stamp };
        *n = xw_express_records(e, c, &src, ev, max);
        used = data.len - src.in.len;
    }
    xw_tcp_fast_put(c->tcp, data, used, stamp);
    return true;
}

bool xw_express_pump(struct xw_engine *e, struct xw_conn *c, uint64_t now_ns, struct xw_event *ev, unsigned max,
                     unsigned *n) {
    *n = 0;
    if (!can(c) || !xw_ws_simple(c->ws, xw_bytering_len(&c->plain)) || !xw_tls_quiet(c->top))
        return false;
    struct xw_express_src src = { .in_ring = true };
    *n = xw_express_records(e, c, &src, ev, max);
    if (*n)
        c->lower->ops->flush(c->lower, now_ns); /* what was consumed may open the window */
    return *n != 0;
}
