/*
 * value.c: Python values to encoder calls, without JSON text in between.
 *
 * Values wait in a list and go to the encoder together. Their texts lie in the str objects of the
 * containers, so what waits is handed over before anything may change those: before Python code
 * runs (__index__, __float__, a list of a class of its own) and before a str of ours goes.
 *
 * Invariant: a value is either encoded whole or an exception says which one was refused and where
 * it stood ("payload.jokers[3].cost"); for a fault that the encoder finds, the place is where it
 * was noticed. After Python code ran, containers are re-checked for size. Depth is bounded by the
 * encoder, which refuses to open the level after its last; from there on nothing waits, so a cycle
 * ends there.
 */
#include "encode.h"

#include <string.h>

#include "jimbot/items.h"

/* One step of the path to the value in hand, on the C stack; the parent is one frame up. */
typedef struct frame {
    const struct frame *parent;
    const char *name;    /* a step given by us, or NULL */
    PyObject *key;       /* a dict key (borrowed from a live reference), or NULL */
    Py_ssize_t list_idx; /* otherwise a place in a list */
} frame;

enum { N_ITEMS = 128, DEEP = 60 };

typedef struct walk {
    jbpy_state *st;
    jb_encoder *enc;
    unsigned depth;
    unsigned n_foreign; /* how often Python code may have run */
    size_t n_items;
    jb_item items[N_ITEMS];
} walk;

/* A text that a value has as its key; NULL: none. */
typedef struct key {
    const char *text;
    Py_ssize_t len;
} key;

static const key no_key;

static int put(walk *w, key k, PyObject *value, const frame *at);

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

/* Hand over what waits. */
static int flush(walk *w, const frame *at)
{
    int rc = jb_encoder_items(w->enc, w->items, w->n_items);
    PyObject *path, *text;

    w->n_items = 0;
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

/* Python code may run from here on. */
static int flush_foreign(walk *w, const frame *at)
{
    w->n_foreign++;
    return flush(w, at);
}

static uint32_t clipped(Py_ssize_t len)
{
    /* Longer than any event, so the encoder refuses it. */
    return (size_t)len < UINT32_MAX ? (uint32_t)len : UINT32_MAX;
}

/* The next item; NULL with an exception when those before it were refused. */
static inline jb_item *add(walk *w, uint32_t kind, key k, const frame *at)
{
    jb_item *item;

    if (w->n_items == N_ITEMS && flush(w, at) < 0)
        return NULL;
    item = &w->items[w->n_items++];
    item->kind = kind;
    item->key = k.text;
    item->key_bytes = clipped(k.len);
    return item;
}

static int put_kind(walk *w, uint32_t kind, key k, const frame *at)
{
    return add(w, kind, k, at) != NULL ? 0 : -1;
}

static int put_integer(walk *w, uint32_t kind, key k, int64_t value, const frame *at)
{
    jb_item *item = add(w, kind, k, at);

    if (item == NULL)
        return -1;
    item->integer = value;
    return 0;
}

static int put_double(walk *w, key k, double value, const frame *at)
{
    jb_item *item = add(w, JB_ITEM_DOUBLE, k, at);

    if (item == NULL)
        return -1;
    item->number = value;
    return 0;
}

/* A container opens. */
static int put_open(walk *w, uint32_t kind, key k, const frame *at)
{
    if (put_kind(w, kind, k, at) < 0)
        return -1;
    return ++w->depth < DEEP ? 0 : flush(w, at);
}

static int put_close(walk *w, const frame *at)
{
    w->depth--;
    return put_kind(w, JB_ITEM_CLOSE, no_key, at);
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

static int put_string(walk *w, key k, PyObject *value, const frame *at)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(value, &len);
    jb_item *item;

    if (text == NULL) {
        if (PyErr_ExceptionMatches(PyExc_UnicodeError))
            return refuse(PyExc_ValueError, at, "the text has a lone surrogate%s", "");
        return -1;
    }
    item = add(w, JB_ITEM_STRING, k, at);
    if (item == NULL)
        return -1;
    item->text = text;
    item->text_bytes = clipped(len);
    return 0;
}

/* An int of more than 64 bits goes as a double if that is the same number; otherwise it is refused
 * rather than rounded in silence. */
static int put_big_int(walk *w, key k, PyObject *value, const frame *at)
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
    return put_double(w, k, number, at);
}

static int put_int(walk *w, key k, PyObject *value, const frame *at)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);

    if (overflow != 0)
        return put_big_int(w, k, value, at);
    if (number == -1 && PyErr_Occurred())
        return -1;
    return put_integer(w, JB_ITEM_INT, k, number, at);
}

/* A member whose key is a str. */
static int put_named(walk *w, PyObject *name, PyObject *value, const frame *parent)
{
    frame at = {parent, NULL, name, 0};
    key k;

    k.text = PyUnicode_AsUTF8AndSize(name, &k.len);
    if (k.text == NULL)
        return refuse(PyExc_ValueError, parent, "a key has a lone surrogate%s", "");
    return put(w, k, value, &at);
}

/* Keys are text; an int key becomes its digits, as json.dumps() does. */
static int put_member(walk *w, PyObject *name, PyObject *value, const frame *parent)
{
    PyObject *digits;
    int rc;

    if (Py_IS_TYPE(name, &PyUnicode_Type) || PyUnicode_Check(name))
        return put_named(w, name, value, parent);
    if (!PyLong_Check(name) || PyBool_Check(name))
        return refuse_type(name, parent, "keys must be str, not %s");
    if (flush_foreign(w, parent) < 0)
        return -1;
    digits = PyObject_Str(name);
    if (digits == NULL)
        return -1;
    rc = put_named(w, digits, value, parent);
    if (rc == 0)
        rc = flush(w, parent);
    Py_DECREF(digits);
    return rc;
}

static bool is_key(PyObject *name, const char *skipped)
{
    return skipped != NULL && PyUnicode_Check(name) &&
           PyUnicode_CompareWithASCIIString(name, skipped) == 0;
}

static int put_members(walk *w, PyObject *dict, const frame *at, const char *skip_a,
                       const char *skip_b)
{
    Py_ssize_t size = PyDict_Size(dict), pos = 0;
    unsigned n_foreign = w->n_foreign;
    PyObject *name, *value;

    while (PyDict_Next(dict, &pos, &name, &value)) {
        int rc;

        if (is_key(name, skip_a) || is_key(name, skip_b))
            continue;
        Py_INCREF(name);
        Py_INCREF(value);
        rc = put_member(w, name, value, at);
        if (rc == 0 && w->n_foreign != n_foreign && PyDict_Size(dict) != size) {
            w->n_items = 0;
            rc = refuse(PyExc_RuntimeError, at, "the dict changed while it was encoded%s", "");
        }
        Py_DECREF(name);
        Py_DECREF(value);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int put_dict(walk *w, key k, PyObject *dict, const frame *at)
{
    if (put_open(w, JB_ITEM_OBJECT, k, at) < 0 || put_members(w, dict, at, NULL, NULL) < 0)
        return -1;
    return put_close(w, at);
}

/* An element of a list or tuple; the list holds it, so that what it says may wait. */
static int put_element(walk *w, PyObject *list, Py_ssize_t i, const frame *parent)
{
    frame at = {parent, NULL, NULL, i};
    PyObject *item = PyList_Check(list) ? PyList_GetItem(list, i) : PyTuple_GetItem(list, i);
    int rc;

    if (item == NULL)
        return -1;
    Py_INCREF(item);
    rc = put(w, no_key, item, &at);
    Py_DECREF(item);
    return rc;
}

/* An element of a list of a class of its own, which may have made it just now. */
static int put_made(walk *w, PyObject *list, Py_ssize_t i, const frame *parent)
{
    frame at = {parent, NULL, NULL, i};
    PyObject *item;
    int rc;

    if (flush_foreign(w, &at) < 0)
        return -1;
    item = PySequence_GetItem(list, i);
    if (item == NULL)
        return -1;
    rc = put(w, no_key, item, &at);
    if (rc == 0)
        rc = flush(w, &at);
    Py_DECREF(item);
    return rc;
}

static int put_list(walk *w, key k, PyObject *list, const frame *parent)
{
    bool is_plain = PyList_CheckExact(list) || PyTuple_CheckExact(list);

    if (put_open(w, JB_ITEM_LIST, k, parent) < 0)
        return -1;
    if (!is_plain && flush_foreign(w, parent) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < PySequence_Size(list); i++) {
        if ((is_plain ? put_element : put_made)(w, list, i, parent) < 0)
            return -1;
    }
    return put_close(w, parent);
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
static int put_item(walk *w, key k, PyObject *value, const frame *at)
{
    PyObject *item = PyObject_CallMethod(value, "item", NULL);
    int rc;

    if (item == NULL)
        return refuse_type(value, at, "cannot encode a %s");
    if (PyBool_Check(item) || PyLong_Check(item) || PyFloat_Check(item) || PyUnicode_Check(item))
        rc = put(w, k, item, at);
    else
        rc = refuse_type(value, at, "cannot encode a %s");
    if (rc == 0)
        rc = flush(w, at);
    Py_DECREF(item);
    return rc;
}

static int put_converted(walk *w, key k, PyObject *value, const frame *at)
{
    PyObject *number;
    int rc;

    switch (has_no_dimensions(value)) {
    case 0:
        return refuse_type(value, at, "cannot encode a %s with dimensions; pass its tolist()");
    case 1:
        return put_item(w, k, value, at);
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
    rc = put(w, k, number, at);
    Py_DECREF(number);
    return rc;
}

/* What is not of Python's own types, by code of its class, which may even take the key away. */
static int put_foreign(walk *w, key k, PyObject *value, const frame *at)
{
    if (flush_foreign(w, at) < 0 || put_converted(w, k, value, at) < 0)
        return -1;
    return flush(w, at);
}

/* A value of a class of its own, which may be made from one of Python's. */
static int put_subclass(walk *w, key k, PyObject *value, const frame *at)
{
    if (PyUnicode_Check(value))
        return put_string(w, k, value, at);
    if (PyLong_Check(value))
        return put_int(w, k, value, at);
    if (PyFloat_Check(value))
        return put_double(w, k, PyFloat_AsDouble(value), at);
    if (PyDict_Check(value))
        return put_dict(w, k, value, at);
    if (PyList_Check(value) || PyTuple_Check(value))
        return put_list(w, k, value, at);
    return put_foreign(w, k, value, at);
}

/* Most values are of Python's own types, which one comparison tells. */
static int put(walk *w, key k, PyObject *value, const frame *at)
{
    const PyTypeObject *type = Py_TYPE(value);

    if (type == &PyUnicode_Type)
        return put_string(w, k, value, at);
    if (type == &PyLong_Type)
        return put_int(w, k, value, at);
    if (type == &PyDict_Type)
        return put_dict(w, k, value, at);
    if (type == &PyFloat_Type)
        return put_double(w, k, PyFloat_AsDouble(value), at);
    if (type == &PyList_Type)
        return put_list(w, k, value, at);
    if (type == &PyBool_Type)
        return put_integer(w, JB_ITEM_BOOL, k, value == Py_True, at);
    if (value == Py_None)
        return put_kind(w, JB_ITEM_NULL, k, at);
    return put_subclass(w, k, value, at);
}

static void walk_init(walk *w, jbpy_state *st, jb_encoder *enc)
{
    w->st = st;
    w->enc = enc;
    w->depth = w->n_foreign = 0;
    w->n_items = 0;
}

/* One member of the envelope. */
int jbpy_value(jbpy_state *st, jb_encoder *enc, const char *name, PyObject *value)
{
    frame at = {NULL, name, NULL, 0};
    walk w;

    walk_init(&w, st, enc);
    if (put(&w, (key){name, (Py_ssize_t)strlen(name)}, value, &at) < 0)
        return -1;
    return flush(&w, &at);
}

/* All members of a whole event but `type`, and `subtype` where jb_encoder_begin() was told it. */
int jbpy_members(jbpy_state *st, jb_encoder *enc, PyObject *dict, bool has_subtype)
{
    walk w;

    walk_init(&w, st, enc);
    if (put_members(&w, dict, NULL, "type", has_subtype ? "subtype" : NULL) < 0)
        return -1;
    return flush(&w, NULL);
}
