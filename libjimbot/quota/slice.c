/*
 * slice.c: time on a device, in slices: leases whose price is how long they lasted. Who is next is
 * decided as for all leases (queue.c), what a slice cost is charged where leases end (books.c).
 */
#include "quota/coord.h"

static jb_want want_of(const jb_coord *coord, const jb_slice *slice, jb_amount *amount)
{
    amount->resource = slice->resource;
    amount->_reserved = 0;
    amount->amount = slice->amount;
    if (slice->amount == 0 && slice->resource < coord->books.n_resources)
        amount->amount = jbi_books_limit(&coord->books.resources[slice->resource]);
    return (jb_want){
        .component = slice->component,
        .lease_class = slice->lease_class,
        .n_amounts = 1,
        .amounts = amount,
        .hold_ns = slice->hold_ns,
    };
}

int jb_slice_begin(jb_coord *coord, jb_slice *slice, uint64_t timeout_ns)
{
    jb_amount amount;
    jb_want want;

    if (!coord || !slice)
        return JB_EINVAL;
    if (slice->lease.token != 0)
        return JB_ESTATE;
    want = want_of(coord, slice, &amount);
    return jb_coord_acquire(coord, &want, timeout_ns, &slice->lease);
}

int jb_slice_try(jb_coord *coord, jb_slice *slice)
{
    jb_amount amount;
    jb_want want;

    if (!coord || !slice)
        return JB_EINVAL;
    if (slice->lease.token != 0)
        return JB_ESTATE;
    want = want_of(coord, slice, &amount);
    return jb_coord_try(coord, &want, &slice->lease);
}

int jb_slice_check(jb_coord *coord, const jb_slice *slice)
{
    const struct jbi_quota_resource *resource;
    const struct jbi_quota_lease *lease;
    int rc;

    if (!coord || !slice || slice->resource >= coord->books.n_resources)
        return JB_EINVAL;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    resource = &coord->books.resources[slice->resource];
    lease = jbi_coord_own_lease(coord, &slice->lease);
    if (!lease)
        rc = JB_ENOENT;
    else if (lease->has_notice ||
             (resource->n_waiting > 0 &&
              coord->books.head->now_ns - lease->granted_ns >= resource->quantum_ns))
        rc = JB_LEASE_NOTICE;
    jbi_coord_leave(coord);
    return rc;
}

/* Ends it, if it goes on, and forgets it in any case. The caller is inside. */
static int end_inside(jb_coord *coord, jb_slice *slice)
{
    const struct jbi_quota_lease *lease = jbi_coord_own_lease(coord, &slice->lease);
    int rc = lease ? 0 : JB_ENOENT;

    if (lease) {
        slice->used_ns = coord->books.head->now_ns - lease->granted_ns;
        jbi_books_end(&coord->books, slice->lease.slot, JB_LEASE_RELEASED);
    }
    slice->lease = (jb_lease){0};
    return rc;
}

int jb_slice_end(jb_coord *coord, jb_slice *slice)
{
    int rc;

    if (!coord || !slice)
        return JB_EINVAL;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    rc = end_inside(coord, slice);
    jbi_coord_leave(coord);
    return rc;
}

static uint64_t until_of(uint64_t now, uint64_t timeout_ns)
{
    return timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
}

int jb_slice_next(jb_coord *coord, jb_slice *slice, uint64_t timeout_ns)
{
    struct jbi_want checked;
    jb_ticket ticket = {0};
    jb_amount amount;
    jb_want want;
    int64_t slot;
    int rc;

    if (!coord || !slice)
        return JB_EINVAL;
    want = want_of(coord, slice, &amount);
    rc = jbi_coord_want_take(coord, &want, &checked);
    if (rc) {
        (void)jb_slice_end(coord, slice);
        return rc;
    }
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    /* First in line, then the end: whoever is served by it chooses among us too. */
    checked.since_ns = coord->books.head->now_ns;
    do
        slot = jbi_queue_enter(&coord->books, &checked, until_of(checked.since_ns, timeout_ns));
    while (slot < 0 && jbi_coord_bury_inside(coord));
    if (slot >= 0)
        ticket = (jb_ticket){.id = coord->books.waiters[slot].id, .slot = (uint32_t)slot};
    (void)end_inside(coord, slice);
    jbi_coord_leave(coord);
    if (slot < 0)
        return (int)slot;
    rc = jbi_coord_wait_or_leave(coord, &ticket, timeout_ns, &slice->lease);
    return rc == JB_ETIMEDOUT && timeout_ns == 0 ? JB_EAGAIN : rc;
}
