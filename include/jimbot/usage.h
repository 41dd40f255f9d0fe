/**
 * jimbot/usage.h: rates of a coordinator: what several programs take of a service that counts, so
 * many calls an hour, so many tokens a minute.
 *
 * @code
 *     jb_limit_spec limits[] = {
 *         {.resource = CALLS, .component = JB_LIMIT_ALL, .kind = JB_LIMIT_WINDOW, .amount = 100,
 *          .period_ns = 3600000000000},
 *         {.resource = TOKENS, .component = JB_LIMIT_ALL, .kind = JB_LIMIT_RATE, .amount = 30000,
 *          .period_ns = 60000000000}};
 *     opts.limits = limits, opts.n_limits = 2; // see jb_coord_open()
 *
 *     jb_amount estimate[] = {{.resource = CALLS, .amount = 1}, {.resource = TOKENS, .amount =
 *     900}};
 *     jb_take take = {.component = ADVISOR, .n_amounts = 2, .amounts = estimate};
 *     jb_usage usage;
 *
 *     if (jb_usage_reserve(coord, &take, 5000000000, &usage, NULL) == 0) {
 *         uint64_t used[] = {1, call_the_service()};
 *         jb_usage_commit(coord, &usage, used, 2);
 *     }
 * @endcode
 *
 * A **take** names amounts of one or several resources. Every limit on any of them has to allow it,
 * those of its component and those of all components together: then all of it is taken, else
 * nothing, and nothing has changed. A **reservation** is a take by estimate. It ends once: with
 * jb_usage_commit(), which says what was used; with jb_usage_refund(), when nothing was; or by
 * itself after reservation_ns, or with the death of its process, as used in full: who fell silent
 * may have made the call.
 *
 * Caveats first:
 *  - Limits are kept among those who ask, and they are ours: what others use of the same account is
 *    learned from the service's answers only, with jb_usage_correct() and jb_usage_block().
 *  - Of a JB_LIMIT_WINDOW what is reserved counts for as long as it is open, and what is committed
 *    for a period from the commit on: whenever between the two a call is made, it is nowhere in
 *    more than `amount` of them in a period.
 *  - Of a JB_LIMIT_RATE a unit counts from its reservation on, and comes back from then on,
 *    whenever the call is made: reservations stay within the rate and its burst, calls only as far
 *    as they follow their reservations at once. Calls that all wait up to a time T come in bursts
 *    that are larger by what the rate gives in T.
 *  - A JB_LIMIT_OPEN counts reservations. A take for good has to find room among them.
 *  - An amount of 0, to be committed later, takes nothing. It is denied while a limit is owed more
 *    than it holds, and in line it counts as 1.
 *  - What a refund or a commit gives back to a JB_LIMIT_RATE is there at once, beside what came
 *    back by itself since it was reserved: calls made then may be more than the burst by as much.
 *
 * **Order.** Who waits stands in line, in all programs in the same one; who only tries is judged as
 * if it came to its end that moment. Of those who share a resource, first come, first served within
 * a component and class; between these, in this order:
 *  1. who is *due*, as of leases: who has waited aging_ns once as CRITICAL, twice as HIGH, three
 *     times as NORMAL, four times as LOW. In the order of becoming due.
 *  2. the others by class, and within a class whoever had least of its weight: what is taken while
 *     others wait for it counts as the time that a limit takes to give it (of a JB_LIMIT_OPEN: a
 *     second by its amount), of several limits the one counts that says most.
 *
 * What an earlier one wants is kept for it: a later one goes past only if the earlier one, when its
 * time comes as things stand, still finds what it wants. So who wants much gets its turn among many
 * who want little, and what nobody earlier misses is not left idle. One whom a limit of its own
 * component stands in the way of keeps nothing, nor does one who can never go: that one ends with
 * JB_ETOOBIG as soon as a correction made it so.
 *
 * **The bound.** A LOW waiter within its component's limits is due after 4 aging_ns. From then on
 * only those who became due before it go first: it has what it wants, at the latest, as soon as its
 * limits have let through what those want, what was reserved at that moment, and its own. It holds
 * for the first of its component and class that wants any of its resources, and for the first 128
 * such; the others come after them.
 *
 * Threads: as jimbot/quota.h: any, at once.
 */
#ifndef JIMBOT_USAGE_H
#define JIMBOT_USAGE_H

#include "jimbot/quota.h"
#include "jimbot/rate.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What somebody takes. */
typedef struct jb_take {
    uint32_t component;       /**< index */
    uint32_t n_amounts;       /**< 1 .. JB_QUOTA_AMOUNTS_MAX */
    const jb_amount *amounts; /**< each resource once; an amount may be 0, to be committed later */
    uint32_t lease_class;     /**< enum jb_lease_class */
    uint32_t _reserved;       /**< 0 */
} jb_take;

/** A reservation as its holder keeps it. */
typedef struct jb_usage {
    uint64_t token;       /**< never 0, and no other's */
    uint64_t deadline_ns; /**< when it ends by itself, as used in full */
    uint32_t slot;
    uint32_t _reserved;
} jb_usage;

/** Why nothing was taken. */
typedef struct jb_denial {
    uint64_t retry_after_ns; /**< when all limits would have allowed it, exactly, if nobody takes or
                                gives back before. Where reservations are in the way: of a
                                JB_LIMIT_WINDOW no later than the oldest ends by itself, to ask
                                again; of a JB_LIMIT_OPEN UINT64_MAX: when one ends. Where others
                                are first in line it is a bound from below: the limits do not allow
                                it before, and the first of those others does not go before;
                                UINT64_MAX: when a reservation ends, or somebody leaves the line */
    uint32_t limit;          /**< index of the one that takes longest, or that never allows it */
    uint32_t _reserved;
} jb_denial;

/** What a service says of one of its limits. */
typedef struct jb_correction {
    uint32_t flags; /**< enum jb_correction_flags */
    uint32_t _reserved;
    uint64_t limit;     /**< units in a period */
    uint64_t remaining; /**< units that are left */
} jb_correction;

/** What a correction holds, and how far it goes. */
enum jb_correction_flags {
    JB_CORRECT_LIMIT = 1,     /**< `limit` holds from now on, but never more than was configured */
    JB_CORRECT_REMAINING = 2, /**< no more than `remaining`, less what is reserved, is left */
    JB_CORRECT_RAISE = 4      /**< and no less: believe the service also when we counted more; of a
                                 JB_LIMIT_RATE */
};

/** One limit, as it is now. */
typedef struct jb_limit_info {
    uint32_t resource;
    uint32_t component; /**< or JB_LIMIT_ALL */
    uint32_t kind;      /**< enum jb_limit_kind */
    uint32_t _reserved;
    uint64_t amount; /**< as configured */
    uint64_t period_ns;
    uint64_t in_force;       /**< of the amount, after corrections */
    uint64_t most;           /**< that can be taken at once */
    uint64_t remaining;      /**< what can be taken now */
    uint64_t reset_after_ns; /**< until it is as if nothing had been taken, what is reserved from a
                                JB_LIMIT_WINDOW aside; of JB_LIMIT_OPEN: 0 */
    uint64_t blocked_ns;     /**< so long nothing is given, whatever is left */
    uint64_t reserved;       /**< units in open reservations; of JB_LIMIT_OPEN: how many */
    uint64_t n_taken;        /**< units, as committed */
    uint64_t n_denied;       /**< takes that it was the reason to deny */
    uint64_t n_waiting;      /**< in line for what it counts */
} jb_limit_info;

/**
 * Take for good, or reserve, now or not at all. Nobody in line is overtaken.
 *
 * @param take        not NULL.
 * @param ret_usage   NULL: taken for good; else set on success.
 * @param ret_denial  NULL, or set when the answer is JB_EAGAIN or JB_ETOOBIG.
 *
 * @return 0, or JB_EAGAIN (not now; with a retry_after_ns of 0 when another thread is inside the
 *         coordinator this very moment), JB_ETOOBIG (never, while the limits are what they are),
 *         JB_ELIMIT (max_reservations are open), JB_ENOENT (the coordinator has no limits),
 *         JB_ECORRUPT, JB_ESTATE (after fork), JB_EINVAL.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_usage_try(jb_coord *coord, const jb_take *take, jb_usage *ret_usage,
                        jb_denial *ret_denial);

/**
 * The same, waiting in line until the limits allow it. Taken for good after waiting is a
 * reservation that is committed in full at once.
 *
 * @param timeout_ns  UINT64_MAX: without end. 0: as jb_usage_try(), but waits for the lock.
 *
 * @return as jb_usage_try(), or JB_ETIMEDOUT (then ret_denial is set as well); JB_ELIMIT also when
 *         max_waiters wait.
 *
 * Threads: any. Blocks: up to timeout_ns. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_usage_reserve(jb_coord *coord, const jb_take *take, uint64_t timeout_ns,
                            jb_usage *ret_usage, jb_denial *ret_denial);

/**
 * Stand in line for a reservation. Poll, wait for or cancel the ticket until one of them says that
 * it is over: it takes up a place until then, one of max_waiters for rates. While max_reservations
 * are open it waits as well.
 *
 * @param take        not NULL; copied.
 * @param timeout_ns  how long to stay in line; UINT64_MAX: without end.
 * @param ret_ticket  set on success only.
 *
 * @return 0 (perhaps granted already: poll), or JB_ETOOBIG (never, while the limits are what they
 *         are), JB_ELIMIT (max_waiters are in use), JB_ENOENT (the coordinator has no limits),
 *         JB_ECORRUPT, JB_ESTATE, JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_usage_request(jb_coord *coord, const jb_take *take, uint64_t timeout_ns,
                            jb_ticket *ret_ticket);

/**
 * Is it our turn?
 *
 * @param ret_usage   set when 1 is returned.
 * @param ret_denial  NULL, or set when the answer is 0, JB_ETIMEDOUT or JB_ETOOBIG: when to come
 *                    again, as of jb_usage_try(); with a retry_after_ns of 0 and the limit
 *                    UINT32_MAX when another thread is inside the coordinator this very moment.
 *
 * @return 1 (reserved; the ticket is over), 0 (wait on; also when another thread is inside the
 *         coordinator this very moment), or JB_ETIMEDOUT (its timeout_ns ran out; over), JB_ETOOBIG
 *         (never any more; over), JB_ENOENT (no such ticket, or another handle's, or the
 *         reservation ended before anybody asked; over), JB_ECORRUPT, JB_ESTATE, JB_EINVAL.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_usage_poll(jb_coord *coord, const jb_ticket *ticket, jb_usage *ret_usage,
                         jb_denial *ret_denial);

/**
 * Sleep until it is our turn, for at most timeout_ns.
 *
 * @return as jb_usage_poll(); 0 after timeout_ns: the place in line is kept.
 *
 * Threads: any. Blocks: up to timeout_ns. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_usage_wait(jb_coord *coord, const jb_ticket *ticket, uint64_t timeout_ns,
                         jb_usage *ret_usage, jb_denial *ret_denial);

/**
 * Leave the line. What was reserved meanwhile is given back.
 *
 * @return 0, or JB_ENOENT (no such ticket, or another handle's), JB_ECORRUPT, JB_ESTATE, JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_usage_cancel(jb_coord *coord, const jb_ticket *ticket);

/**
 * End a reservation and say what was used: what is less comes back, what is more is owed.
 *
 * @param used    as many as the take had amounts, in the same order; NULL: as reserved.
 * @param n_used  0 with NULL.
 *
 * @return 0, or JB_ENOENT (it has ended, or belongs to another handle: nothing changed), JB_EINVAL
 *         (another number of amounts), JB_ECORRUPT, JB_ESTATE.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_usage_commit(jb_coord *coord, const jb_usage *usage, const uint64_t *used,
                           uint32_t n_used);

/**
 * End a reservation of which nothing was used.
 *
 * @return as jb_usage_commit().
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_usage_refund(jb_coord *coord, const jb_usage *usage);

/**
 * Correct one limit after what the service said; see jb_rate_answer_read().
 *
 * @param limit       index, see jb_coord_limit_at().   @param correction  not NULL.
 *
 * @return 0, or JB_EINVAL (no such limit, or unknown flags), JB_ENOENT, JB_ECORRUPT, JB_ESTATE.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_usage_correct(jb_coord *coord, uint32_t limit, const jb_correction *correction);

/**
 * Give nothing of a resource for so long: the service said `retry-after`. A longer one that was
 * said before stays.
 *
 * @return 0, or JB_EINVAL, JB_ENOENT (there is no limit on the resource for all components),
 *         JB_ECORRUPT, JB_ESTATE.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_usage_block(jb_coord *coord, uint32_t resource, uint64_t after_ns);

/**
 * Look at a limit.
 *
 * @param idx       0, 1, 2 … in the order of jb_coord_opts.limits, until the call returns
 * JB_ENOENT.
 * @param ret_info  not NULL.
 *
 * @return 0, or JB_ENOENT past the end, JB_EINVAL, JB_ECORRUPT, JB_ESTATE.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_limit_at(jb_coord *coord, uint32_t idx, jb_limit_info *ret_info);

/**
 * Write down where the limits stand, for jb_usage_load() in another run of the machine. A
 * coordinator with a name keeps them by itself until then. What is reserved counts as used.
 *
 * @param utc_now_ns  jb_clock_utc_ns().
 * @param buf         where to; NULL with a cap_bytes of 0.
 *
 * @return how many bytes it takes; if that is more than cap_bytes, what is in `buf` is of no use.
 *         Or JB_ENOENT (the coordinator has no limits), JB_EINVAL, JB_ECORRUPT, JB_ESTATE.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int64_t jb_usage_save(jb_coord *coord, uint64_t utc_now_ns, void *buf, size_t cap_bytes);

/**
 * Take up again what was written down, into a coordinator that was made anew: of each limit that
 * has the same resource, component, kind and period, what had not come back is missing, as far as
 * it has not come back since. Nothing can be taken that could not without it; a clock that went
 * back gives nothing, one that went ahead is believed.
 *
 * @return 0, or JB_ESTATE (the limits have a history of their own: something was taken already, or
 *         was loaded; or after fork), JB_ECORRUPT (not what jb_usage_save() wrote: nothing
 *         changed),
 *         JB_ENOENT, JB_EINVAL.
 *
 * Threads: any. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_usage_load(jb_coord *coord, uint64_t utc_now_ns, const void *buf, size_t len_bytes);

#ifdef __cplusplus
}
#endif
#endif
