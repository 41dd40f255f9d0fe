/*
 * group_layout.h: the words of consumer groups that processes share.
 *
 * A group has a **place**: a cursor in the ring and a window of **entries**, one for each event
 * between the oldest that is not acknowledged and the newest taken, in the order of the ring. The
 * place is there twice, and `turn` says which of the two counts. Who holds the lock writes new
 * entries and the other place, and then steps `turn`: the one store by which events change from
 * "not taken" to "taken". A death before it leaves the group as it was; a death after it leaves
 * entries that are owned by a dead worker, like any.
 *
 * Who has an event is said by its entry's word alone:
 *
 *     lap of the window (24 bits) | deliveries (14) | worker's tag (16) | worker (8) | state (2)
 *
 *     READY  --take-->  HELD  --ack-->  ACKED        by its worker, without the lock
 *       ^----nack-------'  '--take--> HELD by another, when its worker is gone
 *                          '--------> LOST           its bytes were given to a publisher
 *
 * Every step is one compare-and-swap, so an event is acknowledged by one worker or delivered once
 * more, never both. A worker is gone when its slot does not hold the tag any more; the slot is
 * freed by whoever finds that its peer is dead. In between it is GOING, until `returns` has been
 * stepped: so nobody's death leaves an event that no taker is told to look for.
 */
#ifndef JBI_BUS_GROUP_LAYOUT_H
#define JBI_BUS_GROUP_LAYOUT_H

#include "jimbot/group.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum jbi_entry_state {
    JBI_ENTRY_READY = 0,
    JBI_ENTRY_HELD = 1,
    JBI_ENTRY_ACKED = 2,
    JBI_ENTRY_LOST = 3
};

struct jbi_group_entry {
    _Atomic uint64_t word;
    _Atomic uint64_t position; /* of its record */
    _Atomic uint64_t extent_end;
    _Atomic uint64_t sequence;
    _Atomic uint64_t taken_ns;
    uint64_t _pad[3];
};

/* Entries first .. next - 1 are in the window, each at its number modulo JB_GROUP_PENDING_MAX. They
 * are counted from JB_GROUP_PENDING_MAX on. */
struct jbi_group_place {
    _Atomic uint64_t first;
    _Atomic uint64_t next;
    /* Where the next new event is: a jbi_cursor. */
    _Atomic uint64_t position;
    _Atomic uint64_t n_before;
    _Atomic uint64_t extent_end;
    _Atomic uint64_t n_left;
    _Atomic uint64_t n_filtered;
    _Atomic uint64_t n_missed;
    _Atomic uint64_t n_untold; /* of those, not yet told with an event */
    /* Of entries before `first`. */
    _Atomic uint64_t n_lost;
    _Atomic uint64_t n_redelivered;
    _Atomic uint64_t returns_seen; /* `returns`, when nothing was left to be delivered again */
    uint64_t _pad[4];
};

enum jbi_worker_state { JBI_WORKER_FREE = 0, JBI_WORKER_TAKEN = 1, JBI_WORKER_GOING = 2 };

struct jbi_worker_slot {
    _Atomic uint64_t word; /* changes << 16 | peer << 8 | state; changes are the tag */
    _Atomic uint32_t is_asleep;
    uint32_t _pad0;
    uint64_t _pad[6];
};

struct jbi_group_slot {
    _Atomic uint64_t lock;    /* changes << 8 | peer of its owner, 0: nobody */
    _Atomic uint64_t turn;    /* places[turn & 1] counts */
    _Atomic uint64_t returns; /* steps when something may have to be delivered again */
    _Atomic uint64_t gate;    /* number + 1 of the reader's slot that holds publishers back */
    _Atomic uint32_t state;   /* 1: in use; changed under the table's lock */
    uint32_t _pad0;
    uint64_t ack_timeout_ns;
    uint64_t evict_after_ns;
    _Atomic uint64_t checked_ns; /* when the workers were last asked whether they live */
    char name[32];
    char pattern[128];
    uint64_t _pad1[4];
    struct jbi_group_place places[2];
    struct jbi_worker_slot workers[JB_GROUP_WORKERS_MAX];
    struct jbi_group_entry entries[JB_GROUP_PENDING_MAX];
};

/* Before the first group: the table's lock, under which groups are made and ended, and workers
 * join. */
struct jbi_groups_control {
    _Atomic uint64_t lock;
    uint64_t _pad[7];
};

static_assert(sizeof(struct jbi_group_entry) == 64, "layout");
static_assert(sizeof(struct jbi_group_place) == 128, "layout");
static_assert(sizeof(struct jbi_worker_slot) == 64, "layout");
static_assert(offsetof(struct jbi_group_slot, name) == 64, "layout");
static_assert(offsetof(struct jbi_group_slot, places) == 256, "layout");
static_assert(offsetof(struct jbi_group_slot, entries) == 512 + 64 * JB_GROUP_WORKERS_MAX,
              "layout");

static inline uint64_t jbi_entry_word(uint64_t number, uint32_t n_deliveries, uint64_t tag,
                                      uint32_t worker, enum jbi_entry_state state)
{
    uint64_t lap = number / JB_GROUP_PENDING_MAX;

    if (n_deliveries > 0x3fff)
        n_deliveries = 0x3fff;
    return lap << 40 | (uint64_t)n_deliveries << 26 | (tag & 0xffff) << 10 | (uint64_t)worker << 2 |
           (uint64_t)state;
}

static inline enum jbi_entry_state jbi_entry_state(uint64_t word)
{
    return (enum jbi_entry_state)(word & 3);
}

static inline uint64_t jbi_entry_with_state(uint64_t word, enum jbi_entry_state state)
{
    return (word & ~UINT64_C(3)) | (uint64_t)state;
}

static inline uint32_t jbi_entry_worker(uint64_t word)
{
    return (uint32_t)(word >> 2) & 0xff;
}

static inline uint32_t jbi_entry_tag(uint64_t word)
{
    return (uint32_t)(word >> 10) & 0xffff;
}

static inline uint32_t jbi_entry_deliveries(uint64_t word)
{
    return (uint32_t)(word >> 26) & 0x3fff;
}

static inline uint32_t jbi_entry_redeliveries(uint64_t word)
{
    return jbi_entry_deliveries(word) > 1 ? jbi_entry_deliveries(word) - 1 : 0;
}

/* Is it the entry of that number, and not of another lap of the window? */
static inline bool jbi_entry_is(uint64_t word, uint64_t number)
{
    return word >> 40 == (number / JB_GROUP_PENDING_MAX & 0xffffff);
}

static inline uint64_t jbi_worker_word(uint64_t before, uint32_t peer, enum jbi_worker_state state)
{
    return ((before >> 16) + 1) << 16 | (uint64_t)(peer & 0xff) << 8 | (uint64_t)state;
}

static inline enum jbi_worker_state jbi_worker_state(uint64_t word)
{
    return (enum jbi_worker_state)(word & 3);
}

static inline bool jbi_worker_is_taken(uint64_t word)
{
    return jbi_worker_state(word) == JBI_WORKER_TAKEN;
}

static inline uint32_t jbi_worker_peer(uint64_t word)
{
    return (uint32_t)(word >> 8) & 0xff;
}

static inline uint32_t jbi_worker_tag(uint64_t word)
{
    return (uint32_t)(word >> 16) & 0xffff;
}

#endif
