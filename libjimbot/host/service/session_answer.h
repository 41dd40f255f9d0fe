/*
 * session_answer: SessionResponses, in protobuf or in JSON.
 *
 * Invariant: each call of the first group appends one whole SessionResponse; a delivery is begun,
 * gets its events, and is ended.
 */
#ifndef JBI_HOST_SESSION_ANSWER_H
#define JBI_HOST_SESSION_ANSWER_H

#include "host/text/htext.h"
#include "host/text/slice.h"
#include "jimbot/event.h"

struct jbi_service;

/* Where a response goes. */
typedef struct jbi_answerer {
    struct jbi_service *service;
    jbi_htext *out;
    uint64_t request_id;
    bool is_json;
} jbi_answerer;

/* Codes of gRPC, for faults. */
enum jbi_fault {
    JBI_FAULT_INVALID_ARGUMENT = 3,
    JBI_FAULT_NOT_FOUND = 5,
    JBI_FAULT_ALREADY_EXISTS = 6,
    JBI_FAULT_RESOURCE_EXHAUSTED = 8,
    JBI_FAULT_INTERNAL = 13
};

void jbi_answer_subscribed(const jbi_answerer *a, uint32_t subscription_id, uint64_t next_sequence);

/* reason: NULL when the client asked for it. */
void jbi_answer_unsubscribed(const jbi_answerer *a, uint32_t subscription_id, const char *reason);

/* What became of the events of the service's publish. */
void jbi_answer_published(const jbi_answerer *a);

void jbi_answer_pong(const jbi_answerer *a, jbi_slice payload, uint64_t time_utc_ns);

/* subscription_id: NULL when it concerns none. */
void jbi_answer_fault(const jbi_answerer *a, uint32_t code, const char *message,
                      const uint32_t *subscription_id);

/* Begin a delivery; returns what jbi_answer_delivery_end() wants. */
size_t jbi_answer_delivery(const jbi_answerer *a, uint32_t subscription_id);
void jbi_answer_delivery_add(const jbi_answerer *a, const jb_event *e, uint32_t dialect,
                             bool is_first);
void jbi_answer_delivery_end(const jbi_answerer *a, size_t mark);

#endif
