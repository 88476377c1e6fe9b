/* python/message.c: what a callback gets. The memoryview and the stamps are made when they are asked for: most callbacks
 * want one of them. */
#include "python/hot.h"

enum { OPCODE_BINARY = 2 };

static const char over_text[] = "the payload of this message was released when its callback ended; keep bytes(msg.data)";

static struct hot_message *self_of(PyObject *o) { return (struct hot_message *)(void *)o; }

static const struct xw_event *event_of(PyObject *o) {
    const struct xw_event *event = self_of(o)->event;
    if (!event)
        PyErr_SetString(PyExc_ValueError, over_text);
    return event;
}

struct hot_message *hot_message_new(struct hot_state *state, PyTypeObject *stamps_type) {
    struct hot_message *m = PyObject_GC_New(struct hot_message, state->message);
    if (!m)
        return NULL;
    m->event = NULL;
    m->binary = false;
    m->user_ns = 0;
    m->session = NULL;
    m->view = NULL;
    m->stamps_type = (PyTypeObject *)(void *)Py_NewRef((PyObject *)stamps_type);
    PyObject_GC_Track((PyObject *)m);
    return m;
}

void hot_message_begin(struct hot_message *m, const struct xw_event *event, PyObject *session, uint64_t user_ns) {
    m->event = event;
    m->binary = event->opcode == OPCODE_BINARY;
    m->user_ns = user_ns;
    if (m->session != session)
        Py_XSETREF(m->session, Py_XNewRef(session));
}

int hot_message_end(struct hot_state *state, struct hot_message *m) {
    m->event = NULL;
    PyObject *view = m->view;
    if (!view)
        return 0;
    m->view = NULL;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *done = PyObject_CallMethodNoArgs(view, state->release);
    Py_DECREF(view);
    if (!done && !type)
        return -1;
    Py_XDECREF(done);
    if (type)
        PyErr_Restore(type, value, trace); /* the callback's own error says more */
    return 0;
}

static PyObject *get_data(PyObject *o, void *closure) {
    (void)closure;
    struct hot_message *m = self_of(o);
    if (m->view)
        return Py_NewRef(m->view);
    const struct xw_event *event = event_of(o);
    if (!event)
        return NULL;
    /* FromMemory takes no const; PyBUF_READ makes the view read-only */
    m->view = PyMemoryView_FromMemory((char *)(uintptr_t)event->data, (Py_ssize_t)event->len, PyBUF_READ);
    return Py_XNewRef(m->view);
}

static PyObject *get_binary(PyObject *o, void *closure) {
    (void)closure;
    return PyBool_FromLong(self_of(o)->binary);
}

static PyObject *get_session(PyObject *o, void *closure) {
    (void)closure;
    PyObject *session = self_of(o)->session;
    return Py_NewRef(session ? session : Py_None);
}

static PyObject *get_text(PyObject *o, void *closure) {
    (void)closure;
    const struct xw_event *event = event_of(o);
    return event ? PyUnicode_DecodeUTF8((const char *)event->data, (Py_ssize_t)event->len, NULL) : NULL;
}

static PyObject *time_or_none(uint32_t known, uint64_t ns) {
    return known ? PyLong_FromUnsignedLongLong(ns) : Py_NewRef(Py_None);
}

/* xdpws.Stamps is a tuple with names: it is filled here, since calling its constructor costs more than the callback. */
static PyObject *get_stamps(PyObject *o, void *closure) {
    (void)closure;
    const struct hot_message *m = self_of(o);
    if (!m->event) {
        PyErr_SetString(PyExc_ValueError, "the stamps of a message can be read only in its callback");
        return NULL;
    }
    const struct xw_stamps *s = &m->event->stamps;
    const uint32_t known[] = { XW_ST_NIC, XW_ST_KERNEL, XW_ST_RING, XW_ST_DECRYPT_BEGIN, XW_ST_DECRYPT_END, XW_ST_PARSED, XW_ST_FIRST };
    const uint64_t ns[] = { s->nic_ns, s->kernel_ns, s->ring_ns, s->decrypt_begin_ns, s->decrypt_end_ns, s->parsed_ns, s->first_ns };
    PyObject *made = m->stamps_type->tp_alloc(m->stamps_type, HOT_STAMPS);
    for (int i = 0; made && i < HOT_STAMPS; i++) {
        PyObject *time = i < HOT_STAMPS - 1 ? time_or_none(s->valid & known[i], ns[i]) : PyLong_FromUnsignedLongLong(m->user_ns);
        if (!time)
            Py_CLEAR(made);
        else
            PyTuple_SET_ITEM(made, i, time);
    }
    return made;
}

static PyObject *to_bytes(PyObject *o, PyObject *unused) {
    (void)unused;
    const struct xw_event *event = event_of(o);
    return event ? PyBytes_FromStringAndSize((const char *)event->data, (Py_ssize_t)event->len) : NULL;
}

static Py_ssize_t length(PyObject *o) {
    const struct xw_event *event = event_of(o);
    return event ? (Py_ssize_t)event->len : -1;
}

static PyObject *repr(PyObject *o) {
    const struct hot_message *m = self_of(o);
    const char *kind = m->binary ? "binary" : "text";
    if (!m->event)
        return PyUnicode_FromFormat("<Message %s, its callback is over>", kind);
    return PyUnicode_FromFormat("<Message %s, %zd bytes>", kind, (Py_ssize_t)m->event->len);
}

static int get_buffer(PyObject *o, Py_buffer *view, int flags) {
    const struct xw_event *event = self_of(o)->event;
    if (!event) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError, over_text);
        return -1;
    }
    return PyBuffer_FillInfo(view, o, (void *)(uintptr_t)event->data, (Py_ssize_t)event->len, 1, flags);
}

static int traverse(PyObject *o, visitproc visit, void *arg) {
    const struct hot_message *m = self_of(o);
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(m->session);
    Py_VISIT(m->view);
    Py_VISIT(m->stamps_type);
    return 0;
}

static int clear(PyObject *o) {
    struct hot_message *m = self_of(o);
    Py_CLEAR(m->session);
    Py_CLEAR(m->view);
    Py_CLEAR(m->stamps_type);
    return 0;
}

static const PyGetSetDef attributes[] = {
    { "data", get_data, NULL,
      "The payload, a read-only memoryview of the receive buffer. It is released when the callback ends: using it later\n"
      "raises ValueError. Keep bytes(msg.data), or bytes(msg).", NULL },
    { "binary", get_binary, NULL, "False for text (its bytes are UTF-8).", NULL },
    { "session", get_session, NULL, "The connection that it came on (`xdpws.Session`).", NULL },
    { "text", get_text, NULL, "The payload decoded as UTF-8 (a copy).", NULL },
    { "stamps", get_stamps, NULL, "When the message passed each stage (`xdpws.Stamps`); made when asked for.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

static const PyMethodDef methods[] = {
    { "__bytes__", to_bytes, METH_NOARGS, "A copy of the payload." },
    { NULL, NULL, 0, NULL },
};

static const PyType_Slot slots[] = {
    { Py_tp_doc, SLOT("One data message, valid in its callback. It has the buffer protocol: struct.unpack_from(fmt, msg),\n"
                      "numpy.frombuffer(msg) and orjson.loads(memoryview(msg)) need no copy; what they keep of the buffer\n"
                      "must not outlive the callback.") },
    { Py_tp_getset, SLOT(attributes) },
    { Py_tp_methods, SLOT(methods) },
    { Py_tp_repr, SLOT(repr) },
    { Py_sq_length, SLOT(length) },
    { Py_bf_getbuffer, SLOT(get_buffer) },
    { Py_tp_traverse, SLOT(traverse) },
    { Py_tp_clear, SLOT(clear) },
    { Py_tp_dealloc, SLOT(hot_dealloc) },
    { 0, NULL },
};

const PyType_Spec hot_message_spec = {
    .name = "xdpws._hot.Message",
    .basicsize = sizeof(struct hot_message),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = SLOT(slots),
};
