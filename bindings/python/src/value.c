/*
 * value.c: Python values to encoder calls, without JSON text in between.
 *
 * Invariant: a value is either encoded whole or an exception says which one was refused and where
 * it stood ("payload.jokers[3].cost"). Values may run Python code (__index__, __float__), so
 * containers are held by reference and re-checked for size at every step. Depth is bounded by the
 * encoder, which refuses to open the level after its last; a cycle therefore ends there.
 */
#include "core.h"

#include <string.h>

/* One step of the path to the value in hand, on the C stack; the parent is one frame up. */
typedef struct frame {
    const struct frame *parent;
    const char *name;    /* a step given by us, or NULL */
    PyObject *key;       /* a dict key (borrowed from a live reference), or NULL */
    Py_ssize_t list_idx; /* otherwise a place in a list */
} frame;

typedef struct walk {
    jbpy_state *st;
    jb_encoder *enc;
} walk;

static int put(const walk *w, PyObject *value, const frame *at);

static PyObject *path_text(const frame *at)
{
    PyObject *head, *text;

    if (at == NULL)
        return PyUnicode_FromString("");
    head = path_text(at->parent);
    if (head == NULL)
        return NULL;
    if (at->name == NULL && at->key == NULL)
        text = PyUnicode_FromFormat("%U[%zd]", head, at->list_idx);
    else if (at->name != NULL)
        text = PyUnicode_FromString(at->name);
    else
        text =
            PyUnicode_FromFormat(PyUnicode_GetLength(head) > 0 ? "%U.%S" : "%U%S", head, at->key);
    Py_DECREF(head);
    return text;
}

/* Raise `cls` with the path in front; what() has no more than one %-argument, a UTF-8 text. */
static int refuse(PyObject *cls, const frame *at, const char *format, const char *arg)
{
    PyObject *path, *what;

    PyErr_Clear();
    path = path_text(at);
    if (path == NULL)
        return -1;
    what = PyUnicode_FromFormat(format, arg);
    if (what != NULL)
        PyErr_Format(cls, "%U: %U", path, what);
    Py_XDECREF(what);
    Py_DECREF(path);
    return -1;
}

static int check(const walk *w, int rc, const frame *at)
{
    PyObject *path, *text;

    if (rc >= 0)
        return 0;
    path = path_text(at);
    if (path == NULL)
        return -1;
    text = PyUnicode_FromFormat("%U: %s", path, jb_strerror(rc));
    Py_DECREF(path);
    if (text != NULL) {
        jbpy_raise_text(w->st, rc, NULL, text);
        Py_DECREF(text);
    }
    return -1;
}

static PyObject *type_name(PyObject *value)
{
    return PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__name__");
}

static int refuse_type(PyObject *value, const frame *at, const char *format)
{
    PyObject *name = type_name(value);
    const char *text = name != NULL ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;

    refuse(PyExc_TypeError, at, format, text != NULL ? text : "?");
    Py_XDECREF(name);
    return -1;
}

static int put_string(const walk *w, PyObject *value, const frame *at)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(value, &len);

    if (text == NULL) {
        if (PyErr_ExceptionMatches(PyExc_UnicodeError))
            return refuse(PyExc_ValueError, at, "the text has a lone surrogate%s", "");
        return -1;
    }
    return check(w, jb_encoder_string(w->enc, text, (size_t)len), at);
}

/* An int of more than 64 bits goes as a double if that is the same number; otherwise it is refused
 * rather than rounded in silence. */
static int put_big_int(const walk *w, PyObject *value, const frame *at)
{
    static const char msg[] = "the int fits neither 64 bits nor a double exactly%s";
    double number = PyLong_AsDouble(value);
    PyObject *back;
    int is_same;

    if (number == -1.0 && PyErr_Occurred())
        return refuse(PyExc_ValueError, at, msg, "");
    back = PyLong_FromDouble(number);
    if (back == NULL)
        return -1;
    is_same = PyObject_RichCompareBool(back, value, Py_EQ);
    Py_DECREF(back);
    if (is_same != 1)
        return is_same < 0 ? -1 : refuse(PyExc_ValueError, at, msg, "");
    return check(w, jb_encoder_double(w->enc, number), at);
}

static int put_int(const walk *w, PyObject *value, const frame *at)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);

    if (overflow != 0)
        return put_big_int(w, value, at);
    if (number == -1 && PyErr_Occurred())
        return -1;
    return check(w, jb_encoder_int(w->enc, number), at);
}

/* Keys are text; an int key becomes its digits, as json.dumps() does. Returns a new reference. */
static PyObject *key_text(PyObject *key, const frame *at)
{
    if (PyUnicode_Check(key))
        return Py_NewRef(key);
    if (PyLong_Check(key) && !PyBool_Check(key))
        return PyObject_Str(key);
    refuse_type(key, at, "keys must be str, not %s");
    return NULL;
}

static int put_member(const walk *w, PyObject *key, PyObject *value, const frame *parent)
{
    PyObject *text = key_text(key, parent);
    frame at = {parent, NULL, text, 0};
    Py_ssize_t len;
    const char *bytes;
    int rc = -1;

    if (text == NULL)
        return -1;
    bytes = PyUnicode_AsUTF8AndSize(text, &len);
    if (bytes == NULL)
        rc = refuse(PyExc_ValueError, parent, "a key has a lone surrogate%s", "");
    else if (check(w, jb_encoder_key(w->enc, bytes, (size_t)len), &at) == 0)
        rc = put(w, value, &at);
    Py_DECREF(text);
    return rc;
}

static bool is_key(PyObject *key, const char *name)
{
    return name != NULL && PyUnicode_Check(key) && PyUnicode_CompareWithASCIIString(key, name) == 0;
}

static int put_members(const walk *w, PyObject *dict, const frame *at, const char *skip_a,
                       const char *skip_b)
{
    Py_ssize_t size = PyDict_Size(dict), pos = 0;
    PyObject *key, *value;

    while (PyDict_Next(dict, &pos, &key, &value)) {
        int rc;

        if (is_key(key, skip_a) || is_key(key, skip_b))
            continue;
        Py_INCREF(key);
        Py_INCREF(value);
        rc = put_member(w, key, value, at);
        Py_DECREF(key);
        Py_DECREF(value);
        if (rc < 0)
            return -1;
        if (PyDict_Size(dict) != size)
            return refuse(PyExc_RuntimeError, at, "the dict changed while it was encoded%s", "");
    }
    return 0;
}

static int put_dict(const walk *w, PyObject *dict, const frame *at)
{
    if (check(w, jb_encoder_object_open(w->enc), at) < 0 ||
        put_members(w, dict, at, NULL, NULL) < 0)
        return -1;
    return check(w, jb_encoder_close(w->enc), at);
}

static int put_list(const walk *w, PyObject *list, const frame *parent)
{
    frame at = {parent, NULL, NULL, 0};

    if (check(w, jb_encoder_list_open(w->enc), parent) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < PySequence_Size(list); i++) {
        PyObject *item = PySequence_GetItem(list, i);
        int rc;

        if (item == NULL)
            return -1;
        at.list_idx = i;
        rc = put(w, item, &at);
        Py_DECREF(item);
        if (rc < 0)
            return -1;
    }
    return check(w, jb_encoder_close(w->enc), parent);
}

/* 1 when value.shape is an empty tuple (a numpy scalar or 0-d array), 0 when it is another shape,
 * -1 when it has none. Never leaves an exception. */
static int has_no_dimensions(PyObject *value)
{
    PyObject *shape = PyObject_GetAttrString(value, "shape");
    Py_ssize_t n;

    if (shape == NULL) {
        PyErr_Clear();
        return -1;
    }
    n = PySequence_Size(shape);
    Py_DECREF(shape);
    PyErr_Clear();
    return n == 0;
}

/* numpy's scalars know their Python value; this way a numpy.bool_ stays a bool. */
static int put_item(const walk *w, PyObject *value, const frame *at)
{
    PyObject *item = PyObject_CallMethod(value, "item", NULL);
    int rc;

    if (item == NULL)
        return refuse_type(value, at, "cannot encode a %s");
    if (PyBool_Check(item) || PyLong_Check(item) || PyFloat_Check(item) || PyUnicode_Check(item))
        rc = put(w, item, at);
    else
        rc = refuse_type(value, at, "cannot encode a %s");
    Py_DECREF(item);
    return rc;
}

static int put_converted(const walk *w, PyObject *value, const frame *at)
{
    PyObject *number;
    int rc;

    switch (has_no_dimensions(value)) {
    case 0:
        return refuse_type(value, at, "cannot encode a %s with dimensions; pass its tolist()");
    case 1:
        return put_item(w, value, at);
    default:
        break;
    }
    if (PyIndex_Check(value))
        number = PyNumber_Index(value);
    else if (PyType_GetSlot(Py_TYPE(value), Py_nb_float) != NULL)
        number = PyNumber_Float(value);
    else
        return refuse_type(value, at, "cannot encode a %s");
    if (number == NULL)
        return refuse_type(value, at, "cannot encode a %s: it refused to become a number");
    rc = put(w, number, at);
    Py_DECREF(number);
    return rc;
}

static int put(const walk *w, PyObject *value, const frame *at)
{
    if (PyUnicode_Check(value))
        return put_string(w, value, at);
    if (PyBool_Check(value))
        return check(w, jb_encoder_bool(w->enc, value == Py_True), at);
    if (PyLong_Check(value))
        return put_int(w, value, at);
    if (PyFloat_Check(value))
        return check(w, jb_encoder_double(w->enc, PyFloat_AsDouble(value)), at);
    if (value == Py_None)
        return check(w, jb_encoder_null(w->enc), at);
    if (PyDict_Check(value))
        return put_dict(w, value, at);
    if (PyList_Check(value) || PyTuple_Check(value))
        return put_list(w, value, at);
    return put_converted(w, value, at);
}

/* One member of the envelope. */
int jbpy_value(jbpy_state *st, jb_encoder *enc, const char *key, PyObject *value)
{
    walk w = {st, enc};
    frame at = {NULL, key, NULL, 0};

    if (check(&w, jb_encoder_key(enc, key, strlen(key)), &at) < 0)
        return -1;
    return put(&w, value, &at);
}

/* All members of a whole event but `type`, and `subtype` where jb_encoder_begin() was told it. */
int jbpy_members(jbpy_state *st, jb_encoder *enc, PyObject *dict, bool has_subtype)
{
    walk w = {st, enc};

    return put_members(&w, dict, NULL, "type", has_subtype ? "subtype" : NULL);
}
