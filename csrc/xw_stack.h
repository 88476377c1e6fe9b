/* xw_stack.h: the TCP/IP stack of xdpws alone, behind sockets that never block. This header and libxdpws_stack.a are
 * all that is needed: no other header, no other library, no thread, no clock, no allocation, no system call.
 *
 *     struct xw_stack_cfg cfg;
 *     xw_stack_cfg_default(&cfg);
 *     cfg.ip = 0x0a000002; cfg.mask = 0xffffff00; ... cfg.seed = 32 octets nobody can guess
 *     mem = 16-aligned block of xw_stack_size(&cfg) octets
 *     xw_stack_create(mem, size, &cfg, now, &s);
 *     loop: for each packet     xw_stack_input(s, packet, len, now);
 *           when it is due      xw_stack_tick(s, now);
 *           calls on sockets    fd = xw_stack_socket(s); xw_stack_connect(s, fd, ip, port, now); ...
 *           while ((n = xw_stack_output(s, buf, sizeof buf, now))) transmit(buf, n);
 *           sleep until xw_stack_next_deadline(s), or a packet
 *
 * Time is in ns of any clock that never goes back; every call that gets now_ns may be given the same value again.
 * Addresses and ports are in host byte order. A stack belongs to one thread at a time; several stacks share nothing.
 *
 * Results are 0 or more, or a negative XW_STACK_E… whose value is minus the number that Linux gives that errno, so that
 * strerror(-rc) says what it is. Sockets are small numbers, the lowest that is free, as descriptors are. */
#ifndef XW_STACK_H
#define XW_STACK_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct xw_stack;

enum xw_stack_err {
    XW_STACK_OK = 0,
    XW_STACK_EBADF = -9,            /* no such socket */
    XW_STACK_EAGAIN = -11,          /* would block */
    XW_STACK_EINVAL = -22,          /* an argument out of its range, or not allowed in this state */
    XW_STACK_EMFILE = -24,          /* cfg.max_sockets are in use */
    XW_STACK_EPIPE = -32,           /* sending after shutdown, or on a connection that ended */
    XW_STACK_ENOPROTOOPT = -92,     /* no such option, or it cannot be set (any more) */
    XW_STACK_EADDRINUSE = -98,
    XW_STACK_EADDRNOTAVAIL = -99,   /* not our address; no port left */
    XW_STACK_ENETUNREACH = -101,    /* no route; not the address of one host */
    XW_STACK_ECONNABORTED = -103,   /* ended by xw_stack_abort */
    XW_STACK_ECONNRESET = -104,
    XW_STACK_ENOBUFS = -105,        /* a limit of the configuration */
    XW_STACK_EISCONN = -106,
    XW_STACK_ENOTCONN = -107,
    XW_STACK_ETIMEDOUT = -110,
    XW_STACK_ECONNREFUSED = -111,
    XW_STACK_EHOSTUNREACH = -113,   /* ICMP said so, or the neighbour does not answer */
    XW_STACK_EALREADY = -114,       /* connect is under way */
    XW_STACK_EINPROGRESS = -115     /* connect has begun */
};

enum xw_stack_claim {
    XW_STACK_CLAIM_NONE = 0, /* the address is used at once and announced */
    XW_STACK_CLAIM_FAST = 1, /* three ARP probes 200 ms apart: usable after 0.6 s */
    XW_STACK_CLAIM_RFC = 2   /* RFC 5227: usable after 4 to 7 s */
};

struct xw_stack_cfg {
    uint32_t ip, mask;       /* ours, and of its network */
    uint32_t gateway;        /* default route; 0: none, only our network is reached (IP packets: everything is) */
    uint32_t mtu;            /* octets of an IP packet, 68 … 9000 */
    uint8_t ethernet;        /* 1: input and output are Ethernet frames and ARP is done; 0: IPv4 packets (TUN) */
    uint8_t mac[6];          /* ours, with ethernet */
    uint8_t claim;           /* enum xw_stack_claim, with ethernet */
    uint8_t no_checksum;     /* 1: received checksums are not verified (somebody else did) */
    uint8_t fixed_isn;       /* 1: each initial sequence number is isn, timestamps begin at 0. For tests only */
    uint32_t isn;
    uint8_t seed[32];        /* of the generator for ISNs and ports: secret, fresh each time (tests: a constant) */
    uint32_t max_sockets;    /* 1 … 4096; listeners and connections that wait to be accepted count */
    uint32_t max_listeners;  /* 0 … 64 */
    uint32_t rcvbuf_max;     /* octets of receive and send memory of each socket; powers of two, 1024 … 2^30 */
    uint32_t sndbuf_max;
    uint32_t tx_segments;    /* segments in flight per connection; power of two, 32 … 4096 */
    uint32_t challenge_per_s;/* RFC 5961: answers to invalid segments, per connection and second */
    uint8_t no_rst;          /* 1: segments for nobody are not answered */
    uint64_t fin_wait2_ns;   /* a closed socket waits so long for the peer's FIN, then it is reset; 60 s */
};
/* xw_stack_cfg_default: MTU 1500, 64 sockets, 8 listeners, 64 KiB buffers, IP packets; addresses and seed are yours. */
void xw_stack_cfg_default(struct xw_stack_cfg *cfg);
/* xw_stack_size: octets of memory that create needs; 0: cfg is out of range. */
size_t xw_stack_size(const struct xw_stack_cfg *cfg);
/* xw_stack_create: a stack in mem (aligned to 16), which is the caller's and holds all there is. EINVAL. */
int xw_stack_create(void *mem, size_t len, const struct xw_stack_cfg *cfg, uint64_t now_ns, struct xw_stack **out);
/* xw_stack_destroy: overwrites the keys; nothing is sent (xw_stack_abort each socket and pull, if peers shall know). */
void xw_stack_destroy(struct xw_stack *s);

/* ---- packets and time -------------------------------------------------------------------------------------------- */
/* xw_stack_input: a received frame or packet; it is not kept. 0: used; else why not, a reason of drop.def that is
 * counted (never an error: what a peer sends is no fault of the caller). */
int xw_stack_input(struct xw_stack *s, const void *pkt, size_t len, uint64_t now_ns);
/* xw_stack_output: writes the next frame or packet to send; returns its length, 0: nothing now. cap must be at least
 * MTU (+ 22 with ethernet), or nothing is written. What was taken counts as sent. */
size_t xw_stack_output(struct xw_stack *s, void *buf, size_t cap, uint64_t now_ns);
/* xw_stack_flush: output in a loop: each packet is handed to put; it ends early when put returns other than 0 (that
 * packet counts as sent and is lost). Returns the number of packets. put must not call the stack. */
typedef int (*xw_stack_put)(void *user, const void *pkt, size_t len);
int xw_stack_flush(struct xw_stack *s, void *buf, size_t cap, xw_stack_put put, void *user, uint64_t now_ns);
/* xw_stack_next_deadline: when tick has to be called, UINT64_MAX: not before something else happens. */
uint64_t xw_stack_next_deadline(struct xw_stack *s);
/* xw_stack_tick: runs what is due; too early or too often does no harm. */
void xw_stack_tick(struct xw_stack *s, uint64_t now_ns);
/* xw_stack_set_mtu: the path to ip takes no more than mtu octets, as somebody else knows (for 10 minutes, then it is
 * tried again): its connections cut smaller segments at once. EINVAL: mtu below 68, or ip not routed. */
int xw_stack_set_mtu(struct xw_stack *s, uint32_t ip, uint32_t mtu, uint64_t now_ns);
/* xw_stack_drops: how often each reason was counted; fills at most max, returns how many there are. */
unsigned xw_stack_drops(const struct xw_stack *s, uint64_t *out, unsigned max);
/* xw_stack_drop_name: of a reason; NULL: none of that number. */
const char *xw_stack_drop_name(int reason);

/* ---- sockets ----------------------------------------------------------------------------------------------------- */
/* xw_stack_socket: a new socket. EMFILE. */
int xw_stack_socket(struct xw_stack *s);
/* xw_stack_bind: ip 0 or ours, port 0: one is chosen. EADDRINUSE (unless both have REUSEADDR and none listens),
 * EADDRNOTAVAIL, EINVAL when bound already. */
int xw_stack_bind(struct xw_stack *s, int fd, uint32_t ip, uint16_t port);
/* xw_stack_listen: backlog 1 …: connections that are opening or wait to be accepted; more SYNs wait or are dropped.
 * Options of the listener are inherited. Again: a new backlog. EINVAL when connected, EADDRINUSE, ENOBUFS:
 * max_listeners. */
int xw_stack_listen(struct xw_stack *s, int fd, unsigned backlog);
/* xw_stack_accept: a socket whose handshake is complete, oldest first, and the peer (ip, port may be NULL). EAGAIN,
 * EINVAL when not listening. A connection that was reset meanwhile is given out too; its calls tell. */
int xw_stack_accept(struct xw_stack *s, int fd, uint32_t *ip, uint16_t *port);
/* xw_stack_connect: EINPROGRESS, then POLLOUT; the outcome is SO_ERROR, or what calling it again returns: EALREADY,
 * EISCONN, or the error (once). ENETUNREACH for an address that is not of one host, EADDRNOTAVAIL, EADDRINUSE. */
int xw_stack_connect(struct xw_stack *s, int fd, uint32_t ip, uint16_t port, uint64_t now_ns);
/* xw_stack_send: copies up to len octets into the send buffer; returns how many (1 … len). EAGAIN: buffer full or still
 * connecting; ENOTCONN; EPIPE after shutdown or the end; the error that ended the connection, once. */
int64_t xw_stack_send(struct xw_stack *s, int fd, const void *data, size_t len, uint64_t now_ns);
/* xw_stack_recv: takes up to len octets; 0: end of the stream (or shutdown RD, or len 0). What had arrived before an
 * error comes first. EAGAIN; ENOTCONN; the error that ended the connection, once, then 0. flags: XW_STACK_PEEK or 0. */
#define XW_STACK_PEEK 2
int64_t xw_stack_recv(struct xw_stack *s, int fd, void *buf, size_t len, int flags, uint64_t now_ns);
/* xw_stack_shutdown: RD: recv gives what is there and then 0; data that arrives later resets the connection (RFC 9293
 * 3.6.1). WR: FIN behind what was sent. ENOTCONN. */
#define XW_STACK_SHUT_RD 0
#define XW_STACK_SHUT_WR 1
#define XW_STACK_SHUT_RDWR 2
int xw_stack_shutdown(struct xw_stack *s, int fd, int how, uint64_t now_ns);
/* xw_stack_close: the number is free at once, the connection goes on by itself: what was sent is delivered, then FIN.
 * Unread data, or LINGER 0: RST instead. LINGER above 0: RST if it is not delivered by then (close does not wait). A
 * listener's waiting connections are reset. */
int xw_stack_close(struct xw_stack *s, int fd, uint64_t now_ns);
/* xw_stack_abort: RST, and the socket stays with ECONNABORTED until it is closed. ENOTCONN. */
int xw_stack_abort(struct xw_stack *s, int fd, uint64_t now_ns);

/* bits of xw_stack_poll, values as in <poll.h> of Linux */
#define XW_STACK_POLLIN 0x001    /* recv or accept does not say EAGAIN */
#define XW_STACK_POLLOUT 0x004   /* send does not say EAGAIN */
#define XW_STACK_POLLERR 0x008   /* an error waits */
#define XW_STACK_POLLHUP 0x010   /* both directions are over */
#define XW_STACK_POLLRDHUP 0x2000/* the peer sends no more */
#define XW_STACK_POLLNVAL 0x020  /* no such socket */
int xw_stack_poll(const struct xw_stack *s, int fd);
/* xw_stack_name: addresses of this and the other end; any pointer may be NULL. EBADF. */
int xw_stack_name(const struct xw_stack *s, int fd, uint32_t *ip, uint16_t *port, uint32_t *peer_ip,
                  uint16_t *peer_port);

/* Options. (new) only before connect or listen; (get) cannot be set. Times in ns. */
enum xw_stack_opt {
    XW_STACK_NODELAY = 1,        /* 1 (default): no Nagle */
    XW_STACK_ACK_POLICY,         /* 0 immediate (default), 1 delayed (RFC 9293 3.8.6.3), 2 adaptive */
    XW_STACK_ACK_DELAY,          /* 40 ms */
    XW_STACK_KEEPALIVE,          /* 0 (default), 1 */
    XW_STACK_KEEP_IDLE,          /* 2 h */
    XW_STACK_KEEP_INTERVAL,      /* 75 s */
    XW_STACK_KEEP_PROBES,        /* 9 */
    XW_STACK_USER_TIMEOUT,       /* 0: only the number of retries counts */
    XW_STACK_SYN_RETRIES,        /* 5 */
    XW_STACK_DATA_RETRIES,       /* 15 */
    XW_STACK_RTO_MIN,            /* 200 ms */
    XW_STACK_RTO_MAX,            /* 60 s */
    XW_STACK_RTO_INITIAL,        /* 1 s (new) */
    XW_STACK_TIME_WAIT,          /* 60 s; 0: none */
    XW_STACK_TOS,                /* of each packet: DSCP and ECN bits */
    XW_STACK_TTL,                /* 64 */
    XW_STACK_RCVBUF,             /* octets held and offered at most, 1 … cfg.rcvbuf_max; what was offered stays so */
    XW_STACK_SNDBUF,             /* octets that send takes in beyond what is acknowledged, 1 … cfg.sndbuf_max */
    XW_STACK_MSS,                /* (new) largest segment we announce and send, 48 … MTU - 40; get: as used now */
    XW_STACK_TIMESTAMPS,         /* (new) 1 */
    XW_STACK_SACK,               /* (new) 1 */
    XW_STACK_WSCALE,             /* (new) 1 */
    XW_STACK_INIT_CWND,          /* (new) segments, 10 */
    XW_STACK_CC,                 /* (new) congestion control: 0 NewReno, 1 CUBIC (default), 2 none */
    XW_STACK_TAIL_PROBE,         /* 0 off, 1 RFC 8985 7 (default), 2 again and in recoveries too */
    XW_STACK_LINGER,             /* -1 (default): off */
    XW_STACK_REUSEADDR,          /* 0 */
    XW_STACK_SO_ERROR,           /* (get) the error that waits as a negative code, and forgets it */
    XW_STACK_ACCEPTCONN,         /* (get) 1: listens */
    XW_STACK_INQ,                /* (get) SIOCINQ: octets to be read */
    XW_STACK_OUTQ,               /* (get) SIOCOUTQ: octets sent by the user and not acknowledged */
    XW_STACK_OUTQ_NSD,           /* (get) SIOCOUTQNSD: of those, never transmitted */
    XW_STACK_OPT_END
};
/* ENOPROTOOPT; EINVAL: the value; nothing is changed then. */
int xw_stack_setopt(struct xw_stack *s, int fd, enum xw_stack_opt opt, int64_t value, uint64_t now_ns);
int xw_stack_getopt(struct xw_stack *s, int fd, enum xw_stack_opt opt, int64_t *value);

struct xw_stack_info {
    uint8_t state;             /* as TCP_* of Linux's <netinet/tcp.h>: 1 established … 7 closed, 10 listen */
    uint8_t ca_state;          /* 0 open, 3 recovery, 4 loss */
    uint8_t timestamps, sack, wscale;  /* 1: agreed on */
    uint8_t snd_wscale, rcv_wscale;    /* shifts of the peer's and of our window */
    uint16_t mss;              /* octets of data in a full segment now */
    uint32_t path_mtu;
    uint64_t srtt_ns, rttvar_ns, min_rtt_ns, rto_ns; /* 0: no sample yet */
    uint32_t cwnd, ssthresh;   /* octets */
    uint32_t in_flight;        /* octets sent and not acknowledged */
    uint32_t sacked, lost;     /* of those, reported by the peer, taken for lost */
    uint32_t snd_wnd, rcv_wnd; /* octets, as last received and offered */
    uint32_t ooo_bytes, ooo_ranges; /* received behind a hole */
    uint32_t backoff, retries; /* of the retransmission timer: doublings, tries without an answer */
    int32_t soft_error;        /* what ICMP said since the last progress (XW_STACK_E…): a hint only */
    uint64_t bytes_in, bytes_out, segs_in, segs_out;
    uint64_t retransmits, fast_retransmits, timeouts, dup_acks, ooo_segs, dup_segs, zero_windows, probes;
};
/* xw_stack_info: TCP_INFO. EBADF. Without a connection only state is set (7, or 10 when it listens). */
int xw_stack_info(const struct xw_stack *s, int fd, struct xw_stack_info *out);
#ifdef __cplusplus
}
#endif
#endif
