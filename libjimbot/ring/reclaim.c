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
#include "ring/cursor.h"

#define CHECK_EVERY_NS UINT64_C(10000000)

/* How far lossless readers allow the head to go, and which of them is the last. */
static uint64_t readers_limit(const struct jbi_ring *ring, uint32_t *ret_idx)
{
    uint64_t limit = UINT64_MAX;

    *ret_idx = UINT32_MAX;
    for (uint32_t i = 0; i < ring->n_readers; i++) {
        const struct jbi_reader_slot *slot = &ring->readers[i];
        uint64_t cursor;

        if (jbi_reader_state(atomic_load_explicit(&slot->word, memory_order_acquire)) !=
            JBI_READER_LOSSLESS)
            continue;
        /* Pairs with the release in the reader's advance: it has finished with every byte before
         * its cursor. */
        cursor = atomic_load_explicit(&slot->cursor, memory_order_acquire);
        if (cursor < limit) {
            limit = cursor;
            *ret_idx = i;
        }
    }
    return limit;
}

uint64_t jbi_ring_readers_limit(const struct jbi_ring *ring)
{
    uint32_t last;

    return readers_limit(ring, &last);
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

/* For how long has `place` been found in the way? `since` belongs to the place once that is read;
 * a newer `since` of another place only makes the answer shorter. An older one is never written:
 * who was stopped in here fails his swap. */
static uint64_t held_for(_Atomic uint64_t *since_ns, _Atomic uint64_t *place, uint64_t now_place)
{
    uint64_t since = atomic_load_explicit(since_ns, memory_order_relaxed);
    uint64_t now = jbi_os_monotonic_ns();

    if (atomic_load_explicit(place, memory_order_acquire) != now_place) {
        if (atomic_compare_exchange_strong_explicit(since_ns, &since, now, memory_order_relaxed,
                                                    memory_order_relaxed))
            atomic_store_explicit(place, now_place, memory_order_release);
        return 0;
    }
    since = atomic_load_explicit(since_ns, memory_order_relaxed);
    return now > since ? now - since : 0;
}

/* An open claim is in the way: of the dead it is aborted, of the living cancelled if it has been
 * there for longer than this bus allows. */
static void settle_claim(struct jbi_ring *ring, uint64_t position, uint64_t mark)
{
    uint32_t owner = jbi_mark_owner(mark);
    uint64_t held_ns;

    if (jbi_mark_state(mark) != JBI_CLAIMED)
        return;
    if (!ring->is_alive(owner, ring->userdata)) {
        if (jbi_ring_abort(ring, position, mark) == 0) {
            ring->on_notice(JBI_NOTICE_ORPHAN, owner, 0, ring->userdata);
            jbi_ring_wake(ring);
        }
        return;
    }
    held_ns =
        held_for(&ring->control->stalled_since_ns, &ring->control->stalled_position, position);
    if (ring->stall_after_ns && held_ns >= ring->stall_after_ns &&
        jbi_revoke(ring, position, mark)) {
        ring->on_notice(JBI_NOTICE_REVOKED, owner, 0, ring->userdata);
        jbi_ring_wake(ring);
    }
}

static bool reader_is_alive(const struct jbi_ring *ring, uint32_t idx, uint64_t word)
{
    uint32_t peer = jbi_reader_peer(word);

    if (peer)
        return ring->is_alive(peer, ring->userdata);
    return ring->is_group_alive && ring->is_group_alive(idx, ring->userdata);
}

/* Lossless readers keep the head from going beyond `limit`: of the dead the slots are freed; the
 * last of the living is evicted if that is in the way and has not moved for longer than it said it
 * might. */
static void settle_readers(struct jbi_ring *ring, uint64_t limit)
{
    struct jbi_reader_slot *slot;
    uint64_t word, cursor, held_ns;
    uint32_t last;

    for (uint32_t i = 0; i < ring->n_readers; i++) {
        word = atomic_load_explicit(&ring->readers[i].word, memory_order_acquire);
        if (jbi_reader_state(word) == JBI_READER_LOSSLESS && !reader_is_alive(ring, i, word) &&
            jbi_reader_release(ring, i, word))
            ring->on_notice(JBI_NOTICE_READER_DIED, jbi_reader_peer(word), i, ring->userdata);
    }
    cursor = readers_limit(ring, &last);
    if (last == UINT32_MAX || cursor > limit)
        return;
    slot = &ring->readers[last];
    word = atomic_load_explicit(&slot->word, memory_order_acquire);
    held_ns = held_for(&slot->held_since_ns, &slot->held_cursor, cursor);
    if (jbi_reader_state(word) != JBI_READER_LOSSLESS || slot->evict_after_ns == 0 ||
        held_ns < slot->evict_after_ns ||
        cursor != atomic_load_explicit(&slot->cursor, memory_order_acquire))
        return;
    if (atomic_compare_exchange_strong_explicit(
            &slot->word, &word, jbi_reader_word(word, jbi_reader_peer(word), JBI_READER_EVICTED),
            memory_order_acq_rel, memory_order_relaxed))
        ring->on_notice(JBI_NOTICE_EVICTED, jbi_reader_peer(word), last, ring->userdata);
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
        if (jbi_mark_state(mark) == JBI_COMMITTED) {
            uint32_t n_records = jbi_ring_n_records(ring, mark, cursor->position);

            if (!n_records)
                return JB_ECORRUPT;
            cursor->n_before += n_records;
        }
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
        struct jbi_cursor cursor = {.position = jbi_head_position(head)};
        uint64_t limit, blocker;
        uint32_t last;
        int rc;

        if (cursor.position >= need) {
            atomic_store_explicit(&ring->head_seen, cursor.position, memory_order_release);
            return 0;
        }
        cursor.n_before = atomic_load_explicit(&ring->counts[jbi_ring_block(ring, cursor.position)],
                                               memory_order_acquire);
        limit = readers_limit(ring, &last);
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
            settle_claim(ring, cursor.position, blocker);
        else
            settle_readers(ring, limit);
    }
}

void jbi_ring_unblock(struct jbi_ring *ring, uint64_t position)
{
    uint64_t mark = jbi_ring_mark_load(ring, position);

    if (jbi_mark_age(ring, mark, position) == 0 && jbi_mark_state(mark) == JBI_CLAIMED &&
        may_check(ring))
        settle_claim(ring, position, mark);
}

uint32_t jbi_ring_abort_all(struct jbi_ring *ring, uint32_t owner)
{
    uint64_t n_blocks = ring->capacity_bytes >> JBI_BLOCK_SHIFT;
    uint32_t n = 0;

    for (uint64_t block = 0; block < n_blocks; block++) {
        uint64_t mark = atomic_load_explicit(&ring->marks[block], memory_order_acquire);

        if (jbi_mark_owner(mark) != owner)
            continue;
        if (jbi_mark_is_revoked(mark))
            jbi_revoked_return(ring, block << JBI_BLOCK_SHIFT, owner);
        /* Marks of finished laps are never CLAIMED: the head does not pass a claim. */
        else if (jbi_mark_state(mark) == JBI_CLAIMED &&
                 jbi_ring_abort(ring, block << JBI_BLOCK_SHIFT, mark) == 0)
            n++;
    }
    if (n)
        jbi_ring_wake(ring);
    return n;
}
