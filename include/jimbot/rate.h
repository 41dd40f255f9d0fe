/**
 * jimbot/rate.h: rate limits: how much may be taken now, and if not now, exactly when.
 *
 * @code
 *     jb_gcra cell; // 50 a minute on average, at most 10 at once
 *     jb_gcra_init(&cell, 50, 60000000000, 10, jb_clock_now_ns());
 *     uint64_t retry_ns;
 *     if (jb_gcra_take(&cell, 1, jb_clock_now_ns(), &retry_ns) == JB_EAGAIN)
 *         come_again_in(retry_ns);
 * @endcode
 *
 * Two kinds, plain structs that the caller owns and that hold no pointers:
 *  - jb_gcra: a burst and a rate (the generic cell rate algorithm). 64 bytes, any number of
 *    threads, one compare-and-swap.
 *  - jb_window: an exact log of what was taken in the last period. 16 bytes for each take of a
 *    period, one thread at a time.
 *
 * Caveats first:
 *  - "100 an hour" of a service that counts a sliding hour is not what a jb_gcra with a burst of
 *    100 and a rate of 100 an hour keeps, nor any token bucket: after a quiet hour it gives 100 at
 *    once, and nearly 100 more in the hour that follows: some 200 in one sliding hour. A jb_window
 *    of 100 gives the 101st when the first is an hour old and never before. A jb_gcra that keeps
 *    100 in any hour has a burst b and a rate of 100 - b an hour.
 *  - Time is handed in, from one clock for one cell: jb_clock_now_ns(), or a test's own. A clock
 *    that jumps back gives nothing: a jb_window stands still and a jb_gcra waits, until it has
 *    caught up.
 *  - Amounts are whole units: calls, tokens, bytes, nanoseconds of a device.
 *  - A denial changes nothing.
 */
#ifndef JIMBOT_RATE_H
#define JIMBOT_RATE_H

#include "jimbot/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A burst and a rate. In any stretch of time T at most burst + rate * T is taken.
 *
 * The fields are the library's. Copying a cell that nobody uses is fine.
 */
typedef struct jb_gcra {
    uint64_t paid_ticks;  /**< when all that was taken is paid for, since epoch_ns; atomic */
    uint64_t epoch_ns;    /**< the time of jb_gcra_init() */
    uint32_t generation;  /**< its lowest bit says which of the terms hold; atomic */
    uint32_t _reserved0;  /**< zero */
    uint64_t interval[2]; /**< ticks that one unit costs; a tick is 1/64 ns */
    uint64_t burst[2];    /**< units */
    uint64_t _reserved;   /**< zero */
} jb_gcra;

/** Where a limit stands. */
typedef struct jb_rate_state {
    uint64_t limit;          /**< most that can ever be taken at once */
    uint64_t remaining;      /**< what can be taken now, at once */
    uint64_t reset_after_ns; /**< until it is as if nothing had been taken; 0: it is */
} jb_rate_state;

/**
 * Make a cell, full.
 *
 * The price of a unit is rounded up to 1/64 ns, so the rate kept is lower than the one asked for by
 * less than a millionth at 64,000 units a second and below, and by less than 2 % at a thousand
 * million. A cell counts for four and a half years from here; then its clock stands still.
 *
 * @param amount     units that come back in a period, 1 and more.
 * @param period_ns  1 and more.   @param burst  most units at once, 1 and more.
 * @param now_ns     see above.
 *
 * @return 0, or JB_EINVAL (a zero; more than 64 units a nanosecond; a burst that takes more than
 * two years to come back).
 *
 * Threads: before others use it. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_gcra_init(jb_gcra *cell, uint64_t amount, uint64_t period_ns, uint64_t burst,
                        uint64_t now_ns);

/**
 * Change the rate and the burst of a cell that is in use. What can be taken is as before, or as
 * much as the new burst if that is less; never more: who wants the new burst waits for it.
 *
 * A take of another thread at the very same time is judged by the old terms or by the new ones, and
 * may find less than there is until the change is over; what it took may then be counted at the
 * higher of the two prices.
 *
 * @return as jb_gcra_init(); the cell is unchanged on failure.
 *
 * Threads: one at a time; others may take meanwhile. Blocks: never. Allocates: never. Game thread:
 * yes.
 * Since: 0.1
 */
JB_API int jb_gcra_set(jb_gcra *cell, uint64_t amount, uint64_t period_ns, uint64_t burst,
                       uint64_t now_ns);

/**
 * Take n units, all or none. n = 0 is always given.
 *
 * @param ret_retry_after_ns  NULL, or set when the answer is JB_EAGAIN: if nobody takes in between,
 * the same take succeeds so many nanoseconds later and not one earlier.
 *
 * @return 0, or JB_EAGAIN (not now), JB_ETOOBIG (never: n is more than the burst).
 *
 * Threads: any, on the same cell, also of several processes. Blocks: never. Allocates: never.
 * Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_gcra_take(jb_gcra *cell, uint64_t n, uint64_t now_ns, uint64_t *ret_retry_after_ns);

/**
 * What jb_gcra_take() would say, without taking.
 *
 * Threads: any, on the same cell. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_gcra_peek(const jb_gcra *cell, uint64_t n, uint64_t now_ns,
                        uint64_t *ret_retry_after_ns);

/**
 * Give n units back that were taken and not used. What would be more than the burst is lost; what
 * came back by itself since they were taken is not taken off, so that what is *used* in one moment
 * may be more than the burst by as much.
 *
 * Threads: any, on the same cell. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_gcra_refund(jb_gcra *cell, uint64_t n, uint64_t now_ns);

/**
 * Take n units that are used already, whether they are there or not: what is missing is owed, and
 * nothing is given until it has come back. n may be more than the burst.
 *
 * Threads: any, on the same cell. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_gcra_charge(jb_gcra *cell, uint64_t n, uint64_t now_ns);

/**
 * Learn from outside that no more than `remaining` can be taken now. A cell that has less is left
 * as it is.
 *
 * Threads: any, on the same cell. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_gcra_lower(jb_gcra *cell, uint64_t remaining, uint64_t now_ns);

/**
 * Where the cell stands.
 *
 * @param ret_state  not NULL.
 *
 * Threads: any, on the same cell. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_gcra_get(const jb_gcra *cell, uint64_t now_ns, jb_rate_state *ret_state);

/** One line of a window's log; the library's. */
typedef struct jb_window_entry {
    uint64_t time_ns; /**< of the newest unit in it */
    uint64_t amount;
} jb_window_entry;

/**
 * At most `limit` units in any period: of any two takes exactly a period apart, the first no longer
 * counts. The log lies right behind the struct. The fields are the library's.
 *
 * It is exact as long as the log holds every take of a period, which `limit` entries do unless
 * takes are given back. With fewer entries takes that come close together share one and count until
 * the newest of them is a period old: by up to period_ns / (n_entries - 1) too long. So the limit
 * is kept in every case, and what a small log costs is patience.
 */
typedef struct jb_window {
    uint64_t limit;
    uint64_t period_ns;
    uint64_t grain_ns; /**< takes that come closer together may share an entry */
    uint64_t used;     /**< sum of the log */
    uint64_t last_ns;  /**< the latest time at which something was taken */
    uint64_t first_ns; /**< of the oldest unit in the newest entry */
    uint64_t head;     /**< the oldest entry */
    uint64_t count;    /**< entries in the log */
    uint32_t n_entries;
    uint32_t _reserved; /**< zero */
} jb_window;

/**
 * How many bytes a window with a log of so many entries needs; 0 when n_entries is less than 2.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API size_t jb_window_bytes(uint32_t n_entries);

/**
 * Make a window, empty, in memory of the caller.
 *
 * @param memory      aligned to 8 bytes.   @param size_bytes  jb_window_bytes() of the log wanted.
 * @param limit       most units in a period, 1 and more.   @param period_ns  1 .. 2^62.
 * @param ret_window  at the beginning of the memory.
 *
 * @return 0, or JB_EINVAL (out of range, or too little memory for two entries).
 *
 * Threads: one at a time. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_window_init(void *memory, size_t size_bytes, uint64_t limit, uint64_t period_ns,
                          jb_window **ret_window);

/**
 * Change the limit of a window that is in use. What was taken still counts, so nothing comes at
 * once but what the new limit has more than the old.
 *
 * @return 0, or JB_EINVAL (0).
 *
 * Threads: one at a time. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_window_set(jb_window *window, uint64_t limit);

/**
 * Take n units, all or none. n = 0 is always given.
 *
 * @param ret_retry_after_ns  as of jb_gcra_take(), as exactly.
 *
 * @return 0, or JB_EAGAIN (not now), JB_ETOOBIG (never: n is more than the limit).
 *
 * Threads: one at a time. Blocks: never. Allocates: never. Game thread: yes; what has left the
 * window since the last take is walked over.
 * Since: 0.1
 */
JB_API int jb_window_take(jb_window *window, uint64_t n, uint64_t now_ns,
                          uint64_t *ret_retry_after_ns);

/**
 * What jb_window_take() would say, without taking.
 *
 * Threads: one at a time. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_window_peek(const jb_window *window, uint64_t n, uint64_t now_ns,
                          uint64_t *ret_retry_after_ns);

/**
 * Give n units back that were taken together and not used.
 *
 * @param taken_ns  the time of that take. What has left the window already is not given back.
 *
 * Threads: one at a time. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_window_refund(jb_window *window, uint64_t n, uint64_t taken_ns, uint64_t now_ns);

/**
 * Take n units that are used already, whether the limit allows them or not.
 *
 * Threads: one at a time. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_window_charge(jb_window *window, uint64_t n, uint64_t now_ns);

/**
 * Learn from outside that no more than `remaining` can be taken now: what is missing counts as
 * taken now. A window that has less is left as it is.
 *
 * Threads: one at a time. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_window_lower(jb_window *window, uint64_t remaining, uint64_t now_ns);

/**
 * Where the window stands.
 *
 * @param ret_state  not NULL.
 *
 * Threads: one at a time. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_window_get(const jb_window *window, uint64_t now_ns, jb_rate_state *ret_state);

/** What a limit of a coordinator counts; see quota.h and usage.h. */
enum jb_limit_kind {
    JB_LIMIT_RATE = 1,   /**< a burst and a rate, as a jb_gcra */
    JB_LIMIT_WINDOW = 2, /**< so many in any period, as a jb_window */
    JB_LIMIT_OPEN = 3    /**< so many reservations open at a time */
};

/** A limit for all components together. */
enum { JB_LIMIT_ALL = 0xffff };

/** A limit on what is taken of a resource. A resource may have several; all of them hold. */
typedef struct jb_limit_spec {
    uint32_t resource;  /**< index */
    uint32_t component; /**< index: what this one takes; JB_LIMIT_ALL: what all take together */
    uint32_t kind;      /**< enum jb_limit_kind */
    uint32_t n_entries; /**< of a window's log, 2 .. 65536; 0: twice the amount, at most 2048 */
    uint64_t amount;    /**< units that come back in a period; of JB_LIMIT_OPEN: reservations */
    uint64_t period_ns; /**< of JB_LIMIT_OPEN: 0 */
    uint64_t burst;     /**< of JB_LIMIT_RATE: most at once, 0: the amount; else 0 */
} jb_limit_spec;

/** What a service outside counts, in the order of the arrays of jb_rate_answer. */
enum jb_rate_subject {
    JB_RATE_REQUESTS = 0,
    JB_RATE_TOKENS = 1,
    JB_RATE_INPUT_TOKENS = 2,
    JB_RATE_OUTPUT_TOKENS = 3
};

/** What was in an answer, jb_rate_answer.has; of a subject s: the bit shifted left by s. */
enum jb_rate_answer_bits {
    JB_ANSWER_LIMIT = 1,
    JB_ANSWER_REMAINING = 16,
    JB_ANSWER_RESET = 256,
    JB_ANSWER_RETRY = 4096 /**< of no subject */
};

/** What the headers of an answer say of limits. Begin with zeroes. */
typedef struct jb_rate_answer {
    uint32_t has; /**< enum jb_rate_answer_bits: which of the fields below are set */
    uint32_t _reserved;
    uint64_t limit[4];          /**< by enum jb_rate_subject */
    uint64_t remaining[4];      /**< what is left of it */
    uint64_t reset_after_ns[4]; /**< until all of it is left again */
    uint64_t retry_after_ns;    /**< come again no sooner */
} jb_rate_answer;

/**
 * Read one header of an answer.
 *
 * Understood are `anthropic-ratelimit-SUBJECT-WHAT` of the subjects requests, tokens, input-tokens
 * and output-tokens, with a number for limit and remaining and a time as in RFC 3339 for reset; and
 * `retry-after` with seconds or a date as in RFC 9110. Names are in any case. Times that have
 * passed are 0 from now, parts of a second are kept, and what does not fit into 64 bits stops
 * there.
 *
 * @param name        need not end in a NUL, as little as the value.
 * @param utc_now_ns  what times are counted from: jb_clock_utc_ns().
 *
 * @return 1 (read), 0 (of something else), or JB_EPARSE (one of these, with a value that is not:
 * the answer is unchanged), JB_EINVAL.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_rate_answer_read(jb_rate_answer *answer, const char *name, size_t name_bytes,
                               const char *value, size_t value_bytes, uint64_t utc_now_ns);

#ifdef __cplusplus
}
#endif
#endif
