/* tests/sim/event.c: what happens to a run beside packets: the path's MTU changes, the wire goes down, a host loses all it
 * knew, somebody off the path forges segments. */
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/icmp4.h"
#include "wire/ip4.h"
#include "world.h"

static const uint8_t router_mac[6] = { 2, 0, 0, 0, 0, 0xfe };

/* Headers in front of what stands behind them in b; returns the packet's length. */
static uint32_t packet(const struct sim_world *w, unsigned to, uint8_t *b, uint32_t src, uint8_t proto, uint32_t len) {
    const struct xw_stack_cfg *cfg = &w->host[to].plan->cfg;
    uint32_t l2 = cfg->ethernet ? 14 : 0;
    struct xw_ip4_hdr ip = { .src = src, .dst = SIM_IP(to), .hdr_len = 20, .total_len = (uint16_t)(20 + len), .ttl = 60,
                             .proto = proto };
    if (l2) {
        memcpy(b, cfg->mac, 6);
        memcpy(b + 6, router_mac, 6);
        b[12] = 8, b[13] = 0;
    }
    xw_ip4_emit(xw_mspan(b + l2, 20), &ip);
    return l2 + 20 + len;
}

static uint8_t *body(const struct sim_world *w, unsigned to, uint8_t *b) {
    return b + (w->host[to].plan->cfg.ethernet ? 34 : 20);
}

/* ---- path MTU ---------------------------------------------------------------------------------------------------- */

static void icmp_to(struct sim_world *w, unsigned h, const struct xw_icmp4_hdr *icmp, const uint8_t *quote, uint32_t len) {
    uint8_t b[128];
    uint8_t *m = body(w, h, b);
    memcpy(m + XW_ICMP4_LEN, quote, len);
    xw_icmp4_emit(xw_mspan(m, XW_ICMP4_LEN + len), icmp, len);
    uint32_t n = packet(w, h, b, SIM_ROUTER, XW_IP4_PROTO_ICMP, XW_ICMP4_LEN + len);
    sim_link_send(&w->link[!h], b, n, w->now); /* may be lost as well */
}

void sim_event_too_big(struct sim_world *w, unsigned h, const uint8_t *pkt, uint32_t len) {
    uint32_t l2 = w->host[h].plan->cfg.ethernet ? 14 : 0;
    struct xw_icmp4_hdr icmp = { .type = XW_ICMP4_UNREACH, .code = XW_ICMP4_UR_FRAG, .rest = w->link[h].mtu };
    if (!w->heal_at && len >= l2 + 28)
        icmp_to(w, h, &icmp, pkt + l2, 28);
}

static void mtu_change(struct sim_world *w, const struct sim_event *e) {
    w->link[0].mtu = w->link[1].mtu = e->mtu;
    w->heal_at = e->icmp ? 0 : w->now + e->len_ns;
}

void sim_event_heal(struct sim_world *w) {
    w->heal_at = 0;
    w->link[0].mtu = w->link[1].mtu = w->plan.mtu;
    w->progress_ns = w->now;
}

/* ---- restart ----------------------------------------------------------------------------------------------------- */

static void restart(struct sim_world *w, unsigned h) {
    for (unsigned i = 0; i < w->plan.talks; i++) {
        struct sim_talk *t = &w->plan.talk[i];
        if (!t->begun)
            continue;
        t->hurt |= !sim_talk_over(t);
        for (unsigned side = 0; side < 2; side++)
            if (t->end[side].host == h && !t->end[side].over && (side || t->end[side].fd >= 0)) {
                t->end[side].fd = -1;
                t->end[side].over = true;
            }
        if (t->end[0].over && t->end[1].fd < 0)
            t->end[1].wake = w->now + 100 * XW_NS_PER_S;
        t->end[0].iss_known = t->end[1].iss_known = false; /* what comes now may be another connection */
    }
    sim_host_stop(w, h);
    w->host[h].restarts++;
    w->restarts++;
    sim_host_start(w, h);
    w->progress_ns = w->now;
}

/* ---- forgeries --------------------------------------------------------------------------------------------------- */

static bool established(const struct sim_world *w, const struct sim_talk *t) {
    uint16_t far = t->kind == SIM_SIMUL ? (uint16_t)(t->port + 1) : SIM_PORT;
    unsigned h = t->end[0].host;
    const struct xw_tcp_tuple a = { SIM_IP(h), SIM_IP(!h), t->port, far }, b = { SIM_IP(!h), SIM_IP(h), far, t->port };
    const struct xw_tcp *c = xw_tcp_demux_find(w->host[h].s->tcp, &a), *d = xw_tcp_demux_find(w->host[!h].s->tcp, &b);
    return t->begun && c && d && c->state == XW_TCP_ESTABLISHED && d->state == XW_TCP_ESTABLISHED;
}

static struct xw_tcp *conn_of(const struct sim_world *w, const struct sim_talk *t, unsigned victim) {
    uint16_t far = t->kind == SIM_SIMUL ? (uint16_t)(t->port + 1) : SIM_PORT;
    bool client = victim == t->end[0].host;
    const struct xw_tcp_tuple at = { SIM_IP(victim), SIM_IP(!victim), client ? t->port : far, client ? far : t->port };
    return xw_tcp_demux_find(w->host[victim].s->tcp, &at);
}

static void inject(struct sim_world *w, unsigned victim, const struct xw_tcp_hdr *h, uint32_t data) {
    uint8_t b[256];
    uint8_t *seg = body(w, victim, b);
    uint32_t n = xw_tcp_emit(h, xw_mspan(seg, 60));
    memset(seg + n, 0x66, data);
    xw_tcp_set_checksum(xw_mspan(seg, n + data), SIM_IP(!victim), SIM_IP(victim));
    sim_host_input(w, victim, b, packet(w, victim, b, SIM_IP(!victim), XW_IP4_PROTO_TCP, n + data));
}

/* What a segment to this connection must bear at least. */
static struct xw_tcp_hdr likely(struct sim_world *w, const struct xw_tcp *c) {
    struct xw_tcp_hdr h = { .src_port = c->tuple.remote_port, .dst_port = c->tuple.local_port, .seq = c->rcv_nxt,
                            .ack = c->snd_una, .flags = XW_TCP_ACK, .window = (uint16_t)(c->snd_wnd >> c->snd_wscale) };
    if (c->ts_on) {
        h.opts = XW_TCP_OPT_TS;
        h.ts_val = c->ts_recent + (uint32_t)sim_below(&w->rng, 1u << 30); /* the worst: one that passes */
    }
    return h;
}

/* Who does not see the packets knows addresses and ports at best: sequence numbers are guessed, and a guess within a
 * window is one in thousands, so they are kept away from it here. */
static void forge_segment(struct sim_world *w, const struct sim_talk *t, unsigned victim) {
    static const uint8_t kinds[] = { XW_TCP_RST, XW_TCP_SYN, XW_TCP_ACK, XW_TCP_FIN | XW_TCP_ACK, XW_TCP_RST | XW_TCP_ACK,
                                     XW_TCP_SYN | XW_TCP_ACK, XW_TCP_ACK | XW_TCP_PSH, 0, 0xff };
    const struct xw_tcp *c = conn_of(w, t, victim);
    uint32_t away = (uint32_t)sim_pick(&w->rng, 1u << 24, (1u << 31) - (1u << 24)), wnd = xw_tcp_rcv_room(c);
    struct xw_tcp_hdr h = likely(w, c);
    h.flags = kinds[sim_below(&w->rng, sizeof kinds)];
    h.ack = xw_seq((uint32_t)sim_u64(&w->rng));
    h.seq = xw_seq_add(c->rcv_nxt, sim_below(&w->rng, 2) ? away : 0u - away);
    if (h.flags & (XW_TCP_RST | XW_TCP_SYN) && sim_below(&w->rng, 2) && wnd > 1)
        h.seq = xw_seq_add(c->rcv_nxt, (uint32_t)sim_pick(&w->rng, 1, wnd - 1)); /* a lucky guess: RFC 5961 */
    inject(w, victim, &h, (uint32_t)sim_below(&w->rng, 100));
}

/* A peer that lies: what it reports was never sent, or lies before what it acknowledged. */
static void forge_sack(struct sim_world *w, const struct sim_talk *t, unsigned victim) {
    const struct xw_tcp *c = conn_of(w, t, victim);
    struct xw_tcp_hdr h = likely(w, c);
    uint32_t flight = xw_seq_dist(c->snd_nxt, c->snd_una);
    if (!c->sack_on || !c->snd_wnd)
        return;
    h.ts_val = c->ts_recent; /* what is in the window and from the future would end it, by RFC 7323 */
    h.opts |= XW_TCP_OPT_SACK;
    h.sack_cnt = c->ts_on ? 3 : 4;
    h.sack[3] = (struct xw_tcp_sack){ c->snd_una, c->snd_una };
    h.sack[0].lo = xw_seq_add(c->snd_una, (uint32_t)sim_below(&w->rng, flight + 1));
    h.sack[0].hi = xw_seq_add(c->snd_nxt, 1 + (uint32_t)sim_below(&w->rng, 1u << 30));
    h.sack[1].lo = xw_seq_sub(c->snd_una, 1 + (uint32_t)sim_below(&w->rng, 1u << 30));
    h.sack[1].hi = xw_seq_add(c->snd_una, (uint32_t)sim_below(&w->rng, flight + 1));
    h.sack[2].lo = h.sack[0].hi;
    h.sack[2].hi = xw_seq_add(c->snd_una, (uint32_t)sim_below(&w->rng, flight + 1)); /* backwards */
    inject(w, victim, &h, 0);
}

/* RFC 5927: an error that quotes a sequence number that is not in flight. */
static void forge_icmp(struct sim_world *w, const struct sim_talk *t, unsigned victim) {
    const struct xw_tcp *c = conn_of(w, t, victim);
    uint8_t q[28], b[128];
    struct xw_ip4_hdr ip = { .src = SIM_IP(victim), .dst = SIM_IP(!victim), .hdr_len = 20, .total_len = 1400, .ttl = 60,
                             .proto = XW_IP4_PROTO_TCP };
    struct xw_icmp4_hdr icmp = { .type = XW_ICMP4_UNREACH, .code = (uint8_t)sim_below(&w->rng, 6), .rest = 68 };
    uint32_t mtu = c->path_mtu;
    int error = c->soft_error;
    xw_ip4_emit(xw_mspan(q, 20), &ip);
    xw_put_be16(q + 20, c->tuple.local_port);
    xw_put_be16(q + 22, c->tuple.remote_port);
    xw_put_be32(q + 24, c->snd_nxt.v + (uint32_t)sim_below(&w->rng, 1u << 30));
    uint8_t *m = body(w, victim, b);
    memcpy(m + XW_ICMP4_LEN, q, sizeof q);
    xw_icmp4_emit(xw_mspan(m, XW_ICMP4_LEN + sizeof q), &icmp, sizeof q);
    sim_host_input(w, victim, b, packet(w, victim, b, SIM_ROUTER, XW_IP4_PROTO_ICMP, XW_ICMP4_LEN + sizeof q));
    SIM_TRUE(w, c->path_mtu == mtu && c->soft_error == error);
}

static void attack(struct sim_world *w) {
    for (unsigned i = 0; i < w->plan.talks; i++) {
        const struct sim_talk *t = &w->plan.talk[i];
        for (unsigned n = 0; n < 40 && established(w, t); n++) {
            forge_segment(w, t, n & 1);
            if (established(w, t))
                forge_icmp(w, t, n & 1);
            if (established(w, t))
                forge_sack(w, t, n & 1);
        }
    }
}

void sim_event_do(struct sim_world *w, const struct sim_event *e) {
    if (w->story)
        printf("%14" PRIu64 " event %d host %u mtu %u icmp %d for %" PRIu64 "\n", w->now, e->kind, e->host, e->mtu, e->icmp,
               e->len_ns);
    switch (e->kind) {
    case SIM_EV_MTU:
        mtu_change(w, e);
        break;
    case SIM_EV_OUTAGE:
        w->link[e->host].down_until = w->now + e->len_ns;
        w->progress_ns = w->now + e->len_ns;
        break;
    case SIM_EV_RESTART:
        restart(w, e->host);
        break;
    case SIM_EV_ATTACK:
        attack(w);
        break;
    }
}
