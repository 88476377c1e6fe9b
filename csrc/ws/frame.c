/* ws/frame.c: frame header codec and the table of faults. */
#include "ws/frame.h"
#include "base/assert.h"
#include "base/err.h"
#include <string.h>

struct fault_row { uint16_t code; int16_t err; const char *text; };

static const struct fault_row faults[] = {
#define XW_WS_FAULT(name, code, err, text) { code, err, text },
#include "ws/frame.def"
#undef XW_WS_FAULT
};

uint16_t xw_ws_fault_code(enum xw_ws_fault f) {
    XW_ASSERT(f < XW_WS_FAULT_COUNT);
    return faults[f].code;
}

int xw_ws_fault_error(enum xw_ws_fault f) {
    XW_ASSERT(f < XW_WS_FAULT_COUNT);
    return faults[f].err;
}

const char *xw_ws_fault_text(enum xw_ws_fault f) {
    XW_ASSERT(f < XW_WS_FAULT_COUNT);
    return faults[f].text;
}

/* What the first two bytes can break (RFC 6455 5.2, 5.4, 5.5). A bit that was negotiated belongs to the first
 * frame of a data message only (RFC 7692 6): not to control and not to continuation frames. */
static enum xw_ws_fault check_first_two(const struct xw_ws_rules *rules, const struct xw_ws_hdr *h, unsigned len7) {
    bool control = h->opcode & 8;
    bool may_rsv = h->opcode == XW_WS_OP_TEXT || h->opcode == XW_WS_OP_BIN;
    if (h->rsv & ~(may_rsv ? (unsigned)rules->rsv_ok : 0u))
        return XW_WS_FAULT_RSV;
    if ((h->opcode > XW_WS_OP_BIN && !control) || h->opcode > XW_WS_OP_PONG)
        return XW_WS_FAULT_OPCODE;
    if (control && !h->fin)
        return XW_WS_FAULT_CONTROL_FRAGMENT;
    if (control && len7 > XW_WS_CONTROL_MAX)
        return XW_WS_FAULT_CONTROL_LEN;
    if (h->masked != rules->want_mask)
        return h->masked ? XW_WS_FAULT_MASKED : XW_WS_FAULT_UNMASKED;
    return XW_WS_FAULT_NONE;
}

static uint64_t get_be(const uint8_t *p, unsigned n) {
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

int xw_ws_hdr_parse(struct xw_span in, const struct xw_ws_rules *rules, struct xw_ws_hdr *h) {
    if (in.len < 2)
        return 0;
    unsigned len7 = in.p[1] & 0x7fu;
    h->fin = in.p[0] & 0x80;
    h->rsv = (uint8_t)(in.p[0] >> 4 & 7);
    h->opcode = in.p[0] & 0xf;
    h->masked = in.p[1] & 0x80;
    enum xw_ws_fault f = check_first_two(rules, h, len7);
    if (f)
        return -(int)f;
    unsigned ext = len7 == 127 ? 8 : len7 == 126 ? 2 : 0;
    if (ext == 8 && in.len > 2 && in.p[2] & 0x80)
        return -(int)XW_WS_FAULT_LEN_TOP_BIT;
    if (in.len < 2 + ext)
        return 0;
    h->len = ext ? get_be(in.p + 2, ext) : len7;
    if ((ext == 2 && h->len < 126) || (ext == 8 && h->len < 65536))
        return -(int)XW_WS_FAULT_LEN_NOT_MINIMAL;
    if (!(h->opcode & 8) && h->len > (h->rsv & XW_WS_RSV1 ? rules->max_packed : rules->max_len))
        return -(int)XW_WS_FAULT_TOO_BIG;
    h->hdr_len = (uint8_t)(2 + ext + (h->masked ? 4 : 0));
    if (in.len < h->hdr_len)
        return 0;
    if (h->masked)
        memcpy(h->key, in.p + 2 + ext, 4);
    return 1;
}

size_t xw_ws_hdr_len(const struct xw_ws_hdr *h) {
    return 2u + (h->len > 65535 ? 8u : h->len > 125 ? 2u : 0u) + (h->masked ? 4u : 0u);
}

size_t xw_ws_hdr_emit(uint8_t *out, const struct xw_ws_hdr *h) {
    XW_ASSERT(h->opcode < 16 && h->rsv < 8 && !(h->len >> 63));
    unsigned ext = h->len > 65535 ? 8 : h->len > 125 ? 2 : 0;
    unsigned len7 = ext == 8 ? 127u : ext == 2 ? 126u : (unsigned)h->len;
    out[0] = (uint8_t)((h->fin ? 0x80u : 0u) | (unsigned)h->rsv << 4 | h->opcode);
    out[1] = (uint8_t)((h->masked ? 0x80u : 0u) | len7);
    for (unsigned i = 0; i < ext; i++)
        out[2 + i] = (uint8_t)(h->len >> (8 * (ext - 1 - i)));
    if (h->masked)
        memcpy(out + 2 + ext, h->key, 4);
    return 2u + ext + (h->masked ? 4u : 0u);
}

bool xw_ws_code_valid(uint32_t code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}
