/*
 * ticket.c: standing in line for rates: the calls of usage.h that wait, ask whether it is their
 * turn, and leave.
 *
 * Whoever can go next sleeps exactly until then; who is behind him sleeps until he is let go, or
 * told that nobody is before him any more, and looks for himself now and then.
 */
#include "base/os.h"
#include "quota/rate_line.h"
#include "quota/usage.h"

static uint64_t later(uint64_t from_ns, uint64_t ns)
{
    return ns < UINT64_MAX - from_ns ? from_ns + ns : UINT64_MAX;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* In line, and whoever can go gone. The caller is inside. */
static int stand(jb_coord *coord, const struct jbi_limits *limits, const struct jbi_usage *usage,
                 uint64_t timeout_ns, jb_ticket *ret_ticket)
{
    uint64_t until_ns = later(coord->books.head->now_ns, timeout_ns);
    int64_t slot;

    do
        slot = jbi_rate_enter(limits, usage, until_ns);
    while (slot < 0 && jbi_coord_bury_inside(coord));
    if (slot < 0)
        return (int)slot;
    *ret_ticket = (jb_ticket){.id = limits->waiters[slot].id, .slot = (uint32_t)slot};
    jbi_rate_serve(limits);
    return 0;
}

int jb_usage_request(jb_coord *coord, const jb_take *take, uint64_t timeout_ns,
                     jb_ticket *ret_ticket)
{
    struct jbi_limits limits;
    struct jbi_usage usage;
    struct jbi_reach reach;
    int rc;

    if (!coord || !take || !ret_ticket)
        return JB_EINVAL;
    rc = jbi_usage_of(coord, take, &usage);
    if (!rc)
        rc = jbi_usage_enter(coord, &limits);
    if (rc)
        return rc;
    jbi_limits_reach(&limits, &usage, &reach);
    rc = reach.rc;
    if (rc == JB_ETOOBIG)
        jbi_limits_deny(&limits, &usage, &reach.denial);
    else
        rc = stand(coord, &limits, &usage, timeout_ns, ret_ticket);
    jbi_coord_leave(coord);
    return rc;
}

/* It was granted, and the reservation may have ended since. */
static int take_over(const struct jbi_limits *limits, const struct jbi_rate_waiter *waiter,
                     jb_usage *ret_usage)
{
    uint64_t token = waiter->token, slot = waiter->slot;

    if (slot >= limits->n_reservations || !jbi_limits_find(limits, token, (uint32_t)slot))
        return JB_ENOENT;
    jbi_usage_show(limits, (uint32_t)slot, ret_usage);
    return 1;
}

/* The caller is inside. Without ret_standing nobody wants to know where it stands. */
static int poll_inside(jb_coord *coord, const struct jbi_limits *limits, const jb_ticket *ticket,
                       jb_usage *ret_usage, struct jbi_standing *ret_standing)
{
    const struct jbi_rate_waiter *waiter = jbi_rate_find(limits, ticket->id, ticket->slot);
    struct jbi_usage usage;
    uint64_t state;
    int rc;

    if (!waiter)
        return JB_ENOENT;
    if (waiter->state == JBI_RATE_WAITING)
        jbi_rate_serve(limits);
    if (waiter->state == JBI_RATE_WAITING)
        (void)jbi_coord_bury_inside(coord);
    state = waiter->state;
    jbi_rate_unpack(limits, waiter, &usage);
    if (ret_standing && state != JBI_RATE_GRANTED)
        jbi_rate_ask(limits, &usage, state == JBI_RATE_WAITING ? ticket->slot : JBI_RATE_NOBODY,
                     ret_standing);
    /* The limits allow it: it waits for a place among the reservations. */
    if (state == JBI_RATE_WAITING && ret_standing && ret_standing->rc == 0)
        ret_standing->denial.retry_after_ns = UINT64_MAX;
    if (state == JBI_RATE_WAITING)
        return 0;
    rc = state == JBI_RATE_TIMED_OUT ? JB_ETIMEDOUT : JB_ETOOBIG;
    if (state == JBI_RATE_GRANTED)
        rc = take_over(limits, waiter, ret_usage);
    jbi_rate_forget(limits, ticket->slot);
    return rc;
}

int jb_usage_poll(jb_coord *coord, const jb_ticket *ticket, jb_usage *ret_usage,
                  jb_denial *ret_denial)
{
    struct jbi_standing standing;
    struct jbi_limits limits;
    int rc;

    if (!coord || !ticket || !ret_usage)
        return JB_EINVAL;
    rc = jbi_usage_try_enter(coord, &limits);
    if (rc == JB_EAGAIN)
        jbi_denial_show(&(struct jbi_denial){.limit = UINT32_MAX}, ret_denial);
    if (rc)
        return rc == JB_EAGAIN ? 0 : rc;
    rc = poll_inside(coord, &limits, ticket, ret_usage, ret_denial ? &standing : NULL);
    jbi_coord_leave(coord);
    if (rc == 0 || rc == JB_ETIMEDOUT || rc == JB_ETOOBIG)
        jbi_denial_show(&standing.denial, ret_denial);
    return rc;
}

struct nap {
    uint32_t *on;
    uint32_t bell;
    uint64_t wake_ns;
};

/* One look, and how to sleep after it. */
static int look(jb_coord *coord, const jb_ticket *ticket, jb_usage *ret_usage,
                jb_denial *ret_denial, struct nap *ret_nap)
{
    struct jbi_standing standing;
    struct jbi_limits limits;
    uint64_t now;
    int rc = jbi_usage_enter(coord, &limits);

    if (rc)
        return rc;
    now = coord->books.head->now_ns;
    rc = poll_inside(coord, &limits, ticket, ret_usage, &standing);
    if (rc == 0) {
        struct jbi_rate_waiter *waiter = &limits.waiters[ticket->slot];

        waiter->wake_ns =
            least(later(now, least(standing.sleep_ns, JBI_LOOK_NS)), waiter->until_ns);
        waiter->is_asleep = 1;
        *ret_nap = (struct nap){
            .on = (uint32_t *)&waiter->bell,
            .bell = atomic_load_explicit(&waiter->bell, memory_order_relaxed),
            .wake_ns = waiter->wake_ns,
        };
    }
    jbi_coord_leave(coord);
    if (rc == 0 || rc == JB_ETIMEDOUT || rc == JB_ETOOBIG)
        jbi_denial_show(&standing.denial, ret_denial);
    return rc;
}

int jb_usage_wait(jb_coord *coord, const jb_ticket *ticket, uint64_t timeout_ns,
                  jb_usage *ret_usage, jb_denial *ret_denial)
{
    uint64_t now, until;

    if (!coord || !ticket || !ret_usage)
        return JB_EINVAL;
    until = later(coord->clock(coord->clock_userdata), timeout_ns);
    for (;;) {
        struct nap nap = {.on = NULL};
        int rc = look(coord, ticket, ret_usage, ret_denial, &nap);

        if (rc)
            return rc;
        now = coord->clock(coord->clock_userdata);
        if (now >= until)
            return 0;
        if (nap.wake_ns > now)
            jbi_os_wait_on(nap.on, nap.bell, least(nap.wake_ns, until) - now);
    }
}

int jb_usage_cancel(jb_coord *coord, const jb_ticket *ticket)
{
    const struct jbi_rate_waiter *waiter;
    struct jbi_limits limits;
    int rc;

    if (!coord || !ticket)
        return JB_EINVAL;
    rc = jbi_usage_enter(coord, &limits);
    if (rc)
        return rc;
    waiter = jbi_rate_find(&limits, ticket->id, ticket->slot);
    if (waiter) {
        jbi_rate_leave(&limits, ticket->slot);
        jbi_rate_serve(&limits);
    }
    jbi_coord_leave(coord);
    return waiter ? 0 : JB_ENOENT;
}

/* By our own clock, whatever the books say of time. */
static int wait_or_leave(jb_coord *coord, const jb_ticket *ticket, uint64_t timeout_ns,
                         jb_usage *ret_usage, jb_denial *ret_denial)
{
    int rc = jb_usage_wait(coord, ticket, timeout_ns, ret_usage, ret_denial);

    if (rc != 0)
        return rc == 1 ? 0 : rc;
    (void)jb_usage_cancel(coord, ticket);
    return JB_ETIMEDOUT;
}

int jbi_usage_take_or_wait(jb_coord *coord, const struct jbi_usage *usage, uint64_t timeout_ns,
                           jb_usage *ret_usage, jb_denial *ret_denial)
{
    struct jbi_denial denial;
    struct jbi_limits limits;
    jb_ticket ticket;
    jb_usage reserved;
    int rc = jbi_usage_enter(coord, &limits);

    if (rc)
        return rc;
    rc = jbi_usage_take(coord, &limits, usage, ret_usage, &denial);
    if (rc == JB_ETOOBIG)
        jbi_limits_deny(&limits, usage, &denial);
    if (rc == JB_EAGAIN || rc == JB_ETOOBIG)
        jbi_denial_show(&denial, ret_denial);
    if (rc == JB_EAGAIN)
        rc = stand(coord, &limits, usage, timeout_ns, &ticket) == 0 ? JB_EAGAIN : JB_ELIMIT;
    jbi_coord_leave(coord);
    if (rc != JB_EAGAIN)
        return rc;
    rc = wait_or_leave(coord, &ticket, timeout_ns, &reserved, ret_denial);
    if (rc == 0 && ret_usage)
        *ret_usage = reserved;
    else if (rc == 0)
        (void)jb_usage_commit(coord, &reserved, NULL, 0);
    return rc;
}
