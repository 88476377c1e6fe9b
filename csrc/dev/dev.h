/* dev/dev.h: the packet seam, below IP. A device gives received frames in bursts and takes frames to transmit. TCP
 * cannot tell which one is below: AF_XDP (dev/xsk.h), an in-memory pair (dev/pair.h), a pcap player (dev/player.h),
 * or a wrapper around another device (dev/fault.h, dev/tap.h).
 *
 * Receive: rx_burst lends frames; the caller returns every one of them by rx_release before it calls rx_burst again
 * (a frame lives no longer than the event array that shows it, so a slow reader cannot starve the FILL ring).
 * Transmit: tx_reserve lends one free frame, the caller writes a whole Ethernet frame into it and calls tx_submit
 * (or tx_cancel); tx_flush hands what was submitted to the link, with at most one system call per 32 frames, and
 * takes completions back. A frame is reused only after the device completed it. Payload that may have to be sent
 * again stays in the connection's send buffer until it is acknowledged, and is copied into a new frame then. No
 * function blocks. A device belongs to one engine and so to one thread. */
#ifndef XW_DEV_DEV_H
#define XW_DEV_DEV_H
#include "base/span.h"
#include <stdbool.h>

/* Validity bits of struct xw_pkt.valid. */
#define XW_PKT_HW 0x1u  /* hw_ns is the NIC's hardware time of arrival */
#define XW_PKT_XDP 0x2u /* xdp_ns is the time in the XDP program (or of entry in a memory device) */
#define XW_PKT_CSUM 0x4u /* the device has verified the L4 checksum */

struct xw_pkt {
    const uint8_t *data; /* first byte of the Ethernet header */
    uint32_t len;        /* bytes, without FCS */
    uint32_t frame;      /* the device's own id of the buffer; only for rx_release */
    uint16_t queue;      /* receive queue it came from */
    uint16_t valid;      /* XW_PKT_… */
    uint64_t hw_ns;      /* NIC hardware time, on CLOCK_MONOTONIC; valid with XW_PKT_HW */
    uint64_t xdp_ns;     /* CLOCK_MONOTONIC ns; valid with XW_PKT_XDP */
};

struct xw_txbuf {
    uint8_t *data;  /* where the Ethernet header goes */
    uint32_t cap;   /* bytes that fit */
    uint32_t frame; /* the device's own id */
};

struct xw_dev_caps {
    uint32_t mtu;        /* largest IP packet that both directions carry, bytes */
    uint16_t queues;     /* receive queues served */
    bool zero_copy;      /* AF_XDP: the driver DMAs into our frames */
    bool csum_tx;        /* tx_submit may leave the L4 checksum to the device (not used yet) */
    const char *kind;    /* "xsk", "pair", "player", "fault", "tap" */
};

struct xw_dev_stats {
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
    uint64_t tx_kicks, tx_no_frame, tx_ring_full, rx_bad;
    uint64_t tx_dropped; /* handed over, but the link refused it: gone, only the peer's silence tells */
    /* of the kernel (XDP_STATISTICS), summed over the sockets; 0 for other devices */
    uint64_t k_rx_dropped, k_rx_invalid, k_tx_invalid, k_rx_ring_full, k_fill_empty, k_tx_empty;
};

struct xw_dev;
struct xw_dev_ops {
    /* up to max (<= XW_RX_BURST_MAX) frames; returns how many */
    unsigned (*rx_burst)(struct xw_dev *d, struct xw_pkt *pkts, unsigned max);
    void (*rx_release)(struct xw_dev *d, const struct xw_pkt *pkts, unsigned cnt);
    /* 0 or XW_EAGAIN (no frame or no ring slot: counted, tx_flush and try again). Several may be held at a time */
    int (*tx_reserve)(struct xw_dev *d, struct xw_txbuf *out);
    void (*tx_submit)(struct xw_dev *d, const struct xw_txbuf *b, uint32_t len);
    void (*tx_cancel)(struct xw_dev *d, const struct xw_txbuf *b);
    /* 0; XW_EAGAIN when something is still to be handed over (call again); XW_ESYS when the link is gone (errno tells;
     * what was submitted goes out if it comes back) */
    int (*tx_flush)(struct xw_dev *d);
    /* when the device wants rx_burst and tx_flush by itself (completion watchdog, delayed frames of the fault injector,
     * a player's next frame): ns on the clock of tick(), XW_NEVER if not */
    uint64_t (*deadline)(const struct xw_dev *d);
    void (*caps)(const struct xw_dev *d, struct xw_dev_caps *out);
    int (*stats)(struct xw_dev *d, struct xw_dev_stats *out);
    /* the n-th pollable descriptor (readable: frames wait), -1 past the last */
    int (*fd)(const struct xw_dev *d, unsigned n);
    /* tells the time for wrappers that delay, stamp or write captures; called once a poll */
    void (*tick)(struct xw_dev *d, uint64_t now_ns);
    /* gives everything back; checked builds assert that the frame states sum to the pool size */
    void (*close)(struct xw_dev *d);
};
/* Every device starts with this member. No op may be NULL. */
struct xw_dev { const struct xw_dev_ops *ops; };
#endif
