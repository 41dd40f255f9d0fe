/*
 * filter.c: see filter.h.
 */
#include "topic/filter.h"

#include "base/alloc.h"
#include "topic/pattern.h"

#include <string.h>

int jbi_filter_init(struct jbi_filter *filter, uint32_t max_topics, const jb_alloc *alloc)
{
    memset(filter, 0, sizeof *filter);
    filter->alloc = *alloc;
    filter->n_topics = max_topics + 1;
    filter->verdicts = jbi_alloc_zeroed(alloc, filter->n_topics);
    return filter->verdicts ? 0 : JB_ENOMEM;
}

void jbi_filter_fini(struct jbi_filter *filter)
{
    jbi_alloc_free(&filter->alloc, filter->verdicts, filter->n_topics);
    jbi_alloc_free(&filter->alloc, filter->patterns,
                   filter->cap_patterns * sizeof *filter->patterns);
}

static int make_room(struct jbi_filter *filter)
{
    uint32_t cap = filter->cap_patterns ? filter->cap_patterns * 2 : 4;
    void *grown;

    if (filter->n_patterns < filter->cap_patterns)
        return 0;
    grown = jbi_alloc_zeroed(&filter->alloc, cap * sizeof *filter->patterns);
    if (!grown)
        return JB_ENOMEM;
    if (filter->patterns)
        memcpy(grown, filter->patterns, filter->n_patterns * sizeof *filter->patterns);
    jbi_alloc_free(&filter->alloc, filter->patterns,
                   filter->cap_patterns * sizeof *filter->patterns);
    filter->patterns = grown;
    filter->cap_patterns = cap;
    return 0;
}

int jbi_filter_add(struct jbi_filter *filter, const char *pattern, size_t len_bytes)
{
    int rc;

    if (!jbi_topic_is_pattern(pattern, len_bytes))
        return JB_EINVAL;
    rc = make_room(filter);
    if (rc)
        return rc;
    memcpy(filter->patterns[filter->n_patterns], pattern, len_bytes);
    filter->patterns[filter->n_patterns][len_bytes] = '\0';
    filter->n_patterns++;
    for (uint32_t i = 0; i < filter->n_topics; i++) {
        if (filter->verdicts[i] == JBI_VERDICT_SKIP)
            filter->verdicts[i] = JBI_VERDICT_UNKNOWN;
    }
    return 0;
}

enum jbi_verdict jbi_filter_decide(struct jbi_filter *filter, uint32_t topic_id, const char *name,
                                   size_t len_bytes)
{
    enum jbi_verdict verdict = JBI_VERDICT_SKIP;

    for (uint32_t i = 0; i < filter->n_patterns && verdict == JBI_VERDICT_SKIP; i++) {
        if (jbi_topic_matches(filter->patterns[i], strlen(filter->patterns[i]), name, len_bytes))
            verdict = JBI_VERDICT_PASS;
    }
    filter->verdicts[topic_id] = (uint8_t)verdict;
    return verdict;
}
