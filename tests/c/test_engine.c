/* The engine over an in-memory link to a host of our own stack: the whole way from xw_conn_open to events, no kernel. */
#include "engine/engine.h"
#include "xt_host.h"
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#ifndef __SANITIZE_ADDRESS__ /* gcc's name; the sanitizers bring an allocator of their own */
#define XT_COUNTS_ALLOCATIONS 1
extern void *__libc_malloc(size_t n);
static unsigned long malloc_cnt;
void *malloc(size_t n) {
    malloc_cnt++;
    return __libc_malloc(n);
}
#endif

static uint32_t opened(struct xt_host *h, const struct xt_host_cfg *cfg) {
    uint32_t id;
    xt_host_engine(h, cfg);
    XT_EQ(xw_conn_open(h->e, xt_host_target(h), h->now, &id), XW_OK);
    const struct xw_event *ev = xt_host_run(h, XW_EV_OPEN, 20);
    XT_EQ(ev->conn, id);
    XT_EQ(ev->user, 7);
    return id;
}

XT_TEST(message_comes_back_with_its_stamps) {
    struct xt_host h;
    uint32_t id = opened(&h, &(struct xt_host_cfg){ .ws = true });
    XT_EQ(xw_conn_send(h.e, id, 1, "hello", 5, h.now), 5);
    const struct xw_event *ev = xt_host_run(&h, XW_EV_MESSAGE, 20);
    XT_EQ(ev->opcode, 1);
    XT_EQ(ev->len, 5);
    XT_MEM(ev->data, "hello", 5);
    XT_TRUE(ev->stamps.valid & XW_ST_KERNEL);
    XT_TRUE(ev->stamps.valid & XW_ST_RING);
    XT_TRUE(ev->stamps.valid & XW_ST_PARSED);
    XT_TRUE(!(ev->stamps.valid & (XW_ST_NIC | XW_ST_DECRYPT_END)));
    XT_TRUE(ev->stamps.kernel_ns >= 1000 * XW_NS_PER_S && ev->stamps.kernel_ns <= h.now);
    XT_TRUE(ev->stamps.parsed_ns >= ev->stamps.ring_ns);
    xt_host_free(&h);
}

XT_TEST(close_handshake_ends_with_closed) {
    struct xt_host h;
    uint32_t id = opened(&h, &(struct xt_host_cfg){ .ws = true });
    XT_EQ(xw_conn_close(h.e, id, 1000, "bye", h.now), XW_OK);
    const struct xw_event *ev = xt_host_run(&h, XW_EV_CLOSED, 50);
    XT_EQ(ev->error, XW_OK);
    XT_EQ(ev->code, 1000);
    XT_EQ(ev->sent, 1000);
    xt_host_quiet(&h, 3);
    XT_EQ(xw_conn_send(h.e, id, 1, "x", 1, h.now), XW_ENOCONN);
    xt_host_free(&h);
}

/* However long ago the last one was: the ACK of a message goes behind the poll that shows the message, not into it. */
XT_TEST(a_message_is_handed_over_before_its_ack_leaves) {
    struct xt_host h;
    uint32_t id = opened(&h, &(struct xt_host_cfg){ .ws = true });
    for (unsigned turn = 0; turn < 5; turn++) {
        for (unsigned r = 0; r < 20; r++) /* all is acknowledged */
            xt_host_round(&h);
        h.now += XW_NS_PER_S;
        XT_EQ(xw_conn_send(h.e, id, 1, "hello", 5, h.now), 5);
        unsigned long before;
        do {
            before = h.frames_in;
            xt_host_round(&h);
        } while (!h.ev_cnt);
        XT_EQ(h.ev[0].type, XW_EV_MESSAGE);
        XT_EQ(h.frames_in, before);
        xt_host_round(&h);
        XT_EQ(h.frames_in, before + 1);
    }
    xt_host_free(&h);
}

XT_TEST(a_wait_says_what_ended_it) {
    struct xt_host h;
    int fd[2];
    opened(&h, &(struct xt_host_cfg){ .ws = true });
    XT_EQ(pipe(fd), 0);
    XT_EQ(xw_engine_wait(h.e, 1000), 0);
    XT_EQ(xw_engine_watch(h.e, fd[0], 1), XW_OK);
    XT_EQ(xw_engine_wait(h.e, 1000), 0);
    uint64_t begin = xw_monotonic_ns(), end = begin + 3 * XW_NS_PER_MS;
    for (uint64_t now = begin; now < end; now = xw_monotonic_ns()) /* the timer of an earlier wait may fire first */
        XT_EQ(xw_engine_wait(h.e, end - now), 0);
    XT_EQ(write(fd[1], "x", 1), 1);
    XT_EQ(xw_engine_wait(h.e, XW_NEVER), 2);
    XT_EQ(xw_engine_watch(h.e, fd[0], 1), XW_ESYS); /* it is watched already */
    XT_EQ(xw_engine_watch(h.e, fd[0], 0), XW_OK);
    XT_EQ(xw_engine_wait(h.e, 1000), 0);
    XT_EQ(xw_engine_watch(h.e, fd[0], 0), XW_ESYS);
    close(fd[0]);
    close(fd[1]);
    xt_host_free(&h);
}

XT_TEST(a_path_that_changes_reaches_an_open_connection) {
    struct xt_host h;
    struct xw_conn_info info;
    static const uint8_t data[3000];
    uint32_t id = opened(&h, &(struct xt_host_cfg){ 0 });
    XT_EQ(xw_conn_info(h.e, id, &info), XW_OK);
    uint32_t full = info.mss;
    for (unsigned i = 0; i < 2; i++) { /* smaller, and back */
        uint32_t mtu = i ? 1500 : 1000;
        XT_EQ(xw_engine_route(h.e, XT_HOST_IP & 0xffffff00u, 0xffffff00u, 0, mtu), XW_OK);
        XT_EQ(xw_conn_write(h.e, id, data, sizeof data, h.now), sizeof data);
        for (unsigned r = 0; r < 20; r++)
            xt_host_round(&h);
        XT_EQ(xw_conn_info(h.e, id, &info), XW_OK);
        XT_EQ(info.mss, full - (1500 - mtu));
    }
    xt_host_free(&h);
}

XT_TEST(slots_are_used_again) {
    struct xt_host h;
    uint32_t first = opened(&h, &(struct xt_host_cfg){ .ws = true, .max_conns = 1 }), id = first, other;
    XT_EQ(xw_conn_open(h.e, xt_host_target(&h), h.now, &other), XW_ENOSPC);
    for (uint16_t turn = 1; turn < 20; turn++) {
        XT_EQ(xw_conn_close(h.e, id, 1000, "", h.now), XW_OK);
        xt_host_run(&h, XW_EV_CLOSED, 50);
        xt_host_round(&h);
        xt_host_target(&h)->local_port = (uint16_t)(40000 + turn);
        XT_EQ(xw_conn_open(h.e, xt_host_target(&h), h.now, &id), XW_OK);
        XT_TRUE(id != first);
        xt_host_run(&h, XW_EV_OPEN, 20);
    }
    xt_host_free(&h);
}

XT_TEST(raw_stream_echoes_and_half_closes) {
    struct xt_host h;
    uint8_t out[40000], in[40000];
    uint64_t got = 0;
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 7 + i / 256);
    uint32_t id = opened(&h, &(struct xt_host_cfg){ 0 });
    XT_EQ(xw_conn_write(h.e, id, out, sizeof out, h.now), sizeof out);
    XT_EQ(xw_conn_shutdown_wr(h.e, id, h.now), XW_OK);
    for (unsigned r = 0; r < 2000 && got < sizeof in; r++) {
        struct xw_stamps s;
        xt_host_round(&h);
        int64_t n = xw_conn_read(h.e, id, in + got, sizeof in - got, &s);
        XT_TRUE(n >= 0);
        XT_TRUE(!n || (s.valid & XW_ST_RING));
        got += (uint64_t)n;
    }
    XT_EQ(got, sizeof out);
    XT_MEM(in, out, sizeof out);
    xt_host_run(&h, XW_EV_READABLE, 20);
    XT_EQ(xw_conn_read(h.e, id, in, 1, NULL), XW_ECLOSED);
    XT_EQ(xt_host_run(&h, XW_EV_CLOSED, 50)->error, XW_OK);
    xt_host_free(&h);
}

XT_TEST(refused_connection_says_so) {
    struct xt_host h;
    uint32_t id;
    xt_host_engine(&h, &(struct xt_host_cfg){ .ws = true, .deaf = true });
    XT_EQ(xw_conn_open(h.e, xt_host_target(&h), h.now, &id), XW_OK);
    const struct xw_event *ev = xt_host_run(&h, XW_EV_CLOSED, 20);
    XT_EQ(ev->error, XW_EREFUSED);
    XT_EQ(ev->layer, XW_LAYER_TCP);
    XT_TRUE(memmem(ev->data, ev->len, "TCP: refused", 12) != NULL);
    xt_host_free(&h);
}

/* The SYN waits for its next hop instead of being lost: once the MAC is known it leaves at once, not after an RTO. */
XT_TEST(syn_is_held_until_the_neighbour_is_known) {
    struct xt_host h;
    uint32_t id;
    xt_host_engine(&h, &(struct xt_host_cfg){ .ws = true, .no_neighbour = true });
    XT_EQ(xw_conn_open(h.e, xt_host_target(&h), h.now, &id), XW_OK);
    xt_host_quiet(&h, 100);
    XT_EQ(h.frames_in, 0);
    XT_EQ(xw_engine_neigh(h.e, XT_HOST_IP, XT_HOST_MAC), XW_OK);
    uint64_t before = h.now;
    xt_host_run(&h, XW_EV_OPEN, 20);
    XT_TRUE(h.now - before < XW_NS_PER_MS);
    xt_host_free(&h);
}

XT_TEST(open_timeout_names_the_layer) {
    struct xt_host h;
    uint32_t id;
    xt_host_engine(&h, &(struct xt_host_cfg){ .ws = true, .no_neighbour = true });
    xt_host_target(&h)->open_timeout_ns = 2 * XW_NS_PER_MS;
    XT_EQ(xw_conn_open(h.e, xt_host_target(&h), h.now, &id), XW_OK);
    const struct xw_event *ev = xt_host_run(&h, XW_EV_CLOSED, 200);
    XT_EQ(ev->error, XW_ETIMEDOUT);
    XT_EQ(ev->layer, XW_LAYER_NET);
    xt_host_free(&h);
}

/* A gateway that moved: the next packet bears its new MAC, the connection goes on. */
XT_TEST(new_mac_takes_effect_with_the_next_packet) {
    static const uint8_t moved[6] = { 2, 0, 0, 0, 9, 9 };
    struct xt_host h;
    uint32_t id = opened(&h, &(struct xt_host_cfg){ .ws = true });
    XT_EQ(xw_engine_neigh(h.e, XT_HOST_IP, moved), XW_OK);
    XT_EQ(xw_conn_send(h.e, id, 2, "x", 1, h.now), 1);
    xt_host_round(&h);
    XT_MEM(h.last_dst, moved, 6);
    xt_host_free(&h);
}

XT_TEST(paused_connection_delivers_nothing_and_loses_nothing) {
    struct xt_host h;
    uint32_t id = opened(&h, &(struct xt_host_cfg){ .ws = true });
    XT_EQ(xw_conn_pause(h.e, id, 1), XW_OK);
    XT_EQ(xw_conn_send(h.e, id, 2, "abc", 3, h.now), 3);
    xt_host_quiet(&h, 50);
    XT_EQ(xw_conn_pause(h.e, id, 0), XW_OK);
    XT_EQ(xt_host_run(&h, XW_EV_MESSAGE, 5)->len, 3);
    xt_host_free(&h);
}

XT_TEST(abort_is_told_and_reaches_the_peer) {
    struct xt_host h;
    uint32_t id = opened(&h, &(struct xt_host_cfg){ 0 });
    XT_EQ(xw_conn_abort(h.e, id, h.now), XW_OK);
    XT_EQ(xt_host_run(&h, XW_EV_CLOSED, 5)->error, XW_ECLOSED);
    XT_EQ(xw_tcp_state(h.conn), XW_TCP_CLOSED);
    XT_EQ(xw_tcp_error(h.conn), XW_ERESET);
    xt_host_free(&h);
}

XT_TEST(two_engines_do_not_notice_each_other) {
    struct xt_host a, b;
    uint32_t ia = opened(&a, &(struct xt_host_cfg){ .ws = true, .seed = 1 });
    uint32_t ib = opened(&b, &(struct xt_host_cfg){ .ws = true, .seed = 2 });
    for (unsigned i = 0; i < 50; i++) {
        char text[16];
        int len = snprintf(text, sizeof text, "m%u", i);
        struct xt_host *h = i % 2 ? &a : &b;
        XT_EQ(xw_conn_send(h->e, i % 2 ? ia : ib, 1, text, (uint64_t)len, h->now), len);
        const struct xw_event *ev = xt_host_run(h, XW_EV_MESSAGE, 20);
        XT_EQ(ev->len, len);
        XT_MEM(ev->data, text, (size_t)len);
    }
    xt_host_free(&a);
    xt_host_quiet(&b, 5);
    xt_host_free(&b);
}

/* After the first messages nothing of ours is allocated any more, sending included. */
XT_TEST(messages_allocate_nothing) {
#ifdef XT_COUNTS_ALLOCATIONS
    struct xt_host h;
    uint8_t payload[200] = { 0 };
    uint32_t id = opened(&h, &(struct xt_host_cfg){ .ws = true });
    unsigned long before = 0;
    for (unsigned i = 0; i < 200; i++) {
        if (i == 10)
            before = malloc_cnt;
        XT_EQ(xw_conn_send(h.e, id, 2, payload, sizeof payload, h.now), sizeof payload);
        XT_EQ(xt_host_run(&h, XW_EV_MESSAGE, 20)->len, sizeof payload);
    }
    XT_TRUE(before > 0);
    XT_EQ(malloc_cnt - before, 0);
    xt_host_free(&h);
#endif
}

/* Bad arguments change nothing. */
XT_TEST(bad_arguments_are_refused) {
    struct xt_host h;
    struct xw_engine *none;
    struct xw_engine_cfg ec = { .max_conns = 1, .rcvbuf_len = 65536, .sndbuf_len = 65536, .plain_len = 1000 };
    uint32_t id;
    XT_EQ(xw_engine_new(&ec, &none), XW_EINVAL);
    xt_host_engine(&h, &(struct xt_host_cfg){ .ws = true });
    struct xw_conn_cfg *c = xt_host_target(&h);
    c->local_port = 0;
    XT_EQ(xw_conn_open(h.e, c, h.now, &id), XW_EINVAL);
    c->local_port = 40000;
    c->ws_headers = "X: a\r\nInjected";
    XT_EQ(xw_conn_open(h.e, c, h.now, &id), XW_EINVAL);
    c->ws_headers = NULL;
    XT_EQ(xw_conn_open(h.e, c, h.now, &id), XW_OK);
    xt_host_run(&h, XW_EV_OPEN, 20);
    XT_EQ(xw_conn_open(h.e, c, h.now, &id), XW_EADDRINUSE);
    xt_host_free(&h);
}

struct elsewhere {
    struct xt_host *h;
    uint32_t id;
    int poll, send, close, adopted;
};

static void *from_elsewhere(void *arg) {
    static struct xw_event ev[4]; /* of this thread only: it is joined before the test goes on */
    struct elsewhere *x = arg;
    x->poll = xw_poll(x->h->e, x->h->now, ev, 4);
    x->send = (int)xw_conn_send(x->h->e, x->id, 1, "hello", 5, x->h->now);
    x->close = xw_conn_close(x->h->e, x->id, 1000, NULL, x->h->now);
    xw_engine_adopt(x->h->e);
    x->adopted = (int)xw_conn_send(x->h->e, x->id, 1, "hello", 5, x->h->now);
    return NULL;
}

XT_TEST(another_thread_is_refused_until_it_adopts) {
    struct xt_host h;
    struct elsewhere x = { .h = &h, .id = opened(&h, &(struct xt_host_cfg){ .ws = true }) };
    pthread_t t;
    XT_EQ(pthread_create(&t, NULL, from_elsewhere, &x), 0);
    XT_EQ(pthread_join(t, NULL), 0);
    XT_EQ(x.poll, XW_ETHREAD);
    XT_EQ(x.send, XW_ETHREAD);
    XT_EQ(x.close, XW_ETHREAD);
    XT_EQ(x.adopted, 5);
    XT_EQ(xw_conn_send(h.e, x.id, 1, "hello", 5, h.now), XW_ETHREAD);
    xw_engine_adopt(h.e);
    XT_EQ(xt_host_run(&h, XW_EV_MESSAGE, 20)->len, 5);
    xt_host_free(&h);
}

/* With nothing to come it spins for its time; what comes ends it at once. */
XT_TEST(spinning_ends_with_the_time_or_with_an_event) {
    struct xt_host h;
    struct xw_event ev[4];
    xt_host_engine(&h, &(struct xt_host_cfg){ .ws = true });
    uint64_t begin = xw_monotonic_ns();
    XT_EQ(xw_poll_spin(h.e, XW_NS_PER_MS, ev, 4), 0);
    XT_TRUE(xw_monotonic_ns() - begin >= XW_NS_PER_MS);
    uint64_t polls = h.e->polls;
    XT_TRUE(polls > 1);
    XT_EQ(xw_poll_spin(h.e, 0, ev, 4), 0);
    XT_EQ(h.e->polls, polls + 1);
    uint32_t id;
    XT_EQ(xw_conn_open(h.e, xt_host_target(&h), xw_monotonic_ns(), &id), XW_OK);
    XT_EQ(xw_conn_abort(h.e, id, xw_monotonic_ns()), XW_OK);
    XT_EQ(xw_poll_spin(h.e, 3600 * XW_NS_PER_S, ev, 4), 1);
    XT_EQ(ev[0].type, XW_EV_CLOSED);
    xt_host_free(&h);
}

/* Where the TSC is invariant the stamps are read from it after two comparisons, and agree with the kernel's clock. */
XT_TEST(stamps_agree_with_the_kernels_clock) {
    struct xt_host h;
    struct xw_event ev[4];
    struct xw_clock_info info;
    xt_host_engine(&h, &(struct xt_host_cfg){ .ws = true });
    XT_EQ(xw_engine_clock(h.e, &info), XW_OK);
    XT_TRUE(!info.tsc && !info.pairs && !info.hz);
    for (unsigned i = 0; i < 1000 && info.pairs < 3 && xw_tsc_invariant(); i++) {
        XT_EQ(xw_poll_spin(h.e, 5 * XW_NS_PER_MS, ev, 4), 0);
        XT_EQ(xw_engine_clock(h.e, &info), XW_OK);
    }
    XT_EQ(info.tsc, xw_tsc_invariant());
    uint64_t before = xw_monotonic_ns(), stamp = h.e->clock(h.e->clock_arg), after = xw_monotonic_ns();
    XT_TRUE(stamp + 2 * XW_TSC_STEP_NS >= before && stamp <= after + 2 * XW_TSC_STEP_NS);
    xt_host_free(&h);
}

XT_MAIN(XT_RUN(stamps_agree_with_the_kernels_clock),
        XT_RUN(message_comes_back_with_its_stamps), XT_RUN(spinning_ends_with_the_time_or_with_an_event),
        XT_RUN(close_handshake_ends_with_closed), XT_RUN(a_wait_says_what_ended_it),
        XT_RUN(a_message_is_handed_over_before_its_ack_leaves),
        XT_RUN(slots_are_used_again), XT_RUN(raw_stream_echoes_and_half_closes), XT_RUN(refused_connection_says_so),
        XT_RUN(syn_is_held_until_the_neighbour_is_known), XT_RUN(open_timeout_names_the_layer),
        XT_RUN(new_mac_takes_effect_with_the_next_packet), XT_RUN(paused_connection_delivers_nothing_and_loses_nothing),
        XT_RUN(a_path_that_changes_reaches_an_open_connection),
        XT_RUN(abort_is_told_and_reaches_the_peer), XT_RUN(two_engines_do_not_notice_each_other),
        XT_RUN(messages_allocate_nothing), XT_RUN(bad_arguments_are_refused),
        XT_RUN(another_thread_is_refused_until_it_adopts))
