/*
 * service: what the paths do, without a socket: events in, commands in and out, figures.
 *
 * Invariant: a handler answers 200 to events only after each of them lies in the ring; it returns
 * without waiting, whatever the bus does.
 */
#ifndef JBI_HOST_SERVICE_H
#define JBI_HOST_SERVICE_H

#include "host/http/router.h"
#include "host/service/cmdq.h"
#include "host/service/counters.h"
#include "host/service/dedupe.h"
#include "host/service/log.h"
#include "host/service/publish.h"
#include "host/service/resume.h"
#include "jimbot/host.h"

/* An element of a body that was refused. */
typedef struct jbi_reject {
    uint32_t idx;    /* place in the body */
    uint32_t reason; /* enum jbi_reject_reason */
    uint64_t offset;
    char message[232]; /* as in jb_error */
} jbi_reject;

/* Refused elements told one by one in an answer; the others are only counted. */
enum { JBI_SERVICE_REJECTS = 64 };

/* Dialects besides the first. */
enum { JBI_SERVICE_OTHER_ENCODERS = 3 };

typedef struct jbi_service {
    const jb_alloc *alloc;
    const jb_host_opts *opts;
    jb_bus *bus; /* borrowed */
    jb_encoder *encoder;
    jb_encoder
        *other_encoders[JBI_SERVICE_OTHER_ENCODERS]; /* by dialect, made when first asked for */
    jb_sub *commands;                                /* command.>, latest */
    uint64_t n_commands_missed;
    uint32_t overflow_topic;         /* for events without topic room */
    uint32_t command_overflow_topic; /* for commands without */
    jbi_dedupe dedupe;
    jbi_resume resume;
    struct jbi_feed *feeds; /* of all clients, newest first; see feed.h */
    uint32_t n_feeds;
    struct jbi_render *render; /* texts of the last events; NULL until two clients read */
    uint64_t utc_offset_ns;    /* of the bus: add to an event's time */
    jbi_cmdq queue;
    jbi_counters counters;
    jbi_log log;
    jbi_htext text;           /* body of the answer being made */
    jbi_htext unpacked;       /* body of the request being worked on, when it came compressed */
    jbi_publish publish;      /* the request being published */
    uint32_t max_event_bytes; /* what encoder and bus take */
    jbi_reject rejects[JBI_SERVICE_REJECTS];
    uint32_t n_rejects; /* all, also those not in rejects[] */
    uint64_t start_ns;
    bool is_draining;
    bool is_bus_broken; /* commands can no longer be read from it */
} jbi_service;

int jbi_service_init(jbi_service *s, const jb_host_opts *opts, jb_bus *bus, const jb_alloc *alloc,
                     jb_error *err);
void jbi_service_fini(jbi_service *s);

/* Close what it has on the bus, which may be gone when the rest is freed; nothing is served then.
 */
void jbi_service_leave_bus(jbi_service *s);

/* Move commands from the bus into the queue; called by a timer and by each poll. */
void jbi_service_drain_commands(jbi_service *s);

/* The encoder that reads a dialect, NULL when there is no memory or no such dialect. */
jb_encoder *jbi_service_encoder(jbi_service *s, uint32_t dialect);

/* The enum jb_event_type of a name like "MONEY_CHANGED" or "EVENT_TYPE_MONEY_CHANGED"; 0 when it
 * is none. */
uint32_t jbi_service_type(jbi_slice name);

void jbi_service_log(jbi_service *s, uint32_t level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Handlers, one for each path of the router. */
void jbi_service_events(jbi_service *s, const jbi_call *call, jbi_answer *answer);
void jbi_service_health(jbi_service *s, const jbi_call *call, jbi_answer *answer);
void jbi_service_ready(jbi_service *s, const jbi_call *call, jbi_answer *answer);
void jbi_service_command(jbi_service *s, const jbi_call *call, jbi_answer *answer);
void jbi_service_poll(jbi_service *s, const jbi_call *call, jbi_answer *answer);
void jbi_service_stats(jbi_service *s, const jbi_call *call, jbi_answer *answer);
void jbi_service_metrics(jbi_service *s, const jbi_call *call, jbi_answer *answer);
void jbi_service_topics(jbi_service *s, const jbi_call *call, jbi_answer *answer);
void jbi_service_subscriptions(jbi_service *s, const jbi_call *call, jbi_answer *answer);
void jbi_service_publish(jbi_service *s, const jbi_call *call, jbi_answer *answer);

/* The member "subscriptions" of an object that has others: all of the bus, whoever has them. */
void jbi_figures_subscriptions(jbi_service *s, jbi_htext *out);

#endif
