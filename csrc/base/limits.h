/* base/limits.h: every fixed bound of the core, why it has this value, and what happens above it. */
#ifndef XW_BASE_LIMITS_H
#define XW_BASE_LIMITS_H

#define XW_NS_PER_US 1000ull
#define XW_NS_PER_MS 1000000ull
#define XW_NS_PER_S 1000000000ull
#define XW_NEVER UINT64_MAX /* a deadline that never comes */

/* Descriptors taken from a device in one burst: the copy-mode kernel handles 32 a kick, larger only delays the first. */
#define XW_RX_BURST_MAX 32u
/* Receive queues that one engine serves: RSS tables of common NICs have at most 64 entries in use on trading hosts. */
#define XW_QUEUES_MAX 64u
/* Connections of one engine: the demultiplexer's index is 16 bit and 4,096 is what venues allow per host together. */
#define XW_CONNS_MAX 4096u
/* Ethernet + two VLAN tags: the most that may stand before the IP header. */
#define XW_ETH_HDR_MAX 22u
/* IPv4 and TCP headers without and with all options. */
#define XW_IP4_HDR_MIN 20u
#define XW_IP4_HDR_MAX 60u
#define XW_TCP_HDR_MIN 20u
#define XW_TCP_HDR_MAX 60u
/* Largest IP packet that a frame can carry; a jumbo frame of MTU 9000 needs multi-buffer and is refused at set-up. */
#define XW_MTU_MAX 9000u
/* RFC 791: every link carries 68 octets; RFC 1191 section 3 takes no smaller value from an ICMP message. */
#define XW_MTU_MIN 68u
/* Neighbours known at a time: a trading host talks through one or two gateways and a few hosts of its own network; above it
 * the one that was not used for the longest time is forgotten and asked for again when it is needed. */
#define XW_NEIGH_MAX 64u
/* Routes: default, connected, and what the host's main table holds for the venues; above it adding fails. */
#define XW_ROUTES_MAX 64u
/* Destinations with a path MTU below their route's: as many as there are peers with a tunnel on the way; above it the one
 * that ends first is forgotten, which costs one more ICMP exchange. */
#define XW_PMTU_MAX 64u
/* ARP answers and echo replies waiting to be sent: they leave in the same poll; above it they are dropped and counted. */
#define XW_ARP_REPLIES_MAX 8u
#define XW_ECHO_MAX 4u
/* RFC 6455 5.5: payload of a control frame. */
#define XW_WS_CONTROL_MAX 125u
/* Frame header: 2 + 8 length + 4 mask. */
#define XW_WS_HDR_MAX 14u
/* Head of the HTTP answer to the upgrade: nginx and Cloudflare stay far below; above it the handshake fails. */
#define XW_HTTP_HEAD_MAX 16384u
/* Body kept of an answer other than 101, for the error that the user sees; the rest is not read. */
#define XW_HTTP_BODY_MAX 4096u
/* One TLS record on the wire: 5 + 2^14 + 256 (RFC 8446 5.2; TLS 1.2 allows 2048 more, RFC 5246 6.2.3). */
#define XW_TLS_RECORD_MAX (5u + 16384u + 2048u)
#define XW_TLS_PLAIN_MAX 16384u
/* base/tsc.h: the second pair is taken 6 to 30 ms after the first one (the rate is not known yet: 1 to 5 GHz), then one
 * every 100 ms: 20 ns of noise in a pair make 0.4 ppm, so 40 ns until the next one. A line of half a second would be 200 ns
 * off: it is not used. More than 5 us off is no noise but a step of the counter (crystals and NTP together stay below 50
 * ppm, 5 us in 100 ms). */
#define XW_TSC_FIRST_TICKS 30000000ull
#define XW_TSC_EVERY_NS (100 * XW_NS_PER_MS)
#define XW_TSC_STALE_NS (500 * XW_NS_PER_MS)
#define XW_TSC_STEP_NS (5 * XW_NS_PER_US)
/* IP time to live of what we send (RFC 1122 3.2.1.7, IANA's recommendation). */
#define XW_TTL_DEFAULT 64u
#endif
