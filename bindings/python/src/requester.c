/*
 * requester.c: jimbot.Requester: several requests in flight, for who does not want to wait.
 *
 * Invariant: it holds its bus, and one asker from its making to its end.
 */
#include "asker.h"

typedef struct jbpy_requester {
    PyObject_HEAD jbpy_asker *asker;
    jbpy_bus *bus; /* strong */
} jbpy_requester;

PyObject *jbpy_bus_requester(jbpy_bus *bus, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"max_in_flight", "policy", "wait", "name", NULL};
    jbpy_state *st = jbpy_state_of((PyObject *)bus);
    const char *policy = NULL, *wait = NULL;
    jbpy_requester *self;
    jb_requester_opts opts;

    jb_requester_opts_init(&opts, sizeof opts);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$O&ssz:requester", (char **)keys,
                                     jbpy_to_uint32, &opts.max_in_flight, &policy, &wait,
                                     &opts.name) ||
        jbpy_choose("policy", policy, jbpy_policies, &opts.policy) < 0 ||
        jbpy_choose("wait", wait, jbpy_waits, &opts.wait) < 0)
        return NULL;
    self = PyObject_New(jbpy_requester, st->requester_type);
    if (self == NULL)
        return NULL;
    self->bus = (jbpy_bus *)Py_NewRef((PyObject *)bus);
    self->asker = jbpy_asker_new(bus, &opts);
    if (self->asker == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *requester_send(jbpy_requester *self, PyObject *args, PyObject *kwargs)
{
    uint32_t id;
    int rc;

    if (jbpy_asker_enter(self->asker) < 0)
        return NULL;
    rc = jbpy_asker_ask(self->asker, args, kwargs, false, &id);
    self->asker->is_used = false;
    return rc < 0 ? NULL : PyLong_FromUnsignedLong(id);
}

static PyObject *requester_request(jbpy_requester *self, PyObject *args, PyObject *kwargs)
{
    jb_requester_stats stats = {.size = sizeof stats};
    PyObject *event = NULL;

    if (jbpy_asker_enter(self->asker) < 0)
        return NULL;
    if (jb_requester_get_stats(self->asker->handle, &stats) == 0 && stats.n_in_flight > 0)
        jbpy_asker_raise(self->asker, JB_ESTATE, "other requests are in flight: send() and poll()");
    else
        event = jbpy_asker_call(self->asker, args, kwargs);
    self->asker->is_used = false;
    return event;
}

static PyObject *new_outcome(jbpy_state *st, const jb_outcome *outcome, jbpy_batch *batch,
                             uint32_t idx)
{
    PyObject *result = PyStructSequence_New(st->outcome_type), *id, *reply, *elapsed;

    if (result == NULL)
        return NULL;
    id = PyLong_FromUnsignedLong(outcome->id);
    reply = outcome->kind == JB_OUTCOME_REPLY ? jbpy_batch_event(batch, idx) : Py_NewRef(Py_None);
    elapsed = PyLong_FromUnsignedLongLong(outcome->elapsed_ns);
    PyStructSequence_SetItem(result, 0, id);
    PyStructSequence_SetItem(result, 1, reply);
    PyStructSequence_SetItem(result, 2, elapsed);
    if (id == NULL || reply == NULL || elapsed == NULL)
        Py_CLEAR(result);
    return result;
}

static PyObject *outcome_list(jbpy_bus *bus, const jb_outcome *outcomes, uint32_t n)
{
    jbpy_batch *batch = jbpy_reply_batch(bus, outcomes, n);
    PyObject *list = batch == NULL ? NULL : PyList_New((Py_ssize_t)n);

    for (uint32_t i = 0; list != NULL && i < n; i++) {
        PyObject *item = new_outcome(jbpy_state_of((PyObject *)bus), &outcomes[i], batch, i);

        if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) < 0)
            Py_CLEAR(list);
    }
    Py_XDECREF((PyObject *)batch);
    return list;
}

static PyObject *requester_poll(jbpy_requester *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"max_outcomes", "timeout", NULL};
    Py_ssize_t n_max = 64;
    PyObject *timeout = NULL, *list = NULL;
    uint64_t deadline_ns;
    jb_outcome *outcomes;
    int n;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|nO:poll", (char **)keys, &n_max, &timeout) ||
        jbpy_timeout_at(timeout, &deadline_ns) < 0)
        return NULL;
    if (n_max < 1 || n_max > JB_REQUESTS_MAX)
        return PyErr_Format(PyExc_ValueError, "max_outcomes is 1 .. %d, not %zd", JB_REQUESTS_MAX,
                            n_max);
    if (jbpy_asker_enter(self->asker) < 0)
        return NULL;
    outcomes = PyMem_Malloc((size_t)n_max * sizeof *outcomes);
    n = outcomes == NULL ? -1
                         : jbpy_asker_take(self->asker, outcomes, (uint32_t)n_max, deadline_ns);
    if (n >= 0)
        list = outcome_list(self->bus, outcomes, (uint32_t)n);
    else if (outcomes == NULL)
        PyErr_NoMemory();
    PyMem_Free(outcomes);
    self->asker->is_used = false;
    return list;
}

static PyObject *requester_cancel(jbpy_requester *self, PyObject *number)
{
    uint32_t id;
    int rc;

    if (!jbpy_to_uint32(number, &id) || jbpy_asker_enter(self->asker) < 0)
        return NULL;
    rc = jb_request_cancel(self->asker->handle, id);
    self->asker->is_used = false;
    if (rc < 0 && rc != JB_ENOENT)
        return jbpy_asker_raise(self->asker, rc, "cancel");
    return PyBool_FromLong(rc == 0);
}

static PyObject *requester_stats(jbpy_requester *self, PyObject *ignored)
{
    jb_requester_stats stats = {.size = sizeof stats};
    int rc = self->asker->handle == NULL ? JB_ECLOSED
                                         : jb_requester_get_stats(self->asker->handle, &stats);

    return rc < 0 ? jbpy_asker_raise(self->asker, rc, "requester") : jbpy_asker_dict(&stats);
}

static PyObject *requester_close(jbpy_requester *self, PyObject *ignored)
{
    jbpy_asker_shut(self->asker);
    Py_RETURN_NONE;
}

static PyObject *requester_enter(jbpy_requester *self, PyObject *ignored)
{
    if (self->asker->handle == NULL)
        return jbpy_asker_raise(self->asker, JB_ECLOSED, "requester");
    return Py_NewRef((PyObject *)self);
}

static PyObject *requester_exit(jbpy_requester *self, PyObject *args)
{
    return requester_close(self, NULL);
}

static PyObject *requester_get_bus(jbpy_requester *self, void *ignored)
{
    return Py_NewRef((PyObject *)self->bus);
}

static PyObject *requester_get_closed(jbpy_requester *self, void *ignored)
{
    return PyBool_FromLong(self->asker->handle == NULL);
}

static void requester_dealloc(jbpy_requester *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    if (self->asker != NULL)
        jbpy_asker_end(self->asker);
    Py_DECREF((PyObject *)self->bus);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef requester_methods[] = {
    {"send", METHOD(requester_send), KEYWORDS,
     "Publish a request and return its id; it has its outcome within timeout seconds (default 1; "
     "None: no deadline). Never waits: jimbot.Full, or jimbot.Limit with max_in_flight "
     "unanswered."},
    {"request", METHOD(requester_request), KEYWORDS,
     "Ask, wait without the GIL, and return the reply, an Event; or jimbot.Timeout. Nothing else "
     "may be in flight."},
    {"poll", METHOD(requester_poll), KEYWORDS,
     "Take the outcomes there are, in their order, as a list of Outcome; wait up to timeout "
     "seconds (None: for ever) for the first."},
    {"cancel", METHOD(requester_cancel), METH_O,
     "Have no more interest in a request: no outcome. False when it was not in flight."},
    {"stats", METHOD(requester_stats), METH_NOARGS,
     "Counters, as a dict: n_sent = n_replied + n_timed_out + n_cancelled + n_in_flight."},
    {"close", METHOD(requester_close), METH_NOARGS,
     "Forget what is in flight; a thread that waits in it gets jimbot.Closed."},
    {"__enter__", METHOD(requester_enter), METH_NOARGS, NULL},
    {"__exit__", METHOD(requester_exit), METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef requester_getset[] = {
    {"bus", (getter)requester_get_bus, NULL, "The bus.", NULL},
    {"closed", (getter)requester_get_closed, NULL, "Whether it was closed, or its bus.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot requester_slots[] = {
    {Py_tp_doc, "Who asks: requests in flight and their outcomes; one thread at a time."},
    {Py_tp_methods, requester_methods},
    {Py_tp_getset, requester_getset},
    {Py_tp_dealloc, requester_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_requester_spec = {
    .name = "jimbot.Requester",
    .basicsize = sizeof(jbpy_requester),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = requester_slots,
};

static PyStructSequence_Field outcome_fields[] = {
    {"id", "what send() returned"},
    {"reply", "Event, or None: it timed out"},
    {"elapsed_ns", "from the request to its reply, or to its deadline"},
    {NULL, NULL},
};

PyStructSequence_Desc jbpy_outcome_desc = {
    .name = "jimbot.Outcome",
    .doc = "The end of one request.",
    .fields = outcome_fields,
    .n_in_sequence = 3,
};
