/* tcp_cat: standard input and output over one TCP connection of the stack in a box (xw_stack.h), not the kernel's.
 *
 *     tcp_cat tun IFACE 10.0.0.2/24 listen 80             the kernel's end of the TUN interface has another address
 *     tcp_cat tap IFACE 10.0.0.2/24 connect 10.0.0.1 80
 *     tcp_cat packet eth1 10.0.0.2/24 connect 10.9.0.1 80 10.0.0.1       raw Ethernet, a MAC of its own; gateway
 *
 * The end of the input closes our half of the connection; the program ends when the peer has closed its half. Status 0:
 * both in order, 1: the connection failed, 2: it could not begin. */
#include "xw_stack.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct cat {
    struct xw_stack *stack;
    int dev;                 /* descriptor of the device: one read or write is one packet */
    int listener, sock;      /* of the stack; -1: none */
    uint8_t in[65536];       /* read from standard input and not taken by the stack yet */
    size_t in_off, in_len;
    bool in_over;            /* standard input ended and the FIN is queued */
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what, int err) {
    fprintf(stderr, "tcp_cat: %s: %s\n", what, strerror(err));
    exit(2);
}

static int open_tun(const char *name, short mode) {
    struct ifreq r = { .ifr_flags = (short)(mode | IFF_NO_PI) };
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    strncpy(r.ifr_name, name, IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r))
        die(name, errno);
    return fd;
}

static int open_packet(const char *name) {
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL)), on = 1;
    struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
                             .sll_ifindex = (int)if_nametoindex(name) };
    struct packet_mreq promisc = { .mr_ifindex = a.sll_ifindex, .mr_type = PACKET_MR_PROMISC }; /* our own MAC */
    if (fd < 0 || !a.sll_ifindex || bind(fd, (struct sockaddr *)&a, sizeof a) ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof promisc))
        die(name, errno);
    return fd;
}

static uint32_t address(const char *text) {
    struct in_addr a;
    if (inet_pton(AF_INET, text, &a) != 1)
        die(text, EINVAL);
    return ntohl(a.s_addr);
}

static void make_stack(struct cat *c, char *where, bool ethernet, const char *gateway) {
    struct xw_stack_cfg cfg;
    char *slash = strchr(where, '/');
    int bits = slash ? atoi(slash + 1) : 24;
    if (slash)
        *slash = 0;
    xw_stack_cfg_default(&cfg);
    cfg.ip = address(where);
    cfg.mask = bits > 0 && bits <= 32 ? 0xffffffffu << (32 - bits) : 0;
    cfg.gateway = gateway ? address(gateway) : 0;
    cfg.ethernet = ethernet;
    cfg.rcvbuf_max = cfg.sndbuf_max = 1 << 18;
    cfg.max_sockets = 4;
    if (getrandom(cfg.seed, sizeof cfg.seed, 0) != sizeof cfg.seed)
        die("getrandom", errno);
    cfg.mac[0] = 2; /* locally administered, of this address */
    memcpy(cfg.mac + 2, &cfg.ip, 4);
    size_t len = xw_stack_size(&cfg);
    void *mem = len ? aligned_alloc(64, (len + 63) / 64 * 64) : NULL;
    int rc = mem ? xw_stack_create(mem, len, &cfg, now_ns(), &c->stack) : XW_STACK_EINVAL;
    if (rc)
        die("the stack's configuration", -rc);
}

static void begin(struct cat *c, int argc, char **argv) {
    int fd = xw_stack_socket(c->stack), rc = XW_STACK_EINVAL;
    bool listens = !strcmp(argv[0], "listen");
    c->listener = c->sock = -1;
    if (listens) {
        rc = xw_stack_bind(c->stack, fd, 0, (uint16_t)atoi(argv[1]));
        rc = rc ? rc : xw_stack_listen(c->stack, fd, 1);
        c->listener = fd;
    } else if (argc > 2) {
        rc = xw_stack_connect(c->stack, fd, address(argv[1]), (uint16_t)atoi(argv[2]), now_ns());
        c->sock = fd;
    }
    if (rc && rc != XW_STACK_EINPROGRESS)
        die(argv[0], -rc);
}

static int put(void *user, const void *pkt, size_t len) {
    const struct cat *c = user;
    return write(c->dev, pkt, len) < 0 && errno != ENOBUFS && errno != EAGAIN; /* full: lost, and sent again by TCP */
}

static void packets(struct cat *c) {
    uint8_t buf[2048];
    ssize_t n;
    for (int i = 0; i < 256 && (n = read(c->dev, buf, sizeof buf)) > 0; i++)
        xw_stack_input(c->stack, buf, (size_t)n, now_ns());
    xw_stack_tick(c->stack, now_ns());
    if (c->sock < 0 && (c->sock = xw_stack_accept(c->stack, c->listener, NULL, NULL)) < 0)
        c->sock = -1;
}

static void input(struct cat *c) {
    if (c->in_off == c->in_len && !c->in_over) {
        ssize_t n = read(0, c->in, sizeof c->in);
        c->in_off = 0;
        c->in_len = n > 0 ? (size_t)n : 0;
        if (n == 0 && !xw_stack_shutdown(c->stack, c->sock, XW_STACK_SHUT_WR, now_ns()))
            c->in_over = true;
    }
    int64_t n = xw_stack_send(c->stack, c->sock, c->in + c->in_off, c->in_len - c->in_off, now_ns());
    c->in_off += n > 0 ? (size_t)n : 0;
}

/* What has arrived goes to standard output; -1: go on, else the program's status. */
static int output(struct cat *c) {
    static uint8_t buf[65536];
    int64_t n;
    while ((n = xw_stack_recv(c->stack, c->sock, buf, sizeof buf, 0, now_ns())) > 0)
        for (ssize_t at = 0, w; at < n; at += w)
            if ((w = write(1, buf + at, (size_t)(n - at))) < 0)
                return 1;
    if (n == XW_STACK_EAGAIN || (n == 0 && !c->in_over))
        return -1;
    if (n < 0)
        fprintf(stderr, "tcp_cat: %s\n", strerror((int)-n));
    return n < 0;
}

static int run(struct cat *c) {
    static uint8_t room[2048];
    int status = -1;
    for (;;) {
        packets(c);
        int ready = c->sock >= 0 ? xw_stack_poll(c->stack, c->sock) : 0;
        if (ready & (XW_STACK_POLLIN | XW_STACK_POLLERR) && status < 0)
            status = output(c);
        if (status > 0)
            return status;
        bool want_in = c->sock >= 0 && ready & XW_STACK_POLLOUT && !c->in_over;
        struct pollfd p[2] = { { .fd = c->dev, .events = POLLIN }, { .fd = want_in ? 0 : -1, .events = POLLIN } };
        if (want_in && (c->in_off < c->in_len || (poll(p + 1, 1, 0) > 0 && p[1].revents)))
            input(c);
        xw_stack_flush(c->stack, room, sizeof room, put, c, now_ns());
        int64_t unsent = 0;
        if (status == 0 && (xw_stack_getopt(c->stack, c->sock, XW_STACK_OUTQ, &unsent) || !unsent) &&
            xw_stack_poll(c->stack, c->sock) & XW_STACK_POLLHUP) {
            struct xw_stack_info i;
            xw_stack_info(c->stack, c->sock, &i);
            if (i.state == 6 || i.state == 7) /* TIME-WAIT or closed: the peer has our FIN */
                return 0;
        }
        uint64_t now = now_ns(), due = xw_stack_next_deadline(c->stack);
        uint64_t ms = due <= now ? 0 : (due - now) / 1000000 + 1;
        poll(p, 2, ms > 1000 ? 1000 : (int)ms);
    }
}

int main(int argc, char **argv) {
    static struct cat c;
    bool tun = argc > 5 && !strcmp(argv[1], "tun"), packet = argc > 5 && !strcmp(argv[1], "packet");
    if (argc < 6 || (!tun && !packet && strcmp(argv[1], "tap"))) {
        fprintf(stderr, "usage: tcp_cat tun|tap|packet IFACE IP/BITS listen PORT | connect IP PORT [GATEWAY]\n");
        return 2;
    }
    c.dev = packet ? open_packet(argv[2]) : open_tun(argv[2], tun ? IFF_TUN : IFF_TAP);
    make_stack(&c, argv[3], !tun, argc > 7 ? argv[7] : NULL);
    begin(&c, argc - 4, argv + 4);
    return run(&c);
}
