/*
 * peer.h: who has the segment open.
 *
 * Invariant: slot i belongs to a living process exactly while the kernel shows a lock on byte i.
 * Nobody's clock or heartbeat decides. Peer numbers are 1 .. max_peers; 0 is nobody.
 */
#ifndef JBI_SHM_PEER_H
#define JBI_SHM_PEER_H

#include "shm/segment.h"

struct jbi_peers {
    const struct jbi_segment *segment;
    struct jbi_peer_slot *slots; /* inside the segment */
    uint32_t n_slots;
};

/* Called with the number of a peer that died without leaving, before its slot is used again. */
typedef void (*jbi_peer_bury_fn)(uint32_t peer, void *userdata);

/* Take a slot; its number is known before who had it is buried. The caller holds
 * jbi_segment_lock(). JB_ELIMIT when all are taken by the living. */
int jbi_peer_join(const struct jbi_peers *peers, const char *name, jbi_peer_bury_fn bury,
                  void *userdata, uint32_t *ret_peer, jb_error *err);

/* Give it back. The caller holds jbi_segment_lock(). */
void jbi_peer_leave(const struct jbi_peers *peers, uint32_t peer);

/* Ask the kernel. `self` is the caller's own number, whose lock it cannot see. Costs a system
 * call. */
bool jbi_peer_is_alive(const struct jbi_peers *peers, uint32_t peer, uint32_t self);

/* Bury all others who died without leaving. The caller holds jbi_segment_lock(). */
void jbi_peer_bury_dead(const struct jbi_peers *peers, uint32_t self, jbi_peer_bury_fn bury,
                        void *userdata);

/* Events and payload bytes published through a slot, by all its owners. */
uint64_t jbi_peer_n_published(const struct jbi_peer_slot *slot);
uint64_t jbi_peer_n_bytes(const struct jbi_peer_slot *slot);

/* The slot of a peer number that may come from shared memory; NULL when it is out of range. */
struct jbi_peer_slot *jbi_peer_slot_get(const struct jbi_peers *peers, uint32_t peer);

#endif
