/*
 * notice.c: what the bus tells about itself, as events on "system.bus.*".
 *
 * A handle that found a dead peer, cancelled a claim or evicted a subscription was in the midst of
 * something else then, so it only notes it, and publishes when its own call is done. One that finds
 * them as it comes in publishes when it is in.
 *
 * Invariant: a notice is published by the handle that changed something, so there is one for each
 * change; if that handle dies before, or the ring is full for long, the counters still tell. Of
 * open claims that are aborted where a dead peer is buried, the counters tell alone.
 */
#include "bus/bus_internal.h"
#include "schema/wire.h"

#include <stdio.h>
#include <string.h>

/* A notice's word: that there is one, what, the reader's index, the peer. Who makes it BUSY has it
 * alone, to write or to tell it. */
#define IS_NOTED (UINT64_C(1) << 63)
#define BUSY     UINT64_C(1)

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

/* Names come from shared memory, JBI_NAME_BYTES of them: nothing of them may end a JSON string. */
static void name_clean(char to[JBI_NAME_BYTES], const char *from)
{
    /* A copy first: what was looked at must be what is kept. */
    memcpy(to, from, JBI_NAME_BYTES - 1);
    to[JBI_NAME_BYTES - 1] = '\0';
    for (char *at = to; *at; at++)
        if (*at < ' ' || *at >= 127 || *at == '"' || *at == '\\')
            *at = '_';
}

static void notice_fill(const jb_bus *bus, struct jbi_notice *notice, uint32_t peer,
                        uint32_t reader_idx)
{
    static const char nobody[JBI_NAME_BYTES]; /* who has the subscription of a consumer group */
    const struct jbi_peer_slot *slot = jbi_peer_slot_get(&bus->peers, peer);

    notice->pid = slot ? slot->pid : 0;
    name_clean(notice->name, slot ? slot->name : nobody);
    name_clean(notice->sub_name, bus->ring.readers[reader_idx].name);
}

void jbi_notice_note(jb_bus *bus, enum jbi_ring_notice what, uint32_t peer, uint32_t reader_idx)
{
    for (uint32_t i = 0; i < JBI_NOTICES; i++) {
        struct jbi_notice *notice = &bus->notices[i];
        uint64_t none = 0;

        if (!atomic_compare_exchange_strong_explicit(&notice->word, &none, BUSY,
                                                     memory_order_acquire, memory_order_relaxed))
            continue;
        notice_fill(bus, notice, peer, reader_idx);
        atomic_store_explicit(&notice->word,
                              IS_NOTED | (uint64_t)what << 48 | (uint64_t)reader_idx << 16 | peer,
                              memory_order_release);
        atomic_store_explicit(&bus->has_notices, true, memory_order_release);
        return;
    }
}

static int text_make(const struct jbi_notice *notice, uint64_t word, char *text)
{
    uint32_t peer = (uint32_t)word & 0xffff;
    uint32_t idx = (uint32_t)(word >> 16) & 0xffff;
    uint32_t what = (uint32_t)(word >> 48) & 0x7fff;
    int len = snprintf(text, TEXT_BYTES, "{\"peer\":%u,\"pid\":%u,\"name\":\"%s\"", peer,
                       notice->pid, notice->name);

    if (what == JBI_NOTICE_READER_DIED || what == JBI_NOTICE_EVICTED)
        len += snprintf(text + len, (size_t)(TEXT_BYTES - len),
                        ",\"subscription\":%u,\"subscription_name\":\"%s\"", idx, notice->sub_name);
    return len + snprintf(text + len, (size_t)(TEXT_BYTES - len), "}");
}

/* False when there is no room for it now. */
static bool notice_publish(jb_bus *bus, const struct jbi_notice *notice, uint64_t word)
{
    uint32_t what = (uint32_t)(word >> 48) & 0x7fff;
    const char *type_name = notices[what].type_name, *topic = notices[what].topic;
    jb_event_head head = {.type = JB_EVENT_CUSTOM, .priority = JB_PRIORITY_HIGH};
    uint8_t bytes[TEXT_BYTES + 64], *at = bytes;
    char text[TEXT_BYTES];
    size_t text_len = (size_t)text_make(notice, word, text);
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
        struct jbi_notice *notice = &bus->notices[i];
        uint64_t word = atomic_load_explicit(&notice->word, memory_order_relaxed);

        if (!(word & IS_NOTED) ||
            !atomic_compare_exchange_strong_explicit(&notice->word, &word, BUSY,
                                                     memory_order_acquire, memory_order_relaxed))
            continue;
        if (!notice_publish(bus, notice, word)) {
            atomic_store_explicit(&notice->word, word, memory_order_release);
            atomic_store_explicit(&bus->has_notices, true, memory_order_release);
            return;
        }
        atomic_store_explicit(&notice->word, 0, memory_order_release);
    }
}
