/*
 * remote_sub.c: a subscription of jimbot._client.
 *
 * Invariant: an event is taken only after its bytes were copied into the list the caller gets.
 */
#include "remote.h"

enum { LOOK = 64 };

static bool is_usable(jbpy_client_sub *self)
{
    if (self->sub == NULL)
        jbpy_fault((PyObject *)self, JB_ECLOSED, NULL);
    else if (self->is_waiting)
        jbpy_fault((PyObject *)self, JB_ESTATE, NULL);
    return self->sub != NULL && !self->is_waiting;
}

void jbpy_client_sub_shut(jbpy_client_sub *self)
{
    jb_client_sub *sub = self->sub;

    if (sub == NULL)
        return;
    self->sub = NULL;
    for (jbpy_client_sub **at = &self->client->subs; *at != NULL; at = &(*at)->next) {
        if (*at == self) {
            *at = self->next;
            break;
        }
    }
    /* The client must outlive its subscription, whoever closes it meanwhile. */
    Py_INCREF((PyObject *)self);
    self->client->n_waits++;
    while (self->is_waiting && jbpy_client_is_here(self->client))
        jbpy_remote_nap();
    jb_client_sub_close(sub);
    self->client->n_waits--;
    Py_DECREF((PyObject *)self);
}

PyObject *jbpy_client_subscribe(jbpy_client *self, PyObject *args)
{
    jb_client_sub_opts opts;
    const char *pattern;
    Py_ssize_t len;
    unsigned long long start_sequence, buffer_bytes;
    unsigned max_unacked;
    jbpy_client_sub *sub;
    jb_error err;
    int rc;

    jb_client_sub_opts_init(&opts, sizeof opts);
    jb_error_init(&err);
    if (!PyArg_ParseTuple(args, "s#IIKIK:subscribe", &pattern, &len, &opts.policy, &opts.start,
                          &start_sequence, &max_unacked, &buffer_bytes))
        return NULL;
    if (self->client == NULL)
        return jbpy_fault((PyObject *)self, JB_ECLOSED, NULL);
    opts.start_sequence = start_sequence;
    opts.max_unacked = max_unacked ? max_unacked : opts.max_unacked;
    opts.buffer_bytes = buffer_bytes ? buffer_bytes : opts.buffer_bytes;
    sub = PyObject_New(jbpy_client_sub, jbpy_remote_state_of((PyObject *)self)->sub_type);
    if (sub == NULL)
        return NULL;
    sub->client = (jbpy_client *)Py_NewRef((PyObject *)self);
    sub->sub = NULL;
    sub->next = NULL;
    sub->is_waiting = false;
    rc = jb_client_subscribe(self->client, pattern, (size_t)len, &opts, &sub->sub, &err);
    if (rc < 0) {
        Py_DECREF((PyObject *)sub);
        return jbpy_fault((PyObject *)self, rc, &err);
    }
    sub->next = self->subs;
    self->subs = sub;
    return (PyObject *)sub;
}

/* Times come in UTC; a Batch has the clock of this machine. */
static PyObject *tuple_of(const jb_client_event *e, uint64_t utc_to_now)
{
    return Py_BuildValue("(KKdy#s#KIIHBB)", (unsigned long long)e->sequence,
                         (unsigned long long)(e->time_utc_ns + utc_to_now), e->source_time,
                         (const char *)e->payload, (Py_ssize_t)e->len_bytes, e->topic,
                         (Py_ssize_t)e->topic_bytes, (unsigned long long)e->n_missed, e->publisher,
                         e->key, e->type, e->priority, e->flags);
}

static int append(PyObject *list, const jb_client_event *events, int n)
{
    uint64_t utc_to_now = jb_clock_now_ns() - jb_clock_utc_ns();

    for (int i = 0; i < n; i++) {
        PyObject *tuple = tuple_of(&events[i], utc_to_now);
        int rc = tuple == NULL ? -1 : PyList_Append(list, tuple);

        Py_XDECREF(tuple);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* Take what lies there, at most n_max. JB_EEVICTED: what was copied is not to be used. */
static int take(jbpy_client_sub *self, PyObject *list, Py_ssize_t n_max)
{
    jb_client_event events[LOOK];
    Py_ssize_t n_before = PyList_Size(list);
    int n = jb_client_sub_peek(self->sub, events, n_max < LOOK ? (uint32_t)n_max : LOOK);
    int rc;

    if (n <= 0)
        return n;
    if (append(list, events, n) < 0) {
        if (n_before > 0) { /* those were taken: they are given, and the next look says this */
            PyErr_Clear();
            PyList_SetSlice(list, n_before, PyList_Size(list), NULL);
        }
        return JB_ENOMEM;
    }
    rc = jb_client_sub_advance(self->sub);
    if (rc < 0)
        PyList_SetSlice(list, n_before, n_before + n, NULL);
    return rc < 0 ? rc : n;
}

static PyObject *sub_poll(jbpy_client_sub *self, PyObject *args)
{
    PyObject *list;
    Py_ssize_t n_max;
    int n = 1;

    if (!PyArg_ParseTuple(args, "n:poll", &n_max) || !is_usable(self))
        return NULL;
    list = PyList_New(0);
    while (list != NULL && n > 0 && PyList_Size(list) < n_max)
        n = take(self, list, n_max - PyList_Size(list));
    if (list == NULL || n >= 0 || (PyList_Size(list) > 0 && !PyErr_Occurred()))
        return list;
    Py_DECREF(list);
    if (n == JB_EEVICTED)
        return PyList_New(0); /* the next look says what is gone */
    return PyErr_Occurred() ? NULL : jbpy_fault((PyObject *)self, n, NULL);
}

static PyObject *sub_wait(jbpy_client_sub *self, PyObject *args)
{
    unsigned long long timeout_ns;
    jb_client_sub *sub = self->sub;
    int rc;

    if (!PyArg_ParseTuple(args, "K:wait", &timeout_ns) || !is_usable(self))
        return NULL;
    self->is_waiting = true;
    Py_BEGIN_ALLOW_THREADS
        rc = jb_client_sub_wait(sub, timeout_ns);
    Py_END_ALLOW_THREADS
    self->is_waiting = false;
    if (PyErr_CheckSignals() < 0)
        return NULL;
    return PyBool_FromLong(rc != 0);
}

static PyObject *sub_fileno(jbpy_client_sub *self, PyObject *ignored)
{
    int fd = -1, rc = 0;

    if (self->sub != NULL) {
        if (!is_usable(self))
            return NULL;
        rc = jb_client_sub_fd(self->sub, &fd);
    }
    return rc < 0 ? jbpy_fault((PyObject *)self, rc, NULL) : PyLong_FromLong(fd);
}

static PyObject *sub_is_live(jbpy_client_sub *self, PyObject *ignored)
{
    if (!is_usable(self))
        return NULL;
    return PyBool_FromLong(jb_client_sub_is_live(self->sub) == 1);
}

static PyObject *sub_close(jbpy_client_sub *self, PyObject *ignored)
{
    jbpy_client_sub_shut(self);
    Py_RETURN_NONE;
}

static PyObject *sub_closed(jbpy_client_sub *self, void *ignored)
{
    return PyBool_FromLong(self->sub == NULL);
}

static void sub_dealloc(jbpy_client_sub *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    jb_client_sub *sub = self->sub;

    /* Nobody waits in it: who does holds a reference. */
    self->sub = NULL;
    for (jbpy_client_sub **at = &self->client->subs; *at != NULL; at = &(*at)->next) {
        if (*at == self) {
            *at = self->next;
            break;
        }
    }
    jb_client_sub_close(sub);
    Py_DECREF((PyObject *)self->client);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef sub_methods[] = {
    {"poll", METHOD(sub_poll), METH_VARARGS, "poll(n_max) -> list of tuples"},
    {"wait", METHOD(sub_wait), METH_VARARGS, "wait(timeout_ns) -> whether to look"},
    {"fileno", METHOD(sub_fileno), METH_NOARGS, "A descriptor for selectors; -1 once closed."},
    {"is_live", METHOD(sub_is_live), METH_NOARGS, "Whether the server delivers now."},
    {"close", METHOD(sub_close), METH_NOARGS, "End it."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef sub_getset[] = {
    {"closed", (getter)sub_closed, NULL, "Whether it was closed, or its client.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot sub_slots[] = {
    {Py_tp_doc, "A subscription of a client; one thread at a time."},
    {Py_tp_methods, sub_methods},
    {Py_tp_getset, sub_getset},
    {Py_tp_dealloc, sub_dealloc},
    {0, NULL},
};

PyType_Spec jbpy_client_sub_spec = {
    .name = "jimbot._client.Sub",
    .basicsize = sizeof(jbpy_client_sub),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = sub_slots,
};
