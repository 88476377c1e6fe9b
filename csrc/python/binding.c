/* python/binding.c: one connection as the hot loop sees it: where its messages go, how many went there, and sending on it
 * without a detour. Made by Walker.bind. */
#include "base/err.h"
#include "python/walker.h"
#include <stddef.h>

static int traverse(PyObject *o, visitproc visit, void *arg) {
    const struct hot_binding *b = (void *)o;
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(b->callback);
    Py_VISIT(b->session);
    Py_VISIT(b->walker);
    return 0;
}

static int clear(PyObject *o) {
    struct hot_binding *b = (void *)o;
    Py_CLEAR(b->callback);
    Py_CLEAR(b->session);
    Py_CLEAR(b->walker);
    return 0;
}

enum { OPCODE_TEXT = 1, OPCODE_BINARY = 2 };

/* True: all was taken; False: no room at all, or the connection is ending; bytes: what was not taken. */
static PyObject *give(const struct hot_binding *b, uint8_t opcode, const char *data, Py_ssize_t len) {
    struct hot_walker *w = (void *)b->walker;
    int64_t taken = w->engine ? w->send(w->engine, b->conn, opcode, data, (uint64_t)len, w->clock()) : XW_ECLOSED;
    if (taken >= len)
        return Py_NewRef(Py_True);
    if (taken >= 0)
        return PyBytes_FromStringAndSize(data + taken, len - (Py_ssize_t)taken);
    if (taken == XW_EAGAIN || (taken == XW_ECLOSED && w->engine))
        return Py_NewRef(Py_False);
    hot_walker_raise(w, (int)taken);
    return NULL;
}

static PyObject *send_message(PyObject *o, PyObject *data) {
    const struct hot_binding *b = (void *)o;
    if (PyUnicode_Check(data)) {
        Py_ssize_t len;
        const char *text = PyUnicode_AsUTF8AndSize(data, &len);
        return text ? give(b, OPCODE_TEXT, text, len) : NULL;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE))
        return NULL;
    PyObject *result = give(b, OPCODE_BINARY, view.buf, view.len);
    PyBuffer_Release(&view);
    return result;
}

static const PyMethodDef methods[] = {
    { "send", send_message, METH_O,
      "send(data): one message at once, text for str and binary for anything with a buffer. True when all of it was taken,\n"
      "False when there is no room at all or the connection is ending; else the rest as bytes, to follow by xw_conn_send_more." },
    { NULL, NULL, 0, NULL },
};

static const PyMemberDef members[] = {
    { "messages", T_ULONGLONG, offsetof(struct hot_binding, messages), READONLY, "Messages handed over." },
    { NULL, 0, 0, 0, NULL },
};

static const PyType_Slot slots[] = {
    { Py_tp_doc, SLOT("Where the messages of one connection go.") },
    { Py_tp_members, SLOT(members) },
    { Py_tp_methods, SLOT(methods) },
    { Py_tp_traverse, SLOT(traverse) },
    { Py_tp_clear, SLOT(clear) },
    { Py_tp_dealloc, SLOT(hot_dealloc) },
    { 0, NULL },
};

const PyType_Spec hot_binding_spec = {
    .name = "xdpws._hot.Binding",
    .basicsize = sizeof(struct hot_binding),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = SLOT(slots),
};
