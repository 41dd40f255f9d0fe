/*
 * asker.h: who asks, shared by Bus.request() (asker.c) and jimbot.Requester (requester.c).
 *
 * Invariants:
 *  - An asker is in its bus's list while its C handle is open, so Bus.close() ends it first.
 *    Whoever looks at one while the GIL may change hands holds a reference.
 *  - One thread at a time: `is_used` turns a second one away with jimbot.State.
 *  - The bus keeps at most one idle asker; it counts as no reference to the bus.
 */
#ifndef JBPY_ASKER_H
#define JBPY_ASKER_H

#include "core.h"

struct jbpy_asker {
    jb_requester *handle; /* NULL once closed */
    jbpy_bus *bus;        /* borrowed */
    struct jbpy_asker *next, *prev;
    unsigned n_refs;
    bool is_used;
    bool is_waiting; /* sleeps without the GIL */
};

PyObject *jbpy_asker_raise(const jbpy_asker *asker, int code, const char *what);
jbpy_asker *jbpy_asker_new(jbpy_bus *bus, const jb_requester_opts *opts);
void jbpy_asker_shut(jbpy_asker *asker);
void jbpy_asker_end(jbpy_asker *asker);
int jbpy_asker_enter(jbpy_asker *asker);
int jbpy_asker_take(jbpy_asker *asker, jb_outcome *outcomes, uint32_t n_max, uint64_t deadline_ns);
int jbpy_asker_ask(jbpy_asker *asker, PyObject *args, PyObject *kwargs, bool is_patient,
                   uint32_t *ret_id);
PyObject *jbpy_asker_call(jbpy_asker *asker, PyObject *args, PyObject *kwargs);
jbpy_batch *jbpy_reply_batch(jbpy_bus *bus, const jb_outcome *outcomes, uint32_t n);

#endif
