/*
 * watch.h: a descriptor that tells when a subscription has something to show.
 *
 * Invariant: a watched subscription is armed, and then nothing is shown of it, its descriptor is
 * not readable and the watcher may look at it under the lock, woken by publishers or, while it
 * rests, by the clock; or its descriptor is readable and it is its user's alone. Only its user arms
 * it, so he who finds it not armed needs no lock.
 */
#ifndef JBI_BUS_WATCH_H
#define JBI_BUS_WATCH_H

#include "bus/bus_internal.h"

struct jbi_watch {
    struct jbi_watch *next;
    jb_sub *sub;
    pthread_mutex_t lock;
    _Atomic bool is_armed; /* written under the lock */
    bool is_resting;       /* under the lock: publishers need not wake the thread for it */
    bool is_raised;        /* of whoever may use the subscription */
    int fd;
};

/* Pairs with the release where the watcher disarms: what it did with the subscription is done. */
static inline bool jbi_watch_is_armed(const jb_sub *sub)
{
    return sub->watch && atomic_load_explicit(&sub->watch->is_armed, memory_order_acquire);
}

/* Of watched subscriptions only. Take it back from the watcher; and when done with it, arm it again
 * if there is nothing (rc 0), else make it readable. Gives rc back. */
void jbi_watch_pause(jb_sub *sub);
int jbi_watch_settle(jb_sub *sub, int rc);

/* End it: a duplicate of the descriptor becomes readable. After fork() too. */
void jbi_watch_close(jb_sub *sub);

/* End the thread of a bus, if it has one. */
void jbi_watcher_stop(jb_bus *bus);

#endif
