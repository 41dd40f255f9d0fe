/**
 * jimbot/stats.h: figures of a bus, its peers and its subscriptions, read out of the segment by any
 * process that is attached, while the bus runs and without anyone's cooperation.
 */
#ifndef JIMBOT_STATS_H
#define JIMBOT_STATS_H

#include "jimbot/sub.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Counters of one subscription, by its owner or from outside. All only grow. n_delivered +
 * n_filtered + n_missed + n_conflated = every event published since it began, up to its cursor;
 * with JB_SUB_HIGH_FIRST n_delivered also counts what was taken ahead of that. */
typedef struct jb_sub_stats {
    uint32_t size;        /**< sizeof, set by the caller */
    uint32_t idx;         /**< slot number, 0 .. max_subs - 1 */
    uint32_t peer;        /**< peer number of its owner */
    uint32_t policy;      /**< enum jb_sub_policy */
    uint64_t n_delivered; /**< events it took */
    uint64_t n_filtered;  /**< events of topics it did not ask for */
    uint64_t n_missed;    /**< events overwritten before it came to them; 0 when lossless, unless it
                             was evicted */
    uint64_t n_conflated; /**< events replaced by newer ones of their topic and key */
    uint64_t n_evicted;   /**< how often it was evicted */
    uint64_t lag_bytes;   /**< how far its cursor is behind the newest claim */
    uint64_t lag_events;  /**< the same in events, of all topics */
    uint64_t evict_after_ns; /**< jb_sub_opts.evict_after_ns */
    uint64_t held_since_ns;  /**< publishers wait for it, and found it where it is at this time
                                (jb_clock_now_ns()); 0: nobody does */
    char name[32];
    char pattern[128]; /**< its first pattern */
    uint32_t flags;    /**< enum jb_sub_flags */
    uint32_t group;    /**< 1 + jb_group_stats.idx when a consumer group holds the ring with it; its
                           `peer` is 0 then. Else 0 */
    uint32_t is_asleep; /**< 1: it sleeps, in jb_sub_wait() or armed on its descriptor, and the next
                           publisher wakes it with a system call */
    uint32_t _reserved; /**< 0 */
    uint64_t next_sequence; /**< its cursor: it has done with all events before this one */
} jb_sub_stats;

/**
 * Read the counters of one's own subscription.
 *
 * @param ret_stats  `size` must be set.   @return 0, or JB_EINVAL, JB_ESTATE (after fork).
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_sub_get_stats(const jb_sub *sub, jb_sub_stats *ret_stats);

/**
 * Read the counters of any subscription of the bus.
 *
 * @param idx  0, 1, 2 … max_subs - 1.   @return 0, or JB_ENOENT (that slot is not in use),
 * JB_ELIMIT (past the end), JB_EINVAL, JB_ESTATE (after fork).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_sub_stats(jb_bus *bus, uint32_t idx, jb_sub_stats *ret_stats);

/** Counters of one peer (one open handle). All only grow. */
typedef struct jb_peer_stats {
    uint32_t size;          /**< sizeof, set by the caller */
    uint32_t idx;           /**< peer number */
    uint32_t pid;           /**< process id */
    uint32_t is_alive;      /**< 1 when the kernel says its process still holds its lock */
    uint64_t start_ns;      /**< when it attached, monotonic */
    uint64_t n_published;   /**< events committed */
    uint64_t n_bytes;       /**< payload bytes committed */
    uint64_t n_aborted;     /**< claims given back, or taken away after its death */
    uint64_t n_full;        /**< JB_EAGAIN answers, because the ring was full */
    uint64_t n_over_budget; /**< JB_EAGAIN answers, because its budget was used up */
    uint64_t
        stalled_since_ns; /**< others wait for a claim it has not committed, and found it open at
                                  this time (jb_clock_now_ns()); 0: nobody does */
    char name[32];
} jb_peer_stats;

/**
 * Read the counters of one peer.
 *
 * @param idx  1, 2, 3 … max_peers.   @return 0, or JB_ENOENT (that slot is not in use), JB_ELIMIT
 * (past the end), JB_EINVAL, JB_ESTATE (after fork).
 *
 * Threads: any. Blocks: for one system call. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_bus_peer_stats(jb_bus *bus, uint32_t idx, jb_peer_stats *ret_stats);

/** Figures of the whole bus. */
typedef struct jb_bus_stats {
    uint32_t size;    /**< sizeof, set by the caller */
    uint32_t n_peers; /**< handles open now, and those of the dead until somebody needs the place */
    uint32_t n_subs;  /**< subscriptions open now, and those of the dead likewise */
    uint32_t n_topics; /**< topics interned */
    uint32_t max_topics;
    uint32_t max_subs;
    uint32_t max_peers;
    uint32_t peer;           /**< this handle's own peer number */
    uint64_t capacity_bytes; /**< ring size */
    uint64_t used_bytes;     /**< bytes between the oldest event kept and the newest claim */
    uint64_t n_published;    /**< events committed by all peers, ever */
    uint64_t n_bytes;        /**< payload bytes committed by all peers, ever */
    uint64_t n_aborted;      /**< claims that became nothing */
    uint64_t n_full;         /**< JB_EAGAIN answers, because the ring was full */
    uint64_t n_over_budget;  /**< JB_EAGAIN answers, because a budget was used up */
    uint64_t n_revoked;      /**< cancelled claims whose publishers have not come back yet */
    uint64_t stall_after_ns; /**< jb_bus_opts.stall_after_ns of its creator */
    uint64_t utc_offset_ns;  /**< add to an event's time_ns to get UTC, as it was when the bus was
                                created */
} jb_bus_stats;

/**
 * Read the figures of the bus.
 *
 * @param ret_stats  `size` must be set.   @return 0, or JB_EINVAL, JB_ESTATE (after fork).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_bus_get_stats(jb_bus *bus, jb_bus_stats *ret_stats);
#ifdef __cplusplus
}
#endif
#endif
