/*
 * coord.c: asking, waiting, having, giving back: the calls of quota.h about leases. Checking is
 * done before the lock is taken, deciding under it.
 */
#include "quota/coord.h"

#include "quota/limits.h"

static bool is_usable(const jb_coord *coord)
{
    return jbi_fork_guard_is_valid(&coord->guard);
}

static void inside(jb_coord *coord, enum jbi_lock_result how)
{
    if (how == JBI_LOCK_INHERITED) {
        jbi_undo_roll_back(&coord->books.undo);
        jbi_books_unsettle(&coord->books);
        coord->books.head->n_takeovers++;
    }
    /* Whoever gives the lock back leaves no log; what is in it now is nobody's step. */
    jbi_undo_commit(&coord->books.undo);
    coord->books.n_wakes = 0;
    jbi_books_now(&coord->books, coord->clock(coord->clock_userdata));
    coord->n_ended = jbi_books_expire(&coord->books);
    jbi_limits_tick(&coord->books);
}

int jbi_coord_enter(jb_coord *coord)
{
    if (!is_usable(coord))
        return JB_ESTATE;
    inside(coord, jbi_lock_take(&coord->lock, false));
    return 0;
}

int jbi_coord_try_enter(jb_coord *coord)
{
    enum jbi_lock_result how;

    if (!is_usable(coord))
        return JB_ESTATE;
    how = jbi_lock_try(&coord->lock);
    if (how == JBI_LOCK_BUSY)
        return JB_EAGAIN;
    inside(coord, how);
    return 0;
}

void jbi_coord_enter_locked(jb_coord *coord, bool is_first)
{
    inside(coord, is_first ? jbi_lock_take_first(&coord->lock) : jbi_lock_take(&coord->lock, true));
}

void jbi_coord_leave(jb_coord *coord)
{
    struct jbi_books *books = &coord->books;
    uint32_t wakes[JBI_WAKES_MAX];
    uint32_t n;

    jbi_queue_serve(books);
    n = books->n_wakes;
    for (uint32_t i = 0; i < n; i++)
        wakes[i] = books->wakes[i];
    jbi_undo_commit(&books->undo);
    jbi_lock_give(&coord->lock);
    for (uint32_t i = 0; i < n; i++)
        jbi_os_wake_all((uint32_t *)&books->waiters[wakes[i]].bell);
}

static int amounts_take(const struct jbi_books *books, const jb_want *given,
                        struct jbi_want *ret_want)
{
    if (given->n_amounts < 1 || given->n_amounts > JB_QUOTA_AMOUNTS_MAX || !given->amounts)
        return JB_EINVAL;
    for (uint32_t i = 0; i < given->n_amounts; i++) {
        const jb_amount *amount = &given->amounts[i];

        if (amount->resource >= books->n_resources || amount->amount == 0 ||
            amount->_reserved != 0 || (ret_want->mask & UINT64_C(1) << amount->resource))
            return JB_EINVAL;
        ret_want->mask |= UINT64_C(1) << amount->resource;
        ret_want->resource[i] = amount->resource;
        ret_want->amount[i] = amount->amount;
    }
    ret_want->n = given->n_amounts;
    return jbi_books_is_possible(books, ret_want) ? 0 : JB_ETOOBIG;
}

static uint64_t hold_cut(const struct jbi_books *books, uint64_t hold_ns)
{
    uint64_t most = books->head->max_hold_ns ? books->head->max_hold_ns : UINT64_MAX;

    return hold_ns != 0 && hold_ns < most ? hold_ns : most;
}

int jbi_coord_want_take(const jb_coord *coord, const jb_want *given, struct jbi_want *ret_want)
{
    const struct jbi_books *books = &coord->books;
    uint32_t lease_class = given->lease_class ? given->lease_class : JB_CLASS_NORMAL;

    if (given->component >= books->n_components || lease_class > JB_CLASS_CRITICAL ||
        (given->flags & ~(uint32_t)JB_WANT_DETACHED))
        return JB_EINVAL;
    /* Nobody's death would end it, so time has to. */
    if ((given->flags & JB_WANT_DETACHED) &&
        (given->hold_ns == 0 || hold_cut(books, given->hold_ns) == UINT64_MAX))
        return JB_EINVAL;
    *ret_want = (struct jbi_want){
        .component = given->component,
        .class_idx = lease_class - 1,
        .peer = given->flags & JB_WANT_DETACHED ? 0 : books->peer,
        .hold_ns = hold_cut(books, given->hold_ns),
        .tag = given->tag,
    };
    return amounts_take(books, given, ret_want);
}

static void lease_show(const struct jbi_quota_lease *lease, uint32_t slot, jb_lease *ret_lease)
{
    *ret_lease = (jb_lease){
        .token = lease->token,
        .granted_ns = lease->granted_ns,
        .deadline_ns = lease->deadline_ns,
        .slot = slot,
    };
}

static void record_denied(const struct jbi_books *books, const struct jbi_want *want)
{
    struct jbi_happening what = {.kind = JB_RECORD_DENIED, .reason = JB_DENIED_BUSY};

    jbi_record_want(books, &what, want);
    books->components[want->component].n_denied++;
    for (uint32_t i = 0; i < want->n; i++)
        books->resources[want->resource[i]].n_denied++;
    jbi_undo_commit(&books->undo);
}

static bool is_nobody_before(const struct jbi_books *books, const struct jbi_want *want)
{
    return books->head->n_waiting == 0 && !jbi_queue_has_linger(books, want);
}

/* Nobody waits: what fits is granted. */
static int grant_at_once(const struct jbi_books *books, const struct jbi_want *want,
                         jb_lease *ret_lease)
{
    int64_t slot;

    if (jbi_books_fit(books, want, NULL) != JBI_FITS)
        return JB_EAGAIN;
    slot = jbi_books_grant(books, want);
    if (slot < 0)
        return (int)slot;
    jbi_undo_commit(&books->undo);
    lease_show(&books->leases[slot], (uint32_t)slot, ret_lease);
    return 0;
}

/* Others wait: stand in line, and see whether that was our turn. */
static int grant_in_line(struct jbi_books *books, const struct jbi_want *want, jb_lease *ret_lease)
{
    const struct jbi_quota_lease *lease;
    uint32_t at;
    int64_t slot;

    if (jbi_books_fit(books, want, NULL) != JBI_FITS)
        return JB_EAGAIN;
    slot = jbi_queue_try_enter(books, want);
    if (slot < 0)
        return (int)slot;
    jbi_queue_grant(books);
    if (books->waiters[slot].state != JBI_WAITER_GRANTED) {
        jbi_queue_try_leave(books, (uint32_t)slot);
        return JB_EAGAIN;
    }
    at = (uint32_t)books->waiters[slot].lease;
    lease = jbi_books_find(books, books->waiters[slot].token, at);
    if (lease)
        lease_show(lease, at, ret_lease);
    jbi_queue_forget(books, (uint32_t)slot);
    return lease ? 0 : JB_EAGAIN;
}

/* The caller is inside. */
static int try_inside(jb_coord *coord, struct jbi_want *want, jb_lease *ret_lease)
{
    struct jbi_books *books = &coord->books;
    int rc;

    want->since_ns = books->head->now_ns;
    do
        rc = is_nobody_before(books, want) ? grant_at_once(books, want, ret_lease)
                                           : grant_in_line(books, want, ret_lease);
    while ((rc == JB_EAGAIN || rc == JB_ELIMIT) && jbi_coord_bury_inside(coord));
    if (rc == JB_EAGAIN)
        record_denied(books, want);
    return rc;
}

int jb_coord_try(jb_coord *coord, const jb_want *want, jb_lease *ret_lease)
{
    struct jbi_want checked;
    int rc;

    if (!coord || !want || !ret_lease)
        return JB_EINVAL;
    rc = jbi_coord_want_take(coord, want, &checked);
    if (!rc)
        rc = jbi_coord_try_enter(coord);
    if (rc)
        return rc;
    rc = try_inside(coord, &checked, ret_lease);
    jbi_coord_leave(coord);
    return rc;
}

static uint64_t later(uint64_t from_ns, uint64_t ns)
{
    return ns < UINT64_MAX - from_ns ? from_ns + ns : UINT64_MAX;
}

int jb_coord_request(jb_coord *coord, const jb_want *want, jb_ticket *ret_ticket)
{
    struct jbi_want checked;
    uint64_t now;
    int64_t slot;
    int rc;

    if (!coord || !want || !ret_ticket)
        return JB_EINVAL;
    rc = jbi_coord_want_take(coord, want, &checked);
    if (!rc)
        rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    now = coord->books.head->now_ns;
    checked.since_ns = now;
    do
        slot = jbi_queue_enter(&coord->books, &checked,
                               want->wait_ns ? later(now, want->wait_ns) : UINT64_MAX);
    while (slot < 0 && jbi_coord_bury_inside(coord));
    if (slot >= 0)
        *ret_ticket = (jb_ticket){.id = coord->books.waiters[slot].id, .slot = (uint32_t)slot};
    jbi_coord_leave(coord);
    return slot < 0 ? (int)slot : 0;
}

/* The caller is inside. */
static int poll_inside(jb_coord *coord, const jb_ticket *ticket, jb_lease *ret_lease)
{
    struct jbi_books *books = &coord->books;
    struct jbi_quota_waiter *waiter = jbi_queue_find(books, ticket->id, ticket->slot);
    const struct jbi_quota_lease *lease;
    uint32_t slot;

    if (!waiter)
        return JB_ENOENT;
    if (waiter->state == JBI_WAITER_WAITING) {
        jbi_queue_serve(books);
        if (waiter->state == JBI_WAITER_WAITING && jbi_coord_bury_inside(coord))
            jbi_queue_serve(books);
    }
    if (waiter->state == JBI_WAITER_WAITING)
        return 0;
    if (waiter->state == JBI_WAITER_TIMED_OUT) {
        jbi_queue_forget(books, ticket->slot);
        return JB_ETIMEDOUT;
    }
    slot = (uint32_t)waiter->lease;
    lease = jbi_books_find(books, waiter->token, slot);
    if (lease)
        lease_show(lease, slot, ret_lease);
    jbi_queue_forget(books, ticket->slot);
    return lease ? 1 : JB_ENOENT;
}

int jb_coord_poll(jb_coord *coord, const jb_ticket *ticket, jb_lease *ret_lease)
{
    int rc;

    if (!coord || !ticket || !ret_lease)
        return JB_EINVAL;
    rc = jbi_coord_try_enter(coord);
    if (rc)
        return rc == JB_EAGAIN ? 0 : rc;
    rc = poll_inside(coord, ticket, ret_lease);
    jbi_coord_leave(coord);
    return rc;
}

uint64_t jbi_coord_next_ns(const jb_coord *coord)
{
    const struct jbi_books *books = &coord->books;
    uint64_t now = books->head->now_ns;
    uint64_t next = jbi_queue_next_ns(books);

    if (books->head->n_deadlines > 0 && books->heap[0].at_ns < next)
        next = books->heap[0].at_ns;
    if (jbi_limits_next_ns(books) < next)
        next = jbi_limits_next_ns(books);
    if (next == UINT64_MAX)
        return next;
    return next > now ? next - now : 0;
}

/* One look, and how long to sleep after it. */
static int look(jb_coord *coord, const jb_ticket *ticket, jb_lease *ret_lease,
                uint64_t *ret_sleep_ns, uint32_t *ret_bell)
{
    struct jbi_books *books = &coord->books;
    int rc = jbi_coord_enter(coord);

    if (rc)
        return rc;
    rc = poll_inside(coord, ticket, ret_lease);
    if (rc == 0) {
        struct jbi_quota_waiter *waiter = &books->waiters[ticket->slot];
        uint64_t own = waiter->until_ns - books->head->now_ns;
        uint64_t next = jbi_coord_next_ns(coord);

        *ret_sleep_ns = own < next ? own : next;
        *ret_bell = atomic_load_explicit(&waiter->bell, memory_order_relaxed);
        waiter->is_asleep = 1;
    }
    jbi_coord_leave(coord);
    return rc;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

int jb_coord_wait(jb_coord *coord, const jb_ticket *ticket, uint64_t timeout_ns,
                  jb_lease *ret_lease)
{
    uint64_t now, until;
    uint64_t sleep_ns = 0;
    uint32_t bell = 0;

    if (!coord || !ticket || !ret_lease)
        return JB_EINVAL;
    until = later(coord->clock(coord->clock_userdata), timeout_ns);
    for (;;) {
        int rc = look(coord, ticket, ret_lease, &sleep_ns, &bell);

        if (rc)
            return rc;
        now = coord->clock(coord->clock_userdata);
        if (now >= until)
            return 0;
        sleep_ns = least(least(sleep_ns, until - now), JBI_LOOK_NS);
        jbi_os_wait_on((uint32_t *)&coord->books.waiters[ticket->slot].bell, bell, sleep_ns);
    }
}

int jb_coord_cancel(jb_coord *coord, const jb_ticket *ticket)
{
    struct jbi_books *books;
    struct jbi_quota_waiter *waiter;
    int rc;

    if (!coord || !ticket)
        return JB_EINVAL;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    books = &coord->books;
    waiter = jbi_queue_find(books, ticket->id, ticket->slot);
    if (waiter)
        (void)jbi_queue_cancel(books, ticket->slot, JB_LEASE_RELEASED);
    jbi_coord_leave(coord);
    return waiter ? 0 : JB_ENOENT;
}

int jbi_coord_wait_or_leave(jb_coord *coord, const jb_ticket *ticket, uint64_t timeout_ns,
                            jb_lease *ret_lease)
{
    int rc = jb_coord_wait(coord, ticket, timeout_ns, ret_lease);

    if (rc != 0)
        return rc == 1 ? 0 : rc;
    (void)jb_coord_cancel(coord, ticket);
    return JB_ETIMEDOUT;
}

int jb_coord_acquire(jb_coord *coord, const jb_want *want, uint64_t timeout_ns, jb_lease *ret_lease)
{
    struct jbi_want checked;
    jb_want bounded;
    jb_ticket ticket;
    int rc;

    if (!coord || !want || !ret_lease)
        return JB_EINVAL;
    rc = jbi_coord_want_take(coord, want, &checked);
    if (!rc)
        rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    checked.since_ns = coord->books.head->now_ns;
    if (timeout_ns == 0) {
        rc = try_inside(coord, &checked, ret_lease);
    } else {
        do
            rc = is_nobody_before(&coord->books, &checked)
                     ? grant_at_once(&coord->books, &checked, ret_lease)
                     : JB_EAGAIN;
        while (rc == JB_ELIMIT && jbi_coord_bury_inside(coord));
    }
    jbi_coord_leave(coord);
    if (rc != JB_EAGAIN || timeout_ns == 0)
        return rc;
    bounded = *want;
    bounded.wait_ns = timeout_ns == UINT64_MAX ? 0 : timeout_ns;
    rc = jb_coord_request(coord, &bounded, &ticket);
    if (rc)
        return rc;
    return jbi_coord_wait_or_leave(coord, &ticket, timeout_ns, ret_lease);
}
