/*
 * usage.c: taking and reserving at once, committing, correcting: calls of usage.h. Checking is done
 * before the lock is taken, deciding under it (limits.c, rate_order.c). Those of the line are in
 * ticket.c.
 *
 * Whoever gives something back serves who waits for it, before the lock is given back.
 */
#include "quota/usage.h"
#include "quota/coord.h"
#include "quota/rate_line.h"

int jbi_usage_of(const jb_coord *coord, const jb_take *take, struct jbi_usage *ret_usage)
{
    const struct jbi_books *books = &coord->books;
    uint32_t lease_class = take->lease_class ? take->lease_class : JB_CLASS_NORMAL;
    uint64_t mask = 0;

    if (take->component >= books->n_components || take->n_amounts < 1 ||
        take->n_amounts > JB_QUOTA_AMOUNTS_MAX || !take->amounts ||
        lease_class > JB_CLASS_CRITICAL || take->_reserved != 0)
        return JB_EINVAL;
    *ret_usage = (struct jbi_usage){.component = take->component,
                                    .class_idx = lease_class - 1,
                                    .n = take->n_amounts,
                                    .peer = books->peer};
    for (uint32_t i = 0; i < take->n_amounts; i++) {
        const jb_amount *amount = &take->amounts[i];

        if (amount->resource >= books->n_resources || amount->_reserved != 0 ||
            (mask & UINT64_C(1) << amount->resource))
            return JB_EINVAL;
        mask |= UINT64_C(1) << amount->resource;
        ret_usage->resource[i] = amount->resource;
        ret_usage->amount[i] = amount->amount;
    }
    return 0;
}

/* With the lock taken: find the limits, or give the lock back. */
static int inside(jb_coord *coord, struct jbi_limits *ret_limits)
{
    const struct jbi_books *books = &coord->books;
    int rc = books->limit_bytes ? JB_ECORRUPT : JB_ENOENT;

    if (jbi_limits_of(books, ret_limits))
        return 0;
    jbi_coord_leave(coord);
    return rc;
}

int jbi_usage_enter(jb_coord *coord, struct jbi_limits *ret_limits)
{
    int rc = jbi_coord_enter(coord);

    return rc ? rc : inside(coord, ret_limits);
}

int jbi_usage_try_enter(jb_coord *coord, struct jbi_limits *ret_limits)
{
    int rc = jbi_coord_try_enter(coord);

    return rc ? rc : inside(coord, ret_limits);
}

void jbi_usage_show(const struct jbi_limits *limits, uint32_t slot, jb_usage *ret_usage)
{
    const struct jbi_reservation *reservation = &limits->reservations[slot];

    *ret_usage = (jb_usage){
        .token = reservation->token, .deadline_ns = reservation->deadline_ns, .slot = slot};
}

void jbi_denial_show(const struct jbi_denial *denial, jb_denial *ret_denial)
{
    if (ret_denial)
        *ret_denial = (jb_denial){.retry_after_ns = denial->retry_after_ns, .limit = denial->limit};
}

int jbi_usage_take(jb_coord *coord, const struct jbi_limits *limits, const struct jbi_usage *usage,
                   jb_usage *ret_usage, struct jbi_denial *ret_denial)
{
    struct jbi_standing standing;
    uint64_t token;
    int64_t slot;
    int rc;

    do {
        jbi_rate_ask(limits, usage, JBI_RATE_NOBODY, &standing);
        rc = standing.rc;
        if (rc != 0)
            continue;
        slot = jbi_rate_give(limits, usage, ret_usage ? &token : NULL);
        rc = slot < 0 ? (int)slot : 0;
        if (rc == 0 && ret_usage)
            jbi_usage_show(limits, (uint32_t)slot, ret_usage);
        jbi_undo_commit(limits->undo);
    } while ((rc == JB_EAGAIN || rc == JB_ELIMIT) && jbi_coord_bury_inside(coord));
    *ret_denial = standing.denial;
    return rc;
}

/* The caller is inside. */
static int take_or_deny(jb_coord *coord, const struct jbi_limits *limits,
                        const struct jbi_usage *usage, jb_usage *ret_usage, jb_denial *ret_denial)
{
    struct jbi_denial denial;
    int rc = jbi_usage_take(coord, limits, usage, ret_usage, &denial);

    if (rc == JB_EAGAIN || rc == JB_ETOOBIG) {
        jbi_limits_deny(limits, usage, &denial);
        jbi_denial_show(&denial, ret_denial);
    }
    return rc;
}

int jb_usage_try(jb_coord *coord, const jb_take *take, jb_usage *ret_usage, jb_denial *ret_denial)
{
    struct jbi_limits limits;
    struct jbi_usage usage;
    int rc;

    if (!coord || !take)
        return JB_EINVAL;
    rc = jbi_usage_of(coord, take, &usage);
    if (rc)
        return rc;
    rc = jbi_usage_try_enter(coord, &limits);
    if (rc == JB_EAGAIN && ret_denial)
        *ret_denial = (jb_denial){.limit = UINT32_MAX};
    if (rc)
        return rc;
    rc = take_or_deny(coord, &limits, &usage, ret_usage, ret_denial);
    jbi_coord_leave(coord);
    return rc;
}

/* Now or not at all, but wait for the lock. */
static int take_now(jb_coord *coord, const struct jbi_usage *usage, jb_usage *ret_usage,
                    jb_denial *ret_denial)
{
    struct jbi_limits limits;
    int rc = jbi_usage_enter(coord, &limits);

    if (rc)
        return rc;
    rc = take_or_deny(coord, &limits, usage, ret_usage, ret_denial);
    jbi_coord_leave(coord);
    return rc;
}

int jb_usage_reserve(jb_coord *coord, const jb_take *take, uint64_t timeout_ns, jb_usage *ret_usage,
                     jb_denial *ret_denial)
{
    struct jbi_usage usage;
    int rc;

    if (!coord || !take)
        return JB_EINVAL;
    rc = jbi_usage_of(coord, take, &usage);
    if (rc)
        return rc;
    if (timeout_ns == 0)
        return take_now(coord, &usage, ret_usage, ret_denial);
    return jbi_usage_take_or_wait(coord, &usage, timeout_ns, ret_usage, ret_denial);
}

static int settle(jb_coord *coord, const jb_usage *usage, const uint64_t *used, uint32_t n_used,
                  bool as_reserved)
{
    struct jbi_reservation *reservation;
    struct jbi_limits limits;
    struct jbi_usage own;
    uint64_t amounts[JB_QUOTA_AMOUNTS_MAX] = {0};
    int rc;

    if (!coord || !usage || (!used && n_used != 0) || n_used > JB_QUOTA_AMOUNTS_MAX)
        return JB_EINVAL;
    rc = jbi_usage_enter(coord, &limits);
    if (rc)
        return rc;
    reservation = jbi_limits_find(&limits, usage->token, usage->slot);
    if (!reservation) {
        jbi_coord_leave(coord);
        return JB_ENOENT;
    }
    jbi_reservation_unpack(reservation, &own);
    if (own.peer != coord->books.peer) {
        jbi_coord_leave(coord);
        return JB_ENOENT;
    }
    if (used && n_used != own.n) {
        jbi_coord_leave(coord);
        return JB_EINVAL;
    }
    for (uint32_t i = 0; i < own.n; i++) {
        if (used)
            amounts[i] = used[i];
        else if (as_reserved)
            amounts[i] = own.amount[i];
    }
    jbi_limits_settle(&limits, usage->slot, amounts, JB_USED_TOLD);
    jbi_rate_serve(&limits);
    jbi_coord_leave(coord);
    return 0;
}

int jb_usage_commit(jb_coord *coord, const jb_usage *usage, const uint64_t *used, uint32_t n_used)
{
    return settle(coord, usage, used, n_used, true);
}

int jb_usage_refund(jb_coord *coord, const jb_usage *usage)
{
    return settle(coord, usage, NULL, 0, false);
}

int jb_usage_correct(jb_coord *coord, uint32_t limit, const jb_correction *correction)
{
    const uint32_t known = JB_CORRECT_LIMIT | JB_CORRECT_REMAINING | JB_CORRECT_RAISE;
    struct jbi_limits limits;
    int rc;

    if (!coord || !correction || (correction->flags & ~known) || correction->_reserved)
        return JB_EINVAL;
    rc = jbi_usage_enter(coord, &limits);
    if (rc)
        return rc;
    if (limit < limits.n_limits)
        jbi_limits_correct(&limits, limit, correction, coord->books.head->now_ns);
    else
        rc = JB_EINVAL;
    jbi_rate_refuse(&limits);
    jbi_rate_serve(&limits);
    jbi_coord_leave(coord);
    return rc;
}

int jb_usage_block(jb_coord *coord, uint32_t resource, uint64_t after_ns)
{
    struct jbi_limits limits;
    uint64_t now;
    int rc;

    if (!coord || resource >= coord->books.n_resources)
        return JB_EINVAL;
    rc = jbi_usage_enter(coord, &limits);
    if (rc)
        return rc;
    now = coord->books.head->now_ns;
    if (!jbi_limits_block(&limits, resource,
                          after_ns < UINT64_MAX - now ? now + after_ns : UINT64_MAX))
        rc = JB_ENOENT;
    jbi_coord_leave(coord);
    return rc;
}

int jb_coord_limit_at(jb_coord *coord, uint32_t idx, jb_limit_info *ret_info)
{
    const struct jbi_limit *limit;
    struct jbi_limits limits;
    jb_rate_state state;
    uint64_t now;
    int rc;

    if (!coord || !ret_info)
        return JB_EINVAL;
    rc = jbi_usage_enter(coord, &limits);
    if (rc)
        return rc;
    if (idx >= limits.n_limits) {
        jbi_coord_leave(coord);
        return JB_ENOENT;
    }
    now = coord->books.head->now_ns;
    limit = &limits.limits[idx];
    jbi_limits_state(&limits, idx, now, &state);
    *ret_info = (jb_limit_info){
        .resource = (uint32_t)limit->resource,
        .component = (uint32_t)limit->component,
        .kind = (uint32_t)limit->kind,
        .amount = limit->amount,
        .period_ns = limit->period_ns,
        .in_force = limit->in_force,
        .most = state.limit,
        .remaining = state.remaining,
        .reset_after_ns = state.reset_after_ns,
        .blocked_ns = limit->blocked_until_ns > now ? limit->blocked_until_ns - now : 0,
        .reserved = limit->open,
        .n_taken = limit->n_taken,
        .n_denied = limit->n_denied,
        .n_waiting =
            jbi_rate_n_waiting(&coord->books, (uint32_t)limit->resource % JB_QUOTA_RESOURCES_MAX,
                               (uint32_t)limit->component),
    };
    jbi_coord_leave(coord);
    return 0;
}
