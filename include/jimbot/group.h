/**
 * jimbot/group.h: consumer groups: workers that share one subscription.
 *
 * @code
 *     jb_group_join(bus, "rollouts", "game.over", 9, NULL, &worker, NULL);
 *     while (jb_worker_wait(worker, 1000000000) >= 0) {
 *         int n = jb_worker_take(worker, ev, 16);
 *         for (int i = 0; i < n; i++) {
 *             work_on(&ev[i]); // in place, no copy
 *             jb_worker_ack(worker, ev[i].sequence);
 *         }
 *     }
 *     jb_worker_leave(worker);
 * @endcode
 *
 * A group has a name, one pattern, and one place in the ring, all kept in the segment. Any number
 * of workers, in any processes, take events from it: each event goes to one of them, which
 * acknowledges it when it is done. What a worker has not acknowledged when it leaves or dies goes
 * to another, with a `n_deliveries` of more than 1: so each event is delivered at least once, and
 * twice only when its first worker did not say in time that it was done.
 *
 * Who is dead is asked of the kernel (its process's lock on the segment is gone), not of a clock. A
 * worker that lives but does not get on keeps its events, unless the group has an ack_timeout_ns.
 *
 * Caveats first:
 *  - A group is lossless: the ring is held from its oldest unacknowledged event on, and publishers
 * get JB_EAGAIN once they are one ring ahead of that. At most JB_GROUP_PENDING_MAX events lie
 * between the oldest unacknowledged and the newest taken: one event that is never acknowledged ends
 * in a standstill, and evict_after_ns or ack_timeout_ns is the way out.
 *  - A group outlives its workers, until jb_group_remove() or the end of the bus: its place and its
 * unacknowledged events wait for the next worker. While it has no living worker it holds nobody
 * back: publishers who need the room take it, and what the group loses is counted.
 *  - Events that come in order are taken in order, but workers run beside each other, and what is
 * given back comes later than its sequence says.
 *
 * Threads: a jb_worker is used by one thread at a time, and left before its jb_bus is closed.
 */
#ifndef JIMBOT_GROUP_H
#define JIMBOT_GROUP_H

#include "jimbot/sub.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One member of a consumer group. Opaque. */
typedef struct jb_worker jb_worker;

/** Limits of every group. */
enum {
    JB_GROUP_PENDING_MAX = 1024, /**< events from the oldest unacknowledged to the newest taken */
    JB_GROUP_WORKERS_MAX = 128   /**< workers at a time */
};

/** Options of joining; start from jb_group_opts_init(). All but spin_ns matter only to the one who
 * makes the group. */
typedef struct jb_group_opts {
    uint32_t size;           /**< set by jb_group_opts_init() */
    uint32_t start;          /**< enum jb_sub_start; default JB_SUB_FROM_NOW */
    uint64_t ack_timeout_ns; /**< an event that a living worker has held for so long goes to another
                                too; the first one's jb_worker_ack() returns JB_ETIMEDOUT then, and
                                what it looks at may be overwritten; default 0: never */
    uint64_t
        evict_after_ns; /**< when publishers are held back by the group and it has not moved for
                                so long, it holds them back no more, and what it loses is counted;
                                default 0: never */
    uint64_t spin_ns;   /**< how long jb_worker_wait() spins before it sleeps; default 10 µs */
} jb_group_opts;

/**
 * Fill in the defaults.
 *
 * @param opts  not NULL.   @param size  sizeof(jb_group_opts) of the caller.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_group_opts_init(jb_group_opts *opts, uint32_t size);

/**
 * Become a worker of the group of that name; the first one makes it.
 *
 * @param name        letters, digits, `-`, `_`, `.`, at most 31 bytes.
 * @param pattern     as of jb_bus_subscribe(); of a group that exists it must be the same.
 * @param opts        NULL for the defaults.
 * @param ret_worker  the caller leaves it.
 *
 * @return 0, or JB_EINVAL (not a name, not a pattern, or another than the group's), JB_ELIMIT (no
 * room for a group, a worker or a subscription), JB_ETIMEDOUT (for two seconds somebody stands
 * still in the middle of joining), JB_ENOMEM, JB_ECORRUPT, JB_ESTATE (after fork).
 *
 * Threads: any. Blocks: while others join. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_group_join(jb_bus *bus, const char *name, const char *pattern, size_t len_bytes,
                         const jb_group_opts *opts, jb_worker **ret_worker, jb_error *err);

/**
 * Take events that nobody else has. First those that another worker gave back or did not live to
 * acknowledge, then new ones.
 *
 * @param events  room for n_max; valid until they are acknowledged. `n_deliveries` tells how often
 * each has been given to a worker, this time included.
 *
 * @return how many; 0 when there is nothing, when JB_GROUP_PENDING_MAX are unacknowledged, or when
 * another worker is taking right now. Or JB_EINVAL, JB_ELIMIT (no room for the group's
 * subscription, which it had lost), JB_ECORRUPT, JB_ESTATE (after fork).
 *
 * Threads: one at a time per worker. Blocks: never; asks the kernel now and then whether the other
 * workers live. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_worker_take(jb_worker *worker, jb_event *events, uint32_t n_max);

/**
 * Say that one event is done with.
 *
 * @param sequence  jb_event.sequence of an event taken.
 *
 * @return 0, or too late: JB_ETIMEDOUT (ack_timeout_ns has passed and another has it, or had it),
 * JB_EEVICTED (the group was evicted, its bytes were given to publishers, and what this worker saw
 * of them may be torn). Or JB_ESTATE (this worker has not taken that event, or has ended it
 * before; or after fork), JB_EINVAL.
 *
 * Threads: one at a time per worker. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_worker_ack(jb_worker *worker, uint64_t sequence);

/**
 * Say that everything taken is done with.
 *
 * @return how many events that were, not counting those it was too late for; or JB_EINVAL,
 * JB_ESTATE (after fork).
 *
 * Threads: one at a time per worker. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_worker_ack_all(jb_worker *worker);

/**
 * Give one event back at once, for any worker to take.
 *
 * @return as jb_worker_ack().
 *
 * Threads: one at a time per worker. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_worker_nack(jb_worker *worker, uint64_t sequence);

/**
 * Wait until jb_worker_take() is worth a call; another worker may be faster all the same.
 *
 * @param timeout_ns  0 only looks; UINT64_MAX waits for ever.
 *
 * @return 1 there is something, 0 the time ran out, and as jb_worker_take().
 *
 * Threads: one at a time per worker. Blocks: up to timeout_ns. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_worker_wait(jb_worker *worker, uint64_t timeout_ns);

/**
 * Leave the group; what was not acknowledged goes to another. NULL is fine.
 *
 * Threads: one at a time per worker. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API void jb_worker_leave(jb_worker *worker);

/**
 * End a group: its place, its unacknowledged events, its hold on the ring.
 *
 * @return 0, or JB_ENOENT, JB_ESTATE (it has a living worker; or after fork), JB_EINVAL,
 * JB_ETIMEDOUT (for two seconds somebody stands still in the middle of joining).
 *
 * Threads: any. Blocks: while others join. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_group_remove(jb_bus *bus, const char *name);

/** Figures of one group. Counters only grow. n_delivered = n_acked + n_lost + n_pending; and
 * n_delivered + n_filtered + n_missed = every event from where it began to its place. */
typedef struct jb_group_stats {
    uint32_t size;            /**< sizeof, set by the caller */
    uint32_t idx;             /**< slot number */
    uint32_t n_workers;       /**< joined now, and dead ones until somebody notices */
    uint32_t n_pending;       /**< events taken, or given back, and not acknowledged */
    uint32_t is_holding;      /**< 1: publishers do not overwrite what it has not done with */
    uint32_t oldest_peer;     /**< peer that has the oldest pending event, 0: nobody */
    uint64_t n_delivered;     /**< events given to a worker, each counted once */
    uint64_t n_acked;         /**< of those, acknowledged */
    uint64_t n_lost;          /**< of those, overwritten before they were acknowledged */
    uint64_t n_redelivered;   /**< deliveries after the first */
    uint64_t n_filtered;      /**< events of topics it did not ask for */
    uint64_t n_missed;        /**< events of any topic overwritten before it came to them */
    uint64_t lag_bytes;       /**< how far its place is behind the newest claim */
    uint64_t oldest_sequence; /**< of the oldest pending event, 0: none */
    uint64_t oldest_ns;       /**< when that was last given to a worker (jb_clock_now_ns()) */
    uint64_t ack_timeout_ns;  /**< of jb_group_opts, as of who made it */
    uint64_t evict_after_ns;  /**< likewise */
    uint32_t taking_peer;     /**< peer that takes events just now; others wait for it. 0: nobody */
    uint32_t _reserved;       /**< 0 */
    char name[32];
    char pattern[128];
} jb_group_stats;

/**
 * Read the figures of any group of the bus.
 *
 * @param idx  0, 1, 2 … until JB_ELIMIT.   @return 0, or JB_ENOENT (that slot is not in use),
 * JB_ELIMIT (past the end), JB_EINVAL, JB_ESTATE (after fork).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_group_stats(jb_bus *bus, uint32_t idx, jb_group_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
