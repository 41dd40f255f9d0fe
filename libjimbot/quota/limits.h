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
#include "quota/limits_layout.h"
#include "quota/window.h"

/* The limits where they lie, with sizes that were checked. */
struct jbi_limits {
    const struct jbi_undo *undo;
    const struct jbi_books *books; /* where what happens is recorded */
    struct jbi_limits_head *head;
    struct jbi_limit *limits;
    struct jbi_reservation *reservations;
    struct jbi_rate_waiter *waiters;
    struct jbi_rate_tags *tags; /* of each limit: its own, then one of each component */
    jb_window_entry *log;
    uint64_t n_log;
    uint32_t n_limits;
    uint32_t n_reservations;
    uint32_t n_waiters;
    uint32_t n_components;
};

/* What is taken: every resource once, every index in range. */
struct jbi_usage {
    uint32_t component;
    uint32_t class_idx; /* 0 low .. 3 critical */
    uint32_t peer;      /* 0: nobody's */
    uint32_t n;
    uint64_t waited_ns;
    uint32_t resource[JB_QUOTA_AMOUNTS_MAX];
    uint64_t amount[JB_QUOTA_AMOUNTS_MAX];
};

/* Why nothing is taken. */
struct jbi_denial {
    uint64_t retry_after_ns; /* UINT64_MAX: when a reservation ends */
    uint32_t limit;          /* the one that takes longest; UINT32_MAX: none */
};

/* What all limits say together. */
struct jbi_reach {
    int rc; /* 0: all allow it; or JB_EAGAIN, JB_ETOOBIG */
    struct jbi_denial denial;
    uint64_t shared_ns; /* until those of all components allow it, by time alone: what a reservation
                           is in the way of may come back at any moment */
    uint64_t own_ns;    /* until those of its component do; UINT64_MAX: when a reservation ends */
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

/* Which of what is taken this limit counts; -1: nothing. */
int jbi_limit_place_in(const struct jbi_limit *limit, const struct jbi_usage *usage);

/* 0, JB_EAGAIN or JB_ETOOBIG: whatever is blocked, would it allow so much, and when by time alone?
 * UINT64_MAX: when a reservation ends. */
int jbi_limit_decide(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t n,
                     uint64_t now_ns, uint64_t *ret_retry_ns);
void jbi_limits_reach(const struct jbi_limits *limits, const struct jbi_usage *usage,
                      struct jbi_reach *ret_reach);

/* Take what all limits allow, for good (ret_token NULL) or as a reservation. Its place, or
 * JB_ELIMIT: no room for another, and nothing was changed. Part of the caller's step. */
int64_t jbi_limits_give(const struct jbi_limits *limits, const struct jbi_usage *usage,
                        uint64_t *ret_token);

/* Nothing was taken: count and record that. One step, committed. */
void jbi_limits_deny(const struct jbi_limits *limits, const struct jbi_usage *usage,
                     const struct jbi_denial *denial);

/* Part of the caller's step, as what it tells of is. */
void jbi_usage_record(const struct jbi_limits *limits, const struct jbi_happening *what,
                      const struct jbi_usage *usage);

/* What a reservation took, or NULL when it has ended. */
struct jbi_reservation *jbi_limits_find(const struct jbi_limits *limits, uint64_t token,
                                        uint32_t slot);
void jbi_reservation_unpack(const struct jbi_reservation *reservation, struct jbi_usage *ret_usage);

/* Who takes what, as it lies in the block; and from there, checked. */
uint64_t jbi_usage_who(const struct jbi_usage *usage);
uint64_t jbi_usage_resources(const struct jbi_usage *usage);
void jbi_usage_unpack(uint64_t who, uint64_t resources, const uint64_t *amounts,
                      struct jbi_usage *ret_usage);

/* End one that is open, with what was used: `used` by the place of its amounts. One step,
 * committed. */
void jbi_limits_settle(const struct jbi_limits *limits, uint32_t slot, const uint64_t *used,
                       enum jb_used_reason reason);

/* Let time pass: end those whose deadline passed, and serve who waits. Once a peer died: those that
 * it left, and its places in line. */
void jbi_limits_tick(const struct jbi_books *books);
void jbi_limits_bury(const struct jbi_books *books, uint32_t peer);
/* When a reservation expires, or who waits may go; UINT64_MAX: nothing that is known. */
uint64_t jbi_limits_next_ns(const struct jbi_books *books);

/* What the service outside says. One step, committed. */
void jbi_limits_correct(const struct jbi_limits *limits, uint32_t idx,
                        const struct jb_correction *correction, uint64_t now_ns);
/* False: there is nothing to block. */
bool jbi_limits_block(const struct jbi_limits *limits, uint32_t resource, uint64_t until_ns);
void jbi_limits_state(const struct jbi_limits *limits, uint32_t idx, uint64_t now_ns,
                      jb_rate_state *ret_state);

/* Take from one limit, or change a word of one. Part of the caller's step. */
void jbi_limit_take_from(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t n,
                         uint64_t now_ns);

static inline void jbi_limits_set(const struct jbi_limits *limits, uint64_t *word, uint64_t value)
{
    if (*word != value)
        jbi_undo_set(limits->undo, word, value);
}

static inline struct jbi_gcra_terms jbi_limit_terms(const struct jbi_limit *limit)
{
    return (struct jbi_gcra_terms){.interval = limit->gcra.interval[0],
                                   .burst = limit->gcra.burst[0]};
}

/* For limits_save.c: a moment on the clock of windows; units of a rate that have not come back, and
 * taking them away again after so long. Part of the caller's step. */
uint64_t jbi_limit_time(uint64_t now_ns);
uint64_t jbi_limit_missing(const struct jbi_limit *limit, uint64_t now_ns);
void jbi_limit_miss(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t missing,
                    uint64_t passed_ns, uint64_t now_ns);
void jbi_limit_block(const struct jbi_limits *limits, struct jbi_limit *limit, uint64_t until_ns);

#endif
