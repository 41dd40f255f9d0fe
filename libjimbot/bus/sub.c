/*
 * sub.c: subscriptions: opened, extended, closed.
 *
 * Invariant: a slot in the segment is owned by one living subscription or free; its cursor word
 * never moves backward.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "bus/scan.h"
#include "bus/watch.h"

#include <string.h>

#define SUB_FLAGS ((uint32_t)JB_SUB_HIGH_FIRST)

/* Copies of a latest subscription: one event of the largest size, and room for a batch of smaller
 * ones. */
#define ARENA_EXTRA_BYTES ((size_t)512 * 1024)

void jb_sub_opts_init(jb_sub_opts *opts, uint32_t size)
{
    const jb_sub_opts defaults = {
        .size = sizeof defaults,
        .policy = JB_SUB_LOSSLESS,
        .start = JB_SUB_FROM_NOW,
        .wait = JB_WAIT_SPIN,
        .spin_ns = 10000,
    };

    if (size > sizeof defaults)
        size = sizeof defaults;
    memcpy(opts, &defaults, size);
    opts->size = size;
}

static int opts_take(const jb_sub_opts *given, jb_sub_opts *ret_opts, jb_error *err)
{
    jb_sub_opts_init(ret_opts, sizeof *ret_opts);
    if (given) {
        if (given->size < sizeof(uint32_t) || given->size > sizeof *ret_opts)
            return jbi_error_set(err, JB_EINVAL,
                                 "jb_sub_opts.size is %u: start from jb_sub_opts_init()",
                                 given->size);
        memcpy(ret_opts, given, given->size);
    }
    if (ret_opts->policy > JB_SUB_CONFLATE || ret_opts->start > JB_SUB_FROM_OLDEST ||
        ret_opts->wait > JB_WAIT_BUSY)
        return jbi_error_set(err, JB_EINVAL,
                             "jb_sub_opts has an unknown policy (%u), start (%u) or wait (%u)",
                             ret_opts->policy, ret_opts->start, ret_opts->wait);
    if (ret_opts->flags & ~SUB_FLAGS || ret_opts->_reserved)
        return jbi_error_set(err, JB_EINVAL, "jb_sub_opts.flags has unknown bits: 0x%x",
                             ret_opts->flags);
    if (ret_opts->flags & JB_SUB_HIGH_FIRST && ret_opts->policy != JB_SUB_LOSSLESS)
        return jbi_error_set(err, JB_EINVAL,
                             "JB_SUB_HIGH_FIRST is for lossless subscriptions: others hold nothing "
                             "back that could be read later");
    return 0;
}

static void slot_bury(jb_bus *bus, uint32_t idx, uint64_t word)
{
    if (jbi_reader_release(&bus->ring, idx, word) && jbi_reader_state(word) == JBI_READER_LOSSLESS)
        jbi_notice_note(bus, JBI_NOTICE_READER_DIED, jbi_reader_peer(word), idx);
}

void jbi_subs_bury(jb_bus *bus, uint32_t peer, bool is_dead)
{
    for (uint32_t i = 0; i < bus->max_subs; i++) {
        uint64_t word = atomic_load_explicit(&bus->ring.readers[i].word, memory_order_acquire);

        if (jbi_reader_state(word) == JBI_READER_FREE || jbi_reader_peer(word) != peer)
            continue;
        if (is_dead)
            slot_bury(bus, i, word);
        else
            jbi_reader_release(&bus->ring, i, word);
    }
}

static bool slot_take(jb_bus *bus, uint32_t *ret_idx, uint64_t *ret_word)
{
    for (uint32_t i = 0; i < bus->max_subs; i++) {
        struct jbi_reader_slot *slot = &bus->ring.readers[i];
        uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
        uint64_t mine = jbi_reader_word(word, bus->ring.owner, JBI_READER_SETUP);

        if (jbi_reader_state(word) == JBI_READER_FREE &&
            atomic_compare_exchange_strong_explicit(&slot->word, &word, mine, memory_order_acq_rel,
                                                    memory_order_relaxed)) {
            *ret_idx = i;
            *ret_word = mine;
            return true;
        }
    }
    return false;
}

static void bury_dead_owners(jb_bus *bus)
{
    for (uint32_t i = 0; i < bus->max_subs; i++) {
        uint64_t word = atomic_load_explicit(&bus->ring.readers[i].word, memory_order_acquire);

        /* Those of no peer are kept for a group that may have workers again. */
        if (jbi_reader_state(word) != JBI_READER_FREE && jbi_reader_peer(word) != 0 &&
            !bus->ring.is_alive(jbi_reader_peer(word), bus))
            slot_bury(bus, i, word);
    }
}

bool jbi_reader_slot_take(jb_bus *bus, uint32_t *ret_idx, uint64_t *ret_word)
{
    if (slot_take(bus, ret_idx, ret_word))
        return true;
    bury_dead_owners(bus);
    return slot_take(bus, ret_idx, ret_word);
}

static void slot_fill(jb_sub *sub, const jb_sub_opts *opts, const char *pattern, size_t len_bytes)
{
    struct jbi_reader_slot *slot = sub->slot;
    const char *name = opts->name ? opts->name : sub->bus->self->name;
    size_t name_bytes = strnlen(name, sizeof slot->name - 1);

    memset(slot->name, 0, sizeof slot->name);
    memcpy(slot->name, name, name_bytes);
    memset(slot->pattern, 0, sizeof slot->pattern);
    memcpy(slot->pattern, pattern, len_bytes);
    atomic_store_explicit(&slot->group, 0, memory_order_relaxed);
    slot->policy = opts->policy;
    slot->flags = opts->flags;
    slot->evict_after_ns = opts->evict_after_ns;
    atomic_store_explicit(&slot->n_delivered, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->n_filtered, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->n_missed, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->n_conflated, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->n_evicted, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->held_cursor, 0, memory_order_relaxed);
}

static int sub_start(jb_sub *sub, uint32_t start)
{
    struct jbi_ring *ring = &sub->bus->ring;
    int rc = 0;

    if (start == JB_SUB_FROM_OLDEST)
        jbi_cursor_oldest(ring, &sub->cursor);
    else
        rc = jbi_cursor_newest(ring, &sub->cursor);
    if (rc)
        return rc;
    if (sub->policy != JB_SUB_LOSSLESS) {
        atomic_store_explicit(&sub->slot->cursor, sub->cursor.position, memory_order_relaxed);
        sub->word = jbi_reader_word(sub->word, ring->owner, JBI_READER_LATEST);
        atomic_store_explicit(&sub->slot->word, sub->word, memory_order_release);
    } else {
        sub->word = jbi_reader_gate(ring, sub->slot, ring->owner, &sub->cursor);
    }
    atomic_store_explicit(&sub->slot->n_before, sub->cursor.n_before, memory_order_relaxed);
    sub->scanned = sub->cursor;
    if (sub->ahead)
        jbi_ahead_start(sub);
    return 0;
}

static void sub_free(jb_sub *sub)
{
    jb_alloc alloc = sub->bus->alloc;

    jbi_filter_fini(&sub->filter);
    jbi_alloc_free(&alloc, sub->shown_sequences, JBI_SUB_BATCH * sizeof *sub->shown_sequences);
    jbi_alloc_free(&alloc, sub->shown, JBI_SUB_BATCH * sizeof *sub->shown);
    jbi_alloc_free(&alloc, sub->kept, JBI_SUB_BATCH * sizeof *sub->kept);
    jbi_alloc_free(&alloc, sub->arena, sub->arena_bytes);
    if (sub->conflation)
        jbi_conflation_free(sub);
    if (sub->ahead)
        jbi_ahead_free(sub);
    jbi_alloc_free(&alloc, sub, sizeof *sub);
}

/* What its way of reading needs. */
static bool sub_alloc_reading(jb_sub *sub)
{
    const jb_alloc *alloc = &sub->bus->alloc;

    if (sub->policy == JB_SUB_LOSSLESS) {
        bool is_ahead = sub->flags & JB_SUB_HIGH_FIRST;

        sub->reading = is_ahead ? &jbi_reading_ahead : &jbi_reading_lossless;
        sub->shown_sequences =
            alloc->alloc(JBI_SUB_BATCH * sizeof *sub->shown_sequences, alloc->ctx);
        return sub->shown_sequences && (!is_ahead || jbi_ahead_create(sub));
    }
    sub->arena_bytes = sub->bus->ring.max_record_bytes + ARENA_EXTRA_BYTES;
    sub->arena = alloc->alloc(sub->arena_bytes, alloc->ctx);
    sub->kept = alloc->alloc(JBI_SUB_BATCH * sizeof *sub->kept, alloc->ctx);
    if (!sub->arena || !sub->kept)
        return false;
    if (sub->policy == JB_SUB_CONFLATE) {
        sub->reading = &jbi_reading_conflate;
        return jbi_conflation_create(sub);
    }
    sub->reading = &jbi_reading_latest;
    sub->shown = alloc->alloc(JBI_SUB_BATCH * sizeof *sub->shown, alloc->ctx);
    return sub->shown;
}

static jb_sub *sub_alloc(jb_bus *bus, const jb_sub_opts *opts)
{
    jb_sub *sub = jbi_alloc_zeroed(&bus->alloc, sizeof *sub);

    if (!sub)
        return NULL;
    sub->bus = bus;
    sub->policy = opts->policy;
    sub->flags = opts->flags;
    sub->pace.strategy = opts->wait;
    sub->pace.spin_ns = opts->wait == JB_WAIT_BLOCK ? 0 : opts->spin_ns;
    if (jbi_filter_init(&sub->filter, bus->max_topics, &bus->alloc) || !sub_alloc_reading(sub)) {
        sub_free(sub);
        return NULL;
    }
    return sub;
}

int jb_bus_subscribe(jb_bus *bus, const char *pattern, size_t len_bytes, const jb_sub_opts *given,
                     jb_sub **ret_sub, jb_error *err)
{
    jb_sub_opts opts;
    jb_sub *sub;
    int rc;

    if (!bus || !pattern || !ret_sub)
        return jbi_error_set(err, JB_EINVAL, "bus, pattern or ret_sub is NULL");
    if (!jbi_bus_is_usable(bus))
        return jbi_error_set(err, JB_ESTATE, "the bus was opened before fork()");
    rc = opts_take(given, &opts, err);
    if (rc)
        return rc;
    sub = sub_alloc(bus, &opts);
    if (!sub)
        return jbi_error_set(err, JB_ENOMEM, "no memory for a subscription");
    rc = jbi_filter_add(&sub->filter, pattern, len_bytes);
    if (rc) {
        jbi_error_set(err, rc, "'%.*s' is not a topic pattern",
                      (int)(len_bytes < 128 ? len_bytes : 128), pattern);
        goto out_free;
    }
    if (!jbi_reader_slot_take(bus, &sub->idx, &sub->word)) {
        rc = jbi_error_set(err, JB_ELIMIT, "all %u subscriptions of the bus are in use",
                           bus->max_subs);
        goto out_free;
    }
    sub->slot = &bus->ring.readers[sub->idx];
    slot_fill(sub, &opts, pattern, len_bytes);
    rc = sub_start(sub, opts.start);
    if (rc) {
        jbi_reader_release(&bus->ring, sub->idx, sub->word);
        jbi_error_set(err, rc, "the ring of the bus is damaged");
        goto out_free;
    }
    *ret_sub = sub;
    return 0;

out_free:
    sub_free(sub);
    return rc;
}

int jb_sub_add(jb_sub *sub, const char *pattern, size_t len_bytes)
{
    bool is_armed;
    int rc;

    if (!sub || !pattern)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(sub->bus))
        return JB_ESTATE;
    is_armed = jbi_watch_is_armed(sub);
    if (is_armed)
        jbi_watch_pause(sub);
    if (sub->ahead)
        jbi_ahead_widen(sub);
    rc = jbi_filter_add(&sub->filter, pattern, len_bytes);
    if (is_armed)
        jbi_watch_settle(sub, 0);
    return rc;
}

void jb_sub_close(jb_sub *sub)
{
    if (!sub)
        return;
    jbi_watch_close(sub);
    /* An eviction that we have not been told of has changed the word, and the slot is ours all the
     * same; whatever else it may say, the slot is another's. */
    if (jbi_bus_is_usable(sub->bus) && !jbi_reader_release(&sub->bus->ring, sub->idx, sub->word))
        (void)jbi_reader_release(
            &sub->bus->ring, sub->idx,
            jbi_reader_word(sub->word, sub->bus->ring.owner, JBI_READER_EVICTED));
    sub_free(sub);
}
