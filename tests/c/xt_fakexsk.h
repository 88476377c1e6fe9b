/* tests/c/xt_fakexsk.h: the kernel's side of AF_XDP played by hand: ring memory is local, system calls are counted
 * and fail when told to. One kernel at a time; fx_reset begins anew. */
#ifndef XT_FAKEXSK_H
#define XT_FAKEXSK_H
#include "dev/xsk_priv.h"
#include <stdbool.h>

#define FX_QUEUES 4
enum { FX_FILL, FX_COMP, FX_RX, FX_TX, FX_RINGS };

struct fx_ring { uint32_t *prod, *cons, *flags; void *desc; uint32_t len; };
struct fx_sock {
    bool open, bound;
    struct fx_ring r[FX_RINGS];
    struct sockaddr_xdp addr;
    uint32_t fill_at_bind; /* entries of FILL when bind was called */
};

struct fx {
    struct fx_sock s[FX_QUEUES]; /* descriptors are 100 + index */
    unsigned maps;               /* not yet unmapped */
    unsigned calls;              /* of set-up, counted to let the n-th fail */
    unsigned fail_at;            /* this call fails (1 = the first; 0 none) with fail_errno */
    int fail_errno;
    unsigned busy_binds;         /* so many binds fail with EBUSY first */
    int bind_errno_of_second;    /* a second socket's bind fails with this while the first is in zero-copy mode */
    bool zero_copy, no_huge;
    unsigned napi_id, napi_asked; /* SO_INCOMING_NAPI_ID of every socket */
    unsigned slept_ms, tx_wakes, rx_wakes, binds;
    int (*on_tx)(struct fx_sock *s); /* what sendto does; NULL: nothing, 0 */
    uint8_t *umem;
};
extern struct fx fx;
extern const struct xw_xsk_sys fx_sys;

void fx_reset(void);
/* a packet arrives on the n-th socket: true if FILL had a buffer and RX a slot; meta: struct xw_meta or NULL */
bool fx_receive(unsigned n, const void *pkt, uint32_t len, const void *meta);
/* appends a raw descriptor to RX, having taken the buffer from FILL: for descriptors that no kernel should give */
void fx_rx_desc(unsigned n, struct xdp_desc d);
uint64_t fx_fill_pop(unsigned n);
/* takes up to max TX descriptors; returns how many */
uint32_t fx_tx_take(struct fx_sock *s, struct xdp_desc *out, uint32_t max);
/* completes one frame: false if the ring is full */
bool fx_complete(struct fx_sock *s, uint64_t addr);
/* like the copy-mode kernel: sends up to 32, completes each at once, EAGAIN if some are left */
int fx_copy_mode_tx(struct fx_sock *s);
uint32_t fx_used(const struct fx_ring *r);
#endif
