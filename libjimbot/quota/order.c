/*
 * order.c: who is next: the first in the order of claims.h that fits beside what is kept from it.
 *
 * Only heads of lines are looked at, so one choice costs as many looks as there are lines, which is
 * a matter of how many components and kinds of wants there are, not of how many wait. Nothing is
 * changed here.
 */
#include "quota/claims.h"

bool jbi_queue_has_linger(const struct jbi_books *books, const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++) {
        const struct jbi_quota_resource *resource = &books->resources[want->resource[i]];

        if (resource->linger_for != 0 && resource->linger_until_ns > books->head->now_ns)
            return true;
    }
    return false;
}

/* Is it somebody else's turn, who is expected back in a moment? */
static bool is_kept_out(const struct jbi_books *books, const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++) {
        const struct jbi_quota_resource *resource = &books->resources[want->resource[i]];
        uint32_t component = (uint32_t)resource->linger_for & 0xffff;
        uint32_t class_idx = jbi_who_class(resource->linger_for);
        struct jbi_want theirs = {.n = 1, .resource = {want->resource[i]}, .class_idx = class_idx};
        struct jbi_want ours = theirs;

        if (component == 0 || component > books->n_components ||
            resource->linger_until_ns <= books->head->now_ns || component - 1 == want->component)
            continue;
        theirs.component = component - 1;
        ours.component = want->component;
        if (class_idx > want->class_idx ||
            (class_idx == want->class_idx &&
             jbi_books_start_tag(books, &theirs) < jbi_books_start_tag(books, &ours)))
            return true;
    }
    return false;
}

bool jbi_queue_is_any_due(const struct jbi_books *books, uint32_t component, uint64_t mask)
{
    struct jbi_heads heads = {0};
    struct jbi_line_head head;

    while (jbi_heads_next(books, &heads, &head)) {
        enum jbi_fit fit;

        if (!(head.want.mask & mask) || jbi_due_ns(books, &head.want) > books->head->now_ns)
            continue;
        fit = jbi_books_fit(books, &head.want, NULL);
        if (jbi_fit_is_others(fit) || (fit == JBI_FIT_OWN && head.want.component == component))
            return true;
    }
    return false;
}

uint64_t jbi_queue_choose(const struct jbi_books *books)
{
    uint64_t kept[JB_QUOTA_RESOURCES_MAX];
    struct jbi_rank best = {0};
    uint64_t best_at = 0;
    struct jbi_heads heads = {0};
    struct jbi_claims claims;
    struct jbi_line_head head;

    jbi_claims_collect(books, &claims);
    while (jbi_heads_next(books, &heads, &head)) {
        struct jbi_rank rank = jbi_rank_of(books, &head);

        if ((best_at && jbi_rank_is_before(&best, &rank)) ||
            jbi_books_fit(books, &head.want, jbi_claims_before(&claims, &rank, kept)) != JBI_FITS ||
            jbi_claims_hold_back(books, &claims, &rank, &head.want) ||
            (!jbi_rank_is_due(&rank) && is_kept_out(books, &head.want)))
            continue;
        best = rank;
        best_at = head.slot + UINT64_C(1);
    }
    return best_at;
}

bool jbi_queue_somebody_could_go(const struct jbi_books *books)
{
    return books->head->n_leases < books->n_leases && jbi_queue_choose(books) != 0;
}

uint64_t jbi_queue_least_tag(const struct jbi_books *books, uint32_t idx, uint32_t class_idx)
{
    uint64_t least = UINT64_MAX;
    struct jbi_heads heads = {0};
    struct jbi_line_head head;

    while (jbi_heads_next(books, &heads, &head)) {
        uint64_t tag;

        if (head.want.class_idx != class_idx || !(head.want.mask >> idx & 1) ||
            jbi_books_fit(books, &head.want, NULL) != JBI_FITS)
            continue;
        tag = jbi_books_start_tag(books, &head.want);
        least = tag < least ? tag : least;
    }
    return least;
}
