/*
 * ahead.c: reading in place, events of high priority before the rest.
 *
 * Two cursors: `front` goes first and shows the high events alone; when there are none left, the
 * subscription's own cursor goes up to there and shows the others. Publishers wait for that one, so
 * everything either of them shows stays where it is.
 *
 * Invariant: every wanted high event before `front` has been taken, and none behind it, except
 * those of a topic that was wanted only later: they stand before `ahead_from` of their topic and
 * are shown in their turn. An event that was taken ahead of the cursor is counted as delivered
 * then; n_taken is how many of those the cursor has not passed yet, so delivered + filtered +
 * missed is everything up to the cursor and these.
 */
#include "base/alloc.h"
#include "bus/scan.h"

/* In one peek. */
enum { REJOINS_MAX = 4 };

struct jbi_ahead {
    struct jbi_cursor front;
    struct jbi_cursor front_scanned; /* how far the last peek looked with it */
    bool is_front_shown;             /* what is shown lies there */
    struct jbi_cursor rest;          /* else: where the first event shown begins */
    uint64_t n_taken;                /* between the cursor and front */
    uint64_t n_taken_rest;           /* of those, between the cursor and `rest` */
    uint64_t n_taken_scanned;        /* and between `rest` and `scanned` */
    uint64_t from[]; /* for each topic: front takes its events with a sequence above this */
};

static size_t ahead_bytes(const jb_sub *sub)
{
    return sizeof(struct jbi_ahead) + (sub->bus->max_topics + (size_t)1) * sizeof(uint64_t);
}

bool jbi_ahead_create(jb_sub *sub)
{
    sub->ahead = jbi_alloc_zeroed(&sub->bus->alloc, ahead_bytes(sub));
    return sub->ahead;
}

void jbi_ahead_free(jb_sub *sub)
{
    jbi_alloc_free(&sub->bus->alloc, sub->ahead, ahead_bytes(sub));
}

void jbi_ahead_start(jb_sub *sub)
{
    sub->ahead->front = sub->cursor;
}

void jbi_ahead_widen(jb_sub *sub)
{
    struct jbi_ahead *a = sub->ahead;
    uint64_t seen =
        sub->n_shown && a->is_front_shown ? a->front_scanned.n_before : a->front.n_before;

    for (uint32_t i = 0; i <= sub->bus->max_topics; i++) {
        if (sub->filter.verdicts[i] != JBI_VERDICT_PASS)
            a->from[i] = seen;
    }
}

/* As in lossless.c: what was read before this was whole if it is false. */
static bool is_evicted(const jb_sub *sub)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&sub->slot->word, memory_order_acquire) != sub->word;
}

/* Is it front that takes this event? */
static bool is_ahead(jb_sub *sub, const struct jbi_record *record, uint64_t sequence)
{
    return (record->bits & 3) == JB_PRIORITY_HIGH && jbi_sub_wants(sub, record->topic_id) &&
           sequence > sub->ahead->from[record->topic_id];
}

/* Show what is high from front on. Ends as jbi_cursor_step() does. */
static int scan_front(jb_sub *sub, jb_event *events, uint32_t n_max)
{
    struct jbi_ahead *a = sub->ahead;
    struct jbi_cursor at = a->front, next = at;
    uint32_t n = 0;
    int rc = JBI_STEP_EVENT;

    while (n < n_max) {
        struct jbi_record record;
        const uint8_t *payload = NULL;

        rc = jbi_cursor_step(&sub->bus->ring, &next, &record, &payload);
        if (rc != JBI_STEP_EVENT)
            break;
        if (is_ahead(sub, &record, next.n_before)) {
            if (n == 0)
                a->front = at;
            jbi_event_fill(&events[n], &record, payload, next.n_before,
                           n ? 0 : sub->n_missed_carry);
            sub->shown_sequences[n++] = next.n_before;
        }
        at = next;
    }
    /* Aborted extents at the end are behind us too. */
    if (rc == JBI_STEP_END)
        at = next;
    a->front_scanned = at;
    sub->n_shown = n;
    return rc;
}

/* Show the rest from the cursor up to front. */
static int scan_rest(jb_sub *sub, jb_event *events, uint32_t n_max)
{
    struct jbi_ahead *a = sub->ahead;
    struct jbi_cursor at = sub->cursor, next = at;
    uint64_t n_taken = 0;
    uint32_t n = 0;

    while (n < n_max && at.n_before < a->front.n_before) {
        struct jbi_record record;
        const uint8_t *payload = NULL;
        int rc = jbi_cursor_step(&sub->bus->ring, &next, &record, &payload);

        /* There were events up to front. */
        if (rc != JBI_STEP_EVENT)
            return rc < 0 ? rc : JBI_STEP_LAPPED;
        if (is_ahead(sub, &record, next.n_before)) {
            n_taken++;
        } else if (jbi_sub_wants(sub, record.topic_id)) {
            if (n == 0) {
                a->rest = at;
                a->n_taken_rest = n_taken;
                n_taken = 0;
            }
            jbi_event_fill(&events[n], &record, payload, next.n_before,
                           n ? 0 : sub->n_missed_carry);
            sub->shown_sequences[n++] = next.n_before;
        }
        at = next;
    }
    sub->scanned = at.n_before == a->front.n_before ? a->front : at;
    a->n_taken_scanned = n_taken;
    sub->n_shown = n;
    return JBI_STEP_EVENT;
}

/* What was shown is shown again; else the high events, else the others. */
static int scan(jb_sub *sub, jb_event *events, uint32_t n_max)
{
    struct jbi_ahead *a = sub->ahead;
    bool is_rest_shown = sub->n_shown && !a->is_front_shown;
    int rc;

    if (!is_rest_shown) {
        rc = scan_front(sub, events, n_max);
        a->is_front_shown = sub->n_shown > 0;
        if (sub->n_shown || (rc != JBI_STEP_END && rc != JBI_STEP_EVENT))
            return rc;
        a->front = a->front_scanned;
    }
    sub->n_shown = 0;
    return scan_rest(sub, events, n_max);
}

/* How many of the events between two places front has taken. False when they are not there. */
static bool count_taken(jb_sub *sub, struct jbi_cursor from, uint64_t to, uint64_t *ret_n)
{
    uint64_t n = 0;

    while (from.n_before < to) {
        struct jbi_record record;
        const uint8_t *payload = NULL;

        if (jbi_cursor_step(&sub->bus->ring, &from, &record, &payload) != JBI_STEP_EVENT)
            return false;
        n += is_ahead(sub, &record, from.n_before);
    }
    *ret_n = n;
    return true;
}

/* Evicted, it goes on where it stood if that is still there, else with the oldest event kept; and
 * the publishers wait for it again. What front had taken of what is gone was not missed. */
static void rejoin(jb_sub *sub)
{
    struct jbi_ahead *a = sub->ahead;
    struct jbi_ring *ring = &sub->bus->ring;
    uint64_t n_left = 0, n_missed;
    struct jbi_cursor at;

    jbi_cursor_oldest(ring, &at);
    if (at.position < sub->cursor.position)
        at = sub->cursor;
    sub->word = jbi_reader_gate(ring, sub->slot, ring->owner, &at);
    jbi_count(&sub->slot->n_evicted, 1);
    if (at.n_before >= a->front.n_before)
        a->front = at;
    else if (!count_taken(sub, at, a->front.n_before, &n_left))
        return; /* evicted again: the next look finds out */
    n_missed = at.n_before - sub->cursor.n_before - (a->n_taken - n_left);
    sub->n_missed_carry += n_missed;
    jbi_sub_pass(sub, &at,
                 &(struct jbi_books){.n_missed = n_missed, .n_ahead = a->n_taken - n_left});
    a->n_taken = n_left;
}

static void pass(jb_sub *sub, const struct jbi_cursor *to, uint64_t n_delivered, uint64_t n_taken)
{
    jbi_sub_pass(sub, to, &(struct jbi_books){.n_delivered = n_delivered, .n_ahead = n_taken});
    sub->ahead->n_taken -= n_taken;
}

static int peek(jb_sub *sub, jb_event *events, uint32_t n_max)
{
    struct jbi_ahead *a = sub->ahead;
    int rc;

    for (int i = 0;; i++) {
        struct jbi_cursor front = a->front;

        rc = scan(sub, events, n_max);
        /* If somebody took our gate away while we looked, what we saw may be torn. */
        if (!is_evicted(sub))
            break;
        a->front = front;
        sub->n_shown = 0;
        /* One that may not even look for long enough gets nowhere, but it gets back. */
        if (i == REJOINS_MAX)
            return 0;
        rejoin(sub);
    }
    /* What a lossless subscription has not taken is given to nobody, so somebody has scribbled. */
    if (rc < 0 || rc == JBI_STEP_LAPPED) {
        sub->n_shown = 0;
        return JB_ECORRUPT;
    }
    if (sub->n_shown && a->is_front_shown)
        return (int)sub->n_shown;
    if (sub->n_shown) {
        /* What stands before the first event shown is done with, whether or not that is taken. */
        pass(sub, &a->rest, 0, a->n_taken_rest);
        return (int)sub->n_shown;
    }
    pass(sub, &sub->scanned, 0, a->n_taken_scanned);
    jbi_ring_unblock(&sub->bus->ring, sub->scanned.position);
    return 0;
}

/* Walk from `at` to behind the event with that sequence number. */
static bool walk_to(const jb_sub *sub, struct jbi_cursor *at, uint64_t sequence)
{
    struct jbi_record record;
    const uint8_t *payload = NULL;

    while (at->n_before < sequence) {
        if (jbi_cursor_step(&sub->bus->ring, at, &record, &payload) != JBI_STEP_EVENT)
            return false;
    }
    return true;
}

static int advance(jb_sub *sub, uint32_t n)
{
    struct jbi_ahead *a = sub->ahead;
    struct jbi_cursor to = a->is_front_shown ? a->front_scanned : sub->scanned;
    uint64_t n_taken = a->n_taken_scanned, sequence = sub->shown_sequences[n - 1];
    bool is_sound = true;

    if (n < sub->n_shown) {
        to = a->is_front_shown ? a->front : sub->cursor;
        is_sound = walk_to(sub, &to, sequence) &&
                   (a->is_front_shown || count_taken(sub, sub->cursor, sequence, &n_taken));
    }
    sub->n_shown = 0;
    if (is_evicted(sub))
        return JB_EEVICTED;
    if (!is_sound)
        return JB_ECORRUPT;
    sub->n_missed_carry = 0;
    if (!a->is_front_shown) {
        pass(sub, &to, n, n_taken);
        return 0;
    }
    a->front = to;
    a->n_taken += n;
    jbi_count(&sub->slot->n_delivered, n);
    return 0;
}

const struct jbi_reading jbi_reading_ahead = {peek, advance};
