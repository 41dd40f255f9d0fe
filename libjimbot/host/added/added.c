/*
 * added: see added.h.
 */
#include "host/added/added.h"

#include "host/added/http_calls.h"
#include "host/host.h"
#include "host/text/hmem.h"

#include <assert.h>
#include <stdio.h>

static_assert((int)JB_SCOPE_PUBLISH == JBI_SCOPE_PUBLISH &&
                  (int)JB_SCOPE_ADMIN == JBI_SCOPE_ADMIN &&
                  (int)JB_SCOPE_SUBSCRIBE == JBI_SCOPE_SUBSCRIBE &&
                  (int)JB_SCOPE_COMMAND == JBI_SCOPE_COMMAND &&
                  (int)JB_SCOPE_RESOURCE == JBI_SCOPE_RESOURCE,
              "the scopes of the public header are those inside");

enum { PATH_MAX_BYTES = 96 };

/* What a handler of a program may answer with; see enum jb_call_code. */
#define STATUSES "200 400 403 404 409 413 415 422 429 500 501 503 504"

void jbi_added_init(jbi_added *a, const jb_alloc *alloc)
{
    jbi_htext_init(&a->text, alloc);
}

static void free_service(jbi_added_service *s, const jb_alloc *alloc)
{
    jbi_added_free_methods(s, alloc);
    jbi_hmem_free(alloc, s->routes, s->room * sizeof(*s->routes));
    s->routes = NULL;
}

void jbi_added_fini(jbi_added *a, const jb_alloc *alloc)
{
    for (uint32_t i = 0; i < a->n; i++)
        free_service(&a->services[i], alloc);
    a->n = 0;
    jbi_htext_fini(&a->text);
}

jbi_added_route *jbi_added_route_at(jbi_added *a, uint32_t idx)
{
    for (uint32_t i = 0; i < a->n; i++) {
        if (idx < a->services[i].n_routes)
            return &a->services[i].routes[idx];
        idx -= a->services[i].n_routes;
    }
    return NULL;
}

/* --- time */

static uint64_t tick_all(const jbi_added *a)
{
    uint64_t next_ns = UINT64_MAX;

    for (uint32_t i = 0; i < a->n; i++) {
        const jb_service *s = &a->services[i].service;
        uint64_t ns = s->tick ? s->tick(s->userdata) : UINT64_MAX;

        if (ns < next_ns)
            next_ns = ns;
    }
    return next_ns;
}

void jbi_added_tick(jb_host *host)
{
    const uint64_t most_ns = UINT64_C(3600000000000);
    uint64_t ns = tick_all(&host->added);

    if (ns != UINT64_MAX && host->added.alarm)
        jbi_alarm_at(host->added.alarm,
                     uv_now(host->loop) + ((ns < most_ns ? ns : most_ns) + 999999) / 1000000);
}

static void on_alarm(void *userdata)
{
    jbi_added_tick(userdata);
}

void jbi_added_stop(jb_host *host)
{
    jbi_alarm_destroy(host->added.alarm);
    host->added.alarm = NULL;
}

/* --- connections that have something to say */

void jbi_added_wake(jbi_conn *c)
{
    c->is_woken = true;
    c->host->added.has_woken = true;
}

void jbi_added_wake_all(jb_host *host)
{
    while (host->added.has_woken) {
        host->added.has_woken = false;
        for (jbi_conn *c = host->conns, *next; c; c = next) {
            next = c->next;
            if (c->is_woken)
                jbi_conn_wake(c);
        }
    }
}

/* --- what they say of themselves */

const char *jbi_added_problem(const jbi_added *a)
{
    const char *problem = NULL;

    for (uint32_t i = 0; i < a->n && !problem; i++) {
        const jb_service *s = &a->services[i].service;

        problem = s->problem ? s->problem(s->userdata) : NULL;
    }
    return problem;
}

void jbi_added_metrics(const jbi_added *a, jbi_htext *out)
{
    for (uint32_t i = 0; i < a->n; i++) {
        const jb_service *s = &a->services[i].service;

        if (s->metrics)
            s->metrics((jb_page *)out, s->userdata);
    }
}

void jb_page_write(jb_page *page, const char *text, size_t n_bytes)
{
    jbi_htext_add((jbi_htext *)page, text, n_bytes);
}

/* --- how they are added */

#ifndef JBI_HAVE_HTTP2

int jbi_added_make_methods(jbi_added_service *s, const jb_alloc *alloc)
{
    return 0;
}

void jbi_added_free_methods(jbi_added_service *s, const jb_alloc *alloc)
{
}

#endif

static int refuse(jb_error *err, int code, const char *why, const char *path)
{
    if (err) {
        jb_error_init(err);
        err->code = code;
        snprintf(err->msg, sizeof(err->msg), "%s%.150s", why, path);
    }
    return code;
}

/* A path is one of gRPC or has methods, each once. */
static bool is_same(const jb_service_entry *a, const jb_service_entry *b)
{
    return !strcmp(a->path, b->path) && (!a->method || !b->method || !strcmp(a->method, b->method));
}

/* Whether a path is the host's own: nothing stands beside its methods. */
static bool is_taken(const jb_service_entry *e)
{
    const jbi_route *route;

    for (uint32_t i = 0; (route = jbi_router_at(i)); i++) {
        if (!strcmp(route->path, e->path))
            return true;
    }
    return !strncmp(e->path, "/jimbot.v1.EventBus/", 20) || !strncmp(e->path, "/grpc.", 6);
}

static bool is_added(const jbi_added *a, const jb_service_entry *e)
{
    for (uint32_t i = 0; i < a->n; i++) {
        const jb_service *s = &a->services[i].service;

        for (uint32_t k = 0; k < s->n_entries; k++) {
            if (is_same(&s->entries[k], e))
                return true;
        }
    }
    return false;
}

/* A path is a label of the metrics page and a line of a request: plain text, not too long. */
static bool is_path(const char *path)
{
    size_t n = strlen(path);

    if (path[0] != '/' || n > PATH_MAX_BYTES)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (path[i] <= ' ' || path[i] > '~' || strchr("\"\\?#", path[i]))
            return false;
    }
    return true;
}

static int check_entry(const jbi_added *a, const jb_service *s, uint32_t idx, jb_error *err)
{
    const jb_service_entry *e = &s->entries[idx];
    bool is_whole = e->path && is_path(e->path) && e->handle && e->scope <= JBI_SCOPE_ALL &&
                    e->flags <= JB_SERVICE_STREAM;

    if (is_whole && e->method)
        is_whole = (!strcmp(e->method, "GET") || !strcmp(e->method, "POST")) && !e->flags;
    else if (is_whole)
        is_whole = strchr(e->path + 1, '/') != NULL;
    if (!is_whole)
        return refuse(err, JB_EINVAL, "not an entry of a service: ", e->path ? e->path : "");
    for (uint32_t i = 0; i < idx; i++) {
        if (is_same(&s->entries[i], e))
            return refuse(err, JB_EINVAL, "it is there twice: ", e->path);
    }
    if (is_taken(e) || is_added(a, e))
        return refuse(err, JB_EINVAL, "the path is taken: ", e->path);
    return 0;
}

static void add_route(jbi_added_service *s, const jb_service_entry *e, const char *method)
{
    bool is_options = !strcmp(method, "OPTIONS");

    for (uint32_t i = 0; is_options && i < s->n_routes; i++) {
        const jbi_route *known = &s->routes[i].route;

        if (!strcmp(known->path, e->path) && !known->handler)
            return;
    }
    s->routes[s->n_routes++] =
        (jbi_added_route){.route = {.method = method,
                                    .path = e->path,
                                    .scope = is_options ? JBI_SCOPE_NONE : e->scope,
                                    .statuses = is_options ? "204" : STATUSES,
                                    .handler = is_options ? NULL : jbi_added_answer},
                          .entry = e,
                          .service = &s->service};
}

static int make_routes(jbi_added_service *s, const jb_alloc *alloc)
{
    s->room = 3 * s->service.n_entries + 1;
    s->routes = jbi_hmem_zalloc(alloc, s->room * sizeof(*s->routes));
    if (!s->routes)
        return JB_ENOMEM;
    for (uint32_t i = 0; i < s->service.n_entries; i++) {
        const jb_service_entry *e = &s->service.entries[i];

        if (!e->method)
            continue;
        add_route(s, e, e->method);
        if (!strcmp(e->method, "GET"))
            add_route(s, e, "HEAD");
        add_route(s, e, "OPTIONS");
    }
    return 0;
}

static int make(jb_host *host, const jb_service *service, jb_error *err)
{
    jbi_added *a = &host->added;
    jbi_added_service *s = &a->services[a->n];
    int rc;

    *s = (jbi_added_service){.n_routes = 0};
    memcpy(&s->service, service,
           service->size < sizeof(*service) ? service->size : sizeof(*service));
    if (!a->alarm)
        a->alarm = jbi_alarm_create(host, on_alarm, host);
    rc = a->alarm ? make_routes(s, host->alloc) : JB_ENOMEM;
    if (rc == 0)
        rc = jbi_added_make_methods(s, host->alloc);
    if (rc < 0) {
        free_service(s, host->alloc);
        return refuse(err, rc, jb_strerror(rc), "");
    }
    a->n++;
    jbi_alarm_at(a->alarm, uv_now(host->loop));
    return 0;
}

int jb_host_serve(jb_host *host, const jb_service *service, jb_error *err)
{
    if (!host || !service || service->size < offsetof(jb_service, problem) ||
        (service->n_entries && !service->entries))
        return refuse(err, JB_EINVAL, "jb_host_serve: an argument is wrong", "");
    if (host->added.n == JBI_ADDED_MAX)
        return refuse(err, JB_ELIMIT, "too many services", "");
    for (uint32_t i = 0; i < service->n_entries; i++) {
        int rc = check_entry(&host->added, service, i, err);

        if (rc < 0)
            return rc;
    }
    return make(host, service, err);
}
