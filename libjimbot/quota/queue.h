/*
 * queue.h: who waits, and who is next.
 *
 * Invariants, whenever the lock is given back:
 *  - a waiter that waits is in exactly one line, in the order of coming; lines are not empty;
 *  - no head of a line fits that is not kept out by a due one or a lingering turn;
 *  - head->settled_ns is 0, or no head of a line can go before it unless something changes that
 *    sets it to 0.
 *
 * The caller of everything here holds the lock.
 */
#ifndef JBI_QUOTA_QUEUE_H
#define JBI_QUOTA_QUEUE_H

#include "quota/books.h"

/* Stand in line until until_ns. Returns the slot, or JB_ELIMIT. One step, committed. */
int64_t jbi_queue_enter(const struct jbi_books *books, const struct jbi_want *want,
                        uint64_t until_ns);

/* The same for who does not wait, unless he is served at once: nothing is recorded, and when nobody
 * was granted anything meanwhile, not even a token is gone. */
int64_t jbi_queue_try_enter(const struct jbi_books *books, const struct jbi_want *want);
void jbi_queue_try_leave(const struct jbi_books *books, uint32_t slot);

/* Leave the line, if it is still in one, and give up the slot. `kind` is recorded: JB_RECORD_LEFT
 * or JB_RECORD_DENIED. One step, committed. */
void jbi_queue_leave(const struct jbi_books *books, uint32_t slot, uint32_t kind);

/* The same for one that does not come back, and the end of a lease that it was granted and has not
 * seen: nobody else knows of it. Returns how many that ended. */
uint32_t jbi_queue_cancel(const struct jbi_books *books, uint32_t slot, uint32_t how);

/* Give up the slot of one that is in no line any more. One step, committed. */
void jbi_queue_forget(const struct jbi_books *books, uint32_t slot);

/* Grant whatever can be granted, in order; then see who has to be given notice. */
void jbi_queue_serve(struct jbi_books *books);

/* The same without the second: for one who does not wait. */
void jbi_queue_grant(struct jbi_books *books);

/* Is there anybody whom jbi_queue_serve() would grant something? */
bool jbi_queue_somebody_could_go(const struct jbi_books *books);

/* Is any of what it wants kept for somebody who is expected back? */
bool jbi_queue_has_linger(const struct jbi_books *books, const struct jbi_want *want);

/* Is there anybody due who wants one of these resources and could have it when this component gives
 * it back? */
bool jbi_queue_is_any_due(const struct jbi_books *books, uint32_t component, uint64_t mask);

/* After jbi_queue_serve(): when somebody in line may become able to go, or has to leave; UINT64_MAX
 * when time alone changes nothing. */
uint64_t jbi_queue_next_ns(const struct jbi_books *books);

/* The waiter of that id in that slot, if it is of this handle; or NULL. */
struct jbi_quota_waiter *jbi_queue_find(const struct jbi_books *books, uint64_t id, uint32_t slot);

/* What it wants, checked. */
void jbi_waiter_unpack(const struct jbi_books *books, const struct jbi_quota_waiter *waiter,
                       struct jbi_want *ret_want);

/* line.c: the lines themselves; parts of the caller's step. */
int64_t jbi_line_slot_take(const struct jbi_books *books);
void jbi_line_slot_free(const struct jbi_books *books, uint32_t slot);
bool jbi_line_join(const struct jbi_books *books, uint32_t slot, const struct jbi_want *want);
void jbi_line_leave(const struct jbi_books *books, uint32_t slot, const struct jbi_want *want);

/* The heads of the lines, one by one; `heads` begins with zeroes. The head of a line is the first
 * that could be had when all leases have ended: who wants more than what is foreign leaves does not
 * hold up those behind it. */
struct jbi_heads {
    uint64_t next;
    uint32_t n;
};
struct jbi_line_head {
    struct jbi_want want;
    uint64_t id;
    uint32_t slot;
};
bool jbi_heads_next(const struct jbi_books *books, struct jbi_heads *heads,
                    struct jbi_line_head *ret_head);

/* order.c: whoever goes next, +1; 0 when nobody can. */
uint64_t jbi_queue_choose(const struct jbi_books *books);

/* Where virtual time stops: at whichever of the lines that want the resource, and could have it
 * when others give back, has had least. Who is served out of order, for its age or its guarantee,
 * would else take it along, and what the others had would be forgotten. */
uint64_t jbi_queue_least_tag(const struct jbi_books *books, uint32_t idx, uint32_t class_idx);

/* notice.c: give notice to leases that stand in the way of the heads of lines. True when room is no
 * longer kept for one of them. */
bool jbi_queue_ask_for_room(const struct jbi_books *books);

/* When it asks for room again, if it still has to; 0: it has not asked yet. */
uint64_t jbi_queue_asks_again_ns(const struct jbi_books *books,
                                 const struct jbi_quota_waiter *waiter);

/* Until when room is kept for it; 0: it is not. */
uint64_t jbi_queue_promised_until(const struct jbi_books *books,
                                  const struct jbi_quota_waiter *waiter);

/* One by one: the line at place `at` + 1, NULL for 0 or nonsense. */
static inline struct jbi_quota_flow *jbi_flow_get(const struct jbi_books *books, uint64_t at)
{
    return at >= 1 && at <= books->n_waiters ? &books->flows[at - 1] : NULL;
}

static inline struct jbi_quota_waiter *jbi_waiter_get(const struct jbi_books *books, uint64_t at)
{
    return at >= 1 && at <= books->n_waiters ? &books->waiters[at - 1] : NULL;
}

/* When it is due. */
static inline uint64_t jbi_due_ns(const struct jbi_books *books, const struct jbi_want *want)
{
    uint64_t steps = JBI_QUOTA_CLASSES - want->class_idx;

    return want->since_ns + steps * books->head->aging_ns;
}

#endif
