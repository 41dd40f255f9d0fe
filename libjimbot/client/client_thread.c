/*
 * client_thread: the thread of a client: connect, fail, wait, connect again; and the end.
 *
 * Every callback does its own little thing and then takes a turn: a connection that failed is given
 * up, what there is to do is done, what was written is flushed. So nothing is freed under the feet
 * of a parser.
 *
 * Waiting is exponential with full jitter: after n failures a time between nothing and
 * backoff_min_ns * 2^n, at most backoff_max_ns, so that many clients of a server that was restarted
 * do not come back at once. A connection counts as a success after it has lived for a second.
 *
 * Invariant: while a connection is open or being made `phase` runs; so does it while backing off.
 */
#include "client/client_internal.h"

#include "base/error.h"
#include "base/os.h"
#include "host/text/hmem.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { SUCCESS_MS = 1000, RETRY_MS = 20, RETRY_MAX_MS = 1000 };

/* A server that asks for more answers than it reads wants to fill our memory. */
enum { ANSWERS_MAX_BYTES = 64 * 1024 + 4 * JBI_BATCH_BYTES };

atomic_uint jbi_client_n_forks;

static void begin_connect(jb_client *c);
static void turn(jb_client *c);

static void on_child(void)
{
    atomic_fetch_add(&jbi_client_n_forks, 1);
}

static int watch_rc;

static void watch(void)
{
    watch_rc = jbi_os_at_fork(NULL, NULL, on_child) ? JB_ENOMEM : 0;
}

int jbi_client_watch_forks(void)
{
    static uv_once_t once = UV_ONCE_INIT;

    uv_once(&once, watch);
    return watch_rc;
}

static uint64_t ms_of(uint64_t ns)
{
    return (ns + 999999) / 1000000;
}

void jbi_client_random(void *to, size_t n)
{
    uint8_t *at = to;

    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);

        if (got < 0 && errno != EINTR)
            return; /* a kernel without it: what lay there */
        at += got > 0 ? got : 0;
        n -= got > 0 ? (size_t)got : 0;
    }
}

void jbi_client_wake(jb_client *c)
{
    (void)uv_async_send(&c->wake);
}

uint64_t jbi_client_waiting(const jb_client *c)
{
    /* What is settled first: read the other way round it could be more than what was published. */
    uint64_t n = atomic_load(&c->n.n_accepted) + atomic_load(&c->n.n_duplicates) +
                 atomic_load(&c->n.n_refused) + atomic_load(&c->n.n_dropped);

    return atomic_load(&c->n.n_published) - n;
}

static void vfail(jb_client *c, int code, const char *fmt, va_list args)
{
    char text[sizeof(c->failure.msg)];

    if (c->is_failed)
        return;
    vsnprintf(text, sizeof(text), fmt, args);
    jb_error_init(&c->failure);
    jbi_error_set(&c->failure, code, "%s", text);
    c->is_failed = true;
}

void jbi_client_fail(jb_client *c, int code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vfail(c, code, fmt, args);
    va_end(args);
}

void jbi_client_fault(jb_client *c, const char *fmt, ...)
{
    va_list args;

    if (c->is_failed)
        return;
    va_start(args, fmt);
    vfail(c, JB_EPROTO, fmt, args);
    va_end(args);
    c->is_fault = true;
}

bool jbi_client_is_flooded(jb_client *c)
{
    if (jbi_line_backlog(&c->line) > ANSWERS_MAX_BYTES)
        jbi_client_fault(c, "it asks and does not read the answers");
    return c->is_failed;
}

static void set_state(jb_client *c, uint32_t state, uint64_t retry_in_ms)
{
    uint64_t now = jb_clock_now_ns();

    uv_mutex_lock(&c->status_lock);
    c->status.state = state;
    c->status.way = c->carrier->way;
    c->status.n_failures = c->n_failures;
    c->status.since_ns = now;
    c->status.retry_ns = retry_in_ms ? now + retry_in_ms * 1000000 : 0;
    if (c->is_failed)
        c->status.last_error = c->failure;
    uv_mutex_unlock(&c->status_lock);
    atomic_store(&c->way, c->carrier->way);
    atomic_store(&c->state, state);
}

/* --- the connection */

static uint64_t draw(jb_client *c)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random;
}

static uint64_t backoff_ms(jb_client *c)
{
    uint64_t most = c->opts.backoff_min_ns;

    for (uint32_t i = 1; i < c->n_failures && most < c->opts.backoff_max_ns; i++)
        most *= 2;
    if (most > c->opts.backoff_max_ns)
        most = c->opts.backoff_max_ns;
    return 1 + draw(c) % (ms_of(most) + 1);
}

static void on_backed_off(uv_timer_t *timer)
{
    jb_client *c = timer->data;

    begin_connect(c);
    turn(c);
}

static void on_connect_timeout(uv_timer_t *timer)
{
    jb_client *c = timer->data;

    if (jbi_line_try_next(&c->line)) {
        uv_timer_start(timer, on_connect_timeout, ms_of(c->opts.connect_timeout_ns), 0);
        return;
    }
    jbi_client_fail(c, JB_ETIMEDOUT, "the server did not answer in time");
    turn(c);
}

/* The server was asked whether it is there when it had been silent for a while, and given up when
 * it stays so. */
static void on_silence(uv_timer_t *timer)
{
    jb_client *c = timer->data;
    uint64_t idle = ms_of(c->opts.idle_ns);
    uint64_t silent;

    if (c->is_stalled)
        c->heard_ms = uv_now(&c->loop); /* nobody listens, so nobody is silent */
    silent = uv_now(&c->loop) - c->heard_ms;
    if (c->is_pinged && silent >= 2 * idle) {
        jbi_client_fail(c, JB_ETIMEDOUT, "the server fell silent");
    } else if (silent >= idle && !c->is_pinged) {
        c->is_pinged = true;
        c->carrier->ping(c);
        uv_timer_start(timer, on_silence, idle, 0);
    } else {
        uv_timer_start(timer, on_silence, silent < idle ? idle - silent : 1, 0);
    }
    turn(c);
}

static const jbi_carrier *carrier_of(const jb_client *c)
{
    if (c->url.scheme == JBI_URL_GRPC)
        return &jbi_carrier_grpc;
    return c->url.scheme == JBI_URL_HTTP || c->is_rest_next ? &jbi_carrier_rest : &jbi_carrier_ws;
}

static void begin_connect(jb_client *c)
{
    c->carrier = carrier_of(c);
    c->is_rest_next = false;
    set_state(c, JB_CLIENT_CONNECTING, 0);
    jbi_line_open(&c->line, &c->url, c->tls_ctx);
    /* After the name was looked up, which may take longer than connecting. A line that failed at
     * once has begun to back off. */
    if (c->line.is_open)
        uv_timer_start(&c->phase, on_connect_timeout, ms_of(c->opts.connect_timeout_ns), 0);
}

/* Give the connection up and wait for the next try. */
static void down(jb_client *c)
{
    uint64_t wait_ms;

    jbi_line_close(&c->line);
    if (c->is_fault)
        jbi_count(&c->n.n_faults, 1);
    c->is_fault = false;
    if (c->is_up && uv_now(&c->loop) - c->up_since_ms >= SUCCESS_MS)
        c->n_failures = 0;
    c->n_failures = c->is_renewed ? 0 : c->n_failures + 1;
    c->is_up = false;
    c->carrier->end(c);
    jbi_session_begin(c);
    uv_timer_stop(&c->retry);
    uv_timer_stop(&c->poll);
    c->is_retrying = false;
    wait_ms = c->is_rest_next || c->is_renewed ? 1 : backoff_ms(c);
    c->is_renewed = false;
    set_state(c, JB_CLIENT_BACKING_OFF, wait_ms);
    c->is_failed = false;
    uv_timer_start(&c->phase, on_backed_off, wait_ms, 0);
}

void jbi_client_up(jb_client *c)
{
    c->is_up = true;
    c->up_since_ms = uv_now(&c->loop);
    c->is_pinged = false;
    c->batch.n_sent = 0;
    jbi_count(&c->n.n_connects, 1);
    set_state(c, JB_CLIENT_UP, 0);
    uv_timer_start(&c->phase, on_silence, ms_of(c->opts.idle_ns), 0);
}

static void on_retry(uv_timer_t *timer)
{
    jb_client *c = timer->data;

    c->is_retrying = false;
    turn(c);
}

void jbi_client_retry_later(jb_client *c)
{
    if (c->is_retrying)
        return;
    if (c->retry_ms == 0)
        c->retry_ms = RETRY_MS;
    c->is_retrying = true;
    jbi_count(&c->n.n_retries, 1);
    uv_timer_start(&c->retry, on_retry, c->retry_ms + draw(c) % c->retry_ms, 0);
    c->retry_ms = c->retry_ms < RETRY_MAX_MS / 2 ? c->retry_ms * 2 : RETRY_MAX_MS;
}

/* --- the line */

static void on_connected(void *userdata)
{
    jb_client *c = userdata;

    c->carrier->begin(c);
    c->heard_ms = uv_now(&c->loop);
    turn(c);
}

static void on_received(void *userdata, const char *bytes, size_t n)
{
    jb_client *c = userdata;

    if (c->is_failed)
        return;
    c->heard_ms = uv_now(&c->loop);
    c->is_pinged = false;
    c->carrier->feed(c, bytes, n);
    turn(c);
}

static void on_lost(void *userdata, const jb_error *why)
{
    jb_client *c = userdata;

    if (c->is_up && c->carrier->eof && !c->is_failed)
        c->carrier->eof(c);
    if (!c->is_failed) {
        c->failure = *why;
        c->is_failed = true;
    }
    turn(c);
}

/* --- the end */

static void on_walk(uv_handle_t *handle, void *arg)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void finish(jb_client *c)
{
    if (c->is_finished)
        return;
    c->is_finished = true;
    if (c->is_up) {
        c->carrier->bye(c);
        jbi_line_flush(&c->line);
    }
    jbi_line_close(&c->line);
    uv_close((uv_handle_t *)&c->wake, NULL);
    uv_close((uv_handle_t *)&c->phase, NULL);
    uv_close((uv_handle_t *)&c->retry, NULL);
    uv_close((uv_handle_t *)&c->poll, NULL);
    uv_close((uv_handle_t *)&c->farewell, NULL);
}

static void on_farewell(uv_timer_t *timer)
{
    finish(timer->data);
}

static void look_at_end(jb_client *c)
{
    uint64_t now, at;

    if (!atomic_load(&c->is_closing) || c->is_finished)
        return;
    now = jb_clock_now_ns();
    at = atomic_load(&c->close_at_ns);
    if (now >= at || jbi_client_waiting(c) == 0)
        finish(c);
    else if (!uv_is_active((uv_handle_t *)&c->farewell))
        uv_timer_start(&c->farewell, on_farewell, ms_of(at - now), 0);
}

static void turn(jb_client *c)
{
    if (c->is_finished)
        return;
    if (!c->is_failed && c->is_up)
        c->carrier->pump(c);
    if (!c->is_up)
        jbi_session_sweep(c);
    if (c->is_failed)
        down(c);
    else
        jbi_line_flush(&c->line);
    look_at_end(c);
}

static void on_wake(uv_async_t *async)
{
    turn(async->data);
}

static void run(void *arg)
{
    jb_client *c = arg;

    begin_connect(c);
    turn(c);
    uv_run(&c->loop, UV_RUN_DEFAULT);
}

int jbi_client_loop_init(jb_client *c)
{
    static const jbi_line_owner owner = {on_connected, on_received, on_lost, NULL};
    jbi_line_owner mine = owner;
    int rc = uv_loop_init(&c->loop);

    if (rc < 0)
        return rc;
    rc = uv_async_init(&c->loop, &c->wake, on_wake);
    if (rc < 0) {
        uv_loop_close(&c->loop);
        return rc;
    }
    uv_timer_init(&c->loop, &c->phase);
    uv_timer_init(&c->loop, &c->retry);
    uv_timer_init(&c->loop, &c->poll);
    uv_timer_init(&c->loop, &c->farewell);
    c->wake.data = c->phase.data = c->retry.data = c->poll.data = c->farewell.data = c;
    mine.userdata = c;
    c->carrier = &jbi_carrier_ws;
    jbi_client_random(&c->random, sizeof(c->random));
    c->random |= 1;
    jbi_line_init(&c->line, &c->loop, &mine, c->alloc);
    return 0;
}

void jbi_client_loop_fini(jb_client *c)
{
    uv_walk(&c->loop, on_walk, NULL);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    uv_loop_close(&c->loop);
    jbi_line_fini(&c->line);
}

int jbi_client_thread_start(jb_client *c, jb_error *err)
{
    sigset_t all, before;
    int rc = jbi_client_loop_init(c);

    if (rc < 0)
        return jbi_error_os(err, JB_ESYS, -rc, "a loop for the client's thread");
    /* Signals are the program's own; SIGPIPE of a socket that closed is nobody's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = uv_thread_create(&c->thread, run, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc < 0) {
        jbi_client_loop_fini(c);
        return jbi_error_os(err, JB_ESYS, -rc, "a thread for the client");
    }
    return 0;
}

void jbi_client_thread_join(jb_client *c)
{
    jbi_client_wake(c);
    uv_thread_join(&c->thread);
    /* A line that failed before it could connect has begun nothing on its carrier. */
    if (c->carrier)
        c->carrier->end(c);
    jbi_client_loop_fini(c);
}
