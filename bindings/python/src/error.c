/*
 * error.c: the exceptions, made from the library's own table of status codes.
 *
 * Invariant: every negative status becomes exactly one class, a subclass of jimbot.Error whose
 * class attribute `code` is that number. A code the table does not know becomes jimbot.Error.
 */
#include "core.h"

#include <string.h>

/* The table's short name, except where the package has a type of that name. */
static const char *class_name(const char *short_name)
{
    return strcmp(short_name, "Event") == 0 ? "EventError" : short_name;
}

/* What Python code that does not know us would catch. */
static PyObject *builtin_base(int code)
{
    switch (code) {
    case JB_EINVAL:
    case JB_EPARSE:
    case JB_EEVENT:
    case JB_EPROTO:
        return PyExc_ValueError;
    case JB_ENOMEM:
        return PyExc_MemoryError;
    default:
        return NULL;
    }
}

static PyObject *new_class(const char *name, const char *doc, PyObject *bases, int code)
{
    char full_name[64];
    PyObject *dict, *cls;

    dict = Py_BuildValue("{s:i,s:i,s:i,s:s,s:i}", "code", code, "offset", 0, "os_errno", 0,
                         "message", "", "n_published", 0);
    if (dict == NULL)
        return NULL;
    PyOS_snprintf(full_name, sizeof full_name, "jimbot.%s", name);
    cls = PyErr_NewExceptionWithDoc(full_name, doc, bases, dict);
    Py_DECREF(dict);
    return cls;
}

static int add_class(PyObject *module, jbpy_state *st, int code, const char *short_name)
{
    PyObject *builtin = builtin_base(code);
    PyObject *bases = builtin ? PyTuple_Pack(2, st->error, builtin) : PyTuple_Pack(1, st->error);
    PyObject *cls;

    if (bases == NULL)
        return -1;
    cls = new_class(class_name(short_name), jb_strerror(code), bases, code);
    Py_DECREF(bases);
    if (cls == NULL)
        return -1;
    if (code < 0 && -code < JBPY_N_ERRORS && st->errors[-code] == NULL)
        st->errors[-code] = Py_NewRef(cls);
    if (PyModule_AddObjectRef(module, class_name(short_name), cls) < 0) {
        Py_DECREF(cls);
        return -1;
    }
    Py_DECREF(cls);
    return 0;
}

int jbpy_errors_init(PyObject *module, jbpy_state *st)
{
    const char *short_name;
    int32_t code;

    st->error = new_class("Error", "Any failure the library reports; see code and offset.",
                          PyExc_Exception, 0);
    if (st->error == NULL || PyModule_AddObjectRef(module, "Error", st->error) < 0)
        return -1;
    for (uint32_t i = 0; jb_err_at(i, &code, &short_name) == 0; i++) {
        if (add_class(module, st, code, short_name) < 0)
            return -1;
    }
    return 0;
}

static int set_detail(PyObject *exc, int code, const jb_error *err, PyObject *text)
{
    PyObject *values[3] = {NULL, NULL, NULL};
    static const char *const names[3] = {"code", "offset", "os_errno"};
    int rc = PyObject_SetAttrString(exc, "message", text);

    values[0] = PyLong_FromLong(code);
    values[1] = PyLong_FromUnsignedLongLong(err ? err->offset : 0);
    values[2] = PyLong_FromLong(err ? err->os_errno : 0);
    for (int i = 0; i < 3; i++) {
        if (values[i] == NULL || PyObject_SetAttrString(exc, names[i], values[i]) < 0)
            rc = -1;
        Py_XDECREF(values[i]);
    }
    return rc;
}

/* Always returns NULL, with an exception set: `return jbpy_raise_text(...)`. */
PyObject *jbpy_raise_text(jbpy_state *st, int code, const jb_error *err, PyObject *text)
{
    PyObject *cls = code < 0 && -code < JBPY_N_ERRORS ? st->errors[-code] : NULL;
    PyObject *exc;

    if (cls == NULL)
        cls = st->error;
    exc = PyObject_CallFunctionObjArgs(cls, text, NULL);
    if (exc == NULL)
        return NULL;
    if (set_detail(exc, code, err, text) == 0)
        PyErr_SetObject(cls, exc);
    Py_DECREF(exc);
    return NULL;
}

PyObject *jbpy_raise(jbpy_state *st, int code, const jb_error *err, const char *what)
{
    PyObject *text;

    if (err != NULL && err->msg[0] != '\0')
        text = PyUnicode_DecodeUTF8(err->msg, (Py_ssize_t)strnlen(err->msg, sizeof err->msg),
                                    "replace");
    else
        text = PyUnicode_FromFormat("%s: %s", what, jb_strerror(code));
    if (text == NULL)
        return NULL;
    jbpy_raise_text(st, code, err, text);
    Py_DECREF(text);
    return NULL;
}
