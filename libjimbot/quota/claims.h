/*
 * claims.h: the order of service as one order over all heads of lines, and what is kept for whom.
 *
 * Invariant: what is kept for a claim is kept from whoever comes after it in the order, and from
 * nobody else. Below a ceiling it is kept from the component itself; while the ceiling is in the
 * way of a claim, it keeps nothing from others.
 */
#ifndef JBI_QUOTA_CLAIMS_H
#define JBI_QUOTA_CLAIMS_H

#include "quota/queue.h"

enum { JBI_CLAIMS_MAX = 64 };

/* Lower goes first: who is due by when it became due; then guarantee, class, share, age. */
struct jbi_rank {
    uint32_t group; /* 0: due */
    uint64_t share;
    uint64_t id;
};

struct jbi_claim {
    struct jbi_rank rank;
    uint32_t n;
    uint32_t resource[JB_QUOTA_AMOUNTS_MAX];
    uint64_t amount[JB_QUOTA_AMOUNTS_MAX];
};

/* In order. Of more there are the first: those behind them come in when these are served. */
struct jbi_claims {
    uint32_t n;
    bool has_own; /* somebody due may be held up by a ceiling of its component */
    struct jbi_claim at[JBI_CLAIMS_MAX];
};

struct jbi_rank jbi_rank_of(const struct jbi_books *books, const struct jbi_line_head *head);
bool jbi_rank_is_before(const struct jbi_rank *a, const struct jbi_rank *b);
bool jbi_rank_is_due(const struct jbi_rank *rank);

/* Does it stay within what its component is guaranteed of everything it wants? */
bool jbi_is_guaranteed(const struct jbi_books *books, const struct jbi_want *want);

/* All that is claimed: what due ones want, and those for whom room is being made. */
void jbi_claims_collect(const struct jbi_books *books, struct jbi_claims *ret_claims);

/* What one head claims, after it changed. True when it claimed something and no longer does. */
bool jbi_claims_update(const struct jbi_books *books, struct jbi_claims *claims,
                       const struct jbi_line_head *head);

/* How much of each resource is kept from one of that rank; NULL: nothing of any. */
const uint64_t *jbi_claims_before(const struct jbi_claims *claims, const struct jbi_rank *rank,
                                  uint64_t kept[JB_QUOTA_RESOURCES_MAX]);

/* Does its component have to leave what is below its ceiling to one of its own that is due? */
bool jbi_claims_hold_back(const struct jbi_books *books, const struct jbi_claims *claims,
                          const struct jbi_rank *rank, const struct jbi_want *want);

#endif
