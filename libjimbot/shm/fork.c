/*
 * fork.c: see fork.h. The child's handler runs before any code of the child can touch a handle; it
 * closes the inherited descriptors, which leaves the parent's locks to the parent alone.
 */
#include "shm/fork.h"

#include <pthread.h>
#include <stdatomic.h>

static pthread_mutex_t guards_lock = PTHREAD_MUTEX_INITIALIZER;
static struct jbi_fork_guard *guards;
static bool is_registered;

static void before_fork(void)
{
    pthread_mutex_lock(&guards_lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&guards_lock);
}

static void after_fork_in_child(void)
{
    for (struct jbi_fork_guard *guard = guards; guard; guard = guard->next) {
        if (guard->segment) {
            jbi_os_file_close(guard->segment->fd);
            guard->segment->fd = -1;
        }
        atomic_store_explicit(&guard->is_inherited, true, memory_order_relaxed);
    }
    guards = NULL;
    pthread_mutex_unlock(&guards_lock);
}

int jbi_fork_guard_add(struct jbi_fork_guard *guard, struct jbi_segment *segment)
{
    int rc = 0;

    pthread_mutex_lock(&guards_lock);
    if (!is_registered)
        rc = jbi_os_at_fork(before_fork, after_fork_in_parent, after_fork_in_child);
    if (!rc) {
        is_registered = true;
        guard->segment = segment;
        atomic_store_explicit(&guard->is_inherited, false, memory_order_relaxed);
        guard->next = guards;
        guards = guard;
    }
    pthread_mutex_unlock(&guards_lock);
    return rc;
}

void jbi_fork_guard_remove(struct jbi_fork_guard *guard)
{
    pthread_mutex_lock(&guards_lock);
    for (struct jbi_fork_guard **at = &guards; *at; at = &(*at)->next) {
        if (*at == guard) {
            *at = guard->next;
            break;
        }
    }
    pthread_mutex_unlock(&guards_lock);
}
