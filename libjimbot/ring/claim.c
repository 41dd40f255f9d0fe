/*
 * claim.c: the publisher's side of the ring.
 *
 * Invariant: bytes are written only between winning the compare-and-swap on a mark and finishing
 * that mark, and a mark is won only where the head has passed one lap behind. A record never wraps:
 * where it does not fit before the end of the log, the rest of the lap is claimed as one aborted
 * record.
 */
#include "ring/ring.h"

uint64_t jbi_ring_marks_bytes(uint64_t capacity_bytes)
{
    return capacity_bytes >> JBI_BLOCK_SHIFT << 3;
}

void jbi_ring_format(struct jbi_ring *ring)
{
    /* A zero mark has lap 0; the chain begins at lap 1, so a fresh ring is free everywhere. */
    atomic_store_explicit(&ring->control->tail, ring->capacity_bytes, memory_order_relaxed);
    atomic_store_explicit(&ring->control->head, jbi_head_pack(ring->capacity_bytes, 0),
                          memory_order_relaxed);
}

uint64_t jbi_ring_tail(const struct jbi_ring *ring)
{
    return atomic_load_explicit(&ring->control->tail, memory_order_acquire) &
           ~(uint64_t)(JBI_BLOCK_BYTES - 1);
}

/* Moves the hint forward. A lost race leaves it behind the chain's end, where it costs the next
 * claimer a walk: of a few steps, or from the head on when we were stopped in here for a lap or
 * more. */
static void tail_hint(struct jbi_ring *ring, uint64_t position)
{
    if (atomic_load_explicit(&ring->control->tail, memory_order_relaxed) < position)
        atomic_store_explicit(&ring->control->tail, position, memory_order_release);
}

/* The chain's end as far as marks tell now, and the stale mark that stands there. JB_ECORRUPT on a
 * broken chain. */
static int chain_end(const struct jbi_ring *ring, uint64_t *ret_position, uint64_t *ret_mark)
{
    uint64_t position = jbi_ring_tail(ring);
    uint64_t n_blocks = ring->capacity_bytes >> JBI_BLOCK_SHIFT;

    /* A sound chain ends within one lap of the hint; twice that many steps means somebody
     * scribbled. */
    for (uint64_t steps = 0; steps < 2 * n_blocks; steps++) {
        uint64_t mark = jbi_ring_mark_load(ring, position);
        int age = jbi_mark_age(ring, mark, position);
        uint64_t bytes;

        if (age < 0) {
            *ret_position = position;
            *ret_mark = mark;
            return 0;
        }
        if (age > 0) {
            /* The hint is from an earlier lap: its writer was stopped between looking at it and
             * moving it, and so took it back. The head is a record's start too, and never more than
             * a lap behind the end. */
            position =
                jbi_head_position(atomic_load_explicit(&ring->control->head, memory_order_acquire));
            continue;
        }
        bytes = jbi_mark_bytes(ring, mark, position);
        if (!bytes)
            return JB_ECORRUPT;
        position += bytes;
    }
    return JB_ECORRUPT;
}

static int blocks_for(const struct jbi_ring *ring, uint64_t len_bytes, uint64_t *ret_bytes)
{
    if (len_bytes > ring->max_record_bytes)
        return JB_ETOOBIG;
    *ret_bytes = (len_bytes + JBI_BLOCK_BYTES - 1) & ~(uint64_t)(JBI_BLOCK_BYTES - 1);
    return 0;
}

int jbi_ring_claim(struct jbi_ring *ring, uint64_t len_bytes, struct jbi_slot *ret_slot)
{
    uint64_t bytes;
    int rc = blocks_for(ring, len_bytes, &bytes);

    while (!rc) {
        uint64_t position, stale, mark;
        uint64_t room, take;

        rc = chain_end(ring, &position, &stale);
        if (rc)
            break;
        room = ring->capacity_bytes - (position & (ring->capacity_bytes - 1));
        take = bytes <= room ? bytes : room;
        rc = jbi_ring_reclaim(ring, position + take - ring->capacity_bytes);
        if (rc)
            break;
        mark = jbi_mark_pack(jbi_ring_lap(ring, position), (uint32_t)(take >> JBI_BLOCK_SHIFT),
                             ring->owner, take == bytes ? JBI_CLAIMED : JBI_ABORTED);
        /* The one step that decides. Acquire: pairs with the reclaimer's release, whose readers are
         * done with these bytes. Release: whoever sees the mark and walks on also sees what we
         * saw. */
        if (!atomic_compare_exchange_strong_explicit(&ring->marks[jbi_ring_block(ring, position)],
                                                     &stale, mark, memory_order_acq_rel,
                                                     memory_order_relaxed))
            continue;
        tail_hint(ring, position + take);
        if (take != bytes)
            continue;
        /* Pairs with the acquire fence in jbi_ring_is_kept(): a reader that sees any byte written
         * from here on also sees the head that gave the bytes away. */
        atomic_thread_fence(memory_order_release);
        ret_slot->record =
            (struct jbi_record *)(void *)(ring->log + (position & (ring->capacity_bytes - 1)));
        ret_slot->position = position;
        ret_slot->mark = mark;
        return 0;
    }
    return rc;
}

static int finish(struct jbi_ring *ring, uint64_t position, uint64_t mark,
                  enum jbi_mark_state state)
{
    /* Sequentially consistent, so that the load of the sleepers in jbi_ring_wake() cannot come
     * before it: either the sleeper sees this mark or we see the sleeper. It also publishes the
     * record (release) to the reader's acquire. A swap, not a store: a claim that was taken away
     * stays aborted. */
    bool is_ours = atomic_compare_exchange_strong_explicit(
        &ring->marks[jbi_ring_block(ring, position)], &mark, jbi_mark_with_state(mark, state),
        memory_order_seq_cst, memory_order_relaxed);
    return is_ours ? 0 : JB_ESTATE;
}

int jbi_ring_commit(struct jbi_ring *ring, uint64_t position, uint64_t mark)
{
    return finish(ring, position, mark, JBI_COMMITTED);
}

int jbi_ring_abort(struct jbi_ring *ring, uint64_t position, uint64_t mark)
{
    return finish(ring, position, mark, JBI_ABORTED);
}

int jbi_ring_make_room(struct jbi_ring *ring, uint64_t len_bytes)
{
    uint64_t position, stale, bytes, room;
    int rc = blocks_for(ring, len_bytes, &bytes);

    if (!rc)
        rc = chain_end(ring, &position, &stale);
    if (rc)
        return rc;
    room = ring->capacity_bytes - (position & (ring->capacity_bytes - 1));
    if (bytes > room)
        bytes += room;
    return jbi_ring_reclaim(ring, position + bytes - ring->capacity_bytes);
}
