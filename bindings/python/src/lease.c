/*
 * lease.c: jimbot.Lease, a right to use something, and jimbot.Ticket, a place in line for one.
 *
 * Invariant: each is given back at most once: by a call, by the end of its `with`, or with its last
 * reference; `is_over` says that it was, or that it is somebody else's.
 */
#include "coord.h"

#include <unistd.h>

typedef struct lease {
    PyObject_HEAD jb_lease lease;
    jbpy_coord *coord; /* strong */
    bool is_detached;
    bool is_over;
} lease_object;

typedef struct ticket {
    PyObject_HEAD jb_ticket ticket;
    jbpy_coord *coord; /* strong */
    bool is_detached;
    bool is_over;
    bool is_waiting; /* a thread sleeps on it without the GIL */
} ticket_object;

PyObject *jbpy_lease_new(jbpy_coord *coord, const jb_lease *lease, bool is_detached)
{
    lease_object *self = PyObject_New(lease_object, jbpy_state_of((PyObject *)coord)->lease_type);

    if (self == NULL) {
        if (coord->coord != NULL)
            (void)jb_lease_release(coord->coord, lease);
        return NULL;
    }
    self->lease = *lease;
    self->coord = (jbpy_coord *)Py_NewRef((PyObject *)coord);
    self->is_detached = is_detached;
    self->is_over = false;
    return (PyObject *)self;
}

PyObject *jbpy_ticket_new(jbpy_coord *coord, const jb_ticket *ticket, bool is_detached)
{
    ticket_object *self =
        PyObject_New(ticket_object, jbpy_state_of((PyObject *)coord)->ticket_type);

    if (self == NULL) {
        (void)jb_coord_cancel(coord->coord, ticket);
        return NULL;
    }
    self->ticket = *ticket;
    self->coord = (jbpy_coord *)Py_NewRef((PyObject *)coord);
    self->is_detached = is_detached;
    self->is_over = self->is_waiting = false;
    return (PyObject *)self;
}

static bool can_be_given_back(const jbpy_coord *coord)
{
    return coord->coord != NULL && coord->pid == getpid();
}

static PyObject *lease_release(lease_object *self, PyObject *ignored)
{
    jb_coord *coord = jbpy_coord_handle(self->coord);
    int rc;

    if (coord == NULL)
        return NULL;
    rc = jb_lease_release(coord, &self->lease);
    self->is_over = true;
    if (rc < 0)
        return jbpy_coord_raise(self->coord, rc, "the lease has ended");
    Py_RETURN_NONE;
}

static PyObject *lease_renew(lease_object *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"hold_ns", NULL};
    uint64_t hold_ns = 0;
    jb_coord *coord;
    int rc;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O&:renew", (char **)keys, jbpy_to_uint64,
                                     &hold_ns))
        return NULL;
    coord = jbpy_coord_handle(self->coord);
    if (coord == NULL)
        return NULL;
    rc = jb_lease_renew(coord, &self->lease, hold_ns);
    if (rc < 0)
        return jbpy_coord_raise(self->coord, rc, "renew");
    Py_RETURN_NONE;
}

static PyObject *lease_shrink(lease_object *self, PyObject *args)
{
    PyObject *name;
    uint64_t amount;
    uint32_t resource;
    int rc;

    if (!PyArg_ParseTuple(args, "OO&:shrink", &name, jbpy_to_uint64, &amount) ||
        jbpy_coord_resource(self->coord, name, &resource) < 0)
        return NULL;
    rc = jb_lease_shrink(self->coord->coord, &self->lease, resource, amount);
    if (rc < 0)
        return jbpy_coord_raise(self->coord, rc, "shrink");
    Py_RETURN_NONE;
}

static PyObject *lease_check(lease_object *self, PyObject *ignored)
{
    jb_coord *coord = jbpy_coord_handle(self->coord);
    int rc;

    if (coord == NULL)
        return NULL;
    rc = jb_lease_check(coord, &self->lease, NULL);
    if (rc < 0)
        return jbpy_coord_raise(self->coord, rc, "the lease has ended");
    return PyBool_FromLong(rc == JB_LEASE_GOOD);
}

/* A slice that goes on as another: in one step while it is our turn, else from the line, where a
 * thread can be interrupted. */
static int begin_next(lease_object *self, jb_slice *slice, uint64_t timeout_ns)
{
    jb_amount amount = {.resource = slice->resource, .amount = slice->amount};
    jb_want want = {.component = slice->component,
                    .lease_class = slice->lease_class,
                    .n_amounts = 1,
                    .amounts = &amount,
                    .hold_ns = slice->hold_ns};
    jb_coord *coord = self->coord->coord;
    uint64_t deadline_ns = jbpy_deadline(timeout_ns);
    jb_ticket ticket;
    int rc = jb_slice_next(coord, slice, 0);

    if ((rc != JB_EAGAIN && rc != JB_ETIMEDOUT) || timeout_ns == 0)
        return rc;
    rc = jb_coord_request(coord, &want, &ticket);
    if (rc < 0)
        return rc;
    rc = jbpy_ticket_wait(self->coord, &ticket, deadline_ns, &slice->lease);
    if (rc > 0)
        return 0;
    if (self->coord->coord != NULL)
        (void)jb_coord_cancel(self->coord->coord, &ticket);
    return rc < 0 ? -JBPY_N_ERRORS : JB_ETIMEDOUT; /* the first: an exception is set */
}

static PyObject *lease_next(lease_object *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"component", "resource", "amount", "lease_class",
                                 "hold_ns",   "timeout",  NULL};
    PyObject *component, *resource, *timeout = Py_None;
    jb_slice slice = {.lease = self->lease};
    uint64_t timeout_ns;
    int rc;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO&|$O&O&O:next", (char **)keys, &component,
                                     &resource, jbpy_to_uint64, &slice.amount, jbpy_to_uint32,
                                     &slice.lease_class, jbpy_to_uint64, &slice.hold_ns,
                                     &timeout) ||
        jbpy_timeout(timeout, &timeout_ns) < 0 ||
        jbpy_coord_component(self->coord, component, &slice.component) < 0 ||
        jbpy_coord_resource(self->coord, resource, &slice.resource) < 0)
        return NULL;
    if (self->is_over)
        return jbpy_coord_raise(self->coord, JB_ESTATE, "the lease is over");
    self->is_over = true; /* nobody else may give it back while we wait */
    rc = begin_next(self, &slice, timeout_ns);
    if (rc < 0)
        return rc == -JBPY_N_ERRORS ? NULL : jbpy_coord_raise(self->coord, rc, "the next slice");
    self->lease = slice.lease;
    self->is_over = false;
    Py_RETURN_NONE;
}

static PyObject *lease_is_due(lease_object *self, PyObject *resource)
{
    jb_slice slice = {.lease = self->lease};
    int rc;

    if (jbpy_coord_resource(self->coord, resource, &slice.resource) < 0)
        return NULL;
    rc = jb_slice_check(self->coord->coord, &slice);
    if (rc < 0)
        return jbpy_coord_raise(self->coord, rc, "the slice has ended");
    return PyBool_FromLong(rc == JB_LEASE_NOTICE);
}

static PyObject *lease_enter(lease_object *self, PyObject *ignored)
{
    return Py_NewRef((PyObject *)self);
}

/* Of a lease that has ended meanwhile the block that used it is told, unless it fails anyhow. */
static PyObject *lease_exit(lease_object *self, PyObject *args)
{
    PyObject *cls = NULL, *exc = NULL, *trace = NULL, *done;

    if (!PyArg_UnpackTuple(args, "__exit__", 3, 3, &cls, &exc, &trace))
        return NULL;
    if (self->is_over)
        Py_RETURN_NONE;
    done = lease_release(self, NULL);
    if (done == NULL && cls != Py_None) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return done;
}

static void lease_dealloc(lease_object *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    if (!self->is_over && !self->is_detached && can_be_given_back(self->coord))
        (void)jb_lease_release(self->coord->coord, &self->lease);
    Py_DECREF((PyObject *)self->coord);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *lease_get_token(lease_object *self, void *ignored)
{
    return PyLong_FromUnsignedLongLong(self->lease.token);
}

static PyObject *lease_get_slot(lease_object *self, void *ignored)
{
    return PyLong_FromUnsignedLong(self->lease.slot);
}

static PyObject *lease_get_granted(lease_object *self, void *ignored)
{
    return PyLong_FromUnsignedLongLong(self->lease.granted_ns);
}

static PyObject *lease_get_deadline(lease_object *self, void *ignored)
{
    if (self->lease.deadline_ns == UINT64_MAX)
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLongLong(self->lease.deadline_ns);
}

static PyObject *lease_repr(lease_object *self)
{
    return PyUnicode_FromFormat("<jimbot.Lease %llu%s>", (unsigned long long)self->lease.token,
                                self->is_over ? ", over" : "");
}

/* None, or what became of it. */
static PyObject *ticket_answer(ticket_object *self, int rc, const jb_lease *lease)
{
    if (rc == 0)
        Py_RETURN_NONE;
    self->is_over = true;
    if (rc < 0)
        return jbpy_coord_raise(self->coord, rc, "the place in line");
    return jbpy_lease_new(self->coord, lease, self->is_detached);
}

static jb_coord *ticket_handle(ticket_object *self)
{
    if (!self->is_over && !self->is_waiting)
        return jbpy_coord_handle(self->coord);
    jbpy_coord_raise(self->coord, JB_ESTATE,
                     self->is_over ? "the ticket is over" : "another thread waits for this ticket");
    return NULL;
}

static PyObject *ticket_poll(ticket_object *self, PyObject *ignored)
{
    jb_coord *coord = ticket_handle(self);
    jb_lease lease;

    return coord == NULL ? NULL
                         : ticket_answer(self, jb_coord_poll(coord, &self->ticket, &lease), &lease);
}

static PyObject *ticket_wait(ticket_object *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"timeout", NULL};
    PyObject *timeout = Py_None;
    uint64_t timeout_ns;
    jb_lease lease;
    int rc;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:wait", (char **)keys, &timeout) ||
        jbpy_timeout(timeout, &timeout_ns) < 0 || ticket_handle(self) == NULL)
        return NULL;
    self->is_waiting = true;
    rc = jbpy_ticket_wait(self->coord, &self->ticket, jbpy_deadline(timeout_ns), &lease);
    self->is_waiting = false;
    return rc < 0 ? NULL : ticket_answer(self, rc, &lease);
}

static PyObject *ticket_cancel(ticket_object *self, PyObject *ignored)
{
    jb_coord *coord = ticket_handle(self);
    int rc;

    if (coord == NULL)
        return NULL;
    rc = jb_coord_cancel(coord, &self->ticket);
    self->is_over = true;
    if (rc < 0)
        return jbpy_coord_raise(self->coord, rc, "cancel");
    Py_RETURN_NONE;
}

static void ticket_dealloc(ticket_object *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    if (!self->is_over && can_be_given_back(self->coord))
        (void)jb_coord_cancel(self->coord->coord, &self->ticket);
    Py_DECREF((PyObject *)self->coord);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef lease_methods[] = {
    {"release", METHOD(lease_release), METH_NOARGS,
     "End it. NotFound when it had ended: somebody else may have what it stood for."},
    {"renew", METHOD(lease_renew), KEYWORDS,
     "Move the deadline to hold_ns nanoseconds from now; 0: as long as at first. NotFound (it has "
     "ended), State (it was given notice)."},
    {"shrink", METHOD(lease_shrink), METH_VARARGS,
     "Keep so much of a resource and give the rest back. NotFound, Invalid."},
    {"check", METHOD(lease_check), METH_NOARGS,
     "True: it goes on. False: it was given notice, finish. NotFound: it has ended."},
    {"next", METHOD(lease_next), KEYWORDS,
     "End this slice of a resource and begin another of so much of it. Timeout, NotFound; there is "
     "no slice then."},
    {"is_due", METHOD(lease_is_due), METH_O,
     "Of a slice of that resource: its quantum is over and somebody waits, or it was given "
     "notice."},
    {"__enter__", METHOD(lease_enter), METH_NOARGS, NULL},
    {"__exit__", METHOD(lease_exit), METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef lease_getset[] = {
    {"token", (getter)lease_get_token, NULL, "Fencing token; grows with every grant.", NULL},
    {"slot", (getter)lease_get_slot, NULL, "Its place in the table.", NULL},
    {"granted_ns", (getter)lease_get_granted, NULL, "When it began, as jimbot.now_ns().", NULL},
    {"deadline_ns", (getter)lease_get_deadline, NULL,
     "When it ends by itself, as jimbot.now_ns(); None: never.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot lease_slots[] = {
    {Py_tp_doc, "A right to use resources until a deadline; `with lease:` releases it."},
    {Py_tp_methods, lease_methods},
    {Py_tp_getset, lease_getset},
    {Py_tp_repr, lease_repr},
    {Py_tp_dealloc, lease_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_lease_spec = {
    .name = "jimbot.Lease",
    .basicsize = sizeof(lease_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = lease_slots,
};

static PyMethodDef ticket_methods[] = {
    {"poll", METHOD(ticket_poll), METH_NOARGS,
     "The Lease when it is our turn, else None; never waits. Timeout, NotFound."},
    {"wait", METHOD(ticket_wait), KEYWORDS,
     "As poll(), after up to timeout seconds (None, the default: for ever)."},
    {"cancel", METHOD(ticket_cancel), METH_NOARGS,
     "Leave the line; a lease that was granted meanwhile is released."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ticket_slots[] = {
    {Py_tp_doc, "A place in line; one thread at a time. Without references it is given up."},
    {Py_tp_methods, ticket_methods},
    {Py_tp_dealloc, ticket_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_ticket_spec = {
    .name = "jimbot.Ticket",
    .basicsize = sizeof(ticket_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = ticket_slots,
};
