/* wire/tcp.h: the TCP header with its options (RFC 9293 3.1, 7323, 2018): parse, emit, nothing else.
 *
 * Parsing validates all lengths once. An option that runs past the header, or whose length is below 2, makes the
 * segment malformed; a known option of a length that its RFC does not give is skipped, as is an unknown one. Options
 * that RFC 9293 and 7323 allow in SYN segments only are reported as they stand: the state machine decides. */
#ifndef XW_WIRE_TCP_H
#define XW_WIRE_TCP_H
#include "base/err.h"
#include "base/span.h"
#include "wire/seq.h"

#define XW_TCP_FIN 0x01u
#define XW_TCP_SYN 0x02u
#define XW_TCP_RST 0x04u
#define XW_TCP_PSH 0x08u
#define XW_TCP_ACK 0x10u
#define XW_TCP_URG 0x20u
#define XW_TCP_ECE 0x40u
#define XW_TCP_CWR 0x80u

/* bits of xw_tcp_hdr.opts */
#define XW_TCP_OPT_MSS 0x01u
#define XW_TCP_OPT_WSCALE 0x02u
#define XW_TCP_OPT_SACK_OK 0x04u
#define XW_TCP_OPT_TS 0x08u
#define XW_TCP_OPT_SACK 0x10u
#define XW_TCP_SACK_MAX 4u /* blocks: 2 + 4 * 8 = 34 of the 40 octets of options */

struct xw_tcp_sack { struct xw_seq lo, hi; }; /* [lo, hi) */

/* Host byte order. */
struct xw_tcp_hdr {
    uint16_t src_port, dst_port;
    struct xw_seq seq, ack;
    uint16_t window;  /* as it stands: not scaled */
    uint16_t urgent;
    uint8_t flags;    /* XW_TCP_FIN … */
    uint8_t hdr_len;  /* octets with options; filled by parse, ignored by emit */
    uint8_t opts;     /* XW_TCP_OPT_…: which of the following count */
    uint8_t wscale;   /* as it stands: may exceed 14 */
    uint16_t mss;
    uint8_t sack_cnt; /* with XW_TCP_OPT_SACK: 1 … 4 */
    uint32_t ts_val, ts_ecr;
    struct xw_tcp_sack sack[XW_TCP_SACK_MAX];
};

/* xw_tcp_parse: seg begins with the TCP header and ends with its payload (from hdr_len on). Addresses in host order;
 * the checksum is verified if verify_csum. XW_DROP_NONE, or TCP_SHORT, TCP_OFFSET, TCP_CHECKSUM, TCP_PORT,
 * TCP_OPTION. */
enum xw_drop xw_tcp_parse(struct xw_span seg, uint32_t src_ip, uint32_t dst_ip, bool verify_csum,
                          struct xw_tcp_hdr *out);
/* xw_tcp_hdr_len: octets that emit writes for this header, options and padding included (20 … 60). */
uint32_t xw_tcp_hdr_len(const struct xw_tcp_hdr *h);
/* xw_tcp_opts_len: octets of the options that these bits of opts ask for, padding included. */
uint32_t xw_tcp_opts_len(uint8_t opts, uint8_t sack_cnt);
/* xw_tcp_emit: writes header and options with a zero checksum; out must hold xw_tcp_hdr_len. Returns that length. */
uint32_t xw_tcp_emit(const struct xw_tcp_hdr *h, struct xw_mspan out);
/* xw_tcp_set_checksum: computes the checksum of the whole segment (header first) and stores it. */
void xw_tcp_set_checksum(struct xw_mspan seg, uint32_t src_ip, uint32_t dst_ip);
#endif
