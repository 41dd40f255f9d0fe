/*
 * ours.c: events over our bus: one writer's loop, one reader's loop, for threads and processes.
 *
 * Invariant: the topic filter is on in every figure: readers ask for "bench.>" and events carry
 * the topic "bench.flow".
 */
#include "ours.h"

#include <stdlib.h>

static jb_bus *shared_bus; /* of the run's process; its threads use it */

void ours_create(struct flow *flow, uint32_t max_subs)
{
    jb_bus_opts opts;
    jb_error err;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = bench_capacity_bytes;
    opts.max_subs = max_subs;
    if (jb_bus_create(flow->name, &opts, &shared_bus, &err))
        flow_fail(flow, "cannot create a bus: %.80s", err.msg);
}

jb_bus *ours_open(struct flow *flow)
{
    jb_bus *bus;
    jb_error err;

    if (!flow->peer->is_across)
        return shared_bus;
    if (jb_bus_attach(flow->name, NULL, &bus, &err))
        flow_fail(flow, "cannot attach to the bus: %.80s", err.msg);
    return bus;
}

void ours_close(struct flow *flow, jb_bus *bus)
{
    if (flow->peer->is_across)
        jb_bus_close(bus);
}

void ours_remove(struct flow *flow)
{
    if (shared_bus)
        jb_bus_close(shared_bus);
    shared_bus = NULL;
    (void)jb_bus_unlink(flow->name, NULL);
}

uint32_t ours_topic(struct flow *flow, jb_bus *bus, const char *name)
{
    uint32_t id = 0;
    int rc = jb_bus_topic(bus, name, strlen(name), &id);

    if (rc)
        flow_fail(flow, "no topic: %s", jb_err_name(rc));
    return id;
}

jb_sub *ours_subscribe(struct flow *flow, jb_bus *bus, const char *pattern, uint32_t policy)
{
    jb_sub_opts opts;
    jb_error err;
    jb_sub *sub;

    jb_sub_opts_init(&opts, sizeof opts);
    opts.policy = policy;
    opts.wait = flow->is_crowded ? JB_WAIT_SPIN : JB_WAIT_BUSY;
    if (flow->shape.mode & OURS_BLOCK)
        opts.wait = JB_WAIT_BLOCK;
    if (flow->shape.mode & OURS_SPIN) {
        opts.wait = JB_WAIT_SPIN;
        opts.spin_ns = OURS_SPIN_NS;
    }
    if (jb_bus_subscribe(bus, pattern, strlen(pattern), &opts, &sub, &err))
        flow_fail(flow, "cannot subscribe: %.80s", err.msg);
    return sub;
}

void ours_send(struct flow *flow, jb_bus *bus, uint32_t topic_id, const uint8_t *bytes)
{
    jb_event_head head = {.topic_id = topic_id, .type = JB_EVENT_CUSTOM};
    int rc;

    while ((rc = jb_bus_publish(bus, &head, bytes, flow->shape.len_bytes)) == JB_EAGAIN)
        flow_idle(flow);
    if (rc)
        flow_fail(flow, "cannot publish: %s", jb_err_name(rc));
}

static void send_claimed(struct flow *flow, jb_bus *bus, uint32_t topic_id, const uint8_t *bytes)
{
    jb_event_head head = {.topic_id = topic_id, .type = JB_EVENT_CUSTOM};
    jb_claim claim;
    int rc;

    while ((rc = jb_bus_claim(bus, &head, flow->shape.len_bytes, &claim)) == JB_EAGAIN)
        flow_idle(flow);
    if (rc)
        flow_fail(flow, "cannot claim: %s", jb_err_name(rc));
    memcpy(claim.payload, bytes, flow->shape.len_bytes);
    if ((rc = jb_bus_commit(bus, &claim, flow->shape.len_bytes)))
        flow_fail(flow, "cannot commit: %s", jb_err_name(rc));
}

/* Events become visible shape.batch at a time. Written in place, or copied by the call. */
struct batch {
    jb_event_head heads[OURS_BATCH_MOST];
    uint32_t lens[OURS_BATCH_MOST];
    uint8_t *slots[OURS_BATCH_MOST];
    const void *sources[OURS_BATCH_MOST];
};

static int claim_batch(struct flow *flow, jb_bus *bus, struct batch *batch, unsigned idx,
                       uint64_t first, uint32_t n)
{
    jb_batch open;
    int rc = jb_bus_claim_batch(bus, batch->heads, batch->lens, n, batch->slots, &open);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < n; i++)
        stamp(batch->slots[i], flow->shape.len_bytes, idx, first + i);
    return jb_bus_commit_batch(bus, &open);
}

static int copy_batch(struct flow *flow, jb_bus *bus, struct batch *batch, unsigned idx,
                      uint64_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        stamp(batch->slots[i], flow->shape.len_bytes, idx, first + i);
    return jb_bus_publish_batch(bus, batch->heads, batch->sources, batch->lens, n);
}

static struct batch *make_batch(const struct flow *flow, uint32_t topic_id)
{
    struct batch *batch = calloc(1, sizeof *batch);

    for (unsigned i = 0; i < flow->shape.batch; i++) {
        batch->heads[i] = (jb_event_head){.topic_id = topic_id, .type = JB_EVENT_CUSTOM};
        batch->lens[i] = (uint32_t)flow->shape.len_bytes;
        batch->slots[i] = calloc(1, flow->shape.len_bytes);
        batch->sources[i] = batch->slots[i];
    }
    return batch;
}

static void write_batches(struct flow *flow, jb_bus *bus, uint32_t topic_id, unsigned idx)
{
    struct batch *batch = make_batch(flow, topic_id);
    uint64_t n_all = flow_share(flow);

    flow_ready(flow);
    for (uint64_t i = 0; i < n_all;) {
        uint32_t n = n_all - i < flow->shape.batch ? (uint32_t)(n_all - i) : flow->shape.batch;
        int rc = flow->shape.mode & OURS_CLAIM ? claim_batch(flow, bus, batch, idx, i, n)
                                               : copy_batch(flow, bus, batch, idx, i, n);

        if (rc == JB_EAGAIN)
            flow_idle(flow);
        else if (rc)
            flow_fail(flow, "cannot publish a batch: %s", jb_err_name(rc));
        else
            i += n;
    }
}

static void write_singly(struct flow *flow, jb_bus *bus, uint32_t topic_id, unsigned idx)
{
    uint8_t *bytes = calloc(1, flow->shape.len_bytes);
    uint64_t n = flow_share(flow);

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        stamp(bytes, flow->shape.len_bytes, idx, i);
        if (flow->shape.mode & OURS_CLAIM)
            send_claimed(flow, bus, topic_id, bytes);
        else
            ours_send(flow, bus, topic_id, bytes);
    }
    free(bytes);
}

void ours_write(struct flow *flow, unsigned idx)
{
    jb_bus *bus = ours_open(flow);
    uint32_t topic_id = ours_topic(flow, bus, "bench.flow");

    if (flow->shape.batch)
        write_batches(flow, bus, topic_id, idx);
    else
        write_singly(flow, bus, topic_id, idx);
    ours_close(flow, bus);
}

static void see_copies(struct tally *tally, const jb_event *events, int n, uint8_t *out)
{
    for (int i = 0; i < n; i++) {
        memcpy(out, events[i].payload, events[i].len_bytes);
        tally_see(tally, out, events[i].len_bytes);
    }
}

void ours_receive(struct flow *flow, jb_sub *sub, unsigned idx)
{
    jb_event events[OURS_PEEK];
    uint8_t *out = malloc(flow->shape.len_bytes);
    struct tally tally;
    int n;

    tally_begin(&tally, flow, idx);
    while (tally_goes_on(&tally)) {
        n = jb_sub_peek(sub, events, OURS_PEEK);
        if (n < 0)
            flow_fail(flow, "cannot peek: %s", jb_err_name(n));
        if (n == 0) {
            (void)jb_sub_wait(sub, UINT64_MAX);
            continue;
        }
        if (flow->shape.mode & OURS_COPY_OUT)
            see_copies(&tally, events, n, out);
        else
            for (int i = 0; i < n; i++)
                tally_see(&tally, events[i].payload, events[i].len_bytes);
        jb_sub_advance(sub);
    }
    tally_end(&tally);
    free(out);
}

void ours_read(struct flow *flow, unsigned idx)
{
    jb_bus *bus = ours_open(flow);
    jb_sub *sub = ours_subscribe(flow, bus, "bench.>", JB_SUB_LOSSLESS);

    flow_ready(flow);
    ours_receive(flow, sub, idx);
    jb_sub_close(sub);
    ours_close(flow, bus);
}

static void prepare_ours(struct flow *flow)
{
    ours_create(flow, 64);
}

const struct peer ours_inside = {
    .name = "jimbot",
    .is_ring = true,
    .prepare = prepare_ours,
    .write = ours_write,
    .read = ours_read,
    .finish = ours_remove,
};

const struct peer ours_across = {
    .name = "jimbot",
    .is_ring = true,
    .is_across = true,
    .prepare = prepare_ours,
    .write = ours_write,
    .read = ours_read,
    .finish = ours_remove,
};
