/* The stack in a box: two of them back to back, every call that a user makes and what it answers. */
#include "stack/icmp_route.h"
#include "stack/stack_priv.h"
#include "xt_stack.h"

#define S 1000000000ull

XT_TEST(open_and_accept) {
    struct xt_link l;
    uint32_t ip, peer;
    uint16_t port, peer_port;
    xt_link_make(&l, false);
    int ls = xw_stack_socket(l.b), c = xw_stack_socket(l.a);
    XT_EQ(xw_stack_poll(l.a, c), XW_STACK_POLLOUT | XW_STACK_POLLHUP);
    XT_EQ(xw_stack_bind(l.b, ls, 0, 80), 0);
    XT_EQ(xw_stack_accept(l.b, ls, NULL, NULL), XW_STACK_EINVAL);
    XT_EQ(xw_stack_listen(l.b, ls, 1), 0);
    XT_EQ(xt_opt(l.b, ls, XW_STACK_ACCEPTCONN), 1);
    XT_EQ(xt_state(l.b, ls), 10);
    XT_EQ(xw_stack_accept(l.b, ls, NULL, NULL), XW_STACK_EAGAIN);
    XT_EQ(xw_stack_poll(l.b, ls), 0);
    XT_EQ(xw_stack_connect(l.a, c, XT_B, 80, l.now), XW_STACK_EINPROGRESS);
    XT_EQ(xw_stack_connect(l.a, c, XT_B, 80, l.now), XW_STACK_EALREADY);
    XT_EQ(xw_stack_send(l.a, c, "x", 1, l.now), XW_STACK_EAGAIN);
    XT_EQ(xw_stack_poll(l.a, c), 0);
    xt_link_settle(&l);
    XT_EQ(xw_stack_poll(l.a, c), XW_STACK_POLLOUT);
    XT_EQ(xw_stack_poll(l.b, ls), XW_STACK_POLLIN);
    int s = xw_stack_accept(l.b, ls, &ip, &port);
    XT_EQ(s, 1);
    XT_EQ(ip, XT_A);
    XT_EQ(xw_stack_name(l.a, c, &ip, &port, &peer, &peer_port), 0);
    XT_EQ(ip, XT_A);
    XT_TRUE(port >= 32768);
    XT_EQ(peer, XT_B);
    XT_EQ(peer_port, 80);
    XT_EQ(xw_stack_accept(l.b, ls, NULL, NULL), XW_STACK_EAGAIN);
    xt_link_free(&l);
}

XT_TEST(backlog_holds_syns_back) {
    struct xt_link l;
    xt_link_make(&l, false);
    int ls = xw_stack_socket(l.b), c[3];
    XT_EQ(xw_stack_bind(l.b, ls, XT_B, 80), 0);
    XT_EQ(xw_stack_listen(l.b, ls, 2), 0);
    for (int i = 0; i < 3; i++) {
        c[i] = xw_stack_socket(l.a);
        XT_EQ(xw_stack_connect(l.a, c[i], XT_B, 80, l.now), XW_STACK_EINPROGRESS);
        xt_link_settle(&l);
    }
    XT_EQ(xt_state(l.a, c[1]), XW_TCP_ESTABLISHED);
    XT_EQ(xt_state(l.a, c[2]), XW_TCP_SYN_SENT);
    XT_TRUE(xw_stack_accept(l.b, ls, NULL, NULL) > 0); /* room for one more: its SYN waits already, or comes again */
    xt_link_after(&l, 2 * S);
    XT_EQ(xt_state(l.a, c[2]), XW_TCP_ESTABLISHED);
    XT_EQ(xw_stack_close(l.b, ls, l.now), 0); /* those who wait are reset, the accepted one is not */
    xt_link_settle(&l);
    XT_EQ(xt_state(l.a, c[0]), XW_TCP_ESTABLISHED);
    XT_EQ(xt_opt(l.a, c[2], XW_STACK_SO_ERROR), XW_STACK_ECONNRESET);
    xt_link_free(&l);
}

static void bytes_both_ways(bool ethernet) {
    struct xt_link l;
    static uint8_t in[200000], out[200000];
    int c, s;
    xt_link_make(&l, ethernet);
    xt_link_open(&l, &c, &s);
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 7 + i / 251);
    size_t sent[2] = { 0 }, got[2] = { 0 };
    struct xw_stack *st[2] = { l.a, l.b };
    int fd[2] = { c, s };
    while (got[0] < sizeof in || got[1] < sizeof in) {
        for (int d = 0; d < 2; d++) {
            int64_t n = xw_stack_send(st[d], fd[d], out + sent[d], sizeof out - sent[d], l.now);
            XT_TRUE(n > 0 || n == XW_STACK_EAGAIN || sent[d] == sizeof out);
            sent[d] += n > 0 ? (size_t)n : 0;
            n = xw_stack_recv(st[d], fd[d], in, sizeof in, 0, l.now);
            XT_TRUE(n > 0 || n == XW_STACK_EAGAIN);
            if (n > 0) {
                XT_MEM(in, out + got[d], (size_t)n);
                got[d] += (size_t)n;
            }
        }
        xt_link_after(&l, S / 1000);
        XT_TRUE(l.now < 1100 * S);
    }
    XT_EQ(xt_opt(l.a, c, XW_STACK_OUTQ), 0);
    xt_link_free(&l);
}
XT_TEST(data_over_ip) { bytes_both_ways(false); }
XT_TEST(data_over_ethernet) { bytes_both_ways(true); }

XT_TEST(half_close_and_time_wait) {
    struct xt_link l;
    char buf[8];
    int c, s;
    xt_link_make(&l, false);
    xt_link_open(&l, &c, &s);
    XT_EQ(xw_stack_send(l.a, c, "last", 4, l.now), 4);
    XT_EQ(xw_stack_shutdown(l.a, c, XW_STACK_SHUT_WR, l.now), 0);
    XT_EQ(xw_stack_send(l.a, c, "x", 1, l.now), XW_STACK_EPIPE);
    xt_link_settle(&l);
    XT_EQ(xw_stack_poll(l.b, s), XW_STACK_POLLIN | XW_STACK_POLLRDHUP | XW_STACK_POLLOUT);
    XT_EQ(xw_stack_recv(l.b, s, buf, 2, XW_STACK_PEEK, l.now), 2);
    XT_EQ(xt_opt(l.b, s, XW_STACK_INQ), 4);
    XT_EQ(xw_stack_recv(l.b, s, buf, sizeof buf, 0, l.now), 4);
    XT_MEM(buf, "last", 4);
    XT_EQ(xw_stack_recv(l.b, s, buf, sizeof buf, 0, l.now), 0);
    XT_EQ(xw_stack_send(l.b, s, "more", 4, l.now), 4); /* the other half is open */
    xt_link_settle(&l);
    XT_EQ(xw_stack_recv(l.a, c, buf, sizeof buf, 0, l.now), 4);
    XT_EQ(xw_stack_close(l.b, s, l.now), 0);
    XT_EQ(xw_stack_poll(l.b, s), XW_STACK_POLLNVAL);
    XT_EQ(xw_stack_recv(l.b, s, buf, 1, 0, l.now), XW_STACK_EBADF);
    xt_link_settle(&l);
    XT_EQ(xt_state(l.a, c), XW_TCP_TIME_WAIT);
    XT_TRUE(xw_stack_poll(l.a, c) & XW_STACK_POLLHUP);
    XT_EQ(xw_stack_recv(l.a, c, buf, sizeof buf, 0, l.now), 0);
    XT_EQ(xt_opt(l.a, c, XW_STACK_SO_ERROR), 0);
    XT_EQ(xw_stack_close(l.a, c, l.now), 0);
    XT_EQ(xw_stack_next_deadline(l.a), l.now + 60 * S); /* TIME-WAIT goes on without a socket */
    xt_link_after(&l, 61 * S);
    XT_EQ(xw_stack_next_deadline(l.a), UINT64_MAX);
    xt_link_free(&l);
}

XT_TEST(close_delivers_what_was_sent) {
    struct xt_link l;
    static char buf[70000];
    int c, s;
    int64_t n, all = 0;
    xt_link_make(&l, false);
    xt_link_open(&l, &c, &s);
    XT_EQ(xw_stack_send(l.a, c, buf, 60000, l.now), 60000);
    XT_EQ(xw_stack_close(l.a, c, l.now), 0);
    XT_EQ(xw_stack_socket(l.a), c); /* the number is free at once */
    for (int i = 0; i < 100; i++) {
        xt_link_after(&l, S / 100);
        if ((n = xw_stack_recv(l.b, s, buf, sizeof buf, 0, l.now)) > 0)
            all += n;
    }
    XT_EQ(all, 60000);
    XT_EQ(xw_stack_recv(l.b, s, buf, 1, 0, l.now), 0);
    XT_EQ(xt_state(l.b, s), XW_TCP_CLOSE_WAIT);
    xt_link_after(&l, 61 * S); /* a closed socket does not wait for ever for the other side's FIN */
    XT_EQ(xt_opt(l.b, s, XW_STACK_SO_ERROR), XW_STACK_ECONNRESET);
    xt_link_free(&l);
}

/* Each way to close that loses data tells the peer by a reset. */
XT_TEST(resets) {
    for (int how = 0; how < 4; how++) {
        struct xt_link l;
        char buf[8];
        int c, s;
        xt_link_make(&l, false);
        xt_link_open(&l, &c, &s);
        XT_EQ(xw_stack_send(l.b, s, "unread", 6, l.now), 6);
        xt_link_settle(&l);
        if (how) /* not for the first: close with unread data */
            XT_EQ(xw_stack_recv(l.a, c, buf, 8, 0, l.now), 6);
        if (how == 1)
            XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_LINGER, 0, l.now), 0);
        if (how == 2) {
            XT_EQ(xw_stack_abort(l.a, c, l.now), 0);
            XT_EQ(xw_stack_abort(l.a, c, l.now), XW_STACK_ENOTCONN);
            XT_EQ(xw_stack_recv(l.a, c, buf, 8, 0, l.now), XW_STACK_ECONNABORTED);
            XT_EQ(xw_stack_recv(l.a, c, buf, 8, 0, l.now), 0);
        } else if (how == 3) { /* data for a reader that left */
            XT_EQ(xw_stack_shutdown(l.a, c, XW_STACK_SHUT_RD, l.now), 0);
            XT_EQ(xw_stack_recv(l.a, c, buf, 8, 0, l.now), 0);
            XT_EQ(xw_stack_send(l.b, s, "late", 4, l.now), 4);
        } else {
            XT_EQ(xw_stack_close(l.a, c, l.now), 0);
        }
        xt_link_settle(&l);
        XT_EQ(xw_stack_poll(l.b, s), XW_STACK_POLLIN | XW_STACK_POLLOUT | XW_STACK_POLLERR | XW_STACK_POLLHUP |
                                     XW_STACK_POLLRDHUP);
        XT_EQ(xw_stack_send(l.b, s, "x", 1, l.now), XW_STACK_ECONNRESET);
        XT_EQ(xw_stack_send(l.b, s, "x", 1, l.now), XW_STACK_EPIPE);
        XT_EQ(xw_stack_recv(l.b, s, buf, 1, 0, l.now), 0);
        XT_EQ(xw_stack_close(l.b, s, l.now), 0);
        xt_link_free(&l);
    }
}

/* Found by fuzzing: what shutdown answers while the handshake goes on is what poll says. */
XT_TEST(shutdown_while_connecting) {
    struct xt_link l;
    char buf[4];
    xt_link_make(&l, false);
    int c = xw_stack_socket(l.a), d = xw_stack_socket(l.a);
    XT_EQ(xw_stack_connect(l.a, c, XT_B, 80, l.now), XW_STACK_EINPROGRESS);
    XT_EQ(xw_stack_shutdown(l.a, c, XW_STACK_SHUT_RD, l.now), 0);
    XT_EQ(xw_stack_recv(l.a, c, buf, 4, 0, l.now), 0);
    XT_EQ(xw_stack_poll(l.a, c), XW_STACK_POLLIN | XW_STACK_POLLRDHUP);
    XT_EQ(xw_stack_connect(l.a, d, XT_B, 80, l.now), XW_STACK_EINPROGRESS);
    XT_EQ(xw_stack_shutdown(l.a, d, XW_STACK_SHUT_WR, l.now), 0); /* there is nothing to wait for any more */
    XT_EQ(xt_state(l.a, d), XW_TCP_CLOSED);
    XT_EQ(xt_opt(l.a, d, XW_STACK_SO_ERROR), XW_STACK_ECONNABORTED);
    xt_link_free(&l);
}

XT_TEST(linger_ends_what_is_not_delivered) {
    struct xt_link l;
    int c, s;
    xt_link_make(&l, false);
    xt_link_open(&l, &c, &s);
    XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_LINGER, (int64_t)(3 * S), l.now), 0);
    l.cut = true;
    XT_EQ(xw_stack_send(l.a, c, "x", 1, l.now), 1);
    XT_EQ(xw_stack_close(l.a, c, l.now), 0);
    xt_link_after(&l, 2 * S);
    l.cut = false;
    unsigned before = l.packets;
    xt_link_after(&l, S / 1000);
    XT_EQ(l.packets, before);
    l.cut = true;
    xt_link_after(&l, S);
    struct xw_ip4_hdr ip;
    struct xw_tcp_hdr tcp;
    xt_link_last(&l, &ip, &tcp);
    XT_TRUE(tcp.flags & XW_TCP_RST);
    XT_EQ(xw_stack_next_deadline(l.a), UINT64_MAX);
    xt_link_free(&l);
}

XT_TEST(linger_is_over_when_all_is_delivered) {
    struct xt_link l;
    char buf[4];
    int c, s;
    xt_link_make(&l, false);
    xt_link_open(&l, &c, &s);
    XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_LINGER, (int64_t)(3 * S), l.now), 0);
    XT_EQ(xw_stack_send(l.a, c, "x", 1, l.now), 1);
    XT_EQ(xw_stack_close(l.a, c, l.now), 0);
    xt_link_after(&l, 10 * S); /* the peer keeps its half open */
    XT_EQ(xt_state(l.b, s), XW_TCP_CLOSE_WAIT);
    XT_EQ(xw_stack_recv(l.b, s, buf, 4, 0, l.now), 1);
    XT_EQ(xw_stack_close(l.b, s, l.now), 0);
    xt_link_after(&l, 61 * S);
    XT_EQ(xw_stack_next_deadline(l.a), UINT64_MAX);
    XT_EQ(xw_stack_next_deadline(l.b), UINT64_MAX);
    xt_link_free(&l);
}

/* A SYN that waits for its neighbour is the first thing out when it answers, and is gone with its socket. */
XT_TEST(a_syn_waits_for_its_neighbour) {
    for (int closed = 0; closed < 2; closed++) {
        struct xt_link l;
        uint8_t arp[2000], out[2000];
        xt_link_make(&l, true);
        while (xw_stack_output(l.a, out, sizeof out, l.now) | xw_stack_output(l.b, out, sizeof out, l.now)) {
        }
        int c = xw_stack_socket(l.a);
        XT_EQ(xw_stack_connect(l.a, c, XT_B, 80, l.now), XW_STACK_EINPROGRESS);
        XT_EQ(xw_stack_output(l.a, out, sizeof out, l.now), 60); /* who has 10.0.0.2? */
        XT_EQ(out[13], 6);
        XT_EQ(xw_stack_output(l.a, arp, sizeof arp, l.now), 0);
        XT_EQ(xw_stack_input(l.b, out, 60, l.now), 0);
        XT_EQ(xw_stack_output(l.b, out, sizeof out, l.now), 60);
        if (closed)
            XT_EQ(xw_stack_close(l.a, c, l.now), 0);
        XT_EQ(xw_stack_input(l.a, out, 60, l.now), 0);
        XT_EQ(xw_stack_output(l.a, out, sizeof out, l.now), closed ? 0 : 14 + 20 + 40);
        xt_link_free(&l);
    }
}

XT_TEST(refused_timed_out_and_unreachable) {
    struct xt_link l;
    xt_link_make(&l, false);
    int c = xw_stack_socket(l.a);
    XT_EQ(xw_stack_connect(l.a, c, XT_B, 81, l.now), XW_STACK_EINPROGRESS);
    xt_link_settle(&l);
    XT_EQ(xw_stack_poll(l.a, c) & XW_STACK_POLLERR, XW_STACK_POLLERR);
    XT_EQ(xt_opt(l.a, c, XW_STACK_SO_ERROR), XW_STACK_ECONNREFUSED);
    XT_EQ(xt_opt(l.a, c, XW_STACK_SO_ERROR), 0);
    int d = xw_stack_socket(l.a);
    XT_EQ(xw_stack_setopt(l.a, d, XW_STACK_SYN_RETRIES, 1, l.now), 0);
    XT_EQ(xw_stack_connect(l.a, d, 0x0a000063, 80, l.now), XW_STACK_EINPROGRESS);
    xt_link_after(&l, 4 * S);
    XT_EQ(xw_stack_connect(l.a, d, 0x0a000063, 80, l.now), XW_STACK_ETIMEDOUT);
    xt_link_free(&l);
    xt_link_make(&l, true); /* with ARP: nobody answers for this address */
    c = xw_stack_socket(l.a);
    XT_EQ(xw_stack_connect(l.a, c, 0x0a000063, 80, l.now), XW_STACK_EINPROGRESS);
    xt_link_after(&l, 5 * S);
    XT_EQ(xt_opt(l.a, c, XW_STACK_SO_ERROR), XW_STACK_EHOSTUNREACH);
    int e = xw_stack_socket(l.a);
    XT_EQ(xw_stack_connect(l.a, e, 0x08080808, 80, l.now), XW_STACK_ENETUNREACH); /* no gateway */
    xt_link_free(&l);
}

XT_TEST(addresses_of_nobody_are_refused) {
    static const uint32_t bad[] = { 0, 0xffffffffu, 0xe0000001u, 0x7f000001u, 0x0a0000ffu, 0x0a000000u, XT_A,
                                    0xf0000001u };
    struct xt_link l;
    xt_link_make(&l, false);
    int c = xw_stack_socket(l.a);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        XT_EQ(xw_stack_connect(l.a, c, bad[i], 80, l.now), XW_STACK_ENETUNREACH);
    XT_EQ(xw_stack_connect(l.a, c, XT_B, 0, l.now), XW_STACK_EINVAL);
    XT_EQ(xw_stack_bind(l.a, c, 0x0a000003, 80), XW_STACK_EADDRNOTAVAIL);
    XT_EQ(l.packets, 0);
    xt_link_free(&l);
}

XT_TEST(bind_and_reuse) {
    struct xt_link l;
    uint16_t port;
    xt_link_make(&l, false);
    int a = xw_stack_socket(l.a), b = xw_stack_socket(l.a), c = xw_stack_socket(l.a);
    XT_EQ(xw_stack_bind(l.a, a, 0, 80), 0);
    XT_EQ(xw_stack_bind(l.a, a, 0, 81), XW_STACK_EINVAL);
    XT_EQ(xw_stack_bind(l.a, b, XT_A, 80), XW_STACK_EADDRINUSE);
    XT_EQ(xw_stack_setopt(l.a, a, XW_STACK_REUSEADDR, 1, l.now), 0);
    XT_EQ(xw_stack_setopt(l.a, b, XW_STACK_REUSEADDR, 1, l.now), 0);
    XT_EQ(xw_stack_bind(l.a, b, XT_A, 80), 0);
    XT_EQ(xw_stack_listen(l.a, a, 1), 0);
    XT_EQ(xw_stack_setopt(l.a, c, XW_STACK_REUSEADDR, 1, l.now), 0);
    XT_EQ(xw_stack_bind(l.a, c, 0, 80), XW_STACK_EADDRINUSE); /* one listens */
    XT_EQ(xw_stack_bind(l.a, c, 0, 0), 0);
    XT_EQ(xw_stack_name(l.a, c, NULL, &port, NULL, NULL), 0);
    XT_TRUE(port >= 32768);
    XT_EQ(xw_stack_shutdown(l.a, c, XW_STACK_SHUT_WR, l.now), XW_STACK_ENOTCONN);
    for (int i = 3; i < 8; i++)
        XT_EQ(xw_stack_socket(l.a), i);
    XT_EQ(xw_stack_socket(l.a), XW_STACK_EMFILE);
    XT_EQ(xw_stack_close(l.a, 5, l.now), 0);
    XT_EQ(xw_stack_socket(l.a), 5);
    XT_EQ(xw_stack_close(l.a, -1, l.now), XW_STACK_EBADF);
    XT_EQ(xw_stack_close(l.a, 8, l.now), XW_STACK_EBADF);
    xt_link_free(&l);
}

XT_TEST(configurations) {
    struct xt_link l;
    struct xw_stack *s;
    static _Alignas(16) uint8_t mem[64];
    xt_link_cfg(&l, false);
    struct xw_stack_cfg c = l.cfg;
    c.ip = XT_A;
    XT_EQ(xw_stack_create(mem, sizeof mem, &c, 0, &s), XW_STACK_EINVAL);
    c.rcvbuf_max = 3000;
    XT_EQ(xw_stack_size(&c), 0);
    c = l.cfg, c.max_sockets = 0;
    XT_EQ(xw_stack_size(&c), 0);
    c = l.cfg, c.mtu = 67;
    XT_EQ(xw_stack_size(&c), 0);
    c = l.cfg, c.tx_segments = 31;
    XT_EQ(xw_stack_size(&c), 0);
    xt_link_start(&l);
    uint8_t small[1499];
    XT_EQ(xw_stack_connect(l.a, xw_stack_socket(l.a), XT_B, 80, l.now), XW_STACK_EINPROGRESS);
    XT_EQ(xw_stack_output(l.a, small, sizeof small, l.now), 0); /* less than a packet: nothing is taken */
    xt_link_settle(&l);
    XT_TRUE(l.packets > 0);
    XT_TRUE(xw_stack_drops(l.b, NULL, 0) > XW_DROP_TCP_NO_CONN);
    XT_STR(xw_stack_drop_name(XW_DROP_TCP_NO_CONN), "TCP_NO_CONN");
    xt_link_free(&l);
}

static int count(void *user, const void *pkt, size_t len) {
    unsigned *n = user;
    XT_TRUE(pkt && len >= 40);
    return ++*n == 2;
}

XT_TEST(output_by_callback) {
    struct xt_link l;
    uint8_t buf[1500];
    unsigned n = 0;
    xt_link_make(&l, false);
    for (int i = 0; i < 3; i++)
        XT_EQ(xw_stack_connect(l.a, xw_stack_socket(l.a), XT_B, 80, l.now), XW_STACK_EINPROGRESS);
    XT_EQ(xw_stack_flush(l.a, buf, sizeof buf, count, &n, l.now), 2); /* ended by the callback */
    XT_EQ(xw_stack_flush(l.a, buf, sizeof buf, count, &n, l.now), 1);
    XT_EQ(n, 3);
    xt_link_free(&l);
}

XT_TEST(an_icmp_error_reaches_the_socket) {
    struct xt_link l;
    uint8_t pkt[56] = { 0 };
    struct xw_ip4_hdr ip = { .src = 0x0a000009, .dst = XT_A, .total_len = 56, .hdr_len = 20, .ttl = 9, .proto = 1 };
    xt_link_make(&l, false);
    int c = xw_stack_socket(l.a);
    XT_EQ(xw_stack_connect(l.a, c, XT_B, 80, l.now), XW_STACK_EINPROGRESS);
    l.cut = true;
    xt_link_settle(&l);
    XT_EQ(xw_ip4_emit(xw_mspan(pkt, sizeof pkt), &ip), 20);
    pkt[20] = 3, pkt[21] = 1; /* host unreachable, quoting header and 8 octets */
    memcpy(pkt + 28, l.last, 28);
    uint32_t sum = 0;
    for (int i = 20; i < 56; i += 2)
        sum += (uint32_t)pkt[i] << 8 | pkt[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16));
    pkt[22] = (uint8_t)(sum >> 8), pkt[23] = (uint8_t)sum;
    XT_EQ(xw_stack_input(l.a, pkt, sizeof pkt, l.now), 0);
    XT_EQ(xt_opt(l.a, c, XW_STACK_SO_ERROR), XW_STACK_EHOSTUNREACH);
    xt_link_free(&l);
}

XT_TEST(path_mtu_is_followed) {
    struct xt_link l;
    static char buf[4000];
    struct xw_ip4_hdr ip;
    struct xw_tcp_hdr tcp;
    int c, s;
    xt_link_make(&l, false);
    xt_link_open(&l, &c, &s);
    XT_EQ(xw_stack_set_mtu(l.a, XT_B, 600, l.now), 0);
    XT_EQ(xw_stack_set_mtu(l.a, XT_B, 60, l.now), XW_STACK_EINVAL);
    XT_EQ(xw_stack_send(l.a, c, buf, 560, l.now), 560);
    xt_link_settle(&l);
    XT_EQ(xt_opt(l.a, c, XW_STACK_MSS), 600 - 40 - 12);
    XT_EQ(xw_stack_send(l.a, c, buf, 4000, l.now), 4000);
    l.cut = true;
    uint8_t out[1500];
    size_t n = xw_stack_output(l.a, out, sizeof out, l.now);
    XT_EQ(n, 600);
    l.cut = false;
    xt_link_after(&l, 601 * S); /* RFC 1191 6.3: tried again after ten minutes */
    XT_EQ(xw_stack_send(l.a, c, buf, 1, l.now), 1);
    xt_link_settle(&l);
    XT_EQ(xt_opt(l.a, c, XW_STACK_MSS), 1500 - 40 - 12);
    xt_link_last(&l, &ip, &tcp);
    XT_TRUE(ip.df);
    xt_link_free(&l);
}

XT_MAIN(XT_RUN(open_and_accept), XT_RUN(backlog_holds_syns_back), XT_RUN(data_over_ip), XT_RUN(data_over_ethernet),
        XT_RUN(half_close_and_time_wait), XT_RUN(close_delivers_what_was_sent), XT_RUN(resets),
        XT_RUN(shutdown_while_connecting), XT_RUN(linger_ends_what_is_not_delivered), XT_RUN(linger_is_over_when_all_is_delivered),
        XT_RUN(a_syn_waits_for_its_neighbour), XT_RUN(refused_timed_out_and_unreachable),
        XT_RUN(addresses_of_nobody_are_refused), XT_RUN(bind_and_reuse), XT_RUN(configurations),
        XT_RUN(output_by_callback), XT_RUN(an_icmp_error_reaches_the_socket), XT_RUN(path_mtu_is_followed))
