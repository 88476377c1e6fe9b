/* engine/wait.c: blocking until there is something to poll. The one place where an engine sleeps. */
#include "engine/engine.h"
#include "base/setup_error.h"
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

/* What the epoll set says of a descriptor that is the caller's; no connection has this id: its slot is beyond the limit. */
#define WATCHED UINT32_MAX
_Static_assert((WATCHED & 0xffff) >= XW_CONNS_MAX, "WATCHED is no connection's id");

int xw_engine_fd(const struct xw_engine *e) { return e->epoll_fd; }

int xw_engine_watch(struct xw_engine *e, int fd, int on) {
    if (!xw_engine_thread_ok(e))
        return XW_ETHREAD;
    struct epoll_event ev = { .events = EPOLLIN, .data.u32 = WATCHED };
    return epoll_ctl(e->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &ev) ? xw_setup_fail(XW_ESYS, "watch a descriptor") : XW_OK;
}

/* Kernels before 5.11 have only milliseconds: rounded up, so that what is due is due when it returns. */
static int wait_ms(int epoll_fd, struct epoll_event *evs, int max, uint64_t timeout_ns) {
    uint64_t ms = timeout_ns / XW_NS_PER_MS + (timeout_ns % XW_NS_PER_MS != 0);
    return epoll_wait(epoll_fd, evs, max, timeout_ns == XW_NEVER ? -1 : (int)(ms < INT32_MAX ? ms : INT32_MAX));
}

int xw_engine_wait(struct xw_engine *e, uint64_t timeout_ns) {
    struct epoll_event evs[8];
    struct timespec ts = { .tv_sec = (time_t)(timeout_ns / XW_NS_PER_S), .tv_nsec = (long)(timeout_ns % XW_NS_PER_S) };
    int n = epoll_pwait2(e->epoll_fd, evs, 8, timeout_ns == XW_NEVER ? NULL : &ts, NULL);
    if (n < 0 && errno == ENOSYS)
        n = wait_ms(e->epoll_fd, evs, 8, timeout_ns);
    if (n < 0)
        return xw_setup_fail(XW_ESYS, "epoll_pwait2");
    for (int i = 0; i < n; i++)
        if (evs[i].data.u32 == WATCHED)
            return 2;
    return n > 0;
}
