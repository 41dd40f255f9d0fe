/*
 * publish.c: Bus.publish() and Bus.send_command(), and what they do when the bus is full.
 *
 * Invariant: the call returns only when the event is in the ring; otherwise it raises and the event
 * is not there. It never waits unless it was given a timeout, and never with the GIL held.
 */
#include "core.h"

#include <math.h>
#include <string.h>

/* One attempt; `what` is the jbpy_outgoing or the jb_command. */
typedef int (*attempt_fn)(jb_bus *bus, const void *what);

typedef struct jbpy_outgoing {
    const jb_encoded *encoded;
    const char *topic; /* NULL: the one its type names */
    size_t topic_bytes;
} jbpy_outgoing;

static int attempt_event(jb_bus *bus, const void *what)
{
    const jbpy_outgoing *out = what;
    const jb_encoded *enc = out->encoded;
    jb_event_head head = {0};
    int rc;

    if (out->topic == NULL)
        return jb_bus_publish_encoded(bus, enc);
    rc = jb_bus_topic(bus, out->topic, out->topic_bytes, &head.topic_id);
    if (rc < 0)
        return rc;
    head.type = enc->type;
    head.priority = enc->priority;
    head.source_time = enc->source_time;
    return jb_bus_publish(bus, &head, enc->data, enc->len_bytes);
}

static int attempt_command(jb_bus *bus, const void *what)
{
    return jb_bus_send_command(bus, what);
}

/* Sleep until there may be room. Returns -1 with an exception set when a signal handler raised. */
static int wait_for_room(jbpy_bus *self, size_t len_bytes, uint64_t deadline_ns)
{
    uint64_t slice_ns = jbpy_slice(deadline_ns);
    jb_bus *bus = self->bus;

    self->n_waits++;
    Py_BEGIN_ALLOW_THREADS
        jb_bus_wait_space(bus, len_bytes, slice_ns);
    Py_END_ALLOW_THREADS
    self->n_waits--;
    return PyErr_CheckSignals();
}

static PyObject *publish_with(jbpy_bus *self, attempt_fn attempt, const void *what,
                              size_t len_bytes, uint64_t timeout_ns)
{
    jbpy_state *st = jbpy_state_of((PyObject *)self);
    uint64_t deadline_ns = 0;

    for (;;) {
        int rc;

        if (jbpy_bus_handle(self) == NULL)
            return NULL;
        rc = attempt(self->bus, what);
        if (rc >= 0)
            Py_RETURN_NONE;
        if (rc != JB_EAGAIN || timeout_ns == 0)
            return jbpy_raise(st, rc, NULL, "nothing was published");
        if (deadline_ns == 0)
            deadline_ns = jbpy_deadline(timeout_ns);
        if (jb_clock_now_ns() >= deadline_ns)
            return jbpy_raise(st, rc, NULL, "nothing was published");
        if (wait_for_room(self, len_bytes, deadline_ns) < 0)
            return NULL;
    }
}

static PyObject *none_to_null(PyObject *value)
{
    return value == Py_None ? NULL : value;
}

static int set_topic(PyObject *name, jbpy_outgoing *out)
{
    Py_ssize_t len;

    out->topic = PyUnicode_AsUTF8AndSize(name, &len);
    out->topic_bytes = (size_t)len;
    return out->topic == NULL ? -1 : 0;
}

static PyObject *publish_to(jbpy_bus *self, PyObject *target, PyObject *data,
                            const jbpy_envelope *env, uint64_t timeout_ns)
{
    jbpy_state *st = jbpy_state_of((PyObject *)self);
    PyObject *type = target, *result = NULL;
    jbpy_outgoing out = {0};
    jbpy_encoding e;

    if (target != NULL) {
        Py_ssize_t dot = PyUnicode_FindChar(target, '.', 0, PyUnicode_GetLength(target), 1);

        if (dot >= 0 && set_topic(target, &out) < 0)
            return NULL;
        if (dot >= 0)
            type = NULL;
    }
    if (jbpy_encode(st, type, data, env, &e) < 0)
        return NULL;
    out.encoded = &e.encoded;
    result = publish_with(self, attempt_event, &out, e.encoded.len_bytes, timeout_ns);
    jbpy_encoding_fini(st, &e);
    return result;
}

PyObject *jbpy_bus_publish(jbpy_bus *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"topic_or_type", "data",      "timeout",  "subtype", "event_id",
                                 "source",        "timestamp", "priority", NULL};
    PyObject *target, *data = NULL, *timeout = NULL, *subtype = NULL;
    jbpy_envelope env = {0};
    uint64_t timeout_ns;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O$OOOOOO:publish", (char **)keys, &target,
                                     &data, &timeout, &subtype, &env.event_id, &env.source,
                                     &env.timestamp, &env.priority))
        return NULL;
    if (target != Py_None && !PyUnicode_Check(target)) {
        PyErr_SetString(PyExc_TypeError, "the first argument is an event type, a topic, or None");
        return NULL;
    }
    env.subtype = none_to_null(subtype);
    env.event_id = none_to_null(env.event_id);
    env.source = none_to_null(env.source);
    env.timestamp = none_to_null(env.timestamp);
    env.priority = none_to_null(env.priority);
    if (env.subtype != NULL && !PyUnicode_Check(env.subtype)) {
        PyErr_SetString(PyExc_TypeError, "subtype is a str");
        return NULL;
    }
    if (jbpy_timeout(timeout, &timeout_ns) < 0 || jbpy_bus_handle(self) == NULL)
        return NULL;
    return publish_to(self, none_to_null(target), none_to_null(data), &env, timeout_ns);
}

/* Copy the text of `value` into a fixed field of a jb_command. */
static int copy_text(const char *what, PyObject *value, char *field, size_t field_bytes)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(value, &len);

    if (text == NULL)
        return -1;
    if ((size_t)len >= field_bytes || strlen(text) != (size_t)len) {
        PyErr_Format(PyExc_ValueError, "%s: %zd bytes of text, or a NUL inside; at most %zu fit",
                     what, len, field_bytes - 1);
        return -1;
    }
    memcpy(field, text, (size_t)len + 1);
    return 0;
}

/* Numbers become their shortest text; a bool is no number of the command language. */
static int copy_param(PyObject *value, char *field, size_t field_bytes)
{
    PyObject *text;
    int rc;

    if (PyUnicode_Check(value))
        return copy_text("parameter", value, field, field_bytes);
    if (PyBool_Check(value) ||
        !(PyLong_Check(value) || PyFloat_Check(value) || PyIndex_Check(value))) {
        PyErr_Format(PyExc_TypeError, "a command's parameters are str, int or float, not %R",
                     (PyObject *)Py_TYPE(value));
        return -1;
    }
    text = PyObject_Str(value);
    if (text == NULL)
        return -1;
    rc = copy_text("parameter", text, field, field_bytes);
    Py_DECREF(text);
    return rc;
}

static int fill_command(PyObject *args, PyObject *id, jb_command *command)
{
    Py_ssize_t n = PyTuple_Size(args) - 1;
    PyObject *name = n >= 0 ? PyTuple_GetItem(args, 0) : NULL;

    memset(command, 0, sizeof *command);
    if (name == NULL || !PyUnicode_Check(name) ||
        (id != NULL && id != Py_None && !PyUnicode_Check(id))) {
        PyErr_SetString(PyExc_TypeError, "send_command(name: str, *params, id: str = None)");
        return -1;
    }
    if (n > 8) {
        PyErr_Format(PyExc_ValueError, "a command has at most 8 parameters, not %zd", n);
        return -1;
    }
    if (copy_text("name", name, command->name, sizeof command->name) < 0 ||
        (id != NULL && id != Py_None && copy_text("id", id, command->id, sizeof command->id) < 0))
        return -1;
    command->n_params = (uint32_t)n;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (copy_param(PyTuple_GetItem(args, i + 1), command->params[i],
                       sizeof command->params[i]) < 0)
            return -1;
    }
    return 0;
}

PyObject *jbpy_bus_send_command(jbpy_bus *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"id", "timeout", NULL};
    PyObject *id = NULL, *timeout = NULL, *empty = PyTuple_New(0);
    uint64_t timeout_ns;
    jb_command command;
    int is_ok;

    if (empty == NULL)
        return NULL;
    is_ok = PyArg_ParseTupleAndKeywords(empty, kwargs, "|$OO:send_command", (char **)keys, &id,
                                        &timeout);
    Py_DECREF(empty);
    if (!is_ok || fill_command(args, id, &command) < 0 || jbpy_timeout(timeout, &timeout_ns) < 0)
        return NULL;
    return publish_with(self, attempt_command, &command, sizeof command, timeout_ns);
}
