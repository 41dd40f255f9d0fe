/*
 * request: the llhttp callbacks and what surrounds them, see request.h.
 *
 * A body that lies whole in one read is borrowed from it; only one that comes in pieces is copied.
 * The parser is paused at the end of each message, which is how the caller learns where the next
 * begins.
 */
#include "host/http1/request.h"

#include "host/text/hmem.h"

#include <strings.h>

/* Each byte of a chunked body may bring this much framing: a chunk of one byte needs six. */
enum { FRAMING_PER_BODY_BYTE = 8 };

static int fail(jbi_request *r, uint16_t status, const char *problem)
{
    if (!r->status) {
        r->status = status;
        r->problem = problem;
    }
    return HPE_USER;
}

/* Account for framing bytes up to `end`. */
static int guard_until(jbi_request *r, const char *end)
{
    size_t n = (size_t)(end - r->unguarded);
    const char *from = r->unguarded;
    const char *problem;

    r->unguarded = end;
    r->n_framing += n;
    problem = jbi_lineguard_feed(&r->guard, from, n);
    if (problem)
        return fail(r, 400, problem);
    if (r->n_framing > r->limits->max_header_bytes + FRAMING_PER_BODY_BYTE * r->body_bytes)
        return fail(r, 431, "the request header is too large");
    return 0;
}

/* Append to a field of fixed size, cut off, but count all. */
static void collect(char *to, size_t cap, size_t *n_bytes, const char *at, size_t n)
{
    if (*n_bytes < cap)
        memcpy(to + *n_bytes, at, n < cap - *n_bytes ? n : cap - *n_bytes);
    *n_bytes += n;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    jbi_request *r = p->data;

    collect(r->url, sizeof(r->url), &r->url_bytes, at, n);
    return 0;
}

/* What comes after a chunked body is named like a field, but none of the request's. */
static int on_field(llhttp_t *p, const char *at, size_t n)
{
    jbi_request *r = p->data;

    if (r->is_in_body)
        return 0;
    collect(r->name, sizeof(r->name), &r->name_bytes, at, n);
    return 0;
}

static void begin_value(jbi_request *r)
{
    if (r->is_in_value)
        return;
    r->is_in_value = true;
    r->field = jbi_fields_find(r->name, r->name_bytes);
    jbi_fields_begin(&r->fields, r->field);
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    jbi_request *r = p->data;

    if (r->is_in_body)
        return 0;
    begin_value(r);
    jbi_fields_append(&r->fields, r->field, at, n);
    return 0;
}

static int on_value_complete(llhttp_t *p)
{
    jbi_request *r = p->data;

    if (r->is_in_body)
        return 0;
    begin_value(r);
    r->is_in_value = false;
    r->name_bytes = 0;
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    jbi_request *r = p->data;

    r->method = llhttp_get_method(p);
    if (p->http_major != 1 || p->http_minor > 1)
        return fail(r, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    if (r->fields.text.is_broken)
        return fail(r, 503, "no memory for the header");
    if (r->fields.repeated & 1u << JBI_FIELD_HOST ||
        (!(r->fields.present & 1u << JBI_FIELD_HOST) && p->http_minor == 1))
        return fail(r, 400, "a request has exactly one Host field");
    /* Whoever forwards HTTP/1.0 may not know it, and see another end of the request. */
    if (p->http_minor == 0 && p->flags & F_TRANSFER_ENCODING)
        return fail(r, 400, "HTTP/1.0 has no Transfer-Encoding");
    r->wants_continue = r->fields.present & 1u << JBI_FIELD_EXPECT;
    if (r->wants_continue && !jbi_fields_is(&r->fields, JBI_FIELD_EXPECT, "100-continue"))
        return fail(r, 417, "the only expectation known is 100-continue");
    if (p->content_length > r->limits->max_body_bytes && !(p->flags & F_CHUNKED))
        return fail(r, 413, "the request body is too large");
    /* An offer to change protocol may be ignored; CONNECT may not, its body is not HTTP. */
    if (r->method == HTTP_CONNECT)
        return fail(r, 405, "this is not a proxy");
    p->upgrade = 0;
    r->is_in_body = true;
    if (p->http_minor == 0)
        r->wants_continue = false;
    return 0;
}

static int store_body(jbi_request *r, const char *at, size_t n)
{
    if (!jbi_body_add(&r->stored, r->limits, at, n))
        return fail(r, 503, "too many request bodies are being received");
    r->body = r->stored.text.data;
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    jbi_request *r = p->data;
    /* content_length counts down: at 0 with nothing before, this piece is the whole body. */
    bool is_whole = !(p->flags & F_CHUNKED) && p->content_length == 0 && r->body_bytes == 0;
    int rc = guard_until(r, at);

    r->unguarded = at + n;
    if (rc)
        return rc;
    if (!jbi_lineguard_is_clean(&r->guard))
        return fail(r, 400, "a carriage return stands alone in the header");
    if (jbi_body_exceeds(r->limits->max_body_bytes, r->body_bytes, n))
        return fail(r, 413, "the request body is too large");
    if (is_whole)
        r->body = at;
    else
        rc = store_body(r, at, n);
    r->body_bytes += n;
    return rc;
}

static int on_message_complete(llhttp_t *p)
{
    jbi_request *r = p->data;

    r->is_keep_alive = llhttp_should_keep_alive(p);
    r->wants_continue = false;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {.on_url = on_url,
                                           .on_header_field = on_field,
                                           .on_header_value = on_value,
                                           .on_header_value_complete = on_value_complete,
                                           .on_headers_complete = on_headers_complete,
                                           .on_body = on_body,
                                           .on_message_complete = on_message_complete};

void jbi_request_init(jbi_request *r, const jbi_request_limits *limits, const jb_alloc *alloc)
{
    memset(r, 0, sizeof(*r));
    r->limits = limits;
    jbi_body_init(&r->stored, alloc);
    jbi_fields_init(&r->fields, alloc);
    llhttp_init(&r->parser, HTTP_REQUEST, &settings);
    r->parser.data = r;
}

static void release_body(jbi_request *r)
{
    jbi_body_release(&r->stored, r->limits);
    r->body = NULL;
    r->body_bytes = 0;
}

void jbi_request_fini(jbi_request *r)
{
    release_body(r);
    jbi_fields_fini(&r->fields);
}

void jbi_request_next(jbi_request *r)
{
    release_body(r);
    r->guard = (jbi_lineguard){.is_after_cr = false};
    r->n_framing = 0;
    r->url_bytes = r->name_bytes = 0;
    r->is_in_value = false;
    jbi_fields_reset(&r->fields);
    r->method = HTTP_GET;
    r->is_begun = r->is_in_body = r->is_awaited = r->wants_continue = false;
}

/* A status for what llhttp itself refused. */
static void blame_parser(jbi_request *r, llhttp_errno_t code)
{
    switch (code) {
    case HPE_PAUSED_H2_UPGRADE:
    case HPE_INVALID_VERSION:
        fail(r, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
        break;
    case HPE_INVALID_METHOD:
        fail(r, 400, "the method is none of HTTP");
        break;
    default:
        fail(r, 400, "the request is not HTTP/1.1");
        break;
    }
}

enum jbi_request_progress jbi_request_feed(jbi_request *r, const char *bytes, size_t n,
                                           size_t *ret_used)
{
    llhttp_errno_t code;
    const char *end = bytes + n;

    r->is_begun = r->is_begun || n > 0;
    r->unguarded = bytes;
    code = llhttp_execute(&r->parser, bytes, n);
    if (code == HPE_PAUSED) {
        end = llhttp_get_error_pos(&r->parser);
        llhttp_resume(&r->parser);
    } else if (code != HPE_OK && !r->status) {
        blame_parser(r, code);
    }
    *ret_used = (size_t)(end - bytes);
    if (!r->status && guard_until(r, end) == 0 && code == HPE_PAUSED &&
        !jbi_lineguard_is_clean(&r->guard))
        fail(r, 400, "a carriage return stands alone in the header");
    if (!r->status && r->url_bytes > r->limits->max_header_bytes / 2)
        fail(r, 414, "the request target is too long");
    if (r->status)
        return JBI_REQUEST_FAILED;
    return code == HPE_PAUSED ? JBI_REQUEST_DONE : JBI_REQUEST_MORE;
}

void jbi_request_target(const jbi_request *r, jbi_call *call)
{
    const char *from = r->url;
    const char *end = r->url + (r->url_bytes < sizeof(r->url) ? r->url_bytes : sizeof(r->url));
    const char *query;

    call->path = call->query = "";
    call->path_bytes = call->query_bytes = 0;
    if (r->url_bytes > sizeof(r->url))
        return;
    if (end - from > 7 && !strncasecmp(from, "http://", 7)) {
        from = memchr(from + 7, '/', (size_t)(end - from - 7));
        if (!from)
            return;
    }
    query = memchr(from, '?', (size_t)(end - from));
    call->path = from;
    call->path_bytes = (size_t)((query ? query : end) - from);
    if (query) {
        call->query = query + 1;
        call->query_bytes = (size_t)(end - query - 1);
    }
}
