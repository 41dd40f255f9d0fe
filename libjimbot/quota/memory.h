/*
 * memory.h: reading a process's memory below another root than "/", for tests.
 *
 * Invariant: only files below the root are opened, and none is written.
 */
#ifndef JBI_QUOTA_MEMORY_H
#define JBI_QUOTA_MEMORY_H

#include "jimbot/observe.h"

/* jb_memory_read() with <root>/proc and <root>/sys/fs/cgroup. */
int jbi_memory_read_below(const char *root, uint32_t pid, jb_memory_reading *ret_reading,
                          jb_error *err);

#endif
