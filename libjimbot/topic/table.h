/*
 * table.h: topic names interned to small ids, in memory that several processes share.
 *
 * An open-addressed table of offsets into a heap of names; the id is the slot. A name is written to
 * the heap first and enters the table with one compare-and-swap, so a death at any instruction
 * costs at most a few bytes of heap.
 *
 * Invariant: a slot is written once and never changes: an id means the same name for the life of
 * the table.
 */
#ifndef JBI_TOPIC_TABLE_H
#define JBI_TOPIC_TABLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct jbi_topic_control {
    _Atomic uint64_t heap_used; /* bytes */
    _Atomic uint32_t n_topics;
    uint32_t _pad[13];
};

struct jbi_topic_table {
    struct jbi_topic_control *control; /* these three inside the segment */
    _Atomic uint32_t *slots;           /* heap offset + 1, 0 = free */
    uint8_t *heap;
    uint32_t n_slots; /* a power of two */
    uint32_t heap_bytes;
};

/* A heap entry: length, then the bytes, padded to 8. */
enum { JBI_TOPIC_ENTRY_BYTES = 8 + 128 };

/* Id of a name, 1 .. n_slots; the name must be legal. JB_ELIMIT when slots or heap are used up,
 * JB_ECORRUPT. Lock-free. */
int jbi_topic_intern(struct jbi_topic_table *table, const char *name, size_t len_bytes,
                     uint32_t *ret_id);

/* Copy the name of an id out, NUL-terminated; its length, or JB_ENOENT. The heap is untrusted, the
 * copy is checked. */
int jbi_topic_name(const struct jbi_topic_table *table, uint32_t id, char ret_name[128]);

#endif
