/*
 * ctl.h: what the commands of jimbotctl share: the parsed command line, exit codes, and the bus.
 *
 * Invariant: a command looks at a bus through the public headers only, and never creates one.
 */
#ifndef JIMBOTCTL_CTL_H
#define JIMBOTCTL_CTL_H

#include "jimbot/jimbot.h"

#include <stdbool.h>
#include <stdint.h>

enum { EXIT_NO_BUS = 2, EXIT_WRONG_USAGE = 64 };

/* The command line, checked. */
typedef struct ctl_opts {
    const char *bus;
    const char *topic; /* NULL: the one the event belongs on */
    const char *url;   /* NULL: on this machine, by name */
    const char *token; /* NULL: none */
    const char *ca;    /* NULL: the system's */
    uint64_t n_max;    /* UINT64_MAX: no limit */
    uint64_t interval_ns;
    uint64_t timeout_ns;
    bool is_bus_given; /* by the command line */
    bool is_json;
    bool is_raw;
    bool is_lossless;
    bool is_from_oldest;
    char **args;
    int n_args;
} ctl_opts;

/* One bit for each command, for saying which options are whose. */
enum {
    OF_TOP = 1,
    OF_STAT = 2,
    OF_PEERS = 4,
    OF_SUBS = 8,
    OF_TAIL = 16,
    OF_PUB = 32,
    OF_CHECK = 64,
    OF_GROUPS = 128,
    OF_RESOURCES = 256
};

typedef struct ctl_command {
    const char *name;
    uint32_t bit;
    int n_args_min;
    int n_args_max;
    bool needs_bus; /* else run() gets NULL */
    int (*run)(const ctl_opts *opts, jb_bus *bus);
} ctl_command;

extern const ctl_command ctl_commands[]; /* ends with a NULL name */

/* Returns -1 to go on with *ret_command, else an exit code. */
int options_parse(int argc, char **argv, ctl_opts *ret_opts, const ctl_command **ret_command);

/* Prints "jimbotctl: ..." on standard error, and returns EXIT_FAILURE. */
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Returns 0, or an exit code after it complained. */
int bus_attach(const char *name, jb_bus **ret_bus);

/* After catch_stop() SIGINT, SIGTERM and SIGHUP only make is_stopped() true. */
void catch_stop(void);
bool is_stopped(void);

/* To be asked right after printing, while errno still says why. */
bool is_output_broken(void);

/* Flushes standard output. Returns 0, or 1 when its reader is gone, or -1 after it complained. */
int flush_output(void);

int run_top(const ctl_opts *opts, jb_bus *bus);
int run_stat(const ctl_opts *opts, jb_bus *bus);
int run_peers(const ctl_opts *opts, jb_bus *bus);
int run_subs(const ctl_opts *opts, jb_bus *bus);
int run_groups(const ctl_opts *opts, jb_bus *bus);
int run_tail(const ctl_opts *opts, jb_bus *bus);
int run_pub(const ctl_opts *opts, jb_bus *bus);
int run_check(const ctl_opts *opts, jb_bus *bus);
int run_resources(const ctl_opts *opts, jb_bus *bus);

#endif
