/* net/icmp.h: what ICMP errors mean for TCP, and echo (dedicated mode). An echo request is copied, bounded in number
 * and rate, and its reply is written when the caller pulls output. */
#ifndef XW_NET_ICMP_H
#define XW_NET_ICMP_H
#include "net/net.h"
#include "wire/icmp4.h"
#include "wire/ip4.h"

struct xw_echo {
    uint32_t dst;
    uint32_t rest;        /* identifier and sequence number */
    uint64_t end_ns;      /* dropped if not sent by then: the neighbour did not answer */
    uint32_t blocked;     /* neighbour table's change counter when sending was last refused */
    uint16_t len;         /* of data */
    uint8_t tos;
    bool used, waiting;   /* waiting: blocked is valid */
    uint8_t data[XW_MTU_MAX - XW_IP4_HDR_MIN - XW_ICMP4_LEN];
};
struct xw_echoes {
    uint64_t refill_ns;   /* tokens are counted up to here */
    uint32_t tokens;
    uint32_t cnt;         /* slots in use */
    struct xw_echo e[XW_ECHO_MAX];
};

/* xw_icmp_error: fills *out from an error message (header h, quoted packet q) that came from `from`, for a host with
 * the address ip. ICMP_TYPE: no error that TCP acts on; ICMP_QUOTE: it quotes nothing that we can have sent; or NONE. */
enum xw_drop xw_icmp_error(const struct xw_icmp4_hdr *h, const struct xw_icmp4_quote *q, uint32_t ip, uint32_t from,
                           struct xw_net_icmp *out);
/* xw_icmp_is_error: an error message (it quotes a packet) that xw_icmp_error knows. */
bool xw_icmp_is_error(uint8_t type);

/* xw_echoes_put: an echo request with this data came from src; ICMP_RATE or NONE. */
enum xw_drop xw_echoes_put(struct xw_echoes *t, uint32_t src, uint8_t tos, uint32_t rest, struct xw_span data,
                           uint64_t now_ns);
void xw_echoes_drop(struct xw_echoes *t, struct xw_echo *e);
/* xw_echoes_expire: drops what waited too long; returns how many. */
uint32_t xw_echoes_expire(struct xw_echoes *t, uint64_t now_ns);
uint64_t xw_echoes_deadline(const struct xw_echoes *t);
#endif
