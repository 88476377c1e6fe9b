/* xw_api.h: the whole C API of xdpws, without preprocessor lines: compiled by C (through xw.h) and read verbatim by
 * cffi. Times are ns of CLOCK_MONOTONIC, addresses and ports are in host byte order unless a name ends in _be.
 * Functions
 * return 0 or more, or a negative XW_E… code (base/err.def). An engine belongs to the thread that created it. */

/* ---- library ------------------------------------------------------------------------------------------------- */
uint32_t xw_abi_version(void);
const char *xw_strerror(int rc);
const char *xw_drop_name(int reason);
const char *xw_drop_text(int reason);
const char *xw_openssl_version(void);
uint64_t xw_monotonic_ns(void);
/* where and why the last set-up call of this thread failed: "step: strerror (errno)"; "" if it did not */
const char *xw_setup_error(int *sys_errno);

/* ---- AF_XDP device (dev/xsk.h) -------------------------------------------------------------------------------- */
struct xw_dev;
enum xw_zc { XW_ZC_AUTO = 0, XW_ZC_ON = 1, XW_ZC_OFF = 2 };
struct xw_xsk_cfg {
    uint32_t ifindex;
    uint32_t queue_first;   /* receive queues queue_first … queue_first + queue_cnt - 1 are bound */
    uint32_t queue_cnt;
    uint32_t frame_len;     /* bytes of a UMEM chunk: 2048 or 4096 */
    uint32_t rx_len;        /* descriptors of each RX and FILL ring; power of two */
    uint32_t tx_len;        /* descriptors of the TX and COMPLETION ring; power of two */
    uint32_t mtu;           /* of the interface, bytes */
    uint8_t zero_copy;      /* enum xw_zc */
    uint8_t generic;        /* 1: the program is attached in generic (skb) mode */
    uint8_t huge_pages;     /* 1: try 2 MiB pages for the UMEM first */
    uint8_t busy_poll;      /* 1: set SO_PREFER_BUSY_POLL and its budget; refusal is not an error */
    uint32_t meta_len;      /* bytes of metadata that the steering program writes before each frame (0: none) */
};
int xw_xsk_open(const struct xw_xsk_cfg *cfg, struct xw_dev **out);
int xw_xsk_fd(const struct xw_dev *d, uint32_t queue);  /* socket descriptor for the XSKMAP; -1 if not bound */
int xw_xsk_huge_pages(const struct xw_dev *d);          /* 1 if the UMEM got 2 MiB pages */
int xw_xsk_busy_poll(const struct xw_dev *d);           /* 1 if the busy-poll options were accepted */
/* how the NIC's clock relates to CLOCK_MONOTONIC, around one moment (base/phc.h) */
struct xw_phc_line {
    uint64_t phc_ns, mono_ns;   /* the same moment on both clocks */
    uint64_t rate;              /* ns of CLOCK_MONOTONIC for one of the NIC's, 32.32 */
    uint64_t span_ns;           /* the line holds so far from it, at most 2 s; 0: there is none, NIC times are not valid */
};
int xw_xsk_phc(struct xw_dev *d, const struct xw_phc_line *line); /* from the next packet on */
void xw_dev_close(struct xw_dev *d);                    /* only for a device that no engine owns */

/* ---- captures (dev/capture.h, dev/player.h) --------------------------------------------------------------------- */
struct xw_capture_rec {
    uint64_t off;    /* of the frame in the file */
    uint32_t len;    /* bytes captured */
    uint32_t whole;  /* 1: they are all that there was */
    uint64_t ns;     /* of the capture's clock; a simple packet block has none and gets that of the packet before it */
};
/* the packets of a pcap or pcapng file in memory: writes up to max records; returns how many the file has, or XW_EINVAL
 * with *why set. So a first call with max 0 counts. No state, no allocation. */
int64_t xw_capture_walk(const uint8_t *file, uint64_t len, struct xw_capture_rec *out, uint64_t max, const char **why);
/* plays the frames of a pcap or pcapng file in memory, which must outlive the device; nothing is played at first */
int xw_player_device(const uint8_t *file, uint64_t len, uint32_t mtu, struct xw_dev **out);
void xw_player_allow(struct xw_dev *d, uint32_t frames);  /* the first so many may be played */
uint32_t xw_player_left(const struct xw_dev *d);          /* frames not yet played */
uint32_t xw_player_left_allowed(const struct xw_dev *d);  /* those of them that may be */

/* wraps a device so that its frames of both directions are written to fd as pcapng (dev/tap.h); inner is its own then.
 * secrets_fd: lines of an NSS key log that appear there are copied into it; 0: none. Both stay the caller's */
int xw_tap_device(struct xw_dev *inner, int fd, uint64_t epoch_offset_ns, int secrets_fd, struct xw_dev **out);
uint64_t xw_tap_lost(const struct xw_dev *d);             /* frames that are not in the capture */

/* ---- steering program (steer/steer.h) -------------------------------------------------------------------------- */
struct xw_steer;
enum xw_xdp_mode { XW_XDP_NATIVE = 1, XW_XDP_GENERIC = 2 };
/* loads the compiled object; dev_bound_ifindex: 0, or the interface for a device-bound program (NIC time kfunc) */
int xw_steer_load(const char *object_path, uint32_t dev_bound_ifindex, struct xw_steer **out);
int xw_steer_prog_fd(const struct xw_steer *s);
int xw_steer_map_fd(const struct xw_steer *s, const char *name); /* -1 if there is none of that name */
void xw_steer_close(struct xw_steer *s);
const char *xw_steer_log(void);                         /* libbpf's messages of the last load of this thread */
/* attaches any XDP program by a BPF link; returns the link's descriptor. The program leaves when it is closed. */
int xw_xdp_attach(int prog_fd, uint32_t ifindex, int mode);
struct xw_xdp_info {
    uint32_t prog_id;
    uint32_t link_id;       /* of the BPF link that holds it; 0: attached without one, over netlink */
    uint32_t mode;          /* enum xw_xdp_mode; 3: offloaded to the NIC */
    char name[16];          /* of the program; "" if it has none */
};
/* the XDP program of an interface of this network namespace: 1 and *out, or 0 when there is none */
int xw_xdp_query(uint32_t ifindex, struct xw_xdp_info *out);
/* takes it off, provided that it is still the one that xw_xdp_query told: XW_ESTATE if not */
int xw_xdp_detach(uint32_t ifindex, const struct xw_xdp_info *info);
int xw_bpf_map_update(int map_fd, const void *key, const void *value);
int xw_bpf_map_delete(int map_fd, const void *key);
int xw_bpf_map_lookup(int map_fd, const void *key, void *value);
int xw_bpf_cpu_count(void);                             /* possible CPUs: length of a per-CPU value array */
/* one BPF_PROG_TEST_RUN; returns the XDP verdict. pkt begins with meta_len bytes of metadata (multiple of 4), and len
 * counts
 * them; out likewise (out_len: its room, then what was written, *out_meta_len of it metadata). The interface must
 * have a running
 * receive queue of that number; ifindex 0: the context names none, the queue is 0. A device-bound program: XW_ESYS */
int xw_bpf_test_run(int prog_fd, const void *pkt, uint32_t len, uint32_t meta_len, uint32_t ifindex, uint32_t rx_queue,
                    void *out, uint32_t *out_len, uint32_t *out_meta_len);

/* ---- TLS context (tls/tls.h) ------------------------------------------------------------------------------------ */
struct xw_tls_ctx;
/* who protects the records after the handshake: our own record layer where it serves the cipher suite (AES-GCM,
 * ChaCha20-Poly1305), else OpenSSL; OpenSSL; our own or the connection fails */
enum xw_tls_engine { XW_TLS_ENGINE_AUTO = 0, XW_TLS_ENGINE_OPENSSL = 1, XW_TLS_ENGINE_OWN = 2 };
struct xw_tls_cfg {
    const char *ca_file;     /* PEM bundle; NULL: the system's store */
    const char *ca_dir;      /* hashed directory; NULL: none */
    uint8_t verify;          /* 1: chain and name are verified; 0: explicitly not */
    uint8_t version_min;     /* 12 or 13; 0: 12 */
    uint8_t version_max;     /* 12 or 13; 0: 13 */
    const char *ciphers12;   /* OpenSSL cipher list for TLS 1.2; NULL: ECDHE AEAD suites */
    const char *ciphers13;   /* OpenSSL ciphersuites for TLS 1.3; NULL: OpenSSL's default */
    const char *groups;      /* key exchange groups; NULL: OpenSSL's default */
    const char *cert_file;   /* client certificate chain, PEM; NULL: none */
    const char *key_file;    /* its key; NULL: none */
    const char *keylog_file; /* NSS key log to append to; NULL: none */
    const uint8_t *spki_pins;/* pin_cnt SHA-256 hashes of accepted SubjectPublicKeyInfo, 32 bytes each; NULL: none */
    uint32_t pin_cnt;
    uint8_t tls_engine;      /* enum xw_tls_engine */
    /* 1: for connections that were accepted: cert_file is ours, ca_file or ca_dir (with verify) demand and verify a
     * client certificate, OpenSSL does the records */
    uint8_t server;
};
/* error text of a failure through xw_setup_error */
int xw_tls_ctx_new(const struct xw_tls_cfg *cfg, struct xw_tls_ctx **out);
void xw_tls_ctx_free(struct xw_tls_ctx *c);              /* connections that use it keep it alive */

/* ---- engine --------------------------------------------------------------------------------------------------- */
struct xw_engine;
struct xw_engine_cfg {
    uint32_t max_conns;      /* 1 … 4096 */
    uint32_t rcvbuf_len;     /* bytes of each connection's receive ring; power of two, >= 65536 */
    uint32_t sndbuf_len;     /* bytes of each connection's send ring; power of two, >= 65536 */
    uint32_t plain_len;      /* bytes of decrypted data kept per connection; power of two, >= 65536 */
    uint8_t seed[32];        /* of every random choice of this engine */
    uint8_t stamps;          /* 1: stamp every stage; 0: only kernel and ring times */
    uint8_t clock;           /* enum xw_clock */
    uint8_t replay;          /* 1: connections are captured ones (xw_conn_replay); what the layers write goes nowhere */
    uint32_t replay_isn;     /* with it: every connection's initial sequence number */
};
/* what stamps are read from; both give ns of CLOCK_MONOTONIC */
enum xw_clock {
    XW_CLOCK_AUTO = 0,       /* the TSC, calibrated ten times a second, where it is invariant (base/tsc.h) */
    XW_CLOCK_MONOTONIC = 1   /* clock_gettime */
};
int xw_engine_new(const struct xw_engine_cfg *cfg, struct xw_engine **out);
void xw_engine_free(struct xw_engine *e);                /* aborts what is open, closes the device */
/* the engine belongs to the calling thread from now on; the thread before must not be in a call, nor make one again.
 * Calls from another thread than the owner return XW_ETHREAD and change nothing */
void xw_engine_adopt(struct xw_engine *e);

struct xw_net_cfg {
    uint8_t mac[6];
    uint8_t dedicated;       /* 1: the address is the stack's own, it does all of ARP; 0: the host's */
    uint8_t vlan_cnt;        /* tags to send and expect: 0 … 2 */
    uint16_t vlan_id[2];     /* outer first */
    uint32_t ip;             /* our address */
    uint32_t mask;           /* of its network */
    uint32_t mtu;            /* of the interface */
    uint16_t vlan_tpid[2];   /* of each tag; 0: 0x8100 (802.1Q) */
};
/* the device becomes the engine's own */
int xw_engine_attach(struct xw_engine *e, struct xw_dev *dev, const struct xw_net_cfg *cfg);
/* route to net/mask by gateway (0: on link); mtu 0: the interface's. The longest mask wins; same net and mask:
 * replaced */
int xw_engine_route(struct xw_engine *e, uint32_t net, uint32_t mask, uint32_t gateway, uint32_t mtu);
/* MAC of a neighbour as the kernel knows it (shared mode); takes effect with the next packet */
int xw_engine_neigh(struct xw_engine *e, uint32_t ip, const uint8_t mac[6]);

enum xw_transport { XW_TRANSPORT_XDP = 1, XW_TRANSPORT_SOCKET = 2 };
enum xw_proto { XW_PROTO_RAW = 0, XW_PROTO_WS = 1 };
/* a captured TLS connection's keys, from its key log */
struct xw_replay_tls {
    uint8_t version;             /* 12 or 13 */
    uint8_t secret_len;
    uint16_t suite;              /* as in the ServerHello */
    uint8_t client_random[32], server_random[32];
    uint8_t client_secret[48];   /* 1.3: CLIENT_TRAFFIC_SECRET_0; 1.2: the master secret */
    uint8_t server_secret[48];   /* 1.3: SERVER_TRAFFIC_SECRET_0 */
};
struct xw_conn_cfg {
    uint8_t transport;           /* enum xw_transport */
    uint8_t proto;               /* enum xw_proto */
    uint8_t check_utf8;          /* 1: text messages are validated */
    uint8_t tcp_no_delay;        /* 1: no Nagle */
    uint16_t local_port;         /* xdp: reserved by the caller; socket: 0 = any */
    uint16_t remote_port;
    uint32_t local_ip;           /* socket: 0 = any */
    uint32_t remote_ip;
    struct xw_tls_ctx *tls;      /* NULL: no TLS */
    const char *server_name;     /* SNI, and the name that the certificate must bear (DNS name or IP address) */
    const char *ws_request;      /* client: request target, "/path?query" */
    const char *ws_host;         /* value of the Host header */
    const char *ws_headers;      /* further header lines, each ended by CRLF; NULL: none */
    const char *ws_subprotocols; /* comma-separated offer; NULL: none */
    /* permessage-deflate (RFC 7692): 1 offers it, with the parameters that follow */
    uint8_t ws_deflate;
    uint8_t ws_server_reset;     /* 1: server_no_context_takeover */
    uint8_t ws_client_reset;     /* 1: client_no_context_takeover */
    uint8_t ws_server_bits;      /* server_max_window_bits, 8 … 15; 0: not offered */
    uint8_t ws_client_bits;      /* client_max_window_bits, 8 … 15; 1: offered without a value; 0: not offered */
    uint8_t ws_server;           /* 1: server role, over adopt_fd: XW_EV_REQUEST comes, xw_conn_answer answers it */
    uint8_t adopt;               /* 1: adopt_fd is a connected stream socket (TCP or Unix); transport: socket. A duplicate
                                  * is used: the caller closes its own. Addresses and ports do not count then */
    uint8_t pad;
    int32_t adopt_fd;
    uint32_t ws_deflate_min;     /* messages of fewer bytes are sent as they are */
    uint64_t max_message;        /* bytes, compressed ones inflated; longer: close 1009 */
    uint64_t open_timeout_ns;    /* TCP + TLS + upgrade; 0: none */
    uint64_t close_timeout_ns;   /* close handshake, then the transport is cut; 0: 10 s */
    uint64_t user;               /* handed back in every event */
    const struct xw_replay_tls *replay_tls; /* engine in replay, with tls: the keys; NULL otherwise. Copied */
};
/* starts connecting; *id names the connection until its CLOSED event was delivered */
int xw_conn_open(struct xw_engine *e, const struct xw_conn_cfg *cfg, uint64_t now_ns, uint32_t *id);

enum xw_event_type {
    XW_EV_OPEN = 1,     /* usable. WS: data = head of the HTTP answer */
    XW_EV_MESSAGE = 2,  /* whole message; opcode 1 text, 2 binary */
    XW_EV_PING = 3,     /* data = payload; the pong was sent already */
    XW_EV_PONG = 4,     /* data = payload */
    XW_EV_CLOSING = 5,  /* the peer's close frame came: code, data = reason; the answer was sent already */
    XW_EV_REJECTED = 6, /* the upgrade was answered otherwise: data = head and beginning of the body; CLOSED follows */
    XW_EV_READABLE = 7, /* raw: xw_conn_read has something, or the end (edge: again only after it was read empty) */
    XW_EV_WRITABLE = 8, /* there is room again after a send that took less than it was given */
    XW_EV_CLOSED = 9,   /* last event of the connection: layer, error, code, data = text for people */
    XW_EV_REQUEST = 10  /* server: data = head of the request; code = status that we would answer (101, or 400 and up
                         * when it is no valid upgrade). Nothing more comes before xw_conn_answer */
};
enum xw_layer {
    XW_LAYER_NONE = 0, XW_LAYER_NET = 1, XW_LAYER_TCP = 2, XW_LAYER_TLS = 3, XW_LAYER_HTTP = 4, XW_LAYER_WS = 5
};

/* validity bits of struct xw_stamps */
enum xw_stamp_bit {
    XW_ST_NIC = 1, XW_ST_KERNEL = 2, XW_ST_RING = 4, XW_ST_DECRYPT_BEGIN = 8, XW_ST_DECRYPT_END = 16,
    XW_ST_PARSED = 32, XW_ST_FIRST = 64
};
struct xw_stamps {
    /* NIC hardware time of the packet that completed the message: over xdp on CLOCK_MONOTONIC (xw_xsk_phc), over a
     * socket as the NIC's own clock shows it */
    uint64_t nic_ns;
    uint64_t kernel_ns;         /* in the XDP program, or the kernel's receive time */
    uint64_t ring_ns;           /* taken from the ring, or recv() returned */
    uint64_t decrypt_begin_ns;
    uint64_t decrypt_end_ns;
    uint64_t parsed_ns;         /* frame parsed; the event is in the array */
    uint64_t first_ns;          /* kernel_ns (else ring_ns) of the first packet of the message */
    uint32_t valid;             /* enum xw_stamp_bit */
    uint32_t pad;
};
struct xw_event {
    uint64_t user;              /* xw_conn_cfg.user */
    uint32_t conn;              /* its id */
    uint8_t type;               /* enum xw_event_type */
    uint8_t opcode;
    uint8_t layer;              /* enum xw_layer: who ended the connection */
    uint8_t by_peer;            /* CLOSED: the peer began it */
    int32_t error;              /* XW_E… */
    uint32_t code;              /* WebSocket close code; 1005 none given, 1006 no close frame */
    uint32_t sent;              /* CLOSED: code of our own close frame; 1005 sent without one, 0 none was sent */
    uint32_t pad;
    uint64_t len;
    const uint8_t *data;        /* valid until the next xw_poll of this engine */
    struct xw_stamps stamps;
};
/* Does all that can be done now: receives, decrypts, parses, answers, retransmits, sends. Fills up to max events and
 * returns how many; 0: nothing happened. The first call after silence gives
 * one, so that the first message of a burst does not wait for the last; each further one of the same backlog up to twice as
 * many as the one before. */
int xw_poll(struct xw_engine *e, uint64_t now_ns, struct xw_event *events, uint32_t max);
/* xw_poll again and again, reading the clock itself, until there is an event or spin_ns have passed: a busy loop in C
 * answers sooner than one of its caller's language */
int xw_poll_spin(struct xw_engine *e, uint64_t spin_ns, struct xw_event *events, uint32_t max);
/* when xw_poll must be called even if no descriptor becomes readable (now or earlier: at once); UINT64_MAX: never */
uint64_t xw_engine_deadline(const struct xw_engine *e);
/* an epoll descriptor that is readable when there is something to poll; owned by the engine */
int xw_engine_fd(const struct xw_engine *e);
/* on 1: xw_engine_wait also ends when fd, which stays the caller's, becomes readable; 0: no longer. XW_ESYS */
int xw_engine_watch(struct xw_engine *e, int fd, int on);
/* waits until there is something to poll, at most timeout_ns (UINT64_MAX: for ever). 2: a watched descriptor is readable (there
 * may be something to poll as well); 1: there is something to poll; 0: timed out (or sooner: look at the
 * clock); XW_ESYS (EINTR included) */
int xw_engine_wait(struct xw_engine *e, uint64_t timeout_ns);

/* Calls that name a connection: XW_ECLOSED when its end is among the events of the last poll, XW_ENOCONN once it is gone. */
/* WebSocket: sends one message or control frame (opcode 1, 2, 9, 10). Returns how many payload bytes were taken;
 * fewer than
 * len only for a data message longer than the free space: the rest follows by xw_conn_send_more when WRITABLE comes.
 * XW_EAGAIN:
 * nothing was taken; WRITABLE comes. */
int64_t xw_conn_send(struct xw_engine *e, uint32_t id, uint8_t opcode, const void *data, uint64_t len, uint64_t now_ns);
int64_t xw_conn_send_more(struct xw_engine *e, uint32_t id, const void *data, uint64_t len, uint64_t now_ns);
/* the same for one frame of a message that the caller cuts: first opcode 1 or 2 with fin 0, then opcode 0. Such messages
 * are not compressed */
int64_t xw_conn_send_frame(struct xw_engine *e, uint32_t id, uint8_t opcode, int fin, const void *data, uint64_t len,
                           uint64_t now_ns);
/* WebSocket: copies the head that we send in the handshake, at most max bytes of it, and returns its length. Client: the
 * request, as long as it was not answered. Server: the answer that we would give, between REQUEST and xw_conn_answer.
 * Otherwise XW_ESTATE */
int64_t xw_conn_hello(struct xw_engine *e, uint32_t id, char *out, uint64_t max);
/* server: answers the request with a whole HTTP head (and body). 101 opens the connection; it is allowed only if the
 * draft (xw_conn_hello) was 101, whose Sec-WebSocket-Accept it must bear; without Sec-WebSocket-Extensions there is no
 * compression. Another status ends the connection behind it. XW_EINVAL: no HTTP head, or 101 without the right key;
 * XW_ETOOBIG: a head of more than 16384 bytes, or head and body of more than max_message (at least 40960) */
int xw_conn_answer(struct xw_engine *e, uint32_t id, const void *answer, uint64_t len, uint64_t now_ns);
/* WebSocket: begins the close handshake (code 0: without a code). Raw: closes both ways after what was sent */
int xw_conn_close(struct xw_engine *e, uint32_t id, uint32_t code, const char *reason, uint64_t now_ns);
int xw_conn_abort(struct xw_engine *e, uint32_t id, uint64_t now_ns);
/* stops (1) or resumes (0) delivery of messages; when the rings are full the window closes and the peer has to wait.
 * WebSocket: pings in what has come meanwhile are answered and pongs are told, ahead of the messages before them. It
 * resumes by itself when a close frame or the end of the stream is seen: what is left then is bounded by the rings */
/* engine in replay: sends exactly these octets of the captured client (behind the SYN), and its FIN; returns how many */
int64_t xw_conn_replay(struct xw_engine *e, uint32_t id, const void *data, uint64_t len, int fin, uint64_t now_ns);
int xw_conn_pause(struct xw_engine *e, uint32_t id, int paused);
/* raw: bytes taken / given; 0 from read with len > 0: nothing there now; XW_ECLOSED: the end of the stream was read */
int64_t xw_conn_read(struct xw_engine *e, uint32_t id, void *buf, uint64_t len, struct xw_stamps *stamps);
int64_t xw_conn_write(struct xw_engine *e, uint32_t id, const void *data, uint64_t len, uint64_t now_ns);
int xw_conn_shutdown_wr(struct xw_engine *e, uint32_t id, uint64_t now_ns);

struct xw_conn_info {
    uint8_t transport;
    uint8_t tcp_state;          /* as TCP_* of <netinet/tcp.h> (both transports) */
    uint8_t tls_version;        /* 12, 13; 0: no TLS or not yet */
    uint8_t ca_state;           /* congestion: 0 open, 3 recovery, 4 loss */
    uint16_t local_port;
    uint16_t mss;               /* bytes of data we put into one segment */
    uint32_t srtt_us, rttvar_us, rto_us;
    uint32_t cwnd;              /* bytes */
    uint32_t in_flight;         /* bytes */
    uint32_t rcv_wnd, snd_wnd;  /* bytes, as last offered / received */
    uint64_t bytes_in, bytes_out, segs_in, segs_out;
    uint64_t retransmits, fast_retransmits, timeouts, dup_acks, ooo_segs, dup_segs, zero_windows, probes;
    char cipher[64];            /* TLS cipher suite, OpenSSL's name; "" */
    char tls_engine[16];        /* who does the records: "own", "openssl"; "" before the handshake is done */
    uint32_t local_ip;          /* 0: not IPv4, or not known */
    uint32_t pad;
    char tls_library[16];       /* who does their cryptography: "ipsec-mb", "evp", "openssl"; "" as above */
};
int xw_conn_info(struct xw_engine *e, uint32_t id, struct xw_conn_info *out);

/* ---- histograms of the stages (base/hist.h, engine/stages.c) ----------------------------------------------------- */
enum { XW_HIST_LEN = 3840, XW_STAGES_VERSION = 1 };
enum xw_stage {
    XW_STAGE_NIC_KERNEL = 0,    /* from the NIC's time to the XDP program's */
    XW_STAGE_KERNEL_RING = 1,   /* from there until it was taken from the ring */
    XW_STAGE_RING_DECRYPT = 2,  /* until its last TLS record was decrypted: IP, TCP, what was before it */
    XW_STAGE_DECRYPT = 3,
    XW_STAGE_PARSE = 4,         /* from decrypted (without TLS: from the ring) to a whole WebSocket message */
    XW_STAGE_PARSED_USER = 5,   /* until the user had it */
    XW_STAGE_FIRST_USER = 6,    /* from the message's first packet to the user */
    XW_STAGE_CALLBACK = 7,      /* in the user's callback; not for messages handed over in batches */
    XW_STAGES = 8
};
struct xw_hist {                /* of ns; all 0 is an empty one */
    uint64_t count, total, min, max;
    uint64_t clamped;           /* values above XW_HIST_MAX (68.7 s), counted as that */
    uint64_t negative;          /* values below 0, counted as 0 */
    uint64_t counts[XW_HIST_LEN];
};
struct xw_stage_conn {
    uint32_t id;                /* 0: never used */
    uint32_t live;
    uint64_t began_ns, messages, bytes;
    char name[224];             /* its URL */
    struct xw_hist hist[XW_STAGES];
};
struct xw_stage_area {
    uint64_t magic;             /* XW_STAGES_MAGIC when all else is there */
    uint32_t version;           /* XW_STAGES_VERSION */
    uint32_t conns;
    uint64_t conn_len;          /* sizeof(struct xw_stage_conn): of one writer and reader alike */
    uint64_t began_ns;
    struct xw_stage_conn conn[];
};
uint64_t xw_stages_magic(void);
/* bytes of an area for so many connections, most of which are touched only when they are used */
uint64_t xw_stages_size(uint32_t conns);
/* area: zeroed, of at least xw_stages_size(max_conns), the caller's, until it is replaced by NULL: no histograms */
int xw_engine_stages(struct xw_engine *e, void *area, uint64_t len);
int xw_stages_begin(struct xw_engine *e, uint32_t id, const char *name); /* a new connection's place, emptied */
void xw_stages_end(struct xw_engine *e, uint32_t id);
/* the consumer has handled these messages, which it got at user_ns (0: not known); before the next xw_poll. Of a single
 * one the time since then counts as the callback's */
void xw_stages_record(struct xw_engine *e, const struct xw_event *events, uint32_t cnt, uint64_t user_ns);
/* the value that `percent` (0 … 100) of the values do not exceed: upper end of its bucket, at most max; 0 if empty */
uint64_t xw_hist_percentile(const struct xw_hist *h, double percent);
uint64_t xw_hist_upper(uint32_t i);  /* the largest value that counts[i] counts */
void xw_hist_add(struct xw_hist *h, const struct xw_hist *other);
/* what was recorded after `before` was copied from the same histogram; min and max to the width of a bucket */
void xw_hist_since(struct xw_hist *h, const struct xw_hist *before);

struct xw_clock_info {
    uint8_t tsc;             /* 1: stamps are read from the TSC now; 0: by clock_gettime */
    uint8_t pad[7];
    uint64_t hz;             /* of the TSC, as measured last; 0: never */
    uint64_t pairs;          /* how often it was compared with CLOCK_MONOTONIC */
    uint64_t steps;          /* how often it was more than 5 us off, so that it was not slewed but set */
    uint64_t worst_ns;       /* the most that it was off otherwise */
    int64_t off_ns;          /* what it was off when it was last compared */
};
int xw_engine_clock(const struct xw_engine *e, struct xw_clock_info *out);

struct xw_engine_stats {
    uint64_t polls, events, rx_frames, rx_bytes, tx_frames, tx_bytes, tx_kicks;
    uint64_t k_rx_dropped, k_rx_invalid, k_tx_invalid, k_rx_ring_full, k_fill_empty, k_tx_empty; /* XDP_STATISTICS */
    uint8_t zero_copy;
    uint8_t pad[7];
};
int xw_engine_stats(struct xw_engine *e, struct xw_engine_stats *out);
/* xw_engine_suspects: how often nothing of ours seemed to arrive any more (XW_TCP_EV_ADVICE): when it grows, verify the next
 * hops. Dedicated mode does so by itself. */
uint32_t xw_engine_suspects(const struct xw_engine *e);
/* drop counters by reason; returns how many there are (fills at most max) */
int xw_engine_drops(struct xw_engine *e, uint64_t *out, uint32_t max);
