/*
 * decide.c: who goes on at a step, or dies.
 *
 * explore_decide() is called on the stack of the thread that comes to a step. While it replays a
 * prefix it reads the next decision; behind it, it checks the state, looks whether it was here
 * before, and takes the first decision that is open, leaving the others for later executions.
 */
#include "explore_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define x explore_state

uint64_t explore_mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);

    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 29;
}

uint64_t explore_hash(const void *bytes, size_t n_bytes)
{
    uint64_t h[4] = {1, 2, 3, 4}, w[4];
    const char *at = bytes;

    for (; n_bytes >= sizeof w; n_bytes -= sizeof w, at += sizeof w) {
        memcpy(w, at, sizeof w);
        for (int i = 0; i < 4; i++) {
            h[i] = (h[i] ^ w[i]) * UINT64_C(0x9e3779b97f4a7c15);
            h[i] ^= h[i] >> 32;
        }
    }
    memset(w, 0, sizeof w);
    memcpy(w, at, n_bytes);
    return explore_mix(explore_mix(h[0] ^ w[0], h[1] ^ w[1]),
                       explore_mix(h[2] ^ w[2], h[3] ^ w[3]));
}

static uint64_t state_hash(void)
{
    uint64_t h = explore_hash(x.model->shared, x.model->shared_bytes);

    for (unsigned t = 0; t < x.model->n_threads; t++) {
        const struct thread *thread = &x.threads[t];

        h = explore_mix(h, thread->history + thread->is_done + 2u * thread->is_dead +
                               4u * !!thread->asleep_on + 8u * thread->is_timed_out);
    }
    /* With a bound on switches, how many are left is part of what can happen next. */
    if (x.limits.n_switches != UINT32_MAX)
        h = explore_mix(h, x.running * 1000003u + x.n_switches);
    return h ? h : 1;
}

static void seen_grow(void)
{
    uint64_t *old = x.seen, n_old = x.n_slots;

    x.n_slots = n_old ? n_old * 2 : 1 << 16;
    x.seen = calloc(x.n_slots, sizeof *x.seen);
    if (!x.seen)
        abort();
    for (uint64_t i = 0; i < n_old; i++) {
        uint64_t at = old[i] & (x.n_slots - 1);

        if (!old[i])
            continue;
        while (x.seen[at])
            at = (at + 1) & (x.n_slots - 1);
        x.seen[at] = old[i];
    }
    free(old);
}

/* True when it was not there. */
static bool seen_add(uint64_t hash)
{
    uint64_t at;

    if (2 * x.figures.n_states >= x.n_slots)
        seen_grow();
    for (at = hash & (x.n_slots - 1); x.seen[at]; at = (at + 1) & (x.n_slots - 1))
        if (x.seen[at] == hash)
            return false;
    x.seen[at] = hash;
    x.figures.n_states++;
    return true;
}

bool explore_can_run(unsigned t)
{
    return !x.threads[t].is_done && !x.threads[t].is_dead && !x.threads[t].asleep_on;
}

/* Nobody sees a death before he asks. So one that happened at any time before shows here: when
 * somebody is about to ask, or when all others have come to their ends. */
static bool may_die(unsigned t)
{
    bool is_asked = false, is_last = true;

    if (x.threads[t].is_done || x.threads[t].is_dead || x.n_dead == x.model->n_deaths)
        return false;
    for (unsigned other = 0; other < x.model->n_threads; other++) {
        if (other == t || !explore_can_run(other))
            continue;
        is_last = false;
        is_asked |= x.threads[other].asks == t + 1;
    }
    return is_asked || is_last;
}

/* What may happen now: thread t goes on, or (EXPLORE_THREADS + t) it dies. */
static unsigned choices(void)
{
    unsigned mask = 0, n = x.model->n_threads;
    bool may_switch = x.running >= EXPLORE_THREADS || !explore_can_run(x.running) ||
                      x.n_switches < x.limits.n_switches;

    for (unsigned t = 0; t < n; t++) {
        if (explore_can_run(t) && (t == x.running || may_switch))
            mask |= 1u << t;
        if (may_die(t))
            mask |= 1u << (EXPLORE_THREADS + t);
    }
    return mask;
}

static void idle(void)
{
    for (unsigned t = 0; t < x.model->n_threads; t++) {
        struct thread *thread = &x.threads[t];

        if (!thread->asleep_on || thread->is_dead)
            continue;
        x.is_checking = true;
        x.model->on_idle(t);
        x.is_checking = false;
        thread->asleep_on = NULL;
        thread->is_timed_out = true;
    }
}

static void apply_death(unsigned t)
{
    x.threads[t].is_dead = true;
    x.n_dead++;
    x.is_checking = true;
    x.model->on_death(t);
    x.is_checking = false;
}

static bool is_new_state(void)
{
    x.is_checking = true;
    x.model->check();
    x.is_checking = false;
    return !x.complaint[0] && seen_add(state_hash());
}

/* The first decision to try: whoever runs goes on, else the first that can. */
static unsigned first_choice(unsigned mask)
{
    if (x.running < EXPLORE_THREADS && mask >> x.running & 1)
        return x.running;
    return (unsigned)__builtin_ctz(mask);
}

static bool some_sleep(void)
{
    for (unsigned t = 0; t < x.model->n_threads; t++)
        if (x.threads[t].asleep_on && !x.threads[t].is_dead)
            return true;
    return false;
}

static bool decide_anew(unsigned *ret_choice)
{
    unsigned mask;

    if (!is_new_state())
        return false;
    mask = choices();
    /* Nobody can go on: whoever sleeps is told the time, or dies. */
    if (!(mask & ((1u << EXPLORE_THREADS) - 1)) && some_sleep()) {
        *ret_choice = CHOICE_IDLE;
        x.open[x.depth] = (uint16_t)mask;
        return true;
    }
    x.is_end = !mask;
    if (x.is_end)
        return false;
    *ret_choice = first_choice(mask);
    x.open[x.depth] = (uint16_t)(mask & ~(1u << *ret_choice));
    return true;
}

unsigned explore_decide(void)
{
    for (;;) {
        unsigned choice;

        if (x.complaint[0])
            return EXPLORE_THREADS;
        if (x.depth < x.n_replay) {
            choice = x.choice[x.depth];
        } else if (x.depth == EXPLORE_DEPTH) {
            explore_fail("no end after %d steps: somebody makes no progress", EXPLORE_DEPTH);
            return EXPLORE_THREADS;
        } else if (!decide_anew(&choice)) {
            return EXPLORE_THREADS;
        }
        /* A schedule somebody typed may ask for what cannot be. */
        if (choice < EXPLORE_THREADS && !explore_can_run(choice)) {
            explore_fail("step %u of the schedule is not possible", x.depth);
            return EXPLORE_THREADS;
        }
        x.choice[x.depth++] = (uint8_t)choice;
        if (x.is_loud)
            printf("%4u  %s %u\n", x.depth,
                   choice == CHOICE_IDLE       ? "idle"
                   : choice >= EXPLORE_THREADS ? "death of"
                                               : "thread",
                   choice % EXPLORE_THREADS);
        if (choice == CHOICE_IDLE) {
            idle();
        } else if (choice >= EXPLORE_THREADS) {
            apply_death(choice - EXPLORE_THREADS);
        } else {
            if (x.running < EXPLORE_THREADS && choice != x.running && explore_can_run(x.running))
                x.n_switches++;
            return choice;
        }
    }
}
