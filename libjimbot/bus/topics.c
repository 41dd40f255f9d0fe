/*
 * topics.c: topic names of a bus.
 *
 * Invariant: a name handed out lies in the handle's own memory, checked when it was copied there,
 * so another process cannot change it under the caller.
 */
#include "bus/bus_internal.h"
#include "topic/pattern.h"

#include <string.h>

enum { LENGTH_BUSY = 255 };

int jb_bus_topic(jb_bus *bus, const char *name, size_t len_bytes, uint32_t *ret_topic_id)
{
    if (!bus || !name || !ret_topic_id || !jbi_topic_is_name(name, len_bytes))
        return JB_EINVAL;
    if (!jbi_bus_is_usable(bus))
        return JB_ESTATE;
    return jbi_topic_intern(&bus->topics, name, len_bytes, ret_topic_id);
}

int jb_bus_topic_name(jb_bus *bus, uint32_t topic_id, const char **ret_name)
{
    char name[128];
    uint8_t known, unknown = 0;
    int len;

    if (!bus || !ret_name)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(bus))
        return JB_ESTATE;
    if (topic_id < 1 || topic_id > bus->max_topics)
        return JB_ENOENT;
    known = atomic_load_explicit(&bus->cache.lengths[topic_id - 1], memory_order_acquire);
    if (known == 0) {
        len = jbi_topic_name(&bus->topics, topic_id, name);
        if (len < 0)
            return len;
        /* One thread copies; a second one that comes in these few nanoseconds waits for it
         * below. */
        if (atomic_compare_exchange_strong_explicit(&bus->cache.lengths[topic_id - 1], &unknown,
                                                    LENGTH_BUSY, memory_order_acq_rel,
                                                    memory_order_acquire)) {
            memcpy(bus->cache.names[topic_id - 1], name, sizeof name);
            atomic_store_explicit(&bus->cache.lengths[topic_id - 1], (uint8_t)len,
                                  memory_order_release);
        }
    }
    do {
        known = atomic_load_explicit(&bus->cache.lengths[topic_id - 1], memory_order_acquire);
    } while (known == LENGTH_BUSY);
    *ret_name = bus->cache.names[topic_id - 1];
    return known;
}
