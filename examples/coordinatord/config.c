/*
 * config: see config.h.
 */
#include "config.h"
#include "values.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct reader {
    config *c;
    char problem[160];
} reader;

static const char *const kinds[] = {"",    "memory", "gpu_memory", "gpu_time",
                                    "cpu", "calls",  "tokens"};

enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* Always 0, which ends the reading. */
__attribute__((format(printf, 2, 3))) static int refuse(reader *r, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(r->problem, sizeof(r->problem), fmt, args);
    va_end(args);
    return 0;
}

/* --- sections */

static bool set_coordinator(config *c, const char *key, const char *value, bool *ret_known)
{
    jb_coord_opts *o = &c->coord;

    *ret_known = true;
    if (!strcmp(key, "name"))
        return value_text(value, c->name, sizeof(c->name));
    if (!strcmp(key, "audit"))
        return value_text(value, c->audit, sizeof(c->audit));
    if (!strcmp(key, "bus"))
        return value_text(value, c->bus, sizeof(c->bus));
    if (!strcmp(key, "aging"))
        return value_seconds(value, &o->aging_ns);
    if (!strcmp(key, "notice"))
        return value_seconds(value, &o->notice_ns);
    if (!strcmp(key, "max_hold"))
        return value_seconds(value, &c->service.max_hold_ns);
    if (!strcmp(key, "hold"))
        return value_seconds(value, &c->service.hold_ns);
    if (!strcmp(key, "max_wait"))
        return value_seconds(value, &c->service.max_wait_ns);
    if (!strcmp(key, "max_leases"))
        return value_count(value, &o->max_leases);
    if (!strcmp(key, "max_waiters"))
        return value_count(value, &o->max_waiters);
    if (!strcmp(key, "max_reservations"))
        return value_count(value, &o->max_reservations);
    if (!strcmp(key, "reservation"))
        return value_seconds(value, &o->reservation_ns);
    if (!strcmp(key, "drf"))
        return value_switch(value, JB_COORD_DRF, &o->flags);
    *ret_known = false;
    return false;
}

static bool set_resource(jb_resource_spec *r, const char *key, const char *value, bool *ret_known)
{
    *ret_known = true;
    if (!strcmp(key, "kind")) {
        for (r->kind = 1; r->kind < N_KINDS && strcmp(kinds[r->kind], value) != 0;)
            r->kind++;
        return r->kind < N_KINDS;
    }
    if (!strcmp(key, "capacity"))
        return value_amount(value, &r->capacity);
    if (!strcmp(key, "headroom"))
        return value_amount(value, &r->headroom);
    if (!strcmp(key, "device"))
        return value_count(value, &r->device);
    if (!strcmp(key, "quantum"))
        return value_seconds(value, &r->quantum_ns);
    if (!strcmp(key, "linger"))
        return value_seconds(value, &r->linger_ns);
    if (!strcmp(key, "strict"))
        return value_switch(value, JB_RESOURCE_STRICT, &r->flags);
    *ret_known = false;
    return false;
}

static uint32_t find(char names[][CONFIG_NAME_BYTES], uint32_t n, const char *name)
{
    uint32_t i = 0;

    while (i < n && strcmp(names[i], name) != 0)
        i++;
    return i;
}

/* "8G", or "8G..20G": guaranteed, and at most. */
static bool set_share(config *c, uint32_t component, const char *key, const char *value,
                      bool *ret_known)
{
    uint32_t resource = find(c->resource_names, c->coord.n_resources, key);
    jb_share_spec *s = &c->shares[c->coord.n_shares];
    const char *rest;

    *ret_known = resource < c->coord.n_resources;
    if (!*ret_known || c->coord.n_shares == CONFIG_SHARES_MAX)
        return false;
    *s = (jb_share_spec){.component = component, .resource = resource};
    rest = value_amount_of(value, &s->guaranteed);
    if (!rest || (*rest && strncmp(rest, "..", 2) != 0) ||
        (*rest && !value_amount(rest + 2, &s->ceiling)))
        return false;
    c->coord.n_shares++;
    return true;
}

/* The place of a named section, made when it is new; -1: there is no room, or no name. */
static int section(char names[][CONFIG_NAME_BYTES], uint32_t *n, uint32_t most, const char *name)
{
    uint32_t i = find(names, *n, name);

    if (i < *n)
        return (int)i;
    if (i == most || !*name || strlen(name) >= CONFIG_NAME_BYTES)
        return -1;
    strcpy(names[i], name);
    (*n)++;
    return (int)i;
}

static int in_resource(reader *r, const char *name, const char *key, const char *value)
{
    config *c = r->c;
    int i = section(c->resource_names, &c->coord.n_resources, JB_QUOTA_RESOURCES_MAX, name);
    bool is_known;

    if (i < 0)
        return refuse(r, "[resource %.40s]: no name, or too many", name);
    c->resources[i].name = c->resource_names[i];
    if (set_resource(&c->resources[i], key, value, &is_known))
        return 1;
    return is_known ? refuse(r, "\"%.60s\" is no value for %.40s", value, key)
                    : refuse(r, "a resource has no \"%.40s\"", key);
}

static int in_component(reader *r, const char *name, const char *key, const char *value)
{
    config *c = r->c;
    int i = section(c->component_names, &c->coord.n_components, JB_QUOTA_COMPONENTS_MAX, name);
    bool is_known = true, is_set;

    if (i < 0)
        return refuse(r, "[component %.40s]: no name, or too many", name);
    c->components[i].name = c->component_names[i];
    is_set = !strcmp(key, "weight") ? value_count(value, &c->components[i].weight)
                                    : set_share(c, (uint32_t)i, key, value, &is_known);
    if (is_set)
        return 1;
    return is_known ? refuse(r, "\"%.60s\" is no value for %.40s", value, key)
                    : refuse(r, "there is no resource \"%.40s\" above", key);
}

static bool set_limit(config *c, jb_limit_spec *l, const char *key, const char *value,
                      bool *ret_known)
{
    *ret_known = true;
    if (!strcmp(key, "resource")) {
        l->resource = find(c->resource_names, c->coord.n_resources, value);
        return l->resource < c->coord.n_resources;
    }
    if (!strcmp(key, "component")) {
        l->component = find(c->component_names, c->coord.n_components, value);
        return l->component < c->coord.n_components;
    }
    if (!strcmp(key, "kind")) {
        l->kind = !strcmp(value, "rate")     ? JB_LIMIT_RATE
                  : !strcmp(value, "window") ? JB_LIMIT_WINDOW
                  : !strcmp(value, "open")   ? JB_LIMIT_OPEN
                                             : 0;
        return l->kind != 0;
    }
    if (!strcmp(key, "amount"))
        return value_amount(value, &l->amount);
    if (!strcmp(key, "burst"))
        return value_amount(value, &l->burst);
    if (!strcmp(key, "period"))
        return value_seconds(value, &l->period_ns);
    *ret_known = false;
    return false;
}

static int in_limit(reader *r, const char *name, const char *key, const char *value)
{
    config *c = r->c;
    uint32_t n = c->coord.n_limits;
    int i = section(c->limit_names, &c->coord.n_limits, JB_QUOTA_LIMITS_MAX, name);
    bool is_known;

    if (i < 0)
        return refuse(r, "[limit %.40s]: no name, or too many", name);
    if ((uint32_t)i == n)
        c->limits[i].component = JB_LIMIT_ALL;
    if (set_limit(c, &c->limits[i], key, value, &is_known))
        return 1;
    return is_known ? refuse(r, "\"%.60s\" is no value for %.40s", value, key)
                    : refuse(r, "a limit has no \"%.40s\"", key);
}

static int on_setting(void *userdata, const char *section_name, const char *key, const char *value)
{
    reader *r = userdata;
    bool is_known;
    jb_error err;

    if (!strncmp(section_name, "resource ", 9))
        return in_resource(r, section_name + 9, key, value);
    if (!strncmp(section_name, "component ", 10))
        return in_component(r, section_name + 10, key, value);
    if (!strncmp(section_name, "limit ", 6))
        return in_limit(r, section_name + 6, key, value);
    if (!strcmp(section_name, "host"))
        return jb_host_opts_set(&r->c->host, key, value, &err) == 0 ? 1
                                                                    : refuse(r, "%.150s", err.msg);
    if (strcmp(section_name, "coordinator") != 0)
        return refuse(r, "there is no section \"%.60s\"", section_name);
    if (set_coordinator(r->c, key, value, &is_known))
        return 1;
    return is_known ? refuse(r, "\"%.60s\" is no value for %.40s", value, key)
                    : refuse(r, "a coordinator has no \"%.40s\"", key);
}

static void set_defaults(config *c)
{
    memset(c, 0, sizeof(*c));
    jb_host_opts_init(&c->host, sizeof(c->host));
    jb_coord_opts_init(&c->coord, sizeof(c->coord));
    jb_coord_service_opts_init(&c->service, sizeof(c->service));
    snprintf(c->host.http, sizeof(c->host.http), "127.0.0.1:8081");
    c->host.no_bus = 1;
    c->coord.resources = c->resources;
    c->coord.components = c->components;
    c->coord.shares = c->shares;
    c->coord.limits = c->limits;
    c->coord.max_records = 65536;
}

int config_load(config *c, const char *path, jb_error *err)
{
    reader r = {.c = c};
    int line;

    set_defaults(c);
    jb_error_init(err);
    errno = 0;
    line = ini_parse(path, on_setting, &r);
    err->code = line < 0 ? JB_ESYS : JB_EPARSE;
    if (line < 0)
        snprintf(err->msg, sizeof(err->msg), "%.150s: %s", path, strerror(errno));
    else if (line > 0)
        snprintf(err->msg, sizeof(err->msg), "%.60s:%d: %.150s", path, line,
                 r.problem[0] ? r.problem : "the line is no `key = value`");
    else if ((line = value_empty_section(path)) > 0)
        snprintf(err->msg, sizeof(err->msg), "%.60s:%d: a section without a setting", path, line);
    else if (c->service.hold_ns > c->service.max_hold_ns || !c->service.hold_ns)
        snprintf(err->msg, sizeof(err->msg), "%.60s: hold is more than max_hold, or 0", path);
    else
        return 0;
    return err->code;
}

void config_print(const config *c)
{
    char value[256];
    const char *key;

    for (uint32_t i = 0; jb_host_opts_key(i, &key, NULL, NULL) == 0; i++) {
        if (jb_host_opts_get(&c->host, key, value, sizeof(value)) == 0)
            printf("%s = %s\n", key, value);
    }
    printf("name = %s\naudit = %s\nbus = %s\n", c->name[0] ? c->name : "none",
           c->audit[0] ? c->audit : "none", c->bus[0] ? c->bus : "none");
    for (uint32_t i = 0; i < c->coord.n_resources; i++)
        printf("resource %s: %s, %llu of %llu\n", c->resource_names[i],
               c->resources[i].kind ? kinds[c->resources[i].kind] : "?",
               (unsigned long long)(c->resources[i].capacity - c->resources[i].headroom),
               (unsigned long long)c->resources[i].capacity);
    for (uint32_t i = 0; i < c->coord.n_limits; i++)
        printf("limit %s: %llu in %g s\n", c->limit_names[i],
               (unsigned long long)c->limits[i].amount, (double)c->limits[i].period_ns / 1e9);
    for (uint32_t i = 0; i < c->coord.n_components; i++)
        printf("component %s: weight %u\n", c->component_names[i],
               c->components[i].weight ? c->components[i].weight : 1);
}
