/*
 * rate_line.c: places in the line for rates: taken, left, found again. See rate_line.h for the
 * invariants.
 *
 * Bells are rung under the lock: whoever wakes finds it taken for as long as it takes to give it
 * back, and nobody has to be remembered until then.
 */
#include "quota/rate_line.h"

#include "base/os.h"

static int64_t slot_take(const struct jbi_limits *limits)
{
    struct jbi_rate_head *line = &limits->head->line;
    uint64_t at = line->free;
    const struct jbi_rate_waiter *waiter = jbi_rate_get(limits, at);

    if (waiter && waiter->state == JBI_RATE_FREE) {
        jbi_undo_set(limits->undo, &line->free, waiter->next);
        return (int64_t)at - 1;
    }
    at = line->top;
    if (at >= limits->n_waiters || limits->waiters[at].state != JBI_RATE_FREE)
        return JB_ELIMIT;
    jbi_undo_set(limits->undo, &line->top, at + 1);
    return (int64_t)at;
}

static void slot_free(const struct jbi_limits *limits, uint32_t slot)
{
    struct jbi_rate_waiter *waiter = &limits->waiters[slot];

    jbi_undo_set(limits->undo, &waiter->state, JBI_RATE_FREE);
    jbi_undo_set(limits->undo, &waiter->id, 0);
    jbi_undo_set(limits->undo, &waiter->next, limits->head->line.free);
    jbi_undo_set(limits->undo, &limits->head->line.free, slot + UINT64_C(1));
}

static void append(const struct jbi_limits *limits, uint32_t slot)
{
    struct jbi_rate_head *line = &limits->head->line;
    struct jbi_rate_waiter *waiter = &limits->waiters[slot];
    struct jbi_rate_waiter *last = jbi_rate_get(limits, line->last);

    jbi_undo_set(limits->undo, &waiter->prev, last ? line->last : 0);
    jbi_undo_set(limits->undo, &waiter->next, 0);
    jbi_undo_set(limits->undo, last ? &last->next : &line->first, slot + UINT64_C(1));
    jbi_undo_set(limits->undo, &line->last, slot + UINT64_C(1));
    jbi_undo_add(limits->undo, &line->n_waiting, 1);
}

void jbi_rate_unlink(const struct jbi_limits *limits, uint32_t slot)
{
    struct jbi_rate_head *line = &limits->head->line;
    const struct jbi_rate_waiter *waiter = &limits->waiters[slot];
    uint64_t next_at = waiter->next, prev_at = waiter->prev, n = line->n_waiting;
    struct jbi_rate_waiter *next = jbi_rate_get(limits, next_at);
    struct jbi_rate_waiter *prev = jbi_rate_get(limits, prev_at);

    jbi_undo_set(limits->undo, prev ? &prev->next : &line->first, next_at);
    jbi_undo_set(limits->undo, next ? &next->prev : &line->last, prev_at);
    jbi_undo_set(limits->undo, &line->n_waiting, n ? n - 1 : 0);
}

static void record(const struct jbi_limits *limits, uint32_t slot, uint32_t kind, uint32_t reason)
{
    const struct jbi_rate_waiter *waiter = &limits->waiters[slot];
    struct jbi_happening what = {.kind = kind,
                                 .reason = reason,
                                 .slot = slot,
                                 .token = waiter->id,
                                 .value_ns = limits->books->head->now_ns - waiter->since_ns};
    struct jbi_usage usage;

    jbi_rate_unpack(limits, waiter, &usage);
    jbi_usage_record(limits, &what, &usage);
}

int64_t jbi_rate_enter(const struct jbi_limits *limits, const struct jbi_usage *usage,
                       uint64_t until_ns)
{
    uint64_t *next_token = &limits->head->next_token;
    int64_t slot = slot_take(limits);
    struct jbi_rate_waiter *waiter;

    if (slot < 0)
        return slot;
    jbi_rate_catch_up(limits, usage);
    waiter = &limits->waiters[slot];
    waiter->who = jbi_usage_who(usage);
    waiter->resources = jbi_usage_resources(usage);
    waiter->since_ns = limits->books->head->now_ns;
    waiter->until_ns = until_ns;
    waiter->token = 0;
    waiter->slot = 0;
    waiter->is_asleep = 0;
    for (uint32_t i = 0; i < usage->n; i++)
        waiter->amounts[i] = usage->amount[i];
    jbi_undo_set(limits->undo, &waiter->id, *next_token);
    jbi_undo_set(limits->undo, next_token, *next_token + 1);
    jbi_undo_set(limits->undo, &waiter->state, JBI_RATE_WAITING);
    append(limits, (uint32_t)slot);
    record(limits, (uint32_t)slot, JB_RECORD_WAITING, 0);
    jbi_undo_commit(limits->undo);
    return slot;
}

/* What was granted to one that never heard of it. Committed. */
static void give_back(const struct jbi_limits *limits, const struct jbi_rate_waiter *waiter)
{
    static const uint64_t nothing[JB_QUOTA_AMOUNTS_MAX];
    uint64_t token = waiter->token, slot = waiter->slot;

    if (slot < limits->n_reservations && jbi_limits_find(limits, token, (uint32_t)slot))
        jbi_limits_settle(limits, (uint32_t)slot, nothing, JB_USED_TOLD);
}

void jbi_rate_leave(const struct jbi_limits *limits, uint32_t slot)
{
    const struct jbi_rate_waiter *waiter = &limits->waiters[slot];

    if (waiter->state == JBI_RATE_GRANTED)
        give_back(limits, waiter);
    if (waiter->state == JBI_RATE_WAITING) {
        record(limits, slot, JB_RECORD_LEFT, 0);
        jbi_rate_unlink(limits, slot);
    }
    slot_free(limits, slot);
    jbi_undo_commit(limits->undo);
}

void jbi_rate_forget(const struct jbi_limits *limits, uint32_t slot)
{
    slot_free(limits, slot);
    jbi_undo_commit(limits->undo);
}

void jbi_rate_end(const struct jbi_limits *limits, uint32_t slot, enum jbi_rate_state how)
{
    record(limits, slot, JB_RECORD_DENIED,
           how == JBI_RATE_TIMED_OUT ? JB_DENIED_TIMEOUT : JB_DENIED_RATE);
    jbi_rate_unlink(limits, slot);
    jbi_undo_set(limits->undo, &limits->waiters[slot].state, how);
    jbi_undo_commit(limits->undo);
    jbi_rate_ring(limits, slot);
}

void jbi_rate_ring(const struct jbi_limits *limits, uint32_t slot)
{
    struct jbi_rate_waiter *waiter = &limits->waiters[slot];

    if (!waiter->is_asleep)
        return;
    waiter->is_asleep = 0;
    /* Who looked before this change finds another number and does not sleep. */
    atomic_fetch_add_explicit(&waiter->bell, 1, memory_order_relaxed);
    jbi_os_wake_all((uint32_t *)&waiter->bell);
}

struct jbi_rate_waiter *jbi_rate_find(const struct jbi_limits *limits, uint64_t id, uint32_t slot)
{
    struct jbi_rate_waiter *waiter;

    if (id == 0 || slot >= limits->n_waiters)
        return NULL;
    waiter = &limits->waiters[slot];
    if (waiter->id != id || waiter->state == JBI_RATE_FREE ||
        waiter->who >> 32 != limits->books->peer)
        return NULL;
    return waiter;
}

void jbi_rate_unpack(const struct jbi_limits *limits, const struct jbi_rate_waiter *waiter,
                     struct jbi_usage *ret_usage)
{
    uint64_t since_ns = waiter->since_ns, now_ns = limits->books->head->now_ns;

    jbi_usage_unpack(waiter->who, waiter->resources, waiter->amounts, ret_usage);
    if (ret_usage->component >= limits->n_components)
        ret_usage->component = 0;
    ret_usage->waited_ns = now_ns > since_ns ? now_ns - since_ns : 0;
}

void jbi_rate_bury(const struct jbi_limits *limits, uint32_t peer)
{
    uint64_t top = limits->head->line.top;

    for (uint32_t slot = 0; slot < limits->n_waiters && slot < top; slot++) {
        if (limits->waiters[slot].state != JBI_RATE_FREE && limits->waiters[slot].who >> 32 == peer)
            jbi_rate_leave(limits, slot);
    }
}

uint32_t jbi_rate_n_waiting(const struct jbi_books *books, uint32_t resource, uint32_t component)
{
    struct jbi_limits limits;
    uint32_t n = 0;
    uint64_t at;

    if (!jbi_limits_of(books, &limits))
        return 0;
    at = limits.head->line.first;
    for (uint32_t i = 0; i < limits.n_waiters && jbi_rate_get(&limits, at); i++) {
        const struct jbi_rate_waiter *waiter = jbi_rate_get(&limits, at);
        uint64_t who = waiter->who, mask = jbi_rate_mask(who, waiter->resources);

        n += (component == JB_LIMIT_ALL || component == (who & 0xffff)) &&
             (resource == JB_LIMIT_ALL || (mask >> resource & 1) != 0);
        at = waiter->next;
    }
    return n;
}

void jbi_rate_refuse(const struct jbi_limits *limits)
{
    uint64_t at = limits->head->line.first;

    for (uint32_t i = 0; i < limits->n_waiters && jbi_rate_get(limits, at); i++) {
        const struct jbi_rate_waiter *waiter = jbi_rate_get(limits, at);
        uint32_t slot = (uint32_t)at - 1;
        struct jbi_reach reach;
        struct jbi_usage usage;

        at = waiter->next;
        jbi_rate_unpack(limits, waiter, &usage);
        jbi_limits_reach(limits, &usage, &reach);
        if (waiter->state == JBI_RATE_WAITING && reach.rc == JB_ETOOBIG)
            jbi_rate_end(limits, slot, JBI_RATE_TOO_BIG);
    }
}

bool jbi_rate_is_sound(const struct jbi_books *books)
{
    struct jbi_limits limits;
    uint64_t at, before = 0, n = 0, n_waiting = 0;

    if (!jbi_limits_of(books, &limits))
        return books->limit_bytes == 0;
    at = limits.head->line.first;
    for (; n < limits.n_waiters && jbi_rate_get(&limits, at); n++) {
        const struct jbi_rate_waiter *waiter = jbi_rate_get(&limits, at);

        if (waiter->state != JBI_RATE_WAITING || waiter->prev != before)
            return false;
        before = at;
        at = waiter->next;
    }
    for (uint32_t slot = 0; slot < limits.n_waiters; slot++) {
        const struct jbi_rate_waiter *waiter = &limits.waiters[slot];

        if ((waiter->id == 0) != (waiter->state == JBI_RATE_FREE))
            return false;
        n_waiting += waiter->state == JBI_RATE_WAITING;
    }
    return at == 0 && limits.head->line.last == before && n == n_waiting &&
           n == limits.head->line.n_waiting;
}
