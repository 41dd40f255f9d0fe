/*
 * systemd: what a service manager and its service tell each other, without a library.
 *
 * Source: sd_notify(3) and sd_listen_fds(3): datagrams to $NOTIFY_SOCKET; sockets from descriptor 3
 * on, $LISTEN_FDS of them, when $LISTEN_PID is us.
 *
 * Invariant: without a manager nothing happens.
 */
#ifndef JIMBOTD_SYSTEMD_H
#define JIMBOTD_SYSTEMD_H

#include "jimbot/host.h"

/* "READY=1", "STOPPING=1" … May be called in a signal handler. */
void systemd_notify(const char *state);

/* The settings are being read again. */
void systemd_notify_reloading(void);

/* Sockets that were handed over take the place of `http`, `grpc` and `unix_path` in opts: the first
 * two that are TCP, and the first that is a Unix socket. */
void systemd_sockets(jb_host_opts *opts);

#endif
