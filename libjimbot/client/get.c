/*
 * get: one question over HTTP, asked and answered in the caller's thread, on a loop of its own.
 *
 * Invariant: `is_over` is set once, with what is returned; after that the line says nothing more,
 * and the loop ends when its two handles are closed.
 */
#include "client/get.h"

#include "base/error.h"
#include "client/client_internal.h"
#include "host/text/hmem.h"

#include <signal.h>
#include <string.h>
#include <time.h>

typedef struct asking {
    uv_loop_t loop;
    uv_timer_t timer;
    jbi_line line;
    jbi_reply reply;
    jbi_htext request;
    jbi_url url;
    jb_client_opts opts;
    jb_error why;
    bool is_over;
    bool is_answered;
} asking;

void jbi_get_head(jbi_htext *out, const jbi_url *url, const char *method, const char *path,
                  const char *token)
{
    bool is_v6 = strchr(url->host, ':') != NULL;

    jbi_htext_printf(out, "%s %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUser-Agent: libjimbot/%s\r\n",
                     method, path, is_v6 ? "[" : "", url->host, is_v6 ? "]" : "", url->port,
                     jb_version_string());
    if (token)
        jbi_htext_printf(out, "Authorization: Bearer %s\r\n", token);
}

/* The end, with a code and words, or with 0 and an answer. */
static void finish(asking *a, int code, const char *what)
{
    if (a->is_over)
        return;
    a->is_over = true;
    a->is_answered = code == 0;
    if (code < 0)
        jbi_error_set(&a->why, code, "%s", what);
    jbi_line_close(&a->line);
    uv_close((uv_handle_t *)&a->timer, NULL);
}

static void on_connected(void *userdata)
{
    asking *a = userdata;

    jbi_line_send(&a->line, a->request.data, a->request.len);
    jbi_line_flush(&a->line);
}

static void on_received(void *userdata, const char *bytes, size_t n)
{
    asking *a = userdata;
    size_t n_used;

    if (a->is_over)
        return;
    switch (jbi_reply_feed(&a->reply, bytes, n, &n_used)) {
    case JBI_REPLY_MORE:
        break;
    case JBI_REPLY_BROKEN:
        finish(a, JB_EPROTO, "the answer is not HTTP, or larger than 1 MiB");
        break;
    case JBI_REPLY_DONE:
        finish(a, 0, NULL);
        break;
    }
}

static void on_lost(void *userdata, const jb_error *why)
{
    asking *a = userdata;

    if (a->is_over)
        return;
    if (why->code == JB_ECLOSED && jbi_reply_end(&a->reply)) {
        finish(a, 0, NULL);
        return;
    }
    finish(a, why->code,
           why->code == JB_ECLOSED ? "the server closed the connection before its answer was whole"
                                   : why->msg);
    a->why.os_errno = why->os_errno;
}

static void on_time(uv_timer_t *timer)
{
    finish(timer->data, JB_ETIMEDOUT, "no answer in time");
}

static void run(asking *a, SSL_CTX *tls)
{
    const jbi_line_owner owner = {
        .connected = on_connected, .received = on_received, .lost = on_lost, .userdata = a};

    jbi_line_init(&a->line, &a->loop, &owner, a->request.alloc);
    uv_timer_init(&a->loop, &a->timer);
    a->timer.data = a;
    uv_timer_start(&a->timer, on_time, a->opts.connect_timeout_ns / 1000000, 0);
    jbi_line_open(&a->line, &a->url, tls);
    uv_run(&a->loop, UV_RUN_DEFAULT);
    jbi_line_fini(&a->line);
}

/* SIGPIPE of a socket that the server closed is nobody's, also not the caller's. */
static void run_quietly(asking *a, SSL_CTX *tls)
{
    const struct timespec now = {0};
    sigset_t pipe, before, pending;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    run(a, tls);
    if (!sigismember(&pending, SIGPIPE))
        (void)sigtimedwait(&pipe, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int hand_over(const asking *a, jb_client_answer *answer, jb_error *err)
{
    if (!a->is_answered) {
        if (err)
            *err = a->why;
        return a->why.code;
    }
    if (a->reply.body.len > answer->cap_bytes)
        return jbi_error_set(err, JB_ETOOBIG, "the answer has %zu bytes", a->reply.body.len);
    if (a->reply.body.len)
        memcpy(answer->buf, a->reply.body.data, a->reply.body.len);
    answer->len_bytes = a->reply.body.len;
    answer->status = a->reply.status;
    return 0;
}

/* Ready to ask, but for the connection. */
static int take(asking *a, const char *url, const jb_client_opts *opts, jb_error *err)
{
    const char *path;
    int rc = jbi_url_parse(url, &a->url, err);

    if (rc == 0 && a->url.scheme != JBI_URL_HTTP)
        rc = jbi_error_set(err, JB_EINVAL, "the address does not begin with http:// or https://");
    if (rc == 0)
        rc = jbi_client_opts_take(opts, &a->opts, err);
    if (rc < 0)
        return rc;
    path = strchr(strstr(url, "://") + 3, '/');
    jbi_get_head(&a->request, &a->url, "GET", path && path[1] ? a->url.path : "/", a->opts.token);
    jbi_htext_str(&a->request, "Accept: application/json\r\nConnection: close\r\n\r\n");
    return a->request.is_broken ? jbi_error_set(err, JB_ENOMEM, "no memory for a request") : 0;
}

int jb_client_get(const char *url, const jb_client_opts *opts, jb_client_answer *answer,
                  jb_error *err)
{
    const jb_alloc *alloc = opts && opts->alloc ? opts->alloc : &jbi_hmem_libc;
    SSL_CTX *tls = NULL;
    asking *a;
    int rc;

    if (!url || !answer || answer->size != sizeof(*answer) || (!answer->buf && answer->cap_bytes))
        return jbi_error_set(err, JB_EINVAL, "url, answer and its buf are not NULL");
    a = jbi_hmem_zalloc(alloc, sizeof(*a));
    if (!a)
        return jbi_error_set(err, JB_ENOMEM, "no memory for a connection");
    jb_error_init(&a->why);
    jbi_htext_init(&a->request, alloc);
    jbi_reply_init(&a->reply, alloc);
    rc = take(a, url, opts, err);
    if (rc == 0 && a->url.is_tls)
        rc = jbi_line_tls_context(&a->opts, false, &tls, err);
    if (rc == 0 && uv_loop_init(&a->loop) < 0)
        rc = jbi_error_set(err, JB_ESYS, "no loop to be had");
    if (rc == 0) {
        run_quietly(a, tls);
        uv_loop_close(&a->loop);
        rc = hand_over(a, answer, err);
    }
    SSL_CTX_free(tls);
    jbi_reply_fini(&a->reply);
    jbi_htext_fini(&a->request);
    jbi_hmem_free(alloc, a, sizeof(*a));
    return rc;
}
