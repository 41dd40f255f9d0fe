/*
 * world.h: a ring of a few blocks, what its users did as each tells it, and the laws of
 * docs/design/ring.md about it.
 *
 * Invariant: the only calls into the core are those a publisher or a subscription makes; what is
 * right is computed from what the actors report, not from the ring.
 */
#ifndef TEST_WORLD_H
#define TEST_WORLD_H

#include "bus/scan.h"
#include "explore.h"

enum {
    WORLD_BLOCKS_MAX = 16,
    WORLD_READERS = 2,
    WORLD_ENTRIES = 96,
    WORLD_LOOK = 4, /* events at once */
    /* Besides the threads: who fills the ring before they start and looks at it afterwards. */
    WORLD_HARNESS = EXPLORE_THREADS,
    WORLD_ACTORS = EXPLORE_THREADS + 1
};

struct world_setup {
    unsigned n_blocks;
    unsigned n_before; /* records of one block published before the threads start */
    bool may_revoke;   /* an open claim in the way is revoked at the second look */
    bool may_evict;    /* a lossless reader in the way is evicted at the second look */
};

/* For struct explore_model. */
extern void *const world_shared;
extern const size_t world_shared_bytes;
void world_reset(const struct world_setup *setup);
bool world_is_step(const volatile void *address);
void world_on_death(unsigned thread);
void world_check(void);
void world_check_end(void);
void world_on_idle(unsigned thread);

/* For scripts. */

/* Publish so many records of one block each under one mark, or one that is so many blocks long.
 * False: JB_EAGAIN. */
bool world_publish_batch(unsigned n_records);
bool world_publish(unsigned n_blocks);
/* The same, given back instead of committed. */
void world_claim_and_abort(unsigned n_blocks);
/* Claim and do nothing more, as a process that is killed: the last call of a script. */
void world_claim_and_leave(unsigned n_blocks);

enum world_start { WORLD_FROM_OLDEST, WORLD_FROM_NEWEST };

/* A subscription of the running thread: the bus's own reading over this ring. */
void world_join(uint32_t policy, enum world_start start);
/* Read up to n events, `at_once` of them with each look, as far as there are any. */
void world_read(unsigned n, unsigned at_once);
/* Read n events, sleeping where there are none yet. Gives up after so many sleeps. */
void world_read_asleep(unsigned n, unsigned n_sleeps);
void world_close(void);

#endif
