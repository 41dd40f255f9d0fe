/*
 * coord.h: a handle, and the frame of every call on it.
 *
 * Invariant: between jbi_coord_enter() and jbi_coord_leave() the caller has the lock, the books are
 * those of now (what expired has ended), and whatever a dead owner left half done is undone.
 * Leaving serves who waits, and wakes them after the lock is free.
 */
#ifndef JBI_QUOTA_COORD_H
#define JBI_QUOTA_COORD_H

#include "quota/books.h"
#include "quota/lock.h"
#include "quota/queue.h"
#include "shm/fork.h"

/* Somebody who waits looks for himself this often, should whoever grants or gives back die before
 * waking him, or die with what he waits for. */
#define JBI_LOOK_NS UINT64_C(50000000)

struct jb_coord {
    struct jbi_books books;
    struct jbi_lock lock;
    uint64_t (*clock)(void *userdata);
    void *clock_userdata;
    jb_alloc alloc;
    void *block; /* in process: to be freed; NULL when it is a segment's */
    uint64_t block_bytes;
    bool is_shared;
    uint32_t n_ended;           /* under the lock: leases that this entry ended */
    _Atomic uint64_t looked_ns; /* when this handle last looked for the dead */
    struct jbi_segment segment;
    struct jbi_peers peers;
    struct jbi_fork_guard guard;
};

/* 0, or JB_ESTATE in a child of the process that opened it. */
int jbi_coord_enter(jb_coord *coord);

/* The same, JB_EAGAIN when somebody else is inside. */
int jbi_coord_try_enter(jb_coord *coord);

/* With the segment's lock held, or nobody else there yet. */
void jbi_coord_enter_locked(jb_coord *coord, bool is_first);

void jbi_coord_leave(jb_coord *coord);

/* End what those had who died, if nobody else is at it. Waits for nobody but the lock's owner.
 * Returns how many leases that ended. */
uint32_t jbi_coord_bury_dead(jb_coord *coord);

/* The same from inside, for who gets nothing: at most every 50 ms, and waits for nobody. True when
 * somebody was buried: look again. */
bool jbi_coord_bury_inside(jb_coord *coord);

/* The caller's own lease, or one that belongs to whoever knows the token; NULL when it has
 * ended. */
struct jbi_quota_lease *jbi_coord_own_lease(const jb_coord *coord, const jb_lease *lease);

/* What somebody asks for, checked. 0, JB_EINVAL or JB_ETOOBIG. */
int jbi_coord_want_take(const jb_coord *coord, const jb_want *given, struct jbi_want *ret_want);

/* Wait, and leave the line when it took too long by our own clock, whatever the books say of time.
 * 0 when it was granted. */
int jbi_coord_wait_or_leave(jb_coord *coord, const jb_ticket *ticket, uint64_t timeout_ns,
                            jb_lease *ret_lease);

/* Until something is due; UINT64_MAX: nothing that is known. The caller is inside. */
uint64_t jbi_coord_next_ns(const jb_coord *coord);

#endif
