/*
 * fiber.c: see fiber.h.
 *
 * swapcontext() makes a system call each time, and an exploration switches millions of times. So
 * each stack is entered once by it and left standing at its bottom; from then on setjmp() and
 * longjmp() do. Not under AddressSanitizer, which knows swapcontext() and takes such a longjmp()
 * for an unwinding.
 */
#include "fiber.h"

#include <stdint.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BY_CONTEXT 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define BY_CONTEXT 1
#endif

static void bottom(unsigned high, unsigned low)
{
    struct fiber *fiber = (struct fiber *)((uintptr_t)high << 16 << 16 | low);

#ifndef BY_CONTEXT
    if (_setjmp(fiber->bottom) == 0)
        swapcontext(&fiber->context, &fiber->maker);
#endif
    fiber->run(fiber->arg);
    abort();
}

static void lay_bottom(struct fiber *fiber)
{
    uintptr_t self = (uintptr_t)fiber;

    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = FIBER_STACK_BYTES;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, (void (*)(void))bottom, 2, (unsigned)(self >> 16 >> 16),
                (unsigned)self);
}

void fiber_init(struct fiber *fiber, void (*run)(void *arg), void *arg)
{
    fiber->run = run;
    fiber->arg = arg;
    fiber->stack = malloc(FIBER_STACK_BYTES);
    if (!fiber->stack)
        abort();
    fiber->is_fresh = true;
    lay_bottom(fiber);
#ifndef BY_CONTEXT
    swapcontext(&fiber->maker, &fiber->context);
#endif
}

void fiber_fini(struct fiber *fiber)
{
    free(fiber->stack);
}

void fiber_restart(struct fiber *fiber)
{
#ifdef BY_CONTEXT
    if (!fiber->is_fresh)
        lay_bottom(fiber);
#endif
    fiber->is_fresh = true;
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
    bool is_fresh = to->is_fresh;

    to->is_fresh = false;
#ifdef BY_CONTEXT
    (void)is_fresh;
    swapcontext(&from->context, &to->context);
#else
    if (_setjmp(from->place) == 0)
        _longjmp(is_fresh ? to->bottom : to->place, 1);
#endif
}
