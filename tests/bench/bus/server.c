/*
 * server.c: daemons that some peers need: found in PATH, started for a row, ended after it.
 *
 * Invariant: a daemon started here does not outlive the benchmark, however that ends.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Also where servers are kept out of a user's PATH. NULL when there is none. */
const char *server_path(const char *program)
{
    static char path[512];
    const char *env = getenv("PATH");
    char folders[4096], *save = NULL;

    snprintf(folders, sizeof folders, "%s:/usr/sbin:/usr/local/sbin", env ? env : "/usr/bin");
    for (char *at = strtok_r(folders, ":", &save); at; at = strtok_r(NULL, ":", &save)) {
        snprintf(path, sizeof path, "%s/%s", at, program);
        if (access(path, X_OK) == 0)
            return path;
    }
    return NULL;
}

int server_start(const char *path, const char *const *argv)
{
    pid_t parent = getpid(), pid = fork();
    int null;

    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    setpgid(0, 0);
    null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

void server_stop(int pid)
{
    if (pid <= 0)
        return;
    kill(pid, SIGTERM);
    for (int i = 0; i < 200; i++) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return;
        usleep(10000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

int server_free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0), port = 0;

    if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        getsockname(fd, (struct sockaddr *)&at, &len) == 0)
        port = ntohs(at.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}
