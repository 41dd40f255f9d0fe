/*
 * config: what coordinatord is told: one file with sections for the host, the coordinator, its
 * resources and its components.
 *
 * Invariant: a file with one line that is wrong is refused as a whole, with a sentence that names
 * the line; names that other sections need come before them.
 */
#ifndef COORDINATORD_CONFIG_H
#define COORDINATORD_CONFIG_H

#include "jimbot/coordinator.h"
#include "jimbot/usage.h"

enum { CONFIG_NAME_BYTES = JB_QUOTA_NAME_BYTES, CONFIG_SHARES_MAX = 1024 };

typedef struct config {
    jb_host_opts host;
    jb_coord_opts coord; /* points into what follows */
    jb_coord_service_opts service;
    jb_resource_spec resources[JB_QUOTA_RESOURCES_MAX];
    jb_component_spec components[JB_QUOTA_COMPONENTS_MAX];
    jb_share_spec shares[CONFIG_SHARES_MAX];
    jb_limit_spec limits[JB_QUOTA_LIMITS_MAX];
    char resource_names[JB_QUOTA_RESOURCES_MAX][CONFIG_NAME_BYTES];
    char component_names[JB_QUOTA_COMPONENTS_MAX][CONFIG_NAME_BYTES];
    char limit_names[JB_QUOTA_LIMITS_MAX][CONFIG_NAME_BYTES]; /* only here */
    char name[64]; /* of the coordinator, "" for this process alone */
    char audit[256];
    char bus[256]; /* where records are published, "" none */
} config;

/* Read the file. Returns 0, or below 0 with err->msg. */
int config_load(config *c, const char *path, jb_error *err);

/* What is in force, on standard output. */
void config_print(const config *c);

#endif
