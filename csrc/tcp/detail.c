/* tcp/detail.c: what of a connection's inside can be looked at, beyond xw_tcp_info. */
#include "tcp/tcp_priv.h"

void xw_tcp_detail(const struct xw_tcp *c, struct xw_tcp_detail *out) {
    uint64_t ooo = 0;
    for (uint32_t i = 0; i < c->ooo_cnt; i++)
        ooo += c->ooo[i].hi - c->ooo[i].lo;
    bool syn = c->state == XW_TCP_SYN_SENT || c->state == XW_TCP_SYN_RCVD;
    bool open = xw_tcp_can_send(c->state) && c->snd && !c->fin_sent;
    *out = (struct xw_tcp_detail){
        .srtt_ns = c->srtt_ns, .rttvar_ns = c->rttvar_ns, .min_rtt_ns = c->min_rtt_ns == XW_NEVER ? 0 : c->min_rtt_ns,
        .rto_ns = xw_tcp_rto(c), .path_mtu = c->path_mtu, .ssthresh = c->cc.ssthresh, .sacked = c->sacked_bytes,
        .lost = c->lost_bytes, .ooo_bytes = (uint32_t)ooo, .ooo_ranges = c->ooo_cnt, .backoff = c->backoff,
        .retries = c->retries, .snd_wscale = c->snd_wscale, .rcv_wscale = c->rcv_wscale, .timestamps = c->ts_on,
        .sack = c->sack_on, .wscale = c->wscale_on,
        .soft_error = c->soft_error,
        .unsent = open ? (uint32_t)(c->snd->tail - xw_tcp_off_of(c, c->snd_nxt))
                       : syn && c->snd ? xw_bytering_len(c->snd) : 0,
    };
}
