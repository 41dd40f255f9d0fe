/*
 * view_far.c: a coordinator of another process or machine, looked at over REST: its sums, its
 * resources and components, its leases.
 */
#include "far.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_MAX = 1000, LEASES_MAX = 1048576 };

static int read_resource(far *f, const json_t *item)
{
    jb_resource_info *r = &f->v->resources[f->v->n_resources];

    *r = (jb_resource_info){.kind = far_word(item, "kind", "RESOURCE_KIND_", view_kind)};
    if (far_name(f, item, "name", r->name) < 0 ||
        far_number(f, item, "capacity", UINT64_MAX, &r->capacity) < 0 ||
        far_number(f, item, "headroom", r->capacity, &r->headroom) < 0 ||
        far_number(f, item, "allocated", UINT64_MAX, &r->allocated) < 0 ||
        far_number(f, item, "foreign", UINT64_MAX, &r->foreign) < 0 ||
        far_number(f, item, "n_leases", UINT32_MAX, &r->n_leases) < 0 ||
        far_number(f, item, "n_waiting", UINT32_MAX, &r->n_waiting) < 0 ||
        far_number(f, item, "n_granted", UINT64_MAX, &r->n_granted) < 0 ||
        far_number(f, item, "n_denied", UINT64_MAX, &r->n_denied) < 0)
        return -1;
    f->v->n_resources++;
    return 0;
}

/* Returns 0 and an index, or VIEW_UNKNOWN for a name that is not there (any more); or -1. */
static int get_amount(far *f, const json_t *item, uint32_t *ret_resource, uint64_t *ret_amount)
{
    char name[JB_QUOTA_NAME_BYTES];

    *ret_resource = VIEW_UNKNOWN;
    if (far_name(f, item, "resource", name) < 0 ||
        far_number(f, item, "amount", UINT64_MAX, ret_amount) < 0)
        return -1;
    for (uint32_t i = 0; i < f->v->n_resources; i++) {
        if (!strcmp(f->v->resources[i].name, name))
            *ret_resource = i;
    }
    return 0;
}

/* What a component uses, where an observer knows it. */
static int read_memory(far *f, const json_t *item)
{
    static const char *const states[] = {"FINE", "WARN", "OVER"};
    jb_component_memory *m = &f->v->memory[f->v->n_components];
    const json_t *memory = json_object_get(item, "memory");
    const char *state = json_string_value(json_object_get(memory, "state"));

    *m = (jb_component_memory){.size = sizeof(*m)};
    if (far_small(f, memory, "n_processes", &m->n_processes) < 0 ||
        far_number(f, memory, "granted_bytes", UINT64_MAX, &m->granted_bytes) < 0 ||
        far_number(f, memory, "used_bytes", UINT64_MAX, &m->used_bytes) < 0 ||
        far_number(f, memory, "shrink_bytes", UINT64_MAX, &m->shrink_bytes) < 0)
        return -1;
    for (uint32_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
        if (state && !strncmp(state, "MEMORY_STATE_", 13) && !strcmp(state + 13, states[i]))
            m->state = i;
    }
    f->v->has_memory |= m->n_processes > 0;
    return 0;
}

static int read_component(far *f, const json_t *item)
{
    uint32_t idx = f->v->n_components, resource;
    jb_component_info *c = &f->v->components[idx];
    const json_t *amount;
    uint64_t n;
    size_t i;

    *c = (jb_component_info){.name = ""};
    memset(f->v->allocated[idx], 0, sizeof(f->v->allocated[idx]));
    if (far_name(f, item, "name", c->name) < 0 || far_small(f, item, "weight", &c->weight) < 0 ||
        far_small(f, item, "n_leases", &c->n_leases) < 0 ||
        far_small(f, item, "n_waiting", &c->n_waiting) < 0 ||
        far_number(f, item, "n_granted", UINT64_MAX, &c->n_granted) < 0 ||
        far_number(f, item, "n_denied", UINT64_MAX, &c->n_denied) < 0 ||
        far_number(f, item, "n_expired", UINT64_MAX, &c->n_ended[JB_LEASE_EXPIRED]) < 0 ||
        far_number(f, item, "n_revoked", UINT64_MAX, &c->n_ended[JB_LEASE_REVOKED]) < 0 ||
        far_number(f, item, "n_died", UINT64_MAX, &c->n_ended[JB_LEASE_HOLDER_DIED]) < 0 ||
        read_memory(f, item) < 0)
        return -1;
    json_array_foreach(json_object_get(item, "allocated"), i, amount)
    {
        if (get_amount(f, amount, &resource, &n) < 0)
            return -1;
        if (resource != VIEW_UNKNOWN)
            f->v->allocated[idx][resource] = n;
    }
    f->v->n_components++;
    return 0;
}

static int read_lease(far *f, const json_t *item)
{
    jb_lease_info l = {.component = VIEW_UNKNOWN, .deadline_ns = UINT64_MAX};
    char name[JB_QUOTA_NAME_BYTES];
    uint64_t held_ns = 0, left_ns = 0;
    const json_t *amount;
    size_t i;

    l.lease_class = far_word(item, "lease_class", "LEASE_CLASS_", view_class);
    if (far_name(f, item, "component", name) < 0 ||
        far_number(f, item, "held_ns", f->v->now_ns, &held_ns) < 0 ||
        far_number(f, item, "left_ns", UINT64_MAX / 2, &left_ns) < 0)
        return -1;
    for (uint32_t c = 0; c < f->v->n_components; c++) {
        if (!strcmp(f->v->components[c].name, name))
            l.component = c;
    }
    l.granted_ns = f->v->now_ns - held_ns;
    if (json_object_get(item, "left_ns"))
        l.deadline_ns = f->v->now_ns + left_ns;
    json_array_foreach(json_object_get(item, "amounts"), i, amount)
    {
        jb_amount *to = &l.amounts[l.n_amounts];

        if (l.n_amounts == JB_QUOTA_AMOUNTS_MAX)
            return far_fail_field(f, "amounts", "has more than a lease can have");
        if (get_amount(f, amount, &to->resource, &to->amount) < 0)
            return -1;
        l.n_amounts += to->resource != VIEW_UNKNOWN;
    }
    return view_add(&f->v->leases, &l) ? 0 : far_fail(f, EXIT_FAILURE, jb_strerror(JB_ENOMEM));
}

/* --- three questions */

static int fetch_sums(far *f)
{
    json_t *root = far_ask(f, "/api/v1/coordinator");
    int rc = -1;

    if (!root)
        return -1;
    if (!json_object_get(root, "is_serving"))
        far_fail(f, EXIT_NO_BUS, "the server is no coordinator");
    else if (far_small(f, root, "n_leases", &f->v->n_leases) == 0 &&
             far_small(f, root, "n_waiting", &f->v->n_waiting) == 0 &&
             far_small(f, root, "max_leases", &f->v->max_leases) == 0)
        rc = 0;
    json_decref(root);
    return rc;
}

static int fetch_status(far *f)
{
    json_t *root = far_ask(f, "/api/v1/resources");
    int rc = -1;

    if (!root)
        return -1;
    f->v->n_resources = f->v->n_components = 0;
    f->v->has_memory = false;
    if (far_each(f, root, "resources", JB_QUOTA_RESOURCES_MAX, read_resource) == 0 &&
        far_each(f, root, "components", JB_QUOTA_COMPONENTS_MAX, read_component) == 0)
        rc = 0;
    json_decref(root);
    return rc;
}

/* A page; *page is where the next one begins, 0 when there is none. */
static int fetch_page(far *f, uint32_t n_page, uint64_t *page)
{
    char path[96];
    json_t *root;
    int rc;

    snprintf(path, sizeof(path), "/api/v1/leases?page_size=%u&page_token=%" PRIu64, n_page, *page);
    root = far_ask(f, path);
    if (!root)
        return -1;
    rc = far_each(f, root, "leases", n_page, read_lease);
    if (rc == 0)
        rc = far_number(f, root, "next_page_token", UINT32_MAX, page);
    if (rc == 0 && !json_object_get(root, "next_page_token"))
        *page = 0;
    json_decref(root);
    return rc;
}

static int fetch_leases(far *f, uint32_t n_max)
{
    view_list *list = &f->v->leases;
    uint64_t page = 0, before;
    int rc = 0;

    list->n = list->n_more = 0;
    f->v->now_ns = jb_clock_utc_ns();
    do {
        uint32_t n_left = n_max - list->n, n_before = list->n;

        before = page;
        rc = n_left ? fetch_page(f, n_left < PAGE_MAX ? n_left : PAGE_MAX, &page) : 0;
        if (rc == 0 && page && (page <= before || list->n == n_before || list->n > LEASES_MAX))
            rc = far_fail(f, EXIT_FAILURE, "the list of leases has no end");
    } while (rc == 0 && page && list->n < n_max);
    if (page && f->v->n_leases > list->n)
        list->n_more = f->v->n_leases - list->n;
    return rc;
}

int view_fetch(view *v, const ctl_opts *opts, uint32_t n_max)
{
    far f = {.v = v, .opts = opts, .body = malloc(FAR_ANSWER_BYTES)};
    int rc = f.body ? 0 : view_fail(v, EXIT_FAILURE, "%s", jb_strerror(JB_ENOMEM));

    v->is_far = true;
    if (rc == 0)
        rc = fetch_sums(&f);
    if (rc == 0)
        rc = fetch_status(&f);
    if (rc == 0)
        rc = fetch_leases(&f, n_max);
    free(f.body);
    return rc;
}
