/*
 * cursor.c: see cursor.h. A length or count that no writer of ours makes ends a pass: with
 * JB_ECORRUPT when the bytes are still there to be read, else the reader was overtaken.
 */
#include "ring/cursor.h"

bool jbi_ring_is_kept(const struct jbi_ring *ring, uint64_t position)
{
    /* Pairs with the release fence in jbi_ring_claim(): if we read a byte of the next lap, we see
     * its head here. */
    atomic_thread_fence(memory_order_acquire);
    return jbi_head_position(atomic_load_explicit(&ring->control->head, memory_order_relaxed)) <=
           position;
}

#ifdef JBI_IS_TSAN
__attribute__((no_sanitize("thread"), noinline)) void jbi_copy_unstable(void *to, const void *from,
                                                                        size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++)
        ((volatile uint8_t *)to)[i] = ((const volatile uint8_t *)from)[i];
}
#endif

int jbi_cursor_damage(const struct jbi_ring *ring, const struct jbi_cursor *cursor)
{
    return jbi_ring_is_kept(ring, cursor->position) ? JB_ECORRUPT : JBI_STEP_LAPPED;
}

int jbi_cursor_open(const struct jbi_ring *ring, struct jbi_cursor *cursor)
{
    uint64_t n_blocks = ring->capacity_bytes >> JBI_BLOCK_SHIFT;
    struct jbi_cursor first = *cursor;

    /* A whole ring of aborted extents, and what comes after it. */
    for (uint64_t steps = 0; steps <= n_blocks; steps++) {
        uint64_t position = cursor->position;
        uint64_t mark = jbi_ring_mark_load(ring, position);
        int age = jbi_mark_age(ring, mark, position);
        uint64_t bytes;

        if (age > 0)
            return JBI_STEP_LAPPED;
        if (age < 0 || jbi_mark_state(mark) == JBI_CLAIMED)
            return jbi_ring_is_kept(ring, position) ? JBI_STEP_END : JBI_STEP_LAPPED;
        bytes = jbi_mark_bytes(ring, mark, position);
        if (bytes && jbi_mark_state(mark) == JBI_ABORTED) {
            cursor->position += bytes;
            continue;
        }
        cursor->n_left = bytes && bytes < ring->max_record_bytes + JBI_BLOCK_BYTES
                             ? jbi_ring_n_records(ring, mark, position)
                             : 0;
        cursor->extent_end = position + bytes;
        if (cursor->n_left)
            return JBI_STEP_EVENT;
        return jbi_cursor_damage(ring, cursor);
    }
    /* No chain is that long, unless it grew while we were stopped: then the head has passed us. */
    return jbi_cursor_damage(ring, &first);
}

int jbi_cursor_skip(const struct jbi_ring *ring, struct jbi_cursor *cursor)
{
    int rc = cursor->n_left ? JBI_STEP_EVENT : jbi_cursor_open(ring, cursor);

    if (rc == JBI_STEP_EVENT) {
        cursor->n_before += cursor->n_left;
        cursor->n_left = 0;
        cursor->position = cursor->extent_end;
    }
    return rc;
}

void jbi_cursor_oldest(const struct jbi_ring *ring, struct jbi_cursor *ret_cursor)
{
    uint64_t head = atomic_load_explicit(&ring->control->head, memory_order_acquire);

    for (;;) {
        uint64_t again;

        *ret_cursor = (struct jbi_cursor){.position = jbi_head_position(head)};
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
        int rc = jbi_cursor_skip(ring, &next);

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

bool jbi_reader_release(struct jbi_ring *ring, uint32_t reader_idx, uint64_t word)
{
    struct jbi_reader_slot *slot = &ring->readers[reader_idx];
    uint64_t mine = jbi_reader_word(word, ring->owner, JBI_READER_SETUP);

    /* Ours first, so that the sleeper's bit we clear is not that of the next owner. */
    if (!atomic_compare_exchange_strong_explicit(&slot->word, &word, mine, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return false;
    jbi_ring_forget_sleeper(ring, reader_idx);
    atomic_compare_exchange_strong_explicit(&slot->word, &mine,
                                            jbi_reader_word(mine, 0, JBI_READER_FREE),
                                            memory_order_release, memory_order_relaxed);
    return true;
}

uint64_t jbi_reader_gate(struct jbi_ring *ring, struct jbi_reader_slot *slot, uint32_t peer,
                         struct jbi_cursor *cursor)
{
    uint64_t before = atomic_load_explicit(&slot->word, memory_order_relaxed);
    uint64_t word = jbi_reader_word(before, peer, JBI_READER_LOSSLESS);
    uint64_t head;

    /* One that comes back to where it was found in the way has all its time again. */
    atomic_store_explicit(&slot->held_cursor, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->cursor, cursor->position, memory_order_relaxed);
    atomic_store_explicit(&slot->word, word, memory_order_release);
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
    return word;
}
