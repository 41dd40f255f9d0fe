/*
 * latest.c: reading copies, and holding nobody back.
 *
 * Invariant: what is shown was copied, and after the copy was made the bytes had not been given
 * away. What was shown and not taken is shown again out of the same copies.
 */
#include "bus/scan.h"

#include <string.h>

/* State of one pass over the ring. */
struct scan {
    jb_event *events;
    uint32_t n_max;
    uint32_t n;
    struct jbi_cursor at;
    uint64_t n_missed;     /* since the subscription's cursor */
    uint64_t n_unreported; /* since the last event shown */
    size_t arena_used;
};

static int overtaken(jb_sub *sub, struct scan *scan)
{
    uint64_t n_before = scan->at.n_before;
    int rc = jbi_cursor_catch_up(&sub->bus->ring, &scan->at);
    uint64_t n = scan->at.n_before - n_before;

    scan->n_missed += n;
    scan->n_unreported += n;
    return rc ? rc : 1;
}

/* The arena is used up to the end of a copy. */
static void arena_take(const jb_sub *sub, struct scan *scan, size_t at, uint32_t len_bytes)
{
    scan->arena_used = at + ((len_bytes + 7u) & ~(size_t)7);
    if (scan->arena_used > sub->arena_bytes)
        scan->arena_used = sub->arena_bytes;
}

enum look { LOOK_GOOD, LOOK_UNWANTED, LOOK_NO_ROOM, LOOK_LAPPED };

/* Show the record that ends at the cursor, if it is wanted. */
static enum look look(jb_sub *sub, struct scan *scan, const struct jbi_cursor *next,
                      const struct jbi_record *record, const uint8_t *payload)
{
    const struct jbi_ring *ring = &sub->bus->ring;
    uint8_t *copy = sub->arena + scan->arena_used;
    /* The head moves over whole extents, so any byte of it stands for all. */
    uint64_t position = next->extent_end - 1;

    if (!jbi_ring_is_kept(ring, position))
        return LOOK_LAPPED;
    if (!jbi_sub_wants(sub, record->topic_id))
        return LOOK_UNWANTED;
    if (record->len_bytes > sub->arena_bytes - scan->arena_used)
        return LOOK_NO_ROOM;
    jbi_copy_unstable(copy, payload, record->len_bytes);
    if (!jbi_ring_is_kept(ring, position))
        return LOOK_LAPPED;
    arena_take(sub, scan, scan->arena_used, record->len_bytes);
    jbi_event_fill(&scan->events[scan->n], record, copy, next->n_before, scan->n_unreported);
    return LOOK_GOOD;
}

/* One step of a pass. 1 go on, 0 nothing more now, JB_ECORRUPT. */
static int scan_step(jb_sub *sub, struct scan *scan)
{
    struct jbi_cursor next = scan->at;
    struct jbi_record record;
    const uint8_t *payload = NULL;
    int rc = jbi_cursor_step(&sub->bus->ring, &next, &record, &payload);
    enum look seen;

    if (rc == JBI_STEP_LAPPED)
        return overtaken(sub, scan);
    if (rc != JBI_STEP_EVENT) {
        if (rc == JBI_STEP_END)
            scan->at = next;
        return rc < 0 ? rc : 0;
    }
    seen = look(sub, scan, &next, &record, payload);
    if (seen == LOOK_LAPPED)
        return overtaken(sub, scan);
    if (seen == LOOK_NO_ROOM)
        return 0;
    if (seen == LOOK_GOOD) {
        if (scan->n == 0) {
            /* What stands before the first event shown is done with, whether or not this one is
             * taken. */
            jbi_sub_move(sub, &scan->at, 0, scan->n_missed);
            sub->n_missed_carry = scan->n_unreported;
            scan->n_missed = 0;
        }
        sub->shown[scan->n].end = next;
        sub->shown[scan->n].n_missed = scan->n_missed;
        scan->n_unreported = 0;
        scan->n++;
    }
    scan->at = next;
    return 1;
}

/* What a latest subscription has shown it shows again from its copies: the ring may have gone on,
 * and scanning anew would write other events over bytes the caller still has. */
static void scan_resume(const jb_sub *sub, struct scan *scan)
{
    uint32_t n = sub->n_shown < scan->n_max ? sub->n_shown : scan->n_max;
    const jb_event *last = &sub->kept[n - 1];

    memcpy(scan->events, sub->kept, n * sizeof *scan->events);
    scan->n = n;
    scan->at = n == sub->n_shown ? sub->scanned : sub->shown[n - 1].end;
    scan->n_missed = n == sub->n_shown ? sub->n_missed_scanned : sub->shown[n - 1].n_missed;
    scan->n_unreported = n == sub->n_shown ? sub->n_missed_trailing : 0;
    arena_take(sub, scan, (size_t)(last->payload - sub->arena), last->len_bytes);
}

static int peek(jb_sub *sub, jb_event *events, uint32_t n_max)
{
    struct scan scan = {.events = events, .n_max = n_max};
    int rc = 1;

    scan.at = sub->cursor;
    scan.n_unreported = sub->n_missed_carry;
    if (sub->n_shown && n_max)
        scan_resume(sub, &scan);
    while (scan.n < scan.n_max && rc > 0)
        rc = scan_step(sub, &scan);
    if (scan.n)
        memcpy(sub->kept, events, scan.n * sizeof *events);
    sub->n_shown = scan.n;
    sub->scanned = scan.at;
    sub->n_missed_scanned = scan.n_missed;
    sub->n_missed_trailing = scan.n_unreported;
    if (scan.n == 0) {
        jbi_sub_move(sub, &scan.at, 0, scan.n_missed);
        sub->n_missed_carry = scan.n_unreported;
        if (rc == 0)
            jbi_ring_unblock(&sub->bus->ring, scan.at.position);
    }
    return scan.n || rc > 0 ? (int)scan.n : rc;
}

static int advance(jb_sub *sub, uint32_t n)
{
    if (n == sub->n_shown) {
        jbi_sub_move(sub, &sub->scanned, n, sub->n_missed_scanned);
        sub->n_missed_carry = sub->n_missed_trailing;
    } else {
        jbi_sub_move(sub, &sub->shown[n - 1].end, n, sub->shown[n - 1].n_missed);
        sub->n_missed_carry = 0;
    }
    sub->n_shown = 0;
    return 0;
}

const struct jbi_reading jbi_reading_latest = {peek, advance};
