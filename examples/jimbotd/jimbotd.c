/*
 * jimbotd: the daemon. Everything it can do is in libjimbot-host; here are only settings, signals,
 * what systemd wants to know, and exit codes.
 *
 * Exit codes: 0 stopped by SIGINT or SIGTERM, 1 failure while running, 2 wrong flag or setting,
 * 3 the address cannot be bound, 4 the bus cannot be opened.
 */
#include "settings.h"
#include "systemd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_ADDRESS = 3, EXIT_BUS = 4 };

static jb_host *volatile running;
static uint32_t log_format;

/* The handlers leave errno as it was: they come between a call and the look at it. */
static void on_signal(int signo)
{
    int saved = errno;

    systemd_notify("STOPPING=1");
    jb_host_stop(running);
    errno = saved;
}

static void on_hangup(int signo)
{
    int saved = errno;

    jb_host_reload(running);
    errno = saved;
}

static void on_log(uint32_t level, const char *line, void *userdata)
{
    char text[2048];
    size_t n = jb_host_log_line(log_format, "jimbotd", level, line, text, sizeof(text));

    fwrite(text, 1, n, stderr);
}

static int on_reload(jb_host_opts *opts, jb_error *err, void *userdata)
{
    jb_host_opts next;
    int rc;

    systemd_notify_reloading();
    rc = settings_read(userdata, &next, err);
    systemd_notify("READY=1");
    if (rc < 0)
        return rc;
    systemd_sockets(&next);
    log_format = next.log_format;
    if (((const settings *)userdata)->is_grpc_default)
        memcpy(next.grpc, opts->grpc, sizeof(next.grpc)); /* or none, where it was taken */
    next.bus = opts->bus;
    *opts = next;
    return 0;
}

static void catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal};
    struct sigaction reload = {.sa_handler = on_hangup};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGHUP, &reload, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

static int open_bus(const jb_host_opts *opts, jb_bus **ret_bus)
{
    jb_bus_opts bus_opts;
    jb_error err;

    jb_bus_opts_init(&bus_opts, sizeof(bus_opts));
    bus_opts.capacity_bytes = opts->bus_bytes;
    bus_opts.max_subs = opts->bus_subscriptions;
    if (jb_bus_open(opts->bus_name, &bus_opts, ret_bus, &err) == 0)
        return 0;
    fprintf(stderr, "jimbotd: cannot open the bus %s: %s\n", opts->bus_name, err.msg);
    return EXIT_BUS;
}

/* A second daemon on a machine starts too: without the address for gRPC that nobody asked for. */
static int create(jb_host_opts *opts, bool is_grpc_default, jb_host **ret_host, jb_error *err)
{
    char line[256];
    int rc = jb_host_create(opts, NULL, ret_host, err);

    if (rc != JB_ESYS || err->os_errno != EADDRINUSE || !is_grpc_default || !opts->grpc[0] ||
        !strstr(err->msg, opts->grpc))
        return rc;
    snprintf(line, sizeof(line), "%.150s: gRPC is served on the other addresses alone", err->msg);
    on_log(JB_LOG_WARN, line, NULL);
    opts->grpc[0] = '\0';
    return jb_host_create(opts, NULL, ret_host, err);
}

static int serve(jb_host_opts *opts, bool is_grpc_default)
{
    jb_error err;
    jb_host *host;
    int rc = create(opts, is_grpc_default, &host, &err);

    if (rc < 0) {
        fprintf(stderr, "jimbotd: %s\n", err.msg);
        return rc == JB_ESYS                        ? EXIT_ADDRESS
               : rc == JB_EINVAL || rc == JB_EPARSE ? EXIT_USAGE
                                                    : EXIT_FAILURE;
    }
    running = host;
    catch_signals();
    printf("jimbotd %s listens on http%s://%s, bus %s\n", jb_version_string(),
           opts->tls_cert[0] ? "s" : "", jb_host_address(host), opts->bus_name);
    fflush(stdout);
    systemd_notify("READY=1");
    rc = jb_host_run(host);
    /* Whoever asks twice gets the same answer: it is stopping, and its exit code is its own. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    running = NULL;
    jb_host_destroy(host);
    return rc < 0 ? EXIT_FAILURE : 0;
}

int main(int argc, char **argv)
{
    settings from;
    jb_host_opts opts;
    int rc = settings_begin(&from, argc, argv, &opts);

    if (rc >= 0)
        return rc;
    systemd_sockets(&opts);
    log_format = opts.log_format;
    opts.log = on_log;
    opts.reload = on_reload;
    opts.reload_userdata = &from;
    rc = open_bus(&opts, &opts.bus);
    if (rc == 0)
        rc = serve(&opts, from.is_grpc_default);
    jb_bus_close(opts.bus);
    return rc;
}
