/*
 * batch: the events that are with the server, or next to go there.
 *
 * A batch is copied out of the outbox, sent, and kept until each event of it is settled: accepted,
 * a duplicate or refused. Only then is the next one loaded, which is what keeps the order. What is
 * not settled goes out again, on the next connection too.
 *
 * Invariant: entries are in the order of publishing; those not settled stay.
 */
#ifndef JBI_CLIENT_BATCH_H
#define JBI_CLIENT_BATCH_H

#include "client/pipe.h"
#include "host/text/htext.h"
#include "host/text/slice.h"
#include "jimbot/event.h"

enum { JBI_BATCH_EVENTS = 256, JBI_BATCH_BYTES = 256 * 1024 };

/* What stands before an event in the outbox; its topic and its bytes follow. */
typedef struct jbi_batch_head {
    uint32_t event_bytes;
    uint32_t key;
    uint8_t topic_bytes; /* 0: that of its type */
    uint8_t is_command;
    uint16_t _reserved;
} jbi_batch_head;

/* Numbers of jimbot.v1.PublishOutcome. */
enum jbi_outcome {
    JBI_OUTCOME_ACCEPTED = 1,
    JBI_OUTCOME_DUPLICATE = 2,
    JBI_OUTCOME_FULL = 3,
    JBI_OUTCOME_OVER_BUDGET = 4,
    JBI_OUTCOME_TOO_BIG = 5,
    JBI_OUTCOME_INVALID = 6,
    JBI_OUTCOME_NOT_TRIED = 7
};

typedef struct jbi_batch_entry {
    uint32_t at; /* in bytes */
    uint32_t event_bytes;
    uint32_t key;
    uint8_t topic_bytes;
    bool is_settled;
} jbi_batch_entry;

typedef struct jbi_batch {
    jbi_htext bytes; /* topic and event of each entry */
    jbi_batch_entry entries[JBI_BATCH_EVENTS];
    uint32_t n;
    uint32_t n_sent; /* first of them that are in a request without an answer */
    uint64_t request_id;
    bool is_command; /* it has one entry, a command */
    bool is_singly;  /* the server refused the whole of it: one at a time */
} jbi_batch;

void jbi_batch_init(jbi_batch *b, const jb_alloc *alloc);
void jbi_batch_fini(jbi_batch *b);

/* Copy what is next out of the outbox into an empty batch, at most n_max. False: no memory, and
 * nothing was taken. */
bool jbi_batch_load(jbi_batch *b, jbi_pipe *outbox, uint32_t n_max);

jbi_slice jbi_batch_event(const jbi_batch *b, uint32_t i);
jbi_slice jbi_batch_topic(const jbi_batch *b, uint32_t i);

/* Forget the settled ones. */
void jbi_batch_compact(jbi_batch *b);

#endif
