/*
 * jimbotd: the daemon. Everything it can do is in libjimbot-host; here are only flags, files,
 * signals and exit codes.
 *
 * Invariant: a setting is taken from the defaults, then the file, then the environment, then the
 * flags, and a setting that is wrong anywhere stops the start with one line that says where.
 *
 * Exit codes: 0 stopped by SIGINT or SIGTERM, 1 failure while running, 2 wrong flag or setting,
 * 3 the address cannot be bound, 4 the bus cannot be opened.
 */
#include "jimbot/host.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EXIT_USAGE = 2, EXIT_ADDRESS = 3, EXIT_BUS = 4 };

/* Flags that are not settings; settings take the codes from FLAG_SETTING on. */
enum { FLAG_CONFIG = 256, FLAG_HELP, FLAG_VERSION, FLAG_ROUTES, FLAG_TOKEN, FLAG_SETTING };

enum { N_OPTIONS_MAX = 64 };

typedef struct flags {
    struct option options[N_OPTIONS_MAX];
    char names[N_OPTIONS_MAX][32];
    uint32_t n_settings;
} flags;

static jb_host *volatile running;

static void on_signal(int signo)
{
    jb_host_stop(running);
}

static void on_hangup(int signo)
{
    jb_host_reload(running);
}

static void on_log(uint32_t level, const char *line, void *userdata)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char now[32];
    time_t t = time(NULL);
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm);
    fprintf(stderr, "%s %s jimbotd: %s\n", now, names[level & 3], line);
}

/* --max-body-bytes for max_body_bytes, and so on. */
static void make_flags(flags *f)
{
    static const struct option fixed[] = {{"config", required_argument, NULL, FLAG_CONFIG},
                                          {"help", no_argument, NULL, FLAG_HELP},
                                          {"version", no_argument, NULL, FLAG_VERSION},
                                          {"routes", no_argument, NULL, FLAG_ROUTES},
                                          {"make-token", required_argument, NULL, FLAG_TOKEN}};
    const char *name;
    const char *arg;

    memset(f, 0, sizeof(*f));
    while (f->n_settings < N_OPTIONS_MAX - 6 &&
           jb_host_opts_key(f->n_settings, &name, &arg, NULL) == 0) {
        char *to = f->names[f->n_settings];

        snprintf(to, sizeof(f->names[0]), "%s", name);
        for (; *to; to++)
            *to = *to == '_' ? '-' : *to;
        f->options[f->n_settings] =
            (struct option){f->names[f->n_settings], *arg ? required_argument : no_argument, NULL,
                            FLAG_SETTING + (int)f->n_settings};
        f->n_settings++;
    }
    memcpy(&f->options[f->n_settings], fixed, sizeof(fixed));
}

static void print_help(const flags *f)
{
    const char *arg;
    const char *help;

    printf("usage: jimbotd [--http ADDRESS:PORT] [--bus NAME] [--config FILE] [option...]\n"
           "Publishes events that come in over HTTP on a bus, and hands commands back.\n\n");
    for (uint32_t i = 0; i < f->n_settings; i++) {
        char left[64];

        jb_host_opts_key(i, NULL, &arg, &help);
        snprintf(left, sizeof(left), "--%s %s", f->names[i], arg);
        printf("  %-30s  %s\n", left, help);
    }
    printf("  %-30s  %s\n  %-30s  %s\n  %-30s  %s\n  %-30s  %s\n\n", "--config FILE",
           "read `max_body_bytes = 8M` and so on from a file", "--make-token NAME SCOPES",
           "print a new token, and its line for the file of --tokens", "--help", "this text",
           "--version", "the version");
    printf(
        "Every setting can also stand in the environment, JIMBOTD_MAX_BODY_BYTES, and the file\n"
        "may be named by JIMBOTD_CONFIG. Flags go over the environment, and that over the file.\n"
        "Exit codes: 0 stopped by a signal, 1 failure, 2 wrong setting, 3 address cannot be\n"
        "bound, 4 bus cannot be opened.\n");
}

static void print_routes(void)
{
    const char *method;
    const char *path;
    const char *statuses;

    for (uint32_t i = 0; jb_host_route_at(i, &method, &path, &statuses) == 0; i++)
        printf("%s %s %s\n", method, path, statuses);
}

/* Two lines: the token, and what the file of tokens is to hold. */
static int make_token(const char *name, const char *scopes)
{
    char token[48];
    char line[256];
    jb_error err;

    if (jb_host_make_token(name, scopes ? scopes : "", token, line, &err) < 0) {
        fprintf(stderr, "jimbotd: %s\n", err.msg);
        return EXIT_USAGE;
    }
    printf("%s\n%s\n", token, line);
    return 0;
}

/* First pass over the flags: what needs no settings, and where the file is. Returns an exit code,
 * or -1 to go on. */
static int scan_flags(int argc, char **argv, const flags *f, const char **ret_config)
{
    int c;

    *ret_config = getenv("JIMBOTD_CONFIG");
    while ((c = getopt_long(argc, argv, "", f->options, NULL)) != -1) {
        switch (c) {
        case '?':
            return EXIT_USAGE;
        case FLAG_CONFIG:
            *ret_config = optarg;
            break;
        case FLAG_HELP:
            print_help(f);
            return 0;
        case FLAG_VERSION:
            printf("jimbotd %s\n", jb_version_string());
            return 0;
        case FLAG_ROUTES:
            print_routes();
            return 0;
        case FLAG_TOKEN:
            return make_token(optarg, argv[optind]);
        default:
            break;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "jimbotd: what is \"%s\"? See --help\n", argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

/* Second pass: flags go over file and environment. */
static int apply_flags(int argc, char **argv, const flags *f, jb_host_opts *opts, jb_error *err)
{
    int rc = 0;
    int c;

    optind = 1;
    while (rc == 0 && (c = getopt_long(argc, argv, "", f->options, NULL)) != -1) {
        const char *name;

        if (c < FLAG_SETTING)
            continue;
        jb_host_opts_key((uint32_t)(c - FLAG_SETTING), &name, NULL, NULL);
        rc = jb_host_opts_set(opts, name, optarg ? optarg : "yes", err);
    }
    return rc;
}

static int load_settings(int argc, char **argv, const flags *f, const char *config,
                         jb_host_opts *opts)
{
    jb_error err;
    int rc = 0;

    jb_host_opts_init(opts, sizeof(*opts));
    opts->log = on_log;
    if (config && *config)
        rc = jb_host_opts_load_file(opts, config, &err);
    if (rc == 0)
        rc = jb_host_opts_load_env(opts, &err);
    if (rc == 0)
        rc = apply_flags(argc, argv, f, opts, &err);
    if (rc < 0)
        fprintf(stderr, "jimbotd: %s\n", err.msg);
    return rc < 0 ? EXIT_USAGE : 0;
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

static int serve(const jb_host_opts *opts)
{
    jb_error err;
    jb_host *host;
    int rc = jb_host_create(opts, NULL, &host, &err);

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
    jb_host_opts opts;
    const char *config;
    flags f;
    int rc;

    make_flags(&f);
    rc = scan_flags(argc, argv, &f, &config);
    if (rc >= 0)
        return rc;
    rc = load_settings(argc, argv, &f, config, &opts);
    if (rc == 0)
        rc = open_bus(&opts, &opts.bus);
    if (rc == 0)
        rc = serve(&opts);
    jb_bus_close(opts.bus);
    return rc;
}
