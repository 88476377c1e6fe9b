#include "base/err.h"
#include "base/limits.h"
#include "dev/pair.h"
#include "xt.h"
#include "xw.h"

static int send_len(struct xw_dev *d, uint32_t n, uint32_t len) {
    struct xw_txbuf b;
    int rc = d->ops->tx_reserve(d, &b);
    if (rc)
        return rc;
    XT_TRUE(len <= b.cap);
    memset(b.data, (int)n, len);
    d->ops->tx_submit(d, &b, len);
    return XW_OK;
}

static uint32_t in_state(const struct xw_dev *d, enum xw_frame_state s) {
    uint32_t c[XW_FRAME_STATES];
    XT_EQ(xw_pair_frames(d, c), 8);
    return c[s];
}

static void open_pair(struct xw_dev **a, struct xw_dev **b) {
    const struct xw_pair_cfg cfg = { .mtu = 1500, .frames = 8 };
    XT_EQ(xw_pair_open(&cfg, a, b), XW_OK);
}

XT_TEST(in_order_both_ways_and_only_after_flush) {
    struct xw_dev *d[2];
    struct xw_pkt p[4];
    open_pair(&d[0], &d[1]);
    for (uint32_t round = 0; round < 100; round++)
        for (int from = 0; from < 2; from++) {
            struct xw_dev *s = d[from], *r = d[!from];
            for (uint32_t i = 0; i < 5; i++)
                XT_EQ(send_len(s, round + i, 60 + i), XW_OK);
            XT_EQ(r->ops->rx_burst(r, p, 4), 0);
            XT_EQ(s->ops->tx_flush(s), XW_OK);
            XT_EQ(xw_pair_waiting(r), 5);
            XT_EQ(r->ops->rx_burst(r, p, 4), 4);
            for (uint32_t i = 0; i < 4; i++) {
                XT_EQ(p[i].len, 60 + i);
                XT_EQ(p[i].data[59], (uint8_t)(round + i));
                XT_EQ(p[i].valid, 0); /* nobody told the time */
            }
            XT_EQ(in_state(s, XW_FRAME_STACK), 4);
            r->ops->rx_release(r, p, 4);
            XT_EQ(r->ops->rx_burst(r, p, 4), 1);
            r->ops->rx_release(r, p, 1);
            XT_EQ(in_state(s, XW_FRAME_FREE), 8);
        }
    struct xw_dev_stats st;
    d[0]->ops->stats(d[0], &st);
    XT_EQ(st.tx_frames, 500);
    XT_EQ(st.rx_frames, 500);
    XT_EQ(st.rx_bytes, 500 * 62);
    xw_dev_close(d[0]);
    xw_dev_close(d[1]);
}

/* The link is full when all frames are under way, and free again when the receiver gave them back. */
XT_TEST(bounded) {
    struct xw_dev *a, *b;
    struct xw_pkt p[8];
    struct xw_txbuf t;
    struct xw_dev_stats st;
    open_pair(&a, &b);
    for (uint32_t i = 0; i < 8; i++)
        XT_EQ(send_len(a, i, 60), XW_OK);
    XT_EQ(send_len(a, 8, 60), XW_EAGAIN);
    a->ops->tx_flush(a);
    XT_EQ(b->ops->rx_burst(b, p, 8), 8);
    XT_EQ(send_len(a, 8, 60), XW_EAGAIN);
    b->ops->rx_release(b, p, 8);
    XT_EQ(a->ops->tx_reserve(a, &t), XW_OK);
    a->ops->tx_cancel(a, &t);
    XT_EQ(in_state(a, XW_FRAME_FREE), 8);
    a->ops->stats(a, &st);
    XT_EQ(st.tx_no_frame, 2);
    XT_EQ(a->ops->fd(a, 0), -1);
    XT_TRUE(a->ops->deadline(a) == XW_NEVER);
    xw_dev_close(b);
    xw_dev_close(a);
}

/* The time of entry is the latest that either end was told when it was flushed. */
XT_TEST(frames_carry_the_time_of_entry) {
    struct xw_dev *a, *b;
    struct xw_pkt p[8];
    open_pair(&a, &b);
    a->ops->tick(a, 100);
    b->ops->tick(b, 90);
    send_len(a, 1, 60);
    a->ops->tx_flush(a);
    b->ops->tick(b, 200);
    send_len(a, 2, 60);
    a->ops->tx_flush(a);
    XT_EQ(b->ops->rx_burst(b, p, 8), 2);
    XT_EQ(p[0].valid, XW_PKT_XDP);
    XT_EQ(p[0].xdp_ns, 100);
    XT_EQ(p[1].xdp_ns, 200);
    b->ops->rx_release(b, p, 2);
    xw_dev_close(a);
    xw_dev_close(b);
}

/* The MTU counts the IP packet; Ethernet header and tags come on top. */
XT_TEST(mtu_is_of_the_ip_packet) {
    struct xw_dev *a, *b;
    struct xw_dev_stats st;
    struct xw_dev_caps caps;
    struct xw_txbuf t;
    open_pair(&a, &b);
    a->ops->caps(a, &caps);
    XT_EQ(caps.mtu, 1500);
    XT_EQ(send_len(a, 0, 1514), XW_OK);
    XT_EQ(send_len(a, 0, 1515), XW_OK);
    XT_EQ(a->ops->tx_reserve(a, &t), XW_OK);
    memset(t.data, 0, 1522);
    memcpy(t.data + 12, "\x88\xa8\0\x01\x81\0\0\x02\x08\0", 10);
    a->ops->tx_submit(a, &t, 1522);
    a->ops->tx_flush(a);
    XT_EQ(xw_pair_waiting(b), 2);
    a->ops->stats(a, &st);
    XT_EQ(st.tx_dropped, 1);
    xw_dev_close(a); /* what was not received comes back to the pool at the end */
    xw_dev_close(b);
}

XT_TEST(other_end_gone) {
    struct xw_dev *a, *b;
    struct xw_dev_stats st;
    struct xw_pkt p[8];
    open_pair(&a, &b);
    send_len(a, 1, 60);
    a->ops->tx_flush(a);
    xw_dev_close(a);
    XT_EQ(b->ops->rx_burst(b, p, 8), 1); /* what was sent before still arrives */
    b->ops->rx_release(b, p, 1);
    for (int i = 0; i < 100; i++)
        XT_EQ(send_len(b, 1, 60), XW_OK); /* into nowhere, as on an unplugged cable */
    b->ops->stats(b, &st);
    XT_EQ(st.tx_dropped, 100);
    xw_dev_close(b);
}

XT_TEST(refuses_what_it_cannot_do) {
    struct xw_dev *a, *b;
    struct xw_pair_cfg cfg = { .mtu = 9001 };
    XT_EQ(xw_pair_open(&cfg, &a, &b), XW_EINVAL);
    cfg.mtu = 67;
    XT_EQ(xw_pair_open(&cfg, &a, &b), XW_EINVAL);
    cfg = (struct xw_pair_cfg){ .frames = 65537 };
    XT_EQ(xw_pair_open(&cfg, &a, &b), XW_EINVAL);
    XT_EQ(xw_pair_open(NULL, &a, &b), XW_OK);
    xw_dev_close(a);
    xw_dev_close(b);
}

XT_MAIN(XT_RUN(in_order_both_ways_and_only_after_flush), XT_RUN(bounded), XT_RUN(frames_carry_the_time_of_entry),
        XT_RUN(mtu_is_of_the_ip_packet), XT_RUN(other_end_gone), XT_RUN(refuses_what_it_cannot_do))
