/*
 * Where events lie while they are made and until their owner has read them.
 *
 * Invariant: bytes of an event that is finished never move until jbi_arena_reset(); only the one in
 * progress may. So a whole batch can be read first and published afterwards.
 */
#ifndef JBI_SCHEMA_ARENA_H
#define JBI_SCHEMA_ARENA_H

#include "jimbot/base.h"

struct jbi_arena_chunk;

struct jbi_arena {
    const jb_alloc *alloc;
    struct jbi_arena_chunk *chunks; /* newest first; the newest is written to */
    size_t total_bytes;             /* of all chunks */
};

/* Returns 0 or JB_ENOMEM. */
int jbi_arena_init(struct jbi_arena *a, const jb_alloc *alloc, size_t first_bytes);
void jbi_arena_fini(struct jbi_arena *a);

/* Forget all events; afterwards there is one chunk, large enough for all that was in use. */
void jbi_arena_reset(struct jbi_arena *a);

/* The free end of the newest chunk. */
uint8_t *jbi_arena_free(struct jbi_arena *a, size_t *ret_cap_bytes);

/*
 * Give the event in progress (used_bytes, at jbi_arena_free()) room for want_bytes in all; it may
 * move. NULL when there is no memory: the event is where it was.
 */
uint8_t *jbi_arena_extend(struct jbi_arena *a, size_t used_bytes, size_t want_bytes,
                          size_t *ret_cap_bytes);

/* The event in progress is finished and takes len_bytes. */
void jbi_arena_keep(struct jbi_arena *a, size_t len_bytes);

#endif
