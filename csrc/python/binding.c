/* python/binding.c: where the messages of one connection go, and how many went there. Made by Walker.bind. */
#include "python/hot.h"
#include <stddef.h>

static int traverse(PyObject *o, visitproc visit, void *arg) {
    const struct hot_binding *b = (void *)o;
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(b->callback);
    Py_VISIT(b->session);
    return 0;
}

static int clear(PyObject *o) {
    struct hot_binding *b = (void *)o;
    Py_CLEAR(b->callback);
    Py_CLEAR(b->session);
    return 0;
}

static void dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    clear(o);
    type->tp_free(o);
    Py_DECREF(type);
}

static const PyMemberDef members[] = {
    { "messages", T_ULONGLONG, offsetof(struct hot_binding, messages), READONLY, "Messages handed over." },
    { NULL, 0, 0, 0, NULL },
};

static const PyType_Slot slots[] = {
    { Py_tp_doc, SLOT("Where the messages of one connection go.") },
    { Py_tp_members, SLOT(members) },
    { Py_tp_traverse, SLOT(traverse) },
    { Py_tp_clear, SLOT(clear) },
    { Py_tp_dealloc, SLOT(dealloc) },
    { 0, NULL },
};

const PyType_Spec hot_binding_spec = {
    .name = "xdpws._hot.Binding",
    .basicsize = sizeof(struct hot_binding),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = SLOT(slots),
};
