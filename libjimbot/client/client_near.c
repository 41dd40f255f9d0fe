/*
 * client_near: shm://: the same calls on a bus in this machine's memory, without a thread.
 *
 * Invariant: nothing waits here. An event is on the bus when publishing returns, or it was refused.
 */
#include "client/client_internal.h"
#include "client/client_sub.h"

#include <math.h>
#include <string.h>

int jbi_near_open(jb_client *c, jb_error *err)
{
    jb_bus_opts opts;

    jb_bus_opts_init(&opts, sizeof(opts));
    opts.alloc = c->opts.alloc;
    opts.peer_name = c->opts.name;
    return jb_bus_open(c->url.host, &opts, &c->bus, err);
}

static void count(jb_client *c, int rc)
{
    if (rc == 0) {
        jbi_count(&c->n.n_published, 1);
        jbi_count(&c->n.n_accepted, 1);
    } else if (rc == JB_EAGAIN) {
        jbi_count(&c->n.n_full, 1);
    }
}

int jbi_near_publish(jb_client *c, jbi_slice topic, uint32_t key, const jb_encoded *e)
{
    jb_event_head head = {
        .type = e->type, .priority = e->priority, .source_time = e->source_time, .key = key};
    int rc = jb_bus_topic(c->bus, topic.len ? topic.data : e->topic,
                          topic.len ? topic.len : e->topic_bytes, &head.topic_id);

    if (rc == 0)
        rc = jb_bus_publish(c->bus, &head, e->data, e->len_bytes);
    count(c, rc);
    return rc;
}

int jbi_near_subscribe(jb_client_sub *s, jb_error *err)
{
    jb_sub_opts opts;
    const char *pattern = s->patterns;
    int rc;

    jb_sub_opts_init(&opts, sizeof(opts));
    opts.policy = s->opts.policy;
    opts.start = s->opts.start == JB_CLIENT_FROM_NOW ? JB_SUB_FROM_NOW : JB_SUB_FROM_OLDEST;
    rc = jb_bus_subscribe(s->client->bus, pattern, strlen(pattern), &opts, &s->near, err);
    for (uint32_t i = 1; i < s->n_patterns && rc == 0; i++) {
        pattern += strlen(pattern) + 1;
        rc = jb_sub_add(s->near, pattern, strlen(pattern));
    }
    return rc;
}

static void look_at(jb_client_sub *s, const jb_event *e, jb_client_event *ret)
{
    uint64_t age = jb_clock_now_ns() - e->time_ns;
    int n = jb_bus_topic_name(s->client->bus, e->topic_id, &ret->topic);

    ret->sequence = e->sequence;
    ret->time_utc_ns = jb_clock_utc_ns() - age;
    ret->source_time = e->source_time;
    ret->payload = e->payload;
    ret->topic = n < 0 ? "" : ret->topic;
    ret->topic_bytes = n < 0 ? 0 : (uint32_t)n;
    ret->n_missed = e->n_missed;
    ret->len_bytes = e->len_bytes;
    ret->publisher = e->publisher;
    ret->key = e->key;
    ret->type = e->type;
    ret->priority = e->priority;
    ret->flags = e->flags;
    ret->_reserved = 0;
}

/* Pass over what lies before the sequence that was asked for. */
static int skip(jb_client_sub *s)
{
    int n, rc = 0;

    while (rc == 0 && (n = jb_sub_peek(s->near, s->near_events, 64)) > 0) {
        uint32_t n_old = 0;

        while (n_old < (uint32_t)n && s->near_events[n_old].sequence < s->opts.start_sequence)
            n_old++;
        if (n_old == 0)
            break;
        rc = jb_sub_advance_n(s->near, n_old);
    }
    return rc;
}

int jbi_near_peek(jb_client_sub *s, jb_client_event *events, uint32_t n_max)
{
    int n = s->opts.start == JB_CLIENT_FROM_SEQUENCE ? skip(s) : 0;

    if (n < 0)
        return n;
    n = jb_sub_peek(s->near, s->near_events, n_max < 64 ? n_max : 64);
    for (int i = 0; i < n; i++)
        look_at(s, &s->near_events[i], &events[i]);
    return n;
}
