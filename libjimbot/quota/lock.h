/*
 * lock.h: one lock over the books, that no death leaves locked.
 *
 * Invariant: the word names its owner, and only the owner, or whoever the kernel told that the
 * owner is dead, changes it. No pthread robust mutex: its list of owned locks lies in the shared
 * memory, where anybody could bend it.
 *
 * A peer number cannot be given to somebody new while one looks whether its owner is dead: joining
 * and taking over both need the segment's lifecycle lock.
 */
#ifndef JBI_QUOTA_LOCK_H
#define JBI_QUOTA_LOCK_H

#include "shm/peer.h"

struct jbi_lock {
    _Atomic uint32_t *word;
    const struct jbi_peers *peers; /* NULL: threads of this process alone */
    uint32_t self;                 /* 1 .. JBI_PEERS_MAX */
    _Atomic uint32_t at_segment;   /* a thread of ours has the segment's lock, which the kernel
                                      would give to all of them */
};

enum jbi_lock_result {
    JBI_LOCK_BUSY, /* of jbi_lock_try() only */
    JBI_LOCK_TAKEN,
    JBI_LOCK_INHERITED /* its owner died: what it left half done has to be rolled back */
};

/* Waits for as long as the owner lives. holds_segment: the caller has jbi_segment_lock(). */
enum jbi_lock_result jbi_lock_take(struct jbi_lock *lock, bool holds_segment);

/* Does not wait. */
enum jbi_lock_result jbi_lock_try(struct jbi_lock *lock);

/* For one who has just joined under a number whose last owner may have died with the lock. The
 * caller has jbi_segment_lock(). */
enum jbi_lock_result jbi_lock_take_first(struct jbi_lock *lock);

/* The segment's lock for one thread of this handle, if nobody has it. */
bool jbi_lock_segment_try(struct jbi_lock *lock);
void jbi_lock_segment_give(struct jbi_lock *lock);

void jbi_lock_give(struct jbi_lock *lock);

#endif
