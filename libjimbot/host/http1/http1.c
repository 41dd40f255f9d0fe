/*
 * http1: see http1.h. The next request is looked at only when the one before is answered, so what
 * is pipelined needs no queue.
 */
#include "host/http1/http1.h"

#include "host/added/http_calls.h"
#include "host/host.h"
#include "host/http1/request.h"
#include "host/text/hmem.h"

#include <string.h>

static int open_session(jbi_conn *c, void *arg)
{
    jbi_request *r = jbi_hmem_alloc(c->host->alloc, sizeof(*r));

    if (!r)
        return JB_ENOMEM;
    jbi_request_init(r, &c->host->limits, c->host->alloc);
    c->session = r;
    return 0;
}

static void close_session(jbi_conn *c)
{
    jbi_request *r = c->session;

    jbi_request_fini(r);
    jbi_hmem_free(c->host->alloc, r, sizeof(*r));
}

static void send_answer(jbi_conn *c, jbi_answer *a)
{
    const jbi_request *r = c->session;
    jb_host *host = c->host;
    jbi_answer_form form = {.is_keep_alive = r->is_keep_alive && !host->stop_ms,
                            .is_http_1_0 = r->parser.http_minor == 0,
                            .is_head = r->method == HTTP_HEAD,
                            .date = jbi_host_date(host)};

    if (a->body->is_broken) {
        jbi_htext_reset(a->body, 0);
        a->status = 500;
    }
    host->service.counters.n_answers[a->status]++;
    jbi_answer_write(a, &form, &c->out.open);
    if (!a->next && !form.is_keep_alive)
        jbi_conn_end(c);
}

static jbi_call call_of(jbi_conn *c)
{
    const jbi_request *r = c->session;
    jbi_call call = {.host = c->host,
                     .conn = c,
                     .fields = &r->fields,
                     .body = r->body,
                     .body_bytes = r->body_bytes,
                     .is_head = r->method == HTTP_HEAD,
                     .can_switch = true};

    jbi_request_target(r, &call);
    return call;
}

/* The header is here and not all of the body: go on, or answer without the rest of it and end. */
static void await_body(jbi_conn *c)
{
    jbi_request *r = c->session;
    jbi_call call = call_of(c);
    jbi_answer a;

    jbi_answer_init(&a, &c->host->service.text);
    r->is_awaited = jbi_router_awaits(llhttp_method_name((llhttp_method_t)r->method), &call, &a);
    if (!r->is_awaited) {
        r->is_keep_alive = false;
        send_answer(c, &a);
        jbi_request_next(r);
    } else if (r->wants_continue) {
        jbi_htext_str(&c->out.open, "HTTP/1.1 100 Continue\r\n\r\n");
        r->wants_continue = false;
    }
}

/* The answer comes later: till then the connection is another protocol's. */
static void wait_for(jbi_conn *c, jb_call *call)
{
    const jbi_request *r = c->session;

    call->is_keep_alive = r->is_keep_alive;
    call->is_http_1_0 = r->parser.http_minor == 0;
    jbi_conn_switch(c, &jbi_waiting, call);
}

/* Answer the request that is done. */
static void answer_request(jbi_conn *c)
{
    jbi_request *r = c->session;
    jbi_call call = call_of(c);
    jbi_answer a;

    jbi_answer_init(&a, &c->host->service.text);
    jbi_router_answer(llhttp_method_name((llhttp_method_t)r->method), &call, &a);
    if (a.later) {
        wait_for(c, a.later);
        return;
    }
    send_answer(c, &a);
    jbi_request_next(r);
    if (a.next)
        jbi_conn_switch(c, a.next, a.next_arg);
}

static void answer_failure(jbi_conn *c)
{
    jbi_request *r = c->session;
    jbi_answer a;

    jbi_answer_init(&a, &c->host->service.text);
    jbi_answer_error(&a, r->status, r->problem);
    if (a.status == 405)
        strcpy(a.allow, "GET, HEAD, POST, OPTIONS");
    if (a.status == 503)
        a.retry_after_s = 1;
    r->is_keep_alive = false;
    send_answer(c, &a);
}

static size_t feed(jbi_conn *c, const char *bytes, size_t n)
{
    jbi_request *r = c->session;
    size_t n_used;

    switch (jbi_request_feed(r, bytes, n, &n_used)) {
    case JBI_REQUEST_FAILED:
        answer_failure(c);
        break;
    case JBI_REQUEST_DONE:
        c->part = JBI_CONN_NONE; /* what comes next has a deadline of its own */
        answer_request(c);
        break;
    case JBI_REQUEST_MORE:
        if (r->is_in_body && !r->is_awaited)
            await_body(c);
        break;
    }
    return n_used;
}

static enum jbi_conn_part part(const jbi_conn *c)
{
    const jbi_request *r = c->session;

    if (!r->is_begun)
        return JBI_CONN_IDLE;
    return r->is_in_body ? JBI_CONN_BODY : JBI_CONN_HEADER;
}

static void expire(jbi_conn *c)
{
    jbi_request *r = c->session;

    c->host->service.counters.n_timeouts++;
    r->status = 408;
    r->problem = "the request did not come to its end in time";
    answer_failure(c);
}

const jbi_protocol jbi_http1 = {.name = "http1",
                                .open = open_session,
                                .close = close_session,
                                .feed = feed,
                                .part = part,
                                .expire = expire};
