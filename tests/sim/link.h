/* tests/sim/link.h: one direction of a wire: a bottleneck with a drop-tail queue, then a delay with jitter, and all that
 * can befall a packet on the way. Packets come out in the order of their arrival times.
 *
 * What it lets through arrives: in = lost + tail drops + too big + out + on the way, counting copies as in. */
#ifndef SIM_LINK_H
#define SIM_LINK_H
#include "rng.h"
#include <stddef.h>

/* Chances of a million. */
struct sim_faults {
    uint32_t loss;                 /* each packet by itself */
    uint32_t ge_enter, ge_leave;   /* Gilbert-Elliott: into and out of the bad state, per packet */
    uint32_t ge_loss;              /* … and loss in it */
    uint32_t nth;                  /* one packet of each n is lost; 0: none. Not a chance */
    uint32_t dup, reorder, corrupt, trim;
};
struct sim_link_cfg {
    uint64_t delay_ns, jitter_ns;  /* jitter alone never reorders: who is late delays those behind */
    uint64_t byte_ps;              /* picoseconds an octet takes in the bottleneck; 0: none */
    uint64_t queue_ns;             /* a packet that would wait longer is dropped */
    uint32_t l2;                   /* octets in front of the IP header that faults leave alone */
    struct sim_faults f;
};
struct sim_pkt {
    uint64_t at, serial;
    uint32_t len;
    uint8_t b[];
};
struct sim_counts { uint64_t in, lost, tail, big, out, dup, reorder, corrupt; };
struct sim_link {
    struct sim_link_cfg cfg;
    uint32_t mtu;                  /* IP packets above it with DF do not pass */
    uint64_t down_until;           /* nothing passes before */
    struct sim_rng rng;
    uint64_t free_ns, last_ns, busy_ns, serial;
    uint32_t nth, nth_pick;        /* packets left of the n, and which of them goes */
    bool bad;
    struct sim_pkt **heap;
    uint32_t cnt, cap;
    struct sim_counts n;
};
enum sim_fate { SIM_ON_ITS_WAY, SIM_LOST, SIM_TOO_BIG };

void sim_link_init(struct sim_link *l, const struct sim_link_cfg *cfg, uint64_t seed);
void sim_link_fini(struct sim_link *l);
/* sim_link_send: a copy of pkt goes in. SIM_TOO_BIG: it was longer than the MTU and must not be fragmented. */
enum sim_fate sim_link_send(struct sim_link *l, const uint8_t *pkt, uint32_t len, uint64_t now);
/* sim_link_put: a packet arrives at `at`, whatever the link is like (routers and attackers on the way). */
void sim_link_put(struct sim_link *l, const uint8_t *pkt, uint32_t len, uint64_t at);
/* sim_link_next: when the next packet arrives; UINT64_MAX: none. */
uint64_t sim_link_next(const struct sim_link *l);
/* sim_link_take: the next packet that has arrived by now (free it), NULL: none. */
struct sim_pkt *sim_link_take(struct sim_link *l, uint64_t now);
/* sim_link_conserved: the equation above holds. */
bool sim_link_conserved(const struct sim_link *l);
#endif
