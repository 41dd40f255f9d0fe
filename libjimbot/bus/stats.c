/*
 * stats.c: counters that any process reads out of the segment, without anyone's cooperation.
 *
 * Invariant: reading changes nothing. Counters of one peer or subscription are each exact; a set of
 * them is not a snapshot of one instant while the bus runs.
 */
#include "bus/bus_internal.h"

#include <string.h>

static uint64_t counter(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void name_copy(char *to, size_t cap_bytes, const char *from)
{
    memcpy(to, from, cap_bytes - 1);
    to[cap_bytes - 1] = '\0';
}

/* Shortens or zero-fills to the caller's idea of the struct. */
static int stats_give(void *to, uint32_t to_size, void *from, uint32_t from_size)
{
    if (to_size < sizeof(uint32_t))
        return JB_EINVAL;
    memcpy(from, &to_size, sizeof to_size);
    memcpy(to, from, to_size < from_size ? to_size : from_size);
    return 0;
}

static uint64_t n_published(const jb_bus *bus)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < bus->peers.n_slots; i++)
        n += jbi_peer_n_published(&bus->peers.slots[i]);
    return n;
}

/* Since when publishers have found a subscription in their way, 0 if it has moved since. */
static uint64_t held_since(const struct jbi_reader_slot *slot, uint64_t cursor)
{
    bool is_held =
        atomic_load_explicit(&slot->held_cursor, memory_order_acquire) == cursor && cursor != 0;

    return is_held ? counter(&slot->held_since_ns) : 0;
}

static bool is_asleep(const jb_bus *bus, uint32_t idx)
{
    return counter(&bus->ring.control->sleepers[idx / 64]) >> (idx % 64) & 1;
}

static int sub_stats(const jb_bus *bus, uint32_t idx, jb_sub_stats *ret_stats)
{
    const struct jbi_reader_slot *slot = &bus->ring.readers[idx];
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
    enum jbi_reader_state state = jbi_reader_state(word);
    uint64_t cursor = counter(&slot->cursor);
    uint64_t tail = jbi_ring_tail(&bus->ring);
    uint64_t n_before, n_all;
    jb_sub_stats stats = {0};

    if (!jbi_bus_is_usable(bus))
        return JB_ESTATE;
    if (state < JBI_READER_LATEST || state > JBI_READER_EVICTED)
        return JB_ENOENT;
    stats.idx = idx;
    stats.peer = jbi_reader_peer(word);
    stats.policy = slot->policy;
    stats.flags = slot->flags;
    stats.group = stats.peer ? 0 : atomic_load_explicit(&slot->group, memory_order_relaxed);
    stats.is_asleep = is_asleep(bus, idx);
    stats.n_delivered = counter(&slot->n_delivered);
    stats.n_filtered = counter(&slot->n_filtered);
    stats.n_missed = counter(&slot->n_missed);
    stats.n_conflated = counter(&slot->n_conflated);
    stats.n_evicted = counter(&slot->n_evicted);
    stats.lag_bytes = tail > cursor ? tail - cursor : 0;
    n_before = counter(&slot->n_before);
    n_all = n_published(bus);
    stats.next_sequence = n_before + 1;
    stats.lag_events = n_all > n_before ? n_all - n_before : 0;
    stats.evict_after_ns = slot->evict_after_ns;
    stats.held_since_ns = held_since(slot, cursor);
    name_copy(stats.name, sizeof stats.name, slot->name);
    name_copy(stats.pattern, sizeof stats.pattern, slot->pattern);
    return stats_give(ret_stats, ret_stats->size, &stats, sizeof stats);
}

int jb_sub_get_stats(const jb_sub *sub, jb_sub_stats *ret_stats)
{
    return sub && ret_stats ? sub_stats(sub->bus, sub->idx, ret_stats) : JB_EINVAL;
}

int jb_bus_sub_stats(jb_bus *bus, uint32_t idx, jb_sub_stats *ret_stats)
{
    if (!bus || !ret_stats)
        return JB_EINVAL;
    return idx < bus->max_subs ? sub_stats(bus, idx, ret_stats) : JB_ELIMIT;
}

/* Since when others have found an open claim of that peer in their way. */
static uint64_t stalled_since(const jb_bus *bus, uint32_t peer)
{
    const struct jbi_ring *ring = &bus->ring;
    uint64_t position =
        atomic_load_explicit(&ring->control->stalled_position, memory_order_acquire);
    uint64_t since = counter(&ring->control->stalled_since_ns);
    uint64_t mark = jbi_ring_mark_load(ring, position);
    bool is_open = position && jbi_mark_age(ring, mark, position) == 0 &&
                   jbi_mark_state(mark) == JBI_CLAIMED && jbi_mark_owner(mark) == peer;

    return is_open ? since : 0;
}

int jb_bus_peer_stats(jb_bus *bus, uint32_t idx, jb_peer_stats *ret_stats)
{
    const struct jbi_peer_slot *slot;
    jb_peer_stats stats = {0};

    if (!bus || !ret_stats || idx == 0)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(bus))
        return JB_ESTATE;
    slot = jbi_peer_slot_get(&bus->peers, idx);
    if (!slot)
        return JB_ELIMIT;
    if (atomic_load_explicit(&slot->state, memory_order_acquire) == 0)
        return JB_ENOENT;
    stats.idx = idx;
    stats.pid = slot->pid;
    stats.is_alive = jbi_peer_is_alive(&bus->peers, idx, bus->peer);
    stats.start_ns = slot->attached_ns;
    stats.n_published = jbi_peer_n_published(slot) - slot->base[0];
    stats.n_bytes = jbi_peer_n_bytes(slot) - slot->base[1];
    stats.n_aborted = counter(&slot->n_aborted) - slot->base[2];
    stats.n_full = counter(&slot->n_full) - slot->base[3];
    stats.n_over_budget = counter(&slot->n_over_budget) - slot->base_over_budget;
    stats.stalled_since_ns = stalled_since(bus, idx);
    name_copy(stats.name, sizeof stats.name, slot->name);
    return stats_give(ret_stats, ret_stats->size, &stats, sizeof stats);
}

static void sum_peers(const jb_bus *bus, jb_bus_stats *stats)
{
    for (uint32_t i = 0; i < bus->peers.n_slots; i++) {
        const struct jbi_peer_slot *slot = &bus->peers.slots[i];

        stats->n_peers += atomic_load_explicit(&slot->state, memory_order_relaxed) != 0;
        stats->n_published += jbi_peer_n_published(slot);
        stats->n_bytes += jbi_peer_n_bytes(slot);
        stats->n_aborted += counter(&slot->n_aborted);
        stats->n_full += counter(&slot->n_full);
        stats->n_over_budget += counter(&slot->n_over_budget);
    }
}

int jb_bus_get_stats(jb_bus *bus, jb_bus_stats *ret_stats)
{
    jb_bus_stats stats = {0};
    uint64_t head, tail;

    if (!bus || !ret_stats)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(bus))
        return JB_ESTATE;
    sum_peers(bus, &stats);
    for (uint32_t i = 0; i < bus->max_subs; i++)
        stats.n_subs += jbi_reader_state(counter(&bus->ring.readers[i].word)) >= JBI_READER_LATEST;
    stats.n_revoked = counter(&bus->ring.control->n_revoked);
    stats.stall_after_ns = bus->ring.stall_after_ns;
    head = jbi_head_position(counter(&bus->ring.control->head));
    tail = jbi_ring_tail(&bus->ring);
    stats.n_topics = atomic_load_explicit(&bus->topics.control->n_topics, memory_order_relaxed);
    stats.max_topics = bus->max_topics;
    stats.max_subs = bus->max_subs;
    stats.max_peers = bus->peers.n_slots;
    stats.peer = bus->peer;
    stats.capacity_bytes = bus->ring.capacity_bytes;
    stats.used_bytes = tail > head ? tail - head : 0;
    stats.utc_offset_ns = bus->segment.header.utc_offset_ns;
    return stats_give(ret_stats, ret_stats->size, &stats, sizeof stats);
}
