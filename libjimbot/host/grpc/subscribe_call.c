/*
 * subscribe_call: see subscribe_call.h.
 *
 * A response ends with the event that passes RESPONSE_BYTES, because clients refuse messages of
 * more than 4 MiB unless told otherwise.
 */
#include "host/grpc/subscribe_call.h"

#include "host/host.h"
#include "host/net/address.h"
#include "host/service/feed.h"
#include "host/service/render.h"
#include "host/text/hmem.h"

enum {
    RESPONSE_BYTES = 32 * 1024,
    LOOK_MS = 5 /* how often one that lingers is looked at: it may be full before its time */
};

typedef struct reader {
    jbi_feed *feed;
    uint32_t max_events;
    uint64_t linger_ms; /* how long a response may wait to be full */
    uint64_t idle_ms;   /* after which an empty one is sent, 0 never */
    uint64_t sent_ms;   /* when the last one was */
    uint64_t until_ms;  /* when the one that lingers is sent, 0 none does */
} reader;

/* Milliseconds, at least one of what is not nothing. */
static uint64_t ms_of(uint64_t ns)
{
    uint64_t most_ns = (uint64_t)86400 * 1000000000u;

    return ((ns < most_ns ? ns : most_ns) + 999999) / 1000000;
}

static void on_feed(jbi_feed *feed, void *userdata)
{
    jbi_grpc_wake(userdata);
}

static uint32_t code_of(int rc)
{
    switch (rc) {
    case JB_EINVAL:
        return JBI_GRPC_INVALID_ARGUMENT;
    case JB_ELIMIT:
    case JB_ENOMEM:
        return JBI_GRPC_RESOURCE_EXHAUSTED;
    default:
        return JBI_GRPC_UNAVAILABLE;
    }
}

/* When tick() has something to do: nothing while the client has not read, which fill() ends. */
static void set_tick(jbi_grpc_call *call)
{
    const reader *r = call->state;
    uint64_t look_ms = jbi_grpc_now_ms(call) + LOOK_MS;
    uint64_t until_ms = r->until_ms && look_ms < r->until_ms ? look_ms : r->until_ms;
    uint64_t at_ms = r->idle_ms ? r->sent_ms + r->idle_ms : 0;

    if (until_ms && (!at_ms || until_ms < at_ms))
        at_ms = until_ms;
    if (jbi_grpc_waiting(call) > 0)
        at_ms = 0;
    if (at_ms != call->method_ms)
        jbi_grpc_tick_at(call, at_ms);
}

bool jbi_grpc_subscribe(jbi_grpc_call *call, jbi_slice message)
{
    jb_host *host = jbi_grpc_host(call);
    jbi_msg_subscribe request;
    jbi_feed_opts opts;
    char peer[JBI_ADDRESS_BYTES];
    const char *problem = jbi_msg_read_subscribe(message, &request);
    reader *r = problem ? NULL : jbi_hmem_zalloc(host->alloc, sizeof(*r));
    jb_error err;
    int rc;

    if (problem || !r) {
        jbi_grpc_finish(call, problem ? JBI_GRPC_INVALID_ARGUMENT : JBI_GRPC_RESOURCE_EXHAUSTED,
                        "%s", problem ? problem : "no memory for the subscription");
        return true;
    }
    call->state = r;
    r->max_events = request.max_events < JBI_FEED_EVENTS ? request.max_events : JBI_FEED_EVENTS;
    r->linger_ms = ms_of(request.linger_ns);
    r->idle_ms = ms_of(request.idle_ns);
    r->sent_ms = jbi_grpc_now_ms(call);
    jbi_msg_feed_opts(&request, &opts);
    opts.via = "grpc";
    jbi_address_of_peer(&jbi_h2_stream_conn(call->stream)->io.handle, peer);
    if (!opts.name.data)
        opts.name = jbi_slice_str(peer);
    jb_error_init(&err);
    rc = jbi_feed_open(host, &opts, on_feed, call, &r->feed, &err);
    if (rc < 0) {
        jbi_grpc_finish(call, code_of(rc), "%s", err.msg[0] ? err.msg : jb_strerror(rc));
        return true;
    }
    jbi_grpc_start(call);
    jbi_h2_resume(call->stream);
    set_tick(call);
    return true;
}

/* Append one response. False when there is nothing to send for now. */
static bool respond(jbi_grpc_call *call, reader *r)
{
    jbi_service *s = &jbi_grpc_host(call)->service;
    jbi_htext *out = &call->stream->out;
    uint64_t now_ms = jbi_grpc_now_ms(call);
    const jb_event *events;
    int n = jbi_feed_peek(r->feed, &events, r->max_events);
    bool is_full;
    size_t start;
    int i = 0;

    if (n < 0)
        jbi_grpc_finish(call, JBI_GRPC_UNAVAILABLE, "the subscription broke: %s", jb_strerror(n));
    if (n <= 0)
        return false;
    /* Those of other types count: no more is looked at before these are taken. */
    is_full = r->feed->n_raw >= r->max_events;
    if (r->linger_ms && !is_full && !r->until_ms)
        r->until_ms = now_ms + r->linger_ms;
    if (!is_full && r->until_ms > now_ms)
        return false;
    start = jbi_grpc_begin(call);
    for (; i < n && out->len - start < RESPONSE_BYTES; i++) {
        size_t mark = jbi_msg_open(out, 1);

        jbi_render_incoming(s, &events[i], out);
        jbi_msg_close(out, mark);
    }
    r->until_ms = 0;
    if (jbi_feed_take(r->feed, (uint32_t)i, out->len - start) < 0) {
        jbi_grpc_drop(call, start);
        return false;
    }
    r->sent_ms = now_ms;
    jbi_grpc_end(call, start);
    return true;
}

void jbi_grpc_subscribe_fill(jbi_grpc_call *call)
{
    reader *r = call->state;

    while (r && jbi_grpc_waiting(call) == 0 && respond(call, r))
        r = call->state;
    if (call->state)
        set_tick(call);
}

void jbi_grpc_subscribe_tick(jbi_grpc_call *call)
{
    reader *r = call->state;

    if (jbi_grpc_waiting(call) == 0 && r->idle_ms &&
        jbi_grpc_now_ms(call) >= r->sent_ms + r->idle_ms) {
        jbi_grpc_end(call, jbi_grpc_begin(call));
        r->sent_ms = jbi_grpc_now_ms(call);
    }
    jbi_h2_resume(call->stream);
    set_tick(call);
}

void jbi_grpc_subscribe_close(jbi_grpc_call *call)
{
    reader *r = call->state;

    jbi_feed_close(r->feed);
    jbi_hmem_free(jbi_grpc_host(call)->alloc, r, sizeof(*r));
}
