/*
 * notice.c: against inversion: who goes first does not wait for the end of leases that go last.
 *
 * Invariant: notice is given only when it helps: when what comes free by it, with what is given
 * notice already and not promised to others, is enough for the waiter. What remains to a component
 * without those that were given notice is not below its guarantee by it. Room that is made for a
 * waiter is kept for it from whoever goes after it.
 */
#include "quota/queue.h"

#include <string.h>

uint64_t jbi_queue_promised_until(const struct jbi_books *books,
                                  const struct jbi_quota_waiter *waiter)
{
    uint64_t asked_ns = waiter->asked_ns;
    uint64_t until_ns;

    if (!(asked_ns & 1) || __builtin_mul_overflow(books->head->notice_ns, 2, &until_ns) ||
        __builtin_add_overflow(until_ns, asked_ns, &until_ns))
        return 0;
    return until_ns > books->head->now_ns ? until_ns : 0;
}

static void promise(const struct jbi_books *books, const struct jbi_want *want,
                    struct jbi_promised *promised)
{
    uint64_t *amount = promised->amount[jbi_queue_group(books, want)];

    for (uint32_t i = 0; i < want->n; i++) {
        if (__builtin_add_overflow(amount[want->resource[i]], want->amount[i],
                                   &amount[want->resource[i]]))
            amount[want->resource[i]] = UINT64_MAX;
    }
}

static void promise_less(const struct jbi_books *books, const struct jbi_want *want,
                         struct jbi_promised *promised)
{
    uint64_t *amount = promised->amount[jbi_queue_group(books, want)];

    for (uint32_t i = 0; i < want->n; i++) {
        uint64_t *of = &amount[want->resource[i]];

        *of = *of > want->amount[i] ? *of - want->amount[i] : 0;
    }
}

static bool is_kept_for(const struct jbi_books *books, const struct jbi_quota_waiter *waiter,
                        const struct jbi_want *want)
{
    return jbi_queue_promised_until(books, waiter) && jbi_queue_is_within_reach(books, want) &&
           jbi_books_fit(books, want, NULL) != JBI_FIT_OWN;
}

void jbi_queue_promised(const struct jbi_books *books, struct jbi_promised *ret_promised)
{
    struct jbi_heads heads = {0};
    struct jbi_line_head head;

    memset(ret_promised, 0, sizeof *ret_promised);
    while (books->head->notice_ns > 0 && jbi_heads_next(books, &heads, &head)) {
        if (is_kept_for(books, &books->waiters[head.slot], &head.want))
            promise(books, &head.want, ret_promised);
    }
}

static uint64_t noticed_of(const struct jbi_books *books, uint32_t resource)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < books->n_components; i++)
        sum += jbi_share_get(books, i, resource)->noticed;
    return sum;
}

/* What is lacking of each resource of the want, when those that were given notice have ended and
 * those who go no later than it have what they were promised. */
static void lack_of(const struct jbi_books *books, const struct jbi_want *want,
                    const struct jbi_promised *promised, uint64_t lack[JB_QUOTA_AMOUNTS_MAX])
{
    uint32_t group = jbi_queue_group(books, want);

    for (uint32_t i = 0; i < want->n; i++) {
        uint32_t idx = want->resource[i];
        const struct jbi_quota_resource *resource = &books->resources[idx];
        uint64_t limit = jbi_books_limit(resource);
        uint64_t left = resource->allocated < limit ? limit - resource->allocated : 0;

        left = resource->foreign < left ? left - resource->foreign : 0;
        left += noticed_of(books, idx);
        for (uint32_t j = 0; j <= group; j++)
            left = promised->amount[j][idx] < left ? left - promised->amount[j][idx] : 0;
        lack[i] = want->amount[i] > left ? want->amount[i] - left : 0;
    }
}

/* Take from what is lacking what this lease has. True when it has any of it. */
static bool take(const struct jbi_want *want, const struct jbi_want *held,
                 uint64_t lack[JB_QUOTA_AMOUNTS_MAX])
{
    bool helps = false;

    for (uint32_t i = 0; i < want->n; i++) {
        for (uint32_t j = 0; j < held->n && lack[i] > 0; j++) {
            if (held->resource[j] == want->resource[i]) {
                lack[i] = held->amount[j] < lack[i] ? lack[i] - held->amount[j] : 0;
                helps = true;
            }
        }
    }
    return helps;
}

/* What would be taken from a share in this trial. */
static uint64_t *trial_of(const struct jbi_books *books, struct jbi_quota_share *share)
{
    if (share->trial_no != books->head->trial_no) {
        share->trial_no = books->head->trial_no;
        share->trial = 0;
    }
    return &share->trial;
}

/* Does its component keep what it is guaranteed without this one, and those asked before? */
static bool is_beyond_guarantee(const struct jbi_books *books, const struct jbi_want *held)
{
    for (uint32_t i = 0; i < held->n; i++) {
        struct jbi_quota_share *share = jbi_share_get(books, held->component, held->resource[i]);
        uint64_t left = share->allocated;
        const uint64_t gone[] = {share->noticed, *trial_of(books, share), held->amount[i]};

        for (uint32_t j = 0; j < sizeof gone / sizeof gone[0]; j++) {
            if (gone[j] > left)
                return false;
            left -= gone[j];
        }
        if (left < share->guaranteed)
            return false;
    }
    return true;
}

static bool may_be_asked(const struct jbi_books *books, const struct jbi_want *want,
                         const struct jbi_want *held, bool is_guaranteed)
{
    if (held->class_idx >= want->class_idx && !is_guaranteed)
        return false;
    if (held->component == want->component && is_guaranteed)
        return false;
    return is_beyond_guarantee(books, held);
}

/* Give it notice, or only count it. */
static void ask_one(const struct jbi_books *books, uint32_t slot, const struct jbi_want *held,
                    bool does_ask)
{
    if (does_ask) {
        jbi_books_notice(books, slot, books->head->notice_ns);
        return;
    }
    for (uint32_t i = 0; i < held->n; i++)
        *trial_of(books, jbi_share_get(books, held->component, held->resource[i])) +=
            held->amount[i];
}

static bool is_enough(const struct jbi_want *want, const uint64_t lack[JB_QUOTA_AMOUNTS_MAX])
{
    for (uint32_t i = 0; i < want->n; i++) {
        if (lack[i] > 0)
            return false;
    }
    return true;
}

/* Through the leases until it is enough: those of `class_idx` that may be asked. Gives notice only
 * if `does_ask`. */
static void sweep(const struct jbi_books *books, const struct jbi_want *want, uint32_t class_idx,
                  bool does_ask, uint64_t lack[JB_QUOTA_AMOUNTS_MAX])
{
    bool is_guaranteed = jbi_queue_is_guaranteed(books, want);
    uint64_t top = books->head->top_lease;

    if (top > books->n_leases)
        top = books->n_leases;
    if (class_idx >= want->class_idx && !is_guaranteed)
        return;
    for (uint32_t slot = 0; slot < top && !is_enough(want, lack); slot++) {
        const struct jbi_quota_lease *lease = &books->leases[slot];
        struct jbi_want held;

        if (lease->token == 0 || lease->has_notice || jbi_who_class(lease->who) != class_idx)
            continue;
        jbi_lease_unpack(books, lease, &held);
        if (held.class_idx == class_idx && may_be_asked(books, want, &held, is_guaranteed) &&
            take(want, &held, lack))
            ask_one(books, slot, &held, does_ask);
    }
}

/* Ask for what it lacks. True when that will be enough. */
static bool ask_for(const struct jbi_books *books, const struct jbi_want *want,
                    const struct jbi_promised *promised)
{
    uint64_t lack[JB_QUOTA_AMOUNTS_MAX], still[JB_QUOTA_AMOUNTS_MAX];

    lack_of(books, want, promised, lack);
    if (is_enough(want, lack))
        return true;
    for (uint32_t i = 0; i < want->n; i++)
        still[i] = lack[i];
    books->head->trial_no++;
    for (uint32_t i = 0; i < JBI_QUOTA_CLASSES; i++)
        sweep(books, want, i, false, still);
    books->head->trial_no++;
    if (!is_enough(want, still))
        return false;
    for (uint32_t i = 0; i < JBI_QUOTA_CLASSES && !is_enough(want, lack); i++)
        sweep(books, want, i, true, lack);
    return true;
}

uint64_t jbi_queue_asks_again_ns(const struct jbi_books *books,
                                 const struct jbi_quota_waiter *waiter)
{
    uint64_t notice_ns = books->head->notice_ns;

    if (waiter->asked_ns == 0)
        return 0;
    return waiter->asked_ns < UINT64_MAX - notice_ns ? waiter->asked_ns + notice_ns : UINT64_MAX;
}

bool jbi_queue_ask_for_room(const struct jbi_books *books)
{
    uint64_t now = books->head->now_ns;
    struct jbi_promised promised;
    struct jbi_heads heads = {0};
    struct jbi_line_head head;
    bool is_given_up = false;

    if (books->head->notice_ns == 0 || books->head->n_waiting == 0)
        return false;
    jbi_queue_promised(books, &promised);
    while (jbi_heads_next(books, &heads, &head)) {
        struct jbi_quota_waiter *waiter = &books->waiters[head.slot];
        bool was_kept = is_kept_for(books, waiter, &head.want);

        if (jbi_queue_asks_again_ns(books, waiter) > now ||
            jbi_books_fit(books, &head.want, NULL) != JBI_FIT_FULL)
            continue;
        if (was_kept)
            promise_less(books, &head.want, &promised);
        waiter->asked_ns = (now & ~UINT64_C(1)) | ask_for(books, &head.want, &promised);
        if (is_kept_for(books, waiter, &head.want))
            promise(books, &head.want, &promised);
        else
            is_given_up |= was_kept;
    }
    return is_given_up;
}
