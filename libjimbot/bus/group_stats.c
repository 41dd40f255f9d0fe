/*
 * group_stats.c: the figures of a consumer group, read out of the segment by anyone.
 *
 * Invariant: reading changes nothing. The place of a group is of one instant, its entries are of
 * another; while its workers go on the two may differ by what they did in between.
 */
#include "bus/group.h"

#include <string.h>

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void count_workers(const struct jbi_group_slot *group, jb_group_stats *stats)
{
    for (uint32_t i = 0; i < JB_GROUP_WORKERS_MAX; i++)
        stats->n_workers += jbi_worker_is_taken(load(&group->workers[i].word));
}

/* Who has it, if its worker is still there. */
static uint32_t holder(const struct jbi_group_slot *group, uint64_t word)
{
    uint64_t owner = load(&group->workers[jbi_entry_worker(word) % JB_GROUP_WORKERS_MAX].word);

    return jbi_entry_state(word) == JBI_ENTRY_HELD && jbi_worker_is_taken(owner) &&
                   jbi_worker_tag(owner) == jbi_entry_tag(word)
               ? jbi_worker_peer(owner)
               : 0;
}

static void count_entries(struct jbi_group_slot *group, const struct jbi_group_view *view,
                          jb_group_stats *stats)
{
    for (uint64_t number = view->first; number < view->next; number++) {
        const struct jbi_group_entry *entry = jbi_group_entry(group, number);
        uint64_t word = atomic_load_explicit(&entry->word, memory_order_acquire);
        enum jbi_entry_state state = jbi_entry_state(word);

        /* One of another lap has left the window since. */
        if (!jbi_entry_is(word, number))
            continue;
        stats->n_lost += state == JBI_ENTRY_LOST;
        stats->n_redelivered += jbi_entry_redeliveries(word);
        if (state != JBI_ENTRY_READY && state != JBI_ENTRY_HELD)
            continue;
        if (stats->n_pending++ == 0) {
            stats->oldest_sequence = load(&entry->sequence);
            stats->oldest_ns = load(&entry->taken_ns);
            stats->oldest_peer = holder(group, word);
        }
    }
    stats->n_delivered = view->next - JB_GROUP_PENDING_MAX;
    stats->n_acked = stats->n_delivered - stats->n_lost - stats->n_pending;
}

int jb_bus_group_stats(jb_bus *bus, uint32_t idx, jb_group_stats *ret_stats)
{
    struct jbi_group_slot *group;
    struct jbi_group_view view;
    jb_group_stats stats = {.idx = idx};
    uint64_t tail;
    int rc;

    if (!bus || !ret_stats || ret_stats->size < sizeof(uint32_t))
        return JB_EINVAL;
    if (!jbi_bus_is_usable(bus))
        return JB_ESTATE;
    if (idx >= bus->n_groups)
        return JB_ELIMIT;
    group = &bus->groups[idx];
    if (!jbi_group_is_in_use(group))
        return JB_ENOENT;
    rc = jbi_group_view_load(bus, group, &view);
    if (rc)
        return rc;
    count_workers(group, &stats);
    stats.is_holding = jbi_group_is_gated(bus, idx);
    stats.n_lost = view.n_lost;
    stats.n_redelivered = view.n_redelivered;
    stats.n_filtered = view.n_filtered;
    stats.n_missed = view.n_missed;
    count_entries(group, &view, &stats);
    tail = jbi_ring_tail(&bus->ring);
    stats.lag_bytes = tail > view.at.position ? tail - view.at.position : 0;
    stats.ack_timeout_ns = group->ack_timeout_ns;
    stats.evict_after_ns = group->evict_after_ns;
    stats.taking_peer = (uint32_t)load(&group->lock) & 0xff;
    memcpy(stats.name, group->name, sizeof stats.name - 1);
    memcpy(stats.pattern, group->pattern, sizeof stats.pattern - 1);
    stats.size = ret_stats->size;
    memcpy(ret_stats, &stats, stats.size < sizeof stats ? stats.size : sizeof stats);
    return 0;
}
