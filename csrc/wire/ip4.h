/* wire/ip4.h: IPv4 headers (RFC 791). Parse validates every length once; addresses are in host byte order. Options are
 * checked for well-formedness and skipped; none is ever written. Not done: reassembly (a fragment parses, the layer
 * above refuses it by mf and frag_off). */
#ifndef XW_WIRE_IP4_H
#define XW_WIRE_IP4_H
#include "base/err.h"
#include "base/limits.h"
#include "base/span.h"
#include <stdbool.h>

#define XW_IP4_PROTO_ICMP 1u
#define XW_IP4_PROTO_TCP 6u
#define XW_IP4_PROTO_UDP 17u

struct xw_ip4_hdr {
    uint32_t src, dst;
    uint16_t total_len;  /* header and payload, bytes; the span may be longer (Ethernet padding), never shorter */
    uint16_t id;
    uint16_t frag_off;   /* in units of 8 bytes */
    uint8_t hdr_len;     /* bytes: 20 … 60 */
    uint8_t tos;         /* DSCP (6 bit) and ECN (2) */
    uint8_t ttl;
    uint8_t proto;
    bool df, mf;
    bool source_route;   /* a loose or strict source route option is there */
};

/* xw_ip4_parse: IP4_SHORT, IP4_VERSION, IP4_IHL, IP4_LEN, IP4_CHECKSUM (only with verify), IP4_OPTION, or NONE with *h
 * filled: then 20 <= hdr_len <= total_len <= pkt.len. */
enum xw_drop xw_ip4_parse(struct xw_span pkt, bool verify, struct xw_ip4_hdr *h);
/* xw_ip4_hdr_len: bytes in front of the payload. */
static inline size_t xw_ip4_hdr_len(const struct xw_ip4_hdr *h) { return h->hdr_len; }
/* xw_ip4_payload: what the header announces behind itself, without padding of the link. pkt was parsed into h. */
static inline struct xw_span xw_ip4_payload(struct xw_span pkt, const struct xw_ip4_hdr *h) {
    return xw_span(pkt.p + h->hdr_len, (size_t)h->total_len - h->hdr_len);
}
/* xw_ip4_emit: writes a header of 20 bytes with its checksum; hdr_len of h must be 20. Returns 20, or 0 when out is too
 * short, hdr_len is not 20 or total_len below it. */
size_t xw_ip4_emit(struct xw_mspan out, const struct xw_ip4_hdr *h);

static inline bool xw_ip4_is_multicast(uint32_t a) { return a >> 28 == 0xe; }  /* 224/4 */
static inline bool xw_ip4_is_reserved(uint32_t a) { return a >> 28 == 0xf; }    /* 240/4, limited broadcast included */
static inline bool xw_ip4_is_loopback(uint32_t a) { return a >> 24 == 127; }
static inline bool xw_ip4_is_this_net(uint32_t a) { return a >> 24 == 0; }     /* 0/8: no host's address */
/* xw_ip4_is_unicast: may be one host's address (says nothing of directed broadcasts, which need the mask). */
static inline bool xw_ip4_is_unicast(uint32_t a) {
    return !xw_ip4_is_multicast(a) && !xw_ip4_is_reserved(a) && !xw_ip4_is_loopback(a) && !xw_ip4_is_this_net(a);
}
#endif
