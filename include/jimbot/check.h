/**
 * jimbot/check.h: look at a bus from outside, whatever state it is in: used, abandoned, damaged.
 *
 * @code
 *     static void print(const jb_check_item *item, void *userdata)
 *     {
 *         if (item->kind == JB_CHECK_FAULT)
 *             printf("at byte %llu: %s\n", (unsigned long long)item->offset, item->text);
 *     }
 *
 *     jb_check check = {.size = sizeof check};
 *     jb_error err;
 *     int n_faults = jb_bus_check("jimbot", print, NULL, &check, &err);
 * @endcode
 *
 * Caveats first:
 *  - Nothing is changed, nobody is asked, no lock is taken: the file is read as any file is, into
 * memory of one's own. A file that is cut meanwhile is an error, not a signal.
 *  - While the bus is used the figures are those of an instant, and of two neighbouring ones where
 * they come from different places. What only looks like damage because somebody is writing is not
 * reported as such.
 */
#ifndef JIMBOT_CHECK_H
#define JIMBOT_CHECK_H

#include "jimbot/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What an item speaks of. */
enum jb_check_kind {
    JB_CHECK_PEER = 1,  /**< somebody who has it open, or died without closing it */
    JB_CHECK_SUB = 2,   /**< a subscription */
    JB_CHECK_CLAIM = 3, /**< room that was claimed and is neither committed nor given back */
    JB_CHECK_FAULT = 4, /**< something no program of ours writes */
    JB_CHECK_GROUP = 5, /**< a consumer group */
    JB_CHECK_WORKER = 6 /**< a member of one, or one that is just leaving */
};

/** One thing found. Fields that do not apply are 0. */
typedef struct jb_check_item {
    uint32_t size;     /**< sizeof, for growth */
    uint32_t kind;     /**< enum jb_check_kind */
    uint32_t idx;      /**< peer number; index of the subscription or group, as in
                            jb_bus_sub_stats() and jb_bus_group_stats(); number of the worker */
    uint32_t peer;     /**< of a subscription, claim or worker: whose it is. Of a group: who has its
                            oldest pending event, 0: nobody */
    uint32_t pid;      /**< that peer's process, as it wrote it down */
    uint32_t is_alive; /**< that peer has it open now, says the kernel */
    uint32_t policy;   /**< of a subscription: enum jb_sub_policy */
    uint32_t is_holding; /**< of a subscription or group: publishers wait for it when the ring is
                            full; of a
                            claim: readers wait for it, else it was revoked and its owner has not
                            returned the room */
    uint64_t position;   /**< in the ring: where the subscription, group, claim or fault stands */
    uint64_t offset;     /**< in the file: of the slot, of the mark, of what is wrong */
    uint64_t len_bytes;  /**< of a claim: what it takes; of a subscription or group: how far it is
                            behind */
    uint64_t since_ns;  /**< monotonic; of a peer: when it came; of a group: when its oldest pending
                            event was last given to a worker */
    uint64_t start;     /**< of a peer: start of its process, in kernel ticks since boot */
    char name[32];      /**< of a peer, subscription or group */
    char text[128];     /**< of a subscription or group: its pattern; of a fault: what is wrong */
    uint32_t group;     /**< 1 + index of the group: of a worker, and of a subscription with which
                            one holds the ring */
    uint32_t n_pending; /**< events not acknowledged: of a group, and of those, what a worker has */
} jb_check_item;

/** What was found in all. */
typedef struct jb_check {
    uint32_t size;             /**< sizeof, set by the caller */
    uint32_t n_faults;         /**< 0: sound */
    uint32_t layout_version;   /**< of the segment */
    uint32_t is_in_use;        /**< at least one peer is alive */
    uint32_t is_kept;          /**< made with JB_BUS_KEEP */
    uint32_t is_this_boot;     /**< made since the machine was started */
    uint32_t is_over;          /**< the next jb_bus_open() replaces it */
    uint32_t is_walk_complete; /**< the ring was read from its oldest event to its end */
    uint32_t creator_pid;      /**< who made it */
    uint32_t is_creator_alive; /**< a process of that id and start time exists */
    uint64_t creator_start;    /**< kernel ticks since boot */
    uint64_t created_ns;       /**< monotonic */
    uint64_t utc_offset_ns;    /**< UTC minus monotonic when it was made */
    uint64_t size_bytes;       /**< of the file */
    uint64_t capacity_bytes;   /**< of the ring */
    uint32_t max_peers;
    uint32_t n_peers;      /**< alive */
    uint32_t n_peers_dead; /**< died without closing it, not yet buried */
    uint32_t max_subs;
    uint32_t n_subs;
    uint32_t max_topics;
    uint32_t n_topics;
    uint32_t n_claims;  /**< open */
    uint32_t n_revoked; /**< revoked, and not returned yet */
    uint32_t n_groups;
    uint64_t head;       /**< position of the oldest byte kept */
    uint64_t end;        /**< position behind the newest claim */
    uint64_t used_bytes; /**< between the two */
    uint64_t free_bytes; /**< the rest of the ring */
    uint64_t n_before;   /**< events committed before the head, whose bytes are given away */
    uint64_t n_events;   /**< events in the ring */
    uint64_t n_aborted;  /**< claims in the ring that became nothing, and ends of laps */
    uint32_t max_groups;
    uint32_t n_workers; /**< of all groups, dead ones included */
} jb_check;

/** Receives the items, in the order peers, ring, topics, subscriptions, groups, each
 * with its workers. `item` is dead after the call. */
typedef void (*jb_check_fn)(const jb_check_item *item, void *userdata);

/**
 * Examine a bus.
 *
 * @param name       as for jb_bus_open(), another user's too if it can be read.
 * @param fn         NULL: figures only.
 * @param ret_check  `size` must be set.
 *
 * @return how many faults were found, of which the first 64 were reported. Or JB_ENOENT, JB_EPERM,
 * JB_ELAYOUT (not a bus, or not of this library's layout: `err->msg` says which), JB_EINVAL,
 * JB_ENOMEM, JB_ESYS.
 *
 * Threads: any. Blocks: for file operations. Allocates: as many bytes as the ring has in use, and a
 * quarter of its size. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_bus_check(const char *name, jb_check_fn fn, void *userdata, jb_check *ret_check,
                        jb_error *err);

/** Receives the name of a bus, dead after the call. */
typedef void (*jb_bus_list_fn)(const char *name, void *userdata);

/**
 * Name the buses of this user in $JIMBOT_SHM_DIR, also those of other layouts and those that are
 * over.
 *
 * @param fn  NULL: count only.
 *
 * @return how many, or JB_ENOENT (no such folder), JB_EPERM, JB_ESYS.
 *
 * Threads: any. Blocks: for file operations. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_bus_list(jb_bus_list_fn fn, void *userdata, jb_error *err);

#ifdef __cplusplus
}
#endif
#endif
