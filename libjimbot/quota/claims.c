/*
 * claims.c: see claims.h. The order, in the words of quota.h: who is due, who stays within a
 * guarantee, the others by class and fair share.
 */
#include "quota/claims.h"

#include <string.h>

bool jbi_is_guaranteed(const struct jbi_books *books, const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++) {
        const struct jbi_quota_share *share =
            jbi_share_get(books, want->component, want->resource[i]);

        if (share->allocated > share->guaranteed ||
            want->amount[i] > share->guaranteed - share->allocated)
            return false;
    }
    return true;
}

/* The component's largest part of any resource, by its weight, in 2^-32. */
static uint64_t dominant_share(const struct jbi_books *books, uint32_t component)
{
    uint64_t weight = books->components[component].weight;
    uint64_t most = 0;

    for (uint32_t i = 0; i < books->n_resources; i++) {
        uint64_t part = jbi_books_part_ns(
            &books->resources[i], jbi_share_get(books, component, i)->allocated, UINT64_C(1) << 32);

        if (part > most)
            most = part;
    }
    return (most << 20) / (weight ? weight : 1);
}

struct jbi_rank jbi_rank_of(const struct jbi_books *books, const struct jbi_line_head *head)
{
    uint64_t due_ns = jbi_due_ns(books, &head->want);
    uint32_t class_rank = JBI_QUOTA_CLASSES - head->want.class_idx;

    if (due_ns <= books->head->now_ns)
        return (struct jbi_rank){.group = 0, .share = due_ns, .id = head->id};
    return (struct jbi_rank){
        .group = class_rank + (jbi_is_guaranteed(books, &head->want) ? 0 : JBI_QUOTA_CLASSES),
        .share = books->head->flags & JB_COORD_DRF ? dominant_share(books, head->want.component)
                                                   : jbi_books_start_tag(books, &head->want),
        .id = head->id,
    };
}

bool jbi_rank_is_before(const struct jbi_rank *a, const struct jbi_rank *b)
{
    if (a->group != b->group)
        return a->group < b->group;
    return a->share != b->share ? a->share < b->share : a->id < b->id;
}

bool jbi_rank_is_due(const struct jbi_rank *rank)
{
    return rank->group == 0;
}

/* Put one in its place; the last falls out of a full list. */
static void insert(struct jbi_claims *claims, const struct jbi_rank *rank,
                   const struct jbi_want *want)
{
    struct jbi_claim *list = claims->at;
    uint32_t at = claims->n;

    if (at == JBI_CLAIMS_MAX && !jbi_rank_is_before(rank, &list[--at].rank))
        return;
    claims->n = at + 1;
    for (; at > 0 && jbi_rank_is_before(rank, &list[at - 1].rank); at--)
        list[at] = list[at - 1];
    list[at].rank = *rank;
    list[at].n = want->n;
    memcpy(list[at].resource, want->resource, sizeof list[at].resource);
    memcpy(list[at].amount, want->amount, sizeof list[at].amount);
}

/* True when it was there. */
static bool drop(struct jbi_claims *claims, uint64_t id)
{
    struct jbi_claim *list = claims->at;
    uint32_t at = 0;

    while (at < claims->n && list[at].rank.id != id)
        at++;
    if (at == claims->n)
        return false;
    memmove(&list[at], &list[at + 1], (--claims->n - at) * sizeof list[0]);
    return true;
}

/* Below the ceiling of its component; UINT64_MAX: that has none. */
static uint64_t own_room(const struct jbi_books *books, uint32_t component, uint32_t resource)
{
    const struct jbi_quota_share *share = jbi_share_get(books, component, resource);

    if (share->ceiling >= jbi_books_limit(&books->resources[resource]))
        return UINT64_MAX;
    return share->ceiling > share->allocated ? share->ceiling - share->allocated : 0;
}

static bool has_ceiling(const struct jbi_books *books, const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++) {
        if (own_room(books, want->component, want->resource[i]) != UINT64_MAX)
            return true;
    }
    return false;
}

/* True when it claims something from others. */
static bool add(const struct jbi_books *books, struct jbi_claims *claims,
                const struct jbi_line_head *head)
{
    struct jbi_rank rank = jbi_rank_of(books, head);
    bool is_due = jbi_rank_is_due(&rank);
    enum jbi_fit fit;

    if (!is_due && !jbi_queue_promised_until(books, &books->waiters[head->slot]))
        return false;
    fit = jbi_books_fit(books, &head->want, NULL);
    if (is_due && fit != JBI_FIT_LATER && has_ceiling(books, &head->want))
        claims->has_own = true;
    if (!jbi_fit_is_others(fit))
        return false;
    insert(claims, &rank, &head->want);
    return true;
}

void jbi_claims_collect(const struct jbi_books *books, struct jbi_claims *ret_claims)
{
    struct jbi_heads heads = {0};
    struct jbi_line_head head;

    ret_claims->n = 0;
    ret_claims->has_own = false;
    while (jbi_heads_next(books, &heads, &head))
        (void)add(books, ret_claims, &head);
}

bool jbi_claims_update(const struct jbi_books *books, struct jbi_claims *claims,
                       const struct jbi_line_head *head)
{
    bool was_any = drop(claims, head->id);

    return !add(books, claims, head) && was_any;
}

const uint64_t *jbi_claims_before(const struct jbi_claims *claims, const struct jbi_rank *rank,
                                  uint64_t kept[JB_QUOTA_RESOURCES_MAX])
{
    if (claims->n == 0 || !jbi_rank_is_before(&claims->at[0].rank, rank))
        return NULL;
    memset(kept, 0, JB_QUOTA_RESOURCES_MAX * sizeof kept[0]);
    for (uint32_t i = 0; i < claims->n && jbi_rank_is_before(&claims->at[i].rank, rank); i++) {
        const struct jbi_claim *claim = &claims->at[i];

        for (uint32_t j = 0; j < claim->n; j++) {
            uint64_t *of = &kept[claim->resource[j]];

            if (__builtin_add_overflow(*of, claim->amount[j], of))
                *of = UINT64_MAX;
        }
    }
    return kept;
}

/* Would what is left below the ceiling be too little for one that is due? */
static bool is_in_the_way(const struct jbi_books *books, const struct jbi_want *due,
                          const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++) {
        uint64_t room = own_room(books, want->component, want->resource[i]);

        for (uint32_t j = 0; j < due->n; j++) {
            if (due->resource[j] == want->resource[i] &&
                (want->amount[i] > room || due->amount[j] > room - want->amount[i]))
                return true;
        }
    }
    return false;
}

bool jbi_claims_hold_back(const struct jbi_books *books, const struct jbi_claims *claims,
                          const struct jbi_rank *rank, const struct jbi_want *want)
{
    struct jbi_heads heads = {0};
    struct jbi_line_head head;

    if (!claims->has_own)
        return false;
    while (jbi_heads_next(books, &heads, &head)) {
        struct jbi_rank its_rank;

        if (head.want.component != want->component || !is_in_the_way(books, &head.want, want))
            continue;
        its_rank = jbi_rank_of(books, &head);
        if (jbi_rank_is_due(&its_rank) && jbi_rank_is_before(&its_rank, rank) &&
            jbi_books_fit(books, &head.want, NULL) != JBI_FIT_LATER)
            return true;
    }
    return false;
}
