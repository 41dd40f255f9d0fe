/*
 * explore_state.h: what the explorer knows of the execution it is in and of all before.
 */
#ifndef TEST_EXPLORE_STATE_H
#define TEST_EXPLORE_STATE_H

#include "explore.h"
#include "fiber.h"

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

struct explore_state {
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
};

extern struct explore_state explore_state;

uint64_t explore_mix(uint64_t a, uint64_t b);

bool explore_can_run(unsigned thread);

/* Who goes on: a thread, or EXPLORE_THREADS when this execution ends. */
unsigned explore_decide(void);

#endif
