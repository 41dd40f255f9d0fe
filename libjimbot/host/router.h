/*
 * router: which handler a method and a path mean, and what to say when there is none.
 *
 * Invariant: the table in router.c is the only list of paths; docs/openapi.yaml is held to it by a
 * test, and a handler may answer only with the statuses its entry names.
 */
#ifndef JBI_HOST_ROUTER_H
#define JBI_HOST_ROUTER_H

#include "host/answer.h"

#include <stddef.h>

struct jbi_service;

/* What a handler is told. */
typedef struct jbi_call {
    const char *body;
    size_t body_bytes;
    bool is_head; /* nothing may be taken: only the header is sent */
} jbi_call;

typedef void (*jbi_handler)(struct jbi_service *service, const jbi_call *call, jbi_answer *answer);

typedef struct jbi_route {
    const char *method; /* "GET", "POST"; HEAD and OPTIONS follow from them */
    const char *path;
    const char *statuses; /* "200 400" */
    jbi_handler handler;  /* NULL: answered by the router */
} jbi_route;

/* Entry idx of the table, NULL past the end. */
const jbi_route *jbi_router_at(uint32_t idx);

/* The entry for a request, or NULL with a 404, 405 or 204 put into answer. `method` is an
 * llhttp_method_t. */
const jbi_route *jbi_router_find(unsigned method, const char *path, size_t path_bytes,
                                 jbi_answer *answer);

#endif
