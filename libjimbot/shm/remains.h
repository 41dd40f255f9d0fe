/*
 * remains.h: segments whose users all died without closing them.
 *
 * Invariant: a segment is buried only by who holds its lock and has asked the kernel that nobody
 * has it open; a file that is no segment of ours is never touched.
 */
#ifndef JBI_SHM_REMAINS_H
#define JBI_SHM_REMAINS_H

#include "shm/segment.h"

/* Take the name away from the segment under it if that is over. */
void jbi_remains_bury(const char *path);

/* The same for every segment of this user in the folder of `path`, except those that were made to
 * be kept. Waits for nobody. */
void jbi_remains_sweep(const char *path);

#endif
