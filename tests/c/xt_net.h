/* tests/c/xt_net.h: a network layer with its clock, packets in by hand, packets out one by one.
 *
 *     struct xt_net x;
 *     xt_net_make(&x, NULL, XW_NET_CLAIM_NONE);            10.0.0.2/24 dedicated, default route by 10.0.0.1
 *     XT_EQ(xt_net_arp(&x, XW_ARP_REPLY, XT_GW_MAC, XT_GW, XT_US), XW_NET_CONSUMED);
 *     xt_net_expect_arp(&x, XT_ALL_MAC, XW_ARP_REQUEST, XT_US, XT_GW);
 *     xt_net_expect_nothing(&x);
 *     xt_net_free(&x);
 *
 * Every input frame is a block of exactly its length, so that the address sanitizer sees a read behind it. */
#ifndef XT_NET_H
#define XT_NET_H
#include "net/net.h"
#include "wire/arp.h"
#include "wire/eth.h"
#include "wire/icmp4.h"
#include "wire/ip4.h"
#include "xt.h"

#define XT_US 0x0a000002u   /* 10.0.0.2/24 */
#define XT_GW 0x0a000001u
#define XT_PEER 0x0a000009u /* on link */
#define XT_FAR 0xcb007107u  /* 203.0.113.7, by the gateway */
#define XT_MS(n) ((uint64_t)(n) * XW_NS_PER_MS)
#define XT_S(n) ((uint64_t)(n) * XW_NS_PER_S)

extern const uint8_t XT_US_MAC[6], XT_GW_MAC[6], XT_PEER_MAC[6], XT_OTHER_MAC[6], XT_ALL_MAC[6];
extern const struct xw_net_cfg XT_NET_DEDICATED, XT_NET_SHARED;

struct xt_net {
    struct xw_net *n;
    void *mem;
    struct xw_rng rng;
    uint64_t drops[XW_DROP_COUNT];
    uint64_t now;           /* ns; begins at 1000 s */
    struct xw_net_rx rx;    /* of the last input */
    size_t out_len;         /* of the last output */
    uint8_t out[XW_ETH_HDR_MAX + XW_MTU_MAX];
};

/* cfg NULL: XT_NET_DEDICATED. Its announcements are pulled already with XW_NET_CLAIM_NONE. */
void xt_net_make(struct xt_net *x, const struct xw_net_cfg *cfg, enum xw_net_claim claim);
void xt_net_free(struct xt_net *x);
/* steps the clock by ns, stopping at each deadline on the way to tick; asserts that none stays in the past */
void xt_net_after(struct xt_net *x, uint64_t ns);

enum xw_net_verdict xt_net_input(struct xt_net *x, const uint8_t *frame, size_t len);
/* dropped for this reason, and counted once */
void xt_net_expect_drop(struct xt_net *x, const uint8_t *frame, size_t len, enum xw_drop why);
/* an ARP packet from mac, sent to us if it is a reply, else to all */
enum xw_net_verdict xt_net_arp(struct xt_net *x, uint16_t op, const uint8_t mac[6], uint32_t spa, uint32_t tpa);
/* writes Ethernet (from the gateway to us) and IPv4 in front of the payload; returns the frame's length */
size_t xt_net_frame(uint8_t *frame, uint32_t src, uint32_t dst, uint8_t proto, const void *payload, size_t len);

size_t xt_net_output(struct xt_net *x);
void xt_net_expect_arp(struct xt_net *x, const uint8_t dst[6], uint16_t op, uint32_t spa, uint32_t tpa);
void xt_net_expect_nothing(struct xt_net *x);
/* the headers for a segment of l4_len bytes to dst; what xw_net_eth_ip returns */
int xt_net_send(struct xt_net *x, uint32_t dst, size_t l4_len);
/* the last headers written were for this MAC */
void xt_net_expect_mac(struct xt_net *x, const uint8_t mac[6]);
#endif
