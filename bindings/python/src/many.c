/*
 * many.c: Bus.publish_many(): the events of an iterable, in batches.
 *
 * Invariant: items are taken from the iterable in order, one at a time; what it yields may run any
 * Python code, so nothing borrowed from it is kept past the next step.
 */
#include "publish.h"

typedef struct many {
    jbpy_pack pack;
    jbpy_state *st;
    PyObject *type;    /* NULL: each item is a whole event */
    const char *topic; /* NULL: that of its type */
    Py_ssize_t topic_bytes;
    PyObject *keys; /* an iterator, or NULL */
} many;

/* The next key: 0 without keys. */
static int next_key(const many *m, uint32_t *ret_key)
{
    PyObject *number;
    int is_ok;

    *ret_key = 0;
    if (m->keys == NULL)
        return 0;
    number = PyIter_Next(m->keys);
    if (number == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "there are fewer keys than events");
        return -1;
    }
    is_ok = jbpy_to_uint32(number, ret_key);
    Py_DECREF(number);
    return is_ok ? 0 : -1;
}

static int add_item(many *m, PyObject *item)
{
    const jbpy_envelope none = {0};
    jbpy_encoding e;
    uint32_t key;
    int rc;

    if (next_key(m, &key) < 0 ||
        jbpy_encode(m->st, m->type, item == Py_None ? NULL : item, &none, &e) < 0)
        return -1;
    rc = jbpy_pack_add(&m->pack, &e.encoded, m->topic, (size_t)m->topic_bytes, key);
    jbpy_encoding_fini(m->st, &e);
    return rc;
}

static int add_items(many *m, PyObject *items)
{
    PyObject *iterator = PyObject_GetIter(items), *item;
    int rc = iterator == NULL ? -1 : 0;

    while (rc == 0 && (item = PyIter_Next(iterator)) != NULL) {
        rc = add_item(m, item);
        Py_DECREF(item);
        if (rc == 0)
            m->pack.n_seen++;
    }
    Py_XDECREF(iterator);
    return rc < 0 || PyErr_Occurred() ? -1 : 0;
}

static int set_target(many *m, PyObject *target)
{
    if (target == Py_None)
        return 0;
    if (!PyUnicode_Check(target)) {
        PyErr_SetString(PyExc_TypeError, "the first argument is an event type, a topic, or None");
        return -1;
    }
    if (!jbpy_is_topic(target)) {
        m->type = target;
        return 0;
    }
    m->topic = PyUnicode_AsUTF8AndSize(target, &m->topic_bytes);
    return m->topic == NULL ? -1 : 0;
}

static int check_items(PyObject *items)
{
    if (!PyUnicode_Check(items) && !PyBytes_Check(items) && !PyDict_Check(items))
        return 0;
    PyErr_SetString(PyExc_TypeError, "items is an iterable of events, not one event");
    return -1;
}

PyObject *jbpy_bus_publish_many(jbpy_bus *self, PyObject *args, PyObject *kwargs)
{
    static char *const names[] = {"topic_or_type", "items", "keys", "timeout", NULL};
    PyObject *target, *items, *keys = Py_None, *timeout = NULL, *result;
    many m = {.st = jbpy_state_of((PyObject *)self)};
    uint64_t deadline_ns;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$OO:publish_many", (char **)names, &target,
                                     &items, &keys, &timeout) ||
        jbpy_timeout_at(timeout, &deadline_ns) < 0 || set_target(&m, target) < 0 ||
        check_items(items) < 0)
        return NULL;
    if (keys != Py_None) {
        m.keys = PyObject_GetIter(keys);
        if (m.keys == NULL)
            return NULL;
    }
    if (jbpy_pack_init(&m.pack, self, deadline_ns) < 0)
        result = NULL;
    else
        result = jbpy_pack_end(&m.pack, add_items(&m, items), "item");
    Py_XDECREF(m.keys);
    return result;
}
