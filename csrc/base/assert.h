/* base/assert.h: XW_ASSERT states what must hold if our own code is right. It is on in the checked, asan, ubsan and
 * fuzz builds (XW_CHECKED) and compiles to nothing in a release. Never use it on what a peer, a driver or a user can
 * cause: count, drop, or return an error there. */
#ifndef XW_BASE_ASSERT_H
#define XW_BASE_ASSERT_H

_Noreturn void xw_assert_fail(const char *expr, const char *file, int line);

#ifdef XW_CHECKED
#define XW_ASSERT(e) ((e) ? (void)0 : xw_assert_fail(#e, __FILE__, __LINE__))
#else
#define XW_ASSERT(e) ((void)sizeof((e) ? 1 : 0))
#endif

#define XW_LIKELY(e) __builtin_expect(!!(e), 1)
#define XW_UNLIKELY(e) __builtin_expect(!!(e), 0)
#endif
