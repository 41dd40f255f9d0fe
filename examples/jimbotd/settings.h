/*
 * settings: what jimbotd is told: flags, environment, file.
 *
 * Invariant: a setting is taken from the defaults, then the file, then the environment, then the
 * flags, and a setting that is wrong anywhere is refused with one line that says where.
 */
#ifndef JIMBOTD_SETTINGS_H
#define JIMBOTD_SETTINGS_H

#include "jimbot/host.h"

enum { EXIT_USAGE = 2 };

/* Where settings come from, to read them again. */
typedef struct settings {
    int argc;
    char **argv;
    const char *config;   /* file, NULL none */
    bool is_grpc_default; /* nobody said where gRPC is: this daemon's own choice may fail */
} settings;

/* Look at the flags and fill in opts. Returns -1 to go on, or an exit code: --help and its like
 * have been answered, or something is wrong and has been said. */
int settings_begin(settings *s, int argc, char **argv, jb_host_opts *opts);

/* Fill in opts from everywhere. Returns 0, or below 0 with err->msg. */
int settings_read(settings *s, jb_host_opts *opts, jb_error *err);

#endif
