/*
 * actor.h: what the actors of a world keep about themselves; for world.c, where they act, and
 * laws.c, where they are judged.
 *
 * Invariant: the judge changes nothing that an actor reads.
 */
#ifndef TEST_ACTOR_H
#define TEST_ACTOR_H

#include "world.h"

/* Finishing and aborting: in the midst of commit and abort. */
enum entry_state {
    ENTRY_OPEN = 1,
    ENTRY_FINISHING,
    ENTRY_ABORTING,
    ENTRY_COMMITTED,
    ENTRY_ABORTED
};

/* A claim, as its owner tells it. */
struct entry {
    struct jbi_slot slot;
    uint64_t bytes;
    uint64_t n_records;
    uint64_t value; /* what it wrote into both ends of its first record; the next has one more */
    uint64_t state; /* enum entry_state */
};

/* An event, as a reader tells it. */
struct seen {
    uint64_t sequence;
    uint64_t n_missed;
    uint64_t value;
};

struct actor {
    uint64_t now_ns;
    uint64_t n_made;
    uint64_t n_forgotten; /* how far in its script it is */
    uint64_t n_first;     /* events before its first place */
    uint64_t n_evicted;
    unsigned n_entries;
    unsigned n_seen;
    bool is_reader;
    bool is_revoked;   /* its last claim: somebody said so */
    struct jb_bus bus; /* as far as the ring and its readers look at it */
    struct jb_sub sub;
    struct entry entries[WORLD_ENTRIES];
    struct seen seen[WORLD_ENTRIES];
    uint64_t shown_sequences[WORLD_LOOK];
    struct jbi_shown shown[WORLD_LOOK];
    jb_event kept[WORLD_LOOK];
    uint64_t arena[WORLD_BLOCKS_MAX * JBI_BLOCK_BYTES / 8];
};

struct world_memory {
    _Alignas(64) struct jbi_ring_control control;
    struct jbi_reader_slot readers[WORLD_READERS];
    _Atomic uint64_t marks[WORLD_BLOCKS_MAX];
    _Atomic uint64_t counts[WORLD_BLOCKS_MAX];
    uint64_t log[WORLD_BLOCKS_MAX * JBI_BLOCK_BYTES / 8];
};

extern struct world_memory world_memory;
extern struct actor world_actors[WORLD_ACTORS];
extern bool world_is_over; /* the threads are gone, all of them */

/* Read everything, as the harness. */
int world_read_all(void);

#endif
