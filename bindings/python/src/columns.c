/*
 * columns.c: Bus.publish_columns(): one event for each row of some arrays, in batches.
 *
 * Invariant: the arrays are held as buffers while they are read, so they can neither move nor
 * shrink; each has as many rows as there are events, or is one value for all of them.
 */
#include "publish.h"

#include <string.h>

enum { COLUMNS_MAX = 64, SCALAR = 0, LIST = 1 }; /* else see kind_of() */

typedef struct column {
    const char *key;
    Py_ssize_t key_bytes;
    PyObject *name;  /* strong */
    PyObject *value; /* strong: a scalar, or a list */
    Py_buffer view;  /* view.obj NULL when it is not used */
    char kind;
} column;

typedef struct table {
    jbpy_pack pack;
    jbpy_state *st;
    PyObject *type, *subtype, *source, *priority;
    Py_ssize_t n_rows; /* -1: not known yet */
    uint32_t n_columns;
    column columns[COLUMNS_MAX];
    column keys; /* name NULL when there are none */
} table;

static int set_rows(table *t, const char *what, Py_ssize_t n)
{
    if (t->n_rows >= 0 && t->n_rows != n) {
        PyErr_Format(PyExc_ValueError, "%s has %zd rows, those before it %zd", what, n, t->n_rows);
        return -1;
    }
    t->n_rows = n;
    return 0;
}

/* What an array of that format holds: 'd' floating point, 'i' signed, 'u' unsigned, '?' bool. 0:
 * something else, or bytes in another order than ours. */
static char kind_of(const Py_buffer *view)
{
    const char *format = view->format != NULL ? view->format : "B";
    size_t bytes = (size_t)view->itemsize;

    if (*format == '@' || *format == '=' || *format == '<')
        format++;
    if (*format == '\0' || format[1] != '\0' || view->ndim != 1)
        return 0;
    if (strchr("df", *format) != NULL)
        return bytes == sizeof(double) || bytes == sizeof(float) ? 'd' : 0;
    if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
        return 0;
    if (strchr("bhilq", *format) != NULL)
        return 'i';
    if (strchr("BHILQ", *format) != NULL)
        return 'u';
    return *format == '?' && bytes == 1 ? '?' : 0;
}

static int open_array(table *t, column *c, PyObject *value)
{
    if (PyObject_GetBuffer(value, &c->view, PyBUF_STRIDES | PyBUF_FORMAT) < 0)
        return -1;
    c->kind = kind_of(&c->view);
    if (c->kind != 0)
        return set_rows(t, c->key, c->view.shape[0]);
    PyErr_Format(PyExc_TypeError,
                 "%s: an array of one dimension of numbers is needed, not of %d and format '%s'",
                 c->key, c->view.ndim, c->view.format != NULL ? c->view.format : "B");
    return -1;
}

static int open_column(table *t, column *c, PyObject *name, PyObject *value)
{
    memset(c, 0, sizeof *c);
    if (!PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "the name of a column is a str");
        return -1;
    }
    c->name = Py_NewRef(name);
    c->value = Py_NewRef(value);
    c->key = PyUnicode_AsUTF8AndSize(name, &c->key_bytes);
    if (c->key == NULL)
        return -1;
    if (PyUnicode_Check(value) || PyFloat_Check(value))
        return 0; /* numpy.float64 is a float, and also a buffer */
    if (PyObject_CheckBuffer(value) && PyObject_HasAttrString(value, "__len__")) {
        Py_ssize_t n = PyObject_Length(value);

        if (n >= 0)
            return open_array(t, c, value);
        PyErr_Clear(); /* an array of no dimensions is a scalar */
        return 0;
    }
    if (!PyList_Check(value))
        return 0;
    c->kind = LIST;
    return set_rows(t, c->key, PyList_Size(value));
}

static void close_column(column *c)
{
    if (c->view.obj != NULL)
        PyBuffer_Release(&c->view);
    Py_XDECREF(c->name);
    Py_XDECREF(c->value);
}

static int open_each(table *t, PyObject *columns)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;

    while (PyDict_Next(columns, &at, &name, &value)) {
        if (t->n_columns == COLUMNS_MAX) {
            PyErr_Format(PyExc_ValueError, "there are more than %d columns", COLUMNS_MAX);
            return -1;
        }
        if (open_column(t, &t->columns[t->n_columns++], name, value) < 0)
            return -1;
    }
    return 0;
}

/* From a copy: taking a buffer may run Python code that changes the mapping. */
static int open_columns(table *t, PyObject *columns)
{
    PyObject *copy = PyDict_New();
    int rc = copy == NULL ? -1 : PyDict_Update(copy, columns);

    if (rc == 0)
        rc = open_each(t, copy);
    Py_XDECREF(copy);
    if (rc < 0 || t->n_rows >= 0)
        return rc;
    PyErr_SetString(PyExc_ValueError, "no column is an array or a list");
    return -1;
}

/* One integer of an array; unsigned ones beyond 63 bits come out negative. */
static int64_t int_at(const column *c, const char *at)
{
    uint64_t bits = 0;
    unsigned n_unused = 64 - 8 * (unsigned)c->view.itemsize;

    memcpy(&bits, at, (size_t)c->view.itemsize); /* the machine is little-endian */
    if (c->kind != 'i')
        return (int64_t)bits;
    return (int64_t)(bits << n_unused) >> n_unused;
}

static double double_at(const column *c, const char *at)
{
    double wide;
    float narrow;

    if (c->view.itemsize == sizeof wide)
        return memcpy(&wide, at, sizeof wide), wide;
    return memcpy(&narrow, at, sizeof narrow), (double)narrow;
}

static const char *cell_at(const column *c, Py_ssize_t row)
{
    return (const char *)c->view.buf + row * c->view.strides[0];
}

static int put_object(const table *t, jb_encoder *enc, const column *c, Py_ssize_t row)
{
    PyObject *value = c->value;
    int rc;

    if (c->kind == LIST && row >= PyList_Size(value)) {
        PyErr_Format(PyExc_RuntimeError, "%s became shorter", c->key);
        return -1;
    }
    value = Py_NewRef(c->kind == LIST ? PyList_GetItem(value, row) : value);
    rc = jbpy_value(t->st, enc, c->key, value);
    Py_DECREF(value);
    return rc;
}

static int put_cell(const table *t, jb_encoder *enc, const column *c, Py_ssize_t row)
{
    int64_t number;

    if (c->kind == SCALAR || c->kind == LIST)
        return put_object(t, enc, c, row);
    if (c->kind == 'd')
        return jb_encoder_put_double(enc, c->key, (size_t)c->key_bytes,
                                     double_at(c, cell_at(c, row)));
    number = int_at(c, cell_at(c, row));
    if (number < 0 && c->kind == 'u') {
        PyErr_Format(PyExc_OverflowError, "%s: %llu does not fit 63 bits", c->key,
                     (unsigned long long)number);
        return -1;
    }
    jb_encoder_key(enc, c->key, (size_t)c->key_bytes);
    return c->kind == '?' ? jb_encoder_bool(enc, number != 0) : jb_encoder_int(enc, number);
}

static int put_row(table *t, jb_encoder *enc, Py_ssize_t row)
{
    jb_encoder_key(enc, "payload", 7);
    jb_encoder_object_open(enc);
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (put_cell(t, enc, &t->columns[i], row) < 0 && PyErr_Occurred())
            return -1;
    }
    jb_encoder_close(enc); /* a failure sticks and comes out at the end */
    return 0;
}

static int add_row(table *t, jbpy_encoding *e, Py_ssize_t row)
{
    int64_t key = t->keys.name != NULL ? int_at(&t->keys, cell_at(&t->keys, row)) : 0;
    const jbpy_envelope env = {.subtype = t->subtype, .source = t->source, .priority = t->priority};

    if (key < 0 || key > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a key does not fit 32 bits");
        return -1;
    }
    if (jbpy_envelope_begin(t->st, t->type, &env, e) < 0 || put_row(t, e->encoder, row) < 0 ||
        jbpy_envelope_end(t->st, e) < 0)
        return -1;
    return jbpy_pack_add(&t->pack, &e->encoded, NULL, 0, (uint32_t)key);
}

static int add_rows(table *t)
{
    jbpy_encoding e = {0};
    int rc = jbpy_encoding_init(t->st, &e);

    for (Py_ssize_t row = 0; rc == 0 && row < t->n_rows; row++) {
        rc = add_row(t, &e, row);
        if (rc == 0)
            t->pack.n_seen++;
    }
    jbpy_encoding_fini(t->st, &e);
    return rc;
}

static int open_keys(table *t, PyObject *keys)
{
    PyObject *name;

    if (keys == NULL || keys == Py_None)
        return 0;
    name = PyUnicode_FromString("keys");
    if (name == NULL)
        return -1;
    memset(&t->keys, 0, sizeof t->keys);
    t->keys.name = name;
    t->keys.key = "keys";
    if (open_array(t, &t->keys, keys) < 0)
        return -1;
    if (t->keys.kind == 'i' || t->keys.kind == 'u')
        return 0;
    PyErr_SetString(PyExc_TypeError, "keys is an array of integers");
    return -1;
}

static PyObject *publish_table(table *t, jbpy_bus *bus, PyObject *columns, PyObject *keys,
                               uint64_t deadline_ns)
{
    PyObject *result = NULL;

    if (open_columns(t, columns) == 0 && open_keys(t, keys) == 0 &&
        jbpy_pack_init(&t->pack, bus, deadline_ns) == 0)
        result = jbpy_pack_end(&t->pack, add_rows(t), "row");
    for (uint32_t i = 0; i < t->n_columns; i++)
        close_column(&t->columns[i]);
    close_column(&t->keys);
    return result;
}

static PyObject *none_to_null(PyObject *value)
{
    return value == Py_None ? NULL : value;
}

PyObject *jbpy_bus_publish_columns(jbpy_bus *self, PyObject *args, PyObject *kwargs)
{
    static char *const names[] = {"type",   "columns",  "keys",    "timeout",
                                  "source", "priority", "subtype", NULL};
    PyObject *columns, *keys = NULL, *timeout = NULL, *result;
    uint64_t deadline_ns;
    table *t = PyMem_Calloc(1, sizeof *t);

    if (t == NULL)
        return PyErr_NoMemory();
    t->st = jbpy_state_of((PyObject *)self);
    t->n_rows = -1;
    result = NULL;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "UO|$OOOOO:publish_columns", (char **)names,
                                    &t->type, &columns, &keys, &timeout, &t->source, &t->priority,
                                    &t->subtype) &&
        jbpy_timeout_at(timeout, &deadline_ns) == 0) {
        t->source = none_to_null(t->source);
        t->priority = none_to_null(t->priority);
        t->subtype = none_to_null(t->subtype);
        if (t->subtype != NULL && !PyUnicode_Check(t->subtype))
            PyErr_SetString(PyExc_TypeError, "subtype is a str");
        else
            result = publish_table(t, self, columns, keys, deadline_ns);
    }
    PyMem_Free(t);
    return result;
}
