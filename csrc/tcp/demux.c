/* tcp/demux.c: 4-tuple → connection: a chained hash table of twice as many buckets as connections, keyed with SipHash
 * so that nobody can choose ports that collide. Listeners are few and walked. */
#include "tcp/tcp_priv.h"

static uint32_t bucket_of(const struct xw_tcp_stack *s, const struct xw_tcp_tuple *t) {
    const uint32_t in[3] = { t->local_ip, t->remote_ip, (uint32_t)t->local_port << 16 | t->remote_port };
    return (uint32_t)xw_siphash24(s->key, in, sizeof in) & s->bucket_mask;
}

static bool same(const struct xw_tcp_tuple *a, const struct xw_tcp_tuple *b) {
    return a->local_ip == b->local_ip && a->remote_ip == b->remote_ip && a->local_port == b->local_port &&
           a->remote_port == b->remote_port;
}

struct xw_tcp *xw_tcp_demux_find(const struct xw_tcp_stack *s, const struct xw_tcp_tuple *t) {
    if (s->last && same(&s->last->tuple, t))
        return s->last;
    struct xw_tcp *c = s->bucket[bucket_of(s, t)];
    while (c && !same(&c->tuple, t))
        c = c->hash_next;
    return c;
}

void xw_tcp_demux_add(struct xw_tcp *c) {
    struct xw_tcp **b = &c->stk->bucket[bucket_of(c->stk, &c->tuple)];
    c->hash_next = *b;
    *b = c;
    c->hashed = true;
}

void xw_tcp_demux_del(struct xw_tcp *c) {
    if (!c->hashed)
        return;
    struct xw_tcp **p = &c->stk->bucket[bucket_of(c->stk, &c->tuple)];
    while (*p != c)
        p = &(*p)->hash_next;
    *p = c->hash_next;
    if (c->stk->last == c)
        c->stk->last = NULL;
    c->hash_next = NULL;
    c->hashed = false;
}

/* An exact address comes before the wildcard. */
struct xw_tcp_listener *xw_tcp_demux_listener(const struct xw_tcp_stack *s, uint32_t ip, uint16_t port) {
    struct xw_tcp_listener *any = NULL;
    for (uint32_t i = 0; i < s->cfg.max_listeners; i++) {
        struct xw_tcp_listener *l = &s->listener[i];
        if (!l->in_use || l->port != port)
            continue;
        if (l->ip == ip)
            return l;
        if (!l->ip)
            any = l;
    }
    return any;
}
