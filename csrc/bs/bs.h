/* bs/bs.h: the byte-stream seam. Below it our TCP (bs/bs_tcp.h) or a kernel socket (bs/bs_sock.h); TLS (tls/tls.h) is
 * a stream on top of a stream, so that WebSocket and raw users sit on any of the three and cannot tell which.
 *
 * Reading: peek shows the contiguous bytes that can be read now, without taking them; consume takes the first n. Bytes
 * that were peeked stay where they are, unchanged, until they are consumed (later peeks may show more behind them).
 * Writing: reserve shows contiguous space that can be filled; commit adds the first n of it to the stream.
 * Nothing blocks and nothing calls back: progress is made in poll and flush (clock as an argument), then status tells.
 *
 * A round of an owner: poll; peek and consume; reserve and commit; flush. Before it sleeps, the owner polls until poll
 * returns 0 and nothing more was consumed: consuming can make room for what waits in a layer below, of which no
 * descriptor tells. */
#ifndef XW_BS_BS_H
#define XW_BS_BS_H
#include "base/span.h"
#include "base/stamp.h"
#include <stdbool.h>

enum xw_bs_state {
    XW_BS_CONNECTING = 1, /* not usable yet */
    XW_BS_OPEN,           /* both directions, as far as rx_eof and tx_shut do not say otherwise */
    XW_BS_CLOSED,         /* orderly: both directions ended */
    XW_BS_FAILED          /* error says why; what was received before it can still be read */
};

struct xw_bs_status {
    enum xw_bs_state state;
    int error;        /* XW_E… when FAILED */
    int sys_errno;    /* errno behind it, 0 if none */
    bool rx_eof;      /* peer will send nothing more (what is peekable is still there) */
    bool tx_shut;     /* shutdown_wr was called */
    bool tx_drained;  /* everything committed was acknowledged (TCP) or taken by the kernel (socket) */
};

struct xw_bs;
struct xw_bs_ops {
    struct xw_span (*peek)(struct xw_bs *b);
    void (*consume)(struct xw_bs *b, size_t n);
    struct xw_mspan (*reserve)(struct xw_bs *b);
    void (*commit)(struct xw_bs *b, size_t n);
    void (*shutdown_wr)(struct xw_bs *b);           /* FIN (in TLS after close_notify) behind what was committed */
    /* hands what was committed, consumed or shut down to the layer below now, and receives nothing: an order leaves
     * without a read before it. poll does the same and more, so that who polls anyway need not flush. */
    void (*flush)(struct xw_bs *b, uint64_t now_ns);
    void (*abort)(struct xw_bs *b);                 /* RST; state becomes FAILED with XW_ECLOSED */
    /* moves bytes: socket I/O, handshakes, decryption. 0, or XW_EAGAIN when more could be done at once */
    int (*poll)(struct xw_bs *b, uint64_t now_ns);
    uint64_t (*deadline)(const struct xw_bs *b);    /* when poll must be called even if nothing arrives; XW_NEVER */
    void (*status)(const struct xw_bs *b, struct xw_bs_status *out);
    /* stream offset (from 0) of the first peekable byte */
    uint64_t (*rx_offset)(const struct xw_bs *b);
    /* stamp of the packet that brought the byte at this stream offset; it is peekable, or was consumed since the
     * last poll. TLS: last is the packet that completed the byte's record, first the one with the record's first
     * byte; elsewhere the two are the same. valid is 0 in both when nothing is known. Neither may be NULL. */
    void (*stamp)(const struct xw_bs *b, uint64_t off, struct xw_rxstamp *last, struct xw_rxstamp *first);
    /* human text of the failure below or in this layer, "" if none; lives as long as the stream */
    const char *(*error_text)(const struct xw_bs *b);
    void (*close)(struct xw_bs *b);                 /* frees the stream (abort first if it is not finished) */
};
/* Every stream starts with this member. No op may be NULL. */
struct xw_bs { const struct xw_bs_ops *ops; };
#endif
