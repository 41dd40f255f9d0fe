/*
 * stats.c: the counters of bus, peers and subscriptions as dicts.
 *
 * Invariant: keys are the member names of the C structs, so the header documents them.
 */
#include "core.h"

#include <stddef.h>
#include <string.h>

typedef struct figure {
    const char *name;
    size_t offset;
    size_t bytes; /* 4 or 8 */
} figure;

#define FIGURE(type, member)                                                                       \
    {                                                                                              \
#member, offsetof(type, member), sizeof(((type *)0)->member)                               \
    }
#define OF_BUS(member)   FIGURE(jb_bus_stats, member)
#define OF_PEER(member)  FIGURE(jb_peer_stats, member)
#define OF_SUB(member)   FIGURE(jb_sub_stats, member)
#define OF_ASKER(member) FIGURE(jb_requester_stats, member)
#define OF_GROUP(member) FIGURE(jb_group_stats, member)

static const figure bus_figures[] = {
    OF_BUS(n_peers),       OF_BUS(n_subs),        OF_BUS(n_topics),  OF_BUS(max_topics),
    OF_BUS(max_subs),      OF_BUS(max_peers),     OF_BUS(peer),      OF_BUS(capacity_bytes),
    OF_BUS(used_bytes),    OF_BUS(n_published),   OF_BUS(n_bytes),   OF_BUS(n_aborted),
    OF_BUS(n_full),        OF_BUS(n_over_budget), OF_BUS(n_revoked), OF_BUS(stall_after_ns),
    OF_BUS(utc_offset_ns), {NULL, 0, 0},
};

static const figure peer_figures[] = {
    OF_PEER(idx),         OF_PEER(pid),           OF_PEER(start_ns),
    OF_PEER(n_published), OF_PEER(n_bytes),       OF_PEER(n_aborted),
    OF_PEER(n_full),      OF_PEER(n_over_budget), OF_PEER(stalled_since_ns),
    {NULL, 0, 0},
};

static const figure sub_figures[] = {
    OF_SUB(idx),        OF_SUB(peer),           OF_SUB(n_delivered),   OF_SUB(n_filtered),
    OF_SUB(n_missed),   OF_SUB(n_conflated),    OF_SUB(n_evicted),     OF_SUB(lag_bytes),
    OF_SUB(lag_events), OF_SUB(evict_after_ns), OF_SUB(held_since_ns), OF_SUB(flags),
    OF_SUB(group),      OF_SUB(next_sequence),  {NULL, 0, 0},
};

static const figure asker_figures[] = {
    OF_ASKER(n_in_flight), OF_ASKER(n_sent), OF_ASKER(n_replied),   OF_ASKER(n_timed_out),
    OF_ASKER(n_cancelled), OF_ASKER(n_late), OF_ASKER(n_duplicate), OF_ASKER(n_unknown),
    OF_ASKER(n_missed),    {NULL, 0, 0},
};

static const figure group_figures[] = {
    OF_GROUP(idx),
    OF_GROUP(n_workers),
    OF_GROUP(n_pending),
    OF_GROUP(oldest_peer),
    OF_GROUP(n_delivered),
    OF_GROUP(n_acked),
    OF_GROUP(n_lost),
    OF_GROUP(n_redelivered),
    OF_GROUP(n_filtered),
    OF_GROUP(n_missed),
    OF_GROUP(lag_bytes),
    OF_GROUP(oldest_sequence),
    OF_GROUP(oldest_ns),
    OF_GROUP(ack_timeout_ns),
    OF_GROUP(evict_after_ns),
    OF_GROUP(taking_peer),
    {NULL, 0, 0},
};

/* Takes over `value`, which may be NULL with an exception set, and drops `dict` on failure. */
static PyObject *with(PyObject *dict, const char *name, PyObject *value)
{
    if (dict != NULL && (value == NULL || PyDict_SetItemString(dict, name, value) < 0))
        Py_CLEAR(dict);
    Py_XDECREF(value);
    return dict;
}

static PyObject *to_dict(const void *stats, const figure *figures)
{
    PyObject *dict = PyDict_New();

    for (; dict != NULL && figures->name != NULL; figures++) {
        const char *at = (const char *)stats + figures->offset;
        uint64_t wide;
        uint32_t narrow;

        if (figures->bytes == sizeof wide)
            memcpy(&wide, at, sizeof wide);
        else
            memcpy(&narrow, at, sizeof narrow), wide = narrow;
        dict = with(dict, figures->name, PyLong_FromUnsignedLongLong(wide));
    }
    return dict;
}

/* Names come from shared memory, so they may be any bytes. */
static PyObject *text(const char *field, size_t cap_bytes)
{
    return PyUnicode_DecodeUTF8(field, (Py_ssize_t)strnlen(field, cap_bytes), "replace");
}

static PyObject *peer_dict(const jb_peer_stats *p)
{
    PyObject *dict = to_dict(p, peer_figures);

    dict = with(dict, "is_alive", PyBool_FromLong(p->is_alive != 0));
    return with(dict, "name", text(p->name, sizeof p->name));
}

static PyObject *sub_dict(const jb_sub_stats *s)
{
    const char *policy = s->policy <= JB_SUB_CONFLATE ? jbpy_policies[s->policy] : "unknown";
    PyObject *dict = to_dict(s, sub_figures);

    dict = with(dict, "policy", PyUnicode_FromString(policy));
    dict = with(dict, "is_asleep", PyBool_FromLong(s->is_asleep != 0));
    dict = with(dict, "name", text(s->name, sizeof s->name));
    return with(dict, "pattern", text(s->pattern, sizeof s->pattern));
}

static PyObject *group_dict(const jb_group_stats *g)
{
    PyObject *dict = to_dict(g, group_figures);

    dict = with(dict, "is_holding", PyBool_FromLong(g->is_holding != 0));
    dict = with(dict, "name", text(g->name, sizeof g->name));
    return with(dict, "pattern", text(g->pattern, sizeof g->pattern));
}

PyObject *jbpy_asker_dict(const jb_requester_stats *stats)
{
    return to_dict(stats, asker_figures);
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
    return to_dict(&stats, bus_figures);
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

PyObject *jbpy_bus_groups(jbpy_bus *self, PyObject *ignored)
{
    jb_bus *bus = jbpy_bus_handle(self);
    PyObject *list = bus == NULL ? NULL : PyList_New(0);

    for (uint32_t i = 0; list != NULL; i++) {
        jb_group_stats stats = {.size = sizeof stats};
        int rc = jb_bus_group_stats(bus, i, &stats);

        if (rc == JB_ENOENT)
            continue;
        if (rc == JB_ELIMIT)
            break;
        if (rc < 0)
            jbpy_raise(jbpy_state_of((PyObject *)self), rc, NULL, "groups");
        if (rc < 0 || append(list, group_dict(&stats)) < 0)
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
