/* tcp/tcp.h: TCP (RFC 9293), both ends, for up to 4,096 connections of one engine.
 *
 * Pure and pull-style: memory is handed in once, the time is an argument, nothing is called back, nothing is sent.
 * Segments go in through xw_tcp_input, time through xw_tcp_tick; both only change state. What is to be sent is taken
 * out one segment at a time by xw_tcp_output, when the caller has a frame for it: a segment taken counts as sent.
 * What happened to connections is taken from the list of changed connections.
 *
 * Bytes live in two rings per connection that the owner supplies and keeps alive until xw_tcp_release: the receive
 * ring, which TCP fills (out-of-order data in place behind its tail) and the owner consumes, and the send ring, which
 * the owner fills and TCP consumes when data is acknowledged. The window offered is exactly the room of the receive
 * ring. Stream offsets are ring positions: reset the rings before connect, and they begin at 0.
 *
 * Loop of an owner:
 *     each packet: xw_tcp_input(...);
 *     xw_tcp_tick(stk, now);
 *     while ((c = xw_tcp_changed(stk, &ev))) ... consume (then xw_tcp_consumed), commit (then xw_tcp_queued), release
 *     while (xw_tcp_pending(stk) && have_a_frame && xw_tcp_output(stk, now, &seg)) xw_tcp_seg_emit(&seg, room);
 *     sleep until xw_tcp_deadline(stk) or a packet
 *
 * Cost: O(1) per segment and per idle connection, apart from the timer heap (a re-arm to a later time touches
 * nothing, see timers.c) and work bounded by the three tables of struct xw_tcp_cfg. Not here: IP, routes, ECN, TCP
 * Fast Open. */
#ifndef XW_TCP_TCP_H
#define XW_TCP_TCP_H
#include "base/err.h"
#include "base/rng.h"
#include "base/stamp.h"
#include "mem/bytering.h"
#include "wire/tcp.h"

struct xw_tcp_stack;
struct xw_tcp;          /* one connection */
struct xw_tcp_listener;
struct xw_conn_info;    /* xw_api.h */

/* Host byte order. */
struct xw_tcp_tuple {
    uint32_t local_ip, remote_ip;
    uint16_t local_port, remote_port;
};

/* Values as TCP_* of <netinet/tcp.h>. */
enum xw_tcp_state {
    XW_TCP_ESTABLISHED = 1, XW_TCP_SYN_SENT = 2, XW_TCP_SYN_RCVD = 3, XW_TCP_FIN_WAIT_1 = 4, XW_TCP_FIN_WAIT_2 = 5,
    XW_TCP_TIME_WAIT = 6, XW_TCP_CLOSED = 7, XW_TCP_CLOSE_WAIT = 8, XW_TCP_LAST_ACK = 9, XW_TCP_CLOSING = 11
};

enum xw_tcp_ack_policy {
    XW_TCP_ACK_IMMEDIATE = 0, /* one ACK for whatever arrived since the last output */
    XW_TCP_ACK_DELAYED = 1,   /* RFC 9293 3.8.6.3: every second full segment, else after ack_delay_ns */
    XW_TCP_ACK_ADAPTIVE = 2   /* immediate for the first 64 KiB, after loss and after idle; else delayed */
};
enum xw_tcp_cc {
    XW_TCP_CC_NEWRENO = 0, /* RFC 5681, 6582 */
    XW_TCP_CC_CUBIC = 1,   /* RFC 9438, the default */
    XW_TCP_CC_NONE = 2     /* no window of our own: for senders of little, on paths of their own */
};

/* Settings of one connection. Times in ns; 0 switches a timer off where that is said. */
struct xw_tcp_opts {
    uint64_t rto_min_ns;       /* 200 ms: below the delayed ACK of the peer a timeout would be spurious */
    uint64_t rto_max_ns;       /* 60 s (RFC 6298 2.5) */
    uint64_t rto_initial_ns;   /* 1 s (RFC 6298 2.1) */
    uint32_t syn_retries;      /* 5: SYN given up after 1+2+4+8+16+32 = 63 s */
    uint32_t data_retries;     /* 15: unanswered retransmissions or probes of the same data before giving up */
    uint32_t advice_retries;   /* R1, 3: unanswered tries after which XW_TCP_EV_ADVICE is told; 0: never */
    uint64_t user_timeout_ns;  /* data unacknowledged for so long: give up; 0: only data_retries counts */
    uint64_t keep_idle_ns;     /* first keepalive after so much silence; 0: off (RFC 9293 3.8.4: the default) */
    uint64_t keep_interval_ns; /* between unanswered keepalives, 75 s */
    uint32_t keep_probes;      /* unanswered keepalives before giving up, 9 */
    uint64_t time_wait_ns;     /* 60 s; 0: none */
    uint64_t ack_delay_ns;     /* 40 ms */
    uint32_t rcv_window;       /* octets at most held and offered; 0: as many as the receive ring has */
    uint16_t adv_mss;          /* announced: what the interface takes - 40 (RFC 1191 3.1); 0: path_mtu - 40 */
    uint32_t init_cwnd_segs;   /* 10 (RFC 6928) */
    uint8_t ack_policy;        /* enum xw_tcp_ack_policy */
    uint8_t cc;                /* enum xw_tcp_cc */
    uint8_t nodelay;           /* 1 (default): no Nagle */
    /* 1: tail loss probe (RFC 8985 7) 2 SRTT after the last progress; needs SACK. 2: again and in a recovery too, at
     * double the interval each time, for probes and retransmissions that are lost with all that follows them */
    uint8_t use_tlp;
    uint8_t use_ts, use_sack, use_wscale; /* offered on SYN; 1 */
    uint8_t tos, ttl;          /* of every packet; 0, 64 */
};

struct xw_tcp_cfg {
    uint32_t max_conns;        /* 1 … XW_CONNS_MAX */
    uint32_t max_listeners;    /* 0 … 64 */
    uint32_t backlog;          /* SYNs that a listener keeps until they are accepted */
    uint32_t tx_records;       /* segments in flight per connection; power of two, 32 … 4096; more wait */
    /* holes in received data per connection, 4 … 255; a segment that needs one more is dropped */
    uint32_t ooo_ranges;
    /* packets whose receive stamp is kept per connection; power of two, 0: none. Oldest goes first */
    uint32_t stamp_marks;
    /* challenge ACKs and answers to empty unacceptable segments, per connection and second */
    uint32_t challenge_per_s;
    struct xw_rng *rng;        /* lives as long as the stack */
    uint64_t *drops;           /* XW_DROP_COUNT counters, may be shared */
    uint8_t fast_path;         /* 0: the slow path alone (tests) */
    uint8_t fixed_isn;         /* 1: every ISN is isn, timestamps begin at 0 (tests and replays only: RFC 6528) */
    uint32_t isn;
    uint8_t rst_unknown;       /* 1: answer segments for no connection with RST (RFC 9293 3.10.7.1) */
    struct xw_tcp_opts opts;   /* of connections that are opened without their own */
};
void xw_tcp_cfg_default(struct xw_tcp_cfg *cfg); /* max_conns 64, all but rng and drops */

/* xw_tcp_stack_size: octets that init needs for this configuration; 0 if it is out of range. */
size_t xw_tcp_stack_size(const struct xw_tcp_cfg *cfg);
/* xw_tcp_stack_init: builds the stack in mem (aligned to 16, len >= size), which the caller frees after use; nothing
 * else has to be given back. 0 or XW_EINVAL. */
int xw_tcp_stack_init(void *mem, size_t len, const struct xw_tcp_cfg *cfg, struct xw_tcp_stack **out);

/* ---- opening ---------------------------------------------------------------------------------------------------- */
/* xw_tcp_connect: active open; the SYN is the next thing that output gives. path_mtu: IP packet size of the route,
 * bounds our MSS and the one we announce. opts NULL: those of the stack. XW_EINVAL, XW_EADDRINUSE, XW_ENOSPC. */
int xw_tcp_connect(struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, struct xw_bytering *rcv,
                   struct xw_bytering *snd,
                   uint32_t path_mtu, const struct xw_tcp_opts *opts, uint64_t now_ns, struct xw_tcp **out);
/* xw_tcp_listen: SYNs for local_ip (0: any) and port are kept, backlog of them, until accepted. XW_EADDRINUSE,
 * XW_ENOSPC. */
int xw_tcp_listen(struct xw_tcp_stack *s, uint32_t local_ip, uint16_t port, struct xw_tcp_listener **out);
/* xw_tcp_listen_pending: the 4-tuple of the oldest SYN that waits; false if none. */
bool xw_tcp_listen_pending(const struct xw_tcp_listener *l, struct xw_tcp_tuple *t);
/* xw_tcp_accept: turns the oldest waiting SYN into a connection in SYN-RECEIVED; the SYN-ACK is what output gives
 * next. It changes to ESTABLISHED (XW_TCP_EV_STATE) or CLOSED. XW_EAGAIN if no SYN waits, XW_ENOSPC. */
int xw_tcp_accept(struct xw_tcp_listener *l, struct xw_bytering *rcv, struct xw_bytering *snd, uint32_t path_mtu,
                  const struct xw_tcp_opts *opts, uint64_t now_ns, struct xw_tcp **out);
/* xw_tcp_unlisten: ends listening; connections already accepted stay. */
void xw_tcp_unlisten(struct xw_tcp_listener *l);

/* ---- packets and time -------------------------------------------------------------------------------------------- */
/* xw_tcp_input: one received segment, TCP header first, payload last. The caller has checked that dst_ip is ours and
 * src_ip a unicast address. stamp may be NULL. Returns why the segment (or part of it) was not used, XW_DROP_NONE if
 * it was; already counted in drops. */
enum xw_drop xw_tcp_input(struct xw_tcp_stack *s, uint32_t src_ip, uint32_t dst_ip, struct xw_span segment,
                          bool verify_csum,
                          const struct xw_rxstamp *stamp, uint64_t now_ns);

struct xw_tcp_seg {
    struct xw_tcp_tuple tuple; /* local: source */
    struct xw_tcp_hdr hdr;
    struct xw_span data[2];    /* payload in the send ring, valid until the next call into the stack */
    uint8_t tos, ttl;
    bool df;                   /* don't fragment (path MTU discovery) */
    struct xw_tcp *conn;       /* NULL: a reset for no connection */
};
/* xw_tcp_pending: whether output may have something (it may still return 0, never the other way round). */
bool xw_tcp_pending(const struct xw_tcp_stack *s);
/* xw_tcp_output: 1 and the next segment, or 0. Connections take turns. A segment returned counts as sent: what then
 * happens to it is the link's. */
int xw_tcp_output(struct xw_tcp_stack *s, uint64_t now_ns, struct xw_tcp_seg *out);
/* xw_tcp_seg_len: octets that emit writes. */
uint32_t xw_tcp_seg_len(const struct xw_tcp_seg *g);
/* xw_tcp_seg_emit: header, options, payload and checksum into out; returns the length, 0 if out is too short. */
uint32_t xw_tcp_seg_emit(const struct xw_tcp_seg *g, struct xw_mspan out);

/* xw_tcp_deadline: when tick must be called next, XW_NEVER if no timer runs. After tick(now) it is later than now. */
uint64_t xw_tcp_deadline(struct xw_tcp_stack *s);
/* xw_tcp_tick: runs the timers that are due; calling it too early or too often does nothing. */
void xw_tcp_tick(struct xw_tcp_stack *s, uint64_t now_ns);

enum xw_tcp_icmp {
    XW_TCP_ICMP_NET = 1,     /* net, host, TTL and other transient trouble: ends a connection only in SYN-SENT */
    XW_TCP_ICMP_HOST, XW_TCP_ICMP_TTL, XW_TCP_ICMP_ADMIN,
    XW_TCP_ICMP_PROTO, XW_TCP_ICMP_PORT, /* refused; once established no more than a hint (RFC 5927 5.2) */
    XW_TCP_ICMP_FRAG         /* fragmentation needed, mtu is the next hop's (0: not given, RFC 1191 plateaus) */
};
/* xw_tcp_icmp_error: an ICMP error that quotes a segment of ours with this 4-tuple and sequence number. Ignored, and
 * counted as ICMP_QUOTE, unless the sequence number is in flight (RFC 5927 4). */
enum xw_drop xw_tcp_icmp_error(struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, struct xw_seq seq,
                               enum xw_tcp_icmp kind,
                               uint32_t mtu, uint64_t now_ns);

/* xw_tcp_set_mtu: the path of a connection takes packets of mtu octets from now on, more or less than before (the
 * caller believes it; errors of the network go through xw_tcp_icmp_error). Segments in flight that are longer are cut
 * anew. Below 552 see docs/tcp.md; below XW_MTU_MIN nothing changes. */
void xw_tcp_set_mtu(struct xw_tcp *c, uint32_t mtu, uint64_t now_ns);

/* ---- connections --------------------------------------------------------------------------------------------------
 * */
/* bits of what xw_tcp_changed tells */
#define XW_TCP_EV_STATE 1u    /* the state changed */
#define XW_TCP_EV_READABLE 2u /* bytes were added to the receive ring, or rx_eof became true */
#define XW_TCP_EV_WRITABLE 4u /* bytes left the send ring */
/* nothing of ours seems to arrive: advice_retries tries in a row have no answer, or the peer has sent what it had sent three
 * times over. Told once until there is progress (RFC 9293 3.8.3 R1): have the next hop verified */
#define XW_TCP_EV_ADVICE 8u
/* xw_tcp_changed: takes the next connection that changed since it was last taken; *events tells how. NULL: no more. */
struct xw_tcp *xw_tcp_changed(struct xw_tcp_stack *s, uint32_t *events);

enum xw_tcp_state xw_tcp_state(const struct xw_tcp *c);
/* xw_tcp_error: 0, or why the connection is CLOSED: XW_ETIMEDOUT, XW_ERESET, XW_EREFUSED, XW_EUNREACH, XW_ECLOSED
 * (aborted by its owner). 0 in CLOSED: both sides closed in order. */
int xw_tcp_error(const struct xw_tcp *c);
/* xw_tcp_rx_eof: the peer's FIN was received in order: what is in the receive ring is the rest. */
bool xw_tcp_rx_eof(const struct xw_tcp *c);
/* xw_tcp_tx_drained: all committed bytes (and the FIN, if shut down) are acknowledged. */
bool xw_tcp_tx_drained(const struct xw_tcp *c);
/* xw_tcp_finished: in order to its end: both FINs are exchanged and acknowledged (TIME-WAIT, or CLOSED without
 * error). */
bool xw_tcp_finished(const struct xw_tcp *c);
struct xw_bytering *xw_tcp_rcv(const struct xw_tcp *c);
struct xw_bytering *xw_tcp_snd(const struct xw_tcp *c);
const struct xw_tcp_tuple *xw_tcp_tuple(const struct xw_tcp *c);
void xw_tcp_set_user(struct xw_tcp *c, void *user);
void *xw_tcp_user(const struct xw_tcp *c);
/* xw_tcp_set_opts: changes the settings that can change while open (timers, retries, ACK policy, nodelay, keepalive,
 * tos). */
void xw_tcp_set_opts(struct xw_tcp *c, const struct xw_tcp_opts *opts, uint64_t now_ns);
const struct xw_tcp_opts *xw_tcp_opts(const struct xw_tcp *c);
/* xw_tcp_opts_ok: every value is in its range and they fit together. */
bool xw_tcp_opts_ok(const struct xw_tcp_opts *o);

/* xw_tcp_consumed: call after bytes were consumed from the receive ring: sends a window update when it is worth one. */
void xw_tcp_consumed(struct xw_tcp *c, uint64_t now_ns);
/* xw_tcp_queued: call after bytes were committed to the send ring. Committing after shutdown_wr is the owner's mistake:
 * XW_ESTATE; XW_ECLOSED in CLOSED and TIME-WAIT. */
int xw_tcp_queued(struct xw_tcp *c, uint64_t now_ns);
/* xw_tcp_shutdown_wr: FIN behind what was committed. In SYN-SENT: closes at once. Repeating it changes nothing. */
void xw_tcp_shutdown_wr(struct xw_tcp *c, uint64_t now_ns);
/* xw_tcp_shutdown_rd: the owner reads no more; new data is answered with a reset (RFC 9293 3.6.1) and ends the
 * connection. */
void xw_tcp_shutdown_rd(struct xw_tcp *c, uint64_t now_ns);
/* xw_tcp_abort: RST in the states that RFC 9293 3.10.5 says, then CLOSED with XW_ECLOSED. */
void xw_tcp_abort(struct xw_tcp *c, uint64_t now_ns);
/* xw_tcp_release: the owner is done with c and its rings; c is no longer valid. Not yet finished: aborted first. In
 * TIME-WAIT the slot stays busy, without rings, until the time is over. */
void xw_tcp_release(struct xw_tcp *c, uint64_t now_ns);
/* xw_tcp_stamp: receive stamp of the packet that brought the byte at this stream offset; false if it is not known
 * (any more). */
bool xw_tcp_stamp(const struct xw_tcp *c, uint64_t off, struct xw_rxstamp *out);
/* xw_tcp_info: fills the TCP fields of out; the others (transport, TLS, local_port too) are left alone. */
void xw_tcp_info(const struct xw_tcp *c, struct xw_conn_info *out);
/* xw_tcp_detail: more of it, for diagnosis and for what stands on other interfaces (TCP_INFO). */
struct xw_tcp_detail {
    uint64_t srtt_ns, rttvar_ns, min_rtt_ns, rto_ns; /* 0: no sample; rto with its doublings */
    uint32_t path_mtu, ssthresh, sacked, lost;       /* octets */
    uint32_t ooo_bytes, ooo_ranges;                  /* received behind a hole */
    uint32_t backoff, retries;                       /* doublings; tries without an answer */
    uint32_t unsent;                                 /* octets committed that were never transmitted */
    int soft_error;                                  /* what ICMP said since the last progress; 0: nothing */
    uint8_t snd_wscale, rcv_wscale, timestamps, sack, wscale; /* shifts; 1: agreed on */
};
void xw_tcp_detail(const struct xw_tcp *c, struct xw_tcp_detail *out);
/* xw_tcp_fast_hits: segments that the fast path took, for tests and benchmarks. */
uint64_t xw_tcp_fast_hits(const struct xw_tcp *c);
#endif
