/* tests/sim/wire.c: every packet that a host sends is well-formed, its payload is what the application wrote at that
 * offset, and what it says of itself never goes back: acknowledgments and the right edge of the window. */
#include "wire/ip4.h"
#include "world.h"

static void digest(struct sim_world *w, unsigned h, const uint8_t *p, uint32_t len) {
    uint64_t d = w->digest ^ w->now * 2 ^ h ^ (uint64_t)len << 40;
    for (uint32_t i = 0; i < len && i < 80; i++)
        d = (d ^ p[i]) * 0x100000001b3u;
    w->digest = d ^ d >> 29;
}

static void tell(const struct sim_world *w, unsigned h, const struct xw_tcp_hdr *t, uint32_t len) {
    printf("%14" PRIu64 " %u > %s%s%s%s%s %u:%u seq %u ack %u len %u win %u opts %02x sacks %u\n", w->now, h,
           t->flags & XW_TCP_SYN ? "S" : "", t->flags & XW_TCP_FIN ? "F" : "", t->flags & XW_TCP_RST ? "R" : "",
           t->flags & XW_TCP_PSH ? "P" : "", t->flags & XW_TCP_ACK ? "A" : "", t->src_port, t->dst_port, t->seq.v,
           t->ack.v, len, t->window, t->opts, t->sack_cnt);
}

/* The conversation of a segment of host h, and which side of it h is. */
static struct sim_talk *talk_of(struct sim_world *w, unsigned h, const struct xw_tcp_hdr *t, unsigned *side) {
    struct sim_talk *found = NULL;
    for (unsigned i = 0; i < w->plan.talks; i++) {
        struct sim_talk *k = &w->plan.talk[i];
        if (!k->begun || (found && found->begun > k->begun))
            continue;
        bool simul = k->kind == SIM_SIMUL;
        uint16_t other = simul ? (uint16_t)(k->port + 1) : SIM_PORT;
        if (k->end[0].host == h && k->port == t->src_port && other == t->dst_port)
            found = k, *side = 0;
        if (k->end[1].host == h && k->port == t->dst_port && other == t->src_port)
            found = k, *side = 1;
    }
    return found;
}

static const struct xw_tcp *conn_of(struct sim_world *w, unsigned h, const struct xw_tcp_hdr *t) {
    const struct xw_tcp_tuple tuple = { SIM_IP(h), SIM_IP(!h), t->src_port, t->dst_port };
    return xw_tcp_demux_find(w->host[h].s->tcp, &tuple);
}

static void payload(struct sim_world *w, const struct sim_talk *k, unsigned side, const struct xw_tcp_hdr *t,
                    struct xw_span data) {
    const struct sim_end *e = &k->end[side];
    uint32_t off = xw_seq_dist(t->seq, xw_seq_add(e->iss, 1));
    SIM_TRUE(w, !data.len || off + data.len <= e->sent);
    for (size_t i = 0; i < data.len; i++)
        if (data.p[i] != sim_octet(k->id, side, off + i))
            SIM_FAIL(w, "talk %u end %u sends a wrong octet at %zu", k->id, side, off + i);
}

/* The right edge may only seem to go back by what a shift cannot say. */
static void monotonic(struct sim_world *w, struct sim_end *e, const struct xw_tcp_hdr *t, const struct xw_tcp *c) {
    if (!(t->flags & XW_TCP_ACK) || (t->flags & (XW_TCP_SYN | XW_TCP_RST)))
        return;
    struct xw_seq edge = xw_seq_add(t->ack, (uint32_t)t->window << c->rcv_wscale);
    SIM_TRUE(w, xw_seq_ge(t->ack, e->ack));
    SIM_TRUE(w, xw_seq_ge(edge, xw_seq_sub(e->edge, (1u << c->rcv_wscale) - 1)));
    e->ack = t->ack;
    e->edge = xw_seq_max(e->edge, edge);
}

static void segment(struct sim_world *w, unsigned h, const struct xw_tcp_hdr *t, struct xw_span data) {
    unsigned side = 0;
    struct sim_talk *k = talk_of(w, h, t, &side);
    const struct xw_tcp *c = conn_of(w, h, t);
    if (w->story)
        tell(w, h, t, (uint32_t)data.len);
    if (!k || !c) {
        SIM_TRUE(w, !data.len); /* nothing but answers to what nobody knows */
        return;
    }
    struct sim_end *e = &k->end[side];
    if (t->flags & XW_TCP_SYN && (!e->iss_known || !xw_seq_eq(e->iss, t->seq))) {
        e->iss_known = true;
        e->iss = t->seq;
        e->ack = e->edge = c->state == XW_TCP_SYN_SENT ? xw_seq(0) : c->rcv_nxt;
    }
    if (!e->iss_known || !xw_seq_eq(e->iss, c->iss))
        return; /* of a connection before this one on the same ports */
    if (c->state == XW_TCP_SYN_SENT || (t->flags & XW_TCP_SYN))
        return;
    if (xw_seq_eq(e->ack, xw_seq(0)))
        e->ack = e->edge = t->ack;
    payload(w, k, side, t, data);
    monotonic(w, e, t, c);
}

void sim_wire_sent(struct sim_world *w, unsigned h, const uint8_t *pkt, uint32_t len) {
    const struct xw_stack_cfg *cfg = &w->host[h].plan->cfg;
    uint32_t l2 = cfg->ethernet ? 14 : 0;
    struct xw_ip4_hdr ip;
    struct xw_tcp_hdr t;
    digest(w, h, pkt, len);
    if (l2 && (pkt[12] != 8 || pkt[13] != 0))
        return; /* ARP */
    struct xw_span p = xw_span(pkt + l2, len - l2);
    SIM_TRUE(w, xw_ip4_parse(p, true, &ip) == XW_DROP_NONE);
    SIM_TRUE(w, ip.src == SIM_IP(h) && ip.dst == SIM_IP(!h) && ip.proto == XW_IP4_PROTO_TCP && !ip.mf && !ip.frag_off);
    SIM_TRUE(w, ip.total_len <= cfg->mtu && (l2 || ip.total_len == len));
    struct xw_span seg = xw_ip4_payload(p, &ip);
    SIM_TRUE(w, xw_tcp_parse(seg, ip.src, ip.dst, true, &t) == XW_DROP_NONE);
    segment(w, h, &t, xw_span_from(seg, t.hdr_len));
}
