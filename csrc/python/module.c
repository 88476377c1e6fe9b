/* python/module.c: the extension xdpws._hot. */
#include "python/hot.h"

void hot_dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    type->tp_clear(o);
    type->tp_free(o);
    Py_DECREF(type);
}

static PyTypeObject *add_type(PyObject *module, const PyType_Spec *spec) {
    PyTypeObject *type = (PyTypeObject *)(void *)PyType_FromModuleAndSpec(module, SLOT(spec), NULL);
    if (type && PyModule_AddType(module, type)) {
        Py_DECREF(type);
        return NULL;
    }
    return type;
}

static int fill_module(PyObject *module) {
    struct hot_state *state = PyModule_GetState(module);
    state->release = PyUnicode_InternFromString("release");
    state->message = add_type(module, &hot_message_spec);
    state->binding = add_type(module, &hot_binding_spec);
    state->walker = add_type(module, &hot_walker_spec);
    if (!state->release || !state->message || !state->binding || !state->walker)
        return -1;
    return PyModule_AddIntConstant(module, "EVENT_SIZE", sizeof(struct xw_event));
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
    const struct hot_state *state = PyModule_GetState(module);
    Py_VISIT(state->message);
    Py_VISIT(state->binding);
    Py_VISIT(state->walker);
    return 0;
}

static int clear(PyObject *module) {
    struct hot_state *state = PyModule_GetState(module);
    Py_CLEAR(state->release);
    Py_CLEAR(state->message);
    Py_CLEAR(state->binding);
    Py_CLEAR(state->walker);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    { Py_mod_exec, SLOT(fill_module) },
    { 0, NULL },
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "xdpws._hot",
    .m_doc = "The hot loop: polls an engine and walks its events to callbacks.",
    .m_size = sizeof(struct hot_state),
    .m_slots = module_slots,
    .m_traverse = traverse,
    .m_clear = clear,
};

PyMODINIT_FUNC PyInit__hot(void);
PyMODINIT_FUNC PyInit__hot(void) { return PyModuleDef_Init(&definition); }
