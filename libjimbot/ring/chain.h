/*
 * chain.h: the marks as a chain, and how one of them lies to a position.
 *
 * Invariant: whatever stands in shared memory, an extent's length never reaches beyond the log, and
 * is 0 where no writer of ours made it.
 */
#ifndef JBI_RING_CHAIN_H
#define JBI_RING_CHAIN_H

#include "ring/ring.h"

static inline uint64_t jbi_ring_lap(const struct jbi_ring *ring, uint64_t position)
{
    return position >> ring->capacity_shift & ((UINT64_C(1) << JBI_MARK_LAP_BITS) - 1);
}

static inline uint64_t jbi_ring_block(const struct jbi_ring *ring, uint64_t position)
{
    return (position & (ring->capacity_bytes - 1)) >> JBI_BLOCK_SHIFT;
}

static inline uint64_t jbi_ring_mark_load(const struct jbi_ring *ring, uint64_t position)
{
    return atomic_load_explicit(&ring->marks[jbi_ring_block(ring, position)], memory_order_acquire);
}

/* How the mark's lap lies to the position's: < 0 older (free), 0 the same, > 0 the ring has gone
 * on. */
static inline int jbi_mark_age(const struct jbi_ring *ring, uint64_t mark, uint64_t position)
{
    uint64_t shift = 64 - JBI_MARK_LAP_BITS;
    int64_t diff = (int64_t)((jbi_mark_lap(mark) - jbi_ring_lap(ring, position)) << shift);

    return diff < 0 ? -1 : diff > 0;
}

/* Nothing to read there: free, or a claim that is not finished. */
static inline bool jbi_mark_is_pending(const struct jbi_ring *ring, uint64_t mark,
                                       uint64_t position)
{
    int age = jbi_mark_age(ring, mark, position);

    return age < 0 || (age == 0 && jbi_mark_state(mark) == JBI_CLAIMED);
}

/* Length of the record a mark of this lap describes, or 0 when no writer of ours made it. */
static inline uint64_t jbi_mark_bytes(const struct jbi_ring *ring, uint64_t mark, uint64_t position)
{
    uint64_t bytes = (uint64_t)jbi_mark_len_blocks(mark) << JBI_BLOCK_SHIFT;

    if (bytes > ring->capacity_bytes - (position & (ring->capacity_bytes - 1)) ||
        jbi_mark_state(mark) < JBI_CLAIMED)
        return 0;
    return bytes;
}

/* Records of a committed extent that starts there; 0 when no writer of ours made it. */
static inline uint32_t jbi_ring_n_records(const struct jbi_ring *ring, uint64_t mark,
                                          uint64_t position)
{
    uint64_t second;

    if (!jbi_mark_is_wide(mark))
        return 1;
    if (jbi_mark_len_blocks(mark) < 2)
        return 0;
    second = atomic_load_explicit(&ring->marks[jbi_ring_block(ring, position) + 1],
                                  memory_order_relaxed);
    return jbi_mark_lap(second) == jbi_mark_lap(mark) ? jbi_mark_len_blocks(second) : 0;
}

#endif
