/**
 * jimbot/quota.h: who may use how much of what: a coordinator of memory, time on a GPU and other
 * things that several programs share.
 *
 * @code
 *     jb_resource_spec resources[] = {
 *         {.name = "ram", .kind = JB_RESOURCE_MEMORY, .capacity = 1000}};
 *     jb_component_spec components[] = {{.name = "trainer", .weight = 3}, {.name = "game"}};
 *     jb_coord_opts opts;
 *     jb_coord *coord;
 *     jb_amount amount = {.resource = 0, .amount = 400};
 *     jb_want want = {.component = 0, .n_amounts = 1, .amounts = &amount, .hold_ns = 1000000000};
 *     jb_lease lease;
 *
 *     jb_coord_opts_init(&opts, sizeof opts);
 *     opts.resources = resources, opts.n_resources = 1;
 *     opts.components = components, opts.n_components = 2;
 *     jb_coord_open("quota", &opts, &coord, NULL); // attach, or create it
 *
 *     if (jb_coord_acquire(coord, &want, 2000000000, &lease) == 0) {
 *         work(lease.token);
 *         jb_lease_release(coord, &lease); // JB_ENOENT: it had ended before, somebody else has it
 *     }
 * @endcode
 *
 * Caveats first:
 *  - A lease is a promise among those who ask. Nobody is stopped from using what they did not ask
 *    for; see jb_coord_set_foreign() for what is in use without a lease.
 *  - A lease with `hold_ns` ends by itself. Who works on has to look: a lease that has ended is
 *    somebody else's now. Where the resource can check, hand it the fencing token.
 *  - Handles do not survive fork(): in the child every call returns JB_ESTATE.
 *  - Whoever may open a shared coordinator may break its books for the others (never their memory:
 *    every index is checked). jb_coord_audit() tells.
 *
 * **Leases.** A want names amounts of one or several resources; all of them are granted or none.
 * Tokens are 64-bit numbers that only grow, over restarts and re-creation too. Each lease ends
 * exactly once: released, expired, revoked, or its holder died. Ending it again, too late, or with
 * another's token is JB_ENOENT and changes nothing. A lease belongs to the handle that asked; when
 * its process dies the kernel says so and the lease ends. With JB_WANT_DETACHED it belongs to
 * whoever knows the token and lives by its deadline alone, over restarts of the one who asked: for
 * holders that are far away and have to renew it.
 *
 * **Order.** Waiters of one component, class and set of resources are served first come, first
 * served; of these lines, in this order:
 *  1. who is *due*: who has waited aging_ns once as CRITICAL, twice as HIGH, three times as NORMAL,
 *     four times as LOW. In the order of becoming due; what a due waiter wants and others hold is
 *     kept for it when it comes free. Where its component's own ceiling is in the way, it is kept
 *     from the others of that component. One that wants more than could come free, because that is
 *     in use without a lease (jb_coord_set_foreign()), keeps nothing and holds up nobody, not those
 *     behind it in its line either.
 *  2. who stays within its component's guaranteed share of everything it wants.
 *  3. the others.
 *
 * In 2 and 3 the higher class first, and within a class whoever had least of its weight so far
 * (start-time fair queueing over amount times time held, as measured at the end); with
 * JB_COORD_DRF whoever has the smallest dominant share at the moment. Who can be served now is,
 * ahead of one that cannot: nothing stays idle beside a waiter at the head of its line whose want
 * fits, except what is kept for a due one, for one that leases were given notice for
 * (see "Inversion"), or for `linger_ns`.
 *
 * **The bound.** While every lease lasts at most H (max_hold_ns), a LOW waiter within its
 * component's ceiling, and within what is not in use without a lease, is due after 4 aging_ns. From
 * then on only those who became due before it go first: with n of them it has what it wants after
 * at most 4 aging_ns + (n + 1) H, and one H more where its component's ceiling was in the way. A
 * lease that is renewed counts as one: while anybody due wants what it has, no renewal goes beyond
 * H from its grant. Who is due goes by age alone: set aging_ns well above what a line takes (its
 * length times how long leases last). Beyond it, weights do not count within a class.
 *
 * **Inversion.** With notice_ns a waiter does not have to wait for the end of leases of a lower
 * class, nor one within its guarantee for any of others, if their component keeps what it is
 * guaranteed without them: those of the lowest class first, until it is enough, are given notice
 * and end after notice_ns as JB_LEASE_REVOKED; what comes free is kept from whoever goes after the
 * waiter. When it would not be enough, nobody is given notice, nor to make room in a full table
 * (max_leases). Holders see it in jb_lease_check().
 *
 * **Time** comes from one clock; one that jumps back counts as standing still.
 *
 * Threads: a jb_coord may be used by any number of threads at once.
 */
#ifndef JIMBOT_QUOTA_H
#define JIMBOT_QUOTA_H

#include "jimbot/base.h"
#include "jimbot/rate.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A handle on a coordinator. Opaque. */
typedef struct jb_coord jb_coord;

/** Sizes that are fixed. */
enum jb_quota_limits {
    JB_QUOTA_RESOURCES_MAX = 64,
    JB_QUOTA_COMPONENTS_MAX = 256,
    JB_QUOTA_LIMITS_MAX = 64,
    JB_QUOTA_AMOUNTS_MAX = 8, /**< resources in one lease */
    JB_QUOTA_NAME_BYTES = 32, /**< of a resource or component, with the NUL */
    JB_QUOTA_BUCKETS = 16     /**< of a histogram of times: bucket i counts what is below
                                   4^i microseconds and in no bucket before; the last, the rest */
};

/** What a resource is, and the unit of its amounts. */
enum jb_resource_kind {
    JB_RESOURCE_MEMORY = 1,     /**< bytes */
    JB_RESOURCE_GPU_MEMORY = 2, /**< bytes on one device */
    JB_RESOURCE_GPU_TIME = 3,   /**< parts of the capacity are shares of one device's time */
    JB_RESOURCE_CPU = 4,        /**< thousandths of a core */
    JB_RESOURCE_CALLS = 5,      /**< calls at a time to a service outside */
    JB_RESOURCE_TOKENS = 6      /**< tokens of a language model outside */
};

/** Who goes first. 0 counts as normal. */
enum jb_lease_class {
    JB_CLASS_LOW = 1,
    JB_CLASS_NORMAL = 2,
    JB_CLASS_HIGH = 3,
    JB_CLASS_CRITICAL = 4
};

/** How a lease came to its end. */
enum jb_lease_end {
    JB_LEASE_RELEASED = 1,   /**< its holder ended it, or closed the handle */
    JB_LEASE_EXPIRED = 2,    /**< its deadline passed */
    JB_LEASE_REVOKED = 3,    /**< it was given notice, and the notice ran out */
    JB_LEASE_HOLDER_DIED = 4 /**< its holder's process ended */
};

/** Something to be shared. */
typedef struct jb_resource_spec {
    const char *name;    /**< unique, 1 .. 31 bytes */
    uint32_t kind;       /**< enum jb_resource_kind */
    uint32_t device;     /**< which GPU; shown, not used */
    uint64_t capacity;   /**< 1 .. 2^62 */
    uint64_t headroom;   /**< of it, never given out; less than the capacity */
    uint64_t quantum_ns; /**< of GPU time: how long a slice lasts when others wait; at most a day;
                              0: 10 ms. With JB_RESOURCE_STRICT no less than the longest step:
                              who has to wait for longer ones loses what it missed beyond it */
    uint64_t linger_ns;  /**< when a lease ends and it is still its component's turn, keep the
                             resource for it so long if only others wait; at most a day; 0: not at
                             all */
    uint32_t flags;      /**< enum jb_resource_flags */
    uint32_t _reserved;  /**< 0 */
} jb_resource_spec;

/** Flags of jb_resource_spec. */
enum jb_resource_flags {
    JB_RESOURCE_STRICT = 1 /**< of GPU time: each component gets exactly its share, see slices */
};

/** Somebody who asks. */
typedef struct jb_component_spec {
    const char *name;   /**< unique, 1 .. 31 bytes */
    uint32_t weight;    /**< 1 .. 1000000; 0 counts as 1 */
    uint32_t _reserved; /**< 0 */
} jb_component_spec;

/** What one component may have of one resource; without a spec: nothing guaranteed, all allowed. */
typedef struct jb_share_spec {
    uint32_t component;  /**< index into components */
    uint32_t resource;   /**< index into resources */
    uint64_t guaranteed; /**< goes before others up to here; all guarantees together at most the
                            capacity less the headroom. Of GPU time only with JB_RESOURCE_STRICT: a
                            slice is all of the device, which is more than any guarantee of a part;
                            use weights */
    uint64_t ceiling;    /**< never more than this; 0: the capacity less the headroom */
} jb_share_spec;

/** Options; start from jb_coord_opts_init(). All but the last four matter only to the one who
 * creates it; who attaches may leave out resources and components, or must give the same
 * (shares and limits too, if any are given). */
typedef struct jb_coord_opts {
    uint32_t size;  /**< set by jb_coord_opts_init() */
    uint32_t flags; /**< enum jb_coord_flags */
    const jb_resource_spec *resources;
    const jb_component_spec *components;
    const jb_share_spec *shares;
    uint32_t n_resources;  /**< 1 .. JB_QUOTA_RESOURCES_MAX */
    uint32_t n_components; /**< 1 .. JB_QUOTA_COMPONENTS_MAX */
    uint32_t n_shares;
    uint32_t max_leases;   /**< at a time, 1 .. 1048576; default 1024 */
    uint32_t max_waiters;  /**< at a time, for leases and for rates each, 1 .. 65536; default 256 */
    uint32_t max_records;  /**< kept for jb_coord_next_record(), a power of two, 16 .. 1048576;
                             default 4096 */
    uint32_t max_peers;    /**< open handles at a time, 1 .. 254; default 64 */
    uint32_t mode;         /**< file permissions; default 0600 */
    uint64_t aging_ns;     /**< see "The bound"; default 1 s */
    uint64_t notice_ns;    /**< see "Inversion"; 0, the default: nobody is given notice */
    uint64_t max_hold_ns;  /**< a lease's longest; 0, the default: as long as was asked for */
    const char *peer_name; /**< at most 31 bytes; NULL: the program's name */
    const jb_alloc *alloc; /**< NULL for libc */
    uint64_t (*clock)(void *userdata); /**< NULL: jb_clock_now_ns() */
    void *clock_userdata;
    const jb_limit_spec *limits; /**< of rates, see jimbot/usage.h */
    uint32_t n_limits;           /**< at most JB_QUOTA_LIMITS_MAX */
    uint32_t max_reservations;   /**< open at a time, 1 .. 65536; default 256 */
    uint64_t reservation_ns;     /**< how long one stays open; default 10 min */
} jb_coord_opts;

/** Flags of jb_coord_opts. */
enum jb_coord_flags {
    JB_COORD_DRF = 1 /**< within a class by dominant share instead of fair queueing */
};

/** So much of a resource. */
typedef struct jb_amount {
    uint32_t resource;  /**< index */
    uint32_t _reserved; /**< 0 */
    uint64_t amount;    /**< 1 and more */
} jb_amount;

/** What somebody asks for. */
typedef struct jb_want {
    uint32_t component;       /**< index */
    uint32_t lease_class;     /**< enum jb_lease_class */
    uint32_t flags;           /**< enum jb_want_flags */
    uint32_t n_amounts;       /**< 1 .. JB_QUOTA_AMOUNTS_MAX */
    const jb_amount *amounts; /**< each resource once */
    uint64_t hold_ns;         /**< until the lease expires; 0: max_hold_ns, or never */
    uint64_t wait_ns; /**< for jb_coord_request(): how long to stay in line; 0: without end */
    uint64_t tag;     /**< the caller's own number, shown in lists and records */
} jb_want;

/** Flags of jb_want. */
enum jb_want_flags {
    JB_WANT_DETACHED = 1 /**< the lease does not end with this handle's process; needs a hold_ns,
                              and less than UINT64_MAX */
};

/** A lease as its holder keeps it. A copy is as good as the original. */
typedef struct jb_lease {
    uint64_t token;       /**< fencing token, grows with every grant; never 0 */
    uint64_t granted_ns;  /**< when */
    uint64_t deadline_ns; /**< when it ends by itself; UINT64_MAX: never */
    uint32_t slot;        /**< its place in the table */
    uint32_t _reserved;
} jb_lease;

/** A place in line. */
typedef struct jb_ticket {
    uint64_t id;
    uint32_t slot;
    uint32_t _reserved;
} jb_ticket;

/**
 * Fill in the defaults.
 *
 * @param opts  not NULL.   @param size  sizeof(jb_coord_opts) of the caller.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_coord_opts_init(jb_coord_opts *opts, uint32_t size);

/**
 * Attach to the coordinator of that name, or make it when there is none. Of several processes that
 * do this at once exactly one makes it and the others attach.
 *
 * A named one outlives all who have it open, until jb_coord_unlink() or a restart of the machine:
 * who opens it next finds tokens, detached leases and counters as they were, and the leases of the
 * dead ended.
 *
 * @param name       as of a bus (see jb_bus_open()), but a file `jimbot-quota-<uid>-<name>`. NULL:
 *                   for this process alone.
 * @param opts       NULL, or without resources: only attach.
 * @param ret_coord  the caller closes it.
 *
 * @return 0, or JB_EINVAL (`err->msg` says which option), JB_ENOENT (there is none, and no
 *         resources to make one of), JB_ESTATE (it was made with other resources or components),
 *         JB_ENOMEM, and what jb_bus_open() says of files.
 *
 * Threads: any. Blocks: for file operations. Allocates: yes. Game thread: set-up only.
 * Since: 0.1
 */
JB_API int jb_coord_open(const char *name, const jb_coord_opts *opts, jb_coord **ret_coord,
                         jb_error *err);

/**
 * Take the name away. Those who have it open go on; the next one to open the name makes another.
 *
 * @return 0, or JB_ENOENT, JB_EPERM, JB_EINVAL, JB_ETIMEDOUT, JB_ESYS.
 *
 * Threads: any. Blocks: for file operations. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_unlink(const char *name, jb_error *err);

/**
 * Close a handle. Its places in line are given up, its leases end as released, except detached
 * ones in a coordinator that outlives it.
 *
 * @param coord  NULL is fine.
 *
 * Threads: none may be inside a call on it. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API void jb_coord_close(jb_coord *coord);

/**
 * Find a resource by name.
 *
 * @return its index, or JB_ENOENT, JB_EINVAL (NULL).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_coord_find_resource(const jb_coord *coord, const char *name);

/**
 * Find a component by name.
 *
 * @return its index, or JB_ENOENT, JB_EINVAL (NULL).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_coord_find_component(const jb_coord *coord, const char *name);

/**
 * Get a lease now or not at all. Nobody in line is overtaken who could be served.
 *
 * @param want       not NULL.
 * @param ret_lease  set on success only.
 *
 * @return 0, or JB_EAGAIN (not free, or others are first; nothing changed. Also when another
 *         thread is inside the coordinator this very moment), JB_ETOOBIG (more than the capacity
 *         or the ceiling: never), JB_ELIMIT (max_leases or max_waiters are in use), JB_EINVAL.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_coord_try(jb_coord *coord, const jb_want *want, jb_lease *ret_lease);

/**
 * Stand in line. Poll, wait for or cancel the ticket until one of them says that it is over: it
 * takes up a place until then.
 *
 * @param want        not NULL; copied.
 * @param ret_ticket  set on success only.
 *
 * @return 0 (perhaps granted already: poll), or JB_ETOOBIG (never), JB_ELIMIT (max_leases or
 *         max_waiters are in use), JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_request(jb_coord *coord, const jb_want *want, jb_ticket *ret_ticket);

/**
 * Is it our turn?
 *
 * @param ret_lease  set when 1 is returned.
 *
 * @return 1 (granted; the ticket is over), 0 (wait on; also when another thread is inside the
 *         coordinator this very moment), or JB_ETIMEDOUT (its wait_ns ran out; over), JB_ENOENT
 *         (no such ticket, or another handle's, or the lease ended before anybody asked; over),
 *         JB_EINVAL.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_coord_poll(jb_coord *coord, const jb_ticket *ticket, jb_lease *ret_lease);

/**
 * Sleep until it is our turn, for at most timeout_ns.
 *
 * @return as jb_coord_poll(); 0 after timeout_ns: the place in line is kept.
 *
 * Threads: any. Blocks: up to timeout_ns. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_wait(jb_coord *coord, const jb_ticket *ticket, uint64_t timeout_ns,
                         jb_lease *ret_lease);

/**
 * Leave the line. A lease that was granted meanwhile is released.
 *
 * @return 0, or JB_ENOENT (no such ticket, or another handle's), JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_cancel(jb_coord *coord, const jb_ticket *ticket);

/**
 * Request, wait, and cancel when it took too long.
 *
 * @param timeout_ns  UINT64_MAX: without end. 0: as jb_coord_try(), but waits for the lock.
 *
 * @return 0, or JB_EAGAIN (timeout_ns was 0), JB_ETIMEDOUT, JB_ETOOBIG, JB_ELIMIT, JB_EINVAL.
 *
 * Threads: any. Blocks: up to timeout_ns. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_acquire(jb_coord *coord, const jb_want *want, uint64_t timeout_ns,
                            jb_lease *ret_lease);

/**
 * Move the deadline to hold_ns from now. A lease that was given notice keeps its end.
 *
 * @param lease    its deadline is updated.
 * @param hold_ns  0: as long as at first. Cut to max_hold_ns.
 *
 * @return 0, or JB_ENOENT (it has ended, or belongs to another handle), JB_ESTATE (it was given
 *         notice, or a due waiter wants what it has: the deadline stays), JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_lease_renew(jb_coord *coord, jb_lease *lease, uint64_t hold_ns);

/**
 * Give a part back and keep the rest.
 *
 * @param amount  what remains, 1 .. what it has.
 *
 * @return 0, or JB_ENOENT (it has ended, belongs to another handle, or has nothing of that
 *         resource), JB_EINVAL (more than it has, or 0).
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_lease_shrink(jb_coord *coord, const jb_lease *lease, uint32_t resource,
                           uint64_t amount);

/**
 * End it.
 *
 * @return 0, or JB_ENOENT (it has ended, or belongs to another handle: nothing changed), JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_lease_release(jb_coord *coord, const jb_lease *lease);

/**
 * Give a lease notice, whoever holds it: it ends after notice_ns as revoked, unless it ends before.
 * A later notice cannot lengthen an earlier one.
 *
 * @param token  of a lease, from jb_coord_lease_at() or a record.   @param slot  its slot.
 *
 * @return 0, or JB_ENOENT (it has ended), JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_lease_revoke(jb_coord *coord, uint64_t token, uint32_t slot, uint64_t notice_ns);

/** What jb_lease_check() says. */
enum jb_lease_state {
    JB_LEASE_GOOD = 0,
    JB_LEASE_NOTICE = 1 /**< it was given notice: finish, and release it */
};

/**
 * Does this lease go on?
 *
 * @param ret_left_ns  until its deadline; UINT64_MAX: it has none. NULL is fine.
 *
 * @return enum jb_lease_state, or JB_ENOENT (it has ended), JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_lease_check(jb_coord *coord, const jb_lease *lease, uint64_t *ret_left_ns);

/**
 * Say how much of a resource is in use that no lease stands for: memory of programs that do not
 * ask. It is not given out; what was promised before stays.
 *
 * @return 0, or JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_set_foreign(jb_coord *coord, uint32_t resource, uint64_t amount);

/**
 * Do what is due: end leases whose deadline passed or whose holder died, and serve who waits. Every
 * other call does so too, but for the dead: who waits, polls or tries in vain looks after them,
 * each handle every 50 ms. A program that only serves others calls this when nothing else happens.
 *
 * @param ret_next_ns  until something will be due; UINT64_MAX: nothing that is known. NULL is fine.
 *
 * @return how many leases ended, or JB_EINVAL, JB_ESTATE (after fork).
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_tick(jb_coord *coord, uint64_t *ret_next_ns);

#ifdef __cplusplus
}
#endif

#include "jimbot/books.h"
#include "jimbot/slice.h"

#endif
