/*
 * queue.c: see queue.h. The order of service, in the words of quota.h: who is due, who stays within
 * a guarantee, the others by class and fair share.
 *
 * Only heads of lines are looked at, so one pass costs as many looks as there are lines, which is a
 * matter of how many components and kinds of wants there are, not of how many wait.
 */
#include "quota/queue.h"

#include "base/os.h"

#include <string.h>

enum { DUE_MAX = 64 };

/* The head of a line, as the choice sees it. */
struct candidate {
    struct jbi_want want;
    uint64_t id;
    uint32_t slot;
    uint64_t due_ns;
};

/* Lines whose heads are due, the longest due first. Beyond DUE_MAX they count as the others do,
 * until they are among the first. */
struct due_list {
    uint32_t n;
    struct {
        uint64_t due_ns;
        uint64_t id;
        uint32_t slot;
    } at[DUE_MAX];
};

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

struct jbi_quota_waiter *jbi_queue_find(const struct jbi_books *books, uint64_t id, uint32_t slot)
{
    if (slot >= books->n_waiters || id == 0 || books->waiters[slot].id != id ||
        books->waiters[slot].asker != books->peer)
        return NULL;
    return books->waiters[slot].state != JBI_WAITER_FREE ? &books->waiters[slot] : NULL;
}

bool jbi_queue_is_guaranteed(const struct jbi_books *books, const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++) {
        const struct jbi_quota_share *share =
            jbi_share_get(books, want->component, want->resource[i]);

        if (share->allocated > share->guaranteed ||
            want->amount[i] > share->guaranteed - share->allocated)
            return false;
    }
    return true;
}

static int64_t enter(const struct jbi_books *books, const struct jbi_want *want, uint64_t until_ns,
                     bool is_recorded)
{
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

void jbi_queue_forget(const struct jbi_books *books, uint32_t slot)
{
    jbi_line_slot_free(books, slot);
    jbi_undo_commit(&books->undo);
}

void jbi_queue_time_out(const struct jbi_books *books, uint32_t slot)
{
    struct jbi_quota_waiter *waiter = &books->waiters[slot];
    struct jbi_want want;

    jbi_waiter_unpack(books, waiter, &want);
    record_left(books, slot, &want, JB_RECORD_DENIED, JB_DENIED_TIMEOUT);
    jbi_line_leave(books, slot, &want);
    jbi_undo_set(&books->undo, &waiter->state, JBI_WAITER_TIMED_OUT);
    jbi_undo_commit(&books->undo);
}

static bool head_of(const struct jbi_books *books, const struct jbi_quota_flow *flow,
                    struct candidate *ret)
{
    uint64_t at = flow->head;
    const struct jbi_quota_waiter *waiter = jbi_waiter_get(books, at);

    if (!waiter || waiter->state != JBI_WAITER_WAITING)
        return false;
    jbi_waiter_unpack(books, waiter, &ret->want);
    ret->id = waiter->id;
    ret->slot = (uint32_t)(at - 1);
    ret->due_ns = jbi_due_ns(books, &ret->want);
    return true;
}

bool jbi_queue_has_linger(const struct jbi_books *books, const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++) {
        const struct jbi_quota_resource *resource = &books->resources[want->resource[i]];

        if (resource->linger_for != 0 && resource->linger_until_ns > books->head->now_ns)
            return true;
    }
    return false;
}

/* Is it somebody else's turn, who is expected back in a moment? */
static bool is_kept_out(const struct jbi_books *books, const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++) {
        const struct jbi_quota_resource *resource = &books->resources[want->resource[i]];
        uint32_t component = (uint32_t)resource->linger_for & 0xffff;
        uint32_t class_idx = jbi_who_class(resource->linger_for);
        struct jbi_want theirs = {.n = 1, .resource = {want->resource[i]}, .class_idx = class_idx};
        struct jbi_want ours = theirs;

        if (component == 0 || component > books->n_components ||
            resource->linger_until_ns <= books->head->now_ns || component - 1 == want->component)
            continue;
        theirs.component = component - 1;
        ours.component = want->component;
        if (class_idx > want->class_idx ||
            (class_idx == want->class_idx &&
             jbi_books_start_tag(books, &theirs) < jbi_books_start_tag(books, &ours)))
            return true;
    }
    return false;
}

/* Can it be had when all leases have ended? Not while more is used without a lease than it leaves:
 * keeping for it would keep everybody else out for as long as that goes on. */
bool jbi_queue_is_within_reach(const struct jbi_books *books, const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++) {
        const struct jbi_quota_resource *resource = &books->resources[want->resource[i]];
        uint64_t limit = jbi_books_limit(resource);

        if (resource->foreign > limit || want->amount[i] > limit - resource->foreign)
            return false;
    }
    return true;
}

bool jbi_queue_is_any_due(const struct jbi_books *books, uint64_t mask)
{
    uint64_t at = books->head->first_flow;
    struct candidate head;

    for (uint32_t i = 0; i < books->n_waiters && jbi_flow_get(books, at); i++) {
        const struct jbi_quota_flow *flow = jbi_flow_get(books, at);

        if ((flow->mask & mask) && head_of(books, flow, &head) &&
            head.due_ns <= books->head->now_ns && jbi_queue_is_within_reach(books, &head.want) &&
            jbi_books_fit(books, &head.want, NULL) != JBI_FIT_OWN)
            return true;
        at = flow->next;
    }
    return false;
}

static void due_add(struct due_list *list, const struct candidate *head)
{
    uint32_t at = list->n;

    if (list->n == DUE_MAX) {
        if (list->at[DUE_MAX - 1].due_ns <= head->due_ns)
            return;
        at = DUE_MAX - 1;
    } else {
        list->n++;
    }
    for (; at > 0 && (list->at[at - 1].due_ns > head->due_ns ||
                      (list->at[at - 1].due_ns == head->due_ns && list->at[at - 1].id > head->id));
         at--)
        list->at[at] = list->at[at - 1];
    list->at[at].due_ns = head->due_ns;
    list->at[at].id = head->id;
    list->at[at].slot = head->slot;
}

/* The first due one that fits, +1; what the others before it want is kept for them. */
static uint64_t choose_due(const struct jbi_books *books, const struct due_list *list,
                           uint64_t kept[JB_QUOTA_RESOURCES_MAX])
{
    for (uint32_t i = 0; i < list->n; i++) {
        struct jbi_want want;
        enum jbi_fit fit;

        jbi_waiter_unpack(books, &books->waiters[list->at[i].slot], &want);
        fit = jbi_books_fit(books, &want, kept);
        if (fit == JBI_FITS)
            return list->at[i].slot + UINT64_C(1);
        for (uint32_t j = 0; j < want.n && fit == JBI_FIT_FULL; j++) {
            if (__builtin_add_overflow(kept[want.resource[j]], want.amount[j],
                                       &kept[want.resource[j]]))
                kept[want.resource[j]] = UINT64_MAX;
        }
    }
    return 0;
}

/* The component's largest part of any resource, by its weight, in 2^-32. */
static uint64_t dominant_share(const struct jbi_books *books, uint32_t component)
{
    uint64_t weight = books->components[component].weight;
    uint64_t most = 0;

    for (uint32_t i = 0; i < books->n_resources; i++) {
        uint64_t part = jbi_books_part_ns(
            &books->resources[i], jbi_share_get(books, component, i)->allocated, UINT64_C(1) << 32);

        if (part > most)
            most = part;
    }
    return (most << 20) / (weight ? weight : 1);
}

/* Lower goes first: guarantee, then class, then share, then age. */
struct rank {
    uint32_t group;
    uint64_t share;
    uint64_t id;
};

uint32_t jbi_queue_group(const struct jbi_books *books, const struct jbi_want *want)
{
    return (jbi_queue_is_guaranteed(books, want) ? 0 : JBI_QUOTA_CLASSES) + JBI_QUOTA_CLASSES - 1 -
           want->class_idx;
}

static struct rank rank_of(const struct jbi_books *books, const struct candidate *head)
{
    bool is_drf = (books->head->flags & JB_COORD_DRF) != 0;
    struct rank rank = {
        .group = jbi_queue_group(books, &head->want),
        .share = is_drf ? dominant_share(books, head->want.component)
                        : jbi_books_start_tag(books, &head->want),
        .id = head->id,
    };

    return rank;
}

static bool is_before(const struct rank *a, const struct rank *b)
{
    if (a->group != b->group)
        return a->group < b->group;
    return a->share != b->share ? a->share < b->share : a->id < b->id;
}

/* From what each group was promised to what is kept from it: what the due ones want, and those of
 * the groups before it for whom room is being made. */
static void keep_promises(const struct jbi_books *books, struct jbi_promised *promised,
                          uint64_t kept[JB_QUOTA_RESOURCES_MAX])
{
    for (uint32_t i = 0; i < JBI_QUEUE_GROUPS; i++) {
        for (uint32_t j = 0; j < books->n_resources; j++) {
            uint64_t theirs = promised->amount[i][j];

            promised->amount[i][j] = kept[j];
            if (__builtin_add_overflow(kept[j], theirs, &kept[j]))
                kept[j] = UINT64_MAX;
        }
    }
}

/* Whoever goes next, +1; 0 when nobody can. */
static uint64_t choose(const struct jbi_books *books)
{
    uint64_t kept[JB_QUOTA_RESOURCES_MAX] = {0};
    struct due_list list = {.n = 0};
    uint64_t at = books->head->first_flow;
    uint64_t best_at = 0;
    struct rank best = {0};
    struct jbi_promised promised;
    struct candidate head;
    uint64_t due;

    for (uint32_t i = 0; i < books->n_waiters && jbi_flow_get(books, at); i++) {
        const struct jbi_quota_flow *flow = jbi_flow_get(books, at);

        if (head_of(books, flow, &head) && head.due_ns <= books->head->now_ns &&
            jbi_queue_is_within_reach(books, &head.want))
            due_add(&list, &head);
        at = flow->next;
    }
    due = choose_due(books, &list, kept);
    if (!due) {
        jbi_queue_promised(books, &promised);
        keep_promises(books, &promised, kept);
    }
    at = books->head->first_flow;
    for (uint32_t i = 0; !due && i < books->n_waiters && jbi_flow_get(books, at); i++) {
        const struct jbi_quota_flow *flow = jbi_flow_get(books, at);
        struct rank rank;

        /* Of the due ones only those beyond the list can fit here: the others' is kept. */
        if (head_of(books, flow, &head) &&
            jbi_books_fit(books, &head.want, promised.amount[jbi_queue_group(books, &head.want)]) ==
                JBI_FITS &&
            !is_kept_out(books, &head.want)) {
            rank = rank_of(books, &head);
            if (!best_at || is_before(&rank, &best)) {
                best = rank;
                best_at = head.slot + UINT64_C(1);
            }
        }
        at = flow->next;
    }
    return due ? due : best_at;
}

bool jbi_queue_somebody_could_go(const struct jbi_books *books)
{
    return books->head->n_leases < books->n_leases && choose(books) != 0;
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

/* Where virtual time stops: at whichever of the lines that want the resource, and could have it
 * when others give back, has had least. Who is served out of order, for its age or its guarantee,
 * would else take it along, and what the others had would be forgotten. */
static uint64_t least_tag(const struct jbi_books *books, uint32_t idx, uint32_t class_idx)
{
    uint64_t at = books->head->first_flow;
    uint64_t least = UINT64_MAX;
    struct candidate head;

    for (uint32_t i = 0; i < books->n_waiters && jbi_flow_get(books, at); i++) {
        const struct jbi_quota_flow *flow = jbi_flow_get(books, at);

        if (jbi_who_class(flow->who) == class_idx && (flow->mask >> idx & 1) &&
            head_of(books, flow, &head) && jbi_queue_is_within_reach(books, &head.want) &&
            jbi_books_fit(books, &head.want, NULL) != JBI_FIT_OWN) {
            struct jbi_want one = {
                .component = head.want.component,
                .class_idx = class_idx,
                .n = 1,
                .resource = {idx},
            };
            uint64_t tag = jbi_books_start_tag(books, &one);

            least = tag < least ? tag : least;
        }
        at = flow->next;
    }
    return least;
}

/* Grant it, and let virtual time go on no further than it may. Part of the caller's step. */
static int64_t grant(const struct jbi_books *books, const struct jbi_want *want)
{
    uint64_t least[JB_QUOTA_AMOUNTS_MAX];
    int64_t lease;

    for (uint32_t i = 0; i < want->n; i++)
        least[i] = least_tag(books, want->resource[i], want->class_idx);
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
        if (until_ns <= by_ns) {
            jbi_queue_time_out(books, slot);
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
        uint64_t next = choose(books);

        if (!next || !serve_one(books, (uint32_t)(next - 1)))
            break;
    }
}

void jbi_queue_serve(struct jbi_books *books)
{
    if (books->head->n_waiting == 0)
        return;
    /* Whose last moment this is may still be served in it. */
    (void)time_out(books, books->head->now_ns - 1);
    serve_all(books);
    for (uint32_t i = 0; i < books->n_waiters && time_out(books, books->head->now_ns); i++)
        serve_all(books);
    if (books->head->n_waiting > 0 && books->head->notice_ns > 0)
        jbi_queue_ask_for_room(books);
}

static uint64_t earlier_after(uint64_t now, uint64_t a, uint64_t b)
{
    return b > now && b < a ? b : a;
}

uint64_t jbi_queue_next_ns(const struct jbi_books *books)
{
    uint64_t now = books->head->now_ns;
    uint64_t at = books->head->first_flow;
    uint64_t next_ns = earlier_after(now, UINT64_MAX, books->head->until_ns);
    struct candidate head;

    for (uint32_t i = 0; i < books->n_waiters && jbi_flow_get(books, at); i++) {
        const struct jbi_quota_flow *flow = jbi_flow_get(books, at);

        if (head_of(books, flow, &head)) {
            next_ns = earlier_after(now, next_ns, head.due_ns);
            next_ns = earlier_after(now, next_ns,
                                    jbi_queue_promised_until(books, &books->waiters[head.slot]));
            for (uint32_t j = 0; j < head.want.n; j++) {
                uint32_t idx = head.want.resource[j];

                next_ns = earlier_after(now, next_ns, books->resources[idx].linger_until_ns);
                next_ns = earlier_after(now, next_ns,
                                        jbi_share_get(books, head.want.component, idx)->ready_ns);
            }
        }
        at = flow->next;
    }
    return next_ns;
}
