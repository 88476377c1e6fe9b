/* base/setup_error.c: one line of text and an errno per thread. */
#include "base/setup_error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STEP_MAX 200 /* a step is a phrase with at most one path or name in it */
#define TEXT_MAX 512 /* the step and a line of OpenSSL's or libbpf's */

static _Thread_local struct { int sys_errno; char text[TEXT_MAX]; } saved;

static int note(int rc, int sys_errno, const char *step, const char *why) {
    saved.sys_errno = sys_errno;
    if (sys_errno)
        snprintf(saved.text, sizeof saved.text, "%.*s: %s (errno %d)", STEP_MAX, step, why, sys_errno);
    else
        snprintf(saved.text, sizeof saved.text, "%.*s: %s", STEP_MAX, step, why);
    return rc;
}

int xw_setup_fail(int rc, const char *step) {
    int keep = errno;
    char why[96];
    note(rc, keep, step, keep ? strerror_r(keep, why, sizeof why) : "failed"); /* GNU strerror_r: the text is returned */
    errno = keep;
    return rc;
}

int xw_setup_failf(int rc, const char *fmt, ...) {
    int keep = errno;
    char step[STEP_MAX + 1];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(step, sizeof step, fmt, ap);
    va_end(ap);
    errno = keep;
    return xw_setup_fail(rc, step);
}

int xw_setup_fail_text(int rc, const char *step, const char *text) {
    int keep = errno;
    note(rc, 0, step, text && *text ? text : "failed");
    errno = keep;
    return rc;
}

void xw_setup_clear(void) {
    saved.sys_errno = 0;
    saved.text[0] = 0;
}

const char *xw_setup_error(int *sys_errno) {
    if (sys_errno)
        *sys_errno = saved.sys_errno;
    return saved.text;
}
