#include "base/err.h"
#include "base/setup_error.h"
#include "dev/dev.h"
#include "xt.h"
#include "xt_fakexsk.h"
#include <errno.h>
#include <shared.h>

static struct xw_xsk_cfg cfg_of(uint32_t queues) {
    return (struct xw_xsk_cfg){ .ifindex = 7, .queue_first = 2, .queue_cnt = queues, .frame_len = 2048, .rx_len = 64,
                                .tx_len = 64, .mtu = 1500, .busy_poll = 1, .meta_len = sizeof(struct xw_meta) };
}

static void nothing_left(void) {
    XT_EQ(fx.maps, 0);
    for (int i = 0; i < FX_QUEUES; i++)
        XT_TRUE(!fx.s[i].open);
}

/* Every call of set-up fails once; each time the step is named and nothing is left behind. Refused busy-poll options
 * are no failure: the last calls are those. */
XT_TEST(each_step_fails_in_turn_and_nothing_leaks) {
    struct xw_xsk_cfg cfg = cfg_of(2);
    unsigned failed = 0, busy_refused = 0;
    for (unsigned n = 1;; n++) {
        struct xw_dev *d = NULL;
        fx_reset();
        fx.fail_at = n;
        int rc = xw_xsk_open_sys(&cfg, &fx_sys, &d);
        if (rc) {
            int err = 0;
            XT_TRUE(rc == XW_ESYS || rc == XW_ENOMEM);
            XT_TRUE(strlen(xw_setup_error(&err)) > 10);
            XT_EQ(err, ENOMEM);
            XT_TRUE(d == NULL);
            nothing_left();
            failed++;
            continue;
        }
        XT_STR(xw_setup_error(NULL), "");
        busy_refused += !xw_xsk_busy_poll(d);
        xw_dev_close(d);
        nothing_left();
        if (fx.calls < n)
            break;
    }
    /* UMEM; per queue socket, 3 or 4 ring sizes, offsets, 3 or 4 maps, bind; UMEM_REG; XDP_OPTIONS */
    XT_EQ(failed, 1 + (1 + 1 + 4 + 1 + 4 + 1) + (1 + 3 + 1 + 3 + 1) + 1);
    XT_TRUE(busy_refused >= 3);
}

XT_TEST(fill_is_full_before_bind_and_sockets_share_one_umem) {
    struct xw_xsk_cfg cfg = cfg_of(3);
    struct xw_dev *d = NULL;
    uint32_t c[XW_FRAME_STATES];
    fx_reset();
    XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_OK);
    for (uint32_t i = 0; i < 3; i++) {
        XT_TRUE(fx.s[i].bound);
        XT_EQ(fx.s[i].fill_at_bind, 64);
        XT_EQ(fx.s[i].addr.sxdp_queue_id, 2 + i);
        XT_EQ(fx.s[i].addr.sxdp_ifindex, 7);
        XT_EQ(fx.s[i].addr.sxdp_flags, i ? XDP_SHARED_UMEM : XDP_USE_NEED_WAKEUP);
        XT_EQ(fx.s[i].addr.sxdp_shared_umem_fd, i ? 100 : 0);
        XT_EQ(xw_xsk_fd(d, 2 + i), 100 + (int)i);
        XT_EQ(d->ops->fd(d, i), 100 + (int)i);
    }
    XT_EQ(xw_xsk_fd(d, 1), -1);
    XT_EQ(xw_xsk_fd(d, 5), -1);
    XT_EQ(d->ops->fd(d, 3), -1);
    XT_EQ(xw_xsk_frames(d, c), 3 * (2 * 64 + 32) + 2 * 64);
    XT_EQ(xw_xsk_frames_needed(&cfg), 3 * (2 * 64 + 32) + 2 * 64);
    XT_EQ(c[XW_FRAME_FILL], 3 * 64);
    XT_EQ(xw_xsk_busy_poll(d), 1);
    xw_dev_close(d);
    nothing_left();
    xw_dev_close(NULL); /* as free() */
}

/* The kernel takes a former socket down in the background: bind is tried for a second. */
XT_TEST(busy_bind_is_retried_for_a_second) {
    struct xw_xsk_cfg cfg = cfg_of(1);
    struct xw_dev *d = NULL;
    fx_reset();
    fx.busy_binds = 1000;
    XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_OK);
    XT_EQ(fx.slept_ms, 1000);
    xw_dev_close(d);
    fx_reset();
    fx.busy_binds = 1001;
    int err = 0;
    XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_ESYS);
    XT_TRUE(strstr(xw_setup_error(&err), "queue 2 of interface 7") != NULL);
    XT_EQ(err, EBUSY);
    nothing_left();
}

XT_TEST(zero_copy_as_asked_or_as_found) {
    static const struct { uint8_t zc, generic; uint16_t flags; } rows[] = {
        { XW_ZC_AUTO, 0, 0 }, { XW_ZC_ON, 0, XDP_ZEROCOPY }, { XW_ZC_OFF, 0, XDP_COPY }, { XW_ZC_AUTO, 1, XDP_COPY },
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct xw_xsk_cfg cfg = cfg_of(1);
        struct xw_dev *d = NULL;
        struct xw_dev_caps caps;
        fx_reset();
        fx.zero_copy = i % 2;
        cfg.zero_copy = rows[i].zc;
        cfg.generic = rows[i].generic;
        XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_OK);
        XT_EQ(fx.s[0].addr.sxdp_flags, rows[i].flags | XDP_USE_NEED_WAKEUP);
        d->ops->caps(d, &caps);
        XT_EQ(caps.zero_copy, i % 2); /* what the kernel says, not what was asked */
        XT_STR(caps.kind, "xsk");
        XT_EQ(caps.mtu, 1500);
        XT_EQ(caps.queues, 1);
        xw_dev_close(d);
    }
}

/* First queue zero-copy, second not: auto opens all of them again in copy mode; on says why it failed. */
XT_TEST(auto_falls_back_when_a_later_queue_refuses) {
    struct xw_xsk_cfg cfg = cfg_of(2);
    struct xw_dev *d = NULL;
    fx_reset();
    fx.bind_errno_of_second = EOPNOTSUPP;
    XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_OK);
    XT_EQ(fx.binds, 4);
    XT_TRUE(fx.s[0].addr.sxdp_flags & XDP_COPY);
    XT_STR(xw_setup_error(NULL), "");
    xw_dev_close(d);
    nothing_left();
    fx_reset();
    fx.bind_errno_of_second = EOPNOTSUPP;
    cfg.zero_copy = XW_ZC_ON;
    int err = 0;
    XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_ESYS);
    XT_TRUE(strstr(xw_setup_error(&err), "queue 3") != NULL);
    XT_EQ(err, EOPNOTSUPP);
    nothing_left();
}

XT_TEST(huge_pages_with_a_stated_fallback) {
    struct xw_xsk_cfg cfg = cfg_of(1);
    struct xw_dev *d = NULL;
    cfg.huge_pages = 1;
    for (int refused = 0; refused < 2; refused++) {
        fx_reset();
        fx.no_huge = refused;
        XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_OK);
        XT_EQ(xw_xsk_huge_pages(d), !refused);
        xw_dev_close(d);
        nothing_left();
    }
}

XT_TEST(configuration_is_checked_before_anything_is_done) {
    static const struct { size_t off; uint32_t bad; } rows[] = {
#define F(f) offsetof(struct xw_xsk_cfg, f)
        { F(ifindex), 0 }, { F(queue_cnt), 0 }, { F(queue_cnt), 65 }, { F(queue_first), 65535 }, { F(frame_len), 1024 },
        { F(frame_len), 3000 }, { F(rx_len), 100 }, { F(rx_len), 32 }, { F(rx_len), 65536 }, { F(tx_len), 0 },
        { F(mtu), 67 }, { F(mtu), 1771 }, { F(mtu), UINT32_MAX }, { F(mtu), UINT32_MAX - 21 }, { F(meta_len), 16 },
#undef F
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct xw_xsk_cfg cfg = cfg_of(1);
        struct xw_dev *d = NULL;
        memcpy((uint8_t *)&cfg + rows[i].off, &rows[i].bad, sizeof rows[i].bad);
        fx_reset();
        XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_EINVAL);
        XT_TRUE(strstr(xw_setup_error(NULL), "AF_XDP configuration: ") != NULL);
        XT_EQ(fx.calls, 0);
    }
    struct xw_xsk_cfg cfg = cfg_of(1);
    struct xw_dev *d = NULL;
    cfg.generic = 1;
    cfg.zero_copy = XW_ZC_ON;
    XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_EINVAL);
    XT_EQ(xw_xsk_open(NULL, &d), XW_EINVAL);
    cfg = cfg_of(1);
    cfg.mtu = 1770;
    XT_EQ(xw_xsk_open_sys(&cfg, &fx_sys, &d), XW_OK);
    xw_dev_close(d);
}

XT_MAIN(XT_RUN(each_step_fails_in_turn_and_nothing_leaks), XT_RUN(fill_is_full_before_bind_and_sockets_share_one_umem),
        XT_RUN(busy_bind_is_retried_for_a_second), XT_RUN(zero_copy_as_asked_or_as_found),
        XT_RUN(auto_falls_back_when_a_later_queue_refuses), XT_RUN(huge_pages_with_a_stated_fallback),
        XT_RUN(configuration_is_checked_before_anything_is_done))
