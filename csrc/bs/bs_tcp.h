/* bs/bs_tcp.h: the byte-stream face of a connection of our own TCP (tcp/tcp.h).
 *
 * Peek and reserve work on the connection's rings; consume, commit and shutdown_wr are noted and told to TCP by the
 * next poll or flush, which know the time. Packets, timers and output are the engine's: poll here moves no bytes.
 * Memory is taken at creation only. */
#ifndef XW_BS_BS_TCP_H
#define XW_BS_BS_TCP_H
#include "bs/bs.h"

struct xw_tcp;

/* xw_bs_tcp_new: takes the connection over: close releases it. XW_ENOMEM. */
int xw_bs_tcp_new(struct xw_tcp *c, uint64_t now_ns, struct xw_bs **out);
/* xw_bs_tcp_conn: the connection below. */
struct xw_tcp *xw_bs_tcp_conn(const struct xw_bs *b);
#endif
