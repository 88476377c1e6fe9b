/* tests/sim/link.c: see link.h. */
#include "link.h"
#include <stdlib.h>
#include <string.h>

void sim_link_init(struct sim_link *l, const struct sim_link_cfg *cfg, uint64_t seed) {
    *l = (struct sim_link){ .cfg = *cfg, .mtu = UINT32_MAX, .rng = { seed } };
}

void sim_link_fini(struct sim_link *l) {
    for (uint32_t i = 0; i < l->cnt; i++)
        free(l->heap[i]);
    free(l->heap);
}

/* ---- arrivals in order: a binary heap by (at, serial) ------------------------------------------------------------ */

static bool before(const struct sim_pkt *a, const struct sim_pkt *b) {
    return a->at < b->at || (a->at == b->at && a->serial < b->serial);
}

void sim_link_put(struct sim_link *l, const uint8_t *pkt, uint32_t len, uint64_t at) {
    struct sim_pkt *p = malloc(sizeof *p + len);
    *p = (struct sim_pkt){ .at = at, .serial = l->serial++, .len = len };
    memcpy(p->b, pkt, len);
    if (l->cnt == l->cap)
        l->heap = realloc(l->heap, (l->cap = l->cap ? l->cap * 2 : 64) * sizeof(struct sim_pkt *));
    uint32_t i = l->cnt++;
    for (; i && before(p, l->heap[(i - 1) / 2]); i = (i - 1) / 2)
        l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = p;
    l->n.in++;
}

uint64_t sim_link_next(const struct sim_link *l) { return l->cnt ? l->heap[0]->at : UINT64_MAX; }

struct sim_pkt *sim_link_take(struct sim_link *l, uint64_t now) {
    if (!l->cnt || l->heap[0]->at > now)
        return NULL;
    struct sim_pkt *first = l->heap[0], *last = l->heap[--l->cnt];
    uint32_t i = 0;
    for (uint32_t k = 1; k < l->cnt; k = 2 * i + 1) {
        if (k + 1 < l->cnt && before(l->heap[k + 1], l->heap[k]))
            k++;
        if (!before(l->heap[k], last))
            break;
        l->heap[i] = l->heap[k];
        i = k;
    }
    if (l->cnt)
        l->heap[i] = last;
    l->n.out++;
    return first;
}

/* A burst of losses is what a full queue or a fading signal does: after so much silence it is over. */
#define BURST_NS 20000000u

/* ---- faults ------------------------------------------------------------------------------------------------------ */

/* ARP asks three times and then gives up, which is not what is to be tried here. */
static bool spared(const struct sim_link *l, const uint8_t *pkt) { return pkt[l->cfg.l2] != 0x45; }

static bool lost(struct sim_link *l, uint64_t now) {
    const struct sim_faults *f = &l->cfg.f;
    l->bad &= now - l->busy_ns < BURST_NS;
    l->busy_ns = now;
    if (f->ge_enter && sim_chance(&l->rng, l->bad ? f->ge_leave : f->ge_enter))
        l->bad = !l->bad;
    bool gone = now < l->down_until || (f->loss && sim_chance(&l->rng, f->loss));
    gone |= l->bad && sim_chance(&l->rng, f->ge_loss);
    if (f->nth) { /* one of each n, or else it may be in step with a timer for ever */
        if (!l->nth) {
            l->nth = f->nth;
            l->nth_pick = (uint32_t)sim_pick(&l->rng, 1, f->nth);
        }
        gone |= l->nth-- == l->nth_pick;
    }
    return gone;
}

/* One octet is enough for the checksums, and never too much for them. ARP has none, so it is left alone. */
static uint32_t damage(struct sim_link *l, uint8_t *b, uint32_t len) {
    uint32_t l2 = l->cfg.l2;
    if (len <= l2 + 20 || b[l2] != 0x45)
        return len;
    if (sim_chance(&l->rng, l->cfg.f.corrupt)) {
        b[l2 + sim_below(&l->rng, len - l2)] ^= (uint8_t)sim_pick(&l->rng, 1, 255);
        l->n.corrupt++;
    }
    if (sim_chance(&l->rng, l->cfg.f.trim)) {
        len -= (uint32_t)sim_below(&l->rng, len - l2);
        l->n.corrupt++;
    }
    return len;
}

static bool too_big(const struct sim_link *l, const uint8_t *pkt, uint32_t len) {
    return len > l->cfg.l2 + l->mtu && pkt[l->cfg.l2] == 0x45 && (pkt[l->cfg.l2 + 6] & 0x40);
}

enum sim_fate sim_link_send(struct sim_link *l, const uint8_t *pkt, uint32_t len, uint64_t now) {
    uint8_t b[16384];
    if (!spared(l, pkt) && lost(l, now)) {
        l->n.in++, l->n.lost++;
        return SIM_LOST;
    }
    uint64_t start = l->free_ns > now ? l->free_ns : now;
    if (start - now > l->cfg.queue_ns) {
        l->n.in++, l->n.tail++;
        return SIM_LOST;
    }
    if (too_big(l, pkt, len)) {
        l->n.in++, l->n.big++;
        return SIM_TOO_BIG;
    }
    memcpy(b, pkt, len);
    l->free_ns = start + len * l->cfg.byte_ps / 1000;
    uint64_t at = l->free_ns + l->cfg.delay_ns + (l->cfg.jitter_ns ? sim_below(&l->rng, l->cfg.jitter_ns) : 0);
    if (sim_chance(&l->rng, l->cfg.f.reorder)) {
        at += sim_below(&l->rng, l->cfg.delay_ns + l->cfg.jitter_ns + 1000); /* others overtake it */
        l->n.reorder++;
    } else {
        at = at > l->last_ns ? at : l->last_ns;
        l->last_ns = at;
    }
    len = damage(l, b, len);
    sim_link_put(l, b, len, at);
    if (sim_chance(&l->rng, l->cfg.f.dup)) {
        sim_link_put(l, b, len, at + sim_below(&l->rng, 1000 + l->cfg.delay_ns));
        l->n.dup++;
    }
    return SIM_ON_ITS_WAY;
}

bool sim_link_conserved(const struct sim_link *l) {
    return l->n.in == l->n.lost + l->n.tail + l->n.big + l->n.out + l->cnt;
}
