/*
 * lease.c: what a holder, or who watches over holders, does with a lease: the second half of the
 * calls of quota.h.
 *
 * A lease is its token. The slot only says where to look; whoever comes with a token that is not
 * there any more, or with somebody else's lease, changes nothing.
 */
#include "quota/coord.h"

struct jbi_quota_lease *jbi_coord_own_lease(const jb_coord *coord, const jb_lease *lease)
{
    struct jbi_quota_lease *found = jbi_books_find(&coord->books, lease->token, lease->slot);
    uint32_t peer = found ? jbi_who_peer(found->who) : 0;

    return found && (peer == 0 || peer == coord->books.peer) ? found : NULL;
}

int jb_lease_release(jb_coord *coord, const jb_lease *lease)
{
    int rc;

    if (!coord || !lease)
        return JB_EINVAL;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    if (jbi_coord_own_lease(coord, lease))
        jbi_books_end(&coord->books, lease->slot, JB_LEASE_RELEASED);
    else
        rc = JB_ENOENT;
    jbi_coord_leave(coord);
    return rc;
}

/* Somebody is due who wants what it has: he waits for max_hold_ns from the grant, not for all
 * renewals. */
static bool is_too_late(const struct jbi_books *books, const struct jbi_quota_lease *lease,
                        uint64_t deadline_ns)
{
    uint64_t most = books->head->max_hold_ns;
    struct jbi_want held;

    if (most == 0 || deadline_ns <= lease->deadline_ns ||
        (deadline_ns > lease->granted_ns && deadline_ns - lease->granted_ns <= most))
        return false;
    jbi_lease_unpack(books, lease, &held);
    return jbi_queue_is_any_due(books, held.component, held.mask);
}

static int renew_inside(jb_coord *coord, jb_lease *lease, uint64_t hold_ns)
{
    const struct jbi_books *books = &coord->books;
    const struct jbi_quota_lease *found = jbi_coord_own_lease(coord, lease);
    uint64_t most = books->head->max_hold_ns ? books->head->max_hold_ns : UINT64_MAX;
    uint64_t now = books->head->now_ns;
    uint64_t deadline_ns;

    if (!found)
        return JB_ENOENT;
    if (found->has_notice)
        return JB_ESTATE;
    if (hold_ns == 0)
        hold_ns = found->hold_ns;
    if (hold_ns > most)
        hold_ns = most;
    deadline_ns = hold_ns < UINT64_MAX - now ? now + hold_ns : UINT64_MAX;
    if (deadline_ns == UINT64_MAX && jbi_who_peer(found->who) == 0)
        return JB_EINVAL;
    if (is_too_late(books, found, deadline_ns))
        return JB_ESTATE;
    jbi_books_set_deadline(books, lease->slot, deadline_ns);
    jbi_undo_commit(&books->undo);
    lease->deadline_ns = found->deadline_ns;
    return 0;
}

int jb_lease_renew(jb_coord *coord, jb_lease *lease, uint64_t hold_ns)
{
    int rc;

    if (!coord || !lease)
        return JB_EINVAL;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    rc = renew_inside(coord, lease, hold_ns);
    jbi_coord_leave(coord);
    return rc;
}

static int shrink_inside(jb_coord *coord, const jb_lease *lease, uint32_t resource, uint64_t amount)
{
    const struct jbi_quota_lease *found = jbi_coord_own_lease(coord, lease);
    struct jbi_want held;

    if (!found)
        return JB_ENOENT;
    jbi_lease_unpack(&coord->books, found, &held);
    for (uint32_t i = 0; i < held.n; i++) {
        if (held.resource[i] != resource)
            continue;
        if (amount > held.amount[i])
            return JB_EINVAL;
        if (amount < held.amount[i])
            jbi_books_shrink(&coord->books, lease->slot, i, amount);
        return 0;
    }
    return JB_ENOENT;
}

int jb_lease_shrink(jb_coord *coord, const jb_lease *lease, uint32_t resource, uint64_t amount)
{
    int rc;

    if (!coord || !lease || amount == 0)
        return JB_EINVAL;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    rc = shrink_inside(coord, lease, resource, amount);
    jbi_coord_leave(coord);
    return rc;
}

int jb_lease_revoke(jb_coord *coord, uint64_t token, uint32_t slot, uint64_t notice_ns)
{
    int rc;

    if (!coord)
        return JB_EINVAL;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    if (!jbi_books_find(&coord->books, token, slot))
        rc = JB_ENOENT;
    else if (notice_ns == 0)
        jbi_books_end(&coord->books, slot, JB_LEASE_REVOKED);
    else
        jbi_books_notice(&coord->books, slot, notice_ns);
    jbi_coord_leave(coord);
    return rc;
}

int jb_lease_check(jb_coord *coord, const jb_lease *lease, uint64_t *ret_left_ns)
{
    const struct jbi_quota_lease *found;
    int rc;

    if (!coord || !lease)
        return JB_EINVAL;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    found = jbi_coord_own_lease(coord, lease);
    if (found && ret_left_ns)
        *ret_left_ns = found->deadline_ns == UINT64_MAX
                           ? UINT64_MAX
                           : found->deadline_ns - coord->books.head->now_ns;
    if (found)
        rc = found->has_notice ? JB_LEASE_NOTICE : JB_LEASE_GOOD;
    else
        rc = JB_ENOENT;
    jbi_coord_leave(coord);
    return rc;
}

int jb_coord_set_foreign(jb_coord *coord, uint32_t resource, uint64_t amount)
{
    int rc;

    if (!coord || resource >= coord->books.n_resources)
        return JB_EINVAL;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    jbi_books_unsettle(&coord->books);
    jbi_undo_set(&coord->books.undo, &coord->books.resources[resource].foreign, amount);
    jbi_undo_commit(&coord->books.undo);
    jbi_coord_leave(coord);
    return 0;
}

int jb_coord_tick(jb_coord *coord, uint64_t *ret_next_ns)
{
    uint32_t n_ended;
    int rc;

    if (!coord)
        return JB_EINVAL;
    n_ended = jbi_coord_bury_dead(coord);
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    n_ended += coord->n_ended;
    jbi_queue_serve(&coord->books);
    if (ret_next_ns)
        *ret_next_ns = jbi_coord_next_ns(coord);
    jbi_coord_leave(coord);
    return (int)n_ended;
}
