/* A failed assertion ends the program; one that holds costs nothing but its evaluation. */
#include "base/assert.h"
#include "xt.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

XT_TEST(a_failure_aborts) {
    int status = 0;
    pid_t child = fork();
    if (!child) {
        close(2); /* its text is not for the log */
        xw_assert_fail("one == two", "file.c", 7);
    }
    XT_EQ(waitpid(child, &status, 0), child);
    XT_TRUE(WIFSIGNALED(status));
    XT_EQ(WTERMSIG(status), SIGABRT);
}

XT_TEST(what_holds_goes_on) {
    int ran = 0;
    XW_ASSERT(++ran >= 0);
#ifdef XW_CHECKED
    XT_EQ(ran, 1);
#else
    XT_EQ(ran, 0); /* not even evaluated */
#endif
}

XT_MAIN(XT_RUN(a_failure_aborts), XT_RUN(what_holds_goes_on))
