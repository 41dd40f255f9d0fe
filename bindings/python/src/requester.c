/*
 * requester.c: jimbot.Requester, and Bus.request(), which uses one that nobody sees.
 *
 * Invariants:
 *  - An asker is in its bus's list while its C handle is open, so Bus.close() ends it first. Whoever
 *    looks at one while the GIL may change hands holds a reference.
 *  - One thread at a time: `is_used` turns a second one away with jimbot.State.
 *  - The bus keeps at most one idle asker; it counts as no reference to the bus.
 */
#include "core.h"

#include <string.h>
#include <unistd.h>

struct jbpy_asker {
    jb_requester *handle; /* NULL once closed */
    jbpy_bus *bus;        /* borrowed */
    struct jbpy_asker *next, *prev;
    unsigned n_refs;
    bool is_used;
    bool is_waiting; /* sleeps without the GIL */
};

typedef struct jbpy_requester {
    PyObject_HEAD jbpy_asker *asker;
    jbpy_bus *bus; /* strong */
} jbpy_requester;

static PyObject *raise_for(const jbpy_asker *asker, int code, const char *what)
{
    return jbpy_raise(jbpy_state_of((PyObject *)asker->bus), code, NULL, what);
}

static void unref(jbpy_asker *asker)
{
    if (--asker->n_refs == 0)
        PyMem_Free(asker);
}

/* Close the C handle and leave the bus's list. */
static void shut(jbpy_asker *asker)
{
    jb_requester *handle = asker->handle;
    jbpy_bus *bus = asker->bus;

    if (handle == NULL)
        return;
    asker->handle = NULL;
    if (asker->prev != NULL)
        asker->prev->next = asker->next;
    else
        bus->askers = asker->next;
    if (asker->next != NULL)
        asker->next->prev = asker->prev;
    asker->next = asker->prev = NULL;
    asker->n_refs++;
    while (asker->is_waiting && getpid() == bus->pid)
        jbpy_nap();
    unref(asker);
    jb_requester_close(handle);
}

static void end(jbpy_asker *asker)
{
    shut(asker);
    unref(asker);
}

/* Bus.close(). */
void jbpy_askers_shut(jbpy_bus *bus)
{
    jbpy_asker *spare = bus->spare;

    bus->spare = NULL;
    if (spare != NULL)
        end(spare);
    while (bus->askers != NULL)
        shut(bus->askers);
}

static jbpy_asker *asker_new(jbpy_bus *bus, const jb_requester_opts *opts)
{
    jbpy_asker *asker;
    jb_requester *handle;
    jb_error err;
    int rc;

    if (jbpy_bus_handle(bus) == NULL)
        return NULL;
    jb_error_init(&err);
    rc = jb_requester_open(bus->bus, opts, &handle, &err);
    if (rc < 0) {
        jbpy_raise(jbpy_state_of((PyObject *)bus), rc, &err, "requester");
        return NULL;
    }
    asker = PyMem_Calloc(1, sizeof *asker);
    if (asker == NULL) {
        jb_requester_close(handle);
        PyErr_NoMemory();
        return NULL;
    }
    asker->handle = handle;
    asker->bus = bus;
    asker->n_refs = 1;
    asker->next = bus->askers;
    if (asker->next != NULL)
        asker->next->prev = asker;
    bus->askers = asker;
    return asker;
}

/* -1 with an exception set: closed, or another thread is inside. */
static int enter(jbpy_asker *asker)
{
    if (asker->handle == NULL || asker->is_used) {
        if (asker->handle == NULL)
            raise_for(asker, JB_ECLOSED, "requester");
        else
            raise_for(asker, JB_ESTATE, "another thread is using this requester");
        return -1;
    }
    asker->is_used = true;
    return 0;
}

/* Sleep until there is something, the slice ends or a signal arrives. */
static int wait_once(jbpy_asker *asker, uint64_t deadline_ns)
{
    uint64_t slice_ns = jbpy_slice(deadline_ns);
    jb_requester *handle = asker->handle;
    int rc;

    asker->is_waiting = true;
    Py_BEGIN_ALLOW_THREADS
        rc = jb_request_wait(handle, slice_ns);
    Py_END_ALLOW_THREADS
    asker->is_waiting = false;
    if (PyErr_CheckSignals() < 0)
        return -1;
    if (rc < 0)
        return raise_for(asker, rc, "wait"), -1;
    return 0;
}

/* The outcomes there are; waits for the first until deadline_ns. */
static int take(jbpy_asker *asker, jb_outcome *outcomes, uint32_t n_max, uint64_t deadline_ns)
{
    for (;;) {
        int n =
            asker->handle == NULL ? JB_ECLOSED : jb_request_poll(asker->handle, outcomes, n_max);

        if (n < 0)
            return raise_for(asker, n, "requester"), -1;
        if (n > 0 || deadline_ns == 0 || jb_clock_now_ns() >= deadline_ns)
            return n;
        if (wait_once(asker, deadline_ns) < 0)
            return -1;
    }
}

typedef struct question {
    jbpy_asker *asker;
    const jbpy_message *message;
    uint64_t deadline_ns;
    uint32_t *ret_id;
} question;

static int attempt_question(jb_bus *bus, const void *what)
{
    const question *q = what;
    const jb_encoded *enc = &q->message->encoding.encoded;
    uint64_t now_ns = jb_clock_now_ns();
    uint64_t left_ns = UINT64_MAX;

    if (q->asker->handle == NULL)
        return JB_ECLOSED;
    if (q->deadline_ns != UINT64_MAX)
        left_ns = q->deadline_ns > now_ns ? q->deadline_ns - now_ns : 1;
    return jb_request_send(q->asker->handle, &q->message->head, enc->data, enc->len_bytes, left_ns,
                           q->ret_id);
}

/* How long an answer may take: a second unless told. */
static int answer_deadline(PyObject *timeout, uint64_t *ret_deadline_ns)
{
    uint64_t timeout_ns = 1000000000;

    if (timeout != NULL && jbpy_timeout(timeout, &timeout_ns) < 0)
        return -1;
    if (timeout_ns == 0) {
        PyErr_SetString(PyExc_ValueError, "the timeout of a request is more than 0");
        return -1;
    }
    *ret_deadline_ns = jbpy_deadline(timeout_ns);
    return 0;
}

/* Publish a request; `is_patient`: wait for room until its deadline. */
static int ask(jbpy_asker *asker, PyObject *args, PyObject *kwargs, bool is_patient,
               uint64_t *ret_deadline_ns, uint32_t *ret_id)
{
    jbpy_call call = {0};
    jbpy_message message;
    question q = {.asker = asker, .message = &message, .ret_id = ret_id};
    int rc;

    if (jbpy_call_parse(args, kwargs, "O|O$OOOOOO:request", &call) < 0 ||
        answer_deadline(call.timeout, &q.deadline_ns) < 0 ||
        jbpy_message_init(asker->bus, call.target, call.data, &call.env, &message) < 0)
        return -1;
    rc = jbpy_publish(asker->bus, attempt_question, &q, message.encoding.encoded.len_bytes,
                      is_patient ? q.deadline_ns : 0);
    jbpy_message_fini(asker->bus, &message);
    *ret_deadline_ns = q.deadline_ns;
    return rc;
}

/* Replies become events of one batch; NULL with an exception set. */
static jbpy_batch *reply_batch(jbpy_bus *bus, const jb_outcome *outcomes, uint32_t n)
{
    jb_event *events = PyMem_Calloc(n > 0 ? n : 1, sizeof *events);
    jbpy_batch *batch = NULL;

    if (events == NULL)
        return (jbpy_batch *)PyErr_NoMemory();
    for (uint32_t i = 0; i < n; i++)
        events[i] = outcomes[i].reply;
    if (jbpy_learn_topics(bus, events, n) == 0)
        batch = jbpy_batch_new(jbpy_state_of((PyObject *)bus), events, n, bus->topics);
    PyMem_Free(events);
    return batch;
}

static PyObject *reply_event(jbpy_bus *bus, const jb_outcome *outcome)
{
    jbpy_batch *batch = reply_batch(bus, outcome, 1);
    PyObject *event = batch == NULL ? NULL : jbpy_batch_event(batch, 0);

    Py_XDECREF((PyObject *)batch);
    return event;
}

/* Ask and wait for the answer. The asker has nothing else in flight. */
static PyObject *ask_and_wait(jbpy_asker *asker, PyObject *args, PyObject *kwargs)
{
    uint64_t deadline_ns;
    jb_outcome outcome;
    uint32_t id;
    int n;

    if (ask(asker, args, kwargs, true, &deadline_ns, &id) < 0)
        return NULL;
    n = take(asker, &outcome, 1, UINT64_MAX); /* it has an outcome at its deadline */
    if (n < 0 && asker->handle != NULL)
        jb_request_cancel(asker->handle, id);
    if (n < 0)
        return NULL;
    if (outcome.kind != JB_OUTCOME_REPLY)
        return raise_for(asker, JB_ETIMEDOUT, "no reply");
    return reply_event(asker->bus, &outcome);
}

PyObject *jbpy_bus_request(jbpy_bus *self, PyObject *args, PyObject *kwargs)
{
    jbpy_asker *asker = self->spare;
    PyObject *event;

    self->spare = NULL;
    if (asker == NULL)
        asker = asker_new(self, NULL);
    if (asker == NULL)
        return NULL;
    event = ask_and_wait(asker, args, kwargs);
    if (asker->handle != NULL && self->spare == NULL)
        self->spare = asker;
    else
        end(asker);
    return event;
}

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
    self->asker = asker_new(bus, &opts);
    if (self->asker == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *requester_send(jbpy_requester *self, PyObject *args, PyObject *kwargs)
{
    uint64_t deadline_ns;
    uint32_t id;
    int rc;

    if (enter(self->asker) < 0)
        return NULL;
    rc = ask(self->asker, args, kwargs, false, &deadline_ns, &id);
    self->asker->is_used = false;
    return rc < 0 ? NULL : PyLong_FromUnsignedLong(id);
}

static PyObject *requester_request(jbpy_requester *self, PyObject *args, PyObject *kwargs)
{
    jb_requester_stats stats = {.size = sizeof stats};
    PyObject *event = NULL;

    if (enter(self->asker) < 0)
        return NULL;
    if (jb_requester_get_stats(self->asker->handle, &stats) == 0 && stats.n_in_flight > 0)
        raise_for(self->asker, JB_ESTATE, "other requests are in flight: send() and poll()");
    else
        event = ask_and_wait(self->asker, args, kwargs);
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
    jbpy_batch *batch = reply_batch(bus, outcomes, n);
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
    if (enter(self->asker) < 0)
        return NULL;
    outcomes = PyMem_Malloc((size_t)n_max * sizeof *outcomes);
    n = outcomes == NULL ? -1 : take(self->asker, outcomes, (uint32_t)n_max, deadline_ns);
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

    if (!jbpy_to_uint32(number, &id) || enter(self->asker) < 0)
        return NULL;
    rc = jb_request_cancel(self->asker->handle, id);
    self->asker->is_used = false;
    if (rc < 0 && rc != JB_ENOENT)
        return raise_for(self->asker, rc, "cancel");
    return PyBool_FromLong(rc == 0);
}

static PyObject *requester_stats(jbpy_requester *self, PyObject *ignored)
{
    jb_requester_stats stats = {.size = sizeof stats};
    int rc = self->asker->handle == NULL ? JB_ECLOSED
                                         : jb_requester_get_stats(self->asker->handle, &stats);

    return rc < 0 ? raise_for(self->asker, rc, "requester") : jbpy_asker_dict(&stats);
}

static PyObject *requester_close(jbpy_requester *self, PyObject *ignored)
{
    shut(self->asker);
    Py_RETURN_NONE;
}

static PyObject *requester_enter(jbpy_requester *self, PyObject *ignored)
{
    if (self->asker->handle == NULL)
        return raise_for(self->asker, JB_ECLOSED, "requester");
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
        end(self->asker);
    Py_DECREF((PyObject *)self->bus);
    PyObject_Free(self);
    Py_DECREF(type);
}

#define KEYWORDS   (METH_VARARGS | METH_KEYWORDS)
#define METHOD(fn) ((PyCFunction)(void (*)(void))(fn))

static PyMethodDef requester_methods[] = {
    {"send", METHOD(requester_send), KEYWORDS,
     "Publish a request and return its id; it has its outcome within timeout seconds (default 1; "
     "None: no deadline). Never waits: jimbot.Full, or jimbot.Limit with max_in_flight "
     "unanswered."},
    {"request", METHOD(requester_request), KEYWORDS,
     "Ask, wait without the GIL, and return the reply, an Event; or jimbot.Timeout. Nothing else "
     "may "
     "be in flight."},
    {"poll", METHOD(requester_poll), KEYWORDS,
     "Take the outcomes there are, in their order, as a list of Outcome; wait up to timeout "
     "seconds "
     "(None: for ever) for the first."},
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
