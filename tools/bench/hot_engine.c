/* An engine that always has `batch` messages waiting, for tools/bench/hot.py: what is measured is the walk alone. */
#include "xw.h"
#include <string.h>

struct xw_engine {
    uint32_t batch;
    uint32_t size;
    uint8_t payload[4096];
};

int hot_poll(struct xw_engine *e, uint64_t now_ns, struct xw_event *events, uint32_t max);
int hot_spin(struct xw_engine *e, uint64_t spin_ns, struct xw_event *events, uint32_t max);
uint64_t hot_deadline(const struct xw_engine *e);
int hot_wait(struct xw_engine *e, uint64_t timeout_ns);
int64_t hot_send(struct xw_engine *e, uint32_t id, uint8_t opcode, const void *data, uint64_t len, uint64_t now_ns);
int hot_ignore(const struct xw_event *events, uint32_t count, void *context);

int hot_ignore(const struct xw_event *events, uint32_t count, void *context) { return events && count && context; }

int hot_poll(struct xw_engine *e, uint64_t now_ns, struct xw_event *events, uint32_t max) {
    uint32_t n = e->batch < max ? e->batch : max;
    for (uint32_t i = 0; i < n; i++) {
        struct xw_event *ev = &events[i];
        ev->user = 1;
        ev->conn = 0;
        ev->type = XW_EV_MESSAGE;
        ev->opcode = 1;
        ev->len = e->size;
        ev->data = e->payload;
        ev->stamps = (struct xw_stamps){ .kernel_ns = now_ns, .ring_ns = now_ns, .valid = XW_ST_KERNEL | XW_ST_RING };
    }
    return (int)n;
}

int hot_spin(struct xw_engine *e, uint64_t spin_ns, struct xw_event *events, uint32_t max) { return hot_poll(e, spin_ns, events, max); }
uint64_t hot_deadline(const struct xw_engine *e) { return e->batch ? 0 : UINT64_MAX; }
int hot_wait(struct xw_engine *e, uint64_t timeout_ns) { return e->batch && timeout_ns; }

int64_t hot_send(struct xw_engine *e, uint32_t id, uint8_t opcode, const void *data, uint64_t len, uint64_t now_ns) {
    (void)id;
    (void)now_ns;
    memcpy(e->payload, data, len < sizeof e->payload ? len : sizeof e->payload);
    return opcode ? (int64_t)len : 0;
}
