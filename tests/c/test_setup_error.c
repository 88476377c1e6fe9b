/* the per-thread note of what failed in a set-up call */
#include "base/setup_error.h"
#include "base/err.h"
#include "xt.h"
#include <errno.h>
#include <pthread.h>

XT_TEST(nothing_failed) {
    int e = 77;
    xw_setup_clear();
    XT_STR(xw_setup_error(&e), "");
    XT_EQ(e, 0);
}

XT_TEST(errno_and_step) {
    int e = 0;
    errno = EPERM;
    XT_EQ(xw_setup_fail(XW_ESYS, "open an AF_XDP socket"), XW_ESYS);
    XT_EQ(errno, EPERM);
    XT_STR(xw_setup_error(&e), "open an AF_XDP socket: Operation not permitted (errno 1)");
    XT_EQ(e, EPERM);
    XT_STR(xw_setup_error(NULL), "open an AF_XDP socket: Operation not permitted (errno 1)");
    errno = ENODEV;
    XT_EQ(xw_setup_failf(XW_EINVAL, "queue %d of %s", 3, "eth9"), XW_EINVAL);
    XT_STR(xw_setup_error(&e), "queue 3 of eth9: No such device (errno 19)");
    XT_EQ(e, ENODEV);
}

XT_TEST(text_without_errno) {
    int e = 5;
    errno = EIO;
    XT_EQ(xw_setup_fail_text(XW_ETLS, "read the CA file", "no start line"), XW_ETLS);
    XT_STR(xw_setup_error(&e), "read the CA file: no start line");
    XT_EQ(e, 0);
    XT_EQ(errno, EIO);
    xw_setup_fail_text(XW_ETLS, "read the CA file", NULL);
    XT_STR(xw_setup_error(&e), "read the CA file: failed");
}

XT_TEST(long_text_is_cut) {
    char step[2000];
    memset(step, 's', sizeof step - 1);
    step[sizeof step - 1] = 0;
    errno = ENOENT;
    xw_setup_failf(XW_ESYS, "%s", step);
    XT_EQ(strlen(xw_setup_error(NULL)), 200 + strlen(": No such file or directory (errno 2)"));
    xw_setup_fail_text(XW_ETLS, step, step);
    XT_EQ(strlen(xw_setup_error(NULL)), 511);
}

static void *other_thread(void *seen) {
    strcpy(seen, xw_setup_error(NULL));
    errno = EINTR;
    xw_setup_fail(XW_ESYS, "other");
    return NULL;
}

XT_TEST(per_thread) {
    char seen[512];
    pthread_t t;
    errno = EBUSY;
    xw_setup_fail(XW_ESYS, "mine");
    XT_EQ(pthread_create(&t, NULL, other_thread, seen), 0);
    pthread_join(t, NULL);
    XT_STR(seen, "");
    XT_STR(xw_setup_error(NULL), "mine: Device or resource busy (errno 16)");
}

XT_MAIN(XT_RUN(nothing_failed), XT_RUN(errno_and_step), XT_RUN(text_without_errno), XT_RUN(long_text_is_cut), XT_RUN(per_thread))
