/*
 * publish.c: Bus.publish() and Bus.send_command(), and what they do when the bus is full.
 *
 * Invariant: the call returns only when the event is in the ring; otherwise it raises and the event
 * is not there. It never waits unless it was given a timeout, and never with the GIL held.
 */
#include "publish.h"

#include <string.h>

static int attempt_message(jb_bus *bus, const void *what)
{
    const jbpy_message *message = what;
    const jb_encoded *enc = &message->encoding.encoded;

    return jb_bus_publish(bus, &message->head, enc->data, enc->len_bytes);
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

/* Attempt until it succeeds, fails, or the time is over. -1 with an exception set: nothing was
 * published. */
int jbpy_publish(jbpy_bus *self, jbpy_attempt_fn attempt, const void *what, size_t len_bytes,
                 uint64_t deadline_ns)
{
    for (;;) {
        int rc;

        if (jbpy_bus_handle(self) == NULL)
            return -1;
        rc = attempt(self->bus, what);
        if (rc >= 0)
            return 0;
        if (rc != JB_EAGAIN || deadline_ns == 0 || jb_clock_now_ns() >= deadline_ns) {
            jbpy_raise(jbpy_state_of((PyObject *)self), rc, NULL, "nothing was published");
            return -1;
        }
        if (wait_for_room(self, len_bytes, deadline_ns) < 0)
            return -1;
    }
}

static int set_topic(jbpy_bus *self, PyObject *topic, const jb_encoded *enc, uint32_t *ret_id)
{
    const char *name = enc->topic;
    Py_ssize_t len = enc->topic_bytes;
    int rc;

    if (topic != NULL) {
        name = PyUnicode_AsUTF8AndSize(topic, &len);
        if (name == NULL)
            return -1;
    }
    if (jbpy_bus_handle(self) == NULL)
        return -1;
    rc = jb_bus_topic(self->bus, name, (size_t)len, ret_id);
    if (rc < 0)
        return jbpy_raise(jbpy_state_of((PyObject *)self), rc, NULL, "nothing was published"), -1;
    return 0;
}

/* A str with a `.` in it names a topic, any other a type. */
bool jbpy_is_topic(PyObject *target)
{
    return target != NULL &&
           PyUnicode_FindChar(target, '.', 0, PyUnicode_GetLength(target), 1) >= 0;
}

/* Encode `data` and give it a head. On failure an exception is set and nothing is owed; else
 * jbpy_message_fini(). */
int jbpy_message_init(jbpy_bus *self, PyObject *target, PyObject *data, const jbpy_envelope *env,
                      jbpy_message *ret)
{
    jbpy_state *st = jbpy_state_of((PyObject *)self);
    PyObject *topic = jbpy_is_topic(target) ? target : NULL;
    const jb_encoded *enc = &ret->encoding.encoded;

    memset(&ret->head, 0, sizeof ret->head);
    if (jbpy_encode(st, topic != NULL ? NULL : target, data, env, &ret->encoding) < 0)
        return -1;
    if (set_topic(self, topic, enc, &ret->head.topic_id) < 0) {
        jbpy_encoding_fini(st, &ret->encoding);
        return -1;
    }
    ret->head.type = enc->type;
    ret->head.priority = enc->priority;
    ret->head.source_time = enc->source_time;
    return 0;
}

void jbpy_message_fini(jbpy_bus *self, jbpy_message *message)
{
    jbpy_encoding_fini(jbpy_state_of((PyObject *)self), &message->encoding);
}

static PyObject *none_to_null(PyObject *value)
{
    return value == Py_None ? NULL : value;
}

/* The arguments of everything that publishes one event. `format` ends in the method's name; without
 * O& in it there is no key, which is the library's own in requests and replies. */
int jbpy_call_parse(PyObject *args, PyObject *kwargs, const char *format, jbpy_call *ret)
{
    static char *const keys[] = {"topic_or_type", "data",      "timeout",  "subtype", "event_id",
                                 "source",        "timestamp", "priority", "key",     NULL};
    static char *const keyless[] = {"topic_or_type", "data",      "timeout",  "subtype", "event_id",
                                    "source",        "timestamp", "priority", NULL};
    char *const *names = strchr(format, '&') != NULL ? keys : keyless;
    jbpy_envelope *env = &ret->env;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, (char **)names, &ret->target, &ret->data,
                                     &ret->timeout, &env->subtype, &env->event_id, &env->source,
                                     &env->timestamp, &env->priority, jbpy_to_uint32, &ret->key))
        return -1;
    if (ret->target != Py_None && !PyUnicode_Check(ret->target)) {
        PyErr_SetString(PyExc_TypeError, "the first argument is an event type, a topic, or None");
        return -1;
    }
    ret->target = none_to_null(ret->target);
    ret->data = none_to_null(ret->data);
    env->subtype = none_to_null(env->subtype);
    env->event_id = none_to_null(env->event_id);
    env->source = none_to_null(env->source);
    env->timestamp = none_to_null(env->timestamp);
    env->priority = none_to_null(env->priority);
    if (env->subtype == NULL || PyUnicode_Check(env->subtype))
        return 0;
    PyErr_SetString(PyExc_TypeError, "subtype is a str");
    return -1;
}

PyObject *jbpy_bus_publish(jbpy_bus *self, PyObject *args, PyObject *kwargs)
{
    jbpy_call call = {0};
    jbpy_message message;
    uint64_t deadline_ns;
    int rc;

    if (jbpy_call_parse(args, kwargs, "O|O$OOOOOOO&:publish", &call) < 0 ||
        jbpy_timeout_at(call.timeout, &deadline_ns) < 0 || jbpy_bus_handle(self) == NULL ||
        jbpy_message_init(self, call.target, call.data, &call.env, &message) < 0)
        return NULL;
    message.head.key = call.key;
    rc = jbpy_publish(self, attempt_message, &message, message.encoding.encoded.len_bytes,
                      deadline_ns);
    jbpy_message_fini(self, &message);
    if (rc < 0)
        return NULL;
    Py_RETURN_NONE;
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
    uint64_t deadline_ns;
    jb_command command;
    int is_ok;

    if (empty == NULL)
        return NULL;
    is_ok = PyArg_ParseTupleAndKeywords(empty, kwargs, "|$OO:send_command", (char **)keys, &id,
                                        &timeout);
    Py_DECREF(empty);
    if (!is_ok || fill_command(args, id, &command) < 0 ||
        jbpy_timeout_at(timeout, &deadline_ns) < 0 ||
        jbpy_publish(self, attempt_command, &command, sizeof command, deadline_ns) < 0)
        return NULL;
    Py_RETURN_NONE;
}
