/* python/hot.h: what the files of the extension xdpws._hot share. It walks the events of one engine and calls the user's
 * callbacks, in C, because the walk costs more than the whole stack below it when it is done by the interpreter.
 *
 * Nothing of csrc is linked in: the walker is handed the addresses of xw_poll and xw_monotonic_ns of the extension that
 * has them (xdpws._core), so there is one copy of the engine's code, and a test can play an engine of its own.
 *
 * Who owns what: the walker borrows the engine and the event array (its maker keeps both alive and calls close() before
 * either goes). A Message borrows the event that it shows until its callback is over; then it shows nothing. */
#ifndef XW_PYTHON_HOT_H
#define XW_PYTHON_HOT_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include "xw.h"
#include <stdbool.h>

/* A slot holds any pointer as void *; ISO C converts neither functions nor const to that: by way of an integer. */
#define SLOT(f) ((void *)(uintptr_t)(f))

/* of the module; found from any of its types */
struct hot_state {
    PyTypeObject *message;
    PyTypeObject *binding;
    PyTypeObject *walker;
    PyObject *release; /* "release", interned */
};

enum { HOT_STAMPS = 8 }; /* nic, kernel, ring, decrypt_begin, decrypt_end, parsed, first, user */

struct hot_message {
    PyObject_HEAD
    const struct xw_event *event; /* NULL: its callback is over */
    bool binary;
    uint64_t user_ns;             /* when it was handed over */
    PyObject *session;            /* may be NULL */
    PyObject *view;               /* the memoryview, once `data` was asked for */
    PyTypeObject *stamps_type;    /* a tuple type of HOT_STAMPS times */
};

/* A handler that runs without the interpreter: events of one connection, all of type MESSAGE, count >= 1; not 0 ends the
 * run behind them. What they show is valid until it returns. */
struct hot_compiled {
    int (*call)(const struct xw_event *events, uint32_t count, void *context); /* NULL: none */
    void *context;
};

/* where the messages of one connection go */
struct hot_binding {
    PyObject_HEAD
    uint64_t user;          /* of its events */
    uint32_t conn;
    uint64_t messages;      /* handed over */
    PyObject *callback;     /* NULL: compiled, or the walker's on_batch */
    PyObject *session;      /* may be NULL */
    PyObject *walker;       /* that it belongs to: its engine sends */
    struct hot_compiled compiled;
};

extern const PyType_Spec hot_message_spec;
extern const PyType_Spec hot_binding_spec;
extern const PyType_Spec hot_walker_spec;

/* The end of an object of ours: it lets go of what its tp_clear names. */
void hot_dealloc(PyObject *o);
/* A message that shows nothing yet; NULL with an exception. */
struct hot_message *hot_message_new(struct hot_state *state, PyTypeObject *stamps_type);
/* From now on it shows `event` on `session` (may be NULL); nothing can fail. */
void hot_message_begin(struct hot_message *m, const struct xw_event *event, PyObject *session, uint64_t user_ns);
/* Its callback is over: views are released. An exception that is set stays set; returns -1 with one if releasing failed. */
int hot_message_end(struct hot_state *state, struct hot_message *m);
#endif
