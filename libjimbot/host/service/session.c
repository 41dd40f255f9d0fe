/*
 * session: see session.h.
 *
 * Deliveries go round among the subscriptions that may have something, so that none starves the
 * others. What was delivered and not acknowledged is remembered by its sequence, in the order of
 * delivery, which with high_first is not that of the sequences.
 */
#include "host/service/session.h"

#include "host/access/gate.h"
#include "host/host.h"
#include "host/service/alarm.h"
#include "host/service/orders.h"
#include "host/service/render.h"
#include "host/service/session_answer.h"
#include "host/service/session_request.h"
#include "host/text/hmem.h"

#include <stdio.h>

/* Bounds of a quiet time that is told. */
#define IDLE_MAX_NS UINT64_C(86400000000000)
enum { IDLE_MIN_MS = 10 };

typedef struct sub {
    jbi_session *session;
    jbi_feed *feed;
    uint64_t *unacked; /* sequences, with room for cap_unacked */
    uint32_t n_unacked;
    uint32_t cap_unacked;
    uint32_t max_unacked; /* 0: no acknowledgement is wanted */
    uint32_t id;
    uint32_t max_events;
    uint32_t dialect;
    uint64_t idle_ms;  /* after so long without events an empty delivery; 0: none */
    uint64_t quiet_ms; /* when that is, on the loop's clock */
    bool is_ready;     /* there may be something to peek at */
} sub;

struct jbi_session {
    jb_host *host;
    jbi_session_fn wake;
    void *userdata;
    const char *via;
    uint32_t form;
    jbi_who who;
    jbi_alarm *alarm; /* for empty deliveries; NULL until one is asked for */
    uint32_t n_subs;
    uint32_t turn; /* whose it is */
    sub *subs[JBI_SESSION_SUBS];
    char name[32];
};

int jbi_session_open(jb_host *host, const jbi_session_opts *o, jbi_session **ret_session)
{
    jbi_session *s = jbi_hmem_zalloc(host->alloc, sizeof(*s));

    if (!s)
        return JB_ENOMEM;
    s->host = host;
    s->wake = o->wake;
    s->userdata = o->userdata;
    s->via = o->via;
    s->form = o->form;
    s->who = *o->who;
    snprintf(s->name, sizeof(s->name), "%.*s", (int)(o->name.len < 31 ? o->name.len : 31),
             o->name.data ? o->name.data : "");
    *ret_session = s;
    return 0;
}

static void close_sub(sub *u)
{
    const jb_alloc *alloc = u->session->host->alloc;

    jbi_feed_close(u->feed);
    jbi_hmem_free(alloc, u->unacked, u->cap_unacked * sizeof(*u->unacked));
    jbi_hmem_free(alloc, u, sizeof(*u));
}

void jbi_session_close(jbi_session *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->n_subs; i++)
        close_sub(s->subs[i]);
    jbi_alarm_destroy(s->alarm);
    jbi_hmem_free(s->host->alloc, s, sizeof(*s));
}

/* Its place, n_subs when there is none. */
static uint32_t find(const jbi_session *s, uint32_t id)
{
    uint32_t i = 0;

    while (i < s->n_subs && s->subs[i]->id != id)
        i++;
    return i;
}

static void drop(jbi_session *s, uint32_t i)
{
    close_sub(s->subs[i]);
    s->subs[i] = s->subs[--s->n_subs];
}

static void on_feed(jbi_feed *feed, void *userdata)
{
    sub *u = userdata;

    u->is_ready = true;
    u->session->wake(u->session->userdata);
}

static void on_alarm(void *userdata)
{
    jbi_session *s = userdata;

    s->wake(s->userdata);
}

/* Have the alarm go off when the first of them has been quiet for long enough. */
static void set_alarm(jbi_session *s)
{
    uint64_t at_ms = UINT64_MAX;

    for (uint32_t i = 0; i < s->n_subs; i++) {
        if (s->subs[i]->idle_ms && s->subs[i]->quiet_ms < at_ms)
            at_ms = s->subs[i]->quiet_ms;
    }
    if (s->alarm && at_ms != UINT64_MAX)
        jbi_alarm_at(s->alarm, at_ms);
}

/* Begin to count the time without events. False when there is no memory for the alarm. */
static bool start_idle(jbi_session *s, sub *u, uint64_t idle_ns)
{
    if (idle_ns == 0)
        return true;
    if (!s->alarm)
        s->alarm = jbi_alarm_create(s->host, on_alarm, s);
    u->idle_ms = (idle_ns < IDLE_MAX_NS ? idle_ns : IDLE_MAX_NS) / 1000000u;
    u->idle_ms = u->idle_ms < IDLE_MIN_MS ? IDLE_MIN_MS : u->idle_ms;
    u->quiet_ms = uv_now(s->host->loop) + u->idle_ms;
    return s->alarm != NULL;
}

static uint32_t fault_of(int rc)
{
    return rc == JB_EINVAL                      ? JBI_FAULT_INVALID_ARGUMENT
           : rc == JB_ELIMIT || rc == JB_ENOMEM ? JBI_FAULT_RESOURCE_EXHAUSTED
                                                : JBI_FAULT_INTERNAL;
}

/* Open what was asked for. Returns 0 or a code. */
static int open_sub(jbi_session *s, const jbi_session_req *r, sub **ret_sub, jb_error *err)
{
    sub *u = jbi_hmem_zalloc(s->host->alloc, sizeof(*u));
    jbi_feed_opts opts;
    int rc;

    if (!u)
        return JB_ENOMEM;
    *u = (sub){.session = s,
               .id = r->subscription_id,
               .max_events = r->subscribe.max_events,
               .max_unacked = r->max_unacked,
               .dialect = r->dialect};
    jbi_msg_feed_opts(&r->subscribe, &opts);
    opts.via = s->via;
    if (!opts.name.len)
        opts.name = jbi_slice_str(s->name);
    rc = start_idle(s, u, r->subscribe.idle_ns)
             ? jbi_feed_open(s->host, &opts, on_feed, u, &u->feed, err)
             : JB_ENOMEM;
    if (rc < 0)
        close_sub(u);
    else
        *ret_sub = u;
    return rc;
}

static void subscribe(jbi_session *s, const jbi_session_req *r, const jbi_answerer *a)
{
    const uint32_t *id = &r->subscription_id;
    jb_error err;
    sub *u;
    int rc;

    jb_error_init(&err);
    if (find(s, *id) < s->n_subs) {
        jbi_answer_fault(a, JBI_FAULT_ALREADY_EXISTS, "there is a subscription of that id", id);
    } else if (s->n_subs == JBI_SESSION_SUBS) {
        jbi_answer_fault(a, JBI_FAULT_RESOURCE_EXHAUSTED, "a session has at most 64 subscriptions",
                         id);
    } else if (r->max_unacked > JBI_SESSION_UNACKED) {
        jbi_answer_fault(a, JBI_FAULT_INVALID_ARGUMENT, "max_unacked is at most 65536", id);
    } else if ((rc = open_sub(s, r, &u, &err)) < 0) {
        jbi_answer_fault(a, fault_of(rc), err.msg[0] ? err.msg : jb_strerror(rc), id);
    } else {
        s->subs[s->n_subs++] = u;
        set_alarm(s);
        jbi_answer_subscribed(a, u->id, u->feed->first);
    }
}

static void unsubscribe(jbi_session *s, const jbi_session_req *r, const jbi_answerer *a)
{
    uint32_t i = find(s, r->subscription_id);

    if (i == s->n_subs) {
        jbi_answer_fault(a, JBI_FAULT_NOT_FOUND, "there is no subscription of that id",
                         &r->subscription_id);
        return;
    }
    drop(s, i);
    jbi_answer_unsubscribed(a, r->subscription_id, NULL);
}

static void publish(jbi_session *s, const jbi_session_req *r, const jbi_answerer *a)
{
    jbi_publish_sum sum;
    int rc = jbi_publish_run(a->service, r->is_all_or_none ? JBI_PUBLISH_ALL_OR_NONE : 0, &sum);

    if (rc < 0)
        jbi_answer_fault(a, JBI_FAULT_INTERNAL, jb_strerror(rc), NULL);
    else
        jbi_answer_published(a);
}

static void command(jbi_session *s, const jbi_session_req *r, const jbi_answerer *a)
{
    int rc;

    jbi_publish_begin(a->service, &s->who);
    if (jbi_publish_reserve(a->service) < 0) {
        jbi_answer_fault(a, JBI_FAULT_RESOURCE_EXHAUSTED, "no memory: the command was not sent",
                         NULL);
        return;
    }
    rc = jbi_orders_send(a->service, &r->command);
    a->service->counters.n_commands += rc == 0;
    if (rc == JB_EINVAL)
        jbi_answer_fault(a, JBI_FAULT_INVALID_ARGUMENT, jbi_orders_rule, NULL);
    else if (jbi_publish_settle(a->service, rc) < 0)
        jbi_answer_fault(a, JBI_FAULT_INTERNAL, jb_strerror(rc), NULL);
    else
        jbi_answer_published(a);
}

/* Forget what is done; there may be room for more then. */
static void ack(jbi_session *s, const jbi_session_req *r)
{
    uint32_t i = find(s, r->subscription_id);
    uint32_t n = 0;
    sub *u;

    if (i == s->n_subs)
        return;
    u = s->subs[i];
    for (uint32_t k = 0; k < u->n_unacked; k++) {
        if (u->unacked[k] > r->sequence)
            u->unacked[n++] = u->unacked[k];
    }
    if (n == u->n_unacked)
        return;
    u->n_unacked = n;
    u->is_ready = true;
    s->wake(s->userdata);
}

static void ping(const jbi_session_req *r, const jbi_answerer *a)
{
    jbi_answer_pong(a, r->payload, jb_clock_now_ns() + a->service->utc_offset_ns);
}

/* What a step needs. */
static uint32_t scope_of(uint32_t step)
{
    switch (step) {
    case JBI_STEP_SUBSCRIBE:
        return JBI_SCOPE_SUBSCRIBE;
    case JBI_STEP_PUBLISH:
        return JBI_SCOPE_PUBLISH;
    case JBI_STEP_COMMAND:
        return JBI_SCOPE_COMMAND;
    default:
        return JBI_SCOPE_NONE;
    }
}

/* Whether the client may do a step, now and at this rate. */
static enum jbi_verdict admit(jbi_session *s, uint32_t scope)
{
    enum jbi_verdict v = jbi_gate_may(s->host, &s->who, scope);

    return v == JBI_GATE_OPEN && scope ? jbi_gate_take(s->host, &s->who) : v;
}

static void perform(jbi_session *s, const jbi_session_req *r, const jbi_answerer *a)
{
    switch (r->step) {
    case JBI_STEP_SUBSCRIBE:
        subscribe(s, r, a);
        break;
    case JBI_STEP_UNSUBSCRIBE:
        unsubscribe(s, r, a);
        break;
    case JBI_STEP_PUBLISH:
        publish(s, r, a);
        break;
    case JBI_STEP_ACK:
        ack(s, r);
        break;
    case JBI_STEP_COMMAND:
        command(s, r, a);
        break;
    default:
        ping(r, a);
        break;
    }
}

bool jbi_session_request(jbi_session *s, jbi_slice message, jbi_htext *out)
{
    jbi_answerer a = {
        .service = &s->host->service, .out = out, .is_json = s->form == JBI_SESSION_JSON};
    const size_t n_before = out->len;
    const uint64_t n_tried = s->host->service.counters.n_tried;
    enum jbi_verdict v = JBI_GATE_OPEN;
    jbi_session_req r;
    bool is_read;

    /* The rest is filled in by whoever reads a step that has it. */
    memset(&r, 0, offsetof(jbi_session_req, subscribe));
    /* Refreshes who it is: what comes with the request is judged by it as it is read. */
    jbi_gate_may(s->host, &s->who, JBI_SCOPE_NONE);
    jbi_publish_begin(a.service, &s->who);
    is_read = a.is_json ? jbi_session_read_json(a.service, message, &r)
                        : jbi_session_read_proto(a.service, message, &r);
    a.request_id = r.request_id;
    if (!is_read)
        jbi_answer_fault(&a, JBI_FAULT_INVALID_ARGUMENT, r.problem, NULL);
    else if ((v = admit(s, scope_of(r.step))) != JBI_GATE_OPEN)
        jbi_answer_fault(&a, (uint32_t)jbi_gate_grpc_status(v), jbi_gate_problem(v), NULL);
    else
        perform(s, &r, &a);
    if (is_read && v == JBI_GATE_OPEN)
        jbi_gate_charge(s->host, &s->who, n_tried);
    jbi_session_req_fini(&r);
    return out->len != n_before;
}

/* Append up to n events, and say how many fitted. */
static uint32_t add_events(const jbi_answerer *a, const sub *u, const jb_event *events, uint32_t n)
{
    size_t n_before = a->out->len;
    uint32_t i = 0;

    while (i < n && a->out->len - n_before < JBI_SESSION_DELIVERY_BYTES) {
        jbi_answer_delivery_add(a, &events[i], u->dialect, i == 0);
        i++;
    }
    return i;
}

/* How many events may be delivered now, with room to remember them; JB_ENOMEM when there is none
 * and no acknowledgement can make some. */
static int window(sub *u)
{
    uint32_t want = u->max_events < JBI_FEED_EVENTS ? u->max_events : JBI_FEED_EVENTS;
    uint32_t cap = u->cap_unacked ? u->cap_unacked * 2 : JBI_FEED_EVENTS;
    uint64_t *grown;

    if (u->max_unacked == 0)
        return (int)want;
    if (want > u->max_unacked - u->n_unacked)
        want = u->max_unacked - u->n_unacked;
    if (want <= u->cap_unacked - u->n_unacked)
        return (int)want;
    grown = jbi_hmem_realloc(u->session->host->alloc, u->unacked,
                             u->cap_unacked * sizeof(*u->unacked), cap * sizeof(*u->unacked));
    if (grown) {
        u->unacked = grown;
        u->cap_unacked = cap;
    }
    if (u->cap_unacked == 0)
        return JB_ENOMEM;
    return (int)(want < u->cap_unacked - u->n_unacked ? want : u->cap_unacked - u->n_unacked);
}

/* Append a delivery of a subscription. 1, 0 when there is none, JB_EEVICTED when what was read may
 * have been torn and is taken back, or the code it ended with. */
static int deliver(sub *u, const jbi_answerer *a)
{
    const size_t n_before = a->out->len;
    const int n_max = window(u);
    const jb_event *events;
    size_t mark;
    int n;

    if (n_max <= 0)
        return n_max;
    n = jbi_feed_peek(u->feed, &events, (uint32_t)n_max);
    if (n <= 0)
        return n;
    mark = jbi_answer_delivery(a, u->id);
    n = (int)add_events(a, u, events, (uint32_t)n);
    jbi_answer_delivery_end(a, mark);
    if (jbi_feed_take(u->feed, (uint32_t)n, a->out->len - n_before) < 0) {
        a->out->len = n_before;
        jbi_render_forget(a->service);
        return JB_EEVICTED;
    }
    u->quiet_ms = uv_now(u->session->host->loop) + u->idle_ms;
    for (int i = 0; u->max_unacked && i < n; i++)
        u->unacked[u->n_unacked++] = events[i].sequence;
    return 1;
}

/* Append an empty delivery of a subscription that was quiet for long enough, if there is one. */
static bool say_quiet(jbi_session *s, const jbi_answerer *a)
{
    uint64_t now_ms = uv_now(s->host->loop);

    for (uint32_t i = 0; s->alarm && i < s->n_subs; i++) {
        sub *u = s->subs[i];

        if (u->idle_ms == 0 || now_ms < u->quiet_ms)
            continue;
        u->quiet_ms = now_ms + u->idle_ms;
        jbi_answer_delivery_end(a, jbi_answer_delivery(a, u->id));
        return true;
    }
    if (s->alarm)
        set_alarm(s);
    return false;
}

bool jbi_session_next(jbi_session *s, jbi_htext *out)
{
    jbi_answerer a = {
        .service = &s->host->service, .out = out, .is_json = s->form == JBI_SESSION_JSON};

    if (s->n_subs && jbi_gate_may(s->host, &s->who, JBI_SCOPE_SUBSCRIBE) != JBI_GATE_OPEN) {
        jbi_answer_unsubscribed(&a, s->subs[0]->id, "the client may no longer subscribe");
        drop(s, 0);
        return true;
    }
    for (uint32_t i = 0; i < s->n_subs; i++) {
        uint32_t at = (s->turn + i) % s->n_subs;
        sub *u = s->subs[at];
        int rc = u->is_ready ? deliver(u, &a) : 0;

        /* Evicted: the feed calls again, and the peek then says what is gone. */
        if (rc == 0 || rc == JB_EEVICTED) {
            u->is_ready = false;
            continue;
        }
        s->turn = at + 1;
        if (rc < 0) {
            jbi_answer_unsubscribed(&a, u->id, jb_strerror(rc));
            drop(s, at);
        }
        return true;
    }
    return say_quiet(s, &a);
}
