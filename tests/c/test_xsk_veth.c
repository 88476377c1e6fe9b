/* The AF_XDP device against this kernel: a veth pair in a network namespace of the test's own (it goes with the
 * process), a redirect program of a few instructions, and AF_PACKET at the other end. Skips with the reason where
 * that cannot be had. */
#include "base/err.h"
#include "base/limits.h"
#include "base/setup_error.h"
#include "dev/fault.h"
#include "dev/tap.h"
#include "dev/xsk.h"
#include "xt.h"
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <shared.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define IF_A "xwdeva" /* ours */
#define IF_B "xwdevb" /* the peer's end */
#define CNT 10000u
#define ETHERTYPE 0x88b5 /* local experimental: no protocol of the kernel takes it */

static const char *skip_why;

static int sh(const char *fmt, ...) {
    char cmd[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    return system(cmd);
}

/* A fresh veth pair with so many queues at each end; false (and why on stderr) where that cannot be had. */
static bool set_up(unsigned queues) {
    static bool own_namespace;
    if (!skip_why && !own_namespace) {
        if (geteuid() != 0)
            skip_why = "not root";
        else if (sh("tools/netns_ok.sh >/dev/null"))
            skip_why = "this kernel's network is stuck";
        else if (unshare(CLONE_NEWNET))
            skip_why = "no network namespace of its own";
        else
            sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=1 2>/dev/null");
        own_namespace = !skip_why;
    }
    if (!skip_why) {
        sh("ip link del " IF_A " 2>/dev/null");
        if (sh("ip link add " IF_A " numrxqueues %u numtxqueues %u type veth "
               "peer name " IF_B " numrxqueues %u numtxqueues %u && "
               "ip link set " IF_A " up && ip link set " IF_B " up", queues, queues, queues, queues))
            skip_why = "no veth pair (iproute2, kernel)";
    }
    if (skip_why)
        fprintf(stderr, "  skipped: %s\n", skip_why);
    return !skip_why;
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * XW_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- redirect program: metadata with the time, then bpf_redirect_map(xsks, rx_queue_index, XDP_PASS)
 * --------------------- */
#define I(op, d, s, o, i) ((struct bpf_insn){ .code = (op), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define LDW(d, s, o) I(BPF_LDX | BPF_MEM | BPF_W, d, s, o, 0)
#define STW(d, o, i) I(BPF_ST | BPF_MEM | BPF_W, d, 0, o, i)
#define STXDW(d, s, o) I(BPF_STX | BPF_MEM | BPF_DW, d, s, o, 0)
#define MOV(d, s) I(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOVI(d, i) I(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define CALL(f) I(BPF_JMP | BPF_CALL, 0, 0, 0, f)

struct steer { int map, prog, link; };

static struct steer attach(bool generic) {
    struct steer s;
    const struct bpf_link_create_opts lo = { .sz = sizeof lo,
                                             .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE };
    s.map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "xwdev_xsks", 4, 4, 4, NULL);
    XT_TRUE(s.map >= 0);
    const struct bpf_insn prog[] = {
        MOV(6, 1), MOVI(2, -(int)sizeof(struct xw_meta)), CALL(BPF_FUNC_xdp_adjust_meta),
        I(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 13, 0), /* no room: without */
        LDW(7, 6, 8), LDW(3, 6, 0), MOV(4, 7), I(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, sizeof(struct xw_meta)),
        I(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 8, 0),
        CALL(BPF_FUNC_ktime_get_ns), STXDW(7, 0, 8), MOVI(0, 0), STXDW(7, 0, 0), STW(7, 16, XW_META_XDP), STW(7, 20, 0),
        STW(7, 24, 0), STW(7, 28, XW_META_MAGIC),
        LDW(2, 6, 16), I(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, s.map), I(0, 0, 0, 0, 0),
        MOVI(3, XDP_PASS), CALL(BPF_FUNC_redirect_map), I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    };
    s.prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "xwdev_redirect", "GPL", prog, sizeof prog / sizeof *prog, NULL);
    XT_TRUE(s.prog >= 0);
    s.link = bpf_link_create(s.prog, (int)if_nametoindex(IF_A), BPF_XDP, &lo);
    if (s.link < 0)
        XT_FAIL("attach: %s", strerror(errno));
    return s;
}

static void detach(struct steer *s) {
    close(s->link);
    close(s->prog);
    close(s->map);
}

static struct xw_dev *open_dev(const struct steer *s, uint32_t queues, bool generic) {
    struct xw_xsk_cfg cfg = { .ifindex = if_nametoindex(IF_A), .queue_cnt = queues, .frame_len = 2048, .rx_len = 1024,
                              .tx_len = 256, .mtu = 1500, .generic = generic, .meta_len = sizeof(struct xw_meta) };
    struct xw_dev *d = NULL;
    if (xw_xsk_open(&cfg, &d))
        XT_FAIL("%s", xw_setup_error(NULL));
    for (uint32_t q = 0; q < queues; q++) {
        int fd = xw_xsk_fd(d, q);
        XT_EQ(bpf_map_update_elem(s->map, &q, &fd, BPF_ANY), 0);
    }
    return d;
}

/* At idle all frames are free or in FILL, and none got lost. */
static void close_dev(struct xw_dev *d) {
    uint32_t c[XW_FRAME_STATES];
    uint64_t until = now_ns() + 2 * XW_NS_PER_S;
    do
        d->ops->tx_flush(d);
    while (xw_xsk_frames(d, c) && c[XW_FRAME_TX] && now_ns() < until);
    XT_TRUE(xw_xsk_frames(d, c) > 0);
    XT_EQ(c[XW_FRAME_FREE] + c[XW_FRAME_FILL], xw_xsk_frames(d, c));
    xw_dev_close(d);
}

/* ---- the peer
 * -------------------------------------------------------------------------------------------------------------- */
static int peer_open(void) {
    struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE),
                             .sll_ifindex = (int)if_nametoindex(IF_B) };
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE)), big = 16 << 20;
    XT_TRUE(fd >= 0);
    XT_EQ(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    XT_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big), 0);
    return fd;
}

/* Frame number n: every length from 60 to 1514 comes by, every byte depends on n. */
static uint32_t make_frame(uint8_t *f, uint32_t n) {
    uint32_t len = 60 + n * 37 % (1514 - 60 + 1);
    for (uint32_t i = 0; i < len; i++)
        f[i] = (uint8_t)(n * 7 + i);
    memset(f, 0xff, 6);
    memcpy(f + 6, "\x02xwdev", 6);
    f[12] = ETHERTYPE >> 8;
    f[13] = ETHERTYPE & 0xff;
    memcpy(f + 14, &n, sizeof n);
    return len;
}

static void expect_frame(const uint8_t *got, uint32_t len, uint32_t n) {
    uint8_t want[1514];
    XT_EQ(len, make_frame(want, n));
    XT_MEM(got, want, len);
}

static void peer_send(int fd, uint32_t from, uint32_t cnt) {
    uint8_t f[1514];
    for (uint32_t n = from; n < from + cnt; n++) {
        uint32_t len = make_frame(f, n);
        XT_EQ(send(fd, f, len, 0), len);
    }
}

/* The peer sends n frames from `from` on; they must arrive intact, in order, with a time in between. */
static void receive_all(struct xw_dev *d, int peer, uint32_t from, uint32_t cnt) {
    struct xw_pkt p[XW_RX_BURST_MAX];
    struct pollfd pf = { .fd = d->ops->fd(d, 0), .events = POLLIN };
    uint32_t got = from, sent = from;
    uint64_t before = now_ns();
    while (got < from + cnt) {
        uint32_t more = from + cnt - sent < 256 ? from + cnt - sent : 256;
        if (got == sent) {
            peer_send(peer, sent, more);
            sent += more;
        }
        unsigned n = d->ops->rx_burst(d, p, XW_RX_BURST_MAX);
        for (unsigned i = 0; i < n; i++) {
            expect_frame(p[i].data, p[i].len, got++);
            XT_EQ(p[i].valid, XW_PKT_XDP);
            XT_TRUE(p[i].xdp_ns >= before && p[i].xdp_ns <= now_ns());
        }
        d->ops->rx_release(d, p, n);
        if (!n && poll(&pf, 1, 2000) != 1)
            XT_FAIL("only %u of %u frames came", got - from, cnt);
    }
    XT_EQ(d->ops->rx_burst(d, p, XW_RX_BURST_MAX), 0);
}

static void send_all(struct xw_dev *d, int peer, uint32_t from, uint32_t cnt) {
    uint8_t buf[2048];
    struct xw_txbuf b;
    uint32_t sent = from, got = from;
    struct pollfd pf = { .fd = peer, .events = POLLIN };
    while (got < from + cnt) {
        d->ops->tick(d, now_ns());
        for (unsigned i = 0; i < 100 && sent < from + cnt && !d->ops->tx_reserve(d, &b); i++)
            d->ops->tx_submit(d, &b, make_frame(b.data, sent++));
        int rc = d->ops->tx_flush(d);
        XT_TRUE(rc == XW_OK || rc == XW_EAGAIN);
        ssize_t n;
        bool any = false;
        while ((n = recv(peer, buf, sizeof buf, MSG_DONTWAIT)) >= 0) {
            expect_frame(buf, (uint32_t)n, got++);
            any = true;
        }
        if (!any && sent == from + cnt && poll(&pf, 1, 2000) != 1)
            XT_FAIL("only %u of %u frames arrived", got - from, cnt);
    }
}

static void both_ways(bool generic) {
    if (!set_up(1))
        return;
    struct steer s = attach(generic);
    struct xw_dev *d = open_dev(&s, 1, generic);
    struct xw_dev_caps caps;
    struct xw_dev_stats st;
    int peer = peer_open();
    d->ops->caps(d, &caps);
    XT_EQ(caps.zero_copy, false);
    receive_all(d, peer, 0, CNT);
    send_all(d, peer, 0, CNT);
    XT_EQ(d->ops->stats(d, &st), XW_OK);
    XT_EQ(st.rx_frames, CNT);
    XT_EQ(st.tx_frames, CNT);
    XT_EQ(st.tx_dropped + st.rx_bad + st.k_rx_dropped + st.k_rx_invalid + st.k_tx_invalid + st.k_rx_ring_full, 0);
    close_dev(d);
    close(peer);
    detach(&s);
}

XT_TEST(ten_thousand_each_way_native) { both_ways(false); }
XT_TEST(ten_thousand_each_way_generic) { both_ways(true); }

/* UDP of 64 flows spread over four queues: each flow in order, all queues used, one UMEM below. */
XT_TEST(four_queues_one_umem) {
    if (!set_up(4))
        return;
    struct steer s = attach(false);
    struct xw_dev *d = open_dev(&s, 4, false);
    struct xw_pkt p[XW_RX_BURST_MAX];
    int peer = peer_open();
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = { htonl(0x0a000002) } };
    int flows[64];
    XT_EQ(sh("ip addr add 10.0.0.1/24 dev " IF_B " && ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev " IF_B), 0);
    for (unsigned i = 0; i < 64; i++) {
        flows[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        XT_EQ(connect(flows[i], (struct sockaddr *)&to, sizeof to), 0);
    }
    uint32_t next[64] = { 0 }, got = 0, by_queue[4] = { 0 }, c[XW_FRAME_STATES];
    struct pollfd pf[4];
    for (unsigned i = 0; i < 4; i++)
        pf[i] = (struct pollfd){ .fd = d->ops->fd(d, i), .events = POLLIN };
    for (uint32_t sent = 0; got < CNT;) {
        for (uint32_t end = got == sent ? sent + 200 : sent; sent < end; sent++) {
            uint32_t said[2] = { sent % 64, sent / 64 };
            XT_EQ(send(flows[sent % 64], said, sizeof said, 0), sizeof said);
        }
        unsigned n = d->ops->rx_burst(d, p, XW_RX_BURST_MAX);
        for (unsigned i = 0; i < n; i++) {
            uint32_t flow, seq;
            XT_EQ(p[i].len, 50); /* Ethernet, IPv4, UDP, 8 bytes */
            memcpy(&flow, p[i].data + 42, 4);
            memcpy(&seq, p[i].data + 46, 4);
            XT_TRUE(flow < 64 && p[i].queue < 4);
            XT_EQ(seq, next[flow]++);
            by_queue[p[i].queue]++;
            got++;
        }
        d->ops->rx_release(d, p, n);
        if (!n && poll(pf, 4, 2000) < 1)
            XT_FAIL("only %u of %u frames came", got, CNT);
    }
    for (unsigned i = 0; i < 4; i++)
        XT_TRUE(by_queue[i] > 0);
    XT_TRUE(xw_xsk_frames(d, c) == 4 * (2 * 1024 + 32) + 2 * 256);
    send_all(d, peer, 0, 1000);
    close_dev(d);
    for (unsigned i = 0; i < 64; i++)
        close(flows[i]);
    close(peer);
    detach(&s);
}

/* Nobody reads while thousands arrive: what fits is kept in order, the rest is the kernel's to count, and it goes on
 * after. */
XT_TEST(overrun_and_recovery) {
    if (!set_up(1))
        return;
    struct steer s = attach(false);
    struct xw_dev *d = open_dev(&s, 1, false);
    struct xw_pkt p[XW_RX_BURST_MAX];
    struct xw_dev_stats st;
    int peer = peer_open();
    for (uint32_t round = 0; round < 3; round++) {
        peer_send(peer, 0, 5000);
        uint32_t got = 0;
        for (unsigned n; (n = d->ops->rx_burst(d, p, XW_RX_BURST_MAX)) != 0 && got < 1024;) {
            for (unsigned i = 0; i < n; i++)
                expect_frame(p[i].data, p[i].len, got++);
            d->ops->rx_release(d, p, n);
        }
        XT_EQ(got, 1024);
    }
    XT_EQ(d->ops->stats(d, &st), XW_OK);
    XT_TRUE(st.k_rx_ring_full + st.k_fill_empty + st.k_rx_dropped >= 3 * (5000 - 1024));
    receive_all(d, peer, 0, 500);
    close_dev(d);
    close(peer);
    detach(&s);
}

/* The largest packet of an MTU of 3000 in chunks of 4096, and through both wrappers. */
XT_TEST(large_frames_through_wrappers) {
    if (!set_up(1))
        return;
    XT_EQ(sh("ip link set " IF_A " mtu 3000 && ip link set " IF_B " mtu 3000"), 0);
    struct steer s = attach(false);
    struct xw_xsk_cfg cfg = { .ifindex = if_nametoindex(IF_A), .queue_cnt = 1, .frame_len = 4096, .rx_len = 64,
                              .tx_len = 64, .mtu = 3000, .meta_len = sizeof(struct xw_meta) };
    struct xw_dev *d = NULL, *faulty = NULL, *tap = NULL;
    const struct xw_fault_cfg fc = { .frames = 64 };
    const struct xw_tap_cfg tc = { .fd = memfd_create("xwdev", MFD_CLOEXEC) };
    XT_EQ(xw_xsk_open(&cfg, &d), XW_OK);
    XT_EQ(xw_fault_open(d, &fc, &faulty), XW_OK);
    XT_EQ(xw_tap_open(faulty, &tc, &tap), XW_OK);
    uint32_t q = 0;
    int fd = xw_xsk_fd(d, 0), peer = peer_open();
    XT_EQ(bpf_map_update_elem(s.map, &q, &fd, BPF_ANY), 0);
    uint8_t f[3014], buf[4096];
    struct pollfd pf = { .fd = fd, .events = POLLIN }, pp = { .fd = peer, .events = POLLIN };
    for (unsigned i = 0; i < 200; i++) {
        struct xw_pkt p;
        struct xw_txbuf b;
        make_frame(f, i);
        memset(f + 18, (int)i, sizeof f - 18);
        XT_EQ(send(peer, f, sizeof f, 0), sizeof f);
        XT_EQ(poll(&pf, 1, 2000), 1);
        tap->ops->tick(tap, now_ns());
        XT_EQ(tap->ops->rx_burst(tap, &p, 1), 1);
        XT_EQ(p.len, sizeof f);
        XT_MEM(p.data, f, sizeof f);
        XT_EQ(p.valid, XW_PKT_XDP);
        tap->ops->rx_release(tap, &p, 1);
        XT_EQ(tap->ops->tx_reserve(tap, &b), XW_OK);
        memcpy(b.data, f, sizeof f);
        tap->ops->tx_submit(tap, &b, sizeof f);
        XT_EQ(tap->ops->tx_flush(tap), XW_OK);
        XT_EQ(poll(&pp, 1, 2000), 1);
        XT_EQ(recv(peer, buf, sizeof buf, 0), sizeof f);
        XT_MEM(buf, f, sizeof f);
    }
    XT_EQ(xw_tap_sync(tap), XW_OK);
    XT_EQ(lseek(tc.fd, 0, SEEK_END), 28 + 32 + 400 * (28 + 3016 + 8 + 8));
    xw_dev_close(tap);
    close(tc.fd);
    close(peer);
    detach(&s);
}

/* Down and up again in between: transmit says that the link is gone, receive idles, and afterwards both work. */
XT_TEST(link_down_and_up) {
    if (!set_up(1))
        return;
    struct steer s = attach(false);
    struct xw_dev *d = open_dev(&s, 1, false);
    struct xw_pkt p[4];
    struct xw_txbuf b;
    int peer = peer_open();
    receive_all(d, peer, 0, 500);
    send_all(d, peer, 0, 500);
    XT_EQ(sh("ip link set " IF_A " down"), 0);
    XT_EQ(d->ops->tx_reserve(d, &b), XW_OK);
    d->ops->tx_submit(d, &b, make_frame(b.data, 500));
    XT_EQ(d->ops->tx_flush(d), XW_ESYS);
    XT_EQ(errno, ENETDOWN);
    XT_EQ(d->ops->rx_burst(d, p, 4), 0);
    XT_EQ(sh("ip link set " IF_A " up"), 0);
    while (recv(peer, p, sizeof p, MSG_DONTWAIT) >= 0 || errno == ENETDOWN) { } /* AF_PACKET reports the link too */
    receive_all(d, peer, 500, 500);
    d->ops->tick(d, now_ns());
    XT_EQ(d->ops->tx_flush(d), XW_OK); /* frame 500 goes out now */
    uint8_t buf[2048];
    struct pollfd pf = { .fd = peer, .events = POLLIN };
    XT_EQ(poll(&pf, 1, 2000), 1);
    ssize_t n = recv(peer, buf, sizeof buf, 0);
    XT_TRUE(n > 0);
    expect_frame(buf, (uint32_t)n, 500);
    send_all(d, peer, 501, 500);
    close_dev(d);
    close(peer);
    detach(&s);
}

/* The interface vanishes under the device: an error for the sender, silence for the receiver, and an orderly end. */
XT_TEST(interface_deleted_under_it) {
    if (!set_up(1))
        return;
    struct steer s = attach(false);
    struct xw_dev *d = open_dev(&s, 1, false);
    struct xw_pkt p[4];
    struct xw_txbuf b;
    XT_EQ(sh("ip link del " IF_A), 0);
    XT_EQ(d->ops->tx_reserve(d, &b), XW_OK);
    d->ops->tx_submit(d, &b, make_frame(b.data, 1));
    XT_EQ(d->ops->tx_flush(d), XW_ESYS);
    XT_EQ(errno, ENXIO);
    XT_EQ(d->ops->rx_burst(d, p, 4), 0);
    xw_dev_close(d);
    detach(&s);
}

/* Closed and opened at once, many times: the kernel takes the old socket down in the background. */
XT_TEST(reopened_at_once) {
    if (!set_up(2))
        return;
    struct steer s = attach(false);
    int peer = peer_open();
    for (uint32_t i = 0; i < 20; i++) {
        struct xw_dev *d = open_dev(&s, 2, false);
        send_all(d, peer, i, 50);
        close_dev(d);
    }
    close(peer);
    detach(&s);
}

XT_TEST(refusals_of_the_kernel_name_the_step) {
    if (!set_up(1))
        return;
    struct xw_xsk_cfg cfg = { .ifindex = 4711, .queue_cnt = 1, .frame_len = 2048, .rx_len = 64, .tx_len = 64,
                              .mtu = 1500 };
    struct xw_dev *d = NULL, *first = NULL;
    int err = 0;
    XT_EQ(xw_xsk_open(&cfg, &d), XW_ESYS);
    XT_TRUE(strstr(xw_setup_error(&err), "bind an AF_XDP socket to queue 0 of interface 4711") != NULL);
    XT_EQ(err, ENODEV);
    cfg.ifindex = if_nametoindex(IF_A);
    cfg.queue_first = 5;
    XT_EQ(xw_xsk_open(&cfg, &d), XW_ESYS);
    xw_setup_error(&err);
    XT_EQ(err, EINVAL);
    cfg.queue_first = 0;
    cfg.zero_copy = XW_ZC_ON;
    XT_EQ(xw_xsk_open(&cfg, &d), XW_ESYS);
    xw_setup_error(&err);
    XT_EQ(err, EOPNOTSUPP); /* veth has no zero-copy */
    cfg.zero_copy = XW_ZC_AUTO;
    cfg.huge_pages = cfg.busy_poll = 1; /* whether they are had is said, not an error */
    XT_EQ(xw_xsk_open(&cfg, &first), XW_OK);
    XT_EQ(xw_xsk_busy_poll(first), 1);
    XT_EQ(xw_xsk_open(&cfg, &d), XW_ESYS);
    xw_setup_error(&err);
    XT_EQ(err, EBUSY);
    xw_dev_close(first);
    XT_EQ(seteuid(65534), 0);
    XT_EQ(xw_xsk_open(&cfg, &d), XW_ESYS);
    XT_TRUE(strstr(xw_setup_error(&err), "open an AF_XDP socket") != NULL);
    XT_EQ(err, EPERM);
    XT_EQ(seteuid(0), 0);
}

XT_MAIN(XT_RUN(ten_thousand_each_way_native), XT_RUN(ten_thousand_each_way_generic), XT_RUN(four_queues_one_umem),
        XT_RUN(overrun_and_recovery), XT_RUN(large_frames_through_wrappers), XT_RUN(link_down_and_up),
        XT_RUN(interface_deleted_under_it), XT_RUN(reopened_at_once), XT_RUN(refusals_of_the_kernel_name_the_step))
