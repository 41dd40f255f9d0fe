/*
 * notice.c: what the bus tells about itself, as events on "system.bus.*".
 *
 * A handle that found a dead peer, cancelled a claim or evicted a subscription was in the midst of
 * something else then, so it only notes it, and publishes when its own call is done.
 *
 * Invariant: a notice is published by the handle that changed something, so there is one for each
 * change; if that handle dies before, or the ring is full for long, the counters still tell.
 */
#include "bus/bus_internal.h"
#include "schema/wire.h"

#include <stdio.h>
#include <string.h>

enum { CUSTOM_FIELD = 63, TYPE_FIELD = 1, TYPE_NAME_FIELD = 3, TEXT_BYTES = 320 };

static const struct {
    const char *topic;
    const char *type_name;
} notices[] = {
    [JBI_NOTICE_ORPHAN] = {"system.bus.orphan", "BUS_ORPHAN"},
    [JBI_NOTICE_REVOKED] = {"system.bus.revoked", "BUS_REVOKED"},
    [JBI_NOTICE_READER_DIED] = {"system.bus.reader_died", "BUS_READER_DIED"},
    [JBI_NOTICE_EVICTED] = {"system.bus.evicted", "BUS_EVICTED"},
};

void jbi_notice_note(jb_bus *bus, enum jbi_ring_notice what, uint32_t peer, uint32_t reader_idx)
{
    uint64_t word = UINT64_C(1) << 63 | (uint64_t)what << 48 | (uint64_t)reader_idx << 16 | peer;

    for (uint32_t i = 0; i < JBI_NOTICES; i++) {
        uint64_t none = 0;

        if (atomic_compare_exchange_strong_explicit(&bus->notices[i], &none, word,
                                                    memory_order_release, memory_order_relaxed)) {
            atomic_store_explicit(&bus->has_notices, true, memory_order_release);
            return;
        }
    }
}

/* Names come from shared memory: nothing of them may end a JSON string. */
static void name_clean(char to[JBI_NAME_BYTES], const char *from)
{
    size_t n = strnlen(from, JBI_NAME_BYTES - 1);

    for (size_t i = 0; i < n; i++)
        to[i] =
            from[i] >= ' ' && from[i] < 127 && from[i] != '"' && from[i] != '\\' ? from[i] : '_';
    to[n] = '\0';
}

static int text_make(const jb_bus *bus, uint64_t word, char *text)
{
    uint32_t peer = (uint32_t)word & 0xffff;
    uint32_t idx = (uint32_t)(word >> 16) & 0xffff;
    uint32_t what = (uint32_t)(word >> 48) & 0x7fff;
    const struct jbi_peer_slot *slot = jbi_peer_slot_get(&bus->peers, peer);
    char name[JBI_NAME_BYTES] = "", sub_name[JBI_NAME_BYTES];
    int len;

    if (slot)
        name_clean(name, slot->name);
    len = snprintf(text, TEXT_BYTES, "{\"peer\":%u,\"pid\":%u,\"name\":\"%s\"", peer,
                   slot ? slot->pid : 0, name);
    if (what == JBI_NOTICE_READER_DIED || what == JBI_NOTICE_EVICTED) {
        name_clean(sub_name, bus->ring.readers[idx].name);
        len += snprintf(text + len, (size_t)(TEXT_BYTES - len),
                        ",\"subscription\":%u,\"subscription_name\":\"%s\"", idx, sub_name);
    }
    return len + snprintf(text + len, (size_t)(TEXT_BYTES - len), "}");
}

/* False when there is no room for it now. */
static bool notice_publish(jb_bus *bus, uint64_t word)
{
    uint32_t what = (uint32_t)(word >> 48) & 0x7fff;
    const char *type_name = notices[what].type_name, *topic = notices[what].topic;
    jb_event_head head = {.type = JB_EVENT_CUSTOM, .priority = JB_PRIORITY_HIGH};
    uint8_t bytes[TEXT_BYTES + 64], *at = bytes;
    char text[TEXT_BYTES];
    size_t text_len = (size_t)text_make(bus, word, text);
    size_t inner_len = 1 + jbi_wire_varint_bytes(text_len) + text_len;

    at = jbi_wire_put_tag(at, TYPE_FIELD, JBI_WIRE_VARINT);
    at = jbi_wire_put_varint(at, JB_EVENT_CUSTOM);
    at = jbi_wire_put_tag(at, TYPE_NAME_FIELD, JBI_WIRE_BYTES);
    at = jbi_wire_put_bytes(at, type_name, strlen(type_name));
    at = jbi_wire_put_tag(at, CUSTOM_FIELD, JBI_WIRE_BYTES);
    at = jbi_wire_put_varint(at, inner_len);
    at = jbi_wire_put_tag(at, 1, JBI_WIRE_BYTES);
    at = jbi_wire_put_bytes(at, text, text_len);
    if (jb_bus_topic(bus, topic, strlen(topic), &head.topic_id))
        return true;
    return jb_bus_publish(bus, &head, bytes, (size_t)(at - bytes)) != JB_EAGAIN;
}

void jbi_notices_publish(jb_bus *bus)
{
    /* Whoever clears the flag does it; publishing comes here again and finds it clear. */
    if (!atomic_exchange_explicit(&bus->has_notices, false, memory_order_acq_rel))
        return;
    for (uint32_t i = 0; i < JBI_NOTICES; i++) {
        uint64_t word = atomic_exchange_explicit(&bus->notices[i], 0, memory_order_acq_rel);

        if (word && !notice_publish(bus, word)) {
            atomic_store_explicit(&bus->notices[i], word, memory_order_release);
            atomic_store_explicit(&bus->has_notices, true, memory_order_release);
            return;
        }
    }
}
