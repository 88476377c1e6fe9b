/* mem/bytering.c: set-up of plain byte rings; the rest is inline in the header, mirrored rings are in bytering_map.c. */
#include "mem/bytering.h"

void xw_bytering_init(struct xw_bytering *r, uint8_t *mem, uint32_t cap) {
    XW_ASSERT(cap && !(cap & (cap - 1)));
    *r = (struct xw_bytering){ .base = mem, .cap = cap };
}
