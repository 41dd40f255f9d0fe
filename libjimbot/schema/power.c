/*
 * The table behind power.h, made at build time by tools/powersgen.py. Invariant: its bounds are
 * those that power.h promises.
 */
#include "schema/power.h"

#include <assert.h>

#include "schema/power_table.h"

static_assert((int)POWER_FIRST == (int)JBI_POWER_MIN, "first power of the table");
static_assert((int)POWER_LAST == (int)JBI_POWER_MAX, "last power of the table");

jbi_power jbi_power_of(int k)
{
    assert(k >= JBI_POWER_MIN && k <= JBI_POWER_MAX);
    const uint64_t *entry = powers_of_ten[k - POWER_FIRST];

    return (jbi_power){entry[0], entry[1]};
}
