/*
 * ingest: bodies of events, from bytes to the ring.
 *
 * The whole body is read before anything is published, so a body that is not JSON to its last byte
 * leaves no trace. Then room is looked for, then the events are published in their order, those
 * whose id was published before left out.
 *
 * Invariant: 200 only if every event of the body lies in the ring, and a body that is sent again
 * after a 503 leaves each of its events there once. When the ring fills up in the middle, because
 * other publishers were faster or the body is larger than the ring, the answer says how many went
 * in; on the retry those with an event_id are recognised by it, those without by the body.
 */
#include "host/http/unpack.h"
#include "host/service/service.h"
#include "host/text/jwalk.h"

#include <stdio.h>
#include <string.h>

static void reject(jbi_service *s, uint32_t idx, enum jbi_reject_reason reason, uint64_t offset,
                   const char *message)
{
    s->counters.n_rejected[reason]++;
    if (s->n_rejects < JBI_SERVICE_REJECTS) {
        jbi_reject *r = &s->rejects[s->n_rejects];

        r->idx = idx;
        r->reason = reason;
        r->offset = offset;
        snprintf(r->message, sizeof(r->message), "%s", message);
    }
    s->n_rejects++;
}

/* Read all events of a body. Returns how many elements it has, or what makes all of it unusable. */
static int read_body(jbi_service *s, const jbi_call *call, jb_error *err)
{
    uint32_t n = 0;
    jb_encoded event;
    int rc =
        jb_encoder_batch_begin(s->encoder, call->body ? call->body : "", call->body_bytes, err);

    jbi_publish_begin(s, call->who);
    s->n_rejects = 0;
    if (rc < 0)
        return rc;
    for (;; n++) {
        jb_error_init(err);
        rc = jb_encoder_batch_next(s->encoder, &event, err);
        if (rc == 0)
            return (int)n;
        if (n == s->opts->max_batch_events)
            return JB_ELIMIT;
        if (rc == 1)
            rc = jbi_publish_add(s, &event, n);
        else if (rc == JB_EEVENT || rc == JB_ETOOBIG)
            reject(s, n, rc == JB_EEVENT ? JBI_REJECT_EVENT : JBI_REJECT_TOO_BIG, err->offset,
                   err->msg);
        else
            return rc;
        if (rc == JB_ENOMEM)
            return rc;
    }
}

static void answer_unusable(jbi_service *s, int rc, const jb_error *err, jbi_answer *answer)
{
    switch (rc) {
    case JB_EPARSE:
        s->counters.n_rejected[JBI_REJECT_PARSE]++;
        jbi_answer_error_at(answer, 400, err->msg, err->offset);
        break;
    case JB_ELIMIT:
        s->counters.n_rejected[JBI_REJECT_TOO_MANY]++;
        jbi_answer_error(answer, 413, "more events in one body than this host takes");
        break;
    default:
        s->counters.n_rejected[JBI_REJECT_INTERNAL]++;
        jbi_answer_error(answer, 500, jb_strerror(rc));
        break;
    }
}

/* Publish what is pending. Sets how many now lie in the ring and how many of those lay there
 * before; returns 0 or what stopped it, and then remembers how far this body came. */
static int publish_all(jbi_service *s, const jbi_call *call, uint32_t *ret_accepted,
                       uint32_t *ret_duplicates)
{
    uint32_t n_before =
        jbi_resume_take(&s->resume, call->body, call->body_bytes, jb_clock_now_ns());

    *ret_accepted = *ret_duplicates = 0;
    for (uint32_t i = 0; i < s->publish.n; i++) {
        const jbi_pending *e = &s->publish.events[i];
        bool is_known = jbi_publish_is_known(s, e);
        bool is_barred = !is_known && jbi_publish_is_barred(s, &e->event);
        /* What was refused the first time is not there now. */
        bool is_there = is_known || (i < n_before && !is_barred);
        int rc = is_there ? 0 : jbi_publish_one(s, e);

        if (rc == JB_ETOOBIG || rc == JB_EPERM) {
            bool is_big = rc == JB_ETOOBIG;

            reject(s, e->idx, is_big ? JBI_REJECT_TOO_BIG : JBI_REJECT_EVENT, 0,
                   is_big ? "the event is larger than the bus takes" : jbi_publish_no_command);
            continue;
        }
        if (rc < 0) {
            if (i > 0)
                jbi_resume_put(&s->resume, call->body, call->body_bytes, i, jb_clock_now_ns());
            return rc;
        }
        s->counters.n_duplicates += is_there;
        *ret_duplicates += is_there;
        ++*ret_accepted;
    }
    return 0;
}

static void write_counts(jbi_htext *out, uint32_t n_accepted, uint32_t n_duplicates)
{
    jbi_htext_str(out, ",\"accepted\":");
    jbi_htext_u64(out, n_accepted);
    jbi_htext_str(out, ",\"duplicates\":");
    jbi_htext_u64(out, n_duplicates);
}

static void answer_not_now(jbi_service *s, int rc, uint32_t n_accepted, uint32_t n_duplicates,
                           jbi_answer *answer)
{
    bool is_full = rc == JB_EAGAIN;

    s->counters.n_rejected[is_full ? JBI_REJECT_BUS_FULL : JBI_REJECT_INTERNAL]++;
    jbi_answer_error(answer, is_full ? 503 : 500,
                     is_full ? "the bus is full, send the same body again" : jb_strerror(rc));
    answer->retry_after_s = is_full ? 1 : 0;
    answer->body->len -= strlen("}\n");
    write_counts(answer->body, n_accepted, n_duplicates);
    jbi_htext_str(answer->body, "}\n");
}

static void answer_partly(jbi_service *s, uint32_t n_accepted, uint32_t n_duplicates,
                          jbi_answer *answer)
{
    uint32_t n_told = s->n_rejects < JBI_SERVICE_REJECTS ? s->n_rejects : JBI_SERVICE_REJECTS;
    jbi_htext *out = answer->body;

    jbi_answer_error(answer, 422, "some events of the body are not events");
    out->len -= strlen("}\n");
    write_counts(out, n_accepted, n_duplicates);
    jbi_htext_str(out, ",\"n_rejected\":");
    jbi_htext_u64(out, s->n_rejects);
    jbi_htext_str(out, ",\"rejected\":[");
    for (uint32_t i = 0; i < n_told; i++) {
        const jbi_reject *r = &s->rejects[i];

        jbi_htext_str(out, i ? ",{\"index\":" : "{\"index\":");
        jbi_htext_u64(out, r->idx);
        jbi_htext_str(out, ",\"error\":");
        jbi_htext_json(out, r->message, strlen(r->message));
        jbi_htext_str(out, ",\"offset\":");
        jbi_htext_u64(out, r->offset);
        jbi_htext_str(out, "}");
    }
    jbi_htext_str(out, "]}\n");
}

/* Whether a body with one bad element is a batch. Only asked when the body is refused anyway, which
 * should cost no more than one that is taken: nothing is built. */
static bool is_batch(const jbi_call *call)
{
    jbi_slice body = {call->body, call->body_bytes};
    jbi_slice key;
    jbi_slice value;
    jbi_jwalk w;

    if (jbi_jwalk_list(body, &w))
        return true;
    if (!jbi_jwalk_object(body, &w))
        return false;
    while (jbi_jwalk_next(&w, &key, &value) > 0) {
        if (jbi_slice_is(key, "events"))
            return value.data[0] == '[';
    }
    return false;
}

static void answer_done(jbi_service *s, const jbi_call *call, uint32_t n_accepted,
                        uint32_t n_duplicates, jbi_answer *answer)
{
    bool is_alone = s->n_rejects == 1 && n_accepted == 0 && !is_batch(call);

    if (is_alone) {
        bool is_too_big = s->rejects[0].reason == JBI_REJECT_TOO_BIG;

        jbi_answer_error_at(answer, is_too_big ? 413 : 400, s->rejects[0].message,
                            s->rejects[0].offset);
        return;
    }
    if (s->n_rejects) {
        answer_partly(s, n_accepted, n_duplicates, answer);
        return;
    }
    jbi_htext_str(answer->body, "{\"status\":\"ok\"");
    write_counts(answer->body, n_accepted, n_duplicates);
    jbi_htext_str(answer->body, "}\n");
}

static void ingest(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    uint32_t n_accepted = 0;
    uint32_t n_duplicates = 0;
    jb_error err;
    int rc;

    rc = read_body(s, call, &err);
    if (rc < 0) {
        answer_unusable(s, rc, &err, answer);
        return;
    }
    jbi_publish_trace(s, call->fields);
    rc = jbi_publish_has_room(s) ? publish_all(s, call, &n_accepted, &n_duplicates) : JB_EAGAIN;
    if (rc < 0)
        answer_not_now(s, rc, n_accepted, n_duplicates, answer);
    else
        answer_done(s, call, n_accepted, n_duplicates, answer);
}

void jbi_service_events(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    jbi_call plain;

    if (jbi_unpack(call, s->opts->max_body_bytes, &s->unpacked, &plain, answer))
        ingest(s, &plain, answer);
}
