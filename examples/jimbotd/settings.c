/*
 * settings: see settings.h. Flags are made from the names of the host's options, so that a new
 * option is a new flag.
 */
#include "settings.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Flags that are not settings; settings take the codes from FLAG_SETTING on. */
enum {
    FLAG_CONFIG = 256,
    FLAG_HELP,
    FLAG_VERSION,
    FLAG_ROUTES,
    FLAG_TOKEN,
    FLAG_CHECK,
    FLAG_SETTING
};

enum { N_OPTIONS_MAX = 64 };

typedef struct flags {
    struct option options[N_OPTIONS_MAX];
    char names[N_OPTIONS_MAX][32];
    uint32_t n_settings;
} flags;

/* --max-body-bytes for max_body_bytes, and so on. */
static void make_flags(flags *f)
{
    static const struct option fixed[] = {{"config", required_argument, NULL, FLAG_CONFIG},
                                          {"help", no_argument, NULL, FLAG_HELP},
                                          {"version", no_argument, NULL, FLAG_VERSION},
                                          {"routes", no_argument, NULL, FLAG_ROUTES},
                                          {"check-config", no_argument, NULL, FLAG_CHECK},
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
    printf("  %-30s  %s\n  %-30s  %s\n  %-30s  %s\n  %-30s  %s\n  %-30s  %s\n\n", "--config FILE",
           "read `max_body_bytes = 8M` and so on from a file", "--check-config",
           "print the settings in force and stop; exit code 2 when one is wrong",
           "--make-token NAME SCOPES", "print a new token, and its line for the file of --tokens",
           "--help", "this text", "--version", "the version");
    printf(
        "Every setting can also stand in the environment, JIMBOTD_MAX_BODY_BYTES, and the file\n"
        "may be named by JIMBOTD_CONFIG. Flags go over the environment, and that over the file.\n"
        "SIGHUP reads file, tokens and certificates again: limits, times, log_level change.\n"
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

/* Say whether the host could be started with these settings, and what they are. */
static int check_settings(const jb_host_opts *opts)
{
    const char *name;
    char value[256];
    jb_error err;

    if (jb_host_opts_check(opts, &err) < 0) {
        fprintf(stderr, "jimbotd: %s\n", err.msg);
        return EXIT_USAGE;
    }
    for (uint32_t i = 0; jb_host_opts_key(i, &name, NULL, NULL) == 0; i++) {
        if (jb_host_opts_get(opts, name, value, sizeof(value)) == 0)
            printf("%s = %s\n", name, value);
    }
    return 0;
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

/* Fill in defaults, file, environment and flags. */
int settings_read(settings *from, jb_host_opts *opts, jb_error *err)
{
    static const char unsaid[] = "?"; /* no address */
    flags f;
    int rc = 0;

    make_flags(&f);
    jb_host_opts_init(opts, sizeof(*opts));
    snprintf(opts->grpc, sizeof(opts->grpc), "%s", unsaid);
    if (from->config && *from->config)
        rc = jb_host_opts_load_file(opts, from->config, err);
    if (rc == 0)
        rc = jb_host_opts_load_env(opts, err);
    if (rc == 0)
        rc = apply_flags(from->argc, from->argv, &f, opts, err);
    from->is_grpc_default = strcmp(opts->grpc, unsaid) == 0;
    if (from->is_grpc_default)
        snprintf(opts->grpc, sizeof(opts->grpc), "127.0.0.1:50051");
    return rc;
}

/* First pass over the flags: what needs no settings, and where the file is. Returns an exit code,
 * or -1 to go on. */
static int scan_flags(settings *s, const flags *f, bool *ret_check)
{
    int c;

    s->config = getenv("JIMBOTD_CONFIG");
    *ret_check = false;
    while ((c = getopt_long(s->argc, s->argv, "", f->options, NULL)) != -1) {
        switch (c) {
        case '?':
            return EXIT_USAGE;
        case FLAG_CONFIG:
            s->config = optarg;
            break;
        case FLAG_CHECK:
            *ret_check = true;
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
            return make_token(optarg, s->argv[optind]);
        default:
            break;
        }
    }
    if (optind < s->argc) {
        fprintf(stderr, "jimbotd: what is \"%s\"? See --help\n", s->argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

int settings_begin(settings *s, int argc, char **argv, jb_host_opts *opts)
{
    bool is_check;
    jb_error err;
    flags f;
    int rc;

    *s = (settings){.argc = argc, .argv = argv};
    make_flags(&f);
    rc = scan_flags(s, &f, &is_check);
    if (rc >= 0)
        return rc;
    if (settings_read(s, opts, &err) < 0) {
        fprintf(stderr, "jimbotd: %s\n", err.msg);
        return EXIT_USAGE;
    }
    return is_check ? check_settings(opts) : -1;
}
