/*
 * sub.c: jimbot.Subscription: poll() for batches, iteration for single events.
 *
 * Invariants:
 *  - An event is taken from the ring only after it was copied into a Batch the caller will get; a
 *    failure before that leaves it there. Nothing is buffered ahead: what a for loop has not been
 *    handed is still in the ring for poll().
 *  - One thread at a time: `is_used` turns a second one away with jimbot.State.
 *  - `sub` turns NULL exactly once; the C handle dies only when no thread sleeps in it.
 */
#include "core.h"

#include <string.h>
#include <unistd.h>

enum { MAX_EVENTS = 1 << 20, LOOKS_MAX = 8 };

static PyObject *raise_for(jbpy_sub *self, int code, const char *what)
{
    return jbpy_raise(jbpy_state_of((PyObject *)self), code, NULL, what);
}

/* The thread that sleeps may hold the last reference and drop it as soon as it is awake. */
static void wait_for_sleeper(jbpy_sub *self)
{
    if (!self->is_waiting || getpid() != self->bus->pid)
        return;
    Py_INCREF((PyObject *)self);
    while (self->is_waiting)
        jbpy_nap();
    Py_DECREF((PyObject *)self);
}

/* Close the C handle and leave the bus's list. `self` may be gone afterwards. */
void jbpy_sub_shut(jbpy_sub *self)
{
    jb_sub *sub = self->sub;

    if (sub == NULL)
        return;
    self->sub = NULL;
    if (self->prev != NULL)
        self->prev->next = self->next;
    else
        self->bus->subs = self->next;
    if (self->next != NULL)
        self->next->prev = self->prev;
    self->next = self->prev = NULL;
    wait_for_sleeper(self);
    jb_sub_close(sub);
}

static int grow_scratch(jbpy_sub *self, uint32_t n)
{
    jb_event *scratch;

    if (n <= self->n_scratch)
        return 0;
    scratch = PyMem_Realloc(self->scratch, n * sizeof *scratch);
    if (scratch == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->scratch = scratch;
    self->n_scratch = n;
    return 0;
}

/* Give every topic of these events its str. The ids come from shared memory: ids that the bus has
 * no room for are left without a name. */
int jbpy_learn_topics(jbpy_bus *bus, const jb_event *events, uint32_t n)
{
    PyObject *topics = bus->topics;
    Py_ssize_t n_topics = PyList_Size(topics);
    uint32_t last = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = events[i].topic_id;
        const char *name;
        PyObject *text;
        int len;

        if (id == last || (Py_ssize_t)id >= n_topics ||
            PyList_GetItem(topics, (Py_ssize_t)id) != Py_None)
            continue;
        last = id;
        len = jb_bus_topic_name(bus->bus, id, &name);
        if (len < 0)
            continue;
        text = PyUnicode_DecodeUTF8(name, len, "replace");
        if (text == NULL || PyList_SetItem(topics, (Py_ssize_t)id, text) < 0)
            return -1;
    }
    return 0;
}

/* Copy what lies there now, at most n_max, and take it. JB_EEVICTED: what was copied may have been
 * overwritten meanwhile, and nothing was taken. */
static int copy_and_take(jbpy_sub *self, uint32_t n_max, bool may_be_empty, jbpy_batch **ret_batch)
{
    int n = jb_sub_peek(self->sub, self->scratch, n_max);
    int rc;

    if (n < 0)
        return n;
    if ((n == 0 && !may_be_empty) || jbpy_learn_topics(self->bus, self->scratch, (uint32_t)n) < 0)
        return 0;
    *ret_batch = jbpy_batch_new(jbpy_state_of((PyObject *)self), self->scratch, (uint32_t)n,
                                self->bus->topics);
    if (*ret_batch == NULL)
        return 0;
    rc = jb_sub_advance(self->sub);
    if (rc < 0)
        Py_CLEAR(*ret_batch);
    return rc;
}

/* NULL with no exception: nothing there and `may_be_empty` not set. Who is evicted looks again, and
 * is told by n_missed what is gone. */
static jbpy_batch *take(jbpy_sub *self, uint32_t n_max, bool may_be_empty)
{
    jbpy_batch *batch = NULL;
    int rc = JB_EEVICTED;

    if (self->sub == NULL)
        return (jbpy_batch *)raise_for(self, JB_ECLOSED, "subscription");
    for (int i = 0; i < LOOKS_MAX && rc == JB_EEVICTED; i++)
        rc = copy_and_take(self, n_max, may_be_empty, &batch);
    return rc < 0 ? (jbpy_batch *)raise_for(self, rc, "poll") : batch;
}

/* Sleep until something comes, the slice ends or a signal arrives. */
static int sleep_once(jbpy_sub *self, uint64_t deadline_ns)
{
    uint64_t slice_ns = jbpy_slice(deadline_ns);
    jb_sub *sub = self->sub;
    int rc;

    self->is_waiting = true;
    Py_BEGIN_ALLOW_THREADS
        rc = jb_sub_wait(sub, slice_ns);
    Py_END_ALLOW_THREADS
    self->is_waiting = false;
    if (PyErr_CheckSignals() < 0)
        return -1;
    if (rc < 0) {
        raise_for(self, rc, "wait");
        return -1;
    }
    return 0;
}

static jbpy_batch *take_or_wait(jbpy_sub *self, uint32_t n_max, uint64_t timeout_ns)
{
    uint64_t deadline_ns = 0;

    if (grow_scratch(self, n_max) < 0)
        return NULL;
    for (;;) {
        bool is_late = timeout_ns == 0;
        jbpy_batch *batch;

        if (deadline_ns != 0)
            is_late = jb_clock_now_ns() >= deadline_ns;
        else if (timeout_ns != 0)
            deadline_ns = jbpy_deadline(timeout_ns);
        batch = take(self, n_max, is_late);
        if (batch != NULL || PyErr_Occurred())
            return batch;
        if (sleep_once(self, deadline_ns) < 0)
            return NULL;
    }
}

static jbpy_batch *next_batch(jbpy_sub *self, uint32_t n_max, uint64_t timeout_ns)
{
    jbpy_batch *batch;

    if (self->is_used)
        return (jbpy_batch *)raise_for(self, JB_ESTATE,
                                       "another thread is using this subscription");
    self->is_used = true;
    batch = take_or_wait(self, n_max, timeout_ns);
    self->is_used = false;
    return batch;
}

static PyObject *sub_poll(jbpy_sub *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"max_events", "timeout", NULL};
    Py_ssize_t max_events = 1024;
    PyObject *timeout = NULL;
    uint64_t timeout_ns;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|nO:poll", (char **)keys, &max_events,
                                     &timeout) ||
        jbpy_timeout(timeout, &timeout_ns) < 0)
        return NULL;
    if (max_events < 1 || max_events > MAX_EVENTS)
        return PyErr_Format(PyExc_ValueError, "max_events is 1 .. %d, not %zd", MAX_EVENTS,
                            max_events);
    return (PyObject *)next_batch(self, (uint32_t)max_events, timeout_ns);
}

static PyObject *sub_next(jbpy_sub *self)
{
    jbpy_batch *batch = next_batch(self, 1, UINT64_MAX);
    PyObject *event;

    if (batch == NULL)
        return NULL;
    event = jbpy_batch_event(batch, 0);
    Py_DECREF(batch);
    return event;
}

/* -1 once closed, as a socket's: selectors then still find what they know it by. */
static PyObject *sub_fileno(jbpy_sub *self, PyObject *ignored)
{
    int fd = -1, rc;

    if (self->sub == NULL)
        return PyLong_FromLong(fd);
    if (self->is_used)
        return raise_for(self, JB_ESTATE, "another thread is using this subscription");
    rc = jb_sub_fd(self->sub, &fd);
    return rc < 0 ? raise_for(self, rc, "no descriptor") : PyLong_FromLong(fd);
}

/* The package makes it: it is asyncio's business. */
static PyObject *sub_aiter(PyObject *self)
{
    jbpy_state *st = jbpy_state_of(self);

    if (st->as_async == NULL)
        return PyErr_Format(PyExc_TypeError, "the package jimbot was not imported");
    return PyObject_CallFunctionObjArgs(st->as_async, self, NULL);
}

static PyObject *sub_close(jbpy_sub *self, PyObject *ignored)
{
    jbpy_sub_shut(self);
    Py_RETURN_NONE;
}

static PyObject *sub_enter(jbpy_sub *self, PyObject *ignored)
{
    if (self->sub == NULL)
        return raise_for(self, JB_ECLOSED, "subscription");
    return Py_NewRef((PyObject *)self);
}

static PyObject *sub_exit(jbpy_sub *self, PyObject *args)
{
    return sub_close(self, NULL);
}

static PyObject *sub_get_patterns(jbpy_sub *self, void *ignored)
{
    return Py_NewRef(self->patterns);
}

static PyObject *sub_get_bus(jbpy_sub *self, void *ignored)
{
    return Py_NewRef((PyObject *)self->bus);
}

static PyObject *sub_get_closed(jbpy_sub *self, void *ignored)
{
    return PyBool_FromLong(self->sub == NULL);
}

static PyObject *sub_repr(jbpy_sub *self)
{
    return PyUnicode_FromFormat("<jimbot.Subscription %R%s>", self->patterns,
                                self->sub == NULL ? ", closed" : "");
}

static void sub_dealloc(jbpy_sub *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    jbpy_sub_shut(self);
    PyMem_Free(self->scratch);
    Py_DECREF((PyObject *)self->bus);
    Py_DECREF(self->patterns);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef sub_methods[] = {
    {"poll", METHOD(sub_poll), KEYWORDS,
     "Take up to max_events as a Batch; wait up to timeout seconds (None: for ever) for the "
     "first."},
    {"fileno", METHOD(sub_fileno), METH_NOARGS,
     "A descriptor for selectors and asyncio: readable until a poll() finds nothing. Wait on it, "
     "do not read or close it. -1 once closed."},
    {"stats", METHOD(jbpy_sub_stats), METH_NOARGS, "Counters, as a dict."},
    {"close", METHOD(sub_close), METH_NOARGS,
     "End it; a thread that waits in it gets jimbot.Closed."},
    {"__enter__", METHOD(sub_enter), METH_NOARGS, NULL},
    {"__exit__", METHOD(sub_exit), METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef sub_getset[] = {
    {"patterns", (getter)sub_get_patterns, NULL, "What was subscribed to.", NULL},
    {"bus", (getter)sub_get_bus, NULL, "The bus.", NULL},
    {"closed", (getter)sub_get_closed, NULL, "Whether it was closed, or its bus.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot sub_slots[] = {
    {Py_tp_doc,
     "A subscription; one thread at a time. Iterate for events, also with async for, or poll() for "
     "batches."},
    {Py_tp_methods, sub_methods},
    {Py_tp_getset, sub_getset},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, sub_next},
    {Py_am_aiter, sub_aiter},
    {Py_tp_repr, sub_repr},
    {Py_tp_dealloc, sub_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_sub_spec = {
    .name = "jimbot.Subscription",
    .basicsize = sizeof(jbpy_sub),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = sub_slots,
};
