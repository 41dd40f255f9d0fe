/*
 * router: which handler a method and a path mean, and what to say when there is none.
 *
 * Invariant: the table in router.c is the only list of the host's own paths, a program's own come
 * after it; docs/openapi.yaml is held to it by a test, and a handler may answer only with the
 * statuses its entry names.
 */
#ifndef JBI_HOST_ROUTER_H
#define JBI_HOST_ROUTER_H

#include "host/http/answer.h"
#include "host/http/fields.h"
#include "host/http/scope.h"

#include <stddef.h>

struct jb_host;
struct jbi_conn;
struct jbi_service;
struct jbi_route;
struct jbi_who;

/* A request, whichever version of HTTP it came by. All is borrowed for the time of the call. */
typedef struct jbi_call {
    struct jb_host *host;
    struct jbi_conn *conn; /* what it came by */
    const jbi_fields *fields;
    const struct jbi_who *who;     /* who asks, for the handler; see access/gate.h */
    const struct jbi_route *route; /* the entry it found, for the handler */
    const char *path;
    size_t path_bytes;
    const char *query; /* what follows the `?`, as sent */
    size_t query_bytes;
    const char *body;
    size_t body_bytes;
    bool is_head;    /* nothing may be taken: only the header is sent */
    bool can_switch; /* HTTP/1.1: the answer may have a `next`; else it must not */
} jbi_call;

typedef void (*jbi_handler)(struct jbi_service *service, const jbi_call *call, jbi_answer *answer);

typedef struct jbi_route {
    const char *method; /* "GET", "POST"; HEAD and OPTIONS follow from them */
    const char *path;
    uint32_t scope;       /* enum jbi_scope that a caller must have */
    const char *statuses; /* "200 400" */
    jbi_handler handler;  /* NULL: answered by the router */
} jbi_route;

/* Entry idx of the table, NULL past the end. */
const jbi_route *jbi_router_at(uint32_t idx);

/* The same with what was added, see added/; and how long its handler took. */
const jbi_route *jbi_router_served(struct jb_host *host, uint32_t idx);
struct jbi_histogram *jbi_router_times(struct jb_host *host, const jbi_route *route);

/* The entry for a request, or NULL with a 404, 405 or 204 put into answer. */
const jbi_route *jbi_router_find(const char *method, const jbi_call *call, jbi_answer *answer);

/* Whether a request whose body is still to come may send it. If not, the answer is made: nobody
 * unknown fills our memory with bodies. */
bool jbi_router_awaits(const char *method, const jbi_call *call, jbi_answer *answer);

/* Answer a request: find its handler and, if the gate lets it in, call it; or say why not. */
void jbi_router_answer(const char *method, const jbi_call *call, jbi_answer *answer);

#endif
