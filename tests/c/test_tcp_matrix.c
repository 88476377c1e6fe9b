/* The state matrix: every state × what can arrive in it, as one table. A cell is what the stack does: the segments that it
 * sends in answer, and > the state that it enters, if another.
 *
 *     A        an ACK: our next sequence number, what we expect next          A+100   … which moved on by 100 octets
 *     R        a reset with the number that the segment acknowledged          RA      a reset that acknowledges it
 *     SA       the SYN-ACK (again)                                             wait    a SYN is kept for accept
 *     -        nothing
 *
 * Sequence numbers of a segment count from what we expect next, acknowledgments from our next one; both lie just below
 * 2^32. The receive window is 1024 octets; SACK and timestamps are off. */
#include "xt_tcp.h"

enum state { CLOSED, LISTEN, SYN_SENT, SYN_RCVD, ESTAB, FW1, FW2, CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT, STATES };
static const char *const names[STATES] = { "CLOSED", "LISTEN", "SYN_SENT", "SYN_RCVD", "ESTAB", "FW1", "FW2", "CLOSE_WAIT",
                                           "CLOSING", "LAST_ACK", "TIME_WAIT" };
struct event {
    const char *name, *flags;
    int32_t seq, ack;
    uint32_t len;
    const char *rfc, *cell[STATES];
};

static enum state state_now(void) {
    static const enum state of[] = { [XW_TCP_ESTABLISHED] = ESTAB, [XW_TCP_SYN_SENT] = SYN_SENT, [XW_TCP_SYN_RCVD] = SYN_RCVD,
                                     [XW_TCP_FIN_WAIT_1] = FW1, [XW_TCP_FIN_WAIT_2] = FW2, [XW_TCP_TIME_WAIT] = TIME_WAIT,
                                     [XW_TCP_CLOSED] = CLOSED, [XW_TCP_CLOSE_WAIT] = CLOSE_WAIT,
                                     [XW_TCP_LAST_ACK] = LAST_ACK, [XW_TCP_CLOSING] = CLOSING };
    return T.c ? of[xw_tcp_state(T.c)] : T.l ? LISTEN : CLOSED;
}

static void in_syn_received(void) {
    in_listen();
    RX("S", .seq = 0, .mss = 1460);
    XT_EQ(xw_tcp_accept(T.l, &T.rcv, &T.snd, T.mtu, NULL, T.now, &T.c), 0);
    EXPECT("SA", .seq = 0, .ack = 1);
}

static void enter(enum state s) {
    static void (*const in[STATES])(void) = { NULL, in_listen, in_syn_sent, in_syn_received, in_established, in_fin_wait_1,
                                              in_fin_wait_2, in_close_wait, in_closing, in_last_ack, in_time_wait };
    xt_defaults();
    T.cfg.opts.use_sack = T.cfg.opts.use_wscale = 0;
    T.rcv_cap = 1024;
    if (s == CLOSED)
        xt_begin();
    else
        in[s]();
    XT_EQ(state_now(), s);
}

/* One segment of ours in the language of the table. */
static void describe(char *out, size_t room, const struct xw_tcp_seg *g, const struct xw_tcp_hdr *in, uint32_t in_len,
                     struct xw_seq rcv, struct xw_seq snd) {
    const struct xw_tcp_hdr *h = &g->hdr;
    int32_t moved = xw_seq_diff(h->ack, rcv);
    if (g->data[0].len)
        snprintf(out, room, "data");
    else if (h->flags == XW_TCP_RST)
        snprintf(out, room, xw_seq_eq(h->seq, in->ack) ? "R" : "R at a wrong number");
    else if (h->flags == (XW_TCP_RST | XW_TCP_ACK))
        snprintf(out, room, xw_seq_dist(h->ack, in->seq) == in_len && !h->seq.v ? "RA" : "RA at a wrong number");
    else if (h->flags == (XW_TCP_SYN | XW_TCP_ACK))
        snprintf(out, room, "SA");
    else if (h->flags == XW_TCP_ACK && xw_seq_eq(h->seq, snd))
        snprintf(out, room, moved ? "A%+d" : "A", moved);
    else
        snprintf(out, room, "flags %02x seq %+d", h->flags, xw_seq_diff(h->seq, snd));
}

static void play(const struct event *e, enum state s, char *out, size_t room) {
    struct xw_tcp_seg g;
    struct xw_tcp_tuple t;
    enter(s);
    struct xw_seq rcv = T.c && s != SYN_SENT ? T.c->rcv_nxt : xw_seq(XT_PEER_ISN), snd = T.c ? T.c->snd_nxt : xw_seq(XT_ISN);
    struct xt_seg seg = { .flags = e->flags, .seq = rcv.v + (uint32_t)e->seq - XT_PEER_ISN,
                          .ack = snd.v + (uint32_t)e->ack - XT_ISN, .len = e->len };
    struct xw_tcp_hdr in = { .seq = xw_seq(XT_PEER_ISN + seg.seq), .ack = xw_seq(XT_ISN + seg.ack) };
    uint32_t in_len = e->len + !!strchr(e->flags, 'S') + !!strchr(e->flags, 'F');
    RX_MORE(.flags = seg.flags, .seq = seg.seq, .ack = seg.ack, .len = seg.len);
    size_t n = 0;
    while (xw_tcp_output(T.s, T.now, &g)) {
        describe(out + n, room - n, &g, &in, in_len, rcv, snd);
        n += strlen(out + n);
        XT_TRUE(n < room - 40);
    }
    if (!n)
        n = (size_t)snprintf(out, room, T.l && !T.c && xw_tcp_listen_pending(T.l, &t) ? "wait" : "-");
    if (state_now() != s)
        snprintf(out + n, room - n, ">%s", names[state_now()]);
    if (T.c && xw_tcp_state(T.c) != XW_TCP_CLOSED && xw_tcp_state(T.c) != XW_TCP_TIME_WAIT)
        xt_read(10000); /* and what was taken is what was sent */
    while (xw_tcp_output(T.s, T.now, &g))
        continue;
    xt_end();
}

static const struct event events[] = {
#include "tcp_matrix.def"
};

XT_TEST(every_state_and_segment) {
    bool show = getenv("XT_MATRIX"); /* prints the table as it is instead */
    unsigned wrong = 0;
    for (unsigned i = 0; i < sizeof events / sizeof *events; i++) {
        const struct event *e = &events[i];
        if (show)
            printf("{ \"%s\", \"%s\", %d, %d, %u, \"%s\",\n  {", e->name, e->flags, e->seq, e->ack, e->len, e->rfc);
        for (unsigned s = 0; s < STATES; s++) {
            char got[200] = "";
            play(e, (enum state)s, got, sizeof got);
            if (show)
                printf(" \"%s\"%s", got, s + 1 < STATES ? "," : " } },\n");
            else if (!e->cell[s] || strcmp(got, e->cell[s])) {
                fprintf(stderr, "%s in %s: %s, not %s (RFC %s)\n", e->name, names[s], got, e->cell[s] ? e->cell[s] : "?",
                        e->rfc);
                wrong++;
            }
        }
    }
    XT_TRUE(show || !wrong);
    XT_TRUE(sizeof events / sizeof *events >= 30);
}

XT_MAIN(XT_RUN(every_state_and_segment))
