/*
 * Numbers of the mod Talisman, whose scores leave the range of doubles:
 * `{"array":[a,b,…],"sign":1}` is a, or ten to the power of a, b times over; a longer list is more
 * than any double.
 */
#ifndef JBI_SCHEMA_BIG_NUMBER_H
#define JBI_SCHEMA_BIG_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/* The nearest double of a number that minified JSON text spells so; false when it does not. */
bool jbi_big_number(const char *json, size_t len_bytes, double *ret);

#endif
