/*
 * remote.h: what the two files of the extension jimbot._client share.
 *
 * Invariants:
 *  - The GIL is released only around a call that may wait, on a handle that a counter pins; whoever
 *    closes the handle waits for the counter first.
 *  - Failures are jimbot._client.Fault(code, text); the package makes the library's exceptions of
 *    them.
 */
#ifndef JBPY_REMOTE_H
#define JBPY_REMOTE_H

#define PY_SSIZE_T_CLEAN
#include <jimbot/client.h>
#include <Python.h>
#include <stdbool.h>
#include <unistd.h>

#include "method.h"

typedef struct jbpy_remote_state {
    PyTypeObject *client_type;
    PyTypeObject *sub_type;
    PyObject *fault;
} jbpy_remote_state;

typedef struct jbpy_client {
    PyObject_HEAD jb_client *client; /* NULL once closed */
    struct jbpy_client_sub *subs;    /* the open ones; borrowed: each holds a reference to this */
    pid_t pid;                       /* of the process that opened it */
    unsigned n_waits; /* threads inside a call without the GIL, or ending a subscription */
} jbpy_client;

typedef struct jbpy_client_sub {
    PyObject_HEAD jb_client_sub *sub; /* NULL once closed */
    jbpy_client *client;              /* strong */
    struct jbpy_client_sub *next;
    bool is_waiting; /* a thread is inside a call without the GIL */
} jbpy_client_sub;

extern PyType_Spec jbpy_client_sub_spec;

/* False in a child after os.fork(): nobody is inside a call there, whatever the counters say. */
static inline bool jbpy_client_is_here(const jbpy_client *self)
{
    return self->pid == getpid();
}

jbpy_remote_state *jbpy_remote_state_of(PyObject *self);
PyObject *jbpy_fault(PyObject *self, int code, const jb_error *err);
void jbpy_remote_nap(void);
void jbpy_client_sub_shut(jbpy_client_sub *self);
PyObject *jbpy_client_subscribe(jbpy_client *self, PyObject *args);

#endif
