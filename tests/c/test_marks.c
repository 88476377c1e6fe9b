#include "mem/marks.h"
#include "xt.h"

static struct xw_marks t;

static void push(uint64_t end, uint64_t kern, uint64_t head) {
    struct xw_mark m = { .end = end, .last = { .kern_ns = kern, .valid = XW_RXS_KERN }, .begin_ns = kern,
                         .done_ns = kern + 1 };
    m.first = m.last;
    xw_marks_push(&t, &m, head);
}

static uint64_t kern_at(uint64_t off) {
    const struct xw_mark *m = xw_marks_find(&t, off);
    return m ? m->last.kern_ns : 0;
}

XT_TEST(a_mark_covers_up_to_its_end) {
    xw_marks_reset(&t);
    XT_EQ(kern_at(0), 0);
    push(10, 1, 0);
    push(11, 2, 0);
    push(20, 3, 0);
    XT_EQ(kern_at(0), 1);
    XT_EQ(kern_at(9), 1);
    XT_EQ(kern_at(10), 2);
    XT_EQ(kern_at(11), 3);
    XT_EQ(kern_at(19), 3);
    XT_EQ(kern_at(20), 0);
}

/* Consumed marks stay until their place is needed; then the oldest is forgotten, not answered wrongly. */
XT_TEST(the_oldest_consumed_goes_first) {
    xw_marks_reset(&t);
    for (uint64_t i = 1; i <= XW_MARKS_MAX + 5; i++)
        push(10 * i, i, 10 * i - 10);
    XT_EQ(t.cnt, XW_MARKS_MAX);
    XT_EQ(kern_at(49), 0);
    XT_EQ(kern_at(50), 6);
    for (uint64_t off = 50; off < 10 * (XW_MARKS_MAX + 5); off++)
        XT_EQ(kern_at(off), off / 10 + 1);
}

/* Nothing consumed and the table full: the newest takes the new bytes in, with the later times as its last. */
XT_TEST(unread_marks_are_merged_when_full) {
    xw_marks_reset(&t);
    for (uint64_t i = 1; i <= XW_MARKS_MAX + 3; i++)
        push(10 * i, i, 0);
    XT_EQ(t.cnt, XW_MARKS_MAX);
    XT_EQ(kern_at(0), 1);
    const struct xw_mark *m = xw_marks_find(&t, 10 * (XW_MARKS_MAX + 3) - 1);
    XT_EQ(m->last.kern_ns, XW_MARKS_MAX + 3);
    XT_EQ(m->first.kern_ns, XW_MARKS_MAX);
    XT_EQ(m->begin_ns, XW_MARKS_MAX);
    XT_EQ(m->done_ns, XW_MARKS_MAX + 4);
    XT_EQ(kern_at(10 * (XW_MARKS_MAX - 1) - 1), XW_MARKS_MAX - 1);
    push(10 * (XW_MARKS_MAX + 4), 7777, 10);
    XT_EQ(t.cnt, XW_MARKS_MAX); /* the first was consumed: its place is used again */
    XT_EQ(kern_at(10 * (XW_MARKS_MAX + 4) - 1), 7777);
    XT_EQ(kern_at(9), 0);
}

XT_MAIN(XT_RUN(a_mark_covers_up_to_its_end), XT_RUN(the_oldest_consumed_goes_first),
        XT_RUN(unread_marks_are_merged_when_full))
