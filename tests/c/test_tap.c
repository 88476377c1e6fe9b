#include "base/err.h"
#include "base/limits.h"
#include "dev/capture.h"
#include "dev/pair.h"
#include "dev/tap.h"
#include "xt.h"
#include "xw.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static struct xw_dev *tap, *far;

static void open_tap(const struct xw_tap_cfg *cfg) {
    struct xw_dev *near;
    XT_EQ(xw_pair_open(NULL, &near, &far), XW_OK);
    XT_EQ(xw_tap_open(near, cfg, &tap), XW_OK);
}

static void send_frame(struct xw_dev *d, uint8_t fill, uint32_t len) {
    struct xw_txbuf b;
    XT_EQ(d->ops->tx_reserve(d, &b), XW_OK);
    memset(b.data, fill, len);
    d->ops->tx_submit(d, &b, len);
    XT_EQ(d->ops->tx_flush(d), XW_OK);
}

static unsigned receive(struct xw_dev *d) {
    struct xw_pkt p[XW_RX_BURST_MAX];
    unsigned n = d->ops->rx_burst(d, p, XW_RX_BURST_MAX);
    d->ops->rx_release(d, p, n);
    return n;
}

static uint8_t file[1 << 20];
static size_t file_len;
static struct xw_capture_rec rec[4096];

static int64_t read_back(int fd) {
    const char *why = NULL;
    ssize_t n = pread(fd, file, sizeof file, 0);
    XT_TRUE(n > 0);
    file_len = (size_t)n;
    int64_t cnt = xw_capture_walk(file, file_len, rec, 4096, &why);
    if (cnt < 0)
        XT_FAIL("%s", why);
    return cnt;
}

static uint32_t u32_at(size_t off) {
    uint32_t v;
    memcpy(&v, file + off, sizeof v);
    return v;
}
/* the flags option stands right behind the padded frame */
static uint32_t direction_of(const struct xw_capture_rec *r) { return u32_at(r->off + ((r->len + 3) & ~3u) + 4); }

XT_TEST(both_directions_with_times) {
    int fd = memfd_create("tap", MFD_CLOEXEC);
    const struct xw_tap_cfg cfg = { .fd = fd, .epoch_offset_ns = 1700000000 * XW_NS_PER_S };
    struct xw_dev_caps caps;
    open_tap(&cfg);
    tap->ops->caps(tap, &caps);
    XT_STR(caps.kind, "tap");
    tap->ops->tick(tap, 111);
    send_frame(tap, 1, 61);
    XT_EQ(receive(far), 1);
    tap->ops->tick(tap, 222);
    send_frame(far, 2, 1514);
    tap->ops->tick(tap, 333); /* it entered the link at 222, and is read later */
    XT_EQ(receive(tap), 1);
    XT_EQ(xw_tap_sync(tap), XW_OK);
    XT_EQ(read_back(fd), 2);
    XT_EQ(rec[0].len, 61);
    XT_EQ(rec[0].ns, 1700000000 * XW_NS_PER_S + 111);
    XT_EQ(file[rec[0].off + 60], 1);
    XT_EQ(direction_of(&rec[0]), 2);
    XT_EQ(rec[1].len, 1514);
    XT_EQ(rec[1].ns, 1700000000 * XW_NS_PER_S + 222);
    XT_EQ(file[rec[1].off + 1513], 2);
    XT_EQ(direction_of(&rec[1]), 1);
    XT_TRUE(rec[0].whole && rec[1].whole);
    xw_dev_close(tap);
    xw_dev_close(far);
    close(fd);
}

XT_TEST(snap_len_keeps_the_head) {
    int fd = memfd_create("tap", MFD_CLOEXEC);
    const struct xw_tap_cfg cfg = { .fd = fd, .snap_len = 70 };
    open_tap(&cfg);
    send_frame(tap, 1, 1000);
    send_frame(tap, 2, 70);
    xw_dev_close(tap); /* writes what it has */
    xw_dev_close(far);
    XT_EQ(read_back(fd), 2);
    XT_EQ(rec[0].len, 70);
    XT_TRUE(!rec[0].whole && rec[1].whole);
    close(fd);
}

/* The reader reads again until everything gathered is out. */
static void read_all(int from, int to) {
    uint8_t buf[4096];
    int left;
    do {
        left = xw_tap_sync(tap);
        for (ssize_t n; (n = read(from, buf, sizeof buf)) > 0;)
            XT_EQ(write(to, buf, (size_t)n), n);
    } while (left == XW_EAGAIN);
}

/* A reader that stops reading costs the capture frames, not the connection; the file says how many, and stays well
 * formed. */
XT_TEST(full_pipe_loses_frames_of_the_capture_only) {
    int p[2], copy = memfd_create("copy", MFD_CLOEXEC);
    XT_EQ(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
    const struct xw_tap_cfg cfg = { .fd = p[1] };
    open_tap(&cfg);
    unsigned sent = 0;
    for (; xw_tap_lost(tap) < 10; sent++) {
        XT_TRUE(sent < 1000);
        send_frame(tap, (uint8_t)sent, 1500);
        XT_EQ(receive(far), 1);
        tap->ops->tick(tap, sent);
    }
    XT_EQ(xw_tap_sync(tap), XW_EAGAIN);
    read_all(p[0], copy);
    send_frame(tap, 99, 60);
    XT_EQ(receive(far), 1);
    read_all(p[0], copy);
    XT_EQ(read_back(copy), sent - 10 + 1);
    const struct xw_capture_rec *last = &rec[sent - 10];
    XT_EQ(last->len, 60);
    XT_EQ(u32_at(last->off + 60 + 8), 8u << 16 | 4u); /* epb_dropcount, 8 bytes (this machine is little-endian) */
    XT_EQ(u32_at(last->off + 60 + 12), 10);
    xw_dev_close(tap);
    xw_dev_close(far);
    close(p[0]);
    close(p[1]);
    close(copy);
}

XT_TEST(dead_descriptor_ends_the_capture_only) {
    int p[2];
    signal(SIGPIPE, SIG_IGN);
    XT_EQ(pipe2(p, O_CLOEXEC), 0);
    close(p[0]);
    const struct xw_tap_cfg cfg = { .fd = p[1] };
    open_tap(&cfg);
    XT_EQ(xw_tap_sync(tap), XW_ESYS);
    XT_EQ(errno, EPIPE);
    for (unsigned i = 0; i < 5; i++) {
        send_frame(tap, 1, 60);
        XT_EQ(receive(far), 1);
        send_frame(far, 1, 60);
        XT_EQ(receive(tap), 1);
        tap->ops->tick(tap, i);
    }
    XT_EQ(xw_tap_lost(tap), 10);
    xw_dev_close(tap);
    xw_dev_close(far);
    close(p[1]);
    struct xw_tap_cfg bad = { .fd = -1 };
    struct xw_dev *near, *out = NULL;
    XT_EQ(xw_pair_open(NULL, &near, &far), XW_OK);
    XT_EQ(xw_tap_open(near, &bad, &out), XW_EINVAL);
    xw_dev_close(near);
    xw_dev_close(far);
}

/* Where the block of this type begins; 0: there is none. */
static size_t block_of(uint32_t type) {
    for (size_t at = 0; at < file_len; at += u32_at(at + 4))
        if (u32_at(at) == type)
            return at;
    return 0;
}

/* Secrets that a poll's frames made stand before these frames, and behind those of earlier polls. */
XT_TEST(secrets_stand_before_the_frames_that_made_them) {
    int fd = memfd_create("capture", 0), log = memfd_create("log", 0), log_in = dup(log);
    static const char line[] = "SERVER_TRAFFIC_SECRET_0 00 11\n";
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", log);
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    open_tap(&(struct xw_tap_cfg){ .fd = fd, .secrets_fd = reader });
    tap->ops->tick(tap, 1000);
    send_frame(tap, 1, 60);
    tap->ops->tick(tap, 2000);
    send_frame(tap, 2, 61); /* of this poll … */
    XT_EQ(write(log_in, line, sizeof line - 1), (ssize_t)sizeof line - 1);
    send_frame(tap, 3, 62); /* … as is this */
    tap->ops->tick(tap, 3000);
    send_frame(tap, 4, 63);
    XT_EQ(xw_tap_sync(tap), XW_OK);
    XT_EQ(read_back(fd), 4);
    size_t at = block_of(10);
    XT_TRUE(at > rec[0].off && at < rec[1].off);
    XT_EQ(u32_at(at + 8), 0x544c534b);
    XT_EQ(u32_at(at + 12), sizeof line - 1);
    XT_MEM(file + at + 16, line, sizeof line - 1);
    for (unsigned i = 0; i < 4; i++)
        XT_EQ(file[rec[i].off], i + 1);
    tap->ops->close(tap);
    far->ops->close(far);
    close(fd);
    close(log);
    close(log_in);
    close(reader);
}

/* In the middle of a block that a full pipe cut nothing is put. */
XT_TEST(secrets_never_split_a_block) {
    int p[2], log = memfd_create("log", 0);
    char path[64];
    const char *why;
    XT_EQ(pipe2(p, O_NONBLOCK), 0);
    XT_TRUE(fcntl(p[1], F_SETPIPE_SZ, 4096) >= 4096);
    snprintf(path, sizeof path, "/proc/self/fd/%d", log);
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    open_tap(&(struct xw_tap_cfg){ .fd = p[1], .secrets_fd = reader });
    size_t have = 0;
    for (unsigned poll = 0; poll < 40; poll++) {
        tap->ops->tick(tap, 1000 * poll);
        for (unsigned i = 0; i < 5; i++)
            send_frame(tap, (uint8_t)poll, 700);
        XT_EQ(receive(far), 5);
        XT_EQ(write(log, "LABEL 00 11\n", 12), 12);
        ssize_t n = read(p[0], file + have, 1500);
        have += n > 0 ? (size_t)n : 0;
    }
    for (unsigned i = 0; i < 200; i++) {
        (void)xw_tap_sync(tap);
        ssize_t n = read(p[0], file + have, 4096);
        have += n > 0 ? (size_t)n : 0;
    }
    file_len = have;
    XT_EQ(xw_capture_walk(file, have, rec, 4096, &why), 200);
    XT_TRUE(block_of(10) != 0);
    XT_EQ(xw_tap_lost(tap), 0);
    tap->ops->close(tap);
    far->ops->close(far);
    close(p[0]);
    close(p[1]);
    close(log);
    close(reader);
}

XT_MAIN(XT_RUN(secrets_stand_before_the_frames_that_made_them), XT_RUN(secrets_never_split_a_block),
        XT_RUN(both_directions_with_times), XT_RUN(snap_len_keeps_the_head),
        XT_RUN(full_pipe_loses_frames_of_the_capture_only), XT_RUN(dead_descriptor_ends_the_capture_only))
