/*
 * conn: reading, answering and ending a connection, see conn.h.
 *
 * A read is worked through to its end and all its answers are sent in one write. When a client
 * sends without reading, the rest of the read is held, reading stops, and both go on when the
 * socket has taken what is owed.
 */
#include "host/conn.h"

#include "host/hmem.h"
#include "host/host.h"

#include <string.h>

enum {
    HIGH_WATER_BYTES = 256 * 1024, /* owed to a client before its next request is looked at */
    LINGER_MS = 2000
};

/* What a deadline is for. */
enum part { PART_IDLE = 0, PART_HEADER = 1, PART_BODY = 2, PART_WRITE = 3, PART_LINGER = 4 };

static uint64_t ms(uint64_t ns)
{
    return ns / 1000000u;
}

static void on_closed(uv_handle_t *handle)
{
    jbi_conn *c = handle->data;
    jb_host *host = c->host;

    if (c->prev)
        c->prev->next = c->next;
    else
        host->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    host->service.counters.n_open--;
    jbi_request_fini(&c->request);
    jbi_outq_fini(&c->out);
    jbi_hmem_free(host->alloc, c->held, JBI_CONN_READ_BYTES);
    jbi_hmem_free(host->alloc, c, sizeof(*c));
    jbi_host_handle_closed(host);
}

void jbi_conn_close(jbi_conn *c)
{
    if (c->state == JBI_CONN_CLOSING)
        return;
    c->state = JBI_CONN_CLOSING;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static enum part part_of(const jbi_conn *c)
{
    if (jbi_outq_waiting(&c->out) > 0)
        return PART_WRITE;
    if (c->state == JBI_CONN_LINGER)
        return PART_LINGER;
    if (!c->request.is_begun)
        return PART_IDLE;
    return c->request.is_in_body ? PART_BODY : PART_HEADER;
}

/* Move the deadline after something happened. A header has one from its first byte, however it
 * trickles; a body one from its last byte and a tenfold one from its first. */
static void set_deadline(jbi_conn *c)
{
    const jb_host_opts *o = &c->host->opts;
    uint64_t now = uv_now(c->host->loop);
    enum part part = part_of(c);
    uint64_t body_ms = ms(o->body_timeout_ns);
    uint64_t n_sent = jbi_outq_progress(&c->out);

    bool has_sent = n_sent != c->n_sent_seen;

    c->host->service.counters.n_out_bytes += n_sent - c->n_sent_seen;
    c->n_sent_seen = n_sent;
    if (part != c->part || part == PART_IDLE)
        c->begun_ms = now;
    else if (part == PART_HEADER || part == PART_LINGER || (part == PART_WRITE && !has_sent))
        return;
    c->part = part;
    switch (part) {
    case PART_IDLE:
        c->deadline_ms = now + ms(o->idle_timeout_ns);
        break;
    case PART_HEADER:
        c->deadline_ms = now + ms(o->header_timeout_ns);
        break;
    case PART_BODY:
        c->deadline_ms = now + body_ms;
        if (c->deadline_ms > c->begun_ms + 10 * body_ms)
            c->deadline_ms = c->begun_ms + 10 * body_ms;
        break;
    case PART_WRITE:
        c->deadline_ms = now + ms(o->write_timeout_ns);
        break;
    case PART_LINGER:
        c->deadline_ms = now + LINGER_MS;
        break;
    }
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    jbi_conn *c = req->data;

    c->is_shut = true;
    /* A client that has closed its side already waits for nothing. */
    if (status < 0 || c->is_at_eof)
        jbi_conn_close(c);
}

/* The last answer is given. Closing at once could reset the connection before the client has read
 * it, so only the sending side is closed, and what still comes is thrown away for a while. */
static void linger(jbi_conn *c)
{
    if (c->state != JBI_CONN_OPEN)
        return;
    if (jbi_outq_flush(&c->out) < 0) {
        jbi_conn_close(c);
        return;
    }
    c->state = JBI_CONN_LINGER;
    c->shutdown.data = c;
    if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown) < 0)
        jbi_conn_close(c);
}

static void send_answer(jbi_conn *c, jbi_answer *a, bool is_head)
{
    jb_host *host = c->host;
    jbi_answer_form form = {.is_keep_alive = c->request.is_keep_alive && !host->stop_ms,
                            .is_http_1_0 = c->request.parser.http_minor == 0,
                            .is_head = is_head,
                            .date = jbi_host_date(host)};

    if (a->body->is_broken) {
        jbi_htext_reset(a->body, 0);
        a->status = 500;
    }
    host->service.counters.n_answers[a->status]++;
    jbi_answer_write(a, &form, &c->out.open);
    if (!form.is_keep_alive)
        linger(c);
}

static void answer_request(jbi_conn *c)
{
    jbi_service *s = &c->host->service;
    jbi_request *r = &c->request;
    jbi_call call = {r->body, r->body_bytes, r->method == HTTP_HEAD};
    const char *path = "";
    size_t n_path = jbi_request_path(r, &path);
    const jbi_route *route;
    jbi_answer a;

    jbi_answer_init(&a, &s->text);
    route = jbi_router_find(r->method, path, n_path, &a);
    if (route)
        route->handler(s, &call, &a);
    send_answer(c, &a, call.is_head);
}

static void answer_failure(jbi_conn *c)
{
    jbi_answer a;

    jbi_answer_init(&a, &c->host->service.text);
    jbi_answer_error(&a, c->request.status, c->request.problem);
    if (a.status == 405)
        strcpy(a.allow, "GET, HEAD, POST, OPTIONS");
    if (a.status == 503)
        a.retry_after_s = 1;
    c->request.is_keep_alive = false;
    send_answer(c, &a, c->request.method == HTTP_HEAD);
}

/* Keep what was read and not looked at. */
static void hold(jbi_conn *c, const char *bytes, size_t n)
{
    c->is_paused = true;
    if (!c->held)
        c->held = jbi_hmem_alloc(c->host->alloc, JBI_CONN_READ_BYTES);
    if (!c->held) {
        jbi_conn_close(c);
        return;
    }
    memmove(c->held, bytes, n);
    c->n_held = n;
}

/* Feed until the bytes are used up, the connection ends, or the client owes us some reading. */
static void feed(jbi_conn *c, const char *bytes, size_t n)
{
    while (n > 0 && c->state == JBI_CONN_OPEN) {
        enum jbi_request_progress progress;
        size_t n_used;

        if (jbi_outq_waiting(&c->out) > HIGH_WATER_BYTES) {
            hold(c, bytes, n);
            break;
        }
        progress = jbi_request_feed(&c->request, bytes, n, &n_used);
        bytes += n_used;
        n -= n_used;
        if (progress == JBI_REQUEST_FAILED) {
            answer_failure(c);
        } else if (progress == JBI_REQUEST_DONE) {
            answer_request(c);
            jbi_request_next(&c->request);
            c->part = PART_IDLE; /* what comes next has a deadline of its own */
        } else if (c->request.wants_continue && c->request.is_in_body) {
            jbi_htext_str(&c->out.open, "HTTP/1.1 100 Continue\r\n\r\n");
            c->request.wants_continue = false;
        }
    }
    if (c->state == JBI_CONN_OPEN && jbi_outq_flush(&c->out) < 0)
        jbi_conn_close(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    jbi_conn *c = handle->data;

    *buf = uv_buf_init(c->host->read_buf, JBI_CONN_READ_BYTES);
}

/* The client closed its side: what it is owed is still sent, a request cut short is forgotten. */
static void on_eof(jbi_conn *c)
{
    c->is_at_eof = true;
    if (c->state == JBI_CONN_LINGER && c->is_shut)
        jbi_conn_close(c);
    else if (c->state == JBI_CONN_OPEN)
        linger(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* Work through what was read, and what was held when the socket takes the answers at once; then
 * read on, or not while the client owes us some reading. */
static void work(jbi_conn *c, const char *bytes, size_t n)
{
    feed(c, bytes, n);
    while (c->is_paused && jbi_outq_waiting(&c->out) <= HIGH_WATER_BYTES) {
        c->is_paused = false;
        feed(c, c->held, c->n_held);
    }
    if (c->state == JBI_CONN_CLOSING)
        return;
    if (c->is_paused != c->is_stopped) {
        c->is_stopped = c->is_paused;
        if (c->is_stopped)
            uv_read_stop((uv_stream_t *)&c->tcp);
        else
            uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    }
    set_deadline(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    jbi_conn *c = stream->data;

    if (n == UV_EOF) {
        on_eof(c);
    } else if (n < 0) {
        jbi_conn_close(c);
    } else if (n > 0 && c->state == JBI_CONN_OPEN) {
        c->host->service.counters.n_in_bytes += (uint64_t)n;
        work(c, buf->base, (size_t)n);
    }
}

/* The socket took what was queued: go on with what was held, then with reading. */
static void on_progress(int status, void *userdata)
{
    jbi_conn *c = userdata;

    if (status < 0) {
        jbi_conn_close(c);
        return;
    }
    if (c->state == JBI_CONN_CLOSING)
        return;
    if (c->is_paused)
        work(c, NULL, 0);
    else
        set_deadline(c);
}

void jbi_conn_sweep(jbi_conn *c)
{
    uint64_t now = uv_now(c->host->loop);
    bool is_idle = c->state == JBI_CONN_OPEN && part_of(c) == PART_IDLE;

    if (c->state == JBI_CONN_CLOSING)
        return;
    if (c->host->stop_ms && is_idle) {
        jbi_conn_close(c);
        return;
    }
    if (c->part == PART_WRITE)
        set_deadline(c);
    if (now < c->deadline_ms)
        return;
    c->host->service.counters.n_timeouts += c->part != PART_LINGER;
    if (c->part == PART_HEADER || c->part == PART_BODY) {
        c->request.status = 408;
        c->request.problem = "the request did not come to its end in time";
        answer_failure(c);
        if (c->state != JBI_CONN_CLOSING)
            set_deadline(c);
    } else {
        jbi_conn_close(c);
    }
}

static jbi_conn *make(jb_host *host)
{
    jbi_conn *c = jbi_hmem_zalloc(host->alloc, sizeof(*c));

    if (!c)
        return NULL;
    c->host = host;
    jbi_request_init(&c->request, &host->limits, host->alloc);
    jbi_outq_init(&c->out, (uv_stream_t *)&c->tcp, host->alloc, on_progress, c);
    if (uv_tcp_init(host->loop, &c->tcp) < 0) {
        jbi_hmem_free(host->alloc, c, sizeof(*c));
        return NULL;
    }
    c->tcp.data = c;
    c->next = host->conns;
    if (c->next)
        c->next->prev = c;
    host->conns = c;
    host->n_handles++;
    host->service.counters.n_open++;
    return c;
}

void jbi_conn_accept(jb_host *host)
{
    jbi_counters *n = &host->service.counters;
    jbi_conn *c = make(host);

    /* libuv accepts nothing more until this one is taken, so the next tick tries again. */
    if (!c && !host->is_accept_owed)
        jbi_service_log(&host->service, JB_LOG_ERROR, "no memory for a connection, it has to wait");
    host->is_accept_owed = !c;
    if (!c)
        return;
    if (uv_accept((uv_stream_t *)&host->listener, (uv_stream_t *)&c->tcp) < 0) {
        jbi_conn_close(c);
        return;
    }
    n->n_connections++;
    if (n->n_open > host->opts.max_connections) {
        n->n_refused++;
        jbi_conn_close(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    c->part = PART_LINGER; /* not idle yet, so that the next line counts as a change */
    set_deadline(c);
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) < 0)
        jbi_conn_close(c);
}
