/*
 * coord.c: jimbot._core.Coord, the handle on a coordinator: asking, and the resources and
 * components by name.
 *
 * Invariant: whoever waits does so in slices without the GIL, looks at signals between them, and
 * leaves the line when an exception ends the wait.
 */
#include "coord.h"

#include <unistd.h>

PyObject *jbpy_coord_raise(jbpy_coord *self, int code, const char *what)
{
    return jbpy_raise(jbpy_state_of((PyObject *)self), code, NULL, what);
}

jb_coord *jbpy_coord_handle(jbpy_coord *self)
{
    if (self->coord == NULL)
        jbpy_coord_raise(self, JB_ECLOSED, "coordinator");
    return self->coord;
}

static int index_of(jbpy_coord *self, PyObject *name, int (*find)(const jb_coord *, const char *),
                    const char *what, uint32_t *ret_idx)
{
    jb_coord *coord = jbpy_coord_handle(self);
    const char *text;
    int rc;

    if (coord == NULL)
        return -1;
    if (!PyUnicode_Check(name))
        return jbpy_to_uint32(name, ret_idx) ? 0 : -1;
    text = PyUnicode_AsUTF8AndSize(name, NULL);
    if (text == NULL)
        return -1;
    rc = find(coord, text);
    if (rc < 0) {
        PyObject *message = PyUnicode_FromFormat("no %s of the name %R", what, name);

        if (message != NULL)
            jbpy_raise_text(jbpy_state_of((PyObject *)self), rc, NULL, message);
        Py_XDECREF(message);
        return -1;
    }
    *ret_idx = (uint32_t)rc;
    return 0;
}

int jbpy_coord_resource(jbpy_coord *self, PyObject *name, uint32_t *ret_idx)
{
    return index_of(self, name, jb_coord_find_resource, "resource", ret_idx);
}

int jbpy_coord_component(jbpy_coord *self, PyObject *name, uint32_t *ret_idx)
{
    return index_of(self, name, jb_coord_find_component, "component", ret_idx);
}

/* {resource: amount} */
int jbpy_amounts(jbpy_coord *self, PyObject *dict, jb_amount *ret_amounts, uint32_t *ret_n)
{
    Py_ssize_t at = 0;
    PyObject *name, *amount;
    uint32_t n = 0;

    if (!PyDict_Check(dict))
        return PyErr_SetString(PyExc_TypeError, "amounts is a dict of resource and amount"), -1;
    while (PyDict_Next(dict, &at, &name, &amount)) {
        if (n == JB_QUOTA_AMOUNTS_MAX)
            return PyErr_Format(PyExc_ValueError, "at most %d resources at once",
                                JB_QUOTA_AMOUNTS_MAX),
                   -1;
        ret_amounts[n] = (jb_amount){0};
        if (jbpy_coord_resource(self, name, &ret_amounts[n].resource) < 0 ||
            !jbpy_to_uint64(amount, &ret_amounts[n].amount))
            return -1;
        n++;
    }
    *ret_n = n;
    return 0;
}

static int parse_want(jbpy_coord *self, PyObject *args, PyObject *kwargs, jbpy_want *ret,
                      uint64_t *ret_timeout_ns)
{
    static char *const keys[] = {"component", "amounts",  "lease_class", "hold_ns",
                                 "timeout",   "detached", "tag",         NULL};
    PyObject *component, *amounts, *timeout = NULL;
    int is_detached = 0;
    jb_want *want = &ret->want;

    *want = (jb_want){.amounts = ret->amounts};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$O&O&OpO&", (char **)keys, &component,
                                     &amounts, jbpy_to_uint32, &want->lease_class, jbpy_to_uint64,
                                     &want->hold_ns, &timeout, &is_detached, jbpy_to_uint64,
                                     &want->tag) ||
        jbpy_timeout(timeout, ret_timeout_ns) < 0 ||
        jbpy_coord_component(self, component, &want->component) < 0 ||
        jbpy_amounts(self, amounts, ret->amounts, &want->n_amounts) < 0)
        return -1;
    want->flags = is_detached ? JB_WANT_DETACHED : 0;
    return 0;
}

/* 1 granted, 0 the time ran out, -1 with an exception. */
int jbpy_ticket_wait(jbpy_coord *self, const jb_ticket *ticket, uint64_t deadline_ns,
                     jb_lease *ret_lease)
{
    for (;;) {
        uint64_t slice_ns = jbpy_slice(deadline_ns);
        jb_coord *coord = jbpy_coord_handle(self);
        int rc;

        if (coord == NULL)
            return -1;
        self->n_waits++;
        Py_BEGIN_ALLOW_THREADS
            rc = jb_coord_wait(coord, ticket, slice_ns, ret_lease);
            /* Nothing came for as long: ask whether those who have it still live. */
            if (rc == 0 && slice_ns == JBPY_SLICE_NS)
                (void)jb_coord_tick(coord, NULL);
        Py_END_ALLOW_THREADS
        self->n_waits--;
        if (rc < 0)
            return jbpy_coord_raise(self, rc, "wait"), -1;
        if (rc > 0)
            return 1;
        if (PyErr_CheckSignals() < 0)
            return -1;
        if (slice_ns == 0)
            return 0;
    }
}

static PyObject *wait_in_line(jbpy_coord *self, const jb_want *want, uint64_t timeout_ns)
{
    uint64_t deadline_ns = jbpy_deadline(timeout_ns);
    jb_ticket ticket;
    jb_lease lease;
    int rc = jb_coord_request(self->coord, want, &ticket);

    if (rc < 0)
        return jbpy_coord_raise(self, rc, "acquire");
    rc = jbpy_ticket_wait(self, &ticket, deadline_ns, &lease);
    if (rc > 0)
        return jbpy_lease_new(self, &lease, want->flags & JB_WANT_DETACHED);
    if (self->coord != NULL)
        (void)jb_coord_cancel(self->coord, &ticket);
    return rc < 0 ? NULL : jbpy_coord_raise(self, JB_ETIMEDOUT, "acquire");
}

static PyObject *coord_acquire(jbpy_coord *self, PyObject *args, PyObject *kwargs)
{
    uint64_t timeout_ns;
    jbpy_want want;
    jb_lease lease;
    int rc;

    if (parse_want(self, args, kwargs, &want, &timeout_ns) < 0)
        return NULL;
    if (timeout_ns > 0)
        return wait_in_line(self, &want.want, timeout_ns);
    rc = jb_coord_acquire(self->coord, &want.want, 0, &lease);
    if (rc == JB_EAGAIN)
        Py_RETURN_NONE;
    if (rc < 0)
        return jbpy_coord_raise(self, rc, "acquire");
    return jbpy_lease_new(self, &lease, want.want.flags & JB_WANT_DETACHED);
}

static PyObject *coord_request(jbpy_coord *self, PyObject *args, PyObject *kwargs)
{
    uint64_t timeout_ns = 0;
    jb_ticket ticket;
    jbpy_want want;
    int rc;

    if (parse_want(self, args, kwargs, &want, &timeout_ns) < 0)
        return NULL;
    /* 0 is without end. */
    want.want.wait_ns = timeout_ns == UINT64_MAX ? 0 : timeout_ns ? timeout_ns : 1;
    rc = jb_coord_request(self->coord, &want.want, &ticket);
    if (rc < 0)
        return jbpy_coord_raise(self, rc, "request");
    return jbpy_ticket_new(self, &ticket, want.want.flags & JB_WANT_DETACHED);
}

static PyObject *coord_tick(jbpy_coord *self, PyObject *ignored)
{
    jb_coord *coord = jbpy_coord_handle(self);
    uint64_t next_ns;
    int rc;

    if (coord == NULL)
        return NULL;
    rc = jb_coord_tick(coord, &next_ns);
    return rc < 0 ? jbpy_coord_raise(self, rc, "tick") : PyLong_FromLong(rc);
}

static PyObject *coord_set_foreign(jbpy_coord *self, PyObject *args)
{
    PyObject *name;
    uint64_t amount;
    uint32_t resource;
    int rc;

    if (!PyArg_ParseTuple(args, "OO&:set_foreign", &name, jbpy_to_uint64, &amount) ||
        jbpy_coord_resource(self, name, &resource) < 0)
        return NULL;
    rc = jb_coord_set_foreign(self->coord, resource, amount);
    if (rc < 0)
        return jbpy_coord_raise(self, rc, "set_foreign");
    Py_RETURN_NONE;
}

static PyObject *coord_audit(jbpy_coord *self, PyObject *ignored)
{
    jb_coord *coord = jbpy_coord_handle(self);
    jb_error err;
    int rc;

    if (coord == NULL)
        return NULL;
    jb_error_init(&err);
    rc = jb_coord_audit(coord, &err);
    if (rc < 0)
        return jbpy_raise(jbpy_state_of((PyObject *)self), rc, &err, "audit");
    Py_RETURN_NONE;
}

/* The thread that sleeps may hold the last reference and drop it as soon as it is awake. */
static void shut(jbpy_coord *self)
{
    jb_coord *coord = self->coord;

    self->coord = NULL;
    if (coord == NULL)
        return;
    if (self->n_waits > 0 && getpid() == self->pid) {
        Py_INCREF((PyObject *)self);
        while (self->n_waits > 0)
            jbpy_nap();
        Py_DECREF((PyObject *)self);
    }
    jb_coord_close(coord);
}

static PyObject *coord_close(jbpy_coord *self, PyObject *ignored)
{
    shut(self);
    Py_RETURN_NONE;
}

static PyObject *coord_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *name = NULL;
    jb_coord *coord;
    jbpy_coord *self;

    if (jbpy_coord_open(PyType_GetModuleState(type), args, kwargs, &coord, &name) < 0)
        return NULL;
    self = PyObject_New(jbpy_coord, type);
    if (self == NULL) {
        jb_coord_close(coord);
        Py_DECREF(name);
        return NULL;
    }
    self->coord = coord;
    self->name = name;
    self->n_waits = 0;
    self->pid = getpid();
    return (PyObject *)self;
}

static void coord_dealloc(jbpy_coord *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    shut(self);
    Py_DECREF(self->name);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *coord_get_name(jbpy_coord *self, void *ignored)
{
    return Py_NewRef(self->name);
}

static PyObject *coord_get_closed(jbpy_coord *self, void *ignored)
{
    return PyBool_FromLong(self->coord == NULL);
}

static PyMethodDef coord_methods[] = {
    {"acquire", METHOD(coord_acquire), KEYWORDS,
     "A Lease on {resource: amount}, waiting up to timeout seconds (None: for ever). None when "
     "timeout is 0 and it is not free. Timeout, TooBig (never), Limit, NotFound, Invalid."},
    {"request", METHOD(coord_request), KEYWORDS,
     "Stand in line and return the Ticket; timeout is how long to stay (None or 0: without end)."},
    {"take", METHOD(jbpy_coord_take), KEYWORDS,
     "Reserve {resource: amount} of rates: a Usage; None when taken for good; or the nanoseconds "
     "to wait when the limits did not allow it within timeout seconds."},
    {"request_take", METHOD(jbpy_coord_request_take), KEYWORDS,
     "Stand in line for {resource: amount} of rates for timeout seconds (None: without end), and "
     "return the UsageTicket."},
    {"limits", METHOD(jbpy_coord_limits), METH_NOARGS, "Every limit, as a list of dicts."},
    {"correct", METHOD(jbpy_coord_correct), KEYWORDS,
     "What the service says of a limit, by its place in limits()."},
    {"block", METHOD(jbpy_coord_block), METH_VARARGS,
     "Give nothing of a resource for so many nanoseconds."},
    {"tick", METHOD(coord_tick), METH_NOARGS, "Do what is due; how many leases ended."},
    {"set_foreign", METHOD(coord_set_foreign), METH_VARARGS,
     "Say how much of a resource is in use that no lease stands for."},
    {"audit", METHOD(coord_audit), METH_NOARGS, "Recompute the books; Corrupt when they differ."},
    {"stats", METHOD(jbpy_coord_stats), METH_NOARGS, "Numbers of the whole, as a dict."},
    {"resources", METHOD(jbpy_coord_resources), METH_NOARGS, "Every resource, as a list of dicts."},
    {"components", METHOD(jbpy_coord_components), METH_NOARGS,
     "Every component, as a list of dicts."},
    {"leases", METHOD(jbpy_coord_leases), METH_NOARGS, "Every lease, as a list of dicts."},
    {"waiters", METHOD(jbpy_coord_waiters), METH_NOARGS, "Everyone in line, as a list of dicts."},
    {"close", METHOD(coord_close), METH_NOARGS,
     "Close the handle; its leases end, except detached ones."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef coord_getset[] = {
    {"name", (getter)coord_get_name, NULL, "Its name; None: of this process alone.", NULL},
    {"closed", (getter)coord_get_closed, NULL, "Whether it was closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot coord_slots[] = {
    {Py_tp_doc, "The handle under jimbot.Coordinator."},
    {Py_tp_new, coord_new},
    {Py_tp_methods, coord_methods},
    {Py_tp_getset, coord_getset},
    {Py_tp_dealloc, coord_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_coord_spec = {
    .name = "jimbot.Coord",
    .basicsize = sizeof(jbpy_coord),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = coord_slots,
};
