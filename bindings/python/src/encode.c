/*
 * encode.c: everything that may be published, as one jbpy_encoding.
 *
 * Invariant: an encoder is in the pool of the module state or with exactly one caller, never both.
 * So a nested call (a value's __index__ that publishes) and a second thread each get their own, and
 * what an encoding points to stays until jbpy_encoding_fini().
 */
#include "encode.h"

#include <string.h>

/* JSON shorter than this is encoded faster than two switches of the GIL take. */
enum { BIG_TEXT_BYTES = 32768 };

/* The pool has those of the dialect that clients speak; others are made for the occasion. */
static jb_encoder *take_encoder(jbpy_state *st, uint32_t dialect)
{
    jb_encoder_opts opts;
    jb_encoder *enc = NULL;
    jb_error err;
    int rc;

    if (dialect == JB_DIALECT_BALATROMCP && st->n_encoders > 0)
        return st->encoders[--st->n_encoders];
    jb_error_init(&err);
    jb_encoder_opts_init(&opts, sizeof opts);
    opts.dialect = dialect;
    rc = jb_encoder_create(&opts, &enc, &err);
    if (rc < 0)
        jbpy_raise(st, rc, &err, "cannot make an encoder");
    return enc;
}

static void give_encoder(jbpy_state *st, jb_encoder *enc, uint32_t dialect)
{
    if (enc == NULL)
        return;
    if (dialect == JB_DIALECT_BALATROMCP && st->n_encoders < JBPY_N_ENCODERS)
        st->encoders[st->n_encoders++] = enc;
    else
        jb_encoder_destroy(enc);
}

/* For an event value by value. */
int jbpy_encoding_init(jbpy_state *st, jbpy_encoding *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->encoder = take_encoder(st, JB_DIALECT_BALATROMCP);
    return ret->encoder == NULL ? -1 : 0;
}

void jbpy_encoding_fini(jbpy_state *st, jbpy_encoding *e)
{
    give_encoder(st, e->encoder, e->dialect);
    e->encoder = NULL;
    if (e->view.obj != NULL)
        PyBuffer_Release(&e->view);
}

static int fail(jbpy_state *st, int rc, const jb_error *err)
{
    jbpy_raise(st, rc, err, "cannot encode the event");
    return -1;
}

static int encode_text(jbpy_state *st, PyObject *text, jbpy_encoding *e)
{
    Py_ssize_t len;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &len);
    jb_error err;
    int rc;

    if (bytes == NULL)
        return -1;
    jb_error_init(&err);
    if (len < BIG_TEXT_BYTES) {
        rc = jb_encoder_json(e->encoder, bytes, (size_t)len, &e->encoded, &err);
    } else {
        Py_BEGIN_ALLOW_THREADS
            rc = jb_encoder_json(e->encoder, bytes, (size_t)len, &e->encoded, &err);
        Py_END_ALLOW_THREADS
    }
    return rc < 0 ? fail(st, rc, &err) : 0;
}

static int begin(jbpy_state *st, jb_encoder *enc, PyObject *type, PyObject *subtype)
{
    Py_ssize_t type_len, subtype_len = 0;
    const char *type_bytes = PyUnicode_AsUTF8AndSize(type, &type_len);
    const char *subtype_bytes = NULL;
    int rc;

    if (type_bytes == NULL)
        return -1;
    if (subtype != NULL) {
        subtype_bytes = PyUnicode_AsUTF8AndSize(subtype, &subtype_len);
        if (subtype_bytes == NULL)
            return -1;
    }
    rc = jb_encoder_begin(enc, type_bytes, (size_t)type_len, subtype_bytes, (size_t)subtype_len);
    if (rc < 0)
        return jbpy_raise(st, rc, NULL, "type or subtype"), -1;
    return 0;
}

static int end(jbpy_state *st, jbpy_encoding *e)
{
    jb_error err;
    int rc;

    jb_error_init(&err);
    rc = jb_encoder_end(e->encoder, &e->encoded, &err);
    return rc < 0 ? fail(st, rc, &err) : 0;
}

/* A dict that is the whole event. */
static int encode_event(jbpy_state *st, PyObject *dict, jbpy_encoding *e)
{
    PyObject *type = PyDict_GetItemString(dict, "type");
    PyObject *subtype = PyDict_GetItemString(dict, "subtype");
    int rc;

    if (type == NULL || !PyUnicode_Check(type)) {
        jbpy_raise(st, JB_EEVENT, NULL, "the dict has no member \"type\" that is a str");
        return -1;
    }
    if (subtype != NULL && !PyUnicode_Check(subtype))
        subtype = NULL;
    Py_INCREF(type);
    Py_XINCREF(subtype);
    rc = begin(st, e->encoder, type, subtype);
    if (rc == 0)
        rc = jbpy_members(st, e->encoder, dict, subtype != NULL);
    Py_DECREF(type);
    Py_XDECREF(subtype);
    return rc < 0 ? -1 : end(st, e);
}

static int put_optional(jbpy_state *st, jb_encoder *enc, const char *key, PyObject *value)
{
    return value == NULL ? 0 : jbpy_value(st, enc, key, value);
}

/* An event value by value: what stands beside the payload. */
int jbpy_envelope_begin(jbpy_state *st, PyObject *type, const jbpy_envelope *env, jbpy_encoding *e)
{
    if (begin(st, e->encoder, type, env->subtype) < 0 ||
        put_optional(st, e->encoder, "event_id", env->event_id) < 0 ||
        put_optional(st, e->encoder, "source", env->source) < 0 ||
        put_optional(st, e->encoder, "timestamp", env->timestamp) < 0 ||
        put_optional(st, e->encoder, "priority", env->priority) < 0)
        return -1;
    return 0;
}

int jbpy_envelope_end(jbpy_state *st, jbpy_encoding *e)
{
    return end(st, e);
}

/* A payload, which gets an envelope of that type. */
static int encode_payload(jbpy_state *st, PyObject *type, PyObject *payload,
                          const jbpy_envelope *env, jbpy_encoding *e)
{
    if (jbpy_envelope_begin(st, type, env, e) < 0 ||
        put_optional(st, e->encoder, "payload", payload) < 0)
        return -1;
    return end(st, e);
}

/* json's ValueError carries the place in characters; ours in bytes. */
static PyObject *raise_json_error(jbpy_state *st, PyObject *text)
{
    PyObject *type, *value, *traceback, *pos, *head = NULL;
    jb_error err;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    jb_error_init(&err);
    pos = value != NULL ? PyObject_GetAttrString(value, "pos") : NULL;
    if (pos != NULL)
        head = PyUnicode_Substring(text, 0, PyLong_AsSsize_t(pos));
    if (head != NULL) {
        Py_ssize_t len = 0;
        PyUnicode_AsUTF8AndSize(head, &len);
        err.offset = (uint64_t)len;
    }
    PyErr_Clear();
    jbpy_raise(st, JB_EPARSE, &err, "the payload");
    Py_XDECREF(head);
    Py_XDECREF(pos);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return NULL;
}

static int encode_payload_text(jbpy_state *st, PyObject *type, PyObject *text,
                               const jbpy_envelope *env, jbpy_encoding *e)
{
    PyObject *payload = PyObject_CallFunctionObjArgs(st->json_loads, text, NULL);
    int rc;

    if (payload == NULL) {
        if (PyErr_ExceptionMatches(PyExc_ValueError))
            raise_json_error(st, text);
        return -1;
    }
    rc = encode_payload(st, type, payload, env, e);
    Py_DECREF(payload);
    return rc;
}

/* Bytes are taken as they are once jb_event_inspect() has read them through. */
static int inspect(jbpy_state *st, PyObject *data, jbpy_encoding *e)
{
    jb_error err;
    int rc;

    if (PyObject_GetBuffer(data, &e->view, PyBUF_SIMPLE) < 0)
        return -1;
    jb_error_init(&err);
    rc = jb_event_inspect(e->view.buf, (size_t)e->view.len, &e->encoded, &err);
    return rc < 0 ? fail(st, rc, &err) : 0;
}

/* The type that was named and the type inside the bytes must be the same; an empty event of that
 * name tells what the name means. */
static int check_type(jbpy_state *st, PyObject *type, const jbpy_envelope *env,
                      const jb_encoded *found)
{
    jbpy_envelope only_subtype = {.subtype = env->subtype};
    jbpy_encoding named = {0};
    int rc;

    named.encoder = take_encoder(st, JB_DIALECT_BALATROMCP);
    if (named.encoder == NULL)
        return -1;
    rc = encode_payload(st, type, NULL, &only_subtype, &named);
    if (rc == 0 &&
        (named.encoded.type != found->type ||
         (found->type == JB_EVENT_CUSTOM && strcmp(named.encoded.topic, found->topic) != 0))) {
        jbpy_raise(st, JB_EEVENT, NULL, "the bytes hold an event of another type than was named");
        rc = -1;
    }
    jbpy_encoding_fini(st, &named);
    return rc;
}

static bool is_envelope_empty(const jbpy_envelope *env)
{
    return !env->event_id && !env->source && !env->timestamp && !env->priority;
}

static int encode_bytes(jbpy_state *st, PyObject *type, PyObject *data, const jbpy_envelope *env,
                        jbpy_encoding *e)
{
    if (!is_envelope_empty(env)) {
        PyErr_SetString(PyExc_TypeError, "serialised bytes have their own envelope: event_id, "
                                         "source, timestamp and priority do not apply");
        return -1;
    }
    if (inspect(st, data, e) < 0)
        return -1;
    return type == NULL ? 0 : check_type(st, type, env, &e->encoded);
}

static int encode_whole(jbpy_state *st, PyObject *data, const jbpy_envelope *env, jbpy_encoding *e)
{
    if (!is_envelope_empty(env) || env->subtype != NULL) {
        PyErr_SetString(PyExc_TypeError, "a whole event has its own envelope: subtype, event_id, "
                                         "source, timestamp and priority go inside");
        return -1;
    }
    if (PyUnicode_Check(data))
        return encode_text(st, data, e);
    if (PyDict_Check(data) && e->dialect == JB_DIALECT_BALATROMCP)
        return encode_event(st, data, e);
    if (PyDict_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "a whole event of that dialect is JSON text (str); a dict "
                                         "is a payload, with a type");
        return -1;
    }
    PyErr_SetString(PyExc_TypeError,
                    "an event is a dict, JSON text (str), or the bytes of a jimbot.v1.Event");
    return -1;
}

/*
 * Encode `data`: with a type it is the payload, without (NULL) the whole event. Bytes are a
 * serialised event either way. On failure an exception is set and nothing is owed.
 */
int jbpy_encode(jbpy_state *st, PyObject *type, PyObject *data, const jbpy_envelope *env,
                jbpy_encoding *ret)
{
    int rc;

    memset(ret, 0, sizeof *ret);
    if (data != NULL && !PyUnicode_Check(data) && PyObject_CheckBuffer(data)) {
        rc = encode_bytes(st, type, data, env, ret);
    } else {
        ret->dialect = env->dialect;
        ret->encoder = take_encoder(st, env->dialect);
        if (ret->encoder == NULL)
            return -1;
        if (type == NULL)
            rc = encode_whole(st, data != NULL ? data : Py_None, env, ret);
        else if (data != NULL && PyUnicode_Check(data))
            rc = encode_payload_text(st, type, data, env, ret);
        else
            rc = encode_payload(st, type, data, env, ret);
    }
    if (rc < 0)
        jbpy_encoding_fini(st, ret);
    return rc;
}
