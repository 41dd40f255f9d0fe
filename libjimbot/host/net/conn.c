/*
 * conn: reading, writing and ending a connection, see conn.h.
 *
 * A read is worked through to its end and all its answers are sent in one write. When a client
 * sends without reading, the rest of the read is held, reading stops, and both go on when the
 * socket has taken what is owed.
 */
#include "host/net/conn.h"

#include "host/host.h"
#include "host/net/sniff.h"
#include "host/text/hmem.h"

#include <string.h>

enum {
    LINGER_MS = 2000,
    KEEPALIVE_S = 60 /* of silence, then the kernel asks whether the other side is there */
};

static uint64_t ms(uint64_t ns)
{
    return ns / 1000000u;
}

static void drop_session(jbi_conn *c)
{
    if (c->protocol)
        c->protocol->close(c);
    c->protocol = NULL;
    c->session = NULL;
}

static void on_closed(uv_handle_t *handle)
{
    jbi_conn *c = handle->data;
    jb_host *host = c->host;

    drop_session(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        host->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    host->service.counters.n_open--;
    jbi_crowd_leave(&c->crowd);
    jbi_outq_fini(&c->out);
    jbi_tls_destroy(c->tls);
    jbi_hmem_free(host->alloc, c->held, JBI_CONN_READ_BYTES);
    jbi_hmem_free(host->alloc, c, sizeof(*c));
    jbi_host_handle_closed(host);
}

void jbi_conn_close(jbi_conn *c)
{
    if (c->state == JBI_CONN_CLOSING)
        return;
    c->state = JBI_CONN_CLOSING;
    uv_close(&c->io.handle, on_closed);
}

void jbi_conn_drop(jbi_conn *c)
{
    jbi_conn_close(c);
    drop_session(c);
}

static enum jbi_conn_part part_of(const jbi_conn *c)
{
    if (c->state == JBI_CONN_OPEN && c->tls && jbi_tls_state(c->tls) == JBI_TLS_HANDSHAKE)
        return JBI_CONN_HEADER;
    if (jbi_outq_waiting(&c->out) > 0)
        return JBI_CONN_WRITE;
    if (c->state == JBI_CONN_LINGER)
        return JBI_CONN_LAST;
    return c->protocol->part(c);
}

static uint64_t patience_ms(const jbi_conn *c, enum jbi_conn_part part)
{
    const jb_host_opts *o = &c->host->opts;

    switch (part) {
    case JBI_CONN_HEADER:
        return ms(o->header_timeout_ns);
    case JBI_CONN_BODY:
        return ms(o->body_timeout_ns);
    case JBI_CONN_WRITE:
        return ms(o->write_timeout_ns);
    case JBI_CONN_LAST:
        return LINGER_MS;
    default:
        return ms(o->idle_timeout_ns);
    }
}

/* Move the deadline after something happened. A header has one from its first byte, however it
 * trickles; a body one from its last byte and a tenfold one from its first. Pieces of a TLS record
 * are nothing that happened before it is whole. */
static void set_deadline(jbi_conn *c)
{
    uint64_t now = uv_now(c->host->loop);
    uint64_t n_sent = jbi_outq_progress(&c->out);
    bool has_sent = n_sent != c->n_sent_seen;
    enum jbi_conn_part part;
    uint64_t patience;

    if (c->state == JBI_CONN_CLOSING)
        return;
    part = part_of(c);
    patience = patience_ms(c, part);
    c->host->service.counters.n_out_bytes += n_sent - c->n_sent_seen;
    c->n_sent_seen = n_sent;
    if (part != c->part)
        c->begun_ms = now;
    else if (part == JBI_CONN_HEADER || part == JBI_CONN_LAST ||
             (part == JBI_CONN_WRITE ? !has_sent : c->is_barren))
        return;
    c->part = part;
    c->is_late = false;
    c->deadline_ms = now + patience;
    if (part == JBI_CONN_BODY && c->deadline_ms > c->begun_ms + 10 * patience)
        c->deadline_ms = c->begun_ms + 10 * patience;
    jbi_host_sweep_at(c->host, c->deadline_ms);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    jbi_conn *c = req->data;

    c->is_shut = true;
    /* A client that has closed its side already waits for nothing. */
    if (status < 0 || c->is_at_eof)
        jbi_conn_close(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* Stop reading from the socket, or go on. */
static void set_stopped(jbi_conn *c, bool must_stop)
{
    if (must_stop == c->is_stopped)
        return;
    c->is_stopped = must_stop;
    if (must_stop)
        uv_read_stop(&c->io.stream);
    else if (!c->is_at_eof)
        uv_read_start(&c->io.stream, on_alloc, on_read);
}

/* Closing at once could reset the connection before the client has read the last bytes, so only the
 * sending side is closed, and what still comes is thrown away for a while. */
void jbi_conn_end(jbi_conn *c)
{
    if (c->state != JBI_CONN_OPEN)
        return;
    if (c->tls)
        jbi_tls_end(c->tls);
    if (jbi_outq_flush(&c->out) < 0) {
        jbi_conn_close(c);
        return;
    }
    c->state = JBI_CONN_LINGER;
    set_stopped(c, false);
    c->shutdown.data = c;
    if (uv_shutdown(&c->shutdown, &c->io.stream, on_shutdown) < 0)
        jbi_conn_close(c);
}

void jbi_conn_switch(jbi_conn *c, const jbi_protocol *protocol, void *arg)
{
    drop_session(c);
    c->protocol = protocol;
    c->part = JBI_CONN_NONE;
    if (protocol->open(c, arg) < 0) {
        c->protocol = NULL;
        jbi_conn_close(c);
    }
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

/* The handshake is over: note whose certificate came, before the first request, which may lie in
 * the same bytes. */
static void heed_secured(jbi_conn *c)
{
    if (!jbi_tls_is_secured(c->tls) || c->is_secured)
        return;
    c->is_secured = true;
    c->part = JBI_CONN_NONE;
    c->peer.has_cert = jbi_tls_client_name(c->tls, c->peer.name, sizeof(c->peer.name));
    c->host->service.counters.n_handshakes++;
}

/* Feed until the bytes are used up, the connection ends, or the client owes us some reading; only
 * then are fewer used. */
static size_t feed_plain(void *userdata, const char *bytes, size_t n)
{
    jbi_conn *c = userdata;
    size_t n_used = 0;

    c->is_barren = false;
    if (c->tls)
        heed_secured(c);
    while (n_used < n && c->state == JBI_CONN_OPEN && !jbi_conn_is_full(c))
        n_used += c->protocol->feed(c, bytes + n_used, n - n_used);
    return c->state == JBI_CONN_OPEN ? n_used : n;
}

/* What became of the TLS session while it was fed. */
static void heed_tls(jbi_conn *c)
{
    jbi_counters *n = &c->host->service.counters;
    enum jbi_tls_state state = jbi_tls_state(c->tls);

    heed_secured(c);
    if (state <= JBI_TLS_READY)
        return;
    if (state != JBI_TLS_ENDED) {
        n->n_tls_errors[state == JBI_TLS_PLAIN_HTTP ? JBI_TLS_ERROR_PLAIN_HTTP
                        : c->is_secured             ? JBI_TLS_ERROR_SESSION
                                                    : JBI_TLS_ERROR_HANDSHAKE]++;
        jbi_service_log(&c->host->service, JB_LOG_DEBUG, "a TLS connection is refused: %s",
                        jbi_tls_problem(c->tls));
    }
    jbi_conn_end(c);
}

/* Work through what came from the socket; what there is no use for yet is held. */
static void feed(jbi_conn *c, const char *bytes, size_t n)
{
    size_t n_used;

    c->is_barren = c->tls != NULL;
    n_used = c->tls ? jbi_tls_feed(c->tls, bytes, n, feed_plain, c) : feed_plain(c, bytes, n);
    if (c->tls && c->state == JBI_CONN_OPEN)
        heed_tls(c);
    if (c->state == JBI_CONN_OPEN && (n_used < n || (c->tls && jbi_tls_is_holding(c->tls))))
        hold(c, bytes + n_used, n - n_used);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    jbi_conn *c = handle->data;

    *buf = uv_buf_init(c->host->read_buf, JBI_CONN_READ_BYTES);
}

static void flush(jbi_conn *c)
{
    if (c->state == JBI_CONN_OPEN && jbi_outq_flush(&c->out) < 0)
        jbi_conn_close(c);
}

/* Let the protocol say what it has, as long as the socket takes it, but not for ever: the last
 * round goes by way of the loop, which calls again when the socket has taken it. */
static void pump(jbi_conn *c)
{
    enum { ROUNDS_MAX = 8 };

    for (int i = 0; i < ROUNDS_MAX && c->state == JBI_CONN_OPEN && c->protocol->pump; i++) {
        c->is_woken = false;
        c->protocol->pump(c);
        if (c->out.open.len == 0)
            return;
        if (i + 1 < ROUNDS_MAX)
            flush(c);
        else if (c->state == JBI_CONN_OPEN && jbi_outq_flush_later(&c->out) < 0)
            jbi_conn_close(c);
        if (c->out.n_queued > 0)
            return;
    }
}

/* Work through what was read, and what was held when the socket takes the answers at once; then
 * read on, or not while the client owes us some reading: also what is no request can make output,
 * TLS alerts. */
static void work(jbi_conn *c, const char *bytes, size_t n)
{
    c->is_working = true;
    c->is_barren = false;
    if (n > 0)
        feed(c, bytes, n);
    flush(c);
    while (c->is_paused && c->state == JBI_CONN_OPEN && !jbi_conn_is_full(c)) {
        c->is_paused = false;
        feed(c, c->held, c->n_held);
        flush(c);
    }
    if (c->is_woken || n == 0)
        pump(c);
    c->is_working = c->is_woken = false;
    if (c->is_at_eof && jbi_outq_waiting(&c->out) == 0)
        jbi_conn_end(c);
    if (c->state == JBI_CONN_CLOSING)
        return;
    set_stopped(c, c->state == JBI_CONN_OPEN && (c->is_paused || jbi_conn_is_full(c)));
    set_deadline(c);
}

void jbi_conn_wake(jbi_conn *c)
{
    if (c->state != JBI_CONN_OPEN)
        return;
    c->is_woken = true;
    if (!c->is_working)
        work(c, NULL, 0);
}

/* The client closed its side: what it is owed is still sent, a request cut short is forgotten. */
static void on_eof(jbi_conn *c)
{
    c->is_at_eof = true;
    if (c->state == JBI_CONN_OPEN)
        work(c, NULL, 0);
    else if (c->state == JBI_CONN_LINGER && c->is_shut)
        jbi_conn_close(c);
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

/* Nobody waits for anything: close, and say so where there is TLS. */
static void close_idle(jbi_conn *c)
{
    if (c->tls && c->state == JBI_CONN_OPEN) {
        jbi_tls_end(c->tls);
        flush(c);
    }
    jbi_conn_close(c);
}

/* The socket took what was queued: go on with what was held, then with reading. */
static void on_progress(int status, void *userdata)
{
    jbi_conn *c = userdata;

    if (status < 0)
        jbi_conn_close(c);
    else if (c->state == JBI_CONN_OPEN)
        work(c, NULL, 0);
    else
        set_deadline(c);
}

void jbi_conn_sweep(jbi_conn *c)
{
    bool is_open = c->state == JBI_CONN_OPEN;

    if (c->state == JBI_CONN_CLOSING)
        return;
    if (is_open && c->host->stop_ms) {
        if (part_of(c) == JBI_CONN_IDLE) {
            close_idle(c);
            return;
        }
        if (c->protocol->drain)
            c->protocol->drain(c);
        if (c->state != JBI_CONN_OPEN) {
            set_deadline(c);
            return;
        }
    }
    if (c->part == JBI_CONN_WRITE)
        set_deadline(c);
    if (uv_now(c->host->loop) < c->deadline_ms)
        return;
    /* The loop may have been busy with others while the bytes were waiting: it reads once more. */
    if (!c->is_late) {
        c->is_late = true;
        return;
    }
    if (is_open &&
        (c->part == JBI_CONN_HEADER || c->part == JBI_CONN_BODY || c->part == JBI_CONN_STREAM)) {
        c->protocol->expire(c);
        c->part = JBI_CONN_NONE;
        flush(c);
        set_deadline(c);
        return;
    }
    c->host->service.counters.n_timeouts += c->part != JBI_CONN_LAST;
    close_idle(c);
}

static jbi_conn *make(jbi_listener *l)
{
    jb_host *host = l->host;
    jbi_conn *c = jbi_hmem_zalloc(host->alloc, sizeof(*c));
    int rc;

    if (!c)
        return NULL;
    c->host = host;
    c->listener = l;
    if (host->tls && !l->is_unix)
        c->tls = jbi_tls_create(host->tls, host->alloc);
    jbi_outq_init(&c->out, &c->io.stream, host->alloc, on_progress, c);
    c->out.tls = c->tls;
    rc = host->tls && !l->is_unix && !c->tls ? UV_ENOMEM
         : l->is_unix                        ? uv_pipe_init(host->loop, &c->io.pipe, 0)
                                             : uv_tcp_init(host->loop, &c->io.tcp);
    if (rc < 0) {
        jbi_tls_destroy(c->tls);
        jbi_hmem_free(host->alloc, c, sizeof(*c));
        return NULL;
    }
    c->io.handle.data = c;
    c->next = host->conns;
    if (c->next)
        c->next->prev = c;
    host->conns = c;
    host->n_handles++;
    host->service.counters.n_open++;
    return c;
}

/* Whether one more may stay. Some descriptors are left to the rest of the process, which then can
 * still read its files and say what is the matter. */
static bool has_room(const jbi_conn *c)
{
    jb_host *host = c->host;
    uint64_t *n = host->service.counters.n_refused;
    uint32_t most = host->opts.max_client_connections;
    uv_os_fd_t fd;

    if (uv_fileno(&c->io.handle, &fd) == 0 && (uint64_t)fd >= host->max_fd) {
        if (n[JBI_REFUSED_FILES]++ % 1000 == 0)
            jbi_service_log(&host->service, JB_LOG_ERROR,
                            "out of descriptors: connections are refused (ulimit -n is %llu)",
                            (unsigned long long)host->max_fd + JBI_HOST_SPARE_FILES);
        return false;
    }
    if (host->service.counters.n_open > host->opts.max_connections) {
        n[JBI_REFUSED_ALL]++;
        return false;
    }
    if (most && !c->peer.is_local && jbi_crowd_has_more(&host->crowd, &c->peer, most)) {
        n[JBI_REFUSED_CLIENT]++;
        return false;
    }
    return true;
}

bool jbi_conn_accept(jbi_listener *l)
{
    jbi_counters *n = &l->host->service.counters;
    jbi_conn *c = make(l);

    if (!c)
        return false;
    if (uv_accept(&l->io.stream, &c->io.stream) < 0) {
        jbi_conn_close(c);
        return true;
    }
    n->n_connections++;
    if (l->is_unix) {
        jbi_peer_of_unix(&c->peer, &c->io.pipe);
    } else {
        jbi_peer_of_tcp(&c->peer, &c->io.tcp);
        uv_tcp_nodelay(&c->io.tcp, 1);
        uv_tcp_keepalive(&c->io.tcp, 1, KEEPALIVE_S);
    }
    jbi_crowd_join(&l->host->crowd, &c->crowd, &c->peer);
    if (!has_room(c)) {
        jbi_conn_close(c);
        return true;
    }
    jbi_conn_switch(c, &jbi_sniff, NULL);
    set_deadline(c);
    if (c->state == JBI_CONN_OPEN && uv_read_start(&c->io.stream, on_alloc, on_read) < 0)
        jbi_conn_close(c);
    return true;
}
