/* engine/express.h: the straight line for messages in order; see express.c for its conditions. */
#ifndef XW_ENGINE_EXPRESS_H
#define XW_ENGINE_EXPRESS_H
#include "engine/engine.h"
#include "tcp/fast.h"

/* Where records come from. */
struct xw_express_src {
    struct xw_span in;              /* the bytes; what was used is cut off */
    struct xw_rxstamp last, first;  /* packets of the record */
    bool in_ring;                   /* the head of the stream below: consumed there, stamps looked up there */
};

/* From so many connections on their state is fetched into the cache before their frames are dealt with: fewer stay in the
 * second level, and fetching costs ten times the lines that it saves. */
#define XW_EXPRESS_FETCH 32u

/* xw_express_lookup: the flow of frame i of the burst, into burst_flow; its connection is on its way to the cache. Two
 * frames ahead. xw_express_fetch: what that connection points to, one frame ahead; i > 0. */
void xw_express_lookup(struct xw_engine *e, uint32_t i);
void xw_express_fetch(const struct xw_engine *e, uint32_t i);
/* xw_express_frame: one received frame of this flow (NULL: of none); false: it must go the long way, and nothing has
 * happened. *n: events filled. */
bool xw_express_frame(struct xw_engine *e, const struct xw_pkt *p, const struct xw_flow *f, const struct xw_rxstamp *stamp,
                      uint64_t now_ns, struct xw_event *ev, unsigned max, unsigned *n);
/* xw_express_records: at most max messages of the records of src. */
unsigned xw_express_records(struct xw_engine *e, struct xw_conn *c, struct xw_express_src *src, struct xw_event *ev,
                            unsigned max);
/* xw_express_pump: the records that lie in a connection's receive ring; false: none gave an event, and the connection must be
 * pumped. */
bool xw_express_pump(struct xw_engine *e, struct xw_conn *c, uint64_t now_ns, struct xw_event *ev, unsigned max,
                     unsigned *n);
#endif
