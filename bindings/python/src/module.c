/*
 * module.c: puts jimbot._core together, and the module's own functions.
 *
 * Invariant: the module is usable only if the library it runs with has the MAJOR.MINOR it was built
 * against; otherwise the import fails with a sentence that names both.
 */
#include "encode.h"

#include <limits.h>
#include <math.h>
#include <time.h>

jbpy_state *jbpy_state_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

/* Seconds to nanoseconds: NULL is 0, None is for ever. */
int jbpy_timeout(PyObject *seconds, uint64_t *ret_timeout_ns)
{
    double number;

    if (seconds == NULL || seconds == Py_None) {
        *ret_timeout_ns = seconds == NULL ? 0 : UINT64_MAX;
        return 0;
    }
    number = PyFloat_AsDouble(seconds);
    if (number == -1.0 && PyErr_Occurred())
        return -1;
    if (isnan(number) || number < 0.0) {
        PyErr_SetString(PyExc_ValueError, "timeout is a number of seconds >= 0, or None");
        return -1;
    }
    *ret_timeout_ns = number >= 1e9 ? UINT64_MAX : (uint64_t)(number * 1e9);
    return 0;
}

uint64_t jbpy_deadline(uint64_t timeout_ns)
{
    uint64_t now_ns = jb_clock_now_ns();

    return timeout_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + timeout_ns;
}

/* The same as a time: 0 is never wait, UINT64_MAX for ever. */
int jbpy_timeout_at(PyObject *seconds, uint64_t *ret_deadline_ns)
{
    uint64_t timeout_ns;

    if (jbpy_timeout(seconds, &timeout_ns) < 0)
        return -1;
    *ret_deadline_ns = timeout_ns == 0 ? 0 : jbpy_deadline(timeout_ns);
    return 0;
}

/* How long to sleep before the next look at signals. */
uint64_t jbpy_slice(uint64_t deadline_ns)
{
    uint64_t now_ns = jb_clock_now_ns();

    if (now_ns >= deadline_ns)
        return 0;
    return deadline_ns - now_ns < JBPY_SLICE_NS ? deadline_ns - now_ns : JBPY_SLICE_NS;
}

/* Let another thread get on. */
void jbpy_nap(void)
{
    struct timespec nap = {0, 200000};

    Py_BEGIN_ALLOW_THREADS
        nanosleep(&nap, NULL);
    Py_END_ALLOW_THREADS
}

/* Converters for PyArg_Parse, whose own formats for unsigned numbers drop bits that do not fit. */
int jbpy_to_uint64(PyObject *number, void *ret)
{
    PyObject *index = PyNumber_Index(number); /* numpy's integers are not of type int */
    unsigned long long value;

    if (index == NULL)
        return 0;
    value = PyLong_AsUnsignedLongLong(index);
    Py_DECREF(index);
    if (value == ULLONG_MAX && PyErr_Occurred())
        return 0;
    *(uint64_t *)ret = value;
    return 1;
}

int jbpy_to_uint32(PyObject *number, void *ret)
{
    uint64_t value;

    if (!jbpy_to_uint64(number, &value))
        return 0;
    if (value > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "the number does not fit 32 bits");
        return 0;
    }
    *(uint32_t *)ret = (uint32_t)value;
    return 1;
}

int jbpy_dialect(PyObject *name, void *ret)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(name, &len);
    int found;

    if (text == NULL)
        return 0;
    found = jb_dialect_find(text, (size_t)len);
    if (found < 0) {
        PyErr_Format(PyExc_ValueError, "%R is no dialect", name);
        return 0;
    }
    *(uint32_t *)ret = (uint32_t)found;
    return 1;
}

PyObject *jbpy_json(jbpy_state *st, uint32_t dialect, const void *data, size_t len_bytes)
{
    size_t cap = len_bytes * 3 + 512;
    PyObject *text = NULL;

    for (int i = 0; i < 2; i++) {
        char *buf = PyMem_Malloc(cap);
        jb_error err;
        int64_t n;

        if (buf == NULL)
            return PyErr_NoMemory();
        jb_error_init(&err);
        n = jb_event_to_json_as(dialect, data, len_bytes, buf, cap, &err);
        if (n >= 0 && (uint64_t)n <= cap)
            text = PyUnicode_DecodeUTF8(buf, (Py_ssize_t)n, "strict");
        PyMem_Free(buf);
        if (n < 0)
            return jbpy_raise(st, (int)n, &err, "to_json");
        if ((uint64_t)n <= cap)
            break;
        cap = (size_t)n;
    }
    return text;
}

static PyObject *core_canonical(PyObject *module, PyObject *data)
{
    jbpy_state *st = PyModule_GetState(module);
    PyObject *form = NULL;
    jb_error err;
    Py_buffer view;
    int64_t n;

    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    jb_error_init(&err);
    n = jb_event_canonical(view.buf, (size_t)view.len, NULL, 0, &err);
    if (n >= 0)
        form = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)n);
    if (form != NULL)
        n = jb_event_canonical(view.buf, (size_t)view.len, (uint8_t *)PyBytes_AsString(form),
                               (size_t)n, &err);
    PyBuffer_Release(&view);
    if (n >= 0)
        return form;
    Py_CLEAR(form);
    jbpy_raise(st, (int)n, &err, "the event");
    return NULL;
}

static PyObject *core_to_json(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"", "dialect", NULL};
    uint32_t dialect = JB_DIALECT_BALATROMCP;
    PyObject *text;
    Py_buffer view;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*|$O&:to_json", (char **)keys, &view,
                                     jbpy_dialect, &dialect))
        return NULL;
    text = jbpy_json(PyModule_GetState(module), dialect, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return text;
}

static PyObject *core_encode(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"type",      "data",     "subtype", "event_id", "source",
                                 "timestamp", "priority", "dialect", NULL};
    jbpy_state *st = PyModule_GetState(module);
    PyObject *type, *data = NULL, *bytes;
    jbpy_envelope env = {0};
    jbpy_encoding e;
    PyObject **const optional[] = {&data,       &env.subtype,   &env.event_id,
                                   &env.source, &env.timestamp, &env.priority};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O$OOOOOO&:encode", (char **)keys, &type,
                                     &data, &env.subtype, &env.event_id, &env.source,
                                     &env.timestamp, &env.priority, jbpy_dialect, &env.dialect))
        return NULL;
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        if (*optional[i] == Py_None)
            *optional[i] = NULL;
    }
    if ((type != Py_None && !PyUnicode_Check(type)) ||
        (env.subtype != NULL && !PyUnicode_Check(env.subtype)))
        return PyErr_Format(PyExc_TypeError, "type and subtype are str or None");
    if (jbpy_encode(st, type == Py_None ? NULL : type, data, &env, &e) < 0)
        return NULL;
    bytes = PyBytes_FromStringAndSize((const char *)e.encoded.data, e.encoded.len_bytes);
    jbpy_encoding_fini(st, &e);
    return bytes;
}

static PyObject *unlink_by(PyObject *module, PyObject *name,
                           int (*fn)(const char *name, jb_error *err))
{
    PyObject *bytes;
    jb_error err;
    int rc;

    if (!PyUnicode_FSConverter(name, &bytes))
        return NULL;
    jb_error_init(&err);
    rc = fn(PyBytes_AsString(bytes), &err);
    Py_DECREF(bytes);
    if (rc < 0)
        return jbpy_raise(PyModule_GetState(module), rc, &err, "unlink");
    Py_RETURN_NONE;
}

static PyObject *core_unlink(PyObject *module, PyObject *name)
{
    return unlink_by(module, name, jb_bus_unlink);
}

static PyObject *core_unlink_coordinator(PyObject *module, PyObject *name)
{
    return unlink_by(module, name, jb_coord_unlink);
}

static PyObject *core_now_ns(PyObject *module, PyObject *ignored)
{
    return PyLong_FromUnsignedLongLong(jb_clock_now_ns());
}

static PyObject *core_event_types(PyObject *module, PyObject *ignored)
{
    PyObject *dict = PyDict_New();

    for (uint32_t i = 0; dict != NULL && i < 64; i++) {
        const char *name = jb_event_type_name(i);
        PyObject *number = name != NULL ? PyLong_FromUnsignedLong(i) : NULL;

        if (name == NULL)
            continue;
        if (number == NULL || PyDict_SetItemString(dict, name, number) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(number);
    }
    return dict;
}

static PyObject *core_set_async_factory(PyObject *module, PyObject *factory)
{
    jbpy_state *st = PyModule_GetState(module);
    PyObject *old = st->as_async;

    st->as_async = Py_NewRef(factory);
    Py_XDECREF(old);
    Py_RETURN_NONE;
}

static PyObject *core_set_array_factory(PyObject *module, PyObject *factory)
{
    jbpy_state *st = PyModule_GetState(module);

    PyObject *old = st->as_array;

    st->as_array = factory == Py_None ? NULL : Py_NewRef(factory);
    Py_XDECREF(old);
    Py_RETURN_NONE;
}

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **ret_type)
{
    *ret_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *ret_type == NULL ? -1 : PyModule_AddType(module, *ret_type);
}

static int add_types(PyObject *module, jbpy_state *st)
{
    if (add_type(module, &jbpy_bus_spec, &st->bus_type) < 0 ||
        add_type(module, &jbpy_sub_spec, &st->sub_type) < 0 ||
        add_type(module, &jbpy_batch_spec, &st->batch_type) < 0 ||
        add_type(module, &jbpy_event_spec, &st->event_type) < 0 ||
        add_type(module, &jbpy_column_spec, &st->column_type) < 0 ||
        add_type(module, &jbpy_requester_spec, &st->requester_type) < 0 ||
        add_type(module, &jbpy_worker_spec, &st->worker_type) < 0 ||
        add_type(module, &jbpy_coord_spec, &st->coord_type) < 0 ||
        add_type(module, &jbpy_lease_spec, &st->lease_type) < 0 ||
        add_type(module, &jbpy_ticket_spec, &st->ticket_type) < 0 ||
        add_type(module, &jbpy_usage_spec, &st->usage_type) < 0 ||
        add_type(module, &jbpy_usage_ticket_spec, &st->usage_ticket_type) < 0)
        return -1;
    st->command_type = PyStructSequence_NewType(&jbpy_command_desc);
    if (st->command_type == NULL || PyModule_AddType(module, st->command_type) < 0)
        return -1;
    st->outcome_type = PyStructSequence_NewType(&jbpy_outcome_desc);
    return st->outcome_type == NULL ? -1 : PyModule_AddType(module, st->outcome_type);
}

static int check_version(void)
{
    if (jb_version() >> 8 == (JB_VERSION_MAJOR << 8 | JB_VERSION_MINOR))
        return 0;
    PyErr_Format(PyExc_ImportError, "jimbot._core was built for libjimbot %d.%d but runs with %s",
                 JB_VERSION_MAJOR, JB_VERSION_MINOR, jb_version_string());
    return -1;
}

static int compile_fields(jbpy_state *st)
{
    jb_error err;
    int rc;

    jb_error_init(&err);
    rc = jb_field_parse("type_name", 9, &st->type_name, &err);
    if (rc >= 0)
        rc = jb_field_parse("subtype", 7, &st->subtype, &err);
    return rc < 0 ? (jbpy_raise(st, rc, &err, "schema"), -1) : 0;
}

static int core_exec(PyObject *module)
{
    jbpy_state *st = PyModule_GetState(module);
    PyObject *json;

    if (check_version() < 0 || jbpy_errors_init(module, st) < 0 || add_types(module, st) < 0 ||
        compile_fields(st) < 0)
        return -1;
    json = PyImport_ImportModule("json");
    if (json == NULL)
        return -1;
    st->json_loads = PyObject_GetAttrString(json, "loads");
    Py_DECREF(json);
    if (st->json_loads == NULL)
        return -1;
    return PyModule_AddStringConstant(module, "version", jb_version_string());
}

static int core_traverse(PyObject *module, visitproc visit, void *arg)
{
    jbpy_state *st = PyModule_GetState(module);

    Py_VISIT(st->bus_type);
    Py_VISIT(st->sub_type);
    Py_VISIT(st->batch_type);
    Py_VISIT(st->event_type);
    Py_VISIT(st->column_type);
    Py_VISIT(st->command_type);
    Py_VISIT(st->requester_type);
    Py_VISIT(st->worker_type);
    Py_VISIT(st->outcome_type);
    Py_VISIT(st->coord_type);
    Py_VISIT(st->lease_type);
    Py_VISIT(st->ticket_type);
    Py_VISIT(st->usage_type);
    Py_VISIT(st->usage_ticket_type);
    Py_VISIT(st->error);
    for (int i = 0; i < JBPY_N_ERRORS; i++)
        Py_VISIT(st->errors[i]);
    Py_VISIT(st->json_loads);
    Py_VISIT(st->as_array);
    Py_VISIT(st->as_async);
    return 0;
}

static int core_clear(PyObject *module)
{
    jbpy_state *st = PyModule_GetState(module);

    Py_CLEAR(st->bus_type);
    Py_CLEAR(st->sub_type);
    Py_CLEAR(st->batch_type);
    Py_CLEAR(st->event_type);
    Py_CLEAR(st->column_type);
    Py_CLEAR(st->command_type);
    Py_CLEAR(st->requester_type);
    Py_CLEAR(st->worker_type);
    Py_CLEAR(st->outcome_type);
    Py_CLEAR(st->coord_type);
    Py_CLEAR(st->lease_type);
    Py_CLEAR(st->ticket_type);
    Py_CLEAR(st->usage_type);
    Py_CLEAR(st->usage_ticket_type);
    Py_CLEAR(st->error);
    for (int i = 0; i < JBPY_N_ERRORS; i++)
        Py_CLEAR(st->errors[i]);
    Py_CLEAR(st->json_loads);
    Py_CLEAR(st->as_array);
    Py_CLEAR(st->as_async);
    return 0;
}

static void core_free(void *module)
{
    jbpy_state *st = PyModule_GetState(module);

    core_clear(module);
    while (st->n_encoders > 0)
        jb_encoder_destroy(st->encoders[--st->n_encoders]);
}

static const char encode_doc[] =
    "encode(type, data=None, *, ..., dialect='balatromcp') -> bytes\n\n"
    "An event as the bytes of a jimbot.v1.Event; type, data and the envelope as in Bus.publish().\n"
    "type None: data is the JSON text of a whole event (str or bytes). dialect is 'balatromcp',\n"
    "'balatrobot' (data: a game state, or the JSON-RPC response around it) or 'protobuf'.\n"
    "Raises Parse (not JSON; the message has byte and path), EventError (JSON, but no event),\n"
    "Limit, TooBig, TypeError, ValueError (no such dialect).";

static const char to_json_doc[] =
    "to_json(data, /, *, dialect='balatromcp') -> str\n\n"
    "The JSON text of a serialised jimbot.v1.Event (any buffer of bytes), in a dialect.\n"
    "Raises Proto (no event; the message has byte and path), EventError (the dialect has no word\n"
    "for events of this type), ValueError (no such dialect).";

static PyMethodDef core_methods[] = {
    {"encode", METHOD(core_encode), KEYWORDS, encode_doc},
    {"to_json", METHOD(core_to_json), KEYWORDS, to_json_doc},
    {"canonical", core_canonical, METH_O,
     "The one form of a serialised jimbot.v1.Event: equal events, equal bytes."},
    {"unlink", core_unlink, METH_O, "Remove the name of a bus."},
    {"unlink_coordinator", core_unlink_coordinator, METH_O,
     "Remove the name of a coordinator: the next open makes a new one. NotFound."},
    {"now_ns", core_now_ns, METH_NOARGS, "The clock of Event.time_ns."},
    {"event_types", core_event_types, METH_NOARGS, "Type names and their numbers, as a dict."},
    {"rate_answer", jbpy_rate_answer, METH_O,
     "What the headers of an answer, (name, value) each, say of limits: a dict of what was said."},
    {"_batch", jbpy_batch_of, METH_VARARGS, "A Batch of events that did not lie in a ring."},
    {"_set_array_factory", core_set_array_factory, METH_O,
     "What makes an array of a Column; None: memoryview."},
    {"_set_async_factory", core_set_async_factory, METH_O,
     "What makes an asynchronous iterator of a Subscription."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, core_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "jimbot._core",
    .m_doc = "The C half of the jimbot package.",
    .m_size = sizeof(jbpy_state),
    .m_methods = core_methods,
    .m_slots = core_slots,
    .m_traverse = core_traverse,
    .m_clear = core_clear,
    .m_free = core_free,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
