/*
 * publish: from events that were read to the ring, and what became of each. Shared by the bodies of
 * REST (ingest.c), by sessions and by the calls of gRPC.
 *
 * The events of one request are added one by one, then published in their order:
 *
 *     jbi_publish_begin(s, who);
 *     problem = jbi_publish_add_request(s, message, 1, &is_all_or_none); // or _add_…(), or both
 *     jbi_publish_run(s, flags, &sum);
 *     jbi_publish_write(s, 1, out); // PublishResponse.results
 *
 * Invariant: an outcome says ACCEPTED only after the event lies in the ring; an event_id that is in
 * the window is not published again; nothing waits. What was added is borrowed until the run.
 */
#ifndef JBI_HOST_PUBLISH_H
#define JBI_HOST_PUBLISH_H

#include "host/http/fields.h"
#include "host/service/dedupe.h"
#include "host/service/messages.h"

struct jbi_service;
struct jbi_who;

/* The numbers of jimbot.v1.PublishOutcome. */
enum jbi_outcome {
    JBI_OUTCOME_ACCEPTED = 1,
    JBI_OUTCOME_DUPLICATE = 2,
    JBI_OUTCOME_FULL = 3,
    JBI_OUTCOME_OVER_BUDGET = 4,
    JBI_OUTCOME_TOO_BIG = 5,
    JBI_OUTCOME_INVALID = 6,
    JBI_OUTCOME_NOT_TRIED = 7,
    JBI_OUTCOME_N = 8
};

enum jbi_publish_flags {
    JBI_PUBLISH_ALL_OR_NONE = 1,   /* nothing, when there is not room for all that are events */
    JBI_PUBLISH_STOP_WHEN_FULL = 2 /* of those after the first without room nothing is tried, and
                                      no outcome is told: sum.n_done says how many have one */
};

/* What became of a request. */
typedef struct jbi_publish_sum {
    uint32_t n[JBI_OUTCOME_N]; /* events by outcome */
    uint32_t n_done;           /* from the first: those with an outcome */
} jbi_publish_sum;

/* What is to be published, and what became of it. */
typedef struct jbi_pending {
    jb_encoded event;
    jbi_dedupe_entry id; /* its event_id; none if that does not tell it from others */
    uint32_t idx;        /* place in the body */
    uint32_t key;        /* jb_event_head.key */
    uint32_t note;       /* what is wrong, a text in `notes`; 0 nothing */
    uint8_t outcome;
    bool is_copied; /* event.data is none until the run: it lies in `copies` */
    size_t copy_at; /* where */
} jbi_pending;

/* The field Event.traceparent as it lies in an event: tag, length, 55 characters. */
typedef struct jbi_trace {
    uint8_t field[57];
    bool is_there;
} jbi_trace;

typedef struct jbi_publish {
    jbi_pending *events;
    uint32_t n;
    uint32_t cap;
    jbi_htext notes;  /* each with its NUL; begins with one byte that is none */
    jbi_htext copies; /* of events an encoder made */
    bool may_command; /* who publishes may send commands */
    jbi_trace trace;  /* of the request */
} jbi_publish;

void jbi_publish_init(jbi_publish *p, const jb_alloc *alloc);
void jbi_publish_fini(jbi_publish *p);

/* Forget the request before. What is added is published in the name of `who`: without the scope for
 * commands nothing reaches a topic of commands. */
void jbi_publish_begin(struct jbi_service *s, const struct jbi_who *who);

/* What is published one by one is in the span that the request's `traceparent` names, unless the
 * event says another one itself. A field that is no trace context of version 00 is ignored. */
void jbi_publish_trace(struct jbi_service *s, const jbi_fields *fields);

/* Add an event that was read and outlives the run. Returns 0 or JB_ENOMEM. */
int jbi_publish_add(struct jbi_service *s, const jb_encoded *event, uint32_t idx);

/* Add the fields of an OutgoingEvent; what is wrong with it becomes its outcome. Returns 0, or
 * JB_ENOMEM, or JB_ELIMIT: more than max_batch_events. */
int jbi_publish_add_outgoing(struct jbi_service *s, const jbi_msg_outgoing *event);

/* The same with an event in JSON. */
int jbi_publish_add_json(struct jbi_service *s, uint32_t dialect, const jbi_msg_outgoing *event);

/* Add a place for what is published by other means, before it is; then give it the outcome that the
 * bus said (1: it was there), which returns 0 or what is wrong with the bus. */
int jbi_publish_reserve(struct jbi_service *s);
int jbi_publish_settle(struct jbi_service *s, int rc);

/* Add all events of a PublishRequest, PublishStreamRequest or PublishManyRequest, whose field of
 * events has that number, from the one at from_idx on. Sets, when it is 1, whether it is
 * all_or_none. Returns NULL, or what is wrong with the message as a whole: nothing may be run. */
const char *jbi_publish_add_request(struct jbi_service *s, jbi_slice message,
                                    uint32_t events_number, uint32_t from_idx,
                                    bool *ret_all_or_none);

/* Publish what was added. Returns 0, or what is wrong with the bus: JB_ECORRUPT …; then nothing of
 * it lies in the ring. */
int jbi_publish_run(struct jbi_service *s, uint32_t flags, jbi_publish_sum *ret_sum);

/* Append a PublishResult with that field number for each event that has an outcome. */
void jbi_publish_write(const struct jbi_service *s, uint32_t number, jbi_htext *out);

/* The same as elements of a JSON array, without its brackets. */
void jbi_publish_write_json(const struct jbi_service *s, jbi_htext *out);

/* What is wrong with an event that has an outcome, "" when nothing is. */
const char *jbi_publish_note(const struct jbi_service *s, const jbi_pending *event);

/* Publish one event at once, if it is not a duplicate (jbi_publish_is_known()). Returns as
 * jb_bus_publish(); JB_EINVAL when its topic is none, JB_EPERM when it is one of commands and the
 * scope for those is missing, which the sentence says. */
int jbi_publish_one(struct jbi_service *s, const jbi_pending *e);
extern const char *const jbi_publish_no_command;

/* Whether that is so. */
bool jbi_publish_is_barred(const struct jbi_service *s, const jb_encoded *event);

/* Whether it was published before, by its event_id. */
bool jbi_publish_is_known(const struct jbi_service *s, const jbi_pending *e);

/* Whether there is room for all that is new among what was added. */
bool jbi_publish_has_room(struct jbi_service *s);

#endif
