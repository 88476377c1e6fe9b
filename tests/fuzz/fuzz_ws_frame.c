/* Frame headers: parse never reads past its span nor says yes to what it would not itself write; asking with fewer
 * bytes never gives another answer than "more" or the final one. */
#include "base/assert.h"
#include "ws/frame.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct xw_ws_rules rules = { .want_mask = data[0] & 1, .rsv_ok = data[0] >> 1 & 7,
        .max_len = UINT64_MAX >> (data[1] & 63), .max_packed = UINT64_MAX >> (data[1] & 31) };
    struct xw_ws_hdr h, part;
    uint8_t out[XW_WS_HDR_MAX];
    size_t len = size - 2;
    uint8_t *in = malloc(len ? len : 1); /* exactly as long, so that the sanitizer sees the end */
    memcpy(in, data + 2, len);
    int rc = xw_ws_hdr_parse(xw_span(in, len), &rules, &h);
    XW_ASSERT(rc <= 1 && rc > -(int)XW_WS_FAULT_COUNT);
    for (size_t n = 0; n < len && n < XW_WS_HDR_MAX; n++) {
        int early = xw_ws_hdr_parse(xw_span(in, n), &rules, &part);
        XW_ASSERT(early == 0 || early == rc);
    }
    if (rc == 1) {
        XW_ASSERT(h.hdr_len <= len && h.masked == rules.want_mask);
        XW_ASSERT((h.opcode & 8) ? h.fin && h.len <= XW_WS_CONTROL_MAX : h.len <= (h.rsv & XW_WS_RSV1 ? rules.max_packed :
                                                                            rules.max_len));
        XW_ASSERT(xw_ws_hdr_emit(out, &h) == h.hdr_len && !memcmp(out, in, h.hdr_len));
    } else if (rc == 0) {
        XW_ASSERT(len < XW_WS_HDR_MAX);
    }
    free(in);
    return 0;
}
