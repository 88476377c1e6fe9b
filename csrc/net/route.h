/* net/route.h: routes by longest prefix, and path MTUs that are smaller than their route's (RFC 1191). Two small sorted
 * tables; looked up once per connection and change, not per packet. */
#ifndef XW_NET_ROUTE_H
#define XW_NET_ROUTE_H
#include "base/limits.h"
#include <stdbool.h>
#include <stdint.h>

struct xw_route {
    uint32_t net, mask;
    uint32_t gateway;   /* 0: on link */
    uint32_t mtu;
};
struct xw_pmtu {
    uint32_t dst, mtu;
    uint64_t end_ns;    /* when it is forgotten */
};
struct xw_routes {
    struct xw_route e[XW_ROUTES_MAX];  /* longest mask first */
    uint32_t cnt;
    uint32_t pmtu_cnt;
    struct xw_pmtu pmtu[XW_PMTU_MAX];  /* in no order */
};

/* xw_mask_ok: ones, then zeros. */
static inline bool xw_mask_ok(uint32_t mask) { return (~mask & (~mask + 1u)) == 0; }

/* xw_routes_add: replaces a route of the same net and mask. XW_EINVAL (mask with holes, net with bits outside the mask,
 * mtu out of range), XW_ENOSPC. */
int xw_routes_add(struct xw_routes *r, const struct xw_route *add);
int xw_routes_del(struct xw_routes *r, uint32_t net, uint32_t mask);
/* xw_routes_find: the longest match, NULL if none. Lives until the next add or del. */
const struct xw_route *xw_routes_find(const struct xw_routes *r, uint32_t dst);

/* xw_pmtu_set: 0: path MTU lowered to mtu; 1: known or not below limit (the route's MTU). A known one lives on. */
int xw_pmtu_set(struct xw_routes *r, uint32_t dst, uint32_t mtu, uint32_t limit, uint64_t now_ns);
/* xw_pmtu_get: path MTU to dst, at most limit. */
uint32_t xw_pmtu_get(const struct xw_routes *r, uint32_t dst, uint32_t limit);
/* xw_pmtu_expire: forgets what has ended; true if there was any. */
bool xw_pmtu_expire(struct xw_routes *r, uint64_t now_ns);
/* xw_pmtu_deadline: when the next one ends, XW_NEVER if there is none. */
uint64_t xw_pmtu_deadline(const struct xw_routes *r);
#endif
