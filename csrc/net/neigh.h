/* net/neigh.h: who has which MAC on the link. A bounded table of state machines after RFC 4861 7.3 (the rules of IPv6,
 * used for ARP as RFC 1122 2.3.2.1 asks: out-of-date entries are found out and re-validated):
 *
 *   (used) → INCOMPLETE → REACHABLE → (used, 30 s unconfirmed) → DELAY → (5 s) → PROBE → FAILED → (used, 1 s later)
 *   → INCOMPLETE
 *   STATIC: told by configuration or by the host's kernel; never changed by a packet.
 *
 * DELAY gives TCP time to confirm, so a feed that flows costs no ARP at all. A neighbour in PROBE is used with the MAC
 * that is known: a feed does not stop because an answer is late. At most one request a second and neighbour (RFC 1122).
 * Entries are only made by our own need, never by a received packet, so that nobody can flood the table.
 * What is to be sent is remembered as due and pulled with xw_neighs_output. */
#ifndef XW_NET_NEIGH_H
#define XW_NET_NEIGH_H
#include "base/limits.h"
#include <stdbool.h>
#include <stdint.h>

enum xw_neigh_state {
    XW_NEIGH_FREE = 0, XW_NEIGH_INCOMPLETE, XW_NEIGH_REACHABLE, XW_NEIGH_DELAY, XW_NEIGH_PROBE, XW_NEIGH_FAILED,
    XW_NEIGH_STATIC
};
struct xw_neigh {
    uint32_t ip;
    uint8_t mac[6];
    uint8_t state;         /* enum xw_neigh_state */
    uint8_t sent;          /* requests sent in this state */
    bool due;              /* a request waits to be pulled */
    uint64_t timer_ns;     /* INCOMPLETE, DELAY, PROBE: next step; FAILED: may be tried again then; else never */
    uint64_t confirmed_ns; /* last proof that it answers */
    uint64_t used_ns;      /* last packet sent by it */
};
struct xw_neighs {
    struct xw_neigh e[XW_NEIGH_MAX];
    uint64_t deadline_ns;  /* no timer ends before */
    uint32_t due_cnt;
    uint32_t change;       /* counts whatever may let a waiting packet go */
    bool passive;          /* shared mode: only STATIC entries, nothing is ever due */
};

void xw_neighs_init(struct xw_neighs *t, bool passive);
/* xw_neighs_resolve: 0 and *mac, valid until the next call; XW_EAGAIN: being asked for, or (passive) not known;
 * XW_EUNREACH: does not answer. hint: where it was found, in/out. */
int xw_neighs_resolve(struct xw_neighs *t, uint32_t ip, uint16_t *hint, uint64_t now_ns, const uint8_t **mac);
/* xw_neighs_learn: an ARP packet says that ip has mac. answer: to a request of ours. True if ip was of interest. */
bool xw_neighs_learn(struct xw_neighs *t, uint32_t ip, const uint8_t mac[6], bool answer, uint64_t now_ns);
/* xw_neighs_suspect: what is sent to ip seems not to arrive: it is polled at once, used meanwhile. */
void xw_neighs_suspect(struct xw_neighs *t, uint32_t ip, uint16_t hint);
/* xw_neighs_confirm: something that was sent to ip was answered. */
void xw_neighs_confirm(struct xw_neighs *t, uint32_t ip, uint16_t hint, uint64_t now_ns);
/* xw_neighs_output: takes the next request that is due; *unicast: to be sent to *mac only. False: none. */
bool xw_neighs_output(struct xw_neighs *t, uint64_t now_ns, uint32_t *ip, const uint8_t **mac, bool *unicast);
void xw_neighs_tick(struct xw_neighs *t, uint64_t now_ns);
/* set, del, get: see xw_net_neigh_… in net.h */
int xw_neighs_set(struct xw_neighs *t, uint32_t ip, const uint8_t mac[6], uint64_t now_ns);
int xw_neighs_del(struct xw_neighs *t, uint32_t ip);
const struct xw_neigh *xw_neighs_get(const struct xw_neighs *t, uint32_t ip);
#endif
