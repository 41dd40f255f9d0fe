/*
 * crew.h: what the workers of a consumer group did with each event: the ledger's part for them.
 *
 * Invariants, each of which holds whenever a worker is killed:
 *  - An event has a word of its own, which only the worker that holds it writes to: that it holds
 *    it, before anything else; that it is about to acknowledge it, before it does; that it has, or
 *    has given it back.
 *  - Somebody is in the group, or n_gaps has been raised: whoever goes, or is about to be
 *    killed, says so first and then looks for the others.
 */
#ifndef SOAK_CREW_H
#define SOAK_CREW_H

#include "role.h"

/* A process takes the place of a worker; joins the group, leaves it or is about to be killed. */
void crew_start(struct ledger *ledger, uint32_t row, uint32_t life);
void crew_join(struct ledger *ledger, uint32_t row);
void crew_leave(struct ledger *ledger, uint32_t row);
void crew_doom(struct ledger *ledger, uint32_t row);

/* A worker was given an event. False after ledger_fail(): somebody else has it, or it is done. */
bool crew_hold(struct ledger *ledger, uint32_t row, const jb_event *event);

void crew_acknowledging(struct ledger *ledger, uint64_t sequence);
void crew_acknowledged(struct ledger *ledger, uint64_t sequence);
void crew_give_back(struct ledger *ledger, uint64_t sequence);

/* All is quiet: the group's own figures. */
void crew_close(struct ledger *ledger, const jb_group_stats *stats);

/* Is every event up to `end` acknowledged, or among those that the group says are lost? 0, or -1
 * after ledger_fail(). */
int crew_balance(struct ledger *ledger, uint64_t end);

#endif
