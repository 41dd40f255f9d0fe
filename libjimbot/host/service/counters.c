/*
 * counters: names and sums, see counters.h.
 */
#include "host/service/counters.h"

void jbi_counters_publish(jbi_counters *c, uint32_t topic_id)
{
    uint16_t *slot;

    if (topic_id >= c->n_topic_slots) {
        c->n_published[0]++;
        return;
    }
    slot = &c->topic_slots[topic_id];
    if (*slot == 0 && c->n_topics < JBI_COUNTERS_TOPICS) {
        *slot = (uint16_t)++c->n_topics;
        c->topic_ids[*slot] = topic_id;
    }
    c->n_published[*slot]++;
}

uint64_t jbi_counters_published(const jbi_counters *c)
{
    uint64_t sum = 0;

    for (int i = 0; i <= JBI_COUNTERS_TOPICS; i++)
        sum += c->n_published[i];
    return sum;
}

uint64_t jbi_counters_refused(const jbi_counters *c)
{
    uint64_t sum = 0;

    for (int i = 0; i < JBI_REFUSED_N; i++)
        sum += c->n_refused[i];
    return sum;
}

const char *jbi_counters_reason(unsigned reason)
{
    static const char *const names[JBI_REJECT_N] = {"parse",    "event",    "too_big",
                                                    "bus_full", "too_many", "internal"};

    return names[reason];
}

const char *jbi_counters_grpc_code(uint32_t code)
{
    static const char *const names[JBI_COUNTERS_GRPC_CODES] = {"OK",
                                                               "CANCELLED",
                                                               "UNKNOWN",
                                                               "INVALID_ARGUMENT",
                                                               "DEADLINE_EXCEEDED",
                                                               "NOT_FOUND",
                                                               "ALREADY_EXISTS",
                                                               "PERMISSION_DENIED",
                                                               "RESOURCE_EXHAUSTED",
                                                               "FAILED_PRECONDITION",
                                                               "ABORTED",
                                                               "OUT_OF_RANGE",
                                                               "UNIMPLEMENTED",
                                                               "INTERNAL",
                                                               "UNAVAILABLE",
                                                               "DATA_LOSS",
                                                               "UNAUTHENTICATED"};

    return code < JBI_COUNTERS_GRPC_CODES ? names[code] : "UNKNOWN";
}
