/*
 * filter.h: the patterns of one subscription, and its verdict on each topic.
 *
 * Invariant: a pattern meets a topic *name* once, when either is new to the filter; after that a
 * record is passed or skipped by one byte, whatever number of patterns or other subscriptions there
 * is.
 */
#ifndef JBI_TOPIC_FILTER_H
#define JBI_TOPIC_FILTER_H

#include "jimbot/base.h"

struct jbi_filter {
    jb_alloc alloc;
    uint8_t *verdicts; /* by topic id; enum jbi_verdict */
    uint32_t n_topics;
    char (*patterns)[128];
    uint32_t n_patterns;
    uint32_t cap_patterns;
};

enum jbi_verdict { JBI_VERDICT_UNKNOWN = 0, JBI_VERDICT_SKIP = 1, JBI_VERDICT_PASS = 2 };

/* For topic ids 0 .. max_topics. */
int jbi_filter_init(struct jbi_filter *filter, uint32_t max_topics, const jb_alloc *alloc);
void jbi_filter_fini(struct jbi_filter *filter);

/* JB_EINVAL when it is not a pattern, JB_ENOMEM. Forgets verdicts of SKIP. */
int jbi_filter_add(struct jbi_filter *filter, const char *pattern, size_t len_bytes);

/* Decide on a topic that is still unknown, and remember it. */
enum jbi_verdict jbi_filter_decide(struct jbi_filter *filter, uint32_t topic_id, const char *name,
                                   size_t len_bytes);

#endif
