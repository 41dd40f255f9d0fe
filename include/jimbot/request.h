/**
 * jimbot/request.h: a question and its answer, over the same ring as every other event.
 *
 * @code
 *     // who asks, once per frame                        // who answers, any subscription
 *     jb_requester_open(bus, NULL, &requester, NULL);    n = jb_sub_peek(sub, ev, 64);
 *     jb_request_send(requester, &head, bytes, n_bytes,  for (i = 0; i < n; i++)
 *                     50000000, &id); // 50 ms               if (ev[i].flags & JB_EVENT_IS_REQUEST)
 *     ...                                                        jb_reply(bus, &ev[i], &head,
 *     n = jb_request_poll(requester, out, 16);                            answer, n_answer);
 *     for (i = 0; i < n; i++)                            jb_sub_advance(sub);
 *         if (out[i].kind == JB_OUTCOME_REPLY)
 *             use(out[i].id, &out[i].reply);
 *         else
 *             go_on_without(out[i].id);
 * @endcode
 *
 * A request is an event on a topic of the caller's choice, with JB_EVENT_IS_REQUEST and a
 * correlation id in its `key`. Its reply goes to "system.reply.<peer number of who asked>" with the
 * same id. Every request that was sent has exactly one outcome: the first reply that was published
 * before its deadline, a timeout, or a jb_request_cancel(). Whatever comes after that is dropped
 * and counted.
 *
 * Caveats first:
 *  - Nobody is told that nobody listens: a request without a responder times out. So does one whose
 * responder dies, or whose reply was overwritten before the requester polled.
 *  - The reply's time of publication decides whether it came in time, not the time of the poll: a
 * frame that comes late loses no answer that was not.
 *  - An id is 32 bits wide. Those of one handle differ, and begin at a number made of the clock, so
 * that the next owner of a peer number does not take what was meant for the last.
 *
 * Threads: a jb_requester is used by one thread at a time, and closed before its jb_bus.
 */
#ifndef JIMBOT_REQUEST_H
#define JIMBOT_REQUEST_H

#include "jimbot/sub.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Who asks: requests in flight and a subscription for their replies. Opaque. */
typedef struct jb_requester jb_requester;

/** Most requests that one requester may have in flight. */
#define JB_REQUESTS_MAX 4096

/** Options of a requester; start from jb_requester_opts_init(). */
typedef struct jb_requester_opts {
    uint32_t size;          /**< set by jb_requester_opts_init() */
    uint32_t max_in_flight; /**< 1 .. JB_REQUESTS_MAX; default 64 */
    uint32_t policy;        /**< enum jb_sub_policy of its subscription; default JB_SUB_LATEST:
                               a requester that does not poll holds nobody back */
    uint32_t wait;          /**< enum jb_wait; default JB_WAIT_SPIN */
    const char *name;       /**< shown in statistics, at most 31 bytes; NULL: the peer's name */
} jb_requester_opts;

/** How a request ended. */
enum jb_outcome_kind {
    JB_OUTCOME_REPLY = 1,  /**< `reply` holds the answer */
    JB_OUTCOME_TIMEOUT = 2 /**< no reply was published before the deadline */
};

/** The end of one request. */
typedef struct jb_outcome {
    uint32_t id;         /**< of jb_request_send() */
    uint32_t kind;       /**< enum jb_outcome_kind */
    uint64_t elapsed_ns; /**< from the request to its reply, or to its deadline */
    jb_event reply;      /**< zeroes when there is none; its payload is borrowed until the next
                            call on the requester */
} jb_outcome;

/**
 * Fill in the defaults.
 *
 * @param opts  not NULL.   @param size  sizeof(jb_requester_opts) of the caller.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_requester_opts_init(jb_requester_opts *opts, uint32_t size);

/**
 * Get ready to ask.
 *
 * @param opts           NULL for the defaults.
 * @param ret_requester  the caller closes it.
 *
 * @return as jb_bus_subscribe() and jb_bus_topic().
 *
 * Threads: any. Blocks: never. Allocates: yes. Game thread: set-up only.
 * Since: 0.1
 */
JB_API int jb_requester_open(jb_bus *bus, const jb_requester_opts *opts,
                             jb_requester **ret_requester, jb_error *err);

/**
 * Forget all requests in flight. NULL is fine.
 *
 * Threads: one at a time per requester. Blocks: never. Allocates: never. Game thread: set-up only.
 * Since: 0.1
 */
JB_API void jb_requester_close(jb_requester *requester);

/**
 * Publish a request.
 *
 * @param head        topic_id must be set; flags and key are the library's.
 * @param timeout_ns  from now; at least 1. UINT64_MAX: no deadline, only a reply or a cancel ends
 * it.
 * @param ret_id      what its outcome will carry; never 0.
 *
 * @return as jb_bus_publish(), and JB_ELIMIT (max_in_flight are unanswered).
 *
 * Threads: one at a time per requester. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_request_send(jb_requester *requester, const jb_event_head *head, const void *payload,
                           size_t len_bytes, uint64_t timeout_ns, uint32_t *ret_id);

/**
 * Take the outcomes that there are, in the order in which they happened.
 *
 * @param outcomes  room for n_max.
 *
 * @return how many; 0 when nothing has ended. Or JB_EINVAL, JB_ECORRUPT, JB_ESTATE (after fork).
 *
 * Threads: one at a time per requester. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_request_poll(jb_requester *requester, jb_outcome *outcomes, uint32_t n_max);

/**
 * Wait until jb_request_poll() is worth a call: a reply came, a deadline passed. It may turn out
 * to have been a late reply, of which the poll says nothing.
 *
 * @param timeout_ns  0 only looks; UINT64_MAX waits for ever.
 *
 * @return 1 poll, 0 the time ran out, JB_ECORRUPT, JB_ESTATE.
 *
 * Threads: one at a time per requester. Blocks: up to timeout_ns. Allocates: never. Game thread:
 * no.
 * Since: 0.1
 */
JB_API int jb_request_wait(jb_requester *requester, uint64_t timeout_ns);

/**
 * Have no more interest in a request: it has no outcome, and a reply counts as late.
 *
 * @return 0, or JB_ENOENT (it is not in flight: never sent, or it has its outcome), JB_EINVAL.
 *
 * Threads: one at a time per requester. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_request_cancel(jb_requester *requester, uint32_t id);

/**
 * Ask, and wait for the answer.
 *
 * @param timeout_ns  as of jb_request_send(). When it ran out the request is cancelled.
 * @param ret_reply   set on success only; its payload is borrowed until the next call on the
 * requester.
 *
 * @return 0, or JB_ETIMEDOUT, JB_ESTATE (the requester has other requests in flight, whose outcomes
 * would be lost), and as jb_request_send() and jb_request_poll().
 *
 * Threads: one at a time per requester. Blocks: up to timeout_ns. Allocates: never. Game thread:
 * no.
 * Since: 0.1
 */
JB_API int jb_request_call(jb_requester *requester, const jb_event_head *head, const void *payload,
                           size_t len_bytes, uint64_t timeout_ns, jb_event *ret_reply);

/**
 * Answer a request, from any handle. The first answer counts.
 *
 * @param request  as a subscription or a worker showed it.
 * @param head     type, priority and source_time of the reply; topic, flags and key are the
 * library's.
 *
 * @return as jb_bus_publish(), and JB_EINVAL (`request` is none), JB_ELIMIT (no room for the topic
 * of its replies).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_reply(jb_bus *bus, const jb_event *request, const jb_event_head *head,
                    const void *payload, size_t len_bytes);

/** Counters of a requester. n_sent = n_replied + n_timed_out + n_cancelled + n_in_flight. */
typedef struct jb_requester_stats {
    uint32_t size;        /**< sizeof, set by the caller */
    uint32_t n_in_flight; /**< requests without an outcome yet */
    uint64_t n_sent;
    uint64_t n_replied;
    uint64_t n_timed_out;
    uint64_t n_cancelled;
    uint64_t n_late;      /**< replies dropped: their request had timed out or was cancelled */
    uint64_t n_duplicate; /**< replies dropped: their request had been answered */
    uint64_t n_unknown;   /**< replies dropped: for another requester of this handle, for the last
                             owner of its peer number, or for a request of long ago (at least the
                             last 1024 are remembered) */
    uint64_t n_missed;    /**< events of any topic overwritten before it looked at them; replies
                             among them show as timeouts */
} jb_requester_stats;

/**
 * Read the counters of a requester.
 *
 * @param ret_stats  `size` must be set.   @return 0, or JB_EINVAL, JB_ESTATE (after fork).
 *
 * Threads: one at a time per requester. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_requester_get_stats(const jb_requester *requester, jb_requester_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
