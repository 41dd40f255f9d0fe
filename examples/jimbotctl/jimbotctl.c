/*
 * jimbotctl: see what happens on a bus while it runs. Here is only what stands around the commands:
 * standard streams, signals, the bus, exit codes.
 *
 * Invariant: whatever way a command ends, what it printed was either written or complained about.
 *
 * Exit codes: 0 done, 1 failure, 2 there is no such bus, 64 wrong usage.
 */
#include "ctl.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const ctl_command ctl_commands[] = {{"top", OF_TOP, 0, 0, true, run_top},
                                    {"stat", OF_STAT, 0, 0, true, run_stat},
                                    {"peers", OF_PEERS, 0, 0, true, run_peers},
                                    {"subs", OF_SUBS, 0, 0, true, run_subs},
                                    {"tail", OF_TAIL, 1, 1000, true, run_tail},
                                    {"pub", OF_PUB, 0, 1000, true, run_pub},
                                    {"check", OF_CHECK, 0, 1000, false, run_check},
                                    {"groups", OF_GROUPS, 0, 0, true, run_groups},
                                    {"resources", OF_RESOURCES, 0, 2, false, run_resources},
                                    {NULL, 0, 0, 0, false, NULL}};

static volatile sig_atomic_t stop_signal;

/* Why standard output cannot be written any more, 0 while it can. */
static int output_errno;

static void on_stop(int signo)
{
    stop_signal = signo;
}

void catch_stop(void)
{
    struct sigaction stop = {.sa_handler = on_stop};

    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGHUP, &stop, NULL);
}

bool is_stopped(void)
{
    return stop_signal != 0;
}

int complain(const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fputs("jimbotctl: ", stderr);
    put_clean(stderr, text);
    fputc('\n', stderr);
    return EXIT_FAILURE;
}

bool is_output_broken(void)
{
    if (ferror(stdout) && !output_errno)
        output_errno = errno;
    return output_errno != 0;
}

int flush_output(void)
{
    static bool has_complained;

    if (!is_output_broken() && fflush(stdout) == 0)
        return 0;
    output_errno = output_errno ? output_errno : errno;
    if (output_errno == EPIPE)
        return 1;
    if (!has_complained)
        complain("cannot write: %s", strerror(output_errno));
    has_complained = true;
    return -1;
}

int bus_attach(const char *name, jb_bus **ret_bus)
{
    jb_bus_opts opts;
    jb_error err;
    int rc;

    jb_bus_opts_init(&opts, sizeof(opts));
    opts.peer_name = "jimbotctl";
    jb_error_init(&err);
    rc = jb_bus_attach(name, &opts, ret_bus, &err);
    if (rc == 0)
        return 0;
    complain("%s", err.msg[0] ? err.msg : jb_strerror(rc));
    return rc == JB_ENOENT ? EXIT_NO_BUS : EXIT_FAILURE;
}

/* A stream that was closed before we started would become the bus's file, and what is meant for
 * the stream would be written over the bus. */
static void hold_streams(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        /* Writing to standard output fails as it should; what goes to standard error is lost. */
        if (open("/dev/null", fd == 1 ? O_RDONLY : O_RDWR) != fd)
            _exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    const ctl_command *command;
    ctl_opts opts;
    jb_bus *bus = NULL;
    int rc;

    hold_streams();
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    rc = options_parse(argc, argv, &opts, &command);
    if (rc < 0) {
        rc = command->needs_bus ? bus_attach(opts.bus, &bus) : 0;
        if (rc != 0)
            return rc;
        rc = command->run(&opts, bus);
        jb_bus_close(bus);
    }
    if (flush_output() < 0)
        rc = EXIT_FAILURE;
    return rc;
}
