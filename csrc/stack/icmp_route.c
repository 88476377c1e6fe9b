/* stack/icmp_route.c: see icmp_route.h. */
#include "stack/icmp_route.h"

static enum xw_tcp_icmp kind_of(const struct xw_net_icmp *m) {
    switch (m->kind) {
    case XW_NET_ICMP_UNREACH_HARD: return m->code == 2 ? XW_TCP_ICMP_PROTO : XW_TCP_ICMP_PORT;
    case XW_NET_ICMP_PROHIBITED: return XW_TCP_ICMP_ADMIN;
    case XW_NET_ICMP_FRAG_NEEDED: return XW_TCP_ICMP_FRAG;
    case XW_NET_ICMP_TIME_EXCEEDED: return XW_TCP_ICMP_TTL;
    case XW_NET_ICMP_UNREACH_SOFT:
    case XW_NET_ICMP_PARAM_PROBLEM:
    case XW_NET_ICMP_SOURCE_QUENCH: break;
    }
    return XW_TCP_ICMP_HOST;
}

void xw_icmp_route(struct xw_tcp_stack *tcp, struct xw_net *net, const struct xw_net_icmp *m, uint64_t now_ns) {
    struct xw_tcp_tuple t = { .local_ip = m->local_ip, .remote_ip = m->remote_ip,
                              .local_port = m->local_port, .remote_port = m->remote_port };
    if (m->kind == XW_NET_ICMP_SOURCE_QUENCH || m->kind == XW_NET_ICMP_PARAM_PROBLEM)
        return;
    if (xw_tcp_icmp_error(tcp, &t, (struct xw_seq){ m->seq }, kind_of(m), m->mtu, now_ns) == XW_DROP_NONE &&
        m->kind == XW_NET_ICMP_FRAG_NEEDED)
        xw_net_path_mtu_set(net, m->remote_ip, m->mtu, now_ns);
}
