/* tcp/icmp.c: what ICMP errors do. Anybody can forge one: it counts only if it quotes a sequence number in flight
 * (RFC 5927 4.1), and once the connection is established it is no more than a hint (5.2); the path MTU alone acts at
 * once. */
#include "tcp/tcp_priv.h"

/* RFC 1191 7.1, for routers that do not say their MTU. */
static uint32_t plateau_below(uint32_t mtu) {
    static const uint16_t plateaus[] = { 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68 };
    for (unsigned i = 0; i < sizeof plateaus / sizeof *plateaus; i++)
        if (plateaus[i] < mtu)
            return plateaus[i];
    return XW_MTU_MIN;
}

/* Below this the packets go out with fragmentation allowed instead: nobody can make us send crumbs (as RFC 5927 7.2
 * asks for some floor); 552 is what Linux keeps to, links with less have all but died out. */
#define PATH_MTU_FLOOR 552u

static void shrink(struct xw_tcp *c, uint32_t mtu, uint64_t now) {
    if (mtu < PATH_MTU_FLOOR) {
        c->df = false;
        mtu = c->path_mtu < PATH_MTU_FLOOR ? c->path_mtu : PATH_MTU_FLOOR;
    }
    c->path_mtu = mtu;
    uint32_t limit = xw_tcp_mss_now(c), lost = c->lost_bytes;
    for (uint32_t i = 0; i < c->rec_cnt; i++) {
        struct xw_tcp_rec *r = xw_tcp_rec_at(c, i);
        if (r->len > limit)
            xw_tcp_rec_mark_lost(c, r); /* cut anew; not a sign of congestion, cwnd stays */
    }
    c->fast_rtx = c->fast_rtx || c->lost_bytes > lost;
    if (xw_tcp_can_send(c->state)) /* the timer of a SYN runs on */
        xw_tcp_timer_rearm_tx(c, true, now);
    xw_tcp_kick(c);
}

static void frag_needed(struct xw_tcp *c, uint32_t mtu, uint64_t now) {
    if (mtu < XW_MTU_MIN)
        mtu = plateau_below(c->path_mtu);
    if (mtu < c->path_mtu)
        shrink(c, mtu, now);
}

/* More than before: the next segments are longer, up to the MSS of the peer; what is in flight stays as it is. */
void xw_tcp_set_mtu(struct xw_tcp *c, uint32_t mtu, uint64_t now_ns) {
    if (mtu < XW_MTU_MIN || mtu > UINT16_MAX || mtu == c->path_mtu || c->state == XW_TCP_CLOSED ||
        c->state == XW_TCP_TIME_WAIT)
        return;
    if (mtu < c->path_mtu) {
        shrink(c, mtu, now_ns);
        return;
    }
    c->path_mtu = mtu;
    c->df = true;
    xw_tcp_kick(c);
}

static void unreachable(struct xw_tcp *c, enum xw_tcp_icmp kind) {
    bool refused = kind == XW_TCP_ICMP_PORT || kind == XW_TCP_ICMP_PROTO || kind == XW_TCP_ICMP_ADMIN;
    int error = refused ? XW_EREFUSED : XW_EUNREACH;
    if (c->state == XW_TCP_SYN_SENT) /* RFC 5461 4.1: a user waits for this; better to try elsewhere */
        xw_tcp_close_now(c, error);
    else
        c->soft_error = error; /* the reason given, should the connection time out (RFC 9293 MUST-54, MUST-56) */
}

enum xw_drop xw_tcp_icmp_error(struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, struct xw_seq seq,
                               enum xw_tcp_icmp kind, uint32_t mtu, uint64_t now_ns) {
    struct xw_tcp *c = xw_tcp_demux_find(s, t);
    if (!c || c->state == XW_TCP_TIME_WAIT || xw_seq_lt(seq, c->snd_una) || xw_seq_ge(seq, c->snd_nxt))
        return xw_tcp_drop(s, XW_DROP_ICMP_QUOTE);
    if (kind == XW_TCP_ICMP_FRAG)
        frag_needed(c, mtu, now_ns);
    else
        unreachable(c, kind);
    return XW_DROP_NONE;
}
