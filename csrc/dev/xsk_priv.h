/* dev/xsk_priv.h: the body of the AF_XDP device; only xsk*.c and their tests include it.
 *
 * The rings are libxdp's structures and inline functions (xdp/xsk.h). Set-up is by system calls of our own, because
 * xsk_socket__create_shared maps the rings and binds in one call: only the first queue's FILL ring could be filled
 * before its bind, and a driver in zero-copy mode takes its first buffers there; it also gives one errno for nine
 * steps. The calls go through a table, so that tests let each of them fail and play the kernel over local memory. */
#ifndef XW_DEV_XSK_PRIV_H
#define XW_DEV_XSK_PRIV_H
#include "base/limits.h"
#include "dev/xsk.h"
#include <sys/socket.h>
#include <sys/types.h>
#include <xdp/xsk.h>

/* Where an outgoing frame begins in its chunk: as received ones do (XDP_PACKET_HEADROOM), on a cache line, and with
 * room for transmit metadata. */
#define XW_XSK_DATA_OFF 256u
/* Smallest and largest ring: one kick's batch twice, and what the largest NIC rings have, with room. */
#define XW_XSK_RING_MIN 64u
#define XW_XSK_RING_MAX 32768u
/* bind says EBUSY while the kernel still takes down a socket that was on the queue (asynchronous; some ms). */
#define XW_XSK_BIND_TRIES 1000u /* 1 ms apart; a loaded host has been seen to take more than 100 */
/* Completions missing for so long mean a lost wake-up: igc in zero-copy mode has it, and the flag may be read a
 * moment too early. Too short costs idle system calls; doubled up to the maximum while nothing moves (a link that is
 * down). */
#define XW_XSK_WATCHDOG_NS XW_NS_PER_MS
#define XW_XSK_WATCHDOG_MAX_NS (64 * XW_NS_PER_MS)
/* Descriptors that the copy-mode kernel sends in one call (TX_BATCH_SIZE in net/xdp/xsk.c). */
#define XW_XSK_KICK_BATCH 32u

struct xw_xsk_sys {
    int (*socket)(int domain, int type, int protocol);
    int (*setsockopt)(int fd, int level, int name, const void *val, socklen_t len);
    int (*getsockopt)(int fd, int level, int name, void *val, socklen_t *len);
    void *(*mmap)(void *addr, size_t len, int prot, int flags, int fd, off_t off);
    int (*munmap)(void *addr, size_t len);
    int (*bind)(int fd, const void *addr, socklen_t len);
    int (*close)(int fd);
    int (*wake_tx)(int fd); /* sendto(fd, NULL, 0, MSG_DONTWAIT): 0 or -1 with errno */
    int (*wake_rx)(int fd); /* recvfrom(fd, NULL, 0, MSG_DONTWAIT) */
    void (*sleep_ms)(unsigned ms);
};

enum { XW_XSK_MAP_FILL, XW_XSK_MAP_COMP, XW_XSK_MAP_RX, XW_XSK_MAP_TX, XW_XSK_MAPS };

/* Whether a busy-polling call on the queue's socket runs a driver. The kernel notes the driver's NAPI on the socket with the
 * first packet, and there may be none (veth): then the call is for nothing. */
enum xw_xsk_napi { XW_XSK_NAPI_UNKNOWN, XW_XSK_NAPI_RUNS, XW_XSK_NAPI_NONE };

struct xw_xsk_queue {
    int fd;                     /* -1: not open */
    uint32_t id;                /* receive queue of the interface */
    uint8_t napi;               /* enum xw_xsk_napi */
    uint32_t held;              /* frames of this queue in FILL, RX or STACK; at most rx_quota */
    struct xsk_ring_prod fill;
    struct xsk_ring_cons rx;
    struct xsk_ring_cons comp;  /* of the first queue: of all that we send */
    struct xsk_ring_prod tx;    /* only of the first queue */
    struct { void *p; size_t len; } map[XW_XSK_MAPS];
};

struct xw_xsk {
    struct xw_dev dev;
    const struct xw_xsk_sys *sys;
    struct xw_phc_line phc;  /* the NIC's clock; span_ns 0: its times are not valid */
    struct xw_xsk_cfg cfg;
    struct xw_frames frames;
    uint8_t *umem;
    size_t umem_len;
    uint32_t frame_shift;
    uint32_t rx_quota;          /* frames that a queue may hold */
    uint32_t tx_quota;          /* frames that transmit may hold */
    bool huge, zero_copy, busy_poll;
    /* receive */
    uint32_t next_queue;        /* where the next burst begins */
    uint32_t lent;              /* received frames that the caller has */
    /* transmit */
    uint32_t tx_held;           /* frames in STACK for transmit, TX or DONE; at most tx_quota */
    uint32_t tx_reserved;       /* of these: lent, so each of them is sure of a ring slot */
    uint32_t tx_staged;         /* descriptors written and not yet shown to the kernel */
    uint64_t now_ns;            /* of the last tick */
    uint64_t progress_ns;       /* last completion or kick by the watchdog */
    uint64_t watchdog_ns;       /* how long after it we kick again */
    struct xw_dev_stats stats;
    struct xw_xsk_queue q[];    /* cfg.queue_cnt */
};

static inline struct xw_xsk *xw_xsk_of(struct xw_dev *d) { return (struct xw_xsk *)d; }
static inline const struct xw_xsk *xw_xsk_of_const(const struct xw_dev *d) { return (const struct xw_xsk *)d; }

extern const struct xw_dev_ops xw_xsk_ops;
extern const struct xw_xsk_sys xw_xsk_sys_real;

/* xw_xsk_open_sys: xw_xsk_open with the system calls of this table. */
int xw_xsk_open_sys(const struct xw_xsk_cfg *cfg, const struct xw_xsk_sys *sys, struct xw_dev **out);
void xw_xsk_close(struct xw_dev *d);
/* xw_xsk_refill: fills the queue's FILL ring as far as its share of the pool goes; returns how many frames it got. */
uint32_t xw_xsk_refill(struct xw_xsk *x, struct xw_xsk_queue *q);
unsigned xw_xsk_rx_burst(struct xw_dev *d, struct xw_pkt *pkts, unsigned max);
void xw_xsk_rx_release(struct xw_dev *d, const struct xw_pkt *pkts, unsigned cnt);
int xw_xsk_tx_reserve(struct xw_dev *d, struct xw_txbuf *out);
void xw_xsk_tx_submit(struct xw_dev *d, const struct xw_txbuf *b, uint32_t len);
void xw_xsk_tx_cancel(struct xw_dev *d, const struct xw_txbuf *b);
int xw_xsk_tx_flush(struct xw_dev *d);
uint64_t xw_xsk_deadline(const struct xw_dev *d);
#endif
