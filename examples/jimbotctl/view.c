/*
 * view.c: a coordinator of this machine, looked at through the library.
 */
#include "view.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *view_kind(uint32_t kind)
{
    static const char *const names[] = {"?",   "memory", "gpu_memory", "gpu_time",
                                        "cpu", "calls",  "tokens"};

    return names[kind < sizeof(names) / sizeof(*names) ? kind : 0];
}

const char *view_class(uint32_t lease_class)
{
    static const char *const names[] = {"?", "low", "normal", "high", "critical"};

    return names[lease_class < sizeof(names) / sizeof(*names) ? lease_class : 0];
}

int view_fail(view *v, int exit_code, const char *format, ...)
{
    va_list args;

    v->exit_code = exit_code;
    va_start(args, format);
    vsnprintf(v->problem, sizeof(v->problem), format, args);
    va_end(args);
    return -1;
}

bool view_add(view_list *list, const jb_lease_info *info)
{
    if (list->n == list->cap) {
        uint32_t cap = list->cap ? list->cap * 2 : 64;
        jb_lease_info *items = realloc(list->items, cap * sizeof(*items));

        if (!items)
            return false;
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n++] = *info;
    return true;
}

typedef int (*walk)(jb_coord *coord, uint32_t *cursor, jb_lease_info *ret_info);

static bool take_list(view_list *list, jb_coord *coord, walk next, uint32_t n_max, uint32_t n_all)
{
    jb_lease_info info;
    uint32_t cursor = 0;

    list->n = 0;
    while (list->n < n_max && next(coord, &cursor, &info) > 0) {
        if (!view_add(list, &info))
            return false;
    }
    list->n_more = list->n == n_max && n_all > n_max ? n_all - n_max : 0;
    return true;
}

int view_take(view *v, jb_coord *coord, uint32_t n_max)
{
    jb_coord_stats stats;
    jb_share_info share;
    int rc = jb_coord_get_stats(coord, &stats);

    if (rc < 0)
        return view_fail(v, EXIT_FAILURE, "the coordinator cannot be read: %s", jb_strerror(rc));
    v->now_ns = stats.now_ns;
    v->n_records = stats.n_records;
    v->n_leases = stats.n_leases;
    v->max_leases = stats.max_leases;
    v->n_waiting = stats.n_waiting;
    v->n_resources = v->n_components = 0;
    while (v->n_resources < JB_QUOTA_RESOURCES_MAX &&
           jb_coord_resource_at(coord, v->n_resources, &v->resources[v->n_resources]) == 0)
        v->n_resources++;
    while (v->n_components < JB_QUOTA_COMPONENTS_MAX &&
           jb_coord_component_at(coord, v->n_components, &v->components[v->n_components]) == 0) {
        for (uint32_t i = 0; i < v->n_resources; i++)
            v->allocated[v->n_components][i] =
                jb_coord_share_at(coord, v->n_components, i, &share) == 0 ? share.allocated : 0;
        v->n_components++;
    }
    if (take_list(&v->waiting, coord, jb_coord_next_waiter, n_max, v->n_waiting) &&
        take_list(&v->leases, coord, jb_coord_next_lease, n_max, v->n_leases))
        return 0;
    return view_fail(v, EXIT_FAILURE, "%s", jb_strerror(JB_ENOMEM));
}

void view_fini(view *v)
{
    free(v->waiting.items);
    free(v->leases.items);
}
