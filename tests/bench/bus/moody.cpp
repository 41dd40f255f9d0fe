// moody.cpp: moodycamel's concurrent queue: events of 64 bytes by value, one a call, with the
// tokens it is fastest with. It keeps the order of each writer, and each event goes to one reader.
//
// Invariant: the queue has no bound of its own, so the writer stays within a window of the reader.
#include <concurrentqueue/concurrentqueue.h>

#include <cstdint>

struct moody_event {
    std::uint8_t bytes[64];
};

using moody_queue = moodycamel::ConcurrentQueue<moody_event>;

extern "C" {
void *moody_new(std::size_t n_events);
void *moody_writer(void *queue);
void *moody_reader(void *queue);
void moody_put(void *queue, void *writer, const void *bytes);
bool moody_take(void *queue, void *reader, void *bytes);
}

void *moody_new(std::size_t n_events)
{
    return new moody_queue(n_events);
}

void *moody_writer(void *queue)
{
    return new moodycamel::ProducerToken(*static_cast<moody_queue *>(queue));
}

void *moody_reader(void *queue)
{
    return new moodycamel::ConsumerToken(*static_cast<moody_queue *>(queue));
}

void moody_put(void *queue, void *writer, const void *bytes)
{
    static_cast<moody_queue *>(queue)->enqueue(*static_cast<moodycamel::ProducerToken *>(writer),
                                               *static_cast<const moody_event *>(bytes));
}

bool moody_take(void *queue, void *reader, void *bytes)
{
    return static_cast<moody_queue *>(queue)->try_dequeue(
        *static_cast<moodycamel::ConsumerToken *>(reader), *static_cast<moody_event *>(bytes));
}
