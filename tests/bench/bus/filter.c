/*
 * filter.c: does an event cost more where many patterns and topics are?
 *
 * "Among subscriptions": the one that reads is 1 of 1024, the others ask for other topics and are
 * never polled (they are latest, so they hold nobody up). "Among patterns": the one that reads has
 * 10000 patterns, and 1000 topics take turns.
 *
 * Invariant: with OURS_MANY or without, a reader gets the same numbers.
 */
#include "ours.h"
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>

enum { N_TOPICS = 1000, N_PATTERNS = 10000, N_SUBS = 1024 };

static uint32_t topic_ids[N_TOPICS];

static bool is_many(const struct flow *flow)
{
    return flow->shape.mode & OURS_MANY;
}

static void make_topics(struct flow *flow, jb_bus *bus)
{
    char name[64];

    for (unsigned i = 0; i < N_TOPICS; i++) {
        snprintf(name, sizeof name, "bench.%u.flow", i);
        topic_ids[i] = ours_topic(flow, bus, name);
    }
}

/* Of every kind a pattern can be; those of a number above 999 match nothing. */
static const char *pattern(unsigned i)
{
    static char text[64];
    static const char *const kinds[] = {"bench.%u.flow", "bench.%u.*", "*.%u.flow", "bench.%u.>",
                                        "bench.%u.other"};

    snprintf(text, sizeof text, kinds[i % 5], i / 5);
    return text;
}

static void add(struct flow *flow, jb_sub *sub, const char *text)
{
    int rc = jb_sub_add(sub, text, strlen(text));

    if (rc)
        flow_fail(flow, "cannot add a pattern: %s", jb_err_name(rc));
}

static void prepare_subs(struct flow *flow)
{
    unsigned n_left = N_PATTERNS - 1;
    jb_bus *bus;

    ours_create(flow, N_SUBS);
    if (!is_many(flow))
        return;
    bus = ours_open(flow);
    make_topics(flow, bus);
    for (unsigned i = 0; i < N_SUBS - 1; i++) {
        jb_sub *sub = ours_subscribe(flow, bus, pattern(--n_left), JB_SUB_LATEST);

        for (unsigned n = (n_left + 1) / (N_SUBS - 1 - i); n > 1 && n_left; n--)
            add(flow, sub, pattern(--n_left));
    }
}

/* Its bus is closed by the end of the process, with all those subscriptions on it. */
static void finish_subs(struct flow *flow)
{
    (void)jb_bus_unlink(flow->name, NULL);
}

const struct peer ours_among_subs = {
    .name = "jimbot",
    .is_ring = true,
    .prepare = prepare_subs,
    .write = ours_write,
    .read = ours_read,
    .finish = finish_subs,
};

static void prepare_patterns(struct flow *flow)
{
    ours_create(flow, 64);
    make_topics(flow, ours_open(flow));
}

static void write_patterns(struct flow *flow, unsigned idx)
{
    jb_bus *bus = ours_open(flow);
    unsigned n_topics = is_many(flow) ? N_TOPICS : 1, topic = 0;
    uint8_t *bytes = calloc(1, flow->shape.len_bytes);
    uint64_t n = flow_share(flow);

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        stamp(bytes, flow->shape.len_bytes, idx, i);
        ours_send(flow, bus, topic_ids[topic], bytes);
        topic = topic + 1 == n_topics ? 0 : topic + 1;
    }
    free(bytes);
}

/* A subscription compares a topic with its patterns once, when it first meets it. That is not what
 * an event costs. */
static void meet_topics(struct flow *flow, jb_bus *bus, jb_sub *sub)
{
    uint8_t *bytes = calloc(1, flow->shape.len_bytes);
    jb_event event;

    for (unsigned i = 0; i < N_TOPICS; i++) {
        ours_send(flow, bus, topic_ids[i], bytes);
        if (jb_sub_peek(sub, &event, 1) != 1)
            flow_fail(flow, "an event of a topic it asked for did not come");
        jb_sub_advance(sub);
    }
    free(bytes);
}

static void read_patterns(struct flow *flow, unsigned idx)
{
    jb_bus *bus = ours_open(flow);
    jb_sub *sub = ours_subscribe(flow, bus, pattern(0), JB_SUB_LOSSLESS);

    for (unsigned i = 1; is_many(flow) && i < N_PATTERNS; i++)
        add(flow, sub, pattern(i));
    if (is_many(flow))
        meet_topics(flow, bus, sub);
    flow_ready(flow);
    ours_receive(flow, sub, idx);
    jb_sub_close(sub);
}

const struct peer ours_among_patterns = {
    .name = "jimbot",
    .is_ring = true,
    .prepare = prepare_patterns,
    .write = write_patterns,
    .read = read_patterns,
    .finish = ours_remove,
};
