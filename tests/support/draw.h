/*
 * draw.h: numbers for tests that draw their cases.
 *
 * Invariant: the same ones each time from the same seed, wherever the test runs.
 */
#ifndef TEST_DRAW_H
#define TEST_DRAW_H

#include <stdint.h>

/* 64 bits, from any seed but 0. */
static inline uint64_t draw64(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* 0 .. n - 1, from any seed; n has 31 bits at most. */
static inline uint32_t draw_below(uint64_t *seed, uint32_t n)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33) % n;
}

#endif
