/*
 * systemd: see systemd.h.
 */
#include "systemd.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

void systemd_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    int fd;

    if (n < 2 || n >= sizeof(to.sun_path) || (*path != '/' && *path != '@'))
        return;
    memcpy(to.sun_path, path, n);
    if (*path == '@')
        to.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}

void systemd_notify_reloading(void)
{
    char state[64];
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)now.tv_sec * 1000000u + (unsigned long long)now.tv_nsec / 1000u);
    systemd_notify(state);
}

static int n_sockets(void)
{
    const char *pid = getenv("LISTEN_PID");
    const char *n = getenv("LISTEN_FDS");

    return pid && n && strtol(pid, NULL, 10) == getpid() ? (int)strtol(n, NULL, 10) : 0;
}

void systemd_sockets(jb_host_opts *opts)
{
    char *tcp[] = {opts->http, opts->grpc};
    unsigned n_tcp = 0;
    bool has_unix = false;

    for (int fd = FIRST_FD; fd < FIRST_FD + n_sockets(); fd++) {
        struct sockaddr_storage at;
        socklen_t n = sizeof(at);

        if (getsockname(fd, (struct sockaddr *)&at, &n) < 0)
            continue;
        if (at.ss_family == AF_UNIX && !has_unix) {
            snprintf(opts->unix_path, sizeof(opts->unix_path), "fd:%d", fd);
            has_unix = true;
        } else if (at.ss_family != AF_UNIX && n_tcp < 2) {
            snprintf(tcp[n_tcp++], sizeof(opts->http), "fd:%d", fd);
        }
    }
    if (n_tcp == 0 && has_unix)
        opts->http[0] = '\0';
    if (n_tcp + has_unix > 0 && n_tcp < 2)
        opts->grpc[0] = '\0';
}
