/* tcp/reassembly.c: received data goes straight to its place in the receive ring; what lies behind a hole is
 * remembered as a sorted list of ranges of stream offsets.
 *
 * Policy: the first copy of an octet is kept. A segment that would need one range more than there are is dropped; data
 * that begins at the left edge never needs one, so the stream always moves on. What does not fit the ring is cut off;
 * the ring is the window, so only a peer that ignores the window sees that. A FIN is remembered by its position. */
#include "tcp/tcp_priv.h"
#include <string.h>

uint32_t xw_tcp_rcv_cap(const struct xw_tcp *c) {
    uint32_t cap = c->rcv ? c->rcv->cap : 0, want = c->opts.rcv_window;
    return want && want < cap ? want : cap;
}

uint32_t xw_tcp_rcv_room_within(const struct xw_tcp *c) {
    if (!c->rcv)
        return c->last_wnd;
    uint32_t cap = xw_tcp_rcv_cap(c), held = xw_bytering_len(c->rcv), room = cap > held ? cap - held : 0;
    int32_t offered = xw_seq_diff(c->rcv_adv, c->rcv_nxt);
    return offered > 0 && (uint32_t)offered > room ? (uint32_t)offered : room;
}

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

/* Stores those octets of [lo, hi) that no range holds yet. Returns how many. */
static uint64_t store(struct xw_tcp *c, uint64_t lo, uint64_t hi, const uint8_t *src, const struct xw_rxstamp *stamp) {
    uint64_t pos = lo, fresh = 0;
    for (uint32_t i = 0; i <= c->ooo_cnt && pos < hi; i++) {
        uint64_t gap_end = i < c->ooo_cnt && c->ooo[i].lo < hi ? c->ooo[i].lo : hi;
        if (gap_end > pos) {
            xw_bytering_poke(c->rcv, pos, src + (pos - lo), (uint32_t)(gap_end - pos));
            xw_tcp_stamp_put(c, gap_end, stamp);
            fresh += gap_end - pos;
            pos = gap_end;
        }
        if (i < c->ooo_cnt && c->ooo[i].hi > pos && c->ooo[i].lo <= pos)
            pos = c->ooo[i].hi;
    }
    return fresh;
}

/* The ranges that touch [lo, hi): [*first, *last). */
static void touching(const struct xw_tcp *c, uint64_t lo, uint64_t hi, uint32_t *first, uint32_t *last) {
    uint32_t i = 0;
    while (i < c->ooo_cnt && c->ooo[i].hi < lo)
        i++;
    *first = i;
    while (i < c->ooo_cnt && c->ooo[i].lo <= hi)
        i++;
    *last = i;
}

/* Replaces ranges [first, last) by n (0 or 1) new ones. */
static void replace(struct xw_tcp *c, uint32_t first, uint32_t last, const struct xw_tcp_range *r, uint32_t n) {
    memmove(&c->ooo[first + n], &c->ooo[last], (c->ooo_cnt - last) * sizeof *c->ooo);
    if (n)
        c->ooo[first] = *r;
    c->ooo_cnt = c->ooo_cnt - (last - first) + n;
}

/* ---- acknowledgment policy --------------------------------------------------------------------------------------- */

/* One ACK answers whatever came in one burst, as long as all is in order. A path that loses data loses ACKs too, and
 * when the only one of a burst is lost the peer waits for its timeout: from a hole, a duplicate or a hole's filling on,
 * for 64 KiB, segments are worth an ACK of their own (RFC 5681 4.2), four a burst. */
#define ACKS_OF_BURST XW_TCP_DSACKS
#define ACKS_WITHOUT_SACK 16u /* such a peer counts duplicates: three, and one for each segment that left the network */
#define LOSSY_BYTES 65536u

/* One for the segment at hand, however often. */
static void owe(struct xw_tcp *c, uint32_t max) {
    if (!c->owes && c->acks_owed < max)
        c->acks_owed++;
    c->owes = true;
}

/* RFC 9293 3.8.6.3 and RFC 5681 4.2: at least every second full segment, within ack_delay. */
void xw_tcp_ack_policy(struct xw_tcp *c, uint32_t len, uint64_t now) {
    bool quick = c->opts.ack_policy == XW_TCP_ACK_IMMEDIATE;
    if (c->opts.ack_policy == XW_TCP_ACK_ADAPTIVE) {
        if (c->idle_ns > xw_tcp_rto(c) && c->quick_bytes < 65536)
            c->quick_bytes = 65536; /* after idle the peer is in slow start again */
        quick = c->quick_bytes > 0;
        c->quick_bytes -= len < c->quick_bytes ? len : c->quick_bytes;
    }
    if (c->lossy_bytes) {
        c->lossy_bytes -= len < c->lossy_bytes ? len : c->lossy_bytes;
        if (quick)
            owe(c, ACKS_OF_BURST);
        c->owes = false; /* the fast path comes here alone */
    }
    c->rcv_unacked += len;
    if (len > c->rcv_mss)
        c->rcv_mss = len;
    if (quick || c->rcv_unacked >= 2 * c->rcv_mss)
        c->ack_now = true;
    else if (c->timer[XW_TCP_T_ACK] == XW_NEVER)
        xw_tcp_timer_set(c, XW_TCP_T_ACK, now + c->opts.ack_delay_ns);
}

static void ack_at_once(struct xw_tcp *c, bool duplicate) {
    c->ack_now = true;
    c->quick_bytes = 65536;
    c->lossy_bytes = LOSSY_BYTES;
    if (c->sack_on || duplicate)
        owe(c, c->sack_on ? ACKS_OF_BURST : ACKS_WITHOUT_SACK);
}

/* ---- segments ---------------------------------------------------------------------------------------------------- */

void xw_tcp_note_dsack(struct xw_tcp *c, struct xw_seq lo, uint32_t len) {
    if (c->sack_on && len && c->dsack_cnt < XW_TCP_DSACKS)
        c->dsack[c->dsack_cnt++] = (struct xw_tcp_sack){ lo, xw_seq_add(lo, len) };
}

/* A receiver that sends nothing but ACKs has no timeout of its own that would show that they do not arrive; what shows it
 * is a peer that sends the same again and again. */
#define DUP_RUN_MAX 3u
void xw_tcp_came_twice(struct xw_tcp *c) {
    if (c->dup_run <= DUP_RUN_MAX && ++c->dup_run == DUP_RUN_MAX && c->opts.advice_retries)
        xw_tcp_event(c, XW_TCP_EV_ADVICE);
}

/* RFC 2883 4.2: the first stretch of [lo, hi) that a range holds already. */
static void dsack_overlap(struct xw_tcp *c, uint64_t lo, uint64_t hi) {
    for (uint32_t i = 0; i < c->ooo_cnt; i++) {
        uint64_t a = c->ooo[i].lo > lo ? c->ooo[i].lo : lo, b = c->ooo[i].hi < hi ? c->ooo[i].hi : hi;
        if (a < b) {
            xw_tcp_note_dsack(c, xw_seq_add(c->rcv_nxt, (uint32_t)(a - c->rcv->tail)), (uint32_t)(b - a));
            return;
        }
    }
}

static void fin_in_order(struct xw_tcp *c, uint64_t now) {
    c->fin_rcvd = true;
    c->rcv_nxt = xw_seq_add(c->rcv_nxt, 1);
    c->ack_now = true;
    xw_tcp_event(c, XW_TCP_EV_READABLE);
    switch (c->state) {
    case XW_TCP_ESTABLISHED:
        xw_tcp_set_state(c, XW_TCP_CLOSE_WAIT);
        break;
    case XW_TCP_FIN_WAIT_1: /* our FIN is not acknowledged, or this segment's ACK would have moved us on */
        xw_tcp_set_state(c, XW_TCP_CLOSING);
        break;
    case XW_TCP_FIN_WAIT_2:
        xw_tcp_enter_time_wait(c, now);
        break;
    case XW_TCP_SYN_SENT: case XW_TCP_SYN_RCVD: case XW_TCP_CLOSE_WAIT: case XW_TCP_LAST_ACK: case XW_TCP_CLOSING:
    case XW_TCP_TIME_WAIT: case XW_TCP_CLOSED:
        XW_ASSERT(c->fin_known && !c->fin_known); /* no such state receives a FIN in order */
        break;
    }
}

/* Moves the left edge up to off. */
static void advance(struct xw_tcp *c, uint64_t off) {
    uint32_t n = (uint32_t)(off - c->rcv->tail);
    xw_bytering_commit(c->rcv, n);
    c->rcv_nxt = xw_seq_add(c->rcv_nxt, n);
    c->st.bytes_in += n;
    c->dup_run = 0;
    xw_tcp_event(c, XW_TCP_EV_READABLE);
}

/* Takes [lo, hi), already cut to tail … head + cap. */
static enum xw_drop take(struct xw_tcp *c, uint64_t lo, uint64_t hi, const uint8_t *src, const struct xw_rxstamp *stamp,
                         uint64_t now) {
    uint32_t first, last;
    touching(c, lo, hi, &first, &last);
    bool in_order = lo == c->rcv->tail, holes = c->ooo_cnt > 0;
    if (!in_order && first == last && c->ooo_cnt == c->stk->cfg.ooo_ranges) {
        ack_at_once(c, true);
        return XW_DROP_TCP_OOO_FULL;
    }
    dsack_overlap(c, lo, hi);
    uint64_t fresh = store(c, lo, hi, src, stamp);
    struct xw_tcp_range r = { .lo = lo, .hi = hi, .serial = ++c->ooo_serial };
    if (first < last) {
        r.lo = c->ooo[first].lo < lo ? c->ooo[first].lo : lo;
        r.hi = c->ooo[last - 1].hi > hi ? c->ooo[last - 1].hi : hi;
    }
    replace(c, first, last, &r, !in_order);
    if (in_order)
        advance(c, r.hi);
    else
        c->st.ooo_segs++;
    if (in_order && !holes)
        xw_tcp_ack_policy(c, (uint32_t)(hi - lo), now);
    else /* RFC 5681 4.2: out of order, or it fills a hole */
        ack_at_once(c, !in_order);
    if (!fresh) {
        c->st.dup_segs++;
        return XW_DROP_TCP_DUP;
    }
    return XW_DROP_NONE;
}

/* Remembers where the peer's stream ends. A FIN that contradicts what is known or already received is ignored. */
static bool fin_at(struct xw_tcp *c, uint64_t off) {
    uint64_t high = c->ooo_cnt ? c->ooo[c->ooo_cnt - 1].hi : c->rcv->tail;
    if (c->fin_known ? off != c->fin_off : off < high)
        return false;
    c->fin_known = true;
    c->fin_off = off;
    return true;
}

enum xw_drop xw_tcp_data_in(struct xw_tcp *c, struct xw_seq seq, struct xw_span data, bool fin,
                            const struct xw_rxstamp *stamp, uint64_t now) {
    if (!data.len && !fin)
        return XW_DROP_NONE;
    c->owes = false;
    if (c->fin_rcvd) { /* RFC 9293 3.10.7.4, seventh: should not occur; a repeated FIN is only acknowledged */
        ack_at_once(c, true);
        bool again = xw_seq_le(xw_seq_add(seq, (uint32_t)data.len + fin), c->rcv_nxt);
        return again ? XW_DROP_TCP_DUP : XW_DROP_TCP_AFTER_FIN;
    }
    uint64_t tail = c->rcv->tail, limit = tail + xw_tcp_rcv_room(c);
    uint64_t lo = tail + (uint64_t)(int64_t)xw_seq_diff(seq, c->rcv_nxt);
    enum xw_drop d = XW_DROP_NONE;
    if ((int64_t)(lo - tail) < 0) { /* the front was received before */
        uint64_t old = tail - lo < data.len ? tail - lo : data.len;
        xw_tcp_note_dsack(c, seq, (uint32_t)old);
        data = xw_span_from(data, old);
        lo += old;
        ack_at_once(c, !data.len && !fin);
        if (!data.len) {
            xw_tcp_came_twice(c);
            c->st.dup_segs += old > 0;
            d = XW_DROP_TCP_DUP;
        }
    }
    if (fin && ((int64_t)(lo + data.len - tail) < 0 || !fin_at(c, lo + data.len)))
        fin = false, d = XW_DROP_TCP_AFTER_FIN;
    if (data.len && c->fin_known && lo + data.len > c->fin_off) {
        ack_at_once(c, true);
        return XW_DROP_TCP_AFTER_FIN;
    }
    if (data.len && lo + data.len > limit) {
        ack_at_once(c, false);
        d = XW_DROP_TCP_WINDOW;
        data.len = lo < limit ? (size_t)(limit - lo) : 0;
    }
    if (data.len) {
        enum xw_drop t = take(c, lo, lo + data.len, data.p, stamp, now);
        d = d == XW_DROP_NONE ? t : d;
    }
    if (c->fin_known && c->rcv->tail == c->fin_off)
        fin_in_order(c, now);
    else if (fin)
        ack_at_once(c, true);
    return d;
}
