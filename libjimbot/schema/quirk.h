/*
 * What clients get wrong and are survived: which of it is, and how often it was.
 *
 * One question is asked wherever a quirk is met: jbi_quirk(). Invariant: a quirk that is taken is
 * counted, and one that is not taken never is.
 */
#ifndef JBI_SCHEMA_QUIRK_H
#define JBI_SCHEMA_QUIRK_H

#include "jimbot/schema.h"

enum { JBI_N_QUIRKS = 8 };

/* What RFC 8259 forbids; the others are JSON and say something odd. */
enum {
    JBI_QUIRKS_OF_TEXT =
        JB_QUIRK_NON_FINITE | JB_QUIRK_CONTROL_BYTES | JB_QUIRK_BAD_UTF8 | JB_QUIRK_HALF_SURROGATES
};

struct jbi_quirks {
    uint32_t taken;           /* bits of enum jb_quirk */
    uint32_t n[JBI_N_QUIRKS]; /* how often, by the number of the bit */
};

/* A quirk is met: whether it is taken, in which case it counts. */
static inline bool jbi_quirk(struct jbi_quirks *q, uint32_t quirk)
{
    if ((q->taken & quirk) == 0)
        return false;
    q->n[__builtin_ctz(quirk)]++;
    return true;
}

static inline uint32_t jbi_quirks_sum(const struct jbi_quirks *q)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < JBI_N_QUIRKS; i++)
        sum += q->n[i];
    return sum;
}

#endif
