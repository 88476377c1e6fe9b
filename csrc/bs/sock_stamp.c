/* bs/sock_stamp.c: see the header. */
#include "bs/sock_stamp.h"
#include "base/limits.h"
#include <linux/net_tstamp.h>
#include <string.h>
#include <time.h>

#define SAMPLES 4           /* one in four is free of an interrupt even on a busy core */
#define RESAMPLE_NS XW_NS_PER_S

static uint64_t read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * XW_NS_PER_S + (uint64_t)t.tv_nsec;
}

void xw_sock_clock_sample(struct xw_sock_clock *c) {
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t before = read_clock(CLOCK_MONOTONIC);
        uint64_t real = read_clock(CLOCK_REALTIME);
        uint64_t after = read_clock(CLOCK_MONOTONIC);
        if (after - before >= best)
            continue;
        best = after - before;
        c->offset_ns = (int64_t)(real - (before + best / 2));
        c->error_ns = best / 2;
        c->sampled_ns = after;
    }
}

void xw_sock_stamp_enable(struct xw_sock_clock *c, int fd) {
    int flags = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_RAW_HARDWARE |
                SOF_TIMESTAMPING_RX_HARDWARE;
    c->on = !setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags);
    if (c->on)
        xw_sock_clock_sample(c);
}

static uint64_t ns_of(const struct timespec *t) { return (uint64_t)t->tv_sec * XW_NS_PER_S + (uint64_t)t->tv_nsec; }

void xw_sock_stamp(struct xw_sock_clock *c, const struct msghdr *m, uint64_t now_ns, struct xw_rxstamp *out) {
    *out = (struct xw_rxstamp){ 0 };
    if (!c->on)
        return;
    if (now_ns > c->sampled_ns + RESAMPLE_NS)
        xw_sock_clock_sample(c);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR((struct msghdr *)(uintptr_t)m, h)) {
        struct timespec ts[3]; /* software, unused, hardware */
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_TIMESTAMPING || h->cmsg_len < CMSG_LEN(sizeof ts))
            continue;
        memcpy(ts, CMSG_DATA(h), sizeof ts);
        if (ts[0].tv_sec || ts[0].tv_nsec) {
            out->kern_ns = ns_of(&ts[0]) - (uint64_t)c->offset_ns;
            out->valid |= XW_RXS_KERN;
        }
        if (ts[2].tv_sec || ts[2].tv_nsec) {
            out->hw_ns = ns_of(&ts[2]);
            out->valid |= XW_RXS_HW;
        }
    }
}
