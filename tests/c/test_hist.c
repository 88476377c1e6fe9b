/* base/hist.h and engine/stages.c: HdrHistogram's buckets, and what is recorded of a message. */
#include "base/hist.h"
#include "xt.h"
#include "xt_host.h"

static struct xw_hist h, k;

static void empty(void) { memset(&h, 0, sizeof h); }

XT_TEST(every_value_lies_in_its_bucket_and_buckets_join) {
    XT_EQ(xw_hist_index(0), 0);
    XT_EQ(xw_hist_index(255), 255);
    XT_EQ(xw_hist_index(256), 256);
    XT_EQ(xw_hist_index(257), 256);
    XT_EQ(xw_hist_index(XW_HIST_MAX), XW_HIST_LEN - 1);
    XT_EQ(xw_hist_upper(XW_HIST_LEN - 1), XW_HIST_MAX);
    for (uint32_t i = 0; i < XW_HIST_LEN; i++) {
        uint64_t low = xw_hist_lowest(i), high = xw_hist_upper(i);
        XT_EQ(xw_hist_index(low), i);
        XT_EQ(xw_hist_index(high), i);
        XT_TRUE((high - low) * 128 <= low);
        XT_EQ(xw_hist_lowest(i + 1), high + 1);
    }
}

XT_TEST(count_sum_and_extremes_are_exact) {
    empty();
    for (uint64_t v = 1000; v <= 100000; v += 1000)
        xw_hist_record(&h, v);
    XT_EQ(h.count, 100);
    XT_EQ(h.total, 5050000);
    XT_EQ(h.min, 1000);
    XT_EQ(h.max, 100000);
    XT_EQ(xw_hist_percentile(&h, 100), 100000);
    uint64_t p50 = xw_hist_percentile(&h, 50);
    XT_TRUE(p50 >= 50000 && p50 <= 50400);
    XT_TRUE(xw_hist_percentile(&h, 0) >= 1000 && xw_hist_percentile(&h, 0) <= 1008);
    XT_EQ(xw_hist_percentile(&h, 1e9), 100000);
}

XT_TEST(what_is_too_long_is_counted_as_that) {
    empty();
    XT_EQ(xw_hist_percentile(&h, 50), 0);
    xw_hist_record(&h, XW_HIST_MAX + 5);
    XT_EQ(h.clamped, 1);
    XT_EQ(h.max, XW_HIST_MAX + 5);
    XT_EQ(h.counts[XW_HIST_LEN - 1], 1);
    XT_EQ(xw_hist_percentile(&h, 50), XW_HIST_MAX);
    xw_hist_record(&h, 0);
    XT_EQ(h.min, 0);
}

XT_TEST(add_and_since_are_inverse) {
    empty();
    xw_hist_record(&h, 500);
    k = h;
    xw_hist_record(&h, 7000);
    xw_hist_record(&h, 300);
    struct xw_hist *later = malloc(sizeof *later);
    *later = h;
    xw_hist_since(later, &k);
    XT_EQ(later->count, 2);
    XT_EQ(later->total, 7300);
    XT_TRUE(later->min <= 300 && later->min >= 296);
    XT_EQ(later->max, 7000);
    xw_hist_add(later, &k);
    XT_MEM(later->counts, h.counts, sizeof h.counts);
    XT_EQ(later->count, 3);
    XT_EQ(later->max, 7000);
    memset(later, 0, sizeof *later);
    xw_hist_add(later, &k);
    XT_EQ(later->min, 500);
    xw_hist_since(later, &k);
    XT_TRUE(!later->count && !later->min && !later->max);
    free(later);
}

/* A message with times by hand: each stage gets the difference, and only what is valid counts. */
XT_TEST(stages_of_a_message) {
    struct xt_host host;
    xt_host_engine(&host, &(struct xt_host_cfg){ .ws = true });
    size_t len = xw_stages_size(host.e->cfg.max_conns);
    struct xw_stage_area *a = calloc(1, len);
    struct xw_event ev = { .conn = 1 | 7u << 16, .type = XW_EV_MESSAGE, .len = 200 };
    ev.stamps = (struct xw_stamps){ .nic_ns = 50, .kernel_ns = 1000, .ring_ns = 1700, .decrypt_begin_ns = 2000, .decrypt_end_ns = 2300,
                                    .parsed_ns = 2350, .first_ns = 900 };
    ev.stamps.valid = XW_ST_KERNEL | XW_ST_RING | XW_ST_DECRYPT_BEGIN | XW_ST_DECRYPT_END | XW_ST_PARSED | XW_ST_FIRST;
    xw_stages_record(host.e, &ev, 1, 3000); /* nobody listens */
    XT_EQ(xw_stages_begin(host.e, ev.conn, "x"), XW_ESTATE);
    XT_EQ(xw_engine_stages(host.e, a, len - 1), XW_EINVAL);
    XT_EQ(xw_engine_stages(host.e, a, len), XW_OK);
    XT_EQ(a->magic, xw_stages_magic());
    XT_EQ(xw_stages_begin(host.e, 0xffff, "x"), XW_ENOCONN);
    xw_stages_record(host.e, &ev, 1, 3000); /* a connection that did not begin */
    XT_EQ(a->conn[1].messages, 0);
    XT_EQ(xw_stages_begin(host.e, ev.conn, "wss://a/b"), XW_OK);
    xw_stages_record(host.e, &ev, 1, 3000);
    struct xw_stage_conn *c = &a->conn[1];
    static const uint64_t want[XW_STAGES] = { 0, 700, 300, 300, 50, 650, 2100 };
    for (unsigned i = 0; i < XW_STAGE_CALLBACK; i++) {
        XT_EQ(c->hist[i].count, i != XW_STAGE_NIC_KERNEL);
        XT_EQ(c->hist[i].max, want[i]);
    }
    XT_EQ(c->hist[XW_STAGE_CALLBACK].count, 1);
    XT_EQ(c->messages, 1);
    XT_EQ(c->bytes, 200);
    XT_STR(c->name, "wss://a/b");
    ev.stamps.valid &= ~(uint32_t)(XW_ST_DECRYPT_BEGIN | XW_ST_DECRYPT_END); /* no TLS */
    ev.stamps.ring_ns = 990;                                                  /* before the kernel's time */
    struct xw_event two[2] = { ev, ev };
    xw_stages_record(host.e, two, 2, 3000);
    XT_EQ(c->hist[XW_STAGE_KERNEL_RING].negative, 2);
    XT_EQ(c->hist[XW_STAGE_KERNEL_RING].min, 0);
    XT_EQ(c->hist[XW_STAGE_PARSE].max, 1360);
    XT_EQ(c->hist[XW_STAGE_DECRYPT].count, 1);
    XT_EQ(c->hist[XW_STAGE_CALLBACK].count, 1);
    xw_stages_end(host.e, 1 | 8u << 16); /* another connection's */
    XT_EQ(c->live, 1);
    xw_stages_end(host.e, ev.conn);
    XT_EQ(c->live, 0);
    XT_EQ(xw_stages_begin(host.e, 1 | 9u << 16, "next"), XW_OK);
    XT_TRUE(!c->messages && !c->hist[XW_STAGE_PARSE].count && c->live);
    XT_EQ(xw_engine_stages(host.e, NULL, 0), XW_OK);
    free(a);
    xt_host_free(&host);
}

XT_MAIN(XT_RUN(every_value_lies_in_its_bucket_and_buckets_join), XT_RUN(count_sum_and_extremes_are_exact),
        XT_RUN(what_is_too_long_is_counted_as_that), XT_RUN(add_and_since_are_inverse), XT_RUN(stages_of_a_message))
