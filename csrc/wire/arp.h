/* wire/arp.h: ARP packets for IPv4 over Ethernet (RFC 826), 28 bytes. Addresses are in host byte order. */
#ifndef XW_WIRE_ARP_H
#define XW_WIRE_ARP_H
#include "base/err.h"
#include "base/span.h"

#define XW_ARP_LEN 28u
#define XW_ARP_REQUEST 1u
#define XW_ARP_REPLY 2u

struct xw_arp_hdr {
    uint16_t op;     /* XW_ARP_REQUEST or XW_ARP_REPLY */
    uint8_t sha[6];  /* sender's MAC */
    uint8_t tha[6];  /* target's MAC; meaningless in a request */
    uint32_t spa;    /* sender's address; 0 in a probe (RFC 5227) */
    uint32_t tpa;    /* target's address */
};

/* xw_arp_parse: ARP_SHORT; ARP_MALFORMED (not Ethernet/IPv4, neither request nor reply, sender's MAC zero or a group);
 * or NONE with *h filled. Bytes behind the packet (Ethernet padding) are allowed. */
enum xw_drop xw_arp_parse(struct xw_span pkt, struct xw_arp_hdr *h);
static inline size_t xw_arp_hdr_len(const struct xw_arp_hdr *h) { (void)h; return XW_ARP_LEN; }
/* xw_arp_emit: returns XW_ARP_LEN, or 0 when out is too short. */
size_t xw_arp_emit(struct xw_mspan out, const struct xw_arp_hdr *h);
#endif
