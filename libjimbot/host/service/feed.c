/*
 * feed: see feed.h. The descriptor of a subscription stays readable until a peek finds nothing; a
 * feed whose owner does not look, because its client does not read, is taken off the loop the next
 * time the loop finds it readable, and put on again by the peek that finds nothing.
 */
#include "host/service/feed.h"

#include "host/host.h"
#include "host/text/hmem.h"

#include <stdio.h>

/* Peeks of one call that find only events nobody wants: the loop's other clients wait no longer.
 * And the shortest time to hold publishers back. */
enum { ROUNDS_MAX = 64, HOLD_MIN_NS = 10 * 1000 * 1000 };

struct jbi_feed_poll {
    uv_poll_t handle;
    jb_host *host;
    jbi_feed *feed; /* NULL: closed */
};

static int refuse(jb_error *err, int code, const char *problem)
{
    if (err) {
        jb_error_init(err);
        err->code = code;
        snprintf(err->msg, sizeof(err->msg), "%s", problem);
    }
    return code;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct jbi_feed_poll *p = handle->data;
    jb_host *host = p->host;

    jbi_hmem_free(host->alloc, p, sizeof(*p));
    jbi_host_handle_closed(host);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct jbi_feed_poll *p = handle->data;
    jbi_feed *f = p->feed;

    if (!f)
        return;
    if (f->is_told) {
        f->is_stopped = true;
        uv_poll_stop(handle);
        return;
    }
    f->is_told = true;
    f->fn(f, f->userdata);
}

/* Nothing is left to look at: have the loop watch for more. */
static void rearm(jbi_feed *f)
{
    f->is_told = false;
    if (f->is_stopped && uv_poll_start(&f->poll->handle, UV_READABLE, on_readable) == 0)
        f->is_stopped = false;
}

static int watch(jbi_feed *f)
{
    struct jbi_feed_poll *p;
    int fd;
    int rc = jb_sub_fd(f->sub, &fd);

    if (rc < 0)
        return rc;
    p = jbi_hmem_zalloc(f->host->alloc, sizeof(*p));
    if (!p)
        return JB_ENOMEM;
    if (uv_poll_init(f->host->loop, &p->handle, fd) < 0) {
        jbi_hmem_free(f->host->alloc, p, sizeof(*p));
        return JB_ESYS;
    }
    p->handle.data = p;
    p->host = f->host;
    p->feed = f;
    f->poll = p;
    f->host->n_handles++;
    return uv_poll_start(&p->handle, UV_READABLE, on_readable) < 0 ? JB_ESYS : 0;
}

/* How long it may hold publishers back: what the client says, within what the host allows; long
 * enough that a turn of the loop does not end it. */
static uint64_t evict_after_ns(const jbi_feed *f, const jbi_feed_opts *o)
{
    uint64_t most_ns = f->host->opts.max_hold_ns;
    uint64_t ns = o->evict_after_ns;

    if (most_ns && (ns == 0 || ns > most_ns))
        ns = most_ns;
    return ns && ns < HOLD_MIN_NS ? HOLD_MIN_NS : ns;
}

static int subscribe(jbi_feed *f, const jbi_feed_opts *o, jb_error *err)
{
    jb_sub_opts opts;
    int rc;

    if (o->n_patterns == 0 || o->n_patterns > JBI_FEED_PATTERNS)
        return refuse(err, JB_EINVAL, "a subscription has 1 to 64 patterns");
    /* One of another type would replace one of these, and nobody would count it. */
    if (o->types && o->policy == JB_SUB_CONFLATE)
        return refuse(err, JB_EINVAL, "a subscription that conflates is to all types");
    jb_sub_opts_init(&opts, sizeof(opts));
    opts.policy = o->policy;
    opts.start = o->start == JBI_FEED_NOW ? JB_SUB_FROM_NOW : JB_SUB_FROM_OLDEST;
    opts.name = f->name;
    opts.evict_after_ns = evict_after_ns(f, o);
    opts.flags = o->is_high_first ? JB_SUB_HIGH_FIRST : 0;
    rc = jb_bus_subscribe(f->host->bus, o->patterns[0].data ? o->patterns[0].data : "",
                          o->patterns[0].len, &opts, &f->sub, err);
    for (uint32_t i = 1; i < o->n_patterns && rc == 0; i++) {
        rc = jb_sub_add(f->sub, o->patterns[i].data ? o->patterns[i].data : "", o->patterns[i].len);
        if (rc < 0 && err) {
            refuse(err, rc, "");
            snprintf(err->msg, sizeof(err->msg), "pattern %u, '%.*s', is not a topic pattern", i,
                     (int)(o->patterns[i].len < 127 ? o->patterns[i].len : 127),
                     o->patterns[i].data);
        }
    }
    return rc;
}

/* The sequence of the oldest event in the ring, or of the next one to come: where a subscription to
 * everything would begin. */
static int probe(const jbi_feed *f, uint32_t start, uint64_t *ret_sequence)
{
    jb_sub_stats at = {.size = sizeof(at)};
    jb_sub_opts opts;
    jb_sub *sub;
    int rc;

    jb_sub_opts_init(&opts, sizeof(opts));
    opts.policy = JB_SUB_LATEST;
    opts.start = start;
    rc = jb_bus_subscribe(f->host->bus, ">", 1, &opts, &sub, NULL);
    if (rc < 0)
        return rc;
    rc = jb_sub_get_stats(sub, &at);
    jb_sub_close(sub);
    *ret_sequence = at.next_sequence;
    return rc;
}

/* Whether the bus has come to the event before that sequence, or why nobody knows. The sums of the
 * statistics may lag a little behind what a client was shown; a cursor at the end does not. */
static int is_reached(const jbi_feed *f, const jb_sub_stats *oldest, uint64_t sequence)
{
    uint64_t newest;
    int rc;

    if (sequence <= oldest->next_sequence + oldest->lag_events)
        return 1;
    rc = probe(f, JB_SUB_FROM_NOW, &newest);
    return rc < 0 ? rc : sequence <= newest;
}

/* Begin at a sequence: the subscription begins with the oldest event there is, and what comes
 * before is passed over; what is no longer there counts as missed. */
static int seek(jbi_feed *f, const jbi_feed_opts *o)
{
    jb_sub_stats at = {.size = sizeof(at)};
    int rc = jb_sub_get_stats(f->sub, &at);

    if (rc < 0)
        return rc;
    f->first = at.next_sequence;
    if (o->start != JBI_FEED_SEQUENCE)
        return 0;
    rc = is_reached(f, &at, o->start_sequence);
    if (rc <= 0)
        return rc;
    if (o->start_sequence > f->first)
        f->first = f->from = o->start_sequence;
    else
        f->n_carried = f->first - o->start_sequence;
    return 0;
}

static void enlist(jbi_feed *f)
{
    jbi_service *s = &f->host->service;

    f->next = s->feeds;
    if (f->next)
        f->next->prev = f;
    s->feeds = f;
    s->n_feeds++;
    f->is_listed = true;
}

static void delist(jbi_feed *f)
{
    jbi_service *s = &f->host->service;

    if (!f->is_listed)
        return;
    if (f->prev)
        f->prev->next = f->next;
    else
        s->feeds = f->next;
    if (f->next)
        f->next->prev = f->prev;
    s->n_feeds--;
}

int jbi_feed_open(jb_host *host, const jbi_feed_opts *o, jbi_feed_fn fn, void *userdata,
                  jbi_feed **ret_feed, jb_error *err)
{
    jbi_feed *f = jbi_hmem_zalloc(host->alloc, sizeof(*f));
    int rc;

    if (!f)
        return refuse(err, JB_ENOMEM, "no memory for a subscription");
    f->host = host;
    f->fn = fn;
    f->userdata = userdata;
    f->via = o->via;
    f->types = o->types;
    f->policy = o->policy;
    f->is_high_first = o->is_high_first;
    snprintf(f->name, sizeof(f->name), "%.*s", (int)(o->name.len < 31 ? o->name.len : 31),
             o->name.data ? o->name.data : "");
    rc = subscribe(f, o, err);
    if (rc == 0)
        rc = seek(f, o);
    if (rc == 0) {
        rc = watch(f);
        if (rc < 0)
            refuse(err, rc, "no descriptor for a subscription");
    }
    if (rc < 0) {
        jbi_feed_close(f);
        return rc;
    }
    snprintf(f->pattern, sizeof(f->pattern), "%.*s", (int)o->patterns[0].len, o->patterns[0].data);
    enlist(f);
    *ret_feed = f;
    return 0;
}

void jbi_feed_close(jbi_feed *f)
{
    if (!f)
        return;
    delist(f);
    if (f->poll) {
        f->poll->feed = NULL;
        uv_close((uv_handle_t *)&f->poll->handle, on_poll_closed);
    }
    jb_sub_close(f->sub);
    jbi_hmem_free(f->host->alloc, f, sizeof(*f));
}

static bool is_wanted(const jbi_feed *f, const jb_event *e)
{
    return e->sequence >= f->from &&
           (f->types == 0 || (e->type < JBI_FEED_TYPES && f->types >> e->type & 1));
}

/* How many of those missed before an event were to be delivered: not the ones before `from`. What
 * is missed has left the ring, so all of it lies before the oldest event there is. */
static uint64_t missed_before(const jbi_feed *f, const jb_event *e)
{
    uint64_t oldest;

    if (f->from == 0 || e->n_missed == 0)
        return e->n_missed;
    if (e->sequence <= f->from)
        return 0;
    if (probe(f, JB_SUB_FROM_OLDEST, &oldest) < 0 || oldest > e->sequence)
        oldest = e->sequence;
    if (oldest <= f->from)
        return 0;
    return e->n_missed < oldest - f->from ? e->n_missed : oldest - f->from;
}

/* Leave only the wanted ones of n events, in place. */
static void select_wanted(jbi_feed *f, uint32_t n)
{
    uint64_t n_missed = f->n_carried;

    f->n_raw = n;
    f->n_shown = 0;
    for (uint32_t i = 0; i < n; i++) {
        jb_event *e = &f->events[i];

        n_missed += missed_before(f, e);
        if (!is_wanted(f, e))
            continue;
        e->n_missed = n_missed;
        n_missed = 0;
        f->raw_idx[f->n_shown] = (uint8_t)i;
        f->events[f->n_shown++] = *e;
    }
    f->n_trailing = n_missed;
}

int jbi_feed_peek(jbi_feed *f, const jb_event **ret_events, uint32_t n_max)
{
    if (n_max > JBI_FEED_EVENTS)
        n_max = JBI_FEED_EVENTS;
    *ret_events = f->events;
    for (int i = 0; i < ROUNDS_MAX; i++) {
        int n = jb_sub_peek(f->sub, f->events, n_max);

        if (n < 0)
            return n;
        if (n == 0)
            break;
        select_wanted(f, (uint32_t)n);
        if (f->n_shown)
            return (int)f->n_shown;
        if (jbi_feed_take(f, 0, 0) < 0)
            break;
    }
    rearm(f);
    return 0;
}

int jbi_feed_take(jbi_feed *f, uint32_t n, size_t n_bytes)
{
    /* With the last one shown go the unwanted ones behind it. */
    bool is_all = n == f->n_shown;
    uint32_t n_raw = is_all ? f->n_raw : n ? f->raw_idx[n - 1] + 1u : 0;
    int rc = n_raw ? jb_sub_advance_n(f->sub, n_raw) : 0;

    if (rc < 0) {
        f->n_raw = f->n_shown = 0;
        rearm(f);
        return rc;
    }
    for (uint32_t i = 0; i < n; i++)
        f->n_missed += f->events[i].n_missed;
    if (n || is_all)
        f->n_carried = is_all ? f->n_trailing : 0;
    /* The first that was wanted is gone; in their order nothing before it comes any more. */
    if (n && !f->is_high_first)
        f->from = 0;
    f->n_delivered += n;
    f->n_bytes += n_bytes;
    f->n_raw = f->n_shown = 0;
    return 0;
}
