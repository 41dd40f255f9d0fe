/*
 * poll.c: the way of an event out of the ring.
 *
 * Invariant: every event between two places of a cursor is counted once, as delivered, filtered or
 * missed. What peek shows cannot change before advance: a lossless subscription holds the bytes by
 * its cursor, a latest one has copied them and seen, after copying, that they had not been given
 * away.
 */
#include "base/os.h"
#include "bus/bus_internal.h"

#include <string.h>

/* A sleeping reader looks up this often, for claims whose owner has died. */
#define LOOK_UP_NS UINT64_C(50000000)

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

static void count(_Atomic uint64_t *word, uint64_t n)
{
    /* One writer: a plain add, not a locked one. */
    if (n)
        atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + n,
                              memory_order_relaxed);
}

/* Take everything up to `to`. */
static void sub_move(jb_sub *sub, const struct jbi_cursor *to, uint64_t n_delivered,
                     uint64_t n_missed)
{
    uint64_t n_passed = to->n_before - sub->cursor.n_before;

    count(&sub->slot->n_delivered, n_delivered);
    count(&sub->slot->n_missed, n_missed);
    count(&sub->slot->n_filtered, n_passed - n_delivered - n_missed);
    sub->cursor = *to;
    /* Pairs with the acquire in readers_limit(): we have finished with every byte before the
     * cursor. */
    atomic_store_explicit(&sub->slot->cursor, to->position, memory_order_release);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define IS_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define IS_TSAN 1
#endif

/* Reads a record that publishers may be overwriting; whoever calls this checks afterwards whether
 * they were. The race is meant, so the race detector must not see it, nor the memcpy() it
 * intercepts. */
#ifdef IS_TSAN
__attribute__((no_sanitize("thread"), noinline)) static void copy_unstable(void *to,
                                                                           const void *from,
                                                                           size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++)
        ((volatile uint8_t *)to)[i] = ((const volatile uint8_t *)from)[i];
}
#else
static void copy_unstable(void *to, const void *from, size_t len_bytes)
{
    memcpy(to, from, len_bytes);
}
#endif

static bool wants(jb_sub *sub, uint32_t topic_id)
{
    const char *name;
    uint8_t verdict;
    int len;

    if (topic_id > sub->bus->max_topics)
        return false;
    verdict = sub->filter.verdicts[topic_id];
    if (verdict == JBI_VERDICT_UNKNOWN) {
        len = jb_bus_topic_name(sub->bus, topic_id, &name);
        if (len < 0)
            return false;
        verdict = (uint8_t)jbi_filter_decide(&sub->filter, topic_id, name, (size_t)len);
    }
    return verdict == JBI_VERDICT_PASS;
}

static int scan_lapped(jb_sub *sub, struct scan *scan, const struct jbi_cursor *before)
{
    uint64_t n;
    int rc;

    scan->at = *before;
    rc = jbi_cursor_catch_up(&sub->bus->ring, &scan->at);
    n = scan->at.n_before - before->n_before;
    scan->n_missed += n;
    scan->n_unreported += n;
    return rc ? rc : 1;
}

enum look { LOOK_GOOD, LOOK_UNWANTED, LOOK_NO_ROOM, LOOK_LAPPED, LOOK_CORRUPT };

/* The arena is used up to the end of a copy. */
static void arena_take(const jb_sub *sub, struct scan *scan, size_t at, uint32_t len_bytes)
{
    scan->arena_used = at + ((len_bytes + 7u) & ~(size_t)7);
    if (scan->arena_used > sub->arena_bytes)
        scan->arena_used = sub->arena_bytes;
}

/* Examine one committed record and show it if it is wanted. `position` is its start, scan->at its
 * end. */
static enum look scan_record(jb_sub *sub, struct scan *scan, uint64_t position,
                             const struct jbi_record *shared, uint64_t len_bytes)
{
    const struct jbi_ring *ring = &sub->bus->ring;
    bool is_latest = sub->policy == JB_SUB_LATEST;
    struct jbi_record record;
    const uint8_t *payload = (const uint8_t *)(shared + 1);
    jb_event *event = &scan->events[scan->n];

    copy_unstable(&record, shared, sizeof record);
    if (is_latest && !jbi_ring_is_kept(ring, position))
        return LOOK_LAPPED;
    if (record.len_bytes > len_bytes - sizeof record ||
        record.len_bytes > ring->max_record_bytes - sizeof record)
        return LOOK_CORRUPT;
    if (!wants(sub, record.topic_id))
        return LOOK_UNWANTED;
    if (is_latest) {
        uint8_t *copy = sub->arena + scan->arena_used;

        if (record.len_bytes > sub->arena_bytes - scan->arena_used)
            return LOOK_NO_ROOM;
        copy_unstable(copy, payload, record.len_bytes);
        if (!jbi_ring_is_kept(ring, position))
            return LOOK_LAPPED;
        arena_take(sub, scan, scan->arena_used, record.len_bytes);
        payload = copy;
    }
    event->sequence = scan->at.n_before;
    event->time_ns = record.time_ns;
    event->source_time = record.source_time;
    event->payload = payload;
    event->n_missed = scan->n_unreported;
    event->len_bytes = record.len_bytes;
    event->topic_id = record.topic_id;
    event->publisher = record.publisher;
    event->type = record.type;
    event->priority = record.priority;
    event->flags = record.flags;
    return LOOK_GOOD;
}

/* One step of a pass. 1 go on, 0 nothing more now, JB_ECORRUPT. */
static int scan_step(jb_sub *sub, struct scan *scan)
{
    struct jbi_cursor before = scan->at;
    const struct jbi_record *record;
    uint64_t len_bytes;
    int rc = jbi_cursor_step(&sub->bus->ring, &scan->at, &record, &len_bytes);
    enum look look = LOOK_LAPPED;

    if (rc < 0 || rc == JBI_STEP_END)
        return rc < 0 ? rc : 0;
    if (rc == JBI_STEP_EVENT)
        look = scan_record(sub, scan, scan->at.position - len_bytes, record, len_bytes);
    switch (look) {
    case LOOK_GOOD:
        if (scan->n == 0) {
            /* What stands before the first event shown is done with, whether or not this one is
             * taken. */
            sub_move(sub, &before, 0, scan->n_missed);
            sub->n_missed_carry = scan->n_unreported;
            scan->n_missed = 0;
        }
        sub->shown[scan->n].end = scan->at;
        sub->shown[scan->n].n_missed = scan->n_missed;
        scan->n_unreported = 0;
        scan->n++;
        return 1;
    case LOOK_UNWANTED:
        return 1;
    case LOOK_NO_ROOM:
        scan->at = before;
        return 0;
    case LOOK_LAPPED:
        /* What a lossless subscription has not taken is never given away, so somebody has
         * scribbled. */
        if (sub->policy == JB_SUB_LATEST)
            return scan_lapped(sub, scan, &before);
        break;
    case LOOK_CORRUPT:
        break;
    }
    /* Stay in front of it: the events shown before it are good, and who takes them is told the next
     * time. */
    scan->at = before;
    return JB_ECORRUPT;
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

int jb_sub_peek(jb_sub *sub, jb_event *events, uint32_t n_max)
{
    struct scan scan = {.events = events, .n_max = n_max < JBI_SUB_BATCH ? n_max : JBI_SUB_BATCH};
    int rc = 1;

    if (!sub || (!events && n_max))
        return JB_EINVAL;
    if (!jbi_bus_is_usable(sub->bus))
        return JB_ESTATE;
    scan.at = sub->cursor;
    scan.n_unreported = sub->n_missed_carry;
    if (sub->kept && sub->n_shown && scan.n_max)
        scan_resume(sub, &scan);
    while (scan.n < scan.n_max && rc > 0)
        rc = scan_step(sub, &scan);
    if (sub->kept && scan.n)
        memcpy(sub->kept, events, scan.n * sizeof *events);
    sub->n_shown = scan.n;
    sub->scanned = scan.at;
    sub->n_missed_scanned = scan.n_missed;
    sub->n_missed_trailing = scan.n_unreported;
    if (scan.n == 0) {
        /* Nothing wanted up to here: do not hold publishers back for it. */
        sub_move(sub, &scan.at, 0, scan.n_missed);
        sub->n_missed_carry = scan.n_unreported;
        if (rc == 0)
            jbi_ring_unblock(&sub->bus->ring, scan.at.position);
    }
    return scan.n || rc > 0 ? (int)scan.n : rc;
}

int jb_sub_advance(jb_sub *sub)
{
    if (!sub)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(sub->bus))
        return JB_ESTATE;
    if (sub->n_shown) {
        sub_move(sub, &sub->scanned, sub->n_shown, sub->n_missed_scanned);
        sub->n_missed_carry = sub->n_missed_trailing;
        sub->n_shown = 0;
    }
    return 0;
}

int jb_sub_advance_n(jb_sub *sub, uint32_t n)
{
    if (!sub || n > sub->n_shown)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(sub->bus))
        return JB_ESTATE;
    if (n == sub->n_shown)
        return jb_sub_advance(sub);
    if (n) {
        sub_move(sub, &sub->shown[n - 1].end, n, sub->shown[n - 1].n_missed);
        sub->n_missed_carry = 0;
    }
    sub->n_shown = 0;
    return 0;
}

int jb_sub_wait(jb_sub *sub, uint64_t timeout_ns)
{
    uint64_t start = 0;
    jb_event event;

    if (!sub)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(sub->bus))
        return JB_ESTATE;
    if (sub->n_shown)
        return 1;
    for (;;) {
        int rc = jb_sub_peek(sub, &event, 1);
        uint64_t now, left;

        sub->n_shown = 0;
        if (rc)
            return rc;
        if (timeout_ns == 0)
            return 0;
        now = jbi_os_monotonic_ns();
        if (!start)
            start = now;
        if (now - start >= timeout_ns)
            return 0;
        left = timeout_ns - (now - start);
        jbi_ring_sleep(&sub->bus->ring, sub->idx, &sub->cursor,
                       left < LOOK_UP_NS ? left : LOOK_UP_NS);
    }
}
