/*
 * coord_look.c: what a coordinator holds, as dicts and lists of dicts.
 *
 * Invariant: names, not numbers, where the library has names; every time is in nanoseconds of the
 * coordinator's clock.
 */
#include "coord.h"

#include <string.h>

/* Steals the value. 0, or -1 with an exception. */
static int put(PyObject *dict, const char *key, PyObject *value)
{
    int rc = value == NULL ? -1 : PyDict_SetItemString(dict, key, value);

    Py_XDECREF(value);
    return rc;
}

static int put_number(PyObject *dict, const char *key, uint64_t number)
{
    return put(dict, key, PyLong_FromUnsignedLongLong(number));
}

static PyObject *text_of(const char name[JB_QUOTA_NAME_BYTES])
{
    return PyUnicode_DecodeUTF8(name, (Py_ssize_t)strnlen(name, JB_QUOTA_NAME_BYTES), "replace");
}

struct number {
    const char *key;
    uint64_t value;
};

static int put_numbers(PyObject *dict, const struct number *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (put_number(dict, numbers[i].key, numbers[i].value) < 0)
            return -1;
    }
    return 0;
}

#define PUT(dict, ...)                                                                             \
    put_numbers(dict, (const struct number[]){__VA_ARGS__},                                        \
                sizeof((const struct number[]){__VA_ARGS__}) / sizeof(struct number))

PyObject *jbpy_coord_stats(jbpy_coord *self, PyObject *ignored)
{
    jb_coord *coord = jbpy_coord_handle(self);
    jb_coord_stats s;
    PyObject *dict;
    int rc;

    if (coord == NULL)
        return NULL;
    rc = jb_coord_get_stats(coord, &s);
    if (rc < 0)
        return jbpy_coord_raise(self, rc, "stats");
    dict = PyDict_New();
    if (dict != NULL && PUT(dict, {"n_leases", s.n_leases}, {"max_leases", s.max_leases},
                            {"n_waiting", s.n_waiting}, {"max_waiters", s.max_waiters},
                            {"now_ns", s.now_ns}, {"next_token", s.next_token},
                            {"n_records", s.n_records}, {"n_takeovers", s.n_takeovers}) < 0)
        Py_CLEAR(dict);
    return dict;
}

static PyObject *buckets_of(const uint64_t buckets[JB_QUOTA_BUCKETS])
{
    PyObject *list = PyList_New(0);

    for (int i = 0; list != NULL && i < JB_QUOTA_BUCKETS; i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(buckets[i]);

        if (number == NULL || PyList_Append(list, number) < 0)
            Py_CLEAR(list);
        Py_XDECREF(number);
    }
    return list;
}

static PyObject *resource_dict(const jb_resource_info *r)
{
    PyObject *dict = PyDict_New();

    if (dict == NULL)
        return NULL;
    if (put(dict, "name", text_of(r->name)) < 0 ||
        PUT(dict, {"kind", r->kind}, {"device", r->device}, {"capacity", r->capacity},
            {"headroom", r->headroom}, {"foreign", r->foreign}, {"allocated", r->allocated},
            {"n_leases", r->n_leases}, {"n_waiting", r->n_waiting}, {"n_granted", r->n_granted},
            {"n_denied", r->n_denied}, {"used_ns", r->used_ns},
            {"quantum_ns", r->quantum_ns}) < 0 ||
        put(dict, "strict", PyBool_FromLong(r->flags & JB_RESOURCE_STRICT)) < 0 ||
        put(dict, "wait_buckets", buckets_of(r->wait_buckets)) < 0 ||
        put(dict, "hold_buckets", buckets_of(r->hold_buckets)) < 0)
        Py_CLEAR(dict);
    return dict;
}

/* Steals the item; clears the list on failure. */
static void append(PyObject **list, PyObject *item)
{
    if (item == NULL || PyList_Append(*list, item) < 0)
        Py_CLEAR(*list);
    Py_XDECREF(item);
}

PyObject *jbpy_coord_resources(jbpy_coord *self, PyObject *ignored)
{
    jb_coord *coord = jbpy_coord_handle(self);
    PyObject *list = coord == NULL ? NULL : PyList_New(0);
    jb_resource_info info;
    int rc = 0;

    for (uint32_t i = 0; list != NULL; i++) {
        rc = jb_coord_resource_at(coord, i, &info);
        if (rc < 0)
            break;
        append(&list, resource_dict(&info));
    }
    if (list != NULL && rc != JB_ENOENT) {
        Py_DECREF(list);
        return jbpy_coord_raise(self, rc, "resources");
    }
    return list;
}

/* What the component has of each resource. */
static PyObject *shares_dict(jb_coord *coord, uint32_t component)
{
    PyObject *shares = PyDict_New();
    jb_resource_info resource;
    jb_share_info info;

    for (uint32_t i = 0; shares != NULL && jb_coord_resource_at(coord, i, &resource) == 0 &&
                         jb_coord_share_at(coord, component, i, &info) == 0;
         i++) {
        PyObject *dict = PyDict_New();

        resource.name[JB_QUOTA_NAME_BYTES - 1] = '\0';
        if (dict == NULL ||
            PUT(dict, {"guaranteed", info.guaranteed}, {"ceiling", info.ceiling},
                {"allocated", info.allocated}, {"used_ns", info.used_ns}) < 0 ||
            PyDict_SetItemString(shares, resource.name, dict) < 0)
            Py_CLEAR(shares);
        Py_XDECREF(dict);
    }
    return shares;
}

static PyObject *component_dict(jb_coord *coord, uint32_t idx, const jb_component_info *c)
{
    PyObject *dict = PyDict_New();

    if (dict == NULL)
        return NULL;
    if (put(dict, "name", text_of(c->name)) < 0 ||
        PUT(dict, {"weight", c->weight}, {"n_leases", c->n_leases}, {"n_waiting", c->n_waiting},
            {"n_granted", c->n_granted}, {"n_denied", c->n_denied},
            {"n_released", c->n_ended[JB_LEASE_RELEASED]},
            {"n_expired", c->n_ended[JB_LEASE_EXPIRED]},
            {"n_revoked", c->n_ended[JB_LEASE_REVOKED]},
            {"n_died", c->n_ended[JB_LEASE_HOLDER_DIED]}, {"waited_ns", c->waited_ns},
            {"held_ns", c->held_ns}) < 0 ||
        put(dict, "shares", shares_dict(coord, idx)) < 0)
        Py_CLEAR(dict);
    return dict;
}

PyObject *jbpy_coord_components(jbpy_coord *self, PyObject *ignored)
{
    jb_coord *coord = jbpy_coord_handle(self);
    PyObject *list = coord == NULL ? NULL : PyList_New(0);
    jb_component_info info;
    int rc = 0;

    for (uint32_t i = 0; list != NULL; i++) {
        rc = jb_coord_component_at(coord, i, &info);
        if (rc < 0)
            break;
        append(&list, component_dict(coord, i, &info));
    }
    if (list != NULL && rc != JB_ENOENT) {
        Py_DECREF(list);
        return jbpy_coord_raise(self, rc, "components");
    }
    return list;
}

static PyObject *amounts_dict(jb_coord *coord, const jb_lease_info *info)
{
    PyObject *dict = PyDict_New();
    jb_resource_info resource;

    for (uint32_t i = 0; dict != NULL && i < info->n_amounts && i < JB_QUOTA_AMOUNTS_MAX; i++) {
        if (jb_coord_resource_at(coord, info->amounts[i].resource, &resource) < 0)
            continue;
        resource.name[JB_QUOTA_NAME_BYTES - 1] = '\0';
        if (put_number(dict, resource.name, info->amounts[i].amount) < 0)
            Py_CLEAR(dict);
    }
    return dict;
}

static PyObject *info_dict(jb_coord *coord, const jb_lease_info *info)
{
    jb_component_info component = {.name = ""};
    PyObject *dict = PyDict_New();

    if (dict == NULL)
        return NULL;
    (void)jb_coord_component_at(coord, info->component, &component);
    if (put(dict, "component", text_of(component.name)) < 0 ||
        PUT(dict, {"token", info->token}, {"granted_ns", info->granted_ns}, {"tag", info->tag},
            {"slot", info->slot}, {"lease_class", info->lease_class}, {"peer", info->peer}) < 0 ||
        put(dict, "deadline_ns",
            info->deadline_ns == UINT64_MAX ? Py_NewRef(Py_None)
                                            : PyLong_FromUnsignedLongLong(info->deadline_ns)) < 0 ||
        put(dict, "has_notice", PyBool_FromLong(info->has_notice != 0)) < 0 ||
        put(dict, "amounts", amounts_dict(coord, info)) < 0)
        Py_CLEAR(dict);
    return dict;
}

static PyObject *walk(jbpy_coord *self, int (*next)(jb_coord *, uint32_t *, jb_lease_info *))
{
    jb_coord *coord = jbpy_coord_handle(self);
    PyObject *list = coord == NULL ? NULL : PyList_New(0);
    jb_lease_info info;
    uint32_t cursor = 0;
    int rc = 1;

    while (list != NULL && (rc = next(coord, &cursor, &info)) > 0)
        append(&list, info_dict(coord, &info));
    if (list != NULL && rc < 0) {
        Py_DECREF(list);
        return jbpy_coord_raise(self, rc, "the books");
    }
    return list;
}

PyObject *jbpy_coord_leases(jbpy_coord *self, PyObject *ignored)
{
    return walk(self, jb_coord_next_lease);
}

PyObject *jbpy_coord_waiters(jbpy_coord *self, PyObject *ignored)
{
    return walk(self, jb_coord_next_waiter);
}
