/*
 * options.c: the command line.
 *
 * Invariant: one list says which options there are and whose they are; an option is taken wherever
 * it stands, and one that its command would not use is refused, never ignored.
 */
#include "ctl.h"
#include "options_help.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OF_ALL = 0xffff };

enum {
    OPT_JSON = 256,
    OPT_TOPIC,
    OPT_RAW,
    OPT_TIMEOUT,
    OPT_FROM,
    OPT_LATEST,
    OPT_LOSSLESS,
    OPT_URL,
    OPT_TOKEN,
    OPT_CA
};

static const struct option options[] = {{"bus", required_argument, NULL, 'b'},
                                        {"ca", required_argument, NULL, OPT_CA},
                                        {"from", required_argument, NULL, OPT_FROM},
                                        {"help", no_argument, NULL, 'h'},
                                        {"interval", required_argument, NULL, 'i'},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"latest", no_argument, NULL, OPT_LATEST},
                                        {"lossless", no_argument, NULL, OPT_LOSSLESS},
                                        {"count", required_argument, NULL, 'n'},
                                        {"raw", no_argument, NULL, OPT_RAW},
                                        {"timeout", required_argument, NULL, OPT_TIMEOUT},
                                        {"token", required_argument, NULL, OPT_TOKEN},
                                        {"topic", required_argument, NULL, OPT_TOPIC},
                                        {"url", required_argument, NULL, OPT_URL},
                                        {"version", no_argument, NULL, 'V'},
                                        {NULL, 0, NULL, 0}};

/* Whose an option is. */
static uint32_t owners_of(int code)
{
    switch (code) {
    case 'n':
        return OF_TOP | OF_TAIL | OF_RESOURCES;
    case 'i':
        return OF_TOP | OF_RESOURCES;
    case OPT_JSON:
        return OF_STAT | OF_PEERS | OF_SUBS | OF_GROUPS | OF_TAIL | OF_RESOURCES;
    case OPT_FROM:
    case OPT_LATEST:
    case OPT_LOSSLESS:
        return OF_TAIL;
    case OPT_TOPIC:
    case OPT_RAW:
        return OF_PUB;
    case OPT_TIMEOUT:
        return OF_PUB | OF_RESOURCES;
    case OPT_URL:
    case OPT_TOKEN:
    case OPT_CA:
        return OF_RESOURCES;
    default:
        return OF_ALL;
    }
}

static bool needs_url(int code)
{
    return code == OPT_TOKEN || code == OPT_CA || code == OPT_TIMEOUT;
}

static const char *name_of(int code)
{
    for (const struct option *o = options; o->name; o++)
        if (o->val == code)
            return o->name;
    return "?";
}

static int parse_count(const char *text, uint64_t *ret_count)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno || n == 0) {
        complain("--count: \"%s\" is not a count from 1 to 18446744073709551615", text);
        return EXIT_WRONG_USAGE;
    }
    *ret_count = n;
    return 0;
}

static int parse_seconds(int code, const char *text, double least, uint64_t *ret_ns)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end || !(seconds >= least) || seconds > 86400) {
        complain("--%s: \"%s\" is not a number of seconds from %g to 86400", name_of(code), text,
                 least);
        return EXIT_WRONG_USAGE;
    }
    *ret_ns = (uint64_t)(seconds * 1e9);
    return 0;
}

static int take_option(int code, const char *arg, ctl_opts *o)
{
    switch (code) {
    case 'b':
        o->bus = arg;
        o->is_bus_given = true;
        return 0;
    case 'n':
        return parse_count(arg, &o->n_max);
    case 'i':
        return parse_seconds(code, arg, 0.1, &o->interval_ns);
    case OPT_TIMEOUT:
        return parse_seconds(code, arg, 0, &o->timeout_ns);
    case OPT_TOPIC:
        o->topic = arg;
        return 0;
    case OPT_URL:
        o->url = arg;
        return 0;
    case OPT_TOKEN:
        o->token = arg;
        return 0;
    case OPT_CA:
        o->ca = arg;
        return 0;
    case OPT_FROM:
        o->is_from_oldest = !strcmp(arg, "oldest");
        if (o->is_from_oldest || !strcmp(arg, "now"))
            return 0;
        complain("--from: \"%s\" is neither oldest nor now", arg);
        return EXIT_WRONG_USAGE;
    case OPT_LATEST:
    case OPT_LOSSLESS:
        o->is_lossless = code == OPT_LOSSLESS;
        return 0;
    case OPT_JSON:
        o->is_json = true;
        return 0;
    case OPT_RAW:
        o->is_raw = true;
        return 0;
    default: /* getopt_long() has said what is wrong */
        return EXIT_WRONG_USAGE;
    }
}

static int find_command(int argc, char **argv, const ctl_command **ret_command)
{
    if (optind >= argc) {
        complain("which command? See jimbotctl --help");
        return EXIT_WRONG_USAGE;
    }
    for (const ctl_command *c = ctl_commands; c->name; c++) {
        if (!strcmp(argv[optind], c->name)) {
            *ret_command = c;
            optind++;
            return 0;
        }
    }
    complain("\"%s\" is not a command. See jimbotctl --help", argv[optind]);
    return EXIT_WRONG_USAGE;
}

static int check_fit(const ctl_command *command, const int *codes, int n_codes, const ctl_opts *o)
{
    for (int i = 0; i < n_codes; i++) {
        if (!(owners_of(codes[i]) & command->bit)) {
            complain("--%s is not an option of %s", name_of(codes[i]), command->name);
            return EXIT_WRONG_USAGE;
        }
        if (needs_url(codes[i]) && command->bit == OF_RESOURCES && !o->url) {
            complain("--%s goes with --url", name_of(codes[i]));
            return EXIT_WRONG_USAGE;
        }
    }
    if (o->n_args < command->n_args_min)
        complain("%s: which? See jimbotctl --help", command->name);
    else if (o->n_args > command->n_args_max || (o->is_raw && o->n_args > 0))
        complain("%s: what is \"%s\"?", command->name, o->args[0]);
    else
        return -1;
    return EXIT_WRONG_USAGE;
}

int options_parse(int argc, char **argv, ctl_opts *ret_opts, const ctl_command **ret_command)
{
    const char *bus = getenv("JIMBOT_BUS");
    const char *token = getenv("JIMBOT_TOKEN");
    ctl_opts o = {.bus = bus && *bus ? bus : "jimbot",
                  .token = token && *token ? token : NULL,
                  .n_max = UINT64_MAX,
                  .interval_ns = UINT64_C(1000000000),
                  .timeout_ns = UINT64_C(5000000000)};
    int codes[64];
    int n_codes = 0;
    int rc = 0;
    int code;

    while (rc == 0 && (code = getopt_long(argc, argv, "b:hi:n:V", options, NULL)) != -1) {
        if (code == 'h' || code == 'V') {
            if (code == 'h')
                fputs(help_text, stdout);
            else
                printf("jimbotctl %s\n", jb_version_string());
            return 0;
        }
        rc = take_option(code, optarg, &o);
        if (n_codes < 64)
            codes[n_codes++] = code;
    }
    if (rc == 0)
        rc = find_command(argc, argv, ret_command);
    if (rc != 0)
        return rc;
    o.args = argv + optind;
    o.n_args = argc - optind;
    *ret_opts = o;
    return check_fit(*ret_command, codes, n_codes, &o);
}
