/*
 * dedupe: the ids of the last events that were really published.
 *
 * Invariant: an id is in the window exactly while it is one of the last `n_window` ids added; two
 * ids are the same only if all their bytes are (or, beyond 48 bytes, their first 32, their length
 * and a keyed 128-bit hash of the whole, which nobody can make collide on purpose).
 * All memory is taken at init; looking and adding allocate nothing.
 */
#ifndef JBI_HOST_DEDUPE_H
#define JBI_HOST_DEDUPE_H

#include "host/text/siphash.h"
#include "jimbot/base.h"

enum { JBI_DEDUPE_ID_BYTES = 48 };

typedef struct jbi_dedupe_entry {
    uint32_t len_bytes; /* 0: never used; an empty id is not an id */
    uint32_t hash;
    uint8_t id[JBI_DEDUPE_ID_BYTES];
} jbi_dedupe_entry;

typedef struct jbi_dedupe_place {
    uint32_t hash;
    uint32_t at; /* idx + 1 in the ring; 0: empty */
} jbi_dedupe_place;

typedef struct jbi_dedupe {
    const jb_alloc *alloc;
    jbi_dedupe_entry *ring; /* oldest is overwritten first */
    jbi_dedupe_place *places;
    uint32_t n_window;
    uint32_t n_places; /* a power of two, at least 2 * n_window */
    uint32_t at;       /* where the next id goes */
    jbi_siphash_key key;
} jbi_dedupe;

/* Returns 0, JB_ENOMEM, or JB_ESYS when the system gives no random key. */
int jbi_dedupe_init(jbi_dedupe *d, uint32_t n_window, const jb_alloc *alloc);
void jbi_dedupe_fini(jbi_dedupe *d);

/* What stands for an id, whatever its length; len_bytes is 0 for an empty one. */
void jbi_dedupe_read(const jbi_dedupe *d, const char *id, size_t n, jbi_dedupe_entry *ret_entry);

bool jbi_dedupe_has(const jbi_dedupe *d, const jbi_dedupe_entry *id);

/* Remember an id that is not in the window; the oldest one leaves it. An empty id is ignored. */
void jbi_dedupe_add(jbi_dedupe *d, const jbi_dedupe_entry *id);

/* The same with an id that is not empty, and set what left the window for it; and forget the last n
 * ids, each with what it set, in the order in which they were added: the window is as before. */
void jbi_dedupe_swap(jbi_dedupe *d, const jbi_dedupe_entry *id, jbi_dedupe_entry *ret_old);
void jbi_dedupe_undo(jbi_dedupe *d, const jbi_dedupe_entry *old, uint32_t n);

#endif
