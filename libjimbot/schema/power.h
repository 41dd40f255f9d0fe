/*
 * Powers of ten as 128-bit significands, and the 64 x 128 bit product that both directions of
 * number conversion are made of.
 *
 * Invariant: jbi_power_of(k) is exact for 0 <= k <= JBI_POWER_EXACT_MAX and otherwise less than one
 * unit of its last bit too small.
 */
#ifndef JBI_SCHEMA_POWER_H
#define JBI_SCHEMA_POWER_H

#include <stdbool.h>
#include <stdint.h>

enum { JBI_POWER_MIN = -342, JBI_POWER_MAX = 324, JBI_POWER_EXACT_MAX = 55 };

__extension__ typedef unsigned __int128 jbi_u128;

/* 10^k is hi:lo * 2^(jbi_power_log2(k) - 127); the top bit of hi is set. */
typedef struct jbi_power {
    uint64_t hi;
    uint64_t lo;
} jbi_power;

/* The leading 128 bits of 10^k, rounded down; k within the bounds above. */
jbi_power jbi_power_of(int k);

/* floor(log2(10^k)), for |k| <= 1233. */
static inline int jbi_power_log2(int k)
{
    /* 1741647 / 2^19 is log2(10) closely enough for the range; the shift is arithmetic. */
    return (k * 1741647) >> 19;
}

/* Whether jbi_power_of(k) is 10^k itself. */
static inline bool jbi_power_is_exact(int k)
{
    return k >= 0 && k <= JBI_POWER_EXACT_MAX;
}

#endif
