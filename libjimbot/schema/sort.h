/*
 * Sorting places in a text or a message: numbers whose order is somebody else's business.
 *
 * Invariant: n log n comparisons whatever the order of the items and whoever chose it; no memory
 * but what the caller gives.
 */
#ifndef JBI_SCHEMA_SORT_H
#define JBI_SCHEMA_SORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether a comes before b. */
typedef bool (*jbi_sort_before)(uint64_t a, uint64_t b, const void *userdata);

/* Sort n items, equals in the order in which they stand. room: for n more. */
void jbi_sort(uint64_t *items, size_t n, uint64_t *room, jbi_sort_before before,
              const void *userdata);

#endif
