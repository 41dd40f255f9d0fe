/*
 * budget.h: how much of the ring one handle may fill with events that wait to be read.
 *
 * Invariant: what a handle was refused for lack of budget, it gets as soon as lossless
 * subscriptions have read enough of its own events, whatever others publish.
 */
#ifndef JBI_BUS_BUDGET_H
#define JBI_BUS_BUDGET_H

#include "ring/ring.h"

enum { JBI_BUDGET_SLICES = 64 };

struct jbi_budget {
    uint64_t limit_bytes; /* 0: none */
    /* At least what is waiting; exact when it was last summed up. */
    _Atomic uint64_t waiting_bytes;
    /* For each 64th of the ring: which one of all laps it is (32 bits) and how many blocks of it
     * are this handle's. */
    _Atomic uint64_t slices[JBI_BUDGET_SLICES];
};

/* May this handle publish len_bytes more? Several threads that ask at once may all be told yes. */
bool jbi_budget_allows(struct jbi_budget *budget, const struct jbi_ring *ring, uint64_t len_bytes);

/* This handle has claimed an extent. */
void jbi_budget_spend(struct jbi_budget *budget, const struct jbi_ring *ring, uint64_t position,
                      uint64_t len_bytes);

#endif
