/*
 * coord_service: how calls come and go, and time; see coord_service.h.
 */
#include "host/coord/coord_service.h"

#include "host/added/call.h"
#include "host/coord/shapes.h"
#include "host/host.h"
#include "host/text/hmem.h"
#include "host/text/msgfield.h"

#include <assert.h>
#include <stdarg.h>

enum {
    POLL_NS = 2000000,     /* while somebody waits for what another process may give */
    SHARED_NS = 50000000,  /* how often the records of other processes are read */
    RECORDS_NS = 10000000, /* after a call, until its records are read */
    QUERY_BYTES = 256
};

#define SECOND UINT64_C(1000000000)
/* A FileDescriptorSet of the contract. */
extern const unsigned char jbi_coord_descriptors[];
extern const unsigned jbi_coord_descriptors_bytes;

#define PREFIX "/jimbot.v1.ResourceCoordinator/"

/* clang-format off */
static const jbi_coord_op ops[] = {
    {"RequestResource", "POST", "/api/v1/leases/request", 0,
     &jbi_shape_request_resource_request, &jbi_shape_request_resource_response, jbi_coord_request},
    {"RenewLease", "POST", "/api/v1/leases/renew", 0,
     &jbi_shape_renew_lease_request, &jbi_shape_renew_lease_response, jbi_coord_renew},
    {"ShrinkLease", "POST", "/api/v1/leases/shrink", 0,
     &jbi_shape_shrink_lease_request, &jbi_shape_shrink_lease_response, jbi_coord_shrink},
    {"ReleaseResource", "POST", "/api/v1/leases/release", 0,
     &jbi_shape_release_resource_request, &jbi_shape_release_resource_response, jbi_coord_release},
    {"WatchLease", NULL, NULL, JB_SERVICE_STREAM,
     &jbi_shape_watch_lease_request, &jbi_shape_watch_lease_response, jbi_coord_watch_lease},
    {"CheckToken", "GET", "/api/v1/leases/check", 0,
     &jbi_shape_check_token_request, &jbi_shape_check_token_response, jbi_coord_check},
    {"ListLeases", "GET", "/api/v1/leases", 0,
     &jbi_shape_list_leases_request, &jbi_shape_list_leases_response, jbi_coord_list},
    {"GetResourceStatus", "GET", "/api/v1/resources", 0,
     &jbi_shape_get_resource_status_request, &jbi_shape_get_resource_status_response,
     jbi_coord_status},
    {"StreamResourceStatus", NULL, NULL, JB_SERVICE_STREAM,
     &jbi_shape_stream_resource_status_request, &jbi_shape_stream_resource_status_response,
     jbi_coord_stream_status},
    {"ReserveUsage", "POST", "/api/v1/usage/reserve", 0,
     &jbi_shape_reserve_usage_request, &jbi_shape_reserve_usage_response, jbi_coord_reserve},
    {"CommitUsage", "POST", "/api/v1/usage/commit", 0,
     &jbi_shape_commit_usage_request, &jbi_shape_commit_usage_response, jbi_coord_commit},
    {"CorrectUsage", "POST", "/api/v1/usage/correct", 0,
     &jbi_shape_correct_usage_request, &jbi_shape_correct_usage_response, jbi_coord_correct},
    {"HealthCheck", "GET", "/api/v1/coordinator", 0,
     &jbi_shape_health_check_request, &jbi_shape_health_check_response, jbi_coord_health},
};

static const char *const rpcs[] = {
    PREFIX "RequestResource", PREFIX "RenewLease", PREFIX "ShrinkLease", PREFIX "ReleaseResource",
    PREFIX "WatchLease", PREFIX "CheckToken", PREFIX "ListLeases", PREFIX "GetResourceStatus",
    PREFIX "StreamResourceStatus", PREFIX "ReserveUsage", PREFIX "CommitUsage",
    PREFIX "CorrectUsage", PREFIX "HealthCheck",
};
/* clang-format on */

enum { N_OPS = sizeof(ops) / sizeof(ops[0]) };
static_assert(N_OPS == sizeof(rpcs) / sizeof(rpcs[0]) && N_OPS <= (int)JBI_COORD_OPS,
              "each call has its name");

int jb_coord_service_route_at(uint32_t idx, const char **ret_method, const char **ret_path)
{
    if (!ret_method || !ret_path)
        return JB_EINVAL;
    for (uint32_t i = 0; i < N_OPS; i++) {
        if (!ops[i].method || idx-- > 0)
            continue;
        *ret_method = ops[i].method;
        *ret_path = ops[i].path;
        return 0;
    }
    return JB_ENOENT;
}

/* --- answers */

void jbi_coord_reply(jb_coord_service *s, const jbi_coord_op *op, jb_call *call)
{
    const jbi_htext *out = &s->out;

    if (!jb_call_is_grpc(call)) {
        jbi_htext_reset(&s->json, 1 << 16);
        jbi_shape_write(op->out, (jbi_slice){out->data ? out->data : "", out->len}, &s->json);
        jbi_htext_str(&s->json, "\n");
        out = &s->json;
    }
    if (s->out.is_broken || out->is_broken)
        jb_call_fail(call, JB_CALL_RESOURCE_EXHAUSTED, "no memory for the answer");
    else
        jb_call_reply(call, out->data ? out->data : "", out->len);
}

void jbi_coord_refuse(jb_coord_service *s, jb_call *call, int rc)
{
    switch (rc) {
    case JB_EAGAIN:
        jb_call_fail(call, JB_CALL_RESOURCE_EXHAUSTED, "not free, or others are first");
        return;
    case JB_ELIMIT:
        jb_call_fail(call, JB_CALL_RESOURCE_EXHAUSTED, "as many as there can be hold or wait");
        return;
    case JB_ETOOBIG:
        jb_call_fail(call, JB_CALL_OUT_OF_RANGE, "more than there will ever be for this component");
        return;
    case JB_ETIMEDOUT:
        jb_call_fail(call, JB_CALL_DEADLINE_EXCEEDED, "not in the time of the wait");
        return;
    case JB_ENOENT:
        jb_call_fail(call, JB_CALL_NOT_FOUND, "there is no such lease, or it has ended");
        return;
    case JB_ESTATE:
        jb_call_fail(call, JB_CALL_FAILED_PRECONDITION, "the lease was given notice");
        return;
    case JB_EINVAL:
        jb_call_fail(call, JB_CALL_INVALID_ARGUMENT, "an amount or a time is out of its range");
        return;
    default:
        jb_call_fail(call, JB_CALL_INTERNAL, jb_strerror(rc));
        return;
    }
}

void jbi_coord_reject(jb_coord_service *s, jb_call *call, uint32_t code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(s->problem, sizeof(s->problem), fmt, args);
    va_end(args);
    jb_call_fail(call, code, s->problem);
}

const char *jbi_coord_resource_name(jb_coord_service *s, uint32_t idx,
                                    char room[JB_QUOTA_NAME_BYTES])
{
    jb_resource_info info;

    if (jb_coord_resource_at(s->coord, idx, &info) < 0)
        return "";
    memcpy(room, info.name, JB_QUOTA_NAME_BYTES);
    return room;
}

const char *jbi_coord_component_name(jb_coord_service *s, uint32_t idx,
                                     char room[JB_QUOTA_NAME_BYTES])
{
    jb_component_info info;

    if (jb_coord_component_at(s->coord, idx, &info) < 0)
        return "";
    memcpy(room, info.name, JB_QUOTA_NAME_BYTES);
    return room;
}

/* --- requests of HTTP */

/* The message that a body is. Returns what is wrong, or NULL. */
static const char *read_body(jb_coord_service *s, const jbi_coord_op *op, const jb_call *call)
{
    json_error_t err;
    size_t n;
    const char *body = jb_call_body(call, &n);
    json_t *root = json_loadb(body, n, JSON_REJECT_DUPLICATES, &err);
    const char *wrong;

    if (!root) {
        snprintf(s->problem, sizeof(s->problem), "the body is no JSON: %.100s", err.text);
        return s->problem;
    }
    wrong = jbi_shape_read(op->in, root, &s->request, s->problem);
    json_decref(root);
    return wrong;
}

/* The message that the parameters of a query are. */
static const char *read_query(jb_coord_service *s, const jbi_coord_op *op, const jb_call *call)
{
    char value[QUERY_BYTES];
    const char *wrong = NULL;

    for (uint32_t i = 0; i < op->in->n && !wrong; i++) {
        const jbi_shape_field *f = &op->in->fields[i];
        int rc = jb_call_query(call, f->name, value, sizeof(value));

        if (rc >= 0)
            wrong = jbi_shape_read_text(f, value, &s->request, s->problem);
        else if (rc != JB_ENOENT)
            wrong = "the query is malformed or too long";
    }
    return wrong;
}

/* Whether the bytes are fields to their end. */
static bool is_sound(jbi_slice m)
{
    jbi_wire in = jbi_wire_of(m.data, m.len);
    jbi_msg_field f;
    int rc;

    while ((rc = jbi_msg_next(&in, &f)) > 0)
        ;
    return rc == 0;
}

static void on_call(jb_call *call, const jbi_coord_op *op, jb_coord_service *s)
{
    const char *wrong;
    jbi_slice m;

    jbi_htext_reset(&s->out, 1 << 16);
    jbi_htext_reset(&s->request, 1 << 16);
    if (jb_call_is_grpc(call)) {
        m.data = jb_call_body(call, &m.len);
        wrong = is_sound(m) ? NULL : "the message is malformed";
    } else {
        wrong = strcmp(op->method, "GET") ? read_body(s, op, call) : read_query(s, op, call);
        m = (jbi_slice){s->request.data ? s->request.data : "", s->request.len};
    }
    if (wrong)
        jb_call_fail(call, JB_CALL_INVALID_ARGUMENT, wrong);
    else if (s->request.is_broken)
        jb_call_fail(call, JB_CALL_RESOURCE_EXHAUSTED, "no memory for the request");
    else
        op->run(s, op, call, m);
    jbi_coord_serve_waiters(s);
    jbi_coord_due_in(s, RECORDS_NS);
}

/* Which call it is, its entry says. */
static void on_entry(jb_call *call, void *userdata)
{
    jb_coord_service *s = userdata;

    on_call(call, s->entry_ops[call->entry - s->entries], s);
}

bool jbi_coord_is_stopping(const jb_coord_service *s)
{
    return s->host && (s->host->stop_ms || s->host->is_orphan);
}

/* --- time */

void jbi_coord_due_in(jb_coord_service *s, uint64_t ns)
{
    uint64_t now_ns = jb_clock_now_ns();

    if (ns >= UINT64_MAX - now_ns || now_ns + ns >= s->due_ns)
        return;
    s->due_ns = now_ns + ns;
    jb_host_kick(s->host);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t on_tick(void *userdata)
{
    jb_coord_service *s = userdata;
    uint64_t next_ns = UINT64_MAX;
    uint64_t now_ns;

    jb_coord_tick(s->coord, &next_ns);
    jbi_coord_serve_waiters(s);
    jbi_coord_read_records(s);
    next_ns = sooner(next_ns, jbi_coord_tell_watches(s));
    next_ns = sooner(next_ns, jbi_coord_feed_streams(s));
    next_ns = sooner(next_ns, jbi_coord_serve_takers(s));
    next_ns = sooner(next_ns, jbi_coord_tell_uses(s));
    if (s->opts.is_shared)
        next_ns = sooner(next_ns, s->waiters || s->watches || s->takers ? POLL_NS : SHARED_NS);
    now_ns = jb_clock_now_ns();
    /* A kick while this is not over yet brings the host here again and asks for what was kept. */
    if (s->due_ns > now_ns)
        next_ns = sooner(next_ns, s->due_ns - now_ns);
    s->due_ns = next_ns < UINT64_MAX - now_ns ? now_ns + next_ns : UINT64_MAX;
    return next_ns;
}

/* --- its life */

void jb_coord_service_opts_init(jb_coord_service_opts *opts, uint32_t size)
{
    jb_coord_service_opts o = {.size = size,
                               .hold_ns = 60 * SECOND,
                               .max_hold_ns = 86400 * SECOND,
                               .max_wait_ns = 3600 * SECOND};

    memcpy(opts, &o, size < sizeof(o) ? size : sizeof(o));
}

static int refuse(jb_error *err, int code, const char *why)
{
    if (err) {
        jb_error_init(err);
        err->code = code;
        snprintf(err->msg, sizeof(err->msg), "%s", why);
    }
    return code;
}

static void add_entry(jb_coord_service *s, const jbi_coord_op *op, const jb_service_entry *e)
{
    s->entry_ops[s->n_entries] = op;
    s->entries[s->n_entries++] = *e;
}

static void make_entries(jb_coord_service *s)
{
    for (uint32_t i = 0; i < N_OPS; i++) {
        jb_service_entry e = {
            .path = rpcs[i], .scope = JB_SCOPE_RESOURCE, .flags = ops[i].flags, .handle = on_entry};

        add_entry(s, &ops[i], &e);
        if (!ops[i].method)
            continue;
        e.path = ops[i].path;
        e.method = ops[i].method;
        e.flags = 0;
        add_entry(s, &ops[i], &e);
    }
}

int jb_coord_service_create(const jb_coord_service_opts *opts, jb_coord_service **ret_service,
                            jb_error *err)
{
    const jb_alloc *alloc = opts && opts->alloc ? opts->alloc : &jbi_hmem_libc;
    jb_coord_service *s;
    int rc;

    if (!opts || !ret_service || !opts->coord || opts->size != sizeof(*opts) || !opts->hold_ns ||
        opts->hold_ns > opts->max_hold_ns)
        return refuse(err, JB_EINVAL, "jb_coord_service_create: an option is missing or wrong");
    s = jbi_hmem_zalloc(alloc, sizeof(*s));
    if (!s)
        return refuse(err, JB_ENOMEM, "jb_coord_service_create: no memory");
    s->alloc_copy = *alloc;
    s->alloc = &s->alloc_copy;
    s->opts = *opts;
    s->coord = opts->coord;
    s->due_ns = UINT64_MAX;
    s->begun_ns = jb_clock_now_ns();
    jbi_htext_init(&s->request, s->alloc);
    jbi_htext_init(&s->out, s->alloc);
    jbi_htext_init(&s->json, s->alloc);
    make_entries(s);
    jbi_htext_init(&s->notice, s->alloc);
    rc = jbi_coord_open_uses(s);
    if (rc == 0)
        rc = jbi_coord_open_notices(s, err);
    if (rc == 0)
        rc = jbi_coord_open_records(s, err);
    if (rc < 0)
        jb_coord_service_destroy(s);
    else
        *ret_service = s;
    return rc;
}

int jb_coord_service_join(jb_coord_service *s, jb_host *host, jb_error *err)
{
    jb_service service = {.size = sizeof(service),
                          .n_entries = s->n_entries,
                          .entries = s->entries,
                          .descriptors = jbi_coord_descriptors,
                          .descriptors_bytes = jbi_coord_descriptors_bytes,
                          .metrics = jbi_coord_metrics,
                          .tick = on_tick,
                          .userdata = s};
    int rc;

    if (s->host)
        return refuse(err, JB_ESTATE, "a host serves it already");
    rc = jb_host_serve(host, &service, err);
    if (rc == 0)
        s->host = host;
    return rc;
}

void jb_coord_service_destroy(jb_coord_service *s)
{
    jb_alloc alloc;

    if (!s)
        return;
    jbi_coord_close_records(s);
    jbi_slots_fini(&s->slots, s->alloc);
    jbi_coord_close_uses(s);
    jbi_htext_fini(&s->request);
    jbi_htext_fini(&s->out);
    jbi_htext_fini(&s->json);
    jbi_htext_fini(&s->notice);
    alloc = s->alloc_copy;
    jbi_hmem_free(&alloc, s, sizeof(*s));
}
