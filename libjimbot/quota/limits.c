/*
 * limits.c: see limits.h. Deciding comes before taking: a take looks at every limit that holds for
 * it, and writes only when all of them allow it.
 *
 * The logs of windows count from far before the clock's zero, so that what was taken before the
 * machine was started can stand in them.
 */
#include "quota/limits.h"

#define WINDOW_ZERO_NS (UINT64_C(1) << 61)

uint64_t jbi_limit_time(uint64_t now_ns)
{
    return (now_ns & (WINDOW_ZERO_NS - 1)) + WINDOW_ZERO_NS;
}

static void set(const struct jbi_limits *limits, uint64_t *word, uint64_t value)
{
    if (*word != value)
        jbi_undo_set(limits->undo, word, value);
}

static void minus(const struct jbi_limits *limits, uint64_t *word, uint64_t n)
{
    set(limits, word, *word > n ? *word - n : 0);
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

static struct jbi_gcra_terms terms_of(const struct jbi_limit *limit)
{
    return (struct jbi_gcra_terms){.interval = limit->gcra.interval[0],
                                   .burst = limit->gcra.burst[0]};
}

/* Which of what is taken this limit counts; -1: nothing. */
static int place_in(const struct jbi_limit *limit, const struct jbi_usage *usage)
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
 * does not grow old. When it is in the way, the end of a reservation is the time to look again. */
static int window_decide(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t n,
                         uint64_t now_ns, uint64_t *ret_retry_ns)
{
    struct jbi_window window = jbi_limit_window(limits, limit);
    const struct jbi_reservation *first = oldest(limits);
    uint64_t open = limit->open, most = limit->window.limit;
    uint64_t end_ns = first ? first->deadline_ns : UINT64_MAX;
    int rc = JB_EAGAIN;

    if (n > most)
        return JB_ETOOBIG;
    *ret_retry_ns = UINT64_MAX;
    if (open <= most - n)
        rc = jbi_window_decide(&window, n + open, jbi_limit_time(now_ns), ret_retry_ns);
    if (rc == JB_EAGAIN && open > 0 && end_ns != UINT64_MAX && end_ns > now_ns &&
        *ret_retry_ns > end_ns - now_ns)
        *ret_retry_ns = end_ns - now_ns;
    return rc;
}

static int decide(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t n,
                  uint64_t now_ns, uint64_t *ret_retry_ns)
{
    struct jbi_gcra_terms terms = terms_of(limit);
    uint64_t paid;

    if (limit->kind == JB_LIMIT_OPEN) {
        *ret_retry_ns = UINT64_MAX;
        return limit->open < limit->in_force ? 0 : JB_EAGAIN;
    }
    if (n == 0)
        return 0;
    if (limit->kind == JB_LIMIT_RATE)
        return jbi_gcra_decide(&terms, limit->gcra.paid_ticks,
                               jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns), n, &paid,
                               ret_retry_ns);
    return window_decide(limits, limit, n, now_ns, ret_retry_ns);
}

/* What all limits say together. */
static int decide_all(const struct jbi_limits *limits, const struct jbi_usage *usage,
                      uint64_t now_ns, struct jbi_denial *ret_denial)
{
    int verdict = 0;

    *ret_denial = (struct jbi_denial){.limit = UINT32_MAX};
    for (uint32_t i = 0; i < limits->n_limits; i++) {
        struct jbi_limit *limit = &limits->limits[i];
        int place = place_in(limit, usage), rc;
        uint64_t retry_ns = 0, blocked = limit->blocked_until_ns;

        if (place < 0)
            continue;
        rc = decide(limits, limit, usage->amount[place], now_ns, &retry_ns);
        if (rc == 0)
            retry_ns = 0;
        if (rc != JB_ETOOBIG && blocked > now_ns) {
            rc = JB_EAGAIN;
            retry_ns = retry_ns > blocked - now_ns ? retry_ns : blocked - now_ns;
        }
        if (rc == 0 || verdict == JB_ETOOBIG)
            continue;
        if (rc == JB_ETOOBIG || verdict == 0 || retry_ns > ret_denial->retry_after_ns) {
            ret_denial->limit = i;
            ret_denial->retry_after_ns = retry_ns;
        }
        verdict = rc;
    }
    return verdict;
}

static void take_from(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t n,
                      uint64_t now_ns)
{
    struct jbi_gcra_terms terms = terms_of(limit);
    struct jbi_window window;

    if (limit->kind == JB_LIMIT_RATE) {
        set(limits, &limit->gcra.paid_ticks,
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
    struct jbi_gcra_terms terms = terms_of(limit);
    uint64_t at = jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns);
    uint64_t paid = jbi_gcra_refunded(&terms, limit->gcra.paid_ticks, n);

    if (limit->kind == JB_LIMIT_RATE && limit->gcra.paid_ticks > at)
        set(limits, &limit->gcra.paid_ticks, paid > at ? paid : at);
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

    set(limits, &reservation->prev, last);
    set(limits, &reservation->next, 0);
    set(limits, last ? &limits->reservations[last - 1].next : &head->first, slot + UINT64_C(1));
    set(limits, &head->last, slot + UINT64_C(1));
    set(limits, &head->n_open, head->n_open + 1);
}

static void list_remove(const struct jbi_limits *limits, uint32_t slot)
{
    struct jbi_limits_head *head = limits->head;
    struct jbi_reservation *reservation = &limits->reservations[slot];
    uint64_t next = place_of(limits, reservation->next);
    uint64_t prev = place_of(limits, reservation->prev);

    set(limits, prev ? &limits->reservations[prev - 1].next : &head->first, next);
    set(limits, next ? &limits->reservations[next - 1].prev : &head->last, prev);
    minus(limits, &head->n_open, 1);
}

static void reservation_write(const struct jbi_limits *limits, uint32_t slot,
                              const struct jbi_usage *usage, uint64_t now_ns)
{
    struct jbi_reservation *reservation = &limits->reservations[slot];
    uint64_t hold_ns = limits->head->hold_ns, resources = 0;

    for (uint32_t i = 0; i < usage->n; i++) {
        resources |= (uint64_t)(usage->resource[i] & 0xff) << (8 * i);
        set(limits, &reservation->amounts[i], usage->amount[i]);
    }
    set(limits, &reservation->resources, resources);
    set(limits, &reservation->who,
        usage->component | (uint64_t)usage->n << 16 | (uint64_t)usage->peer << 32);
    set(limits, &reservation->taken_ns, now_ns);
    set(limits, &reservation->deadline_ns,
        hold_ns < UINT64_MAX - now_ns ? now_ns + hold_ns : UINT64_MAX);
    set(limits, &reservation->token, limits->head->next_token);
    set(limits, &limits->head->next_token, limits->head->next_token + 1);
    list_append(limits, slot);
}

/* Part of the caller's step, as what it tells of is. */
static void record(const struct jbi_limits *limits, const struct jbi_happening *what,
                   const struct jbi_usage *usage)
{
    struct jbi_want want = {.component = usage->component,
                            .class_idx = JB_CLASS_NORMAL - 1,
                            .n = usage->n,
                            .peer = usage->peer};

    for (uint32_t i = 0; i < usage->n; i++) {
        want.resource[i] = usage->resource[i];
        want.amount[i] = usage->amount[i];
    }
    jbi_record_want(limits->books, what, &want);
}

static void deny(const struct jbi_limits *limits, const struct jbi_usage *usage,
                 const struct jbi_denial *denial)
{
    struct jbi_happening what = {
        .kind = JB_RECORD_DENIED, .reason = JB_DENIED_RATE, .value_ns = denial->retry_after_ns};

    if (usage->is_repeated)
        return;
    limits->limits[denial->limit].n_denied++;
    record(limits, &what, usage);
    jbi_undo_commit(limits->undo);
}

int jbi_limits_take(const struct jbi_limits *limits, const struct jbi_usage *usage,
                    uint64_t *ret_token, uint32_t *ret_slot, struct jbi_denial *ret_denial)
{
    struct jbi_happening what = {.kind = JB_RECORD_TAKEN};
    uint64_t now_ns = limits->books->head->now_ns;
    int rc = decide_all(limits, usage, now_ns, ret_denial);
    int64_t slot = 0;

    if (rc < 0) {
        deny(limits, usage, ret_denial);
        return rc;
    }
    if (ret_token) {
        slot = slot_take(limits);
        if (slot < 0)
            return JB_ELIMIT;
        reservation_write(limits, (uint32_t)slot, usage, now_ns);
        what.token = *ret_token = limits->reservations[slot].token;
        what.slot = *ret_slot = (uint32_t)slot;
    }
    for (uint32_t i = 0; i < limits->n_limits; i++) {
        struct jbi_limit *limit = &limits->limits[i];
        int place = place_in(limit, usage);

        if (place < 0)
            continue;
        if (!ret_token || limit->kind != JB_LIMIT_WINDOW)
            take_from(limits, limit, usage->amount[place], now_ns);
        limit->n_taken += usage->amount[place];
        if (ret_token)
            set(limits, &limit->open,
                limit->open + (limit->kind == JB_LIMIT_OPEN ? 1 : usage->amount[place]));
    }
    record(limits, &what, usage);
    jbi_undo_commit(limits->undo);
    return 0;
}

struct jbi_reservation *jbi_limits_find(const struct jbi_limits *limits, uint64_t token,
                                        uint32_t slot)
{
    if (token == 0 || slot >= limits->n_reservations || limits->reservations[slot].token != token)
        return NULL;
    return &limits->reservations[slot];
}

void jbi_reservation_unpack(const struct jbi_reservation *reservation, struct jbi_usage *ret_usage)
{
    uint64_t who = reservation->who, resources = reservation->resources;
    uint32_t n = (uint32_t)(who >> 16) & 0xff;

    *ret_usage = (struct jbi_usage){.component = (uint32_t)who & 0xffff,
                                    .peer = (uint32_t)(who >> 32),
                                    .n = n < JB_QUOTA_AMOUNTS_MAX ? n : JB_QUOTA_AMOUNTS_MAX};
    for (uint32_t i = 0; i < ret_usage->n; i++) {
        ret_usage->resource[i] = (uint32_t)(resources >> (8 * i)) & 0xff;
        ret_usage->amount[i] = reservation->amounts[i];
    }
}

/* A window counts what was used from now on: the call may have reached the service as late as
 * this. */
static void settle_one(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t reserved,
                       uint64_t used, uint64_t now_ns)
{
    minus(limits, &limit->open, limit->kind == JB_LIMIT_OPEN ? 1 : reserved);
    if (limit->kind == JB_LIMIT_WINDOW)
        take_from(limits, limit, used, now_ns);
    else if (used < reserved)
        give_to(limits, limit, reserved - used, now_ns);
    else
        take_from(limits, limit, used - reserved, now_ns);
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
        int place = place_in(limit, &usage);

        if (place >= 0)
            settle_one(limits, limit, usage.amount[place], used[place], now_ns);
    }
    for (uint32_t i = 0; i < usage.n; i++)
        usage.amount[i] = used[i];
    record(limits, &what, &usage);
    list_remove(limits, slot);
    set(limits, &reservation->token, 0);
    set(limits, &reservation->next, limits->head->free);
    set(limits, &limits->head->free, slot + UINT64_C(1));
    jbi_undo_commit(limits->undo);
}

static void settle_in_full(const struct jbi_limits *limits, uint32_t slot)
{
    struct jbi_usage usage;

    jbi_reservation_unpack(&limits->reservations[slot], &usage);
    jbi_limits_settle(limits, slot, usage.amount, JB_USED_SILENT);
}

void jbi_limits_tick(const struct jbi_books *books)
{
    struct jbi_reservation *reservation;
    struct jbi_limits limits;

    if (!jbi_limits_of(books, &limits))
        return;
    for (uint32_t i = 0; i < limits.n_reservations; i++) {
        reservation = oldest(&limits);
        if (!reservation || reservation->deadline_ns > books->head->now_ns)
            return;
        settle_in_full(&limits, (uint32_t)(reservation - limits.reservations));
    }
}

void jbi_limits_bury(const struct jbi_books *books, uint32_t peer)
{
    struct jbi_limits limits;
    uint64_t at;

    if (!jbi_limits_of(books, &limits))
        return;
    at = limits.head->first;
    for (uint32_t i = 0; i < limits.n_reservations && at != 0 && at <= limits.n_reservations; i++) {
        const struct jbi_reservation *reservation = &limits.reservations[at - 1];
        uint32_t slot = (uint32_t)at - 1;

        at = reservation->next;
        if (reservation->token != 0 && reservation->who >> 32 == peer)
            settle_in_full(&limits, slot);
    }
}

uint64_t jbi_limits_next_ns(const struct jbi_books *books)
{
    const struct jbi_reservation *reservation;
    struct jbi_limits limits;

    if (!jbi_limits_of(books, &limits))
        return UINT64_MAX;
    reservation = oldest(&limits);
    return reservation ? reservation->deadline_ns : UINT64_MAX;
}

static void rate_correct(const struct jbi_limits *limits, struct jbi_limit *limit,
                         uint64_t in_force, uint64_t at)
{
    struct jbi_gcra_terms terms = terms_of(limit), next;
    uint64_t burst = limit->burst < in_force ? limit->burst : in_force;

    if (jbi_gcra_terms_make(in_force, limit->period_ns, burst, &next) < 0)
        return;
    set(limits, &limit->gcra.paid_ticks,
        jbi_gcra_rescaled(&terms, &next, limit->gcra.paid_ticks, at));
    set(limits, &limit->gcra.interval[0], next.interval);
    set(limits, &limit->gcra.burst[0], next.burst);
}

/* Another amount than the configured one, never more. */
static void amount_correct(const struct jbi_limits *limits, struct jbi_limit *limit,
                           uint64_t amount, uint64_t now_ns)
{
    struct jbi_window window;

    amount = amount < limit->amount ? amount : limit->amount;
    if (amount == 0 || amount == limit->in_force)
        return;
    if (limit->kind == JB_LIMIT_RATE) {
        rate_correct(limits, limit, amount, jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns));
    } else if (limit->kind == JB_LIMIT_WINDOW) {
        window = jbi_limit_window(limits, limit);
        jbi_window_limit(&window, amount);
    }
    set(limits, &limit->in_force, amount);
}

static uint64_t remaining_in(const struct jbi_limits *limits, struct jbi_limit *limit,
                             uint64_t now_ns, jb_rate_state *ret_state)
{
    struct jbi_gcra_terms terms = terms_of(limit);
    struct jbi_window window;

    *ret_state = (jb_rate_state){.limit = limit->in_force};
    if (limit->kind == JB_LIMIT_RATE) {
        uint64_t at = jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns), paid = limit->gcra.paid_ticks;

        ret_state->limit = terms.burst;
        ret_state->remaining = jbi_gcra_remaining(&terms, paid, at);
        ret_state->reset_after_ns = paid > at ? jbi_ticks_to_ns(paid - at) : 0;
    } else if (limit->kind == JB_LIMIT_WINDOW) {
        window = jbi_limit_window(limits, limit);
        jbi_window_state(&window, jbi_limit_time(now_ns), ret_state);
        ret_state->remaining -=
            limit->open < ret_state->remaining ? limit->open : ret_state->remaining;
    } else {
        ret_state->remaining = limit->open < limit->in_force ? limit->in_force - limit->open : 0;
    }
    return ret_state->remaining;
}

/* What the service says is left does not yet count what is reserved and still on its way. */
static void remaining_correct(const struct jbi_limits *limits, struct jbi_limit *limit,
                              const struct jb_correction *correction, uint64_t now_ns)
{
    uint64_t told = correction->remaining;
    uint64_t target = told > limit->open ? told - limit->open : 0;
    jb_rate_state state;
    uint64_t ours = remaining_in(limits, limit, now_ns, &state);

    if (limit->kind == JB_LIMIT_OPEN)
        return;
    if (ours > target) {
        take_from(limits, limit, ours - target, now_ns);
    } else if ((correction->flags & JB_CORRECT_RAISE) && limit->kind == JB_LIMIT_RATE) {
        struct jbi_gcra_terms terms = terms_of(limit);
        uint64_t at = jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns);

        set(limits, &limit->gcra.paid_ticks, jbi_gcra_lowered(&terms, 0, at, target));
    }
}

void jbi_limits_correct(const struct jbi_limits *limits, uint32_t idx,
                        const struct jb_correction *correction, uint64_t now_ns)
{
    struct jbi_limit *limit = &limits->limits[idx];

    if (correction->flags & JB_CORRECT_LIMIT)
        amount_correct(limits, limit, correction->limit, now_ns);
    if (correction->flags & JB_CORRECT_REMAINING)
        remaining_correct(limits, limit, correction, now_ns);
    jbi_undo_commit(limits->undo);
}

void jbi_limit_block(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t until_ns)
{
    if (limit->blocked_until_ns < until_ns)
        set(limits, &limit->blocked_until_ns, until_ns);
}

bool jbi_limits_block(const struct jbi_limits *limits, uint32_t resource, uint64_t until_ns)
{
    bool is_found = false;

    for (uint32_t i = 0; i < limits->n_limits; i++) {
        struct jbi_limit *limit = &limits->limits[i];

        if (limit->resource != resource || limit->component != JB_LIMIT_ALL)
            continue;
        is_found = true;
        jbi_limit_block(limits, limit, until_ns);
    }
    jbi_undo_commit(limits->undo);
    return is_found;
}

void jbi_limits_state(const struct jbi_limits *limits, uint32_t idx, uint64_t now_ns,
                      jb_rate_state *ret_state)
{
    struct jbi_limit *limit = &limits->limits[idx];
    uint64_t blocked = limit->blocked_until_ns;

    (void)remaining_in(limits, limit, now_ns, ret_state);
    if (blocked > now_ns) {
        ret_state->remaining = 0;
        if (ret_state->reset_after_ns < blocked - now_ns)
            ret_state->reset_after_ns = blocked - now_ns;
    }
}

uint64_t jbi_limit_missing(const struct jbi_limit *limit, uint64_t now_ns)
{
    uint64_t at = jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns), paid = limit->gcra.paid_ticks;
    uint64_t interval = terms_of(limit).interval;

    if (limit->kind != JB_LIMIT_RATE || paid <= at || interval == 0)
        return 0;
    return (paid - at) / interval + ((paid - at) % interval != 0);
}

void jbi_limit_miss(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t missing,
                    uint64_t passed_ns, uint64_t now_ns)
{
    struct jbi_gcra_terms terms = terms_of(limit);
    uint64_t at = jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns);
    uint64_t passed = jbi_gcra_ticks(0, passed_ns);
    uint64_t owed = jbi_gcra_charged(&terms, 0, 0, missing), paid;

    if (limit->kind != JB_LIMIT_RATE || owed <= passed)
        return;
    owed -= passed;
    paid = owed < JBI_PAID_MAX_TICKS - at ? at + owed : JBI_PAID_MAX_TICKS;
    if (limit->gcra.paid_ticks < paid)
        set(limits, &limit->gcra.paid_ticks, paid);
}
