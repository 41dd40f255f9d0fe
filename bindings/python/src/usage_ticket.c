/*
 * usage_ticket.c: jimbot.UsageTicket, a place in line for what a service counts, for who may not
 * block.
 *
 * Invariant: as of a Ticket: it is given up at most once, by a call or with its last reference.
 */
#include "coord.h"

#include <string.h>
#include <unistd.h>

typedef struct usage_ticket {
    PyObject_HEAD jb_ticket ticket;
    jbpy_coord *coord; /* strong */
    jb_take take;
    jb_amount amounts[JB_QUOTA_AMOUNTS_MAX];
    bool is_over;
} usage_ticket_object;

PyObject *jbpy_coord_request_take(jbpy_coord *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"component", "amounts", "timeout", "lease_class", NULL};
    PyObject *component, *amounts, *timeout = Py_None;
    jb_take take = {0};
    jb_amount taken[JB_QUOTA_AMOUNTS_MAX];
    usage_ticket_object *ticket;
    uint64_t timeout_ns;
    int rc;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$OO&:request_take", (char **)keys,
                                     &component, &amounts, &timeout, jbpy_to_uint32,
                                     &take.lease_class) ||
        jbpy_timeout(timeout, &timeout_ns) < 0 ||
        jbpy_coord_component(self, component, &take.component) < 0 ||
        jbpy_amounts(self, amounts, taken, &take.n_amounts) < 0)
        return NULL;
    ticket = PyObject_New(usage_ticket_object, jbpy_state_of((PyObject *)self)->usage_ticket_type);
    if (ticket == NULL)
        return NULL;
    memcpy(ticket->amounts, taken, take.n_amounts * sizeof taken[0]);
    ticket->take = take;
    ticket->take.amounts = ticket->amounts;
    ticket->coord = (jbpy_coord *)Py_NewRef((PyObject *)self);
    rc = jb_usage_request(self->coord, &ticket->take, timeout_ns, &ticket->ticket);
    ticket->is_over = rc < 0;
    if (rc == 0)
        return (PyObject *)ticket;
    Py_DECREF((PyObject *)ticket);
    return jbpy_coord_raise(self, rc, "request_take");
}

static jb_coord *handle_of(usage_ticket_object *self)
{
    if (!self->is_over)
        return jbpy_coord_handle(self->coord);
    jbpy_coord_raise(self->coord, JB_ESTATE, "the ticket is over");
    return NULL;
}

static PyObject *usage_ticket_poll(usage_ticket_object *self, PyObject *ignored)
{
    jb_coord *coord = handle_of(self);
    jb_denial denial = {0};
    jb_usage usage;
    int rc;

    if (coord == NULL)
        return NULL;
    rc = jb_usage_poll(coord, &self->ticket, &usage, &denial);
    if (rc == 0)
        return PyLong_FromUnsignedLongLong(denial.retry_after_ns);
    self->is_over = true;
    if (rc < 0)
        return jbpy_coord_raise(self->coord, rc, "the place in line");
    return jbpy_usage_new(self->coord, &self->take, &usage);
}

static PyObject *usage_ticket_cancel(usage_ticket_object *self, PyObject *ignored)
{
    jb_coord *coord = handle_of(self);
    int rc;

    if (coord == NULL)
        return NULL;
    rc = jb_usage_cancel(coord, &self->ticket);
    self->is_over = true;
    if (rc < 0)
        return jbpy_coord_raise(self->coord, rc, "cancel");
    Py_RETURN_NONE;
}

static void usage_ticket_dealloc(usage_ticket_object *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    if (!self->is_over && self->coord->coord != NULL && self->coord->pid == getpid())
        (void)jb_usage_cancel(self->coord->coord, &self->ticket);
    Py_DECREF((PyObject *)self->coord);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef usage_ticket_methods[] = {
    {"poll", METHOD(usage_ticket_poll), METH_NOARGS,
     "The Usage, when it is our turn; else nanoseconds, before which it is not. Timeout, TooBig: "
     "it is over."},
    {"cancel", METHOD(usage_ticket_cancel), METH_NOARGS,
     "Leave the line; what was reserved meanwhile is given back."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot usage_ticket_slots[] = {
    {Py_tp_doc, "A place in line for what a service counts."},
    {Py_tp_methods, usage_ticket_methods},
    {Py_tp_dealloc, usage_ticket_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_usage_ticket_spec = {
    .name = "jimbot.UsageTicket",
    .basicsize = sizeof(usage_ticket_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = usage_ticket_slots,
};
