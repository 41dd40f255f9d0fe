/*
 * jimbotd: the daemon. Everything it can do is in libjimbot-host; here are only settings and exit
 * codes.
 *
 * Exit codes: 0 stopped by SIGINT or SIGTERM, 1 failure while running, 2 wrong flag or setting,
 * 3 the address cannot be bound, 4 the bus cannot be opened.
 */
#include "run.h"
#include "settings.h"
#include "systemd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_ADDRESS = 3, EXIT_BUS = 4 };

static uint32_t log_format;

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
    char ready[1024];
    jb_error err;
    jb_host *host;
    int rc = create(opts, is_grpc_default, &host, &err);

    if (rc < 0) {
        fprintf(stderr, "jimbotd: %s\n", err.msg);
        return rc == JB_ESYS                        ? EXIT_ADDRESS
               : rc == JB_EINVAL || rc == JB_EPARSE ? EXIT_USAGE
                                                    : EXIT_FAILURE;
    }
    snprintf(ready, sizeof(ready), "jimbotd %s listens on http%s://%s, bus %s", jb_version_string(),
             opts->tls_cert[0] ? "s" : "", jb_host_address(host), opts->bus_name);
    rc = run_host(host, ready);
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
