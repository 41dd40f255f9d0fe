/*
 * http2: see http2.h: the session: callbacks of nghttp2, deadlines, the end.
 *
 * Windows are updated by hand. That of the connection is reopened at once, because every stream has
 * one of its own and what streams keep is charged against a limit that all connections share; so a
 * stream that waits for the bus never stops its neighbours.
 */
#include "host/http2/http2.h"

#include "host/host.h"
#include "host/http2/h2mem.h"
#include "host/text/hmem.h"

enum {
    CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024,
    SPARE_MAX = 64,
    RESETS_PER_S = 200 /* streams begun and reset that a client may go on with for ever */
};

/* --- streams */

static jbi_h2_stream *take_stream(jbi_h2 *h2, int32_t id)
{
    jbi_h2_stream *s = h2->spare;

    if (s) {
        h2->spare = s->next;
        h2->n_spare--;
    } else {
        s = jbi_hmem_alloc(h2->conn->host->alloc, sizeof(*s));
        if (!s)
            return NULL;
        jbi_h2_stream_init(s, h2);
    }
    s->id = id;
    s->prev = NULL;
    s->next = h2->streams;
    if (s->next)
        s->next->prev = s;
    h2->streams = s;
    h2->n_streams++;
    return s;
}

static void free_stream(jbi_h2 *h2, jbi_h2_stream *s)
{
    jbi_h2_stream_fini(s);
    jbi_hmem_free(h2->conn->host->alloc, s, sizeof(*s));
}

static void drop_stream(jbi_h2 *h2, jbi_h2_stream *s)
{
    if (s->call)
        s->app->close(s);
    if (s->prev)
        s->prev->next = s->next;
    else
        h2->streams = s->next;
    if (s->next)
        s->next->prev = s->prev;
    h2->n_streams--;
    if (h2->n_spare == SPARE_MAX) {
        free_stream(h2, s);
        return;
    }
    jbi_h2_stream_reset(s);
    s->next = h2->spare;
    h2->spare = s;
    h2->n_spare++;
}

/* --- time */

static void arm(jbi_h2 *h2, uint64_t at_ms)
{
    if (h2->alarm_ms && h2->alarm_ms <= at_ms)
        return;
    h2->alarm_ms = at_ms;
    jbi_alarm_at(h2->alarm, at_ms);
}

/* A tick is work of the protocol as a feed is: what it wakes is looked at when all are done, not
 * within one of them, which may have begun a message. */
static void on_alarm(void *userdata)
{
    jbi_h2 *h2 = userdata;
    uint64_t now_ms = uv_now(h2->conn->host->loop);

    h2->alarm_ms = 0;
    h2->conn->is_working = true;
    for (jbi_h2_stream *s = h2->streams, *next; s; s = next) {
        next = s->next;
        if (s->at_ms && s->at_ms <= now_ms) {
            s->at_ms = 0;
            s->app->tick(s);
        }
        if (s->at_ms)
            arm(h2, s->at_ms);
    }
    h2->conn->is_working = false;
    jbi_conn_wake(h2->conn);
}

void jbi_h2_wake_at(jbi_h2_stream *s, uint64_t at_ms)
{
    s->at_ms = at_ms;
    if (!at_ms)
        return;
    if (!s->h2->alarm)
        s->h2->alarm = jbi_alarm_create(s->h2->conn->host, on_alarm, s->h2);
    if (!s->h2->alarm) {
        jbi_h2_abort(s, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    arm(s->h2, at_ms);
}

/* --- callbacks of nghttp2 */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *userdata)
{
    jbi_h2 *h2 = userdata;
    jbi_h2_stream *s;

    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    s = take_stream(h2, frame->hd.stream_id);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    h2->is_in_header = true;
    nghttp2_session_set_stream_user_data(session, s->id, s);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *userdata)
{
    jbi_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    nghttp2_vec n = nghttp2_rcbuf_get_buf(name);
    nghttp2_vec v = nghttp2_rcbuf_get_buf(value);

    /* Nobody here looks at the trailer of a request. */
    if (!s || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    return jbi_h2_stream_field(s, (const char *)n.base, n.len, (const char *)v.base, v.len);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t n, void *userdata)
{
    jbi_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

    nghttp2_session_consume_connection(session, n);
    if (s)
        jbi_h2_stream_data(s, (const char *)bytes, n);
    return 0;
}

/* A client may give up calls; one that does nothing else makes us work for nothing. */
static void count_reset(jbi_h2 *h2)
{
    const jbi_conn *c = h2->conn;
    uint64_t now_ms = uv_now(c->host->loop);
    uint64_t n_gone = (now_ms - h2->reset_ms) * RESETS_PER_S / 1000;

    if (n_gone) {
        h2->n_resets -= n_gone < h2->n_resets ? (uint32_t)n_gone : h2->n_resets;
        h2->reset_ms = now_ms;
    }
    if (++h2->n_resets > 2 * c->host->opts.max_streams)
        nghttp2_session_terminate_session(h2->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *userdata)
{
    jbi_h2 *h2 = userdata;
    jbi_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    h2->is_pinged = false;
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS:
        h2->is_begun = true;
        return 0;
    case NGHTTP2_RST_STREAM:
        count_reset(h2);
        return 0;
    case NGHTTP2_HEADERS:
        h2->is_in_header = false;
        if (s && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            jbi_h2_stream_header_end(s, !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM));
        break;
    case NGHTTP2_DATA:
        break;
    default:
        return 0;
    }
    if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        jbi_h2_stream_end(s);
    return 0;
}

/* A call that ended before its client did: the client need not go on; nor that of a plain request
 * while the host stops, which else would wait for it. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *userdata)
{
    jbi_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
                  (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA);

    if (!s || !is_end || s->is_remote_end)
        return 0;
    s->is_said = true;
    if (s->app || ((const jbi_h2 *)userdata)->drain_ms)
        jbi_h2_abort(s, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code,
                           void *userdata)
{
    jbi_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    jbi_h2 *h2 = userdata;

    h2->is_in_header = false;
    if (s) {
        nghttp2_session_set_stream_user_data(session, id, NULL);
        drop_stream(h2, s);
    }
    return 0;
}

/* --- the session */

static int make_session(jbi_h2 *h2)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    int rc = NGHTTP2_ERR_NOMEM;

    if (nghttp2_session_callbacks_new(&callbacks) < 0)
        return rc;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    if (nghttp2_option_new(&option) == 0) {
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_max_outbound_ack(option, 256);
#ifdef JBI_H2_HAS_RESET_LIMIT
        /* count_reset() does it, whatever the version of nghttp2. */
        nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, UINT64_MAX);
#endif
        rc = nghttp2_session_server_new3(&h2->session, callbacks, h2, option, &h2->mem);
        nghttp2_option_del(option);
    }
    nghttp2_session_callbacks_del(callbacks);
    return rc;
}

static int submit_settings(jbi_h2 *h2)
{
    const jb_host_opts *o = &h2->conn->host->opts;
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, o->max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, JBI_H2_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, o->max_header_bytes}};
    int rc = nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, entries,
                                     sizeof(entries) / sizeof(entries[0]));

    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                                   CONNECTION_WINDOW_BYTES);
    return rc;
}

static void close_session(jbi_conn *c)
{
    jbi_h2 *h2 = c->session;

    while (h2->streams)
        drop_stream(h2, h2->streams);
    for (jbi_h2_stream *s = h2->spare, *next; s; s = next) {
        next = s->next;
        free_stream(h2, s);
    }
    nghttp2_session_del(h2->session);
    jbi_alarm_destroy(h2->alarm);
    jbi_hmem_free(c->host->alloc, h2, sizeof(*h2));
}

static int open_session(jbi_conn *c, void *arg)
{
    jbi_h2 *h2 = jbi_hmem_zalloc(c->host->alloc, sizeof(*h2));

    if (!h2)
        return JB_ENOMEM;
    h2->conn = c;
    h2->mem = jbi_h2mem(c->host->alloc);
    h2->reset_ms = uv_now(c->host->loop);
    c->session = h2;
    if (make_session(h2) < 0 || submit_settings(h2) < 0) {
        close_session(c);
        c->session = NULL;
        return JB_ENOMEM;
    }
    return 0;
}

/* Take what is ready out of nghttp2, as long as the client reads. */
static void give(jbi_conn *c)
{
    jbi_h2 *h2 = c->session;
    const uint8_t *bytes;
    ssize_t n = 0;

    while (!jbi_conn_is_full(c) && (n = nghttp2_session_mem_send(h2->session, &bytes)) > 0)
        jbi_htext_add(&c->out.open, (const char *)bytes, (size_t)n);
    if (n < 0)
        jbi_conn_close(c);
    else if (!nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session))
        jbi_conn_end(c);
}

static void fail(jbi_conn *c, ssize_t problem)
{
    jbi_h2 *h2 = c->session;
    uint32_t code = problem == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM
                    : problem == NGHTTP2_ERR_NOMEM ? NGHTTP2_INTERNAL_ERROR
                                                   : NGHTTP2_PROTOCOL_ERROR;

    nghttp2_session_terminate_session(h2->session, code);
    give(c);
    jbi_conn_end(c);
}

static size_t feed(jbi_conn *c, const char *bytes, size_t n)
{
    jbi_h2 *h2 = c->session;
    ssize_t n_used = nghttp2_session_mem_recv(h2->session, (const uint8_t *)bytes, n);

    if (n_used < 0)
        fail(c, n_used);
    else
        give(c);
    /* There may be more, and the socket may take at once what is there: nobody else would ask. */
    if (jbi_conn_is_full(c))
        jbi_conn_wake(c);
    return n;
}

static enum jbi_conn_part part(const jbi_conn *c)
{
    const jbi_h2 *h2 = c->session;

    if (!h2->is_begun || h2->is_in_header)
        return JBI_CONN_HEADER;
    return h2->n_bodies ? JBI_CONN_BODY : JBI_CONN_STREAM;
}

static void expire_bodies(jbi_h2 *h2)
{
    const struct jb_host *host = h2->conn->host;
    uint64_t now_ms = uv_now(host->loop);
    uint64_t patience_ms = host->opts.body_timeout_ns / 1000000u;

    for (jbi_h2_stream *s = h2->streams; s; s = s->next) {
        if (s->is_body_due &&
            (now_ms - s->last_ms >= patience_ms || now_ms - s->begun_ms >= 10 * patience_ms))
            jbi_h2_stream_expire(s);
    }
}

static void expire(jbi_conn *c)
{
    jbi_h2 *h2 = c->session;
    enum jbi_conn_part of = part(c);

    if (of == JBI_CONN_BODY) {
        expire_bodies(h2);
    } else if (of == JBI_CONN_HEADER || h2->is_pinged) {
        c->host->service.counters.n_timeouts++;
        nghttp2_session_terminate_session(h2->session, NGHTTP2_NO_ERROR);
    } else if (h2->n_streams == 0) {
        nghttp2_session_terminate_session(h2->session, NGHTTP2_NO_ERROR);
    } else {
        h2->is_pinged = true;
        nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
    }
    jbi_conn_wake(c);
}

/* At each sweep, because a call may come to wait for the bus after the first. */
static void drain_streams(const jbi_h2 *h2)
{
    for (jbi_h2_stream *s = h2->streams; s; s = s->next) {
        if (s->call)
            s->app->drain(s);
        else if (s->is_said && !s->is_remote_end && !s->app)
            jbi_h2_abort(s, NGHTTP2_NO_ERROR);
    }
}

/* First a GOAWAY that refuses nothing, because requests may be on their way; one sweep later one
 * that names the last of them. */
static void drain(jbi_conn *c)
{
    jbi_h2 *h2 = c->session;

    if (!h2->drain_ms) {
        h2->drain_ms = uv_now(c->host->loop);
        nghttp2_submit_shutdown_notice(h2->session);
    } else if (!h2->is_final && uv_now(c->host->loop) > h2->drain_ms) {
        h2->is_final = true;
        nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(h2->session),
                              NGHTTP2_NO_ERROR, NULL, 0);
    }
    drain_streams(h2);
    jbi_conn_wake(c);
}

const jbi_protocol jbi_http2 = {.name = "http2",
                                .open = open_session,
                                .close = close_session,
                                .feed = feed,
                                .pump = give,
                                .part = part,
                                .expire = expire,
                                .drain = drain};
