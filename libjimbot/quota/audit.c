/*
 * audit.c: the books, recomputed. What the invariants of books.h and queue.h say is looked at word
 * for word; tests call it after every step, and so can whoever runs a coordinator.
 */
#include "base/error.h"
#include "quota/coord.h"
#include "quota/rate_line.h"

#include <inttypes.h>

struct sums {
    uint64_t allocated;
    uint64_t noticed;
    uint64_t n_leases;
    uint64_t n_waiting;
};

static bool heap_has(const struct jbi_books *books, uint32_t slot)
{
    const struct jbi_quota_lease *lease = &books->leases[slot];
    uint64_t at = lease->heap_at;

    if (lease->deadline_ns == UINT64_MAX)
        return at == 0;
    return at >= 1 && at <= books->head->n_deadlines && at <= books->n_leases &&
           books->heap[at - 1].lease == slot + UINT64_C(1) &&
           books->heap[at - 1].at_ns == lease->deadline_ns &&
           (at == 1 || books->heap[(at - 2) / 4].at_ns <= lease->deadline_ns);
}

static int audit_leases(const struct jbi_books *books, jb_error *err)
{
    uint64_t n_leases = 0, n_deadlines = 0;

    for (uint32_t slot = 0; slot < books->n_leases; slot++) {
        const struct jbi_quota_lease *lease = &books->leases[slot];

        if (lease->token == 0)
            continue;
        n_leases++;
        n_deadlines += lease->deadline_ns != UINT64_MAX;
        if (lease->token >= books->head->next_token)
            return jbi_error_set(err, JB_ECORRUPT, "lease %" PRIu64 " has a token of the future",
                                 lease->token);
        if (!heap_has(books, slot))
            return jbi_error_set(err, JB_ECORRUPT, "lease %" PRIu64 " is not where its deadline is",
                                 lease->token);
    }
    if (n_leases != books->head->n_leases || n_deadlines != books->head->n_deadlines)
        return jbi_error_set(err, JB_ECORRUPT, "%" PRIu64 " leases are counted as %" PRIu64,
                             n_leases, books->head->n_leases);
    return 0;
}

static uint64_t of_resource(const struct jbi_want *want, uint32_t resource)
{
    for (uint32_t i = 0; i < want->n; i++) {
        if (want->resource[i] == resource)
            return want->amount[i];
    }
    return 0;
}

/* component: n_components for all of them. */
static struct sums sum_of(const struct jbi_books *books, uint32_t resource, uint32_t component)
{
    struct sums sums = {0};
    struct jbi_want want;

    for (uint32_t i = 0; i < books->n_leases; i++) {
        if (books->leases[i].token == 0)
            continue;
        jbi_lease_unpack(books, &books->leases[i], &want);
        if (component == books->n_components || component == want.component) {
            sums.allocated += of_resource(&want, resource);
            sums.noticed += want.is_noticed ? of_resource(&want, resource) : 0;
            sums.n_leases += of_resource(&want, resource) > 0;
        }
    }
    for (uint32_t i = 0; i < books->n_waiters; i++) {
        if (books->waiters[i].state != JBI_WAITER_WAITING)
            continue;
        jbi_waiter_unpack(books, &books->waiters[i], &want);
        sums.n_waiting += of_resource(&want, resource) > 0;
    }
    return sums;
}

static int audit_resource(const struct jbi_books *books, uint32_t idx, jb_error *err)
{
    const struct jbi_quota_resource *resource = &books->resources[idx];
    struct sums sums = sum_of(books, idx, books->n_components);

    if (sums.allocated != resource->allocated || sums.n_leases != resource->n_leases ||
        sums.n_waiting != resource->n_waiting)
        return jbi_error_set(
            err, JB_ECORRUPT,
            "'%.31s': %" PRIu64 " in %" PRIu64 " leases are booked as %" PRIu64 " in %" PRIu64,
            resource->name, sums.allocated, sums.n_leases, resource->allocated, resource->n_leases);
    if (resource->allocated > jbi_books_limit(resource))
        return jbi_error_set(err, JB_ECORRUPT, "'%.31s': more is given out than there is",
                             resource->name);
    for (uint32_t i = 0; i < books->n_components; i++) {
        const struct jbi_quota_share *share = jbi_share_get(books, i, idx);

        sums = sum_of(books, idx, i);
        if (share->allocated != sums.allocated || share->noticed != sums.noticed ||
            share->allocated > share->ceiling)
            return jbi_error_set(err, JB_ECORRUPT,
                                 "'%.31s' of '%.31s' is booked wrongly, or over its ceiling",
                                 books->components[i].name, resource->name);
    }
    return 0;
}

static uint64_t line_length(const struct jbi_books *books, const struct jbi_quota_flow *flow,
                            uint64_t flow_at)
{
    uint64_t at = flow->head, prev = 0, n = 0, last_id = 0;

    while (n <= books->n_waiters && jbi_waiter_get(books, at)) {
        const struct jbi_quota_waiter *waiter = jbi_waiter_get(books, at);
        struct jbi_want want;

        jbi_waiter_unpack(books, waiter, &want);
        if (waiter->state != JBI_WAITER_WAITING || waiter->flow != flow_at ||
            waiter->prev != prev || waiter->id <= last_id || want.mask != flow->mask)
            return 0;
        last_id = waiter->id;
        prev = at;
        at = waiter->next;
        n++;
    }
    return flow->tail == prev ? n : 0;
}

static int audit_lines(const struct jbi_books *books, jb_error *err)
{
    uint64_t at = books->head->first_flow, prev = 0, n_waiting = 0, n_flows = 0;

    while (at && n_flows <= books->n_waiters) {
        const struct jbi_quota_flow *flow = jbi_flow_get(books, at);
        uint64_t n = flow ? line_length(books, flow, at) : 0;

        if (n == 0 || flow->prev != prev)
            return jbi_error_set(err, JB_ECORRUPT, "a line is empty or broken");
        n_waiting += n;
        n_flows++;
        prev = at;
        at = flow->next;
    }
    for (at = books->head->free_flow; at && n_flows <= books->n_waiters; n_flows++) {
        const struct jbi_quota_flow *flow = jbi_flow_get(books, at);

        if (!flow)
            break;
        at = flow->next;
    }
    if (n_waiting != books->head->n_waiting || n_flows != books->n_waiters)
        return jbi_error_set(err, JB_ECORRUPT,
                             "%" PRIu64 " in line are counted as %" PRIu64 ", %" PRIu64 " lines",
                             n_waiting, books->head->n_waiting, n_flows);
    return 0;
}

static int audit_slots(const struct jbi_books *books, jb_error *err)
{
    uint64_t n_used = 0, n_free = 0, at = books->head->free_lease;

    for (uint32_t i = 0; i < books->n_waiters; i++)
        n_used += books->waiters[i].state != JBI_WAITER_FREE;
    if (n_used != books->head->n_waiters)
        return jbi_error_set(err, JB_ECORRUPT, "%" PRIu64 " places in line are counted as %" PRIu64,
                             n_used, books->head->n_waiters);
    for (; at >= 1 && at <= books->n_leases && n_free <= books->n_leases; n_free++)
        at = books->leases[at - 1].next;
    if (n_free + books->head->n_leases != books->head->top_lease)
        return jbi_error_set(err, JB_ECORRUPT, "a place for leases is lost");
    return 0;
}

static int audit_all(const struct jbi_books *books, jb_error *err)
{
    int rc = audit_leases(books, err);

    for (uint32_t i = 0; i < books->n_resources && !rc; i++)
        rc = audit_resource(books, i, err);
    if (!rc)
        rc = audit_lines(books, err);
    if (!rc)
        rc = audit_slots(books, err);
    if (!rc && !jbi_rate_is_sound(books))
        rc = jbi_error_set(err, JB_ECORRUPT, "the line for rates is broken");
    if (!rc && jbi_queue_somebody_could_go(books))
        rc = jbi_error_set(err, JB_ECORRUPT, "somebody waits who could be served");
    return rc;
}

int jb_coord_audit(jb_coord *coord, jb_error *err)
{
    int rc;

    if (!coord)
        return jbi_error_set(err, JB_EINVAL, "coord is NULL");
    rc = jbi_coord_enter(coord);
    if (rc)
        return jbi_error_set(err, rc, "the handle does not survive fork()");
    jbi_queue_serve(&coord->books);
    rc = audit_all(&coord->books, err);
    jbi_coord_leave(coord);
    return rc;
}
