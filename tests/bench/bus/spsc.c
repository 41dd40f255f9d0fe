/*
 * spsc.c: what the machine gives: one writer, one reader, bytes in and bytes out, nothing else. No
 * filter, no header but a length, no second reader, no crash safety.
 *
 * Each side caches the other's index, which is the best known way. The tail is published for each
 * record or for each 64.
 *
 * Invariant: tail - head never exceeds the capacity; the bytes between are the reader's.
 */
#include "peers.h"

#include <stdlib.h>

struct spsc {
    _Alignas(BENCH_LINE) _Atomic uint64_t tail;
    _Alignas(BENCH_LINE) _Atomic uint64_t head;
    _Alignas(BENCH_LINE) uint8_t bytes[];
};

enum {
    COPY_AT_ONCE = 16384, /* copy_in_out publishes so many bytes at once */
    READ_AT_ONCE = 256    /* records until the reader gives their room back */
};

static void prepare(struct flow *flow)
{
    flow->state = flow_memory(sizeof(struct spsc) + bench_capacity_bytes);
}

/* A record is a length and its bytes, in whole words; copy_in_out has fixed slots instead. */
static size_t record_bytes(const struct flow *flow)
{
    if (flow->peer == &copy_in_out)
        return flow->shape.len_bytes;
    return (flow->shape.len_bytes + sizeof(uint64_t) + 7) & ~(size_t)7;
}

static uint64_t at_once(const struct flow *flow)
{
    if (flow->peer == &spsc_each)
        return 1;
    if (flow->peer == &spsc_64)
        return 64;
    return flow->shape.len_bytes < COPY_AT_ONCE ? COPY_AT_ONCE / flow->shape.len_bytes : 1;
}

/* Bytes to skip so that the next record does not wrap; both sides reckon alike. */
static uint64_t skip(uint64_t at, size_t record)
{
    uint64_t left = bench_capacity_bytes - (at & (bench_capacity_bytes - 1));

    return left < record ? left : 0;
}

static void write_spsc(struct flow *flow, unsigned idx)
{
    struct spsc *ring = flow->state;
    size_t len = flow->shape.len_bytes, record = record_bytes(flow), front = record - len;
    uint64_t n = flow_share(flow), tail = 0, head = 0, every = at_once(flow);
    uint8_t *source = calloc(1, len);

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        uint8_t *to;

        tail += skip(tail, record);
        while (tail + record - head > bench_capacity_bytes) {
            atomic_store_explicit(&ring->tail, tail, memory_order_release);
            head = atomic_load_explicit(&ring->head, memory_order_acquire);
        }
        to = ring->bytes + (tail & (bench_capacity_bytes - 1));
        stamp(source, len, idx, i);
        if (front)
            memcpy(to, &len, sizeof len);
        memcpy(to + front, source, len);
        tail += record;
        if ((i + 1) % every == 0)
            atomic_store_explicit(&ring->tail, tail, memory_order_release);
    }
    atomic_store_explicit(&ring->tail, tail, memory_order_release);
    free(source);
}

static void read_spsc(struct flow *flow, unsigned idx)
{
    struct spsc *ring = flow->state;
    size_t len = flow->shape.len_bytes, record = record_bytes(flow), front = record - len;
    uint64_t head = 0, tail = 0;
    uint8_t *sink = malloc(len);
    struct tally tally;

    tally_begin(&tally, flow, idx);
    flow_ready(flow);
    while (tally_goes_on(&tally)) {
        tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == tail)
            flow_idle(flow);
        for (int i = 0; i < READ_AT_ONCE && head != tail; i++) {
            const uint8_t *from;
            size_t n_bytes = len;

            head += skip(head, record);
            if (head == tail)
                break;
            from = ring->bytes + (head & (bench_capacity_bytes - 1));
            if (front)
                memcpy(&n_bytes, from, sizeof n_bytes);
            memcpy(sink, from + front, n_bytes > len ? len : n_bytes);
            tally_see(&tally, sink, n_bytes);
            head += record;
        }
        atomic_store_explicit(&ring->head, head, memory_order_release);
    }
    tally_end(&tally);
    free(sink);
}

const struct peer spsc_each = {
    .name = "bare SPSC byte ring, tail per record",
    .is_ring = true,
    .prepare = prepare,
    .write = write_spsc,
    .read = read_spsc,
};

const struct peer spsc_64 = {
    .name = "bare SPSC byte ring, tail per 64",
    .is_ring = true,
    .prepare = prepare,
    .write = write_spsc,
    .read = read_spsc,
};

const struct peer copy_in_out = {
    .name = "memcpy in, memcpy out, nothing else",
    .is_ring = true,
    .prepare = prepare,
    .write = write_spsc,
    .read = read_spsc,
};
