/*
 * coord_service: a coordinator behind a host: what each call of the contract does, who waits, who
 * watches, and what is told of it.
 *
 * Every call comes as a message of protobuf, whichever way it was sent, and is answered with one:
 * leases.c, watches.c, rates.c and status.c read and write the contract, coord_service.c knows how
 * it is sent.
 *
 * Invariant: a call that waits has a ticket, and a ticket has a call that waits; a lease that no
 * client was told of is given back at once.
 */
#ifndef JBI_HOST_COORD_SERVICE_H
#define JBI_HOST_COORD_SERVICE_H

#include "host/coord/shape.h"
#include "host/coord/slots.h"
#include "host/coord/uses.h"
#include "host/coord/waiters.h"
#include "host/service/histogram.h"
#include "jimbot/coordinator.h"
#include "jimbot/usage.h"

#include <stdio.h>
#include <uv.h>

enum {
    JBI_COORD_OPS = 16,                 /* at least as many as there are */
    JBI_COORD_KINDS = 10,               /* of records, from 1 on */
    JBI_COORD_MEMORY = JBI_COORD_KINDS, /* what else is told: a state of memory, from here on */
    JBI_COORD_TOPICS = JBI_COORD_MEMORY + 3, /* of a bus */
    JBI_COORD_DENIED = 4,                    /* reasons for denials, from 1 on */
    JBI_COORD_ENDS = 5
};

typedef struct jbi_coord_watch {
    struct jbi_coord_watch *next;
    struct jbi_coord_watch *prev;
    jb_coord_service *service;
    jb_call *call;
    jb_lease lease;
    uint64_t warn_ns;
    uint32_t told; /* enum jb_lease_end that was announced, 0 none */
    uint32_t end;  /* how it ended, as a record said; 0: it goes on, as far as is known */
    bool is_kept;
} jbi_coord_watch;

typedef struct jbi_coord_stream {
    struct jbi_coord_stream *next;
    struct jbi_coord_stream *prev;
    jb_coord_service *service;
    jb_call *call;
    uint64_t every_ns;
    uint64_t due_ns;
    uint32_t kind;
    char resource[JB_QUOTA_NAME_BYTES];
} jbi_coord_stream;

/* Of one resource, since the service began. */
typedef struct jbi_coord_figures {
    jbi_histogram waits; /* of those that were granted */
    jbi_histogram holds; /* of leases that ended */
    uint64_t n_granted;
    uint64_t n_denied[JBI_COORD_DENIED];
    uint64_t n_ended[JBI_COORD_ENDS];
} jbi_coord_figures;

struct jb_coord_service {
    const jb_alloc *alloc; /* points to alloc_copy */
    jb_alloc alloc_copy;
    jb_coord *coord;
    jb_host *host;
    jb_coord_service_opts opts;
    jb_service_entry entries[2 * JBI_COORD_OPS];
    const struct jbi_coord_op *entry_ops[2 * JBI_COORD_OPS]; /* of each entry */
    uint32_t n_entries;
    jbi_coord_waiter *waiters; /* for leases */
    jbi_coord_watch *watches;
    jbi_coord_stream *streams;
    jbi_coord_waiter *takers;          /* of rates */
    jbi_htext request;                 /* made of JSON */
    jbi_htext out;                     /* the answer being made */
    jbi_htext json;                    /* its other form; a record as JSON */
    jbi_htext notice;                  /* a record as an event */
    uint32_t topics[JBI_COORD_TOPICS]; /* of the bus; 0 none */
    uint64_t n_unpublished;            /* records that the bus did not take */
    jbi_coord_figures figures[JB_QUOTA_RESOURCES_MAX];
    jbi_slots slots; /* from the first question for a token on */
    uint64_t record; /* cursor */
    uint64_t n_lost; /* records that were overwritten before they were read */
    uint64_t due_ns; /* when the host will call on_tick() */
    uint64_t begun_ns;
    FILE *audit;
    uint64_t n_unwritten;   /* times that the log could not be written */
    uint64_t utc_offset_ns; /* add to the coordinator's time */
    uint64_t booked_ns;     /* when its sums were last in the log */
    bool is_booked;         /* nothing has happened since */
    uv_mutex_t told_lock;
    bool has_told_lock;
    jbi_coord_uses told;                   /* under the lock */
    jbi_coord_uses uses;                   /* the host's thread's */
    bool is_looking;                       /* there is something to be observed */
    uint32_t n_memories;                   /* resources of that kind */
    char memory_name[JB_QUOTA_NAME_BYTES]; /* of the only one, or "" */
    char problem[160];
};

typedef struct jbi_coord_op {
    const char *name;   /* of the contract's call */
    const char *method; /* of HTTP; NULL: only over gRPC */
    const char *path;
    uint32_t flags; /* enum jb_service_flag */
    const jbi_shape *in;
    const jbi_shape *out;

    /* Answer, or keep the call. */
    void (*run)(jb_coord_service *s, const struct jbi_coord_op *op, jb_call *call,
                jbi_slice request);
} jbi_coord_op;

/* Answer with the message in s->out; or say why not: by a code of the coordinator, or in words. */
void jbi_coord_reply(jb_coord_service *s, const jbi_coord_op *op, jb_call *call);
void jbi_coord_refuse(jb_coord_service *s, jb_call *call, int rc);
void jbi_coord_reject(jb_coord_service *s, jb_call *call, uint32_t code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Whether the host ends and the coordinator may go on. */
bool jbi_coord_is_stopping(const jb_coord_service *s);

/* Something is due in so many nanoseconds. */
void jbi_coord_due_in(jb_coord_service *s, uint64_t ns);

/* The name of a resource or component; "" when there is none. */
const char *jbi_coord_resource_name(jb_coord_service *s, uint32_t idx,
                                    char room[JB_QUOTA_NAME_BYTES]);
const char *jbi_coord_component_name(jb_coord_service *s, uint32_t idx,
                                     char room[JB_QUOTA_NAME_BYTES]);

/* leases.c */
void jbi_coord_request(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m);
void jbi_coord_renew(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m);
void jbi_coord_shrink(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m);
void jbi_coord_release(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m);
/* Answer those whose turn it is. */
void jbi_coord_serve_waiters(jb_coord_service *s);

/* What a request has in fields 1 (amounts), 2 (component) and `number` (amounts alone). NULL, or
 * what is wrong, with enum jb_call_code. */
const char *jbi_coord_read_wish(jb_coord_service *s, jbi_slice m, jbi_coord_grant *ret,
                                uint32_t *ret_code);
const char *jbi_coord_read_amounts(jb_coord_service *s, jbi_slice m, uint32_t number,
                                   jbi_coord_grant *ret, uint32_t *ret_code);
int jbi_coord_find_resource(jb_coord_service *s, jbi_slice name);
/* The class in a field; NULL, or what is wrong. */
const char *jbi_coord_read_class(jbi_slice m, uint32_t number, jbi_coord_grant *ret);

/* The lease that a request names by fields 1 and 2; false: it names none. */
bool jbi_coord_read_lease(jbi_slice m, jb_lease *ret);
/* Append a Lease. */
void jbi_coord_put_lease(jb_coord_service *s, uint32_t number, const jb_lease *lease,
                         const jbi_coord_grant *grant);

/* watches.c */
void jbi_coord_watch_lease(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m);
/* Tell what there is to tell. Returns nanoseconds until there may be more. */
uint64_t jbi_coord_tell_watches(jb_coord_service *s);
/* A lease has ended, says a record. */
void jbi_coord_note_end(jb_coord_service *s, uint64_t token, uint32_t end);

/* status.c */
void jbi_coord_status(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m);
void jbi_coord_stream_status(jb_coord_service *s, const jbi_coord_op *op, jb_call *call,
                             jbi_slice m);
void jbi_coord_list(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m);
void jbi_coord_check(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m);
void jbi_coord_health(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m);
uint64_t jbi_coord_feed_streams(jb_coord_service *s);

/* rates.c */
void jbi_coord_reserve(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m);
void jbi_coord_commit(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m);
void jbi_coord_correct(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m);
/* Answer those whose turn it is. Returns nanoseconds until to ask again, should nothing happen. */
uint64_t jbi_coord_serve_takers(jb_coord_service *s);
/* Append the RateStates of a resource. */
void jbi_coord_put_limits(jb_coord_service *s, uint32_t number, uint32_t resource);

/* coord_metrics.c */
void jbi_coord_metrics(jb_page *page, void *userdata);

/* records.c: read what happened, count it, and append it to the audit log. */
int jbi_coord_open_records(jb_coord_service *s, jb_error *err);
/* Whether there may be more. */
bool jbi_coord_read_records(jb_coord_service *s);
void jbi_coord_close_records(jb_coord_service *s);
/* s->json into the log and onto the bus. `topic`: the kind of a record, or JBI_COORD_MEMORY + its
 * state. */
void jbi_coord_tell_line(jb_coord_service *s, uint32_t topic);

/* notices.c: the same on a bus. */
int jbi_coord_open_notices(jb_coord_service *s, jb_error *err);
void jbi_coord_publish(jb_coord_service *s, uint32_t topic, const jbi_htext *json);

#endif
