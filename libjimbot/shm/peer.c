/*
 * peer.c: see peer.h. Joining tries the lock of each slot in turn: getting it proves that no living
 * process owns the slot, whatever its state word says, so a crash needs no cleaning up by hand.
 */
#include "shm/peer.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint64_t lock_byte(uint32_t peer)
{
    return JBI_LOCK_PEERS + peer;
}

struct jbi_peer_slot *jbi_peer_slot_get(const struct jbi_peers *peers, uint32_t peer)
{
    return peer >= 1 && peer <= peers->n_slots ? &peers->slots[peer - 1] : NULL;
}

uint64_t jbi_peer_n_published(const struct jbi_peer_slot *slot)
{
    return atomic_load_explicit(&slot->n_published, memory_order_relaxed) +
           atomic_load_explicit(&slot->n_published_first, memory_order_relaxed);
}

uint64_t jbi_peer_n_bytes(const struct jbi_peer_slot *slot)
{
    return atomic_load_explicit(&slot->n_bytes, memory_order_relaxed) +
           atomic_load_explicit(&slot->n_bytes_first, memory_order_relaxed);
}

static void slot_fill(struct jbi_peer_slot *slot, const char *name)
{
    char own_name[JBI_NAME_BYTES];

    slot->pid = jbi_os_pid();
    slot->pid_start = jbi_os_process_start(slot->pid);
    slot->attached_ns = jbi_os_monotonic_ns();
    if (!name) {
        jbi_os_program_name(own_name, sizeof own_name);
        name = own_name;
    }
    snprintf(slot->name, sizeof slot->name, "%s", name);
    slot->base[0] = jbi_peer_n_published(slot);
    slot->base[1] = jbi_peer_n_bytes(slot);
    slot->base[2] = atomic_load_explicit(&slot->n_aborted, memory_order_relaxed);
    slot->base[3] = atomic_load_explicit(&slot->n_full, memory_order_relaxed);
    slot->base_over_budget = atomic_load_explicit(&slot->n_over_budget, memory_order_relaxed);
    atomic_store_explicit(&slot->state, 1, memory_order_release);
}

int jbi_peer_join(const struct jbi_peers *peers, const char *name, jbi_peer_bury_fn bury,
                  void *userdata, uint32_t *ret_peer, jb_error *err)
{
    for (uint32_t peer = 1; peer <= peers->n_slots; peer++) {
        struct jbi_peer_slot *slot = &peers->slots[peer - 1];
        int rc = jbi_os_lock_try(peers->segment->fd, lock_byte(peer));

        if (rc == EAGAIN)
            continue;
        if (rc)
            return jbi_error_os(err, JB_ESYS, rc, "cannot lock %s", peers->segment->path);
        *ret_peer = peer;
        if (atomic_load_explicit(&slot->state, memory_order_acquire) != 0)
            bury(peer, userdata);
        slot_fill(slot, name);
        return 0;
    }
    return jbi_error_set(err, JB_ELIMIT, "all %u places for open handles on %s are taken",
                         peers->n_slots, peers->segment->path);
}

void jbi_peer_leave(const struct jbi_peers *peers, uint32_t peer)
{
    atomic_store_explicit(&peers->slots[peer - 1].state, 0, memory_order_release);
    jbi_os_lock_release(peers->segment->fd, lock_byte(peer));
}

bool jbi_peer_is_alive(const struct jbi_peers *peers, uint32_t peer, uint32_t self)
{
    return peer == self || jbi_os_lock_is_held(peers->segment->fd, lock_byte(peer));
}

void jbi_peer_bury_dead(const struct jbi_peers *peers, uint32_t self, jbi_peer_bury_fn bury,
                        void *userdata)
{
    for (uint32_t peer = 1; peer <= peers->n_slots; peer++) {
        struct jbi_peer_slot *slot = &peers->slots[peer - 1];

        if (atomic_load_explicit(&slot->state, memory_order_acquire) != 0 &&
            !jbi_peer_is_alive(peers, peer, self)) {
            bury(peer, userdata);
            atomic_store_explicit(&slot->state, 0, memory_order_release);
        }
    }
}
