/*
 * publish_calls: see publish_calls.h. A call that never waits keeps nothing; what is kept of one
 * that does is how far its message came.
 */
#include "host/grpc/publish_calls.h"

#include "host/host.h"
#include "host/text/hmem.h"

enum { REFUSALS_MAX = 64 };

typedef struct progress {
    uint32_t n_done;    /* events of the current message that have an outcome */
    uint64_t until_ms;  /* Publish: waits for room until then; 0: has not waited */
    jbi_htext results;  /* theirs, as fields of the response */
    jbi_htext refusals; /* PublishMany: fields of its response */
    uint64_t n[JBI_OUTCOME_N];
    uint64_t n_refused;
    uint32_t n_refusals;
} progress;

static jbi_service *service_of(const jbi_grpc_call *call)
{
    return &jbi_grpc_host(call)->service;
}

/* Made when first wanted; NULL: there is no memory, and the call is finished. */
static progress *progress_of(jbi_grpc_call *call)
{
    const jb_alloc *alloc = jbi_grpc_host(call)->alloc;
    progress *p = call->state ? call->state : jbi_hmem_zalloc(alloc, sizeof(*p));

    if (!p) {
        jbi_grpc_finish(call, JBI_GRPC_RESOURCE_EXHAUSTED, "no memory for the call");
        return NULL;
    }
    if (!call->state) {
        jbi_htext_init(&p->results, alloc);
        jbi_htext_init(&p->refusals, alloc);
        call->state = p;
    }
    return p;
}

void jbi_grpc_publish_close(jbi_grpc_call *call)
{
    progress *p = call->state;

    jbi_htext_fini(&p->results);
    jbi_htext_fini(&p->refusals);
    jbi_hmem_free(jbi_grpc_host(call)->alloc, p, sizeof(*p));
}

/* Read a message and publish its events from `from_idx` on. Returns whether the call goes on; sets
 * how many events there were to publish. */
static bool run(jbi_grpc_call *call, jbi_slice message, uint32_t events_number, uint32_t from_idx,
                uint32_t flags, jbi_publish_sum *ret_sum, uint32_t *ret_n)
{
    jbi_service *s = service_of(call);
    bool is_together = false;
    const char *problem;
    int rc;

    jbi_publish_begin(s, &call->who);
    jbi_publish_trace(s, &call->stream->fields);
    problem = jbi_publish_add_request(s, message, events_number, from_idx, &is_together);
    if (problem) {
        jbi_grpc_finish(call, JBI_GRPC_INVALID_ARGUMENT, "message %llu: %s",
                        (unsigned long long)call->n_messages, problem);
        return false;
    }
    *ret_n = s->publish.n;
    if (is_together && call->method->is_unary)
        flags = (flags & ~(uint32_t)JBI_PUBLISH_STOP_WHEN_FULL) | JBI_PUBLISH_ALL_OR_NONE;
    rc = jbi_publish_run(s, flags, ret_sum);
    if (rc == 0)
        return true;
    jbi_grpc_finish(call, JBI_GRPC_UNAVAILABLE, "the bus: %s", jb_strerror(rc));
    return false;
}

/* --- Publish */

/* Until when it may wait for room, as it says; the clock's now when it may not. */
static uint64_t patience(jbi_grpc_call *call, jbi_slice message)
{
    uint64_t wait_ms = jbi_msg_value(message, 2, 0) / 1000000u;
    uint64_t most_ms = (uint64_t)86400 * 1000;

    return jbi_grpc_now_ms(call) + (wait_ms < most_ms ? wait_ms : most_ms);
}

static void answer_publish(jbi_grpc_call *call)
{
    const progress *p = call->state;
    size_t mark = jbi_grpc_begin(call);

    if (p)
        jbi_htext_add(&call->stream->out, p->results.data, p->results.len);
    jbi_publish_write(service_of(call), 1, &call->stream->out);
    jbi_grpc_end(call, mark);
    jbi_grpc_done(call);
}

bool jbi_grpc_publish(jbi_grpc_call *call, jbi_slice message)
{
    progress *p = call->state;
    uint64_t until_ms = p && p->until_ms ? p->until_ms : patience(call, message);
    bool may_wait = until_ms > jbi_grpc_now_ms(call);
    jbi_publish_sum sum;
    uint32_t n;

    if (!run(call, message, 1, p ? p->n_done : 0, may_wait ? JBI_PUBLISH_STOP_WHEN_FULL : 0, &sum,
             &n))
        return true;
    if (!may_wait || (sum.n_done == n && sum.n[JBI_OUTCOME_FULL] == 0)) {
        answer_publish(call);
        return true;
    }
    p = progress_of(call);
    if (!p)
        return true;
    p->until_ms = until_ms;
    /* All or none: nothing was published, so all of it is tried again. */
    if (sum.n_done < n) {
        jbi_publish_write(service_of(call), 1, &p->results);
        p->n_done += sum.n_done;
    }
    return false;
}

/* --- PublishStream */

bool jbi_grpc_publish_stream(jbi_grpc_call *call, jbi_slice message)
{
    progress *p = call->state;
    jbi_htext *out = &call->stream->out;
    uint64_t request_id;
    jbi_publish_sum sum;
    size_t mark;
    uint32_t n;

    if (!run(call, message, 2, p ? p->n_done : 0, JBI_PUBLISH_STOP_WHEN_FULL, &sum, &n))
        return true;
    if (sum.n_done < n) {
        p = progress_of(call);
        if (!p)
            return true;
        jbi_publish_write(service_of(call), 2, &p->results);
        p->n_done += sum.n_done;
        return false;
    }
    mark = jbi_grpc_begin(call);
    request_id = jbi_msg_value(message, 1, 0);
    if (request_id)
        jbi_msg_put_value(out, 1, request_id);
    if (p) {
        jbi_htext_add(out, p->results.data, p->results.len);
        jbi_htext_reset(&p->results, 4096);
        p->n_done = 0;
    }
    jbi_publish_write(service_of(call), 2, out);
    jbi_grpc_end(call, mark);
    return true;
}

void jbi_grpc_publish_stream_end(jbi_grpc_call *call)
{
    jbi_grpc_done(call);
}

/* --- PublishMany */

static void note_refusals(jbi_grpc_call *call, progress *p)
{
    const jbi_service *s = service_of(call);

    for (uint32_t i = 0; i < s->publish.n && p->n_refusals < REFUSALS_MAX; i++) {
        const jbi_pending *e = &s->publish.events[i];
        size_t mark;

        if (e->outcome == JBI_OUTCOME_ACCEPTED || e->outcome == JBI_OUTCOME_DUPLICATE)
            continue;
        p->n_refusals++;
        mark = jbi_msg_open(&p->refusals, 5);
        jbi_msg_put_value(&p->refusals, 1, call->n_messages);
        jbi_msg_put_value(&p->refusals, 2, p->n_done + i);
        jbi_msg_put_value(&p->refusals, 3, e->outcome);
        jbi_msg_put_text(&p->refusals, 4, jbi_publish_note(s, e));
        jbi_msg_close(&p->refusals, mark);
    }
}

bool jbi_grpc_publish_many(jbi_grpc_call *call, jbi_slice message)
{
    progress *p = progress_of(call);
    jbi_publish_sum sum;
    uint32_t n_good;
    uint32_t n;

    if (!p || !run(call, message, 1, p->n_done, JBI_PUBLISH_STOP_WHEN_FULL, &sum, &n))
        return true;
    n_good = sum.n[JBI_OUTCOME_ACCEPTED] + sum.n[JBI_OUTCOME_DUPLICATE];
    p->n[JBI_OUTCOME_ACCEPTED] += sum.n[JBI_OUTCOME_ACCEPTED];
    p->n[JBI_OUTCOME_DUPLICATE] += sum.n[JBI_OUTCOME_DUPLICATE];
    p->n_refused += sum.n_done - n_good;
    if (n_good < sum.n_done)
        note_refusals(call, p);
    p->n_done = sum.n_done < n ? p->n_done + sum.n_done : 0;
    return p->n_done == 0 && sum.n_done == n;
}

void jbi_grpc_publish_many_end(jbi_grpc_call *call)
{
    progress *p = progress_of(call);
    jbi_htext *out = &call->stream->out;
    size_t mark;

    if (!p)
        return;
    mark = jbi_grpc_begin(call);
    jbi_msg_put_value(out, 1, p->n[JBI_OUTCOME_ACCEPTED]);
    jbi_msg_put_value(out, 2, p->n[JBI_OUTCOME_DUPLICATE]);
    jbi_msg_put_value(out, 3, p->n_refused);
    jbi_msg_put_value(out, 4, call->n_messages);
    jbi_htext_add(out, p->refusals.data, p->refusals.len);
    jbi_grpc_end(call, mark);
    jbi_grpc_done(call);
}
