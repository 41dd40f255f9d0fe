/*
 * added: the services that the program gave its host with jb_host_serve(), found by path.
 *
 * Invariant: what the host serves by itself is found first (router.c, methods.c), so nothing added
 * can take its place; the tables are complete before the first request and do not move.
 */
#ifndef JBI_HOST_ADDED_H
#define JBI_HOST_ADDED_H

#include "host/http/router.h"
#include "host/service/alarm.h"
#include "host/service/histogram.h"
#include "host/text/htext.h"
#include "jimbot/service.h"

enum { JBI_ADDED_MAX = 4 };

/* A path of HTTP; the route comes first, so that the router can go back from it. */
typedef struct jbi_added_route {
    jbi_route route;
    const jb_service_entry *entry;
    const jb_service *service;
    jbi_histogram times; /* inside the handler */
} jbi_added_route;

typedef struct jbi_added_service {
    jb_service service;
    jbi_added_route *routes;
    uint32_t n_routes;                /* with those of HEAD and OPTIONS */
    uint32_t room;                    /* in routes */
    struct jbi_added_method *methods; /* of gRPC, see grpc_calls.h */
    uint32_t n_methods;
} jbi_added_service;

typedef struct jbi_added {
    jbi_added_service services[JBI_ADDED_MAX];
    uint32_t n;
    jbi_alarm *alarm; /* for `tick` */
    jbi_htext text;   /* body of an answer that is given later */
    bool has_woken;   /* some connection has something to say */
} jbi_added;

void jbi_added_init(jbi_added *a, const jb_alloc *alloc);
void jbi_added_fini(jbi_added *a, const jb_alloc *alloc);

/* Route idx of all that were added, NULL past the end. */
jbi_added_route *jbi_added_route_at(jbi_added *a, uint32_t idx);

/* Call every `tick`, and again when they say. */
void jbi_added_tick(struct jb_host *host);

/* No `tick` any more. */
void jbi_added_stop(struct jb_host *host);

/* A connection has something to say that was given from anywhere, perhaps inside the handler of
 * another one, whose answer is half made: it is said before the loop waits again. */
void jbi_added_wake(struct jbi_conn *c);
void jbi_added_wake_all(struct jb_host *host);

/* What some service says is wrong, or NULL. */
const char *jbi_added_problem(const jbi_added *a);

/* What the services have for the metrics page. */
void jbi_added_metrics(const jbi_added *a, jbi_htext *out);

/* Make the methods of gRPC of a service, and take them away; nothing where there is no HTTP/2. */
int jbi_added_make_methods(jbi_added_service *s, const jb_alloc *alloc);
void jbi_added_free_methods(jbi_added_service *s, const jb_alloc *alloc);

#endif
