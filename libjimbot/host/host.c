/*
 * host: the life of a server: create, run, stop, drain, destroy.
 *
 * Nothing here happens by the clock alone: the one timer is armed for the earliest deadline of a
 * connection, and commands come by a descriptor. Stopping begins a moment after it was asked for,
 * so what had reached the socket by then is still read and answered.
 */
#include "host/host.h"

#include "host/hconfig.h"

#include "host/text/hmem.h"

#include <stdio.h>
#include <sys/resource.h>

/* Deadlines are looked at no more often than this. */
enum { SWEEP_MS = 20 };

/* Of the private one that stands in for a bus where there is to be none. */
enum { NO_BUS_BYTES = 64 * 1024 };

static void free_host(jb_host *host)
{
    jb_alloc alloc = host->alloc_copy;

    if (host->has_service)
        jbi_service_fini(&host->service);
    if (host->owns_bus)
        jb_bus_close(host->bus);
    jbi_tls_site_unref(host->tls);
    jbi_gate_fini(&host->gate);
    if (host->added.text.alloc)
        jbi_added_fini(&host->added, &alloc);
    jbi_hmem_free(&alloc, host->read_buf, JBI_CONN_READ_BYTES);
    jbi_hmem_free(&alloc, host, sizeof(*host));
}

void jbi_host_handle_closed(jb_host *host)
{
    host->n_handles--;
    if (host->n_handles == 0 && host->is_orphan && !host->owns_loop)
        free_host(host);
}

static void on_handle_closed(uv_handle_t *handle)
{
    jbi_host_handle_closed(handle->data);
}

static void close_handles(jb_host *host)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&host->sweep, (uv_handle_t *)&host->commands,
                              (uv_handle_t *)&host->wake, (uv_handle_t *)&host->turn};

    jbi_added_stop(host);
    for (int i = 0; i < JBI_LISTENERS_MAX; i++)
        jbi_listener_close(&host->listeners[i]);
    for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
        if (handles[i]->data && !uv_is_closing(handles[i]))
            uv_close(handles[i], on_handle_closed);
    }
}

/* Close every connection; those in flight too. */
static void close_conns(jb_host *host)
{
    for (jbi_conn *c = host->conns; c; c = c->next)
        jbi_conn_close(c);
}

/* The same, and let go of what they have on the bus. */
static void drop_conns(jb_host *host)
{
    for (jbi_conn *c = host->conns; c; c = c->next)
        jbi_conn_drop(c);
}

static void on_sweep(uv_timer_t *timer);

void jbi_host_sweep_at(jb_host *host, uint64_t at_ms)
{
    uint64_t now_ms = uv_now(host->loop);
    uint64_t delay_ms = at_ms > now_ms + SWEEP_MS ? at_ms - now_ms : SWEEP_MS;

    if ((host->sweep_ms && host->sweep_ms <= now_ms + delay_ms) ||
        uv_is_closing((uv_handle_t *)&host->sweep))
        return;
    host->sweep_ms = now_ms + delay_ms;
    uv_timer_start(&host->sweep, on_sweep, delay_ms, 0);
}

static void drain(jb_host *host, uint64_t now_ms)
{
    bool is_over = now_ms - host->stop_ms >= host->opts.drain_timeout_ns / 1000000u ||
                   atomic_load(&host->n_stops) > 1;

    if (host->is_listening) {
        host->is_listening = false;
        for (int i = 0; i < JBI_LISTENERS_MAX; i++)
            jbi_listener_close(&host->listeners[i]);
    }
    if (is_over && host->conns) {
        jbi_service_log(&host->service, JB_LOG_WARN, "drain ended with %u connections open",
                        host->service.counters.n_open);
        close_conns(host);
    }
    if (host->conns)
        jbi_host_sweep_at(host, now_ms);
    else
        close_handles(host);
}

static void on_sweep(uv_timer_t *timer)
{
    jb_host *host = timer->data;
    uint64_t now_ms = uv_now(host->loop);
    /* Within the first moments after a stop nobody is swept: what was sent before may be unread. */
    bool may_drain = host->stop_ms && now_ms >= host->stop_ms + SWEEP_MS;
    uint64_t next_ms = UINT64_MAX;

    host->sweep_ms = 0;
    for (int i = 0; i < JBI_LISTENERS_MAX && host->is_listening; i++) {
        if (host->listeners[i].is_accept_owed)
            jbi_listener_retry(&host->listeners[i]);
    }
    for (jbi_conn *c = host->conns, *next; c; c = next) {
        next = c->next;
        if (!host->stop_ms || may_drain)
            jbi_conn_sweep(c);
        if (c->state != JBI_CONN_CLOSING && c->deadline_ms < next_ms)
            next_ms = c->deadline_ms;
    }
    if (may_drain)
        drain(host, now_ms);
    else if (host->stop_ms)
        jbi_host_sweep_at(host, host->stop_ms + SWEEP_MS);
    else if (next_ms != UINT64_MAX)
        jbi_host_sweep_at(host, next_ms);
}

static void on_commands(uv_poll_t *poll, int status, int events)
{
    jb_host *host = poll->data;

    jbi_service_drain_commands(&host->service);
    if (host->service.is_bus_broken)
        uv_poll_stop(poll);
}

static int load_tls(jb_host *host, jbi_tls_site **ret_site, jb_error *err)
{
    const jb_host_opts *o = &host->opts;
    jbi_tls_files files = {.cert = o->tls_cert,
                           .key = o->tls_key,
                           .client_ca = o->tls_client_ca,
                           .must_have_cert = !*o->tokens};

    *ret_site = NULL;
    return *o->tls_cert ? jbi_tls_site_create(&files, host->alloc, ret_site, err) : 0;
}

static void set_limits(jb_host *host)
{
    host->limits = (jbi_request_limits){.max_header_bytes = host->opts.max_header_bytes,
                                        .max_body_bytes = host->opts.max_body_bytes,
                                        .max_buffered_bytes = host->opts.max_buffered_bytes,
                                        .n_buffered_bytes = &host->service.counters.n_buffered};
}

static void tell_change(const char *name, bool is_taken, void *userdata)
{
    jb_host *host = userdata;

    jbi_service_log(&host->service, is_taken ? JB_LOG_INFO : JB_LOG_WARN,
                    is_taken ? "%s has changed" : "%s has changed; that needs a restart", name);
}

/* Ask the program for its options, and take what may change. */
static void reload_opts(jb_host *host)
{
    jb_host_opts next = host->opts;
    jb_error err;
    int rc;

    if (!host->opts.reload)
        return;
    jb_error_init(&err);
    rc = host->opts.reload(&next, &err, host->opts.reload_userdata);
    if (rc == 0)
        rc = jbi_hconfig_check(&next, &err);
    if (rc < 0) {
        jbi_service_log(&host->service, JB_LOG_ERROR, "the settings stay as they were: %s",
                        err.msg);
        return;
    }
    jbi_hconfig_change(&host->opts, &next, tell_change, host);
    set_limits(host);
}

static void reload_tokens(jb_host *host)
{
    jb_error err;

    if (jbi_gate_load(host, &err) < 0)
        jbi_service_log(&host->service, JB_LOG_ERROR, "the tokens stay as they were: %s", err.msg);
    else if (*host->opts.tokens)
        jbi_service_log(&host->service, JB_LOG_INFO, "%u tokens read from %s", host->gate.tokens.n,
                        host->opts.tokens);
}

static void reload_tls(jb_host *host)
{
    jbi_tls_site *site;
    jb_error err;

    if (load_tls(host, &site, &err) < 0) {
        jbi_service_log(&host->service, JB_LOG_ERROR, "the certificates stay as they were: %s",
                        err.msg);
        return;
    }
    jbi_tls_site_unref(host->tls);
    host->tls = site;
    if (site)
        jbi_service_log(&host->service, JB_LOG_INFO, "certificate read from %s",
                        host->opts.tls_cert);
}

/* Read again what may change while the host runs; what is wrong leaves the old in place. */
static void reload(jb_host *host)
{
    reload_opts(host);
    reload_tokens(host);
    reload_tls(host);
}

static void on_wake(uv_async_t *wake)
{
    jb_host *host = wake->data;

    if (atomic_exchange(&host->wants_reload, false))
        reload(host);
    if (atomic_exchange(&host->wants_tick, false))
        jbi_added_tick(host);
    if (atomic_load(&host->n_stops) == 0)
        return;
    if (!host->stop_ms) {
        host->stop_ms = uv_now(host->loop);
        host->service.is_draining = true;
        jbi_service_log(&host->service, JB_LOG_INFO, "stopping, %u connections open",
                        host->service.counters.n_open);
    }
    jbi_host_sweep_at(host, host->stop_ms);
}

static int refuse(jb_error *err, int code, const char *what)
{
    if (err) {
        jb_error_init(err);
        err->code = code;
        snprintf(err->msg, sizeof(err->msg), "%s: %s", what, jb_strerror(code));
    }
    return code;
}

static int open_bus(jb_host *host, jb_error *err)
{
    jb_bus_opts opts;

    host->bus = host->opts.no_bus ? NULL : host->opts.bus;
    if (host->bus)
        return 0;
    jb_bus_opts_init(&opts, sizeof(opts));
    opts.capacity_bytes = host->opts.no_bus ? NO_BUS_BYTES : host->opts.bus_bytes;
    opts.max_subs = host->opts.bus_subscriptions;
    opts.alloc = host->alloc;
    host->owns_bus =
        jb_bus_open(host->opts.no_bus ? NULL : host->opts.bus_name, &opts, &host->bus, err) == 0;
    return host->owns_bus ? 0 : err->code;
}

static int init_loop(jb_host *host, void *uv_loop)
{
    host->loop = uv_loop;
    if (uv_loop)
        return 0;
    host->loop = &host->own_loop;
    host->owns_loop = uv_loop_init(&host->own_loop) == 0;
    return host->owns_loop ? 0 : JB_ESYS;
}

static void on_turn(uv_prepare_t *turn)
{
    jb_host *host = turn->data;
    uint64_t now_ns = uv_hrtime();
    uint64_t idle_ns = uv_metrics_idle_time(host->loop);

    jbi_added_wake_all(host);
    if (host->turn_ns)
        jbi_histogram_add(&host->service.counters.turns,
                          now_ns - host->turn_ns - (idle_ns - host->idle_ns));
    host->turn_ns = now_ns;
    host->idle_ns = idle_ns;
}

/* Each handle's `data` says that it must be closed. */
static int init_handles(jb_host *host)
{
    int fd;
    int rc = jb_sub_fd(host->service.commands, &fd);

    if (rc < 0)
        return rc;
    uv_timer_init(host->loop, &host->sweep);
    host->sweep.data = host;
    host->n_handles++;
    uv_loop_configure(host->loop, UV_METRICS_IDLE_TIME);
    uv_prepare_init(host->loop, &host->turn);
    host->turn.data = host;
    host->n_handles++;
    uv_prepare_start(&host->turn, on_turn);
    if (uv_poll_init(host->loop, &host->commands, fd) < 0)
        return JB_ESYS;
    host->commands.data = host;
    host->n_handles++;
    if (uv_async_init(host->loop, &host->wake, on_wake) < 0)
        return JB_ESYS;
    host->wake.data = host;
    host->n_handles++;
    return uv_poll_start(&host->commands, UV_READABLE, on_commands) < 0 ? JB_ESYS : 0;
}

/* Listen wherever the options say. */
static int listen_all(jb_host *host, jb_error *err)
{
    const char *addresses[] = {host->opts.http, host->opts.grpc};
    jbi_listener *l = host->listeners;
    int rc = 0;

    for (int i = 0; i < 2 && rc == 0; i++) {
        if (addresses[i][0])
            rc = jbi_listener_open(l++, host, addresses[i], err);
    }
    if (rc == 0 && host->opts.unix_path[0])
        rc = jbi_listener_open_unix(l, host, host->opts.unix_path, err);
    host->is_listening = rc == 0;
    return rc;
}

static int init_service(jb_host *host, jb_error *err)
{
    int rc;

    host->read_buf = jbi_hmem_alloc(host->alloc, JBI_CONN_READ_BYTES);
    if (!host->read_buf)
        return refuse(err, JB_ENOMEM, "read buffer");
    rc = jbi_service_init(&host->service, &host->opts, host->bus, host->alloc, err);
    host->has_service = rc == 0;
    host->crowd.key = host->service.dedupe.key;
    set_limits(host);
    return rc < 0 && err->code == 0 ? refuse(err, rc, "set-up") : rc;
}

static void count_files(jb_host *host)
{
    struct rlimit most;

    host->max_fd = UINT64_MAX;
    if (getrlimit(RLIMIT_NOFILE, &most) == 0 && most.rlim_cur != RLIM_INFINITY)
        host->max_fd =
            most.rlim_cur > JBI_HOST_SPARE_FILES ? most.rlim_cur - JBI_HOST_SPARE_FILES : 0;
}

static int start(jb_host *host, void *uv_loop, jb_error *err)
{
    int rc = jbi_hconfig_check(&host->opts, err);

    if (rc < 0)
        return rc;
    rc = open_bus(host, err);
    if (rc == 0)
        rc = init_service(host, err);
    if (rc == 0)
        rc = load_tls(host, &host->tls, err);
    if (rc == 0)
        rc = jbi_gate_load(host, err);
    if (rc < 0)
        return rc;
    count_files(host);
    rc = init_loop(host, uv_loop);
    if (rc == 0)
        rc = init_handles(host);
    if (rc < 0)
        return refuse(err, rc, "event loop");
    return listen_all(host, err);
}

/* Whether they are options of any version at all. */
static bool are_opts(const jb_host_opts *opts)
{
    return !opts || opts->size >= offsetof(jb_host_opts, bus);
}

/* Options of a caller whose struct may be an older, shorter one. */
static void take_opts(jb_host *host, const jb_host_opts *opts)
{
    jb_host_opts_init(&host->opts, sizeof(host->opts));
    if (opts)
        memcpy(&host->opts, opts, opts->size < sizeof(*opts) ? opts->size : sizeof(*opts));
}

int jb_host_opts_check(const jb_host_opts *opts, jb_error *err)
{
    jb_host *host = jbi_hmem_zalloc(&jbi_hmem_libc, sizeof(*host));
    jb_error own_err;
    int rc;

    if (!err)
        err = &own_err;
    jb_error_init(err);
    if (!host)
        return refuse(err, JB_ENOMEM, "jb_host_opts_check");
    if (!are_opts(opts)) {
        jbi_hmem_free(&jbi_hmem_libc, host, sizeof(*host));
        return refuse(err, JB_EINVAL, "jb_host_opts_check");
    }
    host->alloc = &jbi_hmem_libc;
    take_opts(host, opts);
    rc = jbi_hconfig_check(&host->opts, err);
    if (rc == 0)
        rc = jbi_gate_load(host, err);
    if (rc == 0)
        rc = load_tls(host, &host->tls, err);
    jbi_gate_fini(&host->gate);
    jbi_tls_site_unref(host->tls);
    jbi_hmem_free(&jbi_hmem_libc, host, sizeof(*host));
    return rc;
}

int jb_host_create(const jb_host_opts *opts, void *uv_loop, jb_host **ret_host, jb_error *err)
{
    const jb_alloc *alloc = opts && opts->alloc ? opts->alloc : &jbi_hmem_libc;
    jb_error own_err;
    jb_host *host;
    int rc;

    if (!err)
        err = &own_err;
    jb_error_init(err);
    if (!ret_host || !are_opts(opts))
        return refuse(err, JB_EINVAL, "jb_host_create");
    host = jbi_hmem_zalloc(alloc, sizeof(*host));
    if (!host)
        return refuse(err, JB_ENOMEM, "jb_host_create");
    take_opts(host, opts);
    host->alloc_copy = *alloc;
    host->alloc = &host->alloc_copy;
    jbi_added_init(&host->added, host->alloc);
    rc = start(host, uv_loop, err);
    if (rc < 0) {
        jb_host_destroy(host);
        return rc;
    }
    *ret_host = host;
    return 0;
}

int jb_host_run(jb_host *host)
{
    if (!host)
        return JB_EINVAL;
    if (!host->owns_loop || host->has_run)
        return JB_ESTATE;
    host->has_run = true;
    uv_run(host->loop, UV_RUN_DEFAULT);
    return 0;
}

/* Only an atomic and uv_async_send(): both may be used in a signal handler. */
void jb_host_stop(jb_host *host)
{
    if (!host)
        return;
    atomic_fetch_add(&host->n_stops, 1);
    if (!uv_is_closing((uv_handle_t *)&host->wake))
        uv_async_send(&host->wake);
}

/* The same two. */
void jb_host_reload(jb_host *host)
{
    if (!host)
        return;
    atomic_store(&host->wants_reload, true);
    if (!uv_is_closing((uv_handle_t *)&host->wake))
        uv_async_send(&host->wake);
}

/* And again. */
void jb_host_kick(jb_host *host)
{
    if (!host)
        return;
    atomic_store(&host->wants_tick, true);
    if (!uv_is_closing((uv_handle_t *)&host->wake))
        uv_async_send(&host->wake);
}

bool jb_host_is_stopped(const jb_host *host)
{
    return host && host->n_handles == 0;
}

const char *jb_host_address(const jb_host *host)
{
    return host ? host->listeners[0].address : "";
}

void jb_host_destroy(jb_host *host)
{
    if (!host)
        return;
    host->is_orphan = true;
    if (host->has_service)
        drop_conns(host);
    if (host->n_handles)
        close_handles(host);
    /* On the caller's loop the rest goes later, when the caller's bus may be closed already. */
    if (host->has_service)
        jbi_service_leave_bus(&host->service);
    if (host->owns_loop) {
        uv_run(host->loop, UV_RUN_DEFAULT);
        uv_loop_close(host->loop);
    } else if (host->n_handles) {
        return; /* jbi_host_handle_closed() frees it */
    }
    free_host(host);
}

const char *jbi_host_date(jb_host *host)
{
    time_t now = time(NULL);
    struct tm tm;

    if (now != host->date_s) {
        host->date_s = now;
        gmtime_r(&now, &tm);
        strftime(host->date, sizeof(host->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    }
    return host->date;
}

int jb_host_route_at(uint32_t idx, const char **ret_method, const char **ret_path,
                     const char **ret_statuses)
{
    const jbi_route *route = jbi_router_at(idx);

    if (!ret_method || !ret_path || !ret_statuses)
        return JB_EINVAL;
    if (!route)
        return JB_ENOENT;
    *ret_method = route->method;
    *ret_path = route->path;
    *ret_statuses = route->statuses;
    return 0;
}
