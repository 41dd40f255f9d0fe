/*
 * moody.c: the ends of a flow over moodycamel's queue; moody.cpp is the queue.
 */
#include "peers.h"

enum { WINDOW = 65536, EVENT_BYTES = 64 };

void *moody_new(size_t n_events);
void *moody_writer(void *queue);
void *moody_reader(void *queue);
void moody_put(void *queue, void *writer, const void *bytes);
bool moody_take(void *queue, void *reader, void *bytes);

static void prepare(struct flow *flow)
{
    flow->state = moody_new(WINDOW);
}

static void write_moody(struct flow *flow, unsigned idx)
{
    void *writer = moody_writer(flow->state);
    uint8_t bytes[EVENT_BYTES] = {0};
    uint64_t n = flow_share(flow);

    flow_ready(flow);
    for (uint64_t i = 0; i < n; i++) {
        if ((i & 1023) == 0)
            flow_wait_window(flow, i, WINDOW);
        stamp(bytes, sizeof bytes, idx, i);
        moody_put(flow->state, writer, bytes);
    }
}

static void read_moody(struct flow *flow, unsigned idx)
{
    void *reader = moody_reader(flow->state);
    uint8_t bytes[EVENT_BYTES];
    struct tally tally;

    tally_begin(&tally, flow, idx);
    flow_ready(flow);
    while (tally_goes_on(&tally)) {
        if (!moody_take(flow->state, reader, bytes)) {
            flow_idle(flow);
            continue;
        }
        tally_see(&tally, bytes, sizeof bytes);
        tally_tell(&tally);
    }
    tally_end(&tally);
}

const struct peer moody = {
    .name = "moodycamel ConcurrentQueue",
    .prepare = prepare,
    .write = write_moody,
    .read = read_moody,
};
