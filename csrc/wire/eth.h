/* wire/eth.h: Ethernet II headers with up to two VLAN tags (IEEE 802.1Q, 802.1ad). Parse and emit, nothing else.
 * Not done: 802.3 length fields with LLC/SNAP (their "type" is below 0x0600 and simply matches no protocol). */
#ifndef XW_WIRE_ETH_H
#define XW_WIRE_ETH_H
#include "base/err.h"
#include "base/span.h"
#include <stdbool.h>

#define XW_ETH_LEN 14u         /* header without tags */
#define XW_VLAN_LEN 4u         /* one tag */
#define XW_VLAN_MAX 2u
#define XW_ETH_TYPE_IP4 0x0800u
#define XW_ETH_TYPE_ARP 0x0806u
#define XW_ETH_TPID_Q 0x8100u  /* customer tag, 802.1Q */
#define XW_ETH_TPID_AD 0x88a8u /* service tag, 802.1ad */

struct xw_eth_hdr {
    uint8_t dst[6], src[6];
    uint16_t type;        /* of what follows the tags */
    uint8_t vlan_cnt;     /* 0 … XW_VLAN_MAX */
    uint16_t vlan_tpid[2];/* outer first */
    uint16_t vlan_tci[2]; /* priority (3 bit), DEI (1), VLAN id (12) */
};

/* xw_eth_parse: ETH_SHORT, VLAN_SHORT, VLAN_DEPTH, or NONE with *h filled. */
enum xw_drop xw_eth_parse(struct xw_span frame, struct xw_eth_hdr *h);
/* xw_eth_hdr_len: bytes in front of the payload. */
size_t xw_eth_hdr_len(const struct xw_eth_hdr *h);
/* xw_eth_emit: writes the header; returns its length, 0 when out is too short or vlan_cnt too large. */
size_t xw_eth_emit(struct xw_mspan out, const struct xw_eth_hdr *h);

static inline bool xw_eth_is_group(const uint8_t mac[6]) { return (mac[0] & 1u) != 0; } /* multicast or broadcast */
bool xw_eth_is_broadcast(const uint8_t mac[6]);
bool xw_eth_is_zero(const uint8_t mac[6]);
#endif
