/*
 * alone.c: what the calls cost when no cache line changes hands: publish without a subscriber, and
 * publish and poll by turns on one thread.
 *
 * Invariant: what is polled is checked as everywhere.
 */
#include "ours.h"
#include "peers.h"

#include <stdlib.h>

enum { TURN = 100 };

static void prepare(struct flow *flow)
{
    ours_create(flow, 64);
}

static void publish(struct flow *flow, jb_bus *bus, uint64_t from, uint64_t n)
{
    uint32_t topic_id = ours_topic(flow, bus, "bench.flow");
    uint8_t *bytes = calloc(1, flow->shape.len_bytes);

    for (uint64_t i = from; i < from + n; i++) {
        stamp(bytes, flow->shape.len_bytes, 0, i);
        ours_send(flow, bus, topic_id, bytes);
    }
    free(bytes);
}

static void write_alone(struct flow *flow, unsigned idx)
{
    jb_bus *bus = ours_open(flow);
    uint64_t begin_ns;

    publish(flow, bus, 0, flow->shape.n_warm);
    begin_ns = now_ns();
    publish(flow, bus, 0, flow->shape.n_events);
    flow_figure(flow, (double)(now_ns() - begin_ns) / (double)flow->shape.n_events);
}

static void one_turn(struct flow *flow, jb_bus *bus, jb_sub *sub, struct tally *tally)
{
    jb_event events[TURN];
    int n;

    publish(flow, bus, tally->n, TURN);
    n = jb_sub_peek(sub, events, TURN);
    if (n != TURN)
        flow_fail(flow, "lost: %d events of %d came", n, TURN);
    for (int i = 0; i < n; i++)
        tally_see(tally, events[i].payload, events[i].len_bytes);
    jb_sub_advance(sub);
}

static void write_turns(struct flow *flow, unsigned idx)
{
    jb_bus *bus = ours_open(flow);
    jb_sub *sub = ours_subscribe(flow, bus, "bench.>", JB_SUB_LOSSLESS);
    struct tally tally;

    tally_begin(&tally, flow, idx);
    while (tally_goes_on(&tally))
        one_turn(flow, bus, sub, &tally);
    flow_figure(flow, (double)(now_ns() - tally.begin_ns) / (double)(tally.n - tally.n_begin));
    jb_sub_close(sub);
}

const struct peer ours_alone = {
    .name = "jimbot, publish",
    .is_ring = true,
    .prepare = prepare,
    .write = write_alone,
    .finish = ours_remove,
};

const struct peer ours_turns = {
    .name = "jimbot, publish and poll",
    .is_ring = true,
    .prepare = prepare,
    .write = write_turns,
    .finish = ours_remove,
};
