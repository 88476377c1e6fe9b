/* ws/frame.h: the WebSocket frame header (RFC 6455 5.2), bytes to struct and back. No state, no policy but the rules
 * that one header can break by itself. Every refusal has one row in frame.def: close code, error and text. */
#ifndef XW_WS_FRAME_H
#define XW_WS_FRAME_H
#include "base/limits.h"
#include "base/span.h"
#include <stdbool.h>

enum xw_ws_opcode {
    XW_WS_OP_CONT = 0, XW_WS_OP_TEXT = 1, XW_WS_OP_BIN = 2, XW_WS_OP_CLOSE = 8, XW_WS_OP_PING = 9, XW_WS_OP_PONG = 10
};

/* Close codes of RFC 6455 7.4.1 that we use or must tell apart. */
#define XW_WS_CODE_NORMAL 1000u
#define XW_WS_CODE_PROTOCOL 1002u
#define XW_WS_CODE_NONE 1005u     /* never on the wire: the close frame had no code */
#define XW_WS_CODE_ABNORMAL 1006u /* never on the wire: there was no close frame */
#define XW_WS_CODE_DATA 1007u
#define XW_WS_CODE_TOO_BIG 1009u

#define XW_WS_RSV1 0x4u /* permessage-deflate: this message is compressed */
#define XW_WS_RSV2 0x2u
#define XW_WS_RSV3 0x1u

/* What a peer can do wrong. XW_WS_FAULT_NONE is 0. */
enum xw_ws_fault {
#define XW_WS_FAULT(name, code, err, text) XW_WS_FAULT_##name,
#include "ws/frame.def"
#undef XW_WS_FAULT
    XW_WS_FAULT_COUNT
};
/* xw_ws_fault_code: the close code to send. xw_ws_fault_error: XW_E…. xw_ws_fault_text: one phrase. */
uint16_t xw_ws_fault_code(enum xw_ws_fault f);
int xw_ws_fault_error(enum xw_ws_fault f);
const char *xw_ws_fault_text(enum xw_ws_fault f);

struct xw_ws_hdr {
    bool fin;
    bool masked;
    uint8_t rsv;      /* XW_WS_RSV… */
    uint8_t opcode;   /* enum xw_ws_opcode once parsed */
    uint8_t hdr_len;  /* bytes of the header, mask included; set by parse, ignored by emit */
    uint8_t key[4];   /* mask, in order of the wire */
    uint64_t len;     /* payload bytes */
};

/* What the receiver demands of a header. */
struct xw_ws_rules {
    bool want_mask;      /* server role: frames must be masked; client role: must not (RFC 6455 5.1) */
    uint8_t rsv_ok;      /* bits negotiated by an extension, on the first frame of a data message */
    uint64_t max_len;    /* payload of a data frame; longer: TOO_BIG */
    uint64_t max_packed; /* of one with RSV1, instead */
};

/* xw_ws_hdr_parse: 1: *h is filled and obeys the rules; 0: more bytes are needed (what is there is not wrong yet);
 * a fault (negated enum xw_ws_fault) as soon as the bytes show it. */
int xw_ws_hdr_parse(struct xw_span in, const struct xw_ws_rules *rules, struct xw_ws_hdr *h);
/* xw_ws_hdr_len: bytes that emit will write. */
size_t xw_ws_hdr_len(const struct xw_ws_hdr *h);
/* xw_ws_hdr_emit: writes the header in its minimal form to out, which has room for XW_WS_HDR_MAX; returns its
 * length. */
size_t xw_ws_hdr_emit(uint8_t *out, const struct xw_ws_hdr *h);
/* xw_ws_code_valid: may stand in a close frame (RFC 6455 7.4 and the IANA registry: 1000-1003, 1007-1014,
 * 3000-4999). */
bool xw_ws_code_valid(uint32_t code);
#endif
