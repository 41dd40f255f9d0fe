/*
 * laws.c: what docs/design/ring.md promises, asked of a world: in each state and at each end.
 */
#include "actor.h"

#include <stdlib.h>
#include <string.h>

static const struct jbi_ring *ring(void)
{
    return &world_actors[WORLD_HARNESS].bus.ring;
}

static struct entry *last_entry(unsigned thread)
{
    struct actor *actor = &world_actors[thread];

    return actor->n_entries ? &actor->entries[actor->n_entries - 1] : NULL;
}

void world_on_death(unsigned thread)
{
    struct actor *dead = &world_actors[thread];
    struct entry *last = last_entry(thread);

    dead->is_reader = false;
    if (!last || last->state >= ENTRY_COMMITTED)
        return;
    /* Whether it died before or after its swap, the mark tells, unless others took the claim. */
    if (last->state == ENTRY_FINISHING && !dead->is_revoked &&
        jbi_ring_mark_load(ring(), last->slot.position) != last->slot.mark)
        last->state = ENTRY_COMMITTED;
    else
        last->state = ENTRY_ABORTED;
}

/* The blocks of the log that an extent lies in, whatever its lap. */
static uint64_t blocks(const struct entry *entry)
{
    uint64_t n = entry->bytes / JBI_BLOCK_BYTES;

    return ((UINT64_C(1) << n) - 1) << jbi_ring_block(ring(), entry->slot.position);
}

static void check_open(unsigned thread, uint64_t head)
{
    const struct entry *entry = last_entry(thread);
    uint64_t position = entry->slot.position;

    /* Of a revoked claim the head may have gone past; its bytes are nobody else's still. */
    if (head > position && !world_actors[thread].is_revoked)
        explore_fail("the head has passed an open claim");
    if (head + ring()->capacity_bytes < position + entry->bytes)
        explore_fail("claimed bytes that may still be read");
    for (unsigned i = 0; i < thread; i++) {
        const struct entry *other = last_entry(i);

        if (other && other->state == ENTRY_OPEN && (blocks(other) & blocks(entry)))
            explore_fail("two claims overlap at %llu", (unsigned long long)position);
    }
}

void world_check(void)
{
    uint64_t head = jbi_head_position(atomic_load(&world_memory.control.head));

    for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
        const struct actor *actor = &world_actors[i];
        const struct entry *last = last_entry(i);

        if (actor->is_reader && actor->sub.policy == JB_SUB_LOSSLESS &&
            atomic_load(&actor->sub.slot->word) == actor->sub.word &&
            head > atomic_load(&actor->sub.slot->cursor))
            explore_fail("the head has passed a lossless cursor");
        if (last && last->state == ENTRY_OPEN)
            check_open(i, head);
    }
}

void world_on_idle(unsigned thread)
{
    const struct actor *me = &world_actors[thread];
    struct jbi_cursor cursor = me->sub.cursor;

    /* A publisher may die between commit and wake-up; for that sleepers look up now and then. */
    for (unsigned i = 0; i < EXPLORE_THREADS; i++)
        if (!explore_is_alive(i))
            return;
    if (jbi_cursor_skip(ring(), &cursor) == JBI_STEP_EVENT)
        explore_fail("thread %u sleeps through a commit", thread);
}

/* Every committed extent in the order of positions: what sequence numbers must say. */
static const struct entry *truth[WORLD_ACTORS * WORLD_ENTRIES];
static uint64_t value_of[WORLD_ACTORS * WORLD_ENTRIES * 4 + 1]; /* by sequence number */
static uint64_t n_events;

static int by_position(const void *a, const void *b)
{
    const struct entry *const *left = a, *const *right = b;

    return (*left)->slot.position < (*right)->slot.position ? -1 : 1;
}

static void truth_find(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < WORLD_ACTORS; i++)
        for (unsigned k = 0; k < world_actors[i].n_entries; k++)
            if (world_actors[i].entries[k].state == ENTRY_COMMITTED)
                truth[n++] = &world_actors[i].entries[k];
    qsort(truth, n, sizeof truth[0], by_position);
    n_events = 0;
    for (unsigned i = 0; i < n; i++) {
        if (i && truth[i - 1]->slot.position + truth[i - 1]->bytes > truth[i]->slot.position)
            explore_fail("two events lie in one place");
        for (uint64_t k = 0; k < truth[i]->n_records; k++)
            value_of[++n_events] = truth[i]->value + k;
    }
}

static void check_seen(const struct actor *actor)
{
    uint64_t next = actor->n_first + 1;

    for (unsigned i = 0; i < actor->n_seen; i++) {
        const struct seen *seen = &actor->seen[i];

        if (seen->sequence != next + seen->n_missed)
            explore_fail("event %llu came after %llu, and %llu are said to be missed",
                         (unsigned long long)seen->sequence, (unsigned long long)next - 1,
                         (unsigned long long)seen->n_missed);
        else if (seen->n_missed && actor->sub.policy == JB_SUB_LOSSLESS && !actor->n_evicted &&
                 atomic_load(&actor->sub.slot->n_evicted) == 0)
            explore_fail("a lossless reader missed %llu", (unsigned long long)seen->n_missed);
        else if (seen->sequence > n_events || seen->value != value_of[seen->sequence])
            explore_fail("event %llu of %llu was read as %llx", (unsigned long long)seen->sequence,
                         (unsigned long long)n_events, (unsigned long long)seen->value);
        next = seen->sequence + 1;
    }
}

/* A new reader sees the whole chain that is kept, past what the dead have left open. */
static void check_chain(void)
{
    struct actor *me = &world_actors[WORLD_HARNESS];

    me->n_seen = 0;
    world_join(JB_SUB_LATEST, WORLD_FROM_OLDEST);
    for (unsigned i = 0; i <= EXPLORE_THREADS; i++)
        world_read_all();
    if (me->sub.cursor.n_before != n_events)
        explore_fail("the chain counts %llu events, %llu were committed",
                     (unsigned long long)me->sub.cursor.n_before, (unsigned long long)n_events);
    check_seen(me);
}

/* Whoever comes later can publish for two laps at once, whoever died where. */
static void check_progress(void)
{
    uint64_t n = 2 * ring()->capacity_bytes / JBI_BLOCK_BYTES;

    for (uint64_t i = 0; i < n; i++) {
        unsigned n_tries = 0;

        /* One look finds one that is dead. */
        while (!world_publish(1))
            if (n_tries++ > EXPLORE_THREADS) {
                explore_fail("the dead stop a publisher");
                return;
            }
    }
}

void world_check_end(void)
{
    world_is_over = true;
    for (unsigned i = 0; i < EXPLORE_THREADS; i++)
        if (explore_is_alive(i))
            world_on_death(i);
    truth_find();
    for (unsigned i = 0; i < EXPLORE_THREADS; i++)
        check_seen(&world_actors[i]);
    check_chain();
    check_progress();
    truth_find();
    check_chain();
}
