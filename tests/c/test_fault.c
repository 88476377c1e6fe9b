#include "base/err.h"
#include "base/limits.h"
#include "dev/fault.h"
#include "dev/pair.h"
#include "xt.h"
#include "xw.h"

#define CNT 20000u
#define ALWAYS 1000000u

/* f: wrapped end; far: the other end of the memory link. */
static struct xw_dev *f, *far;

static void open_fault(const struct xw_fault_cfg *cfg) {
    const struct xw_pair_cfg pc = { .frames = 4096 };
    struct xw_dev *near;
    XT_EQ(xw_pair_open(&pc, &near, &far), XW_OK);
    XT_EQ(xw_fault_open(near, cfg, &f), XW_OK);
}

static void close_fault(void) {
    xw_dev_close(f);
    xw_dev_close(far);
}

static void send_number(struct xw_dev *d, uint32_t n) {
    struct xw_txbuf b;
    XT_EQ(d->ops->tx_reserve(d, &b), XW_OK);
    memset(b.data, 0x55, 64);
    memcpy(b.data, &n, sizeof n);
    d->ops->tx_submit(d, &b, 64);
    XT_EQ(d->ops->tx_flush(d), XW_OK);
}

/* Receives all that is there: the numbers, and how many bytes are not as they were sent. */
static uint32_t receive(struct xw_dev *d, uint32_t *out, uint32_t max, uint32_t *damaged) {
    struct xw_pkt p[XW_RX_BURST_MAX];
    uint32_t cnt = 0;
    for (unsigned n; (n = d->ops->rx_burst(d, p, XW_RX_BURST_MAX)) != 0;) {
        for (unsigned i = 0; i < n; i++) {
            XT_EQ(p[i].len, 64);
            XT_TRUE(cnt < max);
            memcpy(&out[cnt++], p[i].data, 4);
            for (unsigned k = 4; damaged && k < 64; k++)
                *damaged += p[i].data[k] != 0x55;
        }
        d->ops->rx_release(d, p, n);
    }
    return cnt;
}

/* Sends CNT frames through the faulty direction (rx: towards f) and returns what arrives. */
static uint32_t run(bool rx, uint32_t *out, uint32_t max, uint32_t *damaged) {
    struct xw_dev *from = rx ? far : f, *to = rx ? f : far;
    uint32_t got = 0;
    for (uint32_t i = 0; i < CNT; i++) {
        f->ops->tick(f, i * 1000ull);
        send_number(from, i);
        got += receive(to, out + got, max - got, damaged);
    }
    for (uint64_t t; (t = f->ops->deadline(f)) != XW_NEVER;) { /* what waits comes when deadline says */
        f->ops->tick(f, t);
        XT_EQ(f->ops->tx_flush(f), XW_OK);
        got += receive(to, out + got, max - got, damaged);
    }
    return got;
}

static uint32_t got[2 * CNT + 10];

/* About the rate asked for, exactly as counted, in both directions. */
XT_TEST(loss_and_duplication_are_exact) {
    for (int rx = 0; rx < 2; rx++) {
        struct xw_fault_rates r = { .loss_ppm = 10000, .dup_ppm = 20000 };
        struct xw_fault_cfg cfg = { .seed = { 7 } };
        struct xw_fault_counts c, other;
        *(rx ? &cfg.rx : &cfg.tx) = r;
        open_fault(&cfg);
        uint32_t n = run(rx, got, 2 * CNT, NULL);
        xw_fault_counts(f, rx ? &c : &other, rx ? &other : &c);
        XT_EQ(c.seen, CNT);
        XT_EQ(n, CNT - c.lost + c.duplicated);
        XT_EQ(c.out, n);
        XT_TRUE(c.lost > CNT / 100 / 2 && c.lost < CNT / 100 * 2);
        XT_TRUE(c.duplicated > CNT / 50 / 2 && c.duplicated < CNT / 50 * 2);
        XT_EQ(other.seen, 0);
        uint32_t twice = 0;
        for (uint32_t i = 1; i < n; i++) {
            XT_TRUE(got[i] >= got[i - 1]);
            twice += got[i] == got[i - 1];
        }
        XT_EQ(twice, c.duplicated);
        close_fault();
    }
}

/* A reordered frame comes right behind its successor; nothing is lost, and the count is that of the swaps. */
XT_TEST(reordering_swaps_neighbours) {
    for (int rx = 0; rx < 2; rx++) {
        struct xw_fault_cfg cfg = { .seed = { 8 } };
        struct xw_fault_counts c, other;
        (rx ? &cfg.rx : &cfg.tx)->reorder_ppm = 50000;
        open_fault(&cfg);
        uint32_t n = run(rx, got, 2 * CNT, NULL), swaps = 0;
        xw_fault_counts(f, rx ? &c : &other, rx ? &other : &c);
        XT_EQ(n, CNT);
        for (uint32_t i = 0; i < n; i++)
            if (got[i] == i + 1) {
                XT_EQ(got[i + 1], i);
                swaps++;
                i++;
            } else {
                XT_EQ(got[i], i);
            }
        XT_EQ(c.reordered, swaps);
        XT_TRUE(swaps > CNT / 20 / 2 && swaps < CNT / 10);
        close_fault();
    }
}

/* The last frame has no successor: it waits hold_ns, which deadline() tells, and is not counted as reordered. */
XT_TEST(held_frame_is_not_held_for_ever) {
    struct xw_fault_cfg cfg = { .rx = { .reorder_ppm = ALWAYS, .hold_ns = 5000 }, .seed = { 1 } };
    struct xw_fault_counts c;
    open_fault(&cfg);
    f->ops->tick(f, 1000);
    send_number(far, 1);
    XT_EQ(receive(f, got, 1, NULL), 0);
    XT_EQ(f->ops->deadline(f), 6000);
    f->ops->tick(f, 5999);
    XT_EQ(receive(f, got, 1, NULL), 0);
    f->ops->tick(f, 6000);
    XT_EQ(receive(f, got, 1, NULL), 1);
    XT_TRUE(f->ops->deadline(f) == XW_NEVER);
    xw_fault_counts(f, &c, NULL);
    XT_EQ(c.reordered, 0);
    close_fault();
}

XT_TEST(corruption_changes_one_byte) {
    struct xw_fault_cfg cfg = { .tx = { .corrupt_ppm = 100000 }, .seed = { 9 } };
    struct xw_fault_counts c;
    uint32_t damaged = 0, wrong_number = 0;
    open_fault(&cfg);
    uint32_t n = run(false, got, CNT, &damaged);
    xw_fault_counts(f, NULL, &c);
    XT_EQ(n, CNT);
    for (uint32_t i = 0; i < n; i++)
        wrong_number += got[i] != i;
    XT_EQ(damaged + wrong_number, c.corrupted);
    XT_TRUE(c.corrupted > CNT / 20 && c.corrupted < CNT / 5);
    close_fault();
}

/* All delayed by the same time: order is kept. With jitter every frame still comes once, within its bounds. */
XT_TEST(delay_by_the_clock_of_tick) {
    struct xw_fault_cfg cfg = { .rx = { .delay_ppm = ALWAYS, .delay_ns = 10000 }, .seed = { 3 }, .frames = 32 };
    struct xw_fault_counts c;
    open_fault(&cfg);
    f->ops->tick(f, 0);
    for (uint32_t i = 0; i < 10; i++)
        send_number(far, i);
    XT_EQ(receive(f, got, 10, NULL), 0);
    XT_EQ(f->ops->deadline(f), 10000);
    f->ops->tick(f, 9999);
    XT_EQ(receive(f, got, 10, NULL), 0);
    f->ops->tick(f, 10000);
    XT_EQ(receive(f, got, 10, NULL), 10);
    for (uint32_t i = 0; i < 10; i++)
        XT_EQ(got[i], i);
    struct xw_fault_rates r = { .delay_ppm = ALWAYS, .delay_ns = 1000, .jitter_ns = 5000 };
    XT_EQ(xw_fault_set(f, &r, NULL), XW_OK);
    for (uint32_t i = 0; i < 30; i++)
        send_number(far, i);
    uint32_t n = 0, seen = 0;
    for (uint64_t t; receive(f, got, 0, NULL), (t = f->ops->deadline(f)) != XW_NEVER;) {
        XT_TRUE(t >= 11000 && t <= 16000);
        f->ops->tick(f, t);
        n += receive(f, got + n, 30 - n, NULL);
    }
    XT_EQ(n, 30);
    for (uint32_t i = 0; i < n; i++)
        seen |= 1u << got[i];
    XT_EQ(seen, (1u << 30) - 1);
    /* the store is bounded: what does not fit is lost and counted */
    for (uint32_t i = 0; i < 40; i++)
        send_number(far, i);
    XT_EQ(receive(f, got, 0, NULL), 0);
    XT_EQ(receive(f, got, 0, NULL), 0);
    xw_fault_counts(f, &c, NULL);
    XT_EQ(c.overflow, 8);
    XT_EQ(c.delayed, 10 + 30 + 32);
    close_fault();
}

static uint64_t digest(uint8_t seed) {
    struct xw_fault_cfg cfg = { .seed = { seed } };
    cfg.rx = (struct xw_fault_rates){ .loss_ppm = 10000, .dup_ppm = 10000, .reorder_ppm = 10000, .corrupt_ppm = 10000,
                                      .delay_ppm = 10000, .delay_ns = 3000, .jitter_ns = 3000 };
    open_fault(&cfg);
    uint64_t h = 0;
    uint32_t n = run(true, got, 2 * CNT, NULL);
    for (uint32_t i = 0; i < n; i++)
        h = h * 1000003 + got[i];
    close_fault();
    return h;
}

XT_TEST(same_seed_same_faults) {
    XT_TRUE(digest(1) == digest(1));
    XT_TRUE(digest(1) != digest(2));
}

/* The inner device is full: transmit says so, keeps what waits, and delivers all of it in order later. */
XT_TEST(inner_device_full) {
    const struct xw_pair_cfg pc = { .frames = 4 };
    struct xw_fault_cfg cfg = { .frames = 8 };
    struct xw_dev *near;
    struct xw_txbuf b;
    XT_EQ(xw_pair_open(&pc, &near, &far), XW_OK);
    XT_EQ(xw_fault_open(near, &cfg, &f), XW_OK);
    uint32_t sent = 0, n = 0;
    while (f->ops->tx_reserve(f, &b) == XW_OK) {
        memset(b.data, 0, 64);
        memcpy(b.data, &sent, 4);
        f->ops->tx_submit(f, &b, 64);
        sent++;
    }
    XT_EQ(sent, 8);
    XT_EQ(f->ops->tx_flush(f), XW_EAGAIN);
    XT_EQ(receive(far, got, 8, NULL), 4);
    n = 4;
    XT_EQ(f->ops->tx_flush(f), XW_OK);
    n += receive(far, got + n, 4, NULL);
    XT_EQ(n, 8);
    for (uint32_t i = 0; i < n; i++)
        XT_EQ(got[i], i);
    struct xw_dev_stats st;
    XT_EQ(f->ops->stats(f, &st), XW_OK);
    XT_TRUE(st.tx_no_frame >= 1);
    XT_EQ(st.tx_frames, 8);
    close_fault();
}

XT_TEST(refuses_rates_above_always) {
    struct xw_fault_cfg cfg = { .rx = { .loss_ppm = ALWAYS + 1 } };
    struct xw_dev *near, *out = NULL;
    struct xw_dev_caps caps;
    XT_EQ(xw_pair_open(NULL, &near, &far), XW_OK);
    XT_EQ(xw_fault_open(near, &cfg, &out), XW_EINVAL);
    cfg.rx.loss_ppm = ALWAYS;
    XT_EQ(xw_fault_open(near, &cfg, &f), XW_OK);
    struct xw_fault_rates bad = { .delay_ppm = ALWAYS + 1 };
    XT_EQ(xw_fault_set(f, NULL, &bad), XW_EINVAL);
    f->ops->caps(f, &caps);
    XT_STR(caps.kind, "fault");
    XT_EQ(caps.mtu, 1500);
    XT_EQ(f->ops->fd(f, 0), -1);
    send_number(far, 1);
    XT_EQ(receive(f, got, 0, NULL), 0);
    close_fault();
}

XT_MAIN(XT_RUN(loss_and_duplication_are_exact), XT_RUN(reordering_swaps_neighbours),
        XT_RUN(held_frame_is_not_held_for_ever), XT_RUN(corruption_changes_one_byte),
        XT_RUN(delay_by_the_clock_of_tick), XT_RUN(same_seed_same_faults), XT_RUN(inner_device_full),
        XT_RUN(refuses_rates_above_always))
