/* engine/stages.c: how long messages take from stage to stage, by connection, in histograms that other processes may read.
 * Recorded when the consumer says that it has handled a message: nothing of it lies on the message's way, and an engine
 * without an area does nothing at all. */
#include "base/hist.h"
#include "engine/engine.h"
#include <string.h>

#define XW_STAGES_MAGIC 0x3154535357504458ull /* "XDPWSST1" in little-endian memory */

uint64_t xw_stages_magic(void) { return XW_STAGES_MAGIC; }

uint64_t xw_stages_size(uint32_t conns) {
    return sizeof(struct xw_stage_area) + (uint64_t)conns * sizeof(struct xw_stage_conn);
}

int xw_engine_stages(struct xw_engine *e, void *area, uint64_t len) {
    if (!xw_engine_thread_ok(e))
        return XW_ETHREAD;
    struct xw_stage_area *a = area;
    if (a && len < xw_stages_size(e->cfg.max_conns))
        return XW_EINVAL;
    if (a) {
        a->version = XW_STAGES_VERSION;
        a->conns = e->cfg.max_conns;
        a->conn_len = sizeof(struct xw_stage_conn);
        a->began_ns = xw_monotonic_ns();
        __atomic_store_n(&a->magic, XW_STAGES_MAGIC, __ATOMIC_RELEASE); /* a reader looks at it first */
    }
    e->stages = a;
    return XW_OK;
}

static struct xw_stage_conn *place_of(struct xw_engine *e, uint32_t id) {
    uint32_t slot = id & 0xffffu;
    return e->stages && slot < e->stages->conns ? &e->stages->conn[slot] : NULL;
}

int xw_stages_begin(struct xw_engine *e, uint32_t id, const char *name) {
    struct xw_stage_conn *c = place_of(e, id);
    if (!xw_engine_thread_ok(e))
        return XW_ETHREAD;
    if (!c)
        return e->stages ? XW_ENOCONN : XW_ESTATE;
    if (c->id) /* pages that were never used stay unused */
        memset(c, 0, sizeof *c);
    strncpy(c->name, name, sizeof c->name - 1);
    c->began_ns = xw_monotonic_ns();
    c->id = id;
    c->live = 1;
    return XW_OK;
}

void xw_stages_end(struct xw_engine *e, uint32_t id) {
    struct xw_stage_conn *c = place_of(e, id);
    if (c && c->id == id)
        c->live = 0;
}

/* From one time to a later one, when both are there; clocks of two stages may be read in either order. */
static inline void between(struct xw_hist *h, uint64_t from, uint64_t to) {
    if (!from || !to)
        return;
    if (to < from) {
        h->negative++;
        to = from;
    }
    xw_hist_record(h, to - from);
}

static inline uint64_t if_valid(const struct xw_stamps *s, uint32_t bit, uint64_t ns) { return s->valid & bit ? ns : 0; }

static void record(struct xw_stage_conn *c, const struct xw_event *ev, uint64_t user_ns) {
    const struct xw_stamps *s = &ev->stamps;
    uint64_t nic = if_valid(s, XW_ST_NIC, s->nic_ns), kernel = if_valid(s, XW_ST_KERNEL, s->kernel_ns);
    uint64_t ring = if_valid(s, XW_ST_RING, s->ring_ns), parsed = if_valid(s, XW_ST_PARSED, s->parsed_ns);
    uint64_t begin = if_valid(s, XW_ST_DECRYPT_BEGIN, s->decrypt_begin_ns);
    uint64_t end = if_valid(s, XW_ST_DECRYPT_END, s->decrypt_end_ns);
    between(&c->hist[XW_STAGE_NIC_KERNEL], nic, kernel);
    between(&c->hist[XW_STAGE_KERNEL_RING], kernel, ring);
    between(&c->hist[XW_STAGE_RING_DECRYPT], ring, begin);
    between(&c->hist[XW_STAGE_DECRYPT], begin, end);
    between(&c->hist[XW_STAGE_PARSE], end ? end : ring, parsed);
    between(&c->hist[XW_STAGE_PARSED_USER], parsed, user_ns);
    between(&c->hist[XW_STAGE_FIRST_USER], if_valid(s, XW_ST_FIRST, s->first_ns), user_ns);
    c->messages++;
    c->bytes += ev->len;
}

void xw_stages_record(struct xw_engine *e, const struct xw_event *ev, uint32_t cnt, uint64_t user_ns) {
    struct xw_stage_conn *c = NULL;
    for (uint32_t i = 0; i < cnt; i++) {
        c = place_of(e, ev[i].conn);
        if (c && c->id == ev[i].conn)
            record(c, &ev[i], user_ns);
    }
    if (cnt == 1 && c && c->id == ev->conn && user_ns)
        between(&c->hist[XW_STAGE_CALLBACK], user_ns, e->clock(e->clock_arg));
}
