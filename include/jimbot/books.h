/**
 * jimbot/books.h: a coordinator seen from outside: what happened, who has what, who waits, and
 * whether the books balance. A part of jimbot/quota.h, which includes it.
 */
#ifndef JIMBOT_BOOKS_H
#define JIMBOT_BOOKS_H

#include "jimbot/quota.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a record tells. */
enum jb_record_kind {
    JB_RECORD_WAITING = 1, /**< somebody stands in line; `token` is the ticket's id */
    JB_RECORD_GRANTED = 2, /**< `value_ns`: after waiting so long */
    JB_RECORD_DENIED = 3,  /**< `reason`: enum jb_denied_reason */
    JB_RECORD_LEFT = 4,    /**< somebody left the line; `token` is the ticket's id */
    JB_RECORD_SHRUNK = 5,  /**< `amount` was given back */
    JB_RECORD_NOTICE = 6,  /**< the lease ends in `value_ns` at the latest */
    JB_RECORD_ENDED = 7,   /**< `reason`: enum jb_lease_end; `value_ns`: held so long */
    JB_RECORD_TAKEN = 8,   /**< of a rate; `token`: of the reservation, 0 when it is for good;
                              `value_ns`: after waiting so long */
    JB_RECORD_USED = 9     /**< a reservation ended, so much of it was used; `reason`: enum
                              jb_used_reason; `value_ns`: it was open so long */
};

/** How it is known what was used. */
enum jb_used_reason {
    JB_USED_TOLD = 1,  /**< committed or refunded */
    JB_USED_SILENT = 2 /**< its holder died or said nothing in time: all of it counts */
};

/** Why not. */
enum jb_denied_reason {
    JB_DENIED_BUSY = 1,    /**< not free, or others were first */
    JB_DENIED_TIMEOUT = 2, /**< its time in line ran out; `token` is the ticket's id */
    JB_DENIED_RATE = 3     /**< a limit does not allow it; `value_ns`: for so long, 0 for ever */
};

/** One thing that happened to one amount. What happens to several at once has a record for each, in
 * a row. */
typedef struct jb_record {
    uint64_t sequence; /**< 0, 1, 2 … since the creation */
    uint64_t time_ns;
    uint64_t token; /**< of the lease or reservation, or the id of the ticket */
    uint64_t amount;
    uint64_t value_ns;
    uint64_t tag;    /**< of the want */
    uint32_t kind;   /**< enum jb_record_kind */
    uint32_t reason; /**< depends on the kind, else 0 */
    uint32_t component;
    uint32_t resource;
    uint32_t lease_class; /**< enum jb_lease_class */
    uint32_t slot;
    uint32_t peer;   /**< who asked; 0: detached */
    uint32_t n_more; /**< records of the same happening that follow */
} jb_record;

/**
 * Read what happened, the oldest first. From the beginning, or as long as nothing was lost, the
 * books can be recomputed from it: add up what was granted, take off what was shrunk and ended.
 *
 * @param cursor      0 for the oldest there is; moves on.
 * @param ret_record  set when 1 is returned.
 * @param ret_lost    how many were overwritten before they were read; NULL is fine.
 *
 * @return 1, 0 (no news), or JB_ESTATE, JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_next_record(jb_coord *coord, uint64_t *cursor, jb_record *ret_record,
                                uint64_t *ret_lost);

/** The whole, as it is now. */
typedef struct jb_coord_stats {
    uint32_t n_resources;
    uint32_t n_components;
    uint32_t n_leases;
    uint32_t max_leases;
    uint32_t n_waiting;   /**< for leases and for rates */
    uint32_t max_waiters; /**< for each of the two */
    uint64_t now_ns;      /**< the time that everything here is measured in */
    uint64_t next_token;  /**< all tokens so far are below */
    uint64_t n_records;
    uint64_t n_takeovers; /**< how often somebody died inside and was cleaned up after */
} jb_coord_stats;

/** One resource, as it is now. */
typedef struct jb_resource_info {
    char name[JB_QUOTA_NAME_BYTES];
    uint32_t kind; /**< enum jb_resource_kind */
    uint32_t device;
    uint32_t flags; /**< enum jb_resource_flags */
    uint32_t _reserved;
    uint64_t capacity;
    uint64_t headroom;
    uint64_t foreign;   /**< see jb_coord_set_foreign() */
    uint64_t allocated; /**< by leases, at most capacity - headroom */
    uint64_t n_leases;
    uint64_t n_waiting; /**< for leases of it, or for its rate */
    uint64_t n_granted;
    uint64_t n_denied;
    uint64_t used_ns; /**< time of leases that ended, times their part of the capacity */
    uint64_t quantum_ns;
    uint64_t wait_buckets[JB_QUOTA_BUCKETS]; /**< of grants */
    uint64_t hold_buckets[JB_QUOTA_BUCKETS]; /**< of leases that ended */
} jb_resource_info;

/** One component, as it is now. */
typedef struct jb_component_info {
    char name[JB_QUOTA_NAME_BYTES];
    uint32_t weight;
    uint32_t n_leases;
    uint32_t n_waiting;
    uint32_t _reserved;
    uint64_t n_granted;
    uint64_t n_denied;
    uint64_t n_ended[5]; /**< by enum jb_lease_end */
    uint64_t waited_ns;  /**< all its grants together */
    uint64_t held_ns;    /**< all its leases that ended together */
} jb_component_info;

/** What a component has of a resource. */
typedef struct jb_share_info {
    uint64_t guaranteed;
    uint64_t ceiling; /**< of time on a device: the part of it that it gets at most */
    uint64_t allocated;
    uint64_t used_ns; /**< as in jb_resource_info, its own */
} jb_share_info;

/** A lease, or somebody in line. */
typedef struct jb_lease_info {
    uint64_t token;       /**< of the lease; the ticket's id of who waits */
    uint64_t granted_ns;  /**< since when it lasts; since when it waits */
    uint64_t deadline_ns; /**< UINT64_MAX: none */
    uint64_t tag;
    uint32_t slot;
    uint32_t component;
    uint32_t lease_class; /**< enum jb_lease_class */
    uint32_t peer;        /**< 0: detached */
    uint32_t has_notice;  /**< 1: it was given notice */
    uint32_t n_amounts;
    jb_amount amounts[JB_QUOTA_AMOUNTS_MAX];
} jb_lease_info;

/**
 * Numbers of the whole.
 *
 * @return 0, or JB_ESTATE, JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_get_stats(jb_coord *coord, jb_coord_stats *ret_stats);

/**
 * Look at a resource.
 *
 * @return 0, or JB_ENOENT (past the last), JB_ESTATE, JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_resource_at(jb_coord *coord, uint32_t idx, jb_resource_info *ret_info);

/**
 * Look at a component.
 *
 * @return 0, or JB_ENOENT (past the last), JB_ESTATE, JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_component_at(jb_coord *coord, uint32_t idx, jb_component_info *ret_info);

/**
 * Look at what a component has of a resource.
 *
 * @return 0, or JB_ENOENT (no such component or resource), JB_ESTATE, JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_share_at(jb_coord *coord, uint32_t component, uint32_t resource,
                             jb_share_info *ret_info);

/**
 * Walk the leases, in no order. One that comes or goes meanwhile may be seen or not.
 *
 * @param cursor  0 to begin; moves on.
 *
 * @return 1, 0 (that was all), or JB_ESTATE, JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_next_lease(jb_coord *coord, uint32_t *cursor, jb_lease_info *ret_info);

/**
 * Walk those in line, in no order.
 *
 * @param cursor  0 to begin; moves on.
 *
 * @return 1, 0 (that was all), or JB_ESTATE, JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_next_waiter(jb_coord *coord, uint32_t *cursor, jb_lease_info *ret_info);

/**
 * Recompute the books from the leases and lines, and compare: every sum, every list, the heap, that
 * nothing is over its capacity, and that nobody waits who could be served.
 *
 * @param err  says what is wrong first. NULL is fine.
 *
 * @return 0, or JB_ECORRUPT, JB_ESTATE, JB_EINVAL.
 *
 * Threads: any. Blocks: for as long as it takes to look at every lease. Allocates: never.
 * Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_audit(jb_coord *coord, jb_error *err);

#ifdef __cplusplus
}
#endif
#endif
