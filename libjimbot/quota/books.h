/*
 * books.h: who has how much of what: resources, components, leases, and their ends.
 *
 * Invariants, after every step:
 *  - what is allocated of a resource is the sum of what its leases have, never more than the
 *    capacity less the headroom;
 *  - a lease in use has a token that no other ever had, and one end: the step that frees its slot;
 *  - every lease with a deadline is in the heap, once.
 *
 * The block may lie in shared memory: whatever is read from it and leads somewhere is checked where
 * it is used, from a copy, and loops are bounded by sizes of ours.
 *
 * The caller of everything here holds the lock, except of jbi_books_place() and jbi_books_format().
 */
#ifndef JBI_QUOTA_BOOKS_H
#define JBI_QUOTA_BOOKS_H

#include "quota/quota_layout.h"

enum { JBI_WAKES_MAX = 32 };

struct jbi_deadline {
    uint64_t at_ns;
    uint64_t lease; /* + 1 */
};

/* One handle's view of a block. Sizes are from the checked params. */
struct jbi_books {
    struct jbi_undo undo;
    struct jbi_quota_head *head;
    struct jbi_quota_resource *resources;
    struct jbi_quota_component *components;
    struct jbi_quota_share *shares; /* [component][resource] */
    struct jbi_quota_lease *leases;
    struct jbi_deadline *heap;
    struct jbi_quota_waiter *waiters;
    struct jbi_quota_flow *flows; /* as many as waiters */
    struct jbi_quota_record *records;
    uint8_t *limits;
    uint64_t limit_bytes;
    uint32_t n_resources;
    uint32_t n_components;
    uint32_t n_leases;
    uint32_t n_waiters;
    uint32_t n_records;
    uint32_t peer;    /* who acts */
    uint32_t n_wakes; /* waiters to wake when the lock is given back */
    uint32_t wakes[JBI_WAKES_MAX];
};

/* A want that was checked: every index is in range. */
struct jbi_want {
    uint32_t component;
    uint32_t class_idx; /* 0 low .. 3 critical */
    uint32_t n;
    uint32_t peer; /* 0: detached */
    uint32_t resource[JB_QUOTA_AMOUNTS_MAX];
    uint64_t amount[JB_QUOTA_AMOUNTS_MAX];
    uint64_t mask;
    uint64_t hold_ns;
    uint64_t tag;
    uint64_t since_ns;
    uint64_t advance_ns; /* of a lease */
    bool is_noticed;     /* of a lease: it counts as given notice */
};

enum jbi_fit {
    JBI_FITS,
    JBI_FIT_FULL, /* others have it */
    JBI_FIT_OWN,  /* the component's own ceiling */
    JBI_FIT_LATER /* its own pace */
};

/* It fits, or others have to give back before it does. */
static inline bool jbi_fit_is_others(enum jbi_fit fit)
{
    return fit == JBI_FITS || fit == JBI_FIT_FULL;
}

/* Bytes of a block with these params; 0 when one is out of range. */
uint64_t jbi_books_bytes(const uint64_t params[JBI_QUOTA_PARAMS]);
void jbi_books_place(struct jbi_books *books, void *block, const uint64_t params[JBI_QUOTA_PARAMS],
                     bool is_shared);
/* Fill a block of zeroes. The options are valid. */
void jbi_books_format(const struct jbi_books *books, const jb_coord_opts *opts, uint64_t token);

/* Let time pass: what it is now, never less than before. */
uint64_t jbi_books_now(const struct jbi_books *books, uint64_t clock_ns);

/* End leases whose deadline passed. Returns how many. */
uint32_t jbi_books_expire(const struct jbi_books *books);

/* What is there for leases of a resource, all in all. */
uint64_t jbi_books_limit(const struct jbi_quota_resource *resource);

/* Could it ever be granted? */
bool jbi_books_is_possible(const struct jbi_books *books, const struct jbi_want *want);

/* Can it be granted now, if `kept` (NULL: nothing) of each resource is for somebody else? */
enum jbi_fit jbi_books_fit(const struct jbi_books *books, const struct jbi_want *want,
                           const uint64_t *kept);

/* Grant what fits. Returns the slot, or JB_ELIMIT. Part of the caller's step. */
int64_t jbi_books_grant(const struct jbi_books *books, const struct jbi_want *want);

/* End a lease in use. One step, committed. */
void jbi_books_end(const struct jbi_books *books, uint32_t slot, uint32_t how);

/* The lease of that token in that slot, if it goes on; else NULL. */
struct jbi_quota_lease *jbi_books_find(const struct jbi_books *books, uint64_t token,
                                       uint32_t slot);

/* What a lease has, checked. */
void jbi_lease_unpack(const struct jbi_books *books, const struct jbi_quota_lease *lease,
                      struct jbi_want *ret_want);

/* Keep `amount` of what it has of the resource at place `idx`. One step, committed. */
void jbi_books_shrink(const struct jbi_books *books, uint32_t slot, uint32_t idx, uint64_t amount);

/* It ends after notice_ns as revoked, or when it would anyway if that is before. One step,
 * committed. */
void jbi_books_notice(const struct jbi_books *books, uint32_t slot, uint64_t notice_ns);

/* Give it another deadline. Part of the caller's step. */
void jbi_books_set_deadline(const struct jbi_books *books, uint32_t slot, uint64_t deadline_ns);

/* Where fair queueing stands for a want: its start tag. */
uint64_t jbi_books_start_tag(const struct jbi_books *books, const struct jbi_want *want);

/* The share of the capacity that `amount` is, of that much time. */
uint64_t jbi_books_part_ns(const struct jbi_quota_resource *resource, uint64_t amount,
                           uint64_t time_ns);

static inline struct jbi_quota_share *jbi_share_get(const struct jbi_books *books,
                                                    uint32_t component, uint32_t resource)
{
    return &books->shares[(size_t)component * books->n_resources + resource];
}

static inline uint64_t jbi_who_pack(const struct jbi_want *want)
{
    return want->component | (uint64_t)want->class_idx << 16 | (uint64_t)want->n << 24 |
           (uint64_t)want->peer << 32;
}

static inline uint32_t jbi_who_peer(uint64_t who)
{
    return (uint32_t)(who >> 32) & 0xffff;
}

static inline uint32_t jbi_who_class(uint64_t who)
{
    return (uint32_t)(who >> 16) & (JBI_QUOTA_CLASSES - 1);
}

/* Something changed that may let somebody in line go: an end, a new head of a line, what is
 * foreign. A grant is none: whoever grants serves on until nobody can go. Part of the caller's
 * step. */
static inline void jbi_books_unsettle(const struct jbi_books *books)
{
    if (books->head->settled_ns != 0)
        jbi_undo_set(&books->undo, &books->head->settled_ns, 0);
}

/* heap.c: leases by deadline. */
void jbi_heap_insert(const struct jbi_books *books, uint32_t slot);
void jbi_heap_remove(const struct jbi_books *books, uint32_t slot);

/* record.c: what happened. `n_more`: records of the same lease that follow at once. Part of the
 * caller's step. */
struct jbi_happening {
    uint32_t kind; /* enum jb_record_kind */
    uint32_t reason;
    uint32_t slot;
    uint64_t token;
    uint64_t value_ns;
};
void jbi_record_want(const struct jbi_books *books, const struct jbi_happening *what,
                     const struct jbi_want *want);
void jbi_record_one(const struct jbi_books *books, const struct jbi_happening *what,
                    const struct jbi_want *want, uint32_t idx, uint32_t n_more);

/* Which bucket of a histogram a duration falls into. */
uint32_t jbi_bucket_of(uint64_t ns);

#endif
