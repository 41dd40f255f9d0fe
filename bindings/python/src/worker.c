/*
 * worker.c: jimbot.Worker, one member of a consumer group.
 *
 * Invariants:
 *  - What take() returns is a copy, and stays the worker's until ack(), nack() or leave(). What
 * could
 *    not be copied is given back to the group.
 *  - One thread at a time: `is_used` turns a second one away with jimbot.State.
 *  - `worker` turns NULL exactly once; the C handle dies only when no thread sleeps in it.
 */
#include "core.h"

#include <unistd.h>

struct jbpy_worker {
    PyObject_HEAD jb_worker *worker; /* NULL once it left */
    jbpy_bus *bus;                   /* strong */
    jbpy_worker *next, *prev;
    PyObject *group, *pattern;
    bool is_used;    /* a thread is in take() or next() */
    bool is_waiting; /* and sleeps without the GIL */
    jb_event scratch[JB_GROUP_PENDING_MAX];
};

static PyObject *raise_for(jbpy_worker *self, int code, const char *what)
{
    return jbpy_raise(jbpy_state_of((PyObject *)self), code, NULL, what);
}

/* The thread that sleeps may hold the last reference and drop it as soon as it is awake. */
static void wait_for_sleeper(jbpy_worker *self)
{
    if (!self->is_waiting || getpid() != self->bus->pid)
        return;
    Py_INCREF((PyObject *)self);
    while (self->is_waiting)
        jbpy_nap();
    Py_DECREF((PyObject *)self);
}

/* Leave the group and the bus's list. `self` may be gone afterwards. */
static void shut(jbpy_worker *self)
{
    jb_worker *worker = self->worker;

    if (worker == NULL)
        return;
    self->worker = NULL;
    if (self->prev != NULL)
        self->prev->next = self->next;
    else
        self->bus->workers = self->next;
    if (self->next != NULL)
        self->next->prev = self->prev;
    self->next = self->prev = NULL;
    wait_for_sleeper(self);
    jb_worker_leave(worker);
}

void jbpy_workers_shut(jbpy_bus *bus)
{
    while (bus->workers != NULL)
        shut(bus->workers);
}

/* 0, or -1 with jimbot.Closed or jimbot.State set. */
static int check_free(jbpy_worker *self)
{
    if (self->worker != NULL && !self->is_used)
        return 0;
    if (self->worker == NULL)
        raise_for(self, JB_ECLOSED, "worker");
    else
        raise_for(self, JB_ESTATE, "another thread is using this worker");
    return -1;
}

/* NULL with no exception: nothing there and `may_be_empty` not set. */
static jbpy_batch *take(jbpy_worker *self, uint32_t n_max, bool may_be_empty)
{
    jbpy_batch *batch = NULL;
    int n;

    if (self->worker == NULL)
        return (jbpy_batch *)raise_for(self, JB_ECLOSED, "worker");
    n = jb_worker_take(self->worker, self->scratch, n_max);
    if (n < 0)
        return (jbpy_batch *)raise_for(self, n, "take");
    if (n == 0 && !may_be_empty)
        return NULL;
    if (jbpy_learn_topics(self->bus, self->scratch, (uint32_t)n) == 0)
        batch = jbpy_batch_new(jbpy_state_of((PyObject *)self), self->scratch, (uint32_t)n,
                               self->bus->topics);
    for (int i = 0; i < n && batch == NULL; i++)
        (void)jb_worker_nack(self->worker, self->scratch[i].sequence);
    return batch;
}

/* Sleep until something comes, the slice ends or a signal arrives. */
static int sleep_once(jbpy_worker *self, uint64_t deadline_ns)
{
    uint64_t slice_ns = jbpy_slice(deadline_ns);
    jb_worker *worker = self->worker;
    int rc;

    self->is_waiting = true;
    Py_BEGIN_ALLOW_THREADS
        rc = jb_worker_wait(worker, slice_ns);
    Py_END_ALLOW_THREADS
    self->is_waiting = false;
    if (PyErr_CheckSignals() < 0)
        return -1;
    return rc < 0 ? (raise_for(self, rc, "wait"), -1) : 0;
}

static jbpy_batch *take_or_wait(jbpy_worker *self, uint32_t n_max, uint64_t timeout_ns)
{
    uint64_t deadline_ns = timeout_ns ? jbpy_deadline(timeout_ns) : 0;

    for (;;) {
        bool is_late = deadline_ns == 0 || jb_clock_now_ns() >= deadline_ns;
        jbpy_batch *batch = take(self, n_max, is_late);

        if (batch != NULL || PyErr_Occurred())
            return batch;
        if (sleep_once(self, deadline_ns) < 0)
            return NULL;
    }
}

static jbpy_batch *next_batch(jbpy_worker *self, uint32_t n_max, uint64_t timeout_ns)
{
    jbpy_batch *batch;

    if (check_free(self) < 0)
        return NULL;
    self->is_used = true;
    batch = take_or_wait(self, n_max, timeout_ns);
    self->is_used = false;
    return batch;
}

static PyObject *worker_take(jbpy_worker *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"max_events", "timeout", NULL};
    Py_ssize_t max_events = 64;
    PyObject *timeout = NULL;
    uint64_t timeout_ns;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|nO:take", (char **)keys, &max_events,
                                     &timeout) ||
        jbpy_timeout(timeout, &timeout_ns) < 0)
        return NULL;
    if (max_events < 1 || max_events > JB_GROUP_PENDING_MAX)
        return PyErr_Format(PyExc_ValueError, "max_events is 1 .. %d, not %zd",
                            JB_GROUP_PENDING_MAX, max_events);
    return (PyObject *)next_batch(self, (uint32_t)max_events, timeout_ns);
}

static PyObject *worker_next(jbpy_worker *self)
{
    jbpy_batch *batch = next_batch(self, 1, UINT64_MAX);
    PyObject *event;

    if (batch == NULL)
        return NULL;
    event = jbpy_batch_event(batch, 0);
    Py_DECREF((PyObject *)batch);
    return event;
}

/* An Event, or its sequence number. */
static int sequence_of(jbpy_worker *self, PyObject *what, uint64_t *ret_sequence)
{
    const jb_event *event;

    if (Py_TYPE(what) != jbpy_state_of((PyObject *)self)->event_type)
        return jbpy_to_uint64(what, ret_sequence) ? 0 : -1;
    event = jbpy_event_of((jbpy_event *)what);
    if (event == NULL)
        return -1;
    *ret_sequence = event->sequence;
    return 0;
}

static PyObject *finish(jbpy_worker *self, PyObject *what, int (*fn)(jb_worker *, uint64_t))
{
    uint64_t sequence = 0;
    char text[64];
    int rc;

    if (sequence_of(self, what, &sequence) < 0 || check_free(self) < 0)
        return NULL;
    rc = fn(self->worker, sequence);
    if (rc == 0)
        Py_RETURN_NONE;
    PyOS_snprintf(text, sizeof text, "event %llu is not this worker's",
                  (unsigned long long)sequence);
    return raise_for(self, rc, text);
}

static PyObject *worker_ack(jbpy_worker *self, PyObject *what)
{
    return finish(self, what, jb_worker_ack);
}

static PyObject *worker_nack(jbpy_worker *self, PyObject *what)
{
    return finish(self, what, jb_worker_nack);
}

static PyObject *worker_ack_all(jbpy_worker *self, PyObject *ignored)
{
    int n = check_free(self) < 0 ? 0 : jb_worker_ack_all(self->worker);

    if (PyErr_Occurred())
        return NULL;
    return n < 0 ? raise_for(self, n, "ack_all") : PyLong_FromLong(n);
}

static PyObject *worker_leave(jbpy_worker *self, PyObject *ignored)
{
    shut(self);
    Py_RETURN_NONE;
}

static PyObject *worker_enter(jbpy_worker *self, PyObject *ignored)
{
    if (self->worker == NULL)
        return raise_for(self, JB_ECLOSED, "worker");
    return Py_NewRef((PyObject *)self);
}

static PyObject *worker_exit(jbpy_worker *self, PyObject *args)
{
    return worker_leave(self, NULL);
}

static jbpy_worker *worker_new(jbpy_bus *bus, PyObject *group, PyObject *pattern)
{
    jbpy_worker *self = PyObject_New(jbpy_worker, jbpy_state_of((PyObject *)bus)->worker_type);

    if (self == NULL)
        return NULL;
    self->worker = NULL;
    self->next = self->prev = NULL;
    self->is_used = self->is_waiting = false;
    self->bus = (jbpy_bus *)Py_NewRef((PyObject *)bus);
    self->group = Py_NewRef(group);
    self->pattern = Py_NewRef(pattern);
    return self;
}

/* The call may wait for others who join, without the GIL; so the bus is pinned meanwhile. */
static int join(jbpy_worker *self, const jb_group_opts *opts)
{
    jbpy_bus *bus = self->bus;
    jb_bus *handle = bus->bus;
    Py_ssize_t len;
    const char *pattern = PyUnicode_AsUTF8AndSize(self->pattern, &len);
    const char *name = PyUnicode_AsUTF8AndSize(self->group, NULL);
    jb_worker *worker = NULL;
    jb_error err;
    int rc;

    if (name == NULL || pattern == NULL)
        return -1;
    jb_error_init(&err);
    bus->n_waits++;
    Py_BEGIN_ALLOW_THREADS
        rc = jb_group_join(handle, name, pattern, (size_t)len, opts, &worker, &err);
    Py_END_ALLOW_THREADS
    if (rc == 0 && bus->bus != handle) {
        jb_worker_leave(worker);
        rc = JB_ECLOSED;
    }
    bus->n_waits--;
    if (rc < 0)
        return jbpy_raise(jbpy_state_of((PyObject *)self), rc, &err, "cannot join"), -1;
    self->worker = worker;
    self->next = bus->workers;
    if (self->next != NULL)
        self->next->prev = self;
    bus->workers = self;
    return 0;
}

PyObject *jbpy_bus_join(jbpy_bus *bus, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"group",          "pattern", "start", "ack_timeout_ns",
                                 "evict_after_ns", "spin_ns", NULL};
    static const char *const starts[] = {"now", "oldest", NULL};
    PyObject *group, *pattern;
    const char *start = NULL;
    jb_group_opts opts;
    jbpy_worker *self;

    jb_group_opts_init(&opts, sizeof opts);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UU|$sO&O&O&:join", (char **)keys, &group,
                                     &pattern, &start, jbpy_to_uint64, &opts.ack_timeout_ns,
                                     jbpy_to_uint64, &opts.evict_after_ns, jbpy_to_uint64,
                                     &opts.spin_ns) ||
        jbpy_choose("start", start, starts, &opts.start) < 0)
        return NULL;
    self = jbpy_bus_handle(bus) == NULL ? NULL : worker_new(bus, group, pattern);
    if (self != NULL && join(self, &opts) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

PyObject *jbpy_bus_remove_group(jbpy_bus *bus, PyObject *name)
{
    jb_bus *handle = jbpy_bus_handle(bus);
    const char *text = handle == NULL ? NULL : PyUnicode_AsUTF8AndSize(name, NULL);
    int rc;

    if (text == NULL)
        return NULL;
    bus->n_waits++;
    Py_BEGIN_ALLOW_THREADS
        rc = jb_group_remove(handle, text);
    Py_END_ALLOW_THREADS
    bus->n_waits--;
    if (rc < 0)
        return jbpy_raise(jbpy_state_of((PyObject *)bus), rc, NULL, text);
    Py_RETURN_NONE;
}

static PyObject *worker_get_group(jbpy_worker *self, void *ignored)
{
    return Py_NewRef(self->group);
}

static PyObject *worker_get_pattern(jbpy_worker *self, void *ignored)
{
    return Py_NewRef(self->pattern);
}

static PyObject *worker_get_bus(jbpy_worker *self, void *ignored)
{
    return Py_NewRef((PyObject *)self->bus);
}

static PyObject *worker_get_closed(jbpy_worker *self, void *ignored)
{
    return PyBool_FromLong(self->worker == NULL);
}

static PyObject *worker_repr(jbpy_worker *self)
{
    return PyUnicode_FromFormat("<jimbot.Worker of %R%s>", self->group,
                                self->worker == NULL ? ", left" : "");
}

static void worker_dealloc(jbpy_worker *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    shut(self);
    Py_DECREF((PyObject *)self->bus);
    Py_DECREF(self->group);
    Py_DECREF(self->pattern);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef worker_methods[] = {
    {"take", METHOD(worker_take), KEYWORDS,
     "Take up to max_events that no other worker has as a Batch; wait up to timeout seconds (None: "
     "for ever) for the first."},
    {"ack", METHOD(worker_ack), METH_O,
     "Say that an event is done with: an Event or its sequence. jimbot.Timeout or jimbot.Evicted "
     "when it is too late, jimbot.State when this worker does not have it."},
    {"ack_all", METHOD(worker_ack_all), METH_NOARGS,
     "Say that everything taken is done with, and return how many events that were."},
    {"nack", METHOD(worker_nack), METH_O, "Give an event back, for any worker to take."},
    {"leave", METHOD(worker_leave), METH_NOARGS,
     "Leave the group; what was not acknowledged goes to another worker."},
    {"__enter__", METHOD(worker_enter), METH_NOARGS, NULL},
    {"__exit__", METHOD(worker_exit), METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef worker_getset[] = {
    {"group", (getter)worker_get_group, NULL, "The group's name.", NULL},
    {"pattern", (getter)worker_get_pattern, NULL, "What the group subscribed to.", NULL},
    {"bus", (getter)worker_get_bus, NULL, "The bus.", NULL},
    {"closed", (getter)worker_get_closed, NULL, "Whether it left, or its bus was closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot worker_slots[] = {
    {Py_tp_doc, "A worker of a consumer group; one thread at a time. Iterate for events, or take() "
                "batches; ack() each when its work is done."},
    {Py_tp_methods, worker_methods},
    {Py_tp_getset, worker_getset},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, worker_next},
    {Py_tp_repr, worker_repr},
    {Py_tp_dealloc, worker_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_worker_spec = {
    .name = "jimbot.Worker",
    .basicsize = sizeof(jbpy_worker),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = worker_slots,
};
