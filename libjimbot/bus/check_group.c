/*
 * check_group.c: the consumer groups of a bus looked at from outside.
 *
 * Invariant: what its workers change without stepping `turn` is judged word by word; what one word
 * says of another is judged only where `turn` was the same before and after both were copied.
 */
#include "bus/check.h"
#include "bus/group.h"

#include <stdio.h>
#include <string.h>

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static uint64_t turn_now(struct jbi_look *look, const struct jbi_group_slot *group)
{
    uint64_t turn = 0;
    size_t len = 0;

    (void)jbi_os_file_read_at(look->bus.segment.fd,
                              jbi_look_offset(look, (const void *)&group->turn), &turn, sizeof turn,
                              &len);
    return len == sizeof turn ? turn : ~load(&group->turn);
}

/* One that is in use is copied again while it goes on. */
static int copy_group(struct jbi_look *look, uint32_t idx, jb_error *err)
{
    const struct jbi_group_slot *group = &look->bus.groups[idx];
    uint64_t at = jbi_look_offset(look, group);
    uint64_t places = at + offsetof(struct jbi_group_slot, places);
    bool is_still = false;
    int rc = jbi_look_copy(look, at, places, err);

    for (int i = 0; !rc && !is_still && jbi_group_is_in_use(group) && i < JBI_CHECK_LOOKS; i++) {
        rc = jbi_look_copy(look, at, places, err);
        if (!rc)
            rc = jbi_look_copy(look, places, at + sizeof *group, err);
        is_still = turn_now(look, group) == load(&group->turn);
    }
    look->still_groups |= (uint64_t)is_still << idx;
    return rc;
}

int jbi_look_copy_groups(struct jbi_look *look, jb_error *err)
{
    int rc = 0;

    look->still_groups = 0;
    if (look->bus.n_groups)
        rc = jbi_look_copy(look, jbi_look_offset(look, look->bus.groups_control),
                           jbi_look_offset(look, look->bus.groups), err);
    for (uint32_t i = 0; !rc && i < look->bus.n_groups; i++)
        rc = copy_group(look, i, err);
    return rc;
}

/* The worker that has an event, if it is still there; else NULL. */
static const struct jbi_worker_slot *holder(const struct jbi_group_slot *group, uint64_t word)
{
    const struct jbi_worker_slot *worker =
        &group->workers[jbi_entry_worker(word) % JB_GROUP_WORKERS_MAX];
    uint64_t owner = load(&worker->word);

    return jbi_entry_state(word) == JBI_ENTRY_HELD && jbi_worker_is_taken(owner) &&
                   jbi_worker_tag(owner) == jbi_entry_tag(word)
               ? worker
               : NULL;
}

static void check_lock(struct jbi_look *look, const _Atomic uint64_t *lock, const char *whose)
{
    uint32_t peer = (uint32_t)load(lock) & 0xff;

    if (peer > look->check->max_peers)
        jbi_look_fault(look, jbi_look_offset(look, (const void *)lock), 0,
                       "the lock of %s is held by peer %u of %u", whose, peer,
                       look->check->max_peers);
}

/* What one group was found to have. */
struct count {
    uint32_t n_pending;
    uint32_t n_held[JB_GROUP_WORKERS_MAX];
    const struct jbi_group_entry *oldest;
};

/* An entry by itself, and behind the one before it. False when it is none of ours. */
static bool entry_is_sane(const struct jbi_look *look, const struct jbi_group_entry *entry,
                          const struct jbi_group_entry *before, const struct jbi_group_view *view)
{
    uint64_t position = load(&entry->position);
    uint64_t at = position & (look->bus.ring.capacity_bytes - 1);
    uint64_t end = load(&entry->extent_end);
    uint64_t sequence = load(&entry->sequence);

    if (position % 8 || end <= position || end - position > look->bus.ring.capacity_bytes - at)
        return false;
    if (position >= view->at.position || sequence < 1 || sequence > view->at.n_before)
        return false;
    return !before || (position > load(&before->position) && sequence > load(&before->sequence));
}

/* The entries of the window. */
static void check_entries(struct jbi_look *look, uint32_t idx, const struct jbi_group_view *view,
                          struct count *count)
{
    struct jbi_group_slot *group = &look->bus.groups[idx];
    const struct jbi_group_entry *before = NULL;

    for (uint64_t number = view->first; number < view->next; number++) {
        const struct jbi_group_entry *entry = jbi_group_entry(group, number);
        uint64_t word = load(&entry->word);
        const struct jbi_worker_slot *worker = holder(group, word);

        if (!jbi_entry_is(word, number) || jbi_entry_deliveries(word) == 0 ||
            jbi_entry_worker(word) >= JB_GROUP_WORKERS_MAX ||
            !entry_is_sane(look, entry, before, view)) {
            jbi_look_fault(look, jbi_look_offset(look, entry), load(&entry->position),
                           "group %u: entry %llu is none: word 0x%016llx, at %llu, event %llu", idx,
                           (unsigned long long)number, (unsigned long long)word,
                           (unsigned long long)load(&entry->position),
                           (unsigned long long)load(&entry->sequence));
            return;
        }
        before = entry;
        if (jbi_entry_state(word) == JBI_ENTRY_ACKED || jbi_entry_state(word) == JBI_ENTRY_LOST)
            continue;
        count->oldest = count->n_pending++ ? count->oldest : entry;
        if (worker)
            count->n_held[worker - group->workers]++;
    }
}

/* The place that counts, and its window. */
static void check_place(struct jbi_look *look, uint32_t idx, struct jbi_group_view *view,
                        struct count *count)
{
    const struct jbi_group_slot *group = &look->bus.groups[idx];
    jb_check *check = look->check;
    uint64_t at = jbi_look_offset(look, &group->places[load(&group->turn) & 1]);

    if (jbi_group_view_load(&look->bus, group, view) || view->first < JB_GROUP_PENDING_MAX) {
        jbi_look_fault(look, at, view->at.position,
                       "group %u: it has entries %llu to %llu and stands at %llu", idx,
                       (unsigned long long)view->first, (unsigned long long)view->next,
                       (unsigned long long)view->at.position);
        return;
    }
    if (check->is_walk_complete && view->at.position > check->end)
        jbi_look_fault(look, at, view->at.position,
                       "group %u: it stands at %llu, behind the end at %llu", idx,
                       (unsigned long long)view->at.position, (unsigned long long)check->end);
    check_entries(look, idx, view, count);
}

static void check_workers(struct jbi_look *look, uint32_t idx, const struct count *count)
{
    const struct jbi_group_slot *group = &look->bus.groups[idx];

    for (uint32_t i = 0; i < JB_GROUP_WORKERS_MAX; i++) {
        uint64_t word = load(&group->workers[i].word);
        enum jbi_worker_state state = jbi_worker_state(word);
        jb_check_item item = {.kind = JB_CHECK_WORKER, .idx = i, .group = idx + 1};

        item.offset = jbi_look_offset(look, &group->workers[i]);
        if (state > JBI_WORKER_GOING)
            jbi_look_fault(look, item.offset, 0, "group %u: worker %u has a state of %u", idx, i,
                           (unsigned)state);
        if (state == JBI_WORKER_FREE || state > JBI_WORKER_GOING)
            continue;
        jbi_look_owner(look, jbi_worker_peer(word), &item);
        if (!jbi_peer_slot_get(&look->bus.peers, item.peer))
            jbi_look_fault(look, item.offset, 0, "group %u: worker %u is of peer %u of %u", idx, i,
                           item.peer, look->check->max_peers);
        item.n_pending = count->n_held[i];
        look->check->n_workers++;
        jbi_look_report(look, &item);
    }
}

static void tell_group(struct jbi_look *look, uint32_t idx, const struct jbi_group_view *view,
                       const struct count *count)
{
    const struct jbi_group_slot *group = &look->bus.groups[idx];
    jb_check_item item = {.kind = JB_CHECK_GROUP, .idx = idx, .n_pending = count->n_pending};
    const struct jbi_worker_slot *worker;

    item.offset = jbi_look_offset(look, group);
    item.is_holding = jbi_group_is_gated(&look->bus, idx);
    item.position = view->at.position;
    item.len_bytes = look->check->end > item.position ? look->check->end - item.position : 0;
    if (count->oldest) {
        item.since_ns = load(&count->oldest->taken_ns);
        worker = holder(group, load(&count->oldest->word));
        if (worker)
            jbi_look_owner(look, jbi_worker_peer(load(&worker->word)), &item);
    }
    memcpy(item.name, group->name, sizeof item.name - 1);
    memcpy(item.text, group->pattern, sizeof item.text - 1);
    jbi_look_report(look, &item);
}

static void check_group(struct jbi_look *look, uint32_t idx)
{
    const struct jbi_group_slot *group = &look->bus.groups[idx];
    uint32_t state = atomic_load_explicit(&group->state, memory_order_relaxed);
    uint64_t at = jbi_look_offset(look, group);
    struct jbi_group_view view = {0};
    struct count count = {0};
    char whose[24];

    snprintf(whose, sizeof whose, "group %u", idx);
    check_lock(look, &group->lock, whose);
    if (state > 1)
        jbi_look_fault(look, at, 0, "group %u: its state is %u, not 0 or 1", idx, state);
    if (state != 1)
        return;
    look->check->n_groups++;
    if (load(&group->gate) > look->bus.max_subs)
        jbi_look_fault(look, at, 0, "group %u: it holds the ring with subscription %llu of %u", idx,
                       (unsigned long long)load(&group->gate) - 1, look->bus.max_subs);
    if (!memchr(group->name, '\0', sizeof group->name) || !group->name[0] ||
        !memchr(group->pattern, '\0', sizeof group->pattern) || !group->pattern[0])
        jbi_look_fault(look, at, 0, "group %u: its name or pattern is none", idx);
    if (look->still_groups >> idx & 1)
        check_place(look, idx, &view, &count);
    tell_group(look, idx, &view, &count);
    check_workers(look, idx, &count);
}

void jbi_look_check_groups(struct jbi_look *look)
{
    if (look->bus.n_groups)
        check_lock(look, &look->bus.groups_control->lock, "the groups");
    for (uint32_t i = 0; i < look->bus.n_groups; i++)
        check_group(look, i);
}
