/*
 * run: a host's life in a daemon, from ready to gone: signals, and what systemd is told meanwhile.
 *
 * Invariant: SIGINT and SIGTERM stop the host, SIGHUP has it read its settings again; whoever asks
 * twice gets the same answer.
 */
#ifndef JIMBOTD_RUN_H
#define JIMBOTD_RUN_H

#include "jimbot/host.h"

/* Say on standard output that a host is `ready`, run it until it has stopped, and destroy it.
 * Whoever has read that may send signals. Returns what jb_host_run() did. */
int run_host(jb_host *host, const char *ready);

#endif
