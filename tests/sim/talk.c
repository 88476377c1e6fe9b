/* tests/sim/talk.c: the applications: what they write follows a pattern of the conversation, the side and the offset, so
 * that an octet of another connection, or at another place, is seen at once. */
#include "world.h"

uint8_t sim_octet(unsigned talk, unsigned side, uint64_t off) {
    uint64_t x = (off + 1) * 0x9e3779b97f4a7c15u + (talk * 2 + side) * 0xbf58476d1ce4e5b9u;
    return (uint8_t)(x >> 56 ^ x >> 17);
}

struct sim_talk *sim_talk_find(struct sim_world *w, unsigned client, uint16_t port) {
    struct sim_talk *found = NULL;
    for (unsigned i = 0; i < w->plan.talks; i++) {
        struct sim_talk *t = &w->plan.talk[i];
        if (t->begun && t->end[0].host == client && t->port == port && (!found || t->begun > found->begun))
            found = t; /* the latest of that port */
    }
    return found;
}

bool sim_talk_over(const struct sim_talk *t) { return t->end[0].over && t->end[1].over; }

static bool whole(const struct sim_talk *t) { return !t->hurt && t->kind <= SIM_SIMUL; }

static void progress(struct sim_world *w) {
    w->progress++;
    w->progress_ns = w->now;
}

static void end_over(struct sim_world *w, struct sim_talk *t, unsigned side) {
    struct sim_end *e = &t->end[side];
    if (e->fd >= 0)
        SIM_TRUE(w, !xw_stack_close(w->host[e->host].s, e->fd, w->now));
    e->fd = -1;
    e->over = true;
    progress(w);
    if (w->story)
        printf("%14" PRIu64 " talk %u end %u is over: sent %" PRIu64 " got %" PRIu64 "%s error %d\n", w->now, t->id,
               side, e->sent, e->got, e->eof ? " eof" : "", e->error);
    if (!side && t->end[1].fd < 0)
        t->end[1].wake = w->now + 100 * XW_NS_PER_S; /* so long it may still be accepted */
    if (!whole(t))
        return;
    if (e->error || !e->eof || !e->shut)
        SIM_FAIL(w, "talk %u end %u: error %d, eof %d, shut %d", t->id, side, e->error, e->eof, e->shut);
    SIM_TRUE(w, e->sent == e->to_send && e->got == t->end[!side].to_send);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static bool dial(struct sim_world *w, struct sim_talk *t, unsigned side, uint16_t from, uint16_t to) {
    struct sim_end *e = &t->end[side];
    struct xw_stack *s = w->host[e->host].s;
    int fd = sim_host_socket(w, e->host);
    if (fd < 0)
        return false; /* all are in use: later */
    xw_stack_setopt(s, fd, XW_STACK_REUSEADDR, 1, w->now);
    int rc = from ? xw_stack_bind(s, fd, 0, from) : 0;
    if (!rc)
        rc = xw_stack_connect(s, fd, SIM_IP(!e->host), to, w->now);
    if (rc != XW_STACK_EINPROGRESS) { /* the port is in TIME-WAIT still, or no connection is free */
        SIM_TRUE(w, rc == XW_STACK_EADDRINUSE || rc == XW_STACK_ENOBUFS);
        xw_stack_close(s, fd, w->now);
        return false;
    }
    xw_stack_name(s, fd, NULL, &from, NULL, NULL);
    if (!side)
        t->port = from;
    e->fd = fd;
    return true;
}

static void begin(struct sim_world *w, struct sim_talk *t) {
    t->begun = ++w->begun; /* the wire may see its SYN at once */
    if (t->kind == SIM_SIMUL) {
        uint16_t a = (uint16_t)(7000 + 2 * t->id), b = (uint16_t)(a + 1);
        t->port = a;
        bool first = dial(w, t, 0, a, b);
        SIM_TRUE(w, first && dial(w, t, 1, b, a));
        t->end[1].wake = w->now;
    } else if (!dial(w, t, 0, t->port, SIM_PORT)) {
        t->begun = 0;
        t->end[0].wake = w->now + 500 * XW_NS_PER_MS;
        return;
    }
    progress(w);
    t->end[0].wake = w->now;
}

void sim_talk_accept(struct sim_world *w, unsigned h) {
    struct sim_host *x = &w->host[h];
    uint16_t port;
    uint32_t ip;
    int fd;
    while ((fd = xw_stack_accept(x->s, x->listener, &ip, &port)) >= 0) {
        struct sim_talk *t = sim_talk_find(w, !h, port);
        SIM_TRUE(w, ip == SIM_IP(!h) && t && t->kind != SIM_SIMUL);
        struct sim_end *e = &t->end[1];
        if (e->fd >= 0 || e->over) { /* the client was restarted meanwhile */
            SIM_TRUE(w, !whole(t));
            xw_stack_close(x->s, fd, w->now);
            continue;
        }
        e->fd = fd;
        e->up = true;
        e->wake = w->now;
        progress(w);
    }
    SIM_TRUE(w, fd == XW_STACK_EAGAIN);
}

/* ---- reading and writing ----------------------------------------------------------------------------------------- */

static void failed(struct sim_world *w, struct sim_talk *t, unsigned side, int64_t rc) {
    struct sim_end *e = &t->end[side];
    e->error = (int)rc;
    if (whole(t))
        SIM_FAIL(w, "talk %u end %u failed: %s; sent %" PRIu64 " got %" PRIu64, t->id, side, strerror((int)-rc), e->sent,
                 e->got);
    end_over(w, t, side);
}

static void take(struct sim_world *w, struct sim_talk *t, unsigned side) {
    struct sim_end *e = &t->end[side];
    uint8_t b[4096];
    uint32_t left = e->rd_max;
    while (left && !e->eof && e->fd >= 0) {
        uint32_t want = left < sizeof b ? left : (uint32_t)sizeof b;
        int64_t n = xw_stack_recv(w->host[e->host].s, e->fd, b, want, 0, w->now);
        if (n == XW_STACK_EAGAIN)
            return;
        if (n < 0) {
            failed(w, t, side, n);
            return;
        }
        e->eof = !n;
        for (int64_t i = 0; i < n; i++)
            if (b[i] != sim_octet(t->id, !side, e->got + (uint64_t)i))
                SIM_FAIL(w, "talk %u end %u: octet %" PRIu64 " is wrong", t->id, side, e->got + (uint64_t)i);
        e->got += (uint64_t)n;
        left -= (uint32_t)n;
        progress(w);
    }
    SIM_TRUE(w, e->got <= t->end[!side].sent);
}

static void give(struct sim_world *w, struct sim_talk *t, unsigned side) {
    struct sim_end *e = &t->end[side];
    struct xw_stack *s = w->host[e->host].s;
    uint8_t b[4096];
    uint64_t n = sim_pick(&w->rng, 1, e->wr_max);
    n = n < e->to_send - e->sent ? n : e->to_send - e->sent;
    n = n < sizeof b ? n : sizeof b;
    for (uint64_t i = 0; i < n; i++)
        b[i] = sim_octet(t->id, side, e->sent + i);
    int64_t rc = n ? xw_stack_send(s, e->fd, b, n, w->now) : 0;
    if (rc > 0) {
        e->sent += (uint64_t)rc;
        progress(w);
    } else if (rc < 0 && rc != XW_STACK_EAGAIN) {
        failed(w, t, side, rc);
        return;
    }
    if (e->sent == e->to_send && e->up && !e->shut) {
        int done = xw_stack_shutdown(s, e->fd, XW_STACK_SHUT_WR, w->now);
        e->shut = true;
        if (done && whole(t))
            SIM_FAIL(w, "talk %u end %u: shutdown says %d", t->id, side, done);
    }
}

static bool breaks(struct sim_world *w, struct sim_talk *t, unsigned side) {
    struct sim_end *e = &t->end[side];
    struct xw_stack *s = w->host[e->host].s;
    if (!e->breaker || e->got + e->sent < e->limit)
        return false;
    if (t->kind == SIM_SHUT_RD) {
        e->breaker = false;
        e->eof = !xw_stack_shutdown(s, e->fd, XW_STACK_SHUT_RD, w->now) || e->eof;
        return false;
    }
    if (t->kind == SIM_ABORT)
        xw_stack_abort(s, e->fd, w->now);
    end_over(w, t, side);
    return true;
}

static bool connected(struct sim_world *w, struct sim_talk *t, unsigned side) {
    struct sim_end *e = &t->end[side];
    int rc = xw_stack_connect(w->host[e->host].s, e->fd, 0, 1, w->now);
    if (rc == XW_STACK_EISCONN)
        e->up = true;
    else if (rc == XW_STACK_EALREADY)
        e->waits = true, e->wake = UINT64_MAX;
    else
        failed(w, t, side, rc);
    return e->up;
}

static bool ready(struct sim_world *w, struct sim_talk *t, unsigned side) {
    const struct sim_end *e = &t->end[side];
    int ev = xw_stack_poll(w->host[e->host].s, e->fd);
    bool writes = !e->up || (!e->shut && e->sent < e->to_send);
    return ev & (XW_STACK_POLLERR | XW_STACK_POLLHUP) || (ev & XW_STACK_POLLIN && !e->eof) ||
           (ev & XW_STACK_POLLOUT && writes);
}

void sim_talk_step(struct sim_world *w, struct sim_talk *t, unsigned side) {
    struct sim_end *e = &t->end[side];
    if (e->waits && e->fd >= 0 && ready(w, t, side)) {
        e->waits = false;
        e->wake = w->now + 1 + sim_below(&w->rng, e->gap_ns);
    }
    if (e->over || w->now < e->wake || w->now < t->start)
        return;
    if (!t->begun && !side)
        begin(w, t);
    if (e->fd < 0 && side && t->end[0].over) /* gone before it was accepted, or nearly */
        end_over(w, t, side);
    if (e->fd < 0 || e->over || (!e->up && !connected(w, t, side)))
        return;
    uint64_t before = w->progress;
    if (breaks(w, t, side))
        return;
    take(w, t, side);
    if (e->fd >= 0 && e->up && !e->shut && (t->kind != SIM_REQUEST || !side || e->eof))
        give(w, t, side);
    if (e->fd >= 0 && e->shut && e->eof)
        end_over(w, t, side);
    e->waits = w->progress == before; /* nothing to do: until its socket is ready */
    e->wake = e->over || e->waits ? UINT64_MAX : w->now + 1 + sim_below(&w->rng, e->gap_ns);
}
