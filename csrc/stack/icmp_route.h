/* stack/icmp_route.h: what the network layer says of an ICMP error, put before TCP. Pure; no allocation. */
#ifndef XW_STACK_ICMP_ROUTE_H
#define XW_STACK_ICMP_ROUTE_H
#include "net/net.h"
#include "tcp/tcp.h"

/* xw_icmp_route: TCP judges whether the quoted segment is in flight (RFC 5927 4); only then the path MTU is believed.
 * Source quench (RFC 6633) and problems of parameters are ignored (RFC 9293 3.9.2.2). Counted where it ends. */
void xw_icmp_route(struct xw_tcp_stack *tcp, struct xw_net *net, const struct xw_net_icmp *m, uint64_t now_ns);
#endif
