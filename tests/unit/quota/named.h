/*
 * named.h: the small coordinator under a name of its own, and processes that die in it.
 */
#ifndef TEST_NAMED_H
#define TEST_NAMED_H

#include "quota.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static char name[64];

static inline void fresh_name(void)
{
    snprintf(name, sizeof name, "test-quota-%d", (int)getpid());
    (void)jb_coord_unlink(name, NULL);
}

static inline void remove_name(void)
{
    (void)jb_coord_unlink(name, NULL);
}

/* By the true clock: death knows no other. */
static inline void named_opts(jb_coord_opts *opts)
{
    small_opts(opts);
    opts->clock = NULL;
}

static inline jb_coord *open_named(void)
{
    jb_coord_opts opts;

    named_opts(&opts);
    return open_coord(name, &opts);
}

/* Runs fn in a process of its own and kills it there. */
static inline void die_in(void (*fn)(jb_coord *coord))
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        jb_coord *coord = NULL;

        if (jb_coord_open(name, NULL, &coord, NULL) == 0)
            fn(coord);
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
}

static inline jb_want detached_want(const jb_amount *amount)
{
    jb_want want = want_of(BOB, JB_CLASS_NORMAL, amount);

    want.flags = JB_WANT_DETACHED;
    want.hold_ns = 3600 * S;
    want.tag = 99;
    return want;
}

/* Stand in line for half of the memory and never look. */
static inline void ask_detached(jb_coord *coord)
{
    jb_amount amount = {.resource = MEM, .amount = 50};
    jb_want want = detached_want(&amount);
    jb_ticket ticket;

    if (jb_coord_request(coord, &want, &ticket) != 0)
        _exit(1);
}

#endif
