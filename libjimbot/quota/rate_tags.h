/*
 * rate_tags.h: what components had of limits while others waited: start-time fair queueing over the
 * time that a limit takes to give something.
 *
 * Invariant: a tag only grows. Virtual times of different limits are not to be compared; how far
 * ahead of them somebody is, is.
 */
#ifndef JBI_QUOTA_RATE_TAGS_H
#define JBI_QUOTA_RATE_TAGS_H

#include "quota/limits.h"

/* How much of a limit a want takes; 0: nothing of it. */
uint64_t jbi_rate_counted(const struct jbi_limit *limit, const struct jbi_usage *usage);

/* The same, of a limit of all components. */
uint64_t jbi_rate_taken(const struct jbi_limit *limit, const struct jbi_usage *usage);

/* The words themselves. Indices are in range. */
uint64_t *jbi_rate_virtual_time(const struct jbi_limits *limits, uint32_t idx, uint32_t class_idx);
uint64_t *jbi_rate_finish_tag(const struct jbi_limits *limits, uint32_t idx, uint32_t component,
                              uint32_t class_idx);

uint64_t jbi_rate_start_tag(const struct jbi_limits *limits, uint32_t idx, uint32_t component,
                            uint32_t class_idx);

/* How far ahead of the limit's virtual time it is. */
uint64_t jbi_rate_lead(const struct jbi_limits *limits, uint32_t idx, uint32_t component,
                       uint32_t class_idx);

/* What n units cost the component. */
uint64_t jbi_rate_charge(const struct jbi_limits *limits, const struct jbi_limit *limit,
                         uint32_t component, uint64_t n);

#endif
