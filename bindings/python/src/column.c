/*
 * column.c: jimbot.Column, a dense array of one number per event, for whoever reads buffers.
 *
 * Invariant: it owns its memory and never changes its size, so any number of views may live as long
 * as they like. It is writable: the array is the caller's own.
 */
#include "core.h"

typedef struct jbpy_column {
    PyObject_HEAD void *data;
    Py_ssize_t n;
    Py_ssize_t item_bytes;
    char format[2];
} jbpy_column;

PyObject *jbpy_column_new(jbpy_state *st, char format, size_t item_bytes, size_t n, void **ret_data)
{
    jbpy_column *self = PyObject_New(jbpy_column, st->column_type);

    if (self == NULL)
        return NULL;
    self->n = (Py_ssize_t)n;
    self->item_bytes = (Py_ssize_t)item_bytes;
    self->format[0] = format;
    self->format[1] = '\0';
    self->data = PyMem_Calloc(n > 0 ? n : 1, item_bytes);
    if (self->data == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    *ret_data = self->data;
    return (PyObject *)self;
}

/* The array the package makes of it (numpy, where there is one). Takes over `column`. */
PyObject *jbpy_column_array(jbpy_state *st, PyObject *column)
{
    PyObject *array;

    if (st->as_array != NULL)
        array = PyObject_CallFunctionObjArgs(st->as_array, column, NULL);
    else
        array = PyMemoryView_FromObject(column);
    Py_DECREF(column);
    return array;
}

static int column_getbuffer(jbpy_column *self, Py_buffer *view, int flags)
{
    view->obj = Py_NewRef((PyObject *)self);
    view->buf = self->data;
    view->len = self->n * self->item_bytes;
    view->itemsize = self->item_bytes;
    view->readonly = 0;
    view->ndim = 1;
    view->format = (flags & PyBUF_FORMAT) ? self->format : NULL;
    view->shape = (flags & PyBUF_ND) ? &self->n : NULL;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? &self->item_bytes : NULL;
    view->suboffsets = NULL;
    view->internal = NULL;
    return 0;
}

static Py_ssize_t column_length(jbpy_column *self)
{
    return self->n;
}

static void column_dealloc(jbpy_column *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    PyMem_Free(self->data);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot column_slots[] = {
    {Py_tp_doc, "One number per event; exports the buffer protocol."},
    {Py_sq_length, column_length},
    {Py_bf_getbuffer, column_getbuffer},
    {Py_tp_dealloc, column_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_column_spec = {
    .name = "jimbot.Column",
    .basicsize = sizeof(jbpy_column),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = column_slots,
};
