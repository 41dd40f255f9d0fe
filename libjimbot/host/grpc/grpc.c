/*
 * grpc: see grpc.h: how a call begins, what it says, and its status. What comes in is intake.c's.
 */
#include "host/grpc/grpc.h"

#include "host/grpc/gzip.h"
#include "host/grpc/intake.h"
#include "host/host.h"
#include "host/http2/http2.h"
#include "host/text/hmem.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    PREFIX = JBI_GRPC_PREFIX_BYTES,
    GZIP_FROM_BYTES = 512 /* a smaller message is not worth it */
};

struct jb_host *jbi_grpc_host(const jbi_grpc_call *call)
{
    return jbi_h2_stream_host(call->stream);
}

uint64_t jbi_grpc_now_ms(const jbi_grpc_call *call)
{
    return uv_now(jbi_grpc_host(call)->loop);
}

static const jbi_request_limits *limits_of(const jbi_grpc_call *call)
{
    return &jbi_grpc_host(call)->limits;
}

/* --- time */

static void sooner(uint64_t *at_ms, uint64_t other_ms)
{
    if (other_ms && (!*at_ms || other_ms < *at_ms))
        *at_ms = other_ms;
}

void jbi_grpc_set_wake(jbi_grpc_call *call)
{
    uint64_t at_ms = call->deadline_ms;

    sooner(&at_ms, call->retry_ms);
    sooner(&at_ms, call->method_ms);
    sooner(&at_ms, call->rest_ms);
    if (!call->is_finished)
        jbi_h2_wake_at(call->stream, at_ms);
}

void jbi_grpc_tick_at(jbi_grpc_call *call, uint64_t at_ms)
{
    call->method_ms = at_ms;
    jbi_grpc_set_wake(call);
}

void jbi_grpc_wake(jbi_grpc_call *call)
{
    jbi_h2_resume(call->stream);
    jbi_conn_wake(jbi_h2_stream_conn(call->stream));
}

/* --- what goes out */

void jbi_grpc_start(jbi_grpc_call *call)
{
    nghttp2_nv fields[4] = {jbi_h2_literal(":status", "200"),
                            jbi_h2_literal("content-type", "application/grpc"),
                            jbi_h2_literal("grpc-accept-encoding", "identity,gzip"),
                            jbi_h2_literal("grpc-encoding", "gzip")};

    if (!call->stream->is_answered)
        jbi_h2_answer(call->stream, fields, call->is_gzip_out ? 4 : 2, false);
}

size_t jbi_grpc_waiting(const jbi_grpc_call *call)
{
    return call->stream->out.len - call->stream->out_at;
}

size_t jbi_grpc_begin(jbi_grpc_call *call)
{
    jbi_h2_stream *s = call->stream;
    size_t mark;

    /* It is emptied when all of it was read, which somebody who keeps it filled never lets be. */
    if (s->out_at > JBI_GRPC_OUT_BYTES) {
        memmove(s->out.data, s->out.data + s->out_at, s->out.len - s->out_at);
        s->out.len -= s->out_at;
        s->out_at = 0;
    }
    mark = s->out.len;
    jbi_htext_add(&s->out, "\0\0\0\0\0", PREFIX);
    return mark;
}

void jbi_grpc_drop(jbi_grpc_call *call, size_t mark)
{
    call->stream->out.len = mark;
}

void jbi_grpc_end(jbi_grpc_call *call, size_t mark)
{
    jbi_htext *out = &call->stream->out;
    uint8_t *prefix;
    size_t n;

    if (out->is_broken)
        return;
    if (call->is_gzip_out && out->len - mark > GZIP_FROM_BYTES + PREFIX &&
        jbi_gzip_close(out, mark + PREFIX) == 0)
        out->data[mark] = 1;
    n = out->len - mark - PREFIX;
    prefix = (uint8_t *)out->data + mark;
    for (int i = 0; i < 4; i++)
        prefix[1 + i] = (uint8_t)(n >> (24 - 8 * i));
    jbi_grpc_start(call);
    jbi_h2_resume(call->stream);
}

/* Percent-encoding of grpc-message: what is not printable ASCII, and the percent sign. */
static size_t write_message(const char *message, char *to, size_t cap)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;

    for (; *message && n + 3 <= cap; message++) {
        uint8_t b = (uint8_t)*message;

        if (b >= 0x20 && b < 0x7f && b != '%') {
            to[n++] = *message;
        } else {
            to[n++] = '%';
            to[n++] = digits[b >> 4];
            to[n++] = digits[b & 15];
        }
    }
    return n;
}

static void submit_status(jbi_grpc_call *call, bool is_alone)
{
    static const char *const codes[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                        "9", "10", "11", "12", "13", "14", "15", "16"};
    char message[sizeof(call->problem) * 3];
    size_t n_message = write_message(call->problem, message, sizeof(message));
    nghttp2_nv fields[4] = {jbi_h2_literal(":status", "200"),
                            jbi_h2_literal("content-type", "application/grpc"),
                            jbi_h2_literal("grpc-status", codes[call->code]),
                            jbi_h2_nv("grpc-message", message, n_message)};
    size_t n = n_message ? 4 : 3;

    if (is_alone)
        jbi_h2_answer(call->stream, fields, n, true);
    else
        nghttp2_submit_trailer(call->stream->h2->session, call->stream->id, fields + 2, n - 2);
}

static void close_method(jbi_grpc_call *call)
{
    if (call->state && call->method->close)
        call->method->close(call);
    call->state = NULL;
}

static void finish(jbi_grpc_call *call, uint32_t code)
{
    jbi_h2_stream *s = call->stream;

    call->is_finished = true;
    call->is_blocked = false;
    call->code = code;
    jbi_grpc_host(call)->service.counters.n_grpc[code]++;
    close_method(call);
    jbi_h2_wake_at(s, 0);
    s->is_ended = true;
    if (s->is_answered) {
        s->has_trailer = true;
        jbi_h2_resume(s);
    } else {
        submit_status(call, true);
    }
}

void jbi_grpc_done(jbi_grpc_call *call)
{
    if (!call->is_finished)
        finish(call, JBI_GRPC_OK);
}

void jbi_grpc_finish(jbi_grpc_call *call, uint32_t code, const char *fmt, ...)
{
    va_list args;

    if (call->is_finished)
        return;
    va_start(args, fmt);
    vsnprintf(call->problem, sizeof(call->problem), fmt, args);
    va_end(args);
    finish(call, code);
}

static void on_trailer(jbi_h2_stream *s)
{
    submit_status(s->call, false);
}

bool jbi_grpc_may(jbi_grpc_call *call)
{
    enum jbi_verdict verdict = jbi_gate_may(jbi_grpc_host(call), &call->who, call->method->scope);

    if (verdict != JBI_GATE_OPEN)
        jbi_grpc_finish(call, (uint32_t)jbi_gate_grpc_status(verdict), "%s",
                        jbi_gate_problem(verdict));
    return verdict == JBI_GATE_OPEN;
}

/* --- from the stream */

static void on_data(jbi_h2_stream *s, const char *bytes, size_t n)
{
    if (s->call)
        jbi_grpc_feed(s->call, bytes, n);
    else
        jbi_h2_consume(s, n);
}

static void on_end(jbi_h2_stream *s)
{
    jbi_grpc_call *call = s->call;

    if (!call)
        return;
    call->is_half_closed = true;
    jbi_grpc_check_end(call);
}

static void on_fill(jbi_h2_stream *s)
{
    jbi_grpc_call *call = s->call;

    if (!call || call->is_finished)
        return;
    jbi_grpc_retry(call);
    if (!call->is_finished && call->method->fill && jbi_grpc_may(call))
        call->method->fill(call);
}

static void on_tick(jbi_h2_stream *s)
{
    jbi_grpc_call *call = s->call;
    uint64_t now_ms = jbi_grpc_now_ms(call);

    if (call->deadline_ms && now_ms >= call->deadline_ms) {
        jbi_grpc_finish(call, JBI_GRPC_DEADLINE_EXCEEDED, "the deadline has passed");
        jbi_grpc_forget(call);
        return;
    }
    if (call->rest_ms && now_ms >= call->rest_ms)
        jbi_grpc_expire(call);
    if (call->retry_ms && now_ms >= call->retry_ms)
        jbi_grpc_retry(call);
    if (!call->is_finished && call->method_ms && now_ms >= call->method_ms) {
        call->method_ms = 0;
        call->method->tick(call);
    }
    jbi_grpc_set_wake(call);
}

static void on_drain(jbi_h2_stream *s)
{
    jbi_grpc_call *call = s->call;

    if (!call->is_finished && (call->method->is_endless || call->is_blocked)) {
        jbi_grpc_finish(call, JBI_GRPC_UNAVAILABLE, "the host is stopping");
        jbi_grpc_forget(call);
    }
}

static void on_close(jbi_h2_stream *s)
{
    jbi_grpc_call *call = s->call;
    const jb_host *host = jbi_grpc_host(call);

    if (!call->is_finished)
        jbi_grpc_host(call)->service.counters.n_grpc[JBI_GRPC_CANCELLED]++;
    close_method(call);
    jbi_body_release(&call->in, limits_of(call));
    jbi_body_release(&call->plain, limits_of(call));
    jbi_hmem_free(host->alloc, call, sizeof(*call));
    s->call = NULL;
}

/* --- the beginning */

static bool is_ours(const jbi_h2_stream *s)
{
    size_t n;
    const char *type = jbi_fields_get(&s->fields, JBI_FIELD_CONTENT_TYPE, &n);

    return (type && n >= strlen("application/grpc") &&
            !memcmp(type, "application/grpc", strlen("application/grpc"))) ||
           jbi_grpc_find(jbi_h2_stream_host(s), s->path.data, s->path.len) != NULL;
}

/* The status of HTTP for what is no call: 0 it is one. */
static uint16_t refusal(const jbi_h2_stream *s)
{
    size_t n = 0;
    const char *type = jbi_fields_get(&s->fields, JBI_FIELD_CONTENT_TYPE, &n);
    size_t n_base = strlen("application/grpc");
    const char *rest;

    if (!type || n < n_base || memcmp(type, "application/grpc", n_base) != 0)
        return 415;
    rest = type + n_base;
    n -= n_base;
    if (n > 0 && *rest != ';' &&
        !(n >= 6 && !memcmp(rest, "+proto", 6) && (n == 6 || rest[6] == ';')))
        return 415;
    return strcmp(s->method, "POST") ? 405 : 0;
}

/* Nanoseconds of a unit of grpc-timeout, 0: there is none of that letter. */
static uint64_t unit_ns(char letter)
{
    switch (letter) {
    case 'H':
        return 3600 * 1000000000ull;
    case 'M':
        return 60 * 1000000000ull;
    case 'S':
        return 1000000000;
    case 'm':
        return 1000000;
    case 'u':
        return 1000;
    case 'n':
        return 1;
    default:
        return 0;
    }
}

/* False when grpc-timeout is none. */
static bool read_timeout(jbi_grpc_call *call)
{
    size_t n;
    const char *text = jbi_fields_get(&call->stream->fields, JBI_FIELD_GRPC_TIMEOUT, &n);
    uint64_t value = 0;
    uint64_t unit;

    if (!text)
        return true;
    unit = n >= 2 && n <= 9 ? unit_ns(text[n - 1]) : 0;
    for (size_t i = 0; unit && i + 1 < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (!unit)
        return false;
    /* Up: it is the client that gives up first. */
    call->deadline_ms = jbi_grpc_now_ms(call) + value / 1000000 * unit +
                        (value % 1000000 * unit + 999999) / 1000000;
    return true;
}

static void read_encoding(jbi_grpc_call *call)
{
    const jbi_fields *f = &call->stream->fields;

    call->is_gzip_in = jbi_fields_is(f, JBI_FIELD_GRPC_ENCODING, "gzip");
    call->has_encoding = f->present & 1u << JBI_FIELD_GRPC_ENCODING &&
                         !jbi_fields_is(f, JBI_FIELD_GRPC_ENCODING, "identity");
    call->is_gzip_out =
        call->is_gzip_in && jbi_fields_has_word(f, JBI_FIELD_GRPC_ACCEPT_ENCODING, "gzip");
}

/* Refuse it by a status, or let it go on. */
static void begin(jbi_grpc_call *call)
{
    const jbi_h2_stream *s = call->stream;
    enum jbi_verdict verdict = jbi_gate_check(jbi_grpc_host(call), s->h2->conn, &s->fields,
                                              call->method->scope, &call->who);

    if (verdict == JBI_GATE_OPEN && call->method->is_session)
        verdict = jbi_gate_known(jbi_grpc_host(call), &call->who);
    if (verdict != JBI_GATE_OPEN)
        jbi_grpc_finish(call, (uint32_t)jbi_gate_grpc_status(verdict), "%s",
                        jbi_gate_problem(verdict));
    else if (!call->method->path)
        jbi_grpc_finish(call, JBI_GRPC_UNIMPLEMENTED, "there is no method %.*s",
                        s->path.len < 200 ? (int)s->path.len : 200, s->path.data);
    else if (jbi_grpc_host(call)->service.is_draining)
        jbi_grpc_finish(call, JBI_GRPC_UNAVAILABLE, "the host is stopping");
    else if (call->has_encoding && !call->is_gzip_in)
        jbi_grpc_finish(call, JBI_GRPC_UNIMPLEMENTED, "the only compression known is gzip");
    else if (!read_timeout(call))
        jbi_grpc_finish(call, JBI_GRPC_INVALID_ARGUMENT, "grpc-timeout is none");
    else if (!call->method->is_unary)
        jbi_grpc_start(call);
    jbi_grpc_await(call);
    jbi_grpc_set_wake(call);
}

static void on_open(jbi_h2_stream *s)
{
    static const jbi_grpc_method none = {.path = NULL};
    struct jb_host *host = jbi_h2_stream_host(s);
    const jbi_grpc_method *method = jbi_grpc_find(host, s->path.data, s->path.len);
    uint16_t status = refusal(s);
    jbi_grpc_call *call = status ? NULL : jbi_hmem_zalloc(host->alloc, sizeof(*call));

    if (status) {
        nghttp2_nv fields[2] = {jbi_h2_nv(":status", status == 405 ? "405" : "415", 3),
                                jbi_h2_nv("allow", "POST", 4)};

        host->service.counters.n_answers[status]++;
        jbi_h2_answer(s, fields, status == 405 ? 2 : 1, true);
        return;
    }
    if (!call) {
        jbi_h2_abort(s, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    s->call = call;
    call->stream = s;
    call->method = method ? method : &none;
    jbi_body_init(&call->in, host->alloc);
    jbi_body_init(&call->plain, host->alloc);
    read_encoding(call);
    begin(call);
}

const jbi_h2_app jbi_grpc = {.knows = is_ours,
                             .open = on_open,
                             .data = on_data,
                             .end = on_end,
                             .fill = on_fill,
                             .trailer = on_trailer,
                             .tick = on_tick,
                             .drain = on_drain,
                             .close = on_close};
