/*
 * bus_internal.h: what a handle on a bus and a subscription are made of.
 *
 * Invariant: pointers into the segment are computed once from the checked params of its header
 * (geometry.c) and never from anything that another process can change later.
 */
#ifndef JBI_BUS_INTERNAL_H
#define JBI_BUS_INTERNAL_H

#include "jimbot/bus.h"
#include "ring/ring.h"
#include "shm/fork.h"
#include "shm/peer.h"
#include "shm/segment.h"
#include "topic/filter.h"
#include "topic/table.h"

enum jbi_param {
    JBI_PARAM_CAPACITY,
    JBI_PARAM_TOPICS,
    JBI_PARAM_SUBS,
    JBI_PARAM_PEERS
};

/* Events a subscription shows at once. */
enum { JBI_SUB_BATCH = 4096 };

struct jbi_topic_cache {
    char (*names)[128];       /* filled in on first use */
    _Atomic uint8_t *lengths; /* 0 not yet, 255 being filled in, else length */
};

struct jb_bus {
    jb_alloc alloc;
    struct jbi_segment segment;
    struct jbi_fork_guard guard;
    struct jbi_peers peers;
    struct jbi_ring ring;
    struct jbi_topic_table topics;
    struct jbi_topic_cache cache;
    struct jbi_peer_slot *self;
    uint32_t peer;
    uint32_t max_topics;
    uint32_t max_subs;
};

/* One event that peek has shown: where the cursor stands once it is taken, and what was missed up
 * to it. */
struct jbi_shown {
    struct jbi_cursor end;
    uint64_t n_missed;
};

struct jb_sub {
    jb_bus *bus;
    struct jbi_reader_slot *slot;
    uint32_t idx;
    uint32_t policy;
    uint64_t word; /* the slot's, while it is ours */
    struct jbi_filter filter;
    struct jbi_cursor cursor;   /* everything before it is taken */
    struct jbi_cursor scanned;  /* how far the last peek looked */
    uint64_t n_missed_carry;    /* missed before `cursor`, not yet told with an event */
    uint64_t n_missed_scanned;  /* missed between `cursor` and `scanned`, in all */
    uint64_t n_missed_trailing; /* of those, behind the last event shown */
    struct jbi_shown *shown;    /* JBI_SUB_BATCH */
    uint32_t n_shown;
    jb_event *kept; /* what was shown, and its copies, for JB_SUB_LATEST; else NULL */
    uint8_t *arena;
    size_t arena_bytes;
};

/* Size of a segment with these params, 0 when one is out of range: a jbi_segment_size_fn. */
uint64_t jbi_geometry_bytes(const uint64_t params[JBI_SEGMENT_PARAMS]);

/* Hash of everything in the layout that two builds could disagree on. */
uint64_t jbi_geometry_fingerprint(void);

/* Point the parts of a handle into its segment. */
void jbi_geometry_place(jb_bus *bus);

/* Free the subscriptions of a peer that is gone. */
void jbi_subs_bury(jb_bus *bus, uint32_t peer);

static inline bool jbi_bus_is_usable(const jb_bus *bus)
{
    return jbi_fork_guard_is_valid(&bus->guard);
}

#endif
