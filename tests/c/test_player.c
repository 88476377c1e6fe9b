#include "base/err.h"
#include "base/limits.h"
#include "base/setup_error.h"
#include "dev/player.h"
#include "xt.h"
#include "xw.h"

/* A little-endian nanosecond pcap. */
static uint8_t file[8192];
static size_t len;

static void u32(uint32_t v) {
    for (int i = 0; i < 4; i++)
        file[len++] = (uint8_t)(v >> 8 * i);
}
static void head(void) {
    len = 0;
    u32(0xA1B23C4D), u32(4u << 16 | 2), u32(0), u32(0), u32(65535), u32(1);
}
static void frame(uint32_t sec, uint32_t ns, uint32_t cap, uint32_t orig) {
    u32(sec), u32(ns), u32(cap), u32(orig);
    memset(file + len, (int)ns, cap);
    len += cap;
}

static struct xw_dev *open_player(bool by_time, uint32_t keep) {
    const struct xw_player_cfg cfg = { .data = file, .len = len, .by_time = by_time, .keep_tx = keep };
    struct xw_dev *d = NULL;
    if (xw_player_open(&cfg, &d))
        XT_FAIL("%s", xw_setup_error(NULL));
    return d;
}

XT_TEST(as_fast_as_possible) {
    struct xw_pkt p[XW_RX_BURST_MAX];
    struct xw_dev_stats st;
    head();
    for (uint32_t i = 0; i < 40; i++)
        frame(1000 + i, i, 60 + i, 60 + i);
    struct xw_dev *d = open_player(false, 0);
    XT_EQ(xw_player_left(d), 40);
    XT_EQ(d->ops->deadline(d), 0);
    uint32_t got = 0;
    for (unsigned n; (n = d->ops->rx_burst(d, p, 7)) != 0;) {
        for (unsigned i = 0; i < n; i++, got++) {
            XT_EQ(p[i].len, 60 + got);
            XT_EQ(p[i].data[0], got);
            XT_EQ(p[i].valid, 0);
        }
        d->ops->rx_release(d, p, n);
    }
    XT_EQ(got, 40);
    XT_EQ(xw_player_left(d), 0);
    XT_TRUE(d->ops->deadline(d) == XW_NEVER);
    XT_EQ(d->ops->stats(d, &st), XW_OK);
    XT_EQ(st.rx_frames, 40);
    XT_EQ(st.rx_bytes, 40 * 60 + 39 * 40 / 2);
    xw_dev_close(d);
}

/* By the capture's clock, begun with the first tick; a clock that went back in the capture does not stop it. */
XT_TEST(by_capture_time) {
    struct xw_pkt p[8];
    head();
    frame(1000, 0, 60, 60);
    frame(1000, 500, 60, 60);
    frame(999, 0, 60, 60); /* earlier than the first */
    frame(1002, 0, 60, 60);
    struct xw_dev *d = open_player(true, 0);
    XT_EQ(d->ops->rx_burst(d, p, 8), 0);
    d->ops->tick(d, 7000);
    XT_EQ(d->ops->rx_burst(d, p, 8), 1);
    XT_EQ(p[0].valid, XW_PKT_XDP);
    XT_EQ(p[0].xdp_ns, 7000); /* of our clock, not the capture's */
    d->ops->rx_release(d, p, 1);
    XT_EQ(d->ops->deadline(d), 7500);
    d->ops->tick(d, 7499);
    XT_EQ(d->ops->rx_burst(d, p, 8), 0);
    d->ops->tick(d, 7500);
    XT_EQ(d->ops->rx_burst(d, p, 8), 2);
    d->ops->rx_release(d, p, 2);
    XT_EQ(d->ops->deadline(d), 7000 + 2 * XW_NS_PER_S);
    d->ops->tick(d, 7000 + 2 * XW_NS_PER_S);
    XT_EQ(d->ops->rx_burst(d, p, 8), 1);
    d->ops->rx_release(d, p, 1);
    xw_dev_close(d);
}

/* Cut short, empty, or longer than the MTU: not played, counted. */
XT_TEST(unplayable_frames_are_counted) {
    struct xw_pkt p[8];
    struct xw_dev_stats st;
    head();
    frame(1, 1, 60, 1000);
    frame(1, 2, 0, 0);
    frame(1, 3, 1523, 1523);
    frame(1, 4, 1522, 1522);
    struct xw_dev *d = open_player(false, 0);
    XT_EQ(d->ops->rx_burst(d, p, 8), 1);
    XT_EQ(p[0].data[0], 4);
    d->ops->rx_release(d, p, 1);
    d->ops->stats(d, &st);
    XT_EQ(st.rx_bad, 3);
    xw_dev_close(d);
}

XT_TEST(the_last_sent_frames_are_kept) {
    struct xw_txbuf b;
    struct xw_dev_stats st;
    head();
    struct xw_dev *d = open_player(false, 3);
    XT_EQ(xw_player_sent(d, 0).len, 0);
    for (uint32_t i = 0; i < 500; i++) {
        XT_EQ(d->ops->tx_reserve(d, &b), XW_OK);
        memset(b.data, (int)i, 60 + i);
        d->ops->tx_submit(d, &b, 60 + i);
        XT_EQ(d->ops->tx_flush(d), XW_OK);
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct xw_span s = xw_player_sent(d, i);
        XT_EQ(s.len, 60 + 497 + i);
        XT_EQ(s.p[0], (uint8_t)(497 + i));
    }
    XT_EQ(xw_player_sent(d, 3).len, 0);
    d->ops->stats(d, &st);
    XT_EQ(st.tx_frames, 500);
    xw_dev_close(d);
    d = open_player(false, 0); /* and without keeping any */
    struct xw_txbuf many[65];
    for (uint32_t i = 0; i < 64; i++)
        XT_EQ(d->ops->tx_reserve(d, &many[i]), XW_OK);
    XT_EQ(d->ops->tx_reserve(d, &many[64]), XW_EAGAIN);
    for (uint32_t i = 0; i < 64; i++)
        if (i % 2)
            d->ops->tx_cancel(d, &many[i]);
        else
            d->ops->tx_submit(d, &many[i], 60);
    d->ops->stats(d, &st);
    XT_EQ(st.tx_frames, 32);
    XT_EQ(st.tx_no_frame, 1);
    XT_EQ(d->ops->fd(d, 0), -1);
    xw_dev_close(d);
}

XT_TEST(refuses_what_is_no_capture) {
    struct xw_player_cfg cfg = { .data = (const uint8_t *)"GET / HTTP/1.1", .len = 14 };
    struct xw_dev *d = NULL;
    XT_EQ(xw_player_open(&cfg, &d), XW_EINVAL);
    XT_STR(xw_setup_error(NULL), "open a capture: capture: neither pcap nor pcapng");
    head();
    cfg = (struct xw_player_cfg){ .data = file, .len = len, .mtu = 9001 };
    XT_EQ(xw_player_open(&cfg, &d), XW_EINVAL);
    cfg = (struct xw_player_cfg){ .data = file, .len = len, .keep_tx = 65537 };
    XT_EQ(xw_player_open(&cfg, &d), XW_EINVAL);
}

XT_MAIN(XT_RUN(as_fast_as_possible), XT_RUN(by_capture_time), XT_RUN(unplayable_frames_are_counted),
        XT_RUN(the_last_sent_frames_are_kept), XT_RUN(refuses_what_is_no_capture))
