/*
 * limits.h: the rate limits of a coordinator: what was taken, what is only reserved, and what comes
 * back.
 *
 * A **reservation** is an estimate taken from every limit that its resources have: from all of them
 * or from none. It ends once: committed with what was really used, given back, or, when nobody said
 * anything until its deadline, as used in full: a holder that fell silent may have made its call.
 *
 * Invariants:
 *  - a limit's `open` is the sum of what open reservations took from it;
 *  - whenever between its reservation and its end a unit is used, a window never has more than its
 *    limit of them in a period: what is open counts beside what was used, and as used from its end
 *    on. A rate counts a unit from its reservation on, and so holds for reservations, not for uses;
 *  - open reservations are in one list, the oldest first; as all last equally long, it is also the
 *    order of their deadlines.
 *
 * The caller of everything here holds the coordinator's lock, except where it says otherwise.
 */
#ifndef JBI_QUOTA_LIMITS_H
#define JBI_QUOTA_LIMITS_H

#include "jimbot/usage.h"
#include "quota/books.h"
#include "quota/gcra.h"
#include "quota/window.h"

enum { JBI_RESERVATIONS_MAX = 65536, JBI_LIMIT_LOG_MAX = 65536, JBI_LIMIT_LOG_DEFAULT = 2048 };

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
    /* Not logged. */
    _Atomic uint32_t bell; /* rung when something comes back before its time */
    uint32_t is_asleep;
    uint64_t is_loaded; /* see jb_usage_load() */
    uint64_t _pad[4];
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
    uint64_t who;       /* component | n_amounts << 16 | peer << 32 */
    uint64_t resources; /* a byte for each amount */
    uint64_t taken_ns;
    uint64_t deadline_ns;
    uint64_t next; /* also of the free list */
    uint64_t prev;
    uint64_t _pad;
    uint64_t amounts[JB_QUOTA_AMOUNTS_MAX];
};

static_assert(sizeof(struct jbi_limits_head) == 128, "layout");
static_assert(sizeof(struct jbi_limit) == 256, "layout");
static_assert(sizeof(struct jbi_reservation) == 128, "layout");

/* The limits where they lie, with sizes that were checked. */
struct jbi_limits {
    const struct jbi_undo *undo;
    const struct jbi_books *books; /* where what happens is recorded */
    struct jbi_limits_head *head;
    struct jbi_limit *limits;
    struct jbi_reservation *reservations;
    jb_window_entry *log;
    uint64_t n_log;
    uint32_t n_limits;
    uint32_t n_reservations;
};

/* What is taken: every resource once, every index in range. */
struct jbi_usage {
    uint32_t component;
    uint32_t peer; /* 0: nobody's */
    uint32_t n;
    bool is_repeated; /* it was denied before, and counted as that */
    uint32_t resource[JB_QUOTA_AMOUNTS_MAX];
    uint64_t amount[JB_QUOTA_AMOUNTS_MAX];
};

/* Why nothing was taken. */
struct jbi_denial {
    uint64_t retry_after_ns; /* UINT64_MAX: when a reservation ends */
    uint32_t limit;          /* the one that takes longest; UINT32_MAX: none */
};

/* JB_EINVAL with the reason. Without a lock. */
int jbi_limits_check(const jb_coord_opts *opts, jb_error *err);
uint64_t jbi_limits_bytes(const jb_coord_opts *opts);
/* Fill a region of zeroes. */
void jbi_limits_format(void *region, const jb_coord_opts *opts, uint64_t token);
/* Find them again: false when there are none, or what is there does not fit. Without a lock. */
bool jbi_limits_of(const struct jbi_books *books, struct jbi_limits *ret_limits);

/* Does a block have these limits? Any are, where none are given. */
bool jbi_limits_are_same(const struct jbi_books *books, const jb_coord_opts *opts);

/* The window of a limit of that kind; its log lies inside whatever the block says. */
struct jbi_window jbi_limit_window(const struct jbi_limits *limits, struct jbi_limit *limit);

/* Take for good (ret_token NULL) or reserve. 0, or JB_EAGAIN, JB_ETOOBIG, JB_ELIMIT (no room for
 * another reservation). One step, committed. */
int jbi_limits_take(const struct jbi_limits *limits, const struct jbi_usage *usage,
                    uint64_t *ret_token, uint32_t *ret_slot, struct jbi_denial *ret_denial);

/* What a reservation took, or NULL when it has ended. */
struct jbi_reservation *jbi_limits_find(const struct jbi_limits *limits, uint64_t token,
                                        uint32_t slot);
void jbi_reservation_unpack(const struct jbi_reservation *reservation, struct jbi_usage *ret_usage);

/* End one that is open, with what was used: `used` by the place of its amounts. One step,
 * committed. */
void jbi_limits_settle(const struct jbi_limits *limits, uint32_t slot, const uint64_t *used,
                       enum jb_used_reason reason);

/* Let time pass: end those whose deadline passed. Once a peer died: those that it left. */
void jbi_limits_tick(const struct jbi_books *books);
void jbi_limits_bury(const struct jbi_books *books, uint32_t peer);
/* When the next one expires; UINT64_MAX: none is open. */
uint64_t jbi_limits_next_ns(const struct jbi_books *books);

/* What the service outside says. One step, committed. */
void jbi_limits_correct(const struct jbi_limits *limits, uint32_t idx,
                        const struct jb_correction *correction, uint64_t now_ns);
/* False: there is nothing to block. */
bool jbi_limits_block(const struct jbi_limits *limits, uint32_t resource, uint64_t until_ns);
void jbi_limits_state(const struct jbi_limits *limits, uint32_t idx, uint64_t now_ns,
                      jb_rate_state *ret_state);

/* For limits_save.c: a moment on the clock of windows; units of a rate that have not come back, and
 * taking them away again after so long. Part of the caller's step. */
uint64_t jbi_limit_time(uint64_t now_ns);
uint64_t jbi_limit_missing(const struct jbi_limit *limit, uint64_t now_ns);
void jbi_limit_miss(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t missing,
                    uint64_t passed_ns, uint64_t now_ns);
void jbi_limit_block(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t until_ns);

/* Enter the coordinator and find its limits, or stay outside and say why not. */
int jbi_usage_enter(jb_coord *coord, struct jbi_limits *ret_limits);

#endif
