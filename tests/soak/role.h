/*
 * role.h: who takes part in a soak: one table, one line a role.
 *
 * Invariant: a reader's `wants` is exactly the topics that its patterns match, written down by hand
 * so that the library's matching is checked against something else.
 */
#ifndef SOAK_ROLE_H
#define SOAK_ROLE_H

#include "ledger.h"

struct role {
    const char *name;
    uint32_t n_actors;
    /* The life of one actor, in a process of its own, from opening the bus to closing it. Returns
     * the exit code: 0, or 1 after ledger_fail(). `row` is its place among the ledger's producers
     * or readers. */
    int (*live)(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed);
    bool is_reader;
    bool is_auditor; /* reads everything, lives through the round, keeps the order's tally */
    bool is_brief;   /* a reader that subscribes again and again */
    bool is_worker;  /* of the one consumer group */
    uint32_t policy; /* enum jb_sub_policy */
    uint32_t start;  /* enum jb_sub_start */
    const char *patterns[2]; /* the second may be NULL */
    uint32_t wants;          /* bit t: topic t */
    uint32_t wants_system;   /* bit t: topic t of SOAK_SYSTEM */
    bool is_high_first;      /* it wants all */
    uint64_t evict_after_ns; /* of a lossless one: it may miss events after all */
    uint32_t nap_us;         /* longest rest between batches; 0: none */
    bool claims;             /* a producer that claims, waits, fills, commits or gives back */
    bool batches;            /* a producer that publishes several at once */
    uint32_t budget; /* a producer that may have one part in so many of the ring unread; 0: all */
};

extern const struct role soak_roles[];
extern const uint32_t soak_n_roles;

static inline bool role_wants(const struct role *role, uint32_t producer, uint32_t topic)
{
    return producer == SOAK_SYSTEM ? role->wants_system >> topic & 1 : role->wants >> topic & 1;
}

static inline bool role_wants_all(const struct role *role)
{
    return role->wants == (1u << SOAK_TOPICS) - 1 &&
           role->wants_system == (1u << SOAK_SYSTEM_TOPICS) - 1;
}

/* Events replaced by newer ones of their topic and key are not shown to it. */
static inline bool role_conflates(const struct role *role)
{
    return role->policy == JB_SUB_CONFLATE;
}

static inline bool role_may_miss(const struct role *role)
{
    return role->policy != JB_SUB_LOSSLESS || role->evict_after_ns;
}

/* Opens the round's bus; the creator decides on its size. NULL after ledger_fail(). */
jb_bus *actor_open_bus(struct ledger *ledger, const struct role *role);

/* Waits until the auditor has begun. */
void actor_wait_go(const struct ledger *ledger);

void actor_nap_us(uint64_t us);

int producer_live(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed);
int reader_live(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed);

int worker_live(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed);

int asker_live(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed);
int answerer_live(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed);

/* Publishes the last word on each topic. */
int closer_live(struct ledger *ledger);

#endif
