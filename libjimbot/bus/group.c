/*
 * group.c: how the workers of a group take events.
 *
 * Invariant: an event between the place where the group began and where it is now is in exactly one
 * of these: acknowledged, lost, pending (in the window), filtered, missed. All but "pending ->
 * acknowledged" change under the lock and by one store of `turn`.
 *
 * The bytes of pending events are held by a reader's slot that belongs to nobody (peer 0) but names
 * its group: it stays while the group has a living worker, whoever made it. One without is freed
 * when publishers need the room: see jbi_group_is_alive().
 */
#include "bus/group.h"
#include "base/os.h"
#include "bus/scan.h"

#include <string.h>

enum { LOADS_MAX = 65536 };

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* Do these bytes lie in one lap of the log? What comes from shared memory is asked before it is
 * used. */
static bool span_is_sane(const struct jbi_ring *ring, uint64_t position, uint64_t end)
{
    uint64_t at = position & (ring->capacity_bytes - 1);

    return position % 8 == 0 && end > position && end - position <= ring->capacity_bytes - at;
}

static bool view_is_sane(const jb_bus *bus, const struct jbi_group_view *view)
{
    if (view->next < view->first || view->next - view->first > JB_GROUP_PENDING_MAX)
        return false;
    return view->at.n_left == 0 ? view->at.position % JBI_BLOCK_BYTES == 0
                                : span_is_sane(&bus->ring, view->at.position, view->at.extent_end);
}

int jbi_group_view_load(const jb_bus *bus, const struct jbi_group_slot *group,
                        struct jbi_group_view *ret_view)
{
    struct jbi_group_view view;

    for (uint32_t i = 0; i < LOADS_MAX; i++) {
        /* In one order with acknowledging and unlocking: see settle() of a worker. */
        uint64_t turn = atomic_load_explicit(&group->turn, memory_order_seq_cst);
        const struct jbi_group_place *place = &group->places[turn & 1];

        view.first = load(&place->first);
        view.next = load(&place->next);
        view.at.position = load(&place->position);
        view.at.n_before = load(&place->n_before);
        view.at.extent_end = load(&place->extent_end);
        view.at.n_left = (uint32_t)load(&place->n_left) & JBI_EXTENT_BLOCKS_MAX;
        view.n_filtered = load(&place->n_filtered);
        view.n_missed = load(&place->n_missed);
        view.n_untold = load(&place->n_untold);
        view.n_lost = load(&place->n_lost);
        view.n_redelivered = load(&place->n_redelivered);
        view.returns_seen = load(&place->returns_seen);
        atomic_thread_fence(memory_order_acquire);
        /* The place that counts is not written to before the turn has passed. */
        if (load(&group->turn) == turn) {
            *ret_view = view;
            return view_is_sane(bus, &view) ? 0 : JB_ECORRUPT;
        }
    }
    return JB_ECORRUPT; /* no group is that busy */
}

void jbi_group_view_store(struct jbi_group_slot *group, const struct jbi_group_view *view)
{
    uint64_t turn = load(&group->turn) + 1;
    struct jbi_group_place *place = &group->places[turn & 1];

    /* Whoever reads a word of this place while we write it sees that the turn has passed. */
    atomic_thread_fence(memory_order_release);
    store(&place->first, view->first);
    store(&place->next, view->next);
    store(&place->position, view->at.position);
    store(&place->n_before, view->at.n_before);
    store(&place->extent_end, view->at.extent_end);
    store(&place->n_left, view->at.n_left);
    store(&place->n_filtered, view->n_filtered);
    store(&place->n_missed, view->n_missed);
    store(&place->n_untold, view->n_untold);
    store(&place->n_lost, view->n_lost);
    store(&place->n_redelivered, view->n_redelivered);
    store(&place->returns_seen, view->returns_seen);
    atomic_store_explicit(&group->turn, turn, memory_order_seq_cst);
}

/* Of the oldest event that the group has not done with. */
static uint64_t hold_position(struct jbi_group_slot *group, const struct jbi_group_view *view)
{
    return view->first < view->next ? load(&jbi_group_entry(group, view->first)->position)
                                    : view->at.position;
}

static struct jbi_reader_slot *gate_slot(const jb_bus *bus, uint32_t group_idx)
{
    uint64_t gate = atomic_load_explicit(&bus->groups[group_idx].gate, memory_order_acquire);

    return gate >= 1 && gate <= bus->max_subs ? &bus->ring.readers[gate - 1] : NULL;
}

/* The word of its reader's slot, if that is in the given state; else 0. */
static uint64_t gate_word(const jb_bus *bus, uint32_t group_idx, enum jbi_reader_state state)
{
    const struct jbi_reader_slot *slot = gate_slot(bus, group_idx);
    uint64_t word = slot ? atomic_load_explicit(&slot->word, memory_order_acquire) : 0;

    return jbi_reader_state(word) == state && jbi_reader_peer(word) == 0 && slot &&
                   atomic_load_explicit(&slot->group, memory_order_relaxed) == group_idx + 1
               ? word
               : 0;
}

bool jbi_group_is_gated(const jb_bus *bus, uint32_t group_idx)
{
    return gate_word(bus, group_idx, JBI_READER_LOSSLESS) != 0;
}

void jbi_group_gate_touch(jb_bus *bus, uint32_t group_idx)
{
    uint64_t word = gate_word(bus, group_idx, JBI_READER_LOSSLESS);

    if (word)
        (void)atomic_compare_exchange_strong_explicit(&gate_slot(bus, group_idx)->word, &word,
                                                      jbi_reader_word(word, 0, JBI_READER_LOSSLESS),
                                                      memory_order_seq_cst, memory_order_relaxed);
}

void jbi_group_gate_free(jb_bus *bus, uint32_t group_idx)
{
    uint64_t gate = atomic_load_explicit(&bus->groups[group_idx].gate, memory_order_relaxed);
    uint64_t word = gate_word(bus, group_idx, JBI_READER_LOSSLESS);

    /* A publisher may free or evict it at the same time; an evicted one stays so. */
    if (word && jbi_reader_release(&bus->ring, (uint32_t)gate - 1, word))
        return;
    word = gate_word(bus, group_idx, JBI_READER_EVICTED);
    if (word)
        (void)jbi_reader_release(&bus->ring, (uint32_t)gate - 1, word);
}

void jbi_group_settle(const jb_bus *bus, uint32_t group_idx, struct jbi_group_view *view)
{
    struct jbi_group_slot *group = &bus->groups[group_idx];
    struct jbi_reader_slot *slot = gate_slot(bus, group_idx);

    while (view->first < view->next) {
        uint64_t word =
            atomic_load_explicit(&jbi_group_entry(group, view->first)->word, memory_order_seq_cst);
        enum jbi_entry_state state = jbi_entry_state(word);

        if (state != JBI_ENTRY_ACKED && state != JBI_ENTRY_LOST)
            break;
        view->n_lost += state == JBI_ENTRY_LOST;
        view->n_redelivered += jbi_entry_redeliveries(word);
        view->first++;
    }
    jbi_group_view_store(group, view);
    if (!slot || !jbi_group_is_gated(bus, group_idx))
        return;
    store(&slot->n_delivered, view->next - JB_GROUP_PENDING_MAX);
    store(&slot->n_filtered, view->n_filtered);
    store(&slot->n_missed, view->n_missed);
    store(&slot->n_before, view->at.n_before);
    /* Pairs with the acquire in readers_limit(): nobody looks at a byte before this any more. After
     * the view, so that a death in between holds too much and not too little. */
    atomic_store_explicit(&slot->cursor, hold_position(group, view), memory_order_release);
}

/* Publishers went on without us: what they took is missed, or lost where a worker had it. */
static void losses(const jb_bus *bus, struct jbi_group_slot *group, struct jbi_group_view *view)
{
    struct jbi_cursor oldest;

    jbi_cursor_oldest(&bus->ring, &oldest);
    for (uint64_t number = view->first; number < view->next; number++) {
        struct jbi_group_entry *entry = jbi_group_entry(group, number);
        uint64_t word = load(&entry->word);

        if (load(&entry->position) >= oldest.position)
            break;
        while (jbi_entry_state(word) < JBI_ENTRY_ACKED &&
               !atomic_compare_exchange_weak_explicit(&entry->word, &word,
                                                      jbi_entry_with_state(word, JBI_ENTRY_LOST),
                                                      memory_order_seq_cst, memory_order_relaxed))
            ;
    }
    if (view->at.position >= oldest.position)
        return;
    view->n_missed += oldest.n_before - view->at.n_before;
    view->n_untold += oldest.n_before - view->at.n_before;
    view->at = oldest;
}

static uint64_t head_position(const jb_bus *bus)
{
    return jbi_head_position(atomic_load_explicit(&bus->ring.control->head, memory_order_acquire));
}

/* A reader's slot to hold publishers back with: the one we were evicted from, or a new one. */
static struct jbi_reader_slot *gate_slot_take(jb_bus *bus, uint32_t group_idx)
{
    struct jbi_group_slot *group = &bus->groups[group_idx];
    struct jbi_reader_slot *slot = gate_slot(bus, group_idx);
    uint64_t word;
    uint32_t idx;

    if (gate_word(bus, group_idx, JBI_READER_EVICTED))
        return slot;
    if (!jbi_reader_slot_take(bus, &idx, &word))
        return NULL;
    slot = &bus->ring.readers[idx];
    atomic_store_explicit(&slot->group, group_idx + 1, memory_order_relaxed);
    memcpy(slot->name, group->name, sizeof slot->name);
    memcpy(slot->pattern, group->pattern, sizeof slot->pattern);
    slot->policy = JB_SUB_LOSSLESS;
    slot->flags = 0;
    slot->evict_after_ns = group->evict_after_ns;
    store(&slot->n_evicted, 0);
    store(&slot->n_conflated, 0);
    /* Before it holds anybody back: one that does, and that no group names, is freed. */
    atomic_store_explicit(&group->gate, idx + 1, memory_order_release);
    return slot;
}

int jbi_group_gate(jb_bus *bus, uint32_t group_idx, struct jbi_group_view *view)
{
    struct jbi_group_slot *group = &bus->groups[group_idx];
    struct jbi_cursor at = {0};
    struct jbi_reader_slot *slot;

    if (jbi_group_is_gated(bus, group_idx)) {
        /* The head passes no place that is held: whoever held it again died before he had counted
         * what was lost until then. */
        if (hold_position(group, view) < head_position(bus))
            losses(bus, group, view);
        return 0;
    }
    slot = gate_slot_take(bus, group_idx);
    if (!slot)
        return JB_ELIMIT;
    if (gate_word(bus, group_idx, JBI_READER_EVICTED))
        jbi_count(&slot->n_evicted, 1);
    at.position = hold_position(group, view);
    (void)jbi_reader_gate(&bus->ring, slot, 0, &at);
    losses(bus, group, view);
    return 0;
}

static bool wants(struct jb_worker *worker, uint32_t topic_id)
{
    uint8_t verdict;
    const char *name;
    int len;

    if (topic_id > worker->bus->max_topics)
        return false;
    verdict = worker->filter.verdicts[topic_id];
    if (verdict == JBI_VERDICT_UNKNOWN) {
        len = jb_bus_topic_name(worker->bus, topic_id, &name);
        verdict =
            (uint8_t)(len < 0 ? JBI_VERDICT_SKIP
                              : jbi_filter_decide(&worker->filter, topic_id, name, (size_t)len));
    }
    return verdict == JBI_VERDICT_PASS;
}

/* What one call takes. */
struct haul {
    jb_event *events;
    uint32_t n_max;
    uint32_t n;
    bool has_more;
    bool is_end; /* nothing new in the ring */
    uint64_t now_ns;
};

static void entry_fill(struct jb_worker *worker, uint64_t number, struct jbi_group_entry *entry,
                       const struct jbi_cursor *at, uint64_t now_ns)
{
    store(&entry->position, at->position);
    store(&entry->extent_end, at->extent_end);
    store(&entry->sequence, at->n_before + 1);
    store(&entry->taken_ns, now_ns);
    store(&entry->word,
          jbi_entry_word(number, 1, jbi_worker_tag(worker->word), worker->idx, JBI_ENTRY_HELD));
}

static void hold(struct jb_worker *worker, uint64_t number)
{
    const struct jbi_group_entry *entry = jbi_group_entry(worker->group, number);

    *jbi_holding(worker, number) =
        (struct jbi_holding){number, load(&entry->sequence), load(&entry->position)};
    if (worker->low == worker->high)
        worker->low = worker->high = number;
    worker->low = number < worker->low ? number : worker->low;
    worker->high = number >= worker->high ? number + 1 : worker->high;
    /* Older ones were taken from us long ago, and their room is gone. */
    if (worker->high - worker->low > JB_GROUP_PENDING_MAX)
        worker->low = worker->high - JB_GROUP_PENDING_MAX;
}

/* New events, from the group's cursor on, into entries behind the window; they are taken when the
 * view is stored. */
static int take_new(struct jb_worker *worker, struct jbi_group_view *view, struct haul *haul)
{
    const struct jbi_ring *ring = &worker->bus->ring;

    while (view->next - view->first < JB_GROUP_PENDING_MAX) {
        struct jbi_cursor at = view->at, next;
        struct jbi_record record;
        const uint8_t *payload = NULL;
        int rc = at.n_left ? JBI_STEP_EVENT : jbi_cursor_open(ring, &at);

        if (rc == JBI_STEP_END)
            view->at = at;
        if (rc != JBI_STEP_EVENT) {
            haul->is_end = rc == JBI_STEP_END;
            return haul->is_end ? 0 : rc < 0 ? rc : JB_ECORRUPT;
        }
        next = at;
        rc = jbi_cursor_step(ring, &next, &record, &payload);
        if (rc != JBI_STEP_EVENT)
            return rc < 0 ? rc : JB_ECORRUPT;
        if (!wants(worker, record.topic_id)) {
            view->n_filtered++;
            view->at = next;
            continue;
        }
        if (haul->n == haul->n_max) {
            haul->has_more = true;
            break;
        }
        entry_fill(worker, view->next, jbi_group_entry(worker->group, view->next), &at,
                   haul->now_ns);
        jbi_event_fill(&haul->events[haul->n], &record, payload, next.n_before, view->n_untold);
        haul->events[haul->n++].n_deliveries = 1;
        view->n_untold = 0;
        view->next++;
        view->at = next;
    }
    return 0;
}

/* May this entry be taken from whoever has it? */
static bool is_returned(const struct jb_worker *worker, const struct jbi_group_entry *entry,
                        uint64_t word, uint64_t now_ns)
{
    const struct jbi_group_slot *group = worker->group;
    uint32_t idx = jbi_entry_worker(word);
    uint64_t owner, taken_ns = load(&entry->taken_ns);

    if (jbi_entry_state(word) == JBI_ENTRY_READY)
        return true;
    if (jbi_entry_state(word) != JBI_ENTRY_HELD)
        return false;
    owner = atomic_load_explicit(&group->workers[idx % JB_GROUP_WORKERS_MAX].word,
                                 memory_order_acquire);
    if (!jbi_worker_is_taken(owner) || jbi_worker_tag(owner) != jbi_entry_tag(word))
        return true;
    return idx != worker->idx && group->ack_timeout_ns && now_ns > taken_ns &&
           now_ns - taken_ns >= group->ack_timeout_ns;
}

/* Take over one entry. 1, 0 when its worker has acknowledged it just now or its bytes are gone,
 * JB_ECORRUPT. */
static int take_again(struct jb_worker *worker, uint64_t number, uint64_t word, struct haul *haul)
{
    struct jbi_group_entry *entry = jbi_group_entry(worker->group, number);
    struct jbi_cursor at = {
        .position = load(&entry->position),
        .extent_end = load(&entry->extent_end),
        .n_before = load(&entry->sequence) - 1,
        .n_left = 1,
    };
    uint32_t n_deliveries = jbi_entry_deliveries(word) + 1;
    const uint8_t *payload = NULL;
    struct jbi_record record;
    int rc;

    if (!span_is_sane(&worker->bus->ring, at.position, at.extent_end))
        return JB_ECORRUPT;
    rc = jbi_cursor_step(&worker->bus->ring, &at, &record, &payload);
    if (rc != JBI_STEP_EVENT)
        return rc < 0 ? rc : 0;
    store(&entry->taken_ns, haul->now_ns);
    if (!atomic_compare_exchange_strong_explicit(&entry->word, &word,
                                                 jbi_entry_word(number, n_deliveries,
                                                                jbi_worker_tag(worker->word),
                                                                worker->idx, JBI_ENTRY_HELD),
                                                 memory_order_seq_cst, memory_order_relaxed))
        return 0;
    hold(worker, number);
    jbi_event_fill(&haul->events[haul->n], &record, payload, at.n_before, 0);
    haul->events[haul->n++].n_deliveries = n_deliveries;
    return 1;
}

/* Events that others gave back, or did not live to acknowledge. */
static int take_returned(struct jb_worker *worker, struct jbi_group_view *view, struct haul *haul)
{
    struct jbi_group_slot *group = worker->group;
    uint64_t returns = atomic_load_explicit(&group->returns, memory_order_seq_cst);
    bool is_timeout = group->ack_timeout_ns && haul->now_ns >= worker->next_timeout_ns;

    if (returns == view->returns_seen && !is_timeout)
        return 0;
    for (uint64_t number = view->first; number < view->next; number++) {
        struct jbi_group_entry *entry = jbi_group_entry(group, number);
        uint64_t word = atomic_load_explicit(&entry->word, memory_order_acquire);

        if (!jbi_entry_is(word, number))
            return JB_ECORRUPT;
        if (!is_returned(worker, entry, word, haul->now_ns))
            continue;
        if (haul->n == haul->n_max) {
            haul->has_more = true;
            return 0;
        }
        if (take_again(worker, number, word, haul) < 0)
            return JB_ECORRUPT;
    }
    view->returns_seen = returns;
    worker->next_timeout_ns = haul->now_ns + group->ack_timeout_ns / 8;
    return 0;
}

/* Under the lock. */
static int take_locked(struct jb_worker *worker, struct haul *haul)
{
    struct jbi_group_view view, before;
    uint32_t n_again;
    int rc = jbi_group_view_load(worker->bus, worker->group, &view);

    if (!rc)
        rc = jbi_group_gate(worker->bus, worker->group_idx, &view);
    if (!rc)
        rc = take_returned(worker, &view, haul);
    if (rc)
        return rc;
    n_again = haul->n;
    before = view;
    rc = haul->has_more ? 0 : take_new(worker, &view, haul);
    /* If somebody took our gate away while we looked, what we saw may be torn: it does not
     * count. */
    atomic_thread_fence(memory_order_acquire);
    if (!jbi_group_is_gated(worker->bus, worker->group_idx)) {
        view = before;
        haul->n = n_again;
        haul->has_more = haul->is_end = false;
        rc = jbi_group_gate(worker->bus, worker->group_idx, &view);
    } else if (rc) {
        view = before;
        haul->n = n_again;
    }
    for (uint64_t number = before.next; number < view.next; number++)
        hold(worker, number);
    worker->position = view.at.position;
    jbi_group_settle(worker->bus, worker->group_idx, &view);
    return rc;
}

int jbi_group_take(struct jb_worker *worker, jb_event *events, uint32_t n_max, bool *ret_is_end)
{
    struct haul haul = {.events = events, .n_max = n_max, .now_ns = jbi_os_monotonic_ns()};
    int rc;

    jbi_group_check(worker->bus, worker->group, haul.now_ns);
    *ret_is_end = false;
    if (!jbi_group_lock_try(worker->bus, &worker->group->lock))
        return JB_EAGAIN;
    rc = take_locked(worker, &haul);
    jbi_group_unlock(&worker->group->lock);
    *ret_is_end = haul.is_end && haul.n == 0;
    if (n_max == 0)
        return rc < 0 ? rc : haul.has_more;
    return haul.n ? (int)haul.n : rc;
}
