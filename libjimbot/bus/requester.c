/*
 * requester.c: requests, their replies, and those that stay without one.
 *
 * Invariant: a request is open from before it is published until it has its outcome, once; and
 * outcomes come in the order of the clock: before a reply is given, all whose deadline was before
 * its publication have timed out.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/os.h"
#include "bus/bus_internal.h"
#include "bus/deadlines.h"
#include "jimbot/request.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN_MAX = 64, REMEMBERED_MIN = 1024, REMEMBERED_PER_OPEN = 4 };

struct jb_requester {
    jb_bus *bus;
    jb_sub *sub;
    struct jbi_request *requests; /* by id modulo their number, a power of two */
    uint32_t n_requests;
    uint32_t max_in_flight;
    struct jbi_deadlines deadlines;
    uint64_t polled_ns; /* when we last looked for replies */
    uint32_t n_shown;
    uint32_t n_done; /* of those shown */
    jb_event shown[SHOWN_MAX];
    jb_requester_stats stats;
};

void jb_requester_opts_init(jb_requester_opts *opts, uint32_t size)
{
    const jb_requester_opts defaults = {
        .size = sizeof defaults,
        .max_in_flight = 64,
        .policy = JB_SUB_LATEST,
        .wait = JB_WAIT_SPIN,
    };

    if (size > sizeof defaults)
        size = sizeof defaults;
    memcpy(opts, &defaults, size);
    opts->size = size;
}

static int opts_take(const jb_requester_opts *given, jb_requester_opts *ret_opts, jb_error *err)
{
    jb_requester_opts_init(ret_opts, sizeof *ret_opts);
    if (given) {
        if (given->size < sizeof(uint32_t) || given->size > sizeof *ret_opts)
            return jbi_error_set(
                err, JB_EINVAL, "jb_requester_opts.size is %u: start from jb_requester_opts_init()",
                given->size);
        memcpy(ret_opts, given, given->size);
    }
    if (ret_opts->max_in_flight < 1 || ret_opts->max_in_flight > JB_REQUESTS_MAX)
        return jbi_error_set(err, JB_EINVAL, "jb_requester_opts.max_in_flight is %u, not 1 .. %d",
                             ret_opts->max_in_flight, JB_REQUESTS_MAX);
    return 0;
}

static void requester_free(jb_requester *requester)
{
    jb_alloc alloc = requester->bus->alloc;

    jbi_alloc_free(&alloc, requester->requests,
                   requester->n_requests * sizeof *requester->requests);
    jbi_alloc_free(&alloc, requester->deadlines.heap,
                   requester->max_in_flight * sizeof(struct jbi_request *));
    jbi_alloc_free(&alloc, requester, sizeof *requester);
}

static jb_requester *requester_alloc(jb_bus *bus, uint32_t max_in_flight)
{
    jb_requester *requester = jbi_alloc_zeroed(&bus->alloc, sizeof *requester);

    if (!requester)
        return NULL;
    requester->bus = bus;
    requester->max_in_flight = max_in_flight;
    requester->n_requests = REMEMBERED_MIN;
    while (requester->n_requests < REMEMBERED_PER_OPEN * max_in_flight)
        requester->n_requests *= 2;
    requester->requests =
        jbi_alloc_zeroed(&bus->alloc, requester->n_requests * sizeof *requester->requests);
    requester->deadlines.heap =
        jbi_alloc_zeroed(&bus->alloc, max_in_flight * sizeof(struct jbi_request *));
    if (requester->requests && requester->deadlines.heap)
        return requester;
    requester_free(requester);
    return NULL;
}

static int reply_topic(char *buf, size_t cap_bytes, uint32_t peer)
{
    return snprintf(buf, cap_bytes, "system.reply.%u", peer);
}

int jb_requester_open(jb_bus *bus, const jb_requester_opts *given, jb_requester **ret_requester,
                      jb_error *err)
{
    jb_requester_opts opts;
    jb_sub_opts sub_opts;
    jb_requester *requester;
    char topic[JB_TOPIC_MAX_BYTES + 1];
    uint32_t topic_id;
    int len, rc;

    if (!bus || !ret_requester)
        return jbi_error_set(err, JB_EINVAL, "bus or ret_requester is NULL");
    if (!jbi_bus_is_usable(bus))
        return jbi_error_set(err, JB_ESTATE, "the bus was opened before fork()");
    rc = opts_take(given, &opts, err);
    if (rc)
        return rc;
    requester = requester_alloc(bus, opts.max_in_flight);
    if (!requester)
        return jbi_error_set(err, JB_ENOMEM, "no memory for a requester");
    jb_sub_opts_init(&sub_opts, sizeof sub_opts);
    sub_opts.policy = opts.policy;
    sub_opts.wait = opts.wait;
    sub_opts.name = opts.name;
    len = reply_topic(topic, sizeof topic, bus->peer);
    /* Interned by us, so that whoever replies finds room for it. */
    rc = jb_bus_topic(bus, topic, (size_t)len, &topic_id);
    if (rc)
        jbi_error_set(err, rc, "no room for the topic %s", topic);
    else
        rc = jb_bus_subscribe(bus, topic, (size_t)len, &sub_opts, &requester->sub, err);
    if (rc) {
        requester_free(requester);
        return rc;
    }
    *ret_requester = requester;
    return 0;
}

void jb_requester_close(jb_requester *requester)
{
    if (!requester)
        return;
    jb_sub_close(requester->sub);
    requester_free(requester);
}

static struct jbi_request *request_of(const jb_requester *requester, uint32_t id)
{
    return &requester->requests[id & (requester->n_requests - 1)];
}

/* An id that no other requester of this handle has, whose place is free here. */
static uint32_t id_take(jb_requester *requester)
{
    for (;;) {
        uint32_t id =
            atomic_fetch_add_explicit(&requester->bus->next_request, 1, memory_order_relaxed);

        if (id != 0 && request_of(requester, id)->state != JBI_REQUEST_OPEN)
            return id;
    }
}

static void request_end(jb_requester *requester, struct jbi_request *request,
                        enum jbi_request_state state)
{
    jbi_deadlines_remove(&requester->deadlines, request);
    request->state = state;
    requester->stats.n_in_flight--;
}

int jb_request_send(jb_requester *requester, const jb_event_head *head, const void *payload,
                    size_t len_bytes, uint64_t timeout_ns, uint32_t *ret_id)
{
    struct jbi_request *request, before;
    jb_event_head marked;
    uint64_t now;
    int rc;

    if (!requester || !head || !ret_id || timeout_ns == 0)
        return JB_EINVAL;
    if (requester->stats.n_in_flight == requester->max_in_flight)
        return JB_ELIMIT;
    marked = *head;
    marked.flags = JB_EVENT_IS_REQUEST;
    marked.key = id_take(requester);
    request = request_of(requester, marked.key);
    now = jbi_os_monotonic_ns();
    before = *request;
    *request = (struct jbi_request){
        .id = marked.key,
        .state = JBI_REQUEST_OPEN,
        .sent_ns = now,
        .deadline_ns = timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns,
    };
    rc = jb_bus_publish(requester->bus, &marked, payload, len_bytes);
    if (rc) {
        *request = before;
        return rc;
    }
    jbi_deadlines_add(&requester->deadlines, request);
    requester->stats.n_in_flight++;
    requester->stats.n_sent++;
    *ret_id = marked.key;
    return 0;
}

static void count_dropped(jb_requester *requester, const struct jbi_request *request, uint32_t id)
{
    if (request->id != id || request->state == JBI_REQUEST_NONE)
        requester->stats.n_unknown++;
    else if (request->state == JBI_REQUEST_ANSWERED)
        requester->stats.n_duplicate++;
    else
        requester->stats.n_late++;
}

/* Times out the first request whose deadline is before that time. False when there is none. */
static bool take_timeout(jb_requester *requester, uint64_t time_ns, jb_outcome *ret_outcome)
{
    struct jbi_request *request;

    if (requester->deadlines.n == 0)
        return false;
    request = requester->deadlines.heap[0];
    if (request->deadline_ns >= time_ns)
        return false;
    request_end(requester, request, JBI_REQUEST_TIMED_OUT);
    requester->stats.n_timed_out++;
    *ret_outcome = (jb_outcome){
        .id = request->id,
        .kind = JB_OUTCOME_TIMEOUT,
        .elapsed_ns = request->deadline_ns - request->sent_ns,
    };
    return true;
}

/* The next outcome out of what was shown; false when all of it is done. */
static bool take_shown(jb_requester *requester, jb_outcome *ret_outcome)
{
    while (requester->n_done < requester->n_shown) {
        const jb_event *event = &requester->shown[requester->n_done];
        struct jbi_request *request = request_of(requester, event->key);

        if (take_timeout(requester, event->time_ns, ret_outcome))
            return true;
        requester->n_done++;
        if (!(event->flags & JB_EVENT_IS_REPLY) || event->key != request->id ||
            request->state != JBI_REQUEST_OPEN) {
            count_dropped(requester, request, event->key);
            continue;
        }
        request_end(requester, request, JBI_REQUEST_ANSWERED);
        requester->stats.n_replied++;
        *ret_outcome = (jb_outcome){
            .id = request->id,
            .kind = JB_OUTCOME_REPLY,
            .elapsed_ns = event->time_ns > request->sent_ns ? event->time_ns - request->sent_ns : 0,
            .reply = *event,
        };
        return true;
    }
    return false;
}

/* Look for replies, when all that were shown are done with. */
static int look(jb_requester *requester)
{
    int rc;

    if (requester->n_done < requester->n_shown)
        return 0;
    rc = jb_sub_advance(requester->sub);
    requester->n_shown = requester->n_done = 0;
    /* Evicted in between: the replies that were shown are done with all the same. */
    if (rc < 0 && rc != JB_EEVICTED)
        return rc;
    requester->polled_ns = jbi_os_monotonic_ns();
    rc = jb_sub_peek(requester->sub, requester->shown, SHOWN_MAX);
    if (rc < 0)
        return rc;
    requester->n_shown = (uint32_t)rc;
    return 0;
}

int jb_request_poll(jb_requester *requester, jb_outcome *outcomes, uint32_t n_max)
{
    uint32_t n = 0;

    if (!requester || (!outcomes && n_max))
        return JB_EINVAL;
    while (n == 0 && n_max) {
        int rc = look(requester);

        if (rc < 0)
            return rc;
        while (n < n_max && take_shown(requester, &outcomes[n]))
            n++;
        /* Behind a full house there may be replies that came before these deadlines. */
        if (requester->n_done < requester->n_shown || requester->n_shown == SHOWN_MAX)
            continue;
        while (n < n_max && take_timeout(requester, requester->polled_ns, &outcomes[n]))
            n++;
        break;
    }
    return (int)n;
}

int jb_request_wait(jb_requester *requester, uint64_t timeout_ns)
{
    uint64_t left_ns = timeout_ns;
    int rc;

    if (!requester)
        return JB_EINVAL;
    if (requester->n_done < requester->n_shown)
        return 1;
    rc = jb_sub_advance(requester->sub);
    requester->n_shown = requester->n_done = 0;
    if (rc < 0 && rc != JB_EEVICTED)
        return rc;
    if (requester->deadlines.n) {
        uint64_t deadline = requester->deadlines.heap[0]->deadline_ns;
        uint64_t now = jbi_os_monotonic_ns();
        uint64_t due = deadline >= now ? deadline - now + 1 : 0;

        if (due < left_ns)
            left_ns = due;
    }
    rc = jb_sub_wait(requester->sub, left_ns);
    return rc != 0 ? rc : left_ns < timeout_ns;
}

int jb_request_cancel(jb_requester *requester, uint32_t id)
{
    struct jbi_request *request;

    if (!requester)
        return JB_EINVAL;
    request = request_of(requester, id);
    if (request->id != id || request->state != JBI_REQUEST_OPEN)
        return JB_ENOENT;
    request_end(requester, request, JBI_REQUEST_CANCELLED);
    requester->stats.n_cancelled++;
    return 0;
}

int jb_request_call(jb_requester *requester, const jb_event_head *head, const void *payload,
                    size_t len_bytes, uint64_t timeout_ns, jb_event *ret_reply)
{
    jb_outcome outcome;
    uint32_t id;
    int rc;

    if (!requester || !ret_reply)
        return JB_EINVAL;
    if (requester->stats.n_in_flight)
        return JB_ESTATE;
    rc = jb_request_send(requester, head, payload, len_bytes, timeout_ns, &id);
    while (!rc) {
        rc = jb_request_wait(requester, UINT64_MAX);
        if (rc >= 0)
            rc = jb_request_poll(requester, &outcome, 1);
    }
    if (rc < 0) {
        (void)jb_request_cancel(requester, id);
        return rc;
    }
    if (outcome.kind == JB_OUTCOME_TIMEOUT)
        return JB_ETIMEDOUT;
    *ret_reply = outcome.reply;
    return 0;
}

int jb_reply(jb_bus *bus, const jb_event *request, const jb_event_head *head, const void *payload,
             size_t len_bytes)
{
    char topic[JB_TOPIC_MAX_BYTES + 1];
    jb_event_head marked;
    int len, rc;

    if (!bus || !request || !head || !(request->flags & JB_EVENT_IS_REQUEST))
        return JB_EINVAL;
    marked = *head;
    len = reply_topic(topic, sizeof topic, request->publisher);
    rc = jb_bus_topic(bus, topic, (size_t)len, &marked.topic_id);
    if (rc)
        return rc;
    marked.flags = JB_EVENT_IS_REPLY;
    marked.key = request->key;
    return jb_bus_publish(bus, &marked, payload, len_bytes);
}

int jb_requester_get_stats(const jb_requester *requester, jb_requester_stats *ret_stats)
{
    jb_sub_stats sub = {.size = sizeof sub};
    jb_requester_stats stats;
    uint32_t size;
    int rc;

    if (!requester || !ret_stats || ret_stats->size < sizeof(uint32_t))
        return JB_EINVAL;
    rc = jb_sub_get_stats(requester->sub, &sub);
    if (rc)
        return rc;
    size = ret_stats->size;
    stats = requester->stats;
    stats.size = size;
    stats.n_missed = sub.n_missed;
    memcpy(ret_stats, &stats, size < sizeof stats ? size : sizeof stats);
    return 0;
}
