/* dev/xsk_setup.c: opening and closing the AF_XDP device. Each failure names its step (xw_setup_error) and takes
 * back what the steps before it did.
 *
 * Order: UMEM memory, frame pool, then for each queue: socket, (first: register the UMEM), ring sizes, maps, FILL,
 * bind. A socket after the first shares the UMEM and takes its mode from the first. */
#include "dev/xsk_priv.h"
#include "base/err.h"
#include "base/setup_error.h"
#include <errno.h>
#include <shared.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define HUGE_PAGE (2u << 20)
#define PAGE 4096u
/* Packets that one busy-poll call may handle, and for how long it spins when there are none: net.core.busy_read of
 * the same size is what vendors advise; the budget is NAPI's own. */
#define BUSY_POLL_US 20
#define BUSY_POLL_BUDGET 64

static int real_bind(int fd, const void *addr, socklen_t len) { return bind(fd, addr, len); }
static int real_wake_tx(int fd) { return sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? -1 : 0; }
static int real_wake_rx(int fd) { return recvfrom(fd, NULL, 0, MSG_DONTWAIT, NULL, NULL) < 0 ? -1 : 0; }
static void real_sleep_ms(unsigned ms) {
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    while (nanosleep(&t, &t) && errno == EINTR) { }
}

const struct xw_xsk_sys xw_xsk_sys_real = {
    .socket = socket, .setsockopt = setsockopt, .getsockopt = getsockopt, .mmap = mmap, .munmap = munmap,
    .bind = real_bind, .close = close, .wake_tx = real_wake_tx, .wake_rx = real_wake_rx, .sleep_ms = real_sleep_ms,
};

static uint32_t rx_quota(const struct xw_xsk_cfg *c) { return 2 * c->rx_len + XW_RX_BURST_MAX; }

uint32_t xw_xsk_frames_needed(const struct xw_xsk_cfg *c) { return c->queue_cnt * rx_quota(c) + 2 * c->tx_len; }

static bool ring_len_ok(uint32_t n) { return n >= XW_XSK_RING_MIN && n <= XW_XSK_RING_MAX && !(n & (n - 1)); }

static int check_cfg(const struct xw_xsk_cfg *c) {
    const char *wrong =
        !c->ifindex ? "ifindex: 0 is no interface"
        : !c->queue_cnt || c->queue_cnt > XW_QUEUES_MAX ? "queue_cnt: 1 to 64"
        : c->queue_first > UINT16_MAX - XW_QUEUES_MAX ? "queue_first: no device has so many queues"
        : c->frame_len != 2048 && c->frame_len != 4096 ? "frame_len: 2048 or 4096"
        : !ring_len_ok(c->rx_len) || !ring_len_ok(c->tx_len) ? "rx_len, tx_len: a power of two from 64 to 32768"
        : c->mtu < XW_MTU_MIN ? "mtu: below 68"
        : c->mtu > c->frame_len - XW_XSK_DATA_OFF - XW_ETH_HDR_MAX
            ? "mtu: a frame of this size does not fit into frame_len (take 4096, or a smaller MTU on the interface)"
        : c->zero_copy > XW_ZC_OFF ? "zero_copy: not one of enum xw_zc"
        : c->generic && c->zero_copy == XW_ZC_ON ? "zero_copy: not possible with a program in generic mode"
        : c->meta_len && c->meta_len != sizeof(struct xw_meta) ? "meta_len: not what this build knows (bpf/shared.h)"
        : NULL;
    return wrong ? xw_setup_fail_text(XW_EINVAL, "AF_XDP configuration", wrong) : XW_OK;
}

/* The kernel pins the pages anyway, so they are touched now rather than under the first packets. */
static int map_umem(struct xw_xsk *x) {
    size_t len = (size_t)xw_xsk_frames_needed(&x->cfg) * x->cfg.frame_len;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    if (x->cfg.huge_pages) {
        size_t round = (len + HUGE_PAGE - 1) & ~((size_t)HUGE_PAGE - 1);
        void *p = x->sys->mmap(NULL, round, PROT_READ | PROT_WRITE, flags | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0);
        if (p != MAP_FAILED) {
            x->umem = p;
            x->umem_len = round;
            x->huge = true;
            return XW_OK;
        }
    }
    len = (len + PAGE - 1) & ~((size_t)PAGE - 1);
    void *p = x->sys->mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED)
        return xw_setup_failf(XW_ENOMEM, "map %zu bytes for the UMEM", len);
    x->umem = p;
    x->umem_len = len;
    return XW_OK;
}

struct ring { const char *name; int opt; uint64_t pgoff; const struct xdp_ring_offset *off; uint32_t cnt, entry_len; };

static int map_ring(struct xw_xsk *x, struct xw_xsk_queue *q, const struct ring *r, unsigned which) {
    size_t len = r->off->desc + (size_t)r->cnt * r->entry_len;
    void *p = x->sys->mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, q->fd, (off_t)r->pgoff);
    if (p == MAP_FAILED)
        return xw_setup_failf(XW_ESYS, "map the %s ring of queue %u", r->name, q->id);
    q->map[which].p = p;
    q->map[which].len = len;
    return XW_OK;
}

/* Points a libxdp ring at mapped memory; prod and cons rings are alike in all but their type. */
#define POINT_RING(r, which) \
    do { \
        uint8_t *base = q->map[which].p; \
        (r)->size = rings[which].cnt; \
        (r)->mask = rings[which].cnt - 1; \
        (r)->producer = (uint32_t *)(void *)(base + rings[which].off->producer); \
        (r)->consumer = (uint32_t *)(void *)(base + rings[which].off->consumer); \
        (r)->flags = (uint32_t *)(void *)(base + rings[which].off->flags); \
        (r)->ring = base + rings[which].off->desc; \
        (r)->cached_prod = *(r)->producer; \
        (r)->cached_cons = *(r)->consumer; \
    } while (0)

static int make_rings(struct xw_xsk *x, struct xw_xsk_queue *q) {
    const bool sends = q == x->q;
    /* Nothing is ever completed on a queue that does not send, but the kernel wants the ring. */
    const uint32_t comp = sends ? x->cfg.tx_len : XW_XSK_RING_MIN;
    struct xdp_mmap_offsets o;
    socklen_t olen = sizeof o;
    const struct ring rings[XW_XSK_MAPS] = {
        { "FILL", XDP_UMEM_FILL_RING, XDP_UMEM_PGOFF_FILL_RING, &o.fr, x->cfg.rx_len, sizeof(uint64_t) },
        { "COMPLETION", XDP_UMEM_COMPLETION_RING, XDP_UMEM_PGOFF_COMPLETION_RING, &o.cr, comp, sizeof(uint64_t) },
        { "RX", XDP_RX_RING, XDP_PGOFF_RX_RING, &o.rx, x->cfg.rx_len, sizeof(struct xdp_desc) },
        { "TX", XDP_TX_RING, XDP_PGOFF_TX_RING, &o.tx, x->cfg.tx_len, sizeof(struct xdp_desc) },
    };
    const unsigned cnt = sends ? XW_XSK_MAPS : XW_XSK_MAP_TX;
    for (unsigned i = 0; i < cnt; i++)
        if (x->sys->setsockopt(q->fd, SOL_XDP, rings[i].opt, &rings[i].cnt, sizeof rings[i].cnt))
            return xw_setup_failf(XW_ESYS, "make the %s ring of queue %u with %u entries", rings[i].name, q->id,
                                  rings[i].cnt);
    if (x->sys->getsockopt(q->fd, SOL_XDP, XDP_MMAP_OFFSETS, &o, &olen))
        return xw_setup_failf(XW_ESYS, "ask for the ring offsets of queue %u", q->id);
    if (olen != sizeof o)
        return xw_setup_fail_text(XW_ESYS, "ask for the ring offsets", "the kernel has no need_wakeup flags; 5.4 does");
    for (unsigned i = 0; i < cnt; i++) {
        int rc = map_ring(x, q, &rings[i], i);
        if (rc)
            return rc;
    }
    POINT_RING(&q->fill, XW_XSK_MAP_FILL);
    POINT_RING(&q->comp, XW_XSK_MAP_COMP);
    POINT_RING(&q->rx, XW_XSK_MAP_RX);
    q->fill.cached_cons += q->fill.size; /* ahead by the size, as xsk_prod_nb_free keeps it */
    if (sends) {
        POINT_RING(&q->tx, XW_XSK_MAP_TX);
        q->tx.cached_cons += q->tx.size;
    }
    return XW_OK;
}

static int bind_queue(struct xw_xsk *x, const struct xw_xsk_queue *q, uint16_t mode) {
    const bool first = q == x->q;
    struct sockaddr_xdp a = { .sxdp_family = AF_XDP, .sxdp_ifindex = x->cfg.ifindex, .sxdp_queue_id = q->id };
    a.sxdp_flags = first ? (uint16_t)(mode | XDP_USE_NEED_WAKEUP) : XDP_SHARED_UMEM;
    a.sxdp_shared_umem_fd = first ? 0 : (uint32_t)x->q[0].fd;
    for (unsigned tries = 0;; tries++) {
        if (!x->sys->bind(q->fd, &a, sizeof a))
            return XW_OK;
        if (errno != EBUSY || tries == XW_XSK_BIND_TRIES)
            return xw_setup_failf(XW_ESYS, "bind an AF_XDP socket to queue %u of interface %u", q->id, x->cfg.ifindex);
        x->sys->sleep_ms(1);
    }
}

static int open_queue(struct xw_xsk *x, struct xw_xsk_queue *q, uint16_t mode) {
    q->fd = x->sys->socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (q->fd < 0) {
        q->fd = -1;
        return xw_setup_failf(XW_ESYS, "open an AF_XDP socket for queue %u", q->id);
    }
    if (q == x->q) {
        struct xdp_umem_reg reg = { .addr = (uint64_t)(uintptr_t)x->umem, .len = x->umem_len,
                                    .chunk_size = x->cfg.frame_len };
        if (x->sys->setsockopt(q->fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof reg))
            return xw_setup_failf(XW_ESYS, "register the UMEM of %zu bytes", x->umem_len);
    }
    int rc = make_rings(x, q);
    if (rc)
        return rc;
    while (xw_xsk_refill(x, q)) { }
    return bind_queue(x, q, mode);
}

/* Rings are unmapped before the socket is closed: a map keeps the socket, and so the queue, alive. */
static void close_queue(struct xw_xsk *x, struct xw_xsk_queue *q) {
    int keep = errno;
    for (unsigned i = 0; i < XW_XSK_MAPS; i++) {
        if (q->map[i].p)
            (void)x->sys->munmap(q->map[i].p, q->map[i].len);
        q->map[i].p = NULL;
    }
    if (q->fd >= 0)
        (void)x->sys->close(q->fd);
    q->fd = -1;
    q->held = 0;
    errno = keep;
}

static void close_queues(struct xw_xsk *x) {
    for (uint32_t i = x->cfg.queue_cnt; i--;)
        close_queue(x, &x->q[i]);
    xw_frames_reclaim(&x->frames); /* what the kernel held is ours again */
}

static int open_queues(struct xw_xsk *x, uint16_t mode) {
    for (uint32_t i = 0; i < x->cfg.queue_cnt; i++) {
        int rc = open_queue(x, &x->q[i], mode);
        if (rc) {
            close_queues(x);
            return rc;
        }
    }
    return XW_OK;
}

static void set_busy_poll(struct xw_xsk *x) {
    bool all = x->cfg.busy_poll;
    for (uint32_t i = 0; all && i < x->cfg.queue_cnt; i++) {
        int on = 1, us = BUSY_POLL_US, budget = BUSY_POLL_BUDGET;
        all = !x->sys->setsockopt(x->q[i].fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof on) &&
              !x->sys->setsockopt(x->q[i].fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof us) &&
              !x->sys->setsockopt(x->q[i].fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget, sizeof budget);
    }
    x->busy_poll = all;
}

/* Auto: the kernel tries zero-copy and takes copy if the driver has none. If the first queue gets zero-copy and a
 * later one does not, the kernel refuses the later one, and all of them are opened again in copy mode. */
static int open_in_mode(struct xw_xsk *x) {
    if (x->cfg.generic || x->cfg.zero_copy == XW_ZC_OFF)
        return open_queues(x, XDP_COPY);
    if (x->cfg.zero_copy == XW_ZC_ON)
        return open_queues(x, XDP_ZEROCOPY);
    int rc = open_queues(x, 0);
    if (!rc || (errno != EOPNOTSUPP && errno != EINVAL))
        return rc;
    rc = open_queues(x, XDP_COPY);
    if (!rc)
        xw_setup_clear();
    return rc;
}

static int read_mode(struct xw_xsk *x) {
    struct xdp_options o = { 0 };
    socklen_t len = sizeof o;
    if (x->sys->getsockopt(x->q[0].fd, SOL_XDP, XDP_OPTIONS, &o, &len))
        return xw_setup_fail(XW_ESYS, "ask whether the socket got zero-copy");
    x->zero_copy = o.flags & XDP_OPTIONS_ZEROCOPY;
    return XW_OK;
}

int xw_xsk_open_sys(const struct xw_xsk_cfg *cfg, const struct xw_xsk_sys *sys, struct xw_dev **out) {
    xw_setup_clear();
    int rc = check_cfg(cfg);
    if (rc)
        return rc;
    struct xw_xsk *x = calloc(1, sizeof *x + cfg->queue_cnt * sizeof x->q[0]);
    if (!x)
        return xw_setup_fail(XW_ENOMEM, "memory for the AF_XDP device");
    *x = (struct xw_xsk){ .dev = { &xw_xsk_ops }, .sys = sys, .cfg = *cfg, .rx_quota = rx_quota(cfg),
                          .tx_quota = 2 * cfg->tx_len, .frame_shift = (uint32_t)__builtin_ctz(cfg->frame_len),
                          .watchdog_ns = XW_XSK_WATCHDOG_NS };
    for (uint32_t i = 0; i < cfg->queue_cnt; i++) {
        x->q[i].fd = -1;
        x->q[i].id = cfg->queue_first + i;
    }
    if ((rc = map_umem(x)))
        goto err_free;
    if ((rc = xw_frames_init(&x->frames, x->umem, xw_xsk_frames_needed(cfg), cfg->frame_len))) {
        xw_setup_fail(rc, "memory for the frame tables");
        goto err_unmap;
    }
    if ((rc = open_in_mode(x)))
        goto err_frames;
    if ((rc = read_mode(x)))
        goto err_close;
    set_busy_poll(x);
    *out = &x->dev;
    return XW_OK;

err_close:
    close_queues(x);
err_frames:
    xw_frames_fini(&x->frames);
err_unmap:
    (void)sys->munmap(x->umem, x->umem_len);
err_free:
    free(x);
    return rc;
}

int xw_xsk_open(const struct xw_xsk_cfg *cfg, struct xw_dev **out) {
    if (!cfg || !out)
        return XW_EINVAL;
    return xw_xsk_open_sys(cfg, &xw_xsk_sys_real, out);
}

void xw_xsk_close(struct xw_dev *d) {
    struct xw_xsk *x = xw_xsk_of(d);
    const struct xw_xsk_sys *sys = x->sys;
    close_queues(x);
    xw_frames_fini(&x->frames);
    (void)sys->munmap(x->umem, x->umem_len);
    free(x);
}
