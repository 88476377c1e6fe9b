/* net/net.h: the network layer: our address, neighbours (ARP), routes, path MTU, ICMP.
 *
 * Receive: xw_net_input takes one Ethernet frame and says what it is: a TCP segment or an ICMP error for the caller to
 * hand to TCP, something that was dealt with here (ARP, echo), or nothing (counted). It never calls TCP.
 * Transmit: for a segment the caller keeps a struct xw_net_hop per connection (xw_net_route, cheap to call again) and
 * lets xw_net_eth_ip write the headers in front of the segment that is in the frame already. What net itself has to
 * send (ARP, echo replies) is pulled by xw_net_output.
 * Time: xw_net_tick when xw_net_deadline has come; now_ns never goes back. No system call, no allocation, no clock.
 *
 * Shared mode: the host's address and MAC; the host's kernel does ARP and echo, neighbours come from it by
 * xw_net_neigh_set and no ARP is ever sent. Dedicated mode: an address of the stack's own; ARP by RFC 826, address
 * claimed and defended by RFC 5227, echo answered.
 * Not done: IPv6, reassembly (fragments are dropped and counted), sending of ICMP errors, redirects (RFC 1122
 * lets a host with configured routes ignore them), multicast. */
#ifndef XW_NET_NET_H
#define XW_NET_NET_H
#include "base/err.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/span.h"
#include "xw.h"
#include <stdbool.h>

struct xw_net;

/* xw_net_size: bytes of memory that xw_net_init wants, aligned as malloc does. */
size_t xw_net_size(void);
/* xw_net_init: makes the layer in mem. rng and drops (XW_DROP_COUNT counters, only ever incremented) are the caller's
 * and live as long. The network of cfg is routed on link. XW_EINVAL: address or MAC not of one host, mask with holes,
 * MTU out of XW_MTU_MIN … XW_MTU_MAX, more than two tags, VLAN id above 4094. */
int xw_net_init(void *mem, const struct xw_net_cfg *cfg, struct xw_rng *rng, uint64_t *drops, struct xw_net **out);

enum xw_net_claim {
    XW_NET_CLAIM_NONE = 0, /* the address is used at once and announced (tests, or when somebody else probed) */
    XW_NET_CLAIM_FAST = 1, /* three probes 200 ms apart: usable after 0.6 s */
    XW_NET_CLAIM_RFC = 2   /* with the waits of RFC 5227 1.1: usable after 4 to 7 s */
};
/* xw_net_start: begins to use the address; dedicated mode probes for it first as how says. Once after init. */
void xw_net_start(struct xw_net *n, enum xw_net_claim how, uint64_t now_ns);

enum xw_net_addr_state {
    XW_NET_ADDR_IDLE = 0,     /* not started */
    XW_NET_ADDR_PROBING = 1,  /* nothing but probes is sent: xw_net_eth_ip says XW_EAGAIN */
    XW_NET_ADDR_OK = 2,
    XW_NET_ADDR_CONFLICT = 3  /* another host has it: xw_net_eth_ip says XW_EADDRINUSE; probed again every 60 s */
};
enum xw_net_addr_state xw_net_addr_state(const struct xw_net *n);

/* ---- receive -------------------------------------------------------------------------------------------------- */
enum xw_net_verdict {
    XW_NET_DROPPED = 0,   /* counted in drops[rx->drop] */
    XW_NET_CONSUMED,      /* dealt with; xw_net_output may have something now */
    XW_NET_TCP,           /* rx->tcp: hand it to TCP */
    XW_NET_ICMP_ERROR     /* rx->icmp: hand it to TCP, which must check seq before it acts (RFC 5927) */
};

struct xw_net_tcp {
    uint32_t src, dst;    /* dst is our address */
    struct xw_span seg;   /* TCP header and data, in the frame; lives as long as the frame */
    uint8_t ttl;
    uint8_t tos;          /* ECN in the low two bits */
};

enum xw_net_icmp_kind {
    XW_NET_ICMP_UNREACH_HARD = 1,/* protocol or port unreachable (codes 2, 3); RFC 1122 4.2.3.9: hard */
    XW_NET_ICMP_UNREACH_SOFT,    /* network or host (0, 1, 5 … 8, 11, 12): soft */
    XW_NET_ICMP_PROHIBITED,      /* by administration (9, 10, 13 … 15): as hard as the caller sees it */
    XW_NET_ICMP_FRAG_NEEDED,     /* mtu says what the next hop takes */
    XW_NET_ICMP_TIME_EXCEEDED,   /* soft */
    XW_NET_ICMP_PARAM_PROBLEM,   /* soft */
    XW_NET_ICMP_SOURCE_QUENCH    /* to be ignored by TCP (RFC 6633); told for the counter */
};
struct xw_net_icmp {
    enum xw_net_icmp_kind kind;
    uint8_t type, code;        /* as received */
    uint16_t mtu;              /* FRAG_NEEDED: usable path MTU, XW_MTU_MIN … the quoted packet's length - 1 */
    uint32_t from;             /* who sent the error */
    uint32_t local_ip, remote_ip;      /* 4-tuple of the quoted segment, as the connection knows it */
    uint16_t local_port, remote_port;
    uint32_t seq;              /* sequence number of the quoted segment */
};

struct xw_net_rx {
    enum xw_drop drop;         /* why, with XW_NET_DROPPED */
    struct xw_net_tcp tcp;     /* with XW_NET_TCP */
    struct xw_net_icmp icmp;   /* with XW_NET_ICMP_ERROR */
};

/* xw_net_input: one received Ethernet frame. verify: check the IPv4 header's and ICMP's checksum (TCP's is TCP's). */
enum xw_net_verdict xw_net_input(struct xw_net *n, struct xw_span frame, bool verify, uint64_t now_ns,
                                 struct xw_net_rx *rx);
/* xw_net_input_ip: the same for an IPv4 packet without a link header. */
enum xw_net_verdict xw_net_input_ip(struct xw_net *n, struct xw_span pkt, bool verify, uint64_t now_ns,
                                    struct xw_net_rx *rx);

/* ---- transmit ------------------------------------------------------------------------------------------------- */
/* Where a connection's packets go. Zero it once; filled by xw_net_route; fields may be read. */
struct xw_net_hop {
    uint32_t dst;       /* the peer */
    uint32_t next;      /* next hop's address: dst itself when on link */
    uint32_t mtu;       /* of the path, bytes of IP packet: what a segment with its headers should not exceed */
    uint32_t gen;       /* net's */
    uint16_t neigh;     /* where the neighbour was last found; a hint */
    uint16_t pad;
};
/* xw_net_route: makes *hop current for dst. 0: it was; 1: it was made anew (mtu may have changed); XW_EUNREACH: no
 * route (counted TX_NO_ROUTE). One comparison when nothing changed: call it before each burst of segments. */
int xw_net_route(struct xw_net *n, uint32_t dst, struct xw_net_hop *hop);

struct xw_net_ip {
    uint8_t proto, tos, ttl;
    bool df;
};
/* xw_net_header_len: bytes of Ethernet (with tags) and IPv4 header: the L4 part of a frame begins there. */
size_t xw_net_header_len(const struct xw_net *n);
/* xw_net_eth_ip: writes both headers in front of l4_len bytes; frame is the buffer from its Ethernet header on. Returns
 * xw_net_header_len; the frame to send is that + l4_len bytes long. XW_EAGAIN: the neighbour is being resolved
 * (dedicated) or not known yet (shared), counted TX_NO_NEIGH: keep the segment and try again; XW_EUNREACH: it does not
 * answer, asked again after a pause (counted too); XW_ETOOBIG: longer than the link or the frame takes, counted
 * TX_TOO_LONG (hop->mtu is the caller's to respect: what exceeds it is sent, and the router answers); XW_EADDRINUSE: see
 * XW_NET_ADDR_CONFLICT. */
int xw_net_eth_ip(struct xw_net *n, struct xw_net_hop *hop, struct xw_mspan frame, size_t l4_len,
                  const struct xw_net_ip *ip, uint64_t now_ns);
/* xw_net_suspect: what goes by this hop seems not to arrive (RFC 9293 3.8.3 R1): its neighbour is verified at once. In
 * shared mode the owner has to see to that, the host's kernel knows the neighbours. */
void xw_net_suspect(struct xw_net *n, const struct xw_net_hop *hop);
/* xw_net_confirm: TCP made progress by this hop (new data was acknowledged): its neighbour is reachable, no probe. */
void xw_net_confirm(struct xw_net *n, const struct xw_net_hop *hop, uint64_t now_ns);

/* xw_net_output: writes the next frame of our own (ARP, echo reply); returns its length (60 or more), 0: nothing to
 * send now. The frame must have room for XW_ETH_HDR_MAX + MTU bytes, or nothing is written. */
size_t xw_net_output(struct xw_net *n, struct xw_mspan frame, uint64_t now_ns);
/* xw_net_pending: xw_net_output would give something. */
bool xw_net_pending(const struct xw_net *n);

/* ---- configuration and time ----------------------------------------------------------------------------------- */
/* xw_net_route_add: packets for net/mask go to gateway (0: on link; need not be in our network) with mtu (0, or above
 * the interface's: the interface's). The longest mask wins; same net and mask: replaced. XW_EINVAL, XW_ENOSPC. */
int xw_net_route_add(struct xw_net *n, uint32_t net, uint32_t mask, uint32_t gateway, uint32_t mtu);
/* xw_net_route_del: 0, or XW_EINVAL when there is no such route. */
int xw_net_route_del(struct xw_net *n, uint32_t net, uint32_t mask);
/* xw_net_path_mtu_set: the path to dst takes no more than mtu bytes, for 10 minutes (RFC 1191 6.3). Never raises.
 * 0: taken; 1: no news; XW_EINVAL: below XW_MTU_MIN. Connections see it by xw_net_route. */
int xw_net_path_mtu_set(struct xw_net *n, uint32_t dst, uint32_t mtu, uint64_t now_ns);
/* xw_net_neigh_set: mac of a neighbour as configuration or the kernel says; takes effect with the next packet and stays
 * until it is set again. XW_EINVAL: mac zero or a group's; XW_ENOSPC: all entries are such. */
int xw_net_neigh_set(struct xw_net *n, uint32_t ip, const uint8_t mac[6], uint64_t now_ns);
/* xw_net_neigh_del: forgets it (the kernel did). 0, or XW_EINVAL: not known. */
int xw_net_neigh_del(struct xw_net *n, uint32_t ip);
/* xw_net_neigh_get: 0 and the MAC that is used for ip; XW_EAGAIN: none. */
int xw_net_neigh_get(const struct xw_net *n, uint32_t ip, uint8_t mac[6]);

/* xw_net_deadline: when xw_net_tick wants to be called, XW_NEVER if not. */
uint64_t xw_net_deadline(const struct xw_net *n);
void xw_net_tick(struct xw_net *n, uint64_t now_ns);
#endif
