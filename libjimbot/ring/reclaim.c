/*
 * reclaim.c: making old bytes free again.
 *
 * Invariant: the head never passes a record that is not finished, nor the cursor of a lossless
 * reader, nor the chain's end; and wherever the head stands, counts[] tells how many events were
 * committed before it. The head moves in steps of a sixteenth of the ring where it can, so that one
 * scan of the readers serves many claims.
 *
 * Any number of publishers may do this at once. Each computes the new head and its count from
 * finished marks only, so all who reach the same position have the same count, and the
 * compare-and-swap on the head lets one of them through.
 */
#include "base/os.h"
#include "ring/ring.h"

#define CHECK_EVERY_NS UINT64_C(10000000)

/* How far lossless readers allow the head to go. */
static uint64_t readers_limit(const struct jbi_ring *ring)
{
    uint64_t limit = UINT64_MAX;

    for (uint32_t i = 0; i < ring->n_readers; i++) {
        const struct jbi_reader_slot *slot = &ring->readers[i];
        uint64_t cursor;

        if (jbi_reader_state(atomic_load_explicit(&slot->word, memory_order_acquire)) !=
            JBI_READER_LOSSLESS)
            continue;
        /* Pairs with the release in the reader's advance: it has finished with every byte before
         * its cursor. */
        cursor = atomic_load_explicit(&slot->cursor, memory_order_acquire);
        if (cursor < limit)
            limit = cursor;
    }
    return limit;
}

/* Rate limit for questions to the kernel: true for one caller every ten milliseconds. */
static bool may_check(struct jbi_ring *ring)
{
    uint64_t now = jbi_os_monotonic_ns();
    uint64_t next = atomic_load_explicit(&ring->next_check_ns, memory_order_relaxed);

    return now >= next && atomic_compare_exchange_strong_explicit(
                              &ring->next_check_ns, &next, now + CHECK_EVERY_NS,
                              memory_order_relaxed, memory_order_relaxed);
}

static void abort_if_orphan(struct jbi_ring *ring, uint64_t position, uint64_t mark)
{
    if (jbi_mark_state(mark) == JBI_CLAIMED &&
        !ring->is_alive(jbi_mark_owner(mark), ring->alive_userdata) &&
        jbi_ring_abort(ring, position, mark) == 0) {
        ring->on_orphan(jbi_mark_owner(mark), ring->alive_userdata);
        jbi_ring_wake(ring);
    }
}

/* A lossless reader whose process is dead holds nobody back. */
static void release_dead_readers(struct jbi_ring *ring)
{
    for (uint32_t i = 0; i < ring->n_readers; i++) {
        uint64_t word = atomic_load_explicit(&ring->readers[i].word, memory_order_acquire);

        if (jbi_reader_state(word) == JBI_READER_LOSSLESS &&
            !ring->is_alive(jbi_reader_peer(word), ring->alive_userdata))
            jbi_reader_release(ring, i, word);
    }
}

/* Walks finished records from the head on. Stops at `goal`, at `limit`, at a claim, or at the
 * chain's end. */
static int walk(const struct jbi_ring *ring, struct jbi_cursor *cursor, uint64_t goal,
                uint64_t limit, uint64_t *ret_blocker)
{
    *ret_blocker = 0;
    while (cursor->position < goal) {
        uint64_t mark = jbi_ring_mark_load(ring, cursor->position);
        uint64_t bytes;

        if (jbi_mark_age(ring, mark, cursor->position) != 0)
            break;
        bytes = jbi_mark_bytes(ring, mark, cursor->position);
        if (!bytes)
            return JB_ECORRUPT;
        if (jbi_mark_state(mark) == JBI_CLAIMED) {
            *ret_blocker = mark;
            break;
        }
        if (bytes > limit - cursor->position)
            break;
        cursor->n_before += jbi_mark_state(mark) == JBI_COMMITTED;
        cursor->position += bytes;
    }
    return 0;
}

/* Moves the head from `head` to the cursor. False when another was faster; then look again. */
static bool head_move(struct jbi_ring *ring, uint64_t head, const struct jbi_cursor *to)
{
    _Atomic uint64_t *count = &ring->counts[jbi_ring_block(ring, to->position)];
    uint64_t old_count = atomic_load_explicit(count, memory_order_acquire);

    /* While the head stands where we found it, nobody can have written a later lap's count here, so
     * old_count is either an earlier lap's or the very value we are about to write. If we were
     * stopped since, the swap fails; if somebody who was stopped a lap ago has just written, we
     * look again. */
    if (atomic_load_explicit(&ring->control->head, memory_order_acquire) != head)
        return false;
    if (!atomic_compare_exchange_strong_explicit(count, &old_count, to->n_before,
                                                 memory_order_acq_rel, memory_order_acquire) &&
        old_count != to->n_before)
        return false;
    return atomic_compare_exchange_strong_explicit(&ring->control->head, &head,
                                                   jbi_head_pack(to->position, head),
                                                   memory_order_acq_rel, memory_order_relaxed);
}

int jbi_ring_reclaim(struct jbi_ring *ring, uint64_t need)
{
    bool is_checked = false;

    if (atomic_load_explicit(&ring->head_seen, memory_order_acquire) >= need)
        return 0;
    for (;;) {
        uint64_t head = atomic_load_explicit(&ring->control->head, memory_order_acquire);
        struct jbi_cursor cursor = {jbi_head_position(head), 0};
        uint64_t limit, blocker;
        int rc;

        if (cursor.position >= need) {
            atomic_store_explicit(&ring->head_seen, cursor.position, memory_order_release);
            return 0;
        }
        cursor.n_before = atomic_load_explicit(&ring->counts[jbi_ring_block(ring, cursor.position)],
                                               memory_order_acquire);
        limit = readers_limit(ring);
        if (limit < cursor.position)
            limit = cursor.position;
        rc = walk(ring, &cursor, need + ring->capacity_bytes / 16, limit, &blocker);
        if (rc && atomic_load_explicit(&ring->control->head, memory_order_acquire) == head)
            return rc;
        if (rc)
            continue;
        if (cursor.position > jbi_head_position(head)) {
            (void)head_move(ring, head, &cursor);
            continue;
        }
        if (atomic_load_explicit(&ring->control->head, memory_order_acquire) != head)
            continue;
        if (is_checked || !may_check(ring))
            return JB_EAGAIN;
        is_checked = true;
        if (blocker)
            abort_if_orphan(ring, cursor.position, blocker);
        else
            release_dead_readers(ring);
    }
}

void jbi_ring_unblock(struct jbi_ring *ring, uint64_t position)
{
    uint64_t mark = jbi_ring_mark_load(ring, position);

    if (jbi_mark_age(ring, mark, position) == 0 && may_check(ring))
        abort_if_orphan(ring, position, mark);
}

uint32_t jbi_ring_abort_all(struct jbi_ring *ring, uint32_t owner)
{
    uint64_t n_blocks = ring->capacity_bytes >> JBI_BLOCK_SHIFT;
    uint32_t n = 0;

    for (uint64_t block = 0; block < n_blocks; block++) {
        uint64_t mark = atomic_load_explicit(&ring->marks[block], memory_order_acquire);

        /* Marks of finished laps are never CLAIMED: the head does not pass a claim. */
        if (jbi_mark_state(mark) == JBI_CLAIMED && jbi_mark_owner(mark) == owner &&
            jbi_ring_abort(ring, block << JBI_BLOCK_SHIFT, mark) == 0)
            n++;
    }
    if (n)
        jbi_ring_wake(ring);
    return n;
}
