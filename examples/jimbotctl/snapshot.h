/*
 * snapshot.h: the figures of a bus at one moment, and what they say about the time since another.
 *
 * Invariant: only slots in use are in a snapshot; each struct is what one call of the library gave.
 */
#ifndef JIMBOTCTL_SNAPSHOT_H
#define JIMBOTCTL_SNAPSHOT_H

#include "text.h"

#include "jimbot/jimbot.h"

#include <stdio.h>

typedef struct snapshot {
    uint64_t now_ns;
    jb_bus_stats bus;
    jb_peer_stats *peers;
    jb_sub_stats *subs;
    jb_group_stats *groups;
    uint32_t n_peers;
    uint32_t n_subs;
    uint32_t n_groups;
    uint32_t max_groups;
} snapshot;

/* Returns 0, or an exit code after it complained. Either way snapshot_fini() is due. */
int snapshot_init(snapshot *s, jb_bus *bus);
int snapshot_take(snapshot *s, jb_bus *bus);
void snapshot_fini(snapshot *s);

/* The same peer or subscription in an earlier snapshot, NULL when it was not there yet. */
const jb_peer_stats *snapshot_peer_before(const snapshot *before, const jb_peer_stats *peer);
const jb_sub_stats *snapshot_sub_before(const snapshot *before, const jb_sub_stats *sub);
const jb_group_stats *snapshot_group_before(const snapshot *before, const jb_group_stats *group);

/* The subscription that a group holds the ring with, NULL when it does not. */
const jb_sub_stats *snapshot_group_sub(const snapshot *s, const jb_group_stats *group);

/* Name of a peer, NULL when there is none of that number. Not clean. */
const char *snapshot_peer_name(const snapshot *s, uint32_t idx);

/* A sentence for each who holds others back, between two texts. Returns how many. */
uint32_t put_waits(FILE *out, const snapshot *s, const char *before, const char *after);

/* The same sentences of the bus as it is now; the caller frees them. NULL: no memory. */
char *tell_waits(jb_bus *bus);

/* A word for a table. */
clean peer_state(const snapshot *s, const jb_peer_stats *peer);
clean sub_state(const snapshot *s, const jb_sub_stats *sub);
clean sub_owner(const snapshot *s, const jb_sub_stats *sub);
clean group_state(const snapshot *s, const jb_group_stats *group);

/* Who has a group's oldest pending event. */
clean group_oldest_peer(const snapshot *s, const jb_group_stats *group);

/* How long ago something was when the snapshot was taken. */
label time_since(const snapshot *s, uint64_t since_ns);

/* Per second; of a counter that was not there before, all of it is new. */
double rate_of(uint64_t now, uint64_t before, double seconds);

/* One JSON value each, without a line end. */
void put_json_snapshot(FILE *out, const snapshot *s, const char *bus);
void put_json_peers(FILE *out, const snapshot *s);
void put_json_subs(FILE *out, const snapshot *s);
void put_json_groups(FILE *out, const snapshot *s);

#endif
