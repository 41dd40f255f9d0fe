/*
 * run: see run.h.
 */
#include "run.h"

#include "systemd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

static jb_host *volatile running;

/* The handlers leave errno as it was: they come between a call and the look at it. */
static void on_signal(int signo)
{
    int saved = errno;

    systemd_notify("STOPPING=1");
    jb_host_stop(running);
    errno = saved;
}

static void on_hangup(int signo)
{
    int saved = errno;

    jb_host_reload(running);
    errno = saved;
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

int run_host(jb_host *host, const char *ready)
{
    int rc;

    running = host;
    catch_signals();
    puts(ready);
    fflush(stdout);
    systemd_notify("READY=1");
    rc = jb_host_run(host);
    /* Whoever asks twice gets the same answer: it is stopping, and its exit code is its own. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    running = NULL;
    jb_host_destroy(host);
    return rc;
}
