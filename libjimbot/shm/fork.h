/*
 * fork.h: handles do not cross fork().
 *
 * A child inherits the open file and with it the lock that proves its parent's life; it would keep
 * a dead parent alive.
 * Invariant: after fork() no segment of the parent is open in the child, and every handle knows it.
 */
#ifndef JBI_SHM_FORK_H
#define JBI_SHM_FORK_H

#include "shm/segment.h"

/* Embedded in a handle; linked into the process's list while the handle is open. */
struct jbi_fork_guard {
    struct jbi_fork_guard *next;
    struct jbi_segment *segment;
    _Atomic bool is_inherited;
};

/* segment: NULL for a handle that has none. 0 or an errno. */
int jbi_fork_guard_add(struct jbi_fork_guard *guard, struct jbi_segment *segment);
void jbi_fork_guard_remove(struct jbi_fork_guard *guard);

/* False in a child of the process that added it. */
static inline bool jbi_fork_guard_is_valid(const struct jbi_fork_guard *guard)
{
    return !atomic_load_explicit(&guard->is_inherited, memory_order_relaxed);
}

#endif
