/* bs/bs_sock.h: a byte stream over a non-blocking kernel TCP socket (IPv4).
 *
 * The stream owns the socket; the two rings belong to the caller, who keeps them until close. One recvmsg and at most
 * one sendmsg a poll, so that what arrived first is handed on before more is fetched. Memory is taken at creation only.
 * Needs no privilege.
 *
 * Receive stamps: kern_ns is the kernel's software stamp of the last packet whose bytes the recvmsg returned, moved
 * from CLOCK_REALTIME to CLOCK_MONOTONIC; hw_ns the NIC's, when it has one; ring_ns the clock when recvmsg returned.
 * All bytes of one recvmsg share them: for a byte of an earlier packet of the same call they are late by the spacing
 * of the packets, never early. The offset between the two clocks is sampled once a second to about 50 ns (half the
 * bracket of three clock reads); slewing moves both clocks alike, so only a step of the wall clock spoils stamps,
 * for at most a second.
 *
 * Not here: connecting over IPv6, listening, kernel TLS, io_uring. */
#ifndef XW_BS_BS_SOCK_H
#define XW_BS_BS_SOCK_H
#include "bs/bs.h"
#include "mem/bytering.h"

struct xw_conn_info; /* xw_api.h */

struct xw_bs_sock_cfg {
    uint32_t local_ip;           /* host byte order; 0: any */
    uint32_t remote_ip;
    uint16_t local_port;         /* 0: any */
    uint16_t remote_port;
    bool no_delay;               /* TCP_NODELAY */
    bool stamps;                 /* ask the kernel for receive stamps; refusal is not an error */
    uint32_t busy_poll_us;       /* SO_BUSY_POLL with SO_PREFER_BUSY_POLL; 0: leave alone; refusal is not an error */
    uint64_t (*clock)(void *arg);/* ns of CLOCK_MONOTONIC, for ring_ns; NULL: ring_ns is not valid */
    void *clock_arg;
};

/* xw_bs_sock_new: begins to connect. XW_EINVAL, XW_ENOMEM, XW_EADDRINUSE (local port taken), XW_ESYS, each with its
 * step in xw_setup_error. A refusal or a missing route is no failure of this call but the stream's: FAILED by status.
 * rcv is a mirrored ring; snd may be either kind. Both are reset. */
int xw_bs_sock_new(const struct xw_bs_sock_cfg *cfg, struct xw_bytering *rcv, struct xw_bytering *snd,
                   struct xw_bs **out);
/* xw_bs_sock_adopt: the same over a socket that is connected already (accepted, or through a proxy), TCP or Unix; of cfg
 * no_delay, stamps, busy_poll_us and the clock count. It works on a duplicate of fd, which stays the caller's to close.
 * XW_EINVAL, XW_ENOMEM, XW_ESYS. */
int xw_bs_sock_adopt(const struct xw_bs_sock_cfg *cfg, int fd, struct xw_bytering *rcv, struct xw_bytering *snd,
                     struct xw_bs **out);
/* xw_bs_sock_fd: descriptor to wait on (level-triggered); -1 once it is closed. */
int xw_bs_sock_fd(const struct xw_bs *b);
/* xw_bs_sock_events: EPOLLIN and EPOLLOUT as wanted now. 0: nothing can be done until bytes are consumed, or ever
 * again; take the descriptor out of the set then, since EPOLLERR and EPOLLHUP are reported regardless. */
uint32_t xw_bs_sock_events(const struct xw_bs *b);
/* xw_bs_sock_local_port: the port in use, host byte order. */
uint16_t xw_bs_sock_local_port(const struct xw_bs *b);
/* xw_bs_sock_info: fills the TCP fields of out (local_port too) from TCP_INFO; what the kernel does not tell stays
 * 0. */
void xw_bs_sock_info(const struct xw_bs *b, struct xw_conn_info *out);
#endif
