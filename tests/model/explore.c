/*
 * explore.c: see explore.h.
 *
 * At each step explore_decide() (decide.c) says who goes on, and its fiber is switched to; an
 * execution is such steps from the beginning to an end.
 */
#include "explore.h"

#include "explore_state.h"
#include "support/step.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef memcpy

#define x explore_state

struct explore_state explore_state;

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
        x.threads[x.running].history = explore_mix(hash, x.running + 1);
}

unsigned explore_thread(void)
{
    return x.running;
}

bool explore_is_stepping(void)
{
    return x.running < EXPLORE_THREADS && !x.is_checking;
}

static void go_on(void)
{
    unsigned self = x.running, next = explore_decide();

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
    self->history = explore_mix(self->history, off);
    x.figures.n_steps++;
    if (x.is_loud)
        printf("      thread %u at +%llu\n", x.running, (unsigned long long)off);
}

void explore_saw(uint64_t value)
{
    if (!explore_is_stepping())
        return;
    x.threads[x.running].history = explore_mix(x.threads[x.running].history, value);
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
