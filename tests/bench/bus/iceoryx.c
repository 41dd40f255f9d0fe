/*
 * iceoryx.c: iceoryx by its C binding: loan a chunk, write, publish; take, read, release. Its
 * daemon RouDi is started for the row.
 *
 * A publisher that finds the queue full sleeps for a millisecond, which would be most of the
 * figure. So the writer keeps within a window of the reader here and never finds it full; if it
 * did, it would wait, so nothing is lost.
 *
 * Invariant: a queue holds what the library allows at most (256 chunks); the window is less.
 */
#include "peers.h"

#include <iceoryx_binding_c/log.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { QUEUE = 256, WINDOW = 192, TELL = 32 };

static int roudi;

static const char *start(void)
{
    const char *path = server_path("iox-roudi");
    const char *argv[] = {path, "--monitoring-mode", "off", "--log-level", "off", NULL};

    if (!path)
        return "skipped: no iox-roudi (package iceoryx)";
    roudi = server_start(path, argv);
    return roudi > 0 ? NULL : "skipped: cannot start iox-roudi";
}

static void stop(void)
{
    server_stop(roudi);
    roudi = 0;
}

static void join(const struct flow *flow, const char *end)
{
    char name[96];

    snprintf(name, sizeof name, "%s-%s", flow->name, end);
    iox_set_loglevel(Iceoryx_LogLevel_Error);
    iox_runtime_init(name);
}

static void *loan(struct flow *flow, iox_pub_t publisher)
{
    enum iox_AllocationResult rc;
    void *chunk = NULL;

    while ((rc = iox_pub_loan_chunk(publisher, &chunk, (uint32_t)flow->shape.len_bytes)) !=
           AllocationResult_SUCCESS) {
        if (rc != AllocationResult_RUNNING_OUT_OF_CHUNKS)
            flow_fail(flow, "iceoryx lends no chunk (%d)", (int)rc);
        flow_idle(flow);
    }
    return chunk;
}

/* Returns how far the reader is, once that is far enough for event i. */
static uint64_t wait_for_reader(struct flow *flow, uint64_t i)
{
    uint64_t told;

    while (i >=
           (told = atomic_load_explicit(&flow->board->seen[0].n, memory_order_acquire)) + WINDOW)
        flow_idle(flow);
    return told;
}

static void write_iceoryx(struct flow *flow, unsigned idx)
{
    iox_pub_storage_t storage;
    iox_pub_options_t options;
    iox_pub_t publisher;
    size_t len = flow->shape.len_bytes;
    uint8_t *bytes = calloc(1, len);
    uint64_t n = flow_share(flow), told = 0;

    join(flow, "writer");
    iox_pub_options_init(&options);
    options.subscriberTooSlowPolicy = ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
    publisher = iox_pub_init(&storage, "bench", flow->name, "flow", &options);
    flow_ready(flow);
    while (!iox_pub_has_subscribers(publisher))
        usleep(1000);
    for (uint64_t i = 0; i < n; i++) {
        void *chunk;

        if (i >= told + WINDOW)
            told = wait_for_reader(flow, i);
        chunk = loan(flow, publisher);
        stamp(bytes, len, idx, i);
        memcpy(chunk, bytes, len);
        iox_pub_publish_chunk(publisher, chunk);
    }
    while (atomic_load(&flow->board->seen[0].n) < n) /* what it closes is lost */
        usleep(1000);
    iox_pub_deinit(publisher);
    free(bytes);
}

static void read_iceoryx(struct flow *flow, unsigned idx)
{
    iox_sub_storage_t storage;
    iox_sub_options_t options;
    iox_sub_t subscriber;
    struct tally tally;
    const void *chunk;

    join(flow, "reader");
    iox_sub_options_init(&options);
    options.queueCapacity = QUEUE;
    options.queueFullPolicy = QueueFullPolicy_BLOCK_PRODUCER;
    subscriber = iox_sub_init(&storage, "bench", flow->name, "flow", &options);
    tally_begin(&tally, flow, idx);
    flow_ready(flow);
    while (tally_goes_on(&tally)) {
        if (iox_sub_take_chunk(subscriber, &chunk) != ChunkReceiveResult_SUCCESS) {
            flow_idle(flow);
            continue;
        }
        tally_see(&tally, chunk, flow->shape.len_bytes);
        iox_sub_release_chunk(subscriber, chunk);
        if (tally.n % TELL == 0)
            atomic_store_explicit(&flow->board->seen[idx].n, tally.n, memory_order_release);
    }
    tally_end(&tally);
    atomic_store(&flow->board->seen[idx].n, tally.n);
    iox_sub_deinit(subscriber);
}

const struct peer iceoryx = {
    .name = "iceoryx, untyped publisher, C binding",
    .is_across = true,
    .start = start,
    .stop = stop,
    .write = write_iceoryx,
    .read = read_iceoryx,
};
