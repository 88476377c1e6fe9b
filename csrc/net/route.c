/* net/route.c: see route.h. */
#include "net/route.h"
#include "base/err.h"
#include <string.h>

/* RFC 1191 6.3: a larger path MTU is tried 10 minutes after it was last lowered. */
#define PMTU_LIFE_NS (600u * XW_NS_PER_S)

int xw_routes_add(struct xw_routes *r, const struct xw_route *add) {
    if (!xw_mask_ok(add->mask) || (add->net & ~add->mask) != 0 || add->mtu < XW_MTU_MIN || add->mtu > XW_MTU_MAX)
        return XW_EINVAL;
    uint32_t at = 0;
    while (at < r->cnt && (r->e[at].mask > add->mask || (r->e[at].mask == add->mask && r->e[at].net != add->net)))
        at++;
    bool same = at < r->cnt && r->e[at].mask == add->mask;
    if (!same) {
        if (r->cnt == XW_ROUTES_MAX)
            return XW_ENOSPC;
        memmove(&r->e[at + 1], &r->e[at], (r->cnt - at) * sizeof r->e[0]);
        r->cnt++;
    }
    r->e[at] = *add;
    return XW_OK;
}

int xw_routes_del(struct xw_routes *r, uint32_t net, uint32_t mask) {
    for (uint32_t i = 0; i < r->cnt; i++)
        if (r->e[i].net == net && r->e[i].mask == mask) {
            memmove(&r->e[i], &r->e[i + 1], (r->cnt - i - 1) * sizeof r->e[0]);
            r->cnt--;
            return XW_OK;
        }
    return XW_EINVAL;
}

const struct xw_route *xw_routes_find(const struct xw_routes *r, uint32_t dst) {
    for (uint32_t i = 0; i < r->cnt; i++)
        if ((dst & r->e[i].mask) == r->e[i].net)
            return &r->e[i];
    return NULL;
}

static struct xw_pmtu *pmtu_find(struct xw_routes *r, uint32_t dst) {
    for (uint32_t i = 0; i < r->pmtu_cnt; i++)
        if (r->pmtu[i].dst == dst)
            return &r->pmtu[i];
    return NULL;
}

/* A free entry, else the one that would be forgotten first. */
static struct xw_pmtu *pmtu_take(struct xw_routes *r) {
    if (r->pmtu_cnt < XW_PMTU_MAX)
        return &r->pmtu[r->pmtu_cnt++];
    struct xw_pmtu *first = &r->pmtu[0];
    for (uint32_t i = 1; i < XW_PMTU_MAX; i++)
        if (r->pmtu[i].end_ns < first->end_ns)
            first = &r->pmtu[i];
    return first;
}

int xw_pmtu_set(struct xw_routes *r, uint32_t dst, uint32_t mtu, uint32_t limit, uint64_t now_ns) {
    struct xw_pmtu *p = pmtu_find(r, dst);
    if (p && mtu == p->mtu)
        p->end_ns = now_ns + PMTU_LIFE_NS;
    if (mtu >= limit || (p && mtu >= p->mtu))
        return 1;
    if (!p)
        p = pmtu_take(r);
    *p = (struct xw_pmtu){ .dst = dst, .mtu = mtu, .end_ns = now_ns + PMTU_LIFE_NS };
    return 0;
}

uint32_t xw_pmtu_get(const struct xw_routes *r, uint32_t dst, uint32_t limit) {
    for (uint32_t i = 0; i < r->pmtu_cnt; i++)
        if (r->pmtu[i].dst == dst)
            return r->pmtu[i].mtu < limit ? r->pmtu[i].mtu : limit;
    return limit;
}

bool xw_pmtu_expire(struct xw_routes *r, uint64_t now_ns) {
    uint32_t kept = 0, had = r->pmtu_cnt;
    for (uint32_t i = 0; i < had; i++)
        if (r->pmtu[i].end_ns > now_ns)
            r->pmtu[kept++] = r->pmtu[i];
    r->pmtu_cnt = kept;
    return kept != had;
}

uint64_t xw_pmtu_deadline(const struct xw_routes *r) {
    uint64_t first = XW_NEVER;
    for (uint32_t i = 0; i < r->pmtu_cnt; i++)
        if (r->pmtu[i].end_ns < first)
            first = r->pmtu[i].end_ns;
    return first;
}
