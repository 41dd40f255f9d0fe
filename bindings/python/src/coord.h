/*
 * coord.h: the coordinator in Python: what coord.c, coord_config.c, coord_look.c and lease.c share.
 *
 * Invariants:
 *  - A coordinator's C handle dies only when no thread sleeps in it (n_waits), as of a bus.
 *  - A lease or ticket holds a reference to its coordinator. One that nobody refers to any more is
 *    given back, unless it is detached; after fork() nothing is.
 */
#ifndef JBPY_COORD_H
#define JBPY_COORD_H

#include "core.h"

typedef struct jbpy_coord {
    PyObject_HEAD jb_coord *coord; /* NULL once closed */
    PyObject *name;                /* str or None */
    unsigned n_waits;              /* threads inside a C call on `coord` without the GIL */
    pid_t pid;                     /* who opened it; another pid means after fork */
} jbpy_coord;

/* Arguments of a want, with the amounts that it points to. */
typedef struct jbpy_want {
    jb_want want;
    jb_amount amounts[JB_QUOTA_AMOUNTS_MAX];
} jbpy_want;

/* coord.c */
jb_coord *jbpy_coord_handle(jbpy_coord *self);
PyObject *jbpy_coord_raise(jbpy_coord *self, int code, const char *what);
int jbpy_coord_resource(jbpy_coord *self, PyObject *name, uint32_t *ret_idx);
int jbpy_coord_component(jbpy_coord *self, PyObject *name, uint32_t *ret_idx);
int jbpy_amounts(jbpy_coord *self, PyObject *dict, jb_amount *ret_amounts, uint32_t *ret_n);
int jbpy_ticket_wait(jbpy_coord *self, const jb_ticket *ticket, uint64_t deadline_ns,
                     jb_lease *ret_lease);

/* coord_config.c */
int jbpy_coord_open(jbpy_state *st, PyObject *args, PyObject *kwargs, jb_coord **ret_coord,
                    PyObject **ret_name);

/* coord_look.c */
PyObject *jbpy_coord_stats(jbpy_coord *self, PyObject *ignored);
PyObject *jbpy_coord_resources(jbpy_coord *self, PyObject *ignored);
PyObject *jbpy_coord_components(jbpy_coord *self, PyObject *ignored);
PyObject *jbpy_coord_leases(jbpy_coord *self, PyObject *ignored);
PyObject *jbpy_coord_waiters(jbpy_coord *self, PyObject *ignored);

/* usage.c */
PyObject *jbpy_usage_new(jbpy_coord *coord, const jb_take *take, const jb_usage *usage);
PyObject *jbpy_coord_take(jbpy_coord *self, PyObject *args, PyObject *kwargs);
PyObject *jbpy_coord_limits(jbpy_coord *self, PyObject *ignored);
PyObject *jbpy_coord_correct(jbpy_coord *self, PyObject *args, PyObject *kwargs);
PyObject *jbpy_coord_block(jbpy_coord *self, PyObject *args);

/* usage_ticket.c */
PyObject *jbpy_coord_request_take(jbpy_coord *self, PyObject *args, PyObject *kwargs);

/* lease.c */
PyObject *jbpy_lease_new(jbpy_coord *coord, const jb_lease *lease, bool is_detached);
PyObject *jbpy_ticket_new(jbpy_coord *coord, const jb_ticket *ticket, bool is_detached);

#endif
