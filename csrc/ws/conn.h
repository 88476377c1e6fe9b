/* ws/conn.h: one WebSocket connection (RFC 6455) over a byte stream (bs/bs.h), client or server.
 *
 * Pull, not push: xw_ws_poll looks at what the stream shows, fills an array of events and returns. Nothing here
 * allocates, calls back (but the clock of cfg) or does I/O: whoever owns the stream calls bs->ops->poll before
 * xw_ws_poll (to receive) and after xw_ws_poll, xw_ws_send and xw_ws_close (to send). The stream itself
 * (bs->ops->close) and the time allowed for opening are the owner's business too.
 *
 * Memory: the owner gives xw_ws_size() bytes (aligned to 16) for the state and one assembly buffer. A message of
 * one frame that the stream shows as a whole is handed out where it lies, without a copy; fragmented messages,
 * frames longer than view_max and everything masked (server role) are put together in the assembly buffer. Spans
 * of events stay valid, and their bytes unconsumed in the stream, until xw_ws_release. The owner calls that at the
 * start of its next poll.
 *
 * permessage-deflate (RFC 7692), when cfg.deflate is on and both sides agree: compressed messages are inflated into the
 * assembly buffer as they come, never beyond max_message; ours of deflate_min bytes and more are deflated through one
 * fixed buffer, in several frames when they need more. A message sent by xw_ws_send_frame in frames of the caller's
 * is not compressed. */
#ifndef XW_WS_CONN_H
#define XW_WS_CONN_H
#include "base/rng.h"
#include "base/stamp.h"
#include "bs/bs.h"
#include "ws/deflate.h"
#include "ws/extension.h"
#include "ws/frame.h"
#include <stdbool.h>

struct xw_ws;
struct xw_ws_simd;

enum xw_ws_role { XW_WS_CLIENT = 1, XW_WS_SERVER = 2 };

/* Least assembly buffer: it also carries our request (<= XW_WS_REQUEST_MAX) and the peer's head and body. */
#define XW_WS_REQUEST_MAX 16384u
#define XW_WS_ASSEMBLY_MIN 40960u
/* Deflated bytes that wait to be framed, and so the longest frame of a compressed message of ours. */
#define XW_WS_PACK_LEN 16384u
#define XW_WS_DEFLATE_NEED (XW_WS_PACK_LEN + XW_WS_DEFLATE_MEM)

struct xw_ws_cfg {
    enum xw_ws_role role;
    struct xw_bs *bs;               /* outlives the connection */
    struct xw_rng *rng;             /* outlives it; masks and the handshake key */
    const struct xw_ws_simd *simd;  /* NULL: the best that this CPU has (ws/simd.h) */
    uint64_t max_message;           /* bytes; a longer one: close 1009. 1 … assembly.len */
    bool check_utf8;                /* text messages are validated, failing at the first bad byte */
    /* bytes that the stream can show in a row at least, wherever they begin: capacity of a mirrored ring, less
     * what must be free for the next record of a TLS stream. 0: not known (plain ring): a frame not shown as a
     * whole is assembled. */
    size_t view_max;
    struct xw_mspan assembly;       /* >= max_message and >= XW_WS_ASSEMBLY_MIN; a NORESERVE mapping serves well */
    uint64_t close_timeout_ns;      /* from the first close frame until the stream must have ended; 0: 10 s */
    uint64_t (*clock)(void *arg);   /* for parsed_ns; NULL: parsed_ns stays 0 */
    void *clock_arg;
    bool any_answer;                /* client, replays only: the request that the answer belongs to is not ours */
    bool stamps;                    /* fill first and last of MESSAGE events from bs->ops->stamp */
    struct xw_ws_pmd deflate;       /* client: what is offered; server: what it wants at least. on false: none of it */
    uint32_t deflate_min;           /* shorter messages are sent as they are; 0 and 1: all but empty ones are deflated */
    struct xw_mspan deflate_mem;    /* XW_WS_DEFLATE_NEED bytes aligned to 64, when deflate.on */
    /* client; the strings are needed only during xw_ws_init */
    const char *target;             /* "/path?query"; NULL: "/" */
    const char *host;               /* value of the Host header */
    const char *headers;            /* further header lines, each ended by CRLF; NULL: none */
    bool ask;                       /* server: the owner answers the request: REQUEST, then xw_ws_answer */
    const char *subprotocols;       /* client: comma-separated offer. server: supported, by preference; NULL: none.
                                     * Server: must live as long as the handshake lasts. */
};

/* Who ended it; the values are those of enum xw_layer in xw_api.h. */
enum xw_ws_layer { XW_WS_LAYER_BELOW = 0, XW_WS_LAYER_HTTP = 4, XW_WS_LAYER_WS = 5 };

enum xw_ws_event_type {
    XW_WS_OPEN = 1,   /* data = head of the HTTP answer (client) or request (server), with its last CRLFCRLF */
    XW_WS_MESSAGE,    /* opcode 1 or 2, data = payload, first/last, off_first/off_last, parsed_ns */
    XW_WS_PING,       /* data = payload; the pong is sent or queued already (of several queued the latest wins) */
    XW_WS_PONG,       /* data = payload */
    XW_WS_CLOSING,    /* the peer's close frame: code (1005: none given), data = reason; the answer is queued already */
    /* client: answer other than 101: code = HTTP status, data = head and beginning of the body; ENDED follows */
    XW_WS_REJECTED,
    XW_WS_REQUEST,    /* server with cfg.ask: data = head of the request, code = status of the draft of our answer */
    XW_WS_ENDED       /* the last one. error 0: clean; code, sent, layer, by_peer, data = text for people */
};

struct xw_ws_event {
    uint8_t type;             /* enum xw_ws_event_type */
    uint8_t opcode;
    uint8_t layer;            /* ENDED: enum xw_ws_layer; BELOW: ask the stream */
    uint8_t by_peer;          /* ENDED: the peer began it */
    int32_t error;            /* ENDED: XW_E… or 0 */
    /* CLOSING: the peer's. ENDED: the peer's; else the one we failed the connection with; else 1006 */
    uint32_t code;
    uint32_t sent;            /* ENDED: the code of our own close frame; 1005: sent without; 0: none was sent */
    struct xw_span data;      /* valid until xw_ws_release */
    uint64_t off_first;       /* stream offsets of the first byte of the first frame's header … */
    uint64_t off_last;        /* … and of the last byte of the last frame */
    uint64_t parsed_ns;
    struct xw_rxstamp first;  /* MESSAGE with cfg.stamps: of the first packet of the byte at off_first … */
    struct xw_rxstamp last;   /* … and of the packet that completed the message */
};

/* xw_ws_size: bytes of state, to be allocated by the owner (aligned to 16). */
size_t xw_ws_size(void);
/* xw_ws_init: makes a connection that begins its handshake with the first poll. XW_EINVAL: an argument is out of
 * range, or target, host, headers or subprotocols hold a byte that HTTP does not allow there; XW_ETOOBIG: request
 * longer than its limit. */
int xw_ws_init(struct xw_ws *ws, const struct xw_ws_cfg *cfg);
/* xw_ws_poll: all progress that needs no new bytes from the stream. Fills up to max events, returns how many. max
 * 0: only sends what waits and watches the close time-out (a paused reader). After ENDED: 0 for ever. */
int xw_ws_poll(struct xw_ws *ws, uint64_t now_ns, struct xw_ws_event *ev, unsigned max);
/* xw_ws_poll_paused: the same while nobody takes messages: the frames that the stream shows are looked at ahead; pings
 * are answered at once, and a pong is told (neither again when its turn comes). Nothing is consumed. */
int xw_ws_poll_paused(struct xw_ws *ws, uint64_t now_ns, struct xw_ws_event *ev, unsigned max);
/* xw_ws_ending: a close frame was seen ahead, or the stream has ended: a paused reader may as well take the rest. */
bool xw_ws_ending(const struct xw_ws *ws);
/* xw_ws_release: ends the validity of all spans handed out and consumes their bytes. */
void xw_ws_release(struct xw_ws *ws);
/* ---- the straight line: whole messages of one plain frame, found where they lie ---- */
struct xw_ws_msg { struct xw_span data; uint8_t opcode; };
/* xw_ws_simple: xw_ws_poll would do nothing but look for frames, and all but held bytes of what the stream shows are new to
 * it: nothing waits to be sent, no frame or message is begun, neither side closes. held: bytes that the stream showed before
 * the new ones. */
bool xw_ws_simple(const struct xw_ws *ws, size_t held);
/* xw_ws_prefetch: what xw_ws_simple and xw_ws_take will touch is on its way to the cache. */
void xw_ws_prefetch(const struct xw_ws *ws);
/* xw_ws_take: the message at the head of view, the bytes that the stream shows behind all that is parsed; they count as
 * parsed and lent as after xw_ws_poll. False: it is not a whole, unfragmented, uncompressed text or binary frame that obeys
 * every rule; xw_ws_poll finds out what it is. */
bool xw_ws_take(struct xw_ws *ws, struct xw_span *view, struct xw_ws_msg *out);
/* xw_ws_moved: bytes were written, consumed or the stream shut down since the last question: poll the stream once more
 * before you sleep, or it does not know. */
bool xw_ws_moved(struct xw_ws *ws);
/* xw_ws_deadline: when xw_ws_poll must be called even if nothing arrives; 0: at once (after a release), because
 * the last poll stopped for want of room, not of bytes; XW_NEVER. */
uint64_t xw_ws_deadline(const struct xw_ws *ws);

/* xw_ws_hello: client: the request, until it is answered; server with cfg.ask: the draft of the answer, until
 * xw_ws_answer. Else empty. */
struct xw_span xw_ws_hello(const struct xw_ws *ws);
/* xw_ws_answer: server with cfg.ask: the answer to be sent, head and body; see xw_conn_answer in xw_api.h. */
int xw_ws_answer(struct xw_ws *ws, const void *answer, size_t len);

/* xw_ws_send: one whole message (opcode 1, 2) or control frame (9, 10; len <= 125). Returns how many payload bytes
 * were taken. Fewer than len (0 included) only for a data message longer than the free space: it has begun, and
 * the rest follows by xw_ws_send_more. XW_EAGAIN: nothing was begun, try again when xw_ws_writable; XW_ESTATE: not
 * open yet, or the message begun before is not complete; XW_ECLOSED: closing or closed; XW_EINVAL: opcode or
 * length. Text is not validated. */
int64_t xw_ws_send(struct xw_ws *ws, uint8_t opcode, const void *data, uint64_t len);
/* xw_ws_send_frame: the same for one frame of a fragmented message: first opcode 1 or 2 with fin false, then
 * opcode 0. */
int64_t xw_ws_send_frame(struct xw_ws *ws, uint8_t opcode, bool fin, const void *data, uint64_t len);
/* xw_ws_send_more: the next bytes of the frame begun; returns how many were taken (0: no room now). XW_EINVAL:
 * more than the frame lacks; XW_ESTATE: no frame is open; XW_ECLOSED. */
int64_t xw_ws_send_more(struct xw_ws *ws, const void *data, uint64_t len);
/* xw_ws_writable: a send (or send_more, while a frame lacks bytes) would take something now. */
bool xw_ws_writable(const struct xw_ws *ws);
/* xw_ws_close: begins the close handshake. code 0: without one (reason_len must be 0 then). 0 also if it is
 * closing already. XW_EINVAL: a code that must not be sent (RFC 6455 7.4), reason longer than 123 bytes or not
 * UTF-8. Before OPEN: gives the handshake up, ENDED comes with XW_ECLOSED. */
int xw_ws_close(struct xw_ws *ws, uint32_t code, const char *reason, size_t reason_len, uint64_t now_ns);
/* xw_ws_is_open: OPEN was delivered and neither side began to close. */
bool xw_ws_is_open(const struct xw_ws *ws);
#endif
