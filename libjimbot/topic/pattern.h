/*
 * pattern.h: topic names, and the patterns that select them.
 *
 * A name is tokens joined by `.`. In a pattern a token may be `*`, which matches exactly one token,
 * and the last may be `>`, which matches one token or more (the grammar of NATS subjects).
 *
 * Invariant: what passes these checks is at most JB_TOPIC_MAX_BYTES of printable ASCII without
 * spaces.
 */
#ifndef JBI_TOPIC_PATTERN_H
#define JBI_TOPIC_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

bool jbi_topic_is_name(const char *text, size_t len_bytes);
bool jbi_topic_is_pattern(const char *text, size_t len_bytes);

/* Both must be legal. Time is linear in the name. */
bool jbi_topic_matches(const char *pattern, size_t pattern_bytes, const char *name,
                       size_t name_bytes);

#endif
