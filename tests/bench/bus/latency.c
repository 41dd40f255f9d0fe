/*
 * latency.c: from one process to another while both are awake: a number goes there and back, and
 * half of that is one way. Beside ours the least there is: two processes that pass a cache line.
 *
 * Invariant: each turn reads the clock once, so the clock costs both alike; nobody pauses while it
 * waits.
 */
#include "ours.h"
#include "peers.h"

#include <stdlib.h>

enum { N_MOST_SAMPLES = 1000000 };

struct lines {
    _Alignas(BENCH_LINE) _Atomic uint64_t there;
    _Alignas(BENCH_LINE) _Atomic uint64_t back;
};

struct samples {
    uint64_t *ticks, n, last;
};

static void samples_begin(struct samples *samples, const struct flow *flow)
{
    samples->n = 0;
    samples->last = 0;
    samples->ticks = flow_memory((flow->shape.n_events + 1) * sizeof(uint64_t));
}

/* After each turn; turns of the warm-up leave no sample. */
static void samples_add(struct samples *samples, const struct flow *flow, uint64_t turn)
{
    uint64_t now = ticks_now();

    if (turn >= flow->shape.n_warm && samples->n < N_MOST_SAMPLES)
        samples->ticks[samples->n++] = now - samples->last;
    samples->last = now;
}

static uint64_t await(struct flow *flow, jb_sub *sub)
{
    jb_event event;
    uint64_t number;
    int n;

    while ((n = jb_sub_peek(sub, &event, 1)) == 0)
        ;
    if (n < 0)
        flow_fail(flow, "cannot peek: %s", jb_err_name(n));
    memcpy(&number, event.payload, sizeof number);
    jb_sub_advance(sub);
    return number;
}

static void ping(struct flow *flow, unsigned idx)
{
    jb_bus *bus = ours_open(flow);
    uint32_t topic_id = ours_topic(flow, bus, "bench.there");
    jb_sub *sub = ours_subscribe(flow, bus, "bench.back", JB_SUB_LOSSLESS);
    uint8_t *bytes = calloc(1, flow->shape.len_bytes);
    uint64_t n = flow_share(flow);
    struct samples samples;

    samples_begin(&samples, flow);
    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        stamp(bytes, flow->shape.len_bytes, idx, i);
        ours_send(flow, bus, topic_id, bytes);
        if (await(flow, sub) != i)
            flow_fail(flow, "lost: another number came back than %llu", (unsigned long long)i);
        samples_add(&samples, flow, i);
    }
    flow_samples(flow, samples.ticks, samples.n, 2);
    jb_sub_close(sub);
    jb_bus_close(bus);
    free(bytes);
}

static void echo(struct flow *flow, unsigned idx)
{
    jb_bus *bus = ours_open(flow);
    uint32_t topic_id = ours_topic(flow, bus, "bench.back");
    jb_sub *sub = ours_subscribe(flow, bus, "bench.there", JB_SUB_LOSSLESS);
    uint8_t *bytes = calloc(1, flow->shape.len_bytes);
    uint64_t n = flow_share(flow);

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        stamp(bytes, flow->shape.len_bytes, idx, await(flow, sub));
        ours_send(flow, bus, topic_id, bytes);
    }
    jb_sub_close(sub);
    jb_bus_close(bus);
    free(bytes);
}

static void prepare_ours(struct flow *flow)
{
    ours_create(flow, 64);
}

const struct peer ours_echo = {
    .name = "jimbot",
    .is_across = true,
    .prepare = prepare_ours,
    .write = ping,
    .read = echo,
    .finish = ours_remove,
};

static void prepare_lines(struct flow *flow)
{
    flow->state = flow_memory(sizeof(struct lines));
}

static void pass_there(struct flow *flow, unsigned idx)
{
    struct lines *lines = flow->state;
    uint64_t n = flow_share(flow);
    struct samples samples;

    samples_begin(&samples, flow);
    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        atomic_store_explicit(&lines->there, i + 1, memory_order_release);
        while (atomic_load_explicit(&lines->back, memory_order_acquire) != i + 1)
            ;
        samples_add(&samples, flow, i);
    }
    flow_samples(flow, samples.ticks, samples.n, 2);
}

static void pass_back(struct flow *flow, unsigned idx)
{
    struct lines *lines = flow->state;
    uint64_t n = flow_share(flow);

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        while (atomic_load_explicit(&lines->there, memory_order_acquire) != i + 1)
            ;
        atomic_store_explicit(&lines->back, i + 1, memory_order_release);
    }
}

const struct peer line_hand_off = {
    .name = "raw hand-off of a cache line",
    .is_across = true,
    .prepare = prepare_lines,
    .write = pass_there,
    .read = pass_back,
};
