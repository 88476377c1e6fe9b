/* net/neigh.c: see neigh.h. */
#include "net/neigh.h"
#include "base/assert.h"
#include "base/err.h"
#include <string.h>

/* RFC 4861 10: a confirmation holds 30 s; DELAY_FIRST_PROBE_TIME 5 s; RETRANS_TIMER 1 s; 3 requests of a kind. */
#define REACHABLE_NS (30u * XW_NS_PER_S)
#define DELAY_NS (5u * XW_NS_PER_S)
#define RETRANS_NS (1u * XW_NS_PER_S)
#define RETRY_NS (1u * XW_NS_PER_S) /* FAILED: between the verdict and the next attempt */
#define MULTICAST_MAX 3u
#define UNICAST_MAX 3u

void xw_neighs_init(struct xw_neighs *t, bool passive) {
    memset(t, 0, sizeof *t);
    t->passive = passive;
    t->deadline_ns = XW_NEVER;
}

static struct xw_neigh *find(struct xw_neighs *t, uint32_t ip) {
    for (uint32_t i = 0; i < XW_NEIGH_MAX; i++)
        if (t->e[i].ip == ip && t->e[i].state != XW_NEIGH_FREE)
            return &t->e[i];
    return NULL;
}

const struct xw_neigh *xw_neighs_get(const struct xw_neighs *t, uint32_t ip) {
    for (uint32_t i = 0; i < XW_NEIGH_MAX; i++)
        if (t->e[i].ip == ip && t->e[i].state != XW_NEIGH_FREE)
            return &t->e[i];
    return NULL;
}

static struct xw_neigh *find_hint(struct xw_neighs *t, uint32_t ip, uint16_t hint) {
    if (hint < XW_NEIGH_MAX && t->e[hint].ip == ip && t->e[hint].state != XW_NEIGH_FREE)
        return &t->e[hint];
    return find(t, ip);
}

static void set_due(struct xw_neighs *t, struct xw_neigh *e, bool due) {
    if (e->due != due)
        t->due_cnt += due ? 1u : UINT32_MAX;
    e->due = due;
}

static void set_timer(struct xw_neighs *t, struct xw_neigh *e, uint64_t at_ns) {
    e->timer_ns = at_ns;
    if (at_ns < t->deadline_ns)
        t->deadline_ns = at_ns;
}

static void enter(struct xw_neighs *t, struct xw_neigh *e, enum xw_neigh_state state, bool due) {
    e->state = (uint8_t)state;
    e->sent = 0;
    e->timer_ns = XW_NEVER;
    set_due(t, e, due);
    t->change++;
}

static void enter_reachable(struct xw_neighs *t, struct xw_neigh *e, uint64_t confirmed_ns) {
    enter(t, e, XW_NEIGH_REACHABLE, false);
    e->confirmed_ns = confirmed_ns;
}

/* An entry for ip: free, else failed, else the one unused for the longest time; NULL when all are STATIC. */
static struct xw_neigh *take(struct xw_neighs *t, uint32_t ip) {
    struct xw_neigh *best = NULL;
    for (uint32_t i = 0; i < XW_NEIGH_MAX; i++) {
        struct xw_neigh *e = &t->e[i];
        if (e->state == XW_NEIGH_STATIC)
            continue;
        if (e->state == XW_NEIGH_FREE) {
            best = e;
            break;
        }
        bool better = !best || (e->state == XW_NEIGH_FAILED) > (best->state == XW_NEIGH_FAILED) ||
                      ((e->state == XW_NEIGH_FAILED) == (best->state == XW_NEIGH_FAILED) && e->used_ns < best->used_ns);
        if (better)
            best = e;
    }
    if (!best)
        return NULL;
    set_due(t, best, false);
    *best = (struct xw_neigh){ .ip = ip, .timer_ns = XW_NEVER };
    return best;
}

/* What using an entry does to it. */
static int use(struct xw_neighs *t, struct xw_neigh *e, uint64_t now_ns) {
    e->used_ns = now_ns;
    switch ((enum xw_neigh_state)e->state) {
    case XW_NEIGH_FREE:
        break;
    case XW_NEIGH_INCOMPLETE:
        return XW_EAGAIN;
    case XW_NEIGH_FAILED:
        if (now_ns < e->timer_ns)
            return XW_EUNREACH;
        enter(t, e, XW_NEIGH_INCOMPLETE, true);
        return XW_EAGAIN;
    case XW_NEIGH_REACHABLE:
        if (now_ns - e->confirmed_ns >= REACHABLE_NS) {
            enter(t, e, XW_NEIGH_DELAY, false);
            set_timer(t, e, now_ns + DELAY_NS);
        }
        return XW_OK;
    case XW_NEIGH_DELAY:
    case XW_NEIGH_PROBE:
    case XW_NEIGH_STATIC:
        return XW_OK;
    }
    return XW_EBUG;
}

int xw_neighs_resolve(struct xw_neighs *t, uint32_t ip, uint16_t *hint, uint64_t now_ns, const uint8_t **mac) {
    struct xw_neigh *e = find_hint(t, ip, *hint);
    if (!e) {
        if (t->passive || !(e = take(t, ip)))
            return XW_EAGAIN;
        enter(t, e, XW_NEIGH_INCOMPLETE, true);
    }
    *hint = (uint16_t)(e - t->e);
    *mac = e->mac;
    return use(t, e, now_ns);
}

bool xw_neighs_learn(struct xw_neighs *t, uint32_t ip, const uint8_t mac[6], bool answer, uint64_t now_ns) {
    struct xw_neigh *e = find(t, ip);
    if (!e || e->state == XW_NEIGH_STATIC)
        return false;
    bool same = e->state != XW_NEIGH_INCOMPLETE && e->state != XW_NEIGH_FAILED && memcmp(e->mac, mac, 6) == 0;
    if (same && !answer)
        return true; /* says nothing of whether it hears us */
    memcpy(e->mac, mac, 6);
    if (answer) {
        enter_reachable(t, e, now_ns);
    } else {
        /* a new MAC that was announced: used from now on, and verified if TCP does not confirm it */
        enter(t, e, XW_NEIGH_DELAY, false);
        set_timer(t, e, now_ns + DELAY_NS);
    }
    return true;
}

void xw_neighs_confirm(struct xw_neighs *t, uint32_t ip, uint16_t hint, uint64_t now_ns) {
    struct xw_neigh *e = find_hint(t, ip, hint);
    if (!e)
        return;
    if (e->state == XW_NEIGH_REACHABLE)
        e->confirmed_ns = now_ns;
    else if (e->state == XW_NEIGH_DELAY || e->state == XW_NEIGH_PROBE)
        enter_reachable(t, e, now_ns);
}

void xw_neighs_suspect(struct xw_neighs *t, uint32_t ip, uint16_t hint) {
    struct xw_neigh *e = find_hint(t, ip, hint);
    if (e && (e->state == XW_NEIGH_REACHABLE || e->state == XW_NEIGH_DELAY))
        enter(t, e, XW_NEIGH_PROBE, true);
}

bool xw_neighs_output(struct xw_neighs *t, uint64_t now_ns, uint32_t *ip, const uint8_t **mac, bool *unicast) {
    if (t->due_cnt == 0)
        return false;
    struct xw_neigh *e = t->e;
    while (!e->due) {
        e++;
        XW_ASSERT(e < t->e + XW_NEIGH_MAX);
    }
    *ip = e->ip;
    *mac = e->mac;
    /* RFC 1122 2.3.2.1 (2): first the known MAC is polled, then everybody is asked */
    *unicast = e->state == XW_NEIGH_PROBE && e->sent < UNICAST_MAX;
    e->sent++;
    set_due(t, e, false);
    set_timer(t, e, now_ns + RETRANS_NS);
    return true;
}

static void expire(struct xw_neighs *t, struct xw_neigh *e, uint64_t now_ns) {
    unsigned max = e->state == XW_NEIGH_PROBE ? UNICAST_MAX + MULTICAST_MAX : MULTICAST_MAX;
    if (e->state == XW_NEIGH_DELAY) {
        enter(t, e, XW_NEIGH_PROBE, true);
    } else if (e->sent < max) {
        e->timer_ns = XW_NEVER; /* set again when the request is pulled */
        set_due(t, e, true);
    } else {
        enter(t, e, XW_NEIGH_FAILED, false);
        e->timer_ns = now_ns + RETRY_NS; /* looked at when it is used: no deadline */
    }
}

void xw_neighs_tick(struct xw_neighs *t, uint64_t now_ns) {
    if (now_ns < t->deadline_ns)
        return;
    t->deadline_ns = XW_NEVER;
    for (uint32_t i = 0; i < XW_NEIGH_MAX; i++) {
        struct xw_neigh *e = &t->e[i];
        if (e->state != XW_NEIGH_INCOMPLETE && e->state != XW_NEIGH_DELAY && e->state != XW_NEIGH_PROBE)
            continue;
        if (now_ns >= e->timer_ns)
            expire(t, e, now_ns);
        else
            set_timer(t, e, e->timer_ns);
    }
}

int xw_neighs_set(struct xw_neighs *t, uint32_t ip, const uint8_t mac[6], uint64_t now_ns) {
    struct xw_neigh *e = find(t, ip);
    if (!e && !(e = take(t, ip)))
        return XW_ENOSPC;
    enter(t, e, XW_NEIGH_STATIC, false);
    memcpy(e->mac, mac, 6);
    e->confirmed_ns = now_ns;
    return XW_OK;
}

int xw_neighs_del(struct xw_neighs *t, uint32_t ip) {
    struct xw_neigh *e = find(t, ip);
    if (!e)
        return XW_EINVAL;
    set_due(t, e, false);
    e->state = XW_NEIGH_FREE;
    t->change++;
    return XW_OK;
}
