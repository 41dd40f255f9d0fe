/*
 * lossless.c: reading in place, and holding publishers back while one does.
 *
 * Invariant: what is shown lies in the ring and cannot change before it is taken, because the head
 * does not pass the cursor. The one exception is stated and seen: a subscription that was evicted
 * learns it before it takes anything, and then nothing of what it was shown counts as delivered.
 */
#include "bus/scan.h"

/* In one peek. */
enum { REJOINS_MAX = 4 };

/* The fence is for what was read out of the ring before, here or by the caller: were it of the next
 * lap, we see the eviction that made that possible. */
static bool is_evicted(const jb_sub *sub)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&sub->slot->word, memory_order_acquire) != sub->word;
}

/* Evicted, it goes on where it stood if that is still there, else with the oldest event kept; and
 * the publishers wait for it again. */
static void rejoin(jb_sub *sub)
{
    struct jbi_ring *ring = &sub->bus->ring;
    struct jbi_cursor at;
    uint64_t n_missed;

    jbi_cursor_oldest(ring, &at);
    if (at.n_before < sub->cursor.n_before)
        at = sub->cursor;
    sub->word = jbi_reader_gate(ring, sub->slot, ring->owner, &at);
    n_missed = at.n_before - sub->cursor.n_before;
    jbi_count(&sub->slot->n_evicted, 1);
    sub->n_missed_carry += n_missed;
    jbi_sub_move(sub, &at, 0, n_missed);
}

/* Show what is there from `at` on; ends as jbi_cursor_step() does. ret_first: before the first
 * event shown. */
static int scan(jb_sub *sub, struct jbi_cursor *at, struct jbi_cursor *ret_first, jb_event *events,
                uint32_t n_max)
{
    const struct jbi_ring *ring = &sub->bus->ring;
    struct jbi_cursor next = *at;
    uint32_t n = 0;
    int rc = JBI_STEP_EVENT;

    while (n < n_max) {
        struct jbi_record record;
        const uint8_t *payload = NULL;

        rc = jbi_cursor_step(ring, &next, &record, &payload);
        if (rc != JBI_STEP_EVENT)
            break;
        if (jbi_sub_wants(sub, record.topic_id)) {
            if (n == 0)
                *ret_first = *at;
            jbi_event_fill(&events[n], &record, payload, next.n_before,
                           n ? 0 : sub->n_missed_carry);
            sub->shown_sequences[n++] = next.n_before;
        }
        *at = next;
    }
    /* Aborted extents at the end are behind us too. */
    if (rc == JBI_STEP_END)
        *at = next;
    sub->n_shown = n;
    return rc;
}

static int peek(jb_sub *sub, jb_event *events, uint32_t n_max)
{
    struct jbi_cursor at, first;
    int rc;

    for (int i = 0;; i++) {
        at = sub->cursor;
        rc = scan(sub, &at, &first, events, n_max);
        /* If somebody took our gate away while we looked, what we saw may be torn: none of it
         * counts, neither as shown nor as passed over. */
        if (!is_evicted(sub))
            break;
        sub->n_shown = 0;
        /* One that may not even look for long enough gets nowhere, but it gets back. */
        if (i == REJOINS_MAX)
            return 0;
        rejoin(sub);
    }
    sub->scanned = at;
    if (sub->n_shown) {
        /* What stands before the first event shown is done with, whether or not that is taken. */
        jbi_sub_move(sub, &first, 0, 0);
        return (int)sub->n_shown;
    }
    /* Nothing wanted up to here: do not hold publishers back for it. */
    jbi_sub_move(sub, &at, 0, 0);
    if (rc == JBI_STEP_END)
        jbi_ring_unblock(&sub->bus->ring, at.position);
    /* What a lossless subscription has not taken is given to nobody, so somebody has scribbled. */
    return rc < 0 || rc == JBI_STEP_LAPPED ? JB_ECORRUPT : 0;
}

/* Walk to behind the event with that sequence number. */
static void walk_to(const jb_sub *sub, uint64_t sequence, struct jbi_cursor *ret_at)
{
    struct jbi_record record;
    const uint8_t *payload = NULL;

    *ret_at = sub->cursor;
    while (ret_at->n_before != sequence &&
           jbi_cursor_step(&sub->bus->ring, ret_at, &record, &payload) == JBI_STEP_EVENT)
        ;
}

static int advance(jb_sub *sub, uint32_t n)
{
    struct jbi_cursor to = sub->scanned;

    if (n < sub->n_shown)
        walk_to(sub, sub->shown_sequences[n - 1], &to);
    sub->n_shown = 0;
    if (is_evicted(sub))
        return JB_EEVICTED;
    sub->n_missed_carry = 0;
    jbi_sub_move(sub, &to, n, 0);
    return 0;
}

const struct jbi_reading jbi_reading_lossless = {peek, advance};
