/*
 * stats.c: the counters of bus, peers and subscriptions as dicts.
 *
 * Invariant: keys are the member names of the C structs, so the header documents them.
 */
#include "core.h"

static PyObject *bus_dict(const jb_bus_stats *s)
{
    return Py_BuildValue(
        "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:K,s:K,s:K,s:K,s:K,s:K,s:K}", "n_peers", s->n_peers,
        "n_subs", s->n_subs, "n_topics", s->n_topics, "max_topics", s->max_topics, "max_subs",
        s->max_subs, "max_peers", s->max_peers, "peer", s->peer, "capacity_bytes",
        (unsigned long long)s->capacity_bytes, "used_bytes", (unsigned long long)s->used_bytes,
        "n_published", (unsigned long long)s->n_published, "n_bytes",
        (unsigned long long)s->n_bytes, "n_aborted", (unsigned long long)s->n_aborted, "n_full",
        (unsigned long long)s->n_full, "utc_offset_ns", (unsigned long long)s->utc_offset_ns);
}

static PyObject *peer_dict(const jb_peer_stats *p)
{
    return Py_BuildValue(
        "{s:I,s:I,s:N,s:K,s:K,s:K,s:K,s:K,s:s}", "idx", p->idx, "pid", p->pid, "is_alive",
        PyBool_FromLong(p->is_alive != 0), "start_ns", (unsigned long long)p->start_ns,
        "n_published", (unsigned long long)p->n_published, "n_bytes",
        (unsigned long long)p->n_bytes, "n_aborted", (unsigned long long)p->n_aborted, "n_full",
        (unsigned long long)p->n_full, "name", p->name);
}

static PyObject *sub_dict(const jb_sub_stats *s)
{
    return Py_BuildValue("{s:I,s:I,s:s,s:K,s:K,s:K,s:K,s:s,s:s}", "idx", s->idx, "peer", s->peer,
                         "policy", s->policy == JB_SUB_LATEST ? "latest" : "lossless",
                         "n_delivered", (unsigned long long)s->n_delivered, "n_filtered",
                         (unsigned long long)s->n_filtered, "n_missed",
                         (unsigned long long)s->n_missed, "lag_bytes",
                         (unsigned long long)s->lag_bytes, "name", s->name, "pattern", s->pattern);
}

/* Takes over `item`. */
static int append(PyObject *list, PyObject *item)
{
    int rc = item == NULL ? -1 : PyList_Append(list, item);

    Py_XDECREF(item);
    return rc;
}

PyObject *jbpy_bus_stats(jbpy_bus *self, PyObject *ignored)
{
    jb_bus_stats stats = {.size = sizeof stats};
    jb_bus *bus = jbpy_bus_handle(self);
    int rc;

    if (bus == NULL)
        return NULL;
    rc = jb_bus_get_stats(bus, &stats);
    if (rc < 0)
        return jbpy_raise(jbpy_state_of((PyObject *)self), rc, NULL, "stats");
    return bus_dict(&stats);
}

PyObject *jbpy_bus_peers(jbpy_bus *self, PyObject *ignored)
{
    jb_bus *bus = jbpy_bus_handle(self);
    PyObject *list = bus == NULL ? NULL : PyList_New(0);

    for (uint32_t i = 1; list != NULL; i++) {
        jb_peer_stats stats = {.size = sizeof stats};
        int rc = jb_bus_peer_stats(bus, i, &stats);

        if (rc == JB_ENOENT)
            continue;
        if (rc == JB_ELIMIT)
            break;
        if (rc < 0)
            jbpy_raise(jbpy_state_of((PyObject *)self), rc, NULL, "peers");
        if (rc < 0 || append(list, peer_dict(&stats)) < 0)
            Py_CLEAR(list);
    }
    return list;
}

PyObject *jbpy_bus_subscriptions(jbpy_bus *self, PyObject *ignored)
{
    jb_bus *bus = jbpy_bus_handle(self);
    PyObject *list = bus == NULL ? NULL : PyList_New(0);

    for (uint32_t i = 0; list != NULL; i++) {
        jb_sub_stats stats = {.size = sizeof stats};
        int rc = jb_bus_sub_stats(bus, i, &stats);

        if (rc == JB_ENOENT)
            continue;
        if (rc == JB_ELIMIT)
            break;
        if (rc < 0)
            jbpy_raise(jbpy_state_of((PyObject *)self), rc, NULL, "subscriptions");
        if (rc < 0 || append(list, sub_dict(&stats)) < 0)
            Py_CLEAR(list);
    }
    return list;
}

PyObject *jbpy_sub_stats(jbpy_sub *self, PyObject *ignored)
{
    jb_sub_stats stats = {.size = sizeof stats};
    int rc = self->sub == NULL ? JB_ECLOSED : jb_sub_get_stats(self->sub, &stats);

    if (rc < 0)
        return jbpy_raise(jbpy_state_of((PyObject *)self), rc, NULL, "subscription");
    return sub_dict(&stats);
}
