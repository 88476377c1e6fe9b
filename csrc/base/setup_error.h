/* base/setup_error.h: where and why the last set-up call of this thread failed.
 *
 * Setting up (sockets, memory maps, BPF objects, TLS contexts) fails for reasons that one return code cannot tell. The
 * function that fails notes its step here, and the caller fetches it with xw_setup_error. Per thread, so that two engines
 * never see each other's errors; no allocation. Never used on the packet path. */
#ifndef XW_BASE_SETUP_ERROR_H
#define XW_BASE_SETUP_ERROR_H

/* xw_setup_fail: saves errno and the step that failed ("bind the AF_XDP socket to queue 3"), returns rc. errno is left as it
 * was. The step is copied and may be cut at 200 bytes. */
int xw_setup_fail(int rc, const char *step);
/* xw_setup_failf: the same with a step made as by printf. */
int xw_setup_failf(int rc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* xw_setup_fail_text: a failure without an errno (OpenSSL, libbpf): the text takes the place of strerror, errno 0 is saved. */
int xw_setup_fail_text(int rc, const char *step, const char *text);
/* xw_setup_clear: forgets; every public set-up function begins with it, so that "" means the last one succeeded. */
void xw_setup_clear(void);
/* xw_setup_error: "step: text (errno N)", or "step: text" without an errno, or "" (also in xw_api.h). *sys_errno (may be
 * NULL) gets the saved errno or 0. Valid until the next set-up call of this thread. */
const char *xw_setup_error(int *sys_errno);
#endif
