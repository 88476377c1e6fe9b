/* tcp/stamps.c: which packet brought which octet. A sorted ring of marks {end, stamp}: a mark covers what lies
 * between the end of the mark before it and its own. Data that arrives out of order puts its mark behind, and what
 * fills the hole later slips in before it, so both keep the stamp of their own packet. When the ring is full the
 * oldest mark goes, and the octets it covered answer "not known": never another packet's time. */
#include "tcp/tcp_priv.h"

static struct xw_tcp_mark *at(const struct xw_tcp *c, uint32_t i) {
    return &c->mark[(c->mark_head + i) & (c->stk->cfg.stamp_marks - 1)];
}

void xw_tcp_stamp_put(struct xw_tcp *c, uint64_t end, const struct xw_rxstamp *stamp) {
    uint32_t cap = c->stk->cfg.stamp_marks;
    if (!cap)
        return;
    if (c->mark_cnt == cap) {
        if (end <= at(c, 0)->end) { /* older than all that is known */
            c->mark_floor = end > c->mark_floor ? end : c->mark_floor;
            return;
        }
        c->mark_floor = at(c, 0)->end;
        c->mark_head = (c->mark_head + 1) & (cap - 1);
        c->mark_cnt--;
    }
    uint32_t i = c->mark_cnt++;
    for (; i && at(c, i - 1)->end > end; i--)
        *at(c, i) = *at(c, i - 1);
    *at(c, i) = (struct xw_tcp_mark){ .end = end, .stamp = stamp ? *stamp : (struct xw_rxstamp){ 0 } };
}

bool xw_tcp_stamp(const struct xw_tcp *c, uint64_t off, struct xw_rxstamp *out) {
    if (off < c->mark_floor || !c->mark_cnt || at(c, c->mark_cnt - 1)->end <= off)
        return false;
    uint32_t lo = 0, hi = c->mark_cnt - 1; /* the first mark whose end is behind off */
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (at(c, mid)->end > off)
            hi = mid;
        else
            lo = mid + 1;
    }
    *out = at(c, lo)->stamp;
    return true;
}
