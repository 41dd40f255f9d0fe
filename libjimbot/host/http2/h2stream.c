/*
 * h2stream: see h2stream.h. The window of a plain request is reopened as its body is stored,
 * because the body's own limits bound it; that of an app only when the app says so.
 */
#include "host/http2/h2stream.h"

#include "host/added/http_calls.h"
#include "host/host.h"
#include "host/http2/http2.h"

#include <stdio.h>

/* Memory that a stream keeps for the next request. */
enum { KEEP_BYTES = 4096, FIELDS_MAX = 24 };

struct jbi_conn *jbi_h2_stream_conn(const jbi_h2_stream *s)
{
    return s->h2->conn;
}

struct jb_host *jbi_h2_stream_host(const jbi_h2_stream *s)
{
    return s->h2->conn->host;
}

static const jbi_request_limits *limits_of(const jbi_h2_stream *s)
{
    return &s->h2->conn->host->limits;
}

void jbi_h2_stream_init(jbi_h2_stream *s, struct jbi_h2 *h2)
{
    const jb_alloc *alloc = h2->conn->host->alloc;

    memset(s, 0, sizeof(*s));
    s->h2 = h2;
    jbi_fields_init(&s->fields, alloc);
    jbi_htext_init(&s->path, alloc);
    jbi_htext_init(&s->out, alloc);
    jbi_body_init(&s->body, alloc);
}

static void set_body_due(jbi_h2_stream *s, bool is_due)
{
    if (is_due && !s->is_body_due)
        s->h2->n_bodies++;
    if (!is_due && s->is_body_due)
        s->h2->n_bodies--;
    s->is_body_due = is_due;
}

void jbi_h2_stream_reset(jbi_h2_stream *s)
{
    jbi_h2_stream kept = {.h2 = s->h2, .fields = s->fields, .path = s->path, .out = s->out};

    set_body_due(s, false);
    jbi_body_release(&s->body, limits_of(s));
    kept.body = s->body;
    *s = kept;
    jbi_fields_reset(&s->fields);
    jbi_htext_reset(&s->path, KEEP_BYTES);
    jbi_htext_reset(&s->out, KEEP_BYTES);
}

void jbi_h2_stream_fini(jbi_h2_stream *s)
{
    set_body_due(s, false);
    jbi_body_release(&s->body, limits_of(s));
    jbi_fields_fini(&s->fields);
    jbi_htext_fini(&s->path);
    jbi_htext_fini(&s->out);
}

/* --- what comes in */

static bool is_name(const char *name, size_t n, const char *want)
{
    return n == strlen(want) && !memcmp(name, want, n);
}

static void refuse(jbi_h2_stream *s, uint16_t status, const char *problem)
{
    if (s->status)
        return;
    s->status = status;
    s->problem = problem;
}

static void pseudo_field(jbi_h2_stream *s, const char *name, size_t n_name, const char *value,
                         size_t n_value)
{
    if (is_name(name, n_name, ":method")) {
        if (n_value >= sizeof(s->method))
            n_value = sizeof(s->method) - 1;
        memcpy(s->method, value, n_value);
        s->method[n_value] = '\0';
    } else if (is_name(name, n_name, ":path")) {
        if (n_value > limits_of(s)->max_header_bytes / 2)
            refuse(s, 414, "the request target is too long");
        jbi_htext_add(&s->path, value, n_value);
    } else if (is_name(name, n_name, ":authority")) {
        jbi_fields_begin(&s->fields, JBI_FIELD_HOST);
        jbi_fields_append(&s->fields, JBI_FIELD_HOST, value, n_value);
    }
}

int jbi_h2_stream_field(jbi_h2_stream *s, const char *name, size_t n_name, const char *value,
                        size_t n_value)
{
    enum { FIELD_OVERHEAD = 32 };

    s->header_bytes += n_name + n_value + FIELD_OVERHEAD;
    if (s->header_bytes > limits_of(s)->max_header_bytes) {
        refuse(s, 431, "the request header is too large");
        return 0;
    }
    if (n_name && name[0] == ':') {
        pseudo_field(s, name, n_name, value, n_value);
    } else {
        enum jbi_field field = jbi_fields_find(name, n_name);

        jbi_fields_begin(&s->fields, field);
        jbi_fields_append(&s->fields, field, value, n_value);
    }
    return s->path.is_broken || s->fields.text.is_broken ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
                                                         : 0;
}

/* --- what goes out */

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t cap,
                       uint32_t *flags, nghttp2_data_source *source, void *userdata)
{
    jbi_h2_stream *s = source->ptr;
    size_t n;

    if (s->out_at == s->out.len) {
        jbi_htext_reset(&s->out, JBI_H2_WINDOW_BYTES);
        s->out_at = 0;
        if (!s->is_ended && s->app)
            s->app->fill(s);
    }
    if (s->out.is_broken)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    n = s->out.len - s->out_at;
    if (n > cap)
        n = cap;
    if (n)
        memcpy(buf, s->out.data + s->out_at, n);
    s->out_at += n;
    if (s->is_ended && s->out_at == s->out.len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->has_trailer) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            s->app->trailer(s);
        }
    } else if (n == 0) {
        s->is_waiting = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)n;
}

nghttp2_nv jbi_h2_nv(const char *name, const char *value, size_t n_value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = n_value,
                        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

nghttp2_nv jbi_h2_literal(const char *name, const char *value)
{
    nghttp2_nv field = jbi_h2_nv(name, value, strlen(value));

    field.flags |= NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    return field;
}

void jbi_h2_answer(jbi_h2_stream *s, const nghttp2_nv *fields, size_t n, bool is_last)
{
    nghttp2_data_provider provider = {.source = {.ptr = s}, .read_callback = on_read};

    if (s->is_answered)
        return;
    s->is_answered = true;
    set_body_due(s, false);
    if (nghttp2_submit_response(s->h2->session, s->id, fields, n, is_last ? NULL : &provider) < 0)
        jbi_h2_abort(s, NGHTTP2_INTERNAL_ERROR);
}

void jbi_h2_resume(jbi_h2_stream *s)
{
    if (!s->is_waiting)
        return;
    s->is_waiting = false;
    nghttp2_session_resume_data(s->h2->session, s->id);
}

void jbi_h2_consume(jbi_h2_stream *s, size_t n)
{
    if (n)
        nghttp2_session_consume_stream(s->h2->session, s->id, n);
}

void jbi_h2_abort(jbi_h2_stream *s, uint32_t error_code)
{
    nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, error_code);
}

/* --- plain requests */

typedef struct field_list {
    nghttp2_nv nv[FIELDS_MAX];
    size_t n;
    char text[2048]; /* names in lower case, numbers as text */
    size_t text_bytes;
} field_list;

static void add_field(field_list *l, const char *name, size_t n_name, const char *value,
                      size_t n_value)
{
    char *to = l->text + l->text_bytes;

    if (l->n == FIELDS_MAX || n_name + n_value > sizeof(l->text) - l->text_bytes)
        return;
    for (size_t i = 0; i < n_name; i++)
        to[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    if (n_value)
        memcpy(to + n_name, value, n_value);
    l->nv[l->n++] = (nghttp2_nv){.name = (uint8_t *)to,
                                 .namelen = n_name,
                                 .value = (uint8_t *)to + n_name,
                                 .valuelen = n_value};
    l->text_bytes += n_name + n_value;
}

static void add_text(field_list *l, const char *name, const char *value)
{
    add_field(l, name, strlen(name), value, strlen(value));
}

static void add_number(field_list *l, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    add_text(l, name, text);
}

/* "Name: value\r\n" and so on. */
static void add_lines(field_list *l, const char *lines)
{
    while (lines && *lines) {
        const char *colon = strchr(lines, ':');
        const char *end = colon ? strstr(colon, "\r\n") : NULL;

        if (!end)
            return;
        add_field(l, lines, (size_t)(colon - lines), colon + 2, (size_t)(end - colon - 2));
        lines = end + 2;
    }
}

static void add_origin(field_list *l, const jbi_answer *a)
{
    const char *name = "access-control-allow-origin";

    add_field(l, name, strlen(name), a->origin.data, a->origin.len);
    add_text(l, "vary", "Origin");
    if (!jbi_answer_is_preflight(a))
        return;
    add_text(l, "access-control-allow-methods", a->allow);
    add_text(l, "access-control-allow-headers", JBI_ANSWER_PAGE_FIELDS);
    add_text(l, "access-control-max-age", "600");
}

static void send_answer(jbi_h2_stream *s, jbi_answer *a)
{
    jb_host *host = s->h2->conn->host;
    bool has_body = a->status != 204;
    bool is_head = !strcmp(s->method, "HEAD");
    field_list l = {.n = 0};

    if (a->body->is_broken) {
        jbi_htext_reset(a->body, 0);
        a->status = 500;
    }
    host->service.counters.n_answers[a->status]++;
    add_number(&l, ":status", a->status);
    add_text(&l, "date", jbi_host_date(host));
    if (has_body) {
        add_text(&l, "content-type", a->content_type);
        add_number(&l, "content-length", a->body->len);
    }
    add_lines(&l, a->fields);
    if (a->origin.data)
        add_origin(&l, a);
    if (a->allow[0])
        add_text(&l, "allow", a->allow);
    if (a->retry_after_s)
        add_number(&l, "retry-after", a->retry_after_s);
    jbi_htext_reset(&s->out, JBI_H2_WINDOW_BYTES);
    s->is_ended = true;
    if (has_body && !is_head)
        jbi_htext_add(&s->out, a->body->data, a->body->len);
    jbi_h2_answer(s, l.nv, l.n, s->out.len == 0);
}

void jbi_h2_stream_answer(jbi_h2_stream *s, jbi_answer *answer)
{
    send_answer(s, answer);
}

static void answer_refused(jbi_h2_stream *s)
{
    jbi_answer a;

    jbi_answer_init(&a, &s->h2->conn->host->service.text);
    jbi_answer_error(&a, s->status, s->problem);
    if (a.status == 405)
        strcpy(a.allow, "GET, HEAD, POST, OPTIONS");
    if (a.status == 503)
        a.retry_after_s = 1;
    send_answer(s, &a);
}

static jbi_call call_of(const jbi_h2_stream *s)
{
    struct jbi_conn *c = s->h2->conn;
    const char *query = s->path.len ? memchr(s->path.data, '?', s->path.len) : NULL;
    const char *end = s->path.data + s->path.len;

    return (jbi_call){.host = c->host,
                      .conn = c,
                      .fields = &s->fields,
                      .path = s->path.len ? s->path.data : "",
                      .path_bytes = query ? (size_t)(query - s->path.data) : s->path.len,
                      .query = query ? query + 1 : "",
                      .query_bytes = query ? (size_t)(end - query - 1) : 0,
                      .body = s->body.text.data,
                      .body_bytes = s->body.text.len,
                      .is_head = !strcmp(s->method, "HEAD")};
}

/* Whether the body may come; if not, it is answered. */
static bool await_body(jbi_h2_stream *s)
{
    jbi_call call = call_of(s);
    jbi_answer a;

    jbi_answer_init(&a, &call.host->service.text);
    if (jbi_router_awaits(s->method, &call, &a))
        return true;
    send_answer(s, &a);
    return false;
}

static void answer_request(jbi_h2_stream *s)
{
    jbi_call call = call_of(s);
    jbi_answer a;

    jbi_answer_init(&a, &call.host->service.text);
    jbi_router_answer(s->method, &call, &a);
    if (a.later) {
        set_body_due(s, false);
        jbi_added_wait_h2(s, a.later);
    } else {
        send_answer(s, &a);
    }
    jbi_body_release(&s->body, limits_of(s));
}

void jbi_h2_stream_header_end(jbi_h2_stream *s, bool has_body)
{
    s->begun_ms = s->last_ms = uv_now(s->h2->conn->host->loop);
    if (!strcmp(s->method, "CONNECT"))
        refuse(s, 405, "this is not a proxy");
    if (s->fields.repeated & 1u << JBI_FIELD_HOST)
        refuse(s, 400, "a request has one authority, and no Host field beside it");
    if (s->status) {
        answer_refused(s);
    } else if (jbi_grpc.knows(s)) {
        s->app = &jbi_grpc;
        s->app->open(s);
    } else if (!has_body || await_body(s)) {
        set_body_due(s, true);
    }
}

/* The client of a request that was refused may go on for a while: some lose the answer when the
 * stream is reset under them. */
static void discard(jbi_h2_stream *s, size_t n)
{
    size_t before = s->n_discarded;

    s->n_discarded += n;
    if (before <= limits_of(s)->max_body_bytes && s->n_discarded > limits_of(s)->max_body_bytes)
        jbi_h2_abort(s, NGHTTP2_NO_ERROR);
}

void jbi_h2_stream_data(jbi_h2_stream *s, const char *bytes, size_t n)
{
    const jbi_request_limits *limits = limits_of(s);

    if (s->app) {
        s->app->data(s, bytes, n);
        return;
    }
    jbi_h2_consume(s, n);
    if (s->is_answered) {
        discard(s, n);
        return;
    }
    s->last_ms = uv_now(s->h2->conn->host->loop);
    if (jbi_body_exceeds(limits->max_body_bytes, s->body.text.len, n))
        refuse(s, 413, "the request body is too large");
    else if (!jbi_body_add(&s->body, limits, bytes, n))
        refuse(s, 503, "too many request bodies are being received");
    if (s->status) {
        jbi_body_release(&s->body, limits);
        answer_refused(s);
    }
}

void jbi_h2_stream_end(jbi_h2_stream *s)
{
    s->is_remote_end = true;
    if (s->app)
        s->app->end(s);
    else if (!s->is_answered)
        answer_request(s);
}

void jbi_h2_stream_expire(jbi_h2_stream *s)
{
    s->h2->conn->host->service.counters.n_timeouts++;
    refuse(s, 408, "the request did not come to its end in time");
    jbi_body_release(&s->body, limits_of(s));
    answer_refused(s);
}
