/* bs/bs_mem.h: two byte streams in memory, each the other's peer, for tests, fuzzing and simulation.
 *
 * What one side commits lies in its send ring until the other side polls and takes it. How much a poll may take is set
 * per side, so that a test can deliver byte by byte, cut at any offset, or starve the reader. Stamps are what the
 * test says. Deterministic: no clock, no randomness, no system call after creation. */
#ifndef XW_BS_BS_MEM_H
#define XW_BS_BS_MEM_H
#include "bs/bs.h"

struct xw_bs_mem_cfg {
    uint32_t rcv_len; /* bytes of each side's receive ring (mirrored): power of two, multiple of the page size */
    uint32_t snd_len; /* bytes of each side's send ring (plain): power of two */
    bool connecting;  /* both sides begin in CONNECTING until xw_bs_mem_open */
};
/* xw_bs_mem_pair: both sides; each is closed by its own close op, in any order. XW_EINVAL, XW_ENOMEM. */
int xw_bs_mem_pair(const struct xw_bs_mem_cfg *cfg, struct xw_bs **a, struct xw_bs **b);
/* xw_bs_mem_open: CONNECTING becomes OPEN on both sides. */
void xw_bs_mem_open(struct xw_bs *b);
/* xw_bs_mem_chunk: b takes at most n bytes a poll (SIZE_MAX, the initial value: all). */
void xw_bs_mem_chunk(struct xw_bs *b, size_t n);
/* xw_bs_mem_until: b takes nothing at or behind this stream offset (UINT64_MAX, the initial value: no bound), the
 * end included. */
void xw_bs_mem_until(struct xw_bs *b, uint64_t off);
/* xw_bs_mem_set_stamp: stamp of the bytes that b takes from now on. */
void xw_bs_mem_set_stamp(struct xw_bs *b, const struct xw_rxstamp *stamp);
/* xw_bs_mem_fail: b fails with this error at once (XW_ERESET, …); its peer sees XW_ERESET. */
void xw_bs_mem_fail(struct xw_bs *b, int error);
#endif
