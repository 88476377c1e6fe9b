#include "base/err.h"
#include "xt.h"
#include "xt_fakexsk.h"
#include <malloc.h>
#include <shared.h>

static struct xw_dev *open_dev(uint32_t queues) {
    struct xw_xsk_cfg cfg = { .ifindex = 7, .queue_cnt = queues, .frame_len = 2048, .rx_len = 64, .tx_len = 64,
                              .mtu = 1500, .meta_len = sizeof(struct xw_meta) };
    struct xw_dev *d = NULL;
    fx_reset();
    XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_OK);
    return d;
}

static bool receive_number(unsigned q, uint32_t n) {
    uint8_t pkt[100];
    memset(pkt, (int)n, sizeof pkt);
    memcpy(pkt, &n, sizeof n);
    return fx_receive(q, pkt, sizeof pkt, NULL);
}

static uint32_t number_of(const struct xw_pkt *p) {
    uint32_t n;
    XT_EQ(p->len, 100);
    memcpy(&n, p->data, sizeof n);
    for (uint32_t i = sizeof n; i < p->len; i++)
        XT_EQ(p->data[i], (uint8_t)n);
    return n;
}

static uint32_t in_state(const struct xw_dev *d, enum xw_frame_state s) {
    uint32_t c[XW_FRAME_STATES];
    XT_TRUE(xw_xsk_frames(d, c) > 0);
    return c[s];
}

/* In order and intact over many times the length of the rings, with bursts of every size; the pool is conserved and
 * nothing is asked of the system nor of the allocator. */
XT_TEST(ten_thousand_in_order_without_a_call) {
    struct xw_dev *d = open_dev(1);
    struct xw_pkt p[XW_RX_BURST_MAX];
    uint32_t sent = 0, got = 0, c[XW_FRAME_STATES];
    size_t heap = mallinfo2().uordblks;
    unsigned calls = fx.calls;
    for (unsigned round = 0; got < 10000; round++) {
        for (unsigned k = 0; k < round % 40 + 1; k++)
            XT_TRUE(receive_number(0, sent++));
        while (got < sent) {
            unsigned n = d->ops->rx_burst(d, p, round % XW_RX_BURST_MAX + 1);
            XT_TRUE(n > 0);
            for (unsigned i = 0; i < n; i++)
                XT_EQ(number_of(&p[i]), got++);
            XT_EQ(in_state(d, XW_FRAME_STACK), n);
            d->ops->rx_release(d, p, n);
            XT_EQ(xw_xsk_frames(d, c), 2 * 64 + 32 + 2 * 64);
            XT_EQ(c[XW_FRAME_FILL] + c[XW_FRAME_FREE], 2 * 64 + 32 + 2 * 64);
        }
    }
    XT_EQ(d->ops->rx_burst(d, p, 32), 0);
    XT_EQ(fx.calls - calls + fx.rx_wakes + fx.tx_wakes, 0);
    XT_EQ(mallinfo2().uordblks, heap);
    struct xw_dev_stats st;
    XT_EQ(d->ops->stats(d, &st), XW_OK);
    XT_EQ(st.rx_frames, got);
    XT_EQ(st.rx_bytes, 100ull * got);
    xw_dev_close(d);
}

/* A reader that is late loses what does not fit, never what was received; afterwards everything works as before. */
XT_TEST(full_ring_then_recovery) {
    struct xw_dev *d = open_dev(1);
    struct xw_pkt p[XW_RX_BURST_MAX];
    uint32_t in = 0, out = 0;
    for (int again = 0; again < 5; again++) {
        uint32_t base = in;
        while (receive_number(0, in))
            in++;
        XT_EQ(in - base, 64);
        unsigned n;
        while ((n = d->ops->rx_burst(d, p, 7)) != 0) {
            for (unsigned i = 0; i < n; i++)
                XT_EQ(number_of(&p[i]), out++);
            d->ops->rx_release(d, p, n);
        }
        XT_EQ(out, in);
        XT_EQ(fx_used(&fx.s[0].r[FX_FILL]), 64);
    }
    xw_dev_close(d);
}

/* A driver that moves FILL's frames into its own ring gets as many again; transmit keeps its share all the same. */
XT_TEST(driver_ring_cannot_take_the_frames_of_transmit) {
    struct xw_dev *d = open_dev(1);
    struct xw_pkt p[2];
    struct xw_txbuf b[64];
    uint64_t addr = fx_fill_pop(0);
    unsigned taken = 1;
    for (;; taken++) { /* the driver empties FILL; each released frame makes us fill it again */
        while (fx_used(&fx.s[0].r[FX_FILL])) {
            fx_fill_pop(0);
            taken++;
        }
        fx_rx_desc(0, (struct xdp_desc){ .addr = addr + 256, .len = 60 });
        XT_EQ(d->ops->rx_burst(d, p, 2), 1);
        d->ops->rx_release(d, p, 1);
        if (fx_used(&fx.s[0].r[FX_FILL]) <= 1)
            break;
        addr = fx_fill_pop(0);
    }
    XT_EQ(in_state(d, XW_FRAME_FILL), 2 * 64 + 32);
    XT_EQ(in_state(d, XW_FRAME_FREE), 2 * 64);
    for (int i = 0; i < 64; i++)
        XT_EQ(d->ops->tx_reserve(d, &b[i]), XW_OK);
    for (int i = 0; i < 64; i++)
        d->ops->tx_cancel(d, &b[i]);
    xw_dev_close(d);
}

XT_TEST(wakeup_of_fill_only_when_asked) {
    struct xw_dev *d = open_dev(2);
    struct xw_pkt p[8];
    XT_EQ(d->ops->rx_burst(d, p, 8), 0);
    XT_EQ(fx.rx_wakes, 0);
    *fx.s[1].r[FX_FILL].flags = XDP_RING_NEED_WAKEUP;
    XT_EQ(d->ops->rx_burst(d, p, 8), 0);
    XT_EQ(fx.rx_wakes, 1); /* of the second queue only */
    receive_number(0, 1);
    receive_number(1, 2);
    XT_EQ(d->ops->rx_burst(d, p, 8), 2);
    XT_EQ(fx.rx_wakes, 1);
    d->ops->rx_release(d, p, 2); /* FILL got a frame, and the kernel waits for it */
    XT_EQ(fx.rx_wakes, 2);
    *fx.s[1].r[FX_FILL].flags = 0;
    XT_EQ(d->ops->rx_burst(d, p, 8), 0);
    XT_EQ(fx.rx_wakes, 2);
    xw_dev_close(d);
}

/* With busy polling the call is what runs the driver: made whenever a ring is empty. */
XT_TEST(busy_poll_drives_the_driver) {
    struct xw_xsk_cfg cfg = { .ifindex = 7, .queue_cnt = 1, .frame_len = 2048, .rx_len = 64, .tx_len = 64, .mtu = 1500,
                              .busy_poll = 1 };
    struct xw_dev *d = NULL;
    struct xw_pkt p[4];
    for (unsigned napi = 0; napi < 2; napi++) { /* a veth has none: after the first packet nothing is called for it */
        fx_reset();
        fx.napi_id = napi ? 8193 : 0;
        XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_OK);
        XT_EQ(d->ops->rx_burst(d, p, 4), 0);
        XT_EQ(fx.rx_wakes, 1);
        receive_number(0, 1);
        XT_EQ(d->ops->rx_burst(d, p, 4), 1);
        XT_EQ(fx.rx_wakes, 1);
        d->ops->rx_release(d, p, 1);
        XT_EQ(d->ops->rx_burst(d, p, 4), 0);
        XT_EQ(fx.rx_wakes, 1 + napi);
        receive_number(0, 2);
        XT_EQ(d->ops->rx_burst(d, p, 4), 1);
        d->ops->rx_release(d, p, 1);
        XT_EQ(fx.napi_asked, 1);
        xw_dev_close(d);
    }
}

static struct xw_pkt one(struct xw_dev *d) {
    struct xw_pkt p;
    XT_EQ(d->ops->rx_burst(d, &p, 1), 1);
    d->ops->rx_release(d, &p, 1);
    return p;
}

/* The NIC's time is shown on our clock, or not at all. */
XT_TEST(nic_time_is_converted_or_not_valid) {
    struct xw_dev *d = open_dev(1);
    struct xw_meta m = { .hw_ns = 5000500000, .xdp_ns = 222, .valid = XW_META_HW | XW_META_XDP, .magic = XW_META_MAGIC };
    uint8_t pkt[60] = { 1 };
    XT_TRUE(fx_receive(0, pkt, sizeof pkt, &m));
    XT_EQ(one(d).valid, XW_PKT_XDP); /* nobody knows the NIC's clock */
    /* it runs 100 ppm slow: a ns of it is 1.0001 of ours */
    struct xw_phc_line line = { .phc_ns = 5000000000, .mono_ns = 70000000000, .rate = (1ull << 32) + 429497, .span_ns = 1000000 };
    XT_EQ(xw_xsk_phc(d, &line), XW_OK);
    static const struct { uint64_t hw, want; } v[] = {
        { 5000000000, 70000000000 }, { 5000500000, 70000500050 }, { 4999500000, 69999499950 },
        { 5001000000, 70001000100 }, { 5001000001, 0 }, { 4998999999, 0 }, { 0, 0 } };
    for (unsigned i = 0; i < sizeof v / sizeof *v; i++) {
        m.hw_ns = v[i].hw;
        XT_TRUE(fx_receive(0, pkt, sizeof pkt, &m));
        struct xw_pkt p = one(d);
        XT_EQ(!!(p.valid & XW_PKT_HW), v[i].want != 0);
        XT_TRUE(p.hw_ns + 1 >= v[i].want && p.hw_ns <= v[i].want + 1);
    }
    line.span_ns = 3000000000;
    XT_EQ(xw_xsk_phc(d, &line), XW_EINVAL);
    xw_dev_close(d);
}

/* Times come only with the magic; a frame that had it once is not believed again. */
XT_TEST(metadata_is_believed_once) {
    struct xw_dev *d = open_dev(1);
    struct xw_phc_line same = { .phc_ns = 100, .mono_ns = 100, .rate = 1ull << 32, .span_ns = 1000 };
    XT_EQ(xw_xsk_phc(d, &same), XW_OK);
    struct xw_meta m = { .hw_ns = 111, .xdp_ns = 222, .valid = XW_META_HW | XW_META_XDP, .magic = XW_META_MAGIC };
    uint8_t pkt[60] = { 1 };
    XT_TRUE(fx_receive(0, pkt, sizeof pkt, &m));
    struct xw_pkt p = one(d);
    XT_EQ(p.valid, XW_PKT_HW | XW_PKT_XDP);
    XT_EQ(p.hw_ns, 111);
    XT_EQ(p.xdp_ns, 222);
    for (int i = 0; i < 200; i++) { /* each frame comes by again */
        XT_TRUE(fx_receive(0, pkt, sizeof pkt, NULL));
        p = one(d);
        XT_EQ(p.valid, 0);
        XT_EQ(p.hw_ns, 0);
    }
    m.valid = XW_META_XDP;
    XT_TRUE(fx_receive(0, pkt, sizeof pkt, &m));
    p = one(d);
    XT_EQ(p.valid, XW_PKT_XDP);
    XT_EQ(p.hw_ns, 0); /* never an invented value */
    m.magic ^= 1;
    XT_TRUE(fx_receive(0, pkt, sizeof pkt, &m));
    XT_EQ(one(d).valid, 0);
    xw_dev_close(d);
}

/* Releases clear the magic in every build, also where freed frames are not poisoned. */
XT_TEST(release_clears_the_magic) {
    struct xw_dev *d = open_dev(1);
    struct xw_meta m = { .xdp_ns = 5, .valid = XW_META_XDP, .magic = XW_META_MAGIC };
    uint8_t pkt[60] = { 1 };
    struct xw_pkt p;
    uint32_t magic;
    XT_TRUE(fx_receive(0, pkt, sizeof pkt, &m));
    XT_EQ(d->ops->rx_burst(d, &p, 1), 1);
    memcpy(&magic, p.data - sizeof magic, sizeof magic);
    XT_EQ(magic, XW_META_MAGIC);
    d->ops->rx_release(d, &p, 1);
    memcpy(&magic, p.data - sizeof magic, sizeof magic);
    XT_TRUE(magic != XW_META_MAGIC);
    xw_dev_close(d);
}

/* What no kernel should put into the ring is counted, its frame is used again, and good neighbours are delivered. */
XT_TEST(bad_descriptors_are_counted_and_survived) {
    struct xw_dev *d = open_dev(1);
    struct xw_pkt p[8];
    struct xw_dev_stats st;
    for (int i = 0; i < 100; i++) {
        fx_rx_desc(0, (struct xdp_desc){ .addr = fx_fill_pop(0) + 256, .len = 1793 });
        fx_rx_desc(0, (struct xdp_desc){ .addr = fx_fill_pop(0) + 256, .len = 0 });
        XT_TRUE(receive_number(0, 77));
        fx_rx_desc(0, (struct xdp_desc){ .addr = fx_fill_pop(0) + 256, .len = 1500, .options = 1 });
        fx_rx_desc(0, (struct xdp_desc){ .addr = fx_fill_pop(0), .len = 60 });
        fx_rx_desc(0, (struct xdp_desc){ .addr = UINT64_MAX - 8, .len = 60 });
        XT_EQ(d->ops->rx_burst(d, p, 8), 1);
        XT_EQ(number_of(&p[0]), 77);
        d->ops->rx_release(d, p, 1);
        XT_EQ(fx_used(&fx.s[0].r[FX_FILL]), 64);
    }
    XT_EQ(d->ops->stats(d, &st), XW_OK);
    XT_EQ(st.rx_bad, 500);
    XT_EQ(st.rx_frames, 100);
    xw_dev_close(d);
}

/* Each burst begins at another queue: one that is always full does not silence the others. */
XT_TEST(queues_take_turns) {
    struct xw_dev *d = open_dev(3);
    struct xw_pkt p[8];
    unsigned seen[3] = { 0 };
    for (int i = 0; i < 30; i++) {
        while (receive_number(0, 0)) { }
        receive_number(1, 1);
        receive_number(2, 2);
        unsigned n = d->ops->rx_burst(d, p, 8);
        XT_TRUE(n > 0);
        for (unsigned k = 0; k < n; k++) {
            XT_EQ(number_of(&p[k]), p[k].queue);
            seen[p[k].queue]++;
        }
        d->ops->rx_release(d, p, n);
    }
    XT_TRUE(seen[0] > 100);
    XT_TRUE(seen[1] >= 20 && seen[2] >= 20);
    xw_dev_close(d);
}

XT_TEST(kernel_counters_are_summed_over_the_sockets) {
    struct xw_dev *d = open_dev(3);
    struct xw_dev_stats st;
    XT_EQ(d->ops->stats(d, &st), XW_OK);
    XT_EQ(st.k_rx_dropped, 3);
    XT_EQ(st.k_rx_invalid, 6);
    XT_EQ(st.k_tx_invalid, 9);
    XT_EQ(st.k_rx_ring_full, 12);
    XT_EQ(st.k_fill_empty, 15);
    XT_EQ(st.k_tx_empty, 18);
    fx.fail_at = fx.calls + 2;
    XT_EQ(d->ops->stats(d, &st), XW_ESYS);
    XT_EQ(st.k_rx_dropped, 2);
    xw_dev_close(d);
}

XT_MAIN(XT_RUN(ten_thousand_in_order_without_a_call), XT_RUN(full_ring_then_recovery),
        XT_RUN(driver_ring_cannot_take_the_frames_of_transmit), XT_RUN(wakeup_of_fill_only_when_asked),
        XT_RUN(busy_poll_drives_the_driver), XT_RUN(nic_time_is_converted_or_not_valid),
        XT_RUN(metadata_is_believed_once), XT_RUN(release_clears_the_magic),
        XT_RUN(bad_descriptors_are_counted_and_survived), XT_RUN(queues_take_turns),
        XT_RUN(kernel_counters_are_summed_over_the_sockets))
