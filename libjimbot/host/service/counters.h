/*
 * counters: what the host counts about itself, read by /metrics and /api/v1/stats.
 *
 * Invariant: all only grow, except the gauges at the end; n_published[] summed is exactly the
 * number of distinct events that came in as events and lie in the ring.
 */
#ifndef JBI_HOST_COUNTERS_H
#define JBI_HOST_COUNTERS_H

#include "host/http/scope.h"

#include "host/service/histogram.h"

#include <stddef.h>
#include <stdint.h>

/* Topics beyond this many, in the order they first came, are counted together as "other": a client
 * that invents topics must not grow the metrics page without bound. */
enum { JBI_COUNTERS_TOPICS = 512, JBI_COUNTERS_GRPC_CODES = 17 };

/* Entries of the route table that are timed. */
enum { JBI_COUNTERS_ROUTES = 64 };

enum jbi_reject_reason {
    JBI_REJECT_PARSE = 0,    /* the body was not JSON */
    JBI_REJECT_EVENT = 1,    /* JSON, but not an event */
    JBI_REJECT_TOO_BIG = 2,  /* larger than the bus takes */
    JBI_REJECT_BUS_FULL = 3, /* refused with 503, the client is to come again */
    JBI_REJECT_TOO_MANY = 4, /* a body of more events than allowed */
    JBI_REJECT_INTERNAL = 5, /* the bus or memory failed */
    JBI_REJECT_N = 6
};

enum jbi_tls_error {
    JBI_TLS_ERROR_HANDSHAKE = 0,  /* no protocol, cipher or certificate in common */
    JBI_TLS_ERROR_PLAIN_HTTP = 1, /* HTTP without TLS */
    JBI_TLS_ERROR_SESSION = 2,    /* afterwards */
    JBI_TLS_ERROR_N = 3
};

enum jbi_refused {
    JBI_REFUSED_ALL = 0,    /* max_connections were open */
    JBI_REFUSED_CLIENT = 1, /* max_client_connections of this one */
    JBI_REFUSED_FILES = 2,  /* the process has hardly any descriptors left */
    JBI_REFUSED_N = 3
};

typedef struct jbi_counters {
    jbi_histogram
        requests[JBI_COUNTERS_ROUTES]; /* inside the handler, by entry of the route table */
    jbi_histogram turns;               /* turns of the loop, waiting left out */
    uint64_t n_published[JBI_COUNTERS_TOPICS + 1]; /* by slot; [0] is "other" */
    uint32_t topic_ids[JBI_COUNTERS_TOPICS + 1];   /* of each slot */
    uint16_t *topic_slots;                         /* of each topic id; 0 has none yet */
    uint32_t n_topic_slots;                        /* room in topic_slots: max_topics + 1 */
    uint32_t n_topics;                             /* slots in use */
    uint64_t n_duplicates;
    uint64_t n_rejected[JBI_REJECT_N];
    uint64_t n_repairs;                /* lenient repairs in published events */
    uint64_t n_overflow;               /* published on custom.overflow for want of topic room */
    uint64_t n_commands;               /* accepted by POST */
    uint64_t n_answers[600];           /* by status */
    uint64_t n_ws_in;                  /* messages of WebSockets received */
    uint64_t n_ws_out;                 /* and sent */
    uint64_t n_connections;            /* accepted, ever */
    uint64_t n_refused[JBI_REFUSED_N]; /* closed at once, by reason */
    uint64_t n_tried;                  /* events that came in, whatever became of them */
    uint64_t n_grpc[JBI_COUNTERS_GRPC_CODES]; /* calls ended, by status code */
    uint64_t n_timeouts;
    uint64_t n_access_refused[JBI_GATE_VERDICTS]; /* by verdict */
    uint64_t n_handshakes;                        /* of TLS, that succeeded */
    uint64_t n_tls_errors[JBI_TLS_ERROR_N];
    uint64_t n_in_bytes;
    uint64_t n_out_bytes;
    uint32_t n_open;   /* gauge: connections open now */
    size_t n_buffered; /* gauge: bytes of bodies being received */
} jbi_counters;

/* Count one event published on a topic. */
void jbi_counters_publish(jbi_counters *c, uint32_t topic_id);

uint64_t jbi_counters_published(const jbi_counters *c);

/* Connections closed at once, for whatever reason. */
uint64_t jbi_counters_refused(const jbi_counters *c);
const char *jbi_counters_reason(unsigned reason);
const char *jbi_counters_grpc_code(uint32_t code);

#endif
