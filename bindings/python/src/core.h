/*
 * core.h: what the files of the extension share: module state, the objects, and the few helpers.
 *
 * Invariants:
 *  - No static mutable data: everything lives in the module state, so each interpreter has its own.
 *  - None of the types can be subclassed or holds an arbitrary Python object, so no instance can be
 *    part of a reference cycle; Py_TYPE(self) is always our own type, which leads to the state.
 *  - The GIL is released only around a C call on a handle that a counter (n_waits, is_waiting)
 *    pins; whoever closes the handle waits for the counter first. No Python code runs while pinned,
 *    so that wait ends within one JBPY_SLICE_NS.
 */
#ifndef JBPY_CORE_H
#define JBPY_CORE_H

#define PY_SSIZE_T_CLEAN
#include <jimbot/jimbot.h>
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "method.h"

enum {
    JBPY_N_ENCODERS = 4,     /* kept for reuse; more are made when more are in use at once */
    JBPY_N_ERRORS = 64,      /* status codes are -1 .. -63 */
    JBPY_SLICE_NS = 50000000 /* longest sleep without a look at signals and at close() */
};

typedef struct jbpy_state {
    PyTypeObject *bus_type;
    PyTypeObject *sub_type;
    PyTypeObject *batch_type;
    PyTypeObject *event_type;
    PyTypeObject *column_type;
    PyTypeObject *command_type;
    PyTypeObject *requester_type;
    PyTypeObject *worker_type;
    PyTypeObject *outcome_type;
    PyTypeObject *coord_type;
    PyTypeObject *lease_type;
    PyTypeObject *ticket_type;
    PyTypeObject *usage_type;
    PyTypeObject *usage_ticket_type;
    PyObject *error;                 /* jimbot.Error */
    PyObject *errors[JBPY_N_ERRORS]; /* its subclasses by -code; NULL where there is none */
    PyObject *json_loads;
    PyObject *as_array; /* Column -> array, set by the package; NULL: memoryview */
    PyObject *as_async; /* Subscription -> AsyncEvents, set by the package */
    jb_encoder *encoders[JBPY_N_ENCODERS];
    unsigned n_encoders;
    jb_field type_name; /* compiled paths of Event.type and Event.subtype */
    jb_field subtype;
} jbpy_state;

typedef struct jbpy_asker jbpy_asker;   /* requester.c */
typedef struct jbpy_worker jbpy_worker; /* worker.c */

typedef struct jbpy_bus {
    PyObject_HEAD jb_bus *bus; /* NULL once closed */
    struct jbpy_sub *subs;     /* the open ones; borrowed: each holds a reference to this object */
    jbpy_asker *askers;        /* the open ones */
    jbpy_asker *spare;         /* an idle one of them, for request() */
    jbpy_worker *workers;      /* the open ones; borrowed, as subs */
    PyObject *name;            /* str or None */
    PyObject *topics;          /* list: topic id -> str, None until met */
    unsigned n_waits;          /* threads inside a C call on `bus` without the GIL */
    pid_t pid;                 /* who opened it; another pid means after fork */
} jbpy_bus;

typedef struct jbpy_sub {
    PyObject_HEAD jb_sub *sub; /* NULL once closed */
    jbpy_bus *bus;             /* strong */
    struct jbpy_sub *next, *prev;
    PyObject *patterns; /* tuple of str */
    jb_event *scratch;  /* where peek writes */
    uint32_t n_scratch;
    bool is_used;    /* a thread is in poll() or next() */
    bool is_waiting; /* and sleeps without the GIL */
} jbpy_sub;

/* Owns copies: `events` and, behind it in the same block, the payloads that it points to. */
typedef struct jbpy_batch {
    PyObject_HEAD jb_event *events; /* NULL once released */
    uint32_t n;
    uint32_t n_exports; /* buffers of its events that are alive */
    PyObject *topics;   /* list, shared with the bus */
} jbpy_batch;

typedef struct jbpy_event {
    PyObject_HEAD jbpy_batch *batch; /* strong */
    uint32_t idx;
} jbpy_event;

/* module.c */
jbpy_state *jbpy_state_of(PyObject *self);
int jbpy_timeout(PyObject *seconds, uint64_t *ret_timeout_ns);
uint64_t jbpy_deadline(uint64_t timeout_ns);
int jbpy_timeout_at(PyObject *seconds, uint64_t *ret_deadline_ns);
uint64_t jbpy_slice(uint64_t deadline_ns);
void jbpy_nap(void);
int jbpy_to_uint64(PyObject *number, void *ret);
int jbpy_to_uint32(PyObject *number, void *ret);
PyObject *jbpy_json(jbpy_state *st, uint32_t dialect, const void *data, size_t len_bytes);
/* A converter of PyArg_Parse…(): the name of a dialect to its number, a uint32_t. */
int jbpy_dialect(PyObject *name, void *ret);

/* error.c */
int jbpy_errors_init(PyObject *module, jbpy_state *st);
PyObject *jbpy_raise(jbpy_state *st, int code, const jb_error *err, const char *what);
PyObject *jbpy_raise_text(jbpy_state *st, int code, const jb_error *err, PyObject *text);

/* bus.c */
extern PyType_Spec jbpy_bus_spec;
jb_bus *jbpy_bus_handle(jbpy_bus *self);

/* publish.c, many.c, columns.c, reply.c */
PyObject *jbpy_bus_publish(jbpy_bus *self, PyObject *args, PyObject *kwargs);
PyObject *jbpy_bus_send_command(jbpy_bus *self, PyObject *args, PyObject *kwargs);
PyObject *jbpy_bus_publish_many(jbpy_bus *self, PyObject *args, PyObject *kwargs);
PyObject *jbpy_bus_publish_columns(jbpy_bus *self, PyObject *args, PyObject *kwargs);
PyObject *jbpy_bus_reply(jbpy_bus *self, PyObject *args, PyObject *kwargs);

/* asker.c */
PyObject *jbpy_bus_request(jbpy_bus *self, PyObject *args, PyObject *kwargs);
void jbpy_askers_shut(jbpy_bus *bus);

/* requester.c */
extern PyType_Spec jbpy_requester_spec;
extern PyStructSequence_Desc jbpy_outcome_desc;
PyObject *jbpy_bus_requester(jbpy_bus *self, PyObject *args, PyObject *kwargs);

/* stats.c */
PyObject *jbpy_bus_stats(jbpy_bus *self, PyObject *ignored);
PyObject *jbpy_bus_peers(jbpy_bus *self, PyObject *ignored);
PyObject *jbpy_bus_subscriptions(jbpy_bus *self, PyObject *ignored);
PyObject *jbpy_bus_groups(jbpy_bus *self, PyObject *ignored);
PyObject *jbpy_sub_stats(jbpy_sub *self, PyObject *ignored);
PyObject *jbpy_asker_dict(const jb_requester_stats *stats);

/* sub.c */
extern PyType_Spec jbpy_sub_spec;
void jbpy_sub_shut(jbpy_sub *self);
int jbpy_learn_topics(jbpy_bus *bus, const jb_event *events, uint32_t n);

/* subscribe.c */
extern const char *const jbpy_policies[4];
extern const char *const jbpy_waits[4];
PyObject *jbpy_bus_subscribe(jbpy_bus *self, PyObject *args, PyObject *kwargs);
int jbpy_choose(const char *what, const char *word, const char *const *words, uint32_t *ret);

/* worker.c */
extern PyType_Spec jbpy_worker_spec;
PyObject *jbpy_bus_join(jbpy_bus *self, PyObject *args, PyObject *kwargs);
PyObject *jbpy_bus_remove_group(jbpy_bus *self, PyObject *name);
void jbpy_workers_shut(jbpy_bus *bus);

/* coord.c, lease.c, usage.c, usage_ticket.c */
extern PyType_Spec jbpy_coord_spec;
extern PyType_Spec jbpy_lease_spec;
extern PyType_Spec jbpy_ticket_spec;
extern PyType_Spec jbpy_usage_spec;
extern PyType_Spec jbpy_usage_ticket_spec;
PyObject *jbpy_rate_answer(PyObject *module, PyObject *headers);

/* batch.c */
extern PyType_Spec jbpy_batch_spec;
jbpy_batch *jbpy_batch_new(jbpy_state *st, const jb_event *events, uint32_t n, PyObject *topics);
PyObject *jbpy_batch_event(jbpy_batch *self, uint32_t idx);
PyObject *jbpy_batch_of(PyObject *module, PyObject *args);

/* column.c */
extern PyType_Spec jbpy_column_spec;
PyObject *jbpy_column_new(jbpy_state *st, char format, size_t item_bytes, size_t n,
                          void **ret_data);
PyObject *jbpy_column_array(jbpy_state *st, PyObject *column);

/* event.c */
extern PyType_Spec jbpy_event_spec;
extern PyStructSequence_Desc jbpy_command_desc;
const jb_event *jbpy_event_of(jbpy_event *self);

#endif
