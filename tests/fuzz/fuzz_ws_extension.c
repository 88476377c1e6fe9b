/* Sec-WebSocket-Extensions: any field value parses to an end, what is taken is valid, and what emit writes of it parses to
 * the same; any head is judged against an offer with parameters in their range. First byte: role. */
#include "base/assert.h"
#include "ws/extension.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void list(struct xw_span value, bool answer) {
    size_t pos = 0, last = 0;
    struct xw_ws_pmd p, again;
    uint8_t out[256];
    int rc;
    for (unsigned n = 0; (rc = xw_ws_pmd_parse(value, &pos, answer, &p)) >= 0; n++) {
        XW_ASSERT(pos <= value.len && (pos > last || pos == value.len) && n <= value.len);
        last = pos;
        if (!rc || !p.on)
            continue;
        XW_ASSERT(xw_ws_pmd_valid(&p, answer));
        size_t len = xw_ws_pmd_emit(xw_mspan(out, sizeof out), &p), at = 0;
        XW_ASSERT(len && xw_ws_pmd_parse(xw_span(out, len), &at, answer, &again) == 1 && again.on);
        XW_ASSERT(again.server_bits == p.server_bits && again.client_bits == p.client_bits);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    struct xw_span in = xw_span(data + 1, size - 1);
    struct xw_ws_pmd offer = { .on = true, .server_bits = 12 }, answer = { 0 }, agreed;
    switch (data[0] & 3) {
    case 0: list(in, true); break;
    case 1: list(in, false); break;
    case 2:
        if (!xw_ws_pmd_judge(in, &offer, &agreed) && agreed.on)
            XW_ASSERT(agreed.server_bits >= 8 && agreed.server_bits <= 15 && agreed.client_bits >= 8 &&
                      agreed.client_bits <= 15);
        break;
    default:
        if (xw_ws_pmd_choose(in, &offer, &answer, &agreed) == NULL && answer.on)
            XW_ASSERT(xw_ws_pmd_valid(&answer, true));
        break;
    }
    return 0;
}
