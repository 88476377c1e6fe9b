/* ws/conn_priv.h: the state of a connection; for ws/conn*.c only. */
#ifndef XW_WS_CONN_PRIV_H
#define XW_WS_CONN_PRIV_H
#include "ws/conn.h"
#include "ws/simd.h"
#include "ws/upgrade.h"
#include "ws/utf8.h"

enum ws_state {
    WS_HELLO,   /* our part of the HTTP exchange is being sent (client), or the peer's awaited (server) */
    WS_ASK,     /* server: the owner is to answer the request */
    WS_HEAD,    /* client: the answer's head is being read. Server: our answer is being sent */
    WS_BODY,    /* client: body of a rejection */
    WS_OPEN,    /* frames are parsed; also while our own close frame waits for its answer */
    WS_DRAIN,   /* nothing that comes counts any more; waiting for the stream to end */
    WS_DEAD     /* ENDED was delivered */
};

/* Handshake texts in the assembly buffer: what we send at 0, what the peer sent behind it. */
#define WS_PEER_AT XW_WS_REQUEST_MAX

struct ws_rx {
    size_t off;               /* parsed bytes that the stream still holds */
    bool held;                /* spans of them were handed out: nothing is consumed before release */
    /* the last poll stopped for want of events, of a release, or of sight past a ring's end */
    bool stalled;
    /* header that a plain ring cut in two */
    uint8_t hdr_buf[XW_WS_HDR_MAX];
    uint8_t hdr_have;
    /* frame being copied to the assembly (data) or to ctl (control) */
    bool in_frame;
    struct xw_ws_hdr h;
    uint64_t frame_pos;       /* payload bytes of it that were taken */
    uint64_t frame_first;     /* stream offset of its header */
    /* message being assembled */
    bool in_msg;
    uint8_t msg_opcode;
    size_t msg_at, msg_len;   /* in the assembly buffer */
    size_t lent_end;          /* [0, lent_end) of it belongs to events until release */
    uint64_t msg_first;       /* stream offset of its first header */
    struct xw_rxstamp first;
    bool packed;              /* the message is compressed */
    uint64_t packed_len;      /* payload bytes of its frames so far */
    struct xw_ws_utf8 utf8;   /* of the current text message */
    size_t checked;           /* payload bytes of the frame still lying in the stream that utf8 has seen */
    uint8_t ctl[XW_WS_CONTROL_MAX];
    bool ctl_lent;
    /* looking ahead while paused (conn_ahead.c): frames whose headers lie in [ahead_from, ahead) of the stream were seen */
    uint64_t ahead_from, ahead;
    bool ahead_close, ahead_lent;
    uint8_t ahead_ctl[XW_WS_CONTROL_MAX];
};

struct ws_tx {
    size_t hello_len, hello_sent; /* of the handshake text at assembly.p */
    /* header or control frame that must go out before anything else */
    uint8_t stage[XW_WS_HDR_MAX + XW_WS_CONTROL_MAX];
    uint8_t stage_len, stage_sent;
    bool in_msg;              /* a fragmented message of ours is open */
    uint8_t key[4];           /* of the data frame begun */
    uint64_t left, pos;       /* payload bytes that it lacks, that it has. Compressed: left of the message, not of it */
    /* the compressed message begun. pack[0, pack_end) is the frame going out, pack_sent of it are gone; what follows up
     * to pack_have is for the next one. The last four bytes always wait: at the message's end they are not sent */
    bool packing;             /* its last frame is not made */
    bool pack_first;          /* nor its first */
    uint8_t pack_opcode;
    size_t pack_have, pack_end, pack_sent;
    bool pong_due, close_due; /* wait for the frame begun */
    uint8_t pong_len, close_len;
    uint8_t pong[XW_WS_CONTROL_MAX], close[XW_WS_CONTROL_MAX];
    bool close_sent;          /* our close frame is in the stage or further */
    bool shut_wanted, shut;   /* end our direction after what is queued */
};

struct xw_ws {
    struct xw_ws_cfg cfg;
    enum ws_state state;
    struct ws_rx rx;
    struct ws_tx tx;
    struct xw_ws_head head;
    struct xw_ws_body body;
    unsigned http_status;
    size_t draft_len;         /* WS_ASK: of the answer that we would give, at assembly.p */
    struct xw_ws_pmd agreed;  /* WS_ASK: compression that the draft grants */
    uint8_t interim;          /* 1xx answers skipped */
    uint8_t rsv_ok;           /* bits that a negotiated extension uses */
    bool moved;               /* something was done to the stream of which it does not know (xw_ws_moved) */
    struct xw_ws_deflate *deflate; /* NULL: not agreed */
    uint64_t now_ns;          /* of the poll or call in progress */
    uint64_t deadline_ns;     /* of the body, or of the close handshake; XW_NEVER */
    /* how it ended; the first cause decides */
    bool closing, decided, end_now, by_peer, close_rcvd;
    uint8_t end_layer;
    int32_t end_error;
    uint32_t end_code, rcvd_code, sent_code;
    const char *end_text;
};

/* conn_tx.c */
void ws_tx_flush(struct xw_ws *ws);
bool ws_tx_hello_done(const struct xw_ws *ws);
void ws_tx_pong(struct xw_ws *ws, struct xw_span payload);
/* Queues our close frame; code 0 or XW_WS_CODE_NONE: empty. */
void ws_tx_close(struct xw_ws *ws, uint32_t code, const void *reason, size_t len);
/* conn_rx.c: parses frames into events; returns how many. */
unsigned ws_rx_frames(struct xw_ws *ws, struct xw_ws_event *ev, unsigned max);
struct xw_span ws_rx_view(const struct xw_ws *ws);
/* Stream offset of the first byte that is not parsed. */
static inline uint64_t ws_rx_pos(const struct xw_ws *ws) {
    return ws->cfg.bs->ops->rx_offset(ws->cfg.bs) + ws->rx.off;
}
/* conn_ahead.c: pings answered and pongs told among the frames that wait; returns the number of events */
unsigned ws_rx_ahead(struct xw_ws *ws, struct xw_ws_event *ev, unsigned max);
/* conn_answer.c: server, the request is complete; 1: event */
unsigned ws_judge_request(struct xw_ws *ws, struct xw_ws_event *ev);
/* conn.c */
void ws_decide(struct xw_ws *ws, enum xw_ws_layer layer, int error, uint32_t code, const char *text);
void ws_begin_close(struct xw_ws *ws, bool by_peer);
void ws_end_handshake(struct xw_ws *ws, int error, bool by_peer, const char *text);
/* What was agreed comes into force. False: the handshake has failed. */
bool ws_start_deflate(struct xw_ws *ws, const struct xw_ws_pmd *agreed);
/* The peer's head: collected, or being collected. */
struct xw_span ws_head_span(const struct xw_ws *ws);
void ws_fail(struct xw_ws *ws, enum xw_ws_fault f);
#endif
