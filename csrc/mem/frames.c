/* mem/frames.c: set-up, teardown and the checks of the frame pool. The moves are inline in the header. */
#include "mem/frames.h"
#include "base/err.h"
#include <stdlib.h>
#include <string.h>

/* Bit `to` of row `from`: a move that the picture in the header has. */
#define TO(s) (1u << XW_FRAME_##s)
static const uint8_t allowed[XW_FRAME_STATES] = {
    [XW_FRAME_FREE] = TO(FILL) | TO(STACK),
    [XW_FRAME_FILL] = TO(RX) | TO(FREE), /* FREE: taken back unused when the device is set up no further */
    [XW_FRAME_RX] = TO(STACK) | TO(FREE), /* FREE: a bad frame is not shown */
    [XW_FRAME_STACK] = TO(TX) | TO(FREE),
    [XW_FRAME_TX] = TO(DONE) | TO(RX),
    [XW_FRAME_DONE] = TO(FREE),
};

int xw_frames_init(struct xw_frames *f, uint8_t *area, uint32_t cnt, uint32_t frame_len) {
    memset(f, 0, sizeof *f);
    if (!area || !cnt || !frame_len || cnt == XW_FRAME_NONE)
        return XW_EINVAL;
    f->stack = malloc((size_t)cnt * sizeof *f->stack);
    if (!f->stack)
        return XW_ENOMEM;
#ifdef XW_CHECKED
    f->state = calloc(cnt, sizeof *f->state);
    if (!f->state) {
        free(f->stack);
        f->stack = NULL;
        return XW_ENOMEM;
    }
#endif
    f->area = area;
    f->cnt = cnt;
    f->frame_len = frame_len;
    f->held[XW_FRAME_FREE] = cnt;
    for (uint32_t i = 0; i < cnt; i++)
        f->stack[i] = cnt - 1 - i;
    return XW_OK;
}

uint32_t xw_frames_counts(const struct xw_frames *f, uint32_t out[XW_FRAME_STATES]) {
    uint32_t sum = 0;
    for (unsigned s = 0; s < XW_FRAME_STATES; s++)
        sum += out[s] = f->held[s];
    return sum;
}

void xw_frames_check_move(struct xw_frames *f, uint32_t id, enum xw_frame_state from, enum xw_frame_state to) {
    XW_ASSERT(id < f->cnt);
    XW_ASSERT(from < XW_FRAME_STATES && to < XW_FRAME_STATES);
    XW_ASSERT(f->state[id] == from);
    XW_ASSERT(allowed[from] & (1u << to));
    XW_ASSERT(f->held[from] > 0);
    f->state[id] = (uint8_t)to;
    if (to == XW_FRAME_FREE)
        memset(f->area + (size_t)id * f->frame_len, XW_FRAME_POISON, f->frame_len);
}

static void assert_conserved(const struct xw_frames *f) {
    uint32_t now[XW_FRAME_STATES];
    XW_ASSERT(xw_frames_counts(f, now) == f->cnt);
    XW_ASSERT(now[XW_FRAME_STACK] == 0);
#ifdef XW_CHECKED
    uint32_t seen[XW_FRAME_STATES] = { 0 };
    for (uint32_t i = 0; i < f->cnt; i++)
        seen[f->state[i]]++;
    for (unsigned s = 0; s < XW_FRAME_STATES; s++)
        XW_ASSERT(seen[s] == now[s]);
    for (uint32_t i = 0; i < now[XW_FRAME_FREE]; i++)
        XW_ASSERT(f->state[f->stack[i]] == XW_FRAME_FREE);
#endif
    (void)now;
}

void xw_frames_reclaim(struct xw_frames *f) {
    assert_conserved(f);
    for (uint32_t i = 0; i < f->cnt; i++)
        f->stack[i] = f->cnt - 1 - i;
    memset(f->held, 0, sizeof f->held);
    f->held[XW_FRAME_FREE] = f->cnt;
#ifdef XW_CHECKED
    memset(f->state, XW_FRAME_FREE, f->cnt);
    memset(f->area, XW_FRAME_POISON, (size_t)f->cnt * f->frame_len);
#endif
}

void xw_frames_fini(struct xw_frames *f) {
    if (f->stack)
        assert_conserved(f);
    free(f->stack);
    free(f->state);
    memset(f, 0, sizeof *f);
}
