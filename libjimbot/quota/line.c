/*
 * line.c: waiters in lines: doubly linked, so that one can leave from the middle; the lines
 * themselves in a list. See queue.h for the invariants.
 *
 * There are as many places for lines as for waiters, and no line is empty, so a line is always to
 * be had for a waiter that has a slot.
 */
#include "quota/queue.h"

#include <string.h>

void jbi_waiter_unpack(const struct jbi_books *books, const struct jbi_quota_waiter *waiter,
                       struct jbi_want *ret_want)
{
    struct jbi_quota_lease as_lease = {
        .who = waiter->who,
        .resources = waiter->resources,
        .hold_ns = waiter->hold_ns,
        .tag = waiter->tag,
        .granted_ns = waiter->since_ns,
    };

    memcpy(as_lease.amounts, waiter->amounts, sizeof as_lease.amounts);
    jbi_lease_unpack(books, &as_lease, ret_want);
}

/* Could it be had when all leases have ended? */
static bool is_within_reach(const struct jbi_books *books, const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++) {
        const struct jbi_quota_resource *resource = &books->resources[want->resource[i]];
        uint64_t limit = jbi_books_limit(resource);

        if (resource->foreign > limit || want->amount[i] > limit - resource->foreign)
            return false;
    }
    return true;
}

static bool head_of(const struct jbi_books *books, const struct jbi_quota_flow *flow,
                    struct jbi_line_head *ret_head)
{
    uint64_t at = flow->head;

    for (uint32_t i = 0; i < books->n_waiters && jbi_waiter_get(books, at); i++) {
        const struct jbi_quota_waiter *waiter = jbi_waiter_get(books, at);

        if (waiter->state != JBI_WAITER_WAITING)
            return false;
        jbi_waiter_unpack(books, waiter, &ret_head->want);
        if (is_within_reach(books, &ret_head->want)) {
            ret_head->id = waiter->id;
            ret_head->slot = (uint32_t)(at - 1);
            return true;
        }
        at = waiter->next;
    }
    return false;
}

int64_t jbi_line_slot_take(const struct jbi_books *books)
{
    struct jbi_quota_head *head = books->head;
    uint64_t slot = head->free_waiter;
    struct jbi_quota_waiter *waiter = jbi_waiter_get(books, slot);

    if (waiter && waiter->state == JBI_WAITER_FREE) {
        jbi_undo_set(&books->undo, &head->free_waiter, waiter->next);
    } else {
        slot = head->top_waiter + 1;
        waiter = jbi_waiter_get(books, slot);
        if (!waiter || waiter->state != JBI_WAITER_FREE)
            return -1;
        jbi_undo_set(&books->undo, &head->top_waiter, slot);
    }
    jbi_undo_add(&books->undo, &head->n_waiters, 1);
    return (int64_t)slot - 1;
}

void jbi_line_slot_free(const struct jbi_books *books, uint32_t slot)
{
    struct jbi_quota_head *head = books->head;
    struct jbi_quota_waiter *waiter = &books->waiters[slot];

    jbi_undo_set(&books->undo, &waiter->state, JBI_WAITER_FREE);
    jbi_undo_set(&books->undo, &waiter->id, 0);
    jbi_undo_set(&books->undo, &waiter->next, head->free_waiter);
    jbi_undo_set(&books->undo, &head->free_waiter, slot + UINT64_C(1));
    jbi_undo_set(&books->undo, &head->n_waiters, head->n_waiters - 1);
}

static uint64_t flow_find(const struct jbi_books *books, const struct jbi_want *want)
{
    uint64_t who = want->component | (uint64_t)want->class_idx << 16;
    uint64_t at = books->head->first_flow;

    for (uint32_t i = 0; i < books->n_waiters; i++) {
        const struct jbi_quota_flow *flow = jbi_flow_get(books, at);

        if (!flow)
            break;
        if (flow->mask == want->mask && flow->who == who)
            return at;
        at = flow->next;
    }
    return 0;
}

static uint64_t flow_make(const struct jbi_books *books, const struct jbi_want *want)
{
    const struct jbi_undo *undo = &books->undo;
    struct jbi_quota_head *head = books->head;
    uint64_t at = head->free_flow;
    struct jbi_quota_flow *flow = jbi_flow_get(books, at);
    struct jbi_quota_flow *first = jbi_flow_get(books, head->first_flow);

    if (!flow)
        return 0;
    jbi_undo_set(undo, &head->free_flow, flow->next);
    jbi_undo_set(undo, &flow->mask, want->mask);
    jbi_undo_set(undo, &flow->who, want->component | (uint64_t)want->class_idx << 16);
    jbi_undo_set(undo, &flow->head, 0);
    jbi_undo_set(undo, &flow->tail, 0);
    jbi_undo_set(undo, &flow->prev, 0);
    jbi_undo_set(undo, &flow->next, head->first_flow);
    if (first)
        jbi_undo_set(undo, &first->prev, at);
    jbi_undo_set(undo, &head->first_flow, at);
    return at;
}

static void flow_free(const struct jbi_books *books, uint64_t at)
{
    const struct jbi_undo *undo = &books->undo;
    struct jbi_quota_head *head = books->head;
    struct jbi_quota_flow *flow = &books->flows[at - 1];
    struct jbi_quota_flow *prev = jbi_flow_get(books, flow->prev);
    struct jbi_quota_flow *next = jbi_flow_get(books, flow->next);

    jbi_undo_set(undo, prev ? &prev->next : &head->first_flow, flow->next);
    if (next)
        jbi_undo_set(undo, &next->prev, flow->prev);
    jbi_undo_set(undo, &flow->next, head->free_flow);
    jbi_undo_set(undo, &head->free_flow, at);
}

static void count(const struct jbi_books *books, const struct jbi_want *want, uint64_t change)
{
    jbi_undo_add(&books->undo, &books->head->n_waiting, change);
    jbi_undo_add(&books->undo, &books->components[want->component].n_waiting, change);
    for (uint32_t i = 0; i < want->n; i++)
        jbi_undo_add(&books->undo, &books->resources[want->resource[i]].n_waiting, change);
}

bool jbi_line_join(const struct jbi_books *books, uint32_t slot, const struct jbi_want *want)
{
    const struct jbi_undo *undo = &books->undo;
    struct jbi_quota_waiter *waiter = &books->waiters[slot];
    uint64_t at = flow_find(books, want);
    struct jbi_quota_waiter *last;
    struct jbi_quota_flow *flow;
    struct jbi_line_head head;

    if (!at)
        at = flow_make(books, want);
    flow = jbi_flow_get(books, at);
    if (!flow)
        return false;
    last = jbi_waiter_get(books, flow->tail);
    if (!head_of(books, flow, &head))
        jbi_books_unsettle(books);
    jbi_undo_set(undo, &waiter->flow, at);
    jbi_undo_set(undo, &waiter->prev, flow->tail);
    jbi_undo_set(undo, &waiter->next, 0);
    jbi_undo_set(undo, last ? &last->next : &flow->head, slot + UINT64_C(1));
    jbi_undo_set(undo, &flow->tail, slot + UINT64_C(1));
    count(books, want, 1);
    return true;
}

void jbi_line_leave(const struct jbi_books *books, uint32_t slot, const struct jbi_want *want)
{
    const struct jbi_undo *undo = &books->undo;
    struct jbi_quota_waiter *waiter = &books->waiters[slot];
    uint64_t at = waiter->flow;
    struct jbi_quota_flow *flow = jbi_flow_get(books, at);
    struct jbi_quota_waiter *prev = jbi_waiter_get(books, waiter->prev);
    struct jbi_quota_waiter *next = jbi_waiter_get(books, waiter->next);
    struct jbi_line_head head;

    if (!flow)
        return;
    if (head_of(books, flow, &head) && head.slot == slot)
        jbi_books_unsettle(books);
    jbi_undo_set(undo, prev ? &prev->next : &flow->head, waiter->next);
    jbi_undo_set(undo, next ? &next->prev : &flow->tail, waiter->prev);
    count(books, want, UINT64_MAX);
    if (!flow->head)
        flow_free(books, at);
    jbi_undo_set(undo, &waiter->flow, 0);
}

bool jbi_heads_next(const struct jbi_books *books, struct jbi_heads *heads,
                    struct jbi_line_head *ret_head)
{
    uint64_t at = heads->n ? heads->next : books->head->first_flow;

    while (heads->n < books->n_waiters && jbi_flow_get(books, at)) {
        const struct jbi_quota_flow *flow = jbi_flow_get(books, at);

        at = flow->next;
        heads->next = at;
        heads->n++;
        if (head_of(books, flow, ret_head))
            return true;
    }
    return false;
}
