/*
 * reply.c: Bus.reply(), the answer to a request.
 *
 * Invariant: what the answer needs of the request is copied before Python code may run, so a batch
 * that is released meanwhile does no harm.
 */
#include "publish.h"

typedef struct answer {
    jb_event request; /* its payload is not looked at */
    jb_event_head head;
    jb_encoded encoded;
} answer;

static int attempt_answer(jb_bus *bus, const void *what)
{
    const answer *a = what;

    return jb_reply(bus, &a->request, &a->head, a->encoded.data, a->encoded.len_bytes);
}

/* The request, out of the first argument. */
static int take_request(jbpy_bus *self, PyObject *args, jb_event *ret_request)
{
    jbpy_state *st = jbpy_state_of((PyObject *)self);
    PyObject *first = PyTuple_Size(args) > 0 ? PyTuple_GetItem(args, 0) : NULL;
    const jb_event *event;

    if (first == NULL || !PyObject_TypeCheck(first, st->event_type)) {
        PyErr_SetString(PyExc_TypeError, "reply(request: Event, type, data = None, ...)");
        return -1;
    }
    event = jbpy_event_of((jbpy_event *)first);
    if (event == NULL)
        return -1;
    *ret_request = *event;
    if (event->flags & JB_EVENT_IS_REQUEST)
        return 0;
    jbpy_raise(st, JB_EINVAL, NULL, "the event is no request");
    return -1;
}

static int publish_answer(jbpy_bus *self, const jbpy_call *call, uint64_t deadline_ns, answer *a)
{
    jbpy_state *st = jbpy_state_of((PyObject *)self);
    jbpy_encoding e;
    int rc;

    if (jbpy_is_topic(call->target)) {
        PyErr_SetString(PyExc_ValueError, "a reply goes to who asked: it has a type, no topic");
        return -1;
    }
    if (jbpy_encode(st, call->target, call->data, &call->env, &e) < 0)
        return -1;
    a->encoded = e.encoded;
    a->head.type = e.encoded.type;
    a->head.priority = e.encoded.priority;
    a->head.source_time = e.encoded.source_time;
    rc = jbpy_publish(self, attempt_answer, a, e.encoded.len_bytes, deadline_ns);
    jbpy_encoding_fini(st, &e);
    return rc;
}

PyObject *jbpy_bus_reply(jbpy_bus *self, PyObject *args, PyObject *kwargs)
{
    jbpy_call call = {0};
    answer a = {0};
    uint64_t deadline_ns;
    PyObject *rest;
    int rc;

    if (take_request(self, args, &a.request) < 0)
        return NULL;
    rest = PyTuple_GetSlice(args, 1, PyTuple_Size(args));
    if (rest == NULL)
        return NULL;
    if (jbpy_call_parse(rest, kwargs, "O|O$OOOOOO:reply", &call) < 0 ||
        jbpy_timeout_at(call.timeout, &deadline_ns) < 0)
        rc = -1;
    else
        rc = publish_answer(self, &call, deadline_ns, &a);
    Py_DECREF(rest);
    if (rc < 0)
        return NULL;
    Py_RETURN_NONE;
}
