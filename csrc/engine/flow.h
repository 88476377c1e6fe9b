/* engine/flow.h: which connection a received frame belongs to, by its first bytes.
 *
 * A frame that went the whole way through net and tcp (whose checks it passed) shows what the following ones of its flow
 * look like: Ethernet destination, type, VLAN tags, IP version, header length, protocol, addresses and ports. A frame
 * that equals it there needs none of these checks again. What may differ is read here (length, IP checksum) or by TCP.
 * The table is a cache: sets of two, hashed by address and ports; losing an entry costs one frame the long way. An entry is
 * good only as long as its connection has the id that it had. Not for frames with IP options, nor with other tags than the
 * engine sends. */
#ifndef XW_ENGINE_FLOW_H
#define XW_ENGINE_FLOW_H
#include "base/span.h"
#include <stdbool.h>
#include <stdint.h>

#define XW_FLOW_WORDS 6u /* two VLAN tags, IP header, ports: 46 bytes */
#define XW_FLOW_SEEN (8 * XW_FLOW_WORDS)

struct xw_flow {
    uint64_t want[XW_FLOW_WORDS]; /* masked */
    void *conn;                   /* NULL: empty */
    uint32_t id;
    uint32_t at;                  /* learned then */
};
struct xw_flows {
    struct xw_flow *set;          /* pairs; NULL: nothing is ever found */
    uint64_t mask[XW_FLOW_WORDS]; /* bytes that must be equal */
    unsigned shift;               /* hash → pair */
    uint32_t l2_len;
    uint32_t learned;             /* entries written, as the time of their age */
};

/* xw_flows_init: for max_conns connections whose frames have vlan_cnt tags. XW_ENOMEM. */
int xw_flows_init(struct xw_flows *f, uint32_t max_conns, uint32_t vlan_cnt);
void xw_flows_fini(struct xw_flows *f);
/* xw_flow_find: the entry for this frame; NULL if there is none. At least XW_FLOW_SEEN bytes long. */
const struct xw_flow *xw_flow_find(struct xw_flows *f, const uint8_t *frame);
/* xw_flow_learn: frames that begin like this one belong to conn, as long as that has this id. */
void xw_flow_learn(struct xw_flows *f, struct xw_span frame, void *conn, uint32_t id);
/* xw_flow_segment: the TCP segment of a frame that was found, and the sum of its pseudo header; false: lengths or the IP
 * header's checksum are wrong. */
bool xw_flow_segment(const struct xw_flows *f, struct xw_span frame, struct xw_span *seg, uint64_t *pseudo);
#endif
