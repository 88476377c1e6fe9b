/* Stamps out of control messages as the kernel writes them, and the offset between the two clocks. */
#include "bs/sock_stamp.h"
#include "xt.h"
#include <time.h>

static struct msghdr message(void *control, size_t cap, const struct timespec ts[3]) {
    struct msghdr m = { .msg_control = control, .msg_controllen = cap };
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_TIMESTAMPING;
    h->cmsg_len = CMSG_LEN(3 * sizeof *ts);
    memcpy(CMSG_DATA(h), ts, 3 * sizeof *ts);
    m.msg_controllen = CMSG_SPACE(3 * sizeof *ts);
    return m;
}

XT_TEST(software_and_hardware) {
    _Alignas(struct cmsghdr) uint8_t control[XW_SOCK_CONTROL_LEN] = { 0 };
    struct xw_sock_clock c = { .on = true, .offset_ns = 1000000000000, .sampled_ns = 50 };
    struct timespec both[3] = { { 1007, 5 }, { 0, 0 }, { 2000, 9 } }, none[3] = { { 0, 0 } };
    struct xw_rxstamp s = { .valid = 99 };
    struct msghdr m = message(control, sizeof control, both);
    xw_sock_stamp(&c, &m, 60, &s);
    XT_EQ(s.valid, XW_RXS_KERN | XW_RXS_HW);
    XT_EQ(s.kern_ns, 7000000005);
    XT_EQ(s.hw_ns, 2000000000009); /* the NIC's clock, as it is */
    m = message(control, sizeof control, none);
    xw_sock_stamp(&c, &m, 60, &s);
    XT_EQ(s.valid, 0);
    m.msg_controllen = 0;
    xw_sock_stamp(&c, &m, 60, &s);
    XT_EQ(s.valid, 0);
    c.on = false;
    m = message(control, sizeof control, both);
    xw_sock_stamp(&c, &m, 60, &s);
    XT_EQ(s.valid, 0);
}

XT_TEST(a_cut_message_is_not_read) {
    _Alignas(struct cmsghdr) uint8_t control[XW_SOCK_CONTROL_LEN] = { 0 };
    struct xw_sock_clock c = { .on = true };
    struct timespec both[3] = { { 1007, 5 }, { 0, 0 }, { 2000, 9 } };
    struct xw_rxstamp s;
    struct msghdr m = message(control, sizeof control, both);
    CMSG_FIRSTHDR(&m)->cmsg_len -= 8;
    xw_sock_stamp(&c, &m, 0, &s);
    XT_EQ(s.valid, 0);
}

XT_TEST(the_offset_is_measured_again_after_a_second) {
    _Alignas(struct cmsghdr) uint8_t control[XW_SOCK_CONTROL_LEN] = { 0 };
    struct xw_sock_clock c = { .on = true };
    struct timespec t, m, some[3] = { { 1, 0 } };
    struct xw_rxstamp s;
    struct msghdr msg = message(control, sizeof control, some);
    xw_sock_clock_sample(&c);
    clock_gettime(CLOCK_REALTIME, &t);
    clock_gettime(CLOCK_MONOTONIC, &m);
    int64_t rough = (t.tv_sec - m.tv_sec) * 1000000000LL + t.tv_nsec - m.tv_nsec;
    XT_TRUE(llabs(c.offset_ns - rough) < 50000000); /* 50 ms: a preemption between the two reads */
    XT_TRUE(c.error_ns < 50000000);
    int64_t good = c.offset_ns;
    c.offset_ns = 5;
    xw_sock_stamp(&c, &msg, c.sampled_ns + 1000000000, &s);
    XT_EQ(c.offset_ns, 5);
    xw_sock_stamp(&c, &msg, c.sampled_ns + 1000000001, &s);
    XT_TRUE(llabs(c.offset_ns - good) < 50000000);
}

XT_MAIN(XT_RUN(software_and_hardware), XT_RUN(a_cut_message_is_not_read),
        XT_RUN(the_offset_is_measured_again_after_a_second))
