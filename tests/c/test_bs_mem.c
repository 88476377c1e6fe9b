#include "base/err.h"
#include "bs/bs_mem.h"
#include "xt.h"

static struct xw_bs *a, *b;

static void open_pair(bool connecting) {
    struct xw_bs_mem_cfg cfg = { .rcv_len = 4096, .snd_len = 256, .connecting = connecting };
    XT_EQ(xw_bs_mem_pair(&cfg, &a, &b), XW_OK);
}

static void close_pair(void) {
    a->ops->close(a);
    b->ops->close(b);
}

static void put(struct xw_bs *s, const char *text) {
    struct xw_mspan room = s->ops->reserve(s);
    XT_TRUE(room.len >= strlen(text));
    memcpy(room.p, text, strlen(text));
    s->ops->commit(s, strlen(text));
}

static enum xw_bs_state state(const struct xw_bs *s) {
    struct xw_bs_status st;
    s->ops->status(s, &st);
    return st.state;
}

XT_TEST(bytes_cross_when_polled) {
    struct xw_bs_status st;
    open_pair(false);
    put(a, "hello");
    a->ops->status(a, &st);
    XT_TRUE(!st.tx_drained);
    XT_EQ(b->ops->peek(b).len, 0);
    XT_EQ(b->ops->poll(b, 0), XW_OK);
    XT_EQ(b->ops->peek(b).len, 5);
    XT_MEM(b->ops->peek(b).p, "hello", 5);
    a->ops->status(a, &st);
    XT_TRUE(st.tx_drained);
    b->ops->consume(b, 2);
    XT_EQ(b->ops->rx_offset(b), 2);
    XT_MEM(b->ops->peek(b).p, "llo", 3);
    close_pair();
}

XT_TEST(chunks_bounds_and_stamps) {
    struct xw_rxstamp s1 = { .kern_ns = 1, .valid = XW_RXS_KERN }, s2 = { .kern_ns = 2, .valid = XW_RXS_KERN },
        last, first;
    open_pair(false);
    put(a, "abcdef");
    xw_bs_mem_chunk(b, 2);
    xw_bs_mem_set_stamp(b, &s1);
    XT_EQ(b->ops->poll(b, 0), XW_EAGAIN);
    XT_EQ(b->ops->peek(b).len, 2);
    xw_bs_mem_set_stamp(b, &s2);
    xw_bs_mem_until(b, 3);
    XT_EQ(b->ops->poll(b, 0), XW_OK);
    XT_EQ(b->ops->peek(b).len, 3);
    b->ops->stamp(b, 1, &last, &first);
    XT_EQ(last.kern_ns, 1);
    b->ops->stamp(b, 2, &last, &first);
    XT_EQ(first.kern_ns, 2);
    b->ops->stamp(b, 3, &last, &first);
    XT_EQ(last.valid, 0);
    a->ops->shutdown_wr(a);
    xw_bs_mem_until(b, UINT64_MAX);
    XT_EQ(b->ops->poll(b, 0), XW_EAGAIN);
    XT_EQ(state(b), XW_BS_OPEN);
    XT_EQ(b->ops->poll(b, 0), XW_OK);
    struct xw_bs_status st;
    b->ops->status(b, &st);
    XT_TRUE(st.rx_eof);
    b->ops->shutdown_wr(b);
    a->ops->poll(a, 0);
    XT_EQ(state(a), XW_BS_CLOSED);
    XT_EQ(state(b), XW_BS_CLOSED);
    XT_EQ(b->ops->peek(b).len, 6);
    close_pair();
}

XT_TEST(backpressure_both_rings) {
    open_pair(false);
    xw_bs_mem_until(b, 100);
    a->ops->commit(a, a->ops->reserve(a).len);
    XT_EQ(a->ops->reserve(a).len, 0);
    b->ops->poll(b, 0);
    XT_EQ(a->ops->reserve(a).len, 100);
    xw_bs_mem_until(b, UINT64_MAX);
    for (unsigned i = 0; i < 100; i++) {
        a->ops->commit(a, a->ops->reserve(a).len);
        b->ops->poll(b, 0);
    }
    XT_EQ(b->ops->peek(b).len, 4096);
    XT_EQ(a->ops->reserve(a).len, 0);
    b->ops->consume(b, 10);
    b->ops->poll(b, 0);
    XT_EQ(a->ops->reserve(a).len, 10);
    close_pair();
}

XT_TEST(connecting_failing_aborting) {
    open_pair(true);
    XT_EQ(state(a), XW_BS_CONNECTING);
    XT_EQ(a->ops->reserve(a).len, 0);
    xw_bs_mem_open(b);
    XT_EQ(state(a), XW_BS_OPEN);
    put(a, "x");
    b->ops->poll(b, 0);
    a->ops->abort(a);
    XT_EQ(state(b), XW_BS_FAILED);
    XT_STR(b->ops->error_text(b), xw_strerror(XW_ERESET));
    XT_STR(a->ops->error_text(a), xw_strerror(XW_ECLOSED));
    XT_EQ(b->ops->peek(b).len, 1);
    close_pair();
    open_pair(false);
    a->ops->close(a); /* unfinished: the peer is reset */
    XT_EQ(state(b), XW_BS_FAILED);
    b->ops->close(b);
    struct xw_bs_mem_cfg odd = { .rcv_len = 4096, .snd_len = 100 };
    XT_EQ(xw_bs_mem_pair(&odd, &a, &b), XW_EINVAL);
    odd = (struct xw_bs_mem_cfg){ .rcv_len = 100, .snd_len = 128 };
    XT_EQ(xw_bs_mem_pair(&odd, &a, &b), XW_EINVAL);
}

XT_MAIN(XT_RUN(bytes_cross_when_polled), XT_RUN(chunks_bounds_and_stamps), XT_RUN(backpressure_both_rings),
        XT_RUN(connecting_failing_aborting))
