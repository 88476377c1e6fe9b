/* base/assert.c: the end of a failed assertion. Apart from base.c, because it needs a C library with streams and the
 * stack in a box (xw_stack.h) does without. */
#include "base/assert.h"
#include <stdio.h>
#include <stdlib.h>

_Noreturn void xw_assert_fail(const char *expr, const char *file, int line) {
    fprintf(stderr, "xdpws: assertion failed at %s:%d: %s\n", file, line, expr);
    abort();
}
