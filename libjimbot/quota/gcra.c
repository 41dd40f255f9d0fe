/*
 * gcra.c: a burst and a rate in one word, which threads change by compare-and-swap; see gcra.h.
 *
 * Invariant: `paid_ticks` moves back only by what a refund gives, and at a change of terms by as
 * much as keeps what can be taken from growing. The terms are two sets, of which `generation` names
 * the one that holds: the other is written while nobody reads it, so a reader never waits for a
 * writer, not even for a dead one.
 */
#include "quota/gcra.h"

#include <stdatomic.h>

int jbi_gcra_terms_make(uint64_t amount, uint64_t period_ns, uint64_t burst,
                        struct jbi_gcra_terms *ret_terms)
{
    uint64_t ticks, interval;

    if (amount == 0 || period_ns == 0 || burst == 0 || period_ns > JBI_CLOCK_MAX_NS)
        return JB_EINVAL;
    ticks = period_ns << JBI_TICK_SHIFT;
    if (amount > ticks)
        return JB_EINVAL;
    interval = ticks / amount + (ticks % amount != 0);
    if (burst > JBI_BURST_MAX / interval)
        return JB_EINVAL;
    *ret_terms = (struct jbi_gcra_terms){.interval = interval, .burst = burst};
    return 0;
}

uint64_t jbi_gcra_remaining(const struct jbi_gcra_terms *terms, uint64_t paid, uint64_t at)
{
    uint64_t owed = paid > at ? paid - at : 0;
    uint64_t most = terms->burst * terms->interval;

    if (terms->interval == 0) /* only in memory that somebody else wrote */
        return 0;
    return owed < most ? (most - owed) / terms->interval : 0;
}

uint64_t jbi_gcra_refunded(const struct jbi_gcra_terms *terms, uint64_t paid, uint64_t n)
{
    uint64_t cost;

    if (__builtin_mul_overflow(n, terms->interval, &cost) || cost > paid)
        return 0;
    return paid - cost;
}

uint64_t jbi_gcra_charged(const struct jbi_gcra_terms *terms, uint64_t paid, uint64_t at,
                          uint64_t n)
{
    uint64_t from = paid > at ? paid : at, cost, sum;

    if (__builtin_mul_overflow(n, terms->interval, &cost) ||
        __builtin_add_overflow(from, cost, &sum) || sum > JBI_PAID_MAX_TICKS)
        return from > JBI_PAID_MAX_TICKS ? from : JBI_PAID_MAX_TICKS;
    return sum;
}

uint64_t jbi_gcra_lowered(const struct jbi_gcra_terms *terms, uint64_t paid, uint64_t at,
                          uint64_t remaining)
{
    uint64_t least = at;

    if (remaining < terms->burst)
        least += (terms->burst - remaining) * terms->interval;
    return paid > least ? paid : least;
}

uint64_t jbi_gcra_rescaled(const struct jbi_gcra_terms *terms, const struct jbi_gcra_terms *next,
                           uint64_t paid, uint64_t at)
{
    uint64_t owed = paid > at ? paid - at : 0;
    uint64_t most = terms->burst * terms->interval, most_next = next->burst * next->interval;
    double part, left;

    if (terms->interval == 0)
        return at + most_next;
    if (owed > most) { /* what is owed stays owed, unit by unit */
        owed -= most;
        return jbi_gcra_charged(next, at + most_next, at,
                                owed / terms->interval + (owed % terms->interval != 0));
    }
    /* Whole units exactly, the rest of one rounded down by more than a double is wrong by. */
    left = (double)((most - owed) % terms->interval) / (double)terms->interval;
    part = left * (double)next->interval * (1 - 1e-15);
    owed = (most - owed) / terms->interval;
    if (owed >= next->burst)
        return at;
    return at + (next->burst - owed) * next->interval - (uint64_t)part;
}

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* The terms that hold now. A set is written again only after `generation` has moved on from it,
 * which the second look at it sees: its fence pairs with the one in jb_gcra_set(). */
static inline struct jbi_gcra_terms terms_of(const jb_gcra *cell)
{
    uint32_t generation = __atomic_load_n(&cell->generation, __ATOMIC_ACQUIRE), again;
    struct jbi_gcra_terms terms;

    for (;;) {
        terms.interval = load(&cell->interval[generation & 1]);
        terms.burst = load(&cell->burst[generation & 1]);
        atomic_thread_fence(memory_order_acquire);
        again = __atomic_load_n(&cell->generation, __ATOMIC_ACQUIRE);
        if (again == generation)
            return terms;
        generation = again;
    }
}

static inline bool swap(jb_gcra *cell, uint64_t *paid, uint64_t next)
{
    return __atomic_compare_exchange_n(&cell->paid_ticks, paid, next, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}

int jb_gcra_init(jb_gcra *cell, uint64_t amount, uint64_t period_ns, uint64_t burst,
                 uint64_t now_ns)
{
    struct jbi_gcra_terms terms;
    int rc;

    if (!cell)
        return JB_EINVAL;
    rc = jbi_gcra_terms_make(amount, period_ns, burst, &terms);
    if (rc < 0)
        return rc;
    *cell = (jb_gcra){.epoch_ns = now_ns,
                      .interval = {terms.interval, terms.interval},
                      .burst = {terms.burst, terms.burst}};
    return 0;
}

int jb_gcra_set(jb_gcra *cell, uint64_t amount, uint64_t period_ns, uint64_t burst, uint64_t now_ns)
{
    struct jbi_gcra_terms terms, next;
    uint32_t generation;
    uint64_t at, paid, target, safe;
    int rc;

    if (!cell)
        return JB_EINVAL;
    rc = jbi_gcra_terms_make(amount, period_ns, burst, &next);
    if (rc < 0)
        return rc;
    at = jbi_gcra_ticks(cell->epoch_ns, now_ns);
    generation = __atomic_load_n(&cell->generation, __ATOMIC_RELAXED);
    terms = terms_of(cell);
    /* Others take by the old terms before the switch and by the new ones after it, so at the switch
     * `paid` has to be late enough for both. */
    paid = load(&cell->paid_ticks);
    do {
        target = jbi_gcra_rescaled(&terms, &next, paid, at);
        safe = target > paid ? target : paid;
    } while (safe != paid && !swap(cell, &paid, safe));
    atomic_thread_fence(memory_order_release);
    store(&cell->interval[(generation + 1) & 1], next.interval);
    store(&cell->burst[(generation + 1) & 1], next.burst);
    __atomic_store_n(&cell->generation, generation + 1, __ATOMIC_RELEASE);
    /* Whoever took meanwhile may have begun at his own later time: then `safe` stays. */
    if (safe != target)
        (void)swap(cell, &safe, target);
    return 0;
}

int jb_gcra_take(jb_gcra *cell, uint64_t n, uint64_t now_ns, uint64_t *ret_retry_after_ns)
{
    uint64_t at, paid, next = 0, retry_ns = 0;
    struct jbi_gcra_terms terms;
    int rc;

    if (!cell)
        return JB_EINVAL;
    if (n == 0)
        return 0;
    at = jbi_gcra_ticks(cell->epoch_ns, now_ns);
    paid = load(&cell->paid_ticks);
    do {
        terms = terms_of(cell);
        rc = jbi_gcra_decide(&terms, paid, at, n, &next, &retry_ns);
        if (rc < 0) {
            if (rc == JB_EAGAIN && ret_retry_after_ns)
                *ret_retry_after_ns = retry_ns;
            return rc;
        }
    } while (!swap(cell, &paid, next));
    return 0;
}

int jb_gcra_peek(const jb_gcra *cell, uint64_t n, uint64_t now_ns, uint64_t *ret_retry_after_ns)
{
    uint64_t next = 0, retry_ns = 0;
    struct jbi_gcra_terms terms;
    int rc;

    if (!cell)
        return JB_EINVAL;
    if (n == 0)
        return 0;
    terms = terms_of(cell);
    rc = jbi_gcra_decide(&terms, load(&cell->paid_ticks), jbi_gcra_ticks(cell->epoch_ns, now_ns), n,
                         &next, &retry_ns);
    if (rc == JB_EAGAIN && ret_retry_after_ns)
        *ret_retry_after_ns = retry_ns;
    return rc;
}

void jb_gcra_refund(jb_gcra *cell, uint64_t n, uint64_t now_ns)
{
    struct jbi_gcra_terms terms = terms_of(cell);
    uint64_t at = jbi_gcra_ticks(cell->epoch_ns, now_ns), paid = load(&cell->paid_ticks), next;

    do {
        next = jbi_gcra_refunded(&terms, paid, n);
        if (paid <= at) /* all of it is back already */
            return;
        next = next > at ? next : at;
    } while (!swap(cell, &paid, next));
}

void jb_gcra_charge(jb_gcra *cell, uint64_t n, uint64_t now_ns)
{
    uint64_t at = jbi_gcra_ticks(cell->epoch_ns, now_ns), paid = load(&cell->paid_ticks);
    struct jbi_gcra_terms terms;

    do
        terms = terms_of(cell);
    while (!swap(cell, &paid, jbi_gcra_charged(&terms, paid, at, n)));
}

void jb_gcra_lower(jb_gcra *cell, uint64_t remaining, uint64_t now_ns)
{
    uint64_t at = jbi_gcra_ticks(cell->epoch_ns, now_ns), paid = load(&cell->paid_ticks);
    struct jbi_gcra_terms terms;

    do
        terms = terms_of(cell);
    while (!swap(cell, &paid, jbi_gcra_lowered(&terms, paid, at, remaining)));
}

void jb_gcra_get(const jb_gcra *cell, uint64_t now_ns, jb_rate_state *ret_state)
{
    struct jbi_gcra_terms terms = terms_of(cell);
    uint64_t at = jbi_gcra_ticks(cell->epoch_ns, now_ns), paid = load(&cell->paid_ticks);

    *ret_state = (jb_rate_state){
        .limit = terms.burst,
        .remaining = jbi_gcra_remaining(&terms, paid, at),
        .reset_after_ns = paid > at ? jbi_ticks_to_ns(paid - at) : 0,
    };
}
