/*
 * subscribe.c: Bus.subscribe(): patterns and options become a Subscription.
 *
 * Invariant: a Subscription is in its bus's list from the moment its C handle is open, so that a
 * failure afterwards ends it like any other.
 */
#include "core.h"

#include <string.h>

static jbpy_sub *sub_new(jbpy_state *st, jbpy_bus *bus, PyObject *patterns)
{
    jbpy_sub *self = PyObject_New(jbpy_sub, st->sub_type);

    if (self == NULL)
        return NULL;
    self->sub = NULL;
    self->next = self->prev = NULL;
    self->scratch = NULL;
    self->n_scratch = 0;
    self->is_used = self->is_waiting = false;
    self->bus = (jbpy_bus *)Py_NewRef((PyObject *)bus);
    self->patterns = Py_NewRef(patterns);
    return self;
}

static void join_bus(jbpy_sub *self, jb_sub *sub)
{
    self->sub = sub;
    self->next = self->bus->subs;
    if (self->next != NULL)
        self->next->prev = self;
    self->bus->subs = self;
}

/* One pattern or several become a tuple of str, never empty. */
static PyObject *pattern_tuple(PyObject *patterns)
{
    PyObject *tuple;

    if (PyUnicode_Check(patterns))
        return PyTuple_Pack(1, patterns);
    tuple = PySequence_Tuple(patterns);
    if (tuple == NULL)
        return NULL;
    if (PyTuple_Size(tuple) == 0) {
        PyErr_SetString(PyExc_ValueError, "a subscription needs at least one pattern");
        Py_CLEAR(tuple);
    }
    return tuple;
}

static const char *pattern_at(PyObject *patterns, Py_ssize_t i, Py_ssize_t *ret_len)
{
    PyObject *pattern = PyTuple_GetItem(patterns, i);

    if (!PyUnicode_Check(pattern)) {
        PyErr_Format(PyExc_TypeError, "pattern %zd is not a str", i);
        return NULL;
    }
    return PyUnicode_AsUTF8AndSize(pattern, ret_len);
}

static PyObject *raise_pattern(jbpy_state *st, int rc, const jb_error *err, const char *pattern)
{
    char what[192];

    PyOS_snprintf(what, sizeof what, "pattern '%.140s'", pattern);
    return jbpy_raise(st, rc, err, what);
}

/* Open the C subscription and add the other patterns. */
static int open_patterns(jbpy_sub *self, const jb_sub_opts *opts)
{
    jbpy_state *st = jbpy_state_of((PyObject *)self);
    Py_ssize_t len;
    const char *pattern = pattern_at(self->patterns, 0, &len);
    jb_sub *sub = NULL;
    jb_error err;
    int rc;

    if (pattern == NULL)
        return -1;
    jb_error_init(&err);
    rc = jb_bus_subscribe(self->bus->bus, pattern, (size_t)len, opts, &sub, &err);
    if (rc < 0)
        return raise_pattern(st, rc, &err, pattern), -1;
    join_bus(self, sub);
    for (Py_ssize_t i = 1; i < PyTuple_Size(self->patterns); i++) {
        pattern = pattern_at(self->patterns, i, &len);
        if (pattern == NULL)
            return -1;
        rc = jb_sub_add(sub, pattern, (size_t)len);
        if (rc < 0)
            return raise_pattern(st, rc, NULL, pattern), -1;
    }
    return 0;
}

/* Words by their number in jb_sub_policy, jb_sub_start and jb_wait. */
const char *const jbpy_policies[4] = {"lossless", "latest", "conflate", NULL};
const char *const jbpy_waits[4] = {"block", "spin", "busy", NULL};
static const char *const starts[3] = {"now", "oldest", NULL};

/* Find `word` among up to three; -1 with a ValueError that names them all. */
int jbpy_choose(const char *what, const char *word, const char *const *words, uint32_t *ret)
{
    if (word == NULL)
        return 0;
    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret = i;
            return 0;
        }
    }
    if (words[2] == NULL)
        PyErr_Format(PyExc_ValueError, "%s is '%s' or '%s', not '%s'", what, words[0], words[1],
                     word);
    else
        PyErr_Format(PyExc_ValueError, "%s is '%s', '%s' or '%s', not '%s'", what, words[0],
                     words[1], words[2], word);
    return -1;
}

static int parse_options(PyObject *args, PyObject *kwargs, PyObject **ret_patterns,
                         jb_sub_opts *opts)
{
    static char *const keys[] = {"pattern", "policy",         "start",      "name", "wait",
                                 "spin_ns", "evict_after_ns", "high_first", NULL};
    const char *policy = NULL, *start = NULL, *wait = NULL;
    int high_first = 0;

    jb_sub_opts_init(opts, sizeof *opts);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|s$szsO&O&p:subscribe", (char **)keys,
                                     ret_patterns, &policy, &start, &opts->name, &wait,
                                     jbpy_to_uint64, &opts->spin_ns, jbpy_to_uint64,
                                     &opts->evict_after_ns, &high_first))
        return -1;
    if (high_first)
        opts->flags |= JB_SUB_HIGH_FIRST;
    if (jbpy_choose("policy", policy, jbpy_policies, &opts->policy) < 0 ||
        jbpy_choose("start", start, starts, &opts->start) < 0)
        return -1;
    return jbpy_choose("wait", wait, jbpy_waits, &opts->wait);
}

PyObject *jbpy_bus_subscribe(jbpy_bus *bus, PyObject *args, PyObject *kwargs)
{
    PyObject *patterns;
    jb_sub_opts opts;
    jbpy_sub *self;

    if (parse_options(args, kwargs, &patterns, &opts) < 0)
        return NULL;
    patterns = pattern_tuple(patterns);
    if (patterns == NULL)
        return NULL;
    self = jbpy_bus_handle(bus) == NULL ? NULL
                                        : sub_new(jbpy_state_of((PyObject *)bus), bus, patterns);
    Py_DECREF(patterns);
    if (self != NULL && open_patterns(self, &opts) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}
