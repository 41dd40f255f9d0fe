/*
 * single: POST /api/v1/publish: one serialised jimbot.v1.Event, on the topic of its type or the one
 * the query names.
 *
 * Invariant: 200 only if the event lies in the ring; the bytes that lie there are those that came.
 */
#include "host/http/query.h"
#include "host/http/unpack.h"
#include "host/service/service.h"
#include "host/text/hmem.h"
#include "host/text/jwalk.h"

static bool is_protobuf(const jbi_fields *f)
{
    static const char *const types[] = {"application/x-protobuf", "application/protobuf"};
    size_t n;
    const char *value = jbi_fields_get(f, JBI_FIELD_CONTENT_TYPE, &n);
    const char *end = value ? memchr(value, ';', n) : NULL;

    if (!value)
        return false;
    n = end ? (size_t)(end - value) : n;
    while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
        n--;
    for (int i = 0; i < 2; i++) {
        if (n == strlen(types[i]) && !strncasecmp(value, types[i], n))
            return true;
    }
    return false;
}

static const char *read_query(const jbi_call *call, char *room, jbi_msg_outgoing *event)
{
    jbi_slice name, value;
    uint64_t key = 0;
    jbi_query q;
    int rc;

    jbi_query_begin(&q, call->query, call->query_bytes, room);
    while ((rc = jbi_query_next(&q, &name, &value)) > 0) {
        if (jbi_slice_is(name, "topic"))
            event->topic = value;
        if (jbi_slice_is(name, "key") && (!jbi_jwalk_u64(value, &key) || key > UINT32_MAX))
            return "key is a whole number of 32 bits";
    }
    event->key = (uint32_t)key;
    return rc < 0 ? "a percent sign in the query stands before two hexadecimal digits" : NULL;
}

static void answer_outcome(jbi_service *s, const jbi_pending *e, jbi_answer *answer)
{
    switch (e->outcome) {
    case JBI_OUTCOME_ACCEPTED:
        jbi_htext_str(answer->body, "{\"status\":\"ok\",\"accepted\":1,\"duplicates\":0}\n");
        break;
    case JBI_OUTCOME_DUPLICATE:
        jbi_htext_str(answer->body, "{\"status\":\"ok\",\"accepted\":1,\"duplicates\":1}\n");
        break;
    case JBI_OUTCOME_TOO_BIG:
        jbi_answer_error(answer, 413, jbi_publish_note(s, e));
        break;
    case JBI_OUTCOME_FULL:
        jbi_answer_error(answer, 503, jbi_publish_note(s, e));
        answer->retry_after_s = 1;
        break;
    default:
        jbi_answer_error(answer, 400, jbi_publish_note(s, e));
        break;
    }
}

static void publish(jbi_service *s, const jbi_call *call, const jbi_msg_outgoing *event,
                    jbi_answer *answer)
{
    jbi_publish_sum sum;
    int rc;

    jbi_publish_begin(s, call->who);
    jbi_publish_trace(s, call->fields);
    rc = jbi_publish_add_outgoing(s, event);
    if (rc == 0)
        rc = jbi_publish_run(s, 0, &sum);
    if (rc < 0)
        jbi_answer_error(answer, 500, jb_strerror(rc));
    else
        answer_outcome(s, &s->publish.events[0], answer);
}

void jbi_service_publish(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    jbi_msg_outgoing event = {.key = 0};
    const char *problem;
    jbi_call plain;
    char *room;

    if (!is_protobuf(call->fields)) {
        jbi_answer_error(answer, 415, "an event here has Content-Type application/x-protobuf");
        return;
    }
    if (!jbi_unpack(call, s->opts->max_body_bytes, &s->unpacked, &plain, answer))
        return;
    room = jbi_hmem_alloc(s->alloc, call->query_bytes + 1);
    problem = room ? read_query(call, room, &event) : "no memory for the query";
    event.event = (jbi_slice){plain.body ? plain.body : "", plain.body_bytes};
    if (problem)
        jbi_answer_error(answer, 400, problem);
    else
        publish(s, call, &event, answer);
    jbi_hmem_free(s->alloc, room, call->query_bytes + 1);
}
