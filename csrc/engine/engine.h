/* engine/engine.h: what the files of the engine share. The engine is the only place that knows concrete devices and
 * streams: it owns the device, the network layer, the TCP stack and the connections, and moves packets and bytes
 * between them in xw_poll. Public functions are documented in xw_api.h.
 *
 * One poll: release what the last one showed → receive (a burst, or what is left of the last) → timers → each connection
 * that has work (bytes moved, one TLS record decrypted, frames parsed, events) → transmit, when there is no event. While
 * there are events the transmit step waits (XW_TX_WAIT_NS at most), so that a message is with the user before its ACK is
 * with the kernel, and a burst has one ACK; xw_engine_deadline says "now" then.
 *
 * Files: engine.c life and poll; wait.c blocking; packets.c device ↔ net ↔ TCP; express.c frame → event in a straight line; flow.c frame →
 * connection; conn.c a connection's life; conn_io.c send, read, write, close; pump.c bytes → events; clock.c
 * stamps; stages.c histograms; info.c figures; api.c library functions. */
#ifndef XW_ENGINE_ENGINE_H
#define XW_ENGINE_ENGINE_H
#include "base/err.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/stamp.h"
#include "base/tsc.h"
#include "bs/bs.h"
#include "bs/bs_sink.h"
#include "bs/bs_sock.h"
#include "bs/bs_tcp.h"
#include "dev/dev.h"
#include "engine/flow.h"
#include "mem/bytering.h"
#include "net/net.h"
#include "tcp/tcp.h"
#include "tls/tls.h"
#include "ws/conn.h"
#include "xw.h"
#include <stdbool.h>

/* What is to be sent waits so long for the events of one burst to be delivered: a quarter of the least round trip that a
 * venue's peer can measure through a switch and two kernels; above it its window may run dry. */
#define XW_TX_WAIT_NS (50 * XW_NS_PER_US)

enum conn_phase {
    CONN_FREE = 0,
    CONN_LIVE,
    CONN_ENDED      /* CLOSED was delivered; the slot is freed by the next poll, its text is valid until then */
};

struct xw_conn {
    uint32_t id;            /* slot | generation << 16 */
    enum conn_phase phase;
    uint8_t transport, proto;
    bool in_work;           /* is in the engine's work list */
    bool paused;
    bool opened;            /* OPEN was delivered */
    bool closing;           /* xw_conn_close was called */
    bool want_writable;     /* a send took less than it was given */
    bool readable_told;     /* raw: READABLE was delivered and the reader has not emptied the stream since */
    bool eof_told;          /* raw: the end was read */
    bool discarded;         /* raw: the last pump threw away what still came after xw_conn_close */
    bool aborted;           /* xw_conn_abort was called */
    bool timed_out;         /* open_deadline or close_deadline has passed */
    bool shown;             /* events of the last poll point into our streams; is in the engine's list of them */
    uint32_t epoll_mask;    /* socket: what epoll watches it for */
    uint64_t user;
    uint64_t open_deadline, close_deadline, close_timeout_ns;
    struct xw_bs *lower;    /* TCP or socket */
    struct xw_bs *top;      /* TLS, or the same as lower */
    struct xw_ws *ws;       /* NULL: raw */
    struct xw_tcp *tcp;     /* xdp only */
    struct xw_net_hop hop;  /* xdp only */
    struct xw_tcp_seg held; /* the SYN, while its next hop is being resolved (it has no payload to keep alive) */
    bool holding;
    int net_error;          /* XW_EUNREACH: the next hop does not answer */
    struct xw_bytering rcv, snd, plain; /* mapped at first use of the slot, kept for the next */
    struct xw_mspan assembly;           /* messages that are not one contiguous frame; NORESERVE */
    struct xw_mspan deflate_mem;        /* compression's state and buffers; NORESERVE, empty until it is first offered */
    void *ws_mem;
    struct xw_conn *next_work, *next_shown;
    char text[512];                     /* of the CLOSED event */
};

struct xw_engine {
    struct xw_engine_cfg cfg;
    struct xw_rng rng;
    uint64_t drops[XW_DROP_COUNT];
    struct xw_dev *dev;             /* NULL: sockets only */
    struct xw_net *net;
    struct xw_tcp_stack *tcp;
    void *net_mem, *tcp_mem;
    struct xw_tcp_opts tcp_opts;
    struct xw_conn *conns;          /* cfg.max_conns */
    struct xw_conn *work_head, *work_tail;
    uint32_t open_cnt, sock_cnt;
    uint32_t next_gen;
    uint64_t now_ns;                /* of the running or last poll */
    bool tx_pending;                /* something may be there to transmit */
    uint64_t tx_since;              /* when a poll first found it so; 0: none has */
    struct xw_conn *shown;          /* connections that showed something: released at the next poll */
    uint32_t quota;                 /* events that the next poll may give: see xw_poll */
    bool any_held;                  /* a SYN waits for its next hop */
    int epoll_fd;
    int timer_fd;                   /* in the epoll set; -1: none yet */
    uint64_t timer_ns;              /* what it is set for; XW_NEVER: nothing */
    uint64_t (*clock)(void *);      /* stamps, of clock_arg; NULL: none */
    void *clock_arg;
    struct xw_tsc tsc;
    struct xw_stage_area *stages;   /* NULL: no histograms */
    uint64_t thread;                /* who owns it */
    uint32_t suspects;              /* xw_engine_suspects */
    uint64_t polls, events;
    uint64_t next_due;              /* no connection's deadline comes before, but of those in the work list */
    uint64_t pair_due;              /* when the clock of the stamps is looked at again */
    bool express;                   /* the straight line is taken where it serves */
    uint64_t express_hits, express_misses; /* frames that it took, and not */
    struct xw_flows flows;
    /* frames that were received and are not dealt with: [burst_at, burst_cnt) */
    uint32_t burst_at, burst_cnt;
    struct xw_rxstamp burst_stamp;
    struct xw_pkt burst[XW_RX_BURST_MAX];
    const struct xw_flow *burst_flow[XW_RX_BURST_MAX]; /* of each, once it was looked up */
};

/* engine.c */
void xw_engine_work(struct xw_engine *e, struct xw_conn *c);  /* puts c into the work list */
void xw_engine_shown(struct xw_engine *e, struct xw_conn *c); /* its events must be released by the next poll */
bool xw_engine_thread_ok(const struct xw_engine *e);
/* xw_engine_express: the straight line (express.c) on, as it is from the beginning, or off: the same events, the long way. */
void xw_engine_express(struct xw_engine *e, bool on);
/* clock.c */
void xw_clock_init(struct xw_engine *e);
void xw_clock_pair(struct xw_engine *e);                      /* calibrates when it is due */
static inline uint64_t xw_engine_clock_ns(const struct xw_engine *e) {
    uint64_t ns = e->clock_arg ? xw_tsc_ns(&e->tsc, xw_tsc_read()) : 0;
    return XW_LIKELY(ns != 0) ? ns : xw_monotonic_ns();
}
/* packets.c */
/* xw_packets_receive: frames that are held, or else a burst, until max events are filled; how many were. */
unsigned xw_packets_receive(struct xw_engine *e, uint64_t now_ns, struct xw_event *ev, unsigned max);
/* xw_packets_drop: gives held frames back unread. */
void xw_packets_drop(struct xw_engine *e);
void xw_packets_transmit(struct xw_engine *e, uint64_t now_ns);
/* conn.c */
struct xw_conn *xw_conn_find(struct xw_engine *e, uint32_t id);
/* Its end is among the events of the last poll, or was; the next poll frees it. */
bool xw_conn_ending(const struct xw_engine *e, uint32_t id);
void xw_conn_recycle(struct xw_engine *e, struct xw_conn *c);
void xw_conn_release_memory(struct xw_conn *c);
uint64_t xw_conn_deadline(const struct xw_conn *c);
/* pump.c */
void xw_conn_stamps(const struct xw_conn *c, uint64_t off, struct xw_stamps *s);
unsigned xw_conn_pump(struct xw_engine *e, struct xw_conn *c, uint64_t now_ns, struct xw_event *ev, unsigned max);
/* info.c */
void xw_conn_info_fill(const struct xw_conn *c, struct xw_conn_info *out);
#endif
