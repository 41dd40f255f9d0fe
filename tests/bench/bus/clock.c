/*
 * clock.c: the clock of latency figures: the time-stamp counter where there is one, because a call
 * of clock_gettime() costs a good part of what is measured.
 *
 * Invariant: ticks of all cores and processes count from one origin (the kernel uses the same
 * counter for its own clock, and both sides of a figure are timed alike).
 */
#include "bench.h"

#include <stdio.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

uint64_t ticks_now(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#else
    return now_ns();
#endif
}

static double ns_per_tick(void)
{
    static double ratio;
    uint64_t begin_ns, begin;

    if (ratio > 0)
        return ratio;
    begin_ns = now_ns();
    begin = ticks_now();
    while (now_ns() - begin_ns < 20000000)
        ;
    ratio = (double)(now_ns() - begin_ns) / (double)(ticks_now() - begin);
    return ratio;
}

double ticks_to_ns(uint64_t ticks)
{
    return (double)ticks * ns_per_tick();
}
