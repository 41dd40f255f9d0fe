/*
 * group.h: what the files about consumer groups share: the locks, a group's place while one holds
 * its lock, a worker.
 *
 * Invariant: a lock is held by a peer whose kernel lock is held; whoever finds that it is not takes
 * it away. So every word under a lock is written such that the next holder can go on from any
 * instruction: see group_layout.h.
 */
#ifndef JBI_BUS_GROUP_H
#define JBI_BUS_GROUP_H

#include "bus/bus_internal.h"
#include "bus/group_layout.h"

/* An event that we took and have not ended, as we know it ourselves: what the segment says of it
 * may have changed since. */
struct jbi_holding {
    uint64_t number; /* 0: none */
    uint64_t sequence;
    uint64_t position;
};

struct jb_worker {
    jb_bus *bus;
    struct jbi_group_slot *group;
    uint32_t group_idx;
    uint32_t idx;
    uint64_t word; /* of its slot, while it is ours */
    struct jbi_filter filter;
    uint64_t spin_ns;
    uint64_t next_timeout_ns; /* when events may next be looked through for old ones */
    uint64_t position;        /* where the last look ended */
    /* What we hold, each at its number modulo JB_GROUP_PENDING_MAX; the numbers are in low .. high
     * - 1. */
    uint64_t low;
    uint64_t high;
    struct jbi_holding holdings[JB_GROUP_PENDING_MAX];
};

/* A copy of a group's place, for the holder of its lock. */
struct jbi_group_view {
    uint64_t first;
    uint64_t next;
    struct jbi_cursor at;
    uint64_t n_filtered;
    uint64_t n_missed;
    uint64_t n_untold;
    uint64_t n_lost;
    uint64_t n_redelivered;
    uint64_t returns_seen;
};

static inline struct jbi_group_entry *jbi_group_entry(struct jbi_group_slot *group, uint64_t number)
{
    return &group->entries[number % JB_GROUP_PENDING_MAX];
}

static inline struct jbi_holding *jbi_holding(struct jb_worker *worker, uint64_t number)
{
    return &worker->holdings[number % JB_GROUP_PENDING_MAX];
}

static inline struct jbi_worker_slot *jbi_worker_slot(const struct jb_worker *worker)
{
    return &worker->group->workers[worker->idx];
}

/* False when a living peer holds it. */
bool jbi_group_lock_try(const jb_bus *bus, _Atomic uint64_t *lock);
void jbi_group_unlock(_Atomic uint64_t *lock);

/* A copy that is of one instant; by anyone. JB_ECORRUPT when no holder of ours wrote it. */
int jbi_group_view_load(const jb_bus *bus, const struct jbi_group_slot *group,
                        struct jbi_group_view *ret_view);
/* Under the lock. */
void jbi_group_view_store(struct jbi_group_slot *group, const struct jbi_group_view *view);

/* Let the entries that are done with out of the window, and the bytes before it out of our hold.
 * Under the lock. */
void jbi_group_settle(const jb_bus *bus, uint32_t group_idx, struct jbi_group_view *view);

/* Under the lock: is what the group has not done with held back from publishers? Else make it so,
 * and take what was lost meanwhile into the view. JB_ELIMIT, JB_ECORRUPT. */
int jbi_group_gate(jb_bus *bus, uint32_t group_idx, struct jbi_group_view *view);
bool jbi_group_is_gated(const jb_bus *bus, uint32_t group_idx);

/* Whoever is about to free the gate fails, because we are here now; unless he was faster. */
void jbi_group_gate_touch(jb_bus *bus, uint32_t group_idx);

/* The group is over. */
void jbi_group_gate_free(jb_bus *bus, uint32_t group_idx);

/* Look after the workers and the group's lock, if nobody has done it in the last ten milliseconds:
 * what the dead have goes to the living. Costs system calls. */
void jbi_group_check(jb_bus *bus, struct jbi_group_slot *group, uint64_t now_ns);

/* Takes up to n_max events for a worker. With n_max of 0: 1 if there is one. JB_EAGAIN: another has
 * the lock. ret_is_end: nothing is new in the ring. */
int jbi_group_take(struct jb_worker *worker, jb_event *events, uint32_t n_max, bool *ret_is_end);

bool jbi_group_is_in_use(const struct jbi_group_slot *group);

/* Has the group that this reader's slot belongs to a living worker? */
bool jbi_group_is_alive(uint32_t reader_idx, void *userdata);

/* Nobody of that peer goes on. */
void jbi_groups_bury(jb_bus *bus, uint32_t peer);

#endif
