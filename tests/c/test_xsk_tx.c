#include "base/err.h"
#include "xt.h"
#include "xt_fakexsk.h"
#include <errno.h>

static struct xw_dev *open_dev(void) {
    struct xw_xsk_cfg cfg = { .ifindex = 7, .queue_cnt = 2, .frame_len = 2048, .rx_len = 64, .tx_len = 64,
                              .mtu = 1500 };
    struct xw_dev *d = NULL;
    fx_reset();
    XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_OK);
    *fx.s[0].r[FX_TX].flags = XDP_RING_NEED_WAKEUP; /* as copy mode has it always */
    return d;
}

static int send_number(struct xw_dev *d, uint32_t n) {
    struct xw_txbuf b;
    int rc = d->ops->tx_reserve(d, &b);
    if (rc)
        return rc;
    XT_EQ(b.cap, 2048 - 256);
    memset(b.data, (int)n, 100);
    memcpy(b.data, &n, sizeof n);
    d->ops->tx_submit(d, &b, 100);
    return XW_OK;
}

static uint32_t number_of(const struct xdp_desc *t) {
    uint32_t n;
    XT_EQ(t->len, 100);
    memcpy(&n, fx.umem + t->addr, sizeof n);
    for (uint32_t i = sizeof n; i < 100; i++)
        XT_EQ(fx.umem[t->addr + i], (uint8_t)n);
    return n;
}

static uint32_t in_state(const struct xw_dev *d, enum xw_frame_state s) {
    uint32_t c[XW_FRAME_STATES];
    XT_EQ(xw_xsk_frames(d, c), 2 * (2 * 64 + 32) + 2 * 64);
    return c[s];
}

static struct xw_dev_stats stats_of(struct xw_dev *d) {
    struct xw_dev_stats st;
    XT_EQ(d->ops->stats(d, &st), XW_OK);
    return st;
}

/* Several may be lent at a time; only what was submitted is sent, in the order of submission, and only with flush. */
XT_TEST(reserve_submit_cancel_in_any_order) {
    struct xw_dev *d = open_dev();
    struct xw_txbuf a, b, c;
    struct xdp_desc t[4];
    XT_EQ(d->ops->tx_reserve(d, &a), XW_OK);
    XT_EQ(d->ops->tx_reserve(d, &b), XW_OK);
    XT_EQ(d->ops->tx_reserve(d, &c), XW_OK);
    XT_EQ(in_state(d, XW_FRAME_STACK), 3);
    d->ops->tx_submit(d, &c, 60);
    d->ops->tx_cancel(d, &a);
    d->ops->tx_submit(d, &b, 61);
    XT_EQ(fx_tx_take(&fx.s[0], t, 4), 0);
    XT_EQ(d->ops->tx_flush(d), XW_EAGAIN); /* the kernel took nothing */
    XT_EQ(fx.tx_wakes, 1);
    XT_EQ(fx_tx_take(&fx.s[0], t, 4), 2);
    XT_EQ(t[0].len, 60);
    XT_EQ(t[1].len, 61);
    XT_EQ(t[0].addr % 2048, 256);
    XT_EQ(in_state(d, XW_FRAME_STACK), 0);
    XT_EQ(in_state(d, XW_FRAME_TX), 2);
    xw_dev_close(d);
}

/* The copy-mode kernel takes 32 a call: 64 frames are two calls, and flush makes both. */
XT_TEST(copy_mode_needs_a_call_per_32) {
    struct xw_dev *d = open_dev();
    fx.on_tx = fx_copy_mode_tx;
    for (uint32_t i = 0; i < 64; i++)
        XT_EQ(send_number(d, i), XW_OK);
    XT_EQ(send_number(d, 64), XW_EAGAIN);
    XT_EQ(d->ops->tx_flush(d), XW_OK);
    XT_EQ(fx.tx_wakes, 2);
    XT_EQ(in_state(d, XW_FRAME_TX), 0);
    XT_EQ(d->ops->tx_flush(d), XW_OK);
    XT_EQ(fx.tx_wakes, 2); /* nothing to send: no call */
    struct xw_dev_stats st = stats_of(d);
    XT_EQ(st.tx_kicks, 2);
    XT_EQ(st.tx_frames, 64);
    XT_EQ(st.tx_bytes, 6400);
    XT_EQ(st.tx_ring_full, 1);
    xw_dev_close(d);
}

/* A driver that is awake (zero-copy) is not called, and many rounds go through the ring. */
XT_TEST(no_call_without_the_flag_and_the_ring_wraps) {
    struct xw_dev *d = open_dev();
    struct xdp_desc t[64];
    *fx.s[0].r[FX_TX].flags = 0;
    uint32_t sent = 0, got = 0;
    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned k = 0; k < round % 64 + 1; k++)
            XT_EQ(send_number(d, sent++), XW_OK);
        XT_EQ(d->ops->tx_flush(d), XW_OK);
        uint32_t n = fx_tx_take(&fx.s[0], t, 64);
        for (uint32_t i = 0; i < n; i++)
            XT_EQ(number_of(&t[i]), got++);
        for (uint32_t i = n; i--;) /* completed in the opposite order */
            XT_TRUE(fx_complete(&fx.s[0], t[i].addr));
    }
    XT_EQ(got, sent);
    XT_EQ(fx.tx_wakes, 0);
    XT_EQ(d->ops->tx_flush(d), XW_OK);
    XT_EQ(in_state(d, XW_FRAME_TX), 0);
    xw_dev_close(d);
}

/* Frames come back only with their completion: twice the ring can be under way, then there is none; one held back by
 * the device blocks no other. */
XT_TEST(frames_are_reused_only_after_completion) {
    struct xw_dev *d = open_dev();
    struct xdp_desc first, t[64], more[64];
    *fx.s[0].r[FX_TX].flags = 0;
    XT_EQ(send_number(d, 0), XW_OK);
    d->ops->tx_flush(d);
    XT_EQ(fx_tx_take(&fx.s[0], &first, 1), 1);
    for (uint32_t i = 1; i < 65; i++)
        XT_EQ(send_number(d, i), XW_OK);
    d->ops->tx_flush(d);
    XT_EQ(fx_tx_take(&fx.s[0], t, 64), 64);
    for (uint32_t i = 65; i < 128; i++)
        XT_EQ(send_number(d, i), XW_OK);
    XT_EQ(send_number(d, 128), XW_EAGAIN);
    XT_EQ(stats_of(d).tx_no_frame, 1);
    for (uint32_t i = 0; i < 64; i++) {
        XT_EQ(number_of(&t[i]), i + 1); /* nobody wrote into them */
        XT_TRUE(fx_complete(&fx.s[0], t[i].addr));
    }
    for (uint32_t i = 0; i < 1000; i++) { /* the first is still with the device */
        XT_EQ(send_number(d, i), XW_OK);
        d->ops->tx_flush(d);
        uint32_t n = fx_tx_take(&fx.s[0], more, 64);
        XT_TRUE(n > 0);
        for (uint32_t k = 0; k < n; k++) {
            XT_TRUE(more[k].addr != first.addr);
            XT_TRUE(fx_complete(&fx.s[0], more[k].addr));
        }
    }
    XT_EQ(number_of(&first), 0);
    xw_dev_close(d);
}

static int ebusy_once_then_all(struct fx_sock *s) {
    struct xdp_desc t;
    if (fx.tx_wakes > 1)
        return fx_copy_mode_tx(s);
    fx_tx_take(s, &t, 1); /* consumed, completed, and dropped by the link */
    fx_complete(s, t.addr);
    errno = EBUSY;
    return -1;
}

XT_TEST(ebusy_is_a_drop_and_the_rest_is_sent) {
    struct xw_dev *d = open_dev();
    fx.on_tx = ebusy_once_then_all;
    for (uint32_t i = 0; i < 5; i++)
        send_number(d, i);
    XT_EQ(d->ops->tx_flush(d), XW_OK);
    XT_EQ(fx.tx_wakes, 2);
    XT_EQ(stats_of(d).tx_dropped, 1);
    XT_EQ(in_state(d, XW_FRAME_TX), 0);
    xw_dev_close(d);
}

static int wake_errno;
static int refuses(struct fx_sock *s) {
    (void)s;
    errno = wake_errno;
    return -1;
}

/* Nothing moves: flush ends after one call and says so; the frames wait and go out when it works again. */
XT_TEST(refusals_keep_the_frames) {
    static const struct { int err, rc; } rows[] = {
        { EAGAIN, XW_EAGAIN }, { ENOBUFS, XW_EAGAIN }, { ENOMEM, XW_EAGAIN }, { ENETDOWN, XW_ESYS }, { ENXIO, XW_ESYS },
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct xw_dev *d = open_dev();
        struct xw_pkt p[4];
        fx.on_tx = refuses;
        wake_errno = rows[i].err;
        send_number(d, 1);
        XT_EQ(d->ops->tx_flush(d), rows[i].rc);
        XT_EQ(errno, rows[i].err);
        XT_EQ(fx.tx_wakes, 1);
        XT_EQ(in_state(d, XW_FRAME_TX), 1);
        XT_EQ(d->ops->rx_burst(d, p, 4), 0);
        fx.on_tx = fx_copy_mode_tx;
        XT_EQ(d->ops->tx_flush(d), XW_OK);
        XT_EQ(in_state(d, XW_FRAME_TX), 0);
        xw_dev_close(d);
    }
}

/* One completion at a time fits: EAGAIN for want of room there, so flush drains and calls again. */
static int nearly_full_completions(struct fx_sock *s) {
    struct xdp_desc t;
    if (fx_used(&s->r[FX_COMP]) == 0 && fx_tx_take(s, &t, 1))
        fx_complete(s, t.addr);
    if (!fx_used(&s->r[FX_TX]))
        return 0;
    errno = EAGAIN;
    return -1;
}

XT_TEST(completions_are_drained_between_calls) {
    struct xw_dev *d = open_dev();
    fx.on_tx = nearly_full_completions;
    for (uint32_t i = 0; i < 6; i++)
        send_number(d, i);
    XT_EQ(d->ops->tx_flush(d), XW_OK);
    XT_EQ(fx.tx_wakes, 6);
    XT_EQ(in_state(d, XW_FRAME_TX), 0);
    for (uint32_t i = 0; i < 64; i++)
        send_number(d, i);
    XT_EQ(d->ops->tx_flush(d), XW_EAGAIN); /* bounded: it does not stay in here for ever */
    XT_EQ(fx.tx_wakes, 12);
    while (d->ops->tx_flush(d) == XW_EAGAIN) { }
    XT_EQ(in_state(d, XW_FRAME_TX), 0);
    xw_dev_close(d);
}

/* The driver took the frame, is awake by its flag, and does not complete: a call after 1 ms, then ever more rarely,
 * until something moves. */
XT_TEST(watchdog_kicks_when_completions_stall) {
    struct xw_dev *d = open_dev();
    struct xdp_desc t;
    *fx.s[0].r[FX_TX].flags = 0;
    uint64_t now = 5 * XW_NS_PER_S;
    d->ops->tick(d, now);
    XT_TRUE(d->ops->deadline(d) == XW_NEVER);
    send_number(d, 1);
    XT_EQ(d->ops->tx_flush(d), XW_OK);
    XT_EQ(fx_tx_take(&fx.s[0], &t, 1), 1);
    XT_EQ(d->ops->deadline(d), now + XW_NS_PER_MS);
    d->ops->tick(d, now + XW_NS_PER_MS - 1);
    d->ops->tx_flush(d);
    XT_EQ(fx.tx_wakes, 0);
    uint64_t waited = 0;
    for (unsigned i = 0; i < 10; i++) {
        uint64_t due = d->ops->deadline(d);
        XT_TRUE(due > now && due - now >= waited);
        waited = due - now;
        now = due;
        d->ops->tick(d, now);
        XT_EQ(d->ops->tx_flush(d), XW_OK);
        XT_EQ(fx.tx_wakes, i + 1);
    }
    XT_EQ(waited, 64 * XW_NS_PER_MS);
    fx_complete(&fx.s[0], t.addr);
    XT_EQ(d->ops->tx_flush(d), XW_OK);
    XT_EQ(fx.tx_wakes, 10);
    XT_TRUE(d->ops->deadline(d) == XW_NEVER);
    send_number(d, 2);
    d->ops->tx_flush(d);
    XT_EQ(d->ops->deadline(d), now + XW_NS_PER_MS); /* patience begins anew */
    xw_dev_close(d);
}

XT_MAIN(XT_RUN(reserve_submit_cancel_in_any_order), XT_RUN(copy_mode_needs_a_call_per_32),
        XT_RUN(no_call_without_the_flag_and_the_ring_wraps), XT_RUN(frames_are_reused_only_after_completion),
        XT_RUN(ebusy_is_a_drop_and_the_rest_is_sent), XT_RUN(refusals_keep_the_frames),
        XT_RUN(completions_are_drained_between_calls), XT_RUN(watchdog_kicks_when_completions_stall))
