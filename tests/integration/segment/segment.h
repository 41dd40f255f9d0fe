/*
 * segment.h: a folder for buses of one test, and processes that live and die.
 *
 * Invariant: each test has a folder of its own, named by JIMBOT_SHM_DIR, and leaves none behind.
 */
#ifndef TEST_SEGMENT_H
#define TEST_SEGMENT_H

#include "support/suite.h"

#include "jimbot/jimbot.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char segment_dir[64];
extern char segment_path[160]; /* of the bus "b" in it */

void segment_dir_make(void);
void segment_dir_drop(void);

/* Files in the folder. */
int segment_count(void);

typedef int (*segment_open_fn)(const char *, const jb_bus_opts *, jb_bus **, jb_error *);

/* The bus "b", small. NULL, and a message, unless the answer is the expected one. */
jb_bus *segment_open(segment_open_fn how, uint32_t flags, int expected);

/* A process that makes the bus, publishes n numbers from 1 on, claims once more, and is killed. */
void segment_crash(uint32_t flags, uint64_t n_events);

/* Runs fn in a child; its exit status, or 128 + the signal that ended it. */
int segment_child(int (*fn)(void));

#endif
