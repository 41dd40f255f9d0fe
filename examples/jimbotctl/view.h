/*
 * view.h: a coordinator at one moment, however it was looked at.
 *
 * Invariant: names are NUL-terminated, and every index in a lease is one of a resource or component
 * of the same view, or VIEW_UNKNOWN; nothing else is promised of what came over a network.
 */
#ifndef JIMBOTCTL_VIEW_H
#define JIMBOTCTL_VIEW_H

#include "ctl.h"

#include "jimbot/observe.h"
#include "jimbot/quota.h"

#define VIEW_UNKNOWN UINT32_MAX

typedef struct view_list {
    jb_lease_info *items;
    uint32_t n;
    uint32_t cap;
    uint32_t n_more; /* that are not in it */
} view_list;

typedef struct view {
    bool is_far; /* over a network, where nobody lists who waits */
    uint64_t now_ns;
    uint64_t n_records;
    uint32_t n_leases;
    uint32_t max_leases;
    uint32_t n_waiting;
    uint32_t n_resources;
    uint32_t n_components;
    jb_resource_info resources[JB_QUOTA_RESOURCES_MAX];
    jb_component_info components[JB_QUOTA_COMPONENTS_MAX];
    uint64_t allocated[JB_QUOTA_COMPONENTS_MAX][JB_QUOTA_RESOURCES_MAX];
    jb_component_memory memory[JB_QUOTA_COMPONENTS_MAX]; /* without a process: not known */
    bool has_memory;                                     /* of any */
    view_list waiting;
    view_list leases;
    int exit_code;     /* after a failure */
    char problem[512]; /* and what it was */
} view;

/* Look at one that is open in this process; at most n_max of each list. 0, or -1: see problem. */
int view_take(view *v, jb_coord *coord, uint32_t n_max);

/* The same over HTTP, at opts->url. */
int view_fetch(view *v, const ctl_opts *opts, uint32_t n_max);

/* Append; false: there is no memory. */
bool view_add(view_list *list, const jb_lease_info *info);

/* Returns -1 after it has set problem. */
int view_fail(view *v, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void view_fini(view *v);

/* "gpu_memory", "high"; "?" for what is none. */
const char *view_kind(uint32_t kind);
const char *view_class(uint32_t lease_class);

#endif
