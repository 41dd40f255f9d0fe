/*
 * cursor.c: the reader's side of the ring.
 *
 * Invariant: a cursor stands at a record's start and knows how many events were committed before
 * it, so sequence numbers and missed counts are exact without any counter on the publisher's path.
 */
#include "ring/ring.h"

bool jbi_ring_is_kept(const struct jbi_ring *ring, uint64_t position)
{
    /* Pairs with the release fence in jbi_ring_claim(): if we read a byte of the next lap, we see
     * its head here. */
    atomic_thread_fence(memory_order_acquire);
    return jbi_head_position(atomic_load_explicit(&ring->control->head, memory_order_relaxed)) <=
           position;
}

int jbi_cursor_step(const struct jbi_ring *ring, struct jbi_cursor *cursor,
                    const struct jbi_record **ret_record, uint64_t *ret_len_bytes)
{
    uint64_t n_blocks = ring->capacity_bytes >> JBI_BLOCK_SHIFT;

    for (uint64_t steps = 0; steps < n_blocks; steps++) {
        uint64_t position = cursor->position;
        uint64_t mark = jbi_ring_mark_load(ring, position);
        int age = jbi_mark_age(ring, mark, position);
        uint64_t bytes;

        if (age > 0)
            return JBI_STEP_LAPPED;
        if (age < 0 || jbi_mark_state(mark) == JBI_CLAIMED)
            return jbi_ring_is_kept(ring, position) ? JBI_STEP_END : JBI_STEP_LAPPED;
        bytes = jbi_mark_bytes(ring, mark, position);
        if (!bytes)
            return jbi_ring_is_kept(ring, position) ? JB_ECORRUPT : JBI_STEP_LAPPED;
        cursor->position += bytes;
        if (jbi_mark_state(mark) == JBI_ABORTED)
            continue;
        cursor->n_before++;
        *ret_record =
            (const struct jbi_record *)(const void *)(ring->log +
                                                      (position & (ring->capacity_bytes - 1)));
        *ret_len_bytes = bytes;
        return JBI_STEP_EVENT;
    }
    return JB_ECORRUPT;
}

void jbi_cursor_oldest(const struct jbi_ring *ring, struct jbi_cursor *ret_cursor)
{
    uint64_t head = atomic_load_explicit(&ring->control->head, memory_order_acquire);

    for (;;) {
        uint64_t again;

        ret_cursor->position = jbi_head_position(head);
        ret_cursor->n_before = atomic_load_explicit(
            &ring->counts[jbi_ring_block(ring, ret_cursor->position)], memory_order_acquire);
        again = atomic_load_explicit(&ring->control->head, memory_order_acquire);
        if (jbi_head_position(again) == ret_cursor->position)
            return;
        head = again;
    }
}

int jbi_cursor_catch_up(const struct jbi_ring *ring, struct jbi_cursor *cursor)
{
    struct jbi_cursor oldest;

    jbi_cursor_oldest(ring, &oldest);
    /* Whoever saw the next lap's mark also sees the head that made it possible. */
    if (oldest.position <= cursor->position)
        return JB_ECORRUPT;
    *cursor = oldest;
    return 0;
}

int jbi_cursor_newest(const struct jbi_ring *ring, struct jbi_cursor *ret_cursor)
{
    struct jbi_cursor cursor;

    jbi_cursor_oldest(ring, &cursor);
    for (;;) {
        struct jbi_cursor next = cursor;
        const struct jbi_record *record;
        uint64_t len_bytes;
        int rc = jbi_cursor_step(ring, &next, &record, &len_bytes);

        if (rc < 0)
            return rc;
        if (rc == JBI_STEP_END) {
            *ret_cursor = next;
            return 0;
        }
        if (rc == JBI_STEP_LAPPED || !jbi_ring_is_kept(ring, cursor.position)) {
            next = cursor;
            rc = jbi_cursor_catch_up(ring, &next);
            if (rc)
                return rc;
        }
        cursor = next;
    }
}

void jbi_reader_release(struct jbi_ring *ring, uint32_t reader_idx, uint64_t word)
{
    struct jbi_reader_slot *slot = &ring->readers[reader_idx];
    uint64_t mine = jbi_reader_word(word, ring->owner, JBI_READER_SETUP);

    /* Ours first, so that the sleeper's bit we clear is not that of the next owner. */
    if (!atomic_compare_exchange_strong_explicit(&slot->word, &word, mine, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return;
    jbi_ring_forget_sleeper(ring, reader_idx);
    atomic_compare_exchange_strong_explicit(&slot->word, &mine,
                                            jbi_reader_word(mine, 0, JBI_READER_FREE),
                                            memory_order_release, memory_order_relaxed);
}

void jbi_reader_gate(struct jbi_ring *ring, struct jbi_reader_slot *slot, struct jbi_cursor *cursor)
{
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    uint64_t head;

    atomic_store_explicit(&slot->cursor, cursor->position, memory_order_relaxed);
    atomic_store_explicit(&slot->word, jbi_reader_word(word, ring->owner, JBI_READER_LOSSLESS),
                          memory_order_release);
    /* From this swap on every reclaimer sees the slot: one that loaded the head before it fails its
     * own swap, one that loads it later acquires what we released. */
    head = atomic_load_explicit(&ring->control->head, memory_order_acquire);
    while (!atomic_compare_exchange_weak_explicit(&ring->control->head, &head,
                                                  jbi_head_pack(jbi_head_position(head), head + 1),
                                                  memory_order_acq_rel, memory_order_acquire))
        ;
    if (jbi_head_position(head) > cursor->position) {
        /* Too late for that place. The head stands still now unless it is before our stale cursor's
         * limit: it is not. */
        jbi_cursor_oldest(ring, cursor);
        atomic_store_explicit(&slot->cursor, cursor->position, memory_order_release);
    }
}
