/*
 * asker.c: see asker.h.
 */
#include "asker.h"
#include "publish.h"

#include <unistd.h>

PyObject *jbpy_asker_raise(const jbpy_asker *asker, int code, const char *what)
{
    return jbpy_raise(jbpy_state_of((PyObject *)asker->bus), code, NULL, what);
}

static void unref(jbpy_asker *asker)
{
    if (--asker->n_refs == 0)
        PyMem_Free(asker);
}

/* Close the C handle and leave the bus's list. */
void jbpy_asker_shut(jbpy_asker *asker)
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

void jbpy_asker_end(jbpy_asker *asker)
{
    jbpy_asker_shut(asker);
    unref(asker);
}

/* Bus.close(). */
void jbpy_askers_shut(jbpy_bus *bus)
{
    jbpy_asker *spare = bus->spare;

    bus->spare = NULL;
    if (spare != NULL)
        jbpy_asker_end(spare);
    while (bus->askers != NULL)
        jbpy_asker_shut(bus->askers);
}

jbpy_asker *jbpy_asker_new(jbpy_bus *bus, const jb_requester_opts *opts)
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
int jbpy_asker_enter(jbpy_asker *asker)
{
    if (asker->handle == NULL || asker->is_used) {
        if (asker->handle == NULL)
            jbpy_asker_raise(asker, JB_ECLOSED, "requester");
        else
            jbpy_asker_raise(asker, JB_ESTATE, "another thread is using this requester");
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
        return jbpy_asker_raise(asker, rc, "wait"), -1;
    return 0;
}

/* The outcomes there are; waits for the first until deadline_ns. */
int jbpy_asker_take(jbpy_asker *asker, jb_outcome *outcomes, uint32_t n_max, uint64_t deadline_ns)
{
    for (;;) {
        int n =
            asker->handle == NULL ? JB_ECLOSED : jb_request_poll(asker->handle, outcomes, n_max);

        if (n < 0)
            return jbpy_asker_raise(asker, n, "requester"), -1;
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
int jbpy_asker_ask(jbpy_asker *asker, PyObject *args, PyObject *kwargs, bool is_patient,
                   uint32_t *ret_id)
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
    return rc;
}

/* Replies become events of one batch; NULL with an exception set. */
jbpy_batch *jbpy_reply_batch(jbpy_bus *bus, const jb_outcome *outcomes, uint32_t n)
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
    jbpy_batch *batch = jbpy_reply_batch(bus, outcome, 1);
    PyObject *event = batch == NULL ? NULL : jbpy_batch_event(batch, 0);

    Py_XDECREF((PyObject *)batch);
    return event;
}

/* Ask and wait for the answer. The asker has nothing else in flight. */
PyObject *jbpy_asker_call(jbpy_asker *asker, PyObject *args, PyObject *kwargs)
{
    jb_outcome outcome;
    uint32_t id;
    int n;

    if (jbpy_asker_ask(asker, args, kwargs, true, &id) < 0)
        return NULL;
    n = jbpy_asker_take(asker, &outcome, 1, UINT64_MAX); /* it has an outcome at its deadline */
    if (n < 0 && asker->handle != NULL)
        jb_request_cancel(asker->handle, id);
    if (n < 0)
        return NULL;
    if (outcome.kind != JB_OUTCOME_REPLY)
        return jbpy_asker_raise(asker, JB_ETIMEDOUT, "no reply");
    return reply_event(asker->bus, &outcome);
}

PyObject *jbpy_bus_request(jbpy_bus *self, PyObject *args, PyObject *kwargs)
{
    jbpy_asker *asker = self->spare;
    PyObject *event;

    self->spare = NULL;
    if (asker == NULL)
        asker = jbpy_asker_new(self, NULL);
    if (asker == NULL)
        return NULL;
    event = jbpy_asker_call(asker, args, kwargs);
    if (asker->handle != NULL && self->spare == NULL)
        self->spare = asker;
    else
        jbpy_asker_end(asker);
    return event;
}
