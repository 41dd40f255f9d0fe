/*
 * One form for equal events.
 *
 * The canonical form of a message: known fields by number, each of a list in its order and each
 * entry of a map by key; numbers of a list in one packed block; of what may be there once the last,
 * and messages in pieces merged, as protobuf says; overrides in `extras` by key, group and index,
 * the last of equals; texts that are JSON without spaces and with members by key; then unknown
 * fields by number, as they are; all varints minimal.
 *
 * Invariant: what stands in `out` up to out_bytes is canonical but for the lengths of the messages
 * that are open. After a failure nothing more is written.
 */
#ifndef JBI_SCHEMA_CANONICAL_H
#define JBI_SCHEMA_CANONICAL_H

#include "jimbot/schema.h"
#include "schema/sort.h"
#include "schema/wire.h"

struct jbi_canonical {
    const jb_alloc *alloc;
    const uint8_t *data; /* what is read, a sound event */
    size_t data_bytes;
    uint8_t *out;
    size_t out_bytes;
    size_t cap_bytes;
    uint64_t *items; /* a stack: what is to be sorted in each message that is open */
    size_t n_items;
    size_t cap_items;
    size_t n_dropped; /* entries of maps and members of texts whose key came again */
    bool in_extra;    /* an Extra is being written, */
    uint32_t index;   /* which gets this index in place of its own */
    bool is_failed;   /* for want of memory */
};

/* Make the canonical form, in c->out, of bytes that jb_event_inspect() accepts. `alloc` must be set
 * and the rest zero, or left by the last call. Returns 0 or JB_ENOMEM. */
int jbi_canonical_make(struct jbi_canonical *c, const void *data, size_t len_bytes);

void jbi_canonical_fini(struct jbi_canonical *c);

/* --- shared by its files --- */

/* Room for more, to be written at once; NULL after a failure. */
uint8_t *jbi_canonical_room(struct jbi_canonical *c, size_t n_bytes);

/* Append; nothing happens after a failure. */
void jbi_canonical_put(struct jbi_canonical *c, const void *data, size_t len_bytes);

/* Put an item on the stack. */
void jbi_canonical_push(struct jbi_canonical *c, uint64_t item);

/* Sort the items from `first` on; false after a failure. */
bool jbi_canonical_sort(struct jbi_canonical *c, size_t first, jbi_sort_before before);

/* Append the canonical form of a text that may be JSON; one that is not, as it is. */
void jbi_canonical_json(struct jbi_canonical *c, const char *text, size_t len_bytes);

#endif
