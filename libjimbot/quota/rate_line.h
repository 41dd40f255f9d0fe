/*
 * rate_line.h: who waits for rates, and who is next.
 *
 * Invariants, whenever the lock is given back:
 *  - a waiter that waits is in the line, once; the line is in the order of coming;
 *  - nobody in it can go whom no limit and nobody before him keeps out, as of the last time that
 *    anything changed or became due.
 *
 * The order is decided when it is looked at (rate_order.c): who is due first, then the higher
 * class, then whose component had least of its weight; of one component and class those who share
 * a resource in the order of coming. What a waiter wants is kept for it from whoever comes after it
 * in this order, up to the moment when it can go.
 *
 * The caller of everything here holds the lock.
 */
#ifndef JBI_QUOTA_RATE_LINE_H
#define JBI_QUOTA_RATE_LINE_H

#include "quota/limits.h"

#define JBI_RATE_NOBODY UINT32_MAX

/* Where a want stands. */
struct jbi_standing {
    int rc; /* 0: it can go; or JB_EAGAIN, JB_ETOOBIG */
    struct jbi_denial denial;
    bool is_held;      /* others before it are in the way */
    bool is_own;       /* a limit of its component alone is in the way */
    uint64_t go_ns;    /* until it can go, by time alone and as things stand */
    uint64_t sleep_ns; /* until it is worth while to look again; UINT64_MAX: when others went */
};

/* rate_line.c: stand in line. The place, or JB_ELIMIT. One step, committed. */
int64_t jbi_rate_enter(const struct jbi_limits *limits, const struct jbi_usage *usage,
                       uint64_t until_ns);

/* Leave the line and the table; what was granted meanwhile is given back. One step, committed. */
void jbi_rate_leave(const struct jbi_limits *limits, uint32_t slot);

/* Leave the table, when it is in the line no more. One step, committed. */
void jbi_rate_forget(const struct jbi_limits *limits, uint32_t slot);

/* Leave the line, with that result, and hear of it. One step, committed. */
void jbi_rate_end(const struct jbi_limits *limits, uint32_t slot, enum jbi_rate_state how);

/* End whoever never can go any more, after a correction. A step each, committed. */
void jbi_rate_refuse(const struct jbi_limits *limits);

/* Take it out of the line. Part of the caller's step. */
void jbi_rate_unlink(const struct jbi_limits *limits, uint32_t slot);

/* Wake it, if it sleeps. */
void jbi_rate_ring(const struct jbi_limits *limits, uint32_t slot);

/* The waiter of that id in that place, if it is of this handle; or NULL. */
struct jbi_rate_waiter *jbi_rate_find(const struct jbi_limits *limits, uint64_t id, uint32_t slot);

/* What it wants, checked. */
void jbi_rate_unpack(const struct jbi_limits *limits, const struct jbi_rate_waiter *waiter,
                     struct jbi_usage *ret_usage);

/* End the places of a peer. */
void jbi_rate_bury(const struct jbi_limits *limits, uint32_t peer);

/* How many in the line want a resource, for a component; JB_LIMIT_ALL: any. */
uint32_t jbi_rate_n_waiting(const struct jbi_books *books, uint32_t resource, uint32_t component);

/* Is the line what the invariants say? For who audits. */
bool jbi_rate_is_sound(const struct jbi_books *books);

/* rate_order.c: let go whoever can, and say when that may be somebody again. */
void jbi_rate_serve(const struct jbi_limits *limits);

/* Where does somebody stand, of the line (`slot`) or not (JBI_RATE_NOBODY)? Changes nothing. */
void jbi_rate_ask(const struct jbi_limits *limits, const struct jbi_usage *usage, uint32_t slot,
                  struct jbi_standing *ret_standing);

/* Take what may be taken, see jbi_limits_give(); while others wait it counts in the order. Part of
 * the caller's step. */
int64_t jbi_rate_give(const struct jbi_limits *limits, const struct jbi_usage *usage,
                      uint64_t *ret_token);

/* More was used than was taken: that counts as well. Part of the caller's step. */
void jbi_rate_charge_more(const struct jbi_limits *limits, const struct jbi_usage *usage,
                          const uint64_t *used);

/* Somebody joins: what was had while nobody waited for it is not held against who had it. Part of
 * the caller's step. */
void jbi_rate_catch_up(const struct jbi_limits *limits, const struct jbi_usage *usage);

static inline struct jbi_rate_waiter *jbi_rate_get(const struct jbi_limits *limits, uint64_t at)
{
    return at >= 1 && at <= limits->n_waiters ? &limits->waiters[at - 1] : NULL;
}

/* The resources that are wanted, as bits. */
static inline uint64_t jbi_rate_mask(uint64_t who, uint64_t resources)
{
    uint32_t n = (uint32_t)(who >> 16) & 0xff;
    uint64_t mask = 0;

    for (uint32_t i = 0; i < n && i < JB_QUOTA_AMOUNTS_MAX; i++)
        mask |= UINT64_C(1) << ((resources >> (8 * i)) % JB_QUOTA_RESOURCES_MAX);
    return mask;
}

#endif
