/*
 * config.c: the options of a coordinator: checked whole before anything is made, then written into
 * the block once.
 *
 * Invariant: what was accepted cannot be contradictory: the guarantees of a resource fit into it,
 * names are unique, and no sum of amounts overflows.
 */
#include "quota/config.h"

#include "base/alloc.h"
#include "base/error.h"
#include "quota/limits.h"

#include <string.h>

#define CAPACITY_MAX       (UINT64_C(1) << 62)
#define WEIGHT_MAX         1000000u
#define QUANTUM_DEFAULT_NS UINT64_C(10000000)
#define TURN_MAX_NS        UINT64_C(86400000000000) /* a quantum, or to linger */

__extension__ typedef unsigned __int128 jbi_u128;

void jb_coord_opts_init(jb_coord_opts *opts, uint32_t size)
{
    const jb_coord_opts defaults = {
        .size = sizeof defaults,
        .max_leases = 1024,
        .max_waiters = 256,
        .max_records = 4096,
        .max_peers = 64,
        .mode = 0600,
        .aging_ns = UINT64_C(1000000000),
        .max_reservations = 256,
        .reservation_ns = UINT64_C(600000000000),
    };

    if (size > sizeof defaults)
        size = sizeof defaults;
    memcpy(opts, &defaults, size);
    opts->size = size;
}

static bool name_is_legal(const char *name)
{
    return name && name[0] != '\0' && strlen(name) < JB_QUOTA_NAME_BYTES;
}

static int resources_check(const jb_coord_opts *opts, jb_error *err)
{
    if (opts->n_resources < 1 || opts->n_resources > JB_QUOTA_RESOURCES_MAX || !opts->resources)
        return jbi_error_set(err, JB_EINVAL, "a coordinator has 1 to %d resources, not %u",
                             JB_QUOTA_RESOURCES_MAX, opts->n_resources);
    for (uint32_t i = 0; i < opts->n_resources; i++) {
        const jb_resource_spec *spec = &opts->resources[i];

        if (!name_is_legal(spec->name))
            return jbi_error_set(err, JB_EINVAL, "resource %u has no name of 1 to %d bytes", i,
                                 JB_QUOTA_NAME_BYTES - 1);
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(spec->name, opts->resources[j].name) == 0)
                return jbi_error_set(err, JB_EINVAL, "two resources are named '%s'", spec->name);
        }
        if (spec->kind < JB_RESOURCE_MEMORY || spec->kind > JB_RESOURCE_TOKENS)
            return jbi_error_set(err, JB_EINVAL, "resource '%s' is of no kind: %u", spec->name,
                                 spec->kind);
        if (spec->capacity == 0 || spec->capacity > CAPACITY_MAX ||
            spec->headroom >= spec->capacity)
            return jbi_error_set(err, JB_EINVAL,
                                 "resource '%s' has a capacity out of range, or only headroom",
                                 spec->name);
        if (spec->quantum_ns > TURN_MAX_NS || spec->linger_ns > TURN_MAX_NS)
            return jbi_error_set(err, JB_EINVAL,
                                 "resource '%s' has a quantum_ns or linger_ns of over a day",
                                 spec->name);
        if ((spec->flags & ~(uint32_t)JB_RESOURCE_STRICT) || spec->_reserved ||
            ((spec->flags & JB_RESOURCE_STRICT) && spec->kind != JB_RESOURCE_GPU_TIME))
            return jbi_error_set(err, JB_EINVAL, "resource '%s' has flags that it cannot have",
                                 spec->name);
    }
    return 0;
}

static int components_check(const jb_coord_opts *opts, jb_error *err)
{
    if (opts->n_components < 1 || opts->n_components > JB_QUOTA_COMPONENTS_MAX || !opts->components)
        return jbi_error_set(err, JB_EINVAL, "a coordinator has 1 to %d components, not %u",
                             JB_QUOTA_COMPONENTS_MAX, opts->n_components);
    for (uint32_t i = 0; i < opts->n_components; i++) {
        const jb_component_spec *spec = &opts->components[i];

        if (!name_is_legal(spec->name))
            return jbi_error_set(err, JB_EINVAL, "component %u has no name of 1 to %d bytes", i,
                                 JB_QUOTA_NAME_BYTES - 1);
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(spec->name, opts->components[j].name) == 0)
                return jbi_error_set(err, JB_EINVAL, "two components are named '%s'", spec->name);
        }
        if (spec->weight > WEIGHT_MAX || spec->_reserved)
            return jbi_error_set(err, JB_EINVAL, "component '%s' has a weight over %u", spec->name,
                                 WEIGHT_MAX);
    }
    return 0;
}

static int shares_check(const jb_coord_opts *opts, jb_error *err)
{
    uint64_t left[JB_QUOTA_RESOURCES_MAX];

    if (opts->n_shares > 0 && !opts->shares)
        return jbi_error_set(err, JB_EINVAL, "shares is NULL");
    for (uint32_t i = 0; i < opts->n_resources; i++)
        left[i] = opts->resources[i].capacity - opts->resources[i].headroom;
    for (uint32_t i = 0; i < opts->n_shares; i++) {
        const jb_share_spec *spec = &opts->shares[i];

        if (spec->component >= opts->n_components || spec->resource >= opts->n_resources)
            return jbi_error_set(err, JB_EINVAL, "share %u is of no component or resource", i);
        for (uint32_t j = 0; j < i; j++) {
            if (opts->shares[j].component == spec->component &&
                opts->shares[j].resource == spec->resource)
                return jbi_error_set(err, JB_EINVAL, "'%s' has two shares of '%s'",
                                     opts->components[spec->component].name,
                                     opts->resources[spec->resource].name);
        }
        if (spec->ceiling != 0 && spec->ceiling < spec->guaranteed)
            return jbi_error_set(err, JB_EINVAL, "'%s' is guaranteed more of '%s' than it may have",
                                 opts->components[spec->component].name,
                                 opts->resources[spec->resource].name);
        if (spec->guaranteed > left[spec->resource])
            return jbi_error_set(err, JB_EINVAL, "more of '%s' is guaranteed than there is",
                                 opts->resources[spec->resource].name);
        left[spec->resource] -= spec->guaranteed;
    }
    return 0;
}

static int sizes_check(const jb_coord_opts *opts, jb_error *err)
{
    if (opts->max_leases < 1 || opts->max_leases > 1048576)
        return jbi_error_set(err, JB_EINVAL, "max_leases is out of range: %u", opts->max_leases);
    if (opts->max_waiters < 1 || opts->max_waiters > 65536)
        return jbi_error_set(err, JB_EINVAL, "max_waiters is out of range: %u", opts->max_waiters);
    if (opts->max_records < 16 || opts->max_records > 1048576 ||
        (opts->max_records & (opts->max_records - 1)))
        return jbi_error_set(err, JB_EINVAL, "max_records is no power of two from 16: %u",
                             opts->max_records);
    if (opts->max_peers < 1 || opts->max_peers > JBI_PEERS_MAX)
        return jbi_error_set(err, JB_EINVAL, "max_peers is out of range: %u", opts->max_peers);
    if (opts->aging_ns == 0 || opts->aging_ns > UINT64_MAX / 16)
        return jbi_error_set(err, JB_EINVAL, "aging_ns is out of range");
    return 0;
}

int jbi_config_take(const jb_coord_opts *given, jb_coord_opts *ret_opts, jb_error *err)
{
    jb_coord_opts_init(ret_opts, sizeof *ret_opts);
    if (given) {
        if (given->size < sizeof(uint32_t) || given->size > sizeof *ret_opts)
            return jbi_error_set(err, JB_EINVAL,
                                 "jb_coord_opts.size is %u: start from jb_coord_opts_init()",
                                 given->size);
        memcpy(ret_opts, given, given->size);
    }
    if (ret_opts->flags & ~(uint32_t)JB_COORD_DRF)
        return jbi_error_set(err, JB_EINVAL, "jb_coord_opts.flags has unknown bits: 0x%x",
                             ret_opts->flags);
    if (ret_opts->mode & ~(uint32_t)0777)
        return jbi_error_set(err, JB_EINVAL, "jb_coord_opts.mode is not a file mode: 0%o",
                             ret_opts->mode);
    if (!jbi_alloc_is_valid(ret_opts->alloc))
        return jbi_error_set(err, JB_EINVAL, "jb_coord_opts.alloc lacks a function");
    return sizes_check(ret_opts, err);
}

int jbi_config_check(const jb_coord_opts *opts, jb_error *err)
{
    int rc = resources_check(opts, err);

    if (!rc)
        rc = components_check(opts, err);
    if (!rc)
        rc = shares_check(opts, err);
    return rc ? rc : jbi_limits_check(opts, err);
}

void jbi_config_params(const jb_coord_opts *opts, uint64_t params[JBI_SEGMENT_PARAMS])
{
    memset(params, 0, JBI_SEGMENT_PARAMS * sizeof *params);
    params[JBI_QUOTA_RESOURCES] = opts->n_resources;
    params[JBI_QUOTA_COMPONENTS] = opts->n_components;
    params[JBI_QUOTA_LEASES] = opts->max_leases;
    params[JBI_QUOTA_WAITERS] = opts->max_waiters;
    params[JBI_QUOTA_RECORDS] = opts->max_records;
    params[JBI_QUOTA_PEERS] = opts->max_peers;
    params[JBI_QUOTA_LIMIT_BYTES] = jbi_limits_bytes(opts);
}

static bool resource_is_same(const struct jbi_quota_resource *resource,
                             const jb_resource_spec *spec)
{
    return strncmp(resource->name, spec->name, sizeof resource->name) == 0 &&
           resource->kind == spec->kind && resource->flags == spec->flags &&
           resource->capacity == spec->capacity && resource->headroom == spec->headroom &&
           resource->quantum_ns == (spec->quantum_ns ? spec->quantum_ns : QUANTUM_DEFAULT_NS) &&
           resource->linger_ns == spec->linger_ns;
}

/* A ceiling that is one; 0: all there is. */
static uint64_t ceiling_of(const struct jbi_books *books, const jb_share_spec *spec)
{
    return spec->ceiling < jbi_books_limit(&books->resources[spec->resource]) ? spec->ceiling : 0;
}

/* Any are, where none are given. The options are valid: no share is there twice. */
static bool shares_are_same(const struct jbi_books *books, const jb_coord_opts *opts)
{
    uint64_t n_given = 0, n_there = 0;

    for (uint32_t i = 0; i < opts->n_shares; i++) {
        const jb_share_spec *spec = &opts->shares[i];
        const struct jbi_quota_share *share = jbi_share_get(books, spec->component, spec->resource);

        if (share->guaranteed != spec->guaranteed || share->given != ceiling_of(books, spec))
            return false;
        n_given += (spec->guaranteed | ceiling_of(books, spec)) != 0;
    }
    for (uint32_t i = 0; i < books->n_components * books->n_resources; i++)
        n_there += (books->shares[i].guaranteed | books->shares[i].given) != 0;
    return opts->n_shares == 0 || n_given == n_there;
}

bool jbi_config_is_same(const struct jbi_books *books, const jb_coord_opts *opts)
{
    if (opts->n_resources != books->n_resources || opts->n_components != books->n_components)
        return false;
    for (uint32_t i = 0; i < books->n_resources; i++) {
        if (!resource_is_same(&books->resources[i], &opts->resources[i]))
            return false;
    }
    for (uint32_t i = 0; i < books->n_components; i++) {
        const jb_component_spec *spec = &opts->components[i];

        if (strncmp(books->components[i].name, spec->name, sizeof books->components[i].name) != 0 ||
            books->components[i].weight != (spec->weight ? spec->weight : 1))
            return false;
    }
    return shares_are_same(books, opts) && jbi_limits_are_same(books, opts);
}

static void resource_write(struct jbi_quota_resource *resource, const jb_resource_spec *spec)
{
    memcpy(resource->name, spec->name, strlen(spec->name));
    resource->kind = spec->kind;
    resource->device = spec->device;
    resource->flags = spec->flags;
    resource->capacity = spec->capacity;
    resource->headroom = spec->headroom;
    resource->quantum_ns = spec->quantum_ns ? spec->quantum_ns : QUANTUM_DEFAULT_NS;
    resource->linger_ns = spec->linger_ns;
}

static uint64_t part_of(uint64_t amount, uint64_t limit)
{
    return (uint64_t)(((jbi_u128)amount << 32) / limit);
}

/* Who has no guarantee has the part that its weight is of all such weights, of what nobody is
 * guaranteed. */
static uint64_t part_by_weight(const struct jbi_books *books, uint32_t component, uint32_t idx)
{
    uint64_t limit = jbi_books_limit(&books->resources[idx]);
    uint64_t left = limit, weights = 0;

    for (uint32_t i = 0; i < books->n_components; i++) {
        uint64_t guaranteed = jbi_share_get(books, i, idx)->guaranteed;

        left -= guaranteed;
        weights += guaranteed ? 0 : books->components[i].weight;
    }
    return (uint64_t)(((jbi_u128)left << 32) * books->components[component].weight /
                      ((jbi_u128)limit * weights));
}

/* Of time on a device, parts are shares of the time: a ceiling slows down, and does not keep a
 * slice from having all of the device while it lasts. */
static void share_of_time(const struct jbi_books *books, uint32_t component, uint32_t idx)
{
    const struct jbi_quota_resource *resource = &books->resources[idx];
    struct jbi_quota_share *share = jbi_share_get(books, component, idx);
    uint64_t limit = jbi_books_limit(resource);
    bool is_strict = (resource->flags & JB_RESOURCE_STRICT) != 0;

    share->shown = is_strict ? share->guaranteed : share->given;
    if (share->shown) {
        share->pace = part_of(share->shown, limit);
    } else if (is_strict) {
        share->pace = part_by_weight(books, component, idx);
        share->shown = (uint64_t)(((jbi_u128)share->pace * limit) >> 32);
    }
    if ((is_strict || share->given) && share->pace == 0)
        share->pace = 1;
    share->ceiling = limit;
}

void jbi_books_format(const struct jbi_books *books, const jb_coord_opts *opts, uint64_t token)
{
    struct jbi_quota_head *head = books->head;

    head->flags = opts->flags;
    head->aging_ns = opts->aging_ns;
    head->notice_ns = opts->notice_ns;
    head->max_hold_ns = opts->max_hold_ns;
    head->next_token = token;
    for (uint32_t i = 0; i < books->n_resources; i++)
        resource_write(&books->resources[i], &opts->resources[i]);
    for (uint32_t i = 0; i < books->n_components; i++) {
        const jb_component_spec *spec = &opts->components[i];

        memcpy(books->components[i].name, spec->name, strlen(spec->name));
        books->components[i].weight = spec->weight ? spec->weight : 1;
        head->total_weight += books->components[i].weight;
        for (uint32_t j = 0; j < books->n_resources; j++)
            jbi_share_get(books, i, j)->ceiling = jbi_books_limit(&books->resources[j]);
    }
    for (uint32_t i = 0; i < opts->n_shares; i++) {
        const jb_share_spec *spec = &opts->shares[i];
        struct jbi_quota_share *share = jbi_share_get(books, spec->component, spec->resource);

        share->guaranteed = spec->guaranteed;
        share->given = ceiling_of(books, spec);
        if (share->given)
            share->ceiling = share->given;
    }
    for (uint32_t i = 0; i < books->n_components; i++) {
        for (uint32_t j = 0; j < books->n_resources; j++) {
            if (books->resources[j].kind == JB_RESOURCE_GPU_TIME)
                share_of_time(books, i, j);
        }
    }
    for (uint32_t i = 0; i < books->n_waiters; i++)
        books->flows[i].next = i + 1 < books->n_waiters ? i + UINT64_C(2) : 0;
    head->free_flow = 1;
    jbi_limits_format(books->limits, opts, token);
}
