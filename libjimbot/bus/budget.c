/*
 * budget.c: see budget.h. What a handle has waiting is known to a 64th of the ring: a slice counts
 * until the last lossless cursor has left it.
 */
#include "bus/budget.h"

static uint32_t slice_of(const struct jbi_ring *ring, uint64_t position)
{
    return (uint32_t)(position >> (ring->capacity_shift - 6));
}

static uint64_t sum(const struct jbi_budget *budget, const struct jbi_ring *ring)
{
    uint64_t limit = jbi_ring_readers_limit(ring);
    uint64_t blocks = 0;

    if (limit == UINT64_MAX)
        return 0;
    for (uint32_t i = 0; i < JBI_BUDGET_SLICES; i++) {
        uint64_t word = atomic_load_explicit(&budget->slices[i], memory_order_relaxed);

        if ((int32_t)((uint32_t)(word >> 32) - slice_of(ring, limit)) >= 0)
            blocks += (uint32_t)word;
    }
    return blocks << JBI_BLOCK_SHIFT;
}

bool jbi_budget_allows(struct jbi_budget *budget, const struct jbi_ring *ring, uint64_t len_bytes)
{
    uint64_t waiting;

    if (budget->limit_bytes == 0)
        return true;
    waiting = atomic_load_explicit(&budget->waiting_bytes, memory_order_relaxed);
    if (waiting + len_bytes <= budget->limit_bytes)
        return true;
    waiting = sum(budget, ring);
    atomic_store_explicit(&budget->waiting_bytes, waiting, memory_order_relaxed);
    /* One event is always allowed, or a large one would never be. */
    return waiting == 0 || waiting + len_bytes <= budget->limit_bytes;
}

void jbi_budget_spend(struct jbi_budget *budget, const struct jbi_ring *ring, uint64_t position,
                      uint64_t len_bytes)
{
    uint32_t slice = slice_of(ring, position);
    uint64_t blocks = (len_bytes + JBI_BLOCK_BYTES - 1) >> JBI_BLOCK_SHIFT;
    _Atomic uint64_t *word = &budget->slices[slice % JBI_BUDGET_SLICES];
    uint64_t now, next;

    if (budget->limit_bytes == 0)
        return;
    atomic_fetch_add_explicit(&budget->waiting_bytes, blocks << JBI_BLOCK_SHIFT,
                              memory_order_relaxed);
    now = atomic_load_explicit(word, memory_order_relaxed);
    do {
        /* The slice of an earlier lap is read by all long ago. */
        next = (uint32_t)(now >> 32) == slice ? now + blocks : (uint64_t)slice << 32 | blocks;
    } while (!atomic_compare_exchange_weak_explicit(word, &now, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}
