/*
 * scan.h: what all ways of reading share: the verdict on a topic, an event out of a record, and the
 * books of a subscription.
 *
 * Invariant: every event between two places of a cursor is counted once, as delivered, filtered,
 * conflated or missed.
 */
#ifndef JBI_BUS_SCAN_H
#define JBI_BUS_SCAN_H

#include "bus/bus_internal.h"

/* A way of reading: how a subscription with that policy shows events and takes them. */
struct jbi_reading {
    /* As jb_sub_peek(), n_max at most JBI_SUB_BATCH. The number shown is left in sub->n_shown. */
    int (*peek)(jb_sub *sub, jb_event *events, uint32_t n_max);
    /* As jb_sub_advance_n(), n at most sub->n_shown and at least 1. */
    int (*advance)(jb_sub *sub, uint32_t n);
};

extern const struct jbi_reading jbi_reading_lossless;
extern const struct jbi_reading jbi_reading_latest;
extern const struct jbi_reading jbi_reading_conflate;
extern const struct jbi_reading jbi_reading_ahead;

/* What the last two need besides; false when there is no memory for it. Free takes what was never
 * made. */
bool jbi_conflation_create(jb_sub *sub);
void jbi_conflation_free(jb_sub *sub);
bool jbi_ahead_create(jb_sub *sub);
void jbi_ahead_free(jb_sub *sub);

/* A subscription that reads ahead has its place now. */
void jbi_ahead_start(jb_sub *sub);

/* A subscription that reads ahead is about to want more topics than it did. */
void jbi_ahead_widen(jb_sub *sub);

/* Ask the patterns about a topic that is new to the subscription. */
enum jbi_verdict jbi_sub_decide(jb_sub *sub, uint32_t topic_id);

/* Is there something to show? As jb_sub_peek(), and nothing stays shown. */
int jbi_sub_look(jb_sub *sub);

/* What became of the events up to a place. */
struct jbi_books {
    uint64_t n_delivered;
    uint64_t n_missed;
    uint64_t n_conflated;
    uint64_t n_ahead; /* delivered before, ahead of the cursor, and counted then */
};

/* Take everything up to `to`; what is in none of the books was filtered. */
void jbi_sub_pass(jb_sub *sub, const struct jbi_cursor *to, const struct jbi_books *books);

static inline void jbi_sub_move(jb_sub *sub, const struct jbi_cursor *to, uint64_t n_delivered,
                                uint64_t n_missed)
{
    jbi_sub_pass(sub, to, &(struct jbi_books){.n_delivered = n_delivered, .n_missed = n_missed});
}

static inline bool jbi_sub_wants(jb_sub *sub, uint32_t topic_id)
{
    uint8_t verdict;

    if (topic_id > sub->bus->max_topics)
        return false;
    verdict = sub->filter.verdicts[topic_id];
    if (verdict == JBI_VERDICT_UNKNOWN)
        verdict = (uint8_t)jbi_sub_decide(sub, topic_id);
    return verdict == JBI_VERDICT_PASS;
}

static inline void jbi_event_fill(jb_event *event, const struct jbi_record *record,
                                  const uint8_t *payload, uint64_t sequence, uint64_t n_missed)
{
    event->sequence = sequence;
    event->time_ns = record->time_ns;
    event->source_time = record->source_time;
    event->payload = payload;
    event->n_missed = n_missed;
    event->len_bytes = record->len_bytes;
    event->topic_id = record->topic_id;
    event->publisher = record->publisher;
    event->type = record->type;
    event->priority = record->bits & 3;
    event->flags = record->bits >> 2;
    event->key = record->key;
    event->n_deliveries = 0;
}

#endif
