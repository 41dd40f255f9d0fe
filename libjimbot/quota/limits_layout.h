/*
 * limits_layout.h: what lies in the limits' part of a coordinator's block: the limits, what is
 * reserved of them, and who waits for them.
 *
 * Invariant: as of quota_layout.h: sizes are fixed at creation, places in tables are index + 1 and
 * 0 is none, and what a step changes goes through the undo log unless it says otherwise.
 */
#ifndef JBI_QUOTA_LIMITS_LAYOUT_H
#define JBI_QUOTA_LIMITS_LAYOUT_H

#include "jimbot/rate.h"
#include "quota/quota_layout.h"

enum {
    JBI_RESERVATIONS_MAX = 65536,
    JBI_RATE_WAITERS_MAX = 65536,
    JBI_LIMIT_LOG_MAX = 65536,
    JBI_LIMIT_LOG_DEFAULT = 2048
};

enum jbi_rate_state {
    JBI_RATE_FREE,
    JBI_RATE_WAITING, /* in the line; in no other state it is */
    JBI_RATE_GRANTED,
    JBI_RATE_TIMED_OUT,
    JBI_RATE_TOO_BIG /* more than a limit lets through at all since it was corrected */
};

struct jbi_rate_head {
    uint64_t n_waiters; /* written once */
    uint64_t free;      /* places in the table are index + 1, 0 is none */
    uint64_t top;
    uint64_t first; /* the line, in the order of coming */
    uint64_t last;
    uint64_t n_waiting;
    uint64_t
        serve_ns; /* while nothing else changes, nobody can go and nobody has to leave before */
    uint64_t _pad;
};

struct jbi_rate_waiter {
    uint64_t id;        /* 0: free */
    uint64_t state;     /* enum jbi_rate_state */
    uint64_t who;       /* component | n_amounts << 16 | class << 24 | peer << 32 */
    uint64_t resources; /* a byte for each amount */
    uint64_t since_ns;
    uint64_t until_ns; /* UINT64_MAX: without end */
    uint64_t next;     /* in the line; of a free one in the free list */
    uint64_t prev;
    uint64_t token; /* of the reservation that was granted, and its place */
    uint64_t slot;
    _Atomic uint32_t bell; /* rung when it is over, or when it would sleep too long */
    uint32_t is_asleep;    /* these two: not logged */
    uint64_t wake_ns;
    uint64_t amounts[JB_QUOTA_AMOUNTS_MAX];
};

/* Of a limit and a component, or of a limit: what was had of it, by class. */
struct jbi_rate_tags {
    uint64_t of[JBI_QUOTA_CLASSES];
};

struct jbi_limits_head {
    uint64_t n_limits; /* these three: written once */
    uint64_t n_log;
    uint64_t n_reservations;
    uint64_t hold_ns;
    uint64_t next_token;
    uint64_t free; /* places in the table are index + 1, 0 is none */
    uint64_t top;
    uint64_t first;
    uint64_t last;
    uint64_t n_open;
    uint64_t is_loaded; /* see jb_usage_load(); not logged */
    uint64_t _pad[5];
    struct jbi_rate_head line;
};

struct jbi_limit {
    uint64_t resource;
    uint64_t component; /* JB_LIMIT_ALL: all */
    uint64_t kind;      /* enum jb_limit_kind */
    uint64_t amount;    /* as configured */
    uint64_t period_ns;
    uint64_t burst;
    uint64_t log_first;
    uint64_t n_entries;
    uint64_t in_force; /* the amount after corrections */
    uint64_t blocked_until_ns;
    uint64_t open;
    uint64_t n_taken; /* these two: units and takes, not logged */
    uint64_t n_denied;
    uint64_t _pad[2];
    jb_gcra gcra;
    jb_window window;
};

struct jbi_reservation {
    uint64_t token;     /* 0: free */
    uint64_t who;       /* component | n_amounts << 16 | class << 24 | peer << 32 */
    uint64_t resources; /* a byte for each amount */
    uint64_t taken_ns;
    uint64_t deadline_ns;
    uint64_t next; /* also of the free list */
    uint64_t prev;
    uint64_t _pad;
    uint64_t amounts[JB_QUOTA_AMOUNTS_MAX];
};

static_assert(sizeof(struct jbi_limits_head) == 192, "layout");
static_assert(sizeof(struct jbi_limit) == 256, "layout");
static_assert(sizeof(struct jbi_reservation) == 128, "layout");
static_assert(sizeof(struct jbi_rate_head) == 64, "layout");
static_assert(sizeof(struct jbi_rate_waiter) == 160, "layout");
static_assert(sizeof(struct jbi_rate_tags) == 32, "layout");

#endif
