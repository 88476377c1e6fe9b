/* engine/wait.c: blocking until there is something to poll. The one place where an engine sleeps. */
#include "engine/engine.h"
#include "base/setup_error.h"
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* What the epoll set says of a descriptor that is the caller's, and of the engine's timer. */
#define WATCHED UINT32_MAX
#define TIMER (UINT32_MAX - 1)
_Static_assert((TIMER & 0xffff) >= XW_CONNS_MAX, "neither is a connection's id");

int xw_engine_fd(const struct xw_engine *e) { return e->epoll_fd; }

int xw_engine_watch(struct xw_engine *e, int fd, int on) {
    if (!xw_engine_thread_ok(e))
        return XW_ETHREAD;
    struct epoll_event ev = { .events = EPOLLIN, .data.u32 = WATCHED };
    return epoll_ctl(e->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &ev) ? xw_setup_fail(XW_ESYS, "watch a descriptor") : XW_OK;
}

/* One timer stays in the set, and is set anew only for an earlier time: a timeout of the wait itself would be a timer started
 * and cancelled for every message, two exits to the hypervisor on the way of the message. What was set for a deadline that
 * moved on since fires for nothing, once. */
static int timer_at(struct xw_engine *e, uint64_t at_ns) {
    if (e->timer_fd < 0) {
        struct epoll_event ev = { .events = EPOLLIN, .data.u32 = TIMER };
        e->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (e->timer_fd < 0 || epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->timer_fd, &ev))
            return xw_setup_fail(XW_ESYS, "make the engine's timer");
    }
    struct itimerspec when = { .it_value = { (time_t)(at_ns / XW_NS_PER_S), (long)(at_ns % XW_NS_PER_S) } };
    if (timerfd_settime(e->timer_fd, TFD_TIMER_ABSTIME, &when, NULL))
        return xw_setup_fail(XW_ESYS, "set the engine's timer");
    e->timer_ns = at_ns;
    return XW_OK;
}

static void timer_over(struct xw_engine *e) {
    uint64_t expirations;
    if (read(e->timer_fd, &expirations, sizeof expirations) > 0)
        e->timer_ns = XW_NEVER;
}

int xw_engine_wait(struct xw_engine *e, uint64_t timeout_ns) {
    struct epoll_event evs[8];
    uint64_t now = xw_monotonic_ns(), until = timeout_ns < XW_NEVER - now ? now + timeout_ns : XW_NEVER;
    if (timeout_ns && until < e->timer_ns && timer_at(e, until))
        return XW_ESYS;
    int n = epoll_wait(e->epoll_fd, evs, 8, timeout_ns ? -1 : 0), rc = 0;
    if (n < 0)
        return xw_setup_fail(XW_ESYS, "epoll_wait");
    for (int i = 0; i < n; i++) {
        if (evs[i].data.u32 == TIMER)
            timer_over(e);
        else if (evs[i].data.u32 == WATCHED)
            rc = 2;
        else
            rc = rc ? rc : 1;
    }
    return rc;
}
