/* wire/icmp4.h: ICMP messages (RFC 792, RFC 1191, RFC 1812) and the packet that an error quotes. */
#ifndef XW_WIRE_ICMP4_H
#define XW_WIRE_ICMP4_H
#include "base/err.h"
#include "base/span.h"
#include <stdbool.h>

#define XW_ICMP4_LEN 8u
/* Of a quoted packet at least this much stands behind its IP header: TCP ports and sequence number. */
#define XW_ICMP4_QUOTE_L4 8u

enum xw_icmp4_type {
    XW_ICMP4_ECHO_REPLY = 0, XW_ICMP4_UNREACH = 3, XW_ICMP4_SOURCE_QUENCH = 4, XW_ICMP4_REDIRECT = 5,
    XW_ICMP4_ECHO = 8, XW_ICMP4_TIME_EXCEEDED = 11, XW_ICMP4_PARAM_PROBLEM = 12
};
/* codes of XW_ICMP4_UNREACH; 0 … 5 of RFC 792 and 1191, the rest of RFC 1122 and 1812 */
enum xw_icmp4_unreach {
    XW_ICMP4_UR_NET = 0, XW_ICMP4_UR_HOST = 1, XW_ICMP4_UR_PROTO = 2, XW_ICMP4_UR_PORT = 3, XW_ICMP4_UR_FRAG = 4,
    XW_ICMP4_UR_SRCROUTE = 5, XW_ICMP4_UR_NET_UNKNOWN = 6, XW_ICMP4_UR_HOST_UNKNOWN = 7, XW_ICMP4_UR_ISOLATED = 8,
    XW_ICMP4_UR_NET_PROHIB = 9, XW_ICMP4_UR_HOST_PROHIB = 10, XW_ICMP4_UR_NET_TOS = 11, XW_ICMP4_UR_HOST_TOS = 12,
    XW_ICMP4_UR_ADMIN = 13, XW_ICMP4_UR_PRECEDENCE = 14, XW_ICMP4_UR_CUTOFF = 15
};

struct xw_icmp4_hdr {
    uint8_t type, code;
    uint32_t rest;       /* echo: identifier << 16 | sequence; frag needed: MTU in the low 16 bits */
};
static inline uint16_t xw_icmp4_mtu(const struct xw_icmp4_hdr *h) { return (uint16_t)(h->rest & 0xffffu); }

/* xw_icmp4_parse: ICMP_SHORT, ICMP_CHECKSUM (with verify; it covers the whole message), or NONE with *h filled. */
enum xw_drop xw_icmp4_parse(struct xw_span msg, bool verify, struct xw_icmp4_hdr *h);
static inline size_t xw_icmp4_hdr_len(const struct xw_icmp4_hdr *h) { (void)h; return XW_ICMP4_LEN; }
/* xw_icmp4_emit: writes the header in front of body_len bytes that stand in msg already, and the checksum over both.
 * Returns XW_ICMP4_LEN + body_len, or 0 when that does not fit. */
size_t xw_icmp4_emit(struct xw_mspan msg, const struct xw_icmp4_hdr *h, size_t body_len);

/* The beginning of the packet that an error message quotes. */
struct xw_icmp4_quote {
    uint32_t src, dst;   /* src is who sent the quoted packet: us */
    uint16_t sport, dport;
    uint32_t seq;        /* TCP: sequence number */
    uint16_t total_len;  /* of the quoted packet, as it says */
    uint8_t proto;
};
/* xw_icmp4_quote_parse: body is what follows the ICMP header. ICMP_QUOTE when it is not the beginning of an
 * unfragmented (or first fragment of an) IPv4 packet with at least 8 bytes behind its header; else NONE with *q filled.
 * The quoted header's checksum is not looked at: routers quote it after they changed the TTL. */
enum xw_drop xw_icmp4_quote_parse(struct xw_span body, struct xw_icmp4_quote *q);
#endif
