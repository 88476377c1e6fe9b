/* tests/sim/world.h: what the files of the simulation share: two hosts with a stack each (csrc/xw_stack.h), a wire
 * between them, conversations over sockets, and things that happen. One seed is the whole run.
 *
 *   rng.h    draws                                   link.c   one direction of the wire, its faults
 *   plan.c   the configuration that a seed means     host.c   a stack, its memory, its restarts
 *   talk.c   applications: both ends of a conversation
 *   watch.c  what must hold at every step            wire.c   what must hold for every packet sent
 *   event.c  MTU changes, outages, restarts, forgeries
 *   world.c  the run itself                          main.c   which seeds; goodput.c: the table */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H
#include "link.h"
#include "stack/stack_priv.h"
#include "tcp/tcp_priv.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_TALKS 6
#define SIM_EVENTS 8
#define SIM_PORT 80                /* both hosts listen here */
#define SIM_CONNS 64               /* watched connections of a host */
#define SIM_IP(host) (0x0a000001u + (uint32_t)(host))
#define SIM_ROUTER 0x0a0000feu     /* sends ICMP errors */

enum sim_kind {
    SIM_DUPLEX,                    /* both send and read at once, each closes its half when it has sent all */
    SIM_REQUEST,                   /* the client sends and half-closes, the server then answers */
    SIM_SIMUL,                     /* duplex, opened from both sides at once */
    SIM_ABORT, SIM_CLOSE_EARLY, SIM_SHUT_RD /* one end does that in the middle: what arrives is a beginning */
};

struct sim_end {
    unsigned host;
    int fd;                        /* -1: none */
    uint64_t to_send, sent, got, wake, gap_ns, limit;
    uint32_t wr_max, rd_max;
    bool breaker;                  /* does what the kind says at limit octets sent and received */
    bool waits;                    /* for its socket to become ready */
    bool up, shut, eof, over;      /* connected; FIN queued; the peer's seen; closed by its application, or died */
    int error;
    /* as seen on the wire */
    bool iss_known;
    struct xw_seq iss, ack, edge;  /* highest acknowledgment sent, right edge offered */
};
struct sim_talk {
    unsigned id;
    enum sim_kind kind;
    uint64_t start;
    uint16_t port;                 /* the client's; 0 until it is chosen */
    unsigned begun;                /* 0: not yet; else the how manieth */
    bool hurt;                     /* a restart may have cut it short */
    struct sim_end end[2];         /* client, server */
};

enum sim_event_kind { SIM_EV_MTU, SIM_EV_OUTAGE, SIM_EV_RESTART, SIM_EV_ATTACK };
struct sim_event {
    uint64_t at, len_ns;
    enum sim_event_kind kind;
    unsigned host;                 /* restarts; or the direction */
    uint32_t mtu;
    bool icmp;                     /* a router says so; else nobody does, for len_ns */
};

/* What the sockets of a host are set to. */
struct sim_opts { int64_t value[XW_STACK_OPT_END]; };
struct sim_host_plan {
    struct xw_stack_cfg cfg;
    struct sim_opts opts;
    uint32_t ooo_ranges, burst;    /* burst: packets that its device takes at a time; 0: all */
    bool fast_path;
};
struct sim_plan {
    struct sim_host_plan host[2];
    struct sim_link_cfg link[2];
    uint32_t mtu;                  /* of the wire at the beginning */
    struct sim_talk talk[SIM_TALKS];
    struct sim_event event[SIM_EVENTS];
    unsigned talks, events;
    bool serve_each;               /* hosts are served after each packet; else packets may come in bursts */
};

struct sim_watched { struct xw_seq iss, edge; bool known; };
struct sim_host {
    const struct sim_host_plan *plan;
    struct xw_stack *s;
    uint8_t *mem;
    size_t len;
    uint64_t wake;                 /* its device has room again */
    unsigned restarts;
    int listener;
    struct sim_watched watch[SIM_CONNS];
};
struct sim_world {
    uint64_t seed, now, digest, steps, packets, progress, progress_ns;
    struct sim_rng rng;
    struct sim_plan plan;
    struct sim_host host[2];
    struct sim_link link[2];       /* from host 0, from host 1 */
    unsigned next_event, restarts, begun;
    uint64_t heal_at;              /* a silent MTU change ends */
    bool story;
};
/* What may be forced upon a seed. */
struct sim_force { bool no_fast_path, story; };
struct sim_result { uint64_t digest, packets, octets, virtual_ns; };

/* sim_fail: prints the seed, the time, what, and how to repeat it; ends the process. */
_Noreturn void sim_fail(const struct sim_world *w, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#define SIM_FAIL(w, ...) sim_fail((w), __FILE__, __LINE__, __VA_ARGS__)
#define SIM_TRUE(w, c) \
    do { \
        if (!(c)) \
            SIM_FAIL(w, "not true: %s", #c); \
    } while (0)

/* ---- plan.c ---- */
void sim_plan_draw(struct sim_plan *p, uint64_t seed);
/* ---- host.c ---- */
void sim_host_start(struct sim_world *w, unsigned h);
void sim_host_stop(struct sim_world *w, unsigned h);
int sim_host_socket(struct sim_world *w, unsigned h);
/* sim_host_input: one packet that arrived. */
void sim_host_input(struct sim_world *w, unsigned h, const uint8_t *pkt, size_t len);
/* sim_host_output: everything it has to send (or its burst) goes onto the wire. */
void sim_host_output(struct sim_world *w, unsigned h);
bool sim_host_quiet(const struct sim_world *w, unsigned h); /* no connection is left */
/* ---- talk.c ---- */
void sim_talk_step(struct sim_world *w, struct sim_talk *t, unsigned side);
void sim_talk_accept(struct sim_world *w, unsigned h);
bool sim_talk_over(const struct sim_talk *t);
struct sim_talk *sim_talk_find(struct sim_world *w, unsigned client, uint16_t port);
uint8_t sim_octet(unsigned talk, unsigned side, uint64_t off);
/* ---- watch.c ---- */
void sim_watch(struct sim_world *w, unsigned h);
void sim_watch_end(struct sim_world *w, unsigned h);
/* ---- wire.c ---- */
void sim_wire_sent(struct sim_world *w, unsigned h, const uint8_t *pkt, uint32_t len);
/* ---- event.c ---- */
void sim_event_do(struct sim_world *w, const struct sim_event *e);
/* sim_event_too_big: the router's answer to a packet of host h that is longer than the MTU. */
void sim_event_too_big(struct sim_world *w, unsigned h, const uint8_t *pkt, uint32_t len);
void sim_event_heal(struct sim_world *w);
/* ---- world.c ---- */
struct sim_result sim_run(uint64_t seed, const struct sim_force *force);
#endif
