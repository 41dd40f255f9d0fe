/*
 * claim.c: the publisher's side of the ring.
 *
 * Invariant: bytes are written only between winning the compare-and-swap on a mark and finishing
 * that mark, and a mark is won only where the head has passed one lap behind. A record never wraps:
 * where it does not fit before the end of the log, the rest of the lap is claimed as one aborted
 * record.
 */
#include "base/os.h"
#include "ring/chain.h"

enum { PREFETCH_AHEAD_BYTES = 512, PREFETCH_BYTES_MAX = 4096 };

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

/* Walks from *position on, for two laps of the smallest extents at most: 0 when it stands at the
 * chain's end, JB_EAGAIN when it has not come so far, JB_ECORRUPT on a broken chain. */
static int walk_to_end(const struct jbi_ring *ring, uint64_t *position, uint64_t *ret_mark)
{
    uint64_t n_blocks = ring->capacity_bytes >> JBI_BLOCK_SHIFT;

    for (uint64_t steps = 0; steps < 2 * n_blocks; steps++) {
        uint64_t mark = jbi_ring_mark_load(ring, *position);
        int age = jbi_mark_age(ring, mark, *position);
        uint64_t bytes;

        if (age < 0) {
            *ret_mark = mark;
            return 0;
        }
        if (age > 0) {
            /* The hint is from an earlier lap: its writer was stopped between looking at it and
             * moving it, and so took it back. The head is an extent's start too, and never more
             * than a lap behind the end. */
            *position =
                jbi_head_position(atomic_load_explicit(&ring->control->head, memory_order_acquire));
            continue;
        }
        bytes = jbi_mark_bytes(ring, mark, *position);
        if (!bytes)
            return JB_ECORRUPT;
        *position += bytes;
    }
    return JB_EAGAIN;
}

/* The chain's end as far as marks tell now, and the stale mark that stands there. JB_ECORRUPT on a
 * broken chain. */
static int chain_end(const struct jbi_ring *ring, uint64_t *ret_position, uint64_t *ret_mark)
{
    uint64_t seen = UINT64_MAX;

    *ret_position = jbi_ring_tail(ring);
    for (;;) {
        int rc = walk_to_end(ring, ret_position, ret_mark);
        uint64_t head;

        if (rc != JB_EAGAIN)
            return rc;
        /* The end may have run away from us while we were stopped; then the head has moved too. If
         * it has not, the chain is longer than the ring: somebody has scribbled. */
        head = atomic_load_explicit(&ring->control->head, memory_order_acquire);
        if (head == seen)
            return JB_ECORRUPT;
        seen = head;
    }
}

static int blocks_for(const struct jbi_ring *ring, uint64_t len_bytes, uint32_t n_records,
                      uint64_t *ret_bytes)
{
    if (len_bytes > ring->max_record_bytes)
        return JB_ETOOBIG;
    /* A batch needs a second mark for its count. */
    if (n_records > 1 && len_bytes <= JBI_BLOCK_BYTES)
        len_bytes = JBI_BLOCK_BYTES + 1;
    *ret_bytes = (len_bytes + JBI_BLOCK_BYTES - 1) & ~(uint64_t)(JBI_BLOCK_BYTES - 1);
    return 0;
}

/* What is won at the chain's end: the extent asked for, or something that must come before it. */
struct step {
    uint64_t position;
    uint64_t stale; /* the mark that stands there */
    uint64_t mark;  /* the mark to be */
    uint64_t bytes;
};

/* The next extent of the chain if there is room for it. Where the record would cross the log's end,
 * the rest of the lap; where it would touch a revoked extent, what lies before it, or that. */
static __attribute__((noinline)) int step_plan(struct jbi_ring *ring, uint64_t bytes,
                                               struct step *step)
{
    uint64_t room, need, revoked = 0;
    enum jbi_mark_state state;
    int rc = chain_end(ring, &step->position, &step->stale);

    if (rc)
        return rc;
    room = ring->capacity_bytes - (step->position & (ring->capacity_bytes - 1));
    step->bytes = bytes <= room ? bytes : room;
    need = step->position + step->bytes - ring->capacity_bytes;
    if (atomic_load_explicit(&ring->head_seen, memory_order_acquire) < need) {
        rc = jbi_ring_reclaim(ring, need);
        if (rc)
            return rc;
    }
    state = bytes <= room ? JBI_CLAIMED : JBI_ABORTED;
    /* Acquire: the head we have seen passed a revoked extent only after this was raised. */
    if (atomic_load_explicit(&ring->control->n_revoked, memory_order_acquire) != 0 &&
        jbi_revoked_find(ring, step->position, &step->bytes, &revoked))
        state = JBI_ABORTED;
    step->mark = jbi_mark_pack(jbi_ring_lap(ring, step->position),
                               (uint32_t)(step->bytes >> JBI_BLOCK_SHIFT),
                               revoked ? jbi_mark_owner(revoked) : ring->owner, state);
    if (revoked)
        step->mark = jbi_mark_wide(step->mark);
    return 0;
}

/* Ask for the lines that the next claims will write, if they are like this one. Without it each
 * claim, which waits for all writes before it, waits for the last record's lines to come from
 * wherever the last lap left them. */
static void prefetch(const struct jbi_ring *ring, uint64_t position, uint64_t bytes)
{
    uint64_t ahead = position + (bytes < PREFETCH_AHEAD_BYTES ? PREFETCH_AHEAD_BYTES : bytes);
    uint64_t n_bytes = bytes < PREFETCH_BYTES_MAX ? bytes : PREFETCH_BYTES_MAX;

    for (uint64_t i = 0; i < n_bytes; i += JBI_BLOCK_BYTES)
        jbi_os_prefetch_write(ring->log + ((ahead + i) & (ring->capacity_bytes - 1)));
    jbi_os_prefetch_write((const void *)&ring->marks[jbi_ring_block(ring, ahead)]);
}

static void slot_fill(const struct jbi_ring *ring, const struct step *step, uint32_t n_records,
                      struct jbi_slot *ret_slot)
{
    /* Pairs with the acquire fence in jbi_ring_is_kept(): a reader that sees any byte written from
     * here on also sees the head that gave the bytes away. */
    atomic_thread_fence(memory_order_release);
    if (n_records > 1)
        atomic_store_explicit(
            &ring->marks[jbi_ring_block(ring, step->position) + 1],
            jbi_mark_pack(jbi_ring_lap(ring, step->position), n_records, ring->owner, JBI_UNMARKED),
            memory_order_relaxed);
    ret_slot->record =
        (struct jbi_record *)(void *)(ring->log + (step->position & (ring->capacity_bytes - 1)));
    ret_slot->position = step->position;
    ret_slot->mark = step->mark;
}

/* The one step that decides. Acquire: pairs with the reclaimer's release, whose readers are done
 * with these bytes. Release: whoever sees the mark and walks on also sees what we saw. */
static inline bool step_take(struct jbi_ring *ring, struct step *step)
{
    if (!atomic_compare_exchange_strong_explicit(&ring->marks[jbi_ring_block(ring, step->position)],
                                                 &step->stale, step->mark, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return false;
    tail_hint(ring, step->position + step->bytes);
    return true;
}

/* What step_plan() comes to nearly always: the hint is right, there is room as far as we know, and
 * nothing is in the way. False when it is not so. */
static inline bool step_plan_quickly(const struct jbi_ring *ring, uint64_t bytes, struct step *step)
{
    uint64_t position = jbi_ring_tail(ring);
    uint64_t offset = position & (ring->capacity_bytes - 1);

    step->position = position;
    step->bytes = bytes;
    step->stale =
        atomic_load_explicit(&ring->marks[offset >> JBI_BLOCK_SHIFT], memory_order_acquire);
    step->mark = jbi_mark_pack(jbi_ring_lap(ring, position), (uint32_t)(bytes >> JBI_BLOCK_SHIFT),
                               ring->owner, JBI_CLAIMED);
    return jbi_mark_age(ring, step->stale, position) < 0 &&
           bytes <= ring->capacity_bytes - offset &&
           atomic_load_explicit(&ring->head_seen, memory_order_acquire) + ring->capacity_bytes >=
               position + bytes &&
           atomic_load_explicit(&ring->control->n_revoked, memory_order_acquire) == 0;
}

int jbi_ring_claim(struct jbi_ring *ring, uint64_t len_bytes, uint32_t n_records,
                   struct jbi_slot *ret_slot)
{
    struct step step;
    uint64_t bytes, padded = 0;
    int rc = blocks_for(ring, len_bytes, n_records, &bytes);

    while (!rc) {
        rc = step_plan_quickly(ring, bytes, &step) ? 0 : step_plan(ring, bytes, &step);
        if (rc)
            break;
        if (n_records > 1 && jbi_mark_state(step.mark) == JBI_CLAIMED)
            step.mark = jbi_mark_wide(step.mark);
        if (!step_take(ring, &step))
            continue;
        if (jbi_mark_state(step.mark) != JBI_CLAIMED) {
            /* Revoked extents may leave no gap that is long enough, in any lap. */
            padded += step.bytes;
            if (padded > ring->capacity_bytes)
                return JB_EAGAIN;
            continue;
        }
        slot_fill(ring, &step, n_records, ret_slot);
        prefetch(ring, step.position, step.bytes);
        return 0;
    }
    return rc;
}

/* A swap, not a store: a claim that was taken away stays aborted. Sequentially consistent, so that
 * the load of the sleepers in jbi_ring_wake() cannot come before it. */
static int finish(struct jbi_ring *ring, uint64_t position, uint64_t mark, uint64_t finished)
{
    uint64_t found = mark;

    if (atomic_compare_exchange_strong_explicit(&ring->marks[jbi_ring_block(ring, position)],
                                                &found, finished, memory_order_seq_cst,
                                                memory_order_relaxed))
        return 0;
    if (jbi_mark_owner(mark) == ring->owner)
        jbi_revoked_return(ring, position, ring->owner);
    return JB_ESTATE;
}

/* The barrier between the mark and the load of the sleepers may be left to those who sleep, if all
 * of them can give it. */
static inline bool needs_no_swap(const struct jbi_ring *ring)
{
    return ring->stall_after_ns == 0 && ring->has_barrier &&
           atomic_load_explicit(&ring->control->has_outsiders, memory_order_relaxed) == 0;
}

int jbi_ring_commit(struct jbi_ring *ring, uint64_t position, uint64_t mark)
{
    _Atomic uint64_t *word = &ring->marks[jbi_ring_block(ring, position)];
    uint64_t finished = jbi_mark_with_state(mark, JBI_COMMITTED);

    /* Either way the record is published (release) to the reader's acquire. Where nobody revokes
     * claims, this one is taken away only when we are dead. */
    if (!needs_no_swap(ring))
        return finish(ring, position, mark, finished);
    if (atomic_load_explicit(word, memory_order_relaxed) != mark)
        return JB_ESTATE;
    atomic_store_explicit(word, finished, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    return 0;
}

int jbi_ring_abort(struct jbi_ring *ring, uint64_t position, uint64_t mark)
{
    return finish(ring, position, mark, jbi_mark_aborted(mark));
}

int jbi_ring_make_room(struct jbi_ring *ring, uint64_t len_bytes)
{
    uint64_t position, stale, bytes, room;
    int rc = blocks_for(ring, len_bytes, 1, &bytes);

    if (!rc)
        rc = chain_end(ring, &position, &stale);
    if (rc)
        return rc;
    room = ring->capacity_bytes - (position & (ring->capacity_bytes - 1));
    if (bytes > room)
        bytes += room;
    return jbi_ring_reclaim(ring, position + bytes - ring->capacity_bytes);
}
