/*
 * remote.c: jimbot._client: libjimbot-client as a thin object, and the module. The package's
 * _remote.py makes of it what a Bus is.
 */
#include "remote.h"

#include <string.h>
#include <time.h>

jbpy_remote_state *jbpy_remote_state_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

void jbpy_remote_nap(void)
{
    struct timespec ms = {0, 1000000};

    Py_BEGIN_ALLOW_THREADS
        nanosleep(&ms, NULL);
    Py_END_ALLOW_THREADS
}

static PyObject *raise_fault(PyObject *fault, int code, const jb_error *err)
{
    const char *text = err != NULL && err->msg[0] != '\0' ? err->msg : jb_strerror(code);
    PyObject *args = Py_BuildValue("is", code, text);

    if (args != NULL)
        PyErr_SetObject(fault, args);
    Py_XDECREF(args);
    return NULL;
}

PyObject *jbpy_fault(PyObject *self, int code, const jb_error *err)
{
    return raise_fault(jbpy_remote_state_of(self)->fault, code, err);
}

static PyObject *none_or_fault(jbpy_client *self, int rc, const jb_error *err)
{
    if (rc < 0)
        return jbpy_fault((PyObject *)self, rc, err);
    Py_RETURN_NONE;
}

static bool is_open(jbpy_client *self)
{
    if (self->client == NULL)
        jbpy_fault((PyObject *)self, JB_ECLOSED, NULL);
    return self->client != NULL;
}

/* --- open and close */

static int read_options(PyObject *kwargs, jb_client_opts *o)
{
    static char *const keys[] = {"flags",
                                 "token",
                                 "tls_ca",
                                 "tls_cert",
                                 "tls_key",
                                 "name",
                                 "buffer_bytes",
                                 "connect_timeout_ns",
                                 "backoff_min_ns",
                                 "backoff_max_ns",
                                 "idle_ns",
                                 "poll_ns",
                                 NULL};
    PyObject *empty = PyTuple_New(0);
    unsigned long long n[6] = {0};
    uint64_t *const where[6] = {&o->buffer_bytes,   &o->connect_timeout_ns,
                                &o->backoff_min_ns, &o->backoff_max_ns,
                                &o->idle_ns,        &o->poll_ns};
    int is_ok;

    if (empty == NULL)
        return -1;
    is_ok = PyArg_ParseTupleAndKeywords(empty, kwargs, "|$IzzzzzKKKKKK:open", (char **)keys,
                                        &o->flags, &o->token, &o->tls_ca, &o->tls_cert, &o->tls_key,
                                        &o->name, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5]);
    Py_DECREF(empty);
    for (int i = 0; i < 6; i++)
        *where[i] = n[i] != 0 ? n[i] : *where[i];
    return is_ok ? 0 : -1;
}

static PyObject *remote_open(PyObject *module, PyObject *args, PyObject *kwargs)
{
    jbpy_remote_state *st = PyModule_GetState(module);
    jb_client_opts opts;
    const char *url;
    jbpy_client *self;
    jb_client *client;
    jb_error err;
    int rc;

    jb_client_opts_init(&opts, sizeof opts);
    jb_error_init(&err);
    if (!PyArg_ParseTuple(args, "s:open", &url) || read_options(kwargs, &opts) < 0)
        return NULL;
    rc = jb_client_open(url, &opts, &client, &err);
    if (rc < 0)
        return raise_fault(st->fault, rc, &err);
    self = PyObject_New(jbpy_client, st->client_type);
    if (self == NULL) {
        jb_client_close(client, 0);
        return NULL;
    }
    self->client = client;
    self->subs = NULL;
    self->pid = getpid();
    self->n_waits = 0;
    return (PyObject *)self;
}

static int64_t shut(jbpy_client *self, uint64_t flush_ns)
{
    jb_client *client = self->client;
    int64_t n_left;

    if (client == NULL)
        return 0;
    self->client = NULL;
    while (self->subs != NULL)
        jbpy_client_sub_shut(self->subs);
    while (self->n_waits > 0 && jbpy_client_is_here(self))
        jbpy_remote_nap();
    Py_BEGIN_ALLOW_THREADS
        n_left = jb_client_close(client, flush_ns);
    Py_END_ALLOW_THREADS
    return n_left;
}

static PyObject *client_close(jbpy_client *self, PyObject *args)
{
    unsigned long long flush_ns = 0;

    if (!PyArg_ParseTuple(args, "|K:close", &flush_ns))
        return NULL;
    return PyLong_FromLongLong(shut(self, flush_ns));
}

static PyObject *client_flush(jbpy_client *self, PyObject *args)
{
    unsigned long long timeout_ns;
    jb_client *client = self->client;
    int rc;

    if (!PyArg_ParseTuple(args, "K:flush", &timeout_ns) || !is_open(self))
        return NULL;
    self->n_waits++;
    Py_BEGIN_ALLOW_THREADS
        rc = jb_client_flush(client, timeout_ns);
    Py_END_ALLOW_THREADS
    self->n_waits--;
    return PyBool_FromLong(rc == 0);
}

/* --- publish */

static PyObject *client_publish(jbpy_client *self, PyObject *args)
{
    const char *topic, *data;
    Py_ssize_t topic_bytes, len;
    unsigned key;
    jb_error err;
    int rc;

    jb_error_init(&err);
    if (!PyArg_ParseTuple(args, "y#z#I:publish", &data, &len, &topic, &topic_bytes, &key) ||
        !is_open(self))
        return NULL;
    rc = jb_client_publish(self->client, topic, topic ? (size_t)topic_bytes : 0, key, data,
                           (size_t)len, &err);
    return none_or_fault(self, rc, &err);
}

static int copy_text(const char *text, char *to, size_t cap)
{
    if (strlen(text) >= cap) {
        PyErr_Format(PyExc_ValueError, "a text of the command is longer than %zu bytes", cap - 1);
        return -1;
    }
    memcpy(to, text, strlen(text) + 1);
    return 0;
}

static PyObject *client_send_command(jbpy_client *self, PyObject *args)
{
    const char *name, *id, *p[8] = {NULL};
    jb_command command;

    memset(&command, 0, sizeof command);
    if (!PyArg_ParseTuple(args, "ss|ssssssss:send_command", &name, &id, &p[0], &p[1], &p[2], &p[3],
                          &p[4], &p[5], &p[6], &p[7]) ||
        !is_open(self) || copy_text(name, command.name, sizeof command.name) < 0 ||
        copy_text(id, command.id, sizeof command.id) < 0)
        return NULL;
    for (; command.n_params < 8 && p[command.n_params] != NULL; command.n_params++) {
        if (copy_text(p[command.n_params], command.params[command.n_params],
                      sizeof command.params[0]) < 0)
            return NULL;
    }
    return none_or_fault(self, jb_client_send_command(self->client, &command), NULL);
}

/* --- looking */

static PyObject *client_status(jbpy_client *self, PyObject *ignored)
{
    jb_client_status s = {.size = sizeof s};

    if (!is_open(self))
        return NULL;
    jb_client_get_status(self->client, &s);
    return Py_BuildValue("IIIKis", s.state, s.way, s.n_failures,
                         (unsigned long long)(jb_clock_now_ns() - s.since_ns), s.last_error.code,
                         s.last_error.msg);
}

static PyObject *client_stats(jbpy_client *self, PyObject *ignored)
{
    jb_client_stats s = {.size = sizeof s};

    if (!is_open(self))
        return NULL;
    jb_client_get_stats(self->client, &s);
    return Py_BuildValue(
        "{sKsKsKsKsKsKsKsKsKsKsKsKsK}", "n_waiting", (unsigned long long)s.n_waiting,
        "n_waiting_bytes", (unsigned long long)s.n_waiting_bytes, "n_published",
        (unsigned long long)s.n_published, "n_accepted", (unsigned long long)s.n_accepted,
        "n_duplicates", (unsigned long long)s.n_duplicates, "n_refused",
        (unsigned long long)s.n_refused, "n_dropped", (unsigned long long)s.n_dropped, "n_full",
        (unsigned long long)s.n_full, "n_retries", (unsigned long long)s.n_retries, "n_received",
        (unsigned long long)s.n_received, "n_missed", (unsigned long long)s.n_missed, "n_connects",
        (unsigned long long)s.n_connects, "n_faults", (unsigned long long)s.n_faults);
}

static PyObject *client_closed(jbpy_client *self, void *ignored)
{
    return PyBool_FromLong(self->client == NULL);
}

static void client_dealloc(jbpy_client *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    shut(self, 0);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef client_methods[] = {
    {"publish", METHOD(client_publish), METH_VARARGS, "publish(data, topic, key)"},
    {"send_command", METHOD(client_send_command), METH_VARARGS, "send_command(name, id, *params)"},
    {"subscribe", METHOD(jbpy_client_subscribe), METH_VARARGS,
     "subscribe(pattern, policy, start, start_sequence, max_unacked, buffer_bytes)"},
    {"flush", METHOD(client_flush), METH_VARARGS, "flush(timeout_ns) -> whether all has left"},
    {"status", METHOD(client_status), METH_NOARGS,
     "(state, way, n_failures, nanoseconds in this state, code, message)"},
    {"stats", METHOD(client_stats), METH_NOARGS, "Counters, as a dict."},
    {"close", METHOD(client_close), METH_VARARGS, "close(flush_ns=0) -> events left"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef client_getset[] = {
    {"closed", (getter)client_closed, NULL, "Whether it was closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot client_slots[] = {
    {Py_tp_doc, "A connection to a bus that is made and kept in the background."},
    {Py_tp_methods, client_methods},
    {Py_tp_getset, client_getset},
    {Py_tp_dealloc, client_dealloc},
    {0, NULL},
};

static PyType_Spec client_spec = {
    .name = "jimbot._client.Client",
    .basicsize = sizeof(jbpy_client),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = client_slots,
};

/* --- the module */

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **ret)
{
    *ret = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *ret == NULL ? -1 : PyModule_AddType(module, *ret);
}

static int remote_exec(PyObject *module)
{
    jbpy_remote_state *st = PyModule_GetState(module);

    st->fault = PyErr_NewExceptionWithDoc("jimbot._client.Fault",
                                          "A status code and what is wrong.", NULL, NULL);
    if (st->fault == NULL || PyModule_AddObjectRef(module, "Fault", st->fault) < 0 ||
        add_type(module, &client_spec, &st->client_type) < 0)
        return -1;
    return add_type(module, &jbpy_client_sub_spec, &st->sub_type);
}

static int remote_traverse(PyObject *module, visitproc visit, void *arg)
{
    jbpy_remote_state *st = PyModule_GetState(module);

    Py_VISIT(st->client_type);
    Py_VISIT(st->sub_type);
    Py_VISIT(st->fault);
    return 0;
}

static int remote_clear(PyObject *module)
{
    jbpy_remote_state *st = PyModule_GetState(module);

    Py_CLEAR(st->client_type);
    Py_CLEAR(st->sub_type);
    Py_CLEAR(st->fault);
    return 0;
}

static void remote_free(void *module)
{
    remote_clear(module);
}

static PyMethodDef remote_methods[] = {
    {"open", METHOD(remote_open), KEYWORDS,
     "open(url, **options) -> Client; the options of jb_client_opts, 0: the default"},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot remote_slots[] = {
    {Py_mod_exec, remote_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static PyModuleDef remote_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "jimbot._client",
    .m_doc = "libjimbot-client, thinly.",
    .m_size = sizeof(jbpy_remote_state),
    .m_methods = remote_methods,
    .m_slots = remote_slots,
    .m_traverse = remote_traverse,
    .m_clear = remote_clear,
    .m_free = remote_free,
};

PyMODINIT_FUNC PyInit__client(void);

PyMODINIT_FUNC PyInit__client(void)
{
    return PyModuleDef_Init(&remote_module);
}
