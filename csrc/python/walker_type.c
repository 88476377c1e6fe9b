/* python/walker_type.c: the walker as a Python type. */
#include "python/walker.h"
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct hot_walker *self_of(PyObject *o) { return (struct hot_walker *)(void *)o; }

static void forget(struct hot_walker *w, uint32_t slot) {
    struct hot_binding *b = slot < w->table_len ? w->table[slot] : NULL;
    if (!b)
        return;
    w->table[slot] = NULL;
    w->bound--;
    w->compiled -= b->compiled.call != NULL;
    Py_DECREF(b);
}

static int traverse(PyObject *o, visitproc visit, void *arg) {
    const struct hot_walker *w = self_of(o);
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(w->on_event);
    Py_VISIT(w->on_error);
    Py_VISIT(w->on_batch);
    Py_VISIT(w->stamps_type);
    for (uint32_t i = 0; i < w->table_len; i++)
        Py_VISIT(w->table[i]);
    for (uint32_t i = 0; w->pool && i < w->batch; i++)
        Py_VISIT(w->pool[i]);
    return 0;
}

static int clear(PyObject *o) {
    struct hot_walker *w = self_of(o);
    Py_CLEAR(w->on_event);
    Py_CLEAR(w->on_error);
    Py_CLEAR(w->on_batch);
    Py_CLEAR(w->stamps_type);
    for (uint32_t i = 0; i < w->table_len; i++)
        forget(w, i);
    for (uint32_t i = 0; w->pool && i < w->batch; i++)
        Py_CLEAR(w->pool[i]);
    return 0;
}

/* With the GIL, as stop(): nobody writes into a descriptor that is somebody else's by now. */
static void close_wake_fd(struct hot_walker *w) {
    if (w->wake_fd >= 0)
        close(w->wake_fd);
    w->wake_fd = -1;
}

static void dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    clear(o);
    close_wake_fd(self_of(o));
    PyMem_Free(self_of(o)->pool);
    PyMem_Free(self_of(o)->table);
    type->tp_free(o);
    Py_DECREF(type);
}

/* Addresses come as integers: cffi has them, and the two extensions share no types. */
static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = { "engine", "events", "batch", "poll", "spin", "deadline", "wait", "send", "clock",
                                         "on_event", "on_error", "on_batch", "stamps", "record", NULL };
    unsigned long long engine = 0, events = 0, poll = 0, spin = 0, deadline = 0, wait = 0, send = 0, clock = 0, record = 0;
    unsigned int batch = 0;
    PyObject *on_event = NULL, *on_error = NULL, *on_batch = Py_None, *stamps = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$KKIKKKKKKOOOOK:Walker", (char **)(uintptr_t)names, &engine, &events, &batch,
                                     &poll, &spin, &deadline, &wait, &send, &clock, &on_event, &on_error, &on_batch,
                                     &stamps, &record))
        return NULL;
    if (!on_event || !on_error || !stamps) {
        PyErr_SetString(PyExc_TypeError, "Walker: on_event, on_error or stamps is missing");
        return NULL;
    }
    if (!PyType_Check(stamps) || !PyType_FastSubclass((PyTypeObject *)(void *)stamps, Py_TPFLAGS_TUPLE_SUBCLASS)) {
        PyErr_SetString(PyExc_TypeError, "Walker: stamps is no type of tuples");
        return NULL;
    }
    if (!engine || !events || !batch || !poll || !spin || !deadline || !wait || !send || !clock) {
        PyErr_SetString(PyExc_ValueError, "an address or the batch is 0");
        return NULL;
    }
    struct hot_walker *w = self_of(type->tp_alloc(type, 0));
    if (!w)
        return NULL;
    w->wake_fd = -1;
    w->state = PyType_GetModuleState(type);
    w->engine = (void *)(uintptr_t)engine;
    w->events = (void *)(uintptr_t)events;
    w->poll = (int (*)(struct xw_engine *, uint64_t, struct xw_event *, uint32_t))(uintptr_t)poll;
    w->spin = (int (*)(struct xw_engine *, uint64_t, struct xw_event *, uint32_t))(uintptr_t)spin;
    w->deadline = (uint64_t (*)(const struct xw_engine *))(uintptr_t)deadline;
    w->wait = (int (*)(struct xw_engine *, uint64_t))(uintptr_t)wait;
    w->send = (int64_t (*)(struct xw_engine *, uint32_t, uint8_t, const void *, uint64_t, uint64_t))(uintptr_t)send;
    w->clock = (uint64_t (*)(void))(uintptr_t)clock;
    w->record = (void (*)(struct xw_engine *, const struct xw_event *, uint32_t, uint64_t))(uintptr_t)record;
    w->batch = batch;
    w->on_event = Py_NewRef(on_event);
    w->on_error = Py_NewRef(on_error);
    w->on_batch = on_batch == Py_None ? NULL : Py_NewRef(on_batch);
    w->stamps_type = (PyTypeObject *)(void *)Py_NewRef(stamps);
    w->pool = PyMem_Calloc(batch, sizeof(struct hot_message *));
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!w->pool || w->wake_fd < 0) {
        w->pool ? PyErr_SetFromErrno(PyExc_OSError) : PyErr_NoMemory();
        Py_DECREF(w);
        return NULL;
    }
    return (PyObject *)w;
}

static int make_room(struct hot_walker *w, uint32_t slot) {
    if (slot < w->table_len)
        return 0;
    uint32_t len = slot + 16;
    struct hot_binding **table = PyMem_Realloc(w->table, len * sizeof(struct hot_binding *));
    if (!table) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = w->table_len; i < len; i++)
        table[i] = NULL;
    w->table = table;
    w->table_len = len;
    return 0;
}

static PyObject *bind(PyObject *o, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = { "conn", "user", "callback", "session", "compiled", "context", NULL };
    struct hot_walker *w = self_of(o);
    unsigned int conn;
    unsigned long long user, compiled = 0, context = 0;
    PyObject *callback, *session;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "IKOO|$KK:bind", (char **)(uintptr_t)names, &conn, &user, &callback, &session,
                                     &compiled, &context))
        return NULL;
    uint32_t slot = conn & 0xffff;
    if (make_room(w, slot))
        return NULL;
    struct hot_binding *b = PyObject_GC_New(struct hot_binding, w->state->binding);
    if (!b)
        return NULL;
    b->user = user;
    b->conn = conn;
    b->messages = 0;
    b->callback = compiled ? NULL : Py_NewRef(callback);
    b->session = session == Py_None ? NULL : Py_NewRef(session);
    b->walker = Py_NewRef(o);
    b->compiled.call = (int (*)(const struct xw_event *, uint32_t, void *))(uintptr_t)compiled;
    b->compiled.context = (void *)(uintptr_t)context;
    PyObject_GC_Track((PyObject *)b);
    forget(w, slot);
    w->table[slot] = (struct hot_binding *)(void *)Py_NewRef((PyObject *)b);
    w->bound++;
    w->compiled += b->compiled.call != NULL;
    return (PyObject *)b;
}

static PyObject *unbind(PyObject *o, PyObject *arg) {
    struct hot_walker *w = self_of(o);
    unsigned long conn = PyLong_AsUnsignedLong(arg);
    if (conn == (unsigned long)-1 && PyErr_Occurred())
        return NULL;
    uint32_t slot = (uint32_t)conn & 0xffff;
    if (slot < w->table_len && w->table[slot] && w->table[slot]->conn == conn)
        forget(w, slot);
    Py_RETURN_NONE;
}

static PyObject *step(PyObject *o, PyObject *arg) {
    unsigned long long spin_ns = PyLong_AsUnsignedLongLong(arg);
    return PyErr_Occurred() ? NULL : hot_walker_step(self_of(o), spin_ns);
}

static PyObject *run(PyObject *o, PyObject *const *args, Py_ssize_t count) {
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "run(busy, until_ns)");
        return NULL;
    }
    int busy = PyObject_IsTrue(args[0]);
    unsigned long long until_ns = PyLong_AsUnsignedLongLong(args[1]);
    return busy < 0 || PyErr_Occurred() ? NULL : hot_walker_run(self_of(o), busy != 0, until_ns);
}

static PyObject *stop(PyObject *o, PyObject *unused) {
    (void)unused;
    self_of(o)->stop = 1;
    if (self_of(o)->wake_fd < 0)
        Py_RETURN_NONE;
    if (write(self_of(o)->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t)) < 0 && errno != EAGAIN) /* full: woken all the same */
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyObject *close_walker(PyObject *o, PyObject *unused) {
    (void)unused;
    self_of(o)->engine = NULL;
    close_wake_fd(self_of(o)); /* who keeps the connection keeps this object, too */
    Py_RETURN_NONE;
}

static PyObject *get_waiting(PyObject *o, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(self_of(o)->count - self_of(o)->at);
}

static PyObject *get_wake_fd(PyObject *o, void *closure) {
    (void)closure;
    return PyLong_FromLong(self_of(o)->wake_fd);
}

static PyObject *get_stopped(PyObject *o, void *closure) {
    (void)closure;
    return PyBool_FromLong(self_of(o)->stopped);
}

static const PyGetSetDef attributes[] = {
    { "stopped", get_stopped, NULL, "Whether stop(), or a compiled handler's result, ended the last run.", NULL },
    { "waiting", get_waiting, NULL, "Events in the array that were not walked yet.", NULL },
    { "wake_fd", get_wake_fd, NULL, "Readable after stop(): for the engine to watch, so that stop() ends a wait.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

static const PyMethodDef methods[] = {
    { "bind", (PyCFunction)(void (*)(void))bind, METH_VARARGS | METH_KEYWORDS,
      "bind(conn, user, callback, session, *, compiled=0, context=0): messages of the connection `conn` whose events bear\n"
      "`user` go to callback(message), or to the C function at address `compiled`. Returns the Binding." },
    { "unbind", unbind, METH_O, "unbind(conn): its messages go to on_event again." },
    { "step", step, METH_O,
      "step(spin_ns): one poll and its events; returns how many. spin_ns: how long to spin when there is nothing, at most\n"
      "20,000 ns." },
    { "run", (PyCFunction)(void (*)(void))run, METH_FASTCALL,
      "run(busy, until_ns): polls and walks until an event that is no message was walked, stop() was called, the clock shows\n"
      "until_ns, or a watched descriptor is readable, for which it returns True. When there is nothing it spins, or blocks." },
    { "stop", stop, METH_NOARGS, "Ends the run behind the event that is being walked; from any thread." },
    { "close", close_walker, METH_NOARGS, "The engine is about to go: nothing is polled or walked any more." },
    { NULL, NULL, 0, NULL },
};

static const PyType_Slot slots[] = {
    { Py_tp_doc, SLOT("Polls one engine and walks its events to callbacks. Every call belongs to the engine's thread, but stop.") },
    { Py_tp_new, SLOT(make) },
    { Py_tp_getset, SLOT(attributes) },
    { Py_tp_methods, SLOT(methods) },
    { Py_tp_traverse, SLOT(traverse) },
    { Py_tp_clear, SLOT(clear) },
    { Py_tp_dealloc, SLOT(dealloc) },
    { 0, NULL },
};

const PyType_Spec hot_walker_spec = {
    .name = "xdpws._hot.Walker",
    .basicsize = sizeof(struct hot_walker),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = SLOT(slots),
};
