/*
 * router: see router.h. A dozen paths: a linear look by length and bytes is faster than any hash.
 */
#include "host/http/router.h"

#include "host/access/gate.h"
#include "host/added/added.h"
#include "host/host.h"
#include "host/sse/sse.h"
#include "host/ws/handshake.h"

#include <assert.h>
#include <string.h>

#define POST_STATUSES  "200 400 413 415 500 503"
#define EVENT_STATUSES "200 400 413 415 422 500 503"

/* clang-format off */
static const jbi_route table[] = {
    {"POST",    "/api/v1/events",        JBI_SCOPE_PUBLISH, EVENT_STATUSES, jbi_service_events},
    {"OPTIONS", "/api/v1/events",        JBI_SCOPE_NONE, "204", NULL},
    {"POST",    "/api/v1/events/batch",  JBI_SCOPE_PUBLISH, EVENT_STATUSES, jbi_service_events},
    {"OPTIONS", "/api/v1/events/batch",  JBI_SCOPE_NONE, "204", NULL},
    {"POST",    "/api/v1/events/health", JBI_SCOPE_NONE, "200 503", jbi_service_ready},
    {"OPTIONS", "/api/v1/events/health", JBI_SCOPE_NONE, "204", NULL},
    {"GET",     "/api/v1/commands/poll", JBI_SCOPE_COMMAND, "200", jbi_service_poll},
    {"HEAD",    "/api/v1/commands/poll", JBI_SCOPE_COMMAND, "200", jbi_service_poll},
    {"OPTIONS", "/api/v1/commands/poll", JBI_SCOPE_NONE, "204", NULL},
    {"POST",    "/api/v1/commands",      JBI_SCOPE_COMMAND, POST_STATUSES, jbi_service_command},
    {"OPTIONS", "/api/v1/commands",      JBI_SCOPE_NONE, "204", NULL},
    {"POST",    "/api/v1/publish",       JBI_SCOPE_PUBLISH, POST_STATUSES, jbi_service_publish},
    {"OPTIONS", "/api/v1/publish",       JBI_SCOPE_NONE, "204", NULL},
    {"GET",     "/api/v1/topics",        JBI_SCOPE_SUBSCRIBE, "200 400", jbi_service_topics},
    {"HEAD",    "/api/v1/topics",        JBI_SCOPE_SUBSCRIBE, "200 400", jbi_service_topics},
    {"OPTIONS", "/api/v1/topics",        JBI_SCOPE_NONE, "204", NULL},
    {"GET",     "/api/v1/subscriptions", JBI_SCOPE_ADMIN, "200", jbi_service_subscriptions},
    {"HEAD",    "/api/v1/subscriptions", JBI_SCOPE_ADMIN, "200", jbi_service_subscriptions},
    {"OPTIONS", "/api/v1/subscriptions", JBI_SCOPE_NONE, "204", NULL},
    {"GET",     "/api/v1/stats",         JBI_SCOPE_ADMIN, "200", jbi_service_stats},
    {"HEAD",    "/api/v1/stats",         JBI_SCOPE_ADMIN, "200", jbi_service_stats},
    {"OPTIONS", "/api/v1/stats",         JBI_SCOPE_NONE, "204", NULL},
    {"GET",     "/api/v1/ws",            JBI_SCOPE_NONE, "101 400 426 503", jbi_ws_handshake},
    {"OPTIONS", "/api/v1/ws",            JBI_SCOPE_NONE, "204", NULL},
    {"GET",     "/api/v1/stream",        JBI_SCOPE_SUBSCRIBE, "200 400 503", jbi_sse_begin},
    {"OPTIONS", "/api/v1/stream",        JBI_SCOPE_NONE, "204", NULL},
    {"GET",     "/health",               JBI_SCOPE_NONE, "200 503", jbi_service_health},
    {"HEAD",    "/health",               JBI_SCOPE_NONE, "200 503", jbi_service_health},
    {"OPTIONS", "/health",               JBI_SCOPE_NONE, "204", NULL},
    {"GET",     "/ready",                JBI_SCOPE_NONE, "200 503", jbi_service_ready},
    {"HEAD",    "/ready",                JBI_SCOPE_NONE, "200 503", jbi_service_ready},
    {"OPTIONS", "/ready",                JBI_SCOPE_NONE, "204", NULL},
    {"GET",     "/metrics",              JBI_SCOPE_ADMIN, "200", jbi_service_metrics},
    {"HEAD",    "/metrics",              JBI_SCOPE_ADMIN, "200", jbi_service_metrics},
    {"OPTIONS", "/metrics",              JBI_SCOPE_NONE, "204", NULL},
};
/* clang-format on */

enum { N_ROUTES = sizeof(table) / sizeof(table[0]) };
static_assert(sizeof(table) / sizeof(table[0]) <= JBI_COUNTERS_ROUTES,
              "each route has its figures");

const jbi_route *jbi_router_at(uint32_t idx)
{
    return idx < N_ROUTES ? &table[idx] : NULL;
}

static bool is_own(const jbi_route *route)
{
    return route >= table && route < table + N_ROUTES;
}

/* Without a bus its paths are none. */
static bool is_hidden(const jb_host *host, const jbi_route *route)
{
    return host && host->opts.no_bus && is_own(route) && !strncmp(route->path, "/api/", 5);
}

const jbi_route *jbi_router_served(jb_host *host, uint32_t idx)
{
    if (idx < N_ROUTES)
        return &table[idx];
    return host ? (const jbi_route *)jbi_added_route_at(&host->added, idx - N_ROUTES) : NULL;
}

jbi_histogram *jbi_router_times(jb_host *host, const jbi_route *route)
{
    if (is_own(route))
        return &host->service.counters.requests[route - table];
    return &((jbi_added_route *)(uintptr_t)route)->times;
}

static bool is_path(const jbi_route *route, const char *path, size_t n)
{
    return !strncmp(route->path, path, n) && !route->path[n];
}

static void add_method(char allow[48], const char *method)
{
    if (allow[0])
        strcat(allow, ", ");
    strcat(allow, method);
}

const jbi_route *jbi_router_find(const char *method, const jbi_call *call, jbi_answer *answer)
{
    const jbi_route *route;

    answer->allow[0] = '\0';
    for (uint32_t i = 0; (route = jbi_router_served(call->host, i)); i++) {
        if (!is_path(route, call->path, call->path_bytes) || is_hidden(call->host, route))
            continue;
        if (route->handler && !strcmp(route->method, method)) {
            answer->allow[0] = '\0';
            return route;
        }
        add_method(answer->allow, route->method);
    }
    if (!strcmp(method, "OPTIONS") && answer->allow[0])
        answer->status = 204;
    else if (answer->allow[0])
        jbi_answer_error(answer, 405, "the path does not know this method, see Allow");
    else
        jbi_answer_error(answer, 404, "there is nothing at this path");
    return NULL;
}

/* The entry that a request may have, or NULL and the answer is made. */
static const jbi_route *admit(const char *method, const jbi_call *call, jbi_who *who,
                              jbi_answer *answer)
{
    enum jbi_verdict v = jbi_gate_origin(call->host, call->conn, call->fields, &answer->origin);
    const jbi_route *route = NULL;

    if (v == JBI_GATE_OPEN)
        route = jbi_router_find(method, call, answer);
    if (route)
        v = jbi_gate_admit(call->host, call->conn, call->fields, route->scope, who);
    if (v == JBI_GATE_OPEN)
        return route;
    jbi_gate_refuse(call->host, v, who, answer);
    return NULL;
}

bool jbi_router_awaits(const char *method, const jbi_call *call, jbi_answer *answer)
{
    enum jbi_verdict v = jbi_gate_origin(call->host, call->conn, call->fields, &answer->origin);
    const jbi_route *route = NULL;
    jbi_who who;

    if (v == JBI_GATE_OPEN)
        route = jbi_router_find(method, call, answer);
    if (route)
        v = jbi_gate_ask(call->host, call->conn, call->fields, route->scope, &who);
    if (v != JBI_GATE_OPEN)
        jbi_gate_refuse(call->host, v, &who, answer);
    return v == JBI_GATE_OPEN && (route || !call->host->gate.is_guarded);
}

void jbi_router_answer(const char *method, const jbi_call *call, jbi_answer *answer)
{
    jbi_who who;
    jbi_call known = *call;
    const jbi_route *route = admit(method, call, &who, answer);
    uint64_t n_tried = call->host->service.counters.n_tried;
    uint64_t begun_ns;

    known.who = &who;
    known.route = route;
    if (!route)
        return;
    begun_ns = jb_clock_now_ns();
    route->handler(&call->host->service, &known, answer);
    jbi_histogram_add(jbi_router_times(call->host, route), jb_clock_now_ns() - begun_ns);
    jbi_gate_charge(call->host, &who, n_tried);
}
