/*
 * sse: see sse.h.
 */
#include "host/sse/sse.h"

#include "host/access/gate.h"
#include "host/host.h"
#include "host/http/query.h"
#include "host/net/address.h"
#include "host/service/render.h"
#include "host/text/hmem.h"
#include "host/text/jwalk.h"

enum naming { NAME_TYPE = 0, NAME_TOPIC = 1, NAME_NONE = 2 };

typedef struct stream {
    jbi_feed *feed;
    jbi_who who;
    uint32_t dialect;
    uint32_t naming; /* enum naming */
} stream;

/* What the query asks for. */
typedef struct wish {
    jbi_slice patterns[JBI_FEED_PATTERNS];
    jbi_feed_opts opts;
    uint32_t dialect;
    uint32_t naming;
} wish;

static bool read_types(jbi_slice list, uint64_t *ret)
{
    while (list.len) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t n = comma ? (size_t)(comma - list.data) : list.len;
        uint32_t type = jbi_service_type((jbi_slice){list.data, n});

        if (type == 0)
            return false;
        *ret |= (uint64_t)1 << type;
        n += comma != NULL;
        list = (jbi_slice){list.data + n, list.len - n};
    }
    return true;
}

/* The place of a word in a list, n when it is not there. */
static uint32_t choose(jbi_slice word, const char *const *words, uint32_t n)
{
    uint32_t i = 0;

    while (i < n && !jbi_slice_is(word, words[i]))
        i++;
    return i;
}

static bool read_start(jbi_slice value, jbi_feed_opts *o)
{
    o->start = JBI_FEED_NOW;
    if (jbi_slice_is(value, "now"))
        return true;
    o->start = JBI_FEED_OLDEST;
    if (jbi_slice_is(value, "oldest"))
        return true;
    o->start = JBI_FEED_SEQUENCE;
    return value.len && value.data[0] != '"' && jbi_jwalk_u64(value, &o->start_sequence) &&
           o->start_sequence > 0;
}

/* Take one parameter. Returns NULL, or what is wrong with it. */
static const char *take(wish *w, jbi_slice name, jbi_slice value)
{
    static const char *const policies[] = {"lossless", "latest", "conflate"};
    static const char *const namings[] = {"type", "topic", "none"};
    int dialect;

    if (jbi_slice_is(name, "topic")) {
        if (w->opts.n_patterns == JBI_FEED_PATTERNS)
            return "a stream has at most 64 topics";
        w->patterns[w->opts.n_patterns++] = value;
    } else if (jbi_slice_is(name, "types")) {
        return read_types(value, &w->opts.types) ? NULL : "there is no such type of events";
    } else if (jbi_slice_is(name, "policy")) {
        w->opts.policy = choose(value, policies, 3);
        return w->opts.policy < 3 ? NULL : "policy is lossless, latest or conflate";
    } else if (jbi_slice_is(name, "event")) {
        w->naming = choose(value, namings, 3);
        return w->naming < 3 ? NULL : "event is type, topic or none";
    } else if (jbi_slice_is(name, "start")) {
        return read_start(value, &w->opts) ? NULL : "start is now, oldest or a sequence number";
    } else if (jbi_slice_is(name, "dialect")) {
        dialect = jb_dialect_find(value.data, value.len);
        w->dialect = (uint32_t)dialect;
        return dialect >= 0 ? NULL : "there is no such dialect";
    }
    return NULL;
}

/* An id of ours goes on behind that event; one of somebody else's means nothing. */
static void resume(const jbi_fields *f, jbi_feed_opts *o)
{
    uint64_t sequence;
    size_t n;
    const char *id = jbi_fields_get(f, JBI_FIELD_LAST_EVENT_ID, &n);

    if (!id || n == 0 || id[0] == '"' || !jbi_jwalk_u64((jbi_slice){id, n}, &sequence) ||
        sequence == UINT64_MAX)
        return;
    o->start = JBI_FEED_SEQUENCE;
    o->start_sequence = sequence + 1;
}

static const char *read_query(const jbi_call *call, char *room, wish *w)
{
    const char *problem = NULL;
    jbi_slice name, value;
    jbi_query q;
    int rc = 1;

    *w = (wish){.opts = {.policy = JB_SUB_LATEST, .via = "sse"}};
    w->opts.patterns = w->patterns;
    jbi_query_begin(&q, call->query, call->query_bytes, room);
    while (!problem && (rc = jbi_query_next(&q, &name, &value)) > 0)
        problem = take(w, name, value);
    if (rc < 0)
        problem = "a percent sign in the query stands before two hexadecimal digits";
    if (!problem && w->opts.n_patterns == 0)
        problem = "a stream has at least one topic, like ?topic=game.>";
    resume(call->fields, &w->opts);
    return problem;
}

static void on_feed(jbi_feed *feed, void *userdata)
{
    jbi_conn_wake(userdata);
}

static void free_stream(jb_host *host, stream *t)
{
    jbi_feed_close(t->feed);
    jbi_hmem_free(host->alloc, t, sizeof(*t));
}

/* Open the stream. Returns 0, or a code with err. */
static int make(const jbi_call *call, wish *w, stream **ret, jb_error *err)
{
    stream *t = jbi_hmem_zalloc(call->host->alloc, sizeof(*t));
    char peer[JBI_ADDRESS_BYTES];
    int rc;

    if (!t)
        return JB_ENOMEM;
    jbi_address_of_peer(&call->conn->io.handle, peer);
    w->opts.name = jbi_slice_str(peer);
    t->who = *call->who;
    t->dialect = w->dialect;
    t->naming = w->naming;
    rc = jbi_feed_open(call->host, &w->opts, on_feed, call->conn, &t->feed, err);
    if (rc < 0)
        free_stream(call->host, t);
    else
        *ret = t;
    return rc;
}

static void refuse(jbi_answer *answer, int rc, const jb_error *err)
{
    jbi_answer_error(answer, rc == JB_EINVAL ? 400 : 503, err->msg[0] ? err->msg : jb_strerror(rc));
    if (answer->status == 503)
        answer->retry_after_s = 1;
}

void jbi_sse_begin(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    char *room = jbi_hmem_alloc(s->alloc, call->query_bytes + 1);
    const char *problem;
    stream *t = NULL;
    jb_error err;
    wish w;
    int rc;

    jb_error_init(&err);
    problem = room ? read_query(call, room, &w) : NULL;
    if (!call->can_switch)
        problem = "a stream of events is for HTTP/1.1";
    rc = problem ? JB_EINVAL : !room || s->is_draining ? JB_ENOMEM : make(call, &w, &t, &err);
    jbi_hmem_free(s->alloc, room, call->query_bytes + 1);
    if (problem) {
        jbi_answer_error(answer, 400, problem);
    } else if (rc < 0) {
        refuse(answer, rc, &err);
    } else {
        answer->content_type = "text/event-stream";
        answer->fields = "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n";
        answer->next = &jbi_sse;
        answer->next_arg = t;
    }
}

static int open_stream(jbi_conn *c, void *arg)
{
    c->session = arg;
    jbi_htext_str(&c->out.open, "retry: 1000\n\n");
    return 0;
}

static void close_stream(jbi_conn *c)
{
    free_stream(c->host, c->session);
}

/* A line of text is a line of the stream. */
static void add_data(jbi_htext *out, const char *text, size_t n)
{
    jbi_htext_str(out, "data: ");
    while (n) {
        const char *end = memchr(text, '\n', n);
        size_t n_line = end ? (size_t)(end - text) : n;

        jbi_htext_add(out, text, n_line);
        if (end)
            jbi_htext_str(out, "\ndata: ");
        n_line += end != NULL;
        text += n_line;
        n -= n_line;
    }
    jbi_htext_str(out, "\n\n");
}

static void add_name(jb_host *host, const stream *t, const jb_event *e, jbi_htext *out)
{
    const char *name = NULL;

    if (t->naming == NAME_TYPE)
        name = jb_event_type_name(e->type);
    else if (t->naming == NAME_TOPIC)
        jb_bus_topic_name(host->bus, e->topic_id, &name);
    if (!name)
        return;
    jbi_htext_str(out, "event: ");
    jbi_htext_str(out, name);
    jbi_htext_str(out, "\n");
}

static void add_event(jb_host *host, const stream *t, const jb_event *e, jbi_htext *out)
{
    jbi_htext *text = &host->service.text;

    if (e->n_missed) {
        jbi_htext_str(out, "event: missed\ndata: ");
        jbi_htext_u64(out, e->n_missed);
        jbi_htext_str(out, "\n\n");
    }
    jbi_htext_str(out, "id: ");
    jbi_htext_u64(out, e->sequence);
    jbi_htext_str(out, "\n");
    add_name(host, t, e, out);
    text->len = 0;
    jbi_render_event_json(&host->service, e, t->dialect, text);
    out->is_broken |= text->is_broken;
    add_data(out, text->data, text->len);
}

/* Send what is there, a few at a time. False when there is nothing more, or the stream ended. */
static bool send_some(jbi_conn *c)
{
    stream *t = c->session;
    jbi_htext *out = &c->out.open;
    size_t n_before = out->len;
    const jb_event *events;
    uint32_t n_sent = 0;
    int n = jbi_feed_peek(t->feed, &events, JBI_FEED_EVENTS);

    if (n < 0) {
        jbi_conn_end(c);
        return false;
    }
    while (n_sent < (uint32_t)n && !jbi_conn_is_full(c))
        add_event(c->host, t, &events[n_sent++], out);
    if (n && jbi_feed_take(t->feed, n_sent, out->len - n_before) < 0) {
        /* Evicted: it may have been torn while it was read. The next peek says what is gone. */
        out->len = n_before;
        jbi_render_forget(&c->host->service);
        return false;
    }
    return n > 0;
}

static void pump(jbi_conn *c)
{
    stream *t = c->session;

    jbi_htext_reset(&c->host->service.text, JBI_CONN_HIGH_WATER_BYTES);
    if (jbi_gate_may(c->host, &t->who, JBI_SCOPE_SUBSCRIBE) != JBI_GATE_OPEN)
        jbi_conn_end(c);
    while (c->state == JBI_CONN_OPEN && !jbi_conn_is_full(c) && send_some(c))
        ;
}

/* The client has nothing to say any more. */
static size_t feed(jbi_conn *c, const char *bytes, size_t n)
{
    return n;
}

static enum jbi_conn_part part(const jbi_conn *c)
{
    return JBI_CONN_STREAM;
}

static void expire(jbi_conn *c)
{
    jbi_htext_str(&c->out.open, ":\n\n");
}

static void drain(jbi_conn *c)
{
    jbi_conn_end(c);
}

const jbi_protocol jbi_sse = {.name = "sse",
                              .open = open_stream,
                              .close = close_stream,
                              .feed = feed,
                              .pump = pump,
                              .part = part,
                              .expire = expire,
                              .drain = drain};
