/* python/walker.h: the walker's inside, shared by walker.c (polls and walks) and walker_type.c (its Python face). */
#ifndef XW_PYTHON_WALKER_H
#define XW_PYTHON_WALKER_H
#include "python/hot.h"

struct hot_walker {
    PyObject_HEAD
    struct hot_state *state;
    struct xw_engine *engine;       /* NULL: closed */
    struct xw_event *events;        /* batch of them */
    int (*poll)(struct xw_engine *, uint64_t now_ns, struct xw_event *, uint32_t max);
    int (*spin)(struct xw_engine *, uint64_t spin_ns, struct xw_event *, uint32_t max);
    uint64_t (*deadline)(const struct xw_engine *);
    int (*wait)(struct xw_engine *, uint64_t timeout_ns);
    int64_t (*send)(struct xw_engine *, uint32_t id, uint8_t opcode, const void *, uint64_t len, uint64_t now_ns);
    uint64_t (*clock)(void);
    /* told what was handled, and when it was handed over; NULL: nobody wants to know (xw_stages_record) */
    void (*record)(struct xw_engine *, const struct xw_event *, uint32_t count, uint64_t user_ns);
    uint32_t batch;
    uint32_t at, count;             /* the next event to walk, and how many there are */
    uint32_t others;                /* events that were no messages, in this run */
    uint32_t bound, compiled;       /* bindings, and those of them that have a compiled handler */
    bool running;
    bool news;                      /* a watched descriptor was readable */
    int wake_fd;                    /* eventfd: stop() from another thread ends a wait */
    bool stopped;                   /* the last run ended by it, or because a compiled handler said so */
    volatile int stop;              /* set by stop(), from any thread */
    struct hot_message **pool;      /* batch messages to use again */
    struct hot_binding **table;     /* by slot of the connection's id */
    uint32_t table_len;
    PyObject *on_event;             /* on_event(index): anything that is no message of a bound connection */
    PyObject *on_error;             /* on_error(code): raises what a negative code of the engine means */
    PyObject *on_batch;             /* NULL: message by message */
    PyTypeObject *stamps_type;      /* of Message.stamps */
};

/* Lets on_error raise what a code means; returns -1. */
int hot_walker_raise(struct hot_walker *w, int code);
PyObject *hot_walker_step(struct hot_walker *w, uint64_t spin_ns);
PyObject *hot_walker_run(struct hot_walker *w, bool busy, uint64_t until_ns);
#endif
