/*
 * notice.c: against inversion: who goes first does not wait for the end of leases that go last.
 *
 * Invariant: notice is given only when it helps: when what comes free by it, with what is given
 * notice already and not promised to others, is enough for the waiter. What remains to a component
 * without those that were given notice is not below its guarantee by it. Room that is made for a
 * waiter is kept for it from whoever goes after it.
 */
#include "quota/claims.h"

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

static uint64_t noticed_of(const struct jbi_books *books, uint32_t resource)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < books->n_components; i++)
        sum += jbi_share_get(books, i, resource)->noticed;
    return sum;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    return b < UINT64_MAX - a ? a + b : UINT64_MAX;
}

/* What is lacking of each resource of the want, when those that were given notice have ended and
 * those who go before it have what they claim. */
static void lack_of(const struct jbi_books *books, const struct jbi_line_head *head,
                    const struct jbi_claims *claims, uint64_t lack[JB_QUOTA_AMOUNTS_MAX])
{
    struct jbi_rank rank = jbi_rank_of(books, head);
    uint64_t kept[JB_QUOTA_RESOURCES_MAX];
    const uint64_t *before = jbi_claims_before(claims, &rank, kept);

    for (uint32_t i = 0; i < head->want.n; i++) {
        uint32_t idx = head->want.resource[i];
        const struct jbi_quota_resource *resource = &books->resources[idx];
        uint64_t room = plus(jbi_books_limit(resource), noticed_of(books, idx));
        uint64_t need = plus(plus(head->want.amount[i], resource->allocated), resource->foreign);

        if (before)
            need = plus(need, before[idx]);
        lack[i] = need > room ? need - room : 0;
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
    bool is_guaranteed = jbi_is_guaranteed(books, want);
    uint64_t top = books->head->top_lease;

    if (top > books->n_leases)
        top = books->n_leases;
    if (class_idx >= want->class_idx && !is_guaranteed)
        return;
    for (uint32_t slot = 0; slot < top && !is_enough(want, lack); slot++) {
        const struct jbi_quota_lease *lease = &books->leases[slot];
        struct jbi_want held;

        if (lease->token == 0 || jbi_who_class(lease->who) != class_idx)
            continue;
        jbi_lease_unpack(books, lease, &held);
        if (!held.is_noticed && held.class_idx == class_idx &&
            may_be_asked(books, want, &held, is_guaranteed) && take(want, &held, lack))
            ask_one(books, slot, &held, does_ask);
    }
}

/* Ask for what it lacks. True when that will be enough. */
static bool ask_for(const struct jbi_books *books, const struct jbi_line_head *head,
                    const struct jbi_claims *claims)
{
    uint64_t lack[JB_QUOTA_AMOUNTS_MAX], still[JB_QUOTA_AMOUNTS_MAX];
    const struct jbi_want *want = &head->want;

    lack_of(books, head, claims, lack);
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
    struct jbi_claims claims;
    struct jbi_heads heads = {0};
    struct jbi_line_head head;
    bool is_given_up = false;

    if (books->head->notice_ns == 0 || books->head->n_waiting == 0)
        return false;
    jbi_claims_collect(books, &claims);
    while (jbi_heads_next(books, &heads, &head)) {
        struct jbi_quota_waiter *waiter = &books->waiters[head.slot];

        if (jbi_queue_asks_again_ns(books, waiter) > now ||
            jbi_books_fit(books, &head.want, NULL) != JBI_FIT_FULL)
            continue;
        waiter->asked_ns = (now & ~UINT64_C(1)) | ask_for(books, &head, &claims);
        is_given_up |= jbi_claims_update(books, &claims, &head);
    }
    return is_given_up;
}
