/*
 * explore.c: see explore.h.
 *
 * decide() is called on the stack of the thread that comes to a step. While it replays a prefix it
 * reads the next decision; behind it, it checks the state, looks whether it was here before, and
 * takes the first decision that is open, leaving the others for later executions.
 */
#include "explore.h"

#include "fiber.h"
#include "support/step.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef memcpy

enum { N_CHOICES = 2 * EXPLORE_THREADS, CHOICE_IDLE = N_CHOICES };

struct thread {
    struct fiber fiber;
    uint64_t history; /* hash of what it has seen */
    const volatile void *asleep_on;
    unsigned asks; /* its next step asks whether thread asks - 1 lives */
    bool is_begun;
    bool is_done;
    bool is_dead;
    bool is_timed_out;
};

static struct {
    const struct explore_model *model;
    struct explore_limits limits;
    struct explore_figures figures;
    struct fiber home;
    struct thread threads[EXPLORE_THREADS];
    unsigned running; /* EXPLORE_THREADS: nobody, the explorer itself */
    bool is_checking;
    bool is_loud;
    bool is_end; /* a state not seen before, and nobody can go on */
    unsigned n_dead;
    unsigned n_switches;
    /* The path. */
    uint8_t choice[EXPLORE_DEPTH];
    uint16_t open[EXPLORE_DEPTH]; /* decisions not tried yet */
    unsigned depth;
    unsigned n_replay;
    /* States seen. */
    uint64_t *seen;
    uint64_t n_slots;
    char complaint[1024];
    char text[8192];
} x;

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);

    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 29;
}

static uint64_t hash_bytes(const void *bytes, size_t n_bytes)
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
    return mix(mix(h[0] ^ w[0], h[1] ^ w[1]), mix(h[2] ^ w[2], h[3] ^ w[3]));
}

static uint64_t state_hash(void)
{
    uint64_t h = hash_bytes(x.model->shared, x.model->shared_bytes);

    for (unsigned t = 0; t < x.model->n_threads; t++) {
        const struct thread *thread = &x.threads[t];

        h = mix(h, thread->history + thread->is_done + 2u * thread->is_dead +
                       4u * !!thread->asleep_on + 8u * thread->is_timed_out);
    }
    /* With a bound on switches, how many are left is part of what can happen next. */
    if (x.limits.n_switches != UINT32_MAX)
        h = mix(h, x.running * 1000003u + x.n_switches);
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

void explore_fail(const char *format, ...)
{
    va_list args;

    if (x.complaint[0])
        return;
    va_start(args, format);
    vsnprintf(x.complaint, sizeof x.complaint, format, args);
    va_end(args);
}

bool explore_is_alive(unsigned thread)
{
    return !x.threads[thread].is_dead;
}

bool explore_ask(unsigned thread)
{
    if (explore_is_stepping()) {
        unsigned asker = x.running;

        x.threads[asker].asks = thread + 1;
        explore_step(x.model->shared);
        x.threads[asker].asks = 0;
        explore_saw(explore_is_alive(thread));
    }
    return explore_is_alive(thread);
}

void explore_forget(uint64_t hash)
{
    if (explore_is_stepping())
        x.threads[x.running].history = mix(hash, x.running + 1);
}

uint64_t explore_hash(const void *bytes, size_t n_bytes)
{
    return hash_bytes(bytes, n_bytes);
}

unsigned explore_thread(void)
{
    return x.running;
}

bool explore_is_stepping(void)
{
    return x.running < EXPLORE_THREADS && !x.is_checking;
}

static bool can_run(unsigned t)
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
        if (other == t || !can_run(other))
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
    bool may_switch =
        x.running >= EXPLORE_THREADS || !can_run(x.running) || x.n_switches < x.limits.n_switches;

    for (unsigned t = 0; t < n; t++) {
        if (can_run(t) && (t == x.running || may_switch))
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

/* Who goes on: a thread, or EXPLORE_THREADS when this execution ends. */
static unsigned decide(void)
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
        if (choice < EXPLORE_THREADS && !can_run(choice)) {
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
            if (x.running < EXPLORE_THREADS && choice != x.running && can_run(x.running))
                x.n_switches++;
            return choice;
        }
    }
}

static void go_on(void)
{
    unsigned self = x.running, next = decide();

    if (next == self)
        return;
    x.running = next;
    fiber_switch(self < EXPLORE_THREADS ? &x.threads[self].fiber : &x.home,
                 next < EXPLORE_THREADS ? &x.threads[next].fiber : &x.home);
}

void explore_step(const volatile void *address)
{
    struct thread *self = &x.threads[x.running % EXPLORE_THREADS];
    uint64_t off = (uintptr_t)address - (uintptr_t)x.model->shared;

    if (!explore_is_stepping())
        return;
    /* What it did before its first step touched nothing, so that one was decided with its start. */
    if (self->is_begun)
        go_on();
    self->is_begun = true;
    /* A store shows no value; that it was made is history too. */
    self->history = mix(self->history, off);
    x.figures.n_steps++;
    if (x.is_loud)
        printf("      thread %u at +%llu\n", x.running, (unsigned long long)off);
}

void explore_saw(uint64_t value)
{
    if (!explore_is_stepping())
        return;
    x.threads[x.running].history = mix(x.threads[x.running].history, value);
    if (x.is_loud)
        printf("      saw %#llx\n", (unsigned long long)value);
}

static void before(const volatile void *address)
{
    uintptr_t off = (uintptr_t)address - (uintptr_t)x.model->shared;

    if (off < x.model->shared_bytes && x.model->is_step(address))
        explore_step(address);
}

bool explore_sleep(const volatile void *address)
{
    struct thread *self = &x.threads[x.running];

    if (!explore_is_stepping())
        return false;
    self->asleep_on = address;
    self->is_timed_out = false;
    go_on();
    explore_saw(self->is_timed_out);
    return !self->is_timed_out;
}

void explore_wake(const volatile void *address)
{
    for (unsigned t = 0; t < x.model->n_threads; t++)
        if (x.threads[t].asleep_on == address)
            x.threads[t].asleep_on = NULL;
}

static void thread_main(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;

    x.model->run(self);
    x.threads[self].is_done = true;
    go_on();
    abort();
}

static void execute(void)
{
    for (unsigned t = 0; t < x.model->n_threads; t++) {
        struct thread *thread = &x.threads[t];

        fiber_restart(&thread->fiber);
        thread->history = t + 1;
        thread->asleep_on = NULL;
        thread->asks = 0;
        thread->is_begun = thread->is_done = thread->is_dead = thread->is_timed_out = false;
    }
    x.running = EXPLORE_THREADS;
    x.depth = x.n_dead = x.n_switches = 0;
    x.is_end = false;
    x.model->reset();
    x.figures.n_executions++;
    go_on();
    if (x.figures.depth < x.depth)
        x.figures.depth = x.depth;
    if (!x.complaint[0] && x.is_end) {
        x.is_checking = true;
        x.model->check_end();
        x.is_checking = false;
        x.figures.n_ends++;
    }
}

/* The deepest decision that is still open. False when there is none. */
static bool backtrack(void)
{
    while (x.depth && !x.open[x.depth - 1])
        x.depth--;
    if (!x.depth)
        return false;
    x.choice[x.depth - 1] = (uint8_t)__builtin_ctz(x.open[x.depth - 1]);
    x.open[x.depth - 1] &= (uint16_t)(x.open[x.depth - 1] - 1);
    x.n_replay = x.depth;
    return true;
}

static void begin(const struct explore_model *model, const struct explore_limits *limits)
{
    memset(&x.figures, 0, sizeof x.figures);
    x.model = model;
    x.limits = *limits;
    x.n_replay = 0;
    x.complaint[0] = '\0';
    for (unsigned t = 0; t < model->n_threads; t++)
        fiber_init(&x.threads[t].fiber, thread_main, (void *)(uintptr_t)t);
    jbt_before = before;
    jbt_after = explore_saw;
}

static const char *end(void)
{
    int n;

    jbt_before = NULL;
    jbt_after = NULL;
    for (unsigned t = 0; t < x.model->n_threads; t++)
        fiber_fini(&x.threads[t].fiber);
    free(x.seen);
    x.seen = NULL;
    x.n_slots = 0;
    if (!x.complaint[0])
        return NULL;
    n = snprintf(x.text, sizeof x.text, "%s: %s; schedule ", x.model->name, x.complaint);
    for (unsigned d = 0, run; d < x.depth && n + 16 < (int)sizeof x.text; d += run) {
        for (run = 1; d + run < x.depth && x.choice[d + run] == x.choice[d]; run++)
            ;
        n += snprintf(x.text + n, sizeof x.text - (size_t)n, "%s%u*%u", d ? "," : "", x.choice[d],
                      run);
    }
    return x.text;
}

const char *explore(const struct explore_model *model, const struct explore_limits *limits,
                    struct explore_figures *ret_figures)
{
    begin(model, limits);
    do
        execute();
    while (!x.complaint[0] && (x.figures.is_complete = !backtrack(), !x.figures.is_complete) &&
           x.figures.n_executions < limits->n_executions);
    *ret_figures = x.figures;
    return end();
}

const char *explore_replay(const struct explore_model *model, const char *schedule)
{
    struct explore_limits limits = {UINT32_MAX, 1};

    begin(model, &limits);
    while (*schedule) {
        char *after;
        unsigned long choice = strtoul(schedule, &after, 10);
        unsigned long run = *after == '*' ? strtoul(after + 1, &after, 10) : 1;

        while (run-- && x.n_replay < EXPLORE_DEPTH)
            x.choice[x.n_replay++] = (uint8_t)choice;
        if (*after != ',')
            break;
        schedule = after + 1;
    }
    x.is_loud = true;
    execute();
    x.is_loud = false;
    return end();
}
