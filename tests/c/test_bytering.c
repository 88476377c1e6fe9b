#include "base/err.h"
#include "mem/bytering.h"
#include "xt.h"

static void fill(uint8_t *p, size_t n, unsigned from) {
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(from + i);
}

/* Any held range of a mirrored ring is one span, also where it crosses the end of the memory. */
XT_TEST(mirrored_is_contiguous_across_the_end) {
    struct xw_bytering r;
    uint8_t in[4096];
    fill(in, sizeof in, 3);
    XT_EQ(xw_bytering_map(&r, 4096), XW_OK);
    XT_EQ(xw_bytering_write(&r, in, 4000), 4000);
    xw_bytering_consume(&r, 3990);
    XT_EQ(xw_bytering_write(&r, in, 1000), 1000);
    struct xw_span s = xw_bytering_peek(&r);
    XT_EQ(s.len, 1010);
    XT_MEM(s.p, in + 3990, 10);
    XT_MEM(s.p + 10, in, 1000);
    XT_EQ(xw_bytering_reserve(&r).len, 4096 - 1010);
    xw_bytering_unmap(&r);
}

XT_TEST(plain_view_ends_where_the_memory_does) {
    struct xw_bytering r;
    uint8_t mem[64], in[64], out[64];
    fill(in, sizeof in, 0);
    xw_bytering_init(&r, mem, sizeof mem);
    XT_EQ(xw_bytering_write(&r, in, 60), 60);
    xw_bytering_consume(&r, 50);
    XT_EQ(xw_bytering_write(&r, in, 64), 54);
    XT_EQ(xw_bytering_peek(&r).len, 14);
    XT_EQ(xw_bytering_room(&r), 0);
    xw_bytering_copy(&r, 60, out, 54);
    XT_MEM(out, in, 54);
}

/* What TCP does with a segment that comes early: the bytes lie in place, and appear when tail passes them. */
XT_TEST(poke_past_tail_appears_on_commit) {
    struct xw_bytering r;
    uint8_t mem[16];
    xw_bytering_init(&r, mem, sizeof mem);
    xw_bytering_write(&r, "0123456789", 10);
    xw_bytering_consume(&r, 10);
    xw_bytering_poke(&r, 14, "efgh", 4);
    XT_EQ(xw_bytering_len(&r), 0);
    xw_bytering_write(&r, "abcd", 4);
    xw_bytering_commit(&r, 4);
    uint8_t out[8];
    xw_bytering_copy(&r, 10, out, 8);
    XT_MEM(out, "abcdefgh", 8);
}

XT_TEST(map_refuses_odd_sizes) {
    struct xw_bytering r;
    XT_EQ(xw_bytering_map(&r, 0), XW_EINVAL);
    XT_EQ(xw_bytering_map(&r, 100), XW_EINVAL);
    XT_EQ(xw_bytering_map(&r, 3 * 4096), XW_EINVAL);
    xw_bytering_unmap(&r);
}

/* An empty ring begins at its base again; positions go on, and a plain ring's views end where the memory does. */
XT_TEST(rewinding_keeps_positions) {
    uint8_t mem[16], got[16];
    struct xw_bytering r;
    xw_bytering_init(&r, mem, sizeof mem);
    for (unsigned round = 0; round < 40; round++) {
        uint64_t pos = r.tail;
        XT_EQ(xw_bytering_write(&r, "abcdefghijk", 11), 11);
        XT_EQ(r.tail, pos + 11);
        XT_TRUE(xw_bytering_at(&r, pos) == mem && !memcmp(mem, "abcdefghijk", 11));
        xw_bytering_consume(&r, 5);
        XT_EQ(xw_bytering_write(&r, "lmnopqrst", 9), 9);      /* around the end */
        XT_EQ(xw_bytering_peek(&r).len, 11);                   /* as far as the memory goes */
        xw_bytering_copy(&r, r.head, got, 15);
        XT_MEM(got, "fghijklmnopqrst", 15);
        XT_EQ(xw_bytering_room(&r), 1);
        xw_bytering_consume(&r, 15);
        xw_bytering_rewind(&r);
        XT_EQ(xw_bytering_reserve(&r).len, 16);
        XT_TRUE(xw_bytering_reserve(&r).p == mem);
    }
    xw_bytering_reset(&r);
    XT_TRUE(!r.origin && xw_bytering_reserve(&r).p == mem);
}

XT_MAIN(XT_RUN(rewinding_keeps_positions), XT_RUN(mirrored_is_contiguous_across_the_end), XT_RUN(plain_view_ends_where_the_memory_does),
        XT_RUN(poke_past_tail_appears_on_commit), XT_RUN(map_refuses_odd_sizes))
