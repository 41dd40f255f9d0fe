/*
 * usage.c: rates: jimbot.Usage, a reservation of something that a service counts, and what the
 * coordinator says of limits.
 *
 * Invariant: a reservation ends once, by commit() or refund(). One that is forgotten is committed
 * as it was reserved: the call may have been made.
 */
#include "coord.h"

#include <string.h>
#include <unistd.h>

typedef struct usage {
    PyObject_HEAD jb_usage usage;
    jbpy_coord *coord; /* strong */
    uint32_t n_amounts;
    uint32_t resources[JB_QUOTA_AMOUNTS_MAX];
    uint64_t amounts[JB_QUOTA_AMOUNTS_MAX];
    bool is_over;
} usage_object;

PyObject *jbpy_usage_new(jbpy_coord *coord, const jb_take *take, const jb_usage *usage)
{
    usage_object *self = PyObject_New(usage_object, jbpy_state_of((PyObject *)coord)->usage_type);

    if (self == NULL) {
        if (coord->coord != NULL)
            (void)jb_usage_refund(coord->coord, usage);
        return NULL;
    }
    self->usage = *usage;
    self->coord = (jbpy_coord *)Py_NewRef((PyObject *)coord);
    self->n_amounts = take->n_amounts;
    for (uint32_t i = 0; i < take->n_amounts; i++) {
        self->resources[i] = take->amounts[i].resource;
        self->amounts[i] = take->amounts[i].amount;
    }
    self->is_over = false;
    return (PyObject *)self;
}

/* In slices without the GIL; the place in line is kept from one to the next. */
static int wait_in_line(jbpy_coord *self, const jb_take *take, uint64_t deadline_ns,
                        jb_usage *ret_usage, jb_denial *ret_denial)
{
    jb_ticket ticket;
    int rc = jb_usage_request(self->coord, take, UINT64_MAX, &ticket);

    while (rc == 0) {
        uint64_t slice_ns = jbpy_slice(deadline_ns);
        jb_coord *coord = jbpy_coord_handle(self);

        if (coord == NULL)
            return -JBPY_N_ERRORS;
        self->n_waits++;
        Py_BEGIN_ALLOW_THREADS
            rc = jb_usage_wait(coord, &ticket, slice_ns, ret_usage, ret_denial);
        Py_END_ALLOW_THREADS
        self->n_waits--;
        if (PyErr_CheckSignals() < 0) {
            if (rc == 1)
                (void)jb_usage_refund(coord, ret_usage);
            else if (rc == 0)
                (void)jb_usage_cancel(coord, &ticket);
            return -JBPY_N_ERRORS;
        }
        if (rc == 0 && slice_ns == 0) {
            (void)jb_usage_cancel(coord, &ticket);
            return JB_ETIMEDOUT;
        }
    }
    return rc == 1 ? 0 : rc;
}

static int reserve(jbpy_coord *self, const jb_take *take, uint64_t timeout_ns, bool is_for_good,
                   jb_usage *ret_usage, jb_denial *ret_denial)
{
    jb_coord *coord = jbpy_coord_handle(self);
    int rc;

    if (coord == NULL)
        return -JBPY_N_ERRORS;
    rc = jb_usage_reserve(coord, take, 0, is_for_good ? NULL : ret_usage, ret_denial);
    if (rc != JB_EAGAIN || timeout_ns == 0)
        return rc;
    rc = wait_in_line(self, take, jbpy_deadline(timeout_ns), ret_usage, ret_denial);
    if (rc == 0 && is_for_good)
        (void)jb_usage_commit(self->coord, ret_usage, NULL, 0);
    return rc;
}

/* A Usage, None when it was taken for good, or the nanoseconds to wait. */
PyObject *jbpy_coord_take(jbpy_coord *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"component", "amounts",     "timeout",
                                 "for_good",  "lease_class", NULL};
    PyObject *component, *amounts, *timeout = NULL;
    jb_amount taken[JB_QUOTA_AMOUNTS_MAX];
    jb_take take = {.amounts = taken};
    jb_denial denial = {0};
    uint64_t timeout_ns;
    jb_usage usage;
    int for_good = 0, rc;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$OpO&:take", (char **)keys, &component,
                                     &amounts, &timeout, &for_good, jbpy_to_uint32,
                                     &take.lease_class) ||
        jbpy_timeout(timeout, &timeout_ns) < 0 ||
        jbpy_coord_component(self, component, &take.component) < 0 ||
        jbpy_amounts(self, amounts, taken, &take.n_amounts) < 0)
        return NULL;
    rc = reserve(self, &take, timeout_ns, for_good, &usage, &denial);
    if (rc == -JBPY_N_ERRORS)
        return NULL;
    if (rc == JB_EAGAIN || rc == JB_ETIMEDOUT)
        return PyLong_FromUnsignedLongLong(denial.retry_after_ns);
    if (rc < 0)
        return jbpy_coord_raise(self, rc, "take");
    if (for_good)
        Py_RETURN_NONE;
    return jbpy_usage_new(self, &take, &usage);
}

static PyObject *limit_dict(const jb_limit_info *l)
{
    static const char *const kinds[] = {"", "rate", "window", "open"};
    const char *kind = l->kind < 4 ? kinds[l->kind] : "";

    return Py_BuildValue(
        "{s:I,s:O,s:s,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K}", "resource", l->resource,
        "is_total", l->component == JB_LIMIT_ALL ? Py_True : Py_False, "kind", kind, "amount",
        (unsigned long long)l->amount, "period_ns", (unsigned long long)l->period_ns, "in_force",
        (unsigned long long)l->in_force, "most", (unsigned long long)l->most, "remaining",
        (unsigned long long)l->remaining, "reset_after_ns", (unsigned long long)l->reset_after_ns,
        "blocked_ns", (unsigned long long)l->blocked_ns, "reserved",
        (unsigned long long)l->reserved, "n_taken", (unsigned long long)l->n_taken, "n_denied",
        (unsigned long long)l->n_denied, "n_waiting", (unsigned long long)l->n_waiting);
}

PyObject *jbpy_coord_limits(jbpy_coord *self, PyObject *ignored)
{
    jb_coord *coord = jbpy_coord_handle(self);
    PyObject *list = coord == NULL ? NULL : PyList_New(0);
    jb_limit_info info;
    int rc = 0;

    for (uint32_t i = 0; list != NULL && (rc = jb_coord_limit_at(coord, i, &info)) == 0; i++) {
        PyObject *dict = limit_dict(&info);

        if (dict == NULL || PyList_Append(list, dict) < 0)
            Py_CLEAR(list);
        Py_XDECREF(dict);
    }
    if (list != NULL && rc != JB_ENOENT) {
        Py_DECREF(list);
        return jbpy_coord_raise(self, rc, "limits");
    }
    return list;
}

PyObject *jbpy_coord_correct(jbpy_coord *self, PyObject *args, PyObject *kwargs)
{
    static char *const keys[] = {"limit_idx", "limit", "remaining", NULL};
    jb_coord *coord = jbpy_coord_handle(self);
    PyObject *limit = Py_None, *remaining = Py_None;
    jb_correction c = {0};
    uint32_t idx;
    int rc;

    if (coord == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O&|$OO:correct", (char **)keys, jbpy_to_uint32,
                                     &idx, &limit, &remaining) ||
        (limit != Py_None && !jbpy_to_uint64(limit, &c.limit)) ||
        (remaining != Py_None && !jbpy_to_uint64(remaining, &c.remaining)))
        return NULL;
    c.flags = (limit != Py_None ? JB_CORRECT_LIMIT : 0) |
              (remaining != Py_None ? JB_CORRECT_REMAINING : 0);
    rc = jb_usage_correct(coord, idx, &c);
    if (rc < 0)
        return jbpy_coord_raise(self, rc, "correct");
    Py_RETURN_NONE;
}

PyObject *jbpy_coord_block(jbpy_coord *self, PyObject *args)
{
    PyObject *name;
    uint32_t resource;
    uint64_t after_ns;
    int rc;

    if (!PyArg_ParseTuple(args, "OO&:block", &name, jbpy_to_uint64, &after_ns) ||
        jbpy_coord_resource(self, name, &resource) < 0)
        return NULL;
    rc = jb_usage_block(self->coord, resource, after_ns);
    if (rc < 0)
        return jbpy_coord_raise(self, rc, "block");
    Py_RETURN_NONE;
}

/* Steals the value. */
static int put(PyObject *dict, const char *key, uint64_t number)
{
    PyObject *value = PyLong_FromUnsignedLongLong(number);
    int rc = value == NULL ? -1 : PyDict_SetItemString(dict, key, value);

    Py_XDECREF(value);
    return rc;
}

static PyObject *answer_dict(const jb_rate_answer *a)
{
    static const char *const subjects[] = {"requests", "tokens", "input_tokens", "output_tokens"};
    PyObject *dict = PyDict_New();
    char key[48];

    for (int s = 0; dict != NULL && s < 4; s++) {
        const struct {
            uint32_t bit;
            const char *what;
            uint64_t value;
        } parts[] = {{JB_ANSWER_LIMIT, "limit", a->limit[s]},
                     {JB_ANSWER_REMAINING, "remaining", a->remaining[s]},
                     {JB_ANSWER_RESET, "reset_after_ns", a->reset_after_ns[s]}};

        for (int i = 0; dict != NULL && i < 3; i++) {
            PyOS_snprintf(key, sizeof key, "%s.%s", subjects[s], parts[i].what);
            if ((a->has & parts[i].bit << s) != 0 && put(dict, key, parts[i].value) < 0)
                Py_CLEAR(dict);
        }
    }
    if (dict != NULL && (a->has & JB_ANSWER_RETRY) &&
        put(dict, "retry_after_ns", a->retry_after_ns) < 0)
        Py_CLEAR(dict);
    return dict;
}

PyObject *jbpy_rate_answer(PyObject *module, PyObject *headers)
{
    PyObject *items = PySequence_Tuple(headers);
    Py_ssize_t n = items == NULL ? 0 : PyTuple_Size(items);
    uint64_t utc_ns = jb_clock_utc_ns();
    jb_rate_answer answer;
    bool is_good = items != NULL;

    memset(&answer, 0, sizeof answer);
    for (Py_ssize_t i = 0; is_good && i < n; i++) {
        const char *name, *value;
        Py_ssize_t name_len, value_len;

        is_good = PyArg_ParseTuple(PyTuple_GetItem(items, i), "s#s#", &name, &name_len, &value,
                                   &value_len);
        /* A header that is not what it should be says nothing. */
        if (is_good)
            (void)jb_rate_answer_read(&answer, name, (size_t)name_len, value, (size_t)value_len,
                                      utc_ns);
    }
    Py_XDECREF(items);
    return is_good ? answer_dict(&answer) : NULL;
}

static PyObject *finish(usage_object *self, const uint64_t *used, bool is_refund)
{
    jb_coord *coord = jbpy_coord_handle(self->coord);
    int rc;

    if (coord == NULL)
        return NULL;
    rc = is_refund ? jb_usage_refund(coord, &self->usage)
                   : jb_usage_commit(coord, &self->usage, used, used ? self->n_amounts : 0);
    self->is_over = true;
    if (rc < 0)
        return jbpy_coord_raise(self->coord, rc, "the reservation has ended");
    Py_RETURN_NONE;
}

static PyObject *usage_commit(usage_object *self, PyObject *args)
{
    jb_amount said[JB_QUOTA_AMOUNTS_MAX];
    uint64_t used[JB_QUOTA_AMOUNTS_MAX];
    PyObject *dict = NULL;
    uint32_t n = 0;

    if (!PyArg_ParseTuple(args, "|O:commit", &dict) ||
        (dict != NULL && jbpy_amounts(self->coord, dict, said, &n) < 0))
        return NULL;
    for (uint32_t i = 0; i < self->n_amounts; i++)
        used[i] = self->amounts[i];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = 0;

        while (at < self->n_amounts && self->resources[at] != said[i].resource)
            at++;
        if (at == self->n_amounts)
            return PyErr_Format(PyExc_ValueError, "a resource that was not reserved");
        used[at] = said[i].amount;
    }
    return finish(self, used, false);
}

static PyObject *usage_refund(usage_object *self, PyObject *ignored)
{
    return finish(self, NULL, true);
}

static PyObject *usage_get_over(usage_object *self, void *ignored)
{
    return PyBool_FromLong(self->is_over);
}

static void usage_dealloc(usage_object *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    if (!self->is_over && self->coord->coord != NULL && self->coord->pid == getpid())
        (void)jb_usage_commit(self->coord->coord, &self->usage, NULL, 0);
    Py_DECREF((PyObject *)self->coord);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef usage_methods[] = {
    {"commit", METHOD(usage_commit), METH_VARARGS,
     "Say what was used, {resource: amount}; what is not named was used as reserved. NotFound: it "
     "had ended."},
    {"refund", METHOD(usage_refund), METH_NOARGS, "Nothing was used. NotFound: it had ended."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef usage_getset[] = {
    {"is_over", (getter)usage_get_over, NULL, "Whether it was committed or refunded.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot usage_slots[] = {
    {Py_tp_doc, "A reservation of what a service counts."},
    {Py_tp_methods, usage_methods},
    {Py_tp_getset, usage_getset},
    {Py_tp_dealloc, usage_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_usage_spec = {
    .name = "jimbot.Usage",
    .basicsize = sizeof(usage_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = usage_slots,
};
