/* Two stacks in boxes, any calls on their sockets, and a wire that drops, doubles, reorders and forges what they send
 * (with checksums made right again, so that it reaches TCP). The input is a list of operations of two octets.
 * Asserted: only documented results, no deadline in the past, no storm (what one round sends is bounded), readiness
 * that fits what the calls say, and everything ends: after all sockets are closed and the time is over no timer is
 * left. */
#include "base/assert.h"
#include "wire/ip4.h"
#include "wire/tcp.h"
#include "xw_stack.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SOCKETS 6
#define KEPT 4
#define SECOND 1000000000ull

struct pkt { uint8_t b[600]; size_t len; };
struct run {
    struct xw_stack *s[2];
    void *mem[2];
    uint64_t now;
    struct pkt kept[KEPT];          /* old packets, for the forger */
    unsigned next;
    uint8_t mangle, with;           /* what to do to the next packets */
};

static void make(struct run *r, int i, const uint8_t *cfg) {
    struct xw_stack_cfg c;
    xw_stack_cfg_default(&c);
    c.ip = 0x0a000001u + (uint32_t)i;
    c.mask = 0xffffff00u;
    c.mtu = 576;
    c.max_sockets = SOCKETS;
    c.rcvbuf_max = 1024u << (cfg[0] & 3);
    c.sndbuf_max = 1024u << (cfg[0] >> 2 & 3);
    c.tx_segments = 32;
    c.seed[0] = cfg[1];
    size_t len = (xw_stack_size(&c) + 63) / 64 * 64;
    r->mem[i] = aligned_alloc(64, len);
    memset(r->mem[i], 0xcc, len);
    XW_ASSERT(!xw_stack_create(r->mem[i], len, &c, r->now, &r->s[i]));
}

/* Changes one octet of the TCP header and mends the checksum. */
static void forge(struct pkt *p, uint8_t at, uint8_t value) {
    struct xw_ip4_hdr ip;
    if (xw_ip4_parse(xw_span(p->b, p->len), true, &ip) != XW_DROP_NONE || p->len < 40)
        return;
    p->b[20 + 4 + at % 36 % (p->len - 24)] ^= value; /* not the ports */
    xw_tcp_set_checksum(xw_mspan(p->b + 20, p->len - 20), ip.src, ip.dst);
}

static void deliver(struct run *r, int from, struct pkt *p) {
    switch (r->mangle & 7) {
    case 1: return;
    case 2: xw_stack_input(r->s[!from], p->b, p->len, r->now); break;
    case 3: forge(p, r->with, (uint8_t)(r->with | 1)); break;
    case 4: {
        struct pkt *old = &r->kept[r->with % KEPT]; /* what was sent before, by anybody, comes now */
        xw_stack_input(r->s[!from], old->b, old->len, r->now);
        break;
    }
    case 5: p->len -= p->len > 20 ? r->with % (p->len - 20) : 0; break;
    case 6: xw_stack_input(r->s[from], p->b, p->len, r->now); break; /* our own, back to us */
    default: break;
    }
    xw_stack_input(r->s[!from], p->b, p->len, r->now);
}

static void carry(struct run *r) {
    static struct pkt p;
    unsigned sent = 0, round = 1;
    while (round) {
        round = 0;
        for (int i = 0; i < 2; i++)
            while ((p.len = xw_stack_output(r->s[i], p.b, sizeof p.b, r->now))) {
                r->kept[r->next++ % KEPT] = p;
                deliver(r, i, &p);
                round++;
                XW_ASSERT(++sent < 4000);
            }
        r->mangle = r->mangle > 63 ? r->mangle : 0; /* some wires stay bad */
    }
}

static void pass(struct run *r, uint64_t ns) {
    r->now += ns;
    for (int i = 0; i < 2; i++) {
        xw_stack_tick(r->s[i], r->now);
        XW_ASSERT(xw_stack_next_deadline(r->s[i]) > r->now);
    }
    carry(r);
}

static bool known(int64_t rc) { return rc >= 0 || (rc >= XW_STACK_EINPROGRESS && rc <= XW_STACK_EBADF); }

static void transfer(struct run *r, struct xw_stack *s, int fd, bool send, uint8_t arg) {
    static uint8_t buf[4096];
    int ready = xw_stack_poll(s, fd);
    size_t len = 1 + (size_t)arg * 16;
    int64_t n = send ? xw_stack_send(s, fd, buf, len, r->now)
                     : xw_stack_recv(s, fd, buf, len, arg & 1 ? XW_STACK_PEEK : 0, r->now);
    XW_ASSERT(known(n) && n <= (int64_t)len);
    if (n == XW_STACK_EAGAIN)
        XW_ASSERT(!(ready & (send ? XW_STACK_POLLOUT : XW_STACK_POLLIN)));
    else if (n != XW_STACK_EBADF && n != XW_STACK_ENOTCONN)
        XW_ASSERT(ready & (send ? XW_STACK_POLLOUT : XW_STACK_POLLIN));
}

static void operation(struct run *r, uint8_t op, uint8_t arg) {
    struct xw_stack *s = r->s[op >> 7];
    struct xw_stack_info info;
    int fd = arg % SOCKETS;
    int64_t v;
    switch (op & 15) {
    case 0: XW_ASSERT(known(xw_stack_socket(s))); break;
    case 1: XW_ASSERT(known(xw_stack_bind(s, fd, 0, (uint16_t)(80 + (arg >> 6))))); break;
    case 2: XW_ASSERT(known(xw_stack_listen(s, fd, arg >> 6))); break;
    case 3: XW_ASSERT(known(xw_stack_accept(s, fd, NULL, NULL))); break;
    case 4:
        XW_ASSERT(known(xw_stack_connect(s, fd, 0x0a000001u + !(op >> 7), (uint16_t)(80 + (arg >> 6)), r->now)));
        break;
    case 5: case 6: transfer(r, s, fd, (op & 15) == 5, arg); break;
    case 7: XW_ASSERT(known(xw_stack_shutdown(s, fd, arg >> 6, r->now))); break;
    case 8: XW_ASSERT(known(xw_stack_close(s, fd, r->now))); break;
    case 9: XW_ASSERT(known(xw_stack_abort(s, fd, r->now))); break;
    case 10:
        xw_stack_setopt(s, fd, (enum xw_stack_opt)(op >> 4 & 7 ? (op >> 4 & 7) * 4 : arg % 32), arg & 1 ? arg : 1,
                        r->now);
        break;
    case 11: XW_ASSERT(known(xw_stack_getopt(s, fd, (enum xw_stack_opt)(arg >> 2), &v))); break;
    case 12: XW_ASSERT(known(xw_stack_info(s, fd, &info))); break;
    case 13: r->mangle = op >> 4 & 7 ? op : arg, r->with = arg; break;
    case 14: xw_stack_set_mtu(s, 0x0a000001u + !(op >> 7), 68 + arg * 2u, r->now); break;
    case 15: pass(r, (uint64_t)arg * arg * arg * 1000u); break;
    }
    if (op & 16)
        carry(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct run r;
    if (size < 4)
        return 0;
    memset(&r, 0, sizeof r);
    r.now = 1000 * SECOND;
    make(&r, 0, data);
    make(&r, 1, data + 2);
    for (size_t i = 4; i + 1 < size && i < 600; i += 2)
        operation(&r, data[i], data[i + 1]);
    r.mangle = 0;
    for (int i = 0; i < 2; i++)
        for (int fd = 0; fd < SOCKETS; fd++)
            xw_stack_close(r.s[i], fd, r.now);
    for (int i = 0; i < 400 && (xw_stack_next_deadline(r.s[0]) & xw_stack_next_deadline(r.s[1])) != UINT64_MAX; i++)
        pass(&r, 10 * SECOND);
    for (int i = 0; i < 2; i++) {
        XW_ASSERT(xw_stack_next_deadline(r.s[i]) == UINT64_MAX || xw_stack_next_deadline(r.s[i]) > r.now + 60 * SECOND);
        xw_stack_destroy(r.s[i]);
        free(r.mem[i]);
    }
    return 0;
}
