/*
 * inspect.c: looking at the books from outside. Every call copies under the lock, so what it shows
 * belongs together.
 */
#include "quota/coord.h"
#include "quota/rate_line.h"

#include <string.h>

/* Names come from the block: without a NUL there, the last byte makes one. */
static void name_show(char ret[JB_QUOTA_NAME_BYTES], const char name[JB_QUOTA_NAME_BYTES])
{
    memcpy(ret, name, JB_QUOTA_NAME_BYTES);
    ret[JB_QUOTA_NAME_BYTES - 1] = '\0';
}

static bool name_is(const char have[JB_QUOTA_NAME_BYTES], const char *name)
{
    return strncmp(have, name, JB_QUOTA_NAME_BYTES) == 0;
}

int jb_coord_find_resource(const jb_coord *coord, const char *name)
{
    if (!coord || !name)
        return JB_EINVAL;
    for (uint32_t i = 0; i < coord->books.n_resources; i++) {
        if (name_is(coord->books.resources[i].name, name))
            return (int)i;
    }
    return JB_ENOENT;
}

int jb_coord_find_component(const jb_coord *coord, const char *name)
{
    if (!coord || !name)
        return JB_EINVAL;
    for (uint32_t i = 0; i < coord->books.n_components; i++) {
        if (name_is(coord->books.components[i].name, name))
            return (int)i;
    }
    return JB_ENOENT;
}

int jb_coord_get_stats(jb_coord *coord, jb_coord_stats *ret_stats)
{
    const struct jbi_books *books;
    int rc;

    if (!coord || !ret_stats)
        return JB_EINVAL;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    books = &coord->books;
    jbi_queue_serve(&coord->books);
    *ret_stats = (jb_coord_stats){
        .n_resources = books->n_resources,
        .n_components = books->n_components,
        .n_leases = (uint32_t)books->head->n_leases,
        .max_leases = books->n_leases,
        .n_waiting = (uint32_t)books->head->n_waiting +
                     jbi_rate_n_waiting(books, JB_LIMIT_ALL, JB_LIMIT_ALL),
        .max_waiters = books->n_waiters,
        .now_ns = books->head->now_ns,
        .next_token = books->head->next_token,
        .n_records = books->head->n_records,
        .n_takeovers = books->head->n_takeovers,
    };
    jbi_coord_leave(coord);
    return 0;
}

static void resource_show(const struct jbi_quota_resource *resource, jb_resource_info *ret_info)
{
    *ret_info = (jb_resource_info){
        .kind = (uint32_t)resource->kind,
        .device = (uint32_t)resource->device,
        .flags = (uint32_t)resource->flags,
        .capacity = resource->capacity,
        .headroom = resource->headroom,
        .foreign = resource->foreign,
        .allocated = resource->allocated,
        .n_leases = resource->n_leases,
        .n_waiting = resource->n_waiting,
        .n_granted = resource->n_granted,
        .n_denied = resource->n_denied,
        .used_ns = resource->used_ns,
        .quantum_ns = resource->quantum_ns,
    };
    name_show(ret_info->name, resource->name);
    memcpy(ret_info->wait_buckets, resource->wait_buckets, sizeof ret_info->wait_buckets);
    memcpy(ret_info->hold_buckets, resource->hold_buckets, sizeof ret_info->hold_buckets);
}

int jb_coord_resource_at(jb_coord *coord, uint32_t idx, jb_resource_info *ret_info)
{
    int rc;

    if (!coord || !ret_info)
        return JB_EINVAL;
    if (idx >= coord->books.n_resources)
        return JB_ENOENT;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    resource_show(&coord->books.resources[idx], ret_info);
    ret_info->n_waiting += jbi_rate_n_waiting(&coord->books, idx, JB_LIMIT_ALL);
    jbi_coord_leave(coord);
    return 0;
}

int jb_coord_component_at(jb_coord *coord, uint32_t idx, jb_component_info *ret_info)
{
    const struct jbi_quota_component *component;
    int rc;

    if (!coord || !ret_info)
        return JB_EINVAL;
    if (idx >= coord->books.n_components)
        return JB_ENOENT;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    component = &coord->books.components[idx];
    *ret_info = (jb_component_info){
        .weight = (uint32_t)component->weight,
        .n_leases = (uint32_t)component->n_leases,
        .n_waiting =
            (uint32_t)component->n_waiting + jbi_rate_n_waiting(&coord->books, JB_LIMIT_ALL, idx),
        .n_granted = component->n_granted,
        .n_denied = component->n_denied,
        .waited_ns = component->waited_ns,
        .held_ns = component->held_ns,
    };
    name_show(ret_info->name, component->name);
    memcpy(ret_info->n_ended, component->n_ended, sizeof ret_info->n_ended);
    jbi_coord_leave(coord);
    return 0;
}

int jb_coord_share_at(jb_coord *coord, uint32_t component, uint32_t resource,
                      jb_share_info *ret_info)
{
    const struct jbi_quota_share *share;
    int rc;

    if (!coord || !ret_info)
        return JB_EINVAL;
    if (component >= coord->books.n_components || resource >= coord->books.n_resources)
        return JB_ENOENT;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    share = jbi_share_get(&coord->books, component, resource);
    *ret_info = (jb_share_info){
        .guaranteed = share->guaranteed,
        .ceiling = share->pace ? share->shown : share->ceiling,
        .allocated = share->allocated,
        .used_ns = share->used_ns,
    };
    jbi_coord_leave(coord);
    return 0;
}

static void held_show(const struct jbi_want *held, uint32_t slot, jb_lease_info *ret_info)
{
    *ret_info = (jb_lease_info){
        .granted_ns = held->since_ns,
        .tag = held->tag,
        .slot = slot,
        .component = held->component,
        .lease_class = held->class_idx + 1,
        .peer = held->peer,
        .n_amounts = held->n,
    };
    for (uint32_t i = 0; i < held->n; i++) {
        ret_info->amounts[i].resource = held->resource[i];
        ret_info->amounts[i].amount = held->amount[i];
    }
}

static bool lease_show(const struct jbi_books *books, uint32_t slot, jb_lease_info *ret_info)
{
    const struct jbi_quota_lease *lease = &books->leases[slot];
    struct jbi_want held;

    if (lease->token == 0)
        return false;
    jbi_lease_unpack(books, lease, &held);
    held_show(&held, slot, ret_info);
    ret_info->token = lease->token;
    ret_info->deadline_ns = lease->deadline_ns;
    ret_info->has_notice = lease->has_notice != 0;
    return true;
}

static bool waiter_show(const struct jbi_books *books, uint32_t slot, jb_lease_info *ret_info)
{
    const struct jbi_quota_waiter *waiter = &books->waiters[slot];
    struct jbi_want want;

    if (waiter->state != JBI_WAITER_WAITING)
        return false;
    jbi_waiter_unpack(books, waiter, &want);
    held_show(&want, slot, ret_info);
    ret_info->token = waiter->id;
    ret_info->deadline_ns = waiter->until_ns;
    return true;
}

/* Show the next one of those who wait, or of the leases. */
static int next(jb_coord *coord, bool is_waiting, uint32_t *cursor, jb_lease_info *ret_info)
{
    const struct jbi_books *books;
    uint64_t top;
    uint32_t n;
    int rc;

    if (!coord || !cursor || !ret_info)
        return JB_EINVAL;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    books = &coord->books;
    top = is_waiting ? books->head->top_waiter : books->head->top_lease;
    n = is_waiting ? books->n_waiters : books->n_leases;
    while (!rc && *cursor < top && *cursor < n) {
        uint32_t slot = (*cursor)++;

        rc = is_waiting ? waiter_show(books, slot, ret_info) : lease_show(books, slot, ret_info);
    }
    jbi_coord_leave(coord);
    return rc;
}

int jb_coord_next_lease(jb_coord *coord, uint32_t *cursor, jb_lease_info *ret_info)
{
    return next(coord, false, cursor, ret_info);
}

int jb_coord_next_waiter(jb_coord *coord, uint32_t *cursor, jb_lease_info *ret_info)
{
    return next(coord, true, cursor, ret_info);
}
