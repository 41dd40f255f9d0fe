/*
 * client_session: what a client says and hears over a carrier that moves messages, see
 * proto/jimbot/v1/event_bus.proto.
 *
 * One request to publish is with the server at a time: that keeps the order, whatever the server
 * refuses in the middle, and needs one batch to be kept for sending it again. A batch holds all
 * that came while the one before was on its way, so what is lost by waiting is little.
 *
 * Invariant: a subscription is asked for once on each connection, with the sequence after the last
 * event that lies in its inbox; an event before that is not put there again.
 */
#include "client/client_internal.h"
#include "client/client_sub.h"
#include "host/text/hmem.h"
#include "host/text/msgfield.h"
#include "topic/pattern.h"

#include <string.h>

/* Of SessionRequest and SessionResponse. */
enum {
    REQUEST_ID = 1,
    REQUEST_SUBSCRIBE = 2,
    REQUEST_UNSUBSCRIBE = 3,
    REQUEST_PUBLISH = 4,
    REQUEST_ACK = 5,
    REQUEST_COMMAND = 6,
    RESPONSE_SUBSCRIBED = 2,
    RESPONSE_UNSUBSCRIBED = 3,
    RESPONSE_PUBLISHED = 4,
    RESPONSE_DELIVERY = 5,
    RESPONSE_FAULT = 7
};

enum { EVENT_COMMAND_FIELD = 62, BACKLOG_MAX = 256 * 1024 };

/* Requests to subscribe carry the number of the subscription; the others lie above. */
static const uint64_t FIRST_REQUEST = UINT64_C(1) << 32;

/* Of SessionFault.code. */
enum {
    STATUS_INVALID_ARGUMENT = 3,
    STATUS_PERMISSION_DENIED = 7,
    STATUS_UNIMPLEMENTED = 12,
    STATUS_UNAUTHENTICATED = 16
};

static void say(jb_client *c)
{
    if (c->message.is_broken)
        jbi_client_fail(c, JB_ENOMEM, "no memory for a message");
    else
        c->carrier->send(c, &c->message);
    jbi_htext_reset(&c->message, 2 * JBI_BATCH_BYTES);
}

/* --- subscriptions */

static void put_request(jbi_htext *out, jb_client_sub *s, const char *name)
{
    static const uint8_t policies[] = {1, 2, 3};
    size_t mark = jbi_msg_open(out, 2);
    const char *pattern = s->patterns;
    uint32_t start = s->next_sequence ? JB_CLIENT_FROM_SEQUENCE : s->opts.start;

    s->asked_for = s->next_sequence ? s->next_sequence : s->opts.start_sequence;
    for (uint32_t i = 0; i < s->n_patterns; i++) {
        jbi_msg_put_bytes(out, 1, jbi_slice_str(pattern));
        pattern += strlen(pattern) + 1;
    }
    jbi_msg_put_value(out, 3, policies[s->opts.policy]);
    jbi_msg_put_value(out, 4, start + 1);
    if (start == JB_CLIENT_FROM_SEQUENCE)
        jbi_msg_put_value(out, 5, s->asked_for);
    else
        s->asked_for = 0;
    if (name)
        jbi_msg_put_bytes(out, 6, jbi_slice_str(name));
    jbi_msg_close(out, mark);
}

static void subscribe(jb_client *c, jb_client_sub *s)
{
    size_t mark;

    jbi_msg_put_value(&c->message, REQUEST_ID, s->id);
    mark = jbi_msg_open(&c->message, REQUEST_SUBSCRIBE);
    jbi_msg_put_value(&c->message, 1, s->id);
    put_request(&c->message, s, c->opts.name);
    jbi_msg_put_value(&c->message, 3, s->opts.max_unacked);
    jbi_msg_close(&c->message, mark);
    s->stage = JBI_SUB_ASKED;
    /* What lies in the inbox was sent on another connection and needs no acknowledgement here. */
    atomic_store(&s->n_acked, s->n_put);
    say(c);
}

static void unsubscribe(jb_client *c, jb_client_sub *s)
{
    size_t mark;

    if (s->stage == JBI_SUB_WANTED || s->stage == JBI_SUB_REFUSED)
        return;
    mark = jbi_msg_open(&c->message, REQUEST_UNSUBSCRIBE);
    jbi_msg_put_value(&c->message, 1, s->id);
    jbi_msg_close(&c->message, mark);
    say(c);
}

/* Tell the server what was taken, once that is half of what may be on its way. */
static void acknowledge(jb_client *c, jb_client_sub *s)
{
    uint64_t n_taken;
    size_t mark;

    if (s->stage != JBI_SUB_LIVE)
        return;
    atomic_store(&s->is_ack_asked, false);
    n_taken = atomic_load(&s->n_taken);
    if (!jbi_inbox_wants_ack(s, n_taken))
        return;
    atomic_store(&s->n_acked, n_taken);
    mark = jbi_msg_open(&c->message, REQUEST_ACK);
    jbi_msg_put_value(&c->message, 1, s->id);
    jbi_msg_put_value(&c->message, 2, atomic_load(&s->taken_sequence));
    jbi_msg_close(&c->message, mark);
    say(c);
}

static void pump_sub(jb_client *c, uint32_t i)
{
    jb_client_sub *s = atomic_load(&c->subs[i]);

    if (s && s->stage == JBI_SUB_WANTED)
        subscribe(c, s);
    else if (s)
        acknowledge(c, s);
}

/* Let go of subscriptions that were closed. At most one word to the server for each slot. */
static void sweep(jb_client *c, bool is_up)
{
    for (uint32_t i = 0; i < JBI_CLIENT_SUBS; i++) {
        jb_client_sub *s = atomic_load(&c->subs[i]);

        if (!s || !atomic_load(&s->is_closing))
            continue;
        if (is_up && !c->is_failed)
            unsubscribe(c, s);
        atomic_store(&c->subs[i], NULL);
        jbi_client_sub_unref(s);
    }
}

static jb_client_sub *find_sub(jb_client *c, uint64_t id)
{
    for (uint32_t i = 0; i < JBI_CLIENT_SUBS; i++) {
        jb_client_sub *s = atomic_load(&c->subs[i]);

        if (s && s->id == id)
            return s;
    }
    return NULL;
}

/* --- publishing */

static void put_outgoing(jbi_htext *out, const jbi_batch *b, uint32_t i)
{
    jbi_slice topic = jbi_batch_topic(b, i);
    size_t mark = jbi_msg_open(out, 1);

    jbi_msg_put_bytes(out, 1, jbi_batch_event(b, i));
    if (topic.len)
        jbi_msg_put_bytes(out, 2, topic);
    if (b->entries[i].key)
        jbi_msg_put_value(out, 3, b->entries[i].key);
    jbi_msg_close(out, mark);
}

/* The Command inside the event that a command is. */
static jbi_slice command_of(jbi_slice event)
{
    jbi_wire in = jbi_wire_of(event.data, event.len);
    jbi_msg_field f;

    while (jbi_msg_next(&in, &f) > 0) {
        if (jbi_msg_is_bytes(&f, EVENT_COMMAND_FIELD))
            return f.bytes;
    }
    return (jbi_slice){"", 0};
}

static void publish(jb_client *c)
{
    jbi_batch *b = &c->batch;
    size_t mark;

    b->n_sent = b->is_singly ? 1 : b->n;
    b->request_id = FIRST_REQUEST + c->n_requests++;
    jbi_msg_put_value(&c->message, REQUEST_ID, b->request_id);
    if (b->is_command) {
        jbi_msg_put_bytes(&c->message, REQUEST_COMMAND, command_of(jbi_batch_event(b, 0)));
    } else {
        mark = jbi_msg_open(&c->message, REQUEST_PUBLISH);
        for (uint32_t i = 0; i < b->n_sent; i++)
            put_outgoing(&c->message, b, i);
        jbi_msg_close(&c->message, mark);
    }
    say(c);
}

static void pump_batch(jb_client *c)
{
    jbi_batch *b = &c->batch;

    if (b->n_sent || c->is_retrying)
        return;
    if (b->n == 0) {
        /* Said before the look, so that who publishes after the look sees it. */
        atomic_store(&c->is_hungry, true);
        if (jbi_pipe_is_empty(&c->outbox))
            return;
        atomic_store(&c->is_hungry, false);
        if (!jbi_batch_load(b, &c->outbox, JBI_BATCH_EVENTS)) {
            jbi_client_fail(c, JB_ENOMEM, "no memory for a batch");
            return;
        }
    }
    if (b->n)
        publish(c);
}

bool jbi_session_settle(jb_client *c, uint32_t i, uint32_t outcome)
{
    switch (outcome) {
    case JBI_OUTCOME_ACCEPTED:
        jbi_count(&c->n.n_accepted, 1);
        break;
    case JBI_OUTCOME_DUPLICATE:
        jbi_count(&c->n.n_duplicates, 1);
        break;
    case JBI_OUTCOME_FULL:
    case JBI_OUTCOME_OVER_BUDGET:
    case JBI_OUTCOME_NOT_TRIED:
        return true;
    default:
        jbi_count(&c->n.n_refused, 1);
        break;
    }
    c->batch.entries[i].is_settled = true;
    c->retry_ms = 0;
    return false;
}

void jbi_session_settled(jb_client *c)
{
    jbi_batch_compact(&c->batch);
    if (jbi_client_waiting(c) == 0) {
        uv_mutex_lock(&c->status_lock);
        uv_cond_broadcast(&c->settled);
        uv_mutex_unlock(&c->status_lock);
    }
}

void jbi_session_refuse(jb_client *c)
{
    jbi_batch *b = &c->batch;

    if (b->n_sent > 1)
        b->is_singly = true;
    else
        jbi_session_settle(c, 0, JBI_OUTCOME_INVALID);
    jbi_session_settled(c);
}

/* --- what the server says */

static bool read_result(jbi_slice bytes, uint32_t *ret_outcome)
{
    jbi_wire in = jbi_wire_of(bytes.data, bytes.len);
    jbi_msg_field f;
    int rc;

    *ret_outcome = 0;
    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        if (jbi_msg_is_value(&f, 1) && f.value <= JBI_OUTCOME_NOT_TRIED)
            *ret_outcome = (uint32_t)f.value;
    }
    return rc == 0 && *ret_outcome != 0;
}

static void on_published(jb_client *c, uint64_t request_id, jbi_slice bytes)
{
    jbi_wire in = jbi_wire_of(bytes.data, bytes.len);
    jbi_msg_field f;
    uint32_t n = 0, outcome;
    bool is_full = false;

    if (request_id != c->batch.request_id || c->batch.n_sent == 0) {
        jbi_client_fault(c, "an answer to nothing that was asked");
        return;
    }
    while (jbi_msg_next(&in, &f) > 0) {
        if (!jbi_msg_is_bytes(&f, 1))
            continue;
        if (n == c->batch.n_sent || !read_result(f.bytes, &outcome))
            break;
        is_full = jbi_session_settle(c, n++, outcome) || is_full;
    }
    if (n != c->batch.n_sent || !jbi_wire_done(&in)) {
        jbi_client_fault(c, "results that do not fit what was published");
        jbi_batch_compact(&c->batch);
        return;
    }
    if (is_full)
        jbi_client_retry_later(c);
    jbi_session_settled(c);
}

static void on_subscribed(jb_client *c, jbi_slice bytes)
{
    jbi_wire in = jbi_wire_of(bytes.data, bytes.len);
    uint64_t id = 0, next = 0;
    jbi_msg_field f;
    jb_client_sub *s;

    while (jbi_msg_next(&in, &f) > 0) {
        if (jbi_msg_is_value(&f, 1))
            id = f.value;
        else if (jbi_msg_is_value(&f, 2))
            next = f.value;
    }
    s = find_sub(c, id);
    if (!s || s->stage != JBI_SUB_ASKED)
        return; /* closed meanwhile */
    s->stage = JBI_SUB_LIVE;
    c->retry_ms = 0;
    /* A bus that begins before what was asked for is another one than before. */
    if (next < s->asked_for || s->next_sequence == 0)
        s->next_sequence = next ? next : 1;
    atomic_store(&s->is_live, true);
}

static void on_unsubscribed(jb_client *c, jbi_slice bytes)
{
    jbi_wire in = jbi_wire_of(bytes.data, bytes.len);
    uint64_t id = 0;
    jbi_msg_field f;
    jb_client_sub *s;

    while (jbi_msg_next(&in, &f) > 0) {
        if (jbi_msg_is_value(&f, 1))
            id = f.value;
    }
    s = find_sub(c, id);
    if (!s || s->stage == JBI_SUB_REFUSED)
        return;
    atomic_store(&s->is_live, false);
    s->stage = JBI_SUB_WANTED; /* it was not asked to end: go on where it was */
    jbi_client_retry_later(c);
}

/* A subscription that will never be is refused; one that may be later is asked for again. */
static void on_sub_fault(jb_client *c, jb_client_sub *s, uint64_t code)
{
    atomic_store(&s->is_live, false);
    if (code == STATUS_INVALID_ARGUMENT || code == STATUS_UNIMPLEMENTED)
        jbi_inbox_refuse(s, JB_EINVAL);
    else if (code == STATUS_PERMISSION_DENIED || code == STATUS_UNAUTHENTICATED)
        jbi_inbox_refuse(s, JB_EPERM);
    else
        jbi_client_retry_later(c);
    s->stage = atomic_load(&s->verdict) ? JBI_SUB_REFUSED : JBI_SUB_WANTED;
}

static void on_fault(jb_client *c, uint64_t request_id, jbi_slice bytes)
{
    jbi_wire in = jbi_wire_of(bytes.data, bytes.len);
    uint64_t code = 0;
    jbi_msg_field f;
    jb_client_sub *s = find_sub(c, request_id);

    while (jbi_msg_next(&in, &f) > 0) {
        if (jbi_msg_is_value(&f, 1))
            code = f.value;
    }
    if (s && s->stage == JBI_SUB_ASKED) {
        on_sub_fault(c, s, code);
    } else if (c->batch.n_sent && request_id == c->batch.request_id) {
        bool is_final = code == STATUS_INVALID_ARGUMENT || code == STATUS_PERMISSION_DENIED ||
                        code == STATUS_UNAUTHENTICATED || code == STATUS_UNIMPLEMENTED;

        if (is_final) {
            jbi_session_refuse(c);
        } else {
            c->batch.n_sent = 0;
            jbi_client_retry_later(c);
        }
    }
}

/* --- events */

static const char *read_event(jbi_slice bytes, jb_client_event *ret, char *topic)
{
    jbi_wire in = jbi_wire_of(bytes.data, bytes.len);
    jb_encoded looked;
    jbi_msg_field f;
    int rc;

    *ret = (jb_client_event){.topic = topic};
    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        if (jbi_msg_is_bytes(&f, 1)) {
            ret->payload = (const uint8_t *)f.bytes.data;
            ret->len_bytes = (uint32_t)f.bytes.len;
        } else if (jbi_msg_is_value(&f, 2)) {
            ret->sequence = f.value;
        } else if (jbi_msg_is_bytes(&f, 3) && f.bytes.len <= JB_TOPIC_MAX_BYTES) {
            memcpy(topic, f.bytes.data, f.bytes.len);
            topic[f.bytes.len] = '\0';
            ret->topic_bytes = (uint32_t)f.bytes.len;
        } else if (jbi_msg_is_value(&f, 4)) {
            ret->time_utc_ns = f.value;
        } else if (jbi_msg_is_value(&f, 5)) {
            ret->publisher = (uint32_t)f.value;
        } else if (jbi_msg_is_value(&f, 6)) {
            ret->key = (uint32_t)f.value;
        } else if (jbi_msg_is_value(&f, 7)) {
            ret->n_missed = f.value;
        }
    }
    if (rc < 0 || !ret->payload || ret->sequence == 0 ||
        (ret->topic_bytes && !jbi_topic_is_name(topic, ret->topic_bytes)))
        return "a delivery is not what it should be";
    if (jb_event_inspect(ret->payload, ret->len_bytes, &looked, NULL) < 0)
        return "an event it delivered is none";
    ret->type = looked.type;
    ret->priority = looked.priority;
    ret->source_time = looked.source_time;
    return NULL;
}

/* Put one event into the inbox; false when there is no room yet. */
static bool deliver(jb_client *c, jb_client_sub *s, jbi_slice bytes)
{
    char topic[JB_TOPIC_MAX_BYTES + 1] = "";
    jb_client_event event;
    const char *problem = read_event(bytes, &event, topic);

    if (problem) {
        jbi_client_fault(c, "%s", problem);
        return true;
    }
    if (event.sequence < s->next_sequence)
        return true; /* it came on the connection before */
    event.n_missed += s->n_carried;
    switch (jbi_inbox_put(s, &event)) {
    case JBI_INBOX_FULL:
        return false;
    case JBI_INBOX_TOO_BIG:
        s->n_carried = event.n_missed + 1;
        break;
    case JBI_INBOX_TAKEN:
        s->n_carried = 0;
        jbi_count(&c->n.n_missed, event.n_missed);
        jbi_count(&c->n.n_received, 1);
        break;
    }
    s->next_sequence = event.sequence + 1;
    return true;
}

static bool on_delivery(jb_client *c, jbi_slice bytes)
{
    jbi_wire in = jbi_wire_of(bytes.data, bytes.len);
    jbi_wire again = in;
    uint64_t id = 0;
    jbi_msg_field f;
    jb_client_sub *s;

    while (jbi_msg_next(&in, &f) > 0) {
        if (jbi_msg_is_value(&f, 1))
            id = f.value;
    }
    s = find_sub(c, id);
    if (!s || s->stage != JBI_SUB_LIVE)
        return true; /* closed meanwhile */
    while (!c->is_failed && jbi_msg_next(&again, &f) > 0) {
        if (jbi_msg_is_bytes(&f, 2) && !deliver(c, s, f.bytes))
            return false;
    }
    return true;
}

/* One message. False: an inbox has no room; the same message is to be given again, and what of it
 * went in is passed over then by its sequence. */
static bool take(jb_client *c, const void *bytes, size_t n)
{
    jbi_wire in = jbi_wire_of(bytes, n);
    uint64_t request_id = 0;
    jbi_msg_field f, step = {0};
    int rc;

    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        if (jbi_msg_is_value(&f, REQUEST_ID))
            request_id = f.value;
        else if (f.type == JBI_WIRE_BYTES)
            step = f;
    }
    if (rc < 0) {
        jbi_client_fault(c, "a message that is not protobuf");
        return true;
    }
    if (step.number == RESPONSE_DELIVERY)
        return on_delivery(c, step.bytes);
    if (step.number == RESPONSE_PUBLISHED)
        on_published(c, request_id, step.bytes);
    else if (step.number == RESPONSE_SUBSCRIBED)
        on_subscribed(c, step.bytes);
    else if (step.number == RESPONSE_UNSUBSCRIBED)
        on_unsubscribed(c, step.bytes);
    else if (step.number == RESPONSE_FAULT)
        on_fault(c, request_id, step.bytes);
    return true;
}

static void hold(jb_client *c, const void *bytes, size_t n)
{
    uint64_t len = n;

    jbi_htext_add(&c->held, (const char *)&len, sizeof(len));
    jbi_htext_add(&c->held, bytes, n);
    if (c->held.is_broken)
        jbi_client_fail(c, JB_ENOMEM, "no memory for a message");
    c->is_stalled = true;
}

void jbi_session_take(jb_client *c, const void *bytes, size_t n)
{
    if (c->held.len > c->held_at || !take(c, bytes, n))
        hold(c, bytes, n);
}

/* Go on with messages that waited for room. */
static void pump_held(jb_client *c)
{
    while (c->held.len > c->held_at && !c->is_failed) {
        const char *at = c->held.data + c->held_at;
        uint64_t len;

        memcpy(&len, at, sizeof(len));
        if (!take(c, at + sizeof(len), len))
            return;
        c->held_at += sizeof(len) + len;
    }
    if (!c->is_stalled)
        return;
    jbi_htext_reset(&c->held, 64 * 1024);
    c->held_at = 0;
    c->is_stalled = false;
    c->carrier->resume(c);
}

void jbi_session_begin(jb_client *c)
{
    jbi_htext_reset(&c->held, 64 * 1024);
    c->held_at = 0;
    c->is_stalled = false;
    c->batch.n_sent = 0;
    for (uint32_t i = 0; i < JBI_CLIENT_SUBS; i++) {
        jb_client_sub *s = atomic_load(&c->subs[i]);

        if (!s)
            continue;
        atomic_store(&s->is_live, false);
        if (s->stage != JBI_SUB_REFUSED)
            s->stage = JBI_SUB_WANTED;
    }
}

void jbi_session_sweep(jb_client *c)
{
    sweep(c, false);
}

void jbi_session_pump(jb_client *c)
{
    sweep(c, true); /* first: what is held may wait for room in one that is gone */
    pump_held(c);
    if (jbi_line_backlog(&c->line) + c->grpc.out.len - c->grpc.out_at > BACKLOG_MAX)
        return;
    for (uint32_t i = 0; i < JBI_CLIENT_SUBS && !c->is_failed && !c->is_retrying; i++)
        pump_sub(c, i);
    if (!c->is_failed)
        pump_batch(c);
}
