/*
 * wake.c: from one process to another that sleeps in the kernel. Beside ours a bare futex.
 *
 * The writer waits until the reader said that it goes to sleep and then long enough for it to be
 * asleep. The event carries the clock of before the call.
 *
 * Invariant: the reader checks each number; a sample is the time from before the writer's call to
 * after the reader's.
 */
#include "ours.h"
#include "peers.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ASLEEP_NS = 100000 };

struct bell {
    _Alignas(BENCH_LINE) _Atomic uint32_t n_rung;
    _Atomic uint64_t rung_at;
};

static void until_asleep(struct flow *flow, uint64_t turn)
{
    uint64_t begin_ns;

    while (atomic_load(&flow->board->seen[0].n) != turn + 1)
        flow_idle(flow);
    begin_ns = now_ns();
    while (now_ns() - begin_ns < ASLEEP_NS)
        flow_idle(flow);
}

static void report(struct flow *flow, uint64_t *ticks, uint64_t n, uint64_t begin_ns)
{
    flow->board->figure.turn_ns = (double)(now_ns() - begin_ns) / (double)n;
    flow_samples(flow, ticks + flow->shape.n_warm, n - flow->shape.n_warm, 1);
}

static void ring_ours(struct flow *flow, unsigned idx)
{
    jb_bus *bus = ours_open(flow);
    uint32_t topic_id = ours_topic(flow, bus, "bench.flow");
    uint8_t *bytes = calloc(1, flow->shape.len_bytes);
    uint64_t n = flow_share(flow), at;

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        until_asleep(flow, i);
        stamp(bytes, flow->shape.len_bytes, idx, i);
        at = ticks_now();
        memcpy(bytes + 8, &at, sizeof at);
        ours_send(flow, bus, topic_id, bytes);
    }
    jb_bus_close(bus);
    free(bytes);
}

static void sleep_ours(struct flow *flow, unsigned idx)
{
    jb_bus *bus = ours_open(flow);
    jb_sub *sub = ours_subscribe(flow, bus, "bench.>", JB_SUB_LOSSLESS);
    uint64_t n = flow_share(flow), *ticks = flow_memory((n + 1) * sizeof *ticks);
    uint64_t number, at, now, begin_ns;
    jb_event event;

    flow_ready(flow);
    begin_ns = now_ns();
    for (uint64_t i = 0; i < n; i++) {
        atomic_store(&flow->board->seen[idx].n, i + 1);
        while (jb_sub_wait(sub, UINT64_MAX) == 0)
            ;
        now = ticks_now();
        if (jb_sub_peek(sub, &event, 1) != 1)
            flow_fail(flow, "woken for nothing");
        memcpy(&number, event.payload, sizeof number);
        memcpy(&at, event.payload + 8, sizeof at);
        if (number != i)
            flow_fail(flow, "lost: another number came than %llu", (unsigned long long)i);
        ticks[i] = now - at;
        jb_sub_advance(sub);
    }
    report(flow, ticks, n, begin_ns);
    jb_sub_close(sub);
    jb_bus_close(bus);
}

static void prepare_ours(struct flow *flow)
{
    ours_create(flow, 64);
}

const struct peer ours_wake = {
    .name = "jimbot, jb_sub_wait()",
    .is_across = true,
    .prepare = prepare_ours,
    .write = ring_ours,
    .read = sleep_ours,
    .finish = ours_remove,
};

static void prepare_bell(struct flow *flow)
{
    flow->state = flow_memory(sizeof(struct bell));
}

static void ring_bell(struct flow *flow, unsigned idx)
{
    struct bell *bell = flow->state;
    uint64_t n = flow_share(flow);

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        until_asleep(flow, i);
        atomic_store(&bell->rung_at, ticks_now());
        atomic_store(&bell->n_rung, (uint32_t)(i + 1));
        syscall(SYS_futex, &bell->n_rung, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

static void sleep_bell(struct flow *flow, unsigned idx)
{
    struct bell *bell = flow->state;
    uint64_t n = flow_share(flow), *ticks = flow_memory((n + 1) * sizeof *ticks), begin_ns;

    flow_ready(flow);
    begin_ns = now_ns();
    for (uint64_t i = 0; i < n; i++) {
        atomic_store(&flow->board->seen[idx].n, i + 1);
        while (atomic_load(&bell->n_rung) == (uint32_t)i)
            syscall(SYS_futex, &bell->n_rung, FUTEX_WAIT, (uint32_t)i, NULL, NULL, 0);
        ticks[i] = ticks_now() - atomic_load(&bell->rung_at);
    }
    report(flow, ticks, n, begin_ns);
}

const struct peer futex_wake = {
    .name = "bare futex",
    .is_across = true,
    .prepare = prepare_bell,
    .write = ring_bell,
    .read = sleep_bell,
};
