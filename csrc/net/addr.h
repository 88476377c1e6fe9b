/* net/addr.h: claiming our own address on the link (RFC 5227): probe for it, announce it, defend it. Dedicated mode.
 *
 * We have one address and nobody to ask for another, so on a conflict while probing the claim rests 60 s and begins
 * again, and an address in use is defended for ever (2.4 (c)), with at most one announcement in 10 s. */
#ifndef XW_NET_ADDR_H
#define XW_NET_ADDR_H
#include "base/rng.h"
#include "net/net.h"

enum xw_claim_send { XW_CLAIM_SEND_NONE = 0, XW_CLAIM_SEND_PROBE, XW_CLAIM_SEND_ANNOUNCE };

struct xw_claim {
    enum xw_net_addr_state state;
    enum xw_net_claim how;
    uint32_t sent;          /* PROBING: probes, OK: announcements sent */
    bool due;               /* one more is to be sent */
    bool defended;          /* defended_ns is valid */
    uint64_t timer_ns;      /* PROBING: next probe or the end; OK: next announcement; CONFLICT: next attempt */
    uint64_t defended_ns;   /* last announcement made against a conflict */
};

void xw_claim_start(struct xw_claim *c, enum xw_net_claim how, struct xw_rng *rng, uint64_t now_ns);
/* xw_claim_conflict: somebody else uses the address or (PROBING) probes for it. */
void xw_claim_conflict(struct xw_claim *c, uint64_t now_ns);
/* xw_claim_output: what to send now; it counts as sent. */
enum xw_claim_send xw_claim_output(struct xw_claim *c, struct xw_rng *rng, uint64_t now_ns);
void xw_claim_tick(struct xw_claim *c, struct xw_rng *rng, uint64_t now_ns);
#endif
