/*
 * quota_layout.h: what lies in a coordinator's block of memory, shared or not: a contract between
 * processes that may run different builds.
 *
 * Invariant: everything is found by arithmetic on the sizes fixed at creation. There are no
 * pointers; places in tables are index + 1, 0 is none. Every word that a step of the books changes
 * is 64 bits wide and goes through the undo log.
 */
#ifndef JBI_QUOTA_LAYOUT_H
#define JBI_QUOTA_LAYOUT_H

#include "jimbot/quota.h"
#include "quota/undo.h"

#include <assert.h>
#include <stdatomic.h>

enum {
    JBI_QUOTA_LAYOUT = 6, /* counts changes that no size shows */
    JBI_QUOTA_CLASSES = 4,
    JBI_QUOTA_ENDS = 5, /* enum jb_lease_end, from 1 */
    JBI_QUOTA_BUCKETS = JB_QUOTA_BUCKETS
};

/* Words of a segment's params, and of a block in process alike. */
enum jbi_quota_param {
    JBI_QUOTA_RESOURCES,
    JBI_QUOTA_COMPONENTS,
    JBI_QUOTA_LEASES,
    JBI_QUOTA_WAITERS,
    JBI_QUOTA_RECORDS,
    JBI_QUOTA_PEERS,
    JBI_QUOTA_LIMIT_BYTES, /* of the rate limits, whatever they are made of */
    JBI_QUOTA_PARAMS
};

/* The head of the block. The options are written once by the creator. */
struct jbi_quota_head {
    _Atomic uint32_t lock; /* see lock.h */
    uint32_t _pad0[15];
    uint64_t flags; /* enum jb_coord_flags */
    uint64_t aging_ns;
    uint64_t notice_ns;
    uint64_t max_hold_ns;
    uint64_t trial_no;   /* of notice.c, not logged */
    uint64_t settled_ns; /* until then serving the lines changes nothing; 0: it may */
    uint64_t _pad1[2];
    uint64_t now_ns;     /* the latest time anybody saw */
    uint64_t next_token; /* begins at the UTC nanoseconds of the creation */
    uint64_t n_records;
    uint64_t free_lease;
    uint64_t n_leases;    /* in use */
    uint64_t top_lease;   /* slots below it were used at least once */
    uint64_t n_deadlines; /* in the heap */
    uint64_t free_waiter;
    uint64_t n_waiters; /* slots in use */
    uint64_t top_waiter;
    uint64_t n_waiting; /* in line */
    uint64_t free_flow;
    uint64_t first_flow;
    uint64_t n_takeovers;
    uint64_t total_weight;
    uint64_t until_ns; /* no later than when the first in line has to leave */
};

struct jbi_quota_resource {
    char name[JB_QUOTA_NAME_BYTES];
    uint64_t kind;
    uint64_t device;
    uint64_t flags;
    uint64_t capacity;
    uint64_t headroom;
    uint64_t quantum_ns;
    uint64_t linger_ns;
    uint64_t foreign;
    uint64_t allocated;
    uint64_t linger_for; /* component + 1 | class << 16 */
    uint64_t linger_until_ns;
    uint64_t vtime[JBI_QUOTA_CLASSES]; /* start tag of who had least */
    uint64_t n_leases;
    uint64_t n_waiting;
    /* Counters, not logged: whoever dies in the middle may miscount by one. */
    uint64_t n_granted;
    uint64_t n_denied;
    uint64_t used_ns; /* by all leases that ended, weighed with their part of the capacity */
    uint64_t wait_buckets[JBI_QUOTA_BUCKETS];
    uint64_t hold_buckets[JBI_QUOTA_BUCKETS];
    uint64_t _pad[4];
};

struct jbi_quota_component {
    char name[JB_QUOTA_NAME_BYTES];
    uint64_t weight;
    uint64_t n_leases;
    uint64_t n_waiting;
    /* Counters, not logged. */
    uint64_t n_granted;
    uint64_t n_denied;
    uint64_t n_ended[JBI_QUOTA_ENDS];
    uint64_t waited_ns;
    uint64_t held_ns;
};

/* One component's part of one resource. */
struct jbi_quota_share {
    uint64_t guaranteed;
    uint64_t ceiling;
    uint64_t allocated;
    uint64_t finish[JBI_QUOTA_CLASSES]; /* finish tag: what it used, by its weight */
    uint64_t pace;                      /* of GPU time: at most this part, in 2^-32; 0: any */
    uint64_t ready_ns;                  /* with a pace: not before */
    uint64_t used_ns;                   /* as of the resource, not logged */
    uint64_t given;                     /* the ceiling as configured; 0: none below the limit */
    uint64_t shown;                     /* what the pace is in units of the resource */
    uint64_t lasted_ns;                 /* the longest of its last leases; 0: it had none */
    uint64_t noticed;                   /* of what is allocated, what was given notice */
    uint64_t trial;                     /* notice.c: would be given it too, in this trial */
    uint64_t trial_no;
};

enum jbi_notice {
    JBI_NOTICE_NONE,
    JBI_NOTICE_GIVEN,  /* it ends, but not soon */
    JBI_NOTICE_COUNTED /* in `noticed` of its shares, until it ends */
};

/* Who: component | class << 16 | n_amounts << 24 | peer << 32 | flags << 48. */
struct jbi_quota_lease {
    uint64_t token; /* 0: free */
    uint64_t who;
    uint64_t resources; /* a byte for each amount */
    uint64_t granted_ns;
    uint64_t deadline_ns;
    uint64_t hold_ns;
    uint64_t heap_at; /* place in the heap + 1 */
    uint64_t next;    /* free list */
    uint64_t tag;
    uint64_t has_notice; /* enum jbi_notice */
    uint64_t advance_ns; /* charged for at the grant, at most the quantum of each resource */
    uint64_t _pad;
    uint64_t amounts[JB_QUOTA_AMOUNTS_MAX];
};

enum jbi_waiter_state {
    JBI_WAITER_FREE,
    JBI_WAITER_WAITING,
    JBI_WAITER_GRANTED,
    JBI_WAITER_TIMED_OUT
};

struct jbi_quota_waiter {
    uint64_t id;
    uint64_t state; /* enum jbi_waiter_state */
    uint64_t who;
    uint64_t resources;
    uint64_t hold_ns;
    uint64_t tag;
    uint64_t since_ns;
    uint64_t until_ns; /* UINT64_MAX: without end */
    uint64_t flow;
    uint64_t next; /* in the flow; of a free one in the free list */
    uint64_t prev;
    uint64_t lease;
    uint64_t token;
    uint64_t asked_ns;     /* when room was asked for; odd: and will be made */
    _Atomic uint32_t bell; /* rung when it is granted */
    uint32_t is_asleep;
    uint64_t asker; /* the peer that polls, also for a detached lease */
    uint64_t amounts[JB_QUOTA_AMOUNTS_MAX];
};

/* A line: waiters of one component, class and set of resources. */
struct jbi_quota_flow {
    uint64_t mask; /* of resources */
    uint64_t who;  /* component | class << 16 */
    uint64_t head; /* waiter + 1 */
    uint64_t tail;
    uint64_t next; /* of the list of lines, or of free ones */
    uint64_t prev;
};

struct jbi_quota_record {
    uint64_t sequence;
    uint64_t time_ns;
    uint64_t token;
    uint64_t amount;
    uint64_t value;
    uint64_t tag;
    uint64_t who;  /* as of a lease */
    uint64_t what; /* kind | reason << 8 | resource << 16 | n_more << 24 | slot << 32 */
};

static_assert(sizeof(struct jbi_quota_head) == 256, "layout");
static_assert(sizeof(struct jbi_quota_share) == 128, "layout");
static_assert(sizeof(struct jbi_quota_lease) == 160, "layout");
static_assert(sizeof(struct jbi_quota_waiter) == 192, "layout");
static_assert(sizeof(struct jbi_quota_flow) == 48, "layout");
static_assert(sizeof(struct jbi_quota_record) == 64, "layout");

#endif
