/*
 * explore.h: runs a few virtual threads of real code through every order of their steps.
 *
 * A step is one atomic operation on memory the threads share (support/step.h says when), or what a
 * script calls one. The threads are fibers; between steps the explorer decides who goes on, or who
 * dies. It goes through the tree of all decisions depth first, replaying from the start for each
 * branch.
 *
 * Two prefixes that lead to one state need only one continuation. A state is the shared memory, and
 * for each thread a hash of every value it has seen: its own variables follow from those. So the
 * search is over all interleavings without a bound on their number of switches, and ends.
 *
 * Invariant: a script is a function of what it reads through steps: no clock, no address, no
 * variable that another thread writes.
 */
#ifndef TEST_EXPLORE_H
#define TEST_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXPLORE_THREADS = 4, EXPLORE_DEPTH = 4000 };

struct explore_model {
    const char *name;
    unsigned n_threads;
    unsigned n_deaths; /* so many threads may die, each before any of its steps */
    void *shared;      /* what the threads share: its address decides what is a step */
    size_t shared_bytes;
    bool (*is_step)(const volatile void *address); /* of those: does it matter? */
    void (*reset)(void);
    void (*run)(unsigned thread);
    void (*on_death)(unsigned thread);
    void (*check)(void);              /* in every state */
    void (*check_end)(void);          /* where nobody can go on */
    void (*on_idle)(unsigned thread); /* all that are left sleep: this one's time is up */
};

struct explore_limits {
    unsigned n_switches;   /* away from a thread that could go on; UINT32_MAX: any number */
    uint64_t n_executions; /* UINT64_MAX: all */
};

struct explore_figures {
    uint64_t n_executions; /* prefixes run from the start */
    uint64_t n_states;     /* different ones */
    uint64_t n_ends;       /* different ends */
    uint64_t n_steps;      /* replayed ones too */
    unsigned depth;        /* of the longest execution */
    bool is_complete;      /* within the limit on switches */
};

/* NULL, or what is wrong with which schedule: static storage. */
const char *explore(const struct explore_model *model, const struct explore_limits *limits,
                    struct explore_figures *ret_figures);

/* Run one schedule as explore() printed it and print each step of it. */
const char *explore_replay(const struct explore_model *model, const char *schedule);

/* For scripts and checks. */

/* The state is wrong. The first complaint counts; the execution ends at its next step. */
__attribute__((format(printf, 1, 2))) void explore_fail(const char *format, ...);

bool explore_is_alive(unsigned thread); /* for checks */
bool explore_ask(unsigned thread);      /* the same as a step of who asks */
unsigned explore_thread(void);          /* whose step it is */
bool explore_is_stepping(void);         /* false in checks and in what reset() does */

/* A step that is not an atomic operation of the core: reading and writing what is shared. */
void explore_step(const volatile void *address);
void explore_saw(uint64_t value);

/* From here on the running thread depends on nothing it saw before but what this hashes. */
void explore_forget(uint64_t hash);
uint64_t explore_hash(const void *bytes, size_t n_bytes);

/* Sleep until somebody calls explore_wake() with the same address. False: time ran out. */
bool explore_sleep(const volatile void *address);
void explore_wake(const volatile void *address);

#endif
