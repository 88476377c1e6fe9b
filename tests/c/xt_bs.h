/* tests/c/xt_bs.h: one end of a byte stream, the test plays the other: it pushes what the stream shows and takes
 * what was written. The receive ring is mirrored or plain; consumed bytes are poisoned, so that late use of a span
 * shows. */
#ifndef XT_BS_H
#define XT_BS_H
#include "bs/bs.h"
#include "mem/bytering.h"

struct xt_bs {
    struct xw_bs bs;
    struct xw_bytering rx, tx;
    uint8_t *tx_mem, *rx_mem;
    struct xw_bs_status st;  /* state, error, rx_eof, tx_shut are the test's to set */
    unsigned shuts, aborts;
};
void xt_bs_init(struct xt_bs *b, uint32_t rx_cap, bool mirrored, uint32_t tx_cap);
void xt_bs_free(struct xt_bs *b);
/* how many of the bytes had room */
size_t xt_bs_push(struct xt_bs *b, const void *data, size_t len);
/* takes what was written, at most cap bytes */
size_t xt_bs_take(struct xt_bs *b, void *buf, size_t cap);
/* a's output to b's input, end included; at most max bytes; returns how many moved */
size_t xt_bs_move(struct xt_bs *a, struct xt_bs *b, size_t max);
#endif
