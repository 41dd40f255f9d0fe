/*
 * queue.c: see queue.h. Who waits comes, is served, runs out of time, leaves. Who is next is a
 * matter of order.c.
 */
#include "quota/queue.h"

#include "base/os.h"

#include <string.h>

struct jbi_quota_waiter *jbi_queue_find(const struct jbi_books *books, uint64_t id, uint32_t slot)
{
    if (slot >= books->n_waiters || id == 0 || books->waiters[slot].id != id ||
        books->waiters[slot].asker != books->peer)
        return NULL;
    return books->waiters[slot].state != JBI_WAITER_FREE ? &books->waiters[slot] : NULL;
}

static uint64_t earlier_after(uint64_t now, uint64_t a, uint64_t b)
{
    return b > now && b < a ? b : a;
}

/* When time alone may change what the head of a line gets. */
static uint64_t head_next_ns(const struct jbi_books *books, const struct jbi_line_head *head)
{
    const struct jbi_quota_waiter *waiter = &books->waiters[head->slot];
    uint64_t now = books->head->now_ns;
    uint64_t next_ns = earlier_after(now, UINT64_MAX, jbi_due_ns(books, &head->want));

    next_ns = earlier_after(now, next_ns, jbi_queue_promised_until(books, waiter));
    next_ns = earlier_after(now, next_ns, jbi_queue_asks_again_ns(books, waiter));
    for (uint32_t i = 0; i < head->want.n; i++) {
        uint32_t idx = head->want.resource[i];

        next_ns = earlier_after(now, next_ns, books->resources[idx].linger_until_ns);
        next_ns =
            earlier_after(now, next_ns, jbi_share_get(books, head->want.component, idx)->ready_ns);
    }
    return next_ns;
}

/* Whoever comes and does not fit changes nothing for the others. */
static void stay_settled(const struct jbi_books *books, uint64_t settled_ns, uint32_t slot,
                         const struct jbi_want *want)
{
    struct jbi_line_head head = {.want = *want, .id = books->waiters[slot].id, .slot = slot};
    uint64_t next_ns;

    if (settled_ns <= books->head->now_ns || books->head->notice_ns > 0 ||
        jbi_books_fit(books, want, NULL) == JBI_FITS)
        return;
    next_ns = head_next_ns(books, &head);
    jbi_undo_set(&books->undo, &books->head->settled_ns,
                 next_ns < settled_ns ? next_ns : settled_ns);
}

static int64_t enter(const struct jbi_books *books, const struct jbi_want *want, uint64_t until_ns,
                     bool is_recorded)
{
    uint64_t settled_ns = books->head->n_waiting > 0 ? books->head->settled_ns : 0;
    int64_t slot = jbi_line_slot_take(books);
    struct jbi_happening what = {.kind = JB_RECORD_WAITING};
    struct jbi_quota_waiter *waiter;

    if (slot < 0)
        return JB_ELIMIT;
    waiter = &books->waiters[slot];
    waiter->who = jbi_who_pack(want);
    waiter->resources = 0;
    waiter->hold_ns = want->hold_ns;
    waiter->tag = want->tag;
    waiter->since_ns = want->since_ns;
    waiter->until_ns = until_ns;
    waiter->lease = 0;
    waiter->token = 0;
    waiter->asked_ns = 0;
    waiter->is_asleep = 0;
    waiter->asker = books->peer;
    if (books->head->n_waiting == 0 || until_ns < books->head->until_ns)
        jbi_undo_set(&books->undo, &books->head->until_ns, until_ns);
    for (uint32_t i = 0; i < want->n; i++) {
        waiter->resources |= (uint64_t)want->resource[i] << (8 * i);
        waiter->amounts[i] = want->amount[i];
    }
    what.token = books->head->next_token;
    what.slot = (uint32_t)slot;
    jbi_undo_add(&books->undo, &books->head->next_token, 1);
    jbi_undo_set(&books->undo, &waiter->id, what.token);
    jbi_undo_set(&books->undo, &waiter->state, JBI_WAITER_WAITING);
    if (!jbi_line_join(books, (uint32_t)slot, want)) {
        jbi_undo_set(&books->undo, &waiter->id, 0);
        jbi_undo_set(&books->undo, &waiter->state, JBI_WAITER_FREE);
        jbi_undo_commit(&books->undo);
        return JB_ELIMIT;
    }
    stay_settled(books, settled_ns, (uint32_t)slot, want);
    if (is_recorded)
        jbi_record_want(books, &what, want);
    jbi_undo_commit(&books->undo);
    return slot;
}

int64_t jbi_queue_enter(const struct jbi_books *books, const struct jbi_want *want,
                        uint64_t until_ns)
{
    return enter(books, want, until_ns, true);
}

int64_t jbi_queue_try_enter(const struct jbi_books *books, const struct jbi_want *want)
{
    return enter(books, want, UINT64_MAX, false);
}

void jbi_queue_try_leave(const struct jbi_books *books, uint32_t slot)
{
    struct jbi_quota_head *head = books->head;
    uint64_t id = books->waiters[slot].id;
    struct jbi_want want;

    jbi_waiter_unpack(books, &books->waiters[slot], &want);
    jbi_line_leave(books, slot, &want);
    jbi_line_slot_free(books, slot);
    if (head->next_token == id + 1)
        jbi_undo_set(&books->undo, &head->next_token, id);
    jbi_undo_commit(&books->undo);
}

static void record_left(const struct jbi_books *books, uint32_t slot, const struct jbi_want *want,
                        uint32_t kind, uint32_t reason)
{
    struct jbi_happening what = {
        .kind = kind,
        .reason = reason,
        .slot = slot,
        .token = books->waiters[slot].id,
        .value_ns = books->head->now_ns - want->since_ns,
    };

    jbi_record_want(books, &what, want);
    if (kind == JB_RECORD_DENIED)
        books->components[want->component].n_denied++;
    for (uint32_t i = 0; i < want->n && kind == JB_RECORD_DENIED; i++)
        books->resources[want->resource[i]].n_denied++;
}

void jbi_queue_leave(const struct jbi_books *books, uint32_t slot, uint32_t kind)
{
    struct jbi_quota_waiter *waiter = &books->waiters[slot];
    struct jbi_want want;

    jbi_waiter_unpack(books, waiter, &want);
    if (waiter->state == JBI_WAITER_WAITING) {
        record_left(books, slot, &want, kind, 0);
        jbi_line_leave(books, slot, &want);
    }
    jbi_line_slot_free(books, slot);
    jbi_undo_commit(&books->undo);
}

uint32_t jbi_queue_cancel(const struct jbi_books *books, uint32_t slot, uint32_t how)
{
    const struct jbi_quota_waiter *waiter = &books->waiters[slot];
    uint32_t lease = (uint32_t)waiter->lease;
    bool has_lease =
        waiter->state == JBI_WAITER_GRANTED && jbi_books_find(books, waiter->token, lease) != NULL;

    if (has_lease)
        jbi_books_end(books, lease, how);
    jbi_queue_leave(books, slot, JB_RECORD_LEFT);
    return has_lease;
}

void jbi_queue_forget(const struct jbi_books *books, uint32_t slot)
{
    jbi_line_slot_free(books, slot);
    jbi_undo_commit(&books->undo);
}

/* From its line; its slot stays until somebody asks. */
static void time_out_one(const struct jbi_books *books, uint32_t slot)
{
    struct jbi_quota_waiter *waiter = &books->waiters[slot];
    struct jbi_want want;

    jbi_waiter_unpack(books, waiter, &want);
    record_left(books, slot, &want, JB_RECORD_DENIED, JB_DENIED_TIMEOUT);
    jbi_line_leave(books, slot, &want);
    jbi_undo_set(&books->undo, &waiter->state, JBI_WAITER_TIMED_OUT);
    jbi_undo_commit(&books->undo);
}

static void ring_bell(struct jbi_books *books, uint32_t slot)
{
    struct jbi_quota_waiter *waiter = &books->waiters[slot];

    if (!waiter->is_asleep)
        return;
    waiter->is_asleep = 0;
    /* Who looked before this change finds another number and does not sleep. */
    atomic_fetch_add_explicit(&waiter->bell, 1, memory_order_relaxed);
    if (books->n_wakes < JBI_WAKES_MAX)
        books->wakes[books->n_wakes++] = slot;
    else
        jbi_os_wake_all((uint32_t *)&waiter->bell);
}

/* Grant it, and let virtual time go on no further than it may. Part of the caller's step. */
static int64_t grant(const struct jbi_books *books, const struct jbi_want *want)
{
    uint64_t least[JB_QUOTA_AMOUNTS_MAX];
    int64_t lease;

    for (uint32_t i = 0; i < want->n; i++)
        least[i] = jbi_queue_least_tag(books, want->resource[i], want->class_idx);
    lease = jbi_books_grant(books, want);
    for (uint32_t i = 0; i < want->n && lease >= 0; i++) {
        uint64_t *vtime = &books->resources[want->resource[i]].vtime[want->class_idx];

        if (least[i] < *vtime)
            jbi_undo_set(&books->undo, vtime, least[i]);
    }
    return lease;
}

static bool serve_one(struct jbi_books *books, uint32_t slot)
{
    struct jbi_quota_waiter *waiter = &books->waiters[slot];
    struct jbi_want want;
    int64_t lease;

    jbi_waiter_unpack(books, waiter, &want);
    lease = grant(books, &want);
    if (lease < 0)
        return false;
    jbi_line_leave(books, slot, &want);
    jbi_undo_set(&books->undo, &waiter->lease, (uint64_t)lease);
    jbi_undo_set(&books->undo, &waiter->token, books->leases[lease].token);
    jbi_undo_set(&books->undo, &waiter->state, JBI_WAITER_GRANTED);
    jbi_undo_commit(&books->undo);
    ring_bell(books, slot);
    return true;
}

/* Whoever's time ran out by then, at the head of a line or not, makes room for those behind. True
 * when there was any. */
static bool time_out(struct jbi_books *books, uint64_t by_ns)
{
    uint64_t top = books->head->top_waiter;
    uint64_t soonest = UINT64_MAX;
    bool is_any = false;

    if (books->head->until_ns > by_ns)
        return false;
    for (uint32_t slot = 0; slot < books->n_waiters && slot < top; slot++) {
        uint64_t until_ns = books->waiters[slot].until_ns;

        if (books->waiters[slot].state != JBI_WAITER_WAITING)
            continue;
        if (until_ns <= by_ns && until_ns != UINT64_MAX) {
            time_out_one(books, slot);
            ring_bell(books, slot);
            is_any = true;
        } else if (until_ns < soonest) {
            soonest = until_ns;
        }
    }
    jbi_undo_set(&books->undo, &books->head->until_ns, soonest);
    jbi_undo_commit(&books->undo);
    return is_any;
}

static void serve_all(struct jbi_books *books)
{
    for (uint32_t i = 0; i < books->n_waiters && books->head->n_waiting > 0; i++) {
        uint64_t next = jbi_queue_choose(books);

        if (!next || !serve_one(books, (uint32_t)(next - 1)))
            break;
    }
}

/* Everything that could be granted is: until something changes, or it is later. */
static void settle(const struct jbi_books *books)
{
    uint64_t next_ns = UINT64_MAX;
    struct jbi_heads heads = {0};
    struct jbi_line_head head;

    while (jbi_heads_next(books, &heads, &head)) {
        uint64_t its_ns = head_next_ns(books, &head);

        next_ns = its_ns < next_ns ? its_ns : next_ns;
    }
    jbi_undo_set(&books->undo, &books->head->settled_ns, next_ns);
    jbi_undo_commit(&books->undo);
}

static bool is_settled(const struct jbi_books *books)
{
    const struct jbi_quota_head *head = books->head;

    return head->n_waiting == 0 ||
           (head->now_ns < head->settled_ns && head->now_ns < head->until_ns);
}

void jbi_queue_grant(struct jbi_books *books)
{
    uint64_t now = books->head->now_ns;

    if (is_settled(books))
        return;
    /* Whose last moment this is may still be served in it. */
    if (now > 0)
        (void)time_out(books, now - 1);
    serve_all(books);
    for (uint32_t i = 0; i < books->n_waiters && time_out(books, now); i++)
        serve_all(books);
}

void jbi_queue_serve(struct jbi_books *books)
{
    if (is_settled(books))
        return;
    jbi_queue_grant(books);
    for (uint32_t i = 0; i < books->n_waiters && jbi_queue_ask_for_room(books); i++)
        serve_all(books);
    settle(books);
}

uint64_t jbi_queue_next_ns(const struct jbi_books *books)
{
    const struct jbi_quota_head *head = books->head;

    if (head->n_waiting == 0)
        return UINT64_MAX;
    return head->settled_ns < head->until_ns ? head->settled_ns : head->until_ns;
}
