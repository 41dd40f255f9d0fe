/*
 * batch.c: jimbot.Batch, events that a poll took, with their bytes.
 *
 * Invariant: one block holds the headers and, behind them, a copy of every payload, each 8-byte
 * aligned; it lives until the batch is released or freed, and is not released while a memoryview of
 * one of its events is alive. So no view ever sees bytes that a publisher has written over, and a
 * batch that is kept for ever holds up nobody.
 */
#include "core.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static size_t aligned(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

/* Copy headers and payloads into one block and point the headers at the copies. */
static jb_event *copy_events(const jb_event *events, uint32_t n)
{
    size_t total = n * sizeof *events;
    jb_event *block;
    uint8_t *at;

    for (uint32_t i = 0; i < n; i++)
        total += aligned(events[i].len_bytes);
    block = PyMem_Malloc(total > 0 ? total : 1);
    if (block == NULL)
        return NULL;
    memcpy(block, events, n * sizeof *events);
    at = (uint8_t *)(block + n);
    for (uint32_t i = 0; i < n; i++) {
        if (events[i].len_bytes > 0)
            memcpy(at, events[i].payload, events[i].len_bytes);
        block[i].payload = at;
        at += aligned(events[i].len_bytes);
    }
    return block;
}

jbpy_batch *jbpy_batch_new(jbpy_state *st, const jb_event *events, uint32_t n, PyObject *topics)
{
    jbpy_batch *self = PyObject_New(jbpy_batch, st->batch_type);

    if (self == NULL)
        return NULL;
    self->n = n;
    self->n_exports = 0;
    self->topics = Py_NewRef(topics);
    self->events = copy_events(events, n);
    if (self->events == NULL) {
        Py_DECREF(self);
        return (jbpy_batch *)PyErr_NoMemory();
    }
    return self;
}

/* Fill one event from the tuple that stands for it; its payload is borrowed. */
static int read_tuple(PyObject *item, Py_ssize_t n_topics, jb_event *ret)
{
    PyObject *payload;
    unsigned long long sequence, time_ns, n_missed;
    char *data;
    Py_ssize_t len;

    *ret = (jb_event){0};
    if (!PyTuple_Check(item) ||
        !PyArg_ParseTuple(item, "KKdSIKIIHBB:_batch", &sequence, &time_ns, &ret->source_time,
                          &payload, &ret->topic_id, &n_missed, &ret->publisher, &ret->key,
                          &ret->type, &ret->priority, &ret->flags) ||
        PyBytes_AsStringAndSize(payload, &data, &len) < 0)
        return -1;
    if (len > JB_EVENT_MAX_BYTES || (Py_ssize_t)ret->topic_id >= n_topics) {
        PyErr_SetString(PyExc_ValueError, "_batch: a payload or a topic is out of range");
        return -1;
    }
    ret->sequence = sequence;
    ret->time_ns = time_ns;
    ret->n_missed = n_missed;
    ret->payload = (const uint8_t *)data;
    ret->len_bytes = (uint32_t)len;
    return 0;
}

/* _batch(events, topics): what came over the network, as a Batch. */
PyObject *jbpy_batch_of(PyObject *module, PyObject *args)
{
    PyObject *list, *topics, *batch = NULL;
    jb_event *events;
    Py_ssize_t n;

    if (!PyArg_ParseTuple(args, "O!O!:_batch", &PyList_Type, &list, &PyList_Type, &topics))
        return NULL;
    n = PyList_Size(list);
    events = PyMem_Malloc(n > 0 ? (size_t)n * sizeof *events : 1);
    if (events == NULL)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < n; i++) {
        if (read_tuple(PyList_GetItem(list, i), PyList_Size(topics), &events[i]) < 0)
            goto out_free;
    }
    batch = (PyObject *)jbpy_batch_new(PyModule_GetState(module), events, (uint32_t)n, topics);

out_free:
    PyMem_Free(events);
    return batch;
}

PyObject *jbpy_batch_event(jbpy_batch *self, uint32_t idx)
{
    jbpy_state *st = jbpy_state_of((PyObject *)self);
    jbpy_event *event = PyObject_New(jbpy_event, st->event_type);

    if (event == NULL)
        return NULL;
    event->batch = (jbpy_batch *)Py_NewRef((PyObject *)self);
    event->idx = idx;
    return (PyObject *)event;
}

/* 0, or -1 with jimbot.Closed set. */
static int check_open(jbpy_batch *self)
{
    if (self->events != NULL)
        return 0;
    jbpy_raise(jbpy_state_of((PyObject *)self), JB_ECLOSED, NULL, "the batch was released");
    return -1;
}

static Py_ssize_t batch_length(jbpy_batch *self)
{
    return check_open(self) < 0 ? -1 : (Py_ssize_t)self->n;
}

static PyObject *batch_item(jbpy_batch *self, Py_ssize_t i)
{
    if (check_open(self) < 0)
        return NULL;
    if (i < 0 || i >= (Py_ssize_t)self->n) {
        PyErr_SetString(PyExc_IndexError, "event index out of range");
        return NULL;
    }
    return jbpy_batch_event(self, (uint32_t)i);
}

static PyObject *batch_slice(jbpy_batch *self, PyObject *slice)
{
    Py_ssize_t start, stop, step, n;
    PyObject *list;

    if (PySlice_Unpack(slice, &start, &stop, &step) < 0)
        return NULL;
    n = PySlice_AdjustIndices((Py_ssize_t)self->n, &start, &stop, step);
    list = PyList_New(n);
    for (Py_ssize_t i = 0; list != NULL && i < n; i++) {
        PyObject *event = jbpy_batch_event(self, (uint32_t)(start + i * step));

        if (event == NULL || PyList_SetItem(list, i, event) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *batch_subscript(jbpy_batch *self, PyObject *key)
{
    Py_ssize_t i;

    if (check_open(self) < 0)
        return NULL;
    if (PySlice_Check(key))
        return batch_slice(self, key);
    i = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (i == -1 && PyErr_Occurred())
        return NULL;
    return batch_item(self, i < 0 ? i + (Py_ssize_t)self->n : i);
}

static PyObject *batch_iter(PyObject *self)
{
    return check_open((jbpy_batch *)self) < 0 ? NULL : PySeqIter_New(self);
}

static PyObject *batch_release(jbpy_batch *self, PyObject *ignored)
{
    if (self->n_exports > 0) {
        PyErr_SetString(PyExc_BufferError,
                        "a memoryview of an event of this batch is still in use");
        return NULL;
    }
    PyMem_Free(self->events);
    self->events = NULL;
    self->n = 0;
    Py_RETURN_NONE;
}

static PyObject *batch_enter(jbpy_batch *self, PyObject *ignored)
{
    return check_open(self) < 0 ? NULL : Py_NewRef((PyObject *)self);
}

static PyObject *batch_exit(jbpy_batch *self, PyObject *args)
{
    return batch_release(self, NULL);
}

/* What a header column copies: one field of every jb_event. */
typedef struct header_field {
    char format; /* as in the struct module */
    size_t offset;
    size_t bytes;
} header_field;

static PyObject *batch_get_header(jbpy_batch *self, void *closure)
{
    const header_field *field = closure;
    jbpy_state *st = jbpy_state_of((PyObject *)self);
    PyObject *column;
    void *data;

    if (check_open(self) < 0)
        return NULL;
    column = jbpy_column_new(st, field->format, field->bytes, self->n, &data);
    if (column == NULL)
        return NULL;
    for (uint32_t i = 0; i < self->n; i++)
        memcpy((char *)data + i * field->bytes, (const char *)&self->events[i] + field->offset,
               field->bytes);
    return jbpy_column_array(st, column);
}

/* Compile the path; -1 with an exception that names it. */
static int parse_field(jbpy_batch *self, PyObject *path, jb_field *ret_field)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(path, &len);
    jb_error err;
    int rc;

    if (text == NULL || check_open(self) < 0)
        return -1;
    jb_error_init(&err);
    rc = jb_field_parse(text, (size_t)len, ret_field, &err);
    if (rc < 0) {
        jbpy_raise(jbpy_state_of((PyObject *)self), rc, &err, text);
        return -1;
    }
    return 0;
}

static void fill_doubles(const jbpy_batch *self, const jb_field *field, double *out, uint8_t *valid)
{
    jb_field_column_double(field, self->events, self->n, out, valid);
    for (uint32_t i = 0; i < self->n; i++) {
        if (!valid[i])
            out[i] = NAN;
    }
}

static PyObject *column_pair(jbpy_batch *self, const jb_field *field, bool is_double,
                             bool with_valid)
{
    jbpy_state *st = jbpy_state_of((PyObject *)self);
    void *out, *valid;
    PyObject *mask = jbpy_column_new(st, '?', 1, self->n, &valid);
    PyObject *values =
        mask == NULL ? NULL : jbpy_column_new(st, is_double ? 'd' : 'q', 8, self->n, &out);

    if (values == NULL) {
        Py_XDECREF(mask);
        return NULL;
    }
    if (is_double)
        fill_doubles(self, field, out, valid);
    else
        jb_field_column_int(field, self->events, self->n, out, valid);
    values = jbpy_column_array(st, values);
    if (!with_valid) {
        Py_DECREF(mask);
        return values;
    }
    mask = jbpy_column_array(st, mask);
    if (values == NULL || mask == NULL) {
        Py_XDECREF(values);
        Py_XDECREF(mask);
        return NULL;
    }
    return Py_BuildValue("(NN)", values, mask);
}

static PyObject *batch_column(jbpy_batch *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"path", "dtype", "with_valid", NULL};
    const char *dtype = "f8";
    int with_valid = 0;
    PyObject *path;
    jb_field field;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "U|s$p:column", (char **)keys, &path, &dtype,
                                     &with_valid))
        return NULL;
    if (strcmp(dtype, "f8") != 0 && strcmp(dtype, "i8") != 0)
        return PyErr_Format(PyExc_ValueError, "dtype is 'f8' or 'i8', not '%s'", dtype);
    if (parse_field(self, path, &field) < 0)
        return NULL;
    if (field.kind == JB_FIELD_STRING)
        return PyErr_Format(PyExc_TypeError, "%U holds text: use strings()", path);
    return column_pair(self, &field, dtype[0] == 'f', with_valid != 0);
}

static PyObject *string_at(jbpy_batch *self, const jb_field *field, uint32_t i)
{
    const jb_event *event = &self->events[i];
    const char *text;
    size_t len;

    if (jb_field_get_string(field, event->payload, event->len_bytes, &text, &len) != 1)
        Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)len, "replace");
}

static PyObject *batch_strings(jbpy_batch *self, PyObject *path)
{
    PyObject *list;
    jb_field field;

    if (!PyUnicode_Check(path))
        return PyErr_Format(PyExc_TypeError, "a path is a str");
    if (parse_field(self, path, &field) < 0)
        return NULL;
    if (field.kind != JB_FIELD_STRING)
        return PyErr_Format(PyExc_TypeError, "%U holds numbers: use column()", path);
    list = PyList_New((Py_ssize_t)self->n);
    for (uint32_t i = 0; list != NULL && i < self->n; i++) {
        PyObject *text = string_at(self, &field, i);

        if (text == NULL || PyList_SetItem(list, (Py_ssize_t)i, text) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *batch_repr(jbpy_batch *self)
{
    if (self->events == NULL)
        return PyUnicode_FromString("<jimbot.Batch, released>");
    return PyUnicode_FromFormat("<jimbot.Batch of %u>", self->n);
}

static void batch_dealloc(jbpy_batch *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    PyMem_Free(self->events);
    Py_XDECREF(self->topics);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef batch_methods[] = {
    {"column", METHOD(batch_column), KEYWORDS,
     "One field of every event as an array, dtype 'f8' (NaN where absent) or 'i8' (0 where absent);"
     " with_valid=True: (values, mask)."},
    {"strings", METHOD(batch_strings), METH_O,
     "One text field of every event as a list, None where absent."},
    {"release", METHOD(batch_release), METH_NOARGS,
     "Free the memory now. BufferError while a memoryview of an event is in use."},
    {"__enter__", METHOD(batch_enter), METH_NOARGS, NULL},
    {"__exit__", METHOD(batch_exit), METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

#define HEADER(name, format, member, doc)                                                          \
    {                                                                                              \
        name, (getter)batch_get_header, NULL, doc, &(header_field)                                 \
        {                                                                                          \
            format, offsetof(jb_event, member), sizeof(((jb_event *)0)->member)                    \
        }                                                                                          \
    }

static PyGetSetDef batch_getset[] = {
    HEADER("sequence", 'Q', sequence, "Sequence numbers, uint64."),
    HEADER("time_ns", 'Q', time_ns, "Publish times, monotonic, uint64."),
    HEADER("source_time", 'd', source_time, "The sources' own times, NaN where none, float64."),
    HEADER("n_missed", 'Q', n_missed, "Events lost before each one, uint64."),
    HEADER("n_deliveries", 'I', n_deliveries, "How often a group gave each to a worker, uint32."),
    HEADER("topic_id", 'I', topic_id, "Topic numbers, uint32; see Bus.topic_id()."),
    HEADER("type", 'H', type, "Event types, uint16; see EventType."),
    HEADER("key", 'I', key, "What each is about within its topic, uint32; correlation ids."),
    HEADER("priority", 'B', priority, "0 normal, 1 low, 2 high; uint8."),
    HEADER("flags", 'B', flags, "1 a request, 2 a reply; uint8."),
    HEADER("publisher", 'I', publisher, "Peer numbers of the publishers, uint32."),
    HEADER("len_bytes", 'I', len_bytes, "Lengths of the payloads, uint32."),
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot batch_slots[] = {
    {Py_tp_doc, "Events that one poll took, a sequence of Event."},
    {Py_tp_methods, batch_methods},
    {Py_tp_getset, batch_getset},
    {Py_tp_iter, batch_iter},
    {Py_sq_length, batch_length},
    {Py_sq_item, batch_item},
    {Py_mp_length, batch_length},
    {Py_mp_subscript, batch_subscript},
    {Py_tp_repr, batch_repr},
    {Py_tp_dealloc, batch_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_batch_spec = {
    .name = "jimbot.Batch",
    .basicsize = sizeof(jbpy_batch),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = batch_slots,
};
