#include "xt_fakexsk.h"
#include "xt.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Offsets inside a mapped ring, as the kernel reports them: indices on cache lines of their own. */
enum { OFF_PROD = 0, OFF_CONS = 64, OFF_FLAGS = 128, OFF_DESC = 192 };

struct fx fx;

void fx_reset(void) {
    memset(&fx, 0, sizeof fx);
    fx.fail_errno = ENOMEM;
}

static bool fails(void) {
    if (++fx.calls != fx.fail_at)
        return false;
    errno = fx.fail_errno;
    return true;
}

static struct fx_sock *sock_of(int fd) {
    XT_TRUE(fd >= 100 && fd < 100 + FX_QUEUES && fx.s[fd - 100].open);
    return &fx.s[fd - 100];
}

static int fx_socket(int domain, int type, int protocol) {
    (void)type, (void)protocol;
    XT_EQ(domain, AF_XDP);
    if (fails())
        return -1;
    for (int i = 0; i < FX_QUEUES; i++)
        if (!fx.s[i].open) {
            memset(&fx.s[i], 0, sizeof fx.s[i]);
            fx.s[i].open = true;
            return 100 + i;
        }
    errno = EMFILE;
    return -1;
}

static int fx_setsockopt(int fd, int level, int name, const void *val, socklen_t len) {
    struct fx_sock *s = sock_of(fd);
    if (fails())
        return -1;
    if (level != SOL_XDP || name == XDP_UMEM_REG)
        return 0;
    uint32_t n;
    XT_EQ(len, sizeof n);
    memcpy(&n, val, sizeof n);
    int which = name == XDP_UMEM_FILL_RING ? FX_FILL : name == XDP_UMEM_COMPLETION_RING ? FX_COMP
                : name == XDP_RX_RING ? FX_RX : FX_TX;
    s->r[which].len = n;
    return 0;
}

static int fx_getsockopt(int fd, int level, int name, void *val, socklen_t *len) {
    if (level == SOL_SOCKET && name == SO_INCOMING_NAPI_ID) {
        fx.napi_asked++;
        memcpy(val, &fx.napi_id, sizeof fx.napi_id);
        return 0;
    }
    XT_EQ(level, SOL_XDP);
    sock_of(fd);
    if (fails())
        return -1;
    memset(val, 0, *len);
    if (name == XDP_MMAP_OFFSETS) {
        struct xdp_ring_offset o = { OFF_PROD, OFF_CONS, OFF_DESC, OFF_FLAGS };
        *(struct xdp_mmap_offsets *)val = (struct xdp_mmap_offsets){ o, o, o, o };
    } else if (name == XDP_OPTIONS) {
        ((struct xdp_options *)val)->flags = fx.zero_copy ? XDP_OPTIONS_ZEROCOPY : 0;
    } else if (name == XDP_STATISTICS) {
        *(struct xdp_statistics *)val = (struct xdp_statistics){ 1, 2, 3, 4, 5, 6 };
    }
    return 0;
}

static void *fx_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off) {
    (void)addr, (void)prot;
    if (flags & MAP_HUGETLB && fx.no_huge) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (fails())
        return MAP_FAILED;
    uint8_t *p = calloc(1, len);
    XT_TRUE(p != NULL);
    fx.maps++;
    if (fd < 0)
        return fx.umem = p;
    struct fx_sock *s = sock_of(fd);
    uint64_t at = (uint64_t)off;
    int which = at == XDP_UMEM_PGOFF_FILL_RING ? FX_FILL : at == XDP_UMEM_PGOFF_COMPLETION_RING ? FX_COMP
                : at == XDP_PGOFF_RX_RING ? FX_RX : FX_TX;
    struct fx_ring *r = &s->r[which];
    size_t entry = which == FX_RX || which == FX_TX ? sizeof(struct xdp_desc) : sizeof(uint64_t);
    XT_EQ(len, OFF_DESC + r->len * entry);
    r->prod = (uint32_t *)(void *)(p + OFF_PROD);
    r->cons = (uint32_t *)(void *)(p + OFF_CONS);
    r->flags = (uint32_t *)(void *)(p + OFF_FLAGS);
    r->desc = p + OFF_DESC;
    return p;
}

static int fx_munmap(void *addr, size_t len) {
    (void)len;
    for (int i = 0; i < FX_QUEUES; i++)
        for (int k = 0; k < FX_RINGS; k++)
            if (fx.s[i].r[k].prod == addr) {
                XT_TRUE(fx.s[i].open); /* a ring is unmapped before its socket is closed */
                fx.s[i].r[k].prod = NULL;
            }
    free(addr);
    fx.maps--;
    return 0;
}

static int fx_bind(int fd, const void *addr, socklen_t len) {
    struct fx_sock *s = sock_of(fd);
    XT_EQ(len, sizeof s->addr);
    memcpy(&s->addr, addr, len);
    s->fill_at_bind = fx_used(&s->r[FX_FILL]);
    fx.binds++;
    if (fx.busy_binds) {
        fx.busy_binds--;
        errno = EBUSY;
        return -1;
    }
    if (s != fx.s && fx.bind_errno_of_second && !(fx.s[0].addr.sxdp_flags & XDP_COPY)) {
        errno = fx.bind_errno_of_second;
        return -1;
    }
    if (fails())
        return -1;
    s->bound = true;
    return 0;
}

static int fx_close(int fd) {
    struct fx_sock *s = sock_of(fd);
    for (int k = 0; k < FX_RINGS; k++)
        XT_TRUE(s->r[k].prod == NULL);
    s->open = s->bound = false;
    return 0;
}

static int fx_wake_tx(int fd) {
    struct fx_sock *s = sock_of(fd);
    fx.tx_wakes++;
    return fx.on_tx ? fx.on_tx(s) : 0;
}

static int fx_wake_rx(int fd) {
    sock_of(fd);
    fx.rx_wakes++;
    return 0;
}

static void fx_sleep_ms(unsigned ms) { fx.slept_ms += ms; }

const struct xw_xsk_sys fx_sys = {
    .socket = fx_socket, .setsockopt = fx_setsockopt, .getsockopt = fx_getsockopt, .mmap = fx_mmap, .munmap = fx_munmap,
    .bind = fx_bind, .close = fx_close, .wake_tx = fx_wake_tx, .wake_rx = fx_wake_rx, .sleep_ms = fx_sleep_ms,
};

uint32_t fx_used(const struct fx_ring *r) { return *r->prod - *r->cons; }

uint64_t fx_fill_pop(unsigned n) {
    struct fx_ring *f = &fx.s[n].r[FX_FILL];
    XT_TRUE(fx_used(f) > 0);
    return ((uint64_t *)f->desc)[(*f->cons)++ & (f->len - 1)];
}

void fx_rx_desc(unsigned n, struct xdp_desc d) {
    struct fx_ring *r = &fx.s[n].r[FX_RX];
    XT_TRUE(fx_used(r) < r->len);
    ((struct xdp_desc *)r->desc)[*r->prod & (r->len - 1)] = d;
    (*r->prod)++;
}

bool fx_receive(unsigned n, const void *pkt, uint32_t len, const void *meta) {
    struct fx_sock *s = &fx.s[n];
    if (!fx_used(&s->r[FX_FILL]) || fx_used(&s->r[FX_RX]) == s->r[FX_RX].len)
        return false;
    uint64_t addr = fx_fill_pop(n) + 256;
    memcpy(fx.umem + addr, pkt, len);
    if (meta)
        memcpy(fx.umem + addr - 32, meta, 32);
    fx_rx_desc(n, (struct xdp_desc){ .addr = addr, .len = len });
    return true;
}

uint32_t fx_tx_take(struct fx_sock *s, struct xdp_desc *out, uint32_t max) {
    struct fx_ring *r = &s->r[FX_TX];
    uint32_t n = 0;
    for (; n < max && fx_used(r); n++)
        out[n] = ((struct xdp_desc *)r->desc)[(*r->cons)++ & (r->len - 1)];
    return n;
}

bool fx_complete(struct fx_sock *s, uint64_t addr) {
    struct fx_ring *r = &s->r[FX_COMP];
    if (fx_used(r) == r->len)
        return false;
    ((uint64_t *)r->desc)[(*r->prod)++ & (r->len - 1)] = addr;
    return true;
}

int fx_copy_mode_tx(struct fx_sock *s) {
    struct xdp_desc d;
    for (int i = 0; i < 32; i++) {
        if (fx_used(&s->r[FX_COMP]) == s->r[FX_COMP].len)
            break;
        if (!fx_tx_take(s, &d, 1))
            return 0;
        fx_complete(s, d.addr);
    }
    if (!fx_used(&s->r[FX_TX]))
        return 0;
    errno = EAGAIN;
    return -1;
}
