/*
 * bus_internal.h: what a handle on a bus and a subscription are made of.
 *
 * Invariant: pointers into the segment are computed once from the checked params of its header
 * (geometry.c) and never from anything that another process can change later.
 */
#ifndef JBI_BUS_INTERNAL_H
#define JBI_BUS_INTERNAL_H

#include "bus/budget.h"
#include "jimbot/jimbot.h"
#include "ring/cursor.h"
#include "shm/fork.h"
#include "shm/peer.h"
#include "shm/segment.h"
#include "topic/filter.h"
#include "topic/table.h"

#include <pthread.h>

enum jbi_param {
    JBI_PARAM_CAPACITY,
    JBI_PARAM_TOPICS,
    JBI_PARAM_SUBS,
    JBI_PARAM_PEERS,
    JBI_PARAM_STALL_NS,
    JBI_PARAM_GROUPS
};

enum {
    JBI_SUB_BATCH = 4096, /* events a subscription shows at once */
    JBI_NOTICES = 16      /* notices that wait to be published */
};

struct jbi_topic_cache {
    char (*names)[128];       /* filled in on first use */
    _Atomic uint8_t *lengths; /* 0 not yet, 255 being filled in, else length */
};

struct jbi_watcher;

/* Something to tell; with the names as they were, since the places of the dead are soon taken. */
struct jbi_notice {
    _Atomic uint64_t word; /* 0: none; else see notice.c */
    uint32_t pid;
    char name[JBI_NAME_BYTES];
    char sub_name[JBI_NAME_BYTES];
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
    struct jbi_budget budget;
    pthread_mutex_t watcher_lock; /* of the pointer; ours, so a child's handles are free */
    struct jbi_watcher *watcher;  /* see watch.c; NULL until somebody wants a descriptor */
    struct jbi_notice notices[JBI_NOTICES];
    _Atomic bool has_notices;
    _Atomic uint32_t next_request; /* correlation id */
    _Atomic(void *) first_thread;  /* an address of the thread that published first */
    uint32_t peer;
    uint32_t max_topics;
    uint32_t max_subs;
    uint32_t n_groups;
    struct jbi_groups_control *groups_control;
    struct jbi_group_slot *groups;
};

/* One event that peek has shown: where the cursor stands once it is taken, and what was missed up
 * to it. */
struct jbi_shown {
    struct jbi_cursor end;
    uint64_t n_missed;
};

/* How a subscription waits: see wait.c. */
struct jbi_pace {
    uint32_t strategy; /* enum jb_wait */
    uint32_t gap_ns;   /* how long to leave the ring alone before a look */
    uint64_t spin_ns;
    uint32_t n_last;  /* events that the last advance took */
    uint32_t n_waits; /* since the last wide gap was tried */
};

struct jbi_reading;
struct jbi_conflation;
struct jbi_ahead;
struct jbi_watch;

struct jb_sub {
    jb_bus *bus;
    const struct jbi_reading *reading;
    struct jbi_reader_slot *slot;
    uint32_t idx;
    uint32_t policy;
    uint32_t flags; /* enum jb_sub_flags */
    uint64_t word;  /* the slot's, while it is ours */
    struct jbi_filter filter;
    struct jbi_cursor cursor;  /* everything before it is taken */
    struct jbi_cursor scanned; /* how far the last peek looked */
    uint32_t n_shown;
    struct jbi_pace pace;
    uint64_t n_missed_carry; /* missed before `cursor`, not yet told with an event */
    /* Lossless: the sequence numbers shown. */
    uint64_t *shown_sequences; /* JBI_SUB_BATCH */
    /* Latest. */
    uint64_t n_missed_scanned;  /* missed between `cursor` and `scanned`, in all */
    uint64_t n_missed_trailing; /* of those, behind the last event shown */
    struct jbi_shown *shown;    /* JBI_SUB_BATCH */
    jb_event *kept;             /* what was shown, and its copies */
    uint8_t *arena;
    size_t arena_bytes;
    struct jbi_conflation *conflation; /* see conflate.c */
    struct jbi_ahead *ahead;           /* see ahead.c */
    struct jbi_watch *watch;           /* see watch.c; NULL: nobody waits on a descriptor */
};

/* Size of a segment with these params, 0 when one is out of range: a jbi_segment_size_fn. */
uint64_t jbi_geometry_bytes(const uint64_t params[JBI_SEGMENT_PARAMS]);

/* Hash of everything in the layout that two builds could disagree on. */
uint64_t jbi_geometry_fingerprint(void);

/* Point the parts of a handle into its segment. */
void jbi_geometry_place(jb_bus *bus);

/* A free place for a reader, set up by us; of the dead if need be. False when there is none. */
bool jbi_reader_slot_take(jb_bus *bus, uint32_t *ret_idx, uint64_t *ret_word);

/* Free the subscriptions of a peer that is gone; is_dead: and have it told. */
void jbi_subs_bury(jb_bus *bus, uint32_t peer, bool is_dead);

/* Remember something to tell on "system.bus.*"; and tell it, when nothing else is under way. */
void jbi_notice_note(jb_bus *bus, enum jbi_ring_notice what, uint32_t peer, uint32_t reader_idx);
void jbi_notices_publish(jb_bus *bus);

static inline bool jbi_has_notices(const jb_bus *bus)
{
    return atomic_load_explicit(&bus->has_notices, memory_order_relaxed);
}

/* JB_EINVAL. */
int jbi_head_check(const jb_bus *bus, const jb_event_head *head);

/* An extent of the ring, and the books about it: a refusal is counted, and so is what was committed
 * or given back; who sleeps is woken. Errors as of jbi_ring_claim() and jbi_ring_commit(). */
int jbi_extent_claim(jb_bus *bus, uint64_t len_bytes, uint32_t n_events, struct jbi_slot *ret_slot);
int jbi_extent_commit(jb_bus *bus, uint64_t position, uint64_t mark, uint64_t n_events,
                      uint64_t n_bytes);
int jbi_extent_abort(jb_bus *bus, uint64_t position, uint64_t mark);

static inline void jbi_record_fill(struct jbi_record *record, const jb_bus *bus,
                                   const jb_event_head *head, uint64_t time_ns, size_t len_bytes)
{
    record->len_bytes = (uint32_t)len_bytes;
    record->topic_id = head->topic_id;
    record->time_ns = time_ns;
    record->source_time = head->source_time;
    record->key = head->key;
    record->type = head->type;
    record->publisher = (uint8_t)bus->peer;
    record->bits = (uint8_t)(head->priority | head->flags << 2);
}

/* A counter with one writer: a plain add, not a locked one. */
static inline void jbi_count(_Atomic uint64_t *word, uint64_t n)
{
    if (n)
        atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + n,
                              memory_order_relaxed);
}

static inline bool jbi_bus_is_usable(const jb_bus *bus)
{
    return jbi_fork_guard_is_valid(&bus->guard);
}

#endif
