/*
 * lock.c: see lock.h. It is held for a fraction of a microsecond, so a waiter first spins, then
 * sleeps, and asks the kernel about the owner only when that took long.
 */
#include "quota/lock.h"

enum {
    OWNER_MASK = 0xff,
    SPINS = 200,
    TRY_SPINS = 50,
};

#define HAS_SLEEPERS UINT32_C(0x80000000)
#define ASK_AFTER_NS UINT64_C(2000000)

static bool take_free(const struct jbi_lock *lock, uint32_t mark)
{
    uint32_t free_word = 0;

    /* Pairs with the release in jbi_lock_give(): who has the lock sees what the last owner
     * wrote. */
    return atomic_compare_exchange_strong_explicit(lock->word, &free_word, lock->self | mark,
                                                   memory_order_acquire, memory_order_relaxed);
}

static bool take_spinning(const struct jbi_lock *lock, int n_spins)
{
    for (int i = 0; i < n_spins; i++) {
        if (atomic_load_explicit(lock->word, memory_order_relaxed) == 0 && take_free(lock, 0))
            return true;
        jbi_os_pause();
    }
    return false;
}

static bool is_dead(const struct jbi_lock *lock, uint32_t word)
{
    uint32_t owner = word & OWNER_MASK;

    return lock->peers && owner != 0 && !jbi_peer_is_alive(lock->peers, owner, lock->self);
}

/* The caller has the segment's lock, so the owner's number stays a dead one's. */
static bool inherit(const struct jbi_lock *lock)
{
    uint32_t word = atomic_load_explicit(lock->word, memory_order_relaxed);

    while (is_dead(lock, word)) {
        /* The dead released nothing; the kernel's answer is what orders its stores before us. */
        if (atomic_compare_exchange_strong_explicit(lock->word, &word, lock->self | HAS_SLEEPERS,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return true;
    }
    return false;
}

bool jbi_lock_segment_try(struct jbi_lock *lock)
{
    if (atomic_exchange_explicit(&lock->at_segment, 1, memory_order_acquire) != 0)
        return false;
    if (jbi_segment_try_lock(lock->peers->segment))
        return true;
    atomic_store_explicit(&lock->at_segment, 0, memory_order_release);
    return false;
}

void jbi_lock_segment_give(struct jbi_lock *lock)
{
    jbi_segment_unlock(lock->peers->segment);
    atomic_store_explicit(&lock->at_segment, 0, memory_order_release);
}

static bool inherit_if_dead(struct jbi_lock *lock, bool holds_segment)
{
    bool is_ours;

    if (!is_dead(lock, atomic_load_explicit(lock->word, memory_order_relaxed)))
        return false;
    if (holds_segment)
        return inherit(lock);
    if (!jbi_lock_segment_try(lock))
        return false;
    is_ours = inherit(lock);
    jbi_lock_segment_give(lock);
    return is_ours;
}

enum jbi_lock_result jbi_lock_try(struct jbi_lock *lock)
{
    if (take_free(lock, 0) || take_spinning(lock, TRY_SPINS))
        return JBI_LOCK_TAKEN;
    return inherit_if_dead(lock, false) ? JBI_LOCK_INHERITED : JBI_LOCK_BUSY;
}

enum jbi_lock_result jbi_lock_take(struct jbi_lock *lock, bool holds_segment)
{
    if (take_free(lock, 0) || take_spinning(lock, SPINS))
        return JBI_LOCK_TAKEN;
    /* Whoever slept takes it with the mark, because others may sleep still. */
    while (!take_free(lock, HAS_SLEEPERS)) {
        uint32_t word = atomic_load_explicit(lock->word, memory_order_relaxed);

        if (word == 0)
            continue;
        if (!(word & HAS_SLEEPERS) &&
            !atomic_compare_exchange_strong_explicit(lock->word, &word, word | HAS_SLEEPERS,
                                                     memory_order_relaxed, memory_order_relaxed))
            continue;
        jbi_os_wait_on((uint32_t *)lock->word, word | HAS_SLEEPERS, ASK_AFTER_NS);
        if (atomic_load_explicit(lock->word, memory_order_relaxed) == (word | HAS_SLEEPERS) &&
            inherit_if_dead(lock, holds_segment))
            return JBI_LOCK_INHERITED;
    }
    return JBI_LOCK_TAKEN;
}

enum jbi_lock_result jbi_lock_take_first(struct jbi_lock *lock)
{
    uint32_t word = atomic_load_explicit(lock->word, memory_order_relaxed);

    /* Nobody of ours has been inside yet: whoever that number stands for is dead. */
    while ((word & OWNER_MASK) == lock->self) {
        if (atomic_compare_exchange_strong_explicit(lock->word, &word, lock->self | HAS_SLEEPERS,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return JBI_LOCK_INHERITED;
    }
    return jbi_lock_take(lock, true);
}

void jbi_lock_give(struct jbi_lock *lock)
{
    /* Pairs with the acquire in take_free(). */
    uint32_t word = atomic_exchange_explicit(lock->word, 0, memory_order_release);

    if (word & HAS_SLEEPERS)
        jbi_os_wake_all((uint32_t *)lock->word);
}
