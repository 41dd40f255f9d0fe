/*
 * world.c: see world.h: the actors. What must be true of what they did is in laws.c.
 */
#include "world.h"

#include "actor.h"
#include "base/os.h"

#include <string.h>

struct world_memory world_memory;
struct actor world_actors[WORLD_ACTORS];
bool world_is_over;

void *const world_shared = &world_memory;
const size_t world_shared_bytes = sizeof world_memory;

static struct world_setup rules;

static struct actor *self(void)
{
    return &world_actors[explore_is_stepping() ? explore_thread() : WORLD_HARNESS];
}

/* Counters that only statistics read decide nothing. */
bool world_is_step(const volatile void *address)
{
    const char *readers = (const char *)world_memory.readers;
    size_t off = (size_t)((const volatile char *)address - (const volatile char *)readers);
    size_t field = off % sizeof world_memory.readers[0];

    return off >= sizeof world_memory.readers ||
           field < offsetof(struct jbi_reader_slot, n_delivered) ||
           field > offsetof(struct jbi_reader_slot, n_before);
}

/* What the core asks of the machine: linked in instead of os_linux.c's by --wrap. */

uint64_t __wrap_jbi_os_monotonic_ns(void);
void __wrap_jbi_os_wait_on(uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void __wrap_jbi_os_wake_all(uint32_t *word);

/* Each look at the clock finds it far enough for whatever is done once in a while. */
uint64_t __wrap_jbi_os_monotonic_ns(void)
{
    return self()->now_ns += UINT64_C(1000000000);
}

void __wrap_jbi_os_wait_on(uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
    explore_step(word);
    explore_saw(*word);
    if (*word == expected)
        explore_sleep(word);
}

void __wrap_jbi_os_wake_all(uint32_t *word)
{
    explore_step(word);
    explore_wake(word);
}

static bool is_alive(uint32_t peer, void *userdata)
{
    return peer - 1 == WORLD_HARNESS || (!world_is_over && explore_ask(peer - 1));
}

static void on_notice(enum jbi_ring_notice what, uint32_t peer, uint32_t reader_idx, void *userdata)
{
    bool lives = !world_is_over && explore_is_alive(peer - 1);

    if (what == JBI_NOTICE_REVOKED)
        world_actors[peer - 1].is_revoked = true;
    if (lives && (what == JBI_NOTICE_ORPHAN || what == JBI_NOTICE_READER_DIED))
        explore_fail("thread %u was declared dead, and it lives", peer - 1);
    if ((what == JBI_NOTICE_REVOKED && !rules.may_revoke) ||
        (what == JBI_NOTICE_EVICTED && !rules.may_evict))
        explore_fail("thread %u was robbed", peer - 1);
}

/* At the end of an operation all that a script still knows is in its actor. */
static void forget(struct actor *me)
{
    uint64_t h;

    me->n_forgotten++;
    h = explore_hash(&me->sub.cursor, sizeof me->sub - offsetof(struct jb_sub, cursor));
    h = h * 31 + explore_hash(me->entries, me->n_entries * sizeof me->entries[0]);
    h = h * 31 + explore_hash(me->seen, me->n_seen * sizeof me->seen[0]);
    h = h * 31 + explore_hash(&me->bus.ring, sizeof me->bus.ring);
    h = h * 31 + me->sub.word;
    h = h * 31 + me->n_forgotten;
    explore_forget(h * 31 + me->now_ns);
}

/* Words of the log are read and written a step each. */

static uint64_t word_get(const void *at)
{
    uint64_t value;

    explore_step(at);
    memcpy(&value, at, sizeof value);
    explore_saw(value);
    return value;
}

static void word_put(void *at, uint64_t value)
{
    explore_step(at);
    memcpy(at, &value, sizeof value);
}

/* Publishers. */

static struct entry *claim(unsigned n_blocks, unsigned n_records)
{
    struct actor *me = self();
    struct entry *entry = &me->entries[me->n_entries];
    uint64_t bytes = (uint64_t)n_blocks * JBI_BLOCK_BYTES;
    int rc;

    me->is_revoked = false;
    forget(me);
    rc = jbi_ring_claim(&me->bus.ring, bytes, n_records, &entry->slot);
    if (rc == JB_EAGAIN)
        return NULL;
    if (rc || me->n_entries + 1 == WORLD_ENTRIES) {
        explore_fail("claim returned %d", rc);
        return NULL;
    }
    entry->bytes = bytes;
    entry->n_records = n_records;
    entry->value = (uint64_t)(me - world_actors + 1) << 16 | ++me->n_made << 4;
    entry->state = ENTRY_OPEN;
    me->n_entries++;
    forget(me);
    return entry;
}

/* Both ends of each record say who wrote it. */
static void fill(struct entry *entry)
{
    uint64_t bytes = entry->bytes / entry->n_records;

    for (unsigned i = 0; i < entry->n_records; i++) {
        char *at = (char *)entry->slot.record + i * bytes;
        struct jbi_record *record = (struct jbi_record *)(void *)at;

        record->len_bytes = (uint32_t)(bytes - sizeof *record);
        record->topic_id = 1;
        word_put(&record->time_ns, entry->value + i);
        word_put(at + bytes - sizeof(uint64_t), entry->value + i);
    }
}

static void finish(struct entry *entry, enum entry_state how)
{
    struct actor *me = self();
    int rc;

    entry->state = how == ENTRY_COMMITTED ? ENTRY_FINISHING : ENTRY_ABORTING;
    rc = (how == ENTRY_COMMITTED ? jbi_ring_commit : jbi_ring_abort)(
        &me->bus.ring, entry->slot.position, entry->slot.mark);
    if (rc && (!rules.may_revoke || rc != JB_ESTATE))
        explore_fail("a living publisher is told %d", rc);
    entry->state = rc ? ENTRY_ABORTED : how;
    forget(me);
    if (!rc)
        jbi_ring_wake(&me->bus.ring);
    forget(me);
}

bool world_publish_batch(unsigned n_records)
{
    struct entry *entry = claim(n_records, n_records);

    if (!entry)
        return false;
    fill(entry);
    finish(entry, ENTRY_COMMITTED);
    return true;
}

bool world_publish(unsigned n_blocks)
{
    struct entry *entry = claim(n_blocks, 1);

    if (!entry)
        return false;
    fill(entry);
    finish(entry, ENTRY_COMMITTED);
    return true;
}

void world_claim_and_abort(unsigned n_blocks)
{
    struct entry *entry = claim(n_blocks, 1);

    if (!entry)
        return;
    fill(entry);
    finish(entry, ENTRY_ABORTED);
}

void world_claim_and_leave(unsigned n_blocks)
{
    struct entry *entry = claim(n_blocks, 1);

    if (entry)
        word_put(&entry->slot.record->time_ns, entry->value);
}

/* Readers. */

void world_join(uint32_t policy, enum world_start start)
{
    struct actor *me = self();
    struct jb_sub *sub = &me->sub;
    uint64_t word;
    int rc = 0;

    /* The harness leaves alone what a thread has left behind. */
    sub->idx =
        me == &world_actors[WORLD_HARNESS] ? WORLD_READERS - 1 : (uint32_t)(me - world_actors);
    sub->slot = &world_memory.readers[sub->idx];
    sub->policy = policy;
    sub->reading = policy == JB_SUB_LOSSLESS ? &jbi_reading_lossless : &jbi_reading_latest;
    sub->slot->evict_after_ns = rules.may_evict;
    explore_step(&sub->slot->word);
    word = atomic_load(&sub->slot->word);
    atomic_store(&sub->slot->word, jbi_reader_word(word, me->bus.ring.owner, JBI_READER_SETUP));
    if (start == WORLD_FROM_OLDEST)
        jbi_cursor_oldest(&me->bus.ring, &sub->cursor);
    else
        rc = jbi_cursor_newest(&me->bus.ring, &sub->cursor);
    if (rc)
        explore_fail("newest returned %d", rc);
    if (policy == JB_SUB_LOSSLESS)
        sub->word = jbi_reader_gate(&me->bus.ring, sub->slot, me->bus.ring.owner, &sub->cursor);
    sub->scanned = sub->cursor;
    me->n_first = sub->cursor.n_before;
    me->is_reader = true;
    forget(me);
}

/* What the caller makes of an event that it was shown. False: it is torn. */
static bool look(const jb_event *event, struct seen *seen)
{
    seen->sequence = event->sequence;
    seen->n_missed = event->n_missed;
    seen->value = event->time_ns;
    return word_get(event->payload + event->len_bytes - sizeof(uint64_t)) == event->time_ns;
}

/* How many events were taken; < 0 when something is wrong, or the reader was evicted. */
static int read_some(struct actor *me, unsigned n_max)
{
    struct jb_sub *sub = &me->sub;
    jb_event events[WORLD_LOOK];
    bool is_whole = true;
    int rc, n;

    forget(me);
    n = sub->reading->peek(sub, events, n_max);
    if (n < 0)
        explore_fail("a reader is told %d", n);
    if (n <= 0)
        return n;
    for (int i = 0; i < n; i++)
        is_whole &= look(&events[i], &me->seen[me->n_seen + (unsigned)i]);
    rc = sub->reading->advance(sub, (uint32_t)n);
    if (rc == JB_EEVICTED && rules.may_evict) {
        me->n_evicted++;
        return rc;
    }
    if (rc || !is_whole) {
        explore_fail("event %llu: advance returned %d%s", (unsigned long long)events[0].sequence,
                     rc, is_whole ? "" : ", and it is torn");
        return -1;
    }
    me->n_seen += (unsigned)n;
    return n;
}

void world_read(unsigned n, unsigned at_once)
{
    struct actor *me = self();

    for (unsigned i = 0; n && i < 8; i++) {
        int rc = read_some(me, n < at_once ? n : at_once);

        if (rc == 0)
            break;
        n -= rc > 0 ? (unsigned)rc : 0;
    }
    forget(me);
}

void world_read_asleep(unsigned n, unsigned n_sleeps)
{
    struct actor *me = self();

    while (n) {
        int rc = read_some(me, 1);

        n -= rc == 1;
        if (rc < 0 || (rc == 0 && !n_sleeps--))
            return;
        if (rc == 0)
            jbi_ring_sleep(&me->bus.ring, me->sub.idx, me->sub.cursor.position, UINT64_MAX);
    }
}

void world_close(void)
{
    struct actor *me = self();

    me->is_reader = false;
    jbi_reader_release(&me->bus.ring, me->sub.idx, me->sub.word);
}

static void actor_reset(struct actor *actor, uint32_t owner)
{
    static uint8_t verdicts[2] = {0, JBI_VERDICT_PASS};
    uint64_t capacity = (uint64_t)rules.n_blocks * JBI_BLOCK_BYTES;

    memset(actor, 0, offsetof(struct actor, entries));
    actor->bus.max_topics = 1;
    actor->bus.ring = (struct jbi_ring){
        .control = &world_memory.control,
        .marks = world_memory.marks,
        .counts = world_memory.counts,
        .readers = world_memory.readers,
        .log = (uint8_t *)world_memory.log,
        .capacity_bytes = capacity,
        .capacity_shift = (uint32_t)__builtin_ctzll(capacity),
        .n_readers = WORLD_READERS,
        .max_record_bytes = (uint32_t)capacity / 4,
        .stall_after_ns = rules.may_revoke,
        .owner = owner,
        .has_barrier = true,
        .is_alive = is_alive,
        .on_notice = on_notice,
    };
    actor->sub = (struct jb_sub){
        .bus = &actor->bus,
        .filter = {.verdicts = verdicts, .n_topics = 1},
        .shown_sequences = actor->shown_sequences,
        .shown = actor->shown,
        .kept = actor->kept,
        .arena = (uint8_t *)actor->arena,
        .arena_bytes = sizeof actor->arena,
    };
}

void world_reset(const struct world_setup *setup)
{
    static const struct world_setup *made; /* what these two show: */
    static struct world_memory memory;
    static struct actor harness;

    rules = *setup;
    world_is_over = false;
    for (uint32_t i = 0; i < WORLD_ACTORS; i++)
        actor_reset(&world_actors[i], i + 1);
    if (made == setup) {
        world_memory = memory;
        memcpy(&world_actors[WORLD_HARNESS], &harness, offsetof(struct actor, entries));
        return;
    }
    memset(&world_memory, 0, sizeof world_memory);
    jbi_ring_format(&world_actors[WORLD_HARNESS].bus.ring);
    for (unsigned i = 0; i < setup->n_before; i++)
        world_publish(1);
    made = setup;
    memory = world_memory;
    harness = world_actors[WORLD_HARNESS];
}

int world_read_all(void)
{
    struct actor *me = self();
    int rc;

    while ((rc = read_some(me, WORLD_LOOK)) > 0)
        ;
    return rc;
}
