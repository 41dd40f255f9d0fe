/**
 * jimbot/sub.h: subscriptions: the way of an event out of a bus.
 *
 * @code
 *     jb_sub *sub;
 *     jb_event ev[64];
 *
 *     jb_bus_subscribe(bus, "game.>", 6, NULL, &sub, NULL);
 *     while (jb_sub_wait(sub, 1000000000) > 0) { // one second
 *         int n = jb_sub_peek(sub, ev, 64);
 *         for (int i = 0; i < n; i++)
 *             use(&ev[i]); // in place, no copy
 *         jb_sub_advance(sub); // now the slots may be reused
 *     }
 * @endcode
 *
 * What a slow reader costs whom is its policy, enum jb_sub_policy. A subscription is used by one
 * thread at a time.
 */
#ifndef JIMBOT_SUB_H
#define JIMBOT_SUB_H

#include "jimbot/bus.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A subscription: a pattern, a policy and a cursor. Opaque. */
typedef struct jb_sub jb_sub;

/** What a subscription does when it is slow. */
enum jb_sub_policy {
    JB_SUB_LOSSLESS = 0, /**< publishers get JB_EAGAIN rather than overwrite what it has not read */
    JB_SUB_LATEST = 1,   /**< it is overtaken, and told exactly how many events it missed */
    JB_SUB_CONFLATE = 2  /**< as latest, but of each topic and jb_event_head.key it is shown the
                            newest event only, in the order of the bus; those replaced are counted
                            in `n_conflated`. With more than 4096 topics and keys at once it is
                            shown the newest of as many as fit, then of those that follow */
};

/** Flags of jb_sub_opts. */
enum jb_sub_flags {
    JB_SUB_HIGH_FIRST = 1 /**< lossless only: events of JB_PRIORITY_HIGH are shown before all others
                             that are there when it peeks, so a peek shows either. They are in order
                             among themselves, and so are the others; an event that is shown is not
                             overtaken until something is taken. The ring keeps what was overtaken
                             until that is taken */
};

/** Where a subscription begins. */
enum jb_sub_start {
    JB_SUB_FROM_NOW = 0,   /**< with the first event not visible before the call */
    JB_SUB_FROM_OLDEST = 1 /**< with the oldest event still in the ring */
};

/** How jb_sub_wait() waits. One that does not sleep leaves a publisher alone for up to 8 µs at a
 * time while events come faster than one in a microsecond: both wait for the same cache lines. */
enum jb_wait {
    JB_WAIT_BLOCK = 0, /**< sleeps in the kernel at once: costs nothing, wakes in tens of µs */
    JB_WAIT_SPIN =
        1, /**< looks for spin_ns, giving way to other threads now and then, then sleeps */
    JB_WAIT_BUSY = 2 /**< never sleeps: has a core to itself, sees an event within half a µs */
};

/** Options of a subscription; start from jb_sub_opts_init(). */
typedef struct jb_sub_opts {
    uint32_t size;           /**< set by jb_sub_opts_init() */
    uint32_t policy;         /**< enum jb_sub_policy; default JB_SUB_LOSSLESS */
    uint32_t start;          /**< enum jb_sub_start; default JB_SUB_FROM_NOW */
    uint32_t wait;           /**< enum jb_wait; default JB_WAIT_SPIN */
    const char *name;        /**< shown in statistics, at most 31 bytes; NULL: the peer's name */
    uint64_t spin_ns;        /**< JB_WAIT_SPIN: how long to spin before sleeping; default 10 µs */
    uint64_t evict_after_ns; /**< lossless: when publishers are held back by it and it has not
                                advanced for so long, it holds them back no more, see
                                jb_sub_advance(); 0, the default: never */
    uint32_t flags;          /**< enum jb_sub_flags; default 0 */
    uint32_t _reserved;      /**< 0 */
} jb_sub_opts;

/**
 * Fill in the defaults.
 *
 * @param opts  not NULL.   @param size  sizeof(jb_sub_opts) of the caller.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_sub_opts_init(jb_sub_opts *opts, uint32_t size);

/**
 * Subscribe to a pattern: a topic name in which a token may be `*` (exactly one token) and the last
 * may be
 * `>` (one token or more). `>` alone is everything.
 *
 * @param opts     NULL for the defaults.
 * @param ret_sub  the caller closes it.
 *
 * @return 0, or JB_EINVAL (not a pattern), JB_ELIMIT (max_subs are open), JB_ENOMEM, JB_ECORRUPT,
 * JB_ESTATE (after fork).
 *
 * Threads: any. Blocks: never. Allocates: yes. Game thread: set-up only.
 * Since: 0.1
 */
JB_API int jb_bus_subscribe(jb_bus *bus, const char *pattern, size_t len_bytes,
                            const jb_sub_opts *opts, jb_sub **ret_sub, jb_error *err);

/**
 * Add one more pattern; an event that matches several is delivered once.
 *
 * @return 0, or JB_EINVAL, JB_ENOMEM, JB_ESTATE (after fork).
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: yes. Game thread: set-up only.
 * Since: 0.1
 */
JB_API int jb_sub_add(jb_sub *sub, const char *pattern, size_t len_bytes);

/**
 * End a subscription. NULL is fine.
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: never. Game thread: set-up
 * only.
 * Since: 0.1
 */
JB_API void jb_sub_close(jb_sub *sub);

/**
 * Look at the next matching events without taking them. Calling it again before jb_sub_advance()
 * shows the same events again (and more, when more have come and there is room).
 *
 * @param events  room for n_max; what is filled in is valid until jb_sub_advance(), jb_sub_close(),
 * or a call with room for fewer, after which only what that one showed is.
 *
 * @return how many; 0 when there is nothing. Or JB_EINVAL, JB_ECORRUPT (the ring's contents are not
 * what a writer of ours makes; the subscription cannot go on), JB_ESTATE (after fork).
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_sub_peek(jb_sub *sub, jb_event *events, uint32_t n_max);

/**
 * Take everything the last jb_sub_peek() showed, if anything.
 *
 * @return 0, JB_ESTATE (after fork), or JB_EEVICTED: the subscription stood still for longer than
 * its evict_after_ns while publishers waited for it, so they went on; what it was shown may have
 * been overwritten while it was looked at. Nothing was taken; the next jb_sub_peek() goes on with
 * the oldest event kept, lossless again, and tells with `n_missed` what is gone.
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_sub_advance(jb_sub *sub);

/**
 * Take only the first n events that the last jb_sub_peek() showed; the rest is shown again by the
 * next one, except that a latest or conflating subscription may have been overtaken meanwhile: then
 * the rest counts as missed, or as conflated where something newer has come.
 *
 * @return 0, or JB_EINVAL (n is more than was shown), and as jb_sub_advance().
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_sub_advance_n(jb_sub *sub, uint32_t n);

/**
 * Wait until jb_sub_peek() has something to show, as jb_sub_opts.wait says. One that sleeps is
 * woken by a publisher in any process.
 *
 * @param timeout_ns  0 only looks; UINT64_MAX waits for ever.
 *
 * @return 1 there is something, 0 the time ran out, JB_ECORRUPT, JB_ESTATE.
 *
 * Threads: one at a time per subscription. Blocks: up to timeout_ns. Allocates: never. Game thread:
 * no.
 * Since: 0.1
 */
JB_API int jb_sub_wait(jb_sub *sub, uint64_t timeout_ns);

/**
 * A file descriptor for poll(), epoll, libuv, asyncio and the like: it is readable when
 * jb_sub_peek() may have something to show, whatever the policy and whichever process published it.
 *
 * It stays readable until a jb_sub_peek() or jb_sub_wait() finds nothing and returns 0, and is
 * armed again by that alone; so wherever readiness is told by its edges (EPOLLET), peek until 0. It
 * may be readable now and then with nothing to show, and it is when jb_sub_peek() has an error to
 * tell.
 *
 * The first call on a bus handle starts a thread, which sleeps in the place of its users, one for
 * all subscriptions of the handle, and ends in jb_bus_close(). An armed subscription is a sleeper
 * as one in jb_sub_wait(): the next publisher makes one system call for it, and the thread wakes up
 * and looks, also at events it does not want. When those come one after the other, the thread rests
 * for 0.1 to 0.4 ms between two looks, in which nobody makes a call, and what is wanted waits for
 * the end of that. One that is readable costs publishers nothing. While any subscription has a
 * descriptor, the thread looks after what dead publishers left behind, 50 ms after the last event
 * and then ever more seldom, at last every 1.6 s. It takes no signals.
 *
 * In a child after fork() the descriptor is the parent's still: do not wait on it. jb_sub_close()
 * there closes the child's copy and disturbs nobody.
 *
 * @param ret_fd  the subscription's own: wait on it, do not read, write or close it. jb_sub_close()
 * closes it; a duplicate of it becomes readable then.
 *
 * @return 0, also when called again; or JB_EINVAL, JB_ENOMEM, JB_ESYS (no descriptor or thread to
 * be had), JB_ESTATE (after fork).
 *
 * Threads: one at a time per subscription. Blocks: never. Allocates: the first time. Game thread:
 * set-up only.
 * Since: 0.1
 */
JB_API int jb_sub_fd(jb_sub *sub, int *ret_fd);

#ifdef __cplusplus
}
#endif
#endif
