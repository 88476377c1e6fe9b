#include "xt_stack.h"
#include "base/err.h"

void xt_link_cfg(struct xt_link *l, bool ethernet) {
    memset(l, 0, sizeof *l);
    l->now = 1000000000000ull;
    xw_stack_cfg_default(&l->cfg);
    l->cfg.mask = 0xffffff00u;
    l->cfg.max_sockets = 8;
    l->cfg.ethernet = ethernet;
    l->cfg.seed[0] = 7;
}

static struct xw_stack *start(struct xt_link *l, uint32_t ip, void **mem) {
    struct xw_stack_cfg c = l->cfg;
    struct xw_stack *s = NULL;
    c.ip = ip;
    c.mac[0] = 2, c.mac[5] = (uint8_t)ip;
    c.seed[1] = (uint8_t)ip;
    size_t len = xw_stack_size(&c);
    XT_TRUE(len > 0);
    *mem = aligned_alloc(64, (len + 63) / 64 * 64);
    memset(*mem, 0xa5, len); /* nothing may depend on what was in it */
    XT_EQ(xw_stack_create(*mem, len, &c, l->now, &s), 0);
    return s;
}

void xt_link_start(struct xt_link *l) {
    l->a = start(l, XT_A, &l->mem_a);
    l->b = start(l, XT_B, &l->mem_b);
}

void xt_link_make(struct xt_link *l, bool ethernet) {
    xt_link_cfg(l, ethernet);
    xt_link_start(l);
}

void xt_link_free(struct xt_link *l) {
    xw_stack_destroy(l->a);
    xw_stack_destroy(l->b);
    free(l->mem_a);
    free(l->mem_b);
}

static unsigned carry(struct xt_link *l, struct xw_stack *from, struct xw_stack *to) {
    uint8_t buf[2000];
    size_t n;
    unsigned cnt = 0;
    while ((n = xw_stack_output(from, buf, sizeof buf, l->now))) {
        cnt++;
        XT_TRUE(cnt < 10000);
        if (from == l->a) {
            memcpy(l->last, buf, n);
            l->last_len = n;
        }
        if (!l->cut)
            xw_stack_input(to, buf, n, l->now);
    }
    l->packets += cnt;
    return cnt;
}

void xt_link_settle(struct xt_link *l) {
    for (unsigned i = 0; carry(l, l->a, l->b) + carry(l, l->b, l->a); i++)
        XT_TRUE(i < 10000);
}

void xt_link_after(struct xt_link *l, uint64_t ns) {
    uint64_t end = l->now + ns;
    xt_link_settle(l);
    for (;;) {
        uint64_t a = xw_stack_next_deadline(l->a), b = xw_stack_next_deadline(l->b), next = a < b ? a : b;
        l->now = next < end ? next : end;
        xw_stack_tick(l->a, l->now);
        xw_stack_tick(l->b, l->now);
        XT_TRUE(xw_stack_next_deadline(l->a) > l->now && xw_stack_next_deadline(l->b) > l->now);
        xt_link_settle(l);
        if (l->now == end)
            return;
    }
}

void xt_link_open(struct xt_link *l, int *ca, int *cb) {
    int listener = xw_stack_socket(l->b);
    XT_EQ(listener, 0);
    XT_EQ(xw_stack_bind(l->b, listener, 0, 80), 0);
    XT_EQ(xw_stack_listen(l->b, listener, 4), 0);
    *ca = xw_stack_socket(l->a);
    XT_EQ(xw_stack_connect(l->a, *ca, XT_B, 80, l->now), XW_STACK_EINPROGRESS);
    xt_link_settle(l);
    *cb = xw_stack_accept(l->b, listener, NULL, NULL);
    XT_TRUE(*cb > 0);
    XT_EQ(xw_stack_connect(l->a, *ca, XT_B, 80, l->now), XW_STACK_EISCONN);
}

void xt_link_last(const struct xt_link *l, struct xw_ip4_hdr *ip, struct xw_tcp_hdr *tcp) {
    struct xw_span p = xw_span(l->last, l->last_len);
    XT_EQ(xw_ip4_parse(p, true, ip), XW_DROP_NONE);
    XT_EQ(xw_tcp_parse(xw_ip4_payload(p, ip), ip->src, ip->dst, true, tcp), XW_DROP_NONE);
}

int64_t xt_opt(struct xw_stack *s, int fd, enum xw_stack_opt o) {
    int64_t v = -12345;
    XT_EQ(xw_stack_getopt(s, fd, o, &v), 0);
    return v;
}

int xt_state(struct xw_stack *s, int fd) {
    struct xw_stack_info i;
    XT_EQ(xw_stack_info(s, fd, &i), 0);
    return i.state;
}
