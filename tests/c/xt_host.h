/* tests/c/xt_host.h: a host at the other end of an in-memory pair of devices: our own network layer and TCP in the
 * passive role, with a WebSocket server on the connection if wanted. The engine under test talks to it over frames.
 *
 *     struct xt_host h;
 *     struct xw_engine *e = xt_host_engine(&h, &(struct xt_host_cfg){ .ws = true });
 *     ... xw_conn_open(e, xt_host_target(&h), h.now, &id)
 *     xt_host_run(&h, until, 64)      polls both ends with a clock by hand until the engine gives an event of that type
 *     xt_host_free(&h) */
#ifndef XT_HOST_H
#define XT_HOST_H
#include "dev/fault.h"
#include "engine/engine.h"
#include "net/net.h"
#include "tcp/tcp.h"
#include "ws/conn.h"
#include "xt.h"

#define XT_HOST_IP 0x0a000001u
#define XT_HOST_CLIENT_IP 0x0a000002u
#define XT_HOST_PORT 9443
#define XT_HOST_STEP 20000u /* ns that pass between two rounds */

struct xt_host;
struct xt_host_cfg {
    bool ws;             /* WebSocket server that echoes; else a raw echo */
    /* what the host does with its connection (h->bs is open and was polled), instead of either */
    void (*serve)(struct xt_host *h, void *arg);
    void *serve_arg;
    const struct xw_fault_cfg *faults; /* of the engine's device; NULL: none */
    bool deaf;           /* nobody listens: SYNs are answered with RST */
    bool no_neighbour;   /* the engine is not told the host's MAC */
    uint32_t max_conns;  /* of the engine; 0: 4 */
    uint8_t seed;
};

struct xt_host {
    struct xw_engine *e;
    struct xw_dev *mine, *theirs; /* theirs is the engine's own */
    struct xw_net *net;
    struct xw_tcp_stack *tcp;
    struct xw_tcp_listener *listener;
    struct xw_tcp *conn;
    struct xw_bs *bs;
    struct xw_ws *ws;
    struct xw_rng rng;
    struct xw_bytering rcv, snd;
    struct xw_mspan assembly;
    void *net_mem, *tcp_mem, *ws_mem;
    uint64_t drops[XW_DROP_COUNT];
    uint64_t now;
    uint64_t frames_in;
    uint8_t last_src[6];          /* of the last frame that came */
    uint8_t last_dst[6];
    struct xt_host_cfg cfg;
    struct xw_conn_cfg target;
    struct xw_event ev[64];       /* of the last poll */
    int ev_cnt;
};

extern const uint8_t XT_HOST_MAC[6], XT_HOST_CLIENT_MAC[6];

struct xw_engine *xt_host_engine(struct xt_host *h, const struct xt_host_cfg *cfg);
void xt_host_free(struct xt_host *h);
/* what to hand to xw_conn_open: may be changed before */
struct xw_conn_cfg *xt_host_target(struct xt_host *h);
/* one round: the engine polls (h->ev, h->ev_cnt), the host answers, time passes; returns the number of events */
int xt_host_round(struct xt_host *h);
/* rounds until an event of that type, at most so many; the event, or a failed test */
const struct xw_event *xt_host_run(struct xt_host *h, enum xw_event_type type, unsigned rounds);
/* rounds in which no event may come */
void xt_host_quiet(struct xt_host *h, unsigned rounds);
#endif
