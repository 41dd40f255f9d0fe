/*
 * intake: see intake.h.
 *
 * A message that lies whole in one frame is handed on where it lies; only one that comes in pieces,
 * or that was not taken, is copied.
 */
#include "host/grpc/intake.h"

#include "host/grpc/gzip.h"
#include "host/host.h"

enum {
    PREFIX = JBI_GRPC_PREFIX_BYTES,
    KEEP_BYTES = 64 * 1024, /* of a buffer that is empty */
    RETRY_MAX_MS = 16
};

void jbi_grpc_forget(jbi_grpc_call *call)
{
    jbi_h2_consume(call->stream, call->in.text.len - call->n_prepaid);
    call->n_prepaid = 0;
    jbi_body_release(&call->in, &jbi_grpc_host(call)->limits);
    jbi_body_release(&call->plain, &jbi_grpc_host(call)->limits);
}

static uint32_t length_at(const char *prefix)
{
    const uint8_t *p = (const uint8_t *)prefix;

    return (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
}

/* How long a message of this call may be. */
static size_t most_bytes(const jbi_grpc_call *call)
{
    size_t most = jbi_grpc_host(call)->limits.max_body_bytes;
    size_t own = call->method->max_bytes;

    return own && own < most ? own : most;
}

/* Whether the message may be as long as its prefix says. */
static bool check_length(jbi_grpc_call *call, const char *prefix)
{
    if (length_at(prefix) <= most_bytes(call))
        return true;
    jbi_grpc_finish(call, JBI_GRPC_RESOURCE_EXHAUSTED,
                    "a message of %u bytes is larger than the %zu this method takes",
                    length_at(prefix), most_bytes(call));
    return false;
}

static void not_taken(jbi_grpc_call *call)
{
    uint64_t wait_ms = call->n_retries < 4 ? (uint64_t)1 << call->n_retries : RETRY_MAX_MS;

    call->is_blocked = true;
    call->n_retries++;
    call->retry_ms = jbi_grpc_now_ms(call) + wait_ms;
    jbi_grpc_set_wake(call);
}

/* Whether the client's rate allows one message more. The first came with the call, which was asked
 * for; one that comes again has been paid; and without a scope the method asks by itself. */
static bool may_take(jbi_grpc_call *call)
{
    bool is_free = call->n_messages == 0 || call->is_charged || !call->method->scope;

    call->is_charged = is_free || jbi_gate_take(jbi_grpc_host(call), &call->who) == JBI_GATE_OPEN;
    return call->is_charged;
}

/* Make `plain` of a compressed message, charged as what comes in is. False: the call is finished.
 */
static bool unpack(jbi_grpc_call *call, jbi_slice message)
{
    jbi_htext *plain = &call->plain.text;
    size_t max_bytes = most_bytes(call);
    int rc;

    if (!call->is_gzip_in) {
        jbi_grpc_finish(call, JBI_GRPC_INTERNAL,
                        "a message is compressed, and grpc-encoding does not say how");
        return false;
    }
    rc = jbi_gzip_open(message.data, message.len, max_bytes, plain);
    if (rc == 0 && !jbi_body_add(&call->plain, &jbi_grpc_host(call)->limits, "", 0))
        rc = JB_ENOMEM;
    if (rc == JB_ETOOBIG)
        jbi_grpc_finish(call, JBI_GRPC_RESOURCE_EXHAUSTED,
                        "a message holds more than the %zu bytes this method takes", max_bytes);
    else if (rc == JB_ENOMEM)
        jbi_grpc_finish(call, JBI_GRPC_RESOURCE_EXHAUSTED, "no memory for a message");
    else if (rc < 0)
        jbi_grpc_finish(call, JBI_GRPC_INTERNAL, "a message is not the gzip it says it is");
    call->is_unpacked = rc == 0;
    return rc == 0;
}

static void forget_plain(jbi_grpc_call *call)
{
    call->is_unpacked = false;
    jbi_body_release(&call->plain, &jbi_grpc_host(call)->limits);
}

/* Hand a message to the method. One that was unpacked and not taken is not unpacked again. */
static bool hand_on(jbi_grpc_call *call, jbi_slice message, bool is_packed)
{
    if (!is_packed)
        return call->method->message(call, message);
    if (!call->is_unpacked && !unpack(call, message)) {
        forget_plain(call);
        return true;
    }
    if (!call->method->message(call, (jbi_slice){call->plain.text.data ? call->plain.text.data : "",
                                                 call->plain.text.len}))
        return false;
    forget_plain(call);
    return true;
}

/* Have the method take a message. One that comes again is asked for again, too. */
static void take(jbi_grpc_call *call, jbi_slice message, bool is_packed)
{
    struct jb_host *host = jbi_grpc_host(call);
    uint64_t n_tried = host->service.counters.n_tried;
    bool is_taken;

    if (call->method->is_unary && call->n_messages > 0) {
        jbi_grpc_finish(call, JBI_GRPC_INVALID_ARGUMENT, "the method takes one message");
        return;
    }
    if ((call->n_messages > 0 || call->n_retries > 0) && !jbi_grpc_may(call))
        return;
    is_taken = jbi_grpc_waiting(call) <= JBI_GRPC_OUT_BYTES && may_take(call) &&
               hand_on(call, message, is_packed);
    if (!is_taken) {
        not_taken(call);
        return;
    }
    if (call->method->scope)
        jbi_gate_charge(host, &call->who, n_tried);
    call->is_charged = false;
    call->n_retries = 0;
    call->n_messages++;
}

/* The window is reopened for what was taken, unless it was before. */
static void give_window(jbi_grpc_call *call, size_t n)
{
    size_t n_paid = n < call->n_prepaid ? n : call->n_prepaid;

    call->n_prepaid -= n_paid;
    jbi_h2_consume(call->stream, n - n_paid);
}

/* Take whole messages from n bytes. Returns how many bytes they were. */
static size_t work(jbi_grpc_call *call, const char *bytes, size_t n)
{
    size_t at = 0;

    while (n - at >= PREFIX && !call->is_finished && !call->is_blocked) {
        const char *message = bytes + at;
        size_t len = length_at(message);

        if (!check_length(call, message) || n - at - PREFIX < len)
            break;
        if (message[0] == 0 || message[0] == 1)
            take(call, (jbi_slice){message + PREFIX, len}, message[0] == 1);
        else
            jbi_grpc_finish(call, JBI_GRPC_INTERNAL, "the first byte of a message is %u",
                            (uint8_t)message[0]);
        if (call->is_blocked)
            break;
        give_window(call, PREFIX + len);
        at += PREFIX + len;
    }
    return at;
}

static bool keep(jbi_grpc_call *call, const char *bytes, size_t n)
{
    if (jbi_body_add(&call->in, &jbi_grpc_host(call)->limits, bytes, n))
        return true;
    jbi_grpc_finish(call, JBI_GRPC_RESOURCE_EXHAUSTED, "too many messages are being received");
    return false;
}

static void empty_input(jbi_grpc_call *call)
{
    if (call->method->is_unary || call->in.text.cap > KEEP_BYTES)
        jbi_body_release(&call->in, &jbi_grpc_host(call)->limits);
    else
        call->in.text.len = 0;
}

/* Complete the message of which there is a beginning. Returns how many of n bytes it needed. */
static size_t complete(jbi_grpc_call *call, const char *bytes, size_t n)
{
    jbi_htext *in = &call->in.text;
    size_t used = 0;

    while (used < n && in->len && !call->is_finished) {
        size_t want = in->len < PREFIX ? PREFIX : PREFIX + (size_t)length_at(in->data);
        size_t take_bytes = want - in->len < n - used ? want - in->len : n - used;

        if (!keep(call, bytes + used, take_bytes))
            break;
        used += take_bytes;
        if (in->len < PREFIX || (in->len == PREFIX && !check_length(call, in->data)))
            continue;
        if (in->len < PREFIX + (size_t)length_at(in->data))
            continue;
        if (work(call, in->data, in->len) == 0)
            break;
        empty_input(call);
    }
    return used;
}

/* A message larger than the window would wait for ever, so that is reopened for its beginning; the
 * message's own limit bounds it. */
static void prepay(jbi_grpc_call *call)
{
    const jbi_htext *in = &call->in.text;

    if (call->is_blocked || call->is_finished || in->len < PREFIX ||
        length_at(in->data) < JBI_H2_WINDOW_BYTES / 2)
        return;
    jbi_h2_consume(call->stream, in->len - call->n_prepaid);
    call->n_prepaid = in->len;
}

/* As for a plain body: body_timeout from its last byte, ten times that from its first. */
void jbi_grpc_await(jbi_grpc_call *call)
{
    uint64_t patience_ms = jbi_grpc_host(call)->opts.body_timeout_ns / 1000000u;
    uint64_t now_ms = jbi_grpc_now_ms(call);
    bool is_due = call->in.text.len || (call->method->is_unary && call->n_messages == 0);

    if (!is_due || call->is_blocked || call->is_finished) {
        call->part_ms = call->rest_ms = 0;
        return;
    }
    if (!call->part_ms)
        call->part_ms = now_ms;
    call->rest_ms = now_ms + patience_ms;
    if (call->rest_ms > call->part_ms + 10 * patience_ms)
        call->rest_ms = call->part_ms + 10 * patience_ms;
    jbi_grpc_set_wake(call);
}

/* Of a client that does not read nothing more is read either: then the time to write bounds it. */
void jbi_grpc_expire(jbi_grpc_call *call)
{
    if (jbi_h2_stream_conn(call->stream)->is_paused) {
        call->part_ms = 0;
        jbi_grpc_await(call);
        return;
    }
    jbi_grpc_host(call)->service.counters.n_timeouts++;
    jbi_grpc_finish(call, JBI_GRPC_DEADLINE_EXCEEDED,
                    "the message did not come to its end in time");
    jbi_grpc_forget(call);
}

/* Tell the method that the client sends no more, once all was taken. */
void jbi_grpc_check_end(jbi_grpc_call *call)
{
    if (!call->is_half_closed || call->is_blocked || call->is_finished || call->is_ended)
        return;
    call->is_ended = true;
    if (call->in.text.len)
        jbi_grpc_finish(call, JBI_GRPC_INVALID_ARGUMENT, "the last message is not whole");
    else if (!call->method->is_unary)
        call->method->end(call);
    else if (call->n_messages == 0)
        jbi_grpc_finish(call, JBI_GRPC_INVALID_ARGUMENT, "the method takes one message");
}

void jbi_grpc_feed(jbi_grpc_call *call, const char *bytes, size_t n)
{
    uint64_t n_before = call->n_messages;
    size_t used;

    if (call->is_finished) {
        jbi_h2_consume(call->stream, n);
        return;
    }
    used = call->is_blocked ? 0 : complete(call, bytes, n);
    if (!call->is_blocked && !call->is_finished && call->in.text.len == 0)
        used += work(call, bytes + used, n - used);
    if (used < n && !call->is_finished)
        keep(call, bytes + used, n - used);
    else if (used < n)
        jbi_h2_consume(call->stream, n - used);
    if (call->is_finished)
        jbi_grpc_forget(call);
    else
        prepay(call);
    if (call->n_messages != n_before)
        call->part_ms = 0;
    jbi_grpc_await(call);
}

/* Take again what was not taken. */
void jbi_grpc_retry(jbi_grpc_call *call)
{
    jbi_htext *in = &call->in.text;
    size_t used;

    if (!call->is_blocked)
        return;
    call->is_blocked = false;
    call->retry_ms = 0;
    used = work(call, in->data, in->len);
    if (call->is_finished) {
        jbi_grpc_forget(call);
        return;
    }
    in->len -= used;
    if (in->len == 0)
        empty_input(call);
    else if (used)
        memmove(in->data, in->data + used, in->len);
    prepay(call);
    jbi_grpc_await(call);
    jbi_grpc_check_end(call);
}
