/* Two of our TCP stacks, segments passed by hand, a byte stream on either end. */
#include "base/rng.h"
#include "bs/bs_tcp.h"
#include "tcp/tcp.h"
#include "xt.h"

#define CLIENT_IP 0x0a000001u
#define SERVER_IP 0x0a000002u

struct end {
    struct xw_tcp_stack *stack;
    void *mem;
    struct xw_rng rng;
    uint64_t drops[XW_DROP_COUNT];
    struct xw_bytering rcv, snd;
    struct xw_bs *bs;
    uint32_t ip;
};
static struct end cl, sv;
static uint64_t now;

static void end_init(struct end *e, uint32_t ip) {
    static const uint8_t seed[32] = { 7 };
    struct xw_tcp_cfg cfg;
    *e = (struct end){ .ip = ip };
    xw_rng_init(&e->rng, seed);
    xw_tcp_cfg_default(&cfg);
    cfg.rng = &e->rng;
    cfg.drops = e->drops;
    cfg.stamp_marks = 16;
    size_t len = xw_tcp_stack_size(&cfg);
    e->mem = aligned_alloc(64, (len + 63) / 64 * 64);
    XT_EQ(xw_tcp_stack_init(e->mem, len, &cfg, &e->stack), XW_OK);
    XT_EQ(xw_bytering_map(&e->rcv, 65536), XW_OK);
    XT_EQ(xw_bytering_map(&e->snd, 65536), XW_OK);
}

/* All segments that e has for the other side, stamped with the time; how many. */
static unsigned carry(struct end *e, struct end *to) {
    struct xw_tcp_seg seg;
    unsigned cnt = 0;
    while (xw_tcp_output(e->stack, now, &seg)) {
        uint8_t pkt[2048];
        struct xw_rxstamp stamp = { .ring_ns = now, .valid = XW_RXS_RING };
        uint32_t len = xw_tcp_seg_emit(&seg, xw_mspan(pkt, sizeof pkt));
        XT_TRUE(len > 0);
        xw_tcp_input(to->stack, e->ip, to->ip, xw_span(pkt, len), true, &stamp, now);
        cnt++;
    }
    return cnt;
}

static void exchange(void) {
    unsigned sum;
    do {
        now += 1000;
        xw_tcp_tick(cl.stack, now);
        xw_tcp_tick(sv.stack, now);
        sum = carry(&cl, &sv);
        sum += carry(&sv, &cl);
    } while (sum);
}

static struct xw_bs_status status(const struct end *e) {
    struct xw_bs_status st;
    e->bs->ops->status(e->bs, &st);
    return st;
}

static void put(struct end *e, const char *text) {
    struct xw_mspan room = e->bs->ops->reserve(e->bs);
    XT_TRUE(room.len >= strlen(text));
    memcpy(room.p, text, strlen(text));
    e->bs->ops->commit(e->bs, strlen(text));
}

static void connect_both(void) {
    struct xw_tcp_tuple t = { .local_ip = CLIENT_IP, .remote_ip = SERVER_IP, .local_port = 40000, .remote_port = 443 };
    struct xw_tcp_listener *l;
    struct xw_tcp *c;
    now = 1000000000;
    end_init(&cl, CLIENT_IP);
    end_init(&sv, SERVER_IP);
    XT_EQ(xw_tcp_listen(sv.stack, 0, 443, &l), XW_OK);
    XT_EQ(xw_tcp_connect(cl.stack, &t, &cl.rcv, &cl.snd, 1500, NULL, now, &c), XW_OK);
    XT_EQ(xw_bs_tcp_new(c, now, &cl.bs), XW_OK);
    XT_TRUE(xw_bs_tcp_conn(cl.bs) == c);
    XT_EQ(status(&cl).state, XW_BS_CONNECTING);
    XT_EQ(cl.bs->ops->reserve(cl.bs).len, 0);
    carry(&cl, &sv);
    XT_EQ(xw_tcp_accept(l, &sv.rcv, &sv.snd, 1500, NULL, now, &c), XW_OK);
    XT_EQ(xw_bs_tcp_new(c, now, &sv.bs), XW_OK);
    XT_EQ(status(&sv).state, XW_BS_CONNECTING);
    exchange();
    XT_EQ(status(&cl).state, XW_BS_OPEN);
    XT_EQ(status(&sv).state, XW_BS_OPEN);
}

static void end_free(struct end *e) {
    e->bs->ops->close(e->bs);
    xw_bytering_unmap(&e->rcv);
    xw_bytering_unmap(&e->snd);
    free(e->mem);
}

XT_TEST(bytes_stamps_and_window) {
    struct xw_rxstamp last, first;
    connect_both();
    put(&cl, "GET");
    XT_EQ(carry(&cl, &sv), 0); /* TCP is told by flush, which knows the time */
    XT_TRUE(!status(&cl).tx_drained);
    cl.bs->ops->flush(cl.bs, now);
    uint64_t sent = now;
    carry(&cl, &sv);
    XT_MEM(sv.bs->ops->peek(sv.bs).p, "GET", 3);
    sv.bs->ops->stamp(sv.bs, 2, &last, &first);
    XT_EQ(last.valid, XW_RXS_RING);
    XT_EQ(last.ring_ns, sent);
    XT_EQ(first.ring_ns, sent);
    sv.bs->ops->stamp(sv.bs, 3, &last, &first);
    XT_EQ(last.valid, 0);
    sv.bs->ops->consume(sv.bs, 3);
    XT_EQ(sv.bs->ops->rx_offset(sv.bs), 3);
    exchange();
    XT_TRUE(status(&cl).tx_drained);
    size_t total = 0; /* more than the peer's ring holds: the window closes, and opens when the reader has read */
    for (unsigned i = 0; i < 40; i++) {
        size_t n = cl.bs->ops->reserve(cl.bs).len;
        cl.bs->ops->commit(cl.bs, n);
        total += n;
        XT_EQ(cl.bs->ops->poll(cl.bs, now), XW_OK);
        exchange();
    }
    size_t held = sv.bs->ops->peek(sv.bs).len;
    XT_TRUE(held > 65536 - 1460); /* the last window, smaller than a segment, is not used (RFC 9293 3.8.6.2.1) */
    XT_EQ(cl.bs->ops->reserve(cl.bs).len, 0);
    XT_EQ(total, held + 65536);
    sv.bs->ops->consume(sv.bs, held);
    exchange();
    XT_EQ(sv.bs->ops->peek(sv.bs).len, 0); /* nor is TCP told of what was consumed before a poll */
    sv.bs->ops->poll(sv.bs, now);
    exchange();
    XT_TRUE(sv.bs->ops->peek(sv.bs).len > 65536 - 1460);
    end_free(&cl);
    end_free(&sv);
}

XT_TEST(orderly_end) {
    struct xw_bs_status st;
    connect_both();
    put(&cl, "bye");
    cl.bs->ops->shutdown_wr(cl.bs);
    XT_EQ(cl.bs->ops->reserve(cl.bs).len, 0);
    cl.bs->ops->flush(cl.bs, now);
    exchange();
    st = status(&sv);
    XT_TRUE(st.rx_eof);
    XT_EQ(st.state, XW_BS_OPEN);
    XT_EQ(sv.bs->ops->peek(sv.bs).len, 3);
    put(&sv, "answer");
    sv.bs->ops->shutdown_wr(sv.bs);
    sv.bs->ops->flush(sv.bs, now);
    exchange();
    XT_EQ(status(&cl).state, XW_BS_CLOSED);
    XT_EQ(status(&sv).state, XW_BS_CLOSED);
    XT_MEM(cl.bs->ops->peek(cl.bs).p, "answer", 6);
    XT_STR(cl.bs->ops->error_text(cl.bs), "");
    end_free(&cl);
    end_free(&sv);
}

XT_TEST(abort_and_reset) {
    connect_both();
    cl.bs->ops->abort(cl.bs);
    XT_EQ(status(&cl).state, XW_BS_FAILED);
    XT_EQ(status(&cl).error, XW_ECLOSED);
    exchange();
    XT_EQ(status(&sv).state, XW_BS_FAILED);
    XT_EQ(status(&sv).error, XW_ERESET);
    XT_STR(sv.bs->ops->error_text(sv.bs), xw_strerror(XW_ERESET));
    XT_EQ(sv.bs->ops->reserve(sv.bs).len, 0);
    end_free(&cl);
    end_free(&sv);
}

XT_MAIN(XT_RUN(bytes_stamps_and_window), XT_RUN(orderly_end), XT_RUN(abort_and_reset))
