/*
 * table.c: see table.h.
 */
#include "topic/table.h"

#include "jimbot/event.h"
#include "topic/pattern.h"

#include <string.h>

struct entry {
    uint32_t len_bytes;
    uint32_t hash;
    char name[128];
};

/* FNV-1a: names are short and there are few of them. */
static uint32_t name_hash(const char *name, size_t len_bytes)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < len_bytes; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    return hash;
}

/* The entry a slot value leads to, or NULL when it leads outside. */
static const struct entry *entry_at(const struct jbi_topic_table *table, uint32_t slot_value)
{
    uint32_t off = slot_value - 1;

    if (off % 8 != 0 || off > table->heap_bytes - sizeof(struct entry))
        return NULL;
    return (const struct entry *)(const void *)(table->heap + off);
}

static int entry_write(struct jbi_topic_table *table, const char *name, size_t len_bytes,
                       uint32_t hash, uint32_t *ret_slot_value)
{
    uint64_t bytes = (offsetof(struct entry, name) + len_bytes + 1 + 7) & ~UINT64_C(7);
    uint64_t off =
        atomic_fetch_add_explicit(&table->control->heap_used, bytes, memory_order_relaxed);
    struct entry *entry;

    if (off > table->heap_bytes - sizeof(struct entry)) {
        atomic_fetch_sub_explicit(&table->control->heap_used, bytes, memory_order_relaxed);
        return JB_ELIMIT;
    }
    if (off % 8 != 0)
        return JB_ECORRUPT;
    entry = (struct entry *)(void *)(table->heap + off);
    entry->len_bytes = (uint32_t)len_bytes;
    entry->hash = hash;
    memcpy(entry->name, name, len_bytes);
    *ret_slot_value = (uint32_t)off + 1;
    return 0;
}

/* False when somebody else has it; *value is what he put there. */
static bool slot_take(struct jbi_topic_table *table, uint32_t idx, uint32_t *value, uint32_t mine)
{
    if (!atomic_compare_exchange_strong_explicit(&table->slots[idx], value, mine,
                                                 memory_order_acq_rel, memory_order_acquire))
        return false;
    atomic_fetch_add_explicit(&table->control->n_topics, 1, memory_order_relaxed);
    return true;
}

int jbi_topic_intern(struct jbi_topic_table *table, const char *name, size_t len_bytes,
                     uint32_t *ret_id)
{
    uint32_t hash = name_hash(name, len_bytes);
    uint32_t mine = 0;

    for (uint32_t probe = 0; probe < table->n_slots; probe++) {
        uint32_t idx = (hash + probe) & (table->n_slots - 1);
        /* Pairs with the release of the swap below: the entry is whole. */
        uint32_t value = atomic_load_explicit(&table->slots[idx], memory_order_acquire);
        const struct entry *entry;

        if (value == 0) {
            int rc = mine ? 0 : entry_write(table, name, len_bytes, hash, &mine);

            if (rc)
                return rc;
            if (slot_take(table, idx, &value, mine)) {
                *ret_id = idx + 1;
                return 0;
            }
        }
        entry = entry_at(table, value);
        if (entry && entry->hash == hash && entry->len_bytes == len_bytes &&
            memcmp(entry->name, name, len_bytes) == 0) {
            *ret_id = idx + 1;
            return 0;
        }
    }
    return JB_ELIMIT;
}

int jbi_topic_name(const struct jbi_topic_table *table, uint32_t id, char ret_name[128])
{
    const struct entry *entry;
    uint32_t value, len_bytes;

    if (id < 1 || id > table->n_slots)
        return JB_ENOENT;
    value = atomic_load_explicit(&table->slots[id - 1], memory_order_acquire);
    entry = value ? entry_at(table, value) : NULL;
    if (!entry)
        return JB_ENOENT;
    len_bytes = entry->len_bytes;
    if (len_bytes > JB_TOPIC_MAX_BYTES)
        return JB_ENOENT;
    memcpy(ret_name, entry->name, len_bytes);
    ret_name[len_bytes] = '\0';
    return jbi_topic_is_name(ret_name, len_bytes) ? (int)len_bytes : JB_ENOENT;
}
