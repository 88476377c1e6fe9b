/* python/walker.c: polls one engine and walks its events to the callbacks.
 *
 * The interpreter lock is held while polling: a poll takes less than giving the lock away and getting it back. In a busy
 * loop without events it is offered to other threads every SPIN_NS, and signals are looked at then. When every connection
 * has a compiled handler the lock is given away for the whole run.
 *
 * An exception of a callback ends the call; the next one goes on with the event behind it, so nothing is lost. */
#include "python/walker.h"
#include "base/err.h"
#include <errno.h>
#include <unistd.h>

enum { SPIN_NS = 20000, CLOCK_EVERY = 64, SLOT_MASK = 0xffff };

static struct hot_binding *binding_of(const struct hot_walker *w, const struct xw_event *event) {
    uint32_t slot = event->conn & SLOT_MASK;
    struct hot_binding *b = slot < w->table_len ? w->table[slot] : NULL;
    return b && b->user == event->user && event->type == XW_EV_MESSAGE ? b : NULL;
}

/* ---- handing over ---------------------------------------------------------------------------------------------- */

/* A message that nobody else holds, from the pool's place i; NULL with an exception. */
static struct hot_message *message_at(struct hot_walker *w, uint32_t i) {
    struct hot_message *m = w->pool[i];
    if (m && Py_REFCNT(m) == 1)
        return m;
    struct hot_message *fresh = hot_message_new(w->state, w->stamps_type);
    if (!fresh)
        return NULL;
    w->pool[i] = fresh;
    Py_XDECREF(m);
    return fresh;
}

/* Handled; a callback may have closed the engine, and the events with it. */
static void recorded(struct hot_walker *w, const struct xw_event *events, uint32_t count, uint64_t user_ns) {
    if (w->record && w->engine)
        w->record(w->engine, events, count, user_ns);
}

static int deliver(struct hot_walker *w, struct hot_binding *b, const struct xw_event *event) {
    struct hot_message *m = message_at(w, 0);
    if (!m)
        return -1;
    Py_INCREF(m);
    Py_INCREF(b); /* the callback may end the connection */
    uint64_t now = w->clock();
    hot_message_begin(m, event, b->session, now);
    b->messages++;
    PyObject *args[2] = { NULL, (PyObject *)m };
    PyObject *result = PyObject_Vectorcall(b->callback, args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    int rc = hot_message_end(w->state, m);
    recorded(w, event, 1, now);
    Py_DECREF(b);
    Py_DECREF(m);
    if (!result)
        return -1;
    Py_DECREF(result);
    return rc;
}

/* All messages from w->at on, up to the first event that is none, as one list. */
static int deliver_batch(struct hot_walker *w, uint32_t first, uint32_t count) {
    PyObject *list = PyList_New(count);
    uint32_t made = 0;
    uint64_t now = w->clock();
    for (; list && made < count; made++) {
        struct hot_message *m = message_at(w, made);
        if (!m)
            break;
        struct hot_binding *b = binding_of(w, &w->events[first + made]);
        b->messages++;
        hot_message_begin(m, &w->events[first + made], b->session, now);
        PyList_SET_ITEM(list, made, Py_NewRef((PyObject *)m));
    }
    PyObject *result = list && made == count ? PyObject_CallOneArg(w->on_batch, list) : NULL;
    int rc = 0;
    for (uint32_t i = 0; i < made; i++)
        rc |= hot_message_end(w->state, w->pool[i]);
    if (made)
        recorded(w, &w->events[first], made, now);
    Py_XDECREF(list);
    Py_XDECREF(result);
    return result ? rc : -1;
}

/* How many events from `first` on are messages of b (of any bound connection when b is NULL). */
static uint32_t run_of(const struct hot_walker *w, uint32_t first, const struct hot_binding *b) {
    uint32_t n = first;
    while (n < w->count) {
        const struct hot_binding *at = binding_of(w, &w->events[n]);
        if (!at || (b ? at != b : at->compiled.call != NULL))
            break;
        n++;
    }
    return n - first;
}

/* Hands a run of messages to b's compiled handler. */
static void deliver_compiled(struct hot_walker *w, struct hot_binding *b) {
    uint32_t first = w->at, n = run_of(w, first, b);
    uint64_t now = w->record ? w->clock() : 0;
    w->at = first + n;
    b->messages += n;
    if (b->compiled.call(&w->events[first], n, b->compiled.context))
        w->stop = 1;
    recorded(w, &w->events[first], n, now);
}

static int other(struct hot_walker *w, uint32_t i) {
    PyObject *index = PyLong_FromUnsignedLong(i);
    PyObject *result = index ? PyObject_CallOneArg(w->on_event, index) : NULL;
    Py_XDECREF(index);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* Walks what is in the array; 0, or -1 with an exception. Ends early on stop() and close(). */
static int walk(struct hot_walker *w) {
    int rc = 0;
    while (!rc && w->at < w->count && !w->stop && w->engine) {
        uint32_t i = w->at;
        struct hot_binding *b = binding_of(w, &w->events[i]);
        if (!b) {
            w->at++;
            w->others++;
            rc = other(w, i);
        } else if (b->compiled.call) {
            deliver_compiled(w, b);
        } else if (w->on_batch) {
            uint32_t n = run_of(w, i, NULL);
            w->at += n;
            rc = deliver_batch(w, i, n);
        } else {
            w->at++;
            rc = deliver(w, b, &w->events[i]);
        }
    }
    return rc;
}

/* ---- polling --------------------------------------------------------------------------------------------------- */

int hot_walker_raise(struct hot_walker *w, int rc) {
    PyObject *code = PyLong_FromLong(rc);
    PyObject *result = code ? PyObject_CallOneArg(w->on_error, code) : NULL;
    Py_XDECREF(code);
    Py_XDECREF(result);
    if (result)
        PyErr_Format(PyExc_SystemError, "on_error returned for code %d", rc);
    return -1;
}

/* Fills the array when all of it was walked; 0, or -1 with an exception. */
static int fill(struct hot_walker *w, uint64_t spin_ns) {
    if (w->at < w->count)
        return 0;
    w->at = w->count = 0;
    int n = spin_ns ? w->spin(w->engine, spin_ns, w->events, w->batch) : w->poll(w->engine, w->clock(), w->events, w->batch);
    if (n >= 0) {
        w->count = (uint32_t)n;
        return 0;
    }
    return hot_walker_raise(w, n);
}

static int begin(struct hot_walker *w) {
    if (!w->engine || w->running)
        return hot_walker_raise(w, w->engine ? XW_ESTATE : XW_ECLOSED);
    w->running = true;
    return 0;
}

/* Other threads get the interpreter lock if they want it. -1: a signal's handler raised. */
static int breathe(void) {
    Py_BEGIN_ALLOW_THREADS
    Py_END_ALLOW_THREADS
    return PyErr_CheckSignals();
}

/* Blocks until there is something to poll, or until_ns; 0, or -1 with an exception (of a signal's handler, too). */
static int block(struct hot_walker *w, uint64_t until_ns) {
    uint64_t now = w->clock(), due = w->deadline(w->engine);
    due = due < until_ns ? due : until_ns;
    if (due <= now)
        return breathe();
    int rc;
    Py_BEGIN_ALLOW_THREADS
    rc = w->wait(w->engine, due == UINT64_MAX ? due : due - now);
    Py_END_ALLOW_THREADS
    if (rc == XW_ESYS && errno == EINTR)
        return PyErr_CheckSignals();
    if (rc < 0)
        return hot_walker_raise(w, rc);
    uint64_t drained;
    if (rc == 2 && read(w->wake_fd, &drained, sizeof drained) < 0)
        w->news = true; /* it was not our own */
    return PyErr_CheckSignals();
}

PyObject *hot_walker_step(struct hot_walker *w, uint64_t spin_ns) {
    if (begin(w))
        return NULL;
    w->stop = 0;
    int rc = fill(w, spin_ns > SPIN_NS ? SPIN_NS : spin_ns);
    uint32_t count = w->count;
    if (!rc)
        rc = walk(w);
    if (!rc && !count && spin_ns)
        rc = breathe();
    w->running = false;
    return rc ? NULL : PyLong_FromUnsignedLong(count);
}

/* Polls and calls compiled handlers only, without the interpreter lock; ends with anything else in the array. */
static void run_compiled(struct hot_walker *w, bool busy, uint64_t until_ns) {
    Py_BEGIN_ALLOW_THREADS
    for (;;) {
        while (w->at < w->count && !w->stop) {
            struct hot_binding *b = binding_of(w, &w->events[w->at]);
            if (!b)
                break;
            deliver_compiled(w, b);
        }
        if (w->at < w->count || w->stop)
            break;
        uint64_t now = w->clock();
        if (now >= until_ns)
            break;
        int n = busy ? w->spin(w->engine, SPIN_NS, w->events, w->batch) : w->poll(w->engine, now, w->events, w->batch);
        if (n < 0)
            break; /* fill() meets it again, and says it */
        w->at = 0;
        w->count = (uint32_t)n;
        if (!n)
            break;
    }
    Py_END_ALLOW_THREADS
}

PyObject *hot_walker_run(struct hot_walker *w, bool busy, uint64_t until_ns) {
    if (begin(w))
        return NULL;
    w->others = 0;
    w->news = false;
    int rc = 0;
    uint32_t rounds = 0;
    while (!rc && !w->stop && w->engine && !w->others && !w->news) {
        if (w->bound && w->compiled == w->bound)
            run_compiled(w, busy, until_ns);
        rc = fill(w, busy ? SPIN_NS : 0);
        bool empty = !w->count;
        if (!rc)
            rc = walk(w);
        if (rc || !(empty || ++rounds % CLOCK_EVERY == 0))
            continue;
        if (w->clock() >= until_ns)
            break;
        rc = empty && !busy ? block(w, until_ns) : breathe();
    }
    w->stopped = w->stop != 0;
    w->stop = 0;
    w->running = false;
    return rc ? NULL : PyBool_FromLong(w->news);
}
