/* tcp/fast.c: see the header. What is not decided by a comparison here is decided by the function that decides it for
 * xw_tcp_input too: an ACK that moves something is ack.c's, when to acknowledge is reassembly.c's. */
#include "tcp/fast.h"
#include "tcp/tcp_priv.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include <string.h>

#define TS_LEN 12u
/* NOP, NOP, kind 8, length 10: RFC 7323 appendix A */
static const uint8_t ts_head[4] = { 1, 1, 8, 10 };

/* Timestamps as agreed: the option and nothing else, or none; not older than the last. */
static bool options_fit(const struct xw_tcp *c, const uint8_t *h, uint32_t hdr_len) {
    if (!c->ts_on)
        return hdr_len == XW_TCP_HDR_MIN;
    return hdr_len == XW_TCP_HDR_MIN + TS_LEN && !memcmp(h + XW_TCP_HDR_MIN, ts_head, sizeof ts_head) &&
           (int32_t)(xw_get_be32(h + 24) - c->ts_recent) >= 0;
}

/* The state that the straight line is for. */
static bool state_fits(const struct xw_tcp *c, uint32_t len) {
    return c->state == XW_TCP_ESTABLISHED && !c->ooo_cnt && !c->fin_known && !c->rcv_closed && c->stk->cfg.fast_path &&
           len && len <= xw_tcp_rcv_room(c);
}

/* The peer's ACK or window says something new: as in_synchronized of in.c does it. */
static void ack_moved(struct xw_tcp *c, const uint8_t *h, struct xw_span data, uint64_t now) {
    struct xw_tcp_rx rx = { .data = data, .now = now };
    rx.h = (struct xw_tcp_hdr){ .seq = xw_seq(xw_get_be32(h + 4)), .ack = xw_seq(xw_get_be32(h + 8)), .flags = h[13],
                                .window = xw_get_be16(h + 14) };
    if (c->ts_on) {
        rx.h.opts = XW_TCP_OPT_TS;
        rx.h.ts_val = xw_get_be32(h + 24);
        rx.h.ts_ecr = xw_get_be32(h + 28);
    }
    enum xw_drop d = xw_tcp_ack_in(c, &rx);
    XW_ASSERT(d == XW_DROP_NONE && c->state == XW_TCP_ESTABLISHED); /* in the window, and our FIN is not out */
    (void)d;
}

bool xw_tcp_fast_in(struct xw_tcp *c, struct xw_span seg, uint64_t pseudo, bool verify, uint64_t now_ns,
                    struct xw_span *data) {
    const uint8_t *h = seg.p;
    uint32_t hdr_len = (uint32_t)(h[12] >> 4) * 4;
    if (seg.len <= hdr_len || !options_fit(c, h, hdr_len) || (h[13] & ~XW_TCP_PSH) != XW_TCP_ACK ||
        !state_fits(c, (uint32_t)seg.len - hdr_len))
        return false;
    struct xw_seq seq = xw_seq(xw_get_be32(h + 4)), ack = xw_seq(xw_get_be32(h + 8));
    if (!xw_seq_eq(seq, c->rcv_nxt) || xw_seq_lt(ack, c->snd_una) || xw_seq_gt(ack, c->snd_nxt))
        return false;
    if (verify && xw_csum_fold(xw_csum_add(pseudo, h, seg.len)))
        return false;
    *data = xw_span(h + hdr_len, seg.len - hdr_len);
    c->st.segs_in++;
    c->idle_ns = now_ns - c->last_rx_ns;
    c->last_rx_ns = now_ns;
    if (c->ts_on && xw_seq_le(seq, c->last_ack_sent)) { /* RFC 7323 4.3 (2) */
        c->ts_recent = xw_get_be32(h + 24);
        c->ts_recent_ns = now_ns;
    }
    if (xw_seq_eq(ack, c->snd_una) && (uint32_t)xw_get_be16(h + 14) << c->snd_wscale == c->snd_wnd && c->snd_wnd)
        c->wl1 = seq, c->wl2 = ack;
    else
        ack_moved(c, h, *data, now_ns);
    c->rcv_nxt = xw_seq_add(seq, (uint32_t)data->len);
    c->st.bytes_in += data->len;
    c->st.fast_hits++;
    c->dup_run = 0;
    c->owes = false; /* whatever the segment before left */
    xw_tcp_ack_policy(c, (uint32_t)data->len, now_ns);
    xw_tcp_kick(c);
    return true;
}

void xw_tcp_fast_put(struct xw_tcp *c, struct xw_span data, size_t used, const struct xw_rxstamp *stamp) {
    struct xw_bytering *r = c->rcv;
    XW_ASSERT(!used || r->head == r->tail);
    r->tail += used;
    r->head += used;
    data = xw_span_from(data, used);
    if (!data.len)
        return;
    xw_bytering_write(r, data.p, data.len);
    xw_tcp_stamp_put(c, r->tail, stamp);
    xw_tcp_event(c, XW_TCP_EV_READABLE);
}

void xw_tcp_fast_prefetch(const struct xw_tcp *c) {
    const uint8_t *p = (const uint8_t *)c;
    for (size_t at = 0; at < sizeof *c; at += 64)
        __builtin_prefetch(p + at, 1);
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

struct xw_tcp *xw_tcp_fast_turn(const struct xw_tcp_stack *s) {
    struct xw_tcp_link *l = s->out_list.next;
    if (s->reply_cnt || l == &s->out_list)
        return NULL;
    return (struct xw_tcp *)(void *)((uint8_t *)l - offsetof(struct xw_tcp, out_link));
}

/* Queued and never sent. */
static uint64_t unsent(const struct xw_tcp *c) { return c->snd->tail - xw_tcp_off_of(c, c->snd_nxt); }

static uint32_t header_len(const struct xw_tcp *c) { return XW_TCP_HDR_MIN + (c->ts_on ? TS_LEN : 0); }

/* As out_new of out.c decides it. */
static bool may_leave(const struct xw_tcp *c, uint64_t len) {
    int32_t usable = xw_seq_diff(xw_seq_add(c->snd_una, c->snd_wnd), c->snd_nxt);
    uint32_t pipe = xw_tcp_pipe(c), cap = c->stk->cfg.tx_records;
    return len <= xw_tcp_mss_now(c) && usable > 0 && len <= (uint32_t)usable && c->rec_cnt < cap - cap / 4 &&
           (!pipe || pipe + len <= c->cc.cwnd) && (c->opts.nodelay || !c->rec_cnt);
}

uint32_t xw_tcp_fast_len(const struct xw_tcp *c) {
    if (c->state != XW_TCP_ESTABLISHED || !c->stk->cfg.fast_path || c->ca != XW_TCP_CA_OPEN || c->lost_bytes || c->ooo_cnt ||
        c->dsack_cnt || c->acks_owed > 1 || c->probe_due || c->keep_due || c->tlp_due || c->fin_queued || !c->snd_wnd ||
        !c->df)
        return 0;
    uint64_t len = unsent(c);
    if (len ? !may_leave(c, len) : !c->ack_now)
        return 0;
    return header_len(c) + (uint32_t)len;
}

/* New data is in flight: as out_new of out.c has it. */
static void sent(struct xw_tcp *c, uint32_t len, uint64_t now) {
    xw_tcp_after_idle(c, now); /* whether it may leave does not depend on it: after a pause nothing is in flight */
    uint32_t pipe = xw_tcp_pipe(c);
    *xw_tcp_rec_push(c) = (struct xw_tcp_rec){ .lo = c->snd_nxt, .len = len, .sent_ns = now };
    c->snd_nxt = xw_seq_add(c->snd_nxt, len);
    if (len < xw_tcp_mss_now(c))
        c->snd_small = c->snd_nxt;
    c->st.bytes_out += len;
    xw_tcp_note_usage(c, pipe + len);
    c->last_tx_ns = now;
    xw_tcp_timer_set(c, XW_TCP_T_TLP, XW_NEVER);
    xw_tcp_timer_rearm_tx(c, false, now);
}

void xw_tcp_fast_emit(struct xw_tcp *c, uint64_t now_ns, uint8_t *out) {
    uint32_t hdr_len = header_len(c), len = (uint32_t)unsent(c);
    xw_put_be16(out, c->tuple.local_port);
    xw_put_be16(out + 2, c->tuple.remote_port);
    xw_put_be32(out + 4, c->snd_nxt.v);
    xw_put_be32(out + 8, c->rcv_nxt.v);
    out[12] = (uint8_t)(hdr_len / 4 << 4);
    out[13] = len ? XW_TCP_ACK | XW_TCP_PSH : XW_TCP_ACK;
    xw_put_be16(out + 14, xw_tcp_window(c, false));
    xw_put_be32(out + 16, 0); /* checksum, urgent pointer */
    if (c->ts_on) {
        memcpy(out + 20, ts_head, sizeof ts_head);
        xw_put_be32(out + 24, xw_tcp_ts_now(c, now_ns));
        xw_put_be32(out + 28, c->ts_recent);
    }
    if (len) {
        xw_bytering_copy(c->snd, xw_tcp_off_of(c, c->snd_nxt), out + hdr_len, len);
        sent(c, len, now_ns);
    }
    xw_tcp_set_checksum(xw_mspan(out, hdr_len + len), c->tuple.local_ip, c->tuple.remote_ip);
    c->acks_owed = 0;
    c->ack_now = false;
    c->rcv_unacked = 0;
    c->last_ack_sent = c->rcv_nxt;
    c->timer[XW_TCP_T_ACK] = XW_NEVER;
    c->st.segs_out++;
    xw_tcp_link_remove(&c->out_link);
}

struct xw_tcp *xw_tcp_fast_conn(const struct xw_tcp_stack *s, uint32_t src_ip, uint32_t dst_ip, struct xw_span seg) {
    const struct xw_tcp_tuple t = { dst_ip, src_ip, xw_get_be16(seg.p + 2), xw_get_be16(seg.p) };
    return xw_tcp_demux_find(s, &t);
}
