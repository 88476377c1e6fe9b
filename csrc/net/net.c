/* net/net.c: set-up, configuration and time of the network layer. Receive is in net_in.c, transmit in net_out.c. */
#include "net/net.h"
#include "base/assert.h"
#include "net/net_priv.h"
#include <string.h>

size_t xw_net_size(void) { return sizeof(struct xw_net); }

/* RFC 3021: a /31 has no broadcast address, and a /32 is one host (the usual cloud set-up with an on-link gateway). */
static bool is_host_of(uint32_t ip, uint32_t mask) {
    uint32_t host = ip & ~mask;
    return xw_ip4_is_unicast(ip) && (~mask <= 1u || (host != 0 && host != ~mask));
}

static bool cfg_ok(const struct xw_net_cfg *c) {
    for (unsigned i = 0; i < c->vlan_cnt && i < XW_VLAN_MAX; i++)
        if (c->vlan_id[i] == 0 || c->vlan_id[i] > 4094)
            return false;
    return c->vlan_cnt <= XW_VLAN_MAX && xw_mask_ok(c->mask) && is_host_of(c->ip, c->mask) && c->mtu >= XW_MTU_MIN &&
           c->mtu <= XW_MTU_MAX && !xw_eth_is_group(c->mac) && !xw_eth_is_zero(c->mac);
}

int xw_net_init(void *mem, const struct xw_net_cfg *cfg, struct xw_rng *rng, uint64_t *drops, struct xw_net **out) {
    if (!cfg_ok(cfg))
        return XW_EINVAL;
    struct xw_net *n = mem;
    memset(n, 0, sizeof *n);
    n->cfg = *cfg;
    n->rng = rng;
    n->drops = drops;
    n->gen = 1;
    n->eth.type = XW_ETH_TYPE_IP4;
    n->eth.vlan_cnt = cfg->vlan_cnt;
    memcpy(n->eth.src, cfg->mac, 6);
    for (unsigned i = 0; i < cfg->vlan_cnt; i++) {
        n->eth.vlan_tpid[i] = cfg->vlan_tpid[i] ? cfg->vlan_tpid[i] : XW_ETH_TPID_Q;
        n->eth.vlan_tci[i] = cfg->vlan_id[i];
    }
    n->eth_len = (uint32_t)xw_eth_emit(xw_mspan(n->eth_bytes, sizeof n->eth_bytes), &n->eth);
    n->claim.timer_ns = XW_NEVER;
    xw_neighs_init(&n->neighs, !cfg->dedicated);
    const struct xw_route own = { .net = cfg->ip & cfg->mask, .mask = cfg->mask, .mtu = cfg->mtu };
    int rc = xw_routes_add(&n->routes, &own);
    XW_ASSERT(rc == XW_OK && n->eth_len >= XW_ETH_LEN);
    *out = n;
    return rc;
}

void xw_net_start(struct xw_net *n, enum xw_net_claim how, uint64_t now_ns) {
    n->echoes.refill_ns = now_ns;
    if (n->cfg.dedicated)
        xw_claim_start(&n->claim, how, n->rng, now_ns);
    else
        n->claim.state = XW_NET_ADDR_OK; /* the host's kernel has claimed it */
}

enum xw_net_addr_state xw_net_addr_state(const struct xw_net *n) { return n->claim.state; }

static void next_gen(struct xw_net *n) {
    if (++n->gen == 0) /* 0 is a hop that was never made */
        n->gen = 1;
}

int xw_net_route_add(struct xw_net *n, uint32_t net, uint32_t mask, uint32_t gateway, uint32_t mtu) {
    uint32_t usable = mtu && mtu < n->cfg.mtu ? mtu : n->cfg.mtu;
    const struct xw_route add = { .net = net, .mask = mask, .gateway = gateway, .mtu = usable };
    if (gateway && (!xw_ip4_is_unicast(gateway) || gateway == n->cfg.ip))
        return XW_EINVAL;
    int rc = xw_routes_add(&n->routes, &add);
    if (rc == XW_OK)
        next_gen(n);
    return rc;
}

int xw_net_route_del(struct xw_net *n, uint32_t net, uint32_t mask) {
    int rc = xw_routes_del(&n->routes, net, mask);
    if (rc == XW_OK)
        next_gen(n);
    return rc;
}

int xw_net_path_mtu_set(struct xw_net *n, uint32_t dst, uint32_t mtu, uint64_t now_ns) {
    const struct xw_route *route = xw_routes_find(&n->routes, dst);
    if (mtu < XW_MTU_MIN || !route)
        return XW_EINVAL;
    int rc = xw_pmtu_set(&n->routes, dst, mtu, route->mtu, now_ns);
    if (rc == 0)
        next_gen(n);
    return rc;
}

int xw_net_neigh_set(struct xw_net *n, uint32_t ip, const uint8_t mac[6], uint64_t now_ns) {
    if (xw_eth_is_group(mac) || xw_eth_is_zero(mac) || !xw_ip4_is_unicast(ip))
        return XW_EINVAL;
    return xw_neighs_set(&n->neighs, ip, mac, now_ns);
}

int xw_net_neigh_del(struct xw_net *n, uint32_t ip) { return xw_neighs_del(&n->neighs, ip); }

int xw_net_neigh_get(const struct xw_net *n, uint32_t ip, uint8_t mac[6]) {
    const struct xw_neigh *e = xw_neighs_get(&n->neighs, ip);
    if (!e || e->state == XW_NEIGH_INCOMPLETE || e->state == XW_NEIGH_FAILED)
        return XW_EAGAIN;
    memcpy(mac, e->mac, 6);
    return XW_OK;
}

static uint64_t min_ns(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t xw_net_deadline(const struct xw_net *n) {
    uint64_t first = min_ns(n->claim.timer_ns, n->neighs.deadline_ns);
    if (n->routes.pmtu_cnt)
        first = min_ns(first, xw_pmtu_deadline(&n->routes));
    if (n->echoes.cnt)
        first = min_ns(first, xw_echoes_deadline(&n->echoes));
    return first;
}

void xw_net_tick(struct xw_net *n, uint64_t now_ns) {
    xw_claim_tick(&n->claim, n->rng, now_ns);
    xw_neighs_tick(&n->neighs, now_ns);
    if (n->routes.pmtu_cnt && xw_pmtu_expire(&n->routes, now_ns))
        next_gen(n);
    if (n->echoes.cnt)
        n->drops[XW_DROP_TX_NO_NEIGH] += xw_echoes_expire(&n->echoes, now_ns);
}

bool xw_net_pending(const struct xw_net *n) {
    if (n->claim.due || n->reply_cnt || n->neighs.due_cnt)
        return true;
    for (unsigned i = 0; n->echoes.cnt && i < XW_ECHO_MAX; i++)
        if (n->echoes.e[i].used && xw_net_echo_ready(n, &n->echoes.e[i]))
            return true;
    return false;
}
