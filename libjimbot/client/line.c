/*
 * line: see line.h.
 *
 * Names are looked up by the thread itself rather than by libuv's pool: while there is no
 * connection it has nothing else to do, and a game gets no four threads more. What is found is
 * tried one after the other. The owner hears of an end from the callback of uv_close(), so it can
 * open the line again at once.
 */
#include "client/line.h"

#include "base/error.h"
#include "host/text/hmem.h"

#include <netdb.h>
#include <stdio.h>

static void end(jbi_line *l, const jb_error *why);

void jbi_line_init(jbi_line *l, uv_loop_t *loop, const jbi_line_owner *owner, const jb_alloc *alloc)
{
    memset(l, 0, offsetof(jbi_line, read));
    l->loop = loop;
    l->alloc = alloc;
    l->owner = *owner;
    jbi_htext_init(&l->open, alloc);
    jbi_htext_init(&l->busy, alloc);
    jb_error_init(&l->why);
}

void jbi_line_fini(jbi_line *l)
{
    jbi_htext_fini(&l->open);
    jbi_htext_fini(&l->busy);
}

static void end_uv(jbi_line *l, const char *what, int status)
{
    jb_error why;

    jb_error_init(&why);
    jbi_error_set(&why, JB_ESYS, "%s: %s", what, uv_strerror(status));
    why.os_errno = -status;
    end(l, &why);
}

static void allocate(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    jbi_line *l = handle->data;

    *buf = uv_buf_init(l->read, sizeof(l->read));
}

/* What TLS has to say after bytes came, or at the beginning. */
static void go_on_tls(jbi_line *l)
{
    char plain[16 * 1024];
    jb_error why;
    int rc = 1;

    jb_error_init(&why);
    if (!l->tls.is_ready) {
        rc = jbi_line_tls_shake(&l->tls, &why);
        jbi_line_tls_drain(&l->tls, &l->open);
        if (rc == 1) {
            l->is_connected = true;
            l->owner.connected(l->owner.userdata);
        }
    }
    while (rc > 0 && l->tls.ssl) {
        rc = jbi_line_tls_read(&l->tls, plain, sizeof(plain), &why);
        if (rc > 0)
            l->owner.received(l->owner.userdata, plain, (size_t)rc);
    }
    if (!l->is_open || l->is_ended)
        return;
    jbi_line_tls_drain(&l->tls, &l->open); /* answers of TLS itself */
    jbi_line_flush(l);
    if (rc < 0)
        end(l, &why);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    jbi_line *l = stream->data;
    jb_error why;

    if (n == 0 || l->is_ended)
        return;
    if (n == UV_EOF) {
        jb_error_init(&why);
        jbi_error_set(&why, JB_ECLOSED, "the server closed the connection");
        end(l, &why);
    } else if (n < 0) {
        end_uv(l, "reading", (int)n);
    } else if (l->tls.ssl) {
        jb_error_init(&why);
        if (jbi_line_tls_feed(&l->tls, buf->base, (size_t)n, &why) < 0)
            end(l, &why);
        else
            go_on_tls(l);
    } else {
        l->owner.received(l->owner.userdata, buf->base, (size_t)n);
    }
}

static void on_connect(uv_connect_t *req, int status)
{
    jbi_line *l = req->data;

    if (l->is_ended)
        return;
    if (status == 0)
        status = uv_read_start(&l->io.stream, allocate, on_read);
    if (status < 0) {
        end_uv(l, "connecting", status);
        return;
    }
    if (l->next)
        l->next = NULL; /* no other is needed */
    l->is_paused = false;
    if (l->tls_ctx) {
        if (jbi_line_tls_begin(&l->tls, l->tls_ctx, l->url) < 0)
            end_uv(l, "TLS", UV_ENOMEM);
        else
            go_on_tls(l);
        return;
    }
    l->is_connected = true;
    l->owner.connected(l->owner.userdata);
}

static int begin(jbi_line *l)
{
    const struct addrinfo *to = l->next;
    int rc;

    l->is_ended = l->is_quiet = l->is_connected = false;
    l->connect.data = l;
    if (l->url->scheme == JBI_URL_UNIX) {
        rc = uv_pipe_init(l->loop, &l->io.pipe, 0);
        if (rc < 0)
            return rc;
        l->is_open = true;
        l->io.handle.data = l;
        uv_pipe_connect(&l->connect, &l->io.pipe, l->url->host, on_connect);
        return 0;
    }
    l->next = to->ai_next;
    rc = uv_tcp_init(l->loop, &l->io.tcp);
    if (rc < 0)
        return rc;
    l->is_open = true;
    l->io.handle.data = l;
    uv_tcp_nodelay(&l->io.tcp, 1);
    return uv_tcp_connect(&l->connect, &l->io.tcp, to->ai_addr, on_connect);
}

static void forget(jbi_line *l)
{
    if (l->found)
        freeaddrinfo(l->found);
    l->found = l->next = NULL;
}

static void on_closed(uv_handle_t *handle)
{
    jbi_line *l = handle->data;
    int rc;

    l->is_open = false;
    if (!l->is_quiet && l->next) {
        rc = begin(l);
        if (rc < 0)
            end_uv(l, "connecting", rc);
        return;
    }
    forget(l);
    if (!l->is_quiet)
        l->owner.lost(l->owner.userdata, &l->why);
}

static void drop(jbi_line *l)
{
    l->is_ended = true;
    l->is_connected = false;
    jbi_line_tls_end(&l->tls);
    jbi_htext_reset(&l->open, 64 * 1024);
    uv_close(&l->io.handle, on_closed);
}

static void end(jbi_line *l, const jb_error *why)
{
    l->why = *why;
    if (l->is_open && !l->is_ended)
        drop(l);
    else if (!l->is_open)
        l->owner.lost(l->owner.userdata, why);
}

void jbi_line_close(jbi_line *l)
{
    l->is_quiet = true;
    if (l->is_open && !l->is_ended)
        drop(l);
    else if (!l->is_open)
        forget(l);
}

bool jbi_line_try_next(jbi_line *l)
{
    if (!l->is_open || l->is_ended || !l->next)
        return false;
    drop(l); /* on_closed() goes on with it */
    return true;
}

static int look_up(jbi_line *l)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    hints.ai_flags = AI_NUMERICSERV | (l->url->is_numeric ? AI_NUMERICHOST : AI_ADDRCONFIG);
    return getaddrinfo(l->url->host, l->url->port, &hints, &l->found);
}

void jbi_line_open(jbi_line *l, const jbi_url *url, SSL_CTX *tls_ctx)
{
    jb_error why;
    int rc;

    l->url = url;
    l->tls_ctx = tls_ctx;
    forget(l);
    jbi_htext_reset(&l->open, 64 * 1024);
    jb_error_init(&why);
    rc = url->scheme == JBI_URL_UNIX ? 0 : look_up(l);
    uv_update_time(l->loop); /* that waited: what is timed from now on begins now */
    if (rc != 0) {
        jbi_error_set(&why, JB_ENOENT, "looking up the host: %s", gai_strerror(rc));
        l->is_quiet = false;
        end(l, &why);
        return;
    }
    l->next = l->found;
    rc = begin(l);
    if (rc < 0)
        end_uv(l, "connecting", rc);
}

static void on_written(uv_write_t *req, int status)
{
    jbi_line *l = req->data;

    l->is_busy = false;
    jbi_htext_reset(&l->busy, 64 * 1024);
    if (l->is_ended)
        return;
    if (status < 0)
        end_uv(l, "writing", status);
    else
        jbi_line_flush(l);
}

void jbi_line_send(jbi_line *l, const void *bytes, size_t n)
{
    if (!l->is_connected)
        return;
    if (!l->tls.ssl)
        jbi_htext_add(&l->open, bytes, n);
    else if (jbi_line_tls_write(&l->tls, bytes, n))
        jbi_line_tls_drain(&l->tls, &l->open);
    else
        l->open.is_broken = true; /* the flush that follows ends it */
}

/* Write what goes at once without libuv's queue; returns how much, or an error. */
static int write_now(jbi_line *l)
{
    uv_buf_t buf = uv_buf_init(l->open.data, (unsigned)l->open.len);
    int n = uv_try_write(&l->io.stream, &buf, 1);

    return n == UV_EAGAIN || n == UV_ENOSYS ? 0 : n;
}

void jbi_line_flush(jbi_line *l)
{
    jbi_htext swap;
    uv_buf_t buf;
    int n;

    if (!l->is_open || l->is_ended || l->is_busy)
        return;
    if (l->open.is_broken) {
        end_uv(l, "writing", UV_ENOMEM);
        return;
    }
    n = l->open.len ? write_now(l) : 0;
    if (n < 0) {
        end_uv(l, "writing", n);
        return;
    }
    if ((size_t)n == l->open.len) {
        jbi_htext_reset(&l->open, 256 * 1024);
        return;
    }
    swap = l->busy;
    l->busy = l->open;
    l->open = swap;
    l->write.data = l;
    buf = uv_buf_init(l->busy.data + n, (unsigned)(l->busy.len - (size_t)n));
    l->is_busy = true;
    n = uv_write(&l->write, &l->io.stream, &buf, 1, on_written);
    if (n < 0) {
        l->is_busy = false;
        end_uv(l, "writing", n);
    }
}

size_t jbi_line_backlog(const jbi_line *l)
{
    return l->open.len + (l->is_busy ? l->busy.len : 0);
}

void jbi_line_pause(jbi_line *l, bool is_paused)
{
    if (!l->is_open || l->is_ended || l->is_paused == is_paused)
        return;
    l->is_paused = is_paused;
    if (is_paused)
        uv_read_stop(&l->io.stream);
    else
        uv_read_start(&l->io.stream, allocate, on_read);
}
