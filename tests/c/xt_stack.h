/* tests/c/xt_stack.h: two stacks in boxes (xw_stack.h) back to back on one clock by hand, IP packets or Ethernet
 * between.
 *
 *     struct xt_link l;
 *     xt_link_make(&l, false);            10.0.0.1 is l.a, 10.0.0.2 is l.b
 *     xt_link_open(&l, &ca, &cb);         a connected pair of sockets, b's accepted
 *     xt_link_settle(&l);                 packets both ways until nobody has any
 *     xt_link_after(&l, ns);              time passes, deadlines are kept
 *     xt_link_free(&l); */
#ifndef XT_STACK_H
#define XT_STACK_H
#include "wire/ip4.h"
#include "wire/tcp.h"
#include "xt.h"
#include "xw_stack.h"

#define XT_A 0x0a000001u
#define XT_B 0x0a000002u

struct xt_link {
    struct xw_stack *a, *b;
    void *mem_a, *mem_b;
    struct xw_stack_cfg cfg;      /* of both but for the addresses; change it between xt_link_cfg and xt_link_start */
    uint64_t now;
    unsigned packets;             /* carried so far */
    bool cut;                     /* what is sent is lost */
    uint8_t last[2000];           /* the last packet from a to b, and its length */
    size_t last_len;
};
void xt_link_cfg(struct xt_link *l, bool ethernet);
void xt_link_start(struct xt_link *l);
void xt_link_make(struct xt_link *l, bool ethernet);
void xt_link_free(struct xt_link *l);
void xt_link_settle(struct xt_link *l);
void xt_link_after(struct xt_link *l, uint64_t ns);
void xt_link_open(struct xt_link *l, int *ca, int *cb); /* b listens on 80; the listener is b's socket 0 */
/* IPv4 and TCP headers of the last packet from a (IP mode), without checks of their checksums */
void xt_link_last(const struct xt_link *l, struct xw_ip4_hdr *ip, struct xw_tcp_hdr *tcp);
int64_t xt_opt(struct xw_stack *s, int fd, enum xw_stack_opt o);
int xt_state(struct xw_stack *s, int fd);
#endif
