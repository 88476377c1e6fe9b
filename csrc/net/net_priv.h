/* net/net_priv.h: the body of struct xw_net; only for the files of net/. */
#ifndef XW_NET_NET_PRIV_H
#define XW_NET_NET_PRIV_H
#include "base/assert.h"
#include "net/addr.h"
#include "net/icmp.h"
#include "net/neigh.h"
#include "net/net.h"
#include "net/route.h"
#include "wire/arp.h"
#include "wire/eth.h"
#include "wire/ip4.h"

struct xw_arp_reply { uint32_t ip; uint8_t mac[6]; };

struct xw_net {
    struct xw_net_cfg cfg;
    struct xw_rng *rng;
    uint64_t *drops;
    struct xw_eth_hdr eth;          /* as we send: source, tags */
    uint8_t eth_bytes[XW_ETH_HDR_MAX]; /* the same for IPv4, written out; only the destination changes */
    uint32_t eth_len;
    uint32_t gen;                   /* of routes and path MTUs; never 0 */
    struct xw_claim claim;
    struct xw_routes routes;
    struct xw_neighs neighs;
    uint32_t reply_cnt;
    struct xw_arp_reply replies[XW_ARP_REPLIES_MAX];
    struct xw_echoes echoes;
};

static inline enum xw_drop xw_net_count(struct xw_net *n, enum xw_drop why) {
    n->drops[why]++;
    return why;
}
/* net_out.c: whether an echo reply could leave now */
bool xw_net_echo_ready(const struct xw_net *n, const struct xw_echo *e);
#endif
