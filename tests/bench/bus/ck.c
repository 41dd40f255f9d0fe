/*
 * ck.c: Concurrency Kit's MPMC ring of pointers. It moves pointers, not bytes: the number travels
 * as the pointer itself. Each pointer goes to one reader.
 *
 * Invariant: a pointer is a number plus one, so none is NULL.
 */
#include "peers.h"

#include <ck_ring.h>

enum { N_SLOTS = 65536 };

struct pointers {
    ck_ring_t ring;
    ck_ring_buffer_t slots[N_SLOTS];
};

static void prepare(struct flow *flow)
{
    struct pointers *pointers = flow_memory(sizeof *pointers);

    ck_ring_init(&pointers->ring, N_SLOTS);
    flow->state = pointers;
}

static void write_ck(struct flow *flow, unsigned idx)
{
    struct pointers *pointers = flow->state;
    uint64_t n = flow_share(flow);

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        void *pointer = (void *)(uintptr_t)(((uint64_t)idx << 56 | i) + 1);

        while (!ck_ring_enqueue_mpmc(&pointers->ring, pointers->slots, pointer))
            flow_idle(flow);
    }
}

static void read_ck(struct flow *flow, unsigned idx)
{
    struct pointers *pointers = flow->state;
    struct tally tally;

    tally_begin(&tally, flow, idx);
    flow_ready(flow);
    while (tally_goes_on(&tally)) {
        void *pointer;
        uint64_t number;

        if (!ck_ring_dequeue_mpmc(&pointers->ring, pointers->slots, &pointer)) {
            flow_idle(flow);
            continue;
        }
        number = (uint64_t)(uintptr_t)pointer - 1;
        tally_see(&tally, &number, sizeof number);
    }
    tally_end(&tally);
}

const struct peer ck_mpmc = {
    .name = "Concurrency Kit ck_ring MPMC, pointers",
    .prepare = prepare,
    .write = write_ck,
    .read = read_ck,
};
