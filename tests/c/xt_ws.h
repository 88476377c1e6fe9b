/* tests/c/xt_ws.h: a WebSocket connection on an xt_bs, with what it said as text: events in log, frames it sent in
 * sent.
 *
 *   REQUEST(101)  OPEN  M1(text)  M2(5000#hash)  PING(x)  PONG(x)  CLOSING(1000,reason)  REJECTED(403,len)
 *   ENDED(error,code,sent,layer,peer|us)
 *
 * Entries are separated by one blank. Payloads longer than 40 bytes appear as length and hash. */
#ifndef XT_WS_H
#define XT_WS_H
#include "ws/conn.h"
#include "xt_bs.h"

struct xt_ws_opt {
    enum xw_ws_role role;      /* 0: client */
    bool plain;                /* receive ring is not mirrored, view_max is 0 */
    uint32_t rx_cap;           /* 0: 65536 */
    uint32_t tx_cap;           /* 0: 65536 */
    uint64_t max_message;      /* 0: 1 MiB */
    bool no_utf8;
    bool no_hello;             /* the handshake is left to the test */
    bool ask;                  /* server: the owner answers */
    unsigned max_events;       /* a poll; 0: 8 */
    const char *target, *headers, *subprotocols;
    struct xw_ws_pmd deflate;  /* on: offered and (by the peer's hello, with all its parameters) answered alike */
    uint32_t deflate_min;
};

#define XT_WS_LOG 16384u

struct xt_ws {
    struct xt_bs bs;
    struct xw_ws *ws;
    struct xw_rng rng;
    uint8_t *assembly, *deflate_mem;
    uint64_t now;
    unsigned max_events;
    bool paused;               /* nobody takes messages */
    struct xw_ws_event last;   /* the last MESSAGE (its span is not valid any more) */
    char log[XT_WS_LOG];
    char sent[XT_WS_LOG];
    uint8_t raw[1 << 17];      /* sent bytes that are no whole frame yet */
    size_t raw_len;
    enum xw_ws_role role;
};

/* made, and opened unless no_hello: the log is empty then */
void xt_ws_init(struct xt_ws *t, const struct xt_ws_opt *opt);
void xt_ws_free(struct xt_ws *t);
/* polls until nothing happens any more; events go to log */
void xt_ws_run(struct xt_ws *t);
/* pushes, polling whenever the ring is full; then runs */
void xt_ws_feed(struct xt_ws *t, const void *data, size_t len);
/* takes what was sent and appends whole frames to sent: F fin, f not, then the opcode; Z before it: RSV1 */
void xt_ws_collect(struct xt_ws *t);
/* the answer 101 to the request that lies in the send ring, with more header lines; returns its length */
size_t xt_ws_answer(struct xt_ws *t, char *out, const char *more);
void xt_ws_expect(struct xt_ws *t, const char *log, const char *sent, const char *file, int line);
#define XT_WS(t, log, sent) xt_ws_expect((t), (log), (sent), __FILE__, __LINE__)
/* one frame, masked with a fixed key if masked; returns its length */
size_t xt_frame(uint8_t *out, unsigned first, bool masked, const void *data, size_t len);
#endif
