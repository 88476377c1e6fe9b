/* bs/sock_stamp.h: the kernel's receive stamps of a socket, on CLOCK_MONOTONIC. For bs_sock.c and its test.
 *
 * SO_TIMESTAMPING gives software stamps of CLOCK_REALTIME. offset = REALTIME - MONOTONIC is measured between two
 * reads of CLOCK_MONOTONIC (the tightest of a few tries), and again when it is older than a second. */
#ifndef XW_BS_SOCK_STAMP_H
#define XW_BS_SOCK_STAMP_H
#include "base/stamp.h"
#include <stdbool.h>
#include <sys/socket.h>

/* Room for SCM_TIMESTAMPING (three timespecs) and the packet info that can come with it. */
#define XW_SOCK_CONTROL_LEN 256

struct xw_sock_clock {
    bool on;              /* the kernel gives stamps */
    int64_t offset_ns;    /* REALTIME - MONOTONIC */
    uint64_t error_ns;    /* half the bracket: bound of the offset's error */
    uint64_t sampled_ns;  /* MONOTONIC when it was measured */
};

/* xw_sock_stamp_enable: asks for software and, where the NIC has them, hardware receive stamps; on tells whether it
 * worked. */
void xw_sock_stamp_enable(struct xw_sock_clock *c, int fd);
/* xw_sock_clock_sample: measures the offset. */
void xw_sock_clock_sample(struct xw_sock_clock *c);
/* xw_sock_stamp: kern_ns and hw_ns of one received message; now_ns decides whether to measure again. Fills all of
 * *out. */
void xw_sock_stamp(struct xw_sock_clock *c, const struct msghdr *m, uint64_t now_ns, struct xw_rxstamp *out);
#endif
