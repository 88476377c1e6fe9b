/* mem/frames.h: a pool of equal frames in one memory area (an AF_XDP UMEM, or plain memory), and who holds each of
 * them.
 *
 *     FREE ── FILL ── RX ── STACK ── FREE      received: to the kernel, from its ring, lent to the caller, back
 *     FREE ── STACK ── TX ── DONE ── FREE      sent: lent to be written, handed to the device, completed, back
 *     TX ── RX                                 a memory link: what one side sent, the other receives
 *
 * A frame is an id (0 … cnt-1), never a pointer. The free list is a stack, so the frame that was touched last is
 * used next (it is in the cache), and a frame that is held for long blocks no other. How many frames are in each
 * state is counted in every build; checked builds (XW_CHECKED) also keep the state of each frame in a side table,
 * assert the state that a move leaves, and overwrite the bytes of a freed frame so that late readers see nonsense.
 * The pool does not own the area; after init it allocates nothing and makes no system call. */
#ifndef XW_MEM_FRAMES_H
#define XW_MEM_FRAMES_H
#include "base/assert.h"
#include <stddef.h>
#include <stdint.h>

enum xw_frame_state {
    XW_FRAME_FREE = 0, /* in the free list */
    XW_FRAME_FILL,     /* given to the device to receive into */
    XW_FRAME_RX,       /* received, not yet shown to the caller */
    XW_FRAME_STACK,    /* lent to the caller: a received frame, or one being written */
    XW_FRAME_TX,       /* given to the device to send */
    XW_FRAME_DONE,     /* sent, not yet free */
    XW_FRAME_STATES
};

#define XW_FRAME_NONE UINT32_MAX /* no frame: the pool is empty */
#define XW_FRAME_POISON 0xa5     /* what a freed frame is full of in checked builds */

struct xw_frames {
    uint8_t *area;
    uint32_t frame_len;               /* bytes of each frame */
    uint32_t cnt;                     /* frames of the pool */
    uint32_t *stack;                  /* ids of the free frames; the next one out is the last */
    uint32_t held[XW_FRAME_STATES];   /* frames in each state; of FREE: also the depth of the stack */
    uint8_t *state;                   /* of each frame; NULL in builds without XW_CHECKED */
};

/* xw_frames_init: all frames free. area must have cnt * frame_len bytes. 0, XW_EINVAL or XW_ENOMEM. */
int xw_frames_init(struct xw_frames *f, uint8_t *area, uint32_t cnt, uint32_t frame_len);
/* xw_frames_fini: frees the tables (not the area). Asserts that no frame is lent and that the states sum to the
 * pool. */
void xw_frames_fini(struct xw_frames *f);
/* xw_frames_reclaim: takes back whatever the device held (FILL, RX, TX, DONE) after the device is gone; asserts that
 * nothing is lent. */
void xw_frames_reclaim(struct xw_frames *f);
/* xw_frames_counts: frames in each state; returns their sum, which is the pool's size. */
uint32_t xw_frames_counts(const struct xw_frames *f, uint32_t out[XW_FRAME_STATES]);

/* Out of line and only in checked builds: the move must be one of the picture above and leave the state that the
 * frame is in. */
void xw_frames_check_move(struct xw_frames *f, uint32_t id, enum xw_frame_state from, enum xw_frame_state to);

/* xw_frames_move: one frame changes hands. Not to or from FREE: take and put do that. */
static inline void xw_frames_move(struct xw_frames *f, uint32_t id, enum xw_frame_state from, enum xw_frame_state to) {
#ifdef XW_CHECKED
    xw_frames_check_move(f, id, from, to);
#else
    (void)id;
#endif
    f->held[from]--;
    f->held[to]++;
}
/* xw_frames_take: the frame freed last, now in state `to`; XW_FRAME_NONE if there is none. */
static inline uint32_t xw_frames_take(struct xw_frames *f, enum xw_frame_state to) {
    if (XW_UNLIKELY(!f->held[XW_FRAME_FREE]))
        return XW_FRAME_NONE;
    uint32_t id = f->stack[f->held[XW_FRAME_FREE] - 1];
    xw_frames_move(f, id, XW_FRAME_FREE, to);
    return id;
}
/* xw_frames_put: the frame, which is in state `from`, becomes free. */
static inline void xw_frames_put(struct xw_frames *f, uint32_t id, enum xw_frame_state from) {
    xw_frames_move(f, id, from, XW_FRAME_FREE);
    f->stack[f->held[XW_FRAME_FREE] - 1] = id;
}
static inline uint8_t *xw_frames_at(const struct xw_frames *f, uint32_t id) {
    XW_ASSERT(id < f->cnt);
    return f->area + (size_t)id * f->frame_len;
}
#endif
