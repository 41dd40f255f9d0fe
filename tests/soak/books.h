/*
 * books.h: the balance of every reader's life against the order that all readers saw.
 *
 * Invariant: a life is balanced once, when the auditor has passed its end; its figures enter the
 * totals then and not before.
 */
#ifndef SOAK_BOOKS_H
#define SOAK_BOOKS_H

#include "role.h"

enum { BOOKS_ROLES = 32, BOOKS_PENDING = 512 };

/* A reader from its subscription to its end, or up to a moment while it goes on. */
struct life {
    const struct role *role;
    uint32_t row;
    bool is_ended;
    bool is_drained;
    struct account account;
    uint64_t about_at_start[SOAK_PRODUCERS];
    uint64_t final_sequence;
    uint64_t n_missed_total;
    uint64_t n_conflated_total;
};

struct role_total {
    uint64_t n_lives; /* or visits, of those who are brief */
    uint64_t n_events;
    uint64_t n_bytes;
    uint64_t n_missed;
    uint64_t n_passed_over; /* as unwanted, or as replaced by newer ones */
};

struct books {
    struct role_total roles[BOOKS_ROLES]; /* as soak_roles */
    uint64_t n_published;
    uint64_t n_bytes;
    uint64_t n_full; /* JB_EAGAIN answers */
    uint64_t n_doubted;
    uint64_t n_doubts_published;
    uint64_t n_notices[SOAK_NOTICES]; /* that the bus published about itself */
    uint64_t n_revoked;               /* claims that producers say were taken from them */
    uint64_t n_replied;               /* requests */
    uint64_t n_timed_out;
    uint64_t n_late;      /* replies */
    jb_group_stats group; /* sums of what it acknowledged, delivered again, lost and missed */
    uint64_t n_gaps;      /* it had no worker */
    uint64_t n_balanced;  /* lives and moments of lives found in balance */
    uint64_t n_laps;      /* of rings, by the bytes read */
    uint64_t n_aborted;   /* claims the bus counted as become nothing */
    struct life *pending;
    uint32_t n_pending;
};

bool books_init(struct books *books);
void books_fini(struct books *books);

/* Take a reader's row to be balanced. False when it had begun nothing, or there is no room. */
bool books_take(struct books *books, struct ledger *ledger, const struct role *role, uint32_t row,
                bool is_ended);

/* Balance what the auditor has passed. 0, or -1 after ledger_fail(). */
int books_settle(struct books *books, struct ledger *ledger);

/* The end of a round: all are gone. Balances the producers and the bus. 0 or -1. */
int books_close(struct books *books, struct ledger *ledger, uint64_t n_kills);

#endif
