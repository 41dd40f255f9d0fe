/*
 * limits.c: see limits.h. Deciding comes before taking: a take looks at every limit that holds for
 * it, and writes only when all of them allow it.
 *
 * The logs of windows count from far before the clock's zero, so that what was taken before the
 * machine was started can stand in them.
 */
#include "quota/limits.h"

#include "quota/rate_line.h"

#define WINDOW_ZERO_NS (UINT64_C(1) << 61)

uint64_t jbi_limit_time(uint64_t now_ns)
{
    return (now_ns & (WINDOW_ZERO_NS - 1)) + WINDOW_ZERO_NS;
}

static void minus(const struct jbi_limits *limits, uint64_t *word, uint64_t n)
{
    jbi_limits_set(limits, word, *word > n ? *word - n : 0);
}

/* The window of a limit; its log is made to lie inside whatever the block says. */
struct jbi_window jbi_limit_window(const struct jbi_limits *limits, struct jbi_limit *limit)
{
    struct jbi_window window = {
        .undo = limits->undo, .w = &limit->window, .log = limits->log, .n_entries = 2};
    uint64_t first = limit->log_first, n = limit->n_entries;

    if (n >= 2 && n <= limits->n_log && first <= limits->n_log - n) {
        window.log += first;
        window.n_entries = n;
    }
    return window;
}

int jbi_limit_place_in(const struct jbi_limit *limit, const struct jbi_usage *usage)
{
    if (limit->component != JB_LIMIT_ALL && limit->component != usage->component)
        return -1;
    for (uint32_t i = 0; i < usage->n; i++) {
        if (limit->resource == usage->resource[i])
            return (int)i;
    }
    return -1;
}

/* The oldest open reservation, or NULL. */
static struct jbi_reservation *oldest(const struct jbi_limits *limits)
{
    uint64_t first = limits->head->first;

    if (first == 0 || first > limits->n_reservations || limits->reservations[first - 1].token == 0)
        return NULL;
    return &limits->reservations[first - 1];
}

/* What is reserved may be used at any moment from now on, so it counts beside what was used, and
 * does not grow old. */
static int window_decide(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t n,
                         uint64_t now_ns, uint64_t *ret_retry_ns)
{
    struct jbi_window window = jbi_limit_window(limits, limit);
    uint64_t open = limit->open, most = limit->window.limit;

    if (n > most)
        return JB_ETOOBIG;
    *ret_retry_ns = UINT64_MAX;
    if (open > most - n)
        return JB_EAGAIN;
    return jbi_window_decide(&window, n + open, jbi_limit_time(now_ns), ret_retry_ns);
}

int jbi_limit_decide(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t n,
                     uint64_t now_ns, uint64_t *ret_retry_ns)
{
    struct jbi_gcra_terms terms = jbi_limit_terms(limit);
    uint64_t paid;

    if (limit->kind == JB_LIMIT_OPEN) {
        *ret_retry_ns = UINT64_MAX;
        return limit->open < limit->in_force ? 0 : JB_EAGAIN;
    }
    /* What is to be committed later takes nothing now, but not from one that owes already. */
    if (limit->kind == JB_LIMIT_RATE)
        return jbi_gcra_decide(&terms, limit->gcra.paid_ticks,
                               jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns), n, &paid,
                               ret_retry_ns);
    return window_decide(limits, limit, n, now_ns, ret_retry_ns);
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* When to ask again: where reservations are in a window's way, the end of one is the time to, but
 * not before it would be there without any. */
static uint64_t ask_again_ns(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t n,
                             uint64_t retry_ns, uint64_t now_ns)
{
    const struct jbi_reservation *first = oldest(limits);
    uint64_t end_ns = first ? first->deadline_ns : UINT64_MAX;
    uint64_t alone_ns = 0;
    struct jbi_window window;

    if (limit->kind != JB_LIMIT_WINDOW || limit->open == 0 || end_ns == UINT64_MAX ||
        end_ns <= now_ns || retry_ns <= end_ns - now_ns)
        return retry_ns;
    window = jbi_limit_window(limits, limit);
    if (jbi_window_decide(&window, n, jbi_limit_time(now_ns), &alone_ns) == 0)
        alone_ns = 0;
    return later(alone_ns, end_ns - now_ns);
}

/* What one more limit says, beside the others. */
static void reach_add(const struct jbi_limits *limits, uint32_t idx, uint64_t n, uint64_t now_ns,
                      struct jbi_reach *reach)
{
    struct jbi_limit *limit = &limits->limits[idx];
    uint64_t blocked_ns = limit->blocked_until_ns > now_ns ? limit->blocked_until_ns - now_ns : 0;
    uint64_t retry_ns = 0, surely_ns;
    int rc = jbi_limit_decide(limits, limit, n, now_ns, &retry_ns);

    if (rc == 0)
        retry_ns = 0;
    if (rc == 0 && blocked_ns != 0)
        rc = JB_EAGAIN;
    if (rc == 0 || reach->rc == JB_ETOOBIG)
        return;
    surely_ns = later(blocked_ns, retry_ns);
    if (limit->component != JB_LIMIT_ALL)
        reach->own_ns = later(reach->own_ns, surely_ns);
    else
        reach->shared_ns = later(reach->shared_ns, retry_ns == UINT64_MAX ? blocked_ns : surely_ns);
    retry_ns = later(blocked_ns, ask_again_ns(limits, limit, n, retry_ns, now_ns));
    if (rc == JB_ETOOBIG || reach->rc == 0 || retry_ns > reach->denial.retry_after_ns) {
        reach->denial.limit = idx;
        reach->denial.retry_after_ns = rc == JB_ETOOBIG ? 0 : retry_ns;
    }
    reach->rc = rc;
}

void jbi_limits_reach(const struct jbi_limits *limits, const struct jbi_usage *usage,
                      struct jbi_reach *ret_reach)
{
    uint64_t now_ns = limits->books->head->now_ns;

    *ret_reach = (struct jbi_reach){.denial = {.limit = UINT32_MAX}};
    for (uint32_t i = 0; i < limits->n_limits; i++) {
        int place = jbi_limit_place_in(&limits->limits[i], usage);

        if (place >= 0)
            reach_add(limits, i, usage->amount[place], now_ns, ret_reach);
    }
}

void jbi_limit_take_from(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t n,
                         uint64_t now_ns)
{
    struct jbi_gcra_terms terms = jbi_limit_terms(limit);
    struct jbi_window window;

    if (limit->kind == JB_LIMIT_RATE) {
        jbi_limits_set(limits, &limit->gcra.paid_ticks,
                       jbi_gcra_charged(&terms, limit->gcra.paid_ticks,
                                        jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns), n));
    } else if (limit->kind == JB_LIMIT_WINDOW) {
        window = jbi_limit_window(limits, limit);
        jbi_window_add(&window, n, jbi_limit_time(now_ns));
    }
}

/* To a rate: a window gets nothing back, as nothing is taken from it before it is used. */
static void give_to(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t n,
                    uint64_t now_ns)
{
    struct jbi_gcra_terms terms = jbi_limit_terms(limit);
    uint64_t at = jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns);
    uint64_t paid = jbi_gcra_refunded(&terms, limit->gcra.paid_ticks, n);

    if (limit->kind == JB_LIMIT_RATE && limit->gcra.paid_ticks > at)
        jbi_limits_set(limits, &limit->gcra.paid_ticks, paid > at ? paid : at);
}

/* A free place in the table, or -1. Part of the caller's step. */
static int64_t slot_take(const struct jbi_limits *limits)
{
    struct jbi_limits_head *head = limits->head;
    uint64_t slot = head->free, top = head->top;

    if (slot != 0 && slot <= limits->n_reservations && limits->reservations[slot - 1].token == 0) {
        jbi_undo_set(limits->undo, &head->free, limits->reservations[slot - 1].next);
        return (int64_t)slot - 1;
    }
    if (top >= limits->n_reservations)
        return -1;
    jbi_undo_set(limits->undo, &head->top, top + 1);
    return (int64_t)top;
}

/* Taken by value, so that what was checked is what is used. */
static uint64_t place_of(const struct jbi_limits *limits, uint64_t place)
{
    return place <= limits->n_reservations ? place : 0;
}

static void list_append(const struct jbi_limits *limits, uint32_t slot)
{
    struct jbi_limits_head *head = limits->head;
    struct jbi_reservation *reservation = &limits->reservations[slot];
    uint64_t last = place_of(limits, head->last);

    jbi_limits_set(limits, &reservation->prev, last);
    jbi_limits_set(limits, &reservation->next, 0);
    jbi_limits_set(limits, last ? &limits->reservations[last - 1].next : &head->first,
                   slot + UINT64_C(1));
    jbi_limits_set(limits, &head->last, slot + UINT64_C(1));
    jbi_limits_set(limits, &head->n_open, head->n_open + 1);
}

static void list_remove(const struct jbi_limits *limits, uint32_t slot)
{
    struct jbi_limits_head *head = limits->head;
    struct jbi_reservation *reservation = &limits->reservations[slot];
    uint64_t next = place_of(limits, reservation->next);
    uint64_t prev = place_of(limits, reservation->prev);

    jbi_limits_set(limits, prev ? &limits->reservations[prev - 1].next : &head->first, next);
    jbi_limits_set(limits, next ? &limits->reservations[next - 1].prev : &head->last, prev);
    minus(limits, &head->n_open, 1);
}

static void reservation_write(const struct jbi_limits *limits, uint32_t slot,
                              const struct jbi_usage *usage, uint64_t now_ns)
{
    struct jbi_reservation *reservation = &limits->reservations[slot];
    uint64_t hold_ns = limits->head->hold_ns;

    for (uint32_t i = 0; i < usage->n; i++)
        jbi_limits_set(limits, &reservation->amounts[i], usage->amount[i]);
    jbi_limits_set(limits, &reservation->resources, jbi_usage_resources(usage));
    jbi_limits_set(limits, &reservation->who, jbi_usage_who(usage));
    jbi_limits_set(limits, &reservation->taken_ns, now_ns);
    jbi_limits_set(limits, &reservation->deadline_ns,
                   hold_ns < UINT64_MAX - now_ns ? now_ns + hold_ns : UINT64_MAX);
    jbi_limits_set(limits, &reservation->token, limits->head->next_token);
    jbi_limits_set(limits, &limits->head->next_token, limits->head->next_token + 1);
    list_append(limits, slot);
}

void jbi_usage_record(const struct jbi_limits *limits, const struct jbi_happening *what,
                      const struct jbi_usage *usage)
{
    struct jbi_want want = {.component = usage->component,
                            .class_idx = usage->class_idx,
                            .n = usage->n,
                            .peer = usage->peer};

    for (uint32_t i = 0; i < usage->n; i++) {
        want.resource[i] = usage->resource[i];
        want.amount[i] = usage->amount[i];
    }
    jbi_record_want(limits->books, what, &want);
}

void jbi_limits_deny(const struct jbi_limits *limits, const struct jbi_usage *usage,
                     const struct jbi_denial *denial)
{
    struct jbi_happening what = {
        .kind = JB_RECORD_DENIED, .reason = JB_DENIED_RATE, .value_ns = denial->retry_after_ns};

    if (denial->limit < limits->n_limits)
        limits->limits[denial->limit].n_denied++;
    jbi_usage_record(limits, &what, usage);
    jbi_undo_commit(limits->undo);
}

int64_t jbi_limits_give(const struct jbi_limits *limits, const struct jbi_usage *usage,
                        uint64_t *ret_token)
{
    struct jbi_happening what = {.kind = JB_RECORD_TAKEN, .value_ns = usage->waited_ns};
    uint64_t now_ns = limits->books->head->now_ns;
    int64_t slot = 0;

    if (ret_token) {
        slot = slot_take(limits);
        if (slot < 0)
            return JB_ELIMIT;
        reservation_write(limits, (uint32_t)slot, usage, now_ns);
        what.token = *ret_token = limits->reservations[slot].token;
        what.slot = (uint32_t)slot;
    }
    for (uint32_t i = 0; i < limits->n_limits; i++) {
        struct jbi_limit *limit = &limits->limits[i];
        int place = jbi_limit_place_in(limit, usage);

        if (place < 0)
            continue;
        if (!ret_token || limit->kind != JB_LIMIT_WINDOW)
            jbi_limit_take_from(limits, limit, usage->amount[place], now_ns);
        limit->n_taken += usage->amount[place];
        if (ret_token)
            jbi_limits_set(limits, &limit->open,
                           limit->open + (limit->kind == JB_LIMIT_OPEN ? 1 : usage->amount[place]));
    }
    jbi_usage_record(limits, &what, usage);
    return slot;
}

struct jbi_reservation *jbi_limits_find(const struct jbi_limits *limits, uint64_t token,
                                        uint32_t slot)
{
    if (token == 0 || slot >= limits->n_reservations || limits->reservations[slot].token != token)
        return NULL;
    return &limits->reservations[slot];
}

uint64_t jbi_usage_who(const struct jbi_usage *usage)
{
    return usage->component | (uint64_t)usage->n << 16 | (uint64_t)usage->class_idx << 24 |
           (uint64_t)usage->peer << 32;
}

uint64_t jbi_usage_resources(const struct jbi_usage *usage)
{
    uint64_t resources = 0;

    for (uint32_t i = 0; i < usage->n; i++)
        resources |= (uint64_t)(usage->resource[i] & 0xff) << (8 * i);
    return resources;
}

void jbi_usage_unpack(uint64_t who, uint64_t resources, const uint64_t *amounts,
                      struct jbi_usage *ret_usage)
{
    uint32_t n = (uint32_t)(who >> 16) & 0xff;

    *ret_usage = (struct jbi_usage){.component = (uint32_t)who & 0xffff,
                                    .class_idx = (uint32_t)(who >> 24) & (JBI_QUOTA_CLASSES - 1),
                                    .peer = (uint32_t)(who >> 32),
                                    .n = n < JB_QUOTA_AMOUNTS_MAX ? n : JB_QUOTA_AMOUNTS_MAX};
    for (uint32_t i = 0; i < ret_usage->n; i++) {
        ret_usage->resource[i] = (uint32_t)(resources >> (8 * i)) & 0xff;
        ret_usage->amount[i] = amounts[i];
    }
}

void jbi_reservation_unpack(const struct jbi_reservation *reservation, struct jbi_usage *ret_usage)
{
    jbi_usage_unpack(reservation->who, reservation->resources, reservation->amounts, ret_usage);
}

/* A window counts what was used from now on: the call may have reached the service as late as
 * this. */
static void settle_one(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t reserved,
                       uint64_t used, uint64_t now_ns)
{
    minus(limits, &limit->open, limit->kind == JB_LIMIT_OPEN ? 1 : reserved);
    if (limit->kind == JB_LIMIT_WINDOW)
        jbi_limit_take_from(limits, limit, used, now_ns);
    else if (used < reserved)
        give_to(limits, limit, reserved - used, now_ns);
    else
        jbi_limit_take_from(limits, limit, used - reserved, now_ns);
    limit->n_taken += used - reserved;
}

void jbi_limits_settle(const struct jbi_limits *limits, uint32_t slot, const uint64_t *used,
                       enum jb_used_reason reason)
{
    struct jbi_reservation *reservation = &limits->reservations[slot];
    uint64_t now_ns = limits->books->head->now_ns;
    struct jbi_happening what = {.kind = JB_RECORD_USED,
                                 .reason = reason,
                                 .slot = slot,
                                 .token = reservation->token,
                                 .value_ns = now_ns - reservation->taken_ns};
    struct jbi_usage usage;

    jbi_reservation_unpack(reservation, &usage);
    for (uint32_t i = 0; i < limits->n_limits; i++) {
        struct jbi_limit *limit = &limits->limits[i];
        int place = jbi_limit_place_in(limit, &usage);

        if (place >= 0)
            settle_one(limits, limit, usage.amount[place], used[place], now_ns);
    }
    if (usage.component < limits->n_components)
        jbi_rate_charge_more(limits, &usage, used);
    for (uint32_t i = 0; i < usage.n; i++)
        usage.amount[i] = used[i];
    jbi_usage_record(limits, &what, &usage);
    list_remove(limits, slot);
    jbi_limits_set(limits, &reservation->token, 0);
    jbi_limits_set(limits, &reservation->next, limits->head->free);
    jbi_limits_set(limits, &limits->head->free, slot + UINT64_C(1));
    jbi_undo_commit(limits->undo);
}

static void settle_in_full(const struct jbi_limits *limits, uint32_t slot)
{
    struct jbi_usage usage;

    jbi_reservation_unpack(&limits->reservations[slot], &usage);
    jbi_limits_settle(limits, slot, usage.amount, JB_USED_SILENT);
}

/* Those whose deadline passed. */
static bool expire(const struct jbi_limits *limits)
{
    uint64_t now_ns = limits->books->head->now_ns;
    bool is_any = false;

    for (uint32_t i = 0; i < limits->n_reservations; i++) {
        const struct jbi_reservation *reservation = oldest(limits);

        if (!reservation || reservation->deadline_ns > now_ns)
            break;
        settle_in_full(limits, (uint32_t)(reservation - limits->reservations));
        is_any = true;
    }
    return is_any;
}

void jbi_limits_tick(const struct jbi_books *books)
{
    struct jbi_limits limits;
    bool is_any;

    if (!jbi_limits_of(books, &limits))
        return;
    is_any = expire(&limits);
    if (limits.head->line.n_waiting != 0 &&
        (is_any || limits.head->line.serve_ns <= books->head->now_ns))
        jbi_rate_serve(&limits);
}

void jbi_limits_bury(const struct jbi_books *books, uint32_t peer)
{
    struct jbi_limits limits;
    uint64_t at;

    if (!jbi_limits_of(books, &limits))
        return;
    jbi_rate_bury(&limits, peer);
    at = limits.head->first;
    for (uint32_t i = 0; i < limits.n_reservations && at != 0 && at <= limits.n_reservations; i++) {
        const struct jbi_reservation *reservation = &limits.reservations[at - 1];
        uint32_t slot = (uint32_t)at - 1;

        at = reservation->next;
        if (reservation->token != 0 && reservation->who >> 32 == peer)
            settle_in_full(&limits, slot);
    }
    jbi_rate_serve(&limits);
}

uint64_t jbi_limits_next_ns(const struct jbi_books *books)
{
    const struct jbi_reservation *reservation;
    struct jbi_limits limits;
    uint64_t next_ns;

    if (!jbi_limits_of(books, &limits))
        return UINT64_MAX;
    reservation = oldest(&limits);
    next_ns = reservation ? reservation->deadline_ns : UINT64_MAX;
    if (limits.head->line.n_waiting != 0 && limits.head->line.serve_ns < next_ns)
        next_ns = limits.head->line.serve_ns;
    return next_ns;
}

uint64_t jbi_limit_missing(const struct jbi_limit *limit, uint64_t now_ns)
{
    uint64_t at = jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns), paid = limit->gcra.paid_ticks;
    uint64_t interval = jbi_limit_terms(limit).interval;

    if (limit->kind != JB_LIMIT_RATE || paid <= at || interval == 0)
        return 0;
    return (paid - at) / interval + ((paid - at) % interval != 0);
}

void jbi_limit_miss(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t missing,
                    uint64_t passed_ns, uint64_t now_ns)
{
    struct jbi_gcra_terms terms = jbi_limit_terms(limit);
    uint64_t at = jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns);
    uint64_t passed = jbi_gcra_ticks(0, passed_ns);
    uint64_t owed = jbi_gcra_charged(&terms, 0, 0, missing), paid;

    if (limit->kind != JB_LIMIT_RATE || owed <= passed)
        return;
    owed -= passed;
    paid = owed < JBI_PAID_MAX_TICKS - at ? at + owed : JBI_PAID_MAX_TICKS;
    if (limit->gcra.paid_ticks < paid)
        jbi_limits_set(limits, &limit->gcra.paid_ticks, paid);
}
