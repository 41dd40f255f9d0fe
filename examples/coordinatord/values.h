/*
 * values: the values of settings, from text.
 *
 * Invariant: what is no value is refused and leaves the output as it was.
 */
#ifndef COORDINATORD_VALUES_H
#define COORDINATORD_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Digits, then perhaps K, M, G or T, powers of 1024. Returns what follows, or NULL. */
const char *value_amount_of(const char *text, uint64_t *ret);

/* The same and nothing behind; seconds with a fraction, as nanoseconds; a number of 32 bits. */
bool value_amount(const char *text, uint64_t *ret);
bool value_seconds(const char *text, uint64_t *ret);
bool value_count(const char *text, uint32_t *ret);

/* yes or no, as a bit. */
bool value_switch(const char *text, uint32_t bit, uint32_t *flags);

/* A text; "none" is "". */
bool value_text(const char *text, char *to, size_t cap);

/* The line of a section with a name and no setting, which inih steps over without a word; 0: there
 * is none. */
int value_empty_section(const char *path);

#endif
