/*
 * http_calls: see http_calls.h.
 */
#include "host/added/http_calls.h"

#include "host/added/added.h"
#include "host/host.h"
#include "host/http/unpack.h"
#include "host/http1/http1.h"

static uint16_t status_of(uint32_t code)
{
    static const uint16_t statuses[] = {200, 503, 500, 400, 504, 404, 409, 403,
                                        429, 409, 409, 422, 501, 500, 503};

    return code < sizeof(statuses) / sizeof(statuses[0]) ? statuses[code] : 500;
}

static void fill_in(jbi_answer *a, uint32_t code, const void *bytes, size_t n, const char *message)
{
    if (code != JB_CALL_OK) {
        jbi_answer_error(a, status_of(code), message);
        a->retry_after_s = a->status == 503 || a->status == 429;
        return;
    }
    a->body->len = 0;
    jbi_htext_add(a->body, bytes, n);
}

/* --- at once */

static void answer_now(jb_call *call, uint32_t code, const void *bytes, size_t n,
                       const char *message)
{
    fill_in(call->to, code, bytes, n, message);
    call->is_answered = true;
}

static const jbi_carrier now = {.answer = answer_now};

/* What the answer will need when the request is gone. */
static void keep_for_later(jb_call *call, const jbi_answer *answer)
{
    if (answer->origin.data && answer->origin.len < sizeof(call->origin)) {
        memcpy(call->origin, answer->origin.data, answer->origin.len);
        call->origin[answer->origin.len] = '\0';
    }
    call->is_head = call->request->is_head;
    call->is_inside = false;
    call->request = NULL;
    call->body = (jbi_slice){NULL, 0};
}

void jbi_added_answer(jbi_service *s, const jbi_call *request, jbi_answer *answer)
{
    const jbi_added_route *r = (const jbi_added_route *)request->route;
    jbi_call plain;
    jb_call *call;

    if (!jbi_unpack(request, s->opts->max_body_bytes, &s->unpacked, &plain, answer))
        return;
    call = jbi_call_create(request->host, r->entry, request->who);
    if (!call) {
        jbi_answer_error(answer, 503, "no memory for the request");
        return;
    }
    call->carrier = &now;
    call->to = answer;
    call->request = request;
    call->body = (jbi_slice){plain.body, plain.body_bytes};
    call->is_inside = true;
    r->entry->handle(call, r->service->userdata);
    if (call->is_answered) {
        jbi_call_free(call);
        return;
    }
    keep_for_later(call, answer);
    answer->later = call;
}

/* --- later */

/* The answer to a call that has waited. */
static void make_later(const jb_call *call, jbi_answer *a, uint32_t code, const void *bytes,
                       size_t n, const char *message)
{
    jbi_answer_init(a, &call->host->added.text);
    if (call->origin[0])
        a->origin = jbi_slice_str(call->origin);
    fill_in(a, code, bytes, n, message);
    if (a->body->is_broken) {
        a->body->len = 0;
        a->body->is_broken = false;
        a->status = 503;
    }
}

static void answer_waiting(jb_call *call, uint32_t code, const void *bytes, size_t n,
                           const char *message)
{
    jbi_conn *c = call->to;
    jb_host *host = call->host;
    bool goes_on = call->is_keep_alive && !call->is_spoiled && !host->stop_ms;
    jbi_answer_form form = {.is_keep_alive = goes_on,
                            .is_http_1_0 = call->is_http_1_0,
                            .is_head = call->is_head,
                            .date = jbi_host_date(host)};
    jbi_answer a;

    make_later(call, &a, code, bytes, n, message);
    host->service.counters.n_answers[a.status]++;
    jbi_answer_write(&a, &form, &c->out.open);
    c->session = NULL;
    jbi_call_free(call);
    if (goes_on)
        jbi_conn_switch(c, &jbi_http1, NULL);
    jbi_added_wake(c);
}

static const jbi_carrier waiting = {.answer = answer_waiting};

static int open_waiting(jbi_conn *c, void *arg)
{
    jb_call *call = arg;

    call->carrier = &waiting;
    call->to = c;
    c->session = call;
    return 0;
}

static void close_waiting(jbi_conn *c)
{
    jb_call *call = c->session;

    c->session = NULL;
    if (call)
        jbi_call_abandon(call);
}

static size_t feed(jbi_conn *c, const char *bytes, size_t n)
{
    jb_call *call = c->session;

    if (call)
        call->is_spoiled = true;
    return n;
}

/* Answered, and the connection ends with it. */
static void pump(jbi_conn *c)
{
    if (!c->session)
        jbi_conn_end(c);
}

static enum jbi_conn_part part(const jbi_conn *c)
{
    return JBI_CONN_STREAM;
}

/* A client of HTTP/1.1 cannot be asked whether it is there. */
static void expire(jbi_conn *c)
{
}

static void drain(jbi_conn *c)
{
    if (!c->session)
        return;
    jbi_call_tell(c->session);
    answer_waiting(c->session, JB_CALL_UNAVAILABLE, NULL, 0, "the host is stopping");
}

const jbi_protocol jbi_waiting = {.name = "waiting",
                                  .open = open_waiting,
                                  .close = close_waiting,
                                  .feed = feed,
                                  .pump = pump,
                                  .part = part,
                                  .expire = expire,
                                  .drain = drain};

#ifdef JBI_HAVE_HTTP2

#include "host/http2/http2.h"

static void answer_h2(jb_call *call, uint32_t code, const void *bytes, size_t n,
                      const char *message)
{
    jbi_h2_stream *s = call->to;
    jbi_answer a;

    make_later(call, &a, code, bytes, n, message);
    s->call = NULL;
    jbi_h2_stream_answer(s, &a);
    jbi_call_free(call);
    jbi_added_wake(jbi_h2_stream_conn(s));
}

static const jbi_carrier waiting_h2 = {.answer = answer_h2};

static void ignore_data(jbi_h2_stream *s, const char *bytes, size_t n)
{
    jbi_h2_consume(s, n);
}

static void ignore(jbi_h2_stream *s)
{
}

static void drain_h2(jbi_h2_stream *s)
{
    jbi_call_tell(s->call);
    answer_h2(s->call, JB_CALL_UNAVAILABLE, NULL, 0, "the host is stopping");
}

static void close_h2(jbi_h2_stream *s)
{
    jbi_call_abandon(s->call);
    s->call = NULL;
}

/* For a plain request whose answer is awaited, and after it. */
static const jbi_h2_app app = {.data = ignore_data,
                               .end = ignore,
                               .fill = ignore,
                               .trailer = ignore,
                               .tick = ignore,
                               .drain = drain_h2,
                               .close = close_h2};

void jbi_added_wait_h2(jbi_h2_stream *s, jb_call *call)
{
    call->carrier = &waiting_h2;
    call->to = s;
    s->app = &app;
    s->call = call;
}

#endif
