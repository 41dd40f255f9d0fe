/*
 * coord_config.c: the configuration of a coordinator, out of sequences of tuples.
 *
 * Invariant: every name that the options point to belongs to a tuple that is held until the
 * coordinator has been opened.
 */
#include "coord.h"

enum { SHARES_MAX = 4096, N_HELD = 4 };

struct config {
    jb_coord_opts opts;
    PyObject *held[N_HELD]; /* tuples */
    jb_resource_spec *resources;
    jb_component_spec *components;
    jb_share_spec *shares;
    jb_limit_spec *limits;
};

/* A sequence as a tuple that is held, and room for as many items. */
static void *take(PyObject *sequence, Py_ssize_t n_max, size_t item_bytes, PyObject **ret_tuple,
                  uint32_t *ret_n)
{
    Py_ssize_t n;
    void *items;

    *ret_tuple = PySequence_Tuple(sequence);
    n = *ret_tuple == NULL ? -1 : PyTuple_Size(*ret_tuple);
    if (n < 0)
        return NULL;
    if (n > n_max)
        return PyErr_Format(PyExc_ValueError, "at most %zd of a kind, not %zd", n_max, n);
    items = PyMem_Calloc((size_t)n + 1, item_bytes);
    if (items == NULL)
        PyErr_NoMemory();
    *ret_n = (uint32_t)n;
    return items;
}

static int take_resources(struct config *c, PyObject *sequence)
{
    c->resources = take(sequence, JB_QUOTA_RESOURCES_MAX, sizeof *c->resources, &c->held[0],
                        &c->opts.n_resources);
    for (uint32_t i = 0; c->resources != NULL && i < c->opts.n_resources; i++) {
        jb_resource_spec *r = &c->resources[i];

        if (!PyArg_ParseTuple(PyTuple_GetItem(c->held[0], i), "sO&O&O&O&O&O&O&", &r->name,
                              jbpy_to_uint32, &r->kind, jbpy_to_uint32, &r->device, jbpy_to_uint64,
                              &r->capacity, jbpy_to_uint64, &r->headroom, jbpy_to_uint64,
                              &r->quantum_ns, jbpy_to_uint64, &r->linger_ns, jbpy_to_uint32,
                              &r->flags))
            return -1;
    }
    c->opts.resources = c->resources;
    return c->resources == NULL ? -1 : 0;
}

static int take_components(struct config *c, PyObject *sequence)
{
    c->components = take(sequence, JB_QUOTA_COMPONENTS_MAX, sizeof *c->components, &c->held[1],
                         &c->opts.n_components);
    for (uint32_t i = 0; c->components != NULL && i < c->opts.n_components; i++) {
        if (!PyArg_ParseTuple(PyTuple_GetItem(c->held[1], i), "sO&", &c->components[i].name,
                              jbpy_to_uint32, &c->components[i].weight))
            return -1;
    }
    c->opts.components = c->components;
    return c->components == NULL ? -1 : 0;
}

static int take_shares(struct config *c, PyObject *sequence)
{
    c->shares = take(sequence, SHARES_MAX, sizeof *c->shares, &c->held[2], &c->opts.n_shares);
    for (uint32_t i = 0; c->shares != NULL && i < c->opts.n_shares; i++) {
        jb_share_spec *s = &c->shares[i];

        if (!PyArg_ParseTuple(PyTuple_GetItem(c->held[2], i), "O&O&O&O&", jbpy_to_uint32,
                              &s->component, jbpy_to_uint32, &s->resource, jbpy_to_uint64,
                              &s->guaranteed, jbpy_to_uint64, &s->ceiling))
            return -1;
    }
    c->opts.shares = c->shares;
    return c->shares == NULL ? -1 : 0;
}

static int take_limits(struct config *c, PyObject *sequence)
{
    c->limits =
        take(sequence, JB_QUOTA_LIMITS_MAX, sizeof *c->limits, &c->held[3], &c->opts.n_limits);
    for (uint32_t i = 0; c->limits != NULL && i < c->opts.n_limits; i++) {
        jb_limit_spec *l = &c->limits[i];

        if (!PyArg_ParseTuple(PyTuple_GetItem(c->held[3], i), "O&O&O&O&O&O&", jbpy_to_uint32,
                              &l->resource, jbpy_to_uint32, &l->component, jbpy_to_uint32, &l->kind,
                              jbpy_to_uint64, &l->amount, jbpy_to_uint64, &l->period_ns,
                              jbpy_to_uint64, &l->burst))
            return -1;
    }
    c->opts.limits = c->limits;
    return c->limits == NULL ? -1 : 0;
}

static int parse(struct config *c, PyObject *args, PyObject *kwargs, PyObject **ret_name)
{
    static char *const keys[] = {
        "name",       "resources",   "components", "shares",           "limits",         "flags",
        "max_leases", "max_waiters", "max_peers",  "max_records",      "mode",           "aging_ns",
        "notice_ns",  "max_hold_ns", "peer_name",  "max_reservations", "reservation_ns", NULL};
    PyObject *resources, *components, *shares, *limits;
    jb_coord_opts *o = &c->opts;

    jb_coord_opts_init(o, sizeof *o);
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OOOOO|$O&O&O&O&O&O&O&O&O&zO&O&:Coord", (char **)keys, ret_name,
            &resources, &components, &shares, &limits, jbpy_to_uint32, &o->flags, jbpy_to_uint32,
            &o->max_leases, jbpy_to_uint32, &o->max_waiters, jbpy_to_uint32, &o->max_peers,
            jbpy_to_uint32, &o->max_records, jbpy_to_uint32, &o->mode, jbpy_to_uint64, &o->aging_ns,
            jbpy_to_uint64, &o->notice_ns, jbpy_to_uint64, &o->max_hold_ns, &o->peer_name,
            jbpy_to_uint32, &o->max_reservations, jbpy_to_uint64, &o->reservation_ns))
        return -1;
    if (take_resources(c, resources) < 0 || take_components(c, components) < 0 ||
        take_shares(c, shares) < 0 || take_limits(c, limits) < 0)
        return -1;
    return 0;
}

static void config_free(struct config *c)
{
    PyMem_Free(c->resources);
    PyMem_Free(c->components);
    PyMem_Free(c->shares);
    PyMem_Free(c->limits);
    for (int i = 0; i < N_HELD; i++)
        Py_XDECREF(c->held[i]);
}

static int open_it(jbpy_state *st, const struct config *c, PyObject *name, jb_coord **ret_coord)
{
    PyObject *bytes = NULL;
    jb_error err;
    int rc;

    if (name != Py_None && !PyUnicode_FSConverter(name, &bytes))
        return -1;
    jb_error_init(&err);
    Py_BEGIN_ALLOW_THREADS
        rc = jb_coord_open(bytes == NULL ? NULL : PyBytes_AsString(bytes), &c->opts, ret_coord,
                           &err);
    Py_END_ALLOW_THREADS
    Py_XDECREF(bytes);
    return rc < 0 ? (jbpy_raise(st, rc, &err, "coordinator"), -1) : 0;
}

int jbpy_coord_open(jbpy_state *st, PyObject *args, PyObject *kwargs, jb_coord **ret_coord,
                    PyObject **ret_name)
{
    struct config c = {.held = {NULL}};
    PyObject *name = NULL;
    int rc = parse(&c, args, kwargs, &name);

    if (rc == 0)
        rc = open_it(st, &c, name, ret_coord);
    if (rc == 0)
        *ret_name = Py_NewRef(name);
    config_free(&c);
    return rc;
}
