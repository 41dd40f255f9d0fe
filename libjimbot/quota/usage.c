/*
 * usage.c: taking, reserving, committing: the calls of usage.h. Checking is done before the lock is
 * taken, deciding under it (limits.c).
 *
 * Who waits for a rate sleeps until it would be there, or until somebody gives something back and
 * rings the bell. The bell is rung under the lock, and only when somebody said under the lock that
 * he would sleep; the wake-up itself comes after it.
 */
#include "base/os.h"
#include "quota/coord.h"
#include "quota/limits.h"

static int usage_of(const jb_coord *coord, const jb_take *take, struct jbi_usage *ret_usage)
{
    const struct jbi_books *books = &coord->books;
    uint64_t mask = 0;

    if (take->component >= books->n_components || take->n_amounts < 1 ||
        take->n_amounts > JB_QUOTA_AMOUNTS_MAX || !take->amounts)
        return JB_EINVAL;
    *ret_usage =
        (struct jbi_usage){.component = take->component, .n = take->n_amounts, .peer = books->peer};
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

/* Something came back before its time. */
static bool ring(const struct jbi_limits *limits)
{
    bool is_asleep = limits->head->is_asleep != 0;

    atomic_fetch_add_explicit(&limits->head->bell, 1, memory_order_relaxed);
    limits->head->is_asleep = 0;
    return is_asleep;
}

static void leave_and_wake(jb_coord *coord, const struct jbi_limits *limits)
{
    bool is_asleep = ring(limits);

    jbi_coord_leave(coord);
    if (is_asleep)
        jbi_os_wake_all((uint32_t *)&limits->head->bell);
}

/* The caller is inside. */
static int take_inside(jb_coord *coord, const struct jbi_limits *limits,
                       const struct jbi_usage *usage, jb_usage *ret_usage, jb_denial *ret_denial)
{
    struct jbi_usage checked = *usage;
    struct jbi_denial denial;
    uint64_t token;
    uint32_t slot;
    int rc;

    do {
        rc = jbi_limits_take(limits, &checked, ret_usage ? &token : NULL, &slot, &denial);
        checked.is_repeated = true;
    } while ((rc == JB_EAGAIN || rc == JB_ELIMIT) && jbi_coord_bury_inside(coord));
    if ((rc == JB_EAGAIN || rc == JB_ETOOBIG) && ret_denial)
        *ret_denial = (jb_denial){.retry_after_ns = denial.retry_after_ns, .limit = denial.limit};
    if (rc == 0 && ret_usage)
        *ret_usage = (jb_usage){
            .token = token, .deadline_ns = limits->reservations[slot].deadline_ns, .slot = slot};
    return rc;
}

int jb_usage_try(jb_coord *coord, const jb_take *take, jb_usage *ret_usage, jb_denial *ret_denial)
{
    struct jbi_limits limits;
    struct jbi_usage usage;
    int rc;

    if (!coord || !take)
        return JB_EINVAL;
    rc = usage_of(coord, take, &usage);
    if (rc)
        return rc;
    rc = jbi_coord_try_enter(coord);
    if (rc == JB_EAGAIN && ret_denial)
        *ret_denial = (jb_denial){.limit = UINT32_MAX};
    if (rc == 0)
        rc = inside(coord, &limits);
    if (rc)
        return rc;
    rc = take_inside(coord, &limits, &usage, ret_usage, ret_denial);
    jbi_coord_leave(coord);
    return rc;
}

/* Sleep until it may be our turn; false: there is no time left. */
static bool doze(jb_coord *coord, const struct jbi_limits *limits, uint32_t bell, uint64_t retry_ns,
                 uint64_t until_ns)
{
    uint64_t now = coord->clock(coord->clock_userdata);
    uint64_t ns = retry_ns < JBI_LOOK_NS ? retry_ns : JBI_LOOK_NS;

    if (now >= until_ns)
        return false;
    if (ns > until_ns - now)
        ns = until_ns - now;
    jbi_os_wait_on((uint32_t *)&limits->head->bell, bell, ns);
    return true;
}

int jb_usage_reserve(jb_coord *coord, const jb_take *take, uint64_t timeout_ns, jb_usage *ret_usage,
                     jb_denial *ret_denial)
{
    struct jbi_limits limits;
    struct jbi_usage usage;
    jb_denial denial = {.limit = UINT32_MAX};
    uint64_t until_ns;
    int rc;

    if (!coord || !take)
        return JB_EINVAL;
    rc = usage_of(coord, take, &usage);
    if (rc)
        return rc;
    until_ns = coord->clock(coord->clock_userdata);
    until_ns = timeout_ns < UINT64_MAX - until_ns ? until_ns + timeout_ns : UINT64_MAX;
    for (;;) {
        uint32_t bell = 0;

        rc = jbi_usage_enter(coord, &limits);
        if (rc)
            return rc;
        rc = take_inside(coord, &limits, &usage, ret_usage, &denial);
        if (rc == JB_EAGAIN && timeout_ns != 0) {
            bell = atomic_load_explicit(&limits.head->bell, memory_order_relaxed);
            limits.head->is_asleep = 1;
        }
        jbi_coord_leave(coord);
        if (rc != 0 && ret_denial)
            *ret_denial = denial;
        if (rc != JB_EAGAIN || timeout_ns == 0)
            return rc;
        usage.is_repeated = true;
        if (!doze(coord, &limits, bell, denial.retry_after_ns, until_ns))
            return JB_ETIMEDOUT;
    }
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
    leave_and_wake(coord, &limits);
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
    leave_and_wake(coord, &limits);
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
    };
    jbi_coord_leave(coord);
    return 0;
}
