#include "base/err.h"
#include "mem/frames.h"
#include "xt.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEN 64u

static uint8_t area[8 * LEN];

static uint32_t sum(const struct xw_frames *f) {
    uint32_t c[XW_FRAME_STATES];
    return xw_frames_counts(f, c);
}

/* The frame that was freed last is used next, and one that is held for long blocks no other. */
XT_TEST(last_freed_is_next_out) {
    struct xw_frames f;
    XT_EQ(xw_frames_init(&f, area, 8, LEN), XW_OK);
    uint32_t held = xw_frames_take(&f, XW_FRAME_STACK), a = xw_frames_take(&f, XW_FRAME_STACK);
    XT_TRUE(held != a);
    xw_frames_put(&f, a, XW_FRAME_STACK);
    for (int i = 0; i < 100; i++) {
        uint32_t b = xw_frames_take(&f, XW_FRAME_STACK);
        XT_EQ(b, a);
        xw_frames_put(&f, b, XW_FRAME_STACK);
    }
    xw_frames_put(&f, held, XW_FRAME_STACK);
    xw_frames_fini(&f);
}

/* Every id comes out once, and then none; whatever the moves, the states sum to the pool. */
XT_TEST(states_always_sum_to_the_pool) {
    struct xw_frames f;
    uint32_t c[XW_FRAME_STATES], seen = 0;
    xw_frames_init(&f, area, 8, LEN);
    for (int i = 0; i < 8; i++) {
        uint32_t id = xw_frames_take(&f, XW_FRAME_FILL);
        XT_TRUE(id < 8 && !(seen & 1u << id));
        seen |= 1u << id;
        XT_EQ(sum(&f), 8);
    }
    XT_EQ(xw_frames_take(&f, XW_FRAME_FILL), XW_FRAME_NONE);
    xw_frames_move(&f, 3, XW_FRAME_FILL, XW_FRAME_RX);
    xw_frames_move(&f, 5, XW_FRAME_FILL, XW_FRAME_RX);
    xw_frames_move(&f, 3, XW_FRAME_RX, XW_FRAME_STACK);
    XT_EQ(xw_frames_counts(&f, c), 8);
    XT_EQ(c[XW_FRAME_FILL], 6);
    XT_EQ(c[XW_FRAME_RX], 1);
    XT_EQ(c[XW_FRAME_STACK], 1);
    xw_frames_put(&f, 3, XW_FRAME_STACK);
    XT_EQ(xw_frames_take(&f, XW_FRAME_STACK), 3);
    xw_frames_move(&f, 3, XW_FRAME_STACK, XW_FRAME_TX);
    xw_frames_move(&f, 3, XW_FRAME_TX, XW_FRAME_DONE);
    XT_EQ(sum(&f), 8);
    xw_frames_put(&f, 3, XW_FRAME_DONE);
    xw_frames_reclaim(&f);
    XT_EQ(xw_frames_counts(&f, c), 8);
    XT_EQ(c[XW_FRAME_FREE], 8);
    xw_frames_fini(&f);
}

XT_TEST(refuses_an_empty_pool) {
    struct xw_frames f;
    XT_EQ(xw_frames_init(&f, NULL, 8, LEN), XW_EINVAL);
    XT_EQ(xw_frames_init(&f, area, 0, LEN), XW_EINVAL);
    XT_EQ(xw_frames_init(&f, area, 8, 0), XW_EINVAL);
    xw_frames_fini(&f);
}

#ifdef XW_CHECKED
static struct xw_frames pool;
static void twice_freed(void) { xw_frames_put(&pool, 0, XW_FRAME_STACK); xw_frames_put(&pool, 0, XW_FRAME_STACK); }
static void wrong_state_left(void) { xw_frames_move(&pool, 0, XW_FRAME_FILL, XW_FRAME_RX); }
static void not_in_the_picture(void) { xw_frames_move(&pool, 0, XW_FRAME_STACK, XW_FRAME_FILL); }
static void no_such_frame(void) { xw_frames_put(&pool, 8, XW_FRAME_STACK); }
static void closed_while_lent(void) { xw_frames_fini(&pool); }
static void reclaimed_while_lent(void) { xw_frames_reclaim(&pool); }

static int died_of(void (*fn)(void)) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        fclose(stderr); /* the assertion's text is expected */
        fn();
        _exit(0);
    }
    int st = 0;
    XT_EQ(waitpid(pid, &st, 0), pid);
    return WIFSIGNALED(st) ? WTERMSIG(st) : 0;
}

XT_TEST(each_misuse_is_caught) {
    xw_frames_init(&pool, area, 8, LEN);
    XT_EQ(xw_frames_take(&pool, XW_FRAME_STACK), 0);
    XT_EQ(died_of(twice_freed), SIGABRT);
    XT_EQ(died_of(wrong_state_left), SIGABRT);
    XT_EQ(died_of(not_in_the_picture), SIGABRT);
    XT_EQ(died_of(no_such_frame), SIGABRT);
    XT_EQ(died_of(closed_while_lent), SIGABRT);
    XT_EQ(died_of(reclaimed_while_lent), SIGABRT);
    xw_frames_put(&pool, 0, XW_FRAME_STACK);
    xw_frames_fini(&pool);
}

XT_TEST(freed_bytes_are_poisoned) {
    struct xw_frames f;
    xw_frames_init(&f, area, 8, LEN);
    uint32_t id = xw_frames_take(&f, XW_FRAME_STACK);
    memset(xw_frames_at(&f, id), 1, LEN);
    xw_frames_put(&f, id, XW_FRAME_STACK);
    for (uint32_t i = 0; i < LEN; i++)
        XT_EQ(xw_frames_at(&f, id)[i], XW_FRAME_POISON);
    xw_frames_fini(&f);
}
#endif

#ifdef XW_CHECKED
XT_MAIN(XT_RUN(last_freed_is_next_out), XT_RUN(states_always_sum_to_the_pool), XT_RUN(refuses_an_empty_pool),
        XT_RUN(each_misuse_is_caught), XT_RUN(freed_bytes_are_poisoned))
#else
XT_MAIN(XT_RUN(last_freed_is_next_out), XT_RUN(states_always_sum_to_the_pool), XT_RUN(refuses_an_empty_pool))
#endif
