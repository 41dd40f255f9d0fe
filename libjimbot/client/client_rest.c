/*
 * client_rest: a client over plain HTTP/1.1, for servers without a WebSocket: events are posted in
 * batches as JSON, commands posted one by one and polled.
 *
 * One request is on its way at a time. What the answer means for the events of a batch is what
 * docs/openapi.yaml says; an older server that only says 200 has taken them all.
 *
 * Invariant: a batch whose answer did not come, or said 503, is posted again as the same bytes.
 */
#include "client/client_internal.h"
#include "client/client_sub.h"
#include "client/get.h"
#include "host/text/hmem.h"
#include "topic/pattern.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The most that the protocol of the mod puts into one body. */
enum { EVENTS_MAX = 50 };

/* --- requests */

static void request(jb_client *c, uint32_t call, const char *method, const char *path)
{
    jbi_htext *out = &c->message;
    jbi_rest *r = &c->rest;

    jbi_get_head(out, &c->url, method, path, c->opts.token);
    if (call != JBI_REST_POLL)
        jbi_htext_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                         r->body.len);
    jbi_htext_str(out, "\r\n");
    if (call != JBI_REST_POLL)
        jbi_htext_add(out, r->body.data, r->body.len);
    if (out->is_broken || r->body.is_broken)
        jbi_client_fail(c, JB_ENOMEM, "no memory for a request");
    else
        jbi_line_send(&c->line, out->data, out->len);
    r->call = call;
    jbi_htext_reset(out, 2 * JBI_BATCH_BYTES);
    jbi_htext_reset(&r->body, 2 * JBI_BATCH_BYTES);
}

static void put_json(jbi_htext *out, jbi_slice event)
{
    size_t room = event.len * 3 + 512;
    char *to = jbi_htext_reserve(out, room);
    int64_t n = to ? jb_event_to_json(event.data, event.len, to, room, NULL) : 0;

    if (n > (int64_t)room) {
        to = jbi_htext_reserve(out, (size_t)n);
        n = to ? jb_event_to_json(event.data, event.len, to, (size_t)n, NULL) : 0;
    }
    if (n > 0)
        out->len += (size_t)n;
    else
        out->is_broken = true;
}

static void post_events(jb_client *c)
{
    jbi_batch *b = &c->batch;
    jbi_htext *body = &c->rest.body;

    b->n_sent = b->is_singly ? 1 : b->n;
    jbi_htext_str(body, "{\"events\":[");
    for (uint32_t i = 0; i < b->n_sent; i++) {
        jbi_htext_add(body, ",", i > 0);
        put_json(body, jbi_batch_event(b, i));
    }
    jbi_htext_str(body, "]}");
    request(c, JBI_REST_EVENTS, "POST", "/api/v1/events/batch");
}

static void post_command(jb_client *c)
{
    jbi_slice event = jbi_batch_event(&c->batch, 0);
    jbi_htext *body = &c->rest.body;
    jb_command command;

    if (jb_command_decode(event.data, event.len, &command) < 0) {
        c->batch.n_sent = 1;
        jbi_session_refuse(c);
        jbi_client_wake(c); /* there may be more */
        return;
    }
    c->batch.n_sent = 1;
    jbi_htext_str(body, "{\"type\":");
    jbi_htext_json(body, command.name, strlen(command.name));
    if (command.id[0]) {
        jbi_htext_str(body, ",\"id\":");
        jbi_htext_json(body, command.id, strlen(command.id));
    }
    jbi_htext_str(body, ",\"payload\":{\"params\":[");
    for (uint32_t i = 0; i < command.n_params; i++) {
        jbi_htext_add(body, ",", i > 0);
        jbi_htext_json(body, command.params[i], strlen(command.params[i]));
    }
    jbi_htext_str(body, "]}}");
    request(c, JBI_REST_COMMAND, "POST", "/api/v1/commands");
}

/* --- commands that were polled */

static bool wants(const jb_client_sub *s, const char *topic)
{
    const char *pattern = s->patterns;

    for (uint32_t i = 0; i < s->n_patterns; i++) {
        if (jbi_topic_matches(pattern, strlen(pattern), topic, strlen(topic)))
            return true;
        pattern += strlen(pattern) + 1;
    }
    return false;
}

/* "name:param1,param2"; false for a line that is none. */
static bool read_line(const char *at, size_t n, jb_command *ret)
{
    const char *end = at + n;
    const char *colon = memchr(at, ':', n);
    size_t name = (size_t)((colon ? colon : end) - at);

    *ret = (jb_command){.n_params = 0};
    if (name == 0 || name >= sizeof(ret->name))
        return false;
    memcpy(ret->name, at, name);
    at = colon ? colon + 1 : end;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t len = (size_t)((comma ? comma : end) - at);

        if (ret->n_params == 8 || len >= sizeof(ret->params[0]))
            return false;
        memcpy(ret->params[ret->n_params++], at, len);
        at = comma ? comma + 1 : end;
    }
    return true;
}

static void give(jb_client *c, jb_client_sub *s, const jb_client_event *event)
{
    jb_client_event mine = *event;

    mine.n_missed = s->n_carried;
    if (jbi_inbox_put(s, &mine) == JBI_INBOX_TAKEN) {
        s->n_carried = 0;
        jbi_count(&c->n.n_missed, mine.n_missed);
        jbi_count(&c->n.n_received, 1);
    } else {
        s->n_carried++; /* the server has handed it out: there is no holding back */
    }
}

static void take_line(jb_client *c, const char *line, size_t n)
{
    uint8_t bytes[1024];
    char topic[16 + sizeof(((jb_command *)0)->name)];
    jb_command command;
    jb_client_event event = {.payload = bytes, .topic = topic, .type = JB_EVENT_COMMAND};
    int64_t len = read_line(line, n, &command) ? jb_command_encode(&command, bytes, sizeof(bytes))
                                               : JB_EINVAL;

    if (len < 0)
        return;
    event.len_bytes = (uint32_t)len;
    event.topic_bytes = (uint32_t)snprintf(topic, sizeof(topic), "command.%s", command.name);
    event.time_utc_ns = jb_clock_utc_ns();
    event.source_time = NAN;
    for (uint32_t i = 0; i < JBI_CLIENT_SUBS; i++) {
        jb_client_sub *s = atomic_load(&c->subs[i]);

        if (s && wants(s, topic))
            give(c, s, &event);
    }
}

static void take_commands(jb_client *c, const jbi_htext *body)
{
    const char *at = body->len ? body->data : "", *end = at + body->len;

    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);

        take_line(c, at, n && at[n - 1] == '\r' ? n - 1 : n);
        at = stop ? stop + 1 : end;
    }
}

/* --- answers */

static uint64_t number_of(const json_t *root, const char *key, uint64_t absent)
{
    const json_t *value = json_object_get(root, key);

    return json_is_integer(value) && json_integer_value(value) >= 0
               ? (uint64_t)json_integer_value(value)
               : absent;
}

/* 200 or 422: how many of the batch were taken, were there, or are refused. */
static void settle_counts(jb_client *c, bool is_part)
{
    const jbi_htext *body = &c->rest.reply.body;
    json_t *root = json_loadb(body->len ? body->data : "", body->len, 0, NULL);
    uint32_t n = c->batch.n_sent;
    uint64_t n_duplicates = number_of(root, "duplicates", 0);
    uint64_t n_refused = number_of(root, "n_rejected", 0);

    json_decref(root);
    if (is_part && n_refused == 0) {
        jbi_session_refuse(c); /* it does not say how many: one by one, or that one */
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t outcome = JBI_OUTCOME_ACCEPTED;

        if (i < n_refused)
            outcome = JBI_OUTCOME_INVALID;
        else if (i - n_refused < n_duplicates)
            outcome = JBI_OUTCOME_DUPLICATE;
        jbi_session_settle(c, i, outcome);
    }
    jbi_session_settled(c);
}

static void judge_post(jb_client *c, uint16_t status)
{
    if (status / 100 == 2 || status == 422) {
        settle_counts(c, status == 422);
    } else if (status == 401 || status == 403) {
        jbi_client_fail(c, JB_EPERM, "the server refused the token or its lack (%u)", status);
    } else if (status == 404 || status == 405 || status / 100 == 3) {
        jbi_client_fail(c, JB_ENOENT, "the server takes no events (%u)", status);
    } else if (status / 100 == 4 && status != 408 && status != 429) {
        jbi_session_refuse(c);
    } else {
        c->batch.n_sent = 0;
        jbi_client_retry_later(c);
    }
}

static void judge(jb_client *c)
{
    jbi_rest *r = &c->rest;
    uint32_t call = r->call;
    bool is_last = !r->reply.is_keep_alive;
    bool is_good = r->reply.status / 100 == 2 || r->reply.status == 422;

    r->call = JBI_REST_NONE;
    if (call == JBI_REST_POLL) {
        if (r->reply.status == 200)
            take_commands(c, &r->reply.body);
        else if (r->reply.status == 401 || r->reply.status == 403)
            jbi_client_fail(c, JB_EPERM, "the server refused the token or its lack (%u)",
                            r->reply.status);
    } else {
        judge_post(c, r->reply.status);
    }
    jbi_reply_next(&r->reply);
    if (!is_last || c->is_failed)
        return;
    jbi_client_fail(c, JB_ECLOSED, "the server closed the connection");
    c->is_renewed = is_good;
}

static void feed(jb_client *c, const char *bytes, size_t n)
{
    size_t n_used;

    if (c->rest.call == JBI_REST_NONE) {
        jbi_client_fault(c, "an answer to nothing that was asked");
        return;
    }
    switch (jbi_reply_feed(&c->rest.reply, bytes, n, &n_used)) {
    case JBI_REPLY_MORE:
        break;
    case JBI_REPLY_BROKEN:
        jbi_client_fault(c, "an answer that is not HTTP");
        break;
    case JBI_REPLY_DONE:
        judge(c);
        break;
    }
}

/* An answer may end with the connection. */
static void on_eof(jb_client *c)
{
    if (c->rest.call != JBI_REST_NONE && jbi_reply_end(&c->rest.reply))
        judge(c);
}

static void on_poll(uv_timer_t *timer)
{
    jb_client *c = timer->data;

    c->rest.is_poll_due = true;
    jbi_client_wake(c);
}

static void begin(jb_client *c)
{
    uint64_t ms = c->opts.poll_ns / 1000000, gone = uv_now(&c->loop) - c->rest.polled_ms;

    /* A server may close after each answer: that makes no poll come sooner. */
    c->rest.call = JBI_REST_NONE;
    c->rest.is_poll_due = c->rest.polled_ms == 0 || gone >= ms;
    jbi_reply_init(&c->rest.reply, c->alloc);
    jbi_htext_init(&c->rest.body, c->alloc);
    uv_timer_start(&c->poll, on_poll, c->rest.is_poll_due ? ms : ms - gone, ms);
    jbi_client_up(c);
}

/* Whether somebody wants commands; and the end of subscriptions that are closing. */
static bool look_at_subs(jb_client *c)
{
    bool has_any = false;

    for (uint32_t i = 0; i < JBI_CLIENT_SUBS; i++) {
        jb_client_sub *s = atomic_load(&c->subs[i]);

        if (!s)
            continue;
        if (atomic_load(&s->is_closing)) {
            atomic_store(&c->subs[i], NULL);
            jbi_client_sub_unref(s);
            continue;
        }
        if (!jbi_client_sub_may_command(s))
            continue; /* it waits for a WebSocket */
        atomic_store(&s->is_live, true);
        has_any = true;
    }
    return has_any;
}

static void pump(jb_client *c)
{
    jbi_batch *b = &c->batch;
    bool has_subs = look_at_subs(c);

    if (c->rest.call != JBI_REST_NONE)
        return;
    if (has_subs && c->rest.is_poll_due) {
        c->rest.is_poll_due = false;
        c->rest.polled_ms = uv_now(&c->loop);
        request(c, JBI_REST_POLL, "GET", "/api/v1/commands/poll");
        return;
    }
    if (c->is_retrying)
        return;
    if (b->n == 0) {
        atomic_store(&c->is_hungry, true);
        if (jbi_pipe_is_empty(&c->outbox))
            return;
        atomic_store(&c->is_hungry, false);
        if (!jbi_batch_load(b, &c->outbox, EVENTS_MAX))
            jbi_client_fail(c, JB_ENOMEM, "no memory for a batch");
    }
    if (b->n && b->is_command)
        post_command(c);
    else if (b->n)
        post_events(c);
}

/* Nothing needs to be asked: a request has its own time-out. */
static void ping(jb_client *c)
{
    if (c->rest.call == JBI_REST_NONE) {
        c->is_pinged = false;
        c->heard_ms = uv_now(&c->loop);
    }
}

static void bye(jb_client *c)
{
}

static void end(jb_client *c)
{
    jbi_reply_fini(&c->rest.reply);
    jbi_htext_fini(&c->rest.body);
    c->rest.call = JBI_REST_NONE;
}

const jbi_carrier jbi_carrier_rest = {.way = JB_CLIENT_BY_HTTP,
                                      .begin = begin,
                                      .feed = feed,
                                      .eof = on_eof,
                                      .pump = pump,
                                      .ping = ping,
                                      .bye = bye,
                                      .end = end};
