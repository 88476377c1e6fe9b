/* stack/stack_priv.h: what the files of stack/ share: the stack and its sockets.
 *
 *   stack.c    memory, packets, time        sock.c     what users call         sockopt.c  options and info
 *
 * A number that the user holds (fd) names a slot through a table, because a slot outlives its number (a closed
 * connection that still delivers) and may come before it (a connection that waits to be accepted). */
#ifndef XW_STACK_PRIV_H
#define XW_STACK_PRIV_H
#include "base/limits.h"
#include "net/net.h"
#include "tcp/tcp.h"
#include "xw_stack.h"

enum sock_use {
    SOCK_FREE = 0,
    SOCK_HELD,   /* a number names it */
    SOCK_CHILD,  /* of a listener, not accepted yet */
    SOCK_ORPHAN  /* closed by its user, the connection goes on */
};

struct xw_sock {
    enum sock_use use;
    struct xw_tcp *conn;            /* NULL: never connected */
    struct xw_tcp_listener *listener;
    struct xw_sock *parent;         /* of a child */
    uint64_t serial;                /* children: order of arrival */
    unsigned backlog, children;     /* of a listener */
    uint32_t ip;                    /* bound to; 0: any */
    uint16_t port;                  /* 0: not bound */
    uint8_t reuse, keepalive;
    uint32_t rcvbuf, sndbuf, mss;   /* as set; mss 0: not */
    uint64_t keep_idle_ns;
    int64_t linger_ns;              /* -1: off */
    struct xw_tcp_opts opts;
    bool established;               /* once */
    bool ended;                     /* its end was seen: error is set */
    bool shut_rd, shut_wr;
    bool fin_wait2;                 /* an orphan that waits for the peer's FIN alone */
    int error;                      /* to be told once, XW_STACK_E… */
    uint64_t deadline_ns;           /* of an orphan */
    struct xw_bytering rcv, snd;
    struct xw_net_hop hop;
    struct xw_tcp_seg held;         /* a segment without data that waits for its neighbour */
    bool holding;
};

struct xw_stack {
    struct xw_stack_cfg cfg;
    size_t control_len;             /* octets up to the buffers */
    struct xw_rng rng;
    struct xw_net *net;
    struct xw_tcp_stack *tcp;
    struct xw_sock *sock;           /* cfg.max_sockets */
    uint32_t *fd;                   /* number → slot + 1, 0: free */
    uint8_t *buffers;
    uint64_t serial;
    uint32_t listeners, orphans, holding;
    uint16_t ip_id;
    uint64_t drops[XW_DROP_COUNT];
};

/* ---- sock.c ---- */
/* xw_stack_sync: sockets as the connections have changed, waiting SYNs taken in. Called after whatever can change
 * one. */
void xw_stack_sync(struct xw_stack *s, uint64_t now);
int xw_stack_error(int rc); /* of tcp/ and net/ → of xw_stack.h */
struct xw_sock *xw_stack_sock(const struct xw_stack *s, int fd); /* NULL: no such number */
void xw_stack_sock_fail(struct xw_stack *s, struct xw_sock *k, int error, uint64_t now); /* could not be opened */
void xw_stack_orphans_end(struct xw_stack *s, uint64_t now);
uint32_t xw_stack_conn_mtu(const struct xw_sock *k, uint32_t path_mtu); /* with the MSS that the user wants */
#endif
