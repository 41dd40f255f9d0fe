/*
 * event.c: jimbot.Event, one event of a batch; every attribute is made when it is asked for.
 *
 * Invariant: it holds its batch, and a buffer taken from it is counted there, so the bytes outlive
 * every view of them. After Batch.release() every attribute raises jimbot.Closed.
 */
#include "core.h"

#include <math.h>

/* NULL with jimbot.Closed set. */
const jb_event *jbpy_event_of(jbpy_event *self)
{
    if (self->batch->events != NULL)
        return &self->batch->events[self->idx];
    jbpy_raise(jbpy_state_of((PyObject *)self), JB_ECLOSED, NULL,
               "the batch of this event was released");
    return NULL;
}

static PyObject *topic_of(const jbpy_event *self, const jb_event *event)
{
    PyObject *topics = self->batch->topics;

    if ((Py_ssize_t)event->topic_id >= PyList_Size(topics))
        Py_RETURN_NONE;
    return Py_NewRef(PyList_GetItem(topics, (Py_ssize_t)event->topic_id));
}

static PyObject *text_of(const jb_field *field, const jb_event *event)
{
    const char *text;
    size_t len;

    if (jb_field_get_string(field, event->payload, event->len_bytes, &text, &len) != 1)
        return NULL;
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)len, "replace");
}

/* The type as the client spelled it where it says so itself, otherwise the library's name. */
static PyObject *type_of(jbpy_state *st, const jb_event *event)
{
    const char *name = jb_event_type_name(event->type);
    PyObject *text;

    if (event->type == JB_EVENT_CUSTOM || name == NULL) {
        text = text_of(&st->type_name, event);
        if (text != NULL || PyErr_Occurred())
            return text;
    }
    return PyUnicode_FromString(name != NULL ? name : "UNSPECIFIED");
}

static PyObject *event_get_topic(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);

    return event == NULL ? NULL : topic_of(self, event);
}

static PyObject *event_get_type(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);

    return event == NULL ? NULL : type_of(jbpy_state_of((PyObject *)self), event);
}

static PyObject *event_get_subtype(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);
    PyObject *text;

    if (event == NULL)
        return NULL;
    text = text_of(&jbpy_state_of((PyObject *)self)->subtype, event);
    if (text == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return text;
}

static PyObject *event_get_sequence(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);

    return event == NULL ? NULL : PyLong_FromUnsignedLongLong(event->sequence);
}

static PyObject *event_get_time_ns(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);

    return event == NULL ? NULL : PyLong_FromUnsignedLongLong(event->time_ns);
}

static PyObject *event_get_source_time(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);

    if (event == NULL)
        return NULL;
    if (isnan(event->source_time))
        Py_RETURN_NONE;
    return PyFloat_FromDouble(event->source_time);
}

static PyObject *event_get_n_missed(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);

    return event == NULL ? NULL : PyLong_FromUnsignedLongLong(event->n_missed);
}

static PyObject *event_get_n_deliveries(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);

    return event == NULL ? NULL : PyLong_FromUnsignedLong(event->n_deliveries);
}

static PyObject *event_get_priority(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);

    return event == NULL ? NULL : PyLong_FromLong(event->priority);
}

static PyObject *event_get_publisher(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);

    return event == NULL ? NULL : PyLong_FromUnsignedLong(event->publisher);
}

static PyObject *event_get_key(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);

    return event == NULL ? NULL : PyLong_FromUnsignedLong(event->key);
}

static PyObject *event_get_is_request(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);

    return event == NULL ? NULL : PyBool_FromLong(event->flags & JB_EVENT_IS_REQUEST);
}

static PyObject *event_get_is_reply(jbpy_event *self, void *ignored)
{
    const jb_event *event = jbpy_event_of(self);

    return event == NULL ? NULL : PyBool_FromLong(event->flags & JB_EVENT_IS_REPLY);
}

static PyObject *event_get_payload(jbpy_event *self, void *ignored)
{
    return PyMemoryView_FromObject((PyObject *)self);
}

static PyObject *event_json(jbpy_event *self, uint32_t dialect)
{
    const jb_event *event = jbpy_event_of(self);

    if (event == NULL)
        return NULL;
    return jbpy_json(jbpy_state_of((PyObject *)self), dialect, event->payload, event->len_bytes);
}

static PyObject *event_to_json(jbpy_event *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"dialect", NULL};
    uint32_t dialect = JB_DIALECT_BALATROMCP;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$O&:to_json", (char **)keys, jbpy_dialect,
                                     &dialect))
        return NULL;
    return event_json(self, dialect);
}

static PyObject *event_to_dict(jbpy_event *self, PyObject *ignored)
{
    PyObject *text = event_json(self, JB_DIALECT_BALATROMCP), *dict;

    if (text == NULL)
        return NULL;
    dict = PyObject_CallFunctionObjArgs(jbpy_state_of((PyObject *)self)->json_loads, text, NULL);
    Py_DECREF(text);
    return dict;
}

static PyObject *command_params(const jb_command *command)
{
    PyObject *params = PyTuple_New((Py_ssize_t)command->n_params);

    for (uint32_t i = 0; params != NULL && i < command->n_params; i++) {
        PyObject *text = PyUnicode_FromString(command->params[i]);

        if (text == NULL || PyTuple_SetItem(params, (Py_ssize_t)i, text) < 0)
            Py_CLEAR(params);
    }
    return params;
}

static PyObject *new_command(jbpy_state *st, const jb_command *command)
{
    PyObject *values[3], *result = PyStructSequence_New(st->command_type);

    if (result == NULL)
        return NULL;
    values[0] = PyUnicode_FromString(command->name);
    values[1] = command_params(command);
    values[2] = command->id[0] != '\0' ? PyUnicode_FromString(command->id) : Py_NewRef(Py_None);
    for (int i = 0; i < 3; i++)
        PyStructSequence_SetItem(result, i, values[i]);
    if (values[0] == NULL || values[1] == NULL || values[2] == NULL)
        Py_CLEAR(result);
    return result;
}

static PyObject *event_to_command(jbpy_event *self, PyObject *ignored)
{
    const jb_event *event = jbpy_event_of(self);
    jbpy_state *st = jbpy_state_of((PyObject *)self);
    jb_command command;
    int rc;

    if (event == NULL)
        return NULL;
    rc = jb_command_decode(event->payload, event->len_bytes, &command);
    return rc < 0 ? jbpy_raise(st, rc, NULL, "not a command") : new_command(st, &command);
}

static int event_getbuffer(jbpy_event *self, Py_buffer *view, int flags)
{
    const jb_event *event = jbpy_event_of(self);

    view->obj = NULL;
    if (event == NULL)
        return -1;
    if (PyBuffer_FillInfo(view, (PyObject *)self, (void *)event->payload,
                          (Py_ssize_t)event->len_bytes, 1, flags) < 0)
        return -1;
    self->batch->n_exports++;
    return 0;
}

static void event_releasebuffer(jbpy_event *self, Py_buffer *view)
{
    self->batch->n_exports--;
}

static PyObject *event_repr(jbpy_event *self)
{
    const jb_event *event = self->batch->events ? &self->batch->events[self->idx] : NULL;
    PyObject *type, *topic, *text = NULL;

    if (event == NULL)
        return PyUnicode_FromString("<jimbot.Event, released>");
    type = type_of(jbpy_state_of((PyObject *)self), event);
    topic = topic_of(self, event);
    if (type != NULL && topic != NULL)
        text = PyUnicode_FromFormat("<jimbot.Event %llu %U on %S, %u bytes>",
                                    (unsigned long long)event->sequence, type, topic,
                                    event->len_bytes);
    Py_XDECREF(type);
    Py_XDECREF(topic);
    return text;
}

static void event_dealloc(jbpy_event *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    Py_DECREF((PyObject *)self->batch);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef event_methods[] = {
    {"to_dict", METHOD(event_to_dict), METH_NOARGS,
     "The whole event as its client sent it, as a dict."},
    {"to_json", METHOD(event_to_json), KEYWORDS, "The whole event as JSON text, in a dialect."},
    {"to_command", METHOD(event_to_command), METH_NOARGS,
     "The command it is, or jimbot.EventError."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef event_getset[] = {
    {"topic", (getter)event_get_topic, NULL, "The topic it was published on.", NULL},
    {"type", (getter)event_get_type, NULL, "The type's name.", NULL},
    {"subtype", (getter)event_get_subtype, NULL, "The subtype, or None.", NULL},
    {"sequence", (getter)event_get_sequence, NULL, "Its number in the ring.", NULL},
    {"time_ns", (getter)event_get_time_ns, NULL, "When it was published, monotonic.", NULL},
    {"source_time", (getter)event_get_source_time, NULL, "The source's own time, or None.", NULL},
    {"n_missed", (getter)event_get_n_missed, NULL, "Events lost before this one.", NULL},
    {"n_deliveries", (getter)event_get_n_deliveries, NULL,
     "How often a consumer group gave it to a worker, this time included; else 0.", NULL},
    {"priority", (getter)event_get_priority, NULL, "0 normal, 1 low, 2 high.", NULL},
    {"publisher", (getter)event_get_publisher, NULL, "Peer number of the publisher.", NULL},
    {"key", (getter)event_get_key, NULL,
     "What it is about within its topic; the correlation id of requests and replies.", NULL},
    {"is_request", (getter)event_get_is_request, NULL, "Whether Bus.reply() answers it.", NULL},
    {"is_reply", (getter)event_get_is_reply, NULL, "Whether it answers a request.", NULL},
    {"payload", (getter)event_get_payload, NULL, "The serialised jimbot.v1.Event.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot event_slots[] = {
    {Py_tp_doc, "One event; exports its bytes through the buffer protocol."},
    {Py_tp_methods, event_methods},
    {Py_tp_getset, event_getset},
    {Py_bf_getbuffer, event_getbuffer},
    {Py_bf_releasebuffer, event_releasebuffer},
    {Py_tp_repr, event_repr},
    {Py_tp_dealloc, event_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_event_spec = {
    .name = "jimbot.Event",
    .basicsize = sizeof(jbpy_event),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = event_slots,
};

static PyStructSequence_Field command_fields[] = {
    {"name", "\"play_hand\""},
    {"params", "tuple of str"},
    {"id", "correlation id, or None"},
    {NULL, NULL},
};

PyStructSequence_Desc jbpy_command_desc = {
    .name = "jimbot.Command",
    .doc = "A command to the game.",
    .fields = command_fields,
    .n_in_sequence = 3,
};
