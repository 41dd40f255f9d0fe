/*
 * conflate.c: reading the newest event of each topic and key, and holding nobody back.
 *
 * A pass notes where the newest of each stands, in a list in ring order; an older one of the same
 * topic and key leaves the list. Only what is shown is copied, so an event that is replaced costs a
 * look at its header.
 *
 * Invariant: every entry carries what was missed and what was conflated between the entry before
 * and itself, and one that leaves the list hands its sums to its successor. So the books are exact
 * wherever a caller stops. What was shown is neither replaced nor copied again until it is taken or
 * given back; given back, it goes if something newer has come meanwhile.
 *
 * Memory is fixed: as many entries as a batch has events. Where there are more topics and keys than
 * that, a pass ends when the list is full and goes on when some of it has been taken.
 */
#include "base/alloc.h"
#include "bus/scan.h"

#include <string.h>

enum { ENTRIES = JBI_SUB_BATCH, BUCKETS = 2 * ENTRIES, NONE = UINT16_MAX };

static_assert(ENTRIES < NONE, "an entry's number fits 16 bits");

struct sums {
    uint64_t n_missed;
    uint64_t n_conflated;
};

struct entry {
    struct jbi_cursor end; /* behind the record */
    struct jbi_record record;
    const uint8_t *payload; /* in the log */
    struct sums since;      /* since the entry before */
    uint16_t next, prev;    /* in ring order; `next` also links the unused */
    uint16_t next_alike;    /* in its bucket */
    uint16_t is_findable;   /* it is in its bucket */
};

struct jbi_conflation {
    struct entry entries[ENTRIES];
    uint16_t buckets[BUCKETS];
    uint16_t first, last, unused;
    struct sums since; /* since the last entry */
    uint64_t shown_to; /* sequence of the last event shown, 0: none */
};

static uint32_t bucket_of(const struct jbi_record *record)
{
    uint64_t hash = ((uint64_t)record->topic_id << 32 | record->key) * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)(hash >> 32) % BUCKETS;
}

/* Where the number of that topic's and key's entry is kept, or of none. */
static uint16_t *find(struct jbi_conflation *c, const struct jbi_record *record)
{
    uint16_t *at = &c->buckets[bucket_of(record)];

    while (*at != NONE && (c->entries[*at].record.topic_id != record->topic_id ||
                           c->entries[*at].record.key != record->key))
        at = &c->entries[*at].next_alike;
    return at;
}

static void hide(struct jbi_conflation *c, uint16_t idx)
{
    struct entry *entry = &c->entries[idx];

    if (entry->is_findable)
        *find(c, &entry->record) = entry->next_alike;
    entry->is_findable = false;
}

/* Out of the list; its sums are the caller's to hand on. */
static void drop(struct jbi_conflation *c, uint16_t idx)
{
    struct entry *entry = &c->entries[idx];

    hide(c, idx);
    *(entry->prev == NONE ? &c->first : &c->entries[entry->prev].next) = entry->next;
    *(entry->next == NONE ? &c->last : &c->entries[entry->next].prev) = entry->prev;
    entry->next = c->unused;
    c->unused = idx;
}

static void append(struct jbi_conflation *c, const struct jbi_cursor *end,
                   const struct jbi_record *record, const uint8_t *payload)
{
    uint16_t idx = c->unused;
    struct entry *entry = &c->entries[idx];
    uint16_t *bucket = &c->buckets[bucket_of(record)];

    c->unused = entry->next;
    *entry = (struct entry){.end = *end,
                            .record = *record,
                            .payload = payload,
                            .since = c->since,
                            .next = NONE,
                            .prev = c->last,
                            .next_alike = *bucket,
                            .is_findable = true};
    c->since = (struct sums){0};
    *bucket = idx;
    *(c->last == NONE ? &c->first : &c->entries[c->last].next) = idx;
    c->last = idx;
}

/* Out of the list; what it carries, and what became of itself, goes to its successor. */
static void fold(struct jbi_conflation *c, uint16_t idx, struct sums fate)
{
    const struct entry *entry = &c->entries[idx];
    struct sums *heir = entry->next == NONE ? &c->since : &c->entries[entry->next].since;

    heir->n_missed += entry->since.n_missed + fate.n_missed;
    heir->n_conflated += entry->since.n_conflated + fate.n_conflated;
    drop(c, idx);
}

bool jbi_conflation_create(jb_sub *sub)
{
    struct jbi_conflation *c = jbi_alloc_zeroed(&sub->bus->alloc, sizeof *c);

    sub->conflation = c;
    if (!c)
        return false;
    memset(c->buckets, 0xff, sizeof c->buckets);
    c->first = c->last = NONE;
    for (uint32_t i = 0; i < ENTRIES; i++)
        c->entries[i].next = i + 1 < ENTRIES ? (uint16_t)(i + 1) : (uint16_t)NONE;
    return true;
}

void jbi_conflation_free(jb_sub *sub)
{
    jbi_alloc_free(&sub->bus->alloc, sub->conflation, sizeof *sub->conflation);
}

static int overtaken(jb_sub *sub)
{
    uint64_t n_before = sub->scanned.n_before;
    int rc = jbi_cursor_catch_up(&sub->bus->ring, &sub->scanned);

    sub->conflation->since.n_missed += sub->scanned.n_before - n_before;
    return rc ? rc : JBI_STEP_EVENT;
}

/* Note the next record. As jbi_cursor_step(); the end is also where the list is full. */
static int scan_step(jb_sub *sub)
{
    struct jbi_conflation *c = sub->conflation;
    struct jbi_cursor next = sub->scanned;
    struct jbi_record record;
    const uint8_t *payload = NULL;
    int rc = jbi_cursor_step(&sub->bus->ring, &next, &record, &payload);
    uint16_t old;

    /* The head moves over whole extents, so any byte of it stands for all. */
    if (rc == JBI_STEP_LAPPED ||
        (rc == JBI_STEP_EVENT && !jbi_ring_is_kept(&sub->bus->ring, next.extent_end - 1)))
        return overtaken(sub);
    if (rc == JBI_STEP_EVENT && jbi_sub_wants(sub, record.topic_id)) {
        old = *find(c, &record);
        if (old != NONE && c->entries[old].end.n_before > c->shown_to)
            fold(c, old, (struct sums){.n_conflated = 1});
        else if (c->unused == NONE)
            return JBI_STEP_END;
        else if (old != NONE)
            hide(c, old);
        append(c, &next, &record, payload);
    }
    if (rc >= 0)
        sub->scanned = next;
    return rc;
}

/* The arena is used up to the end of a copy. */
static size_t arena_end(const jb_sub *sub, const jb_event *event)
{
    size_t end = (size_t)(event->payload - sub->arena) + ((event->len_bytes + 7u) & ~(size_t)7);

    return end < sub->arena_bytes ? end : sub->arena_bytes;
}

enum copied { COPY_GOOD, COPY_NO_ROOM, COPY_LOST };

static enum copied copy(jb_sub *sub, const struct entry *entry, jb_event *event)
{
    const struct jbi_ring *ring = &sub->bus->ring;
    size_t used = sub->n_shown ? arena_end(sub, &sub->kept[sub->n_shown - 1]) : 0;
    uint32_t len_bytes = entry->record.len_bytes;

    if (len_bytes > sub->arena_bytes - used)
        return COPY_NO_ROOM;
    jbi_copy_unstable(sub->arena + used, entry->payload, len_bytes);
    if (!jbi_ring_is_kept(ring, entry->end.extent_end - 1))
        return COPY_LOST;
    jbi_event_fill(event, &entry->record, sub->arena + used, entry->end.n_before,
                   entry->since.n_missed + (sub->n_shown ? 0 : sub->n_missed_carry));
    return COPY_GOOD;
}

/* Copy entries until n_max are shown, the arena is full or there are no more. False when some were
 * overwritten before they could be copied. */
static bool show(jb_sub *sub, uint32_t n_max)
{
    struct jbi_conflation *c = sub->conflation;
    uint16_t idx = c->first, next;
    bool is_whole = true;

    for (uint32_t i = 0; i < sub->n_shown; i++)
        idx = c->entries[idx].next;
    for (; sub->n_shown < n_max && idx != NONE; idx = next) {
        enum copied rc = copy(sub, &c->entries[idx], &sub->kept[sub->n_shown]);

        next = c->entries[idx].next;
        if (rc == COPY_NO_ROOM)
            break;
        if (rc == COPY_LOST) {
            fold(c, idx, (struct sums){.n_missed = 1});
            is_whole = false;
            continue;
        }
        c->shown_to = c->entries[idx].end.n_before;
        sub->n_shown++;
    }
    return is_whole;
}

/* From that one on nothing counts as shown any longer. */
static void give_back(struct jbi_conflation *c, uint16_t idx)
{
    while (idx != NONE && c->entries[idx].end.n_before <= c->shown_to) {
        uint16_t next = c->entries[idx].next;

        if (!c->entries[idx].is_findable)
            fold(c, idx, (struct sums){.n_conflated = 1});
        idx = next;
    }
}

/* What was shown and not taken is shown again. */
static void resume(jb_sub *sub, uint32_t n_max)
{
    struct jbi_conflation *c = sub->conflation;
    uint16_t idx = c->first;

    if (sub->n_shown > n_max)
        sub->n_shown = n_max;
    for (uint32_t i = 0; i < sub->n_shown; i++)
        idx = c->entries[idx].next;
    give_back(c, idx);
    c->shown_to = sub->n_shown ? sub->kept[sub->n_shown - 1].sequence : 0;
}

static int peek(jb_sub *sub, jb_event *events, uint32_t n_max)
{
    struct jbi_conflation *c = sub->conflation;
    bool is_whole;
    int rc;

    resume(sub, n_max);
    do {
        do
            rc = scan_step(sub);
        while (rc == JBI_STEP_EVENT);
        is_whole = show(sub, n_max);
    } while (!is_whole && sub->n_shown == 0 && rc >= 0);
    if (sub->n_shown)
        memcpy(events, sub->kept, sub->n_shown * sizeof *events);
    if (c->first == NONE) {
        jbi_sub_pass(sub, &sub->scanned,
                     &(struct jbi_books){.n_missed = c->since.n_missed,
                                         .n_conflated = c->since.n_conflated});
        sub->n_missed_carry += c->since.n_missed;
        c->since = (struct sums){0};
        if (rc == JBI_STEP_END)
            jbi_ring_unblock(&sub->bus->ring, sub->scanned.position);
    }
    return sub->n_shown || rc >= 0 ? (int)sub->n_shown : rc;
}

static int advance(jb_sub *sub, uint32_t n)
{
    struct jbi_conflation *c = sub->conflation;
    struct jbi_books books = {.n_delivered = n};
    struct jbi_cursor to = sub->scanned;

    for (uint32_t i = 0; i < n; i++) {
        const struct entry *entry = &c->entries[c->first];

        books.n_missed += entry->since.n_missed;
        books.n_conflated += entry->since.n_conflated;
        to = entry->end;
        drop(c, c->first);
    }
    sub->n_missed_carry = 0;
    if (c->first == NONE) {
        to = sub->scanned;
        books.n_missed += c->since.n_missed;
        books.n_conflated += c->since.n_conflated;
        sub->n_missed_carry = c->since.n_missed;
        c->since = (struct sums){0};
    }
    jbi_sub_pass(sub, &to, &books);
    sub->n_shown = 0;
    return 0;
}

const struct jbi_reading jbi_reading_conflate = {peek, advance};
