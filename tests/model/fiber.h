/*
 * fiber.h: a stack that a test can leave and come back to, or drop and begin anew.
 *
 * Invariant: one fiber runs at a time, and only fiber_switch() changes which. A fiber's function
 * never returns: it switches away for good.
 */
#ifndef TEST_FIBER_H
#define TEST_FIBER_H

#include <setjmp.h>
#include <stdbool.h>
#include <ucontext.h>

enum { FIBER_STACK_BYTES = 128 * 1024 };

struct fiber {
    void (*run)(void *arg);
    void *arg;
    char *stack; /* NULL: the program's own */
    ucontext_t context;
    ucontext_t maker;
    jmp_buf bottom; /* where it begins */
    jmp_buf place;  /* where it was left */
    bool is_fresh;
};

void fiber_init(struct fiber *fiber, void (*run)(void *arg), void *arg);
void fiber_fini(struct fiber *fiber);

/* The next switch to it begins its function again, whatever it was doing. */
void fiber_restart(struct fiber *fiber);

/* Leave one and go on with the other. */
void fiber_switch(struct fiber *from, struct fiber *to);

#endif
