/* tcp/tcp_priv.h: what the files of tcp/ share: the connection, the stack, and who calls whom.
 *
 *   in.c      segments of synchronized connections, fast path        out.c      cutting segments, windows, Nagle
 *   handshake.c  LISTEN, SYN-SENT, SYN-RECEIVED, unknown             timers.c   heap, RTO, persist, keepalive,
 * TIME-WAIT   ack.c     acknowledgments: una, window, duplicate ACKs           reassembly.c  data into the ring,
 * holes, FIN   sack.c    SACK blocks out (receiver) and in (scoreboard)         recovery.c  which segments are lost,
 * pipe, episodes   congestion.c  windows behind an ops table                        rtt.c      RFC 6298
 *   stamps.c  receive stamps by stream offset                        icmp.c     ICMP errors, path MTU
 *   demux.c   4-tuple → connection                                   stack.c    memory, open, close, lists, info
 */
#ifndef XW_TCP_PRIV_H
#define XW_TCP_PRIV_H
#include "base/limits.h"
#include "tcp/tcp.h"

/* ---- sent segments ----------------------------------------------------------------------------------------------- */
/* Each transmitted stretch of sequence space that is not acknowledged is one record, in order, without gaps: the first
 * begins at snd_una, the last ends at snd_nxt (SYN has no record). RACK (RFC 8985) needs the time of each transmission
 * and RFC 6675 a state of each segment: both stand here. */
#define XW_TCP_REC_SACKED 1u /* the peer reported it */
#define XW_TCP_REC_LOST 2u   /* taken for lost and not sent again yet: not in the pipe */
#define XW_TCP_REC_RETX 4u   /* sent more than once: no RTT sample (Karn), counted lost again only by time */
#define XW_TCP_REC_FIN 8u    /* its last octet is the FIN */
struct xw_tcp_rec {
    uint64_t sent_ns; /* last transmission */
    struct xw_seq lo;
    uint32_t len;     /* sequence space, FIN included; never 0 */
    uint32_t flags;
};

/* Received data behind a hole, stream offsets [lo, hi). serial: the higher, the later touched (order of SACK blocks).
 * */
struct xw_tcp_range { uint64_t lo, hi; uint32_t serial; };
/* Stamp of the packet that brought the octets before end, down to the end of the mark before. */
struct xw_tcp_mark { uint64_t end; struct xw_rxstamp stamp; };

/* Duplicates of one burst that are reported; more say nothing new. As many as ACKs that a burst may be worth. */
#define XW_TCP_DSACKS 4u

enum xw_tcp_timer {
    XW_TCP_T_RTX,     /* SYN, data or FIN unacknowledged; off while the peer's window is zero */
    XW_TCP_T_PERSIST, /* something to send, the window does not allow it, nothing else will wake us */
    XW_TCP_T_REO,     /* RACK: reordering window of a segment ends */
    XW_TCP_T_TLP,     /* RFC 8985 7: no ACK for two round trips */
    XW_TCP_T_ACK, XW_TCP_T_KEEP,
    XW_TCP_T_USER,    /* user timeout, since the last progress */
    XW_TCP_T_WAIT,    /* TIME-WAIT */
    XW_TCP_T_COUNT
};
/* values as in xw_conn_info.ca_state */
enum xw_tcp_ca { XW_TCP_CA_OPEN = 0, XW_TCP_CA_RECOVERY = 3, XW_TCP_CA_LOSS = 4 };

struct xw_tcp_link { struct xw_tcp_link *next, *prev; }; /* circular, with a head; next NULL: in no list */

/* Windows stay below the largest that can be offered (RFC 7323 2.3): sums of two fit 32 bits. */
#define XW_TCP_CWND_MAX (1u << 30)
struct xw_tcp_cc_ops;
struct xw_tcp_cubic {
    uint64_t epoch_ns, last_ns; /* begin of this congestion avoidance; last ACK that the window waited for */
    uint64_t west;              /* what Reno would have, 1/1024 octets */
    uint64_t frac;              /* of an octet of cwnd */
    uint32_t w_max, prior, k;   /* octets, octets (cwnd before the last reduction), 1/1024 s */
    bool begun;
};
struct xw_tcp_cc_state {
    const struct xw_tcp_cc_ops *ops;
    uint32_t cwnd, ssthresh; /* bytes */
    uint32_t acked;          /* NewReno: bytes acknowledged since cwnd last grew (congestion avoidance) */
    struct xw_tcp_cubic cubic;
};
/* Proportional rate reduction (RFC 6937): octets delivered and sent since the episode began, in flight when it did. */
struct xw_tcp_prr { uint32_t delivered, out, flight; };
/* What an episode changed, and what would show that there was no loss (undo.c). */
struct xw_tcp_undo {
    struct xw_tcp_cc_state cc; /* before */
    struct xw_seq from;        /* snd_una then */
    uint32_t retx;             /* retransmissions that no DSACK has called needless */
    uint32_t ts;               /* timestamp of the first of them, if sent */
    uint64_t sent_ns;          /* of the first of them */
    struct xw_seq until;       /* with over: armed until this is acknowledged */
    bool armed, sent, over;    /* over: the episode ended; its DSACKs may still come */
};

struct xw_tcp_stats {
    uint64_t bytes_in, bytes_out, segs_in, segs_out, retransmits, fast_retransmits, timeouts, dup_acks, ooo_segs,
        dup_segs;
    uint64_t zero_windows, probes, fast_hits, undos;
};

struct xw_tcp {
    struct xw_tcp_link out_link, chg_link; /* wants output; changed */
    struct xw_tcp *hash_next;
    struct xw_tcp_stack *stk;
    struct xw_tcp_tuple tuple;
    struct xw_bytering *rcv, *snd;         /* NULL in a released TIME-WAIT */
    void *user;
    struct xw_tcp_opts opts;
    enum xw_tcp_state state;
    int error, soft_error;
    uint32_t events;                       /* XW_TCP_EV_… not yet taken */

    /* send */
    struct xw_seq iss, snd_una, snd_nxt;
    struct xw_seq wl1, wl2;                /* RFC 9293 3.3.1 */
    struct xw_seq snd_small;               /* behind the last new segment that was not full */
    uint64_t snd_base;                     /* ring position of the octet with sequence number iss + 1 */
    uint32_t snd_wnd, max_snd_wnd;         /* scaled */
    uint32_t path_mtu;
    uint16_t peer_mss;                     /* 536 if the SYN had none (RFC 9293 MUST-15) */
    uint8_t snd_wscale, rcv_wscale;        /* 0 unless both sides sent the option */
    struct xw_tcp_rec *rec;                /* ring of stk->cfg.tx_records */
    uint32_t rec_head, rec_cnt;
    uint32_t sacked_bytes, lost_bytes;     /* sums over records: pipe without walking */
    uint32_t sacked_recs;

    /* recovery */
    enum xw_tcp_ca ca;
    struct xw_seq recover;                 /* episode ends when this is acknowledged */
    /* in a row; without SACK each stands for one segment that left the network */
    uint32_t dup_acks;
    struct xw_seq high_sacked;             /* highest sequence number reported or acknowledged */
    uint64_t rack_ns;                      /* transmission time of the latest-sent segment known to be delivered */
    struct xw_seq rack_end;                /* and its end */
    uint64_t rack_rtt_ns;
    bool reo_seen;                         /* the path was seen to reorder */
    uint8_t reo_mult, reo_persist;         /* RFC 8985 6.2.4: reordering window in quarters; recoveries it lasts */
    bool reo_round_on;
    struct xw_seq reo_round;               /* a DSACK widens it once until this is acknowledged */
    struct xw_tcp_prr prr;
    struct xw_tcp_undo undo;
    struct xw_seq tlp_end;                 /* a probe is out until this is acknowledged, if tlp_out */
    struct xw_tcp_cc_state cc;
    uint32_t init_cwnd, max_flight;        /* octets; the most in flight up to usage_seq */
    struct xw_seq usage_seq;
    uint64_t last_tx_ns;                   /* of data */

    /* RTT, ns; srtt 0: no sample yet */
    uint64_t srtt_ns, rttvar_ns, rto_ns, min_rtt_ns;
    uint64_t sack_rtt_ns;                  /* by the blocks of the ACK at hand; UINT64_MAX: they say nothing */
    uint64_t rto_sent_ns;                  /* when what then timed out was first sent */
    uint32_t backoff;                      /* doublings of rto_ns */
    uint32_t retries;                      /* retransmissions or probes without any answer */
    uint64_t syn_sent_ns;

    /* receive */
    struct xw_seq irs, rcv_nxt;
    struct xw_seq rcv_adv;                 /* right edge of the window as last offered */
    struct xw_seq last_ack_sent;           /* RFC 7323 4.3 */
    uint64_t fin_off;                      /* ring position of the peer's FIN, if fin_known */
    uint32_t last_wnd;                     /* bytes, as last put into a segment */
    uint32_t rcv_unacked;                  /* bytes received since the last ACK was sent */
    uint32_t rcv_mss;                      /* largest segment received */
    uint64_t last_rx_ns, idle_ns;          /* last segment; silence before it */
    uint32_t ts_recent, ts_off;
    uint64_t ts_recent_ns;
    struct xw_tcp_range *ooo;
    uint32_t ooo_cnt, ooo_serial;
    struct xw_tcp_sack dsack[XW_TCP_DSACKS]; /* duplicates to report, oldest first, one an ACK */
    uint32_t dsack_cnt;
    uint32_t dup_run;                      /* segments in a row that brought nothing new */
    uint32_t acks_owed;                    /* ACKs of their own for segments of a burst: see reassembly.c */
    uint32_t quick_bytes;                  /* adaptive ACK policy: bytes still to be acknowledged at once */
    uint32_t lossy_bytes;                  /* bytes to come before the path counts as clean again */

    /* stamps: sorted ring */
    struct xw_tcp_mark *mark;
    uint32_t mark_head, mark_cnt;
    uint64_t mark_floor;                   /* offsets below have lost their stamps */

    uint64_t timer[XW_TCP_T_COUNT];
    uint64_t heap_key;
    uint32_t heap_idx;                     /* UINT32_MAX: not in the heap */
    uint32_t keep_sent;
    uint32_t chal_left;                    /* answers left in the second that began at chal_ns */
    uint64_t chal_ns;

    bool ts_on, sack_on, wscale_on;
    bool passive, hashed, released, in_use;
    bool fin_queued, fin_sent;             /* ours */
    bool fin_known, fin_rcvd;              /* the peer's: seen; in order */
    bool rcv_closed;                       /* owner reads no more */
    bool syn_due, syn_retx;
    bool ack_now, owes, fast_rtx, probe_due, probing, keep_due;
    uint8_t tlp_backoff;                   /* doublings of the probe's interval within a recovery */
    bool tlp_due, tlp_out, tlp_retx;       /* to be sent; sent; it was a retransmission */
    bool cwnd_limited, df;                 /* cwnd is what kept us from sending more, lately */
    struct xw_tcp_stats st;
};

/* A segment without a connection: RST, or the last RST of one that is gone. */
struct xw_tcp_reply {
    struct xw_tcp_tuple tuple;
    struct xw_seq seq, ack;
    uint32_t ts_val, ts_ecr;
    uint8_t flags, ttl;
    bool ts;
};
#define XW_TCP_REPLIES 64u /* power of two; more in one burst are not answered */

struct xw_tcp_syn { struct xw_tcp_tuple tuple; struct xw_tcp_hdr hdr; };
struct xw_tcp_listener {
    struct xw_tcp_stack *stk;
    struct xw_tcp_syn *syn; /* oldest first; stk->cfg.backlog of them */
    uint32_t syn_cnt;
    uint32_t ip;
    uint16_t port;
    bool in_use;
};

struct xw_tcp_heap_slot { uint64_t key; struct xw_tcp *conn; };

struct xw_tcp_stack {
    struct xw_tcp_cfg cfg;
    uint64_t key[2];              /* of ISNs, timestamps and the hash */
    struct xw_tcp *conn;          /* cfg.max_conns */
    struct xw_tcp *free_conn;     /* by hash_next */
    struct xw_tcp **bucket;
    uint32_t bucket_mask;
    struct xw_tcp *last;          /* that the last packet was for: looked at before the table */
    struct xw_tcp_listener *listener;
    struct xw_tcp_heap_slot *heap;
    uint32_t heap_cnt;
    struct xw_tcp_link out_list, chg_list;
    struct xw_tcp_reply reply[XW_TCP_REPLIES];
    uint32_t reply_head, reply_cnt;
};

/* What in.c knows of a received segment besides its header. */
struct xw_tcp_rx {
    struct xw_tcp_hdr h;
    struct xw_span data;
    const struct xw_rxstamp *stamp; /* may be NULL */
    uint64_t now;
};

/* ---- stack.c ---- */
struct xw_tcp *xw_tcp_conn_alloc(struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, struct xw_bytering *rcv,
                                 struct xw_bytering *snd, uint32_t path_mtu, const struct xw_tcp_opts *opts,
                                 uint64_t now);
bool xw_tcp_open_valid(const struct xw_bytering *rcv, const struct xw_bytering *snd, uint32_t path_mtu,
                       const struct xw_tcp_opts *opts);
void xw_tcp_conn_free(struct xw_tcp *c);
void xw_tcp_event(struct xw_tcp *c, uint32_t ev);
void xw_tcp_kick(struct xw_tcp *c); /* output may have something of c */
void xw_tcp_set_state(struct xw_tcp *c, enum xw_tcp_state st);
void xw_tcp_close_now(struct xw_tcp *c, int error); /* CLOSED: timers off, out of the hash */
void xw_tcp_enter_time_wait(struct xw_tcp *c, uint64_t now);
enum xw_drop xw_tcp_drop(struct xw_tcp_stack *s, enum xw_drop d);
void xw_tcp_reply_push(struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, struct xw_seq seq, struct xw_seq ack,
                       uint8_t flags);
void xw_tcp_send_rst(struct xw_tcp *c, uint64_t now);
struct xw_seq xw_tcp_isn(const struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, uint64_t now);
void xw_tcp_link_remove(struct xw_tcp_link *l);
void xw_tcp_link_append(struct xw_tcp_link *head, struct xw_tcp_link *l);

/* ---- demux.c ---- */
struct xw_tcp *xw_tcp_demux_find(const struct xw_tcp_stack *s, const struct xw_tcp_tuple *t);
void xw_tcp_demux_add(struct xw_tcp *c);
void xw_tcp_demux_del(struct xw_tcp *c);
struct xw_tcp_listener *xw_tcp_demux_listener(const struct xw_tcp_stack *s, uint32_t ip, uint16_t port);

/* ---- handshake.c ---- */
void xw_tcp_established(struct xw_tcp *c, const struct xw_tcp_rx *rx, uint32_t wnd);
enum xw_drop xw_tcp_in_unknown(struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, const struct xw_tcp_rx *rx);
enum xw_drop xw_tcp_in_syn_sent(struct xw_tcp *c, const struct xw_tcp_rx *rx);
enum xw_drop xw_tcp_in_time_wait(struct xw_tcp *c, const struct xw_tcp_rx *rx);
void xw_tcp_reset_for(struct xw_tcp_stack *s, const struct xw_tcp_tuple *t, const struct xw_tcp_rx *rx);

/* ---- in.c ---- */
/* xw_tcp_answer: an ACK for something invalid, if the connection's rate allows it. */
void xw_tcp_answer(struct xw_tcp *c, uint64_t now);

/* ---- ack.c ---- */
/* xw_tcp_ts_sample: round trip by the timestamp echoed, 0 if there is none. */
uint64_t xw_tcp_ts_sample(const struct xw_tcp *c, const struct xw_tcp_hdr *h, uint64_t now);
enum xw_drop xw_tcp_ack_in(struct xw_tcp *c, const struct xw_tcp_rx *rx);

/* ---- reassembly.c ---- */
enum xw_drop xw_tcp_data_in(struct xw_tcp *c, struct xw_seq seq, struct xw_span data, bool fin,
                            const struct xw_rxstamp *stamp,
                            uint64_t now);
/* xw_tcp_rcv_room: octets behind rcv_nxt that may come, holes included: what the ring holds, or what opts.rcv_window
 * leaves of it, but never less than was offered. */
uint32_t xw_tcp_rcv_room_within(const struct xw_tcp *c);
static inline uint32_t xw_tcp_rcv_room(const struct xw_tcp *c) {
    return c->opts.rcv_window || !c->rcv ? xw_tcp_rcv_room_within(c) : xw_bytering_room(c->rcv);
}
uint32_t xw_tcp_rcv_cap(const struct xw_tcp *c); /* of an empty ring */
void xw_tcp_ack_policy(struct xw_tcp *c, uint32_t len, uint64_t now);
void xw_tcp_came_twice(struct xw_tcp *c); /* a segment brought nothing new: does the peer hear us? */
void xw_tcp_note_dsack(struct xw_tcp *c, struct xw_seq lo, uint32_t len); /* RFC 2883: received again */

/* ---- sack.c ---- */
uint8_t xw_tcp_sack_out(const struct xw_tcp *c, struct xw_tcp_sack out[XW_TCP_SACK_MAX], unsigned max);
/* xw_tcp_sack_in: marks records; returns the octets newly reported. */
uint32_t xw_tcp_sack_in(struct xw_tcp *c, const struct xw_tcp_rx *rx);
/* xw_tcp_sack_dsack: the block that reports a duplicate (RFC 2883), NULL if there is none. */
const struct xw_tcp_sack *xw_tcp_sack_dsack(const struct xw_tcp_hdr *h);
void xw_tcp_sack_forget(struct xw_tcp *c);

/* ---- recovery.c ---- */
struct xw_tcp_rec *xw_tcp_rec_at(const struct xw_tcp *c, uint32_t i);
struct xw_tcp_rec *xw_tcp_rec_push(struct xw_tcp *c);
bool xw_tcp_rec_split(struct xw_tcp *c, uint32_t i, uint32_t len); /* first len octets become a record of their own */
void xw_tcp_rec_delivered(struct xw_tcp *c, const struct xw_tcp_rec *r, uint64_t now);
void xw_tcp_rec_mark_lost(struct xw_tcp *c, struct xw_tcp_rec *r);
uint32_t xw_tcp_pipe(const struct xw_tcp *c);
/* acked, newly_sacked: octets; delivered: octets known for the first time to have arrived, either way */
struct xw_tcp_acked { uint32_t acked, newly_sacked, delivered; bool dup; };
void xw_tcp_recovery_on_ack(struct xw_tcp *c, const struct xw_tcp_acked *a, uint64_t now);
void xw_tcp_recovery_dsack(struct xw_tcp *c); /* widens the reordering window */
void xw_tcp_recovery_probe(struct xw_tcp *c, uint64_t now); /* use_tlp 2 */
void xw_tcp_recovery_reo_timer(struct xw_tcp *c, uint64_t now);
void xw_tcp_recovery_on_rto(struct xw_tcp *c, uint64_t now);
/* xw_tcp_recovery_tlp: a probe was acknowledged: if nothing says that it was a duplicate, it mended a loss. */
void xw_tcp_recovery_tlp(struct xw_tcp *c, const struct xw_tcp_rx *rx);

/* ---- undo.c ---- */
void xw_tcp_undo_begin(struct xw_tcp *c); /* an episode begins: before the windows change */
void xw_tcp_undo_retransmitted(struct xw_tcp *c, uint64_t now);
void xw_tcp_undo_dsack(struct xw_tcp *c, const struct xw_tcp_sack *d);
/* xw_tcp_undo_try: what this ACK shows; true: there was no loss, and all is as it was before. */
bool xw_tcp_undo_try(struct xw_tcp *c, const struct xw_tcp_hdr *h, uint32_t acked, uint64_t now);

/* ---- congestion.c, cubic.c ---- */
struct xw_tcp_cc_ops {
    const char *name;
    bool bounded; /* false: cwnd is never changed */
    void (*init)(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t init_segs);
    /* acked octets, not in recovery, while the window was what limited us */
    void (*on_ack)(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t acked, uint64_t srtt_ns, uint64_t now);
    /* loss episode begins: sets ssthresh, and cwnd to it */
    void (*on_loss)(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t flight);
    /* timeout: ssthresh only if first of this data (RFC 5681 3.1 (4)), cwnd one segment */
    void (*on_rto)(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t flight, bool first);
};
const struct xw_tcp_cc_ops *xw_tcp_cc_find(uint8_t cc);
void xw_tcp_cc_init(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t init_segs);
uint32_t xw_tcp_cc_slow_start(struct xw_tcp_cc_state *cc, uint32_t acked); /* returns what goes beyond ssthresh */
void xw_tcp_cubic_on_ack(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t acked, uint64_t srtt_ns, uint64_t now);
void xw_tcp_cubic_on_loss(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t flight);
void xw_tcp_cubic_on_rto(struct xw_tcp_cc_state *cc, uint32_t mss, uint32_t flight, bool first);

/* ---- rtt.c ---- */
void xw_tcp_rtt_init(struct xw_tcp *c);
void xw_tcp_rtt_sample(struct xw_tcp *c, uint64_t rtt_ns);
void xw_tcp_rto_update(struct xw_tcp *c); /* from srtt and rttvar */
uint64_t xw_tcp_rto(const struct xw_tcp *c); /* backed off */
uint32_t xw_tcp_ts_now(const struct xw_tcp *c, uint64_t now);

/* ---- out.c ---- */
uint32_t xw_tcp_mss_now(const struct xw_tcp *c); /* octets of data in a full segment without SACK blocks */
uint8_t xw_tcp_wscale_for(uint32_t cap);
uint16_t xw_tcp_window(struct xw_tcp *c, bool syn); /* the field of the segment that goes out now, which tells it */
bool xw_tcp_unsent(const struct xw_tcp *c); /* data or FIN never sent */
void xw_tcp_after_idle(struct xw_tcp *c, uint64_t now);      /* before new data: the window after a pause */
void xw_tcp_note_usage(struct xw_tcp *c, uint32_t pipe);    /* behind new data: is it cwnd that bounds us? */
uint64_t xw_tcp_off_of(const struct xw_tcp *c, struct xw_seq seq);

/* ---- timers.c ---- */
void xw_tcp_timer_set(struct xw_tcp *c, enum xw_tcp_timer t, uint64_t at);
void xw_tcp_timer_clear_all(struct xw_tcp *c);
/* xw_tcp_timer_rearm_tx: RTX, PERSIST and USER as the send side stands now; progress: new data was acknowledged. */
void xw_tcp_timer_rearm_tx(struct xw_tcp *c, bool progress, uint64_t now);

/* ---- stamps.c ---- */
void xw_tcp_stamp_put(struct xw_tcp *c, uint64_t end, const struct xw_rxstamp *stamp);

static inline bool xw_tcp_can_receive(enum xw_tcp_state st) {
    return st == XW_TCP_ESTABLISHED || st == XW_TCP_FIN_WAIT_1 || st == XW_TCP_FIN_WAIT_2;
}
static inline bool xw_tcp_can_send(enum xw_tcp_state st) { /* data or FIN may be in flight or still to be sent */
    return st == XW_TCP_ESTABLISHED || st == XW_TCP_CLOSE_WAIT || st == XW_TCP_FIN_WAIT_1 || st == XW_TCP_CLOSING ||
           st == XW_TCP_LAST_ACK;
}
#endif
