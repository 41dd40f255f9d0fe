/*
 * order.c: who is next, in the words of quota.h: who is due, who stays within a guarantee, the
 * others by class and fair share.
 *
 * Only heads of lines are looked at, so one choice costs as many looks as there are lines, which is
 * a matter of how many components and kinds of wants there are, not of how many wait. Nothing is
 * changed here.
 */
#include "quota/queue.h"

enum { DUE_MAX = 64 };

/* Lines whose heads are due, the longest due first. Beyond DUE_MAX they count as the others do,
 * until they are among the first. */
struct due_list {
    uint32_t n;
    struct {
        uint64_t due_ns;
        uint64_t id;
        uint32_t slot;
    } at[DUE_MAX];
};

bool jbi_queue_is_guaranteed(const struct jbi_books *books, const struct jbi_want *want)
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

/* Can it be had when all leases have ended? Not while more is used without a lease than it leaves:
 * keeping for it would keep everybody else out for as long as that goes on. */
bool jbi_queue_is_within_reach(const struct jbi_books *books, const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++) {
        const struct jbi_quota_resource *resource = &books->resources[want->resource[i]];
        uint64_t limit = jbi_books_limit(resource);

        if (resource->foreign > limit || want->amount[i] > limit - resource->foreign)
            return false;
    }
    return true;
}

/* Has it waited longer than its class may, and can it be helped? */
static bool is_due(const struct jbi_books *books, const struct jbi_line_head *head)
{
    return jbi_due_ns(books, &head->want) <= books->head->now_ns &&
           jbi_queue_is_within_reach(books, &head->want);
}

bool jbi_queue_is_any_due(const struct jbi_books *books, uint64_t mask)
{
    struct jbi_heads heads = {0};
    struct jbi_line_head head;

    while (jbi_heads_next(books, &heads, &head)) {
        if ((head.want.mask & mask) && is_due(books, &head) &&
            jbi_books_fit(books, &head.want, NULL) != JBI_FIT_OWN)
            return true;
    }
    return false;
}

static void due_add(struct due_list *list, uint64_t due_ns, const struct jbi_line_head *head)
{
    uint32_t at = list->n;

    if (list->n == DUE_MAX) {
        if (list->at[DUE_MAX - 1].due_ns <= due_ns)
            return;
        at = DUE_MAX - 1;
    } else {
        list->n++;
    }
    for (; at > 0 && (list->at[at - 1].due_ns > due_ns ||
                      (list->at[at - 1].due_ns == due_ns && list->at[at - 1].id > head->id));
         at--)
        list->at[at] = list->at[at - 1];
    list->at[at].due_ns = due_ns;
    list->at[at].id = head->id;
    list->at[at].slot = head->slot;
}

/* The first due one that fits, +1; what the others before it want is kept for them. */
static uint64_t choose_due(const struct jbi_books *books, const struct due_list *list,
                           uint64_t kept[JB_QUOTA_RESOURCES_MAX])
{
    for (uint32_t i = 0; i < list->n; i++) {
        struct jbi_want want;
        enum jbi_fit fit;

        jbi_waiter_unpack(books, &books->waiters[list->at[i].slot], &want);
        fit = jbi_books_fit(books, &want, kept);
        if (fit == JBI_FITS)
            return list->at[i].slot + UINT64_C(1);
        for (uint32_t j = 0; j < want.n && fit == JBI_FIT_FULL; j++) {
            if (__builtin_add_overflow(kept[want.resource[j]], want.amount[j],
                                       &kept[want.resource[j]]))
                kept[want.resource[j]] = UINT64_MAX;
        }
    }
    return 0;
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

/* Lower goes first: guarantee, then class, then share, then age. */
struct rank {
    uint32_t group;
    uint64_t share;
    uint64_t id;
};

uint32_t jbi_queue_group(const struct jbi_books *books, const struct jbi_want *want)
{
    return (jbi_queue_is_guaranteed(books, want) ? 0 : JBI_QUOTA_CLASSES) + JBI_QUOTA_CLASSES - 1 -
           want->class_idx;
}

static struct rank rank_of(const struct jbi_books *books, const struct jbi_line_head *head)
{
    bool is_drf = (books->head->flags & JB_COORD_DRF) != 0;
    struct rank rank = {
        .group = jbi_queue_group(books, &head->want),
        .share = is_drf ? dominant_share(books, head->want.component)
                        : jbi_books_start_tag(books, &head->want),
        .id = head->id,
    };

    return rank;
}

static bool is_before(const struct rank *a, const struct rank *b)
{
    if (a->group != b->group)
        return a->group < b->group;
    return a->share != b->share ? a->share < b->share : a->id < b->id;
}

/* From what each group was promised to what is kept from it: what the due ones want, and those of
 * the groups before it for whom room is being made. */
static void keep_promises(const struct jbi_books *books, struct jbi_promised *promised,
                          uint64_t kept[JB_QUOTA_RESOURCES_MAX])
{
    for (uint32_t i = 0; i < JBI_QUEUE_GROUPS; i++) {
        for (uint32_t j = 0; j < books->n_resources; j++) {
            uint64_t theirs = promised->amount[i][j];

            promised->amount[i][j] = kept[j];
            if (__builtin_add_overflow(kept[j], theirs, &kept[j]))
                kept[j] = UINT64_MAX;
        }
    }
}

/* Of those that fit beside what is kept from their group, the first. */
static uint64_t choose_first(const struct jbi_books *books, const struct jbi_promised *kept)
{
    struct jbi_heads heads = {0};
    struct jbi_line_head head;
    struct rank best = {0};
    uint64_t best_at = 0;

    while (jbi_heads_next(books, &heads, &head)) {
        const uint64_t *from_it = kept->amount[jbi_queue_group(books, &head.want)];
        struct rank rank;

        if (jbi_books_fit(books, &head.want, from_it) != JBI_FITS || is_kept_out(books, &head.want))
            continue;
        rank = rank_of(books, &head);
        if (!best_at || is_before(&rank, &best)) {
            best = rank;
            best_at = head.slot + UINT64_C(1);
        }
    }
    return best_at;
}

uint64_t jbi_queue_choose(const struct jbi_books *books)
{
    uint64_t kept[JB_QUOTA_RESOURCES_MAX] = {0};
    struct due_list list = {.n = 0};
    struct jbi_heads heads = {0};
    struct jbi_promised promised;
    struct jbi_line_head head;
    uint64_t next;

    while (jbi_heads_next(books, &heads, &head)) {
        if (is_due(books, &head))
            due_add(&list, jbi_due_ns(books, &head.want), &head);
    }
    next = choose_due(books, &list, kept);
    if (next)
        return next;
    /* Of the due ones only those beyond the list can fit here: the others' is kept. */
    jbi_queue_promised(books, &promised);
    keep_promises(books, &promised, kept);
    return choose_first(books, &promised);
}

bool jbi_queue_somebody_could_go(const struct jbi_books *books)
{
    return books->head->n_leases < books->n_leases && jbi_queue_choose(books) != 0;
}

uint64_t jbi_queue_least_tag(const struct jbi_books *books, uint32_t idx, uint32_t class_idx)
{
    struct jbi_want one = {.class_idx = class_idx, .n = 1, .resource = {idx}};
    uint64_t least = UINT64_MAX;
    struct jbi_heads heads = {0};
    struct jbi_line_head head;

    while (jbi_heads_next(books, &heads, &head)) {
        uint64_t tag;

        if (head.want.class_idx != class_idx || !(head.want.mask >> idx & 1) ||
            !jbi_queue_is_within_reach(books, &head.want) ||
            jbi_books_fit(books, &head.want, NULL) == JBI_FIT_OWN)
            continue;
        one.component = head.want.component;
        tag = jbi_books_start_tag(books, &one);
        least = tag < least ? tag : least;
    }
    return least;
}
