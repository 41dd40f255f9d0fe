/*
 * bus.c: jimbot.Bus, a handle on a bus.
 *
 * Invariants: every open Subscription is in `subs` and holds a reference to its Bus, so a Bus is
 * never freed under one; close() closes them first. `bus` turns NULL exactly once, under the GIL,
 * before the C handle dies, and the handle dies only when n_waits is 0.
 */
#include "core.h"

#include <unistd.h>

typedef int (*open_fn)(const char *, const jb_bus_opts *, jb_bus **, jb_error *);

/* The handle, or NULL with jimbot.Closed set. */
jb_bus *jbpy_bus_handle(jbpy_bus *self)
{
    if (self->bus == NULL)
        jbpy_raise(jbpy_state_of((PyObject *)self), JB_ECLOSED, NULL, "bus");
    return self->bus;
}

static PyObject *new_topics(const jb_bus *bus)
{
    jb_bus_stats stats = {.size = sizeof stats};
    PyObject *topics, *filled;

    if (jb_bus_get_stats((jb_bus *)bus, &stats) < 0)
        stats.max_topics = 0;
    topics = Py_BuildValue("[O]", Py_None);
    if (topics == NULL)
        return NULL;
    filled = PySequence_Repeat(topics, (Py_ssize_t)stats.max_topics + 1);
    Py_DECREF(topics);
    return filled;
}

/* Takes over `bus`, also when it fails. */
static PyObject *wrap(jbpy_state *st, jb_bus *bus, PyObject *name)
{
    jbpy_bus *self = PyObject_New(jbpy_bus, st->bus_type);

    if (self == NULL) {
        jb_bus_close(bus);
        return NULL;
    }
    self->bus = bus;
    self->subs = NULL;
    self->askers = self->spare = NULL;
    self->workers = NULL;
    self->n_waits = 0;
    self->pid = getpid();
    self->name = Py_NewRef(name);
    self->topics = new_topics(bus);
    if (self->topics == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* A name, a path, or None. The bytes object keeps *ret_name alive. */
static PyObject *name_bytes(PyObject *name, const char **ret_name)
{
    PyObject *bytes;

    *ret_name = NULL;
    if (name == Py_None)
        return Py_NewRef(Py_None);
    if (!PyUnicode_FSConverter(name, &bytes))
        return NULL;
    *ret_name = PyBytes_AsString(bytes);
    return bytes;
}

static PyObject *open_with(PyObject *cls, PyObject *args, PyObject *kwargs, open_fn fn)
{
    static char *const keys[] = {"name",           "capacity",     "max_topics", "max_subs",
                                 "max_peers",      "mode",         "peer_name",  "keep",
                                 "stall_after_ns", "budget_bytes", "max_groups", NULL};
    jbpy_state *st = PyType_GetModuleState((PyTypeObject *)cls);
    PyObject *name = Py_None, *bytes;
    const char *c_name;
    jb_bus_opts opts;
    jb_bus *bus = NULL;
    jb_error err;
    int keep = 0, rc;

    jb_error_init(&err);
    jb_bus_opts_init(&opts, sizeof opts);
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "|O$O&O&O&O&O&zpO&O&O&", (char **)keys, &name, jbpy_to_uint64,
            &opts.capacity_bytes, jbpy_to_uint32, &opts.max_topics, jbpy_to_uint32, &opts.max_subs,
            jbpy_to_uint32, &opts.max_peers, jbpy_to_uint32, &opts.mode, &opts.peer_name, &keep,
            jbpy_to_uint64, &opts.stall_after_ns, jbpy_to_uint64, &opts.budget_bytes,
            jbpy_to_uint32, &opts.max_groups))
        return NULL;
    if (keep)
        opts.flags |= JB_BUS_KEEP;
    bytes = name_bytes(name, &c_name);
    if (bytes == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
        rc = fn(c_name, &opts, &bus, &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(bytes);
    return rc < 0 ? jbpy_raise(st, rc, &err, "cannot open the bus") : wrap(st, bus, name);
}

static PyObject *bus_open(PyObject *cls, PyObject *args, PyObject *kwargs)
{
    return open_with(cls, args, kwargs, jb_bus_open);
}

static PyObject *bus_create(PyObject *cls, PyObject *args, PyObject *kwargs)
{
    return open_with(cls, args, kwargs, jb_bus_create);
}

static PyObject *bus_attach(PyObject *cls, PyObject *args, PyObject *kwargs)
{
    return open_with(cls, args, kwargs, jb_bus_attach);
}

/* After fork the threads that were waiting do not exist here, so there is nobody to wait for. */
static void wait_for_waiters(jbpy_bus *self)
{
    while (self->n_waits > 0 && getpid() == self->pid)
        jbpy_nap();
}

static PyObject *bus_close(jbpy_bus *self, PyObject *ignored)
{
    jb_bus *bus = self->bus;

    if (bus == NULL)
        Py_RETURN_NONE;
    self->bus = NULL;
    while (self->subs != NULL)
        jbpy_sub_shut(self->subs);
    jbpy_askers_shut(self);
    jbpy_workers_shut(self);
    wait_for_waiters(self);
    Py_BEGIN_ALLOW_THREADS
        jb_bus_close(bus);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *bus_enter(jbpy_bus *self, PyObject *ignored)
{
    return jbpy_bus_handle(self) == NULL ? NULL : Py_NewRef((PyObject *)self);
}

static PyObject *bus_exit(jbpy_bus *self, PyObject *args)
{
    return bus_close(self, NULL);
}

static PyObject *bus_topic_id(jbpy_bus *self, PyObject *name)
{
    jb_bus *bus = jbpy_bus_handle(self);
    Py_ssize_t len;
    const char *bytes;
    uint32_t id;
    int rc;

    if (bus == NULL)
        return NULL;
    bytes = PyUnicode_AsUTF8AndSize(name, &len);
    if (bytes == NULL)
        return NULL;
    rc = jb_bus_topic(bus, bytes, (size_t)len, &id);
    if (rc < 0)
        return jbpy_raise(jbpy_state_of((PyObject *)self), rc, NULL, "topic");
    return PyLong_FromUnsignedLong(id);
}

static PyObject *bus_topic_name(jbpy_bus *self, PyObject *number)
{
    jb_bus *bus = jbpy_bus_handle(self);
    unsigned long id;
    const char *name;
    int rc;

    if (bus == NULL)
        return NULL;
    id = PyLong_AsUnsignedLong(number);
    if (PyErr_Occurred())
        return NULL;
    rc = id > UINT32_MAX ? JB_ENOENT : jb_bus_topic_name(bus, (uint32_t)id, &name);
    if (rc < 0)
        return jbpy_raise(jbpy_state_of((PyObject *)self), rc, NULL, "topic id");
    return PyUnicode_DecodeUTF8(name, rc, "replace");
}

static PyObject *bus_get_name(jbpy_bus *self, void *ignored)
{
    return Py_NewRef(self->name);
}

static PyObject *bus_get_closed(jbpy_bus *self, void *ignored)
{
    return PyBool_FromLong(self->bus == NULL);
}

static PyObject *bus_repr(jbpy_bus *self)
{
    return PyUnicode_FromFormat("<jimbot.Bus %R%s>", self->name,
                                self->bus == NULL ? ", closed" : "");
}

static void bus_dealloc(jbpy_bus *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    jbpy_askers_shut(self);
    jb_bus_close(self->bus);
    Py_XDECREF(self->name);
    Py_XDECREF(self->topics);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef bus_methods[] = {
    {"open", METHOD(bus_open), KEYWORDS | METH_CLASS,
     "Attach to the bus of that name, or create it. None: an anonymous bus.\n"
     "\n"
     "capacity (bytes), max_topics, max_subs, max_peers, mode and stall_after_ns matter to who\n"
     "creates it; stall_after_ns: how long a live publisher may stand between claim and commit\n"
     "before its event is cancelled, 0 for ever. budget_bytes: of this handle, the most bytes of\n"
     "its events that wait for lossless subscriptions (jimbot.Full beyond it), 0 no limit. keep:\n"
     "it outlives its last peer. Layout, Permission, NotFound, Limit, Timeout, System, Invalid."},
    {"create", METHOD(bus_create), KEYWORDS | METH_CLASS, "Create a bus that must not exist yet."},
    {"attach", METHOD(bus_attach), KEYWORDS | METH_CLASS, "Attach to a bus that must exist."},
    {"close", METHOD(bus_close), METH_NOARGS,
     "Close the handle and its subscriptions; a thread that waits in one gets jimbot.Closed."},
    {"publish", METHOD(jbpy_bus_publish), KEYWORDS,
     "Publish one event: a payload under a type name, or a whole event on a topic or None.\n"
     "\n"
     "key: what it is about within its topic, 32 bits. timeout: seconds to wait for room, None\n"
     "for ever. Full (nothing was published), TooBig, Parse, EventError, Proto, Limit, Invalid;\n"
     "TypeError and ValueError name the place in the value."},
    {"publish_many", METHOD(jbpy_bus_publish_many), KEYWORDS,
     "Publish the events of an iterable and return how many.\n"
     "\n"
     "Each item is what publish() takes; keys: an iterable of as many integers of 32 bits. They\n"
     "go in batches of at most 4096 events and a quarter of the ring, each visible as a whole or\n"
     "not at all. timeout: seconds for the whole call. As publish(); the exception's n_published\n"
     "says how many went before, in order, so items[n_published:] is what remains."},
    {"publish_columns", METHOD(jbpy_bus_publish_columns), KEYWORDS,
     "Publish one event for each row of some arrays and return how many.\n"
     "\n"
     "columns: member of the payload -> an array of one dimension (bool, integers, float32,\n"
     "float64, native byte order), a list, or one value for all rows; all of one length. keys:\n"
     "an array of integers below 2**32. priority, source, subtype: of each event. Batches,\n"
     "timeout and n_published as publish_many(). TypeError or ValueError: a column is none.\n"
     "OverflowError: a number needs more than 63 bits."},
    {"request", METHOD(jbpy_bus_request), KEYWORDS,
     "Ask, wait without the GIL up to timeout seconds (default 1; None: for ever), and return the "
     "reply, an Event; or jimbot.Timeout."},
    {"requester", METHOD(jbpy_bus_requester), KEYWORDS,
     "A Requester, for several requests in flight or for not waiting."},
    {"reply", METHOD(jbpy_bus_reply), KEYWORDS,
     "Answer a request: an Event whose is_request is true. The first answer counts."},
    {"subscribe", METHOD(jbpy_bus_subscribe), KEYWORDS,
     "Subscribe to a pattern or several, and return a Subscription.\n"
     "\n"
     "policy: 'lossless' (publishers wait for it), 'latest' (it is overtaken and told n_missed)\n"
     "or 'conflate' (the newest of each topic and key). start: 'now' or 'oldest'. high_first:\n"
     "lossless only, events of high priority before all others. evict_after_ns: lossless only,\n"
     "how long publishers wait for one that stands still, 0 for ever. wait: 'block', 'spin' (for\n"
     "spin_ns, then it sleeps) or 'busy'. name: shown in statistics. Invalid: not a pattern;\n"
     "Limit: max_subs are open."},
    {"join", METHOD(jbpy_bus_join), KEYWORDS,
     "Become a Worker of a consumer group, which the first one makes: each event of the pattern "
     "goes to one of its workers, which acknowledges it."},
    {"remove_group", METHOD(jbpy_bus_remove_group), METH_O,
     "End a consumer group that has no living worker."},
    {"send_command", METHOD(jbpy_bus_send_command), KEYWORDS, "Send a command to the game."},
    {"topic_id", METHOD(bus_topic_id), METH_O, "The number of a topic on this bus."},
    {"topic_name", METHOD(bus_topic_name), METH_O, "The topic of a number."},
    {"stats", METHOD(jbpy_bus_stats), METH_NOARGS, "Figures of the whole bus, as a dict."},
    {"peers", METHOD(jbpy_bus_peers), METH_NOARGS, "Figures of every open handle."},
    {"subscriptions", METHOD(jbpy_bus_subscriptions), METH_NOARGS,
     "Figures of every subscription, whoever owns it."},
    {"groups", METHOD(jbpy_bus_groups), METH_NOARGS, "Figures of every consumer group."},
    {"__enter__", METHOD(bus_enter), METH_NOARGS, NULL},
    {"__exit__", METHOD(bus_exit), METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef bus_getset[] = {
    {"name", (getter)bus_get_name, NULL, "The name it was opened by, or None.", NULL},
    {"closed", (getter)bus_get_closed, NULL, "Whether close() was called.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot bus_slots[] = {
    {Py_tp_doc, "A handle on a bus; any number of threads may use it."},
    {Py_tp_methods, bus_methods},
    {Py_tp_getset, bus_getset},
    {Py_tp_repr, bus_repr},
    {Py_tp_dealloc, bus_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_bus_spec = {
    .name = "jimbot.Bus",
    .basicsize = sizeof(jbpy_bus),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = bus_slots,
};
