/*
 * correction.c: what the service outside says of its limits, and where they stand after it.
 *
 * Invariant: no more can be taken than was configured, whatever is said; new terms of a rate keep
 * what can be taken, so no correction mints a burst.
 */
#include "quota/limits.h"

static void rate_correct(const struct jbi_limits *limits, struct jbi_limit *limit,
                         uint64_t in_force, uint64_t at)
{
    struct jbi_gcra_terms terms = jbi_limit_terms(limit), next;
    uint64_t burst = limit->burst < in_force ? limit->burst : in_force;

    if (jbi_gcra_terms_make(in_force, limit->period_ns, burst, &next) < 0)
        return;
    jbi_limits_set(limits, &limit->gcra.paid_ticks,
                   jbi_gcra_rescaled(&terms, &next, limit->gcra.paid_ticks, at));
    jbi_limits_set(limits, &limit->gcra.interval[0], next.interval);
    jbi_limits_set(limits, &limit->gcra.burst[0], next.burst);
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
    jbi_limits_set(limits, &limit->in_force, amount);
}

static uint64_t remaining_in(const struct jbi_limits *limits, struct jbi_limit *limit,
                             uint64_t now_ns, jb_rate_state *ret_state)
{
    struct jbi_gcra_terms terms = jbi_limit_terms(limit);
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
        jbi_limit_take_from(limits, limit, ours - target, now_ns);
    } else if ((correction->flags & JB_CORRECT_RAISE) && limit->kind == JB_LIMIT_RATE) {
        struct jbi_gcra_terms terms = jbi_limit_terms(limit);
        uint64_t at = jbi_gcra_ticks(limit->gcra.epoch_ns, now_ns);

        jbi_limits_set(limits, &limit->gcra.paid_ticks, jbi_gcra_lowered(&terms, 0, at, target));
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
        jbi_limits_set(limits, &limit->blocked_until_ns, until_ns);
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
